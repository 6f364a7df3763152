"""The nodes as they would be without some of the jobs that run."""

from __future__ import annotations

from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.resources import Resources
from fakeslurm.slurmctld.runs import Run

__all__ = ["Released"]


class Released:
    """The nodes as they will be when some of the running jobs have ended."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._jobs: set[int] = set()
        """Those whose CPUs are free."""
        self._over: set[int] = set()
        """Those that have ended."""
        self._touched: set[int] = set()
        """The nodes of these."""
        self._memory: dict[int, int] = {}
        self._gres: dict[int, int] = {}

    def add_cpus(self, job_id: int) -> None:
        """Others may have the job's CPUs."""
        self._jobs.add(job_id)
        self._touched.update(share.index for share in self._resources.held_by(job_id).shares)

    def add(self, job_id: int) -> None:
        """The job has ended."""
        self.add_cpus(job_id)
        self._over.add(job_id)
        for share, memory, _, gres in self._resources.held_by(job_id).by_node():
            self._memory[share.index] = self._memory.get(share.index, 0) + memory
            self._gres[share.index] = self._gres.get(share.index, 0) | gres

    def candidates(self, demand: Demand, mask: int) -> list[Run]:
        mask &= ~demand.excluded
        found = []
        for record in self._resources.by_index:
            if not mask >> record.index & 1 or not record.completing <= self._over:
                continue
            touched = record.index in self._touched
            used_cpus = record.in_use_without(self._jobs).bit_count() if touched else record.allocated_cpus
            free = record.node.cpus - used_cpus
            if demand.whole_nodes and free < record.node.cpus:
                continue
            used = record.allocated_memory - self._memory.get(record.index, 0)
            gres_in_use = record.gres_in_use & ~self._gres.get(record.index, 0)
            cpus = self._resources.usable_cpus(demand, record, free, used, gres_in_use)
            if cpus >= demand.whole_cpus_per_node:
                found.append(Run(record.index, cpus))
        return found
