"""What srun's own options mean, and which it takes from its environment (srun.1, "INPUT ENVIRONMENT VARIABLES")."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set

from attrs import define, field

from fakeslurm.commands.base import Given, Refused
from fakeslurm.commands.job_options import Wishes
from fakeslurm.commands.option_values import HANDLERS, Handler

__all__ = ["NO_BINDING", "StepWishes"]

NO_BINDING = "srun: cluster configuration lacks support for cpu binding\n"


@define
class StepWishes(Wishes):
    """The options of sbatch that srun has too, and its own. In a job those of a step, else of the allocation as well."""

    disable_status: bool = False
    exact: bool = False
    het_group: str | None = None
    binding: bool = False
    """--cpu-bind or --threads-per-core was given, which 22.05 has something to say about."""
    binding_is_open: bool = False
    """Whether the last --cpu-bind said no more than that it is to be verbose."""
    immediate: float | None = None
    """Seconds to wait for resources; 0 for not at all."""
    jobid: str | None = None
    kill_on_bad_exit: bool = False
    label: bool = False
    mpi: str | None = None
    multi_prog: bool = False
    overlap: bool = False
    preserve_env: bool = False
    quit_on_interrupt: bool = False
    relative: int | None = None
    unbuffered: bool = False
    whole: bool = False
    ntasks_of_job: int | None = None
    """How many tasks the job has, where the step has as many as --ntasks-per-node says."""
    remark: str = ""
    """What is said while the options are read."""
    wait_seconds: int | None = None
    """-W: how long after the first task has ended the others may go on; None for as long as they like."""

    variables: dict[str, str] = field(factory=dict)
    """What srun sets in the tasks' environment for options that nothing else knows of."""

    def take(self, options: Sequence[Given]) -> None:
        """Those of the environment, then those of the command line. Raises `Refused`."""
        names = {option.key for option in options}
        for name, value in _environment_options(self.environ, self.version, names):
            self.apply_variable(name, value)
        for name, value in options:
            self.apply(name, value)
            if name == "cpus-per-task" and self.is_new:
                self._compare_with_job(self.cpus_per_task or 0)
        if self.is_new and self.binding_is_open and self.threads_per_core is not None:
            self.variables |= _bound("cpu-bind", "verbose,threads", "", "threads", "verbose")
        # Since 24.11 --ntasks-per-node, also the job's, decides when srun is told a number of nodes (measured).
        inherited = "ntasks" in self.from_environment and "nodes" in names
        if self.is_new and inherited and self.ntasks_per_node is not None:
            self.ntasks, self.ntasks_of_job = None, self.ntasks

    def check(self) -> None:
        if self.is_new and "cpus-per-task" not in self.given - self.from_environment:
            self._take_cpus_of_job()
        super().check()

    def _take_cpus_of_job(self) -> None:
        """A job's -c is in two variables since 24.11, which have to say the same (measured)."""
        found = _CPUS_OF_TRES.search(self.environ.get("SLURM_TRES_PER_TASK", ""))
        if found is None:
            return
        cpus = int(found[1])
        if self.cpus_per_task is None:
            self.apply_variable("cpus-per-task", found[1])
        elif self.cpus_per_task != cpus:
            differ = f"SLURM_CPUS_PER_TASK={self.cpus_per_task} != SLURM_TRES_PER_TASK=cpu={cpus}"
            raise Refused(f"srun: fatal: cpus-per-task set by two different environment variables {differ}\n", 1)

    def _compare_with_job(self, cpus: int) -> None:
        of_job = self.environ.get("SLURM_CPUS_PER_TASK", "")
        if of_job.isdecimal() and cpus > int(of_job):
            exceeds = f"Job step's --cpus-per-task value exceeds that of job ({cpus} > {of_job})"
            self.remark += f"srun: {exceeds}. Job step may never run.\n"

    def own_handlers(self) -> Mapping[str, Handler]:
        return _HANDLERS


def _flag(wishes: StepWishes, name: str, value: str | None) -> None:
    setattr(wishes, name.replace("-", "_"), True)


def _text(wishes: StepWishes, name: str, value: str | None) -> None:
    setattr(wishes, name.replace("-", "_"), value or "")


def _exclusive(wishes: StepWishes, name: str, value: str | None) -> None:
    """For a step it is --exact, for an allocation whole nodes."""
    HANDLERS[name](wishes, name, value)
    wishes.exact = True


def _distribution(wishes: StepWishes, name: str, value: str | None) -> None:
    """A step of its own may be arbitrary; which of its CPUs a task has is nowhere to be seen."""
    if (value or "").lower() == "arbitrary":
        wishes.distribution = "arbitrary"
    else:
        HANDLERS[name](wishes, name, value)


