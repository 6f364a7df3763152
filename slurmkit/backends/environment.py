"""The environment in which Slurm's commands run: pure functions of the client's environment.

A client that itself runs in a job has that job's ``SLURM_*`` in its environment. sbatch takes some of them as options, and hands all of
them on to the new job (sbatch.1, INPUT ENVIRONMENT VARIABLES: "will override any options set in a batch script").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from slurmkit.slurm.options import OPTIONS

__all__ = ["query_environment", "submit_environment"]

CLIENT_VARIABLES = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_SACK_SOCKET"})
"""How the commands find their cluster, and who they are there. No job sets these."""

SITE_DEFAULTS = ("account", "constraint", "partition", "qos", "reservation", "time", "wckey")
"""Options whose variables people set in a login profile: kept unless the script has the option itself."""

_OPTION_OF = {variable: option for option in SITE_DEFAULTS for variable in OPTIONS[option].env}
_SCRUBBED = ("SLURM_", "SLURMD_", "SBATCH_")
_FILTERS = (*_SCRUBBED, "SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_")
_DIRECTIVE = re.compile(r"^#SBATCH\s+--([a-z0-9-]+)", re.MULTILINE)


def submit_environment(environ: Mapping[str, str], script: Callable[[], str]) -> dict[str, str]:
    """What sbatch is given, and with it the job: without an outer job's variables, and nothing that overrides the `script`, which is read only
    where there is something that might."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(_SCRUBBED) or name in CLIENT_VARIABLES
    }
    defaults = {name: option for name, option in _OPTION_OF.items() if name in environ}
    if defaults:
        said = set(_DIRECTIVE.findall(script()))
        kept |= {name: environ[name] for name, option in defaults.items() if option not in said}
    return kept


def query_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What squeue, sacct, scontrol and scancel are given: without what filters or reformats their answers, in the C locale, and
    such that the indices of an array are all written out (0; by default the text ends after 64 characters: squeue.1, ENVIRONMENT VARIABLES)."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_FILTERS) or name in CLIENT_VARIABLES}
    kept["LC_ALL"] = "C"
    kept["SLURM_BITSTR_LEN"] = "0"
    return kept
