"""Which accounting records are a job's own, and what is made of the runner's journal: the edges of what `test_status.py` has the middle of."""

from __future__ import annotations

import pytest

from slurmkit.backends.parse import record
from slurmkit.polling.arbitration import LOST, UNASKED, Belief, JournalEnd, Round, Rules, Snapshot, arbitrate
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
    snapshot = end_of(seen, UNACCOUNTED._replace(journal=journal))
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
    snapshot = end_of(UNACCOUNTED._replace(journal=JournalEnd(0, "COMPLETED", "0:0")))
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


OTHERS = "20261123-204303-3f9a1c7e02b4"


@pytest.mark.parametrize(
    ("first", "then", "is_ours"),
    [
        ("billed to alps", "billed to alps", True),
        ("billed to alps", "", False),
        ("billed to alps", "mine", False),
        ("billed to alps", "tok", True),
        (OTHERS, OTHERS, False),
        ("tok", "billed to alps", False),
        ("", "billed to alps", False),
    ],
)
def test_a_site_that_changes_comments(first: str, then: str, is_ours: bool) -> None:
    """What it has made of the token is the job's comment from then on. Another submission's token is no such thing."""
    seen = end_of(
        of_job("RUNNING", WHEN, Comment=first),
        of_job("COMPLETED", WHEN, Comment=then),
        belief=Belief("7", token="tok", created=SUBMITTED),
    )
    assert (seen is not None and seen.is_terminal) == is_ours


@pytest.mark.parametrize(("later", "is_ours"), [(60.0, True), (61.0, False), (-60.0, True), (-61.0, False)])
def test_a_comment_of_nobody_is_ours_where_the_time_is(later: float, is_ours: bool) -> None:
    other = of_job("RUNNING", format_timestamp(SUBMITTED + later), Comment="billed to alps")
    belief = arbitrate(Belief("7", token="tok", created=SUBMITTED), other, 0.0)
    assert (belief.snapshot is not None) == is_ours


def test_a_comment_of_nobody_without_a_time_is_not_ours() -> None:
    for when in ("Unknown", "yesterday"):
        other = of_job("RUNNING", when, Comment="billed to alps")
        assert arbitrate(Belief("7", token="tok", created=SUBMITTED), other, 0.0).snapshot is None


def test_a_site_without_comments() -> None:
    seen = end_of(
        of_job("RUNNING", WHEN), of_job("COMPLETED", WHEN), belief=Belief("7", token="tok", created=SUBMITTED)
    )
    assert seen is not None
    assert seen.state == "COMPLETED"


def shown(state: str, **fields: str) -> Round:
    """squeue does not list it, scontrol knows it."""
    return Round(queue=None, shown=record(JobId="7", JobState=state, Restarts="0", **fields))


GONE = Round(queue=None, accounting=None, shown=None)


@pytest.mark.parametrize(
    ("answers", "source"),
    [
        (of_job("RUNNING", "Unknown"), "squeue"),
        (shown("RUNNING"), "scontrol"),
        (UNACCOUNTED._replace(journal=JournalEnd(0, "COMPLETED", "0:0")), "journal"),
    ],
)
def test_a_snapshot_says_from_whom_it_is_and_when_it_was_seen(answers: Round, source: str) -> None:
    snapshot = arbitrate(Belief("7"), answers, 42.0).snapshot
    assert snapshot is not None
    assert (snapshot.source, snapshot.observed_at) == (source, 42.0)


def test_a_lost_job_has_its_id_and_the_time_at_which_it_was_given_up() -> None:
    belief = Belief("7")
    for now in (0.0, 1.0, 60.0):
        belief = arbitrate(belief, GONE, now, Rules(grace=60.0))
    assert belief.snapshot is not None
    assert (belief.snapshot.status["JobId"], belief.snapshot.status["JobState"]) == ("7", LOST)
    assert (belief.snapshot.source, belief.snapshot.observed_at) == ("nobody", 60.0)


def test_a_record_without_a_number_of_restarts_is_of_the_attempt_that_is_known() -> None:
    second = Round(queue=record(JobId="7", JobState="RUNNING", Restarts="2"))
    belief = arbitrate(arbitrate(Belief("7"), second, 0.0), Round(queue=record(JobId="7", JobState="COMPLETED")), 1.0)
    assert belief.attempt == 2
    assert belief.snapshot is not None
    assert (belief.snapshot.attempt, belief.snapshot.status["Restarts"]) == (2, "2")


def test_who_turns_up_again_has_to_be_lost_anew() -> None:
    rules = Rules(grace=0.0, absences=3)
    belief = Belief("7")
    for now, answers in enumerate([GONE, GONE, shown("RUNNING"), GONE, GONE]):
        belief = arbitrate(belief, answers, float(now), rules)
        assert not belief.is_over
    unheard = GONE._replace(shown=UNASKED)
    assert not arbitrate(arbitrate(belief, shown("RUNNING"), 5.0, rules), unheard, 6.0, rules).denied
    assert arbitrate(belief, GONE, 5.0, rules).is_over


def test_a_submission_that_is_not_said_again_is_remembered() -> None:
    later = of_job("RUNNING", "Unknown")
    assert (
        end_of(of_job("RUNNING", format_timestamp(SUBMITTED)), later, booked(format_timestamp(SUBMITTED - 60))) is None
    )


@pytest.mark.parametrize(("token", "said", "comment"), [("tok", "", "tok"), ("", "", ""), ("", "mine", "mine")])
def test_the_comment_is_the_token(token: str, said: str, comment: str) -> None:
    snapshot = arbitrate(Belief("7", token=token), of_job("RUNNING", "Unknown", Comment=said), 0.0).snapshot
    assert snapshot is not None
    assert snapshot.status["Comment"] == comment
