"""The option tables of sbatch and srun.

Names and their order (it shows in "is ambiguous") are those of 22.05.8, printed by ``sbatch --a``, ``sbatch --b``... What
24.11 adds is put where the alphabet wants it. Which argument an option takes, its letter and its environment variables
are in `slurmkit.slurm.option_table`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

from fakeslurm.commands.base import Option
from slurmkit.slurm.option_table import OPTIONS, Kind

__all__ = ["environment_options", "salloc_options", "sbatch_options", "srun_options"]

Argument = Literal["none", "required", "optional"]


def _words(text: str) -> Sequence[str]:
    return text.split()


_SBATCH_NAMES = _words("""
    account acctg-freq array batch begin bb bbf cluster-constraint chdir cluster clusters comment container
    context contiguous constraint core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline
    delay-boot dependency distribution error exclude exclusive export export-file extra-node-info get-user-env
    gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags help hint hold
    ignore-pbs input job-name kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind
    mem-per-cpu mem-per-gpu mincpus network nice no-kill no-requeue nodefile nodelist nodes ntasks
    ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres open-mode output
    overcommit oversubscribe parsable partition power prefer priority profile propagate qos quiet reboot
    requeue reservation signal sockets-per-node spread-job switches tasks-per-node test-only thread-spec
    threads-per-core time time-min tmp uid use-min-nodes usage verbose version wait wait-all-nodes wckey wrap
""")

_SRUN_NAMES = _words("""
    accel-bind account acctg-freq bcast bcast-exclude begin bb bbf cluster-constraint chdir cluster clusters
    comment compress container context contiguous constraint core-spec cores-per-socket cpu-bind cpu_bind
    cpu-freq cpus-per-gpu cpus-per-task deadline debugger-test delay-boot dependency disable-status
    distribution epilog error exact exclude exclusive export extra-node-info gid gpu-bind gpu-freq gpus
    gpus-per-node gpus-per-socket gpus-per-task gres gres-flags help het-group hint hold immediate input
    interactive jobid job-name kill-on-bad-exit label licenses mail-type mail-user mcs-label mem mem-bind
    mem-per-cpu mem-per-gpu mincpus mpi msg-timeout multi-prog network nice no-allocate no-kill nodefile
    nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres
    open-mode output overcommit overlap oversubscribe pack-group partition power prefer preserve-env priority
    profile prolog propagate pty qos quiet quit-on-interrupt reboot relative reservation resv-ports send-libs
    signal slurmd-debug sockets-per-node spread-job switches threads task-epilog task-prolog tasks-per-node
    test-only thread-spec threads-per-core time time-min tmp uid unbuffered use-min-nodes usage verbose
    version wait wckey whole
""")

_SALLOC_NAMES = _words("""
    account acctg-freq begin bell bb bbf cluster-constraint chdir cluster clusters comment container context
    contiguous constraint core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot
    dependency distribution exclude exclusive extra-node-info get-user-env gid gpu-bind gpu-freq gpus
    gpus-per-node gpus-per-socket gpus-per-task gres gres-flags help hint hold immediate job-name kill-command
    licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nice no-bell
    no-kill no-shell nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node
    ntasks-per-socket ntasks-per-tres overcommit oversubscribe partition power prefer priority profile qos
    quiet reboot reservation signal sockets-per-node spread-job switches tasks-per-node thread-spec
    threads-per-core time time-min tmp uid use-min-nodes usage verbose version wait-all-nodes wckey
