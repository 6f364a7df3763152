"""``scontrol``. Texts and return codes were measured on Slurm 22.05.8 (docs/slurm-measurements.md, section 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm.commands import (
    answers,
    clusterreport,
    jobjson,
    jsonshape,
    nodetexts,
    nodeupdate,
    partitionupdate,
    stepfields,
)
from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.arrayjobs import Target, as_element, jobs_of, targets, tasks_of, text_length
from fakeslurm.commands.base import Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.jobreport import Reporter
from fakeslurm.commands.jobtexts import NEW, job_label
from fakeslurm.commands.stamps import Stamps
from fakeslurm.jobarray import range_text
from fakeslurm.messages import INVALID_JOB_ID, UNEXPECTED_MESSAGE, SlurmError
from slurmkit.slurm import hostlist
from slurmkit.slurm.hostlist import HostlistError
from slurmkit.slurm.jobid import JobId, JobIdError

if TYPE_CHECKING:
    from fakeslurm.model import Job
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "run"]

_PROGRAM = "scontrol"

OPTIONS = (
    Option("all", "a"),
    Option("cluster", "", "required", key="clusters"),
    Option("clusters", "M", "required"),
    Option("details", "d"),
    Option("federation"),
    Option("future", "F"),
    Option("help", "h"),
    Option("hide"),
    Option("local"),
    Option("oneliner", "o"),
    Option("quiet", "Q"),
    Option("sibling"),
    Option("uid", "u", "required"),
    Option("usage"),
    Option("verbose", "v"),
    Option("version", "V"),
)

USAGE = """\
scontrol [<OPTION>] [<COMMAND>]
    Valid <OPTION> values are: -a, -d, --federation, -F, -h, --hide, --local, -M NAME, -o, -Q, --sibling, -V
    Valid <COMMAND> values are:
     hold <job_list>          prevent jobs from starting
     help                     print this description of use
     ping                     print status of slurmctld
     release <job_list>       permit held jobs to start
     requeue <job_list>       end jobs and run them again
     requeuehold <job_list>   the same, but hold them
     resume <job_list>        let suspended jobs go on
     show <ENTITY> [<ID>]     config, hostlist, hostlistsorted, hostnames, job, node, partition or step
     suspend <job_list>       stop jobs
     uhold <job_list>         prevent jobs from starting, as their user
     version                  print the version
This is fakeslurm: what else scontrol(1) can do is refused with "fakeslurm does not support ...".
"""

_REFUSED = frozenset({"uid", "verbose", "yaml"})
_NO_CHANGE = frozenset({"all", "federation", "future", "hide", "local", "sibling"})
"""One cluster in no federation, no hidden partition, no node in the state FUTURE: nothing to do."""

_KEYWORDS = """
    abort cancel_reboot cluster completing create delete details errnumstr exit fsdampeningfactor getaddrs help hide hold listjobs
    liststeps local listpids notify oneliner pidinfo ping quiet quit reboot reconfigure release requeue requeuehold resume schedloglevel
    setdebug setdebugflags show shutdown suspend takeover token top uhold update verbose version wait_job write
"""
_ENTITIES = """
    aliases assoc_mgr bbstat burstbuffer config daemons dwstat federation frontends hostlist hostlistsorted hostnames
    jobs jobid licenses nodes partitions reservations slurmd steps topology users
