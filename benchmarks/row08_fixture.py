"""Set-up and tear-down of a fake Slurm."""

from __future__ import annotations

import time

from benchmarks.harness import Effort, Goal, Row
from benchmarks.inprocess import bench, measured
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


WORK = {"plain": plain, "with commands": with_commands}


def measure(effort: Effort) -> list[Row]:
    figures = measured("benchmarks.row08_fixture", [*WORK], effort)
    goals = (Goal("plain", 0.003), Goal("with commands", 0.010))
    return [Row(8, "FakeSlurm, start to end", figures, "plain", goals)]


if __name__ == "__main__":
    bench("benchmarks.row08_fixture", WORK)
