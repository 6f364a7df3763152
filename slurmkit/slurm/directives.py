r"""The ``#SBATCH`` lines of a batch script: how sbatch splits them, and how to write a value so that it survives that.

Measured on sbatch 22.05.8 and 24.11.5, which print what they find in a script under ``sbatch -vvvvv``:

- A line counts when it begins with ``#SBATCH`` (or ``#SLURM``) at its very first column. The first line that is neither blank
  nor a comment ends the search.
- Blanks separate arguments. Quotes, ``'`` and ``"`` alike, may begin anywhere in an argument and keep blanks and ``#``. A backslash
  makes the next character ordinary, inside either kind of quotes as well; before a blank outside quotes it does nothing
  in 22.05, and keeps a space (only that) in 24.11 (``escaped_space``).
- An unquoted ``#`` ends the line, also in the middle of an argument. So does an argument that is empty (``""``), and so does a bare
  ``hetjob`` or ``packjob``, which as first argument begins the next component of a heterogeneous job.
- An argument that begins with an unquoted ``:`` and a quote that is never closed are fatal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANKS = " \t\n\v\f\r"
_MAGIC = ("#SBATCH", "#SLURM")
_COMPONENT = re.compile(r"(?:hetjob|packjob)(?=[ \t\n\v\f\r]|$)")
_IMPOSSIBLE = re.compile(r"[\n\0\ud800-\udfff]")
_PLAIN = re.compile(r"[A-Za-z0-9_./,=@%+:*-]+", re.ASCII)


class DirectiveError(ValueError):
    """sbatch refuses the line; ``problem`` is what it says after ``FILE: line N:``, ``line`` counts from 1 (0: not known)."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)
        self.problem = problem
        self.line = line


def parse_directive(line: str, *, escaped_space: bool = False) -> list[str]:
    """The arguments that sbatch finds in one line; ``[]`` when the line is no directive. Raises `DirectiveError`."""
    rest = _rest(line)
    return [] if rest is None else _arguments(rest, escaped_space)


def parse_script(text: bytes, *, escaped_space: bool = False) -> list[str]:
    """The arguments of all directives of a script, in order: what sbatch puts before those of its command line.

    Of a heterogeneous job, those of the first component. Bytes that are not UTF-8 become surrogates, as in `sys.argv`.
    Raises `DirectiveError` with the number of the line.
    """
    return next(_components(text, escaped_space))


def parse_components(text: bytes, *, escaped_space: bool = False) -> list[list[str]]:
    """What `parse_script` gives, for each component of a heterogeneous job; a single one for any other."""
    return list(_components(text, escaped_space))


def _components(text: bytes, escaped_space: bool) -> Iterator[list[str]]:
    arguments: list[str] = []
    for number, line in enumerate(text.decode("utf-8", "surrogateescape").split("\n"), start=1):
        rest = _rest(line)
        if rest is None:
            if line.strip(_BLANKS) and not line.lstrip(_BLANKS).startswith("#"):
                break
            continue
        if _COMPONENT.match(rest):
            yield arguments
            arguments = []
            continue
        try:
            arguments.extend(_arguments(rest, escaped_space))
        except DirectiveError as error:
            raise DirectiveError(error.problem, number) from None
    yield arguments


def separators(text: bytes) -> list[str]:
    """What the lines of the script say that begin another component of a job: ``hetjob``, or ``packjob``, with all that follows."""
    found: list[str] = []
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        rest = _rest(line)
        if rest is None:
            if line.strip(_BLANKS) and not line.lstrip(_BLANKS).startswith("#"):
                break
        elif _COMPONENT.match(rest):
            found.append(rest.rstrip(_BLANKS))
    return found


def is_representable(value: str) -> bool:
    """Whether a directive can carry this text: no line break, no NUL, nothing that UTF-8 cannot encode."""
    return _IMPOSSIBLE.search(value) is None


def quote(value: str) -> str:
    """`value` as one argument, or part of one, of a directive. Raises `DirectiveError` for what no directive can carry."""
    if _PLAIN.fullmatch(value):
        return value
    if not is_representable(value):
        raise DirectiveError(
            f"no #SBATCH line can carry {value!r}: line breaks, NUL and lone surrogates are impossible"
        )
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _rest(line: str) -> str | None:
    """What follows the magic word, None when there is none."""
    for magic in _MAGIC:
        if line.startswith(magic):
            return line[len(magic) :].lstrip(_BLANKS)
    return None


def _arguments(rest: str, escaped_space: bool) -> list[str]:
    arguments: list[str] = []
    position = 0
    while True:
        argument, position = _argument(rest, position, escaped_space)
        if not argument:
            return arguments
        arguments.append(argument)


def _argument(text: str, start: int, escaped_space: bool) -> tuple[str, int]:
    """The argument that begins at `start`, and where the next one begins; the empty text when there is none."""
    position = start
    while position < len(text) and text[position] in _BLANKS:
        position += 1
    if text[position : position + 1] == ":":
        raise DirectiveError(f"Unexpected `:` in [{text[start:]}]")
    if _COMPONENT.match(text, position):
        return "", position
    chars: list[str] = []
    quoted = ""
    escaped = False
    while position < len(text):
        char = text[position]
        if char in _BLANKS and not quoted and not (escaped and escaped_space and char == " "):
            break
        if escaped:
            chars.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif quoted:
            if char == quoted:
                quoted = ""
            else:
                chars.append(char)
        elif char in "\"'":
            quoted = char
        elif char == "#":
            return "".join(chars), len(text)
        else:
            chars.append(char)
        position += 1
    if quoted:
        raise DirectiveError(f"Unmatched `{quoted}` in [{text[start:]}]")
    return "".join(chars), position