"""
_LEAST = {
    "show": 3,
    "hold": 4,
    "ping": 3,
    "release": 3,
    "requeue": 3,
    "resume": 3,
    "suspend": 2,
    "uhold": 2,
    "update": 1,
    "version": 4,
    "help": 2,
}
"""How many letters of a keyword are needed; of others the whole word."""

_NO_ENTITY = (
    "No valid entity in update command\n"
    'Input line must include "NodeName", "PartitionName", "Reservation", "JobId", or "SlurmctldDebug"\n'
)
_NOT_YOURS = "Invalid user id"
_NO_STEPS = "scontrol: error: scontrol_print_step: slurm_get_job_steps({}) failed: {}\n"


@frozen
class _Call:
    """One call: its arguments after the keyword, its options, and what it works on."""

    keyword: str
    arguments: Sequence[str]
    options: frozenset[str]
    invocation: Invocation
    controller: Controller

    @property
    def oneliner(self) -> bool:
        return "oneliner" in self.options

    def reporter(self, stamps: Stamps) -> Reporter:
        return Reporter(
            self.controller.settings,
            self.invocation.now,
            stamps,
            "details" in self.options,
            self.oneliner,
            text_length(self.invocation.environ),
        )

    def stamps(self) -> Stamps:
        return Stamps(_PROGRAM, self.invocation.environ, self.invocation.now)

    def wants(self, least: int, most: int | None) -> None:
        """Check the number of arguments. Raises `Stop`."""
        if len(self.arguments) < least:
            raise Stop(f"too few arguments for keyword:{self.keyword}\n")
        if most is not None and len(self.arguments) > most:
            raise Stop(f"too many arguments for keyword:{self.keyword}\n")


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Show what there is, or hold and release jobs."""
    quiet = False
    try:
        given, operands = parse_options(_PROGRAM, argv, answers.option_table(OPTIONS, (), controller.settings))
        for option in given:
            if option.key in _REFUSED:
                raise unsupported(_PROGRAM, f"--{option.key}")
            if option.key in ("help", "usage"):
                raise Stop(stdout=USAGE, returncode=0)
            if option.key == "version":
                raise answers.version(invocation)
            if option.key == "json":
                jsonshape.check_parser(_PROGRAM, option.value, controller.settings)
            if option.key == "clusters":
                answers.check_clusters(_PROGRAM, option.value or "", "--cluster", controller)
        if "SLURM_CLUSTERS" in invocation.environ and not any(option.key == "clusters" for option in given):
            answers.check_clusters(_PROGRAM, invocation.environ["SLURM_CLUSTERS"], "SLURM_CLUSTERS", controller)
        options = frozenset(option.key for option in given) - _NO_CHANGE
        if not operands:
            raise unsupported(_PROGRAM, "its interactive mode")
        name, action = _keyword(operands[0])
        quiet = "quiet" in options
        if "json" in options and (action is not _show or not _shows_jobs(operands[1:])):
            raise unsupported(_PROGRAM, f"--json of {' '.join(operands[:2])}")
        return _silenced(action(_Call(name, operands[1:], options, invocation, controller)), quiet)
    except UsageError as error:
        return error.reply(1)
    except Stop as stop:
        return _silenced(stop.reply, quiet)


def _silenced(reply: Reply, quiet: bool) -> Reply:
    return Reply(reply.stdout, "", reply.returncode) if quiet else reply


def _keyword(word: str) -> tuple[str, Callable[[_Call], Reply]]:
    """The keyword as it was written, and what carries it out. Raises `Stop`."""
    actions: dict[str, Callable[[_Call], Reply]] = {
        "help": _help,
        "hold": _hold,
        "ping": _ping,
        "release": _release,
        "requeue": _requeue,
        "requeuehold": _requeuehold,
        "resume": _resume,
        "show": _show,
        "suspend": _suspend,
        "uhold": _uhold,
        "update": _update,
        "version": _version,
    }
    lower = word.lower()
    for name in _KEYWORDS.split():
        if name.startswith(lower) and len(lower) >= _LEAST.get(name, len(name)):
            if name not in actions:
                raise unsupported(_PROGRAM, name)
            return word, actions[name]
    raise Stop(f"invalid keyword: {word}\n")


def _help(_call: _Call) -> Reply:
    return Reply(USAGE)


def _ping(call: _Call) -> Reply:
    call.wants(0, 0)
    return Reply(clusterreport.ping_line(call.controller.settings))


def _version(call: _Call) -> Reply:
    if call.arguments:
        raise Stop(f"too many arguments for {call.keyword} keyword\n")
    return answers.version(call.invocation).reply


# Holding and releasing.


def _hold(call: _Call) -> Reply:
    now, uid = call.invocation.now, call.invocation.uid
    return _change(call, lambda job, task: call.controller.hold(job.job_id, now, uid=uid, task=task))


def _uhold(call: _Call) -> Reply:
    now, uid = call.invocation.now, call.invocation.uid
    return _change(call, lambda job, task: call.controller.hold(job.job_id, now, uid=uid, task=task, by_user=True))


def _release(call: _Call) -> Reply:
    now, uid = call.invocation.now, call.invocation.uid
    return _change(call, lambda job, task: call.controller.release(job.job_id, now, uid=uid, task=task))


def _requeue(call: _Call) -> Reply:
    return _run_again(call, hold=False)


def _requeuehold(call: _Call) -> Reply:
    if call.arguments and call.arguments[0].lower() in ("state=specialexit", "state=se"):
        raise unsupported(_PROGRAM, f"requeuehold {call.arguments[0]}")
    return _run_again(call, hold=True)


