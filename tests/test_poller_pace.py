"""When a poller asks, and what it tells: its thread by a clock that runs on while it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
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


def snapshot(state: str, at: float, attempt: int = 0) -> Snapshot:
    return Snapshot("7", record(JobId="7", JobState=state), state, state == "COMPLETED", attempt, "squeue", at)


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
        until = self.now + timeout
        if self.events and self.events[0][0] <= until:
            when, event = self.events.pop(0)
            self.now = max(when, self.now)
            event()
            return True
        self.now = until
        return False


class Service:
    """The job's state by the time; counts what it is asked."""

    def __init__(self, clock: Clock, states: dict[float, str]) -> None:
        self.clock, self.states = clock, states
        self.asked: list[tuple[float, float]] = []
        self.last_round: float | None = None
        self.retry_at = float("-inf")
        self.failure: SchedulerError | None = None

    def snapshot(self, job_ids: Iterable[str], max_age: float) -> Mapping[str, Snapshot]:
        now = self.clock.now
        self.asked.append((now - NOW, max_age))
        if self.failure is not None:
            raise self.failure
        state = next(state for since, state in reversed(self.states.items()) if now - NOW >= since)
        return {one: snapshot(state, now) for one in job_ids} if state else {}


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
    def __init__(self, states: dict[float, str], *intervals: float, takes: float = 0.0) -> None:
        self.clock = Clock()
        self.service = Service(self.clock, states)
        self.hears = [Hears(self.clock, takes) for _ in intervals]
        self.completed: list[str] = []
        service: Any = self.service
        self.job: Any = SimpleNamespace(job_id="7")
        subscribers = [Subscriber(one, each) for one, each in zip(self.hears, intervals, strict=True)]
        self.poller = Poller(
            [self.job], subscribers, service, self.clock, lambda _, end: self.completed.append(end.state)
        )

    def run(self) -> list[float]:
        """To the end: when it asked."""
        assert not self.poller.is_alive
        self.poller.start()
        assert self.poller.join(60)
        return [when for when, _ in self.service.asked]


def test_the_shortest_interval_says_when_it_asks_and_each_is_told_at_its_own() -> None:
    case = Case({0: "RUNNING", 20: "COMPLETED"}, 2.0, 5.0)
    assert case.run() == [2.0 * number for number in range(11)]
    assert {age for _, age in case.service.asked} == {2.0}
    assert [when for when, *_ in case.hears[0].heard] == [2.0 * number for number in range(11)]
    assert case.hears[1].heard == [
        *((0.0, None, "RUNNING", False), (6.0, "RUNNING", "RUNNING", False), (12.0, "RUNNING", "RUNNING", False)),
        *((18.0, "RUNNING", "RUNNING", False), (20.0, "RUNNING", "COMPLETED", True)),
    ]
    assert case.completed == ["COMPLETED"]


def test_what_the_context_says() -> None:
    case = Case({0: "COMPLETED"}, 2.0)
    case.run()
    (context,) = case.hears[0].contexts
    assert (context.job_id, context.job, context.timestamp) == ("7", case.job, NOW + 1e9)
    assert (context.status["JobState"], context.previous_state, context.is_terminal) == ("COMPLETED", None, True)


def test_the_clock_makes_what_a_poller_waits_with() -> None:
    """A virtual one has to know of it; nobody waits for what a poller does."""
    assert Case({0: "COMPLETED"}, 2.0).clock.made == ["condition", ("slurmkit-poller-7", True)]


def test_the_first_question_waits_for_the_next_common_round() -> None:
    case = Case({0: "COMPLETED"}, 2.0)
    case.service.last_round = NOW - 0.5
    assert case.run() == [1.5]
    case = Case({0: "COMPLETED"}, 2.0)
    case.service.last_round = NOW - 5.0
    assert case.run() == [0.0]


def test_a_slow_callback_delays_the_next_question() -> None:
    """From its call on."""
    case = Case({0: "RUNNING", 10: "COMPLETED"}, 2.0, takes=0.5)
    assert case.run() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    case = Case({0: "RUNNING", 10: "COMPLETED"}, 2.0, takes=3.0)
    assert case.run() == [0.0, 3.0, 6.0, 9.0, 12.0]


def test_what_others_saw_is_told_at_once_and_makes_the_next_question_later() -> None:
    case = Case({0: "PENDING", 8: "COMPLETED"}, 2.0)
    case.clock.events = [(NOW + 3.0, lambda: case.poller.offer([snapshot("RUNNING", NOW + 3.0)]))]
    assert case.run() == [0.0, 2.0, 5.0, 7.0, 9.0]
    assert [(when, state) for when, _, state, _ in case.hears[0].heard][:3] == [
        (0.0, "PENDING"),
        (2.0, "PENDING"),
        (3.0, "RUNNING"),
    ]


def test_what_others_saw_earlier_is_no_news() -> None:
    case = Case({0: "RUNNING", 4: "COMPLETED"}, 2.0)
    case.clock.events = [(NOW + 3.0, lambda: case.poller.offer([snapshot("PENDING", NOW + 2.0)]))]
    assert case.run() == [0.0, 2.0, 5.0], "an interval after it was looked at"
    assert [state for _, _, state, _ in case.hears[0].heard] == ["RUNNING", "RUNNING", "COMPLETED"]


def test_several_that_others_saw_are_told_in_the_order_in_which_they_were_seen() -> None:
    case = Case({0: "PENDING", 4: "COMPLETED"}, 2.0)

    def offer() -> None:
        case.poller.offer([snapshot("RUNNING", NOW + 1.5), snapshot("CONFIGURING", NOW + 1.0)])

    case.clock.events = [(NOW + 1.6, offer)]
    case.run()
    assert [state for _, _, state, _ in case.hears[0].heard][:3] == ["PENDING", "CONFIGURING", "RUNNING"]


def test_a_failing_scheduler_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    case = Case({0: "COMPLETED"}, 2.0)
    case.service.failure = SchedulerNotFound("no squeue")

    def mend() -> None:
        case.service.failure = None

    case.clock.events = [(NOW + 3.0, mend)]
    assert case.run() == [0.0, 2.0, 4.0]
    assert caplog.messages == ["job 7 cannot be followed at present: no squeue"] * 2
    case = Case({0: "", 9: "COMPLETED"}, 2.0)
    case.service.retry_at = NOW + 5.0
    assert case.run() == [0.0, 5.0, 7.0, 9.0], "an answer without the job is no state"
    assert [when for when, *_ in case.hears[0].heard] == [9.0]


def test_a_poller_that_is_closed_tells_nothing_more() -> None:
    case = Case({0: "RUNNING"}, 2.0)
    case.clock.events = [(NOW + 3.0, case.poller.close)]
    assert case.run() == [0.0, 2.0]
    assert (case.completed, case.poller.is_alive) == ([], False)


def test_a_poller_that_has_not_begun_is_gone() -> None:
    case = Case({0: "RUNNING"}, 2.0)
    assert case.poller.join(0.0)


def test_a_callback_does_not_wait_for_its_own_poller() -> None:
    case = Case({0: "COMPLETED"}, 2.0)
    joined: list[object] = []
    case.poller._completed = lambda _, end: joined.append((case.poller.join(60), case.poller.is_current_thread))
    case.run()
    assert joined == [(False, True)]
    assert not case.poller.is_current_thread


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
