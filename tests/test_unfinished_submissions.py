"""Arrays of several parts whose client has ended before it had submitted all of them; and submissions that are under way."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import slurmkit
from fakeslurm import FakeSlurm, Simulated
from slurmkit import Cluster, JobArray, JobDependencyFailed, UnknownJob, jobroot, mapping, task
from slurmkit.housekeeping import survey


@task
def square(item: int) -> int:
    """Never called: jobs are simulated."""
    return item * item


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm(nodes=2, clock="virtual", conf=["MaxArraySize=100"]) as slurm:
        slurm.simulate(lambda job: Simulated(10.0, result=job.array_task_id))
        yield slurm


class Killed(BaseException):
    """Nothing is tidied up after it."""


def unfinished(slurm: FakeSlurm, root: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """An array of 250 items, of which 200 are submitted."""
    submit = mapping._Submission._submit

    def submit_two(self: Any, parts: Any, place: int, ids: Any) -> Any:
        if place == 2:
            raise Killed
        return submit(self, parts, place, ids)

    with monkeypatch.context() as patch, Cluster(slurm.backend(), job_root=root) as cluster:
        patch.setattr(mapping._Submission, "_submit", submit_two)
        patch.setattr(mapping._Submission, "_take_back", lambda *arguments: None)
        with pytest.raises(Killed):
            cluster.map(square, range(250), **options)


def test_what_was_not_submitted_is_told_and_submitted(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(slurm, tmp_path, monkeypatch)
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        [array] = cluster.jobs()
        assert isinstance(array, JobArray)
        assert (len(array), len(array.job_ids)) == (200, 2)
        outcomes = array.outcomes()
        assert list(outcomes.results) == list(range(200))
        assert list(outcomes.errors) == list(range(200, 250))
        assert array.states() == {"COMPLETED": 200, "NOT_SUBMITTED": 50}
        with pytest.raises(UnknownJob, match="of 250 items those with the numbers 200-249 have not been submitted"):
            array.results()
        with pytest.raises(JobDependencyFailed, match="has ended NOT_SUBMITTED: it would never start"):
            cluster.submit(square.after(array), 1)
        with pytest.raises(JobDependencyFailed, match="has ended NOT_SUBMITTED"):
            cluster.submit(sum, array.as_argument())
        [entry] = survey(tmp_path, slurm.backend(), slurm.clock.time())
        assert (entry.state, entry.is_over) == ("200 COMPLETED, 50 NOT_SUBMITTED", True)
        rest = array.retry_failed()
        assert [job.index for job in rest] == list(range(200, 250))
        assert rest.results() == list(range(50)), "Slurm's own index"
        assert "dependency" not in slurmkit.jobdir.read_job(rest.job_dir)["options"]


def test_the_rest_waits_as_it_would_have_waited(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(slurm, tmp_path, monkeypatch, max_concurrent=3)
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        [array] = cluster.jobs()
        assert isinstance(array, JobArray)
        rest = array.retry_failed()
        assert slurmkit.jobdir.read_job(rest.job_dir)["options"]["dependency"] == f"afterany:{':'.join(array.job_ids)}"
        assert len(rest.results()) == 50


def test_a_client_that_is_still_at_it(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unfinished(slurm, tmp_path, monkeypatch)
    backend = slurm.backend()
    with Cluster(backend, job_root=tmp_path) as cluster:
        [array] = cluster.jobs()
        assert isinstance(array, JobArray)
        monkeypatch.setattr(backend, "find", lambda tokens: dict.fromkeys(tokens, "77"))
        array.wait()
        with caplog.at_level(logging.WARNING):
            assert len(array.retry_failed()) == 0
    assert "items 200-249 have been submitted in the meantime, as job 77: another Cluster" in caplog.text
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        assert len(cluster.attach("77")) == 250


def test_a_client_that_writes_down_the_rest_in_the_meantime(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has written is not replaced by what was known before."""
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        array = cluster.map(square, range(150))
    whole = slurmkit.jobdir.read_job(array.job_dir)
    part = slurmkit.jobdir.read_job(array.job_dir)
    part["array"]["parts"][1]["job_id"] = None
    slurmkit.jobdir.write_job(array.job_dir, part)

    def find_nothing(tokens: Iterable[str]) -> Mapping[str, str]:
        slurmkit.jobdir.write_job(array.job_dir, whole)
        return {}

    backend = slurm.backend()
    monkeypatch.setattr(backend, "find", find_nothing)
    with Cluster(backend, job_root=tmp_path) as cluster:
        assert cluster.attach(array.job_dir).job_ids == array.job_ids
    assert slurmkit.jobdir.read_job(array.job_dir) == whole


