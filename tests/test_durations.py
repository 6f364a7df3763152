"""Times: limits as sbatch 22.05.8 took them, elapsed times and time stamps as the commands print them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit.slurm.durations import (
    MAX_MINUTES,
    DurationError,
    format_elapsed,
    format_squeue_elapsed,
    format_time_limit,
    format_timestamp,
    parse_elapsed,
    parse_minutes,
    parse_timestamp,
)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("1", "00:01:00"),
        (90, "01:30:00"),
        ("1:0", "00:01:00"),
        ("1:1", "00:02:00"),
        ("0:59", "00:01:00"),
        ("1:61", "00:03:00"),
        ("00:30", "00:01:00"),
        ("0:0:1", "00:01:00"),
        ("1:1:1", "01:02:00"),
        ("25:0:0", "1-01:00:00"),
        ("1-0", "1-00:00:00"),
        ("1-25", "2-01:00:00"),
        ("1-2:60", "1-03:00:00"),
        ("1-1:1:1", "1-01:02:00"),
        ("0-0:0:30", "00:01:00"),
        ("365-0", "365-00:00:00"),
        (str(MAX_MINUTES), "24855-03:13:00"),
        ("UNLIMITED", "UNLIMITED"),
        ("infinite", "UNLIMITED"),
        ("0", "UNLIMITED"),
        ("0-0", "UNLIMITED"),
        (0, "UNLIMITED"),
        (timedelta(hours=1), "01:00:00"),
        (timedelta(seconds=61), "00:02:00"),
        (timedelta(microseconds=1), "00:01:00"),
    ],
)
def test_limits(value: str | int | timedelta, limit: str) -> None:
    assert format_time_limit(parse_minutes(value)) == limit


REFUSED_TEXTS = ["", "1.5", "1h", "-1", "1-", "1:", ":1", "1-2:", "1:2:3:4", "1-2:3:4:5", "+1", "0x1", "UNLIM", "٣"]
TOO_LONG = [MAX_MINUTES + 1, str(MAX_MINUTES + 1), "99999999:0:0"]


@pytest.mark.parametrize("value", [*REFUSED_TEXTS, *TOO_LONG, -1, timedelta(seconds=-1), True, 1.5, None])
def test_limits_that_are_refused(value: object) -> None:
    with pytest.raises(DurationError) as caught:
        parse_minutes(value)  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


@given(st.integers(1, MAX_MINUTES))
def test_every_printed_limit_is_read_back(minutes: int) -> None:
    assert parse_minutes(format_time_limit(minutes)) == minutes == parse_minutes(timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("seconds", "squeue", "others"),
    [
        (0, "0:00", "00:00:00"),
        (5, "0:05", "00:00:05"),
        (65, "1:05", "00:01:05"),
        (3723, "1:02:03", "01:02:03"),
        (93784, "1-02:03:04", "1-02:03:04"),
        (365 * 86400, "365-00:00:00", "365-00:00:00"),
    ],
)
def test_elapsed(seconds: int, squeue: str, others: str) -> None:
    assert format_squeue_elapsed(seconds) == squeue
    assert format_elapsed(seconds) == others
    assert parse_elapsed(squeue) == parse_elapsed(others) == seconds


def test_squeue_prints_no_time_above_a_year() -> None:
    assert format_squeue_elapsed(365 * 86400 + 1) == "INVALID"


@given(st.integers(0, 365 * 86400))
def test_parse_elapsed_undoes_both_formats(seconds: int) -> None:
    assert parse_elapsed(format_elapsed(seconds)) == parse_elapsed(format_squeue_elapsed(seconds)) == seconds


def test_fractions_of_sacct_are_dropped() -> None:
    assert parse_elapsed("00:01.234") == 1


@pytest.mark.parametrize("text", ["", "INVALID", "5", "1-00", "a:b", "-1:00", "N/A"])
def test_elapsed_times_that_are_refused(text: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_elapsed(text)
    assert repr(text) in str(caught.value)


def test_negative_elapsed_times_are_refused() -> None:
    with pytest.raises(DurationError, match="-1"):
        format_elapsed(-1)


def test_time_stamps_are_local() -> None:
    expected = datetime(2026, 1, 2, 3, 4, 5).timestamp()
    assert parse_timestamp("2026-01-02T03:04:05") == expected
    assert format_timestamp(expected) == "2026-01-02T03:04:05"
    assert format_timestamp(expected + 0.9) == "2026-01-02T03:04:05"


@pytest.mark.parametrize("text", ["Unknown", "None", "N/A", "", " unknown "])
def test_words_for_no_time(text: str) -> None:
    assert parse_timestamp(text) is None


def test_no_time_is_unknown() -> None:
    assert format_timestamp(None) == "Unknown"


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01T00:00:00", "2026-01-01", "12:00:00"])
def test_time_stamps_that_are_refused(text: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_timestamp(text)
    assert repr(text) in str(caught.value)


@given(st.integers(0, 2**32))
def test_time_stamps_are_read_back(when: int) -> None:
    again = parse_timestamp(format_timestamp(when))
    assert again is not None
    assert format_timestamp(again) == format_timestamp(when)
