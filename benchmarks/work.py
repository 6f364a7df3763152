"""The functions that the benchmarks submit."""

from __future__ import annotations

__all__ = ["nothing", "say_when"]


def nothing(value: int) -> int:
    """The least that a job can do."""
    return value


def say_when(path: str) -> None:
    """Note the time of the first line."""
    import time

    with open(path, "w") as file:  # noqa: PTH123  (pathlib would be part of the measurement)
        file.write(str(time.time()))
