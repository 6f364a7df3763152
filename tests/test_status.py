"""What is true of a job (arbitration), and what it costs to know it (the status service)."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from slurmkit.backends.base import Record
from slurmkit.backends.parse import FIELDS, record
from slurmkit.clock import SystemClock
from slurmkit.errors import SchedulerError, SchedulerNotFound
from slurmkit.polling.arbitration import (
    LOST,
    UNASKED,
    Answer,
    Belief,
    JournalEnd,
    Round,
    Rules,
    Snapshot,
    arbitrate,
)
from slurmkit.polling.status import MAX_SHOWS, StatusService

SUBMITTED = "2026-01-02T03:04:05"
NEW = Belief("7", token="tok", created=0.0)
RULES = Rules()


def row(state: str, *, restarts: str = "0", comment: str = "tok", submitted: str = SUBMITTED, **fields: str) -> Record:
    return record(JobId="7", JobState=state, Restarts=restarts, Comment=comment, SubmitTime=submitted, **fields)


def booked(state: str, *, submitted: str = SUBMITTED, exit_code: str = "0:0") -> Record:
    return record(JobId="7", JobState=state, SubmitTime=submitted, ExitCode=exit_code)


def believe(*rounds: Round, belief: Belief = NEW, every: float = 1.0, rules: Rules = RULES) -> Belief:
    for number, answers in enumerate(rounds):
        belief = arbitrate(belief, answers, number * every, rules)
    return belief


def told(belief: Belief) -> tuple[str, bool, str] | None:
    snapshot = belief.snapshot
    return None if snapshot is None else (snapshot.state, snapshot.is_terminal, snapshot.source)


# --- arbitration ------------------------------------------------------------------------------------------------------


def test_squeue_comes_first() -> None:
    answers = Round(
        queue=row("RUNNING"),
        accounting=booked("COMPLETED"),
        shown=row("FAILED"),
        journal=JournalEnd(0, "FAILED", "1:0"),
    )
    assert told(believe(answers)) == ("RUNNING", False, "squeue")


@pytest.mark.parametrize(
    "state",
    ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"],
)
def test_every_end_is_an_end(state: str) -> None:
    assert told(believe(Round(queue=row(state)))) == (state, True, "squeue")
    assert told(believe(Round(queue=None, accounting=booked(state)))) == (state, True, "sacct")


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SPECIAL_EXIT", "REVOKED", "MARTIAN"]
)
def test_everything_else_is_not(state: str) -> None:
    """A state that nobody has heard of is reported as it is."""
    assert told(believe(Round(queue=row(state)))) == (state, False, "squeue")
    assert told(believe(*[Round(queue=None, accounting=booked(state))] * 50)) is None


def test_sacct_knows_what_squeue_has_lost() -> None:
    belief = believe(Round(queue=row("RUNNING")), Round(queue=None, accounting=booked("FAILED", exit_code="3:0")))
    assert told(belief) == ("FAILED", True, "sacct")
    assert belief.snapshot is not None
    assert (belief.snapshot.status["ExitCode"], belief.snapshot.status["Restarts"]) == ("3:0", "0")
    assert tuple(belief.snapshot.status) == FIELDS


def test_a_reused_id_is_another_job() -> None:
    stranger = row("COMPLETED", comment="other")
    assert told(believe(Round(queue=stranger))) is None
    old = booked("COMPLETED", submitted="2020-01-01T00:00:00")
    assert told(believe(Round(queue=row("RUNNING")), Round(queue=None, accounting=old))) == ("RUNNING", False, "squeue")
    created = 1_767_000_000.0  # December 2025
    assert told(believe(Round(queue=None, accounting=old), belief=NEW._replace(created=created))) is None


def test_an_accounting_record_of_the_attempt_before_is_old() -> None:
    again = row("PENDING", restarts="1", submitted="2026-01-02T04:00:00")
    rounds = [Round(queue=row("RUNNING")), Round(queue=again), Round(queue=None, accounting=booked("NODE_FAIL"))]
    assert told(believe(*rounds)) == ("PENDING", False, "squeue")
    later = booked("COMPLETED", submitted="2026-01-02T04:00:00")
    assert told(believe(*rounds, Round(queue=None, accounting=later))) == ("COMPLETED", True, "sacct")


def test_an_end_is_final_within_its_attempt() -> None:
    belief = believe(Round(queue=row("FAILED")), Round(queue=row("RUNNING")), Round(queue=row("COMPLETED")))
    assert told(belief) == ("FAILED", True, "squeue")
    belief = believe(Round(queue=row("PENDING", restarts="1")), belief=belief)
    assert told(belief) == ("PENDING", False, "squeue")
    assert belief.attempt == 1
    assert told(believe(Round(queue=row("COMPLETED", restarts="0")), belief=belief)) == ("PENDING", False, "squeue")


def test_a_source_that_failed_has_said_nothing() -> None:
    belief = believe(Round(queue=row("RUNNING")))
    assert believe(Round(queue=UNASKED), belief=belief) == belief
    waiting = believe(*[Round(queue=None, accounting=UNASKED)] * 50, belief=belief)
    assert told(waiting) == ("RUNNING", False, "squeue")


GONE = Round(queue=None, accounting=None, shown=None)
NO_ACCOUNTING = Round(queue=None, accounting=UNASKED, has_accounting=False, shown=None)


@pytest.mark.parametrize("answers", [GONE, NO_ACCOUNTING])
def test_lost_by_everybody_for_the_grace_period(answers: Round) -> None:
    rules = Rules(grace=10.0)
    running = believe(Round(queue=row("RUNNING", NodeList="n1")), rules=rules)
    assert told(believe(*[answers] * 10, belief=running, rules=rules)) == ("RUNNING", False, "squeue")
    lost = believe(*[answers] * 11, belief=running, rules=rules)
    assert told(lost) == (LOST, True, "nobody")
    assert lost.snapshot is not None
    assert lost.snapshot.status["NodeList"] == "n1"
    assert told(believe(*[answers] * 11, rules=rules)) == (LOST, True, "nobody"), "also when it was never seen"


def test_the_grace_period_needs_more_than_two_looks() -> None:
    """A client that was asleep for a day has not observed anything in the meantime."""
    rules = Rules(grace=10.0)
    assert told(believe(GONE, GONE, every=86400.0, rules=rules)) is None
    assert told(believe(GONE, GONE, GONE, every=86400.0, rules=rules)) == (LOST, True, "nobody")


def test_a_job_that_turns_up_again_was_not_lost() -> None:
    rules = Rules(grace=10.0)
    belief = believe(*[GONE] * 10, Round(queue=row("RUNNING")), *[GONE] * 10, rules=rules)
    assert told(belief) == ("RUNNING", False, "squeue")
    shown = Round(queue=None, accounting=None, shown=row("RUNNING"))
    assert told(believe(*[GONE] * 10, shown, *[GONE] * 10, rules=rules)) == ("RUNNING", False, "scontrol")


def test_scontrol_has_to_be_heard_before_a_job_is_lost() -> None:
    unheard = Round(queue=None, accounting=None, shown=UNASKED)
    assert told(believe(*[unheard] * 1000)) is None
    assert told(believe(*[unheard] * 1000, GONE)) == (LOST, True, "nobody")


def test_the_journal_speaks_where_nobody_else_does() -> None:
    end = JournalEnd(0, "FAILED", "1:0", time=1.0)
    at_once = NO_ACCOUNTING._replace(journal=end)
    assert told(believe(at_once)) == ("FAILED", True, "journal")
    rules = Rules(grace=10.0)
    patient = GONE._replace(journal=end)
    assert told(believe(*[patient] * 10, rules=rules)) is None, "sacct may still learn of it"
    belief = believe(*[patient] * 11, rules=rules)
    assert told(belief) == ("FAILED", True, "journal")
    assert belief.snapshot is not None
    assert belief.snapshot.status["ExitCode"] == "1:0"
    older = believe(Round(queue=row("RUNNING", restarts="1")), belief=NEW)
    assert told(believe(at_once, belief=older)) == ("RUNNING", False, "squeue"), "that was the attempt before"


@pytest.mark.parametrize(("accounting", "patience"), [(booked("RUNNING"), 100), (UNASKED, 200)])
def test_accounting_is_given_time_to_catch_up_but_not_for_ever(accounting: Answer, patience: int) -> None:
    """Longer when it does not answer at all: it may be down."""
    rules = Rules(grace=10.0, accounting_lag=100.0, accounting_outage=200.0)
    answers = Round(queue=None, accounting=accounting, shown=None)
    running = believe(Round(queue=row("RUNNING")))
    waited = [answers] * patience
    assert told(believe(*waited, belief=running, rules=rules)) == ("RUNNING", False, "squeue")
    assert told(believe(*waited, answers, belief=running, rules=rules)) == (LOST, True, "nobody")
    late = Round(queue=None, accounting=booked("TIMEOUT"))
    assert told(believe(*waited, late, belief=running, rules=rules)) == ("TIMEOUT", True, "sacct")


@pytest.mark.parametrize("accounting", [booked("RUNNING"), UNASKED])
@pytest.mark.parametrize(("state", "patience"), [("COMPLETED", 10), ("FAILED", 100)])
def test_while_accounting_is_late_the_journal_of_a_job_that_succeeded_is_enough(
    accounting: Answer, state: str, patience: int
) -> None:
    """Why another one failed sacct may know: it is given the time to say so."""
    rules = Rules(grace=10.0, accounting_lag=100.0, accounting_outage=200.0)
    running = believe(Round(queue=row("RUNNING")))
    answers = Round(queue=None, accounting=accounting, shown=None, journal=JournalEnd(0, state, "0:0"))
    waited = [answers] * patience
    assert told(believe(*waited, belief=running, rules=rules)) == ("RUNNING", False, "squeue")
    assert told(believe(*waited, answers, belief=running, rules=rules)) == (state, True, "journal")


# --- the service ------------------------------------------------------------------------------------------------------


class Slurm:
    """A scheduler with the given states; counts what it is asked, can fail, and can be held up."""

    name = "counted"

    def __init__(self, states: Mapping[str, str], booked: Mapping[str, str] | None = None) -> None:
        self.states = dict(states)
        self.booked = None if booked is None else dict(booked)
        self.shown: dict[str, Mapping[str, Record]] = {}
        self.asked: list[tuple[str, int]] = []
        self.about: list[tuple[str, list[str]]] = []
        self.failure: SchedulerError | None = None
        self.accounting_failure: SchedulerError | None = None
        self.gate: threading.Event | None = None
        self.entered = threading.Event()

    def count(self, command: str) -> int:
        return sum(1 for name, _ in self.asked if name == command)

    def asked_about(self, command: str) -> list[list[str]]:
        return [job_ids for name, job_ids in self.about if name == command]

    def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
        wanted = list(job_ids)
        self.asked.append(("squeue", len(wanted)))
        self.about.append(("squeue", wanted))
        answer = {
            job_id: record(JobId=job_id, JobState=self.states[job_id], Restarts="0")
            for job_id in wanted
            if job_id in self.states
        }
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        if self.failure is not None:
            raise self.failure
        return answer

    def accounting(self, job_ids: Iterable[str]) -> Mapping[str, Record] | None:
        wanted = list(job_ids)
        self.asked.append(("sacct", len(wanted)))
        self.about.append(("sacct", wanted))
        if self.accounting_failure is not None:
            raise self.accounting_failure
        if self.booked is None:
            return None
        return {
            job_id: record(JobId=job_id, JobState=self.booked[job_id], SubmitTime=SUBMITTED)
            for job_id in wanted
            if job_id in self.booked
        }

    def show(self, job_id: str) -> Mapping[str, Record]:
        self.asked.append(("scontrol", 1))
        self.about.append(("scontrol", [job_id]))
        return self.shown.get(job_id, {})

    def limits(self) -> Any:
        raise NotImplementedError

    def submit(self, script: Any, *, cwd: Any) -> Any:
        raise NotImplementedError

    def find(self, tokens: Iterable[str]) -> Mapping[str, str]:
        raise NotImplementedError

    def cancel(self, job_ids: Iterable[str], *, signal: str | None = None) -> None:
        raise NotImplementedError


class ManualClock:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return condition.wait(0.05)


def service(slurm: Slurm, *jobs: str, clock: Any = None, listener: Any = None) -> StatusService:
    status = StatusService(slurm, clock or ManualClock(), uniform=lambda low, high: 1.0)
    status.track(dict.fromkeys(jobs, ""), created=0.0, listener=listener or (lambda _: None), journal=lambda _: None)
    return status


@pytest.mark.parametrize("number", [1, 2, 50, 2000])
def test_one_squeue_however_many_jobs(number: int) -> None:
    jobs = [str(n) for n in range(number)]
    slurm = Slurm(dict.fromkeys(jobs, "RUNNING"))
    clock = ManualClock()
    status = service(slurm, *jobs, clock=clock)
    for _ in range(5):
        for job_id in jobs:
            assert status.snapshot([job_id], max_age=1.0)[job_id].state == "RUNNING"
        clock.now += 1.0
    assert slurm.asked == [("squeue", number)] * 5


def test_age_is_respected() -> None:
    slurm = Slurm({"1": "PENDING"})
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    status.snapshot(["1"], max_age=10)
    slurm.states["1"] = "RUNNING"
    clock.now += 5
    assert status.snapshot(["1"], max_age=10)["1"].state == "PENDING"
    assert status.snapshot(["1"], max_age=5)["1"].state == "RUNNING"
    assert status.snapshot(["1"], max_age=0)["1"].state == "RUNNING"
    assert slurm.count("squeue") == 3
    status.snapshot(["1"], max_age=100)
    status.expire(["1"])
    status.snapshot(["1"], max_age=100)
    assert slurm.count("squeue") == 4
    assert status.snapshot(["unknown"], max_age=0) == {}
    assert slurm.count("squeue") == 4


def test_whoever_comes_meanwhile_shares_the_next_request() -> None:
    """Single flight: while one request is under way twenty more want news; one more request serves them all."""
    slurm = Slurm({"1": "RUNNING"})
    slurm.gate = threading.Event()
    clock = CountingClock()
    status = service(slurm, "1", clock=clock)
    seen: list[Snapshot] = []
    threads = [threading.Thread(target=lambda: seen.append(status.snapshot(["1"], max_age=0)["1"])) for _ in range(21)]
    threads[0].start()
    assert slurm.entered.wait(60)
    for thread in threads[1:]:
        thread.start()
    assert clock.all_wait.wait(60)
    slurm.gate.set()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 21
    assert slurm.count("squeue") == 2


class CountingClock(SystemClock):
    """Says when twenty threads wait on it."""

    def __init__(self) -> None:
        self.waiting = 0
        self.all_wait = threading.Event()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        self.waiting += 1  # the caller holds the condition
        if self.waiting == 20:
            self.all_wait.set()
        return super().wait(condition, timeout)


def test_a_request_under_way_is_too_old_for_who_cancels_meanwhile() -> None:
    slurm = Slurm({"1": "RUNNING"})
    slurm.gate = threading.Event()
    status = service(slurm, "1", clock=SystemClock())
    first = threading.Thread(target=lambda: status.snapshot(["1"], max_age=0))
    first.start()
    assert slurm.entered.wait(60)
    slurm.states["1"] = "CANCELLED"
    status.expire(["1"])
    slurm.gate.set()
    assert status.snapshot(["1"], max_age=1000)["1"].state == "CANCELLED"
    first.join(10)
    assert slurm.count("squeue") == 2


def test_a_forked_child_does_not_wait_for_a_thread_that_it_has_not() -> None:
    slurm = Slurm({"1": "RUNNING"})
    slurm.gate = threading.Event()
    status = service(slurm, "1", clock=SystemClock())
    asking = threading.Thread(target=lambda: status.snapshot(["1"], max_age=0))
    asking.start()
    assert slurm.entered.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says of what this test is about
        child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            slurm.gate = None
            os._exit(0 if status.snapshot(["1"], max_age=0)["1"].state == "RUNNING" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    slurm.gate.set()
    asking.join(60)


def test_one_sacct_for_everything_that_squeue_has_lost() -> None:
    jobs = [str(n) for n in range(30)]
    slurm = Slurm(dict.fromkeys(jobs[:10], "RUNNING"), booked=dict.fromkeys(jobs[10:], "COMPLETED"))
    status = service(slurm, *jobs)
    states = {job_id: snapshot.state for job_id, snapshot in status.snapshot(jobs, max_age=0).items()}
    assert states == {job_id: "RUNNING" if job_id in slurm.states else "COMPLETED" for job_id in jobs}
    assert slurm.asked == [("squeue", 30), ("sacct", 20)]
    status.snapshot(jobs, max_age=0)
    assert slurm.count("sacct") == 1, "what is over is not asked about again"


def test_scontrol_is_asked_a_few_times_a_round_and_once_a_job() -> None:
    jobs = [str(n) for n in range(3 * MAX_SHOWS)]
    slurm = Slurm({}, booked={})
    clock = ManualClock()
    status = service(slurm, *jobs, clock=clock)
    for number in range(1, 6):
        status.snapshot(jobs, max_age=0)
        assert slurm.count("scontrol") == min(number, 3) * MAX_SHOWS
        clock.now += 1
    clock.now += 100
    assert {snapshot.state for snapshot in status.snapshot(jobs, max_age=0).values()} == {LOST}


def test_a_job_that_accounting_alone_holds_for_running_is_given_up() -> None:
    """slurmctld has lost its state, and sacct is never told how the job ended: what sacctmgr calls a runaway job."""
    slurm = Slurm({"1": "RUNNING"}, booked={"1": "RUNNING"})
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    status.snapshot(["1"], max_age=0)
    del slurm.states["1"]
    for _ in range(59):
        assert status.snapshot(["1"], max_age=0)["1"].state == "RUNNING"
        clock.now += 1
    assert slurm.count("scontrol") == 0, "sacct may only be late"
    for _ in range(300):
        clock.now += 1
        status.snapshot(["1"], max_age=0)
    assert status.snapshot(["1"], max_age=0)["1"].state == LOST
    assert slurm.count("scontrol") == 1


def test_no_accounting_is_asked_about_once() -> None:
    slurm = Slurm({"1": "RUNNING"})
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    status.snapshot(["1"], max_age=0)
    del slurm.states["1"]
    for _ in range(5):
        clock.now += 1
        assert status.snapshot(["1"], max_age=0)["1"].state == "RUNNING"
    assert slurm.count("sacct") == 1
    clock.now += 100
    assert status.snapshot(["1"], max_age=0)["1"].state == LOST


def test_no_accounting_is_asked_about_ever_less() -> None:
    """Until there is some."""

    class Shown(Slurm):
        def show(self, job_id: str) -> Mapping[str, Record]:
            return {job_id: record(JobId=job_id, JobState="RUNNING", Restarts="0")}

    slurm = Shown({})
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    began, asked = clock.now, list[float]()
    for _ in range(24 * 60):
        before = slurm.count("sacct")
        assert status.snapshot(["1"], max_age=0)["1"].source == "scontrol"
        asked += [clock.now - began] * (slurm.count("sacct") - before)
        clock.now += 60
    assert asked == [0, 600, 1800, 4200, 9000, 18600, 37800, 59400, 81000]
    slurm.booked = {"1": "COMPLETED"}
    clock.now += 6 * 3600
    assert status.snapshot(["1"], max_age=0)["1"].source == "sacct"


def test_a_sacct_that_hangs_holds_the_others_up_for_a_fifth_of_the_time() -> None:
    class Hanging(Slurm):
        def accounting(self, job_ids: Iterable[str]) -> Mapping[str, Record] | None:
            super().accounting(job_ids)
            clock.now += 60
            raise SchedulerError("no answer within 60 s")

    slurm, clock = Hanging({"2": "RUNNING"}), ManualClock()
    status = service(slurm, "1", "2", clock=clock)
    began = clock.now
    while clock.now - began < 3000:
        assert status.snapshot(["2"], max_age=0)["2"].state == "RUNNING"
        clock.now += 1
    assert 9 <= slurm.count("sacct") <= 10
    assert slurm.count("squeue") > 2000


def test_a_sacct_that_fails_has_not_denied_that_there_is_accounting() -> None:
    """Once it had: from then on a job that everybody has lost is given the time that accounting needs."""
    slurm = Slurm({"1": "RUNNING"})
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    status.snapshot(["1"], max_age=0)
    del slurm.states["1"]
    status.snapshot(["1"], max_age=0)
    clock.now += 590
    slurm.states["1"] = "RUNNING"
    status.snapshot(["1"], max_age=0)
    del slurm.states["1"]
    clock.now += 10
    slurm.accounting_failure = SchedulerError("no answer of the database")
    for _ in range(200):
        assert status.snapshot(["1"], max_age=0)["1"].state == "RUNNING"
        clock.now += 1


def test_a_failing_scheduler_is_left_alone_and_nothing_is_made_up(caplog: pytest.LogCaptureFixture) -> None:
    """P7."""
    slurm = Slurm({"1": "RUNNING"})
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    before = status.snapshot(["1"], max_age=0)["1"]
    slurm.failure = SchedulerError("squeue failed")
    clock.now += 1
    asked = []
    for _ in range(300):
        assert status.snapshot(["1"], max_age=0)["1"] == before
        asked.append(slurm.count("squeue"))
        clock.now += 1
    assert status.error is slurm.failure
    assert 8 <= asked[-1] <= 14, "1, 2, 4, ... s, then every minute"
    assert len([r for r in caplog.records if "squeue failed" in r.getMessage()]) == asked[-1] - 1
    slurm.failure = None
    slurm.states["1"] = "COMPLETED"
    clock.now = status.retry_at
    assert status.snapshot(["1"], max_age=0)["1"].state == "COMPLETED"
    assert status.error is None


def test_what_is_said_of_a_scheduler_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    slurm = Slurm({"1": "RUNNING"})
    clock = ManualClock()
    status = service(slurm, "1", "2", clock=clock)
    assert (status.error, status.last_round, status.retry_at < clock.now) == (None, None, True)
    slurm.failure = SchedulerError("squeue failed")
    assert status.snapshot(["1"], max_age=0) == {}
    assert (status.retry_at, status.last_round) == (clock.now + 1.0, None)
    assert caplog.messages == ["no news of 2 job(s), next try in 1.0 s: squeue failed"]
    clock.now += 1.0
    slurm.failure = SchedulerNotFound("no squeue")
    with pytest.raises(SchedulerNotFound, match="no squeue"):
        status.snapshot(["1"], max_age=0)
    assert (status.retry_at, status.error) == (clock.now + 2.0, slurm.failure)
    assert len(caplog.messages) == 1
    clock.now += 2.0
    slurm.failure = None
    status.snapshot(["1"], max_age=0)
    assert (status.last_round, status.error) == (clock.now, None)
    slurm.failure = SchedulerError("squeue failed")
    clock.now += 1.0
    status.snapshot(["1"], max_age=0)
    assert status.retry_at == clock.now + 1.0, "failures are forgotten with the first answer"


def test_a_reused_id_is_not_shown() -> None:
    class Labelled(Slurm):
        def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
            return {one: row("RUNNING", comment="tok") for one in job_ids}

    clock = ManualClock()
    status = StatusService(Labelled({}), clock, uniform=lambda low, high: 1.0)
    status.track({"1": "tok", "2": "other"}, created=0.0, listener=lambda _: None, journal=lambda _: None)
    assert set(status.snapshot(["1", "2"], max_age=0)) == {"1"}


def test_a_record_from_before_the_submission_is_of_another_job() -> None:
    status = StatusService(Slurm({}, booked={"1": "FAILED"}), ManualClock(), uniform=lambda low, high: 1.0)
    status.track({"1": ""}, created=1e10, listener=lambda _: None, journal=lambda _: None)
    assert status.snapshot(["1"], max_age=0) == {}


def test_the_rules_that_are_given_hold() -> None:
    slurm = Slurm({}, booked={})
    clock = ManualClock()
    status = StatusService(slurm, clock, uniform=lambda low, high: 1.0, rules=Rules(grace=2.0))
    status.track({"1": ""}, created=0.0, listener=lambda _: None, journal=lambda _: None)
    for _ in range(3):
        status.snapshot(["1"], max_age=0)
        clock.now += 1.0
    assert status.snapshot(["1"], max_age=0)["1"].state == LOST


def test_the_rules_that_are_given_hold_for_scontrol_too() -> None:
    slurm = Slurm({}, booked={"1": "RUNNING"})
    clock = ManualClock()
    status = StatusService(slurm, clock, uniform=lambda low, high: 1.0, rules=Rules(grace=2.0))
    status.track({"1": ""}, created=0.0, listener=lambda _: None, journal=lambda _: None)
    asked = []
    for _ in range(4):
        status.refresh()
        asked.append(slurm.count("scontrol"))
        clock.now += 1.0
    assert asked == [0, 0, 1, 1]


def test_accounting_that_is_taken_away_is_asked_about_as_often_as_if_there_had_been_none() -> None:
    slurm = Slurm({}, booked={})
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    status.refresh()
    slurm.booked = None
    began, asked = clock.now, list[float]()
    for _ in range(25):
        clock.now += 60
        before = slurm.count("sacct")
        status.track({"2": ""}, created=0.0, listener=lambda _: None, journal=lambda _: None)
        status.refresh()
        asked += [clock.now - began] * (slurm.count("sacct") - before)
    assert asked == [60, 660]


def test_who_is_not_tracked_is_in_nobodys_way() -> None:
    slurm = Slurm({"1": "RUNNING"})
    status = service(slurm, "1")
    status.forget("unknown")
    assert set(status.snapshot(["unknown", "1"], max_age=0)) == {"1"}


def test_each_change_is_told() -> None:
    slurm = Slurm({"1": "RUNNING", "2": "PENDING"})
    clock = ManualClock()
    told: list[tuple[str, str]] = []

    def hear(news: Sequence[Snapshot]) -> None:
        told.extend((snapshot.job_id, snapshot.state) for snapshot in news)

    status = service(slurm, "0", "1", "2", clock=clock, listener=hear)
    status.snapshot(["1"], max_age=0)
    clock.now += 1.0
    slurm.states["2"] = "RUNNING"
    status.snapshot(["1"], max_age=0)
    assert told == [("1", "RUNNING"), ("2", "PENDING"), ("2", "RUNNING")]


def test_a_failing_sacct_does_not_stop_squeue() -> None:
    slurm = Slurm({"1": "RUNNING"}, booked={})
    slurm.accounting_failure = SchedulerError("sacct failed")
    clock = ManualClock()
    status = service(slurm, "1", "2", clock=clock)
    for _ in range(10):
        assert status.snapshot(["1", "2"], max_age=0)["1"].state == "RUNNING"
        clock.now += 1
    assert slurm.count("squeue") == 10
    assert slurm.count("sacct") == 4, "after 1, 2, 4 s"


def test_sacct_is_forgiven_its_failures_once_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    slurm = Slurm({"1": "RUNNING"}, booked={})
    clock = ManualClock()
    status = service(slurm, "1", "2", clock=clock)

    def asked(failure: SchedulerError | None, seconds: int) -> int:
        slurm.accounting_failure, before = failure, slurm.count("sacct")
        for _ in range(seconds):
            status.snapshot(["1", "2"], max_age=0)
            clock.now += 1
        return slurm.count("sacct") - before

    failure = SchedulerError("no answer of the database")
    assert asked(failure, 7) == 3, "at 0, 1, 3"
    assert "sacct did not answer about 1 job(s), next try in 4.0 s: no answer of the database" in caplog.messages
    assert asked(None, 2) == 2
    assert asked(failure, 7) == 3, "and so again"


def test_a_failing_scontrol_has_not_denied_the_job(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(Slurm):
        def show(self, job_id: str) -> Mapping[str, Record]:
            super().show(job_id)
            if self.count("scontrol") < 3:
                raise SchedulerError(f"no answer about {job_id}")
            return {}

    slurm = Mute({}, booked=None)
    clock = ManualClock()
    status = service(slurm, "1", clock=clock)
    for _ in range(5):
        status.snapshot(["1"], max_age=0)
        clock.now += 1
    assert slurm.count("scontrol") == 3, "until it has answered"
    assert [m for m in caplog.messages if "scontrol" in m] == [
        "scontrol did not answer about job 1: no answer about 1"
    ] * 2


def test_the_journal_is_heard_where_there_is_no_accounting() -> None:
    status = StatusService(Slurm({}), ManualClock(), uniform=lambda low, high: 1.0)
    heard: list[Snapshot] = []
    end = JournalEnd(0, "FAILED", "1:0")
    status.track({"1": ""}, created=0.0, listener=heard.extend, journal=lambda _: end)
    assert status.snapshot(["1"], max_age=0)["1"].source == "journal"
    assert [snapshot.state for snapshot in heard] == ["FAILED"]


def test_where_there_is_accounting_the_journal_waits_for_it() -> None:
    status = StatusService(Slurm({}, booked={}), ManualClock(), uniform=lambda low, high: 1.0)
    end = JournalEnd(0, "FAILED", "1:0")
    status.track({"1": ""}, created=0.0, listener=lambda _: None, journal=lambda _: end)
    assert status.snapshot(["1"], max_age=0) == {}


def test_no_slurm_at_all_is_an_error() -> None:
    slurm = Slurm({"1": "RUNNING"})
    slurm.failure = SchedulerNotFound("no squeue")
    with pytest.raises(SchedulerNotFound):
        service(slurm, "1").snapshot(["1"], max_age=0)


def test_transitions_are_told_whoever_asked() -> None:
    slurm = Slurm({"1": "PENDING", "2": "RUNNING"})
    heard: list[tuple[str, str]] = []
    clock = ManualClock()
    status = service(
        slurm, "1", "2", clock=clock, listener=lambda news: heard.extend((s.job_id, s.state) for s in news)
    )
    for state in ("PENDING", "RUNNING", "RUNNING", "COMPLETED", "COMPLETED"):
        slurm.states["1"] = state
        status.snapshot(["2"], max_age=0)
        clock.now += 1
    assert heard == [("1", "PENDING"), ("2", "RUNNING"), ("1", "RUNNING"), ("1", "COMPLETED")]
    status.forget("1")
    assert status.snapshot(["1", "2"], max_age=0).keys() == {"2"}


def test_a_refresh_asks_about_everything_however_new() -> None:
    slurm = Slurm({"1": "RUNNING", "2": "PENDING"})
    told: list[Snapshot] = []
    status = service(slurm, "1", "2", listener=told.extend)
    status.snapshot(["1", "2"], max_age=10.0)
    slurm.states["2"] = "COMPLETED"
    status.refresh()
    assert slurm.asked_about("squeue") == [["1", "2"]] * 2
    assert [(snapshot.job_id, snapshot.state) for snapshot in told][2:] == [("2", "COMPLETED")]
    status.forget("1")
    status.forget("2")
    status.refresh()
    assert slurm.count("squeue") == 2, "nothing is outstanding"


def test_each_submission_hears_of_its_own_jobs_once_a_round() -> None:
    slurm = Slurm({"1": "COMPLETED", "7_0": "PENDING", "7_1": "RUNNING"})
    clock = ManualClock()
    rounds: list[tuple[str, list[tuple[str, str]]]] = []

    def hears(name: str) -> Any:
        return lambda news: rounds.append((name, [(snapshot.job_id, snapshot.state) for snapshot in news]))

    status = service(slurm, "1", clock=clock, listener=hears("one"))
    status.track({"7_0": "", "7_1": ""}, created=0.0, listener=hears("array"), journal=lambda _: None)
    status.refresh()
    assert rounds == [("one", [("1", "COMPLETED")]), ("array", [("7_0", "PENDING"), ("7_1", "RUNNING")])]
    slurm.states["7_1"] = "COMPLETED"
    status.refresh()
    assert rounds[2:] == [("array", [("7_1", "COMPLETED")])], "what is over is no news, and hides none"


def test_a_requeue_is_told_though_the_state_is_the_same() -> None:
    class Requeued(Slurm):
        def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
            found = super().queue(job_ids)
            return {one: record(JobId=one, JobState="RUNNING", Restarts=f"{len(self.about) // 2}") for one in found}

    told: list[int] = []
    status = service(Requeued({"1": "RUNNING"}), "1", listener=lambda news: told.extend(one.attempt for one in news))
    for _ in range(4):
        status.refresh()
    assert told == [0, 1, 2]


def test_jobs_that_nobody_tracks_are_no_news() -> None:
    class Talks(Slurm):
        def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
            return super().queue(["99", *job_ids])

    told: list[str] = []
    slurm = Talks({"99": "RUNNING", "1": "RUNNING"})
    status = service(slurm, "1", listener=lambda news: told.extend(one.job_id for one in news))
    assert set(status.snapshot(["1", "99"], max_age=0)) == {"1"}
    assert told == ["1"]


def test_the_clock_makes_what_a_service_waits_with() -> None:
    """A virtual one has to know of it."""
    made: list[str] = []

    class Conducts(ManualClock):
        def condition(self) -> threading.Condition:
            made.append("condition")
            return threading.Condition()

        def thread(self, target: Any, *, name: str, background: bool) -> threading.Thread:
            raise NotImplementedError

    service(Slurm({}), "1", clock=Conducts())
    assert made == ["condition"]


def test_what_is_known_of_some_jobs_expires_alone() -> None:
    slurm = Slurm({"1": "RUNNING", "2": "RUNNING"})
    status = service(slurm, "1", "2")
    status.snapshot(["1", "2"], max_age=10.0)
    status.expire(["unknown", "2"])
    status.snapshot(["1"], max_age=10.0)
    assert slurm.count("squeue") == 1
    status.snapshot(["2"], max_age=10.0)
    assert slurm.count("squeue") == 2


# --- what squeue has lost, of arrays ----------------------------------------------------------------------------------


def states(status: StatusService, *jobs: str) -> dict[str, str]:
    return {job_id: snapshot.state for job_id, snapshot in status.snapshot(jobs, max_age=0).items()}


def lost_for(status: StatusService, clock: ManualClock, seconds: int, *jobs: str) -> dict[str, str]:
    """What is said of them after `seconds`, each of which had a round."""
    for _ in range(seconds):
        status.snapshot(jobs, max_age=0)
        clock.now += 1
    return states(status, *jobs)


def test_an_element_that_was_cancelled_before_it_ran_leaves_no_trace() -> None:
    """From here: at once, and that alone; what others cancel, or nobody, is given time."""
    slurm = Slurm({"7_0": "PENDING", "7_1": "PENDING", "7_2": "RUNNING"}, booked={})
    status = service(slurm, "7_0", "7_1", "7_2")
    status.refresh()
    slurm.states = {}
    status.expire(["7_0", "7_2"], cancelled=True)
    status.expire(["7_0", "7_1"])
    assert states(status, "7_0", "7_1", "7_2") == {"7_0": "CANCELLED", "7_1": "PENDING", "7_2": "RUNNING"}


def test_an_element_that_has_written_its_end_was_not_cancelled_before_it_ran() -> None:
    slurm = Slurm({"7_0": "PENDING", "7_1": "PENDING"}, booked={})
    ends = {"7_1": JournalEnd(0, "COMPLETED", "0:0")}
    clock = ManualClock()
    status = StatusService(slurm, clock, uniform=lambda low, high: 1.0)
    status.track({"7_0": "", "7_1": ""}, created=0.0, listener=lambda _: None, journal=ends.get)
    status.refresh()
    slurm.states = {}
    status.expire(["7_0", "7_1"], cancelled=True)
    assert states(status, "7_0", "7_1") == {"7_0": "CANCELLED", "7_1": "PENDING"}
    assert lost_for(status, clock, 60, "7_1") == {"7_1": "COMPLETED"}


def test_an_element_whose_siblings_are_known_was_cancelled_by_somebody() -> None:
    """Once it is missed for the grace period. The siblings need not be anybody's; of another array they are none."""

    class Talks(Slurm):
        def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
            return super().queue([*job_ids, "7_5"])

    slurm = Talks({"7_0": "PENDING", "8_0": "PENDING", "7_5": "RUNNING"}, booked={})
    clock = ManualClock()
    status = service(slurm, "7_0", "8_0", clock=clock)
    status.refresh()
    slurm.states = {"7_5": "RUNNING"}
    assert lost_for(status, clock, 59, "7_0", "8_0") == {"7_0": "PENDING", "8_0": "PENDING"}
    assert lost_for(status, clock, 1, "7_0", "8_0") == {"7_0": "CANCELLED", "8_0": LOST}


