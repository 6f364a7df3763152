"""How faults are asked for: the part of `FakeSlurm` that does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fakeslurm.faults.base import End, Fault, Kind
from fakeslurm.faults.chaos import Chaos, under_way
from fakeslurm.faults.plan import Plan
from fakeslurm.faults.registry import kind_of
from fakeslurm.faults.script import Script, script_of
from fakeslurm.history import FaultFired

if TYPE_CHECKING:
    from fakeslurm.engine import Engine

__all__ = ["Faults"]


class Faults:
    """Begins and ends the faults of one engine."""

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine = engine
        self._plan = plan

    @contextmanager
    def during(
        self, name: str, times: int | None, commands: Sequence[str] | None, options: dict[str, Any]
    ) -> Iterator[Fault]:
        """`FakeSlurm.fault`."""
        fault = self._asked_for(name, times, commands, options)
        end = self._engine.change(lambda now: self.begin(fault, now))
        try:
            yield fault
        finally:
            self._end(fault, end)

    def at(
        self,
        name: str,
        after: float,
        lasting: float,
        times: int | None,
        commands: Sequence[str] | None,
        options: dict[str, Any],
    ) -> Fault:
        """`FakeSlurm.schedule_fault`."""
        for what, seconds in (("after", after), ("lasting", lasting)):
            if not seconds >= 0:
                raise ValueError(f"fault {name!r}: {what}={seconds!r}; expected a number of seconds, 0 or more")
        fault = self._asked_for(name, times, commands, options)
        engine = self._engine

        def begin(now: float) -> None:
            end = self.begin(fault, now)
            if lasting < float("inf"):
                engine.at(now + lasting, lambda now: self.finish(fault, end, now))

        engine.change(lambda now: engine.at(now + after, begin))
        return fault

    @contextmanager
    def scripted(self, command: str, steps: Sequence[str | Kind | None]) -> Iterator[Script]:
        """`FakeSlurm.sequence`."""
        script = script_of(command, steps)
        for kind in script.steps:
            if kind is not None:
                kind.check(self._engine.controller.settings)
        self._plan.add(script)
        try:
            yield script
        finally:
            self._plan.remove(script)
        script.check()

    def _asked_for(
        self, name: str, times: int | None, commands: Sequence[str] | None, options: dict[str, Any]
    ) -> Fault:
        fault = asked_for(name, times, commands, options)
        fault.kind.check(self._engine.controller.settings)
        return fault

    @contextmanager
    def chaotic(self, chaos: Chaos, every: float | None) -> Iterator[Chaos]:
        """`FakeSlurm.chaos`."""
        with under_way(chaos, self._engine, self._plan, self, every):
            yield chaos

    def begin(self, fault: Fault, now: float) -> End | None:
        """It is under way from now on. The engine is locked."""
        fault.tell = lambda hit: self._engine.recorder.add(FaultFired(hit.at, fault.name, hit.target))
        end = fault.kind.begin(self._engine, fault, now)
        self._plan.add(fault)
        fault.active = True
        return end

    def finish(self, fault: Fault, end: End | None, now: float) -> None:
        """It is over. The engine is locked."""
        self._plan.remove(fault)
        fault.active = False
        if end is not None:
            end(now)

    def _end(self, fault: Fault, end: End | None) -> None:
        """At the end of a block, in which the whole FakeSlurm may have been closed."""
        with self._engine.condition:
            if self._engine.closed:
                self._plan.remove(fault)
                fault.active = False
            else:
                self._engine.change(lambda now: self.finish(fault, end, now))


def asked_for(name: str, times: int | None, commands: Sequence[str] | None, options: dict[str, Any]) -> Fault:
    """The fault, not begun. ValueError or TypeError for what cannot be."""
    kind = kind_of(name, options)
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError(f"fault {name!r}: times={times!r}; expected a number of calls, 1 or more, or None")
    if isinstance(commands, str):
        raise TypeError(f"fault {name!r}: commands={commands!r}; expected several names, such as [{commands!r}]")
    for command in commands or ():
        if command not in kind.hits_calls_of:
            valid = ", ".join(kind.hits_calls_of) or "none: it does not hit calls"
            raise ValueError(f"fault {name!r}: commands={commands!r}: {command!r} is not hit by it; valid are {valid}")
    return Fault(kind, None if commands is None else tuple(commands), times)
