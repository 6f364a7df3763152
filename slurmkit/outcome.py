"""What came of a job that is over: its values, or the error that stands for how it ended."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from slurmkit import jobdir
from slurmkit.dependencies import is_satisfied
from slurmkit.errors import (
    JobCancelled,
    JobDependencyFailed,
    JobFailed,
    JobLost,
    JobNodeFailed,
    JobOutOfMemory,
    JobPreempted,
    JobTimedOut,
    RemoteTraceback,
    ResultError,
    SlurmkitError,
)
from slurmkit.polling.arbitration import LOST, JournalEnd, Snapshot

__all__ = [
    "Ending",
    "cause_of",
    "end_of_journal",
    "error_of",
    "has_values",
    "id_in_journal",
    "part_of_output",
    "read_ending",
    "read_values",
    "state_words",
    "tail",
]

_BY_STATE: Mapping[str, type[JobFailed]] = {
    "TIMEOUT": JobTimedOut,
    "DEADLINE": JobTimedOut,
    "OUT_OF_MEMORY": JobOutOfMemory,
    "PREEMPTED": JobPreempted,
    "NODE_FAIL": JobNodeFailed,
    "BOOT_FAIL": JobNodeFailed,
    "CANCELLED": JobCancelled,
    LOST: JobLost,
}
"""States in which Slurm ended the job: what the task raised while it was ended is not the reason."""

NEVER_SATISFIED = "DependencyNeverSatisfied"
"""Slurm's reason, in squeue and scontrol, for ending a job that waits in vain."""

_MANY = 3
"""How many of the jobs that another one has waited for are named."""

_TAIL_LINES = 20
_TAIL_BYTES = 4096


@attrs.frozen
class Ending:
    """What the job itself wrote about an attempt. `failure` is the header of the first failing rank's result."""

    started: Mapping[str, Any] | None = None
    completed: Mapping[str, Any] | None = None
    failed_rank: int | None = None
    failure: Mapping[str, Any] | None = None

    @property
    def error_type(self) -> str | None:
        return self._told("error_type")

    @property
    def error_message(self) -> str | None:
        return self._told("error_message")

    @property
    def traceback(self) -> str | None:
        return None if self.failure is None else self.failure["traceback"]

    def _told(self, name: str) -> str | None:
        for source in (self.failure, self.completed):
            if source is not None and source.get(name) is not None:
                return str(source[name])
        return None


def end_of_journal(job_dir: Path) -> JournalEnd | None:
    """The ``completed`` event of the latest attempt that has started; None when there is none yet or the journal cannot be read."""
    for event in reversed(_journal(job_dir)):
        if event.get("event") == "started":
            return None
        if event.get("event") == "completed":
            return JournalEnd(
                attempt=int(event.get("attempt", 0)),
                job_state=str(event["job_state"]),
                exit_code=str(event["exit_code"]),
                time=event.get("time"),
            )
    return None


def id_in_journal(job_dir: Path) -> str | None:
    """The job's id, as the runner has written it down when it started."""
    ids = (event.get("job_id") for event in reversed(_journal(job_dir)) if event.get("event") == "started")
    return next((str(one) for one in ids if one), None)


def read_ending(job_dir: Path, attempt: int) -> Ending:
    """What the job has written about `attempt`, or about a later one, so far."""
    events = [event for event in _journal(job_dir) if event.get("attempt", 0) >= attempt]
    started = next((event for event in reversed(events) if event.get("event") == "started"), None)
    completed = next((event for event in reversed(events) if event.get("event") == "completed"), None)
    rank, header = _first_failure(job_dir, attempt, completed)
    return Ending(started=started, completed=completed, failed_rank=rank, failure=header)


def part_of_output(events: Sequence[Mapping[str, Any]], name: str, attempt: int) -> tuple[int, int | None]:
    """Where in the file `name` an attempt's output begins and ends, in bytes, by the journal's `events`; the end is None for the latest one.

    Slurm appends what an attempt writes to what those before have written.
    """
    starts = {
        int(event["attempt"]): int(event.get("written", {}).get(name, 0))
        for event in events
        if event.get("event") == "started"
    }
    if attempt not in starts:
        return 0, 0
    return starts[attempt], min((start for other, start in starts.items() if other > attempt), default=None)


def _journal(job_dir: Path) -> list[dict[str, Any]]:
    try:
        return jobdir.read_journal(job_dir)
    except SlurmkitError:
        return []  # it is no authority: what it would say is then not known


