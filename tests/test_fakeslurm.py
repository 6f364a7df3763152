"""FakeSlurm: jobs from submission to end, in real processes; its own life; its arguments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fakeslurm
from fakeslurm import FakeSlurm, Node, Partition
from fakeslurm.ledger import Call, Ledger
from slurmkit.backends.execute import CommandResult
from slurmkit.clock import SystemClock

TIMEOUT = 30.0


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        yield slurm


def submit(slurm: FakeSlurm, cwd: Path, *argv: str) -> int:
    answer = slurm.execute(["sbatch", "--parsable", *argv], cwd=cwd)
    assert answer.returncode == 0, answer
    return int(answer.stdout)


def run(slurm: FakeSlurm, cwd: Path, *argv: str) -> str:
    """A job to its end: ``STATE EXITCODE REASON``."""
    job_id = submit(slurm, cwd, *argv)
    slurm.wait_idle()
    job = next(job for job in slurm.jobs() if job.job_id == job_id)
    return f"{job.state} {job.exit_code} {job.reason}"


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + TIMEOUT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not true in time: {what}"
        pause.wait(0.01)


def written(path: Path) -> str:
    until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path} is written")
    return path.read_text()


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_public_names() -> None:
    assert fakeslurm.__all__ == ["FakeSlurm", "Node", "Partition", "Simulated", "VirtualClock", "__version__", "faults"]
    assert all(hasattr(fakeslurm, name) for name in fakeslurm.__all__)
    assert set(fakeslurm.__all__) <= set(dir(fakeslurm))
    with pytest.raises(AttributeError, match="'fakeslurm' has no attribute 'Nothing'"):
        fakeslurm.Nothing  # noqa: B018


def test_importing_it_imports_nothing() -> None:
    program = "import sys; before = set(sys.modules); import fakeslurm; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"fakeslurm", "__future__"}


# Jobs


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("exit 0", "COMPLETED 0:0 None"),
        ("exit 3", "FAILED 3:0 NonZeroExitCode"),
        ("exit 300", "FAILED 44:0 NonZeroExitCode"),
        ("kill -9 $$", "FAILED 0:9 JobLaunchFailure"),
        ("kill -TERM $$", "FAILED 0:15 JobLaunchFailure"),
        ("sh -c 'kill -9 $$'; exit $?", "FAILED 137:0 NonZeroExitCode"),
        ("srun sh -c 'exit 7'; exit 0", "COMPLETED 0:0 None"),
    ],
)
def test_how_jobs_end(slurm: FakeSlurm, tmp_path: Path, body: str, end: str) -> None:
    assert run(slurm, tmp_path, "--wrap", body) == end


def test_a_script_is_executed_as_it_is(slurm: FakeSlurm, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(f"#!{sys.executable}\nimport sys, os\nprint(sys.argv[1:], os.getcwd())\nprint(sys.argv[0])\n")
    assert run(slurm, tmp_path, str(script), "a b", "", "é") == "COMPLETED 0:0 None"
    first, second = (tmp_path / "slurm-1.out").read_text().splitlines()
    assert first == f"['a b', '', 'é'] {tmp_path}"
    assert second == f"{slurm.directory}/spool/n1/job00001/slurm_script"


def test_the_script_is_what_it_was_when_it_was_submitted(slurm: FakeSlurm, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\necho before\n")
    submit(slurm, tmp_path, "-H", "job.sh")
    script.write_text("#!/bin/sh\necho after\n")
    slurm.execute(["scontrol", "release", "1"])
    slurm.wait_idle()
    assert (tmp_path / "slurm-1.out").read_text() == "before\n"


def test_bad_interpreter(slurm: FakeSlurm, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("#!/no/such/interpreter\n")
    assert run(slurm, tmp_path, "job.sh") == "FAILED 2:0 NonZeroExitCode"
    text = "slurmstepd-n1: error: execve(): bad interpreter(/no/such/interpreter): No such file or directory\n"
    assert (tmp_path / "slurm-1.out").read_text() == text


def test_standard_files(slurm: FakeSlurm, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("input\n")
    body = "cat; echo out; echo err >&2"
    run(slurm, tmp_path, "-i", "in", "-o", "%x.%4j.out", "-e", "%u.err", "-J", "name", "--wrap", body)
    assert (tmp_path / "name.0001.out").read_text() == "input\nout\n"
    assert [path.read_text() for path in tmp_path.glob("*.err")] == ["err\n"]
    run(slurm, tmp_path, "--wrap", "cat; echo out; echo err >&2; echo out2")
    assert (tmp_path / "slurm-2.out").read_text() == "out\nerr\nout2\n"
    run(slurm, tmp_path, "-o", "both", "-e", "both", "--wrap", "echo out; echo err >&2")
    assert (tmp_path / "both").read_text() == "out\nerr\n"
    assert run(slurm, tmp_path, "-o", "none", "--wrap", "echo out") == "COMPLETED 0:0 None"
    assert not (tmp_path / "none").exists()


def test_open_mode(slurm: FakeSlurm, tmp_path: Path) -> None:
    for option, text in (("truncate", "b\n"), ("append", "b\nb\n")):
        run(slurm, tmp_path, "-o", "f", f"--open-mode={option}", "--wrap", "echo b")
        assert (tmp_path / "f").read_text() == text


@pytest.mark.parametrize("option", ["-o/no/such/x", "-e/no/such/x", "-i/no/such/x", "-o", "-D/no/such"])
def test_a_job_that_cannot_be_started(slurm: FakeSlurm, tmp_path: Path, option: str) -> None:
    argv = [option, ""] if option == "-o" else [option]
    assert run(slurm, tmp_path, *argv, "--wrap", "touch ran") == "FAILED 0:53 JobLaunchFailure"
    assert not (tmp_path / "ran").exists()
    assert run(slurm, tmp_path, "--wrap", "true") == "COMPLETED 0:0 None"


def test_directories_of_output_files_are_made_since_24_11(tmp_path: Path) -> None:
    for version, end in (("22.05", "FAILED 0:53 JobLaunchFailure"), ("24.11", "COMPLETED 0:0 None")):
        with FakeSlurm(version=version) as slurm:
            assert run(slurm, tmp_path, "-o", f"{version}/a/out", "-e", f"{version}/b/err", "--wrap=true") == end
        assert (tmp_path / version).exists() == (version == "24.11")


def test_a_missing_directory_with_output_elsewhere(slurm: FakeSlurm, tmp_path: Path) -> None:
    """Measured: the job runs, in /tmp."""
    out = tmp_path / "out"
    assert run(slurm, tmp_path, "-D/no/such", f"-o{out}", "--wrap", "pwd") == "COMPLETED 0:0 None"
    line = "slurmstepd-n1: error: couldn't chdir to `/no/such': No such file or directory: going to /tmp instead\n"
    assert out.read_text() == f"{line}{line}/tmp\n"


def test_directory_and_name_in_the_environment(slurm: FakeSlurm, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    run(slurm, tmp_path, "-D", "sub", "-o", f"{tmp_path}/o", "--wrap", "echo $SLURM_SUBMIT_DIR $SLURM_JOB_NAME; pwd")
    assert (tmp_path / "o").read_text() == f"{tmp_path} wrap\n{tmp_path}/sub\n"
    slurm.execute(["sbatch", "--wait"], cwd=tmp_path, input="#!/bin/sh\necho [$SLURM_JOB_NAME]\n")
    assert (tmp_path / "slurm-2.out").read_text() == "[]\n"


def test_a_job_in_a_job(slurm: FakeSlurm, tmp_path: Path) -> None:
    run(slurm, tmp_path, "--wrap", "sbatch --wait -o inner --wrap 'echo inner $SLURM_JOB_ID'; squeue -h | wc -l")
    assert (tmp_path / "inner").read_text() == "inner 2\n"


def test_jobs_wait_for_resources_in_order(tmp_path: Path) -> None:
    with FakeSlurm(nodes=1, cpus_per_node=1) as slurm:
        for number in range(5):
            submit(slurm, tmp_path, "-o/dev/null", "--wrap", f"echo {number} >> order")
        slurm.wait_idle()
    assert (tmp_path / "order").read_text().split() == ["0", "1", "2", "3", "4"]


# Ending jobs


STUBBORN = (
    "trap '' TERM INT HUP; "
    "setsid sh -c 'trap \"\" TERM; echo $$ > {0}/child; while :; do sleep 0.1; done' & "
    "echo $$ > {0}/top; while :; do sleep 0.1; done"
)
"""A script, and a child in a session of its own, that ignore what they can."""


def pids(tmp_path: Path) -> list[int]:
    return [int(written(tmp_path / name)) for name in ("top", "child")]


def test_scancel_ends_a_job(slurm: FakeSlurm, tmp_path: Path) -> None:
    job_id = submit(slurm, tmp_path, "--wrap", f"echo $$ > {tmp_path}/top; sleep 1000")
    pid = int(written(tmp_path / "top"))
    slurm.execute(["scancel", str(job_id)])
    slurm.wait_idle()
    (job,) = slurm.jobs()
    assert (str(job.state), str(job.exit_code)) == ("CANCELLED", "0:15")
    assert not alive(pid)
    text = (tmp_path / "slurm-1.out").read_text()
    assert re.fullmatch(r"slurmstepd-n1: error: \*\*\* JOB 1 ON n1 CANCELLED AT [-0-9T:]{19} \*\*\*\n", text)


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with FakeSlurm(kill_wait=5) as slurm:
        job_id = submit(slurm, tmp_path, "--wrap", STUBBORN.format(tmp_path))
        victims = pids(tmp_path)
        slurm.execute(["scancel", str(job_id)])
        assert [str(job.state) for job in slurm.jobs()] == ["COMPLETING"]
        slurm.wait_idle()
        (job,) = slurm.jobs()
        assert (str(job.state), str(job.exit_code)) == ("CANCELLED", "0:9")
        assert not any(map(alive, victims))


class AheadClock(SystemClock):
    """The machine's clock, and a number of seconds that a test adds."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def test_the_time_limit_ends_a_job(tmp_path: Path) -> None:
    clock = AheadClock()
    with FakeSlurm(clock=clock) as slurm:
        submit(slurm, tmp_path, "-t1", "--wrap", f"echo $$ > {tmp_path}/top; sleep 1000")
        pid = int(written(tmp_path / "top"))
        clock.ahead = 95.0  # the limit, and the time to the next look at the limits
        slurm.execute(["squeue"])
        slurm.wait_idle()
        (job,) = slurm.jobs()
        assert (str(job.state), str(job.exit_code), job.reason) == ("TIMEOUT", "0:15", "TimeLimit")
        assert not alive(pid)
    assert re.search(
        r"\*\*\* JOB 1 ON n1 CANCELLED AT \S+ DUE TO TIME LIMIT \*\*\*", (tmp_path / "slurm-1.out").read_text()
    )


