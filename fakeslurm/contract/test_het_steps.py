"""srun in a heterogeneous job: steps in one of its components, or in several at once."""

from __future__ import annotations

import re

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until
from fakeslurm.contract.hetjobs import become

JOB = ("-n1", "-J", "a", ":", "-n2", "-N2", "-J", "b", ":", "-n3", "-N1", "-J", "c")
TASK = "echo $SLURM_PROCID $SLURM_NODEID $SLURM_LOCALID $SLURM_STEP_NODELIST $SLURM_STEP_TASKS_PER_NODE $SLURM_NTASKS"


def ran(slurm: SlurmUnderTest, body: str, *options: str) -> list[str]:
    """What a job of n1, n[2-3] and n4 writes, sorted."""
    slurm.wait_idle()
    leader = slurm.sbatch(body, *(options or JOB), "-o", "o.txt")
    count = (options or JOB).count(":") + 1
    become(slurm, leader, [f"+{offset} CD None" for offset in range(count)])
    return sorted(slurm.output_of_steps("o.txt").splitlines())


ALL = [
    "0 0 0 n[1-4] 1(x3),3 6",
    "1 1 0 n[1-4] 1(x3),3 6",
    "2 2 0 n[1-4] 1(x3),3 6",
    "3 3 0 n[1-4] 1(x3),3 6",
    "4 3 1 n[1-4] 1(x3),3 6",
    "5 3 2 n[1-4] 1(x3),3 6",
]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", ["0 0 0 n1 1 1"]),
        ("--het-group=0", ["0 0 0 n1 1 1"]),
        ("--het-group=1", ["0 0 0 n[2-3] 1(x2) 2", "1 1 0 n[2-3] 1(x2) 2"]),
        ("--pack-group=2", ["0 0 0 n4 3 3", "1 0 1 n4 3 3", "2 0 2 n4 3 3"]),
        ("--het-group=0,1", ["0 0 0 n[1-3] 1(x3) 3", "1 1 0 n[1-3] 1(x3) 3", "2 2 0 n[1-3] 1(x3) 3"]),
        ("--het-group=1,0", ["0 0 0 n[1-3] 1(x3) 3", "1 1 0 n[1-3] 1(x3) 3", "2 2 0 n[1-3] 1(x3) 3"]),
        ("--het-group=0-2", ALL),
        ("--het-group=2,0", ["0 0 0 n[1,4] 1,3 4", "1 1 0 n[1,4] 1,3 4", "2 1 1 n[1,4] 1,3 4", "3 1 2 n[1,4] 1,3 4"]),
    ],
)
def test_layout(slurm: SlurmUnderTest, options: str, expected: list[str]) -> None:
    assert ran(slurm, f"srun {options} sh -c '{TASK}'") == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("A : B", ["A0", "B1", "B2"]),
        ("A : B : C", ["A0", "B1", "B2", "C3", "C4", "C5"]),
        ("--het-group=2 A : --het-group=0 B", ["A1", "A2", "A3", "B0"]),
        ("--het-group=1,2 A : --het-group=0 B", ["A1", "A2", "A3", "A4", "A5", "B0"]),
    ],
)
def test_a_command_for_each(slurm: SlurmUnderTest, command: str, expected: list[str]) -> None:
    text = re.sub(r"\b([ABC])\b", r"sh -c 'echo \1$SLURM_PROCID'", command)
    assert ran(slurm, f"srun {text}") == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--het-group=3 true", ["error: Requested het-group offset exceeds highest hetjob index (3 > 2)"]),
        (
            "--het-group=0,3 true",
            [
                "error: Attempt to run a job step with het group value of 3, "
                "but the job allocation has maximum value of 2"
            ],
        ),
        (
            "--het-group=x true",
            ["error: Invalid --het-group value: x", "error: _parse_single_range: Invalid range: `x'"],
        ),
        ("--het-group=1 true : true", ["fatal: Duplicate het groups in single srun not supported"]),
        ("true :", ["fatal: No command given to execute."]),
        (
            "--het-group=1 -w n1 true",
            ["error: Unable to create step for job J: Requested node configuration is not available"],
        ),
        (
            "--het-group=0,1 -n2 true",
            ["error: Unable to create step for job J: More processors requested than permitted"],
        ),
    ],
)
def test_refused(slurm: SlurmUnderTest, options: str, said: list[str]) -> None:
    lines = ran(slurm, f"srun {options}; echo rc=$?")
    found = [re.sub(r"(?<=step for job )[0-9]+", "J", line) for line in lines]
    assert found == ["rc=1", *(f"srun: {text}" for text in said)]


