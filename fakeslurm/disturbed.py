"""What becomes of a call that a fault has hit."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Protocol

from fakeslurm.commands.base import CONVERSATIONS
from fakeslurm.commands.unreachable import Unanswered, told, without_controller
from fakeslurm.history import FaultFired
from fakeslurm.server import Relayed

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.faults.base import Disturbance
    from fakeslurm.faults.plan import Plan
    from fakeslurm.ledger import Call
    from fakeslurm.server import Caller

__all__ = ["disturbed"]


class Run(Protocol):
    """Carries out the command; its return code. One that does not wait ends when it has its first answer (``sbatch --wait``)."""

    def __call__(self, caller: Caller, engine: Engine, *, waits: bool = True) -> int: ...


class _Held(Relayed):
    """A caller who gets what is printed when it is let go, and who is told nothing before."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self._texts: dict[int, list[str]] = {1: [], 2: []}

    def print(self, fd: int, text: str) -> None:
        self._texts[fd].append(text)

    def answer(self, code: int) -> None:
        """It hears it when it is let go."""

    def texts(self) -> tuple[str, str]:
        return "".join(self._texts[1]), "".join(self._texts[2])


def disturbed(
    what: Disturbance, call: Call, caller: Caller, engine: Engine, run: Run, plan: Plan, timeout: float | None
) -> int:
    """The return code. TimeoutError when the answer would not have come within `timeout` seconds, which have passed then."""
    if what.kill:
        if what.accepted:
            run(_Held(caller), engine, waits=False)
        with contextlib.suppress(ProcessLookupError):
            os.kill(what.kill, signal.SIGKILL)
        return 1  # which nobody hears
    held, seconds = _Held(caller), what.delay
    if what.before:
        _tell(engine, call)
        _wait(engine, what.before, timeout, call)
    if call.command in CONVERSATIONS and what.unanswered is None:  # it talks with its caller as it goes on
        if not what.before:
            _tell(engine, call)
        _wait(engine, seconds, timeout, call)
        return run(caller, engine)
    if what.unanswered is None:
        code = run(held, engine if what.settings is None else told(engine, what.settings))
    else:
        if what.accepted:
            run(_Held(caller), engine, waits=False)
        settings = engine.controller.settings
        try:
            code = run(held, without_controller(engine))
            plan.spare(call)
        except Unanswered as error:
            reply, requests = (
                (error.reply, 1)
                if error.reply is not None
                else what.unanswered(call.command, call.argv, caller.environ, settings)
            )
            held.print(1, f"{error.printed}{reply.stdout}")
            held.print(2, f"{error.said}{reply.stderr}")
            code = reply.returncode
            seconds += requests * what.patience
    texts = held.texts()
    if what.edit is not None:
        texts = what.edit(*texts)
    if not what.before and call.fault is not None:
        _tell(engine, call)
    _wait(engine, seconds, timeout, call)
    for fd, text in zip((1, 2), texts, strict=True):
        caller.print(fd, text)
    return code


def _wait(engine: Engine, seconds: float, timeout: float | None, call: Call) -> None:
    late = timeout is not None and seconds >= timeout
    left = timeout if late and timeout is not None else seconds
    if left > 0:
        engine.wait(lambda _now: None, left)
    if engine.closed:
        raise RuntimeError("this FakeSlurm is closed")
    if late:
        raise TimeoutError(f"{call.command} did not answer within {timeout:g} s")


def _tell(engine: Engine, call: Call) -> None:
    """Note in the history what has hit it, without the arguments: paths differ from run to run."""
    with engine.condition:
        engine.recorder.add(FaultFired(engine.now(), call.fault or "", call.command))
