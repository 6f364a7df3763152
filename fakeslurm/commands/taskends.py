"""What srun says about the ends of its tasks, and the return code that it makes of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from attrs import define, field

from fakeslurm.memory import OUT_OF_MEMORY
from fakeslurm.model import Step
from slurmkit.slurm.states import ExitCode

__all__ = ["Endings", "exit_messages", "ranks_text", "return_code"]

_SIGNAL_WORDS = {
    signal.SIGHUP: "Hangup",
    signal.SIGINT: "Interrupt",
    signal.SIGQUIT: "Quit",
    signal.SIGILL: "Illegal instruction",
    signal.SIGTRAP: "Trace/breakpoint trap",
    signal.SIGABRT: "Aborted",
    signal.SIGBUS: "Bus error",
    signal.SIGFPE: "Floating point exception",
    signal.SIGKILL: "Killed",
    signal.SIGUSR1: "User defined signal 1",
    signal.SIGSEGV: "Segmentation fault",
    signal.SIGUSR2: "User defined signal 2",
    signal.SIGPIPE: "Broken pipe",
    signal.SIGALRM: "Alarm clock",
    signal.SIGTERM: "Terminated",
}
"""glibc's strsignal(), which other C libraries word differently."""
_GATHER = 0.1
"""Seconds for which the slurmstepd of a node waits for the ends of others, once a task has ended."""
_AT_ONCE = 0.05
"""Seconds within which nodes are told of in their order."""


def ranks_text(ranks: list[int]) -> str:
    """``task 0``, ``tasks 0-1,3``."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    text = ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    return f"task{'s' if len(ranks) > 1 else ''} {text}"


@define
class Endings:
    """Of which tasks srun hears when. The slurmstepd of a node gathers those that end within 0.1 s after the first, unless no other is left
    (measured). Of nodes that end at once srun hears in their order here, in any order from slurmstepds.
    """

    _tasks: Sequence[Sequence[int]] = ()
    """The ranks of each node."""
    _nodes: dict[int, int] = field(init=False)
    _left: list[int] = field(init=False)
    _running: int = field(init=False)
    _due: dict[int, float] = field(init=False, factory=dict)
    _gathered: dict[int, list[int]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._nodes = {rank: node for node, ranks in enumerate(self._tasks) for rank in ranks}
        self._left = [len(ranks) for ranks in self._tasks]
        self._running = len(self._nodes)

    def add(self, rank: int, now: float) -> None:
        node = self._nodes[rank]
        self._left[node] -= 1
        self._running -= 1
        self._gathered.setdefault(node, []).append(rank)
        due = self._due.setdefault(node, now + _GATHER)
        if not self._left[node]:
            self._due[node] = min(due, now + _AT_ONCE)
        if not self._running:
            self._due = dict.fromkeys(self._due, now)

    @property
    def due(self) -> float | None:
        """When there is something to hear, on the clock of `add`; None: nothing that has happened yet."""
        return min(self._due.values(), default=None)

    def take(self, now: float) -> list[int]:
        """The ranks of which srun has heard by now, each once."""
        ranks = []
        for node in [node for node, due in self._due.items() if due <= now]:
            del self._due[node]
            ranks += self._gathered.pop(node)
        return ranks


def exit_messages(step: Step, statuses: dict[int, int], *, out_of_memory: bool = False) -> list[str]:
    """What srun says about tasks that ended badly, by node and by how they ended; of those out of memory the first line alone (measured)."""
    lines: list[str] = []
    for node, ranks in zip(step.nodes, step.tasks, strict=True):
        by_status: dict[int, list[int]] = {}
        for rank in ranks:
            if statuses.get(rank):
                by_status.setdefault(statuses[rank], []).append(rank)
        for status, some in by_status.items():
            if status == OUT_OF_MEMORY and out_of_memory:
                continue
            out_of_memory = out_of_memory or status == OUT_OF_MEMORY
            lines.append(f"error: {node}: {ranks_text(some)}: {_words(status)}")
    return lines


def _words(status: int) -> str:
    if status == OUT_OF_MEMORY:
        return "Out Of Memory"
    code = ExitCode.from_wait_status(status)
    words = f"Exited with exit code {code.code}"
    if code.signal:
        words = _SIGNAL_WORDS.get(signal.Signals(code.signal), f"Unknown signal {code.signal}")
    return f"{words} (core dumped)" if os.WCOREDUMP(status) else words


def return_code(statuses: dict[int, int]) -> int:
    """The highest exit code; above those 128 + signal when any task died of one; above all 1 when any is out of memory (measured)."""
    if OUT_OF_MEMORY in statuses.values():
        return 1
    codes = [ExitCode.from_wait_status(status) for status in statuses.values()]
    highest_signal = max((code.signal for code in codes), default=0)
    return 128 + highest_signal if highest_signal else max((code.code for code in codes), default=0)
