"""The thread that tells callbacks about the status of one submission's jobs, and their ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from slurmkit.callbacks.base import ExecutionLocus
from slurmkit.callbacks.contexts import JobStatusUpdatedContext
from slurmkit.callbacks.dispatch import Subscriber, fire
from slurmkit.clock import Clock, condition, thread
from slurmkit.errors import SchedulerError
from slurmkit.polling.arbitration import Snapshot
from slurmkit.polling.cadence import Cadence, Observation
from slurmkit.polling.status import StatusService

if TYPE_CHECKING:
    from slurmkit.job import Job

__all__ = ["Poller"]

log = logging.getLogger("slurmkit.polling")


@attrs.define(eq=False)
class _Stream:
    """What the subscribers have heard of one job."""

    job: Job[Any]
    cadence: Cadence
    seen: float = float("-inf")
    """When the latest observation that was processed began."""


class Poller:
    """Follows `jobs` (one, or all of an array) for their `subscribers`, calls `completed` (in its thread) for each that is over, and ends.

    It asks the status service at the shortest interval, and is told by the service (`offer`) of transitions that others saw. Only its thread
    calls callbacks, one at a time and in the order of the observations. The thread is a daemon: nothing here keeps the interpreter alive.
    """

    def __init__(
        self,
        jobs: Sequence[Job[Any]],
        subscribers: Sequence[Subscriber],
        service: StatusService,
        clock: Clock,
        completed: Callable[[Job[Any], Snapshot], None],
    ) -> None:
        self._name = jobs[0].job_id
        self._subscribers = tuple(subscribers)
        self._interval = min(subscriber.interval for subscriber in subscribers)
        self._service = service
        self._clock = clock
        self._completed = completed
        intervals = tuple(subscriber.interval for subscriber in subscribers)
        self._streams = {job.job_id: _Stream(job, Cadence(intervals)) for job in jobs}
        self._changed = condition(clock)
        self._offered: list[Snapshot] = []
        self._closing = False
        self._thread = thread(clock, self._run, name=f"slurmkit-poller-{self._name}", background=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, snapshots: Sequence[Snapshot]) -> None:
        """Snapshots that somebody else saw. Does not block."""
        with self._changed:
            self._offered += snapshots
            self._changed.notify_all()

    def close(self) -> None:
        """Ask the thread to end. Does not block; see `join`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait until the thread is gone; False when a callback keeps it for longer than `timeout` seconds of real time."""
        if self.is_current_thread:
            return False
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_current_thread(self) -> bool:
        """True in a callback that this poller has called."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        due = self._first_due()
        while True:
            batch = self._wait(due)
            if batch is None:
                return
            asked = not batch
            if asked:
                batch = self._ask()
            told_at: float | None = None
            for snapshot in sorted(batch, key=lambda one: one.observed_at):
                stream = self._streams.get(snapshot.job_id)
                if stream is None or not self._process(stream, snapshot):
                    continue
                told_at = stream.cadence.next_tick
                if stream.cadence.ended:
                    del self._streams[snapshot.job_id]
                    self._completed(stream.job, snapshot)
                    if not self._streams:
                        return
                if self._closing:
                    return
            following = self._next_due(told_at)
            # What one element of an array offers is no reason to ask later about the others.
            due = following if asked or len(self._streams) == 1 else min(due, following)

    def _first_due(self) -> float:
        """The first question can wait for the next common round: fifty submissions in a row are no reason for fifty requests."""
        last = self._service.last_round
        now = self._clock.monotonic()
        return now if last is None else max(now, last + self._interval)

    def _next_due(self, tick: float | None) -> float:
        """`tick`: when those that were told last may be due again, if there was news."""
        now = self._clock.monotonic()
        due = now + self._interval if tick is None else max(tick, now)
        return max(due, self._service.retry_at)

    def _wait(self, due: float) -> list[Snapshot] | None:
        """What was offered before `due`; an empty list when it is time to ask; None when the poller is to end."""
        with self._changed:
            while not self._closing and not self._offered:
                left = due - self._clock.monotonic()
                if left <= 0:
                    break
                self._clock.wait(self._changed, left)
            if self._closing:
                return None
            return self._take()

    def _take(self) -> list[Snapshot]:
        batch, self._offered = self._offered, []
        return batch

    def _ask(self) -> list[Snapshot]:
        try:
            known = self._service.snapshot(self._streams, self._interval)
        except SchedulerError as error:
            log.warning("job %s cannot be followed at present: %s", self._name, error)
            known = {}
        with self._changed:
            return self._take() + list(known.values())

    def _process(self, stream: _Stream, snapshot: Snapshot) -> bool:
        """Tell the subscribers; False when this was known already."""
        if snapshot.observed_at <= stream.seen:
            return False
        stream.seen = snapshot.observed_at
        observation = Observation(snapshot.state, snapshot.is_terminal, snapshot.attempt)
        for update in stream.cadence.observe(observation, self._clock.monotonic()):
            stream.cadence.delivered(update.subscriber, self._clock.monotonic())
            context = JobStatusUpdatedContext(
                job=stream.job,
                job_id=snapshot.job_id,
                status=snapshot.status,
                previous_state=update.previous_state,
                is_terminal=update.is_terminal,
                attempt=snapshot.attempt,
                restart_count=snapshot.attempt,
                timestamp=self._clock.time(),
            )
            callback = self._subscribers[update.subscriber].callback
            fire([callback], "on_job_status_update_ctx", context, ExecutionLocus.CLIENT)
        return True
