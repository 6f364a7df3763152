"""What users do to slurmkit without meaning to: on an embedded fake, in real processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm
from slurmkit import BaseCallback, Cluster, ClusterClosed, JobDirectoryError, NotPicklable, RunEndContext, task
from slurmkit.callbacks.contexts import JobStatusUpdatedContext

LOCK = threading.Lock()


@pytest.fixture(scope="module")
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm(nodes=2, cpus_per_node=8) as slurm:
        yield slurm


@pytest.fixture
def make(slurm: FakeSlurm, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters on the module's fake; each is closed at the end of the test."""
    made: list[Cluster] = []

    def cluster(*callbacks: BaseCallback) -> Cluster:
        made.append(Cluster(slurm.backend(), callbacks=callbacks, job_root=tmp_path / "jobs"))
        return made[-1]

    yield cluster
    for one in made:
        one.close()


class StoppedError(BaseException):
    """No Exception, as what pytest.fail raises."""


@task
def value() -> int:
    return 7


@task
def wait_for(path: str) -> int:
    deadline = time.monotonic() + 60
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return 7


@task
def first_of_nothing() -> object:
    return next(iter(()))


@task
def child_exits(finished: str) -> str:
    if os.fork() == 0:
        try:
            sys.exit(3)
        finally:
            Path(finished).touch()
    os.wait()
    return "parent"


@task
def child_comes_back() -> str:
    if os.fork() == 0:
        return "child"
    os.wait()
    return "parent"


@task
def clears_the_environment() -> None:
    os.environ.clear()
    raise ValueError("environment")


