"""``scontrol update jobid=``: how its words are read. Measured on 22.05.8 and 24.11.5: docs/measured/update.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, field

from fakeslurm import timelimits
from fakeslurm.commands.answers import Stop, unsupported, user_id
from fakeslurm.commands.arrayjobs import jobs_of, targets
from fakeslurm.commands.jobtexts import NEW, job_label
from fakeslurm.commands.moments import MomentError, parse_moment
from fakeslurm.commands.scontrol_call import PROGRAM, Call, update_keys
from fakeslurm.mailtypes import mail_types
from fakeslurm.messages import INVALID_JOB_ID
from fakeslurm.slurmctld.jobupdate import UNLIMITED, JobUpdate

if TYPE_CHECKING:
    from fakeslurm.model import Job

__all__ = ["Wanted", "names_jobs", "read"]

_ERROR = f"{PROGRAM}: error: "
_ABORTED = "Request aborted\n"
_MAX_NICE = 2**31 - 3
_BARE_NICE = 100
"""What ``Nice`` without a value is."""
_KEYS = {
    "JobId": 3, "AdminComment": 6, "ArrayTaskThrottle": 10, "Comment": 3, "Extra": 3, "DelayBoot": 5, "TimeLimit": 5, "TimeMin": 5,
    "Priority": 2, "Nice": 2, "CPUsPerTask": 9, "CpusPerTres": 9, "NumCPUs": 6, "NumTasks": 8, "ReqProcs": 8, "Requeue": 4,
    "ReqNodes": 8, "NumNodes": 8, "ReqSockets": 4, "ReqCores": 4, "TasksPerNode": 2, "ReqThreads": 4, "MinCPUsNode": 4,
    "MinMemoryNode": 10, "MinMemoryCPU": 10, "MinTmpDiskNode": 5, "Partition": 2, "QOS": 2, "ReservationName": 3, "Name": 2,
    "JobName": 4, "WCKey": 1, "StdOut": 6, "StdErr": 6, "StdIn": 5, "Switches": 5, "wait-for-switch": 4, "OverSubscribe": 2,
    "Shared": 2, "Contiguous": 3, "CoreSpec": 4, "ThreadSpec": 4, "ExcNodeList": 3, "NodeList": 8, "ReqNodeList": 8, "Features": 1,
    "Gres": 2, "Account": 1, "BurstBuffer": 1, "Dependency": 1, "Licenses": 1, "EligibleTime": 2, "StartTime": 2, "EndTime": 2,
    "Reboot": 3, "UserID": 3, "Deadline": 3, "Clusters": 8, "ClusterFeatures": 8, "WorkDir": 2, "MailType": 5, "MailUser": 5,
    "SiteFactor": 5, "Prefer": 2, "TresPerNode": 8, "TresPerJob": 8, "TresPerTask": 8, "TresPerSocket": 8, "MemPerTres": 5,
    "TresBind": 5, "TresFreq": 5,
}  # fmt: skip
"""How many letters of each are needed; of two that begin alike the first is meant."""
_NEW_KEYS = frozenset({"Extra", "StdErr", "StdIn"})
_TEXTS = {
    "Comment": "comment", "Partition": "partition", "QOS": "qos", "Name": "name", "JobName": "name", "WCKey": "wckey",
    "ExcNodeList": "exclude", "NodeList": "nodelist", "ReqNodeList": "nodelist", "Features": "constraint", "Gres": "gres",
    "Account": "account", "Dependency": "dependency", "Licenses": "licenses",
}  # fmt: skip
_FILES = {"StdOut": "output", "StdErr": "error", "StdIn": "input", "WorkDir": "work_dir"}
_NUMBERS = {"MinMemoryNode": "mem_per_node", "MinMemoryCPU": "mem_per_cpu", "MinTmpDiskNode": "tmp_disk"}
_INSTEAD = {"MinMemoryNode": "mem_per_cpu", "MinMemoryCPU": "mem_per_node"}
"""What an earlier word has said counts no more."""
_SIZES = frozenset({"NodeList", "ReqNodeList"})
"""Updates of one job only, as they may change its size."""


def names_jobs(arguments: Sequence[str]) -> bool:
    """Whether an update is one of jobs."""
    return any(_matches(key, "JobId", 3) or _matches(key, "JobName", 3) for key in update_keys(arguments))


def _matches(word: str, whole: str, least: int) -> bool:
    return len(word) >= least and whole.lower().startswith(word.lower())


@define
class Wanted:
    """The jobs, as they were written, and what is to be changed of them."""

    jobs: str
    update: JobUpdate
    complaints: str = ""
    """What was said of words that nothing comes of."""


def read(call: Call) -> Wanted:
    """Raises `Stop` in Slurm's words, before anything has been changed."""
    reader = _Reader(call)
    words = list(call.arguments)
    while words:
        reader.word(words)
    return reader.wanted()


