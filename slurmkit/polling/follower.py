"""`Follower`: the one thread that waits on behalf of those who asked to be told (done callbacks, ``await``) and do not wait themselves."""

from __future__ import annotations

import logging
import threading

from slurmkit.clock import Clock, condition, thread
from slurmkit.errors import SlurmkitError
from slurmkit.polling.watch import Watch

__all__ = ["Follower"]

log = logging.getLogger("slurmkit.job")

STEP = 0.001
"""Seconds between two steps per job that is followed: looking into ten thousand job directories is not done ten times a second."""


class Follower:
    """Advances watches until their jobs are done. The thread exists only while there are some; it is a daemon."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = condition(clock)
        self._watches: list[Watch] = []
        self._added = False  # a watch that the thread has not looked at yet
        self._thread: threading.Thread | None = None
        self._closing = False

    def follow(self, watch: Watch) -> None:
        """See to it that `watch` gets to its end. The watch may be followed already."""
        with self._changed:
            if self._closing or watch in self._watches:
                return
            self._watches.append(watch)
            self._added = True
            if (
                self._thread is None or not self._thread.is_alive()
            ):  # a forked child inherits what is no thread any more
                self._thread = thread(self._clock, self._run, name="slurmkit-follower")
                self._thread.start()
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """End the thread, or leave it to the callback that keeps it for longer than `timeout` seconds of real time."""
        with self._changed:
            self._closing = True
            self._watches.clear()
            running = self._thread
            self._changed.notify_all()
        if running is not None and running is not threading.current_thread():
            running.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._watches:
                    self._thread = None
                    return
                watches, self._added = list(self._watches), False
            pause = 60.0
            for watch in watches:
                left = self._advance(watch)
                if left is None:
                    with self._changed:
                        if watch in self._watches:
                            self._watches.remove(watch)
                else:
                    pause = min(pause, left)
            with self._changed:
                if self._watches and not self._added and not self._closing:
                    self._clock.wait(self._changed, max(pause, STEP * len(self._watches)))

    def _advance(self, watch: Watch) -> float | None:
        try:
            return watch.advance()
        except SlurmkitError as error:
            log.warning("a job cannot be followed at present: %s", error)
            return 10.0
