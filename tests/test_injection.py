"""Which parameters receive the JobContext."""

from __future__ import annotations

import ast
import functools
import math
from typing import Annotated, Any, Optional

import injected
import pytest

from slurmkit.injection import call_with_context, injected_parameters, unfilled_parameters
from slurmkit.runtime import JobContext, current_job_context

MEANT = ["plain", "checker_only", "checker_only_module", "dotted", "optional", "union", "typing_optional", "or_none"]
MEANT += ["none_or", "annotated", "quoted"]


@pytest.mark.parametrize("name", MEANT)
def test_annotations_that_mean_the_context(name: str) -> None:
    assert injected_parameters(getattr(injected, name)) == ("context",)


@pytest.mark.parametrize("name", ["other_job", "any_job", "listed", "metadata", "string", "broken", "variadic"])
def test_annotations_that_do_not(name: str) -> None:
    assert injected_parameters(getattr(injected, name)) == ()


def test_by_name_without_annotation() -> None:
    assert injected_parameters(injected.unannotated) == ("job",)


def test_several() -> None:
    assert injected_parameters(injected.two) == ("first", "second")


def test_annotations_that_are_no_strings() -> None:
    def objects(a, b, c, d, e, f, job):  # type: ignore[no-untyped-def]
        return None

    objects.__annotations__ = {"a": JobContext, "b": JobContext | None, "c": list[JobContext], "d": int}
    objects.__annotations__ |= {"e": Annotated[JobContext, "here"], "f": Optional["JobContext"]}
    assert injected_parameters(objects) == ("a", "b", "e", "f", "job")


def test_a_class_of_the_same_name_is_another_one() -> None:
    namespace: dict[str, Any] = {}
    exec("class JobContext: pass\ndef f(context: JobContext): ...\ndef g(context: 'JobContext'): ...", namespace)
    assert injected_parameters(namespace["f"]) == ()
    assert injected_parameters(namespace["g"]) == ()


def test_callables_of_other_kinds() -> None:
    class Model:
        def train(self, x: int, *, job: JobContext) -> None: ...

    @functools.wraps(injected.plain)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    assert injected_parameters(Model().train) == ("job",)
    assert injected_parameters(wrapper) == ("context",)
    assert injected_parameters(math.sqrt) == ()
    assert injected_parameters(max) == ()  # it has no signature


def test_positional_only_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"positional_only: the parameter 'job' .* is positional-only; move it behind the '/'"
    ):
        injected_parameters(injected.positional_only)
    assert injected_parameters(injected.behind_positional_only) == ("job",)


@pytest.mark.parametrize(
    ("args", "kwargs", "unfilled"),
    [
        ((), {}, ("first", "second")),
        ((1,), {}, ("second",)),
        ((1, 2), {}, ("second",)),
        ((1, 2, 3), {}, ()),
        ((), {"first": None}, ("second",)),
        ((1,), {"second": None}, ()),
    ],
)
def test_the_callers_own_values_win(args: tuple[Any, ...], kwargs: dict[str, Any], unfilled: tuple[str, ...]) -> None:
    assert unfilled_parameters(injected.two, args, kwargs) == unfilled


def test_positional_only_parameters_count() -> None:
    assert unfilled_parameters(injected.behind_positional_only, (1,), {}) == ("job",)
    assert unfilled_parameters(injected.behind_positional_only, (1, 2), {}) == ()


def test_call_with_context() -> None:
    def f(x: int, job: JobContext, y: int = 2) -> tuple[int, JobContext, int]:
        return x, job, y

    assert call_with_context(f, (1,), {"y": 3}) == (1, current_job_context(), 3)
    given = JobContext.fake()
    assert call_with_context(f, (1, given), {}) == (1, given, 2)
    assert call_with_context(f, (1,), {"job": None}) == (1, None, 2)
    assert call_with_context(abs, (-1,), {}) == 1


def test_another_thread_parses_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython 3.11 mixes up then how deep it is."""
    parse = ast.parse
    mixed_up = iter([SystemError("AST constructor recursion depth mismatch (before=54, after=466)")])

    def mixing_up(*args: Any, **kwargs: Any) -> Any:
        for error in mixed_up:
            raise error
        return parse(*args, **kwargs)

    def function(one: JobContext | None, two: int | None) -> None: ...  # fmt: skip

    monkeypatch.setattr(ast, "parse", mixing_up)
    assert injected_parameters(function) == ("one",)
    assert not list(mixed_up)
