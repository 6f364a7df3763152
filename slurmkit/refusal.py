"""`OptionError` for the modules that jobs import together with their tasks: its own module brings logging, which takes 6 ms in every rank."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from slurmkit.errors import OptionError

__all__ = ["option_error"]


def option_error(message: str) -> OptionError:
    from slurmkit.errors import OptionError

    return OptionError(message)
