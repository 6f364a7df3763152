"""Elements of an array that are started again: each has attempts, calls, checkpoints, journals and output of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, until
from slurmkit import Cluster, JobContext, JobFailed, Requeue, task

pytestmark = pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=low Nodes=ALL PriorityTier=1",
    "PartitionName=high Nodes=ALL PriorityTier=10",
)
SECONDS = 120


ATTEMPTS = (1, 2, 2)
"""What the elements of `hop` come to."""


@task(max_requeues=1)
def hop(stops: list[str], upto: int, gate: str, *, job: JobContext) -> list[str]:
    """Goes on by its arguments, up to the attempt `upto`, or until the gate is open."""
    stops = [*stops, f"{job.array_task_id}.{job.attempt}.{job.restart_count} of rank {job.rank}"]
    print(f"attempt {job.attempt}", flush=True)
    if job.attempt < upto and not Path(gate).exists():
        raise Requeue(stops, upto, gate)
    return stops


def hops(element: int, attempts: int, rank: int = 0) -> list[str]:
    return [f"{element}.{attempt}.{attempt} of rank {rank}" for attempt in range(attempts)]


@pytest.mark.parametrize("ranks", [1, 2])
def test_each_element_asks_for_itself(slurm: SlurmUnderTest, tmp_path: Path, ranks: int) -> None:
    """One that asks more often than its task allows fails; when it is submitted once more it begins anew."""
    watcher = recorder.Recorder(tmp_path / "events")
    gate = tmp_path / "gate"
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", callbacks=[watcher]) as cluster:
        array = cluster.starmap(hop.with_options(ntasks=ranks), [([], upto, str(gate)) for upto in (0, 1, 2)])
        array.wait(timeout=SECONDS)
        for element, (job, attempts) in enumerate(zip(array, ATTEMPTS, strict=True)):
            if element < 2:
                assert job.results() == [hops(element, attempts, rank) for rank in range(ranks)]
            journals = {"journal.jsonl", *(f"journal.{attempt}.jsonl" for attempt in range(1, attempts))}
            assert {path.name for path in job.job_dir.glob("journal*")} == journals
            output = [f"attempt {attempt}\n" * ranks if attempt < attempts else "" for attempt in range(3)]
            assert [job.stdout(attempt) for attempt in range(3)] == output
        error = array[2].exception()
        assert isinstance(error, JobFailed)
        assert "the task asked to be requeued, but this was attempt 1, and max_requeues is 1" in str(error)
        assert [job.index for job in array.failed()] == [2]
        gate.touch()
        again = array.retry_failed()
        assert again[0].results(timeout=SECONDS) == [hops(2, 1, rank) for rank in range(ranks)]
    runs = recorder.events(tmp_path / "events", "on_end_run_job_ctx")
    told = sorted((one["job_id"], one["attempt"], one["restart_count"], one["cause"]) for one in runs)
    first = [(job.job_id, 0, 0, "REQUEUED" if job.index else None) for job in array]
    second = [(job.job_id, 1, 1, None) for job in array[1:]]
    assert told == sorted([*first, *second, (again[0].job_id, 0, 0, None)] * ranks)
    ended = recorder.events(tmp_path / "events", "on_completed_ctx", "client")
    attempts_of_ends = {(one["job_id"], one["attempt"], one["restart_count"]) for one in ended}
    assert attempts_of_ends == {
        *((job.job_id, attempts - 1, attempts - 1) for job, attempts in zip(array, ATTEMPTS, strict=True)),
        (again[0].job_id, 0, 0),
    }


@task(partition="low", nodelist="n1")
def count(upto: int, log: str, gate: str, *, job: JobContext) -> tuple[list[int], int]:
    """Count on from where the attempt before had saved; in the middle, wait for the gate. Notes every step that it takes."""
    done: list[int] = job.load_checkpoint([])
    while len(done) < upto:
        done = [*done, len(done)]
        job.save_checkpoint(done)
        with Path(f"{log}.{job.array_task_id}").open("a") as file:
            print(job.attempt, done[-1], file=file)
        while len(done) == upto // 2 and not Path(gate).exists():
            time.sleep(0.02)
    return done, job.attempt


def steps(log: Path, element: int) -> list[list[str]]:
    path = Path(f"{log}.{element}")
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def are_at_the_gate(log: Path, elements: int) -> None:
    until(lambda: all(len(steps(log, element)) == 10 for element in range(elements)), what="all are at the gate")


def test_one_element_is_requeued(slurm: SlurmUnderTest, slurm_cluster: Cluster, tmp_path: Path) -> None:
    """The others do not notice."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    array = slurm_cluster.starmap(count, [(20, str(log), str(gate))] * 3)
    are_at_the_gate(log, 3)
    assert slurm.run("scontrol", "requeue", array[1].job_id).returncode == 0
    until(lambda: ["1", "10"] in steps(log, 1), what="it was requeued, and goes on")
    gate.touch()
    results: list[Any] = array.results(timeout=SECONDS)
    assert results == [(list(range(20)), attempt) for attempt in (0, 1, 0)]
    assert [job.status()["Restarts"] for job in array] == ["0", "1", "0"]
    for element in range(3):
        assert [step for _, step in steps(log, element)] == [f"{step}" for step in range(20)]
    assert {attempt for attempt, _ in steps(log, 1)} == {"0", "1"}


def test_all_elements_are_preempted(slurm: SlurmUnderTest, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    watcher = recorder.Recorder(tmp_path / "events")
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", callbacks=[watcher]) as cluster:
        array = cluster.starmap(count, [(20, str(log), str(gate))] * 2)
        are_at_the_gate(log, 2)
        slurm.wait(slurm.sbatch("true", "-p", "high", "-w", "n1", "--exclusive"))
        assert array.results(timeout=SECONDS) == [(list(range(20)), 1)] * 2
        for job in array:
            assert "DUE TO PREEMPTION" in job.stderr(0)
            assert "DUE TO PREEMPTION" not in job.stderr(1)
    runs = recorder.events(tmp_path / "events", "on_end_run_job_ctx")
    assert sorted((one["job_id"], one["attempt"], one["cause"]) for one in runs) == [
        (job.job_id, attempt, cause) for job in array for attempt, cause in ((0, "PREEMPTED"), (1, None))
    ]
