"""Many jobs, when each is submitted, and what becomes of it: for a fake whose time is virtual."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fakeslurm.simulation import Simulated

if TYPE_CHECKING:
    from fakeslurm.fake import FakeSlurm

__all__ = ["Arrival", "Workload", "outcomes", "workloads"]


@frozen
class Arrival:
    """A job is submitted `at` so many seconds after the beginning, with these `arguments` of sbatch, and does `behaviour`."""

    at: float
    arguments: tuple[str, ...]
    behaviour: Simulated


@frozen
class Workload:
    """Jobs in the order in which they are submitted."""

    arrivals: tuple[Arrival, ...]

    def play(self, slurm: FakeSlurm, *, cwd: str | os.PathLike[str]) -> tuple[int, ...]:
        """Submit each at its time, on the virtual clock of `slurm`; the job ids. Returns when the last one has been submitted.

        Replaces what `slurm` simulates. Raises RuntimeError when it refuses a job, or its clock is not virtual.
        """
        behaviours = {f"arrival-{number}": arrival.behaviour for number, arrival in enumerate(self.arrivals)}
        slurm.simulate(lambda job: behaviours.get(job.name))
        began = slurm.clock.time()
        job_ids = []
        for number, arrival in enumerate(self.arrivals):
            slurm.advance(max(0.0, began + arrival.at - slurm.clock.time()))
            command = ["sbatch", "--parsable", f"--job-name=arrival-{number}", "--output=/dev/null", *arrival.arguments]
            answer = slurm.execute([*command, "--wrap=true"], cwd=cwd)
            if answer.returncode:
                raise RuntimeError(f"arrival {number} of the workload was refused: {answer.stderr.strip()}")
            job_ids.append(int(answer.stdout))
        return tuple(job_ids)


def outcomes(*, max_seconds: float = 7200.0, endless: bool = True) -> SearchStrategy[Simulated]:
    """How long a job runs and how it ends: well, with an exit code, of a signal, or, when `endless`, not by itself. Shrinks to an end at once.

    Durations are whole or half seconds.
    """
    seconds = st.integers(0, int(max_seconds * 2)).map(lambda halves: halves / 2)
    ends = st.sampled_from(
        [(0, 0), (0, 0), (0, 0), (1, 0), (255, 0), (0, int(signal.SIGSEGV)), (0, int(signal.SIGKILL))]
    )
    by_itself = st.builds(lambda length, end: Simulated(length, exit_code=end[0], signal=end[1]), seconds, ends)
    if not endless:
        return by_itself
    never = st.sampled_from([Simulated(math.inf), Simulated(math.inf, ignores=[signal.SIGTERM])])
    return st.one_of(by_itself, by_itself, by_itself, never)


@st.composite
def workloads(
    draw: st.DrawFn,
    *,
    max_jobs: int = 10,
    nodes: int = 4,
    cpus_per_node: int = 4,
    gaps: Sequence[float] = (0, 0, 1, 30, 1000),
) -> Workload:
    """Up to `max_jobs` jobs that fit into a cluster of so many equal nodes; `gaps` are the seconds between two of them.

    Every job has a time limit, so that all are over some day. Shrinks to no job at all.
    """
    now = 0.0
    arrivals = []
    for _ in range(draw(st.integers(0, max_jobs))):
        arguments = [f"--time={draw(st.sampled_from([1, 30, 300]))}"]
        count = draw(st.integers(1, nodes))
        if draw(st.booleans()):
            arguments.append(f"--nodes={count}")
        arguments.append(f"--ntasks={draw(st.integers(count, count * cpus_per_node))}")
        arguments += draw(
            st.sampled_from([[], [], ["--exclusive"], ["--begin=now+100"], ["--nice=5"], ["--no-requeue"]])
        )
        arrivals.append(Arrival(now, tuple(arguments), draw(outcomes())))
        now += draw(st.sampled_from(list(gaps)))
    return Workload(tuple(arrivals))
