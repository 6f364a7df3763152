"""`JobArray` on the embedded fake: results, failures, waiting, cancellation, hooks, and what an array costs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import json
import re
import threading
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import slurmkit
import slurmkit.jobdir
from fakeslurm import FakeSlurm, Simulated
from fakeslurm.fake import JobView
from slurmkit import (
    BaseCallback,
    Cluster,
    CompletedContext,
    JobArray,
    JobCancelled,
    JobContext,
    JobStatusUpdatedContext,
    OptionError,
    SubmissionError,
    SubmitEndContext,
    WaitTimeout,
    task,
)


@task
def square(item: int) -> int:
    """Never called where jobs are simulated."""
    return item * item


@task
def both(a: int, b: str = "x", *, job: JobContext) -> str:
    return f"{a}{b}{job.array_task_id}"


def simulated(
    duration: Callable[[int], float] = lambda index: 10.0, failing: Sequence[int] = ()
) -> Callable[[JobView], Simulated]:
    """Squares; those of `failing` fail."""

    def behaviour(job: JobView) -> Simulated:
        index = job.array_task_id or 0
        return Simulated(duration=duration(index), result=index**2, exit_code=3 if index in failing else 0)

    return behaviour


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm(nodes=2, clock="virtual", conf=["MaxArraySize=100"]) as slurm:
        slurm.simulate(simulated())
        yield slurm


@pytest.fixture
def cluster(slurm: FakeSlurm) -> Iterator[Cluster]:
    with Cluster(slurm.backend()) as cluster:
        yield cluster


# --- results ----------------------------------------------------------------------------------------------------------


def test_a_sequence_of_jobs(cluster: Cluster) -> None:
    array = cluster.map(square, range(5))
    assert (len(array), array[-1].index, [job.index for job in array[1:3]]) == (5, 4, [1, 2])
    assert array.results() == [0, 1, 4, 9, 16]
    assert [job.result() for job in array] == array.results()
    assert array[1] is list(array)[1]
    assert array[1] in array
    assert repr(array) == "<JobArray 1 of 5: 5 COMPLETED>"
    with pytest.raises(IndexError):
        array[5]


def test_no_items_no_submission(slurm: FakeSlurm, cluster: Cluster) -> None:
    array = cluster.map(square, [])
    assert (array.results(), array.done(), list(array), array.job_ids) == ([], True, [], ())
    assert (array.states(), list(array.as_completed()), array.cancel()) == ({}, [], False)
    assert array.wait() is array
    assert asyncio.run(awaited(array)) == []
    assert slurm.calls.count() == 0
    assert not cluster.job_root.exists()
    with pytest.raises(LookupError, match="no items"):
        _ = array.job_dir


def test_the_first_failure_is_raised_and_says_which_it_is(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(simulated(failing=[2, 3]))
    array = cluster.map(square, range(5))
    for _ in range(2):
        with pytest.raises(slurmkit.JobFailed, match="job 1_2 ended FAILED with exit code 3:0") as caught:
            array.results()
        assert len(traceback.extract_tb(caught.value.__traceback__)) <= 3
        assert caught.value.__notes__ == ["This is item 2; 2 of 5 failed: see outcomes() and retry_failed()."]
    outcomes = array.outcomes()
    assert outcomes.results == {0: 0, 1: 1, 4: 16}
    assert sorted(outcomes.errors) == [2, 3]
    assert array.failed() == [array[2], array[3]]
    assert array.states() == {"COMPLETED": 3, "FAILED": 2}


def test_what_failed_is_submitted_again(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(simulated(failing=[2, 3]))
    array = cluster.map(square.with_options(job_name="squares", max_requeues=4), range(5), max_concurrent=2)
    array.wait()
    slurm.simulate(simulated(failing=[3]))
    again = array.retry_failed()
    assert "#SBATCH --array=2-3%2" in (again.job_dir / "script.sh").read_text()
    assert "#SBATCH --job-name=squares" in (again.job_dir / "script.sh").read_text()
    assert again.outcomes().results == {2: 4}
    with Cluster(slurm.backend(), job_root=cluster.job_root) as other:
        attached = other.attach(again.job_dir)
        assert [job.index for job in attached] == [2, 3]
        attached.wait()
        slurm.simulate(simulated())
        third = attached.retry_failed()
        assert third.outcomes().results == {3: 9}
        assert json.loads((third.job_dir / "job.json").read_text())["max_requeues"] == 4
    assert array.outcomes().results == {0: 0, 1: 1, 4: 16}
    assert len(cluster.map(square, range(2)).wait().retry_failed()) == 0


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_as_completed_is_in_the_order_of_the_ends(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(simulated(lambda index: 100.0 - 20 * index))
    array = cluster.map(square, range(4))
    assert [job.index for job in array.as_completed()] == [3, 2, 1, 0]
    assert [job.index for job in array.as_completed()] == [3, 2, 1, 0], "again, at once"


def test_waiting_has_a_bound(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(simulated(lambda index: 10.0 + 1000 * index))
    array = cluster.map(square, range(2))
    with pytest.raises(WaitTimeout, match=r"array 1 is not over after 500 s; 1 of 2 jobs are not"):
        array.results(timeout=500)
    completed = array.as_completed(timeout=10)
    assert next(completed).index == 0
    with pytest.raises(WaitTimeout, match=r"array 1 is not over after 10 s"):
        next(completed)
    assert not array.done()
    assert array[0].done()


async def awaited(array: JobArray[int]) -> list[int]:
    return await array


def test_it_can_be_awaited() -> None:
    """By the machine's clock: an event loop knows no other."""

    async def in_turn(array: JobArray[int]) -> list[int]:
        return sorted([await one for one in asyncio.as_completed(list(array), timeout=60)])

    with FakeSlurm(nodes=1) as slurm, Cluster(slurm.backend()) as cluster:
        slurm.simulate(simulated(lambda index: 0.01))
        assert asyncio.run(awaited(cluster.map(square, range(4)))) == [0, 1, 4, 9]
        assert asyncio.run(in_turn(cluster.map(square, range(4)))) == [0, 1, 4, 9]


