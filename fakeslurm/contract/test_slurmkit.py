"""slurmkit on top of it all: results, exceptions, ranks and cancellation, through `Cluster`."""

from __future__ import annotations

import concurrent.futures
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import slurmkit
from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, until
from slurmkit import Cluster, Job, JobFailed

SECONDS = 60


def ended(job: Job[Any]) -> BaseException:
    error = job.exception(timeout=SECONDS)
    assert error is not None
    return error


def test_result_comes_back(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.add, 40, b=2)
    assert job.result(timeout=SECONDS) == 42
    assert (job.state, job.done(), job.exception(timeout=SECONDS)) == ("COMPLETED", True, None)


def test_exception_is_raised_as_its_own_type_with_the_remote_traceback(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.fail_on_rank, 0)
    with pytest.raises(ValueError, match="rank 0 of 1 does not want to") as caught:
        job.result(timeout=SECONDS)
    text = "".join(traceback.format_exception(caught.value))
    assert "recorder.py" in text
    assert "does not want to" in text
    assert "slurmkit/runner" not in text
    assert job.state == "FAILED"


def test_every_rank_has_its_result(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.context_of_rank.with_options(nodes=3, ntasks=7))
    contexts = job.results(timeout=SECONDS)
    assert job.result() == contexts[0]
    assert [context["rank"] for context in contexts] == list(range(7))
    assert {context["world_size"] for context in contexts} == {7}
    assert [context["node_rank"] for context in contexts] == [0, 0, 0, 0, 1, 1, 2]
    assert [context["local_rank"] for context in contexts] == [0, 1, 2, 3, 0, 1, 0]
    assert [context["local_world_size"] for context in contexts] == [4, 4, 4, 4, 2, 2, 1]
    assert {tuple(context["tasks_per_node"]) for context in contexts} == {(4, 2, 1)}
    for context in contexts:
        assert context["hostname"] == context["hostnames"][context["node_rank"]]
        assert context["master_addr"] == context["hostnames"][0]
        assert context["environment"]["SLURM_JOB_ID"] == job.job_id == str(context["job_id"])
    assert len({context["master_port"] for context in contexts}) == 1


def test_whole_nodes_with_cpus_per_task_have_one_rank_each(slurm_cluster: Cluster) -> None:
    """Without a number of tasks srun would start as many as there are CPUs for: four."""
    options = {"nodes": 2, "exclusive": True, "cpus_per_task": 2}
    job = slurm_cluster.submit(recorder.context_of_rank.with_options(**options))
    contexts = job.results(timeout=SECONDS)
    assert [(one["rank"], one["node_rank"], one["world_size"], one["cpus_per_task"]) for one in contexts] == [
        (0, 0, 2, 2),
        (1, 1, 2, 2),
    ]


def test_the_first_failing_rank_is_the_error(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.fail_on_rank.with_options(nodes=2, ntasks=3), 1)
    with pytest.raises(ValueError, match="rank 1 of 3 does not want to"):
        job.results(timeout=SECONDS)


@slurmkit.task
def fail_in_turn(*, job: slurmkit.JobContext) -> None:
    """Every rank raises: the last one first, each of the others when its successor has left its result."""
    successor = job.rank + 1
    if successor < job.world_size:
        assert job.job_dir is not None
        until((job.job_dir / f"result.{successor}.pkl").exists, what=f"rank {successor} has failed")
    raise ValueError(f"rank {job.rank} has had enough")