def test_by_the_id_of_a_part_that_was_not_written_down(slurm: FakeSlurm, tmp_path: Path) -> None:
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        array = cluster.map(square, range(150))
    record = slurmkit.jobdir.read_job(array.job_dir)
    record["array"]["parts"][1]["job_id"] = None
    slurmkit.jobdir.write_job(array.job_dir, record)
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        assert cluster.attach(array.job_ids[1]).job_ids == array.job_ids
    assert slurmkit.jobdir.read_job(array.job_dir)["array"]["parts"][1]["job_id"] == array.job_ids[1]


def test_what_is_being_submitted_is_not_attached(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another thread that asks for all jobs, after Slurm has taken the job and before its submitter has it."""
    note, seen = jobroot.note, list[Any]()

    def note_and_look(job_dir: Path, record: Any) -> None:
        note(job_dir, record)
        seen.append(cluster.jobs())

    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        monkeypatch.setattr(jobroot, "note", note_and_look)
        job = cluster.submit(square, 1)
        array = cluster.map(square, range(2))
        assert seen == [[], [job]]
        assert cluster.jobs() == [job, array]


@pytest.fixture
def abandoned(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A job root with jobs and arrays of clients that died before sbatch, and a job and an array of one that died after it: these two."""
    sbatch, submitted = Cluster._sbatch, list[Path]()

    def die(self: Any, script: Path, token: str, cwd: Path) -> Any:
        raise Killed

    def die_after(self: Any, script: Path, token: str, cwd: Path) -> Any:
        sbatch(self, script, token, cwd)
        submitted.append(script.parent)
        raise Killed

    with Cluster(slurm.backend(), job_root=tmp_path) as cluster, monkeypatch.context() as patch:
        for how in (die, die_after, die):
            patch.setattr(Cluster, "_sbatch", how)
            with pytest.raises(Killed):
                cluster.submit(square, 1)
            with pytest.raises(Killed):
                cluster.map(square, range(50))
    job_dir, array_dir = submitted
    return job_dir, array_dir


def looks(slurm: FakeSlurm) -> tuple[int, int]:
    """How often squeue and sacct have been asked which jobs there are, and not about jobs whose ids are known."""
    squeue = [
        call for call in slurm.calls if call.command == "squeue" and "--Format=ArrayJobID:0|,Comment:0" in call.argv
    ]
    sacct = [call for call in slurm.calls if call.command == "sacct" and "--format=JobID,SubmitLine" in call.argv]
    return len(squeue), len(sacct)


def test_all_unfinished_submissions_cost_one_look(
    slurm: FakeSlurm, tmp_path: Path, abandoned: tuple[Path, Path]
) -> None:
    """What turns up is found nevertheless."""
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        job, array = sorted(cluster.jobs(), key=lambda one: isinstance(one, JobArray))
        assert (job.job_dir, array.job_dir) == abandoned
        assert looks(slurm) == (1, 1)
        assert (job.result(), array.results()) == (None, list(range(50)))
        assert len(cluster.jobs()) == 2
        assert looks(slurm) == (2, 2)
        with pytest.raises(UnknownJob, match="there is no job 4711"):
            cluster.attach(4711)
        assert looks(slurm) == (3, 3)


def test_one_look_tells_the_command_line(slurm: FakeSlurm, tmp_path: Path, abandoned: tuple[Path, Path]) -> None:
    entries = survey(tmp_path, slurm.backend(), slurm.clock.time())
    assert looks(slurm) == (1, 1)
    assert len(entries) == 6
    assert {entry.job_dir for entry in entries if entry.job_ids} == {*abandoned}


def test_an_id_that_nobody_has_written_down_costs_one_look(
    slurm: FakeSlurm, tmp_path: Path, abandoned: tuple[Path, Path]
) -> None:
    ids = slurm.execute(["squeue", "--noheader", "--states=all", "--format=%F"]).stdout.split()
    with Cluster(slurm.backend(), job_root=tmp_path) as cluster:
        assert cluster.attach(min(ids, key=int)).job_dir == abandoned[0]
    assert looks(slurm) == (1, 1)
