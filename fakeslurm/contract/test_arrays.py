"""Job arrays: ids, order, limit, environment, files, and how the commands show and change them.

Measured on 22.05.8 and 24.11.5: docs/measured/arrays.md.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until


def queue(slurm: SlurmUnderTest, array: str, text: str, *options: str) -> list[str]:
    done = slurm.run("squeue", "-h", "-t", "all", "-j", array, "-S", "i", "-o", text, *options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def submit(slurm: SlurmUnderTest, *options: str) -> str:
    """A held array that does nothing."""
    return slurm.sbatch("true", "--hold", *options)


def all_ended(slurm: SlurmUnderTest, array: str) -> Callable[[], bool]:
    return lambda: {line.strip() for line in queue(slurm, array, "%t")} <= {"CD", "F", "CA", "NF", "TO"}


def numbers(slurm: SlurmUnderTest, array: str, text: str = "%i|%A") -> list[str]:
    """The array's id is shown as A, those of its jobs as A+1... (if nobody else submits meanwhile)."""
    if slurm.kind == "site":
        pytest.skip("on a site others submit jobs, too")
    found = []
    for line in queue(slurm, array, text):
        label, number, *rest = line.split("|")
        found.append("|".join([label.replace(array, "A", 1), f"+{int(number) - int(array)}", *rest]))
    return found


@pytest.mark.parametrize(
    ("spec", "count", "lowest", "highest", "step", "indices"),
    [
        ("1-3", 3, 1, 3, 1, [1, 2, 3]),
        ("1-5:2,8%2", 4, 1, 8, 2, [1, 3, 5, 8]),
        ("4,2,9", 3, 2, 9, 1, [2, 4, 9]),
        ("0-2:1,4-8:4", 5, 0, 8, 1, [0, 1, 2, 4, 8]),
        ("[7]", 1, 7, 7, 1, [7]),
    ],
)
def test_environment(
    slurm: SlurmUnderTest, spec: str, count: int, lowest: int, highest: int, step: int, indices: list[int]
) -> None:
    array = slurm.sbatch("env | grep ^SLURM_ARRAY | sort; echo $SLURM_JOB_ID", "-a", spec, "-o", "o-%A_%a")
    until(all_ended(slurm, array), what=f"array {array} has ended")
    ids = dict(line.split("|") for line in queue(slurm, array, "%K|%A"))
    assert sorted(map(int, ids)) == indices
    for index in indices:
        assert slurm.output(f"o-{array}_{index}").splitlines() == [
            f"SLURM_ARRAY_JOB_ID={array}",
            f"SLURM_ARRAY_TASK_COUNT={count}",
            f"SLURM_ARRAY_TASK_ID={index}",
            f"SLURM_ARRAY_TASK_MAX={highest}",
            f"SLURM_ARRAY_TASK_MIN={lowest}",
            f"SLURM_ARRAY_TASK_STEP={step}",
            ids[str(index)],
        ]


def test_ids_are_taken_when_elements_start(slurm: SlurmUnderTest) -> None:
    """The last element has the array's own id, the others have new ones, in the order in which they started."""
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    other = slurm.sbatch("true", "--hold")
    assert numbers(slurm, array) == ["A_[1-3]|+0"]
    slurm.run("scontrol", "release", array)
    until(all_ended(slurm, array), what=f"array {array} has ended")
    assert numbers(slurm, array) == ["A_1|+2", "A_2|+3", "A_3|+0"]
    slurm.run("scancel", other)


