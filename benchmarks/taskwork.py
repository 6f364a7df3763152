"""The functions of `benchmarks.work` as tasks, in a module of their own: jobs import it."""

from __future__ import annotations

from benchmarks.work import say_when
from slurmkit import task

__all__ = ["say_when_as_a_task"]


@task(time=5, mem="100M")
def say_when_as_a_task(path: str) -> None:
    """Note the time of the first line."""
    say_when(path)
