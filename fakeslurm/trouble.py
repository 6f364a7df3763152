"""What goes wrong with jobs on their nodes while a fault is under way: `fakeslurm.slurmd` asks at the moment at which it would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from attrs import define, field, frozen

from fakeslurm.model import Job

__all__ = ["Moment", "Trouble", "Troubles"]

Moment = Literal["launch", "hold", "completing", "results", "space"]
"""When it is asked for: before the script starts (hold: the job is requeued and held); when a job that is over has still to be found
gone; when a simulated job's results appear; when the output is opened and the results are written."""


@frozen(eq=False)
class Trouble:
    """One fault's part in it."""

    moment: Moment
    concerns: Callable[[Job], bool]
    """Whether it hits this job, now. It is asked at most once for each time that the moment comes, and notes the hit."""
    seconds: float = 0.0
    """By how much something is late."""


@define
class Troubles:
    """Those of the faults that are under way. Whoever calls holds the engine's lock."""

    _all: list[Trouble] = field(factory=list)

    def add(self, trouble: Trouble) -> None:
        self._all.append(trouble)

    def remove(self, trouble: Trouble) -> None:
        self._all.remove(trouble)

    def of(self, moment: Moment, job: Job) -> Trouble | None:
        """What goes wrong with this job now: of several the one that began last."""
        if not self._all:
            return None
        return next((one for one in reversed(self._all) if one.moment == moment and one.concerns(job)), None)
