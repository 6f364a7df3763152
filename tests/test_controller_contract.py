"""Tables of the contract, each row of which holds on a real Slurm, asked of the controller alone."""

from __future__ import annotations

import re
from datetime import datetime
from signal import SIGTERM
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve
from controllers import NOW, cluster, describe, finish, options, step_request, submit

from fakeslurm.contract import (
    test_cpus_of_nodes,
    test_features,
    test_found_by_differential,
    test_found_in_options,
    test_found_in_submissions,
    test_gres,
    test_memory,
    test_node_counts,
    test_preemption,
    test_preemption_suspend,
    test_srun_layout,
    test_steps_at_once,
    test_tasks_per_node,
)
from fakeslurm.messages import SlurmError
from fakeslurm.model import Job
from fakeslurm.slurmconf import configured
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.licenses import license_names
from fakeslurm.slurmctld.resources import bits
from slurmkit.slurm import hostlist, layout

OLD, NEW = "22.05", "24.11"
NODE_CONFIGURATION = "Requested node configuration is not available"
both = pytest.mark.parametrize("version", [OLD, NEW])


def table(test: Any, without: str | None = None) -> tuple[str | tuple[str, ...], list[Any]]:
    """The parameters of a test of the contract: their names, and the rows, without those in whose first value a text is found."""
    names, rows = next(mark.args for mark in test.pytestmark if mark.name == "parametrize")
    return names, [row for row in rows if without is None or without not in str(row[0])]


def configured_by(module: ModuleType, version: str = OLD) -> Controller:
    """The cluster that a module of the contract asks for."""
    usual = cluster().settings
    lines = module.pytestmark.args
    return Controller(configured(lines, usual.nodes, usual.partitions, version=version))


def counts(job: Job) -> str:
    """Nodes, CPUs and tasks, as the commands show them; of a range of nodes the lower end."""
    return f"{job.num_nodes} {job.num_cpus} {job.num_tasks if job.shown_tasks is None else job.shown_tasks}"


def said(controller: Controller, text: str, **more: Any) -> list[str]:
    """What a submission is refused with: the lines above, and the message."""
    with pytest.raises(SlurmError) as refused:
        submit(controller, text, **more)
    return [*refused.value.details, refused.value.message]


# How many CPUs of which nodes


@both
@pytest.mark.parametrize(*table(test_tasks_per_node.test_of_a_job_that_waits))
def test_tasks_per_node_of_a_job_that_waits(version: str, options: str, old: str, new: str) -> None:
    job = submit(cluster(version=version), options, hold=True)
    assert counts(job) == (new if version == NEW else old)


@both
@pytest.mark.parametrize(*table(test_tasks_per_node.test_of_a_job_that_runs))
def test_tasks_per_node_of_a_job_that_runs(version: str, options: str, old: str, new: str) -> None:
    job = submit(cluster(version=version), options)
    found = f"{counts(job)} {layout.format(job.tasks_per_node)} {job.num_tasks}"
    assert found == (new if version == NEW else old)


@both
@pytest.mark.parametrize(*table(test_tasks_per_node.test_of_a_job_that_waits_and_overcommits))
def test_a_job_that_waits_and_overcommits(version: str, options: str, expected: str) -> None:
    job = submit(cluster(version=version), options, hold=True, overcommit=True)
    assert counts(job) == expected.rpartition(" ")[0]


@both
def test_every_node_has_to_have_room_for_all_tasks(version: str) -> None:
    controller = cluster(version=version)
    submit(controller, "-N4 --ntasks-per-node=2")
    waits = submit(controller, "-N2 -n2 --ntasks-per-node=3")
    runs = submit(controller, "-N2 -n3 --ntasks-per-node=2 --nice=-1")
    assert (waits.state, runs.state) == ("PENDING", "RUNNING")


def forecast(version: str, text: str) -> str:
    """CPUs and nodes on an empty cluster, or what is said instead."""
    try:
        found = cluster(version=version).test_only(describe(text), NOW)
    except SlurmError as refused:
        return f"allocation failure: {refused.message}"
    return f"{found.num_cpus} {hostlist.compress(found.nodes)}"


