"""`Watch`: sees the jobs of a submission to their ends on the client, for whoever waits, and delivers each end exactly once."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
from slurmkit.callbacks.dispatch import Subscriber, fire
from slurmkit.clock import condition, sleep
from slurmkit.dependencies import UNKNOWN
from slurmkit.outcome import Ending, cause_of, end_of_journal, read_ending, tail
from slurmkit.polling.arbitration import JournalEnd, Snapshot
from slurmkit.polling.cadence import Pace
from slurmkit.slurm.durations import DurationError, parse_timestamp
from slurmkit.slurm.states import TERMINAL_STATES, ExitCode

if TYPE_CHECKING:
    from slurmkit.callbacks.contexts import CompletedContext
    from slurmkit.engine import Engine
    from slurmkit.job import Job
    from slurmkit.polling.poller import Poller
    from slurmkit.reported import Reports

__all__ = ["RESULT_GRACE", "Watch"]

log = logging.getLogger("slurmkit.job")

STATUS_AGE = 1.0
"""Seconds for which a status is new enough for who looks at it: a loop over a thousand jobs costs one request."""

RESULT_GRACE = 10.0
"""Seconds for which the client waits for what a job has written, on a file system that shows it late."""

START_GRACE = 1.0
"""The same where the runner has not started, but somebody has said why on stderr."""

LOOK_AGAIN = 0.05

LOOK = 0.001
"""Seconds between two looks into job directories, per job: ten thousand of them are not looked into ten times a second."""


class _Course:
    """What the client knows of one job, and how far its end is delivered."""

    __slots__ = ("completed", "completing", "done_callbacks", "final", "journal_size", "latest", "spoke")

    def __init__(self) -> None:
        self.latest: Snapshot | None = None
        self.final: Snapshot | None = None
        self.completing: threading.Thread | None = None
        self.completed = False
        self.done_callbacks: list[Callable[[], object]] | None = None
        self.journal_size = -1
        self.spoke = False
        """Its runner has written its last word, as far as is known."""


class Watch:
    """What the client knows of the jobs of one submission (a job, or all of an array), and whose turn it is to do something about them.

    There is no thread in it: `advance` is called by whoever waits for the jobs, and by the `Follower` for those who do not wait themselves.
    With a poller, it is the poller's thread that delivers the ends, after the terminal updates. Jobs are named by their position.
    """

    def __init__(
        self,
        engine: Engine,
        jobs: Sequence[Job[Any]],
        *,
        tokens: Mapping[str, str],
        created: float,
        callbacks: Sequence[BaseCallback],
        subscribers: Sequence[Subscriber],
        reports: Reports | None = None,
    ) -> None:
        """`tokens`: of each job, by its id. `reports`: which ends were told already; None: nobody keeps that."""
        self.engine = engine
        self._created = created
        self.clock = engine.clock
        self._jobs = jobs
        self._positions = {job.job_id: position for position, job in enumerate(jobs)}
        self._courses = [_Course() for _ in jobs]
        self._open = dict.fromkeys(range(len(jobs)))
        self._unclaimed: dict[int, None] = {}
        """Jobs that are over, and whose end nobody delivers yet."""
        self._finished: list[int] = []
        self._callbacks = tuple(callbacks)
        self._reports = reports
        self._changed = condition(self.clock)
        self._wakers: list[Callable[[], object]] = []
        now = self.clock.monotonic()
        self._pace = Pace(now - max(0.0, self.clock.time() - created))
        self._look_at = now
        self.reading = threading.Lock()
        """Who reads a result holds it."""
        self.poller: Poller | None = None
        if subscribers and jobs:
            from slurmkit.polling.poller import Poller

            self.poller = Poller(jobs, subscribers, engine.status, self.clock, self._end)
        engine.status.track(tokens, created=created, listener=self._observe, journal=self._end_of_journal)

    def latest(self, position: int) -> Snapshot | None:
        """The latest snapshot in which something changed."""
        with self._changed:
            course = self._courses[position]
            return course.final or course.latest

    def final(self, position: int) -> Snapshot | None:
        """The snapshot with the job's end; None while it goes on."""
        with self._changed:
            return self._courses[position].final

    @property
    def finished(self) -> Sequence[int]:
        """The jobs that are over and whose end was delivered, in this order. It grows."""
        return self._finished

    def are_done(self, positions: Sequence[int] | None = None) -> bool:
        """The jobs (None: all) are over, and their ends were delivered, or are being delivered by this very thread."""
        with self._changed:
            return all(self._is_done(self._courses[position]) for position in self._those(positions))

    def is_completed(self, positions: Sequence[int] | None) -> bool:
        """The ends of the jobs (None: of all) were delivered. For `wait`: the lock is held."""
        return not self._open if positions is None else all(self._courses[position].completed for position in positions)

    def current(self, positions: Sequence[int]) -> list[Snapshot | None]:
        """Snapshots not older than a second, or the last ones that there were; None of a job of which nothing is known.

        Raises `SchedulerError` when that is because Slurm does not answer.
        """
        job_ids = [self._jobs[position].job_id for position in positions if self.final(position) is None]
        known: Mapping[str, Snapshot] = {}
        if job_ids:
            self.engine.check_open(f"the status of {self._named(positions)} cannot be asked for")
            known = self.engine.status.snapshot(job_ids, STATUS_AGE)
        self._deliver(positions)
        snapshots = [self.final(position) or known.get(self._jobs[position].job_id) for position in positions]
        if None in snapshots and (error := self.engine.status.error) is not None:
            raise error
        return snapshots

    def ends_by_now(self, positions: Sequence[int]) -> list[str | None]:
        """The states in which the jobs have ended, None of one that goes on, going by what Slurm said within the last second, or by the last
        that it did say; of one that the controller has forgotten, while sacct says nothing, by its own word, and "UNKNOWN" without one.

        Jobs that were submitted within that second are not asked about. Delivers nothing. Raises `ClusterClosed`, `SchedulerNotFound`.
        """
        job_ids = [self._jobs[position].job_id for position in positions if self.final(position) is None]
        if job_ids and self.clock.time() - self._created >= STATUS_AGE:
            self.engine.check_open(f"the status of {self._named(positions)} cannot be asked for")
            self.engine.status.snapshot(job_ids, STATUS_AGE)
        return [self._end_by_now(position) for position in positions]

    def _end_by_now(self, position: int) -> str | None:
        final, job = self.final(position), self._jobs[position]
        if final is not None:
            return final.state
        if not self.engine.status.is_missed(job.job_id):
            return None
        end = end_of_journal(job.job_dir)
        return end.job_state if end is not None and end.job_state in TERMINAL_STATES else UNKNOWN

    def advance(self, positions: Sequence[int] | None = None) -> float | None:
        """One step on behalf of somebody who waits for these jobs (None: for all): look for signs of ends, ask Slurm when that is due,
        deliver the ends.

        None when all of them are done, else the seconds after which the next step is due. Raises `SchedulerNotFound`.
        """
        with self._changed:
            going_on = [position for position in self._those(positions) if self._courses[position].final is None]
        if going_on:
            self._look(going_on)
            self._ask(going_on)
        if self._deliver(positions):
            return None
        with self._changed:
            if all(self._courses[position].final is not None for position in self._those(positions)):
                return 1.0  # somebody else delivers, and will say so
            due = max(self._pace.due, self.engine.status.retry_at)
            return max(0.001, min(due, self._look_at) - self.clock.monotonic())

    def wait(self, seconds: float, until: Callable[[], bool], positions: Sequence[int] | None = None) -> None:
        """Let at most `seconds` go by, less when `until()` is true, or when there is something to do about these jobs."""
        end = self.clock.monotonic() + seconds
        with self._changed:
            due = self._pace.due
            while not (self.engine.closed or until() or self._is_mine_to_deliver(positions) or self._pace.due < due):
                if (left := end - self.clock.monotonic()) <= 0:
                    return
                self.clock.wait(self._changed, left)

    def hurry(self, positions: Sequence[int], *, cancelled: bool) -> None:
        """The end is near: the jobs were told to end. `cancelled`: by Slurm, not by a signal that they may take as they like."""
        self.engine.status.expire((self._jobs[position].job_id for position in positions), cancelled=cancelled)
        with self._changed:
            self._pace.signed(self.clock.monotonic())
            self._changed.notify_all()

    def when_done(self, position: int, call: Callable[[], object]) -> bool:
        """Have `call` called when the job is done; False, and it is not, when that is so already."""
        with self._changed:
            course = self._courses[position]
            if course.completed:
                return False
            course.done_callbacks = [*(course.done_callbacks or ()), call]
            return True

    def wake(self, call: Callable[[], object]) -> None:
        """Have `call` called when the cluster is closed; here and now when it is closed already."""
        with self._changed:
            if not self.engine.closed:
                self._wakers.append(call)
                return
        call()

    def start(self) -> None:
        """Start the poller, if a callback asks for one."""
        if self.poller is not None:
            self.poller.start()

    def settle(self, seconds_left: Callable[[], float]) -> None:
        """Deliver the ends of jobs that are over, or have the poller do it."""
        with self._changed:
            ended = [position for position in self._open if self._courses[position].final is not None]
            all_ended = len(ended) == len(self._open)
        if not ended:
            return
        if self.poller is not None and all_ended:
            self.poller.join(seconds_left())
        elif self.poller is not None:
            with self._changed:
                while not self.is_completed(ended) and (left := seconds_left()) > 0:
                    self.clock.wait(self._changed, left)
        self._deliver(None)

    def join(self, timeout: float) -> None:
        """Wait for the end of the poller's thread."""
        if self.poller is not None and not self.poller.is_current_thread and not self.poller.join(timeout):
            log.warning("a callback keeps the poller of job %s; it is left behind", self._jobs[0].job_id)

    def close(self) -> None:
        """The cluster is closed: nobody waits any longer."""
        if self.poller is not None:
            self.poller.close()
        with self._changed:
            wakers, self._wakers = self._wakers, []
            self._changed.notify_all()
        for call in wakers:
            call()

    def _those(self, positions: Sequence[int] | None) -> Iterable[int]:
        """These jobs; None: those whose end was not delivered. The lock is held."""
        return self._open if positions is None else positions

    def _named(self, positions: Sequence[int]) -> str:
        first = self._jobs[positions[0]].job_id
        return f"job {first}" if len(positions) == 1 else f"{len(positions)} jobs, of which the first is {first},"

    def _observe(self, news: Sequence[Snapshot]) -> None:
        """The status service has seen changes. Does not block."""
        with self._changed:
            for snapshot in news:
                position = self._positions[snapshot.job_id]
                course = self._courses[position]
                if course.latest is not None and course.latest.attempt != snapshot.attempt:
                    course.journal_size = -1  # of another file
                course.latest = snapshot
                if course.completing is not None:
                    continue
                if snapshot.is_terminal:
                    course.final = snapshot
                    self._unclaimed[position] = None
                else:
                    course.final = None
                    self._unclaimed.pop(position, None)
            self._changed.notify_all()
        if self.poller is not None:
            self.poller.offer(news)

    def _look(self, positions: Sequence[int]) -> None:
        """A runner that has written its last word is a reason to ask Slurm at once. Slurm remains the judge."""
        now = self.clock.monotonic()
        with self._changed:
            if now < self._look_at:
                return
            self._look_at = now + max(self._pace.look_after(now), LOOK * (len(positions) - 1))
        if len(self._jobs) > 1 and not self.engine.status.can_hurry:
            return  # of many there is always one that ends
        fresh = [position for position in positions if self._speaks(position)]
        if fresh:
            with self._changed:
                self._pace.signed(now, last=all(self._courses[position].spoke for position in positions))

    def _speaks(self, position: int) -> bool:
        """Its runner has written its last word, which it had not when somebody looked before."""
        job, course = self._jobs[position], self._courses[position]
        with self._changed:
            attempt = 0 if course.latest is None else course.latest.attempt
        try:
            size = os.stat(job.journal_path(attempt)).st_size  # noqa: PTH116 (of each of ten thousand, again and again)
        except OSError:
            return False
        if size == course.journal_size:
            return False
        end = end_of_journal(job.job_dir)
        with self._changed:
            course.journal_size = size
            course.spoke = end is not None and end.attempt >= (0 if course.latest is None else course.latest.attempt)
            return course.spoke

    def _ask(self, positions: Sequence[int]) -> None:
        now = self.clock.monotonic()
        status = self.engine.status
        if self.engine.closed or now < status.retry_at:
            return
        hurry = status.can_hurry
        with self._changed:
            if now < self._pace.due:
                return
            max_age = self._pace.max_age(now)
            self._pace.asked(now, hurry=hurry)
        status.snapshot([self._jobs[position].job_id for position in positions], max_age)

    def _end_of_journal(self, job_id: str) -> JournalEnd | None:
        return end_of_journal(self._jobs[self._positions[job_id]].job_dir)

    def _is_done(self, course: _Course) -> bool:
        """The lock is held."""
        return course.completed or (course.final is not None and self._is_mine(course))

    def _is_mine(self, course: _Course) -> bool:
        """This thread is inside a hook that is called about the end. The lock is held."""
        return course.completing is threading.current_thread() or (
            self.poller is not None and self.poller.is_current_thread
        )

    def _is_mine_to_deliver(self, positions: Sequence[int] | None) -> bool:
        """One of the jobs is over, and nobody delivers it yet. The lock is held."""
        if not self._unclaimed or (self.poller is not None and self.poller.is_alive):
            return False
        return positions is None or any(position in self._unclaimed for position in positions)

    def _deliver(self, positions: Sequence[int] | None) -> bool:
        """Deliver the ends unless that is somebody else's business; True when the jobs are done as far as this thread is concerned."""
        with self._changed:
            mine = self._is_mine_to_deliver(positions)
            ended = [p for p in self._unclaimed if positions is None or p in positions] if mine else []
        for position in ended:
            with self._changed:
                course = self._courses[position]
                final = course.final
                if final is None or course.completing is not None:
                    continue
                self._claim(position)
            self._complete(position, final)
        return self.are_done(positions)

    def _claim(self, position: int) -> None:
        """This thread delivers the end. The lock is held."""
        self._courses[position].completing = threading.current_thread()
        self._unclaimed.pop(position, None)

    def _end(self, job: Job[Any], final: Snapshot) -> None:
        """The poller has told its subscribers of the end, and delivers it."""
        position = self._positions[job.job_id]
        with self._changed:
            self._claim(position)
            self._courses[position].final = final
        self._complete(position, final)

    def _complete(self, position: int, final: Snapshot) -> None:
        """Read what the job left, call ``on_completed_ctx``, then the done callbacks: in the thread that has claimed it."""
        job, course = self._jobs[position], self._courses[position]
        try:
            ending = self._read_ending(job, final)
            told = self._callbacks
            if self._reports is not None:
                told = tuple(self._reports.left(job.job_id, final.attempt, told))
            if told:
                fire(told, "on_completed_ctx", _completed_context(job, final, ending), ExecutionLocus.CLIENT)
            if self._reports is not None:
                self._reports.add(job.job_id, final.attempt, told)
        finally:
            # Also when a KeyboardInterrupt comes out of a hook: the hooks had their chance, and nobody shall wait for ever.
            with self._changed:
                course.completed = True
                calls, course.done_callbacks = course.done_callbacks or (), None
                self._open.pop(position, None)
                self._finished.append(position)
                if not self._open:
                    self._wakers.clear()
                self._changed.notify_all()
            self.engine.status.forget(job.job_id)
        for call in calls:
            call()

    def _read_ending(self, job: Job[Any], final: Snapshot) -> Ending:
        """What the job wrote. A job that failed by itself has written why, or will have, on a file system that lags."""
        ending = read_ending(job.job_dir, final.attempt)
        if final.state != "FAILED" or _is_signal(final.status.get("ExitCode", "")):
            return ending
        while ending.completed is None:
            has_spoken = ending.started is None and tail(job.stderr_path)
            grace = START_GRACE if has_spoken else RESULT_GRACE
            if (
                self.clock.monotonic() - final.observed_at >= grace
            ):  # not from now on: a thousand jobs may have failed together
                break
            sleep(self.clock, LOOK_AGAIN)
            ending = read_ending(job.job_dir, final.attempt)
        return ending


def _is_signal(exit_code: str) -> bool:
    try:
        return ExitCode.parse(exit_code).signal != 0
    except ValueError:
        return False


def _completed_context(job: Job[Any], final: Snapshot, ending: Ending) -> CompletedContext:
    from slurmkit.callbacks.contexts import CompletedContext

    start, end = _times(final, ending)
    reason = final.status.get("Reason", "")
    return CompletedContext(
        job=job,
        job_id=job.job_id,
        job_dir=str(job.job_dir),
        job_state=final.state,
        exit_code=final.status.get("ExitCode") or None,
        reason=None if reason in ("", "None") else reason,
        status=final.status,
        emitted_by=ExecutionLocus.CLIENT,
        stdout_path=str(job.stdout_path),
        stderr_path=str(job.stderr_path),
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
