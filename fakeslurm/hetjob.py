"""Heterogeneous jobs: what the components of one have in common.

Each component is a job of its own, with its id, nodes and state; the first one, the leader, has the batch script. Measured on
22.05.8 and 24.11.5: docs/measured/hetjobs.md.
"""

from __future__ import annotations

from attrs import frozen

from fakeslurm.jobarray import range_text

__all__ = ["HetJob"]


@frozen
class HetJob:
    """One submitted heterogeneous job."""

    members: tuple[int, ...]
    """Job ids of the components, by offset."""

    @property
    def job_id(self) -> int:
        """The leader's, by which all of it is named."""
        return self.members[0]

    @property
    def id_set(self) -> str:
        """``HetJobIdSet``: ``5-6``."""
        return range_text(self.members)

    def offset(self, job_id: int) -> int:
        """Which component the job is. Raises ValueError for a job that is none."""
        return self.members.index(job_id)
