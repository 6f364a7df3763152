"""Submitting once: what to do when sbatch is told to come back later, or when its answer is lost.

`SubmissionMachine` decides (pure: it takes `now` and what happened, and says what to do next); `submit_once` carries it out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import attrs

from slurmkit.backends.base import SchedulerBackend, Submission
from slurmkit.clock import Clock, sleep
from slurmkit.errors import SchedulerError, SchedulerNotFound, SchedulerTimeout

__all__ = ["Action", "SubmissionMachine", "Verdict", "classify", "submit_once"]

log = logging.getLogger("slurmkit.backends")

Verdict = Literal["refused", "busy", "unreachable", "unknown"]

# Slurm's words (src/common/slurm_errno.c). Unknown: the request was sent, the answer was not received.
_UNKNOWN = (
    "Socket timed out on send/recv operation",
    "Zero Bytes were transmitted or received",
    "Unable to contact slurm controller (send failure)",
    "Unable to contact slurm controller (receive failure)",
    "Unable to contact slurm controller (shutdown failure)",
    "Connection reset by peer",
    "Broken pipe",
)
_BUSY = (
    "Rate limit exceeded",
    "Slurm temporarily unable to accept job",
    "Resource temporarily unavailable",
    "MaxJobCount limit reached",
)
_UNREACHABLE = ("Unable to contact slurm controller (connect failure)",)

BUSY_PATIENCE = 120.0
"""Seconds for which a busy controller is asked again."""

UNREACHABLE_PATIENCE = 10.0
"""Seconds for which a controller that cannot be reached is tried: a restart takes as long, a wrong configuration stays wrong."""

LOOKUP_PATIENCE = 300.0
"""Seconds for which a lost submission is looked for while the look-up itself fails."""

LOOKUP_DELAYS = (0.5, 2.0, 5.0)
"""Seconds before each look-up. A request that waits in the socket of a hung controller is carried out when that comes round."""

RESUBMISSIONS = 1
"""How often a submission is repeated that was lost and that no look-up found."""

_MAX_DELAY = 30.0


@attrs.frozen
class Action:
    """What to do next, after `delay` seconds: ``submit``, ``find``, ``accept`` `job_id`, or ``fail`` with `error`."""

    kind: Literal["submit", "find", "accept", "fail"]
    delay: float = 0.0
    submission: Submission | None = None
    error: SchedulerError | None = None


def classify(error: SchedulerError) -> Verdict:
    """What a failed sbatch means for the job.

    ``refused``: there is none, and there will be none. ``busy``, ``unreachable``: there is none, it may be asked for again. ``unknown``: there
    may be one.
    """
    if isinstance(error, SchedulerNotFound):
        return "refused"
    if isinstance(error, SchedulerTimeout):
        return "unknown"
    if error.returncode is not None and error.returncode <= 0:
        return "unknown"  # ended by a signal, or well but without an id
    text = f"{error.stderr}\n{error}"
    for words, verdict in ((_UNKNOWN, "unknown"), (_BUSY, "busy"), (_UNREACHABLE, "unreachable")):
        if any(word in text for word in words):
            return verdict  # type: ignore[return-value]
    return "refused"


class SubmissionMachine:
    """One submission from the first sbatch to a job id or an error. No clock, no process, no thread.

    Feed it what happened, do what it says. `uniform(a, b)` is the source of jitter.
    """

    def __init__(self, token: str, now: float, uniform: Callable[[float, float], float]) -> None:
        self._token = token
        self._uniform = uniform
        self._since = now  # the beginning of the present trouble
        self._tries = 0
        self._lookups = 0
        self._resubmissions = 0
        self._lost: SchedulerError | None = None  # the error that left the outcome open

    def start(self) -> Action:
        return Action("submit")

    def accepted(self, submission: Submission) -> Action:
        """sbatch gave an id."""
        return Action("accept", submission=submission)

    def failed(self, error: SchedulerError, now: float) -> Action:
        """sbatch failed."""
        verdict = classify(error)
        if verdict == "unknown":
            self._lost = error
            self._lookups = 0
            self._since = now
            self._tries = 0
            return Action("find", delay=self._jitter(LOOKUP_DELAYS[0]))
        if verdict == "refused":
            action = Action("fail", error=error)
        else:
            action = self._again("submit", error, now, BUSY_PATIENCE if verdict == "busy" else UNREACHABLE_PATIENCE)
        if action.kind == "fail" and self._lost is not None:
            return self._give_up("when it was repeated, sbatch failed", error)
        return action

    def found(self, job_id: str | None, now: float) -> Action:
        """The look-up was answered: the id of the job that carries the token, or None."""
        if job_id is not None:
            return Action("accept", submission=Submission(job_id=job_id))
        self._lookups += 1
        self._since = now
        self._tries = 0
        if self._lookups < len(LOOKUP_DELAYS):
            return Action("find", delay=self._jitter(LOOKUP_DELAYS[self._lookups]))
        # sbatch that ended well has submitted the job, whatever became of its answer.
        is_there = self._lost is not None and self._lost.returncode == 0
        if self._resubmissions < RESUBMISSIONS and not is_there:
            self._resubmissions += 1
            return Action("submit")
        return self._give_up("Slurm knows no job with this token now", None)

    def find_failed(self, error: SchedulerError, now: float) -> Action:
        """The look-up itself failed, which says nothing about the job."""
        action = self._again("find", error, now, LOOKUP_PATIENCE)
        if action.kind == "fail":
            return self._give_up("it could not be looked up either", error)
        return action

    def _again(self, kind: Literal["submit", "find"], error: SchedulerError, now: float, patience: float) -> Action:
        delay = self._jitter(min(0.5 * 2**self._tries, _MAX_DELAY))
        self._tries += 1
        if now + delay - self._since > patience:
            return Action("fail", error=error)
        return Action(kind, delay=delay)

    def _jitter(self, delay: float) -> float:
        """Clients that failed together do not come back together."""
        return delay * self._uniform(0.75, 1.25)

    def _give_up(self, outcome: str, error: SchedulerError | None) -> Action:
        assert self._lost is not None
        failure = SchedulerTimeout(
            f"the answer to a submission was lost, and {outcome}: {error or self._lost}. If the job turns up, its comment is "
            f"{self._token!r}; it is not submitted again because it might then run twice.",
            command=self._lost.command,
            returncode=self._lost.returncode,
            stdout=self._lost.stdout,
            stderr=self._lost.stderr,
        )
        failure.__cause__ = self._lost
        return Action("fail", error=failure)


def submit_once(
    backend: SchedulerBackend,
    script: Path,
    *,
    cwd: Path,
    token: str,
    clock: Clock,
    uniform: Callable[[float, float], float],
) -> Submission:
    """Submit `script`, whose comment is `token`, and come back with one job or an error.

    Raises `SubmissionError` or another `SchedulerError` when there is no job, and `SchedulerTimeout` when that cannot be found out.
    """
    machine = SubmissionMachine(token, clock.monotonic(), uniform)
    action = machine.start()
    while True:
        if action.delay:
            sleep(clock, action.delay)
        if action.kind == "submit":
            try:
                action = machine.accepted(backend.submit(script, cwd=cwd))
            except SchedulerError as error:
                action = machine.failed(error, clock.monotonic())
                _report("sbatch", token, action, error)
        elif action.kind == "find":
            try:
                action = machine.found(backend.find([token]).get(token), clock.monotonic())
            except SchedulerError as error:
                action = machine.find_failed(error, clock.monotonic())
                _report("the look-up", token, action, error)
        elif action.kind == "accept":
            assert action.submission is not None
            return action.submission
        else:
            assert action.error is not None
            raise action.error


def _report(what: str, token: str, action: Action, error: SchedulerError) -> None:
    if action.kind != "fail":
        log.warning("submission %s: %s failed (%s); next: %s in %.1f s", token, what, error, action.kind, action.delay)


def is_certain(error: BaseException) -> bool:
    """True when `error`, raised by `submit_once`, means that there is no job."""
    return isinstance(error, SchedulerError) and classify(error) != "unknown"
