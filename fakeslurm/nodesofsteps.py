"""On which nodes a step still runs: slurmctld gives back the nodes of a job that has ended one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import define

from fakeslurm.steps import StepListener, StepSpec

__all__ = ["watched"]


def watched(spec: StepSpec, listener: StepListener, left: Callable[[int], None]) -> StepListener:
    """The listener of a step that is about to be launched: `listener`, and `left`, called with each group of tasks (a node) that has ended."""
    groups = [task.group for task in spec.tasks]
    running = Counter(groups)
    return listener if len(running) < 2 else _Watched(listener, groups, running, left)


@define
class _Watched:
    _listener: StepListener
    _groups: list[int]
    _running: Counter[int]
    _left: Callable[[int], None]

    def failed(self, file: int, errno: int) -> None:
        self._listener.failed(file, errno)

    def started(self, pids: list[int]) -> None:
        self._listener.started(pids)

    def task_ended(self, index: int, wait_status: int, max_rss: int) -> None:
        self._listener.task_ended(index, wait_status, max_rss)
        group = self._groups[index]
        self._running[group] -= 1
        if not self._running[group]:
            self._left(group)

    def ended(self) -> None:
        self._listener.ended()
