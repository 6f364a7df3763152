"""Finding a job of which there is a directory and perhaps no more: by its id, or by its directory, after its client has ended."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from slurmkit import jobdir
from slurmkit.backends.base import SchedulerBackend
from slurmkit.errors import JobDirectoryError, SlurmkitError, UnknownJob
from slurmkit.outcome import id_in_journal
from slurmkit.parts import Part
from slurmkit.slurm.jobid import array_of

__all__ = ["directories", "element", "find_again", "find_parts", "is_unreadable", "look_up", "note"]

_ELEMENT_ID = re.compile(r"[0-9]+_[0-9]+", re.ASCII)

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


def find_parts(job_dir: Path, record: Mapping[str, Any], backend: SchedulerBackend) -> list[Part]:
    """The parts of the array with this ``job.json``, with their ids, as far as they have been submitted.

    What its client did not live to write down is found as in `find_again`, and written down. Raises `JobDirectoryError`, `SchedulerError`.
    """
    parts = [Part.read(one) for one in record["array"]["parts"]]
    if all(part.job_id for part in parts):
        return parts
    parts = [part if part.job_id else attrs.evolve(part, job_id=_part_id(job_dir, part, backend)) for part in parts]
    if (now := jobdir.read_job(job_dir)) != record:
        return find_parts(job_dir, now, backend)  # it lives, and has written down more than we know
    if parts[0].job_id is not None:
        array = {**record["array"], "parts": [part.record() for part in parts]}
        note(job_dir, {**record, "job_id": parts[0].job_id, "array": array})
    return parts


def _part_id(job_dir: Path, part: Part, backend: SchedulerBackend) -> str | None:
    found = (id_in_journal(job_dir / f"{number}") for number in part.numbers)
    return next((array_of(one) for one in found if one), None) or backend.find(part.token)


def is_element(job: str | int | os.PathLike[str]) -> bool:
    """Whether this is the id of an array's element, ``123_4``."""
    return isinstance(job, str) and _ELEMENT_ID.fullmatch(job) is not None


def element(job: str | int | os.PathLike[str], array_dir: Path) -> str | None:
    """The id, or the directory, by which `job` names an element of the array in `array_dir`; None: it means the array."""
    text = _text(job)
    if is_element(text):
        return text
    path = Path(text).expanduser().absolute()
    return str(path) if path.parent == array_dir else None


def _text(job: str | int | os.PathLike[str]) -> str:
    return str(job) if isinstance(job, int) else os.fsdecode(job)


def _job_ids(record: Mapping[str, Any]) -> list[str | None]:
    """The ids in ``job.json``: of a job, or of all parts of an array."""
    return [part["job_id"] for part in record["array"]["parts"]] if "array" in record else [record["job_id"]]


def _found_ids(job_dir: Path, record: Mapping[str, Any], backend: SchedulerBackend) -> list[str | None]:
    """The same, of a submission whose client did not live to write them all down."""
    if "array" not in record:
        return [find_again(job_dir, record, backend)]
    return [part.job_id for part in find_parts(job_dir, record, backend)]


def directories(job_root: Path) -> list[Path]:
    """What is in the job root, which need not exist. Names of job directories sort by the time of submission."""
    return sorted(job_root.iterdir()) if job_root.is_dir() else []


def is_unreadable(path: Path, error: JobDirectoryError) -> bool:
    """Whether `error` is about a job's directory, neither about something else in the job root nor about one that is being written."""
    return jobdir.is_pre_submission_id(path.name) and not isinstance(error.__cause__, FileNotFoundError)


def look_up(
    job_root: Path, job: str | int | os.PathLike[str], backend: SchedulerBackend
) -> tuple[Path, dict[str, Any]]:
    """The directory and the ``job.json`` of a job that is named by its id, which is looked for in `job_root`, or by its directory.

    Raises `UnknownJob`, `JobDirectoryError`, `SchedulerError`.
    """
    text = _text(job)
    if not text:
        raise UnknownJob(f"{job!r} is neither the id of a job nor a job directory")
    if is_element(text):
        text = array_of(text)
    if not text.isdecimal():
        path = Path(text).expanduser().absolute()
        if path.name.isdecimal() and not (path / jobdir.JOB).exists() and (path.parent / jobdir.JOB).exists():
            path = path.parent  # it is an element's
        return path, jobdir.read_job(path)
    open_ends = []
    for path in reversed(directories(job_root)):  # the latest first: ids are used again
        try:
            record = jobdir.read_job(path)
        except SlurmkitError:
            continue  # being written, or none of ours
        job_ids = _job_ids(record)
        if text in job_ids:
            return path, record
        if None in job_ids:
            open_ends.append((path, record))
    for path, record in open_ends:
        if text in _found_ids(path, record, backend):
            return path, record
    raise UnknownJob(f"there is no job {text} in {str(job_root)!r}")
