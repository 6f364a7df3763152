"""Which jobs the options of scancel are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fakeslurm.model import Job
from slurmkit.slurm.hostlist import HostlistError, expand

__all__ = ["matches", "shown"]


def _on_nodes(job: Job, text: str) -> bool:
    try:
        return not set(expand(text)).isdisjoint(job.shown_nodes)
    except HostlistError:
        return False


_SHOWN: Mapping[str, str] = {"name": "job_name", "user": "user_name"}
"""Filters by scancel's name of them, where that is not the option's."""
_FILTERS: Mapping[str, Callable[[Job, str], bool]] = {
    "account": lambda job, value: job.account == value,
    "name": lambda job, value: job.description.name == value,
    "nodelist": _on_nodes,
    "partition": lambda job, value: job.partition == value,
    "qos": lambda job, value: (job.description.qos or "normal") == value,
    "reservation": lambda job, value: job.description.reservation == value,
    "state": lambda job, value: job.state == value,
    "user": lambda job, value: value in (job.description.user, str(job.description.uid)),
}


def matches(job: Job, filters: Mapping[str, str]) -> bool:
    return all(_FILTERS[name](job, value) for name, value in filters.items())


def shown(filters: Mapping[str, str]) -> str:
    """The filters as ``--verbose`` names them."""
    return " ".join(f"{_SHOWN.get(name, name)}={value}" for name, value in sorted(filters.items()))
