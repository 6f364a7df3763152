"""``--deadline``: a job that cannot end in time does not start, and one that runs has a limit that ends before."""

from __future__ import annotations

import time

from fakeslurm.contract.harness import SlurmUnderTest, shown, until

TOO_LATE = (
    "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)\n"
)


def test_deadline_that_cannot_be_kept(slurm: SlurmUnderTest) -> None:
    """22.05 takes the job, and ends it when it first looks at it, which is when it is eligible; 24.11 refuses it."""
    done = slurm.run("sbatch", "--parsable", "--deadline=now+100seconds", "-t", "10", slurm.script("true"))
    if slurm.at_least("24.11"):
        assert (done.returncode, done.stdout, done.stderr) == (1, "", TOO_LATE)
        return
    job_id = done.stdout.strip()
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("DEADLINE", "DeadLine", "0:1")
    assert (fields["NodeList"], fields["StartTime"]) == ("", fields["EndTime"])
    assert fields["SubmitTime"] <= fields["EligibleTime"] <= fields["EndTime"]
    rows = slurm.accounted(job_id, "JobID,State,ExitCode")
    assert rows == [{"JobID": job_id, "State": "DEADLINE", "ExitCode": "1:0"}]
    times = {
        "Eligible": fields["EligibleTime"],
        "Start": fields["EndTime"],
    }  # of the first accounting hears some seconds later
    until(lambda: slurm.accounted(job_id, "Eligible,Start") == [times], what="accounting knows when it was eligible")


def test_deadline_that_a_job_cannot_keep_that_begins_later(slurm: SlurmUnderTest) -> None:
    """24.11 refuses it if it has a limit."""
    options = ("--deadline=now+65seconds", "--begin=now+30seconds", "--wrap=true", "--parsable")
    done = slurm.run("sbatch", "-t", "1", *options)
    if slurm.at_least("24.11"):
        assert (done.returncode, done.stdout, done.stderr) == (1, "", TOO_LATE)
    else:
        assert done.returncode == 0
        slurm.run("scancel", done.stdout.strip())
    slurm.run("scancel", slurm.run("sbatch", *options).stdout.strip())


def test_deadline_that_comes_while_a_job_may_not_start(slurm: SlurmUnderTest) -> None:
    """22.05 does not look at it; 24.11 does with the time limits of running jobs, and it never was eligible. Who is released sooner is."""
    options = ("--deadline=now+62seconds", "-t", "1")
    held, released = slurm.sbatch("true", "--hold", *options), slurm.sbatch("true", "--hold", *options)
    other = slurm.sbatch("true", "--hold")
    depends = slurm.sbatch("true", f"--dependency=afterany:{other}", *options)
    slurm.wait(slurm.sbatch("true", "--begin=now+4"), ["COMPLETED"])
    if shown(slurm, released)["JobState"] == "PENDING":
        slurm.run("scontrol", "release", released)
        fields = slurm.wait(released)
        assert (fields["JobState"], fields["EligibleTime"]) == ("DEADLINE", fields["EndTime"])
    if slurm.at_least("24.11"):
        for job_id in (held, depends):
            fields = slurm.wait(job_id)
            assert (fields["JobState"], fields["EligibleTime"]) == ("DEADLINE", "Unknown")
            assert slurm.accounted(job_id, "State,Eligible") == [{"State": "DEADLINE", "Eligible": "Unknown"}]
    else:
        assert [shown(slurm, job_id)["JobState"] for job_id in (held, depends)] == ["PENDING"] * 2
        slurm.run("scancel", depends, held)
    slurm.run("scancel", other)


def test_deadline_that_comes_while_a_job_waits(slurm: SlurmUnderTest) -> None:
    """A job without a limit needs a minute."""
    gate = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "--exclusive", "-N4", "-t", "30")
    slurm.wait(gate, ["RUNNING"])
    job_id = slurm.sbatch("true", "--deadline=now+70seconds")
    assert slurm.wait(job_id, ["PENDING"])["TimeMin"] == "00:01:00"
    assert slurm.run("squeue", "-h", "-j", job_id, "-O", "mintime:6").stdout == "1:00  \n"
    assert slurm.wait(job_id)["JobState"] == "DEADLINE"
    assert slurm.accounted(job_id, "State,Start") == [{"State": "DEADLINE", "Start": "None"}]
    (slurm.workdir / "go").touch()
    slurm.wait(gate)


def test_deadline_that_cannot_be_kept_by_a_job_that_waits_for_another(slurm: SlurmUnderTest) -> None:
    """22.05 looks when it could start; 24.11 refuses it."""
    held = slurm.sbatch("true", "--hold")
    options = ("-t", "90", "--deadline=now+3630seconds", f"--dependency=afterany:{held}")
    if slurm.at_least("24.11"):
        assert slurm.run("sbatch", "--wrap=true", *options).stderr == TOO_LATE
        return
    job_id = slurm.sbatch("true", *options)
    other = slurm.sbatch("true")
    slurm.wait(other, ["COMPLETED"])
    assert shown(slurm, job_id)["Reason"] == "Dependency"
    slurm.run("scancel", held)
    assert slurm.wait(job_id)["JobState"] == "DEADLINE"


def test_limit_of_a_job_that_runs(slurm: SlurmUnderTest) -> None:
    body = "until [ -e go ]; do sleep 0.05; done"
    unlimited = slurm.sbatch(body, "--deadline=now+110seconds")
    running = slurm.wait(unlimited, ["RUNNING"])
    assert running["TimeLimit"] == "00:01:00"
    assert time.strptime(running["EndTime"], "%Y-%m-%dT%H:%M:%S") < time.strptime(
        running["Deadline"], "%Y-%m-%dT%H:%M:%S"
    )
    shorter = slurm.sbatch(body, "--deadline=now+600seconds", "-t", "2")
    fields = slurm.wait(shorter, ["RUNNING"])
    assert (fields["TimeLimit"], fields["TimeMin"]) == ("00:02:00", "N/A")
    (slurm.workdir / "go").touch()
    slurm.wait(unlimited)


def test_limit_of_a_job_that_is_requeued(slurm: SlurmUnderTest) -> None:
    """It keeps the limit that the deadline gave it, where the main scheduler has started it."""
    job_id = slurm.sbatch("sleep 300", "--deadline=now+3630seconds")
    running = slurm.wait(job_id, ["RUNNING"])
    assert running["TimeLimit"] == "01:00:00"
    main = running["Scheduler"] == "Main"
    assert main or slurm.is_real
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    assert slurm.wait(job_id, ["PENDING"])["TimeLimit"] == ("01:00:00" if main else "UNLIMITED")


def test_limit_of_the_elements_that_wait_for_those_that_run(slurm: SlurmUnderTest) -> None:
    """Where the main scheduler has started one, the record that stands for them has got the limit first; backfill takes it back."""
    array = slurm.sbatch("sleep 300", "-w", "n1", "--array=0-5", "--deadline=now+172830")
    until(
        lambda: f"{array}_3" in slurm.run("squeue", "-h", "-t", "R", "-o", "%i").stdout.split(), what="element 3 runs"
    )
    limits = dict(line.split() for line in slurm.run("squeue", "-h", "-o", "%i %l").stdout.splitlines())
    main = shown(slurm, f"{array}_3")["Scheduler"] == "Main"
    assert main or slurm.is_real
    assert limits[f"{array}_0"] == "2-00:00:00"
    assert limits[f"{array}_[4-5]"] == ("2-00:00:00" if main else "UNLIMITED")
