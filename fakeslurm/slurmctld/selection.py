"""Which nodes and how many CPUs of each: select/cons_tres with CR_Core, as measured in docs/data/allocations-22.05.json.

Nodes that follow one another are preferred, and of several such sets the one that fits best; one node that is just large
enough is preferred when one node will do. Each further node that is certainly needed keeps CPUs reserved for it, and the
tasks are then dealt out one by one, so that every node has at least one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from attrs import evolve, frozen

from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.runs import Run

__all__ = ["Share", "deal", "select"]


@frozen
class Share:
    """What a job gets of a node."""

    index: int
    cpus: int


def select(demand: Demand, candidates: Sequence[Run]) -> list[Share] | None:
    """The allocation, by ascending place, or None when these nodes are not enough. `candidates` ascend as well."""
    demand = _with_nodes_for_tasks(demand)
    usable = [run for run in candidates if run.cpus >= demand.whole_cpus_per_node]
    if demand.whole_tasks:
        each = demand.cpus_per_task
        usable = [run._replace(cpus=run.cpus // each * each) for run in usable]
    if demand.max_nodes is not None and demand.min_nodes > demand.max_nodes:
        return None
    if _count(usable) < demand.min_nodes:
        return None
    caps = _Selection(demand, usable).run()
    # The nodes chosen were too small together: try again without the smallest, then without the next ones.
    for smallest in [] if caps is not None else sorted({run.cpus for run in usable}):
        if caps is not None or _count(usable) <= demand.min_nodes:
            break
        usable = _without_small(demand, usable, smallest)
        caps = _Selection(demand, usable).run()
    if caps is not None and demand.whole_nodes:
        return [Share(index, run.cpus) for run in candidates for index in range(run.start, run.end) if index in caps]
    return None if caps is None else _shares(demand, sorted(caps.items()))


def _count(runs: Sequence[Run]) -> int:
    return sum([run.length for run in runs])


def _with_nodes_for_tasks(demand: Demand) -> Demand:
    """Where CPUs do not limit the tasks of a node, ``--ntasks-per-node`` says how many nodes there have to be (measured)."""
    if demand.ntasks_per_node is None:
        return demand
    if demand.most_cpus_per_node == demand.ntasks_per_node * demand.cpus_per_task and not demand.whole_nodes:
        return demand
    nodes = max(demand.min_nodes, -(-demand.num_tasks // demand.ntasks_per_node))
    return evolve(demand, min_nodes=nodes, wanted_nodes=max(demand.wanted_nodes, nodes))


def _without_small(demand: Demand, usable: Sequence[Run], cpus: int) -> list[Run]:
    """Without the nodes of so many CPUs and less, as far as nodes enough are left; required ones stay."""
    spare = _count(usable) - demand.min_nodes
    kept = []
    for run in _apart(usable, demand.required):
        drop = min(spare, run.length) if run.cpus <= cpus and not demand.required >> run.start & 1 else 0
        spare -= drop
        if drop < run.length:
            kept.append(Run(run.start + drop, run.cpus, run.length - drop))
    return kept


def _apart(runs: Sequence[Run], nodes: int) -> Iterator[Run]:
    """The same runs, with each of these nodes, which are a bit mask, in a run of its own."""
    for run in runs:
        inside = nodes >> run.start & (1 << run.length) - 1
        first = run.start
        while inside:
            place = run.start + (inside & -inside).bit_length() - 1
            if place > first:
                yield Run(first, run.cpus, place - first)
            yield Run(place, run.cpus)
            first = place + 1
            inside &= inside - 1
        if first < run.end:
            yield Run(first, run.cpus, run.end - first)


def deal(capacities: Sequence[int], tasks: int) -> list[int]:
    """Tasks dealt out to nodes in turn, as long as there is room; when there is none, in turn without regard to it."""
    dealt = [0] * len(capacities)
    full = False
    while tasks > 0:
        room = False
        for place, capacity in enumerate(capacities):
            if tasks > 0 and (full or dealt[place] < capacity):
                dealt[place] += 1
                tasks -= 1
                room = True
        full = not room
    return dealt


class _Selection:
    """One attempt to choose nodes."""

    def __init__(self, demand: Demand, usable: Sequence[Run]) -> None:
        self._demand = demand
        self._usable = usable
        self._caps: dict[int, int] = {}
        self._taken = 0
        """The nodes in `_caps`, as a bit mask."""
        self._cpus_left = demand.min_cpus
        self._nodes_left = demand.wanted_nodes
        self._certain_nodes_left = demand.min_nodes
        self._room = _count(usable) if demand.max_nodes is None else demand.max_nodes

    def run(self) -> dict[int, int] | None:
        """CPUs that may be used by place, or None."""
        required = self._demand.required
        if required:
            mine = [run for run in _apart(self._usable, required) if required >> run.start & 1]
            if len(mine) < required.bit_count():
                return None
            for run in mine:
                self._take(run.start, run.cpus)
        groups = [] if self._satisfied else _consecutive(self._usable)
        while groups and not self._satisfied:
            best = self._best(groups)
            groups.remove(best)
            if self._demand.contiguous and not self._sufficient(best):
                return None
            for index, cpus in self._order(best):
                if self._satisfied or self._room <= 0:
                    break
                if self._room > 1 or cpus >= self._cpus_left:  # the last one has to be large enough
                    self._take(index, cpus)
            if self._room <= 0:
                break
        missing = self._nodes_left - (self._demand.wanted_nodes - self._demand.min_nodes)
        return self._caps if self._cpus_left <= 0 and missing <= 0 else None

    @property
    def _satisfied(self) -> bool:
        return self._cpus_left <= 0 and self._nodes_left <= 0

    def _take(self, index: int, cap: int) -> None:
        least = self._demand.whole_cpus_per_node
        if not self._demand.whole_nodes:
            reserved = max(self._certain_nodes_left - 1, 0) * least
            cap = min(cap, max(self._cpus_left - reserved, least))
        self._caps[index] = cap
        self._taken |= 1 << index
        self._cpus_left -= cap
        self._nodes_left -= 1
        self._certain_nodes_left -= 1
        self._room -= 1

    def _free(self, group: Sequence[Run]) -> Sequence[Run]:
        if not self._taken:
            return group
        return [run for run in _apart(group, self._taken) if not self._taken >> run.start & 1]

    def _sufficient(self, group: Sequence[Run]) -> bool:
        free = self._free(group)
        missing = self._nodes_left - (self._demand.wanted_nodes - self._demand.min_nodes)
        return _cpus(free) >= self._cpus_left and _count(free) >= missing

    def _best(self, groups: Sequence[list[Run]]) -> list[Run]:
        """With required nodes the set around them; else the smallest that is sufficient, else the largest."""
        best = groups[0]
        if len(groups) == 1:
            return best
        best_cpus = _cpus(self._free(best))
        for group in groups[1:]:
            if self._has_required(best):
                break
            cpus = _cpus(self._free(group))
            fits, best_fits = self._sufficient(group), self._sufficient(best)
            better = cpus < best_cpus if fits and best_fits else fits if fits != best_fits else cpus > best_cpus
            if better or self._has_required(group):
                best, best_cpus = group, cpus
        return best

    def _has_required(self, group: Sequence[Run]) -> bool:
        first, end = group[0].start, group[-1].end
        return self._demand.required != 0 and bool(self._demand.required >> first & (1 << end - first) - 1)

    def _order(self, group: Sequence[Run]) -> Iterator[tuple[int, int]]:
        """Place and CPUs of one node after the other: from the first required one upwards and then downwards; without one upwards, or just the
        node that fits best."""
        free = self._free(group)
        if self._has_required(group):
            required = self._demand.required >> group[0].start
            first = group[0].start + (required & -required).bit_length() - 1
            upwards = ((index, run.cpus) for run in free for index in range(max(run.start, first), run.end))
            downwards = (
                (index, run.cpus)
                for run in reversed(free)
                for index in range(min(run.end, first) - 1, run.start - 1, -1)
            )
            return chain(upwards, downwards)
        if self._nodes_left <= 1:
            fitting = [run for run in free if run.cpus >= self._cpus_left]
            if fitting:
                single = min(fitting, key=lambda run: run.cpus)
                return iter([(single.start, single.cpus)])
        return ((index, run.cpus) for run in free for index in range(run.start, run.end))


def _cpus(runs: Sequence[Run]) -> int:
    return sum([run.cpus * run.length for run in runs])


def _consecutive(usable: Sequence[Run]) -> list[list[Run]]:
    groups: list[list[Run]] = []
    for run in usable:
        if groups and groups[-1][-1].end == run.start:
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups


def _shares(demand: Demand, caps: list[tuple[int, int]]) -> list[Share]:
    """The CPUs of each node: those of whole tasks dealt out in turn (src/plugins/select: dist_tasks_compute_c_b)."""
    each = demand.cpus_per_task
    least = 0 if demand.whole_tasks else demand.min_cpus_per_node
    if demand.overcommit:
        return [Share(index, min(cap, each)) for index, cap in caps]
    if demand.ntasks_per_node is not None and not demand.fills_nodes:
        dealt = deal([min(cap // each, demand.ntasks_per_node) for _, cap in caps], demand.num_tasks)
        return [Share(index, many * each) for (index, _), many in zip(caps, dealt, strict=True)]
    cpus = max(len(caps) * (demand.ntasks_per_node or 1), demand.min_cpus, least * len(caps))
    if each == 1:
        tasks = cpus
    elif demand.ntasks_per_node is None:
        tasks = cpus // each
    else:
        tasks = demand.ntasks_per_node * len(caps)
    dealt = deal([cap // each for _, cap in caps], tasks)
    return [Share(index, min(cap, many * each)) for (index, cap), many in zip(caps, dealt, strict=True)]
