"""A configuration in the words of slurm.conf: the marker slurm_conf."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

TWO = pytest.mark.slurm_conf(
    "NodeName=n[1-2] CPUs=2",
    "PartitionName=debug Nodes=n[1-3] Default=YES DefaultTime=7 MaxTime=1:00:00",
    "PartitionName=small Nodes=n[1-2] MaxNodes=1",
)


@TWO
def test_nodes_and_partitions_are_those_of_the_lines(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sinfo", "-o", "%P|%a|%l|%L|%s|%N|%c|%t")
    assert done.stdout == (
        "PARTITION|AVAIL|TIMELIMIT|DEFAULTTIME|JOB_SIZE|NODELIST|CPUS|STATE\n"
        "debug*|up|1:00:00|7:00|1-infinite|n[1-3]|2+|idle\n"
        "small|up|infinite|n/a|1|n[1-2]|2|idle\n"
    )


@TWO
def test_limits_of_the_partitions_hold(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "-p", "small", "-N", "2")
    # For a moment the real one says PartitionConfig.
    until(
        lambda: slurm.wait(job_id, ["PENDING"])["Reason"] == "PartitionNodeLimit", what="the reason PartitionNodeLimit"
    )
    assert slurm.wait(slurm.sbatch("true"))["TimeLimit"] == "00:07:00"


def test_a_test_without_lines_has_the_plain_cluster(slurm: SlurmUnderTest) -> None:
    if slurm.kind == "site":
        pytest.skip("a site has the partitions that it has")
    assert slurm.run("sinfo", "-h", "-o", "%P %N %c").stdout == "debug* n[1-4] 4\n"
