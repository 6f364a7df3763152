"""`FakeSlurm`: what a test holds in hand."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from attrs import frozen

from fakeslurm.arguments import checked_settings, short_host_name
from fakeslurm.clientclock import client_clock
from fakeslurm.commands.base import COMMANDS
from fakeslurm.engine import Engine
from fakeslurm.faults.base import Fault, Kind
from fakeslurm.faults.chaos import Chaos, Planned, chaos_of
from fakeslurm.faults.control import Faults
from fakeslurm.faults.plan import Plan
from fakeslurm.faults.script import Script
from fakeslurm.history import History
from fakeslurm.ledger import Ledger
from fakeslurm.local import LocalCaller
from fakeslurm.model import Job, Node, Partition, Settings
from fakeslurm.server import Caller
from fakeslurm.service import Service
from fakeslurm.simulation import Simulated
from fakeslurm.slurmctld import Controller
from fakeslurm.virtualclock import VirtualClock, frozen_time
from slurmkit.backends.execute import CommandResult
from slurmkit.clock import Clock, SystemClock
from slurmkit.slurm.states import ExitCode, JobState

if TYPE_CHECKING:
    from fakeslurm.timeline import Timeline
    from slurmkit.backends.cli import CliBackend

__all__ = ["FakeSlurm", "JobView"]

T = TypeVar("T")

_OUTER_VARIABLE = re.compile(
    r"(SLURM|SLURMD|SLURMCTLD|SBATCH|SRUN|SALLOC|SQUEUE|SINFO|SACCT|SCANCEL|SCONTROL|SPRIO|SSTAT|PMI|PMIX|PMI2)_"
)
"""What an outer job left, and what Slurm's commands take options from."""

_ACTIVE = (JobState.PENDING, JobState.RUNNING, JobState.COMPLETING, JobState.SUSPENDED, JobState.REQUEUED)


@frozen(kw_only=True)
class JobView:
    """A job as it was when it was asked for. Times are epoch seconds."""

    job_id: int
    name: str
    user: str
    partition: str
    state: JobState
    """As the commands print it: COMPLETING hides the state that follows it."""
    reason: str
    exit_code: ExitCode
    nodes: tuple[str, ...]
    submit_time: float
    start_time: float | None
    end_time: float | None
    restart_count: int
    steps: tuple[int, ...]
    array_job_id: int | None = None
    """Of an element of an array: the array's id."""
    array_task_id: int | None = None


