"""``--dependency``: what a job waits for, and whether it came true.

Parsing and words follow ``update_job_dependency`` and ``test_job_dependency`` in src/slurmctld/job_scheduler.c; measured:
docs/measured/arrays.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from enum import Enum

from attrs import define, evolve, frozen

from fakeslurm import messages
from fakeslurm.jobarray import JobArray
from fakeslurm.messages import SlurmError, unsupported
from fakeslurm.model import Job
from fakeslurm.slurmctld.timers import NEXT_PASS
from slurmkit.slurm.jobid import JobIdError, parse_array_spec
from slurmkit.slurm.states import JobState

__all__ = ["Dependencies", "Jobs", "Key", "Term", "Verdict", "parse_dependency"]

_KINDS = ("after", "afterany", "afterok", "afternotok", "aftercorr")
_UNSUPPORTED = ("afterburstbuffer", "expand")
_ID = re.compile(r"[ \t]*([0-9]+)(_(?:([0-9]*)|\*|\[([0-9,\-]+)\]))?(?:\+([1-9][0-9]*))?", re.ASCII)

Key = tuple[int, int | None]
"""A job by its id, or an element of an array by the array's id and its index."""


class Verdict(Enum):
    """What became of a dependency."""

    WAITING = "unfulfilled"
    SATISFIED = "satisfied"
    FAILED = "failed"


@frozen
class Jobs:
    """What there is in memory."""

    jobs: Mapping[int, Job]
    arrays: Mapping[int, JobArray]

    def element(self, key: Key) -> Job | None:
        """The job; of an element that has not been split off the record that it waits in. None when there is none (any more)."""
        job_id, task = key
        array = self.arrays.get(job_id)
        if task is None or array is None:
            return self.jobs.get(job_id) if task is None else None
        if task in array.elements:
            return self.jobs[array.elements[task]]
        return self.jobs.get(job_id) if task in array.pending else None

    def is_alone(self, job: Job, now: float) -> bool:
        """Whether no other job of its name and user runs, nor one of a lower id waits (measured)."""
        mine = job.description.name, job.description.uid
        return not any(
            other is not job
            and (other.description.name, other.description.uid) == mine
            and (other.job_id < job.job_id if other.state is JobState.PENDING else _is_there(other, now))
            for other in self.jobs.values()
        )


def _is_there(job: Job, now: float) -> bool:
    """Whether a job that has started has not ended; seen when Slurm looks for jobs to start."""
    lately = job.completing and job.end_time is not None and now < job.end_time + NEXT_PASS
    return lately or not job.finished


@define
class Term:
    """One condition."""

    kind: str
    job_id: int = 0
    """0 for singleton."""
    task: int | None = None
    """Of an element of an array."""
    starred: bool = False
    """All elements of an array."""
    minutes: int = 0
    """``JOB+MINUTES``."""
    verdict: Verdict = Verdict.WAITING

    def __str__(self) -> str:
        if self.kind == "singleton":
            return f"singleton({self.verdict.value})"
        element = "_*" if self.starred else "" if self.task is None else f"_{self.task}"
        minutes = f"+{self.minutes}" if self.minutes else ""
        return f"{self.kind}:{self.job_id}{element}{minutes}({self.verdict.value})"


@frozen
class Spec:
    """A list of conditions, all of which have to come true, or (`any_of`) one."""

    terms: tuple[Term, ...]
    any_of: bool


def parse_dependency(text: str) -> Spec:
    """``afterok:1:2_3,singleton``. Raises SlurmError: Slurm's for what is wrong, the fake's for what it has not.

    One ``?`` makes all commas mean "or" as well (measured).
    """
    any_of = "?" in text
    terms: list[Term] = []
    for item in re.split(r"[,?](?![^\[]*\])", text):
        kind, *ids = item.lower().split(":")
        if kind == "singleton" and not ids:
            terms.append(Term("singleton"))
            continue
        if kind[:1].isdecimal() and not ids and not any_of:
            kind, ids = "afterany", [kind]
        if kind in _UNSUPPORTED:
            raise unsupported(f"--dependency={kind}")
        if kind not in _KINDS or not ids:
            raise SlurmError(messages.DEPENDENCY_PROBLEM)
        for one in ids:
            terms += _terms(kind, one)
    distinct = {(term.kind, term.job_id, term.task, term.starred): term for term in reversed(terms)}
    return Spec(tuple(reversed(distinct.values())), any_of)


def _terms(kind: str, text: str) -> list[Term]:
    match = _ID.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise SlurmError(messages.DEPENDENCY_PROBLEM)
    job_id, minutes = int(match[1]), int(match[5] or 0)
    tasks: Sequence[int | None] = (None,)
    if match[4] is not None:
        try:
            tasks = parse_array_spec(match[4]).indices
        except JobIdError:
            raise SlurmError(messages.DEPENDENCY_PROBLEM) from None
    elif match[3] is not None:
        tasks = (int(match[3] or 0),)
    terms = [Term(kind, job_id, task, starred=match[2] == "_*") for task in tasks]
    terms[-1].minutes = minutes
    return terms


