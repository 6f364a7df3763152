"""``python -m fakeslurm.fidelity PAGE`` writes docs/fidelity.md; what is undecided is named, and is an error."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fakeslurm.fidelity import RELEASES, Status, judge
from fakeslurm.fidelity.page import render


def main(page: Path) -> int:
    judgements = [judgement for release in RELEASES for judgement in judge(release)]
    page.write_text(render(judgements), encoding="utf-8")
    undecided = [one for one in judgements if one.status is Status.UNDECIDED]
    for one in undecided:
        print(f"{one.line.command} {one.line.name} ({one.release}): {one.note}", file=sys.stderr)
    return 1 if undecided else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m fakeslurm.fidelity", description="Write docs/fidelity.md.")
    parser.add_argument("page", type=Path, help="the file to write")
    sys.exit(main(parser.parse_args().page))
