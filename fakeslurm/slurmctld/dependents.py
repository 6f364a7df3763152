"""Who waits for whom."""

from __future__ import annotations

from fakeslurm import messages
from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, JobDescription
from fakeslurm.slurmctld.dependencies import Dependencies, Jobs, Key, Term, parse_dependency
from fakeslurm.slurmctld.state import State

__all__ = ["Dependents"]


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
        if any(term.job_id == job_id for term in spec.terms):
            raise SlurmError(messages.DEPENDENCY_PROBLEM)
        if self._state.settings.profile.refuses_unknown_dependency:
            for term in spec.terms:
                if term.kind in ("afterok", "afternotok") and not self._is_known(term):
                    raise SlurmError(messages.DEPENDENCY_PROBLEM)
        return Dependencies(spec, self._known)

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
        keys: list[Key] = [(job.job_id, None)]
        if job.array is not None:
            task = job.array_task_id if task is None else task
            tasks = job.array.pending if job.is_unsplit and task is None else (task,)
            keys += [(job.array.job_id, None), *((job.array.job_id, one) for one in tasks)]
        return sorted(self.namesakes(job).union(*(self._dependents.get(key, ()) for key in keys)))

    def namesakes(self, job: Job) -> set[int]:
        """The jobs that wait for all others of this one's name."""
        mine, jobs = job.description, self._state.jobs
        names = ((job_id, jobs[job_id].description) for job_id in self._state.singletons)
        return {job_id for job_id, other in names if (other.name, other.uid) == (mine.name, mine.uid)}
