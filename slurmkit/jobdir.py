# ruff: noqa: PTH100, PTH102, PTH104, PTH106, PTH108, PTH112, PTH118, PTH120, PTH123, PTH208  (pathlib is slow to import)
"""The job directory: names, atomic writes, trusted reads, the journal and the results.

The runner imports this module once per rank, so it imports next to nothing itself (slurmkit.errors, for one, brings logging).
"""

from __future__ import annotations

import errno
import os
import pickle
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, BinaryIO

__all__ = [
    "ARGS",
    "CALLBACKS",
    "CLOCK_VARIABLE",
    "COMPLETED",
    "FUNCTION",
    "ITEMS",
    "JOB",
    "JOURNAL",
    "KWARGS",
    "OUTPUT",
    "SCRIPT",
    "STDERR",
    "STDOUT",
    "append_journal",
    "append_line",
    "create",
    "create_element",
    "element_dir",
    "first_failure",
    "is_pre_submission_id",
    "is_writable_in_script",
    "journal_name",
    "moment",
    "new_pre_submission_id",
    "open_trusted",
    "output_name",
    "read_job",
    "read_journal",
    "read_lines",
    "read_result",
    "read_trusted",
    "read_value",
    "remove",
    "replace",
    "result_attempt",
    "result_name",
    "result_ranks",
    "shared_dir",
    "write",
    "write_job",
    "write_result",
]

JOB = "job.json"
SCRIPT = "script.sh"
FUNCTION = "function.pkl"
ARGS = "args.pkl"
KWARGS = "kwargs.pkl"
ITEMS = "items.pkl"
CALLBACKS = "callbacks.pkl"
STDOUT = "stdout"
STDERR = "stderr"
JOURNAL = "journal.jsonl"
COMPLETED = "completed.jsonl"
OUTPUT = "output"
CLOCK_VARIABLE = "SLURMKIT_CLOCK"
"""In the environment of a job whose Slurm has a time of its own: the file that holds it."""

JOB_VERSION = 1
"""Version of the layout, in job.json."""


def new_pre_submission_id(now: float) -> str:
    """``20261123-204303-3f9a1c7e02b4``: UTC, then the fraction of the second (3 hex digits) and 36 random bits (9).

    Sorts by time, is a file name everywhere and needs no quoting in ``--comment``.
    """
    seconds = int(now)
    fraction = int((now - seconds) * 4096)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
    return f"{stamp}-{fraction:03x}{os.urandom(5).hex()[:9]}"


def moment(pre_submission_id: str) -> str:
    """The part of it that sorts by time."""
    return pre_submission_id[:19]


def is_pre_submission_id(text: str) -> bool:
    """Whether `text` looks like one of `new_pre_submission_id`, or like that of a further part of an array (``...-1``)."""
    digits = text[:8] + text[9:15]
    dash, number = text[28:29], text[29:]
    is_dashed = (
        text[8:9] == text[15:16] == "-" and len(text) >= 28 and (not dash or (dash == "-" and number.isdecimal()))
    )
    return is_dashed and digits.isdecimal() and all(char in "0123456789abcdef" for char in text[16:28])


def create(root: str | os.PathLike[str], pre_submission_id: str) -> str:
    """Make ``<root>/<pre_submission_id>/`` and its ``output/``, mode 0700; the absolute path.

    Raises `JobDirectoryError` when that is impossible, and leaves nothing behind then.
    """
    base = os.path.abspath(root)
    if not is_writable_in_script(base):
        raise _error(
            f"the job root {base!r} cannot be named in a batch script: it has a line break, NUL or a byte that is no UTF-8"
        )
    path = f"{base}/{pre_submission_id}"
    made: list[str] = []
    try:
        for directory in (*_missing(base), path, f"{path}/{OUTPUT}"):
            try:
                os.mkdir(directory, 0o700)
            except FileExistsError:
                if directory == path or not os.path.isdir(directory):
                    raise
            else:
                made.append(directory)
    except OSError as error:
        for directory in reversed(made):
            try:
                os.rmdir(directory)
            except OSError:  # somebody else's job went there in the meantime
                break
        raise _error(
            f"cannot make the job directory {path!r}: {error.strerror}: {error.filename!r}; "
            "choose another place with Cluster(job_root=...)"
        ) from error
    return path


