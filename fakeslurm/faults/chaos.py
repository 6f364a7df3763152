"""Faults at random, from a seed: `FakeSlurm.chaos`. What was fired is a plan, a value, which can be printed and fired again."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from fakeslurm.faults.base import End, Fault, Hit, Kind
from fakeslurm.faults.plan import Choice, Plan
from fakeslurm.faults.registry import KINDS, kind_of

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.faults.control import Faults
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["Chaos", "Planned", "PlannedCall", "PlannedTime", "chaos_of", "default_kinds", "under_way"]

_LEFT_OUT = frozenset({"reused_ids", "accounting_off"})
"""Chaos does this only when it is told: it ends all jobs; no cluster is without accounting for a moment."""
_SHORTEST, _LONGEST = 1.0, 600.0
"""Seconds that a fault lasts which is no call's."""


@frozen
class PlannedCall:
    """The call `number` of `command`, counted from 1, is hit."""

    command: str
    number: int
    kind: Kind


@frozen
class PlannedTime:
    """A fault begins `after` so many seconds, and lasts for `lasting`; one of jobs hits one of them."""

    after: float
    lasting: float
    kind: Kind


Planned = PlannedCall | PlannedTime


@define(eq=False)
class Chaos:
    """Decides about each call by its command and its number among those of this command, so that it does not matter which thread is first."""

    seed: int
    rate: float
    kinds: tuple[Kind, ...]
    replayed: tuple[Planned, ...] | None = None
    plan: list[Planned] = field(factory=list, init=False)
    """What was fired so far, in the order in which it was."""
    hits: list[Hit] = field(factory=list, init=False)
    """What the faults of calls have hit."""
    faults: list[Fault] = field(factory=list, init=False)
    """The faults that were no call's."""
    _numbers: Counter[str] = field(factory=Counter, init=False)
    _dice: dict[str, random.Random] = field(init=False)
    _planned: dict[tuple[str, int], Kind] | None = field(init=False)
    """The kinds of the calls that are replayed, by command and number."""

    @_dice.default
    def _make_dice(self) -> dict[str, random.Random]:
        return _Dice(self.seed)

    @_planned.default
    def _make_planned(self) -> dict[tuple[str, int], Kind] | None:
        if self.replayed is None:
            return None
        return {(one.command, one.number): one.kind for one in self.replayed if isinstance(one, PlannedCall)}

    def choose(self, call: Call) -> Choice:
        """The fault of a call; None: another source decides."""
        self._numbers[call.command] += 1
        number = self._numbers[call.command]
        kind = self._drawn(call.command) if self._planned is None else self._planned.get((call.command, number))
        if kind is not None:
            self.plan.append(PlannedCall(call.command, number, kind))
        return kind

    def _drawn(self, command: str) -> Kind | None:
        dice = self._dice[command]
        fires, which = dice.random() < self.rate, dice.random()
        fitting = [kind for kind in self.kinds if kind.is_of_calls and command in kind.hits_calls_of]
        return fitting[int(which * len(fitting))] if fires and fitting else None

    def times(self, every: float | None) -> Iterator[PlannedTime]:
        """What happens by the clock, in its order: a fault about `every` seconds, or what is replayed."""
        if self.replayed is not None:
            yield from (one for one in self.replayed if isinstance(one, PlannedTime))
            return
        of_time = [kind for kind in self.kinds if not kind.is_of_calls]
        dice, after = self._dice["/time"], 0.0
        while every is not None and of_time:
            after += dice.expovariate(1 / every)
            lasting = dice.uniform(_SHORTEST, _LONGEST)
            yield PlannedTime(round(after, 3), round(lasting, 3), dice.choice(of_time))


class _Dice(defaultdict[str, random.Random]):
    """One for each thing that is decided, all of them from one seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def __missing__(self, what: str) -> random.Random:
        self[what] = random.Random(f"{self._seed} {what}")
        return self[what]


def default_kinds(settings: Settings) -> tuple[Kind, ...]:
    """Those that need no options, a controller that carries out what it does not answer among them."""
    kinds: list[Kind] = []
    for name, kind in KINDS.items():
        try:
            one = kind()
            one.check(settings)
        except (TypeError, ValueError):  # it needs to be told something, or this Slurm has none
            continue
        if name not in _LEFT_OUT:
            kinds.append(one)
    return (*kinds, kind_of("controller_timeout", {"accepted": True}))


def chaos_of(
    settings: Settings,
    seed: int,
    rate: float,
    kinds: Iterable[str | Kind] | None,
    plan: Sequence[Planned] | None,
) -> Chaos:
    """Checked. ValueError or TypeError for what cannot be."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ValueError(f"chaos: rate={rate!r}; expected the share of calls that are hit, 0 to 1")
    for one in plan or ():
        if not isinstance(one, PlannedCall | PlannedTime):
            raise TypeError(f"chaos: plan has {one!r}; expected what the plan of a chaos has")
    if kinds is None:
        chosen = default_kinds(settings)
    else:
        chosen = tuple(kind_of(one, {}) if isinstance(one, str) else one for one in kinds)
        for kind in chosen:
            if not isinstance(kind, Kind):
                raise TypeError(f"chaos: kinds has {kind!r}; expected names of faults, or faults")
            kind.check(settings)
    return Chaos(seed, float(rate), chosen, None if plan is None else tuple(plan))


@contextmanager
def under_way(chaos: Chaos, engine: Engine, plan: Plan, faults: Faults, every: float | None) -> Iterator[Chaos]:
    """Inside of the block it fires."""
    if every is not None and not every > 0:
        raise ValueError(
            f"chaos: every={every!r}; expected a number of seconds, more than 0, or None for no faults but calls'"
        )
    times, start, ends = chaos.times(every), engine.now(), dict[Fault, End | None]()
    over = False

    def go_on(_now: float) -> None:
        """Plan the next one."""
        following = next(times, None)
        if following is not None and not over:
            engine.at(start + following.after, lambda now: fire(following, now))

    def fire(planned: PlannedTime, now: float) -> None:
        if over:
            return
        fault = Fault(planned.kind, times=None if planned.kind.hits_calls_of else 1)
        chaos.plan.append(planned)
        chaos.faults.append(fault)
        ends[fault] = faults.begin(fault, now)
        engine.at(now + planned.lasting, lambda now: finish(fault, now))
        go_on(now)

    def finish(fault: Fault, now: float) -> None:
        if fault in ends:
            faults.finish(fault, ends.pop(fault), now)

    def finish_all(now: float) -> None:
        for fault in list(ends):
            finish(fault, now)

    plan.add(chaos)
    engine.change(go_on)
    try:
        yield chaos
    finally:
        over = True
        plan.remove(chaos)
        with engine.condition:
            if not engine.closed:
                engine.change(finish_all)
