"""Where the ranks of a step run: distributions, ``--multi-prog``. The same rows hold on a real Slurm."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest

RANKS = "srun {options} sh -c 'echo $SLURM_PROCID $SLURMD_NODENAME $SLURM_GTIDS $SLURM_DISTRIBUTION'"


def _run(slurm: SlurmUnderTest, body: str, *job: str) -> list[str]:
    """The sorted output of one job, both streams, on an idle cluster."""
    slurm.wait_idle()
    slurm.wait(slurm.sbatch(body, "-o", "o.txt", *job))
    return sorted(slurm.output_of_steps("o.txt").splitlines())


@pytest.mark.parametrize(
    ("job", "step", "expected"),
    [
        ("-N3 -n5", "-m cyclic", ["n1 0,3,4", "n2 1", "n3 2"]),
        ("-N3 -n5", "-m cyclic:fcyclic", ["n1 0,3,4", "n2 1", "n3 2"]),
        ("-N3 -n5", "-m plane=2", ["n1 0,1,4", "n2 2", "n3 3"]),
        ("-N3 -n5 -m plane=2", "", ["n1 0,1,4", "n2 2", "n3 3"]),
        ("-N3 -n9", "-m plane=3", ["n1 0,1,2,7", "n2 3,4,5,8", "n3 6"]),
        ("-N3 -n4", "-n8 -O -m cyclic", ["n1 0,3,6", "n2 1,4,7", "n3 2,5"]),
        ("-N2 -n5", "-m '*:*'", ["n1 0,1,2,3", "n2 4"]),
    ],
)
def test_distributions(slurm: SlurmUnderTest, job: str, step: str, expected: list[str]) -> None:
    lines = _run(slurm, RANKS.format(options=step), *job.split())
    assert sorted({" ".join(line.split()[1:3]) for line in lines}) == expected


def test_default_of_a_level(slurm: SlurmUnderTest) -> None:
    """``*`` is block for the nodes, also where no option at all is cyclic."""
    show = "sh -c 'echo $SLURM_DISTRIBUTION'"
    lines = _run(slurm, f"srun -n2 -N2 {show}; srun -n2 -N2 -m '*' {show}", "-N2", "-n4")
    assert lines == ["block", "block", "cyclic", "cyclic"]


@pytest.mark.parametrize(
    ("hostfile", "step", "expected"),
    [
        ("", "-n3 -m arbitrary -w n1,n2,n1", ["0 n1 0,2 arbitrary", "1 n2 1 arbitrary", "2 n1 0,2 arbitrary"]),
        ("", "-m arbitrary -w n1", ["0 n1 0 arbitrary"]),
        ("n1\nn1\nn2\n", "-n3", ["0 n1 0,1 arbitrary", "1 n1 0,1 arbitrary", "2 n2 2 arbitrary"]),
        ("n1\nn1\nn2\n", "-n2 -m block", ["0 n1 0,1 arbitrary", "1 n1 0,1 arbitrary"]),
        ("# two\nn2,n1\n\n", "-m arbitrary", ["0 n2 0 arbitrary", "1 n1 1 arbitrary"]),
        ("n1*2\nn2*1\n", "-m arbitrary", ["0 n1 0,1 arbitrary", "1 n1 0,1 arbitrary", "2 n2 2 arbitrary"]),
        ("", "-m arbitrary", ["srun: error: invalid number of tasks (-n 0)"]),
        ("", "-m arbitrary -n2", ["srun: error: You asked for 2 tasks but hostlist specified 0 nodes"]),
        ("", "-m arbitrary -n5 -w n1,n2", ["srun: error: You asked for 5 tasks but hostlist specified 2 nodes"]),
        (
            "n1\n",
            "-n3",
            [
                "srun: error: Failure getting NodeNames from hostfile",
                "srun: error: Too few NodeNames in Slurm Hostfile",
            ],
        ),
        (
            "# nobody\n",
            "-m arbitrary",
            ["srun: error: Failure getting NodeNames from hostfile", "srun: error: Hostlist is empty!"],
        ),
    ],
)
def test_arbitrary(slurm: SlurmUnderTest, hostfile: str, step: str, expected: list[str]) -> None:
    body = RANKS.format(options=step)
    if hostfile:
        (slurm.workdir / "hosts").write_text(hostfile)
        body = f"export SLURM_HOSTFILE=$PWD/hosts\n{body}"
    assert _run(slurm, body, "-N2", "-n5") == expected


def test_nodes_with_arbitrary(slurm: SlurmUnderTest) -> None:
    """Since 24.11 the number of nodes cannot be given as well."""
    lines = _run(slurm, RANKS.format(options="-N2 -m arbitrary -w n1,n2"), "-N2", "-n5")
    if slurm.at_least("24.11"):
        assert lines == ["srun: error: --nodes is incompatible with --distribution=arbitrary"]
    else:
        assert lines == ["0 n1 0 arbitrary", "1 n2 1 arbitrary"]


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        (
            "-n4",
            "# who does what\n\n1-2 echo one %t %o\n3 echo three %t\n0 echo zero %t %o\n",
            ["one 1 0", "one 2 1", "three 3", "zero 0 0"],
        ),
        ("-n4", "1-3,0 echo r %t %o\n", ["r 0 3", "r 1 0", "r 2 1", "r 3 2"]),
        ("-n3", "0 echo zero\n* echo rest %t %o\n", ["rest 1 1", "rest 2 2", "zero"]),
        ("-n1 -N1", "0 echo 'a  b'c \\'d \\\\ \"e x%t$HOME \\\n  more\n", ["a  bc 'd \\ \"e x0$HOME  more"]),
        (
            "-n1 -N1",
            "0 echo 'a b\n",
            [
                "slurmstepd-n1: error: No executable program specified for this task",
                "srun: error: n1: task 0: Exited with exit code 2",
            ],
        ),
        (
            "-n3",
            "0-3 echo x\n",
            ["srun: error: Invalid task id, 3 >= ntasks", "srun: error: Line 1 of configuration file conf invalid"],
        ),
        ("-n2", "0 echo x\n", ["srun: error: Configuration file conf invalid, no record for task id 1"]),
        (
            "-n1",
            "0 echo x\n0 echo y\n",
            ["srun: error: Duplicate record for task 0", "srun: error: Line 2 of configuration file conf invalid"],
        ),
        (
            "-n1",
            "x echo x\n",
            [
                "srun: error: Invalid task range specification (x)",
                "srun: error: Line 1 of configuration file conf invalid",
            ],
        ),
        (
            "-n2",
            "* echo x\n0 echo y\n",
            [
                "srun: error: Line 2 of configuration file conf invalid",
                "srun: error: Task range specification with asterisk must be last",
            ],
        ),
        ("-n1", "0\n", ["srun: error: Line 1 of configuration file conf invalid"]),
    ],
)
def test_multi_prog(slurm: SlurmUnderTest, options: str, text: str, expected: list[str]) -> None:
    (slurm.workdir / "conf").write_text(text)
    assert _run(slurm, f"srun {options} --multi-prog conf", "-N2", "-n8") == expected


def test_multi_prog_decides_about_the_number_of_tasks(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "conf").write_text("0-3 echo %t\n")
    assert _run(slurm, "srun --multi-prog conf extra", "-N2", "--exclusive") == [f"{rank} extra" for rank in range(4)]


def test_multi_prog_without_a_file(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "directory").mkdir()
    assert _run(slurm, "srun --multi-prog nothere\nsrun --multi-prog directory", "-n1") == [
        "srun: error: Could not open multi_prog config file nothere",
        "srun: error: Error reading multi_prog config file directory",
    ]


def test_preserve_env(slurm: SlurmUnderTest) -> None:
    """-E: the numbers of nodes and tasks are those of srun's own environment."""
    numbers = "echo $SLURM_NNODES $SLURM_NTASKS $SLURM_NPROCS $SLURM_TASKS_PER_NODE $SLURM_STEP_NUM_TASKS"
    body = f"srun -N1 -n2 sh -c '{numbers}'\nsrun -E -N1 -n2 sh -c '{numbers}'"
    assert _run(slurm, body, "-N3", "-n5") == ["1 2 2 2 2"] * 2 + ["3 5 5 3,1(x2) 2"] * 2


