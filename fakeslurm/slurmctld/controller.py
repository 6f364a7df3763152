"""The controller: events and the time in, effects out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

from attrs import evolve

from fakeslurm import messages
from fakeslurm.jobarray import JobArray
from fakeslurm.messages import SlurmError
from fakeslurm.model import (
    Effect,
    Job,
    JobDescription,
    NodeReason,
    NodeRecord,
    Partition,
    Scope,
    Settings,
    Step,
    StepId,
    StepRequest,
)
from fakeslurm.slurmctld.forecast import Forecast, forecast
from fakeslurm.slurmctld.gang import Gang
from fakeslurm.slurmctld.jobupdate import JobUpdate
from fakeslurm.slurmctld.nodes import Nodes, NodeState
from fakeslurm.slurmctld.obstacles import Obstacles
from fakeslurm.slurmctld.preemption import Preemption
from fakeslurm.slurmctld.requests import Requests
from fakeslurm.slurmctld.running import Running
from fakeslurm.slurmctld.scheduler import Scheduler
from fakeslurm.slurmctld.selection import Share
from fakeslurm.slurmctld.state import State
from fakeslurm.slurmctld.steps import Placement, place_step
from fakeslurm.slurmctld.suspension import Suspension
from fakeslurm.slurmctld.waiting import Waiting
from fakeslurm.slurmdbd import Accounting
from slurmkit.slurm.states import JobState

__all__ = ["Controller", "Forecast"]


class Controller:
    """The state of one cluster. Nothing in it reads a clock, starts a process or touches a file.

    Call the method of what has happened, carry out `take_effects()`, and call `tick` at `next_deadline()`. `now` must not
    go back. Not thread-safe: the caller holds a lock.
    """

    def __init__(self, settings: Settings) -> None:
        state = self._state = State(settings)
        self._running = Running(state)
        self._obstacles = Obstacles(state)
        self._suspension = Suspension(state, self._running)
        self._gang = Gang(state, self._suspension)
        self._scheduler = Scheduler(
            state, Preemption(state, self._running), self._gang, self._start, self._obstacles.look
        )
        self._waiting = Waiting(state, self._scheduler, self._obstacles)
        self._requests = Requests(state, self._waiting, self._running, self._suspension)
        self._nodes = Nodes(state, self._waiting, self._running)
        self._commands = 0
        """How many are in the midst of what they change."""

    @property
    def settings(self) -> Settings:
        """The configuration, with partitions as they are now."""
        return self._state.settings

    @property
    def partitions(self) -> Mapping[str, Partition]:
        """By name, in the order of the configuration."""
        return self._state.partitions

    @property
    def jobs(self) -> Mapping[int, Job]:
        """In memory, by id, ascending; finished ones stay for MinJobAge."""
        return self._state.jobs

    @property
    def arrays(self) -> Mapping[int, JobArray]:
        """In memory, by id."""
        return self._state.arrays

    @property
    def nodes(self) -> Mapping[str, NodeRecord]:
        """By name, in the order of the configuration."""
        return self._state.resources.nodes

    @property
    def licenses_used(self) -> Mapping[str, int]:
        """How many of each license jobs hold."""
        return self._state.resources.licenses.used

    @property
    def accounting(self) -> Accounting:
        """What sacct sees."""
        return self._state.accounting

    def ping(self) -> None:
        """It answers. Commands that print nothing but the configuration call this where Slurm's ask for that."""

    # Requests of the commands. Each raises SlurmError with Slurm's words when it is refused.

    def submit(self, description: JobDescription, now: float) -> int:
        """A batch job: its id. It may have started already."""
        if description.script is None:
            raise ValueError("submit: the description has no script; `allocate` is for jobs without one")
        return self._submit(description, now)

    def submit_het(self, descriptions: Sequence[JobDescription], now: float) -> int:
        """A heterogeneous batch job: the id of its leader. All components have the same script, which the leader runs."""
        self._advance(now)
        try:
            return self._waiting.submit_het(descriptions).job_id
        finally:
            self._schedule()

    def allocate(self, description: JobDescription, now: float) -> int:
        """An allocation without a batch script, for srun outside a job: the job's id, pending or running.

        Whoever asked has to call `release_allocation`.
        """
        if description.script is not None:
            raise ValueError("allocate: the description has a script; `submit` is for batch jobs")
        return self._submit(description, now)

    def test_only(self, description: JobDescription, now: float) -> Forecast:
        """When and where the job would start; nothing is kept but a job id is used up."""
        self._advance(now)
        return forecast(description, self._state, self._obstacles, self._scheduler)

    def cancel(
        self,
        job_id: int,
        now: float,
        *,
        uid: int,
        task: int | None = None,
        signal: int | None = None,
        scope: Scope | None = None,
    ) -> None:
        """End a job, or (`signal`) only send it a signal.

        Without a signal: CANCELLED, with SIGCONT and SIGTERM now and SIGKILL after KillWait; with `scope` "batch" the batch
        script's shell is killed. SIGKILL is the same as no signal (measured). Any other signal goes to the steps, or to what
        `scope` says, and is refused for a pending job.

        `task` (as in `hold` and `release`): only this one of the elements that the record `job_id` of an array stands for.
        """
        with self._event(now):
            self._requests.cancel(job_id, uid, task, signal, scope)

    def cancel_step(self, job_id: int, step_id: StepId, now: float, *, uid: int, signal: int | None = None) -> None:
        """End one step, with SIGKILL at once, or (`signal`) only signal it."""
        with self._event(now):
            self._requests.cancel_step(job_id, step_id, uid, signal)

    def hold(self, job_id: int, now: float, *, uid: int, task: int | None = None, by_user: bool = False) -> None:
        """``scontrol hold`` (or uhold: `by_user`): the priority becomes 0."""
        with self._event(now):
            self._requests.hold(job_id, uid, task, by_user=by_user)

    def release(self, job_id: int, now: float, *, uid: int, task: int | None = None) -> None:
        """``scontrol release``: the job gets the next priority, whether it is held or not."""
        with self._event(now):
            self._requests.release(job_id, uid, task)

    def notify(self, job_id: int, text: str, now: float, *, uid: int) -> None:
        """``scontrol notify``: slurmstepd writes it on the stderr of the job's script."""
        with self._event(now):
            self._requests.notify(job_id, text, uid)

    def suspend(self, job_id: int, now: float, *, uid: int) -> None:
        """``scontrol suspend``. Nothing happens to a job that is suspended."""
        with self._event(now):
            self._requests.suspend(job_id, uid)

    def resume(self, job_id: int, now: float, *, uid: int) -> None:
        """``scontrol resume``."""
        with self._event(now):
            self._requests.resume(job_id, uid)

    def requeue(self, job_id: int, now: float, *, uid: int, hold: bool = False) -> None:
        """``scontrol requeue`` (requeuehold: `hold`): a job that runs, or has run, is to run again, under the same id.

        It waits for `Settings.cred_expire` and one second more. What runs of it is ended first.
        """
        with self._event(now):
            self._requests.requeue(job_id, uid, hold=hold)

    def may_requeue(self, job_id: int) -> bool:
        """Whether a job that runs has a script that may run again (``--requeue``, JobRequeue), and all of its components."""
        job = self._state.known(job_id)
        known = [self._state.jobs.get(one) for one in ([] if job.het is None else job.het.members)]
        return self._running.may_run_again(job) and all(one is not None and not one.finished for one in known)

    def update_job(self, job_id: int, update: JobUpdate, now: float, *, uid: int, task: int | None = None) -> None:
        """``scontrol update jobid=``. `task` as in `cancel`. What comes before a refusal stays changed."""
        with self._event(now):
            self._requests.update(job_id, update, uid, task)

    def update_partition(self, name: str, now: float, **changes: Any) -> None:
        """``scontrol update partitionname=``: fields of `Partition`. What runs is not affected. Raises SlurmError for an unknown name."""
        self._advance(now)
        known = self._state.partitions.get(name)
        if known is None:
            raise SlurmError(messages.INVALID_PARTITION)
        self._state.change_partition(evolve(known, **changes))
        self._waiting.partition_changed(name)
        self._schedule()

    def update_node(self, name: str, now: float, state: NodeState, why: NodeReason | None = None) -> None:
        """``scontrol update nodename=``: DOWN, DRAIN and FAIL have a reason. What runs on a node that goes DOWN fails with it.

        Such a job is NODE_FAIL, or is requeued if it may be.
        """
        self._advance(now)
        self._nodes.update(name, state, why)
        self._schedule()

    def lose_node(self, name: str, why: NodeReason, now: float) -> None:
        """A node does not answer any more: it is DOWN, and what ran on it is gone."""
        with self._event(now):
            self._nodes.lose(name, why)

    def preempt(self, job_id: int, now: float, mode: Literal["CANCEL", "REQUEUE"]) -> None:
        """A running job has to make room, whether another one waits for it or not."""
        with self._event(now):
            self._running.preempt(self._state.known(job_id), mode)

    def create_step(self, job_id: int, request: StepRequest, now: float) -> Step | None:
        """A step of a running job; None when its resources are busy: ask again when a step of the job has ended."""
        steps = self.create_steps([(job_id, request)], now)
        return None if steps is None else steps[0]

    def create_steps(self, requests: Sequence[tuple[int, StepRequest]], now: float) -> list[Step] | None:
        """A step of the same number in several components of a heterogeneous job (job id, request), or in none of them.

        The SlurmError has the `job_id` of the one that it is about; DISABLED: it is suspended, ask again when it goes on.
        """
        self._advance(now)
        self._schedule()
        placed = []
        for job_id, request in requests:
            try:
                job = self._state.owned(job_id, request.uid)
                placed.append((job, request, self._placement(job, request)))
            except SlurmError as error:
                error.job_id = job_id
                raise
        steps: list[Step] = []
        for job, request, placement in placed if all(one is not None for _, _, one in placed) else ():
            assert placement is not None
            first = steps[0].step_id if steps else None
            assert first is None or isinstance(first, int)
            steps.append(self._running.add_step(job, request, placement, first))
        return steps or None

    def _placement(self, job: Job, request: StepRequest) -> Placement | None:
        if job.state is JobState.PENDING:
            raise SlurmError(messages.JOB_PENDING)
        if job.state is JobState.SUSPENDED:
            raise SlurmError(messages.DISABLED)
        if job.state is not JobState.RUNNING:
            raise SlurmError(messages.ALREADY_DONE)
        return place_step(job, request, self.nodes, self.settings)

    def release_allocation(self, job_id: int, wait_status: int, now: float) -> None:
        """srun outside a job has ended, with this highest status of its tasks: the allocation is over.

        An allocation that is still pending is given up: CANCELLED. One that ran and was ended from outside has this status from then on,
        as scontrol shows it; accounting does not hear of it.
        """
        with self._event(now):
            self._requests.release_allocation(job_id, wait_status)

    def refuse_allocation(self, job_id: int, now: float) -> None:
        """An allocation that was to be there at once is still pending: FAILED, as what fits nowhere."""
        with self._event(now):
            self._requests.refuse_allocation(job_id)

    # What the nodes report.

    def batch_started(self, job_id: int, pid: int, now: float) -> None:
        """The batch script runs, as this process."""
        self._advance(now)
        batch = self._state.known(job_id).batch
        if batch is not None:
            batch.pid = pid
        self._schedule()

    def batch_ended(self, job_id: int, wait_status: int, now: float) -> None:
        """The batch script has ended. Its job ends with it."""
        self._advance(now)
        self._running.batch_ended(self._state.known(job_id), wait_status)
        self._schedule()

    def launch_failed(self, job_id: int, now: float, *, held: bool = False) -> None:
        """The script could not be started, for a file that cannot be opened or a missing directory: FAILED 0:53.

        `held`: for a reason of the node, which could not write the script down: the job is requeued and held.
        """
        self._advance(now)
        self._running.launch_failed(self._state.known(job_id), held=held)
        self._schedule()

    def step_started(self, job_id: int, step_id: int, now: float) -> None:
        """The tasks of a step run."""
        self._advance(now)
        self._state.step_of(job_id, step_id).start_time = now
        self._schedule()

    def step_ended(self, job_id: int, step_id: int, task_statuses: Sequence[int], now: float) -> None:
        """All tasks of a step have ended: their wait statuses, by rank; empty when none could be started."""
        self._advance(now)
        step = self._state.step_of(job_id, step_id)
        self._running.end_step(self._state.known(job_id), step, task_statuses)
        self._schedule()

    def tasks_ended(self, job_id: int, step_id: StepId, place: int, now: float) -> None:
        """All tasks of a step on one of its nodes (by its place among them) have ended; `step_ended`, or the like, follows for all of it."""
        self._advance(now)
        job = self._state.known(job_id)
        step = job.step(step_id)
        if step is not None:
            self._running.tasks_ended(job, step, place)
        self._schedule()

    def processes_gone(self, job_id: int, now: float) -> None:
        """Answer to `EndJob`: nothing of the job runs any more. COMPLETING ends, its nodes are free."""
        self._advance(now)
        job = self._state.known(job_id)
        if job.completing:
            self._running.gone(job)
            if job.state is JobState.PENDING:
                self._waiting.requeue(job)
                self._waiting.tell_namesakes(job)
            else:
                self._waiting.tell_dependents(job)
        self._schedule()

    # Time.

    def tick(self, now: float) -> None:
        """Do what is due: start jobs, look at time limits, kill, forget. Harmless when nothing is."""
        self._advance(now)
        self._schedule()

    def next_deadline(self) -> float | None:
        """When to call `tick`, None when nothing is going to happen by itself."""
        return self._state.next_deadline()

    # What a fault does to its memory.

    def forget_ended(self, now: float, on_forgotten: Callable[[int, float], None]) -> None:
        """Forget what is over, and until `remember` each job as soon as it is; `on_forgotten` hears of it."""
        self._advance(now)
        self._state.on_forgotten.append(on_forgotten)
        self._let_go(self._state.forget_now())
        self._schedule()

    def remember(self, on_forgotten: Callable[[int, float], None]) -> None:
        """The end of a `forget_ended`; after the last one MinJobAge holds again."""
        self._state.on_forgotten.remove(on_forgotten)

    def lose_state(self, now: float) -> list[int]:
        """End and forget all jobs, and begin with the first id again: the ids of the jobs that were lost."""
        self._advance(now)
        state, lost = self._state, list(self._state.jobs)
        state.losing = set(lost)
        for job_id in lost:
            job = state.jobs.get(job_id)
            if job is not None and not job.finished:
                with suppress(SlurmError):  # a component that its leader has taken with it
                    self._requests.cancel(job_id, 0, None, None, None)
                job.cancelled_by = None
        state.forget_now()
        state.losing &= state.jobs.keys()
        state.start_ids_again()
        self._schedule()
        return lost

    def take_effects(self) -> list[Effect]:
        """What is to be done, in order; each effect is handed out once."""
        effects, self._state.effects = self._state.effects, []
        return effects

    def take_touched(self) -> tuple[list[Job], list[NodeRecord], list[Job]]:
        """Jobs and nodes of which something may have changed since this was asked before, in the order in which it did; jobs that
        were forgotten since.
        """
        state = self._state
        jobs, nodes, forgotten = list(state.touched.values()), list(state.resources.touched.values()), state.forgotten
        state.touched.clear()
        state.resources.touched.clear()
        state.forgotten = []
        return jobs, nodes, forgotten

    @contextmanager
    def one_command(self) -> Iterator[None]:
        """What a command changes inside of this, it changes before the scheduler comes by: who may start starts at its end (measured)."""
        self._commands += 1
        try:
            yield
        finally:
            self._commands -= 1
            self._schedule()

    @contextmanager
    def _event(self, now: float) -> Iterator[None]:
        """What is due happens before, and who may start then starts: also when what is refused has changed something."""
        self._advance(now)
        try:
            yield
        finally:
            self._schedule()

    def _submit(self, description: JobDescription, now: float) -> int:
        with self._event(now):
            return self._waiting.submit(description).job_id

    def _start(self, job_id: int, partition: str, shares: Sequence[Share], beneath: Collection[int]) -> None:
        job, demand = self._waiting.start(job_id)
        self._running.begin(job, demand, partition, shares, beneath)
        if job.job_id != job_id:
            rest = self._state.jobs[job_id]
            rest.cpus_before = job.num_cpus
            if not rest.looked_at:  # held until now
                rest.num_nodes, rest.looked_at = job.num_nodes, True
            if job.description.deadline is not None:
                rest.time_limit = job.time_limit  # of the elements that wait, too (measured)
        self._gang.look()
        if job.array is not None:
            self._waiting.look_at_limit(job.array)
            self._waiting.left(job)
        self._waiting.tell_of_start(job)

    def _let_go(self, arrays: Iterable[int]) -> None:
        """These arrays are forgotten: nobody has to wait for them."""
        for array_id in arrays:
            self._waiting.tell_dependents_of_array(array_id)

    def _advance(self, now: float) -> None:
        """What was due until now happens first."""
        state = self._state
        state.advance(now)
        if arrays := state.forget():
            self._let_go(arrays)
        while (due := state.timers.pop_due(now)) is not None:
            what, job_id = due
            job = state.jobs[job_id]
            match what:
                case "begin" | "depend" | "started":
                    self._waiting.consider(job)
                case "ineligible":
                    self._waiting.look_at_dependent(job)
                case "deadline":
                    self._waiting.look_at_deadline(job)
                case "purge":
                    self._waiting.look_at_held(job)
                case "preempt" | "elsewhere":
                    self._scheduler.look_again()
                case "limit":
                    self._running.time_out(job)
                case "warn":
                    self._running.warn(job)
                case "freed":
                    self._running.free_place(job)
                    self._waiting.tell_namesakes(job)
                case "kill":
                    self._running.kill(job)
                case "stop":
                    self._suspension.stop(job)
                case "slice":
                    self._gang.go_on(job)

    def _schedule(self) -> None:
        if self._commands:
            return
        state = self._state
        while state.freed_arrays:
            self._waiting.look_at_limit(state.freed_arrays.pop())
        self._gang.look()
        self._scheduler.run(state.now)
