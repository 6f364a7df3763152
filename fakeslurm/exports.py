"""``--export``: what a job has of the environment that it was submitted in, and what a login gives its user."""

from __future__ import annotations

import pwd
from collections.abc import Iterator, Mapping

__all__ = ["exported", "exports_all", "login_environment"]


def exported(environ: Mapping[str, str], export: str | None) -> dict[str, str]:
    """What ``--export`` lets through. Its items are taken one after another, and SLURM_* (and SPANK_*) pass always.

    Measured: quotes protect commas and stay in the value; NONE and NIL, and names that do not exist, add nothing; ``FOO=2,ALL``
    leaves FOO at its value in `environ`.
    """
    if exports_all(export):
        return dict(environ)
    chosen: dict[str, str] = {}
    for item in _items(export or ""):
        name, equals, value = item.partition("=")
        if item.upper() == "ALL":
            chosen |= environ
        elif equals:
            chosen[name] = value
        elif name in environ:
            chosen[name] = environ[name]
    return chosen | {name: value for name, value in environ.items() if name.startswith(("SLURM_", "SPANK_"))}


def login_environment(user: str) -> dict[str, str]:
    """What a login gives a user, as far as the password database knows; PATH is the one of login.defs."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return {"USER": user, "LOGNAME": user, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    superuser = entry.pw_uid == 0
    return {
        "HOME": entry.pw_dir,
        "LOGNAME": user,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if superuser
        else "/usr/local/bin:/usr/bin:/bin",
        "SHELL": entry.pw_shell,
        "USER": user,
    }


def exports_all(export: str | None) -> bool:
    """Whether ``--export`` is ALL, as it is by default."""
    return export is None or export.upper() == "ALL"


def _items(text: str) -> Iterator[str]:
    """The items between commas that are not between quotes."""
    item, quote = "", ""
    for char in text:
        if char == "," and not quote:
            yield item
            item = ""
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        item += char
    yield item
