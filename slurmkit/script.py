"""Renders the batch script. Pure: the same values give the same text."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Mapping
from typing import Literal

from slurmkit.errors import PackagingError
from slurmkit.jobdir import is_writable_in_script
from slurmkit.packaging.base import PackagingResult
from slurmkit.runner.leader import warning_signal
from slurmkit.slurm.options import render_directives

__all__ = ["render"]


def render(
    *,
    options: Mapping[str, str | Literal[True]],
    job_dir: str,
    packaging: PackagingResult,
    index: str | None = None,
) -> str:
    """The text of ``script.sh``.

    `options` are all options of the job, in the form of `slurmkit.slurm.options.normalize`; `job_dir` is absolute; `index` is, for an array,
    what the shell takes for the number of the item. Raises `OptionError` and `PackagingError` for text that no batch script can carry.
    """
    for what, text in (
        ("job directory", job_dir),
        ("interpreter", packaging.python),
        ("runner", packaging.runner),
    ):
        _check(what, text)
    lines = [
        "#!/bin/sh",
        *render_directives(options),
        *_deaf_to_warning(options),
        f"export JOB_DIR={shlex.quote(job_dir)}",
        *packaging.setup,
        # By its file, not with -m: slurmkit need not be on this interpreter's path (a checkout, PYTHONPATH). -P keeps the
        # working directory off the path, where a file called json.py would be taken for the standard library's.
        f'exec {shlex.quote(packaging.python)} -P {shlex.quote(packaging.runner)} "$JOB_DIR"'
        + (f" {index}" if index else ""),
    ]
    return "\n".join(lines) + "\n"


def _deaf_to_warning(options: Mapping[str, str | Literal[True]]) -> list[str]:
    """A job with a short limit is warned as soon as it starts, when nothing in it can take the signal yet: it would end it."""
    number = warning_signal({"options": options})
    if number is None:
        return []
    known = number in {member.value for member in signal.Signals}
    return [f"trap '' {signal.Signals(number).name.removeprefix('SIG') if known else number}"]


def _check(what: str, text: str) -> None:
    if not is_writable_in_script(text):
        raise PackagingError(
            f"the {what} {text!r} cannot be written into a batch script: it has a line break, NUL or a byte that is no UTF-8"
        )
    if not text.startswith("/"):
        raise PackagingError(f"the {what} {text!r} is no absolute path")
