"""Rules of steps that run while something else happens: their gates, scancel of steps, and questions about them."""

from __future__ import annotations

import os
import shlex

from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from fakeslurm.differential.session import RUNS, Session, Submitted
from fakeslurm.differential.sides import open_gate
from fakeslurm.differential.stepgrammar import StepJob, step_gate, step_jobs

__all__ = ["StepRules"]

_CANCEL = [
    "",
    "",
    "",
    "-s KILL",
    "-s TERM",
    "-s CONT",
    "-Q",
    "-b",
    "-f",
    "-v",
    "-t R",
    "-t PD",
    "-n nope",
    "-u root",
    "-v -n nope",
]
_OTHERS = ["", "", "", "", ",999999.0", " 999999", " 999999.1", ",abc"]
_QUESTIONS = [
    "squeue -s -j JOB",
    "squeue -h -s -j JOB -o '%i|%j|%P|%u|%A|%N'",
    "squeue -h -s JOB.0 -O stepid,stepname,stepstate,numtasks,nodes,timelimit",
    "scontrol show step JOB.0",
    "scontrol show step JOB.1",
    "scontrol -o show step JOB",
    "sacct -j JOB -o JobID,JobName,State,ExitCode,NNodes,NTasks,NCPUS,NodeList",
    "sacct -j JOB.0 -o JobID,State,AllocCPUS,Layout,ReqCPUS",
    "sacct -P -n -j JOB -s R -o JobID,State",
    "scontrol show job JOB",
]


@define
class _Steps:
    """Of a job: how many steps it has, and which of each run are over, or will be."""

    count: int
    opened: dict[int, set[int]] = field(factory=dict)
    ended: dict[int, set[int]] = field(factory=dict)


class StepRules(Session):
    """Steps have the numbers in which they start: one starts when the one before has come to its gate."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[int, _Steps] = {}

    @rule(step_job=step_jobs())
    def run_steps(self, step_job: StepJob) -> None:
        self.settle()
        busy = self.busy()
        for side in (self.arena.left, self.arena.right):
            for run in range(RUNS):
                for number in range(len(step_job.steps)):
                    os.mkfifo(side.workdir / step_gate(f"{self.submitted + 1}.{run}.gate", number))
        before = len(self.jobs)
        self.submit(step_job.submission if not busy else step_job.submission.with_options("--hold"))
        for job in self.jobs[before:]:
            self.steps[job.job_id] = _Steps(len(step_job.steps))
            job.has_steps = True
        self.settle()

    @precondition(lambda self: self.steps)
    @rule(data=st.data())
    def open_a_gate_of_a_step(self, data: st.DataObject) -> None:
        self.settle()
        job, steps, run = self._drawn(data)
        number = data.draw(st.integers(0, steps.count - 1))
        if self.states(f"{job.job_id}") == {"RUNNING"} and number not in steps.ended.get(run, ()):
            self.transcript.append(f"# step {job.job_id}.{number} goes on from its gate")
            steps.opened.setdefault(run, set()).add(number)
            steps.ended.setdefault(run, set()).add(number)
            self.settle()

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), options=st.sampled_from(_CANCEL), other=st.sampled_from(_OTHERS))
    def cancel_a_step(self, data: st.DataObject, options: str, other: str) -> None:
        """Not while others wait: scancel asks twice then, and the second time the step is over, or not yet."""
        self.settle()
        job, steps, run = self._drawn(data)
        if self.in_states("PD") - {f"{job.job_id}"}:
            return
        number = data.draw(st.integers(0, steps.count))
        words = f"{options} {job.job_id}.{number}{'' if '-v' in options else other}".split()
        answer = self.both(["scancel", *words])
        ends = not {"PD", "nope", "CONT"} & set(words) and other != ",abc" and "does not support" not in answer.stderr
        if ends and self.states(f"{job.job_id}") == {"RUNNING"}:
            steps.ended.setdefault(run, set()).add(number)
        self.settle()

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), asked=st.lists(st.sampled_from(_QUESTIONS), min_size=1, max_size=4))
    def ask_about_steps(self, data: st.DataObject, asked: list[str]) -> None:
        self.settle()
        job, _, _ = self._drawn(data)
        for question in asked:
            self.until_agreed(shlex.split(question.replace("JOB", f"{job.job_id}")))

    def settle_but_for_begin(self) -> None:
        """Steps that are over are not there any more, either."""
        super().settle_but_for_begin()
        if not self.steps:
            return
        argv = ["squeue", "-h", "-s", "-o", "%i|%N"]
        running = self.in_states("R")
        over = {
            f"{job.job_id}.{number}"
            for job in self.jobs
            if job.job_id in self.steps and f"{job.job_id}" in running
            for number in self.steps[job.job_id].ended.get(self._run(job), ())
        }
        self.agree_without(argv, over)

    def _push_on(self) -> None:
        super()._push_on()
        for job in self.jobs:
            steps = self.steps.get(job.job_id)
            if steps is not None:
                everything = range(steps.count) if job.opened else ()
                for number in {*steps.opened.get(self._run(job), ()), *everything}:
                    for side in (self.arena.left, self.arena.right):
                        open_gate(side.workdir / step_gate(job.gate(f"{job.job_id}"), number))

    def _drawn(self, data: st.DataObject) -> tuple[Submitted, _Steps, int]:
        job = data.draw(st.sampled_from([job for job in self.jobs if job.job_id in self.steps]))
        return job, self.steps[job.job_id], self._run(job)

    def _run(self, job: Submitted) -> int:
        return job.runs.get(f"{job.job_id}", 0)
