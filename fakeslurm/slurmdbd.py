"""slurmdbd without a database: the job and step records that sacct prints, derived from what the controller did."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from copy import copy

from attrs import evolve, field, frozen

from fakeslurm.jobarray import NO_TASK, Believed, JobArray, TaskSet
from fakeslurm.model import BATCH, NO_LIMIT, Job, Settings, Step, StepId
from fakeslurm.timelimits import NO_VAL
from slurmkit.slurm.states import JobState

__all__ = ["TOLD_AFTER", "Accounting", "JobRecord", "StepRecord", "record_of"]

_NAMELESS = "allocation"
"""What slurmdbd calls a job without a name."""
TOLD_AFTER = 5.0
"""How soon accounting hears of new jobs, at the latest, where it is not told at once."""
_REFUSED = 1 << 8
"""Exit code 1: of a job that was refused after it had its id."""


@frozen(kw_only=True)
class StepRecord:
    """A row ``123.batch`` or ``123.0``."""

    step_id: StepId
    name: str
    """``batch`` for the batch script, else the base name of the program."""
    state: str
    """A base state's word; sacct adds ``by UID`` of `cancelled_by`."""
    cancelled_by: int | None
    wait_status: int
    lost: bool
    """No exit code has come."""
    suspended: float
    """Seconds until the last resumption."""
    start: float
    end: float | None
    nodes: tuple[str, ...]
    ntasks: int
    num_cpus: int
    distribution: str
    """sacct's Layout."""
    submit_line: str


@frozen(kw_only=True)
class JobRecord:
    """A row ``123``. `state` is a base state's word; sacct adds ``by UID`` of `cancelled_by`."""

    job_id: int
    array_job_id: int | None
    array_task_id: int | None
    array_tasks: TaskSet | None
    """Of the record of those that wait: which they were when one was last split off."""
    array_limit: int | None
    het_job_id: int | None
    """Of the leader, when it is a component of a heterogeneous job."""
    het_offset: int | None
    name: str
    user: str
    uid: int
    group: str
    gid: int
    account: str | None
    qos: str | None
    """None where it asked for one that there is not."""
    wckey: str | None
    partition: str
    state: str
    cancelled_by: int | None
    wait_status: int
    derived_wait_status: int
    submit: float
    eligible: float | None
    start: float | None
    end: float | None
    suspended: float
    """Seconds until the last resumption."""
    suspended_since: float | None
    """While it is suspended."""
    time_limit: int | None
    """Minutes; None: no limit, or that of the partition, which accounting hears of when it starts."""
    unlimited: bool
    """It was to have no limit, or is an array's record of which an element has started."""
    nodes: tuple[str, ...]
    """Empty when it never started."""
    num_nodes: int
    """NNodes: allocated, or asked for."""
    requested_nodes: int
    allocated_nodes: int
    """AllocNodes."""
    booked_nodes: int
    """JSON's ``allocation_nodes``, by which ``--nnodes`` goes."""
    tres_nodes: tuple[str, ...]
    """Those of AllocTRES: of a job that was over and waits to run again, those that it had (measured)."""
    allocated_cpus: int
    requested_cpus: int
    counted_cpus: int
    """ReqTRES's, which an update may have counted anew."""
    requested_memory: str
    """ReqMem, as sacct prints it: ``500M``."""
    priority: int | None
    """None if it never got one."""
    over_when_submitted: bool
    reason: str
    restart_count: int
    constraint: str
    licenses: str
    admin_comment: str
    """Of a job that has ended: before that accounting is not told (measured)."""
    work_dir: str
    submit_line: str
    steps: tuple[StepRecord, ...]
    """The batch step first."""
    source: Job = field(eq=False, repr=False)
    """The job as it is, or of an attempt that is over as it was; with a lag as it was when accounting was told."""
    told: bool = True
    """Whether accounting was told of it since it is an element of its own; of an array's last one the record is there before."""

    @property
    def holder(self) -> Job:
        """The job whose nodes, memory and gres are counted as allocated."""
        return _holder_of(self.source)

    @property
    def scheduler(self) -> str:
        """Which of Slurm's schedulers starts it: heterogeneous jobs are left to backfill (measured)."""
        return "SchedMain" if self.het_job_id is None else "SchedBackfill"

    @property
    def knows_energy(self) -> bool:
        """Whether the energy is a number, of what has started: when it is over and steps of srun have told theirs (measured)."""
        return self.end is not None and any(step.step_id != BATCH for step in self.steps)


