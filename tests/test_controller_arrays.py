"""Arrays in the controller: cases that the machine of test_controller_properties.py has found."""

from __future__ import annotations

from controllers import NOW, cluster, finish, submit

from fakeslurm.messages import Reason
from fakeslurm.model import Node, NodeReason
from fakeslurm.slurmctld import Controller
from slurmkit.slurm.states import JobState

BECAUSE = NodeReason("because", "root", 0, NOW)


def small(**settings: object) -> Controller:
    return cluster(nodes=(Node("n1", cpus=2), Node("n2", cpus=2)), **settings)


def test_elements_that_end_at_once_when_they_are_split_off() -> None:
    """Each corresponds to an element that has failed, and is cancelled for it."""
    controller = small()
    first = submit(controller, "-H", array="1-3")
    controller.cancel(first.job_id, NOW, uid=0)
    array = submit(
        controller, array="1-3", dependency=f"aftercorr:{first.job_id}", kill_on_invalid_dep=frozenset({True})
    ).array
    assert array is not None
    assert {controller.jobs[one].state for one in array.elements.values()} == {JobState.CANCELLED}
    assert sorted(array.elements) == [1, 2, 3]


def test_elements_that_end_at_once_and_are_singletons() -> None:
    """The end of one has all namesakes looked at, the last of its array among them, which ends as well."""
    controller = small()
    finish(controller, submit(controller), NOW, wait_status=1)
    text = "aftercorr:1,singleton"
    array = submit(controller, array="1-3", dependency=text, kill_on_invalid_dep=frozenset({True})).array
    assert array is not None
    assert {controller.jobs[one].state for one in array.elements.values()} == {JobState.CANCELLED}


def test_no_element_is_split_off_for_what_is_over() -> None:
    """Unless the array begins later (measured: mostly, it is chance)."""
    controller = small()
    finish(controller, submit(controller), NOW)
    array = submit(controller, array="1-9%1", dependency="aftercorr:1").array
    later = submit(controller, array="1-9%1", dependency="aftercorr:1", begin=NOW + 100).array
    assert array is not None
    assert later is not None
    assert sorted(array.elements) == [1]
    assert sorted(later.elements) == list(range(1, 10))


def test_a_requeued_element_has_not_started() -> None:
    controller = small()
    array = submit(controller, array="1-2").array
    assert array is not None
    controller.requeue(array.elements[1], NOW, uid=0)
    assert submit(controller, dependency=f"after:{array.job_id}").reason == Reason.DEPENDENCY


def test_elements_behind_the_first_that_waits_say_what_it_says() -> None:
    """They are jobs of their own before they start."""
    controller = small(version="22.05")
    before = submit(controller)
    array = submit(controller, "-N2 --exclusive", array="0-3", dependency=f"aftercorr:{before.job_id}").array
    assert array is not None
    finish(controller, before, NOW)
    waiting = [controller.jobs[one] for one in sorted(array.unstarted)]
    assert [job.reason for job in waiting] == [Reason.RESOURCES] * len(waiting) != []


def test_the_first_that_has_its_nodes_waits_for_resources() -> None:
    """Those ahead of it lack nodes that are drained, and hold up nobody."""
    controller = small()
    array = submit(controller, "--exclusive", array="1-2%1").array
    assert array is not None
    controller.update_node("n2", NOW, "DRAIN", BECAUSE)
    lacking = submit(controller, "-w n2", priority=2**32 - 1)
    controller.batch_ended(array.elements[1], 0, NOW)
    controller.tick(NOW + 1)
    assert lacking.reason == "ReqNodeNotAvail, UnavailableNodes:n2"
    assert controller.jobs[array.elements[2]].reason == Reason.RESOURCES


def test_the_job_with_the_number_of_its_array_is_forgotten_last() -> None:
    controller = small(min_job_age=5.0)
    array = submit(controller, array="1-2").array
    assert array is not None
    first, last = (controller.jobs[array.elements[task]] for task in (1, 2))
    assert last.job_id == array.job_id
    finish(controller, last, NOW + 1)
    controller.tick(NOW + 60)
    assert last.job_id in controller.jobs
    finish(controller, first, NOW + 61)
    controller.tick(NOW + 70)
    assert not controller.jobs.keys() - {first.job_id, last.job_id}
    controller.tick(NOW + 90)
    assert not controller.jobs
    assert not controller.arrays
    assert controller.next_deadline() is None


def test_elements_whose_dependency_is_another_one_when_they_are_split_off() -> None:
    controller = cluster()
    first = submit(controller, "-H", array="1-2")
    second = submit(controller, array="1-2", dependency=f"aftercorr:{first.job_id}")
    assert second.array is not None
    assert first.array is not None
    assert sorted(second.array.elements) == [1, 2]
    controller.release(first.job_id, NOW, uid=0)
    for task, status in ((2, 0), (1, 0)):
        finish(controller, controller.jobs[first.array.elements[task]], NOW + 3 - task, status)
        assert controller.jobs[second.array.elements[task]].shown_state == "RUNNING"


def test_what_a_long_array_waits_for() -> None:
    """Ten elements ahead of what they correspond to are jobs of their own, also when others have started."""
    controller = cluster()
    first = submit(controller, "-H", array="1-20")
    second = submit(controller, array="1-20", dependency=f"aftercorr:{first.job_id}")
    assert second.array is not None
    assert (second.dependency, second.reason) == (f"aftercorr:{first.job_id}_*(unfulfilled)", "Dependency")
    assert (len(second.array.elements), len(second.array.pending)) == (10, 10)
    assert first.array is not None
    for task in (1, 2):
        controller.release(first.job_id, NOW + task, uid=0, task=task)
        controller.take_touched()
        finish(controller, controller.jobs[first.array.elements[task]], NOW + task)
        next_one = controller.jobs[second.array.elements[10 + task]]
        assert next_one in controller.take_touched()[0], "a new job, though it waits for what the record waits for"
        assert controller.jobs[second.array.elements[task]].start_time == NOW + task
        assert (len(second.array.unstarted), len(second.array.pending)) == (10, 10 - task)
