"""Faults of a controller that does not answer. What the commands print then was measured: docs/measured/faults.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs import field, frozen

from fakeslurm.faults.base import Disturbance, Kind
from fakeslurm.messages import CONNECT_FAILURE, SOCKET_TIMEOUT

if TYPE_CHECKING:
    from fakeslurm.commands.base import Reply
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["ControllerDown", "ControllerTimeout", "RateLimited", "is_duration", "is_period"]

ASK_CONTROLLER = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo", "salloc", "sstat")


@frozen
class _Unanswered:
    """What commands print; a value."""

    why: str

    def __call__(
        self, command: str, argv: Sequence[str], environ: Mapping[str, str], settings: Settings
    ) -> tuple[Reply, int]:
        from fakeslurm.commands.unanswered import unanswered  # which knows all commands

        return unanswered(command, argv, environ, self.why, settings)


def is_period(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a number of seconds, 0 or more, or infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{attribute.name}={value!r}; expected a number of seconds")
    if not value >= 0:
        raise ValueError(f"{attribute.name}={value!r}; expected a number of seconds, 0 or more")


def is_duration(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a number of seconds, 0 or more, that is over some day."""
    is_period(instance, attribute, value)
    if value == math.inf:
        raise ValueError(f"{attribute.name}={value!r}; expected a number of seconds that has an end")


@frozen(kw_only=True)
class ControllerDown(Kind):
    """Nobody listens where slurmctld should: the commands give up after half of MessageTimeout, or `seconds`."""

    name: ClassVar[str] = "controller_down"
    hits_calls_of: ClassVar[tuple[str, ...]] = ASK_CONTROLLER

    seconds: float | None = field(default=None, validator=attrs.validators.optional(is_duration))

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        patience = settings.message_timeout / 2 if self.seconds is None else self.seconds
        return Disturbance(unanswered=_Unanswered(CONNECT_FAILURE), patience=patience)


@frozen(kw_only=True)
class ControllerTimeout(Kind):
    """slurmctld takes requests and does not answer: the commands give up after MessageTimeout, or `seconds`.

    `accepted`: what they asked for is carried out all the same, of which they know nothing; not of srun and salloc, which give up
    what they have asked for.
    """

    name: ClassVar[str] = "controller_timeout"
    hits_calls_of: ClassVar[tuple[str, ...]] = ASK_CONTROLLER

    accepted: bool = field(default=False, validator=attrs.validators.instance_of(bool))
    seconds: float | None = field(default=None, validator=attrs.validators.optional(is_duration))

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        patience = float(settings.message_timeout) if self.seconds is None else self.seconds
        accepted = self.accepted and call.command not in ("srun", "salloc")
        return Disturbance(unanswered=_Unanswered(SOCKET_TIMEOUT), patience=patience, accepted=accepted)


@frozen(kw_only=True)
class RateLimited(Kind):
    """slurmctld tells users who ask too often to come back (``SlurmctldParameters=rl_enable``, which came with Slurm 23.02).

    The commands say nothing, and come back 1 s later, 2 s after that, then 3 s and so on, until they are let in, which is the first time that
    is `seconds` or more after the first (measured); ``scontrol ping`` says DOWN at once. In Slurm each request of a command is counted, here
    each command.
    """

    name: ClassVar[str] = "rate_limited"
    hits_calls_of: ClassVar[tuple[str, ...]] = tuple(command for command in ASK_CONTROLLER if command != "sstat")

    seconds: float = field(default=3.0, validator=is_duration)

    def check(self, settings: Settings) -> None:
        if settings.profile.release < _LIMITS_RATES:
            raise ValueError(
                f"fault 'rate_limited': Slurm {settings.version} has no rate limit, which came with 23.02; FakeSlurm(version='24.11') has"
            )

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        if call.command == "scontrol" and "ping" in call.argv:
            return Disturbance(unanswered=_Unanswered(CONNECT_FAILURE))
        return Disturbance(before=_comes_back(self.seconds))


def _comes_back(seconds: float) -> float:
    """When a command that waits 1, 2, 3, ... s before it asks again does so for the first time after `seconds`: 1, 3, 6, 10, ... s."""
    waits = math.ceil((math.sqrt(8 * seconds + 1) - 1) / 2)
    return waits * (waits + 1) / 2


_LIMITS_RATES = "23.02"
