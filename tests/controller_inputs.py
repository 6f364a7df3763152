"""What the controller's machine is played: a small cluster, and jobs of many sizes, arrays and dependencies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fakeslurm.model import Node, Partition

NODES = (
    Node("n1", cpus=4, gres="gpu:2", features=("a", "b")),
    Node("n2", cpus=4, gres="gpu:a100:1,gpu:v100:1,fpga:2", features=("a",)),
    Node("n3", cpus=2, real_memory=1000, features=("b",)),
    Node("n4", cpus=8, gres="gpu:4"),
)
LICENSES = {"foo": 3, "bar": 1}
PARTITIONS = (
    Partition("debug", default=True),
    Partition("short", nodes=("n1", "n2"), max_time=5, default_time=2, max_nodes=1),
    Partition("down", nodes=("n4",), state="DOWN"),
)

counts = st.integers(1, 5)
numbers = st.integers(0, 30)
"""Which one of those that there are."""
statuses = st.sampled_from([0, 0, 0, 1 << 8, 3 << 8, 9, 15])
array_specs = st.sampled_from(["0-3", "1-3%1", "1-9:4", "2,5-6,9%2", "0-11%5", "7", "1,2%1", "0-20"])
limits = st.sampled_from([None, 1, 2, 5])


_PLAIN: tuple[dict[str, Any], ...] = (
    {},
    {"mem_per_node": 100},
    {"ntasks": 2, "mem_per_node": 100},
    {"ntasks": 3, "mem_per_node": 100},
    {"ntasks": 5, "mem_per_node": 0},
    {"min_nodes": 2, "max_nodes": 2, "mem_per_node": 100},
    {"gres": "gpu:1", "mem_per_node": 100},
    {"gres": "gpu:2", "mem_per_node": 100},
    {"licenses": "foo:2", "mem_per_node": 100},
    {"exclusive": True},
)
crowds = st.lists(st.sampled_from(_PLAIN), min_size=2, max_size=8)
"""Jobs that can run, more than there is room for: without them most examples have nothing that runs beside something else."""


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    """How large a job is; often small, so that many run."""
    size: dict[str, Any] = {}
    if draw(st.booleans()):
        low = draw(counts)
        size |= {"min_nodes": low, "max_nodes": draw(st.sampled_from([low, low + 1, low + 2]))}
    for name, values in (
        ("ntasks", st.integers(1, 20)),
        ("cpus_per_task", st.integers(1, 5)),
        ("ntasks_per_node", st.integers(1, 4)),
        ("mincpus", st.integers(1, 4)),
        ("mem_per_node", st.sampled_from([0, 100, 1500])),
        ("nodelist", st.sampled_from(["n1", "n2,n4", "n[1-3]"])),
        ("exclude", st.sampled_from(["n1", "n[2-3]"])),
        ("gres", st.sampled_from(["gpu:1", "gpu:2", "gpu:a100:1", "fpga:1,gpu:1", "gpu:5"])),
        ("constraint", st.sampled_from(["a", "a|b", "a&b", "nope"])),
        ("licenses", st.sampled_from(["foo", "foo:2", "foo:2,bar", "bar:2"])),
    ):
        if draw(st.integers(0, 4)) == 0:
            size[name] = draw(values)
    for name, rarity in (
        ("exclusive", 3),
        ("overcommit", 8),
        ("contiguous", 8),
        ("spread_job", 8),
        ("use_min_nodes", 8),
    ):
        if draw(st.integers(1, rarity)) == 1:
            size[name] = True
    return size


@st.composite
def dependencies(draw: st.DrawFn) -> str:
    """``--dependency``, of jobs, arrays and elements; often none."""
    if draw(st.booleans()):
        return ""
    kinds = ["after", "afterok", "afternotok", "afterany", "aftercorr"]
    terms = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        kind = draw(st.sampled_from([*kinds, "singleton"]))
        element = draw(st.sampled_from(["", "", "", "_1", "_2", "_[1-2]", "_*"]))
        minutes = draw(st.sampled_from(["", "", "+1"])) if kind == "after" and not element else ""
        terms.append(kind if kind == "singleton" else f"{kind}:{draw(st.integers(1, 9))}{element}{minutes}")
    return draw(st.sampled_from(",,?")).join(terms)
