"""Known differences in steps: docs/open.md."""

from __future__ import annotations

import re
import shutil

import pytest

from fakeslurm.contract.differences import compare_known
from fakeslurm.contract.harness import SlurmUnderTest, until


@pytest.mark.parametrize("export", ["NONE", "NIL"])
def test_commands_in_jobs_without_a_login(slurm: SlurmUnderTest, export: str) -> None:
    """Where a job has no PATH its shell has one of its own, which does not lead to the fake's commands."""
    slurm.wait(slurm.sbatch("command -v srun", f"--export={export}", "-o", "o"))
    found = slurm.output("o").strip() == shutil.which("srun", path=slurm.base_environment["PATH"])
    if export == "NIL" and slurm.at_least("24.11"):
        compare_known(slurm, found, real=True, fake=False)
    else:
        assert found


def test_scancel_of_steps_while_jobs_wait_behind_theirs(slurm: SlurmUnderTest) -> None:
    """scancel asks twice then."""
    slurm.wait_idle()
    job_id = slurm.sbatch("srun sh -c ': > up; exec sleep 60'", "-w", "n1")
    until((slurm.workdir / "up").exists, what="the step runs")
    signal = ("scancel", "-v", "-s", "CONT", f"{job_id}.0")
    assert slurm.run(*signal).stderr.count(f"Signal 18 to step {job_id}.0\n") == 1
    waits = slurm.sbatch("true", "--exclusive", "-w", "n1")
    times = slurm.run(*signal).stderr.count(f"Signal 18 to step {job_id}.0\n")
    compare_known(slurm, times, real=2, fake=1)
    slurm.run("scancel", waits, job_id)
    slurm.wait(job_id)


@pytest.mark.slurm_conf("GresTypes=gpu", "NodeName=n1 Gres=gpu:1")
@pytest.mark.parametrize("options", ["-c3", "-n3 -N1"])
def test_cpus_of_gres(slurm: SlurmUnderTest, options: str) -> None:
    """Which CPUs three of four are: the last ones with gres, though not those of two, nor without -N."""
    slurm.wait_idle()
    body = "scontrol -d show job $SLURM_JOB_ID"
    slurm.wait(slurm.sbatch(body, *options.split(), "--gres=gpu:1", "-w", "n1", "-o", "o"))
    compare_known(slurm, re.findall(r" CPU_IDs=(\S+)", slurm.output("o")), real=["1-3"], fake=["0-2"])


def test_more_tasks_than_cpus_with_exact_and_overcommit(slurm: SlurmUnderTest) -> None:
    """22.05 says "More processors requested than permitted" on one node, though not of five tasks on two with four."""
    slurm.wait(slurm.sbatch("srun -n3 -O --exact true; echo $?", "-n2", "-o", "o", "-e", "e"))
    code = slurm.output("o").strip()
    if slurm.at_least("24.11"):
        assert code == "0"
    else:
        compare_known(slurm, code, real="1", fake="0")


@pytest.mark.parametrize(("word", "kind"), [("v", ""), ("verbose", ",threads")])
def test_verbose_binding_of_a_job_with_threads(slurm: SlurmUnderTest, word: str, kind: str) -> None:
    """22.05 knows one of the two words only, and says then twice that it cannot bind."""
    slurm.wait(
        slurm.sbatch(f"srun --cpu-bind={word} printenv SLURM_CPU_BIND", "--threads-per-core=1", "-o", "o", "-e", "e")
    )
    found = slurm.output("o").strip()
    if slurm.at_least("24.11"):
        assert found == "verbose,threads"
    elif kind:
        compare_known(
            slurm,
            (found, slurm.output("e").count("lacks support")),
            real=(f"verbose{kind}{word}", 2),
            fake=("verbose", 1),
        )
    else:
        assert found == "verbose"
