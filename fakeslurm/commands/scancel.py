"""``scancel``. Texts and return codes were measured on 22.05.8.

Plain ids go to the controller one by one, and its refusals are silent unless ``--verbose``. With a filter, a signal or the id of
a step scancel looks at the jobs itself first; then an id that is not among the active jobs is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from signal import SIGKILL
from typing import TYPE_CHECKING

from attrs import define, field

from fakeslurm import messages
from fakeslurm.commands.arrayjobs import Target, component, targets, tasks_of
from fakeslurm.commands.base import Given, Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.scancelfilter import matches, shown
from fakeslurm.commands.signals import parse_signal
from fakeslurm.jobarray import TEXT_LENGTH, index_text
from fakeslurm.messages import SlurmError
from fakeslurm.model import PROFILES, Job, Scope
from slurmkit.slurm.jobid import MAX_ARRAY_INDEX, JobId, JobIdError, parse_array_spec
from slurmkit.slurm.states import JobState, base_state

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "SEARCHES", "run", "words"]

_PROGRAM = "scancel"
_UNKNOWN_STEP = 225
"""ESLURM_INVALID_JOB_ID (2017) as a return code has eight bits (measured)."""
_STEP_NOT_RUNNING = 187
"""ESLURMD_STEP_NOTRUNNING (4027), as well (measured)."""
_STEP_NUMBERS = 1 << 32
_FIRST_SPECIAL_STEP = 0xFFFFFFFA
"""From here on the numbers are those of batch scripts and their like."""
_INDICES = re.compile(r"[0-9]+_\[([^\[\]]*)\]", re.ASCII)
_RANGE = re.compile(r"\s*\+?(?P<first>[0-9]+)(-(?P<last>\s*\+?[0-9]+)?)?", re.ASCII)
_MOST_INDICES = 1 << 16
"""Of a range (MAX_RANGE in src/common/hostlist.c)."""
_NOT_WHOLE = 60
"""ESLURM_NOT_WHOLE_HET_JOB, as well (measured)."""

_LOADED = (
    "select/cons_tres: common_init: select/cons_tres loaded",
    "select/cray_aries: init: Cray/Aries node selection plugin loaded",
    "select/linear: init: Linear node selection plugin loaded with argument 4",
    "select/cons_res: common_init: select/cons_res loaded",
)
"""What 22.05 says with --verbose when it has asked for all jobs."""
_FORWARDS = (
    "route/default: init: route default plugin loaded",
    "topology/default: init: topology Default plugin loaded",
)
"""What it says, and what 24.11 does, before a step is sent a signal."""

OPTIONS = (
    Option("account", "A", "required"),
    Option("batch", "b"),
    Option("ctld"),
    Option("full", "f"),
    Option("help"),
    Option("hurry", "H"),
    Option("interactive", "i"),
    Option("cluster", "", "required", key="clusters"),
    Option("clusters", "M", "required"),
    Option("jobname", "", "required", key="name"),
    Option("me"),
    Option("name", "n", "required"),
    Option("nodelist", "w", "required"),
    Option("partition", "p", "required"),
    Option("qos", "q", "required"),
    Option("quiet", "Q"),
    Option("reservation", "R", "required"),
    Option("sibling", "", "required"),
    Option("signal", "s", "required"),
    Option("state", "t", "required"),
    Option("usage"),
    Option("user", "u", "required"),
    Option("verbose", "v"),
    Option("version", "V"),
    Option("wckey", "", "required"),
)

USAGE = """\
Usage: scancel [-A account] [-b] [-f] [--me] [-n job_name] [-p partition] [-Q] [-q qos] [-R reservation]
               [-s signal] [-t PENDING | RUNNING | SUSPENDED] [-u user_name] [-v] [-w hosts]
               [job_id[_array_id][.step_id]]...
