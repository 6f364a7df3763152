"""Memory limits as ``task/cgroup`` with ``ConstrainRAMSpace=yes`` sets them, and who is killed beyond them. Pure.

Measured with cgroup v1: docs/measured/memory.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from fakeslurm.model import Job, Settings, Step, StepRequest

__all__ = [
    "OUT_OF_MEMORY",
    "Limit",
    "Usage",
    "job_megabytes",
    "limits",
    "oom_text",
    "step_megabytes",
    "victim",
    "victims",
]

OUT_OF_MEMORY: Final = 253
"""SIG_OOM: what slurmstepd reports as wait status of its tasks then; the commands show 0:125 (measured)."""

_MEGABYTE = 1 << 20
_LEAST = 30
"""MB that every cgroup has: MinRAMSpace."""


@frozen
class Limit:
    """What a step may use on one node, and its job there with all its steps: bytes."""

    job: int
    step: int


@frozen
class Usage:
    """The memory of a process, in bytes."""

    pid: int
    charged: int
    """What counts for the limit: without pages of files, which the kernel takes back, and shared pages once."""
    resident: int
    adjustment: int = 0
    """oom_score_adj: -1000 is never killed."""


def limits(job: Job, step: Step, settings: Settings) -> tuple[Limit, ...]:
    """The limits of a step of a running job on each of the step's nodes, in their order."""
    found = []
    for node, cpus in zip(step.nodes, step.cpus_per_node, strict=True):
        whole = job_megabytes(job, node, settings)
        part = 0 if step.request is None else step_megabytes(step.request, cpus)
        found.append(Limit(max(whole, _LEAST) * _MEGABYTE, max(part or whole, _LEAST) * _MEGABYTE))
    return tuple(found)


def step_megabytes(request: StepRequest, cpus: int) -> int:
    """What a step asks for on a node where it has so many CPUs; 0 is all that its job has, and keeps it from nobody (measured)."""
    return request.mem_per_cpu * cpus if request.mem_per_cpu else request.mem_per_node or 0


def job_megabytes(job: Job, node: str, settings: Settings) -> int:
    """What a running job has on one of its nodes."""
    asked = job.description
    if asked.mem_per_cpu:
        return asked.mem_per_cpu * job.cpus_per_node[job.nodes.index(node)]
    return asked.mem_per_node or next(one.real_memory for one in settings.nodes if one.name == node)


def victim(usages: Sequence[Usage], limit: int) -> int | None:
    """The process that the kernel kills for what these use together; None when that is within the limit (bytes).

    It is the one with the most resident memory; oom_score_adj adds thousandths of the limit (oom_badness in mm/oom_kill.c).
    """
    if sum(usage.charged for usage in usages) <= limit:
        return None
    mortal = [usage for usage in usages if usage.adjustment > -1000 and usage.resident]
    return max(mortal, key=lambda one: one.resident + one.adjustment * limit // 1000).pid if mortal else None


def victims(usages: Mapping[str, Sequence[Usage]], steps: Mapping[str, Limit]) -> dict[str, int]:
    """Who is killed of one job on one node: by step a process, at most one in all. Both arguments are by step."""
    for step, limit in steps.items():
        found = victim(usages[step], limit.step)
        if found is not None:
            return {step: found}
    together = [usage for step in steps for usage in usages[step]]
    found = victim(together, min((limit.job for limit in steps.values()), default=0)) if together else None
    return {step: usage.pid for step in steps for usage in usages[step] if usage.pid == found}


def oom_text(kills: int, name: str, settings: Settings) -> str:
    """What slurmstepd says at the end of a step of which the kernel has killed processes; `name` is ``1.batch``, ``1.0``."""
    return settings.profile.oom_killed.format(count=kills, s="" if kills == 1 else "s", step=name)
