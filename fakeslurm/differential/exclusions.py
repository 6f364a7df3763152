"""What is not compared, and why. This list is complete: everything else that the two sides say has to be the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import field, frozen

__all__ = ["EXCLUSIONS", "VARIABLES", "Exclusion", "page"]


@frozen
class Exclusion:
    """Parts of the answers of some commands (none: of all) that are replaced before they are compared."""

    what: str
    reason: str
    commands: tuple[str, ...] = ()
    replacements: tuple[tuple[re.Pattern[str], str], ...] = field(default=(), repr=False)

    def apply(self, command: str, text: str) -> str:
        if self.commands and command not in self.commands:
            return text
        for pattern, replacement in self.replacements:
            text = pattern.sub(replacement, text)
        return text


def _pairs(*pairs: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in pairs)


FILES = "files"
"""In `Exclusion.commands`: the output files of the jobs."""

EXCLUSIONS: Sequence[Exclusion] = (
    Exclusion(
        "session, scheduler and its last look, planned nodes in `scontrol show job`",
        "chance: which of Slurm's two schedulers was there first, and a number of a session",
        ("scontrol",),
        _pairs(
            (r"AllocNode:Sid=\S+", "AllocNode:Sid=*"),
            (r"LastSchedEval=\S+ Scheduler=\S+", "LastSchedEval=* Scheduler=*"),
            (r" SchedNodeList=\S+", ""),
        ),
    ),
    Exclusion(
        "AccrueTime of jobs that have started, and of arrays with a limit",
        "chance where a job is released or gets another begin: it has none when it, or the first element, starts at the "
        "scheduler's first look (measured)",
        ("scontrol",),
        _pairs(
            (r"(JobState=(?!PENDING )\S+ (?:(?!JobState=)[\s\S])*?AccrueTime=)\S+", r"\1*"),
            (r"(ArrayTaskThrottle=(?:(?!JobId=)[\s\S])*?AccrueTime=)\S+", r"\1*"),
        ),
    ),
    Exclusion(
        "processes of srun (`show step`)",
        "each side has its own",
        ("scontrol",),
        _pairs((r"SrunHost:Pid=\S+", "SrunHost:Pid=*")),
    ),
    Exclusion(
        "architecture, system, addresses, versions, load, free memory, boot and busy times of a node",
        "the fake's nodes have no machine behind them",
        ("scontrol",),
        _pairs(
            (r" Arch=\S+", ""),
            (r"NodeAddr=\S+ NodeHostName=\S+ (Port=\d+ )?Version=\S+", "NodeAddr=*"),
            (r"\n   OS=.*", ""),
            (r" OS=.*?(?= +RealMemory=) ", ""),
            (r"(CPULoad|FreeMem|BootTime|SlurmdStartTime|LastBusyTime)=\S+", r"\1=*"),
        ),
    ),
    Exclusion(
        "`PartitionConfig`, `PartitionNodeLimit`, `PartitionTimeLimit` count as one reason",
        "which of them is shown depends on which of the two schedulers looked last (measured)",
        ("squeue", "scontrol", "sacct"),
        _pairs((r"Partition(NodeLimit|TimeLimit|Config)", "PartitionConfig")),
    ),
    Exclusion(
        "`JobArrayTaskLimit` counts as no reason in sacct",
        "slurmdbd hears of those that wait up to 5 s after an element has started: which it is depends on whether the "
        "scheduler has come by again (measured)",
        ("sacct",),
        _pairs((r" *(JobA\w*\+?|Jo?b?\+|None|No?n?\+) *", " None ")),
    ),
    Exclusion(
        "which elements of an array wait, and the blanks behind an id at the beginning of a line, which depend on it",
        "slurmdbd hears of them up to 5 s late: of one that is cancelled before that it never does (measured)",
        ("sacct",),
        _pairs((r"(\d+)_\[[^\]\s|;]*(?:\]|\+|(?= ))", r"\1"), (r"^(\d+) +", r"\1 ")),
    ),
    Exclusion(
        "`srun: Job ... step creation temporarily disabled, retrying`, `srun: Step created for ...`",
        "they appear when the step before has not been cleared away yet: timing",
        (FILES,),
        _pairs((r"srun: (Job \d+ step creation (temporarily|still) disabled, retrying.*|Step created for .*)\n", "")),
    ),
    Exclusion(
        "what srun and its step say when they or their job are cancelled or requeued",
        "how far the step has come decides which of these lines there are: two real Slurms differ",
        (FILES,),
        _pairs(
            (
                r"^(\d+: )?slurmstepd-\S+: error: \*\*\* STEP \S+ ON \S+ CANCELLED AT \S+ (DUE TO JOB REQUEUE )?\*\*\*\n",
                "",
            ),
            (r"^srun: (Job step aborted(: .*)?|forcing job termination|got SIGCONT)\n", ""),
            (r"^srun: (launch/slurm: launch_p_step_launch: )?StepId=\S+ aborted before .*\n", ""),
            (r"^srun: error: IO: Hey, you told me node \d+ was down!\n", ""),
            (r"^srun: error: .*: (task|tasks) \S+ (Terminated|Killed)\n", ""),
        ),
    ),
    Exclusion(
        "the place of slurmd's spool and the numbers of processes in messages of the shell",
        "each side has its own",
        (FILES,),
        _pairs((r"\S*/job\d+/slurm_script", "slurm_script"), (r"(line \d+:) +\d+ ", r"\1 PID ")),
    ),
)

VARIABLES = re.compile(
    r"SLURM_(CONF|WORKING_CLUSTER|TASK_PID|SRUN_COMM_PORT|STEP_LAUNCHER_PORT|LAUNCH_NODE_IPADDR|SRUN_COMM_HOST)"
    r"|SLURM_JOB_(START|END)_TIME|PATH|PWD|OLDPWD|_|SHLVL"
)
"""Variables of jobs whose values are not compared (that they are there is): processes, ports, times, places, the shell's own."""


def page() -> str:
    """The table of docs/differential.md."""
    rows = [f"| {', '.join(one.commands) or 'all'} | {one.what} | {one.reason} |" for one in EXCLUSIONS]
    return "\n".join(["| of | not compared | because |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(page(), end="")
