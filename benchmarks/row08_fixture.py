"""Set-up and tear-down of a fake Slurm."""

from __future__ import annotations

import time

from benchmarks.harness import Effort, Goal, Row, interleaved
from fakeslurm import FakeSlurm


def plain() -> float:
    began = time.perf_counter()
    with FakeSlurm():
        pass
    return time.perf_counter() - began


def with_commands() -> float:
    began = time.perf_counter()
    with FakeSlurm() as slurm:
        slurm.environ()
    return time.perf_counter() - began


def measure(effort: Effort) -> list[Row]:
    figures = interleaved(effort.rounds(50), {"plain": plain, "with commands": with_commands})
    goals = (Goal("plain", 0.003), Goal("with commands", 0.010))
    return [Row(8, "FakeSlurm, start to end", figures, "plain", goals)]
