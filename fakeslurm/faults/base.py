"""What a fault is: a value that says what happens, and a handle on one that is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from attrs import define, field, frozen

if TYPE_CHECKING:
    from fakeslurm.commands.base import Reply
    from fakeslurm.engine import Engine
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["Disturbance", "End", "Fault", "Hit", "Kind"]

Edit = Callable[[str, str], tuple[str, str]]
"""stdout and stderr as they are, and as the caller gets them."""
Unanswered = Callable[[str, Sequence[str], Mapping[str, str], "Settings"], "tuple[Reply, int]"]
"""For a command, its arguments, its environment and the configuration: what is printed, and how many requests were waited for."""
End = Callable[[float], None]
"""Ends what `Kind.begin` began; it is called with the time."""


@frozen(kw_only=True)
class Disturbance:
    """What happens to one call. Without any of these it is answered as ever."""

    unanswered: Unanswered | None = None
    """If nobody answers the command: what it prints then, if it has found nothing wrong before it asks."""
    patience: float = 0.0
    """Seconds after which the command gives up a request that is not answered."""
    kill: int = 0
    """The process that is killed in place of an answer."""
    accepted: bool = False
    """Whether the controller carries out what it is asked for all the same."""
    delay: float = 0.0
    """Seconds by which the answer is late; what was asked for has been carried out, and printed is what was true then."""
    before: float = 0.0
    """Seconds before it is asked for anything."""
    edit: Edit | None = None
    """What becomes of the output."""
    settings: Settings | None = None
    """What the command finds in the configuration, if not the truth."""


@frozen(kw_only=True)
class Kind:
    """A fault with its options, as a value that can be compared and printed. Each kind is a subclass with a `name`.

    A fault that hits calls overrides `disturb`, one that changes something of the cluster `begin`.
    """

    name: ClassVar[str]
    hits_calls_of: ClassVar[tuple[str, ...]] = ()
    """The commands whose calls it can hit."""

    @property
    def is_of_calls(self) -> bool:
        """Whether it can hit one call by itself; the others last for some time."""
        return bool(self.hits_calls_of) and type(self).begin is Kind.begin

    def check(self, settings: Settings) -> None:
        """Raise ValueError where this Slurm has no such fault, or no such node; called when the fault is asked for."""

    def disturb(self, call: Call, settings: Settings) -> Disturbance | None:
        """What happens to this call; None: it is not hit. Must depend on nothing but the arguments."""
        return None

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        """It begins: change the cluster by ``engine.controller``, and note with `Fault.hit` what that hits. The engine is locked.

        Returned is what ends it, or None.
        """
        return None


@frozen
class Hit:
    """Something that a fault has hit."""

    at: float
    """Epoch seconds."""
    target: str
    """``sbatch --wrap=true``, ``job 3``, ``node n1``."""
    call: Call | None = None
    """The call in the ledger, when it was one."""


@define(eq=False)
class Fault:
    """A fault that was asked for: what it is, and what it has hit so far."""

    kind: Kind
    commands: tuple[str, ...] | None = None
    """The only commands it hits; None: all that it can."""
    times: int | None = None
    """How many it hits at most."""
    hits: list[Hit] = field(factory=list, init=False)
    tell: Callable[[Hit], None] | None = field(default=None, init=False)
    """Hears of every `hit`."""
    active: bool = field(default=False, init=False)
    """Whether it is under way."""

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def used_up(self) -> bool:
        """Whether it has hit as many as it may."""
        return self.times is not None and len(self.hits) >= self.times

    def choose(self, call: Call) -> Kind | None:
        """Whether it can hit this call."""
        commands = self.kind.hits_calls_of if self.commands is None else self.commands
        return self.kind if call.command in commands and not self.used_up else None

    def hit(self, at: float, target: str) -> None:
        """Note that a job, a node or something else was hit, but for calls."""
        self.hits.append(Hit(at, target))
        if self.tell is not None:
            self.tell(self.hits[-1])