def test_futures_are_for_concurrent_futures() -> None:
    with FakeSlurm(nodes=1) as slurm:
        slurm.simulate(simulated(lambda index: 0.0 if index < 3 else 1000.0, failing=[1]))
        with Cluster(slurm.backend()) as cluster:
            array = cluster.map(square, range(4))
            jobs = {job.future(): job for job in array}
            ended = concurrent.futures.as_completed(list(jobs)[:3], timeout=60)
            assert sorted(jobs[future].index or 0 for future in ended) == [0, 1, 2]
            of = {job.index: future for future, job in jobs.items()}
            assert (of[2].result(), type(of[1].exception())) == (4, slurmkit.JobFailed)
            assert (of[3].done(), of[3].cancel()) == (False, True)
            assert isinstance(of[3].exception(timeout=60), JobCancelled)
            late = cluster.map(square, range(4))[3].future()
        with pytest.raises(slurmkit.ClusterClosed):
            late.result(timeout=60)


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_one_scancel_for_some_or_all(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(simulated(lambda index: 1000.0))
    array = cluster.map(square, range(20))
    slurm.advance(5)
    assert array.states() == {"RUNNING": 8, "PENDING": 12}
    assert array.cancel([0, 9, 10, 11, -1])
    for index in (0, 9, 10, 11, 19):
        assert isinstance(array[index].exception(), JobCancelled)
    assert array.cancel()
    assert array.wait().states() == {"CANCELLED": 20}
    assert [call.argv for call in slurm.calls if call.command == "scancel"] == [
        ("1_[0,9-11,19]",),
        ("1_[1-8,12-18]",),
    ]
    assert not array.cancel([3])
    with pytest.raises(IndexError):
        array.cancel([20])


def test_what_somebody_else_has_cancelled_before_it_started(slurm: FakeSlurm, cluster: Cluster) -> None:
    """Nobody has ever heard of it: taken for cancelled after a while, as long as the rest of its array is known."""
    array = cluster.map(square.with_options(hold=True), range(3))
    assert array.states() == {"PENDING": 3}
    assert slurm.execute(["scancel", "1_1"]).returncode == 0
    assert isinstance(array[1].exception(timeout=600), JobCancelled)
    assert array.states() == {"PENDING": 2, "CANCELLED": 1}


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, -1, 2.0, "2", True])
def test_a_limit_that_is_none(cluster: Cluster, limit: Any) -> None:
    with pytest.raises(OptionError, match=f"max_concurrent is {re.escape(repr(limit))}"):
        cluster.map(square, [1], max_concurrent=limit)


def test_items_that_do_not_fit_are_named_and_leave_nothing(slurm: FakeSlurm, cluster: Cluster) -> None:
    with pytest.raises(TypeError, match=r"items\[1\]: both\(.* cannot be called so: too many positional"):
        cluster.starmap(both, [(1, "y"), (1, "y", 2, 3, 4)])
    with pytest.raises(slurmkit.NotPicklable, match=r"items\[2\]"):
        cluster.map(square, [1, 2, threading.Lock()])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="not iterable"):
        cluster.map(square, 7)  # type: ignore[arg-type]
    assert not cluster.job_root.exists() or list(cluster.job_root.iterdir()) == []
    assert slurm.calls.count() == 0


def test_an_array_that_slurm_refuses_leaves_nothing(cluster: Cluster) -> None:
    with pytest.raises(SubmissionError, match="Invalid partition name specified"):
        cluster.map(square.with_options(partition="nope"), range(3))
    assert list(cluster.job_root.iterdir()) == []


