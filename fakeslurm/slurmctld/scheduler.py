"""Which pending job starts next, and where: by priority, with backfill around the first job that has to wait.

As in Slurm a job that cannot start holds up the jobs behind it in its partition, unless they are sure to be gone when it can
start, or need nothing of what it will get.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain

from attrs import Factory, define, field

from fakeslurm import messages
from fakeslurm.hetjob import HetJob
from fakeslurm.messages import Reason
from fakeslurm.model import Job
from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.gang import Gang, Overlay
from fakeslurm.slurmctld.preemption import Preemption
from fakeslurm.slurmctld.queue import Queue
from fakeslurm.slurmctld.released import Released
from fakeslurm.slurmctld.runs import Run
from fakeslurm.slurmctld.selection import Share, select
from fakeslurm.slurmctld.state import State
from fakeslurm.slurmctld.verdict import unavailable, verdict

__all__ = ["Request", "Scheduler"]

_DEPTH = 100
"""How many jobs of a partition that have to wait are looked at in one pass (default_queue_depth)."""
_YEAR = 365 * 24 * 3600.0
"""What backfill takes for the length of a job without a limit (YEAR_SECONDS in slurmctld)."""
_RESOLUTION = 60.0
"""By how many seconds a job that overtakes may delay those ahead of it (bf_resolution)."""


@define
class Request:
    """A pending job, as the scheduler sees it."""

    demand: Demand
    partitions: tuple[str, ...]
    """Those whose queue it is in, in the order to be tried."""


_Key = tuple[int, int, tuple[int, int, int], int, str]
"""Of a job in a queue: -tier, -priority, turn, job id, partition."""
Part = tuple[Demand, int]
"""What a job, or a component of a heterogeneous one, needs, and the nodes (a bit mask) of which it may be had."""


@define
class _Reservation:
    """What the first job that waits in a partition will get, and when. Worked out only when somebody asks."""

    parts: Sequence[Part]
    beneath: Collection[int] = ()
    """Jobs whose CPUs it may have as well."""
    het: bool = False
    """Of a heterogeneous job: nobody may delay it, and what is free is kept for the components that it is enough for (measured)."""
    known: tuple[int, float] | None = field(default=None)


@define
class _Pass:
    """What one pass has found so far. Nodes are bit masks."""

    left: int
    """The nodes that those looked at have not kept."""
    reservations: dict[str | int, _Reservation] = Factory(dict)
    """Of the first job that holds up a partition, by its name; of those that keep only the nodes which they name, by their id."""
    looked_at: dict[str, int] = Factory(dict)
    """How many jobs of each partition were looked at in vain."""
    told: set[int] = Factory(set)
    """Those whose reason was looked at."""
    behind_het: set[str] = Factory(set)
    """The partitions in which a heterogeneous job was met."""
    closed: set[str] = Factory(set)
    """The partitions of which the first job holds up all others: nobody else was looked at, but by backfill."""
    rejected: tuple[str, int, str] | None = None
    """Of the array that was last told why it waits: partition, id and reason, which is that of all its other elements."""

    def rejects(self, job: Job, partition: str) -> bool:
        """Whether an element of this job's array was looked at in vain just before."""
        return (
            self.rejected is not None and job.array is not None and self.rejected[:2] == (partition, job.array.job_id)
        )


