"""PreemptMode=SUSPEND,GANG: whose CPUs a job may have as well, and who stands still because a job of a higher tier has them.

Rules measured: docs/measured/preemption.md. The partitions differ in their tiers (`Settings`), therefore no two jobs of one tier ever
have the same CPUs, and the time slices of Slurm's gang scheduler change nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from attrs import frozen

from fakeslurm.model import Job
from fakeslurm.slurmctld.selection import Share
from fakeslurm.slurmctld.state import State
from fakeslurm.slurmctld.suspension import Suspension
from slurmkit.slurm.states import JobState

__all__ = ["Gang", "Overlay"]

_TIME_SLICE = 30.0
"""SchedulerTimeSlice: so often a job that could not go on is looked at again."""
_A_MOMENT = 1e-3


@frozen
class Overlay:
    """What a job gets, and the jobs whose CPUs it may get with that."""

    shares: Sequence[Share]
    beneath: Collection[int]


class Gang:
    """Everything it decides is in the `State` and its effects."""

    def __init__(self, state: State, suspension: Suspension) -> None:
        self._state = state
        self._suspension = suspension
        self.enabled = state.settings.suspends

    def beneath(self, partition: str) -> frozenset[int]:
        """The jobs whose CPUs one of this partition may have: those of lower tiers, but for PreemptMode=OFF."""
        return frozenset(job_id for jobs in self._lower(partition) for job_id in jobs)

    def _lower(self, partition: str) -> list[set[int]]:
        """The jobs of each lower tier, the highest first."""
        state = self._state
        limit = state.partitions[partition].priority_tier
        tiers: defaultdict[int, set[int]] = defaultdict(set)
        for job in state.running.values():
            other = state.partitions[job.partition]
            if other.priority_tier < limit and other.preempt_mode != "OFF":
                tiers[other.priority_tier].add(job.job_id)
        return [tiers[tier] for tier in sorted(tiers, reverse=True)]

    def find(
        self, partition: str, select_without: Callable[[Collection[int]], Sequence[Share] | None]
    ) -> Overlay | None:
        """What a job of this partition gets that does not fit beside what is there.

        All lower tiers count as free, or all but the highest, and so on, as long as that is enough; which of these jobs will stand
        still, and how many, does not matter.
        """
        lower = self._lower(partition)
        beneath = frozenset(job_id for jobs in lower for job_id in jobs)
        shares = select_without(beneath) if beneath else None
        if shares is None:
            return None
        for jobs in lower:
            spared = select_without(beneath - jobs)
            if spared is None:
                break
            beneath, shares = beneath - jobs, spared
        return Overlay(shares, beneath)

    def look(self) -> None:
        """A job has started, or what it held is free: who has to stand still now, and who may go on?

        Who stands still keeps nobody else from going on: from the highest tier to the lowest.
        """
        if not self.enabled:
            return
        state = self._state
        tiers: defaultdict[int, list[Job]] = defaultdict(list)
        for job in state.running.values():
            tiers[state.partitions[job.partition].priority_tier].append(job)
        busy: defaultdict[int, int] = defaultdict(int)
        for tier in sorted(tiers, reverse=True):
            active = []
            for job in sorted(tiers[tier], key=lambda one: one.place):
                holding = state.resources.held_by(job.job_id)
                shadowed = any(busy[share.index] & cpus for share, _, cpus, _ in holding.by_node())
                self._cast(job, shadowed)
                if not shadowed:
                    active.append(holding)
            for holding in active:
                for share, _, cpus, _ in holding.by_node():
                    busy[share.index] |= cpus

    def _cast(self, job: Job, shadowed: bool) -> None:
        if shadowed == job.shadowed:
            return
        job.shadowed = shadowed
        if not shadowed:
            self.go_on(job)
        elif job.state is JobState.RUNNING:
            self._suspension.stand_still(job)

    def go_on(self, job: Job) -> None:
        """Nobody has its CPUs any more, or that was so and it was held: it goes on, or is looked at again at the next time slice."""
        if job.shadowed or job.state is not JobState.SUSPENDED:
            return
        if job.priority:
            self._suspension.go_on(job)
        else:
            state = self._state
            state.timers.set("slice", job.job_id, state.next_scan(state.now + _A_MOMENT, _TIME_SLICE))
