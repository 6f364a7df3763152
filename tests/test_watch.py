"""When a watch asks Slurm about its jobs, and how it tells their ends: without threads, by a clock that stands still unless somebody waits."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slurmkit import BaseCallback, CompletedContext, ExecutionLocus, JobStatusUpdatedContext, jobdir
from slurmkit.backends.parse import record
from slurmkit.callbacks.dispatch import Subscriber
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
        condition.notify_all()  # an error where the caller does not hold it
        until = self.now + timeout
        if self.then is None or until < self.then[0]:
            self.now = until
            return False
        (self.now, event), self.then = self.then, None
        event()
        return True


class Status:
    """In the place of the status service: counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.about: list[list[str]] = []
        self.learns: Callable[[], object] = lambda: None
        self.known: dict[str, Snapshot] = {}
        self.retry_at = float("-inf")
        self.last_round: float | None = None
        self.can_hurry = True
        self.error: SchedulerError | None = None
        self.expired: list[tuple[str, bool]] = []
        self.forgotten: list[str] = []
        self.tracked: dict[str, Any] = {}
        self.missed: set[str] = set()

    def is_missed(self, job_id: str) -> bool:
        return job_id in self.missed

    def track(self, tokens: Mapping[str, str], **how: Any) -> None:
        self.tracked.update({job_id: SimpleNamespace(token=token, **how) for job_id, token in tokens.items()})

    def snapshot(self, job_ids: Iterable[str], max_age: float) -> Mapping[str, Snapshot]:
        self.asked.append(max_age)
        self.about.append(list(job_ids))
        self.learns()
        return {one: self.known[one] for one in self.about[-1] if one in self.known}

    def expire(self, job_ids: Iterable[str], *, cancelled: bool) -> None:
        self.expired.extend((job_id, cancelled) for job_id in job_ids)

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


def job_in(job_dir: Path, job_id: str) -> Any:
    return SimpleNamespace(
        job_id=job_id,
        job_dir=job_dir,
        journal_path=lambda attempt: str(job_dir / jobdir.journal_name(attempt)),
        stdout_path=job_dir / jobdir.STDOUT,
        stderr_path=job_dir / jobdir.STDERR,
    )


class OfOne(Watch):
    """The watch of a single job: what it says of that."""

    def __init__(self, engine: Any, job_dir: Path, *, callback: BaseCallback, created: float) -> None:
        job = job_in(job_dir, "7")
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


def test_the_journal_of_a_later_attempt_is_another_file(case: Case) -> None:
    """Which may be as long as that of the attempt before."""
    case.clock.now += 100.0
    case.write("completed")
    case.observe("RUNNING")
    case.watch.advance()
    case.write("completed", attempt=1)
    before = len(case.status.asked)
    case.observe("RUNNING", attempt=1)
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
    assert case.status.expired == [("7", True)]
    before = len(case.status.asked)
    case.watch.advance()
    assert case.status.asked[before:] == [0.0]


def test_the_status_service_is_told_what_the_job_is(case: Case) -> None:
    tracked = case.status.tracked["7"]
    assert (tracked.token, tracked.created) == ("t", case.clock.time())
    assert tracked.journal("7") is None
    case.write("completed", attempt=2)
    assert tracked.journal("7") == JournalEnd(2, "FAILED", "1:0", 5.0)
    case.write("started", attempt=3)
    assert tracked.journal("7") is None, "it goes on"
    case.write("completed", attempt=1)
    assert tracked.journal("7") is None, "it still goes on: that was a node which Slurm has given up"
    case.write("completed", attempt=3)
    assert tracked.journal("7") == JournalEnd(3, "FAILED", "1:0", 5.0)


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
    began = case.clock.now
    case.watch.wait_for(5.0)
    assert case.clock.now == began + 5.0, "there is nothing to deliver"


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
    assert (context.emitted_by, context.attempt, context.restart_count) == (ExecutionLocus.CLIENT, 0, 0)


def test_the_context_says_which_attempt_has_ended_and_why(case: Case) -> None:
    case.observe("TIMEOUT", over=True, attempt=2, **FIELDS)
    context = told(case)
    assert (context.attempt, context.restart_count) == (2, 2)
    assert context.cause == "TIMEOUT"


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


