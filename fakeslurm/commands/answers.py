"""How the query commands break off, and what they have in common besides their options."""

from __future__ import annotations

import pwd
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fakeslurm.commands.base import Invocation, Option, Reply
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.model import PROFILES

if TYPE_CHECKING:
    from fakeslurm.model import Settings
    from fakeslurm.slurmctld import Controller

__all__ = ["Stop", "option_table", "unsupported", "user_id", "version", "words"]


class Stop(Exception):  # noqa: N818 (an answer, not always an error)
    """The command is over: this is its whole answer."""

    def __init__(self, stderr: str = "", returncode: int = 1, stdout: str = "") -> None:
        super().__init__(stderr or stdout)
        self.reply = Reply(stdout, stderr, returncode)


def unsupported(program: str, what: str) -> Stop:
    """The refusal of what Slurm's command can and the fake's cannot."""
    return Stop(f"{program}: error: fakeslurm does not support {what}\n")


def version(invocation: Invocation) -> Stop:
    """``--version``, as Debian's package prints it."""
    return Stop(stdout=f"slurm-wlm {PROFILES[invocation.version].version}\n", returncode=0)


def option_table(old: tuple[Option, ...], new: tuple[Option, ...], settings: Settings) -> tuple[Option, ...]:
    """The options of a release: those of 22.05, or with those that 24.11 has more, where a format of JSON has a name."""
    if settings.profile.release != NEW:
        return old
    formats = tuple(Option(name, "", "optional") for name in ("json", "yaml"))
    return *(option for option in old if option.name not in ("json", "yaml")), *new, *formats


def words(text: str) -> list[str]:
    """The elements of a list with commas, blanks kept, empty ones left out."""
    return [word for word in text.split(",") if word]


def check_clusters(program: str, text: str, option: str, controller: Controller) -> None:
    """``-M``: nothing but this cluster's own name, or ``all``. Raises `Stop` in Slurm's words for another one."""
    settings = controller.settings
    for name in words(text) or [""]:
        if settings.accounting and name in (settings.cluster_name, "all"):
            continue
        problem = f"No cluster '{name}' known by database." if settings.accounting else "Problem talking to database"
        new = settings.profile.release == NEW
        hint = f"'{text}' can't be reached now, or it is an invalid entry for {'--cluster' if new else option}."
        raise Stop(
            f"{program}: error: {problem}\n"
            f"{program}: error: {hint}  Use 'sacctmgr list clusters' to see available clusters.\n"
            + (f"{program}: fatal: Could not get cluster information\n" if new else "")
        )


def user_id(text: str, known: Iterable[tuple[str, int]]) -> int | None:
    """The uid of a user's name or number; None for one that is neither among `known` nor a user of this machine."""
    for name, uid in known:
        if text in (name, f"{uid}"):
            return uid
    try:
        return pwd.getpwuid(int(text)).pw_uid if text.isdecimal() else pwd.getpwnam(text).pw_uid
    except (KeyError, OverflowError):
        return None
