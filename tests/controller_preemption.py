"""Jobs that make room for others, for the controller's machine: whom it may be, and that nothing of them is lost."""

from __future__ import annotations

from attrs import evolve
from controller_inputs import LICENSES, NODES, PARTITIONS
from controller_machine import Machine
from controllers import cluster
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from fakeslurm.configuration import PreemptMode
from fakeslurm.model import Job, JobDescription
from fakeslurm.slurmctld.demand import demand_of
from fakeslurm.slurmctld.runs import Run
from fakeslurm.slurmctld.selection import select
from slurmkit.slurm.states import JobState

__all__ = ["Preempting"]

_DEBUG, _SHORT, _DOWN = PARTITIONS


class Preempting(Machine):
    """Jobs of ``down`` preempt those of ``debug``, and those of ``short`` both."""

    def __init__(self) -> None:
        super().__init__()
        self.preempted: dict[int, float | None] = {}
        """By job: the last time that it was."""
        self.shadowed: set[int] = set()
        """Jobs that stood still after the last event."""

    @initialize(
        version=st.sampled_from(["22.05", "24.11"]),
        mode=st.sampled_from(["OFF", "REQUEUE", "REQUEUE", "CANCEL", "GANG,SUSPEND", "GANG,SUSPEND"]),
        grace=st.sampled_from([0, 0, 4, 40]),
        exempt=st.sampled_from([0, 0, 60]),
        consumed=st.booleans(),
        age=st.sampled_from([0.0, 20.0]),
        crowd=st.sampled_from(["n1 n2", "n1 n2 n4", "n[1-2]", ""]),
        pressing=st.integers(0, 3),
    )
    def configure(  # type: ignore[override]
        self,
        version: str,
        mode: PreemptMode,
        grace: int,
        exempt: int,
        consumed: bool,
        age: float,
        crowd: str,
        pressing: int,
    ) -> None:
        gang = mode == "GANG,SUSPEND"
        low = evolve(_DEBUG, preempt_mode=None if gang else mode, grace_time=grace)
        self.controller = cluster(
            nodes=NODES,
            partitions=(low, evolve(_SHORT, priority_tier=10), evolve(_DOWN, state="UP", priority_tier=5)),
            gres_types=("gpu", "fpga"),
            licenses=LICENSES,
            memory_is_consumed=consumed,
            version=version,
            min_job_age=age,
            preempts=True,
            preempt_mode=mode if gang else "REQUEUE",
            preempt_exempt_time=0 if gang else exempt,
        )
        self.fill((4,), crowd, None)
        self.need(pressing, 3, "short")

    @rule(
        shares=st.sampled_from([(4,), (2, 2), (1, 3), (3,)]),
        nodes=st.sampled_from(["n1 n2", "n1 n2 n4", "n[1-2]", "n4"]),
        limit=st.sampled_from([None, 1, 10]),
    )
    def fill(self, shares: tuple[int, ...], nodes: str, limit: int | None) -> None:
        """Jobs that may be preempted, so many that others have to."""
        for node in nodes.split():
            for cpus in shares:
                self.enter(JobDescription(script=b"#!/bin/sh\n", nodelist=node, ntasks=cpus, time_limit=limit))

    def update_partition(self, name: str, state: str) -> None:  # type: ignore[override]
        """No rule here: a job is not queued in a partition that was closed when it came, whatever its list says."""

    @rule(
        waves=st.sampled_from([1, 1, 2]),
        cpus=st.sampled_from([1, 3, 4]),
        partition=st.sampled_from(["short", "short", "down", "debug,short"]),
    )
    def need(self, waves: int, cpus: int, partition: str) -> None:
        """Jobs that preempt, when their partition is up."""
        for _ in range(waves):
            self.enter(
                JobDescription(script=b"#!/bin/sh\n", partition=partition, ntasks=cpus, max_nodes=1, time_limit=3)
            )

    def highest_tier(self, job: Job) -> int:
        """The highest of those that the job may be started in."""
        return max(self.controller.partitions[name].priority_tier for name in job.partition.split(","))

    def carry_out(self) -> None:
        self.look_at_preemption()
        super().carry_out()

    def look_at_preemption(self) -> None:
        jobs = self.controller.jobs
        for job in jobs.values():
            before, self.preempted[job.job_id] = self.preempted.get(job.job_id), job.preempt_time
            if job.preempt_time not in (None, before) and (job.grace_end is None or before is None):
                self.is_rightly_preempted(job)
            if job.shadowed and job.job_id not in self.shadowed:
                assert any(self.overlap(job, other) for other in jobs.values()), job
        self.shadowed = {job.job_id for job in jobs.values() if job.shadowed}

    def is_rightly_preempted(self, job: Job) -> None:
        """Somebody waits in a higher tier; it has run for long enough, where jobs are preempted."""
        mine = self.controller.partitions[job.partition]
        assert mine.preempt_mode != "OFF"
        assert not self.controller.settings.suspends
        assert job.start_time is not None
        assert job.preempt_time is not None
        assert job.preempt_time >= job.start_time + self.controller.settings.preempt_exempt_time
        assert any(
            self.highest_tier(other) > mine.priority_tier
            for other in self.controller.jobs.values()
            if other.state is JobState.PENDING or other.start_time == self.now
        ), job

    def overlap(self, job: Job, other: Job) -> bool:
        """Whether another job of a higher tier has CPUs of the job."""
        if self.highest_tier(other) <= self.highest_tier(job) or other.job_id not in self.controller._state.running:
            return False
        resources = self.controller._state.resources
        mine, its = (
            {share.index: cpus for share, _, cpus, _ in resources.held_by(one.job_id).by_node()} for one in (job, other)
        )
        return any(mine.get(index, 0) & cpus for index, cpus in its.items())

    @invariant()
    def who_stands_still_does_so_for_somebody(self) -> None:
        """And only in a cluster where that is so."""
        state = self.controller._state
        for job in state.running.values() if self.controller.settings.suspends else ():
            above = any(self.overlap(job, other) for other in state.running.values() if not other.shadowed)
            assert job.shadowed == above, job
            if job.shadowed:
                assert job.state is not JobState.RUNNING
            elif job.state is JobState.SUSPENDED:
                assert job.priority == 0 or state.timers.is_set("slice", job.job_id), job
        for job in self.controller.jobs.values():
            assert (
                job.state is not JobState.PREEMPTED or self.controller.partitions[job.partition].preempt_mode != "OFF"
            )

    @invariant()
    def preempted_attempts_are_remembered(self) -> None:
        """In accounting: of every attempt, and of one that was preempted that it was."""
        records = self.controller.accounting.records(self.now)
        for job_id, job in self.controller.jobs.items():
            mine = [record for record in records if record.job_id == job_id]
            begun = job.restart_count - self.never_began[job_id]
            assert begun <= len(mine) <= begun + 1, job
            if job.state is JobState.PREEMPTED:
                assert max(mine, key=lambda record: record.restart_count).state == JobState.PREEMPTED

    def fits(self, job: Job, name: str) -> bool:
        """Whether there is room for the job, or would be if it had the CPUs of who stands still for it."""
        controller, resources = self.controller, self.controller._state.resources
        if self.now < job.elsewhere_at and name != job.preempts_in:
            return False  # it waits for what it has preempted
        demand = demand_of(job.description, controller.nodes, controller.settings)
        mask = resources.partition_masks[name]
        if select(demand, resources.candidates(demand, mask)) is not None:
            return True
        if not controller.settings.suspends:
            return False
        limit = controller.partitions[name].priority_tier
        lower = [one.job_id for one in controller._state.running.values() if self.highest_tier(one) < limit]
        found = []
        for record in resources.by_index:
            cpus = record.node.cpus - record.in_use_without(lower).bit_count()
            if record.completing or not (mask & resources.available & ~demand.excluded) >> record.index & 1:
                continue
            if demand.whole_nodes and cpus < record.node.cpus:
                continue
            usable = resources.usable_cpus(demand, record, cpus, record.allocated_memory, record.gres_in_use)
            found.append(Run(record.index, usable))
        return select(demand, found) is not None
