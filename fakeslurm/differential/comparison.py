"""When two answers agree. Pure.

A text is cut into pieces that are compared exactly and *moments*: time stamps and durations, which agree when they are
`TOLERANCE` seconds apart at most, since no two clusters do the same thing in the same second. Priorities are counted down
from a cluster's start: they agree when all of an example differ by the same number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from attrs import define

__all__ = ["TOLERANCE", "Priorities", "agree", "without_moments"]

TOLERANCE = 3.0
"""Seconds."""

_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d \d{4}"
_LONG = r"(?:\d+-)?\d\d:\d\d:\d\d"
_SHORT = r"(?:\d+-)?(?:\d+:)?\d+:\d\d"
_SECONDS = r"(?<=SecsPreSuspend=)\d+"
_PRIORITY = r"4294(?!967)(?:(?!4294)\d){1,6}|0\.9999\d{0,10}"
"""Perhaps cut, and another one behind it; and not NO_VAL, which is no priority."""
_DIGITS = 10
"""Of a whole priority."""


def _pieces(duration: str) -> re.Pattern[str]:
    return re.compile(
        f"(?:(?P<stamp>{_STAMP})|(?P<date>{_WEEKDAY})|(?P<priority>{_PRIORITY})|(?P<seconds>{_SECONDS})|(?P<duration>{duration}))"
    )


# sacct and scontrol write durations with hours; two numbers with one colon are an exit code there.
_MOMENTS = {
    "squeue": _pieces(rf"(?:(?<![\d.-])|(?<={_STAMP})|(?<=:\d\d))(?<!\d:){_SHORT}(?!:)"),
    "sinfo": _pieces(rf"(?<![\d.-])(?<!\d:){_SHORT}(?!:)"),
}
"""A column may begin or end where another one, whose digits are the same on both sides, ends or begins."""
_OTHER = _pieces(rf"(?<![\d:.-]){_LONG}(?![\d:])")


@define
class Priorities:
    """By how much the priorities of the two sides differ, once it is known."""

    difference: float | None = None

    def agree(self, left: str, right: str) -> bool:
        if "." in left or "." in right:  # a share of the highest there is: the difference is too small to count
            return abs(float(left) - float(right)) < 1e-4
        if len(left) < _DIGITS or len(right) < _DIGITS:  # cut: too little is left to tell
            return len(left) == len(right)
        difference = int(left) - int(right)
        if self.difference is None:
            self.difference = difference
        return self.difference == difference


def agree(command: str, left: str, right: str, priorities: Priorities) -> bool:
    """Whether two answers of `command` (its name) say the same. `priorities` belongs to the example."""
    if left == right:
        return True
    pattern = _MOMENTS.get(command, _OTHER)
    ours, theirs = list(pattern.finditer(left)), list(pattern.finditer(right))
    if len(ours) != len(theirs) or _between(left, ours) != _between(right, theirs):
        return False
    return all(
        one.lastgroup == other.lastgroup and _same(one.lastgroup or "", one[0], other[0], priorities)
        for one, other in zip(ours, theirs, strict=True)
    )


def without_moments(command: str, text: str) -> str:
    """What stays of a line when seconds pass: by this the rows of the two sides are put into the same order."""
    return _MOMENTS.get(command, _OTHER).sub("", text)


def _between(text: str, moments: Sequence[re.Match[str]]) -> list[str]:
    edges = [0, *(edge for match in moments for edge in match.span()), len(text)]
    return [text[start:end] for index, (start, end) in enumerate(pairwise(edges)) if index % 2 == 0]


def _same(kind: str, left: str, right: str, priorities: Priorities) -> bool:
    if kind == "priority":
        return priorities.agree(left, right)
    return abs(_seconds(kind, left) - _seconds(kind, right)) <= TOLERANCE


def _seconds(kind: str, text: str) -> float:
    """Of a stamp since some day, of a duration its length. A stamp that is no date counts as 0."""
    if kind == "seconds":
        return float(text)
    if kind == "duration":
        days, _, rest = text.rpartition("-")
        seconds = int(days or 0) * 86400
        for weight, part in zip((1, 60, 3600), reversed(rest.split(":")), strict=False):
            seconds += weight * int(part)
        return seconds
    form = "%Y-%m-%dT%H:%M:%S" if kind == "stamp" else "%a %b %d %H:%M:%S %Y"
    try:
        return (datetime.strptime(text, form) - datetime(2000, 1, 1)).total_seconds()
    except ValueError:
        return 0.0
