"""Every request that was made of the scheduler, by whatever route: ``slurm.calls``."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Literal, overload

from attrs import define

__all__ = ["Call", "Ledger"]


@define(eq=False)
class Call:
    """One command that was given."""

    command: str
    """``sbatch``, ``squeue``..."""
    argv: tuple[str, ...]
    """The arguments after the command's name."""
    at: float
    """Epoch seconds at which it was received."""
    via: Literal["backend", "shim"]
    """``backend``: in this process (`FakeSlurm.execute`, a `Cluster`). ``shim``: a program called the command."""
    returncode: int | None = None
    """None until it has returned."""
    fault: str | None = None
    """The name of the fault that has hit it: see `fakeslurm.faults`."""
    accepted: bool = True
    """Whether the controller got what it was asked for; False when a fault has kept it away."""


class Ledger(Sequence[Call]):
    """The calls in the order in which they were received; safe to read while others are made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def count(self, command: object = None) -> int:
        """How often `command` was called, or how many calls there were; a `Call` counts its equals."""
        with self._lock:
            if command is None:
                return len(self._calls)
            if isinstance(command, Call):
                return self._calls.count(command)
            return sum(1 for call in self._calls if call.command == command)

    def named(self, *commands: str) -> list[Call]:
        """The calls of these commands."""
        with self._lock:
            return [call for call in self._calls if call.command in commands]

    def clear(self) -> None:
        """Forget what was called so far."""
        with self._lock:
            self._calls.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._calls)

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        with self._lock:
            return self._calls[index]

    def __iter__(self) -> Iterator[Call]:
        with self._lock:
            return iter(list(self._calls))

    def __repr__(self) -> str:
        return f"Ledger({list(self)!r})"
