# ruff: noqa: PTH109, PTH113  (pathlib takes longer)
"""How a Slurm command is executed: the one seam between slurmkit and the world."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
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

    Mostly without `subprocess`, which takes 0.1 ms more, and 1 ms more where there is a timeout: it asks from time to time then whether the
    process has ended. Descriptors that somebody has made inheritable are inherited.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    environment = os.environ if env is None else env
    if cwd is not None and not _is_here(str(cwd)):
        return _execute_elsewhere(argv, cwd, environment, timeout)
    opened: list[int] = []
    try:
        opened += os.pipe()
        opened += os.pipe()
        stdout, to_stdout, stderr, to_stderr = opened
        child = _Child(_spawn(argv, environment, to_stdout, to_stderr))
        try:
            for descriptor in (to_stdout, to_stderr):  # else there would be no end
                opened.remove(descriptor)
                os.close(descriptor)
            outputs = {stdout: bytearray(), stderr: bytearray()}
            with _told_of_end(child) as end:
                is_over = _read_to_the_end(outputs, end, deadline) and (end is not None or child.ends(deadline))
        except BaseException:
            child.kill()
            raise
        if not is_over:
            child.kill()
            raise _too_late(argv, timeout)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return CommandResult(child.wait(), *(output.decode("utf-8", "surrogateescape") for output in outputs.values()))


def _is_here(directory: str) -> bool:
    try:
        return directory == os.getcwd()
    except FileNotFoundError:  # this process's own is gone
        return False


def _execute_elsewhere(argv: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float | None) -> CommandResult:
    """In another directory than this process's: `posix_spawn` has none."""
    import subprocess

    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_late(argv, timeout) from None
    return CommandResult(done.returncode, done.stdout, done.stderr)


def _too_late(argv: Sequence[str], timeout: float | None) -> TimeoutError:
    return TimeoutError(f"{argv[0]} did not answer within {timeout:g} s")


def _spawn(argv: Sequence[str], env: Mapping[str, str], stdout: int, stderr: int) -> int:
    """Start the process. Raises `FileNotFoundError`, `PermissionError`."""
    actions = (
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    )
    # Python ignores these two for itself; what it starts shall not.
    ignored = (signal.SIGPIPE, signal.SIGXFSZ)
    return os.posix_spawn(_found(argv[0], env), list(argv), env, file_actions=actions, setsigdef=ignored)


def _found(command: str, env: Mapping[str, str]) -> str:
    """The path of a command. Raises `FileNotFoundError`, `PermissionError` when there is none that may be executed."""
    if "/" in command:
        return command
    number = errno.ENOENT
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        path = f"{directory or '.'}/{command}"
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            number = errno.EACCES
    raise OSError(number, os.strerror(number), command)


class _Child:
    """A process that this one has started, until it is known how it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def wait(self) -> int:
        """The exit code, once it has ended."""
        self._look(0)
        assert self._status is not None
        return os.waitstatus_to_exitcode(self._status)

    def ends(self, deadline: float | None) -> bool:
        """Whether it ends until then: asked again and again."""
        while not self._look(os.WNOHANG):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_ASK_AGAIN)
        return True

    def kill(self) -> None:
        if not self._look(os.WNOHANG):  # else its number may be another one's by now
            os.kill(self.pid, signal.SIGKILL)
            self._look(0)

    def _look(self, flags: int) -> bool:
        """Whether it has ended. Nobody knows where this process ignores SIGCHLD, or waits for all its children somewhere."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, flags)
            except ChildProcessError:
                pid, status = self.pid, 0
            self._status = status if pid else None
        return self._status is not None


@contextlib.contextmanager
def _told_of_end(child: _Child) -> Iterator[int | None]:
    """A descriptor that can be read once the process has ended; None where there is none: no Linux, an old one, or no descriptor is left."""
    try:
        descriptor = os.pidfd_open(child.pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_to_the_end(outputs: Mapping[int, bytearray], end: int | None, deadline: float | None) -> bool:
    """Add what can be read of these pipes to their `outputs`, until nobody can write to them any more and the process has ended.

    False when there is no time left before that.
    """
    waiting = {*outputs} if end is None else {*outputs, end}
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    while waiting:
        left = None if deadline is None else deadline - time.monotonic()
        ready = poll.poll(None if left is None else max(0.0, left) * 1000)
        if not ready or (left is not None and left <= 0):
            return False
        for descriptor, _ in ready:
            if descriptor in outputs and (data := os.read(descriptor, _CHUNK)):
                outputs[descriptor].extend(data)
            else:
                poll.unregister(descriptor)
                waiting.remove(descriptor)
    return True
