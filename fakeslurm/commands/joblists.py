"""Lists of jobs as hold, suspend, requeue and their like take them, and what is said about each (measured: docs/measured/lifecycle.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm.commands.arrayjobs import component, jobs_of
from fakeslurm.jobarray import range_text
from fakeslurm.messages import INVALID_JOB_ID, NO_ERROR, NOT_YOURS, SlurmError
from slurmkit.slurm.jobid import JobId, JobIdError, parse_array_spec

if TYPE_CHECKING:
    from fakeslurm.model import Job
    from fakeslurm.slurmctld import Controller

__all__ = ["Change", "Named", "act", "named", "without_key"]

Change = Callable[["Job", int | None], None]
"""Does something to a job, or (the number) to one of the elements that the record of an array stands for; raises SlurmError."""

_WORD = re.compile(
    r"\+?(?P<job>[0-9]+)(_\[(?P<list>[^\[\]]*)\]|_(?P<tasks>[0-9][0-9-]*)|\+(?P<offset>[0-9]+))?", re.ASCII
)


@frozen
class Named:
    """One job id of a list."""

    text: str
    """As the answer repeats it: without brackets."""
    job_id: int
    tasks: Sequence[int] | None = None
    """The indices that are named; None for none."""
    offset: int | None = None
    """Of a component of a heterogeneous job."""
    valid: bool = True


def without_key(argument: str) -> str:
    """What is behind ``job=`` and ``jobid=``."""
    return re.sub(r"\Ajob(id)?=", "", argument, flags=re.IGNORECASE)


def named(argument: str) -> list[Named]:
    """The ids of a list with commas or blanks. One with anything else in it is looked at no further: it is as if it were one id."""
    words = [word for word in re.split(r"[ ,](?![^\[]*\])", argument) if word]
    matches = [_WORD.fullmatch(word) for word in words]
    if None in matches:
        return [Named(argument, 0, valid=False)]
    return [_named(match) for match in matches if match is not None]


def _named(match: re.Match[str]) -> Named:
    job_id, spec = int(match["job"]), match["list"] if match["tasks"] is None else match["tasks"]
    text = match[0].replace("[", "").replace("]", "")
    if spec is None:
        return Named(text, job_id, offset=None if match["offset"] is None else int(match["offset"]))
    try:
        return Named(text, job_id, parse_array_spec(spec).indices)
    except JobIdError:
        return Named(text, job_id, valid=False)


def act(
    controller: Controller,
    one: Named,
    uid: int,
    change: Change,
    *,
    unknown: str = INVALID_JOB_ID,
    part: str = "",
    splits: bool = False,
    leader_alone: bool = True,
) -> tuple[list[str], str]:
    """Do it to what an id means: the lines about what failed, and of a job that is in no array the problem alone.

    `unknown`: what is said of an id that is not known; `part`: of a component of a heterogeneous job (``5+1``), where it
    cannot be done to one; `splits`: an element that waits is changed by itself, and not its whole record, unless all that
    it stands for are named (measured); `leader_alone`: of a heterogeneous job only the leader is changed, which does it
    to the others.
    """
    array = controller.arrays.get(one.job_id)
    known = array is not None or one.job_id in controller.jobs
    if not one.valid:
        return _plain(one, INVALID_JOB_ID if known or not one.job_id else unknown)
    if one.offset is not None and part:
        return _plain(one, part)
    if one.offset is not None:
        job = component(controller, JobId(one.job_id, het_offset=one.offset))
        if job is None and one.offset == 0 and splits:  # hold and release take a job for its own component (measured)
            job = controller.jobs.get(one.job_id)
        return _plain(one, INVALID_JOB_ID if job is None else _problem(job, None, uid, change))
    if one.tasks is None:
        jobs = jobs_of(controller, one.job_id)
        if not jobs:
            return _plain(one, unknown)
        if not any(job.array for job in jobs):
            problems = [_problem(job, None, uid, change) for job in (jobs[:1] if leader_alone else jobs)]
            return _plain(one, problems[0])
        number = jobs[0].array_job_id
        answers = [(_tasks(job), _problem(job, None, uid, change)) for job in jobs]
    elif not known and unknown != INVALID_JOB_ID:
        return _plain(one, unknown)
    else:
        number = one.job_id
        rest = set(one.tasks)
        answers = []
        record = controller.jobs.get(one.job_id)
        named_all = array is not None and len(array.pending) > 0 and rest.issuperset(array.pending)
        if named_all and splits and record is not None and not record.finished:
            waiting = _tasks(record)
            answers.append((waiting, _problem(record, None, uid, change)))
            rest.difference_update(waiting)
        answers += [_of_task(controller, one.job_id, task, uid, change, splits) for task in one.tasks if task in rest]
    of_nothing = {
        problem for tasks, problem in answers if not tasks
    }  # the record of an array of which no element is left
    answers = [(tasks, problem) for tasks, problem in answers if tasks]
    # It has no name, and so Slurm leaves an empty place behind the others, unless what became of it became of another one, too (measured).
    nameless = bool(answers) and bool(of_nothing - {problem for _, problem in answers})
    if not any(problem for _, problem in answers) and not nameless:
        return [], ""
    groups: dict[str, set[int]] = {}
    for tasks, problem in answers:
        groups.setdefault(problem, set()).update(tasks)
    lines = sorted((sorted(tasks), problem) for problem, tasks in groups.items())
    return [f"{number}_{range_text(tasks)}: {problem or NO_ERROR}\n" for tasks, problem in lines] + [
        f"(null): {NO_ERROR}\n"
    ] * nameless, ""


def _of_task(
    controller: Controller, job_id: int, task: int, uid: int, change: Change, splits: bool
) -> tuple[Sequence[int], str]:
    array = controller.arrays.get(job_id)
    if array is not None and task in array.elements:
        return (task,), _problem(controller.jobs[array.elements[task]], None, uid, change)
    record = controller.jobs.get(job_id)
    if array is None or record is None or task not in array.pending:
        return (task,), INVALID_JOB_ID
    if splits and not record.finished:
        return (task,), _problem(record, task, uid, change)
    tasks = _tasks(record)  # before it is changed
    return tasks, _problem(record, None, uid, change)


def _tasks(job: Job) -> Sequence[int]:
    if job.array_task_id is not None:
        return (job.array_task_id,)
    return () if job.array is None else tuple(job.array.pending)


def _plain(one: Named, problem: str) -> tuple[list[str], str]:
    return [f"{problem} for job {one.text}\n"] if problem else [], problem


def _problem(job: Job, task: int | None, uid: int, change: Change) -> str:
    if uid not in (0, job.description.uid):
        return NOT_YOURS
    try:
        change(job, task)
    except SlurmError as error:
        return error.message
    return ""