def test_files(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("true", "-a", "3,12")
    until(all_ended(slurm, array), what=f"array {array} has ended")
    assert sorted(file.name for file in slurm.workdir.glob("*.out")) == [f"slurm-{array}_{i}.out" for i in (12, 3)]


@pytest.mark.parametrize(
    ("pattern", "old", "new"),
    [
        ("%A_%a", ["A_12", "A_7"], None),
        ("f%4a", ["f0007", "f0012"], None),
        ("%%a_%a", ["%a_12", "%a_7"], None),
        ("f%12a", ["f0000000007", "f0000000012"], None),
        ("f%a-%t-%n-%s", ["f12-0-0-batch", "f7-0-0-batch"], None),
        ("x%b", ["x%b"], ["x2", "x7"]),
    ],
)
def test_patterns_of_files(slurm: SlurmUnderTest, pattern: str, old: list[str], new: list[str] | None) -> None:
    (slurm.workdir / "files").mkdir()
    array = slurm.sbatch("true", "-a", "7,12", "-o", f"files/{pattern}")
    until(all_ended(slurm, array), what=f"array {array} has ended")
    names = sorted(file.name for file in Path(slurm.workdir, "files").iterdir())
    if "%A" in pattern:
        names = sorted(name.replace(array, "A", 1) for name in names)
    assert names == (new if new is not None and slurm.at_least("24.11") else old)


def test_no_more_run_than_may(slurm: SlurmUnderTest) -> None:
    """Those that have to wait for the limit say so; the last of them is no longer shown in brackets."""
    body = "until [ -e go$SLURM_ARRAY_TASK_ID ]; do sleep 0.05; done"
    array = slurm.sbatch(body, "-a", "0,2,5-7%2")
    until(lambda: queue(slurm, array, "%t").count("R") == 2, what="two elements run")
    until(lambda: "JobArrayTaskLimit" in queue(slurm, array, "%r"), what="the others wait for the limit")
    assert sorted(numbers(slurm, array, "%i|%A|%t|%r|%K")) == [
        "A_0|+1|R|None|0",
        "A_2|+2|R|None|2",
        "A_[5-7%2]|+0|PD|JobArrayTaskLimit|5-7%2",
    ]
    (slurm.workdir / "go2").touch()
    until(lambda: f"{array}_5|R" in queue(slurm, array, "%i|%t"), what="element 5 runs")
    (slurm.workdir / "go0").touch()
    until(lambda: f"{array}_6|R" in queue(slurm, array, "%i|%t"), what="element 6 runs")
    until(lambda: f"{array}_7|PD|JobArrayTaskLimit" in queue(slurm, array, "%i|%t|%r"), what="one is left")
    for index in (5, 6, 7):
        (slurm.workdir / f"go{index}").touch()
    until(all_ended(slurm, array), what=f"array {array} has ended")
    assert numbers(slurm, array) == ["A_0|+1", "A_2|+2", "A_5|+3", "A_6|+4", "A_7|+0"]


@pytest.mark.slurm_conf("MinJobAge=2")
def test_the_job_with_the_id_of_the_array_is_forgotten_last(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("until [ -e go$SLURM_ARRAY_TASK_ID ]; do sleep 0.05; done", "-a", "1-3")
    until(lambda: queue(slurm, array, "%t") == ["R"] * 3, what="all elements run")
    for index in (1, 3):
        (slurm.workdir / f"go{index}").touch()
    until(lambda: queue(slurm, array, "%i|%t") == [f"{array}_2|R", f"{array}_3|CD"], what="element 1 is forgotten")
    (slurm.workdir / "go2").touch()
    until(lambda: slurm.run("squeue", "-h", "-t", "all").stdout == "", what="all of it is forgotten")
    assert slurm.run("scontrol", "show", "step", f"{array}.0").stdout == f"Job step {array}.0 not found\n"


def test_accounting(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("exit $((SLURM_ARRAY_TASK_ID - 1))", "-a", "1-3")
    until(all_ended(slurm, array), what=f"array {array} has ended")
    ids = dict(line.split("|") for line in queue(slurm, array, "%K|%A"))
    expected = [
        {
            "JobID": f"{array}_{i}{suffix}",
            "JobIDRaw": f"{ids[str(i)]}{suffix}",
            "State": state,
            "ExitCode": f"{i - 1}:0",
        }
        for i, state in ((1, "COMPLETED"), (2, "FAILED"), (3, "FAILED"))
        for suffix in ("", ".batch")
    ]
    fields = "JobID,JobIDRaw,State,ExitCode"
    until(lambda: slurm.accounted(array, fields) == expected, what=f"sacct shows {expected}")
    assert slurm.accounted(f"{array}_2", fields) == expected[2:4]
    assert slurm.accounted(ids["2"], fields) == expected[2:4]
    assert slurm.accounted(f"{array}_2", fields, "-X") == expected[2:3]


def test_wait_returns_the_highest_exit_code(slurm: SlurmUnderTest) -> None:
    """An element that was killed counts as 1."""
    script = slurm.script("case $SLURM_ARRAY_TASK_ID in 1) exit 3;; 2) exit 7;; 3) exit 0;; 4) kill -9 $$;; esac")
    for spec, code in (("1-3", 7), ("3,4", 1), ("1,4", 3), ("3", 0)):
        done = slurm.run("sbatch", "--wait", "--parsable", "-a", spec, script)
        assert (done.returncode, done.stderr) == (code, ""), spec


def test_cancelling_what_waits(slurm: SlurmUnderTest) -> None:
    """Single elements vanish without a trace; the whole array is one CANCELLED record."""
    array = submit(slurm, "-a", "1-6")
    for what in (f"{array}_2", f"{array}_[3-4]", f"{array}_9"):
        done = slurm.run("scancel", what)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert numbers(slurm, array, "%i|%A|%t|%r|%K") == ["A_[1,5-6]|+0|PD|JobHeldUser|1,5-6"]
    done = slurm.run("scancel", "-v", f"{array}_2")
    assert done.stderr.splitlines()[-2:] == [
        f"scancel: Terminating job {array}_2",
        f"scancel: error: Kill job error on job id {array}_2: Invalid job id specified",
    ]
    slurm.run("scancel", array)
    assert numbers(slurm, array, "%i|%A|%t|%r|%K") == ["A_[1,5-6]|+0|CA|JobHeldUser|1,5-6"]


def test_cancelling_the_last_one_that_waits(slurm: SlurmUnderTest) -> None:
    """A record of which nothing is left is no array any more, but for scontrol, which prints an index that is none."""
    array = submit(slurm, "-a", "1-2")
    slurm.run("scancel", f"{array}_1")
    assert numbers(slurm, array, "%i|%A|%K") == ["A_[2]|+0|2"]
    slurm.run("scancel", f"{array}_2")
    assert numbers(slurm, array, "%i|%A|%F|%K|%t") == [f"A|+0|{array}|N/A|CA"]
    shown = slurm.run("scontrol", "-o", "show", "job", array).stdout
    assert shown.startswith(f"JobId={array} ArrayJobId={array} ArrayTaskId=4294967294 JobName=")
    done = slurm.run("scontrol", "show", "job", f"{array}_1")
    assert (done.returncode, done.stdout, done.stderr) == (1, f"Job {array}_1 not found\n", "")


def test_cancelling_what_runs(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("sleep 100", "-a", "1-4%2")
    until(lambda: queue(slurm, array, "%t").count("R") == 2, what="two elements run")
    slurm.run("scancel", f"{array}_[1-3]")
    until(lambda: f"{array}_4|R" in queue(slurm, array, "%i|%t"), what="the fourth runs")
    until(lambda: queue(slurm, array, "%t").count("CA") == 2, what="two are gone")
    assert numbers(slurm, array, "%i|%A|%t") == ["A_1|+1|CA", "A_2|+2|CA", "A_4|+0|R"]
    slurm.run("scancel", array)
    until(all_ended(slurm, array), what=f"array {array} has ended")
    assert numbers(slurm, array, "%i|%A|%t") == ["A_1|+1|CA", "A_2|+2|CA", "A_4|+0|CA"]


def test_holding_an_element(slurm: SlurmUnderTest) -> None:
    """It becomes a job of its own; squeue shows it in the array's line all the same, until no line is left."""
    array = slurm.sbatch("true", "-a", "1-4%3", "--begin=now+1hour")
    slurm.run("scontrol", "hold", f"{array}_2")
    assert queue(slurm, array, "%i") == [f"{array}_[1-4]"]
    assert re.search(r",JobHeld(Admin|User)$", queue(slurm, array, "%r")[0])
    raw = [line.split()[:4] for line in slurm.run("scontrol", "-o", "show", "job", array).stdout.splitlines()]
    assert [line[1:] for line in raw] == [
        [f"ArrayJobId={array}", "ArrayTaskId=1,3-4%3", "ArrayTaskThrottle=3"],
        [f"ArrayJobId={array}", "ArrayTaskId=2", "ArrayTaskThrottle=3"],
    ]
    slurm.run("scontrol", "hold", f"{array}_[1,3]")
    assert [line.partition("|")[0] for line in queue(slurm, array, "%i|%r")] == [f"{array}_{i}" for i in (1, 2, 3, 4)]
    slurm.run("scancel", array)
    assert queue(slurm, array, "%t") == ["CA"] * 4


def test_holding_what_is_not_there(slurm: SlurmUnderTest) -> None:
    """Elements are named by their indices, also those that went well when another one did not."""
    array = submit(slurm, "-a", "1-4")
    slurm.run("scontrol", "release", f"{array}_1")
    until(lambda: f"{array}_1|CD" in queue(slurm, array, "%i|%t"), what="one has ended")
    finished, unknown, well = "Job has already finished", "Invalid job id specified", "No error"
    for what, complaints in (
        (f"{array}_1", {"1": finished}),
        (f"{array}_9", {"9": unknown}),
        (f"{array}_[1-2]", {"1": finished, "2": well}),
        (f"{array}_[2-9]", {"2-4": well, "5-9": unknown}),
        (array, {"1": finished, "2-4": well}),
        (f"{array}_[4,3]", {}),
    ):
        for command in ("hold", "uhold"):
            done = slurm.run("scontrol", command, what)
            lines = [f"{array}_{indices}: {words}" for indices, words in complaints.items()]
            assert (done.returncode, done.stdout, done.stderr.splitlines()) == (1 if lines else 0, "", lines), what
    slurm.run("scancel", array)


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("1-5:2,8%2", "1,3,5,8%2"),
        ("5,6", "5-6"),
        ("0-40:10", "0,10,20,30,40"),
        ("0-50:10", "0-50:10"),
        ("0-10:2", "0,2,4,6,8,10"),
        ("0-12:2", "0-12:2"),
        ("0-100:3,102%4", "0-102:3%4"),
        ("3-10%100", "3-10%100"),
        ("1-3%0", "1-3"),
        ("%3", "0%3"),
        ("1%2%3", "1%2"),
        (
            "100,102,104,106,108,110,112,114,116,118,120,122,124,126,128,130,133%7",
            "100,102,104,106,108,110,112,114,116,118,120,122,124,126,128,...%7",
        ),
    ],
)
def test_how_indices_are_shown(slurm: SlurmUnderTest, spec: str, shown: str) -> None:
    array = submit(slurm, "-a", spec)
    assert queue(slurm, array, "%K") == [shown]
    assert queue(slurm, array, "%i") == [f"{array}_[{shown}]"[:31]]
    assert f" ArrayTaskId={shown} " in slurm.run("scontrol", "-o", "show", "job", array).stdout
    slurm.run("scancel", array)


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        ("0", "1,3,5,8"),
        ("1", ""),
        ("3", ".."),
        ("4", "..."),
        ("5", "1..."),
        ("9", "1,3,5..."),
        ("10", "1,3,5,8"),
        ("-1", "1,3,5,8"),
    ],
)
def test_how_much_is_shown_of_indices(slurm: SlurmUnderTest, length: str, shown: str) -> None:
    array = submit(slurm, "-a", "1,3,5,8")
    done = slurm.run("squeue", "-h", "-j", array, "-o", "%K|", env={"SLURM_BITSTR_LEN": length})
    assert done.stdout == f"{shown}|\n"
    slurm.run("scancel", array)


