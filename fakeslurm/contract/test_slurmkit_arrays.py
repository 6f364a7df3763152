"""`Cluster.map` on top of it all: one array, its elements' results and failures, cancellation, and sites whose arrays are small."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections import Counter
from pathlib import Path

import pytest

import slurmkit
from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, until
from slurmkit import BaseCallback, Cluster, CompletedContext, JobArray, JobContext, JobStatusUpdatedContext

SECONDS = 90


@slurmkit.task
def place(item: int, *, job: JobContext) -> tuple[int, int | None, str | None, bool]:
    """Which element it is, by all that can tell."""
    assert job.job_dir is not None
    return item, job.array_task_id, job.array_job_id, job.job_dir.name == f"{item}"


@slurmkit.task
def fail_for(item: int, path: str) -> int:
    """Fails for odd items, until there is a file `path`."""
    if item % 2 and not Path(path).exists():
        raise ValueError(f"{item} is odd")
    return item


def cancelled(array: JobArray[object]) -> set[str]:
    return {type(error).__name__ for error in array.outcomes(timeout=SECONDS).errors.values()}


def test_one_array_for_all_items(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    before = slurm.requests("sbatch")
    array = slurm_cluster.map(place, range(5), max_concurrent=2)
    (array_id,) = array.job_ids
    assert [job.job_id for job in array] == [f"{array_id}_{index}" for index in range(5)]
    assert array.results(timeout=SECONDS) == [(index, index, array_id, True) for index in range(5)]
    assert array.states() == {"COMPLETED": 5}
    assert {job.status()["JobId"] for job in array} == {job.job_id for job in array}
    assert slurm.requests("sbatch") - before == 1
    assert "--array=0-4%2" in (array.job_dir / "script.sh").read_text()


def test_an_element_of_several_ranks(slurm_cluster: Cluster) -> None:
    array = slurm_cluster.map(recorder.add.with_options(ntasks=2), [1, 2])
    assert [job.results(timeout=SECONDS) for job in array] == [[1, 1], [2, 2]]


def test_failures_are_apart_from_results_and_are_retried(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    path = slurm.workdir / "mended"
    array = slurm_cluster.starmap(fail_for, [(index, str(path)) for index in range(4)])
    outcomes = array.outcomes(timeout=SECONDS)
    assert outcomes.results == {0: 0, 2: 2}
    assert {index: str(error) for index, error in outcomes.errors.items()} == {1: "1 is odd", 3: "3 is odd"}
    assert "1 is odd" in array[1].stderr()
    with pytest.raises(ValueError, match="1 is odd") as caught:
        array.results()
    assert "item 1; 2 of 4 failed" in caught.value.__notes__[0]
    path.touch()
    again = array.retry_failed()
    assert [job.index for job in again] == [1, 3]
    assert again.results(timeout=SECONDS) == [1, 3]
    assert again.job_ids != array.job_ids


def test_cancelling_some_of_those_that_wait_and_then_all(slurm_cluster: Cluster) -> None:
    """Those that have not become jobs of their own vanish without a trace."""
    array = slurm_cluster.map(recorder.add.with_options(hold=True), range(6))
    assert array.states() == {"PENDING": 6}
    assert array.cancel([1, 3, -1])
    for index in (1, 3, 5):
        assert isinstance(array[index].exception(timeout=SECONDS), slurmkit.JobCancelled)
    assert not array[0].done()
    assert array.states() == {"PENDING": 3, "CANCELLED": 3}
    assert array.cancel()
    assert cancelled(array) == {"JobCancelled"}
    assert not array.cancel()


def test_cancelling_what_runs(slurm_cluster: Cluster, tmp_path: Path) -> None:
    array = slurm_cluster.map(recorder.wait_for, [str(tmp_path / "never")] * 3, max_concurrent=2)
    until(lambda: array.states()["RUNNING"] == 2, what="two run", interval=0.2)
    array.cancel()
    assert cancelled(array) == {"JobCancelled"}


@pytest.mark.slurm_conf("MaxArraySize=3")
def test_more_items_than_an_array_may_have(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    """Slurm's limit is not known before an array is refused; a limit of one's own holds for all of them."""
    array = slurm_cluster.map(place, range(7), max_concurrent=1)
    first, second, third = array.job_ids
    assert [job.job_id for job in array][2:5] == [f"{first}_2", f"{second}_0", f"{second}_1"]
    assert [item for item, *_ in array.results(timeout=SECONDS)] == list(range(7))
    for before, after in ((first, second), (second, third)):
        done = slurm.run("scontrol", "show", "job", after)
        assert done.returncode != 0 or f"afterany:{before}" in done.stdout or "Dependency=(null)" in done.stdout
    with Cluster(slurm.backend(), job_root=slurm_cluster.job_root) as other:
        attached = other.attach(second)
        assert attached.job_ids == array.job_ids
        assert attached.results(timeout=SECONDS) == array.results()
        assert other.attach(f"{third}_0").result(timeout=SECONDS)[0] == 6


@pytest.mark.slurm_conf("MaxArraySize=0")
def test_a_site_without_arrays(slurm_cluster: Cluster) -> None:
    array = slurm_cluster.map(recorder.add, [1, 2, 3], max_concurrent=2)
    assert len(array.job_ids) == 3
    assert array.results(timeout=SECONDS) == [1, 2, 3]
    assert array[2].stdout() == ""


def test_an_array_outlives_its_client(slurm: SlurmUnderTest) -> None:
    root = slurm.workdir / "jobs"
    with Cluster(slurm.backend(), job_root=root) as first:
        array = first.map(recorder.add, [20, 40])
    with Cluster(slurm.backend(), job_root=root) as second:
        attached = second.attach(array.job_ids[0])
        assert attached.results(timeout=SECONDS) == [20, 40]
        assert second.attach(array.job_dir) is attached
        assert second.attach(array[1].job_id) is attached[1]
        assert second.jobs() == [attached]


def test_waiting_for_an_array(slurm_cluster: Cluster) -> None:
    """In the order of the ends, by futures, and in an event loop."""
    array = slurm_cluster.map(recorder.add, [1, 2, 3])
    assert sorted(job.result() for job in array.as_completed(timeout=SECONDS)) == [1, 2, 3]
    futures = [job.future() for job in slurm_cluster.map(recorder.add, [4, 5])]
    done = concurrent.futures.as_completed(futures, timeout=SECONDS)
    assert sorted(future.result() for future in done) == [4, 5]

    async def awaited() -> list[int]:
        return await slurm_cluster.map(recorder.add, [6, 7])

    assert asyncio.run(awaited()) == [6, 7]


def test_hooks_of_an_array(slurm: SlurmUnderTest, tmp_path: Path) -> None:
    """Packaging and submitting once, the rest for each element; one thread polls for all."""
    watcher = recorder.Recorder(tmp_path / "events", poll_interval_secs=0.2)
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", callbacks=[watcher]) as cluster:
        array = cluster.map(recorder.add, [1, 2, 3])
        array.wait(timeout=SECONDS)
    events = recorder.events(tmp_path / "events")
    counted = Counter((event.hook, event.side) for event in events)
    updates = [event for event in events if event.hook == "on_job_status_update_ctx"]
    del counted["on_job_status_update_ctx", "client"]
    assert counted == {
        ("on_begin_package_ctx", "client"): 1,
        ("on_end_package_ctx", "client"): 1,
        ("on_begin_submit_job_ctx", "client"): 1,
        ("on_end_submit_job_ctx", "client"): 1,
        ("on_begin_run_job_ctx", "runner"): 3,
        ("on_end_run_job_ctx", "runner"): 3,
        ("on_completed_ctx", "runner"): 3,
        ("on_completed_ctx", "client"): 3,
    }
    assert {event["job_id"] for event in updates if event["is_terminal"]} == {job.job_id for job in array}
    assert len({event.thread for event in updates}) == 1


class Counts(BaseCallback):
    """Follows every element, and counts what it hears."""

    requires_pickling = False
    poll_interval_secs = 1.0

    def __init__(self) -> None:
        self.updates: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        self.updates[ctx.status["JobState"]] += 1

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self.ends[ctx.job_state] += 1


MANY = 10_000


@pytest.mark.slurm_conf("MaxArraySize=20000", "MaxJobCount=50000")
def test_ten_thousand_elements(slurm: SlurmUnderTest) -> None:
    """One sbatch, five entries in the directory, a squeue a tick; each element is told of, and ends once."""
    counts = Counts()
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", callbacks=[counts]) as cluster:
        before = {name: slurm.requests(name) for name in ("sbatch", "squeue", "sacct")}
        began = time.monotonic()
        array = cluster.map(recorder.add.with_options(hold=True), range(MANY))
        until(lambda: counts.updates["PENDING"] >= 2 * MANY, what="all are told of twice", interval=0.1)
        ticks = time.monotonic() - began + 1
        spent = {name: slurm.requests(name) - count for name, count in before.items()}
        assert (spent["sbatch"], spent["sacct"]) == (1, 0)
        assert 2 <= spent["squeue"] <= 2 * ticks
        written = sorted(path.name for path in array.job_dir.iterdir())
        assert written == ["function.pkl", "items.pkl", "job.json", "output", "script.sh"]
        assert array.cancel()
        array.wait(timeout=SECONDS)
        assert slurm.requests("sacct") - before["sacct"] <= 2 * ticks + 5
    assert counts.ends == {"CANCELLED": MANY}
