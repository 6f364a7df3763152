"""The owner's side of `fakeslurm.slurmstepd`: launch steps, signal them, hear how they end.

`StepDaemon` starts the supervisor when the first step is launched, or before, and owns one thread, which hands what the
steps say to their listeners.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from attrs import field, frozen

from fakeslurm.processes import remove_tree
from fakeslurm.wire import receive, send

__all__ = ["File", "RunningStep", "StepDaemon", "StepListener", "StepSpec", "Task", "program"]

_CLOSE_TIMEOUT = 15.0  # seconds; the supervisor gives the steps 10


def program(module: str) -> list[str]:
    """The command that runs ``main`` of a module of this package in an interpreter that starts quickly.

    As a module and not as a script, so that its compiled form is used: that is 10 ms.
    """
    package = Path(__file__).parent
    code = f"import sys; sys.path.append({str(package.parent)!r}); from {package.name} import {module}; {module}.main()"
    if not sys.executable:
        raise RuntimeError("sys.executable is empty: fakeslurm needs to know its Python interpreter")
    return [sys.executable, "-I", "-S", "-c", code]


@frozen
class File:
    """A file that the step opens, with the rights and the umask of the job: path, flags of open(2), mode."""

    path: str
    flags: int = os.O_RDONLY
    mode: int = 0o666


@frozen
class Task:
    """One process of a step. `stdio`: indices of `StepSpec.files`. Tasks of one `group` (a node) share a process group."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(factory=dict)
    stdio: tuple[int, int, int] = (0, 0, 0)
    group: int = 0
    label: str = "slurmstepd"
    """The name in front of what slurmstepd says on its stderr."""


@frozen(kw_only=True)
class StepSpec:
    """What a step starts. A file is a `File`, or a descriptor of this process, which stays the caller's."""

    name: str
    tasks: Sequence[Task]
    files: Sequence[File | int] = (File(os.devnull, os.O_RDWR),)
    environ: Mapping[str, str] = field(factory=dict)
    """Common to all tasks; a task's own variables come on top, and SLURM_TASK_PID."""
    cwd: str = "/"
    umask: int = 0o022
    lingers: bool = False
    """Whether the step waits for `RunningStep.leave` when its tasks have ended."""


class StepListener(Protocol):
    """Hears about one step, on the daemon's thread, in this order."""

    def failed(self, file: int, errno: int) -> None:
        """Nothing was started: this one of the files cannot be opened. `ended` follows."""

    def started(self, pids: list[int]) -> None:
        """Every task is there, in the order of the tasks."""

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        """As wait(2) gives it; bytes."""

    def ended(self) -> None:
        """No process of the step is left. A task that was not reported until now was killed with its step process."""


class RunningStep:
    """A step that was launched."""

    def __init__(self, control: socket.socket, listener: StepListener) -> None:
        self.control = control
        self.listener = listener
        self.pid: int | None = None
        """Of the step process, once its tasks are there."""
        self._lock = threading.Lock()
        self._closed = False

    def signal(self, number: int, scope: Literal["all", "tasks"] = "all") -> None:
        """Signal everything below the step, or its tasks' own processes alone.

        Harmless once it has ended, and with a number that is no signal (``scancel -s 99`` is accepted, measured).
        """
        if 0 < number < signal.NSIG:
            self._send(("signal", int(number), scope))

    def write(self, text: str, group: int = 0) -> None:
        """Write on the stderr of the first task of a group, as its node's slurmstepd does when it has something to say."""
        self._send(("write", text, group))

    def leave(self) -> None:
        """Let a step go that lingers."""
        self._send(("leave",))

    def _send(self, message: tuple[object, ...]) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not self._closed:
                send(self.control, message)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self.control.close()


class StepDaemon:
    """One supervisor process, and the thread that listens to its steps. `directory` is removed when it ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = directory / "slurmstepd.log"
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        ours, theirs = socket.socketpair()
        self._channel = ours
        with theirs, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*program("slurmstepd"), str(theirs.fileno()), str(os.getpid()), str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the owner
            )

    def launch(self, spec: StepSpec, listener: StepListener) -> RunningStep:
        """Start a step; returns at once. Raises `RuntimeError` when the supervisor has died, with what it said."""
        ours, theirs = socket.socketpair()
        step = RunningStep(ours, listener)
        files: list[Any] = []
        fds = [theirs.fileno()]
        for file in spec.files:
            if isinstance(file, File):
                files.append([file.path, file.flags, file.mode])
            else:
                files.append(len(fds) - 1)
                fds.append(file)
        order = {
            "name": spec.name,
            "files": files,
            "environ": dict(spec.environ),
            "cwd": spec.cwd,
            "umask": spec.umask,
            "lingers": spec.lingers,
            "tasks": [
                {
                    "argv": list(task.argv),
                    "environ": dict(task.environ),
                    "stdio": list(task.stdio),
                    "group": task.group,
                    "label": task.label,
                }
                for task in spec.tasks
            ],
        }
        with theirs, self._lock:
            self._selector.register(ours, selectors.EVENT_READ, step)
            if self._thread is None:
                self._selector.register(self._channel, selectors.EVENT_READ)
                self._thread = threading.Thread(target=self._listen, name="fakeslurm-slurmstepd", daemon=True)
                self._thread.start()
            try:
                send(self._channel, order, tuple(fds))
            except (BrokenPipeError, ConnectionResetError) as error:
                raise RuntimeError(f"slurmstepd has died: {self._log.read_text(errors='replace')}") from error
        return step

    def close(self) -> None:
        """Kill everything, remove the directory; returns when both are done."""
        with self._lock:
            thread = self._thread
            if thread is None:  # there is nothing to clean up: do not wait until it has come up
                self._process.kill()
                self._process.wait()
            else:
                self._channel.shutdown(socket.SHUT_WR)
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_TIMEOUT)
        self._process.wait(timeout=_CLOSE_TIMEOUT)
        if thread is None:
            remove_tree(str(self._directory))
        self._channel.close()
        self._selector.close()

    def _listen(self) -> None:
        """Hear the steps; ends when the supervisor has ended and everything that was said is delivered."""
        while self._selector.get_map():
            for key, _ in self._selector.select():
                if key.data is None:
                    self._selector.unregister(key.fileobj)
                else:
                    self._hear(key.data)

    def _hear(self, step: RunningStep) -> None:
        message = receive(step.control)
        if message is None:
            self._selector.unregister(step.control)
            step.close()
            step.listener.ended()
            return
        what, *values = message[0]
        if what == "failed":
            step.listener.failed(*values)
        elif what == "started":
            pids, step.pid = values
            step.listener.started(pids)
        elif what == "task":
            step.listener.task_ended(*values)
