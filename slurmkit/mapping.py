"""What `Cluster.map` does: the items of a call, written once, become one or more submissions, and a `JobArray`."""

from __future__ import annotations

import functools
import pickle
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from slurmkit import items as itemfile
from slurmkit import jobdir, jobroot, retry, script, serialize
from slurmkit.array import JobArray
from slurmkit.backends.base import Limits, Submission
from slurmkit.backends.submission import classify, is_certain
from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
from slurmkit.callbacks.dispatch import Plan, fire, name_of, plan
from slurmkit.dependencies import Dependency, References, check_corresponding
from slurmkit.errors import JobDirectoryError, OptionError, SchedulerError, SubmissionError, UnknownJob
from slurmkit.job import Job, watch_jobs
from slurmkit.packaging.base import PackagingResult
from slurmkit.parts import Part, split
from slurmkit.prepare import (
    Options,
    check_calls,
    job_record,
    with_defaults,
    with_dependencies,
    with_own,
    working_directory,
)
from slurmkit.task import Task

if TYPE_CHECKING:
    from slurmkit.cluster import Cluster

__all__ = ["ArrayRequest", "attach_array", "submit_array"]

R = TypeVar("R")

DEFAULT_MAX_ARRAY_SIZE = 1001
"""Slurm's own (slurm.conf.5, MaxArraySize): a site is not asked for its limit before this one is passed, or an array refused."""

REFUSED = "Invalid job array specification"  # slurm_strerror(ESLURM_INVALID_ARRAY); measured: an index of MaxArraySize or more

_CLIENT = ExecutionLocus.CLIENT


@attrs.frozen(kw_only=True)
class ArrayRequest(Generic[R]):
    """What is to become of a call of `map`. `numbers`: which items of the file; `payload`: the directory to take function, items and
    callbacks from, when they are not `items`; `waits`: what it waits for then."""

    task: Task[..., R]
    items: Sequence[Any]
    numbers: Sequence[int]
    starred: bool
    max_concurrent: int | None
    inject: tuple[str, ...]
    payload: Path | None = None
    options: Options | None = None
    waits: Sequence[Dependency] = ()

    @classmethod
    def checked(
        cls, task: Task[..., R], items: Iterable[Any], *, starred: bool, max_concurrent: int | None
    ) -> ArrayRequest[R]:
        """Raises TypeError for an item with which the task cannot be called, `OptionError`."""
        if max_concurrent is not None and (type(max_concurrent) is not int or max_concurrent < 1):
            raise OptionError(
                f"max_concurrent is {max_concurrent!r}; valid: a whole number from 1, or None for no limit"
            )
        listed = [tuple(item) for item in items] if starred else list(items)
        inject = check_calls(task.func, listed if starred else [(item,) for item in listed])
        return cls(
            task=task,
            items=listed,
            numbers=range(len(listed)),
            starred=starred,
            max_concurrent=max_concurrent,
            inject=inject,
        )


def submit_array(cluster: Cluster, request: ArrayRequest[R], callbacks: Sequence[BaseCallback]) -> JobArray[R]:
    """Submit it: one sbatch, unless the site's MaxArraySize makes it more. See `Cluster.map` for what it raises."""
    planned = plan(callbacks)
    if not request.numbers:
        return _array(cluster, request, planned, None, [], 0.0, waits=())
    return _Submission(cluster, request, planned).run()