@both
@pytest.mark.parametrize(*table(test_cpus_of_nodes.test_cpus_and_nodes, "sockets"))
def test_cpus_and_nodes(version: str, options: str, old: str, new: str) -> None:
    assert forecast(version, options) == (new if version == NEW else old)


@both
@pytest.mark.parametrize(*table(test_cpus_of_nodes.test_only_the_listed_nodes_are_looked_at))
def test_only_the_listed_nodes_are_looked_at(version: str, options: str, expected: str) -> None:
    assert forecast(version, options) == expected


@both
@pytest.mark.parametrize(*table(test_cpus_of_nodes.test_what_no_node_has))
def test_what_no_node_has(version: str, options: str, is_explained: bool) -> None:
    lines = ["CPU count per node can not be satisfied"] if is_explained else []
    assert said(cluster(version=version), options) == [*lines, NODE_CONFIGURATION]


@both
@pytest.mark.parametrize(*table(test_cpus_of_nodes.test_nodes_and_cpus_of_a_job_that_waits, "sockets"))
def test_nodes_and_cpus_of_a_job_that_waits(version: str, options: str, old: str, new: str) -> None:
    job = submit(cluster(version=version), options, hold=True)
    assert f"{job.num_nodes} {job.num_cpus}" == (new if version == NEW else old)


@both
def test_which_cpus(version: str) -> None:
    job = submit(cluster(version=version), "-n5 --ntasks-per-socket=1")
    assert (job.nodes, job.cpu_ids) == (("n1", "n2"), ((0, 1, 2, 3), (3,)))
    controller = cluster(version=version)
    submit(controller, "-n3 -w n1")
    assert submit(controller, "--sockets-per-node=2").nodes == ("n2",)


@both
@pytest.mark.parametrize(*table(test_node_counts.test_tasks_of_a_job_that_ran))
def test_tasks_of_a_job_that_ran(version: str, options: str, expected: str) -> None:
    job = submit(cluster(version=version), options)
    assert f"{hostlist.compress(job.nodes)} {counts(job)}" == expected


@pytest.mark.parametrize(*table(test_node_counts.test_nodelist_of_more_nodes_than_nodes))
def test_a_list_of_more_nodes_than_needed(options: str, before: str | None, now: str) -> None:
    """22.05 takes the first ones of the list, which its command has sorted."""
    if before is not None:
        text = re.sub(r"(?<=-w )\S+", lambda given: ",".join(sorted(hostlist.expand(given[0]))), options)
        job = submit(cluster(version=OLD), text)
        assert f"{hostlist.compress(job.nodes)} {counts(job)}" == before


@both
@pytest.mark.parametrize(*table(test_found_by_differential.test_nodes_by_tasks_per_node))
def test_nodes_by_tasks_per_node(version: str, options: tuple[str, ...], nodes: str) -> None:
    job = submit(cluster(version=version), f"--ntasks-per-node=1 {' '.join(options)}")
    assert len(job.nodes) == int("4" if version == NEW else nodes)


@pytest.mark.parametrize(*table(test_found_in_submissions.test_nodes_between_are_wanted_as_well))
def test_nodes_between_are_wanted_as_well(options: str, counts: str) -> None:
    text = f"--contiguous {options}"
    if counts[0].isdecimal():
        job = submit(cluster(), text, hold=True)
        shown = f"{job.num_nodes} {job.num_cpus} {job.num_tasks if job.shown_tasks is None else job.shown_tasks}"
        assert shown == re.sub(r"^(\d+)-\d+", r"\1", counts)
    else:
        assert said(cluster(), text, hold=True) == [counts]


@both
@pytest.mark.parametrize(*table(test_features.test_constraint))
def test_constraint(version: str, constraint: str, options: list[str], nodes: str) -> None:
    wanted = constraint.replace(",", "&")  # by the command
    job = submit(configured_by(test_features, version), " ".join(options), constraint=wanted)
    assert hostlist.compress(job.nodes) == nodes


@both
@pytest.mark.parametrize(*table(test_features.test_licenses))
def test_licenses(version: str, text: str, foo: int, bar: int) -> None:
    controller = configured_by(test_features, version)
    submit(controller, licenses=text)
    assert controller.licenses_used == {"foo": foo, "bar": bar}


