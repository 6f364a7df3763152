"""Heterogeneous jobs: how they are submitted, what the commands say of them, and that their components share a fate."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

NOT_WHOLE = "Operation not permitted on individual component of heterogeneous job"


def components(slurm: SlurmUnderTest, leader: str, count: int = 2) -> list[dict[str, str]]:
    """The fields of the components."""
    found = [slurm.show(f"{leader}+{offset}") for offset in range(count)]
    return [fields for fields in found if fields is not None]


def states(slurm: SlurmUnderTest, leader: str) -> list[str]:
    """``101+0 R None`` of each component, by offset."""
    rows = slurm.run("squeue", "-h", "-t", "all", "-j", leader, "-o", "%i %t %r").stdout.splitlines()
    return sorted(f"+{row.partition('+')[2]}" for row in rows)


def become(slurm: SlurmUnderTest, leader: str, expected: list[str]) -> None:
    until(lambda: states(slurm, leader) == expected, what=f"{expected}, not {states(slurm, leader)}")


def occupied(slurm: SlurmUnderTest) -> str:
    """Nothing else can start: the job that has all nodes."""
    slurm.wait_idle()
    job_id = slurm.sbatch("sleep 300", "-N4", "--exclusive")
    slurm.wait(job_id, ["RUNNING"])
    return job_id


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
    ("-N2 -n4 : ", ["NumNodes=2-2 NumTasks=4", "NumNodes=1 NumTasks=1"]),
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


def test_runs(slurm: SlurmUnderTest) -> None:
    """Every component has nodes of its own; the script runs once, on the first node of the first."""
    slurm.wait_idle()
    leader = slurm.sbatch("echo $SLURM_JOB_ID $SLURM_HET_SIZE; sleep 300", "-n1", ":", "-n2", "-N2", "-o", "o.txt")
    second = f"{int(leader) + 1}"
    become(slurm, leader, ["+0 R None", "+1 R None"])
    found = components(slurm, leader)
    assert [(fields["NodeList"], fields["BatchHost"], fields["NumCPUs"]) for fields in found] == [
        ("n1", "n1", "1"),
        ("n[2-3]", "n2", "2"),
    ]
    assert all((fields["BatchFlag"], fields["Scheduler"]) == ("1", "Backfill") for fields in found)
    output = slurm.workdir / "o.txt"
    until(lambda: output.exists() and output.read_text() == f"{leader} 2\n", what="the script's output")
    assert slurm.run("squeue", "-h", "-s", "-j", leader, "-o", "%i").stdout == f"{leader}.batch\n"
    done = slurm.run("scancel", "-v", second)
    assert (done.returncode, done.stderr) == (0, f"scancel: Terminating job {second}\n")
    become(slurm, leader, ["+0 R None", "+1 CA None"])
    done = slurm.run("scancel", "-v", f"{leader}+1")
    assert done.stderr.endswith(f"job id {leader}+1: Job/step already completing or completed\n")
    slurm.run("scancel", f"{leader}+0")
    become(slurm, leader, ["+0 CA None", "+1 CA None"])


def test_first_component_is_all_of_it(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("sleep 300", "-n1", ":", "-n2")
    become(slurm, leader, ["+0 R None", "+1 R None"])
    slurm.run("scancel", f"{leader}+0")
    become(slurm, leader, ["+0 CA None", "+1 CA None"])
    rows = [f"{leader}+{offset}|CANCELLED by 0" for offset in (0, 1)]
    sacct = ("sacct", "-n", "-P", "-X", "-j", leader, "-o", "JobID,State")
    until(lambda: slurm.run(*sacct).stdout.splitlines() == rows, what="both components in accounting", interval=0.1)


def test_waits_for_all(slurm: SlurmUnderTest) -> None:
    """No component starts alone, and a pending one cannot be cancelled alone."""
    blocker = occupied(slurm)
    leader = slurm.sbatch("true", "-n1", ":", "-n2", "-N2")
    second = f"{int(leader) + 1}"
    become(slurm, leader, ["+0 PD Resources", "+1 PD Resources"])
    for asked in (second, f"{leader}+1"):
        done = slurm.run("scancel", asked)
        said = f"scancel: error: Kill job error on job id {asked}: {NOT_WHOLE}\n"
        assert (done.returncode, done.stdout, done.stderr) == (60, "", said)
    done = slurm.run("scontrol", "requeue", leader)
    assert (done.returncode, done.stderr) == (1, f"Job is pending execution for job {leader}\n")
    slurm.run("scancel", f"{leader}+0")
    become(slurm, leader, ["+0 CA Resources", "+1 CA Resources"])
    slurm.run("scancel", blocker)


def test_never_two_components_on_a_node(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("true", *["-n1", ":", "-n1", ":", "-n1", ":", "-n1", ":", "-n1"])
    become(slurm, leader, [f"+{offset} PD Resources" for offset in range(5)])
    slurm.run("scancel", leader)


def test_holds_up_those_behind(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    blocker = slurm.sbatch("sleep 300", "-N3", "--exclusive")
    slurm.wait(blocker, ["RUNNING"])
    leader = slurm.sbatch("true", "-n1", ":", "-N2")
    become(slurm, leader, ["+0 PD Resources", "+1 PD Resources"])
    behind = slurm.sbatch("true", "-n1")

    def reason() -> bool:
        fields = slurm.show(behind)
        return fields is not None and (fields["JobState"], fields["Reason"]) == ("PENDING", "Priority")

    until(reason, what="a job that waits behind")
    slurm.run("scancel", blocker)
    become(slurm, leader, ["+0 CD None", "+1 CD None"])
    slurm.wait(behind, ["COMPLETED"])


def test_hold(slurm: SlurmUnderTest) -> None:
    """The id alone means all of it; with an offset, or a component's own id, it is one."""
    blocker = occupied(slurm)
    leader = slurm.sbatch("true", "-n1", ":", "-n2", "-N2")
    second = f"{int(leader) + 1}"
    waits, held = "PD Resources", "PD JobHeldAdmin"
    for verb, asked, first, other in (
        ("hold", leader, held, held),
        ("release", leader, waits, waits),
        ("hold", f"{leader}+1", waits, held),
        ("release", f"{leader}+1", waits, waits),
        ("hold", second, waits, held),
        ("release", second, waits, waits),
        ("hold", f"{leader}+0", held, waits),
    ):
        assert slurm.run("scontrol", verb, asked).returncode == 0
        become(slurm, leader, [f"+0 {first}", f"+1 {other}"])
    done = slurm.run("scontrol", "hold", f"{leader}+5")
    assert (done.returncode, done.stderr) == (
        1,
        f"Invalid job id specified for job {leader}+5\nslurm_suspend error: Invalid job id specified\n",
    )
    slurm.run("scancel", blocker)
    slurm.run("scontrol", "release", leader)
    become(slurm, leader, ["+0 CD None", "+1 CD None"])


