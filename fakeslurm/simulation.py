"""Jobs without processes: what happens to them is said beforehand, and they cost nothing while they run."""

from __future__ import annotations

import contextlib
import heapq
import math
import os
import posixpath
import signal
from collections.abc import Callable, Iterable, Mapping

from attrs import define, field, frozen

__all__ = ["JobFiles", "Simulated", "SimulatedStep", "Simulation"]

_PAUSE = (signal.SIGSTOP, signal.SIGTSTP)
_HARMLESS = (0, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH)
"""Signals that end no process that does not ask for it."""


def _not_negative(what: object, attribute: object, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"Simulated: {attribute.name} is {value!r}; valid: 0 or more")  # type: ignore[attr-defined]


def _numbers(signals: Iterable[int]) -> frozenset[int]:
    return frozenset(signals)


@frozen
class Simulated:
    """What a job does in place of its script.

    It runs for `duration` seconds (`math.inf`: until it is ended), then it exits with `exit_code`, or dies of `signal` when that is not 0.
    A signal that would end a process ends it sooner, unless it is among `ignores`. `outputs` is what it writes when it ends: a text for
    its standard output, or texts by file name (relative to its working directory); with a file that cannot be opened it fails with exit code 1,
    and says so on its standard error. `result`:
    what a function that slurmkit runs returns. `memory`: the MB that it uses at its end, growing evenly until then; with the configuration
    that constrains memory (``TaskPlugin=task/cgroup``, ``ConstrainRAMSpace=yes``) a job that has less ends OUT_OF_MEMORY on its way.
    """

    duration: float = field(default=0.0, validator=_not_negative)
    exit_code: int = field(default=0, converter=int, validator=_not_negative)
    signal: int = field(default=0, converter=int, validator=_not_negative)
    outputs: str | Mapping[str, str] = ""
    result: object = None
    ignores: frozenset[int] = field(default=frozenset(), converter=_numbers)
    memory: float = field(default=0.0, validator=_not_negative)

    @property
    def wait_status(self) -> int:
        """As wait(2) would give it."""
        return int(self.signal) if self.signal else (self.exit_code & 0xFF) << 8


@define(eq=False)
class _Running:
    job_id: int
    behaviour: Simulated
    ended: Callable[[int], None]
    left: float
    """Seconds of its duration, at `since`; it is paused while that is None."""
    since: float | None = None


class Simulation:
    """The simulated scripts that run. Not thread-safe: whoever calls holds the engine's lock."""

    def __init__(self) -> None:
        self._running: dict[int, _Running] = {}
        self._ends: list[tuple[float, int, int]] = []
        """When, of which job, which run. Of those that end at the same time the one of the lowest job id is the first."""
        self._count = 0

    def start(self, job_id: int, behaviour: Simulated, now: float, ended: Callable[[int], None]) -> int:
        """The number of this run of the job. `ended` hears the wait status, from `tick`, `signal` or `end`."""
        self._count += 1
        running = self._running[self._count] = _Running(job_id, behaviour, ended, behaviour.duration)
        self._go_on(self._count, running, now)
        return self._count

    def next_deadline(self) -> float | None:
        """When the next one ends by itself."""
        while self._ends and not self._is_live(*self._ends[0]):
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def tick(self, now: float) -> None:
        """End those that have run for their time."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            number = heapq.heappop(self._ends)[2]
            self.end(number, self._running[number].behaviour.wait_status)

    def end(self, run: int, wait_status: int) -> None:
        """One ends now, so."""
        self._running.pop(run).ended(wait_status)

    def signal(self, run: int, number: int, now: float) -> None:
        """Harmless when it has ended."""
        running = self._running.get(run)
        if running is None:
            return
        if number in _PAUSE:
            if running.since is not None:
                running.left -= now - running.since
                running.since = None
        elif number == signal.SIGCONT:
            if running.since is None:
                self._go_on(run, running, now)
        elif number == signal.SIGKILL or not (number in _HARMLESS or number in running.behaviour.ignores):
            self.end(run, number)

    def _go_on(self, run: int, running: _Running, now: float) -> None:
        running.since = now
        if running.left < math.inf:
            heapq.heappush(self._ends, (now + running.left, running.job_id, run))

    def _is_live(self, end: float, job_id: int, run: int) -> bool:
        running = self._running.get(run)
        return running is not None and running.since is not None and end == running.since + running.left


class SimulatedStep:
    """The batch step of a job without a process, as its slurmstepd would be: signals reach it, and it writes the job's files."""

    def __init__(self, files: JobFiles, signal: Callable[[int], None], end: Callable[[int], None]) -> None:
        self._files = files
        self._signal = signal
        self.end = end
        """Have it end now, with this wait status."""

    def signal(self, number: int, scope: str = "all") -> None:
        self._signal(number)

    def write(self, text: str, group: int = 0) -> None:
        """On the job's stderr."""
        self._files.say(self._files.error, text)


@frozen
class JobFiles:
    """Where a job writes: the files of its standard output and error, the flags of open(2), its directory and umask."""

    output: str
    error: str
    flags: int
    directory: str
    umask: int

    def open(self) -> None:
        """As slurmstepd does before the script starts. Raises OSError."""
        for path in dict.fromkeys((self.output, self.error)):
            os.close(self._opened(path, self.flags))

    def say(self, path: str, text: str) -> None:
        """On standard output or error, which the job has open: where the directory was taken away meanwhile, nobody reads it."""
        with contextlib.suppress(FileNotFoundError):
            self._append(path, text)

    def _append(self, path: str, text: str) -> None:
        handle = self._opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)

    def _opened(self, path: str, flags: int) -> int:
        return os.open(posixpath.join(self.directory, path), flags, 0o666 & ~self.umask)

    def leave(self, behaviour: Simulated) -> None:
        """Write what the job is said to write. Raises OSError for a file of its own that it cannot open."""
        if isinstance(behaviour.outputs, str):
            if behaviour.outputs:
                self.say(self.output, behaviour.outputs)
            return
        for name, text in behaviour.outputs.items():
            self._append(name, text)
