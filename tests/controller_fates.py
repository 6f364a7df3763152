"""What every job, array and element has been through so far: from this it follows what may start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from fakeslurm.jobarray import JobArray
from fakeslurm.model import Job, JobDescription
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.dependencies import Key, Spec, Term, parse_dependency
from fakeslurm.slurmctld.timers import NEXT_PASS
from slurmkit.slurm.states import JobState

__all__ = ["Fates"]


def keys_of(job: Job) -> Iterable[Key]:
    """What the dependencies of others call a job: not the record of an array, nor the array's last element, by their number."""
    if job.array is None:
        yield job.job_id, None
    elif job.array_task_id is not None:
        yield job.array.job_id, job.array_task_id


class Fates:
    """Watches after every event. A requeued job, or its array, may have been through several fates."""

    def __init__(self) -> None:
        self.known: set[Key] = set()
        """Every job, array, and element that there has been, be it split off or not."""
        self.begun: dict[Key, float] = {}
        """When it first started, or was given up before."""
        self.ends: defaultdict[Key, set[bool]] = defaultdict(set)
        """How it has ended, once or several times: whether well."""
        self.there: set[Key] = set()
        """What the controller still remembers."""
        self.alone: set[int] = set()
        """Jobs for which no namesake was in the way at some time, of those that are to start as singletons."""
        self._dependencies: dict[int, tuple[Spec, set[Key]]] = {}
        """By job or array: what it waits for, and what of that there was when it was submitted."""
        self._standing: dict[int, tuple[str, bool]] = {}
        """By job that had not ended after the last event, or had within NEXT_PASS: its name, and whether it waited."""
        self._seen: set[int] = set()
        """Jobs that are to start as singletons."""
        self._freed: set[int] = set()

    def entered(self, job_id: int, description: JobDescription, known: set[Key]) -> None:
        """A job was submitted, and its dependencies are as `known` was."""
        if description.dependency:
            self._dependencies[job_id] = parse_dependency(description.dependency), known

    def freed(self, job: Job) -> None:
        """Nothing is said any more about dependencies that were changed."""
        self._freed.add(job.array_job_id or job.job_id)

    def observe(self, controller: Controller, now: float) -> None:
        self.there = set()
        for job in controller.jobs.values():
            for key in keys_of(job):
                self._see(key, job.state is not JobState.PENDING, job.start_time, now)
                if job.finished and not job.completing:
                    self.ends[key].add(job.state is JobState.COMPLETED)
        for array in controller.arrays.values():
            self._observe_array(array, controller, now)
        self._observe_namesakes(controller, now)

    def _see(self, key: Key, begun: bool, time: float | None, now: float) -> None:
        self.known.add(key)
        self.there.add(key)
        if begun:
            self.begun.setdefault(key, now if time is None else time)

    def _observe_array(self, array: JobArray, controller: Controller, now: float) -> None:
        key: Key = (array.job_id, None)
        jobs = [job for job in controller.jobs.values() if job.array is array]
        for task in array.pending:
            record = controller.jobs.get(array.job_id)
            if record is not None:
                self._see((array.job_id, task), record.finished, record.start_time, now)
                if record.finished:
                    self.ends[array.job_id, task].add(False)
        begun = all(job.state is not JobState.PENDING for job in jobs)
        self._see(key, begun, max((job.start_time or 0.0 for job in jobs if job.nodes), default=0.0), now)
        if all(job.finished and not job.completing for job in jobs):
            mine = [ends for (job_id, task), ends in self.ends.items() if job_id == array.job_id and task is not None]
            unhurt = len(mine) == array.count
            self.ends[key].add(unhurt and all(True in ends for ends in mine))

    def _observe_namesakes(self, controller: Controller, now: float) -> None:
        """Whoever runs, stands still or has just ended is in the way of its namesakes, and who waits of those with a higher id (measured).

        That is looked at in the midst of an event: who was in the way before it and still is was so all the time.
        """
        before, jobs = self._standing, controller.jobs.values()
        self._standing = {
            job.job_id: (job.description.name, job.state is JobState.PENDING)
            for job in jobs
            if not job.finished or (job.completing and job.end_time is not None and now < job.end_time + NEXT_PASS)
        }
        for job in jobs:
            spec, _ = self._dependencies.get(job.array_job_id or job.job_id, (None, set()))
            if spec is None or all(term.kind != "singleton" for term in spec.terms):
                continue
            # An element is split off with what the record of its array still waits for.
            inherits = job.job_id not in self._seen and job.array_job_id in self.alone
            self._seen.add(job.job_id)
            stood = (
                number
                for number in before.keys() & self._standing.keys() - {job.job_id}
                if all(
                    name == job.description.name and (number < job.job_id or not waits)
                    for name, waits in (before[number], self._standing[number])
                )
            )
            if inherits or not any(stood):
                self.alone.add(job.job_id)

    def may_start(self, job: Job, now: float) -> bool:
        """Whether what the job depends on has happened at some time."""
        spec, known = self._dependencies.get(job.array_job_id or job.job_id, (None, set()))
        if spec is None or (job.array_job_id or job.job_id) in self._freed:
            return True
        decisive = any if spec.any_of else all
        return decisive(self._satisfied(term, known, job, now) for term in spec.terms)

    def _satisfied(self, term: Term, known: set[Key], job: Job, now: float) -> bool:
        if term.kind == "singleton":
            return job.job_id in self.alone
        key: Key = (term.job_id, term.task)
        if key not in known or key not in self.there:
            return True  # there was none, or it has been forgotten, or dropped while it waited
        if term.kind == "after":
            return key in self.begun and now >= self.begun[key] + term.minutes * 60
        ends = self.ends.get(key, set())
        if term.kind == "aftercorr":
            ends = ends | self.ends.get((term.job_id, job.array_task_id), set())
        wanted = {"afterany": {True, False}, "afternotok": {False}}.get(term.kind, {True})
        return bool(ends & wanted)

    def waits_for_somebody(self, job: Job, controller: Controller) -> bool:
        """Whether there is somebody who waits himself among those that a waiting job depends on."""
        mine = job.array_job_id or job.job_id
        if mine in self._freed:
            return True
        if job.is_unsplit and job.array is not None and "aftercorr" in job.dependency:
            return bool(job.array.unstarted)  # enough elements have been split off, and wait
        others = [other for other in controller.jobs.values() if other.state is JobState.PENDING]
        if "singleton" in job.dependency and any(
            one.description.name == job.description.name and one.job_id < job.job_id for one in others
        ):
            return True
        spec, _ = self._dependencies[mine]
        arrays = {term.job_id: controller.arrays.get(term.job_id) for term in spec.terms if term.kind == "after"}
        if any(array is not None and array.closed for array in arrays.values()):
            return True  # what never began in it was cancelled: that is waited for until it is forgotten (measured)
        # A number that nobody had may have become that of an own element, as on a real Slurm.
        return any(term.job_id in (one.job_id, one.array_job_id) for one in others for term in spec.terms)
