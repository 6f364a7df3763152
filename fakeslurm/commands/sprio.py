"""``sprio``: without factors of priority (PriorityType=priority/basic) it has nothing to say. Measured: docs/measured/other-commands.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakeslurm.commands import answers
from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.base import Invocation, Option, Reply, UsageError, parse_options

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "run"]

_PROGRAM = "sprio"

OPTIONS = (
    Option("federation"),
    Option("help"),
    Option("jobs", "j", "required"),
    Option("local"),
    Option("long", "l"),
    Option("cluster", "", "required", key="clusters"),
    Option("clusters", "M", "required"),
    Option("noheader", "h"),
    Option("norm", "n"),
    Option("format", "o", "required"),
    Option("partition", "p", "required"),
    Option("sibling"),
    Option("sort", "S", "required"),
    Option("usage"),
    Option("user", "u", "required"),
    Option("verbose", "v"),
    Option("version", "V"),
    Option("weights", "w"),
)
_NEW_OPTIONS = (Option("helpformat"),)
_REFUSED = frozenset({"verbose", "helpformat"})
_USAGE = """\
Usage: sprio [-j jid[s]] [-u user_name[s]] [-o format] [-p partitions]
   [--federation] [--local] [--sibling] [--usage] [-hlnvVw]
"""
_NO_FACTORS = """\
You are not running a supported priority plugin
(priority/basic).
Only 'priority/multifactor' is supported.
"""


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Say that there are no factors."""
    try:
        new = controller.settings.profile.release >= "24.11"
        given, operands = parse_options(_PROGRAM, argv, OPTIONS + (_NEW_OPTIONS if new else ()))
        complaints = ""
        for option in given:
            value = option.value or ""
            if option.key in _REFUSED:
                raise unsupported(_PROGRAM, f"--{option.key}")
            if option.key in ("help", "usage"):
                raise Stop(stdout=_USAGE, returncode=0)
            if option.key == "version":
                raise answers.version(invocation)
            if option.key == "clusters":
                answers.check_clusters(_PROGRAM, value, "--cluster", controller)
            if option.key == "jobs":
                _check_jobs(value, new=new)
            if option.key == "user":
                unknown = [name for name in answers.words(value) if answers.user_id(name, ()) is None]
                complaints += "".join(f"{_PROGRAM}: error: Invalid user: {name}\n\n" for name in unknown)
        if operands:
            raise Stop(f"{_PROGRAM}: error: Unrecognized option: {operands[0]}\n", 1, _USAGE)
        return Reply(stderr=complaints + _NO_FACTORS, returncode=1)
    except UsageError as error:
        return error.reply(1)
    except Stop as stop:
        return stop.reply


def _check_jobs(text: str, *, new: bool) -> None:
    words = answers.words(text)
    wrong = next((word for word in words if not re.fullmatch("[0-9]+", word, re.ASCII)), None)
    if wrong is not None and new and (len(words) > 1 or wrong[0].isdigit()):
        raise unsupported(_PROGRAM, f"--jobs={text}")
    if wrong is not None:
        raise Stop(f"{_PROGRAM}: error: Invalid job id: {wrong}\n")
