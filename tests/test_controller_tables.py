"""The controller against what was measured on Slurm 22.05.8: docs/data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from controllers import NOW, cluster, cpus, step_request, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import Node
from slurmkit.slurm import hostlist, layout

DATA = Path(__file__).parent.parent / "docs/data"
NODES = [Node(f"n{number}", cpus=4, real_memory=2000) for number in range(1, 5)]


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def allocations() -> list[Any]:
    plain = [("CR_Core", row) for row in load("allocations-22.05.json")]
    memory = [("CR_Core_Memory", row) for row in load("allocations-22.05-memory.json")]
    return [pytest.param(*one, id=f"{one[0]} {one[1]['args']}") for one in plain + memory]


@pytest.mark.parametrize(("kind", "row"), allocations())
def test_allocations(kind: str, row: Any) -> None:
    """Nodes, CPUs, and the layout of the tasks, of one job on an idle cluster."""
    controller = cluster(nodes=NODES, memory_is_consumed=kind == "CR_Core_Memory")
    if "error" in row:
        with pytest.raises(SlurmError) as refused:
            submit(controller, row["args"])
        said = [*refused.value.details, f"Batch job submission failed: {refused.value.message}"]
        assert row["error"].splitlines() == [f"sbatch: error: {line}" for line in said]
        return
    if "arbitrary" in row["args"]:
        with pytest.raises(SlurmError) as refused:
            submit(controller, row["args"])
        assert refused.value.message == "fakeslurm does not support --distribution=arbitrary"
        return
    job = submit(controller, row["args"])
    assert (hostlist.compress(job.nodes), job.num_cpus) == (row["nodes"], row["cpus"])
    assert layout.format(job.cpus_per_node) == row["batch"]["SLURM_JOB_CPUS_PER_NODE"]
    assert layout.format(job.tasks_per_node) == row["batch"]["SLURM_TASKS_PER_NODE"]
    assert (job.description.asks_for_tasks and str(job.num_tasks)) == row["batch"].get("SLURM_NTASKS", False)
    if kind == "CR_Core_Memory":
        tres = dict(item.split("=") for item in row["tres"].split(","))
        held = sum(record.allocated_memory for record in controller.nodes.values())
        assert f"{held}M" == tres["mem"] or f"{held // 1024}G" == tres["mem"]


PLACEMENTS = load("placements-22.05.json") + json.loads(
    (Path(__file__).parent / "data/placements-random-22.05.json").read_text()
)


@pytest.mark.parametrize("sequence", PLACEMENTS, ids=lambda rows: "; ".join(row["args"] for row in rows))
def test_placements(sequence: Any) -> None:
    """Jobs that stay, one after another: some by hand, some at random, all run on 22.05.8."""
    controller = cluster(nodes=NODES)
    for row in sequence:
        if "refused" in row:
            with pytest.raises(SlurmError):
                submit(controller, row["args"])
            continue
        job = submit(controller, row["args"])
        if "pending" in row:
            assert job.state == "PENDING", row
        else:
            assert cpus(job) == row["cpus"], row


def steps() -> list[Any]:
    return [pytest.param(row, id=f"{row['job']} / {row['srun']}") for row in load("steps-22.05.json")]


@pytest.mark.parametrize("row", steps())
def test_steps(row: Any) -> None:
    """Which ranks run where, with how many CPUs; or what srun says instead."""
    controller = cluster(nodes=NODES)
    job = submit(controller, row["job"])
    assert hostlist.compress(job.nodes) == row["nodes"]
    request = step_request(row["srun"], job)
    if row["rc"] and "Exited with exit code" not in row["output"]:
        with pytest.raises(SlurmError) as refused:
            controller.create_step(job.job_id, request, NOW)
        if "Unable to create step" in row["output"]:  # else srun itself refuses, before it asks
            assert row["output"].strip().endswith(refused.value.message)
        return
    step = controller.create_step(job.job_id, request, NOW)
    assert step is not None
    if row["rc"]:
        return  # it ran: the command itself failed
    made = {}
    for place, ranks in enumerate(step.tasks):
        for local, rank in enumerate(ranks):
            gtids = ",".join(map(str, ranks))
            made[rank] = [step.nodes[place], place, local, gtids, step.cpus_per_node[place]]
    assert [made[rank] for rank in sorted(made)] == row["ranks"]
    assert row["changed"].get("SLURM_DISTRIBUTION", job.description.distribution) == step.distribution
