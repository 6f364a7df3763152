"""GPUs and other generic resources: who gets which, what jobs and steps see of it, and what the commands print."""

from __future__ import annotations

import re

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

pytestmark = pytest.mark.slurm_conf(
    "GresTypes=gpu,fpga",
    "NodeName=n1 Gres=gpu:2,fpga:3",
    "NodeName=n2 Gres=gpu:2",
    "NodeName=n3 Gres=gpu:a100:1,gpu:v100:1",
)
SEEN = "env | grep -E '^(CUDA|ROCR|ZE_|GPU_|SLURM_(JOB_|STEP_)?GPUS)' | sort"


def prefix(slurm: SlurmUnderTest) -> str:
    return "gres/" if slurm.at_least("24.11") else "gres:"


def devices(indices: str, *others: str) -> list[str]:
    variables = ["CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"]
    count = len(indices.split(","))
    return sorted([*(f"{name}={indices}" for name in variables), f"SLURM_GPUS_ON_NODE={count}", *others])


@pytest.mark.parametrize(
    ("options", "node", "indices", "also"),
    [
        (["--gres=gpu:1"], "n1", "0", []),
        (["--gres=gpu:2", "-n2"], "n1", "0,1", []),
        (["--gres=gpu"], "n1", "0", []),
        (["--gres=gpu:v100:1"], "n3", "1", []),
        (["--gres=fpga:1,gpu:1"], "n1", "0", []),
        (["--gres=gpu:1", "-w", "n3"], "n3", "0", []),
        (["--gres=gpu:1", "--exclusive"], "n1", "0,1", []),
        (["--gpus-per-node=2"], "n1", "0,1", ["SLURM_GPUS_PER_NODE=2"]),
        (["--gpus-per-node=a100:1"], "n3", "0", ["SLURM_GPUS_PER_NODE=a100:1"]),
        (["--gpus=2", "-N1"], "n1", "0,1", ["SLURM_GPUS=2"]),
        (["--gpus=1"], "n1", "0", ["SLURM_GPUS=1"]),
        (["--gpus=1", "-c3"], "n1", "0", ["SLURM_GPUS=1"]),
        (["-G", "v100"], "n3", "1", ["SLURM_GPUS=v100"]),
        (["-N1", "-G", "v100:1"], "n3", "1", ["SLURM_GPUS=v100:1"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_batch_environment(slurm: SlurmUnderTest, options: list[str], node: str, indices: str, also: list[str]) -> None:
    fields = slurm.wait(slurm.sbatch(SEEN, "-o", "o.txt", *options))
    assert fields["NodeList"] == node
    expected = devices(indices, f"SLURM_JOB_GPUS={indices}", *also)
    assert sorted(slurm.output("o.txt").splitlines()) == expected


@pytest.mark.parametrize("options", [[], ["--gres=none"], ["--gres=gpu:0"], ["--gres=fpga:2"]], ids=" ".join)
def test_batch_environment_without_gpus(slurm: SlurmUnderTest, options: list[str]) -> None:
    slurm.wait(slurm.sbatch(SEEN, "-o", "o.txt", *options))
    assert slurm.output("o.txt") == ""


@pytest.mark.parametrize(
    ("options", "detail", "asked"),
    [
        (["--gres=gpu:1"], "gpu:1 Nodes=n1 gpu:1(IDX:0)", "{}gpu:1"),
        (["--gres=gpu:2", "-N2"], "gpu:4 Nodes=n[1-2] gpu:2(IDX:0-1)", "{}gpu:2"),
        (["--gres=gpu:a100"], "gpu:a100:1 Nodes=n3 gpu:a100:1(IDX:0)", "{}gpu:a100"),
        (["--gres=gpu:1", "-w", "n3"], "gpu:a100:1,gpu:v100:0 Nodes=n3 gpu:a100:1(IDX:0),gpu:v100:0(IDX:)", "{}gpu:1"),
        (["--gres=fpga:2"], "fpga:2 Nodes=n1 fpga(CNT:2)", "{}fpga:2"),
        (["--gres=gpu:1,fpga:1"], "gpu:1,fpga:1 Nodes=n1 gpu:1(IDX:0),fpga(CNT:1)", "{}gpu:1,{}fpga:1"),
        (["--exclusive", "-n1"], "gpu:2,fpga:3 Nodes=n1 gpu:2(IDX:0-1),fpga(CNT:3)", "N/A"),
        (["--gres=gpu:0"], "(null) Nodes=n1 ", "{}gpu:0"),
        (["--gpus=1", "-N1"], "gpu:1 Nodes=n1 gpu:1(IDX:0)", "N/A"),
        (["--gpus=1"], "gpu:1 Nodes=n1 gpu:1(IDX:0)", "N/A"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_job_has(slurm: SlurmUnderTest, options: list[str], detail: str, asked: str) -> None:
    job_id = slurm.sbatch("scontrol -d show job $SLURM_JOB_ID; squeue -h -o %b", "-o", "o.txt", *options)
    slurm.wait(job_id)
    text = slurm.output("o.txt")
    held = re.findall(r"JOB_GRES=(.*)", text) + [
        f"Nodes={nodes} {gres}" for nodes, gres in re.findall(r"Nodes=(\S+) CPU_IDs=.* GRES=(.*)", text)
    ]
    assert " ".join(held) == detail
    assert text.splitlines()[-1] == asked.replace("{}", prefix(slurm))
    per_node = re.findall(r"TresPerNode=(.*)", text)
    assert per_node == ([] if asked == "N/A" else [asked.replace("{}", prefix(slurm))])
    per_job = [f"TresPerJob={prefix(slurm)}gpu:1"] if "--gpus=1" in options else []
    assert re.findall(r"TresPerJob=.*", text) == per_job


@pytest.mark.parametrize("option", ["--gres=gpu:1", "--gpus=1"])
def test_nobody_gets_what_another_has(slurm: SlurmUnderTest, option: str) -> None:
    go = slurm.workdir / "go"
    hold = f"echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES; until [ -e {go} ]; do sleep 0.05; done"
    jobs = [slurm.sbatch(hold, option, "-t", "10", "-o", f"o{number}.txt") for number in range(7)]
    for job_id in jobs[:6]:
        slurm.wait(job_id, ["RUNNING"])
    until(lambda: slurm.wait(jobs[6], ["PENDING"])["Reason"] == "Resources", what="the reason Resources")
    used = slurm.run("sinfo", "-h", "-N", "-O", "nodelist:4,gresused:60").stdout
    expected = [
        ["n1", "gpu:2,fpga:0"],
        ["n2", "gpu:2" if slurm.at_least("24.11") else "gpu:2,fpga:0"],
        ["n3", "gpu:a100:1(IDX:0),gpu:v100:1(IDX:1)" + ("" if slurm.at_least("24.11") else ",fpga:0")],
        ["n4", "(null)" if slurm.at_least("24.11") else "gpu:0,fpga:0"],
    ]
    assert [line.split() for line in used.splitlines()] == expected
    detailed = slurm.run("scontrol", "-d", "show", "node", "n1").stdout
    assert "\n   Gres=gpu:2,fpga:3\n   GresDrain=N/A\n   GresUsed=gpu:2,fpga:0\n" in detailed
    go.touch()
    for job_id in jobs:
        slurm.wait(job_id)
    places = [slurm.output(f"o{number}.txt").strip() for number in range(6)]
    assert places == ["n1 0", "n1 1", "n2 0", "n2 1", "n3 0", "n3 1"]
    slurm.wait_idle()
    assert "GresUsed=gpu:0,fpga:0" in slurm.run("scontrol", "-d", "show", "node", "n1").stdout


def test_nodes(slurm: SlurmUnderTest) -> None:
    assert slurm.run("sinfo", "-h", "-o", "%N|%G").stdout == (
        "n1|gpu:2,fpga:3\nn2|gpu:2\nn3|gpu:a100:1,gpu:v100:1\nn4|(null)\n"
    )
    assert "\n   Gres=(null)\n" in slurm.run("scontrol", "show", "node", "n4").stdout


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--gres=gpu:3"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gres=gpu:v100:2"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gres=gpu:nope:1"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gres=gpu:x"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gres=gpu:1k"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gres=gpu:1", "-w", "n4"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gres=gpu:1", "-N4"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gpus-per-node=3"], "Batch job submission failed: Requested node configuration is not available"),
        (["--gres=nope:1"], "Invalid generic resource (gres) specification"),
        (["--gres=gpu:1,gpu:a100:1"], "Invalid GRES specification (with and without type identification)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused(slurm: SlurmUnderTest, options: list[str], problem: str) -> None:
    done = slurm.run("sbatch", *options, "--wrap", "true")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"sbatch: error: {problem}\n")


@pytest.mark.parametrize(
    ("job", "step", "node", "indices"),
    [
        (["--gres=gpu:2", "-n1"], "", "n1", "0,1"),
        (["--gres=gpu:2", "-n1"], "--gres=gpu:1", "n1", "0"),
        (["--gres=gpu:2", "-n1"], "--gres=gpu", "n1", "0"),
        (["--gres=gpu:2", "-n1"], "--gres=none", "n1", ""),
        (["--gres=gpu:2", "-n1"], "--gres=gpu:0", "n1", ""),
        (["--gres=gpu:2", "-n1"], "--overlap", "n1", "0,1"),
        (["--exclusive", "-n1"], "", "n1", ""),
        (["--exclusive", "-n1"], "--gres=gpu:1", "n1", "0"),
        (["--gres=gpu:v100:1", "-n1"], "", "n3", "1"),
        (["--gpus=2", "-N1"], "--gres=gpu:1", "n1", "0"),
        (["--gpus=1"], "", "n1", "0"),
    ],
)
def test_step(slurm: SlurmUnderTest, job: list[str], step: str, node: str, indices: str) -> None:
    body = f'srun {step} sh -c "echo \\$SLURMD_NODENAME; {SEEN}"'
    slurm.wait(slurm.sbatch(body, "-o", "o.txt", *job))
    first, *seen = slurm.output("o.txt").splitlines()
    assert first == node
    mine = [line for line in seen if not re.match("SLURM_(JOB_)?GPUS=", line)]
    assert mine == (devices(indices, f"SLURM_STEP_GPUS={indices}") if indices else [])


def test_steps_side_by_side(slurm: SlurmUnderTest) -> None:
    step = 'srun -n1 --exact --gres=gpu:1 sh -c "touch {me}; until [ -e {other} ]; do sleep 0.05; done; echo \\$CUDA_VISIBLE_DEVICES"'
    body = f"{step.format(me='a', other='b')} &\n{step.format(me='b', other='a')} &\nwait"
    slurm.wait(slurm.sbatch(body, "-n2", "--gres=gpu:2", "--mem=100", "-o", "o.txt", "-e", "e.txt"))
    assert sorted(slurm.output("o.txt").splitlines()) == ["0", "1"]


@pytest.mark.parametrize(
    ("job", "step", "problem"),
    [
        ("gpu:2", "gpu:3", "Step requested gres_per_node=gpu:3 is more than the job's gres_per_node=gpu:2"),
        ("gpu:2", "fpga:1", "Step requested GRES (fpga:(null)) not found in the job"),
        ("gpu:2", "gpu:a100:1", "Step requested GRES (gpu:a100) not found in the job"),
        ("none", "gpu:1", "Step requested GRES but job doesn't have GRES"),
    ],
)
def test_what_a_step_cannot_have(slurm: SlurmUnderTest, job: str, step: str, problem: str) -> None:
    job_id = slurm.sbatch(f"srun --gres={step} true; echo $?", f"--gres={job}", "-o", "o.txt")
    slurm.wait(job_id)
    lines = [] if slurm.at_least("24.11") else [f"srun: error: {problem}\n"]
    lines += [f"srun: error: Unable to create step for job {job_id}: Invalid generic resource (gres) specification\n"]
    assert slurm.output("o.txt") == "".join([*lines, "1\n"])


def test_srun_outside_a_job(slurm: SlurmUnderTest) -> None:
    done = slurm.run("srun", "--gres=gpu:1", "sh", "-c", SEEN)
    assert done.stdout.splitlines() == devices("0", "SLURM_STEP_GPUS=0")
    done = slurm.run("srun", "--gres=nope", "true")
    assert (done.returncode, done.stderr) == (1, "srun: error: Invalid generic resource (gres) specification\n")
    done = slurm.run("srun", "--gres=gpu:3", "true")
    assert done.stderr == "srun: error: Unable to allocate resources: Requested node configuration is not available\n"


def test_salloc(slurm: SlurmUnderTest) -> None:
    """Its command sees what was asked for, and no devices: it does not run on a node."""
    for options, seen in (
        ("--gres=gpu:1", ""),
        ("--gpus-per-node=1", "SLURM_GPUS_PER_NODE=1\n"),
        ("--gpus=2", "SLURM_GPUS=2\n"),
    ):
        assert slurm.run("salloc", options, "-N1", "sh", "-c", f"{SEEN}; true").stdout == seen


@pytest.mark.parametrize("command", ["sbatch --wrap", "srun", "salloc"])
def test_types_and_none_together(slurm: SlurmUnderTest, command: str) -> None:
    program, *options = command.split()
    done = slurm.run(program, "--gres=gpu:1,gpu:a100:1", *options, "true")
    problem = "Invalid GRES specification (with and without type identification)"
    assert (done.returncode, done.stderr) == (1, f"{program}: error: {problem}\n")


def cpu_ids(slurm: SlurmUnderTest, options: str) -> list[str]:
    slurm.wait(slurm.sbatch("scontrol -d show job $SLURM_JOB_ID", *options.split(), "-o", "o"))
    return re.findall(r" CPU_IDs=(\S+)", slurm.output("o"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-w n1 --gres=gpu:1 -n1", "3"),
        ("-w n1 --gres=gpu:2 -n1", "3"),
        ("-w n1 --gres=fpga:1 -n1", "3"),
        ("-w n1 --gpus-per-node=1 -n1", "3"),
        ("-w n1 --gpus=1 -n1 -N1", "3"),
        ("-w n1 --gres=gpu:1 -n1 -c2", "2-3"),
        ("-w n1 --gres=gpu:1 -n1 -c3", "1-3"),
        ("-w n1 --gres=gpu:1 --ntasks-per-node=1", "3"),
        ("-w n1 --gres=gpu:1 -n1 -O", "3"),
        ("-w n[1-2] --gres=gpu:1 -N2 -n2", "3"),
        ("-w n1 --gres=gpu:1", "0"),
        ("-w n1 --gres=gpu:1 -c2", "0-1"),
        ("-w n1 --gres=gpu:1 -n2", "0-1"),
        ("-w n1 --gres=gpu:1 -n3", "0-2"),
        ("-w n[1-2] --gres=gpu:1 -N2", "0"),
        ("-w n1 -n1", "0"),
    ],
)
def test_cpus_near_gres(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """Of nodes whose gres are near no CPU: the last ones for a task that was asked for, mostly the first for others."""
    slurm.wait_idle()
    assert cpu_ids(slurm, options) == [expected]


def test_cpus_near_gres_beside_others(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    jobs = []
    for options, expected in (("--gres=gpu:1", " CPU_IDs=3 "), ("--gres=gpu:1", " CPU_IDs=2 "), ("-n1", " CPU_IDs=0 ")):
        jobs.append(slurm.sbatch("sleep 60", "-n1", "-w", "n1", options))
        slurm.wait(jobs[-1], ["RUNNING"])
        assert expected in slurm.run("scontrol", "-d", "show", "job", jobs[-1]).stdout
    slurm.run("scancel", *jobs)
