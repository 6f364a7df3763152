"""`VirtualClock`: who runs when, and when time moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeslurm import VirtualClock
from slurmkit.clock import condition, sleep, thread

BOUND = 20.0
"""Real seconds after which something that should have happened has not."""


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        pause.wait(0.005)


def start_of(clock: VirtualClock) -> float:
    return datetime(2030, 1, 1, tzinfo=UTC).timestamp()


def test_it_stands_still() -> None:
    clock = VirtualClock()
    assert clock.time() == clock.monotonic() == start_of(clock)
    assert repr(clock) == "<VirtualClock 2030-01-01T00:00:00.000+00:00>"


@pytest.mark.parametrize("start", [12.5, datetime(1970, 1, 1, 0, 0, 12, 500000, tzinfo=UTC)])
def test_it_starts_when_it_is_told(start: float | datetime) -> None:
    assert VirtualClock(start).time() == 12.5


@pytest.mark.parametrize(
    ("start", "error", "words"),
    [
        (datetime(2030, 1, 1), ValueError, "naive"),
        ("now", TypeError, "'now'; valid: epoch seconds"),
        (True, TypeError, "True; valid: epoch seconds"),
    ],
)
def test_a_start_that_is_none(start: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        VirtualClock(start)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan")])
def test_there_is_no_way_back(seconds: float) -> None:
    clock = VirtualClock()
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(seconds)
    assert clock.time() == start_of(clock)


def test_who_waits_alone_moves_it() -> None:
    clock = VirtualClock(0.0)
    before = time.monotonic()
    sleep(clock, 86400.0)
    assert clock.time() == 86400.0
    assert time.monotonic() - before < BOUND


def test_without_autojump_it_waits_to_be_advanced() -> None:
    clock = VirtualClock(0.0, autojump=False)
    slept = threading.Event()
    sleeper = threading.Thread(target=lambda: (sleep(clock, 10.0), slept.set()), daemon=True)
    sleeper.start()
    until(lambda: bool(clock._turns._waiters))
    clock.advance(9.0)
    assert not slept.is_set()
    clock.advance(1.0)
    assert slept.wait(BOUND)
    assert clock.time() == 10.0


def test_what_is_due_happens_in_its_order_and_before_the_advance_returns() -> None:
    clock = VirtualClock(0.0)
    seen: list[tuple[float, str]] = []

    def every(seconds: float, name: str) -> Callable[[], None]:
        def run() -> None:
            while True:
                sleep(clock, seconds)
                seen.append((clock.time(), name))

        return run

    for name, seconds in (("a", 3.0), ("b", 2.0), ("c", 3.0)):
        thread(clock, every(seconds, name), name=name, background=True).start()
    clock.advance(6.0)
    assert seen == [(2, "b"), (3, "a"), (3, "c"), (4, "b"), (6, "b"), (6, "a"), (6, "c")] or seen == [
        (2, "b"), (3, "a"), (3, "c"), (4, "b"), (6, "a"), (6, "c"), (6, "b")
    ]  # fmt: skip
    assert seen == sorted(seen, key=lambda one: one[0])


def test_background_threads_alone_do_not_move_it() -> None:
    clock = VirtualClock(0.0)
    thread(clock, lambda: sleep(clock, 1.0), name="one", background=True).start()
    until(lambda: bool(clock._turns._waiters))
    assert clock.time() == 0.0
    clock.advance(0.5)
    assert clock.time() == 0.5


def test_one_member_runs_at_a_time() -> None:
    clock = VirtualClock(0.0)
    running = 0
    most = 0

    def work() -> None:
        nonlocal running, most
        for _ in range(20):
            running += 1
            most = max(most, running)
            time.sleep(0.0005)  # another one would come in between here
            running -= 1
            sleep(clock, 1.0)

    workers = [thread(clock, work, name=f"w{number}") for number in range(5)]
    with clock.participate():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert most == 1
    assert clock.time() == 20.0


def test_a_thread_that_is_slow_to_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(0.0)
    began: list[float] = []
    slow = thread(clock, lambda: began.append(clock.time()), name="slow", background=True)
    run = slow.run

    def run_late() -> None:
        time.sleep(0.1)
        run()

    monkeypatch.setattr(slow, "run", run_late)
    slow.start()
    sleep(clock, 100.0)
    assert began == [0.0]


def test_a_notified_waiter_goes_on_at_once() -> None:
    clock = VirtualClock(0.0)
    changed = condition(clock)
    answers: list[tuple[bool, float]] = []

    def wait() -> None:
        with changed:
            answers.append((clock.wait(changed, 100.0), clock.time()))

    with clock.participate():
        waiter = thread(clock, wait, name="waiter", background=True)
        waiter.start()
        sleep(clock, 7.0)
        with changed:
            changed.notify_all()
        waiter.join()
        late = thread(clock, wait, name="late", background=True)
        late.start()
        late.join()
    assert answers == [(True, 7.0), (False, 107.0)]


def test_wait_for_goes_by_the_clock() -> None:
    clock = VirtualClock(0.0)
    changed = condition(clock)
    with changed:
        assert changed.wait_for(lambda: clock.time() > 10, timeout=10.0) is False
        assert clock.time() == 10.0
        assert changed.wait_for(lambda: "yes") == "yes"


def test_work_on_the_machine_holds_it_up() -> None:
    clock = VirtualClock(0.0)
    clock.processes(1)
    slept = threading.Event()
    threading.Thread(target=lambda: (sleep(clock, 5.0), slept.set()), daemon=True).start()
    until(lambda: bool(clock._turns._waiters))
    assert not slept.wait(0.1)
    assert clock.time() == 0.0
    clock.advance(1.0)  # that is stronger
    assert clock.time() == 1.0
    clock.processes(-1)
    assert slept.wait(BOUND)
    assert clock.time() == 5.0


def test_what_takes_no_time_holds_up_an_advance_too() -> None:
    clock = VirtualClock(0.0)
    clock.moving(1)
    advanced = threading.Event()
    threading.Thread(target=lambda: (clock.advance(5.0), advanced.set()), daemon=True).start()
    until(lambda: bool(clock._turns._waiters))
    assert not advanced.wait(0.1)
    clock.moving(-1)
    assert advanced.wait(BOUND)


def test_a_member_that_blocks_the_others_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """It needs a lock that one of them has, who waits by the clock: without this both would wait for ever."""
    clock = VirtualClock(0.0)
    lock = threading.Lock()
    order: list[str] = []

    def holder() -> None:
        with lock:
            sleep(clock, 1.0)
            order.append("holder")

    def needer() -> None:
        sleep(clock, 1.0)
        with lock:
            order.append("needer")

    with clock.participate():
        for number, work in enumerate((needer, holder)):
            thread(clock, work, name=str(number)).start()
        sleep(clock, 2.0)
    assert order == ["holder", "needer"]
    assert "a lock of theirs" in caplog.text


def test_a_condition_of_the_standard_library_is_refused() -> None:
    clock = VirtualClock()
    plain = threading.Condition()
    with plain, pytest.raises(TypeError, match=r"VirtualClock\.condition"):
        clock.wait(plain, 1.0)


def test_a_condition_has_to_be_held() -> None:
    changed = VirtualClock().condition()
    with pytest.raises(RuntimeError, match="wait on a condition that is not held"):
        changed.wait(1.0)
    with pytest.raises(RuntimeError, match="notify on a condition that is not held"):
        changed.notify_all()


def test_join_goes_by_real_time_too() -> None:
    clock = VirtualClock()
    go_on = threading.Event()
    blocked = thread(clock, lambda: go_on.wait(BOUND), name="blocked")
    with pytest.raises(RuntimeError, match="not started"):
        blocked.join()
    blocked.start()
    blocked.join(timeout=0.05)
    assert blocked.is_alive()
    go_on.set()
    blocked.join()
    assert not blocked.is_alive()


def test_other_clocks_have_plain_conditions_and_threads() -> None:
    class Plain:
        def time(self) -> float:
            return 0.0

        def monotonic(self) -> float:
            return 0.0

        def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
            return False

    assert type(condition(Plain())) is threading.Condition
    made = thread(Plain(), lambda: None, name="x")
    assert (type(made), made.name, made.daemon) == (threading.Thread, "x", True)


_SLEEPS = st.lists(st.sampled_from([0.0, 0.25, 1.0, 1.0, 2.0, 7.5]), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(st.lists(_SLEEPS, min_size=1, max_size=6))
def test_the_same_members_do_the_same_in_the_same_order(plans: list[list[float]]) -> None:
    """Real threads, one order: that of deadlines, and at one moment that in which they began to wait."""

    def history() -> list[tuple[float, int, int]]:
        clock = VirtualClock(0.0)
        seen: list[tuple[float, int, int]] = []

        def follow(number: int, plan: list[float]) -> Callable[[], None]:
            def run() -> None:
                for step, seconds in enumerate(plan):
                    sleep(clock, seconds)
                    seen.append((clock.time(), number, step))

            return run

        with clock.participate():
            threads = [thread(clock, follow(number, plan), name=str(number)) for number, plan in enumerate(plans)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        return seen

    first = history()
    assert [when for when, _, _ in first] == sorted(when for when, _, _ in first)
    assert sorted(first) == sorted(
        (sum(plan[: step + 1]), number, step) for number, plan in enumerate(plans) for step in range(len(plan))
    )
    assert history() == first
