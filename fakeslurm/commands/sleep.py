"""``sleep`` for jobs where time is virtual: it takes as long as the clock says, which is no time at all when everybody waits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fakeslurm.server import Caller

if TYPE_CHECKING:
    from fakeslurm.engine import Engine

__all__ = ["run"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_INTERVAL = re.compile(r"(\d+\.?\d*|\.\d+)([smhd]?)")
_HELP = "Try 'sleep --help' for more information.\n"


def run(caller: Caller, engine: Engine) -> int:
    """As coreutils have it: the sum of its arguments."""
    words = caller.argv[1:]
    if not words:
        caller.print(2, f"sleep: missing operand\n{_HELP}")
        return 1
    seconds: float | None = 0.0
    for word in words:
        if word in ("inf", "infinity"):
            seconds = None
        elif (match := _INTERVAL.fullmatch(word)) is None:
            caller.print(2, f"sleep: invalid time interval \u2018{word}\u2019\n{_HELP}")
            return 1
        elif seconds is not None:
            seconds += float(match[1]) * _UNITS[match[2]]
    gone = False

    def leave() -> None:
        nonlocal gone
        gone = True
        engine.notify()

    caller.listen(lambda _number: None, leave)
    engine.wait(lambda _now: True if gone else None, seconds)
    return 0
