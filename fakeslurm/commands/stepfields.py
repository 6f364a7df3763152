"""The fields of ``squeue --steps``. Headers and values measured on Slurm 22.05.8, its slips of the pen included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from fakeslurm.commands.jobcolumns import Field
from fakeslurm.commands.jobtexts import NEW, NULL, nodelist, short_time, step_label
from fakeslurm.model import BATCH
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.commands.stamps import Stamps
    from fakeslurm.model import Job, Settings, Step

__all__ = ["ALL_FORMAT", "FIELDS", "LETTERS", "ShownStep", "StepColumns", "find", "running_steps"]


class ShownStep(NamedTuple):
    """A step and the job that it is of."""

    job: Job
    step: Step

    @property
    def order(self) -> tuple[int, int]:
        """By job, then by step; the batch step is the last one."""
        step_id = self.step.step_id
        return self.job.job_id, 0xFFFFFFFB if step_id == BATCH else step_id

    def tres_per_task(self, settings: Settings) -> str:
        """On 24.11 what the job asked for, also of a step that asks for something else (measured)."""
        cpus = self.job.description.cpus_per_task
        known = cpus and settings.profile.tres_per_task_in_environment and self.step.step_id != BATCH
        return f"cpu={cpus}" if known else ""


def running_steps(job: Job) -> list[ShownStep]:
    """The steps of a job that run, the batch step first."""
    steps = [*([job.batch] if job.batch else []), *job.steps.values()]
    return [ShownStep(job, step) for step in steps if step.running]


@frozen
class StepColumns:
    """Reads fields from steps, for one call of squeue."""

    settings: Settings
    now: float
    stamps: Stamps

    def getter(self, field: Field) -> Callable[[ShownStep], str]:
        """The function that reads this field."""
        if not field.method:
            return lambda _row: field.constant
        method: Callable[[ShownStep], str] = getattr(self, field.method)
        return method

    def array_job_id(self, row: ShownStep) -> str:
        return f"{row.job.array_job_id or 0}"

    def array_task_id(self, row: ShownStep) -> str:
        return "N/A" if row.job.array_task_id is None else f"{row.job.array_task_id}"

    def cluster(self, _row: ShownStep) -> str:
        return self.settings.cluster_name

    def cpu_frequency(self, row: ShownStep) -> str:
        return "0-0:0" if row.step.step_id == BATCH else "Unknown-Unknown:Unknown"

    def job_id(self, row: ShownStep) -> str:
        return f"{row.job.job_id}"

    def name(self, row: ShownStep) -> str:
        return row.step.name

    def nodes(self, row: ShownStep) -> str:
        return nodelist(row.step.nodes)

    def tres_per_task(self, row: ShownStep) -> str:
        return row.tres_per_task(self.settings) or NULL

    def num_cpus(self, row: ShownStep) -> str:
        return "0" if row.step.step_id == BATCH else f"{row.step.num_cpus}"

    def num_tasks(self, row: ShownStep) -> str:
        return f"{row.step.ntasks}"

    def partition(self, row: ShownStep) -> str:
        return row.job.partition

    def start_time(self, row: ShownStep) -> str:
        return self.stamps(row.step.start_time)

    def state(self, row: ShownStep) -> str:
        return str(row.step.state)

    def step_id(self, row: ShownStep) -> str:
        return step_label(row.job, row.step)

    def time_limit(self, row: ShownStep) -> str:
        limit = row.step.request.time_limit if row.step.request else None
        return short_time(limit * 60) if limit else "UNLIMITED"

    def time_used(self, row: ShownStep) -> str:
        stopped = row.job.suspend_time if row.job.state is JobState.SUSPENDED else None
        until = self.now if stopped is None else stopped
        return short_time(int(until) - int(row.step.start_time) - round(row.step.suspended))

    def user_id(self, row: ShownStep) -> str:
        return f"{row.job.description.uid}"

    def user_name(self, row: ShownStep) -> str:
        return row.job.description.user


FIELDS: Mapping[str, Field] = {
    "arrayjobid": Field("ARRAY_JOB_ID", "array_job_id"),
    "arraytaskid": Field("ARRAY_TASK_ID", "array_task_id"),
    "cluster": Field("CLUSTER", "cluster"),
    "container": Field("CONTAINER", constant=NULL),
    "containerid": Field("CONTAINER", constant=NULL),
    "cpufreq": Field("CPU_FREQ", "cpu_frequency"),
    "cpus-per-tres": Field("CPUS_PER_TRES", constant=NULL),
    "gres": Field("TRES_PER_JOB", constant=NULL),
    "jobid": Field("JOB_ID", "job_id"),
    "mem-per-tres": Field("MEM_PER_TRES", constant=NULL),
    "network": Field("NETWORK", constant=NULL),
    "nodes": Field("NODELIST", "nodes", overflow="nodes"),
    "numcpus": Field("NUM_CPUS", "num_cpus"),
    "numtasks": Field("TASKS", "num_tasks"),
    "partition": Field("PARTITION", "partition"),
    "resvports": Field("RESERVED_PORTS", constant=NULL),
    "starttime": Field("START_TIME", "start_time", overflow="left"),
    "stepid": Field("STEPID", "step_id"),
    "stepname": Field("NAME", "name"),
    "stepstate": Field("STATE", "state"),
    "timelimit": Field("TIME_LIMIT", "time_limit", overflow="time"),
    "timeused": Field("TIME", "time_used", overflow="time"),
    "tres-bind": Field("TRES_BIND", constant=NULL),
    "tres-freq": Field("TRES_FREQ", constant=NULL),
    "tres-per-job": Field("TRES_PER_STEP", constant=NULL),
    "tres-per-node": Field("TRES_PER_JOB", constant=NULL),
    "tres-per-socket": Field("TRES_PER_SOCKET", constant=NULL),
    "tres-per-step": Field("TRES_PER_STEP", constant=NULL),
    "tres-per-task": Field("TRES_PER_TASK", "tres_per_task"),
    "userid": Field("UID", "user_id"),
    "username": Field("USER", "user_name"),
}

_CONTAINER_ID = Field("CONTAINERID", constant=NULL)
"""Of 24.11; 22.05 has another header."""

LETTERS: Mapping[str, Field] = {
    "A": FIELDS["numtasks"],
    "b": FIELDS["gres"],
    "i": FIELDS["stepid"],
    "j": FIELDS["stepname"],
    "l": FIELDS["timelimit"],
    "M": FIELDS["timeused"],
    "N": FIELDS["nodes"],
    "P": FIELDS["partition"],
    "S": FIELDS["starttime"],
    "u": FIELDS["username"],
    "U": FIELDS["userid"],
}

ALL_FORMAT = "%b|%i|%j|%l|%u|%A|%M|%N|%P|%S|%U|"
"""What ``-o %all`` stands for."""


def find(name: str, release: str) -> Field | None:
    """The field of this ``-O`` name, in any case."""
    name = name.lower()
    return _CONTAINER_ID if name == "containerid" and release == NEW else FIELDS.get(name)
