"""Job arrays: what the elements of one array share, and the set of those that wait.

As in Slurm the elements that have not been touched are one record, the job of the array's own id; an element becomes a job of its
own when it starts or is changed by itself (job_array.shtml). Texts of index sets: ``xlate_array_task_str`` in
src/common/slurm_protocol_defs.c, compared with 22.05.8 and 24.11.5 in docs/measured/arrays.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from attrs import define, field, frozen

from slurmkit.slurm.jobid import parse_array_spec

__all__ = [
    "ACCRUED_AFTER",
    "NO_TASK",
    "TEXT_LENGTH",
    "Believed",
    "JobArray",
    "TaskSet",
    "index_text",
    "job_array",
    "range_text",
    "stepped_text",
]

ACCRUED_AFTER = 1.0
"""Seconds that an element of an array waits in the queue before its age counts; one that starts at once has no AccrueTime (measured)."""
NO_TASK = 0xFFFFFFFE
"""What is no index (NO_VAL)."""
TEXT_LENGTH = 64
"""What the commands show of an index set (SLURM_BITSTR_LEN)."""
_STEP_SPAN = 10
_STEP_COUNT = 5
"""Indices at the same distance are written as a range with a step when they are more than this and span more than that."""


class TaskSet:
    """Array indices, ascending. The first one is found, and any one removed, at a cost that does not grow with their number."""

    __slots__ = ("_first", "_indices", "_removed")

    def __init__(self, indices: Sequence[int]) -> None:
        """`indices` are ascending and distinct; a range costs nothing."""
        self._indices = indices
        self._removed: set[int] = set()
        self._first = 0
        """Everything before this place has been removed."""

    def copy(self) -> TaskSet:
        twin = TaskSet(self._indices)
        twin._first, twin._removed = self._first, set(self._removed)
        return twin

    def __len__(self) -> int:
        return len(self._indices) - self._first - len(self._removed)

    def __iter__(self) -> Iterator[int]:
        for place in range(self._first, len(self._indices)):
            if self._indices[place] not in self._removed:
                yield self._indices[place]

    def __contains__(self, index: object) -> bool:
        if not isinstance(index, int) or index in self._removed:
            return False
        place = bisect_left(self._indices, index, lo=self._first)
        return place < len(self._indices) and self._indices[place] == index

    @property
    def first(self) -> int:
        """The lowest index. Raises IndexError when there is none."""
        return self._indices[self._first]

    def remove(self, index: int) -> None:
        """Raises KeyError for one that is not in the set."""
        if index not in self:
            raise KeyError(index)
        self._removed.add(index)
        while self._first < len(self._indices) and self._indices[self._first] in self._removed:
            self._removed.discard(self._indices[self._first])
            self._first += 1


@frozen
class Believed:
    """What accounting still has of the record of those that wait, though it is the last element by now."""

    tasks: TaskSet
    is_limited: bool
    """Whether it has the time limit, which it hears of when the first element starts (measured)."""


@define(kw_only=True, eq=False)
class JobArray:
    """One submitted array."""

    job_id: int
    """Of the array, and of the record of the elements that wait."""
    count: int
    """How many elements it had in the beginning; lowest and highest index and step are those of the beginning as well."""
    lowest: int
    highest: int
    step: int
    limit: int | None
    """``%N``: how many elements may run at once; None is all."""
    pending: TaskSet
    """The elements that are not jobs of their own yet."""
    elements: dict[int, int] = field(factory=dict)
    """The others, as long as the controller remembers them: index to job id."""
    unstarted: set[int] = field(factory=set)
    """Job ids of elements that have not started."""
    running: set[int] = field(factory=set)
    """Job ids of the elements that run."""
    unfinished: set[int] = field(factory=set)
    """Job ids of elements that are not over for good."""
    closed: bool = False
    """Whether those that are `pending` never will be anything else: their record was cancelled."""
    failed: bool = False
    """Whether an element has ended other than COMPLETED."""
    last_start: float = 0.0
    """When an element started last."""
    waiting: set[int] = field(factory=set)
    """Job ids, the array's own perhaps among them, of those that may start, or may but for the limit, partitions or nodes."""
    postponed: set[int] = field(factory=set)
    """Job ids of those that wait for their time."""

    dropped: set[int] = field(factory=set)
    """Elements cancelled while they waited of which accounting has not heard: it does when one is split off, or somebody asks for the array."""
    believed: Believed | None = None
    """Of the last element that has not started, where accounting was not told that it is the last one."""
    _split_at: float = 0.0
    _split_then: list[int] = field(factory=list)
    """When an element was split off last, and those of that moment of which accounting is not told before it is over."""
    known_jobs: int = 1
    """How many jobs of it the controller remembers."""

    @property
    def waits(self) -> bool:
        """Whether there are elements that have not been touched."""
        return bool(self.pending) and not self.closed

    @property
    def is_done(self) -> bool:
        """Whether every element is over for good."""
        return not self.unfinished and not self.waits

    @property
    def is_full(self) -> bool:
        """Whether as many elements run as may."""
        return self.limit is not None and len(self.running) >= self.limit

    def split_off(self, task: int, job_id: int) -> None:
        """An element that waited is the job `job_id` from now on: a new job, or the last one that takes over the array's own.

        Raises KeyError for one that does not wait.
        """
        self.pending.remove(task)
        self.elements[task] = job_id
        self.unstarted.add(job_id)
        self.unfinished.add(job_id)
        self.dropped.clear()
        self.known_jobs += job_id != self.job_id

    def before(self, now: float) -> Believed:
        """What accounting was told before this moment, in which elements may have been split off."""
        then = self._split_then if self._split_at == now else []
        return Believed(TaskSet(sorted([*self.pending, *then])), 0.0 < self.last_start < now)

    def note_split(self, task: int, now: float, *, told: bool) -> None:
        """This element is about to be split off. `told`: accounting hears of what is left at once."""
        if told or self._split_at != now:
            self._split_at, self._split_then = now, []
        if not told:
            self._split_then.append(task)

    def drop(self, task: int) -> None:
        """An element that waited will never run. Raises KeyError for one that does not wait."""
        self.pending.remove(task)
        self.dropped.add(task)
        self.failed = True

    def began(self, job_id: int, now: float) -> None:
        """An element has started."""
        self.unstarted.discard(job_id)
        self.running.add(job_id)
        self.last_start = now
        if job_id == self.job_id:
            self.believed = None

    def again(self, job_id: int) -> None:
        """An element that has run waits to run again."""
        self.unstarted.add(job_id)
        self.unfinished.add(job_id)

    def over(self, job_id: int, *, succeeded: bool) -> None:
        """An element is over for good; of the array's own id, when it is none: the record of those that waited."""
        if job_id not in self.unfinished:
            self.closed = True
        self.unstarted.discard(job_id)
        self.unfinished.discard(job_id)
        self.failed |= not succeeded

    def accounted(self) -> TaskSet:
        """Those that accounting believes to wait."""
        return TaskSet(sorted([*self.pending, *self.dropped])) if self.dropped else self.pending.copy()

    def forget(self, task: int | None) -> None:
        """The controller has forgotten this element, or (None) the record of those that waited."""
        if task is not None:
            del self.elements[task]
        self.known_jobs -= 1