def is_writable_in_script(path: str) -> bool:
    """Whether a batch script can name this path: it has no line break, no NUL and no byte that is no UTF-8."""
    return path.isprintable() or not any(char in "\n\r\0" or "\ud800" <= char <= "\udfff" for char in path)


def element_dir(job_dir: str, index: int | None) -> str:
    """``<job_dir>/<index>``, the directory of an array's element; that of a job itself when there is no index."""
    return job_dir if index is None else os.path.join(job_dir, f"{index}")


def shared_dir(job_dir: str, job: Mapping[str, Any]) -> str:
    """Where the function and the arguments of the job in `job_dir`, with this ``job.json``, are: an element shares those of its array."""
    return os.path.dirname(job_dir) if "array" in job else job_dir


def create_element(job_dir: str, index: int) -> str:
    """Make the directory of an array's element, and its ``output/``; it may be there. Raises OSError."""
    path = element_dir(job_dir, index)
    for directory in (path, os.path.join(path, OUTPUT)):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            continue
    return path


def _missing(path: str) -> list[str]:
    """The directories of `path` that do not exist, from the top."""
    missing: list[str] = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing[::-1]


def remove(job_dir: str | os.PathLike[str]) -> None:
    """Remove a job directory and everything in it, for a submission that did not come about."""
    import shutil

    shutil.rmtree(job_dir)


def write(job_dir: str | os.PathLike[str], name: str, data: bytes | str) -> None:
    """Write ``<job_dir>/<name>``, mode 0600, so that a reader sees all of it or nothing. Raises `JobDirectoryError`."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data

    def fill(descriptor: int) -> None:  # without a file object, which takes longer than all the rest
        left = memoryview(raw)
        while left:
            left = left[os.write(descriptor, left) :]

    _replace(job_dir, name, fill)


def replace(
    job_dir: str | os.PathLike[str], name: str, fill: Callable[[BinaryIO], object], *, durable: bool = False
) -> None:
    """Write ``<job_dir>/<name>`` by ``fill(file)``, mode 0600, so that a reader sees all of it or what was there before.

    Raises `JobDirectoryError`. `durable`: what is there after the return is there after a crash of this node, too.
    """

    def fill_descriptor(descriptor: int) -> None:
        with open(descriptor, "wb", closefd=False) as file:
            fill(file)
            if durable:
                file.flush()
                os.fsync(descriptor)

    _replace(job_dir, name, fill_descriptor)


def _replace(job_dir: str | os.PathLike[str], name: str, fill: Callable[[int], None]) -> None:
    directory = os.fspath(job_dir)
    path = f"{directory}/{name}"
    temporary = f"{directory}/.{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _error(f"cannot write {path!r}: {error.strerror}") from error
    try:
        try:
            fill(descriptor)
        finally:
            os.close(descriptor)  # where a file system tells of what it could not write, if it has not told before
        os.rename(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            raise _error(f"cannot write {path!r}: {error.strerror}") from error
        raise


def open_trusted(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading whose content can be unpickled: a plain file of our own user that nobody else can write.

    Raises FileNotFoundError when there is none, `JobDirectoryError` when it is not to be trusted or cannot be read.
    """
    name = os.fspath(path)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        words = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise _error(f"cannot read {name!r}: {words}") from error
    status = os.fstat(descriptor)
    problem = None
    if not stat.S_ISREG(status.st_mode):
        problem = "it is no plain file"
    elif status.st_uid != os.geteuid():
        problem = f"it belongs to user {status.st_uid}, not to {os.geteuid()}"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = f"others can write it (mode {stat.S_IMODE(status.st_mode):04o})"
    if problem:
        os.close(descriptor)
        raise _error(f"refusing to read {name!r}: {problem}, and reading a pickle runs what is in it")
    return open(descriptor, "rb")