def test_of_jobs_that_have_failed_together_all_have_the_same_grace(case: Case) -> None:
    case.observe("FAILED", ExitCode="1:0")
    case.clock.now += RESULT_GRACE - 1.0  # which the ends of others have taken
    told(case)
    assert case.clock.now - NOW == pytest.approx(RESULT_GRACE, abs=0.1)


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
    case.clock.then = NOW + 4.5, lambda: case.observe("RUNNING")
    case.watch.wait_for(5.0)
    assert case.clock.now == NOW + 5.0, "a change is no end"
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


def test_who_waits_is_called_when_there_is_something_to_do(case: Case) -> None:
    case.clock.then = NOW + 2.0, lambda: case.observe("COMPLETED")
    case.watch.wait_for(5.0)
    assert case.clock.now == NOW + 2.0, "an end to deliver"
    case.watch.advance()
    case.watch.wait(5.0, lambda: case.clock.now > NOW + 2.0)
    assert case.clock.now == NOW + 7.0, "that end is delivered"


def test_who_waits_is_called_when_slurm_is_to_be_asked_sooner(case: Case) -> None:
    case.clock.now += 100.0
    case.watch.advance()
    case.clock.then = NOW + 102.0, lambda: case.watch.hurry([0], cancelled=False)
    case.watch.wait_for(5.0)
    assert case.clock.now == NOW + 102.0
    assert case.status.expired == [("7", False)]


def test_the_clock_makes_what_a_watch_waits_with(tmp_path: Path) -> None:
    """A virtual one has to know of it."""
    made: list[str] = []

    class Conducts(Clock):
        def condition(self) -> threading.Condition:
            made.append("condition")
            return threading.Condition()

        def thread(self, target: Callable[[], object], *, name: str, background: bool) -> threading.Thread:
            raise NotImplementedError

    engine = Engine()
    engine.clock = Conducts()
    OfOne(engine, tmp_path, callback=Ends(), created=0.0)
    assert made == ["condition"]


# Several jobs: an array


class PollerThread:
    """In the place of the poller of a watch."""

    def __init__(self) -> None:
        self.is_alive, self.is_current_thread, self.ends = True, False, True
        self.joined: list[float] = []
        self.offered: list[Snapshot] = []
        self.closed = False

    def offer(self, news: Sequence[Snapshot]) -> None:
        self.offered += news

    def join(self, timeout: float) -> bool:
        self.joined.append(timeout)
        self.is_alive = not self.ends
        return self.ends

    def close(self) -> None:
        self.closed = True


class Told:
    """In the place of what is kept of who has heard of which end."""

    def __init__(self, *left: BaseCallback) -> None:
        self.remain = left
        self.asked: list[tuple[str, int, tuple[BaseCallback, ...]]] = []
        self.added: list[tuple[str, int, tuple[BaseCallback, ...]]] = []

    def left(self, job_id: str, attempt: int, callbacks: Iterable[BaseCallback]) -> list[BaseCallback]:
        self.asked.append((job_id, attempt, tuple(callbacks)))
        return list(self.remain)

    def add(self, job_id: str, attempt: int, callbacks: Iterable[BaseCallback]) -> None:
        self.added.append((job_id, attempt, tuple(callbacks)))


