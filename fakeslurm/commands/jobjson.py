"""Jobs as ``squeue --json`` (and ``scontrol --json show job`` of 24.11) tells of them. Measured on 22.05.8 and 24.11.5."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fakeslurm import associations
from fakeslurm.commands import grestexts, jobtexts, jsonshape
from fakeslurm.commands.jobsizes import allocated_tres, memory_on_node, min_cpus_per_node, requested_tres, tasks
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.jsonshape import NO_LIMIT, shaped
from fakeslurm.jobarray import index_text
from fakeslurm.mailtypes import JSON_NAMES
from fakeslurm.timelimits import NO_VAL
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.commands.base import Invocation
    from fakeslurm.model import Job, Settings

__all__ = ["exit_status", "report"]

_YEAR = 365 * 24 * 3600
_INFINITE = 0xFFFFFFFF * 60 % (1 << 32)


def report(jobs: Iterable[Job], settings: Settings, invocation: Invocation, words: list[str]) -> str:
    """The document. `words` as in `jsonshape.document`."""
    objects = [_object(job, settings, invocation.now) for job in jobs]
    values = {
        "jobs": objects,
        "last_update": int(invocation.now),
        "last_backfill": 0,
        "warnings": [] if objects else [{"description": "Zero jobs to dump", "source": ""}],
    }
    return jsonshape.document("squeue", settings, invocation, words, values)


def _object(job: Job, settings: Settings, now: float) -> dict[str, Any]:
    fields: dict[str, Any] = shaped(jsonshape.shape("job", settings), _Values(job, settings, now).all())
    if fields["job_resources"] == {}:  # 22.05 leaves it out, 24.11 says null
        del fields["job_resources"]
    return fields


def exit_status(wait_status: int) -> dict[str, Any]:
    """24.11's way to tell of a wait status."""
    killed = os.WIFSIGNALED(wait_status)
    number = os.WTERMSIG(wait_status) if killed else None
    name = signal.Signals(number).name.removeprefix("SIG") if number in set(signal.Signals) else ""
    return {
        "status": "SIGNALED" if killed else "ERROR" if wait_status else "SUCCESS",
        "return_code": None if killed else os.waitstatus_to_exitcode(wait_status),
        "signal": {"id": number, "name": name},
    }


def _seconds(when: float | None) -> int:
    return 0 if when is None else int(when)


