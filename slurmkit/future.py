"""`JobFuture`: a job for those who wait with `concurrent.futures`."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from slurmkit.job import Job
    from slurmkit.polling.watch import Watch

__all__ = ["JobFuture"]

R = TypeVar("R")


class JobFuture(Future[R]):
    """Done when its job is, or when the cluster is closed; what it has then is read when somebody asks for it."""

    def __init__(self, job: Job[R], watch: Watch) -> None:
        super().__init__()
        self._job = job
        self.set_running_or_notify_cancel()
        watch.wake(self._resolve)
        job.add_done_callback(lambda _: self._resolve())

    def _resolve(self) -> None:
        with contextlib.suppress(InvalidStateError):  # both have come about
            super().set_exception(None)

    def result(self, timeout: float | None = None) -> R:
        super().exception(timeout)
        return self._job.result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        super().exception(timeout)
        return self._job.exception()

    def cancel(self) -> bool:
        """End the job."""
        return self._job.cancel()
