"""Jobs that wait: how they are submitted, what they wait for, and how they end without having run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from math import floor

from attrs import evolve

from fakeslurm import messages
from fakeslurm.hetjob import HetJob
from fakeslurm.jobarray import ACCRUED_AFTER, JobArray, job_array
from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import Job, JobDescription
from fakeslurm.slurmctld import admission, arrayrecords, hetjob, submission
from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.dependencies import Dependencies, Verdict
from fakeslurm.slurmctld.dependents import Dependents
from fakeslurm.slurmctld.obstacles import Obstacles
from fakeslurm.slurmctld.scheduler import Request, Scheduler
from fakeslurm.slurmctld.state import State
from fakeslurm.slurmctld.timers import NEXT_PASS
from slurmkit.slurm.states import JobState

__all__ = ["Waiting"]

_SPLIT_AHEAD = 10
"""How many elements of an array wait as jobs of their own for those that they correspond to (correspond_after_task_cnt)."""
_REFUSED = 1
"""The wait status of a job that was refused although it had an id already: scontrol shows 0:1 (measured)."""


class Waiting:
    """Decides about pending jobs until the scheduler starts them."""

    def __init__(self, state: State, scheduler: Scheduler, obstacles: Obstacles) -> None:
        self._state = state
        self._scheduler = scheduler
        self._obstacles = obstacles
        self._dependents = Dependents(state)
        self._splitting: set[int] = set()
        """The records of which elements are being split off ahead."""
        self._behind_starts: set[int] = set()
        """Jobs that wait for the start of others, of which some has started since they were looked at."""

    # Submission

    def submit(self, description: JobDescription) -> Job:
        """A new job, pending. Raises SlurmError; some refusals leave a FAILED job behind, as Slurm does."""
        job = self._create(description)
        self._look_at_once(job)
        self.consider(job)
        if job.reason == Reason.DEPENDENCY_NEVER_SATISFIED and job.finished and job.array is None:
            self._state.take_back_priority(job)
        self._state.changed(job)
        return job

    def submit_het(self, descriptions: Sequence[JobDescription]) -> Job:
        """The components of a heterogeneous job; the leader. When one is refused those before it are left, CANCELLED (measured)."""
        jobs: list[Job] = []
        try:
            for description in hetjob.checked(descriptions, self._state.settings):
                jobs.append(self._create(description))
        finally:
            het = HetJob(tuple(job.job_id for job in jobs))
            for job in jobs:
                job.het = het
                if len(jobs) < len(descriptions):
                    job.wait_status = _REFUSED
                    job.eligible_time = self._state.now
                    self.end(job, JobState.CANCELLED)
        for job in jobs:
            self.consider(job)
            self._state.changed(job)
        return jobs[0]

    def _create(self, description: JobDescription) -> Job:
        """A new job that nobody has considered yet. Raises SlurmError."""
        state = self._state
        description = state.shared(description)
        partitions, demand = submission.check(description, state)
        job_id = state.take_id()
        dependencies = self._dependents.parse(job_id, description)
        admission.check_features(description, state.settings)
        problem = None if description.hold else self._obstacles.problem(description, demand, partitions)
        job = submission.make_job(job_id, description, demand, partitions, state)
        if description.array:
            job.array = state.arrays[job_id] = job_array(job_id, description.array)
        if not description.hold:
            self._obstacles.look(job, demand, [one.name for one in partitions])
        state.add(job)
        if problem is not None:
            waits = dependencies is not None and self._would_wait(job, dependencies)
            if job.eligible_time is None and not description.array and not waits:  # measured
                job.eligible_time = state.now
            self.refuse(job, minds_others=dependencies is not None)
            raise problem
        state.demands[job_id] = demand
        if dependencies is not None:
            self._dependents.add(job_id, dependencies)
        return job

    def _would_wait(self, job: Job, dependencies: Dependencies) -> bool:
        """Whether a job that is refused would have to wait for others; it shows for whom.

        Slurm has looked at these by then, but for those of an array (measured).
        """
        verdict = Verdict.WAITING if job.array is not None else dependencies.evaluate(job, self._state.now)
        job.dependency = str(dependencies)
        if verdict is Verdict.FAILED and self._kills(job):
            self._state.take_back_priority(job)
        return verdict is not Verdict.SATISFIED

    def refuse(self, job: Job, *, minds_others: bool = False) -> None:
        """It is over before it could wait. `minds_others`: for others, so that accounting knows since when it could have started."""
        state = self._state
        job.reason = Reason.BAD_CONSTRAINTS
        job.wait_status = _REFUSED
        self.end(job, JobState.FAILED)
        if not (minds_others or state.settings.profile.accounting_hears_of_eligible_misfits):
            job.accounted_eligible = 0.0
            state.accounting.changed(job, state.now)

    def _look_at_once(self, job: Job) -> None:
        """A new array that may start stays one record: no element is split off for what it corresponds to (measured)."""
        now = self._state.now
        if not job.is_unsplit or not job.priority or (job.description.begin or 0) > now:
            return
        if job.job_id in self._dependents and self._dependents[job.job_id].are_satisfied(job, now):
            self._dependents.drop(job.job_id)

    # Waiting

    def consider(self, job: Job) -> None:
        """Queue a pending job, or say why it has to wait."""
        job_id = job.job_id
        self._forget_start(job_id)
        if job_id in self._dependents:
            if job.is_unsplit and self._dependents[job_id].corresponding:
                self._split_ahead(job)
                return
            job.dependency = str(self._dependents[job_id])
        self._watch_deadline(job)
        if job.priority == 0:
            self._explain_hold(job)
            self._look_later(job)
            return
        if job_id in self._dependents and not self._is_independent(job):
            return
        state = self._state
        description = job.description
        if job.array is not None:
            job.array.postponed.discard(job_id)
        if description.begin is not None and description.begin > state.now:
            self._wait_for_begin(job)
            job.eligible_time = description.begin
            state.timers.set("begin", job_id, description.begin)
            return
        if job.eligible_time is None:
            job.eligible_time, job.accounted_eligible = state.now, None
        if not self._can_be_in_time(job):
            return
        if job.array is not None:
            job.array.waiting.add(job_id)
            if job.array.is_full:  # which is all that anybody looks at (measured)
                self._wait_for_limit(job)
                return
        demand = self._state.demands[job_id]
        partitions = [self._state.partitions[name] for name in job.partition.split(",")]
        partitions.sort(key=lambda one: -one.priority_tier)
        job.partition = ",".join(one.name for one in partitions)  # and so it is shown from now on (measured)
        obstacles = self._obstacles.of(description, demand, partitions)
        usable = tuple(one.name for one, reason in zip(partitions, obstacles, strict=True) if reason is None)
        others = [reason for reason in obstacles if reason is not None and reason is not Reason.BAD_CONSTRAINTS]
        if usable:
            job.reason = Reason.NONE
            self._scheduler.add(job, Request(demand=demand, partitions=usable))
        elif others:
            self._wait(job, others[0])
            if job.is_unsplit:  # which accounting is told of again when the scheduler has looked at it (measured)
                job.told_reason = job.waited_for
        else:
            job.reason = Reason.BAD_CONSTRAINTS
            job.priority = 0
            job.fits_nowhere = True

    def _can_be_in_time(self, job: Job) -> bool:
        """Whether a job that may start could still end before its deadline; one that could not is over."""
        latest, state = admission.latest_start(job.description), self._state
        if latest is None:
            return True
        if floor(state.now) <= latest:  # in whole seconds, as Slurm counts
            state.timers.set("deadline", job.job_id, floor(latest) + 1.0)
            return True
        self._end_late(job)
        return False

    def _watch_deadline(self, job: Job) -> None:
        """One that may not start yet is looked at with the time limits of running ones, or not at all (measured)."""
        latest, state = admission.latest_start(job.description), self._state
        if latest is not None and state.settings.profile.looks_at_deadlines_early:
            look = state.next_scan(max(floor(latest) + 1.0, state.now), state.settings.limit_scan)
            state.timers.set("deadline", job.job_id, look)

    def look_at_deadline(self, job: Job) -> None:
        """It cannot end before its deadline any more. Where Slurm looks only at what may start, see whether it may."""
        if self._state.settings.profile.looks_at_deadlines_early:
            self._end_late(job)
        else:
            self.consider(job)

    def _end_late(self, job: Job) -> None:
        job.reason = Reason.DEADLINE
        job.wait_status = _REFUSED
        self.end(job, JobState.DEADLINE)

    def partition_changed(self, name: str) -> None:
        """A partition has other limits, or another state, than before: look again at those that wait for it."""
        self._obstacles.partitions_changed()
        for job in list(self._state.jobs.values()):
            if (
                job.state is JobState.PENDING
                and job.priority
                and not job.completing
                and name in job.partition.split(",")
            ):
                self._leave_queue(job)
                self.consider(job)

    def changed(self, job: Job) -> None:
        """A pending job is another one than before: look at all of it again."""
        self._leave_queue(job)
        for what in ("begin", "depend", "ineligible", "deadline"):
            self._state.timers.clear(what, job.job_id)
        self._resize(job)
        self._consider_anew(job)

    def _consider_anew(self, job: Job) -> None:
        """As one that may be killed for what it waits for."""
        if job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
            job.reason = Reason.NONE
        self.consider(job)

    def _resize(self, job: Job) -> None:
        looked_up = job.num_nodes
        submission.resize(job, self._state)
        if job.looked_at:
            job.num_nodes = looked_up

    def recount(self, job: Job) -> bool:
        """Updates of a job, holding and releasing among them, count the tasks of one that waits anew, also if they are refused then; one that
        runs may not be another one (measured). Whether it is another one."""
        if not self._state.settings.profile.updates_count_tasks:
            return False
        demand = submission.demand_as_counted(job, self._state)
        changes = demand.counted_anew(job.requested_nodes) != demand
        if job.state is JobState.PENDING:
            job.recounted = True
            if changes and not job.requeued:
                self._resize(job)
        elif changes:
            raise SlurmError(messages.JOB_NOT_PENDING)
        return changes

    def count_tres(self, job: Job) -> None:
        """The update that has counted anew was not refused: that is in ReqTRES, and where the job could run is looked up again (measured)."""
        job.counted_cpus = job.num_cpus
        job.looked_at = False
        self._resize(job)

    def depend(self, job: Job, text: str) -> None:
        """Let a pending job wait for others than before; for none with an empty text. Raises SlurmError."""
        dependencies = self._dependents.parse(job.job_id, evolve(job.description, dependency=text))
        if dependencies is not None and job.array_task_id is not None:
            dependencies = dependencies.of_element(job.array_task_id)
        if job.job_id in self._dependents:
            self._dependents.drop(job.job_id)
        self._forget_start(job.job_id)
        job.dependency = ""
        if dependencies is not None:
            self._dependents.add(job.job_id, dependencies)

    def _no_longer_eligible(self, job: Job) -> None:
        """A begin that is to come stays, and so does one in this very second (measured)."""
        if job.eligible_time is not None and floor(job.eligible_time) < floor(self._state.now):
            submission.postpone(job, None)

    def _is_independent(self, job: Job) -> bool:
        """Whether the dependencies are satisfied; if not, why is in the job."""
        dependencies = self._dependents[job.job_id]
        verdict = dependencies.evaluate(job, self._state.now)
        job.dependency = str(dependencies)
        if verdict is Verdict.SATISFIED:
            self._dependents.drop(job.job_id)
            self._state.timers.clear("depend", job.job_id)  # of a condition that did not have to come true
            self._state.timers.clear("ineligible", job.job_id)
            return True
        if job.eligible_time is not None:
            look = max(floor(job.eligible_time) + 1.0, self._state.now)
            self._state.timers.set("ineligible", job.job_id, look)
        if verdict is Verdict.FAILED:
            if not self._is_killed(job):
                self._wait(job, Reason.DEPENDENCY_NEVER_SATISFIED)
            return False
        due = dependencies.due()
        if due is not None:
            self._state.timers.set("depend", job.job_id, due)
        self._wait(job, Reason.DEPENDENCY)
        return False

    def look_at_dependent(self, job: Job) -> None:
        """It could have started by now but for the jobs that it waits for. Accounting is not told, and a held job not looked at (measured)."""
        if job.priority and job.job_id in self._dependents:
            told = job.eligible_time if job.accounted_eligible is None else job.accounted_eligible
            self._no_longer_eligible(job)
            job.accounted_eligible = told

    def _is_killed(self, job: Job) -> bool:
        """Whether a job is over as what it waits for will never come true: not if it waits with that reason, as once requeued (measured)."""
        killed = self._kills(job) and job.reason is not Reason.DEPENDENCY_NEVER_SATISFIED
        if killed:
            job.reason = Reason.DEPENDENCY_NEVER_SATISFIED  # sacct keeps what it waited for (measured)
            self.end(job, JobState.CANCELLED)
        return killed

    def _kills(self, job: Job) -> bool:
        """Whether a job is to be over when what it waits for will never come true."""
        kill = job.description.kill_on_invalid_dep
        return any(kill) if kill else self._state.settings.kill_invalid_dependency

    def _look_later(self, job: Job) -> None:
        """Slurm looks at what a held job waits for only now and then, when it looks for jobs to forget (measured)."""
        if job.job_id in self._dependents:
            self._state.timers.set("purge", job.job_id, self._state.next_purge)

    def look_at_held(self, job: Job) -> None:
        """See `_look_later`."""
        dependencies = self._dependents[job.job_id]
        verdict = dependencies.evaluate(job, self._state.now)
        job.dependency = str(dependencies)
        if verdict is Verdict.SATISFIED:
            self._dependents.drop(job.job_id)
        elif verdict is Verdict.FAILED and not self._is_killed(job):
            self._wait(job, Reason.HELD_BY_ADMIN)  # whoever has held it (measured)

    def _explain_hold(self, job: Job) -> None:
        if job.reason in (Reason.REQUEUED_HELD, Reason.LAUNCH_FAILED_HELD):
            return
        # One that was requeued when it was suspended waits without a priority (measured).
        requeued = job.restart_count and job.reason != Reason.HELD_BY_USER
        by_admin = requeued or job.reason == Reason.HELD_BY_ADMIN
        self._wait(job, Reason.HELD_BY_ADMIN if by_admin else Reason.HELD_BY_USER)

    def _wait(self, job: Job, reason: Reason) -> None:
        """Say why a job waits, if it is not for its turn: sacct keeps that, unless it runs and is held for later (measured)."""
        job.reason = reason
        if job.state is JobState.PENDING:
            self._state.waits_for(job, reason)

    def tell_of_start(self, job: Job) -> None:
        """A job has started. Slurm looks at those that wait for that when it looks for jobs to start the next time (measured)."""
        for dependent in self._dependents.waiting_for(job):
            if self._dependents[dependent].minds_starts and dependent not in self._behind_starts:
                self._behind_starts.add(dependent)
                self._state.timers.set("started", dependent, self._state.now + NEXT_PASS)

    def _forget_start(self, job_id: int) -> None:
        """A job does not have to be looked at any more because another one has started."""
        if job_id in self._behind_starts:
            self._behind_starts.discard(job_id)
            self._state.timers.clear("started", job_id)

    def tell_dependents(self, job: Job, task: int | None = None) -> None:
        """A job is over for good: look again at those that wait for it, or for starts before it. `task`: of the record of an array this one."""
        self._look_again(self._behind_starts.union(self._dependents.waiting_for(job, task)))

    def tell_dependents_of_array(self, job_id: int) -> None:
        """Nothing of an array is known any more: nobody has to wait for it."""
        self._look_again(self._dependents.waiting_for_array(job_id))

    def tell_namesakes(self, job: Job) -> None:
        """A job has ended, though its processes may linger, or waits again: look at those of its name that wait for all others."""
        self._look_again(self._dependents.namesakes(job))

    def _look_again(self, job_ids: Collection[int]) -> None:
        if not job_ids:
            return
        for dependent in sorted((self._state.jobs[one] for one in job_ids), key=lambda one: one.turn):
            if dependent.job_id in self._dependents:
                self.consider(dependent)

    def hold(self, job: Job, reason: Reason) -> None:
        """Not to start until it is released. A running job is held for the case that it is requeued (measured)."""
        if job.finished:
            raise SlurmError(messages.JOB_FINISHED)
        counted = self.recount(job)
        self.put_on_hold(job, reason)
        self.check_size(job)
        if counted:
            self.count_tres(job)
        self._state.changed(job)

    def put_on_hold(self, job: Job, reason: Reason) -> None:
        """The priority becomes 0. What it could start since counts no more, but for AccrueTime, and of what was not held before (measured)."""
        waited_for, was_held = job.waited_for, not job.priority
        if job.priority:
            job.direct_priority = True
            job.priority = 0
            self._no_longer_eligible(job)
        job.accounted_eligible = None
        if job.reason != Reason.REQUEUED_HELD:  # which stays until the job is released (measured)
            self._wait(job, reason)
        if not was_held:
            self._state.accounting.told(job, waited_for)
        self._leave_queue(job)
        for what in ("begin", "ineligible"):
            self._state.timers.clear(what, job.job_id)
        if job.state is JobState.PENDING:
            self._watch_deadline(job)
        self._look_later(job)

    def release(self, job: Job, uid: int) -> None:
        """Undo `hold`. One that is not held gets the next priority as well, also if it asked for another, and loses its `--nice` (measured)."""
        if job.finished:
            raise SlurmError(messages.JOB_FINISHED)
        if job.reason == Reason.HELD_BY_ADMIN and uid != 0:
            raise SlurmError(messages.ACCESS_DENIED)
        if job.priority:
            self._state.accounting.told(job, job.waited_for)
        counted = self.recount(job)
        job.description = evolve(job.description, priority=None, nice=0 if job.priority else job.description.nice)
        job.direct_priority, job.accounted_eligible = False, None
        if job.state is JobState.SUSPENDED:  # accounting has heard of what was so far (measured)
            job.accounted_eligible = job.eligible_time or 0.0
            self._no_longer_eligible(job)
        held = job.priority == 0
        job.priority = self._state.priority_of(job.description)
        if job.state is JobState.PENDING and not job.requeued:
            if held and job.job_id not in self._dependents:  # it could start since now (measured)
                self._no_longer_eligible(job)
            self._leave_queue(job)
            self._consider_anew(job)
        else:
            job.reason = Reason.NONE
        self.check_size(job)
        if counted:
            self.count_tres(job)
        self._state.changed(job)

    def check_size(self, job: Job) -> None:
        """Updates of a job, holding and releasing among them, complain when no partition has CPUs enough, be it a new one (measured)."""
        names = job.description.partition or job.partition
        largest = max(self._state.resources.partition_cpus[name] for name in names.split(","))
        if job.state is JobState.PENDING and job.num_cpus > largest:
            raise SlurmError(messages.PARTITION_UNAVAILABLE)

    def _leave_queue(self, job: Job) -> None:
        self._scheduler.remove(job.job_id)
        for what in ("preempt", "elsewhere", "purge"):
            self._state.timers.clear(what, job.job_id)
        if job.array is not None:
            job.array.waiting.discard(job.job_id)
            job.array.postponed.discard(job.job_id)

    # Arrays

    def split(self, whole: Job, task: int, *, told: bool = False) -> Job:
        """An element of an array that waits becomes a job of its own. It is in no queue: call `consider`, or start it."""
        return arrayrecords.split(whole, task, self._state, self._dependents, told=told)

    def _split_ahead(self, whole: Job) -> None:
        """The next elements, each of which waits for another job, become jobs of their own (correspond_after_task_cnt)."""
        assert whole.array is not None
        if whole.job_id in self._splitting:
            return  # an element has ended at once: the next is split off anyway
        whole.dependency = str(self._dependents[whole.job_id])
        self._splitting.add(whole.job_id)
        while whole.is_unsplit and whole.array.waits and len(whole.array.unstarted) < _SPLIT_AHEAD:
            element = self.split(whole, whole.array.pending.first)
            if element is not whole:
                self.consider(element)
        self._splitting.discard(whole.job_id)
        if whole.state is not JobState.PENDING:
            return  # the end of one before it has ended the last one
        if not whole.is_unsplit:
            self.consider(whole)
        elif whole.priority == 0:
            self._explain_hold(whole)
        else:
            self._wait(whole, Reason.DEPENDENCY)

    def drop(self, whole: Job, task: int, uid: int) -> None:
        """An element that waits is cancelled: it leaves no trace (measured). With the last one the record is over."""
        assert whole.array is not None
        whole.array.drop(task)
        if whole.array.pending:
            self._state.job_count -= 1
        else:
            whole.cancelled_by = uid
            self.end(whole, JobState.CANCELLED)
        self.tell_dependents(whole, task)

    def _wait_for_limit(self, job: Job) -> None:
        """As many elements of its array run as may: it could not start now, and has an eligible time when it can (measured)."""
        self._wait(job, Reason.ARRAY_TASK_LIMIT)
        if job.eligible_time is not None and self._state.now - job.eligible_time >= ACCRUED_AFTER:
            submission.postpone(job, None)
        job.eligible_time = None
        self._state.changed(job)

    def _wait_for_begin(self, job: Job) -> None:
        """While as many elements of its array run as may, that is the reason that is shown (measured)."""
        if job.array is not None:
            job.array.postponed.add(job.job_id)
        full = job.array is not None and job.array.is_full
        self._wait(job, Reason.ARRAY_TASK_LIMIT if full else Reason.BEGIN_TIME)

    def look_at_limit(self, array: JobArray) -> None:
        """An element has started or ended, or the limit has changed: those that wait are queued or not."""
        for job_id in sorted(array.postponed):
            self._wait_for_begin(self._state.jobs[job_id])
        for job in sorted([self._state.jobs[one] for one in array.waiting], key=lambda one: one.turn):
            job_id = job.job_id
            # No node would do: where nobody looks for nodes any more it is a held one, for good (measured).
            if job.priority == 0:
                if array.is_full:
                    self._leave_queue(job)
                    self._wait(job, Reason.HELD_BY_ADMIN)
            elif array.is_full:
                if job.reason != Reason.ARRAY_TASK_LIMIT:
                    self._scheduler.remove(job_id)
                    self._wait_for_limit(job)
                    if job.is_unsplit:  # of which one was split off just now
                        job.told_reason = job.waited_for
            elif job_id not in self._scheduler:
                self.consider(job)

    # Waiting again

    def requeue_finished(self, job: Job, *, hold: bool) -> None:
        """A job that has ended is to run again. It keeps its exit code until it does."""
        self._state.keep(job)
        self._state.accounting.requeued(job, self._state.now)
        if job.nodes:
            job.before = copy(job)
        job.state = JobState.PENDING
        job.restart_count += 1
        if hold:
            job.reason = Reason.REQUEUED_HELD
        self._dependents.renew(job)
        self.requeue(job)

    def requeue(self, job: Job) -> None:
        """Nothing runs any more of a job that is to run again: it waits, as if it had been submitted now."""
        state = self._state
        submission.renew(job, state)
        self.consider(job)
        state.changed(job)

    # Ceasing to wait

    def start(self, job_id: int) -> tuple[Job, Demand]:
        """A job waits no more, or of the record of an array's elements the first: it starts. What it needs.

        A record of cancelled elements that was requeued has none, and starts itself (measured).
        """
        job, demand = self._state.jobs[job_id], self._state.demands[job_id]
        if job.array is not None and job.is_unsplit and job.array.pending:
            job = self.split(job, job.array.pending.first)
        self._state.demands.pop(job.job_id)
        self._state.timers.clear("deadline", job.job_id)
        if job.job_id == job_id:
            self._leave_queue(job)
        return job, demand

    def left(self, job: Job) -> None:
        """An element of an array has started, or ended without: the next may have to be split off."""
        whole = self._state.jobs.get(job.array.job_id) if job.array is not None else None
        waits = whole is not None and whole.is_unsplit and whole.state is JobState.PENDING
        if whole is not None and waits and whole.job_id in self._dependents:
            self.consider(whole)

    def end(self, job: Job, state: JobState) -> None:
        """A job that never ran is over."""
        job_id = job.job_id
        self._leave_queue(job)
        self._state.demands.pop(job_id, None)
        for what in ("begin", "depend", "ineligible", "deadline"):
            self._state.timers.clear(what, job_id)
        self._forget_start(job_id)
        if job_id in self._dependents:
            self._dependents.drop(job_id)
        job.state = state
        if job.cpus_before is not None:
            job.num_cpus = job.cpus_before
        job.start_time = job.end_time = self._state.now
        if job.array is not None:
            job.array.over(job_id, succeeded=False)
        self._state.changed(job)
        self._state.forget_later(job)
        self.left(job)
        self.tell_dependents(job)
