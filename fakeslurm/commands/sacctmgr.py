"""``sacctmgr show``: what accounting knows of clusters, accounts, users, associations and qualities of service.

That is what a new slurmdbd knows: the cluster, the account and the user ``root``, the QOS ``normal`` (measured on 22.05.8
and 24.11.5). Nothing can be changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm.commands.answers import Stop, unsupported, version
from fakeslurm.commands.base import Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.sacctmgr_entities import ENTITIES, Entity, Field

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["run"]

_OPTIONS = (
    Option("associations", "s"),
    Option("help", "h"),
    Option("immediate", "i"),
    Option("noheader", "n"),
    Option("oneliner", "o"),
    Option("parsable", "p"),
    Option("parsable2", "P"),
    Option("quiet", "Q"),
    Option("readonly", "r"),
    Option("usage"),
    Option("verbose", "v"),
    Option("version", "V"),
)
_REFUSED = ("oneliner", "verbose")
_WITHOUT_ASSOCIATIONS = ("cluster", "qos", "association")
"""What --associations changes nothing of."""
_USAGE = """\
Usage: sacctmgr [-nipPQrsV] show|list ENTITY [NAME...] [where CONDITION=VALUE...] [format=FIELD,...]

This is fakeslurm: ENTITY is cluster, account, user, association, qos or tres. Nothing can be changed.
"""
_CHANGES = (
    *("add", "archive", "clear", "create", "delete", "dump", "load", "modify", "reconfigure", "remove", "shutdown"),
    "update",
)
_NO_ACCOUNTING = (
    "You are not running a supported accounting_storage plugin\nOnly 'accounting_storage/slurmdbd' is supported.\n"
)
_NO_ENTITY = """\
No valid entity in list command
Input line must include "Account", "Association", "Cluster", "Configuration",
"Event", "Federation", "Problem", "QOS", "Resource", "Reservation",
"RunAwayJobs", "Stats", "Transaction", "TRES", "User", or "WCKey"
"""
_OTHERS = (
    *("configuration", "events", "federation", "problems", "resources", "reservations", "runawayjobs", "stats"),
    *("transactions", "wckeys"),
)
_SHORTEST = 3
"""Letters of a field's name that are enough; Slurm's own minimum is often less."""


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    try:
        return _run(argv, invocation, controller)
    except UsageError as error:
        return error.reply(1)
    except Stop as stop:
        return stop.reply


def _run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    given, words = parse_options("sacctmgr", argv, _OPTIONS)
    names = {option.key for option in given}
    if "version" in names:
        raise version(invocation)
    if not controller.settings.accounting:
        raise Stop(_NO_ACCOUNTING)
    _ = controller.accounting  # it connects before it looks at its keyword (measured)
    if words[:1] == ["version"]:
        raise version(invocation)
    if names & {"help", "usage"} or words[:1] == ["help"]:
        return Reply(_USAGE)
    for name in _REFUSED:
        if name in names:
            raise unsupported("sacctmgr", f"--{name}")
    if not words:
        raise unsupported("sacctmgr", "a conversation: name a command, like `sacctmgr show cluster`")
    keyword = words[0].lower()
    if keyword in _CHANGES:
        raise unsupported("sacctmgr", f"changes of the accounting database ({keyword})")
    if keyword not in ("show", "list"):
        raise Stop(f"invalid keyword: {words[0]}\n")
    return Reply(_show(words[1:], names, controller))


def _show(words: Sequence[str], options: set[str], controller: Controller) -> str:
    entity = _entity(words[0].lower() if words else "")
    conditions, formats, flags = _conditions(words[1:], entity)
    with_associations = "withassoc" in flags
    if "associations" in options and entity.name not in _WITHOUT_ASSOCIATIONS:
        if not entity.associated:
            raise unsupported("sacctmgr", "--associations here")
        with_associations = True
    if with_associations and not formats:
        raise unsupported("sacctmgr", "the columns of associations that are not asked for: add format=FIELD,...")
    fields = (
        [_field(entity, text) for text in formats]
        if formats
        else [_Shown.of(one) for one in entity.default(controller.settings)]
    )
    rows = [
        row
        for row in entity.rows(controller.settings, with_associations=with_associations)
        if all(row.get(name, "") in wanted for name, wanted in conditions.items())
    ]
    shown = list({one.field.name: one for one in reversed(fields)}.values())[::-1]
    lines = [[one.field.header for one in shown]] if "noheader" not in options else []
    if "parsable" in options or "parsable2" in options:
        lines += [[row[one.field.name] for one in shown] for row in rows]
        end = "" if "parsable2" in options else "|"
        return "".join("|".join(line) + f"{end}\n" for line in lines)
    text = ""
    if lines:
        text = "".join(f"{one.pad(one.field.header[: one.width])} " for one in shown) + "\n"
        text += "".join("-" * one.width + " " for one in shown) + "\n"
    return text + "".join(
        "".join(f"{one.pad(_cut(row[one.field.name], one.width))} " for one in shown) + "\n" for row in rows
    )


def _entity(text: str) -> Entity:
    """An entity by the beginning of its name; of those that begin with ``a`` three letters are needed (measured)."""
    for name, entity in ENTITIES.items():
        if len(text) >= entity.shortest and (name.startswith(text) or text in entity.plurals):
            return entity
    if len(text) >= _SHORTEST and any(name.startswith(text) for name in _OTHERS):
        raise unsupported("sacctmgr", f"show {text}")
    raise Stop(_NO_ENTITY)


def _conditions(words: Sequence[str], entity: Entity) -> tuple[Mapping[str, set[str]], list[str], set[str]]:
    """What the rows' values have to be, the texts of ``format=``, and the flags."""
    conditions: dict[str, set[str]] = {}
    formats: list[str] = []
    flags: set[str] = set()
    for word in words:
        name, equals, value = word.partition("=")
        key = name.lower()
        if key == "where" and not equals:
            continue
        if not equals and key == "withassoc" and entity.associated:
            flags.add(key)
        elif key == "format" and equals:
            formats += value.split(",")
        elif equals and key.rstrip("s") in entity.conditions:
            conditions.setdefault(entity.conditions[key.rstrip("s")], set()).update(value.split(","))
        elif not equals and key not in _FLAGS and entity.named:
            conditions.setdefault(entity.conditions["name"], set()).update(word.split(","))
        elif key in _FLAGS or key in _CONDITIONS:
            raise unsupported("sacctmgr", f"{name} here")
        else:
            raise Stop(f" Unknown condition: {word}\n Use keyword 'set' to modify value\n")
    return conditions, formats, flags


