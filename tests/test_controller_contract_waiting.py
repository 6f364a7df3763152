"""Who waits for whom: tests of the contract, each of which holds on a real Slurm, in the controller alone."""

from __future__ import annotations

from typing import Any

import pytest
from controllers import NOW, cluster, finish, submit

from fakeslurm.commands.jobtexts import accrue_time
from fakeslurm.contract.test_dependencies import test_how_it_is_shown as how_it_is_shown
from fakeslurm.contract.test_dependencies import test_what_is_refused as what_is_refused
from fakeslurm.messages import SlurmError
from fakeslurm.model import Job
from fakeslurm.slurmctld import Controller

both = pytest.mark.parametrize("version", ["22.05", "24.11"])
NEVER, WAITS = "DependencyNeverSatisfied", "Dependency"
FAILS = 1 << 8


def rows(test: Any) -> list[Any]:
    """Those by which a test of the contract is asked."""
    return list(next(mark.args[1] for mark in test.pytestmark if mark.name == "parametrize"))


def held_array(controller: Controller, spec: str = "1-3") -> Job:
    return submit(controller, "-H", array=spec)


def after(controller: Controller, text: str, **more: Any) -> Job:
    return submit(controller, dependency=text, **more)


def element(controller: Controller, array: Job, task: int) -> Job:
    assert array.array is not None
    return controller.jobs[array.array.elements[task]]


def run(controller: Controller, array: Job, task: int, now: float, status: int = 0) -> None:
    """An element of a held array is released, starts, and ends."""
    controller.release(array.job_id, now, uid=0, task=task)
    one = element(controller, array, task)
    assert one.shown_state == "RUNNING"
    finish(controller, one, now, status)


def expect(job: Job, words: str) -> None:
    """RUNNING, or why it waits and for what."""
    found = "RUNNING" if job.shown_state == "RUNNING" else f"{job.reason} {job.dependency}"
    assert found == words


# Dependencies


@both
@pytest.mark.parametrize(("asked", "printed"), rows(how_it_is_shown))
def test_how_a_dependency_is_shown(version: str, asked: str, printed: str) -> None:
    controller = cluster(version=version)
    names = {"A": held_array(controller).job_id, "X": submit(controller, "-H").job_id}
    job = after(controller, asked.format(**names), hold=True)
    assert (job.reason, job.dependency) == ("JobHeldUser", printed.format(**names))


@both
@pytest.mark.parametrize("text", rows(what_is_refused))
def test_what_is_no_dependency(version: str, text: str) -> None:
    controller = cluster(version=version)
    array = held_array(controller).job_id
    with pytest.raises(SlurmError, match=r"^Job dependency problem$"):
        after(controller, text.format(A=array))


@both
def test_on_an_array_that_succeeds(version: str) -> None:
    controller = cluster(version=version)
    array = held_array(controller)
    one = array.job_id
    kinds = {kind: after(controller, f"{kind}:{one}") for kind in ("after", "afterok", "afterany")}
    never, second = after(controller, f"afternotok:{one}"), after(controller, f"afterok:{one}_2")
    two = after(controller, f"afterok:{one}_2,afterany:{one}_3")
    run(controller, array, 2, NOW + 1)
    expect(second, "RUNNING")
    expect(two, f"{WAITS} afterany:{one}_3(unfulfilled)")
    for kind, job in kinds.items():
        expect(job, f"{WAITS} {kind}:{one}_*(unfulfilled)")
    run(controller, array, 1, NOW + 2)
    expect(kinds["afterok"], f"{WAITS} afterok:{one}_*(unfulfilled)")
    run(controller, array, 3, NOW + 3)
    for job in (*kinds.values(), two):
        expect(job, "RUNNING")
    expect(never, f"{NEVER} afternotok:{one}_*(failed)")


@both
def test_on_an_array_that_fails(version: str) -> None:
    """It has failed when one element has, but nobody knows before all of them have ended."""
    controller = cluster(version=version)
    array = held_array(controller)
    one = array.job_id
    asked = {
        **{kind: f"{kind}:{one}" for kind in ("afterok", "afternotok", "afterany")},
        "second": f"afterok:{one}_2",
        "any": f"afterok:{one}_2?afterok:{one}_1",
        "all": f"afterok:{one}_1,afterok:{one}_2",
    }
    jobs = {name: after(controller, text) for name, text in asked.items()}
    killed = after(controller, f"afterok:{one}_2", kill_on_invalid_dep=frozenset({True}))
    run(controller, array, 2, NOW + 1, FAILS)
    expect(jobs["second"], f"{NEVER} afterok:{one}_2(failed)")
    assert (killed.state, killed.reason) == ("CANCELLED", NEVER)
    for kind in ("afterok", "afternotok", "afterany"):
        expect(jobs[kind], f"{WAITS} {kind}:{one}_*(unfulfilled)")
    for task in (1, 3):
        run(controller, array, task, NOW + 2)
    expect(jobs["afterok"], f"{NEVER} afterok:{one}_*(failed)")
    for name in ("afternotok", "afterany", "any"):
        expect(jobs[name], "RUNNING")
    # At what has failed nobody looks any more.
    expect(jobs["all"], f"{NEVER} afterok:{one}_1(unfulfilled),afterok:{one}_2(failed)")


