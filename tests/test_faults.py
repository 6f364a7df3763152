"""Faults: how they are asked for, what they hit, and what slurmkit makes of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm, Simulated, faults
from fakeslurm.history import FaultFired, JobEnded, JobSubmitted
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


@pytest.mark.parametrize("timeout", [None, 100.0])
def test_who_was_to_wait_for_the_job_does_not(tmp_path: Path, timeout: float | None) -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("controller_timeout", accepted=True):
        slurm.simulate(Simulated(1000))
        start = slurm.clock.time()
        done = slurm.execute(["sbatch", "--wait", "--wrap=true"], cwd=tmp_path, timeout=timeout)
        assert (done.returncode, slurm.clock.time()) == (1, start + 10)
        assert [str(job.state) for job in slurm.jobs()] == ["RUNNING"]


def test_what_is_not_known_without_a_controller() -> None:
    with FakeSlurm(clock="virtual", version="24.11") as slurm, slurm.fault("controller_down"):
        for call in ("scontrol wait_job 1", "scontrol --json show job 1"):
            assert "fakeslurm does not support" in slurm.execute(call.split()).stderr


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


# Scripts


def test_a_sequence() -> None:
    with FakeSlurm(clock="virtual") as slurm:
        down = faults.kind_of("controller_down", {"seconds": 1})
        with slurm.sequence("squeue", "controller_down", None, down) as script:
            codes = [
                slurm.execute([command]).returncode for command in ("squeue", "sinfo", "squeue", "squeue", "squeue")
            ]
        assert codes == [1, 0, 0, 1, 0]
        assert len(script.hits) == 2


def test_none_is_no_fault_whatever_else_is_wrong() -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("controller_down"), slurm.sequence("squeue", None):
        assert slurm.execute(["squeue"]).returncode == 0


def test_all_of_a_sequence_has_to_be_used() -> None:
    with (
        FakeSlurm(clock="virtual") as slurm,
        pytest.raises(AssertionError, match="squeue was called 1 times of the 3 of the sequence; left are: None, slow"),
        slurm.sequence("squeue", "controller_down", None, "slow"),
    ):
        slurm.execute(["squeue"])


def test_the_error_of_the_block_is_not_hidden() -> None:
    with FakeSlurm() as slurm, pytest.raises(KeyError), slurm.sequence("squeue", None):
        raise KeyError


@pytest.mark.parametrize(
    ("steps", "error", "words"),
    [
        ([], ValueError, "no steps"),
        (["controller_don"], ValueError, "valid are"),
        (["accounting_down"], ValueError, "accounting_down does not hit it, but sacct, sacctmgr"),
        ([3], TypeError, "expected the name of a fault"),
    ],
)
def test_what_is_no_sequence(steps: list[Any], error: type[Exception], words: str) -> None:
    with FakeSlurm() as slurm, pytest.raises(error, match=words):
        slurm.sequence("squeue", *steps).__enter__()


# Answers that are late, cut off or mixed up


def test_a_slow_answer_says_what_was_true(tmp_path: Path) -> None:
    with FakeSlurm(clock="virtual") as slurm:
        slurm.simulate(Simulated(10))
        slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        start = slurm.clock.time()
        with slurm.fault("slow", seconds=30):
            assert slurm.execute(["squeue", "-h", "-o", "%T"]).stdout == "RUNNING\n"
        assert slurm.clock.time() == start + 30
        assert slurm.execute(["squeue", "-h", "-o", "%T"]).stdout == ""


def test_srun_and_slow(tmp_path: Path) -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("slow", seconds=30):
        start = slurm.clock.time()
        assert slurm.execute(["srun", "echo", "here"], cwd=tmp_path).stdout == "here\n"
        assert slurm.clock.time() >= start + 30


@pytest.mark.parametrize(
    ("seconds", "wait"), [(0, 0), (0.5, 1), (1, 1), (1.5, 3), (3, 3), (5, 6), (9, 10), (1000, 1035)]
)
def test_a_rate_limit(tmp_path: Path, seconds: float, wait: float) -> None:
    """The command comes back by itself, ever later, and says nothing."""
    with FakeSlurm(clock="virtual", version="24.11") as slurm, slurm.fault("rate_limited", seconds=seconds):
        start = slurm.clock.time()
        assert slurm.execute(["sbatch", "--hold", "--wrap=true"], cwd=tmp_path).stdout == "Submitted batch job 1\n"
        assert slurm.jobs()[0].submit_time == start + wait
        assert slurm.execute(["scontrol", "ping"]).returncode == 1


def test_a_rate_limit_came_with_23_02() -> None:
    with FakeSlurm() as slurm:
        with pytest.raises(ValueError, match=r"'rate_limited': Slurm 22\.05 has no rate limit"):
            slurm.fault("rate_limited").__enter__()
        with pytest.raises(ValueError, match="has no rate limit"):
            slurm.sequence("squeue", "rate_limited").__enter__()


@pytest.mark.parametrize(
    ("name", "options", "stdout", "stderr"),
    [
        ("truncated_output", {}, "Submitted b", ""),
        ("truncated_output", {"characters": 3}, "Sub", ""),
        ("garbled_output", {"before": "hello\n", "after": "bye\n", "on_stderr": "x\n"}, "hello\nSubmitted batch job 1\nbye\n", "x\n"),
        ("localised_output", {}, "Batch-Job uebergeben: 1\n", ""),
        ("localised_output", {"words": {"batch job": "travail"}}, "Submitted travail 1\n", ""),
    ],
)  # fmt: skip
def test_output(tmp_path: Path, name: str, options: dict[str, Any], stdout: str, stderr: str) -> None:
    with FakeSlurm() as slurm, slurm.fault(name, **options):
        done = slurm.execute(["sbatch", "--hold", "--wrap=true"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, stdout, stderr)


# Accounting


def test_accounting_lag(tmp_path: Path) -> None:
    ask = ["sacct", "-X", "-n", "-P", "-D", "-o", "JobID,State"]
    with FakeSlurm(clock="virtual") as slurm:
        slurm.simulate(Simulated(10))
        slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        with slurm.fault("accounting_lag", seconds=60) as fault:
            slurm.advance(59)
            assert slurm.execute(ask).stdout == "1|RUNNING\n"
            slurm.advance(11)
            assert slurm.execute(ask).stdout == "1|COMPLETED\n"
            slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
            slurm.execute(["scontrol", "requeue", "2"], cwd=tmp_path)
            assert slurm.execute(ask).stdout == "1|COMPLETED\n"
            slurm.advance(60)
            assert slurm.execute(ask).stdout == "1|COMPLETED\n2|REQUEUED\n2|PENDING\n"
            slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        assert slurm.execute(ask).stdout.endswith("3|RUNNING\n")
        assert len(fault.hits) == 4


def test_accounting_that_hangs() -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("accounting_down", hangs=True):
        start = slurm.clock.time()
        done = slurm.execute(["sacct"])
    assert done.stderr.splitlines()[-1] == (
        "sacct: error: Problem talking to the database: Resource temporarily unavailable"
    )
    assert slurm.clock.time() == start + 37


def test_accounting_off() -> None:
    with FakeSlurm() as slurm:
        with slurm.fault("accounting_off"):
            assert slurm.execute(["sacct"]).stderr == "Slurm accounting storage is disabled\n"
        assert slurm.execute(["sacct"]).returncode == 0


# What the controller remembers


def test_purge(tmp_path: Path) -> None:
    with FakeSlurm(clock="virtual") as slurm:
        slurm.simulate(Simulated(10))
        slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        slurm.advance(10)
        slurm.execute(["sbatch", "--array=1-2", "--wrap=true"], cwd=tmp_path)
        with slurm.fault("purge") as fault:
            assert [job.job_id for job in slurm.jobs()] == [2, 3]
            slurm.advance(10)
            assert slurm.jobs() == ()
            assert sorted(hit.target for hit in fault.hits) == ["job 1", "job 2", "job 3"]
        slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        slurm.advance(10)
        assert [job.job_id for job in slurm.jobs()] == [4]


def test_reused_ids(tmp_path: Path) -> None:
    """What ran is ended, what waited is forgotten; all of it is in the history."""
    with FakeSlurm(nodes=1, clock="virtual") as slurm:
        slurm.simulate(Simulated(100))
        slurm.execute(["sbatch", "--exclusive", "--wrap=true"], cwd=tmp_path)
        slurm.execute(["sbatch", "--exclusive", "--array=1-3", "--wrap=true"], cwd=tmp_path)
        with slurm.fault("reused_ids") as fault:
            pass
        assert [hit.target for hit in fault.hits] == ["job 1", "job 2"]
        assert slurm.jobs() == ()
        assert slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path).stdout == "Submitted batch job 1\n"
        slurm.wait_idle(timeout=1000)
        ended = [str(event.state) for event in slurm.history.of_job(1) if isinstance(event, JobEnded)]
        assert ended == ["CANCELLED", "COMPLETED"]
        rows = slurm.execute(["sacct", "-X", "-n", "-P", "-j1", "-o", "State"])
        assert rows.stdout == "COMPLETED\n"


def test_what_was_hit_is_in_the_history() -> None:
    with FakeSlurm(clock="virtual") as slurm, slurm.fault("controller_down", times=1):
        slurm.execute(["squeue", "-j", "abc"])
        slurm.execute(["squeue"])
        fired = [event for event in slurm.history if isinstance(event, FaultFired)]
    assert [(event.fault, event.hit) for event in fired] == [("controller_down", "squeue")]