def test_scontrol_is_asked_about_an_array_once_a_round() -> None:
    elements = [f"7_{index}" for index in range(3)]
    slurm = Slurm({}, booked={})
    slurm.shown["7"] = {"7_1": record(JobId="7_1", JobState="RUNNING", Restarts="0")}
    status = service(slurm, *elements)
    found = status.snapshot(elements, max_age=0)
    assert {job_id: (one.state, one.source) for job_id, one in found.items()} == {"7_1": ("RUNNING", "scontrol")}
    assert slurm.asked_about("scontrol") == [["7"]]
    status.refresh()
    assert slurm.asked_about("scontrol") == [["7"]] * 2, "for the one that it has shown; the others are denied"


def test_a_scontrol_that_fails_is_asked_about_an_array_once_a_round() -> None:
    class Mute(Slurm):
        def show(self, job_id: str) -> Mapping[str, Record]:
            super().show(job_id)
            raise SchedulerError("no answer")

    slurm = Mute({}, booked={})
    status = service(slurm, "7_0", "7_1")
    for number in range(1, 4):
        status.refresh()
        assert slurm.asked_about("scontrol") == [["7"]] * number


def test_more_arrays_than_scontrol_is_asked_about_in_a_round_wait_for_the_next() -> None:
    """Elements of an array that was asked about do not."""
    arrays = [str(number) for number in range(10, 10 + MAX_SHOWS + 1)]
    jobs = [f"{array}_{index}" for index in range(2) for array in arrays]
    slurm = Slurm({}, booked={})
    slurm.shown = {
        array: {f"{array}_{index}": record(JobId=f"{array}_{index}", JobState="RUNNING") for index in range(2)}
        for array in arrays
    }
    status = service(slurm, *jobs)
    assert states(status, *jobs) == {job_id: "RUNNING" for job_id in jobs if not job_id.startswith(arrays[-1])}
    assert slurm.asked_about("scontrol") == [[array] for array in arrays[:-1]]


