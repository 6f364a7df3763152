"""Jobs as they begin to wait: submitted, and requeued."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

from attrs import evolve

from fakeslurm import associations, messages
from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import NO_LIMIT, Job, JobDescription, Partition
from fakeslurm.slurmctld import admission
from fakeslurm.slurmctld.demand import Demand, demand_of, node_mask, pending_nodes
from fakeslurm.slurmctld.features import check_known, check_supported
from fakeslurm.slurmctld.state import State

__all__ = ["check", "demand_as_counted", "make_job", "postpone", "renew", "resize"]

_LEAST_MINUTES = 1
_REQUEUE_SECOND = 1.0
"""How much longer than cred_expire a requeued job waits (job_mgr.c)."""


def check(description: JobDescription, state: State) -> tuple[tuple[Partition, ...], Demand]:
    """What is refused before a job id is used up, in this order (measured). Raises SlurmError."""
    check_supported(description.constraint)
    if state.settings.profile.features_need_no_id:
        check_known(description.constraint, state.settings.nodes)
    elements = admission.elements_of(description, state.settings)
    admission.check_comment(description)
    admission.check_small_numbers(description)
    if state.job_count + elements >= state.settings.max_job_count:  # measured: one less than MaxJobCount says
        raise SlurmError(messages.MAX_JOB_COUNT)
    node_mask(description.nodelist, state.resources.nodes, state.settings)
    partitions = admission.partitions_of(description, state.settings)
    admission.check_open(partitions)
    admission.check_names(description)
    unlimited = description.time_limit == NO_LIMIT and description.deadline is not None
    if unlimited and state.settings.profile.refuses_unlimited_with_deadline:
        raise SlurmError(messages.INVALID_TIME_LIMIT)
    latest = admission.latest_start(description)
    if latest is not None and description.deadline is not None:
        early = state.settings.profile.looks_at_deadlines_early
        if (latest if early else description.deadline) < state.now - 1:  # seconds, as Slurm counts
            raise SlurmError(messages.INVALID_TIME_LIMIT)
        if early and description.time_limit and latest < (description.begin or 0):
            raise SlurmError(messages.INVALID_TIME_LIMIT)
    return partitions, demand_of(description, state.resources.nodes, state.settings)


def make_job(
    job_id: int, description: JobDescription, demand: Demand, partitions: Sequence[Partition], state: State
) -> Job:
    """A new job, which is in no list yet."""
    return Job(
        job_id=job_id,
        description=description,
        partition=",".join(one.name for one in partitions),
        submit_time=state.now,
        # Be it held or not (measured).
        eligible_time=description.begin if (description.begin or 0) > state.now else None,
        priority=0 if description.hold else state.priority_of(description),
        direct_priority=description.priority is not None and not description.hold,
        time_limit=admission.time_limit_of(description, partitions[0]),
        time_min=_LEAST_MINUTES if description.deadline is not None and description.time_limit is None else None,
        num_nodes=_least_nodes(demand, partitions, state),
        num_cpus=demand.min_cpus,
        num_tasks=demand.num_tasks,
        requested_nodes=demand.min_nodes,
        requested_cpus=demand.min_cpus,
        counted_cpus=demand.min_cpus,
        memory_cpus=demand.min_cpus,
        account=associations.account(description.uid, description.account, state.settings),
        qos=associations.qos(description.qos, state.settings) or None,
    )


def renew(job: Job, state: State) -> None:
    """A job of which nothing runs any more is as if it had been submitted now, but for its id."""
    begin = job.description.begin
    if begin is None or begin <= state.now:
        begin = state.now + state.settings.cred_expire + _REQUEUE_SECOND
        job.description = evolve(job.description, begin=begin)
    before = floor(job.submit_time)  # an attempt and the next differ in their whole seconds
    job.submit_time = before + 1.0 if floor(state.now) == before else state.now
    job.eligible_time, job.first_eligible_time, job.accounted_eligible = begin, None, None
    job.told_reason = Reason.NONE
    if job.reason in (Reason.REQUEUED_HELD, Reason.LAUNCH_FAILED_HELD):
        state.waits_for(job, Reason.HELD_BY_USER)
    job.start_time = job.end_time = None
    job.fits_nowhere = job.over_when_submitted = False
    job.former_nodes = len(job.nodes) or job.former_nodes
    job.nodes, job.cpus_per_node, job.cpu_ids, job.gres, job.tasks_per_node = (), (), (), (), ()
    as_it_ran = job.num_nodes
    partitions = resize(job, state)
    job.num_nodes = as_it_ran
    if job.description.deadline is None:  # of which the limit that it ran with has come (measured)
        job.time_limit = admission.time_limit_of(job.description, partitions[0])
    job.end_shift = 0.0
    if job.priority and state.settings.profile.requeue_renews_priority:
        if job.description.priority == 1:  # which counts as none (priority_basic.c); what it gets now it keeps
            next_one = state.priority_of(evolve(job.description, priority=None))
            job.description = evolve(job.description, priority=next_one)
        job.priority = state.priority_of(job.description)
    job.cancelled_by = job.accounted_derived = job.accounted_priority = job.accounted_files = None
    job.batch, job.steps, job.next_step_id, job.next_step_node = None, {}, 0, 0
    if job.array is not None and job.is_unsplit:
        job.array.closed = False
    elif job.array is not None:
        job.array.again(job.job_id)
    job.cpus_before = None
    job.suspend_time, job.run_before, job.suspended, job.warned = None, 0.0, 0.0, False
    job.may_preempt_at = job.preempt_time = job.grace_end = None


def resize(job: Job, state: State) -> Sequence[Partition]:
    """What a pending job needs, and where: once it is to wait again, or has been updated. Its partitions."""
    names = job.description.partition or job.partition
    partitions = [state.partitions[name] for name in names.split(",")]
    demand = demand_as_counted(job, state)
    state.demands[job.job_id] = demand
    job.partition = ",".join(one.name for one in partitions)
    job.num_nodes = _least_nodes(demand, partitions, state)
    job.num_cpus = demand.min_cpus
    job.num_tasks = demand.num_tasks
    if not state.settings.profile.tasks_per_node_fill_nodes or job.description.ntasks_per_node is None:
        job.shown_tasks = None  # else as it ran, if it did (measured)
    return partitions


def demand_as_counted(job: Job, state: State) -> Demand:
    """What the job needs, as the latest update of it has counted."""
    demand = demand_of(job.description, state.resources.nodes, state.settings)
    return demand.counted_anew(job.requested_nodes) if job.recounted else demand


def postpone(job: Job, eligible: float | None) -> None:
    """It may start at another time than before. AccrueTime stays."""
    if job.first_eligible_time is None:
        job.first_eligible_time = job.eligible_time
    job.eligible_time = eligible


def _least_nodes(demand: Demand, partitions: Sequence[Partition], state: State) -> int:
    largest = max(state.resources.largest[one.name] for one in partitions)
    return pending_nodes(demand, largest, round_down=state.settings.profile.tasks_fit_nodes)
