"""`StatusService`: the only one that asks Slurm about jobs, for everybody at once."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from slurmkit.backends.base import Record, SchedulerBackend
from slurmkit.clock import Clock, condition
from slurmkit.errors import SchedulerError, SchedulerNotFound
from slurmkit.polling.arbitration import (
    UNASKED,
    Answer,
    Belief,
    JournalEnd,
    Round,
    Rules,
    Snapshot,
    Unasked,
    arbitrate,
    is_scontrol_due,
)
from slurmkit.polling.cadence import Budget, Rota, backoff
from slurmkit.slurm.jobid import array_of

__all__ = ["StatusService"]

log = logging.getLogger("slurmkit.polling")

MAX_SHOWS = 8
"""Most ``scontrol show job`` in one round: the rounds' cost does not grow with the number of jobs."""

MAX_ACCOUNTING = 10_000
"""Most lost jobs and arrays about which sacct is asked in one round."""


Listener = Callable[[Sequence[Snapshot]], None]


@attrs.frozen(eq=False)
class _Audience:
    """Who follows the jobs of one submission."""

    listener: Listener
    journal: Callable[[str], JournalEnd | None]


NO_ACCOUNTING_PAUSE, NO_ACCOUNTING_LONGEST = 600.0, 21600.0
"""Seconds after which sacct is asked again that has said that there is no accounting: at first, and at most. It has that from slurm.conf alone
(no slurmdbd says so that is away or starts: measured), which may be changed, or half written, while a client runs."""


HANGING_PAUSE = 4.0
"""Seconds for which sacct is left alone per second that it took to fail: while it hangs nobody hears of any job, for a fifth of the time at
most."""


@attrs.define(eq=False)
class _Tracked:
    belief: Belief
    audience: _Audience
    cancelled: bool = False
    looked_at: float | None = None  # when the latest answered round about this job began
    round: int = 0  # its number
    expired: int = 0  # rounds up to this number began too early


_services: weakref.WeakSet[StatusService] = weakref.WeakSet()


def _after_fork() -> None:
    for service in list(_services):
        service._after_fork()


os.register_at_fork(after_in_child=_after_fork)


