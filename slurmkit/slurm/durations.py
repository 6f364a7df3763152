"""Slurm's time formats: limits (minutes), elapsed times (seconds) and time stamps (local time)."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import NoReturn

MAX_MINUTES = 0x7FFFFFFF // 60 - 1
"""The longest limit: what is longer overflows 32 bits of seconds in Slurm 22.05 and becomes another limit, or none."""

_YEAR = 365 * 24 * 3600

_UNLIMITED = frozenset({"UNLIMITED", "INFINITE"})
# Compiled where they are needed: see `slurmkit.slurm.options`.
_LIMIT = (
    r"(?P<days>[0-9]+)-(?P<dhours>[0-9]+)(?::(?P<dminutes>[0-9]+)(?::(?P<dseconds>[0-9]+))?)?"
    r"|(?P<first>[0-9]+)(?::(?P<second>[0-9]+)(?::(?P<third>[0-9]+))?)?"
)
_ELAPSED = r"(?:(?:(?P<days>[0-9]+)-)?(?P<hours>[0-9]+):)?(?P<minutes>[0-9]+):(?P<seconds>[0-9]+)(?:\.[0-9]+)?"
_NO_TIME = frozenset({"", "UNKNOWN", "NONE", "N/A", "INVALID", "(NULL)", "NOTSET", "UNLIMITED"})


class DurationError(ValueError):
    """The value is no time of the expected kind; the message names it and the valid formats."""


def parse_minutes(value: str | int | timedelta) -> int | None:
    """A time limit as ``--time`` takes it, in minutes; seconds are rounded up to a minute; None is no limit, as is zero.

    Text: ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``, ``days-hours:minutes``,
    ``days-hours:minutes:seconds``, ``UNLIMITED``, ``INFINITE``. An int is minutes.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        from datetime import timedelta

        if not isinstance(value, timedelta):
            _refuse_limit(value)
        return _minutes(value, -(-value // timedelta(seconds=1)))
    if isinstance(value, int):
        return _minutes(value, value * 60)
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return _minutes(value, int(text) * 60)
    if text.upper() in _UNLIMITED:
        return None
    match = re.fullmatch(_LIMIT, text)
    if match is None:
        _refuse_limit(value)
    if match["days"] is not None:
        seconds = (int(match["days"]) * 24 + int(match["dhours"])) * 3600 + int(match["dminutes"] or 0) * 60
        return _minutes(value, seconds + int(match["dseconds"] or 0))
    first = int(match["first"])
    if match["third"] is not None:
        return _minutes(value, first * 3600 + int(match["second"]) * 60 + int(match["third"]))
    return _minutes(value, first * 60 + int(match["second"] or 0))


def _minutes(value: object, seconds: int) -> int | None:
    if seconds < 0 or seconds > MAX_MINUTES * 60:
        raise DurationError(f"invalid time limit {value!r}: valid are 1 to {MAX_MINUTES} minutes, or UNLIMITED")
    return -(-seconds // 60) or None


def _refuse_limit(value: object) -> NoReturn:
    raise DurationError(
        f"invalid time limit {value!r}: expected minutes, minutes:seconds, hours:minutes:seconds, days-hours, "
        "days-hours:minutes, days-hours:minutes:seconds, UNLIMITED, a number of minutes or a timedelta"
    )


def format_time_limit(minutes: int | None) -> str:
    """A limit as scontrol and sacct print it: ``01:30:00``, ``1-00:00:00``, ``UNLIMITED``."""
    return "UNLIMITED" if minutes is None else format_elapsed(minutes * 60)


def parse_elapsed(text: str) -> int:
    """Seconds of an elapsed time: squeue %M (``0:05``), sacct Elapsed and scontrol RunTime (``1-02:03:04``)."""
    match = re.fullmatch(_ELAPSED, text.strip())
    if match is None:
        raise DurationError(f"invalid elapsed time {text!r}: expected [[days-]hours:]minutes:seconds")
    hours = int(match["days"] or 0) * 24 + int(match["hours"] or 0)
    return hours * 3600 + int(match["minutes"]) * 60 + int(match["seconds"])


def format_elapsed(seconds: int) -> str:
    """``[D-]HH:MM:SS``, as scontrol and sacct print times."""
    days, hours, minutes, secs = _split(seconds)
    clock = f"{hours:02d}:{minutes:02d}:{secs:02d}"
    return f"{days}-{clock}" if days else clock


def format_squeue_elapsed(seconds: int) -> str:
    """``0:05``, ``1:02:03``, ``1-02:03:04``, as squeue prints times; ``INVALID`` above 365 days, as squeue 22.05 does."""
    if seconds > _YEAR:
        return "INVALID"
    days, hours, minutes, secs = _split(seconds)
    if days:
        return f"{days}-{hours:02d}:{minutes:02d}:{secs:02d}"
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


def _split(seconds: int) -> tuple[int, int, int, int]:
    if seconds < 0:
        raise DurationError(f"invalid elapsed time {seconds!r}: seconds are 0 or more")
    minutes, secs = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return days, hours, minutes, secs


def parse_timestamp(text: str) -> float | None:
    """Seconds since the epoch of ``2026-01-02T03:04:05`` in local time; None for Unknown, None, N/A and the like."""
    from datetime import datetime

    stripped = text.strip()
    if stripped.upper() in _NO_TIME:
        return None
    try:
        return datetime.strptime(stripped, "%Y-%m-%dT%H:%M:%S").timestamp()
    except (ValueError, OverflowError) as error:
        raise DurationError(f"invalid time stamp {text!r}: expected YYYY-MM-DDTHH:MM:SS or Unknown") from error


def format_timestamp(when: float | None) -> str:
    """``2026-01-02T03:04:05`` in local time, whole seconds; ``Unknown`` for None."""
    from datetime import datetime

    return "Unknown" if when is None else datetime.fromtimestamp(int(when)).strftime("%Y-%m-%dT%H:%M:%S")
