"""Faults of jobs and nodes: how they are asked for, and what slurmkit makes of them."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import slurmkit
from fakeslurm import FakeSlurm, Simulated
from fakeslurm.history import FaultFired, JobEnded, JobReleased, JobRequeued, JobStarted, JobSubmitted
from slurmkit import BaseCallback, Cluster, CompletedContext, ExecutionLocus, Job, jobdir

MEMORY = ("SelectTypeParameters=CR_Core_Memory", "TaskPlugin=task/cgroup", "ConstrainRAMSpace=yes")


@slurmkit.task(time="1-0", mem="60M")
def work(x: int = 1) -> int:
    return x + 1


@slurmkit.task(time="1-0", no_requeue=True)
def once() -> None:
    raise NotImplementedError("it is simulated")


@slurmkit.task
def fails() -> None:
    raise LookupError("because")


class States(BaseCallback):
    """What a follower hears of a job."""

    poll_interval_secs = 30
    requires_pickling = False

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.completed: list[str] = []

    def on_job_status_update_ctx(self, ctx: slurmkit.StatusUpdateContext) -> None:
        if self.seen[-1:] != [ctx.status["JobState"]]:
            self.seen.append(ctx.status["JobState"])

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        assert ctx.emitted_by is ExecutionLocus.CLIENT
        self.completed.append(ctx.job_state)


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm(nodes=2, clock="virtual") as slurm:
        slurm.simulate(Simulated(600, result=7))
        yield slurm


@pytest.fixture
def states() -> States:
    return States()


@pytest.fixture
def cluster(slurm: FakeSlurm, states: States) -> Iterator[Cluster]:
    with Cluster(slurm.backend(), callbacks=[states]) as cluster:
        yield cluster


def started(slurm: FakeSlurm, job: Job[object]) -> None:
    slurm.run_until(lambda: job.state == "RUNNING", timeout=60)


def attempts(slurm: FakeSlurm, job: Job[object]) -> int:
    return sum(isinstance(event, JobStarted) for event in slurm.history.of_job(int(job.job_id)))


def submissions(slurm: FakeSlurm) -> int:
    return sum(isinstance(event, JobSubmitted) for event in slurm.history)


# What slurmkit makes of them


def test_a_job_of_a_lost_node_runs_again(slurm: FakeSlurm, cluster: Cluster, states: States) -> None:
    job = cluster.submit(work)
    started(slurm, job)
    with slurm.fault("node_failure", node="n1") as fault:
        assert job.result() == 7
    assert [hit.target for hit in fault.hits] == ["node n1"]
    assert [event.nodes for event in slurm.history if isinstance(event, JobStarted)] == [("n1",), ("n2",)]
    assert states.seen == ["RUNNING", "PENDING", "RUNNING", "COMPLETED"]
    assert (states.completed, submissions(slurm)) == (["COMPLETED"], 1)


@pytest.mark.parametrize("first", [100, 650, 1500])
def test_a_run_that_goes_on_on_a_lost_node(slurm: FakeSlurm, first: float) -> None:
    """It ends before, while, or after the job runs again, and leaves its result then."""
    runs = iter([Simulated(first, result="first"), Simulated(600, result="second")])
    slurm.simulate(lambda _job: next(runs))
    slurm.schedule_fault("node_failure", after=60, lasting=3600, node="n1", lives_on=True)
    with Cluster(slurm.backend()) as cluster:
        job = cluster.submit(work)
        assert job.wait().state == "COMPLETED"
        slurm.advance(1000)
        assert job.result() == "second"
        assert attempts(slurm, job) == 2


def test_a_process_that_goes_on_on_a_lost_node(tmp_path: Path) -> None:
    with FakeSlurm(nodes=2, cred_expire=0) as slurm, Cluster(slurm.backend(), job_root=tmp_path / "jobs") as cluster:
        job = cluster.submit(wait_for_leave.with_options(time="5"), str(tmp_path))
        until((tmp_path / "began.0").exists)
        with slurm.fault("node_failure", node="n1", lives_on=True):
            until((tmp_path / "began.1").exists)
            (tmp_path / "go.0").touch()
            until(lambda: jobdir.result_attempt(job.job_dir, 0) == 0)
            assert job.state == "RUNNING"
            (tmp_path / "go.1").touch()
            assert job.result(timeout=60) == 1
        assert submissions(slurm) == 1


@slurmkit.task
def wait_for_leave(directory: str) -> int:
    run = os.environ.get("SLURM_RESTART_COUNT", "0")
    Path(directory, f"began.{run}").touch()
    until(Path(directory, f"go.{run}").exists)
    return int(run)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_that_may_not_run_again(slurm: FakeSlurm, cluster: Cluster, states: States) -> None:
    job = cluster.submit(once)
    started(slurm, job)
    with slurm.fault("node_failure"):
        error = job.exception()
    assert type(error) is slurmkit.JobNodeFailed
    assert (error.state, error.reason) == ("NODE_FAIL", "NodeDown")
    assert states.completed == ["NODE_FAIL"]


def test_a_node_that_comes_back(slurm: FakeSlurm) -> None:
    with slurm.fault("node_failure", node="n2"):
        assert slurm.execute(["sinfo", "-h", "-o", "%n %t %E", "-n", "n2"]).stdout == "n2 down Not responding\n"
    assert slurm.execute(["sinfo", "-h", "-o", "%t", "-n", "n2"]).stdout == "idle\n"


def test_a_script_that_is_not_launched(slurm: FakeSlurm, cluster: Cluster) -> None:
    with slurm.fault("launch_failure", times=1):
        error = cluster.submit(work).exception()
        assert type(error) is slurmkit.JobFailed
        assert error.exit_code == "0:53"
        assert "the runner has left no trace" in str(error)
        assert cluster.submit(work).result() == 7


def test_a_job_that_is_held_by_a_failed_launch(slurm: FakeSlurm, cluster: Cluster) -> None:
    with slurm.fault("launch_failure", requeued=True):
        job = cluster.submit(work)
        with pytest.raises(slurmkit.WaitTimeout, match=r"PENDING \(launch failed requeued held\)"):
            job.result(timeout=600)
    slurm.execute(["scontrol", "release", job.job_id])
    assert job.result() == 7
    assert submissions(slurm) == 1


def test_a_job_that_is_out_of_memory(slurm: FakeSlurm, cluster: Cluster) -> None:
    job = cluster.submit(work)
    started(slurm, job)
    with slurm.fault("out_of_memory", job=job.job_id):
        error = job.exception()
    assert type(error) is slurmkit.JobOutOfMemory
    assert error.exit_code == "0:125"
    assert "oom-kill event" in str(error)


@pytest.mark.parametrize(("memory", "end"), [(50, None), (120, 300.0), (600, 60.0)])
def test_a_simulated_job_that_needs_more_memory_than_it_has(memory: int, end: float | None) -> None:
    with FakeSlurm(clock="virtual", conf=MEMORY) as slurm, Cluster(slurm.backend()) as cluster:
        slurm.simulate(Simulated(600, result=7, memory=memory))
        job = cluster.submit(work)
        error = job.exception()
        (ended,) = (event for event in slurm.history if isinstance(event, JobEnded))
        (start,) = (event for event in slurm.history if isinstance(event, JobStarted))
        assert ended.time - start.time == (600 if end is None else end)
        assert type(error) is (type(None) if end is None else slurmkit.JobOutOfMemory)
        if end is not None:
            rows = slurm.execute(["sacct", "-nP", "-o", "State,ExitCode"]).stdout
            assert rows == "OUT_OF_MEMORY|0:125\n" * 2
            assert "oom-kill event" in job.stderr()


def test_memory_that_is_not_constrained(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(Simulated(600, result=7, memory=1e6))
    assert cluster.submit(work).result() == 7


@pytest.mark.parametrize("mode", ["CANCEL", "REQUEUE"])
def test_a_job_that_is_preempted(slurm: FakeSlurm, cluster: Cluster, mode: str) -> None:
    job = cluster.submit(work)
    started(slurm, job)
    with slurm.fault("preemption", mode=mode):
        pass
    if mode == "REQUEUE":
        assert job.result() == 7
        assert attempts(slurm, job) == 2
    else:
        assert type(job.exception()) is slurmkit.JobPreempted


@pytest.mark.parametrize("after", [0.0, 1.0, 599.0, 599.9, 600.0, 606.0, 1205.0])
def test_a_job_that_is_requeued_at_any_moment(slurm: FakeSlurm, cluster: Cluster, states: States, after: float) -> None:
    job = cluster.submit(work)
    fault = slurm.schedule_fault("requeue", after=after)
    assert job.result(timeout=86400) == 7
    hit = 1 if after <= 600 else 0  # at this moment it has not ended yet
    assert len(fault.hits) == hit
    assert attempts(slurm, job) == 1 + hit
    assert (states.completed, states.seen[-1]) == (["COMPLETED"], "COMPLETED")
    assert submissions(slurm) == 1


def test_a_requeue_of_a_requeue(slurm: FakeSlurm, cluster: Cluster, states: States) -> None:
    job = cluster.submit(work)
    for after in (100, 300, 303, 900):
        slurm.schedule_fault("requeue", after=after)
    assert job.result(timeout=86400) == 7
    assert attempts(slurm, job) == 4  # at 303 s it was waiting
    assert states.completed == ["COMPLETED"]


def test_a_job_that_hangs_in_completing(slurm: FakeSlurm, cluster: Cluster, states: States) -> None:
    with slurm.fault("stuck_completing", seconds=300):
        job = cluster.submit(work)
        begin = slurm.clock.time()
        assert job.result() == 7
    assert 900 <= slurm.clock.time() - begin < 1000
    assert states.seen == ["RUNNING", "COMPLETING", "COMPLETED"]
    (ended,) = (event for event in slurm.history if isinstance(event, JobEnded))
    (released,) = (event for event in slurm.history if isinstance(event, JobReleased))
    assert (ended.completing, released.time - ended.time) == (True, 300)


def test_a_cancelled_job_that_hangs_in_completing(slurm: FakeSlurm, cluster: Cluster) -> None:
    job = cluster.submit(work)
    started(slurm, job)
    with slurm.fault("stuck_completing"):
        job.cancel()
        with pytest.raises(slurmkit.WaitTimeout, match="its state is COMPLETING"):
            job.wait(timeout=1000)
    assert type(job.exception()) is slurmkit.JobCancelled


def test_a_job_that_hangs_is_given_up_with_its_node(slurm: FakeSlurm, cluster: Cluster) -> None:
    job = cluster.submit(work)
    started(slurm, job)
    with slurm.fault("stuck_completing", node="n1"):
        job.cancel()
        slurm.advance(100)
        assert job.state == "COMPLETING"
        with slurm.fault("node_failure", node="n1"):
            error = job.exception()
    assert type(error) is slurmkit.JobCancelled
    assert error.exit_code == "0:0"


@pytest.mark.parametrize("seconds", [0.5, 5, 9])
def test_a_result_that_is_late(slurm: FakeSlurm, cluster: Cluster, seconds: float) -> None:
    with slurm.fault("result_lag", seconds=seconds):
        job = cluster.submit(work)
        begin = slurm.clock.time()
        assert job.result() == 7
    assert slurm.clock.time() - begin < 600 + seconds + 3


def test_a_result_that_is_too_late_is_not_lost(slurm: FakeSlurm, cluster: Cluster) -> None:
    with slurm.fault("result_lag", seconds=60):
        job = cluster.submit(work)
        job.wait()
        begin = slurm.clock.time()
        with pytest.raises(slurmkit.ResultError, match="left no result"):
            job.result()
        assert slurm.clock.time() - begin < 12
        slurm.advance(60)
        assert job.result() == 7


def test_a_failure_that_is_late(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(Simulated(0.0, exit_code=3))
    with slurm.fault("result_lag", seconds=5):
        error = cluster.submit(work).exception()
    assert "ended with exit code 3" in str(error)


def test_a_late_result_of_an_earlier_attempt(slurm: FakeSlurm) -> None:
    """It appears when the job has been requeued, after it was over, and runs again."""
    results = iter([1, 2])
    slurm.simulate(lambda _job: Simulated(60, result=next(results)))
    with Cluster(slurm.backend()) as cluster, slurm.fault("result_lag", seconds=5):
        job = cluster.submit(work)
        slurm.advance(60.5)
        slurm.execute(["scontrol", "requeue", job.job_id])
        assert job.result() == 2
    assert attempts(slurm, job) == 2


def test_no_space_for_a_result(slurm: FakeSlurm, cluster: Cluster) -> None:
    with slurm.fault("no_space"):
        error = cluster.submit(work).exception()
    assert type(error) is slurmkit.JobFailed
    assert error.exit_code == "1:0"
    assert "has left no trace" in str(error)


@pytest.mark.parametrize("seconds", [-86400, -3000, 3000, 86400])
def test_clocks_that_differ(slurm: FakeSlurm, states: States, seconds: float) -> None:
    with (
        slurm.freeze(),
        slurm.fault("clock_skew", seconds=seconds),
        Cluster(slurm.backend(), callbacks=[states]) as one,
    ):
        assert time.time() == slurm.clock.time() - seconds
        job = one.submit(work)
        begin = slurm.clock.time()
        assert job.result() == 7
        assert slurm.clock.time() - begin < 700
        record = jobdir.read_job(job.job_dir)
        submitted = slurmkit.slurm.durations.parse_timestamp(job.status()["SubmitTime"])
        assert submitted is not None
        assert abs(submitted - record["created"] - seconds) <= 1
    assert states.seen == ["RUNNING", "COMPLETED"]


@pytest.mark.parametrize("seconds", [-3000, 3000])
def test_clocks_that_differ_and_a_job_that_slurm_has_forgotten(slurm: FakeSlurm, seconds: float) -> None:
    """sacct's record of it is of another clock than the client's note of its submission."""
    with slurm.fault("clock_skew", seconds=seconds), Cluster(slurm.backend()) as cluster:
        job = cluster.submit(work)
        slurm.advance(3600)
        assert job.result() == 7


# How they are asked for


def test_the_seed_chooses() -> None:
    def hit(seed: int) -> list[str]:
        with FakeSlurm(nodes=8, clock="virtual", seed=seed) as slurm:
            slurm.simulate(Simulated(math.inf))
            for _ in range(8):
                slurm.execute(["sbatch", "--exclusive", "--wrap=true"], cwd="/")
            with slurm.fault("requeue", times=2) as requeue, slurm.fault("node_failure") as failure:
                return [one.target for one in requeue.hits + failure.hits]

    assert hit(1) == hit(1)
    assert len({tuple(hit(seed)) for seed in range(8)}) > 4


def test_what_was_hit_is_in_the_history(slurm: FakeSlurm) -> None:
    slurm.execute(["sbatch", "--wrap=true"], cwd="/")
    with slurm.fault("requeue"):
        pass
    kinds = [type(event) for event in slurm.history]
    assert kinds.index(FaultFired) < kinds.index(JobRequeued)
    (fired,) = (event for event in slurm.history if isinstance(event, FaultFired))
    assert (fired.fault, fired.hit) == ("requeue", "job 1")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("node_failure", {"node": "n9"}, "node='n9'; there are n1, n2"),
        ("requeue", {"node": "n9"}, "node='n9'; there are n1, n2"),
        ("preemption", {"mode": "SUSPEND"}, "mode"),
        ("requeue", {"job": 0}, "job=0; expected the id of a job"),
        ("result_lag", {}, "seconds"),
        ("result_lag", {"seconds": -1}, "seconds=-1; expected a number of seconds, 0 or more"),
        ("result_lag", {"seconds": math.inf}, "seconds=inf; expected a number of seconds that has an end"),
        ("stuck_completing", {"seconds": -1}, "seconds=-1; expected a number of seconds, 0 or more"),
        ("stuck_completing", {"seconds": math.nan}, "seconds=nan"),
        ("node_failure", {"node": 3}, "node=3; expected the name of a node"),
        ("clock_skew", {"seconds": "1"}, "seconds"),
        ("client_killed", {"pid": os.getpid()}, "cannot be the client"),
        ("client_killed", {"pid": 1}, "pid=1; expected the id"),
        ("launch_failure", {"held": True}, "valid are job, node, requeued"),
    ],
)
def test_what_cannot_be(slurm: FakeSlurm, name: str, options: dict[str, object], words: str) -> None:
    ask: list[Callable[[], object]] = [
        lambda: slurm.fault(name, **options).__enter__(),
        lambda: slurm.schedule_fault(name, **options),
    ]
    for one in ask:
        with pytest.raises((TypeError, ValueError)) as caught:
            one()
        assert words in str(caught.value)


# All of them together


@pytest.mark.parametrize("seed", range(8))
def test_each_end_is_that_of_its_fault(seed: int) -> None:
    """Whatever happens to its jobs, slurmkit tells the ends that were theirs, and no job is lost, hangs or runs under a second id."""
    kinds = ["node_failure", "launch_failure", "out_of_memory", "preemption", "requeue", "stuck_completing"]

    def run() -> tuple[str, Counter[str], Counter[str]]:
        with FakeSlurm(nodes=4, clock="virtual", seed=seed) as slurm, Cluster(slurm.backend()) as cluster:
            slurm.simulate(Simulated(1800, result=1))
            with slurm.chaos(seed, every=300, kinds=kinds):
                jobs = [cluster.submit(work, number) for number in range(5)]
                ends = Counter(type(job.exception(timeout=86400)).__name__ for job in jobs)
            assert submissions(slurm) == len(jobs)
            fired = Counter(event.fault for event in slurm.history if isinstance(event, FaultFired))
            return str(slurm.history), ends, fired

    history, ends, fired = run()
    assert (ends["JobOutOfMemory"], ends["JobPreempted"], ends["JobFailed"]) == (
        fired["out_of_memory"],
        fired["preemption"],
        fired["launch_failure"],
    )
    assert set(ends) <= {"JobOutOfMemory", "JobPreempted", "JobFailed", "NoneType"}
    assert run()[0] == history
