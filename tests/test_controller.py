"""The life of a job: how it runs, ends, and is cancelled. Sources: docs/slurm-measurements.md, 8."""

from __future__ import annotations

from copy import copy
from signal import SIGCONT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2
from typing import Any

import pytest
from attrs import fields
from controllers import NOW, cluster, describe, finish, step_request, submit

from fakeslurm.memory import OUT_OF_MEMORY
from fakeslurm.messages import SlurmError, ended_badly
from fakeslurm.model import (
    BATCH,
    EndJob,
    Job,
    JobError,
    SignalStep,
    StartBatch,
    StepRequest,
)
from slurmkit.slurm.states import JobState


def test_a_job_runs_from_beginning_to_end() -> None:
    controller = cluster()
    job = submit(controller, "-N2 -n3")
    assert (job.shown_state, job.reason, job.nodes) == ("RUNNING", "None", ("n1", "n2"))
    assert controller.take_effects() == [StartBatch(1)]
    assert controller.take_effects() == []
    controller.batch_started(1, 4711, NOW + 0.1)
    assert job.batch is not None
    assert job.batch.pid == 4711
    controller.batch_ended(1, 0, NOW + 5)
    assert (job.shown_state, job.state, job.end_time) == ("COMPLETING", "COMPLETED", NOW + 5)
    assert controller.take_effects() == [EndJob(1)]
    assert controller.nodes["n1"].state == "MIXED+COMPLETING"
    controller.processes_gone(1, NOW + 6)
    assert (job.shown_state, job.end_time, job.wait_status) == ("COMPLETED", NOW + 5, 0)
    assert {record.state for record in controller.nodes.values()} == {"IDLE"}


@pytest.mark.parametrize(
    ("what", "value"),
    [("state", JobState.SUSPENDED), ("completing", True), ("reason", "JobHeldUser"), ("restart_count", 1)],
)
def test_whatever_changes_what_the_history_is_made_of_is_noticed(what: str, value: object) -> None:
    controller = cluster()
    job, other = submit(controller), submit(controller)
    controller.take_touched()
    setattr(job, what, value)
    assert controller.take_touched()[0] == [job]
    assert getattr(job, what) == value
    setattr(other, what, value)
    setattr(job, what, value)
    assert controller.take_touched()[0] == [other, job]


def test_a_copy_of_a_job_has_all_of_it_and_is_no_news() -> None:
    controller = cluster()
    job = submit(controller, "-N2 -n3", comment="x")
    controller.take_touched()
    twin = copy(job)
    assert controller.take_touched()[0] == []
    assert twin is not job
    assert {one.name: getattr(twin, one.name) for one in fields(Job)} == {
        one.name: getattr(job, one.name) for one in fields(Job)
    }


# How jobs end


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        (0, "COMPLETED", "None"),
        (3 << 8, "FAILED", "NonZeroExitCode"),
        (137 << 8, "FAILED", "NonZeroExitCode"),
        (9, "FAILED", "JobLaunchFailure"),
        (15, "FAILED", "JobLaunchFailure"),
    ],
)
def test_states_by_wait_status(status: int, state: str, reason: str) -> None:
    controller = cluster()
    job = submit(controller)
    controller.batch_ended(1, status, NOW + 1)
    assert (job.state, job.reason, job.wait_status) == (state, reason, status)


def test_raised_signal_since_23_02() -> None:
    controller = cluster(version="24.11")
    job = submit(controller)
    controller.batch_ended(1, 9, NOW + 1)
    assert (job.state, job.reason) == ("FAILED", "RaisedSignal:9(Killed)")
    assert ended_badly(15, raised_signal=True) == "RaisedSignal:15(Terminated)"


def test_launch_failure() -> None:
    controller = cluster()
    job = submit(controller)
    controller.take_effects()
    controller.launch_failed(1, NOW + 1)
    assert (job.shown_state, job.state, job.reason) == ("COMPLETING", "FAILED", "JobLaunchFailure")
    assert job.wait_status & 0x7F == 53
    assert controller.take_effects() == [EndJob(1)]
    controller.processes_gone(1, NOW + 1)
    assert job.shown_state == "FAILED"


