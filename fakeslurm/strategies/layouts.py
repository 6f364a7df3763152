"""How many tasks run on each of several nodes, and which."""

from __future__ import annotations

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fakeslurm.slurmctld.layout import lay_out

__all__ = ["Layout", "distributions", "layouts", "task_counts"]


@frozen
class Layout:
    """The tasks of a step, laid out as Slurm would: `tasks` are the ranks on each node, ascending, none without one."""

    cpus_per_node: tuple[int, ...]
    distribution: str
    """As ``--distribution`` takes it."""
    tasks: tuple[tuple[int, ...], ...]

    @property
    def tasks_per_node(self) -> tuple[int, ...]:
        return tuple(map(len, self.tasks))

    @property
    def ntasks(self) -> int:
        return sum(self.tasks_per_node)


def task_counts(*, max_nodes: int = 12, max_tasks: int = 9) -> SearchStrategy[list[int]]:
    """How many tasks each node has, at least one: ``[2, 2, 1]``. `max_tasks` is per node."""
    return st.lists(st.integers(1, max_tasks), min_size=1, max_size=max_nodes)


def distributions() -> SearchStrategy[str]:
    """``block``, ``cyclic`` or ``plane=2``, and so on."""
    return st.sampled_from(["block", "cyclic", "plane=1", "plane=2", "plane=3", "block:cyclic", "cyclic:block"])


@st.composite
def layouts(draw: st.DrawFn, *, max_nodes: int = 5, max_cpus: int = 8) -> Layout:
    """One task or more on each of up to `max_nodes` nodes of up to `max_cpus` CPUs, in any distribution. Shrinks to one task on one node."""
    cpus = draw(st.lists(st.integers(1, max_cpus), min_size=1, max_size=max_nodes))
    ntasks = draw(st.integers(len(cpus), sum(cpus)))
    distribution = draw(distributions())
    tasks = lay_out(cpus, ntasks, distribution)
    filled = [place for place, ranks in enumerate(tasks) if ranks]
    return Layout(tuple(cpus[place] for place in filled), distribution, tuple(tasks[place] for place in filled))
