"""The poller's promises P1 to P11, each for any jobs and any intervals: real threads, virtual time."""

from __future__ import annotations

import contextlib
import itertools
import logging

import pytest
from following import Following, Follows, Heard, Scenario, following, is_seen_in, nap, pollers, scenarios
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakeslurm import FakeSlurm, Simulated, strategies
from fakeslurm.faults import KINDS, Fault
from slurmkit import Cluster
from slurmkit.slurm.states import TERMINAL_STATES

few = settings(
    max_examples=max(1, settings.default.max_examples // 5),  # of a tenth of a second each
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HOURS = 3600.0


def everything(run: Following) -> list[list[Heard]]:
    """What each callback has heard of each job."""
    return [
        callback.of(job.job_id) + callback.completed(job.job_id)
        for callback, job in itertools.product(run.callbacks, run.jobs)
    ]


def transitions(updates: list[Heard]) -> list[tuple[str, int]]:
    return [moment for moment, _ in itertools.groupby(one.moment for one in updates)]


@few
@given(st.lists(strategies.callbacks(valid=True), max_size=4))
def test_p1_no_subscriber_no_thread(plans: list[strategies.CallbackPlan]) -> None:
    def hear(hook: str, ctx: object) -> None: ...

    follows = [
        plan for plan in plans if plan.poll_interval_secs is not None and "on_job_status_update_ctx" in plan.hooks
    ]
    with FakeSlurm(clock="virtual") as slurm:
        slurm.simulate(Simulated(HOURS))
        with Cluster(slurm.backend(), callbacks=[plan.make(hear) for plan in plans]) as cluster:
            cluster.submit(abs, -1)
            assert len(pollers()) == bool(follows)
    assert not pollers()


@few
@given(scenarios())
def test_p2_updates_that_bring_nothing_new_are_an_interval_apart(scenario: Scenario) -> None:
    with following(scenario) as run:
        for callback, job in itertools.product(run.callbacks, run.jobs):
            for before, after in itertools.pairwise(callback.of(job.job_id)):
                if before.moment == after.moment and not after.is_terminal:
                    assert callback.poll_interval_secs is not None
                    assert after.time - before.time >= callback.poll_interval_secs - 1e-6


@few
@given(scenarios())
def test_p3_an_observed_transition_reaches_every_subscriber_at_once(scenario: Scenario) -> None:
    with following(scenario) as run:
        for job in run.jobs:
            news = []
            for callback in run.callbacks:
                updates = callback.of(job.job_id)
                firsts = [next(group) for _, group in itertools.groupby(updates, key=lambda one: one.moment)]
                news.append([(one.moment, one.time, one.previous) for one in firsts])
            assert all(one == news[0] for one in news)
            states = [moment[0] for moment, _, _ in news[0]]
            assert [previous for _, _, previous in news[0]] == [None, *states[:-1]]


@few
@given(scenarios())
def test_p4_one_terminal_update_and_it_is_the_last(scenario: Scenario) -> None:
    with following(scenario) as run:
        for callback, job in itertools.product(run.callbacks, run.jobs):
            updates = callback.of(job.job_id)
            assert [one.is_terminal for one in updates] == [False] * (len(updates) - 1) + [True]
            (completed,) = callback.completed(job.job_id)
            assert callback.heard.index(completed) > callback.heard.index(updates[-1])
            assert updates[-1].state == job.state
            # Not the last one there: a job that is requeued when its end has been told is followed no further.
            assert updates[-1].moment in run.truth(job.job_id)
            assert updates[-1].state in TERMINAL_STATES


@few
@given(scenarios(), st.sampled_from([0.0, 0.5, 20.0, 400.0]))
def test_p5_one_at_a_time_and_in_order(scenario: Scenario, pause: float) -> None:
    with following(scenario, react=lambda slurm, heard: nap(slurm, pause)) as run:
        for callback, job in itertools.product(run.callbacks, run.jobs):
            updates = callback.of(job.job_id)
            assert {one.thread for one in updates} == {f"slurmkit-poller-{job.job_id}"}
            assert [one.attempt for one in updates] == sorted(one.attempt for one in updates)
            assert [one.previous for one in updates] == [None, *(one.state for one in updates[:-1])]
        assert not any(callback.entered_twice for callback in run.callbacks)


@few
@given(scenario=scenarios(), which=st.integers(0, 2), error=st.sampled_from([ValueError, SystemExit, KeyError]))
def test_p6_what_a_callback_raises_is_logged_once_and_harms_nothing(
    caplog: pytest.LogCaptureFixture, scenario: Scenario, which: int, error: type[BaseException]
) -> None:
    caplog.clear()
    raised: list[Heard] = []

    def react(slurm: FakeSlurm, heard: Heard) -> None:
        if len(raised) % 3 == which:
            raised.append(heard)
            raise error("mine")
        raised.append(heard)

    with following(scenario) as good:
        expected = everything(good)
    caplog.clear()
    with following(scenario, react=react) as run:
        assert everything(run) == expected
    failures = [record for record in caplog.records if record.name == "slurmkit.callbacks"]
    assert len(failures) == len(raised[which::3])
    assert all(record.levelno == logging.ERROR and record.exc_info for record in failures)


_SEEN_BEFORE_TWO_REQUEUES = Scenario((60.0,), ((Simulated(0.5),),), ((0.0, "requeue", 0), (6.0, "requeue", 0)))


@few
@given(scenarios(), st.lists(st.tuples(*[st.sampled_from([0.0, 5.0, 60.0, 500.0])] * 2), max_size=4), st.booleans())
@example(_SEEN_BEFORE_TWO_REQUEUES, [(5.0, 500.0)], False)
def test_p7_a_failed_query_is_no_state(scenario: Scenario, outages: list[tuple[float, float]], hangs: bool) -> None:
    kind = "controller_timeout" if hangs else "controller_down"

    faults: list[Fault] = []

    def prepare(slurm: FakeSlurm) -> None:
        for after, lasting in outages:
            faults.append(slurm.schedule_fault(kind, after=after, lasting=lasting, commands=["squeue"], seconds=0.0))

    with following(scenario, prepare=prepare) as run:
        for callback, job in itertools.product(run.callbacks, run.jobs):
            updates = callback.of(job.job_id)
            told, truth = transitions(updates), run.truth(job.job_id)
            # Of what has happened since the job was last seen sacct alone tells, which does not say of which attempt.
            last_seen = told[-2][1] if len(told) > 1 else 0
            if told[-1] == (truth[-1][0], last_seen):
                told = [*told[:-1], truth[-1]]
            assert is_seen_in(told, truth), run.slurm.history
            assert updates[-1].state in TERMINAL_STATES
        hits = sum(len(fault.hits) for fault in faults)
        assert hits <= 9 * len(outages) + sum(lasting for _, lasting in outages) / 45, "it asks less and less often"


@few
@given(st.sampled_from([5.0, 60.0]), st.sampled_from([100.0, 700.0]), st.integers(1, 3))
def test_p8_a_slow_callback_delays_only_its_own_job(interval: float, pause: float, others: int) -> None:
    behaviour = Simulated(1000.0)
    scenario = Scenario((interval,), ((behaviour,),) * (1 + others))

    def react(slurm: FakeSlurm, heard: Heard) -> None:
        if heard.job_id == "1" and heard.state != "completed":
            nap(slurm, pause)

    with following(scenario, react=react) as run:
        (callback,) = run.callbacks
        for job in run.jobs[1:]:
            updates = callback.of(job.job_id)
            for before, after in itertools.pairwise(updates):
                assert after.time - before.time <= interval + 1e-6
            slow = callback.of("1")
            assert all(after.time - before.time >= pause for before, after in itertools.pairwise(slow))


@few
@given(st.sampled_from([5.0, 60.0]), st.integers(1, 12))
def test_p9_requests_do_not_grow_with_the_jobs(interval: float, jobs: int) -> None:
    scenario = Scenario((interval,), ((Simulated(50.0),),) * jobs)
    with following(scenario, wait=False) as run:
        calls = run.slurm.calls.count("squeue")
        run.slurm.advance(40.0 * interval)
        requests = run.slurm.calls.count("squeue") - calls
        ended = sum(len(callback.completed(job.job_id)) for callback in run.callbacks for job in run.jobs)
        assert requests <= 40 + 2 + min(ended, 2 * jobs)
        assert run.slurm.calls.count("sacct") == run.slurm.calls.count("scontrol") == 0


@few
@given(scenarios(), st.booleans(), st.sampled_from([0.0, 10.0, 100.0]))
def test_p10_the_thread_is_gone_after_the_end_or_close(scenario: Scenario, wait: bool, passed: float) -> None:
    with following(scenario, wait=wait) as run:
        if not wait:
            run.slurm.advance(passed)
            run.cluster.close()
        for thread in pollers():
            thread.join(10)
        assert not pollers()
        told = sum(len(callback.heard) for callback in run.callbacks)
        run.slurm.advance(HOURS)
        assert sum(len(callback.heard) for callback in run.callbacks) == told


@few
@given(scenarios(), st.integers(1, 3), st.sampled_from([1.0, 20.0]))
def test_p11_a_requeue_starts_a_new_attempt_and_the_stream_goes_on(
    scenario: Scenario, requeues: int, after: float
) -> None:
    running = Simulated(100.0)
    first = (*[running] * requeues, scenario.attempts[0][0])
    deeds = tuple((after + 10.0, "requeue", 0) for _ in range(requeues))
    with following(Scenario(scenario.intervals, (first,), deeds)) as run:
        assert run.truth("1")[-1][1] == requeues
        for callback in run.callbacks:
            updates = callback.of("1")
            assert updates[-1].attempt == requeues
            assert updates[-1].is_terminal
            assert not any(one.is_terminal for one in updates[:-1])


@few
@given(scenarios(), strategies.fault_plans(kinds=sorted(KINDS.keys() - {"client_killed", "rate_limited"}), max_size=6))
def test_what_holds_whatever_goes_wrong(scenario: Scenario, faults: strategies.FaultPlan) -> None:
    """P2, P4, P5 and P10 under any plan of faults."""
    with following(scenario, prepare=faults.begin) as run:
        promises_are_kept(run)


@few
@given(scenarios(), st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3]), st.sampled_from([None, 60.0, 600.0]))
def test_what_holds_in_chaos(scenario: Scenario, seed: int, rate: float, every: float | None) -> None:
    """The same, with faults from a seed, those of single calls among them."""
    with contextlib.ExitStack() as stack:

        def prepare(slurm: FakeSlurm) -> None:
            stack.enter_context(slurm.chaos(seed, rate, every=every))

        with following(scenario, prepare=prepare) as run:
            promises_are_kept(run)


def promises_are_kept(run: Following) -> None:
    for callback, job in itertools.product(run.callbacks, run.jobs):
        updates = callback.of(job.job_id)
        assert [one.is_terminal for one in updates] == [False] * (len(updates) - 1) + [True]
        assert updates[-1].state == job.state
        assert [one.attempt for one in updates] == sorted(one.attempt for one in updates)
        assert len(callback.completed(job.job_id)) == 1
        for before, after in itertools.pairwise(updates):
            if before.moment == after.moment and not after.is_terminal:
                assert callback.poll_interval_secs is not None
                assert after.time - before.time >= callback.poll_interval_secs - 1e-6
    assert not any(callback.entered_twice for callback in run.callbacks)
    for thread in pollers():
        thread.join(10)
    assert not pollers()


def test_the_scenarios_reach_what_they_are_for() -> None:
    """Otherwise the properties above say little."""
    seen: set[str] = set()

    @settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @given(scenarios())
    def play(scenario: Scenario) -> None:
        with following(scenario) as run:
            callback: Follows = run.callbacks[0]
            seen.update(one.state for one in callback.heard)
            seen.update("requeued" for one in callback.heard if one.attempt)

    play()
    assert seen >= {"PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "completed", "requeued"}