def test_a_job_ends_although_a_step_runs() -> None:
    """The step is told to end, killed after KillWait, and the job's nodes stay held."""
    controller = cluster()
    job = submit(controller, "-n2")
    controller.take_effects()
    step = controller.create_step(1, step_request("", job), NOW + 1)
    assert step is not None
    controller.batch_ended(1, 0, NOW + 2)
    said, *effects = controller.take_effects()
    assert isinstance(said, JobError)
    assert said.text.startswith("slurmstepd-n1: error: *** STEP 1.0 ON n1 CANCELLED AT 20")
    assert effects == [SignalStep(1, 0, SIGCONT), SignalStep(1, 0, SIGTERM), EndJob(1)]
    assert controller.next_deadline() == NOW + 7
    controller.tick(NOW + 7)
    assert controller.take_effects() == [SignalStep(1, 0, SIGKILL)]
    controller.step_ended(1, 0, [9, 9], NOW + 7.5)
    controller.processes_gone(1, NOW + 8)
    assert (job.shown_state, job.end_time) == ("COMPLETED", NOW + 2)


def test_a_failed_job_ends_its_steps_with_other_words() -> None:
    controller = cluster()
    job = submit(controller)
    controller.create_step(1, step_request("", job), NOW)
    controller.take_effects()
    controller.batch_ended(1, 256, NOW + 1)
    said = controller.take_effects()[0]
    assert said == JobError(
        1, 0, "slurmstepd-n1: error: *** STEP 1.0 ON n1 FAILED (non-zero exit code or other failure mode) ***\n"
    )


def test_a_step_that_nobody_reports_ends_with_its_job() -> None:
    controller = cluster()
    job = submit(controller)
    step = controller.create_step(1, StepRequest(name="x", ntasks=1), NOW)
    assert step is not None
    finish(controller, job, NOW + 1)
    assert not step.running


@pytest.mark.parametrize(
    ("statuses", "text", "status", "state"),
    [
        ([0, 0], "-n2", 0, "COMPLETED"),
        ([3 << 8, 0, 5 << 8, 0], "-n4", 0, "COMPLETED"),
        ([5 << 8, 3 << 8, 0, 4 << 8], "-n4", 4 << 8, "FAILED"),
        ([3 << 8, 9, 5 << 8, 0], "-n4", 9, "CANCELLED"),
        ([15, 9, 0, 0], "-n4", 15, "CANCELLED"),
        ([3 << 8, 9, 0, 5 << 8], "-N2 --ntasks-per-node=2", 5 << 8, "FAILED"),
        ([15, 0, 0, 9], "-N2 --ntasks-per-node=2", 15, "CANCELLED"),
    ],
)
def test_the_status_of_a_step(statuses: list[int], text: str, status: int, state: str) -> None:
    """Each line was run on 22.05.8, the strange ones included."""
    controller = cluster()
    job = submit(controller, text)
    step = controller.create_step(1, step_request("", job), NOW)
    assert step is not None
    controller.step_ended(1, 0, statuses, NOW + 1)
    assert (step.wait_status, step.state) == (status, state)
    assert job.derived_wait_status == status


def test_the_derived_exit_code_is_the_highest_of_the_steps() -> None:
    controller = cluster()
    job = submit(controller)
    for number, status in enumerate([7 << 8, 2 << 8]):
        controller.create_step(1, StepRequest(name="x", ntasks=1), NOW)
        controller.step_ended(1, number, [status], NOW)
    finish(controller, job, NOW + 1)
    assert (job.state, job.wait_status, job.derived_wait_status) == ("COMPLETED", 0, 7 << 8)


# Cancelling


def test_cancel_a_pending_job() -> None:
    controller = cluster()
    job = submit(controller, "-H")
    controller.cancel(1, NOW + 3, uid=0)
    assert (job.state, job.completing, job.reason, job.cancelled_by) == ("CANCELLED", False, "JobHeldUser", 0)
    assert (job.start_time, job.end_time, job.nodes) == (NOW + 3, NOW + 3, ())
    assert controller.take_effects() == []


