"""Job states and exit codes, as every Slurm command spells them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class JobState(StrEnum):
    """Every state Slurm documents, printed as Slurm's word; ``compact`` is what squeue's %t prints.

    The first twelve are base states (slurm/slurm.h ``enum job_states``), the others are flags set on top of a base
    state; the commands print a flag instead of the base state. Compact codes are those that ``squeue --states`` takes
    (22.05.8, 24.11.5); states that only the REST interface shows have none.
    """

    compact: str
    is_flag: bool

    def __new__(cls, word: str, compact: str, is_flag: bool) -> JobState:
        member = str.__new__(cls, word)
        member._value_ = word
        member.compact = compact
        member.is_flag = is_flag
        return member

    PENDING = "PENDING", "PD", False
    RUNNING = "RUNNING", "R", False
    SUSPENDED = "SUSPENDED", "S", False
    COMPLETED = "COMPLETED", "CD", False
    CANCELLED = "CANCELLED", "CA", False
    FAILED = "FAILED", "F", False
    TIMEOUT = "TIMEOUT", "TO", False
    NODE_FAIL = "NODE_FAIL", "NF", False
    PREEMPTED = "PREEMPTED", "PR", False
    BOOT_FAIL = "BOOT_FAIL", "BF", False
    DEADLINE = "DEADLINE", "DL", False
    OUT_OF_MEMORY = "OUT_OF_MEMORY", "OOM", False
    COMPLETING = "COMPLETING", "CG", True
    CONFIGURING = "CONFIGURING", "CF", True
    EXPEDITING = "EXPEDITING", "", True
    LAUNCH_FAILED = "LAUNCH_FAILED", "", True
    POWER_UP_NODE = "POWER_UP_NODE", "", True
    RECONFIG_FAIL = "RECONFIG_FAIL", "", True
    REQUEUED = "REQUEUED", "RQ", True
    REQUEUE_FED = "REQUEUE_FED", "RF", True
    REQUEUE_HOLD = "REQUEUE_HOLD", "RH", True
    RESIZING = "RESIZING", "RS", True
    RESV_DEL_HOLD = "RESV_DEL_HOLD", "RD", True
    REVOKED = "REVOKED", "RV", True
    SIGNALING = "SIGNALING", "SI", True
    SPECIAL_EXIT = "SPECIAL_EXIT", "SE", True
    STAGE_OUT = "STAGE_OUT", "SO", True
    STOPPED = "STOPPED", "ST", True


TERMINAL_STATES: frozenset[str] = frozenset(
    {
        JobState.COMPLETED,
        JobState.CANCELLED,
        JobState.FAILED,
        JobState.TIMEOUT,
        JobState.NODE_FAIL,
        JobState.PREEMPTED,
        JobState.BOOT_FAIL,
        JobState.DEADLINE,
        JobState.OUT_OF_MEMORY,
    }
)
"""The finished base states. A requeued job can leave them again: terminal is not absorbing in Slurm."""

ACTIVE_STATES: frozenset[str] = frozenset(JobState) - TERMINAL_STATES
"""Everything else that Slurm documents: the job is still Slurm's business."""

_EXIT_CODE = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?", re.ASCII)
_BY_COMPACT = {state.compact: state for state in JobState if state.compact}


def base_state(text: str) -> str:
    """The state as a word of :class:`JobState`, from any command's spelling; unknown text comes back upper-cased.

    Takes ``COMPLETED``, ``JobState=COMPLETED``, ``CANCELLED by 1000``, ``CANCELLED+`` (cut by sacct), ``CD``.
    """
    word = text.strip().rpartition("=")[2].strip().upper()
    word = word.split(" BY ")[0].strip()
    if word in JobState.__members__:
        return JobState[word]
    if word in _BY_COMPACT:
        return _BY_COMPACT[word]
    if word.endswith("+"):
        candidates = [state for state in JobState if state.startswith(word[:-1])]
        if len(candidates) == 1:
            return candidates[0]
    return word


def is_terminal(text: str) -> bool:
    """Whether the state, in any spelling, is a finished base state. COMPLETING, REQUEUED and unknown words are not."""
    return base_state(text) in TERMINAL_STATES


class ExitCode(NamedTuple):
    """Slurm's ``ExitCode=code:signal``; not more than one of them is non-zero in what Slurm writes."""

    code: int = 0
    signal: int = 0

    @classmethod
    def parse(cls, value: str | int) -> ExitCode:
        """``"3:0"``, or the raw wait status (768 for exit 3) that ``squeue -O exit_code`` prints. Raises `ValueError`."""
        match = _EXIT_CODE.fullmatch(str(value).strip())
        if match is None:
            raise ValueError(
                f"invalid exit code {value!r}: expected CODE:SIGNAL, such as 3:0, or a wait status of 0 or more"
            )
        if match[2] is None:
            return cls.from_wait_status(int(match[1]))
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def from_wait_status(cls, status: int) -> ExitCode:
        """From the status that wait(2) gives: a signal in the low seven bits, or else an exit code in the next byte.

        Slurm's own "out of memory" (253) comes out as ``0:125``, as in its commands.
        """
        signal = status & 0x7F
        return cls(0, signal) if signal else cls(status >> 8, 0)

    def __str__(self) -> str:
        return f"{self.code}:{self.signal}"

    @property
    def ok(self) -> bool:
        """Whether it is success: ``0:0``."""
        return self == (0, 0)
