"""One trivial function, from its submission to its result, no cluster."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack

from benchmarks.harness import Effort, Goal, Row, interleaved, python, seconds
from benchmarks.work import nothing
from slurmkit import Cluster


def measure(effort: Effort) -> list[Row]:
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster("fake"))

        def ours() -> float:
            began = time.perf_counter()
            cluster.submit(nothing, 1).result(timeout=60)
            return time.perf_counter() - began

        floor = "python -c 'import cloudpickle'"
        work = {floor: lambda: seconds(python("import cloudpickle")), "slurmkit, fake": ours}
        theirs = []
        if "submitit" in effort.peers:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            work["submitit, local"] = stack.enter_context(effort.peers.worker("submitit_many", folder, "1"))
            theirs.append("submitit, local")
        if "executorlib" in effort.peers:
            work["executorlib, single node"] = stack.enter_context(effort.peers.worker("executorlib_many", "1"))
            theirs.append("executorlib, single node")
        figures = interleaved(effort.rounds(15), work)
    goals = (Goal("slurmkit, fake", 2.0, floor),)
    remarks = effort.peers.remarks("submitit", "executorlib")
    what = "one function, from its submission to its result"
    return [Row(7, what, figures, "slurmkit, fake", goals, tuple(theirs), remarks)]
