"""A callback that writes down everything it hears, on either side, and the tasks that the contract runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from slurmkit import BaseCallback, JobContext, current_job_context, task
from slurmkit.callbacks.base import HOOKS

__all__ = ["Event", "Recorder", "add", "context_of_rank", "events", "fail_on_rank", "leave", "talk", "wait_for"]


@attrs.frozen
class Event:
    """One call of one hook: which, by which process and thread, when, and the context's fields as plain values."""

    hook: str
    side: str
    pid: int
    thread: str
    at: float
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


def _plain(value: object) -> Any:
    if isinstance(value, JobContext):
        return {"rank": value.rank, "world_size": value.world_size, "hostnames": list(value.hostnames)}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return repr(value)


class Recorder(BaseCallback):
    """Appends every event to one file, one JSON object a line, from the client and from every rank."""

    def __init__(self, path: Path, poll_interval_secs: float | None = None) -> None:
        self.path = str(path)
        self.client = os.getpid()
        self.poll_interval_secs = poll_interval_secs

    def record(self, hook: str, ctx: Any) -> None:
        line = {
            "hook": hook,
            "side": "client" if os.getpid() == self.client else "runner",
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "at": time.time(),
            "fields": {field.name: _plain(getattr(ctx, field.name)) for field in attrs.fields(type(ctx))},
        }
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)

    def on_begin_package_ctx(self, ctx: Any) -> None:
        self.record("on_begin_package_ctx", ctx)

    def on_end_package_ctx(self, ctx: Any) -> None:
        self.record("on_end_package_ctx", ctx)

    def on_begin_submit_job_ctx(self, ctx: Any) -> None:
        self.record("on_begin_submit_job_ctx", ctx)

    def on_end_submit_job_ctx(self, ctx: Any) -> None:
        self.record("on_end_submit_job_ctx", ctx)

    def on_begin_run_job_ctx(self, ctx: Any) -> None:
        self.record("on_begin_run_job_ctx", ctx)

    def on_end_run_job_ctx(self, ctx: Any) -> None:
        self.record("on_end_run_job_ctx", ctx)

    def on_job_status_update_ctx(self, ctx: Any) -> None:
        self.record("on_job_status_update_ctx", ctx)

    def on_completed_ctx(self, ctx: Any) -> None:
        self.record("on_completed_ctx", ctx)


def events(path: Path, hook: str | None = None, side: str | None = None) -> list[Event]:
    """What was recorded at `path`, in the order of time; narrowed to one hook and one side."""
    assert hook is None or hook in HOOKS
    text = path.read_text() if path.exists() else ""
    lines = text[: text.rfind("\n") + 1].splitlines()  # the last line may be in the middle of being written
    found = sorted((Event(**json.loads(line)) for line in lines), key=lambda event: event.at)
    return [event for event in found if hook in (None, event.hook) and side in (None, event.side)]


@task
def add(a: int, b: int = 0) -> int:
    """The smallest job there is."""
    return a + b


@task
def context_of_rank(job: JobContext) -> dict[str, Any]:
    """What this rank knows of itself: the injected context, which is also the current one."""
    assert job == current_job_context()
    return attrs.asdict(job)


@task
def fail_on_rank(rank: int, *, job: JobContext) -> int:
    """Raises on one rank."""
    if job.rank == rank:
        raise ValueError(f"rank {rank} of {job.world_size} does not want to")
    return job.rank


@task
def leave(how: str) -> None:
    """Ends without returning: "exit:N" calls sys.exit, "signal:N" kills the process, "hard:N" calls os._exit."""
    kind, _, number = how.partition(":")
    if kind == "exit":
        sys.exit(int(number))
    if kind == "signal":
        os.kill(os.getpid(), int(number))
        signal.pause()
    os._exit(int(number))


@task
def talk(text: str) -> str:
    """Writes to both streams."""
    print(text)
    print(text.upper(), file=sys.stderr)
    return text


@task
def wait_for(path: str) -> str:
    """Runs until a file appears."""
    pause = threading.Event()
    while not Path(path).exists():
        pause.wait(0.02)
    return path
