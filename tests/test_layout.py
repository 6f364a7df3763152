"""Run-length layouts: examples from Slurm's environment, and the round trip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit.slurm import layout
from slurmkit.slurm.layout import LayoutError


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", []),
        ("1", [1]),
        ("2,1", [2, 1]),
        ("2(x4)", [2, 2, 2, 2]),
        ("4,2,1", [4, 2, 1]),
        ("3,1(x2)", [3, 1, 1]),
        ("2(x2),1,2(x2)", [2, 2, 1, 2, 2]),
        ("0(x2)", [0, 0]),
    ],
)
def test_examples_in_both_directions(text: str, counts: list[int]) -> None:
    assert layout.parse(text) == counts
    assert layout.format(counts) == text


def test_parse_takes_runs_of_one_and_neighbours_that_are_equal() -> None:
    assert layout.parse("2(x1),2") == [2, 2]


@given(st.lists(st.integers(0, 4), max_size=30))
def test_parse_undoes_format(counts: list[int]) -> None:
    assert layout.parse(layout.format(counts)) == counts


@pytest.mark.parametrize(
    "text", ["2(x0)", "2(3)", "(x2)", "2,", ",2", "a", "-1", "2(x-1)", "1.5", "1(x4000000000)", "٢", "2 ,1"]
)
def test_parse_refuses_and_names_the_text(text: str) -> None:
    with pytest.raises(LayoutError) as caught:
        layout.parse(text)
    assert repr(text) in str(caught.value)


def test_format_refuses_negative_counts() -> None:
    with pytest.raises(LayoutError, match="-1"):
        layout.format([1, -1])


@given(st.text())
def test_parse_of_any_text_gives_counts_or_the_one_error(text: str) -> None:
    try:
        counts = layout.parse(text)
    except LayoutError:
        counts = []
    assert all(count >= 0 for count in counts)
