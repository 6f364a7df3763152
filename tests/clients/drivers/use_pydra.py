"""A dataflow engine of pickled tasks, each a job: squeue until it is gone, then sacct by fixed columns, then the last line of its errors."""

import json
import os
from pathlib import Path
from typing import Any

CLIENT = "pydra"
EXPECTED = {
    "split": [3, 4, 5],
    "failed": "unlucky",
    "refused": "sbatch: error: Batch job submission failed: Invalid partition name specified",
}


def drive() -> dict[str, Any]:
    os.environ["NO_ET"] = "1"  # no call home
    import pydra

    @pydra.mark.task  # type: ignore[untyped-decorator]
    def add(x: int, y: int) -> int:
        if x == 13:
            raise ValueError("unlucky")
        return x + y

    def submit(task: Any, arguments: str) -> str:
        try:
            with pydra.Submitter(plugin="slurm", poll_delay=0.3, sbatch_args=arguments) as submitter:
                submitter(task)
        except Exception as error:  # noqa: BLE001  (pydra raises no other)
            return str(error)
        return "no error"

    report: dict[str, Any] = {}
    many = add(name="many", y=2, cache_dir=Path.cwd()).split("x", x=[1, 2, 3])
    submit(many, "-N1 --time=2 --mem=100M")
    report["split"] = [each.output.out for each in many.result()]
    report["failed"] = submit(add(name="bad", x=13, y=2, cache_dir=Path.cwd()), "").split("'")[1]
    report["refused"] = submit(add(name="nowhere", x=6, y=2, cache_dir=Path.cwd()), "-p nope").splitlines()[-1]
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
