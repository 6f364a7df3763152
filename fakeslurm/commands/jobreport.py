"""``scontrol show job`` and ``scontrol show step``, line by line as Slurm 22.05.8 and 24.11.5 print them (measured)."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from attrs import frozen

from fakeslurm import associations
from fakeslurm.commands import grestexts, jobtexts
from fakeslurm.commands.jobsizes import (
    allocated_tres,
    held_gres_tres,
    memory_on_node,
    memory_text,
    min_cpus_per_node,
    requested_tres,
    tasks,
)
from fakeslurm.commands.jobtexts import NEW, NULL
from fakeslurm.gres import ranges
from fakeslurm.jobarray import TEXT_LENGTH
from fakeslurm.model import BATCH
from slurmkit.slurm import hostlist
from slurmkit.slurm.durations import format_elapsed, format_time_limit
from slurmkit.slurm.states import ExitCode, JobState

if TYPE_CHECKING:
    from fakeslurm.commands.stamps import Stamps
    from fakeslurm.commands.stepfields import ShownStep
    from fakeslurm.model import Job, Settings

__all__ = ["Reporter"]


def _star(number: int | None) -> str:
    return "*" if number is None else f"{number}"


@frozen
class Reporter:
    """Writes reports, for one call of scontrol."""

    settings: Settings
    now: float
    stamps: Stamps
    detail: bool = False
    """``-d``."""
    oneliner: bool = False
    """``-o``."""
    index_length: int = TEXT_LENGTH
    """How much is shown of the indices of an array."""

    @property
    def _new(self) -> bool:
        return self.settings.profile.release == NEW

    def _stamp(self, when: float | None, nothing: str = "Unknown") -> str:
        return nothing if when is None else self.stamps(when)

    def job(self, job: Job) -> str:
        """The report of one job, with its line breaks."""
        asked = job.description
        lines = [
            *self._identity(job),
            *self._times(job),
            *self._resources(job),
            *self._files(job),
            *([] if self._new else ["Power="]),
            *self._flags(job),
            *self._tres_per_something(job),
            *(
                [f"MailUser={asked.mail_user or asked.user} MailType={','.join(asked.mail_type)}"]
                if asked.mail_type
                else []
            ),
            "",
        ]
        return " ".join(lines) + "\n" if self.oneliner else "\n   ".join(lines) + "\n\n"

    def _flags(self, job: Job) -> list[str]:
        """One line; nothing is between them before 24.11."""
        kill = job.description.kill_on_invalid_dep
        flags = [f"KillOInInvalidDependent={'Yes' if said else 'No'}" for said in sorted(kill, reverse=True)]
        if job.description.spread_job:
            flags.append("SpreadJob=Yes")
        return [("," if self._new else "").join(flags)] if flags else []

    def _identity(self, job: Job) -> list[str]:
        asked = job.description
        element = ""
        if job.array is not None:
            tasks = jobtexts.task_text(job, self.index_length)
            tasks = f"{jobtexts.NO_VAL}" if tasks is None else tasks
            limit = f" ArrayTaskThrottle={job.array.limit}" if job.array.limit else ""
            element = f" ArrayJobId={job.array.job_id} ArrayTaskId={tasks}{limit}"
        account = associations.account(asked.uid, asked.account, self.settings)
        qos = jobtexts.qos(job, self.settings)
        if job.het is not None:
            element = f" HetJobId={job.het.job_id} HetJobOffset={job.het_offset}"
        lines = [
            f"JobId={job.job_id}{element} JobName={asked.name}",
            *([] if job.het is None else [f"HetJobIdSet={job.het.id_set}"]),
            f"UserId={asked.user}({asked.uid}) GroupId={asked.group}({asked.gid}) MCS_label=N/A",
            f"Priority={job.priority} Nice={asked.nice} Account={NULL if account is None else account} "
            f"QOS={NULL if qos is None else qos}",
            f"JobState={job.shown_state} Reason={'_'.join(str(job.reason).split())} "
            f"{f'FailedNode={job.failed_node} ' if job.failed_node and self._new else ''}"
            f"Dependency={job.dependency or NULL}",
            f"Requeue={jobtexts.requeue(job, self.settings):d} Restarts={job.restart_count} "
            f"BatchFlag={asked.script is not None:d} Reboot=0 ExitCode={ExitCode.from_wait_status(job.wait_status)}",
        ]
        if self.detail:
            lines.append(f"DerivedExitCode={ExitCode.from_wait_status(job.derived_wait_status)}")
        return lines

    def _times(self, job: Job) -> list[str]:
        used = format_elapsed(max(jobtexts.seconds_used(job, self.now), 0))
        start = self._stamp(jobtexts.expected_start(job, self.now))
        end = self._stamp(jobtexts.expected_end(job, self.now))
        return [
            f"RunTime={used} TimeLimit={format_time_limit(job.time_limit)} "
            f"TimeMin={'N/A' if job.time_min is None else format_time_limit(job.time_min)}",
            f"SubmitTime={self.stamps(job.submit_time)} EligibleTime={self._stamp(job.eligible_time)}",
            f"AccrueTime={self._stamp(jobtexts.accrue_time(job))}",
            f"StartTime={start} EndTime={end} Deadline={self._stamp(job.description.deadline, 'N/A')}",
            *self._preemption(job),
            f"SuspendTime={'None' if job.suspend_time is None else self.stamps(job.suspend_time)} "
            f"SecsPreSuspend={int(job.run_before)} LastSchedEval={self.stamps(jobtexts.last_evaluation(job))} "
            f"Scheduler={'Backfill' if job.het is not None and job.nodes else 'Main'}",
        ]

    def _preemption(self, job: Job) -> list[str]:
        """Of a job that may be preempted, since it has started."""
        since = jobtexts.preemptable_since(job, self.settings)
        if since is None:
            return []
        return [f"PreemptEligibleTime={self.stamps(since)} PreemptTime={self._stamp(job.preempt_time, 'None')}"]

    def _resources(self, job: Job) -> list[str]:
        asked = job.description
        number = tasks(job)
        per_socket, per_core = _star(asked.ntasks_per_socket), _star(asked.ntasks_per_core)
        return [
            # The session that submitted is not known: 0, as of a job without one.
            f"Partition={job.partition} AllocNode:Sid={asked.submit_host}:0",
            f"ReqNodeList={jobtexts.required_nodes(asked) if asked.nodelist else NULL} "
            f"ExcNodeList={jobtexts.excluded_nodes(asked) if asked.exclude else NULL}",
            f"NodeList={jobtexts.nodelist(job.shown_nodes)}",
            *([f"BatchHost={job.nodes[0]}"] if job.nodes else []),
            f"NumNodes={self._node_range(job)} NumCPUs={job.shown_cpus} NumTasks={'N/A' if number is None else number} "
            f"CPUs/Task={asked.cpus_per_task or 1} "
            f"ReqB:S:C:T=0:0:{_star(asked.cores_per_socket)}:{_star(asked.threads_per_core)}",
            *self._tres(job),
            f"Socks/Node={_star(asked.sockets_per_node)} "
            f"NtasksPerN:B:S:C={asked.ntasks_per_node or 0}:0:{per_socket}:{per_core} CoreSpec=*",
            *(self._allocation(job) if self.detail and job.nodes else []),
            f"MinCPUsNode={min_cpus_per_node(job)} {self._memory(job)} "
            f"MinTmpDiskNode={memory_text(asked.tmp_disk or 0)}",
            f"Features={NULL if asked.constraint is None else asked.constraint} DelayBoot=00:00:00",
            f"OverSubscribe={jobtexts.over_subscribe(job)} Contiguous={asked.contiguous:d} "
            f"Licenses={jobtexts.licenses(asked)} Network=(null)",
        ]

    def _allocation(self, job: Job) -> list[str]:
        """What the job has of each node; a line of its own for all that follow one another and have the same CPUs."""
        held = [
            (
                name,
                f"CPU_IDs={ranges(cpu_ids)} Mem={memory_on_node(job, index, self.settings)} "
                f"GRES={grestexts.held_detail(job, index, self.settings)}",
            )
            for index, (name, cpu_ids) in enumerate(zip(job.nodes, job.cpu_ids, strict=True))
        ]
        lines = [f"JOB_GRES={grestexts.held_total(job, self.settings) or NULL}"]
        for what, group in groupby(held, key=lambda pair: pair[1]):
            lines.append(f"  Nodes={hostlist.compress(name for name, _ in group)} {what}")
        return lines

    def _node_range(self, job: Job) -> str:
        most = jobtexts.most_nodes(job, self.settings)
        # A job that was requeued has its range no more in 22.05 (measured).
        again = job.requeued or (job.restart_count > 0 and not self._new)
        if job.state is not JobState.PENDING or not most or again:
            return f"{job.shown_node_count}"
        return f"{min(job.num_nodes, most)}-{most}"

    def _tres(self, job: Job) -> list[str]:
        held = allocated_tres(job, self.settings)
        if not self._new:
            return [f"TRES={held or requested_tres(job, self.settings) or NULL}"]
        return [f"ReqTRES={requested_tres(job, self.settings) or NULL}", f"AllocTRES={held or NULL}"]

    def _tres_per_something(self, job: Job) -> list[str]:
        asked = job.description
        texts = {
            "TresPerJob": grestexts.tres_per_job(asked, self.settings),
            "TresPerNode": grestexts.tres_per_node(asked, self.settings),
            "TresPerTask": f"cpu={asked.cpus_per_task}" if self._new and asked.cpus_per_task else "",
        }
        return [f"{name}={text}" for name, text in texts.items() if text]

    def _memory(self, job: Job) -> str:
        asked = job.description
        if asked.mem_per_cpu:
            return f"MinMemoryCPU={memory_text(asked.mem_per_cpu)}"
        return f"MinMemoryNode={memory_text(asked.mem_per_node or 0)}"

    def _files(self, job: Job) -> list[str]:
        asked = job.description
        lines = [
            f"Command={jobtexts.command_line(asked, self.settings.profile.release) or NULL}",
            f"WorkDir={asked.work_dir}",
        ]
        if job.admin_comment is not None:
            lines.append(f"AdminComment={job.admin_comment} ")
        if asked.comment is not None:
            lines.append(f"Comment={asked.comment} ")
        if asked.script is not None:
            stdin, stdout, stderr = jobtexts.standard_files(job, expand=self.settings.profile.release)
            lines += [f"StdErr={stderr}", f"StdIn={stdin}", f"StdOut={stdout}"]
        return lines

    def step(self, shown: ShownStep) -> str:
        """The report of one running step. The process of srun is not known; a batch step has none."""
        job, step = shown.job, shown.step
        batch = step.step_id == BATCH
        limit = step.request.time_limit if step.request else None
        cpus = step.num_cpus
        gres = sorted(held_gres_tres(zip(step.nodes, step.gres, strict=False), self.settings))
        tres = NULL if batch else ",".join([f"cpu={cpus}", *gres, "mem=0", f"node={len(step.nodes)}"])
        distribution = "" if batch else f" Dist={jobtexts.distribution_name(step.distribution)}"
        lines = [
            f"StepId={jobtexts.step_label(job, step)} UserId={job.description.uid} "
            f"StartTime={self.stamps(step.start_time)} TimeLimit={format_time_limit(limit or None)}",
            f"State={step.state} Partition={job.partition} NodeList={jobtexts.nodelist(step.nodes)}",
            f"Nodes={len(step.nodes)} CPUs={0 if batch else cpus} Tasks={step.ntasks} Name={step.name} Network=(null)",
            f"TRES={tres}",
            "ResvPorts=(null)",
            f"CPUFreqReq=Default{distribution}",
            "SrunHost:Pid=(null):0",
        ]
        if tres_per_task := shown.tres_per_task(self.settings):
            lines.append(f"TresPerTask={tres_per_task}")
        return " ".join(lines) + "\n" if self.oneliner else "\n   ".join(lines) + "\n\n"
