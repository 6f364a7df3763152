"""PreemptMode=SUSPEND,GANG: who stands still for whom, how long, and what it sees of that."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason

CONF = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=SUSPEND,GANG",
    "PartitionName=zero Nodes=ALL PriorityTier=0",
    "PartitionName=off Nodes=ALL PriorityTier=2 PreemptMode=OFF",
    "PartitionName=mid Nodes=ALL PriorityTier=5 GraceTime=60",
    "PartitionName=high Nodes=ALL PriorityTier=10",
)
"""The default partition, debug, has PriorityTier=1."""
pytestmark = pytest.mark.slurm_conf(*CONF)
LONG = "touch runs.$SLURM_JOB_ID; sleep 300"
UNTIL_GO = "until [ -e go ]; do sleep 0.05; done"
TICKS = "touch runs.$SLURM_JOB_ID; while :; do echo tick >> ticks; sleep 0.05; done"
HEARS = """
exec 3<> <(:)
for name in TSTP CONT TERM; do trap "echo $name \\$EPOCHREALTIME >> heard" $name; done
touch runs.$SLURM_JOB_ID
while :; do read -t 0.05 -u 3; echo $EPOCHREALTIME >> alive; done
"""


def running(slurm: SlurmUnderTest, *options: str, body: str = LONG) -> str:
    """A job whose script runs."""
    job_id = slurm.sbatch(body, "-t", "60", "-o", "o.txt", *options)
    until((slurm.workdir / f"runs.{job_id}").exists, what=f"the script of job {job_id} runs")
    return job_id


def states(slurm: SlurmUnderTest, jobs: list[str]) -> list[str]:
    lines = slurm.run("squeue", "-h", "-t", "all", "-o", "%i %t").stdout.splitlines()
    known = dict(line.split() for line in lines)
    return [known.get(job, "-") for job in jobs]


def reach(slurm: SlurmUnderTest, jobs: list[str], expected: str) -> None:
    """Wait until the jobs are in these states, as squeue abbreviates them."""
    until(lambda: states(slurm, jobs) == expected.split(), what=f"{jobs} are {expected}")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def grows(file: Path) -> None:
    before = file.stat().st_size
    until(lambda: file.stat().st_size > before, what=f"{file.name} grows")


@pytest.mark.parametrize("body", [TICKS, f"srun -n1 bash -c '{TICKS}'"], ids=["script", "step"])
def test_stands_still_and_goes_on(slurm: SlurmUnderTest, body: str) -> None:
    job_id = running(slurm, "-w", "n1", "-n4", body=body)
    started = shown(slurm, job_id)
    high = slurm.sbatch(UNTIL_GO, "-p", "high", "-w", "n1", "-n2")
    reach(slurm, [job_id, high], "S R")
    stopped = shown(slurm, job_id)
    assert (stopped["Reason"], stopped["Priority"], stopped["PreemptTime"]) == ("None", started["Priority"], "None")
    assert (stopped["EndTime"], stopped["NodeList"]) == (started["EndTime"], "n1")
    assert stopped["SecsPreSuspend"] == stopped["RunTime"][-2:].lstrip("0") or "0"
    since = moment(stopped["SuspendTime"])
    until(lambda: datetime.now().timestamp() > since + 4, what="it has been stopped")
    size = (slurm.workdir / "ticks").stat().st_size
    assert shown(slurm, job_id) == stopped
    line = slurm.run("squeue", "-h", "-j", job_id, "-O", "StateCompact:|,ReasonList:|,NumCPUs:|,PreemptTime:").stdout
    assert line == "S|n1|4|N/A\n"
    assert slurm.run("sinfo", "-h", "-N", "-p", "high", "-o", "%N %t %C").stdout.splitlines()[0] == "n1 alloc 4/0/0/4"
    assert slurm.run("sinfo", "-h", "-p", "high", "-o", "%C").stdout == "4/12/0/16\n"

    def accounted() -> list[str]:
        return slurm.run("sacct", "-n", "-P", "-j", job_id, "-o", "State").stdout.split()

    until(lambda: set(accounted()) == {"SUSPENDED"}, what="sacct knows")
    priority = slurm.run("sacct", "-X", "-n", "-P", "-j", job_id, "-o", "Priority").stdout
    assert priority == f"{started['Priority']}\n"
    assert (slurm.workdir / "ticks").stat().st_size == size
    (slurm.workdir / "go").touch()
    slurm.wait(high)
    reach(slurm, [job_id], "R")
    grows(slurm.workdir / "ticks")
    resumed = shown(slurm, job_id)
    for name in ("StartTime", "Priority", "SecsPreSuspend", "Restarts"):
        assert resumed[name] == stopped[name]
    pause = moment(resumed["SuspendTime"]) - since
    assert abs(moment(resumed["EndTime"]) - moment(started["EndTime"]) - pause) <= 1
    until(lambda: set(accounted()) == {"RUNNING"}, what="sacct knows that it goes on")


def test_what_it_hears(slurm: SlurmUnderTest) -> None:
    """SIGTSTP, two seconds later SIGSTOP, and SIGCONT in the end."""
    job_id = running(slurm, "-w", "n1", "-n4", body=HEARS)
    high = slurm.sbatch(UNTIL_GO, "-p", "high", "-w", "n1")
    reach(slurm, [job_id, high], "S R")
    since = datetime.now().timestamp()
    until(lambda: datetime.now().timestamp() > since + 4, what="it has been stopped")
    last = float(slurm.output("alive").split()[-1])
    name, time = slurm.output("heard").split()
    assert name == "TSTP"
    assert 1.5 < last - float(time) < 3.5
    (slurm.workdir / "go").touch()
    reach(slurm, [job_id], "R")
    until(lambda: slurm.output("heard").split()[::2] == ["TSTP", "CONT"], what="SIGCONT")
    grows(slurm.workdir / "alive")


@pytest.mark.parametrize(
    ("there", "high", "expected", "nodes", "cpus"),
    [
        (["n1", "n2", "n3", "n4"], "-N1", "S R R R", "n1", "0"),
        (["n4", "n3", "n2", "n1"], "-N1", "R R R S", "n1", "0"),
        (["n1", "n2", "n3", "n4"], "-N3", "S S S R", "n[1-3]", "0"),
        (["n1", "n2", "n3", "n4"], "-n6 -N2", "S S R R", "n[1-2]", None),
        (["n1", "n2", "n3"], "-N1", "R R R", "n4", "0"),
        (["n1", "n2", "n3"], "-N2", "S S R", "n[1-2]", "0"),
        (["8 n[1-2]", "n3", "n4"], "-N1", "S R R", "n1", "0"),
        (["1 n1", "3 n1", "off 4 n2", "off 4 n3", "off 4 n4"], "-N1", "S R R R R", "n1", "0"),
        (["1 n1", "2 n1", "off 4 n2", "off 4 n3", "off 4 n4"], "-N1 -n2", "S S R R R", "n1", "0-1"),
        (["2 n1", "off 4 n2", "off 4 n3", "off 4 n4"], "-N1 -n2", "R R R R", "n1", "2-3"),
        (["2 n1", "off 4 n2", "off 4 n3", "off 4 n4"], "-N1 -n3", "S R R R", "n1", "0-2"),
        (["n1", "n2", "3 n3", "n4"], "-N1 -n4", "S R R R", "n1", "0-3"),
        (["n1", "2 n2", "3 n3", "n4"], "-N2 -n4", "S S R R", "n[1-2]", None),
        (["mid 4 n1", "n2", "mid 4 n3", "n4"], "-N1", "R S R R", "n2", "0"),
        (["mid 4 n1", "mid 4 n2", "n3", "zero 4 n4"], "-N1", "R R R S", "n4", "0"),
        (["mid 4 n1", "mid 4 n2", "n3", "zero 4 n4"], "-N2", "R R S S", "n[3-4]", "0"),
        (["mid 4 n1", "mid 4 n2", "n3", "zero 4 n4"], "-N3", "S S S R", "n[1-3]", "0"),
        (["mid 2 n1", "2 n1", "off 4 n2", "off 4 n3", "off 4 n4"], "-N1", "R S R R R", "n1", "2"),
        (["high 1 n1", "high 4 n2", "n3", "n4"], "-n3", "R R R R", "n1", "1-3"),
        (["high 1 n1", "3 n1", "high 4 n2", "n3", "n4"], "-n3", "R S R R R", "n1", "1-3"),
        (["n1", "n2", "n3", "n4"], "-N1 --exclusive", "S R R R", "n1", "0-3"),
        (["1 n1", "n2", "n3", "n4"], "-N2 --exclusive", "S S R R", "n[1-2]", "0-3"),
        (["1x n1", "off 4 n2", "off 4 n3", "off 4 n4"], "-N1", "S R R R", "n1", "0"),
    ],
)
def test_who_stands_still(
    slurm: SlurmUnderTest, there: list[str], high: str, expected: str, nodes: str, cpus: str | None
) -> None:
    """The nodes are chosen as if lower tiers were not there, the higher of these spared if possible; then the first CPUs."""
    slurm.wait_idle()
    jobs = []
    for one in there:
        *partition, number, node = ("4 " * (len(one.split()) < 2) + one).split()
        whole = ["--exclusive"] if number.endswith("x") else []
        jobs.append(running(slurm, "-p", *(partition or ["debug"]), "-n", number[0], "-w", node, *whole))
    job_id = running(slurm, "-p", "high", *high.split())
    reach(slurm, jobs, expected)
    assert shown(slurm, job_id)["NodeList"] == nodes
    details = slurm.run("scontrol", "-o", "show", "job", "-d", job_id).stdout
    if cpus is not None:
        assert set(re.findall(r"CPU_IDs=(\S+)", details)) == {cpus}


def test_who_does_not(slurm: SlurmUnderTest) -> None:
    """Partitions with PreemptMode=OFF, and nobody for a job of the same tier or a lower one."""
    slurm.wait_idle()
    names = ["off", "high", "mid", "mid"]
    jobs = [running(slurm, "-p", name, "-w", f"n{place}", "-n4") for place, name in enumerate(names, 1)]
    waiting = slurm.sbatch("true", "-p", "high", "-N3")
    wait_for_reason(slurm, waiting, "Resources")
    assert states(slurm, jobs) == ["R"] * 4
    slurm.run("scancel", waiting)
    lower = slurm.sbatch("true", "-N1")
    wait_for_reason(slurm, lower, "Resources")
    smaller = running(slurm, "-p", "high", "-N2")
    reach(slurm, jobs, "R R S S")
    assert shown(slurm, smaller)["NodeList"] == "n[3-4]"
    assert states(slurm, [lower]) == ["PD"]


def test_who_stands_still_is_no_obstacle(slurm: SlurmUnderTest) -> None:
    """Of three tiers: what the middle one has kept goes on when that stands still, as far as nobody higher is there."""
    slurm.wait_idle()
    jobs = [running(slurm, "-w", "n1", "-n2") for _ in range(2)]
    jobs.append(running(slurm, "-p", "mid", "-w", "n1", "-n4"))
    reach(slurm, jobs, "S S R")
    high = running(slurm, "-p", "high", "-w", "n1")
    reach(slurm, jobs, "S R S")
    assert slurm.run("sinfo", "-h", "-N", "-p", "high", "-o", "%N %t %C").stdout.splitlines()[0] == "n1 alloc 4/0/0/4"
    # The CPUs of who stands still are nobody's.
    lower = slurm.sbatch("true", "-w", "n1")
    high2 = running(slurm, "-p", "high", "-w", "n1", "-n3")
    reach(slurm, [*jobs, lower], "S S S PD")
    slurm.run("scancel", high, high2)
    reach(slurm, jobs, "S S R")
    slurm.run("scancel", jobs[2])
    reach(slurm, jobs, "R R CA")


def test_until_nothing_is_left(slurm: SlurmUnderTest) -> None:
    """Not before the last process of the preemptor has ended."""
    job_id = running(slurm, "-w", "n1", "-n4")
    high = running(
        slurm, "-p", "high", "-w", "n1", body="trap '' TERM; touch runs.$SLURM_JOB_ID; while :; do sleep 0.1; done"
    )
    reach(slurm, [job_id], "S")
    slurm.run("scancel", high)
    reach(slurm, [job_id, high], "S CG")
    reach(slurm, [job_id, high], "R CA")
    ended, resumed = moment(shown(slurm, high)["EndTime"]), moment(shown(slurm, job_id)["SuspendTime"])
    assert resumed - ended > 3


@pytest.mark.parametrize("at_once", [False, True])
def test_cancelled_meanwhile(slurm: SlurmUnderTest, at_once: bool) -> None:
    """It is killed, and nothing is said; not before SIGSTOP would have come."""
    job_id = running(slurm, "-w", "n1", "-n4", body=HEARS)
    high = slurm.sbatch(LONG, "-p", "high", "-w", "n1")
    reach(slurm, [job_id, high], "S R")
    since = datetime.now().timestamp()
    if not at_once:
        until(lambda: datetime.now().timestamp() > since + 4, what="it has been stopped")
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id)
    if at_once:
        assert datetime.now().timestamp() - moment(fields["SuspendTime"]) > 1.5
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("CANCELLED", "0:9", "None")
    assert fields["EndTime"] == fields["SuspendTime"]
    assert slurm.output("o.txt") == ""
    assert slurm.output("heard").split()[::2] == ["TSTP"]
    assert states(slurm, [high]) == ["R"]


def test_held_meanwhile(slurm: SlurmUnderTest) -> None:
    """A held one does not go on by itself; once it is released, at the next time slice (SchedulerTimeSlice, 30 s)."""
    job_id = running(slurm, "-w", "n1", "-n4")
    high = running(slurm, "-p", "high", "-w", "n1")
    reach(slurm, [job_id], "S")
    assert slurm.run("scontrol", "hold", job_id).returncode == 0
    slurm.run("scancel", high)
    reach(slurm, [job_id, high], "S CA")
    fields = shown(slurm, job_id)
    assert (fields["Reason"], fields["Priority"]) == ("JobHeldAdmin", "0")
    assert slurm.run("scontrol", "release", job_id).returncode == 0
    fields = shown(slurm, job_id)
    assert fields["Reason"] == "None"
    reach(slurm, [job_id], "R")
    assert shown(slurm, job_id)["Priority"] == fields["Priority"] != "0"


def test_arrays(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    low = slurm.sbatch("touch runs.$SLURM_ARRAY_TASK_ID; sleep 300", "-n4", "--array=1-4")
    for task in range(1, 5):
        until((slurm.workdir / f"runs.{task}").exists, what=f"element {task} runs")
    high = slurm.sbatch(UNTIL_GO, "-p", "high", "-n4", "--array=1-2")
    elements = [f"{low}_{task}" for task in range(1, 5)]
    reach(slurm, [*elements, f"{high}_1", f"{high}_2"], "S S R R R R")
    (slurm.workdir / "go").touch()
    reach(slurm, [*elements, f"{high}_1", f"{high}_2"], "R R R R CD CD")


def test_srun_and_salloc_wait_silently(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    with ThreadPoolExecutor(2) as pool:
        allocated = pool.submit(slurm.run, "salloc", "-w", "n1", "-n4", "sh", "-c", UNTIL_GO)
        stepped = pool.submit(slurm.run, "srun", "-w", "n2", "-n1", "sh", "-c", UNTIL_GO)

        def both() -> list[str]:
            lines = slurm.run("squeue", "-h", "-t", "R", "-o", "%i %N", "-S", "N").stdout.splitlines()
            return [line.split()[0] for line in lines] if len(lines) == 2 else []

        jobs = until(both, what="both run")
        until(lambda: slurm.run("squeue", "-h", "-s", "-j", jobs[1]).stdout, what="srun has its step")
        assert slurm.run("srun", "-p", "high", "-N4", "-n16", "true").returncode == 0
        reach(slurm, jobs, "R R")
        assert [shown(slurm, job)["SuspendTime"] != "None" for job in jobs] == [True, True]
        (slurm.workdir / "go").touch()
        first, second = allocated.result(), stepped.result()
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")
    assert "uspend" not in first.stderr


def test_only_asked(slurm: SlurmUnderTest) -> None:
    """--test-only says when and where, but not whom."""
    slurm.wait_idle()
    jobs = [running(slurm, "-w", f"n{number}", "-n4") for number in (1, 2, 3, 4)]
    done = slurm.run("sbatch", "--test-only", "-p", "high", "-N2", "--wrap", "true")
    match = re.fullmatch(
        r"sbatch: Job \d+ to start at (\S+) using 2 processors on nodes n\[1-2\] in partition high\n", done.stderr
    )
    assert match, done
    assert abs(datetime.now().timestamp() - moment(match[1])) < 60
    assert states(slurm, jobs) == ["R"] * 4


def test_what_is_configured(slurm: SlurmUnderTest) -> None:
    lines = slurm.run("sinfo", "-h", "-o", "%P|%M|%p").stdout.splitlines()
    assert sorted(lines) == [
        *("debug*|GANG,SUSPEND|1", "high|GANG,SUSPEND|10", "mid|GANG,SUSPEND|5", "off|OFF|2", "zero|GANG,SUSPEND|0"),
    ]
    assert " PreemptMode=GANG,SUSPEND " in slurm.run("scontrol", "-o", "show", "partition", "high").stdout
    config = slurm.run("scontrol", "show", "config").stdout
    assert re.search(r"^PreemptMode +.?= GANG,SUSPEND$", config, re.MULTILINE)
    job_id = running(slurm)
    fields = shown(slurm, job_id)
    assert (fields["PreemptEligibleTime"], fields["PreemptTime"]) == (fields["StartTime"], "None")


@pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=GANG,SUSPEND",
    "SelectTypeParameters=CR_Core_Memory",
    "PartitionName=high Nodes=ALL PriorityTier=10",
)
def test_memory_is_kept(slurm: SlurmUnderTest) -> None:
    """A job that stands still holds its memory: who needs that has to wait."""
    slurm.wait_idle()
    jobs = [running(slurm, "-w", f"n{number}", "-n4", "--mem=1500") for number in (1, 2, 3, 4)]
    over = running(slurm, "-p", "high", "-w", "n2", "--mem=400")
    reach(slurm, [*jobs, over], "R S R R R")
    waiting = slurm.sbatch("true", "-p", "high", "--mem=600")
    wait_for_reason(slurm, waiting, "Resources")
    node = slurm.run("scontrol", "-o", "show", "node", "n2").stdout
    assert (" CPUAlloc=4 " in node, " AllocMem=1900 " in node) == (True, True)
    slurm.run("scancel", jobs[2])
    assert slurm.wait(waiting)["NodeList"] == "n3"
    assert states(slurm, jobs) == ["R", "S", "CA", "R"]
