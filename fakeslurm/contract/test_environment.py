"""The environment of batch script, step and rank: names and values, as recorded from a real Slurm of the same version."""

from __future__ import annotations

import pytest

from fakeslurm.contract import environments
from fakeslurm.contract.harness import SlurmUnderTest


@pytest.mark.parametrize("shape", environments.SHAPES)
def test_environment(slurm: SlurmUnderTest, shape: str) -> None:
    if slurm.kind == "site":
        pytest.skip("the recorded environments are those of n1..n4 with 4 CPUs each, which a site has not")
    recorded = environments.recorded(slurm.version)
    if recorded is None:
        pytest.skip(
            f"no environments are recorded for Slurm {slurm.version}: python -m fakeslurm.contract.environments"
        )
    expected = recorded[shape]
    found = environments.collect(slurm, environments.SHAPES[shape])
    assert sorted(found) == sorted(expected)
    for process, environment in expected.items():
        assert found[process] == environment, f"{shape}: {process}"
