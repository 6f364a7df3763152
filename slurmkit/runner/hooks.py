# ruff: noqa: PTH109, PTH118  (paths are text in the contexts)
"""The hooks that run in the job. Imported only when the job has callbacks."""

from __future__ import annotations

import logging
import os
import pickle
import platform
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from slurmkit import jobdir, stopping
from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
from slurmkit.callbacks.contexts import CompletedContext, RunBeginContext, RunEndContext
from slurmkit.callbacks.dispatch import fire
from slurmkit.errors import SlurmkitError
from slurmkit.runner.leader import STDERR_VARIABLE, job_id, output_path
from slurmkit.runtime import JobContext, current_job_context

log = logging.getLogger("slurmkit.callbacks")

_BESIDES = ("JOB_DIR", "HOSTNAME", "CUDA_VISIBLE_DEVICES")
"""What `RunBeginContext.environment_snapshot` has besides SLURM*."""


NOTICE_PATIENCE = 1.0
"""Seconds that a rank which was sent SIGTERM waits for Slurm's notice, before its end hooks."""


class RunHooks:
    """The run hooks of one rank: the callbacks that ask for this rank, each unpickled once."""

    def __init__(self, job_dir: str, job: Mapping[str, Any], start_time: float, rank: int, local_rank: int) -> None:
        self.job_dir = job_dir
        self.job = job
        self.start_time = start_time
        self.stderr_start = int(os.environ.get(STDERR_VARIABLE, "0"))
        wanted = {"all"} | ({"node"} if local_rank == 0 else set()) | ({"first"} if rank == 0 else set())
        self.callbacks = _load(jobdir.shared_dir(job_dir, job), lambda entry: entry["run"] in wanted)
        # Before the function may change the environment.
        self.context = _job_context() if self.callbacks else None

    def begin(self) -> None:
        context = self.context
        if context is None:
            return
        self._fire(
            "on_begin_run_job_ctx",
            RunBeginContext(
                job_id=job_id(os.environ) or context.job_id,
                job_dir=self.job_dir,
                module=self.job["module"],
                function=self.job["function"],
                args_path=_arguments(self.job_dir, self.job, jobdir.ARGS),
                kwargs_path=_arguments(self.job_dir, self.job, jobdir.KWARGS),
                hostname=context.hostname,
                python_executable=sys.executable,
                python_version=platform.python_version(),
                working_directory=_working_directory(),
                environment_snapshot=MappingProxyType(
                    {name: value for name, value in os.environ.items() if name.startswith("SLURM") or name in _BESIDES}
                ),
                start_time=self.start_time,
                attempt=context.attempt,
                restart_count=context.restart_count,
                job_context=context,
            ),
        )

    def end(self, outcome: Mapping[str, Any]) -> None:
        context = self.context
        if context is None:
            return
        status: Literal["success", "failure"] = "success" if outcome["status"] == "ok" else "failure"
        self._fire(
            "on_end_run_job_ctx",
            RunEndContext(
                job_id=job_id(os.environ) or context.job_id,
                job_dir=self.job_dir,
                module=self.job["module"],
                function=self.job["function"],
                hostname=context.hostname,
                status=status,
                error_type=outcome["error_type"],
                error_message=outcome["error_message"],
                traceback=outcome["traceback"],
                stdout_path=output_path(self.job_dir, self.job, jobdir.STDOUT),
                stderr_path=output_path(self.job_dir, self.job, jobdir.STDERR),
                start_time=self.start_time,
                end_time=outcome["end_time"],
                duration=outcome["end_time"] - self.start_time,
                attempt=context.attempt,
                restart_count=context.restart_count,
                cause=self._cause(context, outcome),
                job_context=context,
            ),
        )

    def _cause(self, context: JobContext, outcome: Mapping[str, Any]) -> str | None:
        """Why Slurm ends the attempt. A rank of srun may hear of it a moment before srun has written it down."""
        wants = outcome["status"] == "requeue"
        if not (stopping.told or wants):
            return None
        from slurmkit.runner.ending import cause_of_end

        patience = NOTICE_PATIENCE if context.step_id is not None and outcome["exit_code"] else 0.0
        cause = cause_of_end(
            output_path(self.job_dir, self.job, jobdir.STDERR), context.job_id, self.stderr_start, patience
        )
        return "REQUEUED" if cause is None and wants else cause

    def _fire(self, hook: str, ctx: object) -> None:
        fire(self.callbacks, hook, ctx, ExecutionLocus.RUNNER)


def completed(
    job_dir: str, job: Mapping[str, Any], event: Mapping[str, Any], start_time: float, traceback: str | None
) -> None:
    """All ranks have ended: `on_completed_ctx`, in the leader."""
    callbacks = _load(jobdir.shared_dir(job_dir, job), lambda entry: bool(entry["completed"]))
    if not callbacks:
        return
    context = _job_context()
    fire(
        callbacks,
        "on_completed_ctx",
        CompletedContext(
            job=None,
            job_id=job_id(os.environ) or "local",
            job_dir=job_dir,
            job_state=event["job_state"],
            exit_code=event["exit_code"],
            reason=None,
            status=MappingProxyType({}),
            emitted_by=ExecutionLocus.RUNNER,
            stdout_path=output_path(job_dir, job, jobdir.STDOUT),
            stderr_path=output_path(job_dir, job, jobdir.STDERR),
            start_time=start_time,
            end_time=event["time"],
            duration=event["time"] - start_time,
            error_type=event["error_type"],
            error_message=event["error_message"],
            traceback=traceback,
            attempt=event["attempt"],
            restart_count=event["attempt"],
            cause=event["cause"],
            job_context=context,
        ),
        ExecutionLocus.RUNNER,
    )


def _arguments(job_dir: str, job: Mapping[str, Any], name: str) -> str:
    return os.path.join(jobdir.shared_dir(job_dir, job), jobdir.ITEMS if "array" in job else name)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # removed while the job was pending
        return os.environ.get("PWD", "")


def _job_context() -> JobContext | None:
    try:
        return current_job_context()
    except SlurmkitError:
        log.exception("the run hooks are not called: this job's environment cannot be understood")
        return None


def _load(job_dir: str, is_wanted: Callable[[Mapping[str, Any]], bool]) -> list[BaseCallback]:
    """The callbacks that are wanted. One that cannot be unpickled is logged, and missing."""
    callbacks: list[BaseCallback] = []
    try:
        entries = pickle.loads(jobdir.read_trusted(os.path.join(job_dir, jobdir.CALLBACKS)))
    except Exception:
        log.exception("the callbacks of this job cannot be read")
        return callbacks
    for entry in entries:
        if not is_wanted(entry):
            continue
        try:
            callbacks.append(pickle.loads(entry["pickle"]))
        except (Exception, SystemExit):
            log.exception("callback %s cannot be unpickled in the job", entry["name"])
    return callbacks
