"""States and exit codes: how a job ends, and what scontrol and sacct say of it."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest


@pytest.mark.parametrize(
    ("body", "state", "exit_code", "reason"),
    [
        ("true", "COMPLETED", "0:0", "None"),
        ("exit 3", "FAILED", "3:0", "NonZeroExitCode"),
        ("exit 300", "FAILED", "44:0", "NonZeroExitCode"),
        ("bash -c 'kill -9 $$'; exit $?", "FAILED", "137:0", "NonZeroExitCode"),
        ("srun sh -c 'exit 7'; exit 0", "COMPLETED", "0:0", "None"),
    ],
    ids=["success", "exit 3", "exit 300", "child killed", "failing step"],
)
def test_how_a_script_ends(slurm: SlurmUnderTest, body: str, state: str, exit_code: str, reason: str) -> None:
    fields = slurm.wait(slurm.sbatch(body))
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == (state, exit_code, reason)
    # sacct folds a code over 128 as if it were a signal's: 137 is shown as 9.
    accounted = "9:0" if exit_code == "137:0" else exit_code
    rows = slurm.accounted(fields["JobId"], "State,ExitCode", "-X")
    assert rows == [{"State": state, "ExitCode": accounted}]


@pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("TERM", 15)])
def test_script_that_kills_itself(slurm: SlurmUnderTest, name: str, number: int) -> None:
    fields = slurm.wait(slurm.sbatch(f"kill -{name} $$"))
    assert (fields["JobState"], fields["ExitCode"]) == ("FAILED", f"0:{number}")
    if slurm.version.startswith("22.05"):
        assert fields["Reason"] == "JobLaunchFailure"
    else:
        assert fields["Reason"].startswith(f"RaisedSignal:{number}(")


def test_derived_exit_code_is_the_worst_step(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun sh -c 'exit 7'; srun sh -c 'exit 2'; exit 0")
    slurm.wait(job_id)
    rows = slurm.accounted(job_id, "JobID,State,ExitCode,DerivedExitCode")
    assert rows == [
        {"JobID": job_id, "State": "COMPLETED", "ExitCode": "0:0", "DerivedExitCode": "7:0"},
        {"JobID": f"{job_id}.batch", "State": "COMPLETED", "ExitCode": "0:0", "DerivedExitCode": ""},
        {"JobID": f"{job_id}.0", "State": "FAILED", "ExitCode": "7:0", "DerivedExitCode": ""},
        {"JobID": f"{job_id}.1", "State": "FAILED", "ExitCode": "2:0", "DerivedExitCode": ""},
    ]


@pytest.mark.parametrize("option", ["--output=missing/deep/out.txt", "--chdir={workdir}/missing"])
def test_output_directory_that_does_not_exist(slurm: SlurmUnderTest, option: str) -> None:
    """Newer Slurms make it; with older ones the job fails before its script runs."""
    script = slurm.script(f"echo here > {slurm.workdir}/ran.txt")
    done = slurm.run("sbatch", "--parsable", option.format(workdir=slurm.workdir), script)
    fields = slurm.wait(done.stdout.strip())
    outcome = (fields["JobState"], fields["ExitCode"], fields["Reason"])
    if slurm.at_least("24.11"):
        assert outcome == ("COMPLETED", "0:0", "None")
    else:
        assert outcome == ("FAILED", "0:53", "JobLaunchFailure")
    assert (slurm.workdir / "ran.txt").exists() == (slurm.workdir / "missing").exists() == slurm.at_least("24.11")


@pytest.mark.parametrize("options", ["-i missing", "-o /etc/passwd/x", "-o out -e ."])
def test_files_that_cannot_be_opened(slurm: SlurmUnderTest, options: str) -> None:
    job_id = slurm.sbatch("true", *options.split())
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"]) == ("FAILED", "0:53")
    reason = "RaisedSignal:53(Real-time signal 19)" if slurm.at_least("24.11") else "JobLaunchFailure"
    assert slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%r").stdout == f"{reason}\n"
    assert fields["Reason"] == reason.replace(" ", "_")


def test_interpreter_that_does_not_exist(slurm: SlurmUnderTest) -> None:
    script = slurm.script("true", shebang="#!/no/such/interpreter")
    done = slurm.run("sbatch", "--parsable", "--output=bad.out", script)
    fields = slurm.wait(done.stdout.strip())
    assert (fields["JobState"], fields["ExitCode"]) == ("FAILED", "2:0")
    assert "execve(): bad interpreter(/no/such/interpreter): No such file or directory" in slurm.output("bad.out")


def test_states_on_the_way(slurm: SlurmUnderTest) -> None:
    """A held job is PENDING, runs once it is released, and is COMPLETED when its script ends."""
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "--hold")
    assert slurm.wait(job_id, ["PENDING"])["Reason"] == "JobHeldUser"
    assert slurm.run("scontrol", "release", job_id).returncode == 0
    running = slurm.wait(job_id, ["RUNNING"])
    assert running["NodeList"] != "(null)"
    assert running["Reason"] == "None"
    (slurm.workdir / "go").touch()
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"


def test_a_job_waits_for_resources(slurm: SlurmUnderTest) -> None:
    """With every node taken exclusively the next job is PENDING for Resources, and starts when they are free."""
    info = slurm.run("sinfo", "-h", "-o", "%D")
    nodes = info.stdout.split()[0]
    first = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "-N", nodes, "--exclusive")
    slurm.wait(first, ["RUNNING"])
    second = slurm.sbatch("true", "-N", nodes, "--exclusive")
    third = slurm.sbatch("true", "-N", nodes, "--exclusive")
    from fakeslurm.contract.harness import until

    until(
        lambda: (
            (slurm.wait(second, ["PENDING"])["Reason"], slurm.wait(third, ["PENDING"])["Reason"])
            == ("Resources", "Priority")
        ),
        what="reasons Resources and Priority",
    )
    (slurm.workdir / "go").touch()
    assert [slurm.wait(job)["JobState"] for job in (first, second, third)] == ["COMPLETED"] * 3