def _immediate(wishes: StepWishes, name: str, value: str | None) -> None:
    wishes.immediate = wishes.immediate_seconds(value)


def _kill_on_bad_exit(wishes: StepWishes, name: str, value: str | None) -> None:
    wishes.kill_on_bad_exit = value != "0"


def _relative(wishes: StepWishes, name: str, value: str | None) -> None:
    if value is None or not value.isdecimal():
        raise wishes.wrong(f'Invalid numeric value "{value}" for --{name}.', 1)
    wishes.relative = int(value)


def _wait(wishes: StepWishes, name: str, value: str | None) -> None:
    if value is None or not value.isdecimal():
        raise wishes.wrong(f'Invalid numeric value "{value}" for --{name}.', 1)
    wishes.wait_seconds = int(value) or None


def _mpi(wishes: StepWishes, name: str, value: str | None) -> None:
    if value not in ("none", "list"):
        raise wishes.unsupported(name, value)
    wishes.mpi = value


def _label(wishes: StepWishes, name: str, value: str | None) -> None:
    wishes.label = True
    wishes.variables["SLURM_LABELIO"] = "1"


def _job_name(wishes: StepWishes, name: str, value: str | None) -> None:
    wishes.job_name = value or ""
    wishes.variables["SLURM_JOB_NAME"] = wishes.job_name


def _per_part(wishes: StepWishes, name: str, value: str | None) -> None:
    """Of itself a step is bound to the parts of a node of which it says how many tasks, or threads, they are to have (measured)."""
    is_bound = wishes.binding
    if name != "threads-per-core" and is_bound:
        raise wishes.unsupported(f"cpu-bind with --{name}")
    HANDLERS[name](wishes, name, value)
    number = getattr(wishes, name.replace("-", "_"))
    kind = _PARTS[name]
    if name == "ntasks-per-core" and wishes.is_new and number > 1:
        kind = "threads"
    wishes.binding = is_bound or name == "threads-per-core"
    wishes.variables[f"SLURM_{name.upper().replace('-', '_')}"] = f"{number}"
    if not is_bound:
        wishes.variables |= _bound("cpu-bind", f"quiet,{kind}", "", kind, "quiet")


def _bound(name: str, whole: str, listed: str, kind: str, loud: str) -> dict[str, str]:
    prefix = f"SLURM_{name.upper().replace('-', '_')}"
    return {prefix: whole, f"{prefix}_LIST": listed, f"{prefix}_TYPE": kind, f"{prefix}_VERBOSE": loud}


_PARTS = {"ntasks-per-core": "cores", "ntasks-per-socket": "sockets", "threads-per-core": "threads"}
_BIND_WORDS = {
    "cpu-bind": ("none", "rank", "cores", "threads", "sockets", "ldoms"),
    "mem-bind": ("none", "local", "rank"),
}
_CPUS_OF_TRES = re.compile(r"(?:^|,)cpu[:=]([0-9]+)(?:,|$)", re.ASCII)
_LISTED = ("cores", "threads", "sockets", "ldoms")


def _bind(wishes: StepWishes, name: str, value: str | None) -> None:
    """Nothing is bound to anything here, as with TaskPlugin=task/none; the variables are set all the same (measured)."""
    text = value or ""
    wishes.binding = wishes.binding or name == "cpu-bind"
    loud, comma, rest = text.partition(",")
    if loud not in ("q", "quiet", "v", "verbose"):
        loud, rest = "quiet", text
    loud = "verbose" if loud.startswith("v") else "quiet"
    kind, colon, listed = rest.partition(":")
    kind = "none" if kind == "no" else kind
    is_obsolete = name == "cpu-bind" and rest == "rank" and wishes.is_new
    if is_obsolete:
        wishes.remark += f"srun: Ignoring --{name}=rank. Rank binding is obsolete.\n"
    if name == "cpu-bind":
        wishes.binding_is_open = text in ("v", "verbose")
    if is_obsolete or (text and not rest and not comma):
        if loud == "quiet":
            if name == "cpu-bind":  # whatever was said before (measured)
                for variable in _bound(name, "", "", "", ""):
                    wishes.variables.pop(variable, None)
            return
        kind = wishes.variables.get("SLURM_MEM_BIND_TYPE", "") if name == "mem-bind" else ""  # which stays (measured)
        whole = f"verbose,{kind}" if kind else "verbose"
        listed = "" if wishes.is_new or name == "mem-bind" else text
    elif colon and kind in ("map_cpu", "mask_cpu", "map_mem", "mask_mem"):
        kind += ":"
        whole = f"{loud},{rest}"
    elif kind in _BIND_WORDS[name] and not colon:
        listed = text if kind in _LISTED and not wishes.is_new else ""
        whole = f"{loud},{kind}{listed}"
    else:
        wrong = f'srun: error: unrecognized --{name} argument "{text}"\n'
        fatal = f"srun: fatal: Failed to parse --{name}= values.\n" if name == "cpu-bind" else ""
        raise Refused(
            f"{NO_BINDING if wishes.binding and not wishes.is_new else ''}{wrong}{fatal}", 1 if fatal else 255
        )
    if name == "cpu-bind" and (wishes.ntasks_per_core, wishes.ntasks_per_socket) != (None, None):
        raise wishes.unsupported("cpu-bind with --ntasks-per-core or --ntasks-per-socket")
    wishes.variables |= _bound(name, whole, listed, kind, loud)


