"""Job states in every spelling of Slurm's commands, and exit codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit.slurm.states import ACTIVE_STATES, TERMINAL_STATES, ExitCode, JobState, base_state, is_terminal

COMPACT = {
    "BF": "BOOT_FAIL", "CA": "CANCELLED", "CD": "COMPLETED", "CF": "CONFIGURING", "CG": "COMPLETING", "DL": "DEADLINE",
    "F": "FAILED", "NF": "NODE_FAIL", "OOM": "OUT_OF_MEMORY", "PD": "PENDING", "PR": "PREEMPTED", "R": "RUNNING",
    "RD": "RESV_DEL_HOLD", "RF": "REQUEUE_FED", "RH": "REQUEUE_HOLD", "RQ": "REQUEUED", "RS": "RESIZING", "RV": "REVOKED",
    "S": "SUSPENDED", "SE": "SPECIAL_EXIT", "SI": "SIGNALING", "SO": "STAGE_OUT", "ST": "STOPPED", "TO": "TIMEOUT",
}  # fmt: skip
"""The JOB STATE CODES section of squeue(1)."""

FINISHED = [
    "COMPLETED",
    "CANCELLED",
    "FAILED",
    "TIMEOUT",
    "NODE_FAIL",
    "PREEMPTED",
    "BOOT_FAIL",
    "DEADLINE",
    "OUT_OF_MEMORY",
]


def test_every_documented_compact_code() -> None:
    assert {state.compact: str(state) for state in JobState if state.compact} == COMPACT
    assert {code: base_state(code) for code in COMPACT} == COMPACT


def test_every_state_is_terminal_or_active_and_prints_as_its_word() -> None:
    assert sorted(TERMINAL_STATES) == sorted(FINISHED)
    assert set(JobState) == TERMINAL_STATES | ACTIVE_STATES
    assert not TERMINAL_STATES & ACTIVE_STATES
    for state in JobState:
        assert f"{state}" == state == base_state(state) == state.name
        assert is_terminal(state) == (state in FINISHED)


@pytest.mark.parametrize(
    ("text", "expected", "terminal"),
    [
        ("CANCELLED by 1000", "CANCELLED", True),
        ("CANCELLED+", "CANCELLED", True),
        ("OUT_OF_ME+", "OUT_OF_MEMORY", True),
        ("JobState=COMPLETED", "COMPLETED", True),
        (" completed ", "COMPLETED", True),
        ("COMPLETING", "COMPLETING", False),
        ("CG", "COMPLETING", False),
        ("REQUEUED", "REQUEUED", False),
        ("SPECIAL_EXIT", "SPECIAL_EXIT", False),
        ("REVOKED", "REVOKED", False),
        ("pd", "PENDING", False),
        ("COMPL+", "COMPL+", False),
        ("SOMETHING_NEW", "SOMETHING_NEW", False),
        ("something new", "SOMETHING NEW", False),
        ("", "", False),
        ("+", "+", False),
    ],
)
def test_spellings(text: str, expected: str, terminal: bool) -> None:
    assert base_state(text) == expected
    assert is_terminal(text) is terminal


@given(st.text())
def test_any_text_is_a_state_and_only_finished_ones_are_terminal(text: str) -> None:
    word = base_state(text)
    assert base_state(word) == word
    assert is_terminal(text) == (word in FINISHED)


@pytest.mark.parametrize(
    ("value", "code", "signal"),
    [
        ("3:0", 3, 0),
        ("0:9", 0, 9),
        ("0:125", 0, 125),
        ("143:0", 143, 0),
        (0, 0, 0),
        (768, 3, 0),
        ("768", 3, 0),
        (9, 0, 9),
        (139, 0, 11),
        (253, 0, 125),
    ],
)
def test_exit_codes(value: str | int, code: int, signal: int) -> None:
    parsed = ExitCode.parse(value)
    assert (parsed.code, parsed.signal) == (code, signal)
    assert str(parsed) == f"{code}:{signal}"
    assert parsed.ok == (code == signal == 0)


@pytest.mark.parametrize("value", ["", "x", "1:", ":1", "-1:0", "1:2:3", -1, "1.0", "٣:0"])
def test_exit_codes_that_are_refused(value: str | int) -> None:
    with pytest.raises(ValueError, match="invalid exit code") as caught:
        ExitCode.parse(value)
    assert repr(value) in str(caught.value)


@given(st.integers(0, 255), st.integers(0, 127))
def test_exit_codes_are_read_back(code: int, signal: int) -> None:
    value = ExitCode(code, signal)
    assert ExitCode.parse(str(value)) == value
