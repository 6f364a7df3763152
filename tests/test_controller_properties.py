"""The controller under arbitrary events: what must hold after every single one, and that nothing waits for ever."""

from __future__ import annotations

from controller_arrays import Arrays
from controller_invariants import Invariants
from controller_updates import Updates
from hypothesis import HealthCheck, settings


class ControllerMachine(Arrays, Updates, Invariants):
    """All of it."""


ControllerMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=35, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestController = ControllerMachine.TestCase
