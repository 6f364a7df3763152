"""Who holds what of the nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import define, field, frozen

from fakeslurm.gres import choose, node_gres
from fakeslurm.model import NodeRecord, Partition, Settings
from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.licenses import Licenses
from fakeslurm.slurmctld.runs import Run, put, runs_of
from fakeslurm.slurmctld.selection import Share

__all__ = ["Holding", "Resources", "bits"]

_VIEWS = 8
"""Of how many demands it is kept which nodes they could have: an array has one."""


def bits(mask: int) -> Iterable[int]:
    """The places of the ones in a mask, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


@frozen
class Holding:
    """What one job holds."""

    shares: tuple[Share, ...]
    memory: tuple[int, ...]
    """MB on each of these nodes; zeros when memory is not consumed."""
    cpus: tuple[int, ...]
    """Which CPUs of each of these nodes: bit masks."""
    gres: tuple[int, ...]
    """Which units of each node's gres: bit masks."""
    licenses: tuple[tuple[str, int], ...]

    def of(self, mask: int) -> Holding:
        """What it is on these nodes, with all of the licenses."""
        parts = [part for part in self.by_node() if mask >> part[0].index & 1]
        shares, memory, cpus, gres = zip(*parts, strict=True)
        return Holding(shares, memory, cpus, gres, self.licenses)

    def by_node(self) -> Iterable[tuple[Share, int, int, int]]:
        """Share, memory, CPUs and gres of each node."""
        return zip(self.shares, self.memory, self.cpus, self.gres, strict=True)


@define
class _View:
    """The nodes as one demand sees them."""

    runs: list[Run]
    stale: set[int] = field(factory=set)
    """Nodes that have changed since."""