@pytest.mark.parametrize(*table(test_features.test_squeue_by_license))
def test_jobs_by_license(wanted: str, found: int) -> None:
    jobs = [license_names(text) for text in ("foo:2", "foo,bar", "")]
    assert sum(not names.isdisjoint(wanted.split(",")) for names in jobs) == found


# What is refused


@both
@pytest.mark.parametrize(*table(test_found_in_submissions.test_cpus_of_a_task_that_no_node_has))
def test_cpus_of_a_task_that_no_node_has(version: str, options: str, detail: bool) -> None:
    lines = ["CPU count per node can not be satisfied"] if detail else []
    assert said(cluster(version=version), f"--ntasks-per-core=1 {options}") == [*lines, NODE_CONFIGURATION]


@both
@pytest.mark.parametrize(*table(test_features.test_refused))
def test_features_and_licenses_that_are_refused(version: str, options: list[str], problem: str) -> None:
    flag, value, *rest = options
    name = {"-C": "constraint", "-L": "licenses"}[flag]
    assert said(configured_by(test_features, version), " ".join(rest), **{name: value}) == [problem]


@both
@pytest.mark.parametrize(*table(test_found_in_submissions.test_what_is_wrong_first, "--comment"))
def test_what_is_wrong_first(version: str, options: list[str], found: str, found_by_24_11: str | None) -> None:
    words = [word for word in options if not word.startswith("--deadline")]
    more: dict[str, Any] = {} if words == options else {"deadline": datetime(2020, 1, 1).timestamp()}
    text = " ".join(word or "''" for word in words)
    assert said(cluster(version=version), text, hold=True, **more)[-1] == (
        found_by_24_11 if found_by_24_11 and version == NEW else found
    )


@both
@pytest.mark.parametrize(*table(test_found_in_options.test_ids_that_refused_submissions_use_up))
def test_ids_that_refused_submissions_use_up(version: str, options: str, before: int, now: int) -> None:
    controller = cluster(version=version)
    said(controller, options)
    assert submit(controller).job_id - 1 == (now if version == NEW else before)


@both
@pytest.mark.parametrize("size", ["-n17", "-N5"])
@pytest.mark.parametrize("misfit", ["--tmp=100", "-c5", "--mem=1000G", "--mincpus=5", "-x n[1-4]"])
def test_more_than_the_partition_has_and_than_a_node_has(version: str, size: str, misfit: str) -> None:
    """22.05 looks at the partition first, and there the job may wait."""
    controller, text = cluster(version=version), f"{size} {misfit}"
    if version == NEW:
        assert said(controller, text)[-1] == NODE_CONFIGURATION
    else:
        assert submit(controller, text).reason in ("PartitionConfig", "PartitionNodeLimit")


# Steps


@both
@pytest.mark.parametrize(*table(test_steps_at_once.test_nodes))
def test_steps_beside_others(version: str, steps: list[str], old: str, new: str) -> None:
    controller = cluster(version=version)
    job = submit(controller, "-w n[1-3] --ntasks-per-node=2")
    made = [controller.create_step(job.job_id, step_request(text, job), NOW) for text in steps]
    assert " ".join(hostlist.compress(one.nodes) for one in made if one) == (new if version == NEW else old)


@pytest.mark.parametrize(*table(test_memory.test_steps_wait_for_memory))
def test_steps_wait_for_memory(job: str, options: str, together: bool) -> None:
    controller = cluster(memory_is_consumed=True)
    running = submit(controller, f"-n2 -N1 {job}")
    request = evolve(step_request(f"-n1 --exact {options}", running), **memory(options if "mem" in options else job))
    first, second = (controller.create_step(running.job_id, request, NOW) for _ in range(2))
    assert first is not None
    assert (second is not None) == together


def memory(text: str) -> dict[str, Any]:
    """What a step asks for with these options, or because its job has (SLURM_MEM_PER_NODE, SLURM_MEM_PER_CPU)."""
    return {name: value for name, value in options(text).items() if name.startswith("mem_")}


