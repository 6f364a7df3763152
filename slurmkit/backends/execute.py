"""How a Slurm command is executed: the one seam between slurmkit and the world."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

__all__ = ["CommandResult", "Execute", "subprocess_execute"]


@attrs.frozen
class CommandResult:
    """What a command left behind. `returncode` is negative when a signal ended it, as in `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


class Execute(Protocol):
    """Run a command to its end.

    `timeout` is in seconds. Raises `FileNotFoundError` or `PermissionError` when there is no such command on ``env["PATH"]``, and
    `TimeoutError` when it did not end in time (it is killed then; what it had asked for may happen all the same).
    """

    def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = None,
    ) -> CommandResult: ...


def subprocess_execute(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout: float | None = None,
) -> CommandResult:
    """Run a command in a process of its own. Bytes that are no UTF-8 survive as surrogates."""
    with _Process(
        list(argv),
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
    ) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise TimeoutError(f"{argv[0]} did not answer within {timeout:g} s") from error
        except BaseException:
            process.kill()
            raise
    return CommandResult(process.returncode, stdout, stderr)


class _Process(subprocess.Popen[str]):
    """A process whose end is waited for by the kernel, where it can (Linux). `Popen` asks from time to time when there is a timeout: most
    commands took 1 ms longer."""

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None and self.returncode is None and hasattr(os, "pidfd_open"):
            began = time.monotonic()
            with contextlib.suppress(OSError):  # a kernel that has none, or no descriptor is left
                descriptor = os.pidfd_open(self.pid)
                try:
                    poll = select.poll()
                    poll.register(descriptor, select.POLLIN)
                    poll.poll(max(0.0, timeout) * 1000)
                finally:
                    os.close(descriptor)
            timeout = max(0.0, timeout - (time.monotonic() - began))
        return super().wait(timeout)
