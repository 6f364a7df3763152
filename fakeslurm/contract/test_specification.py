"""The callback specification, promise by promise. `PROMISES` maps each to the tests that show it; all run on the fake and on a real Slurm."""

from __future__ import annotations

import itertools
import os
import pickle
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

import slurmkit
from fakeslurm.contract import recorder
from fakeslurm.contract.harness import SlurmUnderTest, until
from fakeslurm.contract.recorder import Event, Recorder, events
from slurmkit import BaseCallback, Cluster, CompletedContext, ExecutionLocus, JobStatusUpdatedContext, Task

SECONDS = 60
CLIENT, RUNNER, BOTH = ExecutionLocus.CLIENT, ExecutionLocus.RUNNER, ExecutionLocus.BOTH

PROMISES: Mapping[str, tuple[str, ...]] = {
    "Callbacks follow packaging, submission, execution, polling and completion.": ("test_every_hook_in_order",),
    "Packaging contexts: task, packaging config and result, timestamps, cluster.": ("test_packaging_contexts",),
    "Submit contexts: effective options, job directory, pre-submission id, strategy.": ("test_submit_contexts",),
    "RunBeginContext: function, argument files, job, host, environment, start.": ("test_run_begin_context",),
    "RunEndContext: status, error, output files, timing.": (
        "test_run_end_context",
        "test_run_end_context_of_a_failure",
    ),
    "Run contexts carry the resolved JobContext.": ("test_run_contexts_carry_the_job_context",),
    "Status contexts: snapshot, previous state, terminal flag.": ("test_status_contexts",),
    "CompletedContext on both sides: state, exit code, paths, timing, traceback.": (
        "test_completed_contexts",
        "test_completed_contexts_of_a_failure",
    ),
    "Every hook has a default locus.": ("test_default_loci",),
    "execution_loci overrides the default.": ("test_execution_loci_override",),
    "Callbacks are pickled only when a hook of theirs runs on the runner.": ("test_client_callbacks_stay_at_home",),
    "requires_pickling = False never leaves the client.": ("test_requires_pickling_false",),
    "poll_interval_secs opts into polling; without it there is no thread.": ("test_no_subscriber_no_thread",),
    "One background thread per submission.": ("test_one_thread_for_all_callbacks_of_a_job",),
    "Each callback is rate-limited individually.": ("test_each_callback_has_its_own_interval",),
    "A transition and the end are delivered at once.": ("test_transitions_are_delivered_at_once",),
    "Run payloads: hostname, interpreter, directory, environment snapshot.": ("test_run_begin_context",),
    "RunEnd and Completed carry paths, duration and full exception metadata.": (
        "test_run_end_context_of_a_failure",
        "test_completed_contexts_of_a_failure",
    ),
    "current_job_context(): hostnames, world size, ranks, raw SLURM_* environment.": ("test_current_job_context",),
    "on_completed_ctx fires on the runner first, while the script runs, then on the client.": (
        "test_completed_on_the_runner_first",
        "test_completed_on_the_runner_while_the_script_is_running",
    ),
    "emitted_by tells the two sides apart.": ("test_completed_on_the_runner_first",),
    "The client's completed event comes without a poller, too.": ("test_client_completion_without_a_poller",),
    "A parameter `job: JobContext` is injected.": ("test_current_job_context", "test_injection_by_name"),
    "The fields are stable.": ("test_fields_are_stable",),
}


@pytest.fixture
def log(slurm: SlurmUnderTest) -> Path:
    return slurm.workdir / "events.jsonl"


def run(
    slurm: SlurmUnderTest, submitted: Task[..., Any], *args: Any, callbacks: list[BaseCallback]
) -> tuple[slurmkit.Job[Any], Cluster]:
    """Submit with these callbacks, wait for the end, close; the job and its (closed) cluster."""
    with Cluster(slurm.backend(), callbacks=callbacks, job_root=slurm.workdir / "jobs") as cluster:
        job = cluster.submit(submitted, *args)
        job.exception(timeout=SECONDS)
    return job, cluster


def only(found: list[Event]) -> Event:
    assert len(found) == 1, found
    return found[0]


