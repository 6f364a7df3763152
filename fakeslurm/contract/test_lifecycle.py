"""Preemption, time limits, requeues and the end of an attempt, as slurmkit's tasks see them."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, shown, until
from slurmkit import Cluster, Job, JobContext, JobFailed, JobTimedOut, Requeue, Task, task
from slurmkit.packaging.base import PackagingResult
from slurmkit.packaging.inherit import Inherit

pytestmark = pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=low Nodes=ALL PriorityTier=1",
    "PartitionName=high Nodes=ALL PriorityTier=10",
    "PartitionName=patient Nodes=ALL GraceTime=4",
)
SECONDS = 120
STEPS = 100


def wait_for(path: str) -> None:
    until(Path(path).exists, what=path)


@task(partition="low", nodelist="n1", exclusive=True)
def count(upto: int, log: str, ends: Sequence[int], *, job: JobContext) -> list[int]:
    """Count on from where the attempt before had saved; at each of `ends`, wait to be ended. Notes every step that it takes."""
    done: list[int] = job.load_checkpoint([])
    while len(done) < upto:
        step = len(done)
        done = [*done, step]
        job.save_checkpoint(done)
        with Path(log).open("a") as file:
            print(job.attempt, step, file=file)
        while step in ends:
            time.sleep(0.02)
    return done


def taken_by(log: Path, attempt: int, step: int) -> None:
    """Wait until the attempt has taken that step."""
    line = f"{attempt} {step}"
    until(lambda: log.exists() and line in log.read_text().splitlines(), what=f"attempt and step {line}")


def test_a_task_that_is_preempted_three_times_loses_no_step_that_it_saved(
    slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path
) -> None:
    ends = (20, 50, 80)
    log = tmp_path / "steps"
    job = slurm_cluster.submit(count, STEPS, str(log), ends)
    for number, step in enumerate(ends):
        taken_by(log, number, step)
        high = slurm.sbatch("true", "-p", "high", "-w", "n1", "--exclusive")
        slurm.wait(high)
    assert job.result(timeout=SECONDS) == list(range(STEPS))
    taken = [line.split() for line in log.read_text().splitlines()]
    assert [int(step) for _, step in taken] == list(range(STEPS))
    assert {int(step): int(attempt) for attempt, step in taken if int(step) % 10 == 5} == {
        5: 0, 15: 0, 25: 1, 35: 1, 45: 1, 55: 2, 65: 2, 75: 2, 85: 3, 95: 3,
    }  # fmt: skip
    assert job.status()["Restarts"] == "3"


@task(partition="low", nodelist="n1", exclusive=True)
def sail(log: str, ports: list[str], *, job: JobContext) -> list[str]:
    """Goes on by its arguments: every attempt adds a port, until it is told to stop."""
    ports = [*ports, f"port {job.attempt}"]
    note(log, f"{job.rank}.{job.attempt}")
    print(f"rank {job.rank} of attempt {job.attempt}", flush=True)
    if job.attempt == 0:
        until(lambda: job.should_stop(margin=0.0), what="the end of the attempt", timeout=300.0)
        raise Requeue(log, ports)
    return ports


def note(log: str, name: str) -> None:
    Path(f"{log}.{name}").touch()


class Counter:
    """A `slurmkit.Checkpoint`: counts until its gate is open, and knows how far it has come."""

    def __init__(self) -> None:
        self.counted = 0
        self.ended_by: list[str] = []

    def __call__(self, log: str, gate: str) -> tuple[int, list[str]]:
        at_first = self.counted
        note(log, f"{os.environ['SLURM_PROCID']} at {at_first}")
        while not Path(gate).exists() or self.counted == at_first:
            self.counted += 1
            time.sleep(0.01)
        return at_first, self.ended_by

    def checkpoint(self, log: str, gate: str) -> Requeue:
        self.ended_by.append("checkpoint")
        return Requeue(log, gate=gate)


def ends(path: Path, hook: str) -> list[recorder.Event]:
    return [event for event in recorder.events(path) if event.hook == hook]


@pytest.mark.parametrize("ranks", [1, 3])
def test_every_rank_is_told_of_preemption(slurm: SlurmUnderTest, tmp_path: Path, ranks: int) -> None:
    """It saves what it has, and Slurm starts it again; each attempt has its own journal and output, and every context says which it is."""
    layout = {"nodes": 2, "ntasks": ranks, "nodelist": "n[1-2]"} if ranks > 1 else {}
    watcher = recorder.Recorder(tmp_path / "events", poll_interval_secs=0.2)
    log = str(tmp_path / "log")
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", callbacks=[watcher]) as cluster:
        job = cluster.submit(sail.with_options(max_requeues=3, **layout), log, [])
        for rank in range(ranks):
            wait_for(f"{log}.{rank}.0")
        slurm.wait(slurm.sbatch("true", "-p", "high", "-w", "n1", "--exclusive"))
        assert job.results(timeout=SECONDS) == [["port 0", "port 1"]] * ranks
        output = [sorted(job.stdout(attempt).splitlines()) for attempt in range(3)]
        assert output == [*([f"rank {rank} of attempt {attempt}" for rank in range(ranks)] for attempt in range(2)), []]
        assert sorted(job.stdout().splitlines()) == sorted(output[0] + output[1])
        assert "DUE TO PREEMPTION" in job.stderr(0)
        assert "DUE TO PREEMPTION" not in job.stderr(1)
        assert {path.name for path in job.job_dir.glob("journal*")} == {"journal.jsonl", "journal.1.jsonl"}
    attempts = {
        hook: [(one["attempt"], one["restart_count"]) for one in ends(tmp_path / "events", hook)]
        for hook in ("on_begin_run_job_ctx", "on_job_status_update_ctx")
    }
    assert attempts["on_begin_run_job_ctx"] == [*[(0, 0)] * ranks, *[(1, 1)] * ranks]
    assert attempts["on_job_status_update_ctx"] == sorted(attempts["on_job_status_update_ctx"])
    assert set(attempts["on_job_status_update_ctx"]) == {(0, 0), (1, 1)}
    runs = ends(tmp_path / "events", "on_end_run_job_ctx")
    assert sorted((run["attempt"], run["restart_count"], run["cause"], run["status"]) for run in runs) == [
        *[(0, 0, "PREEMPTED", "failure")] * ranks,
        *[(1, 1, None, "success")] * ranks,
    ]
    completed = [(one.side, one["attempt"], one["cause"]) for one in ends(tmp_path / "events", "on_completed_ctx")]
    assert completed == [("runner", 0, "PREEMPTED"), ("runner", 1, None), ("client", 1, None)]


WARNING = "B:USR2@10"
"""Sent 20 to 50 s after the start of a job with one minute, by a scan every 30 s; what is left then are 10 s or more."""


def test_the_warning_before_the_time_limit_reaches_every_rank(
    slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path
) -> None:
    """The task asks to be requeued before Slurm ends it."""
    options: dict[str, Any] = {"time": 1, "ntasks": 3, "max_requeues": 1, "signal": WARNING}
    job = slurm_cluster.submit(sail.with_options(**options), str(tmp_path / "log"), [])
    assert job.results(timeout=SECONDS + 60) == [["port 0", "port 1"]] * 3
    assert job.status()["Restarts"] == "1"
    assert "asked to be requeued" in job.stderr(0)
    assert "DUE TO TIME LIMIT" not in job.stderr()


def test_a_checkpoint_is_interrupted_by_the_warning(
    slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path
) -> None:
    gate, log = str(tmp_path / "gate"), str(tmp_path / "log")
    job = slurm_cluster.submit(task(time=1, max_requeues=1, signal=WARNING)(Counter()), log, gate)
    wait_for(f"{log}.0 at 0")
    until(lambda: "asked to be requeued" in job.stderr(), what="the warning", timeout=SECONDS)
    slurm.wait(job.job_id, ["PENDING"])
    Path(gate).touch()
    at_first, ended_by = job.result(timeout=SECONDS)
    assert at_first > 0
    assert ended_by == ["checkpoint"]


SLOW = """
import os, pathlib, sys, time
place = pathlib.Path({place!r})
if "--rank" in sys.orig_argv:
    (place / ("here." + os.environ["SLURM_PROCID"])).touch()
    while not (place / "gate").exists():
        time.sleep(0.02)
