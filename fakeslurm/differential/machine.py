"""The machine: hypothesis chooses commands, both Slurms answer them, and every difference is an error."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import Factory, define, evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from fakeslurm.differential.comparison import Priorities, agree
from fakeslurm.differential.files import differences
from fakeslurm.differential.grammar import GATE, Submission, submissions
from fakeslurm.differential.normalisation import Places, normalised
from fakeslurm.differential.questions import questions, with_ids
from fakeslurm.differential.sides import Answer, Side, open_gate
from slurmkit.slurm.jobid import parse_array_spec

__all__ = ["Arena", "Disagreement", "machine"]

_CONVERGE = 5.0
"""Seconds after which the two sides have to say the same: the real one schedules once a second."""
_POLL = 0.01


_CANCEL = [
    shlex.split(line)
    for line in (
        *("", "", "", "-v", "-s KILL", "-Q", "-s USR1", "-b -s TERM", "-f -s INT"),
        *("-t PD", "-t R", "-n name", "-u root"),
    )
]
_CANCEL_NOTHING = [
    shlex.split(line)
    for line in (
        *("", "999999", "abc", "0", "999999.0", "-v 999999", "-s BOGUS 1", "-t bogus 1", "-u nosuchuser", "--bogus"),
        *("-n nosuchname", "-p nope", "-w n9", "--bogus 1"),
    )
]
_OTHERS = ["", "", "", ",999999", " 999999", ",abc"]
"""What else is held or released."""


class Disagreement(AssertionError):  # noqa: N818 (what is found, not what went wrong)
    """The two sides differ; the text holds the commands of the example and both answers."""


@define
class Arena:
    """What lives longer than an example: the two sides, the directory, and what has been counted."""

    left: Side
    right: Side
    root: Path
    next_job_id: Callable[[], int]
    counts: Counter[str] = Factory(Counter)
    examples: int = 0
    patience: float = _CONVERGE
    arrays: bool = True
    """Whether job arrays are submitted."""


@define
class _Submitted:
    """A job or a job array of the example."""

    job_id: int
    tasks: tuple[int, ...] | None = None
    """The indices of an array."""
    gates: Mapping[str, str] = Factory(dict)
    """By job id, or id of an element, the name of the gate at which it waits."""
    opened: set[str] = Factory(set)
    """Of `gates` those that are open."""

    @property
    def closed(self) -> list[str]:
        return [label for label in self.gates if label not in self.opened]


class Machine(RuleBasedStateMachine):
    """One example: commands on both sides. `arena` is set by `machine`."""

    arena: Arena

    def __init__(self) -> None:
        super().__init__()
        arena = self.arena
        arena.examples += 1
        self.jobs: list[_Submitted] = []
        self.transcript: list[str] = []
        self.failed = False
        self.started = False
        """Whether some job has: from then on the order of squeue's rows depends on seconds."""
        self.submitted = 0
        self.priorities = Priorities()
        self.first_job_id = first = arena.next_job_id()
        for side in (arena.left, arena.right):
            side.start(arena.root / side.name[0].upper() / "w", first)
            (side.workdir / "sub").mkdir()
        self.places = Places(str(arena.left.workdir), str(arena.right.workdir))

    # Rules

    @rule(submission=submissions(gated=False))
    def run_to_its_end(self, submission: Submission) -> None:
        if not self._busy():
            self.submit(submission)
            self.settle()

    @rule(submission=submissions(gated=True))
    def run_to_its_gate(self, submission: Submission) -> None:
        self.submit(submission if not self._busy() else submission.with_options("--hold"))

    @rule(submission=submissions(gated=True, array=True))
    def run_an_array_to_its_gates(self, submission: Submission) -> None:
        self.submit(submission if not self._busy() else submission.with_options("--hold"))

    @rule(submission=st.one_of(submissions(steps=False), submissions(steps=False, gated=True, array=True)))
    def hold_at_once(self, submission: Submission) -> None:
        self.submit(submission.with_options("-H"))

    @rule(submission=submissions(gated=False, bad=True))
    def submit_nonsense(self, submission: Submission) -> None:
        self.submit(submission.with_options("-H"))

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["afterok", "afternotok", "afterany", "after", "aftercorr"]),
        extra=st.sampled_from(["", "?", ",singleton", "+1"]),
        submission=st.one_of(submissions(gated=False, steps=False), submissions(gated=True, steps=False, array=True)),
    )
    def depend(self, data: st.DataObject, kind: str, extra: str, submission: Submission) -> None:
        one, other = self._one(data), self._one(data)
        text = f"{kind}:{one}"
        text += f"?afterany:{other}" if extra == "?" else extra if extra != "+1" or kind == "after" else ""
        self.submit(submission.with_options(f"--dependency={text}"))

    @precondition(lambda self: any(job.closed for job in self.jobs))
    @rule(data=st.data())
    def open_a_gate(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.jobs if job.closed]))
        self._open(job, data.draw(st.sampled_from(job.closed)))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), options=st.sampled_from(_CANCEL))
    def cancel(self, data: st.DataObject, options: list[str]) -> None:
        self.settle()
        target = self._one(data)
        states = self._states(target)
        # To pending ones scancel tries for minutes.
        if "-s" not in options or "KILL" in options or states == {"RUNNING"}:
            self.both(["scancel", *options, target])
            self.settle()

    @rule(words=st.sampled_from(_CANCEL_NOTHING))
    def cancel_nothing(self, words: list[str]) -> None:
        self.both(["scancel", *words])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["hold", "release", "uhold"]), other=st.sampled_from(_OTHERS))
    def hold_or_release(self, data: st.DataObject, verb: str, other: str) -> None:
        self.settle()
        target = self._one(data)
        if verb == "release" and self._busy():
            return
        self.both(["scontrol", verb, *f"{target}{other}".split()])
        self.settle()

    @rule(data=st.data(), command=st.sampled_from(sorted(questions)))
    def query(self, data: st.DataObject, command: str) -> None:
        words = data.draw(questions[command])
        ids = [str(job.job_id) for job in self.jobs] or ["999999"]
        one = self._one(data) if self.jobs else "999999"
        argv = with_ids(words, ids, one)
        self.until_agreed(argv)

    # How

    def submit(self, submission: Submission) -> None:
        if submission.array is not None and not self.arena.arrays:
            return
        self.settle()
        self.submitted += 1
        tasks = None if submission.array is None else parse_array_spec(submission.array).indices
        place = str(self.submitted) if tasks is None else f"{self.submitted}.$SLURM_ARRAY_TASK_ID"
        suffixes = [""] if tasks is None else [f".{task}" for task in tasks]
        gates = [f"{self.submitted}{suffix}.gate" for suffix in suffixes] if submission.gated else []
        script = submission.script.replace(GATE, f'"$SLURM_SUBMIT_DIR"/{place}')
        name = f"s{self.submitted}.sh"
        for side in (self.arena.left, self.arena.right):
            for gate in gates:
                os.mkfifo(side.workdir / gate)
            if submission.way == "file":
                (side.workdir / name).write_text(script, newline="")
        options = list(submission.options)
        tail = {"file": [name, *submission.arguments], "stdin": [], "wrap": [f"--wrap={script}"]}[submission.way]
        stdin = script if submission.way == "stdin" else None
        shown = "" if submission.way == "wrap" else "".join(f"\n  | {line}" for line in script.split("\n"))
        answer = self.both(["sbatch", *options, *tail], submission.environ, stdin, shown)
        known = {job.job_id for job in self.jobs}
        found = (
            [int(word) for word in answer.stdout.replace(";", " ").split() if word.isdigit()]
            if answer.returncode == 0
            else []
        )
        if answer.returncode == 0 and not found:  # --quiet
            listed = self.arena.left.run(["squeue", "-h", "-t", "all", "-o", "%F"], {}, None).stdout.split()
            ids = sorted(set(map(int, listed)))
            found = [job_id for job_id in ids if job_id >= self.first_job_id and job_id not in known]
        for job_id in found:
            labels = [f"{job_id}{suffix.replace('.', '_')}" for suffix in suffixes]
            self.jobs.append(_Submitted(job_id, tasks, dict(zip(labels, gates, strict=False))))

    def both(
        self, argv: Sequence[str], environ: Mapping[str, str] | None = None, stdin: str | None = None, shown: str = ""
    ) -> Answer:
        """A command that changes something: once on each side."""
        arena = self.arena
        arena.counts[argv[0]] += 1
        assigned = "".join(f"{name}={shlex.quote(value)} " for name, value in (environ or {}).items())
        self.transcript.append(f"$ {assigned}{shlex.join(argv)}{shown}")
        left = arena.left.run(argv, environ or {}, stdin)
        if "fakeslurm does not support" in left.stderr:
            arena.counts["refused by the fake"] += 1
            self.transcript.append(f"# {left.stderr.strip()}")
            return left
        right = arena.right.run(argv, environ or {}, stdin)
        self._compare(argv, left, right)
        return left

    def until_agreed(self, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """A query: asked again until both say the same, since each side moves in its own time."""
        arena = self.arena
        arena.counts[argv[0]] += 1
        self.transcript.append(f"$ {shlex.join(argv)}")
        deadline = time.monotonic() + arena.patience
        while True:
            self._push_on()
            left = arena.left.run(argv, environ or {}, None)
            if "fakeslurm does not support" in left.stderr:
                arena.counts["refused by the fake"] += 1
                return
            right = arena.right.run(argv, environ or {}, None)
            try:
                self._compare(argv, left, right)
                return
            except Disagreement:
                if time.monotonic() > deadline:
                    raise
                self.failed = False
                time.sleep(_POLL)

    def settle(self) -> None:
        """Wait until both sides have come to rest, and say the same about every job."""
        if not self.jobs:
            return
        arena = self.arena
        argv = ["squeue", "-h", "-t", "all", "-j", ",".join(str(job.job_id) for job in self.jobs), "-o", "%i|%T|%r|%N"]
        deadline = time.monotonic() + arena.patience
        while True:
            self._push_on()
            left, right = (side.run(argv, {}, None) for side in (arena.left, arena.right))
            self.started = self.started or any(
                "|BadConstraints|" in line or not line.endswith("|") for line in right.stdout.splitlines()
            )
            if self._at_rest(right.stdout, arena.right) and self._at_rest(left.stdout, arena.left):
                try:
                    self._compare(argv, left, right)
                    return
                except Disagreement:
                    if time.monotonic() > deadline:
                        raise
                    self.failed = False
            elif time.monotonic() > deadline:
                self._fail(argv, left, right, "not at rest")
            time.sleep(_POLL)

    def _push_on(self) -> None:
        for job in self.jobs:
            for label in job.opened:
                for side in (self.arena.left, self.arena.right):
                    open_gate(side.workdir / job.gates[label])

    def _open(self, job: _Submitted, label: str) -> None:
        """Let a job, or an element of an array, go on; elements one after the other, as what ends first is chance."""
        if job.tasks is not None:
            self.settle()
        self.transcript.append(f"# job {label} goes on from its gate")
        job.opened.add(label)
        if job.tasks is not None:
            self.settle()

    def _one(self, data: st.DataObject) -> str:
        """The id of a job of the example, or of an array, or of some of its elements."""
        job = data.draw(st.sampled_from(self.jobs))
        if job.tasks is None:
            return f"{job.job_id}"
        first, last = job.tasks[0], job.tasks[-1]
        shapes = [f"{first}", f"{last}", f"{job.tasks[len(job.tasks) // 2]}", f"[{first}-{last}]", f"[{first},{last}]"]
        shape = data.draw(st.sampled_from(["", "", *shapes, f"{last + 1}"]))
        return f"{job.job_id}_{shape}" if shape else f"{job.job_id}"

    def _at_rest(self, listing: str, side: Side) -> bool:
        at_gates = {
            label
            for job in self.jobs
            for label in job.closed
            if (side.workdir / job.gates[label]).with_suffix(".at").exists()
        }
        rows = [line.split("|") for line in listing.splitlines()]
        return all(
            state not in ("RUNNING", "COMPLETING") or (state == "RUNNING" and job_id in at_gates)
            for job_id, state, _, _ in rows
        ) and all(reason not in ("None", "Cleaning") or state != "PENDING" for _, state, reason, _ in rows)

    def _busy(self) -> bool:
        """Whether some job of the example runs: a further one would be placed by chance."""
        self.settle()
        listed = self.arena.left.run(["squeue", "-h", "-t", "R,CG", "-o", "%i"], {}, None)
        return bool(listed.stdout.strip())

    def _states(self, target: str) -> set[str]:
        listed = self.arena.left.run(
            ["squeue", "-h", "-t", "all", "-j", target.partition("_")[0], "-o", "%T"], {}, None
        )
        return set(listed.stdout.split())

    def _compare(self, argv: Sequence[str], left: Answer, right: Answer) -> None:
        ours, theirs = (
            evolve(answer, stdout=self._normalised(argv, answer.stdout), stderr=self._normalised(argv, answer.stderr))
            for answer in (left, right)
        )
        if argv[0] == "squeue" and self.started:  # what began in one second here may have begun in two there
            ours, theirs = (evolve(one, stdout="\n".join(sorted(one.stdout.split("\n")))) for one in (ours, theirs))
        same = ours.returncode == theirs.returncode and all(
            agree(argv[0], one, other, self.priorities)
            for one, other in ((ours.stdout, theirs.stdout), (ours.stderr, theirs.stderr))
        )
        if not same:
            self._fail(argv, ours, theirs, "different answers")

    def _normalised(self, argv: Sequence[str], text: str) -> str:
        return normalised(argv[0], text, self.places)

    def _fail(self, argv: Sequence[str], left: Answer, right: Answer, what: str) -> None:
        self.failed = True
        lines = [f"{what} to {shlex.join(argv)}", *self.transcript]
        for side, answer in ((self.arena.left, left), (self.arena.right, right)):
            lines += [f"-- {side.name}: rc {answer.returncode}", *(f"1| {line}" for line in answer.stdout.splitlines())]
            lines += [f"2| {line}" for line in answer.stderr.splitlines()]
        raise Disagreement("\n".join(lines))

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.finish()
        finally:
            for side in (self.arena.left, self.arena.right):
                side.stop()

    def finish(self) -> None:
        """Let every job that runs end, and compare the files."""
        for job in self.jobs:
            for label in job.closed:
                self._open(job, label)
        self.settle()
        found = differences(self.arena.left.workdir, self.arena.right.workdir, self.places)
        if found:
            raise Disagreement("\n".join(["different files", *self.transcript, *found]))


def machine(arena: Arena) -> type[Machine]:
    """The machine on these two sides."""
    return type("DifferentialMachine", (Machine,), {"arena": arena})
