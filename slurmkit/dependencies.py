"""What a job waits for: the jobs given to `Task.after`, and those that are arguments of its task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar, get_args

from slurmkit.errors import JobDependencyFailed, OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from slurmkit.job import Job

__all__ = ["Argument", "Dependency", "References", "When", "combined", "dependencies", "is_satisfied", "outstanding"]

R_co = TypeVar("R_co", covariant=True)

When = Literal["ok", "any", "not_ok", "start"]

_KIND: Mapping[str, str] = {"ok": "afterok", "any": "afterany", "not_ok": "afternotok", "start": "after"}


class Argument(Protocol[R_co]):
    """What a task can be given where it takes an `R_co`: a job whose result that is."""

    def as_argument(self) -> R_co: ...


class Dependency(NamedTuple):
    """A job to wait for, or its id, and what it is to have done."""

    when: When
    job: Job[Any] | str

    @property
    def job_id(self) -> str:
        return self.job if isinstance(self.job, str) else self.job.job_id

    @property
    def job_dir(self) -> Path | None:
        return None if isinstance(self.job, str) else self.job.job_dir


def dependencies(jobs: Iterable[Job[Any] | str | int], when: When, where: str) -> tuple[Dependency, ...]:
    """The dependencies on `jobs`. Raises `OptionError`, beginning with `where`."""
    from slurmkit.job import Job
    from slurmkit.slurm.jobid import JobId, JobIdError

    if when not in _KIND:
        valid = ", ".join(repr(word) for word in get_args(When))
        raise OptionError(f"{where}: when is {when!r}; valid: {valid}")
    found = []
    for job in jobs:
        if not isinstance(job, Job):
            try:
                parsed = JobId.parse(job)
            except JobIdError:
                parsed = None
            if parsed is None or str(job) not in (f"{parsed.job_id}", f"{parsed.job_id}_{parsed.array_task}"):
                raise OptionError(f"{where}: {job!r} is neither a Job nor a job id such as 123 or 123_4")
        found.append(Dependency(when, job if isinstance(job, Job) else str(job)))
    if not found:
        raise OptionError(f"{where}: no job is given; pass the jobs to wait for, or their ids")
    return tuple(found)


def combined(option: str | Literal[True] | None, waits: Iterable[Dependency], where: str) -> str | None:
    """The text of ``--dependency``: the user's own `option`, and all of `waits`; None when there is nothing to wait for.

    Raises `OptionError` for an option that lists alternatives, which Slurm does not combine with others.
    """
    ids: dict[str, dict[str, None]] = {}
    for wait in waits:
        ids.setdefault(_KIND[wait.when], {})[wait.job_id] = None
    terms = [f"{kind}:{':'.join(of_kind)}" for kind, of_kind in ids.items()]
    if not isinstance(option, str):
        return ",".join(terms) or None
    if terms and "?" in option:
        raise OptionError(
            f"{where}: the dependency {option!r} is an alternative ('?'), which Slurm does not combine with "
            f"{','.join(terms)!r}"
        )
    return ",".join([option, *terms])


def is_satisfied(when: When, state: str) -> bool:
    """Whether a job that ended in `state` is what was waited for. Slurm decides in the same way, as long as it knows the job."""
    if when == "ok":
        return state == "COMPLETED"
    return when != "not_ok" or state != "COMPLETED"


def outstanding(waits: Iterable[Dependency], where: str) -> list[Dependency]:
    """Those of `waits` whose jobs are not over, going by what Slurm said within the last second.

    A job that is over may be forgotten by Slurm, which then refuses the dependency (24.11) or takes it for satisfied, however the job ended
    (22.05): nothing is asked of Slurm about it. Raises `JobDependencyFailed` when one of them has not ended as it should have.
    """
    left = []
    for wait in waits:
        final = None if isinstance(wait.job, str) else wait.job._final_by_now()
        if final is None:
            left.append(wait)
        elif not is_satisfied(wait.when, final.state):
            raise JobDependencyFailed(
                f"{where} waits for {wait.job!r} ({_KIND[wait.when]}), which has ended {final.state}: it would never start",
            )
    return left


class References:
    """How the jobs in a call's arguments are pickled: each as a reference to its result, which the job reads. `waits`: for those met so far."""

    def __init__(self) -> None:
        self._met: dict[Path, Job[Any]] = {}

    def __call__(self, value: object) -> tuple[Any, ...] | None:
        """What `value` is pickled as; None for what is no job."""
        from slurmkit.job import Job
        from slurmkit.runner.arguments import value_of

        if not isinstance(value, Job):
            return None
        self._met[value.job_dir] = value
        return value_of, (value.job_id, str(value.job_dir))

    @property
    def waits(self) -> tuple[Dependency, ...]:
        return tuple(Dependency("ok", job) for job in self._met.values())
