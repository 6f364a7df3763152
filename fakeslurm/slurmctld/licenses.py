"""Licenses: counted for the cluster as a whole. Measured: docs/measured/resources.md."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fakeslurm import messages
from fakeslurm.messages import SlurmError

__all__ = ["Licenses", "license_names", "requested_licenses"]

_ITEM = re.compile(r"([^:=@*|,;]+)(?:([:=])([0-9]+))?", re.ASCII)


def requested_licenses(text: str, totals: Mapping[str, int], release: str) -> tuple[tuple[str, int], ...]:
    """What ``--licenses`` asks for, ``foo:2,bar``. Raises SlurmError for one that there is not, or not so many of."""
    found: dict[str, int] = {}
    for item in re.split("[,;]", text) if text else ():
        match = _ITEM.fullmatch(item)
        if match is None or match[1] not in totals or (match[2] == "=" and release < "24.11"):
            raise SlurmError(messages.INVALID_LICENSE)
        found[match[1]] = found.get(match[1], 0) + int(match[3] or 1)
    if any(count > totals[name] for name, count in found.items()):
        raise SlurmError(messages.INVALID_LICENSE)
    return tuple(found.items())


def license_names(text: str) -> frozenset[str]:
    """Which licenses ``foo:2,bar`` names."""
    return frozenset(re.split("[:=]", item)[0] for item in re.split("[,;]", text) if item)


class Licenses:
    """How many of each are in use."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._totals = totals
        self.used = dict.fromkeys(totals, 0)

    def suffice(self, wanted: tuple[tuple[str, int], ...]) -> bool:
        return not wanted or all(self.used[name] + count <= self._totals[name] for name, count in wanted)

    def take(self, wanted: tuple[tuple[str, int], ...]) -> None:
        for name, count in wanted:
            self.used[name] += count

    def give_back(self, wanted: tuple[tuple[str, int], ...]) -> None:
        for name, count in wanted:
            self.used[name] -= count
