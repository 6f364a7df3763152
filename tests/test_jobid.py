"""Job ids and array specifications; what Slurm makes of the specifications was measured on 22.05.8."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit.slurm.jobid import MAX_ARRAY_INDEX, ArraySpec, JobId, JobIdError, parse_array_spec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123", JobId(123)),
        ("123_4", JobId(123, array_task=4)),
        ("123_[1,3,5%2]", JobId(123, array_expression="1,3,5%2")),
        ("123_[1-9,...]", JobId(123, array_expression="1-9,...")),
        ("123+1", JobId(123, het_offset=1)),
        ("123.batch", JobId(123, step="batch")),
        ("123.extern", JobId(123, step="extern")),
        ("123.0", JobId(123, step="0")),
        ("123_4.0", JobId(123, array_task=4, step="0")),
        ("123+1.2", JobId(123, het_offset=1, step="2")),
        ("123;cluster", JobId(123, cluster="cluster")),
        ("123_4.0;c-1", JobId(123, array_task=4, step="0", cluster="c-1")),
    ],
)
def test_forms_in_both_directions(text: str, expected: JobId) -> None:
    assert JobId.parse(text) == expected
    assert str(expected) == text


def test_a_number_is_a_job_id_and_blanks_around_it_do_not_matter() -> None:
    assert JobId.parse(7) == JobId.parse(" 7\n") == JobId(7)


@pytest.mark.parametrize(
    "text", ["", "abc", "-1", "1_", "1_[", "1_[]", "1 2", "1;", "1.", "1_2_3", "1_2+3", "٣", "1_[a]"]
)
def test_parse_refuses_and_names_the_text(text: str) -> None:
    with pytest.raises(JobIdError) as caught:
        JobId.parse(text)
    assert repr(text) in str(caught.value)


naturals = st.integers(0, 2**31)
qualifiers = st.one_of(
    st.just({}),
    st.builds(lambda task: {"array_task": task}, naturals),
    st.builds(lambda offset: {"het_offset": offset}, naturals),
    st.sampled_from([{"array_expression": "1-3"}, {"array_expression": "0,2-8:2%3"}]),
)
steps = st.one_of(st.none(), st.sampled_from(["batch", "extern", "interactive"]), naturals.map(str))
clusters = st.one_of(st.none(), st.sampled_from(["c", "my-cluster_2"]))


@given(naturals, qualifiers, steps, clusters)
def test_parse_undoes_str(job: int, qualifier: dict[str, object], step: str | None, cluster: str | None) -> None:
    value = JobId(job, **qualifier, step=step, cluster=cluster)  # type: ignore[arg-type]
    assert JobId.parse(str(value)) == value


@pytest.mark.parametrize(
    ("text", "indices", "limit"),
    [
        ("0", (0,), None),
        ("0-3", (0, 1, 2, 3), None),
        ("0-15:4", (0, 4, 8, 12), None),
        ("0-15:4%2", (0, 4, 8, 12), 2),
        ("0,6,16-18", (0, 6, 16, 17, 18), None),
        ("3,1,2", (1, 2, 3), None),
        ("1,1", (1,), None),
        ("1-5:2,8%2", (1, 3, 5, 8), 2),
        ("1-3%0", (1, 2, 3), None),
        ("[0-3%2]", (0, 1, 2, 3), 2),
        ("[0-3]%2", (0, 1, 2, 3), 2),
        ("1,2%1,3", (1, 2, 3), 1),
        ("%2", (0,), 2),
        ("1,,2,", (1, 2), None),
        (" 01", (1,), None),
    ],
)
def test_array_specifications_that_slurm_takes(text: str, indices: tuple[int, ...], limit: int | None) -> None:
    assert parse_array_spec(text) == ArraySpec(indices, limit)


@pytest.mark.parametrize(
    "text",
    ["", "5-2", "a", "1-", "-1", "1:2", "1-5:0", "1-3-5", "0x3", "1 ", "1.5", "1]2", "1-3:2:1", "1,5-2", "0-4000001"],
)
def test_array_specifications_that_are_refused(text: str) -> None:
    with pytest.raises(JobIdError) as caught:
        parse_array_spec(text)
    assert repr(text) in str(caught.value)


@given(st.sets(st.integers(0, 60), min_size=1), st.one_of(st.none(), st.integers(1, 100)))
def test_a_list_of_indices_is_what_it_says(indices: set[int], limit: int | None) -> None:
    text = ",".join(map(str, indices)) + (f"%{limit}" if limit else "")
    assert parse_array_spec(text) == (tuple(sorted(indices)), limit)


def test_the_largest_index() -> None:
    assert parse_array_spec(str(MAX_ARRAY_INDEX)).indices == (MAX_ARRAY_INDEX,)
