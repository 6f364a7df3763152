"""Each option and variable of salloc: what it says, what scontrol shows of the job, and the environment of the command in it.

As recorded from a real Slurm of the same version: `fakeslurm.contract.options`.
"""

from __future__ import annotations

import pytest

from fakeslurm.contract import options
from fakeslurm.contract.harness import SlurmUnderTest


@pytest.mark.parametrize("case", options.ALLOCATIONS)
def test_allocation(slurm: SlurmUnderTest, case: str) -> None:
    options.check(slurm, case)
