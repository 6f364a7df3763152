"""Which accounting records are a job's own, and what is made of the runner's journal: the edges of what `test_status.py` has the middle of."""

from __future__ import annotations

import attrs
import pytest

from slurmkit.backends.parse import record
from slurmkit.polling.arbitration import Belief, JournalEnd, Round, Snapshot, arbitrate
from slurmkit.slurm.durations import format_timestamp

SUBMITTED = 1_800_000_000.0
HOUR = 3600.0
WHEN = format_timestamp(SUBMITTED)
UNACCOUNTED = Round(queue=None, accounting=None, has_accounting=False, shown=None)


def of_job(state: str, submitted: str, **fields: str) -> Round:
    """squeue knows it."""
    return Round(queue=record(JobId="7", JobState=state, SubmitTime=submitted, Restarts="0", **fields))


def booked(submitted: str) -> Round:
    """sacct alone knows it."""
    return Round(queue=None, accounting=record(JobId="7", JobState="FAILED", SubmitTime=submitted))


def end_of(*rounds: Round, belief: Belief | None = None) -> Snapshot | None:
    belief = belief or Belief("7", created=SUBMITTED)
    for number, answers in enumerate(rounds):
        belief = arbitrate(belief, answers, float(number))
    return belief.snapshot if belief.is_over else None


@pytest.mark.parametrize(("later", "is_ours"), [(-2, False), (-1, True), (0, True), (1, True), (500, True)])
def test_of_a_job_that_was_seen_a_record_is_no_older_than_its_submission(later: float, is_ours: bool) -> None:
    """Whole seconds may be one off; a requeue, which sets the time anew, may not have been seen."""
    seen = of_job("RUNNING", format_timestamp(SUBMITTED))
    assert (end_of(seen, booked(format_timestamp(SUBMITTED + later))) is not None) is is_ours


@pytest.mark.parametrize(("later", "is_ours"), [(-HOUR - 1, False), (-HOUR, True), (HOUR, True)])
def test_of_a_job_that_was_never_seen_clocks_may_differ_by_an_hour(later: float, is_ours: bool) -> None:
    assert (end_of(booked(format_timestamp(SUBMITTED + later))) is not None) is is_ours


@pytest.mark.parametrize("submitted", ["Unknown", "soon"])
@pytest.mark.parametrize("seen", [True, False])
def test_a_record_that_does_not_say_when_is_nobodys(submitted: str, seen: bool) -> None:
    rounds = [of_job("RUNNING", format_timestamp(SUBMITTED))] if seen else []
    assert end_of(*rounds, booked(submitted)) is None


def test_a_job_whose_submission_is_no_time_has_the_record_that_says_the_same() -> None:
    odd = of_job("RUNNING", "yesterday")
    assert end_of(odd, booked(format_timestamp(SUBMITTED))) is None
    assert end_of(odd, booked("yesterday")) is not None


def test_an_end_from_the_journal_keeps_what_was_known_before() -> None:
    seen = of_job("RUNNING", format_timestamp(SUBMITTED), Partition="debug", EndTime="Unknown")
    journal = JournalEnd(2, "FAILED", "3:0", time=SUBMITTED + 60)
    snapshot = end_of(seen, attrs.evolve(UNACCOUNTED, journal=journal))
    assert snapshot is not None
    assert snapshot.source == "journal"
    assert snapshot.attempt == 2
    expected = {
        "JobState": "FAILED",
        "ExitCode": "3:0",
        "Restarts": "2",
        "EndTime": format_timestamp(SUBMITTED + 60),
        "Partition": "debug",
        "JobId": "7",
    }
    assert {name: snapshot.status[name] for name in expected} == expected


def test_an_end_from_the_journal_alone_has_the_id() -> None:
    snapshot = end_of(attrs.evolve(UNACCOUNTED, journal=JournalEnd(0, "COMPLETED", "0:0")))
    assert snapshot is not None
    assert (snapshot.status["JobId"], snapshot.status["EndTime"]) == ("7", "Unknown")


def test_an_end_says_when_it_was_seen() -> None:
    snapshot = end_of(of_job("RUNNING", format_timestamp(SUBMITTED)), booked(format_timestamp(SUBMITTED)))
    assert snapshot is not None
    assert snapshot.observed_at == 1.0


def test_another_job_with_this_id_is_not_this_one() -> None:
    """It has another comment, or none where this one's was seen, and another command line in accounting."""
    seen = end_of(
        of_job("RUNNING", WHEN, Comment="tok"),
        of_job("COMPLETED", WHEN),
        of_job("COMPLETED", WHEN, Comment="other"),
        Round(queue=None, accounting=record(JobId="7", JobState="COMPLETED", SubmitTime=WHEN, Comment="other")),
        belief=Belief("7", token="tok", created=SUBMITTED),
    )
    assert seen is None or not seen.is_terminal


def test_a_site_without_comments() -> None:
    seen = end_of(
        of_job("RUNNING", WHEN), of_job("COMPLETED", WHEN), belief=Belief("7", token="tok", created=SUBMITTED)
    )
    assert seen is not None
    assert seen.state == "COMPLETED"
