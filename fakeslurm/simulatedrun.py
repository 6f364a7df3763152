"""One run of a simulated job: what it leaves in files, and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve, frozen

from fakeslurm import memory
from fakeslurm.model import Job, Settings
from fakeslurm.simulatedtask import SimulatedTask
from fakeslurm.simulation import JobFiles, Simulated

__all__ = ["SimulatedRun", "within_memory"]

_FAILED = 1 << 8
"""What a program exits with that cannot write what it has to say."""
Put = Callable[[Callable[[], None]], None]
"""Has something written, now or later."""


def within_memory(behaviour: Simulated, job: Job, settings: Settings) -> Simulated:
    """What it comes to on its first node: where memory is constrained, one that needs more than the job has there is killed on its way."""
    if not settings.memory_is_constrained or not behaviour.memory or job.batch is None:
        return behaviour
    limit = memory.limits(job, job.batch, settings)[0].step / (1 << 20)
    if behaviour.memory <= limit:
        return behaviour
    return evolve(behaviour, duration=behaviour.duration * limit / behaviour.memory, signal=memory.OUT_OF_MEMORY)


@frozen
class SimulatedRun:
    """`task`: when it is one of slurmkit's. `oom_text`: what slurmstepd says of one that the kernel has killed. Times are epoch seconds."""

    behaviour: Simulated
    files: JobFiles
    task: SimulatedTask | None
    start: float
    oom_text: Callable[[], str]

    def begin(self, put: Put, *, full: bool) -> None:
        """It runs. `full`: there is no space left where it writes."""
        task = self.task
        if task is not None and not full:
            put(lambda: task.started(self.start) if Path(task.shared).is_dir() else None)

    def end(self, wait_status: int, now: float, put: Put, *, full: bool) -> int:
        """It has ended: the status that is reported of it, which is another one when it cannot write."""
        if wait_status == memory.OUT_OF_MEMORY:
            if not full:
                self.files.say(self.files.error, self.oom_text())
            return wait_status
        behaviour, task = self.behaviour, self.task
        if wait_status != behaviour.wait_status:
            return wait_status
        if full:
            return wait_status or (_FAILED if behaviour.outputs or task is not None else 0)

        def leave() -> None:
            if task is not None and not Path(task.job_dir).is_dir():
                return  # taken away in the meantime
            self.files.leave(behaviour)
            if task is not None and not behaviour.signal:
                task.ended(behaviour, self.start, now)

        failures: list[OSError] = []

        def leave_or_say_why() -> None:
            try:
                leave()
            except OSError as error:
                failures.append(error)
                self.files.say(self.files.error, f"simulated: {error}\n")

        put(leave_or_say_why)  # on a file system that lags too late for another status
        return wait_status or (_FAILED if failures else 0)
