"""The kinds of faults by their names, and how one is asked for by name and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from fakeslurm.faults import jobs
from fakeslurm.faults.accounting import AccountingDown, AccountingLag, AccountingOff
from fakeslurm.faults.base import Kind
from fakeslurm.faults.client import ClientKilled
from fakeslurm.faults.memory import Purge, ReusedIds
from fakeslurm.faults.outages import ControllerDown, ControllerTimeout, RateLimited
from fakeslurm.faults.outputs import GarbledOutput, LocalisedOutput, Slow, TruncatedOutput

__all__ = ["KINDS", "kind_of"]

_ALL: tuple[type[Kind], ...] = (
    *(ControllerDown, ControllerTimeout, RateLimited, Slow),
    *(AccountingDown, AccountingLag, AccountingOff),
    *(Purge, ReusedIds),
    *(TruncatedOutput, GarbledOutput, LocalisedOutput),
    *jobs.ALL,
    ClientKilled,
)
KINDS: Mapping[str, type[Kind]] = {kind.name: kind for kind in _ALL}
"""Every kind of fault by its name."""


def kind_of(name: str, options: Mapping[str, Any]) -> Kind:
    """The fault of this name with these options. ValueError for an unknown name or a bad value, TypeError for an unknown option."""
    kind = KINDS.get(name)
    if kind is None:
        raise ValueError(f"fault {name!r}: there is no such fault; valid are {', '.join(sorted(KINDS))}")
    valid = [one.name for one in attrs.fields(kind)]
    for option in options:
        if option not in valid:
            shown = ", ".join([*valid, "times", "commands"])
            raise TypeError(f"fault {name!r} has no option {option!r}; valid are {shown}")
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise type(error)(f"fault {name!r}: {error}") from None
