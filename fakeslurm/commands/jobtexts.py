"""What is true of a job, as numbers and words that squeue, scontrol and sacct share. Measured on Slurm 22.05.8."""

from __future__ import annotations

import functools
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from fakeslurm import associations
from fakeslurm.jobarray import ACCRUED_AFTER, index_text
from slurmkit.slurm import hostlist
from slurmkit.slurm.durations import format_squeue_elapsed
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.model import Job, JobDescription, Settings, Step

__all__ = [
    "NEW",
    "NO_VAL",
    "NULL",
    "accrue_time",
    "array_job_id",
    "command_line",
    "distribution_name",
    "excluded_nodes",
    "expected_end",
    "expected_start",
    "failed_in_the_end",
    "given_files",
    "host_order",
    "job_label",
    "last_evaluation",
    "licenses",
    "most_nodes",
    "nodelist",
    "over_subscribe",
    "preemptable_since",
    "qos",
    "requeue",
    "required_nodes",
    "seconds_used",
    "short_time",
    "standard_file",
    "standard_files",
    "step_label",
    "task_text",
]

_FAILURES = frozenset({JobState.FAILED, JobState.TIMEOUT, JobState.OUT_OF_MEMORY, JobState.DEADLINE})
_PATTERN = re.compile(r"%()([Aajux])")
_NEW_PATTERN = re.compile(r"%([0-9]*)([Aabjux%])")
NEW = "24.11"
"""The release that prints some things otherwise than 22.05, with which everything here was measured first."""
NO_VAL = 4294967294
"""How a 32-bit number that is not set is printed where Slurm does not look."""

NULL = "(null)"


@functools.lru_cache(4096)
def short_time(seconds: int) -> str:
    """``0:05``, ``1:02:03``, ``1-02:03:04``; ``INVALID`` for a negative time."""
    return "INVALID" if seconds < 0 else format_squeue_elapsed(seconds)


def seconds_used(job: Job, now: float) -> int:
    """Whole seconds that the job has run."""
    return int(job.seconds_run(now))


@functools.lru_cache(4096)  # ten thousand jobs share a few allocations
def nodelist(nodes: tuple[str, ...]) -> str:
    """``n[1-2]``; empty for no nodes."""
    return hostlist.compress(nodes)


def host_order(name: str) -> tuple[str, int]:
    """What hosts are sorted by: the name without its number, then the number."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or -1)


def array_job_id(job: Job) -> int:
    """The id of the array that the job belongs to, its own when there is none."""
    return job.job_id if job.array_job_id is None else job.array_job_id


def job_label(job: Job) -> str:
    """``123``, ``123_4`` for the element of an array, ``123+1`` for a component of a heterogeneous job."""
    return job.label if job.array_task_id is None else f"{array_job_id(job)}_{job.array_task_id}"


def step_label(job: Job, step: Step) -> str:
    """``123.0``, ``123_4.0``; of a component of a heterogeneous job with its own id (measured)."""
    return f"{job.job_id if job.array_task_id is None else job_label(job)}.{step.step_id}"


def task_text(job: Job, length: int) -> str | None:
    """``4`` of an element, ``1-3,7%2`` of the record of those that wait; None without an array, or when it is of none any more."""
    if job.array is None or (job.is_unsplit and not job.array.pending):
        return None
    if job.array_task_id is not None:
        return f"{job.array_task_id}"
    return index_text(job.array.pending, job.array.limit, length)


def command_line(asked: JobDescription, release: str) -> str | None:
    """``Command=``: the path of the script, before 24.11 with its arguments, or the name of srun's program; None for ``--wrap`` and stdin."""
    if not asked.argv:
        return None
    return asked.argv[0] if asked.script is None or release == NEW else " ".join(asked.argv)


def licenses(asked: JobDescription) -> str:
    return asked.licenses or ("" if asked.licenses_cleared else NULL)


def expected_start(job: Job, now: float) -> float | None:
    """When it started; while it is pending, the time that it has to wait for."""
    if job.start_time is None and job.state is JobState.PENDING:
        if job.fits_nowhere:
            return now
        if (job.eligible_time or 0) > now:
            return job.eligible_time
    return job.start_time


def expected_end(job: Job, now: float) -> float | None:
    """When it ended, or will at the latest; None when it has no limit, or nobody knows when it will start."""
    if job.end_time is not None:
        return job.end_time
    start = expected_start(job, now)
    if start is None or job.time_limit is None:
        return None
    end = start + job.time_limit * 60 + job.suspended + job.end_shift
    return end if job.grace_end is None else min(end, job.grace_end)


def preemptable_since(job: Job, settings: Settings) -> float | None:
    """From when on the job may be preempted: not while it waits, and never where nobody is."""
    if job.state is JobState.PENDING or not job.nodes or job.start_time is None:
        return None
    known = {one.name: one for one in settings.partitions}
    off = settings.preempt_mode_of(known[job.partition]) == "OFF"
    return None if off else job.start_time + settings.preempt_exempt_time


def accrue_time(job: Job) -> float | None:
    """When its age began to count for its priority: not at all for what srun allocated at once, and what was refused.

    Of the elements of an array only that of those which had to wait.
    """
    if job.state is JobState.FAILED and not job.nodes:
        return None
    if job.description.script is None and job.start_time is not None and int(job.start_time) == int(job.submit_time):
        return None
    if job.first_eligible_time is not None or job.eligible_time is None:
        return job.first_eligible_time
    if job.array is not None and job.start_time is not None and job.start_time - job.eligible_time < ACCRUED_AFTER:
        return None
    return job.eligible_time