class StatusService:
    """What is held true of each job, at the cost of one squeue (and at most one sacct) however many ask, and however many jobs there are.

    Thread-safe. One request is under way at a time; whoever comes meanwhile waits for it, and asks again only when it began too early for him.
    After a failed request the scheduler is left alone for a while that grows from one second to a minute; until then everybody is answered
    from what is known.
    """

    def __init__(
        self,
        backend: SchedulerBackend,
        clock: Clock,
        *,
        uniform: Callable[[float, float], float],
        rules: Rules | None = None,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._uniform = uniform
        self._rules = Rules() if rules is None else rules
        self._changed = condition(self._clock)
        self._jobs: dict[str, _Tracked] = {}
        self._busy = False
        self._rounds = 0  # begun so far
        self._last_round: float | None = None
        self._failures = 0
        self._retry_at = float("-inf")
        self._error: SchedulerError | None = None
        self._hurry = Budget(capacity=0.5, share=0.01)
        self._denials = 0  # how often in a row sacct has said that there is no accounting
        self._accounting_failures = 0
        self._accounting_retry_at = float("-inf")
        self._accounting_rota = Rota(MAX_ACCOUNTING)
        self._show_rota = Rota(MAX_SHOWS)
        _services.add(self)

    def _after_fork(self) -> None:
        """This is a forked child: a thread that was asking is not here, and will neither give up its lock nor say that it is done."""
        self._changed = condition(self._clock)
        self._busy = False

    @property
    def last_round(self) -> float | None:
        """When the latest request that was answered began; None before the first."""
        with self._changed:
            return self._last_round

    @property
    def retry_at(self) -> float:
        """Until then a failing scheduler is left alone; in the past when nothing is wrong."""
        with self._changed:
            return self._retry_at

    @property
    def can_hurry(self) -> bool:
        """False when requests have taken more than one percent of the time lately: who expects an end at any moment asks more slowly then."""
        with self._changed:
            return self._hurry.allows(self._clock.monotonic())

    @property
    def error(self) -> SchedulerError | None:
        """Why the latest request failed; None when it was answered."""
        with self._changed:
            return self._error

    def track(
        self,
        jobs: Mapping[str, str],
        *,
        created: float,
        listener: Listener,
        journal: Callable[[str], JournalEnd | None],
    ) -> None:
        """Include the jobs of a submission, each id with its token, in every round from now on.

        `listener` is called once a round with the snapshots that differ from those before in state or attempt, in order, by whichever thread
        asked; it must not block. `journal` reads the ``completed`` event of a job's runner.
        """
        audience = _Audience(listener, journal)
        with self._changed:
            for job_id, token in jobs.items():
                self._jobs[job_id] = _Tracked(Belief(job_id, token=token, created=created), audience)

    def forget(self, job_id: str) -> None:
        """Ask no longer about a job."""
        with self._changed:
            self._jobs.pop(job_id, None)

    def expire(self, job_ids: Iterable[str], *, cancelled: bool = False) -> None:
        """What is known of jobs is out of date: the next snapshot is a new one. `cancelled`: that is why."""
        with self._changed:
            for job_id in job_ids:
                if tracked := self._jobs.get(job_id):
                    tracked.cancelled = tracked.cancelled or cancelled
                    tracked.looked_at = None
                    tracked.round = 0
                    tracked.expired = self._rounds

    def is_missed(self, job_id: str) -> bool:
        """The controller does not know the job any more, and nobody has said yet how it has ended."""
        with self._changed:
            tracked = self._jobs.get(job_id)
            return tracked is not None and tracked.belief.lost_since is not None and not tracked.belief.is_over

    def refresh(self) -> None:
        """Ask about everything that is outstanding, now."""
        with self._changed:
            job_ids = list(self._jobs)
        self.snapshot(job_ids, 0.0)

    def snapshot(self, job_ids: Iterable[str], max_age: float) -> dict[str, Snapshot]:
        """What is known of those of `job_ids` that are tracked and of which something is known.

        A snapshot began at most `max_age` seconds before this call, unless the scheduler does not answer: then it is the last one (see `error`
        and `retry_at`). Raises `SchedulerNotFound` when there is no Slurm at all.
        """
        wanted = list(job_ids)
        with self._changed:
            oldest = self._clock.monotonic() - max_age
            asked_at = self._rounds
            while self._is_stale(wanted, oldest, asked_at) and self._clock.monotonic() >= self._retry_at:
                if self._busy:
                    self._clock.wait(self._changed, None)
                else:
                    self._lead()
            return self._known(wanted)

    def _known(self, job_ids: Iterable[str]) -> dict[str, Snapshot]:
        return {
            job_id: tracked.belief.snapshot
            for job_id in job_ids
            if (tracked := self._jobs.get(job_id)) is not None and tracked.belief.snapshot is not None
        }

    def _is_stale(self, job_ids: Iterable[str], oldest: float, asked_at: int) -> bool:
        """True when something is known of one of `job_ids` neither since `oldest` nor from a round after the one numbered `asked_at`."""
        for job_id in job_ids:
            tracked = self._jobs.get(job_id)
            if tracked is None or tracked.round > asked_at:
                continue
            if tracked.looked_at is None or tracked.looked_at <= oldest:
                return True
        return False

    def _lead(self) -> None:
        """Ask about everything that is outstanding. The lock is held by the caller, and given up while Slurm is asked."""
        self._busy = True
        self._rounds += 1
        number = self._rounds
        jobs = dict(self._jobs)
        began = self._clock.monotonic()
        self._changed.release()
        try:
            answers, error = self._ask(jobs, began)
            updated = {}
            for job_id, answer in answers.items():
                updated[job_id] = arbitrate(jobs[job_id].belief, answer, began, self._rules)
            self._tell(jobs, updated)
        finally:
            self._changed.acquire()
            self._busy = False
            self._changed.notify_all()
        now = self._clock.monotonic()
        self._hurry.spend(now, now - began)
        if error is None:
            self._failures = 0
            self._error = None
            self._last_round = began
            for job_id, tracked in jobs.items():
                tracked.belief = updated.get(job_id, tracked.belief)
                if number > tracked.expired:
                    tracked.looked_at = began
                    tracked.round = number
            return
        self._failures += 1
        self._error = error
        pause = backoff(self._failures, self._uniform)
        self._retry_at = now + pause
        if isinstance(error, SchedulerNotFound):
            raise error
        log.warning("no news of %d job(s), next try in %.1f s: %s", len(jobs), pause, error)

    def _tell(self, jobs: Mapping[str, _Tracked], updated: Mapping[str, Belief]) -> None:
        news: dict[_Audience, list[Snapshot]] = {}
        for job_id, belief in updated.items():
            before, after = jobs[job_id].belief.snapshot, belief.snapshot
            if after is None or after is before:
                continue
            if before is None or (before.state, before.attempt) != (after.state, after.attempt):
                news.setdefault(jobs[job_id].audience, []).append(after)
        for audience, snapshots in news.items():
            audience.listener(snapshots)

    def _ask(self, jobs: Mapping[str, _Tracked], now: float) -> tuple[dict[str, Round], SchedulerError | None]:
        """One round of requests. Without an answer from squeue there is no round."""
        try:
            queue = self._backend.queue(list(jobs))
        except SchedulerError as error:
            return {}, error
        rounds = {job_id: Round(record) for job_id, record in queue.items() if job_id in jobs}
        lost = [job_id for job_id, tracked in jobs.items() if job_id not in queue and not tracked.belief.is_over]
        if lost:
            seen = {array_of(job_id) for job_id in queue}
            rounds.update(self._ask_about_lost(jobs, lost, seen, now))
        return rounds, None

    def _ask_about_lost(
        self, jobs: Mapping[str, _Tracked], lost: list[str], seen: set[str], now: float
    ) -> dict[str, Round]:
        """`seen`: the jobs and arrays that squeue knows."""
        answers = now >= self._accounting_retry_at  # or is left alone, and nobody has had his turn
        asked = set(self._accounting_rota.next(map(array_of, lost))) if answers else set()
        booked = self._accounting([job_id for job_id in lost if array_of(job_id) in asked], now)
        accounts: dict[str, Answer] = {
            job_id: booked.get(job_id) if isinstance(booked, Mapping) and array_of(job_id) in asked else UNASKED
            for job_id in lost
        }
        due = {job_id for job_id in lost if is_scontrol_due(jobs[job_id].belief, accounts[job_id], now, self._rules)}
        shows = {
            array: self._show(array) for array in self._show_rota.next(array_of(one) for one in lost if one in due)
        }
        rounds = {}
        for job_id in lost:
            array, tracked = array_of(job_id), jobs[job_id]
            found = shows.get(array, UNASKED) if job_id in due else UNASKED
            rounds[job_id] = Round(
                queue=None,
                accounting=accounts[job_id],
                has_accounting=booked is not None,
                shown=UNASKED if found is UNASKED else found.get(job_id),
                journal=tracked.audience.journal(job_id),
                is_cancelled=tracked.cancelled,
                siblings=array in seen,
            )
        return rounds

    def _accounting(self, job_ids: list[str], now: float) -> Mapping[str, Record] | Unasked | None:
        """sacct's records; None where there is no accounting, UNASKED when it did not answer; either is left alone for a while."""
        if now < self._accounting_retry_at:
            return None if self._denials else UNASKED
        began = self._clock.monotonic()
        try:
            booked = self._backend.accounting(job_ids)
        except SchedulerError as error:
            self._denials = 0
            self._accounting_failures += 1
            ended = self._clock.monotonic()
            pause = max(backoff(self._accounting_failures, self._uniform), HANGING_PAUSE * (ended - began))
            self._accounting_retry_at = ended + pause
            log.warning("sacct did not answer about %d job(s), next try in %.1f s: %s", len(job_ids), pause, error)
            return UNASKED
        self._accounting_failures = 0
        self._denials = 0 if booked is not None else self._denials + 1
        if booked is None:
            pause = backoff(self._denials, self._uniform, base=NO_ACCOUNTING_PAUSE, ceiling=NO_ACCOUNTING_LONGEST)
            self._accounting_retry_at = now + pause
        return booked

    def _show(self, job_id: str) -> Mapping[str, Record] | Unasked:
        try:
            return self._backend.show(job_id)
        except SchedulerError as error:
            log.warning("scontrol did not answer about job %s: %s", job_id, error)
            return UNASKED
