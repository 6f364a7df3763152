"""EligibleTime and AccrueTime of jobs that wait: since when they could have run, and since when their age counts.

Measured on 22.05.8 and 24.11.5: docs/measured/lifecycle.md.
"""

from __future__ import annotations

from datetime import datetime

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until

FIELDS = "State:.11|,Reason:.20|,SubmitTime:.20|,EligibleTime:.20|,AccrueTime:.20|,StartTime:.20"


def times(slurm: SlurmUnderTest, job_id: str) -> tuple[str, str, list[float | None]]:
    """State and reason of a job or element; its submit, eligible, accrue and start time in seconds after the submission."""
    done = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-O", FIELDS)
    state, reason, *stamps = (field.strip() for field in done.stdout.split("|"))
    moments = [None if stamp == "N/A" else datetime.fromisoformat(stamp).timestamp() for stamp in stamps]
    first = moments[0]
    assert first is not None, done
    return state, reason, [None if moment is None else moment - first for moment in moments[1:]]


def test_of_a_job_that_is_held_and_begins_later(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "--begin=now+100")

    def waits(reason: str) -> bool:
        return times(slurm, job_id) in [("PENDING", reason, [seconds] * 3) for seconds in (99.0, 100.0)]

    until(lambda: waits("JobHeldUser"), what="held, and begins in 100 seconds")
    slurm.run("scontrol", "release", job_id)
    until(lambda: waits("BeginTime"), what="begins in 100 seconds")


