"""``--deadline``: measured in `fakeslurm/contract/test_deadline.py` and `test_node_counts.py`."""

from __future__ import annotations

import pytest
from controllers import NOW, cluster, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import NO_LIMIT
from fakeslurm.slurmctld.jobupdate import JobUpdate

TOO_LATE = r"^Requested time limit is invalid \(missing or exceeds some limit\)$"


def test_a_deadline_that_cannot_be_kept() -> None:
    """22.05 takes the job, and ends it when it first looks at it; 24.11 refuses it."""
    controller = cluster()
    job = submit(controller, "-t 10", deadline=NOW + 100)
    assert (job.state, job.reason, job.wait_status, job.nodes) == ("DEADLINE", "DeadLine", 1, ())
    assert job.start_time == job.end_time == NOW
    (row,) = controller.accounting.records(NOW, [1])
    assert (row.state, row.wait_status) == ("DEADLINE", 256)
    with pytest.raises(SlurmError, match=TOO_LATE):
        submit(cluster(version="24.11"), "-t 10", deadline=NOW + 100)


@pytest.mark.parametrize("version", ["22.05", "24.11"])
def test_a_deadline_in_the_past(version: str) -> None:
    """By seconds, as Slurm counts."""
    controller = cluster(version=version)
    for past in (2.0, 1.5):
        with pytest.raises(SlurmError, match=TOO_LATE):
            submit(controller, "-H", deadline=NOW - past + (60 if version == "24.11" else 0))
    assert controller.jobs == {}
    assert submit(controller, "-H", deadline=NOW - 1.0 + (60 if version == "24.11" else 0)).job_id == 1


@pytest.mark.parametrize("limit", [NO_LIMIT, 0, 30])
def test_a_deadline_without_a_limit(limit: int) -> None:
    submit(cluster(), "-H", deadline=NOW + 3600, time_limit=limit)
    controller = cluster(version="24.11")
    if limit == NO_LIMIT:
        with pytest.raises(SlurmError, match=TOO_LATE):
            submit(controller, "-H", deadline=NOW + 3600, time_limit=limit)
    else:
        submit(controller, "-H", deadline=NOW + 3600, time_limit=limit)
    submit(controller, "-H", time_limit=NO_LIMIT)


def test_a_deadline_that_comes_while_a_job_waits() -> None:
    """A job without a limit needs a minute."""
    controller = cluster()
    submit(controller, "-N4 --exclusive -t 30")
    job, later = submit(controller, deadline=NOW + 64), submit(controller, "-t 2", deadline=NOW + 200)
    assert (job.time_min, later.time_min) == (1, None)
    assert (job.shown_state, controller.next_deadline()) == ("PENDING", NOW + 5)
    controller.tick(NOW + 4.9)
    assert job.shown_state == "PENDING"
    controller.tick(NOW + 5)
    assert (job.state, job.reason, job.end_time) == ("DEADLINE", "DeadLine", NOW + 5)
    assert controller.next_deadline() == NOW + 81
    controller.tick(NOW + 81)
    assert later.state == "DEADLINE"


@pytest.mark.parametrize(("version", "ends"), [("22.05", False), ("24.11", True)])
def test_a_held_job_is_looked_at_with_the_limits_of_running_ones(version: str, ends: bool) -> None:
    """On 24.11; on 22.05 not before it is released."""
    controller = cluster(version=version)
    job = submit(controller, "-H", deadline=NOW + 64)
    assert controller.next_deadline() == (NOW + 30 if ends else None)
    controller.tick(NOW + 30)
    assert job.state == ("DEADLINE" if ends else "PENDING")
    if not ends:
        controller.release(1, NOW + 31, uid=0)
        assert job.state == "DEADLINE"


def test_the_limit_of_a_job_that_runs() -> None:
    controller = cluster()
    unlimited, shorter = submit(controller, deadline=NOW + 110), submit(controller, "-t 2", deadline=NOW + 600)
    longer = submit(controller, "-t 9", deadline=NOW + 599)
    assert (unlimited.time_limit, shorter.time_limit, longer.time_limit) == (1, 2, 9)
    assert controller.next_deadline() == NOW + 60
    controller.tick(NOW + 60)
    assert unlimited.state == "TIMEOUT"


def test_a_job_that_started_does_not_end_by_its_deadline_but_by_its_limit() -> None:
    controller = cluster()
    job = submit(controller, "-t 2", deadline=NOW + 130)
    controller.tick(NOW + 11)
    assert job.shown_state == "RUNNING"
    controller.tick(NOW + 120)
    assert job.state == "TIMEOUT"


def test_the_limit_of_the_elements_that_wait_for_those_that_run() -> None:
    controller = cluster()
    array = submit(controller, "-w n1", array="0-5", deadline=NOW + 172830)
    assert array.array is not None
    running = [controller.jobs[one] for one in array.array.elements.values()]
    assert (len(running), {job.time_limit for job in running}, array.time_limit) == (4, {2880}, 2880)
    array = submit(cluster(), "-w n1 -t 5", array="0-5")
    assert array.time_limit == 5


def test_another_deadline_is_none_of_a_job_that_was_changed() -> None:
    """With another limit the latest start is another one."""
    controller = cluster()
    submit(controller, "-N4 --exclusive")
    job = submit(controller, "-t 2", deadline=NOW + 200)
    assert controller.next_deadline() == NOW + 81
    controller.update_job(job.job_id, JobUpdate(time_limit=1), NOW, uid=0)
    assert controller.next_deadline() == NOW + 141
    controller.cancel(job.job_id, NOW, uid=0)
    assert controller.next_deadline() != NOW + 141
