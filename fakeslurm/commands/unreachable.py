"""What a command has for a controller when nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never, cast

if TYPE_CHECKING:
    from fakeslurm.commands.base import Reply
    from fakeslurm.engine import Engine
    from fakeslurm.model import Settings
    from fakeslurm.slurmctld import Controller

__all__ = ["Unanswered", "told", "without_controller"]


class Unanswered(Exception):  # noqa: N818 (not an error of this program)
    """The controller was asked for something and does not answer."""

    said = ""
    """What the command had complained of before."""
    printed = ""
    """What it had printed before."""
    reply: Reply | None = None
    """Its whole answer, if it depends on how it was called."""


class _Unreachable:
    """It knows the configuration, as the commands do, who read slurm.conf; everything else would have to be asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __getattr__(self, name: str) -> Never:
        raise Unanswered(name)


class _Told:
    """A controller, and a configuration that is not its own."""

    def __init__(self, controller: Controller, settings: Settings) -> None:
        self._controller = controller
        self.settings = settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)


class _With:
    """An engine, and a controller that is not its own."""

    def __init__(self, engine: Engine, controller: object) -> None:
        self._engine = engine
        self.controller = controller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def without_controller(engine: Engine) -> Engine:
    """This engine, with a controller that raises `Unanswered` whatever it is asked."""
    return cast("Engine", _With(engine, _Unreachable(engine.controller.settings)))


def told(engine: Engine, settings: Settings) -> Engine:
    """This engine, with a controller whose commands find these `settings`."""
    return cast("Engine", _With(engine, _Told(engine.controller, settings)))
