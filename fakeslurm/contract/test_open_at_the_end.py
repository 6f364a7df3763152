"""What the fake is known to say otherwise than Slurm of jobs that have just begun or just ended: docs/open.md."""

from __future__ import annotations

import pytest

from fakeslurm.contract.differences import compare_known
from fakeslurm.contract.harness import SlurmUnderTest, lose_state, until


@pytest.mark.slurm_conf("MessageTimeout=2", "FirstJobId=27")  # a cluster of its own: job ids come again
def test_what_ran_when_slurmctld_lost_its_state(slurm: SlurmUnderTest) -> None:
    """Slurm knows nothing of it, and kills its processes when their node registers; the fake ends it as scancel does."""
    job_id = slurm.sbatch("trap '' TERM; touch up; while :; do sleep 0.1; done", "-o", "/dev/null")
    until((slurm.workdir / "up").exists, what="the script runs")
    lose_state(slurm)
    queue = slurm.run("squeue", "-h", "-o", "%i %T").stdout
    compare_known(slurm, queue, real="", fake=f"{job_id} COMPLETING\n")
    slurm.wait_idle()


def test_names_of_a_heterogeneous_job_in_its_first_second(slurm: SlurmUnderTest) -> None:
    """On 22.05 accounting hears of its script before it hears of the job."""
    job_id = slurm.sbatch("sleep 60", "-J", "first", ":", "-J", "second")
    asked = ("sacct", "-n", "-P", "-X", "-j", job_id, "-o", "JobName")
    names = until(lambda: slurm.run(*asked).stdout.split(), what="the job in accounting")
    if slurm.at_least("24.11"):
        assert names[0] == "first"
    else:
        compare_known(slurm, names[0], real="allocation", fake="first")
    until(lambda: slurm.run(*asked).stdout.split() == ["first", "second"], what="the names of both")


def test_cpu_time_of_a_job(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done", "-o", "/dev/null")
    slurm.wait(job_id)
    asked = "JobID,TotalCPU"
    done = {"JobID": job_id, "TotalCPU": "00:00:00"}
    if slurm.is_real:
        until(lambda: slurm.accounted(job_id, asked)[0] != done, what="the CPU time in accounting")
    rows = slurm.accounted(job_id, asked)
    compare_known(slurm, [row["TotalCPU"] != "00:00:00" for row in rows], real=[True, True], fake=[False, False])