def _nothing(wishes: StepWishes, name: str, value: str | None) -> None:
    """There is no launch tree to be made wider or narrower, no message is late, and output is never buffered."""


def _refused(wishes: StepWishes, name: str, value: str | None) -> None:
    raise wishes.unsupported(name)


_HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(
        ["disable-status", "exact", "multi-prog", "overlap", "preserve-env", "quit-on-interrupt", "whole"], _flag
    ),
    **dict.fromkeys(["cpu-bind", "mem-bind"], _bind),
    **dict.fromkeys(_PARTS, _per_part),
    **dict.fromkeys(["msg-timeout", "threads", "unbuffered"], _nothing),
    "distribution": _distribution,
    "exclusive": _exclusive,
    "hint": _refused,
    "profile": _refused,
    "immediate": _immediate,
    "job-name": _job_name,
    "het-group": _text,
    "jobid": _text,
    "kill-on-bad-exit": _kill_on_bad_exit,
    "label": _label,
    "mpi": _mpi,
    "relative": _relative,
    "wait": _wait,
}

_VARIABLES: Mapping[str, str] = {
    "SLURM_ACCTG_FREQ": "acctg-freq",
    "SLURM_BCAST": "bcast",
    "SLURM_BCAST_EXCLUDE": "bcast-exclude",
    "SLURM_BURST_BUFFER": "bb",
    "SLURM_COMPRESS": "compress",
    "SLURM_CORE_SPEC": "core-spec",
    "SLURM_CPU_FREQ_REQ": "cpu-freq",
    "SLURM_DELAY_BOOT": "delay-boot",
    "SLURM_EPILOG": "epilog",
    "SLURM_GPU_BIND": "gpu-bind",
    "SLURM_GPU_FREQ": "gpu-freq",
    "SLURM_GRES_FLAGS": "gres-flags",
    "SLURM_HINT": "hint",
    "SLURM_NETWORK": "network",
    "SLURM_POWER": "power",
    "SLURM_PROFILE": "profile",
    "SLURM_PROLOG": "prolog",
    "SLURM_REQ_SWITCH": "switches",
    "SLURM_RESV_PORTS": "resv-ports",
    "SLURM_SEND_LIBS": "send-libs",
    "SLURM_TASK_EPILOG": "task-epilog",
    "SLURM_TASK_PROLOG": "task-prolog",
    "SLURM_THREAD_SPEC": "thread-spec",
    "SLURM_TRES_BIND": "tres-bind",
    "SLURM_WAIT4SWITCH": "switches",
    "SLURM_WCKEY": "wckey",
    "SRUN_CONTAINER": "container",
    "SLURM_ACCOUNT": "account",
    "SLURM_CLUSTERS": "clusters",
    "SLURM_CONSTRAINT": "constraint",
    "SLURM_CPU_BIND": "cpu-bind",
    "SRUN_CPUS_PER_TASK": "cpus-per-task",
    "SLURM_DEPENDENCY": "dependency",
    "SLURM_DISTRIBUTION": "distribution",
    "SLURM_EXCLUSIVE": "exclusive",
    "SLURM_EXPORT_ENV": "export",
    "SLURM_GRES": "gres",
    "SLURM_IMMEDIATE": "immediate",
    "SLURM_JOB_NUM_NODES": "nodes",
    "SLURM_MEM_BIND": "mem-bind",
    "SLURM_MEM_PER_CPU": "mem-per-cpu",
    "SLURM_MEM_PER_NODE": "mem",
    "SLURM_MPI_TYPE": "mpi",
    "SLURM_NO_KILL": "no-kill",
    "SLURM_NPROCS": "ntasks",
    "SLURM_NTASKS": "ntasks",
    "SLURM_NTASKS_PER_NODE": "ntasks-per-node",
    "SLURM_OPEN_MODE": "open-mode",
    "SLURM_PARTITION": "partition",
    "SLURM_QOS": "qos",
    "SLURM_REMOTE_CWD": "chdir",
    "SLURM_RESERVATION": "reservation",
    "SLURM_SIGNAL": "signal",
    "SLURM_STDERRMODE": "error",
    "SLURM_STDINMODE": "input",
    "SLURM_STDOUTMODE": "output",
    "SLURM_THREADS": "threads",
    "SLURM_THREADS_PER_CORE": "threads-per-core",
    "SLURM_TIMELIMIT": "time",
    "SLURM_WAIT": "wait",
    "SLURM_WORKING_DIR": "chdir",
    "SRUN_EXPORT_ENV": "export",
}
_NEW_VARIABLES: Mapping[str, str] = {
    "SLURM_NTASKS_PER_CORE": "ntasks-per-core",
    "SRUN_ERROR": "error",
    "SRUN_INPUT": "input",
    "SRUN_OUTPUT": "output",
}
"""Since 24.11."""
_OUTSIDE: Mapping[str, str] = {
    "SLURM_GPUS": "gpus",
    "SLURM_GPUS_PER_NODE": "gpus-per-node",
    "SLURM_GPUS_PER_TASK": "gpus-per-task",
    "SLURM_JOB_NAME": "job-name",
}
"""Outside of a job: in it the name is its own, and a step has its GPUs anyway."""
_NOTHING_IF_EMPTY = frozenset(
    {
        "SLURM_ACCTG_FREQ", "SLURM_BCAST", "SLURM_BCAST_EXCLUDE", "SLURM_BURST_BUFFER", "SLURM_COMPRESS", "SLURM_CONSTRAINT",
        "SLURM_DEPENDENCY", "SLURM_EPILOG", "SLURM_EXCLUSIVE", "SLURM_GPUS", "SLURM_GPUS_PER_NODE", "SLURM_GPUS_PER_TASK",
        "SLURM_IMMEDIATE", "SLURM_JOB_NAME", "SLURM_NETWORK", "SLURM_PROLOG", "SLURM_QOS", "SLURM_REMOTE_CWD",
        "SLURM_RESERVATION", "SLURM_RESV_PORTS", "SLURM_SEND_LIBS", "SLURM_STDERRMODE", "SLURM_STDOUTMODE",
        "SLURM_TASK_EPILOG", "SLURM_TASK_PROLOG", "SLURM_TRES_BIND", "SLURM_WAIT", "SLURM_WAIT4SWITCH", "SRUN_CONTAINER",
        "SRUN_ERROR", "SRUN_INPUT", "SRUN_OUTPUT",
    }
)  # fmt: skip
"""Of the others an empty value is a value, which few options may have (measured on both releases)."""
_FLAGS: Mapping[str, str] = {
    "SLURM_DISABLE_STATUS": "disable-status",
    "SLURM_EXACT": "exact",
    "SLURM_KILL_BAD_EXIT": "kill-on-bad-exit",
    "SLURM_LABELIO": "label",
    "SLURM_OVERCOMMIT": "overcommit",
    "SLURM_OVERLAP": "overlap",
    "SLURM_SPREAD_JOB": "spread-job",
    "SLURM_UNBUFFEREDIO": "unbuffered",
    "SLURM_USE_MIN_NODES": "use-min-nodes",
    "SLURM_WHOLE": "whole",
}


