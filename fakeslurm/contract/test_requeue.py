"""``scontrol requeue`` and ``requeuehold``: a job that runs again under the same id."""

from __future__ import annotations

import re
import time
from datetime import datetime

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

FIRST_RUN = 'echo "run ${SLURM_RESTART_COUNT:-0}"; touch up.${SLURM_RESTART_COUNT:-0}; [ -n "$SLURM_RESTART_COUNT" ]'
LONG = FIRST_RUN + " && exit 0; exec sleep 60"
STUBBORN = "trap '' TERM; echo x; touch up.${SLURM_RESTART_COUNT:-0}; while :; do sleep 0.1; done"
"""Ignores SIGTERM: it is COMPLETING for all of KillWait."""
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
    # The shell may say besides that its sleep was Terminated: which of the two ends first is chance.
    assert " DUE TO JOB REQUEUE ***\n" in slurm.output("out")
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
    had = "cpu=1,node=1,billing=1"  # in that run; of one that is requeued while it runs what it asks for
    assert slurm.run("squeue", "-h", "-j", job_id, "-O", "tres-alloc:40").stdout.strip() == had
    assert waiting["AllocTRES" if slurm.at_least("24.11") else "TRES"] == had
    until(lambda: (slurm.show(job_id) or {})["JobState"] == "COMPLETED", timeout=180, what="the second run")
    rows = slurm.accounted(job_id, "State,ExitCode", "-X", "-D")
    assert [list(row.values()) for row in rows] == [["REQUEUED", "3:0"], ["COMPLETED", "0:0"]]


def test_requeuehold(slurm: SlurmUnderTest) -> None:
    """sacct shows the latest record in its window of time, which one that is held is not, if it was on these nodes."""
    job_id = slurm.sbatch(f"echo ready\n{GATE}", "--output=out", "--job-name=held_again")
    has_said(slurm, "out", "ready")
    node = slurm.run("squeue", "-h", "-j", job_id, "-o", "%N").stdout.strip()
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    held = slurm.wait(job_id, ["PENDING"])
    assert (held["Reason"], held["Priority"], held["Restarts"]) == ("job_requeued_in_held_state", "0", "1")
    reason = slurm.run("squeue", "-h", "-j", job_id, "-o", "%r").stdout
    assert reason == "job requeued in held state\n"
    by_id, attempt = [f"--jobs={job_id}"], f"{job_id}|REQUEUED\n"
    for options, stdout in (
        (["--name=held_again", "-S", "now-1hour"], attempt),
        (["--name=held_again", "-S", "now-1hour", "-N", node], attempt),
        (by_id, f"{job_id}|PENDING\n"),
        ([*by_id, "-N", node], ""),
    ):
        until(
            lambda options=options, stdout=stdout: (  # type: ignore[misc]
                slurm.run("sacct", "-XnP", *options, "-o", "JobID,State").stdout == stdout
            ),
            what=f"sacct {options} says {stdout!r}",
        )
    for words in (["hold", job_id], ["uhold", job_id], ["update", f"jobid={job_id}", "priority=0"]):
        assert slurm.run("scontrol", *words).returncode == 0
        assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%r").stdout == reason
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


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def runs(slurm: SlurmUnderTest, run: int = 0) -> None:
    until((slurm.workdir / f"up.{run}").exists, what=f"run {run} of the script has started")


def refused(slurm: SlurmUnderTest, *words: str) -> str:
    done = slurm.run("scontrol", *words)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def squeue(slurm: SlurmUnderTest, job_id: str, fields: str) -> str:
    return slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", fields).stdout.strip()


