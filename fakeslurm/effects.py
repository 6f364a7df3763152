"""What the controller wants done. Effects are carried out in order; each says what the controller is told in return."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

__all__ = ["BATCH", "Abandon", "Effect", "EndJob", "JobError", "SignalStep", "StartBatch", "StepId"]

BATCH: Literal["batch"] = "batch"
StepId = int | Literal["batch"]
"""Steps that srun makes are 0, 1, 2...; the batch script is the step ``batch``."""


@frozen
class StartBatch:
    """Start the batch script on the job's first node. Answer: `batch_started` or `launch_failed`; later `batch_ended`."""

    job_id: int


@frozen
class SignalStep:
    """Signal a running step: all its processes, or (`scope` "tasks") those that Slurm itself started. No answer."""

    job_id: int
    step_id: StepId
    signal: int
    scope: Literal["all", "tasks"] = "all"


@frozen
class JobError:
    """Write a line to the stderr of a step (of the batch script: the job's), as slurmstepd does. No answer."""

    job_id: int
    step_id: StepId
    text: str
    """With its line break."""


@frozen
class EndJob:
    """The job is over: kill what its batch script left behind. Answer `processes_gone` when nothing of it runs any more.

    Steps that still run have been signalled and will be killed by a later effect; their ends are reported as always.
    """

    job_id: int


@frozen
class Abandon:
    """The nodes of a job that is over are down: what is stuck there is not waited for. Answer: what of `batch_ended` and `processes_gone`
    is still to come."""

    job_id: int


Effect = StartBatch | SignalStep | JobError | EndJob | Abandon