"""

_REFUSED = ("ctld", "hurry", "interactive", "sibling", "wckey")
SEARCHES = frozenset(
    {"account", "batch", "full", "me", "name", "nodelist", "partition", "qos", "reservation", "signal", "state", "user"}
)
"""Options with which it looks at the jobs before it ends them."""

_VARIABLES: Mapping[str, str] = {
    "SCANCEL_ACCOUNT": "account",
    "SCANCEL_NAME": "name",
    "SCANCEL_PARTITION": "partition",
    "SCANCEL_QOS": "qos",
    "SCANCEL_STATE": "state",
    "SCANCEL_USER": "user",
    "SCANCEL_WCKEY": "wckey",
    "SLURM_CLUSTERS": "clusters",
}


class _Stop(Exception):  # noqa: N818 (an answer)
    def __init__(self, stderr: str) -> None:
        super().__init__(stderr)
        self.stderr = stderr


@define
class _Request:
    """What the arguments ask for."""

    ids: list[JobId]
    filters: dict[str, str]
    """By the option's name; `nodelist`, `state` and `user` are checked."""
    signal: int | None = None
    batch: bool = False
    full: bool = False
    quiet: bool = False
    verbose: bool = False
    lines: list[str] = field(factory=list)
    returncode: int = 0

    @property
    def scope(self) -> Scope | None:
        return "all" if self.full else "batch" if self.batch else None

    def announce(self, target: object) -> None:
        """What ``-v`` says before it ends or signals a job."""
        if self.verbose:
            what = "Terminating" if self.signal is None else f"Signal {self.signal} to"
            part = "full " if self.full else "batch " if self.batch else ""
            self.say(f"{what} {part}job {target}")

    def say(self, text: str) -> None:
        self.lines.append(f"{_PROGRAM}: {text}\n")

    def fail(self, text: str, returncode: int = 1) -> None:
        if not self.quiet:
            self.say(f"error: {text}")
        self.returncode = max(self.returncode, returncode)


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    try:
        given, operands = parse_options(_PROGRAM, argv, OPTIONS)
        given = [*_from_environment(invocation.environ, {option.key for option in given}), *given]
        names = {option.key for option in given}
        if "version" in names:
            return Reply(f"slurm-wlm {PROFILES[invocation.version].version}\n")
        if names & {"help", "usage"}:
            return Reply(USAGE)
        request = _understand(given, operands, invocation, controller)
    except UsageError as error:
        return error.reply(1)
    except _Stop as stop:
        return Reply(stderr=stop.stderr, returncode=1)
    looks_first = request.filters or request.batch or request.signal is not None
    if looks_first or any(one.step is not None for one in request.ids):
        _by_search(request, invocation, controller)
    else:
        _by_id(request, invocation, controller)
    return Reply(stderr="".join(request.lines), returncode=request.returncode)


def _from_environment(environ: Mapping[str, str], given: Set[str]) -> list[Given]:
    """The options that come from variables (scancel.1, "ENVIRONMENT VARIABLES"), unless they were given."""
    return [
        Given(name, environ[variable])
        for variable, name in _VARIABLES.items()
        if variable in environ and name not in given and environ[variable]
    ]


def _error(text: str) -> _Stop:
    return _Stop(f"{_PROGRAM}: error: {text}\n")


def _understand(
    given: Sequence[Given], operands: Sequence[str], invocation: Invocation, controller: Controller
) -> _Request:
    request = _Request(ids=[], filters={})
    for name, value in given:
        if name in _REFUSED:
            raise _error(f"fakeslurm does not support --{name}")
        if name == "clusters" and value != controller.settings.cluster_name:
            raise _error(
                f"No cluster '{value}' known by database.\n{_PROGRAM}: error: '{value}' can't be reached now, or it is an "
                "invalid entry for --cluster.  Use 'sacctmgr list clusters' to see available clusters."
                + (f"\n{_PROGRAM}: fatal: Could not get cluster information" if invocation.version >= "24.11" else "")
            )
        if name == "signal":
            request.signal = parse_signal(value or "")
            if request.signal is None:
                raise _Stop(f"Unknown job signal: {value}\n")
        elif name in ("batch", "full", "quiet", "verbose"):
            setattr(request, name, True)
        elif name == "me":
            request.filters["user"] = invocation.user
        elif name != "clusters":
            request.filters[name] = _filter_value(name, value or "", invocation)
    for operand in operands:
        request.ids += map(_job_id, words(operand))
    if not request.ids and not request.filters:
        raise _error("No job identification provided")
    return request


