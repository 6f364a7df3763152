# ruff: noqa: PTH100, PTH120  (pathlib is slow to import)
"""The program of the batch script and of every rank: ``python -P .../slurmkit/runner/__main__.py [--rank] JOB_DIR [INDEX]``.

INDEX is the number of an array's item.

Started by its file: slurmkit need not be on the interpreter's own path. What slurmkit needs of the standard library is imported first, so that
nothing beside slurmkit can take its place; and json by the leader, before the client's path comes into force.
"""

from __future__ import annotations

import errno  # noqa: F401
import gc  # noqa: F401
import os
import pickle  # noqa: F401
import stat  # noqa: F401
import sys
import time  # noqa: F401


def main(arguments: list[str]) -> int:
    is_rank = arguments[:1] == ["--rank"]
    job_dir, *index = arguments[is_rank:] or [""]
    if not job_dir or len(index) > 1 or not all(text.isdecimal() for text in index):
        print("usage: python -P .../slurmkit/runner/__main__.py [--rank] JOB_DIR [INDEX]", file=sys.stderr)
        return 2
    number = int(index[0]) if index else None
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from slurmkit.runner import leader

    del sys.path[0]
    return leader.rank(job_dir, number) if is_rank else leader.lead(job_dir, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
