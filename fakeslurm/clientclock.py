"""The client's clock, which may differ from the cluster's."""

from __future__ import annotations

import threading
from collections.abc import Callable

from attrs import define, field

from slurmkit.clock import Clock, Conductor

__all__ = ["Skew", "client_clock"]


@define(eq=False)
class Skew:
    """By how many seconds the cluster's clock is ahead of the client's."""

    seconds: float = 0.0
    _listeners: list[Callable[[], object]] = field(factory=list)

    def change(self, by: float) -> None:
        self.seconds += by
        for listener in tuple(self._listeners):
            listener()

    def on_change(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Have `listener` called after every change; what ends that is returned."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


class _ClientClock:
    """Intervals are the same for both."""

    def __init__(self, clock: Clock, skew: Skew) -> None:
        self._clock = clock
        self._skew = skew

    def time(self) -> float:
        return self._clock.time() - self._skew.seconds

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return self._clock.wait(condition, timeout)


class _ClientConductor(_ClientClock):
    def __init__(self, clock: Clock, conductor: Conductor, skew: Skew) -> None:
        super().__init__(clock, skew)
        self._conductor = conductor

    def condition(self) -> threading.Condition:
        return self._conductor.condition()

    def thread(self, target: Callable[[], object], *, name: str, background: bool) -> threading.Thread:
        return self._conductor.thread(target, name=name, background=background)


def client_clock(clock: Clock, skew: Skew) -> Clock:
    """The client's clock for the cluster's."""
    return _ClientConductor(clock, clock, skew) if isinstance(clock, Conductor) else _ClientClock(clock, skew)