def test_more_items_than_slurm_keeps_jobs() -> None:
    with FakeSlurm(conf=["MaxJobCount=1500"]) as slurm, Cluster(slurm.backend()) as cluster:
        with pytest.raises(OptionError, match=r"1500 items are more than .* \(MaxJobCount is 1500\)"):
            cluster.map(square, range(1500))
        assert slurm.calls.count("sbatch") == 0


def test_a_limit_that_nobody_has_asked_for_is_told_when_slurm_refuses() -> None:
    with FakeSlurm(clock="virtual", conf=["MaxJobCount=50"]) as slurm, Cluster(slurm.backend()) as cluster:
        with pytest.raises(OptionError, match=r"100 items are more than .* \(MaxJobCount is 50\)"):
            cluster.map(square, range(100))
        assert list(cluster.job_root.iterdir()) == []


def test_no_room_for_an_array_now() -> None:
    with FakeSlurm(clock="virtual", conf=["MaxJobCount=50"]) as slurm, Cluster(slurm.backend()) as cluster:
        cluster.map(square.with_options(hold=True), range(30))
        with pytest.raises(SubmissionError, match="Slurm temporarily unable to accept job"):
            cluster.map(square, range(30))
        assert len(list(cluster.job_root.iterdir())) == 1


# --- parts ------------------------------------------------------------------------------------------------------------


