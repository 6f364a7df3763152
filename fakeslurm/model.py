"""The values of the fake Slurm: what a job asks for, and what it became.

Times are epoch seconds (float), limits are minutes, memory is MB, exit codes are raw wait statuses (768 is exit 3, 9 is
SIGKILL), as Slurm keeps them. The cluster (`fakeslurm.configuration`), the releases (`fakeslurm.profiles`) and the effects
(`fakeslurm.effects`) are to be had here as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import floor
from operator import attrgetter
from typing import Literal

from attrs import define, field, fields, frozen

from fakeslurm.configuration import Node, Partition, Settings
from fakeslurm.effects import BATCH, Abandon, Effect, EndJob, JobError, SignalStep, StartBatch, StepId
from fakeslurm.hetjob import HetJob
from fakeslurm.jobarray import NO_TASK, JobArray
from fakeslurm.messages import Reason
from fakeslurm.profiles import PROFILES, Profile
from slurmkit.slurm.states import JobState

__all__ = [
    "BATCH",
    "NO_LIMIT",
    "PROFILES",
    "Abandon",
    "Effect",
    "EndJob",
    "Job",
    "JobDescription",
    "JobError",
    "Node",
    "NodeReason",
    "NodeRecord",
    "Partition",
    "Profile",
    "Scope",
    "Settings",
    "SignalSpec",
    "SignalStep",
    "StartBatch",
    "Step",
    "StepId",
    "StepRequest",
]

NO_LIMIT = 0
"""A requested time limit of 0 means none, as ``sbatch -t 0`` does."""

Scope = Literal["all", "steps", "batch"]
"""Who hears a signal: everything, the steps of srun only (scancel --signal), the batch script's shell only (--batch)."""


# What is asked for


@frozen
class SignalSpec:
    """``--signal=[B:]SIG[@seconds]``."""

    signal: int
    seconds: int = 60
    batch: bool = False
    """``B:``: to the batch script's shell only; otherwise to the steps only."""


@frozen(kw_only=True)
class JobDescription:
    """What sbatch (or srun outside a job) asks for. None is "not given"; texts are as given; names are sbatch's."""

    script: bytes | None = None
    """The batch script, complete; None for an allocation of srun."""
    argv: tuple[str, ...] = ()
    """The script's absolute path and its arguments (``Command=``); empty for --wrap and for a script from stdin."""
    name: str = ""
    name_in_environment: bool = True
    """Whether it was named: not a script from stdin without --job-name, whose name is ``sbatch``."""
    first_name: str | None = None
    """The name that it was submitted with, once ``scontrol update`` has changed it, where SLURM_JOB_NAME and files keep it."""
    user: str = "root"
    uid: int = 0
    group: str = "root"
    gid: int = 0
    account: str | None = None
    qos: str | None = None
    partition: str | None = None
    """One name, or several separated by commas."""
    min_nodes: int | None = None
    max_nodes: int | None = None
    """``-N 2`` is 2 and 2; ``-N 2-4`` is 2 and 4."""
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    ntasks_per_core: int | None = None
    ntasks_per_socket: int | None = None
    cpus_per_task: int | None = None
    mincpus: int | None = None
    sockets_per_node: int | None = None
    cores_per_socket: int | None = None
    threads_per_core: int | None = None
    mem_per_node: int | None = None
    mem_per_cpu: int | None = None
    tmp_disk: int | None = None
    time_limit: int | None = None
    """Minutes; `NO_LIMIT` for none; None for the partition's default."""
    nodelist: str = ""
    exclude: str = ""
    nodes_as_written: frozenset[Literal["nodelist", "exclude"]] = frozenset()
    """Which of the two ``scontrol update`` has set: they are shown as they were written, those of sbatch sorted."""
    exclusive: bool = False
    oversubscribe: bool = False
    overcommit: bool = False
    contiguous: bool = False
    spread_job: bool = False
    use_min_nodes: bool = False
    hold: bool = False
    requeue: bool | None = None
    priority: int | None = None
    nice: int = 0
    begin: float | None = None
    deadline: float | None = None
    dependency: str = ""
    kill_on_invalid_dep: frozenset[bool] = frozenset()
    """What it said of itself, each time that it did: Slurm keeps both (measured)."""
    array: str = ""
    constraint: str | None = None
    """An empty one is shown as such."""
    gres: str = ""
    gpus: str = ""
    gpus_per_node: str = ""
    other_gpus: str = ""
    """An option about GPUs that only Slurm carries out, with its value: ``gpus-per-task=1``."""
    licenses: str = ""
    licenses_cleared: bool = False
    """Whether an update to none has left an empty text to be shown, not ``(null)``."""
    reservation: str = ""
    output: str | None = None
    error: str | None = None
    input: str | None = None
    open_mode: Literal["append", "truncate"] | None = None
    work_dir: str = "/"
    submit_dir: str | None = None
    """Where the command was called, if that is not `work_dir` (--chdir)."""
    environment: Mapping[str, str] = field(factory=dict)
    """Of the submitting command, complete; `fakeslurm.environment` applies `export` to it."""
    export: str | None = None
    comment: str | None = None
    mail_type: tuple[str, ...] = ()
    """Of `fakeslurm.mailtypes`; no mail is sent."""
    mail_user: str = ""
    """Empty for the user of the job."""
    wckey: str | None = None
    """Workload characterization key: told to the accounting, and no more, since clusters do not track them (TrackWCKey=no)."""
    signal: SignalSpec | None = None
    distribution: str | None = None
    no_kill: bool = False
    umask: int = 0o022
    niceness: int = 0
    """The nice value of the process that submitted it, not the job's."""
    submit_host: str = "localhost"
    submit_line: str = ""
    """The submitting command as it was typed (sacct's SubmitLine)."""

    @property
    def lasting_name(self) -> str:
        """The name for SLURM_JOB_NAME and files."""
        return self.name if self.first_name is None else self.first_name

    @property
    def asks_for_tasks(self) -> bool:
        """Whether a number of tasks was asked for, in one way or another: then there is a SLURM_NTASKS."""
        return self.ntasks is not None or self.ntasks_per_node is not None


