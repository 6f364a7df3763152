"""Points in time as Slurm's commands take them: ``sacct --starttime``, ``sbatch --begin`` and the like.

The grammar is that of parse_time() (sacct.1, "Valid time formats"); accepted forms, their meaning and the position that
a complaint names were measured on Slurm 22.05.8 (``sacct -v`` prints the window it understood).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from attrs import define

__all__ = ["MomentError", "parse_moment"]

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_HOURS = {"midnight": 0, "noon": 12, "fika": 15, "teatime": 16}

_NOW = re.compile(r"now\s*", re.IGNORECASE)
_OFFSET = re.compile(r"([+-])\s*([0-9]*)\s*([A-Za-z]*)\s*")
_UTS = re.compile(r"uts([0-9]+)", re.IGNORECASE)
_WORD = re.compile(r"(today|tomorrow|midnight|noon|fika|teatime)", re.IGNORECASE)
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T?")
_SLASH = re.compile(r"([0-9]{1,2})([/.])([0-9]{1,2})(?:\2([0-9]{2}))?")
_PLAIN = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})?(?![0-9:])")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_HALF = re.compile(r"\s*([AP])M", re.IGNORECASE)


class MomentError(ValueError):
    """The text is no time; `position` (from 0) is where Slurm stops understanding it."""

    def __init__(self, text: str, position: int) -> None:
        super().__init__(f"Invalid time specification (pos={position}): {text}")
        self.position = position


@define
class _Reader:
    """Collects a date and a time of day from the pieces of a text."""

    text: str
    position: int = 0
    date: tuple[int | None, int, int] | None = None
    """Year (None: the one that fits), month, day."""
    clock: tuple[int, int, int] | None = None
    days: int = 0
    relative: bool = False
    """The day was given by a word."""

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def fail(self, position: int | None = None) -> MomentError:
        return MomentError(self.text, self.position if position is None else position)


def parse_moment(text: str, now: float, zone: tzinfo | None = None, *, past: bool) -> float:
    """Epoch seconds of `text`, whole ones; `zone` None is local time.

    What is incomplete is completed towards the past (sacct) or the future (``--begin``): a day without a year is in
    the last (next) twelve months, and for the future a time of day that has gone by is tomorrow's. Raises
    `MomentError`.
    """
    reader = _Reader(text)
    if reader.take(_NOW):
        return int(now) + _offset(reader)
    uts = reader.take(_UTS)
    if uts is not None:
        return int(uts[1])
    while reader.position < len(text):
        if text[reader.position] in " -\t\n" and reader.position:
            reader.position += 1
        elif not _word(reader) and not _date(reader):
            _clock(reader)
    return _assemble(reader, datetime.fromtimestamp(int(now), zone), past)


def _offset(reader: _Reader) -> int:
    if reader.position == len(reader.text):
        return 0
    start = reader.position
    match = reader.take(_OFFSET)
    if match is None or not match[2]:
        raise reader.fail(start)
    unit = match[3].lower().removesuffix("s") or "second"
    if unit not in _UNITS or reader.position != len(reader.text):
        raise reader.fail(match.start(2))
    return (1 if match[1] == "+" else -1) * int(match[2]) * _UNITS[unit]


def _word(reader: _Reader) -> bool:
    match = reader.take(_WORD)
    if match is None:
        return False
    word = match[1].lower()
    reader.relative = True
    if word in _HOURS:
        reader.clock = (_HOURS[word], 0, 0)
    elif word == "tomorrow":
        reader.days = 1
    return True


def _date(reader: _Reader) -> bool:
    start = reader.position
    iso = reader.take(_ISO)
    if iso is not None:
        year, month, day = (int(group) for group in iso.groups())
        reader.date = (year, month, day)
        month_at, day_at = iso.start(2), iso.start(3)
    else:
        slash = reader.take(_SLASH)
        match = slash or reader.take(_PLAIN)
        if match is None:
            return False
        month_at, day_at, year_at = (1, 3, 4) if slash else (1, 2, 3)
        month, day = int(match[month_at]), int(match[day_at])
        reader.date = (2000 + int(match[year_at]) if match[year_at] else None, month, day)
        month_at, day_at = match.start(month_at), match.start(day_at)
    if not 1 <= month <= 12:
        raise reader.fail(month_at)
    if not 1 <= day <= 31:
        raise reader.fail(day_at)
    if reader.position < len(reader.text) and reader.text[reader.position].isdigit() and iso is None:
        raise reader.fail(start if slash is None else reader.position)
    return True


def _clock(reader: _Reader) -> None:
    start = reader.position
    match = reader.take(_CLOCK)
    if match is None:
        digits = re.compile(r"[0-9]{0,2}(?::[0-9]?)?").match(reader.text, start)
        assert digits is not None
        raise reader.fail(start if re.match(r"[0-9]{3}|[0-9]+-", reader.text[start:]) else digits.end())
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    half = reader.take(_HALF)
    if half is not None:
        if not 1 <= hour <= 12:
            raise reader.fail(start)
        hour = hour % 12 + (12 if half[1].upper() == "P" else 0)
    if hour > 23:
        raise reader.fail(start)
    if minute > 59:
        raise reader.fail(match.start(2))
    if second > 59:
        raise reader.fail(match.start(3))
    reader.clock = (hour, minute, second)


def _assemble(reader: _Reader, today: datetime, past: bool) -> float:
    hour, minute, second = reader.clock or (0, 0, 0)
    midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
    if reader.date is None:
        day = midnight + timedelta(days=reader.days)
        moment = day.replace(hour=hour, minute=minute, second=second)
        if not past and moment < today and reader.days == 0 and not (reader.relative and reader.clock is None):
            moment += timedelta(days=1)
        return moment.timestamp()
    year, month, number = reader.date
    if year is None:
        year = today.year
        if past and (month, number) > (today.month, today.day):
            year -= 1
        if not past and (month, number) < (today.month, today.day):
            year += 1
    # Slurm leaves the days of a month to mktime(): 30 February is 2 March.
    first = midnight.replace(year=year, month=month, day=1, hour=hour, minute=minute, second=second)
    return (first + timedelta(days=number - 1)).timestamp()