def _environment_options(environ: Mapping[str, str], release: str, given: Set[str]) -> list[tuple[str, str | None]]:
    """The options that srun takes from its environment, as (long name, value). A flag that is 0 is not set.

    `given` are those of the command line. Since 24.11 a job's -c and --ntasks-per-core are its steps' as well (measured; not in 22.05).
    --mem and --mem-per-cpu replace one another. Where --cpu-bind is given its variable is not looked at, unlike those of others (measured).
    """
    variables = dict(_VARIABLES)
    if release >= "24.11":
        variables = {"SLURM_CPUS_PER_TASK": "cpus-per-task", **variables, **_NEW_VARIABLES}
        del variables["SRUN_CPUS_PER_TASK"]
    if "SLURM_JOB_ID" not in environ:
        variables |= _OUTSIDE
    replaced = (("mem", "SLURM_MEM_PER_CPU"), ("mem-per-cpu", "SLURM_MEM_PER_NODE"), ("cpu-bind", "SLURM_CPU_BIND"))
    for asked, other in replaced:
        if asked in given:
            del variables[other]
    found: list[tuple[str, str | None]] = [
        (name, _value(variable, environ))
        for variable, name in variables.items()
        if environ.get(variable, "") or (variable in environ and variable not in _NOTHING_IF_EMPTY)
    ]
    found += [(name, None) for variable, name in _FLAGS.items() if environ.get(variable, "0") not in ("", "0")]
    return found


def _value(variable: str, environ: Mapping[str, str]) -> str:
    """That of a variable which is set; ``plane`` has its size in another one."""
    value, size = environ[variable], environ.get("SLURM_DIST_PLANESIZE")
    return f"plane={size}" if variable == "SLURM_DISTRIBUTION" and value == "plane" and size else value
