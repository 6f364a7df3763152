"""Bad input: each mistake has a message that a user can act on, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

import slurmkit
from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest
from slurmkit import BaseCallback, Cluster, ExecutionLocus, task

SECONDS = 60


def left_behind(cluster: Cluster) -> list[str]:
    """What is in the job root: nothing after a submission that was refused."""
    root = Path(cluster.job_root)
    return [path.name for path in root.iterdir()] if root.exists() else []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ntask": 2}, ["ntask", "ntasks"]),
        ({"nodes": "many"}, ["nodes", "many"]),
        ({"time": "soon"}, ["time", "soon"]),
        ({"mem": -1}, ["mem", "-1"]),
        ({"output": "x.txt"}, ["output"]),
        ({"job_name": "two\nlines"}, ["job_name"]),
    ],
    ids=["misspelt", "ill-typed nodes", "ill-typed time", "negative memory", "reserved", "line break"],
)
def test_options_are_refused_where_they_are_written(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(slurmkit.OptionError) as caught:
        task(**options)(recorder.add.func)
    for word in words:
        assert word in str(caught.value)
    with pytest.raises(ValueError, match=words[0]):
        recorder.add.with_options(**options)


def test_unpicklable_argument(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    with pytest.raises(slurmkit.NotPicklable, match=r"kwargs\['b'\]|\bb\b") as caught:
        slurm_cluster.submit(recorder.add, 1, b=threading.Lock())  # type: ignore[arg-type]
    assert "_thread.lock" in str(caught.value)
    assert left_behind(slurm_cluster) == []
    assert slurm.requests("sbatch") == 0


class HoldsLock(BaseCallback):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def on_begin_run_job_ctx(self, ctx: slurmkit.RunBeginContext) -> None:
        raise AssertionError("never")


def test_unpicklable_callback(slurm: SlurmUnderTest) -> None:
    with Cluster(slurm.backend(), callbacks=[HoldsLock()], job_root=slurm.workdir / "jobs") as cluster:
        with pytest.raises(slurmkit.NotPicklable, match="HoldsLock") as caught:
            cluster.submit(recorder.add, 1)
        assert "_thread.lock" in str(caught.value)
        assert left_behind(cluster) == []
    assert slurm.requests("sbatch") == 0


def test_unknown_hook_or_impossible_locus() -> None:
    with pytest.raises(TypeError, match=r"on_complete_ctx.*on_completed_ctx"):

        class Misspelt(BaseCallback):
            execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = {"on_complete_ctx": ExecutionLocus.CLIENT}

    with pytest.raises(TypeError, match=r"on_begin_package_ctx cannot run at .*RUNNER.*; valid: ExecutionLocus.CLIENT"):

        class Misplaced(BaseCallback):
            execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = {"on_begin_package_ctx": ExecutionLocus.RUNNER}

    with pytest.raises(TypeError, match="client"):

        class Text(BaseCallback):
            execution_loci: ClassVar[Mapping[str, Any]] = {"on_completed_ctx": "client"}


def test_no_sbatch_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURMKIT_BACKEND", raising=False)
    makers: list[Callable[[], Cluster]] = [lambda: Cluster("slurm"), Cluster.from_env]
    for make in makers:
        with pytest.raises(slurmkit.SchedulerNotFound, match=r'Cluster\("fake"\)'):
            make()
    with pytest.raises(FileNotFoundError):
        Cluster("slurm")


@pytest.mark.parametrize("root", ["file/jobs", f"new/{'x' * 300}/jobs"], ids=["below a file", "too long a name"])
def test_job_root_that_cannot_be_written(slurm: SlurmUnderTest, root: str) -> None:
    """Directories that were made on the way to the one that cannot be made are gone again."""
    slurm.workdir.joinpath("file").write_text("")
    with (
        Cluster(slurm.backend(), job_root=slurm.workdir / root) as cluster,
        pytest.raises(slurmkit.JobDirectoryError, match=root) as caught,
    ):
        cluster.submit(recorder.add, 1)
    assert isinstance(caught.value, OSError)
    assert slurm.requests("sbatch") == 0
    assert [path.name for path in slurm.workdir.iterdir()] == ["file"]


class Trap:
    """Pickles well, and cannot be unpickled by the client."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __reduce__(self) -> tuple[Any, ...]:
        return _spring, (self.pid,)


def _spring(pid: int) -> Trap:
    if os.getpid() == pid:
        raise RuntimeError("not on this side")
    return Trap(pid)


@task
def returns_trap(pid: int) -> Trap:
    return Trap(pid)


def test_result_that_cannot_be_unpickled(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(returns_trap, os.getpid())
    with pytest.raises(slurmkit.ResultError, match=r"result\.0\.pkl") as caught:
        job.result(timeout=SECONDS)
    assert "not on this side" in str(caught.value)
    assert job.state == "COMPLETED"


@task
def returns_lock() -> Any:
    return threading.Lock()


def test_result_that_cannot_be_pickled(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(returns_lock)
    error = job.exception(timeout=SECONDS)
    assert isinstance(error, slurmkit.SlurmkitError)
    assert "_thread.lock" in str(error)
    assert job.state == "FAILED"


@task
def prints(megabytes: int) -> int:
    line = "x" * 1023 + "\n"
    for _ in range(megabytes):
        print(line * 1024, end="")
    return megabytes


@pytest.mark.parametrize(("ntasks", "megabytes"), [(1, 1024), (2, 64)])
def test_task_that_prints_a_gigabyte(slurm_cluster: Cluster, ntasks: int, megabytes: int) -> None:
    """It arrives in the output file, whole; nobody reads it unless asked to."""
    if shutil.disk_usage(slurm_cluster.job_root.parent).free < 4 << 30:
        pytest.skip("less than 4 GiB are free here")
    job = slurm_cluster.submit(prints.with_options(ntasks=ntasks), megabytes)
    tracemalloc.start()
    try:
        assert job.result(timeout=110) == megabytes
        assert tracemalloc.get_traced_memory()[1] < 32 << 20, "bytes at most while waiting for the result"
    finally:
        tracemalloc.stop()
    output = Path(job.job_dir) / "stdout"
    assert output.stat().st_size == ntasks * megabytes << 20
    output.unlink()


def test_arguments_that_do_not_fit(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    with pytest.raises(TypeError, match="colour"):
        slurm_cluster.submit(recorder.add, 1, colour="red")  # type: ignore[call-arg]
    assert left_behind(slurm_cluster) == []
    assert slurm.requests("sbatch") == 0


def test_closed_cluster(slurm: SlurmUnderTest) -> None:
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs") as cluster:
        pass
    uses: list[Callable[[], object]] = [
        lambda: cluster.submit(recorder.add, 1),
        lambda: cluster.attach("1"),
        cluster.refresh,
    ]
    for use in uses:
        with pytest.raises(slurmkit.ClusterClosed):
            use()
    assert left_behind(cluster) == []
    assert slurm.requests("sbatch") == slurm.requests("squeue") == 0
