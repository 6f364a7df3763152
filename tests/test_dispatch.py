"""Which hook is called on which side: the whole table of hook x locus x requires_pickling, on generated callbacks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeslurm import strategies
from fakeslurm.strategies import CallbackPlan
from slurmkit.callbacks.base import HOOKS, BaseCallback, ExecutionLocus
from slurmkit.callbacks.dispatch import fire, hears, merge, plan
from slurmkit.errors import CallbackError

CLIENT, RUNNER, BOTH = ExecutionLocus.CLIENT, ExecutionLocus.RUNNER, ExecutionLocus.BOTH

# The specification's table, written down a second time.
DEFAULTS = {
    "on_begin_package_ctx": CLIENT,
    "on_end_package_ctx": CLIENT,
    "on_begin_submit_job_ctx": CLIENT,
    "on_end_submit_job_ctx": CLIENT,
    "on_begin_run_job_ctx": RUNNER,
    "on_end_run_job_ctx": RUNNER,
    "on_job_status_update_ctx": CLIENT,
    "on_completed_ctx": BOTH,
}


def make(
    hooks: Mapping[str, ExecutionLocus | None], pickling: bool = True, heard: list[Any] | None = None
) -> BaseCallback:
    log = [] if heard is None else heard
    return CallbackPlan(hooks=hooks, requires_pickling=pickling).make(lambda hook, ctx: log.append((hook, ctx)))


def expected(hook: str, locus: ExecutionLocus | None, pickling: bool) -> set[ExecutionLocus]:
    """The sides on which a hook is called, by the rules of the specification."""
    at = DEFAULTS[hook] if locus is None else locus
    sides = {CLIENT, RUNNER} if at is BOTH else {at}
    return sides if pickling else sides - {RUNNER}


def test_the_table_is_the_specifications() -> None:
    assert {name: hook.default for name, hook in HOOKS.items()} == DEFAULTS
    assert {name for name, hook in HOOKS.items() if len(hook.allowed) > 1} == {"on_completed_ctx"}


@pytest.mark.parametrize("pickling", [True, False])
@pytest.mark.parametrize(("hook", "locus"), [(h, o) for h in DEFAULTS for o in (None, CLIENT, RUNNER, BOTH)])
def test_one_hook_at_each_locus(hook: str, locus: ExecutionLocus | None, pickling: bool) -> None:
    if locus is not None and locus not in HOOKS[hook].allowed:
        with pytest.raises(TypeError, match=f"{hook}.*valid: ExecutionLocus"):
            make({hook: locus}, pickling)
        return
    heard: list[Any] = []
    callback = make({hook: locus}, pickling, heard)
    sides = expected(hook, locus, pickling)
    assert {side for side in (CLIENT, RUNNER) if hears(callback, hook, side)} == sides
    for side in (CLIENT, RUNNER):
        for name in HOOKS:
            fire([callback], name, side, side)
    assert heard == [(hook, side) for side in (CLIENT, RUNNER) if side in sides]
    if not sides:
        with pytest.raises(CallbackError, match=rf"{hook} runs in the job only.*requires_pickling"):
            plan([callback])
    else:
        assert plan([callback]).shipped == ((callback,) if RUNNER in sides else ())


@given(st.lists(strategies.callbacks(valid=False), max_size=5))
def test_any_set_of_callbacks(made: list[CallbackPlan]) -> None:
    heard: list[tuple[int, str, object]] = []

    def listener(number: int) -> Callable[[str, object], None]:
        return lambda hook, ctx: heard.append((number, hook, ctx))

    callbacks = [one.make(listener(number)) for number, one in enumerate(made)]
    sides = [{hook: expected(hook, at, one.requires_pickling) for hook, at in one.hooks.items()} for one in made]
    if any(not where for table in sides for where in table.values()):
        with pytest.raises(CallbackError):
            plan(callbacks)
        return
    shipped = [c for c, table in zip(callbacks, sides, strict=True) if any(RUNNER in where for where in table.values())]
    assert list(plan(callbacks).shipped) == shipped
    for hook, side in itertools.product(HOOKS, (CLIENT, RUNNER)):
        fire(callbacks, hook, side, side)
        assert heard == [(number, hook, side) for number, table in enumerate(sides) if side in table.get(hook, ())]
        heard.clear()


def test_the_most_derived_class_names_the_locus() -> None:
    class Base(BaseCallback):
        execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = {"on_completed_ctx": RUNNER}

        def on_completed_ctx(self, ctx: Any) -> None: ...

    class Derived(Base):
        execution_loci: ClassVar[Mapping[str, ExecutionLocus]] = {"on_completed_ctx": CLIENT}

    class Silent(Base):
        pass

    assert [hears(cls(), "on_completed_ctx", RUNNER) for cls in (Base, Derived, Silent)] == [True, False, True]
    one = Derived()
    one.execution_loci = {"on_completed_ctx": BOTH}  # type: ignore[misc]
    assert hears(one, "on_completed_ctx", RUNNER)
    one.execution_loci = {"on_complete_ctx": BOTH}  # type: ignore[misc]
    with pytest.raises(CallbackError, match="unknown hook 'on_complete_ctx'"):
        plan([one])


def test_a_misspelt_hook_is_an_error_when_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match=r"unknown hook 'on_complete_ctx'; the hooks are .*on_completed_ctx"):
        type("Wrong", (BaseCallback,), {"execution_loci": {"on_complete_ctx": CLIENT}})
    with pytest.raises(TypeError, match=r"valid: ExecutionLocus\.CLIENT"):
        type("Wrong", (BaseCallback,), {"execution_loci": {"on_job_status_update_ctx": RUNNER}})
    with pytest.raises(TypeError, match="'client'"):
        type("Wrong", (BaseCallback,), {"execution_loci": {"on_completed_ctx": "client"}})


def test_callbacks_are_told_apart_by_identity() -> None:
    @attrs.define
    class Equal(BaseCallback):
        """Unhashable, and all instances are equal."""

        def on_completed_ctx(self, ctx: Any) -> None: ...

    one, two = Equal(), Equal()
    with pytest.raises(TypeError):
        hash(one)
    merged = merge([one, two], [one])
    assert len(merged) == 2
    assert merged[0] is one
    assert merged[1] is two
    assert len(plan(merged).shipped) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([BaseCallback], "BaseCallback is a class: pass an instance"),
        (["x"], "'x' is no callback"),
        (BaseCallback(), "must be a sequence of callbacks"),
    ],
)
def test_what_is_no_callback(wrong: Any, words: str) -> None:
    with pytest.raises(CallbackError, match=words):
        merge(wrong)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "2", True])
def test_interval_has_to_be_a_number_of_seconds(value: Any) -> None:
    callback = make({"on_job_status_update_ctx": None})
    callback.poll_interval_secs = value
    with pytest.raises(CallbackError, match="poll_interval_secs is"):
        plan([callback])


@pytest.mark.parametrize(
    ("hooks", "interval", "subscribes"),
    [
        (["on_job_status_update_ctx"], 2, True),
        (["on_job_status_update_ctx"], None, False),
        (["on_completed_ctx"], 2, False),
    ],
)
def test_who_needs_a_poller(hooks: list[str], interval: float | None, subscribes: bool) -> None:
    callback = make(dict.fromkeys(hooks))
    callback.poll_interval_secs = interval
    assert [subscriber.interval for subscriber in plan([callback]).subscribers] == ([2.0] if subscribes else [])


def test_other_attributes_are_checked() -> None:
    callback = make({"on_begin_run_job_ctx": None})
    callback.run_hooks_on = "some"  # type: ignore[assignment]
    with pytest.raises(CallbackError, match="run_hooks_on is 'some'; valid: 'all', 'node', 'first'"):
        plan([callback])
    callback = make({"on_begin_run_job_ctx": None})
    callback.requires_pickling = "no"  # type: ignore[assignment]
    with pytest.raises(CallbackError, match="requires_pickling is 'no'"):
        plan([callback])


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3)])
def test_a_failing_callback_is_logged_once_and_harms_nobody(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(BaseCallback):
        def on_completed_ctx(self, ctx: Any) -> None:
            raise error

        def __repr__(self) -> str:
            raise RuntimeError("no repr either")

    heard: list[Any] = []
    fire([Failing(), make({"on_completed_ctx": None}, heard=heard)], "on_completed_ctx", "ctx", CLIENT)
    assert len(heard) == 1
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("slurmkit.callbacks", logging.ERROR)
    assert "Failing" in record.getMessage()
    assert "on_completed_ctx" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_keyboard_interrupt_is_the_users() -> None:
    class Interrupted(BaseCallback):
        def on_completed_ctx(self, ctx: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fire([Interrupted()], "on_completed_ctx", None, CLIENT)
