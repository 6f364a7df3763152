"""Heterogeneous jobs as they are submitted. Measured on 22.05.8 and 24.11.5: docs/measured/hetjobs.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import evolve

from fakeslurm import messages
from fakeslurm.messages import SlurmError, unsupported
from fakeslurm.model import JobDescription, Settings
from slurmkit.slurm.hostlist import HostlistError, compress_sorted, expand

__all__ = ["checked"]


def checked(descriptions: Sequence[JobDescription], settings: Settings) -> list[JobDescription]:
    """The components as they are submitted: what one wants by name (-w) the others are kept from. Raises SlurmError."""
    if any(one.array for one in descriptions):
        raise SlurmError(messages.INVALID_ARRAY)
    if settings.preempts:
        raise unsupported("a heterogeneous job where jobs are preempted")
    for one in descriptions:
        for value, what in (
            (one.licenses, "licenses"),
            (one.overcommit, "--overcommit"),
            (one.signal, "--signal"),
            ("singleton" in one.dependency, "--dependency=singleton"),
            (one.no_kill, "--no-kill"),
            ("," in (one.partition or ""), "several partitions"),
        ):
            if value:
                raise unsupported(f"{what} of a heterogeneous job")
    if len({one.time_limit for one in descriptions}) > 1:
        raise unsupported("components of a heterogeneous job with different time limits")
    named = [_names(one.nodelist) for one in descriptions]
    found = []
    for place, one in enumerate(descriptions):
        others = {name for index, names in enumerate(named) if index != place for name in names}
        if others:
            if others & set(named[place]):
                raise SlurmError(messages.INVALID_NODE_NAME)
            one = evolve(one, exclude=compress_sorted(others | set(_names(one.exclude))))
        found.append(one)
    return found


def _names(text: str) -> list[str]:
    """Of what is no hostlist nothing: that is refused later."""
    try:
        return expand(text) if re.search(r"\S", text) else []
    except HostlistError:
        return []
