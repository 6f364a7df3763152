"""What salloc's own options mean, besides those of sbatch."""

from __future__ import annotations

from collections.abc import Mapping
from signal import SIGTERM

from attrs import define

from fakeslurm.commands.job_options import Wishes
from fakeslurm.commands.option_values import HANDLERS, Handler
from fakeslurm.commands.signals import parse_signal

__all__ = ["VARIABLES", "AllocationWishes"]


@define
class AllocationWishes(Wishes):
    """The options of an allocation."""

    immediate: float | None = None
    """Seconds to wait for resources; 0 for not at all, None for ever."""
    kill_command: int | None = None
    """The signal for the command when its allocation is over; None for none."""
    no_shell: bool = False

    def own_handlers(self) -> Mapping[str, Handler]:
        return _HANDLERS


def _immediate(wishes: AllocationWishes, name: str, value: str | None) -> None:
    wishes.immediate = wishes.immediate_seconds(value)


def _kill_command(wishes: AllocationWishes, name: str, value: str | None) -> None:
    number = parse_signal(value) if value else SIGTERM
    if number is None:
        raise wishes.specification(name)
    wishes.kill_command = int(number)


def _no_shell(wishes: AllocationWishes, name: str, value: str | None) -> None:
    wishes.no_shell = True


def _unsupported(wishes: AllocationWishes, name: str, value: str | None) -> None:
    raise wishes.unsupported(name)


def _bell(wishes: AllocationWishes, name: str, value: str | None) -> None:
    """The bell rings at terminals alone, when an allocation was waited for."""


def _signal(wishes: AllocationWishes, name: str, value: str | None) -> None:
    if (value or "").startswith("B:"):
        raise wishes.specification(name)
    HANDLERS[name](wishes, name, value)


VARIABLES = {
    "SALLOC_BELL": "bell",
    "SALLOC_IMMEDIATE": "immediate",
    "SALLOC_KILL_CMD": "kill-command",
    "SALLOC_NO_BELL": "no-bell",
}
"""The variables that are options of salloc alone."""

_HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(["bell", "no-bell"], _bell),
    **dict.fromkeys(["get-user-env", "verbose"], _unsupported),
    "immediate": _immediate,
    "kill-command": _kill_command,
    "no-shell": _no_shell,
    "signal": _signal,
}
