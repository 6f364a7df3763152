"""`VirtualClock`: time that stands still until somebody waits for it.

Threads that wait by the clock are of two kinds. *Members* are those that the clock has made (`VirtualClock.thread`: the fake's timer,
slurmkit's pollers) and those inside `VirtualClock.participate`; exactly one of them runs at a time, in an order that depends on nothing
but what they do. *Guests* are all others, such as the thread of a test: they count while they wait, and run freely otherwise.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field

__all__ = ["VirtualClock", "frozen_time"]

log = logging.getLogger("fakeslurm.clock")

_START = datetime(2030, 1, 1, tzinfo=UTC)
_LOOK = 0.02
"""Real seconds after which a guest that waits looks whether it is the one to move time."""
_AWAY = 0.1
"""Real seconds for which a guest that has just been woken, and runs, holds up time for the others."""
_QUIET = 0.1
"""Real seconds that processes have after each event, before time is advanced while they run."""
_STALLED = 1.0
"""Real seconds after which a member that neither waits nor ends, as it needs a lock of another one, no longer keeps that one from running."""


@define(eq=False)
class _Member:
    background: bool
    since: float = 0.0
    """When it was let run, in real time."""


def _closed() -> threading.Lock:
    gate = threading.Lock()
    gate.acquire()
    return gate


@define(eq=False)
class _Waiter:
    """One call of `wait`. `gate` is closed until the thread may go on."""

    member: _Member | None
    deadline: float | None
    drives: bool = False
    notified: bool = False
    is_ready: bool = False
    thread: threading.Thread = field(factory=threading.current_thread)
    gate: threading.Lock = field(factory=_closed)

    @property
    def is_background(self) -> bool:
        return self.member is not None and self.member.background


class VirtualClock:
    """A clock that is at `start` (epoch seconds, or an aware datetime; default: 2030-01-01 UTC) and moves only

    - by `advance` and `FakeSlurm.run_until`, or
    - with `autojump`, to the next deadline when every thread that takes part waits, one of them not in the background, and no process of a job
      runs on the machine.

    Raises TypeError for a `start` that is neither, ValueError for a naive datetime.
    """

    def __init__(self, start: float | datetime | None = None, *, autojump: bool = True) -> None:
        self._now = _epoch(start)
        self.autojump = autojump
        self._mutex = threading.Lock()
        self._orders = itertools.count()
        self._local = threading.local()
        self._waiters: set[_Waiter] = set()
        """All that wait and have not been woken."""
        self._deadlines: list[tuple[float, int, _Waiter]] = []
        self._ready: deque[_Waiter] = deque()
        """Members that may go on, when it is their turn."""
        self._guests: deque[_Waiter] = deque()
        """Guests that may go on; they are let go when no member is ready."""
        self._running: set[_Member] = set()
        self._away: dict[threading.Thread, float] = {}
        """Guests that were woken and have not waited again, and since when in real time."""
        self._moving = 0
        self._processes = 0
        self._quiet_from = self._jumps_from = 0.0
        self._listeners: list[Callable[[float], None]] = []

    def __repr__(self) -> str:
        return f"<VirtualClock {datetime.fromtimestamp(self._now, UTC).isoformat(timespec='milliseconds')}>"

    # What a Clock is

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        if not isinstance(condition, _Condition):
            raise TypeError(
                f"a condition to wait on by a VirtualClock comes from VirtualClock.condition(), not {condition!r}"
            )
        return condition.wait(timeout)

    def condition(self) -> threading.Condition:
        """A condition whose `wait` waits by this clock."""
        return _Condition(self)

    def thread(self, target: Callable[[], object], *, name: str, background: bool = False) -> threading.Thread:
        """A member, not started; a daemon. Its `join` waits by this clock, but for no longer than `timeout` seconds of real time."""
        return _Thread(self, target, name, background)

    # Moving it

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass: everything that is due in them happens in its order, and is finished when this returns.

        Time passes also while processes of jobs run. Raises ValueError when `seconds` is negative: there is no way back.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds is {seconds!r}; valid: 0 or more, as time does not go back")
        nobody = _Condition(self)
        with nobody:
            nobody.wait(seconds, drives=True)

    @contextlib.contextmanager
    def participate(self) -> Iterator[None]:
        """Inside, this thread is a member: while it runs no other member does, so that all that happens has one order."""
        if self._member is not None:
            yield
            return
        member = _Member(background=False)
        self._become(member)
        try:
            yield
        finally:
            self._leave(member)

    @contextlib.contextmanager
    def jumping(self) -> Iterator[None]:
        """Inside, the clock jumps by itself, whether it has `autojump` or not."""
        before, self.autojump = self.autojump, True
        try:
            yield
        finally:
            self.autojump = before

    def on_jump(self, listener: Callable[[float], None]) -> Callable[[], None]:
        """Have `listener` called with the new time whenever it has moved; call what is returned to end that. It must not wait."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # What keeps it from moving

    def moving(self, number: int) -> None:
        """So many more (or fewer) things are under way on the machine that take next to no time, such as the start of a process."""
        with self._mutex:
            self._moving += number
            self._schedule()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Inside, time does not move while this thread runs, but while it waits."""
        self._local.works = True
        self.moving(1)
        try:
            yield
        finally:
            self._local.works = False
            self.moving(-1)

    def disturbed(self, *, stands_still: bool = False) -> None:
        """Processes have begun or ended something: they have a moment of real time for what comes next, also while time is advanced.

        `stands_still`: also where none counts as running, as those that were sent a signal may die of it, and a script that has put one
        ``sleep`` in the background may be about to do more.
        """
        with self._mutex:
            self._quiet_from = time.monotonic() + _QUIET
            if stands_still:
                self._jumps_from = self._quiet_from

    def processes(self, number: int) -> None:
        """So many more (or fewer) processes run of which nobody knows how long they take."""
        with self._mutex:
            self._processes += number
            self._schedule()

    # Members

    @property
    def _member(self) -> _Member | None:
        member: _Member | None = getattr(self._local, "member", None)
        return member

    def _become(self, member: _Member) -> None:
        """Make the current thread a member; returns when it is its turn."""
        self._wait_for_turn(self._line_up(member))
        self._local.member = member

    def _line_up(self, member: _Member) -> _Waiter:
        waiter = _Waiter(member, None, is_ready=True)
        with self._mutex:
            self._ready.append(waiter)
        return waiter

    def _leave(self, member: _Member) -> None:
        self._local.member = None
        with self._mutex:
            self._running.discard(member)
            self._schedule()

    # Waiting

    def _enter(self, timeout: float | None, drives: bool) -> _Waiter:
        deadline = None if timeout is None else self._now + max(timeout, 0.0)
        waiter = _Waiter(self._member, deadline, drives)
        with self._mutex:
            self._waiters.add(waiter)
            self._away.pop(waiter.thread, None)
            if deadline is not None:
                heapq.heappush(self._deadlines, (deadline, next(self._orders), waiter))
        return waiter

    def _wait(self, waiter: _Waiter, real_timeout: float | None) -> None:
        """Let the others go on until it is this one's turn, or until so many seconds of real time have passed."""
        if waiter.member is not None:
            with self._mutex:
                self._running.discard(waiter.member)
        self._wait_for_turn(waiter, real_timeout)

    def _wait_for_turn(self, waiter: _Waiter, real_timeout: float | None = None) -> None:
        real_deadline = None if real_timeout is None else time.monotonic() + real_timeout
        works: bool = getattr(self._local, "works", False)
        try:
            with self._mutex:
                self._moving -= works
                self._schedule()
            watches = waiter.member is None or not waiter.member.background
            while not waiter.gate.acquire(timeout=_LOOK if watches or real_deadline is not None else -1):
                with self._mutex:
                    if real_deadline is not None and time.monotonic() >= real_deadline:
                        self._wake(waiter)
                        if waiter in self._guests:
                            self._guests.remove(waiter)
                            waiter.gate.release()
                    self._schedule()
        except BaseException:  # a KeyboardInterrupt in the test's thread, which goes on whoever's turn it is
            with self._mutex:
                self._waiters.discard(waiter)
                for line in (self._ready, self._guests):
                    if waiter in line:
                        line.remove(waiter)
                if waiter.member is not None:
                    self._running.add(waiter.member)
                self._schedule()
            raise
        finally:
            with self._mutex:
                self._moving += works

    def _notify(self, waiters: list[_Waiter]) -> None:
        with self._mutex:
            for waiter in waiters:
                if not waiter.is_ready:
                    waiter.notified = True
                    self._wake(waiter)
            self._schedule()

    def _wake(self, waiter: _Waiter) -> None:
        """It may go on when it is its turn."""
        if not waiter.is_ready:
            waiter.is_ready = True
            self._waiters.discard(waiter)
            (self._guests if waiter.member is None else self._ready).append(waiter)

    def _schedule(self) -> None:
        """Let the next one go on, if none runs; move time, if nobody can."""
        while True:
            now = time.monotonic()
            for member in self._running:
                if now - member.since < _STALLED:
                    return
            if self._ready:
                if self._running:
                    log.warning(
                        "a thread that waits by this clock has kept all others from running for a second: it may need a lock of theirs"
                    )
                waiter = self._ready.popleft()
                assert waiter.member is not None
                waiter.member.since = now
                self._running.add(waiter.member)
                waiter.gate.release()
                return
            if self._running:
                return
            if self._guests:
                for guest in self._guests:
                    self._away[guest.thread] = now
                    guest.gate.release()
                self._guests.clear()
                return
            if not self._jump(now):
                return

    def _jump(self, now: float) -> bool:
        """Go to the next deadline, if time may pass."""
        while self._deadlines and self._deadlines[0][2].is_ready:
            heapq.heappop(self._deadlines)
        if not self._deadlines or self._moving or not self._may_pass(now):
            return False
        self._now = max(self._now, self._deadlines[0][0])
        for listener in self._listeners:
            listener(self._now)
        while self._deadlines and self._deadlines[0][0] <= self._now:
            self._wake(heapq.heappop(self._deadlines)[2])
        return True

    def _may_pass(self, now: float) -> bool:
        self._away = {guest: since for guest, since in self._away.items() if guest.is_alive() and now - since < _AWAY}
        if self._away or now < self._jumps_from:
            return False
        if any(waiter.drives for waiter in self._waiters):
            return not self._processes or now >= self._quiet_from
        return self.autojump and not self._processes and any(not waiter.is_background for waiter in self._waiters)


