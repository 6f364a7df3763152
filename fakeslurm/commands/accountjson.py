"""Accounting records as ``sacct --json`` tells of them. Measured on 22.05.8 and 24.11.5.

What a step used of CPU time, memory and energy is not known: those numbers are zero, those lists empty.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fakeslurm import associations
from fakeslurm.commands import jobtexts, jsonshape
from fakeslurm.commands.jobjson import exit_status
from fakeslurm.commands.jobsizes import megabytes
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.commands.jsonshape import NO_LIMIT, shaped
from fakeslurm.model import BATCH

if TYPE_CHECKING:
    from fakeslurm.commands.accountrows import AccountTexts, Row
    from fakeslurm.commands.base import Invocation
    from fakeslurm.slurmdbd import JobRecord, StepRecord

__all__ = ["report"]

_FIRST_GRES = 1001
"""The number of the first one in AccountingStorageTRES that Slurm does not have anyway."""
_TRES = {"cpu": 1, "mem": 2, "energy": 3, "node": 4, "billing": 5}
_NOTHING_FOUND = {
    "description": "Nothing found",
    "error_number": 9003,
    "error": "Nothing found with query",
    "source": "slurmdb_jobs_get",
}
_ANY_GOVERNOR = ["Conservative", "Performance", "PowerSave", "OnDemand", "UserSpace"]


def report(rows: Iterable[Row], texts: AccountTexts, invocation: Invocation, words: list[str]) -> str:
    """The document. `rows` as they are printed: a job, then its steps. `words` as in `jsonshape.document`."""
    settings = texts.settings
    new = settings.profile.release == NEW
    objects: list[dict[str, Any]] = []
    for row in rows:
        values = _Values(row, texts, new)
        if row.step is None:
            objects.append(shaped(jsonshape.shape("record", settings), values.of_job()))
        else:
            objects[-1]["steps"] = [*objects[-1]["steps"], shaped(jsonshape.shape("step", settings), values.of_step())]
    if not new:
        objects.sort(key=lambda one: int(one["job_id"]))
    return jsonshape.document(
        "sacct",
        settings,
        invocation,
        words,
        {"jobs": objects, "errors": [] if objects or new else [_NOTHING_FOUND]},
    )


def _seconds(when: float | None) -> int:
    return 0 if when is None else int(when)


@frozen
class _Values:
    """The fields of one row."""

    row: Row
    texts: AccountTexts
    new: bool

    def of_job(self) -> Mapping[str, Any]:
        job = self.row.job
        account = self._text("account")
        user = associations.account(job.uid, None, self.texts.settings)
        limit = job.time_limit
        return {
            "account": account,
            "allocation_nodes": job.booked_nodes,
            "array": self._array(),
            "association": {"account": account, "cluster": self._text("cluster"), "user": user, "id": 2 if user else 0},
            "cluster": self._text("cluster"),
            "constraints": self._text("constraints"),
            "licenses": self._text("licenses"),
            "derived_exit_code": self._status(job.derived_wait_status if self.new else 0),
            "exit_code": self._status(job.wait_status),
            "flags": self._flags(),
            "group": job.group,
            "hold": job.priority == 0,
            "job_id": job.job_id,
            "kill_request_user": self._killer(job.cancelled_by),
            "name": job.name,
            "nodes": self._text("nodelist"),
            "partition": job.partition,
            "priority": job.priority,
            "qos": job.qos or "",
            "required": {"CPUs": job.requested_cpus, **self._memory()},
            "restart_cnt": job.restart_count,
            "state": {"current": job.state, "reason": str(job.reason).partition(":")[0]},
            "submit_line": job.submit_line,
            "time": {
                "elapsed": self._elapsed(job.start, job.end),
                "eligible": _seconds(job.eligible),
                "end": _seconds(job.end),
                "planned": self._planned(),
                "start": _seconds(job.start),
                "submission": _seconds(job.submit),
                "limit": (NO_LIMIT if job.start is not None else None) if limit is None else limit,
            },
            "tres": {"allocated": self._allocated(), "requested": self._tres(self._text("reqtres"))},
            "user": job.user,
            "working_directory": job.work_dir,
            **self._het(),
            **(self._files() if self.new else {}),
        }

    def _het(self) -> dict[str, Any]:
        job = self.row.job
        return {} if job.het_job_id is None else {"het": {"job_id": job.het_job_id, "job_offset": job.het_offset}}

    def _array(self) -> dict[str, Any]:
        """The indices that wait are a bit mask; the limit is the record's from which elements are split off."""
        job = self.row.job
        tasks = job.array_tasks
        limited = job.job_id == job.array_job_id
        mask = "" if self.new else None
        return {
            "job_id": job.array_job_id or 0,
            "limits": {"max": {"running": {"tasks": (job.array_limit or 0) if limited else 0}}},
            "task": mask if tasks is None else f"0x{sum(1 << task for task in tasks):X}",
            "task_id": job.array_task_id,
        }

    def of_step(self) -> Mapping[str, Any]:
        job, step = self.row.job, self.row.step
        assert step is not None
        batch = step.step_id == BATCH
        return {
            "nodes": {"list": list(step.nodes), "count": len(step.nodes), "range": jobtexts.nodelist(step.nodes)},
            "tres": {
                "allocated": self._tres(
                    f"cpu={step.num_cpus},mem={self._held()},node={len(step.nodes)}{self._gres_held()}"
                )
            },
            "time": {
                "elapsed": self._elapsed(step.start, step.end),
                "end": _seconds(step.end),
                "start": _seconds(step.start),
            },
            "exit_code": self._status(step.wait_status),
            "tasks": {"count": step.ntasks},
            "CPU": {} if batch else self._frequency(),
            "kill_request_user": self._killer(step.cancelled_by),
            "state": step.state,
            "step": {"id": f"{job.job_id}.{step.step_id}", "name": step.name}
            if self.new
            else self._old_step(job, step),
            "task": {"distribution": "Unknown" if batch else jobtexts.distribution_name(step.distribution)},
        }

    def _old_step(self, job: JobRecord, step: StepRecord) -> dict[str, Any]:
        return {"job_id": job.job_id, "id": step.step_id, "name": step.name}

    def _frequency(self) -> dict[str, Any]:
        """Of a step that did not ask."""
        nothing = {"min": None, "max": None}
        return {"requested_frequency": nothing, "governor": "Unknown" if self.new else _ANY_GOVERNOR}

    def _text(self, field: str) -> str:
        """As sacct's table has it."""
        return self.texts.getter(field)(self.row)

    def _status(self, wait_status: int) -> dict[str, Any]:
        """22.05 takes every exit code for 0."""
        if self.new:
            return exit_status(wait_status)
        if not os.WIFSIGNALED(wait_status):
            return {"status": "SUCCESS", "return_code": 0}
        number = os.WTERMSIG(wait_status)
        words = (signal.strsignal(number) or f"Unknown signal {number}").partition(":")[0]  # macOS: "Killed: 9"
        return {"status": "SIGNALED", "return_code": None, "signal": {"signal_id": number, "name": words}}

    def _flags(self) -> list[str]:
        """22.05 says of everything that ran that its flags were cleared. Which scheduler started it is not known."""
        ran = self.row.job.start is not None and bool(self.row.job.nodes)
        if self.new:
            return ["START_RECEIVED"] if ran else []
        return ["CLEAR_SCHEDULING"] if ran else []

    def _killer(self, uid: int | None) -> str | None:
        if uid is None:
            return "" if self.new else None
        return self.row.job.user if uid == self.row.job.uid else f"{uid}"

    def _memory(self) -> dict[str, Any]:
        asked = self.row.job.source.description
        of_cpu, of_node = asked.mem_per_cpu, asked.mem_per_node
        if self.new:
            return {"memory_per_cpu": of_cpu or None, "memory_per_node": None if of_cpu else of_node or 0}
        return {"memory": of_cpu or of_node or 0}

    def _elapsed(self, start: float | None, end: float | None) -> int:
        if not start:
            return 0
        return int(self.texts.now if end is None else end) - int(start)

    def _planned(self) -> int:
        job = self.row.job
        return int(self.texts.now if job.start is None else job.start) - int(job.eligible or job.submit)

    def _allocated(self) -> list[dict[str, Any]]:
        job = self.row.job
        if not job.tres_nodes:
            return []
        cpus = job.allocated_cpus
        found = self._tres(
            f"cpu={cpus},{self._memory_held()}node={len(job.tres_nodes)},billing={cpus}{self._gres_held()}"
        )
        if not job.knows_energy:
            found.append({"type": "energy", "name": self._no_name, "id": _TRES["energy"], "count": self._unknown})
        return sorted(found, key=lambda one: int(one["id"]))

    def _memory_held(self) -> str:
        memory = self._held()
        return "" if memory == "0" else f"mem={memory},"

    def _held(self) -> str:
        return self._text("alloctres").partition("mem=")[2].partition(",")[0] or "0"

    def _gres_held(self) -> str:
        return "".join(f",{item}" for item in self._text("alloctres").split(",") if item.startswith("gres/"))

    def _tres(self, text: str) -> list[dict[str, Any]]:
        """``cpu=1,mem=2000M`` as a list, in the order of Slurm's numbers for them."""
        found = []
        for item in filter(None, text.split(",")):
            kind, _, amount = item.partition("=")
            count = int(amount) if amount.isdecimal() else megabytes(amount)
            kind, slash, name = kind.partition("/")
            number = _FIRST_GRES + self.texts.settings.accounted_gres.index(name) if slash else _TRES[kind]
            found.append({"type": kind, "name": name or self._no_name, "id": number, "count": count})
        return sorted(found, key=lambda one: int(one["id"]))

    @property
    def _no_name(self) -> str | None:
        return "" if self.new else None

    @property
    def _unknown(self) -> int | None:
        return -2 if self.new else None

    def _files(self) -> dict[str, str]:
        job = self.row.job.source
        stdin, stdout, stderr = jobtexts.given_files(job)
        expanded = dict(zip(("stdin", "stdout"), jobtexts.standard_files(job, expand=NEW), strict=False))
        names = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        return names | {f"{name}_expanded": path for name, path in expanded.items()}
