"""Jobs that wait for jobs: what Slurm is asked for, what is found out before it is asked, and jobs as arguments."""

from __future__ import annotations

import json
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import cloudpickle  # type: ignore[import-untyped]
import pytest
from stub_slurm import StubSlurm

import slurmkit
from fakeslurm import FakeSlurm
from slurmkit import (
    Cluster,
    Job,
    JobContext,
    JobDependencyFailed,
    OptionError,
    ResultError,
    SchedulerError,
    UnknownJob,
    jobdir,
    task,
)
from slurmkit.clock import SystemClock
from slurmkit.dependencies import Dependency, combined, is_satisfied, verdict
from slurmkit.runner import arguments
from slurmkit.slurm.states import TERMINAL_STATES

SECONDS = 60


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task
def total(numbers: Any) -> int:
    return sum(numbers)


@task
def fail(message: str) -> int:
    raise LookupError(message)


class Ahead(SystemClock):
    """The machine's clock, and what the test adds to it."""

    seconds = 0.0

    def time(self) -> float:
        return super().time() + self.seconds

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds


@pytest.fixture
def slurm() -> StubSlurm:
    return StubSlurm()


@pytest.fixture
def clock() -> Ahead:
    return Ahead()


@pytest.fixture
def cluster(slurm: StubSlurm, clock: Ahead, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(slurm, job_root=tmp_path / "jobs", clock=clock) as cluster:
        yield cluster


def directives(job: Job[Any]) -> dict[str, str]:
    lines = (job.job_dir / "script.sh").read_text().splitlines()
    pairs = (line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH"))
    return {name: value for name, _, value in pairs}


def waits_for(job: Job[Any]) -> str | None:
    return directives(job).get("dependency")


# --- what is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "waits", "text"),
    [
        (None, [], None),
        ("singleton", [], "singleton"),
        (None, [("ok", "1"), ("ok", "2")], "afterok:1:2"),
        (None, [("ok", "1"), ("any", "3"), ("ok", "2"), ("ok", "1")], "afterok:1:2,afterany:3"),
        (None, [("not_ok", "14_2"), ("start", "1")], "afternotok:14_2,after:1"),
        ("singleton", [("ok", "1")], "singleton,afterok:1"),
    ],
)
def test_everything_comes_together_in_one_option(option: str | None, waits: Any, text: str | None) -> None:
    assert combined(option, [Dependency(when, job) for when, job in waits], "here") == text


def test_after_composes(cluster: Cluster) -> None:
    one, two = cluster.submit(add, 1), cluster.submit(add, 2)
    chosen = add.after(one, two).with_options(time=5).after(13, "14_2", when="any").after(two, when="not_ok")
    assert repr(chosen).endswith("dependency=afterok:1:2,afterany:13:14_2,afternotok:2>")
    job = cluster.submit(chosen.with_callbacks(), 3)
    assert waits_for(job) == "afterok:1:2,afterany:13:14_2,afternotok:2"
    assert directives(job)["time"] == "5"
    assert add.waits == ()
    assert waits_for(cluster.submit(add.with_options(dependency="singleton").after(one), 1)) == "singleton,afterok:1"
    assert waits_for(cluster.submit(add.after(one).with_options(dependency="after:9"), 1)) == "after:9,afterok:1"


def test_the_option_of_the_cluster_is_added_to(slurm: StubSlurm, tmp_path: Path) -> None:
    with Cluster(slurm, job_root=tmp_path, options={"dependency": "singleton"}) as cluster:
        one = cluster.submit(add, 1)
        assert waits_for(one) == "singleton"
        assert waits_for(cluster.submit(add, one)) == "singleton,afterok:1"


class Holder:
    @task
    def method(self, x: int) -> int:
        return x


def test_a_method_waits_as_well() -> None:
    assert Holder().method.after(5).waits == (Dependency("ok", "5"),)
    assert Holder.__dict__["method"].after(5).__get__(Holder(), Holder).waits == (Dependency("ok", "5"),)


def test_a_task_that_waits_is_pickled_with_the_ids(cluster: Cluster) -> None:
    waiting = add.after(cluster.submit(add, 1)).after(7, when="start")
    again = pickle.loads(cloudpickle.dumps(waiting))
    assert (again.options, again.waits) == ({"dependency": "afterok:1,after:7"}, ())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: add.after(), "add.after: no job is given"),
        (lambda: add.after("abc"), "add.after: 'abc' is neither a Job, nor a JobArray, nor a job id"),
        (
            lambda: add.after("12.batch"),
            "'12.batch' is neither a Job, nor a JobArray, nor a job id such as 123 or 123_4",
        ),
        (lambda: add.after(" 12"), "' 12' is neither"),
        (lambda: add.after([1]), r"\[1\] is neither"),  # type: ignore[list-item]
        (lambda: add.after(1, when="often"), "when is 'often'; valid: 'ok', 'any', 'not_ok', 'start', 'corr'"),  # type: ignore[arg-type]
        (lambda: add.with_options(dependency="afterok:1?afterok:2").after(3), "an alternative.*'afterok:3'"),
        (lambda: add.after(3).with_options(dependency="afterok:1?afterok:2"), "an alternative.*'afterok:3'"),
    ],
)
def test_what_cannot_be_waited_for(wrong: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        wrong()


def test_an_alternative_and_a_job_as_an_argument(cluster: Cluster, slurm: StubSlurm) -> None:
    one = cluster.submit(add, 1)
    with pytest.raises(OptionError, match=r"add: the dependency 'after:8\?after:9' is an alternative"):
        cluster.submit(add.with_options(dependency="after:8?after:9"), one)
    assert slurm.calls["sbatch"] == 1


def test_slurm_ends_what_waits_in_vain(cluster: Cluster) -> None:
    one = cluster.submit(add, 1)
    assert "kill-on-invalid-dep" not in directives(one)
    assert directives(cluster.submit(add.after(one), 1))["kill-on-invalid-dep"] == "yes"
    assert directives(cluster.submit(add.with_options(dependency="singleton"), 1))["kill-on-invalid-dep"] == "yes"
    patient = add.with_options(kill_on_invalid_dep=False).after(one)
    assert directives(cluster.submit(patient, 1))["kill-on-invalid-dep"] == "no"


def test_the_directory_says_what_the_job_waits_for(cluster: Cluster) -> None:
    one = cluster.submit(add, 1)
    job = cluster.submit(add.after(7, when="any"), one)
    assert json.loads((job.job_dir / "job.json").read_text())["after"] == [
        {"when": "any", "job_id": "7", "job_dir": None},
        {"when": "ok", "job_id": "1", "job_dir": str(one.job_dir)},
    ]


# --- jobs that are over -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_what_satisfies(state: str) -> None:
    satisfied = {when for when in ("ok", "any", "not_ok", "start") if is_satisfied(when, state)}
    assert satisfied == {"any", "start", "ok" if state == "COMPLETED" else "not_ok"}


def test_a_job_that_is_over_is_not_waited_for(cluster: Cluster, slurm: StubSlurm, clock: Ahead) -> None:
    """Slurm may have forgotten it. Nobody in this process has heard of its end before."""
    one, two = cluster.submit(add, 1), cluster.submit(add, 2)
    slurm.run(one.job_id)
    clock.seconds += 2
    job = cluster.submit(add.after(two, when="any"), one, 5)
    assert waits_for(job) == "afterany:2"
    assert slurm.calls["squeue"] == 1
    slurm.run(two.job_id)
    slurm.run(job.job_id)
    assert job.result(timeout=SECONDS) == 6
    assert waits_for(cluster.submit(add.after(two, one), two)) is None


@pytest.mark.parametrize(
    ("when", "state", "kind"),
    [("ok", "FAILED", "afterok"), ("ok", "TIMEOUT", "afterok"), ("not_ok", "COMPLETED", "afternotok")],
)
def test_a_job_that_has_ended_otherwise(
    cluster: Cluster, slurm: StubSlurm, clock: Ahead, when: Any, state: str, kind: str
) -> None:
    one = cluster.submit(add, 1)
    slurm.run(one.job_id, state=state)
    clock.seconds += 2
    before = sorted(cluster.job_root.iterdir())
    with pytest.raises(
        JobDependencyFailed, match=rf"add waits for <Job 1 {state} .*> \({kind}\).*ended {state}"
    ) as caught:
        cluster.submit(add.after(one, when=when), 1)
    assert caught.value.job_id == ""
    assert (slurm.calls["sbatch"], sorted(cluster.job_root.iterdir())) == (1, before)
    assert waits_for(cluster.submit(add.after(one, when="any"), 1)) is None


def test_a_job_that_failed_as_an_argument(cluster: Cluster, slurm: StubSlurm, clock: Ahead) -> None:
    one = cluster.submit(fail, "no")
    slurm.run(one.job_id)
    clock.seconds += 2
    with pytest.raises(JobDependencyFailed, match=r"<Job 1 FAILED .*> \(afterok\)"):
        cluster.submit(total, [one])


def test_chains_cost_no_requests(cluster: Cluster, slurm: StubSlurm, clock: Ahead) -> None:
    """A job that was submitted a moment ago is not asked about; about all the others at once, once a second."""
    first = job = cluster.submit(add, 1)
    for _ in range(20):
        job = cluster.submit(add, job, 1)
    assert slurm.calls["squeue"] == 0
    clock.seconds += 2
    for _ in range(20):
        job = cluster.submit(add.after(first), job, 1)
    assert slurm.calls["squeue"] <= 3  # one, and one more for each second that the twenty may take


def test_while_slurm_does_not_answer_it_is_left_to_slurm(
    cluster: Cluster, slurm: StubSlurm, clock: Ahead, caplog: pytest.LogCaptureFixture
) -> None:
    one = cluster.submit(add, 1)
    clock.seconds += 2
    slurm.failure = SchedulerError("no answer")
    assert waits_for(cluster.submit(add, one)) == "afterok:1"
    assert "no answer" in caplog.text


def test_a_job_that_slurm_has_forgotten_while_sacct_does_not_answer(
    cluster: Cluster, slurm: StubSlurm, clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """22.05 would start what waits for it, however it has ended. Its own word counts; where there is none, nothing is submitted."""
    good, bad, killed = cluster.submit(add, 1), cluster.submit(fail, "no"), cluster.submit(add, 2)
    slurm.run(good.job_id)
    slurm.run(bad.job_id)
    slurm.start(killed.job_id)
    slurm.hidden |= {good.job_id, bad.job_id, killed.job_id}

    def no_answer(job_ids: Any) -> Any:
        raise SchedulerError("no answer")

    monkeypatch.setattr(slurm, "accounting", no_answer)
    clock.seconds += 2
    assert waits_for(cluster.submit(add.after(good), good, 1)) is None
    with pytest.raises(JobDependencyFailed, match="which has ended FAILED"):
        cluster.submit(add.after(bad), 1)
    assert waits_for(cluster.submit(add.after(bad, when="not_ok"), 1)) is None
    before = slurm.calls["sbatch"]
    for when in ("ok", "not_ok"):
        with pytest.raises(
            UnknownJob, match=r"Slurm has forgotten it, and how it has ended is not known.*try again later"
        ):
            cluster.submit(add.after(killed, when=when), 1)  # type: ignore[arg-type]
    assert slurm.calls["sbatch"] == before
    assert waits_for(cluster.submit(add.after(killed, when="any"), 1)) == f"afterany:{killed.job_id}"


def test_jobs_of_another_slurm(cluster: Cluster, tmp_path: Path) -> None:
    with Cluster(StubSlurm(), job_root=tmp_path / "others") as another:
        theirs = another.submit(add, 1)
    for submit in (lambda: cluster.submit(add.after(theirs), 1), lambda: cluster.submit(total, [theirs])):
        with pytest.raises(OptionError, match=r"cannot wait for <Job 1 .*others.*another Slurm than <Cluster 'stub'"):
            submit()


def test_jobs_of_another_cluster_on_the_same_slurm(
    cluster: Cluster, slurm: StubSlurm, clock: Ahead, tmp_path: Path
) -> None:
    with Cluster(slurm, job_root=tmp_path / "others") as another:
        one, two = another.submit(add, 1), another.submit(add, 2)
        slurm.run(two.job_id)
        assert two.result(timeout=SECONDS) == 2
        assert waits_for(cluster.submit(add, one)) == "afterok:1"
    assert waits_for(cluster.submit(add, two)) is None
    one._watch._created -= 2
    with pytest.raises(slurmkit.ClusterClosed, match="the status of job 1 cannot be asked for: its Cluster is closed"):
        cluster.submit(add, one)


def test_backends_that_reach_the_same_slurm_are_equal() -> None:
    from slurmkit.backends.cli import CliBackend

    assert CliBackend() == CliBackend()
    assert hash(CliBackend()) == hash(CliBackend())
    assert CliBackend(environ={"SLURM_CONF": "/a"}) != CliBackend(environ={"SLURM_CONF": "/b"})
    assert CliBackend() != "slurm"
    with FakeSlurm() as one, FakeSlurm() as two:
        assert one.backend() == one.backend()
        assert one.backend() != two.backend()


# --- jobs as arguments: the pickles -----------------------------------------------------------------------------------


@attrs.frozen
class Plan:
    name: str
    jobs: tuple[Any, ...]


def loaded(job: Job[Any]) -> tuple[Any, Any]:
    return tuple(pickle.loads((job.job_dir / name).read_bytes()) for name in (jobdir.ARGS, jobdir.KWARGS))  # type: ignore[return-value]


def test_anywhere_in_the_arguments(cluster: Cluster, slurm: StubSlurm) -> None:
    jobs = [cluster.submit(add, n) for n in range(6)]
    for job in jobs:
        slurm.run(job.job_id)
    nested = cluster.submit(total, [jobs[0], {"a": (jobs[1], {"b": jobs[2]})}, Plan("x", (jobs[3], jobs[3]))])
    assert loaded(nested) == (([0, {"a": (1, {"b": 2})}, Plan("x", (3, 3))],), {})
    assert waits_for(nested) == "afterok:1:2:3:4"
    assert loaded(cluster.submit(add, 1, b=jobs[4])) == ((1,), {"b": 4})


def test_in_what_is_pickled_by_value(cluster: Cluster, slurm: StubSlurm) -> None:
    one, two = cluster.submit(add, 1), cluster.submit(add, 2)
    for job in (one, two):
        slurm.run(job.job_id)
    later = cluster.submit(total, [lambda: one, two])
    assert waits_for(later) == "afterok:2:1" or waits_for(later) == "afterok:1:2"
    ((captured, value),), _ = loaded(later)
    assert (captured(), value) == (1, 2)


def test_the_same_job_twice_is_read_once(cluster: Cluster, slurm: StubSlurm) -> None:
    @task
    def make() -> list[int]:
        return [1]

    one = cluster.submit(make)
    slurm.run(one.job_id)
    (both,), _ = loaded(cluster.submit(total, [one, one]))
    assert both[0] is both[1]


def test_what_else_cannot_be_pickled_is_found_beside_a_job(cluster: Cluster, slurm: StubSlurm) -> None:
    one = cluster.submit(add, 1)
    with pytest.raises(slurmkit.NotPicklable, match=r"args\[0\]\[1\] cannot be pickled: it is a _thread.lock"):
        cluster.submit(total, [one, threading.Lock()])
    assert slurm.calls["sbatch"] == 1


def test_only_arguments_are_resolved(cluster: Cluster) -> None:
    one = cluster.submit(add, 1)
    with pytest.raises(TypeError, match="Only as an argument of a task that is submitted"):
        pickle.dumps(one)
    with pytest.raises(
        slurmkit.NotPicklable,
        match=r"the variable 'one' of the function .* cannot be pickled: it is a slurmkit.job.Job",
    ):
        cluster.submit(lambda: one)


def test_for_a_checker_a_job_is_its_result(cluster: Cluster) -> None:
    one = cluster.submit(add, 1)
    assert one.as_argument() is one  # type: ignore[comparison-overlap]


# --- jobs as arguments: in the job ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fake() -> Iterator[Cluster]:
    with FakeSlurm(nodes=2, cpus_per_node=4) as slurm, Cluster(slurm.backend()) as cluster:
        yield cluster


@task(ntasks=3)
def per_rank(number: int, *, job: JobContext) -> tuple[int, int]:
    return job.rank, number


@task(ntasks=2)
def ranks(*, job: JobContext) -> int:
    return job.rank + 40


@task
def leave(code: int) -> int:
    sys.exit(code)


def test_every_rank_has_the_value_of_rank_0(fake: Cluster) -> None:
    job = fake.submit(per_rank, fake.submit(ranks))
    assert job.results(timeout=SECONDS) == [(0, 40), (1, 40), (2, 40)]


def test_a_job_that_completed_without_a_value(fake: Cluster) -> None:
    error = fake.submit(add, fake.submit(leave, 0)).exception(timeout=SECONDS)
    assert isinstance(error, ResultError)
    assert "the result of job" in str(error)
    assert "which is an argument here, cannot be had on n" in str(error)
    assert "rank 0 has returned no value: SystemExit: 0" in str(error)


def test_a_result_that_is_not_to_be_trusted(fake: Cluster) -> None:
    one = fake.submit(add, 1)
    assert one.result(timeout=SECONDS) == 1
    (one.job_dir / "result.0.pkl").chmod(0o666)
    error = fake.submit(add, one).exception(timeout=SECONDS)
    assert isinstance(error, ResultError)
    assert "others can write it (mode 0666)" in str(error)


def test_a_directory_that_the_node_cannot_see(fake: Cluster) -> None:
    one = fake.submit(add, 1)
    assert one.result(timeout=SECONDS) == 1
    one.job_dir.rename(one.job_dir.with_name("elsewhere"))
    error = fake.submit(add, one).exception(timeout=SECONDS)
    assert isinstance(error, ResultError)
    assert f"No such file or directory: {str(one.job_dir)!r}" in str(error)


def test_a_result_that_comes_late(cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that shows what was written on another node only after a while."""
    one = cluster.submit(add, 1)
    slurm.run(one.job_id)
    path = one.job_dir / "result.0.pkl"
    late = path.rename(path.with_suffix(".late"))
    monkeypatch.setattr(arguments, "sleep", lambda seconds: late.rename(path))
    assert arguments.value_of("1", str(one.job_dir)) == 1


def test_a_result_that_never_comes(cluster: Cluster, slurm: StubSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cluster.submit(add, 1)
    monkeypatch.setattr(arguments, "GRACE", 0.1)
    with pytest.raises(ResultError, match=r"the result of job 1, .* cannot be had on .*rank 0 has left no result"):
        arguments.value_of("1", str(one.job_dir))


# --- dependencies that can never be satisfied ---------------------------------------------------------------------------


def test_who_waits_in_vain_is_told_at_once(fake: Cluster) -> None:
    broken = fake.submit(fail.with_options(begin="now+1"), "not today")
    second = fake.submit(add, broken)
    third = fake.submit(add.after(second), 1)
    calls: list[str] = []
    for job in (second, third):
        job.add_done_callback(lambda job: calls.append(job.job_id))
    with pytest.raises(JobDependencyFailed) as caught:
        second.result(timeout=SECONDS)
    assert caught.value.state == "CANCELLED"
    assert caught.value.reason == "DependencyNeverSatisfied"
    words = f"it never started, because it waited for job {broken.job_id} ({str(broken.job_dir)!r}), which ended FAILED: LookupError: not today"
    assert words in str(caught.value)
    assert f"job {second.job_id} ({str(second.job_dir)!r}), which never started" in str(
        third.exception(timeout=SECONDS)
    )
    assert second.cancelled()
    assert sorted(calls) == sorted([second.job_id, third.job_id])
    assert isinstance(fake.submit(add.after(third, when="not_ok"), 4).result(timeout=SECONDS), int)


def ended(slurm: StubSlurm, job: Job[Any], reason: str) -> BaseException:
    slurm.jobs[job.job_id].state = "CANCELLED"
    slurm.jobs[job.job_id].reason = reason
    error = job.exception(timeout=SECONDS)
    assert error is not None
    return error


def test_what_accounting_alone_tells(cluster: Cluster, slurm: StubSlurm) -> None:
    """sacct has no reason: that the other job has failed is what that one has written itself."""
    broken = cluster.submit(fail, "no")
    job, cancelled = cluster.submit(add, broken), cluster.submit(add.after(broken, when="any"), 1)
    slurm.run(broken.job_id)
    assert isinstance(ended(slurm, job, "None"), JobDependencyFailed)
    assert type(ended(slurm, cancelled, "None")) is slurmkit.JobCancelled


def test_a_job_that_was_killed(cluster: Cluster, slurm: StubSlurm) -> None:
    done, killed = cluster.submit(add, 1), cluster.submit(add, 2)
    job = cluster.submit(add, done, killed)
    slurm.run(done.job_id)
    slurm.start(killed.job_id)
    text = str(ended(slurm, job, "DependencyNeverSatisfied"))
    assert f"it waited for job {killed.job_id} ({str(killed.job_dir)!r}), which left no trace of its end" in text
    assert str(done.job_dir) not in text


def test_dependencies_of_which_only_the_text_is_known(cluster: Cluster, slurm: StubSlurm) -> None:
    job = cluster.submit(add.after(77), 1)
    assert "its dependency 'afterok:77' cannot be satisfied any more" in str(
        ended(slurm, job, "DependencyNeverSatisfied")
    )
    cancelled = cluster.submit(add.after(78), 1)
    assert type(ended(slurm, cancelled, "None")) is slurmkit.JobCancelled


# --- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "states", "known"),
    [
        ("ok", [], True),
        ("ok", ["COMPLETED", None], None),
        ("ok", ["COMPLETED", "COMPLETED"], True),
        ("ok", ["FAILED", None], False),
        ("any", ["FAILED", None], None),
        ("any", ["FAILED", "COMPLETED"], True),
        ("start", ["CANCELLED"], True),
        ("not_ok", ["FAILED", None], None),
        ("not_ok", ["FAILED", "COMPLETED"], True),
        ("not_ok", ["COMPLETED", "COMPLETED"], False),
        ("corr", ["COMPLETED", "FAILED"], False),
    ],
)
def test_what_is_known_of_an_array(when: Any, states: list[str | None], known: bool | None) -> None:
    assert verdict(when, states) is known


@task
def half(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def test_the_results_of_an_array_are_a_list(fake: Cluster) -> None:
    halves = fake.map(half, [2, 4, 6])
    job = fake.submit(total, halves)
    assert waits_for(job) == f"afterok:{halves.job_ids[0]}"
    assert job.result(timeout=SECONDS) == 6
    assert waits_for(fake.submit(add, halves[1], b=5)) in (None, f"afterok:{halves[1].job_id}")
    assert fake.submit(total, fake.map(half, [])).result(timeout=SECONDS) == 0


def test_items_that_are_jobs(fake: Cluster) -> None:
    one, two = fake.submit(add, 2), fake.submit(add, 4)
    halves = fake.map(half, [one.as_argument(), two.as_argument(), 6])
    assert halves.results(timeout=SECONDS) == [1, 2, 3]
    again = fake.map(half.after(halves, when="corr"), [2, 4, 6])
    assert again.results(timeout=SECONDS) == [1, 2, 3]


def test_an_array_of_which_one_has_failed(fake: Cluster) -> None:
    halves = fake.map(half.with_options(hold=True), [2, 3, 4])
    later = fake.submit(total, halves)
    corresponding = fake.map(half.after(halves, when="corr"), [2, 4, 6])
    fake._engine.backend._execute(["scontrol", "release", halves.job_ids[0]], cwd=None, env={}, timeout=60)  # type: ignore[attr-defined]
    error = later.exception(timeout=SECONDS)
    assert isinstance(error, JobDependencyFailed)
    words = f"item 1 of array {halves.job_ids[0]} ({str(halves.job_dir)!r}), which ended FAILED: ValueError: 3 is odd"
    assert words in str(error)
    outcomes = corresponding.wait(timeout=SECONDS).outcomes()
    assert (outcomes.results, list(outcomes.errors)) == ({0: 1, 2: 3}, [1])
    assert isinstance(outcomes.errors[1], JobDependencyFailed)
    assert words in str(outcomes.errors[1])
    halves.wait(timeout=SECONDS)
    with pytest.raises(JobDependencyFailed, match=r"waits for <JobArray .*\(afterok\), which has ended FAILED"):
        fake.submit(total, halves)
    with pytest.raises(JobDependencyFailed, match=r"waits for <JobArray .*\(aftercorr\), which has ended FAILED"):
        fake.map(half.after(halves, when="corr"), [2, 4, 6])
    assert fake.submit(add.after(halves, when="not_ok"), 1).result(timeout=SECONDS) == 1


def test_arrays_that_do_not_correspond(fake: Cluster) -> None:
    halves = fake.map(half.with_options(hold=True), [2, 4])
    retried = attrs.evolve(halves._parts[0], first=1000)
    halves._parts = (retried,)
    with pytest.raises(OptionError, match="when='corr' needs two arrays which Slurm has as one each"):
        fake.map(half.after(halves, when="corr"), [2, 4])
    halves._parts = (attrs.evolve(retried, first=0),)
    with pytest.raises(OptionError, match=r"an array with the same items, and <JobArray .* none with the numbers 2-3$"):
        fake.map(half.after(halves, when="corr"), [2, 4, 6, 8])
    fake.map(half.after(halves, when="corr"), [2]).cancel()
    halves.cancel()