def test_environment(slurm: SlurmUnderTest) -> None:
    """Ids are the leader's, nodes and numbers those of all groups, the name the group's own."""
    names = (
        *("JOB_ID", "JOBID", "JOB_NAME", "JOB_NODELIST", "NODELIST", "JOB_NUM_NODES", "NNODES", "JOB_CPUS_PER_NODE"),
        *(
            "NTASKS",
            "NPROCS",
            "TASKS_PER_NODE",
            "STEP_NUM_NODES",
            "STEP_NUM_TASKS",
            "GTIDS",
            "CPUS_ON_NODE",
            "HET_SIZE",
        ),
        *("DISTRIBUTION", "JOB_CPUS_PER_NODE_HET_GROUP_0"),
    )
    values = " ".join(f"${{SLURM_{name}}}" for name in names)
    steps = (f"srun --het-group={groups} sh -c 'echo {groups} {values}'" for groups in ("1", "0,1"))
    lines = ran(slurm, "\n".join(steps))
    found = {line.split()[0] + " " + line.split()[14]: line.split()[3:] for line in lines}
    assert len({word for line in lines for word in line.split()[1:3]}) == 1
    alone, both = "n[2-3] n[2-3] 2 2 1(x2) 2 2 1(x2) 2 2", "n[1-3] n[1-3] 3 3 1(x3) 3 3 1(x3) 3 3"
    for rank in (0, 1):
        assert " ".join(found[f"1 {rank}"]) == f"b {alone} {rank} 1 3 cyclic 1"
    for rank in (1, 2):
        assert " ".join(found[f"0,1 {rank}"]) == f"b {both} {rank} 1 3 cyclic 1"
    assert " ".join(found["0,1 0"][1:]) == f"{both} 0 1 3 cyclic 1"  # which of the names it has is chance


@pytest.mark.parametrize(
    ("job", "groups", "expected"),
    [
        ("--ntasks-per-node=2 -N2 : -n3", "0", ["0 0 2 block", "1 0 2 block", "2 1 2 block", "3 1 2 block"]),
        ("--ntasks-per-node=2 -N2 : -n3", "1", ["0 0 block", "1 0 block", "2 0 block"]),
        ("-n2 : -m cyclic -n4 -N2", "1", ["0 0 cyclic", "1 1 cyclic", "2 0 cyclic", "3 0 cyclic"]),
        ("-N1 : -N1 --ntasks-per-node=3", "1", ["0 0 3 block", "1 0 3 block", "2 0 3 block"]),
    ],
)
def test_what_the_component_was_asked_for(slurm: SlurmUnderTest, job: str, groups: str, expected: list[str]) -> None:
    task = "echo $SLURM_PROCID $SLURM_NODEID $SLURM_NTASKS_PER_NODE $SLURM_DISTRIBUTION"
    assert ran(slurm, f"srun --het-group={groups} sh -c '{task}'", *job.split()) == expected


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (
            "--het-group=0,1 sh -c 'exit $((SLURM_PROCID + 1))'",
            3,
            [
                f"n{number + 1}: task {rank}: Exited with exit code {number + 1}"
                for number, rank in enumerate((0, 0, 1))
            ],
        ),
        ("true : sh -c 'exit 3'", 3, ["n2: task 0: Exited with exit code 3", "n3: task 1: Exited with exit code 3"]),
        ("sh -c 'exit 4' : true", 4, ["n1: task 0: Exited with exit code 4"]),
    ],
)
def test_return_code(slurm: SlurmUnderTest, command: str, code: int, said: list[str]) -> None:
    lines = ran(slurm, f"srun {command}; echo $?")
    assert lines == sorted([f"{code}", *(f"srun: error: {text}" for text in said)])


