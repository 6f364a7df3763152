"""What accounting says of an array of which one element after the other starts, and one is left."""

from __future__ import annotations

import json
from functools import partial

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

BODY = "until [ -e go.$SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID ]; do sleep 0.05; done"


def labels(slurm: SlurmUnderTest, job_id: str, *options: str) -> list[str]:
    """The rows of sacct, without the array's id."""
    rows = slurm.run("sacct", "-nXP", "-j", job_id, "-o", "JobID", *options).stdout.split()
    return [row.removeprefix(f"{job_id.partition('_')[0]}_") for row in rows]


def shows(slurm: SlurmUnderTest, job_id: str, record: str) -> bool:
    return labels(slurm, job_id)[-1] == record


def last_one(slurm: SlurmUnderTest) -> str:
    """An array of two that accounting has heard of before the first starts, which leaves the second alone."""
    job_id = slurm.sbatch(BODY, "--hold", "--array=1-2%1", "-c4", "-w", "n1")
    until(lambda: labels(slurm, job_id) == ["[1-2%1]"], what="the array in accounting", interval=0.1)
    slurm.run("scontrol", "release", job_id)
    until(lambda: "1" in labels(slurm, job_id), what="the first element in accounting", interval=0.1)
    return job_id


def test_the_last_element_is_told_of_when_it_starts(slurm: SlurmUnderTest) -> None:
    """Until then 22.05 has the record as it was, which is not found by the element's id. 24.11 tells of it when the one before starts."""
    job_id = last_one(slurm)
    new = slurm.at_least("24.11")
    record = "2" if new else "[1-2%1]"
    until(lambda: labels(slurm, job_id) == ["1", record], what=f"{record} in accounting", interval=0.1)
    slurm.run("squeue")
    slurm.run("scontrol", "show", "job", f"{job_id}_2")
    assert slurm.run("scontrol", "update", f"job={job_id}_2", "comment=x").returncode == 0
    assert labels(slurm, f"{job_id}_2") == (["2"] if new else [])
    assert labels(slurm, job_id) == ["1", record]
    jobs = json.loads(slurm.run("sacct", "-X", "--json", "-j", job_id).stdout)["jobs"]
    (array,) = [one["array"] for one in jobs if f"{one['job_id']}" == job_id]
    assert array["limits"]["max"]["running"]["tasks"] == 1
    if not new:
        assert (array["task"], array["task_id"]) == ("0x6", None)
    (slurm.workdir / f"go.{job_id}.1").touch()
    until(lambda: labels(slurm, job_id) == ["1", "2"], what="the last element in accounting", interval=0.1)
    jobs = json.loads(slurm.run("sacct", "-X", "--json", "-j", job_id).stdout)["jobs"]
    assert [one["array"]["limits"]["max"]["running"]["tasks"] for one in jobs if f"{one['job_id']}" == job_id] == [1]
    slurm.run("scancel", job_id)


@pytest.mark.parametrize(
    ("words", "is_told"),
    [
        ("scontrol hold ID_2", True),
        ("scontrol release ID_2", True),
        ("scontrol update job=ID_2 name=script1.sh", False),
        ("scontrol update job=ID_2 name=other", True),
        ("scontrol update job=ID_2 licenses=", True),
        ("scontrol update job=ID_2 wckey=", True),
        ("scontrol update job=ID timelimit=5", True),
        ("scontrol update job=ID_2 nice=3", True),
        ("scontrol update job=ID_2 nice=0", False),
        ("scontrol update job=ID_2 requeue=0", False),
        ("scontrol update job=ID_2 excnodelist=n3", False),
        ("scontrol update job=ID_2 dependency=singleton", False),
        ("scontrol update job=ID arraytaskthrottle=1", False),
        ("scancel ID_2", False),
        ("scancel ID", False),
    ],
)
def test_what_tells_of_the_last_element(slurm: SlurmUnderTest, words: str, is_told: bool) -> None:
    job_id = last_one(slurm)
    state = "CANCELLED" if words.startswith("scancel") else "PENDING"
    assert slurm.run(*words.replace("ID", job_id).split()).returncode == 0
    record = "2" if is_told or slurm.at_least("24.11") else "[1-2%1]"

    def row() -> str:
        return slurm.run("sacct", "-nXP", "-j", job_id, "-o", "JobID,State").stdout.splitlines()[-1]

    until(lambda: row().startswith(f"{job_id}_{record}|{state}"), what=f"{record} in accounting", interval=0.1)
    slurm.run("scancel", job_id)


def test_the_last_element_when_others_are_split_off_by_hand(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(BODY, "--hold", "--array=1-3%2")
    until(lambda: labels(slurm, job_id) == ["[1-3%2]"], what="the array in accounting", interval=0.1)
    for task, left in (("1", "[2-3%2]"), ("2", "3")):
        slurm.run("scontrol", "hold", f"{job_id}_{task}")
        until(partial(shows, slurm, job_id, left), what=f"{left} in accounting", interval=0.1)
    slurm.run("scancel", job_id)


def test_elements_that_start_at_once_leave_the_record_as_it_was(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(BODY, "--hold", "--array=1-3%2")
    until(lambda: labels(slurm, job_id) == ["[1-3%2]"], what="the array in accounting", interval=0.1)
    slurm.run("scontrol", "release", job_id)
    rows = ["1", "2", "3" if slurm.at_least("24.11") else "[1-3%2]"]
    until(lambda: labels(slurm, job_id) == rows, what=f"{rows} in accounting", interval=0.1)
    slurm.run("scancel", job_id)


def test_accounting_hears_of_what_has_begun_before(slurm: SlurmUnderTest) -> None:
    """Of an array that is new only what it is then. (What limit it has depends on who has started the first: backfill takes it back.)"""
    job_id = slurm.sbatch(BODY, "--array=1-3%1", "-c4", "-w", "n1")
    until(lambda: labels(slurm, job_id) == ["1", "[2-3%1]"], what="the array in accounting", interval=0.1)
    (slurm.workdir / f"go.{job_id}.1").touch()
    rows = ["1", "2", "3" if slurm.at_least("24.11") else "[2-3%1]"]
    until(lambda: labels(slurm, job_id) == rows, what=f"{rows} in accounting", interval=0.1)
    slurm.run("scancel", job_id)
