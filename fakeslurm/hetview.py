"""What the tasks of a step in several components of a heterogeneous job see of all of them. Measured: docs/measured/hetjobs.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from itertools import accumulate, chain

from attrs import frozen

from fakeslurm.model import Job, Step, StepRequest
from slurmkit.slurm import layout

__all__ = ["Seen", "own_variables", "views"]


@frozen
class Seen:
    """What the tasks of one component see."""

    job: Job
    """With the leader's id and the nodes of all."""
    step: Step
    """With the tasks of all."""
    first: int
    """The rank of the component's first task."""
    variables: Mapping[str, str]


def views(
    jobs: Sequence[Job], steps: Sequence[Step], own: Sequence[Mapping[str, str]], environ: Mapping[str, str]
) -> list[Seen]:
    """Of each component: job and step as if they were one of all parts, with variables of their own. `environ` is srun's.

    srun sets the variables `own` for one part after the other, so that a part has those of the parts before, too, and the first part,
    which is launched last, those of all (measured).
    """
    leader = jobs[0].het.job_id if jobs[0].het is not None else jobs[0].job_id
    firsts = list(accumulate((step.ntasks for step in steps), initial=0))
    found = []
    for place, (first, job, step) in enumerate(zip(firsts, jobs, steps, strict=False)):
        whole = copy(step)
        whole.job_id = leader
        whole.nodes = tuple(chain.from_iterable(one.nodes for one in steps))
        whole.cpus_per_node = tuple(chain.from_iterable(one.cpus_per_node for one in steps))
        whole.tasks = tuple(
            tuple(rank + offset for rank in ranks)
            for offset, one in zip(firsts, steps, strict=False)
            for ranks in one.tasks
        )
        whole.gres = tuple(chain.from_iterable(one.gres or (0,) * len(one.nodes) for one in steps))
        variables: dict[str, str] = {}
        for mine in own if place == 0 else own[: place + 1]:
            variables |= mine
        found.append(Seen(_as_one(jobs, leader, job), whole, first, _of_all(jobs, environ) | variables))
    return found


def own_variables(job: Job, step: Step, request: StepRequest, name: str | None = None) -> dict[str, str]:
    """What tells the tasks of one component from those of others. `name`: of srun's --job-name."""
    found = {"SLURM_JOB_NAME": name or job.description.name, "SLURM_DISTRIBUTION": step.distribution}
    if request.ntasks_per_node is not None:
        found["SLURM_NTASKS_PER_NODE"] = f"{request.ntasks_per_node}"
    if request.cpus_per_task is not None:
        found["SLURM_CPUS_PER_TASK"] = f"{request.cpus_per_task}"
    return found


def _of_all(jobs: Sequence[Job], environ: Mapping[str, str]) -> dict[str, str]:
    cpus = layout.format(tuple(chain.from_iterable(job.cpus_per_node for job in jobs)))
    found = {"SLURM_JOB_CPUS_PER_NODE": cpus, "SLURM_JOB_NUM_NODES": f"{sum(len(job.nodes) for job in jobs)}"}
    packed = "SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_0"
    return found | ({packed: environ[packed]} if packed in environ else {})


def _as_one(jobs: Sequence[Job], leader: int, own: Job) -> Job:
    """The job that the tasks see: with the leader's id and the nodes of all."""
    job = copy(own)
    job.job_id = leader
    job.nodes = tuple(chain.from_iterable(one.nodes for one in jobs))
    job.cpus_per_node = tuple(chain.from_iterable(one.cpus_per_node for one in jobs))
    job.gres = tuple(chain.from_iterable(one.gres or (0,) * len(one.nodes) for one in jobs))
    return job
