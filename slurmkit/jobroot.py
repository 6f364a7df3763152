"""Finding a job of which there is a directory and perhaps no more: by its id, or by its directory, after its client has ended."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from slurmkit import jobdir
from slurmkit.backends.base import SchedulerBackend
from slurmkit.errors import JobDirectoryError, SlurmkitError, UnknownJob
from slurmkit.outcome import id_in_journal
from slurmkit.parts import Part
from slurmkit.slurm.jobid import array_of

__all__ = [
    "directories",
    "element",
    "find_again",
    "find_all_again",
    "find_parts",
    "is_unreadable",
    "look_up",
    "not_submitted",
    "note",
]

_ELEMENT_ID = re.compile(r"[0-9]+_[0-9]+", re.ASCII)

log = logging.getLogger("slurmkit.cluster")


def note(job_dir: Path, record: Mapping[str, Any]) -> None:
    """Write the job's id into its directory. The job is submitted: that this fails is no reason to lose it."""
    try:
        jobdir.write_job(job_dir, record)
    except JobDirectoryError as error:
        log.error("job %s cannot be attached to by its id later: %s", record["job_id"], error)


def find_again(job_dir: Path, record: Mapping[str, Any], backend: SchedulerBackend) -> Mapping[str, Any]:
    """This ``job.json`` with the ids that its client did not live to write down: from the jobs themselves, or from Slurm, which knows their
    tokens. Of what was not submitted they are None.

    Writes them down, for the time when Slurm knows them no longer. Raises `JobDirectoryError`, `SchedulerError`.
    """
    return _completed(job_dir, record, _found({job_dir: record}, backend))


def find_all_again(
    records: Mapping[Path, Mapping[str, Any]], backend: SchedulerBackend
) -> dict[Path, Mapping[str, Any]]:
    """As `find_again`, of the job directories with these ``job.json``; Slurm is asked once for all of them.

    A directory that is gone meanwhile, or cannot be read, is left out. Raises `SchedulerError`.
    """
    found = _found(records, backend)
    completed = {}
    for job_dir, record in records.items():
        try:
            completed[job_dir] = _completed(job_dir, record, found)
        except JobDirectoryError as error:
            log.warning("%s is left out: %s", job_dir, error)
    return completed


def find_parts(job_dir: Path, record: Mapping[str, Any], backend: SchedulerBackend) -> list[Part]:
    """The parts of the array with this ``job.json``, with their ids, as far as they have been submitted; see `find_again`."""
    return [Part.read(one) for one in find_again(job_dir, record, backend)["array"]["parts"]]


def not_submitted(paths: Iterable[Path], backend: SchedulerBackend) -> set[Path]:
    """Those of these job directories of which nothing was submitted. What was, though no id was written down, is; see `find_all_again`."""
    unfinished = {}
    for path in paths:
        try:
            record = jobdir.read_job(path)
        except SlurmkitError:
            continue  # being written, or none of ours
        if None in _job_ids(record):
            unfinished[path] = record
    return {path for path, record in find_all_again(unfinished, backend).items() if not any(_job_ids(record))}


def _found(records: Mapping[Path, Mapping[str, Any]], backend: SchedulerBackend) -> dict[str, str]:
    """The ids that these lack, by token, as far as there are such jobs."""
    found, lacking = {}, []
    for job_dir, record in records.items():
        for token, directories in _lacking(job_dir, record):
            ids = (id_in_journal(one) for one in directories)
            if (job_id := next((one for one in ids if one), None)) is not None:
                found[token] = array_of(job_id)
            else:
                lacking.append(token)
    return {**found, **backend.find(lacking)} if lacking else found


def _lacking(job_dir: Path, record: Mapping[str, Any]) -> Iterator[tuple[str, Iterable[Path]]]:
    """The tokens of the submissions without an id, and where their jobs write."""
    if "array" not in record:
        if record["job_id"] is None:
            yield str(record["pre_submission_id"]), [job_dir]
        return
    for part in record["array"]["parts"]:
        if part["job_id"] is None:
            yield part["token"], [job_dir / f"{number}" for number in Part.read(part).numbers]


def _completed(job_dir: Path, record: Mapping[str, Any], found: Mapping[str, str]) -> Mapping[str, Any]:
    if None not in _job_ids(record):
        return record
    if (now := jobdir.read_job(job_dir)) != record:
        return _completed(job_dir, now, found)  # its client lives, and has written down more than we know
    if "array" in record:
        parts = [
            part if part["job_id"] else {**part, "job_id": found.get(part["token"])}
            for part in record["array"]["parts"]
        ]
        full = {**record, "job_id": parts[0]["job_id"], "array": {**record["array"], "parts": parts}}
    else:
        full = {**record, "job_id": found.get(str(record["pre_submission_id"]))}
    if full["job_id"] is not None and full != record:
        note(job_dir, full)
    return full


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
    open_ends = {}
    for path in reversed(directories(job_root)):  # the latest first: ids are used again
        try:
            record = jobdir.read_job(path)
        except SlurmkitError:
            continue  # being written, or none of ours
        job_ids = _job_ids(record)
        if text in job_ids:
            return path, record
        if None in job_ids:
            open_ends[path] = record
    for path, completed in find_all_again(open_ends, backend).items():
        if text in _job_ids(completed):
            return path, dict(completed)
    raise UnknownJob(f"there is no job {text} in {str(job_root)!r}")
