"""Daemons that do not answer: what the commands print, and when. docs/measured/faults.md."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from fakeslurm.contract.harness import Result, SlurmUnderTest, lose_state, shown, until

pytestmark = pytest.mark.slurm_conf("MessageTimeout=2")

WHY = {
    "controller_down": "Unable to contact slurm controller (connect failure)",
    "controller_timeout": "Socket timed out on send/recv operation",
}
OUTAGES = pytest.mark.parametrize("outage", WHY)
QUICK = 0.0
"""Seconds for which the fake lets its commands wait where that is not what is looked at."""


@contextmanager
def failing(slurm: SlurmUnderTest, fault: str, **options: Any) -> Iterator[None]:
    """slurmctld or slurmdbd is gone, or does not answer any more."""
    if slurm.fake is not None:
        with slurm.fake.fault(fault, **options):
            yield
        return
    assert slurm.real is not None
    daemon = "slurmdbd" if fault.startswith("accounting") else "slurmctld"
    if fault.endswith("down"):
        slurm.real.kill(daemon)
    else:
        slurm.real.pause(daemon)
    try:
        yield
    finally:
        if fault.endswith("down"):
            slurm.real.restart(daemon)
        else:
            slurm.real.resume(daemon)
        slurm.run("scancel", "--me")  # a job whose end nobody heard of may be requeued and held
        slurm.wait_idle()


def said(why: str, *, new: bool) -> list[tuple[str, str, int]]:
    """Calls, what they print on stderr, and their return codes."""
    unexpected = "Unexpected message received"
    kill = "scancel: error: Kill job error on job id"
    no_steps = "scontrol: error: scontrol_print_step: slurm_get_job_steps({}) failed: {}\n"
    steps = [
        no_steps.format(which, why) if new else f"slurm_get_job_steps error: {why}\n" for which in ("(null)", "77")
    ]
    scancel = 8 if "connect" in why else 140
    return [
        ("sbatch --wrap=true", f"sbatch: error: Batch job submission failed: {why}\n", 1),
        ("sbatch --test-only --wrap=true", f"allocation failure: {why}\n", 1),
        ("sbatch --wrap=true script", "sbatch: error: Script arguments not permitted with --wrap option\n", 1),
        ("squeue", f"slurm_load_jobs error: {why}\n", 1),
        ("squeue -w n1", f"slurm_load_node error: {why}\n", 1),
        ("squeue --json", f"slurm_load_jobs error: {why}\n" if new else "", int(new)),
        ("squeue -j 77", f"slurm_load_jobs error: {why}\n", 1),
        ("squeue -j abc", "squeue: error: Invalid job id: abc\n", 1),
        ("squeue -u nosuchuser", f"squeue: error: Invalid user: nosuchuser\n\nslurm_load_jobs error: {why}\n", 1),
        ("squeue -s", f"slurm_get_job_steps error: {why}\n", 1),
        ("sinfo", f"slurm_load_partitions: {why}\n", 1),
        ("scancel 77", f"{kill} 77: {why}\n", scancel),
        ("scancel -v 77", f"scancel: Terminating job 77\n{kill} 77: {why}\n", scancel),
        ("scancel --name=x", f"slurm_load_jobs error: {why}\n", 1),
        ("scancel 77.0", f"slurm_load_jobs error: {why}\n", 1),
        ("scontrol show job", f"slurm_load_jobs error: {why}\n", 1),
        ("scontrol show job 77", f"slurm_load_jobs error: {why}\n", 1),
        ("scontrol show node n1", f"slurm_load_node error: {why}\n", 1),
        ("scontrol show partition", f"slurm_load_partitions error: {why}\n", 1),
        ("scontrol show config", f"slurm_load_ctl_conf error: {why}\n", 1),
        ("scontrol show reservation", f"slurm_load_reservations error: {why}\n", 1),
        ("scontrol show license", f"slurm_load_license error: {why}\n", 1),
        ("scontrol show step", steps[0], 1),
        ("scontrol show step 77", steps[1], 1),
        ("scontrol show hostnames n[1-2]", "", 0),
        ("scontrol show nonsense", "invalid entity:nonsense for keyword:show \n", 1),
        ("scontrol hold 77,78", f"{unexpected} for job 77\n{unexpected} for job 78\nslurm_suspend error: {unexpected}\n", 1),
        ("scontrol release name=x", f"slurm_suspend error: {why}\n", 1),
        ("scontrol requeue 77", f"{unexpected} for job 77\n", 1),
        ("scontrol suspend 77", f"{unexpected} for job 77\n", 1),
        ("scontrol update jobid=77 name=x", f"{unexpected} for job 77\n", 1),
        ("scontrol update nodename=n1 state=resume", f"slurm_update error: {why}\n", 1),
        ("scontrol update partitionname=debug state=up", f"slurm_update error: {why}\n", 1),
        ("scontrol notify 77 hello", f"job notify failure: {why}\n", 1),
        ("scontrol write batch_script 77", f"job script retrieval failed: {why}\n", 0),
        ("srun true", f"srun: error: Unable to allocate resources: {why}\n", 1),
        ("srun --test-only true", f"allocation failure: {why}\n", 1),
        ("salloc true", f"salloc: error: Job submit/allocate failed: {why}\n", 1),
        ("sacct -n -j 77", "", 0),
        ("sstat -n -o jobid -j 77", "sstat: error: couldn't get steps for job 77\n", 0),
    ]  # fmt: skip


@OUTAGES
def test_what_the_commands_say(slurm: SlurmUnderTest, outage: str) -> None:
    expected = said(WHY[outage], new=slurm.at_least("24.11"))
    calls = [call for call, _, _ in expected]
    with (
        failing(slurm, outage, seconds=QUICK),
        ThreadPoolExecutor(len(calls)) as pool,
    ):  # each of them waits for seconds
        seen = list(zip(calls, pool.map(lambda call: slurm.run(*call.split()), calls), strict=True))
    assert [(call, done.stderr, done.returncode) for call, done in seen] == expected
    printed = {call: done.stdout for call, done in seen if done.stdout}
    assert printed.pop("scontrol show hostnames n[1-2]") == "n1\nn2\n"
    if not slurm.at_least("24.11"):  # nothing is wrong, and there are no jobs
        document = json.loads(printed.pop("squeue --json"))
        assert (document["jobs"], document["errors"][0]["error_number"]) == ([], -1)
    assert not printed


@OUTAGES
def test_the_ping(slurm: SlurmUnderTest, outage: str) -> None:
    up = slurm.run("scontrol", "ping")
    with failing(slurm, outage, seconds=QUICK):
        down = slurm.run("scontrol", "ping")
    stars = "*" * 41
    text = up.stdout.replace(" UP", " DOWN")
    if os.getuid() == 0:
        text += f"{stars}\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n{stars}\n"
    assert (up.returncode, down) == (0, Result(1, text, ""))


@OUTAGES
@pytest.mark.parametrize(("call", "requests"), [("squeue", 1), ("squeue -j 77", 2), ("scontrol hold 77,78", 2)])
def test_how_long_they_wait(slurm: SlurmUnderTest, outage: str, call: str, requests: int) -> None:
    """Half of MessageTimeout for a connection, all of it for an answer; for each request."""
    with failing(slurm, outage):
        start = time.monotonic()
        assert slurm.run(*call.split()).returncode == 1
        took = time.monotonic() - start
    expected = requests * (1.0 if outage == "controller_down" else 2.0)
    assert expected - 0.1 < took < expected + 1.5


@OUTAGES
def test_srun_in_a_job(slurm: SlurmUnderTest, outage: str) -> None:
    job_id = slurm.sbatch("while [ ! -e go ]; do sleep 0.1; done; srun true; echo $? > code", "-o", "o.txt")
    slurm.wait(job_id, ["RUNNING"])
    code = slurm.workdir / "code"
    with failing(slurm, outage, seconds=QUICK):
        (slurm.workdir / "go").touch()
        until(lambda: code.exists() and code.read_text(), what="srun has ended")
    assert code.read_text() == "1\n"
    assert slurm.output("o.txt") == (
        f"srun: error: Unable to confirm allocation for job {job_id}: {WHY[outage]}\n"
        f"srun: Check SLURM_JOB_ID environment variable. Expired or invalid job {job_id}\n"
    )


def test_without_slurmdbd(slurm: SlurmUnderTest) -> None:
    """What is wrong with times and ids sacct has found before it connects, and nothing else."""
    function = "_open_persist_conn" if slurm.at_least("24.11") else "slurm_persist_conn_open_without_init"

    def refused(program: str) -> str:
        where = f"{function}: failed to open persistent connection to host:HOST:PORT"
        return (
            f"{program}: error: {where}: Connection refused\n"
            f"{program}: error: Sending PersistInit msg: Connection refused\n"
        )

    no_sacct = refused("sacct") + "sacct: error: Problem talking to the database: Connection refused\n"
    expected = [
        ("sacct", no_sacct, 1),
        ("sacct -j 77 -o State", no_sacct, 1),
        ("sacct -o nonsense", no_sacct, 1),
        ("sacct --json", no_sacct, 1),
        ("sacct extra", no_sacct, 1),
        ("sacct -j abc", "sacct: fatal: Bad job/step specified: abc\n", 1),
        ("sacct -S nonsense", "Invalid time specification (pos=0): nonsense\n", 1),
        ("sacct -V", "", 0),
        ("sacctmgr show cluster", refused("sacctmgr"), 1),
        ("sacctmgr nonsense", f"{refused('sacctmgr')}invalid keyword: nonsense\n", 1),
        ("sacctmgr version", refused("sacctmgr"), 0),
        ("squeue -h", "", 0),
    ]
    with failing(slurm, "accounting_down"):
        seen = [(call, slurm.run(*call.split())) for call, _, _ in expected]
        assert slurm.run("sbatch", "--wrap=true", "-o", "/dev/null").returncode == 0
        slurm.wait_idle()
    host = re.compile(r"host:[^:]+:[0-9]+")
    assert [(call, host.sub("host:HOST:PORT", done.stderr), done.returncode) for call, done in seen] == expected


def test_accounting_that_lags(slurm: SlurmUnderTest) -> None:
    """slurmdbd was away when the job ended, and slurmctld has not told it yet."""
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.1; done", "-o", "/dev/null")

    def state() -> str:
        return slurm.run("sacct", "-n", "-P", "-X", "-j", job_id, "-o", "State").stdout

    until(lambda: state() == "RUNNING\n", what="a job that runs in accounting")
    with ExitStack() as stack:
        if slurm.fake is not None:
            stack.enter_context(slurm.fake.fault("accounting_lag", seconds=600))
        else:
            assert slurm.real is not None
            slurm.real.kill("slurmdbd")
        (slurm.workdir / "go").touch()
        assert slurm.wait(job_id)["JobState"] == "COMPLETED"
        if slurm.real is not None:
            slurm.real.pause("slurmctld")
            stack.callback(slurm.real.resume, "slurmctld")
            slurm.real.restart("slurmdbd")
        assert state() == "RUNNING\n"
    until(lambda: state() == "COMPLETED\n", what="the end of the job in accounting")


@pytest.mark.slurm_conf("MessageTimeout=2", "FirstJobId=7")  # a cluster of its own, which nobody has used yet
def test_a_lost_state(slurm: SlurmUnderTest) -> None:
    """Job ids start again, and sacct shows the latest job of an id, unless it is to show all of them."""
    first = slurm.sbatch("true", "-J", "old", "-o", "/dev/null")
    rows = [{"JobID": first, "JobName": name, "State": "COMPLETED"} for name in ("old", "new")]
    until(lambda: slurm.accounted(first, "JobID,JobName,State", "-X") == rows[:1], what="all of the job in accounting")
    lose_state(slurm)
    slurm.wait_idle()
    assert slurm.sbatch("true", "-J", "new", "-o", "/dev/null") == first == "7"
    slurm.wait(first)
    until(lambda: slurm.accounted(first, "JobID,JobName,State", "-X") == rows[1:], what="the latest job alone")
    assert slurm.accounted(first, "JobID,JobName,State", "-X", "--duplicates") == rows


@pytest.mark.slurm_conf("MessageTimeout=2", "FirstJobId=17")  # another one: job ids come again
def test_what_a_lost_state_ends(slurm: SlurmUnderTest) -> None:
    """Nobody has cancelled it, and what waited has no start."""
    runs = slurm.sbatch("sleep 300", "-w", "n1", "-o", "/dev/null")
    slurm.wait(runs, ["RUNNING"])
    waits = slurm.sbatch("true", "-n16", "-o", "/dev/null")
    array = slurm.sbatch("true", "-n16", "-a0-2", "-o", "/dev/null")

    ids = ",".join([runs, waits, array])
    asked = ("sacct", "-n", "-P", "-X", "-j", ids, "-o", "JobID,State,Start,ExitCode,NodeList")

    def rows() -> list[str]:
        return slurm.run(*asked).stdout.splitlines()

    start = shown(slurm, runs)["StartTime"]
    names = [runs, waits, f"{array}_[0-2]"]
    before = ["RUNNING|{start}|0:0|n1", "PENDING|Unknown|0:0|None assigned", "PENDING|Unknown|0:0|None assigned"]
    expected = [f"{name}|{row.format(start=start)}" for name, row in zip(names, before, strict=True)]
    until(lambda: rows() == expected, what="all of them in accounting")
    lose_state(slurm)
    assert rows() == [
        f"{runs}|CANCELLED|{start}|0:0|n1",
        f"{waits}|CANCELLED|None|0:0|None assigned",
        f"{array}_[0-2]|CANCELLED|None|0:0|None assigned",
    ]
    slurm.wait_idle()


@pytest.mark.slurm_conf("AccountingStorageType=accounting_storage/none")
def test_without_accounting(slurm: SlurmUnderTest) -> None:
    disabled = "Slurm accounting storage is disabled\n"
    plugin = (
        "You are not running a supported accounting_storage plugin\nOnly 'accounting_storage/slurmdbd' is supported.\n"
    )
    expected = [
        ("sacct", disabled, 1),
        ("sacct -o nonsense", disabled, 1),
        ("sacct -j abc", "sacct: fatal: Bad job/step specified: abc\n", 1),
        ("sacctmgr show cluster", plugin, 1),
        ("sacctmgr nonsense", plugin, 1),
        ("sacctmgr version", plugin, 1),
    ]
    seen = [(call, slurm.run(*call.split())) for call, _, _ in expected]
    assert [(call, done.stderr, done.returncode) for call, done in seen] == expected
