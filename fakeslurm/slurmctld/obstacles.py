"""What keeps a job from the queues of partitions: of the limits, those of now; of the nodes, what an empty cluster has not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from fakeslurm import messages
from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import Job, JobDescription, Partition
from fakeslurm.slurmctld import admission
from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.selection import select
from fakeslurm.slurmctld.state import State

__all__ = ["Obstacles"]


_OF_LIMITS = (Reason.PARTITION_TIME_LIMIT, Reason.PARTITION_NODE_LIMIT, Reason.PARTITION_CONFIG)
_OF_STATES = (Reason.PARTITION_DOWN, Reason.PARTITION_INACTIVE)


class Obstacles:
    """Decides where a job may be queued."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._nodes_on_empty = lru_cache(maxsize=1024)(self._nodes_if_alone)
        """The answer depends on nothing that changes but partitions, and most jobs are alike."""

    def partitions_changed(self) -> None:
        """Partitions have other limits or nodes than before."""
        self._nodes_on_empty.cache_clear()

    def problem(
        self, description: JobDescription, demand: Demand, partitions: Sequence[Partition]
    ) -> SlurmError | None:
        """Why the job could never run, not even if the limits of its partitions were others."""
        misfit = admission.misfit(description, demand, self._state.resources)
        reasons = [
            Reason.BAD_CONSTRAINTS if self._is_hopeless(reason, demand, one, misfit is not None) else reason
            for reason, one in zip(self.of(description, demand, partitions), partitions, strict=True)
        ]
        if set(reasons) != {Reason.BAD_CONSTRAINTS}:
            return None
        return misfit or SlurmError(messages.NODE_CONFIGURATION)

    def open_partitions(
        self, description: JobDescription, demand: Demand, partitions: Sequence[Partition]
    ) -> list[Partition]:
        """Those of the partitions in which the job may be queued."""
        found = self.of(description, demand, partitions)
        return [one for one, reason in zip(partitions, found, strict=True) if reason is None]

    def of(self, description: JobDescription, demand: Demand, partitions: Sequence[Partition]) -> list[Reason | None]:
        """What keeps the job from each of the partitions."""
        resources = self._state.resources
        misfit = admission.misfit(description, demand, resources) is not None
        found = [admission.obstacle(description, demand, one, resources, self._fits_empty) for one in partitions]
        return [Reason.BAD_CONSTRAINTS if misfit and reason is None else reason for reason in found]

    def _is_hopeless(self, reason: Reason | None, demand: Demand, partition: Partition, misfit: bool) -> bool:
        """Whether a new job is refused although it could wait for this reason if it were there already (measured)."""
        if self._state.settings.profile.refuses_more_than_there_is:
            too_big = admission.is_too_big(demand, partition, self._state.resources)
            return reason in _OF_LIMITS and (misfit or too_big)
        return reason in _OF_STATES and (misfit or not self._fits_empty(demand, partition.name))

    def look(self, job: Job, demand: Demand, partitions: Sequence[str]) -> None:
        """Slurm has looked where a pending job could run: from now on it shows as many nodes as the job would get if it was alone."""
        found = [self._nodes_on_empty(demand, one) for one in partitions]
        job.num_nodes = next(filter(None, found), job.num_nodes)
        job.looked_at = True

    def _fits_empty(self, demand: Demand, partition: str) -> bool:
        """Whether a job could run in the partition if nothing else ran."""
        return self._nodes_on_empty(demand, partition) > 0

    def _nodes_if_alone(self, demand: Demand, partition: str) -> int:
        """How many nodes a job would get in the partition if nothing else ran; 0 when it could not run."""
        resources = self._state.resources
        mask = resources.partition_masks[partition]
        shares = select(demand, resources.candidates(demand, mask, empty=True))
        most = self._state.partitions[partition].max_nodes
        return 0 if shares is None or (most is not None and len(shares) > most) else len(shares)
