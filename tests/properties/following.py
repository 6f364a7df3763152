"""Jobs on a virtual Slurm that slurmkit follows with real threads: what is to happen, and what the callbacks heard of it."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from hypothesis import strategies as st

import slurmkit
from fakeslurm import FakeSlurm, Simulated, VirtualClock, strategies
from fakeslurm.history import Event, JobEnded, JobRequeued, JobResumed, JobStarted, JobSubmitted, JobSuspended
from slurmkit import BaseCallback, Cluster, CompletedContext, JobStatusUpdatedContext
from slurmkit.clock import sleep

LONGEST = 30 * 86400.0
ACTIONS = ("requeue", "suspend", "resume", "cancel", "hold", "release")


@attrs.frozen
class Scenario:
    """Jobs that are submitted at once on one node of one CPU, so that they wait for each other.

    `attempts`: of each job, what it does in each of its attempts. `actions`: after so many more seconds somebody does this to that job.
    """

    intervals: tuple[float, ...]
    attempts: tuple[tuple[Simulated, ...], ...]
    actions: tuple[tuple[float, str, int], ...] = ()

    def behaviour(self, name: str, restart_count: int) -> Simulated:
        attempts = self.attempts[int(name.removeprefix("job"))]
        return attempts[min(restart_count, len(attempts) - 1)]


@st.composite
def scenarios(draw: st.DrawFn, *, actions: bool = True, max_jobs: int = 3, max_subscribers: int = 3) -> Scenario:
    """Some minutes of up to three jobs, with intervals that suit them."""
    intervals = draw(st.lists(st.sampled_from([60.0, 5.0, 7.5, 30.0, 1000.0]), min_size=1, max_size=max_subscribers))
    behaviours = st.lists(strategies.outcomes(max_seconds=300), min_size=1, max_size=2).map(tuple)
    attempts = draw(st.lists(behaviours, min_size=1, max_size=max_jobs))
    deeds = st.tuples(
        st.sampled_from([0.0, 1.0, 6.0, 30.0, 100.0]), st.sampled_from(ACTIONS), st.integers(0, len(attempts) - 1)
    )
    return Scenario(tuple(intervals), tuple(attempts), tuple(draw(st.lists(deeds, max_size=5))) if actions else ())


@attrs.frozen
class Heard:
    """One call of ``on_job_status_update_ctx``, or (state ``completed``) of ``on_completed_ctx``."""

    time: float
    job_id: str
    state: str
    attempt: int
    previous: str | None
    is_terminal: bool
    thread: str

    @property
    def moment(self) -> tuple[str, int]:
        return self.state, self.attempt


class Follows(BaseCallback):
    """Writes down what it hears; `react` is called in the hook, after that."""

    requires_pickling = False

    def __init__(self, interval: float | None, slurm: FakeSlurm, react: Callable[[Heard], object]) -> None:
        self.poll_interval_secs = interval
        self.heard: list[Heard] = []
        self.inside: dict[str, int] = {}
        self.entered_twice = False
        self._clock = slurm.clock
        self._react = react

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        self.inside[ctx.job_id] = self.inside.get(ctx.job_id, 0) + 1
        self.entered_twice |= self.inside[ctx.job_id] > 1
        try:
            status = ctx.status
            self._hear(ctx.job_id, status["JobState"], int(status["Restarts"]), ctx.previous_state, ctx.is_terminal)
        finally:
            self.inside[ctx.job_id] -= 1

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self._hear(ctx.job_id, "completed", int(ctx.status["Restarts"]), None, True)

    def _hear(self, job_id: str, state: str, attempt: int, previous: str | None, is_terminal: bool) -> None:
        thread = threading.current_thread().name
        self.heard.append(Heard(self._clock.time(), job_id, state, attempt, previous, is_terminal, thread))
        self._react(self.heard[-1])

    def of(self, job_id: str) -> list[Heard]:
        """The updates about that job."""
        return [one for one in self.heard if one.job_id == job_id and one.state != "completed"]

    def completed(self, job_id: str) -> list[Heard]:
        return [one for one in self.heard if one.job_id == job_id and one.state == "completed"]


@slurmkit.task(time="0:10:00")
def nothing() -> None:
    raise NotImplementedError("it is simulated")


@attrs.frozen
class Following:
    """A scenario that has been played to its end, unless its `cluster` was closed before."""

    slurm: FakeSlurm
    cluster: Cluster
    callbacks: Sequence[Follows]
    jobs: Sequence[slurmkit.Job[Any]]
    began: float

    def truth(self, job_id: str) -> list[tuple[str, int]]:
        """The states that the job has been in, with its attempts, as the controller knows them."""
        attempt = 0
        found: list[tuple[str, int]] = []
        for event in self.slurm.history.of_job(int(job_id)):
            if isinstance(event, JobRequeued):
                attempt = event.restart_count
            if isinstance(event, JobEnded):
                found += [("COMPLETING", attempt)] if event.completing else []
                found.append((event.state, attempt))
            elif state := _STATES.get(type(event)):
                found += [("COMPLETING", attempt)] if getattr(event, "completing", False) else []
                found.append((state, attempt))
        return found


_STATES: dict[type[Event], str] = {
    JobSubmitted: "PENDING",
    JobStarted: "RUNNING",
    JobSuspended: "SUSPENDED",
    JobResumed: "RUNNING",
    JobRequeued: "PENDING",
}


def is_seen_in(told: Sequence[tuple[str, int]], truth: Sequence[tuple[str, int]]) -> bool:
    """Whether `told` is `truth`, but for what was not seen of it."""
    left = iter(truth)
    return all(any(moment == one for one in left) for moment in told)


@contextlib.contextmanager
def following(
    scenario: Scenario,
    *,
    react: Callable[[FakeSlurm, Heard], object] = lambda slurm, heard: None,
    prepare: Callable[[FakeSlurm], object] = lambda slurm: None,
    wait: bool = True,
) -> Iterator[Following]:
    """Submit the jobs, do what is to be done to them, and `wait` for their ends. `react` runs in the hooks."""
    clock = VirtualClock()
    with (
        FakeSlurm(nodes=1, cpus_per_node=1, clock=clock) as slurm,
        tempfile.TemporaryDirectory() as root,
        clock.participate(),  # so that all that happens has one order
    ):
        slurm.simulate(lambda job: scenario.behaviour(job.name, job.restart_count))
        callbacks = [Follows(interval, slurm, lambda heard: react(slurm, heard)) for interval in scenario.intervals]
        with Cluster(slurm.backend(), callbacks=callbacks, job_root=root) as cluster:
            jobs = [
                cluster.submit(nothing.with_options(job_name=f"job{number}"))
                for number in range(len(scenario.attempts))
            ]
            began = slurm.clock.time()
            prepare(slurm)
            for seconds, action, number in scenario.actions:
                slurm.advance(seconds)
                _act(slurm, action, jobs[number].job_id)
            if wait:
                for job in jobs:
                    slurm.execute(["scontrol", "release", job.job_id])
                    slurm.execute(["scontrol", "resume", job.job_id])
                for job in jobs:
                    assert job.wait(timeout=LONGEST)
            yield Following(slurm, cluster, callbacks, jobs, began)


def _act(slurm: FakeSlurm, action: str, job_id: str) -> None:
    """What cannot be done to the job in its state is refused, as ever."""
    command = ["scancel", job_id] if action == "cancel" else ["scontrol", action, job_id]
    slurm.execute(command)


def nap(slurm: FakeSlurm, seconds: float) -> None:
    """In a hook: virtual seconds go by."""
    sleep(slurm.clock, seconds)


def pollers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("slurmkit-poller-")]
