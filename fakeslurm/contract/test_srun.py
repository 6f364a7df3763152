"""srun inside a job: layouts, exit codes, messages, and what a step sees."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from fakeslurm.contract.harness import SlurmUnderTest

RANKS = "srun {options} sh -c 'echo $SLURM_PROCID $SLURM_NODEID $SLURM_LOCALID'"


@pytest.mark.parametrize(
    ("job", "step", "expected"),
    [
        (["-N3", "-n7"], "", ["0 0 0", "1 0 1", "2 0 2", "3 0 3", "4 1 0", "5 1 1", "6 2 0"]),
        (["-N3", "-n7"], "-N2 -n3", ["0 0 0", "1 0 1", "2 1 0"]),
        (["-N2", "--ntasks-per-node=2"], "", ["0 0 0", "1 0 1", "2 1 0", "3 1 1"]),
        (["-N2", "-n4"], "-m cyclic", ["0 0 0", "1 1 0", "2 0 1", "3 0 2"]),
        (["-n1"], "", ["0 0 0"]),
        (["-N2"], "-n1 -N1", ["0 0 0"]),
    ],
    ids=["4,2,1", "subset", "per node", "cyclic", "single", "one of two nodes"],
)
def test_layout(slurm: SlurmUnderTest, job: list[str], step: str, expected: list[str]) -> None:
    slurm.wait(slurm.sbatch(RANKS.format(options=step), "-o", "o.txt", *job))
    assert sorted(slurm.output("o.txt").splitlines()) == expected


@pytest.mark.parametrize(
    ("tasks", "command", "code"),
    [
        (1, "exit 3", 3),
        (3, "exit $((SLURM_PROCID * 2))", 4),
        (1, "kill -TERM $$", 143),
        (1, "kill -KILL $$", 137),
        (2, "[ $SLURM_PROCID = 0 ] || kill -KILL $$", 137),
    ],
    ids=["exit", "the highest", "TERM", "KILL", "one killed"],
)
def test_return_code(slurm: SlurmUnderTest, tasks: int, command: str, code: int) -> None:
    slurm.wait(slurm.sbatch(f"srun sh -c '{command}' 2>/dev/null; echo $?", f"-n{tasks}", "-o", "o.txt"))
    assert slurm.output("o.txt") == f"{code}\n"


@pytest.mark.parametrize(
    ("waits", "said"),
    [
        ("while kill -0 $(cat first) 2>/dev/null; do sleep 0.01; done", ["tasks 0-1"]),
        ("while kill -0 $(cat first) 2>/dev/null; do sleep 0.01; done; sleep 1", ["task 0", "task 1"]),
    ],
    ids=["at once", "later"],
)
def test_tasks_of_a_node_that_end_within_a_tenth_of_a_second(
    slurm: SlurmUnderTest, waits: str, said: list[str]
) -> None:
    """They are one message: slurmstepd gathers for so long after the first."""
    task = f"if [ $SLURM_PROCID = 0 ]; then echo $$ > new; mv new first; else until [ -e first ]; do :; done; {waits}; fi; exit 7"
    fields = slurm.wait(slurm.sbatch(f"srun -n2 -N1 sh -c '{task}'", "-n2", "-N1", "-o", "o.txt"))
    lines = [f"srun: error: {fields['NodeList']}: {tasks}: Exited with exit code 7\n" for tasks in said]
    assert slurm.output("o.txt") == "".join(lines)


def test_message_of_a_failing_task(slurm: SlurmUnderTest) -> None:
    fields = slurm.wait(slurm.sbatch("srun sh -c 'exit 3'", "-o", "o.txt", "-e", "e.txt"))
    assert slurm.output("e.txt") == f"srun: error: {fields['NodeList']}: task 0: Exited with exit code 3\n"
    assert fields["ExitCode"] == "3:0"


def test_message_of_a_killed_task(slurm: SlurmUnderTest) -> None:
    fields = slurm.wait(slurm.sbatch("srun sh -c 'kill -KILL $$'", "-o", "o.txt", "-e", "e.txt"))
    node, step = fields["NodeList"], f"{fields['JobId']}.0"
    assert slurm.output("e.txt") == f"srun: error: {node}: task 0: Killed\nsrun: Force Terminated StepId={step}\n"
    assert fields["ExitCode"] == "137:0"


def test_the_others_go_on_when_one_fails(slurm: SlurmUnderTest) -> None:
    body = "srun sh -c '[ $SLURM_PROCID = 1 ] && exit 1; sleep 0.5; echo rank $SLURM_PROCID' 2>/dev/null"
    slurm.wait(slurm.sbatch(body, "-n3", "-o", "o.txt"))
    assert sorted(slurm.output("o.txt").splitlines()) == ["rank 0", "rank 2"]


def test_kill_on_bad_exit(slurm: SlurmUnderTest) -> None:
    body = "srun -K sh -c '[ $SLURM_PROCID = 1 ] && exit 1; sleep 30 && echo never' 2>/dev/null; echo over"
    slurm.wait(slurm.sbatch(body, "-n2", "-o", "o.txt"))
    assert slurm.output("o.txt") == "over\n"


def test_more_tasks_than_the_job_has(slurm: SlurmUnderTest) -> None:
    fields = slurm.wait(slurm.sbatch("srun -n9 true", "-n1", "-o", "o.txt", "-e", "e.txt"))
    assert fields["ExitCode"] == "1:0"
    assert re.fullmatch(
        rf"srun: error: Unable to create step for job {fields['JobId']}: More processors requested than permitted\n",
        slurm.output("e.txt"),
    )


def test_program_that_does_not_exist(slurm: SlurmUnderTest) -> None:
    fields = slurm.wait(slurm.sbatch("srun no-such-program", "-o", "o.txt", "-e", "e.txt"))
    assert fields["ExitCode"] == "2:0"
    assert "error: execve(): no-such-program: No such file or directory" in slurm.output("e.txt")
    assert f"srun: error: {fields['NodeList']}: task 0: Exited with exit code 2\n" in slurm.output("e.txt")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
def test_what_a_program_is_called(slurm: SlurmUnderTest) -> None:
    """Its first argument is where it was found, in 22.05 and in 24.11; a program of salloc is called as it was given."""
    found = shutil.which("cat")
    for given, called in [("cat", found), ("/bin/cat", "/bin/cat"), ("./kitten", f"{slurm.workdir}/./kitten")]:
        if given == "./kitten":
            (slurm.workdir / "kitten").symlink_to("/bin/cat")
        done = slurm.run("srun", given, "/proc/self/cmdline")
        assert done.stdout.split("\0")[0] == called
    done = slurm.run("salloc", "--quiet", "cat", "/proc/self/cmdline")
    assert done.stdout.split("\0")[0] == "cat"


def test_steps_are_numbered(slurm: SlurmUnderTest) -> None:
    slurm.wait(slurm.sbatch("for i in 1 2 3; do srun sh -c 'echo $SLURM_STEP_ID $SLURM_STEPID'; done", "-o", "o.txt"))
    assert slurm.output_of_steps("o.txt") == "0 0\n1 1\n2 2\n"


def test_cpus_per_task_is_not_inherited_from_the_job(slurm: SlurmUnderTest) -> None:
    body = "srun sh -c 'echo ${SLURM_CPUS_PER_TASK:-none}'; srun -c2 sh -c 'echo ${SLURM_CPUS_PER_TASK:-none}'"
    slurm.wait(slurm.sbatch(body, "-n1", "-c2", "-o", "o.txt"))
    assert len(slurm.output_of_steps("o.txt").splitlines()) == 2


def test_working_directory_and_arguments(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "sub dir").mkdir()
    body = """srun -D "$PWD/sub dir" pwd; srun printf '<%s>' 'a b' '' '$x'"""
    slurm.wait(slurm.sbatch(body, "-o", "o.txt"))
    assert slurm.output_of_steps("o.txt") == f"{slurm.workdir / 'sub dir'}\n<a b><><$x>"


def test_standard_input_goes_to_the_first_rank(slurm: SlurmUnderTest) -> None:
    slurm.wait(slurm.sbatch("echo hello | srun -n1 cat", "-o", "o.txt"))
    assert slurm.output("o.txt") == "hello\n"


def test_concurrent_steps(slurm: SlurmUnderTest) -> None:
    """Two steps that fit side by side run side by side."""
    step = "srun -N1 -n1 --exact sh -c 'touch {me}; until [ -e {other} ]; do sleep 0.05; done; echo {me}'"
    body = f"{step.format(me='a', other='b')} &\n{step.format(me='b', other='a')} &\nwait"
    fields = slurm.wait(slurm.sbatch(body, "-n2", "--mem=100", "-o", "o.txt", "-e", "e.txt"))
    assert fields["JobState"] == "COMPLETED"
    assert sorted(slurm.output("o.txt").splitlines()) == ["a", "b"]
