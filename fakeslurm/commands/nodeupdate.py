"""``scontrol update nodename=``. Texts and return codes were measured on Slurm 22.05.8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast, get_args

from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.base import Invocation, Reply
from fakeslurm.commands.scontrol_call import update_keys
from fakeslurm.messages import SlurmError
from fakeslurm.model import NodeReason
from fakeslurm.slurmctld.nodes import NodeState
from slurmkit.slurm.hostlist import HostlistError, expand

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["names_nodes", "update_nodes"]

_PROGRAM = "scontrol"
_NO_REASON = "You must specify a reason when DOWNING or DRAINING a node. Request denied\n"
_INVALID_STATE = """\
Invalid input: {argument}
Request aborted
Valid states are: NoResp DRAIN FAIL FUTURE RESUME POWER_DOWN POWER_UP UNDRAIN
Not all states are valid given a node's prior state
"""
_OTHER_STATES = frozenset(
    [
        "alloc",
        "allocated",
        "cloud",
        "future",
        "idle",
        "mixed",
        "noresp",
        "power_down",
        "power_down_asap",
        "power_down_force",
        "power_up",
    ]
)
_OTHER_KEYS = frozenset(
    {"activefeatures", "availablefeatures", "comment", "cpubind", "extra", "features", "gres", "instanceid"}
    | {"instancetype", "nodeaddr", "nodehostname", "resumeafter", "weight"}
)
_LEAST = 3
"""How many letters of a key or of a state are needed."""


def names_nodes(arguments: Sequence[str]) -> bool:
    """Whether an update is one of nodes."""
    return any(_is(key, "nodename") for key in update_keys(arguments))


def _is(word: str, whole: str) -> bool:
    return len(word) >= _LEAST and whole.startswith(word.lower())


def update_nodes(arguments: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Change the state of nodes."""
    names = reason = ""
    state: NodeState | None = None
    for argument in arguments:
        key, _, value = argument.partition("=")
        if _is(key, "nodename"):
            names = value
        elif _is(key, "state"):
            state = _state(value, argument)
        elif _is(key, "reason"):
            reason = value
        elif key.lower() in _OTHER_KEYS:
            raise unsupported(_PROGRAM, f"update of a node's {key}")
        else:
            raise Stop(f"Update of this parameter is not supported: {argument}\nRequest aborted\n")
    if state is None:
        if reason:
            raise unsupported(_PROGRAM, "update of a node's reason alone")
        raise Stop("No changes specified\n")
    why = None
    if state in ("DOWN", "DRAIN", "FAIL"):
        if not reason:
            raise Stop(_NO_REASON)
        why = NodeReason(reason, invocation.user, invocation.uid, invocation.now)
    try:
        for name in _nodes(names, controller):
            controller.update_node(name, invocation.now, state, why)
    except SlurmError as error:
        raise Stop(f"slurm_update error: {error.message}\n") from None
    return Reply()


def _state(text: str, argument: str) -> NodeState:
    for word in get_args(NodeState):
        if len(text) >= _LEAST and word.startswith(text.upper()):
            return cast("NodeState", word)
    if text.lower() in _OTHER_STATES:
        raise unsupported(_PROGRAM, f"update of a node with {argument}")
    raise Stop(_INVALID_STATE.format(argument=argument))


def _nodes(text: str, controller: Controller) -> list[str]:
    if text.upper() == "ALL":
        return list(controller.nodes)
    try:
        return expand(text, suffixes=controller.settings.profile.hostlist_suffixes)
    except HostlistError:
        return [text]
