"""The differential machine: its parts, and a hundred examples of it where a real Slurm can be started."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fakeslurm.differential.comparison import Priorities, agree
from fakeslurm.differential.exclusions import EXCLUSIONS, page
from fakeslurm.differential.files import differences
from fakeslurm.differential.normalisation import Places, differing, environment, file_text, normalised
from fakeslurm.differential.questions import with_ids
from fakeslurm.throwaway import unavailable_reason

ROOT = Path(__file__).parents[1]
PLACES = Places("/t/F/w", "/t/R/w")
real = pytest.mark.skipif(unavailable_reason() is not None, reason=f"the differential machine: {unavailable_reason()}")


# Comparison


@pytest.mark.parametrize(
    ("command", "left", "right", "same"),
    [
        ("squeue", "1 R 0:05", "1 R 0:07", True),
        ("squeue", "1 R 0:05", "1 R 0:15", False),
        ("squeue", "1 R 0:59", "1 R 1:01", True),
        ("squeue", "1 R 0:05", "2 R 0:05", False),
        ("squeue", "9:59 ", "10:00", False),  # the padding differs as well
        ("squeue", "N00:14|", "N00:13|", True),  # two columns without a blank between them
        ("squeue", "170:09(null)", "170:11(null)", True),
        ("squeue", "4:1:1", "4:1:2", False),
        ("squeue", "2026-11-24T23:59:590:24x9", "2026-11-25T00:00:010:22x9", True),
        ("squeue", "2026-11-24T23:59:590:24x9", "2026-11-24T23:59:590:44x9", False),
        ("squeue", "R 0:000:220:22", "R 0:000:210:21", True),
        ("squeue", "R 0:000:220:22", "R 0:000:290:29", False),
        ("sacct", "7ab00:00:05ab", "7ab00:00:07ab", True),
        ("scontrol", "StartTime=2026-11-24T23:59:59 X", "StartTime=2026-11-25T00:00:01 X", True),
        ("scontrol", "StartTime=2026-11-24T23:59:59", "StartTime=Unknown", False),
        ("scontrol", "ExitCode=0:15", "ExitCode=0:14", False),
        ("scontrol", "RunTime=00:00:01", "RunTime=00:00:02", True),
        ("sacct", "COMPLETED      0:15", "COMPLETED      0:14", False),
        ("sacct", "1-00:00:00", "1-00:00:01", True),
        ("squeue", "Mon Nov 23 21:10:20 2026\n", "Mon Nov 23 21:10:22 2026\n", True),
    ],
)
def test_moments_agree_within_some_seconds(command: str, left: str, right: str, same: bool) -> None:
    assert agree(command, left, right, Priorities()) is same
    assert agree(command, right, left, Priorities()) is same


def test_priorities_differ_by_the_same_number() -> None:
    priorities = Priorities()
    assert agree("squeue", "4294901759", "4294901700", priorities)
    assert agree("squeue", "4294901758", "4294901699", priorities)
    assert not agree("squeue", "4294901757", "4294901699", priorities)
    assert agree(
        "squeue", "429490174294901759", "429490174294901700", priorities
    )  # the same, and a whole one behind it
    assert agree("squeue", "n/a42949017(null)", "n/a42949016(null)", priorities)  # cut
    assert not agree("squeue", "slurm-1_4294967294.out", "slurm-1_4294967295.out", priorities)
    assert agree("squeue", "0.99998474121093", "0.99998474000000", priorities)


# Normalisation


def test_the_places_of_both_sides_are_written_alike() -> None:
    assert normalised("scontrol", "WorkDir=/t/R/w", PLACES) == normalised("scontrol", "WorkDir=/t/F/w", PLACES)


def test_exclusions_are_of_some_commands_only() -> None:
    assert normalised("scontrol", "AllocNode:Sid=host:12", PLACES) == "AllocNode:Sid=*"
    assert normalised("squeue", "AllocNode:Sid=host:12", PLACES) == "AllocNode:Sid=host:12"
    assert file_text("1\nsrun: Job step aborted\n2\n", PLACES) == "1\n2\n"


def test_an_array_is_the_same_before_and_after_accounting_hears_which_elements_wait() -> None:
    rows = [f"{job_id:<12} {'name':>10} \n" for job_id in ("7", "7_[3]", "7_[3-4,6-9+")]
    assert len({normalised("sacct", row, PLACES) for row in rows}) == 1
    assert normalised("sacct", rows[0], PLACES) != normalised(
        "sacct", f"{'7':<12} {'name':>11} \n".replace("7", "8"), PLACES
    )
    assert normalised("sacct", "7_[3]|name\n", PLACES) == normalised("sacct", "7|name\n", PLACES)


def test_lines_of_steps_have_no_order() -> None:
    assert file_text("0: b\n1: a\n", PLACES) == file_text("1: a\n0: b\n", PLACES)
    assert file_text("b\na\n", PLACES) != file_text("a\nb\n", PLACES)
    assert file_text("no newline0: b\n1: a\n", PLACES) == file_text("no newline1: a\n0: b\n", PLACES)


def test_environments() -> None:
    left = environment(b"SLURM_TASK_PID=1\0SLURM_JOB_ID=7\0SLURM_SUBMIT_DIR=/t/F/w\0A=x=y\nz\0", PLACES)
    right = environment(b"SLURM_TASK_PID=2\0SLURM_JOB_ID=8\0SLURM_SUBMIT_DIR=/t/R/w\0A=x=y\nz\0", PLACES)
    assert differing(left, right) == ["SLURM_JOB_ID: '7' and '8'"]
    assert differing(left, {}) == [f"{name}: {value!r} and '(unset)'" for name, value in sorted(left.items())]


def test_files(tmp_path: Path) -> None:
    left, right = tmp_path / "F", tmp_path / "R"
    for directory, text in ((left, "one\n"), (right, "two\n")):
        directory.mkdir()
        (directory / "same").write_text("x")
        (directory / "other").write_text(text)
    (right / "more").touch()
    found = differences(left, right, Places(str(left), str(right)))
    assert found[0] == "file more only on the right: ''"
    assert found[1].startswith("file other: ")
    assert len(found) == 2


def test_ids_are_put_in_their_places() -> None:
    assert with_ids(["squeue", "-j", "IDS", "-o", "%i GID"], ["1", "2"], "2") == ["squeue", "-j", "1,2", "-o", "%i GID"]
    assert with_ids(["scontrol", "show", "step", "ID.0"], ["1", "2"], "2") == ["scontrol", "show", "step", "2.0"]


def test_the_page_lists_the_exclusions() -> None:
    text = (ROOT / "docs/differential.md").read_text()
    assert page() in text, (
        "docs/differential.md: run `python -m fakeslurm.differential.exclusions` and put its table there"
    )
    assert len(EXCLUSIONS) < 20
    assert len(text.splitlines()) < 60


# The machine


def run(*options: str) -> str:
    argv = [sys.executable, "-m", "fakeslurm.differential", "--no-shrink", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as machine:
        try:
            text, _ = machine.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            machine.terminate()
            text, _ = machine.communicate()
    assert machine.returncode == 0, text[-8000:]
    print(text)
    return text


@real
def test_two_real_slurms_do_not_disagree() -> None:
    """Else it would be chance that is compared."""
    assert ", 0 disagreements" in run("--against", "real", "--examples", "10", "--steps", "6", "--seed", "1")


@real
def test_a_hundred_examples() -> None:
    text = run("--no-arrays", "--examples", "100", "--steps", "6", "--seed", "7", "--clusters", "4", "--patience", "20")
    assert len(re.findall(r"examples, 0 disagreements", text)) == 4
