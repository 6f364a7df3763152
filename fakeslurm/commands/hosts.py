"""The distribution ``arbitrary``: on which node each rank runs, from ``--nodelist`` or from the file SLURM_HOSTFILE.

Measured on 22.05.8 and 24.11.5: such a file decides about the distribution whatever ``-m`` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Set

from fakeslurm.commands.base import Refused
from fakeslurm.commands.srun_options import StepWishes

__all__ = ["hosts_of_ranks"]

_FAILURE = "Failure getting NodeNames from hostfile"


def hosts_of_ranks(wishes: StepWishes, given: Set[str], release: str, read: Callable[[str], bytes]) -> tuple[str, ...]:
    """The node of each rank; empty for another distribution. `given` are the options of the command line.

    `read` gives a file's content as srun sees it. The numbers of nodes and tasks follow, and are written into `wishes`.
    Raises `Refused`.
    """
    arbitrary = (wishes.distribution or "").startswith("arbitrary")
    # SLURM_NTASKS does not count beside an arbitrary distribution that srun itself was given.
    ntasks = None if arbitrary and "distribution" in given and "ntasks" not in given else wishes.ntasks
    path = wishes.environ.get("SLURM_HOSTFILE")
    if wishes.nodelist is not None:
        hosts = wishes.hosts(wishes.nodelist) if arbitrary else []
    elif path:
        hosts = _read_hostfile(wishes, path, ntasks, read)
    elif not arbitrary:
        hosts = []
    elif ntasks is None:
        raise wishes.wrong("invalid number of tasks (-n 0)", 1)
    else:
        raise wishes.wrong(f"You asked for {ntasks} tasks but hostlist specified 0 nodes", 1)
    if not hosts:
        return ()
    if wishes.exclude:
        raise wishes.unsupported("exclude with --distribution=arbitrary")
    count = len(set(hosts))
    if "nodes" in given:
        if release >= "24.11":
            raise wishes.wrong("--nodes is incompatible with --distribution=arbitrary", 1)
        if wishes.max_nodes is not None and wishes.max_nodes < count:
            raise wishes.wrong(f"Only allocated {wishes.max_nodes} nodes asked for {count}", 1)
    wishes.nodelist = None
    wishes.distribution = "arbitrary"
    wishes.min_nodes = wishes.max_nodes = count
    wishes.ntasks = len(hosts) if ntasks is None else ntasks
    return tuple(hosts)


def _read_hostfile(wishes: StepWishes, path: str, ntasks: int | None, read: Callable[[str], bytes]) -> list[str]:
    """The first `ntasks` names of the file, or all: lists, one a line, ``n1*3`` for three; ``#`` begins a comment."""
    try:
        text = os.fsdecode(read(path))
    except OSError as error:
        opening = f"slurm_allocate_resources error opening file {path}, {os.strerror(error.errno or 0)}"
        raise _errors(wishes, opening) from None
    hosts: list[str] = []
    for line in text.splitlines():
        names, _, times = line.partition("#")[0].strip().partition("*")
        hosts += wishes.hosts(names) * (int(times) if times.isdecimal() else 1) if names else []
    if not hosts:
        raise _errors(wishes, "Hostlist is empty!")
    if ntasks is not None and len(hosts) < ntasks:
        raise _errors(wishes, "Too few NodeNames in Slurm Hostfile")
    return hosts[:ntasks]


def _errors(wishes: StepWishes, text: str) -> Refused:
    return Refused("".join(f"srun: error: {line}\n" for line in (text, _FAILURE)), 1)
