"""The environments that the fake makes, against dumps of real Slurms: every name and every value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakeslurm.contract.environments import normalized, recorded
from fakeslurm.environment import batch_environment, step_environment, task_environment
from fakeslurm.exports import exported, login_environment
from fakeslurm.model import Job, JobDescription, Node, Partition, Settings, Step, StepRequest
from fakeslurm.slurmctld import Controller

DUMPS: Mapping[str, Mapping[str, str]] = json.loads((Path(__file__).parent / "data/environment-dumps.json").read_text())
PER_RUN = {"SLURM_TASK_PID", "SLURM_SRUN_COMM_PORT", "SLURM_STEP_LAUNCHER_PORT"}
NOW = 1795461119.0
HOME = {"HOME": "/root", "PATH": "/bin"}


def same(made: Mapping[str, str], dump: Mapping[str, str]) -> None:
    """Equal but for what differs between any two runs; pytest shows which names or values do not agree."""
    assert {name: value for name, value in made.items() if name not in PER_RUN} == {
        name: value for name, value in dump.items() if name not in PER_RUN
    }


def settings_of(dump: str) -> Settings:
    if dump == "24.11":
        return Settings(cluster_name="rs", version="24.11", conf="slurm.conf")
    return Settings(
        cluster_name="anchors",
        nodes=[Node(f"node{number}") for number in range(8, 12)],
        partitions=[Partition("debug", default=True)],
        accounting=False,
        conf="/cluster/slurm.conf",
        control_port=27817,
    )


def start(settings: Settings, **options: Any) -> tuple[Controller, Job]:
    controller = Controller(settings)
    known: dict[str, Any] = {
        "script": b"#!/bin/sh\n",
        "name": "env.sh",
        "submit_host": "vm",
        "work_dir": "/cluster/jobs",
    }
    job = controller.jobs[controller.submit(JobDescription(**known | options), NOW)]
    assert job.nodes
    return controller, job


def batch(settings: Settings | None = None, **options: Any) -> dict[str, str]:
    settings = settings or settings_of("22.05")
    return batch_environment(start(settings, **options)[1], settings, HOME)


def step_of(controller: Controller, job: Job, **request: Any) -> Step:
    step = controller.create_step(job.job_id, StepRequest(name="env", **request), NOW)
    assert step is not None
    return step


def rank_environment(
    settings: Settings, job: Job, step: Step, rank: int, environ: Mapping[str, str], *args: Any, **kwargs: Any
) -> dict[str, str]:
    common = step_environment(job, step, settings, environ, *args, **kwargs)
    return common | task_environment(job, step, settings, rank)


# Dumps

JOBS_22_05: Mapping[int, tuple[Mapping[str, Any], int, Mapping[str, Any]]] = {
    1: (
        {"name": "envjob", "min_nodes": 2, "max_nodes": 2, "ntasks": 3, "cpus_per_task": 1, "mem_per_node": 100},
        3,
        {},
    ),
    2: ({}, 1, {}),
    3: ({"min_nodes": 4, "max_nodes": 4, "ntasks_per_node": 2}, 8, {}),
}


@pytest.mark.parametrize("number", JOBS_22_05)
def test_dumps_of_22_05(number: int) -> None:
    options, ntasks, _ = JOBS_22_05[number]
    settings = settings_of("22.05")
    controller, job = start(settings, **options)
    job.job_id = number
    script = batch_environment(job, settings)
    same(script, DUMPS[f"22.05/batch.{number}"])
    controller.jobs[1].job_id = 1
    step = step_of(controller, job, ntasks=ntasks)
    job.job_id = number
    for rank in range(ntasks):
        same(rank_environment(settings, job, step, rank, script), DUMPS[f"22.05/step.{number}.{rank}"])


LAUNCHERS = {
    *("HYDRA_BOOTSTRAP", "HYDRA_LAUNCHER_EXTRA_ARGS", "I_MPI_HYDRA_BOOTSTRAP", "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS"),
    *("OMPI_MCA_plm_slurm_args", "PRTE_MCA_plm_slurm_args"),
}


def test_dump_of_24_11() -> None:
    """The dump has only the lines with SLURM in them."""
    settings = settings_of("24.11")
    controller, job = start(settings, name="j.sh", min_nodes=3, max_nodes=3, ntasks=7, time_limit=5, work_dir=".")
    script = batch_environment(job, settings)
    assert {name for name in script if "SLURM" not in name} == {"ENVIRONMENT", "HOSTNAME", "TMPDIR", *LAUNCHERS}
    same({name: value for name, value in script.items() if "SLURM" in name}, DUMPS["24.11/batch.1"])
    step = step_of(controller, job, ntasks=7)
    made = rank_environment(settings, job, step, 0, script, variables={"SLURM_LABELIO": "1"})
    besides = {"ENVIRONMENT", "HOSTNAME", "SRUN_DEBUG", "TMPDIR", *LAUNCHERS}
    assert {name for name in made if "SLURM" not in name} == besides
    same({name: value for name, value in made.items() if "SLURM" in name}, DUMPS["24.11/step.1.0"])


# What the contract suite has recorded on 22.05

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "one task": {"ntasks": 1},
    "one task, two CPUs and memory": {"ntasks": 1, "cpus_per_task": 2, "mem_per_node": 100},
    "uneven 4,2,1": {"min_nodes": 3, "max_nodes": 3, "ntasks": 7},
    "two nodes, two tasks each": {"min_nodes": 2, "max_nodes": 2, "ntasks_per_node": 2},
    "four nodes": {"min_nodes": 4, "max_nodes": 4},
    "exclusive": {"min_nodes": 2, "max_nodes": 2, "exclusive": True},
    "memory per CPU": {"ntasks": 2, "mem_per_cpu": 50},
    "named, with a time limit": {"name": "a name", "time_limit": 10},
    "exporting nothing": {"export": "NONE", "ntasks": 2},
    "exporting one and setting one": {"export": "GIVEN,SET=here", "ntasks": 1},
}
RECORDED = recorded("22.05")


def test_every_recorded_shape_is_compared() -> None:
    assert set(SHAPES) == set(RECORDED)


@pytest.mark.parametrize("shape", SHAPES)
def test_recorded_environments(shape: str) -> None:
    settings = Settings(conf="/slurm.conf")
    environ = {"GIVEN": "given", "KEPT": "kept", "PATH": "/bin", "SLURM_CONF": "/slurm.conf"}
    controller, job = start(settings, **{"name": "shape.sh", "environment": environ} | dict(SHAPES[shape]))
    script = batch_environment(job, settings, HOME)
    made = {"batch": script}
    sizes = [("all", {"ntasks": job.num_tasks if job.description.asks_for_tasks else None})]
    if len(job.nodes) == 3:
        sizes.append(("subset", {"ntasks": 3, "min_nodes": 2, "max_nodes": 2}))
    for name, request in sizes:
        step = step_of(controller, job, **request)
        for rank in range(step.ntasks):
            made[f"{name}.{rank}"] = rank_environment(settings, job, step, rank, script)
        assert isinstance(step.step_id, int)
        controller.step_ended(job.job_id, step.step_id, [0] * step.ntasks, NOW)
    for process, environment in RECORDED[shape].items():
        assert normalized(made[process] | {"SLURM_TASK_PID": "1"}) == environment, process


# --export


@pytest.mark.parametrize(
    ("export", "expected"),
    [
        (None, {"A": "aa", "B": "bb", "PATH": "/usr/bin"}),
        ("ALL", {"A": "aa", "B": "bb", "PATH": "/usr/bin"}),
        ("all", {"A": "aa", "B": "bb", "PATH": "/usr/bin"}),
        ("NONE", {}),
        ("NIL", {}),
        ("nil", {}),
        ("", {}),
        ("NOSUCH", {}),
        ("A", {"A": "aa"}),
        (",A", {"A": "aa"}),
        ("A,X=1", {"A": "aa", "X": "1"}),
        ("A,B=", {"A": "aa", "B": ""}),
        ("A=2", {"A": "2"}),
        ("X='a,b',Y=2", {"X": "'a,b'", "Y": "2"}),
        ('X="a b",Y', {"X": '"a b"'}),
        ("A, B=3", {"A": "aa", " B": "3"}),
        ("A=$B", {"A": "$B"}),
        ("NONE,X=1", {"X": "1"}),
        ("ALL,X=a=b", {"A": "aa", "B": "bb", "PATH": "/usr/bin", "X": "a=b"}),
        ("X=1,ALL", {"A": "aa", "B": "bb", "PATH": "/usr/bin", "X": "1"}),
        ("A=2,ALL", {"A": "aa", "B": "bb", "PATH": "/usr/bin"}),
    ],
)
def test_export(export: str | None, expected: Mapping[str, str]) -> None:
    """Each line was run on 22.05.8."""
    environ = {"A": "aa", "B": "bb", "PATH": "/usr/bin"}
    assert exported(environ, export) == expected
    always = {"SLURM_CONF": "/c", "SPANK_X": "1"}
    assert exported(environ | always, export) == {**expected, **always}


def test_export_other_than_all_brings_the_login_environment() -> None:
    made = batch(environment={"A": "aa", "HOME": "/elsewhere", "PATH": "/usr/bin"}, export="A")
    assert made["SLURM_EXPORT_ENV"] == "A"
    assert made["SLURM_GET_USER_ENV"] == "1"
    assert {name: made.get(name) for name in ("A", "HOME", "PATH")} == {"A": "aa", **HOME}
    assert batch(environment={}, export="PATH=/mine")["PATH"] == "/mine"


@pytest.mark.parametrize("export", [None, "ALL"])
def test_export_all_adds_nothing(export: str | None) -> None:
    made = batch(environment={"A": "aa"}, export=export)
    assert "PATH" not in made
    assert "HOME" not in made
    assert not {"SLURM_EXPORT_ENV", "SLURM_GET_USER_ENV"} & set(made)


def test_login_environment() -> None:
    assert login_environment("root")["USER"] == "root"
    assert set(login_environment("root")) >= {"HOME", "LOGNAME", "PATH", "SHELL", "USER"}
    assert login_environment("no such user")["LOGNAME"] == "no such user"


def test_steps_of_a_job_that_exports_nothing() -> None:
    """srun takes the export from SLURM_EXPORT_ENV; then even PATH, SRUN_DEBUG and ENVIRONMENT are gone (measured)."""
    settings = settings_of("22.05")
    controller, job = start(settings, export="NONE", environment={"SLURM_FOO": "4"})
    script = batch_environment(job, settings, HOME)
    made = rank_environment(settings, job, step_of(controller, job), 0, script, "NONE")
    assert {name for name in made if not name.startswith("SLURM")} == {"TMPDIR"}
    assert made["SLURM_FOO"] == "4"


# What leaks and what does not

SRUN_OUTSIDE = """
PATH SLURMD_NODENAME CLUSTER_NAME CONF CPUS_ON_NODE GTIDS JOBID JOB_ACCOUNT JOB_CPUS_PER_NODE JOB_GID JOB_ID
JOB_NAME JOB_NODELIST JOB_NUM_NODES JOB_PARTITION JOB_QOS JOB_UID JOB_USER LAUNCH_NODE_IPADDR LOCALID NNODES
NODEID NODELIST NPROCS NTASKS PRIO_PROCESS PROCID SRUN_COMM_HOST SRUN_COMM_PORT STEPID STEP_ID
STEP_LAUNCHER_PORT STEP_NODELIST STEP_NUM_NODES STEP_NUM_TASKS STEP_TASKS_PER_NODE SUBMIT_DIR SUBMIT_HOST
TASKS_PER_NODE TOPOLOGY_ADDR TOPOLOGY_ADDR_PATTERN UMASK WORKING_CLUSTER SRUN_DEBUG TMPDIR
"""

BARE_SRUN = """
PATH SLURMD_NODENAME CONF CPUS_ON_NODE DISTRIBUTION GTIDS JOBID JOB_CPUS_PER_NODE_PACK_GROUP_0 JOB_GID JOB_ID
JOB_NAME JOB_NODELIST JOB_PARTITION JOB_UID JOB_USER LAUNCH_NODE_IPADDR LOCALID NNODES NODEID NODELIST NPROCS
NTASKS PRIO_PROCESS PROCID SRUN_COMM_HOST SRUN_COMM_PORT STEPID STEP_ID STEP_LAUNCHER_PORT STEP_NODELIST
STEP_NUM_NODES STEP_NUM_TASKS STEP_TASKS_PER_NODE TASKS_PER_NODE TOPOLOGY_ADDR TOPOLOGY_ADDR_PATTERN UMASK
WORKING_CLUSTER SRUN_DEBUG TMPDIR
"""


def test_slurm_variables_of_the_submitter() -> None:
    """A job that was submitted inside another one, as seen on 22.05.8."""
    leaked = {
        "ENVIRONMENT": "q",
        "HOSTNAME": "zzz",
        "SBATCH_COMMENT": "hi",
        "SLURMD_NODENAME": "x",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_CPUS_PER_TASK": "7",
        "SLURM_FOO": "4",
        "SLURM_JOB_ID": "77",
        "SLURM_NNODES": "8",
        "SLURM_NTASKS": "9",
        "SLURM_RESTART_COUNT": "3",
        "SLURM_STEP_ID": "4",
        "TMPDIR": "/var/tmp",
    }
    kept = {
        name: leaked[name] for name in ("SBATCH_COMMENT", "SLURM_ARRAY_TASK_ID", "SLURM_FOO", "SLURM_RESTART_COUNT")
    }
    made = batch(environment=leaked, ntasks=2)
    assert kept | {"SLURM_STEP_ID": "4", "TMPDIR": "/var/tmp"} == {
        name: made[name] for name in (*kept, "SLURM_STEP_ID", "TMPDIR")
    }
    assert made["ENVIRONMENT"] == "BATCH"
    assert made["HOSTNAME"] == made["SLURMD_NODENAME"] == "node8"
    assert (made["SLURM_NTASKS"], made["SLURM_NPROCS"], made["SLURM_NNODES"]) == ("2", "2", "1")
    assert made["SLURM_JOB_ID"] == "1"
    assert made["SLURM_CPUS_PER_TASK"] == "1"
    assert batch(environment=leaked)["SLURM_NTASKS"] == "9"


def test_a_step_of_an_srun_that_knows_only_its_job() -> None:
    """`env -i PATH=... SLURM_JOB_ID=... srun env` in a job, on 22.05.8: what srun sets itself."""
    settings = Settings(conf="/slurm.conf")
    controller, job = start(settings, min_nodes=2, max_nodes=2, ntasks=3, cpus_per_task=1, mem_per_node=100)
    step = step_of(controller, job)
    made = rank_environment(settings, job, step, 1, {"PATH": "/bin", "SLURM_JOB_ID": str(job.job_id)})
    assert sorted(name.removeprefix("SLURM_") for name in made) == sorted(BARE_SRUN.split())
    assert made["SLURM_JOB_NAME"] == "env"
    assert made["SLURM_STEP_TASKS_PER_NODE"] == "1(x2)"


def test_srun_outside_a_job() -> None:
    """`env -i PATH=... SLURM_CONF=... srun env` on 22.05.8."""
    settings = Settings(conf="/slurm.conf")

    def run(**options: Any) -> dict[str, str]:
        controller = Controller(settings)
        job = controller.jobs[controller.allocate(JobDescription(name="env", submit_host="vm", **options), NOW)]
        step = step_of(controller, job, ntasks=1, distribution=options.get("distribution"))
        return rank_environment(settings, job, step, 0, {"PATH": "/bin", "SLURM_CONF": "/slurm.conf"})

    made = run()
    assert sorted(name.removeprefix("SLURM_") for name in made) == sorted(SRUN_OUTSIDE.split())
    assert run(mem_per_node=100)["SLURM_DISTRIBUTION"] == "cyclic"
    assert run(distribution="block")["SLURM_DISTRIBUTION"] == "block"


# Options


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"cpus_per_task": 2}, {"SLURM_CPUS_PER_TASK": "2"}),
        ({"mem_per_cpu": 50}, {"SLURM_MEM_PER_CPU": "50"}),
        ({"mem_per_node": 0}, {}),
        ({"overcommit": True}, {"SLURM_OVERCOMMIT": "1"}),
        ({"distribution": "plane=2"}, {"SLURM_DISTRIBUTION": "plane", "SLURM_DIST_PLANESIZE": "2"}),
        ({"distribution": "block:cyclic"}, {"SLURM_DISTRIBUTION": "block:cyclic"}),
        ({"threads_per_core": 1}, {"SLURM_THREADS_PER_CORE": "1"}),
        ({"ntasks_per_core": 1}, {"SLURM_NTASKS_PER_CORE": "1"}),
        ({"ntasks_per_socket": 1}, {"SLURM_NTASKS_PER_SOCKET": "1"}),
        ({"dependency": "afterok:44"}, {"SLURM_JOB_DEPENDENCY": "afterok:44"}),
        ({"time_limit": 5, "comment": "x", "nice": 5, "requeue": True}, {}),
    ],
)
def test_variables_of_options(options: Mapping[str, Any], names: Mapping[str, str]) -> None:
    plain, made = batch(), batch(**options)
    assert {name: value for name, value in made.items() if name not in plain} == names


def test_a_range_of_nodes_with_tasks_per_node() -> None:
    assert batch(min_nodes=2, max_nodes=3, ntasks_per_node=2)["SLURM_NTASKS"] == "6"


def test_a_script_from_stdin_has_no_job_name() -> None:
    assert "SLURM_JOB_NAME" not in batch(name="sbatch", name_in_environment=False)


def test_the_directory_of_submission_is_not_that_of_the_job() -> None:
    assert batch(work_dir="/elsewhere", submit_dir="/here")["SLURM_SUBMIT_DIR"] == "/here"


def test_restart_count() -> None:
    settings = settings_of("22.05")
    _, job = start(settings)
    assert "SLURM_RESTART_COUNT" not in batch_environment(job, settings)
    job.restart_count = 1
    assert batch_environment(job, settings)["SLURM_RESTART_COUNT"] == "1"


def test_end_time_of_a_job_without_a_limit() -> None:
    made = batch(settings_of("24.11"))
    assert int(made["SLURM_JOB_END_TIME"]) - int(made["SLURM_JOB_START_TIME"]) == 365 * 24 * 3600


def test_variables_of_a_step() -> None:
    settings = settings_of("22.05")
    controller, job = start(settings, ntasks=4)
    script = batch_environment(job, settings)
    step = step_of(
        controller, job, ntasks=2, cpus_per_task=2, ntasks_per_node=2, distribution="plane=2", overcommit=True
    )
    made = step_environment(job, step, settings, script, umask=0o27, debug=4)
    assert made["SLURM_CPUS_PER_TASK"] == "2"
    assert made["SLURM_NTASKS_PER_NODE"] == "2"
    assert made["SLURM_OVERCOMMIT"] == "1"
    assert (made["SLURM_DISTRIBUTION"], made["SLURM_DIST_PLANESIZE"]) == ("plane", "2")
    assert (made["SLURM_UMASK"], made["SRUN_DEBUG"]) == ("0027", "4")


def test_a_rank_that_is_not_there() -> None:
    settings = settings_of("22.05")
    controller, job = start(settings)
    step = step_of(controller, job)
    with pytest.raises(ValueError, match=r"step 1\.0 has 1 tasks, no rank 1"):
        task_environment(job, step, settings, 1)
