"""Slurm's answers as records: pure functions of the text.

Whatever the source, a record has the keys `FIELDS`, under scontrol's names and in scontrol's spelling: times are ``2026-01-02T03:04:05``
or ``Unknown``, elapsed times ``[D-]HH:MM:SS``, ``ExitCode`` is ``code:signal``, an empty text is what the source does not say.
Elements of an array that wait are one row of Slurm's: it is read as a record for each of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from sys import intern

from slurmkit.backends.base import Limits, Record
from slurmkit.slurm.durations import DurationError, format_elapsed, parse_elapsed
from slurmkit.slurm.jobid import JobIdError, elements_of
from slurmkit.slurm.states import ExitCode, base_state

__all__ = [
    "ACCOUNTING_FIELDS",
    "FIELDS",
    "QUEUE_FORMAT",
    "ParseError",
    "amended",
    "check_complete",
    "parse_accounting",
    "parse_limits",
    "parse_queue",
    "parse_show",
    "record",
    "token_of",
]

FIELDS = (
    "JobId",
    "JobName",
    "JobState",
    "Reason",
    "ExitCode",
    "Restarts",
    "Partition",
    "NodeList",
    "NumNodes",
    "NumCPUs",
    "SubmitTime",
    "StartTime",
    "EndTime",
    "RunTime",
    "TimeLimit",
    "Comment",
)

_QUEUE = {
    "JobArrayID": "JobId",
    "State": "JobState",
    "RestartCnt": "Restarts",
    "exit_code": "ExitCode",
    "Partition": "Partition",
    "NumNodes": "NumNodes",
    "NumCPUs": "NumCPUs",
    "SubmitTime": "SubmitTime",
    "StartTime": "StartTime",
    "EndTime": "EndTime",
    "TimeUsed": "RunTime",
    "TimeLimit": "TimeLimit",
    "NodeList": "NodeList",
    "Comment": "Comment",
    "Reason": "Reason",
    "Name": "JobName",
}
_ACCOUNTING = {
    "JobID": "JobId",
    "State": "JobState",
    "ExitCode": "ExitCode",
    "Partition": "Partition",
    "NNodes": "NumNodes",
    "NCPUS": "NumCPUs",
    "Submit": "SubmitTime",
    "Start": "StartTime",
    "End": "EndTime",
    "Elapsed": "RunTime",
    "Timelimit": "TimeLimit",
    "NodeList": "NodeList",
    "Reason": "Reason",
    "JobName": "JobName",
}

QUEUE_FORMAT = "|,".join(f"{field}:0" for field in _QUEUE)
"""For ``squeue --Format``. Width 0 prints a field at its own length, without the cut at 20 characters (measured on 22.05.8;
``_parse_long_token`` in src/squeue/opts.c has not changed since). What may hold the separator comes last."""

ACCOUNTING_FIELDS = ",".join([*_ACCOUNTING, "SubmitLine"])
"""For ``sacct --format``. There is no Restarts in 22.05, and a Comment only where the site stores it: the command line tells whose it is."""

_NOTHING = frozenset({"", "(null)", "N/A", "None assigned", "n/a"})
_NO_TIME = frozenset({"", "N/A", "NONE", "UNKNOWN", "(null)"})
_SHOWN = re.compile(
    r"(?:^|\s)(JobId|ArrayJobId|ArrayTaskId|JobState|Reason|ExitCode|Restarts|Partition|NodeList|NumNodes|NumCPUs|SubmitTime|StartTime|EndTime|RunTime|TimeLimit)=(\S*)"
)
_SUBMITTED = re.compile(r"/([^/]+)/script\.sh\b")
_SHOWN_BEGIN = re.compile(r"^JobId=", re.MULTILINE)  # a site's banner may come before it
_SHOWN_NAME = re.compile(
    r"^JobId=\S+ (?:ArrayJobId=\S+ ArrayTaskId=\S+ )?JobName=(.*) (?=UserId=\S+\([0-9]+\) GroupId=)"
)
_SHOWN_COMMENT = re.compile(r"\sComment=(.*?)\s+(?:SystemComment|StdErr|AdminComment|Extra)=")


class ParseError(ValueError):
    """The answer is cut off or garbled, so that what it lacks says nothing."""


class _Row(Mapping[str, str]):
    """A record: a tuple of texts, of which those of ten thousand jobs are mostly the same."""

    __slots__ = ("_texts",)

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts = texts

    def __getitem__(self, name: str) -> str:
        return self._texts[_POSITIONS[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(FIELDS)

    def __len__(self) -> int:
        return len(FIELDS)

    def __repr__(self) -> str:
        return repr(dict(self))

    def of(self, job_id: str) -> _Row:
        return _Row((job_id, *self._texts[1:]))


_POSITIONS = {name: number for number, name in enumerate(FIELDS)}


def amended(found: Record, **fields: str) -> Record:
    """The same record with other values of these fields, which are in scontrol's spelling."""
    texts = list(found._texts) if isinstance(found, _Row) else [found[name] for name in FIELDS]
    for name, text in fields.items():
        texts[_POSITIONS[name]] = text
    return _Row(tuple(texts))


