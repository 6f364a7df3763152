"""What a job waits for: the jobs given to `Task.after`, and those that are arguments of its task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar, get_args

from slurmkit.refusal import option_error

if TYPE_CHECKING:
    from slurmkit.array import JobArray
    from slurmkit.job import Job
    from slurmkit.parts import Part

__all__ = [
    "Argument",
    "Dependency",
    "References",
    "When",
    "check_corresponding",
    "combined",
    "dependencies",
    "is_satisfied",
    "outstanding",
    "verdict",
]

R_co = TypeVar("R_co", covariant=True)

When = Literal["ok", "any", "not_ok", "start", "corr"]

UNKNOWN = "UNKNOWN"
"""Instead of the state in which a job has ended: it is over, and nobody says how."""

_KIND: Mapping[str, str] = {
    "ok": "afterok",
    "any": "afterany",
    "not_ok": "afternotok",
    "start": "after",
    "corr": "aftercorr",
}


class Argument(Protocol[R_co]):
    """What a task can be given where it takes an `R_co`: a job whose result that is."""

    def as_argument(self) -> R_co: ...


class Dependency(NamedTuple):
    """A job or an array to wait for, or the id of one, and what it is to have done."""

    when: When
    job: Job[Any] | JobArray[Any] | str

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Slurm's: several of an array that the site's MaxArraySize has split, none of one without items."""
        if isinstance(self.job, str):
            return (self.job,)
        several: tuple[str, ...] | None = getattr(self.job, "job_ids", None)
        return (self.job.job_id,) if several is None else several  # type: ignore[union-attr]

    def record(self) -> dict[str, Any]:
        """For ``job.json``."""
        job_dir = None if isinstance(self.job, str) else str(self.job.job_dir)
        return {"when": self.when, "job_id": ",".join(self.job_ids), "job_dir": job_dir}


def dependencies(
    jobs: Iterable[Job[Any] | JobArray[Any] | str | int], when: When, where: str
) -> tuple[Dependency, ...]:
    """The dependencies on `jobs`. Raises `OptionError`, beginning with `where`."""
    from slurmkit.array import JobArray
    from slurmkit.job import Job

    if when not in _KIND:
        valid = ", ".join(repr(word) for word in get_args(When))
        raise option_error(f"{where}: when is {when!r}; valid: {valid}")
    found = []
    for job in jobs:
        if not isinstance(job, Job | JobArray):
            _check_id(job, where)
        found.append(Dependency(when, job if isinstance(job, Job | JobArray) else str(job)))
    if not found:
        raise option_error(f"{where}: no job is given; pass the jobs to wait for, or their ids")
    return tuple(found)


def _check_id(job: object, where: str) -> None:
    from slurmkit.slurm.jobid import JobId, JobIdError

    try:
        parsed = JobId.parse(str(job))
    except JobIdError:
        parsed = None
    if parsed is None or str(job) not in (f"{parsed.job_id}", f"{parsed.job_id}_{parsed.array_task}"):
        raise option_error(f"{where}: {job!r} is neither a Job, nor a JobArray, nor a job id such as 123 or 123_4")


def combined(option: str | Literal[True] | None, waits: Iterable[Dependency], where: str) -> str | None:
    """The text of ``--dependency``: the user's own `option`, and all of `waits`; None when there is nothing to wait for.

    Raises `OptionError` for an option that lists alternatives, which Slurm does not combine with others.
    """
    ids: dict[str, dict[str, None]] = {}
    for wait in waits:
        ids.setdefault(_KIND[wait.when], {}).update(dict.fromkeys(wait.job_ids))
    terms = [f"{kind}:{':'.join(of_kind)}" for kind, of_kind in ids.items() if of_kind]
    if not isinstance(option, str):
        return ",".join(terms) or None
    if terms and "?" in option:
        raise option_error(
            f"{where}: the dependency {option!r} is an alternative ('?'), which Slurm does not combine with "
            f"{','.join(terms)!r}"
        )
    return ",".join([option, *terms])