@pytest.mark.parametrize(
    ("body", "state", "reason", "code"),
    [
        ("true", "COMPLETED", "None", "0:0"),
        ("exit 3", "FAILED", "NonZeroExitCode", "3:0"),
        ("kill -9 $$", "FAILED", "", "0:9"),
    ],
)
def test_ends(slurm: SlurmUnderTest, body: str, state: str, reason: str, code: str) -> None:
    """Every component has the state and the exit code of the script."""
    slurm.wait_idle()
    leader = slurm.sbatch(body, "-n1", ":", "-n2", "-N2")
    if not reason:
        reason = "RaisedSignal:9(Killed)" if slurm.at_least("24.11") else "JobLaunchFailure"
    short = {"COMPLETED": "CD", "FAILED": "F"}[state]
    become(slurm, leader, [f"+0 {short} {reason}", f"+1 {short} {reason}"])
    assert [fields["ExitCode"] for fields in components(slurm, leader)] == [code, code]

    def rows() -> bool:
        found = slurm.accounted(leader, "JobID,JobName,State,ExitCode")
        return [(row["JobID"], row["State"], row["ExitCode"]) for row in found if row["JobName"] != "batch"] == [
            (f"{leader}+0", state, code),
            (f"{leader}+1", state, code),
        ]

    until(rows, what="both components in accounting")


