"""slurmkit callbacks with any hooks, at any loci, with any intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from slurmkit.callbacks.base import HOOKS, BaseCallback, ExecutionLocus, RunHooksOn

__all__ = ["CallbackPlan", "callbacks", "poll_intervals"]

_CLIENT, _RUNNER, _BOTH = ExecutionLocus.CLIENT, ExecutionLocus.RUNNER, ExecutionLocus.BOTH


@frozen(kw_only=True)
class CallbackPlan:
    """What a callback is to be: the hooks that it overrides, each at a locus of its own or (None) at the default, and its attributes."""

    hooks: Mapping[str, ExecutionLocus | None] = field(factory=dict)
    requires_pickling: bool = True
    poll_interval_secs: float | None = None
    run_hooks_on: RunHooksOn = "all"

    def make(self, hear: Callable[[str, Any], object]) -> BaseCallback:
        """An instance of a new class, each of whose hooks calls ``hear(hook, ctx)``.

        `hear` travels to the job with the callback, so it has to be picklable when a hook runs there.
        """
        body: dict[str, Any] = {name: _hook(name, hear) for name in self.hooks}
        body |= {
            "execution_loci": {name: locus for name, locus in self.hooks.items() if locus is not None},
            "requires_pickling": self.requires_pickling,
            "poll_interval_secs": self.poll_interval_secs,
            "run_hooks_on": self.run_hooks_on,
        }
        made: type[BaseCallback] = type("Made", (BaseCallback,), body)
        return made()

    def sides(self, hook: str) -> set[ExecutionLocus]:
        """Where `hook` is called, by the rules of docs/callbacks.md: CLIENT, RUNNER, both or nowhere."""
        if hook not in self.hooks:
            return set()
        locus = self.hooks[hook] or HOOKS[hook].default
        sides = {_CLIENT, _RUNNER} if locus is _BOTH else {locus}
        return sides if self.requires_pickling else sides - {_RUNNER}

    @property
    def is_valid(self) -> bool:
        """Whether every hook that it overrides is called somewhere; slurmkit refuses it otherwise."""
        return all(self.sides(hook) for hook in self.hooks)


def _hook(name: str, hear: Callable[[str, Any], object]) -> Callable[[BaseCallback, Any], None]:
    def call(self: BaseCallback, ctx: Any) -> None:
        hear(name, ctx)

    return call


def poll_intervals() -> SearchStrategy[float]:
    """Seconds: fractions of one, and whole minutes."""
    return st.one_of(st.floats(0.01, 100, allow_nan=False), st.sampled_from([1.0, 5.0, 60.0, 600.0]))


@st.composite
def callbacks(
    draw: st.DrawFn,
    *,
    hooks: Sequence[str] = tuple(HOOKS),
    valid: bool = True,
    intervals: SearchStrategy[float] | None = None,
) -> CallbackPlan:
    """A callback that overrides any of `hooks`, at loci that they can have. `intervals`: of polling, default `poll_intervals`.

    With ``valid=False`` also some that slurmkit refuses, since a hook of theirs could never be called. Shrinks to one without hooks.
    """
    pickling = draw(st.sampled_from([True, False]))
    body: dict[str, ExecutionLocus | None] = {}
    for name in hooks:
        loci: list[ExecutionLocus | None] = [None, *HOOKS[name].allowed]
        if valid and not pickling:
            loci = [locus for locus in loci if (locus or HOOKS[name].default) is not _RUNNER]
        is_chosen = draw(st.booleans())
        if loci and is_chosen:
            body[name] = draw(st.sampled_from(loci))
    return CallbackPlan(
        hooks=body,
        requires_pickling=pickling,
        poll_interval_secs=draw(st.none() | (poll_intervals() if intervals is None else intervals)),
        run_hooks_on=draw(st.sampled_from(["all", "node", "first"])),
    )
