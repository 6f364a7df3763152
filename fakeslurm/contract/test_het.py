"""Heterogeneous jobs: how they are submitted, and what the commands and their environment say of them."""

from __future__ import annotations

import json

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until
from fakeslurm.contract.hetjobs import become, components


def test_ids(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "-H", "-n1", "-J", "a", ":", "-n2", "-N2", "-J", "b", "--wrap", "true")
    leader = done.stdout.split()[-1]
    second = f"{int(leader) + 1}"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Submitted batch job {leader}\n", "")
    rows = slurm.run("squeue", "-h", "-S", "i", "-j", leader, "-o", "%i|%A|%F|%K|%j|%D|%C").stdout.splitlines()
    assert rows == [f"{leader}+0|{leader}|{leader}|N/A|a|1|1", f"{leader}+1|{second}|{second}|N/A|b|2|2"]
    fields = "JobID:0|,JobArrayID:0|,HetJobID:0|,HetJobOffset:0|,HetJobIDSet:0"
    assert slurm.run("squeue", "-h", "-j", second, "-O", fields).stdout.split("|") == [
        *(second, f"{leader}+1", leader, "1", f"{leader}-{second}\n"),
    ]
    first = slurm.run("scontrol", "show", "job", leader).stdout.splitlines()
    assert first[0] == f"JobId={leader} HetJobId={leader} HetJobOffset=0 JobName=a"
    assert first[1] == f"   HetJobIdSet={leader}-{second}"
    assert f"JobId={second} HetJobId={leader} HetJobOffset=1 JobName=b" in first
    shown = [fields["JobId"] for fields in components(slurm, leader)]
    assert shown == [leader, second]
    assert slurm.run("scontrol", "-o", "show", "job", second).stdout.count("JobId=") == 2  # and HetJobId
    assert slurm.run("scontrol", "-o", "show", "job", f"{second}+1").returncode == 0
    done = slurm.run("scontrol", "show", "job", f"{leader}+5")
    assert (done.returncode, done.stdout) == (1, f"Job {leader}+5 not found\n")
    for asked, labels in ((second, "+1"), (f"{leader}+1", "+0 +1"), (f"{leader}+9", "+0 +1"), (f"{second}+0", "+1")):
        rows = slurm.run("squeue", "-h", "-j", asked, "-o", "%i").stdout.split()
        assert sorted(rows) == [f"{leader}{label}" for label in labels.split()]
    slurm.run("scancel", leader)


OPTIONS = [
    ("-n3 : -n2", ["NumTasks=3", "NumTasks=2"]),
    ("-N2 -n4 : ", ["NumNodes=2-2 NumTasks=4", "NumTasks=1"]),
    (": -J x", ["JobName=x", "JobName=x"]),
    ("-J x : -n1", ["JobName=x", "JobName=x"]),
    ("-J x : -J y", ["JobName=x", "JobName=y"]),
    ("-t 7 : -n1", ["TimeLimit=00:07:00", "TimeLimit=00:07:00"]),
    (": -t 7", ["TimeLimit=00:07:00", "TimeLimit=00:07:00"]),
    ("--mem=100 : -n1", ["MinMemoryNode=100M", "MinMemoryNode=100M"]),
    ("--mem-per-cpu=100 : -n1", ["MinMemoryCPU=100M", "MinMemoryNode=0"]),
    (": --mem-per-cpu=100", ["MinMemoryNode=0", "MinMemoryCPU=100M"]),
    ("-c2 : -n1", ["CPUs/Task=2", "CPUs/Task=1"]),
    ("--ntasks-per-node=2 : ", ["NumTasks=2", "NumTasks=1"]),
    ("-x n1 : -x n2", ["ExcNodeList=n1", "ExcNodeList=n2"]),
    ("-x n1 : -n1", ["ExcNodeList=n1", "ExcNodeList=n1"]),
    ("-n1 : -w n2", ["ReqNodeList=(null) ExcNodeList=n2", "ReqNodeList=n2 ExcNodeList=(null)"]),
    ("-x n1 -w n2 : -w n3", ["ReqNodeList=n2 ExcNodeList=n[1,3]", "ReqNodeList=n3 ExcNodeList=n[1-2]"]),
    ("-w n2 : -w n3 : -n1", ["ExcNodeList=n3", "ExcNodeList=n2", "ExcNodeList=n[2-3]"]),
    ("--exclusive : -s", ["OverSubscribe=NO", "OverSubscribe=YES"]),
    ("--contiguous : --mincpus=2", ["Contiguous=1 MinCPUsNode=1", "Contiguous=0 MinCPUsNode=2"]),
    ("--comment=hello : --nice=5", ["Comment=hello Nice=5", "Comment=hello Nice=5"]),
    ("--no-requeue : --kill-on-invalid-dep=yes", ["Requeue=0", "Requeue=0 KillOInInvalidDependent=Yes"]),
    ("-D /tmp : -n1", ["WorkDir=/tmp", "WorkDir=/tmp"]),
    (": :", ["JobName=wrap", "JobName=wrap", "JobName=wrap"]),
]


