"""Generic resources: GPUs and whatever else a node has a number of. Pure values and texts, measured: docs/measured/resources.md.

A node's resources are *units*, numbered through all lines of its ``Gres=``; a set of units is a bit mask over these numbers. What is
called ``gpu`` has device files and therefore indices, which jobs see in CUDA_VISIBLE_DEVICES; others are only counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from attrs import frozen

from fakeslurm import messages
from fakeslurm.messages import SlurmError, unsupported

__all__ = [
    "Gres",
    "Units",
    "choose",
    "device_indices",
    "held_units",
    "node_gres",
    "ranges",
    "requested",
    "total_text",
    "tres_items",
    "used_text",
]

_NODE_ITEM = re.compile(r"([A-Za-z_]\w*)(?::([A-Za-z_]\w*))?:([0-9]+)", re.ASCII)
_NONE = re.compile(r":\s*[+-]?0+[kmgt]?$", re.IGNORECASE | re.ASCII)
_COUNT = re.compile(r"([0-9]+)([kmg]?)", re.IGNORECASE | re.ASCII)
_MULTIPLE = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_MOST_UNITS = 4096


@frozen
class Gres:
    """So many of a name and type; no type is any type, or a resource that has none."""

    name: str
    type: str | None
    count: int

    @property
    def kind(self) -> str:
        """``gpu`` or ``gpu:a100``."""
        return self.name if self.type is None else f"{self.name}:{self.type}"

    def satisfies(self, request: Gres) -> bool:
        """Whether it is of the kind that was asked for."""
        return self.name == request.name and request.type in (None, self.type)


@frozen
class Units:
    """Some units of one line of a node's ``Gres=``."""

    gres: Gres
    indices: tuple[int, ...]
    """Which ones, by their numbers among the node's resources of that name."""

    @property
    def held(self) -> Gres:
        """So many of that kind."""
        return Gres(self.gres.name, self.gres.type, len(self.indices))

    @property
    def detail(self) -> str:
        """``gpu:a100:1(IDX:0)``, ``fpga(CNT:2)``."""
        if self.gres.name != "gpu":
            return f"{self.gres.kind}(CNT:{len(self.indices)})"
        return f"{self.gres.kind}:{len(self.indices)}(IDX:{ranges(self.indices)})"


@lru_cache(1024)
def node_gres(text: str) -> tuple[Gres, ...]:
    """The value of a node's ``Gres=``: ``gpu:a100:1,fpga:3``. ValueError for what it cannot be."""
    found = []
    for item in text.split(",") if text else ():
        match = _NODE_ITEM.fullmatch(item)
        if match is None or not 0 < int(match[3]) <= _MOST_UNITS:
            raise ValueError(f"gres={text!r}: {item!r} is not NAME[:TYPE]:COUNT with a count of 1 to {_MOST_UNITS}")
        found.append(Gres(match[1], match[2], int(match[3])))
    return tuple(found)


def requested(text: str, types: Sequence[str], release: str) -> tuple[Gres, ...]:
    """What ``--gres`` asks for on each node. Raises SlurmError for a name that is not in GresTypes.

    None of something is nothing, whatever its name and type (measured).
    """
    found: dict[str, Gres] = {}
    prefix = "gres/" if release >= "24.11" else "gres:"
    for item in text.split(",") if text and text.lower() != "none" else ():
        if "=" in item and release >= "24.11":
            raise unsupported(f"--gres={text}")
        if _NONE.search(item) or (item == "0" and release >= "24.11"):
            continue
        name, *rest = item.removeprefix(prefix).split(":")
        if name not in types or len(rest) > 2:
            raise SlurmError(messages.INVALID_GRES)
        count = _COUNT.fullmatch(rest[-1]) if rest else None
        if len(rest) == 2 and count is None:
            raise SlurmError(messages.INVALID_GRES)
        kind = rest[0] if rest and (len(rest) == 2 or count is None) else None
        one = Gres(name, kind, int(count[1]) * _MULTIPLE[count[2].lower()] if count else 1)
        if one.kind in found:
            raise unsupported(f"--gres={text}")
        if any(other.name == name and (other.type is None or kind is None) for other in found.values()):
            raise SlurmError(messages.MIXED_GRES)
        found[one.kind] = one
    return tuple(found.values())


def choose(lines: Sequence[Gres], requests: Iterable[Gres], in_use: int) -> int | None:
    """The units for these requests, the lowest free ones; None when there are not enough."""
    mask = 0
    for request in requests:
        missing = request.count
        for line, offset, _ in _places(lines):
            if line.satisfies(request):
                for unit in range(offset, offset + line.count):
                    if missing and not (in_use | mask) >> unit & 1:
                        mask |= 1 << unit
                        missing -= 1
        if missing:
            return None
    return mask


def held_units(lines: Sequence[Gres], mask: int, requests: Sequence[Gres] | None) -> list[Units]:
    """The units in `mask`, in the order of the requests; an untyped one has all types of the node. None: in the node's order."""
    found = [
        Units(line, tuple(first + unit for unit in range(line.count) if mask >> offset + unit & 1))
        for line, offset, first in _places(lines)
    ]
    if requests is None:
        return found
    return [one for request in requests for one in found if one.gres.satisfies(request)]


def device_indices(lines: Sequence[Gres], mask: int) -> tuple[int, ...]:
    """The GPUs in `mask`: CUDA_VISIBLE_DEVICES."""
    return tuple(index for one in held_units(lines, mask, None) if one.gres.name == "gpu" for index in one.indices)


def total_text(nodes: Iterable[Iterable[Units]]) -> str:
    """What a job has of all its nodes together: ``gpu:2,gpu:a100:1``; empty for nothing."""
    totals: dict[str, int] = {}
    for units in nodes:
        for one in units:
            totals[one.gres.kind] = totals.get(one.gres.kind, 0) + len(one.indices)
    return ",".join(f"{kind}:{count}" for kind, count in totals.items())


def tres_items(kinds: Iterable[str], held: Iterable[Gres]) -> list[str]:
    """Trackable resources of these kinds (``gpu``, ``gpu:a100``): ``gres/gpu=2``. A typed one counts for its name as well."""
    some = list(held)
    items = []
    for kind in kinds:
        count = sum(one.count for one in some if kind in (one.name, one.kind))
        if count:
            items.append(f"gres/{kind}={count}")
    return items


def used_text(lines: Sequence[Gres], in_use: int, types: Sequence[str], release: str) -> str:
    """``GresUsed``. 22.05 names every one of GresTypes, whether the node has it or not."""
    texts = []
    names = types if release < "24.11" else [name for name in types if any(line.name == name for line in lines)]
    for name in names:
        mine = [one for one in held_units(lines, in_use, None) if one.gres.name == name]
        for one in mine:
            indices = "" if one.gres.type is None else f"(IDX:{ranges(one.indices) or 'N/A'})"
            texts.append(f"{one.gres.kind}:{len(one.indices)}{indices}")
        if not mine:
            texts.append(f"{name}:0")
    return ",".join(texts)


def _places(lines: Sequence[Gres]) -> Iterator[tuple[Gres, int, int]]:
    """Each line, its first unit, and the number of that unit among those of its name."""
    offset = 0
    before: dict[str, int] = {}
    for line in lines:
        first = before.get(line.name, 0)
        yield line, offset, first
        offset += line.count
        before[line.name] = first + line.count


def ranges(numbers: Iterable[int]) -> str:
    """``0-2,5``: ascending numbers, as Slurm prints a bitmap."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