def test_killed(slurm: SlurmUnderTest) -> None:
    lines = ran(slurm, "srun --het-group=0,1 sh -c 'kill -9 $$'; echo rc=$?")
    assert [re.sub(r"[0-9]+\.0$", "J.0", line) for line in lines] == [
        "rc=137",
        "srun: Force Terminated StepId=J.0",
        "srun: Force Terminated StepId=J.0",
        "srun: error: n1: task 0: Killed",
        "srun: error: n2: task 0: Killed",
        "srun: error: n3: task 1: Killed",
    ]


def test_input_and_labels(slurm: SlurmUnderTest) -> None:
    """A file is read by every rank; labels are ranks of all."""
    (slurm.workdir / "in.txt").write_text("in\n")
    lines = ran(slurm, "srun -l --het-group=0-1 -i in.txt cat; srun -l --het-group=1 cat < in.txt")
    assert lines == ["0: in", "0: in", "1: in", "1: in", "2: in"]


def test_output_files(slurm: SlurmUnderTest) -> None:
    """The id in a name is the component's; a file that is there is not emptied."""
    (slurm.workdir / "f.txt").write_text("before\n")
    body = """
        srun --het-group=0,1 -o f.txt echo hi; cat f.txt
        srun --het-group=0,1 -o g.%j.txt echo ho; cat g.$SLURM_JOB_ID_HET_GROUP_1.txt; echo; cat g.$SLURM_JOB_ID.txt
    """
    assert ran(slurm, body) == ["", "before", "hi", "hi", "hi", "ho", "ho", "ho"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-o a A : -o b A : A", ["a 0", "b 1", "b 2", "b 3", "b 4", "b 5"]),
        ("-o a A : A : -e b A", ["a 0", "a 1", "a 2", "a 3", "a 4", "a 5"]),
        ("-o a A : -o b --het-group=2 A", ["a 0", "b 1", "b 2", "b 3"]),
        ("--het-group=1,2 -o a A : -o b --het-group=0 A", ["a 1", "a 2", "a 3", "a 4", "a 5", "b 0"]),
        ("A : -l A : -o a A", ["- 0", "- 1: 1", "- 2: 2", "a 3: 3", "a 4: 4", "a 5: 5"]),
    ],
)
def test_options_of_each_command(slurm: SlurmUnderTest, options: str, expected: list[str]) -> None:
    """A command has the options of those before it, and its own."""
    text = re.sub(r"\bA\b", "sh -c 'echo $SLURM_PROCID'", options)
    show = r"""for f in - a b; do [ ! -e "$f" ] && [ "$f" != - ] || sed "s/^/$f /" "$f"; done"""
    assert ran(slurm, f"srun -u {text} | {{ {show}; }}") == expected


@pytest.mark.parametrize(
    ("options", "stream"),
    [("-o {file} true : true", "stdout"), ("-e {file} true : true", "stderr"), ("true : -o {file} true", "stdout")],
)
def test_files_that_cannot_be_opened(slurm: SlurmUnderTest, options: str, stream: str) -> None:
    """It is said once or of each component, as it happens; 24.11 makes directories that are missing."""
    missing = f"srun: error: Could not open {stream} file: No such file or directory"
    for file, is_made in (("missing/x", slurm.at_least("24.11")), ("/proc/x", False)):
        lines = ran(slurm, f"{{ srun {options.format(file=file)}; echo $?; }} 2>&1")
        assert set(lines) == ({"0"} if is_made else {missing, "1"})
    assert (slurm.workdir / "missing" / "x").exists() == slurm.at_least("24.11")


@pytest.mark.parametrize("options", ["-K true : A", "-K A : true", "--het-group=0,1 -K A"])
def test_bad_exit_ends_the_tasks_of_all(slurm: SlurmUnderTest, options: str) -> None:
    # A task that is not there yet when the other ends is killed without being told.
    ends, stays = "until [ -e up ]; do sleep 0.05; done; exit 3", "touch up; exec sleep 60"
    first = f"if [ $SLURM_PROCID = 0 ]; then {ends}; else {stays}; fi"
    text = options.replace("true", f"sh -c '{stays}'", 1).replace("A", f"sh -c '{first}'")
    if options.startswith("-K true"):
        text = text.replace("PROCID = 0", "PROCID = 1")
    said = ran(slurm, f"srun {text}; echo rc=$?", "-n1", ":", "-n1")
    lines = sorted(re.sub(r"[0-9]+\.0", "J.0", line) for line in said if not line.startswith("slurmstepd-"))
    bad, other = (2, 1) if options.startswith("-K true") else (1, 2)
    where = "" if slurm.version >= "24.11" else "launch/slurm: _step_signal: "
    assert lines == sorted(
        [
            "rc=143",
            "srun: Force Terminated StepId=J.0",
            f"srun: error: n{bad}: task 0: Exited with exit code 3",
            f"srun: error: n{other}: task 0: Terminated",
            f"srun: {where}Terminating StepId=J.0",
            f"srun: {where}Terminating StepId=J.0",
        ]
    )


