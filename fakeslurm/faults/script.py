"""A fault for each of the next calls of one command: `FakeSlurm.sequence`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from fakeslurm.faults.base import Hit, Kind
from fakeslurm.faults.plan import UNHARMED, Choice
from fakeslurm.faults.registry import kind_of

if TYPE_CHECKING:
    from fakeslurm.ledger import Call

__all__ = ["Script", "script_of"]


@define(eq=False)
class Script:
    """What happens to the next calls of a command, one after the other; None: nothing."""

    command: str
    steps: tuple[Kind | None, ...]
    used: int = field(default=0, init=False)
    """How many of them have happened."""
    hits: list[Hit] = field(factory=list, init=False)

    @property
    def left(self) -> tuple[Kind | None, ...]:
        """What has not happened yet."""
        return self.steps[self.used :]

    def choose(self, call: Call) -> Choice:
        """The fault of this call; those after the last one are left to others."""
        if call.command != self.command or not self.left:
            return None
        step = self.left[0]
        self.used += 1
        return UNHARMED if step is None else step

    def check(self) -> None:
        """Raise AssertionError unless all of it was used."""
        if self.left:
            left = ", ".join("None" if step is None else step.name for step in self.left)
            raise AssertionError(
                f"{self.command} was called {self.used} times of the {len(self.steps)} of the sequence; left are: {left}"
            )


def script_of(command: str, steps: Sequence[str | Kind | None]) -> Script:
    """The script, checked. ValueError or TypeError for what cannot be."""
    if not steps:
        raise ValueError(f"sequence of {command}: no steps; expected names of faults, faults, or None")
    kinds = [kind_of(step, {}) if isinstance(step, str) else step for step in steps]
    for kind in kinds:
        if kind is not None and not isinstance(kind, Kind):
            raise TypeError(f"sequence of {command}: {kind!r}; expected the name of a fault, a fault, or None")
        if kind is not None and (command not in kind.hits_calls_of or not kind.is_of_calls):
            valid = ", ".join(kind.hits_calls_of) if kind.is_of_calls else "no single calls"
            raise ValueError(f"sequence of {command}: {kind.name} does not hit it, but {valid}")
    return Script(command, tuple(kinds))
