"""How a Slurm command is executed: the one seam between slurmkit and the world."""

from __future__ import annotations

import subprocess
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
    stdin = subprocess.DEVNULL if input is None else None
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            input=input,
            stdin=stdin,
            capture_output=True,
            timeout=timeout,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{argv[0]} did not answer within {timeout:g} s") from error
    return CommandResult(done.returncode, done.stdout, done.stderr)
