"""How many CPUs steps ask for and have: ``--cpus-per-task`` where nodes differ, and ``--overcommit``."""

from __future__ import annotations

import re

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

MORE = "srun: error: Unable to create step for job J: More processors requested than permitted"
COUNT = "srun: error: Unable to create step for job J: Task count specification invalid"
_NODES = ("NodeName=n2 CPUs=2", "NodeName=n3 CPUs=1", "NodeName=n4 CPUs=1")
_WHERE = "sh -c 'echo $SLURM_PROCID:$SLURMD_NODENAME'"


def ranks(slurm: SlurmUnderTest, job: str, options: str) -> str:
    """Where the ranks of a step run, or what is said instead."""
    job_id = slurm.sbatch(f"srun {options} {_WHERE} 2>&1", *job.split(), "-o", "o")
    assert slurm.wait(job_id)["JobState"] in ("COMPLETED", "FAILED")
    lines = [line for line in slurm.output_of_steps("o").splitlines() if ": can't run " not in line]
    return " ".join(sorted(lines)).replace(f"job {job_id}:", "job J:")


@pytest.mark.slurm_conf(*_NODES)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-N2-3 -n3 -c2", "0:n1 1:n2 2:n3"),
        ("-N2-4 -n3 -c2", "0:n1 1:n2 2:n3"),
        ("-N2-4 -n4 -c2", "0:n1 1:n2 2:n3 3:n4"),
        ("-N3 -n3 -c2", "0:n1 1:n2 2:n3"),
        ("-N1-3 -n3 -c2", "0:n1 1:n2 2:n3"),
        ("-n4 -c2", "0:n1 1:n2 2:n3 3:n4"),
        ("-n3 -c2", "0:n1 1:n2 2:n3"),
        ("-N2 -n3 -c2", "0:n1 1:n1 2:n2"),
        ("-N1 -n2 -c2", "0:n1 1:n1"),
        ("-N2-3 -n4 -c2", MORE),
        ("-N2-3 -c2", MORE),
        ("-N2-3 -n3 -c3", MORE),
        ("-N1-3 -n2 -c4", MORE),
    ],
)
def test_nodes_with_fewer_cpus_than_a_task(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """It is the sum that counts."""
    assert ranks(slurm, "-N4 -n8", options) == expected


@pytest.mark.slurm_conf(*_NODES)
@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        ("-c1 -N1", MORE, "0:n1 1:n1 2:n1 3:n1"),
        ("-c1 -N2", MORE, "0:n1 1:n1 2:n1 3:n1 4:n2 5:n2"),
        ("-c1 -N1-2", MORE, "0:n1 1:n1 2:n1 3:n1 4:n2 5:n2"),
        ("-c1 -N4", *["0:n1 1:n1 2:n1 3:n1 4:n2 5:n2 6:n3 7:n4"] * 2),
        ("-c2 -N1", MORE, "0:n1 1:n1"),
        ("-c2 -N2", *["0:n1 1:n1 2:n2"] * 2),
        ("-c2 -N3", *["0:n1 1:n2 2:n3"] * 2),
        ("-c2", "0:n1 1:n2 2:n3 3:n4", COUNT),
        ("-c3 -N1", *["0:n1"] * 2),
        ("-c3 -N2", "0:n1 1:n2", COUNT),
        ("-c3 -N3", MORE, COUNT),
        ("-c1 -O -N1", " ".join(f"{rank}:n1" for rank in range(8)), "0:n1 1:n1 2:n1 3:n1"),
    ],
)
def test_as_many_tasks_as_cpus_allow(slurm: SlurmUnderTest, options: str, old: str, new: str) -> None:
    """On the step's nodes since 24.11, before that on the job's."""
    assert ranks(slurm, "--exclusive -N4", options) == (new if slurm.at_least("24.11") else old)


@pytest.mark.parametrize(("job", "tasks"), [("--exclusive", 4), ("-c2", 2), ("-c4", 4)])
def test_as_many_tasks_as_cpus_of_a_node_allow(slurm: SlurmUnderTest, job: str, tasks: int) -> None:
    expected = " ".join(f"{rank}:n1" for rank in range(tasks)) if slurm.at_least("24.11") else MORE
    assert ranks(slurm, f"-N2 {job} -w n[1-2]", "-c1 -N1") == expected


