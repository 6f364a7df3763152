"""Faults of jobs and nodes: what a plain client sees when the fake is told to fail, and when a real Slurm is made to."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fakeslurm import Simulated
from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason
from fakeslurm.contract.texts import without_times
from fakeslurm.throwaway import ThrowawaySlurm

DYING = ("SlurmdTimeout=4", "MessageTimeout=3")
ROWS = "JobID,State,ExitCode"
RUN_AGAIN = '[ -n "$SLURM_RESTART_COUNT" ] || exec sleep 60; echo again'


def rows(slurm: SlurmUnderTest, job_id: str, *options: str) -> list[list[str]]:
    """sacct's, with every attempt, once all of them are over; what has no exit code has an empty one."""
    return [
        [row["JobID"].removeprefix(job_id), re.sub(r" by \d+", "", row["State"]), row["ExitCode"]]
        for row in slurm.accounted(job_id, ROWS, "-D", *options)
    ]


def queue(slurm: SlurmUnderTest, job_id: str) -> list[str]:
    text = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T|%r|%N").stdout
    return text.strip().split("|")


def node_state(slurm: SlurmUnderTest, name: str) -> str:
    """Without the star of a node that is late to answer."""
    return slurm.run("sinfo", "-h", "-n", name, "-o", "%t").stdout.strip().rstrip("*")


def running(slurm: SlurmUnderTest, script: str, *options: str) -> str:
    job_id = slurm.sbatch(script, "-w", "n1", "-o", "o.txt", *options)
    slurm.wait(job_id, ["RUNNING"])
    until(lambda: (slurm.workdir / "o.txt").exists(), what="the script's output file")
    return job_id


def daemons(slurm: SlurmUnderTest) -> ThrowawaySlurm:
    if slurm.real is None:
        pytest.skip("a site's daemons are not ours to stop")
    return slurm.real


@contextmanager
def node_lost(slurm: SlurmUnderTest, name: str) -> Iterator[None]:
    """The node's power fails; it comes back at the end."""
    if slurm.fake is not None:
        with slurm.fake.fault("node_failure", node=name) as fault:
            assert [hit.target for hit in fault.hits] == [f"node {name}"]
            yield
        return
    real = daemons(slurm)
    real.kill(f"slurmd.{name}")
    for pid in processes_of_jobs(real):
        os.kill(pid, signal.SIGKILL)
    until(lambda: node_state(slurm, name) == "down", what="a node that is missed")
    try:
        yield
    finally:
        real.restart(f"slurmd.{name}")
        until(lambda: node_state(slurm, name) != "down", what="a node that is back")


def processes_of_jobs(real: ThrowawaySlurm) -> list[int]:
    """Step daemons first: they would tell of the ends of their tasks."""
    tasks, daemons_of_steps = set[int](), set[int]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            parents_name = Path(f"/proc/{parent}/comm").read_text()
        except OSError:
            continue
        if str(real.directory).encode() in environment and b"SLURM_JOB_ID=" in environment:
            tasks.add(int(entry.name))
            if parents_name.startswith("slurmstepd"):
                daemons_of_steps.add(parent)
    return [*daemons_of_steps, *tasks]


@contextmanager
def stuck(slurm: SlurmUnderTest) -> Iterator[None]:
    """The node's slurmd does not answer."""
    if slurm.fake is not None:
        with slurm.fake.fault("stuck_completing"):
            yield
        return
    real = daemons(slurm)
    real.pause("slurmd.n1")
    try:
        yield
    finally:
        real.resume("slurmd.n1")


