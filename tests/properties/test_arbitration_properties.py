"""What is held true of a job, whatever a laggy, lossy observer sees of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakeslurm import strategies
from slurmkit.polling.arbitration import LOST, UNASKED, Belief, Round, arbitrate
from slurmkit.slurm.states import TERMINAL_STATES

GONE = Round(queue=None, accounting=None, shown=None)


@given(st.data())
def test_nothing_is_made_up_and_no_end_is_taken_back(data: st.DataObject) -> None:
    history = data.draw(strategies.status_histories())
    states = {(moment.state, moment.attempt) for moment in history.moments}
    belief = Belief("7", token=history.token)
    for sighting in data.draw(strategies.sightings(history)):
        before, belief = belief, arbitrate(belief, sighting.answers, sighting.at)
        assert belief.attempt >= before.attempt, "attempts do not go back"
        if before.is_over and belief.attempt == before.attempt:
            assert belief.snapshot == before.snapshot, "the end of an attempt is final"
        snapshot = belief.snapshot
        if snapshot is None:
            assert before.snapshot is None, "nor is anything forgotten"
        elif not snapshot.is_terminal:
            assert (snapshot.state, snapshot.attempt) in states
            assert snapshot.state not in TERMINAL_STATES
        elif snapshot.source == "journal":
            assert (snapshot.state == "COMPLETED") == (history.last.state == "COMPLETED")
            assert snapshot.attempt == history.last.attempt
        elif snapshot.source == "sacct":  # which does not know its attempt
            assert snapshot.state in {state for state, attempt in history.ends() if attempt >= snapshot.attempt}
        elif snapshot.state != LOST:
            assert (snapshot.state, snapshot.attempt) in history.ends()
        if sighting.truth is not history.last:
            assert snapshot is None or snapshot.state != LOST, "a job that goes on is not lost"


@given(st.data(), st.booleans())
def test_no_wait_is_for_ever(data: st.DataObject, has_accounting: bool) -> None:
    """Once every source has lost the job for good, whatever was seen before."""
    history = data.draw(strategies.status_histories())
    belief = Belief("7", token=history.token)
    now = 0.0
    for sighting in data.draw(strategies.sightings(history)):
        now = sighting.at
        belief = arbitrate(belief, sighting.answers, now)
    gone = GONE._replace(has_accounting=has_accounting, accounting=None if has_accounting else UNASKED)
    for _ in range(400):
        now += 1.0
        belief = arbitrate(belief, gone, now)
    assert belief.is_over


@given(st.data())
def test_who_sees_everything_at_once_knows_the_truth(data: st.DataObject) -> None:
    history = data.draw(strategies.status_histories())
    belief = Belief("7", token=history.token)
    for moment in history.moments:
        belief = arbitrate(belief, Round(queue=history.row(moment)), moment.at)
        assert belief.snapshot is not None
        assert (belief.snapshot.state, belief.snapshot.attempt) == (moment.state, moment.attempt)
        assert belief.is_over == (moment.state in TERMINAL_STATES)
