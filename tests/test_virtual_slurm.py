"""A `FakeSlurm` whose time is virtual: plain scripts, simulated jobs, slurmkit on it, and the history of it all."""

from __future__ import annotations

import math
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import slurmkit
from fakeslurm import FakeSlurm, Node, Simulated, VirtualClock
from fakeslurm.cli import main
from fakeslurm.history import History, JobEnded, JobStarted, JobSubmitted
from fakeslurm.timeline import Timeline
from slurmkit import BaseCallback, Cluster, ExecutionLocus

DAY = 86400.0
START = datetime(2030, 1, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    monkeypatch.chdir(tmp_path)
    with FakeSlurm(nodes=2, clock="virtual") as slurm:
        yield slurm


def sbatch(slurm: FakeSlurm, *argv: str) -> int:
    answer = slurm.execute(["sbatch", "--parsable", *argv])
    assert answer.returncode == 0, answer.stderr
    return int(answer.stdout)


def row(slurm: FakeSlurm, job_id: int) -> list[str]:
    """State, exit code, and how long it ran, as sacct says it."""
    answer = slurm.execute(["sacct", "-XnP", "-j", f"{job_id}", "-o", "State,ExitCode,ElapsedRaw"])
    return answer.stdout.strip().split("|")


# Time


def test_nothing_moves_by_itself(slurm: FakeSlurm) -> None:
    sbatch(slurm, "--begin=now+60", "--wrap=true")
    assert slurm.clock.time() == START
    assert [str(job.state) for job in slurm.jobs()] == ["PENDING"]


def test_advance(slurm: FakeSlurm) -> None:
    slurm.simulate(Simulated(100))
    job_id = sbatch(slurm, "--begin=now+60", "--wrap=true")
    slurm.advance(59)
    assert slurm.jobs()[0].state == "PENDING"
    slurm.advance(1)
    assert slurm.jobs()[0].state == "RUNNING"
    slurm.advance(DAY)
    assert row(slurm, job_id) == ["COMPLETED", "0:0", "100"]
    assert slurm.clock.time() == START + 60 + DAY


def test_run_until_stops_where_it_becomes_true(slurm: FakeSlurm) -> None:
    slurm.simulate(Simulated(100))
    sbatch(slurm, "--wrap=true")
    slurm.run_until(lambda: slurm.jobs()[0].state == "COMPLETED", timeout=1000)
    assert slurm.clock.time() == START + 100
    with pytest.raises(TimeoutError, match="within 50 s"):
        slurm.run_until(lambda: False, timeout=50)
    assert slurm.clock.time() == START + 150


def test_run_until_moves_a_clock_that_does_not_jump_by_itself() -> None:
    with FakeSlurm(clock=VirtualClock(0.0, autojump=False)) as slurm:
        slurm.run_until(lambda: slurm.clock.time() >= 10, timeout=10)
        assert not slurm.clock.autojump  # type: ignore[attr-defined]


def test_time_of_the_machine_is_not_moved() -> None:
    with FakeSlurm() as slurm:
        for move in (lambda: slurm.advance(1), lambda: slurm.run_until(lambda: True, 1)):
            with pytest.raises(RuntimeError, match=r"FakeSlurm has SystemClock: FakeSlurm\(clock='virtual'\)"):
                move()


def test_a_clock_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="clock='fast'; valid are 'virtual'"):
        FakeSlurm(clock="fast")  # type: ignore[arg-type]


def test_frozen_time(slurm: FakeSlurm) -> None:
    before = datetime.now(UTC)
    with slurm.freeze():
        assert time.time() == START
        assert datetime.now(UTC).timestamp() == START
        assert datetime.now().timestamp() == START
        slurm.advance(1.5)
        assert time.time() == START + 1.5
        shown = slurm.execute(["scontrol", "show", "config"]).stdout
        assert time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime()) in shown
    assert datetime.now(UTC) >= before


@pytest.mark.fake_slurm(clock="virtual")
def test_the_fixture_is_frozen(fake_slurm: FakeSlurm) -> None:
    fake_slurm.advance(DAY)
    assert time.time() == fake_slurm.clock.time() == START + DAY


# Scripts in processes


