"""Imports: the whole process."""

from __future__ import annotations

import functools

from benchmarks.harness import Effort, Goal, Row, interleaved, python, seconds

MODULES = {
    "submitit": "submitit",
    "psij-python": "psij",
    "slurm-sdk": "slurm",
    "dask-jobqueue": "dask_jobqueue",
    "parsl": "parsl",
    "executorlib": "executorlib",
}


def measure(effort: Effort) -> list[Row]:
    work = {
        "bare python": lambda: seconds(python("pass")),
        "import attrs": lambda: seconds(python("import attrs")),
        "import slurmkit": lambda: seconds(python("import slurmkit")),
        "from slurmkit import task": lambda: seconds(python("from slurmkit import task")),
        "from slurmkit import Cluster, task": lambda: seconds(python("from slurmkit import Cluster, task")),
    }
    theirs = {f"import {module}": module for name, module in MODULES.items() if name in effort.peers}
    for name, module in theirs.items():
        work[name] = functools.partial(seconds, [effort.peers.python, "-c", f"import {module}"])
    goals = (Goal("import slurmkit", 0.55, "import submitit"),) if "submitit" in effort.peers else ()
    figures = interleaved(effort.rounds(15), work)
    ours = "from slurmkit import Cluster, task"
    return [Row(1, "import", figures, ours, goals, tuple(theirs), effort.peers.remarks(*MODULES))]
