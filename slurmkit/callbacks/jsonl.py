"""`JsonlCallback`: every event as one JSON object per line, from the client and from the job."""

from __future__ import annotations

import enum
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from slurmkit.callbacks.base import BaseCallback, ExecutionLocus

__all__ = ["JsonlCallback"]

_CLIENT, _RUNNER = ExecutionLocus.CLIENT, ExecutionLocus.RUNNER


class JsonlCallback(BaseCallback):
    """Append every event to the file `path`, which the nodes have to see as well.

    Each line is an object with ``event`` (the hook without ``on_`` and ``_ctx``), ``side`` (``client`` or ``runner``), ``hostname``, ``pid``,
    ``written`` (epoch seconds), and the fields of the hook's context: a task as ``module.name``, a job as its id, a JobContext without the
    raw environment. A line is one append, so that several processes can share the file (on NFS: several processes of one host).
    `poll_interval_secs` as on `BaseCallback`; None: no status updates.
    """

    def __init__(self, path: str | os.PathLike[str], poll_interval_secs: float | None = 10.0) -> None:
        self.path = str(Path(path).absolute())
        self.poll_interval_secs = poll_interval_secs

    def on_begin_package_ctx(self, ctx: Any) -> None:
        self._write("begin_package", _CLIENT, ctx)

    def on_end_package_ctx(self, ctx: Any) -> None:
        self._write("end_package", _CLIENT, ctx)

    def on_begin_submit_job_ctx(self, ctx: Any) -> None:
        self._write("begin_submit_job", _CLIENT, ctx)

    def on_end_submit_job_ctx(self, ctx: Any) -> None:
        self._write("end_submit_job", _CLIENT, ctx)

    def on_begin_run_job_ctx(self, ctx: Any) -> None:
        self._write("begin_run_job", _RUNNER, ctx)

    def on_end_run_job_ctx(self, ctx: Any) -> None:
        self._write("end_run_job", _RUNNER, ctx)

    def on_job_status_update_ctx(self, ctx: Any) -> None:
        self._write("job_status_update", _CLIENT, ctx)

    def on_completed_ctx(self, ctx: Any) -> None:
        self._write("completed", ctx.emitted_by, ctx)

    def _write(self, event: str, side: ExecutionLocus, ctx: Any) -> None:
        values: dict[str, Any] = {
            "event": event,
            "side": side.value,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "written": time.time(),
        }
        for field in attrs.fields(type(ctx)):
            values[field.name] = _plain(getattr(ctx, field.name))
        line = json.dumps(values).encode() + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(f"only a part of an event could be written to {self.path!r}: is the disk full?")
        finally:
            os.close(descriptor)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    kind = type(value).__name__
    if kind == "Job":
        return value.job_id
    if kind == "Task":
        return f"{value.__module__}.{value.__qualname__}"
    if kind == "Cluster":
        return value.name
    if attrs.has(type(value)):
        return {
            field.name.lstrip("_"): _plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.name != "environment"
        }
    return getattr(value, "name", None) or repr(value)