@pytest.mark.parametrize(
    ("script", "options", "expected", "lines"),
    [
        ("sleep 1000; echo rested", [], ["COMPLETED", "0:0", "1000"], "rested\n"),
        ("sleep 1m 0.5h", [], ["COMPLETED", "0:0", "1860"], ""),
        ("srun -n2 sleep 100; sleep 10; srun sleep 5", ["-n2"], ["COMPLETED", "0:0", "115"], ""),
        ("sleep 1d & sleep 2d & wait", [], ["COMPLETED", "0:0", "172800"], ""),
        ("sleep 1d", ["-t10"], ["TIMEOUT", "0:0", "600"], r"slurmstepd-n1: error: \*\*\* JOB 1 ON n1 CANCELLED .*\n"),
        ("trap 'echo told; exit 3' USR1; sleep 1d & wait", ["-t10", "--signal=B:USR1@60"], ["FAILED", "3:0", "510"], "told\n"),
        ("sleep; echo $?", [], ["COMPLETED", "0:0", "0"], "sleep: missing operand\n.*\n1\n"),
        ("sleep 3x; echo $?", [], ["COMPLETED", "0:0", "0"], "sleep: invalid time interval ‘3x’\n.*\n1\n"),
    ],
)  # fmt: skip
def test_scripts_that_sleep(
    slurm: FakeSlurm, tmp_path: Path, script: str, options: list[str], expected: list[str], lines: str
) -> None:
    before = time.monotonic()
    job_id = sbatch(slurm, "-oout", *options, f"--wrap={script}")
    slurm.wait_idle(3 * DAY)
    assert row(slurm, job_id) == expected
    assert re.fullmatch(lines, (tmp_path / "out").read_text())
    assert time.monotonic() - before < 20


def test_time_waits_for_a_process_that_works(slurm: FakeSlurm) -> None:
    job_id = sbatch(slurm, "-t1", f"--wrap=exec {shlex.quote(sys.executable)} -c 'import time; time.sleep(0.3)'")
    slurm.wait_idle(DAY)
    assert row(slurm, job_id) == ["COMPLETED", "0:0", "0"]


def test_advance_does_not_wait_for_a_process(slurm: FakeSlurm) -> None:
    job_id = sbatch(slurm, "-t1", f"--wrap=exec {shlex.quote(sys.executable)} -c 'import time; time.sleep(1000)'")
    slurm.advance(DAY)
    assert row(slurm, job_id) == ["TIMEOUT", "0:0", "60"]


def test_a_program_that_waits_for_the_fake(slurm: FakeSlurm) -> None:
    ran = subprocess.run(["srun", "sleep", "1h"], env=slurm.environ(), timeout=30, check=False)
    assert ran.returncode == 0
    assert slurm.clock.time() == pytest.approx(START + 3600)
    waited = subprocess.run(["sbatch", "-W", "--wrap=sleep 1d"], env=slurm.environ(), timeout=30, check=False)
    assert waited.returncode == 0


# Simulated jobs


@pytest.mark.parametrize(
    ("behaviour", "options", "expected"),
    [
        (Simulated(), [], ["COMPLETED", "0:0", "0"]),
        (Simulated(10.0), [], ["COMPLETED", "0:0", "10"]),
        (Simulated(10.0, exit_code=3), [], ["FAILED", "3:0", "10"]),
        (Simulated(10.0, signal=signal.SIGSEGV), [], ["FAILED", "0:11", "10"]),
        (Simulated(math.inf), ["-t1"], ["TIMEOUT", "0:0", "60"]),
        (Simulated(math.inf, ignores=[signal.SIGTERM]), ["-t1"], ["TIMEOUT", "0:0", "60"]),
        (Simulated(math.inf), ["--signal=B:USR1@10", "-t2"], ["FAILED", "0:10", "90"]),
        (Simulated(100.0, ignores=[signal.SIGUSR1]), ["--signal=B:USR1@10", "-t2"], ["COMPLETED", "0:0", "100"]),
    ],
)
def test_how_simulated_jobs_end(
    slurm: FakeSlurm, behaviour: Simulated, options: list[str], expected: list[str]
) -> None:
    slurm.simulate(behaviour)
    job_id = sbatch(slurm, *options, "--wrap=exit 9")
    slurm.wait_idle(DAY)
    assert row(slurm, job_id) == expected


