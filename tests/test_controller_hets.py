"""Heterogeneous jobs: docs/measured/hetjobs.md."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, describe, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, Node, Partition, SignalStep, StartBatch, StepRequest
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.jobupdate import JobUpdate

PARTITIONS = [Partition("debug", default=True), Partition("down", state="DOWN"), Partition("two", nodes=["n1", "n2"])]


def submit_het(controller: Controller, *components: str, now: float = NOW, **more: Any) -> list[Job]:
    leader = controller.submit_het([describe(text, **more) for text in components], now)
    return [controller.jobs[leader + place] for place in range(len(components))]


def outcomes(jobs: list[Job]) -> list[tuple[str, str]]:
    return [(job.shown_state, job.reason) for job in jobs]


def places(jobs: list[Job]) -> list[str]:
    return [",".join(job.nodes) for job in jobs]


def end(controller: Controller, jobs: list[Job], now: float, wait_status: int = 0) -> None:
    """The leader's script ends, and nothing is left of any component."""
    controller.batch_ended(jobs[0].job_id, wait_status, now)
    for job in jobs:
        controller.processes_gone(job.job_id, now)


# Submission


@pytest.mark.parametrize(
    ("components", "required", "excluded"),
    [
        (("", "-w n2"), ["", "n2"], ["n2", ""]),
        (("-x n1 -w n2", "-w n3"), ["n2", "n3"], ["n[1,3]", "n2"]),
        (("-w n2", "-w n3", ""), ["n2", "n3", ""], ["n3", "n2", "n[2-3]"]),
        (("-x n1", "-x n2"), ["", ""], ["n1", "n2"]),
    ],
)
def test_nodes_that_one_names_the_others_are_kept_from(
    components: tuple[str, ...], required: list[str], excluded: list[str]
) -> None:
    jobs = submit_het(cluster(), *components, hold=True)
    assert [job.description.nodelist for job in jobs] == required
    assert [job.description.exclude for job in jobs] == excluded


def test_ids_and_priorities() -> None:
    jobs = submit_het(cluster(), "-n1", "-n2", "")
    assert [job.job_id for job in jobs] == [1, 2, 3]
    assert all(job.het is jobs[0].het for job in jobs)
    assert jobs[0].het is not None
    assert jobs[0].het.members == (1, 2, 3)
    assert [job.leads for job in jobs] == [True, False, False]
    assert jobs[0].priority > jobs[1].priority > jobs[2].priority


@pytest.mark.parametrize(
    ("components", "more", "words"),
    [
        (("-w n2", "-w n[1-2]"), {}, "Invalid node name specified"),
        (("", ""), {"array": "1-3"}, "Invalid job array specification"),
        (("", ""), {"licenses": "matlab"}, "support licenses of a heterogeneous job"),
        (("", "-O"), {}, "support --overcommit of a heterogeneous job"),
        (("", ""), {"dependency": "singleton"}, "support --dependency=singleton of a heterogeneous job"),
        (("", "-k"), {}, "support --no-kill of a heterogeneous job"),
        (("", "-p debug,two"), {}, "support several partitions of a heterogeneous job"),
        (("-t 1", "-t 2"), {}, "support components of a heterogeneous job with different time limits"),
    ],
)
def test_what_is_refused_leaves_nothing(components: tuple[str, ...], more: dict[str, Any], words: str) -> None:
    controller = cluster(partitions=PARTITIONS, licenses={"matlab": 1})
    with pytest.raises(SlurmError, match=f"{words}$"):
        submit_het(controller, *components, **more)
    assert controller.jobs == {}


def test_a_refused_component_leaves_those_before_it() -> None:
    """CANCELLED, with the exit code 0:1, and a set of those that there are."""
    controller = cluster()
    with pytest.raises(SlurmError, match="Invalid partition name specified"):
        submit_het(controller, "-N9", "-n2", "-p nope")
    jobs = list(controller.jobs.values())
    assert [(job.job_id, job.shown_state, job.wait_status) for job in jobs] == [
        (1, "CANCELLED", 1),
        (2, "CANCELLED", 1),
    ]
    assert jobs[0].het is not None
    assert (jobs[0].het.members, jobs[0].eligible_time, jobs[0].end_time) == ((1, 2), NOW, NOW)
    assert submit(controller).nodes == ("n1",), "they are in nobody's way"


def test_a_nodelist_that_is_none_is_refused_by_its_component() -> None:
    with pytest.raises(SlurmError, match="Invalid node name specified"):
        submit_het(cluster(), "", "-w n[1-")


# Scheduling


