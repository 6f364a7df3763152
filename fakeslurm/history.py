"""What has happened in a fake Slurm, as a value: events that can be compared, printed as a table, and drawn (`fakeslurm.timeline`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar, overload

from attrs import asdict, define, field, frozen

from fakeslurm.model import Job, NodeRecord
from slurmkit.slurm.states import ExitCode, JobState

__all__ = [
    "Event",
    "FaultFired",
    "History",
    "JobEnded",
    "JobReleased",
    "JobRequeued",
    "JobResumed",
    "JobStarted",
    "JobSubmitted",
    "JobSuspended",
    "JobWaits",
    "NodeChanged",
    "Recorder",
]


@frozen
class Event:
    """Something that happened at `time` (epoch seconds)."""

    time: float
    what: ClassVar[str] = ""

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        values = (f"{name}={_shown(value)}" for name, value in asdict(self, recurse=False).items() if name != "time")
        return " ".join([when, f"{self.what:<9}", *values])


@frozen
class JobSubmitted(Event):
    what: ClassVar[str] = "submitted"
    job_id: int
    name: str
    user: str
    partition: str
    num_nodes: int
    num_cpus: int
    array: str = ""
    """``A_1`` of an element of an array."""


@frozen
class JobWaits(Event):
    """Why it waits has changed."""

    what: ClassVar[str] = "waits"
    job_id: int
    reason: str


@frozen
class JobStarted(Event):
    what: ClassVar[str] = "started"
    job_id: int
    nodes: tuple[str, ...]
    cpus_per_node: tuple[int, ...]
    restart_count: int


@frozen
class JobSuspended(Event):
    what: ClassVar[str] = "suspended"
    job_id: int


@frozen
class JobResumed(Event):
    what: ClassVar[str] = "resumed"
    job_id: int


@frozen
class JobEnded(Event):
    what: ClassVar[str] = "ended"
    job_id: int
    state: str
    exit_code: str
    reason: str
    completing: bool
    """Whether something of it still runs, and it holds its nodes; `JobReleased` follows then."""


@frozen
class JobRequeued(Event):
    what: ClassVar[str] = "requeued"
    job_id: int
    restart_count: int
    reason: str
    completing: bool


@frozen
class JobReleased(Event):
    """Nothing of it runs any more; its nodes are free."""

    what: ClassVar[str] = "released"
    job_id: int


@frozen
class NodeChanged(Event):
    what: ClassVar[str] = "node"
    node: str
    state: str


@frozen
class FaultFired(Event):
    """A fault has hit a call, a job or a node."""

    what: ClassVar[str] = "fault"
    fault: str
    hit: str


class History(Sequence[Event]):
    """Events in the order in which they happened; equal when all of them are."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events = tuple(events)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: int | slice) -> Event | History:
        return History(self._events[index]) if isinstance(index, slice) else self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def __eq__(self, other: object) -> bool:
        return self._events == other._events if isinstance(other, History) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._events)

    def of_job(self, job_id: int) -> History:
        """The events of one job."""
        return History(event for event in self._events if getattr(event, "job_id", None) == job_id)

    def __str__(self) -> str:
        """A table: one line per event, the time in UTC."""
        return "".join(f"{event}\n" for event in self._events)

    def __repr__(self) -> str:
        return f"<History of {len(self)} events>"


@define
class _Seen:
    """What was told of a job so far."""

    job: Job
    """Another one may get its id."""
    state: JobState
    reason: str
    restart_count: int
    completing: bool


@define(eq=False)
class Recorder:
    """Writes the history of a controller. `take` hands over what may have changed since it was called before, and what is forgotten."""

    take: Callable[[], tuple[Sequence[Job], Sequence[NodeRecord], Sequence[Job]]]
    events: list[Event] = field(factory=list)
    _seen: dict[int, _Seen] = field(factory=dict)

    def note(self, now: float) -> None:
        """What has changed is news of this moment."""
        jobs, nodes, forgotten = self.take()
        for node in nodes:
            self.events.append(NodeChanged(now, node.node.name, _state_of(node)))
        for job in jobs:
            self._compare(job, now)
        for job in forgotten:
            if (seen := self._seen.get(job.job_id)) is not None and seen.job is job:
                del self._seen[job.job_id]

    def add(self, event: Event) -> None:
        self.events.append(event)

    def _compare(self, job: Job, now: float) -> None:
        seen = self._seen.get(job.job_id)
        if seen is None or seen.job is not job:
            seen = self._seen[job.job_id] = _Seen(job, JobState.PENDING, "", 0, False)
            self.events.append(_submitted(job, now))
        if job.restart_count != seen.restart_count:
            self.events.append(JobRequeued(now, job.job_id, job.restart_count, job.reason, job.completing))
            seen.state, seen.reason, seen.restart_count = JobState.PENDING, job.reason, job.restart_count
        elif seen.completing and not job.completing:
            self.events.append(JobReleased(now, job.job_id))
        seen.completing = job.completing
        state = job.state
        if state is not seen.state:
            self.events.extend(_of_state(job, seen.state, now))
            seen.state, seen.reason = state, job.reason
        elif state is JobState.PENDING and job.reason != seen.reason:
            self.events.append(JobWaits(now, job.job_id, job.reason))
            seen.reason = job.reason


def _submitted(job: Job, now: float) -> JobSubmitted:
    array = "" if job.array is None or job.array_task_id is None else f"{job.array_job_id}_{job.array_task_id}"
    asked = job.description
    return JobSubmitted(now, job.job_id, asked.name, asked.user, job.partition, job.num_nodes, job.num_cpus, array)


def _started(job: Job, now: float) -> JobStarted:
    return JobStarted(now, job.job_id, job.nodes, job.cpus_per_node, job.restart_count)


def _of_state(job: Job, before: JobState, now: float) -> Iterable[Event]:
    job_id = job.job_id
    match job.state:
        case JobState.RUNNING:
            yield JobResumed(now, job_id) if before is JobState.SUSPENDED else _started(job, now)
        case JobState.SUSPENDED:
            if before is JobState.PENDING:
                yield _started(job, now)
            yield JobSuspended(now, job_id)
        case JobState.PENDING:
            yield JobWaits(now, job_id, job.reason)
        case _:
            if before is JobState.PENDING and job.start_time is not None and job.nodes:
                yield _started(job, now)
            code = _exit_code(job.wait_status)
            yield JobEnded(now, job_id, str(job.state), code, job.reason, job.completing)


@lru_cache
def _exit_code(wait_status: int) -> str:
    """One text for all jobs that have ended so."""
    return str(ExitCode.from_wait_status(wait_status))


def _state_of(node: NodeRecord) -> str:
    words = [word for word, is_so in (("DOWN", node.down), ("DRAIN", node.drain), ("FAIL", node.fail)) if is_so]
    return "+".join(words) or "UP"


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
