"""One step as srun sees it: launch it, pass signals on, say how its tasks ended."""

from __future__ import annotations

import os
import posixpath
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from fakeslurm import environment
from fakeslurm.commands.base import Invocation
from fakeslurm.commands.multiprog import MultiProg
from fakeslurm.commands.srun_options import StepWishes
from fakeslurm.commands.taskends import Endings, exit_messages, ranks_text, return_code
from fakeslurm.filenames import FileNames
from fakeslurm.hetview import Seen
from fakeslurm.memory import OUT_OF_MEMORY
from fakeslurm.model import Step, StepRequest
from fakeslurm.stepio import Rank, StepIO, Wanted
from fakeslurm.steps import RunningStep, StepSpec, Task

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.server import Caller

__all__ = ["StepRun"]

_DEBUG = 3
"""SRUN_DEBUG without -v and -Q."""
_SECOND_INTERRUPT = 1.0
"""Seconds in which a second Ctrl-C ends the step (srun's own text says so)."""
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
_FORCED = (signal.SIGTERM, signal.SIGKILL)


@define
class StepRun:
    """`create` until the step is there, `follow` until it is over; what slurmstepd's thread reports arrives here as well."""

    caller: Caller
    engine: Engine
    invocation: Invocation
    wishes: StepWishes
    request: StepRequest
    job_id: int
    signals: deque[int]
    programs: MultiProg | None = None
    together: Sequence[StepRun] = field(factory=list, eq=False, repr=False)
    """The steps, itself among them, of which -K and -W end all: those of one srun in several components."""
    step: Step | None = None
    returncode: int = 0
    _io: StepIO | None = None
    _files: list[int] = field(factory=list)
    """Which of its files the step has."""
    _running: RunningStep | None = None
    _statuses: dict[int, int] = field(factory=dict)
    _endings: Endings = field(factory=Endings)
    _told: set[int] = field(factory=set)
    _over: bool = False
    _cut_short: bool = False
    """Whether somebody else had ended the step, or its job, by the time it was over."""
    _open_error: tuple[int, int] | None = None
    _aborted: bool = False
    """srun itself gave the step up, or the controller did."""
    _interrupted: bool = False
    """Ctrl-C ended the step: srun says nothing about its tasks then."""
    _first_interrupt: float | None = None
    _give_up_at: float | None = None
    """When -W ends the step."""
    _terminating: bool = False

    # Launch

    def create(self, now: float) -> bool:
        """Make the step and launch it, under the engine's lock; False when its resources are busy.

        Raises `SlurmError`, and `StepIOError` for a file that cannot be opened.
        """
        controller = self.engine.controller
        step = controller.create_step(self.job_id, self.request, now)
        if step is None:
            return False
        assert isinstance(step.step_id, int)
        makes = controller.settings.profile.makes_output_directories
        io = StepIO(
            self.ranks(step), self.caller.fds, self.invocation.cwd, self.invocation.umask, makes_directories=makes
        )
        try:
            io.prepare()
        except BaseException:
            controller.step_ended(self.job_id, step.step_id, [1 << 8] * step.ntasks, now)
            raise
        self.launch(step, io)
        io.started()
        return True

    def launch(self, step: Step, io: StepIO, seen: Seen | None = None) -> None:
        """The step is there, and its files are prepared."""
        self.step, self._io = step, io
        self._endings = Endings(step.tasks)
        self._running = self.engine.slurmd.launch(self.job_id, step.step_id, self._spec(step, io, seen), self)

    def ranks(self, step: Step, first: int = 0) -> list[Rank]:
        """`first`: the rank of the step's first task."""
        job = self.engine.controller.jobs[self.job_id]
        nodes = {rank: index for index, ranks in enumerate(step.tasks) for rank in ranks}
        names = [
            FileNames(
                job_id=self.job_id,
                job_name=job.description.name,
                user=self.invocation.user,
                host=self.engine.host,
                array_job_id=job.array_job_id,
                array_task_id=job.array_task_id,
                step=str(step.step_id),
                task=first + rank,
                node=nodes[rank],
                release=self.invocation.version,
            )
            for rank in range(step.ntasks)
        ]
        wishes = self.wishes
        wanted = Wanted(wishes.input, wishes.output, wishes.error, wishes.label, wishes.open_mode)
        return [Rank(rank, one, self._directory, wanted) for rank, one in enumerate(names, first)]

    @property
    def _directory(self) -> str:
        return posixpath.normpath(posixpath.join(self.invocation.cwd, self.wishes.chdir or ""))

    def _spec(self, step: Step, io: StepIO, seen: Seen | None) -> StepSpec:
        job = self.engine.controller.jobs[self.job_id]
        seen = seen or Seen(job, step, 0, {})
        settings = self.engine.controller.settings
        nodes = {rank: index for index, ranks in enumerate(step.tasks) for rank in ranks}
        common = environment.step_environment(
            seen.job,
            seen.step,
            settings,
            self.invocation.environ,
            self.wishes.export,
            umask=self.invocation.umask,
            niceness=self.invocation.niceness,
            debug=_DEBUG + self.wishes.verbose - self.wishes.quiet,
            variables=self.wishes.variables,
            preserve=self.wishes.preserve_env,
        )
        stdio = io.stdio[seen.first : seen.first + step.ntasks]
        self._files = sorted({file for three in stdio for file in three})
        place = self._files.index
        tasks = [
            Task(
                self._argv(rank),
                environ=environment.task_environment(seen.job, seen.step, settings, seen.first + rank),
                stdio=(place(stdio[rank][0]), place(stdio[rank][1]), place(stdio[rank][2])),
                group=nodes[rank],
                label=f"slurmstepd-{step.nodes[nodes[rank]]}",
            )
            for rank in range(step.ntasks)
        ]
        return StepSpec(
            name=f"{self.job_id}.{step.step_id}",
            tasks=tasks,
            files=[io.files[file] for file in self._files],
            environ=self.engine.slurmd.environment_with_commands(common | dict(seen.variables)),
            cwd=self._directory,
            umask=self.invocation.umask,
        )

    def _argv(self, rank: int) -> tuple[str, ...]:
        if self.programs is None:
            return self.request.argv
        program = self.programs.argv(rank)
        return (*program, *self.request.argv[1:]) if program else ()

    # What the step reports

    def failed(self, file: int, errno: int) -> None:
        self._open_error = (self._files[file], errno)

    def started(self, pids: list[int]) -> None:
        self.engine.report(lambda now: self.engine.controller.step_started(self.job_id, self._step_id, now))

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        with self.engine.condition:
            self._statuses[index] = wait_status
            self._endings.add(index, self.engine.clock.monotonic())
            self.engine.notify()

    def ended(self) -> None:
        def tell(now: float) -> None:
            assert self.step is not None
            missing = 1 << 8 if self._open_error else int(signal.SIGKILL)
            for rank in range(self.step.ntasks):
                self._statuses.setdefault(rank, missing)
            self.engine.slurmd.forget(self.job_id, self._step_id)
            ordered = [self._statuses[rank] for rank in range(self.step.ntasks)]
            self.engine.controller.step_ended(self.job_id, self._step_id, ordered, now)
            self._cut_short = self._cancelled
            self._over = True

        self.engine.report(tell)

    @property
    def _step_id(self) -> int:
        assert self.step is not None
        assert isinstance(self.step.step_id, int)
        return self.step.step_id

    @property
    def _name(self) -> str:
        return f"StepId={self.job_id}.{self._step_id}"

    @property
    def wait_status(self) -> int:
        """That of the task which decides about the return code."""
        return max(self._statuses.values(), key=lambda status: (status & 0x7F, status), default=0)

    # Seeing it through

    def follow(self) -> None:
        self.watch()
        if not self.engine.closed:
            self.close_files()
            self.finish()

    def close_files(self) -> None:
        assert self._io is not None
        self._io.close()

    def watch(self) -> None:
        """Until the step is over."""
        while not self._over:
            self._wait(self._give_up_at)
            if self.engine.closed:
                self.returncode = 1
                return
            while self.signals:
                self._on_signal(self.signals.popleft())
            self._tell_news()
            if self._give_up_at is not None and self.engine.clock.monotonic() >= self._give_up_at:
                self._give_up()
        self._tell_news()

    def _wait(self, give_up_at: float | None) -> None:
        """Until there is something to do."""
        with self.engine.condition:
            times = (give_up_at, self._endings.due)
        left = min((max(0.0, one - self.engine.clock.monotonic()) for one in times if one is not None), default=None)
        self.engine.wait(
            lambda _now: self._something_new() or (self._give_up_at, self._endings.due) != times or None, left
        )

    def _tell_news(self) -> None:
        if not self._aborted and (self._cut_short if self._over else self._cancelled):
            self._abort()
        if self._over or self._is_due():
            self._tell_endings()

    def _something_new(self) -> bool:
        new = self._is_due() or bool(self.signals) or self._over
        return new or (self._cancelled and not self._aborted)

    def _is_due(self) -> bool:
        """Whether there are endings of which srun has heard by now."""
        with self.engine.condition:
            due = self._endings.due
        return due is not None and due <= self.engine.clock.monotonic()

    @property
    def _cancelled(self) -> bool:
        """Whether somebody else has ended the step, or its job."""
        assert self.step is not None
        return self.step.cancelled_by is not None or self._job_is_over

    @property
    def _job_is_over(self) -> bool:
        job = self.engine.controller.jobs.get(self.job_id)
        return job is None or job.finished or job.requeued

    def _say(self, text: str) -> None:
        self.caller.print(2, f"srun: {text}\n")

    def _tell_endings(self) -> None:
        """Say how tasks ended; several of a node that end together are one message."""
        assert self.step is not None
        with self.engine.condition:
            heard = self._statuses if self._over else self._endings.take(self.engine.clock.monotonic())
            new = {rank: self._statuses[rank] for rank in heard if rank not in self._told}
        if not new:
            return
        out_of_memory = any(self._statuses[rank] == OUT_OF_MEMORY for rank in self._told)
        with self.engine.condition:
            first = not any(one._told for one in self._all)
            self._told.update(new)
        if self._open_error is not None or self._interrupted:
            return
        for line in exit_messages(self.step, new, out_of_memory=out_of_memory):
            self._say(line)
        if first and self.wishes.wait_seconds is not None:
            self._limit(self.engine.clock.monotonic() + self.wishes.wait_seconds)
        if self.wishes.kill_on_bad_exit and any(new.values()) and self._first_to_terminate():
            self._terminate(signal.SIGTERM)

    def _first_to_terminate(self) -> bool:
        with self.engine.condition:
            first = not self._terminating
            for one in self._all:
                one._terminating = True
        return first

    def _terminate(self, number: int | None) -> None:
        """srun has the controller end its steps: with SIGTERM, or for good."""
        where = "" if self.invocation.version >= "24.11" else "launch/slurm: _step_signal: "
        for one in self._all:
            self._say(f"{where}Terminating {one._name}")
            one._cancel(number)

    @property
    def _all(self) -> Sequence[StepRun]:
        return self.together or [self]

    def _limit(self, give_up_at: float | None) -> None:
        """When all of them end; None: no more."""
        with self.engine.condition:
            for one in self._all:
                one._give_up_at = give_up_at
            self.engine.notify()

    def _cancel(self, number: int | None) -> None:
        """Ask the controller to end the step, unless that happens already."""
        assert self.step is not None
        step, uid = self.step, self.invocation.uid

        def cancel(now: float) -> None:
            if step.running and not self._job_is_over:
                self.engine.controller.cancel_step(self.job_id, self._step_id, now, uid=uid, signal=number)

        self.engine.report(cancel)

    def _give_up(self) -> None:
        """-W is over."""
        with self.engine.condition:
            if self._give_up_at is None:
                return
            self._limit(None)
        if all(one._over or len(one._told) == (one.step.ntasks if one.step else 0) for one in self._all):
            return
        self._say(f"First task exited {self.wishes.wait_seconds}s ago")
        for one in self._all:
            one._say_states()
        self._terminate(None)
        if not self._aborted:
            self._abort()

    def _say_states(self) -> None:
        assert self.step is not None
        running = [rank for rank in range(self.step.ntasks) if rank not in self._statuses]
        well = [rank for rank, status in self._statuses.items() if status == 0]
        badly = [rank for rank, status in self._statuses.items() if status != 0]
        for ranks, words in ((running, "running"), (well, "exited"), (badly, "exited abnormally")):
            if ranks:
                self._say(f"{self._name} {ranks_text(ranks)}: {words}")

    def _abort(self) -> None:
        self._aborted = True
        seconds = int(self.engine.controller.settings.kill_wait) + 2
        self._say(f"Job step aborted: Waiting up to {seconds} seconds for job step to finish.")

    def _on_signal(self, number: int) -> None:
        assert self._running is not None
        if number in _PASSED_ON:
            self._running.signal(number)
        elif number == signal.SIGCONT:
            self._say("got SIGCONT")
        elif number == signal.SIGINT:
            self._on_interrupt()
        else:
            if number == signal.SIGQUIT:
                self._say("Quit")
            self._force()

    def _on_interrupt(self) -> None:
        """Ctrl-C: the first one asks for a second, which ends the step; -X and --quit-on-interrupt do not ask."""
        assert self._running is not None
        now = self.engine.clock.monotonic()
        quits = self.wishes.quit_on_interrupt
        again = self._first_interrupt is not None and now - self._first_interrupt <= _SECOND_INTERRUPT
        if not (quits or again or self.wishes.disable_status):
            self._first_interrupt = now
            self._say("interrupt (one more within 1 sec to abort)")
            self._say_states()
            return
        self._say(f"sending Ctrl-C to {self._name}")
        self._running.signal(signal.SIGINT)
        if quits or again:
            self._interrupted = True
            self._force()

    def _force(self) -> None:
        if self._aborted or self._over:
            return
        self._say("forcing job termination")
        self._abort()
        self._cancel(None)

    @property
    def statuses(self) -> Mapping[int, int]:
        """Wait statuses of the tasks that have ended."""
        return self._statuses

    @property
    def refused(self) -> bool:
        """Whether a file could not be opened."""
        return self._open_error is not None

    def finish(self) -> None:
        """Say the last words."""
        assert self._io is not None
        if self._open_error is not None:
            file, errno = self._open_error
            stream = "stdin" if any(file == stdio[0] for stdio in self._io.stdio) else "stdout"
            if stream == "stdout" and not any(file == stdio[1] for stdio in self._io.stdio):
                stream = "stderr"
            if self._io.is_per_task(stream):  # the node opens it, and srun does not mind (measured)
                for rank in range(len(self._statuses)):
                    self._say(f"error: task {rank} launch failed: Slurmd could not connect IO")
                return
            self._say(f"error: Could not open {stream} file: {os.strerror(errno)}")
            self.returncode = 1
            return
        if any(status & 0x7F in _FORCED for status in self._statuses.values()) and not self._aborted:
            self._say(f"Force Terminated {self._name}")
        self.returncode = return_code(self._statuses)
