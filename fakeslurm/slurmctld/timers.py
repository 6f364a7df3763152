"""What is going to happen by itself, and when."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import ceil

__all__ = ["NEXT_PASS", "Timers", "next_scan"]

NEXT_PASS = 1.0
"""Seconds until Slurm looks for jobs to start at the latest, after one has ended (measured)."""
_Key = tuple[str, int]
_COMPACT_AFTER = 64


class Timers:
    """At most one time for each (what, job). Setting and clearing one costs the logarithm of their number."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Key]] = []
        self._live: dict[_Key, int] = {}
        self._count = 0

    def set(self, what: str, job_id: int, time: float) -> None:
        self._count += 1
        self._live[what, job_id] = self._count
        heappush(self._heap, (time, self._count, (what, job_id)))
        self._compact()

    def clear(self, what: str, job_id: int) -> None:
        if self._live.pop((what, job_id), None) is not None:
            self._compact()

    def _compact(self) -> None:
        """Drop what was cleared or set again, once that is the most of it."""
        if len(self._heap) > _COMPACT_AFTER and len(self._heap) > 2 * len(self._live):
            self._heap = [entry for entry in self._heap if self._live.get(entry[2]) == entry[1]]
            heapify(self._heap)

    def is_set(self, what: str, job_id: int) -> bool:
        return (what, job_id) in self._live

    def next(self) -> float | None:
        """The earliest time."""
        while self._heap and self._live.get(self._heap[0][2]) != self._heap[0][1]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> _Key | None:
        """The earliest that is due, in the order in which they were set when they are due at the same time."""
        time = self.next()
        if time is None or time > now:
            return None
        key = heappop(self._heap)[2]
        del self._live[key]
        return key


def next_scan(time: float, origin: float, period: float) -> float:
    """The first scan at or after `time`, of those that take place every `period` seconds from `origin` on."""
    if period <= 0:
        return time
    return origin + ceil((time - origin) / period) * period
