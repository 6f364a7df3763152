"""``scontrol update job``: what it changes of a job, in the order in which slurmctld looks at it. Measured: docs/measured/update.md.

What comes before a refusal stays changed, as in ``_update_job`` of src/slurmctld/job_mgr.c.
"""

from __future__ import annotations

import math
from typing import Any

from attrs import evolve, frozen

from fakeslurm import associations, messages
from fakeslurm.messages import Reason, SlurmError, unsupported
from fakeslurm.model import NO_LIMIT, Job, JobDescription
from fakeslurm.slurmctld import admission, submission
from fakeslurm.slurmctld.demand import gres_per_node, node_mask
from fakeslurm.slurmctld.features import check_known, check_supported
from fakeslurm.slurmctld.licenses import requested_licenses
from fakeslurm.slurmctld.running import Running
from fakeslurm.slurmctld.state import State
from fakeslurm.slurmctld.waiting import Waiting
from slurmkit.slurm.states import JobState

__all__ = ["UNLIMITED", "JobUpdate", "JobUpdates"]

UNLIMITED = 2**32 - 1
"""A time limit that is none, as Slurm counts it (INFINITE)."""
_FILES = {"input": "/dev/null"}
"""What a job has that asked for nothing, as far as an update asks whether it is the same."""
_LEAST_PRIORITY = 2
"""What ``Nice`` leaves of a priority at least."""


@frozen(kw_only=True)
class JobUpdate:
    """What is to be changed; None is not given. Texts are as given, an empty one clears what it stands for."""

    time_limit: int | None = None
    """Minutes, or `UNLIMITED`."""
    end_time: float | None = None
    begin: float | None = None
    priority: int | None = None
    nice: int | None = None
    name: str | None = None
    comment: str | None = None
    admin_comment: str | None = None
    requeue: bool | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    wckey: str | None = None
    mail_type: tuple[str, ...] | None = None
    mail_user: str | None = None
    dependency: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    constraint: str | None = None
    licenses: str | None = None
    gres: str | None = None
    mem_per_node: int | None = None
    mem_per_cpu: int | None = None
    tmp_disk: int | None = None
    output: str | None = None
    error: str | None = None
    input: str | None = None
    work_dir: str | None = None
    throttle: int | None = None
    """How many elements of the array may run at once, 0 for all."""


def _memory(description: JobDescription) -> tuple[int | None, int | None]:
    return description.mem_per_node, description.mem_per_cpu


def _booked(job: Job) -> tuple[object, ...]:
    """What accounting is told of when it is changed (measured)."""
    asked = job.description
    return (
        *(asked.name, asked.time_limit, asked.wckey, asked.begin, asked.mem_per_node, asked.mem_per_cpu),
        *(asked.licenses, asked.licenses_cleared, asked.work_dir, asked.partition or job.partition),
        *(asked.nice, job.counted_cpus),
    )


def _files(asked: JobDescription) -> tuple[str | None, str | None, str | None]:
    return asked.input, asked.output, asked.error


def _is_booked(update: JobUpdate, before: JobDescription, *, held: bool) -> bool:
    """Whether accounting is told of an update though nothing is changed by it; of priorities when the job was not held (measured)."""
    given = (update.begin, update.licenses, update.work_dir, None if held else update.priority)
    return any(one is not None for one in given) or update.wckey not in (None, before.wckey)


