"""What `Cluster.submit` makes of a task before it is written to the job directory."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from slurmkit import __version__, jobdir
from slurmkit.callbacks.base import BaseCallback
from slurmkit.dependencies import Dependency, combined
from slurmkit.errors import JobDirectoryError, OptionError
from slurmkit.injection import unfilled_parameters
from slurmkit.packaging.base import PackagingResult, PackagingStrategy
from slurmkit.packaging.inherit import Inherit
from slurmkit.slurm.options import OPTIONS, filename_pattern
from slurmkit.task import Task

__all__ = [
    "Options",
    "check_call",
    "check_calls",
    "job_record",
    "strategy",
    "with_defaults",
    "with_dependencies",
    "with_own",
]

Options = Mapping[str, str | Literal[True]]

WARNING = "B:USR2@60"
"""How a task is warned of its time limit unless it says otherwise. NCCL takes SIGUSR1 for itself, Python SIGINT, torchrun SIGTERM, SIGINT and
SIGHUP; nothing that is usual in a job takes SIGUSR2. ``B:``, as a job of one task has no step; the runner hands it on to all ranks."""


def strategy(packaging: object) -> PackagingStrategy:
    """The packaging strategy of that name, or the strategy itself. Raises `OptionError`."""
    if packaging == "inherit":
        return Inherit()
    if isinstance(packaging, str) or not hasattr(packaging, "package"):
        raise OptionError(f"packaging is {packaging!r}; valid: 'inherit', or an object that is a PackagingStrategy")
    return packaging  # type: ignore[return-value]


def check_call(func: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters that receive the JobContext. Raises TypeError when `func` cannot be called with these arguments and those."""
    try:
        signature = inspect.signature(func)
    except ValueError:
        return ()  # a builtin that does not tell
    inject = unfilled_parameters(func, args, kwargs, signature)
    try:
        signature.bind(*args, **kwargs, **dict.fromkeys(inject))
    except TypeError as error:
        name = getattr(func, "__qualname__", type(func).__qualname__)
        raise TypeError(f"{name}{signature} cannot be called so: {error}") from None
    return inject


def check_calls(func: Callable[..., Any], calls: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """`check_call` with each of these positional arguments. Raises TypeError, which names the item (``items[3]``)."""
    inject: tuple[str, ...] = ()
    known: set[int] = set()
    for number, args in enumerate(calls):
        if len(args) in known:
            continue  # a call by position fits or does not by how many there are
        known.add(len(args))
        try:
            found = check_call(func, args, {})
        except TypeError as error:
            raise TypeError(f"items[{number}]: {error}") from None
        if number and found != inject:
            raise TypeError(
                f"items[{number}] has another number of arguments: the JobContext is not left out of all items"
            )
        inject = found
    return inject


def with_defaults(task: Task[..., Any], defaults: Options) -> dict[str, str | Literal[True]]:
    """The task's options on top of the Cluster's. A flag and its opposite (``requeue``, ``no_requeue``) are one option.

    A task with `max_requeues` may be requeued and is warned of its end, unless its options say how. Raises `OptionError`.
    """
    kept = {
        name: value
        for name, value in defaults.items()
        if name not in task.options and OPTIONS[name].opposite not in task.options
    }
    chosen: dict[str, str | Literal[True]] = {"job_name": task.__name__, **kept, **task.options}
    if task.max_requeues:
        if "no_requeue" in chosen:
            raise OptionError(
                f"{task.__qualname__}: max_requeues is {task.max_requeues}, which contradicts 'no_requeue'"
            )
        chosen = {"signal": WARNING, "requeue": True, **chosen}
    return chosen


def with_dependencies(options: Options, waits: Iterable[Dependency], where: str) -> dict[str, str | Literal[True]]:
    """The options of a job that waits for `waits`, too. Slurm ends a job that waits in vain, unless the user has said otherwise.

    Raises `OptionError`.
    """
    dependency = combined(options.get("dependency"), waits, where)
    if dependency is None:
        return dict(options)
    kill = options.get("kill_on_invalid_dep", "yes")
    return {**options, "dependency": dependency, "kill_on_invalid_dep": kill}


def with_own(
    options: Options, job_dir: str | os.PathLike[str], token: str, pattern: str | None = None
) -> dict[str, str | Literal[True]]:
    """The options with slurmkit's own: where the output goes, and the token by which the job is found again.

    `pattern` is Slurm's for the job id, when the directory is that of an array.
    """
    directory = os.fspath(job_dir)
    return {
        **options,
        "comment": token,
        # A requeued job would write over the output of the attempt before.
        "open_mode": options.get("open_mode", "append"),
        "output": jobdir.output_name(filename_pattern(f"{directory}/{jobdir.STDOUT}"), pattern),
        "error": jobdir.output_name(filename_pattern(f"{directory}/{jobdir.STDERR}"), pattern),
    }


def job_record(
    task: Task[..., Any],
    packaged: PackagingResult,
    options: Options,
    token: str,
    created: float,
    cluster: str,
    inject: Iterable[str],
    shipped: Iterable[BaseCallback],
    waits: Iterable[Dependency],
) -> dict[str, Any]:
    """``job.json``, before there is a job id."""
    return {
        "slurmkit": __version__,
        "pre_submission_id": token,
        "job_id": None,
        "cluster": cluster,
        "created": created,
        "module": task.__module__,
        "function": task.__qualname__,
        "inject": list(inject),
        "max_requeues": task.max_requeues,
        "options": dict(options),
        "after": [wait.record() for wait in waits if wait.job_ids],
        "packaging": packaged.strategy,
        "python": packaged.python,
        "python_version": packaged.python_version,
        "sys_path": list(packaged.sys_path),
        "callbacks": [f"{type(callback).__module__}.{type(callback).__qualname__}" for callback in shipped],
    }


def working_directory() -> Path:
    """Where sbatch is called, and the job starts. Raises `JobDirectoryError`."""
    try:
        return Path.cwd()
    except OSError as error:
        raise JobDirectoryError(
            f"the working directory of this process, in which the job would start, is gone ({error.strerror}): "
            "change to another one with os.chdir"
        ) from error
