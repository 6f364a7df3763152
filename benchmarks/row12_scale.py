"""The client at scale: arrays that are outstanding, and job roots with many jobs."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Effort, Figure, Goal, Row
from benchmarks.stubs import Stub
from benchmarks.work import nothing
from fakeslurm import FakeSlurm
from slurmkit import Cluster, jobdir
from slurmkit.backends.base import Submission
from slurmkit.backends.cli import CliBackend
from slurmkit.backends.execute import CommandResult
from slurmkit.backends.parse import QUEUE_FORMAT, record

SIZES = {"quick": (300, 1_000, 3_000), "usual": (1_000, 10_000, 100_000)}
MADE = 1_700_000_000.0
"""When the jobs of a root were submitted, in epoch seconds."""


class Running:
    """Slurm's commands, which know one array, of which all elements run."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.answer = ""
        with FakeSlurm(nodes=1, cpus_per_node=1) as slurm:
            slurm.execute(["sbatch", "--hold", "--array=0", "--wrap=true"], cwd=tempfile.gettempdir())
            queue = slurm.execute(["squeue", "--me", "-r", "--states=all", "--noheader", f"--Format={QUEUE_FORMAT}"])
        self.line = queue.stdout.removeprefix("1_0")

    def answer_with(self, state: str, token: str) -> None:
        """From now on squeue shows all elements in this state, with this comment."""
        line = self.line.replace("PENDING", state).replace("|(null)|", f"|{token}|")
        self.answer = "".join(f"10000_{index}{line}" for index in range(self.number))

    def __call__(self, argv: Sequence[str], **_: Any) -> CommandResult:
        match argv[0]:
            case "sbatch":
                return CommandResult(0, "10000\n", "")
            case "squeue":
                return CommandResult(0, self.answer, "")
            case _:
                return CommandResult(0, f"MaxArraySize = {self.number + 1}\nMaxJobCount = {self.number + 1}\n", "")


def elements(number: int) -> dict[str, float]:
    """An array of so many elements that all run: what it costs to submit, and to ask after it."""
    slurm = Running(number)
    with tempfile.TemporaryDirectory() as root, Cluster(CliBackend(execute=slurm), job_root=root) as cluster:
        began = time.process_time()
        array = cluster.map(nothing, range(number))
        mapped = time.process_time() - began
        slurm.answer_with("RUNNING", array.job_dir.name)
        ticks = []
        for _ in range(3):
            began = time.process_time()
            cluster.refresh()
            ticks.append(time.process_time() - began)
        assert array.states() == {"RUNNING": number}
        slurm.answer_with("CANCELLED", array.job_dir.name)
        return {"map": mapped, "tick": min(ticks)}


def memory(number: int) -> dict[str, float]:
    """The same: the bytes that the client holds."""
    slurm = Running(number)
    with tempfile.TemporaryDirectory() as root, Cluster(CliBackend(execute=slurm), job_root=root) as cluster:
        cluster.map(nothing, range(3))  # what is imported and made once
        gc.collect()
        tracemalloc.start()
        array = cluster.map(nothing, range(number))
        slurm.answer_with("RUNNING", array.job_dir.name)
        cluster.refresh()
        slurm.answer = ""
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        slurm.answer_with("CANCELLED", array.job_dir.name)
        return {"memory": held}


class Accounts(Stub):
    """A Slurm that has forgotten all jobs, and whose accounting knows that they have completed."""

    def submit(self, script: Path, *, cwd: Path) -> Submission:
        return Submission(job_id="1")

    def accounting(self, job_ids: Any) -> Mapping[str, Any]:  # type: ignore[override]
        ended = {"JobState": "COMPLETED", "ExitCode": "0:0", "SubmitTime": "2030-01-01T00:00:00"}
        return {job_id: record(JobId=job_id, **ended) for job_id in job_ids}


def job_root(number: int) -> dict[str, float]:
    """A job root with so many jobs that are over: what it costs to attach to the oldest by its id, and to have them all."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        root = Path(directory)
        with Cluster(Accounts(), job_root=root) as cluster:
            pattern = cluster.submit(nothing, 1).job_dir
        written = json.loads((pattern / jobdir.JOB).read_text())
        for index in range(1, number):
            token = jobdir.new_pre_submission_id(MADE + index)
            job_dir = jobdir.create(root, token)
            mine = {**written, "pre_submission_id": token, "created": MADE + index, "job_id": str(index + 1)}
            jobdir.write_job(job_dir, mine)
        with Cluster(Accounts(), job_root=root) as cluster:
            began = time.process_time()
            cluster.attach("2")
            attached = time.process_time() - began
            began = time.process_time()
            jobs = cluster.jobs()
            had = time.process_time() - began
            assert len(jobs) == number
        return {"attach": attached, "jobs": had}


MEASURED = {"elements": elements, "memory": memory, "job_root": job_root}


def in_a_process(what: str, number: int) -> dict[str, float]:
    """One of MEASURED where nothing was before it."""
    command = [sys.executable, "-m", "benchmarks.row12_scale", what, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(effort: Effort) -> list[Row]:
    sizes = SIZES["quick" if effort.quick else "usual"]
    arrays = {number: in_a_process("elements", number) for number in sizes}
    memories = {number: in_a_process("memory", number) for number in sizes}
    roots = {number: in_a_process("job_root", number) for number in sizes}

    def row(work: str, found: Mapping[int, Mapping[str, float]], what: str, noun: str) -> Row:
        figures = tuple(Figure(f"{number:,} {noun}", (values[what],)) for number, values in found.items())
        costs = {number: values[what] for number, values in found.items()}
        return Row(12, work, figures, figures[-1].name, costs=costs)

    largest = f"{sizes[-1]:,} elements"
    held = tuple(
        Figure(f"{number:,} elements", (values["memory"] / number,), "bytes") for number, values in memories.items()
    )
    return [
        row("one array against a stub, client CPU", arrays, "map", "elements"),
        row("one status tick of an array, client CPU", arrays, "tick", "elements"),
        Row(12, "memory of the client per element that runs", held, largest, (Goal(largest, 2048),)),
        row("attaching to the oldest job of a root by its id, client CPU", roots, "attach", "jobs"),
        row("all jobs of a root, client CPU", roots, "jobs", "jobs"),
    ]


if __name__ == "__main__":
    print(json.dumps(MEASURED[sys.argv[1]](int(sys.argv[2]))))
