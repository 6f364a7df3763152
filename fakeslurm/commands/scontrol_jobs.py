"""``scontrol`` hold, uhold, release, requeue, requeuehold, suspend, resume and update of jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fakeslurm.commands import jobupdate
from fakeslurm.commands.answers import unsupported
from fakeslurm.commands.arrayjobs import Target, component, targets, tasks_of
from fakeslurm.commands.base import Reply
from fakeslurm.commands.jobtexts import job_label
from fakeslurm.commands.scontrol_call import PROGRAM, Call
from fakeslurm.jobarray import range_text
from fakeslurm.messages import (
    INVALID_JOB_ID,
    NO_ERROR,
    NOT_SUPPORTED,
    NOT_YOURS,
    THROTTLE_DETAIL,
    UNEXPECTED_MESSAGE,
    SlurmError,
)
from slurmkit.slurm.jobid import JobId, JobIdError

if TYPE_CHECKING:
    from fakeslurm.model import Job
    from fakeslurm.slurmctld import Controller

__all__ = ["hold", "is_meant", "release", "requeue", "requeuehold", "resume", "suspend", "uhold", "update"]


def hold(call: Call) -> Reply:
    now, uid = call.invocation.now, call.invocation.uid
    return _change(call, lambda job, task: call.controller.hold(job.job_id, now, uid=uid, task=task))


def uhold(call: Call) -> Reply:
    now, uid = call.invocation.now, call.invocation.uid
    return _change(call, lambda job, task: call.controller.hold(job.job_id, now, uid=uid, task=task, by_user=True))


def release(call: Call) -> Reply:
    now, uid = call.invocation.now, call.invocation.uid
    return _change(call, lambda job, task: call.controller.release(job.job_id, now, uid=uid, task=task))


def requeue(call: Call) -> Reply:
    return _run_again(call, hold=False)


def requeuehold(call: Call) -> Reply:
    if call.arguments and call.arguments[0].lower() in ("state=specialexit", "state=se"):
        raise unsupported(PROGRAM, f"requeuehold {call.arguments[0]}")
    return _run_again(call, hold=True)


def _run_again(call: Call, *, hold: bool) -> Reply:
    """Unlike hold and release it takes no names, and says nothing more after its complaints (measured)."""
    call.wants(1, None)
    invocation = call.invocation
    complaints = []
    for argument in call.arguments:
        key, equals, value = argument.partition("=")
        listed = value if equals and key.lower() in ("job", "jobid") else argument
        for text, found in _listed(call, listed):

            def change(job: Job, _task: int | None) -> None:
                call.controller.requeue(job.job_id, invocation.now, uid=invocation.uid, hold=hold)

            leaders = [target for target in found if target.job.leads]  # of a heterogeneous job, for all of it
            problems = (_problem(target, invocation.uid, change) for target in leaders or found)
            problem = next(filter(None, problems), "") if found else INVALID_JOB_ID
            if problem and "_" in text:
                complaints.append(f"{text}: {problem}\n")
            elif problem:
                complaints.append(f"{problem} for job {text}\n")
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def update(call: Call) -> Reply:
    """Every id has its own complaint; of an array's elements those that were changed are named as well, before 24.11."""
    wanted = jobupdate.read(call)
    controller, invocation = call.controller, call.invocation
    head_only = controller.settings.profile.throttles_arrays_only and wanted.update.throttle is not None

    def refuse(_job: Job, _task: int | None) -> None:
        raise SlurmError(f"{NOT_SUPPORTED} ({THROTTLE_DETAIL})")

    def change(job: Job, task: int | None) -> None:
        controller.update_job(job.job_id, wanted.update, invocation.now, uid=invocation.uid, task=task)

    complaints = []
    for text, found in _listed_alone(call, wanted.jobs):
        if head_only and found and found[0].job.array is None:
            complaints.append(f"{PROGRAM}: error: {THROTTLE_DETAIL}\n{NOT_SUPPORTED} for job {text}\n")
            continue
        lines, _ = _problems(0, text, found, refuse if head_only and "_" in text else change)
        complaints += [
            line for line in lines if controller.settings.profile.updates_name_all or not _says_nothing(line)
        ]
    return Reply(stderr=wanted.complaints + "".join(complaints), returncode=1 if complaints else 0)


def _says_nothing(line: str) -> bool:
    return line.endswith(f": {NO_ERROR}\n")


def suspend(call: Call) -> Reply:
    return _stop_or_go(call, call.controller.suspend)


def resume(call: Call) -> Reply:
    return _stop_or_go(call, call.controller.resume)


