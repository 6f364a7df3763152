"""``scontrol update partitionname=``. Texts and return codes were measured on Slurm 22.05.8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.base import Invocation, Reply
from fakeslurm.commands.scontrol_call import update_keys
from fakeslurm.messages import SlurmError
from fakeslurm.slurmconf import partition_field

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["names_partition", "update_partition"]

_PROGRAM = "scontrol"
_ERROR = f"{_PROGRAM}: error: "
_STATES = {"UP": 1, "DOWN": 1, "DRAIN": 2, "INACTIVE": 1}
"""How many letters of each are needed."""
_CHANGED = ("state", "maxtime", "defaulttime", "maxnodes", "minnodes", "default")
_OTHER_KEYS = frozenset(
    {"allocnodes", "allowaccounts", "allowgroups", "allowqos", "alternate", "cpubind", "defmempercpu", "defmempernode"}
    | {"denyaccounts", "denyqos", "disablerootjobs", "exclusiveuser", "gracetime", "hidden", "jobdefaults", "lln"}
    | {"maxcpuspernode", "maxcpuspersocket", "maxmempercpu", "maxmempernode", "nodes", "oversubscribe", "overtimelimit"}
    | {
        "powerdownonidle",
        "preemptmode",
        "priority",
        "priorityjobfactor",
        "prioritytier",
        "qos",
        "reqresv",
        "resumetimeout",
    }
    | {"rootonly", "shared", "suspendtime", "suspendtimeout", "tresbillingweights"}
)


def names_partition(arguments: Sequence[str]) -> bool:
    """Whether an update is one of a partition."""
    return any(map(_is_name, update_keys(arguments)))


def _is_name(key: str) -> bool:
    return len(key) >= 3 and "partitionname".startswith(key.lower())


def update_partition(arguments: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Change state and limits of a partition."""
    name = ""
    changes: dict[str, Any] = {}
    addition = "slurm_update error: No error\n" if controller.settings.profile.update_adds_no_error else ""
    for argument in arguments:
        key, _, value = argument.partition("=")
        if _is_name(key):
            name = value
            continue
        small = "state" if len(key) >= 2 and "state".startswith(key.lower()) else key.lower()
        if small in _OTHER_KEYS:
            raise unsupported(_PROGRAM, f"update of a partition's {key}")
        if small not in _CHANGED:
            raise Stop(
                f"{_ERROR}Update of this parameter is not supported: {argument}\n\n{_ERROR}Request aborted\n{addition}"
            )
        field, read = _read(small, value, argument, addition)
        changes[field] = read
    if not changes:
        raise Stop(f"{_ERROR}No changes specified\n")
    try:
        controller.update_partition(name, invocation.now, **changes)
    except SlurmError as error:
        raise Stop(f"slurm_update error: {error.message}\n") from None
    return Reply()


def _read(key: str, value: str, argument: str, addition: str) -> tuple[str, Any]:
    if key == "state":
        for word, least in _STATES.items():
            if len(value) >= least and word.startswith(value.upper()):
                return key, word
        raise Stop(
            f"{_ERROR}Invalid input: {argument}\n"
            f"{_ERROR}Acceptable State values are UP, DOWN, DRAIN and INACTIVE\n{addition}"
        )
    try:
        field, read = partition_field(key, value)
    except ValueError:
        if key == "maxnodes":
            raise Stop(f'{_ERROR}Invalid numeric value "{value}" for MaxNodes.\n') from None
        if key in ("maxtime", "defaulttime"):
            raise Stop(f"{_ERROR}Invalid input {argument}\n{addition}") from None
        raise unsupported(_PROGRAM, f"update of a partition with {argument}") from None
    if key == "defaulttime" and read is None:
        raise unsupported(_PROGRAM, f"update of a partition with {argument}")
    return field, read
