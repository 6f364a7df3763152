"""Each option and variable of squeue, sacct, scancel, scontrol and sinfo: what they say of two jobs that are held.

As recorded from a real Slurm of the same version: `fakeslurm.contract.options`.
"""

from __future__ import annotations

import pytest

from fakeslurm.contract import options
from fakeslurm.contract.harness import SlurmUnderTest


@pytest.mark.parametrize("case", options.QUERIES)
def test_query(slurm: SlurmUnderTest, case: str) -> None:
    options.check(slurm, case)
