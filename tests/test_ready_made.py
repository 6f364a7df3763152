"""`LoggingCallback`, `JsonlCallback` and `ProgressCallback`."""

from __future__ import annotations

import io
import json
import logging
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console
from stub_slurm import StubSlurm

from slurmkit import (
    BaseCallback,
    Cluster,
    CompletedContext,
    ExecutionLocus,
    Job,
    JobContext,
    JsonlCallback,
    LoggingCallback,
    ProgressCallback,
    RunBeginContext,
    RunEndContext,
)
from slurmkit.callbacks.dispatch import plan


def double(x: int) -> int:
    return 2 * x


def fail() -> None:
    raise ValueError("no")


RUN: dict[str, Any] = {
    "job_id": "7",
    "job_dir": "/jobs/x",
    "module": "m",
    "function": "f",
    "hostname": "n1",
    "start_time": 1.0,
    "attempt": 0,
    "restart_count": 0,
    "job_context": JobContext.fake([2], rank=1),
}
BEGIN = RunBeginContext(
    **RUN,
    args_path="/jobs/x/args.pkl",
    kwargs_path="/jobs/x/kwargs.pkl",
    python_executable="/usr/bin/python3",
    python_version="3.11.2",
    working_directory="/home",
    environment_snapshot={"SLURM_JOB_ID": "7"},
)
END = RunEndContext(
    **RUN,
    status="success",
    error_type=None,
    error_message=None,
    traceback=None,
    stdout_path="/jobs/x/stdout",
    stderr_path="/jobs/x/stderr",
    end_time=3.5,
    duration=2.5,
    cause=None,
)
FAILED = attrs.evolve(END, status="failure", error_type="ValueError", error_message="no", traceback="Traceback ...")
COMPLETED = CompletedContext(
    job=None,
    job_id="7",
    job_dir="/jobs/x",
    job_state="FAILED",
    exit_code="1:0",
    reason=None,
    status={},
    emitted_by=ExecutionLocus.RUNNER,
    stdout_path="/jobs/x/stdout",
    stderr_path="/jobs/x/stderr",
    start_time=1.0,
    end_time=3.5,
    duration=2.5,
    error_type="ValueError",
    error_message="no",
    traceback="Traceback ...",
    attempt=0,
    restart_count=0,
    cause=None,
    job_context=None,
)


def follow(callback: BaseCallback, tmp_path: Path, function: Any = double, *args: Any) -> str:
    """One job from its submission to its end."""
    slurm = StubSlurm()
    with Cluster(slurm, callbacks=[callback], job_root=tmp_path / "jobs") as cluster:
        job = cluster.submit(function, *args)
        slurm.start(job.job_id)
        cluster.refresh()
        slurm.run(job.job_id)
        job.exception(timeout=60)
        return job.job_id


# --- logging ----------------------------------------------------------------------------------------------------------


