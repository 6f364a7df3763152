"""What the controller knows: shared by the parts that decide about waiting and about running jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from heapq import heappop, heappush

from attrs import evolve

from fakeslurm import messages
from fakeslurm.jobarray import JobArray
from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import Effect, Job, JobDescription, Partition, Settings, Step
from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.resources import Resources
from fakeslurm.slurmctld.timers import Timers, next_scan
from fakeslurm.slurmdbd import TOLD_AFTER, Accounting
from fakeslurm.timelimits import NO_VAL
from slurmkit.slurm.states import JobState

__all__ = ["State"]

_FIRST_PRIORITY = 4294901759
"""Of the first job with priority/basic; every further one gets one less (measured)."""
_PURGE_PERIOD = 60.0
_SHORTEST_PURGE_PERIOD = 10.0


class State:
    """The job table, the nodes, the time, what is due, and what is to be done."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """As they are now: ``scontrol update`` changes partitions."""
        self.partitions: Mapping[str, Partition] = {one.name: one for one in settings.partitions}
        self.resources = Resources(settings)
        self.accounting = Accounting(settings)
        self.jobs: dict[int, Job] = {}
        self.job_count = 0
        """What MaxJobCount limits: the record of an array's elements that wait counts as many jobs as they are (measured)."""
        self.arrays: dict[int, JobArray] = {}
        """By job id, as long as one of its jobs is known."""
        self.demands: dict[int, Demand] = {}
        """What each job that waits needs."""
        self.freed_arrays: list[JobArray] = []
        """Of which an element has ended."""
        self.singletons: set[int] = set()
        """Jobs that wait for all others of their name."""
        self.running: dict[int, Job] = {}
        """Jobs that hold nodes, those completing among them."""
        self.timers = Timers()
        self._purges: list[tuple[float, bool, int]] = []
        """A heap of (when, whether it has the number of an array, job id): jobs that are to be forgotten."""
        self._forgotten_at: dict[int, float] = {}
        self.losing: set[int] = set()
        """Jobs that are forgotten as soon as they are over."""
        self.on_forgotten: list[Callable[[int, float], None]] = []
        """While there is one jobs are forgotten as soon as they are over; all are told the id and the time."""
        self.effects: list[Effect] = []
        self.touched: dict[int, Job] = {}
        """Jobs of which something that their history is made of may have changed."""
        self.forgotten: list[Job] = []
        """Jobs that are in `jobs` no more."""
        self._latest_description = JobDescription()
        self._next_job_id = settings.first_job_id
        self._next_priority = _FIRST_PRIORITY
        self._next_place = 0
        self.now = -math.inf
        """There is no time before the first event."""
        self._origin = 0.0

    def advance(self, now: float) -> None:
        """It is `now`. The periodic scans count from the first time that is told."""
        if self.now == -math.inf:
            self._origin = now
        elif now < self.now:
            raise ValueError(f"now={now!r} is before {self.now!r}: the controller's time does not go back")
        self.now = now

    def next_scan(self, time: float, period: float) -> float:
        """The first of the scans every `period` seconds that is not before `time`."""
        return next_scan(time, self._origin, period)

    def take_id(self) -> int:
        """The next job id that is not in use, which is used up."""
        while self._next_job_id in self.jobs:
            self._next_job_id += 1
        self._next_job_id += 1
        return self._next_job_id - 1

    def shared(self, description: JobDescription) -> JobDescription:
        """The one that came before, if they are equal: jobs in a row often are alike, and it is the most of what is kept of a job."""
        if description != self._latest_description:
            self._latest_description = description
        return self._latest_description

    def start_ids_again(self) -> None:
        """The next job has the first id."""
        self._next_job_id = self.settings.first_job_id

    def priority_of(self, description: JobDescription) -> int:
        """The priority asked for, or the next one."""
        if description.priority is not None:
            return description.priority
        priority = self._next_priority
        self._next_priority -= 1
        return max(priority - description.nice, 1)

    def take_back_priority(self, job: Job) -> None:
        """A job that was over when it was submitted has got none but what it asked for: the next one gets it (measured)."""
        job.over_when_submitted = True
        if job.description.priority is None:
            job.priority = NO_VAL
            self._next_priority += 1

    def add(self, job: Job) -> None:
        """A new job, at the end of the list."""
        self.jobs[job.job_id] = job
        self.job_count += _count(job)
        job.touched = self.touched
        self.touched[job.job_id] = job
        self.move_to_end(job)

    def move_to_end(self, job: Job) -> None:
        job.place = self._next_place
        self._next_place += 1

    def change_partition(self, new: Partition) -> None:
        """Put it in the place of the one of the same name. A new default partition takes that from the others."""
        others = [evolve(one, default=one.default and not new.default) for one in self.settings.partitions]
        partitions = [new if one.name == new.name else one for one in others]
        self.settings = evolve(self.settings, partitions=partitions)
        self.partitions = {one.name: one for one in partitions}

    def changed(self, job: Job) -> None:
        """Tell accounting: of a job that it knows, and that has been suspended, not when it was eligible (measured)."""
        if job.suspend_time is None or job.state is JobState.PENDING or self._may_be_unknown(job):
            job.accounted_eligible = None
        self.accounting.changed(job, self.now)

    def waits_for(self, job: Job, reason: str) -> None:
        """Why a job waits, if it is not for its turn: sacct keeps that."""
        job.waited_for = reason
        if job.told_reason == Reason.NONE and self._may_be_unknown(job):
            job.told_reason = reason

    def _may_be_unknown(self, job: Job) -> bool:
        """To accounting, which is told of new jobs some seconds later."""
        return not self.settings.profile.accounts_at_submission and self.now - job.submit_time <= TOLD_AFTER

    def known(self, job_id: int) -> Job:
        """Raises SlurmError when there is no such job in memory."""
        job = self.jobs.get(job_id)
        if job is None:
            raise SlurmError(messages.INVALID_JOB_ID)
        return job

    def owned(self, job_id: int, uid: int) -> Job:
        """Like `known`, for the job's user or root alone."""
        job = self.known(job_id)
        if uid not in (0, job.description.uid):
            raise SlurmError(messages.ACCESS_DENIED)
        return job

    def step_of(self, job_id: int, step_id: int) -> Step:
        step = self.known(job_id).steps.get(step_id)
        if step is None:
            raise LookupError(f"job {job_id} has no step {step_id}")
        return step

    def forget_later(self, job: Job) -> None:
        """A job is over for good: MinJobAge begins. The scan takes place every 60 s, or less for a small MinJobAge (controller.c)."""
        age = self.settings.min_job_age
        if self.on_forgotten or job.job_id in self.losing:
            self.losing.discard(job.job_id)
            self._forget_at(job, self.now)
        elif age > 0 and job.end_time is not None:
            self._forget_at(job, self.next_scan(max(job.end_time + age, self.now), self._purge_period))

    @property
    def _purge_period(self) -> float:
        age = self.settings.min_job_age or _PURGE_PERIOD
        return _PURGE_PERIOD if age >= _PURGE_PERIOD else max(_SHORTEST_PURGE_PERIOD, age)

    @property
    def next_purge(self) -> float:
        """When Slurm looks next for jobs to forget."""
        return self.next_scan(self.now, self._purge_period)

    def _forget_at(self, job: Job, time: float) -> None:
        self._forgotten_at[job.job_id] = time
        heappush(self._purges, (time, job.array_job_id == job.job_id, job.job_id))

    def forget_now(self) -> list[int]:
        """Forget every job that is over; the arrays of which nothing is left."""
        over = [self.jobs[job_id] for job_id in self._forgotten_at]
        over += [job for job in self.jobs.values() if job.job_id not in self._forgotten_at and _is_over(job)]
        for job in over:
            self._forget_at(job, self.now)
        return self.forget()

    def keep(self, job: Job) -> None:
        """A job that was over is not: undo `forget_later`."""
        self._forgotten_at.pop(job.job_id, None)

    def forget(self) -> list[int]:
        """Drop the jobs whose time has come; the one with an array's number when there is no other of the array (measured).

        Returns the ids of the arrays of which nothing is left.
        """
        arrays: list[int] = []
        if not self._purges or self._purges[0][0] > self.now:
            return arrays
        while self._purges and self._purges[0][0] <= self.now:
            time, _, job_id = heappop(self._purges)
            if self._forgotten_at.get(job_id) != time:
                continue  # it was requeued
            job = self.jobs[job_id]
            if job.array_job_id == job_id and job.array is not None and job.array.known_jobs > 1:
                self._forget_at(job, time + self._purge_period)
                continue
            del self._forgotten_at[job_id]
            del self.jobs[job_id]
            self.forgotten.append(job)
            self.job_count -= _count(job)
            for tell in self.on_forgotten:
                tell(job_id, self.now)
            if job.array is not None:
                job.array.forget(job.array_task_id)
                if not job.array.known_jobs:
                    del self.arrays[job.array.job_id]
                    arrays.append(job.array.job_id)
                elif self.on_forgotten and job.array.job_id in self._forgotten_at:
                    self._forget_at(self.jobs[job.array.job_id], self.now)
        return arrays

    def next_deadline(self) -> float | None:
        timer = self.timers.next()
        if not self._purges:
            return timer
        purge = self._purges[0][0]
        return purge if timer is None else min(timer, purge)


def _count(job: Job) -> int:
    """A record of which nothing is left counts as well, until it is forgotten (measured)."""
    return max(1, len(job.array.pending)) if job.array is not None and job.is_unsplit else 1


def _is_over(job: Job) -> bool:
    return job.finished and not job.completing