def _filter_value(name: str, value: str, invocation: Invocation) -> str:
    if name == "state":
        state = base_state(value)
        if state not in JobState.__members__:
            raise _Stop(f"Invalid job state specified: {value}\nValid job states are PENDING, RUNNING, and SUSPENDED\n")
        return state
    if name == "user" and value != invocation.user and value != str(invocation.uid):
        if not _is_user(value):
            raise _error(f"Invalid user name: {value}")
        return value
    return invocation.user if name == "user" else value


def _is_user(name: str) -> bool:
    import pwd

    try:
        pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        return False
    return True


def words(operand: str) -> list[str]:
    """``5,5_[1,3]``: after a bracket no comma separates anything (measured)."""
    before, bracket, after = operand.partition("[")
    *words, last = before.split(",")
    return [*words, last + bracket + after]


def _check_range(item: str, text: str) -> None:
    """The indices of an id are read as the numbers of a hostlist are: N and N-M, and not the rest of what ``--array`` takes (measured)."""
    match = _RANGE.fullmatch(item)
    first = int(match["first"]) if match else 0
    last = int(match["last"] or first) if match else -1
    if last < first:
        problem = f"Invalid range: `{item}'"
    elif last - first >= _MOST_INDICES:
        problem = f"Too many hosts in range `{item}'"
    elif re.search(r"[\s+]|-$", item) or last > MAX_ARRAY_INDEX:
        raise _error(f"fakeslurm does not support the index {item}")
    else:
        return
    raise _error(f"_parse_single_range: {problem}\n{_PROGRAM}: error: Invalid job id {text}")


def _job_id(text: str) -> JobId:
    """``5``, ``5_3``, ``5_[1-3]``, ``5+1``, ``5.0``, which is ``5.`` as well; the batch step is not one that scancel knows (measured)."""
    if re.fullmatch(r"[0-9]+_", text, re.ASCII):  # of which Slurm makes all, one element or nothing
        raise _error(f"fakeslurm does not support the job id {text}")
    for item in indices[1].split(",") if (indices := _INDICES.fullmatch(text)) else ():
        _check_range(item, text)
    try:
        parsed = JobId.parse(f"{text}0" if text.endswith(".") else text)
    except JobIdError:
        raise _error(f"Invalid job id {text}") from None
    if parsed.job_id == 0 or parsed.cluster:
        raise _error(f"Invalid job id {text}")
    if parsed.step is None:
        return parsed
    if not parsed.step.isdecimal() or parsed.array_expression is not None:
        raise _error(f"Invalid job id {text}")
    step = int(parsed.step) % _STEP_NUMBERS
    if step >= _FIRST_SPECIAL_STEP:
        raise _error(f"fakeslurm does not support the step {step}")
    return parsed._replace(step=f"{step}")


def _by_id(request: _Request, invocation: Invocation, controller: Controller) -> None:
    for wanted in request.ids:
        request.announce(wanted)
        found = _targets(controller, wanted)
        if controller.settings.profile.release != NEW:  # it does not know elements by ids of their own (measured)
            found = [one for one in found if one.job.array_job_id in (None, wanted.job_id)]
        told: dict[Target, str] = {}
        for target in _waiting_first(found):
            try:
                _cancel(target, request, invocation, controller)
            except SlurmError as error:
                told[target] = error.message
        problem = _problem(wanted, found, told, controller)
        if problem == messages.NOT_WHOLE_HET_JOB:
            request.fail(f"Kill job error on job id {wanted}: {problem}", _NOT_WHOLE)
        elif problem and request.verbose:
            request.say(f"error: Kill job error on job id {wanted}: {problem}")


