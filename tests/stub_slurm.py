"""A Slurm of a few lines for tests of the client's side: the test says what happens, in the order in which it happens."""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from slurmkit import jobdir
from slurmkit.backends.base import Limits, Record, Submission
from slurmkit.backends.parse import record
from slurmkit.errors import SchedulerError
from slurmkit.slurm.durations import format_timestamp


@attrs.define
class StubJob:
    job_id: str
    job_dir: Path
    comment: str
    state: str = "PENDING"
    exit_code: str = "0:0"
    reason: str = "None"
    restarts: int = 0
    submitted: float = 0.0


class StubSlurm:
    """A `SchedulerBackend`: jobs stay PENDING until the test moves them. Counts requests; `failure` makes all of them fail."""

    name = "stub"

    def __init__(self) -> None:
        self.tokens_are_known = True
        self.jobs: dict[str, StubJob] = {}
        self.calls: Counter[str] = Counter()
        self.failure: SchedulerError | None = None
        self.refusal: SchedulerError | None = None
        self.hidden: set[str] = set()  # ids that squeue and scontrol have lost
        self.after_queue: Callable[[], object] = lambda: None
        self.asked_about: set[str] = set()  # by the latest squeue
        self.lock = threading.Lock()

    def submit(self, script: Path, *, cwd: Path) -> Submission:
        self.calls["sbatch"] += 1
        if self.refusal is not None:
            raise self.refusal
        text = script.read_text()
        (comment,) = (line.partition("=")[2] for line in text.splitlines() if line.startswith("#SBATCH --comment="))
        with self.lock:
            job = StubJob(str(len(self.jobs) + 1), script.parent, comment, submitted=time.time())
            self.jobs[job.job_id] = job
        return Submission(job.job_id)

    def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
        self.calls["squeue"] += 1
        job_ids = list(job_ids)
        self.asked_about = set(job_ids)
        if self.failure is not None:
            raise self.failure
        found = {job_id: self.record(job_id) for job_id in job_ids if job_id in self.jobs and job_id not in self.hidden}
        self.after_queue()
        return found

    def accounting(self, job_ids: Iterable[str]) -> Mapping[str, Record] | None:
        self.calls["sacct"] += 1
        return None

    def show(self, job_id: str) -> Mapping[str, Record]:
        self.calls["scontrol"] += 1
        return {} if job_id in self.hidden or job_id not in self.jobs else {job_id: self.record(job_id)}

    def limits(self) -> Limits:
        return Limits(max_array_size=1001, max_job_count=10_000)

    def find(self, tokens: Iterable[str]) -> Mapping[str, str]:
        wanted = set(tokens) if self.tokens_are_known else ()
        return {job.comment: job.job_id for job in self.jobs.values() if job.comment in wanted}

    def cancel(self, job_ids: Iterable[str], *, signal: str | None = None) -> None:
        self.calls["scancel"] += 1
        for job_id in job_ids:
            if signal is None:
                self.jobs[job_id].state = "CANCELLED"

    def record(self, job_id: str) -> Record:
        job = self.jobs[job_id]
        return record(
            JobId=job_id,
            JobName="stub",
            JobState=job.state,
            ExitCode=job.exit_code,
            Reason=job.reason,
            Restarts=str(job.restarts),
            SubmitTime=format_timestamp(job.submitted),
            StartTime="Unknown" if job.state == "PENDING" else format_timestamp(job.submitted),
            Comment=job.comment,
        )

    # What a test does with a job.

    def job(self, job_id: str) -> StubJob:
        return self.jobs[job_id]

    def start(self, job_id: str, *, world_size: int = 1) -> None:
        job = self.jobs[job_id]
        job.state = "RUNNING"
        jobdir.append_journal(
            job.job_dir,
            {
                "event": "started",
                "time": time.time(),
                "job_id": job_id,
                "attempt": job.restarts,
                "hostname": "n1",
                "world_size": world_size,
            },
        )

    def run(self, job_id: str, *, world_size: int = 1, state: str | None = None) -> None:
        """The whole job, in this process: started, the function called once per rank, its results and the journal written, over."""
        self.start(job_id, world_size=world_size)
        job = self.jobs[job_id]
        outcomes = [self.run_rank(job_id, rank) for rank in range(world_size)]
        failed = next((rank for rank, header in enumerate(outcomes) if header["status"] != "ok"), None)
        code = max(header["exit_code"] for header in outcomes)
        self.complete(job_id, exit_code=f"{code}:0", failed_rank=failed, state=state)
        job.state = state or ("COMPLETED" if code == 0 else "FAILED")

    def run_rank(self, job_id: str, rank: int) -> dict[str, Any]:
        job = self.jobs[job_id]
        function, args, kwargs = (
            pickle.loads((job.job_dir / name).read_bytes()) for name in (jobdir.FUNCTION, jobdir.ARGS, jobdir.KWARGS)
        )
        function = getattr(function, "func", function)
        header: dict[str, Any] = dict.fromkeys(("error", "error_type", "error_message", "traceback"))
        header.update(
            status="ok", exit_code=0, hostname="n1", start_time=1.0, end_time=2.0 + rank, attempt=job.restarts
        )
        value: Any = None
        try:
            value = function(*args, **kwargs)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
            header.update(status="exit", exit_code=code, error_type="SystemExit", error_message=str(error.code))
        except Exception as error:  # noqa: BLE001
            header.update(status="error", exit_code=1, error_type=type(error).__name__, error_message=str(error))
            header.update(traceback=traceback.format_exc(), error=pickle.dumps(error))
        ok = header["status"] == "ok"
        jobdir.write_result(job.job_dir, rank, header, (lambda file: pickle.dump(value, file)) if ok else None)
        return header

    def complete(
        self, job_id: str, *, exit_code: str = "0:0", failed_rank: int | None = None, state: str | None = None
    ) -> None:
        """The runner's last word; Slurm still says what it said."""
        job = self.jobs[job_id]
        job.exit_code = exit_code
        jobdir.append_journal(
            job.job_dir,
            {
                "event": "completed",
                "time": time.time(),
                "attempt": job.restarts,
                "job_state": state or ("COMPLETED" if exit_code == "0:0" else "FAILED"),
                "exit_code": exit_code,
                "failed_rank": failed_rank,
                "error_type": None,
                "error_message": None,
            },
        )

    def end(self, job_id: str, state: str, exit_code: str = "0:0", reason: str = "None") -> None:
        """Slurm ends the job; the runner says nothing."""
        job = self.jobs[job_id]
        job.state, job.exit_code, job.reason = state, exit_code, reason

    def requeue(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.state, job.restarts, job.submitted = "PENDING", job.restarts + 1, job.submitted + 10