class FakeSlurm:
    """A Slurm that lives in this process, runs real jobs in real subprocesses, and is gone when it is closed.

    >>> with FakeSlurm(nodes=2) as slurm:                                                  # doctest: +SKIP
    ...     slurm.execute(["sbatch", "--wrap", "hostname"]).stdout
    'Submitted batch job 1\\n'

    `nodes` is a number of nodes (default 4: n1, n2, ...; each with `cpus_per_node` CPUs, default 4, and `memory_per_node` MB,
    default 2000) or a sequence of `Node`. `partitions` default to one, ``debug``, of all nodes. `version` is the Slurm
    whose behaviour is wanted, one of ``"22.05"`` (measured line by line) and ``"24.11"``. `settings` are the other fields
    of `fakeslurm.model.Settings`, such as ``min_job_age=20``. `clock`: ``"virtual"`` or a `VirtualClock` for time that moves when
    everybody waits; default: the machine's. `seed`: for what is left to chance. `conf` are lines of a slurm.conf, which change `nodes` and
    `partitions` where these are given and say what they are where they are not: ``conf=["NodeName=cn[1-8] CPUs=64
    RealMemory=256000", "PartitionName=long Nodes=ALL Default=YES MaxTime=7-0"]``. A line or a value that the fake does not carry
    out is refused: see `fakeslurm.slurmconf`. Raises ValueError or TypeError, naming the argument, for
    what cannot be.

    Thread-safe. The first use starts it; nothing outlives it, also when this process is killed.
    """

    def __init__(
        self,
        nodes: int | Sequence[Node] | None = None,
        cpus_per_node: int | None = None,
        memory_per_node: int | None = None,
        partitions: Sequence[Partition] | None = None,
        version: str = "22.05",
        clock: Clock | Literal["virtual"] | None = None,
        conf: Sequence[str] = (),
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self._settings = checked_settings(nodes, cpus_per_node, memory_per_node, partitions, version, conf, settings)
        self._engine = Engine(Controller(self._settings), _clock(clock), self._serve, host=short_host_name(), seed=seed)
        self.seed = seed
        """What everything that is left to chance comes from."""
        self.calls = Ledger()
        """Every request that was made of the scheduler, by whatever route."""
        plan = Plan()
        self._service = Service(self._engine, self.calls, plan)
        self._faults = Faults(self._engine, plan)

    # Life

    def start(self) -> Self:
        """Returns itself; ``with`` does this. Raises RuntimeError when it has been closed."""
        if self._engine.closed:
            raise RuntimeError("this FakeSlurm is closed; make a new one")
        return self

    def close(self) -> None:
        """Kill every process of every job, remove the directory. Harmless when it is closed already."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._engine.closed else f"{len(self._engine.controller.jobs)} jobs"
        return f"<FakeSlurm {self.version}, {len(self._settings.nodes)} nodes, {state}>"

    # What it is

    @property
    def version(self) -> str:
        """As ``sbatch --version`` says it: ``"22.05.8"``."""
        return self._settings.profile.version

    @property
    def settings(self) -> Settings:
        """The configuration, as slurm.conf would say it."""
        return self._settings

    @property
    def directory(self) -> Path:
        """A private temporary directory (mode 0700) with the commands and the spool; gone after `close`."""
        self.start()
        return self._engine.home.directory

    # Using it

    def backend(self) -> CliBackend:
        """A slurmkit backend on this Slurm: ``Cluster(slurm.backend())``. No command is spawned.

        Unless the Cluster is given a job root, its job directories are in `directory`, and gone with it.
        """
        from slurmkit.backends.cli import CliBackend

        return CliBackend(
            self.execute,
            name="fake",
            job_root=self.directory / "jobs",
            clock=client_clock(self._engine.clock, self._engine.skew),
            uniform=random.Random(self.seed).uniform,
        )

    def environ(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """A copy of `base` (default: `os.environ`) with the commands of this Slurm first on PATH.

        What an outer job has left (``SLURM_*``, ``SBATCH_*``...) is dropped.
        """
        self.start()
        clean = _without_outer_job(os.environ if base is None else base)
        path = clean.get("PATH", os.defpath)
        clean["PATH"] = f"{self._engine.home.bin}{os.pathsep}{path}"
        return clean

    def execute(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # subprocess.run's name for it
        timeout: float | None = None,
    ) -> CommandResult:
        """Run one of Slurm's commands in this process; what `slurmkit.backends.execute.Execute` is for.

        `env` is the whole environment (default: this process's, without what an outer job has left). Raises
        FileNotFoundError for a command that there is not, and TimeoutError when it has not ended after `timeout`
        seconds; an srun or an ``sbatch --wait`` is killed then, as a subprocess would be.
        """
        self.start()
        words = tuple(os.fspath(word) for word in argv)
        if not words or words[0] not in COMMANDS:
            name = words[0] if words else ""
            raise FileNotFoundError(2, f"no such command in fakeslurm; there are {', '.join(COMMANDS)}", name)
        directory = str(Path.cwd() / cwd) if cwd is not None else os.getcwd()  # noqa: PTH109 (a Path takes longer than the rest)
        variables = dict(env) if env is not None else _own_environment()
        with LocalCaller(words, directory, variables, input) as caller:
            code = self._service.call(caller, "backend", timeout)
            return CommandResult(code, *caller.texts())

    def jobs(self) -> tuple[JobView, ...]:
        """The jobs that the controller knows, in the order of their ids."""
        with self._engine.condition:
            return tuple(_view(job) for job in self._engine.controller.jobs.values())

    def wait_for(self, condition: Callable[[], T], timeout: float = 30.0) -> T:
        """The first true value of `condition`, which is asked now and after everything that happens in this Slurm.

        It is asked by the thread that waits, and may call this Slurm. TimeoutError after `timeout` seconds.
        """
        self.start()
        engine = self._engine
        deadline = engine.clock.monotonic() + timeout
        while True:
            seen = engine.revision
            value = condition()
            if value:
                return value
            left = deadline - engine.clock.monotonic()
            if left <= 0 or engine.closed:
                what = getattr(condition, "__qualname__", repr(condition))
                raise TimeoutError(
                    f"not true {'when it was closed' if engine.closed else f'within {timeout:g} s'}: {what}"
                )
            engine.wait(lambda _now: True if engine.revision != seen else None, left)  # noqa: B023 (used at once)

    def simulate(self, behaviour: Simulated | Callable[[JobView], Simulated | None]) -> None:
        """From now on jobs that start do `behaviour` in place of their script; None: a job runs its script, in a process.

        A function is asked each time a job starts. What it raises ends the call or the thread that has let the job start.
        """
        if isinstance(behaviour, Simulated):
            self._engine.slurmd.behaviour = lambda _job: behaviour
        elif callable(behaviour):
            choose = behaviour
            self._engine.slurmd.behaviour = lambda job: choose(_view(job))
        else:
            raise TypeError(
                f"simulate: {behaviour!r}; expected a Simulated, or a function of a JobView that returns one"
            )

    @property
    def history(self) -> History:
        """What has happened so far to jobs and nodes."""
        with self._engine.condition:
            return History(self._engine.recorder.events)

    def timeline(self) -> Timeline:
        """The history as a picture: which job was where and when, and what the others waited for."""
        from fakeslurm.timeline import Timeline

        return Timeline(self.history, tuple(node.name for node in self._settings.nodes), self._engine.clock.time())

    # Faults

    def fault(
        self, name: str, *, times: int | None = None, commands: Sequence[str] | None = None, **options: Any
    ) -> AbstractContextManager[Fault]:
        """Inside of the block something goes wrong: ``with slurm.fault("controller_timeout", accepted=True) as fault: ...``.

        `name` and `options` are those of a kind of fault in `fakeslurm.faults`. It hits calls of `commands` alone (default: of all that it
        can hit), and `times` of them at most; what it has hit is in ``fault.hits``, and in ``slurm.calls``. Of several faults that can
        hit a call the one that began last does. Raises ValueError or TypeError for what there is not, naming what there is.
        """
        self.start()
        return self._faults.during(name, times, commands, options)

    def schedule_fault(
        self,
        name: str,
        *,
        after: float = 0.0,
        lasting: float = float("inf"),
        times: int | None = None,
        commands: Sequence[str] | None = None,
        **options: Any,
    ) -> Fault:
        """A `fault` that begins by itself in `after` seconds by the clock of this Slurm, and ends `lasting` seconds later."""
        self.start()
        return self._faults.at(name, after, lasting, times, commands, options)

    def sequence(self, command: str, *steps: str | Kind | None) -> AbstractContextManager[Script]:
        """Inside of the block the next calls of `command` go as it says, one after the other: the name of a fault, a fault, or None for none.

        ``with slurm.sequence("squeue", "controller_down", None, None): ...``: one call fails, the two after it succeed, and all others go
        as ever. AssertionError at the end of the block unless all of these calls were made.
        """
        self.start()
        return self._faults.scripted(command, steps)

    def chaos(
        self,
        seed: int = 0,
        rate: float = 0.1,
        *,
        every: float | None = None,
        kinds: Sequence[str | Kind] | None = None,
        plan: Sequence[Planned] | None = None,
    ) -> AbstractContextManager[Chaos]:
        """Inside of the block faults fire at random: ``with slurm.chaos(seed=7, rate=0.1) as chaos: ...``.

        `rate`: the share of calls that one of the `kinds` of faults hits. `every`: about so many seconds after each other begin those
        that are no call's, such as a lost node; None: never. `kinds`: names, or faults with their options; default: all that need no
        options but those that end every job. What has happened is in ``chaos.plan``, which prints as Python and can be given as `plan`:
        then that happens again, and no seed is asked. The same seed, or plan, and the same calls have the same faults.
        """
        self.start()
        return self._faults.chaotic(chaos_of(self._engine.controller.settings, seed, rate, kinds, plan), every)

    # Virtual time

    @property
    def clock(self) -> Clock:
        """The time of this Slurm."""
        return self._engine.clock

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on the virtual clock; returns when everything that was due in them has happened.

        Processes of jobs that run have a moment of real time for each signal, and are not waited for. Raises ValueError for a negative
        number, RuntimeError when this Slurm has no `VirtualClock`.
        """
        self.start()
        self._virtual("advance").advance(seconds)

    def run_until(self, condition: Callable[[], T], timeout: float) -> T:
        """Let virtual time pass until `condition` is true, and return its value; it is asked after everything that happens.

        Time does not pass while processes of jobs run. Raises TimeoutError after `timeout` virtual seconds, RuntimeError without a
        `VirtualClock`.
        """
        with self._virtual("run_until").jumping():
            return self.wait_for(condition, timeout)

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Inside, ``time.time()`` and ``datetime.now()`` of this process say virtual time (by freezegun).

        Raises RuntimeError without a `VirtualClock`, ModuleNotFoundError without freezegun.
        """
        with frozen_time(self._virtual("freeze"), self._engine.skew):
            yield

    def _virtual(self, what: str) -> VirtualClock:
        clock = self._engine.clock
        if not isinstance(clock, VirtualClock):
            raise RuntimeError(
                f"{what} moves virtual time; this FakeSlurm has {type(clock).__name__}: FakeSlurm(clock='virtual')"
            )
        return clock

    def wait_idle(self, timeout: float = 30.0) -> None:
        """Wait until no job is pending, running or completing. TimeoutError names those that are."""

        def idle() -> bool:
            with self._engine.condition:
                return not any(job.shown_state in _ACTIVE for job in self._engine.controller.jobs.values())

        try:
            self.wait_for(idle, timeout)
        except TimeoutError:
            active = [job for job in self.jobs() if job.state in _ACTIVE]
            left = ", ".join(f"{job.job_id} {job.state} ({job.reason})" for job in active)
            raise TimeoutError(f"not idle after {timeout:g} s; jobs: {left}") from None

    # How

    def _serve(self, caller: Caller) -> int:
        return self._service.serve(caller)


def _clock(clock: Clock | str | None) -> Clock:
    if clock is None:
        return SystemClock()
    if isinstance(clock, str):
        if clock != "virtual":
            raise ValueError(f"FakeSlurm: clock={clock!r}; valid are 'virtual', a Clock, or None for the machine's")
        return VirtualClock()
    return clock


def _view(job: Job) -> JobView:
    return JobView(
        job_id=job.job_id,
        name=job.description.name,
        user=job.description.user,
        partition=job.partition,
        state=job.shown_state,
        reason=str(job.reason),
        exit_code=ExitCode.from_wait_status(job.wait_status),
        nodes=job.nodes,
        submit_time=job.submit_time,
        start_time=job.start_time,
        end_time=job.end_time,
        restart_count=job.restart_count,
        steps=tuple(job.steps),
        array_job_id=job.array_job_id,
        array_task_id=job.array_task_id,
    )


_ENVIRON = os.environ


def _own_environment() -> Mapping[str, str]:
    """This process's environment, without what an outer job has left."""
    if os.environ is not _ENVIRON:  # a test has put another one in its place
        return _without_outer_job(os.environ)
    return _decoded(tuple(os.environb.items()))


@lru_cache(4)
def _decoded(variables: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
    """An environment, read once as long as it stays the same: that takes longer than anything else in a call."""
    return MappingProxyType(_without_outer_job({os.fsdecode(name): os.fsdecode(value) for name, value in variables}))


def _without_outer_job(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not _OUTER_VARIABLE.match(name)}
