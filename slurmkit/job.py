"""`Job`: a submitted task, as its submitter holds it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from slurmkit import jobdir
from slurmkit.callbacks.base import BaseCallback
from slurmkit.callbacks.dispatch import Subscriber
from slurmkit.clock import sleep
from slurmkit.errors import JobDirectoryError, SlurmkitError, UnknownJob, WaitTimeout
from slurmkit.outcome import Ending, error_of, has_values, part_of_output, read_ending, read_values, state_words
from slurmkit.polling.arbitration import Snapshot
from slurmkit.polling.watch import LOOK_AGAIN, RESULT_GRACE, Watch
from slurmkit.reported import Reports

if TYPE_CHECKING:
    from concurrent.futures import Future

    from slurmkit.backends.base import SchedulerBackend
    from slurmkit.engine import Engine

__all__ = ["Job", "all_done", "wait_for", "watch_jobs"]

log = logging.getLogger("slurmkit.job")

R_co = TypeVar("R_co", covariant=True)


class Job(Generic[R_co]):
    """A job and, when it is over, its result. Made by `Cluster.submit` and `Cluster.attach`; thread-safe.

    Follows the conventions of `concurrent.futures.Future`, with these differences: `cancel` works on a running job, the exception of a job that
    was cancelled is a `JobCancelled`, and a job can be awaited.
    """

    __slots__ = (
        "__weakref__",
        "_engine",
        "_error",
        "_index",
        "_is_read",
        "_job_id",
        "_position",
        "_root",
        "_values",
        "_was_late",
        "_watch",
    )

    def __init__(self, engine: Engine, job_id: str, root: Path, *, index: int | None = None, position: int = 0) -> None:
        """`root`: its job directory, or that of the array in which it is the element number `index`; `position`: among those of its watch."""
        self._engine = engine
        self._job_id = job_id
        self._root = root
        self._index = index
        self._position = position
        self._is_read = False
        self._was_late = False
        """Whether the result has not come in all of its grace."""
        self._values: Sequence[R_co] = ()
        self._error: BaseException | None = None
        self._watch: Watch

    def __repr__(self) -> str:
        latest = self._watch.latest(self._position)
        return f"<Job {self._job_id} {'submitted' if latest is None else latest.state} {str(self.job_dir)!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be pickled: it is a handle of this process; pass its job_id, or its result. "
            "Only as an argument of a task that is submitted it can be given as it is"
        )

    @property
    def job_id(self) -> str:
        """Slurm's id: ``"123"``, or ``"123_4"`` of an element of an array."""
        return self._job_id

    @property
    def index(self) -> int | None:
        """The number of its item in the `JobArray`, from 0; None of a job that is in none."""
        return self._index

    @property
    def job_dir(self) -> Path:
        """The directory with everything about the job; of an element of an array, which shares that of the array for the rest, with what it
        has written: there is none before it runs."""
        return self._root if self._index is None else self._root / f"{self._index}"

    @property
    def stdout_path(self) -> Path:
        """The file that `stdout` reads."""
        return self._output(jobdir.STDOUT)

    @property
    def stderr_path(self) -> Path:
        """The file that `stderr` reads."""
        return self._output(jobdir.STDERR)

    @property
    def state(self) -> str:
        """Slurm's word (``"RUNNING"``), not older than a second; ``"LOST"`` for a job that nobody knows any more. Raises as `status` does."""
        return self._current().state

    def status(self) -> Mapping[str, str]:
        """A snapshot with the field names of ``scontrol show job``, not older than a second, whichever source it is from. Read-only.

        While Slurm does not answer, it is the last snapshot that there was. Raises `SchedulerError` or `UnknownJob` when there was none.
        """
        return self._current().status

    def done(self) -> bool:
        """True when the job is over and its completed event was delivered here.

        Asks Slurm only from time to time: it can be called in a loop, and on many jobs.
        """
        if not self._engine.closed:
            self._watch.advance(self._mine)
        return self._is_settled

    def running(self) -> bool:
        """True when Slurm has started the job and it is not over."""
        snapshot = self._current()
        return (
            not snapshot.is_terminal and snapshot.status.get("StartTime") != "Unknown" and snapshot.state != "PENDING"
        )

    def cancelled(self) -> bool:
        """True when the job is over and was cancelled."""
        final = self._watch.final(self._position) if self.done() else None
        return final is not None and final.state == "CANCELLED"

    def wait(self, timeout: float | None = None) -> Job[R_co]:
        """Wait until the job is `done`, however it ended. Raises `WaitTimeout` after `timeout` seconds; the job goes on then."""
        wait_for(self._watch, self._mine, timeout, f"job {self._job_id}", self._state_words)
        return self

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
        if self._watch.final(self._position) is not None:
            return False
        self._engine.check_open(f"job {self._job_id} cannot be cancelled")
        self._engine.backend.cancel([self._job_id], signal=signal)
        self._watch.hurry(self._mine, cancelled=signal is None)
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

        if not self._watch.when_done(self._position, call):
            call()
        elif self._watch.poller is None:
            self._engine.follower.follow(self._watch)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self._awaited().__await__()

    async def _awaited(self) -> R_co:
        await all_done(self._watch, [self])
        import asyncio

        # Raised here, not in the thread: asyncio cannot carry a StopIteration out of one, and would wait for ever.
        await asyncio.to_thread(self.exception)
        return self.result()

    def future(self) -> Future[R_co]:
        """A future of this job, done when the job is: for `concurrent.futures.wait` and `as_completed`, and for `asyncio.wrap_future`."""
        from slurmkit.future import JobFuture

        return JobFuture(self, self._watch)

    # For the Cluster and for JobArray.

    def _ends_by_now(self) -> list[str | None]:
        """As `Watch.ends_by_now`."""
        return self._watch.ends_by_now(self._mine)

    def _is_on(self, backend: SchedulerBackend) -> bool:
        return self._engine.backend == backend

    def journal_path(self, attempt: int) -> str:
        """The runner's journal of an attempt."""
        return f"{self._root}/{'' if self._index is None else f'{self._index}/'}{jobdir.journal_name(attempt)}"

    @property
    def _mine(self) -> tuple[int]:
        return (self._position,)

    @property
    def _is_settled(self) -> bool:
        """The job is over, and that was delivered. Asks nobody."""
        return self._watch.are_done(self._mine)

    def _current(self) -> Snapshot:
        (snapshot,) = self._watch.current(self._mine)
        if snapshot is None:
            raise UnknownJob(f"Slurm does not know job {self._job_id}")
        return snapshot

    def _state_words(self) -> str:
        latest = self._watch.latest(self._position)
        return f"its state is {'not known yet' if latest is None else state_words(latest)}"

    def _to_cancel(self) -> tuple[list[str], Sequence[int]]:
        """As `JobArray._to_cancel`."""
        return ([self._job_id], self._mine) if self._watch.final(self._position) is None else ([], ())

    def _keep_result(self) -> None:
        """Read the result of a job that is done: its directory is about to go."""
        if self._is_settled:
            self._read(grace=0.0)

    def _outcome(self, timeout: float | None) -> Sequence[R_co]:
        self.wait(timeout)
        self._read()
        if self._error is not None:
            raise self._error.with_traceback(None)  # it may have been raised before, and would show that as well
        return self._values

    def _read(self, grace: float | None = None) -> None:
        """Read the result of the job, which is done, once; again, without waiting for it any more, as long as it is not there."""
        if self._is_read:
            return
        final = self._watch.final(self._position)
        assert final is not None
        ending = read_ending(self.job_dir, final.attempt)
        error = error_of(final, ending, self._root, self.stdout_path, self.stderr_path)
        if error is None:
            patience = RESULT_GRACE if grace is None else grace
            ending = self._with_values(final, ending, 0.0 if self._was_late else patience)
            error = error_of(final, ending, self._root, self.stdout_path, self.stderr_path)
        with self._watch.reading:
            if self._is_read:
                return
            self._error = error
            if error is None:
                try:
                    self._values = read_values(self.job_dir, ending, final.attempt)
                except SlurmkitError as unreadable:
                    self._error = unreadable
                    self._was_late = not has_values(self.job_dir, ending, final.attempt)
            self._is_read = not self._was_late or self._error is None

    def _with_values(self, final: Snapshot, ending: Ending, patience: float) -> Ending:
        """What the job wrote, once every rank's result is there, or `patience` seconds after its end was known."""
        clock = self._engine.clock
        until = final.observed_at + patience
        while not has_values(self.job_dir, ending, final.attempt) and clock.monotonic() < until:
            sleep(clock, LOOK_AGAIN)
            ending = read_ending(self.job_dir, final.attempt)
        return ending

    def _output(self, name: str) -> Path:
        return self._root / jobdir.output_name(name, None if self._index is None else self._job_id)

    def _text(self, name: str, attempt: int | None) -> str:
        path = self._output(name)
        try:
            data = path.read_bytes()
            if attempt is not None:
                start, end = part_of_output(jobdir.read_journal(self.job_dir), name, attempt)
                data = data[start:end]
            return data.decode("utf-8", "replace")
        except FileNotFoundError:
            if self._root.is_dir():
                return ""  # the job has not started
            raise JobDirectoryError(f"the job directory {str(self._root)!r} is gone") from None
        except OSError as error:
            raise JobDirectoryError(f"cannot read {str(path)!r}: {error.strerror}") from error


