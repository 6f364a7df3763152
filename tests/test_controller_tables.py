"""The controller against what was measured on Slurm 22.05.8 and 24.11.5: docs/data, and tables of the contract."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from controllers import NOW, cluster, cpus, step_request, submit

from fakeslurm.contract.test_node_counts import OFFERED, WAITING
from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, Node
from fakeslurm.slurmctld import Controller
from slurmkit.slurm import hostlist, layout

DATA = Path(__file__).parent.parent / "docs/data"
NODES = [Node(f"n{number}", cpus=4, real_memory=2000) for number in range(1, 5)]


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def allocations() -> list[Any]:
    plain = [("22.05", "CR_Core", row) for row in load("allocations-22.05.json")]
    memory = [("22.05", "CR_Core_Memory", row) for row in load("allocations-22.05-memory.json")]
    later = [("24.11", "CR_Core", row) for row in load("allocations-24.11.json")]
    return [pytest.param(*one, id=f"{one[0]} {one[1]} {one[2]['args']}") for one in plain + memory + later]


@pytest.mark.parametrize(("version", "kind", "row"), allocations())
def test_allocations(version: str, kind: str, row: Any) -> None:
    """Nodes, CPUs, and the layout of the tasks, of one job on an idle cluster."""
    controller = cluster(version=version, nodes=NODES, memory_is_consumed=kind == "CR_Core_Memory")
    if "error" in row and "-m arbitrary -N" not in row["args"]:  # which sbatch refuses
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
    found: dict[tuple[str, str], list[Any]] = {}
    for version in ("22.05", "24.11"):
        for row in load(f"steps-{version}.json"):
            if (version, row["job"]) != ("24.11", "-N2 --ntasks-per-node=2"):  # of which srun makes tasks of its own
                found.setdefault((version, row["job"]), []).append(row)
    return [pytest.param(version, job, rows, id=f"{version} {job}") for (version, job), rows in found.items()]


@pytest.mark.parametrize(("version", "job", "rows"), steps())
def test_steps(version: str, job: str, rows: list[Any]) -> None:
    """Which ranks run where, with how many CPUs, or what srun says instead: one step after another."""
    controller = cluster(version=version, nodes=NODES)
    allocated = submit(controller, job)
    for row in rows:
        assert hostlist.compress(allocated.nodes) == row["nodes"]
        one_step(controller, allocated, row)


def one_step(controller: Controller, job: Job, row: Any) -> None:
    request = step_request(row["srun"], job)
    if controller.settings.version == "24.11" and request.cpus_per_task is None:
        request = evolve(request, cpus_per_task=job.description.cpus_per_task)  # SLURM_CPUS_PER_TASK
    if row["rc"] and "Exited with exit code" not in row["output"]:
        with pytest.raises(SlurmError) as refused:
            controller.create_step(job.job_id, request, NOW)
        if "Unable to create step" in row["output"]:  # else srun itself refuses, before it asks
            assert row["output"].strip().endswith(refused.value.message), row
        return
    step = controller.create_step(job.job_id, request, NOW)
    assert step is not None, row
    assert isinstance(step.step_id, int)
    controller.step_ended(job.job_id, step.step_id, [0] * step.ntasks, NOW)
    if row["rc"]:
        return  # it ran: the command itself failed
    made = {}
    for place, ranks in enumerate(step.tasks):
        for local, rank in enumerate(ranks):
            gtids = ",".join(map(str, ranks))
            made[rank] = [step.nodes[place], place, local, gtids, step.cpus_per_node[place]]
    # How many CPUs -c gives a step on nodes of different sizes is not known of 24.11.
    compared = slice(None) if controller.settings.version == "22.05" else slice(-1)
    assert [made[rank][compared] for rank in sorted(made)] == [rank[compared] for rank in row["ranks"]], row
    assert row["changed"].get("SLURM_DISTRIBUTION", job.description.distribution) == step.distribution, row


SHOWN = [(one[0], one[1:]) for one in WAITING if "socket" not in one[0] and one[0][:2] != "-B"]
"""Of sockets the command makes tasks."""


def counts(job: Job) -> str:
    """Nodes, CPUs and tasks, as scontrol shows them; of a range of nodes the lower end."""
    least = min(job.num_nodes, job.description.max_nodes or job.num_nodes)
    return f"{least} {job.num_cpus} {job.num_tasks if job.shown_tasks is None else job.shown_tasks}"


@pytest.mark.parametrize("version", ["22.05", "24.11"])
@pytest.mark.parametrize(("options", "expected"), SHOWN)
def test_what_waiting_jobs_show(version: str, options: str, expected: tuple[str | None, ...]) -> None:
    controller = cluster(version=version, nodes=NODES)
    held, looked_at = expected[-2:] if version == "24.11" else expected[:2]
    for more, shown in (({"hold": True}, held), ({"begin": NOW + 3600}, looked_at)):
        if shown is not None:
            assert counts(submit(controller, options, **more)) == re.sub(r"^(\d+)-\d+", r"\1", shown)


@pytest.mark.parametrize("version", ["22.05", "24.11"])
@pytest.mark.parametrize(("options", "before", "now"), OFFERED)
def test_nodelist_of_more_nodes_than_nodes(version: str, options: str, before: str | None, now: str) -> None:
    expected = now if version == "24.11" else before
    if expected is not None and (version == "24.11" or "," not in options):  # which the command sorts
        job = submit(cluster(version=version, nodes=NODES), options)
        assert f"{hostlist.compress(job.nodes)} {counts(job)}" == expected


def layouts(*, refused: bool) -> list[Any]:
    """Those that ran, or were refused, but for distributions of which srun makes something else."""
    rows = [
        row for row in load("step-layouts-22.05.json") if "-m arbitrary" not in row["srun"] and "*" not in row["srun"]
    ]
    if refused:
        rows = [row for row in rows if "Unable to create step" in row.get("stderr", "")]
    else:
        rows = [row for row in rows if not row["rc"] and "stderr" not in row]
    return [pytest.param(row, id=f"{row['job']} / {row['srun']} {' '.join(row.get('hosts', []))}") for row in rows]


@pytest.mark.parametrize("row", layouts(refused=False))
def test_random_steps_of_random_jobs(row: Any) -> None:
    controller = cluster()
    job = submit(controller, row["job"])
    request = evolve(step_request(row["srun"], job), hosts=tuple(row.get("hosts", ())))
    step = controller.create_step(job.job_id, request, NOW)
    assert step is not None
    made = {
        name: [",".join(map(str, ranks)), cpus]
        for name, ranks, cpus in zip(step.nodes, step.tasks, step.cpus_per_node, strict=True)
    }
    assert made == row["nodes"]
    assert step.distribution == row["distribution"]
    assert layout.format([len(ranks) for ranks in step.tasks]) == row["tasks_per_node"]


@pytest.mark.parametrize("row", layouts(refused=True))
def test_random_steps_that_are_refused(row: Any) -> None:
    controller = cluster()
    job = submit(controller, row["job"])
    request = evolve(step_request(row["srun"], job), hosts=tuple(row.get("hosts", ())))
    with pytest.raises(SlurmError) as refused:
        controller.create_step(job.job_id, request, NOW)
    said = row["stderr"].strip().rpartition(": ")[2]
    if "-w" not in row["srun"] or "-c" not in row["srun"]:  # of these the fake says that no node will do
        assert refused.value.message == said
