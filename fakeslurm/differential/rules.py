"""The commands that are chosen: of submitting and ending jobs."""

from __future__ import annotations

import shlex

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from fakeslurm.differential.grammar import Submission, submissions
from fakeslurm.differential.session import Session

__all__ = ["CommonRules"]

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


class CommonRules(Session):
    """Submission, cancellation, holding."""

    @rule(submission=submissions(gated=False))
    def run_to_its_end(self, submission: Submission) -> None:
        if not self.busy():
            self.submit(submission)
            self.settle()

    @rule(submission=submissions(gated=True))
    def run_to_its_gate(self, submission: Submission) -> None:
        self.submit(submission if not self.busy() else submission.with_options("--hold"))

    @rule(submission=submissions(gated=True, array=True))
    def run_an_array_to_its_gates(self, submission: Submission) -> None:
        self.submit(submission if not self.busy() else submission.with_options("--hold"))

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
        one, other = self.one(data), self.one(data)
        over = self.is_over(one) or (extra == "?" and self.is_over(other))
        if kind == "aftercorr" and submission.array is not None and (over or extra == ",singleton"):
            kind = "afterany"  # whether elements are split off before it is looked at is chance then
        begun = kind == "after" and extra != "+1" and not self.in_states("PD") & self.labels_of(one)
        named = [one, other] if extra == "?" else [one]
        # It can start then while other elements still wait: backfill, which rests, would let it start before these.
        before = any("_" in target and self.in_states("PD") & self.job_of(target).labels for target in named)
        if (over or begun or before) and self.busy():
            submission = submission.with_options("--hold")
        text = f"{kind}:{one}"
        text += f"?afterany:{other}" if extra == "?" else extra if extra != "+1" or kind == "after" else ""
        self.submit(submission.with_options(f"--dependency={text}"))

    @precondition(lambda self: any(job.closed for job in self.jobs))
    @rule(data=st.data())
    def open_a_gate(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.jobs if job.closed]))
        self.open(job, data.draw(st.sampled_from(job.closed)))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), options=st.sampled_from(_CANCEL))
    def cancel(self, data: st.DataObject, options: list[str]) -> None:
        self.settle()
        target = self.one(data)
        states = self.states(target)
        if self.job_of(target).has_steps and ("-f" in options or "USR1" in options):
            return  # what srun says depends on how many of the tasks have ended when it looks
        if {"PENDING", "RUNNING"} <= states and "Dependency" in self.listed("PD", "%r"):
            return  # where it starts is open (docs/open.md)
        # To pending ones scancel tries for minutes.
        if "-s" not in options or "KILL" in options or states == {"RUNNING"}:
            if "PENDING" in states:
                self.accounted(target)
            self.both(["scancel", *options, target])
            self.settle()

    @rule(words=st.sampled_from(_CANCEL_NOTHING))
    def cancel_nothing(self, words: list[str]) -> None:
        self.both(["scancel", *words])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["hold", "release", "uhold"]), other=st.sampled_from(_OTHERS))
    def hold_or_release(self, data: st.DataObject, verb: str, other: str) -> None:
        self.a_second_later()
        target = self.one(data)
        if verb == "release" and self.busy():
            return
        self.both(["scontrol", verb, *f"{target}{other}".split()])
        self.settle()