def test_sacct_is_asked_about_some_arrays_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of which it has told the end make room for the next."""
    monkeypatch.setattr("slurmkit.polling.status.MAX_ACCOUNTING", 2)
    jobs = ["7_0", "8_0", "9_0", "7_1", "10"]
    slurm = Slurm({}, booked=dict.fromkeys(jobs, "COMPLETED"))
    slurm.shown = {"9": {"9_0": record(JobId="9_0", JobState="RUNNING")}}
    status = service(slurm, *jobs)
    assert states(status, *jobs) == {"7_0": "COMPLETED", "8_0": "COMPLETED", "7_1": "COMPLETED", "9_0": "RUNNING"}
    assert slurm.asked_about("sacct") == [["7_0", "8_0", "7_1"]]
    assert slurm.asked_about("scontrol") == [["9"], ["10"]]
    assert states(status, "9_0", "10") == {"9_0": "COMPLETED", "10": "COMPLETED"}
    assert slurm.asked_about("sacct")[1:] == [["9_0", "10"]]


def test_a_job_about_which_sacct_was_not_asked_is_not_unknown_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is given the time that accounting needs. Each has its turn."""
    monkeypatch.setattr("slurmkit.polling.status.MAX_ACCOUNTING", 1)
    slurm = Slurm({"1": "RUNNING", "2": "RUNNING"}, booked={"1": "RUNNING", "2": "RUNNING"})
    clock = ManualClock()
    status = service(slurm, "1", "2", clock=clock)
    status.refresh()
    slurm.states = {}
    assert lost_for(status, clock, 299, "1", "2") == {"1": "RUNNING", "2": "RUNNING"}
    assert slurm.asked_about("sacct")[:4] == [["1"], ["2"], ["1"], ["2"]]
    assert lost_for(status, clock, 2, "1", "2") == {"1": LOST, "2": LOST}


