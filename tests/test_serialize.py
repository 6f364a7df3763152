"""Pickling by reference and by value, in another process; and what is said of what cannot be pickled."""

from __future__ import annotations

import functools
import importlib.util
import io
import math
import pickle
import re
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import serialized
from hypothesis import given
from hypothesis import strategies as st

from slurmkit.callbacks.base import BaseCallback, ExecutionLocus
from slurmkit.errors import NotPicklable
from slurmkit.serialize import dump_arguments, dump_callbacks, dump_exception, dump_function, dump_value
from slurmkit.task import Task

LOAD = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    value = pickle.load(file)
print("cloudpickle" in sys.modules, repr(value(*eval(sys.argv[2]))))
"""


def elsewhere(data: bytes, arguments: tuple[Any, ...], tmp_path: Path) -> tuple[bool, str]:
    """What the pickled function returns in a fresh process with our sys.path, and whether that needed cloudpickle."""
    (tmp_path / "function.pkl").write_bytes(data)
    code = f"import sys; sys.path[:] = {sys.path!r}\n{LOAD}"
    command = [sys.executable, "-c", code, str(tmp_path / "function.pkl"), repr(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    needed, _, value = done.stdout.strip().partition(" ")
    return needed == "True", value


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (serialized.double, "6"),
        (serialized.triple.func, "9"),
        (serialized.Model(5).plain, "15"),
        (serialized.Model.__dict__["decorated"].__get__(serialized.Model(7), serialized.Model).func, "21"),
        (serialized.Model.static.func, "-3"),
        (math.sqrt, repr(math.sqrt(3))),
        (serialized.Model, None),
        (functools.partial(serialized.triple.func, 3), "9"),
    ],
)
def test_what_can_be_imported_goes_by_reference(
    function: Callable[..., Any], value: str | None, tmp_path: Path
) -> None:
    arguments = () if isinstance(function, functools.partial) else (3,)
    needs_cloudpickle, found = elsewhere(dump_function(function), arguments, tmp_path)
    assert not needs_cloudpickle
    assert value is None or found == value


def test_a_task_is_found_behind_its_name() -> None:
    """`@task` has replaced the module's attribute, so that plain pickle refuses the function."""
    function = serialized.triple.func
    with pytest.raises(pickle.PicklingError, match="not the same object"):
        pickle.dumps(function)
    assert pickle.loads(dump_function(function)) is function
    assert pickle.loads(dump_arguments((serialized.triple,), {})[0])[0] is serialized.triple


@pytest.mark.parametrize(
    ("function", "value"), [(serialized.closure(5), "30"), (lambda x: serialized.triple.func(x) + 1, "10")]
)
def test_what_has_no_name_goes_by_value(function: Callable[..., Any], value: str, tmp_path: Path) -> None:
    assert elsewhere(dump_function(function), (3,), tmp_path) == (True, value)


@pytest.mark.parametrize("program", ["script.py", "."])
def test_main_goes_by_value(tmp_path: Path, program: str) -> None:
    """A program's own functions and classes are in ``__main__``, which is another module in the job; also where an import would find it."""
    script = tmp_path / ("__main__.py" if program == "." else program)
    script.write_text(
        textwrap.dedent("""
        import sys
        from slurmkit.serialize import dump_function, dump_arguments
        from slurmkit.task import task

        FACTOR = 7

        class Number:
            def __init__(self, value): self.value = value

        @task
        def scaled(number): return FACTOR * number.value

        assert b"cloudpickle" in dump_arguments((Number(3),), {})[0]
        def outer(x): return scaled.func(Number(x))

        sys.stdout.buffer.write(dump_function(outer))
        """)
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, program], capture_output=True, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert elsewhere(done.stdout, (6,), tmp_path) == (True, "42")


