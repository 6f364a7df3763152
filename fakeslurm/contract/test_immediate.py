"""salloc and srun --immediate: how long they wait for resources, and what becomes of the job that they ask for."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until
from fakeslurm.contract.texts import without_chance

BUSY, WAITED = (
    "Unable to allocate resources: Requested nodes are busy",
    "Unable to allocate resources: Connection timed out",
)
both = pytest.mark.parametrize("program", ["salloc", "srun"])


def occupied(slurm: SlurmUnderTest) -> str:
    slurm.wait_idle()
    job_id = slurm.sbatch("sleep 300", "-N4", "--exclusive")
    slurm.wait(job_id, ["RUNNING"])
    return job_id


def latest(slurm: SlurmUnderTest) -> dict[str, str]:
    """The fields of the youngest job."""
    text = slurm.run("scontrol", "-o", "show", "job").stdout
    job_id = max(map(int, re.findall(r"JobId=(\d+)", text)))
    return slurm.show(f"{job_id}") or {}


@both
@pytest.mark.parametrize("option", ["-I", "--immediate=1", "--immediate="])
def test_not_at_all(slurm: SlurmUnderTest, program: str, option: str) -> None:
    occupied(slurm)
    done = slurm.run(program, option, "true")
    assert (done.returncode, without_chance(done.stderr)) == (1, f"{program}: error: {BUSY}\n")
    fields = latest(slurm)
    seen = [fields[name] for name in ("JobState", "Reason", "ExitCode", "NodeList")]
    assert seen == ["FAILED", "BadConstraints", "0:1", ""]


@both
def test_some_seconds(slurm: SlurmUnderTest, program: str) -> None:
    occupied(slurm)
    done = slurm.run(program, "--immediate=2", "true")
    said = without_chance(done.stderr).splitlines()
    assert (done.returncode, said[-1]) == (1, f"{program}: error: {WAITED if program == 'salloc' else BUSY}")
    assert said[-2].endswith(" queued and waiting for resources")
    fields = latest(slurm)
    assert [fields[name] for name in ("JobState", "Reason", "ExitCode")] == ["CANCELLED", "Resources", "0:0"]


@both
@pytest.mark.parametrize("option", ["--immediate=60", "--immediate=0"])
def test_long_enough(slurm: SlurmUnderTest, program: str, option: str) -> None:
    """0 is no limit."""
    slurm.wait_idle()
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.1; done", "-N4", "--exclusive")
    slurm.wait(job_id, ["RUNNING"])
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(slurm.run, program, option, "true")
        until(lambda: slurm.run("squeue", "-h", "-t", "PD", "-o", "%i").stdout, what="it waits")
        (slurm.workdir / "go").touch()
        assert called.result(60).returncode == 0


@both
@pytest.mark.parametrize("text", ["x", "-1", "2x", "1.5"])
def test_no_number(slurm: SlurmUnderTest, program: str, text: str) -> None:
    done = slurm.run(program, f"--immediate={text}", "true")
    assert (done.returncode, done.stderr) == (1, f'{program}: error: Invalid numeric value "{text}" for immediate.\n')


def test_variable_of_salloc(slurm: SlurmUnderTest) -> None:
    done = slurm.run("salloc", "true", env={"SALLOC_IMMEDIATE": "x"})
    assert (done.returncode, done.stderr) == (1, 'salloc: error: Invalid numeric value "x" for immediate.\n')
    occupied(slurm)
    done = slurm.run("salloc", "true", env={"SALLOC_IMMEDIATE": "1"})
    assert (done.returncode, without_chance(done.stderr)) == (1, f"salloc: error: {BUSY}\n")


@both
def test_larger_than_an_int(slurm: SlurmUnderTest, program: str) -> None:
    slurm.wait_idle()
    done = slurm.run(program, "--immediate=9999999999", "true")
    if slurm.at_least("24.11"):
        expected = f"{program}: error: Numeric argument (9999999999) too large for immediate.\n"
        assert (done.returncode, done.stderr) == (1, expected)
    else:
        assert done.returncode == 0


@both
def test_what_is_shown_of_the_command(slurm: SlurmUnderTest, program: str) -> None:
    """Its name as it was given; of salloc since 24.11."""
    done = slurm.run(program, "/bin/sh", "-c", "scontrol show job $SLURM_JOB_ID | grep Command=")
    told = program == "srun" or slurm.at_least("24.11")
    assert done.stdout.strip() == f"Command={'/bin/sh' if told else '(null)'}"
