"""`Cluster`: where tasks are submitted."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Concatenate, Literal, NoReturn, ParamSpec, Self, TypeVar, TypeVarTuple, overload

from slurmkit import jobdir, jobroot, prepare, script, serialize
from slurmkit.array import JobArray
from slurmkit.backends import choice
from slurmkit.backends.base import SchedulerBackend, Submission
from slurmkit.backends.submission import is_certain, submit_once
from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
from slurmkit.callbacks.dispatch import fire, merge, plan
from slurmkit.clock import Clock
from slurmkit.dependencies import Argument, Dependency, References, outstanding
from slurmkit.engine import Engine
from slurmkit.errors import JobDirectoryError, OptionError, SchedulerError, UnknownJob
from slurmkit.job import Job, watch_jobs
from slurmkit.packaging.base import PackagingResult, PackagingStrategy
from slurmkit.polling.watch import Watch
from slurmkit.slurm.options import normalize
from slurmkit.task import Task, as_task

__all__ = ["Cluster"]

log = logging.getLogger("slurmkit.cluster")

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
Ts = TypeVarTuple("Ts")

JOB_ROOT_VARIABLE = "SLURMKIT_JOB_ROOT"
DEFAULT_JOB_ROOT = "~/.slurmkit/jobs"

CLOSE_TIMEOUT = 5.0
"""Seconds of real time that `Cluster.close` gives to hooks that are being called."""

_CLIENT = ExecutionLocus.CLIENT


class Cluster:
    """A Slurm, and the jobs submitted to it from here. A context manager; thread-safe.

    - `backend`: ``"slurm"`` (the commands on PATH), ``"fake"`` (an embedded Slurm of its own, gone with the Cluster), or a `SchedulerBackend`.
    - `callbacks`: follow every job of this Cluster, before the task's own.
    - `job_root`: the directory for the job directories, which every node has to see. Default: ``$SLURMKIT_JOB_ROOT`` or ``~/.slurmkit/jobs``;
      for a fake one in its own temporary directory, which ends with it.
    - `packaging`: ``"inherit"`` (the job uses this interpreter and what it can import), or a `PackagingStrategy`.
    - `options`: sbatch options for every job; a task's own win.
    - `clock`: the time by which everything here waits. Default: that of the backend (a fake has one), else the machine's.

    Raises `OptionError`, `CallbackError`, and `SchedulerNotFound` when there is no sbatch on PATH.
    """

    def __init__(
        self,
        backend: SchedulerBackend | Literal["slurm", "fake"] = "slurm",
        *,
        callbacks: Iterable[BaseCallback] = (),
        job_root: str | os.PathLike[str] | None = None,
        packaging: PackagingStrategy | Literal["inherit"] = "inherit",
        options: Mapping[str, object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._callbacks = merge(callbacks)
        plan(self._callbacks)
        self._options: prepare.Options = normalize(options or {}, where="Cluster(options=...)")
        self._packaging = prepare.strategy(packaging)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job[Any] | JobArray[Any]] = {}
        self._under_way: set[str] = set()
        self._passed_over: set[str] = set()
        self._stack = ExitStack()
        self._engine = Engine.start(choice.chosen(backend, self._stack), clock)
        of_backend = getattr(self._engine.backend, "job_root", None)
        self._temporary = job_root is None and of_backend is not None
        root = job_root or of_backend or os.environ.get(JOB_ROOT_VARIABLE) or DEFAULT_JOB_ROOT
        self._job_root = Path(root).expanduser().absolute()

    @classmethod
    def from_env(cls, **arguments: Any) -> Self:
        """The Cluster that ``$SLURMKIT_BACKEND`` names (``slurm`` or ``fake``), else the Slurm whose sbatch is on PATH.

        `arguments` are those of `Cluster`, but for the backend. Raises `SchedulerNotFound` when there is neither.
        """
        return cls(choice.name_from_env(), **arguments)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        closed = " closed" if self._engine.closed else ""
        return f"<Cluster {self.name!r} {str(self._job_root)!r}{closed}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled: it is a handle of this process")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The backend's name: ``"slurm"``, ``"fake"``, ..."""
        return self._engine.backend.name

    @property
    def job_root(self) -> Path:
        """Where the job directories are; absolute."""
        return self._job_root

    def jobs(self) -> list[Job[Any] | JobArray[Any]]:
        """The jobs and arrays of the job root, oldest first: what was submitted from here, and what other processes have submitted, alive
        or not, which is attached by this (see `attach`). Raises `SchedulerError`.

        A job directory that cannot be read is named in a warning, once, and passed over.

        Of a closed Cluster those that it has had.
        """
        if not self._engine.closed:
            paths = jobroot.directories(self._job_root)
            with self._lock:
                known = {*self._jobs, *self._under_way}
            new = [path for path in paths if path.name not in known]
            unfinished = jobroot.not_submitted(new, self._engine.backend)
            for path in new:
                if path not in unfinished:
                    self._attach_found(path)
        return self._known()

    def _attach_found(self, path: Path) -> None:
        try:
            self.attach(path)
        except UnknownJob:
            log.debug("no job was submitted from %s", path)
        except JobDirectoryError as error:
            if path.name not in self._passed_over and jobroot.is_unreadable(path, error):
                self._passed_over.add(path.name)
                log.warning("a job is passed over: %s", error)

    def _known(self) -> list[Job[Any] | JobArray[Any]]:
        with self._lock:
            return [self._jobs[token] for token in sorted(self._jobs, key=jobdir.moment)]

    @overload
    def submit(self, task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def submit(
        self, task: Callable[Concatenate[A, P], R], a: Argument[A], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...
    @overload
    def submit(
        self,
        task: Callable[Concatenate[A, B, P], R],
        a: A | Argument[A],
        b: Argument[B],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Job[R]: ...
    @overload
    def submit(
        self,
        task: Callable[Concatenate[A, B, C, P], R],
        a: A | Argument[A],
        b: B | Argument[B],
        c: Argument[C],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Job[R]: ...
    @overload
    def submit(
        self,
        task: Callable[Concatenate[A, B, C, D, P], R],
        a: A | Argument[A],
        b: B | Argument[B],
        c: C | Argument[C],
        d: Argument[D],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Job[R]: ...
    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Submit a job that calls `task` (a `Task`, or any function) with these arguments, and return at once.

        A JobContext parameter is left out. Whatever is wrong with the task, its arguments, options or callbacks, and with the job root, is
        found before sbatch is called, and leaves nothing behind: TypeError for arguments that do not fit, `OptionError`, `CallbackError`,
        `NotPicklable`, `JobDirectoryError`. `SubmissionError` when Slurm refuses the job; `SchedulerTimeout` when its answer was lost and
        the job was not found again.

        A Job anywhere in the arguments stands for its result: Slurm starts the new job once that one has completed, and the new job reads
        the result where the argument is wanted. `JobDependencyFailed` when what the new job waits for is over, and is not as it should be.
        (A static checker sees a Job for what it is among the first four positional arguments; elsewhere `Job.as_argument` tells it.)
        """
        self._engine.check_open("nothing can be submitted")
        cwd = prepare.working_directory()
        chosen: Task[..., Any] = as_task(task)
        inject = prepare.check_call(chosen.func, args, kwargs)
        planned = plan(merge(self._callbacks, chosen.callbacks))
        callbacks = planned.callbacks
        options = prepare.with_defaults(chosen, self._options)
        pickled = {}
        if planned.shipped:
            pickled[jobdir.CALLBACKS] = serialize.dump_callbacks(planned.shipped)
        packaged = self._package(chosen, callbacks)
        pickled[jobdir.FUNCTION] = serialize.dump_function(chosen.func)
        references = References()
        pickled[jobdir.ARGS], pickled[jobdir.KWARGS] = serialize.dump_arguments(args, kwargs, references)
        waits = self._outstanding((*chosen.waits, *references.waits), chosen)
        options = prepare.with_dependencies(options, waits, chosen.__qualname__)

        clock = self._engine.clock
        created = clock.time()
        token = jobdir.new_pre_submission_id(created)
        with self._submitting(token):
            directory = jobdir.create(self._job_root, token)
            job_dir = Path(directory)
            try:
                options = prepare.with_own(options, directory, token)
                record = prepare.job_record(
                    chosen, packaged, options, token, created, self.name, inject, planned.shipped, waits
                )
                text = script.render(options=options, job_dir=directory, packaging=packaged)
                for name, content in pickled.items():
                    jobdir.write(directory, name, content)
                jobdir.write(directory, jobdir.SCRIPT, text)
                jobdir.write_job(directory, record)
                shown: dict[str, Any] = {
                    "task": chosen,
                    "cluster": self,
                    "sbatch_options": MappingProxyType(dict(options)),
                    "job_dir": directory,
                    "pre_submission_id": token,
                    "packaging_strategy": self._packaging,
                }
                if callbacks:
                    from slurmkit.callbacks.contexts import SubmitBeginContext

                    fire(
                        callbacks,
                        "on_begin_submit_job_ctx",
                        SubmitBeginContext(**shown, timestamp=clock.time()),
                        _CLIENT,
                    )
            except BaseException:
                jobdir.remove(job_dir)
                raise
            began = clock.monotonic()
            submission = self._submit(job_dir, token, cwd)
            duration = clock.monotonic() - began
            jobroot.note(job_dir, {**record, "job_id": submission.job_id})
            job: Job[Any] = Job(self._engine, submission.job_id, job_dir)
            watch = watch_jobs(
                self._engine,
                [job],
                tokens={job.job_id: token},
                created=created,
                callbacks=callbacks,
                subscribers=planned.subscribers,
            )
            with self._lock:
                self._jobs[token] = job
        if callbacks:
            from slurmkit.callbacks.contexts import SubmitEndContext

            shown |= {"job": job, "job_id": submission.job_id, "timestamp": clock.time(), "duration": duration}
            fire(callbacks, "on_end_submit_job_ctx", SubmitEndContext(**shown), _CLIENT)
        watch.start()
        return job

    def map(self, task: Callable[[A], R], items: Iterable[A], /, *, max_concurrent: int | None = None) -> JobArray[R]:
        """Submit one array of jobs that call `task` with each of `items`, and return at once. At most `max_concurrent` run at the same time.

        Nothing is submitted when there are no items. Where the site's MaxArraySize is less than the number of items, it becomes several
        arrays of Slurm's, each of which waits for the one before if there is a `max_concurrent`. Raises as `submit` does; what is wrong with
        an item names it.
        """
        return self._map(task, items, starred=False, max_concurrent=max_concurrent)

    def starmap(
        self, task: Callable[[*Ts], R], items: Iterable[tuple[*Ts]], /, *, max_concurrent: int | None = None
    ) -> JobArray[R]:
        """`map` for a task of several arguments, which each of `items` is a tuple of."""
        return self._map(task, items, starred=True, max_concurrent=max_concurrent)

    def _map(
        self, task: Callable[..., R], items: Iterable[Any], *, starred: bool, max_concurrent: int | None
    ) -> JobArray[R]:
        self._engine.check_open("nothing can be submitted")
        chosen = as_task(task)
        from slurmkit.mapping import ArrayRequest, submit_array

        request = ArrayRequest.checked(chosen, items, starred=starred, max_concurrent=max_concurrent)
        return submit_array(self, request, merge(self._callbacks, chosen.callbacks))

    def _outstanding(self, waits: tuple[Dependency, ...], task: Task[..., Any]) -> list[Dependency]:
        """Those of `waits` that Slurm has to be told of. Raises `OptionError` for jobs of another Slurm, and as `outstanding` does."""
        where = f"a job of {task.__qualname__}"
        for wait in waits:
            if not isinstance(wait.job, str) and not wait.job._is_on(self._engine.backend):
                raise OptionError(
                    f"{where} cannot wait for {wait.job!r}: it was submitted to another Slurm than {self!r}"
                )
        return outstanding(waits, where)

    @contextmanager
    def _submitting(self, token: str) -> Iterator[None]:
        """What is being submitted here is nobody else's to attach."""
        with self._lock:
            self._under_way.add(token)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(token)

    def _package(self, task: Task[..., Any], callbacks: Sequence[BaseCallback]) -> PackagingResult:
        if not callbacks:
            return self._packaging.package(task)
        from slurmkit.callbacks.contexts import PackagingBeginContext, PackagingEndContext

        clock = self._engine.clock
        shown: dict[str, Any] = {"task": task, "packaging_config": self._packaging.config, "cluster": self}
        began = clock.monotonic()
        fire(callbacks, "on_begin_package_ctx", PackagingBeginContext(**shown, timestamp=clock.time()), _CLIENT)
        result = self._packaging.package(task)
        ended = PackagingEndContext(
            **shown, packaging_result=result, timestamp=clock.time(), duration=clock.monotonic() - began
        )
        fire(callbacks, "on_end_package_ctx", ended, _CLIENT)
        return result

    def _sbatch(self, script: Path, token: str, cwd: Path) -> Submission:
        engine = self._engine
        return submit_once(engine.backend, script, cwd=cwd, token=token, clock=engine.clock, uniform=engine.uniform)

    def _submit(self, job_dir: Path, token: str, cwd: Path) -> Submission:
        try:
            return self._sbatch(job_dir / jobdir.SCRIPT, token, cwd)
        except SchedulerError as error:
            if is_certain(error):
                jobdir.remove(job_dir)
            else:
                error.add_note(f"The job directory is kept for a job that may turn up: {str(job_dir)!r}")
            raise

    def attach(self, job: str | int | os.PathLike[str]) -> Any:
        """The job with this id, or with this job directory, that this or another process has submitted: of an array the `JobArray`, of an
        element's id (``"123_4"``), or directory, that one's `Job`.

        An id is looked for in the job root. The callbacks of this Cluster follow the job from here on. Raises `UnknownJob`,
        `JobDirectoryError`, `SchedulerError`.
        """
        self._engine.check_open(f"nothing can be attached to {job!r}")
        backend = self._engine.backend
        job_dir, record = jobroot.look_up(self._job_root, job, backend)
        token = str(record["pre_submission_id"])
        with self._lock:
            known = self._jobs.get(token)
        if known is None and "array" in record:
            from slurmkit.mapping import attach_array

            known = attach_array(self, job_dir, record)
        if isinstance(known, JobArray) and (element := jobroot.element(job, job_dir)) is not None:
            return known._named(element)
        if known is not None:
            return known
        job_id = jobroot.find_again(job_dir, record, backend)["job_id"]
        if job_id is None:
            raise UnknownJob(f"the submission {str(job_dir)!r} was not finished: Slurm knows no job with its token")
        planned = plan(self._callbacks)
        with self._lock:
            if token not in self._jobs:
                attached: Job[Any] = Job(self._engine, str(job_id), job_dir)
                watch = watch_jobs(
                    self._engine,
                    [attached],
                    tokens={attached.job_id: token},
                    created=float(record["created"]),
                    callbacks=planned.callbacks,
                    subscribers=planned.subscribers,
                    attached=True,
                )
                self._jobs[token] = attached
                watch.start()
            return self._jobs[token]

    def refresh(self) -> None:
        """Ask Slurm about everything that is outstanding, now: one request. Callbacks that follow the status hear of transitions."""
        self._engine.check_open("nothing can be asked for")
        self._engine.status.refresh()

    def close(self, *, cancel: bool = False) -> None:
        """Stop following the jobs, which go on, unless `cancel`: then those that were submitted or attached here are cancelled.

        Completed events of jobs that are over by now are delivered before that. An embedded fake ends, and its jobs with it.
        """
        if self._engine.closed:
            return
        jobs = self._known()
        try:
            if cancel:
                self._cancel(jobs)
            self._finish([job._watch for job in jobs if not job._watch.are_done()])
        finally:
            self._engine.closed = True
            deadline = time.monotonic() + CLOSE_TIMEOUT
            for job in jobs:
                job._watch.close()
            for job in jobs:
                job._watch.join(max(0.0, deadline - time.monotonic()))
            self._engine.follower.close(max(0.0, deadline - time.monotonic()))
            if self._temporary:
                for job in jobs:
                    job._keep_result()
            self._stack.close()

    def _cancel(self, jobs: Iterable[Job[Any] | JobArray[Any]]) -> None:
        live = [(job._watch, *job._to_cancel()) for job in jobs]
        self._engine.backend.cancel([name for _, names, _ in live for name in names])
        for watch, _, places in live:
            watch.hurry(places, cancelled=True)

    def _finish(self, outstanding: list[Watch]) -> None:
        if not outstanding:
            return
        try:
            self.refresh()
        except SchedulerError as error:
            log.warning("not known at the end which jobs are over: %s", error)
        deadline = time.monotonic() + CLOSE_TIMEOUT
        for watch in outstanding:
            watch.settle(lambda: max(0.0, deadline - time.monotonic()))