@pytest.mark.parametrize("options", ["-W1 true : A", "-W1 A : true"])
def test_wait_ends_the_tasks_of_all(slurm: SlurmUnderTest, options: str) -> None:
    text = options.replace("A", "sh -c 'exec sleep 60'")
    said = ran(slurm, f"srun {text}; echo rc=$?", "-n1", ":", "-n1")
    lines = sorted(re.sub(r"[0-9]+\.0", "J.0", line) for line in said if not line.startswith("slurmstepd-"))
    node = 2 if options.startswith("-W1 true") else 1
    where = "" if slurm.version >= "24.11" else "launch/slurm: _step_signal: "
    assert [line for line in lines if "step aborted" not in line] == sorted(
        [
            "rc=137",
            "srun: First task exited 1s ago",
            "srun: StepId=J.0 task 0: exited",
            "srun: StepId=J.0 task 0: running",
            f"srun: error: n{node}: task 0: Killed",
            f"srun: {where}Terminating StepId=J.0",
            f"srun: {where}Terminating StepId=J.0",
        ]
    )


def test_accounting(slurm: SlurmUnderTest) -> None:
    """Steps are counted by the leader for all components."""
    slurm.wait_idle()
    body = "srun true; srun --het-group=1 true; srun --het-group=0,1 true; srun sh -c 'exit 2' : true; exit 0"
    leader = slurm.sbatch(body, "-n1", ":", "-n2", "-N2")
    become(slurm, leader, ["+0 CD None", "+1 CD None"])
    expected = [
        ("", "COMPLETED", ""),
        ("+0.batch", "COMPLETED", "1"),
        ("+0.0", "COMPLETED", "1"),
        ("+0.2", "COMPLETED", "1"),
        ("+0.3", "FAILED", "1"),
        ("", "COMPLETED", ""),
        ("+1.1", "COMPLETED", "2"),
        ("+1.2", "COMPLETED", "2"),
        ("+1.3", "COMPLETED", "2"),
    ]

    def rows() -> bool:
        done = slurm.run("sacct", "-n", "-P", "-j", leader, "-o", "JobID,State,NTasks")
        found = [line.split("|") for line in done.stdout.splitlines()]
        steps = [(f"+{job.partition('+')[2]}" if "." in job else "", state, tasks) for job, state, tasks in found]
        return steps == expected

    until(rows, what="the steps in accounting", interval=0.1)


def test_component_cancelled_under_a_step(slurm: SlurmUnderTest) -> None:
    """Its part of the step ends, the others go on."""
    slurm.wait_idle()
    body = "srun --het-group=0,1 sh -c 'touch up$SLURM_PROCID; while [ ! -e go ]; do sleep 0.1; done'; echo rc=$?"
    leader = slurm.sbatch(body, "-n1", ":", "-n1", "-o", "o.txt")
    until(lambda: (slurm.workdir / "up0").exists() and (slurm.workdir / "up1").exists(), what="both tasks")
    assert slurm.run("squeue", "-h", "-s", "-j", f"{int(leader) + 1}", "-o", "%i").stdout == f"{int(leader) + 1}.0\n"
    slurm.run("scancel", f"{int(leader) + 1}")
    become(slurm, leader, ["+0 R None", "+1 CA None"])
    (slurm.workdir / "go").touch()
    become(slurm, leader, ["+0 CD None", "+1 CA None"])
    output = slurm.output("o.txt")
    assert "rc=143\n" in output
    assert "srun: error: n2: task 0: Terminated\n" in output
    assert f"slurmstepd-n2: error: *** STEP {int(leader) + 1}.0 ON n2 CANCELLED AT " in output
