"""Slurm's hostlist notation: ``n[1-3,07],m5`` is n1, n2, n3, n07 and m5.

:func:`expand` is ``scontrol show hostnames``, :func:`compress` is ``scontrol show hostlist`` and
:func:`compress_sorted` is ``scontrol show hostlistsorted``; the tests compare them with the real command on generated
input. Where that prints nothing or garbage for ill-formed text, :func:`expand` raises :class:`HostlistError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cmp_to_key
from itertools import product
from math import prod

MAX_RANGE = 65536
"""Most hosts in one range (MAX_RANGE in Slurm's src/common/hostlist.h)."""

MAX_HOSTS = 1 << 20
"""Most hosts in one hostlist. Slurm has no such limit, but no such cluster either: ``a[1-65536]b[1-65536]`` is a mistake."""

MAX_NUMBER = (1 << 64) - 2
"""A trailing number above this is part of the host's name: Slurm keeps it in an unsigned long."""

_NO_HOSTS = frozenset({"(null)", "None assigned"})
"""What squeue and scontrol (``(null)``) and sacct (``None assigned``) print for a job without nodes."""

_SEPARATORS = ", \t\n"
_RANGE = re.compile(r"([0-9]{1,255})(?:-([0-9]{1,255}))?", re.ASCII)
_MAX_DIGITS = 255
_RUNS = re.compile(r"[0-9]+|[^0-9]", re.ASCII | re.DOTALL)
_DIGITS = frozenset("0123456789")


class HostlistError(ValueError):
    """The text is no hostlist; the message names it and the position (from 0) of what is wrong."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        super().__init__(f"invalid hostlist {text!r} at position {position}: {problem}")
        self.text = text
        self.position = position


def expand(text: str, *, suffixes: bool = True) -> list[str]:
    """The hosts of a hostlist, in the order written, with duplicates and zero padding kept.

    Several brackets in one item give every combination, the last bracket fastest: ``r[1-2]n[1-2]`` is r1n1, r1n2, r2n1,
    r2n2; of three and more, the first is the next fastest, as in Slurm. The empty text and Slurm's words for "no nodes"
    give ``[]``.

    ``suffixes=False`` refuses text after the last bracket of an item (``n[1-3]-ib``), as Slurm 22.05 does.
    """
    if text.strip() in _NO_HOSTS:
        return []
    hosts: list[str] = []
    for start, item in _items(text):
        if "[" not in item and "]" not in item:
            hosts.append(item)
            continue
        parts = _parts(text, start, item)
        if not suffixes and isinstance(parts[-1], str):
            raise HostlistError(text, start + item.rindex("]") + 1, "text after the last bracket")
        last = max(index for index, part in enumerate(parts) if not isinstance(part, str))
        choices = [[part] if isinstance(part, str) else part for part in parts]
        total = prod(map(len, choices))
        if len(hosts) + total > MAX_HOSTS:
            raise HostlistError(text, start, f"{item!r} means {total} hosts; more than {MAX_HOSTS} are refused")
        hosts.extend(_combinations(choices, last))
    return hosts


def compress(hosts: Iterable[str]) -> str:
    """The hostlist of these hosts, in their order, duplicates kept, as ``scontrol show hostlist a,b,c`` writes it."""
    return _render(_ranges(_split(host) for host in hosts))


def compress_sorted(hosts: Iterable[str]) -> str:
    """Like :func:`compress`, but sorted by prefix, width and number, as ``scontrol show hostlistsorted a,b,c`` writes it."""
    ranges = sorted(_ranges(map(_split, hosts)), key=cmp_to_key(_compare))
    return _render(_ranges(_untangle(ranges)))


def _items(text: str) -> list[tuple[int, str]]:
    """The items between separators that are outside brackets, each with its position."""
    items: list[tuple[int, str]] = []
    start: int | None = None
    opened: int | None = None
    for position, char in enumerate(text):
        if char in _SEPARATORS and opened is None:
            if start is not None:
                items.append((start, text[start:position]))
                start = None
            continue
        if start is None:
            start = position
        if char == "[":
            if opened is not None:
                raise HostlistError(text, position, "'[' inside brackets")
            opened = position
        elif char == "]":
            if opened is None:
                raise HostlistError(text, position, "']' without '['")
            opened = None
    if opened is not None:
        raise HostlistError(text, opened, "'[' is never closed")
    if start is not None:
        items.append((start, text[start:]))
    return items


def _parts(text: str, start: int, item: str) -> list[str | list[str]]:
    """The literal texts (str) and the bracketed choices (list) of one item."""
    parts: list[str | list[str]] = []
    rest = 0
    while (opened := item.find("[", rest)) >= 0:
        if opened > rest:
            parts.append(item[rest:opened])
        closed = item.index("]", opened)
        numbers: list[str] = []
        position = opened + 1
        for piece in item[position:closed].split(","):
            numbers.extend(_numbers(text, start + position, piece))
            position += len(piece) + 1
        parts.append(numbers)
        rest = closed + 1
    if rest < len(item):
        parts.append(item[rest:])
    return parts


def _combinations(choices: list[list[str]], last: int) -> Iterator[str]:
    """Every combination, in Slurm's order: the bracket `last` is the fastest, then the first, the second and so on."""
    tails = ["".join(tail) for tail in product(*choices[last:])]
    for backwards in product(*reversed(choices[:last])):
        head = "".join(reversed(backwards))
        for tail in tails:
            yield head + tail


def _numbers(text: str, position: int, piece: str) -> list[str]:
    match = _RANGE.fullmatch(piece)
    if match is None:
        raise HostlistError(text, position, f"{piece!r} is neither a number nor a range FIRST-LAST")
    first, last = match[1], match[2] or match[1]
    low, high = int(first), int(last)
    if low > high:
        raise HostlistError(text, position, f"the range {piece!r} runs backwards")
    if high - low >= MAX_RANGE:
        raise HostlistError(text, position, f"the range {piece!r} has more than {MAX_RANGE} hosts")
    width = len(first)
    return [f"{number:0{width}d}" for number in range(low, high + 1)]


_Host = tuple[str, str]
"""A host as its prefix and its trailing digits; no digits when it has no number that Slurm could count."""


def _split(host: str) -> _Host:
    prefix = host.rstrip("0123456789")
    digits = host[len(prefix) :]
    if not digits or len(digits) > _MAX_DIGITS or int(digits) > MAX_NUMBER:
        return host, ""
    return prefix, digits


class _Range:
    """Consecutive hosts of one prefix, or (low is None) one host without a number."""

    __slots__ = ("high", "low", "prefix", "width")

    def __init__(self, prefix: str, low: int | None, width: int) -> None:
        self.prefix = prefix
        self.low = low
        self.high = low
        self.width = width


def _compare(one: _Range, other: _Range) -> int:
    by_prefix = _compare_naturally(one.prefix, other.prefix)
    if by_prefix:
        return by_prefix
    ours, theirs = _first(one), _first(other)
    return (ours > theirs) - (ours < theirs)


def _first(one: _Range) -> tuple[int, int]:
    """Width and number of the first host; a host without a number comes before those with one."""
    return (0, 0) if one.low is None else (one.width, one.low)


def _untangle(ranges: Iterable[_Range]) -> list[_Host]:
    """The hosts of sorted ranges; where ranges overlap, by number: 1-3 and 2-4 are 1, 2, 2, 3, 3, 4."""
    hosts: list[_Host] = []
    tangled: list[tuple[int, str]] = []
    farthest: _Range | None = None
    for one in [*ranges, _Range("", None, 0)]:
        if farthest is not None and not _overlap(farthest, one):
            hosts.extend((farthest.prefix, digits) for _, digits in sorted(tangled))
            tangled.clear()
            farthest = None
        if one.low is None or one.high is None:
            hosts.append((one.prefix, ""))
            continue
        tangled.extend((number, f"{number:0{one.width}d}") for number in range(one.low, one.high + 1))
        if farthest is None or farthest.high is None or one.high >= farthest.high:
            farthest = one
    return hosts[:-1]


def _overlap(one: _Range, other: _Range) -> bool:
    if one.prefix != other.prefix or one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    same_width = _common_width(one.low, one.width, other.low, other.width) is not None
    return same_width and one.low <= other.high and other.low <= one.high


def _compare_naturally(one: str, other: str) -> int:
    """Runs of digits inside the texts compare as numbers, and those with a leading zero as fractions (Slurm's strnatcmp)."""
    for ours, theirs in zip(_RUNS.findall(one), _RUNS.findall(other), strict=False):
        if ours == theirs:
            continue
        if ours[0] in _DIGITS and theirs[0] in _DIGITS and ours[0] != "0" and theirs[0] != "0":
            return -1 if (len(ours), ours) < (len(theirs), theirs) else 1
        return -1 if ours < theirs else 1
    return (len(one) > len(other)) - (len(one) < len(other))


def _ranges(hosts: Iterable[_Host]) -> list[_Range]:
    ranges: list[_Range] = []
    for prefix, digits in hosts:
        new = _Range(prefix, int(digits) if digits else None, len(digits))
        if not (ranges and _extend(ranges[-1], new)):
            ranges.append(new)
    return ranges


def _extend(tail: _Range, new: _Range) -> bool:
    if tail.prefix != new.prefix or tail.low is None or new.low is None or tail.high != new.low - 1:
        return False
    width = _common_width(tail.low, tail.width, new.low, new.width)
    if width is None:
        return False
    tail.width = width
    tail.high = new.high
    return True


def _common_width(low: int, low_width: int, high: int, high_width: int) -> int | None:
    """The width at which both print as they are (``_width_equiv`` in hostlist.c): 9 and 10 agree, 08 and 9 do not."""
    if f"{low:0{high_width}d}" == f"{low:0{low_width}d}":
        return high_width
    if f"{high:0{low_width}d}" == f"{high:0{high_width}d}":
        return low_width
    return None


def _render(ranges: list[_Range]) -> str:
    items: list[str] = []
    index = 0
    while index < len(ranges):
        first = ranges[index]
        index += 1
        if first.low is None:
            items.append(first.prefix)
            continue
        group = [first]
        while index < len(ranges) and ranges[index].low is not None and ranges[index].prefix == first.prefix:
            group.append(ranges[index])
            index += 1
        body = ",".join(_range_text(one) for one in group)
        alone = len(group) == 1 and first.low == first.high
        items.append(f"{first.prefix}{body}" if alone else f"{first.prefix}[{body}]")
    return ",".join(items)


def _range_text(one: _Range) -> str:
    low = f"{one.low:0{one.width}d}"
    return low if one.low == one.high else f"{low}-{one.high:0{one.width}d}"