def _run_again(call: _Call, *, hold: bool) -> Reply:
    """Unlike hold and release it takes no names, and says nothing more after its complaints (measured)."""
    call.wants(1, None)
    invocation = call.invocation
    complaints = []
    for argument in call.arguments:
        key, equals, value = argument.partition("=")
        listed = value if equals and key.lower() in ("job", "jobid") else argument
        for text, found in _listed(call, listed):

            def change(job: Job, _task: int | None) -> None:
                call.controller.requeue(job.job_id, invocation.now, uid=invocation.uid, hold=hold)

            problems = (_problem(target, invocation.uid, change) for target in found)
            problem = next(filter(None, problems), "") if found else INVALID_JOB_ID
            if problem and "_" in text:
                complaints.append(f"{text}: {problem}\n")
            elif problem:
                complaints.append(f"{problem} for job {text}\n")
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def _suspend(call: _Call) -> Reply:
    return _stop_or_go(call, call.controller.suspend)


def _resume(call: _Call) -> Reply:
    return _stop_or_go(call, call.controller.resume)


def _stop_or_go(call: _Call, change: Callable[..., None]) -> Reply:
    """Numbers of jobs alone; one that is not known has an answer of its own (measured)."""
    call.wants(1, None)
    complaints = []
    for argument in call.arguments:
        for word in re.sub(r"\Ajob(id)?=", "", argument, flags=re.IGNORECASE).split(","):
            if not word:
                continue
            if not re.fullmatch("[0-9]+(_[0-9]+)?", word, re.ASCII):
                complaints.append(f"{INVALID_JOB_ID} for job {word}\n")
                continue
            found = _found(call.controller, word)
            if any(target.job.array is not None for target in found):
                raise unsupported(_PROGRAM, f"{call.keyword} of an array")
            try:
                if not found:
                    raise SlurmError(UNEXPECTED_MESSAGE)
                change(found[0].job.job_id, call.invocation.now, uid=call.invocation.uid)
            except SlurmError as error:
                complaints.append(f"{error.message} for job {word}\n")
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def _change(call: _Call, change: Callable[[Job, int | None], None]) -> Reply:
    """Do something to every job that is named; each argument that fails ends with a line of its own."""
    call.wants(1, None)
    complaints: list[str] = []
    for argument in call.arguments:
        failed = ""
        for text, found in _named(call, argument):
            lines, problem = _problems(call.invocation.uid, text, found, change)
            complaints += lines
            failed = problem or failed
        if failed:
            complaints.append(f"slurm_suspend error: {failed}\n")
    return Reply(stderr="".join(complaints), returncode=1 if complaints else 0)


def _named(call: _Call, argument: str) -> list[tuple[str, list[Target]]]:
    """The jobs that an argument of hold or release names, under the text that names them."""
    key, equals, value = argument.partition("=")
    if equals and key.lower() in ("name", "jobname"):
        jobs = [job for job in call.controller.jobs.values() if job.description.name == value and not job.finished]
        return [(job_label(job), [Target(job)]) for job in jobs]
    listed = _listed(call, value if equals and key.lower() in ("job", "jobid") else argument)
    if all(re.fullmatch(r"[0-9]+(_.*)?", word, re.ASCII) for word, _ in listed):
        return listed
    return [(argument, [])]  # a list with something else in it is looked at no further (measured)


def _listed(call: _Call, text: str) -> list[tuple[str, list[Target]]]:
    """What the ids of a list mean, each under its text."""
    return [(word, _found(call.controller, word)) for word in re.split(r",(?![^\[]*\])", text) if word]


def _found(controller: Controller, word: str) -> list[Target]:
    """What a job id, ``5_3`` or ``5_[1-3]`` means; nothing when it is none."""
    try:
        wanted = JobId.parse(word)
        return targets(controller, wanted.job_id, tasks_of(wanted))[0]
    except JobIdError:
        return []


def _is(job: Job, number: int) -> bool:
    return number in (job.job_id, job.array_job_id)


def _problems(
    uid: int, text: str, found: list[Target], change: Callable[[Job, int | None], None]
) -> tuple[list[str], str]:
    """Do it to all of them. The lines about what has failed, and of a job that is in no array the problem alone."""
    answers = {target: _problem(target, uid, change) for target in found}
    if not re.fullmatch(r"[0-9]+_([0-9]+|\[[0-9,-]+\])", text, re.ASCII) and not any(one.job.array for one in found):
        problem = answers[found[0]] if found else INVALID_JOB_ID
        return [f"{problem} for job {text}\n"] if problem else [], problem
    by_task = {task: problem for target, problem in answers.items() for task in _tasks(target)}
    wanted = tasks_of(JobId.parse(text))
    for task in wanted or ():
        by_task.setdefault(task, INVALID_JOB_ID)
    if not any(by_task.values()):
        return [], ""
    groups: dict[str, list[int]] = {}
    for task in sorted(by_task):
        groups.setdefault(by_task[task], []).append(task)
    array = text.partition("_")[0] if wanted is not None else f"{found[0].job.array_job_id}"
    return [f"{array}_{range_text(tasks)}: {problem or 'No error'}\n" for problem, tasks in groups.items()], ""


