"""Why jobs wait, and what they keep from those behind them: the tables of the contract, without a Slurm around the controller."""

from __future__ import annotations

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm.contract.test_found_in_the_queue import BUSY, NAMED, TOO_FEW
from fakeslurm.model import Job, NodeReason, Partition
from fakeslurm.slurmctld import Controller
from slurmkit.slurm import hostlist

WHY = NodeReason("gone", "root", 0, NOW)
PARTITIONS = [
    *(Partition("debug", default=True), Partition("two"), Partition("three", nodes=["n3", "n4"])),
    Partition("top", priority_tier=5),
]


def outcome(job: Job) -> str:
    return hostlist.compress(job.nodes) or job.reason


def kept(version: str, nodes: str) -> str:
    """The reason of a job that needs these nodes, which are up, and which others keep."""
    what = "May be reserved for other job" if version == "24.11" else f"UnavailableNodes:{nodes}"
    return f"ReqNodeNotAvail, {what}"


def queued(version: str, busy: list[str], waiting: list[str]) -> tuple[Controller, list[Job]]:
    controller = cluster(version=version, partitions=PARTITIONS)
    for options in busy:
        assert submit(controller, options).nodes
    return controller, [submit(controller, options) for options in waiting]


def expect(version: str, jobs: list[Job], expected: list[str]) -> None:
    reasons = [kept(version, one[5:]) if one.startswith("kept ") else one for one in expected]
    assert [outcome(job) for job in jobs] == reasons


@pytest.mark.parametrize("version", ["22.05", "24.11"])
@pytest.mark.parametrize(("busy", "waiting"), NAMED)
def test_jobs_that_name_their_nodes_keep_only_these(version: str, busy: list[str], waiting: list[str]) -> None:
    words = [line.split(": ") for line in waiting]
    _, jobs = queued(version, busy, [options for options, _ in words])
    expect(version, jobs, [reason for _, reason in words])


@pytest.mark.parametrize("version", ["22.05", "24.11"])
def test_who_comes_next_when_one_that_names_its_nodes_is_gone(version: str) -> None:
    controller, jobs = queued(version, BUSY, ["-w n1", "-w n1", "-w n1", "-N1", "-N1"])
    expect(version, jobs, ["Resources", "kept n1", "kept n1", "Resources", "Priority"])
    controller.cancel(jobs[0].job_id, NOW, uid=0)
    expect(version, jobs[1:], ["Resources", "kept n1", "Resources", "Priority"])


def test_what_is_told_to_those_who_are_overtaken() -> None:
    """Resources becomes Priority, ReqNodeNotAvail stays."""
    controller, _ = queued("22.05", BUSY, [])
    jobs = [submit(controller, one, priority=10 - place) for place, one in enumerate(["-w n1", "-w n1", "-N4"])]
    expect("22.05", jobs, ["Resources", "kept n1", TOO_FEW])
    jobs.append(submit(controller, "-N4"))
    expect("22.05", jobs, ["Priority", "kept n1", "Priority", "Resources"])
    assert [job.waited_for for job in jobs] == ["None", "ReqNodeNotAvail", "None", "None"], "what sacct has kept"


def test_elements_of_an_array_that_name_their_node() -> None:
    controller, _ = queued("22.05", BUSY[:1], [])
    array = submit(controller, "-w n1", array="1-3")
    expect("22.05", [array, submit(controller, "-w n1"), submit(controller, "-N1")], ["Resources", "kept n1", "n2"])


# Nodes that are not there (docs/measured/nodes.md)


def test_what_keeps_a_job_waiting_for_nodes_that_are_down() -> None:
    controller = cluster()
    controller.update_node("n1", NOW, "DOWN", WHY)
    waits = "ReqNodeNotAvail, UnavailableNodes:n1"
    jobs = [submit(controller, text) for text in ("-w n1", "-w n[1-2] -N2", "-N4", "-n16", "-N1")]
    assert [outcome(job) for job in jobs] == [waits, waits, TOO_FEW, waits, "n2"]
    assert {job.waited_for for job in jobs[:4]} == {"ReqNodeNotAvail"}
    finish(controller, jobs[4], NOW + 1)
    controller.update_node("n1", NOW + 2, "RESUME")
    assert [outcome(job) for job in jobs[:4]] == ["n1", "n[1-2]", "n[1-4]", "Resources"]


def test_jobs_that_wait_for_their_turn_hear_of_nodes_that_go() -> None:
    controller = cluster()
    running = submit(controller, "-N4 --exclusive")
    waiting = [submit(controller, text) for text in ("-N4", "-w n1", "-N3")]
    controller.update_node("n1", NOW + 1, "DRAIN", WHY)
    assert running.shown_state == "RUNNING"
    assert [job.reason for job in waiting] == [TOO_FEW, "ReqNodeNotAvail, UnavailableNodes:n1", "Resources"]
    controller.update_node("n1", NOW + 2, "UNDRAIN")
    assert [job.reason for job in waiting] == ["Resources", "Priority", "Priority"]
