"""Slurm's run-length notation for per-node counts: ``SLURM_TASKS_PER_NODE=2(x3),1`` is 2, 2, 2 and 1 tasks.

``SLURM_JOB_CPUS_PER_NODE`` and ``SLURM_STEP_TASKS_PER_NODE`` use it too. Slurm writes it in src/common/env.c
(``uint32_compressed_to_str``): ``count(xtimes)`` for two or more equal neighbours, else the bare count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

MAX_NODES = 1 << 20
"""A layout of more nodes than this is refused: no Slurm is so large, and ``1(x4000000000)`` must not eat the memory."""

_ITEM = re.compile(r"([0-9]{1,10})(?:\(x([0-9]{1,10})\))?", re.ASCII)


class LayoutError(ValueError):
    """The text is no layout; the message names it and the item that is wrong."""


def parse(text: str) -> list[int]:
    """``"2(x3),1"`` -> ``[2, 2, 2, 1]``, one count per node in node order; the empty text is the empty layout."""
    counts: list[int] = []
    if not text.strip():
        return counts
    for item in text.strip().split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise LayoutError(f"invalid layout {text!r}: {item!r} is neither COUNT nor COUNT(xTIMES)")
        times = 1 if match[2] is None else int(match[2])
        if times < 1 or len(counts) + times > MAX_NODES:
            raise LayoutError(f"invalid layout {text!r}: {item!r} repeats {times} times; valid: 1 to {MAX_NODES} nodes")
        counts.extend([int(match[1])] * times)
    return counts


def format(counts: Iterable[int]) -> str:
    """``[2, 2, 2, 1]`` -> ``"2(x3),1"``, as Slurm writes it."""
    items: list[str] = []
    for count, run in groupby(counts):
        if count < 0:
            raise LayoutError(f"invalid count {count} in a layout: counts are 0 or more")
        times = sum(1 for _ in run)
        items.append(f"{count}(x{times})" if times > 1 else f"{count}")
    return ",".join(items)
