"""Time as a value that can be handed in: everything that waits or asks the time does it through a `Clock`.

A clock that has to know who waits (a virtual one) makes the conditions and threads that are used with it: `condition` and `thread`
ask it for them. For any other clock they are the standard library's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeGuard, runtime_checkable

__all__ = ["Clock", "Conductor", "SystemClock", "condition", "sleep", "thread"]


class Clock(Protocol):
    """What the library needs of time. All units are seconds."""

    def time(self) -> float:
        """Seconds since the epoch, for timestamps that a person or Slurm reads."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment, for intervals; never goes back."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on a `condition` that the caller holds; False when `timeout` seconds went by without a notification."""


@runtime_checkable
class Conductor(Protocol):
    """A clock that decides when its threads run; see `fakeslurm.VirtualClock`."""

    def condition(self) -> threading.Condition:
        """A condition for `Clock.wait`."""

    def thread(self, target: Callable[[], object], *, name: str, background: bool) -> threading.Thread:
        """A thread that has not been started. Time does not pass on behalf of those in the `background` alone."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return condition.wait(timeout)


def _conducts(clock: Clock) -> TypeGuard[Conductor]:
    """What ``isinstance(clock, Conductor)`` says, which takes 10 us."""
    return hasattr(clock, "condition") and hasattr(clock, "thread")


def condition(clock: Clock) -> threading.Condition:
    """A condition to wait on by this clock."""
    return clock.condition() if _conducts(clock) else threading.Condition()


def thread(clock: Clock, target: Callable[[], object], *, name: str, background: bool = False) -> threading.Thread:
    """A daemon thread that waits by this clock; not started. `background`: nobody waits for what it does."""
    if _conducts(clock):
        return clock.thread(target, name=name, background=background)
    return threading.Thread(target=target, name=name, daemon=True)


def sleep(clock: Clock, seconds: float) -> None:
    """Let `seconds` of the clock's time go by."""
    nobody = condition(clock)
    until = clock.monotonic() + seconds
    with nobody:
        while (left := until - clock.monotonic()) > 0:
            clock.wait(nobody, left)