@pytest.mark.slurm_conf(*DYING)
def test_a_job_is_requeued_from_a_lost_node(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm, RUN_AGAIN)
    with node_lost(slurm, "n1"):
        until(lambda: shown(slurm, job_id)["JobState"] == "PENDING", what="a job that waits")
        fields = shown(slurm, job_id)
        assert (fields["Restarts"], fields["ExitCode"], fields["NodeList"]) == ("1", "0:0", "")
        assert slurm.run("sinfo", "-h", "-n", "n1", "-o", "%E").stdout == "Not responding\n"
        wait_for_reason(slurm, job_id, "ReqNodeNotAvail,_UnavailableNodes:n1")
        assert slurm.output("o.txt") == ""  # nobody was there to say why
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    failed = "1:0" if slurm.at_least("24.11") else "0:0"
    assert rows(slurm, job_id) == [
        ["", "NODE_FAIL", failed],
        [".batch", "CANCELLED", ""],
        ["", "COMPLETED", "0:0"],
        [".batch", "COMPLETED", "0:0"],
    ]
    assert slurm.output("o.txt") == "again\n"


@pytest.mark.slurm_conf(*DYING)
def test_a_job_that_may_not_be_requeued_fails_with_a_lost_node(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm, "exec sleep 60", "--no-requeue")
    with node_lost(slurm, "n1"):
        fields = slurm.wait(job_id)
        failed = "0:1" if slurm.at_least("24.11") else "0:0"
        assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("NODE_FAIL", "NodeDown", failed)
        assert queue(slurm, job_id) == ["NODE_FAIL", "NodeDown", "n1"]
    failed = "1:0" if slurm.at_least("24.11") else "0:0"
    assert rows(slurm, job_id) == [["", "NODE_FAIL", failed], [".batch", "CANCELLED", ""]]
    assert slurm.output("o.txt") == ""


@pytest.mark.slurm_conf(*DYING)
def test_a_job_runs_twice_when_a_node_lives_on_that_slurm_has_lost(slurm: SlurmUnderTest) -> None:
    wait_for_leave = "until [ -e go.$run ]; do sleep 0.1; done"
    job_id = slurm.sbatch(f"run=${{SLURM_RESTART_COUNT:-0}}; touch began.$run; {wait_for_leave}; touch did.$run")
    until((slurm.workdir / "began.0").exists, what="the first run")
    with ExitStack() as stack:
        if slurm.fake is not None:
            stack.enter_context(slurm.fake.fault("node_failure", node="n1", lives_on=True))
        else:
            stack.callback(daemons(slurm).restart, "slurmd.n1")
            daemons(slurm).kill("slurmd.n1")
        until((slurm.workdir / "began.1").exists, what="the second run")
        assert shown(slurm, job_id)["NodeList"] != "n1"
        (slurm.workdir / "go.0").touch()
        until((slurm.workdir / "did.0").exists, what="the end of the first run")
        assert shown(slurm, job_id)["JobState"] == "RUNNING"
        (slurm.workdir / "go.1").touch()
        assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    until(lambda: node_state(slurm, "n1") == "idle", what="a node that is back")
    assert [row[1] for row in rows(slurm, job_id)] == ["NODE_FAIL", "CANCELLED", "COMPLETED", "COMPLETED"]


def test_a_script_that_cannot_be_launched(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "file").touch()
    output = "file/o.txt"
    with ExitStack() as stack:
        if slurm.fake is not None:
            stack.enter_context(slurm.fake.fault("launch_failure"))
            output = "o.txt"
        job_id = slurm.sbatch("echo here", "-o", output)
        fields = slurm.wait(job_id)
    reason = "RaisedSignal:53(Real-time_signal_19)" if slurm.at_least("24.11") else "JobLaunchFailure"
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("FAILED", "0:53", reason)
    assert rows(slurm, job_id) == [["", "FAILED", "0:53"], [".batch", "CANCELLED", "0:53"]]
    assert not (slurm.workdir / "o.txt").exists()


def test_a_node_that_cannot_write_the_script_down(slurm: SlurmUnderTest) -> None:
    with ExitStack() as stack:
        if slurm.fake is not None:
            stack.enter_context(slurm.fake.fault("launch_failure", requeued=True))
        else:
            stack.enter_context(no_spool(daemons(slurm), "n1"))
        job_id = slurm.sbatch("echo here", "-w", "n1", "-o", "o.txt")
        until(lambda: queue(slurm, job_id) == ["PENDING", "launch failed requeued held", ""], what="a held job")
    fields = shown(slurm, job_id)
    assert [fields[name] for name in ("Reason", "Restarts", "Priority", "ExitCode")] == [
        "launch_failed_requeued_held",
        "1",
        "0",
        "0:0",
    ]
    assert node_state(slurm, "n1") == "idle"
    assert rows(slurm, job_id, "-s", "REQUEUED")[:2] == [["", "REQUEUED", "0:0"], [".batch", "CANCELLED", ""]]
    assert slurm.run("scontrol", "release", job_id).returncode == 0
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert slurm.output("o.txt") == "here\n"


