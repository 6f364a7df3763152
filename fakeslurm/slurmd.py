"""slurmd: carries out the controller's effects, and tells it what became of them.

Each step of a job, the batch script among them, is one step process (`fakeslurm.slurmstepd`). The caller of `Slurmd`
holds the engine's lock; what the steps report arrives through `report`, which takes it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from fakeslurm import environment, filenames, memory
from fakeslurm.home import Home
from fakeslurm.jobtime import JobTime
from fakeslurm.memorywatch import ConstrainedStep, MemoryWatch
from fakeslurm.model import BATCH, Effect, EndJob, Job, JobError, SignalStep, StartBatch, StepId
from fakeslurm.processes import remove_tree
from fakeslurm.simulatedtask import task_of
from fakeslurm.simulation import JobFiles, Simulated, SimulatedStep, Simulation
from fakeslurm.slurmctld import Controller
from fakeslurm.steps import File, RunningStep, StepListener, StepSpec, Task

__all__ = ["Report", "Slurmd", "open_flags"]

Report = Callable[[Callable[[float], None]], None]
"""Calls a function with the time, under the engine's lock, and has its consequences carried out."""


def open_flags(open_mode: str | None) -> int:
    """How an output file is opened. O_APPEND in both modes (measured: /proc/self/fdinfo)."""
    return os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if open_mode == "append" else os.O_TRUNC)