class Array:
    """The watch of the elements of an array, 7_0 to 7_2, that was submitted a while ago."""

    def __init__(
        self,
        job_dir: Path,
        *callbacks: BaseCallback,
        number: int = 3,
        age: float = 100.0,
        subscribers: Sequence[Subscriber] = (),
        reports: Any = None,
    ) -> None:
        self.engine, self.ends = Engine(), Ends()
        self.clock, self.status = self.engine.clock, self.engine.status
        self.jobs = [job_in(job_dir / f"{index}", f"7_{index}") for index in range(number)]
        for job in self.jobs:
            job.job_dir.mkdir()
        engine: Any = self.engine
        self.watch = Watch(
            engine,
            self.jobs,
            tokens={job.job_id: "t" for job in self.jobs},
            created=self.clock.time() - age,
            callbacks=[*callbacks, self.ends],
            subscribers=subscribers,
            reports=reports,
        )

    def poll(self) -> PollerThread:
        """With a poller from now on."""
        poller: Any = PollerThread()
        self.watch.poller = poller
        return poller

    def snapshot(self, index: int, state: str, attempt: int = 0) -> Snapshot:
        status = record(JobId=f"7_{index}", JobState=state, ExitCode="0:0")
        return Snapshot(f"7_{index}", status, state, state == "COMPLETED", attempt, "squeue", self.clock.now)

    def observe(self, *news: Snapshot) -> None:
        self.status.tracked["7_0"].listener(news)

    def complete(self, *indices: int) -> list[Snapshot]:
        news = [self.snapshot(index, "COMPLETED") for index in indices]
        self.observe(*news)
        return news

    def write_last_word(self, index: int) -> None:
        end = {"event": "completed", "attempt": 0, "time": 5.0, "job_state": "COMPLETED", "exit_code": "0:0"}
        jobdir.append_journal(self.jobs[index].job_dir, end)

    def delivered(self) -> list[str]:
        return [context.job_id for context in self.ends.seen]


@pytest.fixture
def array(tmp_path: Path) -> Array:
    return Array(tmp_path)


def test_each_job_has_an_end_of_its_own(array: Array) -> None:
    watch = array.watch
    running, (final,) = array.snapshot(0, "RUNNING"), array.complete(1)
    array.observe(running)
    assert [watch.latest(position) for position in range(3)] == [running, final, None]
    assert [watch.final(position) for position in range(3)] == [None, final, None]
    assert not watch.are_done([1]), "its end is not delivered"
    assert watch.advance([0, 1]) is not None
    assert array.delivered() == ["7_1"]
    assert array.ends.seen[0].job is array.jobs[1]
    assert watch.are_done([1])
    assert not watch.are_done([1, 0])
    assert not watch.are_done()
    assert watch.is_completed([1])
    assert not watch.is_completed([1, 0])
    assert not watch.is_completed(None)
    assert watch.advance([1]) is None
    assert (watch.finished, array.status.forgotten) == ([1], ["7_1"])


def test_the_ends_are_delivered_in_the_order_in_which_they_were_seen(array: Array) -> None:
    array.complete(2, 0)
    assert array.watch.advance() is not None
    assert array.delivered() == ["7_2", "7_0"]
    array.complete(1)
    assert array.watch.advance() is None
    assert array.watch.finished == [2, 0, 1]
    assert array.watch.is_completed(None)
    assert array.watch.are_done()


def test_who_waits_for_some_delivers_their_ends_alone(array: Array) -> None:
    array.complete(0, 1)
    assert array.watch.advance([2]) is not None
    assert array.delivered() == []
    assert array.watch.advance([1, 2]) is not None
    assert array.delivered() == ["7_1"]
    assert array.watch.advance([0]) is None
    assert array.delivered() == ["7_1", "7_0"]


def test_what_was_seen_after_an_end_does_not_hide_the_news_of_others(array: Array) -> None:
    (final,) = array.complete(0)
    array.watch.advance()
    again, running = array.snapshot(0, "PENDING", attempt=1), array.snapshot(1, "RUNNING")
    array.observe(again, running)
    assert (array.watch.latest(0), array.watch.final(0), array.watch.latest(1)) == (final, final, running)


def test_a_requeue_that_is_seen_in_time_takes_one_end_back(tmp_path: Path) -> None:
    """Even while the ends of others are delivered."""

    class Requeues(BaseCallback):
        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            if ctx.job_id == "7_0":
                array.observe(array.snapshot(1, "PENDING", attempt=1))

    array = Array(tmp_path, Requeues())
    array.complete(0, 1, 2)
    assert array.watch.advance() is not None
    assert array.watch.finished == [0, 2]


def test_a_hook_may_wait_for_a_job_whose_end_is_due(tmp_path: Path) -> None:
    """It is delivered there and then, and once."""
    seen: list[Any] = []

    class Waits(BaseCallback):
        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            watch = array.watch
            if ctx.job_id == "7_0":
                seen.extend([watch.are_done([0]), watch.are_done([1]), watch.advance([1]), watch.are_done([1])])

    array = Array(tmp_path, Waits())
    array.complete(0, 1, 2)
    assert array.watch.advance() is None
    assert seen == [True, False, None, True]
    assert array.watch.finished == [1, 0, 2]
    assert array.delivered() == ["7_1", "7_0", "7_2"]


