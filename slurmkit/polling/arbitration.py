"""What is true of a job: decided from what squeue, sacct, ``scontrol show job`` and the runner's journal say, never guessed.

Pure: `arbitrate` takes a belief and one round of answers, and returns the next belief. Times are seconds of a monotonic clock unless they
are texts of Slurm. What is made anew of each job in every round is a named tuple: that takes half of the time.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import attrs

from slurmkit.backends.base import Record
from slurmkit.backends.parse import amended, record
from slurmkit.jobdir import is_pre_submission_id
from slurmkit.slurm.durations import DurationError, format_timestamp, parse_timestamp
from slurmkit.slurm.states import TERMINAL_STATES

__all__ = [
    "LOST",
    "UNASKED",
    "Answer",
    "Belief",
    "JournalEnd",
    "Round",
    "Rules",
    "Snapshot",
    "arbitrate",
    "is_scontrol_due",
]

LOST = "LOST"
"""The state of a job that every source has lost: the one word that is not Slurm's."""


class Unasked(enum.Enum):
    """A source was not asked, or did not answer: it has said nothing."""

    UNASKED = "unasked"


UNASKED: Final = Unasked.UNASKED
Answer = Record | None | Literal[Unasked.UNASKED]
"""A record; None: the source answered that it does not know the job; UNASKED."""

Source = Literal["squeue", "sacct", "scontrol", "journal", "nobody"]


@attrs.frozen
class JournalEnd:
    """The runner's own ``completed`` event."""

    attempt: int
    job_state: str
    exit_code: str
    time: float | None = None


class Round(NamedTuple):
    """What the sources said of one job in one round.

    `has_accounting` is False on a site without slurmdbd. `is_cancelled`: it was cancelled from here. `siblings`: the controller knows others of
    its array.
    """

    queue: Answer
    accounting: Answer = UNASKED
    has_accounting: bool = True
    shown: Answer = UNASKED
    journal: JournalEnd | None = None
    is_cancelled: bool = False
    siblings: bool = False


class Snapshot(NamedTuple):
    """What is held true of a job at `observed_at`. `status` has scontrol's field names and is read-only."""

    job_id: str
    status: Mapping[str, str]
    state: str
    is_terminal: bool
    attempt: int
    source: Source
    observed_at: float


@attrs.frozen
class Rules:
    """Seconds. `grace`: how long every source has to have lost a job; `accounting_lag`: how long sacct may trail behind the controller;
    `accounting_outage`: how long it may not answer at all."""

    grace: float = 60.0
    accounting_lag: float = 300.0
    accounting_outage: float = 3600.0
    absences: int = 3


class Belief(NamedTuple):
    """What is known of a job so far.

    `token` is its comment, `created` its submission by the client's clock (epoch seconds): they tell it from another job with a reused id.
    `lost_since` and `absences`: the controller has not known the job since then, in so many rounds. `denied`: scontrol has said so too.
    `comment`: what the controller has shown as the job's comment, which is not the token where a site changes comments; None: nothing yet.
    """

    job_id: str
    token: str = ""
    created: float = 0.0
    snapshot: Snapshot | None = None
    attempt: int = 0
    submitted: str = ""
    lost_since: float | None = None
    absences: int = 0
    denied: bool = False
    comment: str | None = None

    @property
    def is_over(self) -> bool:
        return self.snapshot is not None and self.snapshot.is_terminal


def arbitrate(belief: Belief, answers: Round, now: float, rules: Rules = Rules()) -> Belief:
    """The belief after a round of `answers` at `now`.

    squeue comes first, then sacct, then scontrol, then the journal. Within one attempt an end is final; a higher restart count reopens the
    job. A source that failed is no source that knows nothing.
    """
    if answers.queue is UNASKED:
        return belief
    if answers.queue is not None and _is_shown(belief, answers.queue):
        return _controller(belief, answers.queue, "squeue", now)
    shown = answers.shown
    if shown is not None and shown is not UNASKED and _is_shown(belief, shown):
        return _controller(belief, shown, "scontrol", now)
    if belief.is_over:
        return belief
    return _absent(belief, answers, now, rules)


def is_scontrol_due(belief: Belief, accounting: Answer, now: float, rules: Rules = Rules()) -> bool:
    """Whether scontrol is to be asked about a job that squeue does not know, after what sacct said of it: once, when sacct cannot tell the end.

    A record that says RUNNING gets the grace to be corrected. It stays for ever where slurmctld has lost the job (sacctmgr's "runaway jobs").
    """
    if belief.denied:
        return False
    if accounting is None or accounting is UNASKED or not _is_booked(belief, accounting):
        return True
    is_corrected = accounting["JobState"] in TERMINAL_STATES
    return not is_corrected and belief.lost_since is not None and now - belief.lost_since >= rules.grace


def _controller(belief: Belief, found: Record, source: Source, now: float) -> Belief:
    attempt = _attempt(found)
    if attempt is None:
        attempt = belief.attempt
    if attempt < belief.attempt or (belief.is_over and attempt == belief.attempt):
        return belief
    submitted, comment = found["SubmitTime"], found["Comment"]
    if submitted == "Unknown":
        submitted = belief.submitted
    if belief.comment is not None and comment != belief.token:
        comment = belief.comment
    snapshot = _snapshot(belief, found, source, attempt, now)
    # By position, which takes half as long as by keyword, for every job in every round. It is neither lost nor absent nor denied.
    return Belief(belief.job_id, belief.token, belief.created, snapshot, attempt, submitted, None, 0, False, comment)


