"""`BaseCallback` and the contexts: the stable face of the callbacks."""

from __future__ import annotations

import inspect
from typing import Any

import attrs
import pytest

import slurmkit
from slurmkit import BaseCallback, ExecutionLocus
from slurmkit.callbacks import contexts
from slurmkit.callbacks.base import HOOKS

FIELDS = {
    "PackagingBeginContext": {
        "task": "Task[..., Any]",
        "packaging_config": "Mapping[str, Any]",
        "cluster": "Cluster",
        "timestamp": "float",
    },
    "PackagingEndContext": {
        "task": "Task[..., Any]",
        "packaging_config": "Mapping[str, Any]",
        "packaging_result": "PackagingResult",
        "cluster": "Cluster",
        "timestamp": "float",
        "duration": "float",
    },
    "SubmitBeginContext": {
        "task": "Task[..., Any]",
        "cluster": "Cluster",
        "sbatch_options": "Mapping[str, str | bool]",
        "job_dir": "str",
        "pre_submission_id": "str",
        "packaging_strategy": "PackagingStrategy",
        "timestamp": "float",
    },
    "SubmitEndContext": {
        "task": "Task[..., Any]",
        "cluster": "Cluster",
        "job": "Job[Any] | JobArray[Any]",
        "job_id": "str",
        "sbatch_options": "Mapping[str, str | bool]",
        "job_dir": "str",
        "pre_submission_id": "str",
        "packaging_strategy": "PackagingStrategy",
        "timestamp": "float",
        "duration": "float",
    },
    "RunBeginContext": {
        "job_id": "str",
        "job_dir": "str",
        "module": "str",
        "function": "str",
        "args_path": "str",
        "kwargs_path": "str",
        "hostname": "str",
        "python_executable": "str",
        "python_version": "str",
        "working_directory": "str",
        "environment_snapshot": "Mapping[str, str]",
        "start_time": "float",
        "attempt": "int",
        "restart_count": "int",
        "job_context": "JobContext",
    },
    "RunEndContext": {
        "job_id": "str",
        "job_dir": "str",
        "module": "str",
        "function": "str",
        "hostname": "str",
        "status": "Literal['success', 'failure']",
        "error_type": "str | None",
        "error_message": "str | None",
        "traceback": "str | None",
        "stdout_path": "str",
        "stderr_path": "str",
        "start_time": "float",
        "end_time": "float",
        "duration": "float",
        "attempt": "int",
        "restart_count": "int",
        "cause": "str | None",
        "job_context": "JobContext",
    },
    "JobStatusUpdatedContext": {
        "job": "Job[Any]",
        "job_id": "str",
        "status": "Mapping[str, str]",
        "previous_state": "str | None",
        "is_terminal": "bool",
        "attempt": "int",
        "restart_count": "int",
        "timestamp": "float",
    },
    "CompletedContext": {
        "job": "Job[Any] | None",
        "job_id": "str",
        "job_dir": "str",
        "job_state": "str",
        "exit_code": "str | None",
        "reason": "str | None",
        "status": "Mapping[str, str]",
        "emitted_by": "ExecutionLocus",
        "stdout_path": "str",
        "stderr_path": "str",
        "start_time": "float | None",
        "end_time": "float | None",
        "duration": "float | None",
        "error_type": "str | None",
        "error_message": "str | None",
        "traceback": "str | None",
        "attempt": "int",
        "restart_count": "int",
        "cause": "str | None",
        "job_context": "JobContext | None",
    },
}
"""A change here is a change of the public face."""


def test_every_context_is_pinned() -> None:
    assert sorted(FIELDS) == sorted(contexts.__all__)


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_a_context(name: str) -> None:
    context: Any = getattr(slurmkit, name)
    assert {field.name: str(field.type).replace('"', "'") for field in attrs.fields(context)} == FIELDS[name]
    parameters = inspect.signature(context).parameters.values()
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    assert all(parameter.default is inspect.Parameter.empty for parameter in parameters)
    made = context(**dict.fromkeys(FIELDS[name]))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(made, next(iter(FIELDS[name])), "other")


def test_the_hooks_and_their_contexts() -> None:
    assert {hook: inspect.signature(getattr(BaseCallback, hook)).parameters["ctx"].annotation for hook in HOOKS} == {
        "on_begin_package_ctx": "PackagingBeginContext",
        "on_end_package_ctx": "PackagingEndContext",
        "on_begin_submit_job_ctx": "SubmitBeginContext",
        "on_end_submit_job_ctx": "SubmitEndContext",
        "on_begin_run_job_ctx": "RunBeginContext",
        "on_end_run_job_ctx": "RunEndContext",
        "on_job_status_update_ctx": "JobStatusUpdatedContext",
        "on_completed_ctx": "CompletedContext",
    }
    callback = BaseCallback()
    for hook in HOOKS:
        assert getattr(callback, hook)(None) is None
    assert (callback.requires_pickling, callback.poll_interval_secs, callback.run_hooks_on) == (True, None, "all")
    assert dict(callback.execution_loci) == {}


def test_loci_are_three() -> None:
    assert [locus.value for locus in ExecutionLocus] == ["client", "runner", "both"]