class Dependencies:
    """What one job still waits for."""

    __slots__ = ("_any_of", "_failed", "_jobs", "_terms", "watched")

    def __init__(self, spec: Spec, jobs: Jobs) -> None:
        self._any_of = spec.any_of
        self._failed = False
        self._jobs = jobs
        self._terms = []
        found: set[Key] = set()
        for term in spec.terms:
            term = copy(term)
            if term.kind != "singleton":
                term.starred |= term.task is None and term.job_id in jobs.arrays
                found.add((term.job_id, term.task))
            self._terms.append(term)
        self.watched = found
        """The jobs whose changes matter, but for those of the same name."""

    @property
    def terms(self) -> Sequence[Term]:
        """What it still waits for, jobs of the same name apart."""
        return [term for term in self._terms if term.kind != "singleton"]

    def of_element(self, task: int) -> Dependencies:
        """Those of an element that is split off its array."""
        twin = copy(self)
        twin._terms = [copy(term) for term in self._terms]
        twin.watched = self.watched | {(term.job_id, task) for term in self._terms if term.kind == "aftercorr"}
        return twin

    @property
    def corresponding(self) -> bool:
        """Whether the elements of an array wait each for another one."""
        return any(term.kind == "aftercorr" for term in self._terms)

    @property
    def minds_starts(self) -> bool:
        """Whether the start of another job matters."""
        return any(term.kind == "after" for term in self._terms)

    @property
    def singleton(self) -> bool:
        """Whether jobs of the same name matter."""
        return any(term.kind == "singleton" for term in self._terms)

    def are_satisfied(self, job: Job, now: float) -> bool:
        """Whether nothing keeps this job any more; nothing of the list changes."""
        decisive = any if self._any_of else all
        return decisive(self._verdict(term, job, now) is Verdict.SATISFIED for term in self._terms)

    def evaluate(self, job: Job, now: float) -> Verdict:
        """Look again, for this job. What is satisfied leaves the list; what has failed is not looked at again."""
        if self._failed:
            return Verdict.FAILED
        for term in self._terms:
            if term.verdict is Verdict.WAITING:
                term.verdict = self._verdict(term, job, now)
        verdicts = [term.verdict for term in self._terms]
        self._terms = [term for term in self._terms if term.verdict is not Verdict.SATISFIED]
        if Verdict.SATISFIED in verdicts and self._any_of:
            self._terms = []
        if not self._terms:
            return Verdict.SATISFIED
        decisive = all if self._any_of else any
        self._failed = decisive(one is Verdict.FAILED for one in verdicts)
        return Verdict.FAILED if self._failed else Verdict.WAITING

    def due(self) -> float | None:
        """When a term is satisfied by time alone (``after:JOB+MINUTES`` of a job that has started)."""
        times = []
        for term in self._terms:
            if term.kind == "after" and term.minutes and term.verdict is Verdict.WAITING:
                start = self._begun(term)
                if start is not None:
                    times.append(start + term.minutes * 60)
        return min(times, default=None)

    def __str__(self) -> str:
        return ("?" if self._any_of else ",").join(map(str, self._terms))

    def _verdict(self, term: Term, mine: Job, now: float) -> Verdict:
        task = mine.array_task_id
        if term.kind == "singleton":
            return Verdict.SATISFIED if self._jobs.is_alone(mine, now) else Verdict.WAITING
        if term.kind == "aftercorr" and task is not None:
            other = self._jobs.element((term.job_id, task))
            if other is not None:
                # Those that correspond to none wait for what was named: the whole array, or one element (measured).
                term = evolve(term, task=task)
        if term.kind == "after":
            start = self._begun(term)
            if start is None:
                return Verdict.WAITING
            return Verdict.SATISFIED if now >= start + term.minutes * 60 else Verdict.WAITING
        array = self._jobs.arrays.get(term.job_id) if term.task is None else None
        if array is not None:
            done, succeeded = array.is_done, not array.failed
        else:
            job = self._jobs.element((term.job_id, term.task))
            if job is None:
                # Not known any more. What was never known is refused at submission since 23.02, and satisfied before.
                return Verdict.SATISFIED
            done, succeeded = job.finished and not job.completing, job.state is JobState.COMPLETED
        if not done:
            return Verdict.WAITING
        wanted = {"afterany": True, "afternotok": not succeeded}.get(term.kind, succeeded)
        return Verdict.SATISFIED if wanted else Verdict.FAILED

    def _begun(self, term: Term) -> float | None:
        """When a job, or the last element of an array, started or was given up; None when it has not. Long ago for an unknown one.

        Elements that were cancelled as one record count as if they waited, until the array is forgotten (measured).
        """
        array = self._jobs.arrays.get(term.job_id) if term.task is None else None
        if array is not None:
            return None if array.unstarted or array.pending else array.last_start
        job = self._jobs.element((term.job_id, term.task))
        if job is None:
            return 0.0
        if job.state is JobState.PENDING:
            return None
        return job.start_time
