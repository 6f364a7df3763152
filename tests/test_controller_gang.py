"""PreemptMode=SUSPEND,GANG in the controller: signals, times and what is refused, without a process or a clock."""

from __future__ import annotations

from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP
from typing import Any

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import BATCH, Job, JobError, Partition, SignalStep
from fakeslurm.slurmconf import configured
from fakeslurm.slurmctld import Controller
from slurmkit.slurm.states import JobState

PARTITIONS = (Partition("low", default=True), Partition("mid", priority_tier=5), Partition("high", priority_tier=10))


def preempting(**settings: Any) -> Controller:
    return cluster(partitions=PARTITIONS, preempts=True, preempt_mode="GANG,SUSPEND", **settings)


def signals(controller: Controller, job: Job) -> list[int]:
    effects = [one for one in controller.take_effects() if isinstance(one, SignalStep) and one.job_id == job.job_id]
    assert all((one.step_id, one.scope) == (BATCH, "all") for one in effects)
    return [one.signal for one in effects]


def one_stands_still(controller: Controller, text: str = "-w n1 -n4") -> tuple[Job, Job]:
    """A job since NOW, and one that it stands still for since NOW + 10."""
    job = submit(controller, text)
    controller.take_effects()
    high = submit(controller, "-w n1", NOW + 10, partition="high")
    assert (job.state, high.state) == (JobState.SUSPENDED, JobState.RUNNING)
    return job, high


def test_signals() -> None:
    controller = preempting()
    job, high = one_stands_still(controller)
    assert signals(controller, job) == [SIGTSTP]
    assert controller.next_deadline() == NOW + 12
    controller.tick(NOW + 12)
    assert signals(controller, job) == [SIGSTOP]
    controller.batch_ended(high.job_id, 0, NOW + 20)
    assert (job.state, signals(controller, job)) == (JobState.SUSPENDED, [])
    controller.processes_gone(high.job_id, NOW + 23)
    assert (job.state, job.suspended, job.run_before) == (JobState.RUNNING, 13, 10)
    assert signals(controller, job) == [SIGCONT]


def test_what_happens_before_sigstop_is_done_after_it() -> None:
    controller = preempting()
    job, high = one_stands_still(controller)
    finish(controller, high, NOW + 11)
    assert (job.state, signals(controller, job)) == (JobState.RUNNING, [SIGTSTP])
    controller.tick(NOW + 12)
    assert signals(controller, job) == [SIGSTOP, SIGCONT]

    controller = preempting()
    job, _ = one_stands_still(controller)
    controller.cancel(job.job_id, NOW + 11, uid=0)
    assert (job.state, job.completing, signals(controller, job)) == (JobState.CANCELLED, True, [SIGTSTP])
    controller.tick(NOW + 12)
    assert signals(controller, job) == [SIGSTOP, SIGKILL]
    controller.batch_ended(job.job_id, SIGKILL, NOW + 12)
    controller.processes_gone(job.job_id, NOW + 12)
    assert job.end_time == NOW + 10


@pytest.mark.parametrize("requeued", [False, True])
def test_who_is_resumed_and_ends_before_sigstop_is_killed_after_it(requeued: bool) -> None:
    controller = cluster()
    job = submit(controller, "-w n1")
    controller.take_effects()
    controller.suspend(job.job_id, NOW + 10, uid=0)
    controller.resume(job.job_id, NOW + 11, uid=0)
    (controller.requeue if requeued else controller.cancel)(job.job_id, NOW + 11, uid=0)
    effects = controller.take_effects()
    assert [one.signal for one in effects if isinstance(one, SignalStep)] == [SIGTSTP]
    assert any(isinstance(one, JobError) for one in effects) == requeued
    controller.tick(NOW + 12)
    assert signals(controller, job) == [SIGSTOP, SIGKILL]


