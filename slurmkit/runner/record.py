"""``job.json``, read where the job runs."""

from __future__ import annotations

import os
import sys

from slurmkit import jobdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["read_job"]


def read_job(job_dir: str) -> dict[str, Any]:
    """As `jobdir.read_job`; `JobDirectoryError`, too, where this Python would not understand the pickles beside it.

    Minor versions of Python differ in their bytecode, which is what functions are pickled as.
    """
    job = jobdir.read_job(job_dir)
    theirs = str(job["python_version"]).split(".")[:2]
    ours = [str(number) for number in sys.version_info[:2]]
    if theirs != ours:
        from slurmkit.errors import JobDirectoryError

        node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        raise JobDirectoryError(
            f"{sys.executable!r} is Python {'.'.join(ours)} on {node}, and the job was submitted from Python "
            f"{'.'.join(theirs)}: pickles do not go from one to the other. Submit with an interpreter that the nodes have, too"
        )
    return job