def test_whoever_asked_to_be_told_of_a_job_is_told_of_that_one(array: Array) -> None:
    called: list[str] = []
    for call in ("first", "second"):
        assert array.watch.when_done(1, functools.partial(called.append, call))
    array.complete(0)
    array.watch.advance()
    assert called == []
    array.complete(1)
    array.watch.advance()
    assert called == ["first", "second"]
    assert not array.watch.when_done(1, lambda: None)
    assert array.watch.when_done(2, lambda: None)


def test_who_waits_is_woken_by_close_while_one_job_goes_on(array: Array) -> None:
    called: list[str] = []
    array.watch.wake(lambda: called.append("closed"))
    array.complete(0, 1)
    array.watch.advance()
    array.watch.close()
    assert called == ["closed"]


def test_who_waits_for_some_is_not_called_for_others(array: Array) -> None:
    array.complete(1)
    array.watch.wait(5.0, lambda: False, [0, 2])
    assert array.clock.now == NOW + 5.0
    array.watch.wait(5.0, lambda: False, [0, 1])
    array.watch.wait(5.0, lambda: False)
    array.watch.wait(5.0, lambda: True, [0, 2])
    assert array.clock.now == NOW + 5.0


def test_jobs_are_told_to_end_by_their_ids(array: Array) -> None:
    array.watch.hurry([2, 0], cancelled=True)
    array.watch.hurry([1], cancelled=False)
    assert array.status.expired == [("7_2", True), ("7_0", True), ("7_1", False)]


# Several jobs: when Slurm is asked


def test_slurm_is_asked_about_those_that_are_waited_for_and_go_on(array: Array) -> None:
    array.complete(1)
    array.watch.advance([1, 2])
    assert array.status.about == [["7_2"]]
    array.clock.now += 1000.0
    array.watch.advance()
    assert array.status.about[1:] == [["7_0", "7_2"]], "those that are not delivered"
    array.clock.now += 1000.0
    array.watch.advance([1])
    assert len(array.status.about) == 2, "it is over"


@pytest.mark.parametrize(("positions", "pause"), [([3], 0.005), ([1, 2, 3], 0.005), (None, 0.019)])
def test_many_job_directories_are_looked_at_less_often(
    tmp_path: Path, positions: list[int] | None, pause: float
) -> None:
    """A millisecond for each after the first."""
    array = Array(tmp_path, number=20, age=0.0)
    assert array.watch.advance(positions) == pytest.approx(pause)


def quiet(array: Array) -> int:
    """Slurm was asked a moment ago, and a look into the job directories is due: how often it was asked."""
    array.watch.advance()
    array.clock.now += 3.0
    array.watch.advance()
    array.clock.now += 3.0
    return len(array.status.asked)


def test_the_last_word_of_one_of_several_is_no_reason_to_ask_again_soon(array: Array) -> None:
    asked = quiet(array)
    array.write_last_word(1)
    assert array.watch.advance() == pytest.approx(2.12), "the next look"
    assert array.status.asked[asked:] == [0.0], "at once, no older than the sign"
    array.clock.now += 9.0
    array.watch.advance()
    assert len(array.status.asked) == asked + 1, "the others go on: as if nothing had been"
    array.clock.now += 2.0
    array.watch.advance()
    assert array.status.asked[asked + 1 :] == [pytest.approx(5.5)]


@pytest.mark.parametrize("positions", [None, [1]])
def test_the_last_word_of_all_that_are_waited_for_is(array: Array, positions: list[int] | None) -> None:
    asked = quiet(array)
    for position in (0, 1, 2) if positions is None else positions:
        array.write_last_word(position)
    assert array.watch.advance(positions) == pytest.approx(0.01), "Slurm still says that they run"
    assert array.status.asked[asked:] == [0.0]