def _problem(wanted: JobId, found: Sequence[Target], told: Mapping[Target, str], controller: Controller) -> str:
    """What slurmctld says when not all of what was meant could be ended (measured).

    With indices it is what the highest of those has failed for; without, that it is over already counts only when all of it is.
    """
    tasks = tasks_of(wanted)
    if tasks is not None:
        array = controller.arrays.get(wanted.job_id)
        cancelled = () if array is None else array.pending  # with their record
        failed = {
            task: messages.ALREADY_DONE if task in cancelled else messages.INVALID_JOB_ID
            for task in set(tasks) - {target.element for target in found}
        }
        failed |= {target.element: text for target, text in told.items() if target.element is not None}
        return failed[max(failed)] if failed else ""
    others = [text for text in told.values() if text != messages.ALREADY_DONE]
    if others or not found:
        return others[-1] if others else messages.INVALID_JOB_ID
    return messages.ALREADY_DONE if len(told) == len(found) else ""


def _waiting_first(found: Sequence[Target]) -> list[Target]:
    """Nothing of what a call is about starts in the place of what it ends (measured)."""
    return sorted(found, key=lambda target: target.job.state is not JobState.PENDING)


def _targets(controller: Controller, wanted: JobId) -> list[Target]:
    """What an id means; the leader of a heterogeneous job stands for all of it."""
    if wanted.het_offset is None:
        found = targets(controller, wanted.job_id, tasks_of(wanted))
        return [target for target in found if target.job.leads] or found
    job = component(controller, wanted)
    return [] if job is None else [Target(job)]


def _by_search(request: _Request, invocation: Invocation, controller: Controller) -> None:
    new = controller.settings.profile.release == NEW
    if request.verbose and not new:
        for line in _LOADED:
            request.say(line)
    chosen: list[Target] = []
    as_a_whole: set[int] = set()
    steps: list[tuple[Job, int]] = []
    for wanted in request.ids:
        for one in _one_by_one(wanted):
            found = _active(controller, one)
            if not found:
                kind = "id" if one.step is None else "step id"
                request.fail(f"Kill job error on job {kind} {one}: {messages.INVALID_JOB_ID}")
            elif one.step is None:
                chosen.extend(target for target in found if target.job.job_id not in as_a_whole)
                as_a_whole |= {target.job.job_id for target in found if one.array_task is None}
            else:
                steps.append((found[0].job, int(one.step)))
    if not request.ids:
        chosen = [Target(job) for job in controller.jobs.values() if not job.finished]
    matching = [target for target in chosen if matches(target.job, request.filters)]
    steps = [(job, step) for job, step in steps if matches(job, request.filters)]
    if request.filters and not matching and not steps and request.verbose:
        request.say(f"error: No active jobs match ALL job filters, including: {shown(request.filters)} ")
    steps = [
        (job, step) for job, step in steps if job.state is not JobState.PENDING
    ]  # passed over in silence (measured)
    asked: set[str] = set()
    for label, meant in _told_of(_waiting_first(matching), whole=not new):
        request.announce(label)
        again = label in asked
        asked.add(label)
        try:
            for target in meant:
                _cancel(target, request, invocation, controller)
        except SlurmError as error:
            if again and error.message in (messages.ALREADY_DONE, messages.INVALID_JOB_ID):
                if request.verbose:
                    request.say(f"error: Kill job error on job id {label}: {error.message}")
                continue
            code = _NOT_WHOLE if error.message == messages.NOT_WHOLE_HET_JOB else 1
            request.fail(f"Kill job error on job id {label}: {error.message}", code)
    for job, step in steps:
        _cancel_step(request, job, step, invocation, controller)


