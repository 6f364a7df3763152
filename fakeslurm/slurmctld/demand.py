"""What a job needs of the nodes: the options of sbatch, completed with Slurm's defaults.

The rules are those of the commands (``validate_options_salloc_sbatch_srun`` in src/common/slurm_opt.c) and of
``_validate_min_mem_partition``/``job_create`` in slurmctld, as measured in docs/data/allocations-22.05.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil

from attrs import evolve, frozen

from fakeslurm import messages
from fakeslurm.gres import Gres, requested
from fakeslurm.messages import SlurmError, unsupported
from fakeslurm.model import JobDescription, NodeRecord, Settings
from fakeslurm.slurmctld.features import satisfies
from fakeslurm.slurmctld.licenses import requested_licenses
from slurmkit.slurm.hostlist import HostlistError, expand

__all__ = ["Demand", "demand_of", "gres_per_node", "node_mask"]

_NEVER_FREE = 2**31
"""CPUs that no node has."""


@frozen(kw_only=True, cache_hash=True)
class Demand:
    """The shape of an allocation. Node sets are bit masks over the places of the cluster's nodes."""

    min_nodes: int
    max_nodes: int | None
    wanted_nodes: int
    """As many nodes as there are up to this number; more than `min_nodes` for ``-N MIN-MAX``."""
    num_tasks: int
    min_cpus: int
    """What is shown while it waits: with ``--overcommit`` one of each node (measured)."""
    min_cpus_per_node: int
    whole_cpus_per_node: int
    """The same in whole tasks, where only these count."""
    free_cpus_per_node: int
    """How many CPUs a node has to have free, be they given to the job or not (measured)."""
    most_cpus_per_node: int | None
    """What ``--ntasks-per-node`` limits."""
    cpus_per_task: int
    ntasks_per_node: int | None
    ntasks_per_core: int
    fills_nodes: bool
    """Whether each node gets the CPUs of ``--ntasks-per-node`` tasks, though fewer may have been asked for."""
    tasks_need_nodes: int
    """How many nodes squeue believes to be needed for that many tasks on each; 1 without ``--ntasks-per-node``."""
    whole_tasks: bool
    """Whether CPUs that are too few for a task count for nothing."""
    whole_nodes: bool
    overcommit: bool
    contiguous: bool
    takes_last_cpus: bool
    """Whether it gets the last of the free CPUs of a node, not the first: with ``--ntasks-per-socket``, and with gres for one task on
    each node, where so many tasks were asked for (measured)."""
    mem_per_node: int | None
    """MB; None is not asked for, 0 is all of the node."""
    mem_per_cpu: int | None
    tmp_disk: int
    gres: tuple[Gres, ...]
    """On each node."""
    licenses: tuple[tuple[str, int], ...]
    required: int
    excluded: int
    tasks_given: bool
    """Whether the number of tasks was asked for: SLURM_NTASKS."""
    never_starts: bool = False
    """Whether it waits for Resources for ever, though it holds up nobody: 24.11 gives it the CPUs of one task on each node, and then
    finds no room for all of them (measured)."""

    def counted_anew(self, nodes: int) -> Demand:
        """As an update counts a job for so many nodes: with the tasks of ``--ntasks-per-node`` on each of them, and if these are others
        than before with one CPU for each, be it with --cpus-per-task or --overcommit; not with a range of nodes (measured)."""
        if self.ntasks_per_node is None or self.max_nodes not in (None, self.min_nodes):
            return self
        tasks = nodes * self.ntasks_per_node
        if tasks == self.num_tasks:
            return self
        return evolve(
            self,
            min_nodes=nodes,
            num_tasks=tasks,
            min_cpus=tasks,
            tasks_need_nodes=nodes,
            never_starts=not self.whole_nodes
            and max(tasks, nodes * self.min_cpus_per_node) < tasks * self.cpus_per_task,
        )