@pytest.fixture
def stray(tmp_path: Path) -> Iterator[types.ModuleType]:
    """A module that is in sys.modules, but that no import would find."""
    path = tmp_path / "stray_module.py"
    path.write_text(
        "class Number:\n"
        "    def __init__(self, value): self.value = value\n"
        "def half(x): return Number(x / 2).value\n"
        "def boom(x): raise ValueError(Number(x))\n"
    )
    spec = importlib.util.spec_from_file_location("stray_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["stray_module"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["stray_module"]


def test_a_module_that_no_import_finds_goes_by_value(stray: types.ModuleType, tmp_path: Path) -> None:
    assert elsewhere(dump_function(stray.half), (3,), tmp_path) == (True, "1.5")
    args, _ = dump_arguments((stray.Number(4),), {})
    (tmp_path / "args").write_bytes(args)
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))[0].value)"
    command = [sys.executable, "-c", code, str(tmp_path / "args")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "4\n"
    assert "stray_module" not in cloudpickle.list_registry_pickle_by_value()


def test_a_module_shadowed_by_another_goes_by_value(
    stray: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import would find a module of this name, but another one."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stray_module.py").write_text("half = None")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    assert elsewhere(dump_function(stray.half), (3,), tmp_path) == (True, "1.5")


def test_a_directory_that_has_become_a_package_is_found_first(
    stray: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found by an import a moment ago; now another one is."""
    package = tmp_path / "first" / "stray_module"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(Path(str(stray.__file__)).parent))
    monkeypatch.syspath_prepend(str(package.parent))
    assert b"cloudpickle" not in dump_function(stray.half)
    (package / "__init__.py").write_text("half = None")
    assert elsewhere(dump_function(stray.half), (3,), tmp_path) == (True, "1.5")


def test_the_users_own_registration_stays(stray: types.ModuleType) -> None:
    cloudpickle.register_pickle_by_value(stray)
    try:
        dump_function(stray.half)
        assert "stray_module" in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(stray)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    )
)
def test_plain_values_come_back(value: Any) -> None:
    args, kwargs = dump_arguments((value,), {"x": value})
    assert (pickle.loads(args), pickle.loads(kwargs)) == ((value,), {"x": value})


class Client:
    def __init__(self) -> None:
        self.name = "c"
        self.pools = {"a": [1, threading.Lock()]}


class Slotted:
    __slots__ = ("socket",)

    def __init__(self) -> None:
        self.socket = threading.Lock()


class Tidy(Client):
    """Leaves its lock out, but has another one that it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.other = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "pools"}


class Rude:
    def __reduce__(self) -> Any:
        raise RuntimeError("I will not")


def with_lock() -> Callable[[], Any]:
    lock = threading.Lock()
    return lambda: lock


LOCK = threading.Lock()


def endless() -> list[Any]:
    outer: list[Any] = []
    for _ in range(100_000):
        outer = [outer]
    return outer


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1, threading.Lock()), {}, "args[1] cannot be pickled: it is a _thread.lock (TypeError: cannot pickle"),
        ((), {"x": threading.Lock()}, "kwargs['x'] cannot be pickled: it is a _thread.lock"),
        ((Client(),), {}, "args[0].pools['a'][1] cannot be pickled: it is a _thread.lock"),
        ((Tidy(),), {}, "args[0].other cannot be pickled"),
        ((), {"x": (Slotted(),)}, "kwargs['x'][0].socket cannot be pickled"),
        ((Rude(),), {}, "args[0] cannot be pickled: it is a test_serialize.Rude (RuntimeError: I will not)"),
        ((with_lock(),), {}, "the variable 'lock' of args[0] cannot be pickled: it is a _thread.lock"),
        ((lambda: LOCK,), {}, "the global 'LOCK' of args[0] cannot be pickled"),
        ((Client().__str__,), {}, "args[0].__self__.pools['a'][1] cannot be pickled"),
        ((functools.partial(print, LOCK),), {}, "args[0]"),
        (({threading.Lock(): 1},), {}, "of args[0] cannot be pickled: it is a _thread.lock"),
        (((n for n in range(3)),), {}, "args[0] cannot be pickled: it is a generator"),
        ((endless(),), {}, "args cannot be pickled: it is nested too deeply"),
    ],
)
def test_the_culprit_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(NotPicklable, match=re.escape(words)) as caught:
        dump_arguments(args, kwargs)
    assert isinstance(caught.value, TypeError)
    assert "Make it inside the function" in str(caught.value) or "Flatten it" in str(caught.value)


def test_a_function_that_holds_a_lock() -> None:
    with pytest.raises(NotPicklable, match=r"the variable 'lock' of the function .*with_lock.*cannot be pickled"):
        dump_function(with_lock())


