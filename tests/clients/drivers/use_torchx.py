"""A job of several roles: a heterogeneous job, in its script one `srun A : B` with files for each, read back from sacct by `101+1`."""

import json
from pathlib import Path
from typing import Any

CLIENT = "torchx"
EXPECTED = {
    "replicas": "SUCCEEDED",
    "first": ["rank 0 of 2"],
    "second": ["rank 1 of 2"],
    "roles": "FAILED",
    "survivor": "",
    "running": True,
    "cancelled": "CANCELLED by 0",
}


def drive() -> dict[str, Any]:
    from helpers import run, until
    from torchx.schedulers.api import Stream
    from torchx.schedulers.slurm_scheduler import create_scheduler
    from torchx.specs import AppDef, AppState, Resource, Role

    scheduler = create_scheduler("session")

    def role(name: str, command: str, replicas: int = 1) -> Role:
        resource = Resource(cpu=1, memMB=100, gpu=0)
        return Role(name, image="", entrypoint="sh", args=["-c", command], num_replicas=replicas, resource=resource)

    def submit(name: str, *roles: Role) -> str:
        directory = Path(name).absolute()
        directory.mkdir()
        options = {"partition": "debug", "time": "2", "comment": "by torchx", "job_dir": str(directory)}
        return str(scheduler.schedule(scheduler.submit_dryrun(AppDef(name, roles=list(roles)), options)))

    def state(app: str) -> Any:
        found = scheduler.describe(app)
        return found and found.state

    def end(app: str) -> str:
        over = (AppState.SUCCEEDED, AppState.FAILED)
        return str(until(lambda: (found := state(app)) in over and found, "the end of the job").name)

    def log(app: str, replica: int) -> list[str]:
        return [line.rstrip("\n") for line in scheduler.log_iter(app, "trainer", replica, streams=Stream.STDOUT)]

    report: dict[str, Any] = {}
    app = submit("replicas", role("trainer", "echo rank $SLURM_PROCID of $SLURM_NTASKS", replicas=2))
    report["replicas"] = end(app)
    report["first"], report["second"] = log(app, 0), log(app, 1)
    app = submit("roles", role("reader", "exec sleep 60; echo survived"), role("trainer", "exit 3"))
    report["roles"] = end(app)
    report["survivor"] = Path("roles", f"slurm-{app}-reader-0.out").read_text()
    app = submit("long", role("trainer", "sleep 60"))
    until(lambda: state(app) is AppState.RUNNING, "the job runs")
    report["running"] = scheduler.exists(app)
    scheduler.cancel(app)
    rows = ("sacct", "-XnP", "-o", "State", "-j", app)  # `describe` stumbles over the "by 0"
    report["cancelled"] = until(lambda: (text := run(*rows).strip()) != "RUNNING" and text, "the job is cancelled")
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
