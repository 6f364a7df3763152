# ruff: noqa: PTH108, PTH118, PTH208  (pathlib is slow to import)
"""What an attempt of a job leaves to the next one: the task's own checkpoints, and the call to go on with. Files of the job directory.

Each attempt writes files of its own. Slurm starts a job again that ran on a node which it has lost; the node may live on, and what it still
writes does not replace what a later attempt has written.
"""

from __future__ import annotations

import os
import pickle

from slurmkit import jobdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, BinaryIO

__all__ = ["chosen_call", "load", "read_call", "remove_calls", "save", "write_call"]

_CHECKPOINT = "checkpoint"
_CALL = "call"


def save(job_dir: str | os.PathLike[str], rank: int, attempt: int, value: Any) -> None:
    """Write the checkpoint of a rank: all of it or none of it, and so that it survives this node.

    Raises `NotPicklable`, `JobDirectoryError`.
    """

    def fill(file: BinaryIO) -> None:
        from slurmkit.serialize import dump_value

        dump_value(value, file, what="the checkpoint")

    jobdir.replace(job_dir, _name(_CHECKPOINT, attempt, rank), fill, durable=True)
    for before, number in _found(os.listdir(job_dir), _CHECKPOINT):
        if number == rank and before < attempt:
            _unlink(job_dir, _name(_CHECKPOINT, before, rank))


def load(job_dir: str | os.PathLike[str], rank: int, default: Any) -> Any:
    """The checkpoint of a rank's latest attempt that has saved one, `default` where there is none.

    Raises `JobDirectoryError`, and what unpickling raises.
    """
    attempts = sorted((attempt for attempt, number in _found(os.listdir(job_dir), _CHECKPOINT) if number == rank))
    if not attempts:
        return default
    with jobdir.open_trusted(os.path.join(os.fspath(job_dir), _name(_CHECKPOINT, attempts[-1], rank))) as file:
        return pickle.load(file)


def write_call(
    job_dir: str | os.PathLike[str], rank: int, attempt: int, function: bytes | None, args: bytes, kwargs: bytes
) -> None:
    """What the next attempt shall call on this rank; `function` is None where it is that of the job. Raises `JobDirectoryError`."""
    parts = {"function": function, "args": args, "kwargs": kwargs}
    name = _name(_CALL, attempt, rank)
    jobdir.replace(job_dir, name, lambda file: pickle.dump(parts, file, protocol=pickle.HIGHEST_PROTOCOL), durable=True)


def read_call(job_dir: str | os.PathLike[str], rank: int, attempt: int) -> dict[str, bytes | None]:
    """What `write_call` has written. Raises `JobDirectoryError`, FileNotFoundError."""
    with jobdir.open_trusted(os.path.join(os.fspath(job_dir), _name(_CALL, attempt, rank))) as file:
        parts: dict[str, bytes | None] = pickle.load(file)
    return parts


def chosen_call(names: Iterable[str], world_size: int) -> int | None:
    """The latest attempt that has left a call on every rank, going by the names in the job directory: all ranks go on from the same one."""
    ranks: dict[int, set[int]] = {}
    for attempt, rank in _found(names, _CALL):
        ranks.setdefault(attempt, set()).add(rank)
    return max((attempt for attempt, found in ranks.items() if found >= set(range(world_size))), default=None)


def remove_calls(job_dir: str | os.PathLike[str], names: Iterable[str], before: int) -> None:
    """Remove the calls of attempts before that one."""
    for attempt, rank in _found(names, _CALL):
        if attempt < before:
            _unlink(job_dir, _name(_CALL, attempt, rank))


def _name(kind: str, attempt: int, rank: int) -> str:
    return f"{kind}.{attempt}.{rank}.pkl"


def _found(names: Iterable[str], kind: str) -> list[tuple[int, int]]:
    """(attempt, rank) of the files of that kind."""
    found = []
    for name in names:
        parts = name.split(".")
        if len(parts) == 4 and parts[0] == kind and parts[3] == "pkl" and parts[1].isdecimal() and parts[2].isdecimal():
            found.append((int(parts[1]), int(parts[2])))
    return found


def _unlink(job_dir: str | os.PathLike[str], name: str) -> None:
    try:
        os.unlink(os.path.join(os.fspath(job_dir), name))
    except FileNotFoundError:
        return  # removed by another attempt
