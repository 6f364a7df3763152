"""What suspended jobs hold: memory, gres and licenses, but not their CPUs; and what they get back when they are resumed."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason

pytestmark = pytest.mark.slurm_conf(
    "SelectTypeParameters=CR_Core_Memory", "Licenses=lic:3", "GresTypes=fpga", "NodeName=n[1-4] Gres=fpga:2"
)
GATE = "until [ -e go.$SLURM_JOB_ID ]; do sleep 0.05; done"
SHARED = ("-n2", "--mem=100", "-w", "n1")


def running(slurm: SlurmUnderTest, *options: str) -> str:
    job_id = slurm.sbatch(GATE, *options)
    slurm.wait(job_id, ["RUNNING"])
    return job_id


def goes_on(slurm: SlurmUnderTest, job_id: str) -> None:
    (slurm.workdir / f"go.{job_id}").touch()
    slurm.wait(job_id)


def scontrol(slurm: SlurmUnderTest, *words: str) -> None:
    done = slurm.run("scontrol", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def node(slurm: SlurmUnderTest) -> tuple[str, str, str]:
    """State, CPUs and MB of n1."""
    words = slurm.run("scontrol", "-o", "show", "node", "n1").stdout.split()
    fields = dict(word.partition("=")[::2] for word in words)
    return fields["State"], fields["CPUAlloc"], fields["AllocMem"]


def only_memory(slurm: SlurmUnderTest, before: str) -> str:
    """The state of a node of which no CPUs are allocated."""
    return "MIXED" if slurm.at_least("24.11") else before


def waits(slurm: SlurmUnderTest, reason: str, *options: str) -> None:
    job_id = slurm.sbatch("true", "-w", "n1", *options)
    wait_for_reason(slurm, job_id, reason)
    slurm.run("scancel", job_id)


def test_only_cpus_are_free(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm, "-n2", "--mem=700", "--gres=fpga:1", "-L", "lic:2", "-w", "n1")
    assert node(slurm) == ("MIXED", "2", "700")
    scontrol(slurm, "suspend", job_id)
    assert node(slurm) == (only_memory(slurm, "IDLE"), "0", "700")
    goes_on(slurm, running(slurm, "-n4", "--mem=1300", "-w", "n1"))
    waits(slurm, "Resources", "-n4", "--mem=1400")
    waits(slurm, "Resources", "-n4", "--mem=100", "--gres=fpga:2")
    waits(slurm, "Licenses", "-n4", "--mem=100", "-L", "lic:2")
    # Of a node that is all its own a job gets all gres.
    waits(slurm, "Resources", "-n1", "--mem=100", "--exclusive")
    scontrol(slurm, "resume", job_id)
    assert node(slurm) == ("MIXED", "2", "700")
    scontrol(slurm, "suspend", job_id)
    slurm.run("scancel", job_id)
    slurm.wait(job_id)
    until(lambda: node(slurm) == ("IDLE", "0", "0"), what="all of it is free")
    goes_on(slurm, running(slurm, "-n4", "--mem=2000", "--gres=fpga:2", "-L", "lic:3", "-w", "n1"))


def test_exclusive_jobs(slurm: SlurmUnderTest) -> None:
    """They start beside a suspended one, as others do beside a suspended exclusive one."""
    job_id = running(slurm, *SHARED)
    scontrol(slurm, "suspend", job_id)
    goes_on(slurm, running(slurm, *SHARED, "--exclusive"))
    slurm.run("scancel", job_id)
    slurm.wait(job_id)
    job_id = running(slurm, *SHARED, "--exclusive")
    assert node(slurm)[1] == "4"
    scontrol(slurm, "suspend", job_id)
    goes_on(slurm, running(slurm, *SHARED))
    slurm.run("scancel", job_id)


def test_resumed_when_another_has_a_cpu(slurm: SlurmUnderTest) -> None:
    """It runs, but its CPUs count no more, until it has been suspended and resumed once more."""
    job_id = running(slurm, *SHARED)
    scontrol(slurm, "suspend", job_id)
    other = running(slurm, "-n1", "--mem=100", "-w", "n1")
    scontrol(slurm, "resume", job_id)
    assert shown(slurm, job_id)["JobState"] == "RUNNING"
    assert node(slurm) == ("MIXED", "1", "200")
    goes_on(slurm, other)
    until(lambda: node(slurm) == (only_memory(slurm, "ALLOCATED"), "0", "100"), what="no CPU counts")
    goes_on(slurm, running(slurm, "-n4", "--mem=100", "-w", "n1"))
    goes_on(slurm, running(slurm, "-n1", "--mem=100", "-w", "n1", "--exclusive"))
    until(lambda: node(slurm)[1] == "0", what="the others have ended")
    scontrol(slurm, "suspend", job_id)
    scontrol(slurm, "resume", job_id)
    assert node(slurm) == ("MIXED", "2", "100")
    # It is not waited for: its SIGSTOP, two seconds late, may come after SIGCONT on 24.11.
    slurm.run("scancel", job_id)
    slurm.wait(job_id)


def test_resumed_on_two_nodes(slurm: SlurmUnderTest) -> None:
    """One CPU of one of them is enough."""
    job_id = running(slurm, "-N2", "-n8", "--mem=100", "-w", "n[1-2]")
    scontrol(slurm, "suspend", job_id)
    other = running(slurm, "-n1", "--mem=100", "-w", "n2")
    scontrol(slurm, "resume", job_id)
    assert node(slurm) == (only_memory(slurm, "ALLOCATED"), "0", "100")
    goes_on(slurm, running(slurm, "-n1", "--mem=100", "-w", "n1"))
    goes_on(slurm, other)
    goes_on(slurm, job_id)
