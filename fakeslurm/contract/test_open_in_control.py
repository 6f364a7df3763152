"""What the fake is known to do otherwise than slurmctld: jobs in their grace time."""

from __future__ import annotations

import os
from signal import SIGCONT

import pytest

from fakeslurm.contract.differences import compare_known
from fakeslurm.contract.harness import SlurmUnderTest, shown, until


@pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=high Nodes=ALL PriorityTier=10",
    "PartitionName=patient Nodes=ALL GraceTime=30",
)
def test_while_steps_are_told_that_the_grace_time_begins(slurm: SlurmUnderTest) -> None:
    """Slurm shows SIGNALING until they are, which is but a moment: the real slurmstepd is stopped, so that it lasts."""
    stop = "kill -STOP $PPID; " if slurm.is_real else ""
    body = f"srun -n1 sh -c 'trap \"\" TERM; echo $PPID > pid; {stop}mv pid stepd; exec sleep 300'"
    job_id = slurm.sbatch(body, "-p", "patient", "-w", "n1", "-n4")
    until((slurm.workdir / "stepd").exists, what="the step runs")
    slurm.sbatch("true", "-p", "high", "-w", "n1")
    try:
        until(lambda: shown(slurm, job_id).get("PreemptTime", "None") != "None", what="the grace time begins")
        state = shown(slurm, job_id)["JobState"]
        compare_known(slurm, state, real="SIGNALING", fake="RUNNING")
    finally:
        if slurm.is_real:
            os.kill(int(slurm.output("stepd")), SIGCONT)
