"""An example of the machine: commands that both Slurms answer, and every difference is an error."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from attrs import Factory, define, evolve, frozen
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from fakeslurm.differential.comparison import Priorities, agree, without_moments
from fakeslurm.differential.files import differences
from fakeslurm.differential.grammar import GATE, Submission
from fakeslurm.differential.normalisation import Places, normalised
from fakeslurm.differential.sides import Answer, Side, open_gate
from slurmkit.slurm.jobid import parse_array_spec

__all__ = ["PATIENCE", "RUNS", "Arena", "Disagreement", "Session", "Submitted"]

RUNS = 4
"""How often a job may run: for so many there are gates."""
PATIENCE = 5.0
"""Seconds after which the two sides have to say the same: the real one schedules once a second."""
_LONGEST_DELAY = 12.0
"""Seconds that a requeued job may take to start."""
_LATEST_LOOK = 2.0
"""Seconds until Slurm has looked at a job that waits."""
_PURGE_PERIOD = 60.0
"""Seconds after which slurmctld looks again at what held jobs wait for."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.16
"""Seconds between two looks; each starts a process of the real one's."""


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
    patience: float = PATIENCE
    arrays: bool = True
    """Whether job arrays are submitted."""
    tells_of_last_element: bool = True
    """Whether accounting hears for sure that an element of an array is the last one."""


@frozen
class _Difference:
    """Two answers that are not the same, and what is wrong with them."""

    what: str
    left: Answer
    right: Answer


@define
class Submitted:
    """A job or a job array of the example."""

    job_id: int
    tasks: tuple[int, ...] | None = None
    """The indices of an array."""
    gates: Mapping[str, str] = Factory(dict)
    """By job id, or id of an element, the name of its gates but for the number of the run."""
    opened: set[str] = Factory(set)
    """Of `gates` those that are open, of the present run."""
    runs: dict[str, int] = Factory(dict)
    """By id, how often each has been requeued, if it has."""
    has_steps: bool = False
    """Whether its script is one of several steps at their gates."""

    @property
    def closed(self) -> list[str]:
        return [label for label in self.gates if label not in self.opened]

    def gate(self, label: str) -> str:
        """The name of the gate at which the present run waits."""
        return f"{self.gates[label]}.{self.runs.get(label, 0)}.gate"

    @property
    def labels(self) -> set[str]:
        """Its id, or those of its elements."""
        return {f"{self.job_id}"} if self.tasks is None else {f"{self.job_id}_{task}" for task in self.tasks}

    def ran_again(self, label: str, runs: int) -> None:
        """It has been requeued so often: if that is new, it comes to another gate, which is closed."""
        if self.runs.get(label, 0) != runs:
            self.runs[label] = runs
            self.opened.discard(label)


