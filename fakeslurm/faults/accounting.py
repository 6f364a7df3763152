"""Faults of slurmdbd. Measured on 22.05.8 and 24.11.5: docs/measured/faults.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import attrs
from attrs import evolve, field, frozen

from fakeslurm.commands.base import Reply
from fakeslurm.faults.base import Disturbance, End, Fault, Kind
from fakeslurm.faults.outages import is_duration

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["AccountingDown", "AccountingLag", "AccountingOff"]

_SACCTMGR = ("add", "archive", "clear", "create", "delete", "dump", "list", "load", "modify", "reconfigure", "remove")
_MORE_SACCTMGR = ("show", "shutdown", "update")


@frozen(kw_only=True)
class AccountingDown(Kind):
    """slurmdbd is not there: ``Connection refused``. With `hangs` it does not answer, and sacct says so after `seconds` (37 s measured)."""

    name: ClassVar[str] = "accounting_down"
    hits_calls_of: ClassVar[tuple[str, ...]] = ("sacct", "sacctmgr")

    hangs: bool = field(default=False, validator=attrs.validators.instance_of(bool))
    seconds: float | None = field(default=None, validator=attrs.validators.optional(is_duration))

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        patience = (37.0 if self.hangs else 0.0) if self.seconds is None else self.seconds
        return Disturbance(unanswered=self._unanswered, patience=patience)

    def _unanswered(
        self, command: str, argv: Sequence[str], _environ: Mapping[str, str], settings: Settings
    ) -> tuple[Reply, int]:
        new = settings.profile.release >= "24.11"
        why = "Resource temporarily unavailable" if self.hangs else "Connection refused"
        if self.hangs:
            first = "slurm_persist_conn_open: No response to persist_init"
        else:
            where = f"host:{settings.control_host}:{_PORT}"
            function = "_open_persist_conn" if new else "slurm_persist_conn_open_without_init"
            first = f"{function}: failed to open persistent connection to {where}: {why}"
        lines = [first, f"Sending PersistInit msg: {why}"]
        if command == "sacct":
            lines.append(f"Problem talking to the database: {why}")
        text = "".join(f"{command}: error: {line}\n" for line in lines)
        if command == "sacctmgr":
            return _sacctmgr(next((word for word in argv if not word.startswith("-")), ""), text, settings), 1
        return Reply(stderr=text, returncode=1), 1


_PORT = 6819
"""AccountingStoragePort: Slurm's default."""


def _sacctmgr(keyword: str, text: str, settings: Settings) -> Reply:
    """It looks at its keyword when it has tried to connect."""
    if keyword == "version":
        return Reply(f"slurm-wlm {settings.profile.version}\n", text)
    known = keyword in _SACCTMGR or keyword in _MORE_SACCTMGR
    return Reply(stderr=text if known else f"{text}invalid keyword: {keyword}\n", returncode=1)


@frozen(kw_only=True)
class AccountingOff(Kind):
    """sacct and sacctmgr find a cluster without accounting, as with ``AccountingStorageType=accounting_storage/none``."""

    name: ClassVar[str] = "accounting_off"
    hits_calls_of: ClassVar[tuple[str, ...]] = ("sacct", "sacctmgr")

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        return Disturbance(settings=evolve(settings, accounting=False))


@frozen(kw_only=True)
class AccountingLag(Kind):
    """What happens to jobs reaches slurmdbd `seconds` later, as when slurmctld has a long queue for it; when it ends all is there at once."""

    name: ClassVar[str] = "accounting_lag"
    hits_calls_of: ClassVar[tuple[str, ...]] = ("sacct",)

    seconds: float = field(default=60.0, validator=is_duration)

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        return Disturbance()

    def begin(self, engine: Engine, fault: Fault, now: float) -> End:
        accounting = engine.controller.accounting
        accounting.fall_behind(self.seconds)
        return lambda _now: accounting.catch_up(self.seconds)
