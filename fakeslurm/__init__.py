"""fakeslurm: Slurm without a cluster, for tests.

Nothing is imported before it is used: the commands on PATH and the processes of the jobs start with this package.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeslurm import faults
    from fakeslurm.fake import FakeSlurm
    from fakeslurm.model import Node, Partition
    from fakeslurm.simulation import Simulated
    from fakeslurm.virtualclock import VirtualClock

__all__ = ["FakeSlurm", "Node", "Partition", "Simulated", "VirtualClock", "__version__", "faults"]

_MODULES = {
    "FakeSlurm": "fakeslurm.fake",
    "Node": "fakeslurm.model",
    "Partition": "fakeslurm.model",
    "Simulated": "fakeslurm.simulation",
    "VirtualClock": "fakeslurm.virtualclock",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("slurmkit")
    if name == "faults":
        from importlib import import_module

        return import_module("fakeslurm.faults")
    if name not in _MODULES:
        raise AttributeError(f"module 'fakeslurm' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
