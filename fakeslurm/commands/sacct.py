"""``sacct``. Texts and return codes were measured on Slurm 22.05.8 (docs/slurm-measurements.md, section 5).

Which jobs a time window and states select is what slurmdbd asks its database for (its log with DebugFlags=DB_JOB).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from fakeslurm.commands import accountfilter, accountjson, answers, jsonshape
from fakeslurm.commands.accountfields import BRIEF, DEFAULT, FIELDS, LONG, FieldError, Sheet, columns, help_text
from fakeslurm.commands.accountrows import AccountTexts
from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.arrayjobs import text_length
from fakeslurm.commands.base import Given, Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.stamps import Stamps

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "run"]

_PROGRAM = "sacct"

OPTIONS = (
    Option("allusers", "a"),
    Option("accounts", "A", "required"),
    Option("allocations", "X"),
    Option("brief", "b"),
    Option("batch-script", "B"),
    Option("completion", "c"),
    Option("constraints", "C", "required"),
    Option("delimiter", "", "required"),
    Option("duplicates", "D"),
    Option("federation"),
    Option("helpformat", "e"),
    Option("help-fields", key="helpformat"),
    Option("endtime", "E", "required"),
    Option("env-vars"),
    Option("file", "f", "required"),
    Option("flags", "F", "required"),
    Option("gid", "g", "required"),
    Option("group", "", "required", key="gid"),
    Option("help", "h"),
    Option("local"),
    Option("name", "", "required"),
    Option("nnodes", "i", "required"),
    Option("ncpus", "I", "required"),
    Option("jobs", "j", "required"),
    Option("timelimit-min", "k", "required"),
    Option("timelimit-max", "K", "required"),
    Option("long", "l"),
    Option("allclusters", "L"),
    Option("cluster", "", "required", key="clusters"),
    Option("clusters", "M", "required"),
    Option("nodelist", "N", "required"),
    Option("noconvert"),
    Option("units", "", "required"),
    Option("noheader", "n"),
    Option("fields", "", "required", key="format"),
    Option("format", "o", "required"),
    Option("parsable", "p"),
    Option("parsable2", "P"),
    Option("qos", "q", "required"),
    Option("partition", "r", "required"),
    Option("reason", "", "required"),
    Option("state", "s", "required"),
    Option("starttime", "S", "required"),
    Option("truncate", "T"),
    Option("uid", "u", "required"),
    Option("use-local-uid"),
    Option("usage", "U"),
    Option("user", "", "required", key="uid"),
    Option("verbose", "v"),
    Option("version", "V"),
    Option("wckeys", "W", "required"),
    Option("whole-hetjob", "", "optional"),
    Option("associations", "x", "required"),
    Option("json"),
    Option("yaml"),
)

NEW_OPTIONS = (
    Option("array"),
    Option("expand-patterns"),
    Option("helpreason"),
    Option("helpstate"),
)
"""Of 24.11."""

USAGE = "Usage: sacct [options]\n\tUse --help for help\n"
HELP = """\
sacct [<OPTION>]
This is fakeslurm: an option of sacct is carried out as Slurm does, or refused with
"fakeslurm does not support --OPTION". See sacct(1) for what the options mean, --helpformat for the fields.
"""

_REFUSED = frozenset(
    {"batch-script", "completion", "env-vars", "file", "yaml", "reason", "truncate", "verbose"}
    | {option.identity for option in NEW_OPTIONS if option.identity != "array"}
)
_NO_CHANGE = frozenset({"federation", "local", "use-local-uid"})
"""One cluster: nothing to do."""
_LISTS = frozenset(
    {"accounts", "associations", "clusters", "constraints", "format", "gid", "jobs", "name", "partition", "qos"}
    | {"state", "uid", "wckeys"}
)
"""Options that add to what was given before."""
_TEXTS = {"help": HELP, "usage": USAGE}


@define
class _Request:
    """What the arguments ask for."""

    values: dict[str, str] = field(factory=dict)
    """Of options with an argument: the last one; of those in `_LISTS` all, joined by commas."""
    flags: set[str] = field(factory=set)
    trailing: bool | None = None
    """The last of --parsable (true) and --parsable2 (false)."""

    helps: list[str] = field(factory=list)
    """--help, --helpformat, --usage: the last one counts."""
    complaints: str = ""
    """What does not end the command."""

    def append(self, key: str, value: str) -> None:
        self.values[key] = f"{self.values[key]},{value}" if self.values.get(key) else value


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Print the accounting records of jobs and their steps."""
    try:
        table = answers.option_table(OPTIONS, NEW_OPTIONS, controller.settings)
        request = _Request()
        try:
            given, operands = parse_options(_PROGRAM, argv, table, suggest_help=False)
        except UsageError as error:
            for option in error.given:
                _apply(request, option, invocation, controller)
            return error.reply(1)
        for option in given:
            _apply(request, option, invocation, controller)
        if not controller.settings.accounting:
            raise Stop("Slurm accounting storage is disabled\n")
        return _print(request, operands, invocation, controller, [_PROGRAM, *argv])
    except Stop as stop:
        return stop.reply


