"""``salloc``: an allocation, and in it a command that runs where salloc was called, as its child.

Texts, return codes and what signals do were measured on 22.05.8 and 24.11.5 (docs/measured/steps.md).
"""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from fakeslurm import environment
from fakeslurm.commands.base import Given, Invocation
from fakeslurm.commands.conversation import IMPOSSIBLE, PARTITION_CONFIGURATION, Conversation, Over, Quieter, converse
from fakeslurm.commands.option_tables import environment_options, salloc_options
from fakeslurm.commands.salloc_options import VARIABLES, AllocationWishes
from fakeslurm.messages import ALREADY_DONE, NODES_BUSY, TIMED_OUT, SlurmError
from fakeslurm.model import Job
from slurmkit.slurm.hostlist import compress
from slurmkit.slurm.states import JobState

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.server import Caller

__all__ = ["run"]

_HARMLESS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
"""Of a command that died of one of these salloc says 0 (src/salloc/salloc.c)."""


def run(caller: Caller, engine: Engine, invocation: Invocation) -> int:
    """The whole life of one salloc; its return code."""

    wishes = AllocationWishes("salloc", invocation.environ, invocation.now, invocation.version)

    def take(given: Sequence[Given]) -> None:
        for name, value in environment_options(invocation.environ, "SALLOC"):
            wishes.apply_variable(name, value)
        for variable, name in VARIABLES.items():
            if variable in invocation.environ:
                wishes.apply_variable(name, invocation.environ[variable])
        for name, value in given:
            wishes.apply(name, value)

    def talk(quieter: Quieter, _given: Sequence[Given], operands: Sequence[str]) -> int:
        if operands[:1] == [":"]:
            raise wishes.heterogeneous()
        wishes.check()
        quieter.print(2, wishes.warning)
        quieter.quiet = wishes.quiet
        wishes.check_nodelist()
        return _Salloc(quieter, engine, invocation, tuple(operands), wishes).run()

    return converse(caller, invocation, wishes, "[COMMAND [ARGS...]]", salloc_options(invocation.version), take, talk)


