"""Attempts of a job: how they are told to end, what they leave to the next one, and how the next one begins."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import runner_jobs
from runner_jobs import SECONDS, batch_environment, install_srun, make_job

from slurmkit import (
    Checkpoint,
    JobContext,
    JobEnvironmentError,
    OptionError,
    Requeue,
    checkpoints,
    current_job_context,
    jobdir,
    task,
)
from slurmkit.lifecycle import deadline
from slurmkit.outcome import part_of_output
from slurmkit.packaging.inherit import Inherit
from slurmkit.prepare import with_defaults
from slurmkit.runner import leader
from slurmkit.runner.ending import cause_in, requeue
from slurmkit.script import render

SCONTROL = """\
#!/bin/sh
echo "$*" >> "$SRUN_LOG.scontrol"
case "$*" in
*"show job"*) echo "JobId=77 JobName=x JobState=$STATE Reason=None" ;;
requeue*) [ -z "$REFUSED" ] || { echo "$REFUSED" >&2; exit 1; } ;;
esac
"""


class Runs:
    """Attempts of one job after another, as Slurm runs them."""

    def __init__(self, root: Path, function: Callable[..., Any], *args: Any, **how: Any) -> None:
        self.env = {**install_srun(root / "bin"), "STATE": "RUNNING", "SLURM_JOB_END_TIME": ""}
        scontrol = root / "bin" / "scontrol"
        scontrol.write_text(SCONTROL)
        scontrol.chmod(0o755)
        self.layout: Sequence[int] = how.pop("layout", (1,))
        self.job_dir = make_job(root / "jobs", function, *args, **how)
        self.attempt = 0
        self.process: Any = None

    def start(self, **env: str) -> None:
        restarts = {"SLURM_RESTART_COUNT": str(self.attempt)} if self.attempt else {}
        self.process = runner_jobs.start(self.job_dir, batch_environment(self.layout, **self.env, **restarts, **env))
        self.attempt += 1

    def wait(self) -> int:
        return int(self.process.wait(SECONDS))

    def run(self, **env: str) -> int:
        self.start(**env)
        return self.wait()

    def value(self, rank: int = 0) -> Any:
        return jobdir.read_value(self.job_dir, rank)

    @property
    def stderr(self) -> str:
        return (self.job_dir / "stderr").read_text()

    @property
    def completed(self) -> dict[str, Any]:
        return jobdir.read_journal(self.job_dir)[-1]

    @property
    def asked(self) -> list[str]:
        path = Path(self.env["SRUN_LOG"] + ".scontrol")
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Callable[..., Runs]]:
    made: list[Runs] = []

    def make(function: Callable[..., Any], *args: Any, **how: Any) -> Runs:
        made.append(Runs(tmp_path, function, *args, **how))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(SECONDS)


ASKED = ["--oneliner show job 77", "requeue 77"]


def ask_until_told(started: str, *, job: JobContext) -> str:
    while not job.should_stop():
        Path(f"{started}.{job.rank}").touch()
        threading.Event().wait(0.01)
    return "told"


def wait_for_ever(started: str) -> None:
    Path(started).touch()
    threading.Event().wait(SECONDS)


class Walk:
    """Counts its attempts in itself, and its arguments on."""

    def __init__(self) -> None:
        self.attempts = 0

    def __call__(self, started: str, steps: int = 0, *, job: JobContext) -> tuple[int, int]:
        self.attempts += 1
        Path(f"{started}.{job.rank}").touch()
        if self.attempts < 3:
            threading.Event().wait(SECONDS)
        return self.attempts, steps

    def checkpoint(self, started: str, steps: int = 0, *, job: JobContext) -> Requeue:
        return Requeue(started, steps=steps + 10 + job.rank)


# Told to stop


@pytest.mark.parametrize("layout", [(1,), (2, 1)])
@pytest.mark.parametrize(
    ("warning", "number"), [("B:USR2@60", signal.SIGUSR2), ("USR1@10", signal.SIGUSR1), (None, signal.SIGTERM)]
)
def test_every_rank_is_told(runs: Any, tmp_path: Path, layout: tuple[int, ...], warning: Any, number: int) -> None:
    job = runs(ask_until_told, str(tmp_path / "started"), layout=layout, warning=warning)
    job.start()
    for rank in range(sum(layout)):
        runner_jobs.until((tmp_path / f"started.{rank}").exists, f"rank {rank} asks")
    if number == signal.SIGTERM:  # Slurm's, to all processes
        os.killpg(job.process.pid, number)
    else:
        job.process.send_signal(number)
    assert job.wait() == 0
    assert [job.value(rank) for rank in range(sum(layout))] == ["told"] * sum(layout)


def test_a_function_that_does_not_ask_lives_on_when_it_is_warned(runs: Any, tmp_path: Path) -> None:
    def wait_for_release(started: str, release: str) -> str:
        Path(started).touch()
        while not Path(release).exists():
            threading.Event().wait(0.01)
        return "released"

    started, release = tmp_path / "started", tmp_path / "release"
    job = runs(wait_for_release, str(started), str(release), warning="USR1@10")
    job.start()
    runner_jobs.until(started.exists, "the function runs")
    job.process.send_signal(signal.SIGUSR1)
    release.touch()
    assert (job.wait(), job.value()) == (0, "released")


@pytest.mark.parametrize(
    ("option", "number"),
    [
        ("B:USR2@60", signal.SIGUSR2),
        ("USR1", signal.SIGUSR1),
        ("R:sigusr1@10", signal.SIGUSR1),
        ("10@5", 10),
        ("B:TERM@60", None),
        ("KILL", None),
        ("NONSENSE@3", None),
        ("_IGN@3", None),
        ("_BLOCK", None),
        ("", None),
    ],
)
def test_the_warning_signal_is_that_of_the_option(option: str, number: int | None) -> None:
    assert leader.warning_signal({"options": {"signal": option}}) == number


def test_a_script_that_is_warned_before_python_has_started_lives_on(runs: Any, tmp_path: Path) -> None:
    def text(**options: Any) -> str:
        return render(options=options, job_dir="/j", packaging=Inherit().package(task(wait_for_ever)))

    assert "\ntrap '' USR2\n" in text(signal="B:USR2@60")
    assert "\ntrap '' 35\n" in text(signal="35@60")
    assert "trap" not in text(signal="B:TERM@60")
    assert "trap" not in text(time="5")


# The end that is known before


def test_should_stop_when_less_than_the_margin_remains() -> None:
    import time

    job = JobContext.fake(deadline=time.time() + 100)
    assert not job.should_stop(margin=50)
    assert job.should_stop(margin=200)
    assert 90 < (job.remaining() or 0.0) <= 100
    assert JobContext.fake(deadline=time.time() - 5).remaining() == 0.0


def test_without_a_limit_there_is_no_deadline() -> None:
    for job in (JobContext.fake(), JobContext.local()):
        assert (job.deadline, job.remaining()) == (None, None)
    year = 365 * 24 * 3600
    env = {"SLURM_JOB_ID": "1", "SLURM_JOB_START_TIME": "1000"}
    assert deadline("1", {**env, "SLURM_JOB_END_TIME": f"{1000 + year}"}) is None
    assert deadline("1", {**env, "SLURM_JOB_END_TIME": "1060"}) == 1060.0


def deadlines(*, job: JobContext) -> list[float | None]:
    return [job.deadline, job.deadline]


@pytest.mark.parametrize(("end", "expected"), [("2030-01-01T00:00:00", 1.0), ("Unknown", None)])
@pytest.mark.parametrize("layout", [(1,), (2, 1)])
def test_a_release_that_does_not_tell_is_asked_once_per_job(
    runs: Any, layout: tuple[int, ...], end: str, expected: float | None
) -> None:
    job = runs(deadlines, layout=layout)
    del job.env["SLURM_JOB_END_TIME"]
    job.env["STATE"] = f"RUNNING StartTime=2029-12-31T23:00:00 EndTime={end}"
    assert job.run() == 0
    found = [deadline for rank in range(sum(layout)) for deadline in job.value(rank)]
    assert {one is None for one in found} == {expected is None}
    assert len(set(found)) == 1
    assert job.asked == ASKED[:1]


# Requeue


def requeue_twice(counted: int, *, job: JobContext) -> tuple[int, int]:
    if job.attempt < 2:
        raise Requeue(counted + 1)
    return counted, job.attempt


def test_the_next_attempt_is_called_with_what_requeue_says(runs: Any) -> None:
    job = runs(requeue_twice, 5, max_requeues=2)
    for _ in range(2):
        assert job.run() == 0
        assert (job.completed["job_state"], job.completed["cause"]) == ("REQUEUED", "REQUEUED")
    assert job.asked == ASKED * 2
    assert (job.run(), job.value()) == (0, (7, 2))
    assert (job.completed["job_state"], job.completed["cause"], job.completed["attempt"]) == ("COMPLETED", None, 2)
    assert job.stderr == "slurmkit: rank 0 on n1 asked to be requeued\n" * 2


def test_requeue_without_arguments_keeps_them_as_they_are_now(runs: Any) -> None:
    def gather(found: list[int], *, job: JobContext) -> list[int]:
        found.append(job.attempt)
        if job.attempt < 2:
            raise Requeue
        return found

    job = runs(gather, [], max_requeues=5)
    assert [job.run() for _ in range(3)] == [0, 0, 0]
    assert job.value() == [0, 1, 2]


@pytest.mark.parametrize(
    ("limit", "words"),
    [(None, "max_requeues is not set"), (0, "this was attempt 0, and max_requeues is 0")],
)
def test_a_requeue_that_is_one_too_many(runs: Any, limit: int | None, words: str) -> None:
    job = runs(requeue_twice, 0, max_requeues=limit)
    assert job.run() == 1
    assert words in job.completed["error_message"]
    assert job.asked == []


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"STATE": "COMPLETING"}, "Slurm is ending the job, which is COMPLETING"),
        ({"REFUSED": "Requested operation is presently disabled for job 77"}, "presently disabled"),
    ],
)
def test_a_job_that_slurm_does_not_requeue_has_failed(
    runs: Any, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], words: str
) -> None:
    job = runs(requeue_twice, 0, max_requeues=1)
    job.env |= env
    monkeypatch.setattr("slurmkit.runner.ending._DELAYS", ())
    if "REFUSED" in env:  # tried again and again: in this process, where that takes no time
        assert words in (requeue("77", batch_environment(**job.env)) or "")
        return
    assert job.run() == 1
    assert words in job.completed["error_message"]
    assert (job.completed["job_state"], job.completed["cause"]) == ("FAILED", None)


def test_an_attempt_beyond_max_requeues_does_not_begin(runs: Any, tmp_path: Path) -> None:
    job = runs(wait_for_ever, str(tmp_path / "started"), max_requeues=1)
    job.attempt = 2
    assert job.run() == leader.RUNNER_FAILED
    assert not (tmp_path / "started").exists()
    assert job.completed["error_message"] == "the job has been requeued 2 times, and max_requeues is 1"


def test_a_rank_that_fails_comes_before_those_that_ask_to_be_requeued(runs: Any) -> None:
    def one_fails(*, job: JobContext) -> None:
        if job.rank == 1:
            raise ValueError("no")
        raise Requeue

    job = runs(one_fails, max_requeues=1, layout=(2,))
    assert job.run() == 1
    assert (job.completed["error_type"], job.asked) == ("ValueError", [])


# Checkpoint


@pytest.mark.parametrize("layout", [(1,), (2,)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_checkpoint_goes_on_from_attempt_to_attempt(
    runs: Any, tmp_path: Path, number: signal.Signals, layout: tuple[int, ...]
) -> None:
    job = runs(Walk(), str(tmp_path / "started"), max_requeues=5, warning="B:USR2@60", layout=layout)
    for _ in range(2):
        job.start()
        for rank in range(sum(layout)):
            started = tmp_path / f"started.{rank}"
            runner_jobs.until(started.exists, "it runs")
            started.unlink()
        if number == signal.SIGTERM:
            os.killpg(job.process.pid, number)
        else:
            job.process.send_signal(number)
        assert job.wait() == (143 if number == signal.SIGTERM else 0)
    assert job.asked == ASKED * 2
    assert job.run() == 0
    assert [job.value(rank) for rank in range(sum(layout))] == [(3, 20 + 2 * rank) for rank in range(sum(layout))]
    assert sorted(path.name for path in job.job_dir.glob("call.*")) == [f"call.1.{n}.pkl" for n in range(sum(layout))]


SLOW = """
import os, pathlib, sys, time
place = pathlib.Path({place!r})
if "--rank" in sys.orig_argv:
    (place / ("here." + os.environ["SLURM_PROCID"])).write_text(str(os.getpid()))
    while not (place / "gate").exists():
        time.sleep(0.01)