class _Submission(Generic[R]):
    """One array on its way: from the call to the job ids."""

    def __init__(self, cluster: Cluster, request: ArrayRequest[R], planned: Plan) -> None:
        self.cluster = cluster
        self.engine = cluster._engine
        self.request = request
        self.planned = planned
        self.cwd = working_directory()
        self.options = _options_of(cluster, request)
        self.packaged: PackagingResult
        self.job_dir: Path
        self.token = ""
        self.waits: Sequence[Dependency] = request.waits
        self.shipped: list[str] = []
        self.record: dict[str, Any] = {}

    def run(self) -> JobArray[R]:
        clock, callbacks = self.engine.clock, self.planned.callbacks
        pickled = self._pickled_callbacks()
        self.packaged = self.cluster._package(self.request.task, callbacks)
        if self.request.payload is None:
            pickled[jobdir.FUNCTION] = serialize.dump_function(self.request.task.func)
        created = clock.time()
        self.token = jobdir.new_pre_submission_id(created)
        max_array_size = self._max_array_size()
        with self.cluster._submitting(self.token):
            self.job_dir = Path(jobdir.create(self.cluster.job_root, self.token))
            try:
                self._write_payload(pickled)
                parts = self._split(max_array_size)
                shown: dict[str, Any] = {
                    "task": self.request.task,
                    "cluster": self.cluster,
                    "sbatch_options": MappingProxyType(dict(self._options(parts[0]))),
                    "job_dir": str(self.job_dir),
                    "pre_submission_id": self.token,
                    "packaging_strategy": self.cluster._packaging,
                }
                self._write_record(parts, created)
                if callbacks:
                    from slurmkit.callbacks.contexts import SubmitBeginContext

                    fire(
                        callbacks,
                        "on_begin_submit_job_ctx",
                        SubmitBeginContext(**shown, timestamp=clock.time()),
                        _CLIENT,
                    )
            except BaseException:
                jobdir.remove(self.job_dir)
                raise
            began = clock.monotonic()
            parts = self._submit_all(parts, created)
            duration = clock.monotonic() - began
            waits: retry.Waits = [(wait.when, lambda wait=wait: wait) for wait in self.waits]  # type: ignore[misc]
            array = _array(self.cluster, self.request, self.planned, self.job_dir, parts, created, waits=waits)
            with self.cluster._lock:
                self.cluster._jobs[self.token] = array
        if callbacks:
            from slurmkit.callbacks.contexts import SubmitEndContext

            shown |= {"job": array, "job_id": array.job_ids[0], "timestamp": clock.time(), "duration": duration}
            fire(callbacks, "on_end_submit_job_ctx", SubmitEndContext(**shown), _CLIENT)
        array._watch.start()
        return array

    def _pickled_callbacks(self) -> dict[str, bytes]:
        """Those that go to the job. A directory's own go first, and of the others only those of other classes: an attached array is likely to
        have had the same from a Cluster like this one."""
        payload, shipped = self.request.payload, self.planned.shipped
        entries = [] if payload is None else retry.shipped_before(payload)
        before = {entry["name"] for entry in entries}
        entries += pickle.loads(serialize.dump_callbacks([one for one in shipped if name_of(one) not in before]))
        self.shipped = [entry["name"] for entry in entries]
        return {jobdir.CALLBACKS: pickle.dumps(entries, protocol=serialize.PROTOCOL)} if entries else {}

    def _max_array_size(self) -> int:
        """The site's, or Slurm's own for what is within that, as long as nobody has asked. Raises `OptionError`, `SchedulerError`."""
        if self.engine.known_limits is None and self.request.numbers[-1] < DEFAULT_MAX_ARRAY_SIZE:
            return DEFAULT_MAX_ARRAY_SIZE
        return self._checked_limits().max_array_size

    def _checked_limits(self) -> Limits:
        """Raises `OptionError`, `SchedulerError`."""
        limits = self.engine.limits()
        if len(self.request.numbers) >= limits.max_job_count:
            raise OptionError(
                f"{len(self.request.numbers)} items are more than this Slurm keeps jobs at a time (MaxJobCount is "
                f"{limits.max_job_count}): submit fewer at once, or let each job do several"
            )
        return limits

    def _write_payload(self, pickled: Mapping[str, bytes]) -> None:
        for name, content in pickled.items():
            jobdir.write(self.job_dir, name, content)
        if self.request.payload is None:
            references = References()
            itemfile.write(self.job_dir, self.request.items, references)
            self.waits = self.cluster._outstanding((*self.request.task.waits, *references.waits), self.request.task)
            return
        for name in (jobdir.FUNCTION, jobdir.ITEMS):
            try:
                file = jobdir.open_trusted(self.request.payload / name)
            except FileNotFoundError as error:
                raise JobDirectoryError(
                    f"nothing can be submitted again from {str(self.request.payload)!r}: {name} is gone"
                ) from error
            with file:
                jobdir.replace(self.job_dir, name, functools.partial(shutil.copyfileobj, file))

    def _split(self, max_array_size: int) -> list[Part]:
        request = self.request
        parts = split(request.numbers, self.token, max_array_size=max_array_size, max_concurrent=request.max_concurrent)
        check_corresponding(self.waits, parts, request.task.__qualname__)
        if any(part.after is not None for part in parts):
            self._options(
                parts[-1], after="0"
            )  # of what cannot be combined Slurm would tell when the first part is submitted
        return parts

    def _options(self, part: Part, after: str | None = None) -> Options:
        waits = self.waits if after is None else [*self.waits, Dependency("any", after)]
        options = with_dependencies(self.options, waits, self.request.task.__qualname__)
        options = with_own(options, self.job_dir, part.token, pattern="%A_%a" if part.is_array else "%j")
        if part.is_array:
            options["array"] = part.spec(self.request.max_concurrent)
        return options

    def _write_record(self, parts: Sequence[Part], created: float) -> None:
        """``job.json``, with the ids that are known so far."""
        array = {
            "size": len(self.request.numbers),
            "starred": self.request.starred,
            "max_concurrent": self.request.max_concurrent,
            "parts": [part.record() for part in parts],
        }
        record = job_record(
            self.request.task,
            self.packaged,
            self._options(parts[0]),
            self.token,
            created,
            self.cluster.name,
            self.request.inject,
            self.planned.shipped,
            self.waits,
        )
        self.record = {**record, "job_id": parts[0].job_id, "callbacks": self.shipped, "array": array}
        jobdir.write_job(self.job_dir, self.record)

    def _submit_all(self, parts: list[Part], created: float) -> list[Part]:
        """The parts with their job ids. All of them, or none: what was accepted is cancelled when another part is refused."""
        ids: list[str] = []
        try:
            while len(ids) < len(parts):
                try:
                    ids.append(self._submit(parts, len(ids), ids).job_id)
                except SubmissionError as error:
                    smaller = self._split_again(error, parts) if not ids else None
                    if smaller is None:
                        raise
                    parts = smaller
                    self._write_record(parts, created)
        except BaseException as error:
            self._take_back(error, ids)
            raise
        parts = [attrs.evolve(part, job_id=job_id) for part, job_id in zip(parts, ids, strict=True)]
        self.record["array"]["parts"] = [part.record() for part in parts]
        jobroot.note(self.job_dir, {**self.record, "job_id": ids[0]})
        return parts

    def _submit(self, parts: Sequence[Part], place: int, ids: Sequence[str]) -> Submission:
        part = parts[place]
        options = self._options(part, None if part.after is None else ids[part.after])
        directory = self.job_dir
        if place:
            directory /= part.token
            directory.mkdir(0o700)
        text = script.render(options=options, job_dir=str(self.job_dir), packaging=self.packaged, index=part.index)
        jobdir.write(directory, jobdir.SCRIPT, text)
        return self.cluster._sbatch(directory / jobdir.SCRIPT, part.token, self.cwd)

    def _split_again(self, error: SubmissionError, parts: Sequence[Part]) -> list[Part] | None:
        """For a site that takes smaller arrays than was assumed, or none; None when that is not why it refused.

        Raises `OptionError` when it would refuse that many items for ever.
        """
        is_about_size = REFUSED in error.stderr
        if not is_about_size and classify(error) != "busy":
            return None
        size = self._checked_limits().max_array_size
        if not is_about_size:
            return None
        fits = size and max(number - part.first for part in parts for number in part.numbers) < size
        return None if fits else self._split(size)

    def _take_back(self, error: BaseException, ids: Sequence[str]) -> None:
        if ids:
            error.add_note(f"The jobs {', '.join(ids)}, submitted for other items of the same call, are cancelled.")
            try:
                self.engine.backend.cancel(ids)
            except SchedulerError as second:
                error.add_note(f"They cannot be cancelled: {second}")
        may_be_there = (
            ids or not isinstance(error, Exception) or (isinstance(error, SchedulerError) and not is_certain(error))
        )
        if not may_be_there:
            jobdir.remove(self.job_dir)
        else:
            error.add_note(f"The job directory is kept for jobs that may turn up: {str(self.job_dir)!r}")