def test_begin_is_ignored_in_a_job(slurm: SlurmUnderTest) -> None:
    lines = _run(slurm, "srun -n1 --begin=now echo x", "-n1")
    assert lines == ["srun: error: --begin is ignored because nodes are already allocated.", "x"]


@pytest.mark.parametrize(
    ("job", "step", "before", "now"),
    [
        ("-N2", "-c4", "cyclic 2 2", "block 2 2"),
        ("-N1", "-c4", "cyclic 1 1", "block 1 1"),
        ("-N2", "-c1", "block 8 2", "block 8 2"),
        ("-N2 -n2", "-c4", "cyclic 2 2", "cyclic 2 2"),
        ("-N2", "-c2 --ntasks-per-node=1", "cyclic 2 2", "cyclic 2 2"),
        ("-N2 -n2", "-c2 -N1", "block 2 1", "block 2 1"),
    ],
)
def test_distribution_of_tasks_that_are_counted_by_cpus(
    slurm: SlurmUnderTest, job: str, step: str, before: str, now: str
) -> None:
    """Steps that do not say how many tasks they have: on 24.11 their tasks are in blocks, also when each has a node of its own."""
    text = "echo $SLURM_DISTRIBUTION $SLURM_NTASKS $SLURM_NNODES"
    job_id = slurm.sbatch(f"srun {step} sh -c '{text}'", "-o", "out", "--exclusive", *job.split())
    slurm.wait(job_id)
    assert set(slurm.output_of_steps("out").splitlines()) == {now if slurm.at_least("24.11") else before}
