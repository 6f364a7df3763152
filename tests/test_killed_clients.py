"""A client that is killed between any two steps of a submission, and started anew: the task runs once, for each item of an array."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakeslurm import FakeSlurm, Simulated
from fakeslurm.history import JobStarted, JobSubmitted
from slurmkit import Cluster, JobArray

BEGINNING = """
import os, signal, sys
from pathlib import Path

import slurmkit
from slurmkit import Cluster, UnknownJob, JobDirectoryError

root, last_step = Path(sys.argv[1]), int(sys.argv[2])
steps, opens = 0, True


def on_event(event, args):
    # Everything that changes something outside of this process: it is killed just before.
    global steps
    writes = opens and event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
    if event in ("os.mkdir", "os.rename", "os.remove", "subprocess.Popen") or writes:
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)


@slurmkit.task
def work(item=0):
    raise NotImplementedError("it is simulated")
"""

CLIENT = """
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

ARRAY_CLIENT = """
opens = False  # each file is renamed when it is written, which is a step
with Cluster("slurm", job_root=root) as cluster:
    known = cluster.jobs()
    sys.addaudithook(on_event)
    [array] = known or [cluster.map(work, range(3))]
    outcomes = array.outcomes(timeout=60)
    assert set(outcomes.errors) == set(range(len(array), 3))
    results = outcomes.results | array.retry_failed().outcomes(timeout=60).results
    print(sorted(results.items()))
"""


def client(slurm: FakeSlurm, root: Path, last_step: int, program: str = CLIENT) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", BEGINNING + program, str(root), str(last_step)]
    return subprocess.Popen(argv, env=slurm.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(slurm: FakeSlurm, root: Path, last_step: int = 0, program: str = CLIENT) -> tuple[int, str, str]:
    process = client(slurm, root, last_step, program)
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


EVERY = "[(0, 7), (1, 7), (2, 7)]\n"
FIRST_SBATCH = 8
"""The step at which a client submits an array for the first time."""


@pytest.mark.parametrize(("max_array_size", "first_step", "sizes"), [(1001, 1, {3}), (2, FIRST_SBATCH, {2, 3})])
def test_killed_before_each_step_of_an_array(
    tmp_path: Path, max_array_size: int, first_step: int, sizes: set[int]
) -> None:
    """One of one part, and one that is refused as such and becomes two. Items that were not submitted are submitted then."""
    attached = set()
    for last_step in range(first_step, 100):
        with FakeSlurm(conf=[f"MaxArraySize={max_array_size}"]) as slurm:
            slurm.simulate(Simulated(0, result=7))
            root = tmp_path / f"{last_step}"
            code, out, err = result(slurm, root, last_step, ARRAY_CLIENT)
            if code == 0:
                break
            assert code == -9, err
            killed = f"killed before step {last_step}"
            with Cluster(slurm.backend(), job_root=root) as cluster:
                attached |= {len(array) for array in cluster.jobs() if isinstance(array, JobArray)}
            assert result(slurm, root, 0, ARRAY_CLIENT) == (0, EVERY, ""), killed
            started = [event.job_id for event in slurm.history if isinstance(event, JobStarted)]
            assert len(started) == len(set(started)) == 3, killed
    assert (out, attached) == (EVERY, sizes)
    assert last_step > first_step + 4


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
