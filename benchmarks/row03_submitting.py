"""The client's cost of one submission against a stub sbatch, on tmpfs, with every file of the job directory written."""

from __future__ import annotations

import os
import pickle
import subprocess
import time
from contextlib import ExitStack

from benchmarks.harness import Effort, Goal, Row, interleaved
from benchmarks.stubs import stub_sbatch
from benchmarks.work import nothing
from slurmkit import Cluster
from slurmkit.backends.cli import CliBackend

PEERS = {"submitit": "submitit_submit", "psij-python": "psij_submit"}

ABOVE = (
    "sbatch itself is started in less time than the stub is here; five files, one of them twice as the id is known only afterwards, and two "
    "directories take 0.17 ms, a look at whether the job can import the function and whether the arguments fit 0.08, all else 0.25, half of it "
    "as the processor's caches are cold after a process; submitit writes two files"
)


def measure(effort: Effort) -> list[Row]:
    with stub_sbatch() as (root, stub, environment), ExitStack() as stack:
        os.environ["PATH"], before = environment["PATH"], os.environ["PATH"]
        stack.callback(os.environ.__setitem__, "PATH", before)
        cluster = stack.enter_context(Cluster(CliBackend(environ=environment), job_root=root / "jobs"))

        def floor() -> float:
            began = time.perf_counter()
            pickle.dumps((nothing, (1,), {}))
            subprocess.run([str(stub)], env=environment, capture_output=True, check=True)
            return time.perf_counter() - began

        def ours() -> float:
            began = time.perf_counter()
            cluster.submit(nothing, 1)
            return time.perf_counter() - began

        work = {"one pickle and the stub": floor, "slurmkit": ours}
        theirs = [name for name in PEERS if name in effort.peers]
        for name in theirs:
            work[name] = stack.enter_context(effort.peers.worker(PEERS[name], str(root / name)))
        figures = interleaved(effort.rounds(100), work)
    goals = (Goal("slurmkit", 1.5, "one pickle and the stub"),)
    what = "one submission against a stub sbatch, tmpfs"
    return [Row(3, what, figures, "slurmkit", goals, tuple(theirs), (ABOVE, *effort.peers.remarks(*PEERS)))]
