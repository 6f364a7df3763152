"""``sstat``: the steps that run. Measured on 22.05.8 and 24.11.5: docs/measured/other-commands.md.

What a real machine measures of them (memory, CPU time, files, energy) is refused, field by field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fakeslurm.commands import answers
from fakeslurm.commands.accountfields import FieldError, Kind, Sheet, columns, help_text
from fakeslurm.commands.answers import Stop, unsupported
from fakeslurm.commands.base import Invocation, Option, Reply, UsageError, parse_options
from fakeslurm.commands.stepfields import ShownStep, running_steps
from fakeslurm.commands.unreachable import Unanswered
from slurmkit.slurm import hostlist

if TYPE_CHECKING:
    from fakeslurm.slurmctld import Controller

__all__ = ["OPTIONS", "run", "wanted"]

_PROGRAM = "sstat"
_ERROR = f"{_PROGRAM}: error: "

OPTIONS = (
    Option("allsteps", "a"),
    Option("helpformat", "e"),
    Option("help", "h"),
    Option("pidformat", "i"),
    Option("jobs", "j", "required"),
    Option("noheader", "n"),
    Option("fields", "", "required", key="format"),
    Option("format", "o", "required"),
    Option("parsable", "p"),
    Option("parsable2", "P"),
    Option("noconvert"),
    Option("usage"),
    Option("verbose", "v"),
    Option("version", "V"),
)
_NAMES = """
    AveCPU AveCPUFreq AveDiskRead AveDiskWrite AvePages AveRSS AveVMSize ConsumedEnergy ConsumedEnergyRaw JobID MaxDiskRead MaxDiskReadNode
    MaxDiskReadTask MaxDiskWrite MaxDiskWriteNode MaxDiskWriteTask MaxPages MaxPagesNode MaxPagesTask MaxRSS MaxRSSNode MaxRSSTask MaxVMSize
    MaxVMSizeNode MaxVMSizeTask MinCPU MinCPUNode MinCPUTask Nodelist NTasks Pids ReqCPUFreq ReqCPUFreqMin ReqCPUFreqMax ReqCPUFreqGov
    TRESUsageInAve TRESUsageInMax TRESUsageInMaxNode TRESUsageInMaxTask TRESUsageInMin TRESUsageInMinNode TRESUsageInMinTask TRESUsageInTot
    TRESUsageOutAve TRESUsageOutMax TRESUsageOutMaxNode TRESUsageOutMaxTask TRESUsageOutMin TRESUsageOutMinNode TRESUsageOutMinTask
    TRESUsageOutTot
"""
_WIDTHS = {"JobID": -12, "NTasks": 8, "Nodelist": 20}
_FIELDS: Mapping[str, tuple[int, Kind]] = {name: (_WIDTHS.get(name, 0), "text") for name in _NAMES.split()}
_USAGE = "Usage: sstat [options] -j <job(.stepid)>\n\tUse --help for help\n"
_HELP = """\
sstat [<OPTION>] -j <job(.stepid)>
This is fakeslurm: it knows the fields JobID, NTasks and Nodelist of running steps. What else sstat(1) can do is
refused with "fakeslurm does not support ...".
"""


def _text(name: str) -> Callable[[Any], str]:
    readers: dict[str, Callable[[ShownStep], str]] = {
        "JobID": lambda shown: f"{shown.job.job_id}.{shown.step.step_id}",
        "NTasks": lambda shown: f"{shown.step.ntasks}",
        "Nodelist": lambda shown: hostlist.compress(shown.step.nodes),
    }
    if name not in readers:
        raise unsupported(_PROGRAM, f"the field {name}")
    return readers[name]


def run(argv: Sequence[str], invocation: Invocation, controller: Controller) -> Reply:
    """Print what is known of running steps."""
    try:
        given, operands = parse_options(_PROGRAM, argv, OPTIONS, suggest_help=False)
        flags: set[str] = set()
        jobs, fields = list(operands), ""
        trailing: bool | None = None
        for option in given:
            match option.key:
                case "help":
                    raise Stop(stdout=_HELP, returncode=0)
                case "usage":
                    raise Stop(stdout=_USAGE, returncode=0)
                case "version":
                    raise answers.version(invocation)
                case "helpformat":
                    return Reply(help_text(_FIELDS))
                case "verbose" | "pidformat":
                    raise unsupported(_PROGRAM, f"--{option.key}")
                case "jobs":
                    jobs.append(option.value or "")
                case "format":
                    fields = ",".join(filter(None, (fields, option.value)))
                case "parsable" | "parsable2":
                    trailing = option.key == "parsable"
                case key:
                    flags.add(key)
        words = [word for text in jobs for word in answers.words(text)]
        if not words:
            raise Stop(f"{_ERROR}You didn't give me any jobs to stat.\n")
        if not fields:
            raise unsupported(_PROGRAM, "its default format (--format=JobID,NTasks,Nodelist is)")
        try:
            sheet = Sheet(columns(fields, _FIELDS, _text), None if trailing is None else "|", bool(trailing))
        except FieldError as error:
            raise Stop(f"{_ERROR}{error}\n") from None
        head = "" if "noheader" in flags else sheet.header()
        try:
            steps, complaints = _steps([wanted(word) for word in words], controller, every="allsteps" in flags)
        except Unanswered as error:
            error.printed = head
            raise
        return Reply(head + sheet.rows(steps), complaints)
    except UsageError as error:
        return error.reply(1)
    except Stop as stop:
        return stop.reply


def wanted(word: str) -> tuple[int, str]:
    """``5``, ``5.0``, ``5.batch``: the job, and the step, empty for none."""
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]*|batch|extern))?", word, re.ASCII)
    if match is not None and match[2] == "":
        raise Stop(f"{_PROGRAM}: fatal: Bad step specified: {match[1]}\n")
    if match is None and re.match("[0-9]", word):
        raise unsupported(_PROGRAM, f"--jobs={word}")
    if match is None:
        raise Stop(f"{_PROGRAM}: fatal: Bad job/step specified: {word}\n")
    return int(match[1]), match[2] or ""


def _steps(wanted: Sequence[tuple[int, str]], controller: Controller, *, every: bool) -> tuple[list[ShownStep], str]:
    """The steps that are meant, and what is said of those that are not there. Without a step it is the first of srun."""
    found: list[ShownStep] = []
    complaints = ""
    for job_id, step_id in wanted:
        job = controller.jobs.get(job_id)
        if job is not None and job.array is not None:
            raise unsupported(_PROGRAM, "the steps of an array")
        if job is not None and job.het is not None:
            raise unsupported(_PROGRAM, "the steps of a heterogeneous job")
        running = [] if job is None else running_steps(job)
        if step_id:
            chosen = [shown for shown in running if f"{shown.step.step_id}" == step_id]
            complaints += "" if chosen else f"{_ERROR}StepId={job_id}.{step_id} not found running.\n"
        elif job is None:
            chosen, complaints = [], f"{complaints}{_ERROR}couldn't get steps for job {job_id}\n"
        else:
            chosen = running if every else [shown for shown in running if shown.step.step_id != "batch"][:1]
            complaints += "" if running else f"{_ERROR}No steps running for job {job_id}\n"
        found += chosen
    return found, complaints