@both
def test_on_elements_that_are_cancelled_while_they_wait(version: str) -> None:
    """A single one vanishes: what waits for it may run, and the array has failed."""
    controller = cluster(version=version)
    array = held_array(controller)
    one = array.job_id
    jobs = [after(controller, f"{kind}:{one}_2") for kind in ("after", "afterok", "afternotok")]
    whole = {kind: after(controller, f"{kind}:{one}") for kind in ("after", "afterok", "afternotok")}
    controller.cancel(one, NOW + 1, uid=0, task=2)
    for job in jobs:
        expect(job, "RUNNING")
    for kind, job in whole.items():
        expect(job, f"{WAITS} {kind}:{one}_*(unfulfilled)")
    for task in (1, 3):
        run(controller, array, task, NOW + 2)
    expect(whole["after"], "RUNNING")
    expect(whole["afternotok"], "RUNNING")
    expect(whole["afterok"], f"{NEVER} afterok:{one}_*(failed)")


@both
def test_after_an_array_that_is_cancelled_as_it_waits(version: str) -> None:
    """Its elements count as if they waited, unless each was cancelled by itself; until nothing is known of it."""
    controller = cluster(version=version, min_job_age=5.0)
    array, single = held_array(controller, "1-2"), held_array(controller, "1-2")
    one = array.job_id
    waiting, freed = after(controller, f"after:{one}"), after(controller, f"afterany:{one}")
    either = after(controller, f"after:{one}_1?afterany:{one}")
    by_themselves = after(controller, f"after:{single.job_id}")
    never = after(controller, f"afterok:{one}")
    controller.cancel(one, NOW + 1, uid=0)
    for task in (1, 2):
        controller.cancel(single.job_id, NOW + 1, uid=0, task=task)
    for job in (freed, either, by_themselves):
        expect(job, "RUNNING")
    expect(waiting, f"{WAITS} after:{one}_*(unfulfilled)")
    expect(never, f"{NEVER} afterok:{one}_*(failed)")
    controller.tick(NOW + 100)
    expect(waiting, "RUNNING")


@both
def test_corresponding_elements(version: str) -> None:
    """Each element waits for the one of the same index; one that has none for the whole array."""
    controller = cluster(version=version)
    array = held_array(controller)
    others = after(controller, f"aftercorr:{array.job_id}", array="2-4")
    waits = f"{WAITS} aftercorr:{array.job_id}_*(unfulfilled)"
    never = f"{NEVER} aftercorr:{array.job_id}_*(failed)"

    def found(*words: str) -> None:
        for task, text in zip((2, 3, 4), words, strict=True):
            expect(element(controller, others, task), text)

    found(waits, waits, waits)
    run(controller, array, 2, NOW + 1)
    found("RUNNING", waits, waits)
    run(controller, array, 3, NOW + 2, FAILS)
    found("RUNNING", never, waits)
    run(controller, array, 1, NOW + 3)
    found("RUNNING", never, never)


@both
def test_elements_correspond_by_their_index_whichever_was_named(version: str) -> None:
    controller = cluster(version=version)
    array = submit(controller, array="0-2")
    named = f"aftercorr:{array.job_id}_2"
    other = after(controller, named, array="0-3", kill_on_invalid_dep=frozenset({False}))
    finish(controller, element(controller, array, 1), NOW + 1, FAILS)
    expect(element(controller, other, 1), f"{NEVER} {named}(failed)")
    finish(controller, element(controller, array, 0), NOW + 2)
    expect(element(controller, other, 0), "RUNNING")
    for task in (2, 3):
        expect(element(controller, other, task), f"{WAITS} {named}(unfulfilled)")
    finish(controller, element(controller, array, 2), NOW + 3, FAILS)
    for task in (2, 3):
        expect(element(controller, other, task), f"{NEVER} {named}(failed)")


@both
def test_elements_that_wait_for_a_job_start_in_order(version: str) -> None:
    """Also the last one, which has the array's own id, the lowest."""
    controller = cluster(version=version)
    before = submit(controller)
    array = after(controller, f"aftercorr:{before.job_id}", array="1-3%1")
    finish(controller, before, NOW + 1)
    assert [element(controller, array, task).shown_state for task in (1, 2, 3)] == ["RUNNING", "PENDING", "PENDING"]


@both
def test_elements_that_were_split_off_are_singletons(version: str) -> None:
    """The last one has the array's id, the lowest, and is the first; then the others one after another."""
    controller = cluster(version=version)
    before = submit(controller, name="single")
    array = after(controller, f"aftercorr:{before.job_id},singleton", array="1-3", name="single")
    finish(controller, before, NOW + 1)
    for later, task in enumerate((3, 1, 2), 2):
        controller.tick(NOW + 5 * later)
        states = {one: element(controller, array, one).shown_state for one in (1, 2, 3)}
        assert [one for one, state in states.items() if state == "RUNNING"] == [task]
        finish(controller, element(controller, array, task), NOW + 5 * later)