def record(**fields: str) -> Record:
    """A record of `fields`, brought to scontrol's spelling; what is not given is empty."""
    return _row(fields)


def _row(fields: Mapping[str, str]) -> _Row:
    return _Row(tuple([spelled(fields.get(name, "")) for name, spelled in _SPELLED]))


# Ten thousand jobs have a few different states, sizes and exit codes between them.


@functools.lru_cache(1024)
def _state(text: str) -> str:
    return intern(str(base_state(text)))


@functools.lru_cache(1024)
def _exit_code(text: str) -> str:
    try:
        return intern(str(ExitCode.parse(text))) if text else ""
    except ValueError as error:
        raise ParseError(str(error)) from error


@functools.lru_cache(4096)
def _elapsed(text: str) -> str:
    try:
        return intern(format_elapsed(parse_elapsed(text)))
    except DurationError:
        return intern(text)


@functools.lru_cache(4096)
def _time(text: str) -> str:
    return "Unknown" if text.upper() in _NO_TIME else intern(text)


@functools.lru_cache(1024)
def _word(text: str) -> str:
    return "" if text in _NOTHING else intern(text)


def _text(text: str) -> str:
    return "" if text in _NOTHING else intern(text)


_SPELLING: dict[str, Callable[[str], str]] = {
    "JobState": _state,
    "ExitCode": _exit_code,
    **dict.fromkeys(("SubmitTime", "StartTime", "EndTime"), _time),
    **dict.fromkeys(("RunTime", "TimeLimit"), _elapsed),
    **dict.fromkeys(("Restarts", "NumNodes", "NumCPUs", "Partition", "NodeList"), _word),
    "Comment": _text,
}
_SPELLED = tuple((name, _SPELLING.get(name, intern)) for name in FIELDS)
"""Each of FIELDS, in their order, and how its text is brought to scontrol's spelling."""


def parse_queue(stdout: str, job_ids: Collection[str]) -> dict[str, Record]:
    """The records of those of `job_ids` that ``squeue --Format=QUEUE_FORMAT`` printed."""
    return _rows(stdout, job_ids, tuple(_QUEUE.values()), "squeue")


def parse_accounting(stdout: str, job_ids: Collection[str]) -> dict[str, Record]:
    """The records of those of `job_ids` that ``sacct --parsable2 --noheader --format=ACCOUNTING_FIELDS`` printed.

    The Comment is the token that is in the path of the script; of a job with another command line it is that.
    """
    return _rows(stdout, job_ids, (*_ACCOUNTING.values(), "Comment"), "sacct", _with_token)


def _with_token(values: list[str]) -> list[str]:
    """Name and command line come together, as both may hold the separator."""
    text = values[-1]
    name, found, line = text.rpartition("|sbatch ")
    if not found:
        name, _, line = text.rpartition("|")
    return [*values[:-1], name, token_of(line) or line]


def token_of(command_line: str) -> str | None:
    """The token of the job that this command line has submitted, which is in the path of its script; None when it is no job of slurmkit's."""
    found = _SUBMITTED.search(command_line)
    return None if found is None else found[1]


def check_complete(stdout: str, command: str) -> None:
    """Raise ParseError when the last line has no end: what is missing says nothing."""
    if stdout and not stdout.endswith("\n"):
        raise ParseError(f"the answer of {command} is cut off: it ends with {stdout[-60:]!r}")


