"""Public clients from PyPI, each in a virtual environment of its own, made once and kept outside the repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
UNREACHABLE = re.compile(
    r"connection broken by|NewConnectionError|ConnectTimeoutError|Temporary failure in name resolution"
)


class RegistryUnreachableError(Exception):
    """PyPI cannot be reached from this machine; the text is pip's."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fakeslurm" / "clients"


def version(client: str) -> str:
    """The version that the client's requirements pin."""
    match = re.search(rf"^{re.escape(client)}==(\S+)$", (REQUIREMENTS / f"{client}.txt").read_text(), re.MULTILINE)
    assert match is not None, f"{client}.txt does not pin {client} itself"
    return match[1]


def python(client: str) -> Path:
    """The interpreter of the client's environment, which is made when it is not there yet.

    An environment cannot be renamed (its scripts name their interpreter), so it is made in its place under a lock, and counts
    when its stamp is there: what an interrupted run left is made anew. Raises `RegistryUnreachableError`, or AssertionError with
    pip's output when the requirements cannot be installed.
    """
    requirements = REQUIREMENTS / f"{client}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    home = cache() / f"{client}-{version(client)}-{platform.python_version()}-{digest}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            # With this environment's pip: most of the time that a virtual environment takes goes into a pip of its own.
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, capture_output=True)
            _install(home, requirements)
            (home / "complete").touch()
    return home / "bin" / "python"


def _install(home: Path, requirements: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "--quiet", "--disable-pip-version-check"]
    install = [*pip, "install", "--retries=2", "--requirement", requirements]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and UNREACHABLE.search(done.stderr):
        raise RegistryUnreachableError(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, f"{requirements.name} cannot be installed:\n{done.stdout}{done.stderr}"
