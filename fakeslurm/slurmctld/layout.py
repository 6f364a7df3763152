"""Which rank of a step runs on which of its nodes: block, cyclic, plane and arbitrary, as Slurm lays them out.

Compared with a real Slurm over random steps of random jobs (docs/measured/steps.md); sockets and cores do not show in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fakeslurm.messages import unsupported
from fakeslurm.slurmctld.selection import deal

__all__ = ["check_distribution", "lay_out", "lay_out_arbitrary"]

Ranks = list[tuple[int, ...]]


def check_distribution(distribution: str) -> None:
    """Raises SlurmError for one that the fake has not for a whole job."""
    kind = distribution.partition("=")[0].partition(":")[0]
    if kind not in ("block", "cyclic", "plane"):
        raise unsupported(f"--distribution={distribution}")


def lay_out(capacities: Sequence[int], ntasks: int, distribution: str, *, overcommit: bool = False) -> Ranks:
    """The ranks of each node, which have room for so many tasks (more are dealt out all the same). Raises SlurmError."""
    check_distribution(distribution)
    kind, _, size = distribution.partition("=")
    if kind == "plane":
        return _number(_deal_planes(capacities, ntasks, int(size)), int(size))
    if kind.startswith("cyclic"):
        return _number(deal([ntasks] * len(capacities) if overcommit else capacities, ntasks), 1)
    counts = deal(capacities, ntasks)
    return _number(counts, max(counts, default=1))


def lay_out_arbitrary(nodes: Sequence[str], hosts: Sequence[str]) -> Ranks:
    """Rank i runs on the i-th of `hosts`, which are all among `nodes`."""
    return [tuple(rank for rank, host in enumerate(hosts) if host == node) for node in nodes]


def _number(counts: Sequence[int], run: int) -> Ranks:
    """So many tasks on each node, numbered in runs: `run` of them on a node, then on to the next one."""
    ranks: list[list[int]] = [[] for _ in counts]
    rank = 0
    while rank < sum(counts):
        for place, count in enumerate(counts):
            here = min(run, count - len(ranks[place]))
            ranks[place].extend(range(rank, rank + here))
            rank += here
    return [tuple(some) for some in ranks]


def _deal_planes(capacities: Sequence[int], tasks: int, size: int) -> list[int]:
    """One task for every node, and then planes: up to `size` more, the first round one less, as long as there is room."""
    dealt = [0] * len(capacities)
    for place in range(min(tasks, len(capacities))):
        dealt[place] = 1
    tasks -= sum(dealt)
    plane, full = size - 1, False
    while tasks > 0:
        room = False
        for place, capacity in enumerate(capacities):
            here = min(plane, tasks) if full else max(min(plane, tasks, capacity - dealt[place]), 0)
            dealt[place] += here
            tasks -= here
            room = room or (here > 0 and dealt[place] < capacity)
        full = full or not room
        plane = size
    return dealt
