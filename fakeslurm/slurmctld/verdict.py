"""Why a job that cannot start waits, and what it keeps from those behind it, in one round of Slurm's main scheduler (measured)."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from fakeslurm import messages
from fakeslurm.messages import Reason
from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.resources import Resources, bits
from fakeslurm.slurmctld.selection import select
from slurmkit.slurm import hostlist

__all__ = ["Verdict", "unavailable", "verdict"]


@frozen
class Verdict:
    """`reason`, and the nodes (a bit mask) that no job behind gets in this round."""

    reason: str
    keeps: int
    closes: bool
    """Whether it holds up its whole partition."""


def verdict(
    demand: Demand, partition: str, left: int, resources: Resources, exclusive: Callable[[], int], names_kept: bool
) -> Verdict:
    """Of a job that could run in `partition` if nothing else ran. `left` are the nodes that those ahead have not kept.

    A job keeps its nodes only if it names at least as many as it needs, else all nodes of its partition, also those of other partitions.
    `exclusive` tells the nodes that a job has to itself; `names_kept`: whether the reason names the nodes that others keep.
    """
    mask = resources.partition_masks[partition]
    usable = mask & left
    if usable.bit_count() < demand.min_nodes:
        return Verdict(messages.TOO_FEW_NODES, mask, True)
    if demand.required & ~left:
        return Verdict(_not_available(demand.required & ~left, resources, names_kept), 0, False)
    if usable != mask and select(demand, resources.candidates(demand, usable, empty=True)) is None:
        taken = exclusive() | (resources.all & ~resources.idle if demand.whole_nodes else 0)
        if not usable & taken:
            return Verdict(_not_available(mask & ~left, resources, names_kept), 0, False)
    elif demand.required and demand.required.bit_count() >= demand.min_nodes:
        return Verdict(Reason.RESOURCES, demand.required, False)
    return Verdict(Reason.RESOURCES, mask, True)


def unavailable(mask: int, resources: Resources) -> str:
    """The reason of a job that waits for these nodes."""
    names = (resources.by_index[index].node.name for index in bits(mask))
    return messages.UNAVAILABLE_NODES.format(nodes=hostlist.compress(names))


def _not_available(mask: int, resources: Resources, names_kept: bool) -> str:
    return unavailable(mask, resources) if names_kept else messages.MAY_BE_RESERVED
