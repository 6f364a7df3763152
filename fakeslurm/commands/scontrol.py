"""``scontrol``. Texts and return codes were measured on Slurm 22.05.8 (docs/slurm-measurements.md, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fakeslurm.commands import (
    answers,
    clusterreport,
    jobupdate,
    jsonshape,
    nodeupdate,
    partitionupdate,
)
from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.base import Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.scontrol_call import PROGRAM, USAGE, Call, update_keys
from fakeslurm.commands.scontrol_jobs import hold, release, requeue, requeuehold, resume, suspend, uhold, update
from fakeslurm.commands.scontrol_scripts import notify, wait_job, write
from fakeslurm.commands.scontrol_show import show, shows_hosts, shows_jobs

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "keyword", "run"]

OPTIONS = (
    Option("all", "a"),
    Option("cluster", "", "required", key="clusters"),
    Option("clusters", "M", "required"),
    Option("details", "d"),
    Option("federation"),
    Option("future", "F"),
    Option("help", "h"),
    Option("hide"),
    Option("local"),
    Option("oneliner", "o"),
    Option("quiet", "Q"),
    Option("sibling"),
    Option("uid", "u", "required"),
    Option("usage"),
    Option("verbose", "v"),
    Option("version", "V"),
)

_REFUSED = frozenset({"uid", "verbose", "yaml"})
_NO_CHANGE = frozenset({"all", "federation", "future", "hide", "local", "sibling"})
"""One cluster in no federation, no hidden partition, no node in the state FUTURE: nothing to do."""

_KEYWORDS = """
    abort cancel_reboot cluster completing create delete details errnumstr exit fsdampeningfactor getaddrs help hide hold listjobs
    liststeps local listpids notify oneliner pidinfo ping quiet quit reboot reconfigure release requeue requeuehold resume schedloglevel
    setdebug setdebugflags show shutdown suspend takeover token top uhold update verbose version wait_job write
"""
_LEAST = {
    "show": 3,
    "hold": 4,
    "ping": 3,
    "release": 3,
    "requeue": 3,
    "resume": 3,
    "suspend": 2,
    "uhold": 2,
    "update": 1,
    "version": 4,
    "help": 2,
    "notify": 1,
    "wait_job": 2,
}
"""How many letters of a keyword are needed; of others the whole word."""

_NO_ENTITY = (
    "No valid entity in update command\n"
    'Input line must include "NodeName", "PartitionName", "Reservation", "JobId", or "SlurmctldDebug"\n'
)


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Show what there is, or hold and release jobs."""
    quiet = False
    try:
        given, operands = parse_options(PROGRAM, argv, answers.option_table(OPTIONS, (), controller.settings))
        for option in given:
            if option.key in _REFUSED:
                raise unsupported(PROGRAM, f"--{option.key}")
            if option.key in ("help", "usage"):
                raise Stop(stdout=USAGE, returncode=0)
            if option.key == "version":
                raise answers.version(invocation)
            if option.key == "json":
                jsonshape.check_parser(PROGRAM, option.value, controller.settings)
            if option.key == "clusters":
                answers.check_clusters(PROGRAM, option.value or "", "--cluster", controller)
        if "SLURM_CLUSTERS" in invocation.environ and not any(option.key == "clusters" for option in given):
            answers.check_clusters(PROGRAM, invocation.environ["SLURM_CLUSTERS"], "SLURM_CLUSTERS", controller)
        options = frozenset(option.key for option in given) - _NO_CHANGE
        if not operands:
            raise unsupported(PROGRAM, "its interactive mode")
        name = keyword(operands[0])
        action = _ACTIONS[name]
        quiet = "quiet" in options and action not in _NEVER_QUIET and not shows_hosts(operands[1:])
        if "json" in options and (action is not show or not shows_jobs(operands[1:])):
            raise unsupported(PROGRAM, f"--json of {' '.join(operands[:2])}")
        return _silenced(action(Call(operands[0], operands[1:], options, invocation, controller)), quiet)
    except UsageError as error:
        return error.reply(1)
    except Stop as stop:
        return _silenced_stop(stop.reply, quiet)


def _silenced(reply: Reply, quiet: bool) -> Reply:
    return Reply(reply.stdout, "", reply.returncode) if quiet else reply


def _silenced_stop(reply: Reply, quiet: bool) -> Reply:
    """Also what is not found, which scontrol says on stdout; not what the lists of nodes say themselves (measured)."""
    if not quiet:
        return reply
    loud = "".join(line for line in reply.stderr.splitlines(keepends=True) if "error: hostlist_" in line)
    return Reply("" if reply.returncode else reply.stdout, loud, reply.returncode)


def keyword(word: str) -> str:
    """The keyword that is meant. Raises `Stop`."""
    lower = word.lower()
    for name in _KEYWORDS.split():
        if name.startswith(lower) and len(lower) >= _LEAST.get(name, len(name)):
            if name not in _ACTIONS:
                raise unsupported(PROGRAM, name)
            return name
    raise Stop(f"invalid keyword: {word}\n")


def _help(_call: Call) -> Reply:
    return Reply(USAGE)


def _ping(call: Call) -> Reply:
    call.wants(0, 0)
    call.controller.ping()
    return Reply(clusterreport.ping_line(call.controller.settings))


def _version(call: Call) -> Reply:
    shown = answers.version(call.invocation).reply
    if call.arguments:
        return Reply(shown.stdout, f"too many arguments for {call.keyword} keyword\n", 1)
    return shown


_NEVER_QUIET = (notify, wait_job, write, _version)
"""What ``--quiet`` does not reach."""


# Changing.


def _update(call: Call) -> Reply:
    if not call.arguments:
        raise Stop("too few arguments for update keyword\n")
    if jobupdate.names_jobs(call.arguments):
        return update(call)
    if nodeupdate.names_nodes(call.arguments):
        return nodeupdate.update_nodes(call.arguments, call.invocation, call.controller)
    if partitionupdate.names_partition(call.arguments):
        return partitionupdate.update_partition(call.arguments, call.invocation, call.controller)
    keys = {key.lower() for key in update_keys(call.arguments)}
    for key in ("reservationname", "stepid", "slurmctlddebug"):
        if any(len(word) >= 3 and key.startswith(word) for word in keys):
            raise unsupported(PROGRAM, f"update {key}")
    raise Stop(_NO_ENTITY)


_ACTIONS: Mapping[str, Callable[[Call], Reply]] = {
    "help": _help,
    "hold": hold,
    "notify": notify,
    "ping": _ping,
    "release": release,
    "requeue": requeue,
    "requeuehold": requeuehold,
    "resume": resume,
    "show": show,
    "suspend": suspend,
    "uhold": uhold,
    "update": _update,
    "version": _version,
    "wait_job": wait_job,
    "write": write,
}
"""What carries out a keyword."""
