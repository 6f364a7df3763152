"""Time limits as Slurm's commands read them: `time_str2mins` of parse_time.c, whose seconds have 32 bits and wrap around (measured)."""

from __future__ import annotations

import re

__all__ = ["INFINITE", "NO_VAL", "is_negative", "minutes"]

INFINITE = 0xFFFFFFFF
NO_VAL = 0xFFFFFFFE

_WITH_DAYS = re.compile(r"(-[0-9]+)|([0-9]+)-(?:([0-9]+)(?::([0-9]+)(?::([0-9]+))?)?)?", re.ASCII)
"""What begins with a dash is a number of days, too."""
_WITHOUT_DAYS = re.compile(r"([0-9]+)(?::([0-9]+)(?::([0-9]+))?)?", re.ASCII)


def minutes(text: str) -> int:
    """The limit, rounded up to whole minutes: an unsigned number of 32 bits, `INFINITE` for none and `NO_VAL` for what is no limit."""
    if text == "-1" or text.upper() in ("INFINITE", "UNLIMITED"):
        return INFINITE
    if match := _WITH_DAYS.fullmatch(text):
        days, hours, sixtieths, seconds = (_int(match[place] or "0") for place in (2, 3, 4, 5))
        total = (days or _int(match[1] or "0")) * 86400 + hours * 3600 + sixtieths * 60 + seconds
    elif match := _WITHOUT_DAYS.fullmatch(text):
        first, second, third = (_int(match[place] or "0") for place in (1, 2, 3))
        total = first * 60 + second if match[3] is None else first * 3600 + second * 60 + third
    else:
        return NO_VAL
    total = _wrapped(total)
    if total % 2**32 in (INFINITE, NO_VAL):
        return total % 2**32
    upward = _wrapped(total + 59)
    return (upward // 60 if upward >= 0 else -(-upward // 60)) % 2**32


def is_negative(limit: int) -> bool:
    """Whether it is a negative number, which Slurm takes for one of thousands of years."""
    return 2**31 <= limit < NO_VAL


def _int(text: str) -> int:
    """As scanf's ``%d`` reads it: what 64 bits do not hold is the nearest that they do, of which the lowest 32 are taken."""
    return _wrapped(max(-(2**63), min(int(text), 2**63 - 1)))


def _wrapped(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31
