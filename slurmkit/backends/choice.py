"""Which Slurm a Cluster is to reach: by its name, or a backend object itself."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack

from slurmkit.backends.base import SchedulerBackend
from slurmkit.errors import OptionError, SchedulerNotFound

__all__ = ["BACKEND_VARIABLE", "chosen", "name_from_env"]

BACKEND_VARIABLE = "SLURMKIT_BACKEND"

_NAMES = ("slurm", "fake")


def name_from_env() -> str:
    """What ``$SLURMKIT_BACKEND`` says, else ``"slurm"``. Raises `OptionError`."""
    name = os.environ.get(BACKEND_VARIABLE) or "slurm"
    if name not in _NAMES:
        raise OptionError(f"{BACKEND_VARIABLE} is {name!r}; valid: 'slurm', 'fake'")
    return name


def chosen(backend: object, stack: ExitStack) -> SchedulerBackend:
    """The backend of this name, or `backend` itself. An embedded fake ends with `stack`. Raises `SchedulerNotFound`, `OptionError`."""
    if backend == "slurm":
        from slurmkit.backends.cli import CliBackend

        if shutil.which("sbatch") is None:
            raise SchedulerNotFound(
                f"there is no sbatch on PATH={os.environ.get('PATH', '')!r}. To run without a cluster, use "
                f'Cluster("fake"), or set {BACKEND_VARIABLE}=fake for Cluster.from_env().',
                command=["sbatch"],
            )
        return CliBackend()
    if backend == "fake":
        from fakeslurm import FakeSlurm

        fake: SchedulerBackend = stack.enter_context(FakeSlurm()).backend()
        return fake
    if isinstance(backend, str) or not hasattr(backend, "submit"):
        raise OptionError(f"backend is {backend!r}; valid: 'slurm', 'fake', or an object that is a SchedulerBackend")
    return backend  # type: ignore[return-value]
