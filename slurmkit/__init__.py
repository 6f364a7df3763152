"""Run Python functions on Slurm. Every public name is here; each is imported when it is first used."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from slurmkit.array import JobArray, Outcomes
    from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
    from slurmkit.callbacks.contexts import (
        CompletedContext,
        JobStatusUpdatedContext,
        PackagingBeginContext,
        PackagingEndContext,
        RunBeginContext,
        RunEndContext,
        SubmitBeginContext,
        SubmitEndContext,
    )
    from slurmkit.callbacks.jsonl import JsonlCallback
    from slurmkit.callbacks.logging import LoggingCallback
    from slurmkit.callbacks.progress import ProgressCallback
    from slurmkit.clock import Clock, SystemClock
    from slurmkit.cluster import Cluster
    from slurmkit.errors import (
        CallbackError,
        ClusterClosed,
        JobCancelled,
        JobDependencyFailed,
        JobDirectoryError,
        JobFailed,
        JobLost,
        JobNodeFailed,
        JobOutOfMemory,
        JobPreempted,
        JobTimedOut,
        NotPicklable,
        OptionError,
        PackagingError,
        RemoteTraceback,
        ResultError,
        SchedulerError,
        SchedulerNotFound,
        SchedulerTimeout,
        SlurmkitError,
        SubmissionError,
        UnknownJob,
        WaitTimeout,
    )
    from slurmkit.job import Job
    from slurmkit.lifecycle import Checkpoint, Requeue
    from slurmkit.runtime import JobContext, JobEnvironmentError, current_job_context
    from slurmkit.task import Task, task

__version__ = "0.1.0"

_HOME = {
    "slurmkit.array": ("JobArray", "Outcomes"),
    "slurmkit.callbacks.base": ("BaseCallback", "ExecutionLocus"),
    "slurmkit.callbacks.contexts": (
        "CompletedContext",
        "JobStatusUpdatedContext",
        "PackagingBeginContext",
        "PackagingEndContext",
        "RunBeginContext",
        "RunEndContext",
        "SubmitBeginContext",
        "SubmitEndContext",
    ),
    "slurmkit.callbacks.jsonl": ("JsonlCallback",),
    "slurmkit.callbacks.logging": ("LoggingCallback",),
    "slurmkit.callbacks.progress": ("ProgressCallback",),
    "slurmkit.clock": ("Clock", "SystemClock"),
    "slurmkit.cluster": ("Cluster",),
    "slurmkit.errors": (
        "CallbackError",
        "ClusterClosed",
        "JobCancelled",
        "JobDependencyFailed",
        "JobDirectoryError",
        "JobFailed",
        "JobLost",
        "JobNodeFailed",
        "JobOutOfMemory",
        "JobPreempted",
        "JobTimedOut",
        "NotPicklable",
        "OptionError",
        "PackagingError",
        "RemoteTraceback",
        "ResultError",
        "SchedulerError",
        "SchedulerNotFound",
        "SchedulerTimeout",
        "SlurmkitError",
        "SubmissionError",
        "UnknownJob",
        "WaitTimeout",
    ),
    "slurmkit.job": ("Job",),
    "slurmkit.lifecycle": ("Checkpoint", "Requeue"),
    "slurmkit.runtime": ("JobContext", "JobEnvironmentError", "current_job_context"),
    "slurmkit.task": ("Task", "task"),
}

_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "BaseCallback",
    "CallbackError",
    "Checkpoint",
    "Clock",
    "Cluster",
    "ClusterClosed",
    "CompletedContext",
    "ExecutionLocus",
    "Job",
    "JobArray",
    "JobCancelled",
    "JobContext",
    "JobDependencyFailed",
    "JobDirectoryError",
    "JobEnvironmentError",
    "JobFailed",
    "JobLost",
    "JobNodeFailed",
    "JobOutOfMemory",
    "JobPreempted",
    "JobStatusUpdatedContext",
    "JobTimedOut",
    "JsonlCallback",
    "LoggingCallback",
    "NotPicklable",
    "OptionError",
    "Outcomes",
    "PackagingBeginContext",
    "PackagingEndContext",
    "PackagingError",
    "ProgressCallback",
    "RemoteTraceback",
    "Requeue",
    "ResultError",
    "RunBeginContext",
    "RunEndContext",
    "SchedulerError",
    "SchedulerNotFound",
    "SchedulerTimeout",
    "SlurmkitError",
    "SubmissionError",
    "SubmitBeginContext",
    "SubmitEndContext",
    "SystemClock",
    "Task",
    "UnknownJob",
    "WaitTimeout",
    "__version__",
    "current_job_context",
    "task",
]


if not TYPE_CHECKING:  # for a checker it would make every name valid

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        __import__(module)  # importlib takes 0.5 ms to import
        value = getattr(sys.modules[module], name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(type(sys)):  # type: ignore[misc]
    """``slurmkit.task`` is the decorator, also after the import of the submodule of that name, which Python would put in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "task" and isinstance(value, type(sys)):
            value = value.task
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