class Resources:
    """The nodes with what is allocated of them. Every node set is a bit mask over their places."""

    def __init__(self, settings: Settings) -> None:
        self.nodes: dict[str, NodeRecord] = {
            node.name: NodeRecord(node=node, index=index) for index, node in enumerate(settings.nodes)
        }
        self.by_index: Sequence[NodeRecord] = tuple(self.nodes.values())
        self.all = (1 << len(self.by_index)) - 1
        self.partition_masks: Mapping[str, int] = {one.name: self._mask_of(one) for one in settings.partitions}
        self.partition_cpus: Mapping[str, int] = {
            name: sum(self.by_index[index].node.cpus for index in bits(mask))
            for name, mask in self.partition_masks.items()
        }
        self.largest: Mapping[str, int] = {
            name: max((self.by_index[index].node.cpus for index in bits(mask)), default=0)
            for name, mask in self.partition_masks.items()
        }
        """CPUs of the largest node of each partition."""
        self.most_cpus = max(node.cpus for node in settings.nodes)
        self.most_memory = max(node.real_memory for node in settings.nodes)
        self.most_tmp_disk = max(node.tmp_disk for node in settings.nodes)
        self.free = self.all
        """Nodes with a CPU left."""
        self.idle = self.all
        """Nodes of which nothing is allocated."""
        self.available = self.all
        """Nodes on which a job may start: not down, drained or failing."""
        self.closed = 0
        """Nodes on which no job may start yet, as others are completing there."""
        self.touched: dict[str, NodeRecord] = {}
        """Nodes whose state was changed by hand, for the history."""
        self.free_cpus = sum(node.cpus for node in settings.nodes)
        """Without those of the nodes that are closed."""
        self.version = 0
        """Counts up whenever something is released."""
        self.licenses = Licenses(settings.licenses)
        self._memory_is_consumed = settings.memory_is_consumed
        self._holdings: dict[int, Holding] = {}
        self._views: dict[tuple[Demand, int], _View] = {}
        """Of the latest demands, with the nodes that each may have."""
        self._aside: set[int] = set()
        """Jobs whose CPUs do not count: suspended ones, and ones that were resumed when others had their CPUs."""

    def _mask_of(self, partition: Partition) -> int:
        if partition.nodes is None:
            return self.all
        mask = 0
        for name in partition.nodes:
            mask |= 1 << self.nodes[name].index
        return mask

    def candidates(self, demand: Demand, mask: int, *, empty: bool = False) -> Sequence[Run]:
        """The nodes of `mask` that a job could use now, or (`empty`) if nothing else ran, with its CPUs there; until something changes."""
        mask &= ~demand.excluded
        if empty:
            return self._runs(demand, mask, empty=True)
        view = self._views.get((demand, mask))
        if view is None:
            if len(self._views) >= _VIEWS:
                del self._views[next(iter(self._views))]
            view = self._views[demand, mask] = _View(self._runs(demand, mask))
        for index in view.stale:
            put(view.runs, index, self._cpus_for(demand, index) if mask >> index & 1 else None)
        view.stale.clear()
        return view.runs

    def _runs(self, demand: Demand, mask: int, *, empty: bool = False) -> list[Run]:
        usable = ((index, self._cpus_for(demand, index, empty=empty)) for index in bits(mask))
        return runs_of(Run(index, cpus) for index, cpus in usable if cpus is not None)

    def _cpus_for(self, demand: Demand, index: int, *, empty: bool = False) -> int | None:
        """The CPUs of a node that a job could use; None: the node is not for it."""
        record = self.by_index[index]
        if empty:
            cpus = self.usable_cpus(demand, record, record.node.cpus, 0, 0)
        elif (self.available & ~self.closed & (self.idle if demand.whole_nodes else self.free)) >> index & 1:
            free = record.node.cpus - record.allocated_cpus
            cpus = self.usable_cpus(demand, record, free, record.allocated_memory, record.gres_in_use)
        else:
            return None
        return cpus if cpus >= demand.whole_cpus_per_node else None

    def _changed(self, index: int) -> None:
        """Something of a node has changed that a demand may mind."""
        for view in self._views.values():
            view.stale.add(index)

    def usable_cpus(self, demand: Demand, record: NodeRecord, cpus: int, used_memory: int, gres_in_use: int) -> int:
        """How many of the node's `cpus` free CPUs the job can use, for its tasks per node, for memory and gres."""
        node = record.node
        if demand.whole_nodes and gres_in_use:  # of a suspended job: nobody else is on it (measured)
            return 0
        if demand.gres and choose(node_gres(node.gres), demand.gres, gres_in_use) is None:
            return 0
        if (demand.mem_per_node or 0) > node.real_memory or (demand.mem_per_cpu or 0) > node.real_memory:
            return 0
        if demand.tmp_disk > node.tmp_disk:
            return 0
        if cpus < demand.free_cpus_per_node:
            return 0
        if demand.most_cpus_per_node is not None and not demand.whole_nodes:
            cpus = min(cpus, demand.most_cpus_per_node)
        if not self._memory_is_consumed:
            return cpus
        free_memory = node.real_memory - used_memory
        if demand.mem_per_cpu:
            return min(cpus, free_memory // demand.mem_per_cpu)
        return cpus if (demand.mem_per_node or node.real_memory) <= free_memory else 0

    def holding(self, demand: Demand, shares: Iterable[Share], beneath: Collection[int] = ()) -> Holding:
        """What a job holds with these shares. CPUs of jobs `beneath` count as free."""
        shares = tuple(shares)
        return Holding(
            shares,
            tuple([self._memory(demand, share) for share in shares]),
            tuple([self._cpus(demand, share, beneath) for share in shares]),
            tuple([self._gres(demand, self.by_index[share.index]) for share in shares]),
            demand.licenses,
        )

    def _gres(self, demand: Demand, record: NodeRecord) -> int:
        """Which units of a node's gres a job gets: the lowest free ones, and of a node that is all its own all (measured)."""
        if not demand.gres and not demand.whole_nodes:
            return 0
        lines = node_gres(record.node.gres)
        if demand.whole_nodes:
            return (1 << sum(line.count for line in lines)) - 1
        return choose(lines, demand.gres, record.gres_in_use) or 0

    def _cpus(self, demand: Demand, share: Share, beneath: Collection[int]) -> int:
        """The CPUs of a node that a job gets: mostly the first ones that nobody has (measured: CPU_IDs of ``scontrol show job -d``)."""
        record = self.by_index[share.index]
        free = ~(record.in_use_without(beneath) if beneath else record.cpus_in_use)
        free &= (1 << record.node.cpus) - 1
        chosen = 0
        for _ in range(min(share.cpus, free.bit_count())):
            one = 1 << free.bit_length() - 1 if demand.takes_last_cpus else free & -free
            chosen |= one
            free ^= one
        return chosen

    def _memory(self, demand: Demand, share: Share) -> int:
        if not self._memory_is_consumed:
            return 0
        if demand.mem_per_cpu:
            return demand.mem_per_cpu * share.cpus
        return demand.mem_per_node or self.by_index[share.index].node.real_memory

    def take(self, job_id: int, holding: Holding) -> None:
        self._holdings[job_id] = holding
        self.licenses.take(holding.licenses)
        for share, memory, _, gres in holding.by_node():
            record = self.by_index[share.index]
            record.gres_in_use |= gres
            record.allocated_memory += memory
        self._occupy(job_id, holding)

    def _occupy(self, job_id: int, holding: Holding) -> None:
        for share, _, cpus, _ in holding.by_node():
            record = self.by_index[share.index]
            record.aside.discard(job_id)
            record.jobs[job_id] = cpus
            self._use(record, record.cpus_in_use | cpus)
            self.idle &= ~(1 << share.index)
            self._changed(share.index)
            if record.allocated_cpus >= record.node.cpus:
                self.free &= ~(1 << share.index)

    def completing(self, job_id: int) -> None:
        """A job has ended: its nodes take no others, whatever it leaves of them, until they are given back (measured)."""
        for share in self._holdings[job_id].shares:
            record = self.by_index[share.index]
            if not record.completing:
                self.free_cpus -= record.node.cpus - record.allocated_cpus
            record.completing.add(job_id)
            self.closed |= 1 << share.index
            self._changed(share.index)

    def release(self, job_id: int, nodes: Collection[str] | None = None) -> None:
        """Give back what a completing job holds: all of it, or these nodes alone, and no licenses."""
        holding = self._holdings.pop(job_id)
        aside = job_id in self._aside
        if nodes is None:
            self.licenses.give_back(holding.licenses)
            self._aside.discard(job_id)
        else:
            mask = sum(1 << self.nodes[name].index for name in nodes)
            self._holdings[job_id] = holding.of(self.all & ~mask)
            holding = holding.of(mask)
        self.version += 1
        if not aside:
            self._vacate(job_id, holding)
        for share, memory, _, gres in holding.by_node():
            record = self.by_index[share.index]
            record.completing.discard(job_id)
            if not record.completing:
                self.closed &= ~(1 << share.index)
                self.free_cpus += record.node.cpus - record.allocated_cpus
            record.gres_in_use &= ~gres
            record.allocated_memory -= memory
            if aside:
                record.aside.discard(job_id)
                self._changed(share.index)

    def _vacate(self, job_id: int, holding: Holding) -> None:
        self.version += 1
        for share in holding.shares:
            record = self.by_index[share.index]
            del record.jobs[job_id]
            self._use(record, record.in_use_without(()))
            if record.allocated_cpus < record.node.cpus:
                self.free |= 1 << share.index
            if not record.jobs:
                self.idle |= 1 << share.index
            self._changed(share.index)

    def _use(self, record: NodeRecord, cpus: int) -> None:
        """These CPUs of a node are in use now. Jobs may have the same ones, where one of them stands still."""
        before = record.allocated_cpus
        record.cpus_in_use, record.allocated_cpus = cpus, cpus.bit_count()
        if not record.completing:
            self.free_cpus += before - record.allocated_cpus

    def availability_changed(self, record: NodeRecord) -> None:
        """A node's state was changed by hand."""
        self.touched[record.node.name] = record
        place = 1 << record.index
        self.available = self.available | place if record.available else self.available & ~place
        self._changed(record.index)
        self.version += 1

    def set_aside(self, job_id: int) -> None:
        """A job is suspended: others may have its CPUs. It keeps memory, gres and licenses (measured)."""
        if job_id in self._aside:
            return
        self._aside.add(job_id)
        holding = self._holdings[job_id]
        self._vacate(job_id, holding)
        for share in holding.shares:
            self.by_index[share.index].aside.add(job_id)

    def take_back(self, job_id: int) -> None:
        """A job is resumed, on its old CPUs. Where another job has one of them they count as if it had none at all (measured)."""
        holding = self._holdings[job_id]
        if any(self.by_index[share.index].cpus_in_use & cpus for share, _, cpus, _ in holding.by_node()):
            return
        self._aside.remove(job_id)
        self._occupy(job_id, holding)

    def held_by(self, job_id: int) -> Holding:
        return self._holdings[job_id]

    def nodes_of(self, job_id: int) -> int:
        """The nodes that a job holds: a bit mask."""
        return sum(1 << share.index for share in self._holdings[job_id].shares)
