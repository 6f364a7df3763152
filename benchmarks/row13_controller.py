"""What a tick, a submission and an array cost a real slurmctld: its CPU time."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness import Effort, Figure, Row
from fakeslurm.throwaway import ThrowawaySlurm, unavailable_reason
from slurmkit.backends.environment import query_environment
from slurmkit.backends.parse import QUEUE_FORMAT

TICK = ["squeue", "--me", "--states=all", "--noheader", f"--Format={QUEUE_FORMAT}"]
ARRAY = 10_000
AT_A_TIME = 8


def cpu_seconds(pid: int) -> float:
    """Of a process so far, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Controller:
    """A real slurmctld whose user has more and more jobs that are held."""

    def __init__(self, slurm: ThrowawaySlurm, script: Path) -> None:
        self.pid = slurm.pids["slurmctld"]
        self.environment = slurm.environ()
        self.script = script
        self.jobs = 0

    def spent(self, work: Callable[[], None]) -> float:
        before = cpu_seconds(self.pid)
        work()
        return cpu_seconds(self.pid) - before

    def tick(self, times: int) -> Figure:
        """One squeue as slurmkit calls it, of `times`, five times."""
        environment = query_environment(self.environment)

        def ask() -> None:
            for _ in range(times):
                subprocess.run(TICK, env=environment, stdout=subprocess.DEVNULL, check=True)

        ask()
        return Figure(f"squeue, {self.jobs:,} jobs", tuple(self.spent(ask) / times for _ in range(5)))

    def submit(self, number: int) -> None:
        for start in range(0, number, AT_A_TIME):
            command = ["sbatch", "--hold", "--output=/dev/null", str(self.script)]
            several = [
                subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)
                for _ in range(min(AT_A_TIME, number - start))
            ]
            for one in several:
                one.wait()
        self.jobs += number

    def submit_array(self) -> None:
        command = ["sbatch", "--hold", "--output=/dev/null", f"--array=0-{ARRAY - 1}", str(self.script)]
        subprocess.run(command, env=self.environment, stdout=subprocess.DEVNULL, check=True)


def measured(sizes: Sequence[int], times: int) -> tuple[str, list[Figure], float, Figure]:
    """Slurm's version, the ticks, one sbatch, and the tick with an array beside the last jobs."""
    conf = ["MaxJobCount=50000", f"MaxArraySize={ARRAY + 1}"]
    with (
        tempfile.TemporaryDirectory() as directory,
        ThrowawaySlurm(nodes=1, accounting=False, extra_conf=conf) as slurm,
    ):
        script = Path(directory, "script.sh")
        script.write_text("#!/bin/sh\ntrue\n")
        controller = Controller(slurm, script)
        ticks, submissions = [], []
        for size in sizes:
            more = size - controller.jobs
            submissions.append(controller.spent(lambda more=more: controller.submit(more)) / more)
            ticks.append(controller.tick(times))
        controller.submit_array()
        last = controller.tick(times)
        with_array = Figure(f"squeue, {controller.jobs:,} jobs and an array of {ARRAY:,}", last.rounds)
        return slurm.version, ticks, statistics.median(submissions), with_array


def measure(effort: Effort) -> list[Row]:
    reason = unavailable_reason()
    if reason is not None:
        return [Row(13, "a real slurmctld", (), remarks=(f"not measured: {reason}",))]
    sizes = (300, 1_000) if effort.quick else (300, 1_000, 3_000)
    version, ticks, submission, with_array = measured(sizes, 20 if effort.quick else 50)
    costs = {size: one.median for size, one in zip(sizes, ticks, strict=True)}
    work = f"CPU time of slurmctld {version} for one request"
    told = f"one sbatch takes {submission * 1e3:.1f} ms of it"
    return [Row(13, work, (*ticks, with_array), remarks=(told,), costs=costs)]
