"""When a watch asks Slurm about its job, and how it tells the end: without threads, by a clock that stands still unless somebody waits."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slurmkit import BaseCallback, CompletedContext, jobdir
from slurmkit.backends.parse import record
from slurmkit.errors import ClusterClosed, SchedulerError
from slurmkit.polling.arbitration import JournalEnd, Snapshot
from slurmkit.polling.watch import RESULT_GRACE, START_GRACE, Watch

NOW = 1000.0


class Clock:
    """Time passes while somebody waits; `then` is done at its time."""

    def __init__(self) -> None:
        self.now = NOW
        self.then: tuple[float, Callable[[], object]] | None = None

    def time(self) -> float:
        return self.now + 1e9

    def monotonic(self) -> float:
        return self.now

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        assert timeout is not None
        self.now += timeout
        if self.then is not None and self.now >= self.then[0]:
            self.then[1]()
            self.then = None
        return False


class Status:
    """In the place of the status service: counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.known: dict[str, Snapshot] = {}
        self.retry_at = float("-inf")
        self.can_hurry = True
        self.error: SchedulerError | None = None
        self.expired: list[str] = []
        self.forgotten: list[str] = []
        self.tracked: dict[str, Any] = {}

    def track(self, tokens: Mapping[str, str], **how: Any) -> None:
        self.tracked.update({job_id: SimpleNamespace(token=token, **how) for job_id, token in tokens.items()})

    def snapshot(self, job_ids: Iterable[str], max_age: float) -> Mapping[str, Snapshot]:
        self.asked.append(max_age)
        return {one: self.known[one] for one in job_ids if one in self.known}

    def expire(self, job_ids: Iterable[str], *, cancelled: bool) -> None:
        self.expired.extend(job_ids)

    def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)


class Engine:
    def __init__(self) -> None:
        self.clock = Clock()
        self.status = Status()
        self.closed = False

    def check_open(self, what: str) -> None:
        if self.closed:
            raise ClusterClosed(what)


class Ends(BaseCallback):
    def __init__(self) -> None:
        self.seen: list[CompletedContext] = []

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self.seen.append(ctx)


class OfOne(Watch):
    """The watch of a single job: what it says of that."""

    def __init__(self, engine: Any, job_dir: Path, *, callback: BaseCallback, created: float) -> None:
        job: Any = SimpleNamespace(
            job_id="7",
            job_dir=job_dir,
            journal_path=str(job_dir / jobdir.JOURNAL),
            stdout_path=job_dir / jobdir.STDOUT,
            stderr_path=job_dir / jobdir.STDERR,
        )
        super().__init__(engine, [job], tokens={"7": "t"}, created=created, callbacks=[callback], subscribers=())

    @property
    def is_done(self) -> bool:
        return self.are_done()

    def now(self) -> Snapshot | None:
        [snapshot] = self.current([0])
        return snapshot

    def wait_for(self, seconds: float) -> None:
        self.wait(seconds, lambda: self.is_completed(None))


class Case:
    """A watch, and what is around it."""

    def __init__(self, job_dir: Path, age: float = 0.0) -> None:
        self.engine, self.ends, self.dir = Engine(), Ends(), job_dir
        self.clock, self.status = self.engine.clock, self.engine.status
        self.watch = OfOne(self.engine, job_dir, callback=self.ends, created=self.clock.time() - age)

    def write(self, event: str, attempt: int = 0, **more: Any) -> None:
        known = {"job_state": "FAILED", "exit_code": "1:0", "failed_rank": None} if event == "completed" else {}
        jobdir.append_journal(self.dir, {"event": event, "attempt": attempt, "time": 5.0, **known, **more})

    def observe(self, state: str, *, attempt: int = 0, over: bool | None = None, **fields: str) -> Snapshot:
        """The status service tells what it has seen."""
        over = state in ("COMPLETED", "FAILED", "CANCELLED") if over is None else over
        status = record(JobId="7", JobState=state, **fields)
        snapshot = Snapshot("7", status, state, over, attempt, "squeue", self.clock.now)
        self.status.tracked["7"].listener([snapshot])
        return snapshot

    def asks_within(self, seconds: float) -> list[float]:
        """Somebody waits: when Slurm was asked, in seconds from now."""
        began, moments = self.clock.now, []
        while self.clock.now < began + seconds:
            before = len(self.status.asked)
            left = self.watch.advance()
            assert left is not None
            assert left > 0
            if len(self.status.asked) > before:
                moments.append(round(self.clock.now - began, 3))
            self.clock.now += left
        return moments


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