def test_values_are_streamed() -> None:
    """A large value goes to the file in pieces of itself, not as one copy."""

    class Sink(io.BytesIO):
        largest = 0
        pieces = 0

        def write(self, data: Any) -> int:
            self.pieces += 1
            return len(data)

    sink = Sink()
    dump_value([bytes(100_000) for _ in range(50)], sink, what="the value")
    assert sink.pieces >= 50


def test_a_value_starts_where_the_file_is() -> None:
    """What the attempt by reference has written is overwritten by the one by value."""
    file = io.BytesIO(b"")
    file.write(b"header")
    dump_value([b"x" * 1_000_000, lambda: 3], file, what="the value")
    data = file.getvalue()
    assert data.startswith(b"header\x80")
    assert pickle.loads(data[6:])[1]() == 3


def back(error: BaseException) -> BaseException:
    data = dump_exception(error)
    assert data is not None
    loaded = pickle.loads(data)
    assert isinstance(loaded, BaseException)
    return loaded


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no", 3),
        KeyError("x"),
        FileNotFoundError(2, "No such file", "/x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        serialized.OneArgumentError(3),
        serialized.TwoArgumentsError(3, "no"),
        ExceptionGroup("two", [ValueError(1), serialized.TwoArgumentsError(3, "no")]),
    ],
)
def test_exceptions_keep_their_type_and_arguments(error: Exception) -> None:
    loaded = back(error)
    assert type(loaded) is type(error)
    assert str(loaded) == str(error)
    if not isinstance(error, ExceptionGroup):
        assert loaded.args == error.args
        assert vars(loaded) == vars(error)


def test_exceptions_of_local_classes() -> None:
    class LocalError(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a}, {b}")

    loaded = back(LocalError(1, 2))
    assert (type(loaded), str(loaded)) == (LocalError, "1, 2")


def test_what_of_an_exception_cannot_be_pickled_is_left_out() -> None:
    error = ValueError("no", LOCK)
    error.add_note("a note")
    error.lock = LOCK  # type: ignore[attr-defined]
    error.code = 3  # type: ignore[attr-defined]
    loaded = back(error)
    assert loaded.args == ("no", repr(LOCK))
    assert vars(loaded) == {"code": 3, "__notes__": ["a note"]}


def test_an_exception_that_refuses() -> None:
    loaded = back(serialized.StrangeError("text"))
    assert (type(loaded), loaded.args) == (serialized.StrangeError, ("text",))

    class Hopeless(Exception):  # noqa: N818
        def __reduce__(self) -> Any:
            raise TypeError("not me")

        def __new__(cls, *args: Any) -> Hopeless:
            if args == ("again",):
                raise TypeError("not twice")
            error = super().__new__(cls, *args)
            error.args = ("again",)
            return error

        def __init__(self, *args: Any) -> None: ...

    assert dump_exception(Hopeless()) is None


class Watcher(BaseCallback):
    run_hooks_on = "node"

    def on_end_run_job_ctx(self, ctx: Any) -> None: ...


class Finisher(BaseCallback):
    def on_completed_ctx(self, ctx: Any) -> None: ...


class Homely(Watcher):
    execution_loci = {"on_completed_ctx": ExecutionLocus.CLIENT}  # noqa: RUF012

    def on_completed_ctx(self, ctx: Any) -> None: ...


def test_callbacks_say_what_they_hear_before_they_are_unpickled() -> None:
    entries = pickle.loads(dump_callbacks([Watcher(), Finisher(), Homely()]))
    assert [(entry["name"], entry["run"], entry["completed"]) for entry in entries] == [
        ("test_serialize.Watcher", "node", False),
        ("test_serialize.Finisher", None, True),
        ("test_serialize.Homely", "node", False),
    ]
    assert [type(pickle.loads(entry["pickle"])) for entry in entries] == [Watcher, Finisher, Homely]


def test_a_callback_that_cannot_be_pickled_is_named() -> None:
    callback = Watcher()
    callback.lock = LOCK  # type: ignore[attr-defined]
    with pytest.raises(
        NotPicklable, match=r"the callback test_serialize\.Watcher\.lock cannot be pickled: it is a _thread"
    ):
        dump_callbacks([callback])


def test_a_task_of_a_local_function() -> None:
    local = Task(lambda x: x + 1, options={})
    assert pickle.loads(dump_function(local.func))(1) == 2