@frozen(kw_only=True)
class StepRequest:
    """What srun asks for inside a job. None is "as the job": srun itself has read its SLURM_* variables already."""

    argv: tuple[str, ...] = ()
    name: str = ""
    ntasks: int | None = None
    min_nodes: int | None = None
    max_nodes: int | None = None
    ntasks_per_node: int | None = None
    cpus_per_task: int | None = None
    nodelist: str = ""
    exclude: str = ""
    relative: int | None = None
    distribution: str | None = None
    hosts: tuple[str, ...] = ()
    """The node of each rank, for the distribution ``arbitrary``."""
    exact: bool = False
    overlap: bool = False
    overcommit: bool = False
    mem_per_node: int | None = None
    mem_per_cpu: int | None = None
    time_limit: int | None = None
    gres: str | None = None
    """On each node."""
    uid: int = 0
    submit_line: str = ""

    @property
    def counts_cpus(self) -> bool:
        """Whether it has as many tasks as CPUs allow."""
        given = self.ntasks is not None or self.ntasks_per_node is not None or self.hosts
        return self.cpus_per_task is not None and not given


# What became of it


@define(kw_only=True, eq=False)
class Step:
    """A step of a job. The batch script is one, of one task on the first node."""

    job_id: int
    step_id: StepId
    name: str
    nodes: tuple[str, ...]
    tasks: tuple[tuple[int, ...], ...]
    """For each node the ranks that run on it, ascending: ``SLURM_GTIDS``."""
    cpus_per_node: tuple[int, ...]
    gres: tuple[int, ...] = ()
    """Which units of each node's gres: bit masks."""
    distribution: str
    """SLURM_DISTRIBUTION: ``block``, ``cyclic``, ``plane``, ``arbitrary``, ``block:cyclic``..."""
    start_time: float
    state: JobState = JobState.RUNNING
    cancelled_by: int | None = None
    """The uid that cancelled it."""
    end_time: float | None = None
    wait_status: int = 0
    """The step's: that of the rank with the highest exit code."""
    pid: int | None = None
    """Of the batch script."""
    request: StepRequest | None = None
    suspended: float = 0.0
    """Seconds that its job was suspended for while it ran, up to the last resumption."""
    announced: bool = False
    """Whether slurmstepd has said on its stderr why it is ended; it says so once."""
    exclusive: bool = True
    """Whether its CPUs are no other step's while it runs (not so for --overlap and the batch step)."""
    counted: bool = True
    """Whether it is said to have CPUs, and keeps them from other steps (not so for --exact with --overcommit)."""
    lost: bool = False
    """Whether its node has not told how it ended."""
    nodes_done: tuple[str, ...] = ()
    """Those on which all of its tasks have ended, while it runs on others."""

    @property
    def ntasks(self) -> int:
        return sum(map(len, self.tasks))

    @property
    def num_cpus(self) -> int:
        return sum(self.cpus_per_node) if self.counted else 0

    @property
    def tasks_per_node(self) -> tuple[int, ...]:
        return tuple(map(len, self.tasks))

    @property
    def running(self) -> bool:
        return self.end_time is None


