"""Where a process is in its job: `JobContext`, read from the environment that Slurm gives it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import attrs

from slurmkit.errors import SlurmkitError
from slurmkit.slurm import hostlist, layout

__all__ = ["JobContext", "JobEnvironmentError", "current_job_context"]

FIRST_PORT = 15000
PORTS = 15000
"""`JobContext.master_port` is one of 15000 to 29999: above what needs privileges, below where Linux (32768) and others take ports
for outgoing connections. Jobs that are less than 15000 submissions apart do not share one."""

_GPUS = re.compile(r"(?:[^:,]+:)?([0-9]+)", re.ASCII)


class JobEnvironmentError(SlurmkitError, ValueError):
    """The environment is not that of a Slurm job, or a variable in it has no usable value; the message names both."""


class _Environment(dict[str, str]):
    """A read-only dict: unlike a mapping proxy it can be pickled, and json knows it."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("the environment of a JobContext is read-only")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


@attrs.frozen(kw_only=True)
class JobContext:
    """This process among the tasks of its step: ranks, layout, hosts.

    Inside ``srun`` the values are those of the step, which may be smaller than its job. In a batch script, which is one process on the
    first node, they are those of rank 0 of the step that ``srun`` would start there: all nodes, and the job's number of tasks (or, where none
    was asked for, one task per node; with ``--cpus-per-task`` srun has to be told that, or it fills whole nodes with tasks).

    ``tasks_per_node`` and ``hostnames`` say how many tasks run where. Which ranks these are depends on the step's distribution (block,
    cyclic, plane), so that only the own rank's place is known: `node_rank`, `local_rank`, `hostname`.
    """

    job_id: str
    array_job_id: str | None = None
    array_task_id: int | None = None
    step_id: str | None = None
    restart_count: int = 0
    rank: int
    local_rank: int
    node_rank: int
    world_size: int
    local_world_size: int
    num_nodes: int
    tasks_per_node: tuple[int, ...]
    hostnames: tuple[str, ...]
    hostname: str
    cpus_per_task: int = 1
    gpus_per_node: int = 0
    partition: str | None = None
    master_addr: str
    master_port: int
    environment: Mapping[str, str] = attrs.field(converter=_Environment, factory=dict, hash=False, repr=False)
    job_dir: Path | None = None
    output_dir: Path | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> JobContext:
        """The context of the process that Slurm gave this environment. Pure. Raises `JobEnvironmentError`."""
        raw = env
        if "SLURM_HET_SIZE" in env and "SLURM_STEP_ID" not in env:
            env = _of_first_component(env)
        read = _Reader(env)
        job_id = read.required("SLURM_JOB_ID", "SLURM_JOBID")
        job_number = read.number("SLURM_JOB_ID", "SLURM_JOBID")
        # SLURM_PROCID is set in the batch script as well: only a step has an id (facts of 22.05.8 and 24.11.5).
        if "SLURM_STEP_ID" in env:
            hosts = read.hosts("SLURM_STEP_NODELIST")
            counts = read.layout("SLURM_STEP_TASKS_PER_NODE")
            world_name = "SLURM_STEP_NUM_TASKS"
            world_size = read.number(world_name)
            rank, local_rank, node_rank = (read.number(name) for name in _PLACE)
        else:
            hosts = read.hosts("SLURM_JOB_NODELIST", "SLURM_NODELIST")
            world_name = "SLURM_NTASKS"
            # Without a number of tasks, SLURM_TASKS_PER_NODE of an exclusive job counts its CPUs.
            given = any(name in env for name in ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE"))
            counts = read.layout("SLURM_TASKS_PER_NODE") if given else (1,) * len(hosts)
            world_size = read.number("SLURM_NTASKS", "SLURM_NPROCS", default=sum(counts))
            rank, local_rank, node_rank = (read.number(name, default=0) for name in _PLACE)
        read.check_layout(hosts, counts, world_size, world_name)
        read.below("SLURM_PROCID", rank, world_size)
        read.below("SLURM_NODEID", node_rank, len(hosts))
        read.below("SLURM_LOCALID", local_rank, counts[node_rank])
        job_dir = Path(env["JOB_DIR"]) if env.get("JOB_DIR") else None
        return cls(
            job_id=job_id,
            array_job_id=env.get("SLURM_ARRAY_JOB_ID"),
            array_task_id=read.number("SLURM_ARRAY_TASK_ID") if "SLURM_ARRAY_TASK_ID" in env else None,
            step_id=env.get("SLURM_STEP_ID"),
            restart_count=read.number("SLURM_RESTART_COUNT", default=0),
            rank=rank,
            local_rank=local_rank,
            node_rank=node_rank,
            world_size=world_size,
            local_world_size=counts[node_rank],
            num_nodes=len(hosts),
            tasks_per_node=counts,
            hostnames=hosts,
            hostname=env.get("SLURMD_NODENAME", hosts[node_rank]),
            cpus_per_task=read.number("SLURM_CPUS_PER_TASK", default=1),
            gpus_per_node=read.gpus(),
            partition=env.get("SLURM_JOB_PARTITION"),
            master_addr=hosts[0],
            master_port=FIRST_PORT + job_number % PORTS,
            environment={name: value for name, value in raw.items() if name.startswith("SLURM")},
            job_dir=job_dir,
            output_dir=None if job_dir is None else job_dir / "output",
        )

    @classmethod
    def local(cls) -> JobContext:
        """The context of a plain local call, outside of any job: one process, whose job id is ``"local"``."""
        hostname = os.uname().nodename
        return cls(
            job_id="local",
            rank=0,
            local_rank=0,
            node_rank=0,
            world_size=1,
            local_world_size=1,
            num_nodes=1,
            tasks_per_node=(1,),
            hostnames=(hostname,),
            hostname=hostname,
            master_addr="localhost",  # a laptop's own name need not resolve
            master_port=FIRST_PORT + os.getpid() % PORTS,
        )

    @classmethod
    def fake(cls, tasks_per_node: Sequence[int] = (1,), rank: int = 0, **overrides: Any) -> JobContext:
        """The context of one rank of a job that does not exist, for tests: made from an environment such as Slurm would make, with
        block distribution, on hosts ``n1``, ``n2``, ...

        `overrides` are `deadline` and fields of JobContext, but not those that follow from `tasks_per_node` and `rank`. Raises ValueError
        for an impossible layout or rank, TypeError for an unknown field.
        """
        counts = tuple(tasks_per_node)
        if not counts or min(counts) < 1:
            raise ValueError(f"tasks_per_node is {tasks_per_node!r}: valid is one count of 1 or more per node")
        if not 0 <= rank < sum(counts):
            raise ValueError(f"rank is {rank!r}: valid are 0 to {sum(counts) - 1} with tasks_per_node {list(counts)}")
        deadline = overrides.pop("deadline", None)
        known = {field.name for field in attrs.fields(cls)}
        for name in overrides:
            if name not in known or name in _FOLLOWING:
                valid = ", ".join(field.name for field in attrs.fields(cls) if field.name not in _FOLLOWING)
                raise TypeError(
                    f"JobContext.fake() takes no {name!r}; besides tasks_per_node and rank it takes {valid}"
                )
        hosts = tuple(overrides.pop("hostnames", ())) or tuple(f"n{number}" for number in range(1, len(counts) + 1))
        if len(hosts) != len(counts):
            raise ValueError(f"hostnames is {list(hosts)}: tasks_per_node {list(counts)} needs {len(counts)} of them")
        env = _fake_environment(counts, rank, hosts)
        for name, variable in _VARIABLES.items():
            if overrides.get(name) is not None:
                env[variable] = str(overrides[name])
            elif name in overrides:
                env.pop(variable, None)
            overrides.pop(name, None)
        if deadline is not None:
            env["SLURM_JOB_END_TIME"] = str(int(deadline))
        return attrs.evolve(cls.from_env(env), **overrides)

    @property
    def attempt(self) -> int:
        """The number of this run of the job, from 0: Slurm's restart count."""
        return self.restart_count

    @property
    def deadline(self) -> float | None:
        """Epoch seconds (whole ones) at which Slurm will end the job, as it was when the job started (before Slurm 23.02: when this is used
        first, which asks Slurm once). None where there is no limit, or nobody knows: outside of a job, and when Slurm does not answer."""
        from slurmkit.lifecycle import deadline

        return deadline(self.job_id, self.environment)

    def remaining(self) -> float | None:
        """Seconds until the `deadline`, 0.0 when it is over; None where there is none."""
        end = self.deadline
        if end is None:
            return None
        from slurmkit.runner.leader import job_time

        return max(0.0, end - job_time(os.environ))

    def should_stop(self, margin: float = 60.0) -> bool:
        """Whether the task had better save what it has and end: the warning signal or SIGTERM has come, or less than `margin` seconds remain.

        Every rank is told. A task that has asked is not interrupted by SIGTERM any more: it has to ask again every few seconds, since Slurm
        kills the job KillWait seconds (30, if the site has not changed it) after SIGTERM.
        """
        from slurmkit import stopping

        stopping.asked = True
        if stopping.told:
            return True
        remaining = self.remaining()
        return remaining is not None and remaining <= margin

    def save_checkpoint(self, value: object) -> None:
        """Write `value` to the job directory, for `load_checkpoint` in this and in later attempts; it replaces what this rank saved before.

        However the job ends, all of this value or all of the one before is there then. Outside of a job nothing is kept. Raises
        `NotPicklable`, `JobDirectoryError`, and `JobEnvironmentError` in a job that slurmkit has not submitted.
        """
        if (job_dir := self._directory_of_checkpoints()) is not None:
            from slurmkit import checkpoints

            checkpoints.save(job_dir, self.rank, self.restart_count, value)

    def load_checkpoint(self, default: Any = None, *, rank: int | None = None) -> Any:
        """What this rank, or `rank`, saved last, in this attempt or an earlier one; `default` when it has saved nothing.

        Raises `JobDirectoryError`, `JobEnvironmentError`, and what unpickling raises.
        """
        if (job_dir := self._directory_of_checkpoints()) is None:
            return default
        from slurmkit import checkpoints

        return checkpoints.load(job_dir, self.rank if rank is None else rank, default)

    def _directory_of_checkpoints(self) -> Path | None:
        if self.job_dir is None and self.environment:
            raise JobEnvironmentError(
                "JOB_DIR is not set: slurmkit has not submitted this job, and keeps no checkpoints"
            )
        return self.job_dir

    def torch_distributed_env(self) -> dict[str, str]:
        """The variables that ``torch.distributed`` reads with ``init_method="env://"``, and torchrun's NODE_RANK and GROUP_RANK."""
        return {
            "MASTER_ADDR": self.master_addr,
            "MASTER_PORT": str(self.master_port),
            "RANK": str(self.rank),
            "LOCAL_RANK": str(self.local_rank),
            "WORLD_SIZE": str(self.world_size),
            "LOCAL_WORLD_SIZE": str(self.local_world_size),
            "GROUP_RANK": str(self.node_rank),
            "NODE_RANK": str(self.node_rank),
        }


def _of_first_component(env: Mapping[str, str]) -> dict[str, str]:
    """The batch script of a heterogeneous job runs in its first component, of which some variables have a number (measured)."""
    suffix = "_HET_GROUP_0"
    mine = {name.removesuffix(suffix): value for name, value in env.items() if name.endswith(suffix)}
    return {**mine, **env}


_PLACE = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")

_FOLLOWING = ("rank", "local_rank", "node_rank", "world_size", "local_world_size", "num_nodes", "tasks_per_node")
"""Fields that follow from the layout and the rank."""

_VARIABLES = {
    "job_id": "SLURM_JOB_ID",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_task_id": "SLURM_ARRAY_TASK_ID",
    "step_id": "SLURM_STEP_ID",
    "restart_count": "SLURM_RESTART_COUNT",
    "cpus_per_task": "SLURM_CPUS_PER_TASK",
    "gpus_per_node": "SLURM_GPUS_PER_NODE",
    "partition": "SLURM_JOB_PARTITION",
    "hostname": "SLURMD_NODENAME",
    "job_dir": "JOB_DIR",
}
"""Fields that are one variable."""


def _fake_environment(counts: tuple[int, ...], rank: int, hosts: tuple[str, ...]) -> dict[str, str]:
    node_rank, local_rank = 0, rank
    while local_rank >= counts[node_rank]:
        local_rank -= counts[node_rank]
        node_rank += 1
    nodes, tasks = hostlist.compress(hosts), layout.format(counts)
    return {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(len(hosts)),
        "SLURM_JOB_PARTITION": "fake",
        "SLURM_NTASKS": str(sum(counts)),
        "SLURM_NNODES": str(len(hosts)),
        "SLURM_TASKS_PER_NODE": tasks,
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_NUM_NODES": str(len(hosts)),
        "SLURM_STEP_NUM_TASKS": str(sum(counts)),
        "SLURM_STEP_TASKS_PER_NODE": tasks,
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(local_rank),
        "SLURM_NODEID": str(node_rank),
        "SLURMD_NODENAME": hosts[node_rank],
    }


class _Reader:
    """Reads variables, each by the first of its names that is set."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env

    def required(self, *names: str) -> str:
        for name in names:
            if self.env.get(name):
                return self.env[name]
        raise JobEnvironmentError(f"{names[0]} is not set: this is not the environment of a Slurm job or step")

    def number(self, *names: str, default: int | None = None) -> int:
        if default is not None and not any(self.env.get(name) for name in names):
            return default
        text = self.required(*names)
        if not (text.isascii() and text.isdecimal()):
            self.fail(names, "a number of 0 or more")
        return int(text)

    def hosts(self, *names: str) -> tuple[str, ...]:
        try:
            hosts = tuple(hostlist.expand(self.required(*names)))
        except hostlist.HostlistError as error:
            self.fail(names, f"a hostlist such as n[1-3] ({error})")
        if not hosts:
            self.fail(names, "a hostlist of one host or more")
        return hosts

    def layout(self, *names: str) -> tuple[int, ...]:
        try:
            return tuple(layout.parse(self.required(*names)))
        except layout.LayoutError as error:
            self.fail(names, f"counts per node such as 2(x3),1 ({error})")

    def gpus(self) -> int:
        """What --gpus-per-node asked for (``2``, ``a100:2``, ``a100:2,v100:1``), else how many this node gave."""
        if not self.env.get("SLURM_GPUS_PER_NODE"):
            return self.number("SLURM_GPUS_ON_NODE", default=0)
        total = 0
        for item in self.env["SLURM_GPUS_PER_NODE"].split(","):
            match = _GPUS.fullmatch(item)
            if match is None:
                self.fail(("SLURM_GPUS_PER_NODE",), "a number, or TYPE:NUMBER, several with commas between")
            total += int(match[1])
        return total

    def below(self, name: str, value: int, limit: int) -> None:
        if value >= limit:
            raise JobEnvironmentError(
                f"{name} is {value}: with the rest of the environment, valid are 0 to {limit - 1}"
            )

    def check_layout(self, hosts: Sequence[str], counts: Sequence[int], world_size: int, world_name: str) -> None:
        scope = "SLURM_STEP_" if world_name.startswith("SLURM_STEP_") else "SLURM_"
        if len(counts) != len(hosts):
            raise JobEnvironmentError(
                f"{scope}TASKS_PER_NODE is {layout.format(counts)!r}, which is {len(counts)} nodes, but the nodes are "
                f"{hostlist.compress(hosts)!r}, which is {len(hosts)}"
            )
        if sum(counts) != world_size:
            raise JobEnvironmentError(
                f"{scope}TASKS_PER_NODE is {layout.format(counts)!r}, which is {sum(counts)} tasks, but {world_name} is {world_size}"
            )

    def fail(self, names: Iterable[str], valid: str) -> NoReturn:
        name = next(name for name in names if self.env.get(name))
        raise JobEnvironmentError(f"{name} is {self.env[name]!r}; valid: {valid}") from None


def current_job_context() -> JobContext:
    """Where this process is: in a job what its environment says, read once per process; elsewhere `JobContext.local()`.

    Raises `JobEnvironmentError` in a job whose environment is damaged.
    """
    if not (os.environ.get("SLURM_JOB_ID") or os.environ.get("SLURM_JOBID")):
        return JobContext.local()
    return _of_this_process()


@functools.cache
def _of_this_process() -> JobContext:
    return JobContext.from_env(os.environ)
