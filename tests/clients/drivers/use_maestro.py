"""A study of steps in files: a conductor in the background submits scripts as their parents end, and reads squeue and sacct by columns."""

import json
import subprocess
from pathlib import Path
from typing import Any

CLIENT = "maestrowf"
EXPECTED = {
    "say": ["hello A", "hello B"],
    "join": "hello A\nhello B\n",
    "states": {"fail": "FAILED", "join": "FINISHED", "say_WORD.A": "FINISHED", "say_WORD.B": "FINISHED"},
}
STUDY = """
description: {name: study, description: steps}
batch: {type: slurm, host: throwaway, bank: root, queue: debug}
env: {variables: {OUTPUT_PATH: ./out}}
study:
  - name: say
    description: one per parameter
    run: {cmd: "$(LAUNCHER) echo hello $(WORD) > said", nodes: 1, procs: 1, walltime: "00:02:00"}
  - name: join
    description: after all of them
    run: {cmd: "cat $(say.workspace)/*/said > joined", nodes: 1, procs: 1, walltime: "00:02:00", depends: [say_*]}
  - name: fail
    description: ends badly
    run: {cmd: "exit 3", nodes: 1, procs: 1, walltime: "00:02:00"}
global.parameters:
  WORD: {values: [A, B], label: WORD.%%}
"""


def drive() -> dict[str, Any]:
    Path("study.yaml").write_text(STUDY)
    subprocess.run(
        ["maestro", "run", "-y", "-fg", "-s", "1", "-o", "out", "study.yaml"], check=False, capture_output=True
    )
    table = [line.split(",") for line in Path("out/status.csv").read_text().splitlines()]
    return {
        "say": [Path(f"out/say/WORD.{word}/said").read_text().strip() for word in "AB"],
        "join": Path("out/join/joined").read_text(),
        "states": {row[0]: row[3] for row in table[1:]},
    }


if __name__ == "__main__":
    print(json.dumps(drive()))
