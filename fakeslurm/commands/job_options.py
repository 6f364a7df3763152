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

_LOUD_AND_QUIET = "don't specify both --verbose (-v) and --quiet (-Q)"
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", re.ASCII)


_KEPT = (
    "account begin chdir clusters comment deadline dependency error exclude export get_user_env hold input job_name "
    "kill_on_invalid_dep mem nice open_mode output parsable priority qos quiet requeue test_only time verbose wait wckey "
    "wrap"
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
    extra_node_info: bool = False
    """``-B``: says how many sockets there are to be on each node, and so how many tasks."""
    get_user_env: bool = False
    gpus: str | None = None
    gpus_per_node: str | None = None
    gres: str | None = None
    hold: bool = False
    input: str | None = None
    job_name: str | None = None
    kill_on_invalid_dep: frozenset[bool] = frozenset()
    """What was said, each time: no later one replaces an earlier one."""
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
    given: set[str] = Factory(set)
    """The options that were given, by whatever."""
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
        self.given.add(name)
        self.from_environment.discard(name)

    def own_handlers(self) -> Mapping[str, Handler]:
        """What the options of this command alone mean, and those that mean something else to it."""
        return {}

    def check(self) -> None:
        """What is wrong with the options together, as the client sees it before it asks the controller. It goes on behind some errors."""
        self._check_memory()
        self._check_sharing()
        if self._is_nodelist_read_early and (problem := self._nodelist_problem("fatal")):
            raise Refused(problem, 1)
        too_many = self._take_nodes_of_list()
        if self._is_plane_too_large():
            raise self.wrong("Too few processes for the requested {plane,node} distribution", 1)
        errors = [self.wrong(_LOUD_AND_QUIET, 1).stderr] if self.verbose and self.quiet else []
        errors += [self.wrong(too_many, 1).stderr] if too_many else []
        if self.program != "srun":
            self._count_sockets()
        if self.begin is not None and self.deadline is not None and self.begin > self.deadline:
            errors += [self.warning, self.wrong("Incompatible begin and deadline time specification", 1).stderr]
        elif errors:
            errors.append(self.warning)
        if errors:
            raise Refused("".join(errors), 1)
        if self.nodelist and not self.is_new and self.ntasks is not None and self.min_nodes is not None:
            hosts = expand(compress_sorted(self.hosts(self.nodelist)))
            if self.ntasks < len(hosts):
                self.nodelist = ",".join(hosts[: self.ntasks])
                self.max_nodes = self.ntasks
        if self.program != "srun":
            self._take_tasks_of_sockets()

    def _take_tasks_of_sockets(self) -> None:
        """``--sockets-per-node`` of a number of nodes that is not open asks for so many tasks on each (slurm_opt.c, and measured)."""
        is_open = self.min_nodes is None or self.max_nodes not in (None, 0, self.min_nodes)
        if self.sockets_per_node is None or is_open or self.ntasks is not None or self.ntasks_per_node is not None:
            return
        self.ntasks = (
            max(self.min_nodes or 0, 1)
            * self.sockets_per_node
            * (self.cores_per_socket or 1)
            * (self.threads_per_core or 1)
        )

    def _count_sockets(self) -> None:
        """As many tasks as there are sockets on the nodes, where it is known how many these are (measured)."""
        is_known = self.min_nodes is not None or self.extra_node_info
        nodes = max(self.min_nodes or 1, 1)
        in_range = self.max_nodes not in (None, 0, nodes)
        if self.ntasks is None and self.ntasks_per_node is None and self.sockets_per_node and is_known and not in_range:
            self.ntasks = nodes * self.sockets_per_node * (self.cores_per_socket or 1) * (self.threads_per_core or 1)

    def _take_nodes_of_list(self) -> str:
        """``--nodelist`` says how many nodes there are to be; what is wrong with that."""
        if not self.nodelist or (self.is_new and self.min_nodes is not None):
            return ""
        count = len(set(self.hosts(self.nodelist)))
        self.min_nodes = max(count, self.min_nodes or 1)
        wrong = self.max_nodes and count > self.max_nodes
        return f"invalid number of nodes (-N {count}-{self.max_nodes})" if wrong else ""

    @property
    def warning(self) -> str:
        """What the client says of a job that has fewer tasks than nodes, if anything; salloc also with ``--quiet`` (measured)."""
        is_silent = self.quiet and self.program != "salloc"
        if is_silent or self.ntasks is None or self.ntasks >= (self.min_nodes or 1):
            return ""
        return (
            f"{self.program}: {'warning' if self.is_new else 'Warning'}: can't run {self.ntasks} processes on "
            f"{self.min_nodes} nodes, setting nnodes to {self.ntasks}\n"
        )

    def check_nodelist(self) -> None:
        """What `check` has left to the moment when the controller is to be asked (measured). Raises `Refused`."""
        if not self._is_nodelist_read_early and (problem := self._nodelist_problem("error")):
            raise Refused(problem, 1)

    @property
    def _is_nodelist_read_early(self) -> bool:
        """Whether it is the list that says how many nodes there are; srun reads it, too, when it is not told how many tasks (measured)."""
        return self.min_nodes is None or (self.program == "srun" and self.ntasks is None)

    @property
    def has_bad_nodelist(self) -> bool:
        """Whether `check_nodelist` has something to say."""
        return not self._is_nodelist_read_early and bool(self._nodelist_problem("error"))

    @property
    def is_new(self) -> bool:
        """Whether the command is of 24.11."""
        return self.version >= "24.11"

    def _nodelist_problem(self, severity: str) -> str:
        """24.11 expands the list before it asks the controller (measured): what it says of one that its hostlists do not understand."""
        if not self.is_new or not self.nodelist:
            return ""
        try:
            expand(self.nodelist)
        except HostlistError as error:
            rest, before = self.nodelist[error.position :], self.nodelist[: error.position]
            if before.rfind("[") > before.rfind("]"):
                piece = re.split(r"[],]", rest)[0]
                first, _, last = piece.partition("-")
                ascends = first.isdecimal() and last.isdecimal() and int(first) <= int(last)
                problem = "Too many hosts in range" if ascends else "Invalid range:"
                said = f"{self.program}: error: _parse_single_range: {problem} `{piece}'\n"
            elif rest[:1] == "[":
                said = ""
            else:
                return ""
            return f"{said}{self.program}: {severity}: Invalid node list specified\n"
        return ""

    def _check_sharing(self) -> None:
        """In 24.11 a job cannot be asked both to share its nodes and not to, but for what the environment says (measured)."""
        if self.is_new and {"exclusive", "oversubscribe"} <= self.given - self.from_environment:
            text = "--exclusive and --oversubscribe options are mutually exclusive"
            raise Refused(f"{self.program}: fatal: {text}\n", 1)

    def _is_plane_too_large(self) -> bool:
        """Whether ``--distribution=plane=SIZE`` leaves a node without tasks; srun does not mind (measured)."""
        _, plane, size = (self.distribution or "").partition("plane=")
        if not plane or self.program == "srun":
            return False
        nodes = self.min_nodes or 1
        tasks = self.ntasks or (1 if self.is_new else (self.ntasks_per_node or 0) * nodes or 1)
        return tasks // int(size) < nodes and (nodes - 1) * int(size) >= tasks

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

    def immediate_seconds(self, text: str | None) -> float | None:
        """How long ``--immediate`` waits: a second is not at all, as is no number; 0 is None, for ever (measured)."""
        if not text:
            return 0.0
        match = _INTEGER.fullmatch(text)
        number = int(match[1]) if match else -1
        if number < 0:
            raise self.wrong(f'Invalid numeric value "{text}" for immediate.', 1)
        if number > LARGEST and self.is_new:
            raise self.wrong(f"Numeric argument ({text}) too large for immediate.", 1)
        seconds = number & LARGEST
        return None if seconds == 0 else 0.0 if seconds == 1 else float(seconds)

    def hosts(self, text: str) -> list[str]:
        """The nodes of a list; none for what is no list, which the controller refuses."""
        try:
            return expand(text)
        except HostlistError:
            return []
