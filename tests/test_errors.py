"""docs/errors.md: each row is made to happen, and says what its table says."""

from __future__ import annotations

import builtins
import importlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest
from stub_slurm import StubSlurm

import slurmkit
from fakeslurm import FakeSlurm, Simulated
from slurmkit import BaseCallback, Cluster, Job, SchedulerTimeout, jobdir, task
from slurmkit.clock import SystemClock
from slurmkit.packaging.base import PackagingResult
from slurmkit.packaging.inherit import Inherit

SECONDS = 60
PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
ROWS = {
    what: (error, words)
    for what, error, words in re.findall(
        r"^\| ([^|]+?) \| `(\w+)`: `([^|]+)` \| [^|]*\|$", PAGE.read_text(), re.MULTILINE
    )
}


class Fast(SystemClock):
    """Waits a thousandth of what it is told, and says that it was all of it."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        if timeout is None:
            return super().wait(condition, None)
        told = super().wait(condition, timeout / 1000)
        self.ahead += 0.0 if told else timeout
        return told


@attrs.define
class Place:
    """A Cluster on a Slurm that does what the test says."""

    slurm: StubSlurm
    cluster: Cluster
    clock: Fast
    path: Path

    def ended(self, job: Job[Any], **how: Any) -> Any:
        self.slurm.run(job.job_id, **how)
        return job.result(timeout=SECONDS)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    slurm, clock = StubSlurm(), Fast()
    with Cluster(slurm, job_root=tmp_path / "jobs", clock=clock) as cluster:
        yield Place(slurm, cluster, clock, tmp_path)


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def fail() -> int:
    raise LookupError("not here")


@task
def leave() -> NoReturn:
    sys.exit(3)


@task
def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@task
def lock() -> object:
    return threading.Lock()


@task
def fail_privately() -> NoReturn:
    class Private(Exception):  # noqa: N818
        lock = threading.Lock()

    raise Private("no")


@task
def ask() -> NoReturn:
    raise slurmkit.Requeue


class Heavy(BaseCallback):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def on_begin_run_job_ctx(self, ctx: Any) -> None: ...


class Contradiction(BaseCallback):
    requires_pickling = False

    def on_begin_run_job_ctx(self, ctx: Any) -> None: ...


def captured(place: Place) -> None:
    job = place.cluster.submit(add, 1, 2)
    place.cluster.submit(lambda: job)


def closed(place: Place) -> None:
    place.cluster.close()
    place.cluster.submit(add, 1, 2)


def of_another_slurm(place: Place) -> None:
    with Cluster(StubSlurm(), job_root=place.path / "others") as other:
        place.cluster.submit(add, other.submit(add, 1, 2), 3)


def failed_already(place: Place) -> None:
    job = place.cluster.submit(fail)
    place.slurm.run(job.job_id)
    place.clock.ahead += 2
    place.cluster.submit(add, job, 1)


def waited_in_vain(place: Place) -> None:
    job = place.cluster.submit(fail)
    later = place.cluster.submit(add, job, 1)
    place.slurm.run(job.job_id)
    place.slurm.jobs[later.job_id].state = "CANCELLED"
    later.result(timeout=SECONDS)


def without_slurm(place: Place) -> None:
    path, os.environ["PATH"] = os.environ["PATH"], str(place.path)
    try:
        Cluster("slurm")
    finally:
        os.environ["PATH"] = path


def unwritable(place: Place) -> None:
    (place.path / "file").touch()
    with Cluster(place.slurm, job_root=place.path / "file") as cluster:
        cluster.submit(add, 1, 2)


def refused(place: Place) -> None:
    with Cluster("fake") as cluster:
        cluster.submit(add.with_options(partition="nope"), 1, 2)


def unreachable(place: Place) -> None:
    with FakeSlurm(clock="virtual") as slurm, Cluster(slurm.backend()) as cluster, slurm.fault("controller_down"):
        cluster.submit(add, 1, 2)


def lost_answer(place: Place) -> None:
    place.slurm.refusal = SchedulerTimeout("sbatch did not answer within 300 s")
    place.slurm.tokens_are_known = False
    place.cluster.submit(add, 1, 2)


def too_short(place: Place) -> None:
    job = place.cluster.submit(add, 1, 2)
    assert job.state == "PENDING"
    job.wait(timeout=0.1)


def lost(place: Place) -> None:
    job = place.cluster.submit(add, 1, 2)
    place.slurm.start(job.job_id)
    place.slurm.hidden.add(job.job_id)
    job.result(timeout=100_000)


def without_result(place: Place) -> None:
    job = place.cluster.submit(add, 1, 2)
    place.slurm.run(job.job_id)
    (job.job_dir / "result.0.pkl").unlink()
    job.result(timeout=SECONDS)


def not_to_be_trusted(place: Place) -> None:
    job = place.cluster.submit(add, 1, 2)
    place.slurm.run(job.job_id)
    (job.job_dir / "result.0.pkl").chmod(0o666)
    job.result(timeout=SECONDS)


def in_a_job(
    function: Any, prepare: Callable[[Path], object] = lambda job_dir: None, **cluster: Any
) -> Callable[[Place], object]:
    """On the fake, which runs it; `prepare` is given the job directory before Slurm starts the job."""

    def happen(place: Place) -> None:
        with FakeSlurm(nodes=1) as slurm, Cluster(slurm.backend(), job_root=place.path / "run", **cluster) as cluster_:
            job = cluster_.submit(function.with_options(hold=True))
            prepare(job.job_dir)
            assert slurm.execute(["scontrol", "release", job.job_id]).returncode == 0
            if not job.job_dir.exists():
                slurm.wait_idle()
                (place.path / "elsewhere").rename(job.job_dir.parent)
            job.result(timeout=SECONDS)

    return happen


def from_python_3_99(job_dir: Path) -> None:
    record = json.loads((job_dir / "job.json").read_text())
    (job_dir / "job.json").write_text(json.dumps({**record, "python_version": "3.99.1"}))


class NoPython(Inherit):
    def package(self, task: Any) -> PackagingResult:
        return attrs.evolve(super().package(task), python="/no/such/python")


def module_that_goes(place: Place) -> None:
    (place.path / "gone_by_then.py").write_text("def function():\n    return 1\n")
    sys.path.insert(0, str(place.path))
    try:
        function = task(importlib.import_module("gone_by_then").function)
        in_a_job(function, lambda job_dir: (place.path / "gone_by_then.py").unlink())(place)
    finally:
        sys.path.remove(str(place.path))
        del sys.modules["gone_by_then"]


def half_submitted(place: Place) -> None:
    """As a client leaves it that is killed between the two arrays into which the site's MaxArraySize has split one."""
    with FakeSlurm() as slurm:
        slurm.simulate(Simulated(0, result=1))
        root = place.path / "half"
        with Cluster(slurm.backend(), job_root=root) as cluster:
            array = cluster.map(task(abs), [1, 2])
        record = jobdir.read_job(array.job_dir)
        [part] = record["array"]["parts"]
        second = {**part, "token": f"{part['token']}-1", "numbers": "2-3", "first": 2, "job_id": None}
        record["array"]["parts"].append(second)
        jobdir.write_job(array.job_dir, record)
        with Cluster(slurm.backend(), job_root=root) as other:
            other.attach(array.job_dir).results(timeout=SECONDS)


