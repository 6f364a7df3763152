"""What a cluster is: its nodes, its partitions, and the other parameters of slurm.conf (names and defaults: slurm.conf.5).

Memory is MB, time limits are minutes, other times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from attrs import field, frozen
from attrs.validators import ge, in_, instance_of

from fakeslurm.gres import node_gres
from fakeslurm.profiles import PROFILES, Profile

__all__ = ["Node", "Partition", "PreemptMode", "Settings"]

PreemptMode = Literal["OFF", "REQUEUE", "CANCEL", "GANG,SUSPEND"]
"""What becomes of a job whose nodes a job of a partition with a higher PriorityTier needs."""


def _node_gres(_node: object, _attribute: object, text: str) -> None:
    node_gres(text)


def _words(words: Iterable[str]) -> tuple[str, ...]:
    if isinstance(words, str):
        raise TypeError(f"{words!r}: expected a sequence of words, not one string")
    return tuple(words)


@frozen
class Node:
    """A compute node: `cpus` CPUs (one socket of one core of one thread each, as CPUs=N is read) and `real_memory` MB."""

    name: str = field(validator=instance_of(str))
    cpus: int = field(default=4, validator=[instance_of(int), ge(1)])
    real_memory: int = field(default=2000, validator=[instance_of(int), ge(1)])
    tmp_disk: int = field(default=0, validator=[instance_of(int), ge(0)])
    """MB."""
    gres: str = field(default="", validator=_node_gres)
    """``gpu:2``, ``gpu:a100:1,gpu:v100:1,fpga:3``."""
    features: tuple[str, ...] = field(default=(), converter=_words)
    """What --constraint asks for."""


def _names(names: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(names, str):
        raise TypeError(f"nodes={names!r}: expected a sequence of node names, not one string")
    return None if names is None else tuple(names)


@frozen(kw_only=True)
class Partition:
    """A queue over some nodes (None: all). `max_time` and `default_time` in minutes, None is no limit."""

    name: str = field(kw_only=False, validator=instance_of(str))
    nodes: tuple[str, ...] | None = field(default=None, converter=_names)
    default: bool = False
    max_time: int | None = None
    default_time: int | None = None
    max_nodes: int | None = None
    min_nodes: int = 0
    state: Literal["UP", "DOWN", "DRAIN", "INACTIVE"] = field(
        default="UP", validator=in_(("UP", "DOWN", "DRAIN", "INACTIVE"))
    )
    priority_tier: int = field(default=1, validator=[instance_of(int), ge(0)])
    """PriorityTier: jobs of a higher one come first, and (`Settings.preempts`) preempt those of lower ones."""
    preempt_mode: PreemptMode | None = field(default=None, validator=in_((None, "OFF", "REQUEUE", "CANCEL")))
    """PreemptMode, of jobs that are preempted; None is the cluster's."""
    grace_time: int = field(default=0, validator=[instance_of(int), ge(0)])
    """GraceTime: seconds that a preempted job has left, before it is ended."""


