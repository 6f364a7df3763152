"""COMPLETING: a job has ended, and its processes have not. Which nodes it still has, and who may start where."""

from __future__ import annotations

import json

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until

IGNORES = "trap '' TERM; touch ignores; while :; do sleep 0.1; done"
"""It goes on for all of KillWait."""
ONE_TASK_IGNORES = """
srun bash -c '[ $SLURM_NODEID != {node} ] || trap "" TERM; touch runs$SLURM_NODEID; while :; do sleep 0.1; done' &
until [ -e runs0 -a -e runs1 ]; do sleep 0.05; done; touch ignores; wait
"""


def started(slurm: SlurmUnderTest, body: str, *options: str) -> str:
    """A job of which something ignores SIGTERM, once it does."""
    job_id = slurm.sbatch(body, "-o", "/dev/null", *options)
    until((slurm.workdir / "ignores").exists, what="something ignores SIGTERM")
    return job_id


def left(slurm: SlurmUnderTest, job_id: str, nodes: str) -> None:
    """Wait until a job is completing on these nodes alone."""
    asked = ("squeue", "-h", "-j", job_id, "-o", "%T %N")
    until(lambda: slurm.run(*asked).stdout == f"COMPLETING {nodes}\n", what=f"completing on {nodes}", timeout=4)


@pytest.mark.parametrize("how", [["scancel"], ["scontrol", "requeue"]], ids=["cancelled", "requeued"])
def test_the_other_node_is_given_back_at_once(slurm: SlurmUnderTest, how: list[str]) -> None:
    """It is shown without it, but for what it was allocated. The CPUs of one that is requeued are those of the nodes that it has."""
    job_id = started(slurm, IGNORES, "-N2", "-n8", "-w", "n[1-2]", "-t10")
    slurm.run(*how, job_id)
    left(slurm, job_id, "n1")
    cpus = "8" if how == ["scancel"] else "4"
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%N|%D|%C|%R|%B").stdout == f"n1|1|{cpus}|n1|n1\n"
    long = slurm.run("squeue", "-h", "-j", job_id, "-O", "NodeList:|,NumNodes:|,NumCPUs:|,BatchHost:|,tres-alloc:")
    assert long.stdout == f"n1|1|{cpus}|n1|cpu=8,node=2,billing=8\n"
    fields = shown(slurm, job_id)
    assert [fields[name] for name in ("NodeList", "BatchHost", "NumNodes", "NumCPUs")] == ["n1", "n1", "1", cpus]
    assert fields["AllocTRES" if slurm.at_least("24.11") else "TRES"] == "cpu=8,node=2,billing=8"
    assert [slurm.run("squeue", "-h", "-w", node, "-o", "%i").stdout for node in ("n1", "n2")] == [f"{job_id}\n", ""]
    nodes = slurm.run("sinfo", "-h", "-N", "-o", "%N %t %C").stdout.splitlines()
    assert nodes[:2] == ["n1 comp 0/4/0/4", "n2 idle 0/4/0/4"]
    known = json.loads(slurm.run("squeue", "--json").stdout)["jobs"]
    (job,) = [one for one in known if f"{one['job_id']}" == job_id]
    numbers = [job["node_count"], job["cpus"]]
    assert [one["number"] if slurm.at_least("24.11") else one for one in numbers] == [1, int(cpus)]
    held = job["job_resources"]["nodes"]
    assert (job["nodes"], held["list"] if slurm.at_least("24.11") else held) == ("n1", "n[1-2]")
    other = slurm.sbatch("true", "-w", "n2", "-n4", "-o", "/dev/null")
    assert slurm.wait(other)["JobState"] == "COMPLETED"
    left(slurm, job_id, "n1")
    slurm.run("scancel", job_id)
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%T|%N|%C").stdout == f"COMPLETING|n1|{cpus}\n"
    fields = slurm.wait(job_id)
    assert (fields["NodeList"], fields["NumNodes"], fields["NumCPUs"]) == ("n[1-2]", "2", "8")


