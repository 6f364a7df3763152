"""Functions and callbacks that the runner's tests submit. Importable, so that they travel by reference."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from slurmkit.callbacks.base import BaseCallback, RunHooksOn
from slurmkit.runtime import JobContext
from slurmkit.task import task


def add(a: int, b: int = 0) -> int:
    return a + b


@task
def decorated(a: int) -> int:
    return -a


def talk(text: str) -> None:
    print(text)
    print(text.upper(), file=sys.stderr)


def boom(text: str) -> None:
    raise ValueError(text)


def chained() -> None:
    try:
        boom("first")
    except ValueError as error:
        raise KeyError("second") from error


def leave(code: Any) -> None:
    sys.exit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


def vanish(how: str) -> None:
    if how.startswith("exit"):
        os._exit(int(how[4:]))
    os.kill(os.getpid(), int(how[4:]))
    threading.Event().wait(60)


def lock() -> dict[str, Any]:
    return {"a": [threading.Lock()]}


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def mute() -> None:
    raise MuteError


class FinalError(BaseException):
    """Not an Exception."""


def final() -> None:
    raise FinalError("over")


def close_stdout() -> str:
    print("before")
    sys.stdout.close()
    return "done"


def stdout_inode() -> int:
    return os.fstat(1).st_ino


def modules() -> list[str]:
    return sorted(sys.modules)


def surroundings() -> dict[str, Any]:
    return {"path": sys.path, "cwd": str(Path.cwd()), "prefix": sys.prefix, "JOB_DIR": os.environ["JOB_DIR"]}


def context(job: JobContext, *, other: JobContext | None = None) -> tuple[JobContext, JobContext | None]:
    return job, other


def on_rank(rank: int, how: str, job: JobContext) -> int:
    """One rank ends badly, at once; the others return after it."""
    if job.rank == rank:
        if how == "raise":
            boom(f"rank {rank}")
        if how.startswith("sys"):
            leave(int(how[3:]))
        vanish(how)
    time.sleep(0.1)
    return job.rank


def killed_and_terminated(job: JobContext) -> None:
    """The last rank is killed, the others are sent SIGTERM."""
    os.kill(os.getpid(), signal.SIGKILL if job.rank == job.world_size - 1 else signal.SIGTERM)
    threading.Event().wait(60)


def until(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.01)


def wait(started: str, release: str) -> str:
    """Says that it runs, and runs until it is released."""
    Path(started).touch()
    until(release)
    return "released"


def wait_and_tidy(started: str, release: str) -> str:
    try:
        return wait(started, release)
    finally:
        Path(f"{started}.tidied").touch()


def wait_and_tidy_slowly(started: str, release: str) -> None:
    try:
        Path(started).touch()
        threading.Event().wait(60)
    finally:
        Path(f"{started}.tidying").touch()
        until(release)
        Path(f"{started}.tidied").touch()


class Lingering:
    """Waits in the last moments of the interpreter, when its signal handlers are gone."""

    def __init__(self, started: str, open_file: Any = os.open, stat: Any = os.stat) -> None:
        self.started, self.open, self.stat, self.sleep = started, open_file, stat, time.sleep

    def __del__(self) -> None:
        self.open(f"{self.started}.ending", os.O_CREAT | os.O_WRONLY)
        while True:
            try:
                self.stat(f"{self.started}.go")
            except FileNotFoundError:
                self.sleep(0.01)
            else:
                return


def wait_and_linger(started: str, release: str) -> str:
    sys.modules["lingering"] = Lingering(started)  # type: ignore[assignment]
    return wait(started, release)


class Lingers(BaseCallback):
    """Makes the leader linger."""

    def __init__(self, started: Path) -> None:
        self.started = str(started)

    def on_completed_ctx(self, ctx: Any) -> None:
        sys.modules["lingering"] = Lingering(self.started)  # type: ignore[assignment]


def wait_with_handler(started: str, release: str, number: int) -> list[int]:
    """Takes a signal in its own way, and goes on."""
    heard: list[int] = []

    def handle(number: int, frame: object) -> None:
        heard.append(number)
        Path(f"{started}.heard").touch()

    signal.signal(number, handle)
    wait(started, release)
    return heard


def fork(how: str) -> str:
    """The child comes back as well, while its parent waits."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return "parent"
    if how == "raise":
        raise ValueError("in the child")
    return "child"


def end_a_forked_process() -> int:
    """The wait status of a child that is sent SIGTERM."""
    ready, tell = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(tell, b"x")
        while True:
            signal.pause()
    os.read(ready, 1)
    os.kill(pid, signal.SIGTERM)
    return os.waitpid(pid, 0)[1]


def double_in_another_process(method: str, number: int) -> int:
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.map(double, [number])[0]


def double(number: int) -> int:
    return 2 * number


def large(megabytes: int) -> bytes:
    return bytes(megabytes << 20)


class Diary(BaseCallback):
    """Appends what it hears to a file, a line each; does as told in the hooks of `fail`."""

    def __init__(self, path: Path, run_hooks_on: RunHooksOn = "all", fail: str = "", pause: str = "") -> None:
        self.path = str(path)
        self.run_hooks_on = run_hooks_on
        self.fail = fail
        self.pause = pause
        self.heard = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.note("unpickled", {})

    def note(self, hook: str, what: dict[str, Any]) -> None:
        line = {"hook": hook, "pid": os.getpid(), "at": time.time(), "rank": os.environ.get("SLURM_PROCID"), **what}
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, json.dumps(line).encode() + b"\n")
        os.close(descriptor)

    def hear(self, hook: str, ctx: Any, *names: str) -> None:
        self.heard += 1
        fields = {name: getattr(ctx, name) for name in names}
        self.note(hook, {"heard": self.heard, "context_rank": ctx.job_context.rank, **fields})
        if hook in self.pause:
            until(self.pause.partition("=")[2])
        if hook in self.fail:
            if "exit" in self.fail:
                sys.exit(9)
            raise RuntimeError(f"no {hook}")

    def on_begin_run_job_ctx(self, ctx: Any) -> None:
        self.hear("begin", ctx, "module", "function", "hostname", "working_directory", "start_time", "python_version")

    def on_end_run_job_ctx(self, ctx: Any) -> None:
        self.hear("end", ctx, "status", "error_type", "error_message", "traceback", "duration", "stdout_path")

    def on_completed_ctx(self, ctx: Any) -> None:
        self.hear(
            "completed", ctx, "job_state", "exit_code", "error_type", "error_message", "traceback", "duration", "job_id"
        )


class Memory(BaseCallback):
    """The growth of the worker's peak memory between the begin hook and the end hook, as a fraction of `size`."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = str(path)
        self.size = size

    def peak(self) -> int:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def on_begin_run_job_ctx(self, ctx: Any) -> None:
        self.before = self.peak()

    def on_end_run_job_ctx(self, ctx: Any) -> None:
        Path(self.path).write_text(str((self.peak() - self.before) / self.size))
