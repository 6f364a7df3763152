"""`Engine`: what the jobs of one Cluster share."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from slurmkit.backends.base import Limits, SchedulerBackend
from slurmkit.clock import Clock, SystemClock
from slurmkit.errors import ClusterClosed
from slurmkit.polling.follower import Follower
from slurmkit.polling.status import StatusService

__all__ = ["Engine"]


@attrs.define(eq=False, kw_only=True)
class Engine:
    """The way to Slurm, the time, and who asks about the jobs. `uniform(a, b)` is the source of jitter."""

    backend: SchedulerBackend
    clock: Clock
    uniform: Callable[[float, float], float]
    status: StatusService
    follower: Follower
    closed: bool = False
    known_limits: Limits | None = None

    @classmethod
    def start(cls, backend: SchedulerBackend, clock: Clock | None) -> Engine:
        """`clock`: the backend's own, or the machine's, unless there is another one. The jitter is the backend's, if it has some."""
        uniform = getattr(backend, "uniform", None) or random.Random().uniform
        clock = clock or getattr(backend, "clock", None) or SystemClock()
        status = StatusService(backend, clock, uniform=uniform)
        return cls(backend=backend, clock=clock, uniform=uniform, status=status, follower=Follower(clock))

    def limits(self) -> Limits:
        """The site's limits of arrays, asked for once. Raises `SchedulerError`."""
        if self.known_limits is None:
            self.known_limits = self.backend.limits()
        return self.known_limits

    def check_open(self, what: str) -> None:
        """Raise `ClusterClosed`, beginning with `what`, when the cluster is closed."""
        if self.closed:
            raise ClusterClosed(f"{what}: its Cluster is closed; open another one and attach the job to it")