def test_what_the_controller_has_forgotten_while_sacct_is_late() -> None:
    slurm = Slurm({"1": "RUNNING", "2": "RUNNING", "3": "RUNNING"}, booked={"1": "RUNNING", "2": "COMPLETED"})
    status = service(slurm, "1", "2", "3")
    status.refresh()
    assert not any(status.is_missed(job_id) for job_id in "1234")
    slurm.states = {"3": "RUNNING"}
    status.refresh()
    assert [job_id for job_id in "1234" if status.is_missed(job_id)] == ["1"]


def test_a_job_that_sacct_does_not_know_is_lost_after_the_grace_period() -> None:
    slurm = Slurm({"1": "RUNNING", "2": "RUNNING"}, booked={"1": "RUNNING"})
    clock = ManualClock()
    status = service(slurm, "1", "2", clock=clock)
    status.refresh()
    slurm.states = {}
    assert lost_for(status, clock, 59, "1", "2") == {"1": "RUNNING", "2": "RUNNING"}
    assert lost_for(status, clock, 1, "1", "2") == {"1": "RUNNING", "2": LOST}


def test_hurrying_costs_one_percent() -> None:
    class Slow(Slurm):
        def queue(self, job_ids: Iterable[str]) -> Mapping[str, Record]:
            clock.now += 0.2
            return super().queue(job_ids)

    clock = ManualClock()
    status = service(Slow({"1": "RUNNING"}), "1", clock=clock)
    assert status.can_hurry
    for _ in range(3):
        status.snapshot(["1"], max_age=0)
    assert not status.can_hurry
    clock.now += 11
    assert status.can_hurry


def test_nobody_has_his_turn_with_sacct_while_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmkit.polling.status.MAX_ACCOUNTING", 1)
    slurm, clock = Slurm({}, booked={}), ManualClock()
    slurm.accounting_failure = SchedulerError("down")
    status = service(slurm, "1", "2", clock=clock)
    for pause in (0.1, 0.1, 0.1, 60.0):
        status.refresh()
        clock.now += pause
    status.refresh()
    assert slurm.asked_about("sacct") == [["1"], ["2"]]


def test_scontrol_that_does_not_settle_it_is_asked_about_every_array_in_turn() -> None:
    class Undecided(Slurm):
        def show(self, job_id: str) -> Mapping[str, Record]:
            super().show(job_id)
            raise SchedulerError("no answer")

    jobs = [str(number) for number in range(10, 10 + 2 * MAX_SHOWS + 1)]
    slurm = Undecided({}, booked={})
    status = service(slurm, *jobs)
    for _ in range(3):
        status.refresh()
    assert {job_id for [job_id] in slurm.asked_about("scontrol")} == set(jobs)
