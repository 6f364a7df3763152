"""A thin wrapper: here-documents on sbatch's standard input, arrays, dependencies, srun, its own reading of squeue, scancel."""

import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

CLIENT = "simple_slurm"
EXPECTED = {
    "two tasks": ["0: n", "1: n"],
    "array": ["array 3", "array 5", "array 7"],
    "after the array": "after 3 elements\n",
    "srun": 0,
    "srun that fails": 3,
    "queue": {"NAME": "sleeper", "ST": "R", "NODES": "1", "CPUS": "2", "MIN_MEMORY": "100M", "TRES_PER_NODE": "N/A"},
    "queue after scancel": {},
}


def drive() -> dict[str, Any]:
    from helpers import until
    from simple_slurm import Slurm

    report: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        Slurm(ntasks=2, wait=True, output="two").sbatch("srun -l sh -c 'echo n'")
        report["two tasks"] = sorted(Path("two").read_text().splitlines())

        array = Slurm(array=range(3, 9, 2), output=f"{Slurm.JOB_ARRAY_MASTER_ID}_{Slurm.JOB_ARRAY_ID}.out")
        first = array.sbatch("echo array $SLURM_ARRAY_TASK_ID")
        after = Slurm("-J", "after", dependency={"afterok": first}, output="after", wait=True)
        after.sbatch(f"echo after $(ls {first}_*.out | wc -l) elements")
        report["array"] = [Path(f"{first}_{index}.out").read_text().strip() for index in (3, 5, 7)]
        report["after the array"] = Path("after").read_text()

        report["srun"] = Slurm(ntasks=1, output="step").srun("true")
        try:
            Slurm(ntasks=1, error="step").srun("sh -c 'exit 3'")
        except subprocess.CalledProcessError as error:
            report["srun that fails"] = error.returncode

        slurm = Slurm(job_name="sleeper", output="/dev/null", cpus_per_task=2, mem="100M")
        sleeper = slurm.sbatch("sleep 100")

        def queue() -> dict[str, str]:
            slurm.squeue.update_squeue()
            return slurm.squeue.jobs.get(sleeper, {})

        until(lambda: queue().get("ST") == "R", "the sleeper runs")
        report["queue"] = {name: queue()[name] for name in EXPECTED["queue"]}
        slurm.scancel.cancel_job(sleeper)
        report["queue after scancel"] = until(lambda: queue() == {} and [{}], "the sleeper is gone")[0]
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
