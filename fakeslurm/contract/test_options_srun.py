"""Each option and variable of srun outside a job: what it says, and what a task has in its environment.

As recorded from a real Slurm of the same version: `fakeslurm.contract.options`.
"""

from __future__ import annotations

import pytest

from fakeslurm.contract import options
from fakeslurm.contract.harness import SlurmUnderTest


@pytest.mark.parametrize("case", options.STEPS)
def test_step(slurm: SlurmUnderTest, case: str) -> None:
    options.check(slurm, case)
