"""Rows of what happens inside of one process, by pyperf: it finds out how many calls are worth a look, and measures in fresh processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.harness import Effort, Figure

__all__ = ["bench", "measured"]


def bench(module: str, work: Mapping[str, Callable[[], float]]) -> None:
    """What a row's module does as a program, for pyperf: `work` by name, each of which does something once and returns its seconds."""
    import pyperf

    runner = pyperf.Runner(program_args=("-m", module))
    for name, once in work.items():
        runner.bench_time_func(name, _repeated(once))


def measured(module: str, names: list[str], effort: Effort) -> tuple[Figure, ...]:
    """The figures of a module that calls `bench`."""
    import pyperf

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "values.json")
        processes = 2 if effort.quick else 6
        options = ["--quiet", "--copy-env", f"--processes={processes}", "--values=3", f"--output={path}"]
        subprocess.run([sys.executable, "-m", module, *options], check=True, stdout=subprocess.DEVNULL)
        suite = pyperf.BenchmarkSuite.load(str(path))
    return tuple(Figure(name, tuple(suite.get_benchmark(name).get_values())) for name in names)


def _repeated(once: Callable[[], float]) -> Callable[[int], float]:
    return lambda loops: sum(once() for _ in range(loops))