@pytest.mark.parametrize("options", ["-c1 -N1 -r1", "-c1 -N1 -x n1", "-c1 -w n1"])
def test_as_many_tasks_as_cpus_of_some_nodes_allow(slurm: SlurmUnderTest, options: str) -> None:
    """Here 24.11 hangs, and the fake does not."""
    job_id = slurm.sbatch(f"timeout 3 srun {options} true", "-N2", "-c4", "-w", "n[1-2]", "-o", "o")
    slurm.wait(job_id)
    text = slurm.output_of_steps("o")
    problem = f"srun: error: Unable to create step for job {job_id}: "
    if not slurm.at_least("24.11"):
        assert text == ("" if "-w" in options else problem + "More processors requested than permitted\n")
    elif slurm.is_real:
        assert text.startswith("srun: Cancelled pending job step with signal 15\n")
    else:
        assert text.startswith(problem + "fakeslurm does not support --cpus-per-task without --ntasks")


@pytest.mark.parametrize(
    ("options", "on_node", "old", "new"),
    [
        ("-n1 -O --exact", "1", 0, 0),
        ("-n2 -O --exact", "2 2", 0, 0),
        ("-n1 -O", "2", 2, 2),
        ("-n2 -O -c1", "2 2", 2, 2),
        ("-n1 -O -c1", "2", 2, 2),
        ("-n1 --exact", "1", 1, 1),
        ("-n1 -O --exact -c2", "2", 0, 2),
    ],
)
def test_cpus_of_steps_that_overcommit(slurm: SlurmUnderTest, options: str, on_node: str, old: int, new: int) -> None:
    """With --exact they have none, by what is said of them."""
    show = '[ $SLURM_PROCID != 0 ] || scontrol -o show step $SLURM_JOB_ID.0 > step; echo "$SLURM_CPUS_ON_NODE"'
    job_id = slurm.sbatch(f"srun {options} sh -c '{show}'", "-n2", "-o", "o")
    slurm.wait(job_id)
    found = re.search(r" CPUs=(\d+) .*TRES=cpu=(\d+),", slurm.output("step"))
    assert found is not None
    expected = new if slurm.at_least("24.11") else old
    assert (int(found[1]), int(found[2])) == (expected, expected)
    on_node = "1" if expected == 0 and "-c2" in options else on_node
    assert slurm.output_of_steps("o").split() == on_node.split()
    assert slurm.accounted(f"{job_id}.0", "AllocCPUS") == [{"AllocCPUS": f"{expected}"}]


def test_others_beside_a_step_that_overcommits(slurm: SlurmUnderTest) -> None:
    """They do not wait for it."""
    body = "srun -n1 -O --exact sh -c ': > up; exec sleep 60' & until [ -e up ]; do sleep 0.05; done; srun -n2 --exact true; echo $?; wait"
    job_id = slurm.sbatch(body, "-n2", "-o", "o")
    until(lambda: slurm.output("o").endswith("0\n") if (slurm.workdir / "o").exists() else None, what="the second step")
    slurm.run("scancel", job_id)
    slurm.wait(job_id)


@pytest.mark.slurm_conf(*_NODES)
@pytest.mark.parametrize("options", ["--exact -N2-3", "--exact -n9", "--exact -N1 -n5"])
def test_more_cpus_than_there_are_while_another_step_runs(slurm: SlurmUnderTest, options: str) -> None:
    """It is said when that one is over."""
    first = "srun --exact -N1 -n1 sh -c ': > up; exec sleep 5' & until [ -e up ]; do sleep 0.05; done"
    job_id = slurm.sbatch(
        f"{first}; SECONDS=0; srun {options} true; echo $? $((SECONDS >= 2)); wait", "-N4", "-n8", "-o", "o", "-e", "e"
    )
    slurm.wait(job_id)
    assert slurm.output("o") == "1 1\n"
    assert MORE.replace("J", job_id) in slurm.output("e").splitlines()
