"""A picture of a history: nodes and the jobs on them over time, and below them the jobs that waited, and why."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from attrs import define, field, frozen

from fakeslurm.history import (
    History,
    JobEnded,
    JobReleased,
    JobRequeued,
    JobStarted,
    JobSubmitted,
    JobWaits,
    NodeChanged,
)

__all__ = ["Timeline"]

_WIDTH, _LEFT, _LANE, _GAP, _AXIS = 1200, 120, 16, 6, 24
"""Pixels: the picture, the names at its left, a job's bar, between two nodes, the times above."""
_COLORS = ("#4e79a7", "#59a14f", "#f28e2b", "#b07aa1", "#76b7b2", "#edc948", "#ff9da7", "#9c755f")
_BAD, _WAIT, _DOWN = "#e15759", "#d9d9d9", "#333333"


@define
class _Bar:
    """Something that lasts: a job on a node, a wait, a node that is down. `end` is None while it goes on."""

    begin: float
    text: str
    color: str
    job_id: int | None = None
    end: float | None = None
    lane: int = 0


@frozen
class Timeline:
    """`until`: the time up to which what goes on is drawn. `nodes` are drawn in their order. In a notebook it shows itself."""

    history: History
    nodes: Sequence[str]
    until: float
    most_waiting: int = 200
    """How many waiting jobs are drawn; the picture says how many it leaves out."""
    _rows: Mapping[str, list[_Bar]] = field(init=False, repr=False, eq=False)
    _waits: list[list[_Bar]] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        reader = _Reader()
        for event in self.history:
            reader.read(event)
        object.__setattr__(self, "_rows", reader.rows)
        object.__setattr__(self, "_waits", [bars for bars in reader.waits.values() if any(map(_lasts, bars))])

    def svg(self) -> str:
        """One SVG element."""
        body: list[str] = []
        top = _AXIS
        for node in self.nodes:
            top = self._row(body, node, self._rows.get(node, []), top)
        shown = self._waits[: self.most_waiting]
        if shown:
            left_out = len(self._waits) - len(shown)
            title = "waiting" if not left_out else f"waiting ({left_out} more are not drawn)"
            body.append(f'<text x="4" y="{top + _LANE}" class="head">{title}</text>')
            top += _LANE + _GAP
        for bars in shown:
            name = f"job {bars[0].job_id}"
            top = self._row(body, name, bars, top)
        axis = "".join(self._axis(top))
        style = "text{font:11px sans-serif}.head{font-weight:bold}rect{stroke:#fff;stroke-width:.5}line{stroke:#ccc}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top + _GAP}" viewBox="0 0 {_WIDTH} {top + _GAP}">'
            f"<style>{style}</style>{axis}{''.join(body)}</svg>\n"
        )

    def html(self) -> str:
        """A page with the picture; what a bar stands for is said where the pointer rests on it."""
        return f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>fakeslurm</title></head><body>\n{self.svg()}</body></html>\n'

    def save(self, path: str | Path) -> None:
        """Write it as the name says: ``.svg``, or else a page. Raises OSError."""
        path = Path(path)
        path.write_text(self.svg() if path.suffix == ".svg" else self.html(), encoding="utf-8")

    def _repr_html_(self) -> str:
        return self.svg()

    @property
    def _begin(self) -> float:
        return self.history[0].time if self.history else self.until

    def _x(self, when: float) -> float:
        length = max(self.until - self._begin, 1e-9)
        return round(_LEFT + (_WIDTH - _LEFT - 8) * (when - self._begin) / length, 2)

    def _row(self, body: list[str], name: str, bars: list[_Bar], top: int) -> int:
        lanes = _lanes(bars, self.until)
        height = _LANE * max(lanes, 1)
        body.append(f'<text x="4" y="{top + 12}">{html.escape(name)}</text>')
        body.append(f'<line x1="0" x2="{_WIDTH}" y1="{top + height + _GAP // 2}" y2="{top + height + _GAP // 2}"/>')
        for bar in bars:
            left, right = self._x(bar.begin), self._x(self.until if bar.end is None else bar.end)
            y = top + bar.lane * _LANE
            title = f"{bar.text}; {_clock(bar.begin)} to {'now' if bar.end is None else _clock(bar.end)}"
            body.append(
                f'<rect x="{left}" y="{y}" width="{max(right - left, 0.5):.2f}" height="{_LANE - 1}" fill="{bar.color}">'
                f"<title>{html.escape(title)}</title></rect>"
            )
            if bar.job_id is not None and right - left > 8 * len(str(bar.job_id)) and bar.color != _WAIT:
                body.append(f'<text x="{left + 2}" y="{y + 12}" fill="#fff" pointer-events="none">{bar.job_id}</text>')
        return top + height + _GAP

    def _axis(self, bottom: int) -> Iterator[str]:
        for part in range(9):
            when = self._begin + (self.until - self._begin) * part / 8
            x = self._x(when)
            yield f'<line x1="{x}" x2="{x}" y1="{_AXIS - 6}" y2="{bottom}"/>'
            anchor = "end" if part == 8 else "middle" if part else "start"
            yield f'<text x="{x}" y="12" text-anchor="{anchor}">{_clock(when)}</text>'


