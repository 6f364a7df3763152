"""scancel: what it ends, what it says, and what is left behind."""

from __future__ import annotations

import re

from fakeslurm.contract.harness import SlurmUnderTest, until


def test_pending_job(slurm: SlurmUnderTest) -> None:
    """A job that never ran is CANCELLED at once, keeps its reason, has run no second and left no output file."""
    job_id = slurm.sbatch("echo never", "--hold")
    done = slurm.run("scancel", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("CANCELLED", "0:0", "JobHeldUser")
    assert fields["StartTime"] == fields["EndTime"]
    assert not list(slurm.workdir.glob("*.out"))


def test_running_job_that_dies_on_term(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("echo up > up; exec sleep 60", "-o", "o.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("CANCELLED", "0:15", "None")
    uid = re.search(r"\((\d+)\)", fields["UserId"])
    assert uid is not None
    expected = [
        {"JobID": job_id, "State": f"CANCELLED by {uid[1]}", "ExitCode": "0:0"},
        {"JobID": f"{job_id}.batch", "State": "CANCELLED", "ExitCode": "0:15"},
    ]
    # The batch row is first closed with the job, and gets its own exit code a moment later.
    until(lambda: slurm.accounted(job_id, "JobID,State,ExitCode") == expected, what=f"sacct shows {expected}")


def test_the_notice_in_the_output(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("echo up > up; exec sleep 60", "-o", "o.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    node = slurm.wait(job_id)["NodeList"]
    pattern = rf"slurmstepd(-{node})?: error: \*\*\* JOB {job_id} ON {node} CANCELLED AT \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d \*\*\*\n"
    assert re.fullmatch(pattern, slurm.output("o.txt"))


def test_job_that_handles_term(slurm: SlurmUnderTest) -> None:
    """SIGTERM reaches the script itself; what it does then is in its output, and the job is CANCELLED all the same."""
    body = "trap 'echo caught; exit 3' TERM; echo up > up; while :; do sleep 0.1; done"
    job_id = slurm.sbatch(body, "-o", "o.txt", "-e", "e.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], slurm.output("o.txt")) == ("CANCELLED", "caught\n")
    assert fields["ExitCode"] == "3:0"


def test_job_that_ignores_term_is_killed(slurm: SlurmUnderTest) -> None:
    body = "trap '' TERM; echo up > up; while :; do sleep 0.1; done"
    job_id = slurm.sbatch(body, "-o", "o.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id, timeout=90)
    assert (fields["JobState"], fields["ExitCode"]) == ("CANCELLED", "0:9")


def test_signal_to_the_steps_only(slurm: SlurmUnderTest) -> None:
    """``scancel -s`` reaches the steps and not the batch script."""
    body = (
        "trap 'echo script' USR1\n"
        """srun sh -c 'trap "echo step; exit 0" USR1; echo up > up; while :; do sleep 0.05; done'\n"""
        "echo rc $?"
    )
    job_id = slurm.sbatch(body, "-o", "o.txt", "-e", "e.txt")
    until((slurm.workdir / "up").exists, what="the step runs")
    assert slurm.run("scancel", "-s", "USR1", job_id).returncode == 0
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert slurm.output("o.txt") == "step\nrc 0\n"


def test_signal_to_the_batch_script_only(slurm: SlurmUnderTest) -> None:
    body = "trap 'echo caught; exit 0' USR1; echo up > up; while :; do sleep 0.05; done"
    job_id = slurm.sbatch(body, "-o", "o.txt", "-e", "e.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    assert slurm.run("scancel", "--batch", "--signal=USR1", job_id).returncode == 0
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert slurm.output("o.txt") == "caught\n"


def test_children_of_the_script_end_with_it(slurm: SlurmUnderTest) -> None:
    body = "setsid sh -c 'echo $$ > child; exec sleep 300' & until [ -s child ]; do sleep 0.02; done; exec sleep 60"
    job_id = slurm.sbatch(body)
    child = slurm.workdir / "child"
    until(lambda: child.exists() and child.read_text().strip(), what="the child runs")
    slurm.run("scancel", job_id)
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


def test_unknown_and_impossible_ids(slurm: SlurmUnderTest) -> None:
    done = slurm.run("scancel", "99999999")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = slurm.run("scancel", "abc")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "scancel: error: Invalid job id abc\n")
    done = slurm.run("scancel")
    assert (done.returncode, done.stderr) == (1, "scancel: error: No job identification provided\n")


def test_finished_job(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true")
    slurm.wait(job_id)
    done = slurm.run("scancel", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    fields = slurm.show(job_id)
    assert fields is not None
    assert fields["JobState"] == "COMPLETED"


def test_by_name_and_state(slurm: SlurmUnderTest) -> None:
    mine = [slurm.sbatch("true", "--hold", "-J", "by-name") for _ in range(2)]
    other = slurm.sbatch("true", "--hold", "-J", "another")
    assert slurm.run("scancel", "--name=by-name", "--state=PENDING", "--me").returncode == 0
    assert [slurm.wait(job)["JobState"] for job in mine] == ["CANCELLED"] * 2
    fields = slurm.show(other)
    assert fields is not None
    assert fields["JobState"] == "PENDING"
    slurm.run("scancel", other)
