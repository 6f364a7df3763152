"""What each hook is handed: frozen, keyword-only values. Field names and types are stable and pinned by a test.

Times are seconds since the epoch, durations are seconds, paths are absolute strings, job ids and states are Slurm's own words as strings.
`attempt` is the number of the run of the job, from 0, and `restart_count` how often Slurm has requeued it: the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from slurmkit.callbacks.base import ExecutionLocus

if TYPE_CHECKING:
    from slurmkit.array import JobArray
    from slurmkit.cluster import Cluster
    from slurmkit.job import Job
    from slurmkit.packaging.base import PackagingResult, PackagingStrategy
    from slurmkit.runtime import JobContext
    from slurmkit.task import Task

__all__ = [
    "CompletedContext",
    "JobStatusUpdatedContext",
    "PackagingBeginContext",
    "PackagingEndContext",
    "RunBeginContext",
    "RunEndContext",
    "SubmitBeginContext",
    "SubmitEndContext",
]


@attrs.frozen(kw_only=True)
class PackagingBeginContext:
    """The task is about to be packaged."""

    task: Task[..., Any]
    packaging_config: Mapping[str, Any]
    cluster: Cluster
    timestamp: float


@attrs.frozen(kw_only=True)
class PackagingEndContext:
    """The task was packaged; `duration` says how long that took."""

    task: Task[..., Any]
    packaging_config: Mapping[str, Any]
    packaging_result: PackagingResult
    cluster: Cluster
    timestamp: float
    duration: float


@attrs.frozen(kw_only=True)
class SubmitBeginContext:
    """sbatch is about to be called with the effective `sbatch_options` (long names, dashes as underscores)."""

    task: Task[..., Any]
    cluster: Cluster
    sbatch_options: Mapping[str, str | bool]
    job_dir: str
    pre_submission_id: str
    packaging_strategy: PackagingStrategy
    timestamp: float


@attrs.frozen(kw_only=True)
class SubmitEndContext:
    """Slurm accepted the job as `job_id`."""

    task: Task[..., Any]
    cluster: Cluster
    job: Job[Any] | JobArray[Any]
    job_id: str
    sbatch_options: Mapping[str, str | bool]
    job_dir: str
    pre_submission_id: str
    packaging_strategy: PackagingStrategy
    timestamp: float
    duration: float


@attrs.frozen(kw_only=True)
class RunBeginContext:
    """In the job, on one rank, before the function is called. `module` and `function` identify it (`__module__`, `__qualname__`)."""

    job_id: str
    job_dir: str
    module: str
    function: str
    args_path: str
    kwargs_path: str
    hostname: str
    python_executable: str
    python_version: str
    working_directory: str
    environment_snapshot: Mapping[str, str]
    start_time: float
    attempt: int
    restart_count: int
    job_context: JobContext


@attrs.frozen(kw_only=True)
class RunEndContext:
    """In the job, on one rank, after the function ended. The error fields are None on success.

    `cause`: why Slurm ends this attempt: ``TIMEOUT``, ``PREEMPTED``, ``NODE_FAIL``, ``REQUEUED`` (also where the task has asked for it).
    None where Slurm does not end it, or has not said why.
    """

    job_id: str
    job_dir: str
    module: str
    function: str
    hostname: str
    status: Literal["success", "failure"]
    error_type: str | None
    error_message: str | None
    traceback: str | None
    stdout_path: str
    stderr_path: str
    start_time: float
    end_time: float
    duration: float
    attempt: int
    restart_count: int
    cause: str | None
    job_context: JobContext


@attrs.frozen(kw_only=True)
class JobStatusUpdatedContext:
    """One scheduler snapshot. `status` has scontrol's field names; `previous_state` is the JobState before, None at the first."""

    job: Job[Any]
    job_id: str
    status: Mapping[str, str]
    previous_state: str | None
    is_terminal: bool
    attempt: int
    restart_count: int
    timestamp: float


@attrs.frozen(kw_only=True)
class CompletedContext:
    """The job is over; for RUNNER an attempt is, which may be followed by another one.

    `emitted_by` is RUNNER (the job script is still running) or CLIENT (Slurm reports a terminal state), never BOTH.

    `exit_code` is Slurm's ``"code:signal"``. `job` is None on the runner; `status` is the final snapshot on the client and empty on the runner.
    The error fields are those of the first failing rank, None when the function did not fail or left no trace.

    `cause`: why Slurm ended it. On the client that is a state such as ``TIMEOUT``, ``PREEMPTED``, ``NODE_FAIL``, ``OUT_OF_MEMORY`` or
    ``CANCELLED``, else what the job has heard; on the runner what it has heard so far, as in `RunEndContext`. None where nobody ended it, or
    nobody has said why.
    """

    job: Job[Any] | None
    job_id: str
    job_dir: str
    job_state: str
    exit_code: str | None
    reason: str | None
    status: Mapping[str, str]
    emitted_by: ExecutionLocus
    stdout_path: str
    stderr_path: str
    start_time: float | None
    end_time: float | None
    duration: float | None
    error_type: str | None
    error_message: str | None
    traceback: str | None
    attempt: int
    restart_count: int
    cause: str | None
    job_context: JobContext | None
