"""What the value of each option of a job means: functions that fill `Wishes`.

Texts and return codes of refused values were measured on 22.05.8 (docs/slurm-measurements.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fakeslurm import timelimits
from fakeslurm.commands.base import Refused
from fakeslurm.commands.moments import MomentError, parse_moment
from fakeslurm.commands.signals import parse_signal_option
from fakeslurm.commands.stamps import zone
from fakeslurm.mailtypes import mail_types
from fakeslurm.model import NO_LIMIT

if TYPE_CHECKING:
    from fakeslurm.commands.job_options import Wishes

__all__ = ["HANDLERS", "LARGEST", "Handler", "attribute"]

LARGEST = 0x7FFFFFFF
"""What an int holds."""

_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", re.ASCII)
_MEMORY = re.compile(r"([0-9]+)([KMGT]?)B?", re.IGNORECASE | re.ASCII)
_MEGABYTES = {"": 1, "M": 1, "G": 1 << 10, "T": 1 << 20}
_NODES = re.compile(r"[ \t]*([0-9]+)([km]?)", re.IGNORECASE | re.ASCII)
_MULTIPLE = {"": 1, "k": 1 << 10, "m": 1 << 20}
_NICEST = 2147483645
"""NICE_OFFSET in slurm/slurm.h, less 3."""
_NO_PRIORITY = 4294967294
"""NO_VAL."""
_DISTRIBUTION = re.compile(
    r"(?:(?P<nodes>block|cyclic|\*)(?P<inside>(?::(?:block|cyclic|fcyclic|\*)){0,2})|arbitrary|plane(?:=(?P<plane>[0-9]+)|.*))"
    r"(?P<pack>,(?:no)?pack)?",
    re.IGNORECASE,
)

Handler = Callable[[Any, str, "str | None"], None]
"""Takes (wishes, long name, value) of an option. Raises `Refused`."""


def attribute(name: str) -> str:
    return name.replace("-", "_")


def _text(wishes: Wishes, name: str, value: str | None) -> None:
    setattr(wishes, attribute(name), value or "")


def _flag(wishes: Wishes, name: str, value: str | None) -> None:
    setattr(wishes, attribute(name), True)


def _more(wishes: Wishes, name: str, value: str | None) -> None:
    setattr(wishes, name, getattr(wishes, name) + 1)


def _count(wishes: Wishes, name: str, value: str | None) -> None:
    setattr(wishes, attribute(name), wishes.count(name, value))


def _minutes(wishes: Wishes, name: str, value: str | None) -> None:
    text = value or ""
    limit = timelimits.minutes(text)
    if limit == timelimits.NO_VAL:
        raise wishes.specification(name)
    if timelimits.is_negative(limit):
        raise wishes.unsupported(name, text)
    wishes.time = NO_LIMIT if limit == timelimits.INFINITE else limit


def _memory(wishes: Wishes, name: str, value: str | None) -> None:
    match = _MEMORY.fullmatch(value or "")
    if match is None:
        raise wishes.specification(name)
    unit = match[2].upper()
    number = -(-int(match[1]) // 1024) if unit == "K" else int(match[1]) * _MEGABYTES[unit]
    setattr(wishes, attribute(name), number)


def _nodes(wishes: Wishes, name: str, value: str | None) -> None:
    text = value or ""
    low_text, dash, high_text = text.partition("-")
    if dash and not low_text:
        low_text = "1"
    low = _node_count(wishes, low_text)
    high = low if not dash else _node_count(wishes, high_text) if high_text else -1
    if dash and high < low:
        raise wishes.wrong(f"Maximum node count {high} is less than minimum node count {low}", 255)
    wishes.min_nodes, wishes.max_nodes = low, high


def _node_count(wishes: Wishes, text: str) -> int:
    match = _NODES.fullmatch(text)
    if match is None:
        raise wishes.wrong(f'"{text}" is not a valid node count', 255)
    number = int(match[1]) * _MULTIPLE[match[2].lower()]
    if number > LARGEST and (wishes.is_new or match[2] or number & (LARGEST + 1)):
        raise wishes.wrong(f'"{text}" is not a valid node count', 255)
    return number & LARGEST


def _moment(wishes: Wishes, name: str, value: str | None) -> None:
    if not (value or "").strip():
        raise wishes.specification(name)
    try:
        setattr(wishes, name, parse_moment(value or "", wishes.now, zone(wishes.environ), past=False))
    except MomentError as error:
        raise Refused(f"{error}\n{wishes.specification(name).stderr}", 255) from None


def _exclusive(wishes: Wishes, name: str, value: str | None) -> None:
    if value in ("user", "mcs"):
        raise wishes.unsupported(name, value)
    if value not in (None, "", "exclusive"):
        raise wishes.specification(name)
    wishes.exclusive, wishes.oversubscribe = True, False


def _oversubscribe(wishes: Wishes, name: str, value: str | None) -> None:
    wishes.exclusive, wishes.oversubscribe = False, True


def _no_kill(wishes: Wishes, name: str, value: str | None) -> None:
    if value not in (None, "", "off", "no"):
        raise wishes.specification(name)
    wishes.no_kill = not value


def _kill_on_invalid_dep(wishes: Wishes, name: str, value: str | None) -> None:
    if (value or "").lower() not in ("yes", "no"):
        raise wishes.specification(name)
    wishes.kill_on_invalid_dep |= {(value or "").lower() == "yes"}


def _signal(wishes: Wishes, name: str, value: str | None) -> None:
    wishes.signal = parse_signal_option(value or "")
    if wishes.signal is None:
        raise wishes.specification(name)


def _get_user_env(wishes: Wishes, name: str, value: str | None) -> None:
    """``[timeout][mode]``, of which nothing but the sign makes a difference: a negative timeout is no --get-user-env (measured)."""
    match = _INTEGER.match(value or "")
    rest = (value or "")[match.end() if match else 0 :]
    if rest and rest[0] not in "sSlL":
        raise wishes.specification(name)
    wishes.get_user_env = not match or int(match[1]) >= 0


def _extra_node_info(wishes: Wishes, name: str, value: str | None) -> None:
    """``-B sockets[:cores[:threads]]``; ``*`` leaves one open."""
    parts = (value or "").split(":")
    if len(parts) > 3 or not all(re.fullmatch(r"[0-9]+|\*", part, re.ASCII) for part in parts):
        raise wishes.specification(name)
    wishes.extra_node_info = True
    for attribute, part in zip(("sockets_per_node", "cores_per_socket", "threads_per_core"), parts, strict=False):
        setattr(wishes, attribute, None if part == "*" else wishes.count(name, part))


def _requeue(wishes: Wishes, name: str, value: str | None) -> None:
    wishes.requeue = name == "requeue"


def _nice(wishes: Wishes, name: str, value: str | None) -> None:
    match = _INTEGER.match(value or "") if value is not None else None
    wishes.nice = 100 if value is None else int(match[1]) if match else 0
    if abs(wishes.nice) > _NICEST:
        raise wishes.wrong(f"Invalid --nice value, out of range (+/- {_NICEST})", 255)


def _priority(wishes: Wishes, name: str, value: str | None) -> None:
    match = _INTEGER.match(value or "")
    wishes.priority = int(match[1]) if match else None
    if (wishes.priority or 0) >= _NO_PRIORITY:
        raise wishes.wrong(f"Priority must be < {_NO_PRIORITY}", 255)
    if (wishes.priority or 0) < 0:
        raise wishes.wrong("Priority must be >= 0", 255)


def _open_mode(wishes: Wishes, name: str, value: str | None) -> None:
    word = (value or "")[:1]
    if word not in ("a", "t"):
        raise wishes.specification(name)
    wishes.open_mode = "append" if word == "a" else "truncate"


def _distribution(wishes: Wishes, name: str, value: str | None) -> None:
    """``*`` is the default of its level: block for the nodes, cyclic in them."""
    text = (value or "").lower()
    match = _DISTRIBUTION.fullmatch(text)
    if match is None:
        raise wishes.specification(name)
    if text.startswith("plane") and not int(match["plane"] or 0):
        wrong = wishes.wrong("Invalid plane size or size not specified", 255)
        raise Refused(wrong.stderr + wishes.specification(name).stderr, 255)
    if match["pack"] or text.startswith("arbitrary"):
        raise wishes.unsupported(name, text)
    if match["nodes"]:
        text = match["nodes"].replace("*", "block") + match["inside"].replace("*", "cyclic")
    wishes.distribution = text


def _nothing(wishes: Wishes, name: str, value: str | None) -> None:
    """Accepted, and there is nothing to do: #PBS lines are never read, all nodes are always ready."""


