"""A client that is killed between any two steps of a submission, and started anew: the task runs once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakeslurm import FakeSlurm, Simulated
from fakeslurm.history import JobSubmitted

CLIENT = """
import os, signal, sys
from pathlib import Path

import slurmkit
from slurmkit import Cluster, UnknownJob, JobDirectoryError

root, last_step = Path(sys.argv[1]), int(sys.argv[2])
steps = 0


def on_event(event, args):
    # Everything that changes something outside of this process: it is killed just before.
    global steps
    writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
    if event in ("os.mkdir", "os.rename", "os.remove", "subprocess.Popen") or writes:
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)


@slurmkit.task
def work():
    raise NotImplementedError("it is simulated")


with Cluster("slurm", job_root=root) as cluster:
    job = None
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        try:
            job = cluster.attach(path)
        except (UnknownJob, JobDirectoryError):
            pass  # its submission has never happened
    sys.addaudithook(on_event)
    if job is None:
        job = cluster.submit(work)
    assert Cluster("slurm", job_root=root).attach(job.job_id).job_dir == job.job_dir
    print(job.result(timeout=60))
"""


def client(slurm: FakeSlurm, root: Path, last_step: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", CLIENT, str(root), str(last_step)]
    return subprocess.Popen(argv, env=slurm.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(slurm: FakeSlurm, root: Path, last_step: int = 0) -> tuple[int, str, str]:
    process = client(slurm, root, last_step)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def submissions(slurm: FakeSlurm) -> int:
    """Counted at the controller."""
    return sum(isinstance(event, JobSubmitted) for event in slurm.history)


def test_killed_before_each_step(tmp_path: Path) -> None:
    for last_step in range(1, 100):
        with FakeSlurm() as slurm:
            slurm.simulate(Simulated(0, result=7))
            root = tmp_path / f"{last_step}"
            code, out, err = result(slurm, root, last_step)
            if code == 0:
                break
            assert code == -9, err
            assert result(slurm, root) == (0, "7\n", ""), f"killed before step {last_step}"
            assert submissions(slurm) == 1, f"killed before step {last_step}"
    assert out == "7\n"
    assert last_step > 10


@pytest.mark.parametrize("at", ["request", "answer"])
def test_killed_while_sbatch_runs(tmp_path: Path, at: str) -> None:
    with FakeSlurm() as slurm:
        slurm.simulate(Simulated(0, result=7))
        process = client(slurm, tmp_path / "jobs", 0)
        with slurm.fault("client_killed", pid=process.pid, at=at, commands=["sbatch"]) as fault:
            process.communicate(timeout=120)
        assert process.returncode == -9
        assert len(fault.hits) == 1
        assert submissions(slurm) == (at == "answer")
        assert result(slurm, tmp_path / "jobs") == (0, "7\n", "")
        assert submissions(slurm) == 1
