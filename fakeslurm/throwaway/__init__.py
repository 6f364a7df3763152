"""A throwaway real Slurm for tests and for the contract suite: `ThrowawaySlurm`.

Needs Linux and the Debian packages ``slurmctld slurmd slurmdbd slurm-client mariadb-server`` (or the same programs from
elsewhere on PATH); `unavailable_reason` says what is missing. Runs with 22.05 and 24.11, as any user.
"""

from __future__ import annotations

from fakeslurm.throwaway.cluster import ThrowawaySlurm
from fakeslurm.throwaway.daemons import SlurmUnavailable
from fakeslurm.throwaway.programs import missing_programs, unavailable_reason

__all__ = ["SlurmUnavailable", "ThrowawaySlurm", "missing_programs", "unavailable_reason"]
