"""Jobs in processes that end in every way that there is, and callbacks that write down each call of a hook, on either side, in one file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from fakeslurm import FakeSlurm
from slurmkit import Job, JobContext

SECONDS = 60.0


def act(how: str, ground: str, *, job: JobContext) -> str:
    """What every rank does. `ground` is a directory for signs."""
    Path(ground, f"inside.{job.rank}.{job.restart_count}").touch()
    if how == "raise":
        raise ValueError("no")
    if how.startswith("exit"):
        sys.exit(int(how.removeprefix("exit")))
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "wait" and not job.restart_count:
        subprocess.run(["sleep", "1d"], check=True)
    return how


@attrs.frozen
class Writes:
    """What a callback calls: writes a line per call. Knows by its process which side it is on."""

    number: int
    path: str
    client: int = attrs.field(factory=os.getpid)

    def __call__(self, hook: str, ctx: Any) -> None:
        context = getattr(ctx, "job_context", None)
        emitted_by = getattr(ctx, "emitted_by", None)
        line = {
            "callback": self.number,
            "hook": hook,
            "side": "client" if os.getpid() == self.client else "runner",
            "rank": None if context is None else context.rank,
            "attempt": None if context is None else context.restart_count,
            "emitted_by": None if emitted_by is None else emitted_by.value,
        }
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, json.dumps(line).encode() + b"\n")
        finally:
            os.close(handle)


@attrs.frozen
class Outcome:
    """How a job ends, and what its ranks live to call, in each of its attempts.

    `begun`, `ended`: whether every rank calls ``on_begin_run_job_ctx`` and ``on_end_run_job_ctx``; `reported`: whether the batch script
    lives to call ``on_completed_ctx``. `interfere` is called when every rank is inside of its function, or, with `pending`, while the job
    waits.
    """

    state: str
    how: str
    attempts: tuple[tuple[bool, bool, bool], ...] = ((True, True, True),)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    interfere: Callable[[FakeSlurm, Job[Any]], object] | None = None
    pending: bool = False


def _command(*words: str) -> Callable[[FakeSlurm, Job[Any]], object]:
    def call(slurm: FakeSlurm, job: Job[Any]) -> None:
        answer = slurm.execute([word.format(job_id=job.job_id) for word in words])
        assert answer.returncode == 0, answer.stderr

    return call


_DOWN = _command("scontrol", "update", "nodename=n1", "state=down", "reason=test")


def _down_and_up(slurm: FakeSlurm, job: Job[Any]) -> None:
    _DOWN(slurm, job)
    _command("scontrol", "update", "nodename=n1", "state=resume")(slurm, job)


_WHOLE, _NOTHING = (True, True, True), (False, False, False)
OUTCOMES: Mapping[str, Outcome] = {
    "success": Outcome("COMPLETED", "return"),
    "exception": Outcome("FAILED", "raise"),
    "sys.exit(3)": Outcome("FAILED", "exit3"),
    "sys.exit(0)": Outcome("COMPLETED", "exit0"),
    "killed rank": Outcome("FAILED", "kill", ((True, False, True),)),
    "timeout": Outcome("TIMEOUT", "wait", options={"time": 1}),
    "cancelled": Outcome("CANCELLED", "wait", interfere=_command("scancel", "{job_id}")),
    "node that is declared down": Outcome("NODE_FAIL", "wait", options={"requeue": False}, interfere=_DOWN),
    "requeue": Outcome(
        "COMPLETED", "wait", (_WHOLE, _WHOLE), {"requeue": True}, _command("scontrol", "requeue", "{job_id}")
    ),
    "node that is declared down, and requeue": Outcome(
        "COMPLETED", "wait", (_WHOLE, _WHOLE), {"requeue": True}, _down_and_up
    ),
    "cancelled while it waits": Outcome(
        "CANCELLED", "return", (_NOTHING,), {"begin": "now+1hour"}, _command("scancel", "{job_id}"), pending=True
    ),
}


def until(condition: Callable[[], object], what: str) -> None:
    """Real time: processes of jobs do something."""
    deadline = time.monotonic() + SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS:g} s: {what}"
        pause.wait(0.005)
