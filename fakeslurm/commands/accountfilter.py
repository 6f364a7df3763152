"""Which records sacct shows: its ids, time window, states and filters. Measured on Slurm 22.05.8.

Windows and states are those of the queries that slurmdbd sends to its database (its log with ``DebugFlags=DB_JOB``).
"""

from __future__ import annotations

import grp
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from fakeslurm import associations
from fakeslurm.commands import answers
from fakeslurm.commands.accountrows import Row
from fakeslurm.commands.accountsizes import Test, minutes, sizes
from fakeslurm.commands.answers import Stop, words
from fakeslurm.commands.moments import MomentError, parse_moment
from fakeslurm.commands.stamps import Stamps, zone
from slurmkit.slurm.hostlist import HostlistError, expand
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.commands.base import Invocation
    from fakeslurm.model import StepId
    from fakeslurm.slurmctld import Controller
    from fakeslurm.slurmdbd import JobRecord, StepRecord

__all__ = ["Selection", "Window", "check", "one_by_one", "selection"]

_PROGRAM = "sacct"

_ACCOUNTED = frozenset(
    {
        JobState.BOOT_FAIL,
        JobState.CANCELLED,
        JobState.COMPLETED,
        JobState.DEADLINE,
        JobState.FAILED,
        JobState.NODE_FAIL,
        JobState.OUT_OF_MEMORY,
        JobState.PENDING,
        JobState.PREEMPTED,
        JobState.REQUEUED,
        JobState.RESIZING,
        JobState.REVOKED,
        JobState.RUNNING,
        JobState.SUSPENDED,
        JobState.TIMEOUT,
    }
)
_STATES = {word: state for state in reversed(JobState) for word in (str(state), state.compact)}
_JOB = re.compile(r"([0-9]+)(?:_([0-9]+)|\+([0-9]+))?", re.ASCII)
_SCHEDULERS = ("schedsubmit", "schedmain", "schedbackfill")

_Key = tuple[int, int | None, int | None]
"""A job's id, or that of an array and an index, or that of the leader of a heterogeneous job and an offset."""


@frozen
class Window:
    """From and to, in epoch seconds."""

    start: int
    end: int


def _eligible_in(window: Window) -> Test:
    return lambda job: (
        job.eligible is not None and int(job.eligible) < window.end and (job.end is None or job.end >= window.start)
    )


def _submitted_in(window: Window) -> Test:
    return lambda job: int(job.submit) < window.end and (job.end is None or int(job.end) >= window.start)


def _in_state(state: JobState, window: Window) -> Test:
    """Whether a job was in this state within the window."""
    if state is JobState.PENDING:
        return lambda job: _was_pending(job, window)
    if state is JobState.RUNNING:
        return lambda job: _was_running(job, window)
    return lambda job: job.state == state and job.end is not None and window.start <= int(job.end) <= window.end


def _was_pending(job: JobRecord, window: Window) -> bool:
    if job.eligible is None or int(job.eligible) >= window.end:
        return False
    if job.start is not None:
        return window.start < int(job.start)
    return job.state == JobState.PENDING if job.end is None else window.start < int(job.end)


def _was_running(job: JobRecord, window: Window) -> bool:
    if job.start is None or int(job.start) >= window.end:
        return False
    return job.state == JobState.RUNNING if job.end is None else window.start < int(job.end)


