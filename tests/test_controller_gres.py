"""Generic resources, features and licenses in the controller, against what was measured: docs/data/gres-*.json, docs/measured/resources.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm import environment
from fakeslurm.commands import grestexts
from fakeslurm.messages import SlurmError
from fakeslurm.model import Node, StepRequest
from fakeslurm.slurmctld import Controller
from slurmkit.slurm import hostlist

DATA = Path(__file__).parent.parent / "docs/data"
NODES = (
    Node("n1", gres="gpu:2,fpga:3"),
    Node("n2", gres="gpu:2"),
    Node("n3", gres="gpu:a100:1,gpu:v100:1"),
    Node("n4"),
)
OPTIONS = {"--gres": "gres", "--gpus": "gpus", "-G": "gpus", "--gpus-per-node": "gpus_per_node"}
REFUSED = [
    "--gpus-per-task",
    "--gpus-per-socket",
    "--cpus-per-gpu",
    "--mem-per-gpu",
    "--ntasks-per-gpu",
    "--gpu-bind",
    "--gres-flags",
]


def gpu_cluster(version: str = "22.05", **more: Any) -> Controller:
    return cluster(nodes=NODES, gres_types=("gpu", "fpga"), version=version, **more)


def split(text: str) -> tuple[str, dict[str, str]]:
    """The arguments about gres as fields of a description, and the others."""
    fields: dict[str, str] = {}

    def take(match: re.Match[str]) -> str:
        fields[OPTIONS[match[1]]] = match[2]
        return ""

    return re.sub(r"(--gres|--gpus|--gpus-per-node|-G)[= ](\S*)", take, text), fields


def rows() -> list[Any]:
    found = []
    for version in ("22.05", "24.11"):
        for row in json.loads((DATA / f"gres-{version}.json").read_text()):
            if row["args"] != "--gres=" and not any(name in row["args"] for name in REFUSED):
                found.append(pytest.param(version, row, id=f"{version} {row['args']}"))
    return found


@pytest.mark.parametrize(("version", "row"), rows())
def test_measured(version: str, row: Any) -> None:
    """One job on an idle cluster: its nodes, what it has of each, its environment and its ranks'; or the refusal."""
    controller = gpu_cluster(version)
    rest, fields = split(row["args"])
    try:
        job = submit(controller, rest, **fields)
    except SlurmError as refused:
        if refused.message.startswith("fakeslurm "):
            return  # what is not exact is refused
        said = f"sbatch: error: {refused.message}\n"
        assert row.get("error", "").replace("Batch job submission failed: ", "") == said
        return
    assert "error" not in row, row["error"]
    lines = dict(line.partition("=")[::2] for line in row["job"])
    assert hostlist.compress(job.nodes) == lines["NodeList"]
    held = grestexts.held_total(job, controller.settings) or "(null)"
    assert held == lines["JOB_GRES"]
    details = [line.partition("GRES=")[2] for line in row["job"] if line.startswith("Nodes=")]
    found = [grestexts.held_detail(job, index, controller.settings) for index in range(len(job.nodes))]
    assert list(dict.fromkeys(found)) == list(dict.fromkeys(details))
    assert (grestexts.tres_per_node(job.description, controller.settings) or None) == lines.get("TresPerNode")
    assert (grestexts.tres_per_job(job.description, controller.settings) or None) == lines.get("TresPerJob")
    ours = re.compile("CUDA|GPU|ROCR|ZE_")
    batch = environment.batch_environment(job, controller.settings)
    assert {k: v for k, v in batch.items() if ours.search(k)} == {
        k: v for k, v in row["batch"].items() if ours.search(k)
    }
    ntasks = job.num_tasks if job.description.asks_for_tasks else None
    step = controller.create_step(job.job_id, StepRequest(name="x", ntasks=ntasks), NOW)
    assert step is not None
    inherited = {**batch, "SLURM_JOB_ID": str(job.job_id)}
    common = environment.step_environment(job, step, controller.settings, inherited)
    for rank, expected in row["ranks"].items():
        own = common | environment.task_environment(job, step, controller.settings, int(rank))
        assert {k: v for k, v in own.items() if ours.search(k)} == expected, rank


def test_nothing_is_given_out_twice_and_all_comes_back() -> None:
    controller = gpu_cluster()
    jobs = [submit(controller, gres="gpu:1") for _ in range(7)]
    assert [job.nodes for job in jobs] == [("n1",), ("n1",), ("n2",), ("n2",), ("n3",), ("n3",), ()]
    assert [job.gres for job in jobs[:2]] == [(1,), (2,)]
    assert (jobs[6].state, jobs[6].reason) == ("PENDING", "Resources")
    finish(controller, jobs[3], NOW + 1)
    assert (jobs[6].state, jobs[6].nodes) == ("RUNNING", ("n2",))
    for job in [*jobs[:3], *jobs[4:]]:
        finish(controller, job, NOW + 2)
    assert not any(record.gres_in_use for record in controller.nodes.values())


