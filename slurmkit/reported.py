"""Which callbacks have heard how a submission's jobs have ended: kept in its directory, so that a later client does not tell them again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from slurmkit import jobdir
from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
from slurmkit.callbacks.dispatch import hears, name_of
from slurmkit.errors import JobDirectoryError

__all__ = ["Reports"]

log = logging.getLogger("slurmkit.job")

_HOOK = "on_completed_ctx"


class Reports:
    """The completed events that clients have delivered. A callback is known by its class: in another process it is another object.

    The file is one for all elements of an array, appended to line by line: ``{"job_id", "attempt", "callbacks"}``. A client that is
    killed while it delivers has not delivered: the event is told again.
    """

    def __init__(self, job_dir: Path, *, attached: bool) -> None:
        """`attached`: the job is another client's, which may have told of its end already."""
        self._job_dir = job_dir
        self._heard: set[tuple[str, int, str]] = set()
        if attached:
            for record in jobdir.read_lines(job_dir, jobdir.COMPLETED):
                self._heard.update((record["job_id"], record["attempt"], name) for name in record["callbacks"])

    def left(self, job_id: str, attempt: int, callbacks: Iterable[BaseCallback]) -> list[BaseCallback]:
        """Those of `callbacks` that have not heard yet how this attempt has ended."""
        return [one for one in callbacks if (job_id, attempt, name_of(one)) not in self._heard]

    def add(self, job_id: str, attempt: int, callbacks: Iterable[BaseCallback]) -> None:
        """They have heard it now. The event is delivered: that this cannot be written is no reason to lose it."""
        names = [name_of(one) for one in callbacks if hears(one, _HOOK, ExecutionLocus.CLIENT)]
        if not names:
            return
        record = {"job_id": job_id, "attempt": attempt, "callbacks": names}
        try:
            jobdir.append_line(self._job_dir, jobdir.COMPLETED, record)
        except JobDirectoryError as error:
            log.warning("the end of job %s may be told again after a restart: %s", job_id, error)
