"""Names of output, error and input files: sbatch's and srun's ``%`` patterns (sbatch.1 "filename pattern").

Everything here was measured on 22.05.8: a backslash anywhere turns replacement off and is removed; a width pads the
numeric fields with zeros, to 10 digits at most, and has no effect on the others; ``%q`` and a ``%`` at the end stay
as they are, but ``%5q`` loses its ``%``.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from attrs import frozen

from fakeslurm.model import Job

__all__ = ["NO_ARRAY_TASK", "FileNames", "StandardFiles", "expand", "is_per_task", "of_batch_script"]

NO_ARRAY_TASK = 4294967294
"""What ``%a`` gives outside of an array (NO_VAL)."""

_FIELD = re.compile(r"%(\d*)(.?)", re.DOTALL)
_LONGEST_WIDTH = 10


@frozen(kw_only=True)
class FileNames:
    """What the letters stand for. The defaults of `step`, `task` and `node` are those of a batch script."""

    job_id: int
    job_name: str
    user: str
    host: str
    """Short name of the machine, not of the Slurm node: ``%N`` gives this when several slurmd share a host."""
    array_job_id: int | None = None
    array_task_id: int | None = None
    step: str = "batch"
    task: int = 0
    node: int = 0
    release: str = "22.05"
    """Since 24.11 ``%b`` is the array index modulo 10."""


def expand(pattern: str, names: FileNames) -> str:
    """The file name that `pattern` means."""
    if "%" not in pattern and "\\" not in pattern:
        return pattern
    if "\\" in pattern:
        return re.sub(r"\\(.?)", r"\1", pattern, flags=re.DOTALL)
    array_task = NO_ARRAY_TASK if names.array_task_id is None else names.array_task_id
    numbers = {
        "A": names.job_id if names.array_job_id is None else names.array_job_id,
        "a": array_task,
        "j": names.job_id,
        "J": names.job_id,
        "n": names.node,
        "t": names.task,
    }
    if names.release >= "24.11":
        numbers["b"] = array_task % 10
    texts = {"N": names.host, "s": names.step, "u": names.user, "x": names.job_name, "%": "%"}
    in_step = names.step != "batch"

    def replace(match: re.Match[str]) -> str:
        width, letter = match[1], match[2]
        if letter in numbers:
            number = f"{numbers[letter]:0{min(int(width or 0), _LONGEST_WIDTH)}d}"
            return f"{number}.{names.step}" if letter == "J" and in_step else number
        if letter in texts:
            return texts[letter]
        return f"{width}{letter}" if width else match[0]

    return _FIELD.sub(replace, pattern)


def is_per_task(pattern: str) -> bool:
    """Whether srun lets every task open its own file: the name has ``%t``, ``%n`` or ``%N`` in it."""
    return "\\" not in pattern and any(match[2] in ("t", "n", "N") for match in _FIELD.finditer(pattern))


class StandardFiles(NamedTuple):
    """The absolute paths of a batch script's standard input, output and error."""

    input: str
    output: str
    error: str


def of_batch_script(job: Job, host: str, release: str = "22.05") -> StandardFiles:
    """Where the batch script of `job` reads and writes; `host` and `release` as in `FileNames`.

    Without --error, stderr goes where stdout goes.
    """
    asked = job.description
    in_array = job.array_task_id is not None
    names = FileNames(
        job_id=job.job_id,
        job_name=asked.lasting_name
        if asked.name_in_environment or release >= "24.11"
        else "(null)",  # script from stdin (measured)
        user=asked.user,
        host=host,
        array_job_id=job.array_job_id if in_array else None,
        array_task_id=job.array_task_id,
        release=release,
    )

    def path(pattern: str) -> str:
        return posixpath.join(asked.work_dir, expand(pattern, names))

    output = "slurm-%A_%a.out" if in_array else "slurm-%j.out"
    output = path(output if asked.output is None else asked.output)
    return StandardFiles(
        input=path(asked.input) if asked.input is not None else "/dev/null",
        output=output,
        error=path(asked.error) if asked.error is not None else output,
    )
