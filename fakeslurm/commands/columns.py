"""Tables as squeue and sinfo print them: the ``-o`` and ``-O`` format languages, and rows compiled once per call.

Everything here was measured on Slurm 22.05.8: a width both pads and cuts, counts bytes, and 0 means "as it is"; unknown
fields are complained about and printed as they were written, with return code 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from attrs import field, frozen

__all__ = [
    "Column",
    "Found",
    "LongToken",
    "Overflow",
    "Table",
    "fit",
    "format_table",
    "long_format_table",
    "parse_format",
    "parse_long_format",
]

Getter = Callable[[Any], str]
Overflow = Literal["", "time", "nodes", "list", "head", "mark", "left"]
"""What is not cut when it is right-justified: durations, lists of nodes (not reasons) with their headers (``list``: without), a header alone.

``mark`` is always cut, but keeps the star at its end: the default partition's. ``left``: the header is left-justified all the same."""
_NULL = "(null)"
Found = tuple[str, Getter, Overflow] | None
"""A field's header, getter and overflow; None for a field that does not exist."""


class Token(NamedTuple):
    """One ``%[[.]size]type[suffix]`` of a format; `field` is one letter, or empty when the text ends too early."""

    text: str
    """As it was written, without the per cent sign."""
    field: str
    width: int
    right: bool
    suffix: str


class LongToken(NamedTuple):
    """One ``type[:[.][size][suffix]]`` of a long format; `width` is 20 when nothing follows the type.

    It may be negative, which squeue and sinfo take each in its way.
    """

    field: str
    width: int
    right: bool
    suffix: str


_TOKEN = re.compile(r"(\.?)([0-9]*)(.?)(.*)", re.DOTALL)
_LONG = re.compile(r"(\.?)(\s*[+-]?[0-9]+|)(.*)", re.DOTALL)


def parse_format(text: str) -> tuple[str, list[Token]]:
    """A ``-o`` format: the text before its first per cent sign, and its tokens.

    As in Slurm the format is split at every ``%`` and empty pieces vanish: ``%%`` is no escape.
    """
    prefix = ""
    if not text.startswith("%"):
        prefix, _, text = text.partition("%")
    tokens = []
    for piece in text.split("%"):
        if piece:
            match = _TOKEN.fullmatch(piece)
            assert match is not None
            right, width, letter, suffix = match.groups()
            tokens.append(Token(piece, letter, int(width or 0), bool(right), suffix))
    return prefix, tokens


@lru_cache
def parse_long_format(text: str) -> tuple[LongToken, ...]:
    """A ``-O`` format: ``JobID:.20,State:10`` and the like; empty pieces vanish."""
    tokens = []
    for piece in text.split(","):
        if piece:
            name, colon, rest = piece.partition(":")
            match = _LONG.fullmatch(rest)
            assert match is not None
            right, width, suffix = match.groups()
            tokens.append(LongToken(name, int(width or 0) if colon else 20, bool(right), suffix))
    return tuple(tokens)


@frozen
class Column:
    """A field in its place: what stands above it and how it is read from a row's object."""

    header: str
    get: Getter
    width: int = 0
    right: bool = False
    suffix: str = ""
    overflow: Overflow = ""

    def head(self) -> str:
        """The header in its place."""
        spill = self.right and self.overflow in ("nodes", "head")
        return fit(self.header, self.width, self.right and self.overflow != "left", cut=not spill) + self.suffix

    def cell(self, row: Any) -> str:
        """The value in its place."""
        return self.body(row) + self.suffix

    def body(self, row: Any) -> str:
        """The value in its place, without the suffix."""
        text = self.get(row)
        if self.overflow == "mark" and text.endswith("*") and len(text) > self.width > 0:
            text = f"{text[: self.width - 1]}*"
        if text == _NULL and self._narrow:
            text = ""
        nodes = self.overflow == "nodes" and (not text.startswith("(") or text == _NULL)
        spill = nodes or self.overflow == "list" or (self.overflow == "time" and not text.isalpha())
        return fit(text, self.width, self.right, cut=not (self.right and spill))

    @property
    def special(self) -> bool:
        """Whether a printf template cannot lay the value out."""
        spills = self.right and self.overflow in ("time", "nodes", "list")
        return bool(self.width) and (self.overflow == "mark" or spills or self._narrow)

    @property
    def _narrow(self) -> bool:
        """Whether a value that is not there is left blank: so printf prints NULL where it has no room for ``(null)`` (measured)."""
        return not self.right and 0 < self.width < len(_NULL)