""")

_SALLOC_ONLY: Mapping[str, tuple[str, Argument]] = {
    "bell": ("", "none"),
    "immediate": ("I", "optional"),
    "kill-command": ("K", "optional"),
    "no-bell": ("", "none"),
    "no-shell": ("", "none"),
}

_SRUN_ONLY: Mapping[str, tuple[str, Argument]] = {
    "accel-bind": ("", "required"),
    "bcast": ("", "optional"),
    "bcast-exclude": ("", "required"),
    "compress": ("", "optional"),
    "cpu-bind": ("", "required"),
    "cpu_bind": ("", "required"),
    "debugger-test": ("", "none"),
    "disable-status": ("X", "none"),
    "epilog": ("", "required"),
    "exact": ("", "none"),
    "het-group": ("", "required"),
    "immediate": ("I", "optional"),
    "interactive": ("", "none"),
    "jobid": ("", "required"),
    "kill-on-bad-exit": ("K", "optional"),
    "label": ("l", "none"),
    "mpi": ("", "required"),
    "msg-timeout": ("", "required"),
    "multi-prog": ("", "none"),
    "no-allocate": ("Z", "none"),
    "overlap": ("", "none"),
    "pack-group": ("", "required"),
    "preserve-env": ("E", "none"),
    "prolog": ("", "required"),
    "pty": ("", "none"),
    "quit-on-interrupt": ("", "none"),
    "relative": ("r", "required"),
    "resv-ports": ("", "optional"),
    "send-libs": ("", "optional"),
    "slurmd-debug": ("", "required"),
    "task-epilog": ("", "required"),
    "task-prolog": ("", "required"),
    "threads": ("T", "required"),
    "unbuffered": ("u", "none"),
    "wait": ("W", "required"),
    "whole": ("", "none"),
}
_ALIASES = {"cluster": "clusters", "tasks-per-node": "ntasks-per-node", "ntasks-per-tres": "ntasks-per-gpu"}
_ALIASES |= {"cpu_bind": "cpu-bind", "pack-group": "het-group"}


# Options of both that only later releases have are not in the lists above.
_NOT_OF_SRUN = frozenset({"resv-ports", "stepmgr"})


def _option(name: str, own: Mapping[str, tuple[str, Argument]]) -> Option:
    key = _ALIASES.get(name, "")
    if name in own:
        return Option(name, *own[name], key=key)
    known = OPTIONS[(key or name).replace("-", "_")]
    argument: Argument = "required"
    if known.optional:
        argument = "optional"
    elif known.kind is Kind.FLAG:
        argument = "none"
    return Option(name, "" if key else known.short, argument, key=key)


def _table(
    names: Sequence[str], release: str, own: Mapping[str, tuple[str, Argument]], without: frozenset[str] = frozenset()
) -> list[Option]:
    """`own` are the options that sbatch has not, or otherwise; `without` those of later releases that the command has not."""
    table = [_option(name, own) for name in names]
    gone = {option.name.replace("_", "-") for option in OPTIONS.values() if option.until and option.until <= release}
    table = [option for option in table if option.name not in gone]
    for later in OPTIONS.values():
        name = later.flag[2:]
        if "22.05" < later.since <= release and name not in without:
            place = next((i for i, option in enumerate(table) if option.name > name), len(table))
            table.insert(place, _option(name, own))
    return table


@cache
def sbatch_options(release: str) -> Sequence[Option]:
    """The table of sbatch of this release (``22.05``)."""
    return _table(_SBATCH_NAMES, release, {})


@cache
def srun_options(release: str) -> Sequence[Option]:
    return _table(_SRUN_NAMES, release, _SRUN_ONLY, _NOT_OF_SRUN)


@cache
def salloc_options(release: str) -> Sequence[Option]:
    without = frozenset({"get-user-env"}) if release >= "24.11" else frozenset[str]()
    table = _table(_SALLOC_NAMES, release, _SALLOC_ONLY, _NOT_OF_SRUN)
    return [option for option in table if option.name not in without]


def environment_options(environ: Mapping[str, str], prefix: str = "SBATCH") -> list[tuple[str, str | None]]:
    """The options that sbatch takes from its environment, as (long name, value); with `prefix` SALLOC, salloc."""
    return [
        (name, environ[variable] if has_value else None)
        for variable, name, has_value in _variables(prefix)
        if variable in environ
    ]


@cache
def _variables(prefix: str) -> Sequence[tuple[str, str, bool]]:
    """Those that are options, with the option's long name and whether the value is its argument."""
    return [
        (name.replace("SBATCH_", f"{prefix}_", 1), option.flag[2:], option.kind is not Kind.FLAG)
        for option in OPTIONS.values()
        for name in option.env
    ]