def test_logging_on_the_client(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    follow(LoggingCallback(poll_interval_secs=3600), tmp_path, double, 1)
    lines = [record.getMessage() for record in caplog.records if record.name == "slurmkit.events"]
    begin = [line.split(" in ")[0].split(" from ")[0] for line in lines]
    name = f"{__name__}.double"
    assert begin[:3] == [f"packaging {name}", f"packaged {name}", begin[2]]
    assert begin[2].startswith(f"submitting {name} job_name=double")
    assert begin[3] == f"job 1: submitted {name}"
    states = [line for line in lines[4:] if "completed" not in line]
    assert states[-1] == "job 1: COMPLETED"
    assert set(states) <= {"job 1: PENDING", "job 1: RUNNING", "job 1: COMPLETED"}
    assert lines[-1].startswith("job 1: completed, seen by the client: COMPLETED, exit code 0:0")
    assert {record.levelno for record in caplog.records if record.name == "slurmkit.events"} == {logging.INFO}


def test_logging_in_the_job(caplog: pytest.LogCaptureFixture) -> None:
    callback = pickle.loads(pickle.dumps(LoggingCallback(logging.getLogger("mine"), logging.DEBUG)))
    caplog.set_level(logging.DEBUG, "mine")
    callback.on_begin_run_job_ctx(BEGIN)
    callback.on_end_run_job_ctx(END)
    callback.on_end_run_job_ctx(FAILED)
    callback.on_completed_ctx(COMPLETED)
    callback.on_end_run_job_ctx(attrs.evolve(FAILED, cause="PREEMPTED"))
    callback.on_completed_ctx(attrs.evolve(COMPLETED, cause="PREEMPTED"))
    callback.on_completed_ctx(attrs.evolve(COMPLETED, job_state="TIMEOUT", cause="TIMEOUT"))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "job 7: rank 1 of 2 begins m.f on n1"),
        ("DEBUG", "job 7: rank 1 ends after 2.500 s: success"),
        ("WARNING", "job 7: rank 1 ends after 2.500 s: failure, ValueError: no"),
        ("WARNING", "job 7: completed, seen by the runner: FAILED, exit code 1:0, 2.5 s, ValueError: no"),
        ("WARNING", "job 7: rank 1 ends after 2.500 s: failure, ValueError: no (PREEMPTED)"),
        ("WARNING", "job 7: completed, seen by the runner: FAILED, exit code 1:0, 2.5 s, ValueError: no (PREEMPTED)"),
        ("WARNING", "job 7: completed, seen by the runner: TIMEOUT, exit code 1:0, 2.5 s, ValueError: no"),
    ]


def test_logging_in_a_job_that_has_not_configured_it() -> None:
    program = "import test_ready_made as t; c = t.LoggingCallback(); c.on_begin_run_job_ctx(t.BEGIN); c.on_completed_ctx(t.COMPLETED)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.splitlines()[0] == "INFO:slurmkit.events:job 7: rank 1 of 2 begins m.f on n1"
    assert done.stderr.splitlines()[1].startswith("WARNING:slurmkit.events:job 7: completed, seen by the runner")


# --- JSON lines -------------------------------------------------------------------------------------------------------


def test_jsonl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    callback = JsonlCallback("events.jsonl", poll_interval_secs=3600)
    monkeypatch.chdir("/")
    job_id = follow(callback, tmp_path, fail)
    shipped = pickle.loads(pickle.dumps(callback))
    shipped.on_begin_run_job_ctx(BEGIN)
    shipped.on_end_run_job_ctx(FAILED)
    shipped.on_completed_ctx(COMPLETED)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    kinds = [(event["event"], event["side"]) for event in events if event["event"] != "job_status_update"]
    assert kinds == [
        ("begin_package", "client"),
        ("end_package", "client"),
        ("begin_submit_job", "client"),
        ("end_submit_job", "client"),
        ("completed", "client"),
        ("begin_run_job", "runner"),
        ("end_run_job", "runner"),
        ("completed", "runner"),
    ]
    by_kind = {(event["event"], event["side"]): event for event in events}
    submitted = by_kind["end_submit_job", "client"]
    assert (submitted["job"], submitted["job_id"]) == (job_id, job_id)
    assert submitted["task"] == f"{__name__}.fail"
    assert submitted["cluster"] == "stub"
    assert submitted["packaging_strategy"] == "inherit"
    assert by_kind["end_package", "client"]["packaging_result"]["python"]
    update = by_kind["job_status_update", "client"]
    assert (update["status"]["JobState"], update["is_terminal"]) == ("FAILED", True)
    completed = by_kind["completed", "client"]
    assert (completed["job_state"], completed["emitted_by"], completed["error_type"]) == (
        "FAILED",
        "client",
        "ValueError",
    )
    assert "ValueError: no" in completed["traceback"]
    begin = by_kind["begin_run_job", "runner"]
    assert (begin["job_context"]["rank"], begin["job_context"]["hostnames"]) == (1, ["n1"])
    assert "environment" not in begin["job_context"]
    for event in events:
        assert event["written"] > 0
        assert event["pid"] > 0
        assert event["hostname"]


