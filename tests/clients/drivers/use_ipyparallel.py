"""A cluster of engines: one job whose `srun` starts them, they call the controller on the front end; signals and the end by scancel."""

import json
from pathlib import Path
from typing import Any

CLIENT = "ipyparallel"
EXPECTED = {"values": [0, 1, 4, 9], "ranks": ["0", "1", "2", "3"], "raised": True, "end": "CANCELLED by 0"}


def drive() -> dict[str, Any]:
    import ipyparallel
    from helpers import run, until

    cluster = ipyparallel.Cluster(
        engines="slurm", n=4, profile_dir=str(Path("profile").absolute()), controller_ip="127.0.0.1"
    )
    cluster.config.SlurmLauncher.timelimit = "5"
    cluster.config.SlurmLauncher.queue = "debug"

    def rank(_: int) -> tuple[str, str]:
        import os

        return os.environ["SLURM_PROCID"], os.environ["SLURM_JOB_ID"]

    report: dict[str, Any] = {}
    cluster.start_cluster_sync()
    client = cluster.connect_client_sync()
    client.wait_for_engines(4, timeout=60)
    engines = client[:]
    report["values"] = engines.map_sync(lambda x: x * x, range(4))
    places = engines.map_sync(rank, range(4))
    report["ranks"] = sorted(number for number, _ in places)
    [job] = {job for _, job in places}
    try:
        engines.apply_sync(lambda: 1 / 0)
    except ipyparallel.CompositeError as error:
        report["raised"] = "ZeroDivisionError" in str(error)
    cluster.stop_cluster_sync()
    rows = ("sacct", "-XnP", "-o", "State", "-j", job)
    report["end"] = until(lambda: (text := run(*rows).strip()) != "RUNNING" and text, "the engines' job is over")
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
