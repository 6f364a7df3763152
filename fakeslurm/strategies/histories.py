"""What jobs live through, and what somebody sees of it whose sources lag, fail and forget."""

from __future__ import annotations

from attrs import field, frozen
from hypothesis import strategies as st

from slurmkit.backends.base import Record
from slurmkit.backends.parse import record
from slurmkit.polling.arbitration import UNASKED, Answer, JournalEnd, Round
from slurmkit.slurm.durations import format_timestamp
from slurmkit.slurm.states import TERMINAL_STATES

__all__ = ["Moment", "Sighting", "StatusHistory", "sightings", "status_histories"]

_EPOCH = 1_893_456_000.0  # 2030-01-01
_WAITING = [["PENDING"], ["PENDING"], ["PENDING", "CONFIGURING"]]
_RUNNING = [
    ["RUNNING"],
    ["RUNNING"],
    ["RUNNING", "SUSPENDED", "RUNNING"],
    ["RUNNING", "COMPLETING"],
    ["RUNNING", "STOPPED"],
]
_ENDS = {
    "PENDING": ["CANCELLED", "DEADLINE"],
    "CONFIGURING": ["CANCELLED", "BOOT_FAIL", "NODE_FAIL"],
    "RUNNING": [
        *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "DEADLINE"),
    ],
}


@frozen
class Moment:
    """From `at` (seconds after the submission) on the job is in this state, in its attempt number `attempt`."""

    at: float
    state: str
    attempt: int


@frozen
class StatusHistory:
    """A job's states in their order. An attempt ends with its last moment: with a terminal state, or by a requeue while it ran."""

    moments: tuple[Moment, ...]
    token: str = "token"
    """Its comment."""

    @property
    def last(self) -> Moment:
        return self.moments[-1]

    def at(self, now: float) -> Moment:
        """What is true `now`, seconds after the submission."""
        return next(moment for moment in reversed(self.moments) if moment.at <= now or moment is self.moments[0])

    def ends(self) -> set[tuple[str, int]]:
        """Every terminal state, with its attempt."""
        return {(moment.state, moment.attempt) for moment in self.moments if moment.state in TERMINAL_STATES}

    def submitted(self, attempt: int) -> str:
        """SubmitTime of an attempt: a requeue sets it anew."""
        return format_timestamp(_EPOCH + next(moment.at for moment in self.moments if moment.attempt == attempt))

    def row(self, moment: Moment) -> Record:
        """What squeue or ``scontrol show job`` says at that moment."""
        return record(
            JobId="7",
            JobState=moment.state,
            Restarts=f"{moment.attempt}",
            Comment=self.token,
            SubmitTime=self.submitted(moment.attempt),
            ExitCode="1:0" if moment.state == "FAILED" else "0:0",
        )

    def booked(self, moment: Moment) -> Record:
        """What sacct says: neither the attempt nor the comment."""
        return record(JobId="7", JobState=moment.state, SubmitTime=self.submitted(moment.attempt))


@st.composite
def status_histories(draw: st.DrawFn, *, max_attempts: int = 3) -> StatusHistory:
    """Any that Slurm allows, with an end: waiting, configuring, running, suspended; requeued while it runs, or when it was over already.

    A moment is one second or more after the one before. Shrinks to a job that is cancelled while it waits.
    """
    attempts = draw(st.integers(1, max_attempts))
    found: list[tuple[str, int]] = []
    for attempt in range(attempts):
        states = list(draw(st.sampled_from(_WAITING)))
        is_last = attempt == attempts - 1
        starts = draw(st.booleans()) or (not is_last and states[-1] == "PENDING")
        if starts:
            states += draw(st.sampled_from(_RUNNING))
        if is_last or draw(st.booleans()):
            states.append(draw(st.sampled_from(_ENDS["RUNNING" if starts else states[-1]])))
        elif draw(st.booleans()):
            states.append("REQUEUED")
        found += [(state, attempt) for state in states]
    now = 0.0
    moments = []
    for state, attempt in found:
        moments.append(Moment(now, state, attempt))
        now += draw(st.sampled_from([1.0, 1.0, 5.0, 600.0]))
    return StatusHistory(tuple(moments))


@frozen
class Sighting:
    """One look at a job, `at` so many seconds after its submission: what each source said in it."""

    at: float
    answers: Round
    truth: Moment = field(eq=False)
    """What was true then."""


@st.composite
def sightings(draw: st.DrawFn, history: StatusHistory, *, max_size: int = 30) -> list[Sighting]:
    """What an observer sees of `history`: each source lags by any number of moments, fails, or has forgotten the job.

    squeue and scontrol forget a job only when it is over, and say nothing of it from then on. sacct, where there is one, learns of it late.
    The runner's journal may have its last word when the job is over.
    """
    has_accounting = draw(st.booleans())
    now, booking, forgotten = 0.0, False, False
    found = []
    for _ in range(draw(st.integers(0, max_size))):
        now += draw(st.sampled_from([0.0, 1.0, 1.0, 10.0, 700.0]))
        truth = history.at(now)
        place = history.moments.index(truth)

        def seen(lag: int, place: int = place) -> Moment:
            return history.moments[max(0, place - lag)]

        row = history.row(seen(draw(st.integers(0, 3))))
        is_over = truth is history.last
        forgotten = forgotten or (is_over and draw(st.booleans()))
        queue: Answer = draw(st.sampled_from([None, None, UNASKED] if forgotten else [row, row, UNASKED]))
        booked = history.booked(seen(draw(st.integers(0, 5))))
        booking = booking or draw(st.booleans())
        accounting: Answer = draw(st.sampled_from([booked, UNASKED] if booking else [None, UNASKED]))
        shown: Answer = draw(st.sampled_from([None, UNASKED] if queue is None else [UNASKED]))
        last_word = is_over and draw(st.booleans())
        journal = JournalEnd(truth.attempt, _runner_says(truth), "0:0") if last_word else None
        found.append(
            Sighting(
                now,
                Round(
                    queue=queue,
                    accounting=accounting if has_accounting else UNASKED,
                    has_accounting=has_accounting,
                    shown=shown,
                    journal=journal,
                ),
                truth,
            )
        )
    return found


def _runner_says(truth: Moment) -> str:
    """The runner knows only how its ranks ended."""
    return "COMPLETED" if truth.state == "COMPLETED" else "FAILED"