def _tasks(target: Target) -> Sequence[int]:
    if target.task is not None:
        return (target.task,)
    if target.job.array_task_id is not None:
        return (target.job.array_task_id,)
    return () if target.job.array is None else tuple(target.job.array.pending)


def _problem(target: Target, uid: int, change: Callable[[Job, int | None], None]) -> str:
    if uid not in (0, target.job.description.uid):
        return _NOT_YOURS
    try:
        change(target.job, target.task)
    except SlurmError as error:
        return error.message
    return ""


# Changing.


def _update(call: _Call) -> Reply:
    if not call.arguments:
        raise Stop("too few arguments for update keyword\n")
    if nodeupdate.names_nodes(call.arguments):
        return nodeupdate.update_nodes(call.arguments, call.invocation, call.controller)
    if partitionupdate.names_partition(call.arguments):
        return partitionupdate.update_partition(call.arguments, call.invocation, call.controller)
    keys = {argument.partition("=")[0].lower() for argument in call.arguments}
    for key in ("jobid", "reservationname", "stepid", "slurmctlddebug"):
        if any(len(word) >= 3 and key.startswith(word) for word in keys):
            raise unsupported(_PROGRAM, f"update {key}")
    raise Stop(_NO_ENTITY)


# Showing.


def _show(call: _Call) -> Reply:
    call.wants(1, 2)
    word = call.arguments[0]
    name, equals, value = word.partition("=")
    entity = next((one for one in _ENTITIES.split() if name and one.startswith(name.lower())), None)
    shown = {
        "config": _show_config,
        "hostlist": _show_hostlist,
        "hostlistsorted": _show_hostlistsorted,
        "hostnames": _show_hostnames,
        "jobs": _show_jobs,
        "jobid": _show_jobs,
        "licenses": _show_licenses,
        "nodes": _show_nodes,
        "partitions": _show_partitions,
        "steps": _show_steps,
    }
    least = {"partitions": 2, "steps": 2, "hostlist": 5, "hostnames": 5}
    if entity is None or len(name) < least.get(entity, 1):
        raise Stop(f"invalid entity:{word} for keyword:{call.keyword} \n")
    if entity not in shown:
        raise unsupported(_PROGRAM, f"show {entity}")
    which = value if equals else call.arguments[1] if len(call.arguments) > 1 else None
    return shown[entity](call, which)


def _shows_jobs(arguments: Sequence[str]) -> bool:
    entity = arguments[0].partition("=")[0].lower() if arguments else ""
    return bool(entity) and ("jobs".startswith(entity) or "jobid".startswith(entity))


def _show_config(call: _Call, which: str | None) -> Reply:
    if which is not None:
        raise unsupported(_PROGRAM, "show config of one parameter")
    stamps = call.stamps()
    return Reply(clusterreport.config_report(call.controller.settings, stamps, call.invocation.now), stamps.complaint)


def _show_jobs(call: _Call, which: str | None) -> Reply:
    jobs = sorted(call.controller.jobs.values(), key=lambda job: job.place)
    if which:
        number, underscore, task = which.partition("_")
        if not re.fullmatch(r"[0-9]+(_[0-9]+)?", which, re.ASCII):
            raise Stop(f"scontrol_print_job error: {INVALID_JOB_ID}\n")
        if int(number):
            jobs = jobs_of(call.controller, int(number))
            if not jobs:
                raise Stop(f"slurm_load_jobs error: {INVALID_JOB_ID}\n")
            if underscore:
                found, _ = targets(call.controller, int(number), (int(task),))
                jobs = [one.job if one.task is None else as_element(one.job, (one.task,)) for one in found]
            if not jobs:
                raise Stop(stdout=f"Job {which} not found\n")
    if "json" in call.options:
        words = [call.keyword, *call.arguments]
        return Reply(jobjson.report(jobs, call.controller.settings, call.invocation, words))
    if not jobs:
        return Reply("No jobs in the system\n")
    stamps = call.stamps()
    reporter = call.reporter(stamps)
    return Reply("".join([reporter.job(job) for job in jobs]), stamps.complaint)


