"""The peers from PyPI: an environment of their own, made by whoever measures first, and processes in it that do one thing again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

__all__ = ["PINNED", "Peers"]

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv-peers"

PINNED = {
    "submitit": "1.5.4",
    "psij-python": "0.9.11",
    "slurm-sdk": "0.4.6",
    "dask-jobqueue": "0.9.0",
    "parsl": "2026.10.26",
    "executorlib": "1.11.0",
    "simpy": "4.1.2",
}
"""What is compared, by the names on PyPI."""


@attrs.frozen
class Peers:
    """Those of `PINNED` that are there. Without any, `absent` says why."""

    python: str = ""
    names: tuple[str, ...] = ()
    absent: str = ""

    @classmethod
    def prepared(cls) -> Peers:
        """Install what is missing. What cannot be installed is left out."""
        interpreter = HOME / "bin" / "python"
        if not interpreter.exists():
            subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        wanted = [f"{name}=={version}" for name, version in PINNED.items()]
        present = _present(interpreter)
        problem = ""
        if set(wanted) - set(present):
            print("installing the peers into .venv-peers", file=sys.stderr, flush=True)
            pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=2"]
            done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
            problem = done.stderr.strip().rpartition("\n")[2] if done.returncode else ""
            present = _present(interpreter)
        names = tuple(name for name, version in PINNED.items() if f"{name}=={version}" in present)
        return cls(str(interpreter), names, problem)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def remarks(self, *names: str) -> tuple[str, ...]:
        """What to say of those of `names` that are not there."""
        return tuple(f"{name} is absent ({self.absent or 'not installed'})" for name in names if name not in self.names)

    def command(self, work: str, *arguments: str) -> list[str]:
        return [self.python, str(Path(__file__).with_name("peerwork.py")), work, *arguments]

    @contextmanager
    def worker(self, work: str, *arguments: str) -> Iterator[Callable[[], float]]:
        """A process that does `work` of `benchmarks/peerwork.py`, once per call, and says how many seconds it took."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            self.command(work, *arguments), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            stdin, stdout = process.stdin, process.stdout

            def measure() -> float:
                stdin.write("\n")
                stdin.flush()
                answer = stdout.readline()
                if not answer:
                    raise RuntimeError(f"{work} has ended with {process.wait()}")
                return float(json.loads(answer))

            try:
                yield measure
            finally:
                stdin.close()


def _present(interpreter: Path) -> Sequence[str]:
    done = subprocess.run(
        [str(interpreter), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()
