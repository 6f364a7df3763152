"""``srun``: the one command that is a conversation.

In a job it makes a step and stays until the step's tasks have ended; outside of one it makes an allocation first.
Texts, return codes and what the signals do were measured on 22.05.8.
"""

from __future__ import annotations

import os
import posixpath
import signal
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import define, evolve

from fakeslurm.commands import sbatch
from fakeslurm.commands.base import Given, Invocation
from fakeslurm.commands.conversation import IMPOSSIBLE, PARTITION_CONFIGURATION, Conversation, Over, Quieter, converse
from fakeslurm.commands.description import describe
from fakeslurm.commands.hetstep import HetPart, HetRun, parts_of, parts_of_components, unsupported, variables_of_group
from fakeslurm.commands.hosts import hosts_of_ranks
from fakeslurm.commands.multiprog import MultiProg, MultiProgError
from fakeslurm.commands.option_tables import srun_options
from fakeslurm.commands.srun_options import NO_BINDING, StepWishes
from fakeslurm.commands.srun_sizes import Sizes, sizes_of
from fakeslurm.commands.srun_step import StepRun
from fakeslurm.filenames import is_per_task
from fakeslurm.gres import requested
from fakeslurm.messages import ALREADY_DONE, DISABLED, INVALID_JOB_ID, MORE_THREADS, NODES_BUSY, SlurmError
from fakeslurm.model import Job, StepRequest
from fakeslurm.stepio import StepIOError
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.server import Caller

__all__ = ["run"]

_OF_SEVERAL = frozenset(
    {"error", "het-group", "input", "kill-on-bad-exit", "label", "nodes", "ntasks", "output", "unbuffered", "wait"}
)
"""The options that a step in several components may have."""
_MPI_TYPES = "MPI plugin types are...\n\tnone\n"


def run(caller: Caller, engine: Engine, invocation: Invocation) -> int:
    """The whole life of one srun; its return code."""

    wishes = StepWishes("srun", invocation.environ, invocation.now, invocation.version)

    def take(given: Sequence[Given]) -> None:
        try:
            wishes.take(given)
        finally:
            caller.print(2, wishes.remark)

    def talk(quieter: Quieter, given: Sequence[Given], operands: Sequence[str]) -> int:
        names = {option.key for option in given}
        return _Srun(quieter, engine, invocation, tuple(operands), wishes, names, given).run()

    return converse(caller, invocation, wishes, "COMMAND [ARGS...]", srun_options(invocation.version), take, talk)