def _apply(request: _Request, option: Given, invocation: Invocation, controller: Controller) -> None:
    """Note one option; its value is looked at at once. Raises `Stop`."""
    key, value = option.key, option.value or ""
    if key in _NO_CHANGE:
        return
    if key in _REFUSED:
        raise unsupported(_PROGRAM, f"--{key}")
    match key:
        case "help" | "helpformat" | "usage":
            request.helps.append(key)
        case "version":
            raise answers.version(invocation)
        case "json":
            jsonshape.check_parser(_PROGRAM, option.value, controller.settings)
            request.flags.add(key)
        case "parsable" | "parsable2":
            request.trailing = key == "parsable"
        case "whole-hetjob":
            request.values[key] = "yes" if option.value is None else value
        case "units":
            unit = value[:1].upper()
            if not unit or unit not in "KMGTP":
                shown = f"'{value}'. Possible options are 'KMGTP'" if value else "'"
                raise Stop(f"{_PROGRAM}: error: Invalid unit type {shown}\n{_PROGRAM}: fatal: Invalid unit type\n")
            request.values[key] = unit
        case "nodelist" if key in request.values:
            request.complaints += f"{_PROGRAM}: error: Already asked for nodes '{request.values[key]}'\n"
        case "allclusters":
            request.values["clusters"] = "all"
        case "clusters" if value.lower() in ("all", "-1") or request.values.get(key) == "all":
            request.values[key] = "all" if value.lower() in ("all", "-1") else value
        case "allusers":
            request.values.pop("uid", None)
            request.flags.add(key)
        case "uid" if value == "-1":
            request.values.pop(key, None)
            request.flags.add("allusers")
            return
        case _ if key in _LISTS:
            request.append(key, value)
            request.flags.add(key)
        case _ if option.value is None:
            request.flags.add(key)
        case _:
            request.values[key] = value
    accountfilter.check(key, value, invocation, controller)


def _print(
    request: _Request, operands: list[str], invocation: Invocation, controller: Controller, words: list[str]
) -> Reply:
    """The answer, once every option has been read: what is wrong then is looked for in this order (measured)."""
    stamps = Stamps(_PROGRAM, invocation.environ, invocation.now)
    if "long" in request.flags:
        if "format" in request.values:
            raise Stop(
                f"{_PROGRAM}: fatal: Options -o(--format) and -l(--long) are mutually exclusive. "
                "Please remove one and retry.\n"
            )
        request.values["format"] = LONG
    if "brief" in request.flags:  # behind the fields of --format, wherever it stands (measured)
        request.append("format", BRIEF)
    selection = accountfilter.selection(request.values, request.flags, invocation, controller)
    texts = AccountTexts(
        controller.settings,
        invocation.now,
        stamps,
        convert="noconvert" not in request.flags,
        unit=request.values.get("units", ""),
        index_length=text_length(invocation.environ),
    )
    text = request.values.get("format", invocation.environ.get("SACCT_FORMAT", DEFAULT))
    fields = FIELDS[controller.settings.profile.release]
    try:
        chosen = columns(text, fields, texts.getter)
    except FieldError as error:
        raise Stop(f"{_PROGRAM}: error: {error}\n") from None
    if operands:
        lines = "".join(f"{_PROGRAM}: error:  {operand}\n" for operand in operands)
        raise Stop(f"{_PROGRAM}: error: Unknown arguments:\n{lines}")
    for key in request.helps[-1:]:
        return Reply(help_text(fields) if key == "helpformat" else _TEXTS[key])
    rows = selection.rows(
        controller.accounting.records(invocation.now, selection.job_ids),
        with_steps="allocations" not in request.flags,
        duplicates="duplicates" in request.flags,
    )
    if "array" in request.flags:
        rows = accountfilter.one_by_one(rows)
    if "json" in request.flags:
        return Reply(accountjson.report(rows, texts, invocation, words), request.complaints)
    delimiter = None if request.trailing is None else request.values.get("delimiter", "|")
    sheet = Sheet(chosen, delimiter, bool(request.trailing), controller.settings.profile.sacct_cuts_dates)
    header = "" if "noheader" in request.flags else sheet.header()
    return Reply(header + sheet.rows(rows), request.complaints + stamps.complaint)
