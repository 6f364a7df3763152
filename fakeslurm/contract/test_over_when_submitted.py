"""Jobs that are over when they are submitted, as what they wait for cannot come true or no node can be what they ask for.

Measured on 22.05.8 and 24.11.5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

NO_VAL = 4294967294


def submit(slurm: SlurmUnderTest, *options: str) -> str:
    """The id of a job that may be refused: refused or not, it has the next one."""
    before = int(slurm.sbatch("true", "--hold"))
    slurm.run("sbatch", *options, "--wrap=true")
    return str(before + 1)


def ended(slurm: SlurmUnderTest) -> str:
    job_id = slurm.sbatch("true", "-J", "ended")
    slurm.wait(job_id)
    return job_id


@pytest.mark.parametrize(
    ("dependency", "expected"),
    [
        ("afterok:{ended}", "(null)"),
        ("afternotok:{ended}", "afternotok:{ended}(failed)"),
        ("afterok:{ended}:{held}", "afterok:{held}(unfulfilled)"),
        ("afternotok:{ended}?afterok:{held}", "afternotok:{ended}(failed)?afterok:{held}(unfulfilled)"),
        ("afterany:{ended}?afterok:{held}", "(null)"),
        ("after:{held}+5", "after:{held}+5(unfulfilled)"),
        ("afterok:{held},singleton", "afterok:{held}(unfulfilled)"),
    ],
)
def test_whom_a_refused_job_would_have_waited_for(slurm: SlurmUnderTest, dependency: str, expected: str) -> None:
    names = {"ended": ended(slurm), "held": slurm.sbatch("true", "--hold")}
    job_id = submit(slurm, "--tmp=100", "-J", "alone", "-d", dependency.format(**names))
    shown = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T %r %E").stdout
    assert shown == f"FAILED BadConstraints {expected.format(**names)}\n"


def test_whom_a_refused_array_would_have_waited_for(slurm: SlurmUnderTest) -> None:
    """Nobody has looked at them yet."""
    other = ended(slurm)
    job_id = submit(slurm, "--tmp=100", "--array=1-2", "-d", f"afterok:{other}")
    shown = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T %r %E").stdout
    assert shown == f"FAILED BadConstraints afterok:{other}(unfulfilled)\n"


@pytest.mark.parametrize("is_satisfied", [True, False])
def test_since_when_a_refused_job_could_have_started(slurm: SlurmUnderTest, is_satisfied: bool) -> None:
    """Accounting has it if it waits for others: then 22.05 has looked at the job before it was refused."""
    other = ended(slurm)
    job_id = submit(slurm, "--tmp=100", "-d", f"{'afterok' if is_satisfied else 'afternotok'}:{other}")
    eligible, submitted = accounted(slurm, job_id, "Eligible", "Submit")
    assert eligible == (submitted if is_satisfied else "Unknown")


def accounted(slurm: SlurmUnderTest, job_id: str, *fields: str) -> list[str]:
    """What sacct says of a job, once accounting has heard of it all: as of another one that came later."""
    later = slurm.sbatch("true", "--hold")
    until(lambda: slurm.run("sacct", "-nX", "-j", later).stdout, what="accounting has the later one")
    argv = ("sacct", "-nPX", "-j", job_id, "-o")
    until(lambda: slurm.run(*argv, "State").stdout in ("FAILED\n", "CANCELLED\n"), what="accounting knows")
    return slurm.run(*argv, ",".join(fields)).stdout.strip("\n").split("|")


@pytest.mark.parametrize(
    ("options", "shown", "told"),
    [
        ((), f"CANCELLED {NO_VAL}", "CANCELLED "),
        (("--priority=7",), "CANCELLED 7", "CANCELLED 7"),
        (("--tmp=100",), f"FAILED {NO_VAL}", "FAILED "),
    ],
)
def test_a_job_that_waits_for_what_cannot_come(
    slurm: SlurmUnderTest, options: tuple[str, ...], shown: str, told: str
) -> None:
    """It never gets a priority. Accounting hears of its end before anything else: 24.11 forgets it when it hears of the beginning."""
    job_id = submit(slurm, "-d", f"afternotok:{ended(slurm)}", "--kill-on-invalid-dep=yes", *options)
    assert slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T %Q").stdout == f"{shown}\n"
    state, priority, start, end = accounted(slurm, job_id, "State", "Priority", "Start", "End")
    assert f"{state} {priority}" == told
    assert start not in ("None", "Unknown")
    assert end == ("Unknown" if state == "CANCELLED" and slurm.at_least("24.11") else start)


def test_no_priority_in_json(slurm: SlurmUnderTest) -> None:
    job_id = submit(slurm, "-d", f"afternotok:{ended(slurm)}", "--kill-on-invalid-dep=yes")
    accounted(slurm, job_id, "JobID")
    none = {"set": False, "infinite": False, "number": 0} if slurm.at_least("24.11") else None
    for argv in (["squeue", "-t", "all", "--json"], ["sacct", "-j", job_id, "--json"]):
        (job,) = (one for one in json.loads(slurm.run(*argv).stdout)["jobs"] if str(one["job_id"]) == job_id)
        assert job["priority"] == none


def test_an_array_that_waits_for_what_cannot_come_has_a_priority(slurm: SlurmUnderTest) -> None:
    """It is over a little later."""
    job_id = submit(slurm, "-d", f"afternotok:{ended(slurm)}", "--kill-on-invalid-dep=yes", "--array=1-2")
    argv = ("squeue", "-h", "-t", "all", "-j", job_id, "-o")
    until(lambda: slurm.run(*argv, "%T").stdout == "CANCELLED\n", what="it is over")
    assert 0 < int(slurm.run(*argv, "%Q").stdout) < NO_VAL


def killed(slurm: SlurmUnderTest, *options: str) -> str:
    """A job that was over when it was submitted, as another one had not failed."""
    return submit(slurm, "-d", f"afternotok:{ended(slurm)}", "--kill-on-invalid-dep=yes", "--requeue", *options)


@pytest.fixture(autouse=True)
def nothing_left(slurm: SlurmUnderTest) -> Iterator[None]:
    """A job that was refused and has been requeued waits for ever."""
    yield
    slurm.run("scancel", "--me")


def reaches(slurm: SlurmUnderTest, job_id: str, expected: str) -> None:
    argv = ("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T %r")
    until(lambda: slurm.run(*argv).stdout == f"{expected}\n", what=expected)


def requeued_attempts(slurm: SlurmUnderTest, job_id: str) -> list[str]:
    """What sacct says of the attempt that was requeued, and of the next one."""
    argv = ("sacct", "-nPXD", "-j", job_id, "-o", "State,Priority,ExitCode")

    def both() -> list[str] | None:
        lines = slurm.run(*argv).stdout.splitlines()
        return lines if len(lines) == 2 else None

    rows: list[str] = until(both, what="accounting has both")
    return rows


@pytest.mark.parametrize(
    "commands",
    [
        (),
        ("release {}",),
        ("hold {}", "release {}"),
        ("update jobid={} name=other",),
        ("update jobid={} timelimit=5",),
    ],
    ids=lambda commands: commands[-1].partition(" ")[0] if commands else "nothing",
)
def test_requeued_it_waits_for_ever(slurm: SlurmUnderTest, commands: tuple[str, ...]) -> None:
    """It is not killed for what it waits for already, but when anything of it changes."""
    job_id = killed(slurm)
    for _ in range(2):
        assert slurm.run("scontrol", "requeue", job_id).returncode == 0
        reaches(slurm, job_id, "PENDING DependencyNeverSatisfied")
        later = slurm.sbatch("true", "-d", f"afterany:{ended(slurm)}")
        slurm.wait(later)  # others have been looked at
        reaches(slurm, job_id, "PENDING DependencyNeverSatisfied")
        if commands:
            for command in commands:
                assert slurm.run("scontrol", *command.format(job_id).split()).returncode == 0
        else:
            slurm.run("scancel", job_id)
        reaches(slurm, job_id, "CANCELLED DependencyNeverSatisfied")


def test_killed_later_it_waits_for_ever(slurm: SlurmUnderTest) -> None:
    other = slurm.sbatch("true", "--hold")
    job_id = slurm.sbatch("true", "-d", f"afternotok:{other}", "--kill-on-invalid-dep=yes", "--requeue")
    slurm.run("scontrol", "release", other)
    reaches(slurm, job_id, "CANCELLED DependencyNeverSatisfied")
    slurm.run("scontrol", "requeue", job_id)
    slurm.wait(slurm.sbatch("true", "-d", f"afterany:{ended(slurm)}"))
    reaches(slurm, job_id, "PENDING DependencyNeverSatisfied")


@pytest.mark.parametrize("command", ["requeue", "requeuehold"])
def test_what_accounting_has_of_one_that_is_requeued(slurm: SlurmUnderTest, command: str) -> None:
    job_id = killed(slurm)
    accounted(slurm, job_id, "JobID")
    slurm.run("scontrol", command, job_id)
    first, _ = requeued_attempts(slurm, job_id)
    assert first == "REQUEUED||0:0"


def test_one_that_fits_nowhere_is_killed_when_it_is_requeued(slurm: SlurmUnderTest) -> None:
    """It had not been killed. Its exit code stays."""
    job_id = killed(slurm, "--tmp=100")
    accounted(slurm, job_id, "JobID")
    slurm.run("scontrol", "requeue", job_id)
    reaches(slurm, job_id, "CANCELLED DependencyNeverSatisfied")
    first, second = requeued_attempts(slurm, job_id)
    assert first == "REQUEUED||1:0"
    assert (second.split("|")[0], second.split("|")[2]) == ("CANCELLED", "1:0")
    slurm.run("scontrol", "requeue", job_id)
    reaches(slurm, job_id, "PENDING DependencyNeverSatisfied")


@pytest.mark.parametrize("ran", [True, False], ids=["ran", "runs"])
def test_priority_of_what_is_requeued_and_held(slurm: SlurmUnderTest, ran: bool) -> None:
    job_id = slurm.sbatch("true" if ran else "sleep 60", "--priority=7", "--requeue")
    slurm.wait(job_id, ["COMPLETED" if ran else "RUNNING"])
    until(lambda: slurm.run("sacct", "-nX", "-j", job_id).stdout, what="accounting has it")
    slurm.run("scontrol", "requeuehold", job_id)
    reaches(slurm, job_id, "PENDING job requeued in held state")
    first, second = requeued_attempts(slurm, job_id)
    # Before 24.11 it is a matter of chance which of the two accounting has heard of by then.
    priorities = ["7"] if slurm.at_least("24.11") else ["0", "7"]
    assert first in [f"REQUEUED|{priority}|0:0" for priority in priorities]
    assert second == "PENDING|0|0:0"
