"""Watches what the processes of jobs use, and kills as the kernel does where a memory limit is exceeded. A shell around `fakeslurm.memory`.

The kernel sees every page; this looks every `_INTERVAL` seconds. A process that has given its memory back by then is not seen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from attrs import define, field

from fakeslurm.memory import OUT_OF_MEMORY, Limit, Usage, victims
from fakeslurm.processes import descendants
from fakeslurm.steps import RunningStep, StepListener

__all__ = ["ConstrainedStep", "MemoryWatch", "can_watch"]

_INTERVAL = 0.02
_PROC = Path("/proc")
_KILOBYTE = 1024
"""The unit of /proc/PID/status and smaps_rollup."""


def can_watch() -> bool:
    """Whether this system tells what a process uses."""
    return sys.platform == "linux" and (_PROC / "self/smaps_rollup").exists()


@define
class _Watched:
    """One step: where its processes are, and what they may use on each of its nodes."""

    pid: int
    """Of the step process; everything below it is the step's."""
    job_id: int
    name: str
    """``1.batch``, ``1.0``."""
    nodes: Sequence[str]
    limits: Sequence[Limit]
    places: dict[int, int]
    """Which of the nodes a process is on: the tasks, and what was seen below them."""

    def by_node(self) -> dict[str, list[int]]:
        """Its processes. What has left its task's tree stays where it was first seen, or is of the first node."""
        found: dict[str, list[int]] = {node: [] for node in self.nodes}
        try:
            alive = descendants(self.pid)
        except ProcessLookupError:  # the step is over
            alive = []
        for pid in alive:  # parents come before their children
            if pid not in self.places:
                self.places[pid] = self.places.get(_parent(pid), 0)
            found[self.nodes[self.places[pid]]].append(pid)
        self.places = {pid: self.places[pid] for pid in alive}
        return found


@define
class MemoryWatch:
    """One thread for all steps, while there are any."""

    _condition: threading.Condition = field(factory=threading.Condition)
    _steps: dict[str, _Watched] = field(factory=dict)
    _kills: Counter[tuple[str, str]] = field(factory=Counter)
    """By step and node."""
    _dying: dict[tuple[int, str], int] = field(factory=dict)
    """By job and node: who was killed last; until it is gone nobody else is."""
    _thread: threading.Thread | None = None
    _closed: bool = False

    def add(self, step: _Watched) -> None:
        with self._condition:
            self._steps[step.name] = step
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fakeslurm-memory", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def remove(self, name: str) -> None:
        with self._condition:
            step = self._steps.pop(name, None)
            if step is None:
                return
            for node in step.nodes:
                self._kills.pop((name, node), None)
                if not any(other.job_id == step.job_id for other in self._steps.values()):
                    self._dying.pop((step.job_id, node), None)

    def kills(self, name: str, node: str) -> int:
        """How many processes of this step were killed on this node."""
        with self._condition:
            return self._kills[name, node]

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _run(self) -> None:
        with self._condition:
            while not self._closed:
                self._look()
                self._condition.wait(_INTERVAL if self._steps else None)

    def _look(self) -> None:
        jobs: dict[tuple[int, str], dict[str, tuple[Limit, list[int]]]] = defaultdict(dict)
        for step in self._steps.values():
            for (node, pids), limit in zip(step.by_node().items(), step.limits, strict=True):
                jobs[step.job_id, node][step.name] = limit, pids
        for place, steps in jobs.items():
            if place in self._dying and _used(self._dying[place]):
                continue
            self._dying.pop(place, None)
            self._judge(place, {name: limit for name, (limit, _) in steps.items()}, {k: v[1] for k, v in steps.items()})

    def _judge(self, place: tuple[int, str], limits: Mapping[str, Limit], pids: Mapping[str, Sequence[int]]) -> None:
        def look(measure: Callable[[int], Usage]) -> dict[str, int]:
            return victims({name: [measure(pid) for pid in some] for name, some in pids.items()}, limits)

        if look(_rough) and (found := look(_exact)):
            (name, pid), *_ = found.items()
            self._dying[place] = pid
            self._kills[name, place[1]] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _status(pid: int) -> dict[str, int]:
    """What /proc/PID/status says in kB; nothing of a process that has ended."""
    try:
        lines = (_PROC / f"{pid}/status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {line.partition(":")[0]: int(line.split()[1]) * _KILOBYTE for line in lines if line.endswith(" kB")}


def _parent(pid: int) -> int:
    try:
        return int((_PROC / f"{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _used(pid: int) -> int:
    return _status(pid).get("VmRSS", 0)


def _rough(pid: int) -> Usage:
    """At least what it uses: pages that it shares with its parent are counted for both."""
    status = _status(pid)
    return Usage(pid, status.get("RssAnon", 0) + status.get("RssShmem", 0), status.get("VmRSS", 0))


def _exact(pid: int) -> Usage:
    """Pages shared by several are divided among them, as a cgroup has them once. Takes some milliseconds per gigabyte."""
    try:
        lines = (_PROC / f"{pid}/smaps_rollup").read_text(errors="replace").splitlines()
        adjustment = int((_PROC / f"{pid}/oom_score_adj").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return Usage(pid, 0, 0)
    pages = {line.partition(":")[0]: int(line.split()[1]) * _KILOBYTE for line in lines if line.endswith(" kB")}
    return Usage(pid, pages.get("Pss_Anon", 0) + pages.get("Pss_Shmem", 0), pages.get("Rss", 0), adjustment)


@define
class ConstrainedStep:
    """Stands between a step and its listener: has its memory watched, and reports as slurmstepd does what came of it.

    When the first task of a node ends, its slurmstepd asks once how many processes were killed; if any were, that task and all
    that end there later are out of memory, however they ended (measured).
    """

    listener: StepListener
    watch: MemoryWatch
    job_id: int
    name: str
    nodes: Sequence[str]
    groups: Sequence[int]
    """The node of each task."""
    limits: Sequence[Limit]
    say: Callable[[int, str], str]
    """The line that reports a number of kills on a node."""
    _launched: Future[RunningStep] = field(factory=Future)
    _judged: dict[int, bool] = field(factory=dict)
    _left: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left = len(self.groups)

    def launched(self, running: RunningStep) -> None:
        """It is under way; before that nothing that it reports is dealt with."""
        self._launched.set_result(running)

    def failed(self, file: int, errno: int) -> None:
        self.listener.failed(file, errno)

    def started(self, pids: list[int]) -> None:
        running = self._launched.result()
        assert running.pid is not None
        places = dict(zip(pids, self.groups, strict=True))
        self.watch.add(_Watched(running.pid, self.job_id, self.name, self.nodes, self.limits, places))
        self.listener.started(pids)

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        running = self._launched.result()
        group = self.groups[index]
        if group not in self._judged:
            kills = self.watch.kills(self.name, self.nodes[group])
            self._judged[group] = bool(kills)
            if kills:
                running.write(self.say(kills, self.nodes[group]), group)
        self.listener.task_ended(index, OUT_OF_MEMORY if self._judged[group] else wait_status, max_rss)
        self._left -= 1
        if self._left == 0:
            running.leave()

    def ended(self) -> None:
        self.watch.remove(self.name)
        self.listener.ended()
