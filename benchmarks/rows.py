"""The rows: each function measures one and returns it."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle

from benchmarks.harness import Row, interleaved, seconds
from benchmarks.work import nothing, say_when
from fakeslurm import FakeSlurm
from slurmkit import Cluster
from slurmkit.backends.base import Limits, Submission
from slurmkit.backends.cli import CliBackend
from slurmkit.backends.execute import CommandResult

__all__ = ["ROWS"]

ROUNDS = 15


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def importing() -> Row:
    """Row 1: the whole process."""
    figures = interleaved(
        ROUNDS,
        bare_python=lambda: seconds(python("pass")),
        import_attrs=lambda: seconds(python("import attrs")),
        import_slurmkit=lambda: seconds(python("import slurmkit")),
        from_slurmkit_import_Cluster_and_task=lambda: seconds(python("from slurmkit import Cluster, task")),
    )
    return Row(1, "import, whole process", figures, "under 48 ms on the machine where bare python takes 9 ms")


class Stub:
    """A backend that accepts every job and forgets it."""

    name = "stub"

    def submit(self, script: Path, *, cwd: Path) -> Submission:
        return Submission(job_id="1")

    def queue(self, job_ids: Any) -> Mapping[str, Any]:
        return {}

    def accounting(self, job_ids: Any) -> None:
        return None

    def show(self, job_id: str) -> Mapping[str, Any]:
        return {}

    def limits(self) -> Limits:
        return Limits(max_array_size=1001, max_job_count=10_000)

    def find(self, token: str) -> None:
        return None

    def cancel(self, job_ids: Any, *, signal: str | None = None) -> None:
        return None


def starting() -> tuple[Row, Row]:
    """Row 2: from the start of the job's process to the first line of the function."""
    with tempfile.TemporaryDirectory() as root, Cluster(Stub(), job_root=root) as cluster:
        by_reference = cluster.submit(say_when, f"{root}/when")
        code = compile("def local(path):\n import time\n open(path, 'w').write(str(time.time()))", "<local>", "exec")
        namespace: dict[str, Any] = {"__name__": "__main__"}
        exec(code, namespace)
        by_value = cluster.submit(namespace["local"], f"{root}/when")
        environment = {**os.environ, "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n1", "SLURM_TASKS_PER_NODE": "1"}

        def until_first_line(command: list[str]) -> float:
            began = time.time()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            return float(Path(root, "when").read_text()) - began

        pickled = Path(root, "value.pkl")
        pickled.write_bytes(cloudpickle.dumps(namespace["local"]))
        reference = Path(root, "reference.pkl")
        reference.write_bytes(pickle.dumps(say_when))
        load = f"import pickle; pickle.load(open({{!r}}, 'rb'))({root + '/when'!r})"
        figures = interleaved(
            ROUNDS,
            floor_by_reference=lambda: until_first_line(python(load.format(str(reference)))),
            ours_by_reference=lambda: until_first_line(["sh", str(Path(by_reference.job_dir) / "script.sh")]),
            floor_by_value=lambda: until_first_line(python("import cloudpickle; " + load.format(str(pickled)))),
            ours_by_value=lambda: until_first_line(["sh", str(Path(by_value.job_dir) / "script.sh")]),
        )
    work, goal = "process start to the function's first line", "under 1.35 x floor"
    return Row(2, work, figures[:2], goal), Row(2, work, figures[2:], goal)


def submitting() -> Row:
    """Row 3: one submission against a stub sbatch, with every file of the job directory written."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as root:
        stub = Path(root, "sbatch")
        if (compiler := shutil.which("cc")) is not None:
            program = '#include <stdio.h>\nint main(void) { puts("1"); return 0; }\n'
            subprocess.run([compiler, "-x", "c", "-", "-o", str(stub)], input=program, text=True, check=True)
        else:
            stub.write_text("#!/bin/sh\necho 1\n")
            stub.chmod(0o755)
        environment = {**os.environ, "PATH": f"{root}:{os.environ['PATH']}"}
        with Cluster(CliBackend(environ=environment), job_root=Path(root, "jobs")) as cluster:

            def floor() -> float:
                began = time.perf_counter()
                pickle.dumps((nothing, (1,), {}))
                subprocess.run([str(stub)], env=environment, capture_output=True, check=True)
                return time.perf_counter() - began

            def ours() -> float:
                began = time.perf_counter()
                cluster.submit(nothing, 1)
                return time.perf_counter() - began

            figures = interleaved(100, one_pickle_and_the_stub=floor, submit=ours)
    return Row(3, "one submission against a stub sbatch, tmpfs", figures, "under 1.5 x floor")


def ticking() -> Row:
    """Row 5: one status tick of many jobs, client CPU."""
    from slurmkit.backends.parse import QUEUE_FORMAT

    def tick(number: int) -> Callable[[], float]:
        with FakeSlurm(nodes=1, cpus_per_node=1) as slurm:
            job = slurm.execute(["sbatch", "--parsable", "--hold", "--wrap", "true"])
            line = slurm.execute(["squeue", "--me", "--states=all", "--noheader", f"--Format={QUEUE_FORMAT}"]).stdout
        first = job.stdout.strip()
        text = "".join(line.replace(first, str(10_000 + index), 1) for index in range(number))

        def execute(argv: Any, **_: Any) -> CommandResult:
            return CommandResult(0, text if argv[0] == "squeue" else "", "")

        ids = [str(10_000 + index) for index in range(number)]
        backend = CliBackend(execute=execute)

        def measure() -> float:
            began = time.process_time()
            found = backend.queue(ids)
            assert len(found) == number
            return time.process_time() - began

        return measure

    figures = interleaved(ROUNDS, **{f"{number}_jobs": tick(number) for number in (100, 1_000, 10_000)})
    return Row(5, "one status tick: parse (CPU)", figures, "10,000 jobs under 100 ms")


def latency() -> Row:
    """Row 7: one trivial function, no cluster."""
    with Cluster("fake") as cluster:

        def ours() -> float:
            began = time.perf_counter()
            cluster.submit(nothing, 1).result(timeout=60)
            return time.perf_counter() - began

        figures = interleaved(
            ROUNDS, python_import_cloudpickle=lambda: seconds(python("import cloudpickle")), submit_and_result=ours
        )
    return Row(7, "one function, from submit to its result, on the fake", figures, "under 2 x floor")


def fixture() -> Row:
    """Row 8: set-up and tear-down of a fake."""

    def without() -> float:
        began = time.perf_counter()
        with FakeSlurm():
            pass
        return time.perf_counter() - began

    def with_commands() -> float:
        began = time.perf_counter()
        with FakeSlurm() as slurm:
            slurm.environ()
        return time.perf_counter() - began

    return Row(
        8, "FakeSlurm, start to end", interleaved(50, plain=without, with_commands=with_commands), "3 ms and 10 ms"
    )


def commands() -> Row:
    """Row 9: the fake's commands."""
    with FakeSlurm() as slurm:
        environment = slurm.environ()
        figures = interleaved(
            ROUNDS,
            bare_python=lambda: seconds(python("pass")),
            sbatch=lambda: seconds(["sbatch", "--hold", "--wrap", "true"], environment),
            squeue=lambda: seconds(["squeue"], environment),
            sacct=lambda: seconds(["sacct"], environment),
        )
    return Row(9, "the fake's commands", figures, "under 2.5 x bare python")


ROWS: Mapping[int, Callable[[], Row | tuple[Row, ...]]] = {
    1: importing, 2: starting, 3: submitting, 5: ticking, 7: latency, 8: fixture, 9: commands,
}  # fmt: skip
