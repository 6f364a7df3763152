"""Who hears of which observation (P2, P3, P4, P11), and when a waiter asks: on arbitrary sequences of observations and intervals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from fakeslurm import strategies
from slurmkit.polling.cadence import Budget, Cadence, Observation, Pace, Rota, Update, backoff

STATES = ["PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "NEVER_HEARD_OF"]
ENDS = ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"]

intervals = st.lists(strategies.poll_intervals(), min_size=1, max_size=4)
observations = st.builds(
    lambda state, attempt: Observation(state, state in ENDS, attempt),
    st.sampled_from(STATES + ENDS),
    st.integers(min_value=0, max_value=3),
)
histories = st.lists(
    st.tuples(st.floats(min_value=0, max_value=50, allow_nan=False), observations), min_size=1, max_size=40
)


def run(
    every: Sequence[float], history: Sequence[tuple[float, Observation]]
) -> list[tuple[float, Observation, list[Update]]]:
    cadence = Cadence(every)
    now = 0.0
    heard = []
    for passed, observation in history:
        now += passed
        heard.append((now, observation, cadence.observe(observation, now)))
    return heard


def accepted(heard: list[tuple[float, Observation, list[Update]]]) -> list[tuple[float, Observation, list[Update]]]:
    """Without what a laggard saw, and without what an attempt that is over still says."""
    kept: list[tuple[float, Observation, list[Update]]] = []
    for now, observation, updates in heard:
        last = kept[-1][1] if kept else None
        if last and (observation.attempt < last.attempt or (last.is_terminal and observation.attempt == last.attempt)):
            assert updates == []
            continue
        kept.append((now, observation, updates))
    return kept


@given(intervals, histories)
def test_updates_that_bring_nothing_new_are_an_interval_apart(
    every: list[float], history: list[tuple[float, Observation]]
) -> None:
    """P2, and more: the interval is counted from the update before, of whatever kind."""
    told: dict[int, float] = {}
    for number, (now, observation, updates) in enumerate(kept := accepted(run(every, history))):
        before = kept[number - 1][1] if number else None
        news = before is None or observation.is_terminal or before != observation
        for update in updates:
            if not news:
                assert now - told[update.subscriber] >= every[update.subscriber]
            told[update.subscriber] = now


@given(intervals, histories)
def test_every_transition_reaches_every_subscriber_at_once(
    every: list[float], history: list[tuple[float, Observation]]
) -> None:
    """P3, with the state before: the same for everybody, None for the first."""
    before: Observation | None = None
    for _, observation, updates in accepted(run(every, history)):
        if before is None or (before.state, before.attempt) != (observation.state, observation.attempt):
            assert [update.subscriber for update in updates] == list(range(len(every)))
        for update in updates:
            assert update.previous_state == (before.state if before else None)
            assert update.is_terminal == observation.is_terminal
        before = observation


@given(intervals, histories)
def test_an_attempt_ends_once_and_says_nothing_after_it(
    every: list[float], history: list[tuple[float, Observation]]
) -> None:
    """P4 and P11."""
    ended: set[int] = set()
    for _, observation, updates in run(every, history):
        if updates:
            assert observation.attempt not in ended
        if updates and observation.is_terminal:
            assert len(updates) == len(every)
            ended.add(observation.attempt)


@given(intervals, histories)
def test_nobody_starves(every: list[float], history: list[tuple[float, Observation]]) -> None:
    """An observation at the time that the cadence itself names reaches at least one subscriber."""
    cadence = Cadence(every)
    now = 0.0
    for passed, observation in history:
        now += passed
        cadence.observe(observation, now)
        if cadence.ended:
            return
    tick = cadence.next_tick
    assert tick is not None
    shortest = every.index(min(every))
    # Rounding may put the sum a hair before the interval's end.
    updates = cadence.observe(history[-1][1], tick + 1e-6) if history[-1][1].attempt == latest(history) else None
    assert updates is None or shortest in [update.subscriber for update in updates]


@given(st.integers(1, 4), st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=20))
def test_a_rota_serves_whoever_waits(most: int, rounds: list[set[str]]) -> None:
    """As many as can be; and nobody who waits all the time is passed over by those who came when he had waited already."""
    rota = Rota(most)
    waited: dict[str, int] = {}
    for waiting in rounds:
        served = rota.next(sorted(waiting))
        assert len(served) == len(set(served)) == min(most, len(waiting))
        assert waiting.issuperset(served)
        waited = {name: waited.get(name, 0) + 1 for name in waiting if name not in served}
        assert all(rounds_waited <= (8 - 1) // most for rounds_waited in waited.values())


def latest(history: list[tuple[float, Observation]]) -> int:
    return max(observation.attempt for _, observation in history)


def test_a_late_delivery_counts() -> None:
    """A subscriber that had to wait for a slow one before it is not called again too soon."""
    cadence = Cadence([1.0, 1.0])
    cadence.observe(Observation("RUNNING", False), 0.0)
    cadence.delivered(1, 0.7)
    assert [update.subscriber for update in cadence.observe(Observation("RUNNING", False), 1.0)] == [0]
    assert cadence.next_tick == 2.0
    assert [update.subscriber for update in cadence.observe(Observation("RUNNING", False), 2.0)] == [0, 1]


def test_the_end_is_told_whatever_its_word() -> None:
    cadence = Cadence([100.0])
    cadence.observe(Observation("ODD", False), 0.0)
    assert cadence.observe(Observation("ODD", True), 1.0) == [Update(0, "ODD", True)]


def test_a_requeue_in_the_same_state_is_news() -> None:
    cadence = Cadence([100.0])
    cadence.observe(Observation("RUNNING", False, 0), 0.0)
    assert cadence.observe(Observation("RUNNING", False, 1), 1.0) == [Update(0, "RUNNING", False)]
    assert cadence.observe(Observation("FAILED", True, 1), 2.0) == [Update(0, "RUNNING", True)]
    assert cadence.ended
    assert cadence.observe(Observation("PENDING", False, 2), 3.0) == [Update(0, "FAILED", False)]
    assert not cadence.ended


@given(st.floats(min_value=0, max_value=1e5), st.lists(st.sampled_from(["asked", "signed", "due"]), max_size=60))
def test_pace_never_asks_in_a_loop_nor_stops_asking(age: float, events: list[str]) -> None:
    """Without a sign at least the floor lies between two requests, and never more than the ceiling."""
    pace = Pace(0.0)
    now = age
    for event in events:
        if event == "signed":
            pace.signed(now)
            assert pace.due == now
        elif event == "asked":
            pace.asked(now, hurry=True)
            assert now + 0.01 <= pace.due <= now + 60.0
        else:
            now = max(now, pace.due)
        assert 0.005 <= pace.look_after(now) <= 10.0
    pace.asked(now, hurry=False)
    assert now + 0.25 <= pace.due <= now + 60.0


def test_pace_in_a_hurry_slows_down_by_itself() -> None:
    pace = Pace(0.0)
    pace.signed(1000.0)
    now, gaps = 1000.0, []
    for _ in range(15):
        pace.asked(now, hurry=True)
        gaps.append(pace.due - now)
        now = pace.due
    assert gaps[0] == 0.01 or abs(gaps[0] - 0.01) < 1e-9
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(gaps))
    assert gaps[-1] == 60.0


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), max_size=100))
def test_budget_is_kept(spending: list[tuple[float, float]]) -> None:
    """In the long run the hurry costs not more than its share of the time."""
    budget = Budget(capacity=0.5, share=0.01)
    now = total = largest = 0.0
    for passed, cost in spending:
        now += passed
        if budget.allows(now):
            budget.spend(now, cost)
            total += cost
            largest = max(largest, cost)
    assert total <= 0.5 + 0.01 * now + largest + 1e-6


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0.75, max_value=1.25))
def test_backoff_grows_to_its_ceiling(failures: int, jitter: float) -> None:
    pause = backoff(failures, lambda low, high: jitter)
    assert 0.75 <= pause <= 75.0
    assert backoff(failures + 1, lambda low, high: jitter) >= pause


def test_backoff_is_jittered_around_a_power_of_two() -> None:
    asked: list[tuple[float, float]] = []

    def middle(low: float, high: float) -> float:
        asked.append((low, high))
        return (low + high) / 2

    assert [backoff(failures, middle) for failures in (1, 2, 3, 7)] == [1.0, 2.0, 4.0, 60.0]
    assert set(asked) == {(0.75, 1.25)}
    assert backoff(10_000, middle, ceiling=1e12) == 2.0**30, "and no number that is too large for a float"


def test_an_answer_for_somebody_else_may_be_half_as_old_as_the_latest_one() -> None:
    pace = Pace(100.0)
    assert pace.max_age(100.0) == 0.0
    assert pace.max_age(110.0) == 5.0
    pace.asked(110.0, hurry=False)
    assert pace.max_age(114.0) == 2.0
    assert pace.max_age(109.0) == 0.0, "a clock that has gone back"


def test_in_a_hurry_no_answer_from_before_the_sign_will_do() -> None:
    pace = Pace(100.0)
    pace.signed(120.0)
    assert pace.max_age(120.0) == 0.0
    assert pace.max_age(120.5) == 0.5


def test_pace_without_a_sign_grows_with_the_wait() -> None:
    pace = Pace(100.0)
    assert pace.due == 100.25
    pauses = []
    for now in (100.25, 105.0, 110.0, 500.0, 5000.0):
        pace.asked(now, hurry=True)
        pauses.append(round(pace.due - now, 6))
    assert pauses == [0.25, 0.5, 1.0, 40.0, 60.0]


def test_pace_after_a_sign_doubles_until_it_is_the_usual_one() -> None:
    pace = Pace(100.0)
    pace.signed(120.0)
    assert pace.due == 120.0
    pauses = []
    for _ in range(10):
        now = pace.due
        pace.asked(now, hurry=True)
        pauses.append(round(pace.due - now, 4))
    usual = [round(0.1 * 22, 1), 2.5]
    assert pauses[:9] == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, pauses[8]]
    assert usual[0] <= pauses[8] <= usual[1], "and not 2.56"
    assert pauses[9] > pauses[8]


def test_pace_after_a_sign_without_a_hurry_is_a_second() -> None:
    pace = Pace(100.0)
    pace.signed(200.0)
    pace.asked(200.0, hurry=False)
    assert pace.due == 201.0


def test_the_job_directory_is_looked_into_more_and_more_seldom() -> None:
    pace = Pace(100.0)
    assert [round(pace.look_after(now), 4) for now in (100.0, 101.0, 200.0, 10_000.0)] == [0.005, 0.02, 2.0, 10.0]


def test_a_budget_that_is_spent_allows_nothing() -> None:
    budget = Budget(capacity=1.0, share=0.1)
    assert budget.allows(0.0)
    budget.spend(0.0, 1.0)
    assert not budget.allows(0.0)
    assert budget.allows(0.1)