def is_satisfied(when: When, state: str) -> bool:
    """Whether a job that ended in `state` is what was waited for. Slurm decides in the same way, as long as it knows the job."""
    if when in ("ok", "corr"):
        return state == "COMPLETED"
    return when != "not_ok" or state != "COMPLETED"


def verdict(when: When, states: Sequence[str | None]) -> bool | None:
    """Whether jobs that ended in these `states` (None: it goes on) are all that was waited for; None while that is not known.

    Of an array Slurm wants all elements to end, and for ``"not_ok"`` one of them to have failed (measured).
    """
    if when in ("ok", "corr") and any(state is not None and not is_satisfied(when, state) for state in states):
        return False  # whatever the others do
    if None in states:
        return None
    if when == "not_ok" and states:
        return any(is_satisfied(when, str(state)) for state in states)
    return True


def outstanding(waits: Sequence[Dependency], where: str) -> list[Dependency]:
    """Those of `waits` of which it is not known that they are satisfied, going by what Slurm said within the last second.

    A job that is over may be forgotten by Slurm, which then refuses the dependency (24.11) or takes it for satisfied, however the job ended
    (22.05): nothing is asked of Slurm about it. Raises `JobDependencyFailed` when one of them has not ended as it should have, `UnknownJob`
    when Slurm has forgotten one and nobody says how it has ended.
    """
    left: list[Dependency] = []
    if not waits:
        return left
    from slurmkit.errors import JobDependencyFailed, UnknownJob

    for wait in waits:
        if isinstance(wait.job, str):
            left.append(wait)
            continue
        states = wait.job._ends_by_now()
        satisfied = verdict(wait.when, [None if state == UNKNOWN else state for state in states])
        if satisfied is None and UNKNOWN in states and wait.when not in ("any", "start"):
            raise UnknownJob(
                f"{where} cannot wait for {wait.job!r} ({_KIND[wait.when]}): Slurm has forgotten it, and how it has ended is not known, as "
                "sacct does not say, and it has not said so itself; try again later, or wait with when='any'"
            )
        if satisfied is None or (wait.when == "corr" and None in states):
            left.append(wait)
        elif not satisfied:
            ended = next((state for state in states if state and not is_satisfied(wait.when, state)), "COMPLETED")
            raise JobDependencyFailed(
                f"{where} waits for {wait.job!r} ({_KIND[wait.when]}), which has ended {ended}: it would never start"
            )
    return left


def check_corresponding(waits: Iterable[Dependency], parts: Sequence[Part], where: str) -> None:
    """Raise `OptionError` where Slurm's indices do not correspond as the items do: it counts them anew in each array that it has."""
    for wait in waits:
        if wait.when != "corr" or isinstance(wait.job, str):
            continue
        from slurmkit.slurm.jobid import render_indices

        theirs: tuple[Part, ...] = getattr(wait.job, "_parts", ())
        if len(theirs) != 1 or len(parts) != 1 or theirs[0].first != parts[0].first:
            raise option_error(
                f"{where}: when='corr' needs two arrays which Slurm has as one each, within MaxArraySize, and {wait.job!r} is not that"
            )
        if lacking := sorted({*parts[0].numbers} - {*theirs[0].numbers}):
            raise option_error(
                f"{where}: when='corr' needs an array with the same items, and {wait.job!r} has none with the numbers {render_indices(lacking)}"
            )


class References:
    """How the jobs in a call's arguments are pickled: each as a reference to its result, which the job reads. `waits`: for those met so far."""

    def __init__(self) -> None:
        self._met: dict[int, Job[Any] | JobArray[Any]] = {}

    def __call__(self, value: object) -> tuple[Any, ...] | None:
        """What `value` is pickled as; None for what is neither a job nor an array."""
        from slurmkit.array import JobArray
        from slurmkit.job import Job
        from slurmkit.runner.arguments import value_of, values_of

        if isinstance(value, Job):
            self._met[id(value)] = value
            return value_of, (value.job_id, str(value.job_dir))
        if isinstance(value, JobArray):
            self._met[id(value)] = value
            return values_of, ([(job.job_id, str(job.job_dir)) for job in value],)
        return None

    @property
    def waits(self) -> tuple[Dependency, ...]:
        return tuple(Dependency("ok", job) for job in self._met.values())