def test_all_components_start_at_once_each_on_nodes_of_its_own() -> None:
    controller = cluster()
    jobs = submit_het(controller, "-n1", "-n2", "-N2")
    assert places(jobs) == ["n1", "n2", "n3,n4"]
    assert outcomes(jobs) == [("RUNNING", "None")] * 3
    assert controller.take_effects() == [StartBatch(1)], "the leader alone has a script"
    assert jobs[1].batch is None


def test_five_of_one_task_wait_for_ever_on_four_nodes() -> None:
    controller = cluster()
    jobs = submit_het(controller, *[""] * 5)
    assert outcomes(jobs) == [("PENDING", "Resources")] * 5
    assert submit(controller).nodes == ("n1",), "nobody waits behind what never starts"


def test_all_wait_for_the_last_one() -> None:
    controller = cluster()
    busy = submit(controller, "-N3 --exclusive -t 10")
    jobs = submit_het(controller, "", "-n4")
    behind = submit(controller, "-t 20")
    assert outcomes([*jobs, behind]) == [("PENDING", "Resources")] * 2 + [("PENDING", "Priority")], (
        "although a node is free that the first component would get"
    )
    finish(controller, busy, NOW + 1)
    assert places([*jobs, behind]) == ["n1", "n2", "n1"]


def test_the_nodes_that_are_free_are_kept_for_the_components_that_they_are_enough_for() -> None:
    """A short job goes ahead elsewhere, a long one does not."""
    controller = cluster()
    submit(controller, "-w n1 --exclusive -t 10")
    jobs = submit_het(controller, "-N3 -n12", "-n4", time_limit=1)
    long, short = submit(controller, "-t 20"), submit(controller, "-t 5")
    assert outcomes(jobs) == [("PENDING", "Resources")] * 2
    assert (long.nodes, short.nodes) == ((), ("n2",))


def test_nobody_may_delay_it_by_a_minute() -> None:
    controller = cluster()
    submit(controller, "-w n1 --exclusive -t 10")
    submit_het(controller, "-N3", "-n4", time_limit=1)
    same, longer = submit(controller, "-t 10"), submit(controller, "-t 11")
    assert (same.nodes, longer.nodes) == (("n2",), ())


def test_it_delays_nobody_ahead() -> None:
    """It is the backfill scheduler that starts it."""
    controller = cluster()
    submit(controller, "-w n1 --exclusive -t 10")
    first = submit(controller, "-N4 --exclusive -t 10")
    long, short = submit_het(controller, "-t 60", "-t 60"), submit_het(controller, "-t 5", "-t 5")
    assert first.reason == "Resources"
    assert [job.shown_state for job in (*long, *short)] == ["PENDING", "PENDING", "RUNNING", "RUNNING"]


def test_a_component_of_a_partition_that_is_down_keeps_the_others_waiting() -> None:
    controller = cluster(partitions=PARTITIONS)
    jobs = submit_het(controller, "", "-p down")
    assert outcomes(jobs) == [("PENDING", "Resources"), ("PENDING", "PartitionDown")]
    other = submit(controller)
    assert other.nodes == ("n1",)
    controller.update_partition("down", NOW + 1, state="UP")
    assert places(jobs) == ["n1", "n2"]


def test_each_in_its_own_partition() -> None:
    jobs = submit_het(cluster(partitions=PARTITIONS), "-p two -N2", "-n4")
    assert places(jobs) == ["n1,n2", "n3"]


# One fate


@pytest.mark.parametrize(("status", "state"), [(0, "COMPLETED"), (256, "FAILED")])
def test_when_the_script_ends_all_have_its_end(status: int, state: str) -> None:
    controller = cluster()
    jobs = submit_het(controller, "", "-n2")
    end(controller, jobs, NOW + 5, status)
    assert [(job.shown_state, job.wait_status, job.end_time) for job in jobs] == [(state, status, NOW + 5)] * 2
    assert jobs[0].reason == jobs[1].reason
    assert {record.state for record in controller.nodes.values()} == {"IDLE"}


def test_cancelling_the_leader_ends_all() -> None:
    controller = cluster()
    jobs = submit_het(controller, "", "-n2")
    waiting = submit_het(controller, "-N4", "-n2")
    for job_id in (1, 3):
        controller.cancel(job_id, NOW + 1, uid=0)
    assert [(job.state, job.cancelled_by, job.end_time) for job in jobs + waiting] == [("CANCELLED", 0, NOW + 1)] * 4
    assert [job.completing for job in jobs + waiting] == [True, True, False, False]


