"""Every long option of sbatch, under its Python name: the manual pages of 22.05 and 24.11, and what both programs accept.

Which arguments an option takes and which values it refuses was measured on sbatch 22.05.8 and 24.11.5.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(Enum):
    """What an option's value is; the value is the description that error messages use."""

    FLAG = "True or False"
    TEXT = "text"
    LIST = "text, or a list of texts (joined with commas)"
    COUNT = "a whole number of 1 or more"
    NUMBER = "a whole number of 0 or more"
    INTEGER = "a whole number"
    LIMIT = "minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]], UNLIMITED, or a timedelta"
    MOMENT = "a time such as 16:00, 2030-01-31T12:00:00 or now+1hour, a datetime, or a timedelta from now"
    MEMORY = "a number of megabytes, or a whole number with a unit: K, M, G or T"
    NODES = "a number of nodes, or a range MIN-MAX"
    CHOICE = "one of the listed words"


class Option:
    """One long option of sbatch. Nothing of it changes. (No named tuple: a job imports this with its task, and typing takes 3 ms.)"""

    __slots__ = (
        "booleans",
        "choices",
        "env",
        "kind",
        "name",
        "opposite",
        "optional",
        "reserved",
        "short",
        "since",
        "until",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        short: str = "",
        env: tuple[str, ...] = (),
        optional: bool = False,
        choices: tuple[str, ...] = (),
        booleans: tuple[str, str] = ("", ""),
        opposite: str = "",
        since: str = "22.05",
        until: str = "",
        reserved: str = "",
    ) -> None:
        self.name = name
        """Python name: underscores where sbatch has dashes."""
        self.kind = kind
        self.short = short
        """The letter of the short form, empty if there is none."""
        self.env = env
        """Environment variables that set it; they win over a directive and lose to the command line."""
        self.optional = optional
        """Whether sbatch takes it without an argument as well (never with one for `Kind.FLAG`)."""
        self.choices = choices
        """The only words allowed, for `Kind.CHOICE`."""
        self.booleans = booleans
        """The words for False and True, where the option takes such words."""
        self.opposite = opposite
        """The flag that False means, where leaving the option out would not mean False."""
        self.since = since
        """First release of those we know that has it."""
        self.until = until
        """First release of those we know that does not have it any more."""
        self.reserved = reserved
        """Why a user of slurmkit cannot set it; empty when they can."""

    @property
    def flag(self) -> str:
        """As sbatch spells it: ``--job-name``."""
        return "--" + self.name.replace("_", "-")


def _sbatch(*suffixes: str) -> tuple[str, ...]:
    return tuple(f"SBATCH_{suffix}" for suffix in suffixes)


_ANSWER = "slurmkit reads sbatch's answer itself"

