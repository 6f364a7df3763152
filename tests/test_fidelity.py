"""docs/fidelity.md is what the fake does: every line of the manual has a status, and what is supported has a test that is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fakeslurm.fidelity import RELEASES, Judgement, Status, judge
from fakeslurm.fidelity.page import render
from fakeslurm.fidelity.registry import manual

ROOT = Path(__file__).parents[1]
KINDS = re.compile(r"(\[)(?:fake|fake-cli|real)(?:-|(?=\]))")


@pytest.fixture(scope="module")
def judgements() -> list[Judgement]:
    return [judgement for release in RELEASES for judgement in judge(release)]


def test_every_line_is_supported_refused_or_differs(judgements: list[Judgement]) -> None:
    undecided = [one for one in judgements if one.status is Status.UNDECIDED]
    texts = [f"{one.line.command} {one.line.name} ({one.release}): {one.note}" for one in undecided]
    assert not texts, "\n\n".join(["Decide, then `make fidelity`:", *texts])


@pytest.mark.parametrize("release", RELEASES)
def test_all_lines_of_the_manual_are_counted(judgements: list[Judgement], release: str) -> None:
    listed = sum(len(lines) for kinds in manual(release).values() for lines in kinds.values())
    assert len([one for one in judgements if one.release == release]) == listed > 1000


def test_the_page_is_up_to_date(judgements: list[Judgement]) -> None:
    assert (ROOT / "docs" / "fidelity.md").read_text("utf-8") == render(judgements), "run `make fidelity`"


def test_the_tests_that_show_it_exist(judgements: list[Judgement]) -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--slurm=fake", "fakeslurm/contract"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    collected = {KINDS.sub(r"\1", Path(line).name) for line in done.stdout.splitlines() if "::" in line}
    names = {name.partition("[")[0] for name in collected} | {name.replace("[]", "") for name in collected}
    named = {one.test: f"{one.line.file}: {one.line.name}" for one in judgements if one.test}
    missing = {test: place for test, place in named.items() if test not in names}
    assert not missing, "no such contract test; see pytest --collect-only fakeslurm/contract"
