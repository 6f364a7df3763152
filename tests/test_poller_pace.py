"""When a poller asks, and what it tells: its thread by a clock that runs on while it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from slurmkit import BaseCallback, JobStatusUpdatedContext
from slurmkit.backends.parse import record
from slurmkit.callbacks.dispatch import Subscriber
from slurmkit.errors import SchedulerError, SchedulerNotFound
from slurmkit.polling.arbitration import Snapshot
from slurmkit.polling.follower import Follower
from slurmkit.polling.poller import Poller

NOW = 1000.0


def snapshot(state: str, at: float, attempt: int = 0, job_id: str = "7") -> Snapshot:
    return Snapshot(job_id, record(JobId=job_id, JobState=state), state, state == "COMPLETED", attempt, "squeue", at)


class Clock:
    """`events` happen when their time has come, while somebody waits for something later."""

    def __init__(self) -> None:
        self.now = NOW
        self.events: list[tuple[float, Callable[[], object]]] = []
        self.made: list[object] = []

    def condition(self) -> threading.Condition:
        self.made.append("condition")
        return threading.Condition()

    def thread(self, target: Callable[[], object], *, name: str, background: bool) -> threading.Thread:
        self.made.append((name, background))
        return threading.Thread(target=target, name=name, daemon=True)

    def time(self) -> float:
        return self.now + 1e9

    def monotonic(self) -> float:
        return self.now

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        assert timeout is not None
        condition.notify_all()  # an error where the caller does not hold it
        until = self.now + timeout
        if self.events and self.events[0][0] <= until:
            when, event = self.events.pop(0)
            self.now = max(when, self.now)
            event()
            return True
        self.now = until
        return False


class Service:
    """Each job's state by the time, with ``+`` for a requeue that was before; counts what it is asked."""

    def __init__(self, clock: Clock, states: Mapping[str, dict[float, str]]) -> None:
        self.clock, self.states = clock, states
        self.asked: list[tuple[float, float]] = []
        self.about: list[list[str]] = []
        self.last_round: float | None = None
        self.retry_at = float("-inf")
        self.failure: SchedulerError | None = None

    def snapshot(self, job_ids: Iterable[str], max_age: float) -> Mapping[str, Snapshot]:
        now = self.clock.now
        self.asked.append((now - NOW, max_age))
        self.about.append(list(job_ids))
        if self.failure is not None:
            raise self.failure
        known = {}
        for one in self.about[-1]:
            state = next(state for since, state in reversed(self.states[one].items()) if now - NOW >= since)
            if state:
                known[one] = snapshot(state.rstrip("+"), now, state.count("+"), one)
        return known


class Hears(BaseCallback):
    def __init__(self, clock: Clock, takes: float = 0.0) -> None:
        self.clock, self.takes = clock, takes
        self.heard: list[tuple[float, str | None, str, bool]] = []
        self.contexts: list[JobStatusUpdatedContext] = []

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        self.contexts.append(ctx)
        self.heard.append((self.clock.now - NOW, ctx.previous_state, ctx.status["JobState"], ctx.is_terminal))
        self.clock.now += self.takes


class Case:
    """A poller of the jobs with these states."""

    def __init__(self, states: Mapping[str, dict[float, str]], *intervals: float, takes: float = 0.0) -> None:
        self.clock = Clock()
        self.service = Service(self.clock, states)
        self.hears = [Hears(self.clock, takes) for _ in intervals]
        self.completed: list[tuple[str, str]] = []
        service: Any = self.service
        self.jobs: list[Any] = [SimpleNamespace(job_id=job_id) for job_id in states]
        subscribers = [Subscriber(one, each) for one, each in zip(self.hears, intervals, strict=True)]
        self.poller = Poller(
            self.jobs, subscribers, service, self.clock, lambda job, end: self.completed.append((job.job_id, end.state))
        )

    def run(self) -> list[float]:
        """To the end: when it asked."""
        assert not self.poller.is_alive
        self.poller.start()
        assert self.poller.join(60)
        return [when for when, _ in self.service.asked]