def _first_failure(
    job_dir: Path, attempt: int, completed: Mapping[str, Any] | None
) -> tuple[int | None, Mapping[str, Any] | None]:
    if completed is not None:
        rank = completed.get("failed_rank")
        if rank is None:
            return None, None
        header = _header(job_dir, rank, attempt)
        return rank, header if header is not None and header["status"] != "ok" else None
    try:
        ranks = jobdir.result_ranks(job_dir)
    except OSError:
        return None, None
    headers = {rank: header for rank in ranks if (header := _header(job_dir, rank, attempt)) is not None}
    rank = jobdir.first_failure(headers)
    return rank, None if rank is None else headers[rank]


def _header(job_dir: Path, rank: int, attempt: int) -> Mapping[str, Any] | None:
    try:
        header = jobdir.read_result(job_dir, rank)
    except SlurmkitError:
        return None  # damaged or not to be trusted: read_values says so where it matters
    return header if header is not None and header.get("attempt", attempt) >= attempt else None


def cause_of(snapshot: Snapshot, ending: Ending) -> str | None:
    """Why Slurm ended a job that is over: by its state, or what the job itself has heard. None: nobody ended it, or nobody has said so."""
    if snapshot.state in _BY_STATE:
        return None if snapshot.state == LOST else snapshot.state
    return None if ending.completed is None else ending.completed.get("cause")


def error_of(snapshot: Snapshot, ending: Ending, job_dir: Path, stdout: Path, stderr: Path) -> BaseException | None:
    """The error for a job that is over, with the end of its `stderr`; None when it ended well. `job_dir` is where its ``job.json`` is."""
    by_slurm = _BY_STATE.get(snapshot.state)
    raised = _raised(snapshot, ending, stderr)
    if snapshot.state == "CANCELLED" and ending.started is None and (words := _waited_in_vain(snapshot, job_dir)):
        return JobDependencyFailed(_message(snapshot, words, stderr), **_attributes(snapshot))
    if by_slurm is not None:
        error = by_slurm(_message(snapshot, _reason_words(snapshot), stderr), **_attributes(snapshot))
        if raised is not None and ending.error_type != "Terminated":
            error.__cause__ = raised
        return error
    if raised is not None:
        return raised
    if snapshot.state == "COMPLETED" and ending.failed_rank is None:
        return None
    words = _reason_words(snapshot)
    if ending.failed_rank is not None:
        words = f"rank {ending.failed_rank} ended without leaving a result"
        if ending.error_message is not None:
            words += f": {ending.error_message}"
    elif ending.started is None:
        words += ", and the runner has left no trace" if words else "the runner has left no trace"
        if not stdout.exists():
            words += (
                f". Slurm has made no output file in {str(job_dir)!r}, as seen from here: the job root has to be a directory "
                "that the nodes see under the same path (`slurmkit doctor` tells)"
            )
    return JobFailed(_message(snapshot, words, stderr), **_attributes(snapshot))


def _waited_in_vain(snapshot: Snapshot, job_dir: Path) -> str:
    """What the job waited for that has not ended as it should have, by what those jobs have written themselves; empty when that is not so.

    sacct does not have the reason for the end of such a job (measured on 22.05.8 and 24.11.5), and nobody says which job it was.
    """
    try:
        record = jobdir.read_job(job_dir)
    except SlurmkitError:
        return ""
    failed, unknown = [], []
    for wait in record.get("after", ()):
        for name, place in _waited_for(wait, snapshot.job_id):
            ending = read_ending(place, 0)
            if ending.completed is None:
                started = "left no trace of its end" if ending.started is not None else "never started"
                unknown.append(f"{name}, which {started}")
            elif not is_satisfied(wait["when"], state := str(ending.completed["job_state"])):
                words = "" if ending.error_type is None else f": {ending.error_type}: {ending.error_message}"
                failed.append(f"{name}, which ended {state}{words}")
            if len(failed) == _MANY:
                return f"it never started, because it waited for {'; '.join(failed)}; ..."
    if failed:
        return f"it never started, because it waited for {'; '.join(failed)}"
    if snapshot.status.get("Reason") != NEVER_SATISFIED:
        return ""
    if unknown:
        more = "; ..." if len(unknown) > _MANY else ""
        return f"it never started, because it waited for {'; or '.join(unknown[:_MANY])}{more}"
    return (
        f"it never started, because its dependency {record['options'].get('dependency')!r} cannot be satisfied any more"
    )


