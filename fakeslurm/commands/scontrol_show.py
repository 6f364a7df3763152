"""``scontrol show``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fakeslurm.commands import (
    clusterreport,
    jobjson,
    nodetexts,
    stepfields,
)
from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.arrayjobs import as_element, asked_for, jobs_of, targets
from fakeslurm.commands.base import Reply
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.scontrol_call import PROGRAM, USAGE, Call
from fakeslurm.commands.scontrol_jobs import is_meant
from fakeslurm.messages import INVALID_JOB_ID
from slurmkit.slurm import hostlist
from slurmkit.slurm.hostlist import HostlistError

if TYPE_CHECKING:
    from fakeslurm.model import Job

__all__ = ["show", "shows_jobs"]

_ENTITIES = """
    aliases assoc_mgr bbstat burstbuffer config daemons dwstat federation frontends hostlist hostlistsorted hostnames
    jobs jobid licenses nodes partitions reservations slurmd steps topology users
"""
_LEAST = {"partitions": 2, "steps": 2, "hostlist": 5, "hostnames": 5}
"""How many letters of an entity are needed; of others one."""
_NO_TASK = "Job Array ID must not be an empty string"
_STEP_NAMES = "batch|extern|interactive|TBD|"
"""Those that 24.11 knows, of a pattern."""
_NO_STEPS = "scontrol: error: scontrol_print_step: slurm_get_job_steps({}) failed: {}\n"


def show(call: Call) -> Reply:
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
        "reservations": _show_reservations,
        "steps": _show_steps,
    }
    if entity is None or len(name) < _LEAST.get(entity, 1):
        raise Stop(f"invalid entity:{word} for keyword:{call.keyword} \n")
    if entity not in shown:
        raise unsupported(PROGRAM, f"show {entity}")
    which = value if equals else call.arguments[1] if len(call.arguments) > 1 else None
    return shown[entity](call, which)


def shows_jobs(arguments: Sequence[str]) -> bool:
    entity = arguments[0].partition("=")[0].lower() if arguments else ""
    return bool(entity) and ("jobs".startswith(entity) or "jobid".startswith(entity))


def shows_hosts(arguments: Sequence[str]) -> bool:
    """Whether a list of hosts is to be worked on, which is not about this cluster."""
    entity = arguments[0].partition("=")[0].lower() if arguments else ""
    return len(entity) >= _LEAST["hostlist"] and any(one.startswith(entity) for one in ("hostlistsorted", "hostnames"))


def _show_config(call: Call, _which: str | None) -> Reply:
    """Everything, whatever parameter is named (measured)."""
    call.controller.ping()
    stamps = call.stamps()
    return Reply(clusterreport.config_report(call.controller.settings, stamps, call.invocation.now), stamps.complaint)


def _show_jobs(call: Call, which: str | None) -> Reply:
    jobs = sorted(call.controller.jobs.values(), key=lambda job: job.place)
    if which:
        which, plus, offset = which.partition("+")
        number, underscore, task = which.partition("_")
        if not re.fullmatch(r"[0-9]+(_[0-9]+)?", which, re.ASCII) or (plus and not offset.isdecimal()):
            raise Stop(f"scontrol_print_job error: {INVALID_JOB_ID}\n")
        if int(number):
            jobs = jobs_of(call.controller, int(number))
            if not jobs:
                raise Stop(f"slurm_load_jobs error: {INVALID_JOB_ID}\n")
            asked_for(jobs)
            if underscore:
                found = targets(call.controller, int(number), (int(task),))
                jobs = [one.job if one.task is None else as_element(one.job, (one.task,)) for one in found]
                jobs = jobs or _cancelled(call, int(number), int(task))
            if plus:
                jobs = [job for job in jobs if job.het_offset == int(offset)]
            if not jobs:
                raise Stop(stdout=f"Job {which}{plus}{offset} not found\n")
    else:
        asked_for(jobs)
    if "json" in call.options:
        words = [call.keyword, *call.arguments]
        return Reply(jobjson.report(jobs, call.controller.settings, call.invocation, words))
    if not jobs:
        return Reply("" if call.quiet else "No jobs in the system\n")
    stamps = call.stamps()
    reporter = call.reporter(stamps)
    return Reply("".join([reporter.job(job) for job in jobs]), stamps.complaint)


def _cancelled(call: Call, array_id: int, task: int) -> list[Job]:
    """An element of an array that was cancelled while it waited: its record is still there (measured)."""
    record = call.controller.jobs.get(array_id)
    there = record is not None and record.is_unsplit and record.array is not None and task in record.array.pending
    return [as_element(record, (task,))] if record is not None and there else []


def _show_steps(call: Call, which: str | None) -> Reply:
    stamps = call.stamps()
    reporter = call.reporter(stamps)
    new = call.controller.settings.profile.release == NEW
    match = re.match(rf"([0-9]+)(_[0-9]*)?(?:\.({_STEP_NAMES if new else ''}[0-9]*))?", which or "", re.ASCII)
    if not new and match is not None and int(match[1]) == 0:
        match = None  # asks for all, as what is no number does (measured)
    nothing = None if new else re.match("0*(?:_([0-9]*)|[.])", which or "", re.ASCII)
    if new and which and (match is None or int(match[1]) == 0):
        raise Stop(_NO_STEPS.format(which, "JobID can not be zero"))
    if new and match is not None and match[2] == "_":
        problem = "JobID includes unexpected non-numeric characters" if match.end() < len(match.string) else _NO_TASK
        raise Stop(_NO_STEPS.format(which, problem))
    if new and match is not None and match[3] is not None:
        rest = match.string[match.end() :]
        if match[3] and rest:
            raise Stop(_NO_STEPS.format(which, "StepID includes unexpected non-numeric characters"))
        if rest:  # where Slurm's scontrol crashes
            raise Stop(f"scontrol: error: fakeslurm does not support the step {rest!r}\n")
        if not match[3]:
            raise Stop(_NO_STEPS.format(which, "StepID must not be an empty string"))
    jobs = sorted(call.controller.jobs.values(), key=lambda job: job.place)
    anything = bool(jobs)
    if match is not None:
        jobs = [job for job in jobs if is_meant(job, int(match[1]))]
    elif not new:  # those of arrays have to be asked for (measured)
        jobs = [job for job in jobs if job.array is None]
    if not jobs and anything:  # where there are no jobs at all the step is missed instead (measured)
        problem = _NO_STEPS.format(which, INVALID_JOB_ID) if new else f"slurm_get_job_steps error: {INVALID_JOB_ID}\n"
        raise Stop(problem)
    if nothing is not None:  # a step, or an element, of job 0 (measured)
        task = "" if nothing[1] is None else f"_{int(nothing[1] or 0)}"
        raise Stop(stdout=f"Job step 0{task}.Invalid not found\n")
    steps = [shown for job in jobs for shown in stepfields.running_steps(job)]
    task = "" if match is None or match[2] is None else match[2][1:] or "0"
    wanted = None if match is None or (task and not new) else match[3]  # 22.05: all steps of an element (measured)
    if task:
        steps = [shown for shown in steps if f"{shown.job.array_task_id}" == task]
    if wanted is not None:
        steps = [shown for shown in steps if f"{shown.step.step_id}" == (wanted or "0")]
        if match is not None:  # of an array, and its elements, the one whose own id this is (measured)
            steps = [one for one in steps if one.job.array is None or one.job.job_id == int(match[1])]
    if not steps:
        if match is None and which is not None:
            raise Stop(stdout="Job step 0.Invalid not found\n")
        if match is None:
            return Reply("" if call.quiet else "No job steps in the system\n")
        step = "" if wanted is None else wanted or "0"
        step = "TDB" if step == "TBD" else step  # (measured)
        raise Stop(stdout=f"Job step {match[1]}{task and f'_{task}'}.{step} not found\n")
    return Reply("".join([reporter.step(shown) for shown in steps]), stamps.complaint)


def _show_nodes(call: Call, which: str | None) -> Reply:
    records, settings = call.controller.nodes, call.controller.settings
    names = list(records) if which is None else _node_names(which, settings.profile.release)
    if names is None:
        raise Stop(f"unable to parse node list {which}\n{PROGRAM}: error: hostlist_shift_dims: no hostlist given\n")
    text, returncode = "", 0
    stamps = call.stamps()
    for name in names:
        if name in records:
            shown = nodetexts.shown_node(records[name], call.controller.jobs, settings)
            text += clusterreport.node_report(
                shown, settings, stamps, oneliner=call.oneliner, detail="details" in call.options
            )
        else:
            text += "" if call.quiet else f"Node {name} not found\n"
            returncode = 1
    return Reply(text, stamps.complaint, returncode)


def _node_names(text: str, release: str) -> list[str] | None:
    """The nodes that are named; None for what 24.11 cannot read. 22.05 reads an open bracket in a way of its own (measured)."""
    try:
        return hostlist.expand(text)
    except HostlistError:
        prefix, bracket, rest = text.partition("[")
        if "]" in rest or not bracket:
            return [text]
        return None if release == NEW else [f"{prefix}]" if prefix else ""]


def _show_licenses(call: Call, which: str | None) -> Reply:
    controller = call.controller
    controller.ping()
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


def _show_reservations(call: Call, which: str | None) -> Reply:
    call.controller.ping()
    if which is None:
        return Reply("" if call.quiet else "No reservations in the system\n")
    raise Stop(stdout=f"Reservation {which} not found\n")


def _show_partitions(call: Call, which: str | None) -> Reply:
    partitions, settings = call.controller.partitions, call.controller.settings
    if which is not None and which not in partitions:
        raise Stop(stdout=f"Partition {which} not found\n")
    chosen = partitions.values() if which is None else [partitions[which]]
    return Reply("".join([clusterreport.partition_report(one, settings, oneliner=call.oneliner) for one in chosen]))


def _hosts(call: Call, text: str) -> list[str] | None:
    """The hosts of a hostlist; None for one that is none."""
    try:
        return hostlist.expand(text, suffixes=call.controller.settings.profile.hostlist_suffixes)
    except HostlistError:
        return None


def _no_hostlist(text: str) -> str:
    """What is said of what is no hostlist: first of a range that goes backwards."""
    backwards = (one for one in re.finditer(r"(?<=[\[,])([0-9]+)-([0-9]+)(?=[],])", text) if int(one[1]) > int(one[2]))
    first = next(backwards, None)
    complaint = "" if first is None else f"{PROGRAM}: error: _parse_single_range: Invalid range: `{first[0]}'\n"
    return f"{complaint}Invalid hostlist: {text}\n"


def _show_hostnames(call: Call, which: str | None) -> Reply:
    text = call.invocation.environ.get("SLURM_NODELIST") if which is None else which
    if text is None:
        return Reply(stderr=f"{PROGRAM}: error: host list is empty\n")
    hosts = _hosts(call, text)
    if hosts is None:
        return Reply(stderr=_no_hostlist(text))
    return Reply("".join(f"{host}\n" for host in hosts))


def _show_hostlist(call: Call, which: str | None) -> Reply:
    return _compressed(call, which, hostlist.compress)


def _show_hostlistsorted(call: Call, which: str | None) -> Reply:
    return _compressed(call, which, hostlist.compress_sorted)


def _compressed(call: Call, text: str | None, compress: Callable[[list[str]], str]) -> Reply:
    if text is None:
        raise Stop("invalid encode argument\n", 1, USAGE)
    if text.startswith("/"):
        raise unsupported(PROGRAM, "host names in a file")
    hosts = _hosts(call, text)
    if hosts is None:
        raise Stop(_no_hostlist(text))
    return Reply(f"{compress(hosts)}\n")