def test_the_timer_acts_by_itself(tmp_path: Path) -> None:
    """What is due in the future happens without anybody asking."""
    with FakeSlurm() as slurm:
        submit(slurm, tmp_path, "--begin=now+1", "--wrap", "touch began")
        assert str(slurm.jobs()[0].state) == "PENDING"
        until((tmp_path / "began").exists, "the job began")


def test_what_a_script_leaves_behind_is_killed(slurm: FakeSlurm, tmp_path: Path) -> None:
    body = "setsid sh -c 'trap \"\" TERM; echo $$ > left; sleep 1000' & until [ -s left ]; do sleep 0.02; done"
    assert run(slurm, tmp_path, "--wrap", body) == "COMPLETED 0:0 None"
    assert not alive(int((tmp_path / "left").read_text()))


def test_a_script_that_ends_before_its_step(slurm: FakeSlurm, tmp_path: Path) -> None:
    body = "srun sh -c 'echo $$ > step; exec sleep 1000' & until [ -s step ]; do sleep 0.02; done"
    assert run(slurm, tmp_path, "--wrap", body) == "COMPLETED 0:0 None"
    assert not alive(int((tmp_path / "step").read_text()))


# Life


def test_close_is_quick_and_complete(tmp_path: Path) -> None:
    slurm = FakeSlurm().start()
    submit(slurm, tmp_path, "--wrap", STUBBORN.format(tmp_path))
    submit(slurm, tmp_path, "--wrap", "srun -n2 sleep 1000")
    victims = pids(tmp_path)
    directory = slurm.directory
    begun = time.monotonic()
    slurm.close()
    assert time.monotonic() - begun < 30, "far from the 1000 s that the processes would take"
    assert not any(map(alive, victims))
    assert not directory.exists()
    slurm.close()
    with pytest.raises(RuntimeError, match="closed"):
        slurm.execute(["squeue"])
    with pytest.raises(RuntimeError, match="closed"):
        slurm.start()


