"""Generic resources that AccountingStorageTRES names: where they are counted among the trackable resources."""

from __future__ import annotations

import json

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

pytestmark = pytest.mark.slurm_conf(
    "GresTypes=gpu,fpga",
    "AccountingStorageTRES=gres/gpu,gres/gpu:a100",
    "NodeName=n1 Gres=gpu:2,fpga:3",
    "NodeName=n2 Gres=gpu:2",
    "NodeName=n3 Gres=gpu:a100:1,gpu:v100:1",
)


@pytest.mark.parametrize(
    ("options", "job", "batch", "step"),
    [
        (["--gres=gpu:1"], "1,node=1,billing=1,gres/gpu=1", "cpu=1,gres/gpu=1", "cpu=1,gres/gpu=1"),
        (["--gres=gpu:2", "-N2"], "2,node=2,billing=2,gres/gpu=4", "cpu=1,gres/gpu=2", "cpu=2,gres/gpu=4"),
        (
            ["--gres=gpu:a100:1"],
            "1,node=1,billing=1,gres/gpu=1,gres/gpu:a100=1",
            "cpu=1,gres/gpu:a100=1,gres/gpu=1",
            "cpu=1,gres/gpu:a100=1,gres/gpu=1",
        ),
        (["--gpus=2", "-N1"], "1,node=1,billing=1,gres/gpu=2", "cpu=1,gres/gpu=2", "cpu=1,gres/gpu=2"),
        (["--exclusive", "-n1"], "4,node=1,billing=4,gres/gpu=2", "cpu=4,gres/gpu=2", "cpu=4"),
        (["--gres=fpga:1"], "1,node=1,billing=1", "cpu=1", "cpu=1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_jobs_and_steps(slurm: SlurmUnderTest, options: list[str], job: str, batch: str, step: str) -> None:
    body = 'squeue -h -O tres-alloc:90; srun sh -c "[ \\$SLURM_PROCID = 0 ] && scontrol show step $SLURM_JOB_ID.0; sleep 0.3"'
    job_id = slurm.sbatch(body, "-o", "o.txt", *options)
    slurm.wait(job_id)
    lines = slurm.output("o.txt").splitlines()
    assert lines[0].strip() == f"cpu={job}"
    nodes = 2 if "-N2" in options else 1
    assert [line.strip() for line in lines if " TRES=" in line] == [f"TRES={step},mem=0,node={nodes}"]
    rows = slurm.accounted(job_id, "JobID,AllocTRES")
    assert rows == [
        {"JobID": job_id, "AllocTRES": ",".join(sorted(f"cpu={job}".split(",")))},
        {"JobID": f"{job_id}.batch", "AllocTRES": f"{batch},mem=0,node=1"},
        {"JobID": f"{job_id}.0", "AllocTRES": f"{step},mem=0,node={nodes}"},
    ]


@pytest.mark.parametrize(
    ("options", "tres"),
    [
        (["--gres=gpu:1", "-N2"], "cpu=2,mem=4000M,node=2,billing=2,gres/gpu=2"),
        (["--gpus=2", "-N1"], "cpu=1,mem=2000M,node=1,billing=1,gres/gpu=2"),
        (["--gres=gpu:a100:1"], "cpu=1,mem=2000M,node=1,billing=1,gres/gpu=1,gres/gpu:a100=1"),
        (["--gpus-per-node=2", "-n6"], "cpu=6,mem=2000M,node=1,billing=6,gres/gpu=2"),
        (["--exclusive"], "cpu=1,mem=2000M,node=1,billing=1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_jobs_that_wait(slurm: SlurmUnderTest, options: list[str], tres: str) -> None:
    job_id = slurm.sbatch("true", "-H", *options)
    assert slurm.run("squeue", "-h", "-j", job_id, "-O", "tres-alloc:90").stdout.strip() == tres
    fields = slurm.wait(job_id, ["PENDING"])
    assert fields["ReqTRES" if slurm.at_least("24.11") else "TRES"] == tres
    slurm.run("scancel", job_id)


def test_json_of_sacct(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun true", "--gres=gpu:a100:1")
    slurm.wait(job_id)
    slurm.accounted(job_id, "JobID")
    (job,) = json.loads(slurm.run("sacct", "--json", "-j", job_id).stdout)["jobs"]
    counted = [("gres", "gpu", 1001, 1), ("gres", "gpu:a100", 1002, 1)]
    # 22.05 has not always told slurmdbd what was requested before a short job is over.
    lists = [job["tres"]["allocated"], *(step["tres"]["allocated"] for step in job["steps"])]
    for tres in lists:
        found = [(one["type"], one["name"], one["id"], one["count"]) for one in tres if one["type"] == "gres"]
        assert found == counted


def test_nodes_and_partitions(slurm: SlurmUnderTest) -> None:
    shown = slurm.run("scontrol", "show", "node", "n3").stdout
    assert "\n   CfgTRES=cpu=4,mem=2000M,billing=4,gres/gpu=2,gres/gpu:a100=1\n   AllocTRES=\n" in shown
    shown = slurm.run("scontrol", "show", "partition").stdout
    assert "\n   TRES=cpu=16,mem=8000M,node=4,billing=16,gres/gpu=6,gres/gpu:a100=1\n" in shown


@pytest.mark.slurm_conf(
    "GresTypes=gpu", "AccountingStorageTRES=gres/gpu", "NodeName=n1 Gres=gpu:2", "SelectTypeParameters=CR_Core_Memory"
)
@pytest.mark.parametrize("is_over", [True, False])
def test_what_waits_to_run_again(slurm: SlurmUnderTest, is_over: bool) -> None:
    """Gres and memory are counted of the attempt that is over, and of what was over itself until it runs again."""
    job_id = slurm.sbatch("true" if is_over else "sleep 100", "--gres=gpu:1", "--mem=100", "-o", "/dev/null")
    state = "COMPLETED" if is_over else "RUNNING"
    slurm.wait(job_id, [state])

    def rows() -> list[str]:
        return slurm.run("sacct", "-n", "-P", "-X", "-D", "-j", job_id, "-o", "State,AllocTRES").stdout.splitlines()

    tres = "billing=1,cpu=1,gres/gpu=1,mem=100M,node=1"
    until(lambda: rows() == [f"{state}|{tres}"], what="the job in accounting", interval=0.1)
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    until(lambda: len(rows()) == 2, what="the next attempt in accounting", interval=0.1)
    assert rows() == [f"REQUEUED|{tres}", f"PENDING|{tres if is_over else ''}"]
    slurm.run("scancel", job_id)