def _absent(belief: Belief, answers: Round, now: float, rules: Rules) -> Belief:
    """The controller answered, and does not know the job."""
    lost_since = now if belief.lost_since is None else belief.lost_since
    belief = belief._replace(
        lost_since=lost_since,
        absences=belief.absences + 1,
        denied=belief.denied or answers.shown is not UNASKED,
    )
    booked = answers.accounting
    if booked is not None and booked is not UNASKED and not _is_booked(belief, booked):
        booked = None
    if booked is not None and booked is not UNASKED and booked["JobState"] in TERMINAL_STATES:
        return _ended(belief, booked, "sacct", now)
    is_unbooked = booked is None or not answers.has_accounting
    # The row of the elements that wait may still have those that do so no longer.
    has_not_run = _waited(belief) and (is_unbooked or _is_pending(booked))
    if has_not_run and answers.is_cancelled and answers.journal is None:
        return _vanished(belief, now)
    end = answers.journal
    if end is not None and (end.attempt < belief.attempt or end.job_state not in TERMINAL_STATES):
        end = None
    # sacct that still says RUNNING, or does not answer, is given time to catch up; sacct that knows nothing has lost the job like the others.
    # Of a job that has failed sacct may know why. Of one that has succeeded by its own word nobody would say anything else.
    patience = rules.grace
    if end is not None:
        patience = max(patience, 0.0 if is_unbooked or end.job_state == "COMPLETED" else rules.accounting_lag)
    elif booked is UNASKED and answers.has_accounting:
        patience = max(patience, rules.accounting_outage)
    elif not is_unbooked:
        patience = max(patience, rules.accounting_lag)
    out_of_patience = now - lost_since >= patience and belief.absences >= rules.absences
    if answers.has_accounting and not out_of_patience:
        return belief
    if not belief.denied:
        return belief  # scontrol has still to be heard
    if end is not None:
        return _ended(belief._replace(attempt=end.attempt), _from_journal(belief, end), "journal", now)
    if not out_of_patience:
        return belief
    if has_not_run and answers.siblings and answers.has_accounting:
        return _vanished(belief, now)
    return _ended(belief, amended(_known(belief), JobState=LOST), "nobody", now)


def _waited(belief: Belief) -> bool:
    """An element of an array that nobody has seen anything but wait."""
    return "_" in belief.job_id and (belief.snapshot is None or belief.snapshot.state == "PENDING")


def _is_pending(answer: Answer) -> bool:
    return answer is not None and answer is not UNASKED and answer["JobState"] == "PENDING"


def _vanished(belief: Belief, now: float) -> Belief:
    """An element that is cancelled before it has become a job of its own leaves no trace: neither the controller nor sacct has ever heard
    of it (measured: docs/measured/arrays.md)."""
    return _ended(belief, amended(_known(belief), JobState="CANCELLED", ExitCode="0:0"), "nobody", now)


def _known(belief: Belief) -> Record:
    return belief.snapshot.status if belief.snapshot is not None else record(JobId=belief.job_id)


def _ended(belief: Belief, found: Record, source: Source, now: float) -> Belief:
    snapshot = _snapshot(belief, found, source, belief.attempt, now)
    return belief._replace(snapshot=snapshot._replace(is_terminal=True))


def _snapshot(belief: Belief, found: Record, source: Source, attempt: int, now: float) -> Snapshot:
    if not found["Restarts"]:
        found = amended(found, Restarts=f"{attempt}")
    if not found["Comment"] and belief.token:
        found = amended(found, Comment=belief.token)
    state = found["JobState"]
    return Snapshot(belief.job_id, found, state, state in TERMINAL_STATES, attempt, source, now)


def _from_journal(belief: Belief, end: JournalEnd) -> Record:
    return amended(
        _known(belief),
        JobState=end.job_state,
        ExitCode=end.exit_code,
        Restarts=f"{end.attempt}",
        EndTime=format_timestamp(end.time),
    )


def _attempt(found: Record) -> int | None:
    text = found["Restarts"]
    return int(text) if text.isdecimal() else None


def _is_shown(belief: Belief, found: Record) -> bool:
    """Whether what the controller shows is this job, not another one under a reused id.

    A comment that was there does not change. Before anything was seen, one that is nobody's token may be what the site has made of it.
    """
    said = found["Comment"]
    if not belief.token or said == belief.token:
        return True
    if belief.comment is not None:
        return said == belief.comment
    return not said or (not is_pre_submission_id(said) and _is_recent(belief, found))


def _is_recent(belief: Belief, found: Record) -> bool:
    """Whether it was submitted when this job was."""
    try:
        when = parse_timestamp(found["SubmitTime"])
    except DurationError:
        return False
    return when is not None and abs(when - belief.created) <= _SUBMITTING


def _is_booked(belief: Belief, found: Record) -> bool:
    """Whether an accounting record is of this job, going by its command line, and of its latest attempt."""
    is_ours = not belief.token or found["Comment"] in ("", belief.token)
    return is_ours and _is_current(belief, found)


def _is_current(belief: Belief, found: Record) -> bool:
    """Whether an accounting record is of this job and of this attempt, going by the time of submission (a requeue sets it anew)."""
    text = found["SubmitTime"]
    if belief.submitted and text == belief.submitted:
        return True
    try:
        when = parse_timestamp(text)
        known = parse_timestamp(belief.submitted) if belief.submitted else None
    except DurationError:
        return False
    if when is None:
        return False
    if known is not None:
        return when >= known - 1
    return when >= belief.created - _CLOCKS_DIFFER


_SUBMITTING = 60.0
"""Seconds between the client's beginning and Slurm's time of submission, where the clocks of a site agree."""

_CLOCKS_DIFFER = 3600.0
"""Seconds by which the clocks of client and cluster may disagree. A reused id is older than that."""
