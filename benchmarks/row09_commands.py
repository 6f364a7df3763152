"""The fake's commands, as programs on PATH."""

from __future__ import annotations

from benchmarks.harness import Effort, Goal, Row, interleaved, python, seconds
from fakeslurm import FakeSlurm


def measure(effort: Effort) -> list[Row]:
    with FakeSlurm() as slurm:
        environment = slurm.environ()
        work = {
            "bare python": lambda: seconds(python("pass")),
            "sbatch": lambda: seconds(["sbatch", "--hold", "--wrap", "true"], environment),
            "squeue": lambda: seconds(["squeue"], environment),
            "sacct": lambda: seconds(["sacct"], environment),
        }
        figures = interleaved(effort.rounds(15), work)
    goals = tuple(Goal(name, 2.5, "bare python") for name in ("sbatch", "squeue", "sacct"))
    return [Row(9, "the fake's commands", figures, "sbatch", goals)]