@contextmanager
def no_spool(real: ThrowawaySlurm, node: str) -> Iterator[None]:
    spool = real.directory / "spool" / node
    away = spool.rename(spool.with_suffix(".away"))
    spool.touch()
    try:
        yield
    finally:
        spool.unlink()
        away.rename(spool)


def test_a_cancelled_job_whose_node_does_not_answer(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm, "exec sleep 60")
    with stuck(slurm):
        slurm.run("scancel", job_id)
        until(lambda: queue(slurm, job_id)[0] == "COMPLETING", what="a completing job")
        assert node_state(slurm, "n1") == "comp"
        fields = shown(slurm, job_id)
        assert (fields["JobState"], fields["ExitCode"], fields["NodeList"]) == ("COMPLETING", "0:0", "n1")
        assert fields["EndTime"] != "Unknown"
        assert slurm.accounted(job_id, "State", "-X")[0]["State"].startswith("CANCELLED by")
        other = slurm.sbatch("true", "-w", "n1", "-N1", "-n4")
        assert queue(slurm, other)[0] == "PENDING"
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"]) == ("CANCELLED", "0:15")
    assert slurm.wait(other)["JobState"] == "COMPLETED"


def test_a_job_that_hangs_is_given_up_with_its_node(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm, "exec sleep 60")
    with stuck(slurm):
        slurm.run("scancel", job_id)
        until(lambda: queue(slurm, job_id)[0] == "COMPLETING", what="a completing job")
        assert slurm.run("scontrol", "update", "nodename=n1", "state=down", "reason=stuck").returncode == 0
        fields = slurm.wait(job_id)
        assert (fields["JobState"], fields["ExitCode"], fields["NodeList"]) == ("CANCELLED", "0:0", "n1")
        given_up = [["", "CANCELLED", "0:0"], [".batch", "CANCELLED", ""]]
        until(lambda: rows(slurm, job_id) == given_up, what="a script that was given up")
        assert node_state(slurm, "n1") == "down"
    slurm.run("scontrol", "update", "nodename=n1", "state=resume")
    until(lambda: node_state(slurm, "n1") == "idle", what="an idle node")


def test_output_that_finds_no_space(slurm: SlurmUnderTest) -> None:
    output = "/dev/full"
    with ExitStack() as stack:
        if slurm.fake is not None:
            stack.enter_context(slurm.fake.fault("no_space"))
            output = "o.txt"
        job_id = slurm.sbatch("echo here || echo $? > rc.txt; /bin/echo there 2> e.txt", "-o", output)
        fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("FAILED", "1:0", "NonZeroExitCode")
    assert rows(slurm, job_id) == [["", "FAILED", "1:0"], [".batch", "FAILED", "1:0"]]
    assert slurm.output("rc.txt") == "1\n"
    assert "No space left on device" in slurm.output("e.txt")
    assert slurm.fake is None or slurm.output("o.txt") == ""


@pytest.mark.parametrize("simulated", [False, True])
def test_output_whose_directory_is_taken_away(slurm: SlurmUnderTest, simulated: bool) -> None:
    """The script has its output open: it goes on, and what it prints is nowhere."""
    if simulated:
        simulate(slurm, Simulated(2, outputs="here\n"))
    directory = slurm.workdir / "away"
    directory.mkdir()
    job_id = slurm.sbatch("until [ ! -e away ]; do sleep 0.1; done; echo here", "-o", "away/o.txt")
    until((directory / "o.txt").exists, what="the script's output file")
    shutil.rmtree(directory)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"]) == ("COMPLETED", "0:0")
    assert not directory.exists()


