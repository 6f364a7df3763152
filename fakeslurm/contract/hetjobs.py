"""What the tests of heterogeneous jobs ask of them."""

from __future__ import annotations

from fakeslurm.contract.harness import SlurmUnderTest, until

__all__ = ["become", "components", "occupied", "states"]


def components(slurm: SlurmUnderTest, leader: str, count: int = 2) -> list[dict[str, str]]:
    """The fields of the components."""
    found = [slurm.show(f"{leader}+{offset}") for offset in range(count)]
    return [fields for fields in found if fields is not None]


def states(slurm: SlurmUnderTest, leader: str) -> list[str]:
    """``101+0 R None`` of each component, by offset."""
    rows = slurm.run("squeue", "-h", "-t", "all", "-j", leader, "-o", "%i %t %r").stdout.splitlines()
    return sorted(f"+{row.partition('+')[2]}" for row in rows)


def become(slurm: SlurmUnderTest, leader: str, expected: list[str]) -> None:
    until(lambda: states(slurm, leader) == expected, what=f"{expected}, not {states(slurm, leader)}")


def occupied(slurm: SlurmUnderTest) -> str:
    """Nothing else can start: the job that has all nodes."""
    slurm.wait_idle()
    job_id = slurm.sbatch("sleep 300", "-N4", "--exclusive")
    slurm.wait(job_id, ["RUNNING"])
    return job_id
