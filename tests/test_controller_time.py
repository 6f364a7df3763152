"""Time limits, MinJobAge, and allocations without a script."""

from __future__ import annotations

from signal import SIGCONT, SIGTERM, SIGUSR1
from typing import Any

import pytest
from controllers import NOW, cluster, describe, finish, step_request, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import (
    BATCH,
    EndJob,
    JobError,
    Partition,
    SignalSpec,
    SignalStep,
)
from fakeslurm.slurmctld.jobupdate import JobUpdate

PARTITIONS = [
    Partition("debug", default=True),
    Partition("short", nodes=["n1", "n2"], max_time=10, default_time=5, max_nodes=1),
    Partition("down", nodes=["n1"], state="DOWN"),
    Partition("inactive", nodes=["n1"], state="INACTIVE"),
    Partition("drained", nodes=["n1"], state="DRAIN"),
]


NODES = "Requested node configuration is not available"

# Time limits


def test_time_limit() -> None:
    """The limit of a minute is enforced by the first scan after it; scans are every 30 s from the start of the controller."""
    controller = cluster()
    controller.tick(NOW - 20)
    job = submit(controller, "-t1")
    controller.take_effects()
    assert controller.next_deadline() == NOW + 70
    controller.tick(NOW + 69)
    assert job.state == "RUNNING"
    controller.tick(NOW + 70)
    assert (job.shown_state, job.state, job.reason, job.end_time) == ("COMPLETING", "TIMEOUT", "TimeLimit", NOW + 70)
    said, *effects = controller.take_effects()
    assert isinstance(said, JobError)
    assert said.text.endswith(" DUE TO TIME LIMIT ***\n")
    assert effects == [SignalStep(1, BATCH, SIGCONT), SignalStep(1, BATCH, SIGTERM)]
    controller.batch_ended(1, 15, NOW + 71)
    controller.processes_gone(1, NOW + 71)
    assert (job.shown_state, job.wait_status) == ("TIMEOUT", 15)


def test_a_job_that_ends_after_its_limit_but_before_the_scan() -> None:
    controller = cluster()
    job = submit(controller, "-t1")
    controller.batch_ended(1, 0, NOW + 65)
    assert (job.state, job.reason, job.wait_status) == ("TIMEOUT", "TimeLimit", 0)


def test_over_time_limit() -> None:
    controller = cluster(over_time_limit=2)
    submit(controller, "-t1")
    assert controller.next_deadline() == NOW + 180


@pytest.mark.parametrize(
    ("partition", "text", "limit"),
    [("debug", "", None), ("debug", "-t 7", 7), ("debug", "-t 0", None), ("short", "", 5), ("short", "-t 7", 7)],
)
def test_where_the_limit_comes_from(partition: str, text: str, limit: int | None) -> None:
    assert submit(cluster(partitions=PARTITIONS), text, partition=partition).time_limit == limit


def test_a_partition_without_default_time_gives_its_maximum() -> None:
    assert submit(cluster(partitions=[Partition("p", max_time=9)])).time_limit == 9


def test_a_job_without_limit_has_no_deadline() -> None:
    controller = cluster()
    submit(controller)
    assert controller.next_deadline() is None


def test_no_limit_is_enforced_on_a_job_that_has_ended() -> None:
    controller = cluster(min_job_age=0.0)
    finish(controller, submit(controller, "-t1"), NOW + 1)
    assert controller.next_deadline() is None


@pytest.mark.parametrize(
    ("spec", "reached"),
    [
        (SignalSpec(SIGUSR1, 60, batch=True), [SignalStep(1, BATCH, s, "tasks") for s in (SIGCONT, SIGUSR1)]),
        (SignalSpec(SIGUSR1, 60), [SignalStep(1, 0, s) for s in (SIGCONT, SIGUSR1)]),
    ],
)
def test_a_signal_before_the_limit(spec: SignalSpec, reached: list[SignalStep]) -> None:
    """-t2 --signal=USR1@60: at the first scan 90 s before the end or later, here 30 s after the start (52 s measured)."""
    controller = cluster()
    job = submit(controller, "-t2", signal=spec)
    controller.create_step(1, step_request("", job), NOW)
    controller.take_effects()
    assert controller.next_deadline() == NOW + 30
    controller.tick(NOW + 30)
    assert controller.take_effects() == reached
    assert controller.next_deadline() == NOW + 120


# Memory and time


