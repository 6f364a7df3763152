"""What the nodes report of jobs that are over: at once, or later when a job is stuck."""

from __future__ import annotations

import math
from collections.abc import Callable

from fakeslurm.slurmctld import Controller
from fakeslurm.trouble import Troubles

__all__ = ["Later", "Report", "Reports"]

Report = Callable[[Callable[[float], None]], None]
"""Calls a function with the time, under the engine's lock, and has its consequences carried out."""
Later = Callable[[float, Callable[[float], None]], None]
"""The same at a time to come. The engine is locked."""


class Reports:
    """The ends of jobs on their way to the controller. Whoever calls `let_go` or `forget` holds the engine's lock."""

    def __init__(self, controller: Controller, report: Report, later: Later, troubles: Troubles) -> None:
        self._controller = controller
        self._report = report
        self._later = later
        self._troubles = troubles
        self._held: dict[int, Callable[[float], None]] = {}
        """By job what the controller has still to hear of one that is stuck."""
        self._let_go: set[int] = set()
        """Jobs that are over, and stuck no more."""

    def send(self, job_id: int, tell: Callable[[float], None]) -> None:
        """Have `tell` tell the controller about an end of this job."""
        self._report(lambda now: self._tell(job_id, tell, now))

    def let_go(self, job_id: int, what: Callable[[float], None] | None = None) -> None:
        """A job is stuck no more. `what`: only if it is this that the controller has not heard of it."""
        tell = self._held.get(job_id)
        if what in (None, tell):
            self._let_go.add(job_id)
            if tell is not None:
                del self._held[job_id]
                self._report(tell)

    def forget(self, job_id: int) -> None:
        """Nothing runs any more of this job, which may run again."""
        self._let_go.discard(job_id)

    def _tell(self, job_id: int, tell: Callable[[float], None], now: float) -> None:
        job = self._controller.jobs[job_id]
        stuck = None
        if job.completing and job_id not in self._let_go:
            stuck = self._troubles.of("completing", job)
        if stuck is None:
            tell(now)
            return
        self._held[job_id] = tell
        if stuck.seconds < math.inf:
            self._later(now + stuck.seconds, lambda _now: self.let_go(job_id, tell))
