"""The contract on the fake's other version profile; that of the default one is part of every run."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.timeout(900)
def test_the_contract_holds_for_the_profile_24_11() -> None:
    """The same tests that a real Slurm 24.11.5 passes; what differs between versions is in them."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--pyargs", "fakeslurm.contract", "-q", "-p", "no:cacheprovider"),
            *("--slurm=fake", "--slurm-version=24.11"),
        ],
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]
