"""Faults: what goes wrong on a cluster, when a test wants it to.

`FakeSlurm.fault` makes one happen inside of a block, `FakeSlurm.schedule_fault` by the clock. Each kind of fault is a value with a name and
options, see `KINDS`; what it does to a call is decided by a pure function, and what the caller then sees is what Slurm's commands print.
"""

from fakeslurm.faults.base import Disturbance, Fault, Hit, Kind
from fakeslurm.faults.chaos import Chaos, Planned, PlannedCall, PlannedTime
from fakeslurm.faults.registry import KINDS, kind_of
from fakeslurm.faults.script import Script

__all__ = [
    "KINDS",
    "Chaos",
    "Disturbance",
    "Fault",
    "Hit",
    "Kind",
    "Planned",
    "PlannedCall",
    "PlannedTime",
    "Script",
    "kind_of",
]
