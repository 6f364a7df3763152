"""Slurm's own words: error texts and pending reasons, each with its source, and the error that carries them.

"M" is docs/slurm-measurements.md (measured on 22.05.8), "errno" is the table in Slurm's src/common/slurm_errno.c, "reason" is
``job_reason_string`` in src/common/slurm_protocol_defs.c.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum

__all__ = ["Reason", "SlurmError", "ended_badly", "unsupported"]

INVALID_PARTITION = "Invalid partition name specified"  # M 1
INVALID_PARTITION_DETAIL = "invalid partition specified: {}"  # M 1: a line of its own, before the error
NODE_CONFIGURATION = "Requested node configuration is not available"  # M 1
NO_DEFAULT_PARTITION = "No partition specified or system default partition"  # errno
INVALID_TIME_LIMIT = (
    "Requested time limit is invalid (missing or exceeds some limit)"  # measured: a deadline in the past
)
PARTITION_UNAVAILABLE = (
    "Requested partition configuration not available now"  # measured: scontrol hold of a job that is too large
)
PARTITION_NOT_AVAILABLE = "Required partition not available (inactive or drain)"  # measured: sbatch -p DRAINED
STEP_MEMORY = "Memory required by task is not available"  # ESLURM_INVALID_TASK_MEMORY
MEMORY_DETAIL = "Memory specification can not be satisfied"  # M 1
CPU_COUNT_DETAIL = "CPU count per node can not be satisfied"  # M 1
SOCKETS_DETAIL = "Socket, core and/or thread specification can not be satisfied"  # docs/data/allocations-22.05.json
TMP_DISK_DETAIL = "Temporary disk specification can not be satisfied"  # docs/data/allocations-22.05.json
NODE_COUNT = "Node count specification invalid"  # M 1
INVALID_NODE_STATE = "Invalid node state specified"  # measured: scontrol update of a node
INVALID_NODE_NAME = "Invalid node name specified"  # M 1
INVALID_FEATURE = "Invalid feature specification"  # M 1
INVALID_GRES = "Invalid generic resource (gres) specification"  # M 1
MIXED_GRES = "Invalid GRES specification (with and without type identification)"  # measured: --gres=gpu:1,gpu:a100:1
FOUND_BY_CLIENT = frozenset({INVALID_GRES, MIXED_GRES})
"""What the commands say without having asked the controller: nothing about a failed submission in front."""
CONNECT_FAILURE = "Unable to contact slurm controller (connect failure)"  # docs/measured/faults.md
SOCKET_TIMEOUT = "Socket timed out on send/recv operation"  # docs/measured/faults.md
INVALID_LICENSE = "Invalid license specification"  # M 1
INVALID_RESERVATION = "Requested reservation is invalid"  # M 1
INVALID_ARRAY = "Invalid job array specification"  # M 1
CIRCULAR_DEPENDENCY = "Circular job dependency"
DEPENDENCY_PROBLEM = "Job dependency problem"  # M 1
PATHNAME_TOO_LONG = "Pathname of a file, directory or other parameter too long"  # M 1
INVALID_JOB_ID = "Invalid job id specified"  # M 2
ACCESS_DENIED = "Access/permission denied"  # errno
MAX_JOB_COUNT = "Resource temporarily unavailable"  # errno
TASK_COUNT = "Task count specification invalid"  # measured: srun -c2 on more nodes than have 2 CPUs
MORE_PROCESSORS = "More processors requested than permitted"  # M 4
MORE_THREADS = "Cannot request more threads per core than the job allocation"  # measured: srun --threads-per-core=2
STEP_NOT_RUNNING = "Job step not running"  # measured: a signal to a step of a suspended job
NOT_SUSPENDED = "Job is not suspended"  # errno
UNEXPECTED_MESSAGE = "Unexpected message received"  # measured: scontrol suspend of an unknown id
JOB_FINISHED = "Job has already finished"  # measured: scontrol hold
JOB_NOT_PENDING = "Job is no longer pending execution"  # measured: scontrol update of a job that runs
JOB_NOT_RUNNING = "Job is not running"  # measured: scontrol update EndTime of a job that waits
JOB_HELD = "Job is in held state, pending scheduler release"  # measured: scontrol update Priority of a held job
INVALID_TIME = "Invalid time specified"  # measured: scontrol update EndTime in the past
NOT_SUPPORTED = "Requested operation not supported on this system"  # errno
THROTTLE_DETAIL = "Update of ArrayTaskThrottle is only allowed on ArrayJobId"  # measured on 24.11
NO_SCRIPT = "Job script not specified"  # measured: scontrol write batch_script of an allocation
NO_ERROR = "No error"  # measured: scontrol hold of the elements of an array
NOT_YOURS = "Invalid user id"  # measured: scontrol hold and update of somebody else's job
JOB_PENDING = "Job is pending execution"  # errno
ALREADY_DONE = "Job/step already completing or completed"  # errno
TIMED_OUT = "Connection timed out"  # errno
NODES_BUSY = "Requested nodes are busy"  # errno
DISABLED = "Requested operation is presently disabled"  # measured: scontrol requeue of a job with --no-requeue
NOT_WHOLE_HET_JOB = (
    "Operation not permitted on individual component of heterogeneous job"  # measured: scancel, scontrol suspend
)
NOT_HET_JOB_LEADER = "Job not heterogeneous job leader"  # measured: scontrol requeue
ONLY_BATCH = "Only batch jobs are accepted or processed"  # errno

# What slurmstepd writes to the stderr of a step that is ended (slurmstepd/req.c), without its prefix.
CANCELLED_AT = "*** {name} ON {node} CANCELLED AT {stamp} ***"  # measured
DUE_TO_TIME_LIMIT = "*** {name} ON {node} CANCELLED AT {stamp} DUE TO TIME LIMIT ***"  # measured
DUE_TO_NODE_FAILURE = (  # measured
    "*** {name} ON {node} CANCELLED AT {stamp} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***"
)
DUE_TO_REQUEUE = "*** {name} ON {node} CANCELLED AT {stamp} DUE TO JOB REQUEUE ***"  # measured
DUE_TO_PREEMPTION = "*** {name} ON {node} CANCELLED AT {stamp} DUE TO PREEMPTION ***"  # measured
STEP_FAILED = "*** {name} ON {node} FAILED (non-zero exit code or other failure mode) ***"  # measured
STEP_FAILED_BY_SIGNAL = f"{STEP_FAILED}\n*** REASON: {{reason}} ***"  # of the batch script, in 24.11 (measured)


UNAVAILABLE_NODES = "ReqNodeNotAvail, UnavailableNodes:{nodes}"
"""A reason of a pending job (measured)."""
MAY_BE_RESERVED = "ReqNodeNotAvail, May be reserved for other job"
"""A reason of a pending job (measured)."""
TOO_FEW_NODES = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
"""A reason of a pending job (measured)."""


class Reason(StrEnum):
    """Why a job waits, or how it ended; the words squeue and scontrol print."""

    NONE = "None"
    PRIORITY = "Priority"
    RESOURCES = "Resources"
    LICENSES = "Licenses"
    DEPENDENCY = "Dependency"
    DEPENDENCY_NEVER_SATISFIED = "DependencyNeverSatisfied"
    BEGIN_TIME = "BeginTime"
    HELD_BY_USER = "JobHeldUser"
    HELD_BY_ADMIN = "JobHeldAdmin"
    REQUEUED_HELD = "job requeued in held state"
    LAUNCH_FAILED_HELD = "launch failed requeued held"  # docs/measured/jobfaults.md
    PARTITION_DOWN = "PartitionDown"
    PARTITION_INACTIVE = "PartitionInactive"
    PARTITION_NODE_LIMIT = "PartitionNodeLimit"
    PARTITION_TIME_LIMIT = "PartitionTimeLimit"
    PARTITION_CONFIG = "PartitionConfig"
    NON_ZERO_EXIT_CODE = "NonZeroExitCode"
    LAUNCH_FAILURE = "JobLaunchFailure"
    OUT_OF_MEMORY = "OutOfMemory"
    TIME_LIMIT = "TimeLimit"
    DEADLINE = "DeadLine"
    BAD_CONSTRAINTS = "BadConstraints"
    NODE_DOWN = "NodeDown"
    NODE_NOT_AVAILABLE = "ReqNodeNotAvail"
    ARRAY_TASK_LIMIT = "JobArrayTaskLimit"


class SlurmError(Exception):
    """The controller refuses a request, in Slurm's words.

    `message` is what follows ``sbatch: error: Batch job submission failed: ``; each of `details` is a line that the command
    prints before it (``sbatch: error: Memory specification can not be satisfied``).
    """

    def __init__(self, message: str, *details: str) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.job_id: int | None = None
        """Of several jobs the one that it is about."""


def unsupported(what: str) -> SlurmError:
    """The refusal of something that Slurm can and this fake cannot; it says so, since Slurm has no word for it."""
    return SlurmError(f"fakeslurm does not support {what}")


def ended_badly(wait_status: int, *, raised_signal: bool) -> str:
    """The reason of a job whose script ended with this wait status, which is not 0.

    Killed by a signal: ``RaisedSignal:9(Killed)`` since 23.02 (job_mgr.c), before that JobLaunchFailure.
    """
    if not os.WIFSIGNALED(wait_status):
        return Reason.NON_ZERO_EXIT_CODE
    if not raised_signal:
        return Reason.LAUNCH_FAILURE
    number = os.WTERMSIG(wait_status)
    words = (signal.strsignal(number) or f"Unknown signal {number}").partition(":")[0]  # macOS: "Killed: 9"
    return f"RaisedSignal:{number}({words})"
