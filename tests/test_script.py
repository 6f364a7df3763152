"""The batch script: what it says, and that a shell understands it as it was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit import script
from slurmkit.errors import OptionError, PackagingError
from slurmkit.packaging.base import PackagingResult

PACKAGING = PackagingResult(
    strategy="inherit",
    python="/usr/bin/python3",
    python_version="3.11.7",
    sys_path=("/x",),
    runner="/lib/slurmkit/runner/__main__.py",
)


def test_render() -> None:
    text = script.render(
        options={"job_name": "a name", "nodes": "2", "exclusive": True}, job_dir="/jobs/it's", packaging=PACKAGING
    )
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("# "))
    assert shown == (
        "#!/bin/sh\n"
        '#SBATCH --job-name="a name"\n'
        "#SBATCH --nodes=2\n"
        "#SBATCH --exclusive\n"
        "export JOB_DIR='/jobs/it'\"'\"'s'\n"
        'exec /usr/bin/python3 -P /lib/slurmkit/runner/__main__.py "$JOB_DIR"'
    )
    assert text.endswith("\n")


def test_setup_lines_come_before_the_interpreter() -> None:
    packaging = attrs.evolve(PACKAGING, setup=("module load cuda", "export A=1"))
    lines = script.render(options={}, job_dir="/jobs/1", packaging=packaging).splitlines()
    assert lines[-3:-1] == ["module load cuda", "export A=1"]
    assert lines[-1].startswith("exec ")


PATHS = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0\n\r"), min_size=1), min_size=1
)


@given(PATHS, PATHS)
def test_any_path_arrives(job: list[str], runner: list[str]) -> None:
    """The shell gives the interpreter exactly these arguments, and JOB_DIR this value."""
    job_dir, program = "/" + "/".join(job), "/" + "/".join(runner)
    packaging = attrs.evolve(PACKAGING, python="/interpreter", runner=program)
    text = script.render(options={"job_name": "n"}, job_dir=job_dir, packaging=packaging)
    assert "exec /interpreter -P " in text
    # What the interpreter would be given: the same script with a shell function in its place.
    text = text.replace("exec /interpreter -P ", "show ")
    text = 'show() { printf \'%s\\0%s\\0%s\' "$#" "$1" "$2"; }\n' + text
    done = subprocess.run(["/bin/sh"], input=text.encode(), capture_output=True, check=True)
    assert done.stdout.decode().split("\0") == ["2", program, job_dir]


@pytest.mark.parametrize("path", ["/a\nb", "/a\rb", "/a\0b", "/a\udcffb", "relative"])
@pytest.mark.parametrize("what", ["job directory", "interpreter", "runner"])
def test_paths_that_no_script_can_carry(path: str, what: str) -> None:
    field = {"interpreter": "python", "runner": "runner"}.get(what)
    packaging = attrs.evolve(PACKAGING, **{field: path}) if field else PACKAGING
    with pytest.raises(PackagingError, match=f"the {what} "):
        script.render(options={}, job_dir="/jobs/1" if field else path, packaging=packaging)


def test_options_are_refused_as_everywhere() -> None:
    with pytest.raises(OptionError, match="line break"):
        script.render(options={"job_name": "a\nb"}, job_dir="/jobs/1", packaging=PACKAGING)


def test_a_module_in_the_working_directory_does_not_shadow_the_library(tmp_path: Path) -> None:
    """A user's own json.py beside the script of the client."""
    for name in ("json.py", "pickle.py", "signal.py", "slurmkit.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')")
    runner = Path(script.__file__).parent / "runner" / "__main__.py"
    packaging = attrs.evolve(PACKAGING, python=sys.executable, runner=str(runner))
    text = script.render(options={}, job_dir="/nowhere", packaging=packaging)
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["/bin/sh"], input=text, text=True, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == 70
    assert done.stderr == "slurmkit: '/nowhere' is no job directory: it has no job.json\n"