@pytest.mark.parametrize("spec", ["5-2", "foo", "0-2000000", "1-", "1-3:0", "-1", "1:2", "1.5", "0x3"])
def test_wrong_indices(slurm: SlurmUnderTest, spec: str) -> None:
    done = slurm.run("sbatch", "-a", spec, "--wrap", "true")
    message = "sbatch: error: Batch job submission failed: Invalid job array specification\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def fits(slurm: SlurmUnderTest, count: int) -> bool:
    """Whether there is room for an array of so many elements."""
    done = slurm.run("sbatch", "--test-only", f"--array=0-{count - 1}", "--wrap", "true")
    if done.returncode == 0:
        return True
    assert (done.returncode, done.stderr) == (1, "allocation failure: Resource temporarily unavailable\n")
    return False


def room(slurm: SlurmUnderTest, most: int) -> int:
    """How many jobs there is room for; 0 to `most`."""
    return next((count for count in range(most, 0, -1) if fits(slurm, count)), 0)


def refused(slurm: SlurmUnderTest, *options: str) -> str:
    """The first line of what sbatch says; Slurm's own does not end for two minutes."""
    try:
        said = slurm.run("sbatch", *options, "--wrap", "true", timeout=2.0).stderr
    except subprocess.TimeoutExpired as waiting:
        said = (waiting.stderr or b"").decode()
    return said.partition("\n")[0]