def _node_tuple(nodes: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(nodes)


def _partition_tuple(partitions: Iterable[Partition]) -> tuple[Partition, ...]:
    return tuple(partitions)


def _default_nodes() -> tuple[Node, ...]:
    return tuple(Node(f"n{number}") for number in range(1, 5))


@frozen(kw_only=True)
class Settings:
    """slurm.conf. Checked when it is made: names are unique, partitions name nodes that exist, one partition is the default."""

    cluster_name: str = "fake"
    nodes: tuple[Node, ...] = field(factory=_default_nodes, converter=_node_tuple)
    partitions: tuple[Partition, ...] = field(default=(Partition("debug", default=True),), converter=_partition_tuple)
    version: str = field(default="22.05", validator=in_(tuple(PROFILES)))
    message_timeout: int = 10
    """MessageTimeout: seconds for which commands wait for an answer of the controller."""
    kill_wait: float = 5.0
    """KillWait: seconds between SIGTERM and SIGKILL; less than 5 counts as 5 (slurmd/req.c)."""
    min_job_age: float = 300.0
    """MinJobAge: seconds that a finished job stays in memory at least; 0 is for ever."""
    limit_scan: float = 30.0
    """Seconds between two looks at the time limits (PERIODIC_TIMEOUT in slurmctld.h)."""
    over_time_limit: int = 0
    """OverTimeLimit: minutes that a job may run longer."""
    first_job_id: int = 1
    max_job_count: int = 10000
    max_array_size: int = 1001
    cred_expire: float = 5.0
    """AuthInfo=cred_expire, seconds: a requeued job waits so long and one second more. Slurm's default is 120."""
    preempts: bool = False
    """PreemptType=preempt/partition_prio; otherwise preempt/none."""
    preempt_mode: PreemptMode = field(default="OFF", validator=in_(("OFF", "REQUEUE", "CANCEL", "GANG,SUSPEND")))
    """PreemptMode, where a partition has none of its own. With GANG,SUSPEND partitions differ in their tiers, and have no mode but OFF."""
    preempt_exempt_time: int = field(default=0, validator=[instance_of(int), ge(0)])
    """PreemptExemptTime: seconds that a job runs at least before it is preempted."""
    requeue: bool = True
    """JobRequeue: whether a job may be requeued unless it says."""
    kill_invalid_dependency: bool = False
    """DependencyParameters=kill_invalid_depend."""
    accounting: bool = True
    """Whether there is a slurmdbd."""
    accounting_lag: float = 0.0
    """Seconds after which sacct sees what has happened."""
    memory_is_consumed: bool = False
    """SelectTypeParameters=CR_Core_Memory; without it (CR_Core) memory is only compared with what a node has."""
    task_cgroup: bool = False
    """TaskPlugin=task/cgroup; without it task/none."""
    constrain_ram_space: bool = False
    """ConstrainRAMSpace of cgroup.conf: see `memory_is_constrained`."""
    gres_types: tuple[str, ...] = field(default=(), converter=_words)
    """GresTypes: the names of the resources that nodes may have."""
    licenses: Mapping[str, int] = field(factory=dict)
    """How many there are of each."""
    accounted_gres: tuple[str, ...] = field(default=(), converter=_words)
    """Those of AccountingStorageTRES, ``gpu`` or ``gpu:a100``."""
    control_host: str = "localhost"
    """Short name of the machine that slurmctld runs on."""
    control_port: int = 6817
    conf: str | None = None
    """Path of slurm.conf: SLURM_CONF in jobs."""

    def __attrs_post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        if not names:
            raise ValueError("nodes is empty: a cluster needs at least one Node")
        if len(set(names)) < len(names):
            raise ValueError(f"nodes: every name must be unique, got {', '.join(names)}")
        queues = [partition.name for partition in self.partitions]
        if not queues or len(set(queues)) < len(queues):
            raise ValueError(f"partitions: at least one is needed and every name must be unique, got {queues}")
        for node in self.nodes:
            for gres in node_gres(node.gres):
                if gres.name not in self.gres_types:
                    raise ValueError(f"node {node.name!r}: gres {gres.name!r} is not in gres_types={self.gres_types!r}")
        known = set(names)
        for partition in self.partitions:
            for name in partition.nodes or ():
                if name not in known:
                    raise ValueError(
                        f"partition {partition.name!r}: node {name!r} does not exist; nodes are {', '.join(names)}"
                    )
        if sum(partition.default for partition in self.partitions) > 1:
            raise ValueError(f"partitions: only one may be the default, got {queues}")
        if self.preempts != (self.preempt_mode != "OFF"):  # slurmctld does not start
            raise ValueError(
                "PreemptType=preempt/partition_prio and PreemptMode=REQUEUE, CANCEL or SUSPEND,GANG need one another"
            )
        if self.suspends:
            self._check_suspension()

    def _check_suspension(self) -> None:
        """What Slurm does otherwise is not carried out: jobs of equal tiers get the same CPUs, in turn or at once (measured)."""
        prefix = "PreemptMode=SUSPEND,GANG: fakeslurm does not carry out"
        tiers = [partition.priority_tier for partition in self.partitions]
        if len(set(tiers)) < len(tiers):
            raise ValueError(f"{prefix} partitions of the same PriorityTier beside it, got {tiers}")
        for partition in self.partitions:
            if partition.preempt_mode not in (None, "OFF"):
                raise ValueError(
                    f"{prefix} PreemptMode={partition.preempt_mode} of partition {partition.name!r} beside it"
                )
        if self.preempt_exempt_time:
            raise ValueError(f"{prefix} PreemptExemptTime beside it")

    @property
    def suspends(self) -> bool:
        """PreemptMode=SUSPEND,GANG: who is preempted stands still for as long as another job has its CPUs."""
        return self.preempt_mode == "GANG,SUSPEND"

    @property
    def profile(self) -> Profile:
        return PROFILES[self.version]

    def preempt_mode_of(self, partition: Partition) -> PreemptMode:
        """What becomes of a job of this partition when it is preempted."""
        return self.preempt_mode if partition.preempt_mode is None else partition.preempt_mode

    @property
    def memory_is_constrained(self) -> bool:
        """Whether processes are killed when their job uses more memory than it has. A job has some only where it is consumed (measured)."""
        return self.memory_is_consumed and self.task_cgroup and self.constrain_ram_space

    @property
    def default_partition(self) -> str | None:
        """The partition of a job that names none. One that is alone need not say that it is the default."""
        for partition in self.partitions:
            if partition.default or len(self.partitions) == 1:
                return partition.name
        return None
