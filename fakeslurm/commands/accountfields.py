"""The columns of sacct: their names, widths, and how each kind of value fits its width. Measured on Slurm 22.05.8, 24.11.5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from fakeslurm.commands.columns import fit
from fakeslurm.commands.jobtexts import NEW

__all__ = [
    "BRIEF",
    "DEFAULT",
    "FIELDS",
    "LONG",
    "AccountColumn",
    "FieldError",
    "Fields",
    "Sheet",
    "columns",
    "help_text",
]

Kind = Literal["text", "number", "date"]
"""Too long for its width, a text is cut and ends with a plus, a number (or a duration) overflows, a date is cut.
A number that is not there is a blank, which has a place of its own also where the width is 0."""

_TEXTS = (
    "Account:10 AdminComment:15 AllocNodes:10 AllocTRES:10 AveCPU:10 AveCPUFreq:10 AveDiskRead:14 AveDiskWrite:14 "
    "AvePages:10 AveRSS:10 AveVMSize:10 BlockID:16 Cluster:10 Comment:14 Constraints:19 ConsumedEnergy:14 "
    "Container:19 DerivedExitCode:15 ExitCode:8 Flags:19 Group:9 JobID:-12 JobIDRaw:-12 JobName:10 Layout:9 "
    "MaxDiskRead:12 MaxDiskReadNode:15 MaxDiskWrite:12 MaxDiskWriteNode:16 MaxPages:8 MaxPagesNode:12 MaxRSS:10 "
    "MaxRSSNode:10 MaxVMSize:10 MaxVMSizeNode:14 McsLabel:12 MinCPU:10 MinCPUNode:10 NodeList:15 Partition:10 "
    "QOS:10 Reason:22 ReqCPUFreq:10 ReqCPUFreqGov:13 ReqCPUFreqMax:13 ReqCPUFreqMin:13 ReqMem:10 ReqNodes:8 "
    "ReqTRES:10 Reservation:20 State:10 SubmitLine:20 SystemComment:15 SystemCPU:10 Timelimit:10 TimelimitRaw:10 "
    "TotalCPU:10 TRESUsageInAve:14 TRESUsageInMax:14 TRESUsageInMaxNode:18 TRESUsageInMaxTask:18 TRESUsageInMin:14 "
    "TRESUsageInMinNode:18 TRESUsageInMinTask:18 TRESUsageInTot:14 TRESUsageOutAve:15 TRESUsageOutMax:15 "
    "TRESUsageOutMaxNode:19 TRESUsageOutMaxTask:19 TRESUsageOutMin:15 TRESUsageOutMinNode:19 TRESUsageOutMinTask:19 "
    "TRESUsageOutTot:15 User:9 UserCPU:10 WCKey:10 WorkDir:20"
)
_NUMBERS = (
    "AllocCPUS:10 AssocID:7 ConsumedEnergyRaw:17 CPUTime:10 CPUTimeRAW:10 DBIndex:-10 Elapsed:10 ElapsedRaw:10 GID:6 "
    "MaxDiskReadTask:15 MaxDiskWriteTask:16 MaxPagesTask:14 MaxRSSTask:10 MaxVMSizeTask:14 MinCPUTask:10 NCPUS:10 "
    "NNodes:8 NTasks:8 Priority:10 QOSRAW:6 ReqCPUS:8 ReservationId:8 Reserved:10 ResvCPU:10 ResvCPURAW:10 "
    "Suspended:10 UID:6 WCKeyID:10"
)
_DATES = "Eligible:19 End:19 Start:19 Submit:19"


_NEW_TEXTS = "Extra:14 FailedNode:8 Licenses:10 QOSREQ:10 SLUID:14 StdErr:20 StdIn:20 StdOut:20"
_NEW_NUMBERS = "DBIndex:-21 Planned:10 PlannedCPU:10 PlannedCPURAW:13 Restarts:8"
_GONE = frozenset({"Reserved", "ResvCPU", "ResvCPURAW"})

Fields = Mapping[str, tuple[int, Kind]]
"""Width and kind of every field, in the order of ``--helpformat`` and of ``--format=all``."""


def _table(texts: str, numbers: str) -> Fields:
    kinds: tuple[tuple[Kind, str], ...] = (("text", texts), ("number", numbers), ("date", _DATES))
    found = {name: (int(width), kind) for kind, text in kinds for name, _, width in _split(text)}
    return {name: found[name] for name in sorted(found, key=str.lower)}


def _split(text: str) -> list[tuple[str, str, str]]:
    return [item.partition(":") for item in text.split()]


_OLD = _table(_TEXTS, _NUMBERS)
_NEW = _table(f"{_TEXTS} {_NEW_TEXTS}", f"{_NUMBERS} {_NEW_NUMBERS}")
FIELDS: Mapping[str, Fields] = {
    "22.05": _OLD,
    NEW: {name: shape for name, shape in _NEW.items() if name not in _GONE},
}
"""By release."""

DEFAULT = "jobid,jobname,partition,account,alloccpus,state,exitcode"
BRIEF = "jobid,state,exitcode"
LONG = (
    "jobid,jobidraw,jobname,partition,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,maxrssnode,maxrsstask,"
    "averss,maxpages,maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,alloccpus,elapsed,"
    "state,exitcode,avecpufreq,reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,reqmem,consumedenergy,maxdiskread,"
    "maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,maxdiskwritetask,avediskwrite,reqtres,"
    "alloctres,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,tresusageinmin,tresusageinminnode,"
    "tresusageinmintask,tresusageintot,tresusageoutmax,tresusageoutmaxnode,tresusageoutmaxtask,tresusageoutave,"
    "tresusageouttot"
)


class FieldError(ValueError):
    """A name that is no field; its text is what sacct says."""


@frozen
class AccountColumn:
    """A field in its place; the width, in bytes, is the default one or that of ``name%width``."""

    name: str
    width: int
    """Negative: left-justified. 0: nothing but the separating blank is printed, and values are computed nevertheless."""
    kind: Kind
    get: Callable[[Any], str]

    def header(self) -> str:
        return self._pad(self.name[: abs(self.width)])

    def value(self, row: Any) -> str:
        """Between delimiters, where dates are cut, too."""
        text = self.get(row)
        return text[: abs(self.width)] if self.kind == "date" else text

    def cell(self, row: Any, cuts_dates: bool) -> str:
        text, width = self.get(row), abs(self.width)
        if self.kind == "number":
            text = text or " "
        if self.kind != "number" and len(text.encode("utf-8", "surrogateescape")) > width:
            mark = "" if self.kind == "date" or not width else "+"
            if self.kind == "date" and not cuts_dates and text[0].isdigit():
                text = "#" * width
            text = f"{_first_bytes(text, width - len(mark))}{mark}"
        return self._pad(text)

    def _pad(self, text: str) -> str:
        return fit(text, abs(self.width), self.width > 0, cut=False)


def _first_bytes(text: str, number: int) -> str:
    return text.encode("utf-8", "surrogateescape")[:number].decode("utf-8", "surrogateescape")


def columns(text: str, fields: Fields, getter: Callable[[str], Callable[[Any], str]]) -> list[AccountColumn]:
    """The columns of a ``--format``; a name may be cut short, the first that fits is meant; ``all`` is every field.

    A field has one width, wherever it stands: the last that was given (measured). Reading ends at the first empty name, as in
    sacct. Raises `FieldError`.
    """
    chosen: list[str] = []
    widths: dict[str, int] = {}
    for item in text.split(","):
        name, percent, width = item.lstrip().partition("%")
        if not name and not percent:
            break
        every = "all".startswith(name.lower())
        matches = [each for each in fields if every or each.lower().startswith(name.lower())][: None if every else 1]
        if not matches:
            raise FieldError(f'Invalid field requested: "{name}"')
        chosen += matches
        if percent:
            widths |= dict.fromkeys(matches, _width(width))
    return [AccountColumn(each, widths.get(each, fields[each][0]), fields[each][1], getter(each)) for each in chosen]


def _width(text: str) -> int:
    """As atoi reads it."""
    match = re.match(r"\s*[+-]?[0-9]+", text, re.ASCII)
    return int(match[0]) if match else 0


@frozen
class Sheet:
    """How rows are laid out: in fixed columns, or with `delimiter` between the fields."""

    columns: Sequence[AccountColumn]
    delimiter: str | None = None
    """None: fixed columns."""
    trailing: bool = False
    """With a delimiter: one after the last field too (``--parsable``)."""
    cuts_dates: bool = False
    """Dates are cut at the width, also with a delimiter. Otherwise they are not there, and ``#`` stands in a column that is too narrow."""

    def header(self) -> str:
        if self.delimiter is not None:
            return self._join([column.name for column in self.columns])
        names = "".join(f"{column.header()} " for column in self.columns)
        rules = "".join(f"{'-' * abs(column.width)} " for column in self.columns)
        return f"{names}\n{rules}\n"

    def rows(self, items: Iterable[Any]) -> str:
        if self.delimiter is not None:
            values = [column.value if self.cuts_dates else column.get for column in self.columns]
            return "".join([self._join([value(item) for value in values]) for item in items])
        cells = [column.cell for column in self.columns]
        return "".join(["".join([f"{cell(item, self.cuts_dates)} " for cell in cells]) + "\n" for item in items])

    def _join(self, cells: Sequence[str]) -> str:
        assert self.delimiter is not None
        end = self.delimiter if self.trailing else ""
        return f"{self.delimiter.join(cells)}{end}\n"


def help_text(fields: Fields) -> str:
    """What ``--helpformat`` prints: the names, four in a line."""
    names = list(fields)
    lines = [names[start : start + 4] for start in range(0, len(names), 4)]
    return "".join(" ".join(f"{name:<19}" for name in line) + "\n" for line in lines)
