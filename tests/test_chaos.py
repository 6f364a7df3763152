"""Faults at random: repeatable from a seed, and from the plan that they have been."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm, Simulated, faults
from fakeslurm.faults import Chaos, PlannedCall, PlannedTime
from fakeslurm.history import FaultFired, JobSubmitted
from slurmkit import Cluster, Job, task
from slurmkit.errors import SchedulerError

OF_SLURM = (
    *("controller_down", "slow", "accounting_down", "accounting_off", "accounting_lag", "purge"),
    *("truncated_output", "garbled_output"),
    *(faults.kind_of("controller_timeout", {"accepted": accepted}) for accepted in (False, True)),
)
"""What a scheduler does to its clients, and not to jobs."""


@task(time="10:00:00")
def work(x: int) -> int:
    return x + 1


def an_hour(cwd: Path, plan: Sequence[faults.Planned] | None = None, **options: Any) -> tuple[Chaos, str]:
    """What has happened, and the history."""
    with FakeSlurm(clock="virtual") as slurm:
        slurm.simulate(Simulated(500))
        with slurm.chaos(plan=plan, **options) as chaos:
            for _ in range(30):
                for call in (["sbatch", "--wrap=true"], ["squeue"], ["sacct"]):
                    slurm.execute(call, cwd=cwd)
                slurm.advance(120)
        slurm.wait_idle(timeout=100_000)
        return chaos, str(slurm.history)


def test_the_same_seed_does_the_same(tmp_path: Path) -> None:
    kinds = ["controller_down", "slow", "purge", "accounting_lag"]
    chaos, history = an_hour(tmp_path, seed=5, rate=0.2, every=300, kinds=kinds)
    assert an_hour(tmp_path, seed=5, rate=0.2, every=300, kinds=kinds)[1] == history
    assert an_hour(tmp_path, seed=6, rate=0.2, every=300, kinds=kinds)[1] != history
    hit = [one.kind.name for one in chaos.plan if isinstance(one, PlannedCall)]
    begun = [one.kind.name for one in chaos.plan if isinstance(one, PlannedTime)]
    assert 8 <= len(hit) == len(chaos.hits) <= 30
    assert set(hit) == {"controller_down", "slow"}
    assert begun == [fault.name for fault in chaos.faults]
    assert set(begun) == {"purge", "accounting_lag"}
    assert not any(fault.active for fault in chaos.faults)


def test_a_plan_is_done_again(tmp_path: Path) -> None:
    chaos, history = an_hour(tmp_path, seed=3, rate=0.2, every=300)
    names: dict[str, Any] = {kind.__name__: kind for kind in faults.KINDS.values()}
    plan = eval(repr(chaos.plan), names | {"PlannedCall": PlannedCall, "PlannedTime": PlannedTime, "inf": float("inf")})
    again, its_history = an_hour(tmp_path, plan)
    assert again.plan == plan == chaos.plan
    assert its_history == history


def test_it_does_not_matter_which_command_is_first() -> None:
    def hit(*commands: str) -> list[PlannedCall]:
        with FakeSlurm(clock="virtual") as slurm, slurm.chaos(seed=1, rate=0.5) as chaos:
            for command in commands:
                slurm.execute([command])
        return sorted(
            (one for one in chaos.plan if isinstance(one, PlannedCall)), key=lambda one: (one.command, one.number)
        )

    assert hit(*["squeue", "sinfo"] * 10) == hit(*["squeue"] * 10, *["sinfo"] * 10)


def test_rates() -> None:
    for rate, number in ((0.0, 0), (1.0, 20)):
        with FakeSlurm(clock="virtual") as slurm, slurm.chaos(rate=rate) as chaos:
            for _ in range(20):
                slurm.execute(["squeue"])
            assert sum(isinstance(event, FaultFired) for event in slurm.history) == number
        assert len(chaos.plan) == len(chaos.hits) == number


def test_it_ends_with_the_block(tmp_path: Path) -> None:
    with FakeSlurm(clock="virtual") as slurm:
        with slurm.chaos(rate=1, every=10, kinds=["purge", "controller_down"]) as chaos:
            slurm.advance(100)
        begun = len(chaos.faults)
        slurm.advance(1000)
        assert slurm.execute(["squeue"]).returncode == 0
        assert len(chaos.faults) == begun > 3
        slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        slurm.wait_idle()
        assert len(slurm.jobs()) == 1  # it is remembered again


def test_all_kinds_by_default() -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.chaos() as chaos:
        names = {kind.name for kind in chaos.kinds}
    assert {"controller_timeout", "accounting_down", "purge", "garbled_output"} <= names
    assert not names & {"reused_ids", "rate_limited"}  # too much, and unknown to 22.05
    assert {kind.accepted for kind in chaos.kinds if isinstance(kind, faults.KINDS["controller_timeout"])} == {
        True,
        False,
    }  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"rate": 1.5}, ValueError, "rate=1.5; expected the share of calls"),
        ({"every": 0}, ValueError, "every=0; expected a number of seconds"),
        ({"kinds": ["nothing"]}, ValueError, "there is no such fault"),
        ({"kinds": [3]}, TypeError, "expected names of faults, or faults"),
        ({"plan": ["slow"]}, TypeError, "plan has 'slow'"),
    ],
)
def test_what_is_no_chaos(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with FakeSlurm() as slurm, pytest.raises(error, match=words):
        slurm.chaos(**options).__enter__()


def test_two_of_what_lasts(tmp_path: Path) -> None:
    """The end of one is not the end of the other."""
    with FakeSlurm(clock="virtual") as slurm:
        slurm.simulate(Simulated(10))
        for name in ("purge", "accounting_lag"):
            slurm.schedule_fault(name, lasting=100)
            slurm.schedule_fault(name, lasting=300)
        slurm.advance(200)
        slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        slurm.advance(20)
        assert slurm.jobs() == ()
        assert slurm.execute(["sacct", "-n"]).stdout == ""
        slurm.advance(100)
        assert "COMPLETED" in slurm.execute(["sacct", "-n"]).stdout


@pytest.mark.parametrize("seed", range(20))
def test_slurmkit_in_chaos(seed: int) -> None:
    """Nothing is submitted twice, nothing is lost, and every job that was submitted has its result."""
    with FakeSlurm(clock="virtual") as slurm, Cluster(slurm.backend()) as cluster:
        slurm.simulate(Simulated(500, result=2))
        jobs: list[Job[int]] = []
        failed = 0
        with slurm.chaos(seed=seed, rate=0.25, every=300, kinds=OF_SLURM):
            for _ in range(5):
                try:
                    jobs.append(cluster.submit(work, 1))
                except SchedulerError:
                    failed += 1
                slurm.advance(100)
            assert [job.result(timeout=50_000) for job in jobs] == [2] * len(jobs)
        submitted = sum(isinstance(event, JobSubmitted) for event in slurm.history)
        assert len({job.job_id for job in jobs}) == len(jobs) <= submitted <= len(jobs) + failed
        assert len(jobs) >= 4
