"""Jobs that are suspended and resumed: by hand, or for another one."""

from __future__ import annotations

from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTSTP

from fakeslurm.model import Job
from fakeslurm.slurmctld.running import Running
from fakeslurm.slurmctld.state import State
from slurmkit.slurm.states import JobState

__all__ = ["Suspension"]

_STOP_AFTER = 2.0
"""Seconds between SIGTSTP and SIGSTOP; slurmstepd does nothing else meanwhile (slurmstepd/req.c, measured)."""


class Suspension:
    """Everything it decides is in the `State` and its effects."""

    def __init__(self, state: State, running: Running) -> None:
        self._state = state
        self._running = running

    def suspend(self, job: Job) -> None:
        """A running job stands still; its CPUs are free, its priority is 0 (measured)."""
        self._state.resources.set_aside(job.job_id)
        job.priority = 0
        self.stand_still(job)

    def stand_still(self, job: Job) -> None:
        """A running job is SUSPENDED: SIGTSTP to all of it now, SIGSTOP later. Its time stands still."""
        state = self._state
        job.run_before = job.seconds_run(state.now)
        job.suspend_time = state.now
        job.state = JobState.SUSPENDED
        state.timers.clear("limit", job.job_id)
        state.timers.clear("warn", job.job_id)
        self._running.signal_all(job, SIGTSTP)
        state.timers.set("stop", job.job_id, state.now + _STOP_AFTER)
        state.changed(job)

    def stop(self, job: Job) -> None:
        """SIGSTOP after SIGTSTP, and then what has been decided meanwhile."""
        self._running.signal_all(job, SIGSTOP)
        if job.completing:
            self._running.signal_all(job, SIGKILL)
        elif job.state is JobState.RUNNING:
            self._running.signal_all(job, SIGCONT)

    def resume(self, job: Job, priority: int) -> None:
        """Undo `suspend`; the job has the next priority then (measured)."""
        self._state.resources.take_back(job.job_id)
        job.priority = priority
        self.go_on(job)

    def go_on(self, job: Job) -> None:
        """Undo `stand_still`."""
        state = self._state
        assert job.suspend_time is not None
        pause = state.now - job.suspend_time
        job.suspended += pause
        for step in self._running.alive(job):
            step.suspended += pause
        job.suspend_time = state.now
        job.state = JobState.RUNNING
        self._running.watch(job)
        if not state.timers.is_set("stop", job.job_id):
            self._running.signal_all(job, SIGCONT)
        state.changed(job)
