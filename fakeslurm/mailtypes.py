"""What ``--mail-type`` says. No mail is sent: the words are shown again. Pure."""

from __future__ import annotations

__all__ = ["JSON_NAMES", "mail_types"]

_ALL = ("INVALID_DEPEND", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT")
_TYPES = ("ARRAY_TASKS", *_ALL, "TIME_LIMIT_50", "TIME_LIMIT_80", "TIME_LIMIT_90", "TIME_LIMIT")
"""In the order in which Slurm prints them (measured)."""
JSON_NAMES = {
    "BEGIN": "BEGIN", "END": "END", "FAIL": "FAIL", "REQUEUE": "REQUEUE", "TIME_LIMIT": "TIME=100%", "TIME_LIMIT_90": "TIME=90%",
    "TIME_LIMIT_80": "TIME=80%", "TIME_LIMIT_50": "TIME=50%", "STAGE_OUT": "STAGE_OUT", "ARRAY_TASKS": "ARRAY_TASKS",
    "INVALID_DEPEND": "INVALID_DEPENDENCY",
}  # fmt: skip
"""Since 24.11, in the order of its JSON (measured)."""


def mail_types(text: str) -> tuple[str, ...] | None:
    """The types that a list names, in Slurm's order: none when NONE is among them. None when there is no type in it at all.

    Words that are no types are passed over (measured).
    """
    words = set(text.upper().split(","))
    if "NONE" in words:
        return ()
    if "ALL" in words:
        words.update(_ALL)
    return tuple(one for one in _TYPES if one in words) or None
