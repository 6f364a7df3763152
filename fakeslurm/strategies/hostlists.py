"""Names of hosts, and the notation in which Slurm writes many of them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["hostlists", "hostnames", "hosts"]

_PREFIXES = ["n", "n", "node", "N", "a-", "r1n", "r01n", "r2n", "m", "", "n0x", "nx."]
_NUMBERS = st.one_of(st.integers(0, 12), st.integers(95, 103), st.integers(0, 3), st.integers(9_998, 10_001))


def _numbered(prefix: str, number: int, width: int) -> str:
    return f"{prefix}{number:0{width}d}"


def hostnames() -> SearchStrategy[str]:
    """A name such as a node has: ``n0``, ``node03``, ``r1n102``, ``login``. Shrinks to ``n0``."""
    numbered = st.builds(_numbered, st.sampled_from(_PREFIXES), _NUMBERS, st.integers(1, 4))
    return st.one_of(st.sampled_from(["n0", "login", "nx", "a-b", "N"]), numbered, numbered, numbered)


def hosts(*, min_size: int = 1, max_size: int = 12, unique: bool = False) -> SearchStrategy[list[str]]:
    """`min_size` to `max_size` names, with numbers in a row as often as not; several may be the same unless they are to be `unique`."""
    scattered = st.lists(hostnames(), min_size=min_size, max_size=max_size, unique=unique)
    runs = st.lists(_runs(), min_size=1, max_size=4).map(lambda parts: [host for part in parts for host in part])
    rows = runs.map(lambda names: list(dict.fromkeys(names)) if unique else names)
    return st.one_of(scattered, rows.filter(lambda names: min_size <= len(names) <= max_size))


def _runs() -> SearchStrategy[list[str]]:
    return st.builds(
        lambda prefix, first, length, width: [_numbered(prefix, first + step, width) for step in range(length)],
        st.sampled_from(["n", "n", "n", "m"]),
        st.sampled_from([0, 1, 2, 3, 7, 8, 9, 98, 99]),
        st.integers(1, 4),
        st.sampled_from([1, 1, 1, 2, 3]),
    )


def hostlists(*, suffixes: bool = False) -> SearchStrategy[str]:
    """A hostlist, ``n[1-3,07],m5`` or ``r[1-2]n[0-1]``, as every release of Slurm reads it.

    With `suffixes` one with text behind its last bracket (``n[1-3]-ib``), which 22.05 refuses.
    """
    brackets = st.lists(_ranges(), min_size=1, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
    names = st.sampled_from(["n", "node", "r1-", "x.", "7"])
    parts = st.lists(st.one_of(names, brackets), max_size=4)
    items = st.builds(lambda parts, last: "".join(parts) + last, parts, brackets)
    if suffixes:
        return st.builds(lambda item, suffix: item + suffix, items, st.sampled_from(["-ib", "x", ".y"]))
    return st.lists(st.one_of(names, items), min_size=1, max_size=3).map(",".join)


def _ranges() -> SearchStrategy[str]:
    return st.builds(
        lambda first, length, width: f"{first:0{width}d}" + (f"-{first + length}" if length else ""),
        st.integers(0, 110),
        st.integers(0, 4),
        st.integers(1, 3),
    )
