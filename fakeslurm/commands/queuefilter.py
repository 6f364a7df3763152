"""Which jobs and steps squeue shows: its ids, states and filters. Measured on Slurm 22.05.8."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm import associations
from fakeslurm.commands import answers, jobtexts
from fakeslurm.commands.answers import Stop, words
from fakeslurm.commands.arrayjobs import as_element
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.stepfields import ShownStep
from fakeslurm.commands.unreachable import Unanswered
from fakeslurm.model import BATCH
from fakeslurm.slurmctld.licenses import license_names
from slurmkit.slurm.hostlist import HostlistError, expand
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.model import Job, Settings
    from fakeslurm.slurmctld import Controller

__all__ = ["JobChoices", "StepChoices", "job_choices", "node_names", "predicates", "states", "step_choices", "users"]

_PROGRAM = "squeue"

_STATE_NAMES = (
    "PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,PREEMPTED,BOOT_FAIL,DEADLINE,OUT_OF_MEMORY,"
    "COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED,REQUEUE_HOLD,REVOKED,SIGNALING,SPECIAL_EXIT,"
    "STAGE_OUT,STOPPED"
)
_STATES = {
    word: state for state in JobState if state in _STATE_NAMES.split(",") for word in (str(state), state.compact)
}
_SHOWN_BY_DEFAULT = frozenset({JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED, JobState.COMPLETING})

_LEADING_NUMBER = re.compile(r"\s*([0-9]+)", re.ASCII)
_TASK = re.compile(r"_([0-9]*)", re.ASCII)
_INFINITE = 0xFFFFFFFF

Predicate = Callable[["Job"], bool]


@frozen
class JobChoices:
    """The jobs of ``--jobs``: ids of jobs (of an array: all its elements) and elements of arrays."""

    ids: frozenset[int]
    elements: frozenset[tuple[int, int]] = frozenset()
    words: int = 1
    """How many were given; the same one may be given twice."""

    @property
    def only(self) -> int | None:
        """The id of the job when one word named it: it is asked for by itself, and an error when it is unknown."""
        every = self.ids | {job_id for job_id, _ in self.elements}
        return next(iter(every)) if self.words == 1 else None

    def names(self, job: Job) -> bool:
        """Whether the job is meant."""
        if job.array_job_id is None:
            return job.job_id in self.ids or (job.het is not None and job.het.job_id in self.ids)
        if job.job_id in self.ids or job.array_job_id in self.ids:
            return True
        return job.array_task_id is not None and (job.array_job_id, job.array_task_id) in self.elements

    def shown(self, job: Job) -> Job | None:
        """The job if it is meant, of the record of an array as much as is meant."""
        if self.names(job):
            return job
        if job.array is None or job.array_task_id is not None:
            return None
        tasks = sorted(task for job_id, task in self.elements if job_id == job.job_id and task in job.array.pending)
        return as_element(job, tasks) if tasks else None


@frozen
class StepChoices:
    """The steps of ``--steps``."""

    steps: tuple[tuple[JobChoices, int], ...]

    def names(self, shown: ShownStep) -> bool:
        """Whether the step is meant. The batch step cannot be: Slurm takes its name for the number 0."""
        if shown.step.step_id == BATCH:
            return False
        return any(step_id == shown.step.step_id and jobs.names(shown.job) for jobs, step_id in self.steps)


def job_choices(text: str) -> JobChoices:
    """The jobs of ``--jobs``: of each word only the number, and that of the element, are looked at. Raises `Stop`."""
    ids: set[int] = set()
    elements: set[tuple[int, int]] = set()
    given = words(text)
    for word in given:
        number = _LEADING_NUMBER.match(word)
        if number is None or int(number[1]) in (0, _INFINITE):
            raise Stop(f"{_PROGRAM}: error: Invalid job id: {word}\n")
        task = _TASK.match(word, number.end())
        if task is None:
            ids.add(int(number[1]))
        else:
            elements.add((int(number[1]), int(task[1] or 0)))
    return JobChoices(frozenset(ids), frozenset(elements), len(given))


def step_choices(text: str) -> StepChoices:
    """The steps of ``--steps``. Raises `Stop`."""
    choices = []
    for word in words(text):
        job_text, _, step_text = word.partition(".")
        number = _LEADING_NUMBER.match(job_text)
        if not step_text:
            raise Stop(f"{_PROGRAM}: error: Invalid job_step id: {job_text or 0}.??\n")
        if number is None:
            raise Stop(f"{_PROGRAM}: error: Invalid job_step id: {word}\n")
        step = _LEADING_NUMBER.match(step_text)
        choices.append((job_choices(job_text), int(step[1]) if step else 0))
    return StepChoices(tuple(choices))


def states(text: str, settings: Settings) -> frozenset[JobState] | None:
    """The states of ``--states``; None for all of them. Raises `Stop`."""
    if text.lower() == "all":
        return None
    for word in words(text):
        if word.upper() not in _STATES:
            names = _STATE_NAMES.lower() if settings.profile.release == NEW else _STATE_NAMES
            raise Stop(
                f"{_PROGRAM}: error: Invalid job state specified: {word}\n"
                f"{_PROGRAM}: error: Valid job states include: {names}\n\n"
            )
    return frozenset(_STATES[word.upper()] for word in words(text))


def users(text: str, controller: Controller) -> tuple[frozenset[int], str]:
    """The uids of ``--users``, and what squeue says about users who do not exist: it goes on without them."""
    try:
        known = {(job.description.user, job.description.uid) for job in controller.jobs.values()}
    except Unanswered:  # whom this machine does not know is not known then
        known = set()
    found = {word: answers.user_id(word, known) for word in words(text)}
    complaints = "".join(f"{_PROGRAM}: error: Invalid user: {word}\n\n" for word, uid in found.items() if uid is None)
    return frozenset(uid for uid in found.values() if uid is not None), complaints


def node_names(text: str, controller: Controller) -> frozenset[str]:
    """The nodes of ``--nodelist``. Raises `Stop` for one that the cluster has not."""
    try:
        names = expand(text)
    except HostlistError:
        names = [text]
    for name in names:
        if name not in controller.nodes:
            raise Stop(f"{_PROGRAM}: error: Invalid node name {name}\n")
    return frozenset(names)


def predicates(values: Mapping[str, str], controller: Controller, *, steps: bool) -> list[Predicate]:
    """Tests that a job has to pass to be shown. Names are compared as squeue does: those of partitions and licenses exactly.

    `steps`: for ``--steps``, which looks at partitions and users alone. Raises `Stop`.
    """
    tests: list[Predicate] = []
    if "partitions" in values:
        partitions = frozenset(words(values["partitions"]))
        tests.append(lambda job: not partitions.isdisjoint(job.partition.split(",")))
    if "users" in values:
        uids, _ = users(values["users"], controller)
        tests.append(lambda job: job.description.uid in uids)
    if steps:
        return tests
    shown = states(values["states"], controller.settings) if "states" in values else _SHOWN_BY_DEFAULT
    if shown is not None:
        tests.append(lambda job: job.shown_state in shown)
    if "name" in values:
        names = frozenset(words(values["name"].lower()))
        tests.append(lambda job: job.description.name.lower() in names)
    settings = controller.settings
    if "accounts" in values:
        accounts = frozenset(words(values["accounts"].lower()))
        tests.append(
            lambda job: (
                (associations.account(job.description.uid, job.description.account, settings) or "").lower() in accounts
            )
        )
    if "qos" in values:
        qos = frozenset(words(values["qos"].lower()))
        tests.append(lambda job: (jobtexts.qos(job, settings) or "").lower() in qos)
    if "licenses" in values:
        licenses = frozenset(words(values["licenses"]))
        tests.append(lambda job: not licenses.isdisjoint(license_names(job.description.licenses)))
    if "reservation" in values:
        tests.append(lambda _job: False)  # no job has any
    if "nodelist" in values:
        nodes = node_names(values["nodelist"], controller)
        tests.append(lambda job: job.shown_state is not JobState.PENDING and not nodes.isdisjoint(job.shown_nodes))
    return tests


def select(jobs: Iterable[Job], tests: list[Predicate]) -> list[Job]:
    """The jobs that pass every test."""
    for test in tests:
        jobs = filter(test, jobs)
    return list(jobs)
