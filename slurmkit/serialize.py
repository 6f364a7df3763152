# ruff: noqa: PTH116, PTH120  (pathlib is slow to import)
"""Pickling what goes to the job and comes back: by reference where the other side can import it, by value where it cannot.

A pickle made by reference needs nothing but `pickle` to read. One made by value (of what is defined in ``__main__``, in another function, or
in a module that no import would find) needs cloudpickle, which is imported only then.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any, BinaryIO

    from slurmkit.callbacks.base import BaseCallback

    Replace = Callable[[object], tuple[Any, ...] | None]
    """Says what a value is pickled as, in the form of ``__reduce__``; None: as it says itself."""

__all__ = ["dump_arguments", "dump_callbacks", "dump_exception", "dump_function", "dump_value"]

PROTOCOL = 5


def dump_function(func: Callable[..., Any]) -> bytes:
    """Content of ``function.pkl``. Raises `NotPicklable`, naming what the function refers to."""
    return _dump(func, f"the function {getattr(func, '__qualname__', repr(func))}")


def dump_arguments(
    args: Sequence[Any], kwargs: Mapping[str, Any], replace: Replace | None = None
) -> tuple[bytes, bytes]:
    """Content of ``args.pkl`` (a tuple) and ``kwargs.pkl`` (a dict). Raises `NotPicklable`, naming the argument."""
    return _dump(tuple(args), "args", replace), _dump(dict(kwargs), "kwargs", replace)


def dump_callbacks(callbacks: Sequence[BaseCallback]) -> bytes:
    """Content of ``callbacks.pkl``, for callbacks that are to be shipped. Raises `NotPicklable`, naming the callback."""
    from slurmkit.callbacks.base import ExecutionLocus
    from slurmkit.callbacks.dispatch import hears

    entries = []
    for callback in callbacks:
        name = f"{type(callback).__module__}.{type(callback).__qualname__}"
        runs = any(
            hears(callback, hook, ExecutionLocus.RUNNER) for hook in ("on_begin_run_job_ctx", "on_end_run_job_ctx")
        )
        entries.append(
            {
                "name": name,
                "run": callback.run_hooks_on if runs else None,
                "completed": hears(callback, "on_completed_ctx", ExecutionLocus.RUNNER),
                "pickle": _dump_callback(callback, name),
            }
        )
    return pickle.dumps(entries, protocol=PROTOCOL)


def _dump_callback(callback: BaseCallback, name: str) -> bytes:
    from slurmkit.errors import NotPicklable

    try:
        return _dump(callback, f"the callback {name}")
    except NotPicklable as error:
        raise NotPicklable(
            f"{error} It is pickled because some hook of its runs in the job; requires_pickling = False keeps a callback on the client."
        ) from error.__cause__


def dump_value(
    value: Any,
    file: BinaryIO,
    *,
    what: str,
    replace: Replace | None = None,
    importable: dict[str, bool] | None = None,
) -> None:
    """Append the pickle of `value` to `file`, without holding it in memory. Raises `NotPicklable`, and may leave half of it then.

    `importable`: what is known of modules, for the next value.
    """
    start = file.tell()
    try:
        _ReferencePickler(file, replace, importable).dump(value)
    except OSError:
        raise
    except Exception:  # noqa: BLE001  (whatever a __reduce__ raises: the pickler by value decides)
        file.seek(start)
        file.truncate()
        _dump_by_value(value, file, what, replace)


def dump_exception(error: BaseException) -> bytes | None:
    """A pickle that gives the exception back as its own type and with its own arguments, tried out; None when there is none.

    An exception whose ``__init__`` cannot be called with its ``args`` again is put together without calling it; of its attributes and
    arguments, those that cannot be pickled are left out, or replaced by their repr.
    """
    return _tried(lambda: error, lambda back: type(back) is type(error) and str(back) == str(error)) or _tried(
        lambda: _Rebuilt(error), lambda back: type(back) is type(error)
    )


def _tried(make: Callable[[], object], is_right: Callable[[object], bool]) -> bytes | None:
    try:
        data = _dump(make(), "the exception")
        return data if is_right(pickle.loads(data)) else None
    except Exception:  # noqa: BLE001  (then this way does not work: the caller knows another, or does without)
        return None


class _Rebuilt:
    """Pickles as the exception does, but is put together by `_rebuild`, from what of it can be pickled."""

    def __init__(self, error: BaseException) -> None:
        args: tuple[Any, ...]
        if isinstance(error, BaseExceptionGroup):
            args = (error.message, [_Rebuilt(inner) for inner in error.exceptions])
        else:
            args = tuple(arg if _can(arg) else repr(arg) for arg in error.args)
        state = {name: value for name, value in vars(error).items() if _can(value)}
        self.parts = (type(error), args, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self.parts


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _can(value: object) -> bool:
    try:
        _dump(value, "it")
    except Exception:  # noqa: BLE001  (any error means no)
        return False
    return True


def _dump(value: object, what: str, replace: Replace | None = None) -> bytes:
    file = io.BytesIO()
    dump_value(value, file, what=what, replace=replace)
    return file.getvalue()


def _dump_by_value(value: object, file: BinaryIO, what: str, replace: Replace | None) -> None:
    from slurmkit.byvalue import pickle_by_value

    try:
        pickle_by_value(value, file, replace)
    except OSError:
        raise
    except Exception as error:
        from slurmkit.culprit import explain
        from slurmkit.errors import NotPicklable

        raise NotPicklable(explain(value, what, error, replace)) from error


class _ByValueNeededError(Exception):
    """Something in the value has no name under which the other side finds it."""


class _ReferencePickler(pickle.Pickler):
    """Plain pickle, but it finds functions behind their `Task`, and refuses references that the other side could not follow."""

    def __init__(self, file: BinaryIO, replace: Replace | None, importable: dict[str, bool] | None) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self.importable: dict[str, bool] = {} if importable is None else importable
        self.replace = replace

    def reducer_override(self, obj: Any) -> Any:
        if self.replace is not None and (reduced := self.replace(obj)) is not None:
            return reduced
        kind = type(obj)
        if kind is types.FunctionType or issubclass(kind, type):
            name = reference(obj, self.importable)
            if name is None:
                raise _ByValueNeededError
            return NotImplemented if name == obj.__qualname__ else name
        return NotImplemented


def reference(obj: Any, importable: dict[str, bool]) -> str | None:
    """The dotted name under which an import finds this function or class in its module: its own, or that of what wraps it, a `Task` for
    instance, with ``.__wrapped__`` behind; None when there is none."""
    module, qualname = getattr(obj, "__module__", None), obj.__qualname__
    if not isinstance(module, str) or not is_importable(module, importable):
        return None
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part, None)
    name = qualname
    for _ in range(16):
        if found is None:
            return None
        if found is obj:
            return str(name)
        found = getattr(found, "__wrapped__", None)
        name += ".__wrapped__"
    return None


def is_importable(name: str, known: dict[str, bool]) -> bool:
    """Whether an import of this name, anew, would find the module that this process has under it."""
    if name not in known:
        known[name] = _would_import(name, known)
    return known[name]


def _would_import(name: str, known: dict[str, bool]) -> bool:
    module = sys.modules.get(name)
    if module is None or name == "__main__":
        return False
    parent = name.rpartition(".")[0]
    if parent and not is_importable(parent, known):
        return False
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if spec is None:
        return bool(parent)  # made by an extension module while its parent was imported
    path = getattr(sys.modules[parent], "__path__", None) if parent else None
    seen = _seen(spec, sys.path if path is None else path)
    if _found.get(name) == seen:
        return True
    for finder in sys.meta_path:
        found = finder.find_spec(name, path, None)
        if found is not None:
            if found.origin == spec.origin:
                _found[name] = seen
            return found.origin == spec.origin
    return False


_found: dict[str, list[object]] = {}
"""Of modules that an import would find, what `_seen` was then. It takes a third of the time of a search, which is made for the module of each
function and class that is pickled."""


def _seen(spec: ModuleSpec, path: Iterable[str]) -> list[object]:
    """What an import looks at to find this module: the finders, and the directories of `path` up to the one with the module."""
    seen: list[object] = [spec.origin, *sys.meta_path]
    home = None
    if spec.has_location and spec.origin is not None:
        home = os.path.dirname(spec.origin)
        if spec.submodule_search_locations is not None:  # a package
            seen.append(_state(home))
            home = os.path.dirname(home)
    name = spec.name.rpartition(".")[2]
    for directory in path:
        seen += (_state(directory), _state(f"{directory}/{name}"))  # which may become a package
        if directory == home:
            break
    return seen


def _state(directory: str) -> object:
    """Another one when a file has appeared in the directory, or is gone."""
    try:
        status = os.stat(directory or ".")
    except OSError:
        return directory
    return directory, status.st_dev, status.st_ino, status.st_mtime_ns
