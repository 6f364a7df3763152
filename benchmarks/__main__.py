"""``python -m benchmarks [--quick] [ROW ...]``: measure these rows (default: all) and print the table; all rows are written to
docs/performance.md, with a picture of their growth, unless it is quick."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

from benchmarks.harness import Effort, Row, table, verdicts
from benchmarks.peers import PINNED, Peers
from benchmarks.plot import plot

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
PICTURE = PAGE.with_name("growth.svg")
ROWS = {int(path.stem[3:5]): f"benchmarks.{path.stem}" for path in sorted(HERE.glob("row*.py"))}

TEXT = """\
# Performance

Made by `make bench`: medians of interleaved rounds (A B A B) in one run. The ratios carry over to other machines, the times do not.
In each block the ratio is to its first line, the floor; that of the minima suffers less from what else the machine does.
What happens inside of one process (rows 5 and 8) is measured by pyperf, in fresh processes.
Peers run in an environment of their own; what they wait on purpose between two submissions is taken out.

This run: {machine}; load average {load} (one minute; above the number of CPUs the times are too long, and ratios uncertain). Peers: {peers}.

## Goals

{verdicts}

## Growth

![What one costs, by how many there are]({picture})

## Figures

{table}
"""


def main(arguments: list[str]) -> None:
    # What pip installs is compiled; what a process would compile anew each time says nothing of slurmkit.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    quick = "--quick" in arguments
    asked = [text for text in arguments if text != "--quick"]
    try:
        wanted = {number: ROWS[number] for number in map(int, asked)} or ROWS
    except (ValueError, KeyError):
        raise SystemExit(f"rows {' '.join(asked)}: valid are {', '.join(map(str, ROWS))}") from None
    load = [os.getloadavg()[0]]
    peers = Peers.prepared()
    effort = Effort(peers, quick=quick)
    rows: list[Row] = []
    for number, name in wanted.items():
        module = importlib.import_module(name)
        print(f"row {number}: {(module.__doc__ or '').strip()}", file=sys.stderr, flush=True)
        rows += module.measure(effort)
    print(f"{verdicts(rows)}\n\n{table(rows)}")
    if wanted == ROWS and not quick:
        machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
        present = ", ".join(f"{name} {PINNED[name]}" for name in peers.names) or "none"
        load.append(os.getloadavg()[0])
        told = {
            "machine": machine,
            "load": "{:.1f} at its beginning, {:.1f} at its end".format(*load),
            "peers": present,
            "picture": PICTURE.name,
        }
        PAGE.write_text(TEXT.format(**told, verdicts=verdicts(rows), table=table(rows)))
        PICTURE.write_text(plot({f"{row.number}: {row.work}": row.costs for row in rows if row.costs}))


if __name__ == "__main__":
    main(sys.argv[1:])
