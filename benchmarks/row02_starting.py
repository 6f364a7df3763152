"""In the job: from the start of its process to the first line of the function."""

from __future__ import annotations

import functools
import os
import pickle
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle

from benchmarks.harness import Effort, Goal, Row, interleaved, python
from benchmarks.stubs import Stub, stub_sbatch
from benchmarks.taskwork import say_when_as_a_task
from benchmarks.work import say_when
from slurmkit import Cluster

JOB = {
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NODELIST": "n1",
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_TASKS_PER_NODE": "1",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}

ABOVE = (
    "of what is above the floor, the shell of the batch script takes 0.6 ms of CPU, the fork for a process that outlives the function 0.5 "
    "to 1, and the runner's own six modules 2"
)


def until_first_line(command: list[str], when: Path, more: Mapping[str, str]) -> float:
    began = time.time()
    subprocess.run(command, env={**os.environ, **JOB, **more}, check=True, stdout=subprocess.DEVNULL)
    return float(when.read_text()) - began


def local_function() -> Any:
    """One that no import would find, so that it is pickled by value."""
    source = "def local(path):\n import time\n open(path, 'w').write(str(time.time()))"
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<local>", "exec"), namespace)
    return namespace["local"]


def submitit_command(effort: Effort, root: Path) -> tuple[list[str], dict[str, str]]:
    """What the batch script of submitit starts, for the same function, which it always pickles with cloudpickle."""
    with stub_sbatch() as (_, _, environment):
        command = effort.peers.command("submitit_start", str(root / "submitit"), str(root / "when"))
        path = str(Path(__file__).parents[1])
        subprocess.run(
            command,
            env={**environment, "PYTHONPATH": path},
            input="\n",
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return [effort.peers.python, "-u", "-m", "submitit.core._submit", str(root / "submitit")], {
        "SUBMITIT_EXECUTOR": "slurm",
        "PYTHONPATH": path,
    }


def measure(effort: Effort) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as name, Cluster(Stub(), job_root=name) as cluster:
        root = Path(name)
        when = root / "when"
        for how, function, imports in (
            ("by reference", say_when, "import pickle"),
            ("by value", local_function(), "import cloudpickle, pickle"),
        ):
            pickled = root / f"pickled {how}"
            pickled.write_bytes((pickle if function is say_when else cloudpickle).dumps(function))
            floor = python(f"{imports}; pickle.load(open({str(pickled)!r}, 'rb'))({str(when)!r})")
            job = cluster.submit(function, str(when))
            script = str(job.job_dir / "script.sh")
            in_a_shell = ["sh", "-c", f"export JOB_DIR=x; exec {shlex.join(floor)}"]
            commands: dict[str, tuple[list[str], dict[str, str]]] = {
                "floor": (floor, {}),
                "floor, from a shell": (in_a_shell, {}),
                "slurmkit": (["sh", script], {}),
            }
            if function is say_when:
                of_a_task = cluster.submit(say_when_as_a_task, str(when))
                commands["slurmkit, the function of a @task"] = (["sh", str(of_a_task.job_dir / "script.sh")], {})
            goals = [Goal("slurmkit", 1.35, "floor")]
            if "submitit" in effort.peers:
                commands["submitit"] = submitit_command(effort, root)
                goals.append(Goal("slurmkit", 0.5, "submitit"))
            work = {
                name: functools.partial(until_first_line, command, when, more)
                for name, (command, more) in commands.items()
            }
            figures = interleaved(effort.rounds(15), work)
            theirs = tuple(name for name in commands if name == "submitit")
            what = f"start of a job to its first line, function {how}"
            remarks = (ABOVE, *effort.peers.remarks("submitit"))
            rows.append(Row(2, what, figures, "slurmkit", tuple(goals), theirs, remarks))
    return rows