def _active(controller: Controller, wanted: JobId) -> list[Target]:
    """What is meant and is not over. Of an array without an index, the step is that of the one job that has this id (measured)."""
    if wanted.step is not None and wanted.array_task is None and wanted.het_offset is None:
        job = controller.jobs.get(wanted.job_id)
        found = [] if job is None else [Target(job)]
    else:
        found = _targets(controller, wanted)
    return [target for target in found if not target.job.finished]


def _one_by_one(wanted: JobId) -> list[JobId]:
    """``5_[3,1,3]`` as ``5_3``, ``5_1`` and ``5_3``: as it is written (measured)."""
    if wanted.array_expression is None:
        return [wanted]
    tasks_of(wanted)  # which refuses what names no index
    items = [parse_array_spec(item).indices for item in wanted.array_expression.split(",") if item]
    return [wanted._replace(array_task=task, array_expression=None) for tasks in items for task in tasks]


def _told_of(chosen: Sequence[Target], *, whole: bool) -> list[tuple[str, list[Target]]]:
    """What is to be ended, and what it is called: of the record of an array its elements, as it stands for no array afterwards (measured).

    `whole`: all of them when any of them was chosen, and each once, which is what 22.05 does.
    """
    found: list[tuple[str, list[Target]]] = []
    for target in chosen:
        job, label, meant = target.job, target.label, [target]
        if job.is_unsplit and job.array is not None and job.array.pending and (whole or target.task is None):
            label = f"{job.array.job_id}_[{index_text(job.array.pending, job.array.limit, TEXT_LENGTH)}]"
            meant = [Target(job, task) for task in job.array.pending]
        found.append((label, meant))
    return list(dict(found).items()) if whole else found


def _cancel(target: Target, request: _Request, invocation: Invocation, controller: Controller) -> None:
    controller.cancel(
        target.job.job_id,
        invocation.now,
        uid=invocation.uid,
        task=target.task,
        signal=request.signal,
        scope=request.scope,
    )


def _cancel_step(request: _Request, job: Job, number: int, invocation: Invocation, controller: Controller) -> None:
    """scancel looks for the step itself: one that is not there, or is over, is sent no signal, but not ended either (measured)."""
    signal, known = request.signal, job.steps.get(number)
    if request.verbose:
        what = "Terminating" if signal in (None, SIGKILL) else f"Signal {signal} to"
        request.say(f"{what} step {job.job_id}.{number}")
    try:
        if job.state is JobState.SUSPENDED and signal is None:
            raise messages.unsupported("ending steps of a suspended job")  # scancel tries it for minutes
        if known is None or not known.running:
            if signal is None:
                raise SlurmError(messages.INVALID_JOB_ID)
            return
        if signal is not None and request.verbose:
            request.say(_FORWARDS[controller.settings.profile.release == NEW])
        if job.state is JobState.SUSPENDED and signal == SIGKILL:
            raise messages.unsupported("killing a step of a suspended job")  # squeue shows it until the job is resumed
        controller.cancel_step(job.job_id, number, invocation.now, uid=invocation.uid, signal=signal)
        # 22.05 sends it to all nodes of the job: those without the step answer that they do not know it (measured).
        if signal is not None and controller.settings.profile.release != NEW and set(known.nodes) < set(job.nodes):
            raise SlurmError(messages.NO_ERROR if signal == SIGKILL else messages.INVALID_JOB_ID)
    except SlurmError as error:
        request.say(f"error: Kill job error on job step id {job.job_id}: {error.message}")  # also with -Q (measured)
        codes = {messages.STEP_NOT_RUNNING: _STEP_NOT_RUNNING, messages.NO_ERROR: 0}
        request.returncode = max(request.returncode, codes.get(error.message, _UNKNOWN_STEP))
