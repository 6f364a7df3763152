"""``--export``: what a job has of the environment that it was submitted in, and what a login gives its user."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache

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


_LOGIN_SECONDS = 10.0
"""How long a login may take; env_array_user_default in src/common/env.c gives up as well."""
_MARK = "\0LOGIN\0"
"""Behind what the files of the login have printed."""


@cache
def login_environment(user: str) -> Mapping[str, str]:
    """What a login gives `user`: of ``su - USER``, as Slurm asks for it (measured), which only root may.

    For others, and where there is no such user, what the password database knows. Asked once in the life of the process.
    """
    return (_logged_in(user) if os.geteuid() == 0 else None) or _without_login(user)


def _logged_in(user: str) -> dict[str, str] | None:
    """None when nobody can log in as `user`."""
    command = ["su", "-", user, "-c", r"printf '\0LOGIN\0'; env -0"]
    try:
        done = subprocess.run(
            command, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LOGIN_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    _, marked, dump = done.stdout.decode("utf-8", "surrogateescape").partition(_MARK)
    pairs = (item.partition("=") for item in dump.split("\0") if item)
    return {name: value for name, _, value in pairs} if marked else None


def _without_login(user: str) -> dict[str, str]:
    """PATH is the one of login.defs."""
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