# When Slurm is asked


def test_the_age_of_the_wait_says_how_often(case: Case) -> None:
    moments = case.asks_within(60.0)
    assert moments[0] == pytest.approx(0.25, abs=0.01)
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(
        pause == pytest.approx(max(0.25, moment / 10), rel=0.25) for moment, pause in zip(moments, pauses, strict=False)
    )
    assert 30 < len(moments) < 45
    assert case.status.asked[0] == pytest.approx(0.125, abs=0.01), "what others have heard in half of the pause will do"


def test_an_old_job_is_asked_about_at_once_and_then_by_its_age(tmp_path: Path) -> None:
    assert Case(tmp_path, age=200.0).asks_within(100.0) == pytest.approx([0.0, 20.0, 42.0, 66.0, 93.0], abs=6.0)
    assert Case(tmp_path, age=-50.0).asks_within(1.0)[0] == pytest.approx(0.25, abs=0.01), "by a clock that is ahead"


def test_the_job_directory_is_looked_at_often(case: Case) -> None:
    assert case.watch.advance() == pytest.approx(0.005)
    case.clock.now += 100.0
    assert case.watch.advance() == pytest.approx(2.0)
    case.clock.now += 1.0
    assert case.watch.advance() == pytest.approx(1.0), "not yet"


def test_the_last_word_of_the_runner_is_a_reason_to_ask_at_once(case: Case) -> None:
    case.clock.now += 100.0
    case.watch.advance()
    case.clock.now += 2.0
    case.write("started")
    before = len(case.status.asked)
    case.watch.advance()
    assert len(case.status.asked) == before, "that is not the last word"
    case.clock.now += 3.0
    case.write("completed")
    case.watch.advance()
    assert case.status.asked[before:] == [0.0]
    assert case.asks_within(1.0)[:3] == pytest.approx([0.01, 0.03, 0.07], abs=0.005), "Slurm still says that it runs"


def test_a_scheduler_that_is_slow_is_asked_less(case: Case) -> None:
    case.status.can_hurry = False
    case.clock.now += 100.0
    case.watch.advance()
    case.clock.now += 3.0
    case.write("completed")
    case.watch.advance()
    assert case.asks_within(3.5) == pytest.approx([1.0, 2.0, 3.0], abs=0.01)


def test_what_is_written_once_is_a_reason_once(case: Case) -> None:
    case.write("completed")
    case.asks_within(100.0)
    before = len(case.status.asked)
    case.asks_within(30.0)
    assert len(case.status.asked) - before <= 4


def test_the_last_word_of_an_earlier_attempt_is_none(case: Case) -> None:
    case.clock.now += 100.0
    case.observe("RUNNING", attempt=1)
    case.watch.advance()
    before = len(case.status.asked)
    case.write("completed")
    case.clock.now += 3.0
    case.watch.advance()
    assert len(case.status.asked) == before
    case.write("completed", attempt=1)
    case.clock.now += 3.0
    case.watch.advance()
    assert case.status.asked[before:] == [0.0]


def test_a_failing_scheduler_is_left_alone(case: Case) -> None:
    case.status.retry_at = NOW + 8.0
    assert case.asks_within(8.2)[0] == 8.0
    assert len(case.status.asked) == 1


def test_what_is_due_later_is_waited_for(case: Case) -> None:
    case.clock.now += 1000.0
    case.watch.advance()
    case.status.retry_at = case.clock.now + 3.0
    assert case.watch.advance() == pytest.approx(10.0), "the next look into the job directory"


def test_a_closed_cluster_asks_nothing(case: Case) -> None:
    case.clock.now += 5.0
    case.engine.closed = True
    case.watch.advance()
    assert case.status.asked == []


def test_a_job_that_was_told_to_end_is_asked_about_at_once(case: Case) -> None:
    case.clock.now += 100.0
    case.watch.advance()
    case.clock.now += 1.0
    case.watch.hurry([0], cancelled=True)
    assert case.status.expired == ["7"]
    before = len(case.status.asked)
    case.watch.advance()
    assert case.status.asked[before:] == [0.0]


def test_the_status_service_is_told_what_the_job_is(case: Case) -> None:
    tracked = case.status.tracked["7"]
    assert (tracked.token, tracked.created) == ("t", case.clock.time())
    assert tracked.journal("7") is None
    case.write("completed", attempt=2)
    assert tracked.journal("7") == JournalEnd(2, "FAILED", "1:0", 5.0)


