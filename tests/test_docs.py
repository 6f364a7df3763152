"""Every example of the documentation runs: the Python blocks of a page, one after the other, as one script on the embedded fake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fakeslurm.faults import KINDS

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> str:
    """The Python blocks of a page, at their own line numbers, so that a traceback points into the page."""
    text = page.read_text()
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    script = tmp_path / f"{page.stem}.py"
    script.write_text(examples(page))
    environment = {**os.environ, "SLURMKIT_BACKEND": "fake", "SLURMKIT_JOB_ROOT": str(tmp_path / "jobs")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_fault_is_in_the_tables() -> None:
    """What it does, and by which tests of the contract a real Slurm is made to fail so."""
    tables = re.findall(r"^\| fault \|.*\n(?:\|.*\n)+", (ROOT / "docs/testing.md").read_text(), re.MULTILINE)
    named = [Counter(re.findall(r"`(\w+)`", "".join(re.findall(r"^(\|[^|]*)\|", one, re.MULTILINE)))) for one in tables]
    assert named == [Counter(KINDS.keys())] * 2
    tests = "".join(path.read_text() for path in (ROOT / "fakeslurm/contract").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", tables[1]):
        assert f"def {name}(" in tests, name


def test_every_open_disagreement_has_its_test() -> None:
    """The rows of docs/open.md and the tests of known differences are the same ones."""
    rows = re.findall(r"^\| (?:both|2\d\.\d\d) \|.*\| (\S+) \|$", (ROOT / "docs/open.md").read_text(), re.MULTILINE)
    tests = {
        f"`{path.name}::{name}`"
        for path in (ROOT / "fakeslurm/contract").glob("test_open_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert tests == set(rows)
