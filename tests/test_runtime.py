"""`JobContext`: recorded environments, generated layouts, damaged environments."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeslurm import strategies
from slurmkit import runtime
from slurmkit.errors import SlurmkitError
from slurmkit.runtime import JobContext, JobEnvironmentError, current_job_context
from slurmkit.slurm import hostlist, layout

DATA = resources.files("fakeslurm.contract") / "data"
RECORDED: Mapping[str, Mapping[str, Mapping[str, dict[str, str]]]] = {
    file.name: json.loads(file.read_text()) for file in DATA.iterdir() if file.name.startswith("environment-")
}
"""File (one per version of Slurm), shape of the job, process -> environment."""


def recorded(shape: str, process: str, file: str = "environment-22.05.json") -> dict[str, str]:
    return RECORDED[file][shape][process] | {"SLURM_JOB_ID": "12", "SLURM_JOBID": "12"}


def facts(context: JobContext) -> tuple[Any, ...]:
    return (
        (context.rank, context.local_rank, context.node_rank),
        (context.world_size, context.local_world_size, context.num_nodes),
        (context.tasks_per_node, context.hostnames, context.hostname),
    )


N123, N12 = ("n1", "n2", "n3"), ("n1", "n2")


@pytest.mark.parametrize(
    ("shape", "process", "place", "size", "hosts"),
    [
        ("uneven 4,2,1", "batch", (0, 0, 0), (7, 4, 3), ((4, 2, 1), N123, "n1")),
        ("uneven 4,2,1", "all.0", (0, 0, 0), (7, 4, 3), ((4, 2, 1), N123, "n1")),
        ("uneven 4,2,1", "all.3", (3, 3, 0), (7, 4, 3), ((4, 2, 1), N123, "n1")),
        ("uneven 4,2,1", "all.5", (5, 1, 1), (7, 2, 3), ((4, 2, 1), N123, "n2")),
        ("uneven 4,2,1", "all.6", (6, 0, 2), (7, 1, 3), ((4, 2, 1), N123, "n3")),
        # srun -N2 -n3 in the job of 3 nodes: SLURM_JOB_NODELIST and SLURM_JOB_NUM_NODES still say 3 (fact E7)
        ("uneven 4,2,1", "subset.1", (1, 1, 0), (3, 2, 2), ((2, 1), N12, "n1")),
        ("uneven 4,2,1", "subset.2", (2, 0, 1), (3, 1, 2), ((2, 1), N12, "n2")),
        ("two nodes, two tasks each", "all.3", (3, 1, 1), (4, 2, 2), ((2, 2), N12, "n2")),
        ("four nodes", "all.2", (2, 0, 2), (4, 1, 4), ((1, 1, 1, 1), (*N123, "n4"), "n3")),
        # without -n the batch script has no SLURM_NTASKS; a bare srun starts one task per node
        ("four nodes", "batch", (0, 0, 0), (4, 1, 4), ((1, 1, 1, 1), (*N123, "n4"), "n1")),
        ("plain", "batch", (0, 0, 0), (1, 1, 1), ((1,), ("n1",), "n1")),
        # SLURM_TASKS_PER_NODE is 4(x2) here, the CPUs; srun starts two tasks
        ("exclusive", "batch", (0, 0, 0), (2, 1, 2), ((1, 1), N12, "n1")),
        ("exclusive", "all.1", (1, 0, 1), (2, 1, 2), ((1, 1), N12, "n2")),
    ],
)
def test_recorded_environments(shape: str, process: str, place: Any, size: Any, hosts: Any) -> None:
    context = JobContext.from_env(recorded(shape, process))
    assert facts(context) == (place, size, hosts)
    assert context.master_addr == hosts[1][0]
    assert context.partition == "debug"
    assert context.step_id == {"batch": None, "all": "0", "subset": "1"}[process.partition(".")[0]]


@pytest.mark.parametrize(
    ("file", "shape", "process"),
    [(file, shape, process) for file, shapes in RECORDED.items() for shape in shapes for process in shapes[shape]],
)
def test_every_recorded_environment_is_understood(file: str, shape: str, process: str) -> None:
    env = recorded(shape, process, file)
    context = JobContext.from_env(env)
    assert context.rank == (0 if process == "batch" else int(process.rpartition(".")[2]))
    assert context.environment == {name: value for name, value in env.items() if name.startswith("SLURM")}
    assert context.hostname == context.hostnames[context.node_rank]
    assert context.master_port == runtime.FIRST_PORT + 12
    assert context.cpus_per_task == (2 if "two CPUs" in shape else 1)


@pytest.mark.parametrize("file", RECORDED)
def test_the_ranks_of_a_recorded_step_complete_each_other(file: str) -> None:
    contexts = [JobContext.from_env(recorded("uneven 4,2,1", f"all.{rank}", file)) for rank in range(7)]
    assert [context.node_rank for context in contexts] == [0, 0, 0, 0, 1, 1, 2]
    assert [context.local_rank for context in contexts] == [0, 1, 2, 3, 0, 1, 0]
    assert len({context.master_port for context in contexts}) == 1


STEP_24_11 = {
    "SLURMD_NODENAME": "n1",
    "SLURM_DISTRIBUTION": "block",
    "SLURM_GTIDS": "0,1,2,3",
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_CPUS_PER_NODE": "4,2,1",
    "SLURM_JOB_NODELIST": "n[1-3]",
    "SLURM_JOB_NUM_NODES": "3",
    "SLURM_JOB_PARTITION": "debug",
    "SLURM_JOB_START_TIME": "1795461119",
    "SLURM_LOCALID": "0",
    "SLURM_NNODES": "3",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS": "7",
    "SLURM_PROCID": "0",
    "SLURM_SRUN_COMM_PORT": "37863",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[1-3]",
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_STEP_TASKS_PER_NODE": "4,2,1",
    "SLURM_TASKS_PER_NODE": "4,2,1",
}
"""From a step of 24.11.5."""


def test_environment_of_24_11() -> None:
    context = JobContext.from_env(STEP_24_11)
    assert facts(context) == ((0, 0, 0), (7, 4, 3), ((4, 2, 1), N123, "n1"))
    assert context.master_port == runtime.FIRST_PORT + 1 != 37863
    batch = {name: value for name, value in STEP_24_11.items() if "STEP" not in name}
    assert facts(JobContext.from_env(batch)) == facts(context)


def test_other_distributions_give_the_own_place() -> None:
    """``srun -m cyclic`` of 5 tasks on 3,1,1: rank 1 is on the second node (fact 5.12)."""
    more = {"SLURM_STEP_TASKS_PER_NODE": "3,1(x2)", "SLURM_STEP_NUM_TASKS": "5", "SLURMD_NODENAME": "n2"}
    context = JobContext.from_env(STEP_24_11 | more | {"SLURM_PROCID": "1", "SLURM_NODEID": "1"})
    assert (context.rank, context.node_rank, context.local_rank, context.hostname) == (1, 1, 0, "n2")


def test_arrays_and_restarts() -> None:
    array = {"SLURM_ARRAY_JOB_ID": "30", "SLURM_ARRAY_TASK_ID": "5", "SLURM_RESTART_COUNT": "2"}
    context = JobContext.from_env(STEP_24_11 | array)
    assert (context.array_job_id, context.array_task_id, context.restart_count) == ("30", 5, 2)
    plain = JobContext.from_env(STEP_24_11)
    assert (plain.array_job_id, plain.array_task_id, plain.restart_count) == (None, None, 0)


@pytest.mark.parametrize("numbered", ["SLURM_NTASKS_PER_NODE_HET_GROUP_0", "SLURM_NTASKS_HET_GROUP_0"])
def test_the_batch_script_of_a_heterogeneous_job(numbered: str) -> None:
    """Of its own component some variables are there with a number only; of 24.11, that includes SLURM_NTASKS."""
    env = {
        "SLURM_JOB_ID": "3",
        "SLURM_HET_SIZE": "2",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_TASKS_PER_NODE": "2(x2)",
        "SLURM_PROCID": "0",
        "SLURM_CPUS_PER_TASK_HET_GROUP_0": "3",
        "SLURM_CPUS_PER_TASK_HET_GROUP_1": "4",
        numbered: "4" if "PER_NODE" not in numbered else "2",
    }
    context = JobContext.from_env(env)
    assert facts(context) == ((0, 0, 0), (4, 2, 2), ((2, 2), N12, "n1"))
    assert context.cpus_per_task == 3
    assert context.environment == env


def test_ports_of_neighbours_differ() -> None:
    ports = [JobContext.fake(job_id=str(number)).master_port for number in range(29_990, 30_010)]
    assert len(set(ports)) == len(ports)
    assert all(1024 < port < 32768 for port in ports)


@pytest.mark.parametrize(
    ("variables", "gpus"),
    [
        ({}, 0),
        ({"SLURM_GPUS_ON_NODE": "3"}, 3),
        ({"SLURM_GPUS_PER_NODE": "2", "SLURM_GPUS_ON_NODE": "1"}, 2),
        ({"SLURM_GPUS_PER_NODE": "a100:2"}, 2),
        ({"SLURM_GPUS_PER_NODE": "a100:2,v100:1"}, 3),
    ],
)
def test_gpus_per_node(variables: dict[str, str], gpus: int) -> None:
    assert JobContext.from_env(STEP_24_11 | variables).gpus_per_node == gpus


def test_job_dir() -> None:
    context = JobContext.from_env(STEP_24_11 | {"JOB_DIR": "/jobs/a b"})
    assert (context.job_dir, context.output_dir) == (Path("/jobs/a b"), Path("/jobs/a b/output"))
    assert "JOB_DIR" not in context.environment
    bare = JobContext.from_env(STEP_24_11)
    assert (bare.job_dir, bare.output_dir) == (None, None)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"SLURM_JOB_ID": None}, "SLURM_JOB_ID is not set"),
        ({"SLURM_JOB_ID": "x"}, "SLURM_JOB_ID is 'x'; valid: a number of 0 or more"),
        ({"SLURM_PROCID": "-1"}, "SLURM_PROCID is '-1'; valid: a number"),
        ({"SLURM_PROCID": "٣"}, "SLURM_PROCID is '٣'; valid: a number"),
        ({"SLURM_PROCID": None}, "SLURM_PROCID is not set"),
        ({"SLURM_PROCID": "7"}, "SLURM_PROCID is 7: with the rest of the environment, valid are 0 to 6"),
        ({"SLURM_NODEID": "3"}, "SLURM_NODEID is 3: with the rest of the environment, valid are 0 to 2"),
        ({"SLURM_LOCALID": "4"}, "SLURM_LOCALID is 4: with the rest of the environment, valid are 0 to 3"),
        ({"SLURM_STEP_NODELIST": "n[3-1]"}, "SLURM_STEP_NODELIST is 'n[3-1]'; valid: a hostlist"),
        ({"SLURM_STEP_NODELIST": "(null)"}, "SLURM_STEP_NODELIST is '(null)'; valid: a hostlist of one host"),
        ({"SLURM_STEP_NODELIST": "n[1-2]"}, "SLURM_STEP_TASKS_PER_NODE is '4,2,1', which is 3 nodes"),
        ({"SLURM_STEP_TASKS_PER_NODE": "4;2"}, "SLURM_STEP_TASKS_PER_NODE is '4;2'; valid: counts per node"),
        ({"SLURM_STEP_NUM_TASKS": "8"}, "which is 7 tasks, but SLURM_STEP_NUM_TASKS is 8"),
        ({"SLURM_CPUS_PER_TASK": "two"}, "SLURM_CPUS_PER_TASK is 'two'"),
        ({"SLURM_GPUS_PER_NODE": "a100"}, "SLURM_GPUS_PER_NODE is 'a100'; valid: a number, or TYPE:NUMBER"),
        ({"SLURM_ARRAY_TASK_ID": ""}, "SLURM_ARRAY_TASK_ID is not set"),
    ],
)
def test_damaged_environments_name_the_variable(damage: dict[str, str | None], words: str) -> None:
    env = {name: value for name, value in (STEP_24_11 | damage).items() if value is not None}
    with pytest.raises(JobEnvironmentError, match=re.escape(words)) as caught:
        JobContext.from_env(env)
    assert isinstance(caught.value, SlurmkitError)
    assert isinstance(caught.value, ValueError)


LAYOUTS = strategies.task_counts()


@given(LAYOUTS, st.data())
def test_fake_agrees_with_from_env(counts: list[int], data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, sum(counts) - 1))
    context = JobContext.fake(counts, rank)
    assert JobContext.from_env(context.environment) == context
    # block distribution, counted the slow way
    places = [(node, local) for node, count in enumerate(counts) for local in range(count)]
    assert (context.node_rank, context.local_rank) == places[rank]
    assert (context.world_size, context.local_world_size) == (len(places), counts[places[rank][0]])
    assert (context.num_nodes, context.tasks_per_node) == (len(counts), tuple(counts))
    assert context.hostname == context.hostnames[context.node_rank]
    assert len(set(context.hostnames)) == len(counts)


@given(LAYOUTS, LAYOUTS, st.data())
def test_the_step_wins_over_its_job(job: list[int], step: list[int], data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, sum(step) - 1))
    fake = JobContext.fake(step, rank)
    of_the_job = {
        "SLURM_JOB_NODELIST": hostlist.compress(f"m{number}" for number in range(len(job))),
        "SLURM_TASKS_PER_NODE": layout.format(job),
        "SLURM_NTASKS": str(sum(job)),
        "SLURM_JOB_NUM_NODES": str(len(job)),
    }
    context = JobContext.from_env({**fake.environment, **of_the_job})
    assert attrs.evolve(context, environment={}) == attrs.evolve(fake, environment={})


@given(LAYOUTS, st.randoms(use_true_random=False))
def test_any_assignment_of_ranks_to_nodes_is_taken_as_it_is(counts: list[int], random: Any) -> None:
    """The layout says how many tasks a node has, not which."""
    places = [(node, local) for node, count in enumerate(counts) for local in range(count)]
    random.shuffle(places)
    base = dict(JobContext.fake(counts).environment)
    for rank, (node, local) in enumerate(places):
        own = {"SLURM_PROCID": str(rank), "SLURM_NODEID": str(node), "SLURM_LOCALID": str(local)}
        context = JobContext.from_env(base | own | {"SLURMD_NODENAME": f"n{node + 1}"})
        assert (context.rank, context.node_rank, context.local_rank) == (rank, node, local)
        assert context.local_world_size == counts[node]


def test_fake_takes_fields() -> None:
    context = JobContext.fake(
        [2, 1],
        rank=2,
        job_id="77",
        hostnames=["a", "b7"],
        array_job_id="70",
        array_task_id=3,
        cpus_per_task=4,
        gpus_per_node=2,
        partition=None,
        restart_count=1,
        step_id=None,
        job_dir=Path("/jobs/7"),
    )
    assert (context.job_id, context.array_job_id, context.array_task_id, context.restart_count) == ("77", "70", 3, 1)
    assert (context.hostnames, context.hostname, context.master_addr) == (("a", "b7"), "b7", "a")
    assert (context.cpus_per_task, context.gpus_per_node, context.partition, context.step_id) == (4, 2, None, None)
    assert (context.job_dir, context.output_dir) == (Path("/jobs/7"), Path("/jobs/7/output"))
    assert context.environment["SLURM_JOB_ID"] == "77"
    assert JobContext.fake(master_port=1, master_addr="x").torch_distributed_env()["MASTER_ADDR"] == "x"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"tasks_per_node": []}, ValueError, "tasks_per_node is []"),
        ({"tasks_per_node": [1, 0]}, ValueError, "tasks_per_node is [1, 0]"),
        ({"tasks_per_node": [2, 1], "rank": 3}, ValueError, "rank is 3: valid are 0 to 2"),
        ({"rank": -1}, ValueError, "rank is -1"),
        ({"tasks_per_node": [1, 1], "hostnames": ["a"]}, ValueError, "hostnames is ['a']"),
        ({"jobid": "7"}, TypeError, "takes no 'jobid'"),
        ({"world_size": 3}, TypeError, "takes no 'world_size'"),
    ],
)
def test_fake_refuses_the_impossible(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        JobContext.fake(**arguments)


def test_torch_distributed_env() -> None:
    context = JobContext.fake([2, 1], rank=2, job_id="5")
    assert context.torch_distributed_env() == {
        "MASTER_ADDR": "n1",
        "MASTER_PORT": str(runtime.FIRST_PORT + 5),
        "RANK": "2",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "3",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": "1",
        "NODE_RANK": "1",
    }


def test_it_is_a_value() -> None:
    context = JobContext.fake([2, 1], rank=1)
    assert pickle.loads(pickle.dumps(context)) == context == copy.deepcopy(context)
    assert len({context, JobContext.fake([2, 1], rank=1)}) == 1
    assert json.loads(json.dumps(attrs.asdict(context)))["environment"]["SLURM_PROCID"] == "1"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        context.rank = 0  # type: ignore[misc]
    environment: Any = context.environment
    for change in (
        lambda: environment.update(A="1"),
        lambda: environment.__setitem__("A", "1"),
        lambda: environment.pop("SLURM_PROCID"),
        lambda: environment.clear(),
    ):
        with pytest.raises(TypeError, match="read-only"):
            change()
    assert "SLURM_" not in repr(context)


@pytest.fixture
def no_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in list(os.environ):
        if name.startswith("SLURM"):
            monkeypatch.delenv(name)
    runtime._of_this_process.cache_clear()
    yield monkeypatch
    runtime._of_this_process.cache_clear()


def test_current_job_context_outside_of_a_job(no_job: pytest.MonkeyPatch) -> None:
    context = current_job_context()
    assert context == JobContext.local()
    assert facts(context)[:2] == ((0, 0, 0), (1, 1, 1))
    assert (context.job_id, context.hostname, context.master_addr) == ("local", os.uname().nodename, "localhost")
    assert 1024 < context.master_port < 32768
    assert context.job_dir is None


def test_current_job_context_in_a_job_is_read_once(no_job: pytest.MonkeyPatch) -> None:
    for name, value in STEP_24_11.items():
        no_job.setenv(name, value)
    context = current_job_context()
    assert (context.job_id, context.world_size) == ("1", 7)
    no_job.setenv("SLURM_PROCID", "6")
    assert current_job_context() is context


def test_field_names_and_types() -> None:
    """Public: a change here is a change of the interface."""
    assert {field.name: field.type for field in attrs.fields(JobContext)} == {
        "job_id": "str",
        "array_job_id": "str | None",
        "array_task_id": "int | None",
        "step_id": "str | None",
        "restart_count": "int",
        "rank": "int",
        "local_rank": "int",
        "node_rank": "int",
        "world_size": "int",
        "local_world_size": "int",
        "num_nodes": "int",
        "tasks_per_node": "tuple[int, ...]",
        "hostnames": "tuple[str, ...]",
        "hostname": "str",
        "cpus_per_task": "int",
        "gpus_per_node": "int",
        "partition": "str | None",
        "master_addr": "str",
        "master_port": "int",
        "environment": "Mapping[str, str]",
        "job_dir": "Path | None",
        "output_dir": "Path | None",
    }


def test_reading_a_context_needs_no_process_and_no_file() -> None:
    """Pure: the same mapping gives the same context in a process whose own environment is empty."""
    code = "import json, sys; from slurmkit.runtime import JobContext; print(JobContext.from_env(json.load(sys.stdin)).rank)"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    text = json.dumps(STEP_24_11 | {"SLURM_PROCID": "3", "SLURM_LOCALID": "3"})
    done = subprocess.run([sys.executable, "-c", code], input=text, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


# A job without a step of its own, and the names of old


OLD = {"SLURM_JOBID": "12", "SLURM_NODELIST": "n[1-2]", "SLURM_NPROCS": "3", "SLURM_TASKS_PER_NODE": "2,1"}


def test_the_names_of_old_will_do() -> None:
    context = JobContext.from_env(OLD)
    assert (context.job_id, context.world_size, context.tasks_per_node) == ("12", 3, (2, 1))
    assert context.hostnames == N12
    assert context.master_port == JobContext.from_env(OLD | {"SLURM_JOB_ID": "12"}).master_port


def test_where_no_rank_is_said_it_is_the_first() -> None:
    assert facts(JobContext.from_env(OLD)) == ((0, 0, 0), (3, 2, 2), ((2, 1), N12, "n1"))
    placed = OLD | {"SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "1"}
    assert facts(JobContext.from_env(placed)) == ((2, 0, 1), (3, 1, 2), ((2, 1), N12, "n2"))


def test_slurms_own_name_of_the_node_comes_first() -> None:
    assert JobContext.from_env(OLD | {"SLURMD_NODENAME": "n1.example.org"}).hostname == "n1.example.org"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (OLD | {"SLURM_NPROCS": "4"}, "SLURM_TASKS_PER_NODE is '2,1', which is 3 tasks, but SLURM_NTASKS is 4"),
        (
            OLD | {"SLURM_TASKS_PER_NODE": "3"},
            "SLURM_TASKS_PER_NODE is '3', which is 1 nodes, but the nodes are 'n[1-2]'",
        ),
        (
            recorded("uneven 4,2,1", "all.0") | {"SLURM_STEP_TASKS_PER_NODE": "4,2"},
            "SLURM_STEP_TASKS_PER_NODE is '4,2', which is 2 nodes, but the nodes are 'n[1-3]', which is 3",
        ),
    ],
)
def test_what_does_not_fit_is_named_by_its_variable(environ: dict[str, str], words: str) -> None:
    with pytest.raises(JobEnvironmentError, match=re.escape(words)):
        JobContext.from_env(environ)


def test_the_local_context_is_whole() -> None:
    context = JobContext.local()
    assert context.tasks_per_node == (1,)
    assert context.hostnames == (context.hostname,) == (os.uname().nodename,)
    assert context.master_port == runtime.FIRST_PORT + os.getpid() % runtime.PORTS


def test_a_fake_context_has_the_variables_of_a_step() -> None:
    context = JobContext.fake((2, 1), rank=2)
    expected = {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_PARTITION": "fake",
        "SLURM_NNODES": "2",
        "SLURM_NTASKS": "3",
        "SLURM_TASKS_PER_NODE": "2,1",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "n[1-2]",
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
        "SLURM_PROCID": "2",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "1",
        "SLURMD_NODENAME": "n2",
    }
    assert dict(context.environment) == expected


def test_a_field_of_a_fake_context_may_be_taken_away() -> None:
    assert (
        JobContext.fake(array_job_id=None, partition=None, step_id=None)
        .environment.keys()
        .isdisjoint({"SLURM_JOB_PARTITION", "SLURM_STEP_ID", "SLURM_ARRAY_JOB_ID"})
    )


def test_a_refused_field_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(TypeError) as raised:
        JobContext.fake(world_size=3)
    _, _, valid = str(raised.value).partition("besides tasks_per_node and rank it takes ")
    left = {field.name for field in attrs.fields(JobContext)} - {
        *("rank", "local_rank", "node_rank", "world_size", "local_world_size", "num_nodes", "tasks_per_node")
    }
    assert set(valid.split(", ")) == left


def test_the_environment_says_that_it_is_read_only() -> None:
    with pytest.raises(TypeError, match=r"\Athe environment of a JobContext is read-only\Z"):
        JobContext.local().environment["A"] = "b"  # type: ignore[index]


def test_the_old_name_tells_of_a_job(no_job: pytest.MonkeyPatch) -> None:
    for name, value in OLD.items():
        no_job.setenv(name, value)
    assert current_job_context().job_id == "12"
