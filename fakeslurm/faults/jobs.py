"""Faults of jobs and of the nodes they run on. What Slurm makes of them was measured: docs/measured/jobfaults.md."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs
from attrs import field, frozen

from fakeslurm.faults.base import End, Fault, Kind
from fakeslurm.faults.ofjobs import OfJobs, check_node, chosen, ends, hit, is_name
from fakeslurm.faults.outages import is_duration, is_period
from fakeslurm.model import NodeReason

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.model import Settings

__all__ = [
    "ClockSkew",
    "LaunchFailure",
    "NoSpace",
    "NodeFailure",
    "OutOfMemory",
    "Preempted",
    "Requeued",
    "ResultLag",
    "StuckCompleting",
]

NOT_RESPONDING = "Not responding"
"""slurmctld's reason for a node that it has not heard of for SlurmdTimeout seconds (measured)."""


@frozen(kw_only=True)
class NodeFailure(Kind):
    """A node is lost: it is DOWN, its processes are gone, its jobs are requeued or end NODE_FAIL as they allow. At the end it comes back.

    `lives_on`: only its slurmd is gone. The scripts on it run on unheard, and are ended when the node comes back; a job that was requeued runs
    twice meanwhile.

    This is the moment at which slurmctld has noticed, SlurmdTimeout seconds after the node has died. `node`: its name; by default one on
    which jobs run, if there is any, chosen by the seed.
    """

    name: ClassVar[str] = "node_failure"

    node: str | None = field(default=None, validator=is_name)
    lives_on: bool = field(default=False, validator=attrs.validators.instance_of(bool))

    def check(self, settings: Settings) -> None:
        check_node(self.name, self.node, settings)

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        nodes = engine.controller.nodes
        up = [name for name, record in nodes.items() if not record.down and self.node in (None, name)]
        busy = [name for name in up if nodes[name].jobs]
        if not up:
            return None
        name = engine.chance.choice(busy or up)
        hit(engine, fault, now, f"node {name}")
        scripts = engine.slurmd.cut_off(name) if self.lives_on else []
        engine.controller.lose_node(name, NodeReason(NOT_RESPONDING, "root", 0, now), now)
        engine.slurmd.bury()

        def kill(_now: float) -> None:
            for script in scripts:
                script.signal(signal.SIGKILL)

        def end(now: float) -> None:
            for script in scripts:
                for number in (signal.SIGCONT, signal.SIGTERM):
                    script.signal(number)
            engine.at(now + engine.controller.settings.kill_wait, kill)
            if nodes[name].down:
                engine.controller.update_node(name, now, "RESUME")

        return end


@frozen(kw_only=True)
class LaunchFailure(OfJobs):
    """The scripts of jobs that are to start cannot be launched: FAILED 0:53, without output, as with a missing directory.

    `requeued`: as on a node that cannot write the script into its spool: PENDING, held, for `launch failed requeued held`.
    """

    name: ClassVar[str] = "launch_failure"

    requeued: bool = field(default=False, validator=attrs.validators.instance_of(bool))

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        return ends(self.watch(engine, fault, "hold" if self.requeued else "launch"))


@frozen(kw_only=True)
class OutOfMemory(OfJobs):
    """The kernel kills the scripts of jobs that run for their memory: OUT_OF_MEMORY 0:125."""

    name: ClassVar[str] = "out_of_memory"

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        candidates = [job for job in self.running(engine) if job.batch is not None and job.batch.running]
        for job in chosen(engine, fault, candidates):
            hit(engine, fault, now, f"job {job.job_id}")
            engine.slurmd.starve(job.job_id)
        return None


@frozen(kw_only=True)
class Preempted(OfJobs):
    """Jobs that run have to make room, as if others had come that preempt them: PREEMPTED, or requeued with `mode` "REQUEUE"."""

    name: ClassVar[str] = "preemption"

    mode: Literal["CANCEL", "REQUEUE"] = field(default="CANCEL", validator=attrs.validators.in_(("CANCEL", "REQUEUE")))

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        for job in chosen(engine, fault, self.running(engine)):
            hit(engine, fault, now, f"job {job.job_id}")
            engine.controller.preempt(job.job_id, now, self.mode)
        return None


@frozen(kw_only=True)
class Requeued(OfJobs):
    """An administrator requeues jobs that run and may be requeued, and holds them then with `hold`."""

    name: ClassVar[str] = "requeue"

    hold: bool = field(default=False, validator=attrs.validators.instance_of(bool))

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        candidates = [job for job in self.running(engine) if engine.controller.may_requeue(job.job_id)]
        for job in chosen(engine, fault, candidates):
            hit(engine, fault, now, f"job {job.job_id}")
            engine.controller.requeue(job.job_id, now, uid=0, hold=self.hold)
        return None


@frozen(kw_only=True)
class StuckCompleting(OfJobs):
    """Jobs that are over stay COMPLETING and keep their nodes: for `seconds`, until the end of the fault, or until their nodes are set down.

    A job that is cancelled has no exit code until then; of one that ends by itself it is known.
    """

    name: ClassVar[str] = "stuck_completing"

    seconds: float = field(default=math.inf, validator=is_period)

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        end = self.watch(engine, fault, "completing", self.seconds)

        def let_go(_now: float) -> None:
            for job_id in sorted(end()):
                engine.slurmd.reports.let_go(job_id)

        return let_go


@frozen(kw_only=True)
class ResultLag(OfJobs):
    """The file system lags: what simulated jobs write appears `seconds` later, the files of slurmkit's job directory among it.

    What processes write is there at once.
    """

    name: ClassVar[str] = "result_lag"

    seconds: float = field(validator=is_duration)

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        return ends(self.watch(engine, fault, "results", self.seconds))


@frozen(kw_only=True)
class NoSpace(OfJobs):
    """The file system is full where jobs write.

    What processes write to the job's standard output and error fails with ENOSPC (files that they open themselves are not affected).
    A simulated job that has something to write leaves nothing, and fails with exit code 1 when it would have succeeded.
    """

    name: ClassVar[str] = "no_space"

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        return ends(self.watch(engine, fault, "space"))


@frozen(kw_only=True)
class ClockSkew(Kind):
    """The cluster's clock is `seconds` ahead of the client's (behind it with a negative number).

    The client's is that of `FakeSlurm.backend` and of `FakeSlurm.freeze`; Slurm and the jobs have the cluster's.
    """

    name: ClassVar[str] = "clock_skew"

    seconds: float = field(validator=attrs.validators.instance_of((int, float)))

    def begin(self, engine: Engine, fault: Fault, now: float) -> End | None:
        hit(engine, fault, now, "the client")
        engine.skew.change(self.seconds)
        return lambda _now: engine.skew.change(-self.seconds)


ALL: tuple[type[Kind], ...] = (
    NodeFailure,
    LaunchFailure,
    OutOfMemory,
    Preempted,
    Requeued,
    StuckCompleting,
    ResultLag,
    NoSpace,
    ClockSkew,
)
