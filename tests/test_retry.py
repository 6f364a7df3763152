"""`JobArray.retry_failed`: what is waited for again, and what an attached array is submitted from."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm, Simulated
from fakeslurm.fake import JobView
from slurmkit import (
    BaseCallback,
    Cluster,
    Job,
    JobArray,
    JobDependencyFailed,
    JobDirectoryError,
    RunBeginContext,
    jobdir,
    task,
)


@task
def square(item: int) -> int:
    """Never called where jobs are simulated."""
    return item * item


def ends(failing: Sequence[int] = (), single: int = 0, duration: float = 10.0) -> Any:
    """Items of `failing` fail; a job that is no array's has the exit code `single`."""

    def behaviour(job: JobView) -> Simulated:
        index = job.array_task_id
        return Simulated(duration, result=1, exit_code=single if index is None else 3 if index in failing else 0)

    return behaviour


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm(nodes=2, clock="virtual") as slurm:
        slurm.simulate(ends())
        yield slurm


@pytest.fixture
def cluster(slurm: FakeSlurm) -> Iterator[Cluster]:
    with Cluster(slurm.backend()) as cluster:
        yield cluster


@pytest.fixture
def other(slurm: FakeSlurm, cluster: Cluster) -> Iterator[Cluster]:
    """That of another client, with the same job root."""
    with Cluster(slurm.backend(), job_root=cluster.job_root) as other:
        yield other


def waits_for(job: JobArray[Any]) -> str | None:
    options: dict[str, str] = jobdir.read_job(job.job_dir)["options"]
    assert ("dependency" in options) == ("kill_on_invalid_dep" in options)
    return options.get("dependency")


def numbers(array: JobArray[Any]) -> list[int | None]:
    return [job.index for job in array]


# --- what is waited for -----------------------------------------------------------------------------------------------


def cancelled_while_it_waits(cluster: Cluster, job: Job[int] | JobArray[int], *, as_item: bool) -> JobArray[int]:
    chosen, items = (square, [job.as_argument(), 2]) if as_item else (square.after(job), [1, 2])
    array = cluster.map(chosen, items)  # type: ignore[arg-type]
    array.cancel()
    return array.wait()


@pytest.mark.parametrize("as_item", [False, True])
@pytest.mark.parametrize("kind", ["job", "element", "array"])
def test_what_still_runs_is_waited_for(
    slurm: FakeSlurm, cluster: Cluster, other: Cluster, as_item: bool, kind: str
) -> None:
    slurm.simulate(ends(duration=1000.0))
    array = cluster.map(square, [1, 2])
    job = {"job": lambda: cluster.submit(square, 1), "element": lambda: array[1], "array": lambda: array}[kind]()
    job_id = job.job_id if isinstance(job, Job) else job.job_ids[0]
    waiting = cancelled_while_it_waits(cluster, job, as_item=as_item)
    again = waiting.retry_failed()
    attached = other.attach(waiting.job_dir).wait().retry_failed()
    assert (waits_for(again), waits_for(attached)) == (f"afterok:{job_id}", f"afterok:{job_id}")
    again.cancel()
    assert waits_for(again.wait().retry_failed()) == f"afterok:{job_id}"
    job.wait()
    assert waits_for(waiting.retry_failed()) is None
    assert waits_for(other.attach(waiting.job_dir).retry_failed()) is None
    assert attached.states()["PENDING"] + attached.states()["RUNNING"] == 2


def test_what_has_failed_is_told_before_sbatch(slurm: FakeSlurm, cluster: Cluster, other: Cluster) -> None:
    slurm.simulate(ends(single=1))
    failed = cluster.submit(square, 1)
    array = cluster.map(square.after(failed), [1, 2])
    assert {type(error) for error in array.outcomes().errors.values()} == {JobDependencyFailed}
    before = slurm.calls.count("sbatch"), sorted(cluster.job_root.iterdir())
    for one in (array, other.attach(array.job_dir).wait()):
        with pytest.raises(JobDependencyFailed, match=r"a job of square waits for <Job 1 FAILED .*would never start"):
            one.retry_failed()
    assert (slurm.calls.count("sbatch"), sorted(cluster.job_root.iterdir())) == before