def test_no_time_is_used_up() -> None:
    """Measured: one of a limit of one minute was still SUSPENDED after 95 s."""
    controller = preempting()
    job, high = one_stands_still(controller, "-w n1 -n4 -t 1")
    controller.tick(NOW + 200)
    assert job.state is JobState.SUSPENDED
    finish(controller, high, NOW + 200)
    assert (job.state, job.latest_end) == (JobState.RUNNING, NOW + 250)
    controller.take_effects()
    controller.tick(NOW + 280)
    assert (job.state, signals(controller, job)) == (JobState.TIMEOUT, [SIGCONT, SIGTERM])


def test_a_held_one_goes_on_at_a_time_slice_after_its_release() -> None:
    controller = preempting()
    job, high = one_stands_still(controller)
    controller.hold(job.job_id, NOW + 11, uid=0)
    finish(controller, high, NOW + 20)
    controller.tick(NOW + 30)
    assert job.state is JobState.SUSPENDED
    controller.release(job.job_id, NOW + 40, uid=0)
    controller.tick(NOW + 59)
    assert job.state is JobState.SUSPENDED
    controller.tick(NOW + 60)
    assert job.state is JobState.RUNNING


def test_who_stands_still_lets_others_go_on() -> None:
    controller = preempting()
    first, second = (submit(controller, "-w n1 -n2") for _ in range(2))
    middle = submit(controller, "-w n1 -n4", partition="mid")
    high = submit(controller, "-w n1", NOW + 1, partition="high")
    jobs = (first, second, middle, high)
    assert [job.state.value for job in jobs] == ["SUSPENDED", "RUNNING", "SUSPENDED", "RUNNING"]
    assert [job.cpu_ids for job in jobs] == [((0, 1),), ((2, 3),), ((0, 1, 2, 3),), ((0,),)]
    node = controller.nodes["n1"]
    assert (node.allocated_cpus, node.cpus_in_use, len(node.jobs)) == (4, 0b1111, 4)
    finish(controller, middle, NOW + 2)  # SIGSTOP has not come yet
    finish(controller, high, NOW + 3)
    assert [job.state.value for job in jobs[:2]] == ["RUNNING", "RUNNING"]
    finish(controller, first, NOW + 4)
    assert (node.allocated_cpus, node.cpus_in_use) == (2, 0b1100)


def test_one_that_waits_has_the_cpus_next() -> None:
    """The one that stands still goes on in between, for no time."""
    controller = preempting()
    job, high = one_stands_still(controller)
    waiting = submit(controller, "-w n1 -N1 -n4", NOW + 15, partition="high")
    assert waiting.state is JobState.PENDING
    finish(controller, high, NOW + 20)
    assert (job.state, waiting.state) == (JobState.SUSPENDED, JobState.RUNNING)
    assert (job.suspend_time, job.suspended) == (NOW + 20, 10)


def test_by_hand_is_refused() -> None:
    controller = preempting()
    job, _ = one_stands_still(controller)
    for call in (controller.suspend, controller.resume):
        with pytest.raises(SlurmError, match="fakeslurm does not support scontrol suspend and resume with PreemptMode"):
            call(job.job_id, NOW + 11, uid=0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PartitionName=b Nodes=n2", "partitions of the same PriorityTier beside it"),
        ("PartitionName=b Nodes=n2 PriorityTier=2 PreemptMode=CANCEL", "PreemptMode=CANCEL of partition 'b' beside it"),
        ("PreemptExemptTime=00:01:00", "PreemptExemptTime beside it"),
        ("PartitionName=b Nodes=n2 PriorityTier=2 PreemptMode=SUSPEND", "expected OFF or REQUEUE or CANCEL"),
        ("PartitionName=b Nodes=n2 PriorityTier=2 OverSubscribe=FORCE:2", "fakeslurm does not carry out OverSubscribe"),
        ("SchedulerTimeSlice=10", "fakeslurm does not carry out SchedulerTimeSlice"),
    ],
)
def test_what_is_refused(line: str, expected: str) -> None:
    nodes = cluster().settings.nodes
    lines = ["PreemptType=preempt/partition_prio", "PreemptMode=SUSPEND,GANG", "PartitionName=a Nodes=n1"]
    with pytest.raises(ValueError, match=expected):
        configured([*lines, line], nodes)
