"""A throwaway Slurm that is found without SLURM_CONF, as a site's is through /etc/slurm: some clients strip every SLURM_* variable."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from fakeslurm.throwaway import ThrowawaySlurm

COMMANDS = (
    "sbatch",
    "srun",
    "salloc",
    "squeue",
    "sacct",
    "scancel",
    "scontrol",
    "sinfo",
    "sstat",
    "sacctmgr",
    "sbcast",
)
WRAPPER = """#!/bin/bash
export SLURM_CONF={conf}
{log}
exec {command} "$@"
"""
NOTE = """{{ printf '%q ' {name} "$@"; echo; [ {name} = sbatch ] && grep -hs '^#SBATCH' "${{@: -1}}"; }} >> {log}"""


def environment(slurm: ThrowawaySlurm, directory: Path, log: Path | None = None) -> dict[str, str]:
    """What leads to `slurm` by PATH alone, through commands in `directory`; `log` receives each call and the options in its script."""
    found = slurm.environ()
    for name in COMMANDS:
        command = shutil.which(name, path=found["PATH"])
        if command is None:
            continue
        note = "" if log is None else NOTE.format(name=name, log=shlex.quote(str(log)))
        wrapper = directory / name
        wrapper.write_text(WRAPPER.format(conf=shlex.quote(str(slurm.conf)), command=shlex.quote(command), log=note))
        wrapper.chmod(0o755)
    return {**found, "PATH": f"{directory}{os.pathsep}{found['PATH']}"}
