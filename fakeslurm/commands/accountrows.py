"""The values of sacct's fields, of a job's row and of a step's row. Measured on Slurm 22.05.8, 24.11.5.

As with ``JobAcctGatherType=jobacct_gather/linux`` of jobs that end before it looks at them (30 s): what a job used of CPU time,
memory, disk and energy is not known, and those fields are empty or zero exactly where they are on such a Slurm.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from fakeslurm import associations
from fakeslurm.commands import jobtexts
from fakeslurm.commands.jobsizes import allocated_memory, held_gres_tres, megabytes, memory_text, requested_gres_tres
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.jobarray import TEXT_LENGTH, index_text
from fakeslurm.model import BATCH
from fakeslurm.slurmctld.running import LAUNCH_FAILED
from slurmkit.slurm.durations import format_elapsed, format_time_limit
from slurmkit.slurm.states import ExitCode, JobState

if TYPE_CHECKING:
    from fakeslurm.commands.stamps import Stamps
    from fakeslurm.model import Settings
    from fakeslurm.slurmdbd import JobRecord, StepRecord

__all__ = ["AccountTexts", "Row"]

_UINT32 = 1 << 32
_MEMORY_UNITS = "KMGTP"
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CLUSTER = 1600


class Row(NamedTuple):
    """A line of sacct: a job, or one of its steps."""

    job: JobRecord
    step: StepRecord | None = None


@frozen
class AccountTexts:
    """Reads fields from rows, for one call of sacct."""

    settings: Settings
    now: float
    stamps: Stamps
    convert: bool = True
    """Not so with ``--noconvert``."""
    unit: str = ""
    """Of ``--units``."""
    index_length: int = TEXT_LENGTH
    """How much is shown of the indices of an array."""

    def getter(self, name: str) -> Callable[[Row], str]:
        """The function that reads the field of this name (as `accountfields.NAMES` spells it)."""
        lower = name.lower()
        method: Callable[[Row], str] | None = getattr(self, f"_{lower}", None)
        if method is not None:
            return method
        if lower in _ZERO_TIMES:
            return lambda _row: "00:00:00"
        return lambda _row: ""

    @property
    def _new(self) -> bool:
        return self.settings.profile.release == NEW

    # Texts of jobs and steps.

    def _account(self, row: Row) -> str:
        return associations.account(row.job.uid, row.job.account, self.settings) or ""

    def _alloccpus(self, row: Row) -> str:
        if row.step is not None:
            return f"{row.step.num_cpus}"
        if self._new:
            return f"{row.job.allocated_cpus if row.job.tres_nodes else 0}"
        return f"{row.job.allocated_cpus if row.job.tres_nodes else row.job.requested_cpus}"

    def _allocnodes(self, row: Row) -> str:
        return f"{row.job.allocated_nodes if row.step is None else len(row.step.nodes)}"

    def _alloctres(self, row: Row) -> str:
        if row.step is not None:
            memory = self._memory(self._held(row)) if self.settings.memory_is_consumed else "0"
            parts = [f"cpu={row.step.num_cpus}", *self._gres(row), f"mem={memory}", f"node={len(row.step.nodes)}"]
            return ",".join(parts)
        if not row.job.tres_nodes:
            return ""
        cpus = row.job.allocated_cpus
        held = [f"mem={self._memory(self._held(row))}"] if self.settings.memory_is_consumed else []
        return ",".join([f"billing={cpus}", f"cpu={cpus}", *self._gres(row), *held, f"node={len(row.job.tres_nodes)}"])

    def _gres(self, row: Row) -> list[str]:
        """The gres among the allocated resources, as sacct sorts them: ``gres/gpu:a100`` before ``gres/gpu``."""
        if not self.settings.accounted_gres:
            return []
        job = row.job.holder
        units = zip(job.nodes, job.gres, strict=True)
        if row.step is not None:
            step = job.step(row.step.step_id)
            assert step is not None
            units = zip(step.nodes, step.gres or job.gres, strict=False)  # the script has all of its node
        return sorted(held_gres_tres(units, self.settings))

    def _held(self, row: Row) -> int:
        job = row.job.holder
        nodes = row.job.tres_nodes if row.step is None else row.step.nodes
        return allocated_memory(job, self.settings, nodes)

    def _associd(self, row: Row) -> str:
        return "2" if row.job.uid == 0 else "0"

    def _avecpufreq(self, row: Row) -> str:
        return "" if row.step is None else "0"

    def _constraints(self, row: Row) -> str:
        return "" if row.step is not None else row.job.constraint

    def _admincomment(self, row: Row) -> str:
        return "" if row.step is not None else row.job.admin_comment

    def _licenses(self, row: Row) -> str:
        """Of 24.11."""
        return "" if row.step is not None else row.job.licenses

    def _cluster(self, _row: Row) -> str:
        return self.settings.cluster_name

    def _consumedenergy(self, row: Row) -> str:
        """Nothing of a job while it runs, nor when it had no steps of srun (measured)."""
        return "" if row.step is None and row.job.nodes and not row.job.knows_energy else "0"

    _consumedenergyraw = _consumedenergy

    def _cputime(self, row: Row) -> str:
        return format_elapsed(self._seconds(row) * int(self._alloccpus(row)))

    def _cputimeraw(self, row: Row) -> str:
        return f"{self._seconds(row) * int(self._alloccpus(row))}"

    def _dbindex(self, row: Row) -> str:
        return f"{self._lasting_id(row.job) if self._new else row.job.job_id}"

    def _sluid(self, row: Row) -> str:
        number, digits = self._lasting_id(row.job), ""
        for _ in range(13):
            number, digit = divmod(number, 32)
            digits = _BASE32[digit] + digits
        return f"s{digits}"

    def _lasting_id(self, job: JobRecord) -> int:
        """The number that 24.11 gives a job for good: the cluster's, the time in milliseconds, a counter.

        The fake has no such cluster number, and counts within 1024 by job id.
        """
        return (_CLUSTER << 42 | int(job.submit * 1000)) << 10 | job.job_id % 1024

    def _derivedexitcode(self, row: Row) -> str:
        return "" if row.step is not None else f"{ExitCode.from_wait_status(row.job.derived_wait_status)}"

    def _elapsed(self, row: Row) -> str:
        return format_elapsed(self._seconds(row))

    def _elapsedraw(self, row: Row) -> str:
        return f"{self._seconds(row)}"

    def _seconds(self, row: Row) -> int:
        start, end = (row.job.start, row.job.end) if row.step is None else (row.step.start, row.step.end)
        if start is None:
            return 0
        return max(int(self.now if end is None else end) - int(start) - self._suspended_seconds(row), 0)

    def _suspended_seconds(self, row: Row) -> int:
        shown = row.step or row.job
        since = row.job.suspended_since if shown.end is None else None
        return round(shown.suspended + (0 if since is None else int(self.now) - int(since)))

    def _suspended(self, row: Row) -> str:
        return format_elapsed(self._suspended_seconds(row))

    def _eligible(self, row: Row) -> str:
        when = row.job.eligible if row.step is None else row.step.start
        return "Unknown" if when is None else self.stamps(when)

    def _end(self, row: Row) -> str:
        when = (row.step or row.job).end
        return "Unknown" if when is None else self.stamps(when)

    def _exitcode(self, row: Row) -> str:
        if row.step is not None and row.step.lost and row.step.end is not None:
            return ""
        return _exit_code((row.step or row.job).wait_status)

    def _flags(self, row: Row) -> str:
        if row.step is not None:
            return ""
        received = "StartReceived" if self._new else "StartRecieved"
        return f"{row.job.scheduler},{received}" if row.job.nodes else received

    def _gid(self, row: Row) -> str:
        return "" if row.step is not None else f"{row.job.gid}"

    def _group(self, row: Row) -> str:
        return "" if row.step is not None else row.job.group

    def _jobid(self, row: Row) -> str:
        job = row.job
        if job.array_task_id is not None:
            label = f"{job.array_job_id}_{job.array_task_id}"
        elif job.array_tasks is not None:
            label = f"{job.array_job_id}_[{index_text(job.array_tasks, job.array_limit, self.index_length)}]"
        elif job.het_job_id is not None:
            label = f"{job.het_job_id}+{job.het_offset}"
        else:
            label = f"{job.job_id}"
        return label if row.step is None else f"{label}.{row.step.step_id}"

    def _jobidraw(self, row: Row) -> str:
        return f"{row.job.job_id}" if row.step is None else f"{row.job.job_id}.{row.step.step_id}"

    def _jobname(self, row: Row) -> str:
        return (row.step or row.job).name

    def _layout(self, row: Row) -> str:
        if row.step is None:
            return ""
        return "Unknown" if row.step.step_id == BATCH else jobtexts.distribution_name(row.step.distribution)

    _ncpus = _alloccpus

    def _nnodes(self, row: Row) -> str:
        return f"{row.job.num_nodes if row.step is None else len(row.step.nodes)}"

    def _nodelist(self, row: Row) -> str:
        return jobtexts.nodelist((row.step or row.job).nodes) or "None assigned"

    def _ntasks(self, row: Row) -> str:
        return "" if row.step is None else f"{row.step.ntasks}"

    def _partition(self, row: Row) -> str:
        return "" if row.step is not None else row.job.partition

    def _priority(self, row: Row) -> str:
        return "" if row.step is not None else f"{'' if row.job.priority is None else row.job.priority}"

    def _qos(self, row: Row) -> str:
        return "" if row.step is not None else row.job.qos or "Unknown"

    def _qosreq(self, row: Row) -> str:
        """Of 24.11: what was asked for, be there one or not."""
        return "" if row.step is not None else row.job.source.description.qos or ""

    def _qosraw(self, row: Row) -> str:
        return "" if row.step is not None else f"{bool(row.job.qos):d}"

    def _reason(self, row: Row) -> str:
        return "" if row.step is not None else str(row.job.reason)

    def _reqcpufreq(self, row: Row) -> str:
        return "0" if row.step is not None and row.step.step_id == BATCH else "Unknown"

    _reqcpufreqgov = _reqcpufreqmax = _reqcpufreqmin = _reqcpufreq

    def _reqcpus(self, row: Row) -> str:
        return f"{row.job.requested_cpus if row.step is None else row.step.num_cpus}"

    def _reqmem(self, row: Row) -> str:
        if row.step is not None:
            return ""
        return self._memory(megabytes(row.job.requested_memory)) if row.job.requested_nodes else self._no_memory()

    def _no_memory(self) -> str:
        """Of a job of no nodes, which has no TRES: 22.05 takes 2**64 MB for that (measured)."""
        if self._new:
            return "0"
        if not self.unit and self.convert:
            return "16?"
        number = 2.0**64 * 1024.0 ** (1 - _MEMORY_UNITS.index(self.unit or "M"))
        return f"{number:.2f}{self.unit or 'M'}" if number >= 2.0**64 else f"{number:.0f}{self.unit}"

    def _memory(self, amount: int) -> str:
        if not self.unit:
            return memory_text(amount, convert=self.convert)
        return self._in_unit(amount * 1024 * 1024)

    def _in_unit(self, amount: int) -> str:
        if not amount:
            return "0"
        number = amount * 1024.0 ** -(1 + _MEMORY_UNITS.index(self.unit))
        return f"{number:.0f}{self.unit}" if number == int(number) else f"{number:.2f}{self.unit}"

    def _reqnodes(self, row: Row) -> str:
        number = row.job.requested_nodes if row.step is None else len(row.step.nodes)
        return self._in_unit(number) if self.unit else f"{number}"  # as if it were memory (measured)

    def _reqtres(self, row: Row) -> str:
        if row.step is not None or not row.job.requested_nodes:
            return ""
        cpus = row.job.counted_cpus
        more: list[str] = []
        if self.settings.accounted_gres:
            more = sorted(requested_gres_tres(row.job.source, self.settings))
        memory = f"mem={self._reqmem(row)}"
        return ",".join([f"billing={cpus}", f"cpu={cpus}", *more, memory, f"node={row.job.requested_nodes}"])

    def _reserved(self, row: Row) -> str:
        if row.step is not None:
            return ""
        seconds = self._waited(row.job)
        return "INVALID" if seconds < 0 else format_elapsed(seconds)

    def _resvcpu(self, row: Row) -> str:
        if row.step is not None:
            return ""
        seconds = self._waited(row.job) * row.job.requested_cpus
        return "INVALID" if seconds < 0 else format_elapsed(seconds)

    def _resvcpuraw(self, row: Row) -> str:
        return "" if row.step is not None else f"{self._waited(row.job) * row.job.requested_cpus % _UINT32}"

    _planned, _plannedcpu, _plannedcpuraw = _reserved, _resvcpu, _resvcpuraw

    def _waited(self, job: JobRecord) -> int:
        """Seconds from being eligible to the start; below 0 for a job that never started and has ended (measured)."""
        if job.eligible is None:
            return 0
        start = job.start if job.start is not None else self.now if job.end is None else 0
        return int(start) - int(job.eligible)

    def _restarts(self, row: Row) -> str:
        return "" if row.step is not None else f"{row.job.restart_count}"

    def _start(self, row: Row) -> str:
        when = self._started(row.job) if row.step is None else row.step.start
        if when is None:
            return "Unknown" if row.job.end is None else "None"
        return self.stamps(when)

    def _started(self, job: JobRecord) -> float | None:
        """When it started, in 24.11 not of a job that was refused for what it asks for."""
        return job.start if job.nodes or job.over_when_submitted or not self._new else None

    def _state(self, row: Row) -> str:
        shown = row.step or row.job
        if shown.state == JobState.CANCELLED and shown.cancelled_by is not None:
            return f"{shown.state} by {shown.cancelled_by}"
        return str(shown.state)

    def _stderr(self, row: Row) -> str:
        return self._file(row, 2)

    def _stdin(self, row: Row) -> str:
        return self._file(row, 0)

    def _stdout(self, row: Row) -> str:
        # Slurm has given the name away with the elements that were split off before (measured).
        return self._file(row, 1) if row.job.told else "(null)/slurm-%A_%a.out"

    def _file(self, row: Row, number: int) -> str:
        """Of a batch job: those of srun and salloc have none in the database."""
        job = None if row.step is not None else row.job.source
        return "" if job is None or job.description.script is None else jobtexts.given_files(job)[number]

    def _submit(self, row: Row) -> str:
        return self.stamps(row.job.submit if row.step is None else row.step.start)

    def _submitline(self, row: Row) -> str:
        return (row.step or row.job).submit_line

    def _timelimit(self, row: Row) -> str:
        return self._limit(row, format_time_limit)

    def _timelimitraw(self, row: Row) -> str:
        return self._limit(row, lambda minutes: "UNLIMITED" if minutes is None else f"{minutes}")

    def _limit(self, row: Row, text: Callable[[int | None], str]) -> str:
        if row.step is not None:
            return ""
        if row.job.time_limit is None and not row.job.unlimited and self._started(row.job) is None:
            return "Partition_Limit"
        return text(row.job.time_limit)

    def _tresusage(self, row: Row) -> str:
        """Of a step that has run nothing is known but its energy, which nobody measures."""
        ran = row.step is not None and row.step.end is not None and row.step.wait_status != LAUNCH_FAILED
        return "energy=0" if ran else ""

    _tresusageinave = _tresusageintot = _tresusageoutave = _tresusageouttot = _tresusage

    def _uid(self, row: Row) -> str:
        return "" if row.step is not None else f"{row.job.uid}"

    def _user(self, row: Row) -> str:
        return "" if row.step is not None else row.job.user

    def _wckey(self, row: Row) -> str:
        return "" if row.step is not None else row.job.wckey or ""

    def _wckeyid(self, row: Row) -> str:
        return "" if row.step is not None else "0"

    def _workdir(self, row: Row) -> str:
        return "" if row.step is not None else row.job.work_dir


_ZERO_TIMES = frozenset({"systemcpu", "totalcpu", "usercpu"})


@functools.lru_cache(1024)
def _exit_code(wait_status: int) -> str:
    code, signal = ExitCode.from_wait_status(wait_status)
    return f"{ExitCode(code & 0x7F, signal)}"  # a code over 127 loses its highest bit here (measured)
