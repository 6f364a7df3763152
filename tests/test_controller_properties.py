"""The controller under arbitrary events: what must hold after every single one, and that nothing waits for ever."""

from __future__ import annotations

from collections.abc import Iterable
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1
from typing import Any

from controllers import NOW, cluster
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import (
    EndJob,
    Job,
    JobDescription,
    JobError,
    Node,
    NodeReason,
    Partition,
    Scope,
    SignalSpec,
    SignalStep,
    StartBatch,
    StepRequest,
)
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.demand import demand_of
from fakeslurm.slurmctld.jobupdate import JobUpdate
from fakeslurm.slurmctld.nodes import NodeState
from fakeslurm.slurmctld.selection import select
from slurmkit.slurm.states import TERMINAL_STATES, JobState

NODES = (
    Node("n1", cpus=4, gres="gpu:2", features=("a", "b")),
    Node("n2", cpus=4, gres="gpu:a100:1,gpu:v100:1,fpga:2", features=("a",)),
    Node("n3", cpus=2, real_memory=1000, features=("b",)),
    Node("n4", cpus=8, gres="gpu:4"),
)
LICENSES = {"foo": 3, "bar": 1}
PARTITIONS = (
    Partition("debug", default=True),
    Partition("short", nodes=("n1", "n2"), max_time=5, default_time=2, max_nodes=1),
    Partition("down", nodes=("n4",), state="DOWN"),
)
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

maybe = st.none()
counts = st.integers(1, 5)
statuses = st.sampled_from([0, 0, 0, 1 << 8, 3 << 8, 9, 15])


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    """How large a job is; often small, so that many run."""
    size: dict[str, Any] = {}
    if draw(st.booleans()):
        low = draw(counts)
        size |= {"min_nodes": low, "max_nodes": draw(st.sampled_from([low, low + 1, low + 2]))}
    for name, values in (
        ("ntasks", st.integers(1, 20)),
        ("cpus_per_task", st.integers(1, 5)),
        ("ntasks_per_node", st.integers(1, 4)),
        ("mincpus", st.integers(1, 4)),
        ("mem_per_node", st.sampled_from([0, 100, 1500])),
        ("nodelist", st.sampled_from(["n1", "n2,n4", "n[1-3]"])),
        ("exclude", st.sampled_from(["n1", "n[2-3]"])),
        ("gres", st.sampled_from(["gpu:1", "gpu:2", "gpu:a100:1", "fpga:1,gpu:1", "gpu:5"])),
        ("constraint", st.sampled_from(["a", "a|b", "a&b", "nope"])),
        ("licenses", st.sampled_from(["foo", "foo:2", "foo:2,bar", "bar:2"])),
    ):
        if draw(st.integers(0, 4)) == 0:
            size[name] = draw(values)
    for name, rarity in (
        ("exclusive", 3),
        ("overcommit", 8),
        ("contiguous", 8),
        ("spread_job", 8),
        ("use_min_nodes", 8),
    ):
        if draw(st.integers(1, rarity)) == 1:
            size[name] = True
    return size


