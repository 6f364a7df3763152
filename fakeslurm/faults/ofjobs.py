"""What faults of jobs and nodes have in common: which jobs they hit, and that a hit is part of the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from attrs import field, frozen

from fakeslurm.faults.base import End, Fault, Kind
from fakeslurm.model import Job
from fakeslurm.trouble import Moment, Trouble
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.model import Settings

__all__ = ["OfJobs", "check_node", "chosen", "ends", "hit", "is_name"]

T = TypeVar("T")


def _job_id(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _is_job_id(_instance: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise TypeError(f"job={value!r}; expected the id of a job, or None for any")


def is_name(_instance: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a text, or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"node={value!r}; expected the name of a node, or None for any")


@frozen(kw_only=True)
class OfJobs(Kind):
    """A fault of some jobs: of this one (`job`), of those with a part on this node (`node`), or of any."""

    job: int | None = field(default=None, converter=_job_id, validator=_is_job_id)
    node: str | None = field(default=None, validator=is_name)

    def check(self, settings: Settings) -> None:
        check_node(self.name, self.node, settings)

    def matches(self, job: Job) -> bool:
        return self.job in (None, job.job_id) and (self.node is None or self.node in job.nodes)

    def running(self, engine: Engine) -> list[Job]:
        """Those that run now. Of a heterogeneous job the first component stands for all."""
        jobs = engine.controller.jobs.values()
        return [
            job
            for job in jobs
            if job.state is JobState.RUNNING and (job.het is None or job.leads) and self.matches(job)
        ]

    def watch(self, engine: Engine, fault: Fault, moment: Moment, seconds: float = 0.0) -> Callable[[], set[int]]:
        """From now on every job that comes to this moment is hit, once in each of its runs. Returned is what ends it, and tells who was."""
        runs: dict[tuple[int, int], None] = {}

        def concerns(job: Job) -> bool:
            run = (job.job_id, job.restart_count)
            if run in runs:
                return True
            if fault.used_up or not self.matches(job):
                return False
            runs[run] = None
            hit(engine, fault, engine.now(), f"job {job.job_id}")
            return True

        trouble = Trouble(moment, concerns, seconds)
        engine.slurmd.troubles.add(trouble)

        def end() -> set[int]:
            engine.slurmd.troubles.remove(trouble)
            return {job_id for job_id, _ in runs}

        return end


def check_node(fault: str, name: str | None, settings: Settings) -> None:
    """ValueError for a node that there is not."""
    names = [node.name for node in settings.nodes]
    if name is not None and name not in names:
        raise ValueError(f"fault {fault!r}: node={name!r}; there are {', '.join(names)}")


def chosen(engine: Engine, fault: Fault, candidates: Sequence[T]) -> list[T]:
    """All of them, or as many as the fault may hit, chosen by the seed."""
    if fault.times is None or fault.times >= len(candidates):
        return list(candidates)
    places = sorted(engine.chance.sample(range(len(candidates)), fault.times))
    return [candidates[place] for place in places]


def hit(engine: Engine, fault: Fault, now: float, target: str) -> None:
    """Note what was hit, in the fault and in the history, behind what has happened before."""
    engine.recorder.note(now)
    fault.hit(now, target)


def ends(end: Callable[[], object]) -> End:
    """What ends at any time, as the end of a fault."""

    def at(_now: float) -> None:
        end()

    return at
