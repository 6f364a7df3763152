"""How items become submissions, and what is in items.pkl."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit import JobDirectoryError, NotPicklable, items
from slurmkit.parts import Part, split
from slurmkit.slurm.jobid import array_of, elements_of, parse_array_spec, render_indices


@given(st.sets(st.integers(0, 5000), min_size=1))
def test_indices_are_written_as_slurm_reads_them(indices: set[int]) -> None:
    text = render_indices(sorted(indices))
    assert parse_array_spec(text).indices == tuple(sorted(indices))
    assert elements_of(f"7_[{text}%3]") == [f"7_{index}" for index in sorted(indices)]
    assert {array_of(one) for one in elements_of(f"7_[{text}]")} == {"7"}


def test_neighbours_are_a_range() -> None:
    assert render_indices([0, 1, 2, 7, 9, 10]) == "0-2,7,9-10"
    assert array_of("12") == "12"


numbers = st.sets(st.integers(0, 300), min_size=1).map(sorted)


@given(numbers, st.integers(0, 50), st.none() | st.integers(1, 20))
def test_each_item_is_in_one_part_within_the_sites_limit(
    wanted: list[int], max_array_size: int, max_concurrent: int | None
) -> None:
    parts = split(wanted, "tok", max_array_size=max_array_size, max_concurrent=max_concurrent)
    assert [number for part in parts for number in part.numbers] == wanted
    assert len({part.token for part in parts}) == len(parts)
    for place, part in enumerate(parts):
        assert part.is_array == (max_array_size > 0)
        if part.is_array:
            assert 0 <= part.numbers[0] - part.first <= part.numbers[-1] - part.first < max_array_size
        else:
            assert len(part.numbers) == 1
        assert part.after is None or part.after < place
        assert Part.read(part.record()).record() == part.record()
    if max_concurrent is None:
        assert all(part.after is None for part in parts)


@given(numbers, st.integers(0, 50), st.integers(1, 20))
def test_parts_that_may_run_at_once_keep_the_limit(wanted: list[int], max_array_size: int, max_concurrent: int) -> None:
    """Parts that do not wait for one another, however indirectly, are as many lanes; each runs at most what its own limit lets it."""
    parts = split(wanted, "tok", max_array_size=max_array_size, max_concurrent=max_concurrent)
    lanes = sum(part.after is None for part in parts)
    assert lanes * (max_concurrent if max_array_size else 1) <= max_concurrent
    followed = [part.after for part in parts if part.after is not None]
    assert len(followed) == len(set(followed)), "no two wait for the same one"


def test_names_of_a_part() -> None:
    first, second = split(range(5), "tok", max_array_size=3, max_concurrent=4)
    assert (first.spec(4), second.spec(None), second.token, second.after) == ("0-2%4", "0-1", "tok-1", 0)
    second = Part.read({**second.record(), "job_id": "9"})
    assert [second.element(number) for number in second.numbers] == ["9_0", "9_1"]
    assert (second.named([4]), second.named([3, 4])) == ("9_[1]", "9")
    assert second.index == "$((SLURM_ARRAY_TASK_ID + 3))"
    (_, alone) = split(range(2), "tok", max_array_size=0, max_concurrent=None)
    alone = Part.read({**alone.record(), "job_id": "9"})
    assert (alone.element(1), alone.named([1]), alone.index) == ("9", "9", "1")


# --- items.pkl --------------------------------------------------------------------------------------------------------


@given(values=st.lists(st.one_of(st.none(), st.binary(), st.text(), st.lists(st.integers()))))
def test_items_come_back_one_by_one(values: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("items")
    items.write(directory, values)
    assert [items.read(directory, number) for number in range(len(values))] == values
    for number in (-1, len(values)):
        with pytest.raises(ValueError, match=f"has no item {number}: it has {len(values)}"):
            items.read(directory, number)


class Explosive:
    """Unpickling it is seen."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("unpickled",)


def test_an_element_reads_its_own_item_alone(tmp_path: Path) -> None:
    items.write(tmp_path, ["mine", Explosive()])
    assert items.read(tmp_path, 0) == "mine"
    content = (tmp_path / "items.pkl").read_bytes()
    assert content.startswith(pickle.dumps("mine", protocol=5))


def test_an_item_that_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotPicklable, match=r"items\[2\]"):
        items.write(tmp_path, [1, 2, {"lock": threading.Lock()}, 4])
    assert list(tmp_path.iterdir()) == []


def test_items_of_others_are_not_read(tmp_path: Path) -> None:
    items.write(tmp_path, [1])
    (tmp_path / "items.pkl").chmod(0o666)
    with pytest.raises(JobDirectoryError, match="others can write it"):
        items.read(tmp_path, 0)
