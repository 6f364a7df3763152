"""The fields of sinfo, of a group of nodes in a partition. Headers and values measured on Slurm 22.05.8.

What nobody tells the fake (load, free memory) is printed as Slurm prints it of a node that has not told either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from fakeslurm.commands.clusterreport import is_default
from fakeslurm.commands.columns import Overflow
from fakeslurm.commands.jobtexts import NEW, NULL, short_time
from slurmkit.slurm import hostlist

if TYPE_CHECKING:
    from fakeslurm.commands.nodetexts import ShownNode
    from fakeslurm.commands.stamps import Stamps
    from fakeslurm.model import Partition, Settings

__all__ = ["CATALOGUES", "Catalogue", "Field", "Group", "GroupColumns"]


class Group(NamedTuple):
    """Nodes that are alike in everything that is shown, in one partition (of no partition: the first there is)."""

    partition: Partition
    nodes: Sequence[ShownNode]


class Field(NamedTuple):
    """A header, and either the method of `GroupColumns` that reads it or the constant that it always is here."""

    header: str
    method: str = ""
    constant: str = ""
    overflow: Overflow = ""
    splits: str = ""
    """What has to be alike in a group when the field is shown: ``partition``, or the name of a node's attribute."""
    exactly: str = ""
    """The same, with ``--exact`` alone."""


@frozen
class GroupColumns:
    """Reads fields from groups, for one call of sinfo."""

    settings: Settings
    stamps: Stamps

    def getter(self, field: Field) -> Callable[[Group], str]:
        """The function that reads this field."""
        if not field.method:
            return lambda _group: field.constant
        method: Callable[[Group], str] = getattr(self, field.method)
        return method

    def available(self, group: Group) -> str:
        return group.partition.state.lower()

    def cpus(self, group: Group) -> str:
        return _least([shown.record.node.cpus for shown in group.nodes])

    def cpus_by_state(self, group: Group) -> str:
        used = sum(shown.cpus for shown in group.nodes)
        total = sum(shown.record.node.cpus for shown in group.nodes)
        idle = sum(shown.idle_cpus for shown in group.nodes)
        return f"{used}/{idle}/{total - used - idle}/{total}"

    def default_time(self, group: Group) -> str:
        minutes = group.partition.default_time
        return "n/a" if minutes is None else short_time(minutes * 60)

    def disk(self, group: Group) -> str:
        return _least([shown.record.node.tmp_disk for shown in group.nodes])

    def features(self, group: Group) -> str:
        return group.nodes[0].features if group.nodes else NULL

    def gres(self, group: Group) -> str:
        return group.nodes[0].gres if group.nodes else NULL

    def gres_used(self, group: Group) -> str:
        return (group.nodes[0].gres_used(self.settings) if group.nodes else "") or NULL

    def hosts(self, group: Group) -> str:
        return hostlist.compress(dict.fromkeys(shown.name for shown in group.nodes))

    def memory(self, group: Group) -> str:
        return _least([shown.record.node.real_memory for shown in group.nodes])

    def memory_used(self, group: Group) -> str:
        return _least([shown.memory for shown in group.nodes])

    def name(self, group: Group) -> str:
        return group.partition.name

    def nodes(self, group: Group) -> str:
        return f"{len(group.nodes)}"

    def nodes_by_state(self, group: Group) -> str:
        busy, idle, total = self._busy(group), self._idle(group), len(group.nodes)
        return f"{busy}/{idle}/{total - busy - idle}/{total}"

    def nodes_used(self, group: Group) -> str:
        return f"{self._busy(group)}/{self._idle(group)}"

    def _busy(self, group: Group) -> int:
        return sum(shown.busy for shown in group.nodes)

    def _idle(self, group: Group) -> int:
        return sum(not shown.busy and shown.idle_cpus > 0 for shown in group.nodes)

    def one(self, group: Group) -> str:
        """Cores of a socket, threads of a core, the weight: 1 of every node."""
        return "1" if group.nodes else "0"

    def partition(self, group: Group) -> str:
        return f"{group.partition.name}*" if is_default(group.partition, self.settings) else group.partition.name

    def preempt_mode(self, group: Group) -> str:
        return self.settings.preempt_mode_of(group.partition)

    def priority_tier(self, group: Group) -> str:
        return f"{group.partition.priority_tier}"

    def reason(self, group: Group) -> str:
        return group.nodes[0].reason if group.nodes else "none"

    def reason_time(self, group: Group) -> str:
        time = group.nodes[0].reason_time if group.nodes else None
        return "Unknown" if time is None else self.stamps(time)

    def reason_user(self, group: Group) -> str:
        return group.nodes[0].reason_user if group.nodes else "root"

    def reason_user_long(self, group: Group) -> str:
        if not group.nodes:
            return "root(0)"
        why = group.nodes[0].record.why
        return "Unknown" if why is None else f"{why.user}({why.uid})"

    def size(self, group: Group) -> str:
        most = group.partition.max_nodes
        least = max(group.partition.min_nodes, 1)
        return f"{least}" if least == most else f"{least}-{'infinite' if most is None else most}"

    def sockets_cores_threads(self, group: Group) -> str:
        return f"{self.cpus(group)}:1:1" if group.nodes else "0:0:0"

    def state(self, group: Group) -> str:
        return group.nodes[0].word if group.nodes else "n/a"

    def state_compact(self, group: Group) -> str:
        return group.nodes[0].compact if group.nodes else "n/a"

    def time_limit(self, group: Group) -> str:
        minutes = group.partition.max_time
        return "infinite" if minutes is None else short_time(minutes * 60)

    def unknown(self, group: Group) -> str:
        """``N/A``, which of no node at all is 0."""
        return "N/A" if group.nodes else "0"

    def version(self, group: Group) -> str:
        return self.settings.profile.version if group.nodes else "N/A"