def test_every_promise_has_its_tests() -> None:
    for promise, names in PROMISES.items():
        for name in names:
            assert callable(globals().get(name)), f"{promise} -> {name}"
    named = {name for names in PROMISES.values() for name in names}
    tests = {name for name in globals() if name.startswith("test_")} - {"test_every_promise_has_its_tests"}
    assert tests == named, "a test of no promise, or a promise whose test is none"


def test_every_hook_in_order(slurm: SlurmUnderTest, log: Path) -> None:
    run(slurm, recorder.add, 1, callbacks=[Recorder(log, poll_interval_secs=0.05)])
    heard = [(event.side, event.hook) for event in events(log) if event.hook != "on_job_status_update_ctx"]
    assert heard == [
        ("client", "on_begin_package_ctx"),
        ("client", "on_end_package_ctx"),
        ("client", "on_begin_submit_job_ctx"),
        ("client", "on_end_submit_job_ctx"),
        ("runner", "on_begin_run_job_ctx"),
        ("runner", "on_end_run_job_ctx"),
        ("runner", "on_completed_ctx"),
        ("client", "on_completed_ctx"),
    ]
    assert events(log, "on_job_status_update_ctx", "client")
    assert not events(log, "on_job_status_update_ctx", "runner")


def test_packaging_contexts(slurm: SlurmUnderTest, log: Path) -> None:
    seen: list[Any] = []

    class Packaging(BaseCallback):
        def on_begin_package_ctx(self, ctx: slurmkit.PackagingBeginContext) -> None:
            seen.append(ctx)

        def on_end_package_ctx(self, ctx: slurmkit.PackagingEndContext) -> None:
            seen.append(ctx)

    before = time.time()
    _, cluster = run(slurm, recorder.add, 1, callbacks=[Packaging()])
    begin, end = seen
    assert begin.task.func is end.task.func is recorder.add.func
    assert begin.cluster is end.cluster is cluster
    assert begin.packaging_config == end.packaging_config
    assert begin.packaging_config["strategy"] == "inherit"
    assert end.packaging_result.python == sys.executable
    assert before <= begin.timestamp <= end.timestamp <= time.time()
    assert 0 <= end.duration <= end.timestamp - begin.timestamp + 0.01


def test_submit_contexts(slurm: SlurmUnderTest, log: Path) -> None:
    seen: list[Any] = []

    class Submission(BaseCallback):
        def on_begin_submit_job_ctx(self, ctx: slurmkit.SubmitBeginContext) -> None:
            seen.append((ctx, (Path(ctx.job_dir) / "script.sh").exists()))

        def on_end_submit_job_ctx(self, ctx: slurmkit.SubmitEndContext) -> None:
            seen.append((ctx, True))

    before = time.time()
    job, cluster = run(slurm, recorder.add.with_options(time=7, nodes=1), 1, callbacks=[Submission()])
    (begin, written), (end, _) = seen
    assert written, "the job directory is complete before sbatch is called"
    assert begin.sbatch_options == end.sbatch_options
    assert begin.sbatch_options["time"] in ("7", "00:07:00")
    assert begin.sbatch_options["job_name"] == "add", "what slurmkit chooses is effective, too"
    assert begin.sbatch_options["output"] == str(job.job_dir / "stdout")
    assert begin.sbatch_options["comment"] == begin.pre_submission_id
    assert begin.pre_submission_id == end.pre_submission_id
    assert begin.job_dir == end.job_dir == str(job.job_dir)
    assert Path(begin.job_dir).name == begin.pre_submission_id
    assert begin.packaging_strategy is end.packaging_strategy
    assert begin.packaging_strategy.name == "inherit"
    assert begin.task.func is end.task.func is recorder.add.func
    assert begin.cluster is end.cluster is cluster
    assert (end.job, end.job_id) == (job, job.job_id)
    assert before <= begin.timestamp <= end.timestamp <= time.time()
    assert 0 <= end.duration <= end.timestamp - begin.timestamp + 0.01