def test_the_shortest_interval_says_when_it_asks_and_each_is_told_at_its_own() -> None:
    case = Case({"7": {0: "RUNNING", 20: "COMPLETED"}}, 2.0, 5.0)
    assert case.run() == [2.0 * number for number in range(11)]
    assert {age for _, age in case.service.asked} == {2.0}
    assert [when for when, *_ in case.hears[0].heard] == [2.0 * number for number in range(11)]
    assert case.hears[1].heard == [
        *((0.0, None, "RUNNING", False), (6.0, "RUNNING", "RUNNING", False), (12.0, "RUNNING", "RUNNING", False)),
        *((18.0, "RUNNING", "RUNNING", False), (20.0, "RUNNING", "COMPLETED", True)),
    ]
    assert case.completed == [("7", "COMPLETED")]


def test_what_the_context_says() -> None:
    case = Case({"7": {0: "COMPLETED"}}, 2.0)
    case.run()
    (context,) = case.hears[0].contexts
    assert (context.job_id, context.job, context.timestamp) == ("7", case.jobs[0], NOW + 1e9)
    assert (context.status["JobState"], context.previous_state, context.is_terminal) == ("COMPLETED", None, True)


def test_the_clock_makes_what_a_poller_waits_with() -> None:
    """A virtual one has to know of it; nobody waits for what a poller does."""
    assert Case({"7": {0: "COMPLETED"}}, 2.0).clock.made == ["condition", ("slurmkit-poller-7", True)]


def test_the_first_question_waits_for_the_next_common_round() -> None:
    case = Case({"7": {0: "COMPLETED"}}, 2.0)
    case.service.last_round = NOW - 0.5
    assert case.run() == [1.5]
    case = Case({"7": {0: "COMPLETED"}}, 2.0)
    case.service.last_round = NOW - 5.0
    assert case.run() == [0.0]


def test_a_slow_callback_delays_the_next_question() -> None:
    """From its call on."""
    case = Case({"7": {0: "RUNNING", 10: "COMPLETED"}}, 2.0, takes=0.5)
    assert case.run() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    case = Case({"7": {0: "RUNNING", 10: "COMPLETED"}}, 2.0, takes=3.0)
    assert case.run() == [0.0, 3.0, 6.0, 9.0, 12.0]


def test_what_others_saw_is_told_at_once_and_makes_the_next_question_later() -> None:
    case = Case({"7": {0: "PENDING", 8: "COMPLETED"}}, 2.0)
    case.clock.events = [(NOW + 3.0, lambda: case.poller.offer([snapshot("RUNNING", NOW + 3.0)]))]
    assert case.run() == [0.0, 2.0, 5.0, 7.0, 9.0]
    assert [(when, state) for when, _, state, _ in case.hears[0].heard][:3] == [
        (0.0, "PENDING"),
        (2.0, "PENDING"),
        (3.0, "RUNNING"),
    ]


def test_what_others_saw_earlier_is_no_news() -> None:
    case = Case({"7": {0: "RUNNING", 4: "COMPLETED"}}, 2.0)
    case.clock.events = [(NOW + 3.0, lambda: case.poller.offer([snapshot("PENDING", NOW + 2.0)]))]
    assert case.run() == [0.0, 2.0, 5.0], "an interval after it was looked at"
    assert [state for _, _, state, _ in case.hears[0].heard] == ["RUNNING", "RUNNING", "COMPLETED"]


def test_several_that_others_saw_are_told_in_the_order_in_which_they_were_seen() -> None:
    case = Case({"7": {0: "PENDING", 4: "COMPLETED"}}, 2.0)

    def offer() -> None:
        case.poller.offer([snapshot("RUNNING", NOW + 1.5), snapshot("CONFIGURING", NOW + 1.0)])

    case.clock.events = [(NOW + 1.6, offer)]
    case.run()
    assert [state for _, _, state, _ in case.hears[0].heard][:3] == ["PENDING", "CONFIGURING", "RUNNING"]


