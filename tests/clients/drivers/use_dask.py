"""An elastic pool: every worker is a job that connects to the scheduler on the front end; scaling down is scancel."""

import json
import subprocess
from typing import Any

CLIENT = "dask-jobqueue"
EXPECTED = {"sum": 285, "raised": "ZeroDivisionError", "jobs": 2, "names": ["dask-worker"], "cpus": ["2"], "after": []}


def drive() -> dict[str, Any]:
    from dask.distributed import Client
    from dask_jobqueue import SLURMCluster
    from helpers import until

    def queue(letter: str) -> list[str]:
        command = ["squeue", "--me", "-h", "-t", "PD,R", "-o", f"%{letter}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    report: dict[str, Any] = {}
    cluster = SLURMCluster(
        queue="debug", cores=2, processes=1, memory="500MB", walltime="00:05:00", local_directory="dask", log_directory="logs",
        scheduler_options={"dashboard": False, "port": 0, "host": "127.0.0.1"},
    )  # fmt: skip
    with cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=60)
        report["sum"] = sum(client.gather(client.map(lambda x: x * x, range(10))))
        report["raised"] = type(client.submit(lambda: 1 / 0).exception()).__name__
        report["jobs"] = len(queue("i"))
        report["names"] = sorted(set(queue("j")))
        report["cpus"] = sorted(set(queue("C")))
        cluster.scale(jobs=1)
        until(lambda: len(queue("i")) == 1, "one job less")
    report["after"] = until(lambda: [queue("i")] if not queue("i") else None, "no job is left")[0]
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
