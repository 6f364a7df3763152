"""Who runs next, and where: priority, backfill, placement, dependencies. Sources: docs/slurm-measurements.md, 8, and facts 5.7."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from controllers import NOW, cluster, cpus, finish, submit
from hypothesis import given
from hypothesis import strategies as st

from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, Node, Partition
from fakeslurm.slurmctld.jobupdate import JobUpdate
from fakeslurm.slurmctld.queue import Queue
from fakeslurm.slurmctld.selection import deal
from fakeslurm.slurmctld.timers import Timers, next_scan

TOP = 4294901759


def states(*jobs: Job) -> list[str]:
    return [job.state if job.state != "PENDING" else job.reason for job in jobs]


# Priority


def test_priorities_count_down() -> None:
    controller = cluster()
    jobs = [submit(controller, text) for text in ("", "-H", "", "--nice=100", "")]
    assert [job.priority for job in jobs] == [TOP, 0, TOP - 1, TOP - 2 - 100, TOP - 3]
    asked = submit(controller, priority=100)
    assert (asked.priority, submit(controller).priority) == (100, TOP - 4)


def test_first_come_first_served() -> None:
    controller = cluster()
    first = submit(controller, "--exclusive -N4")
    others = [submit(controller, "--exclusive -N4") for _ in range(3)]
    assert states(*others) == ["Resources", "Priority", "Priority"]
    for now, (before, after) in enumerate(pairwise([first, *others]), 1):
        finish(controller, before, NOW + now)
        assert after.state == "RUNNING"
    assert states(*others) == ["COMPLETED", "COMPLETED", "RUNNING"]


def test_priority_beats_order() -> None:
    controller = cluster()
    first = submit(controller, "--exclusive -N4")
    nice, asked, plain = (
        submit(controller, "--exclusive -N4", **more) for more in ({"nice": 100}, {"priority": 5}, {})
    )
    finish(controller, first, NOW + 1)
    assert states(plain, nice, asked) == ["RUNNING", "Resources", "Priority"]


def test_the_next_one_starts_when_the_first_in_the_queue_is_cancelled() -> None:
    controller = cluster(nodes=[Node("n1", cpus=4)])
    submit(controller, "-n3")
    large = submit(controller, "-n2")
    small = submit(controller, "-n2", now=NOW + 1)
    fits = submit(controller, "-n1", now=NOW + 100)
    assert states(large, small, fits) == ["Resources", "Priority", "Priority"]
    controller.cancel(2, NOW + 101, uid=0)
    assert states(small, fits) == ["Resources", "Priority"]
    controller.cancel(3, NOW + 102, uid=0)
    assert fits.state == "RUNNING"


def test_releasing_a_job_puts_it_behind_the_others() -> None:
    controller = cluster()
    submit(controller, "--exclusive -N4")
    held = submit(controller, "-H")
    other = submit(controller)
    controller.release(held.job_id, NOW, uid=0)
    assert other.priority > held.priority
    assert states(other, held) == ["Resources", "Priority"]


def test_all_of_a_long_queue_start_when_there_is_room() -> None:
    controller = cluster(nodes=[Node("n1", cpus=300)])
    first = submit(controller, "--exclusive")
    jobs = [submit(controller) for _ in range(250)]
    assert set(states(*jobs[1:])) == {"Priority"}
    finish(controller, first, NOW + 1)
    assert set(states(*jobs)) == {"RUNNING"}


def test_a_long_queue_of_one_partition_is_not_in_the_way_of_another() -> None:
    partitions = [Partition("a", nodes=["n1"]), Partition("b", nodes=["n2"])]
    controller = cluster(partitions=partitions)
    submit(controller, "-p a -n1")
    for _ in range(150):
        submit(controller, "-p a --exclusive")
    job = submit(controller, "-p b")
    assert job.state == "RUNNING"
    held = submit(controller, "-p b -n4")
    finish(controller, job, NOW + 1)
    assert held.state == "RUNNING"


def test_a_job_that_waits_for_the_start_of_another_starts_a_second_later() -> None:
    controller = cluster()
    first = submit(controller, "--exclusive -N4")
    second = submit(controller)
    third = submit(controller, dependency="after:2")
    assert states(second, third) == ["Resources", "Dependency"]
    finish(controller, first, NOW + 1)
    assert states(second, third) == ["RUNNING", "Dependency"]
    controller.tick(NOW + 1.9)
    assert states(third) == ["Dependency"]
    controller.tick(NOW + 2)
    assert states(third) == ["RUNNING"]


def test_a_job_that_waits_for_the_start_of_another_starts_when_that_one_ends_within_a_second() -> None:
    controller = cluster()
    first = submit(controller, "-H -w n1 -n3")
    second = submit(controller, "-w n1 -n2", dependency="after:1")
    controller.release(1, NOW, uid=0)
    assert states(second) == ["Dependency"]
    finish(controller, first, NOW + 0.5)
    assert states(second) == ["RUNNING"]


def test_a_job_that_was_to_wait_for_a_start_and_is_cancelled_or_waits_for_another() -> None:
    controller = cluster()
    submit(controller, "-H")
    cancelled, changed = (submit(controller, dependency="after:1") for _ in range(2))
    submit(controller, "-H")
    controller.release(1, NOW, uid=0)
    controller.update_job(changed.job_id, JobUpdate(dependency="after:4"), NOW, uid=0)
    controller.cancel(cancelled.job_id, NOW, uid=0)
    controller.tick(NOW + 1)
    assert (cancelled.state, states(changed)) == ("CANCELLED", ["Dependency"])


# Backfill


@pytest.mark.parametrize(("text", "state"), [("-t 2", "RUNNING"), ("-t 30", "Priority"), ("", "Priority")])
def test_overtaking(text: str, state: str) -> None:
    """Measured: 14 of 16 CPUs are busy for 5 minutes, and a job waits for all nodes."""
    controller = cluster()
    submit(controller, "-n14 -t 5")
    waiting = submit(controller, "--exclusive -N4")
    job = submit(controller, text)
    assert states(waiting, job) == ["Resources", state]


def test_overtaking_on_nodes_that_the_first_job_does_not_need() -> None:
    controller = cluster()
    submit(controller, "-w n1 -n4")
    waiting = submit(controller, "-w n1 -n1")
    job = submit(controller, now=NOW + 1000)
    assert states(waiting, job) == ["Resources", "RUNNING"]


def test_jobs_without_limits_overtake_only_at_once() -> None:
    """All of them are taken to run for a year; a minute later that would be a delay."""
    controller = cluster()
    submit(controller, "--exclusive")
    submit(controller, "-n1 -w n2")
    waiting = submit(controller, "--exclusive -N4")
    soon, late = (submit(controller, "-n1", now=NOW + seconds) for seconds in (30, 300))
    assert states(waiting, soon, late) == ["Resources", "RUNNING", "Priority"]


def test_who_overtakes_does_not_delay() -> None:
    """Many short jobs come while a large one waits; it starts when the jobs of the beginning have ended."""
    controller = cluster()
    busy = submit(controller, "-n14 -t 5")
    large = submit(controller, "--exclusive -N4", now=NOW + 1)
    for minute in range(4):
        finish(controller, submit(controller, "-t 1", now=NOW + 60 * minute + 2), NOW + 60 * minute + 50)
    late = submit(controller, "-t 3", now=NOW + 250)
    assert late.state == "PENDING"
    finish(controller, busy, NOW + 300)
    assert large.state == "RUNNING"


def test_partitions_do_not_wait_for_each_other() -> None:
    controller = cluster(partitions=[Partition("a", nodes=["n1"]), Partition("b", nodes=["n2"])])
    submit(controller, "-p a -n4")
    waiting = submit(controller, "-p a")
    other = submit(controller, "-p b")
    assert states(waiting, other) == ["Resources", "RUNNING"]


def test_several_partitions() -> None:
    """The job runs in the first that has room, with the limit of that one."""
    partitions = [Partition("a", nodes=["n1"], default_time=5), Partition("b", nodes=["n2"], default_time=7)]
    controller = cluster(partitions=partitions)
    submit(controller, "-p a -n4")
    job = submit(controller, "-p a,b")
    assert (job.state, job.partition, job.nodes, job.time_limit) == ("RUNNING", "b", ("n2",), 7)
    submit(controller, "-p b -n3")
    waiting = submit(controller, "-p a,b")
    assert (waiting.state, waiting.partition) == ("PENDING", "a,b")
    controller.cancel(waiting.job_id, NOW, uid=0)
    assert waiting.state == "CANCELLED"


# Placement


def test_a_node_that_is_just_large_enough() -> None:
    controller = cluster()
    assert [cpus(submit(controller, text)) for text in ("-n3", "-n2", "-n1")] == [{"n1": 3}, {"n2": 2}, {"n1": 1}]


def test_the_smallest_set_of_consecutive_nodes() -> None:
    controller = cluster()
    submit(controller, "-n4 -w n2")
    assert cpus(submit(controller, "-n6")) == {"n3": 4, "n4": 2}


def test_exclusive_means_alone() -> None:
    controller = cluster(nodes=[Node("n1"), Node("n2")])
    submit(controller, "-n1")
    assert submit(controller, "--exclusive").nodes == ("n2",)
    assert submit(controller, "-n1").nodes == ("n1",)
    other = submit(controller, "--exclusive")
    finish(controller, controller.jobs[1], NOW + 1)
    assert states(other) == ["Resources"]
    finish(controller, controller.jobs[3], NOW + 2)
    assert other.nodes == ("n1",)


def test_too_small_nodes_are_left_out_when_they_are_in_the_way() -> None:
    """-N2 -n8 over nodes of 2, 2, 4 and 4 CPUs: the first two nodes are not enough together."""
    controller = cluster(nodes=[Node("n1", 2), Node("n2", 2), Node("n3", 4), Node("n4", 4)])
    assert cpus(submit(controller, "-N2 -n8")) == {"n3": 4, "n4": 4}


@pytest.mark.parametrize(("consumed", "expected"), [(False, ["RUNNING", "RUNNING"]), (True, ["RUNNING", "Resources"])])
def test_memory(consumed: bool, expected: list[str]) -> None:
    controller = cluster(nodes=[Node("n1", real_memory=2000)], memory_is_consumed=consumed)
    assert states(*(submit(controller, "--mem=1500") for _ in range(2))) == expected


def test_memory_comes_back() -> None:
    controller = cluster(nodes=[Node("n1", real_memory=2000)], memory_is_consumed=True)
    first, second = (submit(controller, "--mem-per-cpu=600 -n2") for _ in range(2))
    assert controller.nodes["n1"].allocated_memory == 1200
    finish(controller, first, NOW + 1)
    assert second.state == "RUNNING"


@given(st.lists(st.integers(0, 8), min_size=1, max_size=6), st.integers(0, 60))
def test_deal(capacities: list[int], tasks: int) -> None:
    dealt = deal(capacities, tasks)
    assert sum(dealt) == tasks
    if tasks <= sum(capacities):
        assert all(many <= room for many, room in zip(dealt, capacities, strict=True))
        fullest = max(dealt)
        assert all(many >= min(room, fullest - 1) for many, room in zip(dealt, capacities, strict=True))


def test_the_same_events_give_the_same_history() -> None:
    def play() -> list[Any]:
        controller = cluster()
        jobs = [submit(controller, text) for text in ("-n3", "-N2", "-n5 -t 3", "--exclusive", "-n2 -t 1", "-N4")]
        finish(controller, jobs[0], NOW + 5)
        return [(job.nodes, job.cpus_per_node, job.reason) for job in jobs]

    assert play() == play()


# Dependencies


def depend(controller: Any, text: str, **more: Any) -> Job:
    return submit(controller, dependency=text, **more)


@pytest.mark.parametrize(
    ("kind", "status", "waiting", "then"),
    [
        ("afterok", 0, "Dependency", "RUNNING"),
        ("afterok", 256, "Dependency", "DependencyNeverSatisfied"),
        ("aftercorr", 256, "Dependency", "DependencyNeverSatisfied"),
        ("AFTEROK", 0, "Dependency", "RUNNING"),
        ("afternotok", 0, "Dependency", "DependencyNeverSatisfied"),
        ("afternotok", 256, "Dependency", "RUNNING"),
        ("afterany", 256, "Dependency", "RUNNING"),
        ("after", 0, "RUNNING", "RUNNING"),
    ],
)
def test_dependencies(kind: str, status: int, waiting: str, then: str) -> None:
    controller = cluster()
    first = submit(controller)
    job = depend(controller, f"{kind}:1")
    assert states(job) == [waiting]
    assert job.dependency == ("" if waiting == "RUNNING" else f"{kind.lower()}:1(unfulfilled)")
    controller.batch_ended(1, status, NOW + 1)
    assert states(job) == [waiting], "COMPLETING is not over"
    controller.processes_gone(1, NOW + 2)
    assert first.finished
    assert states(job) == [then]
    assert job.dependency == (f"{kind.lower()}:1(failed)" if then == "DependencyNeverSatisfied" else "")


def test_a_bare_id_is_afterany() -> None:
    controller = cluster()
    submit(controller)
    assert depend(controller, "1").dependency == "afterany:1(unfulfilled)"


def test_all_of_several() -> None:
    controller = cluster()
    first, second = submit(controller), submit(controller)
    job = depend(controller, "afterany:1:2")
    assert job.dependency == "afterany:1(unfulfilled),afterany:2(unfulfilled)"
    finish(controller, first, NOW + 1)
    assert (job.state, job.dependency) == ("PENDING", "afterany:2(unfulfilled)")
    finish(controller, second, NOW + 2)
    assert job.state == "RUNNING"


def test_one_of_several() -> None:
    controller = cluster()
    first = submit(controller)
    job = depend(controller, "afterok:1?afternotok:1")
    assert job.dependency == "afterok:1(unfulfilled)?afternotok:1(unfulfilled)"
    finish(controller, first, NOW + 1, 256)
    assert (job.state, job.dependency) == ("RUNNING", "")


def test_none_of_several() -> None:
    controller = cluster()
    first, second = submit(controller), submit(controller)
    job = depend(controller, "afterok:1?afterok:2")
    finish(controller, first, NOW + 1, 256)
    assert states(job) == ["Dependency"]
    finish(controller, second, NOW + 2, 256)
    assert states(job) == ["DependencyNeverSatisfied"]


def test_the_same_twice_is_once() -> None:
    controller = cluster()
    submit(controller)
    assert depend(controller, "afterok:1:1").dependency == "afterok:1(unfulfilled)"


@pytest.mark.parametrize(
    ("asked", "configured", "state"),
    [
        *(((), False, "PENDING"), ((), True, "CANCELLED"), ((True, False), False, "CANCELLED")),
        *(((True,), False, "CANCELLED"), ((False,), True, "PENDING")),
    ],
)
def test_kill_on_invalid_dependency(asked: tuple[bool, ...], configured: bool, state: str) -> None:
    controller = cluster(kill_invalid_dependency=configured)
    first = submit(controller)
    job = depend(controller, "afterok:1,afterany:1", kill_on_invalid_dep=frozenset(asked))
    finish(controller, first, NOW + 1, 256)
    assert (job.state, job.reason) == (state, "DependencyNeverSatisfied")
    assert job.dependency == "afterok:1(failed)"


def test_a_chain_of_cancellations() -> None:
    controller = cluster()
    first = submit(controller)
    second = depend(controller, "afterok:1", kill_on_invalid_dep=frozenset({True}))
    third = depend(controller, "afterok:2", kill_on_invalid_dep=frozenset({True}))
    fourth = depend(controller, "afterany:3")
    finish(controller, first, NOW + 1, 256)
    assert states(second, third, fourth) == ["CANCELLED", "CANCELLED", "RUNNING"]


def test_after_a_job_that_is_cancelled_before_it_began() -> None:
    controller = cluster()
    submit(controller, "-H")
    job = depend(controller, "after:1")
    assert states(job) == ["Dependency"]
    controller.cancel(1, NOW, uid=0)
    assert states(job) == ["RUNNING"]


def test_after_some_minutes() -> None:
    controller = cluster()
    first = submit(controller, "-H")
    job = depend(controller, "after:1+2")
    controller.release(1, NOW + 10, uid=0)
    assert (first.state, states(job)) == ("RUNNING", ["Dependency"])
    controller.tick(NOW + 11)
    assert controller.next_deadline() == NOW + 130
    controller.tick(NOW + 130)
    assert states(job) == ["RUNNING"]


def test_nobody_waits_for_minutes_that_need_not_pass() -> None:
    controller = cluster()
    first = submit(controller)
    job = depend(controller, "after:1+1?afterok:1")
    assert states(job) == ["Dependency"]
    finish(controller, first, NOW + 1)
    assert states(job) == ["RUNNING"]
    controller.tick(NOW + 100)
    assert states(job) == ["RUNNING"]


def test_singleton() -> None:
    controller = cluster()
    first = submit(controller, name="one")
    submit(controller, name="other")
    submit(controller, name="one", uid=1000)
    second = depend(controller, "singleton", name="one")
    third = depend(controller, "singleton", name="one")
    assert states(second, third) == ["Dependency", "Dependency"]
    assert second.dependency == "singleton(unfulfilled)"
    finish(controller, first, NOW + 1)
    assert states(second, third) == ["RUNNING", "Dependency"]
    finish(controller, second, NOW + 2)
    assert states(third) == ["RUNNING"]


def test_a_singleton_that_is_alone() -> None:
    controller = cluster()
    first = submit(controller)
    assert depend(controller, "afterok:1,singleton", name="z").dependency == "afterok:1(unfulfilled)"
    assert first.state == "RUNNING"


@pytest.mark.parametrize("kind", ["afterok", "afternotok", "afterany", "after"])
def test_unknown_jobs_before_23_02(kind: str) -> None:
    assert states(depend(cluster(), f"{kind}:99")) == ["RUNNING"]


@pytest.mark.parametrize("kind", ["afterok", "afternotok"])
def test_unknown_jobs_since_23_02(kind: str) -> None:
    with pytest.raises(SlurmError, match=r"^Job dependency problem$"):
        depend(cluster(version="24.11"), f"{kind}:99")
    assert states(depend(cluster(version="24.11"), "afterany:99")) == ["RUNNING"]


@pytest.mark.parametrize(
    "text", ["bogus:1", "afterok", "afterok:", "afterok:foo", "afterok:1,", "afterok:1,?afterok:1", "afterok:1+x"]
)
def test_bad_dependencies(text: str) -> None:
    with pytest.raises(SlurmError, match=r"^Job dependency problem$"):
        depend(cluster(), text)


@pytest.mark.parametrize(
    ("text", "what"), [("expand:1", "--dependency=expand"), ("afterburstbuffer:1", "--dependency=afterburstbuffer")]
)
def test_dependencies_that_are_not_supported(text: str, what: str) -> None:
    with pytest.raises(SlurmError, match=f"^fakeslurm does not support .*{what}"):
        depend(cluster(), text)


def test_a_held_job_with_a_dependency() -> None:
    controller = cluster()
    first = submit(controller)
    job = depend(controller, "afterok:1", hold=True)
    assert states(job) == ["JobHeldUser"]
    controller.release(2, NOW, uid=0)
    assert states(job) == ["Dependency"]
    controller.hold(2, NOW, uid=0)
    finish(controller, first, NOW + 1)
    assert states(job) == ["JobHeldAdmin"]


def test_cancelling_a_job_that_waits_for_another() -> None:
    controller = cluster()
    first = submit(controller)
    job = depend(controller, "afterok:1+1,after:1+5")
    controller.cancel(2, NOW, uid=0)
    assert controller.next_deadline() == NOW + 300, "MinJobAge and nothing else"
    finish(controller, first, NOW + 1)
    assert (job.state, job.reason) == ("CANCELLED", "Dependency")


def test_dependency_and_begin() -> None:
    controller = cluster()
    first = submit(controller)
    job = depend(controller, "afterok:1", begin=NOW + 100)
    assert states(job) == ["Dependency"]
    finish(controller, first, NOW + 1)
    assert states(job) == ["BeginTime"]
    controller.tick(NOW + 100)
    assert states(job) == ["RUNNING"]


# The parts


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "return"]), st.integers(0, 5)), max_size=300))
def test_queue(operations: list[tuple[str, int]]) -> None:
    queue, members, count = Queue(), dict[int, tuple[int, tuple[int, int], int]](), 0
    left: list[tuple[int, tuple[int, int], int]] = []
    for what, number in operations:
        if what == "add":
            count += 1
            turn = (count - number % 2, number)  # some come before those that are older
            queue.add(count, number, turn)
            members[count] = (-number, turn, count)
        elif what == "remove" and members:
            gone = sorted(members)[number % len(members)]
            queue.remove(gone)
            left.append(members.pop(gone))
        elif what == "return" and left:
            priority, turn, again = key = left.pop(number % len(left))
            queue.add(again, -priority, turn)
            members[again] = key
        expected = sorted(members.values())
        assert list(queue) == expected
        assert queue.head == (expected[0][-1] if expected else None)
        assert len(queue) == len(members)
        assert all(one in queue for one in members)


@given(st.lists(st.tuples(st.sampled_from(["set", "clear"]), st.integers(0, 3), st.floats(0, 100)), max_size=300))
def test_timers(operations: list[tuple[str, int, float]]) -> None:
    timers, expected = Timers(), dict[int, float]()
    for what, job_id, time in operations:
        if what == "set":
            timers.set("x", job_id, time)
            expected[job_id] = time
        else:
            timers.clear("x", job_id)
            expected.pop(job_id, None)
        assert timers.next() == min(expected.values(), default=None)
    assert timers.pop_due(-1.0) is None
    popped = []
    while (due := timers.pop_due(1000.0)) is not None:
        popped.append(expected.pop(due[1]))
    assert popped == sorted(popped)
    assert not expected


@pytest.mark.parametrize(
    ("time", "period", "expected"), [(0, 30, 0), (0.1, 30, 30), (30, 30, 30), (31, 30, 60), (31, 0, 31), (1.5, 1, 2)]
)
def test_next_scan(time: float, period: float, expected: float) -> None:
    assert next_scan(1000 + time, 1000, period) == 1000 + expected


def test_timers_of_which_most_were_cleared() -> None:
    timers = Timers()
    for job_id in range(1000):
        timers.set("kill", job_id, 1000.0 - job_id)
    for job_id in range(1000):
        if job_id % 10:
            timers.clear("kill", job_id)
        assert timers.next() == (1.0 if job_id < 999 else 10.0)
    assert [timers.pop_due(5000.0) for _ in range(100)] == [("kill", job_id) for job_id in range(990, -1, -10)]
    assert timers.pop_due(5000.0) is None


def test_a_queue_that_most_have_left() -> None:
    queue = Queue()
    for job_id in range(1000):
        queue.add(job_id, job_id % 7, (0, job_id))
    for job_id in range(1000):
        if job_id % 10:
            queue.remove(job_id)
    left = [job_id for _, _, job_id in queue]
    assert left == sorted(range(0, 1000, 10), key=lambda one: (-(one % 7), one))
    assert queue.head == left[0]


# Memory


def test_memory_is_compared_and_consumed() -> None:
    nodes = [Node("n1", real_memory=1000), Node("n2", real_memory=2000)]
    for consumed in (False, True):
        controller = cluster(nodes=nodes, memory_is_consumed=consumed)
        assert submit(controller, "--mem=1000").nodes == ("n1",)
        assert submit(controller, "--mem=1001").nodes == ("n2",)
        assert submit(controller, "--mem-per-cpu=1000").nodes == (() if consumed else ("n1",))


def test_all_of_a_nodes_memory() -> None:
    controller = cluster(memory_is_consumed=True)
    assert [submit(controller, "--mem=0").nodes for _ in range(2)] == [("n1",), ("n2",)]
    assert submit(controller, "-w n1").reason == "Resources"