@define
class _Reader:
    call: Call
    jobs: str | None = None
    uid: int | None = None
    changes: dict[str, Any] = field(factory=dict)
    count: int = 0
    """How many words there were that count as a change."""
    complaints: str = ""
    resizes: bool = False

    def word(self, words: list[str]) -> None:
        """One ``KEY=VALUE``, or two words."""
        first = words.pop(0)
        key, equals, value = first.partition("=")
        sign = key[-1:] if equals and key[-1:] in ("+", "-") else ""
        key = key.removesuffix(sign) if sign else key
        if not equals and _matches(first, "Nice", 2):
            self.changes["nice"] = _BARE_NICE
            self.count += 1
            return
        if not equals and first.lower() == "resetaccruetime":
            raise unsupported(PROGRAM, "update of a job's AccrueTime")
        if not equals and not words:
            raise Stop(f"{self.complaints}Invalid input: {first}\n{_ABORTED}")
        name = self._name(key)
        if name is None:
            what = first if equals else words[0]
            raise Stop(f"{self.complaints}Update of this parameter is not supported: {what}\n{_ABORTED}")
        if not equals:
            value = words.pop(0)
        self._take(name, value, sign)
        if sign and name not in ("TimeLimit", "AdminComment"):
            raise self._stop(f"Option {first} does not accept [+|-]= syntax")

    @property
    def _new(self) -> bool:
        return self.call.controller.settings.profile.release == NEW

    def _name(self, key: str) -> str | None:
        known = (name for name, least in _KEYS.items() if _matches(key, name, least))
        return next((name for name in known if self._new or name not in _NEW_KEYS), None)

    def _stop(self, text: str) -> Stop:
        return Stop(f"{self.complaints}{_ERROR}{text}\n")

    def _take(self, name: str, value: str, sign: str) -> None:
        special: dict[str, Callable[[str, str], None]] = {
            "JobId": self._job_id,
            "UserID": self._user,
            "TimeLimit": self._limit,
            "AdminComment": self._admin_comment,
            "Nice": self._nice,
        }
        if name in special:
            special[name](value, sign)
            return
        self.count += 1
        if name in _TEXTS:
            self.changes[_TEXTS[name]] = value
            self.resizes |= name in _SIZES
        elif name in _FILES:
            self.changes[_FILES[name]] = value
        elif name in _NUMBERS:
            self.changes[_NUMBERS[name]] = self._number(name, value, 2**32 - 3)
            self.changes.pop(_INSTEAD.get(name, ""), None)
        elif name == "Priority":
            self.changes["priority"] = self._number(name, value, 2**32 - 3)
        elif name == "Requeue":
            self.changes["requeue"] = self._number(name, value, 2**16 - 3) > 0
        elif name == "MailType":
            types = mail_types(value)
            if types is None:
                raise Stop(f"{self.complaints}Invalid MailType: {value}\n")
            self.changes["mail_type"] = types
        elif name == "MailUser":
            self.changes["mail_user"] = value
        elif name == "ArrayTaskThrottle":
            limit = _leading_number(value)
            if limit < 0:
                raise self._stop("Invalid ArrayTaskThrottle value")
            self.changes["throttle"] = limit
        elif name in ("StartTime", "EligibleTime", "EndTime"):
            self._moment(name, value)
        else:
            raise unsupported(PROGRAM, f"update of a job's {name}")

    def _job_id(self, value: str, _sign: str) -> None:
        if value.startswith("["):
            raise unsupported(PROGRAM, f"update of a job with JobId={value}")
        self.jobs = value

    def _user(self, value: str, _sign: str) -> None:
        uid = user_id(value, ()) if value else None
        if uid is None:
            raise Stop(f"{self.complaints}Invalid UserID: {value}\n{_ABORTED}")
        self.uid = uid

    def _admin_comment(self, value: str, sign: str) -> None:
        if sign and self._new:
            raise self._stop("Invalid syntax, AdminComment can not be added/subtracted from.")
        if sign == "-":
            raise self._stop("Invalid syntax, AdminComment can not be subtracted from.")
        self.changes["admin_comment"] = f"+={value}" if sign else value
        self.count += 1

    def _nice(self, value: str, _sign: str) -> None:
        nice = _leading_number(value)
        if abs(nice) > _MAX_NICE:
            raise self._stop(f"Nice value out of range (+/- {_MAX_NICE}). Value ignored")
        self.changes["nice"] = nice
        self.count += 1

    def _number(self, name: str, value: str, most: int) -> int:
        if not re.fullmatch("[0-9]*", value, re.ASCII) or int(value or 0) > most:
            raise self._stop(f"Invalid {name} value: {value}")
        return int(value or 0)

    def _moment(self, name: str, value: str) -> None:
        now = self.call.invocation.now
        try:
            moment = parse_moment(value, now, past=False) if value else None
        except MomentError as error:
            moment = None
            self.complaints += f"{error}\n"
        if name == "EndTime":
            self.changes["end_time"] = moment
        elif moment is None:
            self.count -= 1
            self.changes.pop("begin", None)  # the last one counts, also when it is none
        else:
            self.changes["begin"] = max(moment, now)

    def _limit(self, value: str, sign: str) -> None:
        if value[:1] in ("+", "-"):
            if sign:
                raise self._stop("Invalid syntax, variations of +=- are not accepted.")
            sign, value = value[0], value[1:]
            if value[:1] == "-":
                raise unsupported(PROGRAM, f"update of a job with TimeLimit={sign}{value}")
        limit = timelimits.minutes(value)
        if limit == timelimits.NO_VAL:
            raise self._stop("Invalid TimeLimit value")
        if timelimits.is_negative(limit):
            raise unsupported(PROGRAM, f"update of a job with TimeLimit={sign}{value}")
        if sign:
            limit = self._relative(limit, sign)
        self.changes["time_limit"] = limit
        self.count += 1

    def _relative(self, minutes: int, sign: str) -> int:
        if self.jobs is None:
            raise self._stop("JobId must precede TimeLimit increment or decrement")
        job = self._one_job("TimeLimit increment/decrement")
        if job is None:
            raise Stop(self.complaints)
        now = UNLIMITED if job.time_limit is None else job.time_limit
        if now == UNLIMITED and self._new:
            raise self._stop("Cannot increment/decrement TimeLimit when set to UNLIMITED.")
        if sign == "+":
            return (now + minutes) % 2**32
        if minutes > now:
            raise self._stop(f"TimeLimit decrement larger than current time limit ({minutes} > {now})")
        if now == UNLIMITED:
            raise unsupported(PROGRAM, "a time limit somewhat below UNLIMITED")
        return now - minutes

    def _one_job(self, what: str) -> Job | None:
        """The job that the ids name, for what is refused for several; None for an element that there is not."""
        text = self.jobs or ""
        match = re.fullmatch("([0-9]+)(?:_([0-9]+))?", text, re.ASCII)
        if match is None:
            raise self._stop(f"Invalid job ID {text}")
        found = jobs_of(self.call.controller, int(match[1]))
        if not found:
            raise self._stop(f"Could not load state information for job {text}: {INVALID_JOB_ID}")
        if match[2] is None:
            if len(found) > 1:
                raise self._stop(f"{what} not supported for job arrays")
            return found[0]
        if found[0].array is None or (self._new and len(found) == 1):
            return found[0]  # be there such an element or not (measured)
        chosen = targets(self.call.controller, int(match[1]), (int(match[2]),))
        return chosen[0].job if chosen else None

    def wanted(self) -> Wanted:
        if not self.count:
            raise Stop(f"{self.complaints}No changes specified\n")
        if self.jobs is None:
            self.jobs = self._by_name()
        if self.resizes:
            if "SLURM_JOBID" in self.call.invocation.environ:
                raise unsupported(PROGRAM, "an update of the nodes of a job from inside a job")
            self._one_job("Job resizing")
        return Wanted(self.jobs, JobUpdate(**self.changes), self.complaints)

    def _by_name(self) -> str:
        """The ids of all jobs of this name, those that have ended among them."""
        name = self.changes.get("name")
        if name is None:
            raise self._stop("No job ID specified")
        jobs = sorted(self.call.controller.jobs.values(), key=lambda job: job.place)
        found = [job for job in jobs if self.uid in (None, job.description.uid) and job.description.name == name]
        if not found:
            whose = "" if self.uid is None else f"user ID {self.uid} and "
            raise self._stop(f"No jobs with {whose}name '{name}'")
        return ",".join(map(job_label, found))


def _leading_number(text: str) -> int:
    """As strtoll reads it: 0 for what is none."""
    match = re.match(r"\s*([+-]?[0-9]+)", text, re.ASCII)
    return int(match[1]) if match else 0
