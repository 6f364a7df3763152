"""What the differential machine has found about values of options and tables of sinfo."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest

NO_LIST = "fatal: Invalid node list specified\n"
INVALID = "error: Batch job submission failed: Invalid node name specified\n"


@pytest.mark.parametrize("name", ["ntasks", "cpus-per-task", "mincpus", "ntasks-per-node", "sockets-per-node"])
def test_numbers_that_are_too_large(slurm: SlurmUnderTest, name: str) -> None:
    """24.11 says so; before that they wrapped around."""
    done = slurm.run("sbatch", "-H", f"--{name}=99999999999", "--wrap=true")
    if slurm.at_least("24.11"):
        complaint = f"sbatch: error: Numeric argument (99999999999) too large for --{name}.\n"
        assert (done.returncode, done.stderr) == (1, complaint)
    else:
        assert done.returncode == 0, done
        slurm.run("scancel", done.stdout.split()[-1])


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--nice=2147483646", "Invalid --nice value, out of range (+/- 2147483645)"),
        ("--nice=-99999999999", "Invalid --nice value, out of range (+/- 2147483645)"),
        ("--priority=4294967294", "Priority must be < 4294967294"),
        ("--priority=-1", "Priority must be >= 0"),
        ("--nodes=2147483648", '"2147483648" is not a valid node count'),
        ("--nodes=3000000k", '"3000000k" is not a valid node count'),
    ],
)
def test_numbers_out_of_range(slurm: SlurmUnderTest, option: str, complaint: str) -> None:
    done = slurm.run("sbatch", "-H", option, "--wrap=true")
    assert (done.returncode, done.stderr) == (255, f"sbatch: error: {complaint}\n")


@pytest.mark.parametrize(
    ("text", "wrong"), [("n[1-", ""), ("[", ""), ("n[a]", "a"), ("n[1-2],n[x,3]", "x"), ("n[3-1]", "3-1")]
)
@pytest.mark.parametrize("command", ["sbatch", "salloc", "srun"])
def test_a_nodelist_that_is_none(slurm: SlurmUnderTest, command: str, text: str, wrong: str) -> None:
    """24.11 expands it before it asks slurmctld, and before it looks at begin and deadline."""
    if not slurm.at_least("24.11"):
        done = slurm.run("sbatch", "-w", "n[1-", "--wrap=true")
        assert (done.returncode, done.stderr) == (1, f"sbatch: {INVALID}")
        return
    tail = ["-H", "--wrap=true"] if command == "sbatch" else ["true"]
    done = slurm.run(command, "-w", text, "--begin=now+2hours", "--deadline=now+1hour", *tail)
    said = f"{command}: error: _parse_single_range: Invalid range: `{wrong}'\n" if wrong else ""
    assert (done.returncode, done.stderr) == (1, f"{said}{command}: {NO_LIST}")


@pytest.mark.parametrize("text", ["n]", "^foo", "n9"])
def test_a_nodelist_of_no_nodes(slurm: SlurmUnderTest, text: str) -> None:
    done = slurm.run("sbatch", "-H", "-w", text, "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"sbatch: {INVALID}")


def test_an_excluded_list_that_is_none_is_left_to_slurmctld(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "-H", "-x", "n[1-", "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"sbatch: {INVALID}")


def test_who_gave_the_reason_of_no_nodes(slurm: SlurmUnderTest) -> None:
    """The row of a partition of which no node is left belongs to user 0."""
    done = slurm.run("sinfo", "-h", "-t", "down", "-o", "%P|%u|%U|%H|%E")
    assert done.stdout == "debug*|root|root(0)|Unknown|none\n"


@pytest.mark.parametrize(
    ("options", "before", "now"),
    [
        ("-n17 -C nope", 1, 0),
        ("-H -C nope", 1, 0),
        ("-N5 -w n9", 0, 0),
        ("-n17 -w n1 -x n1", 0, 0),
        ("--reservation=nope", 1, 1),
    ],
)
def test_ids_that_refused_submissions_use_up(slurm: SlurmUnderTest, options: str, before: int, now: int) -> None:
    first = int(slurm.sbatch("true", "--hold"))
    assert slurm.run("sbatch", "--wrap=true", *options.split()).returncode == 1
    assert int(slurm.sbatch("true", "--hold")) - first - 1 == (now if slurm.at_least("24.11") else before)
