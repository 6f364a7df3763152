"""The poller's promises P1 to P11, with real threads and the test in Slurm's place."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from stub_slurm import StubSlurm

import slurmkit
from slurmkit import BaseCallback, Cluster, CompletedContext, JobStatusUpdatedContext

INTERVAL = 0.05


class Follows(BaseCallback):
    requires_pickling = False

    def __init__(self, interval: float | None = INTERVAL) -> None:
        self.poll_interval_secs = interval
        self.events: list[tuple[str, str, float]] = []  # (job id, state or "completed", when)
        self.updates: list[JobStatusUpdatedContext] = []
        self.threads: set[str] = set()
        self.inside = 0
        self.most_inside = 0
        self.lock = threading.Lock()

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)
            self.updates.append(ctx)
            self.events.append((ctx.job_id, ctx.status["JobState"], time.monotonic()))
            self.threads.add(threading.current_thread().name)
        self.react(ctx)
        with self.lock:
            self.inside -= 1

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        with self.lock:
            self.events.append((ctx.job_id, "completed", time.monotonic()))
            self.threads.add(threading.current_thread().name)

    def react(self, ctx: JobStatusUpdatedContext) -> None:
        """For tests that do something in the hook."""

    def states(self, job_id: str = "1") -> list[str]:
        """Consecutive different states, and ``completed``."""
        with self.lock:
            mine = [state for job, state, _ in self.events if job == job_id]
        return [state for state, _ in itertools.groupby(mine)]


@pytest.fixture
def slurm() -> StubSlurm:
    return StubSlurm()


def double(x: int) -> int:
    return 2 * x


def until(condition: Callable[[], object], what: str = "it happens", seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.005)


def pollers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("slurmkit-poller-")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not pollers(), "the pollers end")


def open_cluster(slurm: StubSlurm, tmp_path: Path, *callbacks: BaseCallback) -> Cluster:
    return Cluster(slurm, callbacks=callbacks, job_root=tmp_path / "jobs")


def test_p1_no_subscriber_no_thread(slurm: StubSlurm, tmp_path: Path) -> None:
    class Quick(BaseCallback):
        poll_interval_secs = 0.01  # but no status hook

        def on_end_package_ctx(self, ctx: Any) -> None: ...

    with open_cluster(slurm, tmp_path, Quick(), Follows(None)) as cluster:
        cluster.submit(double, 1)
        assert not pollers()


def test_one_thread_per_submission(slurm: StubSlurm, tmp_path: Path) -> None:
    one, two = Follows(), Follows(1.0)
    with open_cluster(slurm, tmp_path, one, two) as cluster:
        jobs = [cluster.submit(double, n) for n in range(3)]
        assert sorted(thread.name for thread in pollers()) == [f"slurmkit-poller-{job.job_id}" for job in jobs]
        assert all(thread.daemon for thread in pollers())
        for job in jobs:
            slurm.run(job.job_id)
            job.result(timeout=60)
    assert one.threads == {f"slurmkit-poller-{job.job_id}" for job in jobs}, "the completed event, too"


def test_p2_and_p3_intervals_and_transitions(slurm: StubSlurm, tmp_path: Path) -> None:
    quick, slow = Follows(INTERVAL), Follows(3600)
    with open_cluster(slurm, tmp_path, quick, slow) as cluster:
        job = cluster.submit(double, 1)
        until(lambda: len(quick.updates) >= 4)
        slurm.start(job.job_id)
        until(lambda: quick.updates[-1].status["JobState"] == "RUNNING")
        until(lambda: len(slow.updates) == 2, "a transition reaches who is not due")
        slurm.run(job.job_id)
        job.result(timeout=60)
    assert slow.states() == ["PENDING", "RUNNING", "COMPLETED", "completed"]
    assert len(slow.updates) == 3
    for (_, before, then), (_, state, now) in itertools.pairwise(quick.events):
        if state == before:  # a hook that was held up after its call was decided on stamps its event late
            assert now - then >= INTERVAL / 2
    assert [ctx.previous_state for ctx in quick.updates] == [None, *[u.status["JobState"] for u in quick.updates[:-1]]]


def test_p2_for_a_callback_behind_a_slow_one(slurm: StubSlurm, tmp_path: Path) -> None:
    class SlowAtFirst(Follows):
        def react(self, ctx: JobStatusUpdatedContext) -> None:
            if len(self.updates) == 1:
                threading.Event().wait(0.15)

    first, second = SlowAtFirst(0.2), Follows(0.2)
    with open_cluster(slurm, tmp_path, first, second) as cluster:
        cluster.submit(double, 1)
        until(lambda: len(second.updates) >= 2)
    (_, _, then), (_, _, now), *_ = second.events
    assert now - then >= 0.1, "half of it: a hook that is held up stamps its event late"


def test_p4_one_terminal_update_then_the_completed_event(slurm: StubSlurm, tmp_path: Path) -> None:
    one = Follows()
    with open_cluster(slurm, tmp_path, one) as cluster:
        job = cluster.submit(double, 1)
        slurm.run(job.job_id)
        job.result(timeout=60)
        assert one.states()[-2:] == ["COMPLETED", "completed"]
        assert [ctx.is_terminal for ctx in one.updates].count(True) == 1
        assert one.updates[-1].is_terminal
        assert one.updates[-1].job is job
    assert one.states().count("completed") == 1


@pytest.mark.parametrize("who", ["result", "status", "done", "refresh", "close"])
def test_whoever_sees_the_end_the_poller_delivers_it(slurm: StubSlurm, tmp_path: Path, who: str) -> None:
    """With an interval of an hour the end is seen by somebody else, and told at once all the same."""
    one = Follows(3600)
    with open_cluster(slurm, tmp_path, one) as cluster:
        job = cluster.submit(double, 1)
        until(lambda: len(one.updates) == 1)
        slurm.run(job.job_id)
        if who == "close":
            cluster.close()
        elif who == "refresh":
            cluster.refresh()
        elif who == "done":
            until(job.done)
        elif who == "status":
            until(lambda: job.status()["JobState"] == "COMPLETED")
        else:
            job.result(timeout=60)
        until(lambda: one.states()[-1] == "completed")
    assert one.states() == ["PENDING", "COMPLETED", "completed"]
    assert one.threads == {f"slurmkit-poller-{job.job_id}"}


def test_p5_one_at_a_time_and_in_order(slurm: StubSlurm, tmp_path: Path) -> None:
    class Slow(Follows):
        def react(self, ctx: JobStatusUpdatedContext) -> None:
            threading.Event().wait(0.03)

    one = Slow(0.01)
    with open_cluster(slurm, tmp_path, one) as cluster:
        job = cluster.submit(double, 1)
        until(lambda: one.updates)
        for state in ("CONFIGURING", "RUNNING", "SUSPENDED", "RUNNING", "COMPLETING"):
            slurm.end(job.job_id, state)
            cluster.refresh()  # faster than the callback
        slurm.run(job.job_id)
        job.result(timeout=60)
    assert one.states() == [
        "PENDING",
        "CONFIGURING",
        "RUNNING",
        "SUSPENDED",
        "RUNNING",
        "COMPLETING",
        "COMPLETED",
        "completed",
    ]
    assert one.most_inside == 1


def test_p6_an_exception_harms_nothing(slurm: StubSlurm, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Fails(Follows):
        def react(self, ctx: JobStatusUpdatedContext) -> None:
            if ctx.is_terminal:
                raise SystemExit(1)
            if len(self.updates) == 2:
                raise ValueError("mine")

    bad, good = Fails(), Follows()
    with open_cluster(slurm, tmp_path, bad, good) as cluster:
        job = cluster.submit(double, 1)
        until(lambda: len(good.updates) >= 4)
        slurm.run(job.job_id)
        assert job.result(timeout=60) == 2
    assert good.states() == bad.states() == ["PENDING", "COMPLETED", "completed"]
    failures = [record for record in caplog.records if record.name == "slurmkit.callbacks"]
    assert len(failures) == 2
    assert all(record.exc_info for record in failures)


def test_p7_a_failed_query_is_no_state(slurm: StubSlurm, tmp_path: Path) -> None:
    one = Follows(0.01)
    with open_cluster(slurm, tmp_path, one) as cluster:
        job = cluster.submit(double, 1)
        slurm.start(job.job_id)
        until(lambda: one.updates and one.updates[-1].status["JobState"] == "RUNNING")
        asked = slurm.calls["squeue"]
        wanted = Counter[str]()
        snapshot = cluster._engine.status.snapshot

        def count(job_ids: Iterable[str], max_age: float) -> Mapping[str, Any]:
            wanted["snapshot"] += 1
            return snapshot(job_ids, max_age)

        cluster._engine.status.snapshot = count  # type: ignore[method-assign,assignment]
        slurm.failure = slurmkit.SchedulerError("Socket timed out on send/recv operation")
        began = time.monotonic()
        threading.Event().wait(0.5)
        requests, looks = slurm.calls["squeue"] - asked, wanted["snapshot"]
        seconds = time.monotonic() - began
        assert requests <= 2 + seconds, "it backs off for a second or more"
        assert looks <= 3 + seconds, "and so does the thread"
        told = len(one.updates)
        slurm.hidden.add(job.job_id)
        slurm.failure = None
        until(lambda: slurm.calls["squeue"] - asked >= 4, "it asks again")
        assert len(one.updates) == told, "an answer without the job is no state, either"
        slurm.hidden.clear()
        slurm.run(job.job_id)
        job.result(timeout=60)
    assert one.states() in (
        ["PENDING", "RUNNING", "COMPLETED", "completed"],
        ["RUNNING", "COMPLETED", "completed"],
    )


def test_p8_a_slow_callback_delays_only_its_own_job(slurm: StubSlurm, tmp_path: Path) -> None:
    held, entered = threading.Event(), threading.Event()

    class Holds(Follows):
        def react(self, ctx: JobStatusUpdatedContext) -> None:
            if ctx.job_id == "1":
                entered.set()
                assert held.wait(60)

    one = Holds()
    with open_cluster(slurm, tmp_path, one) as cluster:
        first, second = cluster.submit(double, 1), cluster.submit(double, 2)
        assert entered.wait(60)
        slurm.run(first.job_id)
        slurm.run(second.job_id)
        assert second.result(timeout=60) == 4
        assert one.states("2")[-1] == "completed"
        with pytest.raises(slurmkit.WaitTimeout):
            first.result(timeout=0.1)
        assert not first.done()
        held.set()
        assert first.result(timeout=60) == 2
    assert one.states("1")[-1] == "completed"


@pytest.mark.parametrize("number", [1, 40])
def test_p9_requests_do_not_grow_with_the_jobs(slurm: StubSlurm, tmp_path: Path, number: int) -> None:
    one = Follows(0.2)
    with open_cluster(slurm, tmp_path, one) as cluster:
        began = time.monotonic()
        jobs = [cluster.submit(double, n) for n in range(number)]
        until(lambda: all(one.states(job.job_id) for job in jobs))
        until(lambda: len(one.updates) >= 4 * number)
        requests = slurm.calls["squeue"]
        ticks = (time.monotonic() - began) / 0.2
        assert requests <= ticks + 1
        assert slurm.calls["scontrol"] == slurm.calls["sacct"] == 0
        for job in jobs:
            slurm.run(job.job_id)
        cluster.refresh()
        until(lambda: all(job.done() for job in jobs))
    assert {one.states(job.job_id)[-1] for job in jobs} == {"completed"}


def test_p10_the_thread_ends_with_the_job_and_with_the_cluster(slurm: StubSlurm, tmp_path: Path) -> None:
    one = Follows(3600)
    cluster = open_cluster(slurm, tmp_path, one)
    first, second = cluster.submit(double, 1), cluster.submit(double, 2)
    assert len(pollers()) == 2
    slurm.run(first.job_id)
    first.result(timeout=60)
    until(lambda: len(pollers()) == 1)
    until(lambda: one.states(second.job_id), "the other one has told of its job")
    began = time.monotonic()
    cluster.close()
    assert time.monotonic() - began < 9, "less than CLOSE_TIMEOUT"
    assert not pollers()
    assert one.states(second.job_id)[-1] == "PENDING"


def test_p10_a_callback_that_hangs_does_not_keep_close(
    slurm: StubSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("slurmkit.cluster.CLOSE_TIMEOUT", 0.2)
    held, entered = threading.Event(), threading.Event()

    class Hangs(Follows):
        def react(self, ctx: JobStatusUpdatedContext) -> None:
            entered.set()
            held.wait(30)

    cluster = open_cluster(slurm, tmp_path, Hangs())
    cluster.submit(double, 1)
    assert entered.wait(60)
    began = time.monotonic()
    cluster.close()
    assert time.monotonic() - began < 9, "the callback holds it for 30 s"
    assert "left behind" in caplog.text
    held.set()


def test_p10_nothing_keeps_the_interpreter_alive(tmp_path: Path) -> None:
    program = f"""