def test_a_job_whose_directory_is_gone(slurm: FakeSlurm, cluster: Cluster, other: Cluster) -> None:
    slurm.simulate(ends(single=1))
    failed = cluster.submit(square, 1)
    array = cluster.map(square.after(failed), [1, 2]).wait()
    failed.job_dir.rename(failed.job_dir.with_name("elsewhere"))
    attached = other.attach(array.job_dir).wait()
    with pytest.raises(JobDirectoryError, match="is no job directory") as caught:
        attached.retry_failed()
    assert caught.value.__notes__ == ["The array to be submitted again waits for that job, 1."]


def test_what_an_item_that_has_begun_waited_for_was_met(slurm: FakeSlurm, cluster: Cluster, other: Cluster) -> None:
    """24.11 refuses to wait for an id that it has forgotten; "singleton" is about other jobs each time."""
    slurm.simulate(ends(failing=[1], duration=100.0))
    first = cluster.submit(square, 1)
    array = cluster.map(square.with_options(dependency="singleton,afterany:1").after(1), [1, 2])
    assert array.wait().states() == {"COMPLETED": 1, "FAILED": 1}
    first.wait()
    assert waits_for(array) == "singleton,afterany:1,afterok:1"
    attached = other.attach(array.job_dir).wait()
    assert [waits_for(one.retry_failed()) for one in (array, attached)] == ["singleton", "singleton"]
    either = cluster.map(square.with_options(dependency="afterany:1?singleton"), [1, 2]).wait()
    assert waits_for(either.retry_failed()) is None


def test_an_option_of_what_has_not_begun_is_kept(slurm: FakeSlurm, cluster: Cluster, other: Cluster) -> None:
    slurm.simulate(ends(duration=1000.0))
    cluster.submit(square, 1)
    array = cluster.map(square.with_options(dependency="singleton,afterany:1").after(1), [1, 2])
    array.cancel()
    attached = other.attach(array.wait().job_dir).wait()
    for one in (array, attached):
        assert waits_for(one.retry_failed()) == "singleton,afterany:1,afterok:1"


# --- corresponding items ----------------------------------------------------------------------------------------------


def test_each_item_waits_for_the_same_item_again(slurm: FakeSlurm, cluster: Cluster, other: Cluster) -> None:
    slurm.simulate(lambda job: Simulated(10.0 if job.array_task_id != 2 else 1000.0, result=1))
    array = cluster.map(square, range(3))
    items = cluster.map(square.after(array, when="corr"), range(3))
    items.cancel()
    items.wait()
    array[1].wait()
    for one in (items, other.attach(items.job_dir).wait()):
        again = one.retry_failed()
        assert (numbers(again), waits_for(again)) == ([0, 1, 2], f"aftercorr:{array.job_ids[0]}")
    array.wait()
    again = items.retry_failed()
    assert (numbers(again), waits_for(again)) == ([0, 1, 2], None)