def node_mask(text: str, nodes: Mapping[str, NodeRecord], settings: Settings) -> tuple[int, list[str]]:
    """The nodes of a hostlist, as a mask and as names in the order written. Raises SlurmError for what is no node."""
    try:
        names = expand(text, suffixes=settings.profile.hostlist_suffixes)
    except HostlistError:
        raise SlurmError(messages.INVALID_NODE_NAME) from None
    mask = 0
    for name in names:
        if name not in nodes:
            raise SlurmError(messages.INVALID_NODE_NAME)
        mask |= 1 << nodes[name].index
    return mask, names


def demand_of(description: JobDescription, nodes: Mapping[str, NodeRecord], settings: Settings) -> Demand:
    """What `description` comes down to on this cluster. Raises SlurmError for node names that do not exist, and for
    nodes that are wanted and excluded."""
    d = description
    licenses = requested_licenses(d.licenses, settings.licenses, settings.profile.release)
    required, names = node_mask(d.nodelist, nodes, settings)
    excluded, _ = node_mask(d.exclude, nodes, settings)
    profile = settings.profile
    min_nodes = d.min_nodes
    if min_nodes is None:
        min_nodes = len(set(names)) if d.nodelist else 1
        if not min_nodes and d.hold:
            raise unsupported("a held job with an empty --nodelist")
    if not profile.nodelist_offers_nodes:
        min_nodes = max(len(set(names)), min_nodes)
    max_nodes = d.max_nodes or None
    if not min_nodes and max_nodes is not None:  # it runs, with CPUs and TRES like no other job
        raise unsupported(f"--nodes=0-{max_nodes}")
    if d.ntasks is not None and d.ntasks < min_nodes:
        # "can't run 1 processes on 2 nodes, setting nnodes to 1"
        min_nodes = max_nodes = d.ntasks
        if not profile.nodelist_offers_nodes:
            required, _ = node_mask(",".join(names[:min_nodes]), nodes, settings)
    if profile.nodelist_offers_nodes and len(set(names)) > min_nodes:
        excluded |= ~required & ((1 << len(nodes)) - 1)
        required = 0
    listed = required.bit_count()
    if d.contiguous:
        required = _without_gaps(required)
    stretched = required.bit_count() > listed
    if stretched and profile.nodelist_offers_nodes:
        raise unsupported("--contiguous with a --nodelist of nodes that do not follow one another")
    # Which 24.11 gives a node more.
    sockets = d.sockets_per_node or 1
    if d.overcommit and d.ntasks_per_node is not None and sockets > 1:
        raise unsupported("--overcommit with --ntasks-per-node and --sockets-per-node")
    # With which 24.11 overcommits nothing, or the job waits for ever.
    if profile.tasks_fit_nodes and d.overcommit and d.cpus_per_task and sockets > d.cpus_per_task:
        raise unsupported("--overcommit with more --sockets-per-node than --cpus-per-task")
    # Which 24.11 lets wait for ever.
    allowed = (d.ntasks_per_node or 0) * len(nodes)
    if profile.tasks_fit_nodes and d.spread_job and max_nodes is None and (d.ntasks or 0) > allowed > 0:
        raise unsupported("--spread-job with more tasks than --ntasks-per-node lets all nodes have")
    if required & excluded:
        raise SlurmError(messages.INVALID_NODE_NAME)
    for record in nodes.values() if d.constraint else ():
        if not satisfies(d.constraint, record.node):
            excluded |= 1 << record.index
    cpus_per_task = d.cpus_per_task or 1
    per_node = d.ntasks_per_node
    some_nodes = max_nodes not in (None, min_nodes)
    if d.ntasks is not None:
        num_tasks = d.ntasks
    elif per_node is not None:
        num_tasks = min_nodes * per_node
    else:
        num_tasks = min_nodes
    min_cpus = min_nodes if d.overcommit else num_tasks * cpus_per_task
    _refuse_odd_mincpus(d, min_nodes, max_nodes, settings)
    if d.ntasks is None and some_nodes and not d.overcommit and (per_node is None or num_tasks <= cpus_per_task):
        # For all that it knows it gets by with one task (measured).
        listed = 0 if profile.nodelist_offers_nodes or per_node is not None else listed
        min_cpus = max(listed, min(num_tasks, 1) * cpus_per_task)
    if stretched:  # once the command has counted (measured)
        min_nodes, min_cpus = max(min_nodes, required.bit_count()), max(min_cpus, required.bit_count())
        num_tasks = max(num_tasks, min_nodes) if d.ntasks is None and per_node is None else num_tasks
        if max_nodes is not None and max_nodes < min_nodes:
            raise SlurmError(messages.NODE_COUNT)
    tasks_on_a_node = per_node or 1 if num_tasks > 1 and not d.overcommit else 1
    min_cpus_per_node = max(d.mincpus or 1, tasks_on_a_node * cpus_per_task)
    whole_cpus = min_cpus_per_node
    if profile.tasks_fit_nodes:
        whole_cpus = ceil(min_cpus_per_node / cpus_per_task) * cpus_per_task
    floor = 0 if profile.tasks_fit_nodes else min_cpus_per_node
    tasks_there = per_node or (0 if d.overcommit else min(d.ntasks_per_core or 0, d.ntasks_per_socket or _NEVER_FREE))
    if per_node is not None and d.min_nodes is None and not names and not profile.tasks_per_node_fill_nodes:
        min_nodes = max(min_nodes, ceil(num_tasks / per_node))
    counted = d.ntasks is not None
    if per_node is not None and (d.spread_job or settings.profile.tasks_per_node_limit_nodes):
        counted = True
    if d.spread_job and max_nodes is None:
        max_nodes, counted = len(nodes), True
    # More nodes than tasks may be had, and those that are named are enough: for Slurm no node will ever do (measured).
    named_for_all = d.ntasks is None and per_node == 1 and counted and required.bit_count() >= num_tasks
    never = named_for_all and (d.max_nodes or 0) > num_tasks and not d.use_min_nodes
    if max_nodes is not None and counted:
        max_nodes = max(min(max_nodes, num_tasks), min_nodes)
    nodes_at_most = max_nodes or min_nodes
    if d.use_min_nodes:
        nodes_at_most = max(min_nodes, ceil(num_tasks / per_node) if per_node else 1)
    tasks_at_most = per_node * nodes_at_most if per_node and d.ntasks is None else num_tasks
    room = nodes_at_most * max(node.cpus for node in settings.nodes) // cpus_per_task if d.exclusive else nodes_at_most
    gres = gres_per_node(d, settings)
    has_one_task_each = num_tasks == min_nodes and (d.ntasks is not None or per_node is not None)
    return Demand(
        min_nodes=min_nodes,
        max_nodes=max_nodes,
        wanted_nodes=min_nodes if max_nodes is None or d.use_min_nodes else max_nodes,
        num_tasks=num_tasks,
        min_cpus=min_cpus,
        min_cpus_per_node=min_cpus_per_node,
        whole_cpus_per_node=whole_cpus,
        free_cpus_per_node=_NEVER_FREE
        if never
        else max(whole_cpus, tasks_there * cpus_per_task, d.sockets_per_node or 1),
        most_cpus_per_node=None if d.overcommit or per_node is None else max(per_node * cpus_per_task, floor),
        cpus_per_task=cpus_per_task,
        ntasks_per_node=per_node,
        ntasks_per_core=d.ntasks_per_core or 1,
        fills_nodes=d.ntasks is None or settings.profile.tasks_per_node_fill_nodes,
        whole_tasks=profile.tasks_fit_nodes and d.ntasks is not None and not d.overcommit,
        tasks_need_nodes=_nodes_for_tasks(num_tasks, d, round_up=not settings.profile.tasks_per_node_fill_nodes),
        whole_nodes=d.exclusive,
        overcommit=d.overcommit,
        contiguous=d.contiguous,
        takes_last_cpus=d.ntasks_per_socket is not None or (any(one.count for one in gres) and has_one_task_each),
        mem_per_node=d.mem_per_node,
        mem_per_cpu=d.mem_per_cpu,
        tmp_disk=d.tmp_disk or 0,
        gres=gres,
        licenses=licenses,
        required=required,
        excluded=excluded,
        tasks_given=d.asks_for_tasks,
        never_starts=profile.tasks_fit_nodes and d.overcommit and d.cpus_per_task is not None and tasks_at_most > room,
    )