@pytest.mark.parametrize("simulated", [False, True])
def test_a_script_that_cannot_open_a_file_of_its_own(slurm: SlurmUnderTest, simulated: bool) -> None:
    if simulated:
        simulate(slurm, Simulated(0, outputs={"missing/file": "here\n"}))
    job_id = slurm.sbatch("echo here > missing/file", "-o", "o.txt")
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("FAILED", "1:0", "NonZeroExitCode")
    assert rows(slurm, job_id) == [["", "FAILED", "1:0"], [".batch", "FAILED", "1:0"]]
    assert "No such file or directory" in slurm.output("o.txt")


def simulate(slurm: SlurmUnderTest, behaviour: Simulated) -> None:
    if slurm.fake is None:
        pytest.skip("a real Slurm runs its scripts")
    slurm.fake.simulate(behaviour)


@pytest.mark.slurm_conf("SelectTypeParameters=CR_Core_Memory", "TaskPlugin=task/cgroup", "ConstrainRAMSpace=yes")
def test_a_script_that_the_kernel_kills(slurm: SlurmUnderTest) -> None:
    hog = f"exec {shlex.quote(sys.executable)} -I -S -c \"import time; x = b'1' * (100 << 20); time.sleep(60)\""
    job_id = running(slurm, "exec sleep 60" if slurm.fake is not None else hog, "--mem=60")
    if slurm.fake is not None:
        with slurm.fake.fault("out_of_memory") as fault:
            assert [hit.target for hit in fault.hits] == [f"job {job_id}"]
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("OUT_OF_MEMORY", "0:125", "OutOfMemory")
    assert rows(slurm, job_id) == [["", "OUT_OF_MEMORY", "0:125"], [".batch", "OUT_OF_MEMORY", "0:125"]]
    assert re.search(r"Detected 1 oom.kill event", slurm.output("o.txt"))


@pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=low Nodes=ALL PriorityTier=1",
    "PartitionName=high Nodes=ALL PriorityTier=10",
)
@pytest.mark.parametrize("options", [[], ["--no-requeue"]], ids=" ".join)
def test_a_job_that_is_preempted(slurm: SlurmUnderTest, options: list[str]) -> None:
    job_id = running(slurm, RUN_AGAIN, "-p", "low", "-n4", *options)
    if slurm.fake is not None:
        with slurm.fake.fault("preemption", mode="REQUEUE", job=job_id):
            pass
    else:
        slurm.sbatch("true", "-p", "high", "-n4", "-w", "n1")
    fields = slurm.wait(job_id)
    first = [["", "PREEMPTED", "0:0"], [".batch", "CANCELLED", "0:15"]]
    if options:
        assert (fields["JobState"], fields["ExitCode"], fields["Restarts"]) == ("PREEMPTED", "0:15", "0")
        until(lambda: rows(slurm, job_id) == first, what="the end of the script in accounting")
        assert without_times(slurm.output("o.txt")).endswith("CANCELLED AT TIME DUE TO PREEMPTION ***\n")
    else:
        assert (fields["JobState"], fields["Restarts"]) == ("COMPLETED", "1")
        assert rows(slurm, job_id) == [*first, ["", "COMPLETED", "0:0"], [".batch", "COMPLETED", "0:0"]]


@pytest.mark.parametrize("hold", [False, True])
def test_a_job_that_an_administrator_requeues(slurm: SlurmUnderTest, hold: bool) -> None:
    job_id = running(slurm, RUN_AGAIN)
    if slurm.fake is not None:
        with slurm.fake.fault("requeue", hold=hold) as fault:
            assert [hit.target for hit in fault.hits] == [f"job {job_id}"]
    else:
        assert slurm.run("scontrol", "requeuehold" if hold else "requeue", job_id).returncode == 0
    if hold:
        wait_for_reason(slurm, job_id, "job_requeued_in_held_state")
        slurm.run("scontrol", "release", job_id)
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert rows(slurm, job_id)[0] == ["", "REQUEUED", "0:0"]
