"""Nodes whose state is changed by hand, and what becomes of the jobs on them. Rules measured: docs/measured/nodes.md."""

from __future__ import annotations

from typing import Literal

from fakeslurm import messages
from fakeslurm.messages import Reason, SlurmError, unsupported
from fakeslurm.model import Abandon, Job, NodeReason, NodeRecord
from fakeslurm.slurmctld.running import Running
from fakeslurm.slurmctld.state import State
from fakeslurm.slurmctld.waiting import Waiting
from slurmkit.slurm.states import JobState

__all__ = ["NodeState", "Nodes"]

NodeState = Literal["DOWN", "DRAIN", "FAIL", "RESUME", "UNDRAIN"]


class Nodes:
    """Decides about the states of nodes."""

    def __init__(self, state: State, waiting: Waiting, running: Running) -> None:
        self._state = state
        self._waiting = waiting
        self._running = running

    def update(self, name: str, state: NodeState, why: NodeReason | None) -> None:
        """Change one node. Raises SlurmError for a node that there is not, and for RESUME of one that needs none."""
        record = self._state.resources.nodes.get(name)
        if record is None:
            raise SlurmError(messages.INVALID_NODE_NAME)
        match state:
            case "DOWN":
                self._set_down(record, why, lost=False)
                return
            case "DRAIN":
                record.drain, record.fail, record.why = True, False, why
            case "FAIL":
                record.drain, record.fail, record.why = False, True, why
            case "UNDRAIN":
                record.drain = False
                record.why = None if record.available else record.why
            case "RESUME":
                if record.available:
                    raise SlurmError(messages.INVALID_NODE_STATE)
                record.down = record.drain = record.fail = False
                record.why = None
        self._state.resources.availability_changed(record)

    def lose(self, name: str, why: NodeReason) -> None:
        """A node does not answer any more: what runs on it is gone, and has not been told."""
        self._set_down(self._state.resources.nodes[name], why, lost=True)

    def _set_down(self, record: NodeRecord, why: NodeReason | None, *, lost: bool) -> None:
        jobs = self._running_on(record)
        record.down, record.why = True, why
        self._state.resources.availability_changed(record)
        for job in jobs:
            self._fail(job, record.node.name, told=not lost or job.nodes[0] != record.node.name)
        for job_id in sorted({*record.jobs, *record.aside}):  # nobody waits for what is stuck there
            job = self._state.jobs[job_id]
            if job.completing and all(self._state.resources.nodes[name].down for name in job.nodes_left):
                if job.batch is not None and job.batch.running:
                    job.batch.lost = True
                self._state.effects.append(Abandon(job_id))

    def _running_on(self, record: NodeRecord) -> list[Job]:
        """The jobs that a node's failure ends. Raises SlurmError when there is one that would go on without it."""
        jobs = [self._state.jobs[job_id] for job_id in sorted({*record.jobs, *record.aside})]
        jobs = [job for job in jobs if not job.completing]
        # A heterogeneous job fails with any of its components (measured).
        leaders = {self._state.jobs[job.het.job_id] if job.het is not None else job for job in jobs}
        jobs = sorted(leaders, key=lambda job: job.job_id)
        for job in jobs:
            if job.description.no_kill and job.num_nodes > 1:
                raise unsupported(f"state=DOWN of a node of job {job.job_id}, which has --no-kill")
        return jobs

    def _fail(self, job: Job, node: str, *, told: bool) -> None:
        text = messages.DUE_TO_NODE_FAILURE if told else ""
        if job.batch is not None and not told:
            job.batch.lost = True
        if self._running.may_run_again(job):
            self._running.requeue(job, self._running.reason_to_wait(job), text, JobState.NODE_FAIL)
        else:
            job.failed_node = node
            self._running.terminate(job, JobState.NODE_FAIL, Reason.NODE_DOWN, text)
            if not told or job.batch is None:  # nobody says how the script has ended (measured)
                job.wait_status = self._state.settings.profile.node_fail_exit_code
