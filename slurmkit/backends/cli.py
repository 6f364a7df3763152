"""`CliBackend`: Slurm through its commands, as a person would type them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from slurmkit.backends.base import Limits, Record, Submission
from slurmkit.backends.environment import query_environment, submit_environment
from slurmkit.backends.execute import CommandResult, Execute, subprocess_execute
from slurmkit.backends.parse import (
    ACCOUNTING_FIELDS,
    QUEUE_FORMAT,
    ParseError,
    check_complete,
    parse_accounting,
    parse_limits,
    parse_queue,
    parse_show,
    token_of,
)
from slurmkit.clock import Clock
from slurmkit.errors import SchedulerError, SchedulerNotFound, SchedulerTimeout, SubmissionError
from slurmkit.slurm.jobid import array_of

__all__ = ["CliBackend", "CommandResult", "subprocess_execute"]

T = TypeVar("T")

SUBMIT_TIMEOUT = 300.0
"""Seconds. sbatch itself retries a busy controller for two minutes (15 times, 1, 2, 3, ... s; src/sbatch/sbatch.c)."""

QUERY_TIMEOUT = 60.0

MAX_ACCOUNTING_IDS = 10_000
"""Most ids in one sacct: one argument may have 128 KiB (Linux, MAX_ARG_STRLEN). The others have to wait for the next request."""

MAX_CANCEL_IDS = 1_000

_INVALID_ID = (
    "Invalid job id specified"  # slurm_strerror(ESLURM_INVALID_JOB_ID); measured with squeue, scontrol and scancel
)
_NOTHING_TO_CANCEL = (_INVALID_ID, "Job/step already completing or completed")
_NO_ACCOUNTING = "Slurm accounting storage is disabled"  # sacct without slurmdbd (measured on 22.05.8)
_ANSWER = re.compile(r"([0-9]+)(?:;(\S+))?")


class CliBackend:
    """Slurm's commands, executed by `execute` (a subprocess, unless told otherwise) with the variables of `environ` (default: `os.environ`
    at the time of each request).
    """

    def __init__(
        self,
        execute: Execute = subprocess_execute,
        *,
        name: str = "slurm",
        environ: Mapping[str, str] | None = None,
        job_root: Path | None = None,
        clock: Clock | None = None,
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self.name = name
        self.uniform = uniform
        """Where a Cluster has its jitter from; None: from chance."""
        self.clock = clock
        """The time by which a Cluster waits for this Slurm unless it is told; None: the machine's."""
        self.job_root = job_root
        """Where job directories go unless the Cluster is told; None: the Cluster's own default."""
        self._execute = execute
        self._environ = environ

    def __repr__(self) -> str:
        return f"<CliBackend {self.name!r}>"

    def __eq__(self, other: object) -> bool:
        """Whether the other one reaches the same Slurm, in the same way."""
        if not isinstance(other, CliBackend):
            return NotImplemented
        return self._execute == other._execute and self._environ == other._environ

    def __hash__(self) -> int:
        return hash(self._execute)

    def submit(self, script: Path, *, cwd: Path) -> Submission:
        """``sbatch --parsable``. Raises `SubmissionError`, or `SchedulerTimeout` when the outcome is unknown."""
        command = ["sbatch", "--parsable", str(script)]
        environment = submit_environment(self._environment(), lambda: _text_of(script))
        result = self._run(command, environment, cwd=cwd, timeout=SUBMIT_TIMEOUT)
        if result.returncode == 0:
            for line in reversed(result.stdout.splitlines(keepends=True)):
                # A line without an end is cut off: of 123 the 12 may be left.
                if line.endswith("\n") and (match := _ANSWER.fullmatch(line.strip())):
                    return Submission(job_id=match[1], cluster=match[2])
            what = f"sbatch succeeded, but its answer has no job id: {result.stdout[:500]!r}"
        else:
            what = _words(result) or f"no message; stdout was {result.stdout[:500]!r}"
            what = f"sbatch failed with exit code {result.returncode}: {what}"
        raise SubmissionError(
            what,
            script=_text_of(script),
            command=command,
            returncode=result.returncode,
            stdout=result.stdout,
            stderr=result.stderr,
        )

    def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
        """One squeue, whose argv is the same for two jobs and for ten thousand, and for ten thousand elements of an array."""
        wanted = dict.fromkeys(job_ids)
        if not wanted:
            return {}
        whole = wanted if len(wanted) == 1 else dict.fromkeys(map(array_of, wanted))
        which = f"--jobs={next(iter(whole))}" if len(whole) == 1 else "--me"
        command = ["squeue", which, "--states=all", "--noheader", f"--Format={QUEUE_FORMAT}"]
        result = self._query(command)
        if result.returncode != 0:
            if _INVALID_ID in result.stderr:
                return {}
            raise _failure(command, result)
        return _parsed(command, result, lambda: parse_queue(result.stdout, wanted))

    def accounting(self, job_ids: Iterable[str]) -> Mapping[str, Record] | None:
        """One sacct, of the first `MAX_ACCOUNTING_IDS` jobs and arrays; None when the site has no accounting."""
        wanted = dict.fromkeys(job_ids)
        if not wanted:
            return {}
        arrays = list(dict.fromkeys(map(array_of, wanted)))[:MAX_ACCOUNTING_IDS]
        command = [
            "sacct",
            "-X",
            "--parsable2",
            "--noheader",
            f"--format={ACCOUNTING_FIELDS}",
            f"--jobs={','.join(arrays)}",
        ]
        result = self._query(command)
        if result.returncode != 0:
            if _NO_ACCOUNTING in result.stderr:
                return None
            raise _failure(command, result)
        return _parsed(command, result, lambda: parse_accounting(result.stdout, wanted))

    def show(self, job_id: str) -> Mapping[str, Record]:
        """``scontrol show job``."""
        command = ["scontrol", "--oneliner", "show", "job", job_id]
        result = self._query(command)
        if result.returncode != 0:
            if _INVALID_ID in result.stderr:
                return {}
            raise _failure(command, result)
        return _parsed(command, result, lambda: parse_show(result.stdout))

    def limits(self) -> Limits:
        """``scontrol show config``."""
        command = ["scontrol", "show", "config"]
        result = self._query(command)
        if result.returncode != 0:
            raise _failure(command, result)
        return _parsed(command, result, lambda: parse_limits(result.stdout))

    def find(self, tokens: Iterable[str]) -> Mapping[str, str]:
        """The jobs whose comments these are in squeue, or else those whose scripts' paths have them as parts in sacct."""
        wanted = set(tokens)
        if not wanted:
            return {}
        found: dict[str, str] = {}
        command = ["squeue", "--me", "--states=all", "--noheader", "--Format=ArrayJobID:0|,Comment:0"]
        result = self._query(command)
        if result.returncode != 0:
            raise _failure(command, result)
        _parsed(command, result, lambda: check_complete(result.stdout, command[0]))
        for line in result.stdout.splitlines():
            job_id, _, comment = line.partition("|")
            if comment in wanted and job_id.isdecimal():
                found.setdefault(comment, job_id)
        if len(found) == len(wanted):
            return found
        # A job that Slurm has purged: sacct stores no comment unless the site asks for it, but always the command line.
        command = ["sacct", "-X", "--parsable2", "--noheader", "--starttime=now-1days", "--format=JobID,SubmitLine"]
        result = self._query(command)
        if result.returncode != 0:
            if _NO_ACCOUNTING in result.stderr:
                return found
            raise _failure(command, result)
        _parsed(command, result, lambda: check_complete(result.stdout, command[0]))
        for line in result.stdout.splitlines():
            job_id, _, submitted = line.partition("|")
            if array_of(job_id).isdecimal() and (token := token_of(submitted)) in wanted:
                found.setdefault(token, array_of(job_id))
        return found

    def cancel(self, job_ids: Iterable[str], *, signal: str | None = None) -> None:
        """scancel. It is silent about unknown and finished jobs, except when it is to send a signal (measured); that is no error here."""
        wanted = list(dict.fromkeys(job_ids))
        for options in _signal_options(signal):
            for start in range(0, len(wanted), MAX_CANCEL_IDS):
                command = ["scancel", *options, *wanted[start : start + MAX_CANCEL_IDS]]
                result = self._query(command)
                if result.returncode != 0 and not _nothing_to_cancel(result):
                    raise _failure(command, result)

    def _query(self, command: Sequence[str]) -> CommandResult:
        return self._run(command, query_environment(self._environment()), timeout=QUERY_TIMEOUT)

    def _environment(self) -> Mapping[str, str]:
        return os.environ if self._environ is None else self._environ

    def _run(
        self, command: Sequence[str], env: Mapping[str, str], *, timeout: float, cwd: Path | None = None
    ) -> CommandResult:
        try:
            return self._execute(command, cwd=cwd, env=env, timeout=timeout)
        except TimeoutError as error:
            raise SchedulerTimeout(
                f"{' '.join(command[:1])} did not answer within {timeout:g} s", command=command
            ) from error
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            if cwd is not None and not cwd.is_dir():
                raise SchedulerError(f"the working directory {str(cwd)!r} does not exist", command=command) from error
            raise SchedulerNotFound(
                f"cannot execute {command[0]!r} ({error.strerror or error}): no Slurm on PATH={env.get('PATH', '')!r}. "
                'To run without a cluster, use Cluster("fake").',
                command=command,
            ) from error


