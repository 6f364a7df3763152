"""A job as an argument: in the job that takes it, it is its result."""

from __future__ import annotations

import os
from time import monotonic, sleep

from slurmkit import jobdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["value_of", "values_of"]

GRACE = 10.0
"""Seconds for which a result may be late: it was written on another node, and this one may see it late."""

LOOK_AGAIN = 0.05


def value_of(job_id: str, job_dir: str) -> Any:
    """What the function of job `job_id`, which is over, has returned on rank 0. An argument is pickled as a call of this function.

    Raises `ResultError` when there is no such value, or when it cannot be read here.
    """
    from slurmkit.errors import ResultError

    deadline = monotonic() + GRACE
    try:
        while 0 not in jobdir.result_ranks(job_dir) and monotonic() < deadline:
            sleep(LOOK_AGAIN)
        return jobdir.read_value(job_dir, 0)
    except (OSError, ResultError) as error:
        here = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        raise ResultError(
            f"the result of job {job_id}, which is an argument here, cannot be had on {here}: {error}"
        ) from error


def values_of(jobs: list[tuple[str, str]]) -> list[Any]:
    """The same of the jobs of an array, given as (id, directory), in their order."""
    return [value_of(job_id, job_dir) for job_id, job_dir in jobs]
