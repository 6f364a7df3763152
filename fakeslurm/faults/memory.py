"""Faults of what slurmctld remembers: it forgets jobs sooner than one would like, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from fakeslurm.faults.base import End, Fault, Kind

if TYPE_CHECKING:
    from fakeslurm.engine import Engine

__all__ = ["Purge", "ReusedIds"]


@frozen(kw_only=True)
class Purge(Kind):
    """The controller forgets jobs as soon as they have ended, as if MinJobAge were over: ``Invalid job id specified``."""

    name: ClassVar[str] = "purge"

    def begin(self, engine: Engine, fault: Fault, now: float) -> End:
        def forgotten(job_id: int, at: float) -> None:
            fault.hit(at, f"job {job_id}")

        engine.controller.forget_ended(now, forgotten)
        return lambda _now: engine.controller.remember(forgotten)


@frozen(kw_only=True)
class ReusedIds(Kind):
    """slurmctld has lost its StateSaveLocation: it knows no job any more, and job ids start again at FirstJobId.

    What ran is ended, CANCELLED for sacct, which shows the latest job of an id only, and all of them with ``--duplicates`` (measured).
    """

    name: ClassVar[str] = "reused_ids"

    def begin(self, engine: Engine, fault: Fault, now: float) -> None:
        for job_id in engine.controller.lose_state(now):
            fault.hit(now, f"job {job_id}")
