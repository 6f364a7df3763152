"""What is true of a node, as sinfo and scontrol show it. Measured on Slurm 22.05.8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm.commands.jobsizes import memory_on_node
from fakeslurm.commands.jobtexts import NULL
from fakeslurm.gres import node_gres, used_text

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
    gres_in_use: int

    @property
    def gres(self) -> str:
        return self.record.node.gres or NULL

    @property
    def features(self) -> str:
        return ",".join(self.record.node.features) or NULL

    def gres_used(self, settings: Settings) -> str:
        """``gpu:1,fpga:0``; empty for a node that has none, in 24.11."""
        lines = node_gres(self.record.node.gres)
        return used_text(lines, self.gres_in_use, settings.gres_types, settings.profile.release)

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
    cpus, memory, gres = record.allocated_cpus, record.allocated_memory, record.gres_in_use
    for job_id in record.jobs if record.completing else ():
        job = jobs[job_id]
        if job.completing:
            index = job.nodes.index(record.node.name)
            cpus -= job.cpus_per_node[index]
            memory -= memory_on_node(job, index, settings)
            gres &= ~job.gres_on(record.node.name)
    return ShownNode(record, cpus, memory, gres)
