"""Pickled functions: states from sacct, arrays, the traceback of a rank, and USR2 before the limit that checkpoints and requeues."""

import json
from pathlib import Path
from typing import Any

CLIENT = "submitit"
EXPECTED = {
    "single": [7, "COMPLETED"],
    "array": [0, 1, 4, 9],
    "array states": ["COMPLETED"],
    "failing": "ZeroDivisionError: division by zero",
    "failing state": "FAILED",
    "ranks": [[0, 2, 0, 1, 0], [1, 2, 1, 1, 0]],
    "cancelled": "CANCELLED by 0",
    "preempted": "USR2, then resumed in restart 1",
    "timed out": "USR2, then resumed in restart 1",
    "timed out state": "COMPLETED",
}


class Training:
    """Runs until it is told to checkpoint; the second run ends at once."""

    def __init__(self, signs: str) -> None:
        self.signs = signs
        self.checkpoints = 0

    def __call__(self) -> str:
        import os
        import time

        if self.checkpoints:
            return f"USR2, then resumed in restart {os.environ['SLURM_RESTART_COUNT']}"
        Path(self.signs).touch()
        time.sleep(600)
        raise AssertionError("it was never told to checkpoint")

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        self.checkpoints += 1
        return DelayedSubmission(self)


def drive() -> dict[str, Any]:
    import submitit
    from helpers import until

    def executor(**parameters: Any) -> Any:
        made = submitit.AutoExecutor(folder="log", cluster="slurm")
        made.update_parameters(timeout_min=5, **parameters)
        return made

    def state(job: Any) -> str:
        return str(job.watcher.get_state(job.job_id, mode="force"))

    def ended(job: Any) -> str:
        return str(
            until(lambda: state(job) not in ("UNKNOWN", "PENDING", "RUNNING", "COMPLETING") and state(job), "end")
        )

    def fail() -> float:
        return 1 / 0

    def ranks() -> list[int]:
        place = submitit.JobEnvironment()
        return [place.global_rank, place.num_tasks, place.node, place.num_nodes - 1, place.local_rank]

    def sleep() -> None:
        import time

        time.sleep(600)

    # Slurm, which looks every 30 s, sends the signal up to 30 s early: not before submitit has started, on a busy machine either
    limited = executor(slurm_time=2, slurm_signal_delay_s=60).submit(Training("limited"))
    preempted = executor().submit(Training("preempted"))
    single = executor().submit(pow, 7, 1)
    report: dict[str, Any] = {"single": [single.result(), ended(single)]}
    jobs = executor(slurm_array_parallelism=2).map_array(lambda x: x * x, range(4))
    report["array"] = [job.result() for job in jobs]
    report["array states"] = sorted({ended(job) for job in jobs})
    failing = executor().submit(fail)
    report["failing"] = [line for line in str(failing.exception()).splitlines() if "Error" in line][-1].strip()
    report["failing state"] = ended(failing)
    report["ranks"] = executor(nodes=2, tasks_per_node=1).submit(ranks).results()
    sleeping = executor().submit(sleep)
    until(lambda: state(sleeping) == "RUNNING", "the sleeper runs")
    sleeping.cancel(check=False)
    report["cancelled"] = ended(sleeping)
    until(Path("preempted").exists, "the training runs")
    preempted._interrupt()
    report["preempted"] = preempted.result()
    report["timed out"] = limited.result()
    report["timed out state"] = ended(limited)
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
