"""The jobs of ``data/queries-22.05.8.json`` as the controller of the fake would keep them, and what Slurm printed about them.

The recording comes from a throwaway Slurm 22.05.8; the states below were written by hand from it, so that the tests of
the query commands depend on nothing but the commands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fakeslurm.commands.base import Invocation, Reply, command
from fakeslurm.jobarray import job_array
from fakeslurm.messages import Reason
from fakeslurm.model import BATCH, Job, JobDescription, NodeRecord, Partition, Settings, Step, StepRequest
from fakeslurm.slurmdbd import Accounting
from slurmkit.slurm.states import JobState

_RECORDING = json.loads((Path(__file__).parent / "data" / "queries-22.05.8.json").read_text())

T0 = 1795468467
"""2026-11-23T21:14:27 UTC, when the first job was submitted."""

SETTINGS = Settings(cluster_name="throwaway", control_host="vm", partitions=(Partition("debug", default=True),))


def recorded(*argv: str) -> tuple[int, str, str, int]:
    """When the real command ran, what it printed on stdout and on stderr, and its return code."""
    for entry in _RECORDING["commands"]:
        if entry["argv"] == list(argv):
            return entry["now"], entry["stdout"], entry["stderr"], entry["rc"]
    raise LookupError(f"nothing recorded for {argv}")


def recorded_argv(*beginning: str) -> list[str]:
    """The recorded command that begins so."""
    return next(entry["argv"] for entry in _RECORDING["commands"] if entry["argv"][: len(beginning)] == list(beginning))


def run(argv: Sequence[str], controller: Any, now: float = T0 + 91, environ: Mapping[str, str] | None = None) -> Reply:
    """Call a command of the fake the way its shell does."""
    invocation = Invocation(now=now, cwd="/tmp/w", environ={"TZ": "UTC"} | dict(environ or {}), host="vm")
    return command(argv[0])(argv[1:], invocation, controller)


CPU_IDS: Mapping[int, tuple[tuple[int, ...], ...]] = {
    **{1: ((0, 1), (0,)), 2: ((2,),), 3: ((2,),), 4: ((2, 3),), 10: ((2,),), 11: ((3,),), 12: ((2,),)},
    **{13: ((0, 1, 2, 3),), 14: ((3,),), 16: ((0, 1),), 19: ((2,),)},
}
"""By job, for each of its nodes."""


class _Jobs(dict[int, Job]):
    """Jobs by id; `add` makes the next one out of what sbatch was asked for and what became of it."""

    def add(self, submit: float, asked: Mapping[str, Any], **became: Any) -> Job:
        """`submit` and the times in `became` are seconds after `T0`; a job with nodes started when it was submitted."""
        job_id = len(self) + 1
        times = {name: None if when is None else T0 + when for name, when in became.items() if name.endswith("_time")}
        nodes = became.get("nodes", ())
        started = {"start_time": T0 + submit} if nodes else {}
        description = JobDescription(
            **{"script": b"#!/bin/sh\n", "work_dir": "/tmp/w", "submit_host": "vm", "name": "wrap"} | dict(asked),
            submit_line=" ".join(["sbatch", *_RECORDING["submissions"][job_id - 1]]),
        )
        defaults = {"num_nodes": len(nodes) or 1, "num_cpus": 1, "num_tasks": 1, "time_limit": None}
        defaults["requested_nodes"] = asked.get("min_nodes", 1)
        cpus = became.get("num_cpus", 1)
        defaults |= {"requested_cpus": cpus, "counted_cpus": cpus, "memory_cpus": cpus}
        self[job_id] = Job(
            job_id=job_id,
            place=job_id,
            description=description,
            partition="debug",
            qos="normal",
            submit_time=T0 + submit,
            **{"eligible_time": T0 + submit} | defaults | started | became | times,
        )
        job = self[job_id]
        if job.state is JobState.PENDING and job.reason not in (Reason.PRIORITY, Reason.RESOURCES):
            job.waited_for = job.told_reason = job.reason
        if nodes:
            job.batch = Step(
                job_id=job_id,
                step_id=BATCH,
                name="batch",
                nodes=nodes[:1],
                tasks=((0,),),
                cpus_per_node=job.cpus_per_node[:1],
                distribution="",
                start_time=job.start_time or 0,
            )
            if not job.completing and job.end_time is not None:
                _end(job.batch, job.wait_status, job.end_time)
        return job


def _end(step: Step, wait_status: int, when: float) -> None:
    step.end_time, step.wait_status = when, wait_status
    if wait_status:
        step.state = JobState.CANCELLED if wait_status & 0x7F else JobState.FAILED
    else:
        step.state = JobState.COMPLETED


def jobs() -> dict[int, Job]:
    """The nineteen jobs."""
    table = _Jobs()
    add = table.add
    one = {"nodes": ("n1",), "cpus_per_node": (1,), "tasks_per_node": (1,)}
    year = 365 * 24 * 60  # the limit that the backfill scheduler gives to a job without one
    done, failed, cancelled = JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED
    first = add(
        0,
        {"argv": ("/tmp/w/two.sh",), "name": "two.sh", "min_nodes": 2, "max_nodes": 2, "ntasks": 3}
        | {"comment": "a comment, with b", "time_limit": 10},
        priority=4294901759,
        time_limit=10,
        state=JobState.RUNNING,
        nodes=("n1", "n2"),
        cpus_per_node=(2, 1),
        tasks_per_node=(2, 1),
        num_cpus=3,
        num_tasks=3,
    )
    first.steps[0] = Step(
        job_id=1,
        step_id=0,
        name="sleep",
        nodes=("n1", "n2"),
        tasks=((0,), (1,)),
        cpus_per_node=(2, 1),
        distribution="cyclic",
        start_time=T0,
        request=StepRequest(argv=("sleep", "600"), submit_line="srun -n2 -N2 sleep 600"),
    )
    add(1, {}, priority=4294901758, time_limit=year, state=done, end_time=1, **one)
    add(
        2,
        {"name": "fail"},
        priority=4294901757,
        time_limit=year,
        state=failed,
        reason=Reason.NON_ZERO_EXIT_CODE,
        wait_status=768,
        end_time=2,
        **one,
    )
    add(
        3,
        {"name": "steps", "argv": ("/tmp/w/steps.sh",), "ntasks": 2},
        priority=4294901756,
        time_limit=year,
        state=done,
        derived_wait_status=768,
        end_time=4,
        nodes=("n1",),
        cpus_per_node=(2,),
        tasks_per_node=(2,),
        num_cpus=2,
        num_tasks=2,
    )
    for number, (name, wait_status, end) in enumerate([("true", 0, 3), ("bash", 768, 4)]):
        table[4].steps[number] = Step(
            job_id=4,
            step_id=number,
            name=name,
            nodes=("n1",),
            tasks=((0, 1),),
            cpus_per_node=(2,),
            distribution="block",
            start_time=T0 + 3,
            request=StepRequest(submit_line="srun true" if number == 0 else "srun -n2 bash -c exit 3"),
        )
        _end(table[4].steps[number], wait_status, T0 + end)
    held = {"eligible_time": None, "reason": Reason.HELD_BY_USER, "priority": 0}
    add(4, {"name": "held", "hold": True}, **held)
    add(
        4,
        {"name": "toomany", "min_nodes": 9, "max_nodes": 9},
        priority=4294901755,
        reason=Reason.PARTITION_NODE_LIMIT,
        num_nodes=9,
        num_cpus=9,
        num_tasks=9,
    )
    add(
        4,
        {"name": "begin", "begin": T0 + 3604.0, "time_limit": 5},
        priority=4294901754,
        time_limit=5,
        reason=Reason.BEGIN_TIME,
        eligible_time=3604,
    )
    add(
        5,
        {"name": "dep", "dependency": "afterok:1"},
        priority=4294901753,
        reason=Reason.DEPENDENCY,
        dependency="afterok:1(unfulfilled)",
        eligible_time=None,
    )
    add(5, {"name": "pendcancel", "hold": True}, state=cancelled, start_time=5, end_time=5, cancelled_by=0, **held)
    add(
        5,
        {"name": "killed"},
        priority=4294901752,
        time_limit=year,
        state=failed,
        reason=Reason.LAUNCH_FAILURE,
        wait_status=9,
        end_time=5,
        **one,
    )
    add(
        5,
        {"name": "canc"},
        priority=4294901751,
        time_limit=year,
        state=cancelled,
        wait_status=15,
        end_time=7,
        cancelled_by=0,
        **one,
    )
    add(
        7,
        {"name": "trap", "argv": ("/tmp/w/trap.sh",), "time_limit": 3},
        priority=4294901750,
        time_limit=3,
        state=cancelled,
        completing=True,
        nodes_left=("n1",),
        end_time=90,
        cancelled_by=0,
        **one,
    )
    add(
        8,
        {"name": "limit", "time_limit": 1, "ntasks": 4, "mem_per_node": 100},
        priority=4294901749,
        time_limit=1,
        state=JobState.TIMEOUT,
        reason=Reason.TIME_LIMIT,
        wait_status=15,
        end_time=89,
        nodes=("n3",),
        cpus_per_node=(4,),
        tasks_per_node=(4,),
        num_cpus=4,
        num_tasks=4,
    )
    add(
        8,
        {"name": "noout", "output": "/nonexistent/x"},
        priority=4294901748,
        time_limit=year,
        state=failed,
        reason=Reason.LAUNCH_FAILURE,
        wait_status=4021,
        end_time=8,
        **one,
    )
    add(
        8,
        {"name": "excl", "nodelist": "n4", "exclusive": True, "mem_per_node": 1024, "time_limit": 1440, "nice": 50}
        | {"output": "%x-%j.out", "error": "%x-%j.err"},
        priority=4294901697,
        time_limit=1440,
        reason=Reason.PRIORITY,
        start_time=year * 60 + 9,
    )
    add(
        8,
        {"name": "percpu", "cpus_per_task": 2, "ntasks": 1, "mem_per_cpu": 100, "exclude": "n1,n2", "requeue": False}
        | {"account": "acct"},
        priority=4294901746,
        state=JobState.RUNNING,
        nodes=("n4",),
        cpus_per_node=(2,),
        tasks_per_node=(1,),
        num_cpus=2,
        start_time=9,
    )
    add(
        9,
        {"name": "big", "ntasks": 12, "time_limit": 7},
        priority=4294901745,
        time_limit=7,
        reason=Reason.RESOURCES,
        num_nodes=3,
        num_cpus=12,
        num_tasks=12,
        start_time=600,
    )
    add(
        9,
        {"name": "after", "dependency": "afterany:1:2,afterok:3"},
        priority=4294901744,
        reason=Reason.DEPENDENCY_NEVER_SATISFIED,
        dependency="afterany:1(unfulfilled),afterok:3(failed)",
        eligible_time=None,
    )
    add(
        9,
        {"name": "prio", "time_limit": 120},
        priority=4294901743,
        time_limit=120,
        state=done,
        end_time=9,
        **one | {"nodes": ("n4",)},
    )
    for job_id, cpu_ids in CPU_IDS.items():
        table[job_id].cpu_ids = cpu_ids
    return dict(table)


def nodes() -> dict[str, NodeRecord]:
    """The four nodes, with what runs on them."""
    found = {node.name: NodeRecord(node=node, index=index) for index, node in enumerate(SETTINGS.nodes)}
    for name, cpus, held in (("n1", 3, {1: 0b011, 12: 0b100}), ("n2", 1, {1: 0b1}), ("n4", 2, {16: 0b11})):
        found[name].allocated_cpus = cpus
        found[name].jobs = held
    found["n1"].completing = {12}
    return found


def into_array(table: Mapping[int, Job], array_job_id: int, tasks: Mapping[int, int]) -> None:
    """Make jobs the elements of one array: `tasks` are their indices, by job id."""
    indices = sorted(tasks.values())
    array = job_array(array_job_id, ",".join(map(str, indices)))
    submitted = min(table[job_id].submit_time for job_id in tasks)
    for job_id, task in tasks.items():
        array.split_off(task, job_id)
        table[job_id].submit_time = submitted
        table[job_id].array, table[job_id].array_task_id = array, task


def controller(**replaced: Any) -> Any:
    """As much of a controller as the query commands look at."""
    parts: dict[str, Any] = {
        "settings": SETTINGS,
        "jobs": jobs(),
        "nodes": nodes(),
        "partitions": {partition.name: partition for partition in SETTINGS.partitions},
    }
    parts |= replaced
    accounting = Accounting(parts["settings"])
    for job in parts["jobs"].values():
        accounting.changed(job, T0)
    arrays = {job.array.job_id: job.array for job in parts["jobs"].values() if job.array is not None}
    return SimpleNamespace(
        **parts | {"accounting": accounting, "arrays": arrays, "one_command": nullcontext, "ping": lambda: None}
    )


def without_energy(text: str) -> str:
    """An answer of sacct but for energy: the recordings are of a Slurm with JobAcctGatherType=none, which has not even the 0 of others."""
    head, *lines = text.replace("energy=0", "").split("\n")
    names = head.split("|")
    gone = [number for number, name in enumerate(names) if name.startswith("ConsumedEnergy")]
    if not gone:
        return "\n".join([head, *lines])
    rows = (line.split("|") for line in lines)
    cleared = ["|".join("" if number in gone else word for number, word in enumerate(row)) for row in rows]
    return "\n".join([head, *cleared])