def test_a_failing_scheduler_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    case = Case({"7": {0: "COMPLETED"}}, 2.0)
    case.service.failure = SchedulerNotFound("no squeue")

    def mend() -> None:
        case.service.failure = None

    case.clock.events = [(NOW + 3.0, mend)]
    assert case.run() == [0.0, 2.0, 4.0]
    assert caplog.messages == ["job 7 cannot be followed at present: no squeue"] * 2
    case = Case({"7": {0: "", 9: "COMPLETED"}}, 2.0)
    case.service.retry_at = NOW + 5.0
    assert case.run() == [0.0, 5.0, 7.0, 9.0], "an answer without the job is no state"
    assert [when for when, *_ in case.hears[0].heard] == [9.0]


def test_a_poller_that_is_closed_tells_nothing_more() -> None:
    case = Case({"7": {0: "RUNNING"}}, 2.0)
    case.clock.events = [(NOW + 3.0, case.poller.close)]
    assert case.run() == [0.0, 2.0]
    assert (case.completed, case.poller.is_alive) == ([], False)


def test_a_poller_that_has_not_begun_is_gone() -> None:
    case = Case({"7": {0: "RUNNING"}}, 2.0)
    assert case.poller.join(0.0)


def test_a_callback_does_not_wait_for_its_own_poller() -> None:
    case = Case({"7": {0: "COMPLETED"}}, 2.0)
    joined: list[object] = []
    case.poller._completed = lambda _, end: joined.append((case.poller.join(60), case.poller.is_current_thread))
    case.run()
    assert joined == [(False, True)]
    assert not case.poller.is_current_thread


def test_a_requeue_is_told_at_once_to_everybody() -> None:
    """Also one that nobody has seen any other state of."""
    case = Case({"7": {0: "RUNNING", 4: "RUNNING+", 20: "COMPLETED++"}}, 2.0, 100.0)
    case.run()
    assert [when for when, *_ in case.hears[1].heard] == [0.0, 4.0, 20.0]
    assert [(ctx.attempt, ctx.restart_count) for ctx in case.hears[1].contexts] == [(0, 0), (1, 1), (2, 2)]


# Several jobs: an array


def array(*states: dict[float, str], intervals: Sequence[float] = (2.0,)) -> Case:
    return Case({f"7_{index}": one for index, one in enumerate(states)}, *intervals)


def heard(case: Case, job_id: str, subscriber: int = 0) -> list[tuple[float, str | None, str]]:
    hears = case.hears[subscriber]
    told = zip(hears.contexts, hears.heard, strict=True)
    return [(when, before, state) for ctx, (when, before, state, _) in told if ctx.job_id == job_id]


def test_each_job_has_updates_and_an_end_of_its_own() -> None:
    case = array({0: "PENDING", 4: "RUNNING", 10: "COMPLETED"}, {0: "RUNNING", 4: "COMPLETED"}, intervals=(2.0, 5.0))
    assert case.run() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert case.service.about == [["7_0", "7_1"]] * 3 + [["7_0"]] * 3, "no longer about what is over"
    assert heard(case, "7_0", 1) == [
        *((0.0, None, "PENDING"), (4.0, "PENDING", "RUNNING"), (10.0, "RUNNING", "COMPLETED")),
    ]
    assert heard(case, "7_1", 1) == [(0.0, None, "RUNNING"), (4.0, "RUNNING", "COMPLETED")]
    assert [when for when, *_ in heard(case, "7_0")] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert [when for when, *_ in heard(case, "7_1")] == [0.0, 2.0, 4.0]
    assert case.completed == [("7_1", "COMPLETED"), ("7_0", "COMPLETED")]
    by_id = {job.job_id: job for job in case.jobs}
    assert all(ctx.job is by_id[ctx.job_id] for ctx in case.hears[0].contexts)


