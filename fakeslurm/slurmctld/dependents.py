"""Who waits for whom."""

from __future__ import annotations

from fakeslurm import messages
from fakeslurm.messages import SlurmError, unsupported
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
        namesakes = self._unfinished_namesakes(description) - {job_id}
        if any(term.kind == "singleton" for term in spec.terms) and any(one > job_id for one in namesakes):
            raise unsupported("update of a job with Dependency=singleton while younger jobs of its name are there")
        if self._state.settings.profile.refuses_unknown_dependency:
            for term in spec.terms:
                if term.kind in ("afterok", "afternotok") and not self._is_known(term):
                    raise SlurmError(messages.DEPENDENCY_PROBLEM)
        return Dependencies(spec, self._known, namesakes)

    def _is_known(self, term: Term) -> bool:
        if term.starred:
            return term.job_id in self._state.arrays
        return self._known.element((term.job_id, term.task)) is not None or (
            term.task is None and term.job_id in self._state.arrays
        )

    def _unfinished_namesakes(self, description: JobDescription) -> set[int]:
        mine = (description.name, description.uid)
        return {
            job.job_id if job.array is None else job.array.job_id
            for job in self._state.jobs.values()
            if (job.description.name, job.description.uid) == mine and (not job.finished or job.completing)
        }

    def add(self, job_id: int, dependencies: Dependencies) -> None:
        self._dependencies[job_id] = dependencies
        for other in dependencies.watched:
            self._dependents.setdefault(other, set()).add(job_id)

    def drop(self, job_id: int) -> None:
        """A job waits for nobody any more."""
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
        return sorted(set().union(*(self._dependents.get(key, ()) for key in keys)))
