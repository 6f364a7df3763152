"""The controller preempts: times, signals and whom, without a process or a clock."""

from __future__ import annotations

from collections.abc import Collection
from signal import SIGCONT, SIGKILL, SIGTERM

import pytest
from controllers import NOW, cluster, describe, finish, step_request, submit
from hypothesis import given
from hypothesis import strategies as st

from fakeslurm.messages import SlurmError
from fakeslurm.model import BATCH, EndJob, Job, JobError, Partition, SignalStep
from fakeslurm.slurmconf import configured
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.jobupdate import JobUpdate
from fakeslurm.slurmctld.preemption import Candidate, choose
from fakeslurm.slurmctld.selection import Share
from slurmkit.slurm.states import JobState

PARTITIONS = (
    Partition("low", default=True),
    Partition("high", priority_tier=10),
    Partition("cancel", preempt_mode="CANCEL"),
    Partition("gracious", preempt_mode="CANCEL", grace_time=4),
    Partition("patient", grace_time=4),
)


def preempting(version: str = "22.05") -> Controller:
    return cluster(partitions=PARTITIONS, preempts=True, preempt_mode="REQUEUE", version=version)


def signals(controller: Controller) -> list[tuple[object, int]]:
    return [(one.step_id, one.signal) for one in controller.take_effects() if isinstance(one, SignalStep)]


def given_notice(partition: str, version: str = "22.05") -> tuple[Controller, Job, Job]:
    """A job of this partition with one step, and one that preempts it, at NOW + 10."""
    controller = preempting(version)
    job = submit(controller, "-w n1 -n4", partition=partition)
    controller.create_step(job.job_id, step_request("-n1", job), NOW)
    controller.take_effects()
    return controller, job, submit(controller, "-w n1", NOW + 10, partition="high")


def test_a_preempted_job_is_asked_to_end_and_killed_after_kill_wait() -> None:
    controller = preempting()
    job = submit(controller, "-w n1 -n4")
    controller.take_effects()
    other = submit(controller, "-w n1", NOW + 10, partition="high")
    assert (job.state, job.completing, job.reason, job.restart_count) == (JobState.PENDING, True, "None", 1)
    text, *rest = controller.take_effects()
    assert isinstance(text, JobError)
    assert text.text.endswith(" DUE TO PREEMPTION ***\n")
    assert rest == [SignalStep(job.job_id, BATCH, SIGCONT), SignalStep(job.job_id, BATCH, SIGTERM)]
    controller.tick(NOW + 15)
    assert signals(controller) == [(BATCH, SIGKILL)]
    controller.batch_ended(job.job_id, SIGKILL, NOW + 15)
    assert controller.take_effects() == [EndJob(job.job_id)]
    assert other.state is JobState.PENDING
    controller.processes_gone(job.job_id, NOW + 15)
    assert (other.state, other.nodes) == (JobState.RUNNING, ("n1",))
    assert (job.state, job.reason, job.eligible_time) == (JobState.PENDING, "BeginTime", NOW + 21)
    records = controller.accounting.records(NOW + 15, [job.job_id])
    assert [(one.state, one.end) for one in records] == [("PREEMPTED", NOW + 10), ("PENDING", None)]


def test_others_are_not_preempted_while_one_is_being_ended() -> None:
    controller = preempting()
    low = [submit(controller, f"-w n{number} -n4", partition="cancel") for number in (1, 2, 3, 4)]
    submit(controller, "-N1", NOW + 10, partition="high")
    controller.tick(NOW + 24)
    assert [job.state for job in low] == [JobState.PREEMPTED, *[JobState.RUNNING] * 3]
    controller.tick(NOW + 25)  # KillWait and MessageTimeout later they should have gone
    assert [job.state for job in low] == [JobState.PREEMPTED] * 2 + [JobState.RUNNING] * 2


def test_the_second_that_waits_preempts_at_the_next_round_of_backfill() -> None:
    controller = preempting()
    low = [submit(controller, f"-w n{number} -n4", partition="cancel") for number in (1, 2, 3, 4)]
    first, second = (submit(controller, "-N1 -n4", NOW + 10.5, partition="high") for _ in range(2))
    assert [job.state for job in low] == [JobState.PREEMPTED, *[JobState.RUNNING] * 3]
    controller.tick(NOW + 11)
    assert [job.state for job in low] == [JobState.PREEMPTED] * 2 + [JobState.RUNNING] * 2
    for job in low[:2]:
        finish(controller, job, NOW + 12)
    assert [first.nodes, second.nodes] == [("n1",), ("n2",)]
    assert controller.next_deadline() is None or controller.next_deadline() > NOW + 60  # nothing is left to look at


def test_grace_time_is_over_when_a_scan_says_so() -> None:
    controller, job, _ = given_notice("gracious")
    assert signals(controller) == [(0, SIGCONT), (0, SIGTERM)]
    assert (job.state, job.preempt_time, job.latest_end) == (JobState.RUNNING, NOW + 10, NOW + 14)
    controller.tick(NOW + 24)
    assert job.state is JobState.RUNNING
    controller.tick(NOW + 25)  # the preemptor tries again
    assert (job.state, job.preempt_time, job.end_time) == (JobState.PREEMPTED, NOW + 25, NOW + 25)
    assert signals(controller) == [(0, SIGCONT), (0, SIGTERM), (BATCH, SIGCONT), (BATCH, SIGTERM)]


def test_grace_time_is_over_even_when_the_preemptor_is_gone() -> None:
    controller, job, other = given_notice("gracious")
    controller.cancel(other.job_id, NOW + 11, uid=0)
    controller.tick(NOW + 29)
    assert job.state is JobState.RUNNING
    controller.tick(NOW + 30)
    assert (job.state, job.preempt_time) == (JobState.PREEMPTED, NOW + 30)


