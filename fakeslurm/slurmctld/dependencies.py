"""``--dependency``: what a job waits for, and whether it came true.

Parsing and words follow ``update_job_dependency`` and ``test_job_dependency`` in src/slurmctld/job_scheduler.c; measured: facts 5.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from copy import copy
from enum import Enum

from attrs import define, frozen

from fakeslurm import messages
from fakeslurm.messages import SlurmError, unsupported
from fakeslurm.model import Job
from slurmkit.slurm.states import JobState

__all__ = ["Dependencies", "Verdict", "parse_dependency"]

_KINDS = ("after", "afterany", "afterok", "afternotok", "aftercorr")
_UNSUPPORTED = ("afterburstbuffer", "expand")
_ITEM = re.compile(r"([0-9]+)(?:\+([0-9]+))?", re.ASCII)


class Verdict(Enum):
    """What became of a dependency."""

    WAITING = "unfulfilled"
    SATISFIED = "satisfied"
    FAILED = "failed"


@define
class _Term:
    kind: str
    job_id: int
    """0 for singleton."""
    minutes: int = 0
    """``after:JOB+MINUTES``; without a meaning for the other kinds."""
    verdict: Verdict = Verdict.WAITING
    others: frozenset[int] = frozenset()
    """singleton: the jobs of the same name and user that came before."""

    def __str__(self) -> str:
        if self.kind == "singleton":
            return f"singleton({self.verdict.value})"
        minutes = f"+{self.minutes}" if self.minutes else ""
        return f"{self.kind}:{self.job_id}{minutes}({self.verdict.value})"


@frozen
class _Spec:
    terms: tuple[tuple[str, int, int], ...]
    any_of: bool


def parse_dependency(text: str) -> _Spec:
    """``afterok:1:2,singleton``. Raises SlurmError: Slurm's for what is wrong, the fake's for what it has not."""
    if "," in text and "?" in text:
        raise SlurmError(messages.DEPENDENCY_PROBLEM)
    any_of = "?" in text
    terms: list[tuple[str, int, int]] = []
    for item in text.split("?" if any_of else ","):
        kind, *ids = item.lower().split(":")
        if kind == "singleton" and not ids:
            terms.append(("singleton", 0, 0))
            continue
        if kind.isdecimal() and not ids:
            kind, ids = "afterany", [kind]
        if kind in _UNSUPPORTED:
            raise unsupported(f"--dependency={kind}")
        if kind not in _KINDS or not ids:
            raise SlurmError(messages.DEPENDENCY_PROBLEM)
        for one in ids:
            if "_" in one:
                raise unsupported(f"--dependency on elements of job arrays ({one})")
            match = _ITEM.fullmatch(one)
            if match is None:
                raise SlurmError(messages.DEPENDENCY_PROBLEM)
            terms.append((kind, int(match[1]), int(match[2] or 0)))
    return _Spec(tuple(dict.fromkeys(terms)), any_of)


class Dependencies:
    """What one job still waits for."""

    __slots__ = ("_any_of", "_terms", "watched")

    def __init__(self, spec: _Spec, before: Callable[[], Iterable[int]]) -> None:
        """`before` gives the unfinished jobs of the same name and user, for singleton."""
        self._any_of = spec.any_of
        self._terms = [
            _Term(kind, job_id, minutes, others=frozenset(before()) if kind == "singleton" else frozenset())
            for kind, job_id, minutes in spec.terms
        ]
        found: set[int] = set()
        for term in self._terms:
            found |= term.others or {term.job_id}
        self.watched = frozenset(found - {0})
        """The jobs whose changes matter."""

    def copy(self) -> Dependencies:
        """For an element of an array that is split off."""
        twin = copy(self)
        twin._terms = [copy(term) for term in self._terms]
        return twin

    def evaluate(self, find: Callable[[int], Job | None], now: float) -> Verdict:
        """Look again. What is satisfied leaves the list; what has failed stays failed."""
        for term in self._terms:
            if term.verdict is Verdict.WAITING:
                term.verdict = _verdict(term, find, now)
        verdicts = [term.verdict for term in self._terms]
        self._terms = [term for term in self._terms if term.verdict is not Verdict.SATISFIED]
        if Verdict.SATISFIED in verdicts and self._any_of:
            self._terms = []
        if not self._terms:
            return Verdict.SATISFIED
        if self._any_of:
            return Verdict.FAILED if all(one is Verdict.FAILED for one in verdicts) else Verdict.WAITING
        return Verdict.FAILED if Verdict.FAILED in verdicts else Verdict.WAITING

    def due(self, find: Callable[[int], Job | None]) -> float | None:
        """When a term is satisfied by time alone (``after:JOB+MINUTES`` of a job that has started)."""
        times = []
        for term in self._terms:
            delayed = term.kind == "after" and term.minutes and term.verdict is Verdict.WAITING
            job = find(term.job_id) if delayed else None
            if job is not None and job.start_time is not None:
                times.append(job.start_time + term.minutes * 60)
        return min(times, default=None)

    def __str__(self) -> str:
        return ("?" if self._any_of else ",").join(map(str, self._terms))


def _verdict(term: _Term, find: Callable[[int], Job | None], now: float) -> Verdict:
    if term.kind == "singleton":
        others = [find(job_id) for job_id in term.others]
        done = all(job is None or _completed(job) for job in others)
        return Verdict.SATISFIED if done else Verdict.WAITING
    job = find(term.job_id)
    if job is None:
        # Not known any more. What was never known is refused at submission since 23.02, and satisfied before.
        return Verdict.SATISFIED
    if term.kind == "after":
        if job.state is JobState.PENDING:
            return Verdict.WAITING
        begun = job.start_time is None or now >= job.start_time + term.minutes * 60
        return Verdict.SATISFIED if begun or job.finished else Verdict.WAITING
    if not _completed(job):
        return Verdict.WAITING
    succeeded = job.state is JobState.COMPLETED
    wanted = {"afterany": True, "afternotok": not succeeded}.get(term.kind, succeeded)
    return Verdict.SATISFIED if wanted else Verdict.FAILED


def _completed(job: Job) -> bool:
    return job.finished and not job.completing
