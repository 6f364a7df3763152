"""A pilot: one job holds workers that call home, its own poller asks `sacct -X` for the block, scancel ends it when the work is done."""

import json
import subprocess
from pathlib import Path
from typing import Any

CLIENT = "parsl"
EXPECTED = {
    "values": [0, 1, 4, 9],
    "raised": "ZeroDivisionError",
    "where": ["n1", "n2"],
    "commands": ["hello from 0", "hello from 1"],
    "block": ["CANCELLED by 0"],
}


def drive() -> dict[str, Any]:
    import parsl
    from helpers import until
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.launchers import SrunLauncher
    from parsl.providers import SlurmProvider

    provider = SlurmProvider(
        partition="debug",
        nodes_per_block=2,
        cores_per_node=2,
        init_blocks=1,
        max_blocks=1,
        walltime="00:05:00",
        exclusive=False,
        launcher=SrunLauncher(),
        worker_init="export BLOCK=$SLURM_JOB_ID",
    )
    executor = HighThroughputExecutor(
        label="pilot", address="127.0.0.1", provider=provider, max_workers_per_node=1, heartbeat_period=1, poll_period=10,
    )  # fmt: skip
    report: dict[str, Any] = {}

    @parsl.python_app
    def square(x: int) -> int:
        return x * x

    @parsl.python_app
    def fail() -> float:
        return 1 / 0

    @parsl.python_app
    def where() -> tuple[str, str]:
        import os
        import time

        time.sleep(1)
        return os.environ["SLURMD_NODENAME"], os.environ["BLOCK"]

    @parsl.bash_app
    def hello(rank: int, stdout: str = "") -> str:
        return f"echo hello from {rank}"

    with parsl.load(
        Config(executors=[executor], strategy="none", strategy_period=1, usage_tracking=0, run_dir="runinfo")
    ):
        report["values"] = [future.result() for future in [square(x) for x in range(4)]]
        report["raised"] = type(fail().exception()).__name__
        places = [future.result() for future in [where() for _ in range(6)]]
        report["where"] = sorted({node for node, _ in places})
        [block] = {block for _, block in places}
        for future in [hello(rank, stdout=f"hello.{rank}") for rank in (0, 1)]:
            future.result()
        report["commands"] = [Path(f"hello.{rank}").read_text().strip() for rank in (0, 1)]
        until(lambda: [status.state.name for status in executor.status().values()] == ["RUNNING"], "sacct says RUNNING")

    def states() -> list[str]:
        done = subprocess.run(["sacct", "-XPn", "-o", "State", "-j", block], capture_output=True, text=True, check=True)
        return done.stdout.split("\n")[:-1]

    report["block"] = until(lambda: states() != ["RUNNING"] and states(), "the block is cancelled")
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