def test_cancel_a_running_job() -> None:
    controller = cluster()
    job = submit(controller, uid=1000, user="u")
    controller.take_effects()
    controller.cancel(1, NOW + 1, uid=1000)
    assert (job.shown_state, job.state, job.reason, job.cancelled_by) == ("COMPLETING", "CANCELLED", "None", 1000)
    said, *effects = controller.take_effects()
    assert isinstance(said, JobError)
    assert said.step_id == BATCH
    assert said.text.startswith("slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 20")
    assert effects == [SignalStep(1, BATCH, SIGCONT), SignalStep(1, BATCH, SIGTERM)]
    controller.batch_ended(1, 15, NOW + 1.1)
    assert controller.take_effects() == [EndJob(1)]
    controller.processes_gone(1, NOW + 1.2)
    assert (job.shown_state, job.wait_status, job.end_time) == ("CANCELLED", 15, NOW + 1)
    assert controller.next_deadline() is not None, "MinJobAge"


def test_a_job_that_ignores_sigterm_is_killed() -> None:
    controller = cluster(kill_wait=30.0)
    submit(controller)
    controller.cancel(1, NOW + 1, uid=0)
    controller.take_effects()
    assert controller.next_deadline() == NOW + 31
    controller.tick(NOW + 30)
    assert controller.take_effects() == []
    controller.tick(NOW + 31)
    assert controller.take_effects() == [SignalStep(1, BATCH, SIGKILL)]


def test_kill_wait_is_5_seconds_at_least() -> None:
    controller = cluster(kill_wait=0.0)
    submit(controller)
    controller.cancel(1, NOW, uid=0)
    assert controller.next_deadline() == NOW + 5


@pytest.mark.parametrize("signal", [None, SIGUSR1])
def test_cancel_what_is_not_there_or_is_over(signal: int | None) -> None:
    controller = cluster()
    with pytest.raises(SlurmError, match=r"^Invalid job id specified$"):
        controller.cancel(99, NOW, uid=0, signal=signal)
    finish(controller, submit(controller), NOW + 1)
    words = "Job/step already completing or completed" if signal is None else "Invalid job id specified"
    with pytest.raises(SlurmError, match=rf"^{words}$"):
        controller.cancel(1, NOW + 2, uid=0, signal=signal)


def test_others_may_not_cancel() -> None:
    controller = cluster()
    submit(controller, uid=1000)
    with pytest.raises(SlurmError, match=r"^Access/permission denied$"):
        controller.cancel(1, NOW, uid=1001)
    controller.cancel(1, NOW, uid=0)


@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        (None, [SignalStep(1, 0, SIGUSR1)]),
        ("steps", [SignalStep(1, 0, SIGUSR1)]),
        ("batch", [SignalStep(1, BATCH, SIGUSR1, "tasks")]),
        ("all", [SignalStep(1, BATCH, SIGUSR1), SignalStep(1, 0, SIGUSR1)]),
    ],
)
def test_whom_a_signal_reaches(scope: Any, reached: list[SignalStep]) -> None:
    controller = cluster()
    job = submit(controller)
    controller.create_step(1, step_request("", job), NOW)
    controller.take_effects()
    controller.cancel(1, NOW, uid=0, signal=SIGUSR1, scope=scope)
    assert controller.take_effects() == reached
    assert job.state == "RUNNING"


def test_sigterm_as_a_signal_says_cancelled_but_does_not_cancel() -> None:
    controller = cluster()
    job = submit(controller)
    controller.create_step(1, step_request("", job), NOW)
    controller.take_effects()
    controller.cancel(1, NOW, uid=0, signal=SIGTERM)
    said, signalled = controller.take_effects()
    assert isinstance(said, JobError)
    assert "STEP 1.0 ON n1 CANCELLED AT" in said.text
    assert signalled == SignalStep(1, 0, SIGTERM)
    assert (job.state, job.cancelled_by) == ("RUNNING", None)


def test_sigkill_as_a_signal_is_a_cancel() -> None:
    controller = cluster()
    job = submit(controller)
    controller.cancel(1, NOW, uid=0, signal=SIGKILL)
    assert (job.state, job.completing) == ("CANCELLED", True)


