"""Measure, compare, print: figures are medians of interleaved rounds, goals are ratios within one run."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import attrs

from benchmarks.peers import Peers

__all__ = ["Effort", "Figure", "Goal", "Row", "interleaved", "python", "seconds", "table", "verdicts"]

Unit = Literal["s", "jobs/s", "bytes", ""]


@attrs.frozen
class Effort:
    """How much is measured. `quick`: what takes less than three minutes in all."""

    peers: Peers
    quick: bool = False

    def rounds(self, usual: int) -> int:
        return max(3, usual // 3) if self.quick else usual


@attrs.frozen
class Figure:
    """One thing that was measured: its name and the value of each round, in seconds unless `unit` says otherwise."""

    name: str
    rounds: tuple[float, ...]
    unit: Unit = "s"

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@attrs.frozen
class Goal:
    """`ours` is to be less than `times` the figure `than`, or less than `limit`; with `more`, more than that."""

    ours: str
    limit: float
    than: str | None = None
    more: bool = False


@attrs.frozen
class Row:
    """A block of the table: `figures` side by side; the first is the floor, the others are compared with it.

    `peers` are the names of those figures that other projects made, `remarks` whatever else has to be said. `costs`: what all cost, by how many
    there are; its growth is told, and drawn.
    """

    number: int
    work: str
    figures: tuple[Figure, ...]
    ours: str = ""
    goals: tuple[Goal, ...] = ()
    peers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    costs: Mapping[int, float] = attrs.field(factory=dict)

    def figure(self, name: str) -> Figure:
        return next(figure for figure in self.figures if figure.name == name)


def python(code: str) -> list[str]:
    """The command that runs this code in the interpreter of this process."""
    return [sys.executable, "-c", code]


def seconds(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """How long a command takes, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def interleaved(rounds: int, work: Mapping[str, Callable[[], float]], unit: Unit = "s") -> tuple[Figure, ...]:
    """Run A B C A B C ..., so that a slow moment of the machine hits all of them; a first round is thrown away."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, measure in work.items():
            value = measure()
            if number:
                found[name].append(value)
    return tuple(Figure(name, tuple(values), unit) for name, values in found.items())


def growth(costs: Mapping[int, float]) -> str:
    """How what all cost grows from each of these numbers to the next."""
    steps = [
        f"{costs[larger] / costs[size]:.2f} x the cost for {larger / size:.3g} x as many ({size:,} to {larger:,})"
        for size, larger in itertools.pairwise(sorted(costs))
    ]
    return f"growth: {'; '.join(steps)}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| # | work | what | median | min - max | ratio | of the minima |", "|---|---|---|---|---|---|---|"]
    for row in (row for row in rows if row.figures):
        floor = row.figures[0]
        for index, figure in enumerate(row.figures):
            lines.append(
                f"| {row.number if not index else ''} | {row.work if not index else ''} | {figure.name} "
                f"| {_shown(figure.median, figure.unit)} "
                f"| {_shown(min(figure.rounds), figure.unit)} - {_shown(max(figure.rounds), figure.unit)} "
                f"| {_ratio(figure.median, floor.median)} | {_ratio(min(figure.rounds), min(floor.rounds))} |"
            )
    return "\n".join(lines)


def verdicts(rows: Sequence[Row]) -> str:
    """A line per goal, whether it is met; per peer that is better; and what the rows remark."""
    lines = []
    for row in rows:
        head = f"- Row {row.number}, {row.work}:"
        for goal in row.goals:
            value, unit = row.figure(goal.ours).median, row.figure(goal.ours).unit
            if goal.than is not None:
                value, unit = value / row.figure(goal.than).median, ""
            met = value > goal.limit if goal.more else value < goal.limit
            than = f" x {goal.than}" if goal.than is not None else ""
            is_ours = f"{goal.ours} is {_shown(value, unit)}{than}"
            aim = f"the goal is {'over' if goal.more else 'under'} {_shown(goal.limit, unit)}"
            lines.append(f"{head} {'met' if met else '**missed**'}: {is_ours}; {aim}.")
        for name in row.peers:
            if row.figure(name).median < row.figure(row.ours).median:
                ours = _shown(row.figure(row.ours).median, row.figure(row.ours).unit)
                theirs = _shown(row.figure(name).median, row.figure(name).unit)
                lines.append(f"{head} **{name} is better**: {theirs}, and {row.ours} {ours}.")
        lines += [f"{head} {remark}." for remark in (*([growth(row.costs)] if row.costs else []), *row.remarks)]
    return "\n".join(lines)


def _ratio(value: float, floor: float) -> str:
    return f"{value / floor:.2f}" if floor else "-"


def _shown(value: float, unit: Unit) -> str:
    if unit == "s":
        scale, name = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "us")
        return f"{value * scale:.{2 if name == 's' else 1}f} {name}"
    if unit == "":
        return f"{value:,.2f}".removesuffix(".00")
    return f"{value:,.0f} {unit}"
