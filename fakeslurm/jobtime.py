"""What a virtual clock has to know of the processes of jobs: whether some may be doing something, for nobody knows how long."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import define

from fakeslurm.steps import StepListener
from fakeslurm.virtualclock import VirtualClock
from slurmkit.jobdir import CLOCK_VARIABLE

__all__ = ["JobTime"]


class JobTime:
    """Keeps count of the steps that run processes, and of the programs in them that wait for the fake. Without a virtual clock it does nothing.

    A step stands still when as many of its programs wait (for a step of their own, for ``sleep``) as it has tasks.
    """

    def __init__(self, clock: VirtualClock | None, directory: Callable[[], Path]) -> None:
        self._clock = clock
        self._directory = directory
        self._tasks: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._forget = _nothing if clock is None else clock.on_jump(self._jumped)

    @property
    def _path(self) -> Path:
        return self._directory() / "now"

    def _write(self, now: float) -> None:
        """For the processes that run. Whole or not at all, as they read it at any time."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(repr(now))
        fresh.replace(self._path)

    def _jumped(self, now: float) -> None:
        if self._tasks:
            self._write(now)

    def close(self) -> None:
        """Follow the clock no further, which may be that of others, too."""
        self._forget()

    @property
    def is_virtual(self) -> bool:
        return self._clock is not None

    def watched(self, name: str, tasks: int, listener: StepListener) -> StepListener:
        """The listener of a step that is about to be launched: `listener`, and this."""
        if self._clock is None:
            return listener
        self._clock.moving(1)
        self._write(self._clock.time())
        return _Watched(self, self._clock, name, tasks, listener)

    def environ(self) -> Mapping[str, str]:
        """Variables of jobs, which tell slurmkit's runner where to read the time."""
        return {} if self._clock is None else {CLOCK_VARIABLE: str(self._path)}

    def signalled(self) -> None:
        """A step of processes was sent a signal."""
        if self._clock is not None:
            self._clock.disturbed(stands_still=True)

    @contextlib.contextmanager
    def call(self, environ: Mapping[str, str]) -> Iterator[None]:
        """A program with these variables has called a command, which is answered inside."""
        if self._clock is None:
            yield
            return
        name = f"{environ.get('SLURM_JOB_ID', '')}.{environ.get('SLURM_STEP_ID', 'batch')}"
        with self._clock.working():
            self._count(name, waiting=1)
            if name in self._tasks:
                self._clock.disturbed(stands_still=True)
            try:
                yield
            finally:
                self._count(name, waiting=-1)
                self._clock.disturbed()

    def _count(self, name: str, *, tasks: int = 0, waiting: int = 0) -> None:
        assert self._clock is not None
        with self._lock:
            before = self._tasks[name] > self._waiting[name]
            self._tasks[name] += tasks
            self._waiting[name] += waiting
            after = self._tasks[name] > self._waiting[name]
            for counter in (self._tasks, self._waiting):
                if not counter[name]:
                    del counter[name]
            self._clock.processes(after - before)


@define
class _Watched:
    _time: JobTime
    _clock: VirtualClock
    _name: str
    _tasks: int
    _listener: StepListener
    _runs: bool = False

    def failed(self, file: int, errno: int) -> None:
        self._listener.failed(file, errno)

    def started(self, pids: list[int]) -> None:
        self._listener.started(pids)
        self._runs = True
        self._time._count(self._name, tasks=self._tasks)
        self._clock.disturbed()
        self._clock.moving(-1)

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        self._listener.task_ended(index, wait_status, max_rss)

    def ended(self) -> None:
        self._listener.ended()
        self._clock.disturbed()
        if self._runs:
            self._time._count(self._name, tasks=-self._tasks)
        else:
            self._clock.moving(-1)


def _nothing() -> None:
    pass
