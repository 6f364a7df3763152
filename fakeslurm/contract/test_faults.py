"""Daemons that do not answer: what the commands print, and when. docs/measured/faults.md."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fakeslurm.contract.harness import Result, SlurmUnderTest

pytestmark = pytest.mark.slurm_conf("MessageTimeout=2")

WHY = {
    "controller_down": "Unable to contact slurm controller (connect failure)",
    "controller_timeout": "Socket timed out on send/recv operation",
}
OUTAGES = pytest.mark.parametrize("outage", WHY)
QUICK = 0.0
"""Seconds for which the fake lets its commands wait where that is not what is looked at."""


@contextmanager
def failing(slurm: SlurmUnderTest, outage: str, **options: Any) -> Iterator[None]:
    """The controller is gone, or does not answer any more."""
    if slurm.fake is not None:
        with slurm.fake.fault(outage, **options):
            yield
        return
    assert slurm.real is not None
    if outage == "controller_down":
        slurm.real.kill("slurmctld")
    else:
        slurm.real.pause("slurmctld")
    try:
        yield
    finally:
        if outage == "controller_down":
            slurm.real.restart("slurmctld")
        else:
            slurm.real.resume("slurmctld")
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
        ("salloc true", f"salloc: error: Job submit/allocate failed: {why}\n", 1),
        ("sacct -n -j 77", "", 0),
        ("sstat -n -o jobid -j 77", "sstat: error: couldn't get steps for job 77\n", 0),
    ]  # fmt: skip


@OUTAGES
def test_what_the_commands_say(slurm: SlurmUnderTest, outage: str) -> None:
    expected = said(WHY[outage], new=slurm.at_least("24.11"))
    with failing(slurm, outage, seconds=QUICK):
        seen = [(call, slurm.run(*call.split())) for call, _, _ in expected]
    assert [(call, done.stderr, done.returncode) for call, done in seen] == expected
    assert {call: done.stdout for call, done in seen if done.stdout} == {
        "scontrol show hostnames n[1-2]": "n1\nn2\n",
    }


@OUTAGES
def test_the_ping(slurm: SlurmUnderTest, outage: str) -> None:
    up = slurm.run("scontrol", "ping")
    with failing(slurm, outage, seconds=QUICK):
        down = slurm.run("scontrol", "ping")
    stars = "*" * 41
    text = f"{up.stdout.replace(' UP', ' DOWN')}{stars}\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n{stars}\n"
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
