"""What the fake carries out of slurm.conf: lines of it to `Settings`, `Node` and `Partition`. Pure.

A line or a value that the fake does not carry out is refused, with what is valid: see the tables. Names and values: slurm.conf.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from attrs import evolve, frozen

from fakeslurm.conflines import Attributes, Setting, read_conf
from fakeslurm.gres import node_gres
from fakeslurm.model import Node, Partition, Settings
from slurmkit.slurm.durations import DurationError, parse_elapsed, parse_minutes
from slurmkit.slurm.hostlist import HostlistError, expand

__all__ = ["configured", "partition_field"]


@frozen
class _Key:
    """How a key of slurm.conf becomes a field. `read` raises ValueError, saying what it expected."""

    name: str
    field: str | None
    """None: there is nothing to configure, the fake is what the value says."""
    read: Callable[[str], Any]


def _whole(least: int, **words: Any) -> Callable[[str], Any]:
    """A whole number of `least` or more, or one of the words."""
    expected = " or ".join([f"a whole number of {least} or more", *words])

    def read(text: str) -> Any:
        if text.upper() in words:
            return words[text.upper()]
        if text.isascii() and text.isdecimal() and int(text) >= least:
            return int(text)
        raise ValueError(expected)

    return read


def _word(**meanings: Any) -> Callable[[str], Any]:
    """One of the words, in any case."""

    def read(text: str) -> Any:
        if text.upper() in meanings:
            return meanings[text.upper()]
        raise ValueError(" or ".join(meanings))

    return read


def _exactly(*valid: str) -> Callable[[str], str]:
    """One of the values, in any case, which are what the fake does anyway."""

    def read(text: str) -> str:
        for one in valid:
            if text.lower() == one.lower():
                return one
        raise ValueError(" or ".join(valid))

    return read


def _minutes(text: str) -> int | None:
    try:
        return parse_minutes(text)
    except DurationError:
        raise ValueError("minutes, hours:minutes:seconds, days-hours or UNLIMITED") from None


def _seconds(text: str) -> int:
    if re.fullmatch(r"([0-9]+-)?[0-9]+:[0-9]+:[0-9]+", text):
        return parse_elapsed(text)
    raise ValueError("hours:minutes:seconds or days-hours:minutes:seconds")


def _nodes(text: str) -> tuple[str, ...] | None:
    if text.upper() == "ALL":
        return None
    try:
        return tuple(expand(text))
    except HostlistError as error:
        raise ValueError(f"node names or ALL ({error})") from None


def _cluster_name(text: str) -> str:
    if re.fullmatch(r"[a-z0-9_]+", text):
        return text
    raise ValueError("small letters, digits and _")


def _accounting(text: str) -> bool:
    return _exactly("accounting_storage/none", "accounting_storage/slurmdbd")(text).endswith("slurmdbd")


def _comma_separated(text: str) -> tuple[str, ...]:
    if re.fullmatch(r"\w+(,\w+)*", text):
        return tuple(text.split(","))
    raise ValueError("names separated by commas")


def _accounted_gres(text: str) -> tuple[str, ...]:
    found = []
    for item in text.split(","):
        match = re.fullmatch(r"gres/(\w+(?::\w+)?)", item)
        if match is None:
            raise ValueError("gres/NAME or gres/NAME:TYPE,...")
        found.append(match[1])
    return tuple(found)


def _rate_limit(text: str) -> None:
    if not re.fullmatch(r"rl_enable(,rl_(bucket_size|refill_rate|refill_period|table_size)=[0-9]+)*", text):
        raise ValueError(
            "rl_enable,rl_bucket_size=NUMBER,rl_refill_rate=NUMBER,rl_refill_period=NUMBER,rl_table_size=NUMBER"
        )


def _licenses(text: str) -> dict[str, int]:
    found = {}
    for item in text.split(","):
        match = re.fullmatch(r"(\w+)(?::([0-9]+))?", item)
        if match is None:
            raise ValueError("NAME[:COUNT],...")
        found[match[1]] = int(match[2] or 1)
    return found


def _gres(text: str) -> str:
    node_gres(text)
    return text


def _table(*keys: _Key) -> Mapping[str, _Key]:
    return {key.name.lower(): key for key in keys}


_YES_NO = _word(YES=True, NO=False)
_PREEMPT_MODES = {"OFF": "OFF", "REQUEUE": "REQUEUE", "CANCEL": "CANCEL"}
_PREEMPT_MODE = _word(**_PREEMPT_MODES)
_CLUSTERS_PREEMPT_MODE = _word(**_PREEMPT_MODES, **{"SUSPEND,GANG": "GANG,SUSPEND", "GANG,SUSPEND": "GANG,SUSPEND"})

_PARAMETERS = _table(
    _Key("ClusterName", "cluster_name", _cluster_name),
    _Key("KillWait", "kill_wait", _whole(0)),
    _Key("MinJobAge", "min_job_age", _whole(0)),
    _Key("OverTimeLimit", "over_time_limit", _whole(0)),
    _Key("FirstJobId", "first_job_id", _whole(1)),
    _Key("MaxJobCount", "max_job_count", _whole(1)),
    _Key("MaxArraySize", "max_array_size", _whole(0)),
    _Key("MessageTimeout", "message_timeout", _whole(1)),
    _Key("JobRequeue", "requeue", _word(**{"0": False, "1": True})),
    _Key("DependencyParameters", "kill_invalid_dependency", lambda text: bool(_exactly("kill_invalid_depend")(text))),
    _Key(
        "SelectTypeParameters",
        "memory_is_consumed",
        lambda text: _exactly("CR_Core", "CR_Core_Memory")(text).endswith("Memory"),
    ),
    _Key("TaskPlugin", "task_cgroup", lambda text: _exactly("task/none", "task/cgroup")(text).endswith("cgroup")),
    _Key("ConstrainRAMSpace", "constrain_ram_space", _YES_NO),  # of cgroup.conf
    _Key(
        "PreemptType",
        "preempts",
        lambda text: _exactly("preempt/none", "preempt/partition_prio")(text) != "preempt/none",
    ),
    _Key("PreemptMode", "preempt_mode", _CLUSTERS_PREEMPT_MODE),
    _Key("PreemptExemptTime", "preempt_exempt_time", _seconds),
    _Key("AccountingStorageType", "accounting", _accounting),
    _Key("GresTypes", "gres_types", _comma_separated),
    _Key("AccountingStorageTRES", "accounted_gres", _accounted_gres),
    _Key("Licenses", "licenses", _licenses),
    _Key("SelectType", None, _exactly("select/cons_tres")),
    _Key("SchedulerType", None, _exactly("sched/backfill")),
    _Key("PriorityType", None, _exactly("priority/basic")),
    _Key("ReturnToService", None, _exactly("0", "1")),  # a node that was set down stays so
    _Key("SlurmctldParameters", None, _rate_limit),  # users are limited when a fault says so
    _Key("SlurmdTimeout", None, _whole(1)),  # a node is lost when a fault says so
)

_NODE = _table(
    _Key("CPUs", "cpus", _whole(1)),
    _Key("RealMemory", "real_memory", _whole(1)),
    _Key("TmpDisk", "tmp_disk", _whole(0)),
    _Key("Gres", "gres", _gres),
    _Key("Feature", "features", _comma_separated),
    _Key("Features", "features", _comma_separated),
    _Key("State", None, _exactly("UNKNOWN", "IDLE")),
)

_PARTITION = _table(
    _Key("Nodes", "nodes", _nodes),
    _Key("Default", "default", _YES_NO),
    _Key("MaxTime", "max_time", _minutes),
    _Key("DefaultTime", "default_time", _minutes),
    _Key("MaxNodes", "max_nodes", _whole(1, UNLIMITED=None, INFINITE=None)),
    _Key("MinNodes", "min_nodes", _whole(0)),
    _Key("PriorityTier", "priority_tier", _whole(0)),
    _Key("PreemptMode", "preempt_mode", _PREEMPT_MODE),
    _Key("GraceTime", "grace_time", _whole(0)),
    _Key("State", "state", _word(UP="UP", DOWN="DOWN", DRAIN="DRAIN", INACTIVE="INACTIVE")),
)


def partition_field(key: str, value: str) -> tuple[str, Any]:
    """The field of `Partition` and its value, for an attribute of a partition. KeyError for what is none, ValueError for the value."""
    found = _PARTITION[key.lower()]
    assert found.field is not None
    return found.field, found.read(value)


def configured(
    lines: Sequence[str],
    nodes: Sequence[Node] | None = None,
    partitions: Sequence[Partition] | None = None,
    **others: Any,
) -> Settings:
    """The configuration that `lines` of slurm.conf describe; `others` are fields of `Settings` that they may change.

    Where `nodes` are given, the NodeName lines change these; a name that is none of theirs is an error. Without, the nodes are those
    of the lines, or the default ones when there is no such line. Likewise the PartitionName lines replace those of `partitions` of the
    same name and add others. ValueError names the line and what is valid.
    """
    conf = read_conf(lines)
    for other in conf.others:
        raise ValueError(
            f"conf: fakeslurm does not carry out {other!r}; valid are {_valid(_PARAMETERS)}, NodeName and PartitionName"
        )
    fields = dict(others)
    fields |= _fields("", conf.parameters, _PARAMETERS, "NodeName", "PartitionName")
    if nodes is not None or conf.nodes:
        fields["nodes"] = _changed_nodes(conf.nodes, nodes)
    if partitions is not None or conf.partitions:
        fields["partitions"] = _changed_partitions(conf.partitions, partitions or ())
    return Settings(**fields)


def _changed_nodes(lines: Mapping[str, Attributes], given: Sequence[Node] | None) -> tuple[Node, ...]:
    if given is None:
        given = [Node(name, 1, 1) for name in lines]  # Slurm's defaults of CPUs and RealMemory
    names = [one.name for one in given]
    for name in lines:
        if name not in names:
            raise ValueError(f"conf: NodeName={name}: there is no such node; nodes are {', '.join(names)}")
    return tuple(evolve(one, **_fields(f"NodeName={one.name} ", lines.get(one.name, {}), _NODE)) for one in given)


def _changed_partitions(lines: Mapping[str, Attributes], given: Sequence[Partition]) -> tuple[Partition, ...]:
    changed = list(given)
    for name, attributes in lines.items():
        if "nodes" not in attributes:
            raise ValueError(f"conf: PartitionName={name}: Nodes is missing; expected node names or ALL")
        new = Partition(name, **_fields(f"PartitionName={name} ", attributes, _PARTITION))
        if new.default:  # the last one that says so is it
            changed = [evolve(one, default=False) for one in changed]
        if any(one.name == name for one in changed):
            changed = [new if one.name == name else one for one in changed]
        else:
            changed.append(new)
    return tuple(changed)


def _fields(line: str, settings: Attributes, table: Mapping[str, _Key], *also: str) -> dict[str, Any]:
    """The fields that a line's settings become."""
    found = {}
    for small, setting in settings.items():
        key = table.get(small)
        if key is None:
            raise ValueError(
                f"conf: {line}{setting}: fakeslurm does not carry out {setting.key}; {_hint(setting, table, also)}"
            )
        try:
            value = key.read(setting.value)
        except ValueError as error:
            raise ValueError(
                f"conf: {line}{setting}: fakeslurm does not carry out this value; expected {error}"
            ) from None
        if key.field is not None:
            found[key.field] = value
    return found


def _hint(setting: Setting, table: Mapping[str, _Key], also: Sequence[str]) -> str:
    close = get_close_matches(setting.key.lower(), table, n=1, cutoff=0.8)
    return f"did you mean {table[close[0]].name}?" if close else f"valid are {_valid(table, also)}"


def _valid(table: Mapping[str, _Key], also: Sequence[str] = ()) -> str:
    return ", ".join([*(key.name for key in table.values()), *also])
