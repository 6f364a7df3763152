"""What type checkers make of slurmkit: they accept the right use and the examples, and refuse each wrong one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_docs import ROOT, examples

Complaints = dict[int, str]
"""By line."""

SAMPLES = sorted((ROOT / "tests" / "typing").glob("*.py"))


def mypy(file: Path, workdir: Path) -> Complaints:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(workdir / "cache")]
    done = subprocess.run(
        [*command, str(file)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=workdir,
        env={"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lines = [line.split(":", 2) for line in done.stdout.splitlines() if ": error:" in line]
    assert all(Path(workdir, name).resolve() == file for name, _, _ in lines), done.stdout
    return {int(number): text for _, number, text in lines}


def pyright(file: Path, workdir: Path) -> Complaints:
    """In basedpyright's packaging, which needs nothing but pip; without its own additional rules."""
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("basedpyright is not installed: pip install -e '.[dev]'")
    config = workdir / "pyrightconfig.json"
    config.write_text(json.dumps({"typeCheckingMode": "strict", "include": [str(file)], "extraPaths": [str(ROOT)]}))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(config)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return {one["range"]["start"]["line"] + 1: one["message"] for one in found}


CHECKERS = pytest.mark.parametrize("check", [mypy, pyright])


@CHECKERS
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_what_is_wrong_is_refused(sample: Path, check: Callable[[Path, Path], Complaints], tmp_path: Path) -> None:
    lines = sample.read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith("# E")}
    assert wrong
    found = check(sample, tmp_path)
    assert set(found) == wrong, found


@CHECKERS
@pytest.mark.parametrize(
    "name", ["examples/demo.py", "examples/thirty_days.py", "docs/dependencies.md", "docs/arrays.md"]
)
def test_the_examples_are_accepted(name: str, check: Callable[[Path, Path], Complaints], tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    source = ROOT / name
    file.write_text(examples(source) if source.suffix == ".md" else source.read_text())
    assert check(file, tmp_path) == {}
