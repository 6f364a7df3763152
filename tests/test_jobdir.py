"""The job directory: made whole or not at all, written atomically, read with distrust."""

from __future__ import annotations

import json
import os
import pickle
import re
import stat
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit import jobdir
from slurmkit.errors import JobDirectoryError, ResultError, SlurmkitError

NOW = 1_795_461_119.25


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refuse_as_root() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")


def tree(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_pre_submission_id() -> None:
    token = jobdir.new_pre_submission_id(NOW)
    assert re.fullmatch(r"20261123-191159-400[0-9a-f]{9}", token)
    assert len({jobdir.new_pre_submission_id(NOW) for _ in range(100)}) == 100


@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=20))
def test_pre_submission_ids_sort_by_time(times: list[float]) -> None:
    times = sorted({round(moment * 1000) / 1000 for moment in times})
    tokens = [jobdir.new_pre_submission_id(moment) for moment in times]
    assert [token[:19] for token in tokens] == sorted(token[:19] for token in tokens)
    assert all(re.fullmatch(r"[0-9a-f-]+", token) for token in tokens)
    assert all(jobdir.is_pre_submission_id(token) for token in tokens)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tok",
        "20261123-204303-3f9a1c7e02b",
        "20261123-204303-3f9a1c7e02b41",
        "20261123_204303-3f9a1c7e02b4",
        "20261123-204303_3f9a1c7e02b4",
        "2026112x-204303-3f9a1c7e02b4",
        "20261123-20430x-3f9a1c7e02b4",
        "20261123-204303-3f9a1c7e02bX",
    ],
)
def test_what_is_no_pre_submission_id(text: str) -> None:
    assert not jobdir.is_pre_submission_id(text)


def test_create(tmp_path: Path) -> None:
    previous = os.umask(0o002)
    try:
        path = Path(jobdir.create(tmp_path / "a" / "b", "20261123-1"))
    finally:
        os.umask(previous)
    assert path == tmp_path / "a" / "b" / "20261123-1"
    assert tree(tmp_path) == ["a", "a/b", "a/b/20261123-1", "a/b/20261123-1/output"]
    assert [mode(found) for found in (tmp_path / "a", tmp_path / "a" / "b", path, path / "output")] == [0o700] * 4


def test_create_makes_relative_roots_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert jobdir.create("jobs", "1") == str(tmp_path / "jobs" / "1")


def test_create_twice_is_refused(tmp_path: Path) -> None:
    jobdir.create(tmp_path, "1")
    jobdir.write(tmp_path / "1", "kept", b"")
    with pytest.raises(JobDirectoryError, match="File exists") as caught:
        jobdir.create(tmp_path, "1")
    assert "job_root" in str(caught.value)
    assert tree(tmp_path) == ["1", "1/kept", "1/output"]


def test_create_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobDirectoryError, match=re.escape(str(tmp_path / "file"))):
        jobdir.create(tmp_path / "file" / "jobs", "1")
    assert tree(tmp_path) == ["file"]


