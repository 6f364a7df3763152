"""What things cost, in counts that do not depend on the machine: modules, processes, files, threads, requests, events.

More of them are next to what they belong to: what a rank imports (test_runner), a poller's requests (test_poller_properties), threads of
callbacks (test_specification), an array (test_array). Times are measured by `make bench`.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from runner_jobs import batch_environment, make_job
from runner_tasks import add
from test_public_names import modules_after

from fakeslurm import FakeSlurm, Simulated
from slurmkit import SystemClock
from slurmkit.backends.cli import CliBackend
from slurmkit.backends.execute import CommandResult
from slurmkit.backends.parse import ACCOUNTING_FIELDS, QUEUE_FORMAT
from slurmkit.polling.status import StatusService

AUDIT = """
import json, os, sys
log = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
def note(event, arguments):
    what = ""
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or path == os.devnull or not flags & (os.O_WRONLY | os.O_RDWR):
            return
        what = os.path.basename(os.fspath(path)).strip(".").partition(".")[0]
    elif event in ("os.mkdir", "os.remove", "os.rename"):
        what = os.path.basename(os.fspath(arguments[event == "os.rename"])).partition(".")[0]
    elif event not in ("os.fork", "os.posix_spawn", "subprocess.Popen", "os.system", "thread"):
        return
    os.write(log, json.dumps([event, what]).encode() + b"\\n")
sys.addaudithook(note)
"""
"""Notes what a process changes outside of itself, by the first part of the file's name: Python itself tells of it (PEP 578)."""


def noted(log: Path) -> Counter[tuple[str, str]]:
    return Counter((event, what) for event, what in map(json.loads, log.read_text().splitlines()))


CLIENT = {
    *("", ".array", ".backends", ".backends.base", ".backends.choice", ".backends.parse", ".backends.submission"),
    *(
        ".callbacks",
        ".callbacks.base",
        ".callbacks.dispatch",
        ".clock",
        ".cluster",
        ".dependencies",
        ".engine",
        ".errors",
    ),
    *(".injection", ".job", ".jobdir", ".jobroot", ".outcome", ".packaging", ".packaging.base", ".packaging.inherit"),
    *(".parts", ".polling", ".polling.arbitration", ".polling.cadence", ".polling.follower", ".polling.status"),
    *(
        ".polling.watch",
        ".prepare",
        ".refusal",
        ".reported",
        ".runner",
        ".runner.leader",
        ".runner.record",
        ".script",
        ".serialize",
    ),
    *(".slurm", ".slurm.durations", ".slurm.jobid", ".slurm.option_table", ".slurm.options"),
    *(".slurm.states", ".stopping", ".task"),
}
"""All of slurmkit that a client imports before it does something: neither contexts of callbacks, nor what arrays and pollers need."""


def test_modules_of_a_client() -> None:
    loaded = modules_after("from slurmkit import Cluster, task")
    ours = {name.removeprefix("slurmkit") for name in loaded if name.partition(".")[0] == "slurmkit"}
    assert ours <= CLIENT, sorted(ours - CLIENT)
    others = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert others == {"slurmkit", "attr", "attrs"}
    assert not loaded & {"asyncio", "difflib", "multiprocessing", "tempfile"}


def test_modules_of_a_task() -> None:
    """A job imports them, with the module of its task, in every rank."""
    loaded = modules_after("from slurmkit import task; task(time=5, mem='1G')(lambda: 1)")
    assert not loaded & {"attr", "ast", "concurrent.futures", "inspect", "logging", "pathlib", "threading", "traceback"}
    assert not loaded & {"collections.abc", "contextlib", "datetime", "importlib", "typing"}
    ours = {name.removeprefix("slurmkit.") for name in loaded if name.partition(".")[0] == "slurmkit"}
    needed = {"slurmkit", "refusal", "task", "slurm", "slurm.durations", "slurm.option_table", "slurm.options"}
    assert ours == needed, sorted(ours)


SUBMISSIONS = """
import os, threading
from runner_tasks import add
from slurmkit import Cluster
with Cluster(job_root=os.environ["JOBS"]) as cluster:
    cluster.submit(add, 1)  # makes the job root, and imports what is left
    exec(os.environ["AUDIT"])
    threading.Thread.start = lambda thread: note("thread", ())
    job = cluster.submit(add, 1)
    os.truncate(log, os.fstat(log).st_size)
    os.close(log)
    print(job.job_dir)
    os._exit(0)
"""


