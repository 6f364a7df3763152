"""A client that comes after another one: every job of the job root is back, and nothing is told twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import slurmkit
from fakeslurm import FakeSlurm, Simulated, VirtualClock
from slurmkit import BaseCallback, Cluster, CompletedContext, Job, JobArray, JobCancelled
from slurmkit.housekeeping import survey


@slurmkit.task
def work(number: int = 0) -> int:
    raise NotImplementedError("it is simulated")


class Ends(BaseCallback):
    """Notes the ends that it hears of, as ``job id: state``."""

    requires_pickling = False

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self.heard.append(f"{ctx.job_id}: {ctx.job_state}")


class Others(Ends):
    """Another name."""


class Fails(Ends):
    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        super().on_completed_ctx(ctx)
        raise RuntimeError("it was told all the same")


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    clock = VirtualClock()
    with FakeSlurm(clock=clock) as slurm, clock.participate():
        slurm.simulate(Simulated(10.0, result=1))
        yield slurm


def test_every_job_of_the_root_is_back(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as first:
        done = first.submit(work).wait()
        array = first.map(work, range(3))
        slurm.advance(1)
        running = first.submit(work.with_options(time=60))
        assert first.jobs() == [done, array, running]
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    with Cluster(slurm.backend(), job_root=tmp_path) as second:
        slurm.advance(1)
        mine = second.submit(work)
        found = second.jobs()
        assert [one.job_ids if isinstance(one, JobArray) else one.job_id for one in found] == [
            done.job_id,
            array.job_ids,
            running.job_id,
            mine.job_id,
        ]
        assert found[3] is mine
        assert second.jobs() == found, "each is attached once"
        assert [one.results() for one in found] == [[1], [1, 1, 1], [1], [1]]
    assert second.jobs() == found
    with Cluster(slurm.backend(), job_root=tmp_path / "empty") as third:
        assert third.jobs() == []


def test_what_was_reported_is_not_told_again(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[ends := Ends()]) as first:
        done = first.submit(work).wait()
        array = first.map(work, range(2)).wait()
        going_on = first.submit(work)
    told = [f"{done.job_id}: COMPLETED", *(f"{job.job_id}: COMPLETED" for job in array)]
    assert sorted(ends.heard) == sorted(told)
    again, others = Ends(), Others()
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[again, others]) as second:
        for job in second.jobs():
            job.wait()
    assert again.heard == [f"{going_on.job_id}: COMPLETED"], "the first client has not lived to tell that"
    assert sorted(others.heard) == sorted([*told, *again.heard]), "it has another name, and has heard of nothing"
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[again := Ends(), others := Others()]) as third:
        for job in third.jobs():
            job.wait()
    assert (again.heard, others.heard) == ([], [])


def test_two_of_one_name_and_one_that_fails_have_heard(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[one := Ends(), two := Ends(), Fails()]) as cluster:
        job = cluster.submit(work).wait()
    assert one.heard == two.heard == [f"{job.job_id}: COMPLETED"]
    with Cluster(
        slurm.backend(), job_root=tmp_path, callbacks=[one := Ends(), two := Ends(), fails := Fails()]
    ) as cluster:
        cluster.attach(job.job_id).wait()
    assert (one.heard, two.heard, fails.heard) == ([], [], [])


def test_a_later_attempt_is_told(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[Ends()]) as cluster:
        job = cluster.submit(work).wait()
    assert slurm.execute(["scontrol", "requeue", job.job_id]).returncode == 0
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[ends := Ends()]) as cluster:
        slurm.advance(300)
        cluster.attach(job.job_id).wait()
    assert ends.heard == [f"{job.job_id}: COMPLETED"]


def test_two_clients_at_a_time_are_both_told(slurm: FakeSlurm, tmp_path: Path) -> None:
    with (
        Cluster(slurm.backend(), job_root=tmp_path, callbacks=[one := Ends()]) as first,
        Cluster(slurm.backend(), job_root=tmp_path, callbacks=[two := Ends()]) as second,
    ):
        job = first.submit(work)
        second.attach(job.job_id).wait()
        job.wait()
    assert one.heard == two.heard == [f"{job.job_id}: COMPLETED"]


def test_one_file_for_a_whole_array(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[Ends()]) as cluster:
        array = cluster.map(work.with_options(hold=True), range(50))
        array.cancel()
        array.wait()
    [path] = tmp_path.iterdir()
    records = [json.loads(line) for line in (path / "completed.jsonl").read_text().splitlines()]
    assert [record["job_id"] for record in records] == [job.job_id for job in array]
    assert {record["attempt"] for record in records} == {0}
    assert {name for record in records for name in record["callbacks"]} == {f"{__name__}.Ends"}


def test_nothing_is_written_where_nobody_listens(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[BaseCallback()]) as cluster:
        job = cluster.submit(work).wait()
    assert not (job.job_dir / "completed.jsonl").exists()


def test_a_directory_that_is_gone_loses_no_event(
    slurm: FakeSlurm, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path, callbacks=[ends := Ends()]) as cluster:
        job = cluster.submit(work)
        slurm.advance(5)
        job.job_dir.rename(tmp_path / "elsewhere")
        job.wait()
    assert ends.heard == [f"{job.job_id}: COMPLETED"]
    assert "may be told again" in caplog.text


def test_close_leaves_the_jobs_alone(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        kept = [cluster.submit(work), cluster.map(work, range(2))]
        assert cluster.jobs() == kept, "also when no time goes by"
        slurm.advance(1)
        cluster.submit(work)
    assert slurm.calls.count("scancel") == 0
    with Cluster(slurm.backend(), job_root=tmp_path) as later:
        ends = [job.wait().states() if isinstance(job, JobArray) else job.wait().state for job in later.jobs()]
    assert ends[2] == "COMPLETED"
    assert {"COMPLETED": 2} in ends


def test_close_can_cancel_them(slurm: FakeSlurm, tmp_path: Path) -> None:
    """What was submitted or attached here and is not over, with one scancel. Jobs of others in the same root go on."""
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        others = cluster.submit(work).job_id
    slurm.simulate(lambda job: Simulated(1000.0 if job.name == "long" else 10.0, result=1))
    cluster = Cluster(slurm.backend(), job_root=tmp_path)
    done: Job[int] = cluster.submit(work).wait()
    job = cluster.submit(work.with_options(job_name="long"))
    array = cluster.map(work, range(3), max_concurrent=1)
    array[0].wait()
    slurm.calls.clear()
    cluster.close(cancel=True)
    cluster.close(cancel=True)
    assert slurm.calls.count("scancel") == 1
    slurm.advance(100)
    with Cluster(slurm.backend(), job_root=tmp_path) as later:
        assert later.attach(others).result() == later.attach(done.job_id).result() == 1
        with pytest.raises(JobCancelled):
            later.attach(job.job_id).result()
        again = later.attach(array.job_dir)
        assert again.wait().states() == {"COMPLETED": 1, "CANCELLED": 2}


CLIENT = """
import os, signal, sys
import slurmkit
from slurmkit import Cluster