def _show_steps(call: _Call, which: str | None) -> Reply:
    stamps = call.stamps()
    reporter = call.reporter(stamps)
    new = call.controller.settings.profile.release == NEW
    match = re.match(rf"([0-9]+)(?:_[0-9]+)?(?:\.({'batch|' if new else ''}[0-9]*))?", which or "", re.ASCII)
    if new and which and match is None:
        raise Stop(_NO_STEPS.format(which, "JobID can not be zero"))
    jobs = list(call.controller.jobs.values())
    if match is not None:
        jobs = [job for job in jobs if _is(job, int(match[1]))]
        if not jobs:
            problem = (
                _NO_STEPS.format(which, INVALID_JOB_ID) if new else f"slurm_get_job_steps error: {INVALID_JOB_ID}\n"
            )
            raise Stop(problem)
    steps = [shown for job in jobs for shown in stepfields.running_steps(job)]
    if match is not None and match[2] is not None:
        steps = [shown for shown in steps if f"{shown.step.step_id}" == (match[2] or "0")]
    if not steps:
        if match is None:
            return Reply("No job steps in the system\n")
        step = "" if match[2] is None else match[2] or "0"
        raise Stop(stdout=f"Job step {match[1]}.{step} not found\n")
    return Reply("".join([reporter.step(shown) for shown in steps]), stamps.complaint)


def _show_nodes(call: _Call, which: str | None) -> Reply:
    records, settings = call.controller.nodes, call.controller.settings
    try:
        names = list(records) if which is None else hostlist.expand(which)
    except HostlistError:
        names = [which or ""]
    text, returncode = "", 0
    stamps = call.stamps()
    for name in names:
        if name in records:
            shown = nodetexts.shown_node(records[name], call.controller.jobs, settings)
            text += clusterreport.node_report(
                shown, settings, stamps, oneliner=call.oneliner, detail="details" in call.options
            )
        else:
            text += f"Node {name} not found\n"
            returncode = 1
    return Reply(text, stamps.complaint, returncode)


def _show_licenses(call: _Call, which: str | None) -> Reply:
    controller = call.controller
    if not controller.settings.licenses:
        return Reply("No licenses configured in Slurm.\n")
    names = sorted(name for name in controller.settings.licenses if which in (None, name))
    return Reply(
        "".join(
            clusterreport.license_report(
                name, controller.settings.licenses[name], controller.licenses_used[name], oneliner=call.oneliner
            )
            for name in names
        )
    )


def _show_partitions(call: _Call, which: str | None) -> Reply:
    partitions, settings = call.controller.partitions, call.controller.settings
    if which is not None and which not in partitions:
        raise Stop(stdout=f"Partition {which} not found\n")
    chosen = partitions.values() if which is None else [partitions[which]]
    return Reply("".join([clusterreport.partition_report(one, settings, oneliner=call.oneliner) for one in chosen]))


def _hosts(call: _Call, text: str) -> list[str] | None:
    """The hosts of a hostlist; None for one that is none."""
    try:
        return hostlist.expand(text, suffixes=call.controller.settings.profile.hostlist_suffixes)
    except HostlistError:
        return None


def _no_hostlist(text: str) -> str:
    """What is said of what is no hostlist: first of a range that goes backwards."""
    backwards = (one for one in re.finditer(r"(?<=[\[,])([0-9]+)-([0-9]+)(?=[],])", text) if int(one[1]) > int(one[2]))
    first = next(backwards, None)
    complaint = "" if first is None else f"{_PROGRAM}: error: _parse_single_range: Invalid range: `{first[0]}'\n"
    return f"{complaint}Invalid hostlist: {text}\n"


def _show_hostnames(call: _Call, which: str | None) -> Reply:
    text = call.invocation.environ.get("SLURM_NODELIST") if which is None else which
    if text is None:
        return Reply(stderr=f"{_PROGRAM}: error: host list is empty\n")
    hosts = _hosts(call, text)
    if hosts is None:
        return Reply(stderr=_no_hostlist(text))
    return Reply("".join(f"{host}\n" for host in hosts))


def _show_hostlist(call: _Call, which: str | None) -> Reply:
    return _compressed(call, which, hostlist.compress)


def _show_hostlistsorted(call: _Call, which: str | None) -> Reply:
    return _compressed(call, which, hostlist.compress_sorted)


def _compressed(call: _Call, text: str | None, compress: Callable[[list[str]], str]) -> Reply:
    if text is None:
        raise Stop("invalid encode argument\n", 1, USAGE)
    if text.startswith("/"):
        raise unsupported(_PROGRAM, "host names in a file")
    hosts = _hosts(call, text)
    if hosts is None:
        raise Stop(_no_hostlist(text))
    return Reply(f"{compress(hosts)}\n")
