"""The arguments of `FakeSlurm`, checked, each under its own name."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from attrs import fields

from fakeslurm.memorywatch import can_watch
from fakeslurm.model import PROFILES, Node, Partition, Settings
from fakeslurm.slurmconf import configured

__all__ = ["checked_settings", "short_host_name"]

_MADE_HERE = ("nodes", "partitions", "version")


def checked_settings(
    nodes: int | Sequence[Node] | None,
    cpus_per_node: int | None,
    memory_per_node: int | None,
    partitions: Sequence[Partition] | None,
    version: str,
    conf: Sequence[str],
    others: Mapping[str, Any],
) -> Settings:
    """The arguments of FakeSlurm as `Settings`, each checked under its own name."""
    known = [field.name for field in fields(Settings) if field.name not in _MADE_HERE]
    for name in others:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"valid are {', '.join(known)}"
            raise TypeError(f"FakeSlurm: unknown setting {name!r}; {hint}")
    if version not in PROFILES:
        raise ValueError(f"FakeSlurm: version={version!r}; valid are {', '.join(map(repr, PROFILES))}")
    made: dict[str, Any] = {"control_host": short_host_name(), **others, "version": version}
    sized = cpus_per_node is not None or memory_per_node is not None
    given = (
        _nodes(4 if nodes is None else nodes, cpus_per_node, memory_per_node) if nodes is not None or sized else None
    )
    if partitions is not None and (not partitions or not all(isinstance(one, Partition) for one in partitions)):
        raise TypeError(f"FakeSlurm: partitions={partitions!r}; expected one or more Partition")
    settings = configured(conf, given, partitions, **made)
    if settings.memory_is_constrained and not can_watch():
        raise ValueError(
            "FakeSlurm: ConstrainRAMSpace=yes needs Linux: no /proc/self/smaps_rollup says here what a process uses"
        )
    return settings


def _nodes(nodes: int | Sequence[Node], cpus_per_node: int | None, memory_per_node: int | None) -> tuple[Node, ...]:
    sizes = {"cpus_per_node": cpus_per_node, "memory_per_node": memory_per_node}
    for name, value in sizes.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"FakeSlurm: {name}={value!r}; expected a whole number of 1 or more")
    if isinstance(nodes, int) and not isinstance(nodes, bool):
        if nodes < 1:
            raise ValueError(f"FakeSlurm: nodes={nodes!r}; a cluster needs 1 or more")
        return tuple(Node(f"n{i}", cpus_per_node or 4, memory_per_node or 2000) for i in range(1, nodes + 1))
    if isinstance(nodes, str | bool) or not isinstance(nodes, Sequence) or not all(isinstance(n, Node) for n in nodes):
        raise TypeError(f"FakeSlurm: nodes={nodes!r}; expected a number, or a sequence of Node")
    for name, value in sizes.items():
        if value is not None:
            raise ValueError(f"FakeSlurm: {name}={value!r} and nodes that say themselves how large they are")
    return tuple(nodes)


def short_host_name() -> str:
    return socket.gethostname().partition(".")[0]
