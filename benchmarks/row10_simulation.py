"""Simulated jobs on 1,000 nodes, by a virtual clock. Alone (ROW=10) with more jobs than among the other rows."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Effort, Figure, Goal, Row
from fakeslurm import FakeSlurm, Simulated

NODES = 1_000
SIZES = {"quick": (500, 1_000, 2_000), "usual": (1_000, 3_000, 10_000), "alone": (10_000, 30_000, 100_000)}


def resident() -> float:
    """Bytes of memory that this process has now."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def simulate(number: int) -> tuple[float, float]:
    """Submit so many jobs one by one and let them end: seconds of CPU time, and bytes by which this process has grown."""
    with FakeSlurm(nodes=NODES, clock="virtual", conf=["MaxJobCount=2000000"]) as slurm:
        slurm.simulate(Simulated(600))
        before = resident()
        began = time.process_time()
        for _ in range(number):
            slurm.execute(["sbatch", "--output=/dev/null", "--wrap=true"])
        slurm.wait_idle(timeout=1e9)
        took = time.process_time() - began
        return took, resident() - before


def in_a_process(number: int) -> tuple[float, float]:
    """`simulate` where nothing was before it."""
    command = [sys.executable, "-m", "benchmarks.row10_simulation", str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took, grown = map(float, done.stdout.split())
    return took, grown


def measure(effort: Effort) -> list[Row]:
    sizes = SIZES["quick" if effort.quick else "alone" if effort.alone else "usual"]
    found = {number: in_a_process(number) for number in sizes}
    rates = tuple(Figure(f"{number:,} jobs", (number / took,), "jobs/s") for number, (took, _) in found.items())
    memory = tuple(Figure(f"{number:,} jobs", (grown / number,), "bytes") for number, (_, grown) in found.items())
    largest = rates[-1].name
    costs = {number: took for number, (took, _) in found.items()}
    goal = Goal(largest, 20_000, more=True)
    return [
        Row(10, f"simulated jobs on {NODES:,} nodes", rates, largest, (goal,), costs=costs),
        Row(10, "memory per simulated job", memory, largest, (Goal(largest, 2048),)),
    ]


if __name__ == "__main__":
    print(*simulate(int(sys.argv[1])))
