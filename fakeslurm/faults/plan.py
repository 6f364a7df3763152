"""Which faults are under way, and which of them hits a call."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fakeslurm.faults.base import Disturbance, Fault

if TYPE_CHECKING:
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["Plan"]


class Plan:
    """Thread-safe. Of several faults that can hit a call the one that began last does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """It is under way from now on."""
        with self._lock:
            self._faults.append(fault)
            fault.active = True

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._faults.remove(fault)
            fault.active = False

    def disturb(self, call: Call, settings: Settings, now: float) -> Disturbance | None:
        """What happens to this call, which is noted in it and in the fault; None: it is answered as ever."""
        with self._lock:
            for fault in reversed(self._faults):
                commands = fault.kind.hits_calls_of if fault.commands is None else fault.commands
                if fault.used_up or call.command not in commands:
                    continue
                disturbance = fault.kind.disturb(call, settings)
                if disturbance is not None:
                    fault.hit(now, " ".join([call.command, *call.argv]), call)
                    call.fault = fault.name
                    call.accepted = disturbance.accepted or disturbance.unanswered is None
                    return disturbance
        return None

    def spare(self, call: Call) -> None:
        """It was not hit after all: the command has ended without asking anybody for anything."""
        with self._lock:
            for fault in self._faults:
                fault.hits = [hit for hit in fault.hits if hit.call is not call]
            call.fault, call.accepted = None, True
