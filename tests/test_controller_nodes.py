"""Nodes that are drained, go down, are lost, and come back, and what becomes of the jobs on them: docs/measured/nodes.md."""

from __future__ import annotations

from signal import SIGCONT, SIGTERM

import pytest
from controllers import NOW, cluster, describe, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import BATCH, Abandon, EndJob, Job, JobError, NodeReason, SignalStep
from fakeslurm.slurmctld import Controller

WHY = NodeReason("gone", "root", 0, NOW)
LATER = NodeReason("later", "root", 0, NOW)


def flags(controller: Controller, name: str = "n1") -> tuple[str, str | None]:
    node = controller.nodes[name]
    said = [word for word, on in (("down", node.down), ("drain", node.drain), ("fail", node.fail)) if on]
    return " ".join(said), None if node.why is None else node.why.text


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("DRAIN", ("drain", "later")),
        ("FAIL", ("fail", "later")),
        ("DOWN", ("down", "later")),
        ("DRAIN FAIL", ("fail", "later")),
        ("FAIL DRAIN", ("drain", "later")),
        ("DRAIN DOWN", ("down drain", "later")),
        ("DOWN DRAIN", ("down drain", "later")),
        ("DRAIN UNDRAIN", ("", None)),
        ("FAIL UNDRAIN", ("fail", "gone")),
        ("DOWN DRAIN UNDRAIN", ("down", "gone")),
        ("DOWN DRAIN RESUME", ("", None)),
        ("DOWN FAIL RESUME", ("", None)),
        ("UNDRAIN", ("", None)),
    ],
)
def test_states(states: str, expected: tuple[str, str | None]) -> None:
    controller = cluster()
    *before, last = states.split()
    for state in before:
        controller.update_node("n1", NOW, state, WHY)  # type: ignore[arg-type]
    controller.update_node("n1", NOW, last, LATER if last in ("DOWN", "DRAIN", "FAIL") else None)  # type: ignore[arg-type]
    assert flags(controller) == expected
    assert submit(controller, "-w n1").nodes == (() if expected[0] else ("n1",))
    assert flags(controller, "n2") == ("", None)


def test_what_is_refused() -> None:
    controller = cluster()
    with pytest.raises(SlurmError, match=r"^Invalid node name specified$"):
        controller.update_node("n9", NOW, "DRAIN", WHY)
    with pytest.raises(SlurmError, match=r"^Invalid node state specified$"):
        controller.update_node("n1", NOW, "RESUME")
    submit(controller, "-N2 -k")
    with pytest.raises(SlurmError, match="state=DOWN of a node of job 1, which has --no-kill"):
        controller.update_node("n2", NOW, "DOWN", WHY)
    assert flags(controller, "n2") == ("", None)
    controller.update_node("n2", NOW, "DRAIN", WHY)


def test_a_job_that_wants_no_kill_on_one_node_ends_with_it() -> None:
    controller = cluster()
    job = submit(controller, "-k")
    controller.update_node("n1", NOW, "DOWN", WHY)
    assert (job.shown_state, job.restart_count) == ("COMPLETING", 1)


@pytest.mark.parametrize("state", ["DRAIN", "FAIL"])
def test_jobs_go_on_where_no_others_start(state: str) -> None:
    controller = cluster()
    job = submit(controller, "-w n1")
    controller.update_node("n1", NOW + 1, state, WHY)  # type: ignore[arg-type]
    assert (job.shown_state, submit(controller, "-w n1", NOW + 2).nodes) == ("RUNNING", ())
    finish(controller, job, NOW + 3)
    controller.update_node("n1", NOW + 4, "RESUME")
    assert controller.jobs[2].nodes == ("n1",)


def said(job: Job, node: str) -> str:
    return f"slurmstepd-{node}: error: *** JOB {job.job_id} ON {node} CANCELLED AT "


def test_a_job_on_a_node_that_goes_down_is_requeued() -> None:
    controller = cluster()
    job, other = submit(controller, "-N2 -w n[1-2] --exclusive"), submit(controller, "-w n3")
    controller.take_effects()
    controller.update_node("n2", NOW + 1, "DOWN", WHY)
    assert (job.shown_state, job.state, job.restart_count, job.reason) == ("COMPLETING", "PENDING", 1, "None")
    assert other.shown_state == "RUNNING"
    error, *signals = controller.take_effects()
    assert isinstance(error, JobError)
    assert error.text.startswith(said(job, "n1"))
    assert error.text.endswith(" DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n")
    assert signals == [SignalStep(1, BATCH, SIGCONT), SignalStep(1, BATCH, SIGTERM)]
    finish(controller, job, NOW + 2, 15)
    assert (job.shown_state, job.wait_status) == ("PENDING", 0)
    assert controller.accounting.records(NOW + 2, [1])[0].state == "NODE_FAIL"
    controller.tick(NOW + 9)
    assert job.reason == "ReqNodeNotAvail, UnavailableNodes:n2"
    controller.update_node("n2", NOW + 10, "RESUME")
    assert (job.shown_state, job.nodes) == ("RUNNING", ("n1", "n2"))