SEQUENCES = json.loads((DATA / "gres-sequences-22.05.json").read_text()) + json.loads(
    (DATA / "gres-sequences-24.11.json").read_text()
)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda rows: "; ".join(row["args"] for row in rows))
def test_sequences(sequence: Any) -> None:
    """Jobs that stay, one after another, as run on both Slurms."""
    controller = gpu_cluster()
    for row in sequence:
        rest, fields = split(row["args"])
        if "gpus" in fields:
            rest += " -N1"
        job = submit(controller, f"{rest} -t 60", **fields)
        if "pending" in row:
            assert f"{job.state}|{job.reason}" == row["pending"]
        else:
            assert hostlist.compress(job.nodes) == row["nodes"], row
            expected = [detail for nodes, _, detail in row["gres"] for _ in hostlist.expand(nodes)]
            assert [
                grestexts.held_detail(job, index, controller.settings) for index in range(len(job.nodes))
            ] == expected


def test_steps_share_the_gpus_of_their_job() -> None:
    controller = gpu_cluster()
    job = submit(controller, "-n2", gres="gpu:2")
    first, second = (
        controller.create_step(job.job_id, StepRequest(name="x", ntasks=1, exact=True, gres="gpu:1"), NOW)
        for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert (first.gres, second.gres) == ((1,), (2,))
    controller.step_ended(job.job_id, 1, [0], NOW)
    assert controller.create_step(job.job_id, StepRequest(name="x", ntasks=1, exact=True), NOW) is None
    bare = controller.create_step(job.job_id, StepRequest(name="x", ntasks=1, exact=True, gres="none"), NOW)
    assert bare is not None
    assert bare.gres == (0,)


@pytest.mark.parametrize(
    ("job", "step", "problem"),
    [
        ("gpu:2", "gpu:3", "Step requested gres_per_node=gpu:3 is more than the job's gres_per_node=gpu:2"),
        ("gpu:2", "fpga:1", "Step requested GRES (fpga:(null)) not found in the job"),
        ("gpu:2", "gpu:a100:1", "Step requested GRES (gpu:a100) not found in the job"),
        ("", "gpu:1", "Step requested GRES but job doesn't have GRES"),
    ],
)
@pytest.mark.parametrize("version", ["22.05", "24.11"])
def test_what_a_step_cannot_have(version: str, job: str, step: str, problem: str) -> None:
    controller = gpu_cluster(version)
    job_id = submit(controller, gres=job).job_id
    with pytest.raises(SlurmError) as refused:
        controller.create_step(job_id, StepRequest(name="x", gres=step), NOW)
    assert refused.value.message == "Invalid generic resource (gres) specification"
    assert list(refused.value.details) == ([problem] if version == "22.05" else [])


FEATURES = (Node("n1", features=("a", "big")), Node("n2", features=("b",)), Node("n3", features=("a", "b")), Node("n4"))


@pytest.mark.parametrize(
    ("constraint", "rest", "outcome"),
    [
        ("a", "", "n1"),
        ("b", "", "n2"),
        ("a", "-N2", "n[1,3]"),
        ("a&b", "", "n3"),
        ("a|b", "-N3", "n[1-3]"),
        ("a&", "", "n1"),
        ("a|b", "-N4", "Requested node configuration is not available"),
        ("a", "-w n2", "Requested node configuration is not available"),
        ("big", "-N2", "Requested node configuration is not available"),
        ("nope", "", "Invalid feature specification"),
        ("a&nope", "", "Invalid feature specification"),
        ("a|nope", "", "Invalid feature specification"),
        ("!a", "", "Invalid feature specification"),
        ("&a", "", "Invalid feature specification"),
        ("A", "", "Invalid feature specification"),
        (" a", "", "Invalid feature specification"),
        ("[a*1&b*1]", "", "fakeslurm does not support --constraint=[a*1&b*1]"),
        ("a&b|big", "", "fakeslurm does not support --constraint=a&b|big"),
    ],
)
def test_constraint(constraint: str, rest: str, outcome: str) -> None:
    controller = cluster(nodes=FEATURES)
    try:
        found = hostlist.compress(submit(controller, rest, constraint=constraint).nodes)
    except SlurmError as refused:
        found = refused.message
    assert found == outcome


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("foo:2", {"foo": 2, "bar": 0}),
        ("foo", {"foo": 1, "bar": 0}),
        ("foo:0", {"foo": 0, "bar": 0}),
        ("foo:2,bar:1", {"foo": 2, "bar": 1}),
        ("foo:1;bar:1", {"foo": 1, "bar": 1}),
        ("foo:2,foo:1", {"foo": 3, "bar": 0}),
        *((bad, None) for bad in ("foo:4", "nope:1", "foo=2", "foo*2", "foo:x", "foo:-1", "foo@here:1", "foo|bar")),
    ],
)
def test_licenses(text: str, used: dict[str, int] | None) -> None:
    controller = cluster(licenses={"foo": 3, "bar": 1})
    if used is None:
        with pytest.raises(SlurmError, match="Invalid license specification"):
            submit(controller, licenses=text)
    else:
        submit(controller, licenses=text)
        assert controller.licenses_used == used


def test_jobs_that_wait_for_licenses_hold_up_nobody() -> None:
    controller = cluster(licenses={"foo": 3})
    jobs = [submit(controller, licenses=text) for text in ("foo:2", "foo:2", "foo:2", "foo:1", "")]
    assert [f"{job.state} {job.reason}" for job in jobs] == [
        "RUNNING None",
        "PENDING Licenses",
        "PENDING Licenses",
        "RUNNING None",
        "RUNNING None",
    ]
    finish(controller, jobs[0], NOW + 1)
    assert [job.state for job in jobs[1:3]] == ["RUNNING", "PENDING"]
