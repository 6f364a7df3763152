"""What slurmkit says of a job, whatever goes wrong on the cluster: never COMPLETED when it did not complete, never a wait for ever."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slurmkit
from fakeslurm import FakeSlurm, Simulated, VirtualClock, strategies
from fakeslurm.faults import KINDS
from fakeslurm.history import Event, JobEnded, JobRequeued, JobSubmitted
from slurmkit import Cluster, Job, JobFailed
from slurmkit.polling.arbitration import LOST

DAY = 86400.0
OF_JOBS = ("node_failure", "launch_failure", "out_of_memory", "preemption", "requeue", "stuck_completing", "result_lag")
OF_SOURCES = (
    *("controller_down", "controller_timeout", "slow", "truncated_output", "purge", "reused_ids"),
    *("accounting_down", "accounting_lag", "accounting_off", "clock_skew"),
)
few = settings(max_examples=max(1, settings.default.max_examples // 10), suppress_health_check=[HealthCheck.too_slow])


@slurmkit.task(time=10)
def number() -> int:
    raise NotImplementedError("it is simulated")


def ends_of(name: str, events: Sequence[Event], *, is_forgotten: bool) -> set[str]:
    """The ends of the job of that name: its id may be another one's later.

    When the controller has forgotten a job that it had requeued, accounting knows nothing later of it than how the attempt before ended.
    """
    mine: set[int] = set()
    ends = set()
    for event in events:
        if isinstance(event, JobSubmitted):
            mine = mine | {event.job_id} if event.name == name else mine - {event.job_id}
        elif isinstance(event, JobEnded) and event.job_id in mine:
            ends.add(event.state)
        elif isinstance(event, JobRequeued) and event.job_id in mine and is_forgotten:
            ends |= {"NODE_FAIL", "PREEMPTED"}
    return ends


def outcome_of(job: Job[int]) -> str:
    """The state with which the wait for it ends."""
    try:
        assert job.result(timeout=3 * DAY) == 42
    except JobFailed:
        assert job.state != "COMPLETED"
    except slurmkit.ResultError:
        assert job.state == "COMPLETED", "only then is there one to be missed"
    return str(job.state)


def check(
    behaviours: list[Simulated], faults: strategies.FaultPlan, strangers: list[float], looks: list[float]
) -> None:
    clock = VirtualClock()
    with FakeSlurm(nodes=2, clock=clock) as slurm, tempfile.TemporaryDirectory() as root, clock.participate():
        mine = {f"mine{place}": behaviour for place, behaviour in enumerate(behaviours)}
        slurm.simulate(lambda job: mine.get(job.name, Simulated(5.0)))
        with Cluster(slurm.backend(), job_root=root) as cluster:
            jobs = [cluster.submit(number.with_options(job_name=name)) for name in mine]
            # Until it has seen its own comment once, slurmkit takes a job without one for its own (docs/open.md).
            cluster.refresh()
            faults.begin(slurm)
            for pause in strangers:
                slurm.advance(pause)
                slurm.execute(["sbatch", "--job-name=stranger", "--output=/dev/null", "--wrap=true"], cwd=root)
            for pause in looks:
                slurm.advance(pause)
                cluster.refresh()
            found = {name: outcome_of(job) for name, job in zip(mine, jobs, strict=True)}
        is_forgotten = any(fault.name == "reused_ids" for fault in faults.faults)
        for name, state in found.items():
            assert state in ends_of(name, slurm.history, is_forgotten=is_forgotten) | {LOST}, slurm.history


def with_result(behaviour: Simulated) -> Simulated:
    return Simulated(behaviour.duration, behaviour.exit_code, behaviour.signal, result=42, ignores=behaviour.ignores)


few_jobs = st.lists(strategies.outcomes(max_seconds=300).map(with_result), min_size=1, max_size=3)
pauses = st.lists(st.sampled_from([0.0, 1.0, 10.0, 100.0, 1000.0]), max_size=3)


@few
@given(few_jobs, strategies.fault_plans(kinds=OF_SOURCES), pauses, pauses)
def test_when_the_sources_fail(
    behaviours: list[Simulated], faults: strategies.FaultPlan, strangers: list[float], looks: list[float]
) -> None:
    check(behaviours, faults, strangers, looks)


@few
@given(few_jobs, strategies.fault_plans(kinds=OF_JOBS, longest=300.0), pauses, pauses)
def test_when_the_jobs_fail(
    behaviours: list[Simulated], faults: strategies.FaultPlan, strangers: list[float], looks: list[float]
) -> None:
    check(behaviours, faults, strangers, looks)


@few
@given(few_jobs, strategies.fault_plans(kinds=(*OF_SOURCES, *OF_JOBS), max_size=6), pauses, pauses)
def test_when_everything_fails(
    behaviours: list[Simulated], faults: strategies.FaultPlan, strangers: list[float], looks: list[float]
) -> None:
    check(behaviours, faults, strangers, looks)


@pytest.mark.parametrize("kind", [*OF_SOURCES, *OF_JOBS])
def test_these_faults_exist(kind: str) -> None:
    assert kind in KINDS