def test_jsonl_lines_of_many_writers_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    big = attrs.evolve(FAILED, traceback="x" * 20_000)

    def write() -> None:
        for _ in range(20):
            JsonlCallback(path).on_end_run_job_ctx(big)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 160
    assert {len(json.loads(line)["traceback"]) for line in lines} == {20_000}


def test_jsonl_to_nowhere_is_an_error_of_the_hook(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    follow(JsonlCallback(tmp_path / "gone" / "events.jsonl", None), tmp_path, double, 1)
    failures = [record for record in caplog.records if record.name == "slurmkit.callbacks"]
    assert len(failures) == 5
    assert "FileNotFoundError" in caplog.text


# --- progress ---------------------------------------------------------------------------------------------------------


def screen() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=100, force_terminal=False, color_system=None), text


def test_progress_shows_a_line_per_job(tmp_path: Path) -> None:
    console, text = screen()
    slurm = StubSlurm()
    with (
        ProgressCallback(0.02, console=console) as progress,
        Cluster(slurm, callbacks=[progress], job_root=tmp_path / "jobs") as cluster,
    ):
        jobs: list[Job[Any]] = [cluster.submit(double, 0), cluster.submit(double, 1), cluster.submit(fail)]
        held = cluster.submit(double, 9)
        slurm.end(held.job_id, "PENDING", reason="JobHeldUser")
        for job in jobs:
            slurm.run(job.job_id)
            job.exception(timeout=60)
        threading.Event().wait(0.1)
    lines = text.getvalue().splitlines()
    assert lines[0].strip() == "3 of 4 jobs done"
    table = [line.split() for line in lines[2:]]
    assert [row[:3] for row in table if row] == [
        ["1", "double", "COMPLETED"],
        ["2", "double", "COMPLETED"],
        ["3", "fail", "FAILED"],
        ["4", "double", "PENDING"],
    ]
    assert "ValueError: no" in lines[4]
    assert "JobHeldUser" in lines[5]


def test_progress_without_a_block_ends_with_the_last_job(tmp_path: Path) -> None:
    console, text = screen()
    progress = ProgressCallback(console=console)
    before = set(threading.enumerate())
    for round in (1, 2):
        follow(progress, tmp_path, double, 1)
        assert text.getvalue().count("1 of 1 jobs done") == round
    for thread in set(threading.enumerate()) - before:
        thread.join(60)  # rich tells its thread to end, and does not wait for it
        assert not thread.is_alive(), thread.name


def test_progress_of_many_jobs_is_short(tmp_path: Path) -> None:
    console, text = screen()
    slurm = StubSlurm()
    with (
        ProgressCallback(3600, console=console, max_lines=3) as progress,
        Cluster(slurm, callbacks=[progress], job_root=tmp_path / "jobs") as cluster,
    ):
        jobs = [cluster.submit(double, n) for n in range(10)]
        slurm.run(jobs[0].job_id)
        jobs[0].result(timeout=60)
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert [line[0] for line in lines[2:] if line] == ["2", "3", "4", "..."]
    assert lines[5] == ["...", "7", "more"]


def test_progress_on_a_terminal_is_live(tmp_path: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True)
    follow(ProgressCallback(console=console), tmp_path, double, 1)
    shown = text.getvalue()
    assert "0 of 1 jobs done" in shown
    assert "1 of 1 jobs done" in shown
    assert shown.index("\x1b[?25l") < shown.rindex("\x1b[?25h"), "the cursor comes back"


def test_progress_never_leaves_the_client() -> None:
    progress = ProgressCallback()
    assert not progress.requires_pickling
    assert plan([progress]).shipped == ()


def test_progress_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.live", None)
    with pytest.raises(ImportError, match=r"pip install 'slurmkit\[rich\]'"):
        ProgressCallback()
