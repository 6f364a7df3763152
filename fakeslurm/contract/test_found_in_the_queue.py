"""Who waits for what behind jobs that keep some nodes: each was found by the differential machine."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

pytestmark = pytest.mark.slurm_conf(
    "PartitionName=two Nodes=ALL", "PartitionName=three Nodes=n[3-4]", "PartitionName=top Nodes=ALL PriorityTier=5"
)
BUSY = [f"--exclusive -w n{number}" for number in range(1, 5)]
TOO_FEW = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
NAMED = [
    (BUSY[:1], ["-w n1: Resources", "-N1: n2", f"-N4: {TOO_FEW}", "-w n1: Priority"]),
    (BUSY[:1], ["-w n1: Resources", "-n12: n[2-4]", "-n13: kept n1", "-n16: kept n1", "-x n[2-4]: kept n1"]),
    (BUSY[:2], ["-w n1: Resources", "-n13: Resources"]),
    (BUSY[:1], ["-w n1 -N1-2: Resources", "-w n1: kept n1", "-N3: n[2-4]"]),
    (BUSY[:1], ["-w n1: Resources", "--exclusive -N3: n[2-4]", "--exclusive -n13: Resources"]),
    (BUSY, ["-w n1: Resources", "-w n1: kept n1", "-w n2: Resources", "-N1: Resources", "-N1: Priority"]),
    (BUSY, ["-w n1: Resources", f"-N4: {TOO_FEW}", "-N3: Priority", "-w n1: Priority"]),
    (BUSY, ["-w n1: Resources", "-N3: Resources", "-N4: Priority"]),
    (BUSY, ["-w n1: Resources", "-w n2: Resources", "-w n[1-2]: kept n[1-2]", "-w n[2-3]: kept n2", "-N2: Resources"]),
    (BUSY, ["-N4: Resources", f"-p two -N1: {TOO_FEW}", "-p two -w n2: Priority", "-w n1: Priority"]),
    (BUSY, ["-p three -N1: Resources", f"-N4: {TOO_FEW}", "-N2: Priority", f"-p two -N1: {TOO_FEW}"]),
    (BUSY, ["-p three -N1: Resources", "-w n4: kept n4", "-w n1: Resources", f"-w n[1-4]: {TOO_FEW}"]),
    (BUSY, ["-p three -N1: Resources", "-N1: Resources", "-N2: Priority"]),
    (BUSY, [f"-N1: {TOO_FEW}", "-p top -N1: Resources", f"-p two -N1: {TOO_FEW}", "-N4: Priority"]),
    (BUSY, ["-w n1: kept n1", "-p top -w n1: Resources", "-p two -w n1: kept n1", f"-N4: {TOO_FEW}"]),
    (BUSY[:1], ["-p two,debug -w n1: kept n1", "-w n1: kept n1", "-N1: n2"]),
]  # fmt: skip
"""Options of jobs that run, and of those behind them: each with its nodes, or why it waits (see `kept`)."""


def rows(slurm: SlurmUnderTest, jobs: list[str]) -> list[str]:
    """Of each job its nodes, or why it waits."""
    lines = slurm.run("squeue", "-h", "-o", "%i|%N|%r").stdout.splitlines()
    found = {words[0]: words[1] or words[2] for words in (line.split("|") for line in lines)}
    return [found.get(job, "") for job in jobs]


def kept(slurm: SlurmUnderTest, nodes: str) -> str:
    """The reason of a job that needs these nodes, which are up, and which others keep."""
    what = "May be reserved for other job" if slurm.at_least("24.11") else f"UnavailableNodes:{nodes}"
    return f"ReqNodeNotAvail, {what}"


def queued(slurm: SlurmUnderTest, busy: list[str], waiting: list[str]) -> list[str]:
    """Jobs with these options, the first ones of which run."""
    running = [slurm.sbatch("sleep 300", *options.split()) for options in busy]
    for job_id in running:
        slurm.wait(job_id, ["RUNNING"])
    return [slurm.sbatch("sleep 300", *options.split()) for options in waiting]


def compare(slurm: SlurmUnderTest, jobs: list[str], expected: list[str]) -> None:
    expected = [kept(slurm, reason[5:]) if reason.startswith("kept ") else reason for reason in expected]
    until(lambda: rows(slurm, jobs) == expected, what=f"{expected}", timeout=20)


@pytest.mark.parametrize(("busy", "waiting"), NAMED)
def test_jobs_that_name_their_nodes_keep_only_these(slurm: SlurmUnderTest, busy: list[str], waiting: list[str]) -> None:
    words = [line.split(": ") for line in waiting]
    jobs = queued(slurm, busy, [options for options, _ in words])
    compare(slurm, jobs, [reason for _, reason in words])


def test_who_comes_next_when_one_that_names_its_nodes_is_gone(slurm: SlurmUnderTest) -> None:
    jobs = queued(slurm, BUSY, ["-w n1", "-w n1", "-w n1", "-N1", "-N1"])
    compare(slurm, jobs, ["Resources", "kept n1", "kept n1", "Resources", "Priority"])
    slurm.run("scancel", jobs[0])
    compare(slurm, jobs, ["", "Resources", "kept n1", "Resources", "Priority"])


def test_what_is_told_to_those_who_are_overtaken(slurm: SlurmUnderTest) -> None:
    """Resources becomes Priority, ReqNodeNotAvail stays."""
    low = [f"{options} --priority={10 - place}" for place, options in enumerate(["-w n1", "-w n1", "-N4"])]
    jobs = queued(slurm, BUSY, low)
    compare(slurm, jobs, ["Resources", "kept n1", TOO_FEW])
    jobs.append(slurm.sbatch("sleep 300", "-N4"))
    compare(slurm, jobs, ["Priority", "kept n1", "Priority", "Resources"])


def test_elements_of_an_array_that_name_their_node(slurm: SlurmUnderTest) -> None:
    array, other, free = queued(slurm, BUSY[:1], ["--array=1-3 -w n1", "-w n1", "-N1"])
    compare(slurm, [f"{array}_[1-3]", other, free], ["Resources", "kept n1", "n2"])


def test_elements_by_themselves_have_the_reason_of_the_first(slurm: SlurmUnderTest) -> None:
    """Slurm looks at one of an array alone, and has for the others its reason without the text."""
    ahead, array = queued(slurm, BUSY[:1], ["-w n1", "-w n1 --hold --array=1-3"])
    for task in (1, 2):
        slurm.run("scontrol", "hold", f"{array}_{task}")
    slurm.run("scontrol", "release", array)
    elements = [f"{array}_{task}" for task in (3, 2, 1)]
    others = ["ReqNodeNotAvail", "ReqNodeNotAvail"]
    compare(slurm, [ahead, *elements], ["Resources", "kept n1", *others])
    slurm.run("scancel", ahead)
    compare(slurm, elements, ["Resources", "Resources", "Resources"])


def test_elements_by_themselves_behind_a_full_cluster(slurm: SlurmUnderTest) -> None:
    array, last = queued(slurm, BUSY, ["--hold --array=1-3", "--hold"])
    for task in (1, 2):
        slurm.run("scontrol", "hold", f"{array}_{task}")
    slurm.run("scontrol", "release", array, last)
    elements = [f"{array}_{task}" for task in (3, 2, 1)]
    compare(slurm, [*elements, last], ["Resources", "Resources", "Resources", "Priority"])