# The end


def test_the_end_is_delivered_once(case: Case) -> None:
    called: list[str] = []
    assert case.watch.when_done(0, lambda: called.append("done"))
    running = case.observe("RUNNING")
    assert (case.watch.latest(0), case.watch.final(0), case.watch.is_done) == (running, None, False)
    final = case.observe("COMPLETED")
    assert (case.watch.latest(0), case.watch.final(0), case.watch.is_done) == (final, final, False)
    assert case.watch.advance() is None
    assert case.watch.advance() is None
    assert (len(case.ends.seen), called, case.watch.is_done) == (1, ["done"], True)
    assert case.status.forgotten == ["7"]
    assert not case.watch.when_done(0, lambda: called.append("late"))
    assert called == ["done"]
    case.watch.wait_for(5.0)
    assert case.clock.now == NOW, "there is nothing to wait for"


def test_what_was_seen_after_the_end_changes_nothing(case: Case) -> None:
    final = case.observe("FAILED", ExitCode="0:9")
    case.watch.advance()
    case.observe("PENDING", attempt=1)
    assert case.watch.final(0) is final


def test_a_requeue_that_is_seen_in_time_takes_the_end_back(case: Case) -> None:
    case.observe("FAILED")
    case.observe("PENDING", attempt=1)
    assert case.watch.final(0) is None
    assert case.watch.advance() is not None
    assert case.ends.seen == []


def test_somebody_else_delivers(case: Case) -> None:
    inside, leave = threading.Event(), threading.Event()

    class Holds(Ends):
        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            super().on_completed_ctx(ctx)
            inside.set()
            assert leave.wait(60)

    case.watch = OfOne(case.engine, case.dir, callback=(holds := Holds()), created=0.0)
    case.observe("COMPLETED")
    other = threading.Thread(target=case.watch.advance)
    other.start()
    assert inside.wait(60)
    assert case.watch.advance() == 1.0, "who delivers will say so"
    assert not case.watch.is_done
    leave.set()
    other.join(60)
    assert case.watch.advance() is None
    assert len(holds.seen) == 1


def test_inside_its_own_hook_the_job_is_done(case: Case) -> None:
    seen: list[Any] = []

    class Asks(Ends):
        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            seen.append((case.watch.is_done, case.watch.advance(), case.watch.now()))

    case.watch = OfOne(case.engine, case.dir, callback=Asks(), created=0.0)
    final = case.observe("COMPLETED")
    assert case.watch.advance() is None
    assert seen == [(True, None, final)]


FIELDS = {"ExitCode": "0:0", "StartTime": "2026-01-02T03:04:05", "EndTime": "2026-01-02T03:04:08", "Reason": "None"}


def told(case: Case) -> CompletedContext:
    assert case.watch.advance() is None
    (context,) = case.ends.seen
    return context


def test_what_the_context_says(case: Case) -> None:
    final = case.observe("COMPLETED", **FIELDS)
    context = told(case)
    assert (context.job_id, context.job_dir, context.job_state) == ("7", str(case.dir), "COMPLETED")
    assert (context.exit_code, context.reason, context.status) == ("0:0", None, final.status)
    assert (context.stdout_path, context.stderr_path) == (str(case.dir / "stdout"), str(case.dir / "stderr"))
    began = time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))
    assert (context.start_time, context.end_time, context.duration) == (began, began + 3, 3)
    assert (context.error_type, context.error_message, context.traceback, context.job_context) == (None,) * 4


@pytest.mark.parametrize(("reason", "shown"), [("None", None), ("", None), ("TimeLimit", "TimeLimit")])
def test_the_reason(case: Case, reason: str, shown: str | None) -> None:
    case.observe("CANCELLED", Reason=reason, ExitCode="")
    context = told(case)
    assert (context.reason, context.exit_code) == (shown, None)


@pytest.mark.parametrize(("missing", "known"), [("StartTime", "end_time"), ("EndTime", "start_time")])
@pytest.mark.parametrize("text", ["", "Unknown", "yesterday, or so"])
def test_times_that_are_not_known(case: Case, missing: str, known: str, text: str) -> None:
    case.observe("CANCELLED", **FIELDS | {missing: text})
    context = told(case)
    times = {"start_time": context.start_time, "end_time": context.end_time}
    assert times.pop(known) is not None
    assert (list(times.values()), context.duration) == ([None], None)


