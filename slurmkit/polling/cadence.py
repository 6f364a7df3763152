"""When a callback hears of a job, and when a waiter asks: pure functions of the time and of what was observed.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

__all__ = ["Budget", "Cadence", "Observation", "Pace", "Rota", "Update", "backoff"]


@attrs.frozen
class Observation:
    """One look at one job. `attempt` counts requeues; a `newer` state of the same attempt follows an older one."""

    state: str
    is_terminal: bool
    attempt: int = 0


@attrs.frozen
class Update:
    """Subscriber number `subscriber` is to be told; `previous_state` is None at the first observation."""

    subscriber: int
    previous_state: str | None
    is_terminal: bool


class Cadence:
    """Who is told about which observation of one job.

    Two updates to one subscriber that are neither a transition nor terminal are at least its interval apart (P2); every observed transition
    reaches every subscriber at once (P3); the end of an attempt is told once, and nothing of that attempt after it (P4). A requeue is a
    new attempt, with which the stream goes on (P11).
    """

    __slots__ = ("_intervals", "_last", "_told")

    def __init__(self, intervals: Sequence[float]) -> None:
        self._intervals = tuple(intervals)
        self._told: list[float | None] = [None] * len(self._intervals)
        self._last: Observation | None = None

    @property
    def ended(self) -> bool:
        """True when the end of the latest attempt has been told."""
        return self._last is not None and self._last.is_terminal

    @property
    def next_tick(self) -> float | None:
        """When somebody may be due again: a shortest interval after the last call of any subscriber; None before the first."""
        told = [when for when in self._told if when is not None]
        return max(told) + min(self._intervals) if told else None

    def delivered(self, subscriber: int, now: float) -> None:
        """`subscriber` is called only now, because those before it took their time."""
        self._told[subscriber] = now

    def observe(self, observation: Observation, now: float) -> list[Update]:
        """The updates that `observation` gives rise to, in the subscribers' order."""
        last = self._last
        if last is not None and observation.attempt < last.attempt:
            return []  # a laggard's view of an attempt that is over
        if last is not None and last.is_terminal and observation.attempt == last.attempt:
            return []
        everyone = (
            last is None
            or observation.is_terminal
            or observation.state != last.state
            or observation.attempt != last.attempt
        )
        previous = None if last is None else last.state
        updates = []
        for number, interval in enumerate(self._intervals):
            told = self._told[number]
            if everyone or told is None or now - told >= interval:
                self._told[number] = now
                updates.append(Update(number, previous, observation.is_terminal))
        self._last = observation
        return updates


class Pace:
    """When somebody who waits for one job asks the scheduler, and how often he looks into the job directory.

    Without a sign from the job the time between two requests grows with the age of the wait, from `floor` to `ceiling` seconds. A sign (the
    runner has written that it is done) makes the next request due at once, and those after it soon, until the scheduler agrees.
    """

    def __init__(self, started: float, *, floor: float = 0.25, fraction: float = 0.1, ceiling: float = 60.0) -> None:
        self._started = started
        self._floor = floor
        self._fraction = fraction
        self._ceiling = ceiling
        self._due = started + floor
        self._burst: float | None = None
        self._news_since = started

    @property
    def due(self) -> float:
        """When the scheduler may be asked next."""
        return self._due

    def max_age(self, now: float) -> float:
        """How old an answer may be that somebody else has asked for: in a hurry no older than the sign, else half of the time since the
        latest one."""
        age = max(now - self._news_since, 0.0)
        return age if self._burst is not None else age / 2

    def asked(self, now: float, *, hurry: bool) -> None:
        """The scheduler was asked, and the job goes on. `hurry`: the scheduler can bear to be asked again soon."""
        usual = min(max(self._fraction * (now - self._started), self._floor), self._ceiling)
        self._news_since = now
        if self._burst is None:
            self._due = now + usual
        elif not hurry:
            self._due = now + min(usual, 1.0)
        else:
            self._due = now + min(self._burst, usual)
            self._burst = self._burst * 2 if self._burst < usual else None

    def signed(self, now: float, *, last: bool = True) -> None:
        """The job directory says that the runner is done, or the job was cancelled. `last`: no job is waited for that goes on."""
        self._due = now
        self._news_since = now
        self._burst = 0.01 if last else None

    def look_after(self, now: float) -> float:
        """Seconds until the job directory is worth another look."""
        return min(max(0.02 * (now - self._started), 0.005), 10.0)


class Budget:
    """How much of the scheduler's time may go into requests that are made in a hurry: a `share` of the time that passes, and up to `capacity`
    seconds of it in one go."""

    def __init__(self, *, capacity: float, share: float) -> None:
        self._capacity = capacity
        self._share = share
        self._left = capacity
        self._at: float | None = None

    def allows(self, now: float) -> bool:
        return self._refilled(now) > 0

    def spend(self, now: float, seconds: float) -> None:
        """A request has taken `seconds`."""
        self._left = self._refilled(now) - seconds
        self._at = now

    def _refilled(self, now: float) -> float:
        passed = 0.0 if self._at is None else now - self._at
        return min(self._left + self._share * passed, self._capacity)


def backoff(
    failures: int, uniform: Callable[[float, float], float], *, base: float = 1.0, ceiling: float = 60.0
) -> float:
    """Seconds to leave the scheduler alone after `failures` failed requests in a row; `uniform(a, b)` is the source of jitter."""
    return min(base * 2.0 ** min(failures - 1, 30), ceiling) * uniform(0.75, 1.25)


class Rota:
    """Whose turn it is, where not more than `most` can be served at a time: who has waited longest since he came or was served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: dict[str, None] = {}

    def next(self, waiting: Iterable[str]) -> list[str]:
        """Who of `waiting`, which are all that do, is served now."""
        names = dict.fromkeys(waiting)
        queue = {name: None for name in self._queue if name in names} | names
        chosen = list(queue)[: self._most]
        served = set(chosen)
        self._queue = {name: None for name in queue if name not in served} | dict.fromkeys(chosen)
        return chosen
