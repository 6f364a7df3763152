"""What slurmkit asks of a scheduler: requests each of which costs the scheduler one call however many jobs it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import attrs

__all__ = ["Limits", "Record", "SchedulerBackend", "Submission"]

Record = Mapping[str, str]
"""One job as a source reports it, under scontrol's field names (JobId, JobState, Reason, ExitCode, Restarts, NodeList, StartTime, ...).

Every one of `slurmkit.backends.parse.FIELDS` is there; `slurmkit.backends.parse.record` makes one from what a source says. The JobId of an
element of an array is the one under which people know it, ``123_4``.
"""


@attrs.frozen
class Submission:
    """sbatch's answer."""

    job_id: str
    cluster: str | None = None


@attrs.frozen
class Limits:
    """Of slurm.conf: the indices of an array are below `max_array_size` (0: there are no arrays), and the controller keeps at most
    `max_job_count` jobs, of which each element is one."""

    max_array_size: int
    max_job_count: int


class SchedulerBackend(Protocol):
    """A way to reach a Slurm. Implementations are thread-safe and hold no state about jobs.

    Every method raises `SchedulerError` (or its children) when Slurm refuses or does not answer: a failed query is never an empty answer.
    Backends that reach the same Slurm are equal: jobs can wait for each other then.
    A backend whose Slurm does not outlive it may have an attribute `job_root`, the directory that a `Cluster` uses when it is not told another.
    """

    name: str

    def submit(self, script: Path, *, cwd: Path) -> Submission:
        """Submit the batch script at `script`. Raises `SubmissionError`, or `SchedulerTimeout` when the outcome is unknown."""

    def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
        """squeue: those of `job_ids` that the controller still knows, in any state. One request."""

    def accounting(self, job_ids: Iterable[str]) -> Mapping[str, Record] | None:
        """sacct: those of `job_ids` in the accounting database; None where the site has no accounting. One request."""

    def show(self, job_id: str) -> Mapping[str, Record]:
        """``scontrol show job``: one job, or with the id of an array all of its elements; nothing of what the controller does not know. One
        request."""

    def limits(self) -> Limits:
        """``scontrol show config``: how large an array may be. One request."""

    def find(self, tokens: Iterable[str]) -> Mapping[str, str]:
        """Of those submission `tokens` that the comment of a job carries its id, of an array that of the array. One request of each source."""

    def cancel(self, job_ids: Iterable[str], *, signal: str | None = None) -> None:
        """scancel: end the jobs, or send them `signal`. Unknown and finished jobs are no error."""