@pytest.mark.parametrize(("version", "failed"), [("22.05", 0), ("24.11", 1)])
@pytest.mark.parametrize("lost", ["n1", "n2", None])
def test_a_job_that_may_not_be_requeued_fails(version: str, failed: int, lost: str | None) -> None:
    """Of a first node that is down nobody says how the script has ended, and of one that is lost nobody has told the script."""
    controller = cluster(version=version)
    job = submit(controller, "-N2 -w n[1-2]", requeue=False)
    controller.take_effects()
    if lost is None:
        controller.update_node("n1", NOW + 1, "DOWN", WHY)
    else:
        controller.lose_node(lost, WHY, NOW + 1)
    assert (job.shown_state, job.state, job.reason) == ("COMPLETING", "NODE_FAIL", "NodeDown")
    assert job.batch is not None
    assert job.batch.lost == (lost != "n2")
    told = [one for one in controller.take_effects() if isinstance(one, JobError)]
    assert len(told) == (lost != "n1")
    controller.batch_ended(1, 15, NOW + 2)
    controller.processes_gone(1, NOW + 2)
    assert (job.shown_state, job.wait_status) == ("NODE_FAIL", {"n1": failed, "n2": 15, None: 0}[lost])
    assert job.batch.wait_status == (15 if lost == "n2" else 0)
    assert job.batch.state == "CANCELLED"


def test_a_lost_node_keeps_nobody_waiting() -> None:
    """What was being ended there is given up, once all of the job's nodes are down."""
    controller = cluster()
    job, other = submit(controller, "-N2 -w n[1-2]"), submit(controller, "-w n3")
    for one in (job, other):
        controller.cancel(one.job_id, NOW + 1, uid=0)
    controller.take_effects()
    controller.lose_node("n2", WHY, NOW + 2)
    assert controller.take_effects() == []
    controller.lose_node("n1", WHY, NOW + 2)
    assert controller.take_effects() == [Abandon(1)]
    assert job.batch is not None
    assert job.batch.lost
    assert job.state == "CANCELLED"
    assert [flags(controller, name) for name in ("n1", "n2")] == [("down", "gone")] * 2
    controller.update_node("n3", NOW + 2, "DOWN", WHY)
    assert controller.take_effects() == [Abandon(2)]


def test_jobs_of_a_lost_node_are_given_up_in_order() -> None:
    controller = cluster()
    jobs = [submit(controller, "-w n1", requeue=number > 1) for number in range(3)]
    controller.suspend(2, NOW, uid=0)
    controller.take_effects()
    controller.lose_node("n1", WHY, NOW + 1)
    assert [one for one in controller.take_effects() if isinstance(one, Abandon)] == [
        Abandon(1),
        Abandon(2),
        Abandon(3),
    ]
    assert [job.state for job in jobs] == ["NODE_FAIL", "NODE_FAIL", "PENDING"]


def test_a_heterogeneous_job_fails_with_any_of_its_components() -> None:
    controller = cluster()
    leader = controller.jobs[controller.submit_het([describe("-w n1"), describe("-w n2")], NOW)]
    other = controller.jobs[leader.job_id + 1]
    controller.take_effects()
    controller.update_node("n2", NOW + 1, "DOWN", WHY)
    assert [(job.state, job.shown_state) for job in (leader, other)] == [("PENDING", "COMPLETING")] * 2
    assert [one for one in controller.take_effects() if isinstance(one, EndJob)] == [EndJob(other.job_id)]
    for job in (leader, other):
        if job.batch is not None:
            controller.batch_ended(job.job_id, 15, NOW + 1)
        controller.processes_gone(job.job_id, NOW + 1)
    assert [controller.accounting.records(NOW + 1, [job.job_id])[0].state for job in (leader, other)] == [
        "NODE_FAIL"
    ] * 2
    controller.tick(NOW + 8)
    assert [job.shown_state for job in (leader, other)] == ["PENDING"] * 2
    controller.update_node("n2", NOW + 9, "RESUME")
    assert [job.shown_state for job in (leader, other)] == ["RUNNING"] * 2
