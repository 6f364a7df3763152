"""``scontrol update jobid=`` of jobs that wait: who is next, and where and when it starts. Measured: docs/measured/update.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason
from fakeslurm.contract.test_update_job import held, minutes, moment, update

pytestmark = pytest.mark.slurm_conf(
    "PartitionName=two Nodes=n[1-2]",
    "PartitionName=short Nodes=n[1-4] MaxTime=5",
    "PartitionName=deft Nodes=n[1-4] DefaultTime=7",
    "PartitionName=shut Nodes=n[1-4] State=DOWN",
    "PartitionName=drained Nodes=n[1-4] State=DRAIN",
    "NodeName=n[1-2] Gres=gpu:2 Feature=f1",
    "NodeName=n3 Feature=f2",
    "GresTypes=gpu",
    "Licenses=foo:4",
)


@pytest.fixture(autouse=True)
def _nobody_waits(slurm: SlurmUnderTest) -> Iterator[None]:
    slurm.run("scancel", "--me")
    slurm.wait_idle()
    yield
    slurm.run("scancel", "--me")


def full(slurm: SlurmUnderTest) -> str:
    """A job that has all nodes."""
    job_id = slurm.sbatch("sleep 100", "-N4", "--exclusive", "-t", "30")
    slurm.wait(job_id, ["RUNNING"])
    return job_id


def a_second_later(slurm: SlurmUnderTest, job_id: str) -> None:
    """What became eligible in this very second is not distinguished from what will be."""
    eligible = datetime.fromisoformat(shown(slurm, job_id)["EligibleTime"])
    until(lambda: (datetime.now() - eligible).total_seconds() > 1, what="a second is over")


def waiting(slurm: SlurmUnderTest, *options: str) -> str:
    return slurm.sbatch("sleep 100", "-N1", "-n1", "-t", "5", *options)


def test_who_is_next(slurm: SlurmUnderTest) -> None:
    full(slurm)
    first, second = waiting(slurm), waiting(slurm)
    wait_for_reason(slurm, first, "Resources")
    highest = int(shown(slurm, first)["Priority"])
    assert update(slurm, f"jobid={second}", f"Priority={highest + 1}") == ""
    wait_for_reason(slurm, second, "Resources")
    assert update(slurm, f"jobid={second}", "Priority=1") == ""
    wait_for_reason(slurm, second, "Priority")
    assert shown(slurm, second)["Priority"] == "1"


def test_nice(slurm: SlurmUnderTest) -> None:
    """It counts from the priority, unless somebody has set that; who sets it takes the nice value back."""
    full(slurm)
    job_id = waiting(slurm)
    before = int(shown(slurm, job_id)["Priority"])
    for word, nice in (("Nice=10", 10), ("Nice", 100), ("Nice=-5", -5), ("Nice=foo", 0)):
        assert update(slurm, f"jobid={job_id}", word) == ""
        fields = shown(slurm, job_id)
        assert (int(fields["Priority"]), int(fields["Nice"])) == (before - nice, nice)
    update(slurm, f"jobid={job_id}", "Nice=10")
    update(slurm, f"jobid={job_id}", "Priority=50")
    assert update(slurm, f"jobid={job_id}", "Nice=3") == ""
    fields = shown(slurm, job_id)
    assert (fields["Priority"], fields["Nice"]) == ("50", "0")
    slurm.run("scontrol", "hold", job_id)
    slurm.run("scontrol", "release", job_id)
    assert int(shown(slurm, job_id)["Priority"]) in range(before - 9, before)
    assert update(slurm, f"jobid={job_id}", "Nice=3") == ""
    assert shown(slurm, job_id)["Nice"] == "3"


def test_nice_lets_a_held_job_go(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm)
    assert update(slurm, f"jobid={job_id}", "Nice=5") == ""
    assert slurm.wait(job_id, ["RUNNING"])["Priority"] == "2"


def test_a_priority_of_its_own_is_lost_when_it_is_released(slurm: SlurmUnderTest) -> None:
    full(slurm)
    job_id = waiting(slurm, "--priority=70")
    assert shown(slurm, job_id)["Priority"] == "70"
    slurm.run("scontrol", "hold", job_id)
    slurm.run("scontrol", "release", job_id)
    assert int(shown(slurm, job_id)["Priority"]) > 4_000_000_000


@pytest.mark.parametrize("how", ["hold", "update"])
def test_a_held_job_is_not_eligible(slurm: SlurmUnderTest, how: str) -> None:
    """Not even one that runs. When it began to wait is remembered."""
    runs = full(slurm)
    waits = waiting(slurm)
    wait_for_reason(slurm, waits, "Resources")
    until(lambda: shown(slurm, waits)["AccrueTime"] != "Unknown", what="it has begun to wait")
    a_second_later(slurm, waits)
    for job_id in (runs, waits):
        before = shown(slurm, job_id)
        if how == "hold":
            slurm.run("scontrol", "hold", job_id)
        else:
            assert update(slurm, f"jobid={job_id}", "Priority=0") == ""
        fields = shown(slurm, job_id)
        assert (fields["Priority"], fields["Reason"], fields["EligibleTime"]) == ("0", "JobHeldAdmin", "Unknown")
        if job_id == waits:
            assert fields["AccrueTime"] == before["AccrueTime"]
        slurm.run("scontrol", "release", job_id)
    until(lambda: shown(slurm, waits)["EligibleTime"] != "Unknown", what="it is eligible again")
    fields = shown(slurm, waits)
    assert fields["EligibleTime"] >= fields["AccrueTime"] == fields["SubmitTime"]
    assert shown(slurm, runs)["EligibleTime"] == "Unknown"


def test_other_partitions(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm)
    assert update(slurm, f"jobid={job_id}", "Partition=two,debug") == ""
    assert shown(slurm, job_id)["Partition"] == "two,debug"
    said = update(slurm, f"jobid={job_id}", "Partition=drained")
    assert said == f"Required partition not available (inactive or drain) for job {job_id}\n"
    assert update(slurm, f"jobid={job_id}", "Partition=shut") == ""
    slurm.run("scontrol", "release", job_id)
    wait_for_reason(slurm, job_id, "PartitionDown")
    assert update(slurm, f"jobid={job_id}", "Partition=short") == ""
    wait_for_reason(slurm, job_id, "PartitionTimeLimit")
    assert update(slurm, f"jobid={job_id}", "TimeLimit=5") == ""
    assert slurm.wait(job_id, ["RUNNING"])["Partition"] == "short"


def test_the_default_time_of_a_partition_goes_along(slurm: SlurmUnderTest) -> None:
    from_there = slurm.sbatch("sleep 100", "--hold", "-n1", "-p", "deft")
    to_there = slurm.sbatch("sleep 100", "--hold", "-n1")
    assert shown(slurm, from_there)["TimeLimit"] == "00:07:00"
    assert update(slurm, f"jobid={from_there}", "Partition=debug") == ""
    assert update(slurm, f"jobid={to_there}", "Partition=deft") == ""
    assert [shown(slurm, one)["TimeLimit"] for one in (from_there, to_there)] == ["00:07:00", "UNLIMITED"]
    slurm.run("scontrol", "release", from_there, to_there)
    assert slurm.wait(from_there, ["RUNNING"])["TimeLimit"] == "00:07:00"
    # Where the backfill scheduler is there first, it has given a job without a limit one of a year: chance, on the real one.
    assert slurm.wait(to_there, ["RUNNING"])["TimeLimit"] in ("00:07:00", "365-00:00:00")


def test_dependencies(slurm: SlurmUnderTest) -> None:
    other = full(slurm)
    job_id = waiting(slurm)
    wait_for_reason(slurm, job_id, "Resources")
    a_second_later(slurm, job_id)
    assert update(slurm, f"jobid={job_id}", f"Dependency=afterok:{other}") == ""
    wait_for_reason(slurm, job_id, "Dependency")
    fields = shown(slurm, job_id)
    assert (fields["Dependency"], fields["EligibleTime"]) == (f"afterok:{other}(unfulfilled)", "Unknown")
    assert update(slurm, f"jobid={job_id}", f"Dependency=afternotok:{other}") == ""
    assert shown(slurm, job_id)["Dependency"] == f"afternotok:{other}(unfulfilled)"
    assert update(slurm, f"jobid={job_id}", "Dependency=") == ""
    wait_for_reason(slurm, job_id, "Resources")
    assert shown(slurm, job_id)["Dependency"] == "(null)"
    said = update(slurm, f"jobid={job_id}", "Dependency=afterok:2000000000")
    assert said == (f"Job dependency problem for job {job_id}\n" if slurm.at_least("24.11") else "")
    assert update(slurm, f"jobid={job_id}", f"Dependency=afternotok:{other}") == ""
    slurm.run("scancel", other)
    assert slurm.wait(job_id, ["RUNNING"])["Dependency"] == "(null)"


def test_another_begin(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm)
    assert update(slurm, f"jobid={job_id}", "StartTime=2035-06-01T10:00") == ""
    fields = shown(slurm, job_id)
    assert [fields[name] for name in ("EligibleTime", "StartTime")] == ["2035-06-01T10:00:00"] * 2
    assert fields["EndTime"] == "2035-06-01T10:10:00"
    slurm.run("scontrol", "release", job_id)
    wait_for_reason(slurm, job_id, "BeginTime")
    assert update(slurm, f"jobid={job_id}", "EligibleTime=2036-01-01") == ""
    assert shown(slurm, job_id)["EligibleTime"] == "2036-01-01T00:00:00"
    assert update(slurm, f"jobid={job_id}", "StartTime=now") == ""
    fields = slurm.wait(job_id, ["RUNNING"])
    assert datetime.fromisoformat(fields["EligibleTime"]) <= datetime.fromisoformat(fields["StartTime"])


@pytest.mark.parametrize(
    ("word", "nodes"),
    [("ReqNodeList=n3", "n3"), ("ExcNodeList=n[1-3]", "n4"), ("Features=f2", "n3"), ("Partition=two", "n1")],
)
def test_other_nodes(slurm: SlurmUnderTest, word: str, nodes: str) -> None:
    job_id = held(slurm)
    assert update(slurm, f"jobid={job_id}", word) == ""
    slurm.run("scontrol", "release", job_id)
    assert slurm.wait(job_id, ["RUNNING"])["NodeList"] == nodes


def test_when_a_job_that_no_node_will_do_for_starts(slurm: SlurmUnderTest) -> None:
    """At once, it is said, until the backfill scheduler comes by; also when it waits for something else by now."""

    def starts_now() -> bool:
        fields = shown(slurm, job_id)
        start, end = fields["StartTime"], fields["EndTime"]
        if start == "Unknown" and slurm.is_real:
            return end == "Unknown"
        return abs((datetime.now() - moment(start)).total_seconds()) < 5 and minutes(fields) == 10

    job_id = held(slurm, "--tmp=100")
    slurm.run("scontrol", "release", job_id)
    wait_for_reason(slurm, job_id, "BadConstraints")
    eligible = shown(slurm, job_id)["EligibleTime"]
    assert starts_now()
    a_second_later(slurm, job_id)
    slurm.run("scontrol", "hold", job_id)
    wait_for_reason(slurm, job_id, "JobHeldAdmin")
    assert shown(slurm, job_id)["EligibleTime"] == eligible
    assert starts_now()
    slurm.run("scontrol", "release", job_id)
    assert update(slurm, f"jobid={job_id}", "StartTime=2035-01-01", "MinTmpDiskNode=0") == ""
    wait_for_reason(slurm, job_id, "BeginTime")
    assert starts_now() or shown(slurm, job_id)["StartTime"] == "2035-01-01T00:00:00"


@pytest.mark.parametrize(
    ("word", "undo"),
    [
        ("ExcNodeList=n[1-4]", "ExcNodeList="),
        ("Features=f1&f2", "Features="),
        ("MinMemoryNode=100000", "MinMemoryNode=10"),
        ("Gres=gpu:9", "Gres=gpu:1"),
    ],
)
def test_a_job_that_no_node_will_do_for(slurm: SlurmUnderTest, word: str, undo: str) -> None:
    """Every update lets it be looked at again."""
    job_id = held(slurm)
    assert update(slurm, f"jobid={job_id}", word) == ""
    slurm.run("scontrol", "release", job_id)
    wait_for_reason(slurm, job_id, "BadConstraints")
    assert shown(slurm, job_id)["Priority"] == "0"
    assert update(slurm, f"jobid={job_id}", undo) == ""
    assert int(slurm.wait(job_id, ["RUNNING"])["Priority"]) > 4_000_000_000


def test_memory_and_gres(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm, "--mem=200", "-o", "out", body="env | grep -E '^(SLURM_MEM|SLURM_JOB_GPUS|CUDA)' | sort")
    assert update(slurm, f"jobid={job_id}", "MinMemoryCPU=50", "Gres=gpu:2") == ""
    slurm.run("scontrol", "release", job_id)
    slurm.wait(job_id, ["COMPLETED"])
    assert slurm.output("out").splitlines()[-1:] == ["SLURM_MEM_PER_CPU=50"]
    assert re.search(r"TresPerNode=gres[:/]gpu:2", slurm.run("scontrol", "show", "job", job_id).stdout)


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        ("MinMemoryNode=200", "2", "1"),
        ("MinMemoryNode=100", "1", "1"),
        ("Comment=c", "1", "1"),
        ("ReqNodeList=n2", "1", "1"),
    ],
)
def test_another_memory_makes_the_number_of_nodes_a_guess_again(
    slurm: SlurmUnderTest, words: str, old: str, new: str
) -> None:
    """As of a held job: on 22.05 that shows for tasks of several CPUs, on 24.11 in a range for others."""
    later = ("--mem=100", "--begin=now+1hour")
    one, several = slurm.sbatch("true", *later), slurm.sbatch("true", *later, "-n1", "-c2")
    for job_id in (one, several):
        assert shown(slurm, job_id)["NumNodes"] == "1"
        assert update(slurm, f"jobid={job_id}", words) == ""
    assert shown(slurm, several)["NumNodes"] == (new if slurm.at_least("24.11") else old)
    guessed = slurm.at_least("24.11") and old == "2"
    assert shown(slurm, one)["NumNodes"] == ("1-1" if guessed else "1")


def test_squeue_sorts_the_nodes_that_an_update_asks_for(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-N2")
    assert update(slurm, f"jobid={job_id}", "ReqNodeList=n4,n2", "ExcNodeList=n3,n1") == ""
    fields = shown(slurm, job_id)
    assert (fields["ReqNodeList"], fields["ExcNodeList"]) == ("n4,n2", "n3,n1")
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%n %x").stdout == "n[2,4] n[1,3]\n"


def test_licenses(slurm: SlurmUnderTest) -> None:
    holds = slurm.sbatch("sleep 100", "-n1", "-L", "foo:3")
    slurm.wait(holds, ["RUNNING"])
    job_id = slurm.sbatch("sleep 100", "-n1", "-t", "5", "-L", "foo:2")
    wait_for_reason(slurm, job_id, "Licenses")
    assert update(slurm, f"jobid={job_id}", "Licenses=foo:1") == ""
    assert slurm.wait(job_id, ["RUNNING"])["Licenses"] == "foo:1"


def test_no_licenses(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm)
    assert update(slurm, f"jobid={job_id}", "Licenses=") == ""
    shows = "(null)" if slurm.at_least("24.11") else ""
    assert f" Licenses={shows} Network" in slurm.run("scontrol", "show", "job", job_id).stdout
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%W").stdout == f"{shows}\n"


def test_files_that_were_named_stay_where_they_are(slurm: SlurmUnderTest) -> None:
    """What sbatch is told is absolute from the start; the default goes along with the directory."""
    named, default = held(slurm, "-o", "out-%j", "-e", "None", "-i", "sub/in"), held(slurm)
    for job_id in (named, default):
        assert update(slurm, f"jobid={job_id}", "WorkDir=/tmp") == ""
    fields, expanded = shown(slurm, named), f"{slurm.workdir}/out-{named}"
    assert [fields[name] for name in ("WorkDir", "StdErr", "StdIn", "StdOut")] == [
        "/tmp", "/dev/null", f"{slurm.workdir}/sub/in", expanded
    ]  # fmt: skip
    assert shown(slurm, default)["StdOut"] == f"/tmp/slurm-{default}.out"


@pytest.mark.slurm_version(min="24.11")
@pytest.mark.parametrize("options", [("-e", "e-%j"), ("--array=1",)], ids=["job", "array"])
def test_accounting_is_not_told_of_files(slurm: SlurmUnderTest, options: tuple[str, ...]) -> None:
    """But when it hears of something else, and when the job starts."""

    def accounted(job_id: str) -> str:
        later = held(slurm)
        until(lambda: slurm.run("sacct", "-nX", "-j", later).stdout, what="accounting has the later one")
        return slurm.run("sacct", "-nPX", "-j", job_id, "-o", "StdIn,StdErr").stdout.strip()

    job_id, other = held(slurm, *options), held(slurm, *options)
    before = f"/dev/null|{slurm.workdir}/e-%j" if "-e" in options else "/dev/null|"
    for words in (["StdErr=/dev/full", "StdIn=/dev/zero"], ["AdminComment=x"]):
        assert update(slurm, f"jobid={job_id}", *words) == ""
        assert accounted(job_id) == before
    assert update(slurm, f"jobid={job_id}", "Name=other") == ""
    assert accounted(job_id) == "/dev/zero|/dev/full"
    assert update(slurm, f"jobid={other}", "StdErr=/dev/null") == ""
    assert accounted(other) == before
    slurm.run("scontrol", "release", other)
    slurm.wait(other, ["RUNNING"])
    assert accounted(other) == "/dev/null|/dev/null"


def test_no_circles_of_dependencies(slurm: SlurmUnderTest) -> None:
    first = held(slurm)
    second = held(slurm, "-d", f"afterany:{first}")
    third = held(slurm, "-d", f"afterok:{second}")
    for other in (second, third):
        said = update(slurm, f"jobid={first}", f"Dependency=after:{other}+1")
        assert said == f"Circular job dependency for job {first}\n"
    assert shown(slurm, first)["Dependency"] == "(null)"
    assert update(slurm, f"jobid={second}", "Dependency=") == ""
    assert update(slurm, f"jobid={first}", f"Dependency=after:{second}") == ""


@pytest.mark.parametrize("key", ["MinMemoryNode", "MinMemoryCPU"])
def test_memory_of_an_update_that_is_refused_later_is_not_counted(slurm: SlurmUnderTest, key: str) -> None:
    """It stays, but TRES and accounting have what was before until another update of the memory."""
    job_id = slurm.sbatch("true", "--hold", "--mem=100")
    for amount in (20, 30):
        slurm.run("scontrol", "update", f"jobid={job_id}", f"{key}={amount}", f"dependency=afterany:{job_id}")
    text = slurm.run("scontrol", "show", "job", job_id).stdout
    assert f"{key}=30M" in text
    assert "TRES=cpu=1,mem=100M,node=1,billing=1" in text
    argv = ("sacct", "-nXP", "-j", job_id, "-o", "ReqMem")
    until(lambda: slurm.run(*argv).stdout == "100M\n", what="the job in accounting", interval=0.1)
    slurm.run("scontrol", "update", f"jobid={job_id}", f"{key}=30")
    assert "TRES=cpu=1,mem=30M,node=1,billing=1" in slurm.run("scontrol", "show", "job", job_id).stdout
    until(lambda: slurm.run(*argv).stdout == "30M\n", what="the new memory in accounting", interval=0.1)


@pytest.mark.parametrize("word", ["Gres=nope:1", "Features=nope"])
def test_named_nodes_of_an_update_that_is_refused_later(slurm: SlurmUnderTest, word: str) -> None:
    """They stay; until 22.05 gres are looked at before."""
    job_id = held(slurm, "-w", "n1")
    assert update(slurm, f"jobid={job_id}", word, "NodeList=n3") != ""
    kept = slurm.at_least("24.11") or word.startswith("Features")
    assert shown(slurm, job_id)["ReqNodeList"] == ("n3" if kept else "n1")
