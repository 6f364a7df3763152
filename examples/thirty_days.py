"""Thirty days of a cluster in seconds: ten thousand jobs, faults, and a client of slurmkit that follows a thousand of them.

``python examples/thirty_days.py [--days 30] [--jobs 10000] [--followed 1000] [--seed 0]``: runs it twice, and the two histories are equal.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter

from attrs import define, field

from fakeslurm import FakeSlurm, Simulated, VirtualClock
from fakeslurm.fake import JobView
from fakeslurm.history import History
from slurmkit import (
    BaseCallback,
    Cluster,
    CompletedContext,
    ExecutionLocus,
    Job,
    JobStatusUpdatedContext,
    SlurmkitError,
    task,
)
from slurmkit.clock import sleep

DAY = 86400
LIMITS = (60, 240, 600)
"""Minutes."""


@task(time=600)
def work(number: int) -> int:
    """Never called: the fake says what became of it."""
    return number


@define
class Watcher(BaseCallback):
    """Counts what it is told on the client."""

    poll_interval_secs = 600.0
    requires_pickling = False
    execution_loci = {"on_completed_ctx": ExecutionLocus.CLIENT, "on_job_status_update_ctx": ExecutionLocus.CLIENT}  # noqa: RUF012

    updates: int = 0
    ends: Counter[str] = field(factory=Counter)

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        self.updates += 1

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self.ends[str(ctx.job_state)] += 1


@define
class Month:
    """What came of one run."""

    history: History
    ends: Counter[str]
    updates: int
    results: Counter[str]
    refused: Counter[str]
    """Submissions of slurmkit's that failed, by their error."""
    faults: Counter[str]
    calls: Counter[str]
    seconds: float
    """Of real time."""


def run(days: float, jobs: int, followed: int, seed: int) -> Month:
    """`followed` of the jobs are submitted and followed by slurmkit, the others by plain sbatch."""
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0, days * DAY) for _ in range(jobs))
    ours = set(chance.sample(range(jobs), followed))
    watcher = Watcher()
    began = time.perf_counter()
    clock = VirtualClock()
    with (
        tempfile.TemporaryDirectory() as directory,
        FakeSlurm(nodes=20, cpus_per_node=8, clock=clock, seed=seed) as slurm,
    ):
        slurm.simulate(lambda job: behaviour(job, seed))
        start = clock.time()
        submitted: list[Job[int]] = []
        refused: Counter[str] = Counter()
        with clock.participate(), Cluster(slurm.backend(), callbacks=[watcher]) as cluster:
            with slurm.chaos(seed=seed, rate=0.01, every=DAY / 4) as chaos:
                for number, moment in enumerate(moments):
                    sleep(clock, start + moment - clock.time())
                    if number in ours:
                        try:
                            submitted.append(cluster.submit(work, number))
                        except SlurmkitError as error:
                            refused[type(error).__name__] += 1
                    else:
                        asked = [f"--ntasks={chance.choice((1, 1, 2, 4, 8))}", f"--time={chance.choice(LIMITS)}"]
                        slurm.execute(["sbatch", *asked, "--wrap=true"], cwd=directory)
                faults = Counter(planned.kind.name for planned in chaos.plan)
            results = Counter(map(outcome, submitted))
        calls = Counter(call.command for call in slurm.calls)
        seconds = time.perf_counter() - began
        return Month(slurm.history, watcher.ends, watcher.updates, results, refused, faults, calls, seconds)


def behaviour(job: JobView, seed: int) -> Simulated:
    """Two hours on average; one in twenty fails. The same for the same job, whatever happens around it."""
    chance = random.Random(f"{seed} {job.job_id} {job.restart_count}")
    return Simulated(chance.expovariate(1 / 7200), exit_code=chance.random() < 0.05, result=job.job_id)


def outcome(job: Job[int]) -> str:
    """Whether it has its own result, and else why not."""
    try:
        return "its result" if job.result() == int(job.job_id) else "the result of another one"
    except SlurmkitError as error:
        return type(error).__name__


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--followed", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    first, second = (run(chosen.days, chosen.jobs, chosen.followed, chosen.seed) for _ in range(2))
    for month in (first, second):
        print(f"{chosen.days:g} days in {month.seconds:.1f} s: {len(month.history)} events, {month.updates} updates")
    print("calls:", dict(first.calls))
    print("faults:", dict(first.faults))
    print("submissions that failed:", dict(first.refused))
    print("ends of those that were followed:", dict(first.ends))
    print("what their result() gave:", dict(first.results))
    print("the two histories are", "equal" if first.history == second.history else "NOT EQUAL")


if __name__ == "__main__":
    main()