def test_wait_for_the_end(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    assert slurm.run("sbatch", "--wait", "-n1", ":", "-n2", "--wrap", "exit 3").returncode == 3


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


def test_requeue(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    body = 'echo "$SLURM_RESTART_COUNT" >> runs; [ -n "$SLURM_RESTART_COUNT" ] || sleep 300'
    leader = slurm.sbatch(body, "-n1", ":", "-n2", "-N2", "-o", "/dev/null")
    second = f"{int(leader) + 1}"
    until(lambda: (slurm.workdir / "runs").exists(), what="the script")
    done = slurm.run("scontrol", "requeue", second)
    assert (done.returncode, done.stderr) == (1, f"Job not heterogeneous job leader for job {second}\n")
    done = slurm.run("scontrol", "requeue", leader)
    assert (done.returncode, done.stderr) == (0, "")
    become(slurm, leader, ["+0 CD None", "+1 CD None"])
    assert [fields["Restarts"] for fields in components(slurm, leader)] == ["1", "1"]
    assert slurm.output("runs") == "\n1\n"


def test_suspend(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("sleep 300", "-n1", ":", "-n2", "-N2")
    second = f"{int(leader) + 1}"
    become(slurm, leader, ["+0 R None", "+1 R None"])
    for verb in ("suspend", "resume"):
        done = slurm.run("scontrol", verb, second)
        assert (done.returncode, done.stderr) == (1, f"{NOT_WHOLE} for job {second}\n")
    for verb, state in (("suspend", "S"), ("resume", "R")):
        assert slurm.run("scontrol", verb, leader).returncode == 0
        become(slurm, leader, [f"+0 {state} None", f"+1 {state} None"])
    slurm.run("scancel", leader)


def test_dependencies(slurm: SlurmUnderTest) -> None:
    """A component is a job that others can wait for; all components wait for what the job depends on."""
    slurm.wait_idle()
    leader = slurm.sbatch("sleep 300", "-n1", ":", "-n2")
    become(slurm, leader, ["+0 R None", "+1 R None"])
    whole = slurm.sbatch("true", "-d", f"afterany:{leader}")
    part = slurm.sbatch("true", "-d", f"afterany:{int(leader) + 1}")
    late = slurm.sbatch("true", "-d", f"afterany:{leader}", "-n1", ":", "-n1")
    until(lambda: states(slurm, late) == ["+0 PD Dependency", "+1 PD Dependency"], what="both wait")
    slurm.run("scancel", f"{int(leader) + 1}")
    slurm.wait(part, ["COMPLETED"])
    fields = slurm.show(whole)
    assert fields is not None
    assert (fields["JobState"], fields["Dependency"]) == ("PENDING", f"afterany:{leader}(unfulfilled)")
    slurm.run("scancel", leader)
    slurm.wait(whole, ["COMPLETED"])
    become(slurm, late, ["+0 CD None", "+1 CD None"])


def test_failing_node(slurm: SlurmUnderTest) -> None:
    if not slurm.is_real or slurm.kind == "real":
        slurm.wait_idle()
        leader = slurm.sbatch("sleep 300", "--no-requeue", "-n1", ":", "-n2", "-N2")
        become(slurm, leader, ["+0 R None", "+1 R None"])
        slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
        become(slurm, leader, ["+0 NF NodeDown", "+1 NF NodeDown"])
        slurm.run("scontrol", "update", "nodename=n2", "state=idle")


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
