"""Faults: how they are asked for, what they hit, and what slurmkit makes of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fakeslurm import FakeSlurm, Simulated, faults
from fakeslurm.history import JobSubmitted
from slurmkit import Cluster, task

DOWN = "Unable to contact slurm controller (connect failure)"


@task(time="01:00:00")
def work(x: int) -> int:
    return x + 1


# How they are asked for


def test_inside_of_the_block() -> None:
    with FakeSlurm(clock="virtual") as slurm:
        start = slurm.clock.time()
        with slurm.fault("controller_down") as fault:
            assert fault.active
            done = slurm.execute(["squeue"])
        assert (done.returncode, done.stderr) == (1, f"slurm_load_jobs error: {DOWN}\n")
        assert slurm.clock.time() == start + 5  # half of MessageTimeout, in virtual time
        assert not fault.active
        assert slurm.execute(["squeue"]).returncode == 0
        assert [(hit.at, hit.target, hit.call) for hit in fault.hits] == [(start, "squeue", slurm.calls[0])]
        assert [(call.fault, call.accepted) for call in slurm.calls] == [("controller_down", False), (None, True)]


def test_of_some_commands_and_some_calls() -> None:
    with (
        FakeSlurm(clock="virtual") as slurm,
        slurm.fault("controller_down", commands=["sinfo"], times=1) as fault,
    ):
        codes = [slurm.execute([command]).returncode for command in ("squeue", "sinfo", "sinfo")]
        assert codes == [0, 1, 0]
        assert fault.used_up


def test_what_asks_for_nothing_is_not_hit() -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("controller_down", times=1) as fault:
        assert slurm.execute(["squeue", "-j", "abc"]).stderr == "squeue: error: Invalid job id: abc\n"
        assert slurm.execute(["scontrol", "--version"]).returncode == 0
        assert fault.hits == []
        assert [call.fault for call in slurm.calls] == [None, None]
        assert slurm.execute(["squeue"]).returncode == 1


def test_the_inner_one_hits() -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("controller_down") as outer:
        with slurm.fault("controller_timeout", times=1):
            slurm.execute(["squeue"])
            slurm.execute(["squeue"])
        assert [call.fault for call in slurm.calls] == ["controller_timeout", "controller_down"]
        assert len(outer.hits) == 1


def test_by_the_clock() -> None:
    with FakeSlurm(clock="virtual") as slurm:
        fault = slurm.schedule_fault("controller_down", after=60, lasting=30)
        seen = []
        for _ in range(4):
            seen.append((fault.active, slurm.execute(["sinfo"]).returncode))
            slurm.advance(30)
        assert seen == [(False, 0), (False, 0), (True, 1), (False, 0)]


def test_a_program_is_hit_as_well(tmp_path: Path) -> None:
    with FakeSlurm() as slurm, slurm.fault("controller_down", seconds=0):
        done = subprocess.run(
            ["sbatch", "--wrap=true"], env=slurm.environ(), cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sbatch: error: Batch job submission failed: {DOWN}\n"
    assert slurm.calls[0].fault == "controller_down"


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("controller_downn", {}, ValueError, "valid are .*controller_down, controller_timeout"),
        ("controller_down", {"accepted": True}, TypeError, "no option 'accepted'; valid are seconds, times, commands"),
        ("controller_timeout", {"accepted": 1}, TypeError, "accepted"),
        ("controller_down", {"seconds": -1}, ValueError, "seconds=-1; expected a number of seconds, 0 or more"),
        ("controller_down", {"times": 0}, ValueError, "times=0; expected a number of calls"),
        ("controller_down", {"commands": ["sacct"]}, ValueError, "'sacct' is not hit by it; valid are sbatch"),
        ("controller_down", {"commands": "squeue"}, TypeError, "expected several names"),
    ],
)
def test_what_there_is_not(name: str, options: dict[str, object], error: type[Exception], words: str) -> None:
    with FakeSlurm() as slurm, pytest.raises(error, match=words):
        slurm.fault(name, **options).__enter__()  # type: ignore[arg-type]


def test_of_a_closed_one() -> None:
    slurm = FakeSlurm()
    slurm.close()
    with pytest.raises(RuntimeError, match="closed"):
        slurm.fault("controller_down")
    with pytest.raises(RuntimeError, match="closed"):
        slurm.schedule_fault("controller_down", after=1)


def test_it_may_be_closed_inside_of_the_block() -> None:
    with FakeSlurm() as slurm, slurm.fault("controller_down") as fault:
        slurm.close()
    assert not fault.active


def test_kinds_are_values() -> None:
    assert faults.kind_of("controller_timeout", {"accepted": True}) == faults.KINDS["controller_timeout"](accepted=True)
    for name, kind in faults.KINDS.items():
        assert kind.name == name
        assert kind.__doc__


# A request that hangs


@pytest.mark.parametrize("accepted", [False, True])
def test_an_answer_that_never_comes(tmp_path: Path, accepted: bool) -> None:
    with FakeSlurm(clock="virtual") as slurm:
        start = slurm.clock.time()
        with slurm.fault("controller_timeout", accepted=accepted):
            done = slurm.execute(["sbatch", "--hold", "--wrap=true"], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
        assert slurm.clock.time() == start + 10
        assert len(slurm.jobs()) == accepted
        assert slurm.calls[0].accepted is accepted


def test_a_caller_who_waits_for_less() -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("controller_timeout", seconds=100):
        start = slurm.clock.time()
        with pytest.raises(TimeoutError, match="squeue did not answer within 60 s"):
            slurm.execute(["squeue"], timeout=60)
        assert slurm.clock.time() == start + 60


@pytest.mark.parametrize("accepted", [False, True])
def test_slurmkit_submits_once(accepted: bool) -> None:
    """It looks for the job by its token before it submits again."""
    with FakeSlurm(clock="virtual") as slurm, Cluster(slurm.backend()) as cluster:
        slurm.simulate(Simulated(60, result=2))
        with slurm.fault("controller_timeout", accepted=accepted, commands=["sbatch"], times=1):
            job = cluster.submit(work, 1)
        assert job.result() == 2
        assert sum(isinstance(event, JobSubmitted) for event in slurm.history) == 1
        assert slurm.calls.count("sbatch") == (1 if accepted else 2)