def test_above_the_sites_limit_it_is_several_arrays(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(lambda job: Simulated(result=(job.array_job_id, job.array_task_id)))
    array = cluster.map(square, range(250), max_concurrent=8)
    first, second, third = array.job_ids
    assert slurm.calls.count("scontrol") == 1, "its limit was asked for once"
    results: Any = array.results()
    assert results[0] == (int(first), 0)
    assert results[199] == (int(second), 99)
    assert results[249] == (int(third), 49)
    assert array[199].job_id == f"{second}_99"
    cluster.map(square, range(150)).wait()
    assert slurm.calls.count("scontrol") == 1


def test_when_a_part_is_refused_the_others_are_cancelled(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = slurm.backend()
    submit, scripts = backend.submit, list[Path]()

    def refuse_the_fourth(script: Path, *, cwd: Path) -> Any:
        scripts.append(script)
        if len(scripts) == 4:  # after one that is too large, and two that are not
            raise SubmissionError("no more", returncode=1, stderr="sbatch: error: no more")
        return submit(script, cwd=cwd)

    monkeypatch.setattr(backend, "submit", refuse_the_fourth)
    with Cluster(backend) as cluster:
        with pytest.raises(SubmissionError, match="no more") as caught:
            cluster.map(square, range(250))
        assert re.fullmatch("The jobs 1, .*, submitted for other items .* are cancelled.", caught.value.__notes__[0])
        [array] = cluster.jobs()
        assert isinstance(array, JobArray)
        assert array.wait().states() == {"CANCELLED": 200, "NOT_SUBMITTED": 50}


def test_a_part_whose_answer_is_lost_is_submitted_once(slurm: FakeSlurm, cluster: Cluster) -> None:
    cluster.map(square, range(150)).wait()
    before = slurm.calls.count("sbatch")
    with slurm.fault("controller_timeout", accepted=True, commands=["sbatch"], times=2) as fault:
        array = cluster.map(square, range(150))
    assert (len(fault.hits), slurm.calls.count("sbatch") - before) == (2, 2)
    assert len(set(array.job_ids)) == 2
    assert array.wait().states() == {"COMPLETED": 150}


def test_a_client_that_died_after_sbatch(slurm: FakeSlurm, cluster: Cluster) -> None:
    """It did not live to write the ids down: they are found by the tokens of the parts."""
    array = cluster.map(square, range(150))
    record = slurmkit.jobdir.read_job(array.job_dir)
    for part in record["array"]["parts"]:
        part["job_id"] = None
    slurmkit.jobdir.write_job(array.job_dir, {**record, "job_id": None})
    with Cluster(slurm.backend(), job_root=cluster.job_root) as other:
        assert other.attach(array.job_dir).job_ids == array.job_ids
        assert other.attach(array[103].job_id).index == 103
        assert other.attach(array[103].job_dir).index == 103
        with pytest.raises(slurmkit.UnknownJob, match=f"has no element {array.job_ids[1]}_50"):
            other.attach(f"{array.job_ids[1]}_50")


# --- callbacks --------------------------------------------------------------------------------------------------------


class Heard(BaseCallback):
    """Counts what it hears, and in which threads."""

    requires_pickling = False

    def __init__(self, interval: float | None = None) -> None:
        self.poll_interval_secs = interval
        self.hooks: Counter[str] = Counter()
        self.states: dict[str, list[str]] = {}
        self.threads: set[str] = set()
        self.submitted: list[SubmitEndContext] = []

    def on_begin_package_ctx(self, ctx: Any) -> None:
        self.hooks["package"] += 1

    def on_begin_submit_job_ctx(self, ctx: Any) -> None:
        self.hooks["submit"] += 1
        assert ctx.sbatch_options["array"].startswith("0-")

    def on_end_submit_job_ctx(self, ctx: SubmitEndContext) -> None:
        self.submitted.append(ctx)

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        self.hooks["terminal" if ctx.is_terminal else "status"] += 1
        self.states.setdefault(ctx.job_id, []).append(ctx.status["JobState"])
        self.threads.add(threading.current_thread().name)

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self.hooks["completed"] += 1
        self.states[ctx.job_id].append(f"completed {ctx.job_state}")
        assert ctx.job is not None
        assert ctx.job.job_id == ctx.job_id


def test_hooks_of_the_submission_come_once_those_of_the_jobs_for_each(slurm: FakeSlurm) -> None:
    slurm.simulate(simulated(lambda index: 10.0 + index, failing=[3]))
    heard = Heard(interval=2.0)
    with Cluster(slurm.backend(), callbacks=[heard]) as cluster:
        before = set(threading.enumerate())
        array = cluster.map(square, range(12))
        pollers = [one for one in threading.enumerate() if one not in before and "poller" in one.name]
        array.wait()
        assert len(pollers) == 1
    assert (heard.hooks["package"], heard.hooks["submit"], len(heard.submitted)) == (1, 1, 1)
    assert (heard.submitted[0].job, heard.submitted[0].job_id) == (array, "1")
    assert (heard.hooks["terminal"], heard.hooks["completed"]) == (12, 12)
    assert heard.threads == {"slurmkit-poller-1_0"}
    for job in array:
        state = "FAILED" if job.index == 3 else "COMPLETED"
        assert heard.states[job.job_id][-2:] == [state, f"completed {state}"]
        assert "RUNNING" in heard.states[job.job_id]
    assert heard.states["1_11"][0] == "PENDING"


def test_a_callback_may_use_the_rest_of_its_array(slurm: FakeSlurm) -> None:
    seen = []

    class Looks(BaseCallback):
        requires_pickling = False

        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            assert ctx.job is not None
            seen.append((ctx.job.index, ctx.job.result(), sum(job.done() for job in array)))

    with Cluster(slurm.backend(), callbacks=[Looks()]) as cluster:
        slurm.simulate(simulated(lambda index: 10.0 + 50 * index))
        array = cluster.map(square, range(3))
        array.wait()
    assert [(index, value) for index, value, _ in seen] == [(0, 0), (1, 1), (2, 4)]


# --- what it costs ----------------------------------------------------------------------------------------------------

MANY = 10_000


def test_ten_thousand_items_with_followers() -> None:
    """One sbatch, a number of files that does not grow, one request a tick, one thread, and less than 2 KiB an element."""
    heard = Heard(interval=10.0)
    conf = ["MaxArraySize=20000", "MaxJobCount=50000"]
    with FakeSlurm(nodes=100, cpus_per_node=100, clock="virtual", conf=conf) as slurm:
        slurm.simulate(simulated(lambda index: 5.0 + index % 3, failing=[7]))
        with Cluster(slurm.backend(), callbacks=[heard]) as cluster:
            cluster.map(square, range(3)).wait()
            calls = {name: slurm.calls.count(name) for name in ("sbatch", "squeue", "sacct", "scontrol")}
            gc.collect()
            tracemalloc.start()
            try:
                array = cluster.map(square.with_options(hold=True), range(MANY))
                assert array.states() == {"PENDING": MANY}
                gc.collect()
                snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/slurmkit/*")])
            finally:
                tracemalloc.stop()
            written = sorted(path.name for path in array.job_dir.iterdir())
            assert written == ["function.pkl", "items.pkl", "job.json", "output", "script.sh"]
            assert sum(one.size for one in snapshot.statistics("filename")) < 2048 * MANY
            assert slurm.execute(["scontrol", "release", *array.job_ids]).returncode == 0
            outcomes = array.outcomes()
            spent = {name: slurm.calls.count(name) - before for name, before in calls.items()}
        assert (len(outcomes.results), outcomes.results[MANY - 1], list(outcomes.errors)) == (
            MANY - 1,
            (MANY - 1) ** 2,
            [7],
        )
        assert (spent["sbatch"], spent["sacct"]) == (1, 0)
        assert spent["squeue"] <= 30, "a waiter and a poller, for eight seconds"
        assert spent["scontrol"] == 2, "its limits are asked for; the release"
        assert (heard.hooks["terminal"], heard.hooks["completed"]) == (MANY + 3, MANY + 3)
        assert len(heard.threads) == 2
