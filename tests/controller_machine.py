"""Plays the commands, the jobs and the nodes to a controller: arbitrary events, and the end of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1
from typing import Any

from controller_fates import Fates
from controller_inputs import LICENSES, NODES, PARTITIONS, crowds, dependencies, numbers, sizes, statuses
from controllers import NOW, cluster
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import (
    BATCH,
    EndJob,
    Job,
    JobDescription,
    JobError,
    NodeReason,
    Scope,
    SignalSpec,
    SignalStep,
    StartBatch,
    StepRequest,
)
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.dependencies import Key
from fakeslurm.slurmctld.nodes import NodeState
from slurmkit.slurm.states import JobState

STUCK = {
    Reason.DEPENDENCY_NEVER_SATISFIED,
    Reason.PARTITION_DOWN,
    Reason.PARTITION_INACTIVE,
    Reason.PARTITION_NODE_LIMIT,
    Reason.PARTITION_TIME_LIMIT,
    Reason.PARTITION_CONFIG,
}
Phase = tuple[JobState, bool]
PENDING: Phase = (JobState.PENDING, False)
RUNNING: Phase = (JobState.RUNNING, False)
SUSPENDED: Phase = (JobState.SUSPENDED, False)
REQUEUED: Phase = (JobState.PENDING, True)


class Machine(RuleBasedStateMachine):
    """Plays the commands and the nodes; carries out the effects in its own order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.controller: Controller
        self.seen: dict[int, Phase] = {}
        self.restarts: dict[int, int] = {}
        self.scripts: set[int] = set()
        """Batch scripts that run."""
        self.over: set[int] = set()
        """Jobs of which EndJob has spoken."""
        self.fates = Fates()
        self.never_began: Counter[int] = Counter()
        """By job: how often it was requeued once more before the run before had gone. Accounting knows of no such attempt."""
        self.terminated: dict[tuple[int, Any], float] = {}
        """When a step was asked to end."""

    @initialize(
        consumed=st.booleans(),
        version=st.sampled_from(["22.05", "24.11"]),
        age=st.sampled_from([0.0, 20.0, 300.0]),
        crowd=crowds,
    )
    def configure(self, consumed: bool, version: str, age: float, crowd: list[dict[str, Any]]) -> None:
        self.controller = cluster(
            nodes=NODES,
            partitions=PARTITIONS,
            gres_types=("gpu", "fpga"),
            licenses=LICENSES,
            memory_is_consumed=consumed,
            version=version,
            min_job_age=age,
        )
        self.submit_several(crowd)

    # What users do

    @rule(crowd=crowds)
    def submit_several(self, crowd: list[dict[str, Any]]) -> None:
        for size in crowd:
            self.enter(JobDescription(script=b"#!/bin/sh\n", name="a", **size))

    @rule(
        size=sizes(),
        partition=st.sampled_from([None, None, None, "short", "down", "debug,short"]),
        limit=st.sampled_from([None, None, 0, 1, 3, 10]),
        hold=st.integers(0, 9).map(lambda number: number == 0),
        wait=st.sampled_from([None, None, None, 5.0, 100.0]),
        deadline=st.sampled_from([None, None, None, 150.0, 800.0]),
        dependency=dependencies(),
        kill=st.sampled_from([frozenset(), frozenset({True})]),
        name=st.sampled_from(["a", "b"]),
        nice=st.sampled_from([0, 0, 50]),
        warn=st.sampled_from([None, None, SignalSpec(SIGUSR1, 60), SignalSpec(SIGUSR1, 10, batch=True)]),
        script=st.sampled_from([b"#!/bin/sh\n", b"#!/bin/sh\n", None]),
    )
    def submit(
        self,
        size: dict[str, Any],
        partition: str | None,
        limit: int | None,
        hold: bool,
        wait: float | None,
        deadline: float | None,
        dependency: str,
        kill: frozenset[bool],
        name: str,
        nice: int,
        warn: SignalSpec | None,
        script: bytes | None,
    ) -> None:
        description = JobDescription(
            script=script,
            name=name,
            partition=partition,
            time_limit=limit,
            hold=hold,
            begin=None if wait is None else self.now + wait,
            deadline=None if deadline is None else self.now + deadline,
            dependency=dependency,
            kill_on_invalid_dep=kill,
            nice=nice,
            signal=warn,
            **size,
        )
        self.enter(description)

    def enter(self, description: JobDescription) -> int | None:
        """Submit a job: its id, None when it was refused, as Slurm would."""
        self.fates.observe(self.controller, self.now)
        known, there = self.fates.known.copy(), set(self.controller.jobs)
        enter = self.controller.allocate if description.script is None else self.controller.submit
        try:
            job_id = enter(description, self.now)
        except SlurmError:
            job_id = None
        self.enter_fates(known, there)
        self.carry_out()
        return job_id

    def enter_fates(self, known: set[Key], there: set[int]) -> None:
        """`known` and `there` before it: what was refused may have left a record too, which may be requeued."""
        for job_id in self.controller.jobs.keys() - there:
            self.fates.entered(job_id, self.controller.jobs[job_id].description, known)

    @rule(
        number=numbers,
        signal=st.sampled_from([None, None, SIGUSR1, SIGTERM, SIGKILL]),
        scope=st.sampled_from([None, "all", "steps", "batch"]),
    )
    def cancel(self, number: int, signal: int | None, scope: Scope | None) -> None:
        job = self.pick(self.controller.jobs.values(), number)
        if job is None:
            return
        scope = scope if signal else None
        if scope == "batch" and signal == SIGKILL:  # asked for, and not because KillWait is over
            self.terminated.pop((job.job_id, BATCH), None)
        phase = self.phase(job)
        try:
            self.controller.cancel(job.job_id, self.now, uid=0, signal=signal, scope=scope)
        except SlurmError:
            assert phase != RUNNING or job.het is not None
        self.carry_out()

    @rule(number=numbers, release=st.booleans())
    def hold_or_release(self, number: int, release: bool) -> None:
        job = self.pick(self.controller.jobs.values(), number)
        if job is not None:
            change = self.controller.release if release else self.controller.hold
            try:
                change(job.job_id, self.now, uid=0)
            except SlurmError:
                # A job that is too large is held all the same, and Slurm complains (measured).
                assert job.finished or job.state is JobState.PENDING
        self.carry_out()

    @rule(number=numbers, hold=st.booleans())
    def requeue(self, number: int, hold: bool) -> None:
        job = self.pick(self.controller.jobs.values(), number)
        if job is not None:
            restarts, refused, again = job.restart_count, False, job.goes_back
            try:
                self.controller.requeue(job.job_id, self.now, uid=0, hold=hold)
            except SlurmError:
                refused = True
            assert job.restart_count == restarts + (not refused)
            self.never_began[job.job_id] += again and not refused
            if not refused:
                assert job.state is JobState.PENDING or not job.completing
        self.carry_out()

    @rule(
        name=st.sampled_from(["n1", "n2", "n3", "n4"]),
        state=st.sampled_from(["DOWN", "DRAIN", "FAIL", "UNDRAIN", "RESUME", "RESUME"]),
    )
    def update_node(self, name: str, state: NodeState) -> None:
        record = self.controller.nodes[name]
        available = record.available
        why = NodeReason("because", "root", 0, self.now) if state in ("DOWN", "DRAIN", "FAIL") else None
        try:
            self.controller.update_node(name, self.now, state, why)
        except SlurmError:
            assert available
            assert state == "RESUME"
        if state in ("DOWN", "DRAIN", "FAIL"):
            assert not record.available
        assert record.available == (record.why is None)
        self.carry_out()

    @rule(
        name=st.sampled_from(["debug", "short", "down"]),
        state=st.sampled_from(["UP", "DOWN", "DRAIN", "INACTIVE", "UP"]),
    )
    def update_partition(self, name: str, state: str) -> None:
        self.controller.update_partition(name, self.now, state=state)
        self.carry_out()

    @rule(number=numbers, resume=st.booleans())
    def suspend_or_resume(self, number: int, resume: bool) -> None:
        job = self.pick((one for one in self.controller.jobs.values() if one.array is None), number)
        if job is None:
            return
        before = self.phase(job)
        try:
            (self.controller.resume if resume else self.controller.suspend)(job.job_id, self.now, uid=0)
        except SlurmError:
            assert self.phase(job) == before
        else:
            assert before in (RUNNING, SUSPENDED)
            # What is resumed may have used up its time, and what is suspended lets others start.
            assert self.phase(job) == (RUNNING if resume else SUSPENDED)
        self.carry_out()

    # What happens in jobs

    @rule(
        number=numbers,
        ntasks=st.integers(1, 6),
        each=st.sampled_from([None, None, 2]),
        exact=st.booleans(),
        overlap=st.booleans(),
        kind=st.sampled_from([None, "block", "cyclic", "plane=2"]),
        gres=st.sampled_from([None, None, "none", "gpu:1", "gpu:3"]),
    )
    def start_step(
        self, number: int, ntasks: int, each: int | None, exact: bool, overlap: bool, kind: str | None, gres: str | None
    ) -> None:
        job = self.pick((one for one in self.controller.jobs.values() if self.phase(one) == RUNNING), number)
        if job is None:
            return
        request = StepRequest(
            name="x", ntasks=ntasks, cpus_per_task=each, exact=exact, overlap=overlap, distribution=kind, gres=gres
        )
        try:
            step = self.controller.create_step(job.job_id, request, self.now)
        except SlurmError:
            step = None
        if step is not None:
            assert sorted(rank for ranks in step.tasks for rank in ranks) == list(range(ntasks))
            assert all(step.tasks)
            assert set(step.nodes) <= set(job.nodes)
        self.carry_out()

    @precondition(lambda self: self.scripts)
    @rule(number=numbers, status=statuses)
    def script_ends(self, number: int, status: int) -> None:
        job_id = self.pick(sorted(self.scripts), number)
        self.scripts.discard(job_id)
        self.controller.batch_ended(job_id, status, self.now)
        self.carry_out()

    @precondition(lambda self: self.scripts)
    @rule(number=numbers)
    def launch_fails(self, number: int) -> None:
        job_id = self.pick(sorted(self.scripts), number)
        self.scripts.discard(job_id)
        self.controller.launch_failed(job_id, self.now)
        self.carry_out()

    @rule(number=numbers, ends=st.lists(statuses, min_size=1, max_size=6))
    def step_ends(self, number: int, ends: list[int]) -> None:
        running = [step for job in self.controller.jobs.values() for step in job.steps.values() if step.running]
        step = self.pick(running, number)
        if step is not None:
            ended = (ends * step.ntasks)[: step.ntasks]
            self.controller.step_ended(step.job_id, step.step_id, ended, self.now)
            self.terminated.pop((step.job_id, step.step_id), None)
        self.carry_out()

    @rule(number=numbers, status=statuses)
    def srun_ends(self, number: int, status: int) -> None:
        job = self.pick((one for one in self.controller.jobs.values() if one.description.script is None), number)
        if job is not None:
            self.controller.release_allocation(job.job_id, status, self.now)
        self.carry_out()

    @precondition(lambda self: self.over)
    @rule(number=numbers)
    def nothing_is_left(self, number: int) -> None:
        job_id = self.pick(sorted(self.over), number)
        self.over.discard(job_id)
        self.controller.processes_gone(job_id, self.now)
        self.carry_out()

    # Time

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0, 31.0, 90.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.controller.next_deadline()) is not None and due <= end:
            assert due >= self.now
            self.now = due
            self.controller.tick(self.now)
            self.carry_out()
            after = self.controller.next_deadline()
            if not any(map(self.is_to_be_warned, self.controller.jobs.values())):
                assert after is None or after > self.now, "a deadline that stays due would be ticked for ever"
        self.now = end
        self.controller.tick(self.now)
        self.carry_out()

    # The nodes

    def carry_out(self) -> None:
        self.fates.observe(self.controller, self.now)
        for effect in self.controller.take_effects():
            job = self.controller.jobs[effect.job_id]
            match effect:
                case StartBatch(job_id):
                    # One that a pass of the scheduler has started may be preempted in the next one, in the same moment.
                    assert self.phase(job) == RUNNING or job.preempt_time == self.now
                    assert job_id not in self.scripts
                    assert not job.steps, "every attempt counts its steps anew"
                    assert all(self.controller.nodes[name].available for name in job.nodes)
                    if not job.restart_count:
                        self.started(job)
                    self.scripts.add(job_id)
                    self.terminated = {key: at for key, at in self.terminated.items() if key[0] != job_id}
                    self.controller.batch_started(job_id, 1000 + job_id, self.now)
                case EndJob(job_id):
                    assert job.completing
                    assert job_id not in self.over
                    assert job_id not in self.scripts
                    self.over.add(job_id)
                case SignalStep(job_id, step_id, signal):
                    step = job.step(step_id)
                    assert step is not None
                    # It may have been signalled for its limit, and have ended by itself, in the course of one event.
                    assert step.running or step.end_time == self.now
                    if signal == SIGTERM and job.completing:
                        self.terminated.setdefault((job_id, step_id), self.now)
                    if signal == SIGKILL and job.completing:
                        asked = self.terminated.get((job_id, step_id))
                        assert asked is None or self.now >= asked + 5
                    assert signal in (SIGCONT, SIGTSTP, SIGSTOP, SIGTERM, SIGKILL, SIGUSR1)
                case JobError(_, step_id, text):
                    assert job.step(step_id) is not None
                    assert text.endswith("***\n")

    def is_to_be_warned(self, job: Job) -> bool:
        """Whether a job has just started with so little time that its warning is due; it is warned once, with the next tick."""
        has_started = self.phase(job) == RUNNING and job.start_time == self.now
        return has_started and job.description.signal is not None and not job.warned

    def waits_for_the_time(self, job: Job) -> bool:
        if job.reason == Reason.DEPENDENCY and job.priority:
            return self.controller._state.timers.is_set("depend", job.job_id)
        return job.reason == Reason.BEGIN_TIME

    def disturb(self, job: Job) -> None:
        """A job is going to be changed by itself, or alone of its array."""

    def started(self, job: Job) -> None:
        """A job starts for the first time."""
        assert self.fates.may_start(job, self.now), job

    def is_stuck(self, job: Job) -> bool:
        """Whether a job that waits for its turn may never have it: it never starts, or is behind such a one."""
        return any(
            one.state is JobState.PENDING
            and self.never_starts(one)
            and {*one.partition.split(",")} & {*job.partition.split(",")}
            for one in self.controller.jobs.values()
        )

    def never_starts(self, job: Job) -> bool:
        """What 24.11 lets wait for ever (measured)."""
        demand = self.controller._state.demands.get(job.job_id)
        return demand is not None and demand.never_starts

    @staticmethod
    def pick(candidates: Iterable[Any], number: int) -> Any:
        some = list(candidates)
        return some[number % len(some)] if some else None

    @staticmethod
    def phase(job: Job) -> Phase:
        return job.state, job.completing

    def teardown(self) -> None:
        """Every node is there, everything that runs ends, and time goes on: then nobody waits but for a reason that time does not cure."""
        if not hasattr(self, "controller"):
            return
        for record in self.controller.nodes.values():
            if not record.available:
                self.controller.update_node(record.node.name, self.now, "RESUME")
                self.carry_out()
        for job in list(self.controller.jobs.values()):
            if job.state is JobState.SUSPENDED:
                self.controller.cancel(job.job_id, self.now, uid=0)
                self.carry_out()
        for _ in range(2000):
            if self.scripts:
                self.script_ends(0, 0)
            elif self.over:
                self.nothing_is_left(0)
            elif any(self.phase(job) == RUNNING for job in self.controller.jobs.values()):
                for job_id in list(self.controller.jobs):
                    job = self.controller.jobs.get(job_id)  # None: forgotten meanwhile
                    if job is not None and job.description.script is None and self.phase(job) == RUNNING:
                        self.controller.release_allocation(job_id, 0, self.now)
                        self.carry_out()
            else:
                waiting = [job for job in self.controller.jobs.values() if job.state is JobState.PENDING]
                if not any(map(self.waits_for_the_time, waiting)):
                    break
                self.time_passes(700.0)
        for job in self.controller.jobs.values():
            if job.state is JobState.PENDING and job.priority != 0:
                assert job.reason in STUCK or job.reason == Reason.DEPENDENCY or self.is_stuck(job), job
                if job.reason == Reason.DEPENDENCY:
                    assert self.fates.waits_for_somebody(job, self.controller), job
            else:
                assert not job.completing
