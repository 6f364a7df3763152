# ruff: noqa: PTH100, PTH120  (pathlib is slow to import)
"""The program of the batch script and of every rank: ``python -P .../slurmkit/runner/__main__.py [--rank] JOB_DIR``.

Started by its file: slurmkit need not be on the interpreter's own path. What slurmkit needs of the standard library is imported first, so that
nothing beside slurmkit can take its place.
"""

from __future__ import annotations

import errno  # noqa: F401
import json  # noqa: F401
import os
import pickle  # noqa: F401
import signal  # noqa: F401
import stat  # noqa: F401
import sys
import time  # noqa: F401


def main(arguments: list[str]) -> int:
    is_rank = arguments[:1] == ["--rank"]
    if len(arguments) != 1 + is_rank:
        print("usage: python -P .../slurmkit/runner/__main__.py [--rank] JOB_DIR", file=sys.stderr)
        return 2
    job_dir = arguments[-1]
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from slurmkit.runner import leader

    del sys.path[0]
    return leader.rank(job_dir) if is_rank else leader.lead(job_dir)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
