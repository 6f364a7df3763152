"""What slurmkit makes of faults: nothing is made up, nothing is submitted twice, nothing waits for ever."""

from __future__ import annotations

from typing import Any

import pytest

from fakeslurm import FakeSlurm, Simulated
from fakeslurm.history import JobSubmitted
from slurmkit import BaseCallback, Cluster, Job, JobLost, SubmissionError, task
from slurmkit.callbacks.contexts import JobStatusUpdatedContext

HOUR = 3600.0


@task(time="10:00:00")
def work(x: int) -> int:
    return x + 1


class Seen(BaseCallback):
    """The states that the client was told of."""

    poll_interval_secs = 30
    requires_pickling = False

    def __init__(self) -> None:
        self.states: list[str] = []

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        state = str(ctx.status["JobState"])
        if self.states[-1:] != [state]:
            self.states.append(state)


def submitted(slurm: FakeSlurm) -> int:
    return sum(isinstance(event, JobSubmitted) for event in slurm.history)


def virtual(**settings: Any) -> FakeSlurm:
    return FakeSlurm(clock="virtual", **settings)


# Submissions


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("controller_down", {}),
        ("controller_timeout", {}),
        ("controller_timeout", {"accepted": True}),
        ("slow", {"seconds": 400}),
        ("truncated_output", {}),
        ("truncated_output", {"characters": 0}),
        ("garbled_output", {"before": "Welcome to 2030\n", "after": "bye\n"}),
        ("garbled_output", {"after": "bye"}),
        ("localised_output", {}),
    ],
)
def test_one_job_whatever_becomes_of_the_answer(fault: str, options: dict[str, Any]) -> None:
    """Ten jobs before it, so that an answer that is cut off still looks like an id."""
    with virtual() as slurm, Cluster(slurm.backend()) as cluster:
        slurm.simulate(Simulated(60, result=2))
        for _ in range(12):
            slurm.execute(["sbatch", "-o", "/dev/null", "--wrap=true"])
        with slurm.fault(fault, commands=["sbatch"], times=1, **options):
            job = cluster.submit(work, 1)
        assert job.job_id == "13"
        assert job.result() == 2
        assert submitted(slurm) == 13


def test_a_rate_limit_is_waited_for() -> None:
    with virtual(version="24.11") as slurm, Cluster(slurm.backend()) as cluster:
        slurm.simulate(Simulated(60, result=2))
        with slurm.fault("rate_limited", seconds=9):
            assert cluster.submit(work, 1).result() == 2
        assert submitted(slurm) == 1


def test_a_controller_that_stays_away() -> None:
    with virtual() as slurm, Cluster(slurm.backend()) as cluster:
        with slurm.fault("controller_down"), pytest.raises(SubmissionError, match="connect failure"):
            cluster.submit(work, 1)
        assert submitted(slurm) == 0


def test_a_look_up_that_fails_too() -> None:
    """The controller takes the job and then hangs for a minute."""
    with virtual() as slurm, Cluster(slurm.backend()) as cluster:
        slurm.simulate(Simulated(HOUR, result=2))
        slurm.schedule_fault("controller_timeout", accepted=True, after=0, lasting=60)
        job = cluster.submit(work, 1)
        assert job.result() == 2
        assert submitted(slurm) == slurm.calls.count("sbatch") == 1


# Status


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("controller_down", {}),
        ("controller_timeout", {}),
        ("slow", {"seconds": 90}),
        ("garbled_output", {}),
        ("localised_output", {}),
        ("truncated_output", {}),
    ],
)
def test_states_are_never_made_up(fault: str, options: dict[str, Any]) -> None:
    with virtual() as slurm, Cluster(slurm.backend(), callbacks=[seen := Seen()]) as cluster:
        slurm.simulate(Simulated(2 * HOUR, result=2))
        job = cluster.submit(work, 1)
        slurm.schedule_fault(fault, after=600, lasting=1200, **options)
        assert job.result() == 2
        assert seen.states == ["RUNNING", "COMPLETED"]


def test_a_poller_backs_off() -> None:
    """It asks every 30 s; of a controller that is away for an hour no more than once a minute."""
    with virtual() as slurm, Cluster(slurm.backend(), callbacks=[seen := Seen()]) as cluster:
        slurm.simulate(Simulated(2 * HOUR, result=2))
        job = cluster.submit(work, 1)
        fault = slurm.schedule_fault("controller_down", after=600, lasting=HOUR)
        slurm.advance(600 + HOUR / 2)
        assert job.state == "RUNNING"  # the last snapshot
        assert job.result() == 2
        assert 20 < len(fault.hits) < 80
        assert seen.states == ["RUNNING", "COMPLETED"]


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("accounting_lag", {"seconds": 240}),
        ("accounting_down", {}),
        ("accounting_down", {"hangs": True}),
        ("accounting_off", {}),
        ("garbled_output", {"commands": ["sacct"]}),
        ("truncated_output", {"commands": ["sacct"]}),
    ],
)
def test_a_job_that_the_controller_has_forgotten(fault: str, options: dict[str, Any]) -> None:
    """sacct, or when that says nothing the runner's own journal, tells how it has ended."""
    with virtual() as slurm, Cluster(slurm.backend(), callbacks=[seen := Seen()]) as cluster:
        slurm.simulate(Simulated(HOUR, result=2))
        with slurm.fault("purge"), slurm.fault(fault, **options):
            job = cluster.submit(work, 1)
            assert job.result() == 2
        assert seen.states[-1] == "COMPLETED"
        assert set(seen.states) == {"RUNNING", "COMPLETED"}


@pytest.mark.parametrize(("poll", "comment"), [(True, []), (True, ["--comment=x"]), (False, ["--comment=x"])])
def test_an_id_that_is_another_jobs_now(poll: bool, comment: list[str]) -> None:
    """The cluster has lost our job, and what now has its id completes: that is not ours."""
    seen = Seen()
    with virtual(nodes=1) as slurm, Cluster(slurm.backend(), callbacks=[seen] if poll else []) as cluster:
        slurm.simulate(lambda job: Simulated(HOUR, result=2) if job.name != "other" else Simulated(60))
        job: Job[int] = cluster.submit(work, 1)
        slurm.advance(600)
        with slurm.fault("reused_ids"):
            pass
        slurm.execute(["sbatch", "-J", "other", "-o", "/dev/null", *comment, "--wrap=true"])
        with pytest.raises(JobLost):
            job.result(timeout=HOUR)
        assert seen.states == (["RUNNING", "LOST"] if poll else [])
