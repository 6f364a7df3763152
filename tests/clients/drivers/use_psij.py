"""A portable submission layer: a script from a template, one `squeue --states=all` for all jobs, states told to callbacks."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

CLIENT = "psij-python"
EXPECTED = {
    "ranks": ["COMPLETED", 0],
    "output": ["0", "1", "2", "3"],
    "failing": ["FAILED", 3],
    "cancelled": "CANCELED",
    "refused": True,
    "listed": True,
}


def drive() -> dict[str, Any]:
    import psij
    from helpers import until
    from psij.executors.batch.slurm import SlurmExecutorConfig

    config = SlurmExecutorConfig(
        queue_polling_interval=1, initial_queue_polling_delay=1, work_directory=Path("psij").absolute()
    )
    executor = psij.JobExecutor.get_instance("slurm", config=config)

    def job(script: str, **attributes: Any) -> Any:
        made = psij.Job(psij.JobSpec("/bin/sh", ["-c", script], stdout_path=Path("out").absolute(), launcher="srun"))
        made.spec.attributes = psij.JobAttributes(duration=timedelta(minutes=2))
        made.spec.resources = psij.ResourceSpecV1(process_count=attributes.pop("tasks", 1), **attributes)
        return made

    def wait(job: Any) -> Any:
        return job.wait(timedelta(seconds=60))

    report: dict[str, Any] = {}
    ranks = job("echo $SLURM_PROCID", tasks=4)
    executor.submit(ranks)
    report["ranks"] = [wait(ranks).state.name, ranks.status.exit_code]
    report["output"] = sorted(Path("out").read_text().split())
    failing = job("exit 3")
    executor.submit(failing)
    report["failing"] = [wait(failing).state.name, failing.status.exit_code]
    sleeping = job("sleep 100")
    executor.submit(sleeping)
    until(lambda: sleeping.status.state is psij.JobState.ACTIVE, "the sleeper runs")
    report["listed"] = sleeping.native_id in executor.list()
    sleeping.cancel()
    report["cancelled"] = wait(sleeping).state.name
    refused = job("true")
    refused.spec.attributes.queue_name = "nope"
    try:
        executor.submit(refused)
    except psij.SubmitException as error:
        report["refused"] = "invalid partition specified: nope" in str(error)
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
