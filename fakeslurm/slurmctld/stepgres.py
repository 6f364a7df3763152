"""Which of a job's gres a step gets. Measured: docs/measured/resources.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fakeslurm import messages
from fakeslurm.gres import Gres, choose, held_units, node_gres, requested
from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, NodeRecord, Settings, StepRequest
from fakeslurm.slurmctld.demand import gres_per_node

__all__ = ["step_gres"]


def step_gres(
    job: Job, request: StepRequest, names: Sequence[str], nodes: Mapping[str, NodeRecord], settings: Settings
) -> tuple[int, ...] | None:
    """The units on each of these nodes of the job; None when other steps have them. Raises SlurmError.

    A step that does not say gets what its job has asked for, which of an exclusive job is not all that it has.
    """
    if not any(job.gres) and not request.gres:
        return (0,) * len(names)
    if request.gres is None:
        wanted = gres_per_node(job.description, settings)
    else:
        wanted = requested(request.gres, settings.gres_types, settings.profile.release)
        _check(job, wanted, nodes, settings)
    found = []
    for name in names:
        free = job.gres_on(name)
        for step in job.steps.values():
            if step.running and step.exclusive and not request.overlap and name in step.nodes:
                free &= ~step.gres[step.nodes.index(name)]
        units = choose(node_gres(nodes[name].node.gres), wanted, ~free)
        if units is None:
            return None
        found.append(units)
    return tuple(found)


def _check(job: Job, wanted: Sequence[Gres], nodes: Mapping[str, NodeRecord], settings: Settings) -> None:
    """Raises SlurmError for what the job has not. Only 22.05 tells what that is."""
    problem = ""
    for one in wanted:
        held = gres_per_node(job.description, settings)
        if job.description.exclusive:
            units = (
                held_units(node_gres(nodes[name].node.gres), mask, None)
                for name, mask in zip(job.nodes, job.gres, strict=True)
            )
            held = tuple(each.gres for some in units for each in some)
        mine = [each for each in held if each.satisfies(one)]
        if not any(job.gres):
            problem = "Step requested GRES but job doesn't have GRES"
        elif not mine:
            problem = f"Step requested GRES ({one.name}:{one.type or '(null)'}) not found in the job"
        elif one.count > max(each.count for each in mine):
            most = max(mine, key=lambda each: each.count)
            problem = (
                f"Step requested gres_per_node={one.kind}:{one.count} is more than the job's "
                f"gres_per_node={most.kind}:{most.count}"
            )
        if problem:
            says = settings.profile.explains_step_gres
            raise SlurmError(messages.INVALID_GRES, *([problem] if says else []))
