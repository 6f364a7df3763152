"""``scontrol update jobid=`` of arrays and their elements. Measured: docs/measured/update.md."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason
from fakeslurm.contract.test_update_job import held, running, update


@pytest.fixture(autouse=True)
def _nobody_waits(slurm: SlurmUnderTest) -> Iterator[None]:
    slurm.run("scancel", "--me")
    slurm.wait_idle()
    yield
    slurm.run("scancel", "--me")


def queue(slurm: SlurmUnderTest, array: str, text: str) -> list[str]:
    return sorted(slurm.run("squeue", "-h", "-j", array, "-o", text).stdout.split())


def is_shown(slurm: SlurmUnderTest, array: str, row: str) -> bool:
    """Indices and reason."""
    return row in queue(slurm, array, "%K|%r")


def test_elements_of_an_array(slurm: SlurmUnderTest) -> None:
    """One that is updated by itself is a job of its own."""
    array = held(slurm, "-a", "1-4")
    assert update(slurm, f"jobid={array}", "TimeLimit=5") == ""
    assert update(slurm, f"jobid={array}_2", "TimeLimit=+1") == ""
    assert update(slurm, f"jobid={array}_[3-4]", "Name=x") == ""
    shows = queue(slurm, array, "%K|%l|%j")
    assert shows == ["1|5:00|script1.sh", "2|6:00|script1.sh", "3|5:00|x", "4|5:00|x"]
    assert update(slurm, f"jobid={array}_9", "Name=x") == f"{array}_9: Invalid job id specified\n"
    named = "" if slurm.at_least("24.11") else f"{array}_1: No error\n"
    said = update(slurm, f"jobid={array}_[1,9]", "Name=x")
    assert said == f"{named}{array}_9: Invalid job id specified\n"
    assert update(slurm, f"jobid={array}", "Partition=nope") == f"{array}_1-4: Invalid partition name specified\n"
    several = "TimeLimit increment/decrement not supported for job arrays"
    assert update(slurm, f"jobid={array}", "TimeLimit=+1") == f"scontrol: error: {several}\n"
    assert "Job resizing not supported for job arrays" in update(slurm, f"jobid={array}", "ReqNodeList=n1")
    slurm.run("scancel", f"{array}_1")
    rest = "" if slurm.at_least("24.11") else f"{array}_2-4: No error\n"
    until(lambda: slurm.wait(f"{array}_1"), what="an element is cancelled")
    assert update(slurm, f"jobid={array}", "Comment=c") == f"{array}_1: Job has already finished\n{rest}"


def test_how_many_elements_may_run(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("sleep 100", "-n1", "-a", "1-4%1")
    until(lambda: queue(slurm, array, "%t").count("R") == 1, what="one runs")
    assert update(slurm, f"jobid={array}", "ArrayTaskThrottle=3") == ""
    until(lambda: queue(slurm, array, "%t").count("R") == 3, what="three run")
    only = (
        "Requested operation not supported on this system (Update of ArrayTaskThrottle is only allowed on ArrayJobId)"
    )
    said = update(slurm, f"jobid={array}_1", "ArrayTaskThrottle=1")
    assert said == (f"{array}_1: {only}\n" if slurm.at_least("24.11") else "")
    assert update(slurm, f"jobid={array}", "ArrayTaskThrottle=0") == ""
    until(lambda: queue(slurm, array, "%t").count("R") == 4, what="all run")
    alone = running(slurm)
    words = "Update of ArrayTaskThrottle is only allowed on ArrayJobId"
    no = f"scontrol: error: {words}\nRequested operation not supported on this system for job {alone}\n"
    assert update(slurm, f"jobid={alone}", "ArrayTaskThrottle=1") == (no if slurm.at_least("24.11") else "")


@pytest.mark.parametrize(
    "words", [("update", "jobid={0},{0}_4", "Nice=5"), ("release", "{0},{0}_4"), ("release", "{0}", "{0}_4")]
)
def test_the_scheduler_comes_by_after_all_of_a_command(slurm: SlurmUnderTest, words: tuple[str, ...]) -> None:
    """The element that is named is split off before any has started."""
    array = held(slurm, "-a", "1,3-4")
    assert slurm.run("scontrol", *(word.format(array) for word in words)).stderr == ""
    until(lambda: queue(slurm, array, "%t") == ["R"] * 3, what="all run")
    rows = slurm.run("squeue", "-h", "-j", array, "-O", "JobArrayID,JobID").stdout.splitlines()
    ids = {element: int(job_id) - int(array) for element, job_id in map(str.split, rows)}
    assert ids[f"{array}_4"] == 1


def test_elements_that_no_node_will_do_for(slurm: SlurmUnderTest) -> None:
    """They are no held ones when they become jobs of their own."""
    array = held(slurm, "-a", "1-3", "--tmp=100")
    slurm.run("scontrol", "release", array)
    wait_for_reason(slurm, array, "BadConstraints")
    assert update(slurm, f"jobid={array}_2", "Name=x") == ""
    until(
        lambda: queue(slurm, array, "%K|%r|%Q") == ["1,3|BadConstraints|0", "2|BadConstraints|0"],
        what="it is looked at",
    )
    assert update(slurm, f"jobid={array}_2", "MinTmpDiskNode=0") == ""
    until(lambda: queue(slurm, array, "%K|%t") == ["1,3|PD", "2|R"], what="one runs")


def test_a_time_to_come_while_the_array_is_full(slurm: SlurmUnderTest) -> None:
    """The limit is the reason that is shown."""
    array = slurm.sbatch("sleep 100", "-n1", "-a", "1-4%1")
    until(lambda: queue(slurm, array, "%t").count("R") == 1, what="one runs")
    assert update(slurm, f"jobid={array}_[2-4]", "StartTime=2036-01-01") == ""
    until(lambda: queue(slurm, array, "%r|%S")[0] == "JobArrayTaskLimit|2036-01-01T00:00:00", what="the limit is shown")
    assert update(slurm, f"jobid={array}", "ArrayTaskThrottle=2") == ""
    until(lambda: queue(slurm, array, "%r")[0] == "BeginTime", what="the time is shown")


@pytest.mark.parametrize(
    "commands",
    [
        [("update", "jobid={0}", "MinMemoryCPU=3000")],
        [("update", "jobid={0}_[1-4]", "MinMemoryCPU=3000"), ("hold", "{0}"), ("release", "{0}")],
        [("update", "jobid={0}", "ExcNodeList=n[1-4]"), ("update", "jobid={0}", "ArrayTaskThrottle=1")],
    ],
)
def test_no_node_will_do_while_the_array_is_full(slurm: SlurmUnderTest, commands: list[tuple[str, ...]]) -> None:
    """The limit is the reason that is shown: nobody looks for nodes."""
    array = slurm.sbatch("sleep 100", "-n1", "-a", "1-4%1")
    until(lambda: queue(slurm, array, "%t").count("R") == 1, what="one runs")
    for words in commands:
        slurm.run("scontrol", *(word.format(array) for word in words))
        row = "2-4%1|JobHeldAdmin" if words[0] == "hold" else "2-4%1|JobArrayTaskLimit"
        until(partial(is_shown, slurm, array, row), what=row)
    slurm.run("scancel", f"{array}_1")
    until(lambda: queue(slurm, array, "%K|%r|%Q") == ["2-4%1|BadConstraints|0"], what="somebody looks")
    update(slurm, f"jobid={array}", "ArrayTaskThrottle=2")
    until(lambda: queue(slurm, array, "%K|%r|%Q") == ["2-4%2|BadConstraints|0"], what="somebody looks again")


def test_no_node_would_do_before_the_array_was_full(slurm: SlurmUnderTest) -> None:
    """Then it is as if somebody had held them."""
    array = held(slurm, "-a", "1-5%2")
    update(slurm, f"jobid={array}_[3-5]", "MinMemoryCPU=3000")
    slurm.run("scontrol", "release", f"{array}_1", f"{array}_4")

    until(lambda: shown(slurm, f"{array}_4")["Reason"] == "BadConstraints", what="no node will do for it")
    slurm.run("scontrol", "release", f"{array}_2")
    until(lambda: shown(slurm, f"{array}_4")["Reason"] == "JobHeldAdmin", what="the array is full")
    slurm.run("scontrol", "release", f"{array}_3")
    until(lambda: shown(slurm, f"{array}_3")["Reason"] == "JobArrayTaskLimit", what="another waits for the limit")
    slurm.run("scancel", f"{array}_1")
    until(lambda: shown(slurm, f"{array}_3")["Reason"] == "BadConstraints", what="no node will do for this one")
    assert shown(slurm, f"{array}_4")["Reason"] == "JobHeldAdmin"


def test_elements_that_wait_for_elements(slurm: SlurmUnderTest) -> None:
    """Not for themselves, not for their whole array, and not in a circle."""
    array = held(slurm, "-a", "1-4")
    problem, circle = "Job dependency problem", "Circular job dependency"
    for named, other, said in (
        ("_2", "_2", f"{array}_2: {problem}\n"),
        ("_2", "", f"{array}_2: {problem}\n"),
        ("_2", "_3", ""),
        ("_3", "_2", f"{array}_3: {circle}\n"),
        ("_[1,4]", "_4", f"{array}_1,4: {problem}\n"),
        ("_[1,4]", "_2", ""),
    ):
        assert update(slurm, f"jobid={array}{named}", f"Dependency=afterany:{array}{other}") == said, (named, other)
    assert shown(slurm, f"{array}_2")["Dependency"] == f"afterany:{array}_3(unfulfilled)"


def test_an_element_whose_limit_is_refused(slurm: SlurmUnderTest) -> None:
    """It is a job of its own all the same."""
    array = held(slurm, "-a", "1-4%2")
    update(slurm, f"jobid={array}_3", "ArrayTaskThrottle=1")
    assert shown(slurm, f"{array}_3")["JobId"] == f"{int(array) + 1}"


def test_all_elements_were_cancelled_one_by_one(slurm: SlurmUnderTest) -> None:
    """None of them is named any more."""
    array = held(slurm, "-a", "1-3")
    slurm.run("scancel", f"{array}_[1-3]")
    until(lambda: shown(slurm, array)["JobState"] == "CANCELLED", what="the array is over")
    for words in (["update", f"jobid={array}", "Comment=c"], ["hold", array], ["release", array]):
        done = slurm.run("scontrol", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert update(slurm, f"jobid={array}_2", "Comment=c") == f"{array}_2: Invalid job id specified\n"
