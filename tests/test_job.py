"""`Job`: waiting, results, errors and completion, with the test in Slurm's place."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_slurm import StubSlurm

import slurmkit
from slurmkit import BaseCallback, Cluster, CompletedContext, ExecutionLocus, Job, jobdir
from slurmkit.polling import watch


def double(x: int) -> int:
    return 2 * x


def fail(message: str) -> None:
    raise LookupError(message)


def leave(code: Any) -> None:
    sys.exit(code)


class Local(Exception):  # noqa: N818
    """Cannot be unpickled: its constructor takes more than it keeps."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def fail_locally() -> None:
    raise Local("a", "b")


class Heard(BaseCallback):
    requires_pickling = False

    def __init__(self) -> None:
        self.completed: list[CompletedContext] = []
        self.threads: list[threading.Thread] = []

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self.completed.append(ctx)
        self.threads.append(threading.current_thread())


@pytest.fixture
def slurm() -> StubSlurm:
    return StubSlurm()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def cluster(slurm: StubSlurm, heard: Heard, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(slurm, callbacks=[heard], job_root=tmp_path / "jobs") as cluster:
        yield cluster


def later(do: Callable[[], object], seconds: float = 0.05) -> threading.Timer:
    timer = threading.Timer(seconds, do)
    timer.start()
    return timer


# --- results ----------------------------------------------------------------------------------------------------------


def test_result(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 21)
    slurm.run(job.job_id)
    assert job.result(timeout=60) == 42
    assert (job.results(), job.exception(), job.state, job.done()) == ([42], None, "COMPLETED", True)
    assert not job.running()
    assert not job.cancelled()
    assert job.result() is job.result()


def test_one_result_per_rank(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    slurm.run(job.job_id, world_size=3)
    assert job.results(timeout=60) == [2, 2, 2]


def test_the_users_exception_is_raised_as_its_own_type(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(fail, "no such thing")
    slurm.run(job.job_id)
    with pytest.raises(LookupError, match="no such thing") as caught:
        job.result(timeout=60)
    assert type(caught.value) is LookupError
    assert isinstance(caught.value.__cause__, slurmkit.RemoteTraceback)
    text = "".join(traceback.format_exception(caught.value))
    assert 'raise LookupError(message)\nLookupError: no such thing\n"""' in text
    assert job.exception() is caught.value
    assert job.state == "FAILED"


def test_an_exception_that_cannot_come_back_is_described(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(fail_locally)
    slurm.run(job.job_id)
    with pytest.raises(slurmkit.JobFailed, match="rank 0 raised Local: a") as caught:
        job.result(timeout=60)
    assert isinstance(caught.value.__cause__, slurmkit.RemoteTraceback)


def test_the_first_failing_rank_counts(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(fail, "rank")
    slurm.start(job.job_id, world_size=2)
    slurm.run_rank(job.job_id, 1)
    slurm.complete(job.job_id, exit_code="137:0", failed_rank=0)
    slurm.end(job.job_id, "FAILED", "137:0", "NonZeroExitCode")
    (job.job_dir / "stderr").write_text("one\nkilled here\n")
    with pytest.raises(slurmkit.JobFailed, match="rank 0 ended without leaving a result") as caught:
        job.results(timeout=60)
    assert "killed here" in str(caught.value)
    assert (caught.value.state, caught.value.exit_code, caught.value.reason) == ("FAILED", "137:0", "NonZeroExitCode")


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [(3, "FAILED", r"sys\.exit\(3\)"), (0, "COMPLETED", r"sys\.exit\(0\)"), ("bye", "FAILED", r"sys\.exit\(1\): bye")],
)
def test_sys_exit_is_a_failure_that_says_so(
    cluster: Cluster, slurm: StubSlurm, code: object, state: str, words: str
) -> None:
    job = cluster.submit(leave, code)
    slurm.run(job.job_id)
    with pytest.raises(slurmkit.JobFailed, match=words) as caught:
        job.result(timeout=60)
    assert caught.value.state == state


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("TIMEOUT", slurmkit.JobTimedOut),
        ("DEADLINE", slurmkit.JobTimedOut),
        ("OUT_OF_MEMORY", slurmkit.JobOutOfMemory),
        ("PREEMPTED", slurmkit.JobPreempted),
        ("NODE_FAIL", slurmkit.JobNodeFailed),
        ("BOOT_FAIL", slurmkit.JobNodeFailed),
        ("CANCELLED", slurmkit.JobCancelled),
        ("FAILED", slurmkit.JobFailed),
    ],
)
def test_each_end_has_its_error(
    cluster: Cluster, slurm: StubSlurm, state: str, error: type[slurmkit.JobFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "START_GRACE", 0.0)
    job = cluster.submit(double, 1)
    slurm.end(job.job_id, state, "0:15", "Whatever")
    caught = job.exception(timeout=60)
    assert type(caught) is error
    assert isinstance(caught, slurmkit.JobFailed)
    assert (caught.job_id, caught.state, caught.exit_code, caught.reason) == (job.job_id, state, "0:15", "Whatever")
    assert state in str(caught)
    assert not isinstance(caught, TimeoutError), "a time limit is no time-out of result()"


def test_what_slurm_did_wins_over_what_the_task_raised_meanwhile(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(fail, "while it was ended")
    slurm.run(job.job_id, state="TIMEOUT")
    caught = job.exception(timeout=60)
    assert type(caught) is slurmkit.JobTimedOut
    assert isinstance(caught.__cause__, LookupError)


def test_results_that_show_up_late(cluster: Cluster, slurm: StubSlurm) -> None:
    """A shared file system shows what the job wrote only after Slurm has said that it is over."""
    job = cluster.submit(double, 21)
    slurm.end(job.job_id, "COMPLETED")
    timer = later(lambda: slurm.run(job.job_id), 0.3)
    assert job.result(timeout=60) == 42
    timer.join()
    failing = cluster.submit(fail, "late")
    slurm.end(failing.job_id, "FAILED", "1:0")
    timer = later(lambda: slurm.run(failing.job_id), 0.3)
    assert isinstance(failing.exception(timeout=60), LookupError)
    timer.join()


def test_a_result_that_is_missing(cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmkit.job.RESULT_GRACE", 0.05)
    job = cluster.submit(double, 1)
    slurm.end(job.job_id, "COMPLETED")
    with pytest.raises(slurmkit.ResultError, match=r"result\.0\.pkl"):
        job.result(timeout=60)


def test_results_that_are_missing_have_one_grace_together(
    cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurmkit.job.RESULT_GRACE", 1.0)
    jobs = [cluster.submit(double, number) for number in range(20)]
    for job in jobs:
        slurm.end(job.job_id, "COMPLETED")
    cluster.refresh()
    began = time.monotonic()
    assert all(isinstance(job.exception(timeout=60), slurmkit.ResultError) for job in jobs)
    assert time.monotonic() - began < 10.0, "each has waited for itself"


def test_a_result_that_comes_after_its_grace(
    cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurmkit.job.RESULT_GRACE", 0.05)
    job = cluster.submit(double, 21)
    slurm.end(job.job_id, "COMPLETED")
    assert isinstance(job.exception(timeout=60), slurmkit.ResultError)
    slurm.run(job.job_id)
    assert job.result() == 42


@pytest.mark.parametrize("requeued", [True, False])
def test_a_result_of_an_earlier_attempt_does_not_count(
    cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch, requeued: bool
) -> None:
    """The job's first run goes on, on a node that Slurm has lost, or what it left is still there on a file system that lags."""
    monkeypatch.setattr("slurmkit.job.RESULT_GRACE", 0.05)
    job = cluster.submit(double, 21)
    slurm.start(job.job_id)
    slurm.run_rank(job.job_id, 0)
    if requeued:
        slurm.requeue(job.job_id)
        slurm.start(job.job_id)
    slurm.complete(job.job_id)
    slurm.end(job.job_id, "COMPLETED")
    if requeued:
        with pytest.raises(slurmkit.ResultError, match=r"left no result in attempt 1: .* is of attempt 0"):
            job.result(timeout=60)
        slurm.run_rank(job.job_id, 0)
    assert job.result(timeout=60) == 42


def test_what_comes_late_may_say_that_there_is_no_value(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(leave, 0)
    slurm.end(job.job_id, "COMPLETED")
    timer = later(lambda: slurm.run(job.job_id), 0.3)
    caught = job.exception(timeout=60)
    timer.join()
    assert type(caught) is slurmkit.JobFailed
    assert "called sys.exit(0)" in str(caught)


def test_why_it_waits_is_said(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    slurm.end(job.job_id, "PENDING", reason="launch failed requeued held")
    assert job.state == "PENDING"
    with pytest.raises(slurmkit.WaitTimeout, match=r"its state is PENDING \(launch failed requeued held\)"):
        job.wait(0.2)


def test_a_failure_that_shows_up_late(cluster: Cluster, slurm: StubSlurm) -> None:
    """Nothing at all of the job can be seen yet: that is no reason to believe that the runner has not started."""
    job = cluster.submit(fail, "late")
    slurm.end(job.job_id, "FAILED", "1:0")
    timer = later(lambda: slurm.run(job.job_id), watch.START_GRACE + 0.5)
    assert isinstance(job.exception(timeout=60), LookupError)
    timer.join()


def test_a_result_that_cannot_be_unpickled(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    slurm.run(job.job_id)
    path = job.job_dir / "result.0.pkl"
    path.write_bytes(path.read_bytes()[:-3] + b"\xff")
    with pytest.raises(slurmkit.ResultError, match=r"result\.0\.pkl"):
        job.result(timeout=60)


def test_a_result_that_others_could_have_written(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    slurm.run(job.job_id)
    (job.job_dir / "result.0.pkl").chmod(0o666)
    with pytest.raises(slurmkit.JobDirectoryError, match="others can write it"):
        job.result(timeout=60)


def test_the_result_of_an_earlier_attempt_is_not_the_result(
    cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = cluster.submit(fail, "first attempt")
    slurm.run(job.job_id, state="NODE_FAIL")
    slurm.requeue(job.job_id)
    slurm.start(job.job_id)
    slurm.end(job.job_id, "FAILED", "0:9")
    caught = job.exception(timeout=60)
    assert type(caught) is slurmkit.JobFailed


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_wait_has_a_bound(cluster: Cluster) -> None:
    job = cluster.submit(double, 1)
    for ask in (job.result, job.wait, job.exception, job.results):
        with pytest.raises(slurmkit.WaitTimeout, match=f"job {job.job_id} is not over after 0") as caught:
            ask(timeout=0)
        assert isinstance(caught.value, TimeoutError)
    with pytest.raises(concurrent.futures.TimeoutError):
        job.result(timeout=0.05)


def test_the_end_is_noticed_soon_and_with_few_questions(cluster: Cluster, slurm: StubSlurm) -> None:
    """The runner's last word makes the client ask at once; the scheduler remains the judge."""
    job = cluster.submit(double, 1)
    slurm.start(job.job_id)
    with pytest.raises(slurmkit.WaitTimeout):
        job.wait(timeout=0.6)
    before = slurm.calls["squeue"]
    assert before <= 4
    moments: list[float] = []

    def finish() -> None:
        slurm.run_rank(job.job_id, 0)
        slurm.complete(job.job_id)
        assert slurm.jobs[job.job_id].state == "RUNNING"
        threading.Event().wait(0.05)
        slurm.end(job.job_id, "COMPLETED")
        moments.append(time.monotonic())

    timer = later(finish)
    assert job.result(timeout=60) == 2
    noticed = time.monotonic()
    timer.join()
    assert noticed - moments[0] < 0.5
    assert slurm.calls["squeue"] - before <= 8


def test_the_end_of_an_old_job_is_noticed_soon_too(slurm: StubSlurm, tmp_path: Path) -> None:
    """After some minutes Slurm is asked every ten seconds only: it is the journal that tells."""
    with Cluster(slurm, job_root=tmp_path) as cluster:
        job = cluster.submit(double, 1)
    record = jobdir.read_job(job.job_dir)
    jobdir.write_job(job.job_dir, {**record, "created": time.time() - 300})
    slurm.start(job.job_id)
    with Cluster(slurm, job_root=tmp_path) as cluster:
        again = cluster.attach(job.job_id)
        with pytest.raises(slurmkit.WaitTimeout):
            again.wait(timeout=0.1)
        asked = slurm.calls["squeue"]
        slurm.run(job.job_id)
        began = time.monotonic()
        assert again.result(timeout=60) == 2
        assert time.monotonic() - began < 9
        assert slurm.calls["squeue"] - asked <= 2


def test_many_waiters_cost_what_one_costs(cluster: Cluster, slurm: StubSlurm) -> None:
    jobs = [cluster.submit(double, n) for n in range(50)]
    for job in jobs:
        slurm.run(job.job_id)
    before = slurm.calls["squeue"]
    assert [job.result(timeout=60) for job in jobs] == [2 * n for n in range(50)]
    assert slurm.calls["squeue"] - before <= 3
    assert slurm.calls["sacct"] == slurm.calls["scontrol"] == 0


def test_done_can_be_called_in_a_loop(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    assert not any(job.done() for _ in range(5000))
    assert slurm.calls["squeue"] <= 8
    slurm.run(job.job_id)
    until = time.monotonic() + 10
    while not job.done():
        assert time.monotonic() < until
    assert job.result(timeout=0) == 2


def test_status_can_be_looked_at_in_a_loop(cluster: Cluster, slurm: StubSlurm) -> None:
    jobs = [cluster.submit(double, n) for n in range(20)]
    assert {job.state for job in jobs} == {"PENDING"}
    assert {job.status()["JobId"] for job in jobs} == {job.job_id for job in jobs}
    assert slurm.calls["squeue"] <= 2


def test_a_scheduler_that_does_not_answer_is_waited_for(
    cluster: Cluster, slurm: StubSlurm, caplog: pytest.LogCaptureFixture
) -> None:
    job = cluster.submit(double, 1)
    slurm.failure = slurmkit.SchedulerError("squeue is down")
    with pytest.raises(slurmkit.SchedulerError, match="squeue is down"):
        job.status()
    slurm.run(job.job_id)
    with pytest.raises(slurmkit.WaitTimeout):
        job.wait(timeout=0.5)
    slurm.failure = None
    assert job.result(timeout=60) == 2
    assert job.status()["JobState"] == "COMPLETED"
    assert "squeue is down" in caplog.text


def test_a_job_that_is_not_known_has_no_status(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    slurm.hidden.add(job.job_id)
    with pytest.raises(slurmkit.UnknownJob, match=job.job_id):
        job.status()


def test_cancel(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    assert job.state == "PENDING"
    assert job.cancel(signal="USR1")
    assert job.state == "PENDING"
    assert job.cancel()
    assert job.state == "CANCELLED"
    assert isinstance(job.exception(timeout=60), concurrent.futures.CancelledError)
    assert job.cancelled()
    assert not job.cancel()
    assert slurm.calls["scancel"] == 2


# --- completion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through", ["result", "wait", "exception", "status", "state", "done", "close", "callback"])
def test_completion_is_delivered_once_whoever_sees_it(
    cluster: Cluster, slurm: StubSlurm, heard: Heard, through: str
) -> None:
    job = cluster.submit(double, 1)
    slurm.run(job.job_id)
    if through == "close":
        cluster.close()
    elif through == "callback":
        called = threading.Event()
        job.add_done_callback(lambda job: called.set())
        assert called.wait(60)
    elif through == "state":
        assert job.state == "COMPLETED"
    elif through == "done":
        until = time.monotonic() + 10
        while not job.done():
            assert time.monotonic() < until
    else:
        getattr(job, through)()
    assert len(heard.completed) == 1
    job.wait(timeout=60)
    assert job.status()["JobState"] == "COMPLETED"
    cluster.close()
    assert len(heard.completed) == 1
    (ctx,) = heard.completed
    assert ctx.job is job
    assert (ctx.job_id, ctx.job_dir, ctx.job_state) == (job.job_id, str(job.job_dir), "COMPLETED")
    assert (ctx.exit_code, ctx.reason, ctx.emitted_by) == ("0:0", None, ExecutionLocus.CLIENT)
    assert ctx.status["JobState"] == "COMPLETED"
    assert (ctx.stdout_path, ctx.stderr_path) == (str(job.job_dir / "stdout"), str(job.job_dir / "stderr"))
    assert ctx.start_time is not None
    assert ctx.end_time is not None
    assert ctx.duration == ctx.end_time - ctx.start_time >= 0
    assert (ctx.error_type, ctx.error_message, ctx.traceback, ctx.job_context) == (None, None, None, None)


def test_completion_of_a_failure(cluster: Cluster, slurm: StubSlurm, heard: Heard) -> None:
    job = cluster.submit(fail, "why")
    slurm.run(job.job_id)
    job.wait(timeout=60)
    (ctx,) = heard.completed
    assert (ctx.job_state, ctx.exit_code, ctx.error_type, ctx.error_message) == ("FAILED", "1:0", "LookupError", "why")
    assert ctx.traceback is not None
    assert "raise LookupError(message)" in ctx.traceback


def test_many_threads_see_one_completion(cluster: Cluster, slurm: StubSlurm, heard: Heard) -> None:
    job = cluster.submit(double, 1)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(job.result, 10) for _ in range(8)]
        slurm.run(job.job_id)
        assert {one.result(10) for one in waiting} == {2}
    assert len(heard.completed) == 1


def test_threads_that_see_the_end_at_the_same_moment(cluster: Cluster, slurm: StubSlurm, heard: Heard) -> None:
    jobs = [cluster.submit(double, n) for n in range(100)]
    for job in jobs:
        slurm.run(job.job_id)
    cluster.refresh()
    start = threading.Barrier(4)

    def look() -> None:
        start.wait(60)
        for job in jobs:
            job.done()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(ctx.job_id) for ctx in heard.completed) == list(range(1, 101))


def test_a_hook_may_ask_for_the_result(slurm: StubSlurm, tmp_path: Path) -> None:
    results: list[object] = []

    class Asks(Heard):
        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            assert ctx.job is not None
            assert ctx.job.done()
            results.append(ctx.job.result())

    with Cluster(slurm, callbacks=[Asks()], job_root=tmp_path) as cluster:
        job = cluster.submit(double, 4)
        slurm.run(job.job_id)
        job.wait(timeout=60)
    assert results == [8]


def test_an_interrupted_hook_does_not_block_the_others(slurm: StubSlurm, tmp_path: Path) -> None:
    class Interrupts(Heard):
        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            super().on_completed_ctx(ctx)
            raise KeyboardInterrupt

    hook = Interrupts()
    with Cluster(slurm, callbacks=[hook], job_root=tmp_path) as cluster:
        job = cluster.submit(double, 4)
        slurm.run(job.job_id)
        with pytest.raises(KeyboardInterrupt):
            job.wait(timeout=60)
        assert job.result(timeout=60) == 8
    assert len(hook.completed) == 1


def test_done_callbacks(cluster: Cluster, slurm: StubSlurm, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[tuple[str, int]] = []
    called = threading.Event()
    job = cluster.submit(double, 1)

    def wrong(job: Job[int]) -> None:
        raise ValueError("mine")

    job.add_done_callback(wrong)
    job.add_done_callback(lambda job: calls.append((job.job_id, len(heard.completed))))
    job.add_done_callback(lambda job: called.set())
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("slurmkit-follower") == 1
    slurm.run(job.job_id)
    assert called.wait(60)
    assert calls == [(job.job_id, 1)], "after on_completed_ctx"
    job.add_done_callback(lambda job: calls.append(("now", 0)))
    assert calls[-1] == ("now", 0)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        f"a done callback of job {job.job_id} failed"
    ]


def test_the_follower_is_one_thread_and_ends(cluster: Cluster, slurm: StubSlurm) -> None:
    left = threading.Semaphore(0)
    jobs = [cluster.submit(double, n) for n in range(20)]
    for job in jobs:
        job.add_done_callback(lambda job: left.release())
    (thread,) = (one for one in threading.enumerate() if one.name == "slurmkit-follower")
    before = slurm.calls["squeue"]
    for job in jobs:
        slurm.run(job.job_id)
    for _ in jobs:
        assert left.acquire(timeout=60)
    thread.join(10)
    assert not thread.is_alive()
    assert slurm.calls["squeue"] - before <= 20


def test_who_is_followed_while_another_ends_does_not_wait(cluster: Cluster, slurm: StubSlurm) -> None:
    first, second = cluster.submit(double, 1), cluster.submit(double, 2)
    slurm.run(first.job_id)
    asked, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def in_between() -> None:
        asked.set()
        assert go_on.wait(30)

    slurm.after_queue = in_between
    first.add_done_callback(lambda job: None)
    assert asked.wait(30)
    second.add_done_callback(lambda job: done.set())
    slurm.run(second.job_id)
    go_on.set()
    assert done.wait(30)


def test_await(cluster: Cluster, slurm: StubSlurm) -> None:
    jobs = [cluster.submit(double, n) for n in range(3)]
    failing = cluster.submit(fail, "x")

    async def main() -> list[object]:
        for job_id in [failing.job_id, *(job.job_id for job in jobs)]:
            asyncio.get_running_loop().call_later(0.05, slurm.run, job_id)
        results: list[object] = list(await asyncio.gather(*jobs))
        with pytest.raises(LookupError):
            await failing
        return [*results, await jobs[0]]

    assert asyncio.run(main()) == [0, 2, 4, 0]


def test_closing_ends_every_wait(cluster: Cluster) -> None:
    job = cluster.submit(double, 1)

    async def main() -> None:
        await job

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waits = pool.submit(job.wait)
        awaits = pool.submit(lambda: asyncio.run(main()))
        threading.Event().wait(0.1)
        cluster.close()
        for waiting in (waits, awaits):
            with pytest.raises(slurmkit.ClusterClosed, match=f"job {job.job_id}"):
                waiting.result(10)
    for ask in (job.status, job.cancel, job.result):
        with pytest.raises(slurmkit.ClusterClosed):
            ask()
    assert not job.done()


def test_what_is_known_stays_known_after_closing(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    slurm.run(job.job_id)
    cluster.close()
    assert (job.result(), job.state, job.done()) == (2, "COMPLETED", True)


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_output(cluster: Cluster) -> None:
    job = cluster.submit(double, 1)
    assert (job.stdout(), job.stderr()) == ("", "")
    (job.job_dir / "stdout").write_bytes(b"caf\xc3\xa9 \xff\n")
    assert job.stdout() == "café \ufffd\n"
    jobdir.remove(job.job_dir)
    with pytest.raises(slurmkit.JobDirectoryError, match="is gone"):
        job.stdout()


def test_the_tail_of_a_gigabyte_is_short(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    with (job.job_dir / "stderr").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write(b"\n" + b"".join(b"line %d\n" % n for n in range(100)))
    slurm.end(job.job_id, "TIMEOUT", "0:0", "TimeLimit")
    message = str(job.exception(timeout=60))
    assert "line 99" in message
    assert "line 79" not in message
    assert len(message) < 5000


def test_repr_and_pickling(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(double, 1)
    assert repr(job) == f"<Job {job.job_id} submitted {str(job.job_dir)!r}>"
    slurm.run(job.job_id)
    job.wait(timeout=60)
    assert "COMPLETED" in repr(job)
    with pytest.raises(TypeError, match=f"Job {job.job_id}.*cannot be pickled"):
        pickle.dumps(job)
    assert len({job, job}) == 1


def test_no_thread_without_need(cluster: Cluster, slurm: StubSlurm) -> None:
    before = set(threading.enumerate())
    job = cluster.submit(double, 1)
    slurm.run(job.job_id)
    job.result(timeout=60)
    assert set(threading.enumerate()) <= before