def test_a_suspended_simulated_job_stands_still(slurm: FakeSlurm) -> None:
    slurm.simulate(Simulated(100))
    job_id = sbatch(slurm, "--wrap=true")
    slurm.advance(40)
    slurm.execute(["scontrol", "suspend", f"{job_id}"])
    slurm.advance(1000)
    slurm.execute(["scontrol", "resume", f"{job_id}"])
    slurm.advance(59)
    assert slurm.jobs()[0].state == "RUNNING"
    slurm.advance(1)
    assert row(slurm, job_id) == ["COMPLETED", "0:0", "100"]


@pytest.mark.parametrize(
    ("outputs", "files"),
    [("", {"out": ""}), ("hello\n", {"out": "hello\n"}), ({"a": "1", "b": "2"}, {"out": "", "a": "1", "b": "2"})],
)
def test_what_simulated_jobs_write(
    slurm: FakeSlurm, tmp_path: Path, outputs: str | dict[str, str], files: dict[str, str]
) -> None:
    slurm.simulate(Simulated(1, outputs=outputs))
    sbatch(slurm, "-oout", "--wrap=true")
    slurm.wait_idle(DAY)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_a_simulated_job_whose_output_cannot_be_opened(slurm: FakeSlurm) -> None:
    slurm.simulate(Simulated(10))
    job_id = sbatch(slurm, "-omissing/out", "--wrap=true")
    slurm.wait_idle(DAY)
    assert row(slurm, job_id) == ["FAILED", "0:53", "0"]


