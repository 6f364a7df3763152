"""Who waits for whom."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fakeslurm import messages
from fakeslurm.messages import SlurmError, unsupported
from fakeslurm.model import Job, JobDescription
from fakeslurm.slurmctld.dependencies import Dependencies, Jobs, Key, Term, parse_dependency
from fakeslurm.slurmctld.state import State

__all__ = ["Dependents"]

_VERDICT = re.compile(r"\((?:unfulfilled|failed)\)")


class Dependents:
    """The dependencies of the jobs that have some, by job id."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._known = Jobs(state.jobs, state.arrays)
        self._dependencies: dict[int, Dependencies] = {}
        self._dependents: dict[Key, set[int]] = {}

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._dependencies

    def __getitem__(self, job_id: int) -> Dependencies:
        return self._dependencies[job_id]

    def parse(self, job_id: int, description: JobDescription) -> Dependencies | None:
        """What a job is to wait for. Raises SlurmError."""
        if not description.dependency:
            return None
        spec = parse_dependency(description.dependency)
        job = self._state.jobs.get(job_id)
        if any(term.job_id == job_id for term in spec.terms) if job is None else _is_meant(job, spec.terms):
            raise SlurmError(messages.DEPENDENCY_PROBLEM)
        if job is not None and any(self._leads_to(job, term, set()) for term in spec.terms):
            raise SlurmError(messages.CIRCULAR_DEPENDENCY)
        if self._state.settings.profile.refuses_unknown_dependency:
            for term in spec.terms:
                if term.kind in ("afterok", "afternotok") and not self._is_known(term):
                    raise SlurmError(messages.DEPENDENCY_PROBLEM)
        return Dependencies(spec, self._known)

    def _leads_to(self, job: Job, term: Term, seen: set[int]) -> bool:
        """Whether what a term names waits for this job, be it by others."""
        array = self._state.arrays.get(term.job_id)
        if array is None or term.task is not None:
            named = [self._known.element((term.job_id, term.task))]
        else:
            named = [self._state.jobs.get(one) for one in (array.job_id, *array.elements.values())]
        for other in named:
            if other is job:
                return True
            if other is not None and other.job_id in self._dependencies and other.job_id not in seen:
                seen.add(other.job_id)
                if any(self._leads_to(job, one, seen) for one in self._dependencies[other.job_id].terms):
                    return True
        return False

    def _is_known(self, term: Term) -> bool:
        if term.starred:
            return term.job_id in self._state.arrays
        return self._known.element((term.job_id, term.task)) is not None or (
            term.task is None and term.job_id in self._state.arrays
        )

    def add(self, job_id: int, dependencies: Dependencies) -> None:
        self._dependencies[job_id] = dependencies
        if dependencies.singleton:
            self._state.singletons.add(job_id)
        for other in dependencies.watched:
            self._dependents.setdefault(other, set()).add(job_id)

    def renew(self, job: Job) -> None:
        """A job that was over before what it waits for, and is to run again, waits for what is left of that (measured)."""
        if job.dependency and job.job_id not in self:
            self.add(job.job_id, Dependencies(parse_dependency(_VERDICT.sub("", job.dependency)), self._known))

    def drop(self, job_id: int) -> None:
        """A job waits for nobody any more."""
        self._state.singletons.discard(job_id)
        for other in self._dependencies.pop(job_id).watched:
            dependents = self._dependents[other]
            dependents.discard(job_id)
            if not dependents:
                del self._dependents[other]

    def waiting_for(self, job: Job, task: int | None = None) -> list[int]:
        """The jobs that wait for this one. `task`: for this element of the record of an array."""
        if not self._dependencies:
            return []
        keys: list[Key] = [(job.job_id, None)]
        if job.array is not None:
            task = job.array_task_id if task is None else task
            tasks = job.array.pending if job.is_unsplit and task is None else (task,)
            keys += [(job.array.job_id, None), *((job.array.job_id, one) for one in tasks)]
        return sorted(self.namesakes(job).union(*(self._dependents.get(key, ()) for key in keys)))

    def waiting_for_array(self, job_id: int) -> list[int]:
        """The jobs that wait for a whole array."""
        return sorted(self._dependents.get((job_id, None), ()))

    def namesakes(self, job: Job) -> set[int]:
        """The jobs that wait for all others of this one's name."""
        if not self._state.singletons:
            return set()
        mine, jobs = job.description, self._state.jobs
        names = ((job_id, jobs[job_id].description) for job_id in self._state.singletons)
        return {job_id for job_id, other in names if (other.name, other.uid) == (mine.name, mine.uid)}


def _is_meant(job: Job, terms: Iterable[Term]) -> bool:
    """Whether a job is to wait for itself, or for its whole array (measured)."""
    for term in terms:
        if job.array is None or term.job_id != job.array.job_id:
            if term.job_id == job.job_id:
                return True
        elif term.starred and not job.is_unsplit:
            raise unsupported("an element of an array that waits for all of them")
        elif term.task is None or (
            term.task in job.array.pending if job.is_unsplit else term.task == job.array_task_id
        ):
            return True
    return False
