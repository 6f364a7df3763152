"""What the options that describe a job mean, for sbatch and for srun outside a job.

Every option is either carried out or refused, before anything happens. Texts and return codes of refused values were
measured on 22.05.8 (docs/slurm-measurements.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Self

from attrs import Factory, define

from fakeslurm.commands.base import Refused
from fakeslurm.commands.option_values import HANDLERS, LARGEST, Handler, attribute
from fakeslurm.model import SignalSpec
from slurmkit.slurm.hostlist import HostlistError, compress_sorted, expand

__all__ = ["Wishes"]

_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", re.ASCII)


_KEPT = (
    "account begin chdir clusters comment deadline dependency error exclude export hold input job_name kill_on_invalid_dep "
    "mem nice open_mode output parsable priority qos quiet requeue test_only time verbose wait wckey wrap"
)
"""What goes on from one component of a heterogeneous job to the next (measured: reset_each_pass in slurm_opt.c)."""


@define
class Wishes:
    """What a job is asked to be: filled by `apply`, one option after another; a later one replaces an earlier one.

    Fields are named after the options; None where one was not given.
    """

    program: str
    environ: Mapping[str, str]
    now: float
    version: str
    account: str | None = None
    array: str | None = None
    begin: float | None = None
    chdir: str | None = None
    clusters: str | None = None
    comment: str | None = None
    constraint: str | None = None
    contiguous: bool = False
    cores_per_socket: int | None = None
    cpus_per_task: int | None = None
    deadline: float | None = None
    dependency: str | None = None
    distribution: str | None = None
    error: str | None = None
    exclude: str | None = None
    exclusive: bool = False
    export: str | None = None
    gpus: str | None = None
    gpus_per_node: str | None = None
    gres: str | None = None
    hold: bool = False
    input: str | None = None
    job_name: str | None = None
    kill_on_invalid_dep: bool | None = None
    licenses: str | None = None
    mail_type: tuple[str, ...] = ()
    mail_user: str | None = None
    max_nodes: int | None = None
    mem: int | None = None
    mem_per_cpu: int | None = None
    min_nodes: int | None = None
    mincpus: int | None = None
    nice: int = 0
    no_kill: bool = False
    nodelist: str | None = None
    ntasks: int | None = None
    ntasks_per_core: int | None = None
    ntasks_per_node: int | None = None
    ntasks_per_socket: int | None = None
    open_mode: Literal["append", "truncate"] | None = None
    other_gpus: str | None = None
    output: str | None = None
    overcommit: bool = False
    oversubscribe: bool = False
    parsable: bool = False
    partition: str | None = None
    priority: int | None = None
    qos: str | None = None
    quiet: int = 0
    requeue: bool | None = None
    reservation: str | None = None
    signal: SignalSpec | None = None
    sockets_per_node: int | None = None
    spread_job: bool = False
    test_only: bool = False
    threads_per_core: int | None = None
    time: int | None = None
    tmp: int | None = None
    use_min_nodes: bool = False
    verbose: int = 0
    wait: bool = False
    wckey: str | None = None
    wrap: str | None = None
    from_environment: set[str] = Factory(set)
    """The options that were last given by a variable."""

    def next_component(self) -> Self:
        """The options with which the next component of a heterogeneous job begins: those that sbatch does not take back."""
        fresh = type(self)(self.program, self.environ, self.now, self.version)
        for name in _KEPT.split():
            setattr(fresh, name, getattr(self, name))
        return fresh

    def apply_variable(self, name: str, value: str | None) -> None:
        """`apply` for what a variable of the environment says."""
        self.apply(name, value)
        self.from_environment.add(name)

    def apply(self, name: str, value: str | None) -> None:
        """Take one option (long name). Raises `Refused` for a bad value, and for what fakeslurm does not do."""
        handler = self.own_handlers().get(name) or HANDLERS.get(name)
        if handler is None:
            raise self.unsupported(name)
        handler(self, name, value)
        self.from_environment.discard(name)

    def own_handlers(self) -> Mapping[str, Handler]:
        """What the options of this command alone mean, and those that mean something else to it."""
        return {}

    def check(self) -> None:
        """What is wrong with the options together, as the client sees it before it asks the controller."""
        self._check_memory()
        if self.is_new and self.nodelist:
            self._check_nodelist(self.nodelist)
        if self.begin is not None and self.deadline is not None and self.begin > self.deadline:
            raise self.wrong("Incompatible begin and deadline time specification", 1)
        if self.nodelist and not (self.is_new and self.min_nodes is not None):
            count = len(set(self.hosts(self.nodelist)))
            if self.max_nodes and count > self.max_nodes:
                raise self.wrong(f"invalid number of nodes (-N {count}-{self.max_nodes})", 1)
            self.min_nodes = max(count, self.min_nodes or 1)
            if not self.is_new and self.ntasks is not None and self.ntasks < count:
                hosts = expand(compress_sorted(self.hosts(self.nodelist)))
                self.nodelist = ",".join(hosts[: self.ntasks])

    @property
    def is_new(self) -> bool:
        """Whether the command is of 24.11."""
        return self.version >= "24.11"

    def _check_nodelist(self, text: str) -> None:
        """24.11 expands it before it asks the controller (measured). Raises `Refused` for what its hostlists do not understand."""
        try:
            expand(text)
        except HostlistError as error:
            rest, before = text[error.position :], text[: error.position]
            if before.rfind("[") > before.rfind("]"):
                piece = re.split(r"[],]", rest)[0]
                first, _, last = piece.partition("-")
                ascends = first.isdecimal() and last.isdecimal() and int(first) <= int(last)
                problem = "Too many hosts in range" if ascends else "Invalid range:"
                said = f"{self.program}: error: _parse_single_range: {problem} `{piece}'\n"
            elif rest[:1] == "[":
                said = ""
            else:
                return
            raise Refused(f"{said}{self.program}: fatal: Invalid node list specified\n", 1) from None

    def _check_memory(self) -> None:
        """What was asked for on the line or in the script replaces the other one of the environment (measured)."""
        if self.mem is None or self.mem_per_cpu is None:
            return
        by_variable = self.from_environment & {"mem", "mem-per-cpu"}
        if len(by_variable) == 1:
            setattr(self, attribute(*by_variable), None)
            return
        names = (
            "SLURM_MEM_PER_CPU, SLURM_MEM_PER_GPU, and SLURM_MEM_PER_NODE"
            if by_variable
            else "--mem, --mem-per-cpu, and --mem-per-gpu"
        )
        raise Refused(f"{self.program}: fatal: {names} are mutually exclusive.\n", 1)

    def wrong(self, message: str, returncode: int) -> Refused:
        return Refused(f"{self.program}: error: {message}\n", returncode)

    def specification(self, name: str) -> Refused:
        return self.wrong(f"Invalid --{name} specification", 255)

    def unsupported(self, name: str, value: str | None = None) -> Refused:
        return self.wrong(f"fakeslurm does not support --{name}" + ("" if value is None else f"={value}"), 1)

    def heterogeneous(self) -> Refused:
        return self.wrong("fakeslurm does not support heterogeneous jobs", 1)

    def count(self, name: str, text: str | None) -> int:
        """A number of 1 or more; larger ones than an int holds wrap around, as in C, until 24.11 refuses them."""
        match = _INTEGER.fullmatch(text or "")
        number = int(match[1]) if match else 0
        if number <= 0:
            raise self.wrong(f'Invalid numeric value "{text}" for --{name}.', 1)
        if number > LARGEST and self.is_new:
            raise self.wrong(f"Numeric argument ({text}) too large for --{name}.", 1)
        return number & LARGEST

    def hosts(self, text: str) -> list[str]:
        """The nodes of a list; none for what is no list, which the controller refuses."""
        try:
            return expand(text)
        except HostlistError:
            return []
