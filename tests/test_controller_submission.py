"""What the controller says to submissions, and what jobs wait for. Sources: docs/slurm-measurements.md, 1 and 8."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, describe, finish, submit

from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import (
    Node,
    Partition,
    Settings,
)
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.jobupdate import JobUpdate

PARTITIONS = [
    Partition("debug", default=True),
    Partition("short", nodes=["n1", "n2"], max_time=10, default_time=5, max_nodes=1),
    Partition("down", nodes=["n1"], state="DOWN"),
    Partition("inactive", nodes=["n1"], state="INACTIVE"),
    Partition("drained", nodes=["n1"], state="DRAIN"),
]


def refusal(controller: Controller, text: str, **more: Any) -> list[str]:
    with pytest.raises(SlurmError) as refused:
        controller.submit(describe(text, **more), NOW)
    return [*refused.value.details, refused.value.message]


CPUS = "CPU count per node can not be satisfied"
MEMORY = "Memory specification can not be satisfied"
NODES = "Requested node configuration is not available"


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("", {"partition": "nope"}, ["invalid partition specified: nope", "Invalid partition name specified"]),
        ("", {"partition": "debug,nope"}, ["invalid partition specified: nope", "Invalid partition name specified"]),
        ("", {"partition": ""}, ["invalid partition specified: (null)", "Invalid partition name specified"]),
        ("-p inactive", {}, ["Required partition not available (inactive or drain)"]),
        ("-p drained", {}, ["Required partition not available (inactive or drain)"]),
        ("-w n9", {}, ["Invalid node name specified"]),
        ("-x n9", {}, ["Invalid node name specified"]),
        ("-w n[1", {}, ["Invalid node name specified"]),
        ("", {"gres": "gpu:1"}, ["Invalid generic resource (gres) specification"]),
        ("", {"licenses": "lic"}, ["Invalid license specification"]),
        ("", {"array": "5-2"}, ["Invalid job array specification"]),
        ("", {"array": "0-2000"}, ["Invalid job array specification"]),
        ("", {"array": "1,1001"}, ["Invalid job array specification"]),
        ("", {"comment": "x" * 3000}, ["Pathname of a file, directory or other parameter too long"]),
    ],
)
def test_refused_without_a_job_id(text: str, more: dict[str, Any], words: list[str]) -> None:
    controller = cluster(partitions=PARTITIONS)
    assert refusal(controller, text, **more) == words
    assert submit(controller).job_id == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"dependency": "bogus:1"}, ["Job dependency problem"]),
        ({"dependency": "afterok:foo"}, ["Job dependency problem"]),
        ({"constraint": "feat"}, ["Invalid feature specification"]),
        ({"reservation": "nope"}, ["Requested reservation is invalid"]),
    ],
)
def test_refused_with_a_job_id(more: dict[str, Any], words: list[str]) -> None:
    controller = cluster()
    assert refusal(controller, "", **more) == words
    assert submit(controller).job_id == 2
    assert 1 not in controller.jobs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--mem=9999", [MEMORY, NODES]),
        ("--mem-per-cpu=2001", [MEMORY, NODES]),
        ("-c 5", [CPUS, NODES]),
        ("--ntasks-per-node=5", [CPUS, NODES]),
        ("--mincpus=5", [CPUS, NODES]),
        ("-O -c5", [CPUS, NODES]),
        ("-p down -c5", [CPUS, NODES]),
        ("-N1 -n5", [NODES]),
        ("-N2 -n9", [NODES]),
        ("-N1-2 -n9", [NODES]),
        ("-N2 -n4 --ntasks-per-node=1", [NODES]),
        ("--ntasks-per-node=2 -n9", [NODES]),
        ("-c 3 -N2 -n3", [NODES]),
        ("-x n[1-4]", [NODES]),
        ("-n13 -x n1", [NODES]),
        ("-N4 -x n1", [NODES]),
        ("-p short -w n3", [NODES]),
        ("-p short -n5", [NODES]),
        ("-p down -N9", [NODES]),
        ("--contiguous -x n2 -N3", [NODES]),
        ("--tmp=5", ["Temporary disk specification can not be satisfied", NODES]),
        ("--cores-per-socket=2", ["Socket, core and/or thread specification can not be satisfied", NODES]),
        ("--sockets-per-node=5", ["Socket, core and/or thread specification can not be satisfied", NODES]),
        ("--threads-per-core=2", ["Socket, core and/or thread specification can not be satisfied", NODES]),
        ("--ntasks-per-socket=2 -n4", [NODES]),
        ("-N0", ["Node count specification invalid"]),
    ],
)
def test_refusals_that_leave_a_failed_job(text: str, words: list[str]) -> None:
    """Measured: scontrol and squeue show these jobs until MinJobAge is over."""
    controller = cluster(partitions=PARTITIONS)
    assert refusal(controller, text) == words
    job = controller.jobs[1]
    assert (job.state, job.reason, job.wait_status, job.nodes) == ("FAILED", "BadConstraints", 1, ())
    assert job.start_time == job.end_time == NOW
    assert submit(controller).job_id == 2


@pytest.mark.parametrize(
    "text", ["-H --mem=9999", "-H -N1 -n5", "-n16", "-c4 -n4", "-O -n100", "-n12 -x n1", "-c3 -n5"]
)
def test_accepted(text: str) -> None:
    """A held job is not checked against the nodes."""
    assert submit(cluster(), text).job_id == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-N9", Reason.PARTITION_NODE_LIMIT),
        ("-N5-9", Reason.PARTITION_NODE_LIMIT),
        ("-p short -N2", Reason.PARTITION_NODE_LIMIT),
        ("-p short -N1-2", Reason.PARTITION_NODE_LIMIT),
        ("-n17", Reason.PARTITION_CONFIG),
        ("-N4 -n17", Reason.PARTITION_CONFIG),
        ("-p short -n9", Reason.PARTITION_CONFIG),
        ("-p short -t 20", Reason.PARTITION_TIME_LIMIT),
        ("-p short -t 0", Reason.PARTITION_TIME_LIMIT),
        ("-p down", Reason.PARTITION_DOWN),
        ("-H", Reason.HELD_BY_USER),
    ],
)
def test_jobs_that_wait_until_somebody_changes_something(text: str, reason: Reason) -> None:
    controller = cluster(partitions=PARTITIONS)
    job = submit(controller, text)
    assert (job.state, job.reason) == ("PENDING", reason)
    assert submit(controller).nodes == ("n1",), "nobody stands behind it"


@pytest.mark.parametrize(("text", "runs"), [("-N4", True), ("-n16", True), ("-N5", False), ("-n17", False)])
def test_more_than_there_is_in_24_11(text: str, runs: bool) -> None:
    """22.05 lets these jobs wait, 24.11 refuses them."""
    controller = cluster(version="24.11")
    if runs:
        assert submit(controller, text).state == "RUNNING"
    else:
        assert refusal(controller, text) == [NODES]


def test_a_partition_that_cannot_have_the_job_does_not_queue_it() -> None:
    """`short` has a limit, and in `debug` there are not enough nodes: the job waits, and nobody behind it."""
    controller = cluster(partitions=PARTITIONS)
    job = submit(controller, "-N4 -x n1", partition="debug,short")
    assert (job.state, job.reason) == ("PENDING", Reason.PARTITION_NODE_LIMIT)
    assert submit(controller).nodes


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("-n17", 5),
        ("-n4 -c2", 2),
        ("-n5 -c3", 5),
        ("-N2-4", 2),
        ("-O -n9", 3),
        ("--ntasks-per-node=2 -n5", 2),
        ("-N3 -c2", 3),
    ],
)
def test_the_number_of_nodes_of_a_pending_job(text: str, nodes: int) -> None:
    assert submit(cluster(), f"-H {text}").num_nodes == nodes


@pytest.mark.parametrize(
    ("text", "number"), [("-n4 -c2", 8), ("-N2-4", 1), ("-O -n9", 1), ("-N3 -c2", 6), ("--exclusive", 1)]
)
def test_the_number_of_cpus_of_a_pending_job(text: str, number: int) -> None:
    assert submit(cluster(), f"-H {text}").num_cpus == number


def test_no_default_partition() -> None:
    controller = cluster(partitions=[Partition("one"), Partition("two")])
    assert refusal(controller, "") == ["No partition specified or system default partition"]
    assert submit(controller, "-p two").partition == "two"


def test_a_partition_that_is_alone_is_the_default() -> None:
    assert submit(cluster(partitions=[Partition("one")])).partition == "one"


def test_max_job_count() -> None:
    """One less than MaxJobCount (measured)."""
    controller = cluster(max_job_count=3)
    submit(controller, "-H")
    submit(controller, "-H")
    assert refusal(controller, "") == ["Resource temporarily unavailable"]


def test_submit_is_for_scripts_and_allocate_for_the_others() -> None:
    controller = cluster()
    with pytest.raises(ValueError, match="no script"):
        controller.submit(describe(script=None), NOW)
    with pytest.raises(ValueError, match="has a script"):
        controller.allocate(describe(), NOW)


def test_jobs_that_ask_for_the_same_share_what_they_ask_for_until_one_is_changed() -> None:
    controller = cluster()
    first, second, other = submit(controller, "-H"), submit(controller, "-H"), submit(controller, "-H --comment other")
    assert first.description is second.description
    assert other.description.comment == "other"
    controller.update_job(second.job_id, JobUpdate(comment="mine"), NOW, uid=0)
    assert (first.description.comment, second.description.comment) == (None, "mine")


def test_job_ids_begin_where_they_are_told_to() -> None:
    assert submit(cluster(first_job_id=1000)).job_id == 1000


# Holding


def test_hold_and_release() -> None:
    controller = cluster()
    job = submit(controller, "-H")
    assert (job.priority, job.reason, job.eligible_time) == (0, "JobHeldUser", None)
    controller.release(1, NOW + 5, uid=0)
    assert (job.state, job.eligible_time, job.start_time) == ("RUNNING", NOW + 5, NOW + 5)


def test_who_held_a_job() -> None:
    controller = cluster()
    submit(controller, "--exclusive -N4")
    job = submit(controller, uid=1000)
    controller.hold(2, NOW, uid=0)
    assert (job.priority, job.reason) == (0, "JobHeldAdmin")
    with pytest.raises(SlurmError, match=r"^Access/permission denied$"):
        controller.release(2, NOW, uid=1000)
    controller.hold(2, NOW, uid=0, by_user=True)
    assert job.reason == "JobHeldUser"
    controller.release(2, NOW, uid=1000)
    assert job.priority > 0
    controller.hold(2, NOW, uid=1000)
    assert job.reason == "JobHeldUser"


def test_a_held_job_does_not_start() -> None:
    controller = cluster()
    first = submit(controller, "--exclusive -N4")
    job = submit(controller)
    controller.hold(2, NOW, uid=0)
    finish(controller, first, NOW + 1)
    assert job.state == "PENDING"


def test_release_finds_that_a_job_can_never_run() -> None:
    controller = cluster()
    job = submit(controller, "-H --mem=9999")
    controller.release(1, NOW, uid=0)
    assert (job.state, job.priority, job.reason) == ("PENDING", 0, "BadConstraints")


def test_hold_a_running_job() -> None:
    """Accepted: it counts when the job is requeued (measured)."""
    controller = cluster()
    job = submit(controller)
    controller.hold(1, NOW, uid=0)
    assert (job.state, job.priority, job.reason) == ("RUNNING", 0, "JobHeldAdmin")
    controller.release(1, NOW, uid=0)
    assert (job.state, job.reason) == ("RUNNING", "None")
    assert job.priority > 0


@pytest.mark.parametrize("what", ["hold", "release"])
def test_hold_and_release_of_a_finished_job(what: str) -> None:
    controller = cluster()
    finish(controller, submit(controller), NOW)
    with pytest.raises(SlurmError, match=r"^Job has already finished$"):
        getattr(controller, what)(1, NOW, uid=0)


def test_begin() -> None:
    controller = cluster()
    job = submit(controller, begin=NOW + 20)
    assert (job.state, job.reason, job.eligible_time) == ("PENDING", "BeginTime", NOW + 20)
    assert controller.next_deadline() == NOW + 20
    controller.tick(NOW + 19.9)
    assert job.state == "PENDING"
    controller.tick(NOW + 20)
    assert (job.state, job.start_time) == ("RUNNING", NOW + 20)


def test_begin_in_the_past_is_now() -> None:
    assert submit(cluster(), begin=NOW - 1).state == "RUNNING"


def test_hold_a_job_that_waits_for_its_time() -> None:
    controller = cluster()
    job = submit(controller, begin=NOW + 20)
    controller.hold(1, NOW, uid=0)
    controller.tick(NOW + 21)
    assert (job.state, job.reason) == ("PENDING", "JobHeldAdmin")
    controller.release(1, NOW + 22, uid=0)
    assert job.state == "RUNNING"


# Configuration


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"nodes": []}, "nodes is empty"),
        ({"nodes": [Node("a"), Node("a")]}, "every name must be unique, got a, a"),
        ({"partitions": []}, "at least one is needed"),
        ({"partitions": [Partition("p"), Partition("p")]}, "every name must be unique"),
        ({"partitions": [Partition("p", nodes=["n9"])]}, "partition 'p': node 'n9' does not exist; nodes are n1, n2"),
        ({"partitions": [Partition("p", default=True), Partition("q", default=True)]}, "only one may be the default"),
        ({"version": "19.05"}, "'version' must be in"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(**settings)


def test_a_partition_names_its_nodes_one_by_one() -> None:
    with pytest.raises(TypeError, match="expected a sequence of node names, not one string"):
        Partition("p", nodes="n[1-2]")


@pytest.mark.parametrize("arguments", [("n1", 0), ("n1", 4, 0), (1,)])
def test_nodes_are_checked(arguments: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="must be"):
        Node(*arguments)


def test_min_nodes_of_a_partition() -> None:
    controller = cluster(partitions=[Partition("debug", default=True, min_nodes=2)])
    assert submit(controller, "-N1").reason == "PartitionNodeLimit"
    assert submit(controller, "-N2").shown_state == "RUNNING"
    assert submit(controller, "").shown_state == "RUNNING", "which has no upper bound"


def test_the_longest_comment() -> None:
    controller = cluster()
    assert submit(controller, comment="x" * 1024).nodes
    with pytest.raises(SlurmError, match=r"^Pathname of a file, directory or other parameter too long$"):
        submit(controller, comment="x" * 1025)


def test_the_last_cpus_of_a_node() -> None:
    """With --ntasks-per-socket a job gets the last that are free (measured)."""
    controller = cluster()
    jobs = [submit(controller), submit(controller, "--ntasks-per-socket 1"), submit(controller)]
    assert [job.cpu_ids for job in jobs] == [((0,),), ((3,),), ((1,),)]


@pytest.mark.parametrize(
    ("text", "tasks"), [("--exclusive", 1), ("-N2 --exclusive", 2), ("-N2 -n3 --ntasks-per-node=2", 3), ("-N2 -c2", 2)]
)
def test_the_number_of_tasks(text: str, tasks: int) -> None:
    assert submit(cluster(), text).num_tasks == tasks
