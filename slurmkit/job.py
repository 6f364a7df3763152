"""`Job`: a submitted task, as its submitter holds it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from slurmkit import jobdir
from slurmkit.callbacks.base import BaseCallback
from slurmkit.callbacks.dispatch import Subscriber
from slurmkit.clock import sleep
from slurmkit.errors import JobDirectoryError, SlurmkitError, WaitTimeout
from slurmkit.outcome import Ending, error_of, has_values, part_of_output, read_ending, read_values, state_words
from slurmkit.polling.arbitration import Snapshot
from slurmkit.polling.watch import LOOK_AGAIN, RESULT_GRACE, Watch

if TYPE_CHECKING:
    from slurmkit.backends.base import SchedulerBackend
    from slurmkit.engine import Engine

__all__ = ["Job"]

log = logging.getLogger("slurmkit.job")

R_co = TypeVar("R_co", covariant=True)


class Job(Generic[R_co]):
    """A job and, when it is over, its result. Made by `Cluster.submit` and `Cluster.attach`; thread-safe.

    Follows the conventions of `concurrent.futures.Future`, with these differences: `cancel` works on a running job, the exception of a job that
    was cancelled is a `JobCancelled`, and a job can be awaited.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        job_id: str,
        job_dir: Path,
        token: str,
        created: float,
        callbacks: Sequence[BaseCallback] = (),
        subscribers: Sequence[Subscriber] = (),
    ) -> None:
        self._engine = engine
        self._job_id = job_id
        self._job_dir = job_dir
        self._reading = threading.Lock()
        self._is_read = False
        self._was_late = False
        """Whether the result has not come in all of its grace."""
        self._values: list[R_co] = []
        self._error: BaseException | None = None
        self._watch = Watch(engine, self, token=token, created=created, callbacks=callbacks, subscribers=subscribers)

    def __repr__(self) -> str:
        latest = self._watch.latest
        return f"<Job {self._job_id} {'submitted' if latest is None else latest.state} {str(self._job_dir)!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be pickled: it is a handle of this process; pass its job_id, or its result. "
            "Only as an argument of a task that is submitted it can be given as it is"
        )

    @property
    def job_id(self) -> str:
        """Slurm's id, in digits."""
        return self._job_id

    @property
    def job_dir(self) -> Path:
        """The directory with everything about the job."""
        return self._job_dir

    @property
    def state(self) -> str:
        """Slurm's word (``"RUNNING"``), not older than a second; ``"LOST"`` for a job that nobody knows any more. Raises as `status` does."""
        return self._watch.current().state

    def status(self) -> Mapping[str, str]:
        """A snapshot with the field names of ``scontrol show job``, not older than a second, whichever source it is from. Read-only.

        While Slurm does not answer, it is the last snapshot that there was. Raises `SchedulerError` or `UnknownJob` when there was none.
        """
        return self._watch.current().status

    def done(self) -> bool:
        """True when the job is over and its completed event was delivered here.

        Asks Slurm only from time to time: it can be called in a loop, and on many jobs.
        """
        if not self._engine.closed:
            self._watch.advance()
        return self._watch.is_done

    def running(self) -> bool:
        """True when Slurm has started the job and it is not over."""
        snapshot = self._watch.current()
        return (
            not snapshot.is_terminal and snapshot.status.get("StartTime") != "Unknown" and snapshot.state != "PENDING"
        )

    def cancelled(self) -> bool:
        """True when the job is over and was cancelled."""
        final = self._watch.final if self.done() else None
        return final is not None and final.state == "CANCELLED"

    def wait(self, timeout: float | None = None) -> Job[R_co]:
        """Wait until the job is `done`, however it ended. Raises `WaitTimeout` after `timeout` seconds; the job goes on then."""
        clock = self._engine.clock
        deadline = None if timeout is None else clock.monotonic() + timeout
        while True:
            if self._watch.is_done:
                return self
            self._engine.check_open(f"job {self._job_id} is not over")
            pause = self._watch.advance()
            if pause is None:
                return self
            if deadline is not None:
                left = deadline - clock.monotonic()
                if left <= 0:
                    latest = self._watch.latest
                    state = "not known yet" if latest is None else state_words(latest)
                    raise WaitTimeout(f"job {self._job_id} is not over after {timeout:g} s; its state is {state}")
                pause = min(pause, left)
            self._watch.wait(pause)

    def result(self, timeout: float | None = None) -> R_co:
        """What the function returned, on rank 0. Waits as `wait` does.

        Raises what the function raised, as its own type, with the remote traceback as its cause; `JobFailed` or one of its children when
        the job ended in another way; `ResultError` when the job ended well and its result cannot be had.
        """
        return self._outcome(timeout)[0]

    def results(self, timeout: float | None = None) -> list[R_co]:
        """What the function returned on each rank, in the order of ranks. When any rank failed, raises (as `result` does) for the one that
        failed first."""
        return list(self._outcome(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise, or None. Waits as `wait` does."""
        self.wait(timeout)
        self._read()
        return self._error

    def cancel(self, *, signal: str | None = None) -> bool:
        """End the job (scancel), or send each of its ranks a signal by name, such as ``"USR1"``. False when it is over already.

        Does not wait for the end. Raises `SchedulerError`.
        """
        if self._watch.final is not None:
            return False
        self._engine.check_open(f"job {self._job_id} cannot be cancelled")
        self._engine.backend.cancel([self._job_id], signal=signal)
        self._watch.hurry()
        return True

    def as_argument(self) -> R_co:
        """This job, as a static checker is to see it where its result is wanted: as an argument by keyword, or in a list.

        ``cluster.submit(total, [one.as_argument(), two.as_argument()])``. It is the job itself all the same.
        """
        return cast(R_co, self)

    def stdout(self, attempt: int | None = None) -> str:
        """What the job has written to its standard output so far: the batch step's and all ranks', of all attempts, or of that one (from 0).

        Empty for an attempt that has not started. Raises `JobDirectoryError`.
        """
        return self._text(jobdir.STDOUT, attempt)

    def stderr(self, attempt: int | None = None) -> str:
        """The same for standard error."""
        return self._text(jobdir.STDERR, attempt)

    def add_done_callback(self, fn: Callable[[Job[R_co]], object]) -> None:
        """Call ``fn(job)`` once the job is `done`, in whichever thread sees it; here and now when it is done already.

        What `fn` raises is logged. A job that nobody waits for is followed in the background from then on, by one thread per Cluster.
        """

        def call() -> None:
            try:
                fn(self)
            except KeyboardInterrupt:
                raise
            except BaseException:  # SystemExit too: it would end the thread that follows all other jobs
                log.exception("a done callback of job %s failed", self._job_id)

        if not self._watch.when_done(call):
            call()
        elif self._watch.poller is None:
            self._engine.follower.follow(self._watch)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self._awaited().__await__()

    async def _awaited(self) -> R_co:
        import asyncio  # half of what this module would cost to import

        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def resolve() -> None:
            if not over.done():
                over.set_result(None)

        def wake(_: object = None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                loop.call_soon_threadsafe(resolve)

        self._watch.wake(wake)
        self.add_done_callback(wake)
        await over
        # Raised here, not in the thread: asyncio cannot carry a StopIteration out of one, and would wait for ever.
        await asyncio.to_thread(self.exception)
        return self.result()

    # For the Cluster alone.

    def _final_by_now(self) -> Snapshot | None:
        """The job's end, None while it goes on, going by what Slurm said within the last second. Raises `ClusterClosed`."""
        return self._watch.final_by_now()

    def _is_on(self, backend: SchedulerBackend) -> bool:
        return self._engine.backend == backend

    def _follow(self) -> None:
        """Start the poller, if a callback asks for one."""
        if self._watch.poller is not None:
            self._watch.poller.start()

    @property
    def _is_settled(self) -> bool:
        """The job is over, and that was delivered. Asks nobody."""
        return self._watch.is_done

    def _settle(self, seconds_left: Callable[[], float]) -> None:
        """Deliver the end of a job that is over, or have its poller do it."""
        if self._watch.final is None:
            return
        if self._watch.poller is not None:
            self._watch.poller.join(seconds_left())
        self._watch.advance()

    def _release(self) -> None:
        """Nobody waits for the job any longer."""
        self._watch.close()

    def _join(self, timeout: float) -> None:
        """Wait for the end of the poller's thread."""
        poller = self._watch.poller
        if poller is not None and not poller.is_current_thread and not poller.join(timeout):
            log.warning("a callback keeps the poller of job %s; it is left behind", self._job_id)

    def _keep_result(self) -> None:
        """Read the result of a job that is done: its directory is about to go."""
        if self._watch.is_done:
            self._read(grace=0.0)

    def _outcome(self, timeout: float | None) -> list[R_co]:
        self.wait(timeout)
        self._read()
        if self._error is not None:
            raise self._error
        return self._values

    def _read(self, grace: float | None = None) -> None:
        """Read the result of the job, which is done, once; again, without waiting for it any more, as long as it is not there."""
        if self._is_read:
            return
        final, ending = self._watch.final, self._watch.ending
        assert final is not None
        error = error_of(final, ending, self._job_dir)
        if error is None:
            patience = RESULT_GRACE if grace is None else grace
            ending = self._with_values(final, ending, 0.0 if self._was_late else patience)
            error = error_of(final, ending, self._job_dir)
        with self._reading:
            if self._is_read:
                return
            self._error = error
            if error is None:
                try:
                    self._values = read_values(self._job_dir, ending, final.attempt)
                except SlurmkitError as unreadable:
                    self._error = unreadable
                    self._was_late = not has_values(self._job_dir, ending, final.attempt)
            self._is_read = not self._was_late or self._error is None

    def _with_values(self, final: Snapshot, ending: Ending, patience: float) -> Ending:
        """What the job wrote, once every rank's result is there, or after `patience` seconds."""
        clock = self._engine.clock
        began = clock.monotonic()
        while not has_values(self._job_dir, ending, final.attempt) and clock.monotonic() - began < patience:
            sleep(clock, LOOK_AGAIN)
            ending = read_ending(self._job_dir, final.attempt)
        return ending

    def _text(self, name: str, attempt: int | None) -> str:
        path = self._job_dir / name
        try:
            data = path.read_bytes()
            if attempt is not None:
                start, end = part_of_output(jobdir.read_journal(self._job_dir), name, attempt)
                data = data[start:end]
            return data.decode("utf-8", "replace")
        except FileNotFoundError:
            if self._job_dir.is_dir():
                return ""  # the job has not started
            raise JobDirectoryError(f"the job directory {str(self._job_dir)!r} is gone") from None
        except OSError as error:
            raise JobDirectoryError(f"cannot read {str(path)!r}: {error.strerror}") from error
