"""`@task` and `Task`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import cloudpickle  # type: ignore[import-untyped]
import pytest

from slurmkit import BaseCallback, CallbackError, JobContext, OptionError, Task, task
from slurmkit.task import as_task


@task
def bare(a: int, b: int = 2) -> int:
    """Adds."""
    return a + b


@task(time="00:10:00", nodes=2, ntasks_per_node=4, mem="2G", exclusive=True)
def train(cfg: dict[str, float], *, job: JobContext) -> str:
    return f"{cfg['lr']} on rank {job.rank} of {job.world_size}"


variant = bare.with_options(time=5)


class Holder:
    """Its method is a task."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @task(time=1)
    def times(self, x: int) -> int:
        return self.factor * x

    @staticmethod
    @task
    def static(x: int) -> int:
        return x + 1

    def plain(self, x: int) -> int:
        return self.factor - x


def test_a_task_is_a_function_with_options() -> None:
    assert isinstance(bare, Task)
    assert isinstance(train, Task)
    assert (bare(1), bare(1, b=3), bare.options) == (3, 4, {})
    assert train.options == {
        "time": "00:10:00",
        "nodes": "2",
        "ntasks_per_node": "4",
        "mem": "2G",
        "exclusive": True,
    }
    assert (bare.__name__, bare.__qualname__, bare.__module__, bare.__doc__) == ("bare", "bare", __name__, "Adds.")
    assert bare.__wrapped__ is bare.func
    assert str(inspect.signature(bare)) == "(a: 'int', b: 'int' = 2) -> 'int'"
    assert repr(train).startswith(f"<Task {__name__}.train time=00:10:00 nodes=2")
    assert len({bare, bare, train}) == 2
    with pytest.raises(TypeError):
        train.options["time"] = "1"  # type: ignore[index]


def test_a_local_call_has_a_context_of_one_process() -> None:
    assert train({"lr": 0.5}) == "0.5 on rank 0 of 1"
    assert train({"lr": 0.5}, job=JobContext.fake(tasks_per_node=[2, 1], rank=2)) == "0.5 on rank 2 of 3"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tiem": 1}, r"@task .*f: unknown option 'tiem'; did you mean 'time'\?"),
        ({"nodes": "many"}, "@task .*f: option 'nodes' is 'many'"),
        ({"nodes": 0}, "valid: a number of nodes"),
        ({"comment": "x"}, "cannot be set"),
        ({"job_name": "a\nb"}, "line break"),
    ],
)
def test_a_wrong_option_is_an_error_where_it_is_written(options: dict[str, Any], words: str) -> None:
    def f() -> None: ...

    with pytest.raises(OptionError, match=words):
        task(**options)(f)
    with pytest.raises(OptionError):
        bare.with_options(**options)


def test_with_options_leaves_the_original_alone() -> None:
    other = train.with_options(nodes=3, mem=None, requeue=False)
    assert other.options == {
        "time": "00:10:00",
        "ntasks_per_node": "4",
        "exclusive": True,
        "nodes": "3",
        "no_requeue": True,
    }
    assert train.options["nodes"] == "2"
    assert other.func is train.func
    assert other.with_options(requeue=True).options["requeue"] is True
    assert "no_requeue" not in other.with_options(requeue=True).options
    assert "no_requeue" not in other.with_options(requeue=None).options


class Quiet(BaseCallback):
    pass


def test_callbacks_of_a_task() -> None:
    one, two = Quiet(), Quiet()
    made = task(callbacks=[one])(lambda: None)
    assert made.callbacks == (one,)
    assert made.with_options(time=1).callbacks == (one,)
    assert made.with_callbacks(two, one).callbacks == (one, two)
    with pytest.raises(CallbackError, match="Quiet is a class"):
        task(callbacks=[Quiet])(lambda: None)  # type: ignore[list-item]


async def coroutine() -> None: ...


def generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (coroutine, "coroutine is asynchronous.*asyncio.run"),
        (generator, "generator is a generator.*return a list"),
        (Holder, "Holder is a class"),
        (bare, "bare is a task already: use its with_options"),
        (staticmethod(len), "put @task below @staticmethod"),
        (classmethod(lambda cls: None), "put @task below @classmethod"),
        (functools.partial(bare.func, 1), "is no function"),
        (3, "3 is no function"),
    ],
)
def test_what_cannot_be_a_task(wrong: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        task(wrong)
    with pytest.raises(TypeError, match=words):
        task(time=1)(wrong)
    asyncio.run(coroutine())


@pytest.mark.parametrize("wrapped", [coroutine, generator])
def test_what_a_decorator_hides_is_taken_for_what_it_is(wrapped: Any) -> None:
    """A plain function that calls a coroutine function is one; one that is marked as a coroutine function (Python 3.12) is none."""

    @functools.wraps(wrapped)
    def plain() -> None: ...

    assert task(plain).func is plain
    if hasattr(inspect, "markcoroutinefunction"):
        with pytest.raises(TypeError, match="is asynchronous"):
            task(inspect.markcoroutinefunction(plain))


def test_any_function_can_be_submitted() -> None:
    assert as_task(bare) is bare
    assert as_task(math.sqrt)(4.0) == 2.0
    assert as_task(Holder(5).plain)(2) == 3
    with pytest.raises(TypeError, match="is a class"):
        as_task(Holder)


def test_methods() -> None:
    holder = Holder(3)
    assert holder.times(4) == 12
    assert holder.times.options == {"time": "1"}
    assert Holder.times.__qualname__ == "Holder.times"
    assert Holder.static(1) == holder.static(1) == 2


def test_pickling_is_by_reference_where_that_leads_back() -> None:
    assert pickle.loads(pickle.dumps(bare)) is bare
    assert pickle.loads(cloudpickle.dumps(train)) is train
    assert b"cfg" not in pickle.dumps(train)
    again = pickle.loads(pickle.dumps(variant))
    assert again.func is bare.func
    assert again.options == {"time": "5"}

    @task(time=7)
    def local(x: int) -> int:
        return x

    copy = pickle.loads(cloudpickle.dumps(local))
    assert (copy(3), copy.options, copy.__name__) == (3, {"time": "7"}, "local")


def test_pickling_a_recursive_task_of_main() -> None:
    program = """
        import pickle, cloudpickle, subprocess, sys
        from slurmkit import task

        @task(time=1)
        def down(n):
            return n if n == 0 else down(n - 1)

        sys.stdout.buffer.write(cloudpickle.dumps(down))
    """
    made = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=60, check=True)
    again = pickle.loads(made.stdout)
    assert isinstance(again, Task)
    assert (again(5), again.options) == (0, {"time": "1"})


def test_a_task_has_parameters_at_run_time() -> None:
    """Though it does without typing, for jobs that import it."""
    assert get_origin(Task[[int], str]) is Task
    assert get_args(Task[[int], str]) == ((int,), str), "as typing has it"


def test_the_type_of_a_task_in_annotations() -> None:
    """It is evaluated where a module has no ``from __future__ import annotations``; Optional asks for its hash."""
    program = "from typing import Optional; from slurmkit import Task; print(Optional[Task[[int], str]])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("typing.Optional[slurmkit.task.Task[")
