"""What accounting makes of it. Sources: facts 5.3 and 5.4, and sacct on 22.05.8."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm.model import StepRequest
from fakeslurm.slurmctld import Controller
from fakeslurm.slurmdbd import JobRecord


def record(controller: Controller, job_id: int = 1, now: float = NOW + 1000) -> JobRecord:
    (found,) = controller.accounting.records(now, [job_id])
    return found


def rows(controller: Controller, job_id: int = 1) -> list[Any]:
    """(id, state, exit status, end) of the job and of its steps."""
    job = record(controller, job_id)
    steps = [(one.step_id, one.state, one.wait_status, one.end) for one in job.steps]
    return [(job.job_id, job.state, job.wait_status, job.end), *steps]


def test_a_job_with_a_step() -> None:
    controller = cluster()
    job = submit(controller, "-N2 -n3", user="root", name="ok", submit_line="sbatch ok.sh")
    assert rows(controller) == [(1, "RUNNING", 0, None), ("batch", "RUNNING", 0, None)]
    controller.create_step(1, StepRequest(name="hostname", ntasks=3, submit_line="srun hostname"), NOW + 1)
    controller.step_ended(1, 0, [0, 0, 3 << 8], NOW + 2)
    finish(controller, job, NOW + 5)
    end = NOW + 5
    assert rows(controller) == [
        (1, "COMPLETED", 0, end),
        ("batch", "COMPLETED", 0, end),
        (0, "FAILED", 3 << 8, NOW + 2),
    ]
    found = record(controller)
    assert (found.nodes, found.num_nodes, found.allocated_cpus, found.requested_cpus) == (("n1", "n2"), 2, 3, 3)
    assert (found.requested_memory, found.derived_wait_status, found.reason) == ("4000M", 3 << 8, "None")
    assert (found.account, found.qos, found.submit_line) == ("root", "normal", "sbatch ok.sh")
    batch, step = found.steps
    assert (batch.name, batch.ntasks, batch.num_cpus, batch.nodes) == ("batch", 1, 2, ("n1",))
    assert (step.name, step.ntasks, step.distribution, step.submit_line) == ("hostname", 3, "block", "srun hostname")


def test_a_job_that_was_cancelled_while_it_ran() -> None:
    """squeue has 0:15, the job's row 0:0, its script's 0:15."""
    controller = cluster()
    job = submit(controller)
    controller.cancel(1, NOW + 1, uid=1000 if job.description.uid else 0)
    controller.batch_ended(1, 15, NOW + 2)
    controller.processes_gone(1, NOW + 2)
    assert rows(controller) == [(1, "CANCELLED", 0, NOW + 1), ("batch", "CANCELLED", 15, NOW + 2)]
    assert (job.wait_status, record(controller).cancelled_by) == (15, 0)


@pytest.mark.parametrize(("status", "state"), [(0, "COMPLETED"), (4 << 8, "FAILED")])
def test_a_cancelled_script_that_traps_sigterm(status: int, state: str) -> None:
    controller = cluster()
    job = submit(controller)
    controller.cancel(1, NOW + 1, uid=0)
    controller.batch_ended(1, status, NOW + 1)
    assert rows(controller) == [(1, "CANCELLED", 0, NOW + 1), ("batch", state, status, NOW + 1)]
    assert job.wait_status == status


def test_a_job_that_was_cancelled_before_it_ran() -> None:
    controller = cluster()
    submit(controller, "-H -N2 -n5")
    controller.cancel(1, NOW + 1, uid=0)
    found = record(controller)
    assert (found.state, found.start, found.end, found.nodes) == ("CANCELLED", None, NOW + 1, ())
    assert (found.num_nodes, found.allocated_cpus, found.reason, found.steps) == (2, 5, "JobHeldUser", ())


def test_a_time_limit() -> None:
    controller = cluster()
    submit(controller, "-t1")
    controller.tick(NOW + 60)
    controller.batch_ended(1, 15, NOW + 60.5)
    assert rows(controller) == [(1, "TIMEOUT", 0, NOW + 60), ("batch", "CANCELLED", 15, NOW + 60.5)]


def test_what_still_runs_of_a_finished_job_is_shown_with_its_state_and_end() -> None:
    controller = cluster()
    submit(controller)
    controller.create_step(1, StepRequest(name="x", ntasks=1), NOW)
    controller.cancel(1, NOW + 1, uid=0)
    assert rows(controller) == [
        (1, "CANCELLED", 0, NOW + 1),
        ("batch", "CANCELLED", 0, NOW + 1),
        (0, "CANCELLED", 0, NOW + 1),
    ]


def test_a_refused_job_has_the_exit_code_1() -> None:
    """sacct shows FAILED 1:0, scontrol 0:1 (measured)."""
    controller = cluster()
    with pytest.raises(Exception, match="Requested node configuration"):
        submit(controller, "--mem=9999")
    found = record(controller)
    assert (found.state, found.wait_status, found.start, found.reason) == ("FAILED", 1 << 8, NOW, "None")


def test_a_launch_failure() -> None:
    controller = cluster()
    submit(controller)
    controller.launch_failed(1, NOW + 1)
    job, batch = rows(controller)
    assert (job[1], job[2] & 0x7F, batch[1], batch[2] & 0x7F) == ("FAILED", 53, "CANCELLED", 53)


def test_a_cancelled_step() -> None:
    controller = cluster()
    submit(controller)
    controller.create_step(1, StepRequest(name="x", ntasks=1), NOW)
    controller.cancel_step(1, 0, NOW, uid=0)
    controller.step_ended(1, 0, [9], NOW)
    step = record(controller).steps[1]
    assert (step.state, step.cancelled_by, step.wait_status) == ("CANCELLED", 0, 9)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "None"),
        ({"begin": NOW + 10}, "BeginTime"),
        ({"dependency": "after:1+1"}, "Dependency"),
        ({"hold": True}, "JobHeldUser"),
    ],
)
def test_what_a_job_waited_for(more: dict[str, Any], reason: str) -> None:
    """Resources and Priority leave no trace, and wipe none out."""
    controller = cluster()
    first = submit(controller, "--exclusive -N4")
    job = submit(controller, **more)
    controller.tick(NOW + 70)
    controller.release(2, NOW + 70, uid=0)
    assert job.reason == "Resources"
    finish(controller, first, NOW + 70)
    assert job.state == "RUNNING"
    assert record(controller, 2).reason == reason


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("", "2000M"),
        ("-N2", "4000M"),
        ("--mem=500 -N2", "1000M"),
        ("--mem=1024", "1G"),
        ("--mem=1536", "1536M"),
        ("--mem-per-cpu=500 -n4", "2000M"),
        ("--mem=0", "2000M"),
    ],
)
def test_requested_memory(text: str, memory: str) -> None:
    controller = cluster()
    submit(controller, text)
    assert record(controller).requested_memory == memory


def test_which_records() -> None:
    controller = cluster()
    for _ in range(3):
        submit(controller)
    assert [one.job_id for one in controller.accounting.records(NOW)] == [1, 2, 3]
    assert [one.job_id for one in controller.accounting.records(NOW, [3, 1, 99])] == [1, 3]


def test_without_accounting() -> None:
    controller = cluster(accounting=False)
    job = submit(controller)
    assert not controller.accounting.enabled
    assert controller.accounting.records(NOW) == []
    assert (job.account, job.qos) == (None, None)


def test_only_root_has_a_default_account() -> None:
    controller = cluster()
    assert [submit(controller, uid=uid).account for uid in (0, 1000)] == ["root", None]
    assert submit(controller, uid=1000, account="Mine").account == "mine"


def test_the_lag() -> None:
    """sacct knows what was true some seconds ago, and nothing of what came since."""
    controller = cluster(accounting_lag=3.0)
    job = submit(controller)
    assert controller.accounting.records(NOW + 2.9) == []
    assert [one.state for one in controller.accounting.records(NOW + 3)] == ["RUNNING"]
    finish(controller, job, NOW + 10)
    assert [one.state for one in controller.accounting.records(NOW + 12)] == ["RUNNING"]
    assert [one.state for one in controller.accounting.records(NOW + 13)] == ["COMPLETED"]


def test_an_element_that_was_split_off_and_is_requeued() -> None:
    """24.11 is told of it then, and of nothing that was before."""
    controller = cluster(version="24.11")
    array = submit(controller, "-H", array="1-3")
    controller.hold(array.job_id, NOW, uid=0, task=1)
    controller.cancel(2, NOW + 1, uid=0)
    assert controller.accounting.records(NOW + 1, [2]) == []
    controller.requeue(2, NOW + 2, uid=0)
    assert (record(controller, 2).state, record(controller, 2).submit) == ("PENDING", NOW + 2)