@both
def test_a_singleton_waits_for_younger_ones_that_run(version: str) -> None:
    """Waiting ones it leaves behind, but for older ones."""
    controller = cluster(version=version)
    first = submit(controller)
    waiting = after(controller, "singleton")
    submit(controller, "-H")
    younger = submit(controller)
    finish(controller, first, NOW + 1)
    controller.tick(NOW + 5)
    expect(waiting, f"{WAITS} singleton(unfulfilled)")
    finish(controller, younger, NOW + 6)
    controller.tick(NOW + 10)
    expect(waiting, "RUNNING")


# Arrays


@both
def test_release_of_an_element_that_is_not_held(version: str) -> None:
    """It gets the next priority, behind all that are there."""
    controller = cluster(version=version)
    array = submit(controller, array="1-3", begin=NOW + 3600)
    first = array.priority
    for task in (3, 1):
        controller.release(array.job_id, NOW, uid=0, task=task)
    found = [element(controller, array, task).priority for task in (1, 3)]
    assert (*found, array.priority) == (first - 2, first - 1, first)


@both
@pytest.mark.parametrize("lingers", [False, True])
def test_where_the_next_element_starts(version: str, lingers: bool) -> None:
    """On the nodes of the one that has ended; on others while processes of that linger. The limit counts neither."""
    controller = cluster(version=version)
    array = submit(controller, "--exclusive", array="1-3%1")
    first = element(controller, array, 1)
    if lingers:
        controller.cancel(first.job_id, NOW + 10, uid=0)
        controller.tick(NOW + 12)
    else:
        finish(controller, first, NOW + 10)
    assert element(controller, array, 2).nodes == ("n2" if lingers else "n1",)


@both
@pytest.mark.parametrize("array", [None, "1-2"])
def test_when_a_job_that_fits_no_node_was_eligible(version: str, array: str | None) -> None:
    """An array that is refused never was."""
    controller = cluster(version=version)
    with pytest.raises(SlurmError):
        submit(controller, "--mem=100000", array=array or "")
    assert controller.jobs[1].eligible_time == (None if array else NOW)


@both
def test_an_array_of_one(version: str) -> None:
    """It has the array's id, be it that it waits for another."""
    controller = cluster(version=version)
    array = submit(controller, array="4")
    assert (element(controller, array, 4), array.array_task_id, array.shown_state) == (array, 4, "RUNNING")
    other = after(controller, f"aftercorr:{array.job_id}", array="4")
    assert element(controller, other, 4) is other
    expect(other, f"{WAITS} aftercorr:{array.job_id}_*(unfulfilled)")
    finish(controller, array, NOW + 1)
    expect(other, "RUNNING")


@both
def test_when_elements_that_wait_for_the_limit_are_eligible(version: str) -> None:
    """When they may start, and no sooner; the next one is as soon as one has ended."""
    controller = cluster(version=version)
    array = submit(controller, array="1-2%1")
    assert (array.reason, array.eligible_time) == ("JobArrayTaskLimit", None)
    finish(controller, element(controller, array, 1), NOW + 10)
    second = element(controller, array, 2)
    assert (second.shown_state, second.start_time, second.eligible_time) == ("RUNNING", NOW + 10, NOW + 10)


@both
def test_since_when_the_age_of_an_array_counts_that_has_waited_for_its_nodes(version: str) -> None:
    """What has begun to count goes on when the array's limit is reached."""
    controller = cluster(version=version)
    blocker = submit(controller, "-N4 --exclusive")
    array = submit(controller, array="1-2%1")
    assert (array.reason, array.eligible_time, accrue_time(array)) == ("Resources", NOW, NOW)
    finish(controller, blocker, NOW + 3)
    assert element(controller, array, 1).shown_state == "RUNNING"
    waiting = controller.jobs[array.job_id]
    assert (waiting.reason, waiting.eligible_time, accrue_time(waiting)) == ("JobArrayTaskLimit", None, NOW)


@both
def test_elements_that_stand_still_count_for_the_limit(version: str) -> None:
    """docs/measured/lifecycle.md."""
    controller = cluster(version=version)
    array = submit(controller, array="1-3%1")
    controller.suspend(element(controller, array, 1).job_id, NOW + 1, uid=0)
    controller.tick(NOW + 10)
    assert (array.shown_state, array.reason) == ("PENDING", "JobArrayTaskLimit")
    controller.resume(element(controller, array, 1).job_id, NOW + 11, uid=0)
    finish(controller, element(controller, array, 1), NOW + 12)
    assert element(controller, array, 2).start_time == NOW + 12


@both
def test_what_a_requeued_job_shows(version: str) -> None:
    """docs/measured/lifecycle.md, resources.md: as many nodes as it has had; 24.11 gives it the next priority."""
    controller = cluster(version=version)
    job = submit(controller, "-N1-3")
    before = job.priority
    controller.requeue(job.job_id, NOW + 1, uid=0)
    finish(controller, job, NOW + 2, 15)
    assert (job.shown_state, job.num_nodes, job.nodes) == ("PENDING", 3, ())
    assert job.priority == before - (version == "24.11")
