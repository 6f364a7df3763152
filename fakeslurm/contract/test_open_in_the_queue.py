"""Known differences: what Slurm's backfill scheduler plans for jobs that wait, and what that changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakeslurm.contract.differences import compare_known
from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason

BUSY = "--exclusive --time=20"
TOO_FEW = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"


@pytest.fixture
def _n1_comes_back(slurm: SlurmUnderTest) -> Iterator[None]:
    yield
    slurm.run("scontrol", "update", "nodename=n1", "state=resume")


def running(slurm: SlurmUnderTest, options: str) -> str:
    job_id = slurm.sbatch("sleep 300", *options.split())
    slurm.wait(job_id, ["RUNNING"])
    return job_id


def queued(slurm: SlurmUnderTest, job_id: str, column: str) -> str:
    return slurm.run("squeue", "-h", "-j", job_id, "-o", column).stdout.strip()


def planned(slurm: SlurmUnderTest, job_id: str) -> None:
    """Wait until backfill has planned the job; the fake has no backfill that plans, and its scheduler has looked by then."""
    if slurm.is_real:
        until(lambda: queued(slurm, job_id, "%S") != "N/A", what=f"a plan for {job_id}")


def test_a_job_that_waits_for_resources_has_a_start_time(slurm: SlurmUnderTest) -> None:
    """The plan is in squeue's %S, %e and ``--start``, and in scontrol's StartTime, EndTime and SchedNodeList."""
    slurm.wait_idle()
    before = running(slurm, f"{BUSY} -N4")
    job_id = slurm.sbatch("sleep 300", "-N2", "--time=30")
    wait_for_reason(slurm, job_id, "Resources")
    planned(slurm, job_id)
    end = queued(slurm, before, "%e")
    compare_known(slurm, queued(slurm, job_id, "%S"), real=end, fake="N/A")
    compare_known(slurm, shown(slurm, job_id)["StartTime"], real=end, fake="Unknown")
    compare_known(slurm, shown(slurm, job_id).get("SchedNodeList"), real="n[1-2]", fake=None)


@pytest.mark.parametrize(("time", "year"), [("--time=30", None), ("--time=0", 2500)])
def test_test_only_comes_behind_what_waits(slurm: SlurmUnderTest, time: str, year: int | None) -> None:
    """A job that waits without a limit keeps its nodes for ever: Slurm names a day some hundred years from now."""
    slurm.wait_idle()
    before = running(slurm, f"{BUSY} -N4")
    job_id = slurm.sbatch("sleep 300", "-N4", "--exclusive", time)
    wait_for_reason(slurm, job_id, "Resources")
    said = slurm.run("sbatch", "--test-only", "-N1", "--time=1", "--wrap=true").stderr
    end = queued(slurm, before, "%e")
    start = said.split(" to start at ")[1].split()[0]
    compare_known(slurm, start > (end if year is None else f"{year}"), real=True, fake=False)
    assert slurm.is_real or start == end


def test_sinfo_counts_the_cpus_of_a_node_only_where_it_is_asked_for_all(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    slurm.run("sinfo")
    running(slurm, "-n1")
    one = ["sinfo", "-h", "-n", "n1", "-o", "%t %C"]
    compare_known(slurm, slurm.run(*one).stdout, real="alloc 0/4/0/4\n", fake="mix 1/3/0/4\n")
    slurm.run("sinfo")
    assert slurm.run(*one).stdout == "mix 1/3/0/4\n"


def test_behind_a_het_job_that_waits(slurm: SlurmUnderTest) -> None:
    """Backfill plans components one by one, the first on the nodes that are free: what comes behind waits for a het job that cannot start."""
    slurm.wait_idle()
    running(slurm, f"{BUSY} -w n[1-2]")
    leader = slurm.sbatch("sleep 300", "-N2", "--exclusive", "--time=10", ":", "-N1", "--exclusive", "--time=10")
    until(lambda: queued(slurm, leader, "%i %r").startswith(f"{leader}+0 Resources"), what="the leader waits")
    planned(slurm, leader)
    behind = slurm.sbatch("sleep 300", "-w", "n4", "--time=1")
    if slurm.is_real:
        planned(slurm, behind)
    else:
        slurm.wait(behind, ["RUNNING"])
    compare_known(slurm, queued(slurm, behind, "%T %r"), real="PENDING Priority", fake="RUNNING None")


@pytest.mark.usefixtures("_n1_comes_back")
def test_reasons_behind_the_first_stay_when_a_node_is_drained(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    for number in range(1, 5):
        running(slurm, f"--exclusive -w n{number}")
    first, four, one, two = (slurm.sbatch("sleep 300", *options.split()) for options in ("-N3", "-N4", "-w n1", "-N2"))
    wait_for_reason(slurm, first, "Resources")
    for job_id in (four, one, two):
        wait_for_reason(slurm, job_id, "Priority")
        planned(slurm, job_id)
    slurm.run("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
    if slurm.is_real:
        until(lambda: queued(slurm, four, "%S") == queued(slurm, one, "%S") == "N/A", what="backfill has looked again")
    else:
        until(lambda: queued(slurm, four, "%r") != "Priority", what="the scheduler has looked again")
    compare_known(slurm, queued(slurm, four, "%r"), real="Priority", fake=TOO_FEW)
    compare_known(slurm, queued(slurm, one, "%r"), real="Priority", fake="ReqNodeNotAvail, UnavailableNodes:n1")
    assert [queued(slurm, job_id, "%r") for job_id in (first, two)] == ["Resources", "Priority"]


def test_who_waits_for_an_array_that_is_killed(slurm: SlurmUnderTest) -> None:
    """In Slurm it starts once all of the array has been told, and keeps off n1 as long as that is being cleared."""
    slurm.wait_idle()
    array = slurm.sbatch("sleep 300", "-w", "n1", "--array=1-7:2%2", "-o", "/dev/null")
    until(lambda: queued(slurm, array, "%t").count("R") == 2, what="two elements run")
    waits = slurm.sbatch("sleep 300", "-n2", "--array=0-7", "-d", f"after:{array}", "-o", "/dev/null")
    slurm.run("scancel", "-s", "KILL", array)
    until(lambda: slurm.run("squeue", "-h", "-t", "R", "-j", waits).stdout.count("\n") == 8, what="all of it runs")
    places = slurm.run("squeue", "-h", "-t", "R", "-j", waits, "-o", "%K %N").stdout.splitlines()
    compare_known(slurm, "0 n1" in places, real=False, fake=True)


def test_cpus_of_what_overcommits_several_sockets_and_waits(slurm: SlurmUnderTest) -> None:
    options = ["-O", "--sockets-per-node=2", "-c2", "-n3"]
    job_id = slurm.sbatch("sleep 300", *options, "-o", "/dev/null")
    if slurm.at_least("24.11"):
        cpus = "2" if slurm.is_real else "1"
        until(lambda: shown(slurm, job_id)["NumCPUs"] == cpus, what=f"{cpus} CPUs")
        fields = shown(slurm, job_id)
        assert fields["JobState"] == "PENDING"
        compare_known(slurm, fields["NumCPUs"], real="2", fake="1")
    else:
        assert slurm.wait(job_id, ["RUNNING"])["NumCPUs"] == "2"
