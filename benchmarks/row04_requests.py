"""Requests per minute for jobs that are outstanding: a callback follows each of them every ten seconds."""

from __future__ import annotations

from collections import Counter

from benchmarks.harness import Effort, Figure, Goal, Row
from benchmarks.work import nothing
from fakeslurm import FakeSlurm
from slurmkit import BaseCallback, Cluster, JobStatusUpdatedContext, task

MINUTES = 5


class Follower(BaseCallback):
    requires_pickling = False
    poll_interval_secs = 10.0

    def on_job_status_update_ctx(self, ctx: JobStatusUpdatedContext) -> None:
        """Hears, and does nothing."""


def requests(number: int, *, singly: bool) -> Counter[str]:
    """What is asked in `MINUTES` of virtual time."""
    conf = ["MaxArraySize=20000", "MaxJobCount=50000"]
    with (
        FakeSlurm(nodes=1, cpus_per_node=1, clock="virtual", conf=conf) as slurm,
        Cluster(slurm.backend(), callbacks=[Follower()]) as cluster,
    ):
        held = task(hold=True)(nothing)
        if singly:
            for one in range(number):
                cluster.submit(held, one)
        else:
            cluster.map(held, range(number))
        cluster.refresh()
        before = Counter(call.command for call in slurm.calls)
        slurm.advance(MINUTES * 60)
        return Counter(call.command for call in slurm.calls) - before


def measure(effort: Effort) -> list[Row]:
    figures = []
    said = []
    for name, number, singly in (("1 job", 1, True), ("200 jobs", 200, True), ("an array of 10,000", 10_000, False)):
        spent = requests(number, singly=singly)
        figures.append(Figure(name, (spent.total() / MINUTES,), ""))
        said.append(f"{name}: " + (", ".join(f"{count} {command}" for command, count in sorted(spent.items()))))
    remarks = (
        f"in {MINUTES} minutes of virtual time, {'; '.join(said)}",
        "no peer is measured here, since each takes minutes of real time: by their code slurm-sdk calls scontrol once per job and "
        "two seconds, submitit sacct with the ids of all jobs, psij squeue once per 30 seconds",
    )
    goals = (Goal("an array of 10,000", 1.05, "1 job"), Goal("200 jobs", 1.05, "1 job"))
    what = "requests per minute while jobs are outstanding, a callback that follows every 10 s"
    return [Row(4, what, tuple(figures), "200 jobs", goals, (), remarks)]
