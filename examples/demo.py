"""The tour: a multi-node task, a batch followed live, and a failure with its remote traceback. Run it with ``make demo``.

It runs on the embedded fake, so it needs no cluster. Say ``Cluster("slurm")`` instead, and the same code runs on one.
"""

from __future__ import annotations

import time
import traceback

from slurmkit import Cluster, JobContext, ProgressCallback, task


@task(nodes=3, ntasks=7, time="00:05:00")
def hello(greeting: str, *, job: JobContext) -> str:
    """Each rank says where it is; rank 0's return value is the job's result."""
    place = (
        f"rank {job.rank} of {job.world_size} on {job.hostname} (local rank {job.local_rank} of {job.local_world_size})"
    )
    print(f"{greeting} from {place}", flush=True)
    return (
        f"{job.num_nodes} nodes, layout {list(job.tasks_per_node)}, rendezvous at {job.master_addr}:{job.master_port}"
    )


@task(time=5, cpus_per_task=2)
def square(number: int) -> int:
    time.sleep(0.3 * number)
    return number * number


@task(time=5)
def divide(numerator: float, denominator: float) -> float:
    return numerator / denominator


def main() -> None:
    with Cluster("fake") as cluster:
        title("A task on 3 nodes, 7 ranks")
        job = cluster.submit(hello, "Hello")
        print(job.result(timeout=60))
        print("\n".join(sorted(job.stdout().splitlines())))

    title("A batch of 6 jobs, followed live")
    with ProgressCallback(poll_interval_secs=0.1) as progress, Cluster("fake", callbacks=[progress]) as cluster:
        jobs = [cluster.submit(square, number) for number in range(1, 7)]
        results = [job.result(timeout=60) for job in jobs]
    print("results:", results)

    title("A task that fails: its own exception, with the traceback from inside the job")
    with Cluster("fake") as cluster:
        try:
            cluster.submit(divide, 1.0, 0.0).result(timeout=60)
        except ZeroDivisionError as error:
            traceback.print_exception(error, limit=0)


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m\n", flush=True)


if __name__ == "__main__":
    main()