@define
class _Srun(Conversation):
    wishes: StepWishes
    given: set[str]
    """The options of the command line."""
    options: Sequence[Given]
    """The same, with their values."""
    hosts: tuple[str, ...] = ()
    """The node of each rank, where that is asked for."""
    programs: MultiProg | None = None

    def run(self) -> int:
        if self.wishes.mpi == "list":
            self.caller.print(1, _MPI_TYPES)
            return 0
        if not self.command:
            self.caller.print(2, "srun: fatal: No command given to execute.\n")
            return 1
        parts = parts_of(self.command, self.options, self.wishes.het_group, self.invocation.version)
        self.hosts = hosts_of_ranks(self.wishes, self.given, self.invocation.version, self.caller.read)
        self.wishes.check()
        if self.wishes.binding and not self._later:
            self.caller.print(2, NO_BINDING)
        if self.wishes.multi_prog:
            self._read_programs()
        self.caller.quiet = self.wishes.quiet
        self.check_cluster()
        if self.wishes.test_only:
            return self._test_only()
        self.caller.listen(self.on_signal, self._on_gone)
        environ = self.invocation.environ
        job_id = self.wishes.jobid or environ.get("SLURM_JOB_ID") or environ.get("SLURM_JOBID")
        if job_id:
            confirmed = self._confirm(job_id)
            if self.wishes.has_bad_nodelist:  # 24.11 crashes (measured)
                raise self.wishes.unsupported("nodelist", self.wishes.nodelist)
            if self.engine.controller.jobs[confirmed].het is not None:
                return self._in_components(confirmed, parts)
        if len(parts) > 1 or parts[0].groups is not None:
            raise unsupported("--het-group and COMMAND : COMMAND outside of a heterogeneous job")
        if job_id:
            if self.wishes.begin is not None:
                self.say("error: --begin is ignored because nodes are already allocated.")
            return self._step(confirmed).returncode
        return self._with_allocation()

    def _read_programs(self) -> None:
        """The file of --multi-prog, which may decide about the number of tasks."""
        name = self.command[0]
        try:
            text = os.fsdecode(self.caller.read(name))
        except IsADirectoryError:
            raise self.fail(f"Error reading multi_prog config file {name}") from None
        except OSError:
            raise self.fail(f"Could not open multi_prog config file {name}") from None
        try:
            self.programs = MultiProg.parse(text, name, self.wishes.ntasks)
        except MultiProgError as error:
            raise self.fail(*error.texts) from None
        self.wishes.ntasks = self.programs.ntasks

    def _test_only(self) -> int:
        """About a job of its own, also when it is called in one (measured)."""
        self._sizes()
        asked = describe(self.wishes, self.invocation, name="")
        reply = self.engine.change(lambda now: sbatch.test_only("srun", self.engine.controller, asked, now))
        self.caller.print(2, reply.stderr)
        return reply.returncode

    def _on_gone(self) -> None:
        """srun was killed: its step goes on (measured), but an allocation of its own ends."""
        if not (self.wishes.jobid or "SLURM_JOB_ID" in self.invocation.environ):
            self.on_signal(signal.SIGTERM)

    # In a job

    def _confirm(self, text: str) -> int:
        """The job that the step is to be in; it has to run."""
        job_id = int(text) if text.isdecimal() else 0
        job = self.engine.change(lambda _now: self.engine.controller.jobs.get(job_id))
        problem = ""
        if job is None:
            problem = f"Unable to confirm allocation for job {text}: {INVALID_JOB_ID}"
        elif job.finished:
            problem = f"Slurm job {job_id} has expired"
        elif job.state == JobState.PENDING:
            problem = f"Unable to confirm allocation for job {job_id}: Job is pending execution"
        if problem:
            self.say(f"error: {problem}")
            self.say(f"Check SLURM_JOB_ID environment variable. Expired or invalid job {text}")
            raise Over(1)
        return job_id

    def _step(self, job_id: int) -> StepRun:
        """Make the step and see it through."""
        wishes = self.wishes
        settings = self.engine.controller.settings
        if "gres" in self.given:
            try:
                requested(wishes.gres or "", settings.gres_types, settings.profile.release)
            except SlurmError as error:
                raise self.fail(error.message) from None
        for name in ("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket"):
            if name in self.given:
                raise wishes.unsupported(name)
        if (wishes.threads_per_core or 1) > (self.engine.controller.jobs[job_id].description.threads_per_core or 1):
            raise self.fail(f"Unable to create step for job {job_id}: {MORE_THREADS}")
        run = self._step_run(job_id)
        self._see_through(run)
        return run

    def _step_run(self, job_id: int) -> StepRun:
        request = self._request(self.engine.controller.jobs[job_id])
        shared = (self.caller, self.engine, self.invocation, self.wishes)
        return StepRun(*shared, request, job_id, self.signals, self.programs)

    def _see_through(self, run: StepRun | HetRun) -> None:
        job_id = run.parts[0].job_id if isinstance(run, HetRun) else run.job_id
        wishes = self.wishes
        problem = NODES_BUSY

        def create(now: float) -> bool:
            nonlocal problem
            try:
                return run.create(now)
            except SlurmError as error:
                if error.message != DISABLED:
                    raise
                problem = error.message
                return False

        try:
            created = self.engine.change(create)
            if not created and wishes.immediate is not None:
                created = bool(self.engine.wait(lambda now: create(now) or None, wishes.immediate))
                if not created:
                    raise SlurmError(problem)
            elif not created:
                self._wait_for_resources(create, run, job_id, problem)
        except SlurmError as error:
            details = [f"error: {detail}" for detail in error.details]
            about = job_id if error.job_id is None else error.job_id
            for text in (*details, f"error: Unable to create step for job {about}: {error.message}"):
                self.say(text)
            raise Over(1) from None
        except StepIOError as error:
            raise self.fail(str(error)) from None
        run.follow()

    # In a heterogeneous job

    def _in_components(self, job_id: int, parts: Sequence[HetPart]) -> int:
        """A step in components of a heterogeneous job: the leader's, unless it says others."""
        job = self.engine.controller.jobs[job_id]
        assert job.het is not None
        if not job.leads or self.wishes.jobid:
            raise unsupported("--jobid of a heterogeneous job")
        if self.programs is not None or self.hosts:
            raise unsupported("--multi-prog and --distribution=arbitrary in a heterogeneous job")
        found = parts_of_components(parts, len(job.het.members))
        if len(found) > 1 and self.given - _OF_SEVERAL:
            raise unsupported(f"--{min(self.given - _OF_SEVERAL)} of a step in several components")
        runs = []
        for group in sorted(found):
            environ = variables_of_group(self.invocation.environ, group)
            wishes = StepWishes("srun", environ, self.invocation.now, self.invocation.version)
            wishes.take(found[group].options)
            self.caller.print(2, wishes.remark)
            wishes.check()
            for name in filter(None, (wishes.output, wishes.error, wishes.input)):
                if len(found) > 1 and (is_per_task(name) or name in ("all", "none") or name.isdecimal()):
                    raise unsupported(f"the file {name} of a step in several components")
            one = evolve(self, wishes=wishes, command=found[group].command, signals=deque())
            runs.append(one._step_run(job.het.members[group]))
        if len({(run.wishes.kill_on_bad_exit, run.wishes.wait_seconds) for run in runs}) > 1:
            raise unsupported("different --kill-on-bad-exit or --wait with COMMAND : COMMAND")
        run = HetRun(self.caller, self.engine, self.invocation, runs)
        run.signals.extend(self.signals)
        self.signals = run.signals
        self._see_through(run)
        return run.returncode

    def _wait_for_resources(
        self, create: Callable[[float], bool], run: StepRun | HetRun, job_id: int, problem: str
    ) -> None:
        """`problem`: other steps, or that the job is suspended: of that it speaks when it asks again (measured)."""
        retrying = f"Job {job_id} step creation temporarily disabled, retrying ({problem})"
        if problem == NODES_BUSY:
            self.say(retrying)

        def attempt(now: float) -> bool | None:
            return bool(self.signals) or create(now) or None

        self.engine.wait(attempt)
        if run.step is None:
            number = self.signals.popleft() if self.signals else int(signal.SIGTERM)
            self.say(f"Cancelled pending job step with signal {number}")
            raise SlurmError(ALREADY_DONE)
        if problem != NODES_BUSY:
            self.say(retrying)
        name = f"StepId={job_id}.{run.step.step_id}" if self._later else f"job {job_id}"
        self.say(f"Step created for {name}")

    @property
    def _later(self) -> bool:
        """Whether the words are those of 24.11 (measured there), not those of 22.05."""
        return self.invocation.version >= "24.11"

    def _warn(self, text: str) -> None:
        self.say(f"{'warning' if self._later else 'Warning'}: {text}")

    def _sizes(self) -> Sizes:
        sizes = sizes_of(self.wishes)
        for text in sizes.warnings:
            self._warn(text)
        return sizes

    def _request(self, job: Job) -> StepRequest:
        wishes = self.wishes
        available = len(job.nodes)
        sizes = self._sizes()
        minimum, maximum = sizes.min_nodes, sizes.max_nodes
        by_variable = "nodes" in wishes.from_environment and minimum == wishes.min_nodes
        if by_variable and minimum is not None and minimum > available:
            conflict = f"conflicts with allocated node count ({minimum} != {available})."
            self.say(f"error: SLURM_JOB_NUM_NODES environment variable {conflict}")
            minimum = available
        if wishes.relative is not None and wishes.relative + (minimum or 1) > available:
            option = "SLURM_JOB_NUM_NODES" if by_variable else "--nodes"
            raise self.fail(
                f"--relative and {option} option incompatible with count of allocated nodes "
                f"({wishes.relative}+{minimum or 1}>{available})"
            )
        if wishes.exclude:
            available -= len(set(job.nodes) & set(wishes.hosts(wishes.exclude)))
            if not available:
                raise self.fail("Hostlist is empty!  Can't run job.")
        if minimum is not None and minimum > available:
            texts = [f"Only allocated {available} nodes asked for {minimum}"]
            raise self.fail(*texts, *(["Are required nodes explicitly excluded?"] if wishes.exclude else []))
        hosts = self.hosts
        if hosts and not self._later and minimum is not None and minimum < len(set(hosts)):
            hosts = hosts[:minimum]
        if hosts and wishes.ntasks != len(hosts):
            raise self.fail(f"You asked for {wishes.ntasks} tasks but hostlist specified {len(hosts)} nodes")
        return StepRequest(
            argv=self.command,
            name=wishes.job_name or posixpath.basename(self.command[0]),
            ntasks=wishes.ntasks,
            min_nodes=minimum,
            max_nodes=maximum,
            ntasks_per_node=sizes.ntasks_per_node,
            cpus_per_task=wishes.cpus_per_task,
            nodelist=wishes.nodelist or "",
            exclude=wishes.exclude or "",
            relative=wishes.relative,
            distribution=wishes.distribution,
            hosts=hosts,
            exact=wishes.exact and not wishes.whole,
            overlap=wishes.overlap,
            overcommit=wishes.overcommit,
            mem_per_node=wishes.mem,
            mem_per_cpu=wishes.mem_per_cpu,
            time_limit=wishes.time,
            gres=wishes.gres if "gres" in self.given else None,
            uid=self.invocation.uid,
            submit_line=" ".join(self.caller.argv),
        )

    # Outside of a job

    def _with_allocation(self) -> int:
        if self.wishes.relative is not None:
            self.caller.print(2, "srun: fatal: --relative option invalid for job allocation request\n")
            return 1
        if self.hosts:
            raise self.wishes.unsupported("distribution", "arbitrary outside of a job")
        if self.wishes.has_bad_nodelist:
            self._sizes()
            self.wishes.check_nodelist()
        try:
            job_id = self.ask(posixpath.basename(self.command[0]), argv=self.command[:1])
        except SlurmError as error:
            raise self._no_resources(error.message, *error.details) from None
        highest = 1 << 8
        try:
            self._wait_for_allocation(job_id)
            step = self._step(job_id)
            highest = step.wait_status
            return step.returncode
        finally:
            self.release(job_id, highest)

    def _wait_for_allocation(self, job_id: int) -> None:
        """Return when the job runs."""
        immediate = self.wishes.immediate

        def state(_now: float) -> JobState | None:
            job = self.engine.controller.jobs.get(job_id)
            return (
                None if job is not None and job.state == JobState.PENDING else job.state if job else JobState.CANCELLED
            )

        def state_or_signal(now: float) -> JobState | None:
            return JobState.PENDING if self.signals else state(now)

        now_state = self.engine.wait(state, timeout=0)
        impossible = now_state is None and self.engine.controller.jobs[job_id].reason in IMPOSSIBLE
        if now_state is None and immediate != 0:
            if impossible:
                self.say(PARTITION_CONFIGURATION)
            self.say(f"job {job_id} queued and waiting for resources")
            now_state = self.engine.wait(state_or_signal, immediate)
            if now_state == JobState.RUNNING:
                self.say(f"job {job_id} has been allocated resources")
        if now_state == JobState.RUNNING:
            return
        (self.refuse if immediate == 0 else self.give_up)(job_id)
        if now_state is None:
            raise self._no_resources(PARTITION_CONFIGURATION if impossible else NODES_BUSY)
        if now_state == JobState.PENDING:
            self.say(f"Job allocation {job_id} has been revoked")
            self.say(f"Force Terminated JobId={job_id}")
            raise Over(1)
        self.say("Job has been cancelled")
        raise self._no_resources(ALREADY_DONE)

    def _no_resources(self, message: str, *details: str) -> Over:
        return self.no_allocation("Unable to allocate resources", message, *details)
