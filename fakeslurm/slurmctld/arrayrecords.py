"""The record of an array's elements that wait, and the elements that become jobs of their own."""

from __future__ import annotations

from copy import copy

from fakeslurm.jobarray import Believed, JobArray
from fakeslurm.model import Job
from fakeslurm.slurmctld.dependents import Dependents
from fakeslurm.slurmctld.state import State

__all__ = ["split"]


def split(whole: Job, task: int, state: State, dependents: Dependents, *, told: bool) -> Job:
    """An element of an array that waits becomes a job of its own: with the next job id and the record's place in the list.

    The one that is left takes over the record and its id. The new job is in no queue. `told`: accounting hears of that at once.
    """
    assert whole.array is not None
    array = whole.array
    if not told and len(array.pending) <= 2:
        array.believed = _believed(whole, array, state)
    array.note_split(task, state.now, told=told)
    if len(array.pending) == 1:
        _take_over(whole, array, task, dependents)
        state.changed(whole)
        return whole
    job_id = state.take_id()
    array.split_off(task, job_id)
    whole.told_reason = whole.waited_for
    element = copy(whole)
    element.job_id = job_id
    element.array_task_id = task
    element.steps = {}
    state.jobs[job_id] = element
    state.move_to_end(whole)
    if len(array.pending) == 1:
        _take_over(whole, array, array.pending.first, dependents)
    state.demands[job_id] = state.demands[whole.job_id]
    if whole.job_id in dependents:
        dependents.add(job_id, dependents[whole.job_id].of_element(task))
    state.changed(whole)
    state.changed(element)
    return element


def _believed(whole: Job, array: JobArray, state: State) -> Believed | None:
    """Until 22.05 of the last one nothing is told, but for what was submitted in this moment (measured)."""
    silent = not state.settings.profile.tells_of_last_element and whole.submit_time < state.now
    return array.before(state.now) if silent else None


def _take_over(whole: Job, array: JobArray, task: int, dependents: Dependents) -> None:
    array.split_off(task, whole.job_id)
    whole.array_task_id = task
    if whole.job_id in dependents:
        dependencies = dependents[whole.job_id].of_element(task)
        dependents.drop(whole.job_id)
        dependents.add(whole.job_id, dependencies)
