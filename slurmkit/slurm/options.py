"""sbatch's long options as keyword arguments: checked when they are given, rendered as ``#SBATCH`` lines.

The promise: the text of an option arrives at Slurm as it was given, or is refused with an `OptionError` that says why.
"""

from __future__ import annotations

import os
import re

from slurmkit.refusal import option_error
from slurmkit.slurm.option_table import OPTIONS, Kind, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from slurmkit.errors import OptionError

__all__ = ["OPTIONS", "Kind", "Option", "filename_pattern", "normalize", "render_directives"]

MAX_NUMBER = 2**31 - 3
"""The largest number that no release of sbatch wraps around or takes for "not set"."""

# Compiled where they are needed: a job that imports its task needs few of them, in every rank.
_MEMORY = r"[0-9]{1,18}(?:[KMGT]B?)?"
_NODES = r"([0-9]{1,9})([km]?)(?:-([0-9]{1,9})([km]?))?"
_SIZES = r"[0-9]{1,9}(?:-[0-9]{1,9}(?::[0-9]{1,9})?)?(?:,[0-9]{1,9}(?:-[0-9]{1,9}(?::[0-9]{1,9})?)?)*"
_LETTERS = re.ASCII | re.IGNORECASE
_UNIT = {"": 1, "k": 1 << 10, "m": 1 << 20}


def normalize(options: Mapping[str, object], *, where: str) -> dict[str, str | Literal[True]]:
    """The options as text, or True for a flag, in the order given; an option that is None is left out.

    `where` says whose options these are (``"@task train"``) and begins every error message. Raises `OptionError` for an
    unknown option (it names the closest one), a value of the wrong type or form (it says what is valid), an option that
    slurmkit sets itself, and text that no batch script can carry.
    """
    normal: dict[str, str | Literal[True]] = {}
    for name, value in options.items():
        option = _lookup(name, where)
        if value is None:
            continue
        if option.reserved:
            raise option_error(f"{where}: option {name!r} cannot be set: {option.reserved}")
        if isinstance(value, bool):
            chosen, text = _boolean(option, value, where)
        else:
            chosen, text = name, _text(option, value, where)
        if text is None:
            continue
        if OPTIONS[chosen].opposite in normal:
            raise option_error(f"{where}: option {name!r} is {value!r} and contradicts {OPTIONS[chosen].opposite!r}")
        normal[chosen] = text
    return normal


def render_directives(options: Mapping[str, str | Literal[True]]) -> list[str]:
    """One ``#SBATCH --name=value`` line per option, of what `normalize` returned or of options that slurmkit sets itself."""
    from slurmkit.slurm.directives import DirectiveError, quote

    lines: list[str] = []
    for name, value in options.items():
        option = _lookup(name, "batch script")
        if value is True:
            lines.append(f"#SBATCH {option.flag}")
            continue
        try:
            lines.append(f"#SBATCH {option.flag}={quote(value)}")
        except DirectiveError:
            raise _unrepresentable(option, value, "batch script") from None
    return lines


def filename_pattern(path: str) -> str:
    """`path` as the value of output or error that names just this file.

    Slurm replaces ``%j`` and the like, unless there is a backslash anywhere: then it replaces nothing and takes a backslash
    away before each character (measured on 22.05.8).
    """
    return path.replace("\\", "\\\\") if "\\" in path else path.replace("%", "%%")


def _lookup(name: str, where: str) -> Option:
    option = OPTIONS.get(name)
    if option is not None:
        return option
    usable = [known for known in OPTIONS if not OPTIONS[known].reserved]
    from difflib import get_close_matches

    close = get_close_matches(str(name).lower().replace("-", "_").strip("_"), usable, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}?" if close else "valid are sbatch's long options, with underscores for dashes"
    raise option_error(f"{where}: unknown option {name!r}; {hint}")


