"""The error tree. Every error of the library is a `SlurmkitError` and a child of the nearest error of the standard library.

::

    SlurmkitError (Exception)
    ├── OptionError (ValueError)                an option of sbatch, Cluster or the environment that is unknown, unusable or reserved
    ├── CallbackError (TypeError)               a callback that cannot be used as it is declared
    ├── PackagingError (RuntimeError)           the task cannot be prepared for the job
    │   └── NotPicklable (PackagingError, TypeError)    function, argument or callback cannot be pickled
    ├── JobDirectoryError (OSError)             the job directory cannot be made, read or trusted
    ├── SchedulerError (RuntimeError)           Slurm refused or did not answer
    │   ├── SchedulerNotFound (FileNotFoundError)       no Slurm commands on PATH
    │   ├── SubmissionError                     sbatch failed: carries script, command, stderr, rc
    │   └── SchedulerTimeout (TimeoutError)     no answer in time: the request may have been accepted
    ├── UnknownJob (LookupError)                no trace of this job id
    ├── ClusterClosed (RuntimeError)            the Cluster was closed
    ├── JobEnvironmentError (ValueError)        the environment is not that of a Slurm job (in slurmkit.runtime)
    ├── WaitTimeout (TimeoutError)              wait(), result() or exception() ran out of time; the job goes on
    ├── ResultError (RuntimeError)              the job ended well, but its result is missing or cannot be unpickled
    └── JobFailed (RuntimeError)                the job ended, and not well; the children say how
        ├── JobTimedOut                         TIMEOUT, DEADLINE
        ├── JobOutOfMemory (MemoryError)        OUT_OF_MEMORY
        ├── JobPreempted                        PREEMPTED
        ├── JobNodeFailed                       NODE_FAIL, BOOT_FAIL
        ├── JobCancelled (CancelledError)       CANCELLED
        │   └── JobDependencyFailed             it never started: a job that it waited for did not end as it should
        └── JobLost                             every source has lost the job for the grace period

An exception raised by the user's function is none of these: it is re-raised as its own type, with a `RemoteTraceback` as its cause.
`JobTimedOut` is on purpose no `TimeoutError`: ``except TimeoutError`` around ``result(timeout=...)`` means "not yet".
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError

__all__ = [
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
]


class SlurmkitError(Exception):
    """Root of every error that this library raises on its own account."""


class OptionError(SlurmkitError, ValueError):
    """An option that is unknown or has an unusable value, or an sbatch option that belongs to slurmkit itself."""


class CallbackError(SlurmkitError, TypeError):
    """A callback whose declaration contradicts itself, found at submit, before sbatch is called."""


class PackagingError(SlurmkitError, RuntimeError):
    """The task cannot be prepared for execution in a job."""


class NotPicklable(PackagingError, TypeError):
    """A function, argument or callback cannot be pickled; the message names it."""


class JobDirectoryError(SlurmkitError, OSError):
    """A job directory cannot be created or read, or is not safe to read (wrong owner, writable by others)."""


class SchedulerError(SlurmkitError, RuntimeError):
    """A Slurm command failed.

    Attributes: `command` (argv, a tuple of str), `returncode` (int or None when there is none), `stdout`, `stderr` (str).
    """

    def __init__(
        self,
        message: str,
        *,
        command: Sequence[str] = (),
        returncode: int | None = None,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.command = tuple(command)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr


class SchedulerNotFound(SchedulerError, FileNotFoundError):
    """No Slurm commands on PATH; the message names ``Cluster("fake")``."""


class SchedulerTimeout(SchedulerError, TimeoutError):
    """A Slurm command did not answer in time. A submission may have been accepted all the same."""


class SubmissionError(SchedulerError):
    """sbatch refused the job. In addition to `SchedulerError`: `script`, the text that was submitted."""

    def __init__(
        self,
        message: str,
        *,
        script: str = "",
        command: Sequence[str] = (),
        returncode: int | None = None,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message, command=command, returncode=returncode, stdout=stdout, stderr=stderr)
        self.script = script


class UnknownJob(SlurmkitError, LookupError):
    """Neither Slurm nor the job root knows this job."""


class ClusterClosed(SlurmkitError, RuntimeError):
    """The operation needs an open Cluster."""


class WaitTimeout(SlurmkitError, TimeoutError):
    """The time given to a wait is over. The job itself goes on."""


class ResultError(SlurmkitError, RuntimeError):
    """The job COMPLETED, but its result is missing or cannot be unpickled; the message names the file."""


class JobFailed(SlurmkitError, RuntimeError):
    """A job ended without success, for a reason other than an exception of the user's function.

    Attributes: `job_id` (str), `state` (Slurm's word), `exit_code` (``"code:signal"`` as Slurm prints it, or None), `reason` (str or None).
    """

    def __init__(
        self,
        message: str,
        *,
        job_id: str = "",
        state: str = "",
        exit_code: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.state = state
        self.exit_code = exit_code
        self.reason = reason


class JobTimedOut(JobFailed):
    """Slurm ended the job at its time limit or deadline (TIMEOUT, DEADLINE)."""


class JobOutOfMemory(JobFailed, MemoryError):
    """The job used more memory than it was given (OUT_OF_MEMORY)."""


class JobPreempted(JobFailed):
    """A job of higher priority took the resources (PREEMPTED)."""


class JobNodeFailed(JobFailed):
    """A node of the job failed or did not boot (NODE_FAIL, BOOT_FAIL)."""


class JobCancelled(JobFailed, CancelledError):
    """The job was cancelled (CANCELLED)."""


class JobDependencyFailed(JobCancelled):
    """A job that this one waits for has not ended as it should have, so that Slurm never starts it; the message names both.

    Slurm ends such a job (CANCELLED). Raised by `Cluster.submit`, too, when it is known before: there is no job then, and no `job_id`.
    """


class JobLost(JobFailed):
    """squeue, sacct, scontrol and the job directory have all lost the job for the grace period."""


class RemoteTraceback(Exception):
    """The traceback of an exception raised inside the job, as the cause of the exception that is re-raised on the client."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'
