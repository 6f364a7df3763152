"""slurmkit where something is not as usual: a client that is itself a job, and nodes that do not see what the client sees."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest
from slurmkit import Cluster, JobContext, JobFailed, task

SECONDS = 60


@task
def look(*, job: JobContext) -> dict[str, Any]:
    return {"context": (str(job.job_id), job.rank, job.world_size, job.num_nodes), "env": dict(os.environ)}


@task
def submit_another(job_root: str, *, job: JobContext) -> tuple[str, dict[str, Any]]:
    """The first rank is the client of another job."""
    if job.rank:
        return "", {}
    with Cluster("slurm", job_root=job_root) as cluster:
        inner = cluster.submit(look)
        return inner.job_id, inner.result(timeout=SECONDS)


def test_a_job_that_submits_another(slurm_cluster: Cluster, tmp_path: Path) -> None:
    """Nothing of the outer job's ``SLURM_*`` reaches the inner one."""
    options: dict[str, Any] = {"nodes": 2, "ntasks": 3, "cpus_per_task": 1, "job_name": "outer", "exclusive": False}
    outer = slurm_cluster.submit(submit_another.with_options(**options), str(tmp_path / "inner"))
    inner_id, seen = outer.result(timeout=2 * SECONDS)
    assert inner_id != outer.job_id
    assert seen["context"] == (inner_id, 0, 1, 1)
    environment = seen["env"]
    assert environment["SLURM_JOB_ID"] == inner_id
    assert environment["SLURM_JOB_NAME"] == "look"
    assert environment["SLURM_JOB_NUM_NODES"] == "1"
    assert not {"SLURM_NTASKS", "SLURM_NPROCS", "SLURM_CPUS_PER_TASK", "SLURM_STEP_ID"} & set(environment)


def test_a_node_that_does_not_see_the_job_root(slurm: SlurmUnderTest) -> None:
    """Slurm cannot write the output (22.05), or makes the directories (24.11) and the runner finds nothing in them."""
    root = slurm.workdir / "jobs"
    with Cluster(slurm.backend(), job_root=root) as cluster:
        job = cluster.submit(recorder.add.with_options(hold=True), 1)
        seen_here = root.rename(slurm.workdir / "here")
        assert slurm.run("scontrol", "release", job.job_id).returncode == 0
        fields = slurm.wait(job.job_id)
        if slurm.at_least("24.11"):
            assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("FAILED", "NonZeroExitCode", "70:0")
            seen_there = root.rename(slurm.workdir / "there") / job.job_dir.name
            assert (
                f"{str(job.job_dir)!r} is no job directory: it has no job.json" in (seen_there / "stderr").read_text()
            )
        else:
            assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("FAILED", "JobLaunchFailure", "0:53")
        seen_here.rename(root)
        error = job.exception(timeout=SECONDS)
        assert isinstance(error, JobFailed)
        assert "the job root has to be a directory that the nodes see under the same path" in str(error)