@frozen
class _Values:
    """The fields of one job that differ from those of a small pending one."""

    job: Job
    settings: Settings
    now: float

    @property
    def _new(self) -> bool:
        return self.settings.profile.release == NEW

    def all(self) -> Mapping[str, Any]:
        return self._who() | self._when() | self._what() | self._how()

    def _who(self) -> dict[str, Any]:
        job, asked, settings = self.job, self.job.description, self.settings
        return {
            "account": associations.account(asked.uid, asked.account, settings) or "",
            "admin_comment": job.admin_comment or "",
            "allocating_node": asked.submit_host,
            "association_id": 2 if asked.uid == 0 and settings.accounting else 0,
            "cluster": settings.cluster_name,
            "command": jobtexts.command_line(asked, settings.profile.release) or "",
            "comment": asked.comment or "",
            "current_working_directory": asked.work_dir,
            "group_id": asked.gid,
            "group_name": asked.group,
            "job_id": job.job_id,
            "mail_user": asked.mail_user or asked.user,
            **({"mail_type": [JSON_NAMES[one] for one in JSON_NAMES if one in asked.mail_type]} if self._new else {}),
            "name": asked.name,
            "partition": job.partition,
            "qos": jobtexts.qos(job, settings) or "",
            "user_id": asked.uid,
            "user_name": asked.user,
            "wckey": asked.wckey or "",
            **self._array(),
            **self._het(),
        }

    def _het(self) -> dict[str, Any]:
        het = self.job.het
        if het is None:
            return {}
        return {"het_job_id": het.job_id, "het_job_id_set": het.id_set, "het_job_offset": self.job.het_offset}

    def _array(self) -> dict[str, Any]:
        array = self.job.array
        if array is None:
            return {}
        return {
            "array_job_id": array.job_id,
            "array_task_id": self.job.array_task_id,
            "array_max_tasks": array.limit or 0,
            "array_task_string": index_text(array.pending, array.limit) if self.job.is_unsplit else "",
        }

    def _when(self) -> dict[str, Any]:
        job = self.job
        return {
            "accrue_time": _seconds(jobtexts.accrue_time(job)),
            "deadline": _seconds(job.description.deadline),
            "eligible_time": _seconds(job.eligible_time),
            "end_time": self._end(),
            "preempt_time": _seconds(job.preempt_time),
            **({"preemptable_time": _seconds(jobtexts.preemptable_since(job, self.settings))} if self._new else {}),
            "last_sched_evaluation": _seconds(jobtexts.last_evaluation(job)),
            "start_time": _seconds(jobtexts.expected_start(job, self.now)),
            "submit_time": _seconds(job.submit_time),
            "time_limit": NO_LIMIT if job.time_limit is None else job.time_limit,
            "time_minimum": job.time_min or 0,
        }

    def _end(self) -> int:
        """Of a job without a limit: a year after its start, before that INFINITE minutes in 32 bits of seconds."""
        end = jobtexts.expected_end(self.job, self.now)
        start = jobtexts.expected_start(self.job, self.now)
        if end is None and start is not None:
            end = start + (_INFINITE if self.job.state is JobState.PENDING else _YEAR)
        return _seconds(end)

    def _what(self) -> dict[str, Any]:
        job, asked = self.job, self.job.description
        number = tasks(job)
        return {
            "contiguous": asked.contiguous,
            "cores_per_socket": asked.cores_per_socket,
            "cpus": job.shown_cpus if self._new or number is not None else None,
            "features": asked.constraint or "",
            "gres_detail": [grestexts.held_detail(job, index, self.settings) for index in self._nodes_with_gres()],
            "licenses": asked.licenses,
            "tres_per_job": grestexts.tres_per_job(asked, self.settings),
            "tres_per_node": grestexts.tres_per_node(asked, self.settings),
            "excluded_nodes": jobtexts.excluded_nodes(asked),
            "job_resources": self._allocation(),
            "max_nodes": jobtexts.most_nodes(job, self.settings),
            "memory_per_cpu": asked.mem_per_cpu,
            "minimum_cpus_per_node": min_cpus_per_node(job),
            "minimum_tmp_disk_per_node": asked.tmp_disk or 0,
            "node_count": job.shown_node_count,
            "nodes": jobtexts.nodelist(job.shown_nodes),
            "required_nodes": jobtexts.required_nodes(asked),
            "sockets_per_node": asked.sockets_per_node,
            "tasks": number,
            "tasks_per_core": asked.ntasks_per_core or NO_LIMIT,
            "tasks_per_node": asked.ntasks_per_node or 0,
            "tasks_per_socket": asked.ntasks_per_socket or NO_LIMIT,
            "threads_per_core": asked.threads_per_core,
            "tres_alloc_str": allocated_tres(job, self.settings),
            "tres_req_str": requested_tres(job, self.settings),
            "billable_tres": float(job.num_cpus) if job.nodes else None,
            **(self._new_sizes() if self._new else self._old_sizes()),
        }

    def _nodes_with_gres(self) -> list[int]:
        """The places of those of its nodes of which a job that has not ended has any."""
        job = self.job
        if job.finished:
            return []
        return [index for index, name in enumerate(job.nodes) if grestexts.held_detail(job, index, self.settings)]

    def _old_sizes(self) -> dict[str, Any]:
        asked = self.job.description
        return {"memory_per_node": asked.mem_per_node or None, "nice": asked.nice or None}

    def _new_sizes(self) -> dict[str, Any]:
        asked = self.job.description
        return {
            "cpus_per_task": asked.cpus_per_task or 1,
            "failed_node": self.job.failed_node,
            "memory_per_node": None if asked.mem_per_cpu else asked.mem_per_node or 0,
            "nice": asked.nice,
            "tres_per_task": f"cpu={asked.cpus_per_task}" if asked.cpus_per_task else "",
        }

    def _how(self) -> dict[str, Any]:
        job, asked = self.job, self.job.description
        batch = asked.script is not None
        description = str(job.reason) if ":" in job.reason else ""
        return {
            "batch_flag": batch,
            "batch_host": job.nodes[0] if job.nodes else "",
            "dependency": job.dependency,
            "derived_exit_code": exit_status(job.derived_wait_status) if self._new else job.derived_wait_status,
            "exit_code": exit_status(job.wait_status) if self._new else job.wait_status,
            "flags": self._flags(),
            "hold": job.priority == 0,
            "job_state": str(job.shown_state),
            "priority": None if job.priority == NO_VAL else job.priority,
            "requeue": jobtexts.requeue(job, self.settings),
            "restart_cnt": job.restart_count,
            "shared": self._shared(),
            "state_description": description,
            "state_reason": str(job.reason).partition(":")[0],
            **(self._files() if batch else {}),
        }

    def _files(self) -> dict[str, str]:
        """22.05 tells what was asked for."""
        if self._new:
            stdin, stdout, stderr = jobtexts.standard_files(self.job, expand=NEW)
        else:
            asked = self.job.description
            given = (asked.input, asked.output, asked.error)
            stdin, stdout, stderr = (jobtexts.standard_file(self.job, name, "", expand="") for name in given)
        return {"standard_input": stdin or "/dev/null", "standard_output": stdout, "standard_error": stderr}

    def _shared(self) -> Any:
        words = {"NO": "none", "YES": "oversubscribe" if self._new else "shared"}
        return words.get(jobtexts.over_subscribe(self.job)) or ([] if self._new else None)

    def _flags(self) -> list[str]:
        """Of those that a submission decides. What the scheduler has tried is not known."""
        asked = self.job.description
        if not self._new:
            return [
                *(["JOB_CPUS_SET"] if asked.cpus_per_task else []),
                *(["JOB_MEM_SET"] if asked.mem_per_node or asked.mem_per_cpu else []),
            ]
        exact = (
            ("TASK", asked.ntasks or asked.cores_per_socket),
            ("CPU", asked.cpus_per_task),
            ("MEMORY", asked.mem_per_node or asked.mem_per_cpu),
        )
        defaults = (
            ("ACCOUNT", asked.account),
            ("PARTITION", asked.partition),
            ("QOS", asked.qos),
            ("WCKEY", asked.wckey),
        )
        return [
            *(f"EXACT_{name}{'' if name == 'MEMORY' else '_COUNT'}_REQUESTED" for name, value in exact if value),
            *(f"USING_DEFAULT_{name}" for name, value in defaults if value is None),
            *(["DEPENDENT"] if self.job.dependency or (asked.hold and not self.job.nodes) else []),
            *([] if asked.partition else ["PARTITION_ASSIGNED"]),
        ]

    def _allocation(self) -> Mapping[str, Any] | None:
        if not self.job.nodes:
            return None if self._new else {}
        return self._new_allocation() if self._new else self._old_allocation()

    def _memory(self, index: int) -> dict[str, int]:
        return {"memory_used": 0, "memory_allocated": memory_on_node(self.job, index, self.settings)}

    def _used(self, index: int) -> int:
        """CPUs of a node that steps of srun have."""
        name = self.job.nodes[index]
        steps = [step for step in self.job.steps.values() if step.running and step.counted and name in step.nodes]
        return sum(step.cpus_per_node[step.nodes.index(name)] for step in steps)

    def _old_allocation(self) -> Mapping[str, Any]:
        job = self.job
        return {
            "nodes": jobtexts.nodelist(job.nodes),
            "allocated_cores": job.num_cpus,
            "allocated_hosts": len(job.nodes),
            "allocated_nodes": [
                {
                    "sockets": {f"{cpu}": {"cores": {"0": "allocated"}} for cpu in job.cpu_ids[index]},
                    "nodename": name,
                    "cpus_used": self._used(index),
                    **self._memory(index),
                }
                for index, name in enumerate(job.nodes)
            ],
        }

    def _new_allocation(self) -> Mapping[str, Any]:
        job = self.job
        cpus = {node.name: node.cpus for node in self.settings.nodes}
        return {
            "select_type": ["CORE"],
            "nodes": {
                "count": len(job.nodes),
                "select_type": ["ONE_ROW"],
                "list": jobtexts.nodelist(job.nodes),
                "whole": job.description.exclusive,
                "allocation": [
                    {
                        "index": index,
                        "name": name,
                        "cpus": {"count": job.cpus_per_node[index], "used": self._used(index)},
                        "memory": {"used": 0, "allocated": memory_on_node(job, index, self.settings)},
                        "sockets": [
                            {"index": cpu, "cores": [{"index": 0, "status": [_status(cpu, job.cpu_ids[index])]}]}
                            for cpu in range(cpus[name])
                        ],
                    }
                    for index, name in enumerate(job.nodes)
                ],
            },
            "cpus": self._cpus_for_tasks(),
            "threads_per_core": {"set": False, "infinite": False, "number": 0},
        }

    def _cpus_for_tasks(self) -> int:
        """What it was asked for comes down to on the nodes that it has, be it given to the job or not (measured)."""
        job, asked = self.job, self.job.description
        tasks_there = 1 if asked.overcommit else asked.ntasks_per_node or 1
        return max(job.requested_cpus, len(job.nodes) * max(tasks_there, min_cpus_per_node(job)))


def _status(cpu: int, mine: tuple[int, ...]) -> str:
    return "ALLOCATED" if cpu in mine else "UNALLOCATED"
