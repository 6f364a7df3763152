"""`ProgressCallback`: a live table with one line per job. Needs the extra ``slurmkit[rich]``."""

from __future__ import annotations

import atexit
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from slurmkit.callbacks.base import BaseCallback, ExecutionLocus

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    from slurmkit.callbacks.contexts import CompletedContext, JobStatusUpdatedContext, SubmitEndContext

__all__ = ["ProgressCallback"]

_STYLES = {"COMPLETED": "green", "RUNNING": "cyan", "COMPLETING": "cyan", "PENDING": "yellow"}


@attrs.define
class _Line:
    name: str
    state: str = "PENDING"
    detail: str = ""
    elapsed: str = ""
    done: bool = False


class ProgressCallback(BaseCallback):
    """Show the jobs live: id, task, state, elapsed time, and nodes, reason or error.

    As a context manager it shows them until the end of the block; otherwise from the first submission until all jobs are done. Of more
    than `max_lines` jobs, those that are not done come first, and the rest is counted. Raises `ImportError` when rich is not installed.
    """

    requires_pickling = False

    def __init__(self, poll_interval_secs: float = 1.0, *, console: Console | None = None, max_lines: int = 40) -> None:
        try:
            import rich.live  # noqa: F401
        except ImportError as error:
            raise ImportError("ProgressCallback needs rich: pip install 'slurmkit[rich]'") from error
        self.poll_interval_secs = poll_interval_secs
        self._console = console
        self._max_lines = max_lines
        self._lock = threading.RLock()
        self._lines: dict[str, _Line] = {}
        self._live: Live | None = None
        self._in_block = False

    def __enter__(self) -> Self:
        self._in_block = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._in_block = False
        self.stop()

    def stop(self) -> None:
        """Leave the table as it is on the screen, and forget its jobs."""
        with self._lock:
            live, self._live = self._live, None
            if live is not None:
                atexit.unregister(self.stop)
        if live is not None:
            live.stop()  # draws once more, for which it takes our lock
            if not live.console.is_terminal:
                live.console.line()  # rich ends the last line on a terminal only
        with self._lock:
            if self._live is None:
                self._lines.clear()

    def on_end_submit_job_ctx(self, ctx: SubmitEndContext) -> None:
        with self._lock:
            self._lines[ctx.job_id] = _Line(ctx.task.__qualname__)
            if self._live is None:
                from rich.live import Live

                self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=8)
                atexit.register(self.stop)  # gives the cursor back
                self._live.start(refresh=True)

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        with self._lock:
            if (line := self._lines.get(ctx.job_id)) is None:
                return
            line.state = ctx.status["JobState"]
            line.elapsed = ctx.status.get("RunTime", "")
            reason = ctx.status.get("Reason", "")
            line.detail = ctx.status.get("NodeList", "") or ("" if reason == "None" else reason)

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        if ctx.emitted_by is not ExecutionLocus.CLIENT:
            return
        with self._lock:
            if (line := self._lines.get(ctx.job_id)) is None:
                return
            line.done = True
            line.state = ctx.job_state
            if ctx.duration is not None:
                line.elapsed = f"{ctx.duration:.1f} s"
            if ctx.error_type is not None:
                line.detail = f"{ctx.error_type}: {ctx.error_message}"
            elif ctx.job_state != "COMPLETED":
                line.detail = f"exit code {ctx.exit_code}"
            finished = all(one.done for one in self._lines.values())
        if finished and not self._in_block:
            self.stop()

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            lines = list(self._lines.items())
        done = sum(line.done for _, line in lines)
        table = Table(title=f"{done} of {len(lines)} jobs done", title_justify="left", box=None, pad_edge=False)
        for heading in ("job", "task", "state", "time", ""):
            table.add_column(heading, no_wrap=heading != "", overflow="ellipsis")
        if len(lines) > self._max_lines:
            lines.sort(key=lambda item: item[1].done)
        for job_id, line in lines[: self._max_lines]:
            style = _STYLES.get(line.state, "red" if line.done else "yellow")
            table.add_row(job_id, Text(line.name), Text(line.state, style=style), line.elapsed, Text(line.detail))
        if len(lines) > self._max_lines:
            table.add_row("...", f"{len(lines) - self._max_lines} more")
        return table
