"""What srun and salloc say first when several things are wrong, and what ``--quiet`` leaves of what they say."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import Result, SlurmUnderTest

_NUMBER = '{program}: error: Invalid numeric value "x" for --{option}.\n'
_BOGUS = "{program}: unrecognized option '--bogus'\nTry \"{program} --help\" for more information\n"


@pytest.mark.parametrize("rest", ["--bogus", "--bogus true", "-n", "-n y true", "--version", "--help", "", "-n1 true"])
def test_variables_are_read_before_options(slurm: SlurmUnderTest, rest: str) -> None:
    done = slurm.run("srun", *rest.split(), env={"SLURM_NTASKS": "x"})
    assert done == Result(1, "", _NUMBER.format(program="srun", option="ntasks"))


@pytest.mark.parametrize("option", ["--bogus", "--version", "--help"])
def test_variables_of_salloc(slurm: SlurmUnderTest, option: str) -> None:
    done = slurm.run("salloc", option, env={"SALLOC_TIMELIMIT": "x"})
    assert done == Result(255, "", "salloc: error: Invalid --time specification\n")


@pytest.mark.parametrize("program", ["srun", "salloc"])
@pytest.mark.parametrize("behind", ["--bogus", "--version", "--help", "-n"])
def test_options_are_read_one_after_another(slurm: SlurmUnderTest, program: str, behind: str) -> None:
    assert slurm.run(program, "-n", "x", behind) == Result(1, "", _NUMBER.format(program=program, option="ntasks"))


@pytest.mark.parametrize("program", ["srun", "salloc"])
def test_what_stands_behind_version_does_not_count(slurm: SlurmUnderTest, program: str) -> None:
    for behind in (["--bogus"], ["-n", "x"]):
        assert slurm.run(program, "--version", *behind) == Result(0, f"slurm-wlm {slurm.version}\n", "")
    assert slurm.run(program, "--bogus", "--version") == Result(255, "", _BOGUS.format(program=program))


@pytest.mark.parametrize(
    "words",
    [
        "srun -p nope true",
        "srun false",
        "srun -M nope true",
        "srun --jobid=999999 true",
        "salloc -p nope true",
        "salloc nope",
        "salloc -D /nosuch true",
        "salloc -N1 -w n[1- true",
    ],
)
def test_said_twice_quiet_leaves_no_errors(slurm: SlurmUnderTest, words: str) -> None:
    program, *rest = words.split()
    once = slurm.run(program, "-Q", *rest)
    assert once.returncode == 1
    assert once.stderr.startswith(f"{program}: error: ")
    for quiet in (["-Q", "-Q"], ["-QQ"], ["--quiet", "-Q", "-Q"]):
        assert slurm.run(program, *quiet, *rest) == Result(1, "", "")


@pytest.mark.parametrize(
    ("words", "stderr"),
    [
        ("srun -n x true", _NUMBER.format(program="srun", option="ntasks")),
        ("srun --bogus", _BOGUS.format(program="srun")),
        ("srun", "srun: fatal: No command given to execute.\n"),
        ("srun -r1 true", "srun: fatal: --relative option invalid for job allocation request\n"),
        (
            "srun --multi-prog /nosuch",
            "srun: error: Could not open multi_prog config file /nosuch\n",
        ),
        (
            "salloc --mem=1 --mem-per-cpu=1 true",
            "salloc: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.\n",
        ),
        ("sbatch -v --wrap=true", "sbatch: error: don't specify both --verbose (-v) and --quiet (-Q)\n"),
        ("srun -v true", "srun: error: don't specify both --verbose (-v) and --quiet (-Q)\n"),
        ("salloc --bogus", _BOGUS.format(program="salloc")),
    ],
)
def test_what_quiet_does_not_reach(slurm: SlurmUnderTest, words: str, stderr: str) -> None:
    """What is wrong with the options themselves is said before --quiet is heeded, and what is fatal is said all the same."""
    program, *rest = words.split()
    assert slurm.run(program, "-Q", "-Q", *rest).stderr == stderr


def test_quiet_steps(slurm: SlurmUnderTest) -> None:
    """What srun says of its tasks goes with the other errors, what is no error with one --quiet; slurmstepd is never quiet."""
    calls = "srun {quiet} sh -c 'exit 3'; srun {quiet} sh -c 'kill -9 $$'; srun {quiet} -N9 true; srun {quiet} -D /nosuch true"
    said = []
    for quiet in ("-Q", "-Q -Q"):
        slurm.wait(slurm.sbatch(f"exec 2>&1; {calls.format(quiet=quiet)}", "-o", "o"))
        lines = slurm.output("o").splitlines()
        assert sum(line.startswith("slurmstepd-n1: error: couldn't chdir to `/nosuch'") for line in lines) == 2
        said.append([line for line in lines if not line.startswith("slurmstepd-")])
    assert said[0] == [
        "srun: error: n1: task 0: Exited with exit code 3",
        "srun: error: n1: task 0: Killed",
        "srun: error: Only allocated 1 nodes asked for 9",
    ]
    assert said[1] == []


@pytest.mark.parametrize("quiet", ["-Q", "-QQ"])
def test_quiet_and_the_warning_about_nodes(slurm: SlurmUnderTest, quiet: str) -> None:
    warning = "warning" if slurm.at_least("24.11") else "Warning"
    done = slurm.run("srun", quiet, "-N9", "-n4", "true")
    assert done == Result(0, "", f"srun: {warning}: can't run 4 processes on 9 nodes, setting nnodes to 4\n")