def last_evaluation(job: Job) -> float:
    """``LastSchedEval``: when it started, or while it waits when it came, which is when it was looked at for sure."""
    return job.submit_time if job.start_time is None or job.state is JobState.PENDING else job.start_time


def most_nodes(job: Job, settings: Settings) -> int:
    """The largest number of nodes that a pending job may get, 0 when that is not said."""
    asked = job.description
    if job.state is not JobState.PENDING and job.nodes:
        return 0
    most = asked.max_nodes or 0
    if asked.spread_job and not most and asked.asks_for_tasks:
        most = min(len(settings.nodes), asked.ntasks or asked.ntasks_per_node or 1)
    most = min(most, asked.ntasks or NO_VAL)
    if settings.profile.release == NEW and not job.looked_at:
        guessed = not ((asked.cpus_per_task or 1) > 1 or asked.ntasks_per_node or asked.ntasks_per_core)
        most = max(most, job.num_nodes) if guessed else most
    return most


def distribution_name(text: str) -> str:
    """How scontrol and sacct call a step's distribution: ``Block``, ``Cyclic``, ``Plane``, ``BCyclic``, ``Block,Pack``."""
    levels, _, packing = text.partition(",")
    first, *others = (level.split("=")[0] for level in levels.split(":"))
    names = {"fcyclic": "FCyclic"}
    rest = "".join(names.get(level, level.capitalize()) for level in others)
    name = f"{first[:1].upper()}{rest}" if rest else first.capitalize()
    return f"{name},{'NoPack' if packing == 'nopack' else 'Pack'}" if packing else name


def failed_in_the_end(job: Job) -> bool:
    """Whether squeue prints the reason instead of the nodes."""
    return job.state in _FAILURES and not job.completing


def required_nodes(asked: JobDescription) -> str:
    """``-w``, as Slurm keeps it: sorted, each once, in brackets; empty for none."""
    return _named_nodes(asked.nodelist, as_written="nodelist" in asked.nodes_as_written)


def excluded_nodes(asked: JobDescription) -> str:
    """``-x``, in the same way."""
    return _named_nodes(asked.exclude, as_written="exclude" in asked.nodes_as_written)


def _named_nodes(text: str, *, as_written: bool) -> str:
    return text if as_written or not text else hostlist.compress_sorted(set(hostlist.expand(text)))


def over_subscribe(job: Job) -> str:
    """``NO`` for a job that wants its nodes alone, ``YES`` for one that shares them, else ``OK``."""
    if job.description.exclusive:
        return "NO"
    return "YES" if job.description.oversubscribe else "OK"


def qos(job: Job, settings: Settings) -> str | None:
    """What there is; 24.11 shows of a job that waits what it asked for, also when there is no such QOS. None without slurmdbd."""
    asked = job.description.qos
    found = associations.qos(asked, settings)
    asks_in_vain = found == "" and job.state is JobState.PENDING and settings.profile.release == NEW
    return asked if asks_in_vain else found


def requeue(job: Job, settings: Settings) -> bool:
    """Whether the job may be requeued."""
    return settings.requeue if job.description.requeue is None else job.description.requeue


def standard_file(job: Job, name: str | None, fallback: str, *, expand: str) -> str:
    """A standard file's path as scontrol or squeue prints it.

    squeue expands nothing. scontrol (`expand`: its release) replaces ``%A %a %j %u %x`` and nothing else, no width is
    understood; that of 24.11 also ``%b %%`` and widths, those of numbers that there are.
    """
    asked = job.description
    if name is None:
        return fallback
    task = NO_VAL if job.array_task_id is None else job.array_task_id
    texts = {
        "A": f"{array_job_id(job)}",
        "a": f"{task}",
        "b": f"{task % 10}",
        "j": f"{job.job_id}",
        "u": asked.user,
        "x": asked.name,
        "%": "%",
    }

    def value(match: re.Match[str]) -> str:
        width, letter = match.groups()
        return texts[letter].zfill(min(int(width or 0), 10)) if letter in "Aabj" else texts[letter]

    pattern = _NEW_PATTERN if expand == NEW else _PATTERN
    path = pattern.sub(value, name) if expand else name
    return path if PurePath(path).is_absolute() else f"{asked.work_dir}/{path}"


def given_files(job: Job) -> tuple[str, str, str]:
    """The paths as 24.11 keeps them: patterns are not expanded, stderr is empty unless it was asked for."""
    asked = job.description
    label = "%j" if job.array is None else "%A_%a"
    output = standard_file(job, asked.output, f"{asked.work_dir}/slurm-{label}.out", expand="")
    return standard_files(job)[0], output, standard_file(job, asked.error, "", expand="")


def standard_files(job: Job, *, expand: str = "", label: str = "") -> tuple[str, str, str]:
    """The paths of stdin, stdout and stderr. `label` stands in the names that nobody has chosen; without it the job's, or the element's."""
    asked = job.description
    if not label and job.array is None:
        label = f"{job.job_id}"
    elif not label:
        label = f"{job.array_job_id}_{NO_VAL if job.array_task_id is None else job.array_task_id}"
    default = f"{asked.work_dir}/slurm-{label}.out"
    output = standard_file(job, asked.output, default, expand=expand)
    error = standard_file(job, asked.error, output, expand=expand)
    return standard_file(job, asked.input, "/dev/null", expand=expand), output, error
