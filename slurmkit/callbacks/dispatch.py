"""Which callback hears which hook on which side: planned before anything is submitted, and the one way to call a hook."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from slurmkit.callbacks.base import HOOKS, BaseCallback, ExecutionLocus, locus_of, overrides
from slurmkit.errors import CallbackError

__all__ = ["Plan", "Subscriber", "fire", "hears", "merge", "name_of", "plan"]

log = logging.getLogger("slurmkit.callbacks")

_RUN_HOOKS_ON = ("all", "node", "first")


@attrs.frozen
class Subscriber:
    """A callback that follows the job's status, at most every `interval` seconds but for transitions and the end."""

    callback: BaseCallback
    interval: float


@attrs.frozen
class Plan:
    """What happens to the callbacks of one submission.

    `callbacks`: all of them, in order, each instance once. `shipped`: those that go to the job. `subscribers`: those that need a poller.
    """

    callbacks: tuple[BaseCallback, ...]
    shipped: tuple[BaseCallback, ...]
    subscribers: tuple[Subscriber, ...]


def hears(callback: BaseCallback, hook: str, side: ExecutionLocus) -> bool:
    """True when `callback` is called for `hook` on `side` (CLIENT or RUNNER)."""
    if not overrides(callback, hook):
        return False
    if side is ExecutionLocus.RUNNER and not callback.requires_pickling:
        return False
    return locus_of(callback, hook) in (side, ExecutionLocus.BOTH)


def merge(*groups: Iterable[object]) -> tuple[BaseCallback, ...]:
    """The callbacks of all `groups` in order, each instance once. They are told apart by identity: they may be unhashable, or all equal.

    Raises `CallbackError` for what is no callback.
    """
    merged: dict[int, BaseCallback] = {}
    for group in groups:
        if isinstance(group, BaseCallback):
            raise CallbackError(f"callbacks must be a sequence of callbacks; write [{group!r}] instead of {group!r}")
        for callback in group:
            if isinstance(callback, type) and issubclass(callback, BaseCallback):
                raise CallbackError(
                    f"{callback.__qualname__} is a class: pass an instance, {callback.__qualname__}(...)"
                )
            if not isinstance(callback, BaseCallback):
                raise CallbackError(f"{callback!r} is no callback: derive its class from slurmkit.BaseCallback")
            merged.setdefault(id(callback), callback)
    return tuple(merged.values())


def plan(callbacks: Sequence[BaseCallback]) -> Plan:
    """What is shipped, and who follows the status. Raises `CallbackError` for a callback that contradicts itself."""
    return Plan(
        callbacks=tuple(callbacks),
        shipped=tuple(callback for callback in callbacks if _is_shipped(callback)),
        subscribers=tuple(
            Subscriber(callback, interval)
            for callback in callbacks
            if (interval := _interval(callback)) is not None
            and hears(callback, "on_job_status_update_ctx", ExecutionLocus.CLIENT)
        ),
    )


def _is_shipped(callback: BaseCallback) -> bool:
    if callback.run_hooks_on not in _RUN_HOOKS_ON:
        valid = ", ".join(repr(value) for value in _RUN_HOOKS_ON)
        raise CallbackError(f"{name_of(callback)}: run_hooks_on is {callback.run_hooks_on!r}; valid: {valid}")
    if not isinstance(callback.requires_pickling, bool):
        raise CallbackError(
            f"{name_of(callback)}: requires_pickling is {callback.requires_pickling!r}; valid: True, False"
        )
    shipped = False
    for hook in HOOKS:
        if not overrides(callback, hook):
            continue
        try:
            locus = locus_of(callback, hook)
        except TypeError as error:
            raise CallbackError(str(error)) from error
        if locus is ExecutionLocus.CLIENT:
            continue
        if callback.requires_pickling:
            shipped = True
        elif locus is ExecutionLocus.RUNNER:
            raise CallbackError(
                f"{name_of(callback)}: {hook} runs in the job only, but requires_pickling = False keeps the callback on the client, "
                f"so that {hook} would never be called. Drop {hook}, or set requires_pickling = True."
            )
    return shipped


def _interval(callback: BaseCallback) -> float | None:
    value: Any = callback.poll_interval_secs
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise CallbackError(
            f"{name_of(callback)}: poll_interval_secs is {value!r}; valid: None, or a number of seconds above 0"
        )
    return float(value)


def fire(callbacks: Iterable[BaseCallback], hook: str, ctx: Any, side: ExecutionLocus) -> None:
    """Call `hook` of every one of `callbacks` that hears it on `side`, in order.

    What a callback raises is logged once, with its traceback, and harms neither the other callbacks nor the caller: SystemExit too, and what
    else is no Exception (``pytest.fail`` raises such), but not KeyboardInterrupt, which is the user's.
    """
    for callback in callbacks:
        if not hears(callback, hook, side):
            continue
        try:
            getattr(callback, hook)(ctx)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log.exception("callback %s failed in %s on the %s", name_of(callback), hook, side.value)


def name_of(callback: BaseCallback) -> str:
    """The class, not repr(): a repr of the user's own may fail too."""
    return f"{type(callback).__module__}.{type(callback).__qualname__}"
