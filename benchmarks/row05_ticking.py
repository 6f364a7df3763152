"""One status tick of many jobs: query, parse, arbitrate, fan out; the client's CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from benchmarks.harness import Effort, Goal, Row
from benchmarks.inprocess import bench, measured
from fakeslurm import FakeSlurm
from slurmkit import SystemClock
from slurmkit.backends.cli import CliBackend
from slurmkit.backends.execute import CommandResult
from slurmkit.backends.parse import QUEUE_FORMAT
from slurmkit.polling.status import StatusService

SIZES = {"100 jobs": 100, "1,000 jobs": 1_000, "10,000 jobs": 10_000}
INTERVAL = 2.0
"""Seconds between two ticks of the poller whose share of a core is told."""


def tick(number: int) -> Callable[[], float]:
    with FakeSlurm(nodes=1, cpus_per_node=1) as slurm:
        slurm.execute(["sbatch", "--hold", "--wrap=true"])
        queue = slurm.execute(["squeue", "--me", "--states=all", "--noheader", f"--Format={QUEUE_FORMAT}"])
    ids = [str(100_000 + index) for index in range(number)]
    tokens = {job_id: f"token-{job_id}" for job_id in ids}
    line = queue.stdout.removeprefix("1")
    text = "".join(job_id + line.replace("|(null)|", f"|{token}|") for job_id, token in tokens.items())

    def execute(argv: Sequence[str], **_: Any) -> CommandResult:
        return CommandResult(0, text, "")

    clock = SystemClock()
    service = StatusService(CliBackend(execute=execute), clock, uniform=lambda low, high: low)
    service.track(tokens, created=clock.time(), listener=lambda news: None, journal=lambda job_id: None)

    def measure() -> float:
        began = time.process_time()
        service.refresh()
        return time.process_time() - began

    return measure


def measure(effort: Effort) -> list[Row]:
    figures = measured("benchmarks.row05_ticking", [*SIZES], effort)
    row = Row(5, "one status tick, client CPU", figures, "1,000 jobs", (Goal("10,000 jobs", 0.1),))
    share = row.figure("1,000 jobs").median / INTERVAL
    told = f"1,000 single jobs and a poller of {INTERVAL:g} s take {share:.2%} of a core; the goal is under 5 %"
    costs = {number: row.figure(name).median for name, number in SIZES.items()}
    return [attrs.evolve(row, remarks=(told,), costs=costs)]


if __name__ == "__main__":
    bench("benchmarks.row05_ticking", {name: tick(number) for name, number in SIZES.items()})
