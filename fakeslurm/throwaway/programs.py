"""Which of Slurm's programs this machine has, and which Debian packages hold the missing ones. Pure look-ups."""

from __future__ import annotations

import os
import shutil
import sys

_PACKAGE_OF = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmstepd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
    "sacctmgr": "slurm-client",
    "scontrol": "slurm-client",
    "sinfo": "slurm-client",
    "squeue": "slurm-client",
    "srun": "slurm-client",
    "mariadbd": "mariadb-server",
}
_ACCOUNTING_ONLY = frozenset({"slurmdbd", "mariadbd"})
_DAEMON_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # on root's PATH alone


def find(program: str) -> str | None:
    """The absolute path of `program`, looked up on PATH and then where daemons live; None when it is nowhere."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_DAEMON_DIRECTORIES])
    return shutil.which(program, path=path)


def missing_programs(accounting: bool = True) -> list[str]:
    """The programs a throwaway Slurm needs and this machine lacks, in a fixed order; empty when it can start."""
    needed = [name for name in _PACKAGE_OF if accounting or name not in _ACCOUNTING_ONLY]
    return [name for name in needed if find(name) is None]


def unavailable_reason(accounting: bool = True) -> str | None:
    """Why no throwaway Slurm can start here, as one sentence that says what to install; None when one can."""
    if not sys.platform.startswith("linux"):
        return f"a real Slurm needs Linux, this is {sys.platform}"
    missing = missing_programs(accounting)
    if not missing:
        return None
    packages = list(dict.fromkeys(_PACKAGE_OF[name] for name in missing))
    return (
        f"Slurm's programs are not installed: {', '.join(missing)} not found on PATH or in "
        f"{', '.join(_DAEMON_DIRECTORIES)}; on Debian: apt-get install --no-install-recommends {' '.join(packages)}"
    )