@pytest.mark.parametrize("node", [0, 1])
def test_a_node_is_given_back_when_its_tasks_have_ended(slurm: SlurmUnderTest, node: int) -> None:
    """Also that of the script, which stays BatchHost."""
    job_id = started(slurm, ONE_TASK_IGNORES.format(node=node), "-N2", "-n2", "-w", "n[1-2]")
    slurm.run("scancel", job_id)
    left(slurm, job_id, f"n{node + 1}")
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%N|%D|%B").stdout == f"n{node + 1}|1|n1\n"
    states = ["idle", "idle"]
    states[node] = "comp"
    assert slurm.run("sinfo", "-h", "-N", "-n", "n[1-2]", "-o", "%t").stdout.split() == states
    assert slurm.wait(job_id)["NodeList"] == "n[1-2]"


def test_nobody_starts_beside_it(slurm: SlurmUnderTest) -> None:
    """Whatever it has left of its node, and whoever runs there, too."""
    beside = slurm.sbatch("sleep 300", "-n1", "-w", "n1", "-o", "/dev/null")
    job_id = started(slurm, IGNORES, "-n2", "-w", "n1")
    slurm.run("scancel", job_id)
    left(slurm, job_id, "n1")
    anywhere = slurm.sbatch("sleep 300", "-n1", "-o", "/dev/null")
    assert slurm.wait(anywhere, ["RUNNING"])["NodeList"] == "n2"
    there = slurm.sbatch("true", "-n1", "-w", "n1", "-o", "/dev/null")
    until(lambda: shown(slurm, there)["Reason"] == "Resources", what="it waits for n1", timeout=4)
    left(slurm, job_id, "n1")
    assert slurm.run("sinfo", "-h", "-N", "-o", "%N %t %C").stdout.splitlines()[0] == "n1 comp 1/3/0/4"
    assert slurm.wait(there)["JobState"] == "COMPLETED"
    assert slurm.wait(beside, ["RUNNING"])["NodeList"] == "n1"


@pytest.mark.slurm_conf("Licenses=fluent:1")
def test_it_keeps_its_licenses(slurm: SlurmUnderTest) -> None:
    job_id = started(slurm, IGNORES, "-N2", "-w", "n[1-2]", "-L", "fluent")
    slurm.run("scancel", job_id)
    left(slurm, job_id, "n1")
    other = slurm.sbatch("true", "-w", "n3", "-L", "fluent", "-o", "/dev/null")
    until(lambda: shown(slurm, other)["Reason"] == "Licenses", what="it waits for the license", timeout=4)
    left(slurm, job_id, "n1")
    assert slurm.wait(other)["JobState"] == "COMPLETED"


@pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio", "PreemptMode=SUSPEND,GANG", "PartitionName=high Nodes=ALL PriorityTier=10"
)
def test_not_even_a_job_that_would_suspend_it(slurm: SlurmUnderTest) -> None:
    job_id = started(slurm, IGNORES, "-n4", "-w", "n1")
    slurm.run("scancel", job_id)
    left(slurm, job_id, "n1")
    other = slurm.sbatch("true", "-p", "high", "-n4", "-w", "n1", "-o", "/dev/null")
    until(lambda: shown(slurm, other)["Reason"] == "Resources", what="it waits for n1", timeout=4)
    left(slurm, job_id, "n1")
    assert slurm.wait(other)["JobState"] == "COMPLETED"


@pytest.mark.slurm_conf(
    "PreemptType=preempt/partition_prio", "PreemptMode=CANCEL", "PartitionName=high Nodes=ALL PriorityTier=10"
)
def test_who_preempts_starts_on_the_node_that_is_free(slurm: SlurmUnderTest) -> None:
    job_id = started(slurm, IGNORES, "-N4", "-n16")
    other = slurm.sbatch("sleep 300", "-p", "high", "-n4", "-o", "/dev/null")
    assert slurm.wait(other, ["RUNNING"])["NodeList"] == "n2"
    left(slurm, job_id, "n1")
    assert slurm.wait(job_id)["JobState"] == "PREEMPTED"
