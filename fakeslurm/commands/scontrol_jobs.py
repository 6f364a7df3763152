"""``scontrol`` hold, uhold, release, requeue, requeuehold, suspend, resume and update of jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fakeslurm.commands import jobupdate
from fakeslurm.commands.answers import unsupported
from fakeslurm.commands.arrayjobs import jobs_of
from fakeslurm.commands.base import Reply
from fakeslurm.commands.joblists import Change, Named, act, named, without_key
from fakeslurm.commands.jobtexts import job_label
from fakeslurm.commands.scontrol_call import PROGRAM, Call
from fakeslurm.messages import (
    INVALID_JOB_ID,
    NO_ERROR,
    NOT_SUPPORTED,
    NOT_WHOLE_HET_JOB,
    THROTTLE_DETAIL,
    UNEXPECTED_MESSAGE,
    SlurmError,
)
from fakeslurm.slurmctld.jobupdate import JobUpdate
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.model import Job

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
    now, uid = call.invocation.now, call.invocation.uid

    def change(job: Job, _task: int | None) -> None:
        call.controller.requeue(job.job_id, now, uid=uid, hold=hold)

    return _each(call, change, keyed=not hold)


def _each(call: Call, change: Change, *, unknown: str = INVALID_JOB_ID, part: str = "", keyed: bool = True) -> Reply:
    """Do something to every job of every list; `keyed`: there may be a ``jobid=`` before it. The others as of `act`."""
    call.wants(1, None)
    complaints: list[str] = []
    with call.controller.one_command():
        for argument in call.arguments:
            for one in named(without_key(argument) if keyed else argument):
                complaints += act(call.controller, one, call.invocation.uid, change, unknown=unknown, part=part)[0]
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def update(call: Call) -> Reply:
    """Every id has its own complaint; of an array's elements those that were changed are named as well, before 24.11."""
    wanted = jobupdate.read(call)
    with call.controller.one_command():
        complaints = _updated(call, wanted)
    return Reply(stderr=wanted.complaints + "".join(complaints), returncode=1 if complaints else 0)


def _updated(call: Call, wanted: jobupdate.Wanted) -> list[str]:
    controller, invocation = call.controller, call.invocation
    head_only = controller.settings.profile.throttles_arrays_only and wanted.update.throttle is not None

    def refuse(job: Job, task: int | None) -> None:
        if task is not None:  # it is split off all the same
            controller.update_job(job.job_id, JobUpdate(), invocation.now, uid=invocation.uid, task=task)
        raise SlurmError(f"{NOT_SUPPORTED} ({THROTTLE_DETAIL})")

    def change(job: Job, task: int | None) -> None:
        controller.update_job(job.job_id, wanted.update, invocation.now, uid=invocation.uid, task=task)

    complaints = []
    for one in named(wanted.jobs):
        jobs = jobs_of(controller, one.job_id) if one.valid else []
        if head_only and jobs and jobs[0].array is None:
            complaints.append(f"{PROGRAM}: error: {THROTTLE_DETAIL}\n{NOT_SUPPORTED} for job {one.text}\n")
            continue
        doing = refuse if head_only and one.tasks is not None else change
        lines, _ = act(controller, one, 0, doing, splits=True, leader_alone=False)
        complaints += [
            line for line in lines if controller.settings.profile.updates_name_all or not _says_nothing(line)
        ]
    return complaints


def _says_nothing(line: str) -> bool:
    return line.endswith(f": {NO_ERROR}\n")


def suspend(call: Call) -> Reply:
    return _stop_or_go(call, call.controller.suspend)


def resume(call: Call) -> Reply:
    return _stop_or_go(call, call.controller.resume)


def _stop_or_go(call: Call, stop_or_go: Callable[..., None]) -> Reply:
    """One that is not known has an answer of its own (measured)."""
    now, uid = call.invocation.now, call.invocation.uid

    def change(job: Job, _task: int | None) -> None:
        stop_or_go(job.job_id, now, uid=uid)

    return _each(call, change, unknown=UNEXPECTED_MESSAGE, part=NOT_WHOLE_HET_JOB)


def _change(call: Call, change: Change) -> Reply:
    """Do something to every job that is named; each argument that fails ends with a line of its own."""
    call.wants(1, None)
    complaints: list[str] = []
    with call.controller.one_command():
        for argument in call.arguments:
            key, equals, name = argument.partition("=")
            by_name = equals and key.lower() in ("name", "jobname")
            lines, failed = _to_those_called(call, name, change) if by_name else _to_listed(call, argument, change)
            complaints += lines
            if failed:
                complaints.append(f"slurm_suspend error: {failed}\n")
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def _to_listed(call: Call, argument: str, change: Change) -> tuple[list[str], str]:
    complaints, failed = list[str](), ""
    for one in named(without_key(argument)):
        lines, problem = _to_named(call, one, change)
        complaints += lines
        failed = problem or failed
    return complaints, failed


def _to_those_called(call: Call, name: str, change: Change) -> tuple[list[str], str]:
    """Elements that wait no more are passed over; with any other such job it has failed, though nothing is said of that (measured)."""
    complaints, failed, problem = list[str](), False, ""
    for job in [job for job in call.controller.jobs.values() if job.description.name == name]:
        waits = job.state is JobState.PENDING
        if not waits and job.array_task_id is not None:
            continue
        (one,) = named(job_label(job))
        if job.array is not None and job.is_unsplit and job.array.pending:
            one = Named(one.text, one.job_id, tuple(job.array.pending))
        lines, problem = _to_named(call, one, change)
        complaints += lines
        failed = failed or bool(problem) or not waits
    return complaints, (problem or NO_ERROR) if failed else ""


def _to_named(call: Call, one: Named, change: Change) -> tuple[list[str], str]:
    return act(call.controller, one, call.invocation.uid, change, splits=True, leader_alone=False)


def is_meant(job: Job, number: int) -> bool:
    return number in (job.job_id, job.array_job_id)
