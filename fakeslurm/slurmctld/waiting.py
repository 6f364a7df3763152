"""Jobs that wait: how they are submitted, what they wait for, and how they end without having run."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from math import floor

from attrs import evolve

from fakeslurm import associations, messages
from fakeslurm.jobarray import JobArray, job_array
from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import Job, JobDescription, Partition
from fakeslurm.slurmctld import admission
from fakeslurm.slurmctld.demand import Demand, demand_of, pending_nodes
from fakeslurm.slurmctld.dependencies import Dependencies, Jobs, Key, Term, Verdict, parse_dependency
from fakeslurm.slurmctld.scheduler import Request, Scheduler
from fakeslurm.slurmctld.selection import select
from fakeslurm.slurmctld.state import State
from slurmkit.slurm.states import JobState

__all__ = ["Waiting"]

_FIRST_PRIORITY = 4294901759
"""Of the first job with priority/basic; every further one gets one less (measured)."""
_REQUEUE_SECOND = 1.0
"""How much longer than cred_expire a requeued job waits (job_mgr.c)."""
_SPLIT_AHEAD = 10
"""How many elements of an array wait as jobs of their own for those that they correspond to (correspond_after_task_cnt)."""
_A_MOMENT = 1e-3
"""Seconds after which a deadline has been missed."""
_REFUSED = 1
"""The wait status of a job that was refused although it had an id already: scontrol shows 0:1 (measured)."""


class Waiting:
    """Decides about pending jobs until the scheduler starts them."""

    def __init__(self, state: State, scheduler: Scheduler) -> None:
        self._state = state
        self._scheduler = scheduler
        self._fits_empty = lru_cache(maxsize=1024)(self._could_run)
        """The answer depends on nothing that changes but `partition_changed`, and most jobs are alike."""
        self._demands: dict[int, Demand] = {}
        self._dependencies: dict[int, Dependencies] = {}
        self._dependents: dict[Key, set[int]] = {}
        self._known = Jobs(state.jobs, state.arrays)
        self._next_job_id = state.settings.first_job_id
        self._next_priority = _FIRST_PRIORITY

    # Submission

    def check(self, description: JobDescription) -> tuple[tuple[Partition, ...], Demand]:
        """What is refused before a job id is used up. Raises SlurmError."""
        partitions = admission.partitions_of(description, self._state.settings)
        admission.check_open(partitions)
        admission.check_names(description, self._state.settings)
        latest = admission.latest_start(description)
        if latest is not None and description.deadline is not None:
            early = self._state.settings.profile.looks_at_deadlines_early
            if (latest if early else description.deadline) < self._state.now - 1:  # seconds, as Slurm counts
                raise SlurmError(messages.INVALID_TIME_LIMIT)
        return partitions, demand_of(description, self._state.resources.nodes, self._state.settings)

    def _problem(
        self, description: JobDescription, demand: Demand, partitions: Sequence[Partition]
    ) -> SlurmError | None:
        """Why the job could never run, not even if the limits of its partitions were others."""
        if set(self._obstacles(description, demand, partitions)) != {Reason.BAD_CONSTRAINTS}:
            return None
        misfit = admission.misfit(description, demand, self._state.resources)
        return misfit or SlurmError(messages.NODE_CONFIGURATION)

    def open_partitions(
        self, description: JobDescription, demand: Demand, partitions: Sequence[Partition]
    ) -> list[Partition]:
        """Those of the partitions in which the job may be queued."""
        obstacles = self._obstacles(description, demand, partitions)
        return [one for one, reason in zip(partitions, obstacles, strict=True) if reason is None]

    def _obstacles(
        self, description: JobDescription, demand: Demand, partitions: Sequence[Partition]
    ) -> list[Reason | None]:
        """What keeps the job from each of the partitions."""
        resources = self._state.resources
        if admission.misfit(description, demand, resources) is not None:
            return [Reason.BAD_CONSTRAINTS] * len(partitions)
        profile = self._state.settings.profile
        return [
            admission.obstacle(description, demand, one, resources, profile, self._fits_empty) for one in partitions
        ]

    def _could_run(self, demand: Demand, partition: str) -> bool:
        """Whether a job could run in the partition if nothing else ran."""
        resources = self._state.resources
        mask = resources.partition_masks[partition]
        shares = select(demand, resources.candidates(demand, mask, empty=True))
        most = self._state.partitions[partition].max_nodes
        return shares is not None and (most is None or len(shares) <= most)

    def take_id(self) -> int:
        job_id = self._next_job_id
        self._next_job_id += 1
        return job_id

    def submit(self, description: JobDescription) -> Job:
        """A new job, pending. Raises SlurmError; some refusals leave a FAILED job behind, as Slurm does."""
        state = self._state
        if len(state.jobs) + 1 >= state.settings.max_job_count:  # measured: one less than MaxJobCount says
            raise SlurmError(messages.MAX_JOB_COUNT)
        partitions, demand = self.check(description)
        job_id = self.take_id()
        dependencies = self._parse(job_id, description)
        admission.check_features(description, state.settings)
        problem = None if description.hold else self._problem(description, demand, partitions)
        job = self._make_job(job_id, description, demand, partitions)
        if description.array:
            job.array = state.arrays[job_id] = job_array(job_id, description.array)
        state.add(job)
        if problem is not None:
            job.reason = Reason.BAD_CONSTRAINTS
            job.wait_status = _REFUSED
            job.eligible_time = state.now
            self.end(job, JobState.FAILED)
            raise problem
        self._demands[job_id] = demand
        if dependencies is not None:
            self._depend(job_id, dependencies)
        self.consider(job)
        state.changed(job)
        return job

    def _parse(self, job_id: int, description: JobDescription) -> Dependencies | None:
        if not description.dependency:
            return None
        spec = parse_dependency(description.dependency)
        if any(term.job_id == job_id for term in spec.terms):
            raise SlurmError(messages.DEPENDENCY_PROBLEM)
        if self._state.settings.profile.refuses_unknown_dependency:
            for term in spec.terms:
                if term.kind in ("afterok", "afternotok") and not self._is_known(term):
                    raise SlurmError(messages.DEPENDENCY_PROBLEM)
        return Dependencies(spec, self._known, self._unfinished_namesakes(description))

    def _is_known(self, term: Term) -> bool:
        if term.starred:
            return term.job_id in self._state.arrays
        return self._known.element((term.job_id, term.task)) is not None or (
            term.task is None and term.job_id in self._state.arrays
        )

    def _unfinished_namesakes(self, description: JobDescription) -> set[int]:
        mine = (description.name, description.uid)
        return {
            job.job_id if job.array is None else job.array.job_id
            for job in self._state.jobs.values()
            if (job.description.name, job.description.uid) == mine and (not job.finished or job.completing)
        }

    def _make_job(
        self, job_id: int, description: JobDescription, demand: Demand, partitions: Sequence[Partition]
    ) -> Job:
        state = self._state
        return Job(
            job_id=job_id,
            description=description,
            partition=",".join(one.name for one in partitions),
            submit_time=state.now,
            eligible_time=description.begin
            if (description.begin or 0) > state.now
            else None,  # be it held or not (measured)
            priority=0 if description.hold else self.priority_of(description),
            time_limit=admission.time_limit_of(description, partitions[0]),
            num_nodes=self._least_nodes(demand, partitions),
            num_cpus=demand.min_cpus,
            num_tasks=demand.num_tasks,
            requested_nodes=demand.min_nodes,
            requested_cpus=demand.min_cpus,
            account=associations.account(description.uid, description.account, state.settings),
            qos=associations.qos(description.qos, state.settings) or None,
        )

    def _least_nodes(self, demand: Demand, partitions: Sequence[Partition]) -> int:
        return pending_nodes(demand, max(self._state.resources.largest[one.name] for one in partitions))

    def priority_of(self, description: JobDescription) -> int:
        """The priority asked for, or the next one."""
        if description.priority is not None:
            return description.priority
        priority = self._next_priority
        self._next_priority -= 1
        return max(priority - description.nice, 1)

    # Waiting

    def consider(self, job: Job) -> None:
        """Queue a pending job, or say why it has to wait."""
        job_id = job.job_id
        if job_id in self._dependencies:
            if job.is_unsplit and self._dependencies[job_id].corresponding:
                self._split_ahead(job)
                return
            job.dependency = str(self._dependencies[job_id])
        if not self._can_be_in_time(job):
            return
        if job.priority == 0:
            self._explain_hold(job)  # and nobody looks at what it depends on (measured)
            return
        if job_id in self._dependencies and not self._is_independent(job):
            return
        state = self._state
        description = job.description
        if description.begin is not None and description.begin > state.now:
            self._wait(job, Reason.BEGIN_TIME)
            job.eligible_time = description.begin
            state.timers.set("begin", job_id, description.begin)
            return
        if job.eligible_time is None:
            job.eligible_time = state.now
        demand = self._demands[job_id]
        partitions = [self._state.partitions[name] for name in job.partition.split(",")]
        obstacles = self._obstacles(description, demand, partitions)
        usable = tuple(one.name for one, reason in zip(partitions, obstacles, strict=True) if reason is None)
        others = [reason for reason in obstacles if reason is not None and reason is not Reason.BAD_CONSTRAINTS]
        if usable:
            if job.array is not None:
                job.array.waiting.add(job_id)
                if job.array.is_full:
                    self._wait(job, Reason.ARRAY_TASK_LIMIT)
                    return
            job.reason = Reason.NONE
            self._scheduler.add(job, Request(demand=demand, partitions=usable))
        elif others:
            self._wait(job, others[0])
        else:
            job.reason = Reason.BAD_CONSTRAINTS
            job.priority = 0

    def _can_be_in_time(self, job: Job) -> bool:
        """Whether a pending job could still end before its deadline; one that could not is over."""
        latest, state = admission.latest_start(job.description), self._state
        if latest is None:
            return True
        held = job.priority == 0
        if held and not state.settings.profile.looks_at_deadlines_early:
            return True
        if state.now <= latest:
            # A held job is looked at with the time limits of running ones.
            look = state.next_scan(latest, state.settings.limit_scan) if held else latest
            state.timers.set("deadline", job.job_id, look + _A_MOMENT)
            return True
        job.reason = Reason.DEADLINE
        job.wait_status = _REFUSED
        self.end(job, JobState.DEADLINE)
        return False

    def partition_changed(self, name: str) -> None:
        """A partition has other limits, or another state, than before: look again at those that wait for it."""
        self._fits_empty.cache_clear()
        for job in list(self._state.jobs.values()):
            if (
                job.state is JobState.PENDING
                and job.priority
                and not job.completing
                and name in job.partition.split(",")
            ):
                self._leave_queue(job)
                self.consider(job)

    def _is_independent(self, job: Job) -> bool:
        """Whether the dependencies are satisfied; if not, why is in the job."""
        dependencies = self._dependencies[job.job_id]
        verdict = dependencies.evaluate(job.array_task_id, self._state.now)
        job.dependency = str(dependencies)
        if verdict is Verdict.SATISFIED:
            self._drop_dependencies(job.job_id)
            return True
        if verdict is Verdict.FAILED and job.priority == 0:
            self._explain_hold(job)  # a held job is looked at when it is released (measured)
            return False
        if verdict is Verdict.FAILED:
            self._wait(job, Reason.DEPENDENCY_NEVER_SATISFIED)
            kill = job.description.kill_on_invalid_dep
            if self._state.settings.kill_invalid_dependency if kill is None else kill:
                self.end(job, JobState.CANCELLED)
            return False
        due = dependencies.due()
        if due is not None:
            self._state.timers.set("depend", job.job_id, due)
        self._wait(job, Reason.DEPENDENCY)
        return False

    def _explain_hold(self, job: Job) -> None:
        if job.reason not in (Reason.HELD_BY_ADMIN, Reason.REQUEUED_HELD):
            self._wait(job, Reason.HELD_BY_USER)

    def _wait(self, job: Job, reason: Reason) -> None:
        """Say why a job waits, if it is not for its turn: sacct keeps that (measured)."""
        job.reason = job.waited_for = reason

    def _depend(self, job_id: int, dependencies: Dependencies) -> None:
        self._dependencies[job_id] = dependencies
        for other in dependencies.watched:
            self._dependents.setdefault(other, set()).add(job_id)

    def _drop_dependencies(self, job_id: int) -> None:
        for other in self._dependencies.pop(job_id).watched:
            dependents = self._dependents[other]
            dependents.discard(job_id)
            if not dependents:
                del self._dependents[other]

    def tell_dependents(self, job: Job, task: int | None = None) -> None:
        """A job has started, or is over for good: look again at those that wait for it. `task`: of the record of an array this one."""
        keys: list[Key] = [(job.job_id, None)]
        if job.array is not None:
            task = job.array_task_id if task is None else task
            tasks = job.array.pending if job.is_unsplit and task is None else (task,)
            keys += [(job.array.job_id, None), *((job.array.job_id, one) for one in tasks)]
        dependents = set().union(*(self._dependents.get(key, ()) for key in keys))
        for dependent in sorted(dependents):
            if dependent in self._dependencies:
                self.consider(self._state.jobs[dependent])

    def hold(self, job: Job, reason: Reason) -> None:
        """Not to start until it is released. A running job is held for the case that it is requeued (measured)."""
        if job.finished:
            raise SlurmError(messages.JOB_FINISHED)
        job.priority = 0
        self._wait(job, reason)
        self._leave_queue(job)
        self._state.timers.clear("begin", job.job_id)
        self._check_size(job)

    def release(self, job: Job, uid: int) -> None:
        """Undo `hold`; nothing happens to a job that is not held."""
        if job.finished:
            raise SlurmError(messages.JOB_FINISHED)
        if job.reason == Reason.HELD_BY_ADMIN and uid != 0:
            raise SlurmError(messages.ACCESS_DENIED)
        if job.priority == 0:
            self._let_go(job)
        self._check_size(job)

    def _let_go(self, job: Job) -> None:
        job.priority = self.priority_of(job.description)
        if job.requeued:
            job.reason = Reason.NONE
        elif job.state is JobState.PENDING:
            self.consider(job)
        else:
            job.reason = Reason.NONE

    def _check_size(self, job: Job) -> None:
        """Holding and releasing are updates of the job, and complain afterwards when no partition has CPUs enough (measured)."""
        largest = max(self._state.resources.partition_cpus[name] for name in job.partition.split(","))
        if job.state is JobState.PENDING and job.num_cpus > largest:
            raise SlurmError(messages.PARTITION_UNAVAILABLE)

    def _leave_queue(self, job: Job) -> None:
        self._scheduler.remove(job.job_id)
        if job.array is not None:
            job.array.waiting.discard(job.job_id)

    # Arrays

    def split(self, whole: Job, task: int) -> Job:
        """An element of an array that waits becomes a job of its own: with the next job id and the record's place in the list.

        The one that is left takes over the record and its id. The new job is in no queue: call `consider`, or start it.
        """
        assert whole.array is not None
        state, array = self._state, whole.array
        if len(array.pending) == 1:
            self._take_over(whole, array, task)
            return whole
        job_id = self.take_id()
        array.split_off(task, job_id)
        element = copy(whole)
        element.job_id = job_id
        element.array_task_id = task
        element.steps = {}
        state.jobs[job_id] = element
        state.move_to_end(whole)
        if len(array.pending) == 1:
            self._take_over(whole, array, array.pending.first)
        self._demands[job_id] = self._demands[whole.job_id]
        if whole.job_id in self._dependencies:
            self._depend(job_id, self._dependencies[whole.job_id].of_element(task))
        state.changed(whole)
        state.changed(element)
        return element

    def _take_over(self, whole: Job, array: JobArray, task: int) -> None:
        array.split_off(task, whole.job_id)
        whole.array_task_id = task
        if whole.job_id in self._dependencies:
            dependencies = self._dependencies[whole.job_id].of_element(task)
            self._drop_dependencies(whole.job_id)
            self._depend(whole.job_id, dependencies)

    def _split_ahead(self, whole: Job) -> None:
        """The next elements, each of which waits for another job, become jobs of their own (correspond_after_task_cnt)."""
        assert whole.array is not None
        whole.dependency = str(self._dependencies[whole.job_id])
        while whole.is_unsplit and whole.array.waits and len(whole.array.unstarted) < _SPLIT_AHEAD:
            element = self.split(whole, whole.array.pending.first)
            self.consider(element)
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
            self.tell_dependents(whole, task)
        else:
            whole.cancelled_by = uid
            self.end(whole, JobState.CANCELLED)

    def look_at_limit(self, array: JobArray) -> None:
        """An element has started or ended, or the limit has changed: those that wait are queued or not."""
        for job_id in sorted(array.waiting):
            job = self._state.jobs[job_id]
            if array.is_full:
                if job.reason != Reason.ARRAY_TASK_LIMIT:
                    self._scheduler.remove(job_id)
                    self._wait(job, Reason.ARRAY_TASK_LIMIT)
            elif job_id not in self._scheduler:
                self.consider(job)

    # Waiting again

    def may_requeue(self, job: Job) -> bool:
        """``--requeue``, ``--no-requeue``, JobRequeue."""
        asked = job.description.requeue
        return self._state.settings.requeue if asked is None else asked

    def requeue_finished(self, job: Job, *, hold: bool) -> None:
        """A job that has ended is to run again. It keeps its exit code until it does."""
        self._state.keep(job)
        self._state.accounting.requeued(job, self._state.now)
        job.state = JobState.PENDING
        job.restart_count += 1
        if hold:
            job.reason = Reason.REQUEUED_HELD
        self.requeue(job)

    def requeue(self, job: Job) -> None:
        """Nothing runs any more of a job that is to run again: it waits, as if it had been submitted now."""
        state = self._state
        begin = job.description.begin
        if begin is None or begin <= state.now:
            begin = state.now + state.settings.cred_expire + _REQUEUE_SECOND
            job.description = evolve(job.description, begin=begin)
        names = job.description.partition or job.partition
        partitions = [state.partitions[name] for name in names.split(",")]
        demand = demand_of(job.description, state.resources.nodes, state.settings)
        self._demands[job.job_id] = demand
        job.partition = ",".join(one.name for one in partitions)
        before = floor(job.submit_time)  # an attempt and the next differ in their whole seconds
        job.submit_time = before + 1.0 if floor(state.now) == before else state.now
        job.eligible_time = begin
        if job.reason == Reason.REQUEUED_HELD:
            job.waited_for = Reason.HELD_BY_USER
        job.start_time = job.end_time = None
        job.nodes, job.cpus_per_node, job.cpu_ids, job.tasks_per_node = (), (), (), ()
        job.num_nodes = self._least_nodes(demand, partitions)
        job.num_cpus = demand.min_cpus
        job.num_tasks = demand.num_tasks
        job.time_limit = admission.time_limit_of(job.description, partitions[0])
        if job.priority and state.settings.profile.requeue_renews_priority:
            job.priority = self.priority_of(job.description)
        job.cancelled_by = None
        job.batch, job.steps, job.next_step_id = None, {}, 0
        if job.array is not None and job.is_unsplit:
            job.array.closed = False
        elif job.array is not None:
            job.array.again(job.job_id)
        job.suspend_time, job.run_before, job.suspended, job.warned = None, 0.0, 0.0, False
        self.consider(job)
        state.changed(job)

    # Ceasing to wait

    def start(self, job_id: int) -> tuple[Job, Demand]:
        """A job waits no more, or of the record of an array's elements the first: it starts. What it needs."""
        job, demand = self._state.jobs[job_id], self._demands[job_id]
        if job.array is not None and job.is_unsplit:
            job = self.split(job, job.array.pending.first)
        self._demands.pop(job.job_id)
        self._state.timers.clear("deadline", job.job_id)
        if job.job_id == job_id:
            self._leave_queue(job)
        return job, demand

    def left(self, job: Job) -> None:
        """An element of an array has started, or ended without: the next may have to be split off."""
        whole = self._state.jobs.get(job.array.job_id) if job.array is not None else None
        waits = whole is not None and whole.is_unsplit and whole.state is JobState.PENDING
        if whole is not None and waits and whole.job_id in self._dependencies:
            self.consider(whole)

    def end(self, job: Job, state: JobState) -> None:
        """A job that never ran is over."""
        job_id = job.job_id
        self._leave_queue(job)
        self._demands.pop(job_id, None)
        self._state.timers.clear("begin", job_id)
        self._state.timers.clear("depend", job_id)
        self._state.timers.clear("deadline", job_id)
        if job_id in self._dependencies:
            self._drop_dependencies(job_id)
        job.state = state
        job.start_time = job.end_time = self._state.now
        if job.array is not None:
            job.array.over(job_id, succeeded=False)
        self._state.changed(job)
        self._state.forget_later(job)
        self.left(job)
        self.tell_dependents(job)
