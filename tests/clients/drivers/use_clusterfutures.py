"""An executor of futures: `srun` in the batch script, files for the values, squeue with `--states=all` for those that died."""

import json
from typing import Any

CLIENT = "clusterfutures"
EXPECTED = {"values": [1, 4, 9], "raised": "ValueError: no", "died": "JobDied", "tasks": ["0 of 1"]}


def drive() -> dict[str, Any]:
    import cfut

    def fail() -> None:
        raise ValueError("no")

    def die() -> None:
        import os

        os._exit(3)

    def place() -> str:
        import os

        return f"{os.environ['SLURM_PROCID']} of {os.environ['SLURM_NTASKS']}"

    report: dict[str, Any] = {}
    with cfut.SlurmExecutor(additional_setup_lines=["#SBATCH -n1"], keep_logs=True) as executor:
        # It looks for files first and asks squeue then: a job that has ended in between counts as one that died.
        executor.wait_thread.slurm_poll_interval = 10**6
        report["values"] = list(executor.map(lambda x: x * x, [1, 2, 3]))
        report["raised"] = str(executor.submit(fail).exception(60)).strip().splitlines()[-1]
        executor.wait_thread.slurm_poll_interval = 1
        report["died"] = type(executor.submit(die).exception(60)).__name__
        executor.wait_thread.slurm_poll_interval = 10**6
        report["tasks"] = [executor.submit(place).result(60)]
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
