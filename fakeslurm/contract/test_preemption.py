"""Preemption by partition priority: who has to make room, and what becomes of it."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

pytestmark = pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=low Nodes=ALL PriorityTier=1",
    "PartitionName=mid Nodes=ALL PriorityTier=5",
    "PartitionName=high Nodes=ALL PriorityTier=10",
    "PartitionName=off Nodes=ALL PreemptMode=OFF",
    "PartitionName=cancel Nodes=ALL PreemptMode=CANCEL",
    "PartitionName=gracious Nodes=ALL PreemptMode=CANCEL GraceTime=4",
    "PartitionName=patient Nodes=ALL GraceTime=4",
)
LONG = "touch runs.$SLURM_JOB_ID; sleep 300"
STUBBORN = "trap '' TERM; touch runs.$SLURM_JOB_ID; while :; do sleep 0.1; done"


def running(slurm: SlurmUnderTest, *options: str, body: str = LONG) -> str:
    """A job whose script runs."""
    job_id = slurm.sbatch(body, *options)
    until((slurm.workdir / f"runs.{job_id}").exists, what=f"the script of job {job_id} runs")
    return job_id


def rows(slurm: SlurmUnderTest, job_id: str, expected: list[str], *options: str) -> None:
    """The rows of accounting, once they are those."""

    until(lambda: accounted(slurm, job_id, *options) == expected, what=f"sacct shows {expected}")


def accounted(slurm: SlurmUnderTest, job_id: str, *options: str) -> list[str]:
    done = slurm.run("sacct", "-n", "-P", "-j", job_id, "-o", "JobID,State,ExitCode", *options)
    return done.stdout.splitlines()


def preempted(slurm: SlurmUnderTest, jobs: list[str]) -> list[str]:
    """Those of the jobs that have been preempted so far."""
    lines = slurm.run("squeue", "-h", "-t", "all", "-o", "%i %T %r").stdout.splitlines()
    words = {line.split()[0]: line.split()[1:] for line in lines}
    return [job for job in jobs if words[job][0] == "PREEMPTED" or words[job][1] == "BeginTime"]


def in_json(slurm: SlurmUnderTest, job_id: str, field: str) -> str:
    """A time of ``squeue --json``, as scontrol prints it."""
    jobs = json.loads(slurm.run("squeue", "-t", "all", "-j", job_id, "--json").stdout)["jobs"]
    (value,) = (job[field] for job in jobs if f"{job['job_id']}" == job_id)
    return datetime.fromtimestamp(value["number"] if isinstance(value, dict) else value).isoformat()


def test_requeued(slurm: SlurmUnderTest) -> None:
    body = 'echo "run $SLURM_RESTART_COUNT"; [ "$SLURM_RESTART_COUNT" ] && exit 0\n' + LONG
    job_id = running(slurm, "-p", "low", "-w", "n1", "-n4", "-o", "o.txt", "--open-mode=append", body=body)
    first = slurm.show(job_id) or {}
    assert first["PreemptEligibleTime"] == first["StartTime"]
    assert first["PreemptTime"] == "None"
    slurm.wait(slurm.sbatch("true", "-p", "high", "-w", "n1"))
    until(lambda: (slurm.show(job_id) or {})["Reason"] == "BeginTime", what="it waits")
    fields = slurm.show(job_id) or {}
    assert "PreemptTime" not in fields
    assert (fields["JobState"], fields["Restarts"], fields["ExitCode"]) == ("PENDING", "1", "0:0")
    assert slurm.run("squeue", "-h", "-j", job_id, "-O", "PreemptTime").stdout.split() == ["N/A"]
    assert slurm.wait(job_id, ["RUNNING", "COMPLETED", "PENDING"])
    until(lambda: (slurm.show(job_id) or {})["JobState"] == "COMPLETED", what="the second run")
    text = re.sub(r"slurmstepd-n1: error: (\*\*\* JOB) \d+ (ON n1 CANCELLED AT) \S+ ", r"\1 \2 ", slurm.output("o.txt"))
    assert text == "run \n*** JOB ON n1 CANCELLED AT DUE TO PREEMPTION ***\nrun 1\n"
    first_run = [f"{job_id}|PREEMPTED|0:0", f"{job_id}.batch|CANCELLED|0:15"]
    rows(slurm, job_id, [*first_run, f"{job_id}|COMPLETED|0:0", f"{job_id}.batch|COMPLETED|0:0"], "-D")


@pytest.mark.parametrize(
    ("body", "code", "batch"),
    [
        (LONG, "0:15", "CANCELLED|0:15"),
        (f"trap 'exit 3' TERM; {LONG} & wait", "3:0", "FAILED|3:0"),
        (f"trap 'exit 0' TERM; {LONG} & wait", "0:0", "COMPLETED|0:0"),
        (STUBBORN, "0:9", "CANCELLED|0:9"),
    ],
    ids=["dies", "exits", "ends", "stubborn"],
)
def test_cancelled(slurm: SlurmUnderTest, body: str, code: str, batch: str) -> None:
    job_id = running(slurm, "-p", "cancel", "-w", "n1", "-n4", "-o", "o.txt", body=body)
    other = slurm.sbatch("true", "-p", "high", "-w", "n1")
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("PREEMPTED", "None", code)
    assert (fields["Restarts"], fields["PreemptTime"]) == ("0", fields["EndTime"])
    line = slurm.run("squeue", "-h", "-t", "PR", "-j", job_id, "-o", "%t|%r|%R")
    assert line.stdout == "PR|None|n1\n"
    stamp = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-O", "PreemptTime").stdout.strip()
    assert stamp == fields["PreemptTime"]
    assert in_json(slurm, job_id, "preempt_time") == fields["PreemptTime"]
    if slurm.at_least("24.11"):
        assert in_json(slurm, job_id, "preemptable_time") == fields["PreemptEligibleTime"]
    assert slurm.wait(other)["JobState"] == "COMPLETED"
    assert f"*** JOB {job_id} ON n1 CANCELLED AT {fields['EndTime']} DUE TO PREEMPTION ***\n" in slurm.output("o.txt")
    rows(slurm, job_id, [f"{job_id}|PREEMPTED|0:0", f"{job_id}.batch|{batch}"])


def test_steps_hear_of_it(slurm: SlurmUnderTest) -> None:
    # One process: of a shell and its `sleep` each gets the signal, and if the shell hears of its child's death first, the step has FAILED.
    body = "srun -n1 sh -c 'touch runs.$SLURM_JOB_ID; exec sleep 300'"
    job_id = running(slurm, "-p", "cancel", "-w", "n1", "-n4", "-o", "o.txt", body=body)
    slurm.sbatch("true", "-p", "high", "-w", "n1")
    # The signal ends the script's shell, or srun first and the script with srun's exit code: chance, on the real one.
    assert slurm.wait(job_id)["ExitCode"] in ("0:15", "143:0")
    assert re.search(
        rf"\*\*\* STEP {job_id}\.0 ON n1 CANCELLED AT \S+ DUE TO PREEMPTION \*\*\*\n", slurm.output("o.txt")
    )
    expected = [f"{job_id}|PREEMPTED|0:0", f"{job_id}.0|CANCELLED|0:15"]
    until(lambda: [row for row in accounted(slurm, job_id) if ".batch|" not in row] == expected, what=f"{expected}")


def test_what_may_not_be_requeued_is_cancelled(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm, "-p", "low", "-w", "n1", "-n4", "--no-requeue")
    slurm.sbatch("true", "-p", "high", "-w", "n1")
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["Restarts"], fields["Requeue"]) == ("PREEMPTED", "0", "0")


def test_who_is_spared(slurm: SlurmUnderTest) -> None:
    """Partitions with PreemptMode=OFF, equal and higher tiers; and everybody when it would be no help."""
    names = [("off", "n1"), ("high", "n2"), ("low", "n3"), ("low", "n4")]
    jobs = [running(slurm, "-p", name, "-w", node, "-n4") for name, node in names]
    assert "PreemptTime" not in (slurm.show(jobs[0]) or {})
    waiting = slurm.sbatch("true", "-p", "high", "-N3")
    until(lambda: (slurm.show(waiting) or {})["Reason"] == "Resources", what="the reason Resources")
    same = slurm.sbatch("true", "-p", "debug")
    slurm.run("scancel", waiting)
    smaller = slurm.sbatch("true", "-p", "high", "-N2")
    assert slurm.wait(smaller)["NodeList"] == "n[3-4]"
    assert [slurm.wait(one, ["RUNNING"])["NodeList"] for one in jobs[:2]] == ["n1", "n2"]
    assert preempted(slurm, jobs) == jobs[2:]
    slurm.run("scancel", same)


@pytest.mark.parametrize(
    ("lows", "high", "victims", "nodes"),
    [
        (["n1", "n2", "n3", "n4"], "-N1", "0", "n1"),
        (["n4", "n3", "n2", "n1"], "-N1", "0", "n4"),
        (["n1", "n2", "n3", "n4"], "-N3", "012", "n[1-3]"),
        (["n1", "n2", "n3", "n4"], "-n6", "01", "n[1-2]"),
        (["n1", "n2", "n3", "n4"], "-w n3", "2", "n3"),
        (["n1", "n2", "n3"], "-N2", "0", "n[1,4]"),
        (["n[1-2]", "n3", "n4"], "-N1", "1", "n3"),
        (["n1", "n[2-3]", "n4"], "-N2", "02", "n[1,4]"),
        (["n1", "n[2-3]", "n4"], "-N3", "01", "n[1-3]"),
        (["mid n1", "n2", "mid n3", "n4"], "-N1", "1", "n2"),
        (["mid n1", "n2", "mid n3", "mid n4"], "-N2", "01", "n[1-2]"),
        (["1 n1", "3 n1", "off n2", "off n3", "off n4"], "-N1 -n3", "1", "n1"),
        (["3 n1", "1 n1", "off n2", "off n3", "off n4"], "-N1", "0", "n1"),
        (["1 n1", "1 n1", "1 n1", "1 n1", "off n2", "off n3", "off n4"], "-N1 -n2", "01", "n1"),
        (["1 n1", "1 n1", "2 n1", "off n2", "off n3", "off n4"], "-N1 -n2", "01", "n1"),
        (["1 n1", "1 n1", "2 n1", "off n2", "off n3", "off n4"], "-N1 -n3", "02", "n1"),
        (["2 n1", "2 n1", "4 n2", "off n3", "off n4"], "-N1 -n4", "01", "n1"),
        (["4 n1", "2 n2", "2 n2", "off n3", "off n4"], "-N1 -n4", "0", "n1"),
        (["n[1-2]", "2 n3", "2 n3", "n4"], "-N2 -n8", "123", "n[3-4]"),
        (["2 n1", "2 n1", "n[2-3]", "n4"], "-N3 -n9", "02", "n[1-3]"),
        (["1 n1", "1 n1", "2 n2", "2 n2", "4 n3", "off n4"], "-N1 --exclusive", "01", "n1"),
    ],
)
def test_who_has_to_go(slurm: SlurmUnderTest, lows: list[str], high: str, victims: str, nodes: str) -> None:
    slurm.wait_idle()
    jobs = []
    for low in lows:
        *words, place = low.split()
        cpus = int(words[0]) if words and words[0].isdecimal() else 4 * (1 + ("-" in place))
        name = words[0] if words and not words[0].isdecimal() else "low"
        jobs.append(running(slurm, "-p", name, "-w", place, f"-n{cpus}", f"-N{1 + ('-' in place)}"))
    job_id = slurm.sbatch("sleep 300", "-p", "high", *high.split())
    assert slurm.wait(job_id, ["PENDING", "RUNNING"])
    until(lambda: (slurm.show(job_id) or {})["JobState"] == "RUNNING", what="it runs")
    expected = [jobs[int(index)] for index in victims]
    until(lambda: preempted(slurm, jobs) == expected, what=f"{expected} are preempted, of {jobs}")
    assert (slurm.show(job_id) or {})["NodeList"] == nodes


def test_element_of_an_array(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    array = slurm.sbatch(LONG, "-p", "low", "--array=1-4", "-N1", "-n4")
    until(lambda: slurm.run("squeue", "-h", "-t", "R", "-j", array).stdout.count("\n") == 4, what="all of it runs")
    slurm.wait(slurm.sbatch("true", "-p", "high", "-N1"))
    first = [f"{array}_1"]
    until(lambda: preempted(slurm, first) == first, what="the first is preempted")
    latest = [*(f"{array}_{task}|RUNNING|0:0" for task in (2, 3, 4)), f"{array}_1|PENDING|0:0"]
    rows(slurm, array, latest, "-X")
    rows(slurm, array, [f"{array}_1|PREEMPTED|0:0", *latest], "-X", "-D")


def test_dependents(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm, "-p", "cancel", "-w", "n1", "-n4")
    others = [
        slurm.sbatch("true", "-p", "off", "-d", f"{kind}:{job_id}") for kind in ("afterany", "afternotok", "afterok")
    ]
    slurm.sbatch("true", "-p", "high", "-w", "n1")
    assert [slurm.wait(one)["JobState"] for one in others[:2]] == ["COMPLETED", "COMPLETED"]
    until(lambda: (slurm.show(others[2]) or {})["Reason"] == "DependencyNeverSatisfied", what="the reason of afterok")


def test_test_only(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    jobs = [running(slurm, "-p", "low", "-w", f"n{number}", "-n4") for number in (1, 2, 3, 4)]
    done = slurm.run("sbatch", "--test-only", "-p", "high", "-N2", "--wrap", "true")
    pattern = (
        r"sbatch: Job \d+ to start at (\S+) using 2 processors on nodes n\[1-2\] in partition high\n"
        rf"sbatch:   Preempts: {jobs[0]},{jobs[1]}\n"
    )
    match = re.fullmatch(pattern, done.stderr)
    assert match, done
    assert abs((datetime.now() - datetime.fromisoformat(match[1])).total_seconds()) < 60
    assert preempted(slurm, jobs) == []


@pytest.mark.parametrize("names", ["low,high", "high,low"])
def test_a_job_for_several_partitions(slurm: SlurmUnderTest, names: str) -> None:
    """The highest tier comes first, in whatever order they were named, as soon as somebody looks."""
    slurm.wait_idle()
    held = slurm.sbatch("true", "-p", names, "-H")
    assert (slurm.show(held) or {})["Partition"] == names
    slurm.run("scancel", held)
    jobs = [running(slurm, "-p", "low", "-w", f"n{number}", "-n4") for number in (1, 2, 3, 4)]
    fields = slurm.wait(slurm.sbatch("true", "-p", names, "-N1"))
    assert (fields["JobState"], fields["Partition"]) == ("COMPLETED", "high")
    until(lambda: preempted(slurm, jobs) == jobs[:1], what="the first is preempted")


@pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=CANCEL",
    "PartitionName=high Nodes=n1,n2 PriorityTier=10",
)
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_job_that_preempts_waits_for_a_moment(slurm: SlurmUnderTest, stubborn: bool) -> None:
    """What it preempts it will have, but when that takes longer than a round of backfill it starts in another of its partitions."""
    slurm.wait_idle()
    jobs = [running(slurm, "-w", node, "-n4", body=STUBBORN if stubborn else LONG) for node in ("n1", "n2")]
    fields = slurm.wait(slurm.sbatch("true", "-p", "debug,high", "-N1"))
    began = (fields["JobState"], fields["Partition"], fields["NodeList"])
    elsewhere = ("COMPLETED", "debug", "n3")
    # How long the preempted one takes is chance on the real one.
    assert began in ([elsewhere] if stubborn else [("COMPLETED", "high", "n1"), *[elsewhere] * slurm.is_real])
    assert slurm.wait(jobs[0])["JobState"] == "PREEMPTED"
    assert slurm.wait(jobs[1], ["RUNNING"])["JobState"] == "RUNNING"


def test_higher_tiers_start_first(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    busy = running(slurm, "-p", "off", "-N4", "--exclusive")
    jobs = [
        slurm.sbatch("date +%s.%N > $SLURM_JOB_PARTITION", "-p", name, "-N4", "--exclusive")
        for name in ("low", "mid", "high")
    ]
    slurm.run("scancel", busy)
    ends = [slurm.wait(job_id)["JobState"] for job_id in jobs]
    assert ends == ["COMPLETED"] * 3
    times = [float(slurm.output(name)) for name in ("high", "mid", "low")]
    assert times == sorted(times)


def test_what_is_configured(slurm: SlurmUnderTest) -> None:
    lines = slurm.run("sinfo", "-h", "-o", "%P|%M|%p").stdout.splitlines()
    assert sorted(lines) == [
        *("cancel|CANCEL|1", "debug*|REQUEUE|1", "gracious|CANCEL|1", "high|REQUEUE|10", "low|REQUEUE|1"),
        *("mid|REQUEUE|5", "off|OFF|1", "patient|REQUEUE|1"),
    ]
    report = slurm.run("scontrol", "-o", "show", "partition", "gracious").stdout
    assert " PriorityTier=1 " in report
    assert " PreemptMode=CANCEL " in report
    assert " GraceTime=4 " in report
    config = slurm.run("scontrol", "show", "config").stdout
    assert re.search(r"^PreemptMode +.?= REQUEUE$", config, re.MULTILINE)
    assert re.search(r"^PreemptType +.?= preempt/partition_prio$", config, re.MULTILINE)


def given_notice(slurm: SlurmUnderTest, job_id: str) -> dict[str, str]:
    """A job that is preempted with grace time, once it is."""
    until(lambda: (slurm.show(job_id) or {}).get("PreemptTime", "None") != "None", what="the grace time begins")
    return slurm.show(job_id) or {}


@pytest.mark.parametrize("partition", ["gracious", "patient"])
def test_grace_time(slurm: SlurmUnderTest, partition: str) -> None:
    """The steps are told at its beginning, the script at its end, which comes late: when somebody looks."""
    step = 'trap "touch step" TERM; touch runs.$SLURM_JOB_ID; while :; do sleep 0.1; done'
    body = f"[ $SLURM_RESTART_COUNT ] && exit\ntrap 'touch script' TERM\nsrun -n1 bash -c '{step}' &\nwhile :; do sleep 0.1; done"
    job_id = running(
        slurm, "-p", partition, "-w", "n1", "-n4", "-t", "5", "-o", "o.txt", "--open-mode=append", body=body
    )
    other = slurm.sbatch("true", "-p", "high", "-w", "n1")
    fields = given_notice(slurm, job_id)
    assert (fields["JobState"], fields["Reason"]) in (("RUNNING", "None"), ("SIGNALING", "None"))
    began, end = (datetime.fromisoformat(fields[name]) for name in ("PreemptTime", "EndTime"))
    assert (end - began).total_seconds() == 4
    stamp = slurm.run("squeue", "-h", "-j", job_id, "-O", "PreemptTime").stdout.strip()
    assert stamp == fields["PreemptTime"]
    until((slurm.workdir / "step").exists, what="the step hears of it")
    assert not (slurm.workdir / "script").exists()
    until(lambda: (slurm.show(job_id) or {})["JobState"] not in ("RUNNING", "SIGNALING"), timeout=90, what="it is over")
    until((slurm.workdir / "script").exists, what="the script hears of it")
    assert slurm.wait(other, timeout=90)["JobState"] == "COMPLETED"
    text = slurm.output("o.txt")
    told = re.search(rf"error: \*\*\* STEP {job_id}\.0 ON n1 CANCELLED AT (\S+) \*\*\*\n", text)
    assert told is not None
    late = (datetime.fromisoformat(told[1]) - began).total_seconds()  # slurmstepd's clock says when it hears of it
    assert 0 <= late <= (10 if slurm.is_real else 0)
    assert re.search(rf"error: \*\*\* JOB {job_id} ON n1 CANCELLED AT \S+ DUE TO PREEMPTION \*\*\*\n", text)
    rows(slurm, job_id, [f"{job_id}|PREEMPTED|0:0"], "-D", "-X", "-s", "PR")
    if partition == "gracious":
        fields = slurm.wait(job_id)
        assert (fields["JobState"], fields["ExitCode"], fields["PreemptTime"]) == (
            "PREEMPTED",
            "0:9",
            fields["EndTime"],
        )
        assert (datetime.fromisoformat(fields["EndTime"]) - began).total_seconds() >= 4
    else:
        until(lambda: (slurm.show(job_id) or {})["Restarts"] == "1", what="it is requeued")


@pytest.mark.parametrize("partition", ["gracious", "patient"])
@pytest.mark.parametrize("code", [0, 4])
def test_end_in_the_grace_time(slurm: SlurmUnderTest, partition: str, code: int) -> None:
    """Since 24.11 (or somewhat earlier) that is preemption, whatever it ends with; before it ended as ever."""
    body = f"touch runs.$SLURM_JOB_ID; until [ -e go ]; do sleep 0.05; done; exit {code}"
    job_id = running(slurm, "-p", partition, "-w", "n1", "-n4", "-t", "5", body=body)
    slurm.sbatch("true", "-p", "high", "-w", "n1")
    began = given_notice(slurm, job_id)["PreemptTime"]
    (slurm.workdir / "go").touch()
    batch = f"{job_id}.batch|{'FAILED' if code else 'COMPLETED'}|{code}:0"
    if not slurm.at_least("24.11"):
        fields = slurm.wait(job_id)
        state = "FAILED" if code else "COMPLETED"
        assert (fields["JobState"], fields["ExitCode"], fields["PreemptTime"]) == (state, f"{code}:0", began)
        rows(slurm, job_id, [f"{job_id}|{state}|{code}:0", batch])
    elif partition == "gracious":
        fields = slurm.wait(job_id)
        assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("PREEMPTED", "None", "0:0")
        assert fields["PreemptTime"] == began
        rows(slurm, job_id, [f"{job_id}|PREEMPTED|0:0", batch])
    else:
        until(lambda: (slurm.show(job_id) or {})["Reason"] == "BeginTime", what="it waits for its next run")
        assert (slurm.show(job_id) or {})["Restarts"] == "1"
        rows(slurm, job_id, [f"{job_id}|PREEMPTED|0:0", batch, f"{job_id}|PENDING|0:0"], "-D")


@pytest.mark.parametrize("partition", ["gracious", "patient"])
def test_requeued_in_the_grace_time(slurm: SlurmUnderTest, partition: str) -> None:
    """24.11 takes the end of the next run for one in the grace time, too, however long that run is."""
    body = f"[ $SLURM_RESTART_COUNT ] && exit 4\n{LONG}"
    job_id = running(slurm, "-p", partition, "-w", "n1", "-n4", "-t", "5", body=body)
    slurm.sbatch("true", "-p", "high", "-w", "n1")
    given_notice(slurm, job_id)
    assert slurm.run("scontrol", "requeue", job_id).returncode == 0
    ends, restarts = ["FAILED|4:0"], "1"
    if slurm.at_least("24.11"):
        ends, restarts = (["PREEMPTED|0:0"], "1") if partition == "gracious" else (["PREEMPTED|0:0", *ends], "2")
    rows(slurm, job_id, [f"{job_id}|{end}" for end in ("REQUEUED|0:0", *ends)], "-D", "-X")
    fields = slurm.show(job_id) or {}
    assert (fields["JobState"], fields["Restarts"]) == (ends[-1].split("|")[0], restarts)


def test_allocations_are_revoked(slurm: SlurmUnderTest) -> None:
    """What is no batch job is not requeued."""
    with ThreadPoolExecutor(2) as pool:
        allocated = pool.submit(
            slurm.run, "salloc", "-p", "low", "-w", "n1", "-n4", "sh", "-c", "until [ -e go ]; do sleep 0.1; done"
        )
        task = "touch task.$SLURM_PROCID; exec sleep 300"
        stepped = pool.submit(slurm.run, "srun", "-p", "low", "-w", "n2", "-n4", "sh", "-c", task)

        def both() -> list[str]:
            lines = slurm.run("squeue", "-h", "-t", "R", "-o", "%i %N", "-S", "N").stdout.splitlines()
            return [line.split()[0] for line in lines] if len(lines) == 2 else []

        jobs = until(both, what="both run")
        until(lambda: len([*slurm.workdir.glob("task.*")]) == 4, what="srun's tasks run")
        slurm.sbatch("true", "-p", "high", "-w", "n1,n2")
        states = [slurm.wait(job_id) for job_id in jobs]
        (slurm.workdir / "go").touch()
        ended, killed = allocated.result(), stepped.result()
    assert [fields["JobState"] for fields in states] == ["PREEMPTED", "PREEMPTED"]
    codes = ["0:0", "0:15"]
    until(lambda: [(slurm.show(one) or {})["ExitCode"] for one in jobs] == codes, what=f"the exit codes {codes}")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        0,
        f"salloc: Job allocation {jobs[0]} has been revoked.",
    )
    assert killed.returncode == 143
    assert re.search(
        rf"error: \*\*\* STEP {jobs[1]}\.0 ON n2 CANCELLED AT \S+ DUE TO PREEMPTION \*\*\*\n", killed.stderr
    )
    rows(slurm, jobs[1], [f"{jobs[1]}|PREEMPTED|0:0", f"{jobs[1]}.0|CANCELLED|0:15"])


@pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=CANCEL",
    "PreemptExemptTime=00:00:06",
    "PartitionName=high Nodes=ALL PriorityTier=10",
)
def test_exempt_time(slurm: SlurmUnderTest) -> None:
    """Whoever has not run for so long is spared, and preempted when that time is over."""
    slurm.wait_idle()
    jobs = [running(slurm, "-w", f"n{number}", "-n4", "-t", "5") for number in (1, 2, 3, 4)]
    job_id = slurm.sbatch("true", "-p", "high", "-w", "n4")
    first = slurm.show(jobs[3]) or {}
    started, eligible = (datetime.fromisoformat(first[name]) for name in ("StartTime", "PreemptEligibleTime"))
    assert (eligible - started).total_seconds() == 6
    assert first["PreemptTime"] == "None"
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    fields = slurm.wait(jobs[3])
    assert fields["JobState"] == "PREEMPTED"
    assert 0 <= (datetime.fromisoformat(fields["PreemptTime"]) - eligible).total_seconds() < 30
    assert [slurm.wait(one, ["RUNNING"])["JobState"] for one in jobs[:3]] == ["RUNNING"] * 3
    config = slurm.run("scontrol", "show", "config").stdout
    assert re.search(r"^PreemptExemptTime +.?= 00:00:06$", config, re.MULTILINE)