def _rows(
    stdout: str,
    job_ids: Collection[str],
    names: tuple[str, ...],
    command: str,
    finish: Callable[[list[str]], list[str]] | None = None,
) -> dict[str, Record]:
    """`names`: the fields of a line; or of what `finish` makes of its values, of which there is one less.

    Lines that do not begin with the id of a job that was asked for are other jobs, banners, or the rest of a name with a line break.
    """
    check_complete(stdout, command)
    wanted = job_ids if isinstance(job_ids, frozenset | set | dict) else frozenset(job_ids)
    last = len(names) - (1 if finish is None else 2)
    found: dict[str, Record] = {}
    lines = stdout.split("\n")
    for start in range(0, len(lines), _AT_ONCE):
        owners: list[str | list[str]] = []
        table: list[list[str]] = []
        for line in lines[start : start + _AT_ONCE]:
            values = line.split("|", last)
            job_id = values[0]
            if len(values) == 1:
                continue
            several = _several(job_id, wanted) if job_id.endswith("]") else []
            if not several and job_id not in wanted:
                continue
            if len(values) <= last:
                raise ParseError(f"{command} answered with {len(values)} fields instead of {last + 1}: {line[:200]!r}")
            owners.append(several or job_id)
            table.append(values if finish is None else finish(values))
        for owner, row in zip(owners, _spelled_rows(table, names), strict=True):
            if isinstance(owner, str):
                found[owner] = row
            else:
                found.update((one, row.of(one)) for one in owner)
    return found


_AT_ONCE = 1_000
"""Lines of which all values are held at the same time."""


def _spelled_rows(table: list[list[str]], names: tuple[str, ...]) -> Iterator[_Row]:
    """The records of these rows of values, made column by column: in half of the time that it takes one by one."""
    columns = dict(zip(names, zip(*table, strict=True), strict=False))  # of no rows there are none
    nothing = ("",) * len(table)
    texts = [map(spelled, columns.get(name, nothing)) for name, spelled in _SPELLED]
    return map(_Row, zip(*texts, strict=True))


def _several(job_id: str, wanted: Collection[str]) -> list[str]:
    """The elements for which a row stands, as far as they are wanted."""
    try:
        return [intern(one) for one in elements_of(job_id) if one in wanted]
    except JobIdError:
        return []  # a banner


def parse_show(stdout: str) -> dict[str, Record]:
    """The records of what ``scontrol --oneliner show job ID`` printed: a job, or the elements of an array."""
    check_complete(stdout, "scontrol")
    found: dict[str, Record] = {}
    begin = _SHOWN_BEGIN.search(stdout)
    for line in _jobs_shown(stdout[begin.start() :].strip() if begin else stdout.strip()):
        row = _shown_row(line)
        job_id = row["JobId"]
        found.update(((one, row.of(one)) for one in elements_of(job_id)) if job_id.endswith("]") else [(job_id, row)])
    return found


def _jobs_shown(text: str) -> list[str]:
    """One text a job, of which the name or comment may have a line break."""
    return re.split(r"\n(?=JobId=[0-9]+ )", text)


def _shown_row(text: str) -> _Row:
    named = _SHOWN_NAME.match(text)
    rest = text if named is None else f"{text[: named.start(1)]} {text[named.end() :]}"
    fields = dict(reversed(_SHOWN.findall(rest)))
    if "JobId" not in fields or "JobState" not in fields:
        raise ParseError(f"scontrol answered with something that is no job: {text[:200]!r}")
    array, indices = fields.pop("ArrayJobId", ""), fields.pop("ArrayTaskId", "")
    if array:
        fields["JobId"] = f"{array}_{indices}" if indices.isdecimal() else f"{array}_[{indices}]"
    comment = _SHOWN_COMMENT.search(rest)
    return _row({**fields, "JobName": named[1] if named else "", "Comment": comment[1] if comment else ""})


_LIMITS = {"MaxArraySize": "max_array_size", "MaxJobCount": "max_job_count"}


def parse_limits(stdout: str) -> Limits:
    """Of ``scontrol show config``."""
    check_complete(stdout, "scontrol")
    lines = (line.split() for line in stdout.splitlines())
    found = {_LIMITS[words[0]]: int(words[2]) for words in lines if len(words) == 3 and words[0] in _LIMITS}
    if len(found) < len(_LIMITS):
        raise ParseError(f"scontrol show config says nothing of {' or '.join(_LIMITS)}: {stdout[:200]!r}")
    return Limits(**found)
