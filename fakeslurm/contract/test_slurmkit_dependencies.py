"""slurmkit's jobs that wait for jobs: values handed on, what starts when, and what can never start."""

from __future__ import annotations

from typing import Any

import pytest

from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, until
from slurmkit import Cluster, Job, JobDependencyFailed, SchedulerError, task

SECONDS = 60
NEVER = "DependencyNeverSatisfied"


@task
def total(numbers: dict[str, int]) -> int:
    return sum(numbers.values())


@task
def half(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def released(slurm: SlurmUnderTest, *jobs: Job[Any]) -> None:
    assert slurm.run("scontrol", "release", *(job.job_id for job in jobs)).returncode == 0


def test_results_are_handed_on(slurm_cluster: Cluster) -> None:
    """Submitted all at once: each waits for what it takes, and reads it, on every rank."""
    one = slurm_cluster.submit(recorder.add, 1, 1)
    two = slurm_cluster.submit(recorder.add, one, b=one.as_argument())
    both = slurm_cluster.submit(total.with_options(ntasks=2), {"one": one.as_argument(), "two": two.as_argument()})
    assert both.results(timeout=SECONDS) == [6, 6]


@pytest.mark.parametrize("when", ["ok", "any", "not_ok", "start"])
def test_what_waits_starts_afterwards(slurm: SlurmUnderTest, slurm_cluster: Cluster, when: Any) -> None:
    first = slurm_cluster.submit(recorder.fail_on_rank.with_options(hold=True), 0 if when == "not_ok" else 1)
    job = slurm_cluster.submit(recorder.add.after(first, when=when), 1, 2)
    until(lambda: job.status()["Reason"] == "Dependency", what="the job waits", interval=0.1)
    released(slurm, first)
    assert job.result(timeout=SECONDS) == 3
    assert first.wait(timeout=SECONDS).state == ("FAILED" if when == "not_ok" else "COMPLETED")


def test_what_can_never_start_is_told_at_once(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    """Slurm ends it, and what waits for it: nothing stays in the queue. Each is reported once, by whoever follows it."""
    path = slurm.workdir / "events"
    callback = recorder.Recorder(path, poll_interval_secs=0.2)
    first = slurm_cluster.submit(recorder.fail_on_rank.with_options(hold=True), 0)
    second = slurm_cluster.submit(recorder.add.with_callbacks(callback), first)
    third = slurm_cluster.submit(recorder.add.with_callbacks(callback), second)
    released(slurm, first)
    with pytest.raises(JobDependencyFailed) as caught:
        second.result(timeout=SECONDS)
    assert (caught.value.job_id, caught.value.state, caught.value.reason) == (second.job_id, "CANCELLED", NEVER)
    assert f"it waited for job {first.job_id} " in str(caught.value)
    assert "which ended FAILED: ValueError: rank 0 of 1 does not want to" in str(caught.value)
    error = third.exception(timeout=SECONDS)
    assert isinstance(error, JobDependencyFailed)
    assert f"job {second.job_id} ({str(second.job_dir)!r}), which never started" in str(error)
    completed = recorder.events(path, "on_completed_ctx")
    assert sorted((event["job_id"], event["job_state"], event["reason"], event.side) for event in completed) == sorted(
        (job.job_id, "CANCELLED", NEVER, "client") for job in (second, third)
    )
    assert recorder.events(path, side="runner") == []
    until(
        lambda: slurm.accounted(second.job_id, "State") == [{"State": "CANCELLED"}], what="sacct has it", interval=0.1
    )
    (booked,) = slurm.accounted(second.job_id, "Reason")
    assert booked["Reason"] in ("None", "Dependency"), "why it was ended is not in sacct"


def test_a_failure_that_is_known_is_told_before_sbatch(slurm_cluster: Cluster) -> None:
    first = slurm_cluster.submit(recorder.fail_on_rank, 0)
    first.wait(timeout=SECONDS)
    with pytest.raises(JobDependencyFailed, match=rf"<Job {first.job_id} FAILED .*it would never start"):
        slurm_cluster.submit(recorder.add, first)
    assert slurm_cluster.submit(recorder.add.after(first, when="not_ok"), 1).result(timeout=SECONDS) == 1


def test_with_the_option_it_stays_in_the_queue(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    first = slurm_cluster.submit(recorder.fail_on_rank.with_options(hold=True), 0)
    patient = recorder.add.with_options(kill_on_invalid_dep=False)
    job = slurm_cluster.submit(patient, first)
    released(slurm, first)
    until(lambda: job.status()["Reason"] == NEVER, what="Slurm gives it up", interval=0.1)
    assert (job.state, job.done()) == ("PENDING", False)
    assert slurm.run("scontrol", "update", f"jobid={job.job_id}", "dependency=").returncode == 0
    error = job.exception(timeout=SECONDS)
    assert "rank 0 has returned no value: ValueError" in str(error), "it runs, and there is no value for it"


def test_an_array_and_what_waits_for_it(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    """Its results as a list, and item for item; of what one item has failed for, the others do not."""
    halves = slurm_cluster.map(half, [2, 4, 6])
    assert slurm_cluster.submit(sum, halves).result(timeout=SECONDS) == 6
    assert slurm_cluster.submit(recorder.add, halves[1], b=5).result(timeout=SECONDS) == 7
    broken = slurm_cluster.map(half.with_options(hold=True), [2, 3, 4])
    whole = slurm_cluster.submit(sum, broken)
    items = slurm_cluster.map(half.after(broken, when="corr"), [2, 4, 6])
    assert slurm.run("scontrol", "release", *broken.job_ids).returncode == 0
    outcomes = items.outcomes(timeout=SECONDS)
    assert (outcomes.results, list(outcomes.errors)) == ({0: 1, 2: 3}, [1])
    for error in (outcomes.errors[1], whole.exception(timeout=SECONDS)):
        assert isinstance(error, JobDependencyFailed)
        assert f"item 1 of array {broken.job_ids[0]} " in str(error)
        assert "which ended FAILED: ValueError: 3 is odd" in str(error)


def test_an_array_that_is_retried_waits_again(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    """For what still goes on: whether it is the client's own array or one that was attached; item by item where they correspond."""
    held = slurm_cluster.map(half.with_options(hold=True), [2, 3, 4])
    whole = slurm_cluster.map(half.after(held[0]), [2, 4])
    items = slurm_cluster.map(half.after(held, when="corr"), [2, 4, 6])
    for array in (whole, items):
        array.cancel()
        array.wait(timeout=SECONDS)
    with Cluster(slurm.backend(), job_root=slurm_cluster.job_root) as other:
        again = [whole.retry_failed(), other.attach(whole.job_dir).wait(timeout=SECONDS).retry_failed()]
        items = items.retry_failed()
        for array in (*again, items):
            until(
                lambda array=array: {job.status()["Reason"] for job in array} == {"Dependency"},  # type: ignore[misc]
                what="it waits",
                interval=0.1,
            )
        assert slurm.run("scontrol", "release", *held.job_ids).returncode == 0
        assert [array.results(timeout=SECONDS) for array in again] == [[1, 2], [1, 2]]
    outcomes = items.outcomes(timeout=SECONDS)
    assert (outcomes.results, list(outcomes.errors)) == ({0: 1, 2: 3}, [1])
    assert isinstance(outcomes.errors[1], JobDependencyFailed)
    held.wait(timeout=SECONDS)
    with pytest.raises(JobDependencyFailed, match=rf"waits for <Job {held[1].job_id} FAILED"):
        items.retry_failed()


def forgotten(slurm: SlurmUnderTest, job_id: str, state: str) -> None:
    """Wait until the controller does not know the job any more, and accounting has its end."""
    until(lambda: slurm.show(job_id) is None, what=f"job {job_id} is forgotten", interval=0.1)
    until(
        lambda: {row["State"] for row in slurm.accounted(job_id, "State")} == {state}, what="sacct has it", interval=0.1
    )


@pytest.mark.slurm_conf("MinJobAge=2")
def test_jobs_that_slurm_has_forgotten_while_sacct_does_not_answer(
    slurm: SlurmUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """22.05 would start what waits for the one that failed. Their own word in the job directory counts."""
    backend = slurm.backend()

    def no_answer(job_ids: object) -> None:
        raise SchedulerError("sacct: error: Problem talking to the database: Connection timed out")

    monkeypatch.setattr(backend, "accounting", no_answer)
    with Cluster(backend, job_root=slurm.workdir / "jobs") as cluster:
        good, bad = cluster.submit(recorder.add, 1), cluster.submit(recorder.fail_on_rank, 0)
        until(
            lambda: slurm.show(good.job_id) is None and slurm.show(bad.job_id) is None,
            what="they are forgotten",
            interval=0.1,
        )
        assert cluster.submit(recorder.add.after(good), good, 1).result(timeout=SECONDS) == 2
        with pytest.raises(JobDependencyFailed, match="which has ended FAILED"):
            cluster.submit(recorder.add.after(bad), 1)


@pytest.mark.slurm_conf("MinJobAge=2")
def test_jobs_that_slurm_has_forgotten(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    """By its id the one that failed is taken for satisfied by 22.05, and refused by 24.11. slurmkit's Job knows better."""
    good, bad = slurm_cluster.submit(recorder.add, 1), slurm_cluster.submit(recorder.fail_on_rank, 0)
    for job, state in ((good, "COMPLETED"), (bad, "FAILED")):
        forgotten(slurm, job.job_id, state)
    assert slurm_cluster.submit(recorder.add.after(good), good, 1).result(timeout=SECONDS) == 2
    with pytest.raises(JobDependencyFailed, match="which has ended FAILED"):
        slurm_cluster.submit(recorder.add.after(bad), 1)
    raw = slurm.run("sbatch", "-d", f"afterok:{bad.job_id}", "--wrap", "touch started")
    if slurm.at_least("24.11"):
        assert (raw.returncode, raw.stderr) == (
            1,
            "sbatch: error: Batch job submission failed: Job dependency problem\n",
        )
    else:
        until((slurm.workdir / "started").exists, what="it runs, though what it waits for has failed")


@pytest.mark.slurm_conf("MinJobAge=2")
def test_an_array_that_waited_for_an_id_is_retried(slurm: SlurmUnderTest, slurm_cluster: Cluster) -> None:
    """Slurm has forgotten that job, and 24.11 would refuse to wait for it: as items have begun, it had completed."""
    first = slurm_cluster.submit(recorder.add, 1)
    array = slurm_cluster.map(half.after(first.job_id), [1, 2])
    assert array.wait(timeout=SECONDS).states() == {"COMPLETED": 1, "FAILED": 1}
    forgotten(slurm, first.job_id, "COMPLETED")
    again = array.retry_failed()
    assert [type(job.exception(timeout=SECONDS)) for job in again] == [ValueError]
