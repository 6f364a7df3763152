"""Sizes as the commands print them: memory, trackable resources, tasks. Measured on Slurm 22.05.8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from fakeslurm.gres import held_units, node_gres, tres_items
from fakeslurm.slurmctld.demand import gres_per_node

if TYPE_CHECKING:
    from fakeslurm.model import Job, Node, Settings

__all__ = [
    "allocated_memory",
    "allocated_tres",
    "held_gres_tres",
    "megabytes",
    "memory_on_node",
    "memory_text",
    "min_cpus_per_node",
    "partition_nodes",
    "requested_gres_tres",
    "requested_memory",
    "requested_tres",
    "tasks",
]


def partition_nodes(settings: Settings, name: str) -> list[Node]:
    """The nodes of a partition, in the order of the cluster's nodes."""
    wanted = next((partition.nodes for partition in settings.partitions if partition.name == name), ())
    return [node for node in settings.nodes if wanted is None or node.name in wanted]


def memory_text(megabytes: int, *, convert: bool = True) -> str:
    """``0``, ``100M``, ``1G``, ``1.50G``: the next unit is taken while nothing below its half is lost."""
    if not megabytes:
        return "0"
    number, units = float(megabytes), list("MGTPE")
    while convert and number >= 1024 and int(number) % 512 == 0 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return f"{number:.0f}{units[0]}" if number == int(number) else f"{number:.2f}{units[0]}"


def megabytes(text: str) -> int:
    """``500M``, ``2G`` in MB."""
    number, unit = text[:-1], text[-1:]
    return int(number) << 10 * "MGTP".index(unit)


def tasks(job: Job) -> int | None:
    """Tasks of the job; None for one that is over, never ran and did not say (``NumTasks=N/A``)."""
    asked = job.description
    if job.finished and not job.nodes and not asked.asks_for_tasks:
        return None if job.before is None else len(job.before.nodes)  # it was over once before (measured)
    return job.num_tasks if job.shown_tasks is None else job.shown_tasks


def min_cpus_per_node(job: Job) -> int:
    """``MinCPUsNode``: CPUs of one task, or of as many tasks as each node has to take."""
    asked = job.description
    tasks_there = 1 if asked.ntasks == 1 or asked.overcommit else asked.ntasks_per_node or 1
    return max((asked.cpus_per_task or 1) * tasks_there, asked.mincpus or 0)


def requested_memory(job: Job, settings: Settings) -> int:
    """MB asked for on all nodes together. A job that does not say asks for that of whole nodes."""
    asked = job.counted or job.description
    if asked.mem_per_cpu:
        return asked.mem_per_cpu * job.memory_cpus
    nodes = partition_nodes(settings, job.partition.split(",")[0])
    return (asked.mem_per_node or min((node.real_memory for node in nodes), default=0)) * job.requested_nodes


def requested_tres(job: Job, settings: Settings) -> str:
    """The trackable resources asked for, as squeue and scontrol print them; empty for a job of no nodes (``-N0``)."""
    number = job.counted_cpus
    if not job.requested_nodes:
        return ""
    memory = memory_text(requested_memory(job, settings))
    more = requested_gres_tres(job, settings)
    return ",".join([f"cpu={number},mem={memory},node={job.requested_nodes},billing={number}", *more])


def memory_on_node(job: Job, index: int, settings: Settings) -> int:
    """MB that the job holds on its node number `index`: none with ``CR_CORE``, there memory is not allocated."""
    if not settings.memory_is_consumed:
        return 0
    asked = job.description
    if asked.mem_per_cpu:
        return asked.mem_per_cpu * job.cpus_per_node[index]
    whole = next((node.real_memory for node in settings.nodes if node.name == job.nodes[index]), 0)
    return asked.mem_per_node or whole


def allocated_memory(job: Job, settings: Settings, nodes: Sequence[str] | None = None) -> int:
    """MB that the job holds on these nodes, None: on all its nodes."""
    return sum(
        memory_on_node(job, index, settings) for index, name in enumerate(job.nodes) if nodes is None or name in nodes
    )


def allocated_tres(job: Job, settings: Settings) -> str:
    """The trackable resources that the job has or had, as squeue and scontrol print them; nothing of a job that never ran."""
    if not job.nodes:
        return "" if job.before is None else allocated_tres(job.before, settings)
    memory = allocated_memory(job, settings)
    held = f"mem={memory_text(memory)}," if memory else ""
    more = held_gres_tres(zip(job.nodes, job.gres, strict=False), settings)
    return ",".join([f"cpu={job.num_cpus},{held}node={len(job.nodes)},billing={job.num_cpus}", *more])


def requested_gres_tres(job: Job, settings: Settings) -> list[str]:
    """``gres/gpu=2`` of what was asked for on all nodes together."""
    if not settings.accounted_gres:
        return []
    wanted = gres_per_node(job.description, settings)
    return tres_items(settings.accounted_gres, (evolve(one, count=one.count * job.requested_nodes) for one in wanted))


def held_gres_tres(units: Iterable[tuple[str, int]], settings: Settings) -> list[str]:
    """``gres/gpu=2`` of units of the gres of some nodes."""
    if not settings.accounted_gres:
        return []
    lines = {node.name: node_gres(node.gres) for node in settings.nodes}
    held = [one.held for name, mask in units for one in held_units(lines[name], mask, None)]
    return tres_items(settings.accounted_gres, held)
