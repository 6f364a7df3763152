"""`Watch`: sees one job to its end on the client, for whoever waits, and delivers the end exactly once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slurmkit import jobdir
from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
from slurmkit.callbacks.contexts import CompletedContext
from slurmkit.callbacks.dispatch import Subscriber, fire
from slurmkit.clock import condition, sleep
from slurmkit.errors import UnknownJob
from slurmkit.outcome import Ending, cause_of, end_of_journal, read_ending, tail
from slurmkit.polling.arbitration import JournalEnd, Snapshot
from slurmkit.polling.cadence import Pace
from slurmkit.polling.poller import Poller
from slurmkit.slurm.durations import DurationError, parse_timestamp
from slurmkit.slurm.states import ExitCode

if TYPE_CHECKING:
    from slurmkit.engine import Engine
    from slurmkit.job import Job

__all__ = ["RESULT_GRACE", "Watch"]

log = logging.getLogger("slurmkit.job")

STATUS_AGE = 1.0
"""Seconds for which a status is new enough for who looks at it: a loop over a thousand jobs costs one request."""

RESULT_GRACE = 10.0
"""Seconds for which the client waits for what a job has written, on a file system that shows it late."""

START_GRACE = 1.0
"""The same where the runner has not started, but somebody has said why on stderr."""

LOOK_AGAIN = 0.05


class Watch:
    """What the client knows of one job, and whose turn it is to do something about it.

    There is no thread in it: `advance` is called by whoever waits for the job, and by the `Follower` for those who do not wait themselves.
    With a poller, it is the poller's thread that delivers the end, after its terminal update.
    """

    def __init__(
        self,
        engine: Engine,
        job: Job[Any],
        *,
        token: str,
        created: float,
        callbacks: Sequence[BaseCallback],
        subscribers: Sequence[Subscriber],
    ) -> None:
        self._engine = engine
        self._clock = engine.clock
        self._job = job
        self._job_id: str = job.job_id
        self._job_dir: Path = job.job_dir
        self._created = created
        self._callbacks = tuple(callbacks)
        self._changed = condition(self._clock)
        self._latest: Snapshot | None = None
        self._final: Snapshot | None = None
        self._ending = Ending()
        self._completing: threading.Thread | None = None
        self._completed = False
        self._done_callbacks: list[Callable[[], object]] = []
        self._wakers: list[Callable[[], object]] = []
        now = self._clock.monotonic()
        self._pace = Pace(now - max(0.0, self._clock.time() - created))
        self._look_at = now
        self._journal_size = -1
        self.poller = Poller(job, subscribers, engine.status, self._clock, self._complete) if subscribers else None
        engine.status.track(
            self._job_id, token=token, created=created, listener=self._observe, journal=self._end_of_journal
        )

    @property
    def latest(self) -> Snapshot | None:
        """The latest snapshot in which something changed."""
        with self._changed:
            return self._final or self._latest

    @property
    def final(self) -> Snapshot | None:
        """The snapshot with the job's end; None while it goes on."""
        with self._changed:
            return self._final

    @property
    def ending(self) -> Ending:
        """What the job itself wrote about its end; complete once the job is done."""
        with self._changed:
            return self._ending

    @property
    def is_done(self) -> bool:
        """The job is over, and its end was delivered, or is being delivered by this very thread."""
        with self._changed:
            return self._completed or (self._final is not None and self._is_mine())

    def current(self) -> Snapshot:
        """A snapshot not older than a second, or the last one that there was. Raises `SchedulerError`, `UnknownJob`."""
        if self.final is None:
            self._engine.check_open(f"the status of job {self._job_id} cannot be asked for")
            known = self._engine.status.snapshot([self._job_id], STATUS_AGE).get(self._job_id)
            if self.final is None:
                if known is not None:
                    return known
                if (error := self._engine.status.error) is not None:
                    raise error
                raise UnknownJob(f"Slurm does not know job {self._job_id}")
        self._deliver()
        final = self.final
        assert final is not None
        return final

    def final_by_now(self) -> Snapshot | None:
        """The job's end, None while it goes on, going by what Slurm said within the last second, or by the last that it did say.

        A job that was submitted within that second is not asked about. Delivers nothing. Raises `ClusterClosed`, `SchedulerNotFound`.
        """
        if self.final is None and self._clock.time() - self._created >= STATUS_AGE:
            self._engine.check_open(f"the status of job {self._job_id} cannot be asked for")
            self._engine.status.snapshot([self._job_id], STATUS_AGE)
        return self.final

    def advance(self) -> float | None:
        """One step on behalf of somebody who waits: look for a sign of the end, ask Slurm when that is due, deliver the end.

        None when the job is done, else the seconds after which the next step is due. Raises `SchedulerNotFound`.
        """
        if self.final is None:
            self._look()
            self._ask()
        if self._deliver():
            return None
        with self._changed:
            if self._final is not None:
                return 1.0  # somebody else delivers, and will say so
            due = max(self._pace.due, self._engine.status.retry_at)
            return max(0.001, min(due, self._look_at) - self._clock.monotonic())

    def wait(self, seconds: float) -> None:
        """Let at most `seconds` go by, less when something changes."""
        with self._changed:
            if not self._completed and not self._engine.closed and not self._is_mine_to_deliver():
                self._clock.wait(self._changed, seconds)

    def hurry(self) -> None:
        """The end is near: the job was told to end."""
        self._engine.status.expire(self._job_id)
        with self._changed:
            self._pace.signed(self._clock.monotonic())
            self._changed.notify_all()

    def when_done(self, call: Callable[[], object]) -> bool:
        """Have `call` called when the job is done; False, and it is not, when that is so already."""
        with self._changed:
            if self._completed:
                return False
            self._done_callbacks.append(call)
            return True

    def wake(self, call: Callable[[], object]) -> None:
        """Have `call` called when the cluster is closed; here and now when it is closed already."""
        with self._changed:
            if not self._engine.closed:
                self._wakers.append(call)
                return
        call()

    def close(self) -> None:
        """The cluster is closed: nobody waits any longer."""
        if self.poller is not None:
            self.poller.close()
        with self._changed:
            wakers, self._wakers = self._wakers, []
            self._changed.notify_all()
        for call in wakers:
            call()

    def _observe(self, snapshot: Snapshot) -> None:
        """The status service has seen a change. Does not block."""
        with self._changed:
            self._latest = snapshot
            if self._completing is None:
                self._final = snapshot if snapshot.is_terminal else None
            self._changed.notify_all()
        if self.poller is not None:
            self.poller.offer(snapshot)

    def _look(self) -> None:
        """A runner that has written its last word is a reason to ask Slurm at once. Slurm remains the judge."""
        now = self._clock.monotonic()
        with self._changed:
            if now < self._look_at:
                return
            self._look_at = now + self._pace.look_after(now)
            seen = self._journal_size
            attempt = 0 if self._latest is None else self._latest.attempt
        try:
            size = (self._job_dir / jobdir.JOURNAL).stat().st_size
        except OSError:
            return
        if size == seen:
            return
        end = self._end_of_journal()
        with self._changed:
            self._journal_size = size
            if end is not None and end.attempt >= attempt:
                self._pace.signed(now)

    def _ask(self) -> None:
        now = self._clock.monotonic()
        status = self._engine.status
        if self._engine.closed or now < status.retry_at:
            return
        hurry = status.can_hurry
        with self._changed:
            if now < self._pace.due:
                return
            max_age = self._pace.max_age(now)
            self._pace.asked(now, hurry=hurry)
        status.snapshot([self._job_id], max_age)

    def _end_of_journal(self) -> JournalEnd | None:
        return end_of_journal(self._job_dir)

    def _is_mine(self) -> bool:
        """This thread is inside a hook that is called about the end. The lock is held."""
        return self._completing is threading.current_thread() or (
            self.poller is not None and self.poller.is_current_thread
        )

    def _is_mine_to_deliver(self) -> bool:
        """The job is over, and nobody delivers it yet. The lock is held."""
        if self._final is None or self._completing is not None:
            return False
        return self.poller is None or not self.poller.is_alive

    def _deliver(self) -> bool:
        """Deliver the end unless that is somebody else's business; True when the job is done as far as this thread is concerned."""
        with self._changed:
            if self._completed or (self._final is not None and self._is_mine()):
                return True
            final = self._final
            if final is None or not self._is_mine_to_deliver():
                return False
            self._completing = threading.current_thread()
        self._complete(final)
        return True

    def _complete(self, final: Snapshot) -> None:
        """Read what the job left, call ``on_completed_ctx``, then the done callbacks: in the thread that has claimed it, or the poller's."""
        with self._changed:
            self._completing = threading.current_thread()
            self._final = final
        try:
            ending = self._read_ending(final)
            with self._changed:
                self._ending = ending
            context = _completed_context(self._job, final, ending, self._job_dir)
            fire(self._callbacks, "on_completed_ctx", context, ExecutionLocus.CLIENT)
        finally:
            # Also when a KeyboardInterrupt comes out of a hook: the hooks had their chance, and nobody shall wait for ever.
            with self._changed:
                self._completed = True
                calls, self._done_callbacks = self._done_callbacks, []
                self._wakers.clear()
                self._changed.notify_all()
            self._engine.status.forget(self._job_id)
        for call in calls:
            call()

    def _read_ending(self, final: Snapshot) -> Ending:
        """What the job wrote. A job that failed by itself has written why, or will have, on a file system that lags."""
        ending = read_ending(self._job_dir, final.attempt)
        if final.state != "FAILED" or _is_signal(final.status.get("ExitCode", "")):
            return ending
        began = self._clock.monotonic()
        while ending.completed is None:
            has_spoken = ending.started is None and tail(self._job_dir / jobdir.STDERR)
            grace = START_GRACE if has_spoken else RESULT_GRACE
            if self._clock.monotonic() - began >= grace:
                break
            sleep(self._clock, LOOK_AGAIN)
            ending = read_ending(self._job_dir, final.attempt)
        return ending


