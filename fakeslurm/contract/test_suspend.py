"""scontrol suspend and resume: what stops, what stands still, and who has the CPUs meanwhile."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until

TICKS = "while :; do echo tick >> ticks; sleep 0.05; done"


def submitted(slurm: SlurmUnderTest, body: str, *options: str) -> str:
    job_id = slurm.sbatch(body, "-o", "o.txt", *options)
    until((slurm.workdir / "ticks").exists, what="the script runs")
    return job_id


def scontrol(slurm: SlurmUnderTest, *words: str) -> str:
    done = slurm.run("scontrol", *words)
    assert (done.stdout, done.returncode) == ("", 1 if done.stderr else 0)
    return done.stderr


def grows(file: Path) -> None:
    before = file.stat().st_size
    until(lambda: file.stat().st_size > before, what=f"{file.name} grows")


@pytest.mark.parametrize("body", [TICKS, f"srun bash -c '{TICKS}'"], ids=["script", "step"])
def test_time_stands_still(slurm: SlurmUnderTest, body: str) -> None:
    job_id = submitted(slurm, body, "-t", "5", "-n", "3", "-N", "1")
    started = shown(slurm, job_id)
    assert (started["SuspendTime"], started["SecsPreSuspend"]) == ("None", "0")
    assert scontrol(slurm, "suspend", job_id) == ""
    stopped = shown(slurm, job_id)
    assert (stopped["JobState"], stopped["Priority"], stopped["Reason"]) == ("SUSPENDED", "0", "None")
    assert (stopped["EndTime"], stopped["NodeList"]) == (started["EndTime"], started["NodeList"])
    assert stopped["SuspendTime"] != "None"
    assert scontrol(slurm, "suspend", job_id) == ""
    since = datetime.fromisoformat(stopped["SuspendTime"]).timestamp()
    until(lambda: datetime.now().timestamp() > since + 2.1, what="two seconds are over")
    assert shown(slurm, job_id) == stopped
    line = slurm.run("squeue", "-h", "-t", "S", "-j", job_id, "-o", "%T|%t|%r|%R|%C|%Q").stdout
    assert line == f"SUSPENDED|S|None|{stopped['NodeList']}|3|0\n"
    if slurm.kind != "site":
        size = (slurm.workdir / "ticks").stat().st_size
        assert slurm.run("sinfo", "-h", "-o", "%C").stdout == "0/16/0/16\n"
        assert (slurm.workdir / "ticks").stat().st_size == size
    assert scontrol(slurm, "resume", job_id) == ""
    grows(slurm.workdir / "ticks")
    running = shown(slurm, job_id)
    assert (running["JobState"], running["StartTime"]) == ("RUNNING", started["StartTime"])
    assert running["SecsPreSuspend"] == stopped["SecsPreSuspend"]
    assert int(running["Priority"]) > 0
    pause = datetime.fromisoformat(running["SuspendTime"]) - datetime.fromisoformat(stopped["SuspendTime"])
    later = datetime.fromisoformat(running["EndTime"]) - datetime.fromisoformat(started["EndTime"])
    assert abs((later - pause).total_seconds()) <= 1
    assert scontrol(slurm, "resume", job_id) == f"Job is not suspended for job {job_id}\n"
    slurm.run("scancel", job_id)
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


@pytest.mark.parametrize("resumed", [False, True], ids=["suspended", "just-resumed"])
def test_cancelled_while_suspended(slurm: SlurmUnderTest, resumed: bool) -> None:
    """It is killed, and nothing is said: also where it is resumed before slurmstepd has stopped it."""
    job_id = submitted(slurm, TICKS)
    assert scontrol(slurm, "suspend", job_id) == ""
    if resumed:
        assert scontrol(slurm, "resume", job_id) == ""
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id)
    # The real one has been seen to say 0:0, once among many, on a loaded machine.
    assert (fields["JobState"], fields["ExitCode"]) in [("CANCELLED", "0:9"), *[("CANCELLED", "0:0")] * slurm.is_real]
    assert resumed or fields["EndTime"] == fields["SuspendTime"]
    assert slurm.output("o.txt") == ""


def test_cpus_are_for_others(slurm: SlurmUnderTest) -> None:
    job_id = submitted(slurm, TICKS, "-w", "n1", "-n", "3")
    assert scontrol(slurm, "suspend", job_id) == ""
    other = slurm.sbatch("true", "-w", "n1", "-n", "4")
    assert slurm.wait(other)["JobState"] == "COMPLETED"
    assert scontrol(slurm, "resume", job_id) == ""
    grows(slurm.workdir / "ticks")
    slurm.run("scancel", job_id)


def test_accounts(slurm: SlurmUnderTest) -> None:
    job_id = submitted(slurm, TICKS)
    assert scontrol(slurm, "suspend", job_id) == ""

    def states() -> list[str]:
        return slurm.run("sacct", "-P", "-n", "-j", job_id, "-o", "State").stdout.split()

    until(lambda: states() == ["SUSPENDED", "SUSPENDED"], what="sacct knows")
    text = slurm.run("sacct", "-X", "-P", "-n", "-j", job_id, "-o", "Suspended").stdout
    assert re.fullmatch(r"00:00:\d\d\n", text)
    slurm.run("scancel", job_id)


def test_refusals(slurm: SlurmUnderTest) -> None:
    held = slurm.sbatch("true", "--hold")
    over = slurm.sbatch("true")
    slurm.wait(over)
    for word in ("suspend", "resume"):
        assert scontrol(slurm, word) == f"too few arguments for keyword:{word}\n"
        assert scontrol(slurm, word, held) == f"Job is pending execution for job {held}\n"
        assert scontrol(slurm, word, over) == f"Job/step already completing or completed for job {over}\n"
        for unknown in ("99999999", "0", "99999999_1"):
            assert scontrol(slurm, word, unknown) == f"Unexpected message received for job {unknown}\n"
        assert scontrol(slurm, word, "abc") == "Invalid job id specified for job abc\n"
        assert scontrol(slurm, word, "jobid=99999999,99999998") == (
            "Unexpected message received for job 99999999\nUnexpected message received for job 99999998\n"
        )
        assert scontrol(slurm, word, "") == ""
    assert scontrol(slurm, "susp", "99999999") == "Unexpected message received for job 99999999\n"
    assert scontrol(slurm, "res", "99999999") == "Unexpected message received for job 99999999\n"


def test_elements_of_an_array(slurm: SlurmUnderTest) -> None:
    """Each by itself or all at once; who stands still counts for the limit, and the answers are by element."""
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "-a", "1-5%3", "-n1")

    def states() -> list[str]:
        return slurm.run("squeue", "-h", "-r", "-t", "all", "-j", job_id, "-o", "%i %t").stdout.split()[1::2]

    def waits_and_are(*others: str) -> None:
        assert states() == ["PD", "PD", *others]

    until(lambda: states() == ["PD", "PD", "R", "R", "R"], what="three elements run")
    assert scontrol(slurm, "suspend", f"{job_id}_1") == ""
    waits_and_are("R", "R", "S")
    assert scontrol(slurm, "suspend", f"{job_id}_9") == f"{job_id}_9: Invalid job id specified\n"
    several = f"{job_id}_1-2: No error\n{job_id}_4-5: Job is pending execution\n{job_id}_9: Invalid job id specified\n"
    assert scontrol(slurm, "suspend", f"{job_id}_[1,2,5,9]") == several
    waits_and_are("R", "S", "S")
    assert scontrol(slurm, "resume", f"{job_id}_[1,2,5,9]") == several
    waiting = f"{job_id}_4-5: Job is pending execution\n"
    for word in ("suspend", "suspend", "resume"):
        assert scontrol(slurm, word, job_id) == f"{job_id}_1-3: No error\n{waiting}"
        waits_and_are(*["S" if word == "suspend" else "R"] * 3)
    assert scontrol(slurm, "resume", job_id) == f"{job_id}_1-3: Job is not suspended\n{waiting}"
    assert scontrol(slurm, "resume", f"{job_id}_5") == waiting
    slurm.run("scancel", job_id)
    until(lambda: set(states()) == {"CA"}, what="the array is cancelled")
    assert scontrol(slurm, "suspend", f"{job_id}_2-3") == f"{job_id}_2-3: Job/step already completing or completed\n"


def test_resumed_when_another_has_its_cpus(slurm: SlurmUnderTest) -> None:
    """It runs, and nobody counts it: its node is ALLOCATED without a CPU."""
    job_id = submitted(slurm, TICKS, "-w", "n1", "-n", "3")
    assert scontrol(slurm, "suspend", job_id) == ""
    other = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "-w", "n1", "-n", "2")
    slurm.wait(other, ["RUNNING"])
    assert scontrol(slurm, "resume", job_id) == ""
    grows(slurm.workdir / "ticks")
    (slurm.workdir / "go").touch()
    slurm.wait(other)
    if slurm.kind != "site":
        until(lambda: slurm.run("sinfo", "-h", "-n", "n1", "-o", "%t %C").stdout == "alloc 0/4/0/4\n", what="alloc")
    slurm.run("scancel", job_id)
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


@pytest.mark.parametrize("word", ["requeue", "requeuehold"])
def test_requeued_while_suspended(slurm: SlurmUnderTest, word: str) -> None:
    """It is killed, told why, and waits without a priority."""
    job_id = submitted(slurm, TICKS)
    assert scontrol(slurm, "suspend", job_id) == ""
    suspended = shown(slurm, job_id)["SuspendTime"]
    assert scontrol(slurm, word, job_id) == ""
    reason = {"requeue": "JobHeldAdmin", "requeuehold": "job_requeued_in_held_state"}[word]

    def waits() -> bool:
        fields = shown(slurm, job_id)
        return (fields["JobState"], fields["Reason"]) == ("PENDING", reason)

    until(waits, what=f"it waits for {reason}")
    fields = shown(slurm, job_id)
    assert (fields["Priority"], fields["Restarts"], fields["NodeList"], fields["SuspendTime"]) == ("0", "1", "", "None")
    assert re.fullmatch(r"slurmstepd\S*: error: \*\*\* JOB .* DUE TO JOB REQUEUE \*\*\*\n", slurm.output("o.txt"))

    def rows() -> list[str]:
        return slurm.run("sacct", "-D", "-P", "-n", "-j", job_id, "-o", "State,ExitCode,End").stdout.splitlines()[:2]

    until(lambda: len(rows()) == 2 and rows()[1].startswith("CANCELLED|0:9"), what="sacct knows")
    assert rows()[0] == f"REQUEUED|0:0|{suspended}"
    slurm.run("scancel", job_id)


def test_shell_cancelled_while_suspended(slurm: SlurmUnderTest) -> None:
    """scancel --batch ends the job as without."""
    job_id = submitted(slurm, TICKS)
    assert scontrol(slurm, "suspend", job_id) == ""
    slurm.run("scancel", "--batch", job_id)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"]) in [("CANCELLED", "0:9"), *[("CANCELLED", "0:0")] * slurm.is_real]


def test_signals_just_after_it_was_suspended(slurm: SlurmUnderTest) -> None:
    """slurmstepd takes two seconds to stop a job, and until then a signal is lost, though the job was resumed at once."""
    body = "trap 'touch heard' TERM; trap 'touch usr' USR1; : > up; while :; do sleep 0.05; done"
    step = "srun sh -c ': > step; exec sleep 60' &"
    job_id = slurm.sbatch(f"{step}\n{body}", "-o", "o.txt")
    for name in ("up", "step"):
        until((slurm.workdir / name).exists, what=f"{name} is there")
    until(lambda: f"{job_id}.0" in slurm.run("squeue", "-h", "-s", "-o", "%i").stdout.split(), what="its step is known")
    suspended = time.monotonic()
    assert scontrol(slurm, "suspend", job_id) == ""
    assert scontrol(slurm, "resume", job_id) == ""
    lost = slurm.run("scancel", "-b", "-s", "TERM", job_id)
    of_step = slurm.run("scancel", "-s", "CONT", f"{job_id}.0")
    in_time = time.monotonic() < suspended + 1.5
    said = "CANCELLED AT"
    until(lambda: said in slurm.output("o.txt"), what="slurmstepd says so nevertheless")

    def hears() -> bool:
        slurm.run("scancel", "-b", "-s", "USR1", job_id)
        return (slurm.workdir / "usr").exists()

    until(hears, what="it hears signals again", interval=0.2)
    assert lost.returncode == 0
    if in_time:  # on a busy machine it may be later
        assert not (slurm.workdir / "heard").exists()
        text = f"scancel: error: Kill job error on job step id {job_id}: Job step not running\n"
        assert (of_step.returncode, of_step.stderr) == (187, text)
    slurm.run("scancel", "-f", "-s", "KILL", job_id)


def test_held_while_suspended(slurm: SlurmUnderTest) -> None:
    job_id = submitted(slurm, TICKS)
    assert scontrol(slurm, "suspend", job_id) == ""
    assert scontrol(slurm, "hold", job_id) == ""
    assert shown(slurm, job_id)["Reason"] == "JobHeldAdmin"
    assert scontrol(slurm, "resume", job_id) == ""
    running = shown(slurm, job_id)
    assert (running["JobState"], running["Reason"], int(running["Priority"]) > 0) == ("RUNNING", "JobHeldAdmin", True)
    slurm.run("scancel", job_id)


@pytest.mark.parametrize("words", [(), ("release",), ("resume",)], ids=["once", "twice", "resumed"])
def test_released_while_suspended(slurm: SlurmUnderTest, words: tuple[str, ...]) -> None:
    """From then on it was never eligible; accounting is told of that when it is released again."""
    job_id = submitted(slurm, TICKS)
    assert scontrol(slurm, "suspend", job_id) == ""
    eligible = shown(slurm, job_id)["EligibleTime"]
    slurm.wait(slurm.sbatch("true", "--begin=now+7"))  # by then accounting knows the job on 22.05, too
    for word in ("release", *words):
        assert scontrol(slurm, word, job_id) == ""
        assert shown(slurm, job_id)["EligibleTime"] == "Unknown", word
    slurm.run("scancel", job_id)
    slurm.wait(job_id)
    assert shown(slurm, job_id)["EligibleTime"] == "Unknown"
    assert slurm.accounted(job_id, "Eligible", "-X") == [{"Eligible": "Unknown" if words == ("release",) else eligible}]


@pytest.mark.parametrize("beneath", [True, False], ids=["beneath", "beside"])
def test_the_next_element_after_one_beside_a_job_that_was_resumed(slurm: SlurmUnderTest, beneath: bool) -> None:
    """It gets the nodes of the one before, also where that had CPUs of the job that stood still."""
    options = ("-n4", "-N2", "-w", "n[1-2]") if beneath else ("-n3", "-w", "n2")
    body = "touch up.$SLURM_ARRAY_TASK_ID; until [ -e go.$SLURM_ARRAY_TASK_ID ]; do sleep 0.05; done"
    array = ("-n5", "-w", "n1", "-a", "0-1%1", "-o", "/dev/null")
    if not beneath:
        elements = slurm.sbatch(body, *array)
        slurm.wait(f"{elements}_0", ["RUNNING"])
    job_id = slurm.sbatch("sleep 300", "-o", "/dev/null", *options)
    slurm.wait(job_id, ["RUNNING"])
    assert scontrol(slurm, "suspend", job_id) == ""
    if beneath:
        elements = slurm.sbatch(body, *array)
    until((slurm.workdir / "up.0").exists, what="the first element runs")
    assert slurm.run("squeue", "-h", "-j", f"{elements}_0", "-o", "%N").stdout == "n[1-2]\n"
    assert scontrol(slurm, "resume", job_id) == ""
    (slurm.workdir / "go.0").touch()
    until((slurm.workdir / "up.1").exists, what="the second element runs")
    assert slurm.run("squeue", "-h", "-j", f"{elements}_1", "-o", "%N").stdout == "n[1-2]\n"
    assert slurm.wait(job_id, ["RUNNING"])["NumCPUs"] == options[0][2:]


INTERRUPTED = """
srun: Cancelled pending job step with signal 2
srun: error: Unable to create step for job {job}: Job/step already completing or completed
124
"""
NOT_NOW = """
srun: error: Unable to create step for job {job}: Requested operation is presently disabled
1
"""


def allocation(slurm: SlurmUnderTest) -> str:
    match = re.search(r"Granted job allocation (\d+)", slurm.run("salloc", "--no-shell", "-n1").stderr)
    assert match
    return match[1]


def srun(slurm: SlurmUnderTest, job_id: str, *words: str) -> str:
    """The job that runs srun in another one; what is said goes to the file `err`, and then the exit code."""
    command = " ".join(word.format(job=job_id) for word in words)
    return slurm.sbatch(f"{command} true 2> err; echo $? >> err", "-n1", "-w", "n4", "-o", "/dev/null")


def said(slurm: SlurmUnderTest, by: str, expected: str, about: str) -> None:
    slurm.wait(by)
    assert (slurm.workdir / "err").read_text() == expected.format(job=about).lstrip()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("timeout -s INT 2 srun --jobid {job}",), INTERRUPTED),
        (("timeout -s INT 2 srun --jobid {job} -n9",), INTERRUPTED),
        (("srun -I --jobid {job}",), NOT_NOW),
    ],
    ids=["waits", "too-many", "at-once"],
)
def test_a_step_of_a_suspended_job(slurm: SlurmUnderTest, words: tuple[str, ...], expected: str) -> None:
    """srun waits without a word, whatever it asks for."""
    job_id = allocation(slurm)
    assert scontrol(slurm, "suspend", job_id) == ""
    said(slurm, srun(slurm, job_id, *words), expected, job_id)
    assert scontrol(slurm, "resume", job_id) == ""
    assert slurm.run("srun", "--jobid", job_id, "true").returncode == 0
    slurm.run("scancel", job_id)