class Accounting:
    """What slurmdbd knows at a time. The controller reports every change of a job; jobs stay here for ever."""

    def __init__(self, settings: Settings) -> None:
        self.enabled = settings.accounting
        self._settings = settings
        self._hears_late = settings.profile.release >= "24.11"
        self._lag = settings.accounting_lag
        self._lags: list[float] = []
        """Those that faults have put upon it."""
        self._jobs: dict[int, list[Job]] = {}
        """By job, its attempts: the job itself, and before it what it was when it was requeued."""
        self._records: dict[int, dict[int, JobRecord]] = {}
        """With a lag: by job, by restart count."""
        self._coming: deque[tuple[float, JobRecord]] = deque()
        self._split: set[int] = set()
        """Elements that were split off, where accounting is not told of that."""
        self._told: set[int] = set()
        """Elements that it has been told of since: they have started, or something of them was changed (measured)."""
        self._elements: dict[int, set[int]] = {}
        """The jobs of each array."""
        self.components: dict[int, set[int]] = {}
        """The jobs of each heterogeneous job, by its leader."""

    def changed(self, job: Job, now: float) -> None:
        """Something of this job is different now.

        A requeued job has no new record while it is completing; what is different is a step of the attempt before.
        """
        if not self.enabled:
            return
        if self._hears_late and job.array_task_id is not None:
            (self._told if job.nodes else self._split).add(job.job_id)
        attempts = self._jobs.get(job.job_id)
        if attempts is None:
            attempts = self._jobs[job.job_id] = []
        is_new = not attempts or (
            attempts[-1] is not job and (job.batch is None or attempts[-1].batch is not job.batch)
        )
        if is_new:
            attempts.append(job)
        if self._lag and self._is_known(job.job_id):
            self._coming.append((now + self._lag, record_of(copy(attempts[-1]), self._settings)))
        if is_new and job.array is not None:
            self._elements.setdefault(job.array.job_id, set()).add(job.job_id)
        if is_new and job.het is not None:
            self.components.setdefault(job.het.job_id, set()).add(job.job_id)

    def step_ended(self, job: Job) -> None:
        """A step of this job has ended, perhaps of an attempt that is over: since 24.11 it hears of DerivedExitCode with that."""
        attempts = self._jobs.get(job.job_id)
        if attempts and self._settings.profile.derived_counts_last_steps:
            attempts[-1].accounted_derived = job.derived_wait_status

    def told(self, job: Job, waited_for: str) -> None:
        """Something is changed of a job that waits of which it hears at once, and of what the job has waited for before that."""
        job.told_reason = waited_for
        job.told_together, job.accounted_files = True, None
        if job.array is not None and job.job_id == job.array.job_id:
            job.array.believed = None
        if job.array_task_id is not None:
            self._told.add(job.job_id)

    def _is_told(self, job_id: int) -> bool:
        return job_id not in self._split or job_id in self._told

    def _is_known(self, job_id: int) -> bool:
        """Whether it has a record: the array's own job has from the beginning."""
        return self._is_told(job_id) or job_id in self._elements

    def fall_behind(self, seconds: float) -> None:
        """From now on it is told of what happens `seconds` later."""
        if not self._lag:
            known = {job_id: self._attempts(job_id) for job_id in self._jobs}
            self._records = {
                job_id: {one.restart_count: one for one in records} for job_id, records in known.items() if records
            }
        self._lags.append(seconds)
        self._lag = max(self._lags)

    def catch_up(self, seconds: float) -> None:
        """The end of a `fall_behind`; after the last one all that it was not told of yet reaches it."""
        self._lags.remove(seconds)
        self._lag = max(self._lags, default=self._settings.accounting_lag)
        while not self._lags and self._coming:
            self._learn(self._coming.popleft()[1])
        if not self._lag:
            self._records = {}

    def _learn(self, record: JobRecord) -> None:
        self._records.setdefault(record.job_id, {})[record.restart_count] = record

    def requeued(self, job: Job, now: float, state: JobState = JobState.REQUEUED) -> None:
        """An attempt of this job is over, or was and has been followed by another: it is in this state for ever."""
        if not self.enabled:
            return
        if not self._is_known(job.job_id):  # and is from now on, but for the attempt that is over (measured)
            self._told.add(job.job_id)
            self._jobs[job.job_id].clear()
            return
        attempts = self._jobs[job.job_id]
        if attempts[-1] is not job:  # which was requeued before it had gone, and has no record until then (measured)
            return
        attempt = copy(job)
        attempt.state = state
        attempt.end_time = now if job.end_time is None else job.end_time
        if attempt.accounted_derived is None:
            attempt.accounted_derived = job.derived_wait_status
        attempts[-1] = attempt
        if self._lag:
            self._coming.append((now + self._lag, record_of(attempt, self._settings)))

    def records(self, now: float, job_ids: Iterable[int] | None = None) -> list[JobRecord]:
        """The records of these jobs (None: all), for an array's id those of all its jobs; unknown ids are left out.

        The id of the leader of a heterogeneous job brings all its components.

        One for each attempt of a job that was requeued, the latest last. Sorted as slurmdbd has them: by the second of their
        submission, in one second first jobs by their ids, then arrays by theirs and elements by index (measured).
        """
        while self._coming and self._coming[0][0] <= now:
            self._learn(self._coming.popleft()[1])
        known: Mapping[int, object] = self._records if self._lag else self._jobs
        chosen: Iterable[int] = known
        if job_ids is not None:
            wanted = set(job_ids)
            parts = (groups.get(one, ()) for one in wanted for groups in (self._elements, self.components))
            chosen = wanted.union(*parts) & known.keys()
        return sorted((record for one in chosen for record in self._attempts(one)), key=_order)

    def _attempts(self, job_id: int) -> list[JobRecord]:
        if self._lag:
            return list(self._records[job_id].values())
        if not self._is_known(job_id):
            return []
        return [record_of(job, self._settings, told=self._is_told(job_id)) for job in self._jobs[job_id]]