@pytest.mark.parametrize(("options", "expected"), OPTIONS, ids=[options for options, _ in OPTIONS])
def test_options_of_components(slurm: SlurmUnderTest, options: str, expected: list[str]) -> None:
    """Some options go on to the next component, and those of later ones are the beginning of earlier ones."""
    leader = slurm.run("sbatch", "--parsable", "-H", *options.split(), "--wrap", "true").stdout.strip()
    found = components(slurm, leader, len(expected))
    slurm.run("scancel", leader)
    for fields, wanted in zip(found, expected, strict=True):
        assert {name: fields.get(name) for name in (word.split("=")[0] for word in wanted.split())} == dict(
            word.split("=", 1) for word in wanted.split()
        )


THREE = "#SBATCH -J a\n#SBATCH hetjob\n#SBATCH -J b -n2\n#SBATCH hetjob\n#SBATCH -J c\ntrue"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "a 1, b 2, c 1"),
        ("-J x", "x 1, x 2, x 1"),
        ("-n1 : -n2", "a 1, b 2, c 2"),
        (": -n2", "a 1, b 2, c 2"),
        ("-n2 :", "a 2, b 2, c 1"),
        ("-n1 : -n2 : -n3 : -n1 -J d", "a 1, b 2, c 3, d 1"),
        ("-J x : -n3 : -J y", "x 1, b 3, y 1"),
    ],
)
def test_components_in_the_script(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    leader = slurm.sbatch(THREE, "-H", *options.split())
    found = components(slurm, leader, expected.count(",") + 1)
    slurm.run("scancel", leader)
    assert ", ".join(f"{fields['JobName']} {fields['NumCPUs']}" for fields in found) == expected


def test_packjob(slurm: SlurmUnderTest) -> None:
    script = slurm.script("#SBATCH -n1\n#SBATCH packjob\n#SBATCH -n2\ntrue")
    done = slurm.run("sbatch", "-H", "--parsable", script)
    if slurm.at_least("24.11"):
        said = 'warning: The "packjob" component separator is deprecated. Please use "hetjob" instead.'
    else:
        said = 'Warning: the "packjob" component separator is being deprecated. Please, use "hetjob" instead.'
    assert (done.returncode, done.stderr) == (0, f"sbatch: {said}\n")
    assert [fields["NumTasks"] for fields in components(slurm, done.stdout.strip())] == ["1", "2"]
    slurm.run("scancel", done.stdout.strip())


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("-n1 : -n2 -a 1-3 --wrap true", 1, "error: Batch job submission failed: Invalid job array specification"),
        ("-a 1-3 : -n2 --wrap true", 1, "error: Batch job submission failed: Invalid job array specification"),
        ("-w n2 : -w n2 --wrap true", 1, "error: Batch job submission failed: Invalid node name specified"),
        ("-n1 : -n zero --wrap true", 1, 'error: Invalid numeric value "zero" for --ntasks.'),
        ("-n1 : nope.sh", 1, "error: Unable to open file nope.sh"),
        ("-n1 : -n2", 1, "error: Batch script is empty!"),
        ("--wrap true : -n2 x.sh", 1, "error: Script arguments not permitted with --wrap option"),
    ],
)
def test_refused(slurm: SlurmUnderTest, options: str, code: int, said: str) -> None:
    done = slurm.run("sbatch", *options.split())
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"sbatch: {said}\n")


def test_refused_component(slurm: SlurmUnderTest) -> None:
    """Those before it had their ids already."""
    before = slurm.run("sbatch", "--parsable", "-H", "--wrap", "true").stdout.strip()
    done = slurm.run("sbatch", "-n1", ":", "-p", "nope", "--wrap", "true")
    assert done.returncode == 1
    assert done.stderr.endswith("sbatch: error: Batch job submission failed: Invalid partition name specified\n")
    fields = slurm.show(f"{int(before) + 1}")
    assert fields is not None
    assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("CANCELLED", "None", "0:1")
    assert (fields["HetJobOffset"], fields["HetJobIdSet"]) == ("0", f"{int(before) + 1}")
    slurm.run("scancel", before)


