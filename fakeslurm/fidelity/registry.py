"""What there is to judge: the lines of the manual pages, and what was written down about them."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from attrs import evolve, field, frozen

from fakeslurm.contract import optioncases

__all__ = ["KINDS", "RELEASES", "Entry", "Kind", "Line", "entries", "lines", "manual"]

RELEASES = ("22.05", "24.11")

Kind = Literal["options", "keywords", "entities", "interactive", "updates", "input", "output"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@frozen(kw_only=True)
class Entry:
    """What was written down about a line in ``COMMAND.toml``."""

    value: str | None = None
    """What to try it with: the argument of an option, the value of a variable, what follows a keyword (words)."""
    test: str | None = None
    """The contract test that shows it: ``test_FILE.py::test_NAME``, with or without ``[parameters]``."""
    differs: str | None = None
    """How it is not as in Slurm."""
    case: str | None = None
    """Not written down: the conversation of `fakeslurm.contract.optioncases` that is about it."""
    option: str | None = None
    """Of a variable that Slurm sets: the option without which it does not, when that one is refused."""


@frozen
class Line:
    """A line that a manual page lists."""

    command: str
    kind: Kind
    name: str
    """Unique in its command and kind: ``--account``, ``hold``, ``show job``, ``update job Priority``, ``SBATCH_ACCOUNT``."""
    texts: Mapping[str, str] = field(eq=False)
    """How the page of a release writes it; a release that does not list it is not there."""
    entry: Entry = field(factory=Entry, eq=False)

    @property
    def file(self) -> str:
        """Where what is written down about it stands."""
        return f"fakeslurm/fidelity/{self.command}.toml"

    def takes_argument(self, release: str) -> bool:
        """Of an option: whether it needs an argument."""
        text = self.texts[release]
        name, equals, _ = text.partition("=")
        return bool(equals) and not name.endswith("[") and f"{self.name}, " not in text


@cache
def manual(release: str) -> Mapping[str, Mapping[Kind, Mapping[str, str]]]:
    """command -> kind -> name -> text, as the manual pages of a release list them."""
    text = (resources.files("fakeslurm.fidelity") / f"manual-{release}.json").read_text("utf-8")
    pages: dict[str, dict[Kind, dict[str, str]]] = json.loads(text)
    return pages


def entries(command: str) -> dict[tuple[Kind, str], Entry]:
    """What was written down about the lines of a command. Raises ValueError for what no release lists."""
    path = resources.files("fakeslurm.fidelity") / f"{command}.toml"
    written: dict[Any, dict[str, Any]] = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    found = {(kind, name): Entry(**entry) for kind, table in written.items() for name, entry in table.items()}
    for kind, name in found:
        if not any(name in manual(release)[command].get(kind, {}) for release in RELEASES):
            raise ValueError(f"{command}.toml: no manual page lists {name!r} among the {kind} of {command}")
    return found


def lines(command: str) -> list[Line]:
    """The lines of a command in the order of the newest page that lists them; what only an older one has comes after its kind's."""
    known = entries(command)
    found = []
    for kind in KINDS:
        names = dict.fromkeys(name for release in reversed(RELEASES) for name in manual(release)[command].get(kind, {}))
        for name in names:
            texts = {
                release: manual(release)[command][kind][name]
                for release in RELEASES
                if name in manual(release)[command].get(kind, {})
            }
            found.append(Line(command, kind, name, texts, _compared(command, name, known.get((kind, name), Entry()))))
    return found


_TESTS: Mapping[str, Mapping[str, object]] = {
    "test_options_sbatch.py::test_submission": optioncases.SUBMISSIONS,
    "test_options_salloc.py::test_allocation": optioncases.ALLOCATIONS,
    "test_options_srun.py::test_step": optioncases.STEPS,
    "test_options_query.py::test_query": optioncases.QUERIES,
}


def _compared(command: str, name: str, entry: Entry) -> Entry:
    """The entry, completed by the conversation about it that the contract suite holds, if there is one."""
    for case in (f"{command} {name}", command):
        for test, cases in _TESTS.items():
            if case in cases and (value := _value(case, name)) is not None:
                test = f"{test}[{case}]"
                return evolve(entry, value=entry.value or value or None, test=entry.test or test, case=case)
    return entry


def _value(case: str, name: str) -> str | None:
    """What a conversation gives to an option or a variable, "" for a flag or a keyword; None when it is not in it."""
    for words in map(shlex.split, optioncases.CASES[case]):
        for word in words:
            if word.partition("=")[0] == name and (name.startswith("--") or name.isupper()):
                return word.partition("=")[2]
        if " ".join(words[1:]).startswith(name):
            return shlex.join(words[1 + len(name.split()) :])
    return None