@pytest.mark.parametrize(
    ("version", "partition", "late", "state"),
    [
        ("22.05", "gracious", 3, JobState.COMPLETED),
        ("22.05", "gracious", 5, JobState.TIMEOUT),
        ("22.05", "patient", 3, JobState.COMPLETED),
        ("24.11", "gracious", 3, JobState.PREEMPTED),
        ("24.11", "patient", 3, JobState.PENDING),
    ],
)
def test_end_in_the_grace_time(version: str, partition: str, late: float, state: JobState) -> None:
    controller, job, other = given_notice(partition, version)
    controller.step_ended(job.job_id, 0, (0,), NOW + 10 + late)
    finish(controller, job, NOW + 10 + late)
    assert (job.state, other.state) == (state, JobState.RUNNING)


def test_who_waits_for_those_it_has_preempted_may_go_elsewhere() -> None:
    """In another partition there is room for it: it does not wait there for what it has preempted here."""
    high = Partition("high", nodes=["n1"], priority_tier=10)
    controller = cluster(
        partitions=(Partition("low", default=True, grace_time=30), high), preempts=True, preempt_mode="REQUEUE"
    )
    submit(controller, "-w n1 -n4")
    other = submit(controller, "-n4", NOW + 10, partition="high")
    assert (other.state, other.reason) == (JobState.PENDING, "Resources")
    controller.update_job(other.job_id, JobUpdate(partition="low"), NOW + 10, uid=0)
    assert (other.state, other.nodes) == (JobState.RUNNING, ("n2",))


def test_exempt_time() -> None:
    controller = cluster(partitions=PARTITIONS, preempts=True, preempt_mode="REQUEUE", preempt_exempt_time=60)
    low = [submit(controller, f"-w n{number} -n4", NOW + number, partition="cancel") for number in (1, 2, 3, 4)]
    submit(controller, "-N2", NOW + 10, partition="high")
    for time, preempted in ((61, 0), (61.9, 0), (62, 2)):
        controller.tick(NOW + time)
        assert [job.state for job in low] == [JobState.PREEMPTED] * preempted + [JobState.RUNNING] * (4 - preempted)


@given(st.data())
def test_whoever_is_chosen_is_enough(data: st.DataObject) -> None:
    """Those who go are candidates, they make room, and nobody goes who has none of the nodes."""
    cpus = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    places = [data.draw(st.integers(0, 3)) for _ in cpus]
    candidates = [Candidate(number, data.draw(st.integers(1, 3)), 1 << place) for number, place in enumerate(places)]
    nodes, wanted = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))

    def select(removed: Collection[int]) -> list[Share] | None:
        free = [sum(cpus[one] for one in removed if places[one] == place) for place in range(4)]
        fitting = [Share(place, wanted) for place in range(4) if free[place] >= wanted]
        return fitting[:nodes] if len(fitting) >= nodes else None

    found = choose(candidates, select)
    assert (found is None) == (select(range(len(cpus))) is None)
    if found is not None:
        victims, shares = found
        assert select(victims) == list(shares)
        assert {places[one] for one in victims} <= {share.index for share in shares}


def test_heterogeneous_jobs_are_refused() -> None:
    with pytest.raises(SlurmError, match="fakeslurm does not support a heterogeneous job where jobs are preempted"):
        preempting().submit_het([describe(), describe()], NOW)


def test_who_is_chosen_last_first() -> None:
    """The one that was needed last is tried first, and what it makes superfluous stays."""
    small, large = Candidate(1, 1, 1), Candidate(2, 1, 1)

    def select(removed: object) -> list[Share] | None:
        return [Share(0, 3)] if 2 in removed else None

    assert choose([small, large], select) == ((2,), [Share(0, 3)])
    assert choose([small], select) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PreemptMode=SUSPEND", "expected OFF or REQUEUE or CANCEL or SUSPEND,GANG or GANG,SUSPEND"),
        ("PreemptMode=SUSPEND,GANG", "need one another"),
        ("PreemptType=preempt/qos", "expected preempt/none or preempt/partition_prio"),
        ("PreemptExemptTime=60", "expected hours:minutes:seconds"),
        ("PreemptParameters=youngest_first", "fakeslurm does not carry out PreemptParameters"),
        ("PreemptType=preempt/partition_prio", "need one another"),
        ("PreemptMode=REQUEUE", "need one another"),
        ("PartitionName=x Nodes=ALL PreemptMode=WITHIN", "expected OFF or REQUEUE or CANCEL"),
    ],
)
def test_what_is_refused(line: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        configured([line])


def test_whose_partition_is_never_preempted() -> None:
    partitions = [
        *(Partition("low", default=True), Partition("mid", priority_tier=2, preempt_mode="OFF")),
        Partition("high", priority_tier=3),
    ]
    controller = cluster(partitions=partitions, preempts=True, preempt_mode="CANCEL")
    mid, low = submit(controller, "-p mid -N2 --exclusive"), submit(controller, "-N2 --exclusive")
    high = submit(controller, "-p high -N2 --exclusive")
    assert (mid.state, low.state, high.reason) == ("RUNNING", "PREEMPTED", "Resources")
    controller = cluster(partitions=partitions, preempts=True, preempt_mode="CANCEL")
    mid, low = submit(controller, "-p mid -N2 --exclusive"), submit(controller, "-N2 --exclusive")
    assert submit(controller, "-p high -N3 --exclusive").reason == "Resources"
    assert (mid.state, low.state) == ("RUNNING", "RUNNING"), "it would be no help"
