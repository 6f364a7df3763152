"""Slurm's commands that the fake has on PATH so that nobody finds a real Slurm's there: all that they can is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakeslurm.commands.answers import unsupported, version
from fakeslurm.commands.base import Invocation, Reply

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["run"]


def run(program: str, argv: Sequence[str], invocation: Invocation, _controller: Controller) -> Reply:
    """The version, or the refusal."""
    if list(argv) in (["--version"], ["-V"]):
        return version(invocation).reply
    if list(argv) in (["--help"], ["--usage"]):
        return Reply(f"{program}: fakeslurm has no more of it than --version.\n")
    return unsupported(program, program).reply