def read_trusted(path: str | os.PathLike[str]) -> bytes:
    """The content of a file that `open_trusted` accepts."""
    with open_trusted(path) as file:
        return file.read()


def write_job(job_dir: str | os.PathLike[str], job: Mapping[str, Any]) -> None:
    """Write ``job.json``; `job` as in docs/design.md, without ``version``."""
    import json

    # A line for each entry. Not with `indent`, which would not be json's C code, and takes six times as long.
    write(job_dir, JOB, json.dumps({"version": JOB_VERSION, **job}, separators=(",\n ", ": ")) + "\n")


def read_job(job_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """``job.json``. Raises `JobDirectoryError` when it is missing, not to be trusted, damaged, or of a later version."""
    path = os.path.join(os.fspath(job_dir), JOB)
    try:
        job = _from_json(read_trusted(path).decode())
    except FileNotFoundError as error:
        raise _error(f"{os.fspath(job_dir)!r} is no job directory: it has no {JOB}") from error
    except ValueError as error:
        raise _error(f"{path!r} is damaged: {error}") from error
    version = job.get("version") if isinstance(job, dict) else None
    if version != JOB_VERSION:
        raise _error(f"{path!r} has version {version!r}, and this slurmkit reads version {JOB_VERSION}")
    return dict(job)


class _Scanning:
    """How `_json` is to read, as `json.JSONDecoder` says it by default."""

    strict = True
    object_hook = object_pairs_hook = parse_constant = None
    parse_float, parse_int = float, int


def _from_json(text: str) -> Any:
    """`json.loads`. A rank reads no other JSON, and all of json takes 1.4 ms to import: what is as `write_job` writes it is read by its C code
    alone."""
    try:
        from _json import make_scanner

        value, end = make_scanner(_Scanning)(text, 0)  # type: ignore[arg-type]
        if text[end:] == "\n":
            return value
    except (
        ImportError,
        AttributeError,
        TypeError,
        StopIteration,
        SystemError,
        ValueError,
    ):  # SystemError: damaged, before json is there
        pass  # a Python that has this otherwise, or damaged: json reads the one, and says what is wrong with the other
    import json

    return json.loads(text)


def journal_name(attempt: int) -> str:
    """The journal of an attempt. Each has its own: a run that goes on, on a node that Slurm has lost, does not write into that of the next one
    (two nodes that append to one file can overwrite each other on NFS)."""
    return f"journal.{attempt}.jsonl" if attempt else JOURNAL


def append_journal(job_dir: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Append a line to the journal of the attempt that `record` names. Raises `JobDirectoryError`."""
    append_line(job_dir, journal_name(record["attempt"]), record)


def read_journal(job_dir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of all attempts, in order; ``[]`` when there are none yet. Raises `JobDirectoryError`."""
    try:
        names = os.listdir(job_dir)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _error(f"cannot read {os.fspath(job_dir)!r}: {error.strerror}") from error
    attempts = {0} if JOURNAL in names else set()
    for name in names:
        head, _, rest = name.partition(".")
        number, _, tail = rest.partition(".")
        if head == "journal" and tail == "jsonl" and number.isdecimal():
            attempts.add(int(number))
    return [record for attempt in sorted(attempts) for record in read_lines(job_dir, journal_name(attempt))]


def append_line(job_dir: str | os.PathLike[str], name: str, record: Mapping[str, Any]) -> None:
    """Append one line to ``<job_dir>/<name>``, in one write. A line that an earlier writer left unfinished is ended first."""
    import json

    path = os.path.join(os.fspath(job_dir), name)
    line = json.dumps(record).encode() + b"\n"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _error(f"cannot write {path!r}: {error.strerror}") from error


def read_lines(job_dir: str | os.PathLike[str], name: str) -> list[dict[str, Any]]:
    """What `append_line` has written, in order; ``[]`` when there is no such file. What a killed writer left unfinished is left out."""
    import json

    try:
        lines = read_trusted(os.path.join(os.fspath(job_dir), name)).split(b"\n")
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def output_name(name: str, element: str | None) -> str:
    """The file for `name` (STDOUT, STDERR) of a job, or of the array's element with the job id `element`: in the array's directory, as
    Slurm makes files, but no directories."""
    return name if element is None else f"{name}.{element}"


def result_name(rank: int) -> str:
    return f"result.{rank}.pkl"


def result_ranks(job_dir: str | os.PathLike[str]) -> list[int]:
    """The ranks that have left a result, ascending."""
    ranks = []
    for name in os.listdir(job_dir):
        head, _, rest = name.partition(".")
        number, _, tail = rest.partition(".")
        if head == "result" and tail == "pkl" and number.isdecimal():
            ranks.append(int(number))
    return sorted(ranks)


def write_result(
    job_dir: str | os.PathLike[str],
    rank: int,
    header: Mapping[str, Any],
    dump_value: Callable[[BinaryIO], object] | None = None,
) -> None:
    """Write ``result.<rank>.pkl``: a pickle of `header` (plain values), then, for a status of "ok", the pickle that `dump_value` writes.

    The value goes straight to the file, however large it is. What `dump_value` raises comes out, and no file is left then.
    """

    def fill(file: BinaryIO) -> None:
        pickle.dump(dict(header), file, protocol=pickle.HIGHEST_PROTOCOL)
        if dump_value is not None:
            dump_value(file)

    replace(job_dir, result_name(rank), fill)


def read_result(job_dir: str | os.PathLike[str], rank: int) -> dict[str, Any] | None:
    """The header of a rank's result; None when that rank has left none. Raises `JobDirectoryError`, `ResultError`."""
    path = os.path.join(os.fspath(job_dir), result_name(rank))
    try:
        with open_trusted(path) as file:
            return _read_header(file, path)
    except FileNotFoundError:
        return None


def result_attempt(job_dir: str | os.PathLike[str], rank: int) -> int | None:
    """Which attempt has left a rank's result; None when there is none, or none that can be read."""
    try:
        header = read_result(job_dir, rank)
    except (OSError, RuntimeError):
        return None
    return None if header is None else header.get("attempt")


def read_value(job_dir: str | os.PathLike[str], rank: int, attempt: int = 0) -> Any:
    """What the function returned on this rank, in `attempt` or a later one.

    Raises `ResultError` when it is missing or cannot be unpickled, `JobDirectoryError`.
    """
    path = os.path.join(os.fspath(job_dir), result_name(rank))
    from slurmkit.errors import ResultError

    try:
        file = open_trusted(path)
    except FileNotFoundError as error:
        raise ResultError(f"rank {rank} has left no result: {path!r} does not exist") from error
    with file:
        header = _read_header(file, path)
        if header.get("attempt", attempt) < attempt:
            raise ResultError(
                f"rank {rank} has left no result in attempt {attempt}: {path!r} is of attempt {header['attempt']}"
            )
        if header["status"] != "ok":
            raise ResultError(
                f"rank {rank} has returned no value: {header['error_type']}: {header['error_message']} ({path!r})"
            )
        try:
            return pickle.load(file)
        except Exception as error:
            raise ResultError(f"the value in {path!r} cannot be unpickled: {type(error).__name__}: {error}") from error


def _read_header(file: BinaryIO, path: str) -> dict[str, Any]:
    try:
        header = pickle.load(file)
    except Exception as error:  # noqa: BLE001  (damaged data can raise anything; it is shown below)
        header = error
    if not isinstance(header, dict) or "status" not in header:
        from slurmkit.errors import ResultError

        raise ResultError(f"{path!r} is damaged: {header!r}")
    return header


def first_failure(results: Mapping[int, Mapping[str, Any]]) -> int | None:
    """The rank whose end is the job's: the first in time that raised or exited, then those that ask to be requeued, those that were terminated
    last; None: all are "ok"."""
    failed = [
        (header["error_type"] == "Terminated", header["status"] == "requeue", header["end_time"], rank)
        for rank, header in results.items()
        if header["status"] != "ok"
    ]
    return min(failed)[3] if failed else None


def _error(message: str) -> Exception:
    from slurmkit.errors import JobDirectoryError

    return JobDirectoryError(message)
