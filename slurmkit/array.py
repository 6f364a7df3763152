"""`JobArray`: the jobs of one `Cluster.map`, as their submitter holds them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast, overload

import attrs

from slurmkit import jobdir, jobroot
from slurmkit.errors import UnknownJob, WaitTimeout
from slurmkit.job import Job, all_done, wait_for
from slurmkit.parts import NOT_SUBMITTED, Part
from slurmkit.slurm.jobid import render_indices

if TYPE_CHECKING:
    from slurmkit.backends.base import SchedulerBackend
    from slurmkit.engine import Engine
    from slurmkit.polling.watch import Watch

__all__ = ["JobArray", "Outcomes"]

log = logging.getLogger("slurmkit.job")

R_co = TypeVar("R_co", covariant=True)


@attrs.frozen
class Outcomes(Generic[R_co]):
    """What came of the jobs of an array, by the numbers of their items: `results` of those that succeeded, `errors` of the others."""

    results: Mapping[int, R_co]
    errors: Mapping[int, BaseException]


class JobArray(Sequence[Job[R_co]], Generic[R_co]):
    """The jobs of one array, in the order of the items. Made by `Cluster.map`, `Cluster.starmap` and `Cluster.attach`; thread-safe.

    A sequence of `Job`, whose `Job.index` is the number of the item. It can be awaited, as each of its jobs can, for the results.

    Where the site's MaxArraySize makes it several arrays, and a client has died before it had submitted all of them, the one that is attached
    has no jobs for the rest: `results` says so, `outcomes` and `states` count it, `retry_failed` submits it.
    """

    def __init__(
        self,
        engine: Engine,
        jobs: Sequence[Job[R_co]],
        watch: Watch,
        *,
        job_dir: Path | None,
        parts: Sequence[Part],
        again: Callable[[Sequence[int]], JobArray[R_co]],
    ) -> None:
        """`again` submits those of the items with these numbers once more."""
        self._engine = engine
        self._jobs = jobs
        self._watch = watch
        self._job_dir = job_dir
        self._parts = tuple(parts)
        self._again = again

    def __repr__(self) -> str:
        states = Counter("submitted" if one is None else one.state for one in map(self._watch.latest, range(len(self))))
        known = ", ".join(f"{count} {state}" for state, count in states.most_common()) or "no items"
        return f"<JobArray {','.join(self.job_ids) or '-'} of {len(self)}: {known}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled: it is a handle of this process; pass its results")

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, index: int) -> Job[R_co]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Job[R_co]]: ...
    def __getitem__(self, index: int | slice) -> Job[R_co] | Sequence[Job[R_co]]:
        return self._jobs[index]

    def __iter__(self) -> Iterator[Job[R_co]]:
        return iter(self._jobs)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Slurm's id of the array; several where the site's MaxArraySize made it more than one, none when there are no items."""
        return tuple(part.job_id for part in self._parts if part.job_id)

    @property
    def job_dir(self) -> Path:
        """The directory with everything about the array. Raises LookupError when there are no items, and hence no jobs."""
        if self._job_dir is None:
            raise LookupError("an array of no items was not submitted: it has no directory")
        return self._job_dir

    def states(self) -> Counter[str]:
        """How many jobs are in which state, not older than a second; ``"UNKNOWN"`` of those of which Slurm has not said anything yet, and
        ``"NOT_SUBMITTED"`` of items whose client did not live to submit them.

        Raises `SchedulerError` when that is because it does not answer.
        """
        snapshots = self._watch.current(range(len(self)))
        states = Counter("UNKNOWN" if one is None else one.state for one in snapshots)
        return states + Counter({NOT_SUBMITTED: len(self._not_submitted())})

    def done(self) -> bool:
        """True when all jobs are over and their completed events were delivered here. Can be called in a loop, as `Job.done`."""
        if not self._engine.closed:
            self._watch.advance()
        return self._watch.are_done()

    def wait(self, timeout: float | None = None) -> JobArray[R_co]:
        """Wait until all jobs are `done`, however they ended. Raises `WaitTimeout` after `timeout` seconds; the jobs go on then."""
        wait_for(self._watch, None, timeout, f"array {','.join(self.job_ids)}", self._left)
        return self

    def results(self, timeout: float | None = None) -> list[R_co]:
        """What the function returned for each item, in the order of the items. Waits as `wait` does.

        When jobs failed, raises what `Job.result` of the first of them raises, with a note about the others; see `outcomes`.
        """
        self.wait(timeout)
        for job in self:
            if (error := job.exception()) is not None:
                self._annotate(error, job)
                raise error.with_traceback(None)  # it may have been raised before, and would show that as well
        for error in self._not_submitted().values():
            raise error
        return [job.result() for job in self]

    def outcomes(self, timeout: float | None = None) -> Outcomes[R_co]:
        """The results of those that succeeded, and apart from them the errors of the others. Waits as `wait` does."""
        self.wait(timeout)
        errors = {number: error for number, job in self._numbered() if (error := job.exception()) is not None}
        results = {number: job.result() for number, job in self._numbered() if number not in errors}
        return Outcomes(results, {**errors, **self._not_submitted()})

    def failed(self) -> list[Job[R_co]]:
        """The jobs that are over by now and did not succeed."""
        return [job for job in self if job.done() and job.exception() is not None]

    def as_completed(self, timeout: float | None = None) -> Iterator[Job[R_co]]:
        """The jobs, each once it is `done`. Raises `WaitTimeout` when `timeout` seconds after this call not all of them are."""
        clock = self._engine.clock
        return self._as_completed(timeout, None if timeout is None else clock.monotonic() + timeout)

    def _as_completed(self, timeout: float | None, deadline: float | None) -> Iterator[Job[R_co]]:
        watch, count = self._watch, 0

        def is_next() -> bool:
            return count < len(watch.finished)

        while count < len(self):
            if is_next():
                yield self._jobs[watch.finished[count]]
                count += 1
                continue
            self._engine.check_open(f"array {','.join(self.job_ids)} is not over")
            pause = watch.advance()
            if is_next() or pause is None:
                continue
            if deadline is not None:
                left = deadline - self._engine.clock.monotonic()
                if left <= 0:
                    raise WaitTimeout(f"array {','.join(self.job_ids)} is not over after {timeout:g} s; {self._left()}")
                pause = min(pause, left)
            watch.wait(pause, is_next)

    def cancel(self, indices: Iterable[int] | None = None, *, signal: str | None = None) -> bool:
        """End the jobs at these places of the sequence, or all of them, with one scancel; or send each rank of theirs a signal by name, such
        as ``"USR1"``. False when they are over already.

        Does not wait for the end. Raises IndexError, `SchedulerError`.
        """
        names, places = self._to_cancel(indices)
        if not names:
            return False
        self._engine.check_open(f"array {','.join(self.job_ids)} cannot be cancelled")
        self._engine.backend.cancel(names, signal=signal)
        self._watch.hurry(places, cancelled=signal is None)
        return True

    def retry_failed(self) -> JobArray[R_co]:
        """Submit those that are over by now and did not succeed once more: a new array, of the same items and function. Those, too, that were
        never submitted, unless their client was at it all the time.

        Its jobs have the same `Job.index`; this array stays as it is. Options are this array's, and so are callbacks. Of one that was attached
        those that run in the job are in its directory; on the client it is followed by those of the attaching Cluster alone.

        What this array waited for is looked at again: what still goes on is waited for; what has failed raises `JobDependencyFailed`. Once one
        of its items has begun it was met, and is not waited for again. With ``when="corr"`` that is so of each item by itself, and one whose
        corresponding item has failed is left out, with a warning, as long as others are left.

        An empty array when none has failed. Raises as `Cluster.map` does, and `JobDirectoryError` when the directory of this array, or of a
        job that an attached one waits for, is gone.
        """
        failed = [job.index for job in self.failed() if job.index is not None]
        return self._again(sorted([*failed, *self._still_not_submitted()]))

    def __await__(self) -> Generator[Any, None, list[R_co]]:
        return self._awaited().__await__()

    async def _awaited(self) -> list[R_co]:
        await all_done(self._watch, self)
        import asyncio

        return await asyncio.to_thread(self.results)

    def _numbered(self) -> Iterator[tuple[int, Job[R_co]]]:
        return ((number, job) for job in self if (number := job.index) is not None)

    def _not_submitted(self) -> dict[int, UnknownJob]:
        """The items that are none of its jobs, and what to say of them."""
        missing = [number for part in self._parts if not part.job_id for number in part.numbers]
        if not missing:
            return {}
        error = UnknownJob(
            f"of {len(self) + len(missing)} items those with the numbers {render_indices(missing)} have not been submitted: "
            "the client ended before. retry_failed() submits them"
        )
        return dict.fromkeys(missing, error)

    def _still_not_submitted(self) -> list[int]:
        """What a client that has not ended after all has submitted since then is not to be submitted twice. Raises `SchedulerError`."""
        lacking = {part.token for part in self._parts if not part.job_id}
        if not lacking:
            return []
        numbers: list[int] = []
        for part in jobroot.find_parts(self.job_dir, jobdir.read_job(self.job_dir), self._engine.backend):
            if not part.job_id:
                numbers += part.numbers
            elif part.token in lacking:
                where = f"job {part.job_id}: another Cluster that attaches {str(self.job_dir)!r} has them"
                log.warning("items %s have been submitted in the meantime, as %s", render_indices(part.numbers), where)
        return numbers

    def _left(self) -> str:
        return f"{len(self) - len(self._watch.finished)} of {len(self)} jobs are not"

    def _annotate(self, error: BaseException, job: Job[Any]) -> None:
        """Say in `error`, once, whose it is."""
        failed = sum(1 for one in self if one.exception() is not None)
        note = f"This is item {job.index}; {failed} of {len(self)} failed: see outcomes() and retry_failed()."
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)

    def as_argument(self) -> list[R_co]:
        """This array, as a static checker is to see it where the list of its results is wanted; see `Job.as_argument`."""
        return cast("list[R_co]", self)

    # For the Cluster alone.

    def _ends_by_now(self) -> list[str | None]:
        """As `Watch.ends_by_now`, of each job, and of the items that were never submitted."""
        return [*self._watch.ends_by_now(range(len(self))), *[NOT_SUBMITTED] * len(self._not_submitted())]

    def _is_on(self, backend: SchedulerBackend) -> bool:
        return self._engine.backend == backend

    def _named(self, name: str) -> Job[R_co]:
        """The element with this id, or directory. Raises `UnknownJob`."""
        for job in self:
            if name in (job.job_id, str(job.job_dir)):
                return job
        raise UnknownJob(f"the array {','.join(self.job_ids)} has no element {name}")

    def _to_cancel(self, indices: Iterable[int] | None = None) -> tuple[list[str], Sequence[int]]:
        """Those at these places, or all, that are not over: as scancel takes them, and their places. Raises IndexError."""
        places = range(len(self)) if indices is None else sorted({range(len(self))[index] for index in indices})
        wanted = [place for place in places if self._watch.final(place) is None]
        numbers = {number for place in wanted if (number := self._jobs[place].index) is not None}
        named = [(part, [number for number in part.numbers if number in numbers]) for part in self._parts]
        return [part.named(some) for part, some in named if some], wanted

    def _keep_result(self) -> None:
        """Read the results of jobs that are done: their directory is about to go."""
        for job in self:
            job._keep_result()
