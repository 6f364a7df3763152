"""Who of those that wait by a `VirtualClock` goes on next, and when time may move. Pure decisions: the thread of a waiter, its gate
and the machine's time are only carried along.

`real` is seconds of the machine's monotonic clock, everything else is virtual time.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Iterator

from attrs import define, field, frozen

__all__ = ["LOOK", "Decision", "Member", "Turns", "Waiter"]

LOOK = 0.02
"""Real seconds after which a guest that waits looks whether it is the one to move time."""
_AWAY = 0.1
"""Real seconds for which a guest that has just been woken, and runs, holds up time for the others."""
_QUIET = 0.1
"""Real seconds that processes have after each event, before time is advanced while they run."""
_STALLED = 1.0
"""Real seconds after which a member that neither waits nor ends, as it needs a lock of another one, no longer keeps that one from running."""


@define(eq=False)
class Member:
    background: bool
    since: float = 0.0
    """When it was let run, in real time."""


def _closed() -> threading.Lock:
    gate = threading.Lock()
    gate.acquire()
    return gate


@define(eq=False)
class Waiter:
    """Somebody waits, until `deadline` or until it is woken. Whoever carries out a `Decision` opens the `gate`."""

    member: Member | None
    """None for a guest."""
    thread: threading.Thread = field(factory=threading.current_thread)
    deadline: float | None = None
    drives: bool = False
    """It waits for time to pass: that is advanced while processes of jobs run, too."""
    notified: bool = False
    is_ready: bool = False
    gate: threading.Lock = field(factory=_closed)

    @property
    def is_background(self) -> bool:
        return self.member is not None and self.member.background


@frozen
class Decision:
    """What happens now, in this order."""

    jumps: tuple[float, ...] = ()
    """The times to which the clock has gone."""
    let_go: tuple[Waiter, ...] = ()
    """Who goes on."""
    stalled: bool = False
    """One of them goes on although a member runs that has not waited for a long time."""


_NOTHING = Decision()


@define(eq=False)
class Turns:
    """One member runs at a time, in the order in which they became ready; guests go on when no member is ready; then time moves."""

    now: float
    autojump: bool = True
    _orders: Iterator[int] = field(factory=itertools.count, init=False)
    _waiters: set[Waiter] = field(factory=set, init=False)
    """All that wait and have not been woken."""
    _deadlines: list[tuple[float, int, Waiter]] = field(factory=list, init=False)
    _ready: deque[Waiter] = field(factory=deque, init=False)
    """Members that may go on, when it is their turn."""
    _guests: deque[Waiter] = field(factory=deque, init=False)
    """Guests that may go on."""
    _running: set[Member] = field(factory=set, init=False)
    _away: dict[threading.Thread, float] = field(factory=dict, init=False)
    """Guests that were woken and have not waited again, and since when in real time."""
    _moving: int = field(default=0, init=False)
    _processes: int = field(default=0, init=False)
    _quiet_from: float = field(default=0.0, init=False)
    _jumps_from: float = field(default=0.0, init=False)

    # What it is told

    def line_up(self, waiter: Waiter) -> None:
        """A member wants to run."""
        waiter.is_ready = True
        self._ready.append(waiter)

    def wait(self, waiter: Waiter, timeout: float | None) -> None:
        """It is about to wait, for so many seconds or until it is woken; its member runs until `rests`."""
        self._waiters.add(waiter)
        self._away.pop(waiter.thread, None)
        if timeout is not None:
            waiter.deadline = self.now + max(timeout, 0.0)
            heapq.heappush(self._deadlines, (waiter.deadline, next(self._orders), waiter))

    def rests(self, member: Member) -> None:
        """It does not run any more: it waits, or has come to its end."""
        self._running.discard(member)

    def wake(self, waiter: Waiter) -> None:
        """It may go on when it is its turn."""
        if not waiter.is_ready:
            waiter.is_ready = True
            self._waiters.discard(waiter)
            (self._guests if waiter.member is None else self._ready).append(waiter)

    def wake_at_once(self, waiter: Waiter) -> bool:
        """Real time was up for it: a guest goes on whoever's turn it is. False when it goes on already, or is a member."""
        self.wake(waiter)
        if waiter not in self._guests:
            return False
        self._guests.remove(waiter)
        return True

    def torn_out(self, waiter: Waiter) -> None:
        """Its thread goes on whoever's turn it is, as it was interrupted."""
        self._waiters.discard(waiter)
        for line in (self._ready, self._guests):
            if waiter in line:
                line.remove(waiter)
        waiter.is_ready = True
        if waiter.member is not None:
            self._running.add(waiter.member)

    def gone(self, guest: threading.Thread) -> None:
        """It has ended."""
        self._away.pop(guest, None)

    def moving(self, number: int) -> None:
        """So many more (or fewer) things are under way that take next to no time."""
        self._moving += number

    def processes(self, number: int) -> None:
        """So many more (or fewer) processes run of which nobody knows how long they take."""
        self._processes += number

    def disturbed(self, real: float, *, stands_still: bool) -> None:
        """Processes have begun or ended something; `stands_still`: also where none counts as running."""
        self._quiet_from = real + _QUIET
        if stands_still:
            self._jumps_from = self._quiet_from

    @property
    def away(self) -> tuple[threading.Thread, ...]:
        """The guests that were woken a moment ago and run."""
        return tuple(self._away)

    # What it decides

    def decide(self, real: float) -> Decision:
        """Let the next one go on, if none runs; move time, if nobody can."""
        jumps: list[float] = []
        while True:
            if self._running and self._one_runs(real):
                break
            if self._ready:
                return self._next_member(real, jumps)
            if self._running:
                break
            if self._guests:
                return self._all_guests(real, jumps)
            if not self._jump(real):
                break
            jumps.append(self.now)
        return Decision(tuple(jumps)) if jumps else _NOTHING

    def _one_runs(self, real: float) -> bool:
        return any(real - member.since < _STALLED for member in self._running)

    def _next_member(self, real: float, jumps: list[float]) -> Decision:
        stalled = bool(self._running)
        waiter = self._ready.popleft()
        assert waiter.member is not None
        waiter.member.since = real
        self._running.add(waiter.member)
        return Decision(tuple(jumps), (waiter,), stalled)

    def _all_guests(self, real: float, jumps: list[float]) -> Decision:
        guests = tuple(self._guests)
        self._away.update((waiter.thread, real) for waiter in guests)
        self._guests.clear()
        return Decision(tuple(jumps), guests)

    def _jump(self, real: float) -> bool:
        """Go to the next deadline, if time may pass."""
        while self._deadlines and self._deadlines[0][2].is_ready:
            heapq.heappop(self._deadlines)
        if not self._deadlines or self._moving or not self._may_pass(real):
            return False
        self.now = max(self.now, self._deadlines[0][0])
        while self._deadlines and self._deadlines[0][0] <= self.now:
            self.wake(heapq.heappop(self._deadlines)[2])
        return True

    def _may_pass(self, real: float) -> bool:
        if real < self._jumps_from or any(real - since < _AWAY for since in self._away.values()):
            return False
        self._away.clear()
        if any(waiter.drives for waiter in self._waiters):
            return not self._processes or real >= self._quiet_from
        return self.autojump and not self._processes and any(not waiter.is_background for waiter in self._waiters)