def job_array(job_id: int, text: str) -> JobArray:
    """The array of ``--array=text``. Raises `slurmkit.slurm.jobid.JobIdError`."""
    spec = parse_array_spec(text)
    lowest, highest = spec.indices[0], spec.indices[-1]
    dense = highest - lowest + 1 == len(spec.indices)
    step = text.partition(":")[2]
    digits = step[: len(step) - len(step.lstrip("0123456789"))]
    return JobArray(
        job_id=job_id,
        count=len(spec.indices),
        lowest=lowest,
        highest=highest,
        step=int(digits or 1),
        limit=spec.limit,
        pending=TaskSet(range(lowest, highest + 1) if dense else spec.indices),
    )


def index_text(indices: Iterable[int], limit: int | None = None, length: int = TEXT_LENGTH) -> str:
    """``1-3,7%2``, ``0-50:10``; a list that comes near `length` (0: none does) is cut to end in ``...``."""
    chosen = list(indices)
    text = stepped_text(chosen) or _cut(range_text(chosen), length)
    return f"{text}%{limit}" if limit else text


def _cut(text: str, length: int) -> str:
    """Slurm puts the dots at the end of its buffer, and does so a little earlier than it has to."""
    if length == 0 or len(text) <= length - 3:
        return text
    return f"{text[: max(length - 4, 0)]}{'...'[: length - 1]}"


def stepped_text(indices: Sequence[int]) -> str:
    """``0-30:10``; empty for what is not a long enough range with a step of 2 or more."""
    if len(indices) <= _STEP_COUNT or indices[-1] - indices[0] <= _STEP_SPAN:
        return ""
    step = indices[1] - indices[0]
    if step < 2 or any(after - before != step for before, after in pairwise(indices)):
        return ""
    return f"{indices[0]}-{indices[-1]}:{step}"


def range_text(indices: Sequence[int]) -> str:
    """``1-3,7``."""
    parts: list[str] = []
    start = 0
    for place in range(1, len(indices) + 1):
        if place == len(indices) or indices[place] != indices[place - 1] + 1:
            first, last = indices[start], indices[place - 1]
            parts.append(f"{first}" if first == last else f"{first}-{last}")
            start = place
    return ",".join(parts)