def watch_jobs(
    engine: Engine,
    jobs: Sequence[Job[Any]],
    *,
    tokens: Mapping[str, str],
    created: float,
    callbacks: Sequence[BaseCallback],
    subscribers: Sequence[Subscriber],
    attached: bool = False,
) -> Watch:
    """Begin to watch the jobs of one submission; see `Watch`. The poller, if a callback asks for one, is to be started.

    `attached`: another client has submitted them, and may have told of their ends.
    """
    reports = Reports(jobs[0]._root, attached=attached) if jobs else None
    watch = Watch(
        engine, jobs, tokens=tokens, created=created, callbacks=callbacks, subscribers=subscribers, reports=reports
    )
    for job in jobs:
        job._watch = watch
    return watch


async def all_done(watch: Watch, jobs: Sequence[Job[Any]]) -> None:
    """Wait in an event loop until these jobs are done, or their cluster is closed."""
    import asyncio  # half of what this module would cost to import

    loop = asyncio.get_running_loop()
    over = loop.create_future()
    left = len(jobs)

    def one_less(number: int = 1) -> None:
        nonlocal left
        left -= number
        if left <= 0 and not over.done():
            over.set_result(None)

    def soon(call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any longer
            loop.call_soon_threadsafe(call)

    one_less(0)
    watch.wake(lambda: soon(lambda: one_less(len(jobs))))
    for job in jobs:
        job.add_done_callback(lambda _: soon(one_less))
    await over


def wait_for(
    watch: Watch, positions: Sequence[int] | None, timeout: float | None, what: str, state: Callable[[], str]
) -> None:
    """Wait until these jobs (None: all) are done. Raises `WaitTimeout`, which says `what` is not over and in which `state` it is."""
    clock, engine = watch.clock, watch.engine
    deadline = None if timeout is None else clock.monotonic() + timeout
    while not watch.are_done(positions):
        engine.check_open(f"{what} is not over")
        pause = watch.advance(positions)
        if pause is None:
            return
        if deadline is not None:
            left = deadline - clock.monotonic()
            if left <= 0:
                raise WaitTimeout(f"{what} is not over after {timeout:g} s; {state()}")
            pause = min(pause, left)
        watch.wait(pause, lambda: watch.is_completed(positions), positions)
