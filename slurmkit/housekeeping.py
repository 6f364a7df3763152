"""``slurmkit jobs`` and ``slurmkit clean``: what is in a job root, and what of it can go.

`survey` asks, with one squeue and a sacct for every ten thousand jobs that squeue does not know; what follows from the answers is decided in
pure functions.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

from slurmkit import jobdir, jobroot
from slurmkit.backends.base import SchedulerBackend
from slurmkit.backends.cli import MAX_ACCOUNTING_IDS
from slurmkit.errors import JobDirectoryError, OptionError
from slurmkit.outcome import end_of_journal
from slurmkit.parts import NOT_SUBMITTED, Part
from slurmkit.polling.arbitration import LOST, Belief, Round, Rules, arbitrate
from slurmkit.slurm.states import JobState

__all__ = ["STATES", "Entry", "age_in_seconds", "removable", "survey"]

log = logging.getLogger("slurmkit.cluster")

SUBMITTING = 3600.0
"""Seconds for which a directory without a job may be that of a submission which is under way: sbatch may be kept waiting, and asked again, for
minutes. File servers and clients need not have quite the same time."""

UNKNOWN = "UNKNOWN"
"""Instead of a state: nobody who knows has answered."""

STATES = frozenset(state.value for state in JobState) | {NOT_SUBMITTED, LOST, UNKNOWN}
"""What `Entry.states` may have."""

_AT_ONCE = Rules(grace=0.0, accounting_lag=0.0, absences=1)
"""Somebody who looks once has no time for a source that is late: what the controller does not know does not run."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@attrs.frozen
class Entry:
    """A job directory: what it is of, and how it stands.

    `created` and `touched` are epoch seconds: the submission, and the last change that is known of. `states`: how many of its jobs are in
    which state. `is_over`: all of them are.
    """

    job_dir: Path
    function: str
    created: float
    touched: float
    job_ids: tuple[str, ...]
    states: Mapping[str, int]
    is_over: bool

    @property
    def state(self) -> str:
        """``COMPLETED``, or ``98 COMPLETED, 2 FAILED`` of an array."""
        if sum(self.states.values()) == 1:
            return next(iter(self.states))
        return ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))


@attrs.frozen
class _Known:
    """A job directory that can be read: its ``job.json``, a belief for each of its jobs and the directory in which that one writes, and how
    many jobs more there were to be."""

    job_dir: Path
    record: Mapping[str, Any]
    jobs: Mapping[str, tuple[Belief, Path]]
    not_submitted: int


def survey(root: Path, backend: SchedulerBackend, now: float) -> list[Entry]:
    """The job directories in `root`, oldest first. What is none is left out, and so, with a warning, what cannot be read.

    Raises `SchedulerError`.
    """
    records = {path: record for path in jobroot.directories(root) if (record := _read(path)) is not None}
    known = [_known(path, record) for path, record in jobroot.find_all_again(records, backend).items()]
    beliefs = {job_id: job for one in known for job_id, job in one.jobs.items()}
    found = {job_id: belief for job_id, (belief, _) in beliefs.items()}
    queue = backend.queue(beliefs) if beliefs else {}
    for job_id, row in queue.items():
        if job_id in found:
            found[job_id] = arbitrate(found[job_id], Round(queue=row), now, _AT_ONCE)
    lost = iter([job_id for job_id, belief in found.items() if belief.snapshot is None])
    while several := list(islice(lost, MAX_ACCOUNTING_IDS)):
        booked = backend.accounting(several)
        for job_id in several:
            answers = Round(
                queue=None,
                accounting=None if booked is None else booked.get(job_id),
                has_accounting=booked is not None,
                shown=None,
                journal=end_of_journal(beliefs[job_id][1]),
            )
            found[job_id] = arbitrate(found[job_id], answers, now, _AT_ONCE)
    return [_entry(one, [found[job_id] for job_id in one.jobs]) for one in known]


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        return jobdir.read_job(path)
    except JobDirectoryError as error:
        if jobroot.is_unreadable(path, error):
            log.warning("a job is passed over: %s", error)
        return None


def _known(path: Path, record: Mapping[str, Any]) -> _Known:
    created = float(record["created"])
    jobs = {}
    if "array" in record:
        parts = [Part.read(one) for one in record["array"]["parts"]]
        for part in parts:
            for number in part.numbers if part.job_id else ():
                belief = Belief(part.element(number), token=part.token, created=created)
                jobs[belief.job_id] = belief, path / f"{number}"
        return _Known(path, record, jobs, sum(len(part.numbers) for part in parts if not part.job_id))
    job_id = record["job_id"]
    if job_id is not None:
        token = str(record["pre_submission_id"])
        jobs[str(job_id)] = Belief(str(job_id), token=token, created=created), path
    return _Known(path, record, jobs, 0 if jobs else 1)


def _entry(known: _Known, beliefs: Iterable[Belief]) -> Entry:
    record = known.record
    states = Counter(UNKNOWN if one.snapshot is None else one.snapshot.state for one in beliefs)
    is_over = all(one.is_over for one in beliefs)
    if known.not_submitted:
        states[NOT_SUBMITTED] = known.not_submitted
    return Entry(
        job_dir=known.job_dir,
        function=f"{record['module']}.{record['function']}",
        created=float(record["created"]),
        touched=max([float(record["created"]), *_changes(known)]),
        job_ids=tuple(dict.fromkeys(job_id.partition("_")[0] for job_id in known.jobs)),
        states=dict(states),
        is_over=is_over,
    )


def _changes(known: _Known) -> Iterator[float]:
    """When its directory, and those of its elements, which write there alone, have last changed."""
    for path in {known.job_dir, *(place for _, place in known.jobs.values())}:
        with contextlib.suppress(FileNotFoundError):  # an element that has not started
            yield path.stat().st_mtime


def removable(
    entries: Iterable[Entry], now: float, *, older_than: float, states: Iterable[str] = ()
) -> Iterator[Entry]:
    """Those of `entries` that are over, have not changed for `older_than` seconds, and have ended in `states` only.

    None given: in any, but what nobody knows anything of (it may be another cluster's) has to be asked for by name. What may be being submitted
    is never among them.
    """
    wanted = frozenset(states)
    for entry in entries:
        if NOT_SUBMITTED in entry.states and now - entry.touched < SUBMITTING:
            continue
        is_wanted = wanted.issuperset(entry.states) if wanted else not {LOST, NOT_SUBMITTED} & set(entry.states)
        if entry.is_over and is_wanted and now - entry.touched >= older_than:
            yield entry


def age_in_seconds(text: str) -> float:
    """``30d``, ``12h``, ``90m``, ``45s``, ``2w``. Raises `OptionError`."""
    match = re.fullmatch(r"([0-9]+)([smhdw])", text)
    if match is None:
        raise OptionError(f"{text!r} is no age; valid: a whole number and one of s, m, h, d, w, such as 30d")
    return float(int(match[1]) * _UNITS[match[2]])
