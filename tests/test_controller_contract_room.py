"""Who has what, and who makes room: tests of the contract, each of which holds on a real Slurm, in the controller alone."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, describe, finish, submit

from fakeslurm.model import Node, Partition
from fakeslurm.slurmctld import Controller

both = pytest.mark.parametrize("version", ["22.05", "24.11"])
SHARED = "-n2 --mem=100 -w n1"


# What suspended jobs hold


def consumed(version: str) -> Controller:
    nodes = [Node(f"n{number}", gres="fpga:2") for number in range(1, 5)]
    return cluster(version=version, nodes=nodes, memory_is_consumed=True, licenses={"lic": 3}, gres_types=["fpga"])


def held(controller: Controller) -> tuple[int, int]:
    """CPUs and MB of n1."""
    return controller.nodes["n1"].allocated_cpus, controller.nodes["n1"].allocated_memory


def goes_on(controller: Controller, text: str, **more: Any) -> None:
    """A job runs at once, and ends."""
    job = submit(controller, f"-w n1 {text}", NOW + 5, **more)
    assert job.shown_state == "RUNNING"
    finish(controller, job, NOW + 5)


def waits(controller: Controller, reason: str, text: str, **more: Any) -> None:
    job = submit(controller, f"-w n1 {text}", NOW + 5, **more)
    assert (job.shown_state, job.reason) == ("PENDING", reason)
    controller.cancel(job.job_id, NOW + 5, uid=0)


@both
def test_only_cpus_of_a_suspended_job_are_free(version: str) -> None:
    controller = consumed(version)
    job = submit(controller, "-n2 --mem=700 -w n1", gres="fpga:1", licenses="lic:2")
    assert held(controller) == (2, 700)
    controller.suspend(1, NOW + 5, uid=0)
    assert held(controller) == (0, 700)
    goes_on(controller, "-n4 --mem=1300")
    waits(controller, "Resources", "-n4 --mem=1400")
    waits(controller, "Resources", "-n4 --mem=100", gres="fpga:2")
    waits(controller, "Licenses", "-n4 --mem=100", licenses="lic:2")
    # Of a node that is all its own a job gets all gres.
    waits(controller, "Resources", "-n1 --mem=100 --exclusive")
    controller.resume(1, NOW + 9, uid=0)
    assert held(controller) == (2, 700)
    controller.suspend(1, NOW + 19, uid=0)
    controller.cancel(1, NOW + 29, uid=0)
    finish(controller, job, NOW + 29, 9)
    assert held(controller) == (0, 0)
    job = submit(controller, "-n4 --mem=2000 -w n1", NOW + 30, gres="fpga:2", licenses="lic:3")
    assert job.shown_state == "RUNNING"


@both
def test_exclusive_jobs_beside_suspended_ones(version: str) -> None:
    controller = cluster(version=version, memory_is_consumed=True)
    job = submit(controller, SHARED)
    controller.suspend(job.job_id, NOW + 5, uid=0)
    goes_on(controller, f"{SHARED} --exclusive")
    controller.cancel(job.job_id, NOW + 6, uid=0)
    finish(controller, job, NOW + 6, 9)
    job = submit(controller, f"{SHARED} --exclusive", NOW + 7)
    assert held(controller)[0] == 4
    controller.suspend(job.job_id, NOW + 8, uid=0)
    assert submit(controller, SHARED, NOW + 9).shown_state == "RUNNING"


@both
def test_resumed_when_another_has_a_cpu(version: str) -> None:
    """It runs, but its CPUs count no more, until it has been suspended and resumed once more."""
    controller = cluster(version=version, memory_is_consumed=True)
    job = submit(controller, SHARED)
    controller.suspend(job.job_id, NOW + 1, uid=0)
    other = submit(controller, "-n1 --mem=100 -w n1", NOW + 2)
    controller.resume(job.job_id, NOW + 4, uid=0)
    assert (job.shown_state, held(controller)) == ("RUNNING", (1, 200))
    finish(controller, other, NOW + 5)
    assert held(controller) == (0, 100)
    goes_on(controller, "-n4 --mem=100")
    goes_on(controller, "-n1 --mem=100 --exclusive")
    controller.suspend(job.job_id, NOW + 10, uid=0)
    controller.resume(job.job_id, NOW + 20, uid=0)
    assert held(controller) == (2, 100)


@both
def test_resumed_on_two_nodes(version: str) -> None:
    """One CPU of one of them is enough."""
    controller = cluster(version=version, memory_is_consumed=True)
    job = submit(controller, "-N2 -n8 --mem=100 -w n[1-2]")
    controller.suspend(job.job_id, NOW + 1, uid=0)
    submit(controller, "-n1 --mem=100 -w n2", NOW + 2)
    controller.resume(job.job_id, NOW + 4, uid=0)
    assert held(controller) == (0, 100)
    goes_on(controller, "-n1 --mem=100")


# A job that preempts

PARTITIONS = [
    *(Partition("low", default=True), Partition("off", preempt_mode="OFF"), Partition("cancel", preempt_mode="CANCEL")),
    *(Partition("mid", priority_tier=5), Partition("high", priority_tier=10)),
]


def preempting(version: str) -> Controller:
    return cluster(partitions=PARTITIONS, preempts=True, preempt_mode="REQUEUE", version=version)


@both
def test_a_job_that_preempts_waits_for_a_moment(version: str) -> None:
    """What it preempts it will have, but when that takes longer than a round of backfill it starts in another of its partitions."""
    partitions = [Partition("debug", default=True), Partition("high", nodes=["n1", "n2"], priority_tier=10)]
    for stubborn in (False, True):
        controller = cluster(partitions=partitions, preempts=True, preempt_mode="CANCEL", version=version)
        low = [submit(controller, f"-w {node} -n4") for node in ("n1", "n2")]
        job = submit(controller, "-N1 -p debug,high", NOW + 10)
        assert ([one.state for one in low], job.state) == (["PREEMPTED", "RUNNING"], "PENDING")
        if not stubborn:
            finish(controller, low[0], NOW + 10.5, 15)
        controller.tick(NOW + 11)
        found = (job.partition, job.nodes, job.start_time)
        assert found == (("debug", ("n3",), NOW + 11) if stubborn else ("high", ("n1",), NOW + 10.5))
        assert low[1].state == "RUNNING"


@both
def test_who_is_spared(version: str) -> None:
    """Partitions with PreemptMode=OFF, equal and higher tiers; and everybody when it would be no help."""
    controller = preempting(version)
    places = [("off", "n1"), ("high", "n2"), ("low", "n3"), ("low", "n4")]
    jobs = [submit(controller, f"-p {name} -w {node} -n4") for name, node in places]
    waiting = submit(controller, "-p high -N3", NOW + 1)
    same = submit(controller, "-p low", NOW + 1)
    assert [job.shown_state for job in jobs] == ["RUNNING"] * 4
    assert (waiting.reason, same.shown_state) == ("Resources", "PENDING")
    controller.cancel(waiting.job_id, NOW + 2, uid=0)
    found = controller.test_only(describe("-p high -N2"), NOW + 3)
    assert (found.nodes, sorted(found.preempts)) == (("n3", "n4"), [3, 4])
    smaller = submit(controller, "-p high -N2", NOW + 4)
    assert [job.shown_state for job in jobs] == ["RUNNING", "RUNNING", "COMPLETING", "COMPLETING"]
    for job in jobs[2:]:
        finish(controller, job, NOW + 5, 15)
    assert smaller.nodes == ("n3", "n4")


@both
def test_an_element_of_an_array_is_preempted(version: str) -> None:
    controller = preempting(version)
    array = submit(controller, "-p low -N1 -n4", array="1-4").array
    assert array is not None
    first, *others = (controller.jobs[array.elements[task]] for task in (1, 2, 3, 4))
    job = submit(controller, "-p high -N1", NOW + 1)
    finish(controller, first, NOW + 2, 15)
    assert ([one.shown_state for one in others], job.nodes) == (["RUNNING"] * 3, ("n1",))
    assert (first.reason, first.restart_count) == ("BeginTime", 1)


@both
def test_who_waits_for_a_job_that_is_preempted(version: str) -> None:
    controller = preempting(version)
    job = submit(controller, "-p cancel -w n1 -n4")
    kinds = ("afterany", "afternotok", "afterok")
    others = [submit(controller, "-p off", dependency=f"{kind}:{job.job_id}") for kind in kinds]
    submit(controller, "-p high -w n1", NOW + 1)
    assert [one.shown_state for one in others] == ["PENDING"] * 3
    finish(controller, job, NOW + 2, 15)
    assert [one.shown_state for one in others] == ["RUNNING", "RUNNING", "PENDING"]
    assert (others[2].reason, others[2].dependency) == ("DependencyNeverSatisfied", f"afterok:{job.job_id}(failed)")


@both
def test_higher_tiers_start_first(version: str) -> None:
    controller = preempting(version)
    busy = submit(controller, "-p off -N4 --exclusive")
    jobs = [submit(controller, f"-p {name} -N4 --exclusive") for name in ("low", "mid", "high")]
    for later, job in enumerate(reversed(jobs), 1):
        assert job.shown_state == "PENDING"
        finish(controller, busy, NOW + later)
        assert job.start_time == NOW + later
        busy = job


@both
@pytest.mark.parametrize("names", ["low,high", "high,low"])
def test_a_job_for_several_partitions(version: str, names: str) -> None:
    """The highest tier comes first, in whatever order they were named, as soon as somebody looks."""
    controller = preempting(version)
    assert submit(controller, "-H", partition=names).partition == names
    jobs = [submit(controller, f"-p low -w n{number} -n4") for number in (1, 2, 3, 4)]
    job = submit(controller, "-N1", NOW + 1, partition=names)
    assert [one.restart_count for one in jobs] == [1, 0, 0, 0]
    finish(controller, jobs[0], NOW + 1.5, 15)
    assert (job.shown_state, job.partition, job.nodes) == ("RUNNING", "high", ("n1",))
