"""Where steps run that others run beside."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

_ONE, _TWO, _ALL = "-N1 -n1 --exact", "-N2 -n2 --exact", "-N3 -n3 --exact"
_SHARED = "-N1 -n1 --overlap"
_PLACES: list[tuple[list[str], str, str]] = [
    ([_ONE] * 4, "n1 n2 n3 n1", "n1 n2 n3 n1"),
    ([_ONE, _ONE, _TWO, _ONE], "n1 n2 n[1-2] n3", "n1 n2 n[1,3] n2"),
    ([_SHARED] * 5 + ["-N2 -n2 --overlap"], "n1 n2 n3 n1 n1 n[1-2]", "n1 n2 n3 n1 n2 n[1,3]"),
    ([_TWO, _ONE, _TWO, _ONE], "n[1-2] n3 n[1-2] n3", "n[1-2] n3 n[1-2] n3"),
    ([f"-w n2 {_ONE}", _ONE, _ONE, _ONE], "n2 n1 n3 n1", "n2 n3 n1 n2"),
    ([_ONE, f"-x n3 {_ONE}", _ONE, f"-r1 {_ONE}"], "n1 n1 n2 n2", "n1 n1 n2 n3"),
    ([f"-w n3 {_TWO}", _ONE, _ONE, _ONE], "n[1,3] n2 n1 n2", "n[1,3] n2 n3 n1"),
    ([_ALL, _ONE, _ONE], "n[1-3] n1 n2", "n[1-3] n1 n2"),
    ([_SHARED, "-N2-3 -n3 --overlap"], "n1 n[2-3]", "n1 n[2-3]"),
    ([_SHARED, "-N1-3 -n4 --exact"], "n1 n[2-3]", "n1 n[2-3]"),
    ([_SHARED, "-N1-3 -n5 --overlap"], "n1 n[1-3]", "n1 n[1-3]"),
    ([_SHARED, _SHARED, "-N1-3 -n2 --overlap"], "n1 n2 n3", "n1 n2 n3"),
]
_STEP = """
srun {options} sh -c 'echo $SLURM_STEP_NODELIST > nodes{number}.new; mv -f nodes{number}.new nodes{number}; exec sleep 60' &
until [ -s nodes{number} ]; do sleep 0.05; done
"""


@pytest.mark.parametrize(("steps", "old", "new"), _PLACES)
def test_nodes(slurm: SlurmUnderTest, steps: list[str], old: str, new: str) -> None:
    """Such as no other step is on, if there are enough; else any with free CPUs. On 24.11 they go round."""
    slurm.wait_idle()
    body = "".join(_STEP.format(options=options, number=number) for number, options in enumerate(steps))
    job_id = slurm.sbatch(f"{body}\n: > all; wait", "-w", "n[1-3]", "--ntasks-per-node=2", "-o", "o.txt")
    until((slurm.workdir / "all").exists, what="all steps run")
    found = " ".join(slurm.output(f"nodes{number}").strip() for number in range(len(steps)))
    assert found == (new if slurm.at_least("24.11") else old)
    slurm.run("scancel", job_id)
    slurm.wait(job_id)


@pytest.mark.parametrize(("options", "old", "new"), [("-N1 -n1", "n1", "n2"), ("-N2 -n2", "n[1-2]", "n[2-3]")])
def test_one_after_the_other(slurm: SlurmUnderTest, options: str, old: str, new: str) -> None:
    """Also when nothing else runs any more they go round on 24.11."""
    over = 'until [ -z "$(squeue -h -s -j $SLURM_JOB_ID -o %i | grep -v batch)" ]; do sleep 0.1; done'
    step = f"srun {options} sh -c 'echo $SLURM_STEP_NODELIST > o'"
    slurm.wait(slurm.sbatch(f"srun -N1 -n1 true; {over}; {step}", "-w", "n[1-3]"))
    assert slurm.output("o").strip() == (new if slurm.at_least("24.11") else old)


@pytest.mark.parametrize(
    ("options", "old", "new"), [("-N2-3 -n5", None, None), ("-N1-3 -n3", 1, None), ("-N1-2 -n5", 1, 2)]
)
def test_the_jobs_tasks_per_node_in_steps_of_some_nodes(
    slurm: SlurmUnderTest, options: str, old: int | None, new: int | None
) -> None:
    """24.11 compares them with the most nodes that the step may have, 22.05 with the least."""
    slurm.wait(slurm.sbatch(f"srun {options} true", "-w", "n[1-3]", "--ntasks-per-node=2", "-o", "o"))
    later = slurm.at_least("24.11")
    nodes = new if later else old
    what = f"{'maximum ' if later else ''}number of requested nodes {nodes}. Ignoring --ntasks-per-node.\n"
    said = "".join(line for line in slurm.output("o").splitlines(keepends=True) if "can't honor" in line)
    assert said.endswith(what) if nodes is not None else not said


def test_cpus_of_the_tasks_of_a_step(slurm: SlurmUnderTest) -> None:
    slurm.wait(slurm.sbatch("srun -n1 -c1 sh -c 'echo $SLURM_CPUS_PER_TASK $SLURM_TRES_PER_TASK'", "-n2", "-o", "o"))
    assert slurm.output("o") == ("1 cpu=1\n" if slurm.at_least("24.11") else "1\n")


@pytest.mark.parametrize("options", ["", "-c1", "-n1 --exact"])
def test_tres_per_task_of_a_step(slurm: SlurmUnderTest, options: str) -> None:
    """On 24.11 that of the job."""
    job_id = slurm.sbatch(f"srun {options} sh -c 'until [ -e go ]; do sleep 0.05; done'", "-n2", "-c2")

    def step() -> str:
        return slurm.run("scontrol", "-o", "show", "step", f"{job_id}.0").stdout

    until(lambda: step().startswith("StepId="), what="the step")
    expected = "cpu=2" if slurm.at_least("24.11") else "(null)"
    assert (" TresPerTask=cpu=2" in step()) is slurm.at_least("24.11")
    rows = slurm.run("squeue", "-h", "-s", "-j", job_id, "-O", "StepID:20,tres-per-task").stdout.splitlines()
    assert dict(row.split() for row in rows) == {f"{job_id}.0": expected, f"{job_id}.batch": "(null)"}
    (slurm.workdir / "go").touch()
    slurm.wait(job_id)
