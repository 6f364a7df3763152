"""What a simulated job of slurmkit's leaves in its job directory: what the runner would have written there."""

from __future__ import annotations

import shlex
from pathlib import Path

from attrs import frozen

from fakeslurm.model import Job
from fakeslurm.simulation import Simulated
from slurmkit import jobdir
from slurmkit.serialize import dump_value

__all__ = ["SimulatedTask", "task_of"]

_LINE = b"export JOB_DIR="


def task_of(job: Job) -> SimulatedTask | None:
    """None when its script is not one of slurmkit's, or its directory is gone."""
    for line in (job.description.script or b"").split(b"\n"):
        if line.startswith(_LINE):
            words = shlex.split(line.removeprefix(_LINE).decode(errors="surrogateescape"))
            if len(words) == 1 and Path(words[0], jobdir.JOB).is_file():
                return SimulatedTask(job.job_id, words[0], job.num_tasks, job.restart_count, job.nodes[0])
    return None


@frozen
class SimulatedTask:
    job_id: int
    job_dir: str
    world_size: int
    attempt: int
    hostname: str

    def started(self, now: float) -> None:
        """What an earlier attempt has left goes, as the runner does it. Raises `JobDirectoryError`."""
        for rank in jobdir.result_ranks(self.job_dir):
            Path(self.job_dir, jobdir.result_name(rank)).unlink()
        jobdir.append_journal(
            self.job_dir,
            {
                "event": "started",
                "time": now,
                "job_id": f"{self.job_id}",
                "attempt": self.attempt,
                "hostname": self.hostname,
                "world_size": self.world_size,
            },
        )

    def ended(self, behaviour: Simulated, start: float, now: float) -> None:
        """It has ended by itself: every rank has returned the result, or all have failed. Raises `JobDirectoryError`, `NotPicklable`."""
        code = behaviour.exit_code
        if not code:
            header = {
                "status": "ok",
                "exit_code": 0,
                "error": None,
                "error_type": None,
                "error_message": None,
                "traceback": None,
            }
            place = {"hostname": self.hostname, "attempt": self.attempt, "start_time": start, "end_time": now}
            for rank in range(self.world_size):
                if (jobdir.result_attempt(self.job_dir, rank) or 0) > self.attempt:
                    continue  # the runner does not replace what a later run of the job has left
                jobdir.write_result(
                    self.job_dir,
                    rank,
                    header | place,
                    lambda file: dump_value(behaviour.result, file, what="the result of a Simulated"),
                )
        jobdir.append_journal(
            self.job_dir,
            {
                "event": "completed",
                "time": now,
                "attempt": self.attempt,
                "job_state": "FAILED" if code else "COMPLETED",
                "exit_code": f"{code}:0",
                "failed_rank": 0 if code else None,
                "error_type": None,
                "error_message": f"ended with exit code {code}" if code else None,
            },
        )