class Session(RuleBasedStateMachine):
    """One example: commands on both sides. `arena` is set by `machine`."""

    arena: Arena

    def __init__(self) -> None:
        super().__init__()
        arena = self.arena
        arena.examples += 1
        self.jobs: list[Submitted] = []
        self.transcript: list[str] = []
        self.failed = False
        self.started = False
        """Whether some job has, or will so long from now: from then on the order of squeue's rows depends on seconds."""
        self.requeued = False
        """Whether some job was: from then on the order of sacct's rows depends on seconds."""
        self.submitted = 0
        self.array_second = 0
        """In which the last array was submitted: sacct shows a job of the same second before it, and a later one after it."""
        self.priorities = Priorities()
        self.first_job_id = first = arena.next_job_id()
        for side in (arena.left, arena.right):
            side.start(arena.root / side.name[0].upper() / "w", first)
            (side.workdir / "sub").mkdir()
        self.places = Places(str(arena.left.workdir.parent), str(arena.right.workdir.parent))

    def submit(self, submission: Submission) -> None:
        if submission.array is not None and not self.arena.arrays:
            return
        self.settle()
        self.submitted += 1
        tasks = None if submission.array is None else parse_array_spec(submission.array).indices
        place = str(self.submitted) if tasks is None else f"{self.submitted}.$SLURM_ARRAY_TASK_ID"
        suffixes = [""] if tasks is None else [f".{task}" for task in tasks]
        gates = [f"{self.submitted}{suffix}" for suffix in suffixes] if submission.gated else []
        script = submission.script.replace(GATE, f'"$SLURM_SUBMIT_DIR"/{place}.${{SLURM_RESTART_COUNT:-0}}')
        name = f"s{self.submitted}.sh"
        for side in (self.arena.left, self.arena.right):
            for gate in gates:
                for run in range(RUNS):
                    os.mkfifo(side.workdir / f"{gate}.{run}.gate")
            if submission.way == "file":
                (side.workdir / name).write_text(script, newline="")
        options = list(submission.options)
        tail = {"file": [name, *submission.arguments], "stdin": [], "wrap": [f"--wrap={script}"]}[submission.way]
        stdin = script if submission.way == "stdin" else None
        self.started = self.started or any("now+" in text for text in (*options, script))
        if tasks is None:
            while int(time.time()) == self.array_second:
                time.sleep(_FIRST_PAUSE)
        shown = "" if submission.way == "wrap" else "".join(f"\n  | {line}" for line in script.split("\n"))
        answer = self.both(["sbatch", *options, *tail], submission.environ, stdin, shown)
        if tasks is not None:
            self.array_second = int(time.time())
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
            self.jobs.append(Submitted(job_id, tasks, dict(zip(labels, gates, strict=False))))

    def both(
        self, argv: Sequence[str], environ: Mapping[str, str] | None = None, stdin: str | None = None, shown: str = ""
    ) -> Answer:
        """A command that changes something: once on each side."""
        assigned = "".join(f"{name}={shlex.quote(value)} " for name, value in (environ or {}).items())
        self._note(argv, f"{assigned}{shlex.join(argv)}{shown}")
        left = self.arena.left.run(argv, environ or {}, stdin)
        if self._refused(left):
            self.transcript.append(f"# {left.stderr.strip()}")
            return left
        difference = self._difference(argv, left, self.arena.right.run(argv, environ or {}, stdin))
        if difference is not None:
            self._fail(argv, difference)
        return left

    def until_agreed(self, argv: Sequence[str]) -> None:
        """A query: asked again until both say the same, since each side moves in its own time."""
        self._note(argv, shlex.join(argv))

        def look() -> _Difference | None:
            left = self.arena.left.run(argv, {}, None)
            return None if self._refused(left) else self._difference(argv, left, self.arena.right.run(argv, {}, None))

        self._until_none(argv, look)

    def settle(self) -> None:
        """Wait until both sides have come to rest, and say the same about every job."""
        self.settle_but_for_begin()
        deadline = time.monotonic() + _LONGEST_DELAY
        while self._some_start_soon() and time.monotonic() < deadline:
            time.sleep(_LONGEST_PAUSE)
            self.settle_but_for_begin()

    def _some_start_soon(self) -> bool:
        """A requeued job waits for some seconds (cred_expire) before it may start, and then for the scheduler."""
        return any(job.runs for job in self.jobs) and any(map(_starts_soon, (self.arena.left, self.arena.right)))

    def settle_but_for_begin(self) -> None:
        """Like `settle`, but not so for a requeued job that will start in some seconds."""
        if not self.jobs:
            return
        left, right = self.arena.left, self.arena.right
        argv = ["squeue", "-h", "-t", "all", "-j", ",".join(str(job.job_id) for job in self.jobs), "-o", "%i|%T|%r|%N"]

        def look() -> _Difference | None:
            ours, theirs = left.run(argv, {}, None), right.run(argv, {}, None)
            self.started = self.started or any(
                "|BadConstraints|" in line or not line.endswith("|") for line in theirs.stdout.splitlines()
            )
            if not (self._at_rest(ours.stdout, left) and self._at_rest(theirs.stdout, right)):
                return _Difference("not at rest", ours, theirs)
            return self._difference(argv, ours, theirs)

        self._until_none(argv, look)

    def agree_without(self, argv: Sequence[str], names: Set[str]) -> None:
        """Wait until both say the same, and no row of it begins with one of these."""

        def look() -> _Difference | None:
            left, right = (side.run(argv, {}, None) for side in (self.arena.left, self.arena.right))
            rows = f"{left.stdout}\n{right.stdout}".splitlines()
            if any(row.partition("|")[0] in names for row in rows):
                return _Difference("not at rest", left, right)
            return self._difference(argv, left, right)

        self._until_none(argv, look)

    def a_second_later(self) -> None:
        """At rest, and in a later second than any in which a job began to be eligible: what a hold does to it depends on that.

        Slurm has looked at what waits as well: AccrueTime becomes what EligibleTime is then.
        """
        self.settle()
        ids = ",".join(str(job.job_id) for job in self.jobs)
        argv = ["squeue", "-h", "-t", "all", "-j", ids, "-O", "eligibletime"]
        accrued = ["squeue", "-h", "-t", "PD", "-j", ids, "-O", "eligibletime,accruetime"]
        latest = time.monotonic() + _LATEST_LOOK

        def look() -> _Difference | None:
            left, right = (side.run(argv, {}, None) for side in (self.arena.left, self.arena.right))
            now = datetime.now(UTC).isoformat(timespec="seconds")[:19]
            same = {stamp for stamp in (left.stdout + right.stdout).split() if stamp == now}
            if same:
                return _Difference("eligible in this second", left, right)
            waiting = self.arena.right.run(accrued, {}, None)
            unseen = any(
                row.endswith("N/A") and not row.startswith("N/A") for row in map(str.strip, waiting.stdout.splitlines())
            )
            return _Difference("not looked at", left, right) if unseen and time.monotonic() < latest else None

        self._until_none(argv, look)

    def accounted(self, target: str) -> None:
        """Until slurmdbd has heard of a job that waits: of one that is cancelled before it never learns what it waited for."""
        job_id = target.partition("_")[0]
        argv = ["sacct", "-nXP", "-j", job_id, "-o", "JobIDRaw"]

        def look() -> _Difference | None:
            left, right = (side.run(argv, {}, None) for side in (self.arena.left, self.arena.right))
            return None if job_id in right.stdout.split() else _Difference("not accounted", left, right)

        self._until_none(argv, look)

    def untold(self) -> set[str]:
        """The arrays whose last element has not started, where it is chance what accounting calls it: slurmdbd hears up to 5 s late."""
        if self.arena.tells_of_last_element or all(job.tasks is None for job in self.jobs):
            return set()
        argv = ["squeue", "-h", "-t", "all", "-o", "%i|%A|%F|%N"]
        rows = (line.split("|") for line in self.arena.left.run(argv, {}, None).stdout.splitlines())
        single = re.compile(r"\d+_\d+")
        return {
            array for label, job_id, array, nodes in rows if single.fullmatch(label) and job_id == array and not nodes
        }

    def _until_none(self, argv: Sequence[str], look: Callable[[], _Difference | None]) -> None:
        deadline = time.monotonic() + self.arena.patience
        latest = deadline + _PURGE_PERIOD
        pause = _FIRST_PAUSE
        while True:
            self._push_on()
            difference = look()
            if difference is None:
                return
            now = time.monotonic()
            if now > latest or (now > deadline and not self._some_held_jobs_wait()):
                self._fail(argv, difference)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _some_held_jobs_wait(self) -> bool:
        """Whether a job that is held, on one of the sides, waits for others as well."""
        argv = ["squeue", "-h", "-t", "PD", "-o", "%Q|%E"]
        rows = "\n".join(side.run(argv, {}, None).stdout for side in (self.arena.left, self.arena.right)).splitlines()
        return any(row.startswith("0|") and not row.endswith("|(null)") for row in rows)

    def _note(self, argv: Sequence[str], line: str) -> None:
        self.arena.counts[argv[0]] += 1
        self.transcript.append(f"$ {line}")

    def _refused(self, answer: Answer) -> bool:
        """Whether the fake does not know how to do this; it is counted."""
        refused = "fakeslurm does not support" in answer.stderr
        self.arena.counts["refused by the fake"] += refused
        return refused

    def _push_on(self) -> None:
        for job in self.jobs:
            for label in job.opened:
                for side in (self.arena.left, self.arena.right):
                    open_gate(side.workdir / job.gate(label))

    def open(self, job: Submitted, label: str) -> None:
        """Let a job, or an element of an array, go on. Where others wait it is alone in that: what ends first is chance."""
        alone = job.tasks is not None or bool(self.in_states("PD"))
        if alone:
            self.settle()
        self.transcript.append(f"# job {label} goes on from its gate")
        job.opened.add(label)
        if alone:
            self.settle()

    def one(self, data: st.DataObject) -> str:
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
            if (side.workdir / job.gate(label)).with_suffix(".at").exists()
        }
        rows = [line.split("|") for line in listing.splitlines()]
        return all(
            state not in ("RUNNING", "COMPLETING") or (state == "RUNNING" and job_id in at_gates)
            for job_id, state, _, _ in rows
        ) and all(reason not in ("None", "Cleaning") or state != "PENDING" for _, state, reason, _ in rows)

    def learn_runs(self) -> None:
        """Something has been requeued: find out what, as it comes to other gates."""
        self.requeued = True
        if not self.jobs:
            return
        argv = ["squeue", "-h", "-r", "-t", "all", "-O", "JobArrayID:40,RestartCnt:10"]
        rows = (line.split() for line in self.arena.left.run(argv, {}, None).stdout.splitlines())
        runs = {row[0]: int(row[1]) for row in rows}
        for job in self.jobs:
            for label in runs.keys() & job.labels:
                job.ran_again(label, runs[label])

    def job_of(self, target: str) -> Submitted:
        """Whose id, or whose element's, this is."""
        return next(job for job in self.jobs if f"{job.job_id}" == target.partition("_")[0])

    def in_states(self, states: str) -> set[str]:
        """The ids of all jobs and elements of these states (as of squeue)."""
        return self.listed(states, "%i", "-r")

    def listed(self, states: str, form: str, *options: str) -> set[str]:
        """What squeue says, in this format, of the jobs of these states."""
        argv = ["squeue", "-h", "-t", states, *options, "-o", form]
        return set(self.arena.left.run(argv, {}, None).stdout.splitlines())

    def reasons(self, job: Submitted) -> set[str]:
        """Why it waits."""
        return self.listed("PD", "%r", "-j", f"{job.job_id}")

    def busy(self) -> bool:
        """Whether some job of the example runs: a further one would be placed by chance."""
        self.settle()
        listed = self.arena.left.run(["squeue", "-h", "-t", "R,CG", "-o", "%i"], {}, None)
        return bool(listed.stdout.strip())

    def is_over(self, target: str) -> bool:
        """Whether nothing of this job, array or element waits, runs or stands still, or it never did."""
        return not self.in_states("PD,R,S,CG") & self.labels_of(target)

    def labels_of(self, target: str) -> set[str]:
        """The ids that are meant, of some elements those of the whole array; none of an element that there is not."""
        labels = self.job_of(target).labels
        return labels if "_" not in target or "[" in target else labels & {target}

    def states(self, target: str) -> set[str]:
        listed = self.arena.left.run(
            ["squeue", "-h", "-t", "all", "-j", target.partition("_")[0], "-o", "%T"], {}, None
        )
        return set(listed.stdout.split())

    def _difference(self, argv: Sequence[str], left: Answer, right: Answer) -> _Difference | None:
        ours, theirs = (
            evolve(answer, stdout=self._normalised(argv, answer.stdout), stderr=self._normalised(argv, answer.stderr))
            for answer in (left, right)
        )
        # What began or was requeued in one second here may have in two there.
        if (argv[0] == "squeue" and self.started) or (argv[0] == "sacct" and self.requeued):
            ours, theirs = (evolve(one, stdout=_sorted(argv[0], one.stdout)) for one in (ours, theirs))
        same = ours.returncode == theirs.returncode and all(
            agree(argv[0], one, other, self.priorities)
            for one, other in ((ours.stdout, theirs.stdout), (ours.stderr, theirs.stderr))
        )
        return None if same else _Difference("different answers", ours, theirs)

    def _normalised(self, argv: Sequence[str], text: str) -> str:
        return normalised(argv[0], text, self.places)

    def _fail(self, argv: Sequence[str], difference: _Difference) -> NoReturn:
        self.failed = True
        lines = [f"{difference.what} to {shlex.join(argv)}", *self.transcript]
        for side, answer in ((self.arena.left, difference.left), (self.arena.right, difference.right)):
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
                self.open(job, label)
        self.settle()
        found = differences(self.arena.left.workdir, self.arena.right.workdir, self.places)
        if found:
            raise Disagreement("\n".join(["different files", *self.transcript, *found]))


def _sorted(command: str, text: str) -> str:
    """The lines in an order that a second more or less does not change."""
    return "\n".join(sorted(text.split("\n"), key=lambda line: (without_moments(command, line), line)))


def _starts_soon(side: Side) -> bool:
    """Whether a job waits for its time to begin; once that has come, squeue shows none until the scheduler has run."""
    listed = side.run(["squeue", "-h", "-t", "PD", "-o", "%r|%S"], {}, None).stdout
    starts = [line.partition("|")[2] for line in listed.splitlines() if line.startswith("BeginTime|")]
    soon = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=_LONGEST_DELAY)
    return any(start == "N/A" or datetime.fromisoformat(start) < soon for start in starts)
