"""The controller under arbitrary events: what must hold after every single one, and that nothing waits for ever."""

from __future__ import annotations

from controller_arrays import Arrays
from controller_hets import Hets
from controller_invariants import Invariants
from controller_preemption import Preempting
from controller_updates import Updates
from hypothesis import HealthCheck, settings


class ControllerMachine(Arrays, Updates, Invariants):
    """All of it."""


class HetMachine(Hets, Updates, Invariants):
    """With heterogeneous jobs; without arrays."""


class PreemptionMachine(Preempting, Updates, Invariants):
    """Where jobs are preempted; without arrays."""


for machine in (ControllerMachine, HetMachine, PreemptionMachine):
    machine.TestCase.settings = settings(
        stateful_step_count=35, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
TestController = ControllerMachine.TestCase
TestHets = HetMachine.TestCase
TestPreemption = PreemptionMachine.TestCase
