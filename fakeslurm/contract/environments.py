"""The environments of batch script, step and rank, as recorded from a real Slurm, and how two of them are compared.

``python -m fakeslurm.contract.environments DIRECTORY`` records them anew, on a throwaway Slurm, into ``environment-<version>.json``.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakeslurm.contract.harness import SlurmUnderTest

__all__ = ["SHAPES", "collect", "normalized", "recorded"]

SHAPES: Mapping[str, tuple[str, ...]] = {
    "plain": (),
    "one task": ("-n1",),
    "one task, two CPUs and memory": ("-n1", "-c2", "--mem=100"),
    "uneven 4,2,1": ("-N3", "-n7"),
    "two nodes, two tasks each": ("-N2", "--ntasks-per-node=2"),
    "four nodes": ("-N4",),
    "exclusive": ("-N2", "--exclusive"),
    "memory per CPU": ("-n2", "--mem-per-cpu=50"),
    "named, with a time limit": ("--job-name=a name", "--time=10"),
    "exporting nothing": ("--export=NONE", "-n2"),
    "exporting one and setting one": ("--export=GIVEN,SET=here", "-n1"),
}
"""sbatch options of the jobs whose environments are compared."""

_BODY = r"""
env -0 > batch.env
srun sh -c 'env -0 > all.$SLURM_PROCID.env'
if [ "$SLURM_JOB_NUM_NODES" = 3 ]; then srun -N2 -n3 sh -c 'env -0 > subset.$SLURM_PROCID.env'; fi
"""

# What no two clusters have in common: numbers that are counted up, processes, ports, places, and who is asking.
_OWN = frozenset(
    f"SLURM_{name}"
    for name in (
        *(
            "CLUSTER_NAME",
            "CONF",
            "WORKING_CLUSTER",
            "SUBMIT_DIR",
            "SUBMIT_HOST",
            "LAUNCH_NODE_IPADDR",
            "SRUN_COMM_HOST",
        ),
        *("JOBID", "JOB_ID", "JOB_START_TIME", "JOB_END_TIME", "TASK_PID", "SRUN_COMM_PORT", "STEP_LAUNCHER_PORT"),
        *("JOB_ACCOUNT", "JOB_GID", "JOB_GROUP", "JOB_UID", "JOB_USER"),
    )
)
# Everything else in a job's environment is the user's: the shell's and the login's.
_SLURMS = ("SLURM", "SRUN", "SBATCH")
_BESIDES = ("ENVIRONMENT", "HOSTNAME", "TMPDIR", "GIVEN", "KEPT", "SET")


def normalized(environment: Mapping[str, str]) -> dict[str, str]:
    """What Slurm put there, with ``<own>`` for every value that no two clusters share; the names all stay."""
    return {
        name: "<own>" if name in _OWN else value
        for name, value in sorted(environment.items())
        if name.startswith(_SLURMS) or name in _BESIDES
    }


def collect(slurm: SlurmUnderTest, options: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Run one job with these options; the normalised environments of its batch script and of every rank of its steps."""
    for stale in slurm.workdir.glob("*.env"):
        stale.unlink()
    script = slurm.workdir / "shape.sh"
    script.write_text(f"#!/bin/sh\n{_BODY}")
    done = slurm.run("sbatch", "--parsable", *options, script, only_env={"GIVEN": "given", "KEPT": "kept"})
    assert done.returncode == 0, done
    job_id = done.stdout.strip()
    fields = slurm.wait(job_id)
    assert fields["JobState"] == "COMPLETED", fields
    return {path.stem: normalized(parse(path.read_bytes())) for path in sorted(slurm.workdir.glob("*.env"))}


def parse(dump: bytes) -> dict[str, str]:
    """The environment in the output of ``env -0``."""
    pairs = (item.partition("=") for item in dump.decode().split("\0") if item)
    return {name: value for name, _, value in pairs}


def recorded(version: str) -> dict[str, dict[str, dict[str, str]]] | None:
    """What was recorded for this version of Slurm: shape -> process -> environment. None when nothing was."""
    release = ".".join(version.split(".")[:2])
    path = resources.files("fakeslurm.contract") / "data" / f"environment-{release}.json"
    if not path.is_file():
        return None
    found: dict[str, dict[str, dict[str, str]]] = json.loads(path.read_text())
    return found


def main(directory: Path) -> None:
    """Record every shape on a throwaway Slurm."""
    from fakeslurm.contract.harness import SlurmUnderTest
    from fakeslurm.throwaway import ThrowawaySlurm

    with ThrowawaySlurm() as real, tempfile.TemporaryDirectory() as workdir:
        slurm = SlurmUnderTest.on_real(real, workdir=Path(workdir))
        found = {shape: collect(slurm, options) for shape, options in SHAPES.items()}
    release = re.sub(r"^(\d+\.\d+).*", r"\1", slurm.version)
    path = directory / f"environment-{release}.json"
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
