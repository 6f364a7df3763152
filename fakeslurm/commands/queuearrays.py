"""How squeue shows the waiting elements of arrays: as one line each array, or with ``--array`` one line each element.

``_combine_pending_array_tasks`` and ``_print_job_from_format`` in src/squeue/print.c; compared with 22.05.8 and 24.11.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from fakeslurm.commands.arrayjobs import as_element
from fakeslurm.jobarray import range_text, stepped_text
from fakeslurm.messages import TOO_FEW_NODES, Reason
from fakeslurm.model import Job
from slurmkit.slurm.states import JobState

__all__ = ["combine", "one_by_one"]


def combine(jobs: Sequence[Job], length: int) -> tuple[list[Job], dict[int, str]]:
    """Elements that wait as jobs of their own go back into the line of their array, with their reasons.

    The jobs that are left, and by job id the indices of those lines: without the limit, cut off at `length`.
    """
    waiting: dict[int, list[Job]] = {}
    for job in jobs:
        if job.array is not None and job.array_task_id is not None and job.shown_state is JobState.PENDING:
            waiting.setdefault(job.array.job_id, []).append(job)
    texts: dict[int, str] = {}
    gone: set[int] = set()
    lines: dict[int, Job] = {}
    for job in jobs:
        if job.array is None or not job.is_unsplit or job.state is not JobState.PENDING or not job.array.pending:
            continue
        alike = [one for one in waiting.get(job.job_id, ()) if _belongs(one, job)]
        if not alike:
            continue
        gone.update(one.job_id for one in alike)
        line = lines[job.job_id] = copy(job)
        line.reason = _reasons([job, *alike])
        tasks = sorted([*job.array.pending, *(one.array_task_id for one in alike if one.array_task_id is not None)])
        texts[job.job_id] = range_text(tasks)[: length - 1] if length else range_text(tasks)
    return [lines.get(job.job_id, job) for job in jobs if job.job_id not in gone], texts


def _belongs(element: Job, whole: Job) -> bool:
    same_name = element.description.name == whole.description.name
    return same_name and element.partition == whole.partition


def _reasons(jobs: Sequence[Job]) -> str:
    """Of the first as it is, of the others the word for it (measured)."""
    reasons = f"{jobs[0].reason}"
    for job in jobs[1:]:
        word = _word(job.reason)
        if job.reason != jobs[0].reason and word not in reasons:
            reasons += f",{word}"
    return reasons


def _word(reason: str) -> str:
    """Of a reason that is shown as a text what stands behind it."""
    if reason == Reason.REQUEUED_HELD:
        return Reason.HELD_BY_USER
    return Reason.RESOURCES if reason == TOO_FEW_NODES else f"{reason}".partition(",")[0]


def one_by_one(jobs: Sequence[Job]) -> list[Job]:
    """Every element that waits on a line of its own; but of indices that are written as a range with a step the last (measured)."""
    found: list[Job] = []
    for job in jobs:
        if job.array is None or not job.is_unsplit or not job.array.pending:
            found.append(job)
        else:
            tasks = list(job.array.pending)
            found += [as_element(job, (task,)) for task in (tasks[:-1] if stepped_text(tasks) else tasks)]
    return found
