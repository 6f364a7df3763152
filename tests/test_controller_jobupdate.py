"""``scontrol update`` of jobs that wait, run, or have ended: docs/measured/update.md."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, describe, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import NO_LIMIT, Job, Node, Partition
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.jobupdate import UNLIMITED, JobUpdate

LATER = NOW + 10.0
PARTITIONS = [
    *(Partition("debug", default=True), Partition("two", nodes=["n1", "n2"]), Partition("short", max_time=5)),
    *(Partition("deft", default_time=7), Partition("shut", state="DOWN"), Partition("drained", state="DRAIN")),
    Partition("inactive", state="INACTIVE"),
]
NODES = [
    *(Node("n1", gres="gpu:2", features=("f1",)), Node("n2", gres="gpu:2", features=("f1",))),
    *(Node("n3", features=("f2",)), Node("n4")),
]
OLD, NEW = "22.05", "24.11"


def world(version: str = OLD, **more: Any) -> Controller:
    return cluster(
        version=version, partitions=PARTITIONS, nodes=NODES, gres_types=["gpu"], licenses={"foo": 4, "bar": 1}, **more
    )


def update(controller: Controller, job: Job, now: float = LATER, *, uid: int = 0, **changes: Any) -> str:
    """What it is refused with."""
    try:
        controller.update_job(job.job_id, JobUpdate(**changes), now, uid=uid)
    except SlurmError as error:
        return error.message
    return ""


def no(what: str) -> str:
    return f"fakeslurm does not support {what}"


def held(controller: Controller, text: str = "", **more: Any) -> Job:
    return submit(controller, f"-H -t 10 {text}", **more)


def queued(controller: Controller, text: str = "", **more: Any) -> Job:
    """One that waits behind another, which has everything."""
    if not controller.jobs:
        submit(controller, "-N4 --exclusive -t 30")
    return submit(controller, f"-t 5 {text}", **more)


# What an update says of the job


@pytest.mark.parametrize(
    ("changes", "described"),
    [
        ({"comment": "c"}, {"comment": "c"}),
        ({"name": "n"}, {"name": "n", "first_name": "job"}),
        ({"requeue": False}, {"requeue": False}),
        ({"requeue": True}, {"requeue": True}),
        ({"nodelist": "n3"}, {"nodelist": "n3", "nodes_as_written": frozenset({"nodelist"})}),
        ({"exclude": "n[1-3]"}, {"exclude": "n[1-3]", "nodes_as_written": frozenset({"exclude"})}),
        ({"constraint": "f2"}, {"constraint": "f2"}),
        ({"gres": "gpu:1"}, {"gres": "gpu:1"}),
        ({"licenses": "foo:2"}, {"licenses": "foo:2", "licenses_cleared": False}),
        ({"licenses": ""}, {"licenses": "", "licenses_cleared": True}),
        ({"mem_per_node": 10}, {"mem_per_node": 10, "mem_per_cpu": None}),
        ({"mem_per_cpu": 10}, {"mem_per_cpu": 10, "mem_per_node": None}),
        ({"mem_per_cpu": 0}, {"mem_per_cpu": None, "mem_per_node": None}),
        ({"tmp_disk": 0}, {"tmp_disk": 0}),
        ({"mail_type": ("END",)}, {"mail_type": ("END",)}),
        ({"mail_user": "me"}, {"mail_user": "me"}),
        ({"wckey": "w"}, {"wckey": "w"}),
        ({"output": "o.txt"}, {"output": "o.txt"}),
        ({"error": "/e.txt"}, {"error": "/e.txt"}),
        ({"input": "i.txt"}, {"input": "i.txt"}),
        ({"work_dir": "/tmp"}, {"work_dir": "/tmp"}),
        ({"begin": NOW + 100}, {"begin": NOW + 100}),
        ({"begin": NOW}, {"begin": LATER}),
        ({"partition": "two,debug"}, {"partition": "two,debug", "time_limit": 10}),
        ({"priority": 50}, {"priority": 50, "nice": 0}),
        ({"nice": 7}, {"nice": 7, "priority": None}),
        ({"time_limit": 20}, {"time_limit": 20}),
        ({"time_limit": UNLIMITED}, {"time_limit": NO_LIMIT}),
    ],
)
def test_what_is_kept_of_an_update(changes: dict[str, Any], described: dict[str, Any]) -> None:
    controller = world()
    job = queued(controller, "-t 10")
    assert update(controller, job, **changes) == ""
    assert {name: getattr(job.description, name) for name in described} == described


def test_both_lists_of_nodes_are_shown_as_written() -> None:
    controller = world()
    job = held(controller)
    for changes in ({"nodelist": "n2"}, {"exclude": "n4,n3"}):
        assert update(controller, job, **changes) == ""
    assert job.description.nodes_as_written == {"nodelist", "exclude"}


def test_what_the_job_has_besides_its_description() -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, admin_comment="a", time_limit=20) == ""
    assert (job.admin_comment, job.time_limit) == ("a", 20)
    assert update(controller, job, time_limit=UNLIMITED) == ""
    assert job.time_limit is None


def test_the_first_name_stays_known_in_22_05() -> None:
    for version, first in ((OLD, "job"), (NEW, None)):
        controller = world(version)
        job = held(controller)
        for name in ("second", "third"):
            assert update(controller, job, name=name) == ""
        assert (job.description.name, job.description.first_name) == ("third", first)


def test_no_licenses_are_shown_as_such_in_22_05() -> None:
    for version, cleared in ((OLD, True), (NEW, False)):
        controller = world(version)
        job = held(controller)
        assert update(controller, job, licenses="") == ""
        assert job.description.licenses_cleared is cleared
        assert update(controller, job, licenses="foo") == ""
        assert job.description.licenses_cleared is False


# Where and when a job that waits starts then


@pytest.mark.parametrize(
    ("changes", "nodes"),
    [
        ({"nodelist": "n3"}, ("n3",)),
        ({"exclude": "n[1-3]"}, ("n4",)),
        ({"constraint": "f2"}, ("n3",)),
        ({"partition": "two"}, ("n1",)),
        ({"gres": "gpu:2"}, ("n1",)),
        ({"nodelist": "n2", "exclude": "n1"}, ("n2",)),
    ],
)
def test_other_nodes(changes: dict[str, Any], nodes: tuple[str, ...]) -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, **changes) == ""
    controller.release(job.job_id, LATER, uid=0)
    assert (job.shown_state, job.nodes) == ("RUNNING", nodes)


@pytest.mark.parametrize(
    ("changes", "undo"),
    [
        ({"exclude": "n[1-4]"}, {"exclude": ""}),
        ({"constraint": "f1&f2"}, {"constraint": ""}),
        ({"mem_per_node": 100000}, {"mem_per_node": 10}),
        ({"tmp_disk": 100}, {"tmp_disk": 0}),
        ({"gres": "gpu:9"}, {"gres": "gpu:1"}),
    ],
)
def test_a_job_that_no_node_will_do_for(changes: dict[str, Any], undo: dict[str, Any]) -> None:
    """Every update lets it be looked at again, with the next priority."""
    controller = world()
    job = held(controller)
    assert update(controller, job, **changes) == ""
    controller.release(job.job_id, LATER, uid=0)
    assert (job.reason, job.priority) == ("BadConstraints", 0)
    assert update(controller, job, comment="c") == ""
    assert (job.reason, job.priority) == ("BadConstraints", 0)
    assert update(controller, job, **undo) == ""
    assert (job.shown_state, job.priority > 4_000_000_000) == ("RUNNING", True)


def test_other_partitions() -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, partition="two,debug") == ""
    assert job.partition == "two,debug"
    said = "Required partition not available (inactive or drain)"
    assert update(controller, job, partition="drained") == said
    assert update(controller, job, partition="nope") == "Invalid partition name specified"
    assert update(controller, job, partition="two,drained") == (
        no("update of a job with Partition=two,drained, of which one takes no jobs")
    )
    assert update(controller, job, partition="debug,inactive") == (
        no("update of a job with Partition=debug,inactive, of which one takes no jobs")
    )
    assert no("update of a job with Partition=two,two") == update(controller, job, partition="two,two")
    assert job.partition == "two,debug"
    assert update(controller, job, partition="shut") == ""
    controller.release(job.job_id, LATER, uid=0)
    assert job.reason == "PartitionDown"
    assert update(controller, job, partition="short") == ""
    assert job.reason == "PartitionTimeLimit"
    assert update(controller, job, time_limit=5) == ""
    assert (job.shown_state, job.partition) == ("RUNNING", "short")
    assert update(controller, job, partition="short") == "", "it is there"
    assert update(controller, job, partition="two") == "Job is no longer pending execution"


def test_the_default_time_of_a_partition_goes_along() -> None:
    controller = world()
    from_there, to_there = submit(controller, "-H -p deft"), submit(controller, "-H")
    assert (from_there.time_limit, to_there.time_limit) == (7, None)
    assert update(controller, from_there, partition="debug") == ""
    assert update(controller, to_there, partition="deft") == ""
    assert (from_there.time_limit, to_there.time_limit) == (7, None)
    for job, limit in ((from_there, 7), (to_there, 7)):
        controller.release(job.job_id, LATER, uid=0)
        assert (job.shown_state, job.time_limit) == ("RUNNING", limit)


def test_a_job_without_a_limit_that_moves_has_the_limit_of_the_first_partition() -> None:
    controller = world()
    job = submit(controller, "-H")
    assert update(controller, job, partition="short,debug") == ""
    assert job.time_limit == 5
    assert update(controller, job, partition="debug,short") == ""
    assert job.time_limit is None


def test_who_is_next() -> None:
    controller = world()
    first, second = queued(controller), queued(controller)
    assert (first.reason, second.reason) == ("Resources", "Priority")
    assert update(controller, second, priority=first.priority + 1) == ""
    assert (first.reason, second.reason) == ("Priority", "Resources")
    assert update(controller, second, priority=1) == ""
    assert (first.reason, second.reason, second.priority) == ("Resources", "Priority", 1)


def test_nice() -> None:
    """It counts from the priority, unless somebody has set that; who sets it takes the nice value back."""
    controller = world()
    job = queued(controller)
    before = job.priority
    for nice in (10, 100, -5, 0):
        assert update(controller, job, nice=nice) == ""
        assert (job.priority, job.description.nice) == (before - nice, nice)
    update(controller, job, nice=10)
    update(controller, job, priority=50)
    assert (job.priority, job.description.nice) == (50, 0)
    assert update(controller, job, nice=3) == ""
    assert (job.priority, job.description.nice) == (50, 0)
    controller.hold(job.job_id, LATER, uid=0)
    controller.release(job.job_id, LATER, uid=0)
    assert job.priority in range(before - 9, before)
    now = job.priority
    assert update(controller, job, nice=3) == ""
    assert (job.priority, job.description.nice) == (now - 3, 3)


def test_nice_lets_a_held_job_go() -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, nice=5) == ""
    assert (job.shown_state, job.priority) == ("RUNNING", 2)


def test_a_priority_for_a_held_job() -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, priority=5) == "Job is in held state, pending scheduler release"
    assert (job.priority, job.reason) == (0, "JobHeldUser")
    assert update(controller, job, priority=0) == ""
    assert job.reason == "JobHeldAdmin"


def test_a_user_cannot_hold_again_what_is_held() -> None:
    controller = world()
    job = held(controller, uid=1000)
    controller.hold(job.job_id, LATER, uid=0)
    assert update(controller, job, uid=1000, priority=0) == ""
    assert job.reason == "JobHeldAdmin"


def test_a_user_and_the_priority_of_a_job() -> None:
    controller = world()
    submit(controller, "-N4 --exclusive")
    job = submit(controller, uid=1000)
    assert update(controller, job, uid=1000, priority=job.priority) == ""
    assert no("update of a job's priority as anybody but root") == update(controller, job, uid=1000, priority=5)
    assert update(controller, job, uid=1000, nice=0) == ""
    assert update(controller, job, uid=1000, nice=-1) == "Access/permission denied"
    assert update(controller, job, uid=1000, priority=0) == ""
    assert (job.priority, job.reason) == (0, "JobHeldUser")


@pytest.mark.parametrize("how", ["hold", "update"])
def test_a_held_job_is_not_eligible(how: str) -> None:
    """Not even one that runs. When it began to wait is remembered."""
    controller = world()
    job = queued(controller)
    for one in (controller.jobs[1], job):
        if how == "hold":
            controller.hold(one.job_id, LATER, uid=0)
        else:
            assert update(controller, one, priority=0) == ""
        assert (one.priority, one.reason, one.eligible_time) == (0, "JobHeldAdmin", None)
        assert one.first_eligible_time == NOW
        controller.release(one.job_id, LATER, uid=0)
    assert (job.eligible_time, controller.jobs[1].eligible_time) == (LATER, None)


def test_another_begin() -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, begin=NOW + 1000) == ""
    assert (job.eligible_time, job.reason) == (NOW + 1000, "JobHeldUser")
    controller.release(job.job_id, LATER, uid=0)
    assert (job.reason, controller.next_deadline()) == ("BeginTime", NOW + 1000)
    assert update(controller, job, begin=NOW + 2000) == ""
    assert (job.eligible_time, controller.next_deadline()) == (NOW + 2000, NOW + 2000)
    assert update(controller, job, begin=NOW) == ""
    assert (job.shown_state, job.eligible_time) == ("RUNNING", LATER)
    assert update(controller, job, begin=NOW + 1000) == "Job is no longer pending execution"


def test_licenses() -> None:
    controller = world()
    submit(controller, licenses="foo:3")
    job = submit(controller, licenses="foo:2")
    assert job.reason == "Licenses"
    assert update(controller, job, licenses="nope") == "Invalid license specification"
    assert update(controller, job, licenses="foo:5") == "Invalid license specification"
    assert no("update of a job with Licenses=") == update(controller, job, licenses="")
    assert update(controller, job, licenses="foo:1") == ""
    assert job.shown_state == "RUNNING"
    assert no("update of the licenses of a job that runs") == update(controller, job, licenses="foo:2")
    controller = world(NEW)
    submit(controller, licenses="foo:3")
    job = submit(controller, licenses="foo:2")
    assert update(controller, job, licenses="") == ""
    assert job.shown_state == "RUNNING"


# What is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_limit": 0}, "a time limit of 0 minutes for a job that waits"),
        ({"end_time": NOW + 100}, "Job is not running"),
        ({"nodelist": "n9"}, "Invalid node name specified"),
        ({"nodelist": "n[1-2]"}, "update of a job with more nodes than it needs"),
        ({"exclude": "n9"}, "Invalid node name specified"),
        ({"nodelist": "n1", "exclude": "n1"}, "update of a job that requires nodes that it excludes"),
        ({"gres": ""}, "update of a job with Gres="),
        ({"gres": "nope:1"}, "Invalid generic resource (gres) specification"),
        ({"constraint": "nope"}, "Invalid feature specification"),
        ({"work_dir": "tmp"}, "update of a job with work_dir=tmp"),
        ({"output": ""}, "update of a job with output="),
        ({"error": ""}, "update of a job with error="),
    ],
)
def test_what_is_refused_of_a_job_that_waits(changes: dict[str, Any], words: str) -> None:
    controller = world()
    job = held(controller)
    before = job.description
    assert update(controller, job, **changes) in (words, no(words))
    if "exclude" not in changes or len(changes) == 1:
        assert job.description == before


def test_nodes_that_it_requires_and_excludes() -> None:
    controller = world()
    job = held(controller, "-w n1")
    assert no("update of a job that requires nodes that it excludes") == update(controller, job, exclude="n[1-2]")
    assert update(controller, job, exclude="n2") == ""
    assert no("update of a job that requires nodes that it excludes") == update(controller, job, nodelist="n2")
    assert update(controller, job, exclude="n2") == "", "what it has already"
    assert update(controller, job, exclude="") == ""
    assert update(controller, job, nodelist="n2") == ""


@pytest.mark.parametrize(("version", "described"), [(OLD, ""), (NEW, "n1")])
def test_what_is_looked_at_first(version: str, described: str) -> None:
    """24.11 takes nodes to be excluded before it looks at those that are required."""
    controller = world(version)
    job = held(controller)
    assert update(controller, job, exclude="n1", nodelist="n9") == "Invalid node name specified"
    assert job.description.exclude == described


def test_what_comes_before_a_refusal_stays() -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, comment="c", admin_comment="a", constraint="nope", name="n") == (
        "Invalid feature specification"
    )
    assert (job.description.comment, job.admin_comment, job.description.name) == ("c", "a", "job")


def test_memory_that_is_taken_away() -> None:
    for text in ("--mem=100", "--mem-per-cpu=100"):
        controller = world()
        job = held(controller, text)
        assert no("update of a job with MinMemoryCPU=0") == update(controller, job, mem_per_cpu=0)
        assert update(controller, job, mem_per_node=0) == ""


def test_accounts_and_qos() -> None:
    controller = world(accounting=False)
    job = held(controller)
    assert no("update of a job's Account without accounting") == update(controller, job, account="a")
    assert no("update of a job's QOS without accounting") == update(controller, job, qos="q")
    controller = world()
    job = held(controller)
    assert update(controller, job, account="a") == ""
    assert (job.qos, update(controller, job, qos="nope"), job.qos) == ("normal", "", "normal")
    controller = world()
    job = held(controller, qos="nope")
    assert (job.qos, update(controller, job, qos="nope"), job.qos) == (None, "", None)
    assert update(controller, job, qos="") == ""
    assert (job.qos, job.description.qos) == ("normal", "normal")
    controller = world(NEW)
    job = held(controller, qos="nope")
    assert (update(controller, job, qos=""), job.qos) == ("", None)
    assert (update(controller, job, qos="normal"), job.qos) == ("", "normal")


@pytest.mark.parametrize(
    "changes",
    [
        *({"partition": "two"}, {"account": "a"}, {"exclude": "n4"}, {"gres": "gpu:1"}, {"mem_per_node": 5}),
        *({"mem_per_cpu": 5}, {"tmp_disk": 0}, {"constraint": "f1"}, {"output": "o"}, {"error": "e"}, {"input": "i"}),
        *({"work_dir": "/tmp"}, {"wckey": "w"}, {"dependency": "afterany:1"}, {"begin": NOW + 50}),
    ],
)
def test_what_a_job_that_runs_keeps(changes: dict[str, Any]) -> None:
    controller = world()
    job = submit(controller, "-t 10")
    before = job.description
    assert update(controller, job, **changes) == "Job is no longer pending execution"
    assert job.description == before


@pytest.mark.parametrize(
    "changes",
    [
        *({"comment": "c"}, {"name": "n"}, {"requeue": False}, {"mail_user": "m"}, {"priority": 5}, {"nice": 3}),
        *({"input": "/dev/null"}, {"exclude": "n4"}, {"constraint": "f1"}, {"wckey": "w"}, {"partition": "debug"}),
        *({"admin_comment": "a"}, {"output": "o"}, {"work_dir": "/here"}, {"time_limit": 10}),
    ],
)
def test_what_may_be_said_of_a_job_that_runs(changes: dict[str, Any]) -> None:
    controller = world()
    has = {"exclude": "n4", "constraint": "f1", "wckey": "w", "output": "o", "work_dir": "/here"}
    job = submit(controller, "-t 10", **has)
    assert update(controller, job, **changes) == ""
    assert job.shown_state == "RUNNING"


def test_the_nodes_of_a_job_that_runs() -> None:
    controller = world()
    job = submit(controller)
    assert update(controller, job, nodelist="") == "Invalid node name specified"
    assert no("update of the nodes of a job that runs") == update(controller, job, nodelist="n1")


def test_a_job_that_has_ended() -> None:
    controller = world()
    job = submit(controller)
    finish(controller, job, NOW + 1)
    assert update(controller, job, comment="c") == "Job has already finished"
    assert update(controller, job, uid=1000, comment="c") == "Job has already finished", "before anything is asked"


def test_a_job_that_is_being_requeued() -> None:
    controller = world()
    job = submit(controller)
    controller.requeue(job.job_id, NOW + 1, uid=0)
    assert no("updates of a job that is being requeued") == update(controller, job, comment="c")


@pytest.mark.parametrize(("version", "words"), [(OLD, "Access/permission denied"), (NEW, "Invalid user id")])
def test_the_jobs_of_others(version: str, words: str) -> None:
    controller = world(version)
    job = held(controller, uid=1000)
    assert update(controller, job, uid=1001, comment="c") == "Invalid user id"
    assert update(controller, job, uid=1001, admin_comment="c") == words
    assert update(controller, job, uid=1000, admin_comment="c") == "Access/permission denied"
    assert (job.description.comment, job.admin_comment) == (None, None)


def test_a_job_that_has_more_cpus_than_its_partition_complains_after_the_update() -> None:
    controller = world()
    job = submit(controller, "-H -n9")
    said = "Requested partition configuration not available now"
    assert update(controller, job, partition="two", comment="c") == said
    assert (job.partition, job.description.comment) == ("two", "c")
    assert update(controller, job, partition="debug") == ""


def test_singletons_and_names() -> None:
    controller = world()
    submit(controller)
    waits = submit(controller, dependency="singleton")
    assert waits.reason == "Dependency"
    other, others = held(controller, name="other"), held(controller, uid=1000)
    words = "another name for a job while one of either name waits for --dependency=singleton"
    assert update(controller, other, name="job") == update(controller, waits, name="x") == no(words)
    assert update(controller, other, name="x") == ""
    assert update(controller, waits, name="job") == ""
    assert update(controller, others, name="y") == "", "of another user"


# Limits of jobs that run


def test_a_limit_moves_the_end_but_not_to_before_now() -> None:
    controller = world()
    job = submit(controller, "-t 10")
    assert (update(controller, job, NOW + 120, time_limit=20), job.latest_end) == ("", NOW + 1200)
    assert (update(controller, job, NOW + 120, time_limit=1), job.latest_end) == ("", NOW + 120)
    assert job.time_limit == 1
    controller.tick(NOW + 150)
    assert (job.state, job.end_time) == ("TIMEOUT", NOW + 150)


def test_a_limit_of_0_ends_the_job_at_the_next_scan() -> None:
    controller = world()
    job = submit(controller, "-t 10")
    assert update(controller, job, NOW + 31, time_limit=0) == ""
    assert (job.time_limit, job.description.time_limit) == (0, 10)
    assert controller.next_deadline() == NOW + 60
    controller.tick(NOW + 60)
    assert job.state == "TIMEOUT"


@pytest.mark.parametrize(
    ("seconds", "limit"), [(600, 10), (629, 10), (630, 11), (570, 10), (569, 10), (510, 9), (509, 9), (1200, 20)]
)
def test_another_end_changes_the_limit_by_the_difference(seconds: int, limit: int) -> None:
    """Rounded as (seconds + 30) / 60 towards zero."""
    controller = world()
    job = submit(controller, "-t 10")
    assert update(controller, job, end_time=NOW + seconds) == ""
    assert (job.time_limit, job.latest_end, job.description.time_limit) == (limit, NOW + seconds, limit)


def test_an_end_that_is_changed_twice() -> None:
    controller = world()
    job = submit(controller, "-t 10")
    for seconds, limit in ((640, 11), (655, 11), (700, 12)):
        assert update(controller, job, end_time=NOW + seconds) == ""
        assert (job.latest_end, job.time_limit) == (NOW + seconds, limit)


def test_an_end_in_the_past() -> None:
    controller = world()
    job = submit(controller, "-t 10")
    assert update(controller, job, NOW + 100.5, end_time=NOW + 99) == "Invalid time specified"
    assert update(controller, job, NOW + 100.5, end_time=NOW + 100) == "", "whole seconds"
    without = submit(controller, now=NOW + 101)
    words = "update of the end of a job without a time limit"
    assert no(words) == update(controller, without, NOW + 101, end_time=NOW + 900)


def test_the_limit_and_the_end_of_a_suspended_job() -> None:
    controller = world()
    job = submit(controller, "-t 10")
    controller.suspend(job.job_id, NOW + 60, uid=0)
    assert update(controller, job, NOW + 70, end_time=NOW + 900) == "Job is not running"
    assert update(controller, job, NOW + 70, time_limit=2) == ""
    controller.resume(job.job_id, NOW + 100, uid=0)
    assert job.latest_end == NOW + 160
    controller.tick(NOW + 180)
    assert job.state == "TIMEOUT"


def test_a_user_may_shorten() -> None:
    controller = cluster(partitions=[Partition("debug", default=True, max_time=60)])
    job = controller.jobs[controller.submit(describe("-t 10", uid=1000), NOW)]
    for changes in ({"end_time": NOW + 600}, {"end_time": NOW + 700}, {"time_limit": 11}):
        assert update(controller, job, uid=1000, **changes) == "Access/permission denied"
    assert update(controller, job, uid=1000, time_limit=10) == ""
    assert update(controller, job, uid=1000, end_time=NOW + 599) == ""


# Arrays


def test_how_many_elements_may_run() -> None:
    controller = world()
    array = submit(controller, "-t 10", array="1-4%1")
    assert (array.reason, array.array is not None and len(array.array.running)) == ("JobArrayTaskLimit", 1)
    assert update(controller, array, throttle=2) == ""
    assert array.array is not None
    assert (array.array.limit, len(array.array.running)) == (2, 2)
    assert update(controller, array, throttle=0) == ""
    assert (array.array.limit, len(array.array.running)) == (None, 4)


def test_the_limit_of_elements_may_be_changed_when_the_jobs_with_the_arrays_number_is_over() -> None:
    controller = world()
    array = submit(controller, "-t 10", array="1-2%1")
    element = controller.jobs[array.job_id + 1]
    assert array.array is not None
    finish(controller, element, NOW + 1)
    finish(controller, array, NOW + 2)
    assert array.finished
    assert (update(controller, array, throttle=3), array.array.limit) == ("", 3)
    assert update(controller, array, comment="c") == "Job has already finished"


def test_an_element_is_updated_by_itself() -> None:
    controller = world()
    array = held(controller, array="1-4")
    controller.update_job(array.job_id, JobUpdate(comment="c"), LATER, uid=0, task=3)
    element = controller.jobs[array.job_id + 1]
    assert (element.array_task_id, element.description.comment, array.description.comment) == (3, "c", None)
    controller.update_job(array.job_id, JobUpdate(comment="d"), LATER, uid=0, task=3)
    assert (element.description.comment, len(controller.jobs)) == ("d", 2)
    with pytest.raises(SlurmError, match="Invalid job id specified"):
        controller.update_job(array.job_id, JobUpdate(comment="d"), LATER, uid=0, task=9)


def test_accounting_is_told() -> None:
    controller = world()
    job = held(controller)
    assert update(controller, job, name="n", time_limit=3) == ""
    (row,) = controller.accounting.records(LATER, [job.job_id])
    assert (row.name, row.time_limit) == ("n", 3)
