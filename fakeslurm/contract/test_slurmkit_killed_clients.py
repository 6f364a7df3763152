"""A client that is killed by SIGKILL before each step of a submission, and started anew: every item runs once, and every result comes back.

On the real Slurm; tests/test_killed_clients.py does the same on the fake, for more steps.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakeslurm.contract.harness import SlurmUnderTest

pytestmark = [pytest.mark.slurm_real_only, pytest.mark.slurm_conf("MaxArraySize=2")]

CLIENT = """
import os, signal, sys
from pathlib import Path

import slurmkit

root, what, last_step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
paths = [f"{root}.{number}" for number in range(3)]
steps = 0


def on_event(event, args):
    # What changes something outside of this process; a file is written under another name and then renamed.
    global steps
    if event in ("os.mkdir", "os.rename", "subprocess.Popen"):
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)


@slurmkit.task(time=5)
def work(path):
    with open(path, "a") as file:
        file.write("ran;")
    return path


with slurmkit.Cluster("slurm", job_root=root) as cluster:
    known = cluster.jobs()
    sys.addaudithook(on_event)
    if what == "job":
        [job] = known or [cluster.submit(work, paths[0])]
        print([job.result(timeout=90)] == paths[:1])
    else:
        [array] = known or [cluster.map(work, paths)]
        outcomes = array.outcomes(timeout=90)
        results = outcomes.results | array.retry_failed().outcomes(timeout=90).results
        print(results == dict(enumerate(paths)))
"""


def client(slurm: SlurmUnderTest, root: Path, what: str, last_step: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", CLIENT, str(root), what, str(last_step)]
    return subprocess.Popen(
        argv, env=dict(slurm.base_environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


@pytest.mark.parametrize(("what", "first_step", "items"), [("job", 1, 1), ("array", 8, 3)])
def test_killed_before_each_step(slurm: SlurmUnderTest, what: str, first_step: int, items: int) -> None:
    """The array is refused as such and becomes two; its first sbatch is the eighth step."""
    roots = []
    for last_step in range(first_step, 60):
        root = slurm.workdir / f"{what}{last_step}"
        code, out, err = ended(client(slurm, root, what, last_step))
        if code == 0:
            break
        assert (code, out) == (-9, ""), err
        roots.append(root)
    assert len(roots) > 4
    again = {root: client(slurm, root, what, 0) for root in roots}
    for root, process in again.items():
        assert ended(process) == (0, "True\n", ""), root
        ran = [Path(f"{root}.{number}").read_text() for number in range(items)]
        assert ran == ["ran;"] * items, root
