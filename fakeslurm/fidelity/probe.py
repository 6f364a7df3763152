"""What the fake makes of a line of the manual: it is called, and what it says and reads is the verdict."""

from __future__ import annotations

import re
import shlex
from enum import Enum
from typing import Any, Self

from attrs import frozen

from fakeslurm import FakeSlurm
from fakeslurm.commands.base import COMMANDS
from fakeslurm.fidelity.registry import Line
from fakeslurm.local import LocalCaller

__all__ = ["Answer", "Probe", "Verdict"]

_WAITS = 3.0
"""Seconds after which srun and salloc that have not ended are taken at their word: --hold waits for ever."""
_ENDS = 60.0
"""Seconds in which everything else ends, however loaded the machine is."""
_MISREAD = re.compile(
    r"unrecognized option|invalid option|requires an argument|doesn't allow an argument|Invalid (--|numeric|time specification)"
    r"|is not a valid|invalid keyword|invalid entity|too (few|many) arguments|Unknown job signal|Invalid job state"
)
"""The fake has not understood the words: the option is not in its table, or the value is wrong."""
_ENTITY = {
    "job": "JobId=1",
    "step": "StepId=1.0",
    "node": "NodeName=n1",
    "partition": "PartitionName=debug",
    "reservation": "ReservationName=r",
}


class Verdict(Enum):
    """What the fake made of it."""

    TAKEN = "taken"
    REFUSED = "refused"
    MISREAD = "misread"
    """Neither: it is unknown to the fake, or the value that it was tried with is none."""
    UNREAD = "unread"
    """A variable that nobody has looked at."""


@frozen
class Answer:
    """The verdict, and how it came about."""

    verdict: Verdict
    said: str = ""
    """stderr."""
    call: str = ""
    """What was called, as in a shell."""


class _Watched(dict[str, str]):
    """An environment that remembers which of its variables were asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.read: set[object] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(name)
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


class Probe:
    """A fake of one release to try lines on. A context manager."""

    def __init__(self, release: str) -> None:
        self.release = release
        self._slurm = FakeSlurm(version=release)

    def __enter__(self) -> Self:
        self._slurm.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._slurm.close()

    def answer(self, line: Line) -> Answer:
        """What the fake makes of a line, tried with the value that is written down for it. Not for variables that Slurm sets."""
        if line.command not in COMMANDS:
            return Answer(Verdict.REFUSED, f"there is no command {line.command}")
        variables = {line.name: line.entry.value or "1"} if line.kind == "input" else {}
        watched = _Watched({"PATH": "/usr/bin:/bin", **variables})
        argv = [line.command, *self._arguments(line)]
        said = self._call(argv, watched)
        call = shlex.join([*(f"{name}={value}" for name, value in variables.items()), *argv])
        if "fakeslurm does not support" in said:
            return Answer(Verdict.REFUSED, said, call)
        if line.kind == "input" and line.name not in watched.read:
            return Answer(Verdict.UNREAD, said, call)
        return Answer(Verdict.MISREAD if _MISREAD.search(said) else Verdict.TAKEN, said, call)

    def _arguments(self, line: Line) -> list[str]:
        value = line.entry.value
        words = shlex.split(value or "")
        if line.kind == "interactive":
            return []
        if line.kind == "keywords":
            return [line.name, *words]
        if line.kind == "entities":
            return [*line.name.split(), *words]
        if line.kind == "updates":
            _, entity, field = line.name.split()
            return ["update", _ENTITY[entity], f"{field}={value or 1}"]
        option = []
        if line.kind == "options":
            argument = value if value is not None or not line.takes_argument(self.release) else "1"
            option = [line.name if argument is None else f"{line.name}={argument}"]
        return [*option, *_operands(line)]

    def _call(self, argv: list[str], environ: dict[str, str]) -> str:
        """What a command says on its stderr."""
        with LocalCaller(tuple(argv), str(self._slurm.directory), environ, None) as caller:
            try:
                self._slurm._service.call(caller, "backend", _WAITS if argv[0] in ("srun", "salloc") else _ENDS)
            except TimeoutError:
                if argv[0] not in ("srun", "salloc"):
                    raise
                return ""
            return caller.texts()[1]


def _operands(line: Line) -> list[str]:
    """What a command needs besides its options."""
    if line.command == "sbatch":
        return [] if line.name == "--wrap" else ["--wrap=true"]
    return {
        "srun": ["true"],
        "salloc": ["true"],
        "scancel": ["1"],
        "sstat": ["--jobs=1", "--format=JobID"],
        "scontrol": ["show", "job"],
        "sacctmgr": ["show", "cluster"],
    }.get(line.command, [])
