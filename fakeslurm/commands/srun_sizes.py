"""What of srun's options about nodes and tasks can be kept together."""

from __future__ import annotations

from attrs import frozen

from fakeslurm.commands.srun_options import StepWishes

__all__ = ["Sizes", "sizes_of"]


@frozen
class Sizes:
    min_nodes: int | None
    max_nodes: int | None
    ntasks_per_node: int | None
    warnings: tuple[str, ...] = ()
    """What srun says about those that it does not keep."""


def sizes_of(wishes: StepWishes) -> Sizes:
    """Measured on both releases: docs/measured/steps.md."""
    minimum, maximum, per_node = wishes.min_nodes or None, wishes.max_nodes or None, wishes.ntasks_per_node
    ntasks = wishes.ntasks
    most_tasks = wishes.ntasks_of_job if ntasks is None else ntasks
    warnings: list[str] = []
    if minimum is not None and most_tasks is not None and most_tasks < minimum:
        warnings.append(f"can't run {most_tasks} processes on {minimum} nodes, setting nnodes to {most_tasks}")
        minimum = maximum = most_tasks
    if minimum is not None and ntasks is not None and per_node is not None:
        most = maximum if wishes.is_new and maximum else minimum
        nodes = f"{'maximum ' if wishes.is_new else ''}number of requested nodes {most}"
        fits = ntasks <= per_node * most if wishes.is_new else per_node == ntasks // minimum
        if not fits and (wishes.is_new or per_node < ntasks):
            warnings.append(
                f"can't honor --ntasks-per-node set to {per_node} which doesn't match the requested tasks {ntasks} "
                f"with the {nodes}. Ignoring --ntasks-per-node."
            )
        per_node = per_node if fits else None
    return Sizes(minimum, maximum, per_node, tuple(warnings))
