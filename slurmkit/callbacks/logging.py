"""`LoggingCallback`: every event as one line of standard logging."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from slurmkit.callbacks.base import BaseCallback, ExecutionLocus

if TYPE_CHECKING:
    from slurmkit.callbacks.contexts import (
        CompletedContext,
        JobStatusUpdatedContext,
        PackagingBeginContext,
        PackagingEndContext,
        RunBeginContext,
        RunEndContext,
        SubmitBeginContext,
        SubmitEndContext,
    )

__all__ = ["LoggingCallback"]


class LoggingCallback(BaseCallback):
    """Log every event at `level` to `logger` (default: ``slurmkit.events``); failures one step higher, at WARNING at least.

    In the job nobody has configured logging as a rule: there, a logger without handlers writes its lines to the job's stderr.
    Of the status updates, at most one in `poll_interval_secs` seconds, those that bring nothing new are logged at DEBUG. None: no status.
    """

    def __init__(
        self,
        logger: logging.Logger | str | None = None,
        level: int = logging.INFO,
        poll_interval_secs: float | None = 10.0,
    ) -> None:
        name = logger.name if isinstance(logger, logging.Logger) else logger
        self._name = "slurmkit.events" if name is None else name
        self._level = level
        self.poll_interval_secs = poll_interval_secs

    def on_begin_package_ctx(self, ctx: PackagingBeginContext) -> None:
        self._log(f"packaging {_name(ctx.task)}")

    def on_end_package_ctx(self, ctx: PackagingEndContext) -> None:
        self._log(f"packaged {_name(ctx.task)} in {ctx.duration:.3f} s")

    def on_begin_submit_job_ctx(self, ctx: SubmitBeginContext) -> None:
        self._log(f"submitting {_name(ctx.task)} {_options(ctx.sbatch_options)} from {ctx.job_dir}")

    def on_end_submit_job_ctx(self, ctx: SubmitEndContext) -> None:
        self._log(f"job {ctx.job_id}: submitted {_name(ctx.task)} in {ctx.duration:.3f} s")

    def on_begin_run_job_ctx(self, ctx: RunBeginContext) -> None:
        rank = f"rank {ctx.job_context.rank} of {ctx.job_context.world_size}"
        self._log(f"job {ctx.job_id}: {rank} begins {ctx.module}.{ctx.function} on {ctx.hostname}", on_runner=True)

    def on_end_run_job_ctx(self, ctx: RunEndContext) -> None:
        what = f"job {ctx.job_id}: rank {ctx.job_context.rank} ends after {ctx.duration:.3f} s: {ctx.status}"
        failed = ctx.status != "success"
        if failed:
            what += f", {ctx.error_type}: {ctx.error_message}"
        if ctx.cause is not None:
            what += f" ({ctx.cause})"
        self._log(what, failed=failed, on_runner=True)

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        state = ctx.status["JobState"]
        what = f"job {ctx.job_id}: {state}"
        if ctx.status.get("Reason") not in (None, "", "None"):
            what += f" ({ctx.status['Reason']})"
        if state == ctx.previous_state and not ctx.is_terminal:
            logging.getLogger(self._name).debug("%s", what)
        else:
            self._log(what)

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        on_runner = ctx.emitted_by is ExecutionLocus.RUNNER
        what = f"job {ctx.job_id}: completed, seen by the {ctx.emitted_by.value}: {ctx.job_state}"
        if ctx.exit_code is not None:
            what += f", exit code {ctx.exit_code}"
        if ctx.duration is not None:
            what += f", {ctx.duration:.1f} s"
        if ctx.error_type is not None:
            what += f", {ctx.error_type}: {ctx.error_message}"
        if ctx.cause not in (None, ctx.job_state):
            what += f" ({ctx.cause})"
        self._log(what, failed=ctx.job_state != "COMPLETED", on_runner=on_runner)

    def _log(self, what: str, *, failed: bool = False, on_runner: bool = False) -> None:
        logger = logging.getLogger(self._name)
        level = max(self._level, logging.WARNING) if failed else self._level
        if on_runner and not logger.hasHandlers():
            print(f"{logging.getLevelName(level)}:{self._name}:{what}", file=sys.stderr, flush=True)
        else:
            logger.log(level, "%s", what)


def _name(task: object) -> str:
    return f"{getattr(task, '__module__', '?')}.{getattr(task, '__qualname__', '?')}"


def _options(options: Mapping[str, str | bool]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items()) or "(no options)"