@define
class _Salloc(Conversation):
    wishes: AllocationWishes
    _ended: list[int | None] = field(factory=list)
    """The wait status of the command, or None for one that is not there; empty while it runs."""
    _hung_up: bool = False
    """Whether salloc was sent a SIGHUP, which ends everything (and is no failure of the job)."""
    _revoked: bool = False
    """Whether the allocation was over before the command."""

    def run(self) -> int:
        self.check_cluster()
        directory = self.wishes.chdir
        if directory is not None:
            try:
                self.caller.chdir(directory)
            except OSError as error:
                raise self.fail(f"chdir({directory}): {error.strerror}") from None
            self.wishes.chdir = None  # that of the job is where salloc was called (measured)
        self.caller.listen(self.on_signal, lambda: None)
        job_id = self._allocate()
        job = self.engine.controller.jobs[job_id]
        self.say(f"Granted job allocation {job_id}")
        if self.invocation.version >= "24.11":
            self.say(f"Nodes {compress(job.nodes)} are ready for job")
        return 0 if self.wishes.no_shell else self._run_command(job)

    # The allocation

    def _allocate(self) -> int:
        """Ask for it, and wait until it is there; the job's id."""
        name = self.wishes.job_name or ("no-shell" if self.wishes.no_shell else "interactive")
        try:
            job_id = self.ask(name, argv=self._argv_of_job())
        except SlurmError as error:
            raise self._refused(error.message, *error.details) from None
        state = self._look(job_id)
        if state is None:
            state = self._wait(job_id)
        if state == JobState.RUNNING:
            return job_id
        self.give_up(job_id)
        if state == JobState.PENDING:
            self.say(f"Job allocation {job_id} has been revoked.")
            self.say("Job aborted due to signal")
            raise Over(1)
        self.say("Job has been cancelled")
        raise self._refused(ALREADY_DONE)

    def _argv_of_job(self) -> tuple[str, ...]:
        """What scontrol shows as its command (measured)."""
        told = self.invocation.version >= "24.11" and not self.wishes.no_shell
        return self._argv()[:1] if told else ()

    def _argv(self) -> tuple[str, ...]:
        return self.command or (_shell(self.invocation.uid),)

    def _look(self, job_id: int) -> JobState | None:
        """The state of the job, None while it waits for resources."""
        job = self.engine.controller.jobs.get(job_id)
        if job is None:
            return JobState.CANCELLED
        return None if job.state == JobState.PENDING else job.state

    def _wait(self, job_id: int) -> JobState:
        """The state that the job gets to; PENDING when salloc was sent a signal meanwhile."""
        job = self.engine.controller.jobs[job_id]
        impossible = job.reason in IMPOSSIBLE
        immediate = self.wishes.immediate
        if immediate == 0:
            self.refuse(job_id)
            self.say(f"Job allocation {job_id} has been revoked.")
            if impossible:
                raise self._refused(PARTITION_CONFIGURATION)
            raise self.fail(f"Unable to allocate resources: {NODES_BUSY}")
        if job.description.hold:
            self.say("Job is in held state, pending scheduler release")
        elif impossible:
            self.say(PARTITION_CONFIGURATION)
        self.say(f"Pending job allocation {job_id}")
        self.say(f"job {job_id} queued and waiting for resources")
        state = self.engine.wait(lambda _now: JobState.PENDING if self.signals else self._look(job_id), immediate)
        if state == JobState.RUNNING:
            self.say(f"job {job_id} has been allocated resources")
        elif state is None and not self.engine.closed:
            self.give_up(job_id)
            raise self.fail(f"Unable to allocate resources: {TIMED_OUT}")
        return JobState.CANCELLED if state is None else state

    def _refused(self, message: str, *details: str) -> Over:
        return self.no_allocation("Job submit/allocate failed", message, *details)

    # The command

    def _run_command(self, job: Job) -> int:
        variables = environment.allocation_environment(job, self.engine.controller.settings, self.invocation.environ)
        argv = self._argv()
        self.caller.run(argv, self.engine.slurmd.environment_with_commands(variables), self._on_end)
        self._follow(job)
        if self.engine.closed:
            return 1
        status = 0 if self._hung_up else self._ended[0]
        if status is None:
            self.say(f'error: _fork_command: Unable to find command "{argv[0]}"')
            status = 1 << 8
        if not self._revoked:
            self.say(f"Relinquishing job allocation {job.job_id}")
            self.release(job.job_id, status)
        return 1 if self._hung_up else _returncode(status)

    def _on_end(self, status: int | None) -> None:
        self._ended.append(status)
        self.engine.notify()

    def _follow(self, job: Job) -> None:
        """Until the command has ended, or salloc itself is over."""
        while not (self._ended or self._hung_up or self.engine.closed):
            self.engine.wait(lambda _now: self._news(job) or None)
            if self._ended:
                return
            while self.signals:
                number = self.signals.popleft()
                if number == signal.SIGHUP:
                    self.caller.kill(number)
                    self._hung_up = True
                elif number != signal.SIGCONT and not job.finished:
                    self._revoke(job, number)
            if job.finished and not self._revoked:
                self._revoked = True
                self._say_revoked(job)
                if self.wishes.kill_command is not None:
                    self.caller.kill(self.wishes.kill_command)

    def _news(self, job: Job) -> bool:
        return bool(self._ended or self.signals) or (job.finished and not self._revoked)

    def _revoke(self, job: Job, number: int) -> None:
        """A signal to salloc ends the allocation, but not the command."""
        if self.invocation.version >= "24.11":
            self.release(job.job_id, number)
        else:
            self.give_up(job.job_id)

    def _say_revoked(self, job: Job) -> None:
        if job.state == JobState.NODE_FAIL:
            self.say(f"error: Node failure on {job.failed_node}")
        if job.state == JobState.TIMEOUT and self.invocation.version >= "24.11":
            self.say(f"Job {job.job_id} has exceeded its time limit and its allocation has been revoked.")
        else:
            self.say(f"Job allocation {job.job_id} has been revoked.")


def _returncode(status: int) -> int:
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    return 0 if os.WTERMSIG(status) in _HARMLESS else 1


def _shell(uid: int) -> str:
    """The user's own, which runs when no command was given (whatever SHELL is, measured)."""
    try:
        return pwd.getpwuid(uid).pw_shell or "/bin/sh"
    except KeyError:
        return "/bin/sh"
