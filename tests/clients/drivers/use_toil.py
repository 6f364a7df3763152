"""A workflow engine of jobs that make jobs: `sbatch --wrap` with `--signal=B:USR2@30`, states and exit codes from `scontrol show job`."""

import json
import os
from typing import Any

CLIENT = "toil"
EXPECTED = {
    "values": [0, 1, 4],
    "cpus": ["1", "2"],
    "memory": "96",
    "raised": "FailedJobsException",
    "jobs": ["bad FAILED 1:0 1", *["root COMPLETED 0:0 1"] * 2, *["square COMPLETED 0:0 2"] * 6],
}


def square(_job: Any, number: int) -> tuple[int, str]:
    return number**2, os.environ["SLURM_CPUS_PER_TASK"]


def bad(_job: Any) -> None:
    raise ValueError("bad")


def root(job: Any, *, fails: bool) -> Any:
    if fails:
        job.addChildJobFn(bad, cores=1, memory="100M", disk="10M")
    values = [job.addChildJobFn(square, number, cores=2, memory="100M", disk="10M").rv() for number in range(3)]
    return values, os.environ["SLURM_CPUS_PER_TASK"], os.environ["SLURM_MEM_PER_NODE"]


def drive() -> dict[str, Any]:
    from helpers import run
    from toil.common import Toil
    from toil.exceptions import FailedJobsException
    from toil.job import Job

    def start(name: str, *, fails: bool) -> Any:
        options = Job.Runner.getDefaultOptions(f"./{name}")
        options.batchSystem, options.slurmTime, options.statePollingWait = "slurm", "2:00", 1
        options.retryCount, options.logLevel, options.disableProgress = 0, "CRITICAL", True
        with Toil(options) as toil:
            return toil.start(Job.wrapJobFn(root, fails=fails, cores=1, memory="100M", disk="10M"))

    values, cpus, memory = start("well", fails=False)
    report: dict[str, Any] = {"values": [value for value, _ in values], "memory": memory}
    report["cpus"] = sorted({cpus, *(asked for _, asked in values)})
    try:
        start("badly", fails=True)
    except FailedJobsException as error:
        report["raised"] = type(error).__name__
    rows = [line.split("|") for line in run("sacct", "-XnP", "-o", "JobName,State,ExitCode,AllocCPUS").splitlines()]
    jobs = [[name.rpartition("_")[2], *rest] for name, *rest in rows if name.startswith("toil_job_")]
    report["jobs"] = sorted(map(" ".join, jobs))
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
