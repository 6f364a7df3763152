"""What a packaging strategy is, and what it hands to the batch script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from slurmkit.task import Task

__all__ = ["PackagingResult", "PackagingStrategy"]


@attrs.frozen(kw_only=True)
class PackagingResult:
    """How the job's interpreter is found and what it can import.

    `strategy`: the name of the strategy. `python`: the interpreter, an absolute path. `python_version`: its version, ``"3.11.7"``.
    `sys_path`: what `sys.path` becomes in the job before anything is unpickled, absolute. `runner`: the path of
    ``slurmkit/runner/__main__.py`` as the job sees it. `setup`: lines of shell for the batch script, before the interpreter is started.
    """

    strategy: str
    python: str
    python_version: str
    sys_path: tuple[str, ...]
    runner: str
    setup: tuple[str, ...] = ()


class PackagingStrategy(Protocol):
    """Prepares a task for its job, on the client, once per submission."""

    name: str

    @property
    def config(self) -> Mapping[str, Any]:
        """The strategy's settings as plain values, ``strategy`` (its name) among them; the contexts of the packaging hooks carry it."""

    def package(self, task: Task[..., Any]) -> PackagingResult:
        """Prepare `task`. Raises `PackagingError`."""
