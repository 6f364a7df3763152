"""How the items of a `JobArray` are shared out among Slurm's arrays. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import attrs

from slurmkit.slurm.jobid import parse_array_spec, render_indices

__all__ = ["NOT_SUBMITTED", "Part", "split"]

NOT_SUBMITTED = "NOT_SUBMITTED"
"""Instead of a state: the client did not live to submit the job, and Slurm does not know it."""


@attrs.frozen
class Part:
    """A submission: an array of Slurm's, or a single job where the site has no arrays.

    Its elements are the items `numbers`, ascending; Slurm's index of one is its number less `first`. `token` is the comment of its jobs.
    `after`: the part after whose end it may start, if any. `job_id`: None until it is submitted.
    """

    token: str
    numbers: Sequence[int]
    first: int = 0
    is_array: bool = True
    after: int | None = None
    job_id: str | None = None

    @property
    def index(self) -> str:
        """What the batch script's shell takes for the number of the item."""
        if not self.is_array:
            return f"{self.numbers[0]}"
        return f"$((SLURM_ARRAY_TASK_ID + {self.first}))"

    def spec(self, limit: int | None) -> str:
        """For ``--array``, with at most `limit` elements at once."""
        text = render_indices(number - self.first for number in self.numbers)
        return text if limit is None else f"{text}%{limit}"

    def element(self, number: int) -> str:
        """The job id of the item `number`; the part is submitted."""
        return f"{self.job_id}_{number - self.first}" if self.is_array else f"{self.job_id}"

    def named(self, numbers: Sequence[int]) -> str:
        """Elements of it as scancel takes them: ``123``, ``123_[0-3,7]``."""
        if not self.is_array or len(numbers) == len(self.numbers):
            return f"{self.job_id}"
        return f"{self.job_id}_[{render_indices(number - self.first for number in numbers)}]"

    def record(self) -> dict[str, Any]:
        """For ``job.json``."""
        return {**attrs.asdict(self), "numbers": render_indices(self.numbers)}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Part:
        """From ``job.json``."""
        return cls(**{**record, "numbers": parse_array_spec(record["numbers"]).indices})


def split(numbers: Sequence[int], token: str, *, max_array_size: int, max_concurrent: int | None) -> list[Part]:
    """The submissions for the items `numbers`, which ascend. The first one has the token, the others have ``token-1``, ``token-2``, ...

    Slurm's indices are below `max_array_size`; 0: there are no arrays, and each item is a job. Slurm keeps `max_concurrent` within one array: a
    second one waits for the end of the first, and of single jobs each for the one so many before it.
    """
    size = max_array_size or 1
    blocks = [list(block) for _, block in groupby(numbers, key=lambda number: number // size)]
    lanes = max_concurrent if max_concurrent is None or not max_array_size else 1
    return [
        Part(
            token=token if place == 0 else f"{token}-{place}",
            numbers=block,
            first=block[0] // size * size,
            is_array=max_array_size > 0,
            after=None if lanes is None or place < lanes else place - lanes,
        )
        for place, block in enumerate(blocks)
    ]