@pytest.mark.parametrize(
    ("age", "forgotten"),
    [(300.0, NOW + 360), (20.0, NOW + 40), (5.0, NOW + 20), (60.0, NOW + 120)],
)
def test_min_job_age(age: float, forgotten: float) -> None:
    """A scan every 60 s, or every max(10, MinJobAge) for less: MinJobAge=20 forgets within 40 s (30 s measured)."""
    controller = cluster(min_job_age=age)
    finish(controller, submit(controller), NOW + 7)
    assert controller.next_deadline() == forgotten
    controller.tick(forgotten - 0.1)
    assert 1 in controller.jobs
    controller.tick(forgotten)
    assert 1 not in controller.jobs
    assert [record.job_id for record in controller.accounting.records(forgotten)] == [1]


def test_min_job_age_0_keeps_jobs_for_ever() -> None:
    controller = cluster(min_job_age=0.0)
    finish(controller, submit(controller), NOW)
    controller.tick(NOW + 1e9)
    assert 1 in controller.jobs


def test_a_completing_job_is_not_forgotten() -> None:
    controller = cluster(min_job_age=20.0)
    submit(controller)
    controller.batch_ended(1, 0, NOW)
    controller.tick(NOW + 1000)
    assert 1 in controller.jobs
    controller.processes_gone(1, NOW + 1001)
    assert controller.next_deadline() == NOW + 1020


def test_time_does_not_go_back() -> None:
    controller = cluster()
    controller.tick(NOW)
    with pytest.raises(ValueError, match="time does not go back"):
        controller.tick(NOW - 1)


# Allocations without a script


def test_an_allocation_for_srun() -> None:
    controller = cluster()
    job = controller.jobs[controller.allocate(describe("-n2", script=None), NOW)]
    assert job.state == "RUNNING"
    assert job.batch is None
    assert controller.take_effects() == []
    step = controller.create_step(1, step_request("-n2", job), NOW)
    assert step is not None
    controller.step_ended(1, 0, [2 << 8, 0], NOW + 1)
    controller.release_allocation(1, 2 << 8, NOW + 1)
    assert (job.state, job.reason, job.wait_status) == ("FAILED", "NonZeroExitCode", 2 << 8)
    assert controller.take_effects() == [EndJob(1)]
    controller.processes_gone(1, NOW + 1)
    assert job.shown_state == "FAILED"


def test_an_allocation_that_is_given_up_while_it_waits() -> None:
    controller = cluster()
    submit(controller, "--exclusive -N4")
    job = controller.jobs[controller.allocate(describe(script=None, uid=1000), NOW)]
    controller.release_allocation(2, 0, NOW + 1)
    assert (job.state, job.cancelled_by) == ("CANCELLED", 1000)
    controller.release_allocation(2, 0, NOW + 1)
    assert job.state == "CANCELLED"


def test_an_allocation_that_does_not_come_in_time() -> None:
    """salloc --immediate: the job has failed, as what fits nowhere (measured)."""
    controller = cluster()
    submit(controller, "--exclusive -N4")
    job = controller.jobs[controller.allocate(describe(script=None), NOW)]
    controller.refuse_allocation(2, NOW + 1)
    assert (job.state, job.reason, job.wait_status, job.cancelled_by) == ("FAILED", "BadConstraints", 1, None)
    controller.refuse_allocation(1, NOW + 1)
    assert controller.jobs[1].state == "RUNNING"


def test_an_allocation_that_is_cancelled() -> None:
    controller = cluster()
    job = controller.jobs[controller.allocate(describe(script=None), NOW)]
    controller.create_step(1, step_request("", job), NOW)
    controller.cancel(1, NOW, uid=0)
    effects = [effect for effect in controller.take_effects() if not isinstance(effect, JobError)]
    assert effects == [SignalStep(1, 0, SIGCONT), SignalStep(1, 0, SIGTERM), EndJob(1)]
    controller.release_allocation(1, 15, NOW)
    assert job.state == "CANCELLED"


def test_test_only() -> None:
    controller = cluster()
    forecast = controller.test_only(describe("-N2 -n3"), NOW)
    assert (forecast.job_id, forecast.start, forecast.nodes) == (1, NOW, ("n1", "n2"))
    assert (forecast.num_cpus, forecast.partition) == (3, "debug")
    submit(controller, "-t 10 --exclusive -N4")
    assert controller.test_only(describe("-n2"), NOW).start == NOW + 600
    assert sorted(controller.jobs) == [2]
    for text in ("-N9", "--mem=9999"):
        with pytest.raises(SlurmError, match=rf"^{NODES}$"):
            controller.test_only(describe(text), NOW)
    assert submit(controller).job_id == 6


