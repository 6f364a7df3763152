"""The orders of squeue's ``--sort``, read as Slurm reads it: backwards, one letter a field, each a stable sort.

Letters and keys: src/squeue/sort.c; orders compared with Slurm 22.05.8. What is equal in every field keeps the order in
which slurmctld lists jobs, but sorted by start first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from fakeslurm.commands import jobtexts
from fakeslurm.commands.answers import Stop
from fakeslurm.commands.stepfields import ShownStep
from fakeslurm.jobarray import NO_TASK
from fakeslurm.model import Job

__all__ = ["order_jobs", "order_steps"]

_INFINITE = 0xFFFFFFFF
_YEAR = 365 * 86400
"""How far away slurmctld puts the end of a job without a limit."""

Key = Callable[[Any, float], Any]


def _end(job: Job, now: float) -> float:
    end = jobtexts.expected_end(job, now)
    if end is not None:
        return end
    start = jobtexts.expected_start(job, now)
    return 0 if start is None else start + _YEAR


def _left(job: Job, now: float) -> float:
    return _INFINITE if job.time_limit is None else job.time_limit * 60 - jobtexts.seconds_used(job, now)


def _cores(job: Job, _now: float) -> tuple[int, int, int]:
    asked = job.description
    return tuple(  # type: ignore[return-value]
        _INFINITE if number is None else number
        for number in (asked.sockets_per_node, asked.cores_per_socket, asked.threads_per_core)
    )


def _identity(job: Job, _now: float) -> tuple[int, int]:
    return jobtexts.array_job_id(job), NO_TASK if job.array_task_id is None else job.array_task_id


_JOB_KEYS: Mapping[str, Key | None] = {
    "B": lambda job, now: job.nodes[0] if job.nodes else "",
    "b": None,
    "c": None,
    "C": lambda job, now: job.shown_cpus,
    "d": lambda job, now: job.description.tmp_disk or 0,
    "D": lambda job, now: job.shown_node_count,
    "e": _end,
    "f": None,
    "g": lambda job, now: job.description.group,
    "G": lambda job, now: job.description.gid,
    "h": None,
    "H": lambda job, now: _cores(job, now)[0],
    "i": _identity,
    "I": lambda job, now: _cores(job, now)[1],
    "j": lambda job, now: job.description.name,
    "J": lambda job, now: _cores(job, now)[2],
    "l": lambda job, now: _INFINITE if job.time_limit is None else job.time_limit,
    "L": _left,
    "m": lambda job, now: job.description.mem_per_cpu or job.description.mem_per_node or 0,
    "M": jobtexts.seconds_used,
    "n": None,
    "N": lambda job, now: jobtexts.host_order(job.shown_nodes[0]) if job.shown_nodes else None,
    "O": None,
    "p": lambda job, now: job.priority,
    "P": lambda job, now: job.partition,
    "Q": lambda job, now: job.priority,
    "S": jobtexts.expected_start,
    "t": lambda job, now: job.shown_state.compact,
    "T": lambda job, now: str(job.shown_state),
    "u": lambda job, now: job.description.user,
    "U": lambda job, now: job.description.uid,
    "v": None,
    "V": lambda job, now: int(job.submit_time),
    "z": _cores,
}
"""None: Slurm takes the letter and does nothing."""

_STEP_KEYS: Mapping[str, Key | None] = {
    "b": None,
    "i": lambda shown, now: shown.order,
    "l": lambda shown, now: (shown.step.request and shown.step.request.time_limit) or _INFINITE,
    "M": lambda shown, now: -int(shown.step.start_time),
    "N": lambda shown, now: jobtexts.host_order(shown.step.nodes[0]),
    "P": lambda shown, now: shown.job.partition,
    "S": lambda shown, now: int(shown.step.start_time),
    "u": lambda shown, now: shown.job.description.user,
    "U": lambda shown, now: shown.job.description.uid,
}

_CLUSTER = "cluster"


def _sort(
    items: list[Any], text: str, keys: Mapping[str, Key | None], now: float, unknown: Callable[[str], None]
) -> str:
    """Sort `items`; what squeue says about the letter ``b``."""
    complaints = ""
    position = len(text)
    while position > 0:
        position -= 1
        letter = text[position]
        if letter in ",+-":
            continue
        if text[: position + 1].lower().endswith(_CLUSTER):
            position -= len(_CLUSTER) - 1
            continue
        if letter == "b":
            complaints += "squeue: Invalid sort specification: b\n"
        if letter not in keys:
            unknown(f"{complaints}squeue: error: Invalid sort specification: {letter}\n")
            continue
        key = keys[letter]
        if key is not None:
            descending = position > 0 and text[position - 1] == "-"
            decorated = [(key(item, now), item) for item in items]
            if letter == "S":
                decorated = _by_start(decorated, descending)
            elif letter == "N":
                decorated = _by_host(decorated, descending)
            else:
                decorated.sort(key=itemgetter(0), reverse=descending)
            items[:] = [item for _, item in decorated]
    return complaints


def _by_start(decorated: list[tuple[Any, Any]], descending: bool) -> list[tuple[Any, Any]]:
    """By start: jobs whose start nobody knows come last in both directions, and their order is reversed."""
    known = [(int(start), item) for start, item in decorated if start is not None]
    known.sort(key=itemgetter(0), reverse=descending)
    return known + [pair for pair in reversed(decorated) if pair[0] is None]


def _by_host(decorated: list[tuple[Any, Any]], descending: bool) -> list[tuple[Any, Any]]:
    """By the first node: jobs without any come last and in reversed order, or (descending) first as they were (measured)."""
    known = sorted((pair for pair in decorated if pair[0] is not None), key=itemgetter(0), reverse=descending)
    nowhere = [pair for pair in decorated if pair[0] is None]
    return nowhere + known if descending else known + nowhere[::-1]


def order_jobs(jobs: Iterable[Job], text: str, now: float) -> tuple[list[Job], str]:
    """The jobs in the order of `text`, and what squeue says meanwhile. Raises `Stop` for a letter that is no field."""
    ordered = [job for _, job in _by_start([(jobtexts.expected_start(job, now), job) for job in jobs], True)]

    def unknown(message: str) -> None:
        raise Stop(message)

    return ordered, _sort(ordered, text, _JOB_KEYS, now, unknown)


def order_steps(steps: Iterable[ShownStep], text: str, now: float) -> tuple[list[ShownStep], str]:
    """The steps in the order of `text`; letters that are no fields of steps are passed over."""
    ordered = list(steps)
    return ordered, _sort(ordered, text, _STEP_KEYS, now, lambda _message: None)
