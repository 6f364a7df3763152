"""slurm.conf as text: its lines taken apart, for the fake (`fakeslurm.slurmconf`) and for the throwaway real Slurm alike. Pure.

The form of the lines is slurm.conf.5's: ``Key=value``; a line of nodes or of a partition has several of them; a value with blanks
is in double quotes; ``#`` begins a comment. Keys are the same in any case. Attributes of ``NodeName=DEFAULT`` and
``PartitionName=DEFAULT`` hold for the lines that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import Factory, frozen

from slurmkit.slurm.hostlist import HostlistError, expand

__all__ = ["Attributes", "ConfLines", "Setting", "read_conf"]

_WORD = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*("[^"]*"|\S*)')
_COMMENT = re.compile(r"(?<!\\)#.*")
_DEFAULT = "DEFAULT"
_OTHER_LINES = frozenset({"nodeset", "downnodes", "frontendname", "include", "slurmctldhost"})
"""They may occur several times: one does not replace the other."""


@frozen
class Setting:
    """``Key=value`` as it was written, without the quotes."""

    key: str
    value: str

    def __str__(self) -> str:
        blank = any(map(str.isspace, self.value))
        return f'{self.key}="{self.value}"' if blank else f"{self.key}={self.value}"


Attributes = Mapping[str, Setting]
"""Of a node or a partition, by their keys in small letters."""


@frozen
class ConfLines:
    """What some lines of slurm.conf say."""

    parameters: dict[str, Setting] = Factory(dict)
    """By their keys in small letters; the last one of a key holds."""
    nodes: dict[str, dict[str, Setting]] = Factory(dict)
    """The attributes of each node that a NodeName line names, several lines for one node together."""
    partitions: dict[str, dict[str, Setting]] = Factory(dict)
    """The attributes of each partition; a second line of a name replaces the first."""
    others: list[str] = Factory(list)
    """Lines of another kind that may occur several times (SlurmctldHost, NodeSet, DownNodes, Include...), as written."""


def read_conf(lines: Iterable[str]) -> ConfLines:
    """Take lines of slurm.conf apart. ValueError names the line that is none, TypeError what is no sequence of lines."""
    if isinstance(lines, str):
        raise TypeError(f"conf: {lines!r} is one string; expected a sequence of lines of slurm.conf")
    conf = ConfLines()
    defaults: dict[str, dict[str, Setting]] = {"nodename": {}, "partitionname": {}}
    for line in lines:
        text = _COMMENT.sub("", line).strip()
        if not text:
            continue
        first, *rest = _settings(line, text)
        key = first.key.lower()
        if key in defaults:
            attributes = {one.key.lower(): one for one in rest}
            if first.value.upper() == _DEFAULT:
                defaults[key] |= attributes
            elif key == "nodename":
                for name in _names(line, first.value):
                    conf.nodes[name] = conf.nodes.get(name, defaults[key]) | attributes
            else:
                conf.partitions[first.value] = defaults[key] | attributes
        elif key in _OTHER_LINES:
            conf.others.append(text)
        else:
            conf.parameters.update({one.key.lower(): one for one in (first, *rest)})
    return conf


def _settings(line: str, text: str) -> Sequence[Setting]:
    settings, position = [], 0
    while position < len(text):
        match = _WORD.match(text, position)
        if match is None:
            raise ValueError(
                f"conf: {line!r} is not a line of slurm.conf; expected 'Key=value', or several after NodeName=..."
            )
        settings.append(Setting(match[1], match[2].strip('"')))
        position = match.end()
    return settings


def _names(line: str, text: str) -> list[str]:
    try:
        return expand(text)
    except HostlistError as error:
        raise ValueError(f"conf: {line!r}: {error}") from None
