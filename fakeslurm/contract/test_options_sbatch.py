"""Each option and variable of sbatch: what it says, and what scontrol shows of the job.

As recorded from a real Slurm of the same version: `fakeslurm.contract.options`.
"""

from __future__ import annotations

import pytest

from fakeslurm.contract import options
from fakeslurm.contract.harness import SlurmUnderTest


@pytest.mark.parametrize("case", options.SUBMISSIONS)
def test_submission(slurm: SlurmUnderTest, case: str) -> None:
    options.check(slurm, case)
