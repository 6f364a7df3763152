"""What the fake is known to say otherwise than Slurm: docs/open.md has a row of each, and the tests in ``test_open_*.py`` show them."""

from __future__ import annotations

from typing import TypeVar

from fakeslurm.contract.harness import SlurmUnderTest

__all__ = ["compare_known"]

T = TypeVar("T")


def compare_known(slurm: SlurmUnderTest, said: T, *, real: T, fake: T) -> None:
    """Slurm says `real`, and the fake still `fake`: once it says the same, the row and its test have to become a test that both pass."""
    assert real != fake, "no difference"
    assert said == (real if slurm.is_real else fake)
