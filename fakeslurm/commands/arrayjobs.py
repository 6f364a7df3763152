"""Ids of arrays and their elements, as the commands that change jobs take them: ``5``, ``5_3``, ``5_[1-3]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve

from fakeslurm.jobarray import TEXT_LENGTH, TaskSet
from fakeslurm.model import Job
from slurmkit.slurm.jobid import JobId, parse_array_spec

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["Target", "as_element", "asked_for", "component", "jobs_of", "targets", "tasks_of", "text_length"]


class Target(NamedTuple):
    """A job, or (`task`) one of the elements that the record of an array stands for."""

    job: Job
    task: int | None = None

    @property
    def element(self) -> int | None:
        """The index, where it is an element of an array."""
        return self.job.array_task_id if self.task is None else self.task

    @property
    def label(self) -> str:
        """``5``, ``5_3``."""
        return f"{self.job.job_id}" if self.element is None else f"{self.job.array_job_id}_{self.element}"


def jobs_of(controller: Controller, job_id: int) -> list[Job]:
    """The job of this id; of an array all its jobs, the youngest first, as slurmctld has them (measured).

    The leader of a heterogeneous job means all its components.
    """
    array = controller.arrays.get(job_id)
    if array is None:
        job = controller.jobs.get(job_id)
        if job is not None and job.leads and job.het is not None:
            return [controller.jobs[one] for one in job.het.members if one in controller.jobs]
        return [] if job is None else [job]
    ids = {*array.elements.values(), array.job_id} & controller.jobs.keys()
    return sorted((controller.jobs[one] for one in ids), key=lambda job: -job.place)


def component(controller: Controller, wanted: JobId) -> Job | None:
    """The component that ``5+1`` names."""
    jobs = jobs_of(controller, wanted.job_id)
    return next((job for job in jobs if job.het is not None and job.het_offset == wanted.het_offset), None)


def tasks_of(wanted: JobId) -> Sequence[int] | None:
    """The indices that an id names; None without any. Raises JobIdError."""
    if wanted.array_task is not None:
        return (wanted.array_task,)
    return None if wanted.array_expression is None else parse_array_spec(wanted.array_expression).indices


def asked_for(jobs: Iterable[Job]) -> None:
    """Whoever asks the controller for an array makes it tell accounting which of its elements still wait, unless it is over
    (build_array_str; measured)."""
    for job in jobs:
        if job.array is not None and job.is_unsplit and not job.finished:
            job.array.dropped.clear()


def targets(controller: Controller, job_id: int, tasks: Iterable[int] | None) -> list[Target]:
    """What there is of what is meant by an id, with the indices behind it (None: without)."""
    if tasks is None:
        return [Target(job) for job in jobs_of(controller, job_id)]
    array = controller.arrays.get(job_id)
    chosen: list[Target] = []
    for task in tasks:
        if array is not None and task in array.elements:
            chosen.append(Target(controller.jobs[array.elements[task]]))
        elif array is not None and task in array.pending and not controller.jobs[job_id].finished:
            chosen.append(Target(controller.jobs[job_id], task))
    return chosen


def as_element(job: Job, tasks: Iterable[int]) -> Job:
    """The record of an array as it is shown for these elements alone; for one alone as if it were a job of its own."""
    assert job.array is not None
    chosen = tuple(tasks)
    shown = copy(job)
    if len(chosen) == 1:
        shown.array_task_id = chosen[0]
    else:
        shown.array = evolve(job.array, pending=TaskSet(chosen), limit=None)
    return shown


def text_length(environ: Mapping[str, str]) -> int:
    """How much is shown of the indices of an array: SLURM_BITSTR_LEN, as atoi reads it; 0 is everything."""
    text = environ.get("SLURM_BITSTR_LEN")
    if text is None:
        return TEXT_LENGTH
    digits = text.strip()
    sign = digits[:1] == "-"
    digits = digits.lstrip("+-")
    number = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return TEXT_LENGTH if sign and int(number or 0) else int(number or 0)
