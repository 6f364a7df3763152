"""The fault of a client that does not live to hear what became of its request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
from attrs import field, frozen

from fakeslurm.faults.base import Disturbance, Kind
from fakeslurm.faults.outages import ASK_CONTROLLER

if TYPE_CHECKING:
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["ClientKilled"]


def _is_another_process(_instance: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 1:
        raise TypeError(f"pid={value!r}; expected the id of the client's process")
    if value == os.getpid():
        raise ValueError(
            f"pid={value}: this process cannot be the client that is killed, as the Slurm would end with it"
        )


@frozen(kw_only=True)
class ClientKilled(Kind):
    """The process `pid` is killed (SIGKILL) when a program calls a command: before the controller is asked (`at` "request"), or when it has
    carried out what it was asked for and before anybody hears of it ("answer").

    Between other steps of its own a client kills itself best: see ``tests/test_killed_clients.py``.
    """

    name: ClassVar[str] = "client_killed"
    hits_calls_of: ClassVar[tuple[str, ...]] = (*ASK_CONTROLLER, "sacct")

    pid: int = field(validator=_is_another_process)
    at: Literal["request", "answer"] = field(default="answer", validator=attrs.validators.in_(("request", "answer")))

    def disturb(self, call: Call, settings: Settings) -> Disturbance | None:
        return Disturbance(kill=self.pid, accepted=self.at == "answer") if call.via == "shim" else None
