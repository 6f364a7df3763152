"""Rules of jobs that run again, or stand still: scontrol requeue, requeuehold, suspend and resume."""

from __future__ import annotations

import shlex
import time

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from fakeslurm.differential.session import RUNS, Session, Submitted
from slurmkit.slurm import hostlist

__all__ = ["LifecycleRules"]

_OTHERS = ["", "", "", ",999999", " 999999", ",abc", ","]
_NOTHING = [
    shlex.split(line)
    for line in (
        *("", "''", "abc", "0", "999999", "999999_1", "999999_[1-2]", "jobid=999999", "job=999999,999998", "name=nope"),
        *("1x", "999999.0", "999999 abc", "999999,abc", ",999999", "+999999", "999999_x", "999999_[2-1]", "999999_[1"),
    )
]
_LATE_NEWS = 1.0
"""Seconds in which slurmctld may hear of the end of the run before; it takes that for the end of the one that runs then (measured).

And in which a node hears of a suspension: a resumption that overtakes it leaves the job stopped for ever (seen once on 22.05).
"""
_VERBS = ["requeue", "requeuehold", "suspend", "resume"]


class LifecycleRules(Session):
    """A job that is requeued comes to its gate again."""

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        verb=st.sampled_from(["requeue", "requeue", "requeuehold"]),
        other=st.sampled_from(_OTHERS),
        at_once=st.sampled_from([True, True, True, False]),
    )
    def requeue(self, data: st.DataObject, verb: str, other: str, at_once: bool) -> None:
        self.settle()
        target = self.one(data)
        job = self.job_of(target)
        if max(job.runs.values(), default=0) >= RUNS - 1:
            return
        if len(self.in_states("R,CG") | (self.in_states("all") - self.in_states("PD")) & job.labels) > 1:
            verb = "requeuehold"  # where each of several starts is chance
        if self._leaves_nodes_to_others(job):
            return
        self.both(["scontrol", verb, *f"{target}{other}".split()])
        self.learn_runs()
        if verb == "requeue" and at_once and job.tasks is None:
            self.settle_but_for_begin()
            if "BeginTime" in self.reasons(job):  # else it comes some seconds later
                time.sleep(_LATE_NEWS)
                self.both(["scontrol", "update", f"jobid={job.job_id}", "starttime=now"])
        self.settle()

    def _leaves_nodes_to_others(self, job: Submitted) -> bool:
        """Whether it, or its elements, runs on several nodes and somebody waits: who gets which node is chance (measured)."""
        nodes = {node for some in self.listed("R,S,CG", "%N", "-j", f"{job.job_id}") for node in hostlist.expand(some)}
        waits = bool(self.in_states("PD") & job.labels) or {"Resources", "Priority"} & self.listed("PD", "%r")
        return len(nodes) > 1 and bool(waits)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["suspend", "suspend", "resume"]), other=st.sampled_from(_OTHERS))
    def suspend_or_resume(self, data: st.DataObject, verb: str, other: str) -> None:
        self.settle()
        self.both(["scontrol", verb, *f"{self.one(data)}{other}".split()])
        if verb == "suspend":
            time.sleep(_LATE_NEWS)
        self.settle()

    @rule(verb=st.sampled_from(_VERBS), words=st.sampled_from(_NOTHING))
    def change_nothing(self, verb: str, words: list[str]) -> None:
        self.both(["scontrol", verb, *words])

    def finish(self) -> None:
        """What stands still goes on first."""
        self.settle()  # what has started beside it may have had its CPUs
        for job in self.jobs:
            if self.in_states("S") & job.labels:
                self.both(["scontrol", "resume", f"{job.job_id}"])
        super().finish()