class _Condition(threading.Condition):
    """A condition that tells the clock who waits on it and who is woken."""

    def __init__(self, clock: VirtualClock) -> None:
        self._rlock: Any = threading.RLock()
        super().__init__(self._rlock)
        self._clock = clock
        self._here: deque[_Waiter] = deque()

    def wait(self, timeout: float | None = None, *, drives: bool = False, real_timeout: float | None = None) -> bool:
        self._check("wait on")
        waiter = self._clock._enter(timeout, drives)
        self._here.append(waiter)
        saved = self._rlock._release_save()  # however often it was acquired, as in threading.Condition
        try:
            self._clock._wait(waiter, real_timeout)
        finally:
            self._rlock._acquire_restore(saved)
            with contextlib.suppress(ValueError):  # it was notified
                self._here.remove(waiter)
        return waiter.notified

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        until = None if timeout is None else self._clock.monotonic() + timeout
        while not (value := predicate()):
            left = None if until is None else until - self._clock.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return value

    def notify(self, n: int = 1) -> None:
        self._check("notify on")
        woken = [self._here.popleft() for _ in range(min(n, len(self._here)))]
        if woken:
            self._clock._notify(woken)

    def notify_all(self) -> None:
        self.notify(len(self._here))

    def _check(self, what: str) -> None:
        if not self._rlock._is_owned():
            raise RuntimeError(f"cannot {what} a condition that is not held")


