"""The files that jobs have left in the two directories of an example, compared."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from fakeslurm.differential import normalisation
from fakeslurm.differential.comparison import Priorities, agree
from fakeslurm.differential.exclusions import FILES
from fakeslurm.differential.normalisation import Places

__all__ = ["differences"]


def differences(left: Path, right: Path, places: Places) -> list[str]:
    """What is not the same, as lines to be read; nothing when everything is."""
    ours, theirs = _listing(left), _listing(right)
    lines = [f"file {name} only on the left: {_text(left / name)!r}" for name in sorted(ours - theirs)]
    lines += [f"file {name} only on the right: {_text(right / name)!r}" for name in sorted(theirs - ours)]
    for name in sorted(ours & theirs):
        lines += [f"file {name}: {line}" for line in _compare(left / name, right / name, places)]
    return lines


def _listing(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if stat.S_ISREG(path.lstat().st_mode)}


def _compare(left: Path, right: Path, places: Places) -> Sequence[str]:
    lines = []
    if left.stat().st_mode != right.stat().st_mode:
        lines.append(f"mode {left.stat().st_mode:o} and {right.stat().st_mode:o}")
    if left.name.startswith("env."):
        ours, theirs = (normalisation.environment(path.read_bytes(), places) for path in (left, right))
        return [*lines, *normalisation.differing(ours, theirs)]
    one, other = (normalisation.file_text(_text(path), places) for path in (left, right))
    if not agree(FILES, one, other, Priorities()):
        lines.append(f"\n<<< left\n{one}\n>>> right\n{other}")
    return lines


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")