def test_accounting(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("true", "-n1", "-J", "a", ":", "-n2", "-N2", "-J", "b")
    second = f"{int(leader) + 1}"
    become(slurm, leader, ["+0 CD None", "+1 CD None"])

    def sacct(asked: str, *options: str) -> str:
        return slurm.run("sacct", "-n", "-P", "-j", asked, "-o", "JobID,JobIDRaw,JobName,State", *options).stdout

    batch = f"{leader}+0.batch|{leader}.batch|batch|COMPLETED\n"
    first, other = f"{leader}+0|{leader}|a|COMPLETED\n", f"{leader}+1|{second}|b|COMPLETED\n"
    until(lambda: sacct(leader) == first + batch + other, what="all of it in accounting")
    assert sacct(second) == sacct(f"{leader}+1") == other
    assert sacct(f"{leader}+0") == sacct(leader, "--whole-hetjob=no") == first + batch
    assert sacct(second, "--whole-hetjob=yes") == first + batch + other
    assert sacct(f"{leader}.batch") == sacct(f"{leader}+0.batch") == batch


def test_started_by_backfill(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("true", "-n1", ":", "-n2")
    become(slurm, leader, ["+0 CD None", "+1 CD None"])
    sacct = ("sacct", "-n", "-P", "-X", "-j", leader, "-o", "JobID")
    rows = f"{leader}+0\n{leader}+1\n"
    until(lambda: slurm.run(*sacct, "-F", "SchedBackfill").stdout == rows, what="both in accounting", interval=0.1)
    assert slurm.run(*sacct, "-F", "SchedMain").stdout == ""


def test_json(slurm: SlurmUnderTest) -> None:
    leader = slurm.run("sbatch", "--parsable", "-H", "-n1", ":", "-n2", "--wrap", "true").stdout.strip()
    second = int(leader) + 1
    jobs = json.loads(slurm.run("squeue", "--json", "-j", leader).stdout)["jobs"]
    slurm.run("scancel", leader)
    found = {job["job_id"]: (job["het_job_id"], job["het_job_id_set"], job["het_job_offset"]) for job in jobs}

    def number(value: int) -> object:
        return {"set": True, "infinite": False, "number": value} if slurm.at_least("24.11") else value

    id_set = f"{leader}-{second}"
    assert found[int(leader)] == (number(int(leader)), id_set, number(0))
    assert found[second] == (number(int(leader)), id_set, number(1))


def test_environment(slurm: SlurmUnderTest) -> None:
    """Every component's variables with its number, and fewer of the first one's without than a job of its own has."""
    slurm.wait_idle()
    options = [
        "-N1",
        "-c2",
        "--mem-per-cpu=10",
        "-J",
        "a",
        ":",
        "-N2",
        "--ntasks-per-node=1",
        "-m",
        "cyclic",
        "-J",
        "b",
    ]
    leader = slurm.sbatch("env > env.txt", *options)
    become(slurm, leader, ["+0 CD None", "+1 CD None"])
    found = dict(line.split("=", 1) for line in slurm.output("env.txt").splitlines() if line.startswith("SLURM_"))
    second = f"{int(leader) + 1}"
    expected = {
        "SLURM_HET_SIZE": "2",
        "SLURM_PACK_SIZE": "2",
        "SLURM_CPUS_PER_TASK_HET_GROUP_0": "2",
        "SLURM_DISTRIBUTION_HET_GROUP_1": "cyclic",
        "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0": "2",
        "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1": "1(x2)",
        "SLURM_JOB_ID_HET_GROUP_0": leader,
        "SLURM_JOB_ID_HET_GROUP_1": second,
        "SLURM_JOB_NAME_HET_GROUP_0": "a",
        "SLURM_JOB_NAME_HET_GROUP_1": "b",
        "SLURM_JOB_NODELIST_HET_GROUP_0": "n1",
        "SLURM_JOB_NODELIST_HET_GROUP_1": "n[2-3]",
        "SLURM_JOB_NUM_NODES_HET_GROUP_0": "1",
        "SLURM_JOB_NUM_NODES_HET_GROUP_1": "2",
        "SLURM_JOB_PARTITION_HET_GROUP_0": "debug",
        "SLURM_JOB_PARTITION_HET_GROUP_1": "debug",
        "SLURM_MEM_PER_CPU_HET_GROUP_0": "10",
        "SLURM_NPROCS_HET_GROUP_1": "2",
        "SLURM_NTASKS_HET_GROUP_1": "2",
        "SLURM_NTASKS_PER_NODE_HET_GROUP_1": "1",
        "SLURM_TASKS_PER_NODE_HET_GROUP_0": "1",
        "SLURM_TASKS_PER_NODE_HET_GROUP_1": "1(x2)",
    }
    if slurm.at_least("24.11"):
        del expected["SLURM_NPROCS_HET_GROUP_1"], expected["SLURM_NTASKS_HET_GROUP_1"]
        expected["SLURM_TRES_PER_TASK_HET_GROUP_0"] = "cpu=2"
    packed = {name.replace("HET_GROUP", "PACK_GROUP"): value for name, value in expected.items()}
    others = ("ACCOUNT", "QOS")
    numbered = {name: value for name, value in found.items() if "_GROUP_" in name or name.endswith("_SIZE")}
    assert {name: value for name, value in numbered.items() if not any(one in name for one in others)} == (
        expected | packed
    )
    plain = (
        "CPUS_PER_TASK",
        "NTASKS",
        "NTASKS_PER_NODE",
        "MEM_PER_CPU",
        "JOB_NODELIST",
        "DISTRIBUTION",
        "TRES_PER_TASK",
    )
    assert {name: found.get(f"SLURM_{name}") for name in plain} == {
        **dict.fromkeys(plain),
        "MEM_PER_CPU": "10",
        "JOB_NODELIST": "n1",
    }