class Scheduler:
    """The queues. `start` is called with (job id, partition, shares, jobs whose CPUs it may have as well) for each job that may start.

    It has to take them, and the job out of the queue, unless an array has more elements to start.
    """

    def __init__(
        self,
        state: State,
        preemption: Preemption,
        gang: Gang,
        start: Callable[[int, str, Sequence[Share], Collection[int]], None],
        look: Callable[[Job, Demand, Sequence[str]], None],
    ) -> None:
        self._look = look
        self._waits_for = state.waits_for
        self._resources = state.resources
        self._jobs: Mapping[int, Job] = state.jobs
        self._running: Mapping[int, Job] = state.running
        self._preemption = preemption
        self._gang = gang
        self._preempts = preemption.enabled or gang.enabled
        self._start = start
        self._queues = {one.name: Queue() for one in state.settings.partitions}
        self._tiers = {one.name: one.priority_tier for one in state.settings.partitions}
        self._requests: dict[int, Request] = {}
        self._changed = False
        self._available = state.resources.available
        """The nodes that were available at the last pass."""
        self._told: set[int] = set()
        """The jobs that the last pass gave a reason other than their turn."""
        self._closed: set[str] = set()
        """As the last pass has found them."""
        self._names_kept = state.settings.profile.names_kept_nodes
        self._seen = 0
        """The version of the resources at the last pass."""

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._requests

    def add(self, job: Job, request: Request) -> None:
        """A job that could start, but for resources. The leader of a heterogeneous job stands in the queue for all of it."""
        self._requests[job.job_id] = request
        if job.het is not None:
            job.reason = Reason.RESOURCES  # also while another component cannot start yet (measured)
            self._changed = True
            if not job.leads:
                return
        for name in request.partitions:
            self._queues[name].add(job.job_id, job.priority, job.turn)
        if job.het is not None:
            return
        behind = all(self._queues[name].head != job.job_id for name in request.partitions)
        if behind and all(self._lacks_nodes(job, request, name) for name in request.partitions):
            self._changed |= self._preempts
            return  # and nobody waits for it
        job.reason = Reason.PRIORITY  # unless a pass says otherwise
        # Those ahead may all lack nodes, and then it is as if it were the first.
        ahead = behind and self._resources.available == self._resources.all and not self._preempts
        ahead = ahead and self._closed.issuperset(request.partitions)
        ahead = ahead and (job.array is None or job.is_unsplit)  # whose reason may be that of others of its array
        self._changed |= not ahead or request.demand.min_cpus <= self._resources.free_cpus

    def remove(self, job_id: int) -> None:
        """A job that is not to start any more; nothing when it is not here."""
        request = self._requests.get(job_id)
        if request is not None:
            first = any(self._queues[name].head == job_id for name in request.partitions)
            # Those ahead may all lack nodes, and then it was as if it were the first; or it kept nodes for itself.
            self._changed |= first or job_id in self._told or self._resources.available != self._resources.all
            self._drop(job_id)

    def _drop(self, job_id: int) -> None:
        request, job = self._requests.pop(job_id), self._jobs[job_id]
        if job.het is None or job.leads:
            for name in request.partitions:
                self._queues[name].remove(job_id)

    def look_again(self) -> None:
        """Something is possible now that was too early before."""
        self._changed = True

    def run(self, now: float) -> None:
        """Start everything that may start. Costs nothing when nothing has changed since the last time."""
        while self._changed or self._seen != self._resources.version:
            self._changed = False
            self._seen = self._resources.version
            self._pass(now)

    def _pass(self, now: float) -> None:
        """Look at the first jobs of each partition once. A job that starts may let others into the queue: `_changed`."""
        look = _Pass(self._resources.all)
        for _, _, _, job_id, name in self._in_order(look.looked_at):
            request = self._requests.get(job_id)
            if request is None:
                continue  # it was in another partition's queue, and has started
            job = self._jobs[job_id]
            full = name in look.reservations and not self._resources.free_cpus and not self._preempts
            if full and not look.rejects(job, name):
                look.looked_at[name] = _DEPTH
                continue
            if now < job.elsewhere_at and name != job.preempts_in:
                look.told.add(job_id)
                continue  # it has just preempted others, and may have their nodes soon
            if job.het is not None:
                reservation = self._try_het(job.het, look.reservations.values(), now)
                look.behind_het.add(name)
                if reservation is not None:
                    look.reservations.setdefault(name, reservation)
                    look.closed.add(name)
                continue
            licensed = self._resources.licenses.suffice
            while job_id in self._requests and not request.demand.never_starts and licensed(request.demand.licenses):
                found = self._find(job, request, name, look, now)
                if found is None:
                    break
                self._start(job_id, name, found.shares, found.beneath)  # of an array one element, then the next
            if job_id in self._requests:
                self._leave_waiting(job, request, name, look, now)
        self._give_way(look.told)
        self._closed = look.closed

    def _leave_waiting(self, job: Job, request: Request, name: str, look: _Pass, now: float) -> None:
        """Why a job that this pass does not start waits, and what it keeps from those behind it."""
        if not self._resources.licenses.suffice(request.demand.licenses):  # holds up nobody (measured)
            job.reason = Reason.LICENSES
            look.told.add(job.job_id)
            return
        look.looked_at[name] = look.looked_at.get(name, 0) + 1
        if self._lacks_nodes(job, request, name):  # holds up nobody
            look.told.add(job.job_id)
            return
        mask = self._resources.partition_masks[name]
        if request.demand.never_starts:
            if name not in look.reservations:  # those behind it wait for it, if not for nodes
                look.told.add(job.job_id)
                self._tell(job, request, name, Reason.RESOURCES)
                look.reservations[name] = _Reservation((), known=(0, now))
            return
        if self._preemption.enabled:
            free = mask & ~self._reserved(job, look.reservations.values(), now)
            select_without = self._select_without(request.demand, free, Released.add)
            self._preemption.make_room(job, name, select_without, first=name not in look.reservations)
        if look.rejected is not None and look.rejects(job, name):
            look.told.add(job.job_id)
            self._tell(job, request, name, look.rejected[2])
            return
        if name in look.reservations:
            return
        found = verdict(request.demand, name, look.left, self._resources, self._exclusive, self._names_kept)
        look.told.add(job.job_id)
        self._tell(job, request, name, Reason.PRIORITY if name in look.behind_het else found.reason)
        if job.array is not None:  # the reason alone, not its text (measured)
            look.rejected = name, job.array.job_id, job.reason.partition(",")[0]
        look.left &= ~found.keeps
        if found.closes and look.looked_at[name] == 1:
            look.closed.add(name)
        if found.keeps:
            beneath = self._gang.beneath(name) if self._gang.enabled else ()
            look.reservations[name if found.closes else job.job_id] = _Reservation([(request.demand, mask)], beneath)

    def _exclusive(self) -> int:
        """The nodes that a job has to itself."""
        mask = 0
        for job_id, job in self._running.items():
            if job.description.exclusive:
                mask |= self._resources.nodes_of(job_id)
        return mask

    def _tell(self, job: Job, request: Request, partition: str, reason: str) -> None:
        if reason == Reason.RESOURCES and job.reason != reason:
            self._look(job, request.demand, [partition])
        if reason.startswith(Reason.NODE_NOT_AVAILABLE):
            self._waits_for(job, Reason.NODE_NOT_AVAILABLE)
        job.reason = reason

    def _give_way(self, told: set[int]) -> None:
        """Whom the pass has told nothing wait for their turn; all reasons are looked at when nodes have come or gone."""
        same_nodes = self._available == self._resources.available
        others = self._told if same_nodes else {job_id for queue in self._queues.values() for _, _, job_id in queue}
        for job_id in others - told:
            request, job = self._requests.get(job_id), self._jobs.get(job_id)
            if request is None or job is None or job.het is not None:
                continue
            if same_nodes:
                if not job.reason.startswith(Reason.NODE_NOT_AVAILABLE):  # which stays (measured)
                    job.reason = Reason.PRIORITY
            elif not all(self._lacks_nodes(job, request, name) for name in request.partitions):
                job.reason = Reason.PRIORITY
        self._told = told
        self._available = self._resources.available

    def _lacks_nodes(self, job: Job, request: Request, partition: str) -> bool:
        """Whether a job waits for nodes that are down, drained or failing; if so, that is its reason (measured)."""
        resources, demand = self._resources, request.demand
        mask = resources.partition_masks[partition]
        missing = mask & ~resources.available
        if not missing:
            return False
        usable = mask & resources.available & ~demand.excluded
        wanted = demand.required & missing
        if wanted:
            job.reason = unavailable(wanted, resources)
        elif usable.bit_count() < demand.min_nodes:
            job.reason = messages.TOO_FEW_NODES
        elif select(demand, resources.candidates(demand, usable, empty=True)) is None:
            job.reason = unavailable(missing, resources)
        else:
            return False
        self._waits_for(job, Reason.NODE_NOT_AVAILABLE)
        return True

    def _in_order(self, looked_at: Mapping[str, int]) -> Iterable[_Key]:
        """All queues together, by tier and priority; of each until enough have been looked at in vain."""

        def keyed(name: str, queue: Queue) -> Iterator[_Key]:
            for priority, turn, job_id in queue:
                if looked_at.get(name, 0) >= _DEPTH:
                    return
                yield -self._tiers[name], priority, turn, job_id, name

        queues = [keyed(name, queue) for name, queue in self._queues.items() if queue]
        return merge(*queues) if len(queues) > 1 else chain(*queues)

    def _find(self, job: Job, request: Request, partition: str, look: _Pass, now: float) -> Overlay | None:
        demand = request.demand
        mask = self._resources.partition_masks[partition]
        shares = self._find_free(demand, mask)
        if shares is None and not self._gang.enabled:
            return None
        if look.reservations:
            mask &= ~self._reserved(job, look.reservations.values(), now)
            shares = self._find_free(demand, mask & look.left) or self._find_free(demand, mask)
        if shares is not None:
            return Overlay(shares, ())
        return self._find_overlay(demand, partition, mask) if self._gang.enabled else None

    def _find_free(self, demand: Demand, mask: int) -> list[Share] | None:
        if demand.min_cpus > self._resources.free_cpus:
            return None
        return select(demand, self._resources.candidates(demand, mask))

    def _find_overlay(self, demand: Demand, partition: str, mask: int) -> Overlay | None:
        return self._gang.find(partition, self._select_without(demand, mask, Released.add_cpus))

    def _select_without(
        self, demand: Demand, mask: int, release: Callable[[Released, int], None]
    ) -> Callable[[Collection[int]], list[Share] | None]:
        """What a job would get of these nodes if jobs of certain ids were gone, or (`release`) some of what they hold was free."""

        def select_without(job_ids: Collection[int]) -> list[Share] | None:
            released = Released(self._resources)
            for job_id in job_ids:
                release(released, job_id)
            return select(demand, released.candidates(demand, mask & self._resources.available))

        return select_without

    def _reserved(self, job: Job, reservations: Collection[_Reservation], now: float) -> int:
        """The nodes that jobs ahead will need before this one, started now, would have ended."""
        mask, end = 0, now + _length(job)
        for reservation in reservations:
            reserved, begin = self._reserve(reservation, now)
            if begin + (0.0 if reservation.het else _RESOLUTION) < end:
                mask |= reserved
        return mask

    def _try_het(self, het: HetJob, reservations: Collection[_Reservation], now: float) -> _Reservation | None:
        """Start all components of a heterogeneous job, on different nodes, or none; what it waits for if it holds up others."""
        requests = [self._requests.get(job_id) for job_id in het.members]
        ready = [request for request in requests if request is not None]
        if len(ready) < len(requests):
            return None
        partitions = [request.partitions[0] for request in ready]
        masks = self._resources.partition_masks
        parts = [(request.demand, masks[name]) for request, name in zip(ready, partitions, strict=True)]
        candidates = self._resources.candidates
        reserved = self._reserved(self._jobs[het.job_id], reservations, now) if reservations else 0
        found = _select_parts([(demand, mask & ~reserved) for demand, mask in parts], candidates)
        if found is not None:
            for job_id, name, shares in zip(het.members, partitions, found, strict=True):
                self._start(job_id, name, shares, ())
            return None
        possible = _select_parts(parts, lambda demand, mask: candidates(demand, mask, empty=True))
        return None if possible is None else _Reservation(parts, het=True)

    def _reserve(self, reservation: _Reservation, now: float) -> tuple[int, float]:
        """The nodes that the job will get, and when, if every running job uses all of its time."""
        if reservation.known is None:
            if reservation.het:
                reservation.known = self._foresee_het(reservation.parts, now)
            else:
                reservation.known = self._foresee(reservation.parts, now, reservation.beneath)
        return reservation.known

    def _foresee_het(self, parts: Sequence[Part], now: float) -> tuple[int, float]:
        kept, later = 0, []
        for demand, mask in parts:
            shares = select(demand, self._resources.candidates(demand, mask & ~kept))
            if shares is None:
                later.append((demand, mask))
            else:
                kept |= _nodes_of(shares)
        reserved, begin = self._foresee([(demand, mask & ~kept) for demand, mask in later], now)
        return reserved | kept, begin

    def _foresee(self, parts: Sequence[Part], now: float, beneath: Collection[int] = ()) -> tuple[int, float]:
        parts = [(demand, mask & self._resources.available) for demand, mask in parts]
        ends = sorted((max(self._end(job), now), job_id) for job_id, job in self._running.items())
        released = Released(self._resources)
        for job_id in beneath:
            released.add_cpus(job_id)
        for place, (end, job_id) in enumerate(ends):
            released.add(job_id)
            if place + 1 < len(ends) and ends[place + 1][0] == end:
                continue
            found = _select_parts(parts, released.candidates)
            if found is not None:
                return _nodes_of(share for shares in found for share in shares), end
        everything = 0
        for _, mask in parts:
            everything |= mask
        return everything, now + _YEAR

    def _end(self, job: Job) -> float:
        if job.completing or job.start_time is None:
            return 0.0
        if job.grace_end is not None:
            return job.grace_end
        return job.start_time + _length(job) + job.end_shift

    def forecast(
        self, demand: Demand, partition: str, now: float
    ) -> tuple[Sequence[Share], float, tuple[int, ...]] | None:
        """What a job that stands first in the queue would get, when, and which jobs it would preempt; None for never."""
        mask = self._resources.partition_masks[partition]
        shares = select(demand, self._resources.candidates(demand, mask))
        if shares is not None:
            return shares, now, ()
        if self._gang.enabled:
            overlay = self._find_overlay(demand, partition, mask)
            if overlay is not None:  # whom it preempts is not said (measured)
                return overlay.shares, now, ()
        found = self._preemption.choose(partition, self._select_without(demand, mask, Released.add))
        if found is not None:
            preempted, room = found
            return room, now, preempted
        reserved, begin = self._foresee([(demand, mask)], now)
        shares = select(demand, self._resources.candidates(demand, reserved, empty=True))
        return None if shares is None else (shares, begin, ())


def _nodes_of(shares: Iterable[Share]) -> int:
    mask = 0
    for share in shares:
        mask |= 1 << share.index
    return mask


def _select_parts(
    parts: Sequence[Part], candidates: Callable[[Demand, int], Sequence[Run]]
) -> list[list[Share]] | None:
    """What each part gets, no node twice; None when there is not enough for all."""
    found: list[list[Share]] = []
    used = 0
    for demand, mask in parts:
        shares = select(demand, candidates(demand, mask & ~used))
        if shares is None:
            return None
        found.append(shares)
        used |= _nodes_of(shares)
    return found


def _length(job: Job) -> float:
    return _YEAR if job.time_limit is None else job.time_limit * 60.0
