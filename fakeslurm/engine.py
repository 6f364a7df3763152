"""The engine: one controller, one lock, one thread, the timer, that wakes it when something is due.

Everything that happens goes through `change`: it takes the lock, tells the controller, carries out what it decides, and
wakes whoever waits.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from fakeslurm.clientclock import Skew
from fakeslurm.history import Recorder
from fakeslurm.home import Home
from fakeslurm.jobtime import JobTime
from fakeslurm.server import Handler
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmd import Slurmd
from fakeslurm.virtualclock import VirtualClock
from slurmkit.clock import Clock, condition, thread

__all__ = ["Engine"]

T = TypeVar("T")


class Engine:
    """Thread-safe. `condition` is notified after every change; its lock may be taken again by whoever holds it."""

    def __init__(self, controller: Controller, clock: Clock, handler: Handler, *, host: str, seed: int = 0) -> None:
        self.controller = controller
        self.clock = clock
        self.host = host
        self.condition = condition(clock)
        self.home = Home(handler)
        time = JobTime(clock if isinstance(clock, VirtualClock) else None, lambda: self.home.directory)
        self.slurmd = Slurmd(controller, self.home, self.report, host=host, now=self.now, later=self.at, time=time)
        self.recorder = Recorder(controller.take_touched)
        self.chance = random.Random(seed)
        """What the faults choose by."""
        self.skew = Skew()
        """Between the clocks of client and cluster."""
        self.closed = False
        self.revision = 0
        """Grows with everything that happens."""
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()
        self._latest = 0.0
        self._pending: deque[Callable[[float], None]] = deque()
        self._busy = False
        self._timer: threading.Thread | None = None
        self._alarm = condition(clock)
        """Held for a moment, and no other lock is taken under it."""
        self._alarm_at = -math.inf
        """When the timer looks next by itself, which it is about to do at -inf; it is not woken for what is due later than that."""
        self._rings = False

    def now(self) -> float:
        """The time; it does not go back even if the clock does, which the controller relies on."""
        time = self.clock.time()
        if time > self._latest:
            self._latest = time
        return self._latest

    def change(self, action: Callable[[float], T]) -> T:
        """Do something with the controller at this time, and all that follows from it. Raises what `action` raises."""
        with self.condition:
            try:
                return self.decide(action)
            finally:
                self.settle()

    def decide(self, action: Callable[[float], T]) -> T:
        """`change`, but what follows from it waits for `settle`, or for the next change of somebody else."""
        with self.condition:
            if self.closed:
                raise RuntimeError("this FakeSlurm is closed")
            self._start_timer()
            self._tick()
            return action(self.now())

    def settle(self) -> None:
        """Carry out what has been decided."""
        with self.condition:
            if not self.closed:
                self._settle()

    def ask(self, question: Callable[[float], T]) -> T:
        """`change` for what changes nothing: nobody is woken, unless something was due."""
        with self.condition:
            if self.closed:
                raise RuntimeError("this FakeSlurm is closed")
            if self._next_deadline() <= self.now():
                self._tick()
                self._settle()
            return question(self.now())

    def at(self, when: float, action: Callable[[float], None]) -> None:
        """Do something with the controller at this time, and all that follows from it. The engine is locked."""
        heapq.heappush(self._agenda, (when, next(self._numbers), action))

    def report(self, action: Callable[[float], None]) -> None:
        """`change` for what the nodes report: nobody waits for it, and after the end nobody listens.

        Called in the middle of a change, it happens after it.
        """
        with self.condition:
            if self.closed:
                return
            self._pending.append(action)
            if not self._busy:
                self._settle()

    def wait(self, condition: Callable[[float], T | None], timeout: float | None = None) -> T | None:
        """The first answer of `condition` that is not None; it is asked now and after every change, under the lock.

        None after `timeout` seconds without one, and when the engine is closed meanwhile.
        """
        with self.condition:
            deadline = None if timeout is None else self.clock.monotonic() + timeout
            while True:
                answer = condition(self.now())
                if answer is not None or self.closed:
                    return answer
                left = None if deadline is None else deadline - self.clock.monotonic()
                if left is not None and left <= 0:
                    return None
                self.clock.wait(self.condition, left)

    def notify(self) -> None:
        """Something has happened, which may be something that the controller does not know of: wake whoever waits."""
        with self.condition:
            self.revision += 1
            self.condition.notify_all()

    def close(self) -> None:
        """Stop: kill every process, answer nobody any more."""
        with self.condition:
            if self.closed:
                return
            self.closed = True
            self.notify()
            self._ring()
        self.slurmd.close()
        self.home.close()
        if self._timer is not None and self._timer is not threading.current_thread():
            self._timer.join()

    def _settle(self) -> None:
        """Carry out effects and reports until there are no more."""
        self._busy = True
        try:
            while True:
                for effect in self.controller.take_effects():
                    self.slurmd.carry_out(effect)
                if not self._pending:
                    break
                self._pending.popleft()(self.now())
        finally:
            self._busy = False
            self.recorder.note(self.now())
            self.notify()
            if self._alarm_at > -math.inf and self._next_deadline() < self._alarm_at:
                self._ring()

    def _next_deadline(self) -> float:
        earliest = self._agenda[0][0] if self._agenda else math.inf
        for when in (self.controller.next_deadline(), self.slurmd.next_deadline()):
            if when is not None and when < earliest:
                earliest = when
        return earliest

    def _tick(self) -> None:
        """What is due happens: first what the controller does, then the ends of what runs, which it hears of when all that is settled."""
        now = self.now()
        self.controller.tick(now)
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2](now)
        self.slurmd.tick(now)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = thread(self.clock, self._run, name="fakeslurm-timer", background=True)
            self._timer.start()

    def _run(self) -> None:
        while not self.closed:
            with self.condition:
                if self.closed:
                    return
                self._alarm_at = -math.inf
                if self._next_deadline() <= self.now():
                    self._tick()
                    self._settle()
                self._alarm_at = deadline = self._next_deadline()
            with self._alarm:
                while not self._rings and (left := deadline - self.clock.time()) > 0:
                    self.clock.wait(self._alarm, None if math.isinf(left) else left)
                self._rings = False

    def _ring(self) -> None:
        """Have the timer look now."""
        self._alarm_at = -math.inf
        with self._alarm:
            self._rings = True
            self._alarm.notify()
