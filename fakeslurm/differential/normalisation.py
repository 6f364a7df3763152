"""What an answer says once everything is out of it that no two clusters share. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from fakeslurm.differential.exclusions import EXCLUSIONS, FILES, VARIABLES

_OF_STEPS = re.compile(r"^(srun: | ?\d+: |.*slurmstepd-\S+: error: \*\*\* STEP )", re.MULTILINE)
_IN_A_LINE = re.compile(r"(?<=[^\n])(?=srun: |slurmstepd-)|(?<=no newline)(?= ?\d+: )")
"""Where one of them goes on in a line that another one has begun."""

__all__ = ["Places", "environment", "file_text", "normalised"]


@frozen
class Places:
    """Where the two sides work: equally long paths, the right one of which is written as the left one."""

    left: str
    right: str

    def common(self, text: str) -> str:
        return text.replace(self.right, self.left)


def normalised(command: str, text: str, places: Places) -> str:
    """The text that a command (its name) has written, to be compared."""
    text = places.common(text)
    for exclusion in EXCLUSIONS:
        text = exclusion.apply(command, text)
    return text


def file_text(text: str, places: Places) -> str:
    """The content of an output file: its lines in order, unless a step and its ranks have written it at once."""
    text = normalised(FILES, text, places)
    return "\n".join(sorted(_IN_A_LINE.sub("\n", text).split("\n"))) if _OF_STEPS.search(text) else text


def environment(dump: bytes, places: Places) -> Mapping[str, str]:
    """The environment in the output of ``env -0``."""
    pairs = (item.partition("=") for item in dump.decode("utf-8", "surrogateescape").split("\0") if item)
    return {name: "*" if VARIABLES.fullmatch(name) else places.common(value) for name, _, value in pairs}


def differing(left: Mapping[str, str], right: Mapping[str, str]) -> Sequence[str]:
    """One line for each variable that is not the same."""
    names = sorted(left.keys() | right.keys())
    return [
        f"{name}: {left.get(name, '(unset)')!r} and {right.get(name, '(unset)')!r}"
        for name in names
        if left.get(name) != right.get(name)
    ]
