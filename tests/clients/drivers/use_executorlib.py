"""Many short steps in one allocation: a Python inside a batch job starts `srun` for every worker and talks to it over sockets."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CLIENT = "executorlib"
EXPECTED = {"sum": [5, 7, 9], "raised": "ZeroDivisionError", "rank": "0"}


def inside() -> dict[str, Any]:
    """What runs in the job."""
    from executorlib import SlurmJobExecutor

    def rank() -> str:
        import os

        return os.environ["SLURM_PROCID"]

    report: dict[str, Any] = {}
    with SlurmJobExecutor(max_cores=4) as executor:
        futures = [executor.submit(lambda a, b: a + b, a, b) for a, b in ((1, 4), (2, 5), (3, 6))]
        report["sum"] = [future.result() for future in futures]
        report["raised"] = type(executor.submit(lambda a: a / 0, 1).exception()).__name__
        report["rank"] = executor.submit(rank, resource_dict={"cores": 1, "slurm_cmd_args": ["--exact"]}).result()
    return report


def drive() -> Any:
    command = [
        "sbatch",
        "--wait",
        "--quiet",
        "-n4",
        "--output=job.out",
        "--wrap",
        f"{sys.executable} {__file__} inside",
    ]
    done = subprocess.run(command, check=False)
    assert done.returncode == 0, Path("job.out").read_text()
    return json.loads(Path("job.out").read_text().splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(inside() if "inside" in sys.argv else drive()))
