"""A pipeline of shell jobs, submitted at once: `sbatch --parsable` with afterok, afternotok and afterany between them."""

import json
from pathlib import Path
from typing import Any

CLIENT = "slurmpie"
EXPECTED = {"order": ["first", "second ok", "third fails", "fourth after the failure"], "never": False}


def drive() -> dict[str, Any]:
    from helpers import until
    from slurmpie.slurmpie import Job, Pipeline

    def job(name: str, script: str) -> Any:
        return Job(script, script_is_file=False, name=name, output_file="/dev/null", memory_size="100M", time="2:00")

    pipeline = Pipeline()
    first = job("first", "sleep 1; echo first >> order")
    second = job("second", "echo second ok >> order")
    third = job("third", "echo third fails >> order; exit 1")
    fourth = job("fourth", "echo fourth after the failure >> order")
    never = job("never", "touch never")
    pipeline.add_start_job(first)
    pipeline.add({"afterok": [second]}, parent_job=first)
    pipeline.add({"afterany": [third]}, parent_job=second)
    pipeline.add({"afternotok": [fourth], "afterok": [never]}, parent_job=third)
    pipeline.submit()
    order = Path("order")
    until(lambda: order.exists() and "fourth" in order.read_text(), "the last job")
    return {"order": order.read_text().splitlines(), "never": Path("never").exists()}


if __name__ == "__main__":
    print(json.dumps(drive()))
