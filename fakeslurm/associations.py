"""Who pays: the account and the QOS of a job, as accounting knows them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakeslurm.model import Settings

__all__ = ["account", "qos"]


def account(uid: int, asked: str | None, settings: Settings) -> str | None:
    """The account that a job is charged to.

    slurmdbd knows one user from the beginning, root with the account ``root``, and gives it that account whatever it
    asks for. Anybody else's is taken as given (``AccountingStorageEnforce=none``), in lower case.
    """
    if settings.accounting and uid == 0:
        return "root"
    return asked.lower() if asked else None


def qos(asked: str | None, settings: Settings) -> str | None:
    """``normal``, the only one there is; empty for one that does not exist; None without slurmdbd."""
    if not settings.accounting:
        return None
    return "normal" if asked is None or asked.lower() == "normal" else ""
