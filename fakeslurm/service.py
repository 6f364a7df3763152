"""What happens when a command is called, from this process or from a program."""

from __future__ import annotations

import grp
import os
import pwd
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from attrs import evolve, frozen

from fakeslurm.commands import salloc, sbatch, sleep, srun
from fakeslurm.commands.base import CONVERSATIONS, Continuation, Invocation, Reply, Written, command
from fakeslurm.disturbed import disturbed
from fakeslurm.engine import Engine
from fakeslurm.faults.plan import Plan
from fakeslurm.ledger import Call, Ledger
from fakeslurm.server import Caller
from fakeslurm.slurmctld import Controller

__all__ = ["Service"]

_MAY_WAIT = ("srun", "salloc", "sbatch", "scontrol")


class Service:
    """Answers calls: asks the command's function under the engine's lock, prints, and keeps the ledger."""

    def __init__(self, engine: Engine, ledger: Ledger, plan: Plan) -> None:
        self._engine = engine
        self._ledger = ledger
        self._plan = plan
        self._identity = _identity(engine)

    def serve(self, caller: Caller) -> int:
        """A command on PATH was called; its return code."""
        try:
            with self._engine.slurmd.time.call(caller.environ):
                return sleep.run(caller, self._engine) if caller.argv[0] == "sleep" else self.call(caller, "shim")
        except Exception:  # noqa: BLE001 (a bug of the fake must be seen by who called the command, not vanish)
            name = caller.argv[0]
            if self._engine.closed:
                caller.print(2, f"{name}: error: Unable to contact slurm controller (connect failure)\n")
            else:
                caller.print(2, f"{name}: error: fakeslurm has failed\n{traceback.format_exc()}")
            return 1

    def call(self, caller: Caller, via: Literal["backend", "shim"], timeout: float | None = None) -> int:
        """The return code. TimeoutError when there is none after `timeout` seconds."""
        call = Call(caller.argv[0], tuple(caller.argv[1:]), self._engine.clock.time(), via)
        self._ledger.add(call)
        disturbance = self._plan.disturb(call, self._engine.controller.settings, call.at)

        def run(caller: Caller, engine: Engine, *, waits: bool = True) -> int:
            if not waits:
                return self._carry_out(call, caller, engine, _at_once)
            if timeout is not None and call.command in _MAY_WAIT:
                return self._in_time(call, caller, engine, timeout)
            return self._carry_out(call, caller, engine, _never)

        if disturbance is None:
            call.returncode = run(caller, self._engine)
        else:
            call.returncode = disturbed(disturbance, call, caller, self._engine, run, self._plan, timeout)
        return call.returncode

    def _carry_out(self, call: Call, caller: Caller, engine: Engine, given_up: Callable[[], bool]) -> int:
        invocation = evolve(
            self._identity,
            now=self._engine.clock.time(),
            cwd=caller.cwd,
            environ=caller.environ,
            umask=0 if _is_query(call) else caller.umask,  # a query creates no file, and to ask takes time
            niceness=caller.niceness,
        )
        if call.command in CONVERSATIONS:
            converse = srun.run if call.command == "srun" else salloc.run
            return converse(caller, engine, invocation)
        return self._answer(call, caller, engine.controller, invocation, given_up)

    def _in_time(self, call: Call, caller: Caller, engine: Engine, timeout: float) -> int:
        """On a thread of its own, which is given up after `timeout` seconds: TimeoutError."""
        codes: list[int] = []
        errors: list[BaseException] = []
        late = threading.Event()

        def run() -> None:
            try:
                codes.append(self._carry_out(call, caller, engine, late.is_set))
            except BaseException as error:  # noqa: BLE001 (raised again by who waits)
                errors.append(error)

        thread = threading.Thread(target=run, name=f"fakeslurm-{caller.argv[0]}", daemon=True)
        thread.start()
        thread.join(timeout)
        if thread.is_alive():
            late.set()
            caller.gone()
            self._engine.notify()
            raise TimeoutError(f"{caller.argv[0]} did not answer within {timeout:g} s")
        if errors:
            raise errors[0]
        return codes[0]

    def _answer(
        self,
        call: Call,
        caller: Caller,
        controller: Controller,
        invocation: Invocation,
        given_up: Callable[[], bool],
    ) -> int:
        if call.command == "sbatch":
            invocation = _with_script(invocation, call.argv, caller)
        run = command(call.command)

        def ask(now: float) -> Reply:
            return run(call.argv, evolve(invocation, now=now), controller)

        if _is_query(call):
            reply = self._engine.ask(ask)
        else:
            try:
                reply = self._engine.decide(ask)
                if reply.write is not None:
                    reply = _written(reply.write, caller.cwd, caller.umask)
                if reply.then is None:
                    # A command has ended before what it has asked for happens: it may be a child of the job that it requeues.
                    caller.print(1, reply.stdout)
                    caller.print(2, reply.stderr)
                    caller.answer(reply.returncode)
                    return reply.returncode
            finally:
                self._engine.settle()
        while True:
            caller.print(1, reply.stdout)
            caller.print(2, reply.stderr)
            if reply.then is None:
                return reply.returncode
            look = _Look(reply.then, self._engine.controller, given_up)
            following = self._engine.wait(look)
            if following is None:
                raise RuntimeError("this FakeSlurm is closed")
            reply = following


@frozen
class _Look:
    """Whether a command that waits can go on."""

    then: Continuation
    controller: Controller
    given_up: Callable[[], bool]

    def __call__(self, now: float) -> Reply | None:
        return Reply(returncode=1) if self.given_up() else self.then(self.controller, now)


def _is_query(call: Call) -> bool:
    return call.command in ("squeue", "sacct", "sinfo", "sacctmgr", "sstat", "sprio") or (
        call.command == "scontrol" and "show" in call.argv
    )


def _written(file: Written, cwd: str, umask: int) -> Reply:
    """Write it, as the caller would: one that is there already keeps its mode."""
    path = Path(cwd, file.path)
    new = not path.exists()
    try:
        path.write_bytes(file.content)
    except OSError as error:
        return Reply(stderr=file.failed.format(error=error.strerror))
    if new:
        path.chmod(0o666 & ~umask)
    return Reply(file.done)


def _never() -> bool:
    return False


def _at_once() -> bool:
    return True


def _with_script(invocation: Invocation, argv: tuple[str, ...], caller: Caller) -> Invocation:
    """Read what sbatch is going to look at, before anybody holds the lock."""
    files: dict[str, bytes | OSError] = {}
    stdin = b""
    for path in sbatch.candidates(argv, invocation):
        if path is None:
            stdin = caller.read(None)
            continue
        try:
            files[path] = caller.read(path)
            break
        except OSError as error:
            files[path] = error
    return evolve(invocation, files=files, stdin=stdin)


def _identity(engine: Engine) -> Invocation:
    """What is the same for all calls: this process's user is who calls."""
    uid, gid = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container without an entry for its user
        user = str(uid)
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = str(gid)
    return Invocation(
        now=0.0,
        cwd="/",
        user=user,
        uid=uid,
        group=group,
        gid=gid,
        host=engine.host,
        version=engine.controller.settings.version,
    )
