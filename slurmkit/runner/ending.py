# ruff: noqa: PTH123  (pathlib is slow to import)
"""Why Slurm ends an attempt, in Slurm's own words; and how the leader has Slurm start the job again."""

from __future__ import annotations

import os
import re
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cause_in", "cause_of_end", "requeue"]

# What slurmstepd writes to the job's stderr before it sends SIGTERM (slurmstepd/req.c; measured on 22.05.8 and 24.11.5). Without a "DUE TO" it
# is scancel, a deadline, or somebody who sends the batch script a SIGTERM: that does not say what becomes of the job.
_NOTICE = re.compile(
    rb"\*\*\* (?:JOB|STEP) ([0-9]+)[0-9.+]* ON \S+ CANCELLED AT \S+ DUE TO (TIME LIMIT|PREEMPTION|NODE FAILURE|JOB REQUEUE)\b"
)
_CAUSES = {
    b"TIME LIMIT": "TIMEOUT",
    b"PREEMPTION": "PREEMPTED",
    b"NODE FAILURE": "NODE_FAIL",
    b"JOB REQUEUE": "REQUEUED",
}

_TAIL = 1 << 20
"""Bytes of stderr in which the notice is looked for: the task may have said a lot since."""

_DELAYS = (1.0, 2.0, 4.0, 8.0)
"""Seconds between two tries, while the controller does not answer."""


def cause_in(text: bytes, job_id: str) -> str | None:
    """Why Slurm ended that job, by the last notice in `text`: ``TIMEOUT``, ``PREEMPTED``, ``NODE_FAIL``, ``REQUEUED``; None: not said."""
    found = [match[2] for match in _NOTICE.finditer(text) if match[1] == job_id.encode()]
    return _CAUSES[found[-1]] if found else None


def cause_of_end(stderr: str, job_id: str, start: int, patience: float = 0.0) -> str | None:
    """`cause_in` of what the file with the job's stderr has from byte `start` on. `patience`: seconds to wait for it where srun carries it."""
    began = time.monotonic()
    while True:
        try:
            with open(stderr, "rb") as file:
                file.seek(max(start, file.seek(0, os.SEEK_END) - _TAIL))
                cause = cause_in(file.read(), job_id)
        except OSError:
            return None
        if cause is not None or time.monotonic() - began >= patience:
            return cause
        time.sleep(0.05)


def requeue(job_id: str, env: Mapping[str, str]) -> str | None:
    """Have Slurm start the job again; None when it does, else why it does not.

    A job that Slurm is ending is left to it: what was cancelled stays so (24.11 would requeue it all the same, while it is COMPLETING).
    """
    problem = ""
    for delay in (0.0, *_DELAYS):
        time.sleep(delay)
        words, problem = _ask(["scontrol", "--oneliner", "show", "job", job_id], env)
        if problem:
            continue
        state = re.search(r"(?:^| )JobState=(\S+)", words)
        if state is None or state[1] not in ("RUNNING", "SIGNALING"):
            return f"Slurm is ending the job, which is {state[1] if state else 'unknown'}"
        _, problem = _ask(["scontrol", "requeue", job_id], env)
        if not problem:
            return None
    return problem


def _ask(command: list[str], env: Mapping[str, str]) -> tuple[str, str]:
    """The answer, and what went wrong."""
    from slurmkit.backends.environment import query_environment
    from slurmkit.backends.execute import subprocess_execute

    try:
        result = subprocess_execute(command, env=query_environment(env), timeout=60.0)
    except (OSError, TimeoutError) as error:
        return "", f"{' '.join(command[:2])} failed: {error}"
    return result.stdout, "" if result.returncode == 0 else result.stderr.strip() or f"{command[0]} failed"
