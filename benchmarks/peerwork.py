"""What the peers are to do: ``python peerwork.py WORK [ARGUMENT ...]``, in their environment. For each line of stdin it is done once, and its
seconds are printed. What they wait between two submissions on purpose (submitit 0.2 s) is taken out."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.work import nothing, say_when

Work = Callable[[], object]

AT_A_TIME = 10

ENDS: list[Work] = []
"""What has to be done at the end, so that no process is left."""


def submitit_executor(kind: str, folder: str) -> Any:
    import submitit

    made = {"slurm": submitit.SlurmExecutor, "local": submitit.LocalExecutor}[kind](folder=folder)
    made._throttle = lambda: None
    return made


def submitit_submit(folder: str) -> Work:
    executor = submitit_executor("slurm", folder)
    return lambda: executor.submit(nothing, 1)


def submitit_start(folder: str, when: str) -> Work:
    executor = submitit_executor("slurm", folder)
    return lambda: executor.submit(say_when, when)


def submitit_map(folder: str, number: str) -> Work:
    executor = submitit_executor("slurm", folder)
    return lambda: executor.map_array(nothing, range(int(number)))


def submitit_many(folder: str, number: str) -> Work:
    """At most `AT_A_TIME` at a time: it starts all that are submitted at once, two processes each."""
    executor = submitit_executor("local", folder)

    def many() -> None:
        for start in range(0, int(number), AT_A_TIME):
            several = range(start, min(int(number), start + AT_A_TIME))
            for job in [executor.submit(nothing, one) for one in several]:
                job.result()

    return many


def executorlib_many(number: str) -> Work:
    from executorlib import SingleNodeExecutor

    executor = SingleNodeExecutor(max_workers=os.cpu_count())
    ENDS.append(executor.shutdown)
    return lambda: [future.result() for future in [executor.submit(nothing, one) for one in range(int(number))]]


def psij_submit(folder: str) -> Work:
    import psij
    from psij.executors.batch.slurm import SlurmExecutorConfig

    executor = psij.JobExecutor.get_instance("slurm", config=SlurmExecutorConfig(work_directory=Path(folder)))
    return lambda: executor.submit(psij.Job(psij.JobSpec("/bin/true")))


def simpy_jobs(number: str, slots: str, seconds: str) -> Work:
    """Processes that wait for one of `slots` of a resource, hold it for `seconds` of simulated time, and leave."""
    import simpy

    def job(environment: Any, resource: Any) -> Iterator[Any]:
        with resource.request() as request:
            yield request
            yield environment.timeout(int(seconds))

    def all_of_them() -> None:
        environment = simpy.Environment()
        resource = simpy.Resource(environment, capacity=int(slots))
        for _ in range(int(number)):
            environment.process(job(environment, resource))
        environment.run()

    return all_of_them


WORKS: dict[str, Callable[..., Work]] = {
    made.__name__: made
    for made in (
        *(submitit_submit, submitit_start, submitit_map, submitit_many),
        *(executorlib_many, psij_submit, simpy_jobs),
    )
}


def main(work: str, *arguments: str) -> None:
    do = WORKS[work](*arguments)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is no answer
    for _ in sys.stdin:
        began = time.perf_counter()
        do()
        print(json.dumps(time.perf_counter() - began), file=answers, flush=True)
    for end in ENDS:
        end()
    os._exit(0)  # psij has threads that look after its jobs for ever


if __name__ == "__main__":
    main(*sys.argv[1:])