def attach_array(cluster: Cluster, job_dir: Path, record: Mapping[str, Any]) -> JobArray[Any]:
    """The array of this directory, of what was submitted of it. Raises `UnknownJob`, `JobDirectoryError`, `SchedulerError`."""
    told = record["array"]
    parts = jobroot.find_parts(job_dir, record, cluster._engine.backend)
    if not any(part.job_id for part in parts):
        raise UnknownJob(f"the submission {str(job_dir)!r} was not finished: Slurm knows no job with its token")
    request: ArrayRequest[Any] = ArrayRequest(
        task=retry.stand_in(record),
        items=(),
        numbers=sorted(number for part in parts for number in part.numbers),
        starred=told["starred"],
        max_concurrent=told["max_concurrent"],
        inject=tuple(record["inject"]),
        options=retry.recorded_options(record),
    )
    waits = retry.of_record(cluster, record["after"])
    with cluster._lock:
        known = cluster._jobs.get(str(record["pre_submission_id"]))
        if isinstance(known, JobArray):
            return known
        planned = plan(cluster._callbacks)
        created = float(record["created"])
        array = _array(cluster, request, planned, job_dir, parts, created, waits=waits, attached=True)
        cluster._jobs[str(record["pre_submission_id"])] = array
    array._watch.start()
    return array