class ControllerMachine(RuleBasedStateMachine):
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
        self.terminated: dict[tuple[int, Any], float] = {}
        """When a step was asked to end."""

    @initialize(
        consumed=st.booleans(), version=st.sampled_from(["22.05", "24.11"]), age=st.sampled_from([0.0, 20.0, 300.0])
    )
    def configure(self, consumed: bool, version: str, age: float) -> None:
        self.controller = cluster(
            nodes=NODES,
            partitions=PARTITIONS,
            gres_types=("gpu", "fpga"),
            licenses=LICENSES,
            memory_is_consumed=consumed,
            version=version,
            min_job_age=age,
        )

    # What users do

    @rule(
        size=sizes(),
        partition=st.sampled_from([None, None, None, "short", "down", "debug,short"]),
        limit=st.sampled_from([None, None, 0, 1, 3, 10]),
        hold=st.integers(0, 9).map(lambda number: number == 0),
        wait=st.sampled_from([None, None, None, 5.0, 100.0]),
        deadline=st.sampled_from([None, None, None, 150.0, 800.0]),
        after=st.sampled_from(["", "", "", "after", "afterok", "afternotok", "afterany", "singleton"]),
        other=st.integers(1, 6),
        kill=st.sampled_from([None, True]),
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
        after: str,
        other: int,
        kill: bool | None,
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
            dependency=after if after in ("", "singleton") else f"{after}:{other}",
            kill_on_invalid_dep=kill,
            nice=nice,
            signal=warn,
            **size,
        )
        try:
            if script is None:
                self.controller.allocate(description, self.now)
            else:
                self.controller.submit(description, self.now)
        except SlurmError:
            pass  # refused, as Slurm would
        self.carry_out()

    @rule(number=st.integers(0, 30), signal=st.sampled_from([None, None, SIGUSR1, SIGTERM, SIGKILL]), data=st.data())
    def cancel(self, number: int, signal: int | None, data: st.DataObject) -> None:
        job = self.pick(self.controller.jobs.values(), number)
        if job is None:
            return
        scopes: list[Scope | None] = [None, "all", "steps", "batch"]
        scope = data.draw(st.sampled_from(scopes)) if signal else None
        phase = self.phase(job)
        try:
            self.controller.cancel(job.job_id, self.now, uid=0, signal=signal, scope=scope)
        except SlurmError:
            assert phase != RUNNING
        self.carry_out()

    @rule(number=st.integers(0, 30), release=st.booleans())
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

    @rule(number=st.integers(0, 30), hold=st.booleans())
    def requeue(self, number: int, hold: bool) -> None:
        job = self.pick(self.controller.jobs.values(), number)
        if job is not None:
            restarts, refused = job.restart_count, False
            try:
                self.controller.requeue(job.job_id, self.now, uid=0, hold=hold)
            except SlurmError:
                refused = True
            assert job.restart_count == restarts + (not refused)
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

    @rule(
        number=st.integers(0, 30),
        changes=st.sampled_from(
            [
                *({"time_limit": 1}, {"time_limit": 5}, {"time_limit": 2**32 - 1}, {"end_time": 40.0}, {"priority": 0}),
                *(
                    {"priority": 7},
                    {"nice": 3},
                    {"name": "n"},
                    {"partition": "short"},
                    {"partition": "debug"},
                    {"begin": 30.0},
                ),
                *(
                    {"exclude": "n1"},
                    {"exclude": ""},
                    {"nodelist": "n2"},
                    {"nodelist": ""},
                    {"dependency": ""},
                    {"throttle": 1},
                ),
                *({"mem_per_node": 10}, {"mem_per_node": 10**6}, {"comment": "c", "time_limit": 3, "dependency": "x"}),
            ]
        ),
    )
    def update_job(self, number: int, changes: dict[str, Any]) -> None:
        job = self.pick(self.controller.jobs.values(), number)
        if job is None:
            return
        finished, phase = job.finished, self.phase(job)
        moments = {name: self.now + value for name, value in changes.items() if name in ("begin", "end_time")}
        try:
            self.controller.update_job(job.job_id, JobUpdate(**(changes | moments)), self.now, uid=0)
        except SlurmError:
            pass
        else:
            assert not finished or "throttle" in changes
        if finished:
            assert self.phase(job) == phase
        self.carry_out()

    @rule(number=st.integers(0, 30), resume=st.booleans())
    def suspend_or_resume(self, number: int, resume: bool) -> None:
        job = self.pick(self.controller.jobs.values(), number)
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
        number=st.integers(0, 30),
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
    @rule(number=st.integers(0, 30), status=statuses)
    def script_ends(self, number: int, status: int) -> None:
        job_id = self.pick(sorted(self.scripts), number)
        self.scripts.discard(job_id)
        self.controller.batch_ended(job_id, status, self.now)
        self.carry_out()

    @precondition(lambda self: self.scripts)
    @rule(number=st.integers(0, 30))
    def launch_fails(self, number: int) -> None:
        job_id = self.pick(sorted(self.scripts), number)
        self.scripts.discard(job_id)
        self.controller.launch_failed(job_id, self.now)
        self.carry_out()

    @rule(number=st.integers(0, 30), data=st.data())
    def step_ends(self, number: int, data: st.DataObject) -> None:
        running = [step for job in self.controller.jobs.values() for step in job.steps.values() if step.running]
        step = self.pick(running, number)
        if step is not None:
            ended = data.draw(st.lists(statuses, min_size=step.ntasks, max_size=step.ntasks))
            self.controller.step_ended(step.job_id, step.step_id, ended, self.now)
            self.terminated.pop((step.job_id, step.step_id), None)
        self.carry_out()

    @rule(number=st.integers(0, 30), status=statuses)
    def srun_ends(self, number: int, status: int) -> None:
        job = self.pick((one for one in self.controller.jobs.values() if one.description.script is None), number)
        if job is not None:
            self.controller.release_allocation(job.job_id, status, self.now)
        self.carry_out()

    @precondition(lambda self: self.over)
    @rule(number=st.integers(0, 30))
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
            assert after is None or after > self.now, "a deadline that stays due would be ticked for ever"
        self.now = end
        self.controller.tick(self.now)
        self.carry_out()

    # The nodes

    def carry_out(self) -> None:
        for effect in self.controller.take_effects():
            job = self.controller.jobs[effect.job_id]
            match effect:
                case StartBatch(job_id):
                    assert self.phase(job) == RUNNING
                    assert job_id not in self.scripts
                    assert not job.steps, "every attempt counts its steps anew"
                    assert all(self.controller.nodes[name].available for name in job.nodes)
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
                    assert step.running
                    if signal == SIGTERM and job.completing:
                        self.terminated.setdefault((job_id, step_id), self.now)
                    if signal == SIGKILL and job.completing:
                        asked = self.terminated.get((job_id, step_id))
                        assert asked is None or self.now >= asked + 5
                    assert signal in (SIGCONT, SIGSTOP, SIGTERM, SIGKILL, SIGUSR1)
                case JobError(_, step_id, text):
                    assert job.step(step_id) is not None
                    assert text.endswith("***\n")

    # What must hold

    @staticmethod
    def pick(candidates: Iterable[Any], number: int) -> Any:
        some = list(candidates)
        return some[number % len(some)] if some else None

    @staticmethod
    def phase(job: Job) -> Phase:
        return job.state, job.completing

    @invariant()
    def transitions_are_legal(self) -> None:
        for job in self.controller.jobs.values():
            before, after = self.seen.get(job.job_id, PENDING), self.phase(job)
            restarts = self.restarts.get(job.job_id, 0)
            self.seen[job.job_id], self.restarts[job.job_id] = after, job.restart_count
            if before == after:
                continue
            state, completing = after
            if before == PENDING:
                never_ran = (
                    state in (JobState.CANCELLED, JobState.FAILED, JobState.DEADLINE)
                    and not completing
                    and not job.nodes
                )
                # Started and over in the course of one event.
                at_once = bool(job.nodes) and state in TERMINAL_STATES
                assert after == RUNNING or never_ran or at_once, (before, after)
            elif before in (RUNNING, SUSPENDED):
                assert state in TERMINAL_STATES or after in (RUNNING, SUSPENDED, REQUEUED), (before, after)
            elif before == REQUEUED:
                assert after in (PENDING, (JobState.CANCELLED, True), (JobState.DEADLINE, False)), (before, after)
            elif job.restart_count > restarts and state is JobState.DEADLINE:
                pass  # requeued when it was too late
            elif after == PENDING:
                assert job.restart_count > restarts, "only a requeue brings a job back"
            else:
                assert before[1], (before, after)
                assert state == before[0], (before, after)

    @invariant()
    def nothing_is_allocated_twice(self) -> None:
        held: dict[str, dict[int, int]] = {node.name: {} for node in NODES}
        for job in self.controller.jobs.values():
            # A job that was ended while it was suspended has nothing to give back.
            aside = job.job_id in self.controller._state.resources._aside
            if (job.state is JobState.RUNNING or job.completing) and not aside:
                assert job.nodes
                for name, cpus in zip(job.nodes, job.cpus_per_node, strict=True):
                    held[name][job.job_id] = cpus
                    assert cpus > 0
        for name, record in self.controller.nodes.items():
            jobs = held[name]
            assert record.jobs == set(jobs), name
            assert record.allocated_cpus == sum(jobs.values()) <= record.node.cpus, name
            assert 0 <= record.allocated_memory <= record.node.real_memory, name
            assert record.completing == sum(self.controller.jobs[one].completing for one in jobs), name
            for one in jobs:
                if self.controller.jobs[one].description.exclusive:
                    assert len(jobs) == 1, name
        assert self.controller._state.resources.free_cpus == sum(
            record.node.cpus - record.allocated_cpus for record in self.controller.nodes.values()
        )

    @invariant()
    def no_gres_or_license_is_given_out_twice(self) -> None:
        licenses = dict.fromkeys(LICENSES, 0)
        held = dict.fromkeys(self.controller.nodes, 0)
        for job in self.controller.jobs.values():
            if job.state is not JobState.RUNNING and not job.completing:
                continue
            demand = demand_of(job.description, self.controller.nodes, self.controller.settings)
            for name, count in demand.licenses:
                licenses[name] += count
            for name, units in zip(job.nodes, job.gres, strict=True):
                assert not held[name] & units, name
                held[name] |= units
                assert units.bit_count() >= sum(one.count for one in demand.gres)
                assert units.bit_count() == sum(one.count for one in demand.gres) or demand.whole_nodes
                in_steps = 0
                for step in job.steps.values():
                    if step.running and step.exclusive and name in step.nodes:
                        mine = step.gres[step.nodes.index(name)]
                        assert not in_steps & mine
                        in_steps |= mine
                assert not in_steps & ~units, "a step has what its job has not"
        assert licenses == self.controller.licenses_used
        assert all(licenses[name] <= most for name, most in LICENSES.items())
        for name, record in self.controller.nodes.items():
            assert record.gres_in_use == held[name]

    @invariant()
    def nothing_runs_on_a_node_that_is_down(self) -> None:
        for job in self.controller.jobs.values():
            if self.phase(job) == RUNNING:
                assert not any(self.controller.nodes[name].down for name in job.nodes)

    @invariant()
    def allocations_are_what_was_asked_for(self) -> None:
        for job in self.controller.jobs.values():
            if not job.nodes:
                continue
            asked = job.description
            least = len(job.nodes) if asked.min_nodes is None else asked.min_nodes
            assert len(job.nodes) >= min(least, asked.ntasks or least)
            assert asked.max_nodes is None or len(job.nodes) <= max(asked.max_nodes, 3)  # 3: of the longest nodelist
            assert len(job.tasks_per_node) == len(job.nodes) == len(set(job.nodes)) == job.num_nodes
            assert sum(job.cpus_per_node) == job.num_cpus
            if asked.ntasks is not None and not asked.overcommit and not asked.cpus_per_task:
                assert job.num_cpus >= asked.ntasks
            if asked.partition == "short":
                assert set(job.nodes) <= {"n1", "n2"}

    @invariant()
    def times_are_in_order(self) -> None:
        for job in self.controller.jobs.values():
            assert (job.end_time is not None) == job.finished
            assert (job.start_time is not None) == (job.state is not JobState.PENDING or job.requeued)
            # A requeued job's submit time may be some of a second ahead.
            submitted = job.submit_time - 1 if job.restart_count else job.submit_time
            times = [submitted, job.start_time, job.end_time, self.now]
            known = [one for one in times if one is not None]
            assert known == sorted(known)
            for step in job.steps.values():
                assert step.end_time is None or step.end_time >= step.start_time
                assert step.running or len(step.task_statuses) in (0, step.ntasks)

    @invariant()
    def steps_do_not_share_cpus(self) -> None:
        for job in self.controller.jobs.values():
            used = dict.fromkeys(job.nodes, 0)
            for step in job.steps.values():
                assert step.running <= (job.state in (JobState.RUNNING, JobState.SUSPENDED) or job.completing)
                if step.running and step.exclusive:
                    for name, cpus in zip(step.nodes, step.cpus_per_node, strict=True):
                        used[name] += cpus
            for name, cpus in zip(job.nodes, job.cpus_per_node, strict=True):
                assert used[name] <= cpus

    @invariant()
    def reasons_say_why(self) -> None:
        for job in self.controller.jobs.values():
            if job.requeued:
                assert job.reason in (Reason.NONE, Reason.HELD_BY_ADMIN, Reason.REQUEUED_HELD)
            elif job.state is JobState.PENDING and job.priority == 0:
                assert job.reason in (
                    Reason.REQUEUED_HELD,
                    Reason.HELD_BY_ADMIN,
                    Reason.HELD_BY_USER,
                    Reason.BAD_CONSTRAINTS,
                    Reason.DEPENDENCY_NEVER_SATISFIED,
                )
            elif job.state is JobState.PENDING:
                assert job.reason not in (Reason.NONE, Reason.HELD_BY_ADMIN, Reason.HELD_BY_USER)
            elif job.state is JobState.COMPLETED:
                # One that was held while it ran keeps that reason (measured).
                assert job.reason in (Reason.NONE, Reason.HELD_BY_ADMIN, Reason.HELD_BY_USER)

    @invariant()
    def nobody_waits_without_need(self) -> None:
        """The first of all in the queues, by priority, cannot have what it needs. (Those behind it have to leave it its nodes.)"""
        queued = [
            job
            for job in self.controller.jobs.values()
            if job.state is JobState.PENDING and job.reason in (Reason.RESOURCES, Reason.PRIORITY, Reason.LICENSES)
        ]
        first = min(queued, key=lambda job: (-job.priority, job.job_id), default=None)
        if first is not None and first.reason != Reason.LICENSES:
            assert first.reason == Reason.RESOURCES
            demand = demand_of(first.description, self.controller.nodes, self.controller.settings)
            resources = self.controller._state.resources
            for name in first.partition.split(","):
                if name != "short" or demand.min_nodes == 1:
                    free = resources.candidates(demand, resources.partition_masks[name])
                    assert select(demand, free) is None, first

    @invariant()
    def accounting_agrees(self) -> None:
        records = {record.job_id: record for record in self.controller.accounting.records(self.now)}
        for job in self.controller.jobs.values():
            over = records[job.job_id].state
            if over != job.state and over in (JobState.REQUEUED, JobState.NODE_FAIL):
                assert job.completing or not job.nodes or job.state is JobState.CANCELLED
                continue
            assert records[job.job_id].state == job.state
            assert records[job.job_id].nodes == job.nodes

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
                waiting = [job for job in self.controller.jobs.values() if job.reason == Reason.BEGIN_TIME]
                if not any(job.state is JobState.PENDING for job in waiting):
                    break
                self.time_passes(700.0)
        for job in self.controller.jobs.values():
            if job.state is JobState.PENDING and job.priority != 0:
                assert job.reason in STUCK or job.reason == Reason.DEPENDENCY, job
                if job.reason == Reason.DEPENDENCY:
                    assert self.waits_for_somebody(job), job
            else:
                assert not job.completing

    def waits_for_somebody(self, job: Job) -> bool:
        """Whether a job that this one depends on is still pending, or younger than the job (then it waits in vain)."""
        if job.dependency == "singleton(unfulfilled)":
            return any(
                other.state is JobState.PENDING and other.description.name == job.description.name
                for other in self.controller.jobs.values()
                if other is not job
            )
        other = int(job.dependency.partition(":")[2].partition("(")[0])
        return self.controller.jobs[other].state is JobState.PENDING


ControllerMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=35, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestController = ControllerMachine.TestCase
