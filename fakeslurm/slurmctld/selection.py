"""Which nodes and how many CPUs of each: select/cons_tres with CR_Core, as measured in docs/data/allocations-22.05.json.

Nodes that follow one another are preferred, and of several such sets the one that fits best; one node that is just large
enough is preferred when one node will do. Each further node that is certainly needed keeps CPUs reserved for it, and the
tasks are then dealt out one by one, so that every node has at least one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from fakeslurm.slurmctld.demand import Demand

__all__ = ["Candidate", "Share", "deal", "select"]


@frozen
class Candidate:
    """A node that may be used: its place in the cluster and the CPUs that the job could have there."""

    index: int
    cpus: int


@frozen
class Share:
    """What a job gets of a node."""

    index: int
    cpus: int


def select(demand: Demand, candidates: Sequence[Candidate]) -> list[Share] | None:
    """The allocation, by ascending place, or None when these nodes are not enough. `candidates` ascend as well."""
    demand = _with_nodes_for_tasks(demand)
    usable = [one for one in candidates if one.cpus >= demand.whole_cpus_per_node]
    if demand.whole_tasks:
        each = demand.cpus_per_task
        usable = [evolve(one, cpus=one.cpus // each * each) for one in usable]
    if demand.max_nodes is not None and demand.min_nodes > demand.max_nodes:
        return None
    if len(usable) < demand.min_nodes:
        return None
    caps = _Selection(demand, usable).run()
    # The nodes chosen were too small together: try again without the smallest, then without the next ones.
    for smallest in sorted({one.cpus for one in usable}):
        if caps is not None or len(usable) <= demand.min_nodes:
            break
        usable = _without_small(demand, usable, smallest)
        caps = _Selection(demand, usable).run()
    if caps is not None and demand.whole_nodes:
        return [Share(one.index, one.cpus) for one in candidates if one.index in caps]
    return None if caps is None else _shares(demand, sorted(caps.items()))


def _with_nodes_for_tasks(demand: Demand) -> Demand:
    """Where CPUs do not limit the tasks of a node, ``--ntasks-per-node`` says how many nodes there have to be (measured)."""
    if demand.ntasks_per_node is None:
        return demand
    if demand.most_cpus_per_node == demand.ntasks_per_node * demand.cpus_per_task and not demand.whole_nodes:
        return demand
    nodes = max(demand.min_nodes, -(-demand.num_tasks // demand.ntasks_per_node))
    return evolve(demand, min_nodes=nodes, wanted_nodes=max(demand.wanted_nodes, nodes))


def _without_small(demand: Demand, usable: Sequence[Candidate], cpus: int) -> list[Candidate]:
    """Without the nodes of so many CPUs and less, as far as nodes enough are left; required ones stay."""
    spare = len(usable) - demand.min_nodes
    kept = []
    for one in usable:
        if spare > 0 and one.cpus <= cpus and not demand.required >> one.index & 1:
            spare -= 1
        else:
            kept.append(one)
    return kept


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

    def __init__(self, demand: Demand, usable: Sequence[Candidate]) -> None:
        self._demand = demand
        self._usable = usable
        self._caps: dict[int, int] = {}
        self._cpus_left = demand.min_cpus
        self._nodes_left = demand.wanted_nodes
        self._certain_nodes_left = demand.min_nodes
        self._room = len(usable) if demand.max_nodes is None else demand.max_nodes

    def run(self) -> dict[int, int] | None:
        """CPUs that may be used by place, or None."""
        required = self._demand.required
        if required:
            mine = [one for one in self._usable if required >> one.index & 1]
            if len(mine) < required.bit_count():
                return None
            for one in mine:
                self._take(one)
        groups = [] if self._satisfied else _consecutive(self._usable)
        while groups and not self._satisfied:
            best = self._best(groups)
            groups.remove(best)
            if self._demand.contiguous and not self._sufficient(best):
                return None
            for one in self._order(best):
                if self._satisfied or self._room <= 0:
                    break
                if self._room > 1 or one.cpus >= self._cpus_left:  # the last one has to be large enough
                    self._take(one)
            if self._room <= 0:
                break
        missing = self._nodes_left - (self._demand.wanted_nodes - self._demand.min_nodes)
        return self._caps if self._cpus_left <= 0 and missing <= 0 else None

    @property
    def _satisfied(self) -> bool:
        return self._cpus_left <= 0 and self._nodes_left <= 0

    def _take(self, one: Candidate) -> None:
        least = self._demand.whole_cpus_per_node
        cap = one.cpus
        if not self._demand.whole_nodes:
            reserved = max(self._certain_nodes_left - 1, 0) * least
            cap = min(cap, max(self._cpus_left - reserved, least))
        self._caps[one.index] = cap
        self._cpus_left -= cap
        self._nodes_left -= 1
        self._certain_nodes_left -= 1
        self._room -= 1

    def _free(self, group: Iterable[Candidate]) -> list[Candidate]:
        return [one for one in group if one.index not in self._caps]

    def _sufficient(self, group: Sequence[Candidate]) -> bool:
        free = self._free(group)
        missing = self._nodes_left - (self._demand.wanted_nodes - self._demand.min_nodes)
        return sum(one.cpus for one in free) >= self._cpus_left and len(free) >= missing

    def _best(self, groups: Sequence[list[Candidate]]) -> list[Candidate]:
        """With required nodes the set around them; else the smallest that is sufficient, else the largest."""
        best = groups[0]
        best_cpus = sum(one.cpus for one in self._free(best))
        for group in groups[1:]:
            if self._has_required(best):
                break
            cpus = sum(one.cpus for one in self._free(group))
            fits, best_fits = self._sufficient(group), self._sufficient(best)
            better = cpus < best_cpus if fits and best_fits else fits if fits != best_fits else cpus > best_cpus
            if better or self._has_required(group):
                best, best_cpus = group, cpus
        return best

    def _has_required(self, group: Sequence[Candidate]) -> bool:
        return any(self._demand.required >> one.index & 1 for one in group)

    def _order(self, group: Sequence[Candidate]) -> list[Candidate]:
        """From the first required node upwards and then downwards; without one upwards, or just the node that fits best."""
        if self._has_required(group):
            first = next(place for place, one in enumerate(group) if self._demand.required >> one.index & 1)
            return self._free([*group[first:], *reversed(group[:first])])
        free = self._free(group)
        if self._nodes_left <= 1:
            single = min((one for one in free if one.cpus >= self._cpus_left), key=lambda one: one.cpus, default=None)
            if single is not None:
                return [single]
        return free


def _consecutive(usable: Sequence[Candidate]) -> list[list[Candidate]]:
    groups: list[list[Candidate]] = []
    for one in usable:
        if groups and groups[-1][-1].index == one.index - 1:
            groups[-1].append(one)
        else:
            groups.append([one])
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