def _array(
    cluster: Cluster,
    request: ArrayRequest[R],
    planned: Plan,
    job_dir: Path | None,
    parts: Sequence[Part],
    created: float,
    *,
    waits: retry.Waits,
    attached: bool = False,
) -> JobArray[R]:
    """The array of what was submitted, and its jobs; its poller is not started yet. `waits`: what it waited for."""
    jobs: list[Job[R]] = []
    tokens: dict[str, str] = {}
    for part in parts:
        for number in part.numbers if part.job_id else ():
            job_id = sys.intern(part.element(number))
            tokens[job_id] = part.token
            assert job_dir is not None
            jobs.append(Job(cluster._engine, job_id, job_dir, index=number, position=len(jobs)))
    watch = watch_jobs(
        cluster._engine,
        jobs,
        tokens=tokens,
        created=created,
        callbacks=planned.callbacks,
        subscribers=planned.subscribers,
        attached=attached,
    )

    def again(numbers: Sequence[int]) -> JobArray[R]:
        cluster._engine.check_open("nothing can be submitted")
        changed = attrs.evolve(request, numbers=numbers, items=(), payload=job_dir)
        if numbers:
            changed = _retried(cluster, changed, parts, waits)
        return submit_array(cluster, changed, planned.callbacks)

    return JobArray(cluster._engine, jobs, watch, job_dir=job_dir, parts=parts, again=again)


def _retried(cluster: Cluster, request: ArrayRequest[R], parts: Sequence[Part], waits: retry.Waits) -> ArrayRequest[R]:
    """`request`, of items of an array that was submitted from its payload, with what is still to be waited for.

    With a `max_concurrent` what was never submitted waits for the others, as it would have done.
    """
    assert request.payload is not None
    task, numbers = request.task, request.numbers
    begun = retry.begun(request.payload)
    unmet, possible = retry.unmet(waits, numbers, begun, f"a job of {task.__qualname__}")
    left = cluster._outstanding(tuple(unmet), task)
    if request.max_concurrent and any(not part.job_id and not set(numbers).isdisjoint(part.numbers) for part in parts):
        left += [Dependency("any", part.job_id) for part in parts if part.job_id]
    options = retry.options_again(_options_of(cluster, request), begun)
    return attrs.evolve(request, numbers=possible, options=options, waits=left)


def _options_of(cluster: Cluster, request: ArrayRequest[Any]) -> Options:
    return with_defaults(request.task, cluster._options) if request.options is None else request.options