def _text_of(script: Path) -> str:
    """Nothing of one that cannot be read, as sbatch will say."""
    try:
        return script.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _words(result: CommandResult) -> str:
    """Slurm's own words."""
    return result.stderr.strip()


def _signal_options(signal: str | None) -> list[list[str]]:
    """The options of each scancel that it takes to send `signal` to every rank once.

    A signal goes to the steps alone, and a job of one task has none but its batch script (measured on 22.05.8). What the batch script hands on
    is sent there: to all ranks where srun hands it on, too, and to a single one where srun does not.
    """
    if signal is None:
        return [[]]
    option = f"--signal={signal}"
    name = signal.upper().removeprefix("SIG")
    if name in ("USR1", "USR2"):
        return [["--batch", option]]
    if name in ("TERM", "INT", "HUP"):
        return [[option], ["--batch", option]]
    return [[option]]


def _nothing_to_cancel(result: CommandResult) -> bool:
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return bool(lines) and all(any(harmless in line for harmless in _NOTHING_TO_CANCEL) for line in lines)


def _failure(command: Sequence[str], result: CommandResult) -> SchedulerError:
    return SchedulerError(
        f"{command[0]} failed with exit code {result.returncode}: {_words(result) or 'no message'}",
        command=command,
        returncode=result.returncode,
        stdout=result.stdout,
        stderr=result.stderr,
    )


def _parsed(command: Sequence[str], result: CommandResult, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except ParseError as error:
        raise SchedulerError(
            str(error), command=command, returncode=result.returncode, stdout=result.stdout, stderr=result.stderr
        ) from error
