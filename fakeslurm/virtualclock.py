"""`VirtualClock`: time that stands still until somebody waits for it.

Threads that wait by the clock are of two kinds. *Members* are those that the clock has made (`VirtualClock.thread`: the fake's timer,
slurmkit's pollers) and those inside `VirtualClock.participate`; exactly one of them runs at a time, in an order that depends on nothing
but what they do. *Guests* are all others, such as the thread of a test: they count while they wait, and run freely otherwise.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from fakeslurm.clientclock import Skew
from fakeslurm.turns import LOOK, Member, Turns, Waiter

__all__ = ["VirtualClock", "frozen_time"]

log = logging.getLogger("fakeslurm.clock")

_START = datetime(2030, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A clock that is at `start` (epoch seconds, or an aware datetime; default: 2030-01-01 UTC) and moves only

    - by `advance` and `FakeSlurm.run_until`, or
    - with `autojump`, to the next deadline when every thread that takes part waits, one of them not in the background, and no process of a job
      runs on the machine.

    Raises TypeError for a `start` that is neither, ValueError for a naive datetime.
    """

    def __init__(self, start: float | datetime | None = None, *, autojump: bool = True) -> None:
        self._turns = Turns(_epoch(start), autojump)
        self._mutex = threading.Lock()
        """Held for every use of `_turns`."""
        self._local = threading.local()
        self._listeners: list[Callable[[float], None]] = []

    def __repr__(self) -> str:
        return f"<VirtualClock {datetime.fromtimestamp(self.time(), UTC).isoformat(timespec='milliseconds')}>"

    # What a Clock is

    def time(self) -> float:
        return self._turns.now

    def monotonic(self) -> float:
        return self._turns.now

    @property
    def autojump(self) -> bool:
        """Whether it jumps by itself."""
        return self._turns.autojump

    @autojump.setter
    def autojump(self, value: bool) -> None:
        self._turns.autojump = value

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
        member = Member(background=False)
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
            self._turns.moving(number)
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
            self._turns.disturbed(time.monotonic(), stands_still=stands_still)

    def processes(self, number: int) -> None:
        """So many more (or fewer) processes run of which nobody knows how long they take."""
        with self._mutex:
            self._turns.processes(number)
            self._schedule()

    # Members

    @property
    def _member(self) -> Member | None:
        member: Member | None = getattr(self._local, "member", None)
        return member

    def _become(self, member: Member) -> None:
        """Make the current thread a member; returns when it is its turn."""
        self._wait_for_turn(self._line_up(member))
        self._local.member = member

    def _line_up(self, member: Member) -> Waiter:
        waiter = Waiter(member)
        with self._mutex:
            self._turns.line_up(waiter)
        return waiter

    def _leave(self, member: Member) -> None:
        self._local.member = None
        with self._mutex:
            self._turns.rests(member)
            self._schedule()

    # Waiting

    def _enter(self, timeout: float | None, drives: bool) -> Waiter:
        waiter = Waiter(self._member, drives=drives)
        with self._mutex:
            self._turns.wait(waiter, timeout)
        return waiter

    def _wait(self, waiter: Waiter, real_timeout: float | None) -> None:
        """Let the others go on until it is this one's turn, or until so many seconds of real time have passed."""
        if waiter.member is not None:
            with self._mutex:
                self._turns.rests(waiter.member)
        self._wait_for_turn(waiter, real_timeout)

    def _wait_for_turn(self, waiter: Waiter, real_timeout: float | None = None) -> None:
        real_deadline = None if real_timeout is None else time.monotonic() + real_timeout
        works: bool = getattr(self._local, "works", False)
        watches = waiter.member is None or not waiter.member.background
        try:
            with self._mutex:
                self._turns.moving(-works)
                self._schedule()
            while not waiter.gate.acquire(timeout=LOOK if watches or real_deadline is not None else -1):
                with self._mutex:
                    is_up = real_deadline is not None and time.monotonic() >= real_deadline
                    if is_up and self._turns.wake_at_once(waiter):
                        waiter.gate.release()
                    self._schedule()
        except BaseException:  # a KeyboardInterrupt in the test's thread
            with self._mutex:
                self._turns.torn_out(waiter)
                self._schedule()
            raise
        finally:
            with self._mutex:
                self._turns.moving(works)

    def _notify(self, waiters: list[Waiter]) -> None:
        with self._mutex:
            for waiter in waiters:
                if not waiter.is_ready:
                    waiter.notified = True
                    self._turns.wake(waiter)
            self._schedule()

    def _schedule(self) -> None:
        """Have it decided who goes on, and carry that out."""
        for guest in self._turns.away:
            if not guest.is_alive():
                self._turns.gone(guest)
        decision = self._turns.decide(time.monotonic())
        for now in decision.jumps:
            for listener in self._listeners:
                listener(now)
        if decision.stalled:
            log.warning(
                "a thread that waits by this clock has kept all others from running for a second: it may need a lock of theirs"
            )
        for waiter in decision.let_go:
            waiter.gate.release()


class _Condition(threading.Condition):
    """A condition that tells the clock who waits on it and who is woken."""

    def __init__(self, clock: VirtualClock) -> None:
        self._rlock: Any = threading.RLock()
        super().__init__(self._rlock)
        self._clock = clock
        self._here: deque[Waiter] = deque()

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
        if not self._here:
            return
        woken = [self._here.popleft() for _ in range(min(n, len(self._here)))]
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
        self._its_member = Member(background)
        self._turn: Waiter | None = None
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
def frozen_time(clock: VirtualClock, skew: Skew) -> Iterator[None]:
    """Inside, the time of this process, the client's, is that of `clock` but for the `skew`: a freezegun that moves with them."""
    from freezegun import freeze_time

    # This module has to know how much real time passes, and pytest how long a test takes.
    zone = datetime.fromtimestamp(clock.time(), UTC).astimezone().utcoffset()
    with freeze_time(
        _naive(clock.time() - skew.seconds), tz_offset=zone or timedelta(), ignore=[__name__, "_pytest.timing"]
    ) as frozen:

        def move(now: float) -> None:
            frozen.move_to(_naive(now - skew.seconds))

        ends = [clock.on_jump(move), skew.on_change(lambda: move(clock.time()))]
        try:
            yield
        finally:
            for end in ends:
                end()


def _naive(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
