"""``scontrol update`` of jobs: what others than root may do. Measured with another user's uid: docs/measured/update.md."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, describe, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import Job, Partition
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmctld.jobupdate import JobUpdate

USER = 1000
PARTITIONS = [Partition("debug", default=True, max_time=60), Partition("other")]


def submitted(text: str) -> tuple[Controller, Job]:
    controller = cluster(partitions=PARTITIONS)
    job_id = controller.submit(describe(text, uid=USER, user="somebody"), NOW)
    return controller, controller.jobs[job_id]


def update(controller: Controller, job: Job, uid: int = USER, **changes: Any) -> str:
    """What it is refused with."""
    try:
        controller.update_job(job.job_id, JobUpdate(**changes), NOW, uid=uid)
    except SlurmError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    "changes",
    [
        *({"name": "n"}, {"comment": "c"}, {"requeue": False}, {"partition": "other"}, {"nice": 5}, {"priority": 0}),
        *({"time_limit": 5}, {"time_limit": 60}, {"begin": NOW + 100}, {"exclude": "n1"}, {"nodelist": "n2"}),
        {"mem_per_node": 10},
    ],
)
def test_what_a_user_may_do_with_a_job_that_waits(changes: dict[str, Any]) -> None:
    controller, job = submitted("-H -t 10")
    assert update(controller, job, **changes) == ""


@pytest.mark.parametrize("changes", [{"admin_comment": "a"}, {"nice": -5}, {"time_limit": 61}])
def test_what_a_user_may_not(changes: dict[str, Any]) -> None:
    controller, job = submitted("-H -t 10")
    assert update(controller, job, **changes) == "Access/permission denied"
    assert update(controller, job, 0, **changes) == ""


def test_the_limit_of_a_running_job_is_not_extended_by_its_user() -> None:
    controller, job = submitted("-t 10")
    assert update(controller, job, time_limit=11) == "Access/permission denied"
    assert update(controller, job, end_time=NOW + 700) == "Access/permission denied"
    assert (update(controller, job, time_limit=9), job.time_limit) == ("", 9)
    assert (update(controller, job, end_time=NOW + 300), job.latest_end) == ("", NOW + 300)


def test_the_jobs_of_others() -> None:
    controller, job = submitted("-H -t 10")
    assert update(controller, job, USER + 1, name="n") == "Invalid user id"
    # On 22.05 that comes first.
    assert update(controller, job, USER + 1, admin_comment="a") == "Access/permission denied"


def test_a_user_holds_as_a_user() -> None:
    controller, job = submitted("--nice 0 -t 10 -N 9")
    assert update(controller, job, priority=0) in ("", "Requested partition configuration not available now")
    assert job.reason == "JobHeldUser"


def test_without_a_limit_the_end_is_a_year_away() -> None:
    """What follows counts from when the limit was taken away."""
    controller, job = submitted("-t 10")
    later = NOW + 100
    controller.update_job(job.job_id, JobUpdate(time_limit=2**32 - 1), later, uid=0)
    assert (job.time_limit, job.latest_end) == (None, None)
    controller.update_job(job.job_id, JobUpdate(time_limit=5), later + 50, uid=0)
    assert (job.time_limit, job.latest_end) == (5, later + 300)
    controller.update_job(job.job_id, JobUpdate(time_limit=1), later + 200, uid=0)
    assert job.latest_end == later + 200


@pytest.mark.parametrize(("hold", "priority"), [(False, 70), (True, 2)])
def test_a_nice_value_beside_a_priority(hold: bool, priority: int) -> None:
    """It does nothing, unless the job was held when it was submitted."""
    controller = cluster()
    submit(controller, "-N4 --exclusive")
    job = submit(controller, priority=70, hold=hold)
    assert job.priority == (0 if hold else 70)
    controller.update_job(job.job_id, JobUpdate(nice=5), NOW, uid=0)
    assert job.priority == priority