@both
@pytest.mark.parametrize(*table(test_srun_layout.test_distributions))
def test_distributions(version: str, job: str, step: str, expected: list[str]) -> None:
    controller = cluster(version=version)
    running = submit(controller, job)
    request = step_request(step, running)
    if "*" in step:  # srun's word for what is usual
        request = evolve(request, distribution="block")
    elif request.distribution is None:  # SLURM_DISTRIBUTION
        request = evolve(request, distribution=running.description.distribution)
    made = controller.create_step(running.job_id, request, NOW)
    assert made is not None
    found = zip(made.nodes, made.tasks, strict=True)
    assert [f"{node} {','.join(map(str, ranks))}" for node, ranks in found] == expected


def with_gres(words: list[str] | str) -> tuple[str, dict[str, str]]:
    """Options, and those about gres as fields."""
    names = {"gres": "gres", "gpus": "gpus", "gpus-per-node": "gpus_per_node"}
    rest, fields = [], {}
    for word in words.split() if isinstance(words, str) else words:
        name, _, value = word.removeprefix("--").partition("=")
        if name in names:
            fields[names[name]] = value
        else:
            rest.append(word)
    return " ".join(rest), fields


@both
@pytest.mark.parametrize(*table(test_gres.test_step))
def test_gpus_of_a_step(version: str, job: list[str], step: str, node: str, indices: str) -> None:
    controller = configured_by(test_gres, version)
    text, fields = with_gres(job)
    running = submit(controller, text, **fields)
    text, fields = with_gres(step)
    made = controller.create_step(running.job_id, evolve(step_request(text, running), **fields), NOW)
    assert made is not None
    assert made.nodes == (node,)
    assert ",".join(map(str, bits(made.gres[0]))) == indices


@both
@pytest.mark.parametrize(*table(test_gres.test_what_a_step_cannot_have))
def test_gpus_that_a_step_cannot_have(version: str, job: str, step: str, problem: str) -> None:
    controller = configured_by(test_gres, version)
    running = submit(controller, gres=job)
    with pytest.raises(SlurmError) as refused:
        controller.create_step(running.job_id, evolve(step_request("", running), gres=step), NOW)
    assert refused.value.message == "Invalid generic resource (gres) specification"
    assert list(refused.value.details) == ([] if version == NEW else [problem])


# Who makes room


@both
@pytest.mark.parametrize(*table(test_preemption.test_who_has_to_go))
def test_who_has_to_go(version: str, lows: list[str], high: str, victims: str, nodes: str) -> None:
    controller = configured_by(test_preemption, version)
    jobs = []
    for low in lows:
        *words, place = low.split()
        number = 1 + ("-" in place)
        cpus = int(words[0]) if words and words[0].isdecimal() else 4 * number
        name = words[0] if words and not words[0].isdecimal() else "low"
        jobs.append(submit(controller, f"-p {name} -w {place} -n{cpus} -N{number}"))
    job = submit(controller, f"-p high {high}", NOW + 1)
    gone = [place for place, one in enumerate(jobs) if one.restart_count]
    for place in gone:
        finish(controller, jobs[place], NOW + 2, SIGTERM)
    assert hostlist.compress(job.nodes) == nodes
    assert "".join(map(str, gone)) == victims


@both
@pytest.mark.parametrize(*table(test_preemption_suspend.test_who_stands_still))
def test_who_stands_still(
    version: str, there: list[str], high: str, expected: str, nodes: str, cpus: str | None
) -> None:
    controller = configured_by(test_preemption_suspend, version)
    jobs = []
    for one in there:
        *partition, number, node = ("4 " * (len(one.split()) < 2) + one).split()
        whole = "--exclusive" if number.endswith("x") else ""
        jobs.append(submit(controller, f"-p {(partition or ['debug'])[0]} -n {number[0]} -w {node} {whole}"))
    job = submit(controller, f"-p high {high}")
    assert " ".join(one.shown_state[0] for one in jobs) == expected
    assert hostlist.compress(job.nodes) == nodes
    if cpus is not None:
        first, _, last = cpus.partition("-")
        assert set(job.cpu_ids) == {tuple(range(int(first), int(last or first) + 1))}
