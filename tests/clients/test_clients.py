"""Public clients run unmodified on the fake's commands, with the outcome that they have on a real Slurm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import driving
import pytest


@pytest.mark.clients
@pytest.mark.parametrize("name", driving.DRIVERS)
def test_outcome(name: str, client_slurm: Mapping[str, str], python_of: Callable[[str], Path], tmp_path: Path) -> None:
    driver = driving.load(name)
    report = driving.drive(name, python_of(driver.CLIENT), client_slurm, tmp_path)
    assert report == driver.EXPECTED
