"""How squeue and scontrol print the generic resources of jobs. Measured: docs/measured/resources.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakeslurm.commands.jobtexts import NEW
from fakeslurm.gres import Units, held_units, node_gres, total_text
from fakeslurm.slurmctld.demand import gres_per_node

if TYPE_CHECKING:
    from fakeslurm.model import Job, JobDescription, Settings

__all__ = ["held_detail", "held_total", "tres_per_job", "tres_per_node"]


def tres_per_node(asked: JobDescription, settings: Settings) -> str:
    """``gres:gpu:2``, in 24.11 ``gres/gpu:2``; empty for nothing."""
    text = "" if asked.gres.lower() == "none" else asked.gres
    return _prefixed(text or _gpus(asked.gpus_per_node), settings)


def tres_per_job(asked: JobDescription, settings: Settings) -> str:
    return _prefixed(_gpus(asked.gpus), settings)


def held_total(job: Job, settings: Settings) -> str:
    """``JOB_GRES``: what the job has of all its nodes together."""
    return total_text(_held(job, index, settings) for index in range(len(job.nodes)))


def held_detail(job: Job, index: int, settings: Settings) -> str:
    """What the job has of its node number `index`: ``gpu:1(IDX:0)``."""
    return ",".join(one.detail for one in _held(job, index, settings))


def _held(job: Job, index: int, settings: Settings) -> list[Units]:
    name = job.nodes[index]
    lines = next((node_gres(node.gres) for node in settings.nodes if node.name == name), ())
    asked = job.description
    return held_units(lines, job.gres_on(name), None if asked.exclusive else gres_per_node(asked, settings))


def _gpus(text: str) -> str:
    return ",".join(f"gpu:{item}" for item in text.split(",")) if text else ""


def _prefixed(text: str, settings: Settings) -> str:
    prefix = "gres/" if settings.profile.release == NEW else "gres:"
    return ",".join(prefix + item.removeprefix(prefix) for item in text.split(",")) if text else ""
