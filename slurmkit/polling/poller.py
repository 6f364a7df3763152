"""The thread that tells callbacks about one submission's status, and its end."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

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


class Poller:
    """Follows `job` for its `subscribers` until it is over, then calls `completed` (in its thread) and ends.

    It asks the status service at the shortest interval, and is told by the service (`offer`) of transitions that others saw. Only its thread
    calls callbacks, one at a time and in the order of the observations. The thread is a daemon: nothing here keeps the interpreter alive.
    """

    def __init__(
        self,
        job: Job[Any],
        subscribers: Sequence[Subscriber],
        service: StatusService,
        clock: Clock,
        completed: Callable[[Snapshot], None],
    ) -> None:
        self._job = job
        self._subscribers = tuple(subscribers)
        self._interval = min(subscriber.interval for subscriber in subscribers)
        self._service = service
        self._clock = clock
        self._completed = completed
        self._cadence = Cadence([subscriber.interval for subscriber in subscribers])
        self._changed = condition(clock)
        self._offered: deque[Snapshot] = deque()
        self._closing = False
        self._seen = float("-inf")  # when the latest observation that was processed began
        self._thread = thread(clock, self._run, name=f"slurmkit-poller-{job.job_id}", background=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, snapshot: Snapshot) -> None:
        """A snapshot that somebody else saw. Does not block."""
        with self._changed:
            self._offered.append(snapshot)
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
            if not batch:
                batch = self._ask()
            news = False
            for snapshot in sorted(batch, key=lambda one: one.observed_at):
                news = self._process(snapshot) or news
                if self._cadence.ended:
                    self._completed(snapshot)
                    return
            due = self._next_due(news)

    def _first_due(self) -> float:
        """The first question can wait for the next common round: fifty submissions in a row are no reason for fifty requests."""
        last = self._service.last_round
        now = self._clock.monotonic()
        return now if last is None else max(now, last + self._interval)

    def _next_due(self, news: bool) -> float:
        now = self._clock.monotonic()
        tick = self._cadence.next_tick
        due = now + self._interval if tick is None or not news else max(tick, now)
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
            batch = list(self._offered)
            self._offered.clear()
            return batch

    def _ask(self) -> list[Snapshot]:
        try:
            known = self._service.snapshot([self._job.job_id], self._interval)
        except SchedulerError as error:
            log.warning("job %s cannot be followed at present: %s", self._job.job_id, error)
            known = {}
        with self._changed:
            batch = list(self._offered)
            self._offered.clear()
        return batch + list(known.values())

    def _process(self, snapshot: Snapshot) -> bool:
        """Tell the subscribers; False when this was known already."""
        if snapshot.observed_at <= self._seen:
            return False
        self._seen = snapshot.observed_at
        observation = Observation(snapshot.state, snapshot.is_terminal, snapshot.attempt)
        for update in self._cadence.observe(observation, self._clock.monotonic()):
            self._cadence.delivered(update.subscriber, self._clock.monotonic())
            context = JobStatusUpdatedContext(
                job=self._job,
                job_id=self._job.job_id,
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
