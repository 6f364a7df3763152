"""Simulated jobs by a virtual clock: submitted one by one, and as arrays; up to 1,000,000, and on 10,000 nodes."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Effort, Figure, Goal, Row
from fakeslurm import FakeSlurm, Simulated

NODES = 1_000
MORE_NODES = 10_000
OF_AN_ARRAY = 1_000
SIZES = {"quick": (1_000, 2_000, 4_000), "usual": (10_000, 100_000, 1_000_000)}
SECONDS = 600
"""How long each job runs; a node has four CPUs, and so many jobs at a time."""


def resident() -> float:
    """Bytes of memory that this process has now."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def simulate(how: str, number: int, nodes: int) -> tuple[float, float]:
    """Submit so many jobs and let them end: seconds of CPU time, and bytes by which this process has grown."""
    submissions, options = (number, []) if how == "single" else (number // OF_AN_ARRAY, [f"--array=1-{OF_AN_ARRAY}"])
    with FakeSlurm(nodes=nodes, cpus_per_node=4, clock="virtual", conf=["MaxJobCount=2000000"]) as slurm:
        slurm.simulate(Simulated(SECONDS))
        before = resident()
        began = time.process_time()
        for _ in range(submissions):
            slurm.execute(["sbatch", "--output=/dev/null", *options, "--wrap=true"])
        slurm.wait_idle(timeout=1e9)
        took = time.process_time() - began
        return took, resident() - before


def in_a_process(how: str, number: int, nodes: int = NODES) -> tuple[float, float]:
    """`simulate` where nothing was before it."""
    command = [sys.executable, "-m", "benchmarks.row10_simulation", how, str(number), str(nodes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took, grown = map(float, done.stdout.split())
    return took, grown


def measure(effort: Effort) -> list[Row]:
    sizes = SIZES["quick" if effort.quick else "usual"]
    before_last, last = sizes[-2:]
    singles = {number: in_a_process("single", number) for number in sizes}
    arrays = {number: in_a_process("array", number) for number in sizes}
    wide, _ = in_a_process("single", before_last, MORE_NODES)
    costs = {number: took for number, (took, _) in singles.items()}
    growth = Figure(f"{last:,} jobs", ((costs[last] / last) / (costs[before_last] / before_last),), "")
    elements = {number: took for number, (took, _) in arrays.items()}
    peer, remarks = _simpy(effort, before_last)
    rates = (
        *(_rate(f"{number:,} jobs", number, took) for number, took in costs.items()),
        _rate(f"{before_last:,} jobs on {MORE_NODES:,} nodes", before_last, wide),
        *peer,
    )
    memory = tuple(Figure(f"{number:,} jobs", (grown / number,), "bytes") for number, (_, grown) in singles.items())
    name = f"{before_last:,} jobs"
    return [
        Row(
            10,
            f"simulated jobs on {NODES:,} nodes",
            rates,
            name,
            (Goal(name, 20_000, more=True),),
            remarks=remarks,
            costs=costs,
        ),
        Row(
            10,
            f"simulated elements of arrays of {OF_AN_ARRAY:,}",
            tuple(_rate(f"{number:,} elements", number, took) for number, took in elements.items()),
            f"{before_last:,} elements",
            (Goal(f"{before_last:,} elements", 20_000, more=True),),
            costs=elements,
        ),
        Row(10, f"cost of one job, against {before_last:,} jobs", (growth,), growth.name, (Goal(growth.name, 1.3),)),
        Row(10, "memory per simulated job", memory, name, (Goal(name, 2048),)),
    ]


def _rate(name: str, number: int, took: float) -> Figure:
    return Figure(name, (number / took,), "jobs/s")


def _simpy(effort: Effort, number: int) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """The yardstick: as many of its processes that hold a resource, of which there are as many as CPUs here."""
    if "simpy" not in effort.peers:
        return (), effort.peers.remarks("simpy")
    with effort.peers.worker("simpy_jobs", str(number), str(4 * NODES), str(SECONDS)) as work:
        figure = _rate("SimPy, a resource", number, work())
    remark = (
        "SimPy is the yardstick for events per second: its processes wait for one of as many resources as there are CPUs here, hold it and "
        "leave; it has no command line, options, partitions, nodes, accounting or history"
    )
    return (figure,), (remark,)


if __name__ == "__main__":
    print(*simulate(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