def _mail_type(wishes: Wishes, name: str, value: str | None) -> None:
    """Several of these options count together (measured)."""
    found = mail_types(value or "")
    if found is None:
        raise wishes.specification(name)
    wishes.mail_type = mail_types(",".join([*wishes.mail_type, *found])) or ()


def _other_gpus(wishes: Wishes, name: str, value: str | None) -> None:
    wishes.other_gpus = f"{name}={value}"


def _hint(wishes: Wishes, name: str, value: str | None) -> None:
    """All that scontrol shows of it is the one thread per core."""
    if value != "nomultithread":
        raise wishes.unsupported(name, value)
    wishes.threads_per_core = 1


def _gres(wishes: Wishes, name: str, value: str | None) -> None:
    if not value:
        raise wishes.unsupported(name, "")
    wishes.gres = value


def _constraint(wishes: Wishes, name: str, value: str | None) -> None:
    """A comma is an ``&``."""
    wishes.constraint = (value or "").replace(",", "&")


def _only(*accepted: str | None) -> Handler:
    def handler(wishes: Wishes, name: str, value: str | None) -> None:
        if value not in accepted:
            raise wishes.unsupported(name, value)

    return handler


_TEXTS = (
    "account array chdir clusters comment dependency error exclude export gpus gpus-per-node input job-name mail-user "
    "licenses nodelist output partition qos reservation wckey wrap"
)
_COUNTS = (
    "cores-per-socket cpus-per-task mincpus ntasks ntasks-per-core ntasks-per-node ntasks-per-socket sockets-per-node "
    "threads-per-core"
)
_FLAGS = "contiguous hold overcommit parsable spread-job test-only use-min-nodes wait"
_OTHER_GPUS = "gpus-per-socket gpus-per-task"

HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(_TEXTS.split(), _text),
    **dict.fromkeys(_COUNTS.split(), _count),
    **dict.fromkeys(_FLAGS.split(), _flag),
    **dict.fromkeys(_OTHER_GPUS.split(), _other_gpus),
    **dict.fromkeys(["mem", "mem-per-cpu", "tmp"], _memory),
    **dict.fromkeys(["begin", "deadline"], _moment),
    **dict.fromkeys(["requeue", "no-requeue"], _requeue),
    **dict.fromkeys(["quiet", "verbose"], _more),
    **dict.fromkeys(["ignore-pbs", "wait-all-nodes"], _nothing),
    "constraint": _constraint,
    "gres": _gres,
    "distribution": _distribution,
    "exclusive": _exclusive,
    "extra-node-info": _extra_node_info,
    "get-user-env": _get_user_env,
    "hint": _hint,
    "kill-on-invalid-dep": _kill_on_invalid_dep,
    "mail-type": _mail_type,
    "nice": _nice,
    "no-kill": _no_kill,
    "nodes": _nodes,
    "open-mode": _open_mode,
    "oversubscribe": _oversubscribe,
    "priority": _priority,
    "profile": _only("none"),
    "propagate": _only(None, "ALL"),
    "signal": _signal,
    "time": _minutes,
}
