"""``scontrol write batch_script``, ``wait_job`` and ``notify``. Measured on 22.05.8 and 24.11.5: docs/measured/other-commands.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.base import Reply, Written
from fakeslurm.commands.scontrol_call import PROGRAM, Call
from fakeslurm.messages import INVALID_JOB_ID, NO_ERROR, NO_SCRIPT, SlurmError
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.model import Job

__all__ = ["notify", "wait_job", "write"]

_LEAST = 5
"""How many letters of ``batch_script`` are needed."""


def write(call: Call) -> Reply:
    """The script of a job as it was submitted, into a file of the caller's or to stdout. Its rc tells of wrong words only."""
    call.wants(1, 3)
    what, *rest = call.arguments
    if len(what) < _LEAST or not "batch_script".startswith(what.lower()):
        raise Stop(f"invalid write argument:{what}\n")
    if not rest:
        return Reply()
    job = _one_job(call, _leading_id(rest[0]))
    if job is None:
        return Reply(stderr=f"job script retrieval failed: {INVALID_JOB_ID}\n")
    if call.invocation.uid not in (0, job.description.uid):
        raise unsupported(PROGRAM, "the batch script of somebody else")
    script = job.description.script
    if script is None:
        return Reply(stderr=f"job script retrieval failed: {NO_SCRIPT}\n")
    name = rest[1] if len(rest) > 1 else f"slurm-{job.job_id}.sh"
    if name == "-":
        return Reply(script.decode("utf-8", "surrogateescape"))
    done = "" if "quiet" in call.options else f"batch script for job {job.job_id} written to {name}\n"
    return Reply(write=Written(name, script, done, f"failed to open file `{name}`: {{error}}\n"))


def wait_job(call: Call) -> Reply:
    """Whether the nodes of a job are ready, which they are once it runs. Nobody waits for a job that has not started (measured)."""
    call.wants(1, 1)
    job_id = _leading_id(call.arguments[0])
    if not job_id:
        raise Stop(f"Invalid job_id {call.arguments[0]}")
    job = _one_job(call, job_id)
    if job is None:
        raise Stop(f"{PROGRAM}: Problem running job {job_id}\n")
    if job.state not in (JobState.RUNNING, JobState.SUSPENDED):
        raise Stop(f"{PROGRAM}: Job {job_id} no longer running\n")
    return Reply(stderr=f"{PROGRAM}: Nodes are ready for job {job_id}\n")


def notify(call: Call) -> Reply:
    """A line on the stderr of a job's script."""
    call.wants(2, None)
    first, *words = call.arguments
    job_id = _leading_id(first)
    if not job_id:
        raise Stop(f"Invalid job_id {first}job notify failure: {NO_ERROR}\n")
    _one_job(call, job_id)
    try:
        call.controller.notify(job_id, " ".join(words), call.invocation.now, uid=call.invocation.uid)
    except SlurmError as error:
        raise Stop(f"job notify failure: {error.message}\n") from None
    return Reply()


def _one_job(call: Call, job_id: int) -> Job | None:
    job = call.controller.jobs.get(job_id)
    if job is not None and job.het is not None:
        raise unsupported(PROGRAM, f"{call.keyword} of a heterogeneous job")
    return job


def _leading_id(text: str) -> int:
    """As atoi reads it: 0 for what is none."""
    match = re.match("[0-9]+", text, re.ASCII)
    return int(match[0]) if match else 0