def _stop_or_go(call: Call, change: Callable[..., None]) -> Reply:
    """Numbers of jobs alone; one that is not known has an answer of its own (measured)."""
    call.wants(1, None)
    complaints = []
    for argument in call.arguments:
        for word in re.sub(r"\Ajob(id)?=", "", argument, flags=re.IGNORECASE).split(","):
            if not word:
                continue
            if not re.fullmatch("[0-9]+(_[0-9]+)?", word, re.ASCII):
                complaints.append(f"{INVALID_JOB_ID} for job {word}\n")
                continue
            found = _found(call.controller, word)
            if any(target.job.array is not None for target in found):
                raise unsupported(PROGRAM, f"{call.keyword} of an array")
            try:
                if not found:
                    raise SlurmError(UNEXPECTED_MESSAGE)
                change(found[0].job.job_id, call.invocation.now, uid=call.invocation.uid)
            except SlurmError as error:
                complaints.append(f"{error.message} for job {word}\n")
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def _change(call: Call, change: Callable[[Job, int | None], None]) -> Reply:
    """Do something to every job that is named; each argument that fails ends with a line of its own."""
    call.wants(1, None)
    complaints: list[str] = []
    for argument in call.arguments:
        failed = ""
        for text, found in _named(call, argument):
            lines, problem = _problems(call.invocation.uid, text, found, change)
            complaints += lines
            failed = problem or failed
        if failed:
            complaints.append(f"slurm_suspend error: {failed}\n")
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def _named(call: Call, argument: str) -> list[tuple[str, list[Target]]]:
    """The jobs that an argument of hold or release names, under the text that names them."""
    key, equals, value = argument.partition("=")
    if equals and key.lower() in ("name", "jobname"):
        jobs = [job for job in call.controller.jobs.values() if job.description.name == value and not job.finished]
        return [(job_label(job), [Target(job)]) for job in jobs]
    return _listed_alone(call, value if equals and key.lower() in ("job", "jobid") else argument)


def _listed_alone(call: Call, argument: str) -> list[tuple[str, list[Target]]]:
    """What the ids of a list mean, and nothing for one with something else in it."""
    listed = _listed(call, argument)
    if all(re.fullmatch(r"[0-9]+([_+].*)?", word, re.ASCII) for word, _ in listed):
        return listed
    return [(argument, [])]  # a list with something else in it is looked at no further (measured)


def _listed(call: Call, text: str) -> list[tuple[str, list[Target]]]:
    """What the ids of a list mean, each under its text."""
    return [(word, _found(call.controller, word)) for word in re.split(r"[ ,](?![^\[]*\])", text) if word]


def _found(controller: Controller, word: str) -> list[Target]:
    """What a job id, ``5_3`` or ``5_[1-3]`` means; nothing when it is none."""
    try:
        wanted = JobId.parse(word)
        if wanted.het_offset is not None:
            job = component(controller, wanted)
            return [] if job is None else [Target(job)]
        return targets(controller, wanted.job_id, tasks_of(wanted))[0]
    except JobIdError:
        return []


def is_meant(job: Job, number: int) -> bool:
    return number in (job.job_id, job.array_job_id)


def _problems(
    uid: int, text: str, found: list[Target], change: Callable[[Job, int | None], None]
) -> tuple[list[str], str]:
    """Do it to all of them. The lines about what has failed, and of a job that is in no array the problem alone."""
    answers = {target: _problem(target, uid, change) for target in found}
    if not re.fullmatch(r"[0-9]+_([0-9]+|\[[0-9,-]+\])", text, re.ASCII) and not any(one.job.array for one in found):
        problem = answers[found[0]] if found else INVALID_JOB_ID
        return [f"{problem} for job {text}\n"] if problem else [], problem
    by_task = {task: problem for target, problem in answers.items() for task in _tasks(target)}
    wanted = tasks_of(JobId.parse(text))
    for task in wanted or ():
        by_task.setdefault(task, INVALID_JOB_ID)
    if not any(by_task.values()):
        return [], ""
    groups: dict[str, list[int]] = {}
    for task in sorted(by_task):
        groups.setdefault(by_task[task], []).append(task)
    array = text.partition("_")[0] if wanted is not None else f"{found[0].job.array_job_id}"
    return [f"{array}_{range_text(tasks)}: {problem or NO_ERROR}\n" for problem, tasks in groups.items()], ""


def _tasks(target: Target) -> Sequence[int]:
    if target.task is not None:
        return (target.task,)
    if target.job.array_task_id is not None:
        return (target.job.array_task_id,)
    return () if target.job.array is None else tuple(target.job.array.pending)


def _problem(target: Target, uid: int, change: Callable[[Job, int | None], None]) -> str:
    if uid not in (0, target.job.description.uid):
        return NOT_YOURS
    try:
        change(target.job, target.task)
    except SlurmError as error:
        return error.message
    return ""