def test_create_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last directory fails: those made before it are gone again."""
    mkdir = os.mkdir

    def full(path: str, mode: int = 0o777) -> None:
        if path.endswith("output"):
            raise OSError(28, "No space left on device", path)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(JobDirectoryError, match=r"No space left on device.*output.*choose another place"):
        jobdir.create(tmp_path / "a" / "b", "1")
    assert tree(tmp_path) == []


def test_create_without_permission(tmp_path: Path) -> None:
    refuse_as_root()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(JobDirectoryError, match="Permission denied"):
            jobdir.create(tmp_path / "jobs", "1")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\0b", "a\udcffb"])
def test_roots_that_no_script_can_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobDirectoryError, match="cannot be named in a batch script"):
        jobdir.create(tmp_path / name, "1")
    assert tree(tmp_path) == []


def test_write(tmp_path: Path) -> None:
    jobdir.write(tmp_path, "x", "text ü\n")
    jobdir.write(tmp_path, "y", b"\0bytes")
    assert (tmp_path / "x").read_text() == "text ü\n"
    assert (tmp_path / "y").read_bytes() == b"\0bytes"
    assert mode(tmp_path / "x") == 0o600
    assert tree(tmp_path) == ["x", "y"]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    jobdir.write_result(tmp_path, 0, {"status": "ok"}, lambda file: file.write(b"old"))

    def fail(file: BinaryIO) -> None:
        file.write(b"new")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        jobdir.write_result(tmp_path, 0, {"status": "ok"}, fail)
    assert tree(tmp_path) == ["result.0.pkl"]
    assert (tmp_path / "result.0.pkl").read_bytes().endswith(b"old")


def test_a_full_disk(tmp_path: Path) -> None:
    def full(file: BinaryIO) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(JobDirectoryError, match=r"cannot write .*result\.3\.pkl.*No space left"):
        jobdir.write_result(tmp_path, 3, {"status": "ok"}, full)
    assert tree(tmp_path) == []


def test_write_into_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(JobDirectoryError, match=r"cannot write .*gone/x.*No such file"):
        jobdir.write(tmp_path / "gone", "x", b"")


def test_read_trusted(tmp_path: Path) -> None:
    jobdir.write(tmp_path, "x", b"data")
    assert jobdir.read_trusted(tmp_path / "x") == b"data"
    (tmp_path / "x").chmod(0o644)
    assert jobdir.read_trusted(tmp_path / "x") == b"data"
    with pytest.raises(FileNotFoundError):
        jobdir.read_trusted(tmp_path / "y")


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_not_read(tmp_path: Path, bits: int) -> None:
    jobdir.write(tmp_path, "x", b"data")
    (tmp_path / "x").chmod(bits)
    with pytest.raises(JobDirectoryError, match=rf"refusing to read .*others can write it \(mode {bits:04o}\)"):
        jobdir.read_trusted(tmp_path / "x")


def test_what_belongs_to_somebody_else_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobdir.write(tmp_path, "x", b"data")
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(JobDirectoryError, match=rf"it belongs to user {own}, not to {own + 1}"):
        jobdir.read_trusted(tmp_path / "x")


def test_links_pipes_and_directories_are_not_read(tmp_path: Path) -> None:
    jobdir.write(tmp_path, "x", b"data")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "dir").mkdir(0o700)
    for name, words in (
        ("link", "it is a symbolic link"),
        ("pipe", "it is no plain file"),
        ("dir", "it is no plain file"),
    ):
        with pytest.raises(JobDirectoryError, match=words):
            jobdir.read_trusted(tmp_path / name)


def test_job_json(tmp_path: Path) -> None:
    job = {"job_id": None, "sys_path": ["/a b", "/ü", "/not utf-8 \udcff"], "inject": ["job"]}
    jobdir.write_job(tmp_path, job)
    assert jobdir.read_job(tmp_path) == {"version": 1, **job}
    jobdir.write_job(tmp_path, job | {"job_id": "7"})
    assert jobdir.read_job(tmp_path)["job_id"] == "7"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is no job directory: it has no job.json"),
        (b"{", "is damaged"),
        (b"\xff", "is damaged"),
        (b"[]", "has version None"),
        (b'{"version": 2}', "has version 2, and this slurmkit reads version 1"),
    ],
)
def test_damaged_job_json(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        jobdir.write(tmp_path, "job.json", content)
    with pytest.raises(JobDirectoryError, match=words):
        jobdir.read_job(tmp_path)


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists), max_size=5)
)
def test_job_json_is_read_as_json_reads_it(job: dict[str, Any]) -> None:
    job.pop("version", None)
    with tempfile.TemporaryDirectory() as directory:
        jobdir.write_job(directory, job)
        written = (Path(directory) / "job.json").read_text()
        job["version"] = 1
        jobdir.write(directory, "job.json", json.dumps(job, indent=1))  # as somebody else may have written it
        for text in (written, (Path(directory) / "job.json").read_text()):
            jobdir.write(directory, "job.json", text)
            assert repr(jobdir.read_job(directory)) == repr(
                json.loads(text)
            )  # by repr, as a NaN is not equal to itself


RECORDS = st.lists(st.dictionaries(st.text(), st.none() | st.integers() | st.text()), max_size=5)


@given(RECORDS, st.data())
def test_a_torn_journal_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Whatever a killed writer has left of its last line, what came before it and what comes after it is read."""
    directory = tmp_path_factory.mktemp("journal")
    assert jobdir.read_lines(directory, "journal.jsonl") == []
    for record in records:
        jobdir.append_line(directory, "journal.jsonl", record)
    assert jobdir.read_lines(directory, "journal.jsonl") == records
    journal = directory / "journal.jsonl"
    torn = json.dumps({"event": "completed", "time": 1.5}).encode()
    torn = torn[: data.draw(st.integers(1, len(torn) - 1))]
    journal.write_bytes((journal.read_bytes() if records else b"") + torn)
    journal.chmod(0o600)
    assert jobdir.read_lines(directory, "journal.jsonl") == records
    jobdir.append_line(directory, "journal.jsonl", {"event": "started"})
    assert jobdir.read_lines(directory, "journal.jsonl") == [*records, {"event": "started"}]


