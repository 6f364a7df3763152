"""What two Slurms never agree on, taken out of the texts of their query commands, so that the rest can be compared.

The fake and a real Slurm differ in what only a real machine knows (load, ports, process ids), in what the backfill
scheduler plans, and in which of its two schedulers started a job.
"""

from __future__ import annotations

import re

__all__ = ["job_report", "node_report", "step_report", "without_chance", "without_times"]

_JOB = (
    (re.compile(r"AllocNode:Sid=\S+"), "AllocNode:Sid=*"),
    (re.compile(r"LastSchedEval=\S+ Scheduler=\S+"), "LastSchedEval=* Scheduler=*"),
    (re.compile(r" SchedNodeList=\S+"), ""),
)
_NODE = (
    (re.compile(r" Arch=\S+"), ""),
    (re.compile(r"NodeAddr=\S+ NodeHostName=\S+ (Port=\d+ )?Version=\S+"), "NodeAddr=*"),
    (re.compile(r"\n   OS=.*"), ""),
    (re.compile(r" OS=.*?(?= +RealMemory=) "), ""),
    (re.compile(r"(CPULoad|FreeMem|BootTime|SlurmdStartTime|LastBusyTime)=\S+"), r"\1=*"),
    (re.compile(r"\+PLANNED"), ""),
)
_STEP = ((re.compile(r"SrunHost:Pid=\S+"), "SrunHost:Pid=*"),)
_BY_TIMING = re.compile(
    r"^salloc: (?:Nodes .* are ready for job|Job allocation \S+ has been revoked\.)$\n?", re.MULTILINE
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def _replaced(text: str, replacements: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, replacement in replacements:
        text = pattern.sub(replacement, text)
    return text


def job_report(text: str) -> str:
    """``scontrol show job`` (also ``-o``, ``-d``) without session, scheduler and plans."""
    return _replaced(text, _JOB)


def node_report(text: str) -> str:
    """``scontrol show node`` (also ``-o``) without machine, addresses, load, times and plans."""
    return _replaced(text, _NODE)


def step_report(text: str) -> str:
    """``scontrol show step`` without the process of srun."""
    return _replaced(text, _STEP)


def without_times(text: str) -> str:
    """The text with every time stamp replaced by ``TIME``."""
    return _TIME.sub("TIME", text)


def without_chance(text: str) -> str:
    """What salloc says but that its nodes are ready, and that the allocation has been revoked: both come or not, by timing."""
    return _BY_TIMING.sub("", text)