@frozen
class Selection:
    """What is to be shown."""

    window: Window
    tests: Sequence[Test]
    nodes: Set[str] | None = None
    """Of --nodelist: slurmdbd looks at them once it has chosen the latest record of each job (measured)."""
    job_ids: Set[int] | None = None
    """Of --jobs, as far as they are plain numbers; None: not asked by id alone."""
    steps: Mapping[_Key, Set[StepId] | None] = field(factory=dict)
    """The steps asked for of a job, an array's element or a component; None: the job with all its steps. Empty: everything."""
    components: Mapping[int, Set[int]] = field(factory=dict)
    """The job ids of each heterogeneous job."""
    jobs_alone: bool = False
    """No steps: slurmdbd leaves them out when it is asked for pending jobs (measured)."""
    whole_hetjob: bool | None = None
    """--whole-hetjob: whether a component brings all others; None: the leader does."""

    def rows(self, records: Iterable[JobRecord], *, with_steps: bool, duplicates: bool) -> list[Row]:
        """The rows of the records that pass; of a job that was requeued those of the latest that passes, unless `duplicates`."""
        found: list[Row] = []
        with_steps = with_steps and not self.jobs_alone
        passing = [job for job in records if self._passes(job)]
        latest = {job.job_id: job for job in passing}
        for job in passing:
            if not duplicates and job is not latest[job.job_id]:
                continue
            if not self._is_there(job.nodes):
                continue
            wanted = self._wanted(job)
            if wanted is None or not with_steps:
                found.append(Row(job))
            if with_steps:
                found += [
                    Row(job, step)
                    for step in job.steps
                    if (wanted is None or step.step_id in wanted)
                    and self._in_window(step)
                    and self._is_there(step.nodes)
                ]
        return found

    def _passes(self, job: JobRecord) -> bool:
        return self._wanted(job) is not _NOT_WANTED and all(test(job) for test in self.tests)

    def _wanted(self, job: JobRecord) -> Set[StepId] | None:
        if not self.steps:
            return None
        keys: list[_Key] = [(job.job_id, None, None)]
        if job.array_job_id is not None:
            keys += [(job.array_job_id, None, None), (job.array_job_id, job.array_task_id, None)]
        if job.het_job_id is not None:
            keys.append((job.het_job_id, None, job.het_offset))
        chosen = [self.steps[key] for key in keys if key in self.steps]
        if not chosen and job.het_job_id is not None and self._brings_others(job.het_job_id):
            return None
        if not chosen:
            return _NOT_WANTED
        steps: set[StepId] = set()
        for each in chosen:
            if each is None:
                return None
            steps |= each
        return steps

    def _brings_others(self, leader: int) -> bool:
        """Whether another component of this heterogeneous job is asked for as a whole, and means all of it."""
        if self.whole_hetjob is False:
            return False
        whole = {key for key, steps in self.steps.items() if steps is None}
        if self.whole_hetjob is None:
            return (leader, None, None) in whole
        return any(key[0] in self.components.get(leader, ()) for key in whole)

    def _is_there(self, nodes: Sequence[str]) -> bool:
        """Whether a job or a step had one of the nodes that are asked for."""
        return self.nodes is None or not self.nodes.isdisjoint(nodes)

    def _in_window(self, step: StepRecord) -> bool:
        return int(step.start) <= self.window.end and (step.end is None or int(step.end) >= self.window.start)


_NOT_WANTED: frozenset[StepId] = frozenset({-1})


def one_by_one(rows: Iterable[Row]) -> list[Row]:
    """``--array`` of 24.11: each element that waits in a row of its own, with the id of the array's record."""
    found: list[Row] = []
    for row in rows:
        if row.job.array_tasks is None or row.job.array_task_id is not None:
            found.append(row)
        else:
            found += [Row(evolve(row.job, array_task_id=task), row.step) for task in row.job.array_tasks]
    return found


def check(key: str, value: str, invocation: Invocation, controller: Controller) -> None:
    """What sacct checks as soon as it reads an option: it complains about the first that is wrong. Raises `Stop`."""
    match key:
        case "jobs":
            _steps(value)
        case "state":
            _states(value)
        case "starttime" | "endtime":
            _moment(value, invocation)
        case "timelimit-min" | "timelimit-max":
            minutes(value)
        case "whole-hetjob" if value.lower() not in ("", *_WHOLE):
            raise Stop(f'{_PROGRAM}: error: Invalid --whole-hetjob value "{value}". Valid values: [yes|no].\n')
        case "uid" | "gid" | "flags" | "nnodes" | "ncpus":
            _filters({key: value}, controller)
            if key == "uid":
                _of_users(value, controller)
        case _:
            pass


