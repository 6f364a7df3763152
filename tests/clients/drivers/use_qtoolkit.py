"""The queue layer of jobflow-remote: `scontrol show job -o` and `squeue -o` with separators of its own, `scancel -v` told by what it says."""

import json
from typing import Any

CLIENT = "qtoolkit"
EXPECTED = {
    "submitted": ["SUCCESSFUL", "SUCCESSFUL"],
    "refused": "sbatch: error: Batch job submission failed: Invalid partition name specified",
    "running": ["alpha", "RUNNING", "debug", 2, 4, 1, 120, 102400],
    "list": [["alpha", "RUNNING", 2, 4, 120], ["held", "PENDING", 1, 1, 120]],
    "cancelled": [
        ["SUCCESSFUL", "Terminating job {alpha}"],
        ["SUCCESSFUL", "Terminating job {held}"],
        ["SUCCESSFUL", "Terminating job 99999"],
    ],
    "state": "CANCELLED",
    "unknown": None,
}


def drive() -> dict[str, Any]:
    from helpers import until
    from qtoolkit.core.data_objects import QJob, QResources
    from qtoolkit.io.slurm import SlurmIO
    from qtoolkit.manager import QueueManager

    queue = QueueManager(SlurmIO())

    def resources(name: str, **more: Any) -> QResources:
        return QResources(**{"queue_name": "debug", "time_limit": 120, "job_name": name, **more})

    def state(job: QJob) -> str:
        return str(job.sub_state.name)

    report: dict[str, Any] = {}
    size = {"nodes": 2, "processes_per_node": 2, "threads_per_process": 1, "memory_per_thread": 100}
    alpha = queue.submit("sleep 60", resources("alpha", email_address="a@example.org", **size))
    held = queue.submit("true", resources("held", processes=1, scheduler_kwargs={"qverbatim": "#SBATCH --hold"}))
    report["submitted"] = [alpha.status.name, held.status.name]
    report["refused"] = queue.submit("true", resources("nowhere", processes=1, queue_name="nope")).stderr.splitlines()[
        -1
    ]
    until(lambda: state(queue.get_job(alpha.job_id)) == "RUNNING", "alpha runs")
    job = queue.get_job(alpha.job_id)
    info = job.info
    numbers = [info.nodes, info.cpus, info.threads_per_process, info.time_limit, info.memory]
    report["running"] = [job.name, state(job), job.queue_name, *numbers]
    jobs = queue.get_jobs_list([alpha.job_id, held.job_id])
    report["list"] = sorted([one.name, state(one), one.info.nodes, one.info.cpus, one.info.time_limit] for one in jobs)
    names = {alpha.job_id: "{alpha}", held.job_id: "{held}"}
    report["cancelled"] = []
    for job_id in (alpha.job_id, held.job_id, "99999"):
        result = queue.cancel(job_id)
        said = result.stderr.splitlines()[0].removeprefix("scancel: ")
        report["cancelled"].append(
            [result.status.name, said.replace(f"job {job_id}", f"job {names.get(job_id, job_id)}")]
        )
    until(lambda: not queue.get_jobs_list([alpha.job_id, held.job_id]), "both are gone")
    report["state"] = state(queue.get_job(alpha.job_id))
    report["unknown"] = queue.get_job("99999")
    return report


if __name__ == "__main__":
    print(json.dumps(drive()))
