"""Nodes in a row of which a job could have as much of each: runs, which are few where there are many nodes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Run", "put", "runs_of"]


class Run(NamedTuple):
    """Nodes that may be used, one next to the other: the place of the first in the cluster, the CPUs that the job could have on each, how many
    there are."""

    start: int
    cpus: int
    length: int = 1

    @property
    def end(self) -> int:
        """The place behind the last one."""
        return self.start + self.length


def runs_of(nodes: Iterable[Run]) -> list[Run]:
    """The same nodes, which ascend, in as few runs as can be."""
    found: list[Run] = []
    for one in nodes:
        if found and found[-1].end == one.start and found[-1].cpus == one.cpus:
            found[-1] = found[-1]._replace(length=found[-1].length + one.length)
        else:
            found.append(one)
    return found


def put(runs: list[Run], index: int, cpus: int | None) -> None:
    """The node at `index` has so many CPUs for the job now, None: it cannot be used. Changes `runs`."""
    place = bisect_right(runs, (index, math.inf))
    known = runs[place - 1].cpus if place and runs[place - 1].end > index else None
    if known == cpus:
        return
    near = slice(max(place - 2, 0), place + 1)  # what holds the node, or may be one with it
    before = [run._replace(length=min(run.end, index) - run.start) for run in runs[near] if run.start < index]
    rest = ((max(run.start, index + 1), run) for run in runs[near] if run.end > index + 1)
    after = [Run(start, run.cpus, run.end - start) for start, run in rest]
    runs[near] = runs_of([*before, *([] if cpus is None else [Run(index, cpus)]), *after])
