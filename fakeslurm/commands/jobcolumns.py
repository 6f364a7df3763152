"""squeue's fields of a job, each read by one method. Values measured on Slurm 22.05.8; the tests hold the texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from attrs import field, frozen

from fakeslurm import associations
from fakeslurm.commands import grestexts, jobtexts
from fakeslurm.commands.columns import Overflow
from fakeslurm.commands.jobsizes import allocated_tres, memory_text, min_cpus_per_node, requested_tres, tasks
from fakeslurm.commands.jobtexts import NO_VAL, NULL, short_time
from fakeslurm.jobarray import TEXT_LENGTH
from slurmkit.slurm import hostlist
from slurmkit.slurm.states import ExitCode, JobState

if TYPE_CHECKING:
    from fakeslurm.commands.stamps import Stamps
    from fakeslurm.model import Job, Settings

__all__ = ["Field", "JobColumns"]

_LONGEST_ID = 31
"""FORMAT_STRING_SIZE in src/squeue/print.c."""


class Field(NamedTuple):
    """A header, and either the method of `JobColumns` that reads it or the constant that it always is here."""

    header: str
    method: str = ""
    constant: str = ""
    overflow: Overflow = ""


@frozen
class JobColumns:
    """Reads fields from jobs, for one call of squeue."""

    settings: Settings
    now: float
    stamps: Stamps
    convert: bool = True
    """Not so with ``--noconvert``: 2048M stays 2048M."""
    index_length: int = TEXT_LENGTH
    """How much is shown of the indices of an array."""
    index_texts: Mapping[int, str] = field(factory=dict)
    """By job id, of records of arrays whose indices are shown otherwise."""

    def getter(self, field: Field) -> Callable[[Job], str]:
        """The function that reads this field."""
        if not field.method:
            return lambda _job: field.constant
        method: Callable[[Job], str] = getattr(self, field.method)
        return method

    def _stamp(self, when: float | None, nothing: str = "N/A") -> str:
        return nothing if when is None else self.stamps(when)

    def account(self, job: Job) -> str:
        name = associations.account(job.description.uid, job.description.account, self.settings)
        return NULL if name is None else name

    def accrue_time(self, job: Job) -> str:
        return self._stamp(jobtexts.accrue_time(job))

    def alloc_node(self, job: Job) -> str:
        return job.description.submit_host

    def array_job_id(self, job: Job) -> str:
        return f"{jobtexts.array_job_id(job)}"

    def array_task_id(self, job: Job) -> str:
        tasks = self._tasks(job)
        return "N/A" if tasks is None else tasks

    def _tasks(self, job: Job) -> str | None:
        if job.array_task_id is None and job.job_id in self.index_texts:
            return self.index_texts[job.job_id]
        return jobtexts.task_text(job, self.index_length)

    def association(self, job: Job) -> str:
        return "2" if self.settings.accounting and job.description.uid == 0 else "0"

    def batch_flag(self, job: Job) -> str:
        return "0" if job.description.script is None else "1"

    def batch_host(self, job: Job) -> str:
        if job.description.script is None:
            return job.description.submit_host
        return job.nodes[0] if job.nodes else "n/a"

    def cluster(self, _job: Job) -> str:
        return self.settings.cluster_name

    def command(self, job: Job) -> str:
        return jobtexts.command_line(job.description, self.settings.profile.release) or NULL

    def admin_comment(self, job: Job) -> str:
        return NULL if job.admin_comment is None else job.admin_comment

    def comment(self, job: Job) -> str:
        comment = job.description.comment
        return NULL if comment is None else comment

    def wckey(self, job: Job) -> str:
        wckey = job.description.wckey
        return NULL if wckey is None else wckey

    def contiguous(self, job: Job) -> str:
        return f"{job.description.contiguous:d}"

    def cores(self, job: Job) -> str:
        return _star(job.description.cores_per_socket)

    def cpus_per_task(self, job: Job) -> str:
        return f"{job.description.cpus_per_task or 1}"

    def deadline(self, job: Job) -> str:
        return self._stamp(job.description.deadline)

    def dependency(self, job: Job) -> str:
        return job.dependency or NULL

    def derived_exit(self, job: Job) -> str:
        return f"{job.derived_wait_status}"

    def derived_pair(self, job: Job) -> str:
        """As 24.11 prints it."""
        return f"{ExitCode.from_wait_status(job.derived_wait_status)}"

    def eligible_time(self, job: Job) -> str:
        return self._stamp(job.eligible_time)

    def end_time(self, job: Job) -> str:
        end = jobtexts.expected_end(job, self.now)
        if end is None and jobtexts.expected_start(job, self.now) is not None:
            return "NONE"
        return self._stamp(end)

    def excluded_nodes(self, job: Job) -> str:
        return _in_order(jobtexts.excluded_nodes(job.description))

    def exit_code(self, job: Job) -> str:
        return f"{job.wait_status}"

    def exit_pair(self, job: Job) -> str:
        """As 24.11 prints it."""
        return f"{ExitCode.from_wait_status(job.wait_status)}"

    def group_id(self, job: Job) -> str:
        return f"{job.description.gid}"

    def group_name(self, job: Job) -> str:
        return job.description.group

    def het_job_id(self, job: Job) -> str:
        return "N/A" if job.het is None else f"{job.het.job_id}"

    def het_job_id_set(self, job: Job) -> str:
        return "N/A" if job.het is None else job.het.id_set

    def het_job_offset(self, job: Job) -> str:
        return "N/A" if job.het is None else f"{job.het_offset}"

    def job_id(self, job: Job) -> str:
        return f"{job.job_id}"

    def job_label(self, job: Job) -> str:
        tasks = self._tasks(job)
        if job.array_task_id is not None or tasks is None:
            return jobtexts.job_label(job)
        return f"{job.array_job_id}_[{tasks}]"[:_LONGEST_ID]

    def last_sched_eval(self, job: Job) -> str:
        return self._stamp(jobtexts.last_evaluation(job))

    def min_cpus(self, job: Job) -> str:
        return f"{min_cpus_per_node(job)}"

    def min_memory(self, job: Job) -> str:
        asked = job.description
        return memory_text(asked.mem_per_cpu or asked.mem_per_node or 0, convert=self.convert)

    def min_tmp_disk(self, job: Job) -> str:
        return memory_text(job.description.tmp_disk or 0, convert=self.convert)

    def name(self, job: Job) -> str:
        return job.description.name

    def nice(self, job: Job) -> str:
        return f"{job.description.nice}"

    def nodelist(self, job: Job) -> str:
        return jobtexts.nodelist(job.shown_nodes)

    def num_cpus(self, job: Job) -> str:
        return f"{job.shown_cpus}"

    def num_nodes(self, job: Job) -> str:
        return f"{job.shown_node_count}"

    def num_tasks(self, job: Job) -> str:
        number = tasks(job)
        return f"{NO_VAL if number is None else number}"

    def over_subscribe(self, job: Job) -> str:
        return jobtexts.over_subscribe(job)

    def partition(self, job: Job) -> str:
        return job.partition

    def pending_time(self, job: Job) -> str:
        waits = job.start_time is None or job.state is JobState.PENDING
        return f"{int(self.now if waits else job.start_time or 0) - int(job.submit_time)}"

    def preempt_time(self, job: Job) -> str:
        return self._stamp(job.preempt_time)

    def priority(self, job: Job) -> str:
        return f"{job.priority / 0xFFFFFFFF:16.14f}"

    def priority_long(self, job: Job) -> str:
        return f"{job.priority}"

    def time_min(self, job: Job) -> str:
        return short_time(60 * (job.time_min or 0))

    def qos(self, job: Job) -> str:
        name = jobtexts.qos(job, self.settings)
        return NULL if name is None else name

    def reason(self, job: Job) -> str:
        return str(job.reason)

    def reason_or_nodes(self, job: Job) -> str:
        waits = job.state is JobState.PENDING and not job.requeued
        if waits or jobtexts.failed_in_the_end(job):
            return f"({job.reason})"
        return jobtexts.nodelist(job.shown_nodes)

    def required_nodes(self, job: Job) -> str:
        return _in_order(jobtexts.required_nodes(job.description))

    def requeue(self, job: Job) -> str:
        return f"{jobtexts.requeue(job, self.settings):d}"

    def restart_count(self, job: Job) -> str:
        return f"{job.restart_count}"

    def sockets(self, job: Job) -> str:
        return _star(job.description.sockets_per_node)

    def sockets_cores_threads(self, job: Job) -> str:
        asked = job.description
        return ":".join(map(_star, (asked.sockets_per_node, asked.cores_per_socket, asked.threads_per_core)))

    def start_time(self, job: Job) -> str:
        return self._stamp(jobtexts.expected_start(job, self.now))

    def state(self, job: Job) -> str:
        return str(job.shown_state)

    def state_compact(self, job: Job) -> str:
        return job.shown_state.compact

    def stderr(self, job: Job) -> str:
        """squeue does not know that the files of array elements are called otherwise (measured)."""
        return jobtexts.standard_files(job, label=f"{job.job_id}")[2]

    def given_stderr(self, job: Job) -> str:
        """As 24.11 prints it: nothing but what was asked for."""
        return jobtexts.given_files(job)[2] or NULL

    def stdin(self, job: Job) -> str:
        return NULL if job.description.script is None else jobtexts.standard_files(job)[0]

    def stdout(self, job: Job) -> str:
        return jobtexts.standard_files(job, label=f"{job.job_id}")[1]

    def given_stdout(self, job: Job) -> str:
        """As 24.11 prints it: a pattern also when nothing was asked for."""
        return jobtexts.given_files(job)[1]

    def submit_time(self, job: Job) -> str:
        return self.stamps(job.submit_time)

    def tasks_per_core(self, job: Job) -> str:
        return f"{job.description.ntasks_per_core or 'N/A'}"

    def tasks_per_node(self, job: Job) -> str:
        return f"{job.description.ntasks_per_node or 0}"

    def tasks_per_socket(self, job: Job) -> str:
        return f"{job.description.ntasks_per_socket or 'N/A'}"

    def threads(self, job: Job) -> str:
        return _star(job.description.threads_per_core)

    def time_left(self, job: Job) -> str:
        if job.time_limit is None:
            return "UNLIMITED"
        return short_time(job.time_limit * 60 - jobtexts.seconds_used(job, self.now))

    def time_limit(self, job: Job) -> str:
        return "UNLIMITED" if job.time_limit is None else short_time(job.time_limit * 60)

    def time_used(self, job: Job) -> str:
        return short_time(jobtexts.seconds_used(job, self.now))

    def tres(self, job: Job) -> str:
        return allocated_tres(job, self.settings) or requested_tres(job, self.settings) or "N/A"

    def features(self, job: Job) -> str:
        return NULL if job.description.constraint is None else job.description.constraint

    def licenses(self, job: Job) -> str:
        return jobtexts.licenses(job.description)

    def tres_per_job(self, job: Job) -> str:
        return grestexts.tres_per_job(job.description, self.settings) or "N/A"

    def tres_per_node(self, job: Job) -> str:
        return grestexts.tres_per_node(job.description, self.settings) or "N/A"

    def tres_per_task(self, job: Job) -> str:
        """As 24.11 knows it: ``-c`` is one of these."""
        return f"cpu={job.description.cpus_per_task}" if job.description.cpus_per_task else "N/A"

    def user_id(self, job: Job) -> str:
        return f"{job.description.uid}"

    def user_name(self, job: Job) -> str:
        return job.description.user

    def work_dir(self, job: Job) -> str:
        return job.description.work_dir


def _star(number: int | None) -> str:
    return "*" if number is None else f"{number}"


def _in_order(nodes: str) -> str:
    """The list that scontrol shows as it was written in an update; squeue sorts it."""
    return hostlist.compress_sorted(hostlist.expand(nodes)) if nodes else ""