"""
"""A sitecustomize.py: ranks take long to start."""


def is_told() -> bool:
    return current_job_context().should_stop(margin=0.0)


def test_a_warning_that_comes_before_the_ranks_have_started(runs: Any, tmp_path: Path) -> None:
    """It does not end them, and they hear of it: in that attempt."""
    (tmp_path / "sitecustomize.py").write_text(SLOW.format(place=str(tmp_path)))
    job = runs(is_told, warning="B:USR2@60", layout=(2,))
    job.start(PYTHONPATH=str(tmp_path))
    here = [tmp_path / f"here.{rank}" for rank in range(2)]
    runner_jobs.until(lambda: all(path.exists() and path.read_text() for path in here), "the ranks start")
    job.process.send_signal(signal.SIGUSR2)
    runner_jobs.until((job.job_dir / "warned.0").exists, "the warning is written down")
    for path in here:
        os.kill(int(path.read_text()), signal.SIGUSR2)
    (tmp_path / "gate").touch()
    assert job.wait() == 0
    assert [job.value(rank) for rank in range(2)] == [True, True]
    assert job.run() == 0
    assert [job.value(rank) for rank in range(2)] == [False, False]
    assert not list(job.job_dir.glob("warned*"))


def test_a_checkpoint_without_max_requeues_is_left_for_slurm_to_requeue(runs: Any, tmp_path: Path) -> None:
    job = runs(Walk(), str(tmp_path / "started"))
    for _ in range(2):
        job.start()
        runner_jobs.until((tmp_path / "started.0").exists, "it runs")
        (tmp_path / "started.0").unlink()
        os.killpg(job.process.pid, signal.SIGTERM)
        assert job.wait() == 143
        assert job.completed["error_type"] == "Terminated"
    assert (job.run(), job.value()) == (0, (3, 20))
    assert job.asked == []


def test_a_checkpoint_that_returns_something_else(runs: Any, tmp_path: Path) -> None:
    class Wrong(Walk):
        def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
            return 7

    job = runs(Wrong(), str(tmp_path / "started"), max_requeues=1, warning="USR2")
    job.start()
    runner_jobs.until((tmp_path / "started.0").exists, "it runs")
    job.process.send_signal(signal.SIGUSR2)
    assert job.wait() == 1
    assert job.completed["error_message"] == "checkpoint() returned 7; valid: a slurmkit.Requeue"


def test_all_ranks_go_on_from_the_same_attempt() -> None:
    names = ["call.0.0.pkl", "call.0.1.pkl", "call.1.0.pkl", "call.2.x.pkl", "call.1", ".call.1.1.pkl.5.ab.tmp"]
    assert checkpoints.chosen_call(names, 2) == 0
    assert checkpoints.chosen_call(names, 1) == 1
    assert checkpoints.chosen_call([*names, "call.1.1.pkl"], 2) == 1
    assert checkpoints.chosen_call([], 1) is None


# What a task saves


def test_what_is_saved_is_there_for_later_attempts(tmp_path: Path) -> None:
    def attempt(number: int, rank: int = 0) -> JobContext:
        return JobContext.fake([2], rank=rank, restart_count=number, job_dir=tmp_path)

    assert attempt(0).load_checkpoint("nothing") == "nothing"
    attempt(0).save_checkpoint([1])
    attempt(0, rank=1).save_checkpoint([5])
    attempt(0).save_checkpoint([1, 2])
    assert attempt(1).load_checkpoint() == [1, 2]
    assert attempt(1).load_checkpoint(rank=1) == [5]
    attempt(1).save_checkpoint([1, 2, 3])
    attempt(0).save_checkpoint(["of a node that Slurm has lost"])
    assert attempt(0).load_checkpoint() == attempt(2).load_checkpoint() == [1, 2, 3]


def test_a_checkpoint_that_cannot_be_saved_leaves_the_one_before(tmp_path: Path) -> None:
    job = JobContext.fake(job_dir=tmp_path)
    job.save_checkpoint("good")
    with pytest.raises(TypeError, match="the checkpoint"):
        job.save_checkpoint([threading.Lock()])
    assert job.load_checkpoint() == "good"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.0.0.pkl"]


def test_outside_of_a_job_of_slurmkit_nothing_is_kept() -> None:
    job = JobContext.local()
    job.save_checkpoint(1)
    assert job.load_checkpoint(2) == 2
    with pytest.raises(JobEnvironmentError, match="JOB_DIR is not set"):
        JobContext.fake().save_checkpoint(1)


# Whose words, whose output


NOTICE = b"slurmstepd-n1: error: *** %s ON n1 CANCELLED AT 2026-11-29T16:07:20%s ***\n"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b"", None),
        (NOTICE % (b"JOB 9", b""), None),
        (NOTICE % (b"JOB 9", b" DUE TO PREEMPTION"), "PREEMPTED"),
        (NOTICE % (b"STEP 9.0", b" DUE TO TIME LIMIT"), "TIMEOUT"),
        (NOTICE % (b"JOB 9", b" DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS"), "NODE_FAIL"),
        (b"said\n" + NOTICE % (b"JOB 9", b" DUE TO JOB REQUEUE") + b"and on\n", "REQUEUED"),
        (NOTICE % (b"JOB 99", b" DUE TO PREEMPTION"), None),
    ],
)
def test_the_cause_in_slurms_words(text: bytes, cause: str | None) -> None:
    assert cause_in(text, "9") == cause


def test_each_attempt_has_its_part_of_the_output() -> None:
    events: list[dict[str, Any]] = [
        {"event": "started", "attempt": 0, "written": {"stdout": 0}},
        {"event": "completed", "attempt": 0},
        {"event": "started", "attempt": 2, "written": {"stdout": 30}},
    ]
    assert [part_of_output(events, "stdout", attempt) for attempt in range(4)] == [(0, 30), (0, 0), (30, None), (0, 0)]
    assert part_of_output(events, "stderr", 2) == (0, None)


# The task's options


def test_max_requeues_lets_the_job_be_requeued_and_warned() -> None:
    counted = task(max_requeues=3, time=5)(requeue_twice)
    assert dict(with_defaults(counted, {})) == {
        "signal": "B:USR2@60", "requeue": True, "job_name": "requeue_twice", "time": "5",
    }  # fmt: skip
    own = counted.with_options(signal="B:USR1@300")
    assert (own.max_requeues, with_defaults(own, {})["signal"]) == (3, "B:USR1@300")
    assert counted.with_options(max_requeues=None).max_requeues is None
    assert "signal" not in with_defaults(counted.with_options(max_requeues=0), {})
    with pytest.raises(OptionError, match="contradicts 'no_requeue'"):
        with_defaults(counted.with_options(no_requeue=True), {})


@pytest.mark.parametrize("value", [-1, 1.5, "3", True])
def test_max_requeues_that_is_no_number_of_times(value: Any) -> None:
    with pytest.raises(OptionError, match=r"max_requeues is .*; valid: a whole number of 0 or more, or None"):
        task(max_requeues=value)(requeue_twice)


def test_a_checkpoint_is_a_task() -> None:
    walk = Walk()
    assert isinstance(walk, Checkpoint)
    walking = task(walk, max_requeues=1)
    assert (walking.__name__, walking.func, walking.max_requeues) == ("Walk", walk, 1)
    back = pickle.loads(pickle.dumps(walking))
    assert (type(back.func), back.max_requeues) == (Walk, 1)
    with pytest.raises(TypeError, match=r"is no function: a task is a function, or a slurmkit\.Checkpoint"):
        task(object())  # type: ignore[call-overload]