def test_first_means_first_in_time(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(fail_in_turn.with_options(ntasks=3))
    with pytest.raises(ValueError, match="rank 2 has had enough"):
        job.result(timeout=SECONDS)


def test_context_of_a_step_that_is_smaller_than_its_job(slurm: SlurmUnderTest) -> None:
    """`current_job_context` inside srun is the step's: two nodes and three tasks of a job that has three and seven."""
    # At one go: with PYTHONUNBUFFERED what print writes of several ranks is mixed.
    program = (
        "import slurmkit, sys; c = slurmkit.current_job_context(); "
        "sys.stdout.write(' '.join(map(str, [c.rank, c.world_size, *c.tasks_per_node, *c.hostnames])) + '\\n')"
    )
    command = shlex.join([sys.executable, "-c", program])
    path = str(Path(slurmkit.__file__).parents[1])
    job_id = slurm.sbatch(f"srun -N2 -n3 {command}", "-N3", "-n7", "--output=out", env={"PYTHONPATH": path})
    fields = slurm.wait(job_id)
    assert fields["JobState"] == "COMPLETED", slurm.output("out")
    lines = sorted(line.split() for line in slurm.output("out").splitlines())
    assert [line[:2] for line in lines] == [["0", "3"], ["1", "3"], ["2", "3"]]
    assert {tuple(line[2:4]) for line in lines} == {("2", "1")}
    assert all(len(line) == 6 for line in lines), lines


def test_output_of_the_task(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.talk, "hello")
    assert job.result(timeout=SECONDS) == "hello"
    assert (job.stdout(), job.stderr()) == ("hello\n", "HELLO\n")


@pytest.mark.parametrize(("how", "words"), [("exit:3", "sys.exit(3)"), ("exit:0", "sys.exit(0)")])
def test_task_that_exits(slurm_cluster: Cluster, how: str, words: str) -> None:
    error = ended(slurm_cluster.submit(recorder.leave, how))
    assert isinstance(error, JobFailed)
    assert words in str(error)


@pytest.mark.parametrize("how", ["signal:9", "hard:7"])
@pytest.mark.parametrize("ntasks", [1, 2])
def test_task_that_is_gone(slurm_cluster: Cluster, how: str, ntasks: int) -> None:
    error = ended(slurm_cluster.submit(recorder.leave.with_options(ntasks=ntasks), how))
    assert isinstance(error, JobFailed)
    assert error.state == "FAILED"
    assert error.exit_code == {"signal:9": "137:0", "hard:7": "7:0"}[how]
    words = {"signal:9": "killed by signal 9 (SIGKILL)", "hard:7": "ended with exit code 7"}[how]
    assert "rank 0 ended without leaving a result" in str(error)
    assert words in str(error)


def test_cancel_a_running_job(slurm_cluster: Cluster, tmp_path: Path) -> None:
    job = slurm_cluster.submit(recorder.wait_for, str(tmp_path / "never"))
    until(lambda: job.state == "RUNNING", what="the job runs", interval=0.1)
    assert not job.done()
    job.cancel()
    error = ended(job)
    assert isinstance(error, slurmkit.JobCancelled)
    assert isinstance(error, concurrent.futures.CancelledError)
    assert job.state == "CANCELLED"


def test_cancel_a_pending_job(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.add.with_options(hold=True), 1)
    assert job.state == "PENDING"
    job.cancel()
    assert isinstance(ended(job), slurmkit.JobCancelled)


def test_waiting_has_a_bound(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.add.with_options(hold=True), 1)
    with pytest.raises(TimeoutError):
        job.result(timeout=0.2)
    job.cancel()
    ended(job)


def test_status_has_scontrols_names(slurm_cluster: Cluster) -> None:
    job = slurm_cluster.submit(recorder.add, 1)
    job.result(timeout=SECONDS)
    status = job.status()
    assert (status["JobId"], status["JobState"], status["ExitCode"]) == (job.job_id, "COMPLETED", "0:0")
    with pytest.raises(TypeError):
        status["JobState"] = "FAILED"  # type: ignore[index]


def test_attach_by_id_and_by_directory(slurm: SlurmUnderTest) -> None:
    root = slurm.workdir / "jobs"
    with Cluster(slurm.backend(), job_root=root) as first:
        job = first.submit(recorder.add, 20, 22)
    with Cluster(slurm.backend(), job_root=root) as second:
        assert second.attach(job.job_id).result(timeout=SECONDS) == 42
        assert second.attach(job.job_dir).result(timeout=SECONDS) == 42
        with pytest.raises(slurmkit.UnknownJob, match="99999999"):
            second.attach("99999999")


def test_unknown_partition_is_slurms_own_message(slurm_cluster: Cluster) -> None:
    with pytest.raises(slurmkit.SubmissionError, match="Invalid partition name specified") as caught:
        slurm_cluster.submit(recorder.add.with_options(partition="nope"), 1)
    error = caught.value
    assert "nope" in error.stderr
    assert "--partition=nope" in error.script
    assert error.returncode == 1
    assert list((Path(str(slurm_cluster.job_root))).iterdir()) == []


@pytest.mark.parametrize(
    "name", ["plain", 'it\'s "quoted" \\ and # more', "ünïcödé 名前", "trailing blank ", "a,b=c%j"]
)
def test_text_in_an_option_arrives_unchanged(slurm: SlurmUnderTest, slurm_cluster: Cluster, name: str) -> None:
    job = slurm_cluster.submit(recorder.add.with_options(job_name=name, hold=True), 1)
    done = slurm.run("squeue", "-h", "-j", job.job_id, "-o", "<%j>")
    assert done.stdout == f"<{name}>\n"
    job.cancel()


def test_polling_fifty_jobs_costs_what_polling_one_costs(slurm: SlurmUnderTest) -> None:
    """The same number of squeue calls per tick for one job and for fifty: counted where the commands are executed."""
    counts = []
    for number in (1, 50):
        with Cluster(slurm.backend(), job_root=slurm.workdir / f"jobs{number}") as cluster:
            jobs = [cluster.submit(recorder.add.with_options(hold=True), n) for n in range(number)]
            before = slurm.requests("squeue")
            for _ in range(4):
                cluster.refresh()
            assert {job.state for job in jobs} == {"PENDING"}
            counts.append(slurm.requests("squeue") - before)
            for job in jobs:
                job.cancel()
    assert counts == [4, 4]