@pytest.mark.parametrize("signal", [None, SIGKILL])
def test_cancel_the_batch_script_only(signal: int | None) -> None:
    """scancel --batch kills the shell; the job has failed by a signal then, it is not CANCELLED (measured)."""
    controller = cluster()
    job = submit(controller)
    controller.take_effects()
    controller.cancel(1, NOW, uid=0, signal=signal, scope="batch")
    said, killed = controller.take_effects()
    assert isinstance(said, JobError)
    assert "JOB 1 ON n1 CANCELLED" in said.text
    assert killed == SignalStep(1, BATCH, SIGKILL, "tasks")
    controller.batch_ended(1, 9, NOW + 1)
    assert (job.state, job.reason) == ("FAILED", "JobLaunchFailure")


def test_a_signal_to_a_pending_job() -> None:
    controller = cluster()
    submit(controller, "-H")
    with pytest.raises(SlurmError, match=r"^Job is pending execution$"):
        controller.cancel(1, NOW, uid=0, signal=SIGUSR1)
    controller.cancel(1, NOW, uid=0, scope="batch")
    assert controller.jobs[1].state == "CANCELLED"


def test_slurmstepd_says_it_once() -> None:
    controller = cluster()
    job = submit(controller)
    controller.create_step(1, step_request("", job), NOW)
    controller.cancel_step(1, 0, NOW, uid=0)
    controller.cancel(1, NOW, uid=0)
    said = [effect.text for effect in controller.take_effects() if isinstance(effect, JobError)]
    assert [text.split(" ON ")[0].split()[-1] for text in said] == ["1.0", "1"]


def test_cancel_a_step() -> None:
    controller = cluster()
    job = submit(controller)
    step = controller.create_step(1, step_request("", job), NOW)
    assert step is not None
    controller.take_effects()
    controller.cancel_step(1, 0, NOW, uid=0)
    said, killed = controller.take_effects()
    assert isinstance(said, JobError)
    assert killed == SignalStep(1, 0, SIGKILL)
    controller.step_ended(1, 0, [9], NOW)
    assert (step.state, step.cancelled_by, job.state) == ("CANCELLED", 0, "RUNNING")


@pytest.mark.parametrize("signal", [SIGUSR2, SIGKILL])
def test_signal_a_step(signal: int) -> None:
    """--signal=KILL is nothing but a signal here (measured)."""
    controller = cluster()
    job = submit(controller)
    step = controller.create_step(1, step_request("", job), NOW)
    assert step is not None
    controller.take_effects()
    controller.cancel_step(1, 0, NOW, uid=0, signal=signal)
    assert controller.take_effects() == [SignalStep(1, 0, signal)]
    assert step.cancelled_by is None


def test_cancel_a_step_that_is_not_there_or_is_over() -> None:
    controller = cluster()
    job = submit(controller)
    with pytest.raises(SlurmError, match=r"^Invalid job id specified$"):
        controller.cancel_step(1, 0, NOW, uid=0)
    controller.create_step(1, step_request("", job), NOW)
    controller.step_ended(1, 0, [0], NOW)
    with pytest.raises(SlurmError, match=r"^Job/step already completing or completed$"):
        controller.cancel_step(1, 0, NOW, uid=0)


def test_a_job_that_has_used_too_much_memory() -> None:
    controller = cluster()
    job = submit(controller)
    controller.create_step(1, step_request("", job), NOW)
    controller.take_effects()
    controller.batch_ended(1, OUT_OF_MEMORY, NOW + 1)
    assert (job.state, job.reason, job.wait_status) == ("OUT_OF_MEMORY", "OutOfMemory", OUT_OF_MEMORY)
    assert job.batch is not None
    assert job.batch.state == "OUT_OF_MEMORY"
    said = controller.take_effects()[0]
    assert isinstance(said, JobError)
    assert "CANCELLED AT" in said.text


def test_an_allocation_that_was_preempted_ends_with_its_srun() -> None:
    controller = cluster()
    job_id = controller.allocate(describe(script=None), NOW)
    job = controller.jobs[job_id]
    controller.preempt(job_id, NOW + 1, "CANCEL")
    controller.release_allocation(job_id, 15, NOW + 2)
    assert (job.state, job.wait_status) == ("PREEMPTED", 15)
    again = controller.allocate(describe(script=None), NOW + 2)
    controller.release_allocation(again, 256, NOW + 3)
    controller.release_allocation(again, 9, NOW + 4)
    assert (controller.jobs[again].state, controller.jobs[again].wait_status) == ("FAILED", 256)