def _least(numbers: list[int]) -> str:
    """The least of them, with a plus when others are larger."""
    least = min(numbers, default=0)
    return f"{least}+" if any(number > least for number in numbers) else f"{least}"


_FIELDS: Mapping[str, Field] = {
    "allocmem": Field("ALLOCMEM", "memory_used"),
    "allocnodes": Field("ALLOCNODES", constant="all", splits="partition"),
    "available": Field("AVAIL", "available", splits="partition"),
    "cluster": Field("CLUSTER", constant="N/A"),
    "comment": Field("COMMENT", constant=NULL),
    "cores": Field("CORES", "one"),
    "cpus": Field("CPUS", "cpus", exactly="total_cpus"),
    "cpusload": Field("CPU_LOAD", "unknown"),
    "cpusstate": Field("CPUS(A/I/O/T)", "cpus_by_state"),
    "defaulttime": Field("DEFAULTTIME", "default_time", splits="partition"),
    "disk": Field("TMP_DISK", "disk", exactly="tmp_disk"),
    "extra": Field("EXTRA", constant=NULL),
    "features": Field("AVAIL_FEATURES", "features", splits="features"),
    "features_act": Field("ACTIVE_FEATURES", "features", splits="features"),
    "freemem": Field("FREE_MEM", "unknown"),
    "gres": Field("GRES", "gres", splits="gres"),
    "gresused": Field("GRES_USED", "gres_used", splits="gres_in_use"),
    "groups": Field("GROUPS", constant="all", splits="partition"),
    "maxcpuspernode": Field("MAX_CPUS_PER_NODE", constant="UNLIMITED", splits="partition"),
    "memory": Field("MEMORY", "memory", exactly="total_memory"),
    "nodeaddr": Field("NODE_ADDR", "hosts", splits="name"),
    "nodeai": Field("NODES(A/I)", "nodes_used"),
    "nodeaiot": Field("NODES(A/I/O/T)", "nodes_by_state"),
    "nodehost": Field("HOSTNAMES", "hosts", overflow="head", splits="name"),
    "nodelist": Field("NODELIST", "hosts", overflow="head"),
    "nodes": Field("NODES", "nodes"),
    "oversubscribe": Field("OVERSUBSCRIBE", constant="NO", splits="partition"),
    "partition": Field("PARTITION", "partition", overflow="mark", splits="partition"),
    "partitionname": Field("PARTITION", "name", splits="partition"),
    "preemptmode": Field("PREEMPT_MODE", "preempt_mode", splits="partition"),
    "priorityjobfactor": Field("PRIO_JOB_FACTOR", constant="1", splits="partition"),
    "prioritytier": Field("PRIO_TIER", "priority_tier", splits="partition"),
    "reason": Field("REASON", "reason", splits="reason"),
    "root": Field("ROOT", constant="no", splits="partition"),
    "size": Field("JOB_SIZE", "size", splits="partition"),
    "socketcorethread": Field("S:C:T", "sockets_cores_threads", exactly="total_cpus"),
    "sockets": Field("SOCKETS", "cpus", exactly="total_cpus"),
    "statecompact": Field("STATE", "state_compact", splits="word"),
    "statelong": Field("STATE", "state", splits="word"),
    "threads": Field("THREADS", "one"),
    "time": Field("TIMELIMIT", "time_limit", splits="partition"),
    "timestamp": Field("TIMESTAMP", "reason_time", splits="reason_time"),
    "user": Field("USER", "reason_user", splits="reason_user"),
    "userlong": Field("USER", "reason_user_long", splits="reason_user"),
    "version": Field("VERSION", "version"),
    "weight": Field("WEIGHT", "one"),
}