import sys, threading
sys.path.insert(0, {str(Path(__file__).parent)!r})
from stub_slurm import StubSlurm
from test_poller import Follows, double
from slurmkit import Cluster
follows = Follows()
cluster = Cluster(StubSlurm(), callbacks=[follows], job_root={str(tmp_path)!r})
job = cluster.submit(double, 1)
job.add_done_callback(print)
while len(follows.updates) < 3:
    threading.Event().wait(0.01)
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_p11_a_requeue_starts_a_new_attempt(slurm: StubSlurm, tmp_path: Path) -> None:
    one = Follows()
    with open_cluster(slurm, tmp_path, one) as cluster:
        job = cluster.submit(double, 1)
        slurm.start(job.job_id)
        until(lambda: one.updates and one.updates[-1].status["JobState"] == "RUNNING")
        slurm.requeue(job.job_id)
        until(lambda: one.updates[-1].status["Restarts"] == "1")
        assert one.updates[-1].status["JobState"] == "PENDING"
        slurm.run(job.job_id)
        assert job.result(timeout=60) == 2
    assert one.states()[-3:] == ["PENDING", "COMPLETED", "completed"]


def test_a_hook_may_use_the_job(slurm: StubSlurm, tmp_path: Path) -> None:
    seen: list[object] = []

    class Uses(Follows):
        def react(self, ctx: JobStatusUpdatedContext) -> None:
            if ctx.is_terminal:
                seen.extend([ctx.job.result(timeout=60), ctx.job.done(), ctx.job.state])
            else:
                ctx.job.status()
                assert not ctx.job.done()

    one = Uses()
    with open_cluster(slurm, tmp_path, one) as cluster:
        job = cluster.submit(double, 1)
        until(lambda: len(one.updates) >= 2)
        slurm.run(job.job_id)
        job.result(timeout=60)
    assert seen == [2, True, "COMPLETED"]
    assert one.states()[-1] == "completed"


def test_a_hook_may_cancel_and_close(slurm: StubSlurm, tmp_path: Path) -> None:
    closed = threading.Event()

    class Ends(Follows):
        def react(self, ctx: JobStatusUpdatedContext) -> None:
            if not ctx.is_terminal:
                ctx.job.cancel()
            else:
                cluster.close()
                closed.set()

    one = Ends()
    cluster = open_cluster(slurm, tmp_path, one)
    cluster.submit(double, 1)
    assert closed.wait(60)
    until(lambda: one.states()[-1] == "completed")
    assert one.states() == ["PENDING", "CANCELLED", "completed"]


def test_nothing_holds_a_closed_cluster(slurm: StubSlurm, tmp_path: Path) -> None:
    cluster = open_cluster(slurm, tmp_path, Follows())
    job = cluster.submit(double, 1)
    slurm.run(job.job_id)
    job.result(timeout=60)
    cluster.close()
    gone = weakref.ref(cluster)
    slurm.after_queue = lambda: None
    del cluster, job
    gc.collect()
    assert gone() is None
