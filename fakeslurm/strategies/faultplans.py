"""What goes wrong on a cluster, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fakeslurm.faults import KINDS, Fault, kind_of
from fakeslurm.model import Settings

if TYPE_CHECKING:
    from fakeslurm.fake import FakeSlurm

__all__ = ["FaultPlan", "PlannedFault", "fault_plans", "fault_plans_of_calls"]

_NO_OPTIONS: Mapping[str, SearchStrategy[Any]] = {}
_OPTIONS: Mapping[str, Mapping[str, SearchStrategy[Any]]] = {
    "controller_down": {"seconds": st.sampled_from([None, 0.0, 3.0])},
    "controller_timeout": {"seconds": st.sampled_from([None, 0.0, 30.0]), "accepted": st.booleans()},
    "rate_limited": {"seconds": st.sampled_from([3.0, 0.5, 100.0])},
    "slow": {"seconds": st.sampled_from([5.0, 0.5, 100.0])},
    "accounting_down": {"hangs": st.booleans()},
    "accounting_lag": {"seconds": st.sampled_from([60.0, 1.0, 600.0])},
    "node_failure": {"node": st.sampled_from([None, "n1"])},
    "preemption": {"mode": st.sampled_from(["CANCEL", "REQUEUE"])},
    "stuck_completing": {"seconds": st.sampled_from([60.0, 1.0, 600.0])},
    "result_lag": {"seconds": st.sampled_from([1.0, 5.0, 60.0])},
    "clock_skew": {"seconds": st.sampled_from([1.0, -1.0, 60.0, -3600.0])},
    "truncated_output": {"characters": st.sampled_from([None, 0, 1, 40])},
}
"""Of the kinds of which more can be said than their defaults."""


def _unknown_options(name: str) -> list[str]:
    """The options that have to be given, and of which nothing is known here (the process that ``client_killed`` kills)."""
    fields = attrs.fields(KINDS[name])
    return [one.name for one in fields if one.default is attrs.NOTHING and one.name not in _OPTIONS.get(name, {})]


_OF_CALLS = tuple(name for name, kind in KINDS.items() if kind.hits_calls_of and not _unknown_options(name))


@frozen
class PlannedFault:
    """A fault that begins `after` so many seconds and ends `lasting` seconds later; see `FakeSlurm.schedule_fault`."""

    name: str
    after: float
    lasting: float
    times: int | None = None
    commands: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(factory=dict)


@frozen
class FaultPlan:
    """Several faults, from the moment at which `begin` is called."""

    faults: tuple[PlannedFault, ...]

    def begin(self, slurm: FakeSlurm) -> list[Fault]:
        """Schedule all of them on `slurm`."""
        return [
            slurm.schedule_fault(
                one.name, after=one.after, lasting=one.lasting, times=one.times, commands=one.commands, **one.options
            )
            for one in self.faults
        ]

    @property
    def end(self) -> float:
        """Seconds after which the last one is over."""
        return max((one.after + one.lasting for one in self.faults), default=0.0)


@st.composite
def fault_plans(
    draw: st.DrawFn,
    *,
    kinds: Sequence[str],
    commands: Sequence[str] | None = None,
    max_size: int = 4,
    longest: float = 600.0,
) -> FaultPlan:
    """Up to `max_size` faults of these `kinds` (names of `fakeslurm.faults`), each over after `longest` seconds at most.

    Those of calls hit `commands`, or (None) some or all of those that they can. Shrinks to no fault. Raises ValueError for a kind that is not
    known, or that needs to be told something that only the test knows.
    """
    for name in kinds:
        if name not in KINDS or _unknown_options(name):
            known = ", ".join(sorted(one for one in KINDS if not _unknown_options(one)))
            raise ValueError(f"fault_plans: kind {name!r}; valid are {known}")
    moments = [0.0, 0.5, 1.0, 5.0, 60.0]
    faults = []
    for _ in range(draw(st.integers(0, max_size))):
        name = draw(st.sampled_from(list(kinds)))
        options = {key: draw(values) for key, values in _OPTIONS.get(name, _NO_OPTIONS).items()}
        hits = KINDS[name].hits_calls_of
        chosen: tuple[str, ...] | None = None
        if hits and commands is not None:
            chosen = tuple(command for command in commands if command in hits)
        elif hits:
            some = st.lists(st.sampled_from(hits), min_size=1, max_size=3, unique=True)
            chosen = draw(st.none() | some.map(tuple))
        lasting = draw(st.sampled_from([one for one in (*moments, longest) if 0 < one <= longest]))
        times = draw(st.sampled_from([1, 2, 3, None]))
        faults.append(PlannedFault(name, draw(st.sampled_from(moments)), lasting, times, chosen, options))
    return FaultPlan(tuple(faults))


def fault_plans_of_calls(
    *, commands: Sequence[str] | None = None, max_size: int = 4, longest: float = 600.0, version: str = "22.05"
) -> SearchStrategy[FaultPlan]:
    """`fault_plans` of every kind that hits calls of Slurm's commands, and that this release can have."""
    kinds = [name for name in _OF_CALLS if _is_possible(name, version)]
    return fault_plans(kinds=kinds, commands=commands, max_size=max_size, longest=longest)


def _is_possible(name: str, version: str) -> bool:
    try:
        kind_of(name, {}).check(Settings(version=version))
    except ValueError:
        return False
    return True
