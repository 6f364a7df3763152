"""``scontrol write batch_script``, ``wait_job``, ``notify``, and reservations. Measured: docs/measured/other-commands.md."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until


def scontrol(slurm: SlurmUnderTest, *words: str) -> tuple[int, str, str]:
    done = slurm.run("scontrol", *words)
    return done.returncode, done.stdout, done.stderr


def running(slurm: SlurmUnderTest, *options: str) -> str:
    job_id = slurm.sbatch("sleep 100", *options)
    slurm.wait(job_id, ["RUNNING"])
    return job_id


SCRIPT = "#!/bin/bash\necho 'häl\\lo'\n"


def test_scripts(slurm: SlurmUnderTest) -> None:
    """Of jobs that wait and of jobs that have ended, byte for byte."""
    job_id = slurm.sbatch("echo 'häl\\lo'", "--hold")
    assert scontrol(slurm, "write", "batch_script", job_id, "-") == (0, SCRIPT, "")
    assert scontrol(slurm, "write", "batch", job_id, "-") == (0, SCRIPT, "")
    name = f"slurm-{job_id}.sh"
    assert scontrol(slurm, "write", "batch_script", job_id) == (
        0,
        f"batch script for job {job_id} written to {name}\n",
        "",
    )
    assert slurm.output(name) == SCRIPT
    (slurm.workdir / "b.sh").write_text("a longer one\n" * 20)
    for path in ("a.sh", f"{slurm.workdir}/b.sh"):
        said = f"batch script for job {job_id} written to {path}\n"
        assert scontrol(slurm, "write", "batch_script", job_id, path) == (0, said, "")
    assert slurm.output("a.sh") == slurm.output("b.sh") == SCRIPT
    assert scontrol(slurm, "-Q", "write", "batch_script", job_id, "c.sh") == (0, "", "")
    assert slurm.output("c.sh") == SCRIPT
    slurm.run("scancel", job_id)
    assert scontrol(slurm, "write", "batch_script", job_id, "-") == (0, SCRIPT, "")
    array = slurm.sbatch("echo 'häl\\lo'", "--hold", "-a", "1-2")
    assert scontrol(slurm, "write", "batch_script", f"{array}_1", "-") == (0, SCRIPT, "")


def test_the_mode_of_a_script(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold")
    (slurm.workdir / "old.sh").touch()
    (slurm.workdir / "old.sh").chmod(0o755)
    slurm.run("scontrol", "write", "batch_script", job_id, "old.sh")
    slurm.run("scontrol", "write", "batch_script", job_id, "new.sh")
    modes = [(slurm.workdir / name).stat().st_mode & 0o777 for name in ("old.sh", "new.sh")]
    (slurm.workdir / "mine").touch()
    assert modes == [0o755, (slurm.workdir / "mine").stat().st_mode & 0o777]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("write", (1, "", "too few arguments for keyword:write\n")),
        ("write batch_script", (0, "", "")),
        ("write batc 1", (1, "", "invalid write argument:batc\n")),
        ("write bogus 1", (1, "", "invalid write argument:bogus\n")),
        ("write batch_script 1 a b", (1, "", "too many arguments for keyword:write\n")),
        ("write batch_script 2000000000", (0, "", "job script retrieval failed: Invalid job id specified\n")),
        ("write batch_script jobid=1", (0, "", "job script retrieval failed: Invalid job id specified\n")),
        ("wait_job", (1, "", "too few arguments for keyword:wait_job\n")),
        ("wait_job 1 1", (1, "", "too many arguments for keyword:wait_job\n")),
        ("wait_job abc", (1, "", "Invalid job_id abc")),
        ("wait_job 2000000000", (1, "", "scontrol: Problem running job 2000000000\n")),
        ("-Q wait_job 2000000000", (1, "", "scontrol: Problem running job 2000000000\n")),
        ("notify 1", (1, "", "too few arguments for keyword:notify\n")),
        ("notify abc x", (1, "", "Invalid job_id abcjob notify failure: No error\n")),
        ("notify 2000000000 x", (1, "", "job notify failure: Invalid job id specified\n")),
        ("show reservations", (0, "No reservations in the system\n", "")),
        ("show res foo", (1, "Reservation foo not found\n", "")),
        ("show res=foo", (1, "Reservation foo not found\n", "")),
        ("to 1", (1, "", "invalid keyword: to\n")),
        ("writ batch_script 1", (1, "", "invalid keyword: writ\n")),
    ],
)
def test_answers(slurm: SlurmUnderTest, words: str, answer: tuple[int, str, str]) -> None:
    assert scontrol(slurm, *words.split()) == answer


def test_a_script_that_cannot_be_written(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold")
    said = "failed to open file `/nonexistent/x`: No such file or directory\n"
    assert scontrol(slurm, "write", "batch_script", job_id, "/nonexistent/x") == (0, "", said)


def test_waiting_for_a_job(slurm: SlurmUnderTest) -> None:
    """One that has not started is not waited for."""
    job_id = slurm.sbatch("sleep 100", "--hold")
    assert scontrol(slurm, "wait_job", job_id) == (1, "", f"scontrol: Job {job_id} no longer running\n")
    slurm.run("scontrol", "release", job_id)
    slurm.wait(job_id, ["RUNNING"])
    ready = (0, "", f"scontrol: Nodes are ready for job {job_id}\n")
    assert scontrol(slurm, "wait_job", job_id) == ready
    assert scontrol(slurm, "wait", job_id) == ready
    slurm.run("scancel", job_id)
    slurm.wait(job_id)
    assert scontrol(slurm, "wait_job", job_id) == (1, "", f"scontrol: Job {job_id} no longer running\n")


def test_notes_for_a_script(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("echo begun; srun -o step sleep 100", "-o", "out")
    until(lambda: (slurm.workdir / "step").exists(), what="the step runs")
    assert scontrol(slurm, "notify", job_id, "hello", "you") == (0, "", "")
    # slurmctld passes each on from a thread of its own.
    until(lambda: slurm.output("out") == "begun\nslurmstepd-n1: error: hello you\n", what="the note is there")
    assert scontrol(slurm, "notif", f"{job_id}.batch", "") == (0, "", "")
    lines = "slurmstepd-n1: error: hello you\nslurmstepd-n1: error: \n"
    until(lambda: slurm.output("out") == f"begun\n{lines}", what="both lines are there")
    assert slurm.output("step") == ""
    slurm.run("scancel", job_id)
    slurm.wait(job_id)
    over = "job notify failure: Job/step already completing or completed\n"
    assert scontrol(slurm, "notify", job_id, "x") == (1, "", over)


def test_jobs_that_hear_no_notes(slurm: SlurmUnderTest) -> None:
    held = slurm.sbatch("true", "--hold")
    disabled = "job notify failure: Requested operation is presently disabled\n"
    assert scontrol(slurm, "notify", held, "x") == (1, "", disabled)
    suspended = running(slurm)
    slurm.run("scontrol", "suspend", suspended)
    over = "job notify failure: Job/step already completing or completed\n"
    assert scontrol(slurm, "notify", suspended, "x") == (1, "", over)
    assert scontrol(slurm, "wait_job", suspended) == (0, "", f"scontrol: Nodes are ready for job {suspended}\n")