def test_what_happens_next_of_what_is_due() -> None:
    controller = cluster(min_job_age=300)
    job = submit(controller, "-t 60")
    finish(controller, job, NOW + 1)
    assert controller.next_deadline() == NOW + 360
    submit(controller, "-t 1", now=NOW + 2)
    assert controller.next_deadline() == NOW + 90
    controller.cancel(2, NOW + 3, uid=0)
    assert controller.next_deadline() == NOW + 8, "who does not end is killed"


@pytest.mark.parametrize(("age", "scan"), [(1, 10), (10, 10), (30, 30), (60, 60), (61, 120)])
def test_when_a_job_is_forgotten(age: float, scan: float) -> None:
    controller = cluster(min_job_age=age)
    job = submit(controller)
    finish(controller, job, NOW)
    controller.tick(NOW + scan - 0.1)
    assert 1 in controller.jobs
    controller.tick(NOW + scan)
    assert controller.jobs == {}


# What an attempt has of its own


WARNED = [SignalStep(1, BATCH, one, "tasks") for one in (SIGCONT, SIGUSR1)]


def warned(controller: Any, now: float) -> bool:
    controller.take_effects()
    controller.tick(now)
    return bool(controller.take_effects() == WARNED)


def test_a_signal_goes_along_with_the_limit() -> None:
    """It is sent once, by the limit that holds then."""
    controller = cluster()
    submit(controller, "-t 10", signal=SignalSpec(SIGUSR1, 60, batch=True))
    controller.update_job(1, JobUpdate(time_limit=20), NOW + 1, uid=0)
    assert not warned(controller, NOW + 1080)
    assert warned(controller, NOW + 1110)
    controller.update_job(1, JobUpdate(time_limit=30), NOW + 1115, uid=0)
    assert not warned(controller, NOW + 1710)
    assert controller.next_deadline() == NOW + 1800


def test_a_signal_is_sent_again_to_a_job_that_runs_again() -> None:
    controller = cluster()
    job = submit(controller, "-t 2", signal=SignalSpec(SIGUSR1, 60, batch=True))
    assert warned(controller, NOW + 30)
    controller.requeue(1, NOW + 31, uid=0)
    finish(controller, job, NOW + 32)
    controller.tick(NOW + 38)
    assert job.start_time == NOW + 38
    assert warned(controller, NOW + 90)


def test_a_job_that_has_ended_is_not_warned() -> None:
    controller = cluster()
    submit(controller, "-t 2", signal=SignalSpec(SIGUSR1, 60, batch=True))
    controller.cancel(1, NOW + 1, uid=0)
    assert controller.next_deadline() == NOW + 6, "when it is killed"
    assert not warned(controller, NOW + 30)


def test_the_time_for_which_an_earlier_attempt_was_suspended_is_its_own() -> None:
    controller = cluster()
    job = submit(controller, "-t 10")
    controller.suspend(1, NOW + 10, uid=0)
    controller.resume(1, NOW + 100, uid=0)
    controller.requeue(1, NOW + 110, uid=0)
    finish(controller, job, NOW + 111)
    controller.tick(NOW + 117)
    assert (job.suspended, job.latest_end) == (0, NOW + 117 + 600)


def test_a_job_that_is_suspended_is_not_warned() -> None:
    controller = cluster()
    submit(controller, "-t 2", signal=SignalSpec(SIGUSR1, 60, batch=True))
    controller.suspend(1, NOW + 10, uid=0)
    controller.tick(NOW + 12)
    assert controller.next_deadline() is None, "its time stands still"
    controller.resume(1, NOW + 40, uid=0)
    assert warned(controller, NOW + 60)


def test_nothing_is_left_to_happen_of_a_job_that_is_over() -> None:
    controller = cluster(min_job_age=0)
    for more in ({"begin": NOW + 100}, {"deadline": NOW + 1000}):
        job = submit(controller, "-H" if "deadline" in more else "", **more)
        controller.cancel(job.job_id, NOW, uid=0)
        assert controller.next_deadline() is None
    first = submit(controller)
    waits = submit(controller, dependency=f"after:{first.job_id}+5")
    assert controller.next_deadline() == NOW + 300
    controller.cancel(waits.job_id, NOW, uid=0)
    assert controller.next_deadline() is None


def test_a_held_job_does_not_wait_for_its_time() -> None:
    controller = cluster()
    job = submit(controller, begin=NOW + 100)
    controller.hold(job.job_id, NOW, uid=0)
    assert controller.next_deadline() is None
