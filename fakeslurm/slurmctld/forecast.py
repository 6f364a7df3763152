"""``--test-only``: when and where a job would start."""

from __future__ import annotations

from attrs import evolve, frozen

from fakeslurm import messages
from fakeslurm.messages import SlurmError
from fakeslurm.model import JobDescription
from fakeslurm.slurmctld import admission, submission
from fakeslurm.slurmctld.obstacles import Obstacles
from fakeslurm.slurmctld.scheduler import Scheduler
from fakeslurm.slurmctld.state import State

__all__ = ["Forecast", "forecast"]


@frozen(kw_only=True)
class Forecast:
    """What ``--test-only`` answers."""

    job_id: int
    """The id that it used up."""
    start: float
    nodes: tuple[str, ...]
    num_cpus: int
    partition: str
    preempts: tuple[int, ...]
    """The jobs that would have to make room."""


def forecast(description: JobDescription, state: State, obstacles: Obstacles, scheduler: Scheduler) -> Forecast:
    """When and where the job would start; nothing is kept but a job id is used up. Raises SlurmError."""
    partitions, demand = submission.check(description, state)
    job_id = state.take_id()
    admission.check_features(description, state.settings)
    if demand.required:  # no other nodes are looked at, where a job would get some (measured)
        demand = evolve(demand, excluded=demand.excluded | (state.resources.all & ~demand.required))
    for partition in obstacles.open_partitions(description, demand, partitions):
        found = scheduler.forecast(demand, partition.name, state.now)
        if found is not None:
            shares, start, preempts = found
            return Forecast(
                job_id=job_id,
                start=start,
                nodes=tuple(state.resources.by_index[share.index].node.name for share in shares),
                num_cpus=sum(share.cpus for share in shares),
                partition=partition.name,
                preempts=preempts,
            )
    raise SlurmError(messages.NODE_CONFIGURATION)
