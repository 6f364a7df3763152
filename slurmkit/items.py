"""``items.pkl``: the items of an array, each a pickle of its own, so that an element reads no more than its own.

The pickles come one after the other; then their offsets and the end of the last, each 8 bytes, little-endian; then how many there are, in 8
bytes more. The runner imports this module, so it imports next to nothing itself.
"""

from __future__ import annotations

import os
import pickle

from slurmkit import jobdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, BinaryIO

    from slurmkit.serialize import Replace

__all__ = ["read", "write"]

_WORD = 8


def write(job_dir: str | os.PathLike[str], items: Iterable[Any], replace: Replace | None = None) -> None:
    """Write the items of an array; `replace` as in `slurmkit.serialize`.

    Raises `NotPicklable`, which names the item (``items[3]``), and `JobDirectoryError`.
    """
    from slurmkit.serialize import dump_value

    def fill(file: BinaryIO) -> None:
        offsets = [0]
        importable: dict[str, bool] = {}
        for number, item in enumerate(items):
            dump_value(item, file, what=f"items[{number}]", replace=replace, importable=importable)
            offsets.append(file.tell())
        file.write(b"".join(word.to_bytes(_WORD, "little") for word in (*offsets, len(offsets) - 1)))

    jobdir.replace(job_dir, jobdir.ITEMS, fill)


def read(job_dir: str | os.PathLike[str], number: int) -> Any:
    """The item `number`. Raises `JobDirectoryError` for a file that is not to be trusted, and ValueError when there is no such item."""
    path = os.path.join(os.fspath(job_dir), jobdir.ITEMS)  # noqa: PTH118 (pathlib is slow to import)
    with jobdir.open_trusted(path) as file:
        end = file.seek(-_WORD, os.SEEK_END)
        count = int.from_bytes(file.read(_WORD), "little")
        if not 0 <= number < count:
            raise ValueError(f"{path!r} has no item {number}: it has {count}")
        file.seek(end - (count + 1 - number) * _WORD)
        first = int.from_bytes(file.read(_WORD), "little")
        last = int.from_bytes(file.read(_WORD), "little")
        file.seek(first)
        return pickle.loads(file.read(last - first))
