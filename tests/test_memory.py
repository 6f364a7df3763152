"""Who is killed for memory, decided without any process."""

from __future__ import annotations

import pytest

from fakeslurm import FakeSlurm
from fakeslurm.memory import Limit, Usage, victim, victims


def test_nobody_within_the_limit() -> None:
    assert victim([Usage(1, 60, 60), Usage(2, 40, 90)], 100) is None


def test_the_one_with_the_most_resident_memory() -> None:
    """Also when what counts for the limit is somebody else's: pages of files are resident, too."""
    assert victim([Usage(1, 60, 60), Usage(2, 50, 90)], 100) == 2


def test_adjustments_are_thousandths_of_the_limit() -> None:
    assert victim([Usage(1, 60, 60, 500), Usage(2, 50, 90)], 100) == 1
    assert victim([Usage(1, 600, 600, -1000), Usage(2, 50, 50)], 100) == 2
    assert victim([Usage(1, 600, 600, -1000)], 100) is None


def test_a_step_over_its_own_limit_loses_one_of_its_own() -> None:
    steps = {"1.batch": Limit(200, 200), "1.0": Limit(200, 50)}
    assert victims({"1.batch": [Usage(1, 90, 90)], "1.0": [Usage(2, 60, 60)]}, steps) == {"1.0": 2}


def test_a_job_over_its_limit_loses_the_largest_of_all_steps() -> None:
    steps = {"1.batch": Limit(100, 100), "1.0": Limit(100, 100)}
    assert victims({"1.batch": [Usage(1, 60, 60)], "1.0": [Usage(2, 50, 50)]}, steps) == {"1.batch": 1}
    assert victims({"1.batch": [], "1.0": [Usage(2, 50, 50)]}, steps) == {}


def test_where_nobody_says_what_a_process_uses_limits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakeslurm.arguments.can_watch", lambda: False)
    conf = ["SelectTypeParameters=CR_Core_Memory", "TaskPlugin=task/cgroup", "ConstrainRAMSpace=yes"]
    with pytest.raises(ValueError, match="needs Linux"):
        FakeSlurm(conf=conf)
