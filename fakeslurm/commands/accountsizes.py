"""sacct's filters by amounts: nodes, CPUs and time limits. Measured on Slurm 22.05.8, 24.11.5."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fakeslurm.commands.answers import Stop, unsupported
from slurmkit.slurm.durations import DurationError, parse_minutes

if TYPE_CHECKING:
    from fakeslurm.slurmdbd import JobRecord

__all__ = ["Test", "minutes", "sizes"]

_PROGRAM = "sacct"

Test = Callable[["JobRecord"], bool]


def sizes(values: Mapping[str, str]) -> list[Test]:
    """One test for each option that selects by an amount. Raises `Stop`."""
    tests: list[Test] = []
    for key, name, size in (
        ("nnodes", "node", lambda job: job.booked_nodes),
        ("ncpus", "cpu", lambda job: job.allocated_cpus if job.tres_nodes else 0),
    ):
        if key in values:
            least, most = _range(values[key], name)
            if least:  # else the most does not count either (measured)
                tests.append(_between(size, least, most))
    if "timelimit-min" in values:
        least, most = minutes(values["timelimit-min"]), minutes(values.get("timelimit-max", values["timelimit-min"]))
        tests.append(lambda job: job.time_limit is not None and least <= job.time_limit <= most)
    return tests


_MULTIPLES = {"": 1, "k": 1024, "m": 1024 * 1024}


def _between(size: Callable[[JobRecord], int], least: int, most: int) -> Test:
    return lambda job: least <= size(job) <= most


def _range(text: str, name: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+)([kKmM]?)(?:-([0-9]+)([kKmM]?).*)?", text, re.ASCII)
    if match is None:
        raise Stop(f'{_PROGRAM}: error: Invalid numeric value "{text}" for requested {name} range.\n')
    least = int(match[1]) * _MULTIPLES[match[2].lower()]
    return least, least if match[3] is None else int(match[3]) * _MULTIPLES[match[4].lower()]


def minutes(text: str) -> int:
    """Of ``--timelimit-min`` and ``--timelimit-max``. Raises `Stop`."""
    try:
        number = parse_minutes(text)
    except DurationError:
        number = 0
    if number is None:
        raise unsupported(_PROGRAM, "--timelimit-min and --timelimit-max without a number")
    if not number:
        raise Stop(f"{_PROGRAM}: fatal: Invalid time limit specification\n")
    return number
