"""The examples that are too long for the tests, in small."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_thirty_days_in_small() -> None:
    run = runpy.run_path(str(EXAMPLES / "thirty_days.py"))["run"]
    first, second = (run(days=2, jobs=300, followed=40, seed=3) for _ in range(2))
    assert first.history == second.history
    assert str(first.history) == str(second.history)
    assert sum(first.ends.values()) == sum(first.results.values()) == 40 - sum(first.refused.values())
    assert first.ends["COMPLETED"] == first.results["its result"] > 25
    assert first.faults
    assert first.faults == second.faults
    assert first.ends == second.ends
    assert first.updates == second.updates
    assert first.calls == second.calls
