"""What users and operators ask of jobs that are there: cancel, hold, release, update, suspend, resume, requeue."""

from __future__ import annotations

from signal import SIGKILL

from fakeslurm import messages
from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import Job, Scope, StepId
from fakeslurm.slurmctld import admission
from fakeslurm.slurmctld.jobupdate import JobUpdate, JobUpdates
from fakeslurm.slurmctld.running import Running
from fakeslurm.slurmctld.state import State
from fakeslurm.slurmctld.suspension import Suspension
from fakeslurm.slurmctld.waiting import Waiting
from slurmkit.slurm.states import JobState

__all__ = ["Requests"]


class Requests:
    """Decides what becomes of them; `Controller` says what each is. All raise SlurmError with Slurm's words when they are refused."""

    def __init__(self, state: State, waiting: Waiting, running: Running, suspension: Suspension) -> None:
        self._state = state
        self._waiting = waiting
        self._running = running
        self._suspension = suspension
        self._updates = JobUpdates(state, waiting, running)

    def cancel(self, job_id: int, uid: int, task: int | None, signal: int | None, scope: Scope | None) -> None:
        job = self._state.owned(job_id, uid)
        waits = task is not None and job.array is not None and task in job.array.pending
        if task is not None and job.array is not None and not waits:
            job = self._state.known(job.array.elements.get(task, 0))  # it has been split off at this very moment
        if job.finished:
            raise SlurmError(messages.ALREADY_DONE if signal in (None, SIGKILL) else messages.INVALID_JOB_ID)
        if job.het is not None and not job.leads and job.state is JobState.PENDING:
            raise SlurmError(messages.NOT_WHOLE_HET_JOB)
        if job.het is not None and not job.leads and scope == "batch":
            raise messages.unsupported("--batch with a component of a heterogeneous job")
        suspended = job.state is JobState.SUSPENDED
        if suspended and signal not in (None, SIGKILL):
            raise messages.unsupported("a signal to a suspended job")
        if not suspended and scope == "batch" and job.batch is not None and job.batch.running:
            self._running.signal_job(job, SIGKILL if signal is None else signal, "batch")
        elif signal is not None and signal != SIGKILL:
            if job.state is JobState.PENDING:
                raise SlurmError(messages.JOB_PENDING)
            for one in self._components(job) if scope != "batch" else [job]:
                self._running.signal_job(one, signal, scope or "steps")
        else:
            if waits and task is not None:
                self._waiting.drop(job, task, uid)
            elif job.state is JobState.PENDING:
                for one in self._components(job):
                    one.cancelled_by = uid
                    if one.requeued:
                        self._running.cancel_requeue(one)
                    else:
                        self._waiting.end(one, JobState.CANCELLED)
            else:
                job.cancelled_by = uid
                self._running.terminate(job, JobState.CANCELLED, job.reason, messages.CANCELLED_AT)

    def _components(self, job: Job) -> list[Job]:
        """What is meant by the leader of a heterogeneous job: all components that are not over; else the job alone."""
        if job.het is None or not job.leads:
            return [job]
        known = [self._state.jobs.get(job_id) for job_id in job.het.members]
        return [one for one in known if one is not None and not one.finished]

    def cancel_step(self, job_id: int, step_id: StepId, uid: int, signal: int | None) -> None:
        job = self._state.owned(job_id, uid)
        step = job.step(step_id)
        if step is None:
            raise SlurmError(messages.INVALID_JOB_ID)
        if not step.running:
            raise SlurmError(messages.ALREADY_DONE)
        if self._running.is_stopped(job) and signal not in (None, SIGKILL):
            raise SlurmError(messages.STEP_NOT_RUNNING)
        if signal is None:
            step.cancelled_by = uid
        self._running.signal_step(job, step, SIGKILL if signal is None else signal, cancelled=signal is None)

    def hold(self, job_id: int, uid: int, task: int | None, *, by_user: bool) -> None:
        job = self._element(self._state.owned(job_id, uid), task)
        self._waiting.hold(job, Reason.HELD_BY_USER if by_user or uid != 0 else Reason.HELD_BY_ADMIN)

    def release(self, job_id: int, uid: int, task: int | None) -> None:
        self._waiting.release(self._element(self._state.owned(job_id, uid), task), uid)

    def _element(self, job: Job, task: int | None) -> Job:
        """The job, or the element that is split off of it in order to be changed by itself."""
        if task is None or job.array is None:
            return job
        if task not in job.array.pending:
            return self._state.known(job.array.elements.get(task, 0))
        element = self._waiting.split(job, task, told=True)
        if not element.fits_nowhere:
            self._waiting.consider(element)
        return element

    def update(self, job_id: int, update: JobUpdate, uid: int, task: int | None) -> None:
        job = self._state.known(job_id)
        if job.het is not None:
            raise messages.unsupported("scontrol update of a heterogeneous job")
        self._updates.update(self._element(job, task), update, uid)

    def notify(self, job_id: int, text: str, uid: int) -> None:
        job = self._state.owned(job_id, uid)
        if job.array is not None:
            raise messages.unsupported("notifying the elements of an array")
        if job.state is JobState.PENDING:
            raise SlurmError(messages.DISABLED)
        if job.state is not JobState.RUNNING:  # a suspended one neither (measured)
            raise SlurmError(messages.ALREADY_DONE)
        if job.batch is None:
            raise messages.unsupported("notifying an allocation")
        self._running.notify(job, job.batch, text)

    def suspend(self, job_id: int, uid: int) -> None:
        for job in self._components(self._unfinished(job_id, uid)):
            if job.state is JobState.RUNNING:
                self._suspension.suspend(job)

    def resume(self, job_id: int, uid: int) -> None:
        job = self._unfinished(job_id, uid)
        if job.state is not JobState.SUSPENDED:
            raise SlurmError(messages.NOT_SUSPENDED)
        for one in self._components(job):
            self._suspension.resume(one, self._state.priority_of(one.description))

    def _unfinished(self, job_id: int, uid: int) -> Job:
        """A job that runs or is suspended. Slurm lets its operators alone suspend jobs; what others hear is not measured."""
        if uid != 0:
            raise messages.unsupported("suspending and resuming jobs as anybody but root")
        if (
            self._state.settings.suspends
        ):  # what stands still is resumed beside its preemptor, and nodes stay allocated (measured)
            raise messages.unsupported("scontrol suspend and resume with PreemptMode=SUSPEND,GANG")
        job = self._state.known(job_id)
        if job.het is not None and not job.leads:
            raise SlurmError(messages.NOT_WHOLE_HET_JOB)
        if job.state is JobState.PENDING:
            raise SlurmError(messages.JOB_PENDING)
        if job.finished:
            raise SlurmError(messages.ALREADY_DONE)
        return job

    def requeue(self, job_id: int, uid: int, *, hold: bool) -> None:
        job = self._state.owned(job_id, uid)
        if job.het is not None:
            if not job.leads:
                raise SlurmError(messages.NOT_HET_JOB_LEADER)
            if job.finished or len(self._components(job)) < len(job.het.members):
                raise messages.unsupported("requeueing a heterogeneous job of which a component is over")
        if job.description.script is None:
            raise SlurmError(messages.ONLY_BATCH)
        if not admission.may_requeue(job.description, self._state.settings):
            raise SlurmError(messages.DISABLED)
        if job.state is JobState.PENDING:
            raise SlurmError(messages.JOB_PENDING)
        if hold:
            for one in self._components(job):
                if one.over_when_submitted or not self._state.settings.profile.accounting_hears_of_requeue_hold:
                    one.accounted_priority = one.priority
                one.priority = 0
        if job.finished and job.completing:
            self._running.requeue_ended(job, Reason.REQUEUED_HELD if hold else Reason.NONE)
        elif job.finished:
            self._waiting.requeue_finished(job, hold=hold)
        else:
            reason = self._running.reason_to_wait(job)
            job.preempted_next = job.grace_end is not None or job.preempted_next
            self._running.requeue(job, Reason.REQUEUED_HELD if hold else reason, messages.DUE_TO_REQUEUE)

    def refuse_allocation(self, job_id: int) -> None:
        job = self._state.known(job_id)
        if job.state is JobState.PENDING:
            self._waiting.refuse(job)

    def release_allocation(self, job_id: int, wait_status: int) -> None:
        job = self._state.known(job_id)
        if job.state is JobState.PENDING:
            job.cancelled_by = job.description.uid
            self._waiting.end(job, JobState.CANCELLED)
        elif job.state in (JobState.RUNNING, JobState.SUSPENDED):
            self._running.end_by_status(job, wait_status)
        # With its node srun has lost the tasks, and tells nothing (measured).
        elif job.nodes and job.state is not JobState.NODE_FAIL and not job.wait_status:
            job.wait_status = wait_status
