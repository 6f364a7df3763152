"""Job ids as Slurm's commands print them and take them, and the index specification of job arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_ARRAY_INDEX = 4_000_000
"""Slurm's own ceiling for MaxArraySize (slurm.conf.5); a site's limit (default 1001) is the controller's to enforce."""

_JOB_ID = re.compile(
    r"(?P<job>[0-9]+)"
    r"(?:_(?:(?P<task>[0-9]+)|\[(?P<expression>[0-9,\-:%.]+)\])|\+(?P<het>[0-9]+))?"
    r"(?:\.(?P<step>[A-Za-z0-9_+]+))?"
    r"(?:;(?P<cluster>[^;\s]+))?",
    re.ASCII,
)
_SPEC_ITEM = re.compile(r"\[?[ \t]*\+?([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?\]?(?:%.*)?", re.ASCII)
_LIMIT = re.compile(r"%([0-9]{1,9})", re.ASCII)


class JobIdError(ValueError):
    """The text is no job id, or no array specification; the message names it and what is valid."""


class JobId(NamedTuple):
    """A job, an element of an array, a set of pending elements, a component of a het job, or a step of one of these.

    ``123`` · ``123_4`` (array_task) · ``123_[1,3,5%2]`` (array_expression, without the brackets) · ``123+1``
    (het_offset) · ``123.batch``, ``123_4.0`` (step) · ``123;cluster`` (cluster, as ``sbatch --parsable`` prints it).
    ``str()`` gives the text back.
    """

    job_id: int
    array_task: int | None = None
    array_expression: str | None = None
    het_offset: int | None = None
    step: str | None = None
    cluster: str | None = None

    @classmethod
    def parse(cls, text: str | int) -> JobId:
        match = _JOB_ID.fullmatch(str(text).strip())
        if match is None:
            raise JobIdError(
                f"invalid job id {text!r}: expected forms like 123, 123_4, 123_[1-3%2], 123+1, 123.batch, 123;cluster"
            )
        task, het = match["task"], match["het"]
        return cls(
            job_id=int(match["job"]),
            array_task=None if task is None else int(task),
            array_expression=match["expression"],
            het_offset=None if het is None else int(het),
            step=match["step"],
            cluster=match["cluster"],
        )

    def __str__(self) -> str:
        text = f"{self.job_id}"
        if self.array_task is not None:
            text += f"_{self.array_task}"
        elif self.array_expression is not None:
            text += f"_[{self.array_expression}]"
        elif self.het_offset is not None:
            text += f"+{self.het_offset}"
        if self.step is not None:
            text += f".{self.step}"
        if self.cluster is not None:
            text += f";{self.cluster}"
        return text


def array_of(job_id: str) -> str:
    """The id of the array of which this is an element: ``"123_4"`` -> ``"123"``; that of any other job is its own."""
    return job_id.partition("_")[0]


def elements_of(job_id: str) -> list[str]:
    """The ids of the elements that one row stands for: ``"123_[0,2-3%2]"`` -> ``["123_0", "123_2", "123_3"]``; raises `JobIdError`."""
    array, _, indices = job_id.partition("_[")
    return [f"{array}_{index}" for index in parse_array_spec(indices.removesuffix("]")).indices]


def render_indices(indices: Iterable[int]) -> str:
    """Ascending indices as ``--array`` takes them: ``[0, 1, 2, 7]`` -> ``"0-2,7"``."""
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


class ArraySpec(NamedTuple):
    """What ``--array`` asks for: the indices, ascending and distinct, and how many may run at once (None: all)."""

    indices: tuple[int, ...]
    limit: int | None


def parse_array_spec(text: str) -> ArraySpec:
    """``"0-15:4%2"`` -> ``ArraySpec((0, 4, 8, 12), 2)``; `JobIdError` where Slurm says "Invalid job array specification".

    As lenient as Slurm (measured on 22.05.8): empty items count for nothing, brackets may surround the indices, ``%0`` is
    no limit. Items without any number, which Slurm takes for 0, are refused.
    """
    indices: set[int] = set()
    for item in filter(None, text.split(",")):
        match = _SPEC_ITEM.fullmatch("0" + item if item.startswith("%") else item)
        if match is None:
            raise JobIdError(f"invalid array specification {text!r}: {item!r} is neither N, N-M nor N-M:STEP")
        first = int(match[1])
        last = int(match[2] or first)
        step = int(match[3] or 1)
        if last < first or step < 1 or last > MAX_ARRAY_INDEX:
            raise JobIdError(
                f"invalid array specification {text!r}: {item!r} must run upwards, to {MAX_ARRAY_INDEX} at most"
            )
        indices.update(range(first, last + 1, step))
    if not indices:
        raise JobIdError(f"invalid array specification {text!r}: it names no index")
    limit = _LIMIT.search(text)
    return ArraySpec(tuple(sorted(indices)), int(limit[1]) or None if limit else None)