def test_the_last_words_count_whenever_they_came(array: Array) -> None:
    asked = quiet(array)
    for position in (2, 0):
        array.write_last_word(position)
        assert array.watch.advance() != pytest.approx(0.01)
        array.clock.now += 3.0
    array.write_last_word(1)
    assert array.watch.advance() == pytest.approx(0.01)
    assert array.status.asked[asked:] == [0.0] * 3


def test_the_last_word_of_a_job_that_is_over_is_no_reason(array: Array) -> None:
    asked = quiet(array)
    array.complete(1)
    array.write_last_word(1)
    array.watch.advance()
    assert len(array.status.asked) == asked


def test_the_last_word_of_a_job_that_nobody_waits_for_is_no_reason(array: Array) -> None:
    asked = quiet(array)
    array.write_last_word(0)
    array.watch.advance([1, 2])
    assert len(array.status.asked) == asked


@pytest.mark.parametrize("number", [2, 3])
def test_of_many_there_is_always_one_that_ends(tmp_path: Path, number: int) -> None:
    """Where Slurm is slow, that is no reason to ask; it is one when it can be asked again."""
    array = Array(tmp_path, number=number)
    asked = quiet(array)
    array.write_last_word(1)
    array.status.can_hurry = False
    array.watch.advance()
    assert len(array.status.asked) == asked
    array.status.can_hurry = True
    array.clock.now += 3.0
    array.watch.advance()
    assert array.status.asked[asked:] == [0.0]


def test_the_status_service_is_told_what_each_job_is(array: Array) -> None:
    assert {job_id: one.token for job_id, one in array.status.tracked.items()} == dict.fromkeys(
        ("7_0", "7_1", "7_2"), "t"
    )
    array.write_last_word(1)
    journal = array.status.tracked["7_1"].journal
    assert [journal(f"7_{index}") for index in range(3)] == [None, JournalEnd(0, "COMPLETED", "0:0", 5.0), None]


# Several jobs: the status


def test_the_status_of_several_in_their_order(array: Array) -> None:
    (final,) = array.complete(1)
    first, last = array.snapshot(0, "RUNNING"), array.snapshot(2, "PENDING")
    array.status.known = {"7_0": first, "7_2": last}
    array.status.error = SchedulerError("no answer, but all is known")
    assert array.watch.current([2, 1, 0]) == [last, final, first]
    assert (array.status.about, array.status.asked) == ([["7_2", "7_0"]], [1.0])
    assert array.delivered() == ["7_1"]


def test_the_status_of_some_delivers_their_ends_alone(array: Array) -> None:
    array.complete(0, 1)
    array.watch.current([1, 2])
    assert array.delivered() == ["7_1"]


def test_a_status_of_several_that_is_not_known(array: Array) -> None:
    running = array.snapshot(0, "RUNNING")
    array.status.known = {"7_0": running}
    assert array.watch.current([0, 1]) == [running, None]
    array.status.error = SchedulerError("no answer")
    assert array.watch.current([0]) == [running]
    with pytest.raises(SchedulerError, match=r"^no answer$"):
        array.watch.current([0, 1])
    array.engine.closed = True
    with pytest.raises(ClusterClosed, match=r"^the status of 2 jobs, of which the first is 7_1, cannot be asked for$"):
        array.watch.current([1, 2])
    finals = array.complete(1, 2)
    assert array.watch.current([1, 2]) == finals, "what is known stays known"


def test_an_end_that_the_question_brings_to_light_is_the_status(array: Array) -> None:
    finals: list[Snapshot] = []
    array.status.known = {"7_0": array.snapshot(0, "RUNNING"), "7_1": array.snapshot(1, "RUNNING")}
    array.status.learns = lambda: finals.extend(array.complete(1))
    assert array.watch.current([1]) == finals
    assert array.delivered() == ["7_1"]


def test_the_ends_by_now(array: Array) -> None:
    """By what Slurm said within the last second, and delivering nothing."""
    array.complete(0)
    assert array.watch.ends_by_now([0]) == ["COMPLETED"]
    assert array.status.asked == [], "that is known"
    array.status.learns = lambda: array.complete(2)
    assert array.watch.ends_by_now([2, 1, 0]) == ["COMPLETED", None, "COMPLETED"]
    assert (array.status.about, array.status.asked) == ([["7_2", "7_1"]], [1.0])
    assert array.delivered() == []