def selection(values: Mapping[str, str], flags: Set[str], invocation: Invocation, controller: Controller) -> Selection:
    """What the options select. Raises `Stop` in Slurm's words for what it does not understand."""
    steps = _steps(values.get("jobs", ""))
    states = _states(values.get("state", ""))
    window = _window(values, bool(steps), bool(states), invocation)
    tests: list[Test] = []
    if states:
        in_states = [_in_state(state, window) for state in states]
        tests.append(lambda job: any(test(job) for test in in_states))
    else:
        tests.append(_submitted_in(window) if steps else _eligible_in(window))
    if "uid" in values:
        tests.append(_of_users(values["uid"], controller))
    elif "allusers" not in flags and not steps and "nodelist" not in values and invocation.uid != 0:
        tests.append(lambda job: job.uid == invocation.uid)
    tests += _filters(values, controller)
    job_ids = {key[0] for key in steps} if steps else None
    components = controller.accounting.components
    whole = _WHOLE.get(values["whole-hetjob"].lower()) if "whole-hetjob" in values else None
    if whole and job_ids is not None:
        job_ids = job_ids.union(*(ids for ids in components.values() if ids & job_ids))
    alone = set(states) == {JobState.PENDING}
    nodes = _nodes(values["nodelist"]) if "nodelist" in values else None
    finds_nodes = "json" in flags and invocation.version < "24.11"
    if nodes and values.get("clusters") == "all" and not finds_nodes:  # slurmdbd looks for nodes in one cluster only
        nodes = frozenset()
    return Selection(window, tests, nodes, job_ids, steps, components, jobs_alone=alone, whole_hetjob=whole)


_WHOLE = {"yes": True, "y": True, "no": False, "n": False}


def _steps(text: str) -> dict[_Key, Set[StepId] | None]:
    """The jobs and steps of ``--jobs``."""
    found: dict[_Key, Set[StepId] | None] = {}
    for word in words(text):
        job, dot, step = word.partition(".")
        if dot and job[:1].isdigit() and not (step.isdecimal() or step in ("batch", "extern", "interactive")):
            raise Stop(f"{_PROGRAM}: fatal: Bad step specified: {job}\n")
        match = _JOB.fullmatch(job)
        if match is None:
            array = re.match(r"([0-9]+)_", word)
            what = f"Bad job array element specified: {array[1]}" if array else f"Bad job/step specified: {word}"
            raise Stop(f"{_PROGRAM}: fatal: {what}\n")
        task, offset = (None if text is None else int(text) for text in match.group(2, 3))
        key = (int(match[1]), task, offset)
        if not dot or (key in found and found[key] is None):
            found[key] = None
            continue
        number: StepId = "batch" if step == "batch" else int(step) if step.isdecimal() else -1
        found[key] = (found.get(key) or frozenset()) | {number}
    if words(text) and not found:
        found[0, None, None] = None
    return found


def _states(text: str) -> list[JobState]:
    found = []
    for word in words(text):
        state = _STATES.get(word.upper())
        if state is None:
            raise Stop(f"{_PROGRAM}: fatal: unrecognized job state value '{word}'\n")
        if state not in _ACCOUNTED:
            raise Stop(f"{_PROGRAM}: fatal: job state {word} is not supported / accounted\n")
        found.append(state)
    return found


def _window(values: Mapping[str, str], of_jobs: bool, of_states: bool, invocation: Invocation) -> Window:
    """The window, by the defaults of sacct.1 "DEFAULT TIME WINDOW"; its end is the first second after it."""
    now, here = int(invocation.now), zone(invocation.environ)
    given = {}
    for key in ("starttime", "endtime"):
        if values.get(key):
            given[key] = _moment(values[key], invocation)
    midnight = datetime.fromtimestamp(now, here).replace(hour=0, minute=0, second=0, microsecond=0)
    start = given.get("starttime", 0 if of_jobs else now if of_states else int(midnight.timestamp()))
    end = given.get("endtime", start if of_states and "starttime" in given else now)
    if start > end:
        stamps = Stamps(_PROGRAM, invocation.environ, invocation.now)
        raise Stop(f"{_PROGRAM}: error: Start time ({stamps(start)}) requested is after end time ({stamps(end)}).\n")
    return Window(start, end + 1 if end in (start, now) else end)


