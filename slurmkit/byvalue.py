"""Pickling by value: what the other side cannot import travels as a whole. Imported only when it is needed, as is cloudpickle."""

from __future__ import annotations

import sys
import threading
import types
from typing import TYPE_CHECKING, Any, BinaryIO

import cloudpickle  # type: ignore[import-untyped]

from slurmkit.serialize import PROTOCOL, is_importable, reference

if TYPE_CHECKING:
    from slurmkit.serialize import Replace

__all__ = ["pickle_by_value"]

_registry = threading.RLock()
"""Guards cloudpickle's list of modules that are pickled by value, which is global."""


def pickle_by_value(value: object, file: BinaryIO, replace: Replace | None = None) -> None:
    """Pickle `value` to `file` with cloudpickle; what `replace` knows, in its way. Raises what a pickler raises."""
    importable: dict[str, bool] = {}
    registered: list[types.ModuleType] = []

    class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if replace is not None and (reduced := replace(obj)) is not None:
                return reduced
            kind = type(obj)
            if kind is types.FunctionType or issubclass(kind, type):
                name = reference(obj, importable)
                if name is not None and name != obj.__qualname__:
                    return name
                module = sys.modules.get(obj.__module__)
                if name is None and module is not None and not is_importable(module.__name__, importable):
                    by_value(module)
            return super().reducer_override(obj)

    def by_value(module: types.ModuleType) -> None:
        if module.__name__ != "__main__" and module.__name__ not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)

    with _registry:
        try:
            ValuePickler(file, protocol=PROTOCOL).dump(value)
        finally:
            for module in registered:
                cloudpickle.unregister_pickle_by_value(module)
