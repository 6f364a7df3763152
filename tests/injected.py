"""Functions whose annotations are strings, for the tests of injection."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

import slurmkit.runtime
from slurmkit.runtime import JobContext as Context

if TYPE_CHECKING:
    from slurmkit import runtime
    from slurmkit.runtime import JobContext


def plain(x: int, *, context: Context) -> None: ...


def checker_only(context: JobContext) -> None: ...


def checker_only_module(context: runtime.JobContext | None = None) -> None: ...


def dotted(context: slurmkit.runtime.JobContext) -> None: ...


def optional(context: Optional[Context] = None) -> None: ...  # noqa: UP045


def union(context: Union[Context, int, None] = None) -> None: ...  # noqa: UP007


def typing_optional(context: typing.Optional[JobContext] = None) -> None: ...  # noqa: UP045


def or_none(context: Context | None = None) -> None: ...


def none_or(context: None | JobContext = None) -> None: ...  # noqa: RUF036


def annotated(context: Annotated[Context, "here"]) -> None: ...


def quoted(context: "Context") -> None: ...  # noqa: UP037


def unannotated(job) -> None: ...  # type: ignore[no-untyped-def]


def two(first: Context, x: int, second: Context) -> None: ...


def other_job(job: str) -> None: ...


def any_job(job: Any) -> None: ...


def listed(jobs: list[Context]) -> None: ...


def metadata(x: Annotated[int, Context]) -> None: ...


def string(x: "JobContextual") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037


def broken(x: "not an expression") -> None: ...  # type: ignore[valid-type]  # noqa: F722


def variadic(*job: Context, **more: Context) -> None: ...


def positional_only(job: Context, /) -> None: ...


def behind_positional_only(x: int, /, job: Context) -> None: ...
