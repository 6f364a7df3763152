"""How many nodes and tasks a step is to have: what srun reads in its environment, and what it says of numbers that do not fit together."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest

CONFIGURATION = "Requested node configuration is not available"
MORE = "More processors requested than permitted"
FEWER = "srun: {warning}: can't run {tasks} processes on {nodes} nodes, setting nnodes to {tasks}\n"
ALLOCATED = "srun: error: Only allocated {has} nodes asked for {asked}\n"


def said(slurm: SlurmUnderTest, job: str, call: str) -> str:
    """What a job with these options hears from srun, on both outputs, and its return code."""
    job_id = slurm.sbatch(f"{call} 2>&1\necho $?", *job.split(), "-o", "out")
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    return slurm.output_of_steps("out").replace(f"job {job_id}:", "job J:")


def fewer(slurm: SlurmUnderTest, tasks: int, nodes: int) -> str:
    return FEWER.format(warning="warning" if slurm.at_least("24.11") else "Warning", tasks=tasks, nodes=nodes)


def no_step(problem: str) -> str:
    return f"srun: error: Unable to create step for job J: {problem}\n1\n"


@pytest.mark.parametrize(
    ("job", "call", "tasks", "has"),
    [
        ("--ntasks-per-node=4", "srun -N9", 4, 1),
        ("--ntasks-per-node=4", "SLURM_NTASKS=3 srun -N9", 3, 1),
        ("--ntasks-per-node=4", "SLURM_NPROCS=3 srun -N9", 4, 1),
        ("--ntasks-per-node=4", "srun -N9 -n2", 2, 1),
        ("--ntasks-per-node=4 -N1", "SLURM_JOB_NUM_NODES=9 srun", 4, 1),
        ("-N2 -n4 -c1", "srun -N9", 4, 2),
    ],
)
def test_more_nodes_than_tasks_and_than_there_are(
    slurm: SlurmUnderTest, job: str, call: str, tasks: int, has: int
) -> None:
    expected = fewer(slurm, tasks, 9) + ALLOCATED.format(has=has, asked=tasks) + "1\n"
    assert said(slurm, job, f"{call} true") == expected


@pytest.mark.parametrize(("per_node", "tasks"), [("1", "3"), ("2", None)])
def test_tasks_per_node_decide_after_the_nodes(slurm: SlurmUnderTest, per_node: str, tasks: str | None) -> None:
    """Since 24.11 the job's number of tasks says how many nodes there may be, --ntasks-per-node how many tasks are on them."""
    text = said(slurm, "-N3 -n3", f"srun -N9 --ntasks-per-node={per_node} printenv SLURM_NTASKS | sort -u")
    if slurm.at_least("24.11") and tasks is None:
        assert text == fewer(slurm, 3, 9) + no_step(MORE)[:-2] + "0\n"
    else:
        assert text.startswith(fewer(slurm, 3, 9))
        assert text.endswith("3\n0\n")


@pytest.mark.parametrize(
    ("job", "call", "expected"),
    [
        ("-N2", "SLURM_NNODES=9 srun", "0:2 1:2"),
        ("-N2", "SLURM_NNODES=x srun", "0:2 1:2"),
        ("-N2", "env -u SLURM_NNODES srun", "0:2 1:2"),
        ("-N2", "env -u SLURM_JOB_NUM_NODES srun", "0:2 1:2"),
        ("-N2", "SLURM_JOB_NUM_NODES=1 srun", "0:1"),
        ("-N2", "SLURM_JOB_NUM_NODES=9 srun -N1", "0:1"),
        ("-N1 -n2", "SLURM_JOB_NUM_NODES=2 srun", "(2 != 1) 0:1 1:1"),
        ("-N2", "SLURM_JOB_NUM_NODES=9 srun", "(9 != 2) 0:2 1:2"),
    ],
)
def test_the_variable_of_nodes(slurm: SlurmUnderTest, job: str, call: str, expected: str) -> None:
    """It is SLURM_JOB_NUM_NODES; more than there are it is not obeyed."""
    text = said(slurm, job, f"{call} -O sh -c 'echo $SLURM_PROCID:$SLURM_STEP_NUM_NODES' | sort")
    conflict = "srun: error: SLURM_JOB_NUM_NODES environment variable conflicts with allocated node count "
    ranks = expected.replace(") ", ")\n")
    numbers, _, rest = ranks.rpartition("\n")
    assert sorted(text.splitlines()) == sorted([*([f"{conflict}{numbers}."] if numbers else []), *rest.split(), "0"])