def _order(record: JobRecord) -> tuple[int, int, int, int]:
    task = NO_TASK if record.array_task_id is None else record.array_task_id
    return int(record.submit), record.array_job_id or 0, task, record.job_id


def _holder_of(job: Job) -> Job:
    """What its allocation is counted by: of a job that was over and waits to run again, what it was then (measured)."""
    return job if job.nodes or job.before is None else job.before


def record_of(job: Job, settings: Settings, *, told: bool = True) -> JobRecord:
    """The job's record as it is now."""
    description = job.description
    steps = [job.batch] if job.batch is not None else []
    steps += job.steps.values()
    ran = bool(job.nodes)
    holder = _holder_of(job)
    allocated_nodes = len(holder.nodes) or (0 if settings.profile.requeue_frees_nodes else job.former_nodes)
    # 24.11 hears of what belongs together when it starts, or is changed (measured).
    het = job.het if ran or job.told_together or settings.profile.release < "24.11" else None
    record = job.array if job.array is not None and job.job_id == job.array.job_id else None
    believed = None if record is None else record.believed
    return JobRecord(
        job_id=job.job_id,
        array_job_id=job.array_job_id,
        array_task_id=job.array_task_id if believed is None else None,
        array_tasks=_waiting_tasks(job, believed),
        array_limit=job.array.limit if job.array is not None else None,
        het_job_id=None if het is None else het.job_id,
        het_offset=None if het is None else job.het_offset,
        name=description.name or _NAMELESS,
        user=description.user,
        uid=description.uid,
        group=description.group,
        gid=description.gid,
        account=job.account,
        qos=job.qos,
        wckey=description.wckey,
        partition=job.partition,
        state=job.state.value,
        cancelled_by=job.cancelled_by,
        wait_status=_wait_status(job, settings),
        derived_wait_status=_derived(job, settings),
        submit=job.submit_time,
        eligible=job.eligible_time if job.accounted_eligible is None else job.accounted_eligible or None,
        start=job.start_time if ran or job.state is JobState.FAILED or _is_over_unheard_of(job, settings) else None,
        end=None if _is_begun_at_its_end(job, settings) else job.end_time,
        suspended=job.suspended,
        suspended_since=job.suspend_time if job.state is JobState.SUSPENDED else None,
        time_limit=job.time_limit,
        unlimited=description.time_limit == NO_LIMIT or _is_limited(record, believed),
        nodes=job.nodes,
        num_nodes=allocated_nodes or job.requested_nodes,
        requested_nodes=job.requested_nodes,
        allocated_nodes=allocated_nodes,
        booked_nodes=len(job.nodes) if settings.profile.requeue_frees_nodes else allocated_nodes,
        tres_nodes=holder.nodes,
        allocated_cpus=holder.num_cpus,
        requested_cpus=job.requested_cpus,
        counted_cpus=job.counted_cpus,
        requested_memory=_requested_memory(job, settings),
        priority=_priority(job),
        over_when_submitted=job.over_when_submitted,
        reason=job.waited_for if ran else job.told_reason,
        restart_count=job.restart_count,
        constraint=description.constraint or "",
        licenses=description.licenses,
        admin_comment=(job.admin_comment or "") if job.finished and not job.completing else "",
        work_dir=description.work_dir,
        submit_line=description.submit_line,
        steps=tuple(_step_record(step, job) for step in steps),
        source=_as_told(job),
        told=told,
    )