BUSY = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying"
FAILED = "sbatch: error: Batch job submission failed: "


@pytest.mark.slurm_conf("MaxJobCount=20", "MinJobAge=300")
def test_max_job_count_counts_elements(slurm: SlurmUnderTest) -> None:
    """Those that wait, those that were split off, and those that are over; but not those that were dropped while they waited."""
    assert refused(slurm, "--array=0-19") == BUSY
    assert room(slurm, 20) == 19
    array = submit(slurm, "-a", "0-15")
    assert room(slurm, 4) == 3
    slurm.run("scancel", f"{array}_[0-1]")
    assert room(slurm, 6) == 5
    slurm.run("scontrol", "update", f"JobId={array}_6", "Comment=x")
    assert room(slurm, 6) == 5
    slurm.run("scancel", f"{array}_6")
    assert room(slurm, 6) == 5
    slurm.run("scancel", array)
    assert room(slurm, 6) == 5
    small = submit(slurm, "-a", "0-2")
    for task in range(3):
        slurm.run("scancel", f"{small}_{task}")
    assert room(slurm, 5) == 4
    for _ in range(4):
        submit(slurm)
    assert room(slurm, 1) == 0
    assert refused(slurm, "-p", "nope") == BUSY
    assert refused(slurm, "-a", "5-1") == FAILED + "Invalid job array specification"
    problem = "Pathname of a file, directory or other parameter too long"
    assert refused(slurm, f"--comment={'x' * 3000}") == FAILED + problem


@pytest.mark.slurm_conf("MaxJobCount=20", "MinJobAge=2")
def test_elements_count_until_they_are_forgotten(slurm: SlurmUnderTest) -> None:
    array = submit(slurm, "-a", "0-16")
    slurm.run("scontrol", "update", f"JobId={array}_5", "Comment=x")
    slurm.run("scancel", f"{array}_[5,7]")
    until(lambda: room(slurm, 5) == 4, what="one element is forgotten")
    slurm.run("scancel", array)
    until(lambda: fits(slurm, 19), what="the others are forgotten")
    assert not fits(slurm, 20)
