"""What stands in for Slurm where it shall cost nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slurmkit.backends.base import Limits, Submission

__all__ = ["Stub", "stub_sbatch"]

PROGRAM = '#include <stdio.h>\nint main(void) { puts("Submitted batch job 1\\n1"); return 0; }\n'


class Stub:
    """A backend that accepts every job and forgets it."""

    name = "stub"

    def submit(self, script: Path, *, cwd: Path) -> Submission:
        return Submission(job_id="1")

    def queue(self, job_ids: Any) -> Mapping[str, Any]:
        return {}

    def accounting(self, job_ids: Any) -> None:
        return None

    def show(self, job_id: str) -> Mapping[str, Any]:
        return {}

    def limits(self) -> Limits:
        return Limits(max_array_size=100_001, max_job_count=200_000)

    def find(self, tokens: Any) -> Mapping[str, str]:
        return {}

    def cancel(self, job_ids: Any, *, signal: str | None = None) -> None:
        return None


@contextmanager
def stub_sbatch() -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """A directory on tmpfs where there is one, a compiled sbatch in it that accepts everything, and an environment that finds it."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory, ignore_cleanup_errors=True) as directory:
        root = Path(directory)
        stub = root / "sbatch"
        if (compiler := shutil.which("cc")) is not None:
            subprocess.run([compiler, "-x", "c", "-", "-o", str(stub)], input=PROGRAM, text=True, check=True)
        else:
            stub.write_text("#!/bin/sh\necho Submitted batch job 1\necho 1\n")
            stub.chmod(0o755)
        for name in ("srun", "squeue", "sacct", "scontrol"):  # submitit looks for srun; nobody asks a real Slurm
            (root / name).write_text("#!/bin/sh\n")
            (root / name).chmod(0o755)
        yield root, stub, {**os.environ, "PATH": f"{root}:{os.environ['PATH']}"}
