"""Which part of a value it is that cannot be pickled. Imported only when something could not be."""

from __future__ import annotations

import io
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from slurmkit.byvalue import pickle_by_value
from slurmkit.serialize import PROTOCOL

if TYPE_CHECKING:
    from slurmkit.serialize import Replace

__all__ = ["explain"]

_DEPTH = 20
"""How deep the search goes."""


def explain(value: object, what: str, error: BaseException, replace: Replace | None = None) -> str:
    """What cannot be pickled, where in `value` it is, and what to do about it. `replace` is the pickler's."""
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return (
            f"{what} cannot be pickled: it is nested too deeply. Flatten it, or write it to a file and pass the path."
        )
    path, culprit, reason = _find(value, what, error, replace)
    kind = f"{type(culprit).__module__}.{type(culprit).__qualname__}".removeprefix("builtins.")
    return (
        f"{path} cannot be pickled: it is a {kind} ({type(reason).__name__}: {reason}). "
        "Make it inside the function, pass what it is made from, or leave it out of the pickle with __getstate__."
    )


def _find(value: object, path: str, error: BaseException, replace: Replace | None) -> tuple[str, object, BaseException]:
    """The innermost part of `value` that cannot be pickled: how to get to it, itself, and the pickler's words."""
    seen = {id(value)}
    for _ in range(_DEPTH):
        for child_path, child in _children(value, path):
            if id(child) in seen:
                continue
            try:
                pickle_by_value(child, _Nowhere(), replace)
            except Exception as found:  # noqa: BLE001  (this is what is looked for)
                path, value, error = child_path, child, found
                seen.add(id(child))
                break
        else:
            break
    return path, value, error


class _Nowhere(io.BytesIO):
    def write(self, data: Any) -> int:
        return len(data)


def _children(value: Any, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}[{key!r}]", item
            yield f"the key {key!r} of {path}", key
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    elif isinstance(value, set | frozenset):
        for item in value:
            yield f"the element {item!r} of {path}", item
    elif isinstance(value, types.MethodType):
        yield f"{path}.__self__", value.__self__
        yield f"{path}.__func__", value.__func__
    elif isinstance(value, types.MethodWrapperType | types.BuiltinMethodType):
        yield f"{path}.__self__", value.__self__
    elif isinstance(value, types.FunctionType):
        code = value.__code__
        for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
            try:
                yield f"the variable {name!r} of {path}", cell.cell_contents
            except ValueError:  # not filled yet
                continue
        for name in code.co_names:
            if name in value.__globals__:
                yield f"the global {name!r} of {path}", value.__globals__[name]
        for item in value.__defaults__ or ():
            yield f"a default of {path}", item
    elif isinstance(value, type):
        for name, item in vars(value).items():
            if isinstance(item, types.FunctionType):
                yield f"the method {name} of {value.__qualname__}", item
    else:
        yield from _state(value, path)


def _state(value: Any, path: str) -> Iterator[tuple[str, object]]:
    """What an instance's pickle is made of: its attributes, as `__getstate__` leaves them, or what `__reduce__` gives."""
    try:
        reduced = value.__reduce_ex__(PROTOCOL)
    except Exception:  # noqa: BLE001  (then the value itself is the culprit)
        return
    if isinstance(reduced, str):
        return
    parts: list[Any] = [*reduced[1:5], None, None, None, None]
    args, state, items, pairs = parts[:4]
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict):
            for name, item in part.items():
                yield f"{path}.{name}", item
        elif part is not None:
            yield f"the state of {path}", part
    for index, item in enumerate(args or ()):
        yield f"item {index} that {path} is made from", item
    for index, item in enumerate(items or ()):
        yield f"{path}[{index}]", item
    for key, item in pairs or ():
        yield f"{path}[{key!r}]", item
