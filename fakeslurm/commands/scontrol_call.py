"""One call of scontrol, as its keywords see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm.commands.answers import Stop
from fakeslurm.commands.arrayjobs import text_length
from fakeslurm.commands.base import Invocation
from fakeslurm.commands.jobreport import Reporter
from fakeslurm.commands.stamps import Stamps

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["PROGRAM", "USAGE", "Call", "update_keys"]

PROGRAM = "scontrol"

USAGE = """\
scontrol [<OPTION>] [<COMMAND>]
    Valid <OPTION> values are: -a, -d, --federation, -F, -h, --hide, --local, -M NAME, -o, -Q, --sibling, -V
    Valid <COMMAND> values are:
     hold <job_list>          prevent jobs from starting
     help                     print this description of use
     notify <job> <message>   write on the stderr of a job's script
     ping                     print status of slurmctld
     release <job_list>       permit held jobs to start
     requeue <job_list>       end jobs and run them again
     requeuehold <job_list>   the same, but hold them
     resume <job_list>        let suspended jobs go on
     show <ENTITY> [<ID>]     config, hostlist, hostlistsorted, hostnames, job, node, partition or step
     suspend <job_list>       stop jobs
     uhold <job_list>         prevent jobs from starting, as their user
     update <SPECIFICATIONS>  change jobs, nodes or partitions
     version                  print the version
     wait_job <job>           tell whether a job's nodes are ready
     write batch_script <job> [<file>|-]
                              write a job's script
This is fakeslurm: what else scontrol(1) can do is refused with "fakeslurm does not support ...".
"""


def update_keys(arguments: Sequence[str]) -> list[str]:
    """By what ``scontrol update`` decides what is updated: a word without ``=`` takes the next one as its value, always (measured)."""
    keys, words = [], list(arguments)
    while words:
        key, equals, _ = words.pop(0).partition("=")
        keys.append(key)
        if not equals and words:
            words.pop(0)
    return keys


@frozen
class Call:
    """One call: its arguments after the keyword, its options, and what it works on."""

    keyword: str
    arguments: Sequence[str]
    options: frozenset[str]
    invocation: Invocation
    controller: Controller

    @property
    def oneliner(self) -> bool:
        return "oneliner" in self.options

    @property
    def quiet(self) -> bool:
        return "quiet" in self.options

    def reporter(self, stamps: Stamps) -> Reporter:
        return Reporter(
            self.controller.settings,
            self.invocation.now,
            stamps,
            "details" in self.options,
            self.oneliner,
            text_length(self.invocation.environ),
        )

    def stamps(self) -> Stamps:
        return Stamps(PROGRAM, self.invocation.environ, self.invocation.now)

    def wants(self, least: int, most: int | None) -> None:
        """Check the number of arguments. Raises `Stop`."""
        if len(self.arguments) < least:
            raise Stop(f"too few arguments for keyword:{self.keyword}\n")
        if most is not None and len(self.arguments) > most:
            raise Stop(f"too many arguments for keyword:{self.keyword}\n")
