"""What a command has for a controller when nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never, cast

if TYPE_CHECKING:
    from fakeslurm.engine import Engine
    from fakeslurm.model import Settings
    from fakeslurm.slurmctld import Controller

__all__ = ["Unanswered", "unreachable", "without_controller"]


class Unanswered(Exception):  # noqa: N818 (not an error of this program)
    """The controller was asked for something and does not answer."""

    said = ""
    """What the command had complained of before."""
    printed = ""
    """What it had printed before."""


class _Unreachable:
    """It knows the configuration, as the commands do, who read slurm.conf; everything else would have to be asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __getattr__(self, name: str) -> Never:
        raise Unanswered(name)


class _WithoutController:
    """An engine whose controller cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.controller = unreachable(engine.controller.settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def unreachable(settings: Settings) -> Controller:
    """A controller that raises `Unanswered` whatever it is asked."""
    return cast("Controller", _Unreachable(settings))


def without_controller(engine: Engine) -> Engine:
    """This engine, with an `unreachable` controller."""
    return cast("Engine", _WithoutController(engine))
