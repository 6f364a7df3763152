"""What slurmkit makes of files and clocks that go wrong, on a real Slurm as well: a full file system, one that lags, a clock that is off."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest

import slurmkit
from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, until
from slurmkit import Cluster, Job, JobFailed, ResultError, jobdir
from slurmkit.clock import SystemClock
from slurmkit.slurm.durations import parse_timestamp

SECONDS = 60

# A full file system


@contextmanager
def small(directory: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root, on Linux, may mount a tmpfs")
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", directory], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"this root may not mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        # Lazily: slurmstepd may still have the output file of a job open that is over.
        subprocess.run(["umount", "--lazy", directory], check=True)


@slurmkit.task
def fill(path: str) -> bytes:
    """Leaves no space for its result."""
    with open(path, "wb", buffering=0) as file:  # noqa: PTH123 (the file system is full in the middle of it)
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return bytes(100_000)


def test_a_result_that_finds_no_space(slurm: SlurmUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmkit.polling.watch.RESULT_GRACE", 0.5)
    with small(slurm.workdir / "small") as root, Cluster(slurm.backend(), job_root=root) as cluster:
        job = cluster.submit(fill, str(root / "rest"))
        error = job.exception(timeout=SECONDS)
        assert type(error) is JobFailed
        assert (error.state, error.exit_code) == ("FAILED", "1:0")
        assert jobdir.result_ranks(job.job_dir) == []
        (root / "rest").unlink()
        assert cluster.submit(recorder.add, 40, b=2).result(timeout=SECONDS) == 42


def test_no_space_for_a_job_directory(slurm: SlurmUnderTest) -> None:
    """Nothing is submitted, and nothing is left."""
    with small(slurm.workdir / "small") as root, Cluster(slurm.backend(), job_root=root / "jobs") as cluster:
        with pytest.raises(OSError, match="No space left on device"):
            cluster.submit(recorder.talk.with_options(job_name="large"), "x" * 300_000)
        assert slurm.run("squeue", "-h", "-t", "all", "-n", "large").stdout == ""
        assert list((root / "jobs").iterdir()) == []


# A file system that lags


@attrs.frozen
class Late:
    """A job as somebody sees it whose file system shows its directory as it was before it ran, until it is `arrive`d."""

    job: Job[int]
    arrive: Callable[[], object]


@contextmanager
def lagging(slurm: SlurmUnderTest) -> Iterator[Late]:
    """The directory that this client looks into is a copy of the one in which the job runs."""
    there, here = slurm.workdir / "there", slurm.workdir / "here"
    with Cluster(slurm.backend(), job_root=there) as of_node, Cluster(slurm.backend(), job_root=here) as of_client:
        held = of_node.submit(recorder.add.with_options(hold=True), 40, b=2)
        copy = here / held.job_dir.name
        shutil.copytree(held.job_dir, copy)
        slurm.run("scontrol", "release", held.job_id)
        yield Late(of_client.attach(copy), lambda: shutil.copytree(held.job_dir, copy, dirs_exist_ok=True))


def test_a_result_that_is_late_is_waited_for(slurm: SlurmUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmkit.job.RESULT_GRACE", SECONDS)
    with lagging(slurm) as late, ThreadPoolExecutor(1) as pool:
        result = pool.submit(late.job.result, SECONDS)
        slurm.wait(late.job.job_id, ["COMPLETED"])
        assert jobdir.result_ranks(late.job.job_dir) == []
        assert not result.done()
        late.arrive()
        assert result.result(SECONDS) == 42


def test_a_result_that_is_too_late_is_not_lost(slurm: SlurmUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmkit.job.RESULT_GRACE", 0.5)
    with lagging(slurm) as late:
        with pytest.raises(ResultError, match="left no result"):
            late.job.result(timeout=SECONDS)
        late.arrive()
        assert late.job.result() == 42


# A clock that is off


class Off(SystemClock):
    """The client's clock, `seconds` behind that of the cluster."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> float:
        return super().time() - self._seconds


@contextmanager
def behind(slurm: SlurmUnderTest, seconds: float) -> Iterator[Cluster]:
    """A client whose clock is behind the cluster's: by the fault, or by a clock of its own."""
    with ExitStack() as stack:
        clock = None
        if slurm.fake is not None and slurm.kind == "fake":
            stack.enter_context(slurm.fake.fault("clock_skew", seconds=seconds))
        else:
            clock = Off(seconds)
        yield stack.enter_context(Cluster(slurm.backend(), job_root=slurm.workdir / "jobs", clock=clock))


@pytest.mark.parametrize("seconds", [-86400, -3000, 3000, 86400])
def test_clocks_that_differ(slurm: SlurmUnderTest, seconds: float) -> None:
    """The note of the submission is by the client's clock, what Slurm tells by the cluster's."""
    with behind(slurm, seconds) as cluster:
        job = cluster.submit(recorder.add, 40, b=2)
        assert job.result(timeout=SECONDS) == 42
        submitted = parse_timestamp(job.status()["SubmitTime"])
        assert submitted is not None
        assert abs(submitted - jobdir.read_job(job.job_dir)["created"] - seconds) < SECONDS


@pytest.mark.slurm_conf("MinJobAge=2")
def test_clocks_that_differ_and_a_job_that_slurm_has_forgotten(slurm: SlurmUnderTest) -> None:
    """By the client's clock it was submitted 50 minutes after it was by sacct's."""
    with behind(slurm, -3000) as cluster:
        job = cluster.submit(recorder.leave, "hard:7")
        until(lambda: slurm.accounted(job.job_id, "State", "-X") == [{"State": "FAILED"}], what="its end in accounting")
        until(lambda: slurm.show(job.job_id) is None, what="a controller that has forgotten it")
        error = job.exception(timeout=SECONDS)
        assert type(error) is JobFailed
        assert (error.state, error.exit_code, job.state) == ("FAILED", "7:0", "FAILED")
