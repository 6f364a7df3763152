"""``--json``: the shapes of a release, and how Slurm prints them.

The shapes (``shapes/RELEASE.json``) were printed by 22.05.8 (openapi v0.0.38 and dbv0.0.38) and 24.11.5 (data_parser
v0.0.42). They hold every field, with the value of a small pending job; `shaped` puts in what is different for another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.base import Invocation
from fakeslurm.model import Settings

__all__ = ["NO_LIMIT", "check_parser", "document", "shape", "shaped"]

NO_LIMIT = float("inf")
"""A number that is infinite."""

_PARSER = "v0.0.42"
_PARSERS = ("v0.0.42", "v0.0.40", "v0.0.41")
_NUMBER = frozenset({"set", "infinite", "number"})


@cache
def _shapes(release: str) -> dict[str, Any]:
    shapes: dict[str, Any] = json.loads(files(__package__).joinpath("shapes", f"{release}.json").read_text("utf-8"))
    return shapes


def shape(name: str, settings: Settings) -> Mapping[str, Any]:
    """``squeue`` and ``sacct`` (whole documents), ``job``, ``record``, ``step``."""
    found: Mapping[str, Any] = _shapes(settings.profile.release)[name]
    return found


def shaped(template: Any, value: Any) -> Any:
    """`value` in the form of `template`: a number may be an object, a word a list; a mapping replaces the fields that it names.

    Names that the template has not are another release's, and left out.
    """
    if isinstance(template, Mapping):
        if template.keys() == _NUMBER:
            return _number(value, type(template["number"]))
        if isinstance(value, Mapping) and template:
            return {key: shaped(old, value[key]) if key in value else old for key, old in template.items()}
        return value
    if isinstance(template, list) and isinstance(value, str):
        return [value]
    return None if value == NO_LIMIT else value


def _number(value: float | None, kind: type) -> dict[str, Any]:
    """24.11's way: nothing and infinite are not numbers."""
    known = value is not None and value != NO_LIMIT
    return {
        "set": known,
        "infinite": value == NO_LIMIT,
        "number": kind(value) if known and value is not None else kind(),
    }


def check_parser(program: str, name: str | None, settings: Settings) -> None:
    """``--json=NAME`` of 24.11: its newest data_parser, or a list of them. Raises `Stop`."""
    if name is None or name == _PARSER:
        return
    if name == "list":
        raise Stop("Possible data_parser plugins:\n", 0, "".join(f"data_parser/{one}\n" for one in _PARSERS))
    if name in _PARSERS:
        raise unsupported(program, f"--json={name}, only {_PARSER}")
    raise Stop(
        f"{program}: error: load_plugins: unable to find plugin: data_parser/{name}\n"
        f"{program}: error: data_parser_g_new: failure loading plugins: Plugin has invalid format or unable to be loaded\n"
        f"{program}: error: application/json output not supported by data_parser/{_PARSER}\n"
    )


def document(
    command: str, settings: Settings, invocation: Invocation, words: list[str], values: Mapping[str, Any]
) -> str:
    """The whole text. `words` are the command's arguments as it was given them, which 24.11 repeats but for the last one."""
    template = shape(command, settings)
    own = {
        "client": {"user": invocation.user, "group": invocation.group},
        "command": words[:-1],
        "slurm": {"cluster": settings.cluster_name},
    }
    if "client" in template["meta"]:
        own["plugin"] = {"accounting_storage": f"accounting_storage/{'slurmdbd' if settings.accounting else 'none'}"}
    text = json.dumps(shaped(template, {"meta": own} | dict(values)), indent=2, ensure_ascii=False)
    text = text.replace("/", "\\/")
    return f"{text}\n" if "client" in template["meta"] else _spread(text)


def _spread(text: str) -> str:
    """22.05 closes an empty list on a line of its own, and ends without a line break."""
    lines = []
    for line in text.splitlines():
        for brackets in ("[]", "{}"):
            if line.rstrip(",").endswith(brackets) and not line.rstrip(",").endswith('"' + brackets):
                comma = "," if line.endswith(",") else ""
                indent = " " * (len(line) - len(line.lstrip()))
                lines += [line.rstrip(",")[:-1], f"{indent}{brackets[1]}{comma}"]
                break
        else:
            lines.append(line)
    return "\n".join(lines)
