"""``scontrol requeue`` and ``requeuehold``: a job that runs again under the same id."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

GATE = "until [ -e go ]; do sleep 0.05; done"


def restarted(slurm: SlurmUnderTest, job_id: str) -> dict[str, str]:
    """The job when it runs for the second time; it waits for AuthInfo=cred_expire (a site's: 120 s) and a second."""

    def again() -> dict[str, str] | None:
        fields = slurm.show(job_id)
        assert fields is not None
        return fields if fields["Restarts"] == "1" and fields["JobState"] == "RUNNING" else None

    found: dict[str, str] = until(again, timeout=180, what=f"job {job_id} runs again")
    return found


def has_said(slurm: SlurmUnderTest, name: str, text: str) -> None:
    until(lambda: (slurm.workdir / name).exists() and text in slurm.output(name), what=f"{text!r} in {name}")


@pytest.mark.parametrize("mode", ["truncate", "append"])
def test_running_job(slurm: SlurmUnderTest, mode: str) -> None:
    job_id = slurm.sbatch(f"echo attempt ${{SLURM_RESTART_COUNT-none}}\n{GATE}", "--output=out", f"--open-mode={mode}")
    has_said(slurm, "out", "attempt none")
    done = slurm.run("scontrol", "requeue", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    waiting = slurm.wait(job_id, ["PENDING"])
    assert (waiting["Restarts"], waiting["ExitCode"], waiting["NodeList"]) == ("1", "0:0", "")
    assert slurm.output("out").endswith(" DUE TO JOB REQUEUE ***\n")
    running = restarted(slurm, job_id)
    assert (running["Reason"], running["RunTime"] < "00:00:05") == ("None", True)
    has_said(slurm, "out", "attempt 1")
    assert ("attempt none" in slurm.output("out")) == (mode == "append")
    (slurm.workdir / "go").touch()
    assert slurm.wait(job_id)["ExitCode"] == "0:0"
    fields = "JobID,State,ExitCode"
    latest = slurm.accounted(job_id, fields)
    assert [list(row.values()) for row in latest] == [
        [job_id, "COMPLETED", "0:0"],
        [f"{job_id}.batch", "COMPLETED", "0:0"],
    ]
    every = slurm.accounted(job_id, fields, "-D")
    assert [list(row.values()) for row in every] == [
        [job_id, "REQUEUED", "0:0"],
        [f"{job_id}.batch", "CANCELLED", "0:15"],
        *(list(row.values()) for row in latest),
    ]


def test_steps_are_counted_anew(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"srun true\nsrun sh -c 'echo step $SLURM_STEP_ID; {GATE}'", "--output=out")
    has_said(slurm, "out", "step 1")
    slurm.run("scontrol", "requeue", job_id)
    slurm.wait(job_id, ["PENDING"])
    has_said(slurm, "out", "CANCELLED")
    restarted(slurm, job_id)
    has_said(slurm, "out", "step 1")
    (slurm.workdir / "go").touch()
    slurm.wait(job_id)
    rows = [list(row.values()) for row in slurm.accounted(job_id, "JobID,State", "-D")]
    steps = [f"{job_id}.0", f"{job_id}.1"]
    assert [row[0] for row in rows] == [job_id, f"{job_id}.batch", *steps] * 2
    # rows[1], the first script, is CANCELLED, or FAILED where it sees its srun end before it is killed itself.
    assert [row[1] for row in rows[:1] + rows[2:]] == ["REQUEUED", "COMPLETED", "CANCELLED", *["COMPLETED"] * 4]


def test_job_that_takes_its_time_to_end(slurm: SlurmUnderTest) -> None:
    """It is COMPLETING, with its nodes, and counts as restarted already."""
    job_id = slurm.sbatch(f"trap 'touch trapped' TERM\necho ready\n{GATE}", "--output=out")
    has_said(slurm, "out", "ready")
    slurm.run("scontrol", "requeue", job_id)
    until((slurm.workdir / "trapped").exists, what="SIGTERM in the script")
    fields = slurm.show(job_id)
    assert fields is not None
    assert (fields["JobState"], fields["Restarts"], fields["NodeList"]) == ("COMPLETING", "1", "n1")
    assert fields["EndTime"] == "Unknown"
    (slurm.workdir / "go").touch()
    assert slurm.wait(job_id, ["PENDING"])["NodeList"] == ""
    slurm.run("scancel", job_id)
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


def test_finished_job(slurm: SlurmUnderTest) -> None:
    """It keeps its exit code until it runs again."""
    job_id = slurm.sbatch(f"[ -e go ] || {{ touch go; exit 3; }}\n{GATE}")
    slurm.wait(job_id)
    slurm.wait_idle()
    assert slurm.run("scontrol", "requeue", job_id).returncode == 0
    waiting = slurm.show(job_id)
    assert waiting is not None
    assert (waiting["JobState"], waiting["Restarts"], waiting["ExitCode"]) == ("PENDING", "1", "3:0")
    until(lambda: (slurm.show(job_id) or {})["JobState"] == "COMPLETED", timeout=180, what="the second run")
    rows = slurm.accounted(job_id, "State,ExitCode", "-X", "-D")
    assert [list(row.values()) for row in rows] == [["REQUEUED", "3:0"], ["COMPLETED", "0:0"]]


def test_requeuehold(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"echo ready\n{GATE}", "--output=out")
    has_said(slurm, "out", "ready")
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    held = slurm.wait(job_id, ["PENDING"])
    assert (held["Reason"], held["Priority"], held["Restarts"]) == ("job_requeued_in_held_state", "0", "1")
    reason = slurm.run("squeue", "-h", "-j", job_id, "-o", "%r").stdout
    assert reason == "job requeued in held state\n"
    assert slurm.run("scontrol", "release", job_id).returncode == 0
    released = slurm.show(job_id)
    assert released is not None
    assert int(released["Priority"]) > 0
    restarted(slurm, job_id)
    (slurm.workdir / "go").touch()
    slurm.wait(job_id)


def test_refused(slurm: SlurmUnderTest) -> None:
    fixed = slurm.sbatch(f"echo ready\n{GATE}", "--no-requeue", "--output=out")
    held = slurm.sbatch("true", "--hold")
    has_said(slurm, "out", "ready")
    disabled = f"Requested operation is presently disabled for job {fixed}\n"
    pending = f"Job is pending execution for job {held}\n"
    unknown = "Invalid job id specified for job {}\n"
    for arguments, text in (
        (["requeue", fixed], disabled),
        (["requeue", held], pending),
        (["requeuehold", held], pending),
        (["requeue", f"jobid={held}"], pending),
        (["requeue", "99999999"], unknown.format("99999999")),
        (["requeue", "abc"], unknown.format("abc")),
        (["requeue", f"{held},{fixed}", "99999999"], pending + disabled + unknown.format("99999999")),
        (["requeuehold", "State=Foo", held], unknown.format("State=Foo") + pending),
        (["requeue"], "too few arguments for keyword:requeue\n"),
    ):
        done = slurm.run("scontrol", *arguments)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", text), arguments
    slurm.run("scancel", fixed, held)
