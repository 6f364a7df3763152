"""Steps side by side, and what is refused; where their ranks go is in test_controller_tables."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm.messages import SlurmError
from fakeslurm.model import StepRequest
from fakeslurm.slurmctld import Controller


def step(controller: Controller, **request: Any) -> Any:
    return controller.create_step(1, StepRequest(name="x", **request), NOW)


def test_a_step_takes_its_nodes_for_itself() -> None:
    controller = cluster()
    submit(controller, "-N3 -n7")
    assert step(controller, ntasks=1).nodes == ("n1",)
    assert step(controller, ntasks=1).nodes == ("n2",)
    assert step(controller, ntasks=7) is None
    assert step(controller, ntasks=1).nodes == ("n3",)
    assert step(controller, ntasks=1) is None
    controller.step_ended(1, 1, [0], NOW)
    assert step(controller, ntasks=1).nodes == ("n2",)


def test_exact_steps_share_a_node() -> None:
    controller = cluster()
    submit(controller, "-n4")
    assert [step(controller, ntasks=count, exact=True).cpus_per_node for count in (1, 2, 1)] == [(1,), (2,), (1,)]
    assert step(controller, ntasks=1, exact=True) is None


def test_a_step_that_is_not_exact_waits_for_the_whole_node() -> None:
    controller = cluster()
    submit(controller, "-n4")
    step(controller, ntasks=1, exact=True)
    assert step(controller, ntasks=1) is None
    controller.step_ended(1, 0, [0], NOW)
    assert step(controller, ntasks=1).cpus_per_node == (4,)


def test_overlap_never_waits_and_is_in_nobodys_way() -> None:
    controller = cluster()
    submit(controller, "-n2")
    assert step(controller, ntasks=2, overlap=True)
    assert step(controller, ntasks=2)
    assert step(controller, ntasks=2, overlap=True)
    assert step(controller, ntasks=2) is None


def test_cpus_per_task_is_exact() -> None:
    controller = cluster()
    submit(controller, "-n4")
    assert step(controller, ntasks=1, cpus_per_task=2).cpus_per_node == (2,)
    assert step(controller, ntasks=1, cpus_per_task=2).cpus_per_node == (2,)
    assert step(controller, ntasks=1, cpus_per_task=2) is None


def test_a_required_node_that_is_busy() -> None:
    controller = cluster()
    submit(controller, "-N2 -n8")
    step(controller, ntasks=1, nodelist="n2")
    assert step(controller, ntasks=1, nodelist="n2") is None
    assert step(controller, ntasks=1, nodelist="n1")


def test_all_nodes_may_be_required() -> None:
    controller = cluster()
    submit(controller, "-N2 -n2")
    assert step(controller, ntasks=2, nodelist="n[1-2]").nodes == ("n1", "n2")


def test_step_ids_count_up_and_are_not_used_up_by_waiting() -> None:
    controller = cluster()
    submit(controller)
    assert step(controller, ntasks=1).step_id == 0
    assert step(controller, ntasks=1) is None
    controller.step_ended(1, 0, [0], NOW)
    assert step(controller, ntasks=1).step_id == 1


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"ntasks": 8}, "More processors requested than permitted"),
        ({"ntasks": 7, "min_nodes": 2, "max_nodes": 2}, "More processors requested than permitted"),
        ({"ntasks": 1, "cpus_per_task": 5}, "More processors requested than permitted"),
        ({"ntasks": 1, "nodelist": "n4"}, "Requested node configuration is not available"),
        ({"ntasks": 1, "nodelist": "n9"}, "Requested node configuration is not available"),
        ({"ntasks": 1, "nodelist": "n[1"}, "Requested node configuration is not available"),
        ({"ntasks": 3, "exclude": "n1"}, "Requested node configuration is not available"),
        ({"ntasks": 1, "distribution": "arbitrary"}, "fakeslurm does not support --distribution=arbitrary"),
    ],
)
def test_refused_steps(request_: Any, words: str) -> None:
    controller = cluster()
    submit(controller, "-N3 -n7")
    with pytest.raises(SlurmError) as refused:
        step(controller, **request_)
    assert refused.value.message == words


def test_a_node_that_would_get_more_tasks_than_it_has_cpus() -> None:
    """Where its tasks are named, and CPUs are its own: docs/measured/steps.md."""
    controller = cluster()
    assert submit(controller, "-N2 -n5").cpus_per_node == (4, 1)
    named = {"ntasks": 3, "hosts": ("n1", "n2", "n2"), "distribution": "arbitrary"}
    with pytest.raises(SlurmError, match=r"^More processors requested than permitted$"):
        step(controller, **named, exact=True)
    assert step(controller, **named).tasks == ((0,), (1, 2))


def test_steps_of_jobs_that_do_not_run() -> None:
    controller = cluster()
    with pytest.raises(SlurmError, match=r"^Invalid job id specified$"):
        step(controller, ntasks=1)
    job = submit(controller, "-H")
    with pytest.raises(SlurmError, match=r"^Job is pending execution$"):
        step(controller, ntasks=1)
    controller.release(1, NOW, uid=0)
    finish(controller, job, NOW)
    with pytest.raises(SlurmError, match=r"^Job/step already completing or completed$"):
        step(controller, ntasks=1)


def test_steps_of_others() -> None:
    controller = cluster()
    submit(controller, uid=1000)
    with pytest.raises(SlurmError, match=r"^Access/permission denied$"):
        step(controller, ntasks=1, uid=1001)


def test_reports_about_steps_that_are_not_there() -> None:
    controller = cluster()
    submit(controller)
    with pytest.raises(LookupError, match="job 1 has no step 3"):
        controller.step_ended(1, 3, [0], NOW)


def test_a_script_that_ends_twice() -> None:
    controller = cluster()
    submit(controller)
    controller.batch_ended(1, 0, NOW)
    with pytest.raises(LookupError, match="job 1 has no batch script that runs"):
        controller.batch_ended(1, 0, NOW)


def test_a_step_starts_when_its_tasks_do() -> None:
    controller = cluster()
    submit(controller)
    made = step(controller, ntasks=1)
    controller.step_started(1, 0, NOW + 0.5)
    assert made.start_time == NOW + 0.5


@pytest.mark.parametrize(("version", "expected"), [("22.05", ["n1", "n1", "n1"]), ("24.11", ["n1", "n2", "n3"])])
def test_where_the_next_small_step_goes(version: str, expected: list[str]) -> None:
    """Since 24.11 they go round, but for --exclude."""
    controller = cluster(version=version)
    submit(controller, "-N3")

    def node(**more: Any) -> str:
        one = step(controller, ntasks=1, min_nodes=1, max_nodes=1, **more)
        controller.step_ended(1, one.step_id, [0], NOW)
        return str(one.nodes[0])

    assert [node() for _ in range(3)] == expected
    assert (node(relative=1), node(exclude="n1")) == ("n2", "n2")
