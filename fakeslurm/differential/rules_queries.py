"""The rules that ask: everything the query commands can be asked."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from fakeslurm.differential.questions import questions, with_ids
from fakeslurm.differential.session import Session

__all__ = ["QueryRules"]

_QUESTION = st.one_of([questions[command] for command in sorted(questions)])
_ONE_NODE = "n1"
"""What ``sinfo -n`` is asked about alone: slurmctld counts its CPUs only when it is asked for all nodes (measured)."""


class QueryRules(Session):
    """Some questions now and then, and many about several jobs at rest."""

    @rule(data=st.data(), asked=st.lists(_QUESTION, min_size=1, max_size=8))
    def ask(self, data: st.DataObject, asked: list[list[str]]) -> None:
        self._ask(data, asked)

    @precondition(lambda self: len(self.jobs) > 1)
    @rule(data=st.data(), asked=st.lists(_QUESTION, min_size=8, max_size=20))
    def ask_much(self, data: st.DataObject, asked: list[list[str]]) -> None:
        self.settle()
        self._ask(data, asked)

    def _unfair(self, words: list[str]) -> bool:
        """Slurm says something else of steps while it knows no job, or arrays alone, and may know jobs of earlier examples."""
        if not self.jobs:
            return "step" in words
        asks_for_all = words[-1] == "steps" or words[-2:] == ["step", "abc"]
        return asks_for_all and all(job.tasks is not None for job in self.jobs)

    def _ask(self, data: st.DataObject, asked: list[list[str]]) -> None:
        ids = [str(job.job_id) for job in self.jobs] or ["999999"]
        for words in asked:
            if self._unfair(words):
                continue
            if words[0] == "sinfo" and _ONE_NODE in words:
                self.until_agreed(["sinfo"])
            one = self.one(data) if self.jobs else "999999"
            argv = with_ids(words, ids, one)
            if words[0] == "sacct" and self.untold() & set(re.findall(r"\d+", " ".join(argv))):
                continue
            self.until_agreed(argv)