def test_cancelling_one_component() -> None:
    """Of a pending job it is refused, a running one ends alone."""
    controller = cluster()
    waiting = submit_het(controller, "", "-n2", hold=True)
    with pytest.raises(SlurmError, match=r"^Operation not permitted on individual component of heterogeneous job$"):
        controller.cancel(waiting[1].job_id, NOW, uid=0)
    jobs = submit_het(controller, "", "-n2")
    with pytest.raises(SlurmError, match=r"support --batch with a component of a heterogeneous job$"):
        controller.cancel(jobs[1].job_id, NOW, uid=0, scope="batch")
    controller.cancel(jobs[1].job_id, NOW + 1, uid=0)
    assert [job.state for job in jobs] == ["RUNNING", "CANCELLED"]


def test_a_signal_to_the_leader_goes_to_the_steps_of_all() -> None:
    controller = cluster()
    jobs = submit_het(controller, "", "-n2")
    for job in jobs:
        assert controller.create_step(job.job_id, StepRequest(name="step", ntasks=1), NOW) is not None
    controller.take_effects()
    controller.cancel(1, NOW + 1, uid=0, signal=10)
    assert controller.take_effects() == [SignalStep(1, 0, 10), SignalStep(2, 1, 10)]
    controller.cancel(2, NOW + 1, uid=0, signal=10)
    assert controller.take_effects() == [SignalStep(2, 1, 10)]


def test_suspend_resume_requeue_mean_all() -> None:
    controller = cluster()
    jobs = submit_het(controller, "", "-n2")
    for what in (controller.suspend, controller.resume):
        with pytest.raises(SlurmError, match=r"^Operation not permitted on individual component of heterogeneous job$"):
            what(2, NOW, uid=0)
    with pytest.raises(SlurmError, match=r"^Job not heterogeneous job leader$"):
        controller.requeue(2, NOW, uid=0)
    controller.suspend(1, NOW + 1, uid=0)
    assert [job.state for job in jobs] == ["SUSPENDED"] * 2
    controller.resume(1, NOW + 5, uid=0)
    assert [job.state for job in jobs] == ["RUNNING"] * 2
    assert controller.may_requeue(1)
    controller.requeue(1, NOW + 6, uid=0)
    assert [(job.state, job.restart_count) for job in jobs] == [("PENDING", 1)] * 2


def test_a_job_of_which_a_component_is_over_is_not_requeued() -> None:
    controller = cluster()
    submit_het(controller, "", "-n2")
    controller.cancel(2, NOW + 1, uid=0)
    controller.processes_gone(2, NOW + 1)
    assert not controller.may_requeue(1)
    with pytest.raises(SlurmError, match=r"support requeueing a heterogeneous job of which a component is over$"):
        controller.requeue(1, NOW + 6, uid=0)


def test_updates_are_refused() -> None:
    controller = cluster()
    submit_het(controller, "", "-n2")
    with pytest.raises(SlurmError, match=r"support scontrol update of a heterogeneous job$"):
        controller.update_job(1, JobUpdate(name="x"), NOW, uid=0)


def test_hold_and_release_of_one_component() -> None:
    controller = cluster(nodes=[Node("n1"), Node("n2")])
    busy = submit(controller, "-N2 --exclusive")
    jobs = submit_het(controller, "", "")
    controller.hold(3, NOW, uid=0)
    assert outcomes(jobs) == [("PENDING", "Resources"), ("PENDING", "JobHeldAdmin")]
    finish(controller, busy, NOW + 1)
    assert places(jobs) == ["", ""]
    controller.release(3, NOW + 2, uid=0)
    assert places(jobs) == ["n1", "n2"]


def test_a_step_in_several_components_has_one_number() -> None:
    """The leader counts."""
    controller = cluster()
    leader = controller.submit_het([describe(), describe("-n2")], NOW)
    one = StepRequest(name="x", ntasks=1)
    assert [step.step_id for step in controller.create_steps([(leader, one)], NOW) or ()] == [0]
    controller.step_ended(leader, 0, [0], NOW)
    steps = controller.create_steps([(leader, one), (leader + 1, one)], NOW)
    assert steps is not None
    assert [(step.job_id, step.step_id) for step in steps] == [(leader, 1), (leader + 1, 1)]
    assert (
        controller.create_steps([(leader + 1, StepRequest(name="x", ntasks=1, overlap=True)), (leader, one)], NOW)
        is None
    )
    controller.step_ended(leader, 1, [0], NOW)
    steps = controller.create_steps([(leader, one)], NOW)
    assert [step.step_id for step in steps or ()] == [2], "in none of them when one has to wait"
    controller.step_ended(leader + 1, 1, [0], NOW)
    with pytest.raises(SlurmError) as refused:
        controller.create_steps(
            [(leader, StepRequest(name="x", ntasks=1, overlap=True)), (leader + 1, StepRequest(name="x", ntasks=9))],
            NOW,
        )
    assert refused.value.job_id == leader + 1