def _is_over_unheard_of(job: Job, settings: Settings) -> bool:
    """Whether its end has come before accounting has heard of it: it takes that for its start (measured)."""
    if job.over_when_submitted:
        return True
    if job.state is not JobState.DEADLINE or job.end_time is None or settings.profile.accounts_at_submission:
        return False
    return job.end_time - job.submit_time <= TOLD_AFTER


def _is_begun_at_its_end(job: Job, settings: Settings) -> bool:
    """Whether accounting hears of its beginning after its end, which it forgets then (measured)."""
    return job.over_when_submitted and job.state is JobState.CANCELLED and settings.profile.accounts_at_submission


def _waiting_tasks(job: Job, believed: Believed | None) -> TaskSet | None:
    if believed is not None:
        return believed.tasks
    waiting = job.array.accounted() if job.array is not None and job.is_unsplit else None
    return waiting or None  # none are left of a record that was cancelled and requeued


def _is_limited(record: JobArray | None, believed: Believed | None) -> bool:
    """Whether accounting has heard of an array's limit, which is that of the partition, from an element that started (measured)."""
    if believed is not None:
        return believed.is_limited
    return record is not None and record.last_start > 0.0


def _as_told(job: Job) -> Job:
    """With the files that accounting knows of."""
    if job.accounted_files is None or job.nodes:
        return job
    known = copy(job)
    stdin, stdout, stderr = job.accounted_files
    known.description = evolve(job.description, input=stdin, output=stdout, error=stderr)
    return known


def _priority(job: Job) -> int | None:
    priority = job.priority if job.accounted_priority is None else job.accounted_priority
    return None if priority == NO_VAL else priority


def _wait_status(job: Job, settings: Settings) -> int:
    """A job that was ended from outside has no exit code here, and one that was refused has 1 (measured: sacct, scontrol)."""
    ended = (JobState.CANCELLED, JobState.TIMEOUT, JobState.PREEMPTED)
    if job.state is JobState.PENDING or (job.nodes and job.state in ended):
        return 0
    if job.state is JobState.NODE_FAIL:
        return settings.profile.node_fail_exit_code << 8
    # It keeps that status when it is requeued.
    refused = job.state in (JobState.FAILED, JobState.DEADLINE) or job.wait_status == 1
    return _REFUSED if refused and not (job.nodes or job.former_nodes) else job.wait_status


def _derived(job: Job, settings: Settings) -> int:
    """Of a job that has run before, and that ends while it waits, that of its attempts; 24.11 has none of a failed node (measured)."""
    if job.state is JobState.NODE_FAIL and settings.profile.derived_counts_last_steps:
        return 0
    if job.accounted_derived is None:
        return job.derived_wait_status if job.finished else 0
    return job.accounted_derived


def _step_record(step: Step, job: Job) -> StepRecord:
    """A step that still runs when its job has ended is shown with the job's state and end."""
    state, end = step.state, step.end_time
    if step.running and job.state is JobState.SUSPENDED:
        state = job.state
    if step.running and job.finished:
        state, end = job.state, job.end_time
    return StepRecord(
        step_id=step.step_id,
        name=step.name,
        state=state.value,
        cancelled_by=step.cancelled_by,
        wait_status=step.wait_status,
        lost=step.lost,
        suspended=step.suspended,
        start=step.start_time,
        end=end,
        nodes=step.nodes,
        ntasks=step.ntasks,
        num_cpus=step.num_cpus,
        distribution="" if step.step_id == BATCH else step.distribution,
        submit_line=step.request.submit_line if step.request is not None else "",
    )


def _requested_memory(job: Job, settings: Settings) -> str:
    """sacct's ReqMem: of all nodes together; what is not asked for is all of a node's (measured)."""
    description = job.counted or job.description
    if description.mem_per_cpu:
        total = description.mem_per_cpu * job.memory_cpus
    else:
        total = (description.mem_per_node or settings.nodes[0].real_memory) * job.requested_nodes
    return _megabytes(total)


def _megabytes(amount: int) -> str:
    """``2000M``, ``1G``: as Slurm shortens it, in units that leave no rest."""
    units = "MGT"
    place = 0
    while amount and amount % 1024 == 0 and place + 1 < len(units):
        amount //= 1024
        place += 1
    return f"{amount}{units[place]}"