_OPTIONS = (
    Option("account", Kind.TEXT, "A", _sbatch("ACCOUNT")),
    Option("acctg_freq", Kind.LIST, "", _sbatch("ACCTG_FREQ")),
    Option("array", Kind.TEXT, "a", _sbatch("ARRAY_INX"), reserved="use Cluster.map(task, items, max_concurrent=...)"),
    Option("batch", Kind.TEXT, "", _sbatch("BATCH")),
    Option("bb", Kind.TEXT),
    Option("bbf", Kind.TEXT),
    Option("begin", Kind.MOMENT, "b"),
    Option("chdir", Kind.TEXT, "D"),
    Option("cluster_constraint", Kind.TEXT),
    Option(
        "clusters",
        Kind.LIST,
        "M",
        ("SBATCH_CLUSTERS", "SLURM_CLUSTERS"),
        reserved="set SLURM_CLUSTERS in the environment, so that the commands that follow the job look there as well",
    ),
    Option(
        "comment", Kind.TEXT, reserved="the token that finds the job again when an answer of sbatch is lost is there"
    ),
    Option("constraint", Kind.TEXT, "C", _sbatch("CONSTRAINT")),
    Option("container", Kind.TEXT, "", _sbatch("CONTAINER")),
    Option("container_id", Kind.TEXT, "", _sbatch("CONTAINER_ID"), since="24.11"),
    Option("context", Kind.TEXT),
    Option("contiguous", Kind.FLAG),
    Option("core_spec", Kind.NUMBER, "S", _sbatch("CORE_SPEC")),
    Option("cores_per_socket", Kind.COUNT),
    Option("cpu_freq", Kind.TEXT),
    Option("cpus_per_gpu", Kind.COUNT, "", _sbatch("CPUS_PER_GPU")),
    Option("cpus_per_task", Kind.COUNT, "c"),
    Option("deadline", Kind.MOMENT),
    Option("delay_boot", Kind.LIMIT, "", _sbatch("DELAY_BOOT")),
    Option("dependency", Kind.LIST, "d"),
    Option("distribution", Kind.TEXT, "m", _sbatch("DISTRIBUTION")),
    Option("error", Kind.TEXT, "e", _sbatch("ERROR"), reserved="it is written to the job directory: job.stderr()"),
    Option("exclude", Kind.LIST, "x"),
    Option("exclusive", Kind.CHOICE, "", _sbatch("EXCLUSIVE"), True, ("user", "mcs", "topo", "exclusive")),
    Option("export", Kind.LIST, "", _sbatch("EXPORT")),
    Option(
        "export_file", Kind.TEXT, reserved="it would replace the environment that the runner starts from; use export"
    ),
    Option("extra", Kind.TEXT, since="24.11"),
    Option("extra_node_info", Kind.TEXT, "B"),
    Option("get_user_env", Kind.TEXT, "", _sbatch("GET_USER_ENV"), True),
    Option("gid", Kind.TEXT, reserved="the job directory can be read by its owner only"),
    Option("gpu_bind", Kind.TEXT, "", _sbatch("GPU_BIND")),
    Option("gpu_freq", Kind.TEXT, "", _sbatch("GPU_FREQ")),
    Option("gpus", Kind.LIST, "G", _sbatch("GPUS")),
    Option("gpus_per_node", Kind.LIST, "", _sbatch("GPUS_PER_NODE")),
    Option("gpus_per_socket", Kind.LIST),
    Option("gpus_per_task", Kind.LIST, "", _sbatch("GPUS_PER_TASK")),
    Option("gres", Kind.LIST, "", _sbatch("GRES")),
    Option("gres_flags", Kind.LIST, "", _sbatch("GRES_FLAGS")),
    Option("help", Kind.FLAG, "h", reserved=_ANSWER),
    Option("hint", Kind.LIST, "", ("SBATCH_HINT", "SLURM_HINT")),
    Option("hold", Kind.FLAG, "H"),
    Option("ignore_pbs", Kind.FLAG, "", _sbatch("IGNORE_PBS")),
    Option("input", Kind.TEXT, "i", _sbatch("INPUT")),
    Option("job_name", Kind.TEXT, "J", _sbatch("JOB_NAME")),
    Option("kill_on_invalid_dep", Kind.CHOICE, choices=("yes", "no"), booleans=("no", "yes")),
    Option("licenses", Kind.LIST, "L"),
    Option("mail_type", Kind.LIST),
    Option("mail_user", Kind.TEXT),
    Option("mcs_label", Kind.TEXT),
    Option("mem", Kind.MEMORY, "", _sbatch("MEM_PER_NODE")),
    Option("mem_bind", Kind.LIST, "", _sbatch("MEM_BIND")),
    Option("mem_per_cpu", Kind.MEMORY, "", _sbatch("MEM_PER_CPU")),
    Option("mem_per_gpu", Kind.MEMORY, "", _sbatch("MEM_PER_GPU")),
    Option("mincpus", Kind.COUNT),
    Option("network", Kind.LIST, "", _sbatch("NETWORK")),
    Option("nice", Kind.INTEGER, optional=True),
    Option("no_kill", Kind.CHOICE, "k", _sbatch("NO_KILL"), True, ("off",)),
    Option("no_requeue", Kind.FLAG, "", _sbatch("NO_REQUEUE"), opposite="requeue"),
    Option("nodefile", Kind.TEXT, "F"),
    Option("nodelist", Kind.LIST, "w"),
    Option("nodes", Kind.NODES, "N"),
    Option("ntasks", Kind.COUNT, "n"),
    Option("ntasks_per_core", Kind.COUNT),
    Option("ntasks_per_gpu", Kind.COUNT),
    Option("ntasks_per_node", Kind.COUNT),
    Option("ntasks_per_socket", Kind.COUNT),
    Option("oom_kill_step", Kind.CHOICE, "", (), True, ("0", "1"), ("0", "1"), since="24.11"),
    Option("open_mode", Kind.CHOICE, "", _sbatch("OPEN_MODE"), choices=("append", "truncate")),
    Option("output", Kind.TEXT, "o", _sbatch("OUTPUT"), reserved="it is written to the job directory: job.stdout()"),
    Option("overcommit", Kind.FLAG, "O", _sbatch("OVERCOMMIT")),
    Option("oversubscribe", Kind.FLAG, "s"),
    Option("parsable", Kind.FLAG, reserved=_ANSWER),
    Option("partition", Kind.LIST, "p", _sbatch("PARTITION")),
    Option("power", Kind.LIST, "", _sbatch("POWER"), until="24.11"),
    Option("prefer", Kind.TEXT),
    Option("priority", Kind.NUMBER),
    Option("profile", Kind.LIST, "", _sbatch("PROFILE")),
    Option("propagate", Kind.LIST, optional=True),
    Option("qos", Kind.TEXT, "q", _sbatch("QOS")),
    Option("quiet", Kind.FLAG, "Q", reserved=_ANSWER),
    Option("reboot", Kind.FLAG),
    Option("requeue", Kind.FLAG, "", _sbatch("REQUEUE"), opposite="no_requeue"),
    Option("reservation", Kind.LIST, "", _sbatch("RESERVATION")),
    Option("resv_ports", Kind.NUMBER, optional=True, since="24.11"),
    Option("segment", Kind.COUNT, since="24.11"),
    Option("signal", Kind.TEXT, "", _sbatch("SIGNAL")),
    Option("sockets_per_node", Kind.COUNT),
    Option("spread_job", Kind.FLAG, "", _sbatch("SPREAD_JOB")),
    Option("stepmgr", Kind.FLAG, since="24.11"),
    Option("switches", Kind.TEXT, "", _sbatch("REQ_SWITCH", "WAIT4SWITCH")),
    Option("test_only", Kind.FLAG, reserved="nothing would be submitted"),
    Option("thread_spec", Kind.COUNT, "", _sbatch("THREAD_SPEC")),
    Option("threads_per_core", Kind.COUNT, "", _sbatch("THREADS_PER_CORE")),
    Option("time", Kind.LIMIT, "t", _sbatch("TIMELIMIT")),
    Option("time_min", Kind.LIMIT),
    Option("tmp", Kind.MEMORY),
    Option("tres_bind", Kind.TEXT, "", _sbatch("TRES_BIND"), since="24.11"),
    Option("tres_per_task", Kind.LIST, "", _sbatch("TRES_PER_TASK"), since="24.11"),
    Option("uid", Kind.TEXT, reserved="the job directory can be read by its owner only"),
    Option("usage", Kind.FLAG, reserved=_ANSWER),
    Option("use_min_nodes", Kind.FLAG, "", _sbatch("USE_MIN_NODES")),
    Option("verbose", Kind.FLAG, "v", _sbatch("DEBUG"), reserved=_ANSWER),
    Option("version", Kind.FLAG, "V", reserved=_ANSWER),
    Option("wait", Kind.FLAG, "W", _sbatch("WAIT"), reserved="sbatch would block until the job ends; use job.wait()"),
    Option("wait_all_nodes", Kind.CHOICE, "", _sbatch("WAIT_ALL_NODES"), choices=("0", "1"), booleans=("0", "1")),
    Option("wckey", Kind.TEXT, "", _sbatch("WCKEY")),
    Option("wrap", Kind.TEXT, reserved="slurmkit writes the batch script itself"),
)

OPTIONS: Mapping[str, Option] = MappingProxyType({option.name: option for option in _OPTIONS})
"""By Python name, in alphabetical order."""
