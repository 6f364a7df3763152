"""Between a batch script's step process and the controller."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from fakeslurm.processes import remove_tree
from fakeslurm.reports import Report
from fakeslurm.slurmctld import Controller
from fakeslurm.steps import RunningStep

if TYPE_CHECKING:
    from fakeslurm.slurmd import Slurmd

__all__ = ["BatchListener"]


class BatchListener:
    """Tells the controller about one run of a batch script."""

    def __init__(self, slurmd: Slurmd, controller: Controller, report: Report, job_id: int, script: Path) -> None:
        self._slurmd = slurmd
        self._controller = controller
        self._report = report
        self._job_id = job_id
        self._script = script
        self.step: RunningStep | None = None
        self._failed = False
        self._wait_status = int(signal.SIGKILL)
        """What it is when the step process was killed with all its tasks, and nobody saw how the script ended."""

    def failed(self, file: int, errno: int) -> None:
        self._failed = True

    def started(self, pids: list[int]) -> None:
        self._report(lambda now: self._controller.batch_started(self._job_id, pids[0], now))

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        self._wait_status = wait_status

    def ended(self) -> None:
        """The script has ended and what it left behind is gone; this is when slurmstepd reports (batch_finish)."""
        remove_tree(str(self._script.parent))
        self._slurmd.batch_over(self._job_id, self._tell, lambda: self.step)

    def _tell(self, now: float) -> None:
        if self._failed:
            self._controller.launch_failed(self._job_id, now)
        else:
            status = self._slurmd.status_of(self._job_id, self._wait_status)
            self._controller.batch_ended(self._job_id, status, now)
