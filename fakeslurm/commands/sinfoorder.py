"""The orders of sinfo's ``--sort``, read as Slurm reads it: backwards, one letter a field, each a stable sort.

Letters and keys: src/sinfo/sort.c; orders compared with 22.05.8 and 24.11.5. A letter that is no field is passed over. What is
equal in every field keeps the order of the partitions and nodes; of several partitions it is chance in Slurm, which reads
each in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fakeslurm.commands.jobtexts import host_order
from fakeslurm.commands.sinfofields import Group, GroupColumns
from fakeslurm.model import Settings

__all__ = ["order_groups"]

_INFINITE = 0xFFFFFFFF
_MODES = ("OFF", "SUSPEND", "REQUEUE", "CANCEL")
"""Of PreemptMode, by their numbers in slurm/slurm.h."""

Key = Callable[[Group], Any]


def order_groups(groups: Sequence[Group], text: str, settings: Settings, columns: GroupColumns) -> list[Group]:
    """The groups in the order of `text`."""
    places = {partition.name: place for place, partition in enumerate(settings.partitions)}
    keys = _keys(settings, columns)
    ordered = list(groups)
    for place in range(len(text) - 1, -1, -1):
        letter, sign = text[place], text[place - 1 : place]
        if letter == "P" and sign == "#":
            ordered.sort(key=lambda group: places[group.partition.name])
        elif letter in keys:
            ordered.sort(key=keys[letter], reverse=sign == "-")
    return ordered


def _keys(settings: Settings, columns: GroupColumns) -> Mapping[str, Key]:
    """What is the same of every group here (groups, root, weight, cores ...) does not change the order."""

    def least(group: Group, attribute: str) -> int:
        return min((getattr(shown, attribute) for shown in group.nodes), default=0)

    def first_host(group: Group) -> tuple[str, int]:
        return min((host_order(shown.name) for shown in group.nodes), default=("", 0))

    def most_nodes(group: Group) -> int:
        most = group.partition.max_nodes
        return _INFINITE if most is None else most + max(group.partition.min_nodes, 1)

    def mode(group: Group) -> int:
        word = settings.preempt_mode_of(group.partition).partition(",")[0]
        return _MODES.index(word) if word in _MODES else len(_MODES)

    def busy(group: Group) -> int:
        return sum(shown.busy for shown in group.nodes)

    def reason(group: Group) -> str:
        return columns.reason(group) if group.nodes and group.nodes[0].record.why is not None else ""

    def state(group: Group) -> int:
        return group.nodes[0].order if group.nodes else 0

    def cpus(group: Group) -> int:
        return least(group, "total_cpus")

    return {
        "a": lambda group: group.partition.state == "UP",
        "A": busy,
        "c": cpus,
        "d": lambda group: least(group, "tmp_disk"),
        "D": lambda group: len(group.nodes),
        "E": reason,
        "f": lambda group: columns.features(group) if group.nodes else "",
        "F": busy,
        "l": lambda group: _INFINITE if group.partition.max_time is None else group.partition.max_time,
        "m": lambda group: least(group, "total_memory"),
        "M": mode,
        "n": first_host,
        "N": first_host,
        "o": first_host,
        "p": lambda group: group.partition.priority_tier,
        "P": lambda group: group.partition.name,
        "R": lambda group: group.partition.name,
        "s": most_nodes,
        "t": state,
        "T": state,
        "X": cpus,
        "z": cpus,
    }
