"""Time as a value that can be handed in: everything that waits or asks the time does it through a `Clock`."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock", "sleep"]


class Clock(Protocol):
    """What the library needs of time. All units are seconds."""

    def time(self) -> float:
        """Seconds since the epoch, for timestamps that a person or Slurm reads."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment, for intervals; never goes back."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on a `condition` that the caller holds; False when `timeout` seconds went by without a notification."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return condition.wait(timeout)


def sleep(clock: Clock, seconds: float) -> None:
    """Let `seconds` of the clock's time go by."""
    condition = threading.Condition()
    until = clock.monotonic() + seconds
    with condition:
        while (left := until - clock.monotonic()) > 0:
            clock.wait(condition, left)