def test_run_begin_context(slurm: SlurmUnderTest, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_USER", "1")
    before = time.time()
    job, _ = run(slurm, recorder.add, 1, callbacks=[Recorder(log)])
    begin = only(events(log, "on_begin_run_job_ctx"))
    assert (begin["module"], begin["function"]) == ("fakeslurm.contract.recorder", "add")
    assert (begin["job_id"], begin["job_dir"]) == (job.job_id, str(job.job_dir))
    assert pickle.loads(Path(begin["args_path"]).read_bytes()) == (1,)
    assert pickle.loads(Path(begin["kwargs_path"]).read_bytes()) == {}
    assert Path(begin["args_path"]).parent == Path(begin["kwargs_path"]).parent == job.job_dir
    assert begin["hostname"] == job.status()["NodeList"], "the node, as Slurm calls it"
    assert begin["python_executable"] == sys.executable
    assert begin["python_version"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert begin["working_directory"] == str(Path.cwd())
    snapshot = begin["environment_snapshot"]
    assert (snapshot["SLURM_JOB_ID"], snapshot["JOB_DIR"]) == (job.job_id, str(job.job_dir))
    assert "OF_THE_USER" not in snapshot, "a light one: what says where the job runs"
    assert before <= begin["start_time"] <= begin.at


def test_run_end_context(slurm: SlurmUnderTest, log: Path) -> None:
    before = time.time()
    job, _ = run(slurm, recorder.talk, "hello", callbacks=[Recorder(log)])
    end = only(events(log, "on_end_run_job_ctx"))
    assert (end["status"], end["error_type"], end["error_message"], end["traceback"]) == ("success", None, None, None)
    assert Path(end["stdout_path"]).read_text() == job.stdout() == "hello\n"
    assert Path(end["stderr_path"]).read_text() == job.stderr() == "HELLO\n"
    assert (end["job_id"], end["job_dir"]) == (job.job_id, str(job.job_dir))
    assert before <= end["start_time"] <= end["end_time"] <= end.at
    assert end["duration"] == pytest.approx(end["end_time"] - end["start_time"], abs=1e-3)


def test_run_end_context_of_a_failure(slurm: SlurmUnderTest, log: Path) -> None:
    run(slurm, recorder.fail_on_rank, 0, callbacks=[Recorder(log)])
    end = only(events(log, "on_end_run_job_ctx"))
    assert (end["status"], end["error_type"]) == ("failure", "ValueError")
    assert end["error_message"] == "rank 0 of 1 does not want to"
    assert "recorder.py" in end["traceback"]
    assert end["traceback"].rstrip().endswith("ValueError: rank 0 of 1 does not want to")
    assert end["duration"] == pytest.approx(end["end_time"] - end["start_time"], abs=1e-3)


def test_run_contexts_carry_the_job_context(slurm: SlurmUnderTest, log: Path) -> None:
    run(slurm, recorder.add.with_options(nodes=2, ntasks=3), 1, callbacks=[Recorder(log)])
    for hook in ("on_begin_run_job_ctx", "on_end_run_job_ctx"):
        contexts = [event["job_context"] for event in events(log, hook)]
        assert sorted(context["rank"] for context in contexts) == [0, 1, 2]
        assert {context["world_size"] for context in contexts} == {3}
        assert all(len(context["hostnames"]) == 2 for context in contexts)


def test_status_contexts(slurm: SlurmUnderTest, log: Path) -> None:
    before = time.time()
    job, _ = run(slurm, recorder.add, 1, callbacks=[Recorder(log, poll_interval_secs=0.05)])
    updates = events(log, "on_job_status_update_ctx", "client")
    assert len(updates) > 1, "a previous state shows only in the second"
    states = [event["status"]["JobState"] for event in updates]
    assert [event["previous_state"] for event in updates] == [None, *states[:-1]]
    assert [event["is_terminal"] for event in updates] == [False] * (len(updates) - 1) + [True]
    assert states[-1] == "COMPLETED"
    assert {event["job_id"] for event in updates} == {event["status"]["JobId"] for event in updates} == {job.job_id}
    assert {event["job"].split()[1] for event in updates} == {job.job_id}, "the Job itself, as its repr"
    assert all(before <= event["timestamp"] <= event.at for event in updates)
    assert only(events(log, "on_completed_ctx", "client")).at >= updates[-1].at


def test_completed_contexts(slurm: SlurmUnderTest, log: Path) -> None:
    before = time.time()
    job, _ = run(slurm, recorder.talk, "hello", callbacks=[Recorder(log)])
    for side in ("runner", "client"):
        event = only(events(log, "on_completed_ctx", side))
        assert (event["job_state"], event["exit_code"]) == ("COMPLETED", "0:0")
        assert (event["job_id"], event["job_dir"]) == (job.job_id, str(job.job_dir))
        assert (Path(event["stdout_path"]).read_text(), Path(event["stderr_path"]).read_text()) == (
            "hello\n",
            "HELLO\n",
        )
        assert before <= event["start_time"] <= event["end_time"] <= event.at
        assert event["duration"] == pytest.approx(event["end_time"] - event["start_time"], abs=1e-3)
        assert (event["error_type"], event["error_message"], event["traceback"]) == (None, None, None)
    runner, client = (only(events(log, "on_completed_ctx", side)) for side in ("runner", "client"))
    assert (runner["job"], runner["status"]) == (None, {})
    assert (runner["job_context"]["rank"], runner["job_context"]["world_size"]) == (0, 1)
    assert (client["job"].split()[1], client["status"]["JobState"]) == (job.job_id, "COMPLETED")


def test_completed_contexts_of_a_failure(slurm: SlurmUnderTest, log: Path) -> None:
    run(slurm, recorder.fail_on_rank.with_options(ntasks=2), 1, callbacks=[Recorder(log)])
    for side in ("runner", "client"):
        event = only(events(log, "on_completed_ctx", side))
        assert (event["job_state"], event["exit_code"]) == ("FAILED", "1:0")
        assert (event["error_type"], event["error_message"]) == ("ValueError", "rank 1 of 2 does not want to")
        assert "recorder.py" in event["traceback"]


def test_default_loci(slurm: SlurmUnderTest, log: Path) -> None:
    run(slurm, recorder.add, 1, callbacks=[Recorder(log, poll_interval_secs=0.05)])
    sides: dict[str, set[str]] = {}
    for event in events(log):
        sides.setdefault(event.hook, set()).add(event.side)
    assert sides == {
        "on_begin_package_ctx": {"client"},
        "on_end_package_ctx": {"client"},
        "on_begin_submit_job_ctx": {"client"},
        "on_end_submit_job_ctx": {"client"},
        "on_begin_run_job_ctx": {"runner"},
        "on_end_run_job_ctx": {"runner"},
        "on_completed_ctx": {"client", "runner"},
        "on_job_status_update_ctx": {"client"},
    }


class OnRunnerOnly(Recorder):
    execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = {"on_completed_ctx": RUNNER}


class OnClientOnly(Recorder):
    execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = {"on_completed_ctx": CLIENT}


def test_execution_loci_override(slurm: SlurmUnderTest, log: Path) -> None:
    other = log.with_name("other.jsonl")
    run(slurm, recorder.add, 1, callbacks=[OnRunnerOnly(log), OnClientOnly(other)])
    assert [event.side for event in events(log, "on_completed_ctx")] == ["runner"]
    assert [event.side for event in events(other, "on_completed_ctx")] == ["client"]


class Unpicklable(BaseCallback):
    """Holds a lock and counts what it hears; its one hook runs on the client only."""

    execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = {"on_completed_ctx": CLIENT}

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.heard: list[str] = []

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        with self.lock:
            self.heard.append(ctx.job_state)


def test_client_callbacks_stay_at_home(slurm: SlurmUnderTest) -> None:
    callback = Unpicklable()
    job, _ = run(slurm, recorder.add, 1, callbacks=[callback])
    assert callback.heard == ["COMPLETED"]
    assert not (Path(job.job_dir) / "callbacks.pkl").exists()


class Homebody(BaseCallback):
    requires_pickling = False

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.heard: list[ExecutionLocus] = []

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        self.heard.append(ctx.emitted_by)


class Impossible(Homebody):
    def on_begin_run_job_ctx(self, ctx: slurmkit.RunBeginContext) -> None:
        raise AssertionError("never")


def test_requires_pickling_false(slurm: SlurmUnderTest) -> None:
    callback = Homebody()
    run(slurm, recorder.add, 1, callbacks=[callback])
    assert callback.heard == [CLIENT]
    with pytest.raises(slurmkit.CallbackError, match=r"Impossible.*on_begin_run_job_ctx"):
        run(slurm, recorder.add, 1, callbacks=[Impossible()])


def test_no_subscriber_no_thread(slurm: SlurmUnderTest, log: Path) -> None:
    before = set(threading.enumerate())
    with Cluster(slurm.backend(), callbacks=[Recorder(log)], job_root=slurm.workdir / "jobs") as cluster:
        job = cluster.submit(recorder.wait_for, str(slurm.workdir / "go"))
        started = {thread.name for thread in set(threading.enumerate()) - before if "slurmkit" in thread.name}
        (slurm.workdir / "go").touch()
        job.result(timeout=SECONDS)
    assert started == set()
    assert not events(log, "on_job_status_update_ctx")


def test_one_thread_for_all_callbacks_of_a_job(slurm: SlurmUnderTest, log: Path) -> None:
    others = [log.with_name(f"other{number}.jsonl") for number in range(3)]
    callbacks: list[BaseCallback] = [Recorder(path, poll_interval_secs=0.05) for path in (log, *others)]
    before = set(threading.enumerate())
    with Cluster(slurm.backend(), callbacks=callbacks, job_root=slurm.workdir / "jobs") as cluster:
        job = cluster.submit(recorder.wait_for, str(slurm.workdir / "go"))
        until(lambda: all(len(events(path, "on_job_status_update_ctx")) > 1 for path in (log, *others)), what="updates")
        alive = {thread.name for thread in set(threading.enumerate()) - before if "slurmkit" in thread.name}
        (slurm.workdir / "go").touch()
        job.result(timeout=SECONDS)
    threads = {event.thread for path in (log, *others) for event in events(path, "on_job_status_update_ctx")}
    assert len(threads) == 1
    assert alive == threads, "no other thread is there for this job"
    assert threads != {threading.main_thread().name}
    until(lambda: not threads & {thread.name for thread in threading.enumerate()}, what="the poller thread ends")


def test_each_callback_has_its_own_interval(slurm: SlurmUnderTest, log: Path) -> None:
    slow, like = log.with_name("slow.jsonl"), log.with_name("like.jsonl")
    intervals = {log: 0.1, slow: 3600.0, like: 0.1}
    callbacks: list[BaseCallback] = [Recorder(path, poll_interval_secs=secs) for path, secs in intervals.items()]
    with Cluster(slurm.backend(), callbacks=callbacks, job_root=slurm.workdir / "jobs") as cluster:
        job = cluster.submit(recorder.wait_for, str(slurm.workdir / "go"))

        def seen_running(path: Path) -> int:
            return sum(e["status"]["JobState"] == "RUNNING" for e in events(path, "on_job_status_update_ctx"))

        until(lambda: min(seen_running(log), seen_running(like)) >= 4, what="four updates for each while it runs")
        (slurm.workdir / "go").touch()
        job.result(timeout=SECONDS)
    for path in (log, like):
        fast = events(path, "on_job_status_update_ctx")
        pairs = [(a, b) for a, b in itertools.pairwise(fast) if b["status"]["JobState"] == a["status"]["JobState"]]
        assert min(b.at - a.at for a, b in pairs) >= 0.1 * 0.9
    states = [event["status"]["JobState"] for event in events(slow, "on_job_status_update_ctx")]
    assert len(states) == len(set(states)), "only transitions reach a callback whose interval has not passed"


def test_transitions_are_delivered_at_once(slurm: SlurmUnderTest, log: Path) -> None:
    """A callback with an interval of an hour hears of RUNNING and of the end as soon as a quicker one does."""
    quick = log.with_name("quick.jsonl")
    callbacks: list[BaseCallback] = [Recorder(log, poll_interval_secs=3600), Recorder(quick, poll_interval_secs=0.05)]

    def transitions(path: Path) -> list[str]:
        states = [event["status"]["JobState"] for event in events(path, "on_job_status_update_ctx")]
        return [state for state, before in zip(states, [None, *states], strict=False) if state != before]

    with Cluster(slurm.backend(), callbacks=callbacks, job_root=slurm.workdir / "jobs") as cluster:
        job = cluster.submit(recorder.wait_for.with_options(hold=True), str(slurm.workdir / "go"))
        until(lambda: transitions(log) == transitions(quick) == ["PENDING"], what="PENDING, seen by both")
        assert slurm.run("scontrol", "release", job.job_id).returncode == 0
        until(lambda: transitions(quick)[-1:] == ["RUNNING"], what="RUNNING")
        assert transitions(log)[-1:] == ["RUNNING"], "the slow one, called first, has heard of it by now"
        (slurm.workdir / "go").touch()
        job.result(timeout=SECONDS)
    assert transitions(log) == transitions(quick)
    assert [state for state in transitions(log) if state != "COMPLETING"] == ["PENDING", "RUNNING", "COMPLETED"]
    assert len(events(log, "on_job_status_update_ctx")) == len(transitions(log)), "and of nothing else"


def test_current_job_context(slurm: SlurmUnderTest) -> None:
    job, _ = run(slurm, recorder.context_of_rank.with_options(nodes=2, ntasks=3), callbacks=[])
    for rank, context in enumerate(job.results(timeout=SECONDS)):
        assert (context["rank"], context["world_size"], context["num_nodes"]) == (rank, 3, 2)
        assert len(context["hostnames"]) == 2
        raw = context["environment"]
        assert (raw["SLURM_PROCID"], raw["SLURM_STEP_NUM_TASKS"]) == (str(rank), "3")
        assert all(name.startswith("SLURM") for name in raw)


@slurmkit.task
def named_only(job) -> int:  # type: ignore[no-untyped-def]
    """The parameter is recognised by its name alone."""
    rank: int = job.rank
    return rank


def test_injection_by_name(slurm: SlurmUnderTest) -> None:
    job, _ = run(slurm, named_only, callbacks=[])
    assert job.result(timeout=SECONDS) == 0


class Lingering(Recorder):
    """On the runner, keeps the job script waiting for a file, after it has written down that it was called."""

    def on_completed_ctx(self, ctx: CompletedContext) -> None:
        super().on_completed_ctx(ctx)
        if ctx.emitted_by is RUNNER:
            until(Path(self.path).with_name("go").exists, what="the client lets go")


def test_completed_on_the_runner_while_the_script_is_running(slurm: SlurmUnderTest, log: Path) -> None:
    with Cluster(slurm.backend(), callbacks=[Lingering(log)], job_root=slurm.workdir / "jobs") as cluster:
        job = cluster.submit(recorder.add, 1)
        until(lambda: events(log, "on_completed_ctx", "runner"), what="the completed event of the runner")
        assert slurm.wait(job.job_id, ["RUNNING"])
        assert not job.done()
        assert not events(log, "on_completed_ctx", "client"), "Slurm has reported no terminal state yet"
        log.with_name("go").touch()
        assert job.result(timeout=SECONDS) == 1
    assert [event.side for event in events(log, "on_completed_ctx")] == ["runner", "client"]


def test_completed_on_the_runner_first(slurm: SlurmUnderTest, log: Path) -> None:
    run(slurm, recorder.add.with_options(ntasks=2), 1, callbacks=[Recorder(log)])
    runner, client = events(log, "on_completed_ctx")
    assert (runner.side, runner["emitted_by"]) == ("runner", repr(RUNNER))
    assert (client.side, client["emitted_by"]) == ("client", repr(CLIENT))
    assert runner.pid != client.pid == os.getpid()
    ended = events(log, "on_end_run_job_ctx")
    assert len(ended) == 2
    assert runner.at >= max(event.at for event in ended), "after every rank has ended"
    assert client.at > runner.at


@pytest.mark.parametrize("through", ["result", "wait", "done", "status", "close"])
def test_client_completion_without_a_poller(slurm: SlurmUnderTest, through: str) -> None:
    callback = Unpicklable()
    with Cluster(slurm.backend(), callbacks=[callback], job_root=slurm.workdir / "jobs") as cluster:
        job = cluster.submit(recorder.add, 1)
        if through in ("result", "wait"):
            getattr(job, through)(timeout=SECONDS)
        elif through == "done":
            until(job.done, what="the job is done")
        elif through == "status":
            until(lambda: job.status()["JobState"] == "COMPLETED", what="the job is COMPLETED")
        else:
            slurm.wait(job.job_id)
        assert callback.heard == ([] if through == "close" else ["COMPLETED"])
        if through != "close":
            assert job.done(), "and does not deliver it again"
    assert callback.heard == ["COMPLETED"]


_COMMON_RUN = {"job_id": "str", "job_dir": "str", "module": "str", "function": "str"}
_SUBMIT = {"task": "Task[..., Any]", "cluster": "Cluster"}
_SUBMITTED = {
    "sbatch_options": "Mapping[str, str | bool]",
    "job_dir": "str",
    "pre_submission_id": "str",
    "packaging_strategy": "PackagingStrategy",
    "timestamp": "float",
}
_ERROR = {"error_type": "str | None", "error_message": "str | None", "traceback": "str | None"}

FIELDS: Mapping[type, Mapping[str, str]] = {
    slurmkit.PackagingBeginContext: {
        "task": "Task[..., Any]",
        "packaging_config": "Mapping[str, Any]",
        "cluster": "Cluster",
        "timestamp": "float",
    },
    slurmkit.PackagingEndContext: {
        "task": "Task[..., Any]",
        "packaging_config": "Mapping[str, Any]",
        "packaging_result": "PackagingResult",
        "cluster": "Cluster",
        "timestamp": "float",
        "duration": "float",
    },
    slurmkit.SubmitBeginContext: {**_SUBMIT, **_SUBMITTED},
    slurmkit.SubmitEndContext: {
        **_SUBMIT,
        **_SUBMITTED,
        "job": "Job[Any] | JobArray[Any]",
        "job_id": "str",
        "duration": "float",
    },
    slurmkit.RunBeginContext: {
        **_COMMON_RUN,
        "args_path": "str",
        "kwargs_path": "str",
        "hostname": "str",
        "python_executable": "str",
        "python_version": "str",
        "working_directory": "str",
        "environment_snapshot": "Mapping[str, str]",
        "start_time": "float",
        "attempt": "int",
        "restart_count": "int",
        "job_context": "JobContext",
    },
    slurmkit.RunEndContext: {
        **_COMMON_RUN,
        **_ERROR,
        "hostname": "str",
        "status": "Literal['success', 'failure']",
        "stdout_path": "str",
        "stderr_path": "str",
        "start_time": "float",
        "end_time": "float",
        "duration": "float",
        "attempt": "int",
        "restart_count": "int",
        "cause": "str | None",
        "job_context": "JobContext",
    },
    JobStatusUpdatedContext: {
        "job": "Job[Any]",
        "job_id": "str",
        "status": "Mapping[str, str]",
        "previous_state": "str | None",
        "is_terminal": "bool",
        "attempt": "int",
        "restart_count": "int",
        "timestamp": "float",
    },
    CompletedContext: {
        **_ERROR,
        "job": "Job[Any] | None",
        "job_id": "str",
        "job_dir": "str",
        "job_state": "str",
        "exit_code": "str | None",
        "reason": "str | None",
        "status": "Mapping[str, str]",
        "emitted_by": "ExecutionLocus",
        "stdout_path": "str",
        "stderr_path": "str",
        "start_time": "float | None",
        "end_time": "float | None",
        "duration": "float | None",
        "attempt": "int",
        "restart_count": "int",
        "cause": "str | None",
        "job_context": "JobContext | None",
    },
}


@pytest.mark.parametrize("context", FIELDS, ids=lambda context: context.__name__)
def test_fields_are_stable(context: type) -> None:
    """Names and annotated types of all contexts. A change here is a change of the public face."""
    found = {field.name: str(field.type).replace('"', "'") for field in attrs.fields(context)}
    assert found == FIELDS[context]