def _boolean(option: Option, value: bool, where: str) -> tuple[str, str | Literal[True] | None]:
    false, true = option.booleans
    if value and true:
        return option.name, true
    if value and (option.optional or option.kind is Kind.FLAG):
        return option.name, True
    if not value and false:
        return option.name, false
    if not value and option.opposite:
        return option.opposite, True
    if not value and (option.optional or option.kind is Kind.FLAG):
        return option.name, None
    raise _refuse(option, value, where)


def _text(option: Option, value: object, where: str) -> str:
    text = _plain(option, value, where)
    if not text.isprintable():
        from slurmkit.slurm.directives import is_representable

        if not is_representable(text):
            raise _unrepresentable(option, text, where)
    if not text:
        raise option_error(
            f"{where}: option {option.name!r} is empty; sbatch would ignore it, leave it out or give None"
        )
    if not _is_valid(option, text):
        raise _refuse(option, value, where)
    return text


def _plain(option: Option, value: object, where: str) -> str:
    """The text that a value of an allowed type stands for."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, os.PathLike) and option.kind in (Kind.TEXT, Kind.LIST):
        path = os.fspath(value)
        return path if isinstance(path, str) else os.fsdecode(path)
    if isinstance(value, list | tuple) and option.kind is Kind.LIST:
        items = [_plain(option, item, where) for item in value if not isinstance(item, list | tuple)]
        if len(items) == len(value) and all(item and "," not in item for item in items):
            return ",".join(items)
    text = _time(option, value, where)
    if text is None:
        raise _refuse(option, value, where)
    return text


def _time(option: Option, value: object, where: str) -> str | None:
    """The text that a timedelta or a datetime stands for."""
    from datetime import datetime, timedelta

    if isinstance(value, timedelta) and option.kind is Kind.LIMIT:
        from slurmkit.slurm.durations import DurationError, format_time_limit, parse_minutes

        try:
            return format_time_limit(parse_minutes(value))
        except DurationError:
            raise _refuse(option, value, where) from None
    if isinstance(value, timedelta) and option.kind is Kind.MOMENT and value >= timedelta(0):
        return f"now+{-(-value // timedelta(seconds=1))}"
    if isinstance(value, datetime) and option.kind is Kind.MOMENT:
        return value.astimezone().strftime("%Y-%m-%dT%H:%M:%S")
    return None


def _is_valid(option: Option, text: str) -> bool:
    match option.kind:
        case Kind.COUNT | Kind.NUMBER:
            return _is_whole(text) and (option.kind is Kind.COUNT) <= int(text) <= MAX_NUMBER
        case Kind.INTEGER:
            return _is_whole(text.removeprefix("-")) and abs(int(text)) <= MAX_NUMBER
        case Kind.MEMORY:
            return re.fullmatch(_MEMORY, text, _LETTERS) is not None
        case Kind.NODES:
            return _is_node_count(text)
        case Kind.CHOICE:
            return text.lower() in option.choices
        case Kind.LIMIT:
            return _is_limit(text)
        case Kind.FLAG:
            return False
        case _:
            return True


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10


def _is_limit(text: str) -> bool:
    from slurmkit.slurm.durations import DurationError, parse_minutes

    try:
        parse_minutes(text)
    except DurationError:
        return False
    return text == text.strip()


def _is_node_count(text: str) -> bool:
    match = re.fullmatch(_NODES, text, _LETTERS)
    if match is None:
        return re.fullmatch(_SIZES, text) is not None
    low = int(match[1]) * _UNIT[match[2].lower()]
    high = low if match[3] is None else int(match[3]) * _UNIT[match[4].lower()]
    return 1 <= low <= high <= MAX_NUMBER


def _unrepresentable(option: Option, text: str, where: str) -> OptionError:
    return option_error(
        f"{where}: option {option.name!r} is {text!r}: a batch script can carry no line break, NUL or lone surrogate"
    )


def _refuse(option: Option, value: object, where: str) -> OptionError:
    valid = option.kind.value
    if option.kind is Kind.CHOICE:
        valid = "one of " + ", ".join(repr(choice) for choice in option.choices)
    if option.optional or any(option.booleans):
        valid += ", or True or False"
    return option_error(f"{where}: option {option.name!r} is {value!r}; valid: {valid}")
