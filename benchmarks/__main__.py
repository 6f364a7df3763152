"""``python -m benchmarks [ROW ...]``: measure these rows (default: all), print the table, and write it to docs/performance.md when all ran."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from benchmarks.harness import Row, table
from benchmarks.rows import ROWS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def main(arguments: list[str]) -> None:
    # What pip installs is compiled; what a process would compile anew each time says nothing of slurmkit.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        numbers = [int(text) for text in arguments] or list(ROWS)
        wanted = [ROWS[number] for number in numbers]
    except (ValueError, KeyError):
        raise SystemExit(f"rows {' '.join(arguments)}: valid are {', '.join(map(str, ROWS))}") from None
    rows: list[Row] = []
    for measure in wanted:
        print(f"measuring: {(measure.__doc__ or '').strip()}", file=sys.stderr, flush=True)
        found = measure()
        rows.extend(found if isinstance(found, tuple) else [found])
    text = table(rows)
    print(text)
    if len(wanted) == len(ROWS):
        machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
        PAGE.write_text(
            "# Performance\n\n"
            "Made by `make bench`: medians of interleaved rounds in one run. The ratios carry over to other machines, the times do not.\n"
            f"In each block the ratio is to its first line. This run: {machine}.\n\n{text}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
