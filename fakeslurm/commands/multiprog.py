"""``srun --multi-prog``: the file that says which program each rank runs. Texts were measured on 22.05.8 and 24.11.5."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

__all__ = ["MultiProg", "MultiProgError"]

_INT = 1 << 32


class MultiProgError(Exception):
    """The file is not right; `texts` are what srun says, one line each."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.texts = texts


@frozen
class _Line:
    ranks: str
    """``*``, or numbers and ranges."""
    program: str
    """The rest of the line as it stands, with the lines that continue it."""

    def offset(self, rank: int) -> int | None:
        """The rank's place among those of the line (``%o``); None when it is not one of them."""
        if self.ranks == "*":
            return rank
        passed = 0
        for low, high in _ranges(self.ranks):
            if low <= rank <= high:
                return passed + rank - low
            passed += high - low + 1
        return None


@frozen
class MultiProg:
    """A file that was read. `ntasks` is None when neither srun's options nor the file decide about it."""

    lines: tuple[_Line, ...]
    ntasks: int | None

    @classmethod
    def parse(cls, text: str, name: str, ntasks: int | None) -> MultiProg:
        """Read the file called `name` for `ntasks` tasks. Raises `MultiProgError`."""
        tasks = _Tasks(ntasks)
        lines: list[_Line] = []
        for number, line in _logical_lines(text):
            words = line.lstrip()
            if not words or words.startswith("#"):
                continue
            ranks, _, program = re.sub(r"\s", " ", words, count=1).partition(" ")
            bad = f"Line {number} of configuration file {name} invalid"
            if not program.strip():
                raise MultiProgError(bad)
            try:
                tasks.add(ranks)
            except MultiProgError as error:
                raise MultiProgError(*error.texts, bad) from None
            lines.append(_Line(ranks, program))
        missing = next((rank for rank in range(tasks.count) if rank not in tasks.seen), None)
        if missing is not None:
            raise MultiProgError(f"Configuration file {name} invalid, no record for task id {missing}")
        return cls(tuple(lines), tasks.count if tasks.decided else None)

    def argv(self, rank: int) -> tuple[str, ...]:
        """The program of a rank and its arguments; empty when it has none, or one that cannot be read."""
        for line in self.lines:
            offset = line.offset(rank)
            if offset is not None:
                return _words(line.program, rank, offset)
        return ()


class _Tasks:
    """What the lines say about the ranks, as far as they have been read."""

    def __init__(self, ntasks: int | None) -> None:
        self.count = 1 if ntasks is None else ntasks
        self.decided = ntasks is not None
        self.seen: set[int] = set()
        self._grew = self._rest = False

    def add(self, ranks: str) -> None:
        if ranks == "*":
            self.decided = self._rest = True
            self.seen |= set(range(self.count))
            return
        for low, high in _ranges(ranks):
            if self._rest:
                raise MultiProgError("Task range specification with asterisk must be last")
            self._add(low, high)

    def _add(self, low: int, high: int) -> None:
        if low > high:
            raise MultiProgError(f"Invalid task range, {low}-{high}")
        if low < 0:
            raise MultiProgError(f"Invalid task id, {low} < 0")
        if high >= self.count:
            if self.decided and not self._grew:
                raise MultiProgError(f"Invalid task id, {high} >= ntasks")
            self.count, self.decided, self._grew = high + 1, True, True
        for rank in range(low, high + 1):
            if rank in self.seen:
                raise MultiProgError(f"Duplicate record for task {rank}")
            self.seen.add(rank)


def _ranges(text: str) -> Iterable[tuple[int, int]]:
    for part in filter(None, text.split(",")):
        low, dash, high = re.fullmatch(r"([0-9]*)(-?)(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        if not dash and high:
            raise MultiProgError(f"Invalid task range specification ({part})")
        if high and not high.isdecimal():
            raise MultiProgError("Invalid task range specification")
        first = _int(low) if low else -_int(high)
        yield first, _int(high) if dash else first


def _int(text: str) -> int:
    """As C's atoi: larger numbers wrap around."""
    number = int(text or 0) % _INT
    return number - _INT if number >= _INT // 2 else number


def _logical_lines(text: str) -> Iterable[tuple[int, str]]:
    """Lines with their numbers; one that ends in a backslash goes on in the next one."""
    whole, first = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        first = first if whole else number
        whole += line
        if line.endswith("\\"):
            whole += "\n"
            continue
        yield first, whole
        whole = ""
    if whole:
        yield first, whole


def _words(text: str, rank: int, offset: int) -> tuple[str, ...]:
    """The arguments: single quotes and backslashes protect, ``%t`` and ``%o`` are replaced, any other ``%`` takes the next letter along."""
    words: list[str] = []
    word: str | None = None
    quoted = False
    letters = iter(text)
    for letter in letters:
        if quoted:
            quoted = letter != "'"
            word = (word or "") + (letter if quoted else "")
        elif letter.isspace():
            if word is not None:
                words.append(word)
            word = None
        elif letter == "'":
            quoted, word = True, word or ""
        elif letter == "\\":
            following = next(letters, "")
            word = (word or "") + ("" if following == "\n" else following)
        elif letter == "%":
            word = (word or "") + {"t": str(rank), "o": str(offset)}.get(next(letters, ""), "")
        else:
            word = (word or "") + letter
    if quoted:
        return ()
    return tuple(words if word is None else [*words, word])