class JobUpdates:
    """Carries them out. An array's elements are updated one by one, its record is one job."""

    def __init__(self, state: State, waiting: Waiting, running: Running) -> None:
        self._state = state
        self._waiting = waiting
        self._running = running

    def update(self, job: Job, update: JobUpdate, uid: int) -> None:
        """Raises SlurmError with Slurm's words."""
        throttled = job.array if update.throttle is not None else None
        if throttled is None or job.job_id != throttled.job_id:
            self._update(job, update, uid)
            return
        if not job.finished and throttled.limit != (update.throttle or None):
            self._state.accounting.told(job, job.waited_for)
        throttled.limit = update.throttle or None
        try:
            if not job.finished:
                self._update(job, update, uid)
        finally:  # the record is no longer held because no node would do
            self._waiting.look_at_limit(throttled)

    def _update(self, job: Job, update: JobUpdate, uid: int) -> None:
        if job.finished:
            raise SlurmError(messages.JOB_FINISHED)
        denied = update.admin_comment is not None and uid != 0
        if uid not in (0, job.description.uid):
            first = denied and self._state.settings.profile.release < "24.11"
            raise SlurmError(messages.ACCESS_DENIED if first else messages.NOT_YOURS)
        if denied:
            raise SlurmError(messages.ACCESS_DENIED)
        if job.requeued:
            raise unsupported("updates of a job that is being requeued")
        before, memory = job.description, self._requested_memory(job)
        booked, waited_for, held, is_booked = _booked(job), job.waited_for, job.priority == 0, False
        try:
            counted = self._apply(job, update, operator=uid == 0)
            is_booked = _is_booked(update, before, held=held)
            if counted:
                self._waiting.count_tres(job)
            if update.mem_per_node is not None or update.mem_per_cpu is not None:
                job.counted = None
                job.memory_cpus = job.counted_cpus
                job.looked_at &= self._requested_memory(job) == memory
        except SlurmError:
            if _memory(job.description) != _memory(before):
                job.counted = job.counted or before
            raise
        finally:
            if is_booked or _booked(job) != booked:
                self._state.accounting.told(job, waited_for)
            elif job.accounted_files is None and _files(job.description) != _files(before):
                job.accounted_files = _files(before)
            if job.state is JobState.PENDING:
                self._waiting.changed(job)
            self._state.changed(job)

    def _apply(self, job: Job, update: JobUpdate, *, operator: bool) -> bool:
        """Whether it has counted its tasks anew."""
        partition = self._new_partition(job, update)
        qos = self._new_qos(job, update)
        excludes_first = self._state.settings.profile.excludes_first
        if excludes_first:
            self._exclude(job, update)
        self._check_nodelist(job, update)
        if excludes_first:
            self._name_nodes(job, update)
        self._check_gres(job, update)
        self._check_licenses(job, update)
        if not excludes_first:
            self._exclude(job, update)
        counted = self._waiting.recount(job)
        if update.admin_comment is not None:
            job.admin_comment = update.admin_comment
        if update.comment is not None:
            self._describe(job, comment=update.comment)
        if qos is not None:
            job.qos = qos
            self._describe(job, qos=qos)
        if partition is not None:
            self._move(job, partition)
        if not excludes_first:
            self._name_nodes(job, update)
        self._limit(job, update, operator=operator)
        self._end(job, update, operator=operator)
        if update.requeue is not None:
            self._describe(job, requeue=update.requeue)
        self._prioritize(job, update, operator=operator)
        self._be_nice(job, update, operator=operator)
        self._remember(job, update)
        self._require(job, update)
        if update.gres is not None:
            self._describe(job, gres=update.gres)
        if update.name is not None:
            self._rename(job, update.name)
        self._write_elsewhere(job, update)
        if update.wckey is not None and update.wckey != job.description.wckey:
            self._must_wait(job)
            self._describe(job, wckey=update.wckey or None)
        if update.dependency is not None:
            self._must_wait(job)
            self._waiting.depend(job, update.dependency)
        self._begin(job, update)
        if update.licenses is not None:
            cleared = not update.licenses and self._state.settings.profile.release < "24.11"
            self._describe(job, licenses=update.licenses, licenses_cleared=cleared)
        self._waiting.check_size(job)
        if update.mail_type is not None:
            self._describe(job, mail_type=update.mail_type)
        if update.mail_user is not None:
            self._describe(job, mail_user=update.mail_user)
        return counted

    # What is looked at first, before anything is changed

    def _new_partition(self, job: Job, update: JobUpdate) -> str | None:
        """The names of the partitions that the job is to move to; None when it stays."""
        text, state = update.partition, self._state
        if text is None or text == job.partition:
            return None
        self._must_wait(job)
        wanted = evolve(job.description, partition=text)
        partitions = admission.partitions_of(wanted, state.settings)
        if len({one.name for one in partitions}) < len(partitions):
            raise unsupported(f"update of a job with Partition={text}")
        if len(partitions) > 1 and any(one.state in ("INACTIVE", "DRAIN") for one in partitions):
            raise unsupported(f"update of a job with Partition={text}, of which one takes no jobs")
        admission.check_open(partitions)
        return text

    def _new_qos(self, job: Job, update: JobUpdate) -> str | None:
        """The QOS that the job gets; None when it keeps what it has. One that is not known, as an account, changes nothing."""
        settings = self._state.settings
        for name, value in (("Account", update.account), ("QOS", update.qos)):
            if value is not None and not settings.accounting:
                raise unsupported(f"update of a job's {name} without accounting")
        if update.account is not None:
            self._must_wait(job)
        if update.qos is None or job.qos:
            return None
        old = settings.profile.release < "24.11"
        found = associations.qos(update.qos or (None if old else "none"), settings)
        if found:
            self._must_wait(job)
        return found or None

    def _check_nodelist(self, job: Job, update: JobUpdate) -> None:
        if update.nodelist is None:
            return
        if not update.nodelist and job.state is not JobState.PENDING:
            raise SlurmError(messages.INVALID_NODE_NAME)
        mask, _ = self._mask(update.nodelist)
        if job.state is not JobState.PENDING:
            raise unsupported("update of the nodes of a job that runs")
        if mask.bit_count() > job.requested_nodes:
            raise unsupported("update of a job with more nodes than it needs")
        if update.exclude is None:
            self._check_overlap(update.nodelist, job.description.exclude)

    def _check_overlap(self, required: str, excluded: str) -> None:
        try:
            overlap = self._mask(required)[0] & self._mask(excluded)[0]
        except SlurmError:  # which its own check finds
            return
        if overlap:
            raise unsupported("update of a job that requires nodes that it excludes")

    def _name_nodes(self, job: Job, update: JobUpdate) -> None:
        if update.nodelist is not None:
            written = job.description.nodes_as_written | {"nodelist"}
            self._describe(job, nodelist=update.nodelist, nodes_as_written=written)

    def _check_gres(self, job: Job, update: JobUpdate) -> None:
        if update.gres is None:
            return
        self._must_wait(job)
        if not update.gres:
            raise unsupported("update of a job with Gres=")
        gres_per_node(evolve(job.description, gres=update.gres), self._state.settings)

    def _check_licenses(self, job: Job, update: JobUpdate) -> None:
        text, settings = update.licenses, self._state.settings
        if text is None:
            return
        requested_licenses(text, settings.licenses, settings.profile.release)
        if job.state is not JobState.PENDING:
            raise unsupported("update of the licenses of a job that runs")
        if not text and job.description.licenses and settings.profile.release < "24.11":
            raise unsupported("update of a job with Licenses=")

    def _mask(self, text: str) -> tuple[int, list[str]]:
        return node_mask(text, self._state.resources.nodes, self._state.settings)

    # What is changed

    def _rename(self, job: Job, name: str) -> None:
        names = {job.description.name, name}
        if name != job.description.name and any(
            one.description.name in names
            and one.description.uid == job.description.uid
            and "singleton" in one.dependency
            for one in self._state.jobs.values()
        ):
            raise unsupported("another name for a job while one of either name waits for --dependency=singleton")
        first = job.description.first_name
        if first is None and self._state.settings.profile.keeps_first_name:
            first = job.description.name
        self._describe(job, name=name, first_name=first)

    def _exclude(self, job: Job, update: JobUpdate) -> None:
        text = update.exclude
        if text is None or (text and text == job.description.exclude):
            return
        self._must_wait(job)
        self._mask(text)
        self._check_overlap(job.description.nodelist if update.nodelist is None else update.nodelist, text)
        self._describe(job, exclude=text, nodes_as_written=job.description.nodes_as_written | {"exclude"})

    def _move(self, job: Job, partition: str) -> None:
        """To other partitions. The default time of the partition it was submitted to has become its own (measured)."""
        first = self._state.partitions[job.partition.split(",")[0]]
        limit = job.description.time_limit
        if limit is None:
            limit = first.default_time
        if limit is None:
            job.time_limit = self._state.partitions[partition.split(",")[0]].max_time
        self._describe(job, partition=partition, time_limit=limit)
        job.preempts_in, job.elsewhere_at = "", 0.0  # whoever makes room for it does so where it was

    def _limit(self, job: Job, update: JobUpdate, *, operator: bool) -> None:
        limit = update.time_limit
        old = UNLIMITED if job.time_limit is None else job.time_limit
        if limit is None or limit == old:
            return
        if limit == 0 and job.state is JobState.PENDING:
            raise unsupported("a time limit of 0 minutes for a job that waits")
        if not operator and limit > old:
            longest = self._state.partitions[job.partition.split(",")[0]].max_time
            if job.state is not JobState.PENDING or (longest is not None and limit > longest):
                raise SlurmError(messages.ACCESS_DENIED)
        self._describe(job, time_limit=NO_LIMIT if limit == UNLIMITED else limit or job.description.time_limit)
        if job.state is JobState.PENDING:
            job.time_limit = None if limit == UNLIMITED else limit
        else:
            self._stretch(job, limit)

    def _stretch(self, job: Job, limit: int) -> None:
        """The latest end of a running job moves with its limit, but not to before now; without a limit it is in a year."""
        now = self._state.now
        assert job.start_time is not None
        if limit == UNLIMITED:
            job.time_limit, job.end_shift = None, now - job.start_time - job.suspended
        else:
            job.time_limit = limit
            job.end_shift += max(now - (job.latest_end or now), 0.0)
        if job.state is JobState.RUNNING:
            self._running.watch(job)

    def _end(self, job: Job, update: JobUpdate, *, operator: bool) -> None:
        end = update.end_time
        if end is None:
            return
        if job.state is not JobState.RUNNING:
            raise SlurmError(messages.JOB_NOT_RUNNING)
        if end < math.floor(self._state.now):
            raise SlurmError(messages.INVALID_TIME)
        before = job.latest_end
        if before is None or job.time_limit is None:
            raise unsupported("update of the end of a job without a time limit")
        difference = end - math.floor(before)
        if not operator and difference >= 0:
            raise SlurmError(messages.ACCESS_DENIED)
        limit = job.time_limit + math.trunc((difference + 30) / 60)
        job.end_shift += end - before - 60 * (limit - job.time_limit)
        job.time_limit = limit
        self._describe(job, time_limit=limit or job.description.time_limit)
        self._running.watch(job)

    def _prioritize(self, job: Job, update: JobUpdate, *, operator: bool) -> None:
        priority = update.priority
        if priority is None:
            if job.state is JobState.PENDING and job.reason == Reason.BAD_CONSTRAINTS:  # it may be another job now
                job.priority = self._state.priority_of(job.description)
            return
        if priority == 0:
            if job.priority or operator:
                self._waiting.put_on_hold(job, Reason.HELD_BY_ADMIN if operator else Reason.HELD_BY_USER)
        elif job.priority == 0:
            raise SlurmError(messages.JOB_HELD)
        elif priority == job.priority:
            return
        elif not operator:
            raise unsupported("update of a job's priority as anybody but root")
        else:
            job.priority = priority
            job.direct_priority = True
            self._describe(job, priority=priority, nice=0)

    def _be_nice(self, job: Job, update: JobUpdate, *, operator: bool) -> None:
        """One that is held is so no more."""
        nice = update.nice
        if nice is None or nice == job.description.nice or (job.direct_priority and job.priority):
            return
        if not operator and nice < 0:
            raise SlurmError(messages.ACCESS_DENIED)
        job.priority = max(job.priority + job.description.nice - nice, _LEAST_PRIORITY)
        self._describe(job, nice=nice, priority=job.priority if job.direct_priority else None)

    def _remember(self, job: Job, update: JobUpdate) -> None:
        if update.mem_per_node is not None or update.mem_per_cpu is not None:
            self._must_wait(job)
            if update.mem_per_cpu == 0 and (job.description.mem_per_node or job.description.mem_per_cpu):
                raise unsupported("update of a job with MinMemoryCPU=0")  # its TRES stay
            self._describe(job, mem_per_node=update.mem_per_node, mem_per_cpu=update.mem_per_cpu or None)
        if update.tmp_disk is not None:
            self._must_wait(job)
            self._describe(job, tmp_disk=update.tmp_disk)

    def _requested_memory(self, job: Job) -> int:
        """MB on all nodes together, as its TRES have it."""
        asked = job.counted or job.description
        if asked.mem_per_cpu:
            return asked.mem_per_cpu * job.memory_cpus
        mask = self._state.resources.partition_masks[job.partition.split(",")[0]]
        nodes = [one.node.real_memory for one in self._state.resources.by_index if mask >> one.index & 1]
        return (asked.mem_per_node or min(nodes, default=0)) * job.requested_nodes

    def _require(self, job: Job, update: JobUpdate) -> None:
        text = update.constraint
        if text is None or (text and text == job.description.constraint):
            return
        self._must_wait(job)
        check_supported(text)
        check_known(text, self._state.settings.nodes)
        empty_before = job.description.constraint == ""
        self._describe(job, constraint="" if not text and empty_before else text or None)

    def _write_elsewhere(self, job: Job, update: JobUpdate) -> None:
        files = {"work_dir": update.work_dir, "output": update.output, "error": update.error, "input": update.input}
        for field, text in files.items():
            if text is None or text == (getattr(job.description, field) or _FILES.get(field)):
                continue
            self._must_wait(job)
            if not text.startswith("/") and (field == "work_dir" or not text):
                raise unsupported(f"update of a job with {field}={text}")
            self._describe(job, **{field: text})

    def _begin(self, job: Job, update: JobUpdate) -> None:
        if update.begin is None:
            return
        self._must_wait(job)
        begin = max(update.begin, self._state.now)
        self._describe(job, begin=begin)
        submission.postpone(job, begin)

    def _must_wait(self, job: Job) -> None:
        if job.state is not JobState.PENDING:
            raise SlurmError(messages.JOB_NOT_PENDING)

    def _describe(self, job: Job, **changes: Any) -> None:
        job.description = evolve(job.description, **changes)
