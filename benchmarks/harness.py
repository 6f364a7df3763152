"""Measure, compare, print: every figure is a median of interleaved rounds, every goal a ratio within one run."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

__all__ = ["Figure", "Row", "interleaved", "seconds", "table"]


@attrs.frozen
class Figure:
    """One thing that was measured: its name and the seconds of each round."""

    name: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@attrs.frozen
class Row:
    """A line of the table: `figures` side by side; the first is the floor, the others are compared with it."""

    number: int
    work: str
    figures: tuple[Figure, ...]
    goal: str = ""


def seconds(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """How long a command takes, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def interleaved(rounds: int, **work: Callable[[], float]) -> tuple[Figure, ...]:
    """Run A B C A B C ..., so that a slow moment of the machine hits all of them; a first round is thrown away."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, measure in work.items():
            value = measure()
            if number:
                found[name].append(value)
    return tuple(Figure(name.replace("_", " "), tuple(values)) for name, values in found.items())


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| # | work | what | median | min - max | ratio | goal |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        floor = row.figures[0].median
        for index, figure in enumerate(row.figures):
            lines.append(
                f"| {row.number if not index else ''} | {row.work if not index else ''} | {figure.name} | {_time(figure.median)} "
                f"| {_time(min(figure.rounds))} - {_time(max(figure.rounds))} | {figure.median / floor:.2f} "
                f"| {row.goal if not index else ''} |"
            )
    return "\n".join(lines)


def _time(value: float) -> str:
    if value >= 1:
        return f"{value:.2f} s"
    if value >= 1e-3:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} us"
