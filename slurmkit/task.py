"""`task` and `Task`: a function together with what it asks of Slurm."""

from __future__ import annotations

import functools
import sys
import types

from slurmkit.refusal import option_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import EllipsisType
    from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

    from slurmkit.array import JobArray
    from slurmkit.callbacks.base import BaseCallback
    from slurmkit.dependencies import Dependency, When
    from slurmkit.job import Job
    from slurmkit.runtime import JobContext

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
else:  # a job imports this with its task, in every rank: to import typing takes as long as all the rest

    class Generic:
        def __class_getitem__(cls, parameters):
            """A list of parameters is kept as a tuple, so that the alias has a hash, which Optional of Python 3.11 and 3.12 needs."""
            return types.GenericAlias(cls, tuple(tuple(one) if isinstance(one, list) else one for one in parameters))

    P = R = None


__all__ = ["Task", "as_task", "task"]


class Task(Generic[P, R]):
    """A function with the options and callbacks of its jobs. Immutable; made by `task`.

    Calling it is a plain local call: a JobContext parameter that the caller leaves out gets that of the job which the caller runs in,
    or that of a single process. In a class it is a method.
    """

    __module__: str
    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __init__(
        self,
        func: Callable[P, R],
        *,
        options: Mapping[str, str | Literal[True]],
        callbacks: tuple[BaseCallback, ...] = (),
        waits: tuple[Dependency, ...] = (),
        max_requeues: int | None = None,
    ) -> None:
        if hasattr(func, "__qualname__"):
            functools.update_wrapper(self, func)
        else:  # an object: it is called as its class is, and its attributes are its own
            functools.update_wrapper(self, type(func), updated=())
            self.__wrapped__ = func
        self.func = func
        """The function itself."""
        self.options: Mapping[str, str | Literal[True]] = types.MappingProxyType(dict(options))
        """sbatch's options under their long names, with underscores: text, or True for a flag. Read-only."""
        self.callbacks = callbacks
        """The callbacks of this task's jobs, in addition to those of the Cluster."""
        self.waits = waits
        """What `after` was given, in addition to an option ``dependency``."""
        self.max_requeues = max_requeues
        """How often its job may be started again, for whatever reason; None: as often as Slurm likes, and never because the task asks."""
        self._all_options()  # refuses what cannot be combined

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        from slurmkit.injection import call_with_context

        return call_with_context(self.func, args, kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Task[..., R]:
        if instance is None:
            return self
        bound = types.MethodType(self.func, instance)
        return Task(
            bound,
            options=self.options,
            callbacks=self.callbacks,
            waits=self.waits,
            max_requeues=self.max_requeues,
        )

    def __repr__(self) -> str:
        options = "".join(f" {name}={value}" for name, value in self._all_options().items())
        return f"<Task {self.__module__}.{self.__qualname__}{options}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By reference where the task is found under its own name, with its function by value otherwise."""
        found = _importable(self)
        if found is self:
            return self.__qualname__
        options = self._all_options()
        if isinstance(found, Task) and found.func is self.func:
            return _variant, (found, options, self.callbacks, self.max_requeues)
        return _rebuilt, (self.func, options, self.callbacks, self.max_requeues)

    def with_options(self, *, max_requeues: int | EllipsisType | None = ..., **options: object) -> Task[P, R]:
        """The same task with other sbatch options, or another `max_requeues`; None takes an option away. Raises `OptionError`."""
        from slurmkit.slurm.options import OPTIONS, normalize

        where = f"{self.__qualname__}.with_options"
        requeues = self.max_requeues if max_requeues is ... else _checked_requeues(max_requeues, where)
        changed = normalize(options, where=where)
        gone = {*options, *changed, *(OPTIONS[name].opposite for name in (*options, *changed))}
        kept = {name: value for name, value in self.options.items() if name not in gone}
        return Task(
            self.func,
            options={**kept, **changed},
            callbacks=self.callbacks,
            waits=self.waits,
            max_requeues=requeues,
        )

    def with_callbacks(self, *callbacks: BaseCallback) -> Task[P, R]:
        """The same task with these callbacks after its own. Raises `CallbackError`."""
        from slurmkit.callbacks.dispatch import merge

        merged = merge(self.callbacks, callbacks)
        return Task(
            self.func,
            options=self.options,
            callbacks=merged,
            waits=self.waits,
            max_requeues=self.max_requeues,
        )

    def after(self, *jobs: Job[Any] | JobArray[Any] | str | int, when: When = "ok") -> Task[P, R]:
        """The same task, whose job Slurm starts when all of `jobs` have completed (``"ok"``), have ended somehow (``"any"``), have ended
        without success (``"not_ok"``), or have started or been cancelled (``"start"``). Of an array they are all of its jobs, of which one has
        to have failed for ``"not_ok"``. ``"corr"``, of an array: each job of this one starts when that of the same item there has completed.

        Comes on top of what the task waits for already. Whether a Job is over is looked at when the task is submitted; about an id Slurm
        alone decides. Raises `OptionError`.
        """
        from slurmkit.dependencies import dependencies

        where = f"{self.__qualname__}.after"
        waits = (*self.waits, *dependencies(jobs, when, where))
        return Task(
            self.func,
            options=self.options,
            callbacks=self.callbacks,
            waits=waits,
            max_requeues=self.max_requeues,
        )

    def _all_options(self) -> dict[str, str | Literal[True]]:
        """The options as they are without a look at the jobs that this task waits for."""
        options = dict(self.options)
        if self.waits:
            from slurmkit.dependencies import combined

            dependency = combined(options.get("dependency"), self.waits, self.__qualname__)
            if dependency is not None:
                options["dependency"] = dependency
        return options


def _importable(wanted: Task[..., Any]) -> object:
    """What an import finds under the task's name; None when it is nothing, or in ``__main__``, which is another module in the job."""
    if wanted.__module__ == "__main__":
        return None
    found: object = sys.modules.get(wanted.__module__)
    for part in wanted.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def _variant(
    base: Task[P, R],
    options: dict[str, str | Literal[True]],
    callbacks: tuple[BaseCallback, ...],
    max_requeues: int | None,
) -> Task[P, R]:
    return _rebuilt(base.func, options, callbacks, max_requeues)


def _rebuilt(
    func: Callable[P, R],
    options: dict[str, str | Literal[True]],
    callbacks: tuple[BaseCallback, ...],
    max_requeues: int | None,
) -> Task[P, R]:
    return Task(func, options=options, callbacks=callbacks, max_requeues=max_requeues)


def _checked_requeues(value: object, where: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise option_error(f"{where}: max_requeues is {value!r}; valid: a whole number of 0 or more, or None")


if TYPE_CHECKING:

    class _Job0(Protocol[R_co]):
        """A function with a parameter ``job: JobContext``, which callers leave out. Static checkers cannot take a keyword out of a signature:
        what else it takes is not checked."""

        def __call__(self, *, job: JobContext) -> R_co: ...

    class _Job1(Protocol[R_co]):
        def __call__(self, a: Any, /, *, job: JobContext) -> R_co: ...

    class _Job2(Protocol[R_co]):
        def __call__(self, a: Any, b: Any, /, *, job: JobContext) -> R_co: ...

    class _Job3(Protocol[R_co]):
        def __call__(self, a: Any, b: Any, c: Any, /, *, job: JobContext) -> R_co: ...

    class _Job4(Protocol[R_co]):
        def __call__(self, a: Any, b: Any, c: Any, d: Any, /, *, job: JobContext) -> R_co: ...

    class _Decorator(Protocol):
        @overload
        def __call__(self, func: _Job0[R], /) -> Task[..., R]: ...
        @overload
        def __call__(self, func: _Job1[R], /) -> Task[..., R]: ...
        @overload
        def __call__(self, func: _Job2[R], /) -> Task[..., R]: ...
        @overload
        def __call__(self, func: _Job3[R], /) -> Task[..., R]: ...
        @overload
        def __call__(self, func: _Job4[R], /) -> Task[..., R]: ...
        @overload
        def __call__(self, func: Callable[P, R], /) -> Task[P, R]: ...


if TYPE_CHECKING:

    @overload
    def task(func: _Job0[R], /) -> Task[..., R]: ...
    @overload
    def task(func: _Job1[R], /) -> Task[..., R]: ...
    @overload
    def task(func: _Job2[R], /) -> Task[..., R]: ...
    @overload
    def task(func: _Job3[R], /) -> Task[..., R]: ...
    @overload
    def task(func: _Job4[R], /) -> Task[..., R]: ...
    @overload
    def task(func: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        *, callbacks: Iterable[BaseCallback] = (), max_requeues: int | None = None, **options: object
    ) -> _Decorator: ...


def task(
    func: Any = None,
    /,
    *,
    callbacks: Iterable[BaseCallback] = (),
    max_requeues: int | None = None,
    **options: object,
) -> Any:
    """Make a function a `Task`: ``@task``, or ``@task(time="00:10:00", nodes=2)`` with sbatch's long option names, underscores for dashes.

    `func` may be an object that is a `slurmkit.Checkpoint`, too. `callbacks` follow the jobs of this task, in addition to the Cluster's.

    `max_requeues` is how often a job may be started again, for whatever reason: the task asks for it (`slurmkit.Requeue`), preemption, a node
    that fails, ``scontrol requeue``. An attempt beyond fails at once. Unless its options say otherwise, such a job has ``requeue`` and
    ``signal="B:USR2@60"``. None: Slurm requeues as it likes, and the task cannot ask for it.

    Raises `OptionError` for an option that is unknown, ill-typed or slurmkit's own, `CallbackError` for what is no callback, and `TypeError`
    for what cannot run in a job.
    """

    def decorate(function: Callable[..., Any]) -> Task[..., Any]:
        _check_function(function)
        named = getattr(function, "__qualname__", type(function).__qualname__)
        requeues = _checked_requeues(max_requeues, f"@task {named}")
        normal: Mapping[str, str | Literal[True]] = {}
        merged: tuple[BaseCallback, ...] = ()
        if options:
            from slurmkit.slurm.options import normalize

            normal = normalize(options, where=f"@task {named}")
        if callbacks:
            from slurmkit.callbacks.dispatch import merge

            merged = merge(callbacks)
        return Task(function, options=normal, callbacks=merged, max_requeues=requeues)

    return decorate if func is None else decorate(func)


def as_task(function: Callable[P, R]) -> Task[P, R]:
    """`function` itself when it is a task, else a task without options. Raises `TypeError` for what cannot run in a job."""
    if isinstance(function, Task):
        return function
    _check_function(function)
    return Task(function, options={})


_SUSPENDS = 0x20 | 0x80 | 0x100 | 0x200
"""Flags of the code of what is no plain function: `inspect.CO_GENERATOR` and its like. A job that imports its task does not need `inspect`,
which takes 5 ms, unless the function has one of them, or attributes, by which it may be marked as a coroutine function."""


_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)


def _check_function(function: object) -> None:
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, Task):
        raise TypeError(f"{name} is a task already: use its with_options(...) to change its options")
    if isinstance(function, staticmethod | classmethod):
        raise TypeError(f"{name}: put @task below @{type(function).__name__}, next to the function")
    if isinstance(function, type):
        raise TypeError(f"{name} is a class: a task is a function; write one that makes the object and returns it")
    if not isinstance(function, _FUNCTIONS):
        if callable(function) and callable(getattr(type(function), "checkpoint", None)):
            return
        raise TypeError(f"{function!r} is no function: a task is a function, or a slurmkit.Checkpoint; wrap it in one")
    code = getattr(function, "__code__", None)
    if (code is None or not code.co_flags & _SUSPENDS) and not getattr(function, "__dict__", None):
        return
    import inspect

    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name} is asynchronous, and a job has no event loop: call asyncio.run in a plain function")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{name} is a generator, which cannot be sent back from a job: return a list")