def test_items_whose_own_has_failed_are_left_out(
    slurm: FakeSlurm, cluster: Cluster, other: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    slurm.simulate(lambda job: Simulated(10.0 * (1 + job.array_task_id), exit_code=int(job.array_task_id == 0)))  # type: ignore[operator]
    array = cluster.map(square, range(3))
    array[0].wait()
    slurm.simulate(lambda job: Simulated(10.0, exit_code=int(job.array_task_id == 2)))
    items = cluster.map(square.after(array, when="corr"), range(3)).wait()
    assert items.states() == {"CANCELLED": 1, "COMPLETED": 1, "FAILED": 1}
    slurm.simulate(ends())
    for one in (items, other.attach(items.job_dir).wait()):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            again = one.retry_failed()
        assert (numbers(again), waits_for(again)) == ([2], None)
        assert "items 0 are not submitted again: those of <JobArray 1 of 3" in caplog.text
        assert again.results() == [1]


def test_where_that_is_so_of_all_items(slurm: FakeSlurm, cluster: Cluster) -> None:
    slurm.simulate(ends(failing=[0, 1]))
    array = cluster.map(square.with_options(hold=True), range(2))
    items = cluster.map(square.after(array, when="corr"), range(2))
    assert slurm.execute(["scontrol", "release", *array.job_ids]).returncode == 0
    assert items.wait().states() == {"CANCELLED": 2}
    with pytest.raises(JobDependencyFailed, match=r"waits for <Job 1_0 FAILED"):
        items.retry_failed()


# --- what an attached array is submitted from -------------------------------------------------------------------------


class Hook(BaseCallback):
    """Leaves a line for each job that it hears of there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_begin_run_job_ctx(self, ctx: RunBeginContext) -> None:
        with self.path.open("a") as file:
            file.write(f"{type(self).__name__}\n")


class OtherHook(Hook):
    pass


@task
def not_yet(path: str) -> bool:
    if not Path(path).exists():
        raise LookupError(path)
    return True


def test_the_hooks_in_the_job(tmp_path: Path) -> None:
    """Of an attached array they are those it was submitted with, and those of the attaching Cluster that are of other classes."""
    mended, heard = tmp_path / "mended", tmp_path / "heard"
    with FakeSlurm(nodes=1) as slurm:
        with Cluster(slurm.backend(), job_root=tmp_path / "jobs") as cluster:
            array = cluster.map(not_yet.with_callbacks(Hook(heard)), [str(mended)]).wait(timeout=60)
            mended.touch()
            again = array.retry_failed()
            assert again.results(timeout=60) == [True]
        assert heard.read_text() == "Hook\nHook\n"
        callbacks = [Hook(tmp_path / "unheard"), OtherHook(heard)]
        for hooks, lines in (((), "Hook\n"), (callbacks, "Hook\nOtherHook\n")):
            heard.unlink()
            with Cluster(slurm.backend(), job_root=tmp_path / "jobs", callbacks=hooks) as other:
                again = other.attach(array.job_dir).wait(timeout=60).retry_failed()
                assert again.results(timeout=60) == [True]
            assert heard.read_text() == lines
        assert [name.rpartition(".")[2] for name in jobdir.read_job(again.job_dir)["callbacks"]] == [
            "Hook",
            "OtherHook",
        ]


def test_callbacks_that_are_damaged(slurm: FakeSlurm, cluster: Cluster, other: Cluster) -> None:
    slurm.simulate(ends(failing=[0]))
    array = cluster.map(square, [1]).wait()
    jobdir.write(array.job_dir, jobdir.CALLBACKS, b"")
    with pytest.raises(JobDirectoryError, match=r"callbacks.pkl' is damaged"):
        other.attach(array.job_dir).wait().retry_failed()


def test_the_client_need_not_have_the_modules(slurm: FakeSlurm, cluster: Cluster, other: Cluster) -> None:
    slurm.simulate(ends(failing=[0]))
    array = cluster.map(square, [1]).wait()
    record = jobdir.read_job(array.job_dir) | {"module": "no_such", "function": "Those.square"}
    jobdir.write_job(array.job_dir, record)
    jobdir.write(array.job_dir, jobdir.FUNCTION, b"cno_such\nThose.square\n.")
    again = other.attach(array.job_dir).wait().retry_failed()
    assert (again.job_dir / jobdir.FUNCTION).read_bytes() == b"cno_such\nThose.square\n."
    told = jobdir.read_job(again.job_dir)
    assert (told["module"], told["function"], told["options"]["job_name"]) == ("no_such", "Those.square", "square")


@pytest.mark.parametrize("gone", [".", jobdir.FUNCTION, jobdir.ITEMS])
def test_a_directory_that_is_gone(slurm: FakeSlurm, cluster: Cluster, other: Cluster, gone: str) -> None:
    slurm.simulate(ends(failing=[0]))
    array = cluster.map(square, [1]).wait()
    attached = other.attach(array.job_dir).wait()
    path = array.job_dir / gone
    path.rename(cluster.job_root / "elsewhere")
    for one in (array, attached):
        with pytest.raises(JobDirectoryError, match=r"submitted again") as caught:
            one.retry_failed()
        assert str(array.job_dir) in str(caught.value)
    assert slurm.calls.count("sbatch") == 1
