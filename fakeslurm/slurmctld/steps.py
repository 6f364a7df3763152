"""Where the tasks of a step run: srun's requests inside a job, as measured in docs/data/steps-22.05.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from fakeslurm import messages
from fakeslurm.memory import job_megabytes, step_megabytes
from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, NodeRecord, Settings, StepRequest
from fakeslurm.slurmctld.demand import node_mask
from fakeslurm.slurmctld.layout import lay_out, lay_out_arbitrary
from fakeslurm.slurmctld.stepgres import step_gres

__all__ = ["Placement", "place_step"]


@frozen(kw_only=True)
class Placement:
    """Nodes, the ranks on each, the CPUs that the step has on each, and how the ranks were numbered."""

    nodes: tuple[str, ...]
    tasks: tuple[tuple[int, ...], ...]
    cpus_per_node: tuple[int, ...]
    gres: tuple[int, ...]
    distribution: str
    counted: bool
    """As of `Step`."""


@frozen(kw_only=True)
class _Place:
    name: str
    cpus: int
    """The job's CPUs on the node."""
    free: int
    """Those of them that no other step has."""
    memory: int
    """The job's MB on the node."""
    free_memory: int
    """What no other step has of it."""


def place_step(job: Job, request: StepRequest, nodes: Mapping[str, NodeRecord], settings: Settings) -> Placement | None:
    """Where a step of a running job goes; None when it has to wait for other steps. Raises SlurmError."""
    required, excluded = (_names(text, nodes, settings) for text in (request.nodelist, request.exclude))
    required |= set(request.hosts)
    if not required <= set(job.nodes):
        raise SlurmError(messages.NODE_CONFIGURATION)
    exact = request.exact or (request.cpus_per_task is not None and not request.overcommit)
    cpus_per_task = request.cpus_per_task or 1
    # The CPUs of a task are looked for on each node only where every node of the job has as many, or nodes are named (measured).
    is_small = min(job.cpus_per_node) < cpus_per_task
    ntasks, count = _size(job, request, cpus_per_task)
    by_cpus = request.counts_cpus and settings.profile.counts_tasks_of_own_nodes
    if by_cpus and (request.relative is not None or excluded or 0 < len(required) < count):
        # 24.11 waits for ever, mostly (measured).
        raise messages.unsupported("--cpus-per-task without --ntasks, with --relative, --exclude or some of the nodes")
    busy = {} if request.overlap else _busy(job)
    candidates = [
        _place(job, name, cpus, busy, settings)
        for name, cpus in list(zip(job.nodes, job.cpus_per_node, strict=True))[request.relative or 0 :]
        if name not in excluded
    ]
    least = 1 if request.overcommit or (is_small and not required) else cpus_per_task
    fitting = [one for one in candidates if one.cpus >= least]
    too_many = messages.MORE_PROCESSORS
    is_chosen = request.hosts or excluded or (request.nodelist and len(required) >= count)
    if is_chosen and len(set(job.cpus_per_node)) > 1:
        too_many = messages.NODE_CONFIGURATION  # measured, for whatever reason
    if len(candidates) < count:
        raise SlurmError(messages.NODE_CONFIGURATION)
    offered = _choose(fitting, required, count)
    if by_cpus:
        ntasks = _tasks_by_cpus(offered, cpus_per_task)
    needed = count if request.overcommit else ntasks * cpus_per_task
    if len(fitting) < count or sum(one.cpus for one in offered) < needed:
        if busy and too_many == messages.MORE_PROCESSORS:
            return None  # it is said when no other step runs any more (measured)
        raise SlurmError(too_many)
    if by_cpus and ntasks < count:
        raise SlurmError(messages.TASK_COUNT)
    if settings.profile.release >= "24.11" and not required <= {one.name for one in fitting}:
        raise SlurmError(messages.NODE_CONFIGURATION)  # measured; 22.05 takes those that are large enough
    if settings.memory_is_consumed:
        fitting = _with_memory(fitting, request, exact=exact, least=least)
    free = [one for one in fitting if (one.free >= least if exact else one.free == one.cpus)]
    chosen = _find(job, request, free, required, count, needed, settings)
    if not chosen:
        return None
    room = [one.free if exact else one.cpus for one in chosen]
    asked = min(request.min_nodes or count, count)
    in_blocks = ntasks > asked or (request.counts_cpus and settings.profile.counted_tasks_in_blocks)
    distribution = request.distribution or ("block" if in_blocks else "cyclic")
    if request.hosts:
        tasks = lay_out_arbitrary([one.name for one in chosen], request.hosts)
    else:
        places = [max(cpus // cpus_per_task, 1) for cpus in room]
        tasks = lay_out(places, ntasks, distribution, overcommit=request.overcommit)
    crowded = any(len(ranks) * cpus_per_task > one.cpus for ranks, one in zip(tasks, chosen, strict=True))
    if exact and crowded and distribution.startswith(("arbitrary", "plane")):
        raise SlurmError(messages.MORE_PROCESSORS)
    gres = step_gres(job, request, [one.name for one in chosen], nodes, settings)
    if gres is None:
        return None
    new = settings.profile.release >= "24.11"
    counted = not (request.exact and request.overcommit) or (new and request.cpus_per_task is not None)
    each = 1 if is_small or not counted else cpus_per_task
    held = [min(cpus, many * each) if exact else cpus for cpus, many in zip(room, map(len, tasks), strict=True)]
    if settings.memory_is_consumed and not request.overlap:
        for one, cpus in zip(chosen, held, strict=True):
            if step_megabytes(request, cpus) > one.memory:
                raise SlurmError(messages.STEP_MEMORY)
            if step_megabytes(request, cpus) > one.free_memory:
                return None
    return Placement(
        nodes=tuple(one.name for one in chosen),
        tasks=tuple(tasks),
        cpus_per_node=tuple(held),
        gres=gres,
        distribution=distribution.partition("=")[0],
        counted=counted,
    )


def _names(text: str, nodes: Mapping[str, NodeRecord], settings: Settings) -> set[str]:
    try:
        _, names = node_mask(text, nodes, settings)
    except SlurmError:
        raise SlurmError(messages.NODE_CONFIGURATION) from None
    return set(names)


def _size(job: Job, request: StepRequest, cpus_per_task: int) -> tuple[int, int]:
    """Tasks and nodes of the step. srun's own defaults inside a job are SLURM_NTASKS and SLURM_NNODES."""
    if request.hosts:
        return len(request.hosts), len(set(request.hosts))
    count = request.max_nodes or request.min_nodes or len(job.nodes) - (request.relative or 0)
    count = min(count, max(len(job.nodes), request.min_nodes or 1))
    if request.ntasks is not None:
        return request.ntasks, min(count, request.ntasks)
    if request.ntasks_per_node is not None:
        return count * request.ntasks_per_node, count
    if request.cpus_per_task is not None:
        return max(sum(cpus // cpus_per_task for cpus in job.cpus_per_node), count), count
    return count, count


def _tasks_by_cpus(places: Sequence[_Place], cpus_per_task: int) -> int:
    return sum(one.cpus // cpus_per_task for one in places)


@frozen
class _Busy:
    cpus: int
    memory: int


def _busy(job: Job) -> dict[str, _Busy]:
    """CPUs and memory (MB) by node that running steps keep to themselves."""
    busy: dict[str, _Busy] = {}
    for step in job.steps.values():
        if step.running and step.exclusive and step.counted and step.request is not None:
            for name, cpus in zip(step.nodes, step.cpus_per_node, strict=True):
                before = busy.get(name, _Busy(0, 0))
                busy[name] = _Busy(before.cpus + cpus, before.memory + step_megabytes(step.request, cpus))
    return busy


def _place(job: Job, name: str, cpus: int, busy: Mapping[str, _Busy], settings: Settings) -> _Place:
    held = busy.get(name, _Busy(0, 0))
    memory = job_megabytes(job, name, settings)
    return _Place(name=name, cpus=cpus, free=cpus - held.cpus, memory=memory, free_memory=memory - held.memory)


def _with_memory(places: Sequence[_Place], request: StepRequest, *, exact: bool, least: int) -> list[_Place]:
    """Those whose memory is enough, now or later. Raises SlurmError when that of none is."""
    enough = [one for one in places if step_megabytes(request, least if exact else one.cpus) <= one.memory]
    if not enough:
        raise SlurmError(messages.STEP_MEMORY)
    if len(enough) < len(places):
        raise messages.unsupported("a step with more memory than its job has on some of its nodes")
    return enough


def _choose(candidates: Sequence[_Place], required: set[str], count: int) -> list[_Place]:
    """The required nodes and the first of the others, in the order of the job's nodes."""
    others = max(count - len(required), 0)
    chosen = []
    for one in candidates:
        if one.name in required:
            chosen.append(one)
        elif others > 0:
            chosen.append(one)
            others -= 1
    return chosen


def _find(
    job: Job,
    request: StepRequest,
    free: Sequence[_Place],
    required: set[str],
    count: int,
    needed: int,
    settings: Settings,
) -> list[_Place]:
    """Nodes on which no step is, if there are enough of them, else any that are free for this one; none when it has to wait.

    Enough are as many as it asks for at least (``srun -N2-3``), where these have the CPUs (measured).

    With --exclude, and before 24.11 with --relative, always the first that are free. Since 24.11 they go round (measured).
    """
    index = {name: place for place, name in enumerate(job.nodes)}
    go_round = settings.profile.steps_go_round
    first = job.next_step_node if go_round else 0
    in_turn = sorted(free, key=lambda one: (index[one.name] < first, index[one.name]))
    used = {name for step in job.steps.values() if step.running for name in step.nodes} - required
    offers: list[Sequence[_Place]] = [[one for one in in_turn if one.name not in used], in_turn, free]
    if request.exclude or (request.relative is not None and not go_round):
        offers = [free]
    for offered in offers:
        chosen = sorted(_choose(offered, required, count), key=lambda one: index[one.name])
        enough = len(chosen) >= min(request.min_nodes or count, count) and required <= {one.name for one in chosen}
        if enough and sum(one.free for one in chosen) >= needed:
            return chosen
    return []
