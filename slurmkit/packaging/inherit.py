"""`Inherit`: the job uses the client's own interpreter, sys.path and working directory, from a file system that both see."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from slurmkit.errors import PackagingError
from slurmkit.packaging.base import PackagingResult

if TYPE_CHECKING:
    from slurmkit.task import Task

__all__ = ["Inherit"]

RUNNER = str(Path(__file__).absolute().parent.parent / "runner" / "__main__.py")


class Inherit:
    """Nothing is copied: what the client can import, the job can import, from the same places."""

    name = "inherit"

    @property
    def config(self) -> Mapping[str, Any]:
        return MappingProxyType({"strategy": self.name})

    def package(self, task: Task[..., Any]) -> PackagingResult:
        if not sys.executable:
            raise PackagingError(
                "sys.executable is empty: this Python is embedded in another program, and a job cannot start it"
            )
        return PackagingResult(
            strategy=self.name,
            # absolute, but not resolved: the link in a virtual environment is what makes it one
            python=_absolute(sys.executable),
            python_version=platform.python_version(),
            sys_path=tuple(dict.fromkeys(map(_absolute, sys.path))),
            runner=RUNNER,
        )


def _absolute(path: str) -> str:
    return path if path.startswith("/") else str(Path(path).absolute())
