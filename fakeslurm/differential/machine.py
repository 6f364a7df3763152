"""The machine: hypothesis chooses commands, both Slurms answer them, and every difference is an error."""

from __future__ import annotations

from fakeslurm.differential.rules import CommonRules
from fakeslurm.differential.rules_lifecycle import LifecycleRules
from fakeslurm.differential.rules_queries import QueryRules
from fakeslurm.differential.rules_steps import StepRules
from fakeslurm.differential.rules_update import UpdateRules
from fakeslurm.differential.session import Arena

__all__ = ["machine"]


class Machine(CommonRules, LifecycleRules, QueryRules, UpdateRules, StepRules):
    """The rules of all areas."""


def machine(arena: Arena) -> type[Machine]:
    """The machine on these two sides."""
    return type("DifferentialMachine", (Machine,), {"arena": arena})