def _refuse_odd_mincpus(description: JobDescription, min_nodes: int, max_nodes: int | None, settings: Settings) -> None:
    """Raises SlurmError for ``--mincpus`` with which a node's CPUs depend on more than what is asked for."""
    d = description
    each, least = d.cpus_per_task or 1, d.mincpus or 1
    if least <= each or least > max(node.cpus for node in settings.nodes):
        return
    new = settings.profile.tasks_fit_nodes
    if new and d.overcommit:
        raise unsupported(f"--overcommit with --mincpus={least}")
    several = max(min_nodes, max_nodes or 1) > 1
    if least % each and several and not (new and d.ntasks is not None) and d.ntasks_per_node is None:
        raise unsupported(f"--mincpus={least} with --cpus-per-task={each} on several nodes")


def _without_gaps(mask: int) -> int:
    """All places from the lowest of a mask to its highest."""
    return (1 << mask.bit_length()) - (mask & -mask) if mask else 0


def gres_per_node(description: JobDescription, settings: Settings) -> tuple[Gres, ...]:
    """The gres that the job needs of each node. Raises SlurmError.

    ``--gpus`` is a number for the whole job, which is the same when there is one node only: with -N1, or when one GPU alone asks for it.
    """
    d = description
    given = [text for text in (d.gres, d.gpus, d.gpus_per_node) if text.lower() not in ("", "none")]
    if not given and not d.other_gpus:
        return ()
    if d.other_gpus:
        if "gpu" not in settings.gres_types and not re.search(r"\b0+$", d.other_gpus):
            raise SlurmError(messages.INVALID_GRES)
        raise unsupported(f"--{d.other_gpus}")
    if len(given) > 1:
        raise unsupported("more than one of --gres, --gpus and --gpus-per-node")
    text = d.gres or ",".join(f"gpu:{item}" for item in (d.gpus or d.gpus_per_node).split(","))
    found = requested(text, settings.gres_types, settings.profile.release)
    one_node = d.max_nodes == 1 and d.min_nodes == 1
    plain = not (d.asks_for_tasks or d.exclusive or d.nodelist or d.spread_job or d.min_nodes)
    one_gpu = sum(one.count for one in found) == 1 and plain
    if d.gpus and found and not one_node and not one_gpu:
        raise unsupported(f"--gpus={d.gpus} without --nodes=1 (--gpus-per-node and --gres are)")
    return found


def _nodes_for_tasks(num_tasks: int, description: JobDescription, *, round_up: bool) -> int:
    """With ``-N`` the number is rounded down in any release (measured)."""
    per_node = description.ntasks_per_node
    if per_node is None:
        return 1
    return -(-num_tasks // per_node) if round_up and description.min_nodes is None else num_tasks // per_node


def pending_nodes(demand: Demand, largest_node: int, *, round_down: bool) -> int:
    """The number of nodes that squeue shows for a pending job: a guess from the CPUs of the partition's largest node, if it does not say.

    `round_down`: where tasks need several CPUs.
    """
    if demand.ntasks_per_node is not None:
        return max(demand.min_nodes, demand.tasks_need_nodes)
    per_node = max(largest_node // demand.cpus_per_task, 1)
    if demand.cpus_per_task > 1:
        # Where it is not rounded down, tasks that do not fill their nodes add one, also to a number that would do (measured).
        tasks = demand.num_tasks if round_down or demand.tasks_given else 0
        return max(demand.min_nodes, tasks // per_node) + (not round_down and tasks % per_node > 0)
    per_node *= demand.ntasks_per_core
    return max(demand.min_nodes, ceil(demand.num_tasks / per_node))