def test_the_runners_own_times_where_it_has_both(case: Case) -> None:
    case.write("started", time=3.25)
    case.write("completed", time=4.5, error_type="ValueError", error_message="no")
    case.observe("FAILED", **FIELDS)
    context = told(case)
    assert (context.start_time, context.end_time, context.duration) == (3.25, 4.5, 1.25)
    assert (context.error_type, context.error_message) == ("ValueError", "no")


def test_never_a_mixture_of_two_clocks(case: Case) -> None:
    case.write("started", time=3.25)
    case.observe("CANCELLED", **FIELDS)
    assert told(case).duration == 3


# What shows up late


@pytest.mark.parametrize(
    ("state", "exit_code", "waits"),
    [
        ("FAILED", "1:0", RESULT_GRACE),
        ("FAILED", "", RESULT_GRACE),
        ("FAILED", "0:9", 0.0),
        ("CANCELLED", "1:0", 0.0),
        ("COMPLETED", "0:0", 0.0),
    ],
)
def test_a_job_that_failed_by_itself_will_have_written_why(
    case: Case, state: str, exit_code: str, waits: float
) -> None:
    case.observe(state, ExitCode=exit_code)
    told(case)
    assert case.clock.now - NOW == pytest.approx(waits, abs=0.1)


@pytest.mark.parametrize(("started", "waits"), [(False, START_GRACE), (True, RESULT_GRACE)])
def test_what_somebody_has_said_on_stderr_is_the_reason_where_the_runner_did_not_start(
    case: Case, started: bool, waits: float
) -> None:
    (case.dir / jobdir.STDERR).write_text("python: command not found\n")
    if started:
        case.write("started")
    case.observe("FAILED", ExitCode="127:0")
    told(case)
    assert case.clock.now - NOW == pytest.approx(waits, abs=0.1)


def test_what_shows_up_in_time(case: Case) -> None:
    case.clock.then = NOW + 3.0, lambda: case.write("completed", attempt=1, error_type="ValueError")
    case.observe("FAILED", ExitCode="1:0", attempt=1)
    assert told(case).error_type == "ValueError"
    assert case.clock.now - NOW == pytest.approx(3.0, abs=0.1)


def test_what_an_earlier_attempt_has_written_is_no_reason(case: Case) -> None:
    case.write("completed", error_type="ValueError")
    case.observe("FAILED", ExitCode="1:0", attempt=1)
    assert told(case).error_type is None
    assert case.clock.now - NOW == pytest.approx(RESULT_GRACE, abs=0.1)


# The status


def test_the_status_is_a_second_old_at_most(case: Case) -> None:
    case.status.known["7"] = running = case.observe("RUNNING")
    assert case.watch.now() is running
    assert case.status.asked == [1.0]


def test_the_status_after_the_end_is_the_end(case: Case) -> None:
    final = case.observe("COMPLETED")
    assert case.watch.now() is final
    assert (case.status.asked, len(case.ends.seen)) == ([], 1)


def test_a_status_that_is_not_known(case: Case) -> None:
    assert case.watch.now() is None
    case.status.error = SchedulerError("no answer")
    with pytest.raises(SchedulerError, match=r"^no answer$"):
        case.watch.now()
    case.engine.closed = True
    with pytest.raises(ClusterClosed, match=r"^the status of job 7 cannot be asked for$"):
        case.watch.now()


# Waiting


def test_waiting_lets_time_go_by(case: Case) -> None:
    case.watch.wait_for(5.0)
    assert case.clock.now == NOW + 5.0
    case.observe("COMPLETED")
    case.watch.wait_for(5.0)
    assert case.clock.now == NOW + 5.0, "there is an end to deliver"


def test_nobody_waits_when_the_cluster_is_closed(case: Case) -> None:
    called: list[str] = []
    case.watch.wake(lambda: called.append("first"))
    assert called == []
    case.engine.closed = True
    case.watch.close()
    assert called == ["first"]
    case.watch.close()
    case.watch.wake(lambda: called.append("late"))
    assert called == ["first", "late"]
    case.watch.wait_for(5.0)
    assert case.clock.now == NOW


def test_who_waits_for_a_job_that_is_done_is_not_woken_by_close(case: Case) -> None:
    called: list[str] = []
    case.watch.wake(lambda: called.append("closed"))
    case.observe("COMPLETED")
    case.watch.advance()
    case.watch.close()
    assert called == []
