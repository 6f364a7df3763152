"""What srun and salloc have in common: they stay, are sent signals, and may wait for an allocation of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from fakeslurm.commands.base import Given, Invocation, Option, Refused, UsageError, parse_options
from fakeslurm.commands.description import describe
from fakeslurm.commands.job_options import Wishes
from fakeslurm.messages import ALREADY_DONE, FOUND_BY_CLIENT, INVALID_JOB_ID, Reason, SlurmError
from fakeslurm.model import PROFILES

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.server import Caller

__all__ = ["IMPOSSIBLE", "PARTITION_CONFIGURATION", "Conversation", "Over", "converse"]

IMPOSSIBLE = (Reason.PARTITION_CONFIG, Reason.PARTITION_NODE_LIMIT, Reason.PARTITION_TIME_LIMIT)
"""Reasons of jobs that wait until their partition is another."""
PARTITION_CONFIGURATION = "Requested partition configuration not available now"
_USAGE = """\
Usage: {program} [OPTIONS...] {operands}

This is fakeslurm: an option of {program} is carried out as Slurm does, or refused with
"fakeslurm does not support --OPTION". See {program}(1) for what the options mean.
"""


class Over(Exception):  # noqa: N818 (an answer)
    """The command ends here, with this return code; it has said why."""

    def __init__(self, returncode: int) -> None:
        super().__init__(returncode)
        self.returncode = returncode


def converse(
    caller: Caller,
    invocation: Invocation,
    program: str,
    operands: str,
    options: Sequence[Option],
    talk: Callable[[Sequence[Given], Sequence[str]], int],
) -> int:
    """The whole life of one command: its return code. `operands` is what --help says of them; `talk` gets options and operands."""
    try:
        given, rest = parse_options(program, caller.argv[1:], options, permute=False)
        names = {option.key for option in given}
        if "version" in names:
            caller.print(1, f"slurm-wlm {PROFILES[invocation.version].version}\n")
            return 0
        if names & {"help", "usage"}:
            caller.print(1, _USAGE.format(program=program, operands=operands))
            return 0
        return talk(given, rest)
    except UsageError as error:
        caller.print(2, error.stderr)
        return 255
    except Refused as refusal:
        caller.print(2, refusal.stderr)
        return refusal.returncode
    except Over as over:
        return over.returncode


@define
class Conversation:
    """One command that stays."""

    caller: Caller
    engine: Engine
    invocation: Invocation
    command: tuple[str, ...]
    wishes: Wishes
    signals: deque[int] = field(factory=deque, kw_only=True)
    """Sent to the command and not yet dealt with."""

    def on_signal(self, number: int) -> None:
        self.signals.append(number)
        self.engine.notify()

    def say(self, text: str) -> None:
        self.caller.print(2, f"{self.wishes.program}: {text}\n")

    def fail(self, *texts: str) -> Over:
        for text in texts:
            self.say(f"error: {text}")
        return Over(1)

    def no_allocation(self, what: str, message: str, *details: str) -> Over:
        """`what` did not succeed: its words stand before those of the controller, but not before the client's own."""
        if message not in FOUND_BY_CLIENT and not message.startswith("fakeslurm "):
            message = f"{what}: {message}"
        return self.fail(*details, message)

    def ask(self, name: str) -> int:
        """Ask for an allocation, with `name` when it was given none: its id. Raises SlurmError."""
        controller = self.engine.controller
        asked = describe(self.wishes, self.invocation, name=name)
        asked = evolve(asked, submit_line=" ".join(self.caller.argv))
        return self.engine.change(lambda now: controller.allocate(asked, now))

    def give_up(self, job_id: int) -> None:
        """Cancel the allocation."""
        self._quietly(lambda now: self.engine.controller.cancel(job_id, now, uid=self.invocation.uid))

    def release(self, job_id: int, wait_status: int) -> None:
        """The allocation is not needed any more."""
        self._quietly(lambda now: self.engine.controller.release_allocation(job_id, wait_status, now))

    def _quietly(self, action: Callable[[float], None]) -> None:
        """For what may have been overtaken: the job has ended already, or the whole FakeSlurm has."""
        try:
            self.engine.change(action)
        except SlurmError as error:
            if error.message not in (ALREADY_DONE, INVALID_JOB_ID):
                raise
        except RuntimeError:
            if not self.engine.closed:
                raise