@slurmkit.task
def work():
    raise NotImplementedError("it is simulated")

cluster = Cluster("slurm", job_root=sys.argv[1])
print(cluster.submit(work).job_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_client_that_dies_cancels_nothing(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        slurm.simulate(Simulated(0.5, result=7))
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, str(tmp_path)],
            env=slurm.environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == -9, done.stderr
        with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
            [job] = cluster.jobs()
            assert isinstance(job, Job)
            assert (job.job_id, job.result(timeout=60)) == (done.stdout.strip(), 7)
        assert slurm.calls.count("scancel") == 0


def test_a_directory_that_cannot_be_read_is_named(
    slurm: FakeSlurm, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once; what is no job directory, or one that is being written, is none of ours."""
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        jobs = [cluster.submit(work) for _ in range(3)]
    (jobs[0].job_dir / "job.json").write_text("{")
    (jobs[1].job_dir / "job.json").chmod(0o666)
    (jobs[2].job_dir / "job.json").rename(tmp_path / "job.json")
    (tmp_path / "notes").mkdir()
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster, caplog.at_level("WARNING"):
        assert cluster.jobs() == cluster.jobs() == []
        told = caplog.messages.copy()
        caplog.clear()
        assert survey(tmp_path, slurm.backend(), slurm.clock.time()) == []
    assert caplog.messages == told
    for job, words in zip(jobs, ["is damaged", "others can write it"], strict=False):
        [message] = [one for one in told if str(job.job_dir) in one]  # of one second, and so in any order
        assert message.startswith("a job is passed over: ")
        assert words in message
    assert len(told) == 2
