"""Memory cgroups for a throwaway Slurm: what a cluster with ``ConstrainRAMSpace=yes`` needs of this machine."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["MEMORY", "unavailable_reason"]

MEMORY = Path("/sys/fs/cgroup/memory")
"""Where cgroup v1 has its memory controller."""


def unavailable_reason() -> str | None:
    """Why no throwaway Slurm can limit memory here, as one sentence; None when one can: as root, with cgroup v1."""
    if os.geteuid() != 0:
        return "memory limits (ConstrainRAMSpace=yes) need root"
    if not (MEMORY / "memory.oom_control").exists():
        return f"memory limits (ConstrainRAMSpace=yes) need the memory controller of cgroup v1, and {MEMORY} has none"
    probe = MEMORY / f"fakeslurm-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"memory limits (ConstrainRAMSpace=yes) need a directory in {MEMORY}: {error.strerror}"
    return None
