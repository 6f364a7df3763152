"""slurmstepd: what it starts, what it reports, and that nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakeslurm import processes
from fakeslurm.steps import File, RunningStep, StepDaemon, StepSpec, Task, program

TIMEOUT = 20.0
PATH = os.environ["PATH"]


class Heard:
    """A listener that remembers, and lets a test wait."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.statuses: dict[int, int] = {}
        self.max_rss: dict[int, int] = {}
        self.failure: tuple[int, int] | None = None
        self.ready = threading.Event()
        self.over = threading.Event()

    def failed(self, file: int, errno: int) -> None:
        self.failure = (file, errno)

    def started(self, pids: list[int]) -> None:
        self.pids = pids
        self.ready.set()

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        self.statuses[index] = wait_status
        self.max_rss[index] = max_rss

    def ended(self) -> None:
        self.over.set()

    def wait(self) -> Heard:
        assert self.over.wait(TIMEOUT), "the step did not end"
        return self


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[StepDaemon]:
    directory = tmp_path / "daemon"
    directory.mkdir()
    daemon = StepDaemon(directory)
    yield daemon
    daemon.close()
    assert not directory.exists()


Launch = Callable[..., tuple[RunningStep, Heard]]


@pytest.fixture
def launch(daemon: StepDaemon, tmp_path: Path) -> Launch:
    """Start shell scripts as the tasks of one step, with their output in ``out``."""

    def start(*scripts: str, **changes: object) -> tuple[RunningStep, Heard]:
        heard = Heard()
        output = File(str(tmp_path / "out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        spec: dict[str, object] = {
            "name": "1.0",
            "tasks": [Task(("sh", "-c", script), stdio=(0, 1, 1)) for script in scripts],
            "files": [File("/dev/null"), output],
            "environ": {"PATH": PATH},
            "cwd": str(tmp_path),
        }
        return daemon.launch(StepSpec(**{**spec, **changes}), heard), heard  # type: ignore[arg-type]

    return start


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that another process does; fails when it does not come."""
    deadline = time.monotonic() + TIMEOUT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not true in time: {what}"
        pause.wait(0.005)


def read(path: Path) -> str:
    """The content of a file that is complete soon, which ends with a line break."""
    until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path} is written")
    return path.read_text()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that its parent has not reaped does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_gone(pid: int) -> None:
    until(lambda: not alive(pid), f"process {pid} is gone")


def test_statuses_are_those_of_wait(launch: Launch) -> None:
    _, heard = launch("exit 0", "exit 3", "kill -9 $$", "kill -TERM $$")
    heard.wait()
    assert len(heard.pids) == 4
    assert heard.statuses == {0: 0, 1: 3 << 8, 2: signal.SIGKILL, 3: signal.SIGTERM}
    assert all(1 << 16 < rss < 1 << 30 for rss in heard.max_rss.values())


def test_environment_directory_umask_and_arguments(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    task = Task(
        ("sh", "-c", 'echo "$A-$B-$SLURM_TASK_PID-$$"; pwd; umask; echo "$1|$2"; env | wc -l', "x", "a b", "é"),
        environ={"B": "own", "PATH": PATH},
        stdio=(0, 1, 1),
    )
    _, heard = launch(tasks=[task], environ={"A": "common", "B": "common"}, cwd=str(tmp_path / "sub"), umask=0o027)
    pid = heard.wait().pids[0]
    first, directory, umask, arguments, count = read(tmp_path / "out").splitlines()
    assert first == f"common-own-{pid}-{pid}"
    assert directory == str(tmp_path / "sub")
    assert umask == "0027"
    assert arguments == "a b|é"
    assert int(count) <= 6  # A, B, PATH, SLURM_TASK_PID, and what the shell adds: PWD, _


def test_descriptors_are_passed_and_stay_open_here(launch: Launch) -> None:
    reading, writing = os.pipe()
    _, heard = launch(tasks=[Task(("sh", "-c", "cat; echo end"), stdio=(0, 1, 1))], files=[File("/dev/null"), writing])
    heard.wait()
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.read() == "end\n"


def test_more_descriptors_than_fit_in_one_message(launch: Launch) -> None:
    pipes = [os.pipe() for _ in range(150)]
    files = [end for pipe in pipes for end in pipe]
    tasks = [Task(("/bin/sh", "-c", f"echo {i}"), stdio=(2 * i, 2 * i + 1, 2 * i + 1)) for i in range(150)]
    _, heard = launch(tasks=tasks, files=files)
    heard.wait()
    assert set(heard.statuses.values()) == {0}
    for index, (reading, writing) in enumerate(pipes):
        os.close(writing)
        with os.fdopen(reading) as file:
            assert file.read() == f"{index}\n"


def test_tasks_hold_no_descriptor_but_their_three(launch: Launch, tmp_path: Path) -> None:
    launch("sleep 1000")  # a step whose descriptors must not leak into the next one
    source = "import os; print(sorted(map(int, os.listdir('/dev/fd')))[:-1])"
    _, heard = launch(tasks=[Task((sys.executable, "-S", "-c", source), stdio=(0, 1, 1))])
    heard.wait()
    assert read(tmp_path / "out") == "[0, 1, 2]\n"


def test_signals_are_at_their_defaults(launch: Launch, tmp_path: Path) -> None:
    source = "import signal as s; print(*(int(n) for n in s.valid_signals() if s.getsignal(n) == s.SIG_IGN), s.pthread_sigmask(0, []))"
    _, heard = launch(tasks=[Task((sys.executable, "-I", "-c", source), stdio=(0, 1, 1))])
    heard.wait()
    ignored_by_python = [signal.SIGPIPE, signal.SIGXFSZ]
    assert read(tmp_path / "out").split() == [*(str(int(s)) for s in sorted(ignored_by_python)), "set()"]


def test_process_groups_are_those_of_the_nodes(launch: Launch) -> None:
    step, heard = launch(tasks=[Task(("sleep", "1000"), group=group) for group in (0, 0, 1)])
    assert heard.ready.wait(TIMEOUT)
    first, second, third = heard.pids
    assert [os.getpgid(pid) for pid in heard.pids] == [first, first, third]
    assert len({os.getsid(pid) for pid in (first, second, third, os.getpid())}) == 2
    step.signal(signal.SIGKILL)
    heard.wait()


def test_a_file_that_cannot_be_opened(launch: Launch, tmp_path: Path) -> None:
    _, heard = launch(
        "touch ran", files=[File("/dev/null"), File(str(tmp_path / "missing" / "out"), os.O_WRONLY | os.O_CREAT)]
    )
    heard.wait()
    assert heard.failure == (1, 2)
    assert heard.pids == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "mode", "code", "text"),
    [
        ("no-such-program", None, 0, 2, "no-such-program: No such file or directory"),
        ("", None, 0, 2, ": No such file or directory"),
        ("./no-such-program", None, 0, 2, "{cwd}/./no-such-program: No such file or directory"),
        ("./not-executable", "#!/bin/sh\n", 0o644, 13, "{cwd}/./not-executable: Permission denied"),
        ("./no-interpreter", "echo hi\n", 0o755, 8, "{cwd}/./no-interpreter: Exec format error"),
        ("./bad", "#!/no/such -x\n", 0o755, 2, "bad interpreter(/no/such): No such file or directory"),
        ("/tmp", None, 0, 13, "/tmp: Permission denied"),
    ],
)
def test_what_cannot_be_executed(
    launch: Launch, tmp_path: Path, name: str, content: str | None, mode: int, code: int, text: str
) -> None:
    """Texts and codes measured on 22.05.8 with srun; the code is the errno."""
    if content is not None:
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    _, heard = launch(tasks=[Task((name,), stdio=(0, 1, 1), label="slurmstepd-n1")])
    heard.wait()
    assert heard.statuses == {0: code << 8}
    assert read(tmp_path / "out") == f"slurmstepd-n1: error: execve(): {text.format(cwd=tmp_path)}\n"


@pytest.mark.parametrize(("name", "output"), [("tool", "on PATH\n"), ("local", "here\n"), ("./tool", "here\n")])
def test_programs_are_found_on_path_and_then_here(launch: Launch, tmp_path: Path, name: str, output: str) -> None:
    for place, text in ((tmp_path, "here"), (tmp_path / "bin", "on PATH")):
        place.mkdir(exist_ok=True)
        (place / "tool").write_text(f"#!/bin/sh\necho {text}\n")
        (place / "tool").chmod(0o755)
    (tmp_path / "local").symlink_to("tool")
    _, heard = launch(tasks=[Task((name,), stdio=(0, 1, 1), environ={"PATH": f"{tmp_path}/bin:{PATH}"})])
    heard.wait()
    assert read(tmp_path / "out") == output


def test_a_missing_working_directory_is_replaced(launch: Launch, tmp_path: Path) -> None:
    _, heard = launch("pwd", cwd="/no/such/directory")
    heard.wait()
    expected = (
        "slurmstepd: error: couldn't chdir to `/no/such/directory': No such file or directory: going to /tmp instead\n"
    )
    assert read(tmp_path / "out") == f"{expected}{expected}/tmp\n"
    assert heard.statuses == {0: 0}


def test_signal_to_all_or_to_the_tasks_alone(launch: Launch, tmp_path: Path) -> None:
    loop = "touch up; until [ -e stop ]; do read line < fifo; done"
    (tmp_path / "child.sh").write_text(f"trap 'echo child >> heard' USR1; {loop.replace('up', 'child-up')}")
    os.mkfifo(tmp_path / "fifo")
    script = f"trap 'echo top >> heard' USR1; sh child.sh & until [ -e child-up ]; do :; done; {loop}; wait"
    step, heard = launch(script)
    until((tmp_path / "up").exists, "both processes are up")
    step.signal(signal.SIGUSR1, "tasks")
    assert read(tmp_path / "heard") == "top\n"
    step.signal(signal.SIGUSR1)
    lines = ["child", "top", "top"]
    until(lambda: sorted((tmp_path / "heard").read_text().split()) == lines, "both heard it")
    (tmp_path / "stop").touch()
    step.signal(signal.SIGUSR1)
    heard.wait()


def test_slurmstepd_writes_on_the_first_tasks_stderr(launch: Launch, tmp_path: Path) -> None:
    step, heard = launch("echo ready; until grep -q notice out; do sleep 0.01; done")
    assert read(tmp_path / "out") == "ready\n"
    step.write("notice\n")
    heard.wait()
    assert read(tmp_path / "out") == "ready\nnotice\n"


def test_a_number_that_is_no_signal_is_not_sent(launch: Launch, tmp_path: Path) -> None:
    step, heard = launch("until [ -e go ]; do sleep 0.01; done")
    step.signal(99)
    step.signal(-1)
    (tmp_path / "go").touch()
    heard.wait()
    assert heard.statuses == {0: 0}


def test_what_a_task_leaves_behind_is_killed(launch: Launch, tmp_path: Path) -> None:
    survivor = """\
        import os, signal, sys, time
        if os.fork(): os._exit(0)
        os.setsid()
        if os.fork(): os._exit(0)
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        os.rename("pid.part", "pid")
        time.sleep(1000)
        """
    (tmp_path / "survivor.py").write_text(textwrap.dedent(survivor))
    _, heard = launch(f"{sys.executable} survivor.py > pid.part; until [ -e pid ]; do sleep 0.01; done; exit 5")
    heard.wait()
    assert heard.statuses == {0: 5 << 8}
    assert not alive(int(read(tmp_path / "pid")))


def test_a_family_that_keeps_forking_is_killed(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "hydra.sh").write_text("#!/bin/sh\ntrap '' TERM\necho x >> alive\n(sleep 0.02; setsid ./hydra.sh) &\n")
    (tmp_path / "hydra.sh").chmod(0o755)
    _, heard = launch("./hydra.sh & ./hydra.sh & until [ $(wc -l < alive) -gt 6 ]; do sleep 0.01; done")
    heard.wait()
    size = (tmp_path / "alive").stat().st_size
    threading.Event().wait(0.2)
    assert (tmp_path / "alive").stat().st_size == size


def test_a_task_that_kills_its_step_process_frees_nobody(launch: Launch, tmp_path: Path) -> None:
    _, heard = launch("sleep 1000 & echo $! $$ > pids; kill -9 $PPID; sleep 1000")
    heard.wait()
    for pid in read(tmp_path / "pids").split():
        wait_gone(int(pid))


def test_stopped_processes_are_killed_too(launch: Launch, tmp_path: Path) -> None:
    step, heard = launch("echo $$ > pid; kill -STOP $$")
    pid = int(read(tmp_path / "pid"))
    step.signal(signal.SIGKILL)
    heard.wait()
    assert heard.statuses == {0: signal.SIGKILL}
    assert not alive(pid)


def test_signals_after_the_end_are_harmless(launch: Launch) -> None:
    step, heard = launch("exit 0")
    heard.wait()
    step.signal(signal.SIGTERM)


def test_close_kills_what_runs(tmp_path: Path) -> None:
    directory = tmp_path / "daemon"
    directory.mkdir()
    daemon = StepDaemon(directory)
    heard = Heard()
    script = f"trap '' TERM; setsid sleep 1000 & echo $$ $! > {tmp_path}/pids; sleep 1000"
    daemon.launch(StepSpec(name="1.0", tasks=[Task(("sh", "-c", script))], environ={"PATH": PATH}), heard)
    pids = read(tmp_path / "pids").split()
    begun = time.monotonic()
    daemon.close()
    assert time.monotonic() - begun < 30, "far from the 1000 s that the processes would take"
    assert heard.over.is_set()
    assert not any(alive(int(pid)) for pid in pids)
    assert not directory.exists()


OWNER = """
import os, sys, threading
from pathlib import Path
from fakeslurm.steps import StepDaemon, StepSpec, Task

class Deaf:
    def failed(self, *a): pass
    def started(self, *a): pass
    def task_ended(self, *a): pass
    def ended(self): pass

directory = Path(sys.argv[1])
directory.mkdir()
daemon = StepDaemon(directory)
script = "trap '' TERM; setsid sleep 1000 & echo $$ $! $PPID > %s; sleep 1000" % sys.argv[2]
daemon.launch(StepSpec(name="1.0", tasks=[Task(("sh", "-c", script))], environ={"PATH": os.environ["PATH"]}), Deaf())
if sys.argv[3] == "fork" and os.fork() == 0:
    pass  # a child of the owner that lives on and holds all of its sockets
threading.Event().wait(1000)
"""


@pytest.mark.parametrize("way", ["alone", "fork"])
def test_nothing_outlives_a_killed_owner(tmp_path: Path, way: str) -> None:
    if way == "fork" and not hasattr(os, "pidfd_open"):
        pytest.skip("without pidfd_open an owner's death is noticed by its parent id alone")
    directory, pids = tmp_path / "daemon", tmp_path / "pids"
    command = [sys.executable, "-c", OWNER, str(directory), str(pids), way]
    owner = subprocess.Popen(command, start_new_session=True)
    try:
        victims = [int(pid) for pid in read(pids).split()]
        owner.kill()
        owner.wait(TIMEOUT)
        for pid in victims:
            wait_gone(pid)
        until(lambda: not directory.exists(), "the directory is removed")
    finally:
        os.killpg(owner.pid, signal.SIGKILL) if way == "fork" else None


def test_descendants_without_proc(tmp_path: Path) -> None:
    """The portable way finds the tree, and orphans of the same session."""
    script = "sh -c 'sleep 1000 & echo $! > orphan' & wait; sleep 1000 & echo $! > child; wait"
    top = subprocess.Popen(["sh", "-c", script], cwd=tmp_path, start_new_session=True)
    try:
        expected = {int(read(tmp_path / name)) for name in ("orphan", "child")}
        assert set(processes._descendants_by_ps(top.pid)) == expected
        assert set(processes._descendants_by_ps(os.getpid())) >= expected - {int(read(tmp_path / "orphan"))} | {top.pid}
    finally:
        os.killpg(top.pid, signal.SIGKILL)
        top.wait(TIMEOUT)


def test_it_imports_next_to_nothing() -> None:
    command = program("slurmstepd")
    command[-1] = command[-1].replace("slurmstepd.main()", "print(*sys.modules)")
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    heavy = {"typing", "json", "re", "enum", "socket", "signal", "subprocess", "pathlib", "ctypes", "functools"}
    assert heavy.isdisjoint(answer.stdout.split())