def _is_signal(exit_code: str) -> bool:
    try:
        return ExitCode.parse(exit_code).signal != 0
    except ValueError:
        return False


def _completed_context(job: Job[Any], final: Snapshot, ending: Ending, job_dir: Path) -> CompletedContext:
    start, end = _times(final, ending)
    reason = final.status.get("Reason", "")
    return CompletedContext(
        job=job,
        job_id=job.job_id,
        job_dir=str(job_dir),
        job_state=final.state,
        exit_code=final.status.get("ExitCode") or None,
        reason=None if reason in ("", "None") else reason,
        status=final.status,
        emitted_by=ExecutionLocus.CLIENT,
        stdout_path=str(job_dir / jobdir.STDOUT),
        stderr_path=str(job_dir / jobdir.STDERR),
        start_time=start,
        end_time=end,
        duration=None if start is None or end is None else end - start,
        error_type=ending.error_type,
        error_message=ending.error_message,
        traceback=ending.traceback,
        attempt=final.attempt,
        restart_count=final.attempt,
        cause=cause_of(final, ending),
        job_context=None,
    )


def _times(final: Snapshot, ending: Ending) -> tuple[float | None, float | None]:
    """The runner's own times where it had a beginning and an end, else Slurm's, which are whole seconds. Never a mixture of two clocks."""
    if ending.started is not None and ending.completed is not None:
        return float(ending.started["time"]), float(ending.completed["time"])
    return _timestamp(final.status.get("StartTime", "")), _timestamp(final.status.get("EndTime", ""))


def _timestamp(text: str) -> float | None:
    try:
        return parse_timestamp(text)
    except DurationError:
        return None
