"""What a simulated job of slurmkit's leaves in its job directory: what the runner would have written there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from attrs import frozen

from fakeslurm.model import Job
from fakeslurm.simulation import Simulated
from slurmkit import jobdir
from slurmkit.serialize import dump_value

__all__ = ["SimulatedTask", "task_of"]

_LINE = b"export JOB_DIR="
_INDEX = re.compile(rb' "\$JOB_DIR" (?:(\d+)|\$\(\(SLURM_ARRAY_TASK_ID \+ (\d+)\)\))\n?\Z')


def task_of(job: Job) -> SimulatedTask | None:
    """None when its script is not one of slurmkit's, or its directory is gone."""
    script = job.description.script or b""
    for line in script.split(b"\n") if _LINE in script else ():
        if line.startswith(_LINE):
            words = shlex.split(line.removeprefix(_LINE).decode(errors="surrogateescape"))
            if len(words) == 1 and Path(words[0], jobdir.JOB).is_file():
                return _task(job, words[0], script)
    return None


def _task(job: Job, job_dir: str, script: bytes) -> SimulatedTask:
    job_id, element = f"{job.job_id}", job_dir
    if (found := _INDEX.search(script)) is not None:
        index = int(found[1]) if found[1] else int(found[2]) + (job.array_task_id or 0)
        element = jobdir.element_dir(job_dir, index)
        if found[2]:
            job_id = f"{job.array_job_id}_{job.array_task_id}"
    return SimulatedTask(job_id, job_dir, element, job.num_tasks, job.restart_count, job.nodes[0])


@frozen
class SimulatedTask:
    """`shared` is the directory that the client has made, `job_dir` that of the job: of an element of an array another one."""

    job_id: str
    shared: str
    job_dir: str
    world_size: int
    attempt: int
    hostname: str

    def started(self, now: float) -> None:
        """What an earlier attempt has left goes, as the runner does it. Raises OSError."""
        Path(self.job_dir).mkdir(mode=0o700, exist_ok=True)
        for rank in jobdir.result_ranks(self.job_dir):
            Path(self.job_dir, jobdir.result_name(rank)).unlink()
        jobdir.append_journal(
            self.job_dir,
            {
                "event": "started",
                "time": now,
                "job_id": self.job_id,
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
