"""Partitions that are changed: docs/measured/nodes.md."""

from __future__ import annotations

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import Partition

PARTITIONS = [Partition("debug", default=True), Partition("p", nodes=["n1", "n2"])]


def test_a_partition_that_is_down_lets_its_jobs_wait() -> None:
    controller = cluster(partitions=PARTITIONS)
    controller.update_partition("p", NOW, state="DOWN")
    waiting, other = submit(controller, "-p p"), submit(controller, "-p p,debug")
    assert (waiting.reason, other.partition) == ("PartitionDown", "debug")
    controller.update_partition("p", NOW + 1, state="UP")
    assert (waiting.shown_state, waiting.nodes, waiting.start_time) == ("RUNNING", ("n1",), NOW + 1)


def test_one_of_several_partitions_is_up_again() -> None:
    controller = cluster(partitions=PARTITIONS)
    for name in ("p", "debug"):
        controller.update_partition(name, NOW, state="DOWN")
    first, second = submit(controller, "-p p,debug"), submit(controller, "-p debug,p")
    assert [job.reason for job in (first, second)] == ["PartitionDown"] * 2
    controller.update_partition("p", NOW + 1, state="UP")
    assert [(job.shown_state, job.partition, job.start_time) for job in (first, second)] == [
        ("RUNNING", "p", NOW + 1)
    ] * 2


@pytest.mark.parametrize("state", ["DRAIN", "INACTIVE"])
def test_a_partition_that_takes_no_new_jobs(state: str) -> None:
    controller = cluster(partitions=PARTITIONS)
    controller.update_partition("p", NOW, state=state)
    with pytest.raises(SlurmError, match=r"^Required partition not available"):
        submit(controller, "-p p")
    assert [submit(controller, f"-p {names}").partition for names in ("p,debug", "debug,p")] == ["debug", "debug"]


def test_the_state_of_a_partition_holds_for_jobs_that_wait() -> None:
    controller = cluster(partitions=PARTITIONS)
    running, waiting = submit(controller, "-p p -N2 --exclusive"), submit(controller, "-p p -N2")
    held, other = submit(controller, "-p p -H"), submit(controller, "-N4 --exclusive")
    for state, expected in (("DOWN", "PartitionDown"), ("INACTIVE", "PartitionInactive"), ("DRAIN", "Resources")):
        controller.update_partition("p", NOW, state=state)
        assert (running.shown_state, waiting.reason, held.reason) == ("RUNNING", expected, "JobHeldUser")
    assert waiting.waited_for == "PartitionInactive", "what sacct keeps"
    finish(controller, running, NOW + 1)
    assert (waiting.shown_state, other.reason) == ("RUNNING", "Resources")


def test_limits() -> None:
    controller = cluster(partitions=PARTITIONS)
    controller.update_partition("p", NOW, max_time=10, max_nodes=1, min_nodes=1)
    large, long = submit(controller, "-p p -N2"), submit(controller, "-p p -t 20")
    assert (large.reason, long.reason) == ("PartitionNodeLimit", "PartitionTimeLimit")
    without = submit(controller, "-p p")
    assert (without.shown_state, without.time_limit) == ("RUNNING", 10)
    controller.update_partition("p", NOW + 1, max_time=None, max_nodes=None)
    assert [job.shown_state for job in (large, long, without)] == ["RUNNING"] * 3
    assert without.time_limit == 10, "the limit that it has stays"


def test_the_default_partition() -> None:
    controller = cluster(partitions=PARTITIONS)
    controller.update_partition("p", NOW, default=True)
    assert [(one.name, one.default) for one in controller.settings.partitions] == [("debug", False), ("p", True)]
    assert submit(controller).partition == "p"
    with pytest.raises(SlurmError, match=r"^Invalid partition name specified$"):
        controller.update_partition("nope", NOW, state="UP")
