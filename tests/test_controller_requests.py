"""What is asked of jobs that are there: requeue, suspend, notify, cancel; and what a fault does to them."""

from __future__ import annotations

from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1
from typing import Any

import pytest
from controllers import NOW, cluster, describe, finish, step_request, submit

from fakeslurm.messages import DISABLED, SlurmError
from fakeslurm.model import BATCH, EndJob, JobError, NodeReason, SignalStep, StartBatch

DONE = "Job/step already completing or completed"
UNKNOWN = "Invalid job id specified"


def refusal(call: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(SlurmError) as refused:
        call(*arguments, **more)
    return refused.value.message


def signals(controller: Any) -> list[Any]:
    return [one for one in controller.take_effects() if isinstance(one, SignalStep)]


# scontrol requeue (docs/measured/lifecycle.md)


def test_requeue() -> None:
    controller = cluster()
    job = submit(controller, "-t 10")
    controller.take_effects()
    first = job.priority
    controller.requeue(1, NOW + 3, uid=0)
    assert (job.shown_state, job.state, job.restart_count, job.reason) == ("COMPLETING", "PENDING", 1, "None")
    said, *rest = controller.take_effects()
    assert isinstance(said, JobError)
    assert said.text.endswith(" DUE TO JOB REQUEUE ***\n")
    assert rest == [SignalStep(1, BATCH, SIGCONT), SignalStep(1, BATCH, SIGTERM)]
    finish(controller, job, NOW + 4, 15)
    assert (job.shown_state, job.reason, job.eligible_time, job.submit_time) == (
        "PENDING",
        "BeginTime",
        NOW + 10,
        NOW + 4,
    )
    assert (job.start_time, job.end_time, job.nodes, job.cpus_per_node, job.tasks_per_node) == (None, None, (), (), ())
    assert (job.batch, job.steps, job.priority >= first - 1) == (None, {}, True)
    assert controller.next_deadline() == NOW + 10
    controller.tick(NOW + 10)
    assert (job.shown_state, job.start_time, job.wait_status) == ("RUNNING", NOW + 10, 0)
    assert controller.take_effects()[-1] == StartBatch(1)
    step = controller.create_step(1, step_request("-n1", job), NOW + 11)
    assert step is not None
    assert step.step_id == 0, "counted anew"


def test_a_requeue_in_the_second_of_the_submission_is_submitted_in_the_next() -> None:
    controller = cluster()
    job = submit(controller)
    controller.requeue(1, NOW + 0.2, uid=0)
    finish(controller, job, NOW + 0.4)
    assert job.submit_time == NOW + 1.0


def test_requeue_of_what_has_ended() -> None:
    controller = cluster()
    job = submit(controller)
    finish(controller, job, NOW + 1, 256)
    controller.requeue(1, NOW + 2, uid=0)
    assert (job.shown_state, job.restart_count, job.wait_status, job.before is not None) == ("PENDING", 1, 256, True)
    controller.tick(NOW + 1000)
    assert (job.shown_state, job.before, job.wait_status) == ("RUNNING", None, 0), "it was not forgotten"


@pytest.mark.parametrize("ended", [False, True])
def test_requeuehold(ended: bool) -> None:
    controller = cluster()
    job = submit(controller)
    if ended:
        finish(controller, job, NOW + 1)
    controller.requeue(1, NOW + 2, uid=0, hold=True)
    if not ended:
        assert job.shown_state == "COMPLETING"
        finish(controller, job, NOW + 3)
    assert (job.shown_state, job.priority, job.reason) == ("PENDING", 0, "job requeued in held state")
    assert job.waited_for == "JobHeldUser"
    controller.hold(1, NOW + 4, uid=0)
    assert job.reason == "job requeued in held state", "which stays until the job is released"
    controller.release(1, NOW + 20, uid=0)
    assert job.shown_state == "RUNNING"


def test_what_is_not_requeued() -> None:
    controller = cluster()
    allocation = controller.allocate(describe(script=None), NOW)
    assert refusal(controller.requeue, allocation, NOW, uid=0) == "Only batch jobs are accepted or processed"
    never = submit(controller, requeue=False)
    assert refusal(controller.requeue, never.job_id, NOW, uid=0) == "Requested operation is presently disabled"
    waits = submit(controller, "-H")
    assert refusal(controller.requeue, waits.job_id, NOW, uid=0) == "Job is pending execution"
    assert refusal(controller.requeue, 99, NOW, uid=0) == UNKNOWN
    assert refusal(controller.requeue, waits.job_id, NOW, uid=77) == "Access/permission denied"
    assert [controller.may_requeue(job_id) for job_id in (allocation, never.job_id, waits.job_id)] == [
        False,
        False,
        True,
    ]


def test_a_job_that_was_cancelled_is_requeued_before_it_is_gone() -> None:
    controller = cluster()
    job = submit(controller)
    controller.cancel(1, NOW + 1, uid=0)
    controller.requeue(1, NOW + 2, uid=0)
    assert (job.shown_state, job.state, job.end_time, job.restart_count) == ("COMPLETING", "PENDING", None, 1)
    finish(controller, job, NOW + 3)
    assert (job.shown_state, job.reason, job.cancelled_by) == ("PENDING", "BeginTime", None)
    rows = [(row.state, row.start, row.end) for row in controller.accounting.records(NOW + 3)]
    assert rows[0] == ("REQUEUED", NOW, NOW + 1)


def test_a_job_that_was_held_while_it_ran_waits_as_held_when_it_is_requeued() -> None:
    controller = cluster()
    job = submit(controller)
    controller.hold(1, NOW + 1, uid=0)
    assert (job.shown_state, job.reason, job.priority) == ("RUNNING", "JobHeldAdmin", 0)
    controller.requeue(1, NOW + 2, uid=0)
    finish(controller, job, NOW + 3)
    assert (job.shown_state, job.reason, job.priority) == ("PENDING", "JobHeldAdmin", 0)


def test_a_requeued_job_is_cancelled_before_it_waits() -> None:
    controller = cluster()
    job = submit(controller)
    controller.requeue(1, NOW + 1, uid=0)
    controller.cancel(1, NOW + 2, uid=0)
    assert (job.shown_state, job.state, job.end_time, job.cancelled_by) == ("COMPLETING", "CANCELLED", NOW + 2, 0)
    finish(controller, job, NOW + 3)
    assert job.shown_state == "CANCELLED"


# scontrol suspend and resume


def test_suspend_and_resume() -> None:
    controller = cluster()
    job = submit(controller, "-t 10 --exclusive -N4")
    other = submit(controller, "-t 1")
    controller.take_effects()
    controller.suspend(1, NOW + 60, uid=0)
    assert (job.shown_state, job.priority, job.suspend_time) == ("SUSPENDED", 0, NOW + 60)
    assert other.nodes == ("n1",), "its CPUs are free"
    assert signals(controller) == [SignalStep(1, BATCH, SIGTSTP)]
    controller.tick(NOW + 62)
    assert signals(controller) == [SignalStep(1, BATCH, SIGSTOP)]
    controller.suspend(1, NOW + 63, uid=0)
    assert (signals(controller), job.suspend_time) == ([], NOW + 60)
    controller.resume(1, NOW + 100, uid=0)
    assert (job.shown_state, job.priority > 0, job.suspended, job.latest_end) == ("RUNNING", True, 40, NOW + 640)
    assert signals(controller) == [SignalStep(1, BATCH, SIGCONT)]
    controller.suspend(1, NOW + 200, uid=0)
    controller.resume(1, NOW + 201, uid=0)
    assert (job.suspended, job.latest_end) == (41, NOW + 641)
    controller.tick(NOW + 202)
    assert signals(controller)[-2:] == [SignalStep(1, BATCH, SIGSTOP), SignalStep(1, BATCH, SIGCONT)]
    assert job.batch is not None
    assert job.batch.suspended == 41


def test_what_is_not_suspended() -> None:
    controller = cluster()
    job, waits = submit(controller), submit(controller, "-H")
    no = "fakeslurm does not support suspending and resuming jobs as anybody but root"
    for call in (controller.suspend, controller.resume):
        assert refusal(call, 1, NOW, uid=1000) == no
        assert refusal(call, waits.job_id, NOW, uid=0) == "Job is pending execution"
        assert refusal(call, 99, NOW, uid=0) == UNKNOWN
    assert refusal(controller.resume, 1, NOW, uid=0) == "Job is not suspended"
    finish(controller, job, NOW + 1)
    for call in (controller.suspend, controller.resume):
        assert refusal(call, 1, NOW + 1, uid=0) == DONE


def test_a_suspended_job() -> None:
    controller = cluster()
    job = submit(controller)
    controller.suspend(1, NOW, uid=0)
    controller.tick(NOW + 2)
    controller.take_effects()
    no = "fakeslurm does not support"
    assert refusal(controller.create_step, 1, step_request("-n1", job), NOW + 3) == DISABLED
    assert refusal(controller.cancel, 1, NOW + 3, uid=0, signal=SIGUSR1) == f"{no} a signal to a suspended job"
    assert refusal(controller.notify, 1, "x", NOW + 3, uid=0) == DONE
    controller.cancel(1, NOW + 4, uid=0)
    assert (job.state, job.end_time) == ("CANCELLED", NOW), "since then it had not run"
    assert signals(controller) == [SignalStep(1, BATCH, SIGKILL)]


def test_a_suspended_job_is_killed_by_scope_and_signal() -> None:
    controller = cluster()
    job = submit(controller)
    controller.suspend(1, NOW, uid=0)
    controller.cancel(1, NOW + 1, uid=0, signal=SIGKILL, scope="batch")
    assert job.state == "CANCELLED"


def test_a_suspended_job_is_requeued_with_a_word() -> None:
    controller = cluster()
    job = submit(controller)
    controller.suspend(1, NOW, uid=0)
    controller.tick(NOW + 2)
    controller.take_effects()
    controller.requeue(1, NOW + 3, uid=0)
    said, kill = controller.take_effects()
    assert isinstance(said, JobError)
    assert said.text.endswith(" DUE TO JOB REQUEUE ***\n")
    assert kill == SignalStep(1, BATCH, SIGKILL)
    finish(controller, job, NOW + 4, 9)
    assert job.reason == "JobHeldAdmin", "it waits without a priority"


# scontrol notify


def test_notify() -> None:
    controller = cluster()
    submit(controller, "-w n2", uid=1000)
    controller.take_effects()
    controller.notify(1, "hello", NOW, uid=1000)
    assert controller.take_effects() == [JobError(1, BATCH, "slurmstepd-n2: error: hello\n")]
    assert refusal(controller.notify, 1, "x", NOW, uid=1001) == "Access/permission denied"


def test_who_is_not_notified() -> None:
    controller = cluster()
    no = "fakeslurm does not support"
    waits, job = submit(controller, "-H"), submit(controller)
    assert refusal(controller.notify, waits.job_id, "x", NOW, uid=0) == "Requested operation is presently disabled"
    array = submit(controller, array="1-2")
    assert refusal(controller.notify, array.job_id, "x", NOW, uid=0) == f"{no} notifying the elements of an array"
    allocation = controller.allocate(describe(script=None), NOW)
    assert refusal(controller.notify, allocation, "x", NOW, uid=0) == f"{no} notifying an allocation"
    controller.cancel(job.job_id, NOW, uid=0)
    assert refusal(controller.notify, job.job_id, "x", NOW, uid=0) == DONE


# Scripts that cannot be launched (docs/measured/jobfaults.md)


@pytest.mark.parametrize(
    ("version", "reason"), [("22.05", "JobLaunchFailure"), ("24.11", "RaisedSignal:53(Real-time signal 19)")]
)
def test_a_script_that_cannot_be_launched(version: str, reason: str) -> None:
    controller = cluster(version=version)
    job = submit(controller)
    controller.take_effects()
    controller.launch_failed(1, NOW + 1)
    assert (job.state, job.reason, job.wait_status & 0x7F) == ("FAILED", reason, 53)
    assert job.batch is not None
    assert (job.batch.running, job.batch.wait_status & 0x7F) == (False, 53)
    assert controller.take_effects() == [EndJob(1)]


def test_a_script_that_its_node_cannot_write_down() -> None:
    """The job is requeued, and held."""
    controller = cluster()
    job = submit(controller)
    controller.take_effects()
    controller.launch_failed(1, NOW + 1, held=True)
    assert (job.shown_state, job.restart_count, job.priority) == ("COMPLETING", 1, 0)
    assert controller.take_effects() == [EndJob(1)]
    controller.processes_gone(1, NOW + 2)
    assert (job.shown_state, job.reason) == ("PENDING", "launch failed requeued held")
    row = controller.accounting.records(NOW + 2, [1])[0]
    assert (row.state, [step.state for step in row.steps]) == ("REQUEUED", ["CANCELLED"])
    controller.release(1, NOW + 20, uid=0)
    assert job.shown_state == "RUNNING"


@pytest.mark.parametrize("held", [False, True])
def test_a_script_that_cannot_be_launched_any_more(held: bool) -> None:
    controller = cluster()
    job = submit(controller)
    controller.cancel(1, NOW, uid=0)
    controller.take_effects()
    controller.launch_failed(1, NOW + 1, held=held)
    assert (job.state, job.wait_status & 0x7F) == ("CANCELLED", 53)
    assert controller.take_effects() == [EndJob(1)]


# What a fault does to the controller's memory (docs/measured/faults.md)


def test_all_jobs_are_lost() -> None:
    controller = cluster(first_job_id=5)
    running, waits = submit(controller, "-N2"), submit(controller, "-N4 --exclusive")
    ended, held = submit(controller, "-w n4"), submit(controller, "-H")
    finish(controller, ended, NOW + 1)
    leader = controller.submit_het([describe(), describe()], NOW + 1)
    controller.take_effects()
    assert controller.lose_state(NOW + 2) == [5, 6, 7, 8, leader, leader + 1]
    assert sorted(controller.jobs) == [5, leader, leader + 1], "what still runs is there until it has ended"
    assert (running.state, running.cancelled_by, waits.state, held.state) == (
        "CANCELLED",
        None,
        "CANCELLED",
        "CANCELLED",
    )
    told = [SignalStep(job_id, BATCH, signal) for job_id in (5, leader) for signal in (SIGCONT, SIGTERM)]
    assert signals(controller) == told
    assert submit(controller, now=NOW + 2).job_id == 6, "the first id that is free"
    finish(controller, running, NOW + 3)
    finish(controller, controller.jobs[leader], NOW + 3)
    controller.processes_gone(leader + 1, NOW + 3)
    controller.tick(NOW + 3)
    assert sorted(controller.jobs) == [6]
    finish(controller, controller.jobs[6], NOW + 4)
    assert sorted(controller.jobs) == [6], "which is kept for its time"


def test_what_is_over_is_forgotten_at_once_for_a_while() -> None:
    controller = cluster()
    jobs = [submit(controller) for _ in range(3)]
    finish(controller, jobs[0], NOW + 1)
    told: list[tuple[int, float]] = []

    def tell(job_id: int, when: float) -> None:
        told.append((job_id, when))

    controller.forget_ended(NOW + 2, tell)
    assert (told, sorted(controller.jobs)) == ([(1, NOW + 2)], [2, 3])
    finish(controller, jobs[1], NOW + 3)
    controller.tick(NOW + 3)
    assert (told[1:], sorted(controller.jobs)) == ([(2, NOW + 3)], [3])
    controller.remember(tell)
    finish(controller, jobs[2], NOW + 4)
    controller.tick(NOW + 5)
    assert (len(told), sorted(controller.jobs)) == (2, [3])


def test_what_has_changed_since_it_was_asked() -> None:
    controller = cluster()
    first, _ = submit(controller), submit(controller)
    controller.update_node("n3", NOW, "DRAIN", NodeReason("why", "root", 0, NOW))
    jobs, nodes, _ = controller.take_touched()
    assert ([job.job_id for job in jobs], [record.node.name for record in nodes]) == ([1, 2], ["n3"])
    assert controller.take_touched() == ([], [], [])
    finish(controller, first, NOW + 1)
    jobs, nodes, _ = controller.take_touched()
    assert ([job.job_id for job in jobs], nodes) == ([1], [])
    controller.tick(NOW + 1000)
    jobs, _, forgotten = controller.take_touched()
    assert (jobs, [job.job_id for job in forgotten]) == ([], [1])
    assert controller.take_touched() == ([], [], [])


# Preemption that nobody waits for


@pytest.mark.parametrize(("mode", "state"), [("CANCEL", "PREEMPTED"), ("REQUEUE", "PENDING")])
def test_a_job_has_to_make_room(mode: Any, state: str) -> None:
    controller = cluster()
    job, never = submit(controller), submit(controller, requeue=False)
    controller.take_effects()
    for one in (job, never):
        controller.preempt(one.job_id, NOW + 1, mode)
    assert (job.state, never.state, job.completing) == (state, "PREEMPTED", True)
    said = [one.text for one in controller.take_effects() if isinstance(one, JobError)]
    assert [text.endswith(" DUE TO PREEMPTION ***\n") for text in said] == [True, True]


# Elements of arrays


def test_elements_that_wait_are_cancelled_one_by_one() -> None:
    """They leave no trace; with the last one the record is over."""
    controller = cluster()
    array = submit(controller, "-H", array="1-3")
    assert array.array is not None
    for task, left in ((2, [1, 3]), (1, [3])):
        controller.cancel(array.job_id, NOW, uid=0, task=task)
        assert (list(array.array.pending), array.state) == (left, "PENDING")
    controller.cancel(array.job_id, NOW, uid=0, task=3)
    assert (array.state, array.cancelled_by) == ("CANCELLED", 0)
    assert refusal(controller.cancel, array.job_id, NOW, uid=0, task=3) == UNKNOWN


def test_an_element_that_runs_is_cancelled_by_its_number() -> None:
    controller = cluster()
    array = submit(controller, "--exclusive -N4", array="1-3")
    element = controller.jobs[array.job_id + 1]
    controller.cancel(array.job_id, NOW, uid=0, task=1)
    assert (element.array_task_id, element.state, array.state) == (1, "CANCELLED", "PENDING")
    assert refusal(controller.cancel, array.job_id, NOW, uid=0, task=9) == UNKNOWN


def test_who_waits_for_an_element_hears_of_its_end() -> None:
    controller = cluster()
    array = submit(controller, "-H", array="1-3")
    job = submit(controller, dependency=f"afterany:{array.job_id}_2")
    other = submit(controller, dependency=f"afterany:{array.job_id}_3")
    controller.cancel(array.job_id, NOW, uid=0, task=2)
    assert (job.shown_state, other.shown_state) == ("RUNNING", "PENDING")


def test_elements_are_held_and_released_by_their_number() -> None:
    controller = cluster()
    array = submit(controller, "-H", array="1-3")
    controller.release(array.job_id, NOW, uid=0, task=2)
    element = controller.jobs[array.job_id + 1]
    assert (element.array_task_id, element.shown_state) == (2, "RUNNING")
    controller.hold(array.job_id, NOW, uid=0, task=2)
    assert element.reason == "JobHeldAdmin"
    assert refusal(controller.hold, array.job_id, NOW, uid=0, task=7) == UNKNOWN
    controller.hold(array.job_id, NOW, uid=0, task=1, by_user=True)
    assert controller.jobs[array.job_id + 2].reason == "JobHeldUser"


# Each element of an array waits for the one of another (aftercorr)


def test_elements_that_correspond() -> None:
    controller = cluster()
    first = submit(controller, "--exclusive", array="1-3")
    second = submit(controller, array="1-3", dependency=f"aftercorr:{first.job_id}")
    assert second.array is not None
    assert first.array is not None
    done = controller.jobs[first.array.elements[2]]
    finish(controller, done, NOW + 1)
    assert {task: controller.jobs[job_id].shown_state for task, job_id in second.array.elements.items()} == {
        1: "PENDING",
        2: "RUNNING",
        3: "PENDING",
    }
    failed = controller.jobs[first.array.elements[1]]
    finish(controller, failed, NOW + 2, 256)
    assert controller.jobs[second.array.elements[1]].reason == "DependencyNeverSatisfied"
    assert controller.jobs[second.array.elements[3]].reason == "Dependency"


def test_an_array_that_corresponds_to_a_job() -> None:
    controller = cluster()
    job = submit(controller)
    array = submit(controller, array="1-2", dependency=f"aftercorr:{job.job_id}")
    assert array.array is not None
    assert {controller.jobs[one].shown_state for one in array.array.elements.values()} == {"PENDING"}
    finish(controller, job, NOW + 1)
    assert {controller.jobs[one].shown_state for one in array.array.elements.values()} == {"RUNNING"}


@pytest.mark.parametrize(
    ("kind", "statuses", "state"),
    [
        ("afterany", (0, 256), "RUNNING"),
        ("afterok", (0, 0), "RUNNING"),
        ("afterok", (0, 256), "PENDING"),
        ("afternotok", (0, 256), "RUNNING"),
        ("afternotok", (0, 0), "PENDING"),
    ],
)
def test_a_whole_array_is_waited_for(kind: str, statuses: tuple[int, int], state: str) -> None:
    controller = cluster()
    array = submit(controller, array="1-2")
    job = submit(controller, dependency=f"{kind}:{array.job_id}")
    assert job.dependency == f"{kind}:{array.job_id}_*(unfulfilled)"
    assert array.array is not None
    for job_id, status in zip(array.array.elements.values(), statuses, strict=True):
        assert job.shown_state == "PENDING"
        finish(controller, controller.jobs[job_id], NOW + 1, status)
    assert job.shown_state == state
    assert job.reason == ("None" if state == "RUNNING" else "DependencyNeverSatisfied")


def test_after_the_last_element_has_begun() -> None:
    controller = cluster()
    array = submit(controller, "--exclusive -N4", array="1-2")
    whole, one = (submit(controller, dependency=f"after:{array.job_id}{which}") for which in ("", "_1"))
    assert (whole.reason, one.reason) == ("Dependency", "Priority")
    assert array.array is not None
    finish(controller, controller.jobs[array.array.elements[1]], NOW + 1)
    assert (array.shown_state, whole.reason) == ("RUNNING", "Dependency")
    controller.tick(NOW + 2)
    assert whole.reason == "Resources"
