"""Finding a job of which there is a directory and perhaps no more: by its id, or by its directory, after its client has ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slurmkit import jobdir
from slurmkit.backends.base import SchedulerBackend
from slurmkit.errors import JobDirectoryError, SlurmkitError, UnknownJob
from slurmkit.outcome import id_in_journal

__all__ = ["find_again", "look_up", "note"]

log = logging.getLogger("slurmkit.cluster")


def note(job_dir: Path, record: Mapping[str, Any]) -> None:
    """Write the job's id into its directory. The job is submitted: that this fails is no reason to lose it."""
    try:
        jobdir.write_job(job_dir, record)
    except JobDirectoryError as error:
        log.error("job %s cannot be attached to by its id later: %s", record["job_id"], error)


def find_again(job_dir: Path, record: Mapping[str, Any], backend: SchedulerBackend) -> str | None:
    """The id of a job whose client did not live to write it down: from the job itself, or from Slurm, which knows its token.

    Writes it down, for the time when Slurm knows it no longer.
    """
    job_id = id_in_journal(job_dir) or backend.find(str(record["pre_submission_id"]))
    if job_id is not None:
        note(job_dir, {**record, "job_id": job_id})
    return job_id


def look_up(
    job_root: Path, job: str | int | os.PathLike[str], backend: SchedulerBackend
) -> tuple[Path, dict[str, Any]]:
    """The directory and the ``job.json`` of a job that is named by its id, which is looked for in `job_root`, or by its directory.

    Raises `UnknownJob`, `JobDirectoryError`, `SchedulerError`.
    """
    text = str(job) if isinstance(job, str | int) else os.fspath(job)
    if not text.isdecimal():
        path = Path(text).expanduser().absolute()
        return path, jobdir.read_job(path)
    found, open_ends = [], []
    for path in job_root.iterdir() if job_root.is_dir() else ():
        try:
            record = jobdir.read_job(path)
        except SlurmkitError:
            continue  # being written, or none of ours
        if record.get("job_id") is None:
            open_ends.append((float(record["created"]), path, record))
        elif str(record["job_id"]) == text:
            found.append((float(record["created"]), path, record))
    if not found:
        found = [one for one in open_ends if find_again(one[1], one[2], backend) == text]
    if not found:
        raise UnknownJob(f"there is no job {text} in {str(job_root)!r}")
    _, path, record = max(found, key=lambda one: one[0])  # ids are used again
    return path, record
