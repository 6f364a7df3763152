"""Signals as ``scancel --signal`` and ``sbatch --signal`` take them (accepted names measured on 22.05.8)."""

from __future__ import annotations

import re
import signal

from fakeslurm.model import SignalSpec

__all__ = ["parse_signal", "parse_signal_option"]

_NAMES = ("HUP", "INT", "QUIT", "ABRT", "KILL", "ALRM", "TERM", "USR1", "USR2", "URG", "CONT", "STOP", "TSTP", "TTIN")
_NUMBERS = {name: int(getattr(signal, f"SIG{name}")) for name in (*_NAMES, "TTOU", "XCPU")}

_OPTION = re.compile(r"(?:([RB]{1,2}):)?([^@:]+)(?:@([0-9]*))?", re.ASCII)
_LONGEST_WARNING = 65535


def parse_signal(text: str) -> int | None:
    """``TERM``, ``sigterm`` or ``15``; None for what Slurm does not know. A number is taken as it is."""
    word = text.strip().upper().removeprefix("SIG")
    if re.fullmatch(r"-?[0-9]+", word, re.ASCII):
        return int(word) or None
    return _NUMBERS.get(word)


def parse_signal_option(text: str) -> SignalSpec | None:
    """``[[R][B]:]SIG[@seconds]``; None when it is not of this form."""
    match = _OPTION.fullmatch(text)
    number = parse_signal(match[2]) if match else None
    if match is None or number is None:
        return None
    seconds = int(match[3]) if match[3] else 60
    if seconds > _LONGEST_WARNING:
        return None
    return SignalSpec(signal=number, seconds=seconds, batch="B" in (match[1] or ""))
