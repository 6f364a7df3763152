"""Which faults are under way, and which of them hits a call."""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Final, Literal, Protocol

from fakeslurm.faults.base import Disturbance, Hit, Kind

if TYPE_CHECKING:
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["UNHARMED", "Choice", "Plan", "Source"]


class Unharmed(enum.Enum):
    UNHARMED = "unharmed"


UNHARMED: Final = Unharmed.UNHARMED
Choice = Kind | None | Literal[Unharmed.UNHARMED]
"""The fault that hits a call; None: another source may decide; UNHARMED: none does."""


class Source(Protocol):
    """Something that decides which fault hits a call."""

    hits: list[Hit]

    def choose(self, call: Call) -> Choice:
        """Decide about one call; each is asked about once."""


class Plan:
    """Thread-safe. Of several sources the one that began last decides first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        """It decides from now on."""
        with self._lock:
            self._sources.append(source)

    def remove(self, source: Source) -> None:
        with self._lock:
            self._sources.remove(source)

    def disturb(self, call: Call, settings: Settings, now: float) -> Disturbance | None:
        """What happens to this call, which is noted in it and in the source; None: it is answered as ever."""
        with self._lock:
            for source in reversed(self._sources):
                choice = source.choose(call)
                if choice is UNHARMED:
                    return None
                disturbance = None if choice is None else choice.disturb(call, settings)
                if choice is not None and disturbance is not None:
                    source.hits.append(Hit(now, " ".join([call.command, *call.argv]), call))
                    call.fault = choice.name
                    call.accepted = disturbance.accepted or (disturbance.unanswered is None and not disturbance.kill)
                    return disturbance
        return None

    def spare(self, call: Call) -> None:
        """It was not hit after all: the command has ended without asking anybody for anything."""
        with self._lock:
            for source in self._sources:
                source.hits[:] = [hit for hit in source.hits if hit.call is not call]
            call.fault, call.accepted = None, True