def test_refused_in_all_forms(slurm: SlurmUnderTest) -> None:
    held = slurm.sbatch("true", "--hold")
    never = slurm.sbatch("true", "--hold", "--no-requeue")
    for word in ("requeue", "requeuehold"):
        assert refused(slurm, word, held) == f"Job is pending execution for job {held}\n"
        assert refused(slurm, word, never) == f"Requested operation is presently disabled for job {never}\n"
        assert refused(slurm, word) == f"too few arguments for keyword:{word}\n"
        assert refused(slurm, word, "99999999") == "Invalid job id specified for job 99999999\n"
    for text in ("abc", "0", "name=foo", "99999999.0", "9x"):
        assert refused(slurm, "requeue", text) == f"Invalid job id specified for job {text}\n"
    assert refused(slurm, "requeue", "99999999_1") == "99999999_1: Invalid job id specified\n"
    assert refused(slurm, "requeue", "jobid=99999999") == "Invalid job id specified for job 99999999\n"
    assert refused(slurm, "requeue", f"{never},99999998", held) == (
        f"Requested operation is presently disabled for job {never}\n"
        "Invalid job id specified for job 99999998\n"
        f"Job is pending execution for job {held}\n"
    )
    assert refused(slurm, "-Q", "requeue", "99999999") == ""
    assert refused(slurm, "requeueh", "99999999") == "invalid keyword: requeueh\n"
    assert refused(slurm, "req", "99999999") == "Invalid job id specified for job 99999999\n"
    done = slurm.run("scontrol", "requeue", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_views_while_it_waits(slurm: SlurmUnderTest) -> None:
    """It is PENDING for BeginTime with a new submit time, keeps its id, and truncates its output file."""
    job_id = slurm.sbatch(LONG, "-o", "o.txt", "-t", "5")
    runs(slurm)
    before = slurm.show(job_id)
    assert before is not None
    done = slurm.run("scontrol", "requeue", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    until(lambda: squeue(slurm, job_id, "%T|%r") == "PENDING|BeginTime", what="it waits for BeginTime")
    waiting = slurm.show(job_id)
    assert waiting is not None
    if not slurm.at_least("24.11"):
        assert waiting["Priority"] == before["Priority"]
    assert (waiting["Restarts"], waiting["ExitCode"], waiting["NodeList"]) == ("1", "0:0", "")
    assert (waiting["RunTime"], waiting["TimeLimit"]) == ("00:00:00", "00:05:00")
    assert seconds(waiting["SubmitTime"]) > seconds(before["SubmitTime"])
    assert waiting["StartTime"] == waiting["EligibleTime"] == waiting["AccrueTime"]
    assert seconds(waiting["EndTime"]) == seconds(waiting["StartTime"]) + 300
    if slurm.kind != "site":
        assert 5 <= seconds(waiting["EligibleTime"]) - seconds(waiting["SubmitTime"]) <= 6
        assert re.fullmatch(
            rf"run 0\nslurmstepd(-n1)?: error: \*\*\* JOB {job_id} ON \S+ CANCELLED AT \S+ DUE TO JOB REQUEUE \*\*\*\n",
            slurm.output("o.txt"),
        )
        runs(slurm, 1)
        assert slurm.wait(job_id)["JobState"] == "COMPLETED"
        assert slurm.output("o.txt") == "run 1\n"
        rows = slurm.accounted(job_id, "JobID,State,ExitCode,Reason")
        assert rows == [
            {"JobID": job_id, "State": "COMPLETED", "ExitCode": "0:0", "Reason": "BeginTime"},
            {"JobID": f"{job_id}.batch", "State": "COMPLETED", "ExitCode": "0:0", "Reason": ""},
        ]
        rows = slurm.accounted(job_id, "JobID,State,ExitCode,NNodes", "--duplicates")
        assert [tuple(row.values()) for row in rows] == [
            (job_id, "REQUEUED", "0:0", "1"),
            (f"{job_id}.batch", "CANCELLED", "0:15", "1"),
            (job_id, "COMPLETED", "0:0", "1"),
            (f"{job_id}.batch", "COMPLETED", "0:0", "1"),
        ]


def test_while_it_is_completing(slurm: SlurmUnderTest) -> None:
    """PENDING and COMPLETING: it shows its nodes, has run no second, cannot be requeued again, and holds its nodes."""
    job_id = slurm.sbatch(STUBBORN, "-o", "o.txt", "--open-mode=append", "-n3", "-t", "10")
    runs(slurm)
    slurm.run("scontrol", "requeue", job_id)
    fields = slurm.show(job_id)
    assert fields is not None
    assert (fields["JobState"], fields["Restarts"], fields["Reason"]) == ("COMPLETING", "1", "None")
    assert (fields["RunTime"], fields["NumNodes"], fields["NumCPUs"]) == ("00:00:00", "1", "3")
    node = fields["NodeList"]
    assert squeue(slurm, job_id, "%T|%t|%r|%R|%M|%N|%D|%C|%L|%B") == (
        f"COMPLETING|CG|None|{node}|0:00|{node}|1|3|10:00|{node}"
    )
    assert slurm.run("squeue", "-h", "-t", "PD", "-j", job_id).stdout == ""
    assert refused(slurm, "requeue", job_id) == f"Job is pending execution for job {job_id}\n"
    slurm.wait(job_id, {"PENDING"})
    if slurm.kind != "site":
        runs(slurm, 1)
        text = re.sub(r"slurmstepd.* DUE TO JOB REQUEUE", "REQUEUE", slurm.output("o.txt"))
        assert text == "x\nREQUEUE ***\nx\n"
    slurm.run("scancel", "--batch", "-s", "KILL", job_id)


def test_cancelled_while_it_goes_back(slurm: SlurmUnderTest) -> None:
    """It never waits again, and accounting keeps the run as REQUEUED."""
    job_id = slurm.sbatch(STUBBORN, "-o", "o.txt")
    runs(slurm)
    slurm.run("scontrol", "requeue", job_id)
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id, timeout=90)
    assert (fields["JobState"], fields["Restarts"], fields["ExitCode"]) == ("CANCELLED", "1", "0:9")
    rows = [("REQUEUED", "0:0"), ("CANCELLED", "0:9")]
    until(
        lambda: [tuple(row.values()) for row in slurm.accounted(job_id, "State,ExitCode")] == rows,
        what=f"sacct shows {rows}",
    )


@pytest.mark.parametrize("verb", ["requeue", "requeuehold"])
def test_cancelled_and_not_gone(slurm: SlurmUnderTest, verb: str) -> None:
    """It can be requeued, as often as it is cancelled: its processes have nothing to do with that, and the run is one that was requeued."""
    job_id = slurm.sbatch(STUBBORN, "-o", "o.txt", "-n3")
    runs(slurm)
    reason = "None" if verb == "requeue" else "job_requeued_in_held_state"
    for restarts in ("1", "2"):
        slurm.run("scancel", job_id)
        assert slurm.run("scontrol", verb, job_id).returncode == 0
        fields = slurm.show(job_id) or {}
        assert (fields["JobState"], fields["Reason"], fields["Restarts"]) == ("COMPLETING", reason, restarts)
        assert (fields["NumNodes"], fields["NumCPUs"], fields["ExitCode"]) == ("1", "3", "0:0")
    assert refused(slurm, verb, job_id) == f"Job is pending execution for job {job_id}\n"
    waiting = slurm.wait(job_id, {"PENDING"})
    assert (waiting["Restarts"], waiting["ExitCode"], waiting["NodeList"]) == ("2", "0:0", "")
    text = re.sub(r"slurmstepd.* CANCELLED AT .*", "CANCELLED", slurm.output("o.txt"))
    assert text == "x\nCANCELLED\n"
    slurm.run("scancel", job_id)
    attempts = [("REQUEUED", "0:0"), ("CANCELLED", "0:0")]

    def rows() -> list[tuple[str, ...]]:
        return [
            (row["State"].split()[0], row["ExitCode"]) for row in slurm.accounted(job_id, "State,ExitCode", "-X", "-D")
        ]

    until(lambda: rows() == attempts, what=f"sacct shows {attempts}")
    if slurm.at_least("24.11"):
        assert [row["Restarts"] for row in slurm.accounted(job_id, "Restarts", "-X", "-D")] == ["0", "2"]


@pytest.mark.parametrize("code", [0, 3])
def test_over_and_not_gone(slurm: SlurmUnderTest, code: int) -> None:
    """The same goes for a job whose script has ended, while a step of it has not."""
    step = "trap '' TERM; touch up.0; while :; do sleep 0.1; done"
    job_id = slurm.sbatch(f'srun -n1 sh -c "{step}" &\nuntil [ -e up.0 ]; do sleep 0.05; done; exit {code}')
    slurm.wait(job_id, {"COMPLETING"})
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    fields = slurm.show(job_id) or {}
    assert (fields["JobState"], fields["Restarts"]) == ("COMPLETING", "1")
    waiting = slurm.wait(job_id, {"PENDING"})
    assert (waiting["Reason"], waiting["Restarts"], waiting["NodeList"]) == ("job_requeued_in_held_state", "1", "")
    slurm.run("scancel", job_id)
    assert slurm.accounted(job_id, "State,ExitCode", "-X", "-D")[0] == {"State": "REQUEUED", "ExitCode": f"{code}:0"}


def test_dependents_wait_for_the_next_run(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(LONG, "-o", "o.txt")
    runs(slurm)
    after = slurm.sbatch("true", "-d", f"afterok:{job_id}")
    slurm.run("scontrol", "requeue", job_id)
    slurm.wait(job_id, {"PENDING"})
    assert squeue(slurm, after, "%T|%r|%E") == f"PENDING|Dependency|afterok:{job_id}(unfulfilled)"
    if slurm.kind != "site":
        assert slurm.wait(after)["JobState"] == "COMPLETED"


def test_order_of_the_accounts(slurm: SlurmUnderTest) -> None:
    """sacct lists attempts by the second of their submission, then by id."""
    first = slurm.sbatch("true")
    slurm.wait(first)
    second = slurm.sbatch("true")
    slurm.wait(second)
    slurm.run("scontrol", "requeue", first)
    until(lambda: (slurm.show(first) or {})["JobState"] == "COMPLETED", timeout=180, what="the second run")
    for options, number in (((), 2), (("-D",), 3)):
        rows = slurm.accounted(f"{first},{second}", "JobID,Submit", "-X", *options)
        assert rows == sorted(rows, key=lambda row: (row["Submit"], int(row["JobID"])))
        assert len(rows) == number


def test_job_that_requeues_itself(slurm: SlurmUnderTest) -> None:
    """The command ends well before its job is ended: submitit's checkpoint relies on it."""
    body = 'trap : TERM\n[ "$SLURM_RESTART_COUNT" ] && exit 0\nscontrol requeue $SLURM_JOB_ID\necho rc $? > said'
    job_id = slurm.sbatch(body)
    until(lambda: (slurm.show(job_id) or {})["JobState"] == "COMPLETED", timeout=180, what="the second run")
    assert slurm.output("said") == "rc 0\n"


def test_elements_of_an_array(slurm: SlurmUnderTest) -> None:
    """Each is requeued by itself, and said to have been or not."""
    job_id = slurm.sbatch(f"touch up.$SLURM_ARRAY_TASK_ID.${{SLURM_RESTART_COUNT:-0}}\n{GATE}", "-a", "1-3", "-n1")
    for task in (1, 2, 3):
        until((slurm.workdir / f"up.{task}.0").exists, what=f"element {task} runs")
    pending = "Job is pending execution"

    def states() -> dict[str, str]:
        words = slurm.run("squeue", "-h", "-r", "-t", "all", "-j", job_id, "-o", "%i %t").stdout.split()
        return {label.partition("_")[2]: state for label, state in zip(words[::2], words[1::2], strict=True)}

    slurm.run("scontrol", "requeue", f"{job_id}_1")
    until(lambda: states() == {"1": "PD", "2": "R", "3": "R"}, what="element 1 waits")
    assert refused(slurm, "requeue", f"{job_id}_1") == f"{job_id}_1: {pending}\n"
    assert refused(slurm, "requeuehold", f"{job_id}_[1-2,7]") == (
        f"{job_id}_1: {pending}\n{job_id}_2: No error\n{job_id}_7: Invalid job id specified\n"
    )
    assert refused(slurm, "requeuehold", job_id) == f"{job_id}_1-2: {pending}\n{job_id}_3: No error\n"
    until(lambda: states()["3"] == states()["2"] == "PD", what="elements 2 and 3 wait")
    assert squeue(slurm, f"{job_id}_3", "%r|%Q") == "job requeued in held state|0"
    if slurm.kind != "site":
        until((slurm.workdir / "up.1.1").exists, what="element 1 runs again")


@pytest.mark.parametrize("asked", [1, 2])
def test_a_priority_that_was_asked_for_and_requeue(slurm: SlurmUnderTest, asked: int) -> None:
    """1 is none to 24.11: it gets the next one, and keeps that."""
    job_id = slurm.sbatch("true", f"--priority={asked}")
    priorities = []
    for _ in range(2):
        slurm.wait(job_id, ["COMPLETED"])
        assert slurm.run("scontrol", "requeue", job_id).returncode == 0
        priorities.append(int(slurm.wait(job_id, ["PENDING"])["Priority"]))
    if asked == 1 and slurm.at_least("24.11"):
        assert priorities[0] == priorities[1] > 1000
    else:
        assert priorities == [asked, asked]


@pytest.mark.parametrize("options", [["--priority=100"], ["--priority=100", "--array=0-1"]])
def test_of_the_same_priority_who_has_waited_longer_comes_first(slurm: SlurmUnderTest, options: list[str]) -> None:
    """A job that is requeued waits from then on."""
    body = "until [ -e go.$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0} ]; do sleep 0.05; done"
    whole = ["-N4", "--exclusive"]
    first = slurm.sbatch(body, *whole, "--priority=100")
    then = slurm.sbatch(body, *whole, "--priority=100")
    slurm.sbatch(body, *whole, *options)
    second = int(time.time())

    def running() -> str:
        return slurm.run("squeue", "-h", "-t", "R", "-o", "%A").stdout.strip()

    def end(job_id: str, attempt: int = 0) -> None:
        (slurm.workdir / f"go.{job_id}.{attempt}").touch()
        until(lambda: running() != job_id, what="its end")

    until(lambda: running() == first, what="the first runs")
    until(lambda: int(time.time()) > second, what="the next second: who waits since the same one goes by the id")
    slurm.run("scontrol", "requeue", first)
    until(lambda: running() == then, what="the second runs")

    def reason() -> str:
        return slurm.run("squeue", "-h", "-j", first, "-o", "%r").stdout.strip()

    until(lambda: reason() in ("Priority", "Resources"), what="the first may run again")
    end(then)
    for _ in range(1 if len(options) == 1 else 2):
        until(running, what="one of those that were submitted last runs")
        assert running() != first
        end(running())
    until(lambda: running() == first, what="the first runs again")
    end(first, attempt=1)