def test_the_end_by_now_of_a_job_that_the_controller_has_forgotten(array: Array) -> None:
    """Its own word, where sacct has none yet; of an attempt that is over."""
    array.status.missed = {"7_0", "7_1"}
    array.write_last_word(0)
    array.write_last_word(2)
    assert array.watch.ends_by_now([0, 1, 2]) == ["COMPLETED", "UNKNOWN", None]


@pytest.mark.parametrize(("age", "asked"), [(0.5, []), (0.984375, []), (1.0, [1.0]), (1.5, [1.0])])
def test_jobs_that_were_submitted_a_moment_ago_are_not_asked_about(
    tmp_path: Path, age: float, asked: list[float]
) -> None:
    array = Array(tmp_path, age=age)
    assert array.watch.ends_by_now([0, 1]) == [None, None]
    assert array.status.asked == asked


def test_the_ends_by_now_of_a_closed_cluster(array: Array) -> None:
    array.complete(0)
    array.engine.closed = True
    assert array.watch.ends_by_now([0]) == ["COMPLETED"]
    with pytest.raises(ClusterClosed, match=r"^the status of job 7_1 cannot be asked for$"):
        array.watch.ends_by_now([1])
    with pytest.raises(ClusterClosed, match=r"^the status of 3 jobs, of which the first is 7_0, cannot be asked for$"):
        array.watch.ends_by_now([0, 1, 2])
    assert array.status.asked == []


# Which callbacks have heard already


def test_who_has_heard_of_an_end_does_not_hear_of_it_again(tmp_path: Path) -> None:
    reports, other = Told(), Ends()
    array = Array(tmp_path, other, reports=reports)
    reports.remain = (other,)
    status = record(JobId="7_1", JobState="FAILED", ExitCode="0:9")
    array.observe(Snapshot("7_1", status, "FAILED", True, 2, "squeue", NOW))
    array.watch.advance()
    assert (len(other.seen), array.ends.seen) == (1, [])
    assert reports.asked == [("7_1", 2, (other, array.ends))]
    assert reports.added == [("7_1", 2, (other,))]


def test_a_client_that_is_interrupted_while_it_delivers_has_not_delivered(tmp_path: Path) -> None:
    """But nobody shall wait for ever."""

    class Interrupted(BaseCallback):
        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            raise KeyboardInterrupt

    reports, callback = Told(), Interrupted()
    reports.remain = (callback,)
    array = Array(tmp_path, callback, reports=reports)
    array.complete(1)
    with pytest.raises(KeyboardInterrupt):
        array.watch.advance()
    assert reports.added == []
    assert array.watch.is_completed([1])
    assert (array.watch.finished, array.status.forgotten) == ([1], ["7_1"])
    assert array.watch.advance([1]) is None


# With a poller


def test_no_subscriber_no_poller(tmp_path: Path) -> None:
    subscribers = [Subscriber(Ends(), 1.0)]
    assert Array(tmp_path / "none", number=0, subscribers=subscribers).watch.poller is None
    array = Array(tmp_path)
    assert array.watch.poller is None
    array.watch.start()
    array.watch.join(0.0)


