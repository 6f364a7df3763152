"""How a task goes on after its attempt has ended: `Requeue` and `Checkpoint`; and when an attempt has to end."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

__all__ = ["Checkpoint", "Requeue", "deadline"]

log = logging.getLogger("slurmkit.lifecycle")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

NO_LIMIT = 365 * 24 * 3600.0
"""Slurm's end of a job that has none: a year after its start (measured on 22.05.8 and 24.11.5)."""


class Requeue(Exception):  # noqa: N818  (no error: it says how to go on)
    """Raised by a task, or returned by `Checkpoint.checkpoint`: end this attempt, and have Slurm start the job again.

    The next attempt is called with these arguments, ``Requeue(state, lr=0.1)``; ``Requeue()`` stands for those of this attempt, as they are
    now. Needs ``@task(max_requeues=N)``; a task that has been started again N times fails instead.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args)
        self.kwargs: dict[str, Any] = kwargs

    def __str__(self) -> str:
        words = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"Requeue({', '.join(words)})"


@runtime_checkable
class Checkpoint(Protocol[P, R_co]):
    """A task that is an object and knows how to go on: ``task(max_requeues=5)(Training())``.

    When the attempt is ended from outside (the warning signal, SIGTERM), the call is interrupted by a SystemExit, and `checkpoint` is called
    with the same arguments: in the same process, after the call has unwound. What it returns is written to the job directory together with
    the object as it is then; the next attempt calls that object with these arguments. Slurm kills the job KillWait seconds (30, if the site
    has not changed it) after SIGTERM.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def checkpoint(self, *args: P.args, **kwargs: P.kwargs) -> Requeue:
        """What to go on with."""


def deadline(job_id: str, environment: Mapping[str, str]) -> float | None:
    """Epoch seconds at which Slurm will end the job of this environment; None when it has no time limit, or nobody knows.

    Slurm 23.02 and later say it in the environment. Earlier ones are asked, by one ``scontrol show job`` per process; the runner of a job
    with several ranks does that for all of them.
    """
    text = environment.get("SLURM_JOB_END_TIME")
    if text is not None:  # empty: the runner has asked for all ranks, and there is none
        start = environment.get("SLURM_JOB_START_TIME", "")
        return _unless_unlimited(float(start) if start.isdecimal() else None, float(text)) if text.isdecimal() else None
    if environment.get("SLURM_JOB_ID") != os.environ.get("SLURM_JOB_ID") or "SLURM_JOB_ID" not in environment:
        return None  # of another process, or of no job at all
    from slurmkit.runner.leader import job_id as known_as

    return _asked(known_as(environment) or job_id)


@functools.cache
def _asked(job_id: str) -> float | None:
    from slurmkit.backends.cli import CliBackend
    from slurmkit.errors import SchedulerError
    from slurmkit.slurm.durations import DurationError, parse_timestamp

    try:
        shown = CliBackend().show(job_id).get(job_id)
        if shown is None:
            return None
        end = parse_timestamp(shown["EndTime"])
        return None if end is None else _unless_unlimited(parse_timestamp(shown["StartTime"]), end)
    except (SchedulerError, DurationError) as error:
        log.info("the end of job %s is not known: %s", job_id, error)
        return None


def _unless_unlimited(start: float | None, end: float) -> float | None:
    return None if start is not None and end - start >= NO_LIMIT else end