def test_no_thread_and_no_directory_remain(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with FakeSlurm() as slurm:
        run(slurm, tmp_path, "--wrap", "srun hostname")
        subprocess.run(["squeue"], env=slurm.environ(), check=True, stdout=subprocess.DEVNULL)
        directory = slurm.directory
    until(lambda: set(threading.enumerate()) <= before, "the threads are gone")
    assert not directory.exists()


def test_one_that_is_not_used_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # short: see LONGEST_DIRECTORY
        monkeypatch.setattr("tempfile.tempdir", place)
        with FakeSlurm() as slurm:
            assert slurm.execute(["squeue", "-h"]) == CommandResult(0, "", "")
            assert list(Path(place).iterdir()) == []
            slurm.environ()
            assert len(list(Path(place).iterdir())) == 1
        assert list(Path(place).iterdir()) == []


OWNER = """
import os, sys, threading
from fakeslurm import FakeSlurm
slurm = FakeSlurm().start()
slurm.execute(["sbatch", "-o/dev/null", "--wrap", os.environ["BODY"]])
open("directory", "w").write(f"{slurm.directory}\\n")
if sys.argv[1] == "exit":
    while not os.path.exists("child"):
        threading.Event().wait(0.01)
    sys.exit(0)
threading.Event().wait(1000)
"""


@pytest.mark.parametrize("way", ["kill", "exit"])
def test_nothing_outlives_its_owner(tmp_path: Path, way: str) -> None:
    """One that is never closed, because its process was killed, or just ended."""
    environ = {**os.environ, "BODY": STUBBORN.format(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, way], cwd=tmp_path, env=environ)
    victims = pids(tmp_path)
    directory = Path(written(tmp_path / "directory").strip())
    if way == "kill":
        owner.kill()
    owner.wait(TIMEOUT)
    until(lambda: not any(map(alive, victims)) and not directory.exists(), "everything is gone")


def test_a_forked_child_does_not_own_it(slurm: FakeSlurm, tmp_path: Path) -> None:
    directory = slurm.directory
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork() beside threads is the point of this test
        pid = os.fork()
    if pid == 0:
        slurm.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert directory.exists()
    assert run(slurm, tmp_path, "--wrap", "true") == "COMPLETED 0:0 None"


def test_execute(slurm: FakeSlurm, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such command in fakeslurm; there are sbatch, squeue"):
        slurm.execute(["sview"])
    with pytest.raises(FileNotFoundError):
        slurm.execute([])
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"sbatch did not answer within 0\.2 s"):
        slurm.execute(["sbatch", "-W", "-H", "--wrap=true"], cwd=tmp_path, timeout=0.2)
    assert time.monotonic() - begun < 30, "sbatch -W of a held job would wait for ever"
    assert slurm.execute(["squeue", "-h", "-o", "%i"], timeout=60) == CommandResult(0, "1\n", "")


def test_execute_scrubs_an_outer_job(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SBATCH_PARTITION", "nope")
    run(slurm, tmp_path, "--wrap", "echo $SLURM_JOB_ID")
    assert (tmp_path / "slurm-1.out").read_text() == "1\n"


def test_execute_takes_the_environment_of_the_moment(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("first", "s\udcffcond"):
        monkeypatch.setenv("OF_THE_MOMENT", value)
        run(slurm, tmp_path, "-ovalue", "--wrap", "printf %s $OF_THE_MOMENT")
        assert (tmp_path / "value").read_bytes() == os.fsencode(value)
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], "OF_THE_MOMENT": "third"})
    run(slurm, tmp_path, "-ovalue", "--wrap", "printf %s $OF_THE_MOMENT")
    assert (tmp_path / "value").read_text() == "third"