def test_a_submission(tmp_path: Path) -> None:
    """One process and no thread; two directories and five files, one of which is written again with the job's id."""
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 1\n")
    sbatch.chmod(0o755)
    log = tmp_path / "audit"
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AUDIT": AUDIT,
        "AUDIT_LOG": str(log),
        "JOBS": str(tmp_path / "jobs"),
    }
    done = subprocess.run(
        [sys.executable, "-c", SUBMISSIONS], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    spent = noted(log)
    names = {"function": 1, "args": 1, "kwargs": 1, "script": 1, "job": 2}
    written = {(event, name): count for name, count in names.items() for event in ("open", "os.rename")}
    token = Path(done.stdout.strip()).name
    assert spent == Counter({("os.posix_spawn", ""): 1, ("os.mkdir", token): 1, ("os.mkdir", "output"): 1, **written})


def test_a_job(tmp_path: Path) -> None:
    """One process beside the batch script's; one file for the result, and two lines in the journal."""
    job_dir = make_job(tmp_path / "jobs", add, 1)
    log = tmp_path / "audit"
    (tmp_path / "sitecustomize.py").write_text(AUDIT)
    environment = batch_environment(AUDIT_LOG=str(log), PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        ["sh", str(job_dir / "script.sh")], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert noted(log) == {("os.fork", ""): 1, ("open", "result"): 1, ("os.rename", "result"): 1, ("open", "journal"): 2}


TOKEN = "20300101-000000-3f9a1c7e02b4"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What squeue prints of a job that is over, number 1, and what sacct does."""
    with FakeSlurm(nodes=1, clock="virtual") as slurm:
        slurm.simulate(Simulated(10))
        slurm.execute(["sbatch", f"--comment={TOKEN}", "--wrap=true"], cwd=tmp_path_factory.mktemp("lines"))
        slurm.wait_idle(timeout=3600)
        queue = slurm.execute(["squeue", "--me", "--states=all", "--noheader", f"--Format={QUEUE_FORMAT}"])
        booked = slurm.execute(["sacct", "-X", "--parsable2", "--noheader", f"--format={ACCOUNTING_FIELDS}"])
        submitted = booked.stdout.replace("--wrap=true", f"/jobs/{TOKEN}/script.sh")
        return queue.stdout.replace("|COMPLETED|", "|RUNNING|"), submitted


class Commands:
    """Slurm's commands, which know of jobs from 100000 on and are counted, with the bytes that they are given."""

    def __init__(self, number: int, lines: tuple[str, str]) -> None:
        self.ids = [str(100_000 + index) for index in range(number)]
        self.queue, self.booked = ([job_id + line.removeprefix("1") for job_id in self.ids] for line in lines)
        self.calls: Counter[str] = Counter()
        self.given: Counter[str] = Counter()

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, **_: Any) -> CommandResult:
        self.calls[argv[0]] += 1
        self.given[argv[0]] += sum(len(word) + 1 for word in argv)
        return CommandResult(0, "".join(self.queue if argv[0] == "squeue" else self.booked), "")


@pytest.mark.parametrize("number", [1, 200, 10_000])
def test_a_tick(number: int, lines: tuple[str, str]) -> None:
    """One squeue however many jobs there are, of less than 400 bytes; one sacct more where squeue has lost some."""
    commands = Commands(number, lines)
    clock = SystemClock()
    service = StatusService(CliBackend(execute=commands), clock, uniform=lambda low, high: low)
    heard: list[int] = []
    service.track(
        dict.fromkeys(commands.ids, TOKEN),
        created=clock.time(),
        listener=lambda news: heard.append(len(news)),
        journal=lambda job_id: None,
    )
    for _ in range(3):
        service.refresh()
    assert heard == [number]
    assert commands.calls == {"squeue": 3}
    assert commands.given["squeue"] < 3 * 400
    del commands.queue[0]
    service.refresh()
    service.refresh()
    assert commands.calls == {"squeue": 5, "sacct": 1}
    assert commands.given["sacct"] < 400


@pytest.mark.parametrize("number", [100, 1_000])
def test_a_simulated_job(number: int, tmp_path: Path) -> None:
    """Three events of the history per job, and at most two more where it waits: for resources, and for others before."""
    with FakeSlurm(nodes=10, cpus_per_node=10, clock="virtual") as slurm:
        slurm.simulate(Simulated(600))
        for _ in range(number):
            slurm.execute(["sbatch", "--wrap=true"], cwd=tmp_path)
        slurm.wait_idle(timeout=86400)
        events = Counter(type(event).__name__ for event in slurm.history)
        assert events.pop("JobWaits", 0) < 2 * number
        assert events == {"JobSubmitted": number, "JobStarted": number, "JobEnded": number}


def test_the_memory_of_a_simulated_job(tmp_path: Path) -> None:
    """What accounting, history and the ledger keep of one that is over."""
    number = 1_000
    with FakeSlurm(nodes=10, cpus_per_node=10, clock="virtual") as slurm:
        slurm.simulate(Simulated(600))
        slurm.execute(["sbatch", "-o/dev/null", "--wrap=true"], cwd=tmp_path)
        slurm.wait_idle(timeout=86400)
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(number):
                slurm.execute(["sbatch", "-o/dev/null", "--wrap=true"], cwd=tmp_path)
            slurm.wait_idle(timeout=86400)
            slurm.advance(1000)
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert slurm.jobs() == ()
    assert kept / number < 2048


@pytest.mark.parametrize("number", [1_000, 4_000])
def test_what_an_element_of_an_array_takes(number: int, tmp_path: Path) -> None:
    """Calls of Python functions after the submission, for one that waits, starts and ends: however many there are."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    threading.setprofile(count)  # for the timer alone, the only thread that is started
    try:
        with FakeSlurm(nodes=10, cpus_per_node=10, clock="virtual") as slurm:
            slurm.simulate(Simulated(600))
            for _ in range(number // 1_000):
                slurm.execute(["sbatch", "--array=0-999", "-o/dev/null", "--wrap=true"], cwd=tmp_path)
            slurm.wait_idle(timeout=864000)
    finally:
        threading.setprofile(None)
    assert 100 < calls / number < 400