class _Reader:
    """Makes bars of events."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, list[_Bar]] = defaultdict(list)
        self.waits: dict[int, list[_Bar]] = {}
        self._names: dict[int, str] = {}
        self._running: dict[int, list[_Bar]] = {}
        self._down: dict[str, _Bar] = {}

    def read(self, event: object) -> None:
        match event:
            case JobSubmitted(time=now, job_id=job_id, name=name):
                self._names[job_id] = name
                self._wait(job_id, now, "submitted")
            case JobWaits(time=now, job_id=job_id, reason=reason):
                self._wait(job_id, now, reason)
            case JobStarted(time=now, job_id=job_id, nodes=nodes, cpus_per_node=cpus):
                self._no_longer_waits(job_id, now)
                color = _COLORS[job_id % len(_COLORS)]
                self._running[job_id] = [
                    _Bar(now, f"job {job_id} {self._names.get(job_id, '')}: {number} CPUs", color, job_id)
                    for number in cpus
                ]
                for node, bar in zip(nodes, self._running[job_id], strict=True):
                    self.rows[node].append(bar)
            case JobEnded(time=now, job_id=job_id, state=state, exit_code=code, completing=completing):
                self._no_longer_waits(job_id, now)
                self._ends(job_id, now, f"{state} {code}", bad=state != "COMPLETED", over=not completing)
            case JobRequeued(time=now, job_id=job_id, reason=reason, completing=completing):
                self._ends(job_id, now, f"requeued ({reason})", bad=True, over=not completing)
                self._wait(job_id, now, reason)
            case JobReleased(time=now, job_id=job_id):
                for bar in self._running.pop(job_id, []):
                    bar.end = now
            case NodeChanged(time=now, node=node, state=state):
                if (before := self._down.pop(node, None)) is not None:
                    before.end = now
                if state != "UP":
                    self._down[node] = _Bar(now, f"{node} {state}", _DOWN)
                    self.rows[node].append(self._down[node])

    def _wait(self, job_id: int, now: float, why: str) -> None:
        self._no_longer_waits(job_id, now)
        self.waits.setdefault(job_id, []).append(
            _Bar(now, f"job {job_id} {self._names.get(job_id, '')}: {why}", _WAIT, job_id)
        )

    def _no_longer_waits(self, job_id: int, now: float) -> None:
        bars = self.waits.get(job_id)
        if bars and bars[-1].end is None:
            bars[-1].end = now

    def _ends(self, job_id: int, now: float, how: str, *, bad: bool, over: bool) -> None:
        for bar in self._running.get(job_id, []):
            bar.text += f", {how}"
            if bad:
                bar.color = _BAD
            if over:
                bar.end = now
        if over:
            self._running.pop(job_id, None)


def _lasts(bar: _Bar) -> bool:
    return bar.end is None or bar.end > bar.begin


def _lanes(bars: Sequence[_Bar], until: float) -> int:
    """Give each bar a lane in which it overlaps none; how many there are."""
    free_from: list[float] = []
    for bar in bars:
        lane = next((number for number, free in enumerate(free_from) if free <= bar.begin), len(free_from))
        if lane == len(free_from):
            free_from.append(0.0)
        free_from[lane] = until if bar.end is None else bar.end
        bar.lane = lane
    return len(free_from)


def _clock(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%m-%d %H:%M:%S")