def fit(text: str, width: int, right: bool, *, cut: bool = True) -> str:
    """`text` in `width` bytes, padded and (`cut`) cut; as it is when the width is 0."""
    if not width:
        return text
    raw = text.encode("utf-8", "surrogateescape")
    raw = raw[:width] if cut else raw
    raw = raw.rjust(width) if right else raw.ljust(width)
    return raw.decode("utf-8", "surrogateescape")


@frozen
class Table:
    """Columns, compiled: one printf template and one getter per column, so that a row costs no parsing."""

    columns: Sequence[Column]
    prefix: str = ""
    _template: str = field(init=False)
    _getters: tuple[Getter, ...] = field(init=False)

    @_template.default
    def _compile(self) -> str:
        parts = [self.prefix.replace("%", "%%")]
        for column in self.columns:
            if column.width and not column.special:
                parts.append(f"%{'' if column.right else '-'}{column.width}.{column.width}s")
            else:
                parts.append("%s")
            parts.append(column.suffix.replace("%", "%%"))
        return "".join([*parts, "\n"])

    @_getters.default
    def _collect(self) -> tuple[Getter, ...]:
        return tuple(column.body if column.special else column.get for column in self.columns)

    def header(self) -> str:
        """The line above the rows."""
        return f"{self.prefix}{''.join(column.head() for column in self.columns)}\n"

    def rows(self, items: Iterable[Any]) -> str:
        """One line for each object."""
        template, getters = self._template, self._getters
        items = list(items)
        text = "".join([template % tuple([get(item) for get in getters]) for item in items])
        if text.isascii():
            return text
        # Slurm counts bytes, Python's printf characters.
        return "".join([f"{self.prefix}{''.join(column.cell(item) for column in self.columns)}\n" for item in items])


def format_table(text: str, find: Callable[[str], Found], complain: Callable[[str], None]) -> Table:
    """The table of a ``-o`` format. A field that `find` does not know is complained about and printed as written."""
    prefix, tokens = parse_format(text)
    return Table([_column(token, find(token.field), complain) for token in tokens], prefix)


def _column(token: Token, found: Found, complain: Callable[[str], None]) -> Column:
    if found is None:
        complain(token.field)
        written = f"%{token.text}"
        return Column(written, lambda _row: written)
    header, getter, overflow = found
    return Column(header, getter, token.width, token.right, token.suffix, overflow)


def long_format_table(
    text: str,
    find: Callable[[str], Found],
    complain: Callable[[str], None],
    negative: Callable[[str], str],
    negative_header: Callable[[str, LongToken], str],
) -> Table:
    """The table of a ``-O`` format. Of a field that `find` does not know nothing but its suffix is printed.

    `negative` makes what is printed of a value whose width is below 0, `negative_header` of its header.
    """
    columns = []
    for token in parse_long_format(text):
        found = find(token.field)
        if found is None:
            complain(token.field)
            columns.append(Column("", lambda _row: "", suffix=token.suffix))
        elif token.width < 0:
            header, getter, _ = found
            columns.append(Column(negative_header(header, token), _applied(negative, getter), suffix=token.suffix))
        else:
            header, getter, overflow = found
            columns.append(Column(header, getter, token.width, token.right, token.suffix, overflow))
    return Table(columns)


def _applied(function: Callable[[str], str], getter: Getter) -> Getter:
    return lambda row: function(getter(row))
