"""Job arrays, for the controller's machine: what is done to them, and what must hold of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from controller_inputs import array_specs, dependencies, limits, numbers, sizes
from controller_machine import RUNNING, Machine
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from fakeslurm.commands.arrayjobs import Target, targets
from fakeslurm.jobarray import JobArray
from fakeslurm.messages import JOB_NOT_PENDING, Reason, SlurmError
from fakeslurm.model import Job, JobDescription
from fakeslurm.slurmctld.jobupdate import JobUpdate
from slurmkit.slurm.jobid import parse_array_spec
from slurmkit.slurm.states import JobState

__all__ = ["Arrays"]


class Arrays(Machine):
    """Submits arrays and changes them, as wholes and by element."""

    def __init__(self) -> None:
        super().__init__()
        self.indices: dict[int, frozenset[int]] = {}
        """Of every array that was submitted."""
        self.dropped: defaultdict[int, set[int]] = defaultdict(set)
        """The elements that were cancelled before they were jobs."""
        self.ids: defaultdict[int, dict[int, int]] = defaultdict(dict)
        """The job id that each element had when it was first seen as a job of its own."""
        self.order: defaultdict[int, list[int]] = defaultdict(list)
        """The elements in the order in which they first started."""
        self.disturbed: set[int] = set()
        """Arrays whose elements need not start in their order."""
        self.ran: defaultdict[int, set[int]] = defaultdict(set)
        """The elements that ran after the last event."""

    @property
    def arrays(self) -> list[JobArray]:
        return list(self.controller.arrays.values())

    @rule(
        size=sizes(),
        indices=array_specs,
        partition=st.sampled_from([None, None, None, "short", "debug,short"]),
        limit=st.sampled_from([None, None, 1, 3]),
        hold=st.integers(0, 5).map(lambda number: number == 0),
        wait=st.sampled_from([None, None, None, 5.0]),
        deadline=st.sampled_from([None, None, None, 150.0]),
        dependency=dependencies(),
        kill=st.sampled_from([frozenset(), frozenset({True})]),
        name=st.sampled_from(["a", "b"]),
    )
    def submit_array(
        self,
        size: dict[str, Any],
        indices: str,
        partition: str | None,
        limit: int | None,
        hold: bool,
        wait: float | None,
        deadline: float | None,
        dependency: str,
        kill: frozenset[bool],
        name: str,
    ) -> None:
        description = JobDescription(
            script=b"#!/bin/sh\n",
            array=indices,
            name=name,
            partition=partition,
            time_limit=limit,
            hold=hold,
            begin=None if wait is None else self.now + wait,
            deadline=None if deadline is None else self.now + deadline,
            dependency=dependency,
            kill_on_invalid_dep=kill,
            **size,
        )
        job_id = self.enter(description)
        if job_id is not None:
            self.indices[job_id] = frozenset(parse_array_spec(indices).indices)
            if "aftercorr" in dependency:
                self.disturbed.add(job_id)

    @precondition(lambda self: self.arrays)
    @rule(
        number=numbers,
        what=st.sampled_from(["cancel", "cancel", "hold", "uhold", "release", "release", "requeue", "requeuehold"]),
        tasks=st.sampled_from([None, (0,), (1,), (2,), (9,), (1, 2), (5, 6, 9)]),
    )
    def change_array(self, number: int, what: str, tasks: tuple[int, ...] | None) -> None:
        """As scancel and scontrol do it, for the array or some of its elements."""
        array = self.pick(self.arrays, number)
        found = targets(self.controller, array.job_id, tasks)
        if tasks is not None:
            self.disturbed.add(array.job_id)
        for target in sorted(found, key=lambda one: one.job.state is not JobState.PENDING):
            self.change(target, what)
        self.carry_out()

    def change(self, target: Target, what: str) -> None:
        controller, job_id, task, now = self.controller, target.job.job_id, target.task, self.now
        calls: dict[str, Callable[[], None]] = {
            "cancel": lambda: controller.cancel(job_id, now, uid=0, task=task),
            "hold": lambda: controller.hold(job_id, now, uid=0, task=task),
            "uhold": lambda: controller.hold(job_id, now, uid=0, task=task, by_user=True),
            "release": lambda: controller.release(job_id, now, uid=0, task=task),
            "requeue": lambda: controller.requeue(job_id, now, uid=0),
            "requeuehold": lambda: controller.requeue(job_id, now, uid=0, hold=True),
        }
        waited = target.job.array is not None and task in target.job.array.pending
        try:
            calls[what]()
        except SlurmError:
            return
        if what == "cancel" and waited:
            assert task is not None
            self.dropped[target.job.array_job_id or 0].add(task)

    @precondition(lambda self: self.arrays)
    @rule(number=numbers, limit=limits)
    def throttle(self, number: int, limit: int | None) -> None:
        array = self.pick(self.arrays, number)
        try:
            self.controller.update_job(array.job_id, JobUpdate(throttle=limit or 0), self.now, uid=0)
        except SlurmError as error:
            job = self.controller.jobs[array.job_id]
            # One that runs with other sizes than it would get now (measured).
            counted_anew = self.controller.settings.profile.updates_count_tasks and error.message == JOB_NOT_PENDING
            assert job.finished or job.requeued or job.state is JobState.PENDING or counted_anew
        assert array.limit == limit
        self.carry_out()

    def disturb(self, job: Job) -> None:
        if job.array is not None:
            self.disturbed.add(job.array.job_id)

    def carry_out(self) -> None:
        super().carry_out()
        for array in self.arrays:
            for task, job_id in array.elements.items():
                assert self.ids[array.job_id].setdefault(task, job_id) == job_id, "an element keeps its number"

    def started(self, job: Job) -> None:
        super().started(job)
        if job.array is not None:
            assert job.array_task_id is not None, "the record of those that wait never runs"
            self.order[job.array.job_id].append(job.array_task_id)

    # What must hold

    @invariant()
    def every_element_is_somewhere(self) -> None:
        """Each index is once there: in the record, as a job of its own, dropped while it waited, or forgotten after its end."""
        for array_id, indices in self.indices.items():
            array = self.controller.arrays.get(array_id)
            jobs = [job for job in self.controller.jobs.values() if job.array_job_id == array_id]
            if array is None:
                assert not jobs
                continue
            forgotten = self.ids[array_id].keys() - array.elements.keys()
            assert not any(self.ids[array_id][task] in self.controller.jobs for task in forgotten)
            places = [*array.pending, *array.elements, *self.dropped[array_id], *forgotten]
            assert len(places) == len(set(places)) == len(indices)
            assert set(places) == indices
            assert {job.array_task_id: job.job_id for job in jobs if not job.is_unsplit} == array.elements
            assert len(jobs) == array.known_jobs

    @invariant()
    def the_record_stands_for_those_that_wait(self) -> None:
        """It has the array's number; the element that was the last to become a job has that number, too."""
        for array in self.arrays:
            record = self.controller.jobs.get(array.job_id)
            waits = record is not None and record.is_unsplit and record.state is JobState.PENDING
            assert array.waits == (waits and bool(array.pending))
            if array.waits:
                assert waits
            elif record is not None and not record.finished:
                assert not array.pending
            if record is not None and not record.is_unsplit:
                assert not array.pending
            numbers = [number for number in self.ids[array.job_id].values() if number != array.job_id]
            assert numbers == sorted(numbers), "numbers are taken when elements become jobs"

    @invariant()
    def elements_start_in_their_order(self) -> None:
        for array_id, indices in self.indices.items():
            if array_id in self.disturbed:
                continue
            started = self.order[array_id]
            assert started == sorted(indices)[: len(started)]
            if len(started) == len(indices):
                assert self.ids[array_id][started[-1]] == array_id, "the last one has the array's number"

    @invariant()
    def no_more_run_than_may(self) -> None:
        for array in self.arrays:
            # The record of those that wait may be among them: cancelled and requeued, with no element left.
            jobs = [job for job in self.controller.jobs.values() if job.array is array]
            running = {job.job_id for job in jobs if self.phase(job) == RUNNING}
            ending = {job.job_id for job in jobs if job.completing}
            assert running <= array.running <= running | ending
            more = running - self.ran[array.job_id]
            assert not more or array.limit is None or len(running) <= array.limit
            self.ran[array.job_id] = running

    @invariant()
    def arrays_know_their_elements(self) -> None:
        for array in self.arrays:
            jobs = [self.controller.jobs[one] for one in array.elements.values()]
            assert array.unfinished == {job.job_id for job in jobs if not job.finished or job.completing}
            assert array.unstarted == {job.job_id for job in jobs if job.state is JobState.PENDING}

    @invariant()
    def nobody_waits_for_a_limit_without_need(self) -> None:
        for job in self.controller.jobs.values():
            if job.state is JobState.PENDING and job.reason == Reason.ARRAY_TASK_LIMIT:
                assert job.array is not None
                assert job.array.is_full

    @invariant()
    def accounting_has_every_element(self) -> None:
        """Each element that has been a job is one row, for ever; the others are in the row of the record.

        24.11 has no row of those that have not started since they were split off; 22.05 may not have heard yet that the last one is left.
        """
        rows = {row.job_id: row for row in self.controller.accounting.records(self.now)}.values()
        tells = self.controller.settings.profile.release < "24.11"
        for array_id, indices in self.indices.items():
            untold = set() if tells else self.ids[array_id].keys() - self.order[array_id]
            array = self.controller.arrays.get(array_id)
            believes = array is not None and array.believed is not None
            if believes:
                untold |= {task for task, job_id in self.ids[array_id].items() if job_id == array_id}
            mine = [row for row in rows if row.array_job_id == array_id]
            tasks = [row.array_task_id for row in mine if row.array_task_id is not None]
            assert len(tasks) == len(set(tasks))
            ids = {row.array_task_id: row.job_id for row in mine if row.array_task_id is not None}
            assert ids.items() <= self.ids[array_id].items()
            assert self.ids[array_id].keys() - ids.keys() <= untold
            waiting = [set(row.array_tasks) for row in mine if row.array_tasks is not None]
            assert len(waiting) <= 1
            assert indices - self.dropped[array_id] <= set(tasks).union(*waiting, untold)
            assert believes or not set(tasks) & set().union(*waiting)
