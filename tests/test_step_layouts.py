"""Random steps of random jobs as a real Slurm laid them out (docs/data/step-layouts-22.05.json), one after another on an idle cluster."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm

DATA = Path(__file__).parent.parent / "docs" / "data" / "step-layouts-22.05.json"
ROWS: list[dict[str, Any]] = json.loads(DATA.read_text())
SHOW = "echo $SLURMD_NODENAME $SLURM_GTIDS $SLURM_CPUS_ON_NODE $SLURM_DISTRIBUTION $SLURM_STEP_TASKS_PER_NODE"
# Which of these two is printed is not known in all cases.
_REFUSALS = re.compile("More processors requested than permitted|Requested node configuration is not available")


def _said(text: str) -> str:
    text = re.sub(r"srun: (Job \d+ step creation|Step created).*\n", "", text)
    return _REFUSALS.sub("REFUSED", re.sub(r"\bjob \d+", "job J", text))


@pytest.mark.parametrize("job", list(dict.fromkeys(row["job"] for row in ROWS)))
def test_layouts(tmp_path: Path, job: str) -> None:
    rows = [row for row in ROWS if row["job"] == job]
    lines = []
    for index, row in enumerate(rows):
        hosts = row.get("hosts")
        if hosts:
            (tmp_path / f"hosts.{index}").write_text("\n".join(hosts) + "\n")
        setting = f"SLURM_HOSTFILE=$PWD/hosts.{index} " if hosts else ""
        lines.append(f"{setting}srun {row['srun']} sh -c '{SHOW}' > out.{index} 2> err.{index}; echo $? > rc.{index}")
    with FakeSlurm() as slurm:
        submit = ["sbatch", "-o", "/dev/null", *shlex.split(job), "--wrap", "set -f\n" + "\n".join(lines)]
        assert slurm.execute(submit, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}).returncode == 0
        slurm.wait_idle(timeout=60)
    for index, row in enumerate(rows):
        what = f"{job}: srun {row['srun']} {row.get('hosts', '')}"
        assert _said((tmp_path / f"err.{index}").read_text()) == _said(row.get("stderr", "")), what
        assert (tmp_path / f"rc.{index}").read_text() == f"{row['rc']}\n", what
        shape = f"{row.get('distribution')} {row.get('tasks_per_node')}"
        expected = {f"{node} {ranks} {cpus} {shape}" for node, (ranks, cpus) in row.get("nodes", {}).items()}
        assert set((tmp_path / f"out.{index}").read_text().splitlines()) == expected, what
