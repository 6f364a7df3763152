"""Heterogeneous jobs, for the controller's machine: their components share one fate, each on nodes of its own."""

from __future__ import annotations

import contextlib
from typing import Any

from controller_inputs import counts, dependencies, numbers
from controller_machine import RUNNING, Machine
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, JobDescription
from slurmkit.slurm.states import JobState

__all__ = ["Hets"]


@st.composite
def _components(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The sizes of two or three; small, so that most of them run."""
    sizes = []
    for _ in range(draw(st.integers(2, 3))):
        size: dict[str, Any] = {"ntasks": draw(counts)}
        for name, values in (
            ("nodelist", st.sampled_from(["n1", "n2", "n[3-4]"])),
            ("exclude", st.sampled_from(["n1", "n[2-3]"])),
            ("partition", st.sampled_from(["short", "down"])),
            ("mem_per_node", st.sampled_from([0, 100])),
            ("gres", st.sampled_from(["gpu:1", "gpu:5"])),
            ("exclusive", st.just(True)),
        ):
            if draw(st.integers(0, 5)) == 0:
                size[name] = draw(values)
        sizes.append(size)
    return sizes


class Hets(Machine):
    """Submits them, and changes single components."""

    def __init__(self) -> None:
        super().__init__()
        self.ended_alone: set[int] = set()
        """Leaders of those of which a component was ended by itself."""

    @rule(
        components=_components(),
        limit=st.sampled_from([None, 1, 3]),
        hold=st.integers(0, 5).map(lambda number: number == 0),
        wait=st.sampled_from([None, None, 5.0]),
        dependency=dependencies(),
    )
    def submit_het(
        self,
        components: list[dict[str, Any]],
        limit: int | None,
        hold: bool,
        wait: float | None,
        dependency: str,
    ) -> None:
        descriptions = [
            JobDescription(
                script=b"#!/bin/sh\n",
                name="het",
                time_limit=limit,
                hold=hold,
                begin=None if wait is None else self.now + wait,
                dependency=dependency,
                **size,
            )
            for size in components
        ]
        self.fates.observe(self.controller, self.now)
        known, there = self.fates.known.copy(), set(self.controller.jobs)
        with contextlib.suppress(SlurmError):
            self.controller.submit_het(descriptions, self.now)
        self.enter_fates(known, there)
        self.carry_out()

    @rule(number=numbers)
    def cancel_component(self, number: int) -> None:
        """Which may be, of a component that runs; that of the leader is the end of all."""
        parts = [one for one in self.controller.jobs.values() if one.het is not None and self.phase(one) == RUNNING]
        job = self.pick(parts, number)
        if job is not None:
            self.controller.cancel(job.job_id, self.now, uid=0)
        self.carry_out()

    def carry_out(self) -> None:
        for job in self.controller.jobs.values():
            if job.het is not None and not job.leads and job.state is JobState.CANCELLED and job.nodes:
                self.ended_alone.add(job.het.job_id)
        super().carry_out()

    @invariant()
    def components_share_one_fate(self) -> None:
        """All of them wait, run, are suspended or over, in the same way; unless one was ended by itself."""
        for leader in self.controller.jobs.values():
            if leader.het is None or not leader.leads:
                continue
            jobs = [self.controller.jobs.get(job_id) for job_id in leader.het.members]
            known = [one for one in jobs if one is not None]
            running = [one for one in known if one.state in (JobState.RUNNING, JobState.SUSPENDED)]
            if leader.job_id not in self.ended_alone:
                assert len({one.state for one in known}) == 1, known
                # Requeued ones wait again one after the other, as their processes go.
                assert len({one.start_time for one in known if one.state is not JobState.PENDING}) <= 1, known
                assert len({one.restart_count for one in known}) == 1, known
            elif running:
                assert leader in running, known
                assert len({one.state for one in running}) == 1, known
            self.on_nodes_of_their_own(known)

    def is_stuck(self, job: Job) -> bool:
        """Another component is held or can never run, or together they need more nodes than there are; then others wait behind it, too."""
        waits = any(one.het is not None and one.state is JobState.PENDING for one in self.controller.jobs.values())
        return waits or super().is_stuck(job)

    def on_nodes_of_their_own(self, jobs: list[Job]) -> None:
        names = [name for one in jobs for name in one.nodes]
        assert len(names) == len(set(names)), jobs
