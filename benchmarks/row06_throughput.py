"""Trivial functions end to end, no cluster, a process each."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import ExitStack

from benchmarks.harness import Effort, Goal, Row, interleaved, python
from benchmarks.work import nothing
from slurmkit import Cluster

AT_A_TIME = 2


def floor(number: int) -> float:
    """So many pythons that import cloudpickle, two at a time."""
    began = time.perf_counter()
    running: list[subprocess.Popen[bytes]] = []
    for _ in range(number):
        if len(running) == AT_A_TIME:
            running.pop(0).wait()
        running.append(subprocess.Popen(python("import cloudpickle")))
    for process in running:
        process.wait()
    return time.perf_counter() - began


def measure(effort: Effort) -> list[Row]:
    number = 20 if effort.quick else 100
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster("fake"))

        def ours() -> float:
            began = time.perf_counter()
            for job in [cluster.submit(nothing, one) for one in range(number)]:
                job.result(timeout=600)
            return time.perf_counter() - began

        work = {"python -c 'import cloudpickle', 2 at a time": lambda: floor(number), "slurmkit, fake": ours}
        goals = [Goal("slurmkit, fake", 1 / 0.6, next(iter(work)))]
        theirs = []
        if "submitit" in effort.peers:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            work["submitit, local"] = stack.enter_context(effort.peers.worker("submitit_many", folder, str(number)))
            theirs.append("submitit, local")
            goals.append(Goal("slurmkit, fake", 0.2, "submitit, local"))
        if "executorlib" in effort.peers:
            work["executorlib, single node"] = stack.enter_context(effort.peers.worker("executorlib_many", str(number)))
            theirs.append("executorlib, single node")
        figures = interleaved(1 if effort.quick else 2, work)
    row = Row(6, f"{number} trivial functions, end to end", figures, "slurmkit, fake", tuple(goals), tuple(theirs))
    rates = ", ".join(f"{one.name} {number / one.median:.1f}/s" for one in row.figures)
    remarks = (f"per second: {rates}", *effort.peers.remarks("submitit", "executorlib"))
    return [Row(6, row.work, figures, row.ours, row.goals, row.peers, remarks)]
