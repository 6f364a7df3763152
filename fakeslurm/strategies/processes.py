"""Running jobs with a step in them, and the environment of every process of theirs, for either release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fakeslurm.commands.base import Given, Refused
from fakeslurm.commands.hetstep import variables_of_group
from fakeslurm.commands.srun_options import StepWishes
from fakeslurm.commands.srun_sizes import sizes_of
from fakeslurm.environment import batch_environment, step_environment, task_environment
from fakeslurm.hetview import own_variables, views
from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, JobDescription, Node, Settings, Step, StepRequest
from fakeslurm.profiles import PROFILES
from fakeslurm.slurmctld import Controller
from fakeslurm.strategies.hostlists import hosts
from fakeslurm.strategies.layouts import distributions

__all__ = ["JobProcesses", "environments", "job_processes"]

Kind = Literal["single", "array", "het"]

_NOW = 1_893_456_000.0  # 2030-01-01
_LOGIN = {"HOME": "/home/me", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@frozen
class JobProcesses:
    """A job that runs on a Slurm of `version`, and one step in it: what each of its processes finds in its environment."""

    version: str
    kind: Kind
    job_id: int
    """The leader's for a heterogeneous job, the element's own in an array."""
    array_task_id: int | None
    restart_count: int
    batch: Mapping[str, str]
    """Of the batch script."""
    ranks: tuple[Mapping[str, str], ...]
    """Of each rank of the step."""
    tasks: tuple[tuple[int, ...], ...]
    """The ranks on each of the step's nodes."""
    nodes: tuple[str, ...]
    """The step's."""
    job_nodes: tuple[str, ...]
    """Those of the job; of a heterogeneous one, the leader's."""
    is_bare: bool
    """Whether the step is that of a bare ``srun``."""


def environments(
    *, versions: Sequence[str] = tuple(PROFILES), kinds: Sequence[Kind] = ("single", "array", "het")
) -> SearchStrategy[Mapping[str, str]]:
    """The environment of one process of a job: the batch script's, or that of any rank of a step. See `job_processes`."""
    return job_processes(versions=versions, kinds=kinds).flatmap(
        lambda processes: st.sampled_from([processes.batch, *processes.ranks])
    )


@st.composite
def job_processes(
    draw: st.DrawFn, *, versions: Sequence[str] = tuple(PROFILES), kinds: Sequence[Kind] = ("single", "array", "het")
) -> JobProcesses:
    """Any job that one of these releases of Slurm starts, of one of these kinds, and any step that it grants.

    ``kinds``: a job on its own, an element of an array, a heterogeneous job (with a step in some of its components). The environments are those
    that the fake gives to processes. Shrinks to one task on one node of 22.05.
    """
    kind = draw(st.sampled_from(kinds))
    settings = draw(_clusters(draw(st.sampled_from(versions)), 2 if kind == "het" else 1))
    controller = Controller(settings)
    try:
        if kind == "het":
            return _het(draw, controller)
        return _single(draw, controller, kind)
    except (SlurmError, Refused):
        reject()  # asked for together what cannot be had


@st.composite
def _clusters(draw: st.DrawFn, version: str, least: int) -> Settings:
    names = draw(hosts(min_size=least, max_size=5, unique=True))
    return Settings(nodes=[Node(name, cpus=draw(st.integers(1, 8))) for name in names], version=version)


