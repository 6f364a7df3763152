"""What is foreseen: ``--test-only``, and what jobs ahead of others will need. Measured: docs/measured/preemption.md."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, describe, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, NodeReason, Partition
from fakeslurm.slurmctld import Controller
from slurmkit.slurm import hostlist

TIERS = [Partition("low", default=True), Partition("mid", priority_tier=2), Partition("high", priority_tier=3)]


def foreseen(controller: Controller, text: str, now: float = NOW, **more: Any) -> tuple[str, float, tuple[int, ...]]:
    """The nodes, in how many seconds, and who would have to make room."""
    found = controller.test_only(describe(text, **more), now)
    return hostlist.compress(found.nodes), found.start - now, found.preempts


def outcomes(*jobs: Job) -> list[str]:
    return [hostlist.compress(job.nodes) or job.reason for job in jobs]


# --test-only


def test_when_enough_jobs_have_ended() -> None:
    controller = cluster()
    for node, limit in (("n1", 10), ("n2", 20), ("n3", 20), ("n4", 30)):
        submit(controller, f"-w {node} --exclusive -t {limit}")
    assert foreseen(controller, "") == ("n1", 600, ())
    assert foreseen(controller, "-N2") == ("n[1-2]", 1200, ())
    assert foreseen(controller, "-N3") == ("n[1-3]", 1200, ())
    assert foreseen(controller, "-N4") == ("n[1-4]", 1800, ())
    assert foreseen(controller, "-w n3") == ("n3", 1200, ())
    assert foreseen(controller, "-N2 -w n[3-4]", NOW + 60) == ("n[3-4]", 1740, ())
    assert foreseen(controller, "-N2", NOW + 700) == ("n[1-2]", 500, ()), "what should have ended counts from now"


def test_what_is_being_ended_counts_as_ended() -> None:
    controller = cluster()
    job = submit(controller, "-N4 --exclusive -t 10")
    controller.cancel(job.job_id, NOW + 5, uid=0)
    assert foreseen(controller, "-N4", NOW + 6) == ("n[1-4]", 0, ())
    assert foreseen(controller, "-N2", NOW + 6) == ("n[2-3]", 0, ())


def test_a_job_without_a_limit_ends_in_a_year() -> None:
    controller = cluster()
    submit(controller, "-N4 --exclusive")
    assert foreseen(controller, "") == ("n1", 365 * 24 * 3600, ())


def test_nodes_that_are_down_are_never_had() -> None:
    controller = cluster()
    controller.update_node("n1", NOW, "DOWN", NodeReason("gone", "root", 0, NOW))
    assert foreseen(controller, "-N3") == ("n[2-4]", 0, ())
    for text in ("-N4", "-w n1"):
        with pytest.raises(SlurmError, match=r"^Requested node configuration is not available$"):
            foreseen(controller, text)


def test_a_partition_that_is_open() -> None:
    controller = cluster(
        partitions=[Partition("debug", default=True, max_time=5), Partition("two", nodes=["n3", "n4"])]
    )
    found = controller.test_only(describe("-t 10", partition="debug,two"), NOW)
    assert (found.partition, found.nodes, found.num_cpus, found.job_id) == ("two", ("n3",), 1, 1)
    assert controller.test_only(describe("-t 5 -N2 -n4"), NOW).partition == "debug"
    with pytest.raises(SlurmError):
        controller.test_only(describe("-t 10"), NOW)
    assert submit(controller).job_id == 4, "each has used up an id"


def test_who_would_be_preempted() -> None:
    controller = cluster(partitions=TIERS, preempts=True, preempt_mode="CANCEL")
    submit(controller, "-N2 --exclusive -t 10")
    submit(controller, "-N2 --exclusive -t 10 -p mid")
    assert foreseen(controller, "-p high") == ("n1", 0, (1,))
    assert sorted(foreseen(controller, "-p high -N3")[2]) == [1, 2]
    assert foreseen(controller, "-p mid -N2") == ("n[1-2]", 0, (1,))
    assert foreseen(controller, "-p mid -N3") == ("n[1-3]", 600, ())
    assert foreseen(controller, "") == ("n1", 600, ())
    assert [job.shown_state for job in controller.jobs.values()] == ["RUNNING"] * 2


def test_whose_cpus_it_would_have_as_well_is_not_said() -> None:
    partitions = [Partition("low", default=True), Partition("mid", priority_tier=2)]
    controller = cluster(partitions=partitions, preempts=True, preempt_mode="GANG,SUSPEND")
    submit(controller, "-N4 --exclusive -t 10")
    assert foreseen(controller, "-p mid -n5") == ("n[1-2]", 0, ())
    assert foreseen(controller, "") == ("n1", 600, ())


# What the first that waits will need


def test_who_is_gone_in_time_goes_ahead() -> None:
    """On nodes that the first will get: its minute of grace apart."""
    controller = cluster()
    submit(controller, "-w n1 --exclusive -t 10")
    first = submit(controller, "-N4 --exclusive -t 10")
    same, later, late = (submit(controller, f"-t {limit}") for limit in (10, 11, 13))
    assert outcomes(first, same, later, late) == ["Resources", "n2", "n2", "Priority"]


def test_the_nodes_that_are_free_are_kept_for_the_first() -> None:
    controller = cluster()
    submit(controller, "-w n1 --exclusive -t 10")
    submit(controller, "-w n2 --exclusive -t 20")
    first = submit(controller, "-N3 --exclusive -t 10")
    long, short = submit(controller, "-t 60"), submit(controller, "-t 8")
    assert outcomes(first, long, short) == ["Resources", "Priority", "n3"]


def test_the_nodes_of_all_that_name_theirs_are_kept() -> None:
    controller = cluster()
    for node in ("n1", "n2"):
        submit(controller, f"-w {node} --exclusive -t 10")
    first, second = (submit(controller, f"-N2 -w {nodes} --exclusive -t 10") for nodes in ("n[1,3]", "n[2,4]"))
    long, short = submit(controller, "-t 60"), submit(controller, "-t 8")
    assert outcomes(first, second) == ["Resources", "Resources"]
    assert (long.shown_state, short.shown_state) == ("PENDING", "RUNNING")
    assert short.nodes in (("n3",), ("n4",))


def test_the_jobs_of_licenses_hold_up_nobody() -> None:
    controller = cluster(licenses={"foo": 1})
    holds = submit(controller, "-w n1 --exclusive", licenses="foo")
    waits = submit(controller, "-N4 --exclusive", licenses="foo")
    behind = submit(controller, "-N3 --exclusive")
    assert outcomes(waits, behind) == ["Licenses", "n[2-4]"]
    last = submit(controller, "-N2")
    assert outcomes(last) == ["Resources"]
    finish(controller, holds, NOW + 1)
    assert outcomes(waits, last) == ["Resources", "Priority"]
    controller.cancel(waits.job_id, NOW + 2, uid=0)
    assert outcomes(last) == ["Resources"]
    finish(controller, behind, NOW + 3)
    assert outcomes(last) == ["n[1-2]"]


def test_reasons_when_the_first_goes() -> None:
    controller = cluster()
    runs = submit(controller, "-N4 --exclusive")
    first, second, third = (submit(controller, "-N4 --exclusive") for _ in range(3))
    assert outcomes(first, second, third) == ["Resources", "Priority", "Priority"]
    controller.hold(first.job_id, NOW + 1, uid=0)
    assert outcomes(first, second, third) == ["JobHeldAdmin", "Resources", "Priority"]
    controller.release(first.job_id, NOW + 2, uid=0)
    assert outcomes(first, second, third) == ["Priority", "Resources", "Priority"]
    finish(controller, runs, NOW + 3)
    assert outcomes(first, second, third) == ["Priority", "n[1-4]", "Resources"]


def test_a_queue_is_looked_at_to_a_depth_of_a_hundred() -> None:
    """Of those that have to wait, in each partition."""
    controller = cluster(partitions=[Partition("debug", default=True), Partition("other")])
    submit(controller, "-w n1 --exclusive -t 10")
    for _ in range(100):
        submit(controller, "-N4 --exclusive -t 10")
    short = submit(controller, "-t 5")
    assert outcomes(short) == ["Priority"], "the first hundred wait"
    assert outcomes(submit(controller, "-t 5", partition="other")) == ["n2"], "of another partition"
    controller.cancel(50, NOW, uid=0)
    controller.tick(NOW + 1)
    controller.cancel(2, NOW + 1, uid=0)
    assert outcomes(short) == ["n2"]


# Three tiers, of which the lower stand still


def suspended(*jobs: Job) -> list[bool]:
    return [job.shown_state == "SUSPENDED" for job in jobs]


def test_who_stands_still_for_whom() -> None:
    controller = cluster(partitions=TIERS, preempts=True, preempt_mode="GANG,SUSPEND")
    low = submit(controller, "-N4 --exclusive")
    mid = submit(controller, "-N2 --exclusive -p mid")
    assert (outcomes(mid), suspended(low, mid)) == (["n[1-2]"], [True, False])
    high = submit(controller, "-N3 --exclusive -p high")
    assert (outcomes(high), suspended(low, mid, high)) == (["n[1-3]"], [True, True, False])
    finish(controller, high, NOW + 10)
    assert suspended(low, mid) == [True, False]
    finish(controller, mid, NOW + 20)
    assert suspended(low) == [False]


def test_the_highest_tier_that_need_not_stand_still_goes_on() -> None:
    controller = cluster(partitions=TIERS, preempts=True, preempt_mode="GANG,SUSPEND")
    low = submit(controller, "-N2 -w n[3-4] --exclusive")
    mid = submit(controller, "-N2 -w n[1-2] --exclusive -p mid")
    high = submit(controller, "-N2 --exclusive -p high")
    assert (outcomes(high), suspended(low, mid)) == (["n[3-4]"], [True, False])
    more = submit(controller, "-N1 --exclusive -p high")
    assert (outcomes(more), suspended(low, mid)) == (["n1"], [True, True])


def test_a_partition_whose_jobs_never_stand_still() -> None:
    partitions = [Partition("low", default=True, preempt_mode="OFF"), Partition("mid", priority_tier=2)]
    controller = cluster(partitions=partitions, preempts=True, preempt_mode="GANG,SUSPEND")
    low, mid = submit(controller, "-N4 --exclusive"), submit(controller, "-p mid")
    assert (outcomes(mid), suspended(low)) == (["Resources"], [False])