@define(kw_only=True, eq=False)
class Job:
    """A job as the controller knows it. Commands read it; only the controller changes it."""

    job_id: int
    description: JobDescription
    partition: str
    submit_time: float
    eligible_time: float | None
    """When it could have started for all that it waits for; None while it is held, waits for other jobs or for its array's limit."""
    priority: int
    over_when_submitted: bool = False
    """Whether what it waits for could not come true any more: it never got a priority but what it asked for."""
    direct_priority: bool = False
    """Whether somebody has set the priority, or 0 to hold the job: then ``Nice`` does not change it."""
    time_limit: int | None
    """Minutes; None is UNLIMITED."""
    end_shift: float = 0.0
    """Seconds that its latest end is later than start and limit say: ``scontrol update`` moves the one and the other."""
    first_eligible_time: float | None = None
    """AccrueTime, when it has been held, got another begin or waited for its array's limit since."""
    accounted_eligible: float | None = None
    """Accounting's EligibleTime (0: none), which is not told when the job has none any more for the jobs that it waits for (measured)."""
    accounted_files: tuple[str | None, str | None, str | None] | None = None
    """Standard input, output and error as accounting has them, while it waits: an update of these alone it is not told of (measured)."""
    accounted_priority: int | None = None
    """The priority that accounting has, which is not told that the job was held when it was requeued (measured)."""
    admin_comment: str | None = None
    num_nodes: int
    """Of the allocation; while pending the least number that it needs, and once Slurm has looked where it could run, the number
    that it would get if nothing else ran (measured)."""
    num_cpus: int
    """Of the allocation; while pending the number that it asks for."""
    cpus_before: int | None = None
    """Of the element of its array that had started last when it was one record with it: shown if it is over without having run (measured)."""
    num_tasks: int
    shown_tasks: int | None = None
    """NumTasks of one that has started with ``--ntasks-per-node`` or without --ntasks, which need not be the number of its tasks (measured)."""
    looked_at: bool = False
    """Whether Slurm has looked where it could run: `num_nodes` is not a guess. Once another memory is asked for it is one again (measured)."""
    requested_nodes: int
    """The least number of nodes that was asked for."""
    requested_cpus: int
    """When it was submitted."""
    counted_cpus: int
    """Of ReqTRES: an update may have counted them anew."""
    memory_cpus: int
    """Those for which ReqTRES has ``--mem-per-cpu``: they are counted anew with another one only (measured)."""
    recounted: bool = False
    """Whether an update has counted its tasks anew, while it waited."""
    time_min: int | None = None
    """Minutes; of one that was submitted with a deadline and without a limit, and it stays (measured)."""
    account: str | None = None
    """Asked for, or the user's default one in accounting: only root has one, whose name is ``root`` as well (measured)."""
    qos: str | None = None
    """``normal`` with accounting, unless another one was asked for."""
    place: int = 0
    """Where slurmctld's list has it: jobs are listed by ascending place."""
    array: JobArray | None = None
    """The array that it belongs to."""
    array_task_id: int | None = None
    """Its index there; None is all that are `JobArray.pending`, for the one record that stands for them."""
    het: HetJob | None = None
    """The heterogeneous job that it is a component of."""
    _state: JobState = JobState.PENDING
    _completing: bool = False
    _reason: str = Reason.NONE
    fits_nowhere: bool = False
    """No node would do when it was last looked at: while it waits it is shown as starting now (measured; until backfill comes by)."""
    waited_for: str = Reason.NONE
    """What it waited for last, other than resources and its turn: once it has started that is sacct's Reason."""
    told_together: bool = False
    """Whether accounting was told since its submission that it belongs to its heterogeneous job, where it is not at once."""
    told_reason: str = Reason.NONE
    """sacct's Reason before that: what it waited for when accounting was last told of it, before what that was told for (measured)."""
    start_time: float | None = None
    end_time: float | None = None
    """When it ended; while it runs, None (start and limit give the latest end)."""
    nodes: tuple[str, ...] = ()
    """In the order of the cluster's nodes; stays after the job has ended."""
    nodes_left: tuple[str, ...] = ()
    """Those that it has not given back, while it is completing."""
    goes_back: bool = False
    """While it is completing: whether it was requeued, be it cancelled since."""
    cpus_per_node: tuple[int, ...] = ()
    cpu_ids: tuple[tuple[int, ...], ...] = ()
    """Which CPUs of each node it has: the numbers that ``scontrol show job -d`` prints."""
    gres: tuple[int, ...] = ()
    """Which units of each node's gres it has: bit masks (`fakeslurm.gres`)."""
    tasks_per_node: tuple[int, ...] = ()
    counted: JobDescription | None = field(default=None, repr=False)
    """By what its TRES count its memory, where an update has changed that and was refused for what came behind it (measured)."""
    former_nodes: int = 0
    """How many nodes it had when it ran last, of one that waits to run again."""
    before: Job | None = field(default=None, repr=False)
    """What it was when it was over and was requeued, until it runs again: its TRES are still shown (measured)."""
    wait_status: int = 0
    derived_wait_status: int = 0
    """DerivedExitCode: the highest of its steps."""
    accounted_derived: int | None = None
    """Accounting's, once it was told of that in this attempt: when the job ended at the latest."""
    dependency: str = ""
    """What it still waits for, as squeue %E prints it: ``afterok:1(unfulfilled)``."""
    _restart_count: int = 0
    suspend_time: float | None = None
    """When it was last suspended or resumed."""
    run_before: float = 0.0
    """Seconds that it had run until then (SecsPreSuspend)."""
    suspended: float = 0.0
    """Seconds that it was suspended for, up to the last resumption."""
    warned: bool = False
    """Whether --signal has been sent."""
    may_preempt_at: float | None = None
    """While it waits: when it may preempt others at the earliest, once that is known."""
    preempts_in: str = ""
    """While it waits: the partition in which it has preempted others for the last time."""
    elsewhere_at: float = 0.0
    """From when on it may start in its other partitions after that."""
    preempt_time: float | None = None
    """When it was preempted, or its grace time began."""
    grace_end: float | None = None
    """When its grace time is over, in which it goes on running."""
    preempted_next: bool = False
    """Whether it was requeued in its grace time, and so its next run ends as if that was in grace time, too."""
    failed_node: str = ""
    """The node with which it has failed."""
    shadowed: bool = False
    """Whether a job of a higher tier has CPUs of it (PreemptMode=SUSPEND,GANG)."""
    cancelled_by: int | None = None
    """The uid that cancelled it."""
    batch: Step | None = None
    steps: dict[int, Step] = field(factory=dict)
    next_step_id: int = 0
    next_step_node: int = 0
    """Which of its nodes comes behind the last that a step got."""
    touched: dict[int, Job] | None = field(default=None, repr=False)
    """Where it puts itself when what its history is made of changes: state, completing, reason or restart_count."""

    @property
    def state(self) -> JobState:
        """The base state; see `completing`."""
        return self._state

    @state.setter
    def state(self, value: JobState) -> None:
        self._state = value
        self._touch()

    @property
    def completing(self) -> bool:
        """It has ended, but something of it may still run and its nodes are not free."""
        return self._completing

    @completing.setter
    def completing(self, value: bool) -> None:
        self._completing = value
        self._touch()

    @property
    def reason(self) -> str:
        """Of `fakeslurm.messages.Reason`, or ``RaisedSignal:9(Killed)``."""
        return self._reason

    @reason.setter
    def reason(self, value: str) -> None:
        self._reason = value
        self._touch()

    @property
    def restart_count(self) -> int:
        return self._restart_count

    @restart_count.setter
    def restart_count(self, value: int) -> None:
        self._restart_count = value
        self._touch()

    def _touch(self) -> None:
        if self.touched is not None:
            self.touched[self.job_id] = self

    def __copy__(self) -> Job:
        """As `copy` would do it, in a tenth of the time."""
        twin = Job.__new__(Job)
        for name, value in zip(_FIELDS, _values_of(self), strict=True):
            setattr(twin, name, value)
        return twin

    @property
    def array_job_id(self) -> int | None:
        return None if self.array is None else self.array.job_id

    @property
    def het_offset(self) -> int | None:
        """Which component of a heterogeneous job it is; None for none."""
        return None if self.het is None else self.het.offset(self.job_id)

    @property
    def leads(self) -> bool:
        """Whether other jobs share its fate: it is the first component of a heterogeneous job."""
        return self.het is not None and self.het.job_id == self.job_id

    @property
    def label(self) -> str:
        """``5``, ``5+1`` for a component of a heterogeneous job."""
        return f"{self.job_id}" if self.het is None else f"{self.het.job_id}+{self.het_offset}"

    @property
    def turn(self) -> tuple[int, int, int]:
        """Who comes first of those with the same priority: who has waited longer, the older job, of an array the lowest element (measured)."""
        task = NO_TASK if self.array_task_id is None else self.array_task_id
        return floor(self.submit_time), self.array_job_id or self.job_id, task

    @property
    def is_unsplit(self) -> bool:
        """Whether it stands for all elements of its array that are not jobs of their own."""
        return self.array is not None and self.array_task_id is None

    @property
    def shown_state(self) -> JobState:
        """The one word that the commands print: a flag hides the base state."""
        return JobState.COMPLETING if self.completing else self.state

    @property
    def shown_nodes(self) -> tuple[str, ...]:
        """While it is completing those where something of it may still run."""
        return self.nodes_left if self.completing else self.nodes

    @property
    def shown_node_count(self) -> int:
        return len(self.nodes_left) if self.completing else self.num_nodes

    @property
    def shown_cpus(self) -> int:
        """Only of one that is requeued those of the nodes that it has given back are gone (measured)."""
        if not self.goes_back:
            return self.num_cpus
        return sum(cpus for name, cpus in zip(self.nodes, self.cpus_per_node, strict=True) if name in self.nodes_left)

    @property
    def finished(self) -> bool:
        """It has a terminal state; it may still be completing."""
        return self.state not in (JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED)

    @property
    def requeued(self) -> bool:
        """It waits for what is left of the attempt before to end."""
        return self.completing and self.state is JobState.PENDING

    @property
    def latest_end(self) -> float | None:
        """When a running job reaches its limit."""
        if self.start_time is None or self.time_limit is None:
            return self.grace_end
        end = self.start_time + self.time_limit * 60 + self.suspended + self.end_shift
        return end if self.grace_end is None else min(end, self.grace_end)

    def gres_on(self, node: str) -> int:
        """Which units of that node's gres it has: a bit mask."""
        return dict(zip(self.nodes, self.gres, strict=False)).get(node, 0)

    def seconds_run(self, now: float) -> float:
        """How long it has run: without the time before its start, after its end, and while it was suspended."""
        if self.start_time is None or self.state is JobState.PENDING:
            return 0.0
        if self.state is JobState.SUSPENDED:
            return self.run_before
        end = now if self.end_time is None else self.end_time
        since = self.start_time if self.suspend_time is None else self.suspend_time
        return self.run_before + int(end) - int(since)

    def step(self, step_id: StepId) -> Step | None:
        return self.batch if step_id == BATCH else self.steps.get(step_id)