CASES: dict[str, Callable[[Place], object]] = {
    "an option's name is misspelt": lambda place: add.with_options(tiem=1),
    "an option's value cannot be used": lambda place: add.with_options(nodes="two"),
    "an option belongs to slurmkit": lambda place: add.with_options(output="x"),
    "the arguments do not fit the function": lambda place: place.cluster.submit(add, 1),  # type: ignore[call-overload]
    "what is submitted is no function": lambda place: place.cluster.submit(3),  # type: ignore[call-overload]
    "an argument cannot be pickled": lambda place: place.cluster.submit(print, {"lock": threading.Lock()}),
    "the function has captured a Job": captured,
    "a callback cannot be pickled": lambda place: place.cluster.submit(add.with_callbacks(Heavy()), 1, 2),
    "a callback has a hook in the job, and must not be pickled": lambda place: place.cluster.submit(
        add.with_callbacks(Contradiction()), 1, 2
    ),
    "the job root cannot be written": unwritable,
    "there is no Slurm here": without_slurm,
    "a job of another Slurm is to be waited for": of_another_slurm,
    "what the job would wait for has failed already": failed_already,
    "the Cluster was closed": closed,
    "Slurm refuses the job": refused,
    "slurmctld cannot be reached, for 10 s": unreachable,
    "the answer was lost, and the job cannot be found": lost_answer,
    "the job is not over in the time given": too_short,
    "no such job in this job root": lambda place: place.cluster.attach(4711),
    "a client was killed before it had submitted all of an array that the site has split": half_submitted,
    "the directory is no job's": lambda place: place.cluster.attach(place.path),
    "the function raised": lambda place: place.ended(place.cluster.submit(fail)),
    "it raised what cannot be pickled": in_a_job(fail_privately),
    "it called `sys.exit`": lambda place: place.ended(place.cluster.submit(leave)),
    "its process was killed, or called `os._exit`": in_a_job(die),
    "it returned what cannot be pickled": in_a_job(lock),
    "it raised `Requeue`, and nobody has said how often": in_a_job(ask),
    "it raised `Requeue` once too often": in_a_job(ask.with_options(max_requeues=0)),
    "the time limit is over": lambda place: place.ended(place.cluster.submit(add, 1, 2), state="TIMEOUT"),
    "too much memory": lambda place: place.ended(place.cluster.submit(add, 1, 2), state="OUT_OF_MEMORY"),
    "a job of higher priority took the nodes": lambda place: place.ended(
        place.cluster.submit(add, 1, 2), state="PREEMPTED"
    ),
    "a node failed": lambda place: place.ended(place.cluster.submit(add, 1, 2), state="NODE_FAIL"),
    "somebody cancelled it": lambda place: place.ended(place.cluster.submit(add, 1, 2), state="CANCELLED"),
    "what it waited for has failed": waited_in_vain,
    "Slurm, accounting and the job itself tell nothing any more": lost,
    "its result is missing, though it completed": without_result,
    "others could have written its result": not_to_be_trusted,
    "the node has another Python": in_a_job(fail, from_python_3_99),
    "the node has no such interpreter": in_a_job(fail, packaging=NoPython()),
    "the node does not see the job root": in_a_job(
        fail, lambda job_dir: job_dir.parent.rename(job_dir.parents[1] / "elsewhere")
    ),
    "the function's module cannot be imported in the job": module_that_goes,
}


def test_every_row_has_its_case() -> None:
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert len(ROWS) == sum(not line.startswith("| what was wrong") for line in table)
    assert list(CASES) == list(ROWS)


@pytest.mark.parametrize("what", list(CASES))
def test_what_is_seen(what: str, place: Place) -> None:
    name, words = ROWS[what]
    pattern = ".*".join(re.escape(part) for part in words.split("..."))
    with pytest.raises(getattr(builtins, name, None) or getattr(slurmkit, name), match=f"(?s){pattern}") as caught:
        CASES[what](place)
    assert type(caught.value).__name__ == name, repr(caught.value)
