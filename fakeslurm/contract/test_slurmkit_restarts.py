"""What a client finds that is not the one which has submitted: all jobs of the root, their results and events; and the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, until
from slurmkit import Cluster, JobArray, JobCancelled

SECONDS = 90


def completed(path: Path) -> list[str]:
    return sorted(event["job_id"] for event in recorder.events(path, "on_completed_ctx", "client"))


def test_another_client_has_everything_back(slurm: SlurmUnderTest, tmp_path: Path) -> None:
    """Completed events are told once for this root and the same callback, those of the runner have been told in the jobs."""
    root, gate = slurm.workdir / "jobs", tmp_path / "gate"
    submitted, log = tmp_path / "submitted", tmp_path / "log"
    with Cluster(slurm.backend(), job_root=root, callbacks=[recorder.Recorder(submitted)]) as first:
        job = first.submit(recorder.wait_for, str(gate))
        array = first.map(recorder.add, [1, 2])
        array.wait(timeout=SECONDS)
    gate.touch()
    with Cluster(slurm.backend(), job_root=root, callbacks=[recorder.Recorder(log)]) as second:
        again, several = second.jobs()
        assert not isinstance(again, JobArray)
        assert isinstance(several, JobArray)
        assert (again.job_id, several.job_ids) == (job.job_id, array.job_ids)
        assert (again.result(timeout=SECONDS), several.results(timeout=SECONDS)) == (str(gate), [1, 2])
    with Cluster(slurm.backend(), job_root=root, callbacks=[recorder.Recorder(log)]) as third:
        for one in third.jobs():
            one.wait(timeout=SECONDS)
    assert completed(submitted) == sorted(one.job_id for one in array)
    assert completed(log) == [job.job_id]
    runner = recorder.events(submitted, "on_completed_ctx", "runner")
    assert sorted(event["job_id"] for event in runner) == sorted([job.job_id, *(one.job_id for one in array)])


def test_closing_leaves_jobs_alone_or_cancels_them(slurm: SlurmUnderTest, tmp_path: Path) -> None:
    root, gate = slurm.workdir / "jobs", tmp_path / "gate"
    with Cluster(slurm.backend(), job_root=root) as first:
        left = first.submit(recorder.wait_for, str(gate))
    second = Cluster(slurm.backend(), job_root=root)
    cancelled = second.submit(recorder.wait_for, str(gate))
    second.close(cancel=True)
    with Cluster(slurm.backend(), job_root=root) as third:
        assert isinstance(third.attach(cancelled.job_id).exception(timeout=SECONDS), JobCancelled)
        gate.touch()
        assert third.attach(left.job_dir).result(timeout=SECONDS) == str(gate)


def command(slurm: SlurmUnderTest, *words: str) -> str:
    argv = [
        sys.executable,
        "-c",
        "from slurmkit.cli import main; main()",
        *words,
        "--job-root",
        str(slurm.workdir / "jobs"),
    ]
    done = subprocess.run(
        argv, env=dict(slurm.base_environment), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands(slurm: SlurmUnderTest, tmp_path: Path) -> None:
    """`clean` removes what is over, and no more."""
    gate = tmp_path / "gate"
    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs") as cluster:
        done = cluster.map(recorder.add, [1, 2]).wait(timeout=SECONDS)
        live = cluster.submit(recorder.wait_for, str(gate))
        until(lambda: live.state == "RUNNING", what="it runs", interval=0.1)
        listed = command(slurm, "jobs")
        assert "2 COMPLETED" in listed
        assert live.job_id in listed
        assert "1 of 2 job directories removed" in command(slurm, "clean", "--older-than", "0s")
        assert (done.job_dir.exists(), live.job_dir.exists()) == (False, True)
        gate.touch()
        assert live.result(timeout=SECONDS) == str(gate)


@pytest.mark.slurm_conf("AccountingStorageType=accounting_storage/none", "MinJobAge=2")
def test_a_site_without_accounting(slurm: SlurmUnderTest) -> None:
    """What slurmctld has forgotten the job itself tells."""
    root = slurm.workdir / "jobs"
    with Cluster(slurm.backend(), job_root=root) as first:
        jobs = [first.submit(recorder.add, 1), first.submit(recorder.fail_on_rank, 0)]
        until(lambda: all(slurm.show(job.job_id) is None for job in jobs), what="they are forgotten", interval=0.1)
    with Cluster(slurm.backend(), job_root=root) as second:
        good, bad = second.jobs()
        assert not isinstance(good, JobArray)
        assert not isinstance(bad, JobArray)
        assert (good.result(timeout=SECONDS), good.state) == (1, "COMPLETED")
        with pytest.raises(ValueError, match="rank 0 of 1 does not want to"):
            bad.result(timeout=SECONDS)