def _moment(text: str, invocation: Invocation) -> int:
    """Epoch seconds; 0 for an empty text, which is as good as none (measured)."""
    try:
        return int(parse_moment(text, invocation.now, zone(invocation.environ), past=True)) if text else 0
    except MomentError as error:
        raise Stop(f"{error}\n") from None


def _of_users(text: str, controller: Controller) -> Test:
    known = {(job.description.user, job.description.uid) for job in controller.jobs.values()}
    uids = set()
    for word in words(text):
        uid = answers.user_id(word, known)
        if uid is None:
            raise Stop(f"{_PROGRAM}: error: Invalid user id: {word}\n")
        uids.add(uid)
    return lambda job: job.uid in uids


def _of_groups(text: str) -> Test:
    gids = set()
    for word in words(text):
        try:
            gids.add(grp.getgrgid(int(word)).gr_gid if word.isdecimal() else grp.getgrnam(word).gr_gid)
        except (KeyError, OverflowError):
            raise Stop(f"{_PROGRAM}: error: Invalid group id: {word}\n") from None
    return lambda job: job.gid in gids


def _filters(values: Mapping[str, str], controller: Controller) -> list[Test]:
    """One test for each option that selects by something of the job. Raises `Stop`."""
    settings = controller.settings
    tests: list[Test] = []
    if "name" in values:
        names = _alike(values["name"])
        tests.append(lambda job: job.name.lower() in names)
    if "partition" in values:
        partitions = _alike(values["partition"])
        tests.append(lambda job: job.partition.lower() in partitions)
    if "accounts" in values:
        accounts = _alike(values["accounts"])
        tests.append(lambda job: (associations.account(job.uid, job.account, settings) or "").lower() in accounts)
    if "gid" in values:
        tests.append(_of_groups(values["gid"]))
    if "qos" in values:
        for word in words(values["qos"]):
            if word.lower() != "normal":
                raise Stop(
                    f"{_PROGRAM}: error: You gave a bad qos '{word}'. Valid QOS's are normal\n"
                    f"{_PROGRAM}: fatal: problem processing qos list\n"
                )
        tests.append(lambda job: bool(job.qos))
    if "associations" in values:
        root = "2" in words(values["associations"])
        tests.append(lambda job: root and job.uid == 0)
    if "clusters" in values:
        here = bool({settings.cluster_name.lower(), "all", "-1"} & _alike(values["clusters"]))
        tests.append(lambda _job: here)
    if "wckeys" in values:
        wckeys = _alike(values["wckeys"])
        tests.append(lambda job: (job.wckey or "").lower() in wckeys)
    if "constraints" in values:
        tests.append(lambda _job: False)  # no job has any
    if "flags" in values:
        tests.append(_by_scheduler(values["flags"]))
    return tests + sizes(values)


def _alike(text: str) -> frozenset[str]:
    """The elements of a list in small letters: the database does not tell them from large ones (measured)."""
    return frozenset(words(text.lower()) or [""])


def _by_scheduler(text: str) -> Test:
    for word in words(text):
        if word.lower() not in _SCHEDULERS:
            raise Stop(f"{_PROGRAM}: error: str_2_job_flags: Invalid job flag {word}\n")
    wanted = {word.lower() for word in words(text)}
    return lambda job: bool(job.nodes) and job.scheduler.lower() in wanted


def _nodes(text: str) -> frozenset[str]:
    try:
        return frozenset(expand(text))
    except HostlistError:
        return frozenset()