@task
def counts_signals(name: str) -> int:
    """How often the signal came until it stayed away for a second."""
    came: list[float] = []
    signal.signal(getattr(signal, f"SIG{name}"), lambda *_: came.append(time.monotonic()))
    print("ready", flush=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < (came[-1] + 1 if came else deadline):
        time.sleep(0.02)
    return len(came)


class Endings(BaseCallback):
    """One line per end of a rank."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_end_run_job_ctx(self, ctx: RunEndContext) -> None:
        with self.path.open("a") as file:
            file.write(f"{ctx.job_id} {ctx.status} {ctx.hostname} {ctx.job_context.job_id}\n")


class Raises(BaseCallback):
    requires_pickling = False
    poll_interval_secs = 0.05

    def __init__(self) -> None:
        self.heard: list[str] = []

    def hook(self, name: str) -> None:
        self.heard.append(name)
        raise StoppedError(name)

    def on_begin_package_ctx(self, ctx: object) -> None:
        self.hook("package")

    def on_end_submit_job_ctx(self, ctx: object) -> None:
        self.hook("submit")

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        self.hook("terminal" if ctx.is_terminal else "status")

    def on_completed_ctx(self, ctx: object) -> None:
        self.hook("completed")


class UsesALock(BaseCallback):
    def on_completed_ctx(self, ctx: object) -> None:
        with LOCK:
            return


def in_main(cls: type) -> type:
    """The class as a script would define it: pickled by value, with the globals that its methods use."""
    cls.__module__ = "__main__"
    for item in vars(cls).values():
        if callable(item):
            item.__module__ = "__main__"
    return cls


def test_a_child_that_the_task_forked_is_not_the_rank(make: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = make(Endings(tmp_path / "endings"))
    job = cluster.submit(child_exits, str(tmp_path / "finished"))
    assert job.result(timeout=30) == "parent"
    assert (tmp_path / "finished").exists()
    back = cluster.submit(child_comes_back)
    assert back.result(timeout=30) == "parent"
    lines = (tmp_path / "endings").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [[job.job_id, "success"], [back.job_id, "success"]]


def test_a_task_that_clears_its_environment_is_reported_as_it_was(make: Callable[..., Cluster], tmp_path: Path) -> None:
    job = make(Endings(tmp_path / "endings")).submit(clears_the_environment)
    with pytest.raises(ValueError, match="environment"):
        job.result(timeout=30)
    node = job.status()["NodeList"]
    assert (tmp_path / "endings").read_text() == f"{job.job_id} failure {node} {job.job_id}\n"


def test_what_is_no_exception_harms_only_the_callback_that_raised_it(
    make: Callable[..., Cluster], caplog: pytest.LogCaptureFixture
) -> None:
    callback = Raises()
    assert make(callback).submit(value).result(timeout=30) == 7
    heard = [name for name in callback.heard if name != "status"]
    assert heard == ["package", "submit", "terminal", "completed"]
    logged = [record for record in caplog.records if record.name == "slurmkit.callbacks"]
    assert len(logged) == len(callback.heard)
    assert all(record.exc_info is not None for record in logged)


def test_a_done_callback_that_exits_keeps_no_other_from_being_called(
    make: Callable[..., Cluster], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make()
    called = [threading.Event(), threading.Event()]
    go = tmp_path / "go"
    job = cluster.submit(wait_for, str(go))
    job.add_done_callback(lambda _: sys.exit(1))
    job.add_done_callback(lambda _: called[0].set())
    go.touch()
    assert called[0].wait(30)
    cluster.submit(value).add_done_callback(lambda _: called[1].set())
    assert called[1].wait(30), "the thread that follows jobs is gone"
    assert [record.levelno for record in caplog.records if "done callback" in record.message] == [logging.ERROR]


def test_awaiting_a_job_that_raised_stop_iteration(make: Callable[..., Cluster]) -> None:
    job = make().submit(first_of_nothing)

    async def wait() -> object:
        return await asyncio.wait_for(job, timeout=30)

    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        asyncio.run(wait())
    assert isinstance(caught.value.__cause__, StopIteration)


def test_awaiting_a_job_of_a_closed_cluster(make: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = make()
    go = tmp_path / "go"
    job = cluster.submit(wait_for, str(go))
    cluster.close()

    async def wait() -> object:
        return await asyncio.wait_for(job, timeout=30)

    with pytest.raises(ClusterClosed):
        asyncio.run(wait())
    go.touch()


def test_a_callback_that_closes_its_cluster(
    make: Callable[..., Cluster], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed = threading.Event()

    class Closes(BaseCallback):
        requires_pickling = False
        poll_interval_secs = 0.05

        def on_job_status_update_ctx(self, ctx: Any) -> None:
            cluster.close()
            closed.set()

    cluster = make(Closes())
    go = tmp_path / "go"
    job = cluster.submit(wait_for, str(go))
    assert closed.wait(30)
    with pytest.raises(ClusterClosed):
        job.result(timeout=30)
    assert not caplog.records
    go.touch()


def test_a_working_directory_that_is_gone(
    make: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make()
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(JobDirectoryError, match="working directory of this process"):
        cluster.submit(value)
    assert not cluster.job_root.exists()


def test_the_global_of_a_callback_that_cannot_be_pickled_is_named(make: Callable[..., Cluster]) -> None:
    with pytest.raises(NotPicklable, match=r"global 'LOCK' of the method on_completed_ctx.*requires_pickling = False"):
        make(in_main(UsesALock)()).submit(value)


@pytest.mark.parametrize("name", ["USR1", "TERM", "HUP"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_signal_reaches_every_rank_once(make: Callable[..., Cluster], ranks: int, name: str) -> None:
    job = make().submit(counts_signals.with_options(ntasks=ranks), name)
    deadline = time.monotonic() + 30
    while job.stdout().count("ready") < ranks:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert job.cancel(signal=name)
    assert job.results(timeout=60) == [1] * ranks


def test_a_forked_child_can_ask_while_the_parent_was_asking(tmp_path: Path, slurm: FakeSlurm) -> None:
    """The child has no thread but its own: what another one was about is not waited for."""
    backend = slurm.backend()
    asking, go_on = threading.Event(), threading.Event()

    class Held:
        """The backend; the parent's requests are held while it forks."""

        name = "held"
        parent = os.getpid()

        def queue(self, job_ids: Any) -> Any:
            if os.getpid() != self.parent:
                raise ConnectionError("the child has asked")
            asking.set()
            go_on.wait(30)
            return backend.queue(job_ids)

        def __getattr__(self, name: str) -> Any:
            return getattr(backend, name)

    with Cluster(Held(), job_root=tmp_path / "jobs") as cluster:
        job = cluster.submit(value)
        waiter = threading.Thread(target=job.result, args=(60,))
        waiter.start()
        assert asking.wait(30)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                job.result(timeout=60)
            except ConnectionError:
                code = 0
            finally:
                os._exit(code)
        try:
            deadline = time.monotonic() + 20
            while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
                time.sleep(0.02)
            if not ended[0]:
                os.kill(child, 9)
                os.waitpid(child, 0)
            assert ended == (child, 0)
        finally:
            go_on.set()
            waiter.join(30)