def test_waiting(slurm: FakeSlurm, tmp_path: Path) -> None:
    submit(slurm, tmp_path, "-H", "--wrap=true")
    with pytest.raises(TimeoutError, match=r"not idle after 0\.1 s; jobs: 1 PENDING \(JobHeldUser\)|JobHeldAdmin"):
        slurm.wait_idle(0.1)
    with pytest.raises(TimeoutError, match="not true within 0"):
        slurm.wait_for(lambda: False, 0)
    assert slurm.wait_for(lambda: slurm.jobs()[0].name) == "wrap"


def test_a_condition_may_call_the_commands(slurm: FakeSlurm, tmp_path: Path) -> None:
    """It is asked when something has happened, and its own questions are nothing that happens."""
    asked = 0

    def finished() -> bool:
        nonlocal asked
        asked += 1
        subprocess.run(["squeue"], env=slurm.environ(), check=True, stdout=subprocess.DEVNULL)
        slurm.execute(["scontrol", "show", "job", "1"])
        return slurm.execute(["squeue", "-h"]).stdout == ""

    submit(slurm, tmp_path, "--wrap", "sleep 1")
    assert slurm.wait_for(finished)
    assert asked < 10


def test_views_stay_as_they_were(slurm: FakeSlurm, tmp_path: Path) -> None:
    submit(slurm, tmp_path, "-H", "--wrap=true")
    before = slurm.jobs()
    slurm.execute(["scancel", "1"])
    assert [str(jobs[0].state) for jobs in (before, slurm.jobs())] == ["PENDING", "CANCELLED"]


# The ledger


