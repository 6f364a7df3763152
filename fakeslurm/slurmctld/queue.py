"""The jobs of one partition that could start now, highest priority first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

__all__ = ["Queue"]

_Key = tuple[int, tuple[int, int, int], int]
_COMPACT_AFTER = 64


class Queue:
    """Job ids ordered by priority (highest first), then by their turn. Adding at the end and removing anywhere cost little."""

    def __init__(self) -> None:
        self._keys: list[_Key] = []
        self._members: dict[int, _Key] = {}
        self._start = 0
        """Everything before this place has been removed."""

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._members

    def __iter__(self) -> Iterator[_Key]:
        """(-priority, turn, job id), in order. Jobs may be removed on the way."""
        keys = self._keys
        for place in range(self._start, len(keys)):
            if self._members.get(keys[place][-1]) == keys[place]:
                yield keys[place]

    def add(self, job_id: int, priority: int, turn: tuple[int, int, int]) -> None:
        """`turn`: `Job.turn`."""
        key = self._members[job_id] = (-priority, turn, job_id)
        place = bisect_left(self._keys, key, lo=self._start)
        if self._keys[place : place + 1] != [key]:  # it may still be there, from before it was removed
            self._keys.insert(place, key)

    def remove(self, job_id: int) -> None:
        del self._members[job_id]
        keys, members = self._keys, self._members
        while self._start < len(keys) and members.get(keys[self._start][-1]) != keys[self._start]:
            self._start += 1
        if len(keys) > _COMPACT_AFTER and len(keys) > 2 * len(members):
            self._keys = [key for key in keys if members.get(key[-1]) == key]
            self._start = 0

    @property
    def head(self) -> int | None:
        """The job to be served first."""
        return next((job_id for _, _, job_id in self), None)