class Slurmd:
    """The nodes' side of one fake cluster."""

    def __init__(
        self,
        controller: Controller,
        home: Home,
        report: Report,
        *,
        host: str,
        now: Callable[[], float],
        time: JobTime,
    ) -> None:
        self._controller = controller
        self._home = home
        self._report = report
        self._host = host
        self._now = now
        self.time = time
        self.behaviour: Callable[[Job], Simulated | None] = lambda _job: None
        """What a job does in place of its script, if it is simulated."""
        self._simulation = Simulation()
        self._running: dict[tuple[int, StepId], RunningStep | SimulatedStep] = {}
        self._memory = MemoryWatch()
        self._ending: set[int] = set()
        """Jobs of which the controller waits to hear that nothing runs any more."""

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case StartBatch(job_id=job_id):
                self._start_batch(self._controller.jobs[job_id])
            case SignalStep(job_id=job_id, step_id=step_id, signal=number, scope=scope):
                step = self._running.get((job_id, step_id))
                if step is not None:
                    step.signal(number, scope)
                    if isinstance(step, RunningStep):
                        self.time.signalled()
            case JobError(job_id=job_id, step_id=step_id, text=text):
                step = self._running.get((job_id, step_id))
                if step is not None:
                    step.write(text)
            case EndJob(job_id=job_id):
                self._ending.add(job_id)
                self._look_for_end(job_id)

    def next_deadline(self) -> float | None:
        """When the next simulated job ends by itself."""
        return self._simulation.next_deadline()

    def tick(self, now: float) -> None:
        """Let the simulated jobs come to `now`."""
        self._simulation.tick(now)

    def launch(self, job_id: int, step_id: StepId, spec: StepSpec, listener: StepListener) -> RunningStep:
        """Start the tasks of a step. Whoever listens calls `forget` when it has ended."""
        listener = self.time.watched(spec.name, len(spec.tasks), listener)
        constrained = None
        if self._controller.settings.memory_is_constrained:
            listener = constrained = self._constrained(job_id, step_id, spec, listener)
            spec = evolve(spec, lingers=True)
        step = self._home.steps.launch(spec, listener)
        if constrained is not None:
            constrained.launched(step)
        self._running[job_id, step_id] = step
        return step

    def _constrained(self, job_id: int, step_id: StepId, spec: StepSpec, listener: StepListener) -> ConstrainedStep:
        settings = self._controller.settings
        job = self._controller.jobs[job_id]
        step = job.step(step_id)
        assert step is not None

        def say(kills: int, node: str) -> str:
            return f"slurmstepd-{node}: error: {memory.oom_text(kills, spec.name, settings)}\n"

        limits = memory.limits(job, step, settings)
        groups = [task.group for task in spec.tasks]
        return ConstrainedStep(listener, self._memory, job_id, spec.name, step.nodes, groups, limits, say)

    def close(self) -> None:
        """Watch nothing any more."""
        self._memory.close()
        self.time.close()

    def forget(self, job_id: int, step_id: StepId) -> None:
        """A step has ended, and the controller knows."""
        self._running.pop((job_id, step_id), None)
        self._look_for_end(job_id)

    def environment_with_commands(self, variables: dict[str, str]) -> dict[str, str]:
        """The fake's commands in front of PATH, unless they are on it; a job without PATH stays without (measured).

        SLURM_CONF names this cluster, whatever the submitter's said.
        """
        conf = self._controller.settings.conf or str(self._home.directory / "slurm.conf")
        variables = {**variables, "SLURM_CONF": conf, **self.time.environ()}
        path = variables.get("PATH")
        if path is None:
            return variables
        there = path.split(os.pathsep)
        wanted = [str(self._home.bin), *([str(self._home.job_bin)] if self.time.is_virtual else [])]
        return {**variables, "PATH": os.pathsep.join([*(one for one in wanted if one not in there), path])}

    def _look_for_end(self, job_id: int) -> None:
        if job_id in self._ending and not any(job == job_id for job, _ in self._running):
            self._ending.discard(job_id)
            # Not at once: the controller is in the middle of handing out its effects.
            self._report(lambda now: self._controller.processes_gone(job_id, now))

    def _start_batch(self, job: Job) -> None:
        behaviour = self.behaviour(job)
        if behaviour is not None:
            self._simulate(job, behaviour)
            return
        asked = job.description
        files = filenames.of_batch_script(job, self._host, self._controller.settings.version)
        script = self._write_script(job)
        flags = open_flags(asked.open_mode)
        if self._controller.settings.profile.makes_output_directories:
            # Where that is impossible, opening the file fails next, and says why.
            with contextlib.suppress(OSError):
                for name in {files.output, files.error}:
                    Path(name).parent.mkdir(parents=True, exist_ok=True)
        settings = self._controller.settings
        own = environment.batch_environment(job, settings, components=self._components(job))
        variables = self.environment_with_commands(own)
        spec = StepSpec(
            name=f"{job.job_id}.batch",
            tasks=[Task((str(script), *asked.argv[1:]), stdio=(0, 1, 2), label=f"slurmstepd-{job.nodes[0]}")],
            files=[File(files.input), File(files.output, flags), File(files.error, flags)],
            environ=variables,
            cwd=asked.work_dir,
            umask=asked.umask,
        )
        self.launch(job.job_id, BATCH, spec, _BatchListener(self, self._controller, self._report, job.job_id, script))

    def _simulate(self, job: Job, behaviour: Simulated) -> None:
        job_id, asked = job.job_id, job.description
        names = filenames.of_batch_script(job, self._host, self._controller.settings.version)
        files = JobFiles(names.output, names.error, open_flags(asked.open_mode), asked.work_dir, asked.umask)
        try:
            files.open()
        except OSError:
            self._report(lambda now: self._controller.launch_failed(job_id, now))
            return

        task, start = task_of(job), self._now()
        if task is not None:
            task.started(start)

        def ended(wait_status: int) -> None:
            if wait_status == behaviour.wait_status:
                files.leave(behaviour)
                if task is not None and not behaviour.signal:
                    task.ended(behaviour, start, self._now())

            def tell(now: float) -> None:
                self.forget(job_id, BATCH)
                self._controller.batch_ended(job_id, wait_status, now)

            self._report(tell)

        self._running[job_id, BATCH] = SimulatedStep(
            files, lambda number: self._simulation.signal(job_id, number, self._now())
        )
        self._simulation.start(job_id, behaviour, start, ended)
        self._report(lambda now: self._controller.batch_started(job_id, 0, now))

    def _components(self, job: Job) -> list[Job]:
        """Of the heterogeneous job that it leads."""
        return [] if job.het is None else [self._controller.jobs[job_id] for job_id in job.het.members]

    def _write_script(self, job: Job) -> Path:
        """Where the real slurmd has it: ``<spool>/<node>/job00007/slurm_script``, mode 0700."""
        directory = self._home.directory / "spool" / job.nodes[0] / f"job{job.job_id:05d}"
        remove_tree(str(directory))
        directory.mkdir(parents=True)
        script = directory / "slurm_script"
        script.write_bytes(job.description.script or b"")
        script.chmod(0o700)
        return script


class _BatchListener:
    """Tells the controller about one run of a batch script."""

    def __init__(self, slurmd: Slurmd, controller: Controller, report: Report, job_id: int, script: Path) -> None:
        self._slurmd = slurmd
        self._controller = controller
        self._report = report
        self._job_id = job_id
        self._script = script
        self._failed = False
        self._wait_status = int(signal.SIGKILL)
        """What it is when the step process was killed with all its tasks, and nobody saw how the script ended."""

    def failed(self, file: int, errno: int) -> None:
        self._failed = True

    def started(self, pids: list[int]) -> None:
        self._report(lambda now: self._controller.batch_started(self._job_id, pids[0], now))

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        self._wait_status = wait_status

    def ended(self) -> None:
        """The script has ended and what it left behind is gone; this is when slurmstepd reports (batch_finish)."""
        remove_tree(str(self._script.parent))

        def tell(now: float) -> None:
            self._slurmd.forget(self._job_id, BATCH)
            if self._failed:
                self._controller.launch_failed(self._job_id, now)
            else:
                self._controller.batch_ended(self._job_id, self._wait_status, now)

        self._report(tell)
