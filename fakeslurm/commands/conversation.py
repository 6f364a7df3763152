"""What srun and salloc have in common: they stay, are sent signals, and may wait for an allocation of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from fakeslurm.commands.base import Given, Invocation, Option, Refused, UsageError, loud_enough, parse_options
from fakeslurm.commands.description import describe
from fakeslurm.commands.job_options import Wishes
from fakeslurm.commands.sbatch import unknown_cluster
from fakeslurm.messages import ALREADY_DONE, FOUND_BY_CLIENT, INVALID_JOB_ID, Reason, SlurmError
from fakeslurm.model import PROFILES
from fakeslurm.server import Relayed

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.server import Caller

__all__ = ["IMPOSSIBLE", "PARTITION_CONFIGURATION", "Conversation", "Over", "Quieter", "converse"]

IMPOSSIBLE = (Reason.PARTITION_CONFIG, Reason.PARTITION_NODE_LIMIT, Reason.PARTITION_TIME_LIMIT)
"""Reasons of jobs that wait until their partition is another."""
PARTITION_CONFIGURATION = "Requested partition configuration not available now"
_OWN = frozenset({"help", "usage", "version"})
_SEVERITIES = ("error: ", "fatal: ")
_EARLY = ("warning: ", "Warning: ")
"""Warnings are said before --quiet is heeded (measured)."""
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


class Quieter(Relayed):
    """A caller to whom not everything is said: ``--quiet`` keeps to errors, and said more often not even to these."""

    quiet: int = 0
    program: str = ""

    def print(self, fd: int, text: str) -> None:
        super().print(fd, self._left_of(text) if fd == 2 and self.quiet else text)

    def _left_of(self, text: str) -> str:
        kept = loud_enough(text, self.program, _SEVERITIES[: self.quiet - 1])
        beginnings = tuple(f"{self.program}: {severity}" for severity in (*_SEVERITIES, *_EARLY))
        return "".join(one for one in kept.splitlines(keepends=True) if one.startswith(beginnings))


def converse(
    caller: Caller,
    invocation: Invocation,
    wishes: Wishes,
    operands: str,
    options: Sequence[Option],
    take: Callable[[Sequence[Given]], None],
    talk: Callable[[Quieter, Sequence[Given], Sequence[str]], int],
) -> int:
    """The whole life of one command: its return code.

    `operands` is what --help says of them. `take` gets the options that come to be looked at: what is wrong with variables and
    with those before is said first (measured). `talk` gets options and operands; its caller hears everything until it is told
    how quiet it is to be.
    """
    program = wishes.program
    quieter = Quieter(caller)
    quieter.program = program
    problem = None
    try:
        try:
            given, rest = parse_options(program, caller.argv[1:], options, permute=False)
        except UsageError as error:
            given, rest, problem = [*error.given], [], error
        end = next((place for place, one in enumerate(given) if one.key in _OWN), len(given))
        take(given[:end])
        if end < len(given):
            version = f"slurm-wlm {PROFILES[invocation.version].version}\n"
            usage = _USAGE.format(program=program, operands=operands)
            caller.print(1, version if given[end].key == "version" else usage)
            return 0
        if problem is not None:
            caller.print(2, problem.stderr)
            return 255
        return talk(quieter, given, rest)
    except UsageError as error:
        quieter.print(2, error.stderr)
        return 255
    except Refused as refusal:
        quieter.print(2, refusal.stderr)
        return refusal.returncode
    except Over as over:
        return over.returncode


@define
class Conversation:
    """One command that stays."""

    caller: Quieter
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

    def check_cluster(self) -> None:
        """Raises `Over` when it is to be another cluster than this one."""
        name = self.wishes.clusters
        if name not in (None, self.engine.controller.settings.cluster_name):
            self.caller.print(2, unknown_cluster(self.wishes.program, name).stderr)
            raise Over(1)

    def ask(self, name: str, argv: tuple[str, ...] = ()) -> int:
        """Ask for an allocation, with `name` when it was given none; `argv` is what is shown as its command. Its id. Raises SlurmError."""
        controller = self.engine.controller
        asked = describe(self.wishes, self.invocation, name=name, argv=argv, submit_line=" ".join(self.caller.argv))
        return self.engine.change(lambda now: controller.allocate(asked, now))

    def give_up(self, job_id: int) -> None:
        """Cancel the allocation."""
        self._quietly(lambda now: self.engine.controller.cancel(job_id, now, uid=self.invocation.uid))

    def refuse(self, job_id: int) -> None:
        """The allocation was to be there at once, and is not."""
        self._quietly(lambda now: self.engine.controller.refuse_allocation(job_id, now))

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