def test_of_a_job_that_is_held(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold")
    assert times(slurm, job_id) == ("PENDING", "JobHeldUser", [None, None, None])


def eligible_in_accounting(slurm: SlurmUnderTest, job_id: str) -> str:
    return slurm.run("sacct", "-nXP", "-j", job_id, "-o", "Eligible").stdout.strip()


def test_of_a_held_job_whose_begin_has_come(slurm: SlurmUnderTest) -> None:
    """It is eligible since it was released."""
    job_id = slurm.sbatch("true", "--hold", "--begin=now+1")
    other = slurm.sbatch("true", "--begin=now+3")
    slurm.wait(other, ["COMPLETED"])
    _, _, (begin, accrue, _) = times(slurm, job_id)
    assert begin is not None
    assert begin == accrue
    slurm.run("scontrol", "release", job_id)
    slurm.wait(job_id, ["COMPLETED"])
    _, _, (eligible, accrue, _) = times(slurm, job_id)
    assert eligible is not None
    assert eligible > begin == accrue


def test_of_a_job_without_nodes_that_is_released_again(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "--tmp=100")
    for since in (0.0, 1.0):
        slurm.run("scontrol", "release", job_id)
        until(lambda: times(slurm, job_id)[:2] == ("PENDING", "BadConstraints"), what="no node will do")
        eligible = times(slurm, job_id)[2][0]
        assert eligible is not None
        assert eligible >= since
        slurm.wait(slurm.sbatch("true", "--begin=now+2"), ["COMPLETED"])
    slurm.run("scancel", job_id)


def test_of_a_job_that_waits_for_another_when_its_begin_comes(slurm: SlurmUnderTest) -> None:
    """It is not eligible; accounting is not told of that, and a held one is not looked at."""
    other = slurm.sbatch("true", "--hold")
    job_id = slurm.sbatch("true", f"--dependency=afterany:{other}")
    until(lambda: eligible_in_accounting(slurm, job_id) == "Unknown", what="accounting knows it", interval=0.1)
    slurm.run("scontrol", "update", f"jobid={job_id}", "StartTime=now+2")
    until(lambda: times(slurm, job_id)[2][1] is not None, what="Slurm has looked at it")
    begin, accrue = times(slurm, job_id)[2][:2]
    assert begin == accrue
    until(lambda: times(slurm, job_id)[2][:2] == [None, accrue], what="its begin has come")
    until(lambda: eligible_in_accounting(slurm, job_id) not in ("", "Unknown"), what="what it was told", interval=0.1)
    slurm.run("scontrol", "hold", job_id)
    until(lambda: eligible_in_accounting(slurm, job_id) == "Unknown", what="it is told again", interval=0.1)
    slurm.run("scontrol", "update", f"jobid={job_id}", "StartTime=now")
    later = slurm.sbatch("true", "--begin=now+2")
    slurm.wait(later, ["COMPLETED"])
    assert times(slurm, job_id)[2][0] is not None
    slurm.run("scontrol", "release", job_id)
    until(lambda: times(slurm, job_id)[2][0] is None, what="it is looked at")
    slurm.run("scancel", job_id, other)


def test_of_a_job_that_has_to_wait_for_another_from_now_on(slurm: SlurmUnderTest) -> None:
    """Slurm sees it when it looks at the job the next time: accounting is not told, and a held job is not looked at."""
    blocker, other = slurm.sbatch("sleep 60", "--nodes=4", "--exclusive"), slurm.sbatch("true", "--hold")
    slurm.wait(blocker, ["RUNNING"])
    waits, held = slurm.sbatch("true"), slurm.sbatch("true", "--hold", "--begin=now+1")
    until(lambda: eligible_in_accounting(slurm, waits) not in ("", "Unknown"), what="accounting knows it", interval=0.1)
    begins = slurm.sbatch("true", "--begin=now+2")
    until(lambda: times(slurm, begins)[1] == "Priority", what="two seconds have gone by")
    for job_id in (waits, held):
        slurm.run("scontrol", "update", f"jobid={job_id}", f"Dependency=afterany:{other}")
    until(lambda: times(slurm, waits)[2][0] is None, what="not eligible")
    assert times(slurm, held)[2][0] is not None
    assert eligible_in_accounting(slurm, waits) != "Unknown"
    slurm.run("scancel", blocker, other, waits, held, begins)


def test_of_elements_that_wait_for_the_limit(slurm: SlurmUnderTest) -> None:
    """They are eligible when they may start, and no sooner; the next one is as soon as one has ended."""
    array = slurm.sbatch("until [ -e go_$SLURM_ARRAY_TASK_ID ]; do sleep 0.1; done", "--array=1-2%1")
    slurm.wait(f"{array}_1", ["RUNNING"])
    until(lambda: times(slurm, f"{array}_2")[1] == "JobArrayTaskLimit", what="the second waits for the first")
    assert times(slurm, f"{array}_2")[2][0] is None
    until(
        # The order of the rows, and whether the element is called A_2 or A_[2%1] yet, depend on when slurmdbd has heard of it.
        lambda: any(line.endswith("|Unknown") for line in slurm.run("sacct", "-nXP", "-j", array, "-o", "JobID,Eligible").stdout.splitlines()),
        what="accounting knows it",
        interval=0.1,
    )  # fmt: skip
    (slurm.workdir / "go_1").touch()
    slurm.wait(f"{array}_2", ["RUNNING"])
    _, _, (eligible, _, start) = times(slurm, f"{array}_2")
    assert eligible is not None
    assert start is not None
    assert start - 1 <= eligible <= start
    (slurm.workdir / "go_2").touch()
    slurm.wait(f"{array}_2")


def test_of_an_array_that_has_waited_for_its_nodes(slurm: SlurmUnderTest) -> None:
    """What has begun to count goes on when the array's limit is reached."""
    blocker = slurm.sbatch("sleep 60", "--nodes=4", "--exclusive")
    slurm.wait(blocker, ["RUNNING"])
    array = slurm.sbatch("sleep 60", "--array=1-2%1")
    until(lambda: times(slurm, array)[2][1] is not None, what="its age counts")
    _, _, (eligible, accrue, _) = times(slurm, array)
    assert eligible is not None
    assert accrue == eligible
    other = slurm.sbatch("true", "--begin=now+3", "--nodes=4")
    until(lambda: times(slurm, other)[1] == "Priority", what="three seconds have gone by")
    slurm.run("scancel", blocker)
    slurm.wait(f"{array}_1", ["RUNNING"])
    state, reason, moments = times(slurm, f"{array}_2")
    assert (state, reason) == ("PENDING", "JobArrayTaskLimit")
    assert moments == [None, accrue, None]
    slurm.run("scancel", array, other)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "now"),
        ("-a1-2", "Unknown"),
        ("-d afterany:{}", "Unknown"),
        ("--begin=2035-01-01", "2035-01-01T00:00:00"),
        ("-a1-2 --begin=2035-01-01", "2035-01-01T00:00:00"),
    ],
)
def test_of_a_job_that_fits_no_node(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """An array that is refused never was eligible, nor was what waits for others. Accounting always hears of it since 24.11."""
    before = slurm.sbatch("true", "--hold")
    assert slurm.run("sbatch", *options.format(before).split(), "--mem=1T", "--wrap=true").returncode == 1
    fields = shown(slurm, str(int(before) + 1))
    assert fields["EligibleTime"] == (fields["SubmitTime"] if expected == "now" else expected)
    until(lambda: eligible_in_accounting(slurm, str(int(before) + 1)), what="accounting knows it", interval=0.1)
    told = eligible_in_accounting(slurm, str(int(before) + 1))
    # In 22.05 it hardly ever does: that is chance.
    assert told == fields["EligibleTime"] or (told == "Unknown" and not slurm.at_least("24.11"))
    slurm.run("scancel", before)
