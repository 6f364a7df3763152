"""``tools/debian13``: a command in another system, and nothing left of it here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "debian13"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fakeslurm"


def debian13(*argv: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOOL, *argv],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_the_means_it_says_what_is_missing(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "id", "mkdir", "flock", "chroot"):
        (programs / name).symlink_to(
            next(path for path in (Path("/usr/bin") / name, Path("/usr/sbin") / name) if path.exists())
        )
    done = debian13("true", cwd=tmp_path, env={"PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.returncode == 69
    missing = "debootstrap is not installed (apt-get install debootstrap)"
    if os.getuid() != 0:
        missing = "only root can make a system in a folder and change into it"
    assert done.stderr == f"debian13: {missing}\n"


needs_system = pytest.mark.skipif(
    os.getuid() != 0 or not (CACHE / "debian13").exists(),
    reason="no Debian 13 system here yet: `make test-24.11` makes it",
)


@needs_system
def test_a_command_runs_there_on_the_files_of_here(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from outside\n")
    before = Path("/proc/self/mounts").read_text()
    script = (
        'cat file; . /etc/os-release; echo "$VERSION_ID"; slurmctld -V | cut -d . -f 1-2; echo "$@" >answer; exit 3'
    )
    done = debian13("sh", "-c", script, "sh", "two words", "*", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == "from outside\n13\nslurm-wlm 24.11\n"
    assert (tmp_path / "answer").read_text() == "two words *\n"
    assert Path("/proc/self/mounts").read_text() == before