_FLAGS = frozenset(
    (
        *("onlydefaults", "tree", "withassoc", "withcoordinators", "withdeleted", "withfed", "withrawqos"),
        *("withsubaccounts", "wolimits", "wopinfo", "woplimits"),
    )
)
_CONDITIONS = frozenset(
    (
        *(
            "adminlevel",
            "classification",
            "defaultaccount",
            "defaultqos",
            "defaultwckey",
            "description",
            "descriptions",
        ),
        *("federation", "flags", "id", "ids", "organization", "organizations", "parent", "parents", "partition"),
        *("partitions", "preemptmode", "qoslevel", "rpc", "type"),
    )
)


@frozen
class _Shown:
    field: Field
    width: int
    left: bool = False

    @classmethod
    def of(cls, field: Field) -> _Shown:
        return cls(field, field.width)

    def pad(self, text: str) -> str:
        return text.ljust(self.width) if self.left else text.rjust(self.width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}+"


def _field(entity: Entity, text: str) -> _Shown:
    """``Cluster``, ``clu``, ``Cluster%20``, ``Cluster%-20``."""
    name, _, size = text.partition("%")
    key = name.lower()
    found = next((one for one in entity.fields if key in (one.name, *one.aliases)), None)
    if found is None and len(key) >= _SHORTEST:
        names = ((one, name) for one in entity.fields for name in (one.name, *one.aliases))
        found = next((one for one, name in names if name.startswith(key)), None)
    if found is None and key and (len(key) < _SHORTEST or any(other.startswith(key) for other in entity.others)):
        raise unsupported("sacctmgr", f"the field {name} here")
    if found is None:
        raise Stop(f"Unknown field '{name}'\n")
    width = re.fullmatch(r"(-?)([0-9]+)", size)
    return _Shown(found, int(width[2]), bool(width[1])) if width else _Shown.of(found)
