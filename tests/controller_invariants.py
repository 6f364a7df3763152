"""What must hold of a controller after every single event."""

from __future__ import annotations

from controller_inputs import LICENSES, NODES
from controller_machine import PENDING, REQUEUED, RUNNING, SUSPENDED, Machine
from hypothesis.stateful import invariant

from fakeslurm import messages
from fakeslurm.messages import Reason
from fakeslurm.model import Job
from fakeslurm.slurmctld.admission import time_limit_of
from fakeslurm.slurmctld.demand import demand_of
from fakeslurm.slurmctld.selection import select
from slurmkit.slurm.states import TERMINAL_STATES, JobState


class Invariants(Machine):
    """Of all jobs and nodes."""

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
                # Started and over, or preempted, in the course of one event.
                at_once = bool(job.nodes) and state in TERMINAL_STATES
                preempted = (after == REQUEUED and job.restart_count > restarts) or (
                    after == SUSPENDED and job.shadowed
                )
                assert after == RUNNING or never_ran or at_once or preempted, (before, after)
            elif before in (RUNNING, SUSPENDED):
                assert state in TERMINAL_STATES or after in (RUNNING, SUSPENDED, REQUEUED), (before, after)
            elif before == REQUEUED:
                assert after in (PENDING, (JobState.CANCELLED, True), (JobState.DEADLINE, False)), (before, after)
            elif job.restart_count > restarts and state is JobState.DEADLINE:
                pass  # requeued when it was too late
            elif after == PENDING or (after == REQUEUED and before[1]):
                assert job.restart_count > restarts, "only a requeue brings a job back"
            else:
                assert before[1], (before, after)
                assert state == before[0], (before, after)

    @invariant()
    def nothing_is_allocated_twice(self) -> None:
        gang = self.controller.settings.suspends
        held: dict[str, dict[int, int]] = {node.name: {} for node in NODES}
        for job in self.controller.jobs.values():
            # CPUs of a job that is suspended by hand, or was resumed when others had them, do not count.
            aside = job.job_id in self.controller._state.resources._aside
            stands_still = gang and job.state is JobState.SUSPENDED
            if (job.state is JobState.RUNNING or job.completing or stands_still) and not aside:
                assert job.nodes
                for name, cpus in zip(job.nodes, job.cpus_per_node, strict=True):
                    assert cpus > 0
                    if name in job.shown_nodes:
                        held[name][job.job_id] = cpus
        for name, record in self.controller.nodes.items():
            jobs = held[name]
            assert {one: cpus.bit_count() for one, cpus in record.jobs.items()} == jobs, name
            used = 0
            for one, cpus in record.jobs.items():
                if not self.controller.jobs[one].shadowed:
                    assert not used & cpus, name
                    used |= cpus
            assert record.cpus_in_use == record.in_use_without(()), name
            assert record.allocated_cpus == record.cpus_in_use.bit_count() <= record.node.cpus, name
            assert 0 <= record.allocated_memory <= record.node.real_memory, name
            there = {*jobs, *record.aside}
            assert record.completing == {one for one in there if self.controller.jobs[one].completing}, name
            for one in jobs:
                if self.controller.jobs[one].description.exclusive and not gang:
                    assert len(jobs) == 1, name
        assert self.controller._state.resources.free_cpus == sum(
            record.node.cpus - record.allocated_cpus
            for record in self.controller.nodes.values()
            if not record.completing
        )

    @invariant()
    def no_gres_or_license_is_given_out_twice(self) -> None:
        licenses = dict.fromkeys(LICENSES, 0)
        held = dict.fromkeys(self.controller.nodes, 0)
        for job in self.controller.jobs.values():
            if job.state not in (JobState.RUNNING, JobState.SUSPENDED) and not job.completing:
                continue
            demand = demand_of(job.description, self.controller.nodes, self.controller.settings)
            for name, count in demand.licenses:
                licenses[name] += count
            for name, units in zip(job.nodes, job.gres, strict=True):
                assert not held[name] & units, name
                held[name] |= units if name in job.shown_nodes else 0
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
    def what_is_kept_of_the_nodes_is_so(self) -> None:
        resources = self.controller._state.resources
        for demand, mask in list(resources._views):
            assert resources.candidates(demand, mask) == resources._runs(demand, mask)

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
                assert job.reason in (Reason.NONE, Reason.HELD_BY_ADMIN, Reason.HELD_BY_USER, Reason.REQUEUED_HELD)
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
        pending = [job for job in self.controller.jobs.values() if job.state is JobState.PENDING]
        all_there = all(one.available for one in self.controller.nodes.values())
        if not all_there and any("," in one.partition for one in pending):
            return  # a job that lacks nodes in one of its partitions and waits in another has the reason of one of them
        queued = [
            job
            for job in pending
            if job.reason in (Reason.RESOURCES, Reason.PRIORITY, Reason.LICENSES)
            or (all_there and lacks_nodes(job.reason))  # as those before it keep them
        ]
        first = min(queued, key=lambda job: (-self.tier(job), -job.priority, job.turn, job.job_id), default=None)
        if first is None or first.reason == Reason.LICENSES or self.never_starts(first):
            return
        assert not lacks_nodes(first.reason) or "," in first.partition, "nobody is before it"
        # In the queue of another of its partitions there may be others before it, and its reason is then of that one.
        assert first.reason == Reason.RESOURCES or "," in first.partition
        for name in first.partition.split(",") if first.het is None else ():
            if self.controller.partitions[name].priority_tier == self.tier(first):
                assert not self.is_open(first, name) or not self.fits(first, name), first

    def tier(self, job: Job) -> int:
        """The highest of those in whose queues the job is."""
        names = [name for name in job.partition.split(",") if self.is_open(job, name)]
        return max((self.controller.partitions[name].priority_tier for name in names), default=-1)

    def fits(self, job: Job, name: str) -> bool:
        """Whether there is room for the job in the partition."""
        demand = demand_of(job.description, self.controller.nodes, self.controller.settings)
        resources = self.controller._state.resources
        return select(demand, resources.candidates(demand, resources.partition_masks[name])) is not None

    def is_open(self, job: Job, name: str) -> bool:
        """Whether the job can be in the queue of the partition."""
        partition = self.controller.partitions[name]
        limit = time_limit_of(job.description, partition)
        in_time = partition.max_time is None or (limit is not None and limit <= partition.max_time)
        small = partition.max_nodes is None or (job.description.min_nodes or 1) <= partition.max_nodes
        demand, resources = (
            demand_of(job.description, self.controller.nodes, self.controller.settings),
            self.controller._state.resources,
        )
        empty = resources.candidates(demand, resources.partition_masks[name], empty=True)
        return partition.state in ("UP", "DRAIN") and in_time and small and select(demand, empty) is not None

    @invariant()
    def accounting_agrees(self) -> None:
        # Of several attempts that of the present one: requeued twice in a second it is not the last that was submitted (measured).
        attempts = sorted(self.controller.accounting.records(self.now), key=lambda record: record.restart_count)
        records = {record.job_id: record for record in attempts}
        for job in self.controller.jobs.values():
            if job.job_id not in records:  # 24.11 is told of elements that are split off when they start (measured)
                assert self.controller.settings.profile.release >= "24.11"
                assert job.array_task_id is not None
                assert not job.nodes
                # A requeue tells (measured), but for one of the whole array, before.
                assert job.restart_count <= self.controller.jobs[job.array_job_id or 0].restart_count
                continue
            over = records[job.job_id].state
            if over != job.state and over in (JobState.REQUEUED, JobState.NODE_FAIL, JobState.PREEMPTED):
                assert job.completing or not job.nodes or job.state is JobState.CANCELLED
                continue
            assert records[job.job_id].state == job.state
            assert records[job.job_id].nodes == job.nodes


def lacks_nodes(reason: str) -> bool:
    """Whether the nodes that a job needs are not there, or are kept for others."""
    return reason == messages.TOO_FEW_NODES or reason.startswith("ReqNodeNotAvail")