@pytest.mark.parametrize(
    ("variable", "complaint", "code"),
    [
        ("SLURM_NTASKS", 'Invalid numeric value "" for --ntasks.', 1),
        ("SLURM_NPROCS", 'Invalid numeric value "" for --ntasks.', 1),
        ("SLURM_NTASKS_PER_NODE", 'Invalid numeric value "" for --ntasks-per-node.', 1),
        ("SLURM_THREADS_PER_CORE", 'Invalid numeric value "" for --threads-per-core.', 1),
        ("SLURM_JOB_NUM_NODES", '"" is not a valid node count', 255),
        ("SLURM_DISTRIBUTION", "Invalid --distribution specification", 255),
        ("SLURM_MEM_BIND", 'unrecognized --mem-bind argument ""', 255),
        ("SLURM_MEM_PER_CPU", "Invalid --mem-per-cpu specification", 255),
        ("SLURM_MEM_PER_NODE", "Invalid --mem specification", 255),
        ("SLURM_OPEN_MODE", "Invalid --open-mode specification", 255),
        ("SLURM_TIMELIMIT", "Invalid --time specification", 255),
        ("SLURM_BCAST", "", 0),
        ("SLURM_EPILOG", "", 0),
        ("SLURM_IMMEDIATE", "", 0),
        ("SLURM_STDOUTMODE", "", 0),
        ("SLURM_WAIT", "", 0),
        ("SLURM_PARTITION", "", 0),
    ],
)
def test_variables_without_a_value(slurm: SlurmUnderTest, variable: str, complaint: str, code: int) -> None:
    """They are options with an empty value, but for some, which are as if they were not set."""
    text = f"srun: error: {complaint}\n" if complaint else ""
    assert said(slurm, "-n1", f"{variable}= srun true") == f"{text}{code}\n"


@pytest.mark.parametrize("call", ["--cpu-bind=", "--mem-bind=", "--mem-bind=x"])
def test_bound_to_what_there_is_not(slurm: SlurmUnderTest, call: str) -> None:
    name, _, value = call.removeprefix("--").partition("=")
    text = f'srun: error: unrecognized --{name} argument "{value}"\n'
    if name == "cpu-bind":
        lacks = "" if slurm.at_least("24.11") else "srun: cluster configuration lacks support for cpu binding\n"
        text = f"{lacks}{text}srun: fatal: Failed to parse --cpu-bind= values.\n1\n"
    else:
        text += "255\n"
    assert said(slurm, "-n1", f"srun {call} true") == text


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("-n9 -w n1", MORE),
        ("-n6 -w n[1-2]", MORE),
        ("-N2 -n5 -w n1", MORE),
        ("-N2 -n5 -w n[1-2]", CONFIGURATION),
        ("-n5 -N2 -x n2", CONFIGURATION),
        ("-n9", MORE),
    ],
)
def test_too_many_tasks_for_nodes_that_are_named(slurm: SlurmUnderTest, step: str, problem: str) -> None:
    """Another reason is given where all nodes of the step are."""
    slurm.wait_idle()
    assert said(slurm, "-N3 -n5 -w n[1-3]", f"srun {step} true") == no_step(problem)


@pytest.mark.parametrize("option", ["-c2", "-Q -c2", "-c1"])
def test_more_cpus_for_a_task_than_the_job_has_asked_for(slurm: SlurmUnderTest, option: str) -> None:
    text = said(slurm, "-n4 -N1 -c1", f"srun {option} -n2 true")
    exceeds = "srun: Job step's --cpus-per-task value exceeds that of job (2 > 1). Job step may never run.\n"
    assert text == (exceeds if slurm.at_least("24.11") and "2" in option else "") + "0\n"


def test_a_node_that_is_named_and_too_small(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    text = said(slurm, "-N3 -n5 -w n[1-3]", "timeout 20 srun -w n[1-2] -n1 -c3 true")
    assert text == fewer(slurm, 1, 3) + (no_step(CONFIGURATION) if slurm.at_least("24.11") else "0\n")