def _waited_for(wait: Mapping[str, Any], job_id: str) -> list[tuple[str, Path]]:
    """The jobs that one entry of ``after`` in the ``job.json`` of job `job_id` is about: what to call each, and where it has its journal."""
    if wait["job_dir"] is None:
        return []
    whole = Path(wait["job_dir"])
    if not (whole / jobdir.ITEMS).exists():
        return [(f"job {wait['job_id']} ({str(whole)!r})", whole)]
    numbers = sorted((path.name for path in whole.iterdir() if path.name.isdecimal()), key=int)
    if wait["when"] == "corr" and "_" in job_id:
        numbers = [job_id.rpartition("_")[2]]
    elements = [(f"item {number} of array {wait['job_id']} ({str(whole)!r})", whole / number) for number in numbers]
    return elements or [(f"array {wait['job_id']} ({str(whole)!r})", whole)]


def _raised(snapshot: Snapshot, ending: Ending, stderr: Path) -> BaseException | None:
    """The exception of the first failing rank, as its own type where it can be had."""
    header = ending.failure
    if header is None:
        return None
    cause = RemoteTraceback(header["traceback"]) if header["traceback"] else None
    error: BaseException | None = None
    if header["status"] == "exit":
        code = header["exit_code"]
        words = f"rank {ending.failed_rank} called sys.exit({code})"
        if header["error_message"] and header["error_message"] != str(code):
            words += f": {header['error_message']}"
        error = JobFailed(_message(snapshot, words, stderr), **_attributes(snapshot))
    elif header["error"] is not None:
        error = _loaded(header["error"])
    if error is None:
        # A rank that asked to be requeued does not know what became of it: the leader does.
        told = ending.completed if header["status"] == "requeue" and ending.completed is not None else header
        words = f"rank {ending.failed_rank} raised {header['error_type']}: {told['error_message']}"
        error = JobFailed(_message(snapshot, words, stderr), **_attributes(snapshot))
    if cause is not None:
        error.__cause__ = cause
    return error


def _loaded(pickled: bytes) -> Exception | None:
    """The exception itself. KeyboardInterrupt and the like are no errors of this process: they are described instead."""
    try:
        error = pickle.loads(pickled)
    except Exception:  # noqa: BLE001  (a class that is not importable here: its name, message and traceback are shown instead)
        return None
    return error if isinstance(error, Exception) else None


def _reason_words(snapshot: Snapshot) -> str:
    if snapshot.state == LOST:
        return "squeue, sacct, scontrol and the job directory have lost it"
    reason = snapshot.status.get("Reason", "")
    return "" if reason in ("", "None") else reason


def state_words(snapshot: Snapshot) -> str:
    """The state, and Slurm's reason for it where there is one: ``PENDING (launch failed requeued held)``."""
    reason = _reason_words(snapshot)
    return f"{snapshot.state} ({reason})" if reason else snapshot.state


def _message(snapshot: Snapshot, words: str, stderr: Path) -> str:
    exit_code = snapshot.status.get("ExitCode", "")
    message = f"job {snapshot.job_id} ended {snapshot.state}"
    if exit_code and snapshot.state != LOST:
        message += f" with exit code {exit_code}"
    if words:
        message += f": {words}"
    if text := tail(stderr):
        message += f"\nEnd of {str(stderr)!r}:\n{text}"
    return message


def _attributes(snapshot: Snapshot) -> dict[str, Any]:
    reason = snapshot.status.get("Reason", "")
    return {
        "job_id": snapshot.job_id,
        "state": snapshot.state,
        "exit_code": snapshot.status.get("ExitCode") or None,
        "reason": None if reason in ("", "None") else reason,
    }


def tail(path: Path) -> str:
    """The last lines of a file, however long it is; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:])


def has_values(job_dir: Path, ending: Ending, attempt: int) -> bool:
    """True when every rank's result of `attempt` can be seen. Lists the directory, which makes NFS look again."""
    if ending.started is None:
        return False
    try:
        ranks = jobdir.result_ranks(job_dir)
    except OSError:
        return False
    if len(ranks) < int(ending.started["world_size"]):
        return False
    attempts = (jobdir.result_attempt(job_dir, rank) for rank in ranks)
    return all(one is None or one >= attempt for one in attempts)


def read_values(job_dir: Path, ending: Ending, attempt: int) -> list[Any]:
    """The value of every rank, in the order of ranks. What an attempt before `attempt` has left does not count.

    Raises `ResultError`, `JobDirectoryError`.
    """
    if ending.started is not None:
        world_size = int(ending.started["world_size"])
    else:
        try:
            world_size = len(jobdir.result_ranks(job_dir))
        except OSError as error:
            raise ResultError(f"the result cannot be read: {error.strerror}: {str(job_dir)!r}") from error
    return [jobdir.read_value(job_dir, rank, attempt) for rank in range(max(1, world_size))]
