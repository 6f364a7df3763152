"""Preemption by partition priority: whose nodes a waiting job gets, and what becomes of those that had them.

Rules measured: docs/measured/preemption.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from attrs import frozen

from fakeslurm.model import Job
from fakeslurm.slurmctld.running import Running
from fakeslurm.slurmctld.selection import Share
from fakeslurm.slurmctld.state import State
from slurmkit.slurm.states import JobState

__all__ = ["Candidate", "Preemption", "Select", "choose"]

_ATTEMPTS = 3
"""How often the candidates are tried: twice more in an order that spares some of them (preempt_reorder_count=1)."""
_A_MOMENT = 1e-3
_BACKFILL = 1.0
"""bf_interval of the clusters that this was measured on."""


@frozen
class Candidate:
    """A job that may be preempted."""

    job_id: int
    tier: int
    """PriorityTier of its partition."""
    nodes: int
    """A bit mask of the nodes that it has."""


Select = Callable[[Collection[int]], Sequence[Share] | None]
"""What the waiting job would get without the jobs of these ids."""


def choose(candidates: Sequence[Candidate], select: Select) -> tuple[tuple[int, ...], Sequence[Share]] | None:
    """The ids of those that have to go, and what the job that preempts them gets; None when all of them would not be enough.

    `candidates` are in the order of slurmctld's list. First those of the lowest tier go, of these those of the fewest nodes, one
    after the other until it is enough. Then the order is changed, twice at most: the one that was needed last comes first, and
    after it those that have the most of the nodes. Who has none of the nodes stays.
    """
    order = sorted(candidates, key=lambda one: (one.tier, one.nodes.bit_count()))
    for attempt in range(1, _ATTEMPTS + 1):
        found = _remove(order, select)
        if found is None:
            return None
        number, shares = found
        chosen = sum(1 << share.index for share in shares)
        if attempt == _ATTEMPTS or len(order) <= attempt:
            break
        useful = {one.job_id: (one.nodes & chosen).bit_count() for one in order[: number - 1]}
        last = order.pop(number - 1)
        order = [last, *sorted(order, key=lambda one: -useful.get(one.job_id, 0))]
    return tuple(one.job_id for one in order[:number] if one.nodes & chosen), shares


def _remove(order: Sequence[Candidate], select: Select) -> tuple[int, Sequence[Share]] | None:
    """How many of them have to go, and what is to be had then."""
    for number in range(1, len(order) + 1):
        shares = select([one.job_id for one in order[:number]])
        if shares is not None:
            return number, shares
    return None


class Preemption:
    """Decides whom a waiting job preempts; everything it decides is in the `State` and its effects."""

    def __init__(self, state: State, running: Running) -> None:
        self._state = state
        self._running = running
        self.enabled = state.settings.preempts and not state.settings.suspends

    def make_room(self, job: Job, partition: str, select: Select, *, first: bool) -> None:
        """A job waits for resources: those that it preempts are ended, or told that they will be when their grace time is over.

        Only the `first` that waits in its partition does so at once, the others at the next round of backfill. It preempts once,
        and again when those before should be gone.
        """
        state = self._state
        if job.may_preempt_at is None and not first:
            job.may_preempt_at = state.next_scan(state.now + _A_MOMENT, _BACKFILL)
        if job.may_preempt_at is not None and state.now < job.may_preempt_at:
            state.timers.set("preempt", job.job_id, job.may_preempt_at)
            return
        found = self.choose(partition, select)
        if found is None:
            self._wait_for_exempted(job, partition)
            return
        victims = [state.jobs[one] for one in found[0]]
        for victim in victims:
            grace = state.partitions[victim.partition].grace_time
            if victim.grace_end is None and grace:
                self._running.give_notice(victim, grace)
            elif victim.grace_end is None or state.now >= victim.grace_end:
                victim.preempt_time = state.now
                self._running.preempt(victim)
        patience = state.settings.kill_wait + state.settings.message_timeout
        graces = [victim.grace_end or 0.0 for victim in victims if not victim.completing]
        job.may_preempt_at = max([state.now + patience, *graces])
        state.timers.set("preempt", job.job_id, job.may_preempt_at)
        job.preempts_in, job.elsewhere_at = partition, state.now + _BACKFILL
        if "," in job.partition:
            state.timers.set("elsewhere", job.job_id, job.elsewhere_at)

    def _wait_for_exempted(self, job: Job, partition: str) -> None:
        """Look again when one more job has run for PreemptExemptTime."""
        state = self._state
        ends = [self._exempted_until(other) for other in self._preemptable(partition)]
        ends = [end for end in ends if end > state.now]
        if ends:
            state.timers.set("preempt", job.job_id, min(ends))

    def _exempted_until(self, job: Job) -> float:
        return (job.start_time or 0.0) + self._state.settings.preempt_exempt_time

    def choose(self, partition: str, select: Select) -> tuple[tuple[int, ...], Sequence[Share]] | None:
        """The jobs that one of this partition would preempt, and what it would get then; None when that is no help."""
        candidates = self._candidates(partition) if self.enabled else []
        return choose(candidates, select) if candidates else None

    def _candidates(self, partition: str) -> list[Candidate]:
        state = self._state
        return [
            Candidate(job.job_id, state.partitions[job.partition].priority_tier, state.resources.nodes_of(job.job_id))
            for job in self._preemptable(partition)
            if self._exempted_until(job) <= state.now
        ]

    def _preemptable(self, partition: str) -> Iterator[Job]:
        """The jobs that one of this partition may preempt, when they have run long enough."""
        state = self._state
        tier = state.partitions[partition].priority_tier
        mine = state.resources.partition_masks[partition]
        for job in sorted(state.running.values(), key=lambda one: one.place):
            if job.state is not JobState.RUNNING:
                continue
            other = state.partitions[job.partition]
            if other.priority_tier >= tier or state.settings.preempt_mode_of(other) == "OFF":
                continue
            if state.resources.nodes_of(job.job_id) & mine:
                yield job
