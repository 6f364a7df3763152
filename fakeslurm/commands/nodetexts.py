"""What is true of a node, as sinfo and scontrol show it. Measured on Slurm 22.05.8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm.commands.jobsizes import memory_on_node
from fakeslurm.commands.jobtexts import NULL
from fakeslurm.gres import node_gres, used_text
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.model import Job, NodeRecord, Settings

__all__ = ["ShownNode", "shown_node"]

_COMPACT = {
    "allocated": "alloc",
    "completing": "comp",
    "drained": "drain",
    "draining": "drng",
    "failing": "failg",
    "mixed": "mix",
}
_NUMBERS = {"DOWN": 1, "IDLE": 2, "ALLOCATED": 3, "MIXED": 6}
"""Of the base states in slurm/slurm.h, by which sinfo sorts; below, those of the flags."""
_DRAIN = 0x200
_COMPLETING = 0x400
_FAIL = 0x2000


@frozen
class ShownNode:
    """A node with what is allocated of it: jobs that are completing hold it, but nothing is allocated to them."""

    record: NodeRecord
    cpus: int
    memory: int
    gres_in_use: int
    crowded: bool = False
    """Whether a job runs on it whose CPUs do not count, others having had them when it was resumed."""
    memory_mixes: bool = False
    """Whether memory alone makes it MIXED."""

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
    def total_cpus(self) -> int:
        return self.record.node.cpus

    @property
    def total_memory(self) -> int:
        """In MB, as `tmp_disk`."""
        return self.record.node.real_memory

    @property
    def tmp_disk(self) -> int:
        return self.record.node.tmp_disk

    @property
    def completing(self) -> bool:
        return bool(self.record.completing)

    @property
    def base(self) -> str:
        """``DOWN``, ``IDLE``, ``MIXED`` or ``ALLOCATED``."""
        if self.record.down:
            return "DOWN"
        if not self.cpus and self.memory and self.memory_mixes:
            return "MIXED"
        if not self.cpus:
            return "ALLOCATED" if self.crowded else "IDLE"
        return "ALLOCATED" if self.cpus >= self.record.node.cpus else "MIXED"

    @property
    def state(self) -> str:
        """As scontrol prints it: ``IDLE+COMPLETING+DRAIN``."""
        flags = {"COMPLETING": self.completing, "DRAIN": self.record.drain, "FAIL": self.record.fail}
        return "+".join([self.base, *(flag for flag, holds in flags.items() if holds)])

    @property
    def busy(self) -> bool:
        """Whether something of a job is on it."""
        return self.completing or self.cpus > 0 or self.crowded

    @property
    def draining(self) -> bool:
        """It is to be drained, but is not yet."""
        return self.record.drain and self.busy and not self.record.down

    @property
    def word(self) -> str:
        """As sinfo prints it: ``mixed``."""
        if self.record.drain:
            return "draining" if self.draining else "drained"
        if self.record.fail:
            return "failing" if self.completing or self.base == "ALLOCATED" else "fail"
        if self.record.down:
            return "down"
        return "completing" if self.completing else self.base.lower()

    @property
    def compact(self) -> str:
        """As sinfo prints it in short: ``mix``."""
        return _COMPACT.get(self.word, self.word)

    @property
    def idle_cpus(self) -> int:
        """CPUs that a job could have; those of a node that is down or drained count as neither used nor idle."""
        return 0 if self.record.down or self.record.drain else self.record.node.cpus - self.cpus

    @property
    def reason(self) -> str:
        return "none" if self.record.why is None else self.record.why.text

    @property
    def reason_user(self) -> str:
        return "Unknown" if self.record.why is None else self.record.why.user

    @property
    def reason_time(self) -> float | None:
        return None if self.record.why is None else self.record.why.time

    @property
    def order(self) -> int:
        flags = _COMPLETING * self.completing + _DRAIN * self.record.drain + _FAIL * self.record.fail
        return _NUMBERS[self.base] + flags


def shown_node(record: NodeRecord, jobs: Mapping[int, Job], settings: Settings) -> ShownNode:
    """The node without what its completing jobs hold."""
    cpus, memory, gres = record.allocated_cpus, record.allocated_memory, record.gres_in_use
    if record.completing:
        cpus = record.in_use_without(record.completing).bit_count()
        for job in [jobs[job_id] for job_id in record.completing]:
            memory -= memory_on_node(job, job.nodes.index(record.node.name), settings)
            gres &= ~job.gres_on(record.node.name)
    crowded = any(jobs[job_id].state is JobState.RUNNING for job_id in record.aside)
    return ShownNode(record, cpus, memory, gres, crowded, settings.profile.memory_makes_mixed)