_NEW_FIELDS = dict(_FIELDS) | {"reservation": Field("RESERVATION", constant="")}

_LETTERS: Mapping[str, str] = {
    "a": "available",
    "b": "features_act",
    "c": "cpus",
    "d": "disk",
    "e": "freemem",
    "f": "features",
    "g": "groups",
    "h": "oversubscribe",
    "i": "reservation",
    "l": "time",
    "m": "memory",
    "n": "nodehost",
    "o": "nodeaddr",
    "p": "prioritytier",
    "r": "root",
    "s": "size",
    "t": "statecompact",
    "u": "user",
    "v": "version",
    "w": "weight",
    "z": "socketcorethread",
    "A": "nodeai",
    "B": "maxcpuspernode",
    "C": "cpusstate",
    "D": "nodes",
    "E": "reason",
    "F": "nodeaiot",
    "G": "gres",
    "H": "timestamp",
    "I": "priorityjobfactor",
    "L": "defaulttime",
    "M": "preemptmode",
    "N": "nodelist",
    "O": "cpusload",
    "P": "partition",
    "R": "partitionname",
    "S": "allocnodes",
    "T": "statelong",
    "U": "userlong",
    "V": "cluster",
    "X": "sockets",
    "Y": "cores",
    "Z": "threads",
}


@frozen
class Catalogue:
    """The fields of one release."""

    fields: Mapping[str, Field]
    """By the names of ``-O``, in small letters."""
    letters: Mapping[str, Field]
    """By the letters of ``-o``."""
    unsupported: frozenset[str]
    """Fields that Slurm has and this fake does not."""

    @property
    def everything(self) -> str:
        """What ``-o %all`` stands for."""
        return "".join(f"%{letter}{' |' if letter.isupper() else '|'}" for letter in self.letters).removesuffix("|")

    def find(self, name: str) -> Field | None:
        """The field of this ``-O`` name, in any case; None when Slurm has none. LookupError for an unsupported one."""
        name = name.lower()
        if name in self.unsupported:
            raise LookupError(name)
        return self.fields.get("oversubscribe" if name == "share" else name)


def _catalogue(fields: Mapping[str, Field], *unsupported: str) -> Catalogue:
    letters = {letter: fields[name] for letter, name in _LETTERS.items() if name in fields}
    return Catalogue(fields, letters, frozenset({"port", "statecomplete", *unsupported}))


CATALOGUES: Mapping[str, Catalogue] = {
    "22.05": _catalogue(_FIELDS),
    NEW: _catalogue(_NEW_FIELDS, "all"),  # "-O all" is said to be invalid and carried out all the same
}
"""By release."""