@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_simulated_job_that_cannot_open_a_file_of_its_own(slurm: FakeSlurm, tmp_path: Path, exit_code: int) -> None:
    """What comes before it is there, and its stderr says why."""
    outputs = {"a": "1", "missing/b": "2", "c": "3"}
    slurm.simulate(Simulated(10, exit_code=exit_code, outputs=outputs))
    job_id = sbatch(slurm, "-oout", "--wrap=true")
    slurm.wait_idle(DAY)
    assert row(slurm, job_id) == ["FAILED", f"{exit_code or 1}:0", "10"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out"]
    assert re.fullmatch(
        r"simulated: \[Errno 2\] No such file or directory: '.*/missing/b'\n", (tmp_path / "out").read_text()
    )


def test_a_simulated_job_that_cannot_open_its_file_where_files_are_late(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.simulate(Simulated(10, outputs={"missing/b": "2"}))
    with slurm.fault("result_lag", seconds=5):
        job_id = sbatch(slurm, "-oout", "--wrap=true")
        slurm.advance(20)
    assert row(slurm, job_id) == ["COMPLETED", "0:0", "10"]
    assert "missing/b" in (tmp_path / "out").read_text()


def test_some_jobs_are_simulated(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.simulate(lambda job: Simulated(1, outputs="simulated\n") if job.name == "long" else None)
    sbatch(slurm, "-Jlong", "-olong", "--wrap=echo ran")
    sbatch(slurm, "-Jshort", "-oshort", "--wrap=echo ran")
    slurm.wait_idle(DAY)
    assert [(tmp_path / name).read_text() for name in ("long", "short")] == ["simulated\n", "ran\n"]


def test_what_cannot_be_simulated(slurm: FakeSlurm) -> None:
    with pytest.raises(TypeError, match=r"simulate: 3; expected a Simulated"):
        slurm.simulate(3)  # type: ignore[arg-type]
    for bad in ("duration", "exit_code", "signal"):
        with pytest.raises(ValueError, match=f"{bad} is -1"):
            Simulated(**{bad: -1})


# slurmkit


@slurmkit.task(time="2-0")
def double(x: int) -> int:
    return 2 * x


class Log(BaseCallback):
    """What a callback hears on the client."""

    poll_interval_secs = 60
    requires_pickling = False
    execution_loci = {"on_completed_ctx": ExecutionLocus.CLIENT}  # noqa: RUF012

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []

    def on_job_status_update_ctx(self, ctx: slurmkit.JobStatusUpdatedContext) -> None:
        self.heard.append((ctx.timestamp - START, ctx.status["JobState"]))

    def on_completed_ctx(self, ctx: slurmkit.CompletedContext) -> None:
        self.heard.append(((ctx.end_time or 0.0) - START, f"completed {ctx.job_state}"))


def test_a_day_of_a_poller(slurm: FakeSlurm) -> None:
    slurm.simulate(Simulated(DAY, result=42))
    log = Log()
    with Cluster(slurm.backend(), callbacks=[log]) as cluster:
        assert cluster.submit(double, 1).result() == 42
    updates = [when for when, what in log.heard if what == "RUNNING"]
    assert updates == [60.0 * number for number in range(1441)]
    assert [what for _, what in log.heard[1441:]] == ["COMPLETED", "completed COMPLETED"]
    assert log.heard[-1][0] == DAY


def test_times_of_a_runner_in_a_process_are_virtual(slurm: FakeSlurm) -> None:
    def nap() -> int:
        return subprocess.run(["sleep", "1h"], check=True).returncode

    log = Log()
    with Cluster(slurm.backend(), callbacks=[log]) as cluster:
        job = cluster.submit(nap)
        assert job.result(timeout=2 * 3600) == 0
    assert log.heard[-1] == (3600.0, "completed COMPLETED")
    assert row(slurm, int(job.job_id)) == ["COMPLETED", "0:0", "3600"]


def test_simulated_tasks(slurm: FakeSlurm) -> None:
    slurm.simulate(lambda job: Simulated(5, exit_code=int(job.job_id == 2), result=job.job_id))
    with Cluster(slurm.backend()) as cluster:
        first, second = (cluster.submit(double, 1) for _ in range(2))
        assert first.result() == 1
        with pytest.raises(slurmkit.JobFailed, match="FAILED with exit code 1:0"):
            second.result()
        many = cluster.submit(double.with_options(ntasks=3), 1)
        assert many.results() == [3, 3, 3]


# The history


def workload(seed: int) -> History:
    """A random one: jobs of all sizes and ends, some cancelled, held, requeued; nodes that go and come."""
    chance = random.Random(seed)
    nodes = [Node(f"n{number}", cpus=chance.choice([2, 4, 8])) for number in range(1, chance.randint(2, 6))]
    with (
        FakeSlurm(nodes=nodes, clock=VirtualClock(autojump=False), seed=seed) as slurm,
        tempfile.TemporaryDirectory() as cwd,
    ):
        behave = random.Random(seed + 1)
        slurm.simulate(
            lambda job: Simulated(
                behave.choice([0, 1, 60, 600.5, 7200]), behave.choice([0, 0, 0, 1]), behave.choice([0, 0, 0, 11])
            )
        )
        for _ in range(chance.randint(5, 25)):
            options = [f"-n{chance.randint(1, 6)}", f"-t{chance.choice([1, 30, 300])}"]
            options += chance.choice([[], [], ["-H"], ["--array=1-3%2"], ["--exclusive"], ["--begin=now+100"]])
            slurm.execute(["sbatch", *options, "--wrap=true"], cwd=cwd)
            slurm.advance(chance.choice([0, 0, 1, 30, 1000]))
            job_id = str(chance.randint(1, 30))
            verb = chance.choice([["true"], ["true"], ["scancel"], ["scontrol", "requeue"], ["scontrol", "release"]])
            if verb != ["true"]:
                slurm.execute([*verb, job_id], cwd=cwd)
            if chance.random() < 0.1:
                state = chance.choice(["down", "drain", "resume"])
                slurm.execute(["scontrol", "update", "nodename=n1", f"state={state}", "reason=x"], cwd=cwd)
        slurm.execute(["scontrol", "update", "nodename=n1", "state=resume"], cwd=cwd)
        slurm.advance(2 * DAY)
        return slurm.history


def test_the_same_seed_has_the_same_history() -> None:
    for seed in range(200):
        first, second = workload(seed), workload(seed)
        assert str(first) == str(second), f"workload({seed}) of {__file__} had two histories"
        assert first == second
        assert len(first) >= 5


def test_what_a_history_says(slurm: FakeSlurm) -> None:
    slurm.simulate(Simulated(60))
    sbatch(slurm, "-N2", "--exclusive", "-Jone", "--wrap=true")
    sbatch(slurm, "-n1", "-Jtwo", "--wrap=true")
    slurm.execute(["scancel", "2"])
    slurm.execute(["scontrol", "requeue", "1"])
    slurm.wait_idle(DAY)
    history = slurm.history
    lines = [line.split(None, 1)[1] for line in str(history).splitlines()]
    user = slurm.jobs()[0].user
    assert lines == [
        f"submitted job_id=1 name=one user={user} partition=debug num_nodes=2 num_cpus=8 array=",
        "started   job_id=1 nodes=n1,n2 cpus_per_node=4,4 restart_count=0",
        f"submitted job_id=2 name=two user={user} partition=debug num_nodes=1 num_cpus=1 array=",
        "waits     job_id=2 reason=Resources",
        "ended     job_id=2 state=CANCELLED exit_code=0:0 reason=Resources completing=False",
        "requeued  job_id=1 restart_count=1 reason=BeginTime completing=False",
        "started   job_id=1 nodes=n1,n2 cpus_per_node=4,4 restart_count=1",
        "ended     job_id=1 state=COMPLETED exit_code=0:0 reason=None completing=False",
    ]
    assert str(history).startswith("2030-01-01T00:00:00.000 submitted")
    assert history.of_job(2) == history[2:5]
    assert isinstance(history[0], JobSubmitted)
    assert [type(event) for event in history.of_job(1)[1::2]] == [JobStarted, JobStarted]
    assert isinstance(history[-1], JobEnded)
    assert repr(history) == "<History of 8 events>"
    assert history != list(history)


def test_the_picture(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.simulate(lambda job: Simulated(600, exit_code=int(job.job_id == 2)))
    sbatch(slurm, "-N2", "--exclusive", "-Jfi<rst", "--wrap=true")
    sbatch(slurm, "--exclusive", "--wrap=true")
    slurm.execute(["scontrol", "update", "nodename=n2", "state=drain", "reason=x"])
    slurm.advance(900)
    picture = slurm.timeline()
    svg = picture.svg()
    assert "job 1 fi&lt;rst: 4 CPUs, COMPLETED 0:0; 01-01 00:00:00 to 01-01 00:10:00" in svg
    assert "job 2 wrap: Resources; 01-01 00:00:00 to 01-01 00:10:00" in svg
    assert "job 2 wrap: 4 CPUs; 01-01 00:10:00 to now" in svg
    assert "n2 DRAIN; 01-01 00:00:00 to now" in svg
    assert picture._repr_html_() == svg
    picture.save(tmp_path / "picture.svg")
    picture.save(tmp_path / "picture.html")
    assert (tmp_path / "picture.svg").read_text() == svg
    assert svg in (tmp_path / "picture.html").read_text()


def test_an_empty_picture_and_one_of_many() -> None:
    assert "<svg" in Timeline(History(), ("n1",), 0.0).svg()
    waiting = History(JobSubmitted(float(number), number, "name", "user", "debug", 1, 1) for number in range(1, 11))
    assert "waiting (7 more are not drawn)" in Timeline(waiting, ("n1",), 20.0, most_waiting=3).svg()


def test_a_picture_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.svg"
    assert main(["run", "--timeline", str(out), "--", "sbatch", "-W", f"-o{tmp_path}/o", "--wrap=true"]) == 0
    assert "job 1 wrap: 1 CPUs, COMPLETED 0:0" in out.read_text()
    with pytest.raises(SystemExit):
        main(["run", "--real", "--timeline", str(out), "--", "true"])
    assert "a real Slurm keeps no history" in capsys.readouterr().err


def test_a_closed_slurm_leaves_the_clock_to_the_others() -> None:
    clock = VirtualClock()
    with FakeSlurm(clock=clock) as slurm:
        slurm.execute(["sbatch", "--output=/dev/null", "--wrap=sleep 1d"])
        slurm.advance(1)
        assert clock._listeners
    assert not clock._listeners
    clock.advance(10)
    assert clock.time() == START + 11
