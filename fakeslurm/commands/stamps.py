"""Time stamps as the caller of a command reads them: in its time zone and its ``SLURM_TIME_FORMAT``.

Measured on Slurm 22.05.8; the names of the relative format are Slurm's (squeue.1, SLURM_TIME_FORMAT).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import define, field

__all__ = ["Stamps", "zone"]

STANDARD = "%Y-%m-%dT%H:%M:%S"


def zone(environ: Mapping[str, str]) -> tzinfo | None:
    """The caller's time zone; None is this process's local time. A TZ that nobody knows is UTC, as in the C library."""
    name = environ.get("TZ", "").removeprefix(":")
    if not name or name == os.environ.get("TZ", "").removeprefix(":") or name.startswith("/"):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


@define
class Stamps:
    """Formats epoch seconds (cut to whole ones). `complaint` is what the command says about a bad format, or empty."""

    program: str
    environ: Mapping[str, str]
    now: float
    complaint: str = field(init=False, default="")
    _zone: tzinfo | None = field(init=False)
    _format: str = field(init=False, default=STANDARD)
    _known: dict[int, str] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._zone = zone(self.environ)
        wanted = self.environ.get("SLURM_TIME_FORMAT", "")
        if wanted == "relative" or "%" in wanted:
            self._format = wanted
        elif wanted not in ("", "standard"):
            self.complaint = f"{self.program}: error: invalid SLURM_TIME_FORMAT = '{wanted}'\n"

    def __call__(self, when: float) -> str:
        second = int(when)
        text = self._known.get(second)
        if text is None:
            text = self._known[second] = self._text(second)
        return text

    def ctime(self) -> str:
        """Now, as the line above ``squeue --long`` has it: ``Mon Nov 23 20:50:41 2026``."""
        return self._local(int(self.now)).ctime()

    def _local(self, second: int) -> datetime:
        return datetime.fromtimestamp(second, self._zone)

    def _text(self, second: int) -> str:
        moment = self._local(second)
        if self._format == STANDARD:
            return moment.isoformat()[:19]  # strftime takes three times as long
        if self._format == "relative":
            return self._relative(moment)
        return moment.strftime(self._format.replace("%s", str(second)))

    def _relative(self, moment: datetime) -> str:
        today = self._local(int(self.now))
        days = (moment.date() - today.date()).days
        if days == 0:
            return moment.strftime("%H:%M:%S")
        if days == 1:
            return moment.strftime("Tomorr %H:%M")
        if days == -1:
            return moment.strftime("Ystday %H:%M")
        if 0 < days < 7:
            return moment.strftime("%a %H:%M")
        if moment.year == today.year:
            return moment.strftime(f"{moment.day} %b %H:%M")
        return moment.strftime(f"{moment.day} %b %Y")