_FIELDS = tuple(one.name for one in fields(Job))
_values_of = attrgetter(*_FIELDS)


@frozen
class NodeReason:
    """Why a node is not available: the text, who said so, and when."""

    text: str
    user: str
    uid: int
    time: float


@define(kw_only=True, eq=False)
class NodeRecord:
    """A node as the controller knows it."""

    node: Node
    index: int
    """Its place in the order of the cluster's nodes."""
    allocated_cpus: int = 0
    cpus_in_use: int = 0
    """A bit mask of the same CPUs."""
    allocated_memory: int = 0
    gres_in_use: int = 0
    """A bit mask of the units of its gres that jobs hold."""
    jobs: dict[int, int] = field(factory=dict)
    """Which CPUs each of the jobs holds that hold some, those completing among them: bit masks."""
    aside: set[int] = field(factory=set)
    """The jobs on it whose CPUs do not count: suspended ones, and ones that were resumed when others had their CPUs."""
    completing: set[int] = field(factory=set)
    """Those of all these jobs that are completing: nobody else may start on it."""
    down: bool = False
    drain: bool = False
    fail: bool = False
    why: NodeReason | None = None
    """Why it is down, drained or failing."""

    def in_use_without(self, job_ids: Collection[int]) -> int:
        """A bit mask of the CPUs that other jobs than these hold."""
        mask = 0
        for job_id, cpus in self.jobs.items():
            if job_id not in job_ids:
                mask |= cpus
        return mask

    @property
    def available(self) -> bool:
        """Whether a job may start on it."""
        return not (self.down or self.drain or self.fail)

    @property
    def state(self) -> str:
        """``IDLE``, ``MIXED``, ``ALLOCATED``, with ``+COMPLETING`` while a job is completing on it."""
        if not self.allocated_cpus:
            base = "IDLE"
        elif self.allocated_cpus < self.node.cpus:
            base = "MIXED"
        else:
            base = "ALLOCATED"
        return f"{base}+COMPLETING" if self.completing else base
