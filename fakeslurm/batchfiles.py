"""The files of a batch script, and how output files are opened, also those of steps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from fakeslurm.filenames import StandardFiles
from fakeslurm.model import Job
from fakeslurm.steps import File

__all__ = ["files_of", "make_directories", "open_flags"]

_FULL = "/dev/full"
"""Linux has it: every write fails with ENOSPC."""


def open_flags(open_mode: str | None) -> int:
    """How an output file is opened. O_APPEND in both modes (measured: /proc/self/fdinfo)."""
    return os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if open_mode == "append" else os.O_TRUNC)


def make_directories(paths: Iterable[str]) -> None:
    """The directories that these files are to be in. Where that is impossible, opening the file fails next, and says why."""
    with contextlib.suppress(OSError):
        for path in paths:
            Path(path).parent.mkdir(parents=True, exist_ok=True)


def files_of(job: Job, names: StandardFiles, *, full: bool) -> list[File]:
    """Input, output and error of the script. Where no space is left (`full`) the files are made, but nothing can be written to them."""
    asked = job.description
    flags = open_flags(asked.open_mode)
    written = [File(names.output, flags), File(names.error, flags)]
    if full:
        with contextlib.suppress(OSError):  # of one that cannot be opened slurmstepd tells as ever
            for file in written:
                os.close(os.open(Path(asked.work_dir, file.path), file.flags, 0o666 & ~asked.umask))
            written = [File(_FULL, os.O_WRONLY)] * 2
    return [File(names.input), *written]