def _description(
    draw: st.DrawFn, settings: Settings, count: int, *, is_component: bool = False, **more: Any
) -> JobDescription:
    """A job, or a component, on `count` nodes."""
    least = min(node.cpus for node in settings.nodes)
    asked: dict[str, Any] = {"script": b"#!/bin/sh\n", "name": "job", "environment": _LOGIN, "work_dir": "/home/me"}
    cpus = draw(st.integers(1, least))
    asked |= {"min_nodes": count, "max_nodes": count}
    size = draw(st.sampled_from(["", "ntasks", "ntasks_per_node"]))
    if size:
        each = draw(st.integers(1, least // cpus))
        asked[size] = each if size == "ntasks_per_node" else draw(st.integers(count, each * count))
    if cpus > 1 or draw(st.booleans()):
        asked["cpus_per_task"] = cpus
    if draw(st.booleans()):
        asked["distribution"] = draw(distributions())
    choices: list[dict[str, Any]] = [{}, {"exclusive": True}, {"export": "NONE"}]
    if not is_component:  # of which the fake refuses these
        choices += [{"overcommit": True}, {"time_limit": 5}]
    asked |= draw(st.sampled_from(choices))
    return JobDescription(**asked, **more)


def _srun(draw: st.DrawFn, job: Job) -> dict[str, str]:
    """The options of an srun: none, or those for a part of the job."""
    if draw(st.booleans()):
        return {}
    count = draw(st.integers(1, len(job.nodes)))
    options = {"nodes": f"{count}", "ntasks": f"{draw(st.integers(count, max(job.num_tasks, count)))}"}
    return options | draw(
        st.sampled_from([{}, {"distribution": "cyclic"}, {"distribution": "plane=2"}, {"overcommit": ""}])
    )


def _request(options: Mapping[str, str], environ: Mapping[str, str], release: str) -> StepRequest:
    """What srun asks for with these options and in this environment. Raises `Refused`."""
    wishes = StepWishes("srun", environ, _NOW, release)
    wishes.take([Given(name, text or None) for name, text in options.items()])
    wishes.check()
    sizes = sizes_of(wishes)
    return StepRequest(
        name="step",
        ntasks=wishes.ntasks,
        min_nodes=sizes.min_nodes,
        max_nodes=sizes.max_nodes,
        ntasks_per_node=sizes.ntasks_per_node,
        cpus_per_task=wishes.cpus_per_task,
        distribution=wishes.distribution,
        overcommit=wishes.overcommit,
    )


def _single(draw: st.DrawFn, controller: Controller, kind: Kind) -> JobProcesses:
    settings = controller.settings
    count = draw(st.integers(1, len(settings.nodes)))
    array = draw(st.sampled_from(["0-3", "2,5-7%1", "9", "1-9:4"])) if kind == "array" else ""
    controller.submit(_description(draw, settings, count, array=array), _NOW)
    job = next((job for job in controller.jobs.values() if job.nodes), None)
    if job is None:
        reject()
    job.restart_count = draw(st.integers(0, 2))
    script = batch_environment(job, settings, _LOGIN)
    options = _srun(draw, job)
    request = _request(options, script, settings.version)
    step = controller.create_step(job.job_id, request, _NOW)
    assert step is not None, "no other step is in the way"
    common = step_environment(job, step, settings, script)
    ranks = tuple(common | task_environment(job, step, settings, rank) for rank in range(step.ntasks))
    return _processes(settings, kind, job, script, ranks, step, not options)


def _het(draw: st.DrawFn, controller: Controller) -> JobProcesses:
    settings = controller.settings
    parts = draw(st.integers(2, min(3, len(settings.nodes))))
    leader_id = controller.submit_het([_description(draw, settings, 1, is_component=True) for _ in range(parts)], _NOW)
    leader = controller.jobs[leader_id]
    if leader.het is None or not leader.nodes:
        reject()
    components = [controller.jobs[job_id] for job_id in leader.het.members]
    script = batch_environment(leader, settings, _LOGIN, components)
    some = st.lists(st.sampled_from(range(parts)), min_size=1, unique=True).map(sorted)
    chosen = draw(st.one_of(st.just([0]), some, some))
    jobs = [components[place] for place in chosen]
    options = [_srun(draw, job) for job in jobs]
    requests = [
        _request(asked, variables_of_group(script, place), settings.version)
        for asked, place in zip(options, chosen, strict=True)
    ]
    steps = controller.create_steps([(job.job_id, one) for job, one in zip(jobs, requests, strict=True)], _NOW)
    assert steps is not None, "no other step is in the way"
    own = [own_variables(*three) for three in zip(jobs, steps, requests, strict=True)]
    ranks: list[Mapping[str, str]] = []
    seen = views(jobs, steps, own, script)
    for view, step in zip(seen, steps, strict=True):
        common = step_environment(view.job, view.step, settings, script) | dict(view.variables)
        ranks += [
            common | task_environment(view.job, view.step, settings, view.first + rank) for rank in range(step.ntasks)
        ]
    bare = chosen == [0] and not options[0]
    return _processes(settings, "het", leader, script, tuple(ranks), seen[0].step, bare)


def _processes(
    settings: Settings,
    kind: Kind,
    job: Job,
    script: Mapping[str, str],
    ranks: tuple[Mapping[str, str], ...],
    step: Step,
    bare: bool,
) -> JobProcesses:
    return JobProcesses(
        version=settings.version,
        kind=kind,
        job_id=job.job_id,
        array_task_id=job.array_task_id,
        restart_count=job.restart_count,
        batch=script,
        ranks=ranks,
        tasks=step.tasks,
        nodes=step.nodes,
        job_nodes=job.nodes,
        is_bare=bare,
    )