def test_every_request_is_in_the_ledger(slurm: FakeSlurm, tmp_path: Path) -> None:
    run(slurm, tmp_path, "--wrap", "squeue > /dev/null; srun sh -c 'exit 3'; sbatch --bogus")
    # The script, and with it the job, may be over before the last call's end is written down.
    until(lambda: all(call.returncode is not None for call in slurm.calls), what="every call has ended")
    assert [(call.command, call.argv, call.returncode, call.via) for call in slurm.calls[1:]] == [
        ("squeue", (), 0, "shim"),
        ("srun", ("sh", "-c", "exit 3"), 3, "shim"),
        ("sbatch", ("--bogus",), 255, "shim"),
    ]
    assert (slurm.calls.count("sbatch"), slurm.calls.count("sacct"), slurm.calls.count()) == (2, 0, 4)
    assert [call.returncode for call in slurm.calls.named("srun", "squeue")] == [0, 3]
    slurm.calls.clear()
    assert len(slurm.calls) == 0


def test_a_ledger_can_be_read_while_it_is_written() -> None:
    ledger = Ledger()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ledger.add(Call("squeue", (), 0.0, "backend", 0))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(200):
            assert len(list(ledger)) <= len(ledger)
    finally:
        stop.set()
        thread.join()


# Arguments


def test_sizes() -> None:
    with FakeSlurm(nodes=2, cpus_per_node=8, memory_per_node=100) as slurm:
        assert slurm.settings.nodes == (Node("n1", 8, 100), Node("n2", 8, 100))
    nodes = [Node("big", 64, 1000), Node("small", 1, 10)]
    with FakeSlurm(nodes=nodes, partitions=[Partition("a", default=True), Partition("b", nodes=["big"])]) as slurm:
        assert slurm.execute(["sinfo", "-h", "-o", "%P %N"]).stdout.split() == ["a*", "big,small", "b", "big"]


def test_versions() -> None:
    for version in ("22.05", "24.11"):
        with FakeSlurm(version=version) as slurm:
            assert slurm.version.startswith(version)
            assert slurm.execute(["squeue", "--version"]).stdout.split()[1] == slurm.version


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"nodes": 0}, ValueError, "nodes=0"),
        ({"nodes": -1}, ValueError, "nodes=-1"),
        ({"nodes": "n[1-4]"}, TypeError, r"nodes='n\[1-4\]'"),
        ({"nodes": True}, TypeError, "nodes=True"),
        ({"nodes": ["n1"]}, TypeError, "nodes="),
        ({"nodes": []}, ValueError, "nodes is empty"),
        ({"nodes": [Node("a"), Node("a")]}, ValueError, "unique"),
        ({"nodes": [Node("a")], "cpus_per_node": 4}, ValueError, "cpus_per_node=4"),
        ({"cpus_per_node": 0}, ValueError, "cpus_per_node=0"),
        ({"cpus_per_node": "4"}, ValueError, "cpus_per_node='4'"),
        ({"memory_per_node": 1.5}, ValueError, "memory_per_node=1.5"),
        ({"partitions": ["debug"]}, TypeError, "partitions="),
        ({"partitions": []}, TypeError, "partitions="),
        ({"version": "9.99"}, ValueError, "version='9.99'; valid are '22.05', '24.11'"),
        ({"kill_wiat": 1}, TypeError, "unknown setting 'kill_wiat'; did you mean 'kill_wait'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        FakeSlurm(**arguments)  # type: ignore[arg-type]


def test_signals_reach_what_they_are_meant_for(slurm: FakeSlurm, tmp_path: Path) -> None:
    """scancel --signal goes to the steps, --batch to the shell alone, --full to everything (measured)."""
    step = "trap 'echo step >> {0}' USR1; echo > up; while :; do sleep 0.02; done"
    (tmp_path / "step.sh").write_text(f"#!/bin/sh\n{step.format('heard')}\n")
    (tmp_path / "step.sh").chmod(0o755)
    body = "trap 'echo batch >> heard' USR1; srun ./step.sh & while :; do wait; done"
    submit(slurm, tmp_path, "--wrap", body)
    until((tmp_path / "up").exists, "the step runs")

    def heard(step: int, batch: int) -> None:
        file = tmp_path / "heard"
        until(lambda: file.exists() and file.read_text().count("batch") == batch, "the script heard it")
        until(lambda: file.read_text().count("step") >= step, "the step heard it")

    slurm.execute(["scancel", "-s", "USR1", "1"])
    heard(step=1, batch=0)
    slurm.execute(["scancel", "-s", "USR1", "--batch", "1"])
    heard(step=1, batch=1)
    slurm.execute(["scancel", "-s", "USR1", "--full", "1"])
    heard(step=2, batch=2)  # srun, which is a child of the script, hears it as well and passes it on
