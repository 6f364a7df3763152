"""Runs of nodes: the same selection as with one node after the other, and the same views after every change."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.runs import Run, put, runs_of
from fakeslurm.slurmctld.selection import select

PLAIN = Demand(
    min_nodes=1,
    max_nodes=None,
    wanted_nodes=1,
    num_tasks=1,
    min_cpus=1,
    min_cpus_per_node=1,
    whole_cpus_per_node=1,
    free_cpus_per_node=1,
    most_cpus_per_node=None,
    cpus_per_task=1,
    ntasks_per_node=None,
    ntasks_per_core=0,
    fills_nodes=False,
    tasks_need_nodes=1,
    whole_tasks=False,
    whole_nodes=False,
    overcommit=False,
    contiguous=False,
    takes_last_cpus=False,
    mem_per_node=None,
    mem_per_cpu=None,
    tmp_disk=0,
    gres=(),
    licenses=(),
    required=0,
    excluded=0,
    tasks_given=False,
)
"""``sbatch -n1``."""

NODES = st.lists(st.none() | st.integers(1, 4), min_size=1, max_size=12)
"""CPUs of the nodes of a cluster; None: a node that cannot be used."""


def singles(nodes: list[int | None]) -> list[Run]:
    return [Run(index, cpus) for index, cpus in enumerate(nodes) if cpus is not None]


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    least = draw(st.integers(1, 3))
    each = draw(st.integers(1, 3))
    tasks = draw(st.integers(1, 8))
    return evolve(
        PLAIN,
        min_nodes=least,
        max_nodes=draw(st.none() | st.integers(least, 6)),
        wanted_nodes=least + draw(st.integers(0, 3)),
        num_tasks=tasks,
        cpus_per_task=each,
        min_cpus=tasks * each,
        min_cpus_per_node=draw(st.integers(1, each)),
        whole_cpus_per_node=draw(st.integers(1, each)),
        whole_tasks=draw(st.booleans()),
        whole_nodes=draw(st.booleans()),
        contiguous=draw(st.booleans()),
        required=draw(st.just(0) | st.integers(0, 11).map(lambda place: 1 << place) | st.integers(0, 4095)),
    )


@given(demands(), NODES)
def test_selected_as_from_single_nodes(demand: Demand, nodes: list[int | None]) -> None:
    apart = singles(nodes)
    assert select(demand, runs_of(apart)) == select(demand, apart)


@given(NODES, st.lists(st.tuples(st.integers(0, 11), st.none() | st.integers(1, 4)), max_size=20))
def test_a_node_changes(nodes: list[int | None], changes: list[tuple[int, int | None]]) -> None:
    nodes = nodes + [None] * (12 - len(nodes))
    runs = runs_of(singles(nodes))
    for index, cpus in changes:
        nodes[index] = cpus
        put(runs, index, cpus)
        assert runs == runs_of(singles(nodes))


def test_nodes_alike_are_one_run() -> None:
    assert runs_of(singles([4, 4, None, 4, 2, 2])) == [Run(0, 4, 2), Run(3, 4), Run(4, 2, 2)]