def test_an_end_is_delivered_right_after_its_update() -> None:
    case = array({0: "COMPLETED"}, {0: "COMPLETED"})
    told: list[int] = []
    case.poller._completed = lambda job, end: told.append(len(case.hears[0].contexts))
    assert case.run() == [0.0]
    assert told == [1, 2]


def test_what_one_element_offers_is_no_reason_to_ask_later_about_the_others() -> None:
    case = array({0: "PENDING", 8: "COMPLETED"}, {0: "PENDING", 8: "COMPLETED"})
    case.clock.events = [(NOW + 3.0, lambda: case.poller.offer([snapshot("RUNNING", NOW + 3.0, job_id="7_0")]))]
    assert case.run() == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert (3.0, "PENDING", "RUNNING") in heard(case, "7_0")
    assert [when for when, *_ in heard(case, "7_1")] == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_the_last_that_goes_on_is_asked_about_like_a_single_job() -> None:
    case = array({0: "COMPLETED"}, {0: "PENDING", 6: "COMPLETED"})
    case.clock.events = [(NOW + 3.0, lambda: case.poller.offer([snapshot("RUNNING", NOW + 3.0, job_id="7_1")]))]
    assert case.run() == [0.0, 2.0, 5.0, 7.0]


def test_news_of_a_scheduler_that_answers_again_is_a_reason_to_ask_sooner() -> None:
    case = array({0: "PENDING", 7: "COMPLETED"}, {0: "PENDING", 7: "COMPLETED"})
    case.service.retry_at = NOW + 10.0

    def answer() -> None:
        case.service.retry_at = float("-inf")
        case.poller.offer([snapshot("RUNNING", NOW + 3.0, job_id="7_0")])

    case.clock.events = [(NOW + 3.0, answer)]
    assert case.run() == [0.0, 5.0, 7.0]


def test_news_of_a_job_that_is_over_do_not_hide_those_of_others() -> None:
    case = array({0: "COMPLETED"}, {0: "PENDING", 4: "COMPLETED"}, {0: "PENDING", 4: "COMPLETED"})
    late = [snapshot("RUNNING", NOW + at, job_id=job_id) for at, job_id in ((0.5, "7_0"), (0.0, "7_1"), (1.0, "7_2"))]
    case.clock.events = [(NOW + 1.0, lambda: case.poller.offer(late))]
    case.run()
    assert (1.0, "PENDING", "RUNNING") in heard(case, "7_2")
    assert [state for _, _, state in heard(case, "7_1")] == ["PENDING", "PENDING", "COMPLETED"], "seen earlier"
    assert heard(case, "7_0") == [(0.0, None, "COMPLETED")]
    assert [job_id for job_id, _ in case.completed] == ["7_0", "7_1", "7_2"]


def test_a_poller_that_is_closed_by_a_hook_tells_of_no_other_job() -> None:
    case = array({0: "COMPLETED"}, {0: "COMPLETED"})
    case.poller._completed = lambda job, end: (case.completed.append((job.job_id, end.state)), case.poller.close())
    case.run()
    assert case.completed == [("7_0", "COMPLETED")]
    assert len(case.hears[0].heard) == 1


# The follower


class Followed:
    """A watch: what `advance` answers, one after the other."""

    def __init__(self, clock: Clock, *answers: float | Exception | None) -> None:
        self.clock, self.answers = clock, list(answers)
        self.moments: list[float] = []
        self.done = threading.Event()

    def advance(self) -> float | None:
        self.moments.append(round(self.clock.now - NOW, 4))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            self.done.set()
        return answer


def follow(clock: Clock, *watches: Any) -> Follower:
    """The thread begins when all of them are known."""
    follower = Follower(clock)
    with follower._changed:
        for watch in watches:
            follower.follow(watch)
    for watch in watches:
        assert watch.done.wait(60)
    follower.close(60)
    return follower


