"""Run a client's driver on a Slurm, in the client's own environment, and read its report.

A driver is a file ``drivers/use_NAME.py``. Its docstring says which habit of clients it stands for, `CLIENT` is the name on PyPI,
`EXPECTED` the report on every Slurm, and as a program it uses the client and prints the report, a line of JSON, at the end.
"""

from __future__ import annotations

import getpass
import importlib.util
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

DRIVERS = {
    path.stem.removeprefix("use_"): path for path in sorted((Path(__file__).parent / "drivers").glob("use_*.py"))
}
SECONDS = 240


def load(name: str) -> ModuleType:
    """The driver as a module: it imports its client only when it runs."""
    spec = importlib.util.spec_from_file_location(f"driver_of_{name}", DRIVERS[name])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drive(name: str, python: Path, environment: Mapping[str, str], directory: Path) -> Any:
    """The report of the driver on the Slurm that `environment` leads to; AssertionError with its output when it fails."""
    path = f"{python.parent}{os.pathsep}{environment['PATH']}"
    scratch = directory / "tmp"  # some clients leave their logs there
    scratch.mkdir()
    own = {
        "PATH": path,
        "HOME": str(directory),
        "TMPDIR": str(scratch),
        "USER": getpass.getuser(),
        "PYTHONWARNINGS": "",
    }
    done = subprocess.run(
        [python, DRIVERS[name]],
        env={**environment, **own},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])