def test_each_attempt_has_its_own_journal(tmp_path: Path) -> None:
    """They are read as one, in the order of the attempts, whenever a line was written."""
    assert jobdir.read_journal(tmp_path / "gone") == jobdir.read_journal(tmp_path) == []
    written = [
        {"event": event, "attempt": attempt}
        for attempt, event in [(0, "started"), (10, "started"), (2, "started"), (2, "completed"), (0, "completed")]
    ]
    for record in written:
        jobdir.append_journal(tmp_path, record)
    (tmp_path / "journal.x.jsonl").touch()
    (tmp_path / "journal.3.pkl").touch()
    assert jobdir.read_journal(tmp_path) == sorted(written, key=lambda record: record["attempt"])
    assert jobdir.read_lines(tmp_path, "journal.jsonl") == [written[0], written[4]]
    assert jobdir.read_lines(tmp_path, "journal.2.jsonl") == written[2:4]


def test_the_journal_of_somebody_else(tmp_path: Path) -> None:
    jobdir.append_journal(tmp_path, {"event": "started", "attempt": 0})
    assert mode(tmp_path / "journal.jsonl") == 0o600
    (tmp_path / "journal.jsonl").chmod(0o666)
    with pytest.raises(JobDirectoryError, match="others can write it"):
        jobdir.read_journal(tmp_path)
    with pytest.raises(JobDirectoryError, match=r"cannot write .*journal\.jsonl"):
        jobdir.append_journal(tmp_path / "gone", {"attempt": 0})
    (tmp_path / "file").touch()
    with pytest.raises(JobDirectoryError, match=r"cannot read .*file': Not a directory"):
        jobdir.read_journal(tmp_path / "file")


OK = {"status": "ok", "error_type": None, "error_message": None, "end_time": 3.0}
ERROR = {"status": "error", "error_type": "ValueError", "error_message": "no", "end_time": 2.0}


def test_results(tmp_path: Path) -> None:
    jobdir.write_result(tmp_path, 10, OK, lambda file: pickle.dump([1, 2], file))
    jobdir.write_result(tmp_path, 9, ERROR)
    jobdir.write(tmp_path, "result.x.pkl", b"")
    jobdir.write(tmp_path, "result.1.pkl.tmp", b"")
    assert jobdir.result_ranks(tmp_path) == [9, 10]
    assert jobdir.read_result(tmp_path, 10) == OK
    assert jobdir.read_value(tmp_path, 10) == [1, 2]
    assert jobdir.read_result(tmp_path, 9) == ERROR
    assert jobdir.read_result(tmp_path, 0) is None
    with pytest.raises(ResultError, match="rank 9 has returned no value: ValueError: no"):
        jobdir.read_value(tmp_path, 9)
    with pytest.raises(ResultError, match="rank 0 has left no result"):
        jobdir.read_value(tmp_path, 0)


def test_a_header_is_read_without_its_value(tmp_path: Path) -> None:
    """The value may be large, and unpickling it runs code of the user's."""
    jobdir.write_result(tmp_path, 0, OK, lambda file: file.write(b"no pickle"))
    assert jobdir.read_result(tmp_path, 0) == OK
    with pytest.raises(ResultError, match=r"the value in '.*result\.0\.pkl' cannot be unpickled: "):
        jobdir.read_value(tmp_path, 0)


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps("text"), pickle.dumps({})])
def test_damaged_results_name_the_file(tmp_path: Path, content: bytes) -> None:
    jobdir.write(tmp_path, "result.0.pkl", content)
    for read in (jobdir.read_result, jobdir.read_value):
        with pytest.raises(ResultError, match=r"result\.0\.pkl' is damaged"):
            read(tmp_path, 0)


def test_untrusted_results(tmp_path: Path) -> None:
    jobdir.write_result(tmp_path, 0, OK, lambda file: pickle.dump(1, file))
    (tmp_path / "result.0.pkl").chmod(0o606)
    for read in (jobdir.read_result, jobdir.read_value):
        with pytest.raises(SlurmkitError, match="refusing to read"):
            read(tmp_path, 0)


def failed(moment: float, error_type: str = "ValueError") -> dict[str, Any]:
    return ERROR | {"end_time": moment, "error_type": error_type}


@pytest.mark.parametrize(
    ("headers", "rank"),
    [
        ({}, None),
        ({0: OK, 1: OK}, None),
        ({0: OK, 1: failed(5.0)}, 1),
        ({0: failed(6.0), 1: failed(5.0)}, 1),
        ({0: failed(5.0), 1: failed(5.0)}, 0),
        ({0: failed(1.0, "Terminated"), 1: failed(5.0)}, 1),
        ({0: failed(2.0, "Terminated"), 1: failed(1.0, "Terminated")}, 1),
        ({0: OK, 1: OK | {"status": "exit"}}, 1),
    ],
)
def test_first_failure(headers: dict[int, dict[str, Any]], rank: int | None) -> None:
    assert jobdir.first_failure(headers) == rank


def test_remove(tmp_path: Path) -> None:
    path = Path(jobdir.create(tmp_path, "1"))
    jobdir.write(path, "x", b"")
    jobdir.remove(path)
    assert tree(tmp_path) == []