def test_a_follower_comes_back_when_the_first_is_due() -> None:
    clock = Clock()
    first, second = Followed(clock, 5.0, 100.0, None), Followed(clock, 8.0, 2.0, None)
    follow(clock, first, second)
    assert first.moments == [0.0, 5.0, 7.0]
    assert second.moments == [0.0, 5.0, 7.0]


def test_the_clock_makes_what_a_follower_waits_with() -> None:
    clock = Clock()
    follow(clock, Followed(clock, None))
    assert clock.made == ["condition", ("slurmkit-follower", False)]


def test_a_follower_that_is_closed_is_waited_for() -> None:
    clock = Clock()
    inside, leave = threading.Event(), threading.Event()

    class Holds(Followed):
        def advance(self) -> float | None:
            inside.set()
            assert leave.wait(60)
            return super().advance()

    watch: Any = Holds(clock, 1.0)
    follower = Follower(clock)
    follower.follow(watch)
    assert inside.wait(60)
    follower.close(0.01)
    thread = follower._thread
    assert thread is not None
    assert thread.is_alive(), "left to the callback that keeps it"
    leave.set()
    follower.close(60)
    assert not thread.is_alive()


def test_a_follower_looks_at_many_a_little_later() -> None:
    clock = Clock()
    watches = [Followed(clock, 0.0001, None) for _ in range(50)]
    follow(clock, *watches)
    assert watches[0].moments == [0.0, 0.05]


def test_a_job_that_cannot_be_followed_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    watch = Followed(clock, SchedulerNotFound("no squeue"), None)
    follow(clock, watch)
    assert watch.moments == [0.0, 10.0]
    assert caplog.messages == ["a job cannot be followed at present: no squeue"]


def test_a_closed_follower_follows_nobody() -> None:
    clock = Clock()
    follower = Follower(clock)
    follower.close(60)
    watch: Any = Followed(clock, None)
    follower.follow(watch)
    assert (watch.moments, follower._thread) == ([], None)


def test_a_follower_comes_back_within_a_minute() -> None:
    clock = Clock()
    watch = Followed(clock, 1000.0, None)
    follow(clock, watch)
    assert watch.moments == [0.0, 60.0]


def test_a_watch_that_is_followed_already_is_followed_once() -> None:
    clock = Clock()
    watch = Followed(clock, 5.0, None)
    follow(clock, watch, watch)
    assert watch.moments == [0.0, 5.0]


def test_a_watch_that_comes_while_others_are_looked_at_does_not_wait() -> None:
    clock = Clock()
    second: Any = Followed(clock, None)

    class Submits(Followed):
        def advance(self) -> float | None:
            if not self.moments:
                follower.follow(second)
            return super().advance()

    first: Any = Submits(clock, 5.0, None)
    follower = Follower(clock)
    follower.follow(first)
    assert first.done.wait(60)
    assert second.done.wait(60)
    assert second.moments == [0.0]


def test_the_thread_is_there_while_there_is_somebody_to_follow() -> None:
    clock = Clock()
    follower = Follower(clock)
    assert follower._thread is None
    for number in range(2):
        watch: Any = Followed(clock, 1.0, None)
        with follower._changed:
            follower.follow(watch)
            thread = follower._thread
        assert thread is not None
        assert watch.done.wait(60)
        thread.join(60)
        assert (thread.is_alive(), follower._thread) == (False, None), number


def test_what_a_follower_calls_may_close_it() -> None:
    clock = Clock()

    class Closes(Followed):
        def advance(self) -> float | None:
            follower.close(60)
            return super().advance()

    watch: Any = Closes(clock, None)
    follower = Follower(clock)
    with follower._changed:
        follower.follow(watch)
        thread = follower._thread
    assert thread is not None
    thread.join(60)
    assert not thread.is_alive()
    assert watch.done.is_set()