class _Thread(threading.Thread):
    """A member from its start to its end."""

    def __init__(self, clock: VirtualClock, target: Callable[[], object], name: str, background: bool) -> None:
        super().__init__(name=name, daemon=True)
        self._clock = clock
        self._work = target
        self._its_member = _Member(background)
        self._turn: _Waiter | None = None
        self._over = _Condition(clock)
        self._is_over = False

    def start(self) -> None:
        self._turn = self._clock._line_up(self._its_member)  # here, so that the order of starts is that of the threads
        super().start()

    def run(self) -> None:
        assert self._turn is not None
        self._clock._wait_for_turn(self._turn)
        self._clock._local.member = self._its_member
        try:
            self._work()
        finally:
            with self._over:
                self._is_over = True
                self._over.notify_all()
            self._clock._leave(self._its_member)

    def join(self, timeout: float | None = None) -> None:
        if self.ident is None:
            raise RuntimeError("cannot join a thread that was not started")
        until = None if timeout is None else time.monotonic() + timeout
        with self._over:
            while not self._is_over:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._over.wait(real_timeout=left)
        super().join(timeout)


def _epoch(start: float | datetime | None) -> float:
    if start is None:
        return _START.timestamp()
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise ValueError(f"start is the naive datetime {start!r}; valid: one with a time zone, or epoch seconds")
        return start.timestamp()
    if isinstance(start, bool) or not isinstance(start, int | float):
        raise TypeError(f"start is {start!r}; valid: epoch seconds, or a datetime with a time zone")
    return float(start)


@contextlib.contextmanager
def frozen_time(clock: VirtualClock) -> Iterator[None]:
    """Inside, the time of this process is that of `clock`: a freezegun that moves with it."""
    from freezegun import freeze_time

    # This module has to know how much real time passes, and pytest how long a test takes.
    zone = datetime.fromtimestamp(clock.time(), UTC).astimezone().utcoffset()
    with freeze_time(
        _naive(clock.time()), tz_offset=zone or timedelta(), ignore=[__name__, "_pytest.timing"]
    ) as frozen:
        end = clock.on_jump(lambda now: frozen.move_to(_naive(now)))
        try:
            yield
        finally:
            end()


def _naive(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
