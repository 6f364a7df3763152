"""What the strategy "inherit" says of the job's interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import slurmkit
from slurmkit.errors import PackagingError
from slurmkit.packaging.inherit import Inherit
from slurmkit.task import task


@task
def nothing() -> None: ...


def test_inherit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/abs", "rel", "/abs", *sys.path])
    result = Inherit().package(nothing)
    assert (result.strategy, result.python, result.setup) == ("inherit", sys.executable, ())
    assert result.python_version == sys.version.split()[0]
    assert result.sys_path[:3] == (str(tmp_path), "/abs", str(tmp_path / "rel"))
    assert len(set(result.sys_path)) == len(result.sys_path)
    assert all(Path(entry).is_absolute() for entry in result.sys_path)
    assert Path(result.runner) == Path(slurmkit.__file__).parent / "runner" / "__main__.py"
    assert Path(result.runner).exists()


def test_config_is_plain_and_read_only() -> None:
    config = Inherit().config
    assert config == {"strategy": "inherit"}
    with pytest.raises(TypeError):
        config["strategy"] = "other"  # type: ignore[index]


def test_a_virtual_environments_interpreter_is_not_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(link))
    assert Inherit().package(nothing).python == str(link)


def test_an_embedded_interpreter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(PackagingError, match=r"sys\.executable is empty"):
        Inherit().package(nothing)


def test_the_result_starts_the_runner() -> None:
    result = Inherit().package(nothing)
    done = subprocess.run([result.python, "-P", result.runner], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[:6]) == (2, "usage:")
