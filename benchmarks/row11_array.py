"""`Cluster.map` over small items against a stub sbatch, on tmpfs."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness import Effort, Goal, Row, interleaved
from benchmarks.stubs import stub_sbatch
from benchmarks.work import nothing
from slurmkit import Cluster
from slurmkit.backends.cli import CliBackend

SIZES = (10, 100, 1_000)


def files(directory: Path) -> int:
    return sum(1 for path in directory.rglob("*") if path.is_file())


def counting(counted: dict[str, int], name: str, folder: Path, measure_once: Callable[[], float]) -> float:
    """`measure_once`; what the first one has written is noted in `counted`."""
    took = measure_once()
    counted.setdefault(name, files(folder))
    return took


def measure(effort: Effort) -> list[Row]:
    with stub_sbatch() as (root, _, environment), ExitStack() as stack:
        os.environ["PATH"], before = environment["PATH"], os.environ["PATH"]
        stack.callback(os.environ.__setitem__, "PATH", before)
        cluster = stack.enter_context(Cluster(CliBackend(environ=environment), job_root=root / "jobs"))
        counted: dict[str, int] = {}

        def mapping(number: int) -> Callable[[], float]:
            def map_items() -> float:
                began = time.perf_counter()
                array = cluster.map(nothing, range(number))
                took = time.perf_counter() - began
                counted[f"slurmkit, {number:,} items"] = files(array.job_dir)
                return took

            return map_items

        work = {f"slurmkit, {number:,} items": mapping(number) for number in SIZES}
        theirs: list[str] = []
        if "submitit" in effort.peers:
            for number in SIZES:
                name = f"submitit, {number:,} items"
                folder = root / f"submitit{number}"
                measure_once = stack.enter_context(effort.peers.worker("submitit_map", str(folder), str(number)))
                work[name] = functools.partial(counting, counted, name, folder, measure_once)
                theirs.append(name)
        figures = interleaved(effort.rounds(15), work)
    ours = f"slurmkit, {SIZES[-1]:,} items"
    told = "files: " + ", ".join(f"{name} {count}" for name, count in counted.items())
    by_name = {figure.name: figure.median for figure in figures}
    costs = {number: by_name[f"slurmkit, {number:,} items"] for number in SIZES}
    goals = (Goal(ours, 0.005 + 20e-6 * SIZES[-1]),)
    remarks = (told, *effort.peers.remarks("submitit"))
    return [Row(11, "one array against a stub sbatch, tmpfs", figures, ours, goals, tuple(theirs[-1:]), remarks, costs)]
