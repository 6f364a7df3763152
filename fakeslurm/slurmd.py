"""slurmd: carries out the controller's effects, and tells it what became of them.

Each step of a job, the batch script among them, is one step process (`fakeslurm.slurmstepd`). The caller of `Slurmd`
holds the engine's lock; what the steps report arrives through `report`, which takes it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from attrs import evolve

from fakeslurm import environment, filenames, memory
from fakeslurm.batchfiles import files_of, make_directories, open_flags
from fakeslurm.batchlistener import BatchListener
from fakeslurm.home import Home
from fakeslurm.jobtime import JobTime
from fakeslurm.memorywatch import ConstrainedStep, MemoryWatch
from fakeslurm.model import BATCH, Abandon, Effect, EndJob, Job, JobError, SignalStep, StartBatch, StepId
from fakeslurm.nodesofsteps import watched
from fakeslurm.processes import remove_tree
from fakeslurm.reports import Report, Reports
from fakeslurm.simulatedrun import Put, SimulatedRun, within_memory
from fakeslurm.simulatedtask import task_of
from fakeslurm.simulation import JobFiles, Simulated, SimulatedStep, Simulation
from fakeslurm.slurmctld import Controller
from fakeslurm.steps import RunningStep, StepListener, StepSpec, Task
from fakeslurm.trouble import Troubles

__all__ = ["Slurmd"]


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
        later: Callable[[float, Callable[[float], None]], None],
        time: JobTime,
    ) -> None:
        self._controller = controller
        self._home = home
        self._report = report
        self._host = host
        self._now = now
        self._later = later
        self.time = time
        self.troubles = Troubles()
        """What goes wrong on the nodes."""
        self.reports = Reports(controller, report, later, self.troubles)
        self.behaviour: Callable[[Job], Simulated | None] = lambda _job: None
        """What a job does in place of its script, if it is simulated."""
        self._simulation = Simulation()
        self._running: dict[int, dict[StepId, RunningStep | SimulatedStep]] = {}
        """The steps that run, by job: none without."""
        self._memory = MemoryWatch()
        self._ending: set[int] = set()
        """Jobs of which the controller waits to hear that nothing runs any more."""
        self._lost: dict[int, None] = {}
        """Jobs whose scripts are cut off, of which the controller has not heard yet."""
        self._starved: set[int] = set()
        """Jobs of which the kernel has killed the script for its memory."""

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case StartBatch(job_id=job_id):
                self._start_batch(self._controller.jobs[job_id])
            case SignalStep(job_id=job_id, step_id=step_id, signal=number, scope=scope):
                step = self._step(job_id, step_id)
                if step is not None:
                    step.signal(number, scope)
                    if isinstance(step, RunningStep):
                        self.time.signalled()
            case JobError(job_id=job_id, step_id=step_id, text=text):
                step = self._step(job_id, step_id)
                if step is not None:
                    step.write(text)
            case EndJob(job_id=job_id):
                self._ending.add(job_id)
                self._look_for_end(job_id)
            case Abandon(job_id=job_id):
                self.reports.let_go(job_id)

    def next_deadline(self) -> float | None:
        """When the next simulated job ends by itself."""
        return self._simulation.next_deadline()

    def tick(self, now: float) -> None:
        """Let the simulated jobs come to `now`."""
        self._simulation.tick(now)

    def launch(self, job_id: int, step_id: StepId, spec: StepSpec, listener: StepListener) -> RunningStep:
        """Start the tasks of a step. Whoever listens calls `forget` when it has ended."""
        listener = watched(spec, listener, partial(self._tasks_ended, job_id, step_id))
        listener = self.time.watched(spec.name, len(spec.tasks), listener)
        constrained = None
        if self._controller.settings.memory_is_constrained:
            listener = constrained = self._constrained(job_id, step_id, spec, listener)
            spec = evolve(spec, lingers=True)
        step = self._home.steps.launch(spec, listener)
        if constrained is not None:
            constrained.launched(step)
        self._running.setdefault(job_id, {})[step_id] = step
        return step

    def _tasks_ended(self, job_id: int, step_id: StepId, place: int) -> None:
        self._report(lambda now: self._controller.tasks_ended(job_id, step_id, place, now))

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
        self._drop(job_id, step_id)
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

    def _step(self, job_id: int, step_id: StepId) -> RunningStep | SimulatedStep | None:
        """A step that runs."""
        return self._running.get(job_id, {}).get(step_id)

    def _drop(self, job_id: int, step_id: StepId) -> None:
        steps = self._running.get(job_id, {})
        if steps.pop(step_id, None) is not None and not steps:
            del self._running[job_id]

    def _look_for_end(self, job_id: int) -> None:
        if job_id in self._ending and job_id not in self._running:
            self._ending.discard(job_id)

            def gone(now: float) -> None:
                self.reports.forget(job_id)
                self._controller.processes_gone(job_id, now)

            # Not at once: the controller is in the middle of handing out its effects.
            self.reports.send(job_id, gone)

    def batch_over(self, job_id: int, tell: Callable[[float], None], step: Callable[[], object]) -> None:
        """The script that is `step` has ended, of which `tell` tells the controller: now, or late, or never when it was cut off."""

        def over(now: float) -> None:
            self.forget(job_id, BATCH)
            tell(now)

        def look(now: float) -> None:
            if self._step(job_id, BATCH) is step():
                self.reports.send(job_id, over)

        self._report(look)

    def cut_off(self, node: str) -> list[RunningStep | SimulatedStep]:
        """The scripts on a node that the controller is about to lose: they live on, and nobody hears of their ends. Call `bury` when it has."""
        jobs = self._controller.jobs
        found = {
            job_id: steps[BATCH]
            for job_id, steps in self._running.items()
            if BATCH in steps and jobs[job_id].nodes[0] == node
        }
        for job_id in found:
            self._lost[job_id] = None
            self._drop(job_id, BATCH)
        return list(found.values())

    def bury(self) -> None:
        """Tell the controller that nothing is known of the scripts that were cut off."""
        for job_id in self._lost:
            self._controller.batch_ended(job_id, 0, self._now())
        self._lost.clear()

    def _oom_text(self, job_id: int, node: str) -> str:
        text = memory.oom_text(1, f"{job_id}.batch", self._controller.settings)
        return f"slurmstepd-{node}: error: {text}\n"

    def status_of(self, job_id: int, wait_status: int) -> int:
        """As slurmstepd reports it of a script that ended so."""
        starved = job_id in self._starved
        self._starved.discard(job_id)
        return memory.OUT_OF_MEMORY if starved else wait_status

    def starve(self, job_id: int) -> None:
        """The kernel kills the script of a job that runs, for want of memory."""
        step = self._step(job_id, BATCH)
        if isinstance(step, SimulatedStep):
            step.end(memory.OUT_OF_MEMORY)
        elif step is not None:
            self._starved.add(job_id)
            step.write(self._oom_text(job_id, self._controller.jobs[job_id].nodes[0]))
            step.signal(signal.SIGKILL)
            self.time.signalled()

    def _start_batch(self, job: Job) -> None:
        job_id = job.job_id
        held = self.troubles.of("hold", job) is not None
        if held or self.troubles.of("launch", job) is not None:
            self._report(lambda now: self._controller.launch_failed(job_id, now, held=held))
            return
        behaviour = self.behaviour(job)
        if behaviour is not None:
            self._simulate(job, behaviour)
            return
        asked = job.description
        files = filenames.of_batch_script(job, self._host, self._controller.settings.version)
        script = self._write_script(job)
        if self._controller.settings.profile.makes_output_directories:
            make_directories([files.output, files.error])
        settings = self._controller.settings
        own = environment.batch_environment(job, settings, components=self._components(job))
        variables = self.environment_with_commands(own)
        spec = StepSpec(
            name=f"{job.job_id}.batch",
            tasks=[Task((str(script), *asked.argv[1:]), stdio=(0, 1, 2), label=f"slurmstepd-{job.nodes[0]}")],
            files=files_of(job, files, full=self.troubles.of("space", job) is not None),
            environ=variables,
            cwd=asked.work_dir,
            umask=asked.umask,
        )
        listener = BatchListener(self, self._controller, self._report, job_id, script)
        listener.step = self.launch(job_id, BATCH, spec, listener)

    def _simulate(self, job: Job, behaviour: Simulated) -> None:
        job_id, asked, settings = job.job_id, job.description, self._controller.settings
        names = filenames.of_batch_script(job, self._host, settings.version)
        files = JobFiles(names.output, names.error, open_flags(asked.open_mode), asked.work_dir, asked.umask)
        try:
            files.open()
        except OSError:
            self._report(lambda now: self._controller.launch_failed(job_id, now))
            return
        behaviour = within_memory(behaviour, job, settings)
        oom_text = partial(self._oom_text, job_id, job.nodes[0])
        run = SimulatedRun(behaviour, files, task_of(job), self._now(), oom_text)
        run.begin(self._put(job), full=self.troubles.of("space", job) is not None)

        def ended(wait_status: int) -> None:
            full = self.troubles.of("space", job) is not None
            reported = run.end(wait_status, self._now(), self._put(job), full=full)
            self.batch_over(job_id, lambda now: self._controller.batch_ended(job_id, reported, now), lambda: step)

        step = SimulatedStep(
            files,
            lambda number: self._simulation.signal(run_number, number, self._now()),
            lambda wait_status: self._simulation.end(run_number, wait_status),
        )
        self._running.setdefault(job_id, {})[BATCH] = step
        run_number = self._simulation.start(job_id, behaviour, run.start, ended)
        self._report(lambda now: self._controller.batch_started(job_id, 0, now))

    def _put(self, job: Job) -> Put:
        """Has something written that the job leaves: now, or later on a file system that lags."""
        lag = self.troubles.of("results", job)
        if lag is None:
            return lambda write: write()
        return lambda write: self._later(self._now() + lag.seconds, lambda _now: write())

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
