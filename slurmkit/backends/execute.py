# ruff: noqa: PTH100, PTH109, PTH113, PTH116  (pathlib takes longer)
"""How a Slurm command is executed: the one seam between slurmkit and the world."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

__all__ = ["CommandResult", "Execute", "subprocess_execute"]

_CHUNK = 1 << 16
"""Bytes that are read at once: as many as a pipe of Linux holds."""

_ASK_AGAIN = 0.001
"""Seconds between two looks at a process whose end the kernel does not tell."""


@attrs.frozen
class CommandResult:
    """What a command left behind. `returncode` is negative when a signal ended it, as in `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


class Execute(Protocol):
    """Run a command to its end; its stdin is empty.

    `timeout` is in seconds. Raises `FileNotFoundError` or `PermissionError` when there is no such command on ``env["PATH"]``, and
    `TimeoutError` when it did not end in time (it is killed then; what it had asked for may happen all the same).
    """

    def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult: ...


def subprocess_execute(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> CommandResult:
    """Run a command in a process of its own. Bytes that are no UTF-8 survive as surrogates.

    Not with `subprocess`, which takes 0.1 ms more, and 1 ms more where there is a timeout: it asks from time to time then whether the process
    has ended.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    opened: list[int] = []
    try:
        opened += os.pipe()
        opened += os.pipe()
        stdout, to_stdout, stderr, to_stderr = opened
        pid = _spawn(argv, cwd, os.environ if env is None else env, to_stdout, to_stderr)
        for descriptor in (to_stdout, to_stderr):  # else there would be no end
            opened.remove(descriptor)
            os.close(descriptor)
        outputs = {stdout: bytearray(), stderr: bytearray()}
        try:
            _read_to_the_end(pid, outputs, opened, deadline)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _reap(pid)
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"{argv[0]} did not answer within {timeout:g} s") from None
            raise
        returncode = _reap(pid)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return CommandResult(returncode, *(output.decode("utf-8", "surrogateescape") for output in outputs.values()))


def _spawn(argv: Sequence[str], cwd: Path | None, env: Mapping[str, str], stdout: int, stderr: int) -> int:
    """Start the process. Raises `FileNotFoundError`, `PermissionError`."""
    program = _found(argv[0], env)
    command = list(argv)
    if cwd is not None and (directory := str(cwd)) != os.getcwd():
        os.stat(f"{directory}/")
        program, command = "/bin/sh", ["sh", "-c", 'cd -- "$0" && exec "$@"', directory, program, *argv[1:]]
    actions = (
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    )
    # Python ignores these two for itself; what it starts shall not.
    return os.posix_spawn(program, command, env, file_actions=actions, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ))


def _found(command: str, env: Mapping[str, str]) -> str:
    """The path of a command. Raises `FileNotFoundError`, `PermissionError` when there is none that may be executed."""
    if "/" in command:
        paths = [os.path.abspath(command)]
    else:
        paths = [f"{directory or '.'}/{command}" for directory in env.get("PATH", os.defpath).split(os.pathsep)]
    number = errno.ENOENT
    for path in paths:
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            number = errno.EACCES
    raise OSError(number, os.strerror(number), command)


def _read_to_the_end(pid: int, outputs: Mapping[int, bytearray], opened: list[int], deadline: float | None) -> None:
    """Wait until the process has ended, and add what it writes to these pipes to their `outputs`, until nobody can write to them any more.

    What is `opened` on the way is added there. Raises TimeoutError.
    """
    waiting = set(outputs)
    try:
        opened.append(os.pidfd_open(pid))
        waiting.add(opened[-1])
    except (AttributeError, OSError):  # no Linux, an old one, or no descriptor is left
        pass
    tells_end = len(waiting) > len(outputs)
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    while waiting:
        ready = poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            raise TimeoutError
        for descriptor, _ in ready:
            if descriptor in outputs and (data := os.read(descriptor, _CHUNK)):
                outputs[descriptor].extend(data)
            else:
                poll.unregister(descriptor)
                waiting.remove(descriptor)
    if not tells_end:
        _ask_for_end(pid, deadline)


def _ask_for_end(pid: int, deadline: float | None) -> None:
    """Ask again and again whether the process has ended. Raises TimeoutError."""
    with contextlib.suppress(ChildProcessError):  # see `_reap`
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(_ASK_AGAIN)


def _reap(pid: int) -> int:
    """The exit code of a process that has ended, or is about to."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # this process ignores SIGCHLD, or waits for all its children somewhere: nobody knows
        return 0
