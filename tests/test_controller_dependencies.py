"""Dependencies that are changed while their job waits: docs/measured/update.md."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import Job
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.jobupdate import JobUpdate


def depend(controller: Controller, job: Job, text: str, now: float = NOW, **more: Any) -> str:
    """What it is refused with."""
    try:
        controller.update_job(job.job_id, JobUpdate(dependency=text), now, uid=0, **more)
    except SlurmError as error:
        return error.message
    return ""


def test_a_job_waits_for_others_than_before() -> None:
    controller = cluster()
    first, second = submit(controller), submit(controller)
    job = submit(controller, dependency=f"afterok:{first.job_id}")
    assert depend(controller, job, f"afterany:{second.job_id}", NOW + 1) == ""
    assert (job.reason, job.dependency) == ("Dependency", "afterany:2(unfulfilled)")
    finish(controller, first, NOW + 2, 256)
    assert job.shown_state == "PENDING", "it is not waited for any more"
    finish(controller, second, NOW + 3, 256)
    assert (job.shown_state, job.dependency) == ("RUNNING", "")


def test_a_job_waits_for_nobody_any_more() -> None:
    controller = cluster()
    first = submit(controller)
    job = submit(controller, dependency=f"afterok:{first.job_id}")
    assert depend(controller, job, "") == ""
    assert (job.shown_state, job.dependency) == ("RUNNING", "")
    assert depend(controller, job, "afterany:1") == "Job is no longer pending execution"


def test_what_could_start_since_counts_no_more() -> None:
    """EligibleTime is Unknown from the next look on, in a later second; AccrueTime stays what it was."""
    controller = cluster()
    submit(controller, "-N4 --exclusive")
    job, same = submit(controller), submit(controller)
    assert [one.eligible_time for one in (job, same)] == [NOW, NOW]
    depend(controller, same, "afterany:1", NOW + 0.5)
    assert same.eligible_time == NOW
    depend(controller, job, "afterany:1", NOW + 2)
    controller.tick(NOW + 2)
    for one in (same, job):
        assert (one.eligible_time, one.first_eligible_time) == (None, NOW)


def test_a_held_job_may_get_a_dependency() -> None:
    controller = cluster()
    submit(controller)
    job = submit(controller, "-H")
    assert depend(controller, job, "afterany:1") == ""
    assert (job.reason, job.dependency) == ("JobHeldUser", "afterany:1(unfulfilled)")
    controller.release(job.job_id, NOW, uid=0)
    assert job.reason == "Dependency"


def test_circles() -> None:
    controller = cluster()
    first, second, third = (submit(controller, "-H") for _ in range(3))
    assert depend(controller, first, "afterany:1") == "Job dependency problem"
    assert depend(controller, second, "afterany:1") == ""
    assert depend(controller, third, "afterany:2") == ""
    assert depend(controller, first, "afterany:2") == "Circular job dependency"
    assert depend(controller, first, "afterany:3") == "Circular job dependency", "be it by others"
    assert first.dependency == ""
    assert depend(controller, second, "") == ""
    assert depend(controller, first, "afterany:3") == ""
    assert depend(controller, second, "afterany:1?afterany:9") == "Circular job dependency"


def test_a_circle_of_others_is_looked_at_once() -> None:
    """A job waits for several that lead to each other's jobs."""
    controller = cluster()
    jobs = [submit(controller, "-H")]
    for number in range(2, 6):
        text = ",".join(f"afterany:{other.job_id}" for other in jobs[1:]) or "afterany:99"
        jobs.append(submit(controller, "-H", dependency=text))
        assert jobs[-1].job_id == number
    assert depend(controller, jobs[0], "afterany:5") == ""
    assert depend(controller, jobs[1], "afterany:1") == "Circular job dependency"


@pytest.mark.parametrize(("version", "refused"), [("22.05", ""), ("24.11", "Job dependency problem")])
def test_unknown_jobs(version: str, refused: str) -> None:
    controller = cluster(version=version)
    job = submit(controller, "-H")
    assert depend(controller, job, "afterok:77") == refused
    assert depend(controller, job, "afterany:77") == ""


def test_an_element_may_wait_for_another_but_not_for_its_whole_array() -> None:
    controller = cluster()
    array = submit(controller, "-H", array="1-3")
    assert depend(controller, array, "afterany:1_2") == "Job dependency problem", "all elements would wait for it"
    assert depend(controller, array, "afterany:1") == "Job dependency problem"
    assert depend(controller, array, "afterany:1_2", task=1) == ""
    element = controller.jobs[2]
    assert (element.array_task_id, element.dependency) == (1, "afterany:1_2(unfulfilled)")
    assert depend(controller, element, "afterany:1_1") == "Job dependency problem"
    assert depend(controller, element, "afterany:1") == "Job dependency problem"
    with pytest.raises(SlurmError, match="an element of an array that waits for all of them"):
        controller.update_job(2, JobUpdate(dependency="afterany:1_*"), NOW, uid=0)
    assert depend(controller, array, "afterany:1_1", task=2) == "Circular job dependency"


def test_circles_by_arrays() -> None:
    controller = cluster()
    array, job = submit(controller, "-H", array="1-3"), submit(controller, "-H", dependency="afterany:1_2")
    assert depend(controller, array, f"afterany:{job.job_id}") == "Circular job dependency"
    assert depend(controller, array, f"afterany:{job.job_id}", task=3) == "", "which no other element waits for"
    other = submit(controller, "-H", dependency="afterany:1")
    assert depend(controller, array, f"afterany:{other.job_id}", task=1) == "Circular job dependency"


def test_all_elements_of_an_array_that_is_not_known() -> None:
    """On 24.11, where jobs are to have been there."""
    controller = cluster(version="24.11")
    array = submit(controller, "-H", array="1-2")
    job = submit(controller, dependency=f"afterok:{array.job_id}_*")
    assert (job.reason, job.dependency) == ("Dependency", f"afterok:{array.job_id}_*(unfulfilled)")
    for text in ("afterok:77_*", f"afterok:{job.job_id}_*", f"afterok:{array.job_id}_9"):
        with pytest.raises(SlurmError, match=r"^Job dependency problem$"):
            submit(controller, dependency=text)


def test_elements_wait_for_a_whole_array_unless_they_correspond() -> None:
    controller = cluster()
    first = submit(controller, array="1-2")
    second = submit(controller, array="1-2", dependency=f"afterok:{first.job_id}")
    controller.update_job(second.job_id, JobUpdate(comment="c"), NOW, uid=0, task=1)
    assert first.array is not None
    assert second.array is not None
    element = controller.jobs[second.array.elements[1]]
    finish(controller, controller.jobs[first.array.elements[1]], NOW + 1)
    assert element.reason == "Dependency"
    finish(controller, controller.jobs[first.array.elements[2]], NOW + 2)
    assert element.shown_state == "RUNNING"
