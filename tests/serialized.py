"""An importable module, for the tests of pickling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slurmkit.task import task


def double(x: int) -> int:
    return 2 * x


@task
def triple(x: int) -> int:
    return 3 * x


class Model:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.factor == self.factor

    __hash__ = None  # type: ignore[assignment]

    def plain(self, x: int) -> int:
        return self.factor * x

    @task
    def decorated(self, x: int) -> int:
        return self.factor * x

    @staticmethod
    @task
    def static(x: int) -> int:
        return -x


def closure(factor: int) -> Callable[[int], int]:
    def inner(x: int) -> int:
        return factor * double(x)

    return inner


class TwoArgumentsError(Exception):
    """Cannot be called with its args again."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code


class OneArgumentError(Exception):
    """Can be called with its args again, and is another one then."""

    def __init__(self, code: object) -> None:
        super().__init__(f"code {code}")


class StrangeError(Exception):
    """Refuses to be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("not me")