def test_a_poller_delivers_the_ends_after_its_updates(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    class Hears(BaseCallback):
        def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
            heard.append((ctx.job_id, ctx.status["JobState"]))

        def on_completed_ctx(self, ctx: CompletedContext) -> None:
            heard.append((ctx.job_id, "completed"))

    hears = Hears()
    array = Array(tmp_path, hears, number=2, subscribers=[Subscriber(hears, 2.0)])
    finals = [array.snapshot(index, "COMPLETED") for index in range(2)]
    array.status.known = {final.job_id: final for final in finals}
    array.watch.start()
    poller = array.watch.poller
    assert poller is not None
    assert poller.join(60)
    assert heard == [("7_0", "COMPLETED"), ("7_0", "completed"), ("7_1", "COMPLETED"), ("7_1", "completed")]
    assert [array.watch.final(position) for position in range(2)] == finals
    assert (array.watch.finished, array.watch.advance()) == ([0, 1], None)
    assert array.status.asked == [2.0]


def test_the_poller_hears_of_everything_that_others_saw(array: Array) -> None:
    poller = array.poll()
    news = [array.snapshot(0, "RUNNING"), array.snapshot(1, "COMPLETED")]
    array.observe(*news)
    assert poller.offered == news


def test_the_ends_are_left_to_a_poller_while_it_lives(array: Array) -> None:
    poller = array.poll()
    array.complete(0)
    assert array.watch.advance([0]) == 1.0, "it will say so"
    assert not array.watch.are_done([0])
    array.watch.wait(5.0, lambda: False, [0])
    assert array.clock.now == NOW + 5.0, "there is nothing to do"
    poller.is_current_thread = True
    assert array.watch.are_done([0]), "in its own hook"
    assert not array.watch.are_done([1])
    assert array.delivered() == []
    poller.is_current_thread = poller.is_alive = False
    assert array.watch.advance([0]) is None
    assert array.delivered() == ["7_0"]


def test_what_a_poller_delivers_is_delivered(array: Array) -> None:
    poller = array.poll()
    (final,) = array.complete(1)
    array.watch._end(array.jobs[1], final)
    assert array.delivered() == ["7_1"]
    poller.is_alive = False
    array.watch.advance()
    assert array.delivered() == ["7_1"]


# The cluster is closed


def seconds_left(array: Array, seconds: float) -> Callable[[], float]:
    return lambda: max(0.0, NOW + seconds - array.clock.now)


def test_what_is_over_is_delivered_before_the_cluster_is_closed(array: Array) -> None:
    array.watch.settle(seconds_left(array, 3.0))
    assert array.delivered() == []
    array.complete(0, 2)
    array.watch.settle(seconds_left(array, 3.0))
    assert (array.delivered(), array.clock.now) == (["7_0", "7_2"], NOW)


def test_nothing_is_waited_for_when_there_is_nothing_to_deliver(array: Array) -> None:
    poller = array.poll()
    array.watch.settle(seconds_left(array, 3.0))
    assert (poller.joined, array.clock.now) == ([], NOW)
    for job, final in zip(array.jobs, array.complete(0, 1, 2), strict=True):
        array.watch._end(job, final)
    array.watch.settle(seconds_left(array, 3.0))
    assert (poller.joined, array.clock.now) == ([], NOW), "it has delivered them all"


def test_a_poller_whose_jobs_are_all_over_is_waited_for(array: Array) -> None:
    array.complete(1)
    array.watch.advance()
    poller = array.poll()
    array.complete(0, 2)
    array.watch.settle(seconds_left(array, 3.0))
    assert (poller.joined, array.clock.now) == ([3.0], NOW)
    assert array.delivered() == ["7_1", "7_0", "7_2"], "what it has left"


def test_a_poller_whose_jobs_go_on_is_given_time_for_those_that_are_over(array: Array) -> None:
    poller = array.poll()
    (final,) = array.complete(1)
    array.clock.then = NOW + 2.0, lambda: array.watch._end(array.jobs[1], final)
    array.watch.settle(seconds_left(array, 3.0))
    assert (poller.joined, array.delivered(), array.clock.now) == ([], ["7_1"], NOW + 2.0)


def test_a_poller_that_a_callback_keeps_is_left(array: Array, caplog: pytest.LogCaptureFixture) -> None:
    poller = array.poll()
    array.complete(1)
    array.clock.then = NOW + 2.5, lambda: array.observe(array.snapshot(0, "RUNNING"))
    array.watch.settle(seconds_left(array, 3.0))
    assert (array.delivered(), array.clock.now) == ([], NOW + 3.0)
    array.watch.close()
    assert poller.closed
    array.watch.join(1.5)
    assert (poller.joined, caplog.messages) == ([1.5], [])
    poller.ends = False
    array.watch.join(0.5)
    assert poller.joined == [1.5, 0.5]
    assert caplog.messages == ["a callback keeps the poller of job 7_0; it is left behind"]
    poller.is_current_thread = True
    array.watch.join(0.5)
    assert len(poller.joined) == 2, "it does not wait for itself"
