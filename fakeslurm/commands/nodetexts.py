"""What is true of a node, as sinfo and scontrol show it. Measured on Slurm 22.05.8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm.commands.jobsizes import memory_on_node

if TYPE_CHECKING:
    from fakeslurm.model import Job, NodeRecord, Settings

__all__ = ["ShownNode", "shown_node"]

_COMPACT = {"ALLOCATED": "alloc", "IDLE": "idle", "MIXED": "mix"}
_NUMBERS = {"IDLE": 2, "ALLOCATED": 3, "MIXED": 6}
"""Of the base states in slurm/slurm.h, by which sinfo sorts."""
_COMPLETING = 0x400


@frozen
class ShownNode:
    """A node with what is allocated of it: jobs that are completing hold it, but nothing is allocated to them."""

    record: NodeRecord
    cpus: int
    memory: int

    @property
    def name(self) -> str:
        return self.record.node.name

    @property
    def completing(self) -> bool:
        return bool(self.record.completing)

    @property
    def base(self) -> str:
        """``IDLE``, ``MIXED`` or ``ALLOCATED``."""
        if not self.cpus:
            return "IDLE"
        return "ALLOCATED" if self.cpus >= self.record.node.cpus else "MIXED"

    @property
    def state(self) -> str:
        """As scontrol prints it."""
        return f"{self.base}+COMPLETING" if self.completing else self.base

    @property
    def word(self) -> str:
        """As sinfo prints it: ``mixed``."""
        return "completing" if self.completing else self.base.lower()

    @property
    def compact(self) -> str:
        """As sinfo prints it in short: ``mix``."""
        return "comp" if self.completing else _COMPACT[self.base]

    @property
    def order(self) -> int:
        return _NUMBERS[self.base] + (_COMPLETING if self.completing else 0)


def shown_node(record: NodeRecord, jobs: Mapping[int, Job], settings: Settings) -> ShownNode:
    """The node without what its completing jobs hold."""
    cpus, memory = record.allocated_cpus, record.allocated_memory
    for job_id in record.jobs if record.completing else ():
        job = jobs[job_id]
        if job.completing:
            index = job.nodes.index(record.node.name)
            cpus -= job.cpus_per_node[index]
            memory -= memory_on_node(job, index, settings)
    return ShownNode(record, cpus, memory)