"""
"""A sitecustomize.py: ranks take long to start."""


class SlowToStart(Inherit):
    def __init__(self, place: Path) -> None:
        self.place = place

    def package(self, task: Task[..., Any]) -> PackagingResult:
        (self.place / "sitecustomize.py").write_text(SLOW.format(place=str(self.place)))
        return attrs.evolve(super().package(task), setup=(f"export PYTHONPATH={shlex.quote(str(self.place))}",))


@task
def is_told(*, job: JobContext) -> bool:
    return job.should_stop(margin=0.0)


def test_a_warning_that_comes_before_the_ranks_have_started(slurm: SlurmUnderTest, tmp_path: Path) -> None:
    """It does not end them, and they hear of it: from the batch script, and from Slurm itself."""
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", packaging=SlowToStart(tmp_path)) as cluster:
        job = cluster.submit(is_told.with_options(ntasks=2, signal="B:USR2@10"))
        for rank in range(2):
            wait_for(str(tmp_path / f"here.{rank}"))
        assert slurm.run("scancel", "--batch", "--signal=USR2", job.job_id).returncode == 0
        wait_for(str(job.job_dir / "warned.0"))
        assert slurm.run("scancel", "--signal=USR2", job.job_id).returncode == 0
        (tmp_path / "gate").touch()
        assert job.results(timeout=SECONDS) == [True, True]


def requeued_by_hand(slurm: SlurmUnderTest, job: Job[Any]) -> None:
    assert slurm.run("scontrol", "requeue", job.job_id).returncode == 0


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_checkpoint_goes_on_after_scontrol_requeue(
    slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path, ranks: int
) -> None:
    gate, log = str(tmp_path / "gate"), str(tmp_path / "log")
    job = slurm_cluster.submit(task(ntasks=ranks)(Counter()), log, gate)
    for rank in range(ranks):
        wait_for(f"{log}.{rank} at 0")
    requeued_by_hand(slurm, job)
    slurm.wait(job.job_id, ["PENDING"])
    Path(gate).touch()
    for at_first, ended_by in job.results(timeout=SECONDS):
        assert at_first > 0
        assert ended_by == ["checkpoint"]


def test_what_was_saved_survives_a_node_that_fails(
    slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path
) -> None:
    log = tmp_path / "steps"
    job = slurm_cluster.submit(count, 40, str(log), (20,))
    taken_by(log, 0, 20)
    slurm.run("scontrol", "update", "nodename=n1", "state=down", "reason=test")
    try:
        until(lambda: shown(slurm, job.job_id)["Restarts"] == "1", what="the job was requeued")
    finally:
        slurm.run("scontrol", "update", "nodename=n1", "state=resume")
    assert job.result(timeout=SECONDS) == list(range(40))
    assert [line.split()[1] for line in log.read_text().splitlines()] == [str(step) for step in range(40)]


def test_no_more_requeues_than_the_task_allows(slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path) -> None:
    job = slurm_cluster.submit(recorder.wait_for.with_options(max_requeues=0), str(tmp_path / "never"))
    until(lambda: job.state == "RUNNING", what="the job runs", interval=0.1)
    requeued_by_hand(slurm, job)
    error = job.exception(timeout=SECONDS)
    assert isinstance(error, JobFailed)
    assert "the job has been requeued 1 times, and max_requeues is 0" in str(error)


def test_a_task_that_is_cancelled_is_not_requeued(
    slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")
    job = slurm_cluster.submit(sail.with_options(max_requeues=3), log, [])
    wait_for(f"{log}.0.0")
    job.cancel()
    assert job.exception(timeout=SECONDS) is not None
    assert (job.state, job.status()["Restarts"]) == ("CANCELLED", "0")
    assert "Slurm is ending the job, which is COMPLETING" in job.stderr()


def test_the_grace_time_of_preemption(slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path) -> None:
    """Slurm tells the ranks alone, by SIGTERM, and (22.05) calls the job COMPLETED if it ends in that time: so it asks to be requeued."""
    log = str(tmp_path / "log")
    options: dict[str, Any] = {"partition": "patient", "ntasks": 2, "max_requeues": 3}
    job = slurm_cluster.submit(sail.with_options(**options), log, [])
    for rank in range(2):
        wait_for(f"{log}.{rank}.0")
    slurm.wait(slurm.sbatch("true", "-p", "high", "-w", "n1", "--exclusive"))
    first, second = job.results(timeout=SECONDS)
    # 24.11 requeues it for the preemption as well, and counts twice.
    assert first == second == ["port 0", f"port {job.status()['Restarts']}"]
    assert job.status()["Restarts"] in (("1", "2") if slurm.at_least("24.11") else ("1",))


@task
def when_to_end(*, job: JobContext) -> tuple[float | None, float | None]:
    return job.deadline, job.remaining()


@pytest.mark.parametrize("ranks", [1, 2])
def test_deadline(slurm: SlurmUnderTest, slurm_cluster: Cluster, ranks: int) -> None:
    limited = slurm_cluster.submit(when_to_end.with_options(time=7, ntasks=ranks))
    free = slurm_cluster.submit(when_to_end.with_options(ntasks=ranks))
    start = limited.wait(timeout=SECONDS).status()["StartTime"]
    begin = time.mktime(time.strptime(start, "%Y-%m-%dT%H:%M:%S"))
    for deadline, remaining in limited.results():
        assert deadline == begin + 420
        assert remaining is not None
        assert 350 < remaining <= 420
    assert free.results(timeout=SECONDS) == [(None, None)] * ranks


def test_a_time_limit_that_nobody_minds(slurm: SlurmUnderTest, tmp_path: Path) -> None:
    watcher = recorder.Recorder(tmp_path / "events")
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", callbacks=[watcher]) as cluster:
        job = cluster.submit(recorder.wait_for.with_options(time=1), str(tmp_path / "never"))
        assert isinstance(job.exception(timeout=SECONDS + 60), JobTimedOut)
    (run,) = ends(tmp_path / "events", "on_end_run_job_ctx")
    assert (run["cause"], run["error_type"]) == ("TIMEOUT", "Terminated")
    assert [one["cause"] for one in ends(tmp_path / "events", "on_completed_ctx")] == ["TIMEOUT", "TIMEOUT"]
