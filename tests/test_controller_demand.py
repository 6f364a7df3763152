"""What options come down to, and which of them are refused, where no table of measured allocations says it."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import Node, StepRequest
from fakeslurm.slurmctld import Controller
from slurmkit.slurm import hostlist

OLD, NEW = "22.05", "24.11"
NO = "fakeslurm does not support "
GPUS = [Node("n1", gres="gpu:2"), Node("n2", gres="gpu:2"), Node("n3", gres="gpu:2"), Node("n4")]


def allocated(version: str, text: str, **more: Any) -> str:
    """Nodes, CPUs and tasks of a job on an empty cluster, or what it is refused with."""
    controller = cluster(version=version, nodes=GPUS, gres_types=["gpu"])
    try:
        job = submit(controller, text, **more)
    except SlurmError as error:
        return error.message
    return f"{hostlist.compress(job.nodes)} {job.num_cpus} {job.num_tasks}"


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("--contiguous -w n[1,3]", "n[1-3] 3 3", None),
        ("--contiguous -N2 -w n[1,3] -n2", "Node count specification invalid", None),
        ("--contiguous -w n[1-2]", "n[1-2] 2 2", "n[1-2] 2 2"),
        ("--contiguous -N2 -w n[2-3]", "n[2-3] 2 2", "n[2-3] 2 2"),
        ("-N2 -c2 --mincpus=3", f"{NO}--mincpus=3 with --cpus-per-task=2 on several nodes", "as before"),
        ("-N1-2 -c2 --mincpus=3", f"{NO}--mincpus=3 with --cpus-per-task=2 on several nodes", "as before"),
        ("-c2 --mincpus=2 -N2", "n[1-2] 4 2", "n[1-2] 4 2"),
        ("-O --mincpus=1", "n1 1 1", "n1 1 1"),
        (
            "-O --sockets-per-node=2 -c1",
            "n1 1 1",
            f"{NO}--overcommit with more --sockets-per-node than --cpus-per-task",
        ),
        ("-O --sockets-per-node=2 -c2", "n1 2 1", "n1 2 1"),
        ("-O --sockets-per-node=2", "n1 1 1", "n1 1 1"),
        ("-c65535 -H", " 65535 1", "as before"),
        ("-c65536 -H", f"{NO}--cpus-per-task of more than 65535 for a job that is held", "as before"),
        ("--ntasks-per-node=65536 -H", f"{NO}--ntasks-per-node of more than 65535 for a job that is held", "as before"),
        ("-N0-2", f"{NO}--nodes=0-2", "as before"),
        ("-N0-2 -H", f"{NO}--nodes=0-2", "as before"),
        ("-N0-2 -w n1", "n[1-2] 2 1", f"{NO}--nodes=0-2"),
        ("-N0-2 -w n1 --ntasks-per-node=1", "Requested node configuration is not available", f"{NO}--nodes=0-2"),
    ],
)
def test_nodes_and_cpus(text: str, old: str, new: str | None) -> None:
    assert allocated(OLD, text) == old
    if new is None:
        new = f"{NO}--contiguous with a --nodelist of nodes that do not follow one another"
    assert allocated(NEW, text) == (old if new == "as before" else new)


def test_a_list_of_more_nodes_than_needed_is_a_choice() -> None:
    """Since 24.11: docs/measured/resources.md."""
    controller = cluster(version=NEW)
    submit(controller, "-w n1 --exclusive")
    assert submit(controller, "-w n[1-2] -N1").nodes == ("n2",)
    assert submit(cluster(version=NEW), "-w n[1-3] -N2-4").nodes == ("n1", "n2", "n3")


def test_overcommit_and_cpus_of_a_node() -> None:
    assert allocated(NEW, "-O --mincpus=2") == f"{NO}--overcommit with --mincpus=2"


@pytest.mark.parametrize(
    ("text", "more", "outcome"),
    [
        ("", {"gpus": "1"}, "n1 1 1"),
        ("-N1", {"gpus": "2"}, "n1 1 1"),
        ("", {"gpus": "2"}, f"{NO}--gpus=2 without --nodes=1 (--gpus-per-node and --gres are)"),
        ("-n1", {"gpus": "1"}, f"{NO}--gpus=1 without --nodes=1 (--gpus-per-node and --gres are)"),
        ("--exclusive", {"gpus": "1"}, f"{NO}--gpus=1 without --nodes=1 (--gpus-per-node and --gres are)"),
        ("-w n2", {"gpus": "1"}, f"{NO}--gpus=1 without --nodes=1 (--gpus-per-node and --gres are)"),
        ("--spread-job", {"gpus": "1"}, f"{NO}--gpus=1 without --nodes=1 (--gpus-per-node and --gres are)"),
        ("-N2", {"gpus": "1"}, f"{NO}--gpus=1 without --nodes=1 (--gpus-per-node and --gres are)"),
        ("-N2", {"gpus_per_node": "2"}, "n[1-2] 2 2"),
        ("-N4", {"gpus_per_node": "2"}, "Requested node configuration is not available"),
        ("", {"gpus_per_node": "none"}, "n1 1 1"),
        ("", {"gres": "NONE"}, "n1 1 1"),
        ("", {"gres": "gpu:1", "gpus": "1"}, f"{NO}more than one of --gres, --gpus and --gpus-per-node"),
        ("", {"gpus": "1", "gpus_per_node": "1"}, f"{NO}more than one of --gres, --gpus and --gpus-per-node"),
        ("", {"other_gpus": "gpus-per-task=1"}, f"{NO}--gpus-per-task=1"),
    ],
)
def test_gpus(text: str, more: dict[str, Any], outcome: str) -> None:
    assert allocated(OLD, text, **more) == outcome


def test_gpus_where_there_are_none() -> None:
    controller = cluster()
    for text, words in (
        ("gpus-per-task=1", "Invalid generic resource (gres) specification"),
        ("gpus-per-task=0", f"{NO}--gpus-per-task=0"),
    ):
        with pytest.raises(SlurmError) as refused:
            submit(controller, other_gpus=text)
        assert refused.value.message == words


def test_steps_wait_for_gpus_that_others_hold() -> None:
    controller = cluster(nodes=GPUS, gres_types=["gpu"])
    submit(controller, "-N2 -n4", gres="gpu:2")
    first = step(controller, ntasks=1, exact=True, gres="gpu:2", nodelist="n2")
    assert (first.nodes, first.gres) == (("n2",), (3,))
    assert step(controller, ntasks=1, exact=True, gres="gpu:1", nodelist="n2") is None
    assert step(controller, ntasks=1, exact=True, gres="gpu:1", nodelist="n2", overlap=True) is not None
    assert step(controller, ntasks=1, exact=True, gres="gpu:1", nodelist="n1").gres == (1,)
    assert step(controller, ntasks=1, exact=True, gres="gpu:1", nodelist="n1").gres == (2,)
    controller.step_ended(1, 0, [0], NOW)
    assert step(controller, ntasks=1, exact=True, gres="gpu:1", nodelist="n2") is not None


# The memory of steps


def step(controller: Controller, **request: Any) -> Any:
    return controller.create_step(1, StepRequest(name="x", **request), NOW)


def with_memory(text: str) -> Controller:
    controller = cluster(memory_is_consumed=True)
    submit(controller, text)
    return controller


def test_steps_share_the_memory_of_their_job() -> None:
    controller = with_memory("-n4 --mem=100")
    assert step(controller, ntasks=1, exact=True, mem_per_node=60) is not None
    assert step(controller, ntasks=1, exact=True, mem_per_node=60) is None, "it waits for the memory"
    assert step(controller, ntasks=1, exact=True, mem_per_node=40) is not None
    controller.step_ended(1, 0, [0], NOW)
    assert step(controller, ntasks=1, exact=True, mem_per_node=60) is not None
    assert step(controller, ntasks=1, exact=True, overlap=True, mem_per_node=60) is not None


def test_memory_by_the_cpu_of_a_step() -> None:
    controller = with_memory("-n4 --mem=100")
    assert step(controller, ntasks=2, exact=True, mem_per_cpu=30) is not None
    assert step(controller, ntasks=2, exact=True, mem_per_cpu=30) is None
    assert step(controller, ntasks=2, exact=True, mem_per_cpu=20) is not None


@pytest.mark.parametrize("request_", [{"mem_per_node": 101}, {"mem_per_cpu": 26}, {"mem_per_cpu": 101, "exact": True}])
def test_a_step_with_more_memory_than_its_job(request_: dict[str, Any]) -> None:
    with pytest.raises(SlurmError, match=r"^Memory required by task is not available$"):
        step(with_memory("-n4 --mem=100"), ntasks=1, **request_)


def test_tasks_with_more_memory_together_than_their_job() -> None:
    with pytest.raises(SlurmError, match=r"^Memory required by task is not available$"):
        step(with_memory("-n4 --mem=100"), ntasks=4, exact=True, mem_per_cpu=26)


def test_a_step_with_more_memory_than_its_job_has_on_some_of_its_nodes() -> None:
    with pytest.raises(SlurmError) as refused:
        step(with_memory("-N2 -n5 --mem-per-cpu=100"), ntasks=1, mem_per_node=200)
    assert refused.value.message == f"{NO}a step with more memory than its job has on some of its nodes"


def test_memory_counts_for_nothing_where_it_is_not_consumed() -> None:
    controller = cluster()
    submit(controller, "-n4 --mem=100")
    assert step(controller, ntasks=1, exact=True, mem_per_node=1000) is not None
    assert controller.nodes["n1"].allocated_memory == 0
