"""Faults of what a command prints: it is late, cut off, or mixed with something else. What the command did is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import attrs
from attrs import field, frozen

from fakeslurm.commands.base import COMMANDS, CONVERSATIONS, REFUSED
from fakeslurm.faults.base import Disturbance, Kind
from fakeslurm.faults.outages import is_duration

if TYPE_CHECKING:
    from fakeslurm.ledger import Call
    from fakeslurm.model import Settings

__all__ = ["GarbledOutput", "LocalisedOutput", "Slow", "TruncatedOutput"]

_ALL = tuple(command for command in COMMANDS if command not in REFUSED)
_PRINTING = tuple(command for command in _ALL if command not in CONVERSATIONS)
_GERMAN = {
    "Submitted batch job": "Batch-Job uebergeben:",
    "Invalid job id specified": "Ungueltige Job-ID angegeben",
    "error:": "Fehler:",
    "Connection refused": "Verbindungsaufbau abgelehnt",
    "No such file or directory": "Datei oder Verzeichnis nicht gefunden",
}


@frozen(kw_only=True)
class Slow(Kind):
    """The answer comes `seconds` late. What was asked for is done at once, and the answer says what was true then."""

    name: ClassVar[str] = "slow"
    hits_calls_of: ClassVar[tuple[str, ...]] = _ALL

    seconds: float = field(default=5.0, validator=is_duration)

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        return Disturbance(delay=self.seconds)


@frozen(kw_only=True)
class TruncatedOutput(Kind):
    """stdout ends after `characters`, or after half of what there was; the return code is 0 or whatever it was."""

    name: ClassVar[str] = "truncated_output"
    hits_calls_of: ClassVar[tuple[str, ...]] = _PRINTING

    characters: int | None = field(default=None)

    @characters.validator
    def _check(self, _attribute: object, value: object) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise ValueError(f"characters={value!r}; expected a number of characters, 0 or more, or None for half")

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        return Disturbance(edit=self._cut)

    def _cut(self, stdout: str, stderr: str) -> tuple[str, str]:
        return stdout[: len(stdout) // 2 if self.characters is None else self.characters], stderr


@frozen(kw_only=True)
class GarbledOutput(Kind):
    """Something else is printed as well, by a wrapper or a login script: before and after what is on stdout, and before what is on stderr."""

    name: ClassVar[str] = "garbled_output"
    hits_calls_of: ClassVar[tuple[str, ...]] = _PRINTING

    before: str = field(
        default="*** Maintenance on 2030-02-01 | see https://hpc.example/ ***\n",
        validator=attrs.validators.instance_of(str),
    )
    after: str = field(default="", validator=attrs.validators.instance_of(str))
    on_stderr: str = field(default="module: loading slurm\n", validator=attrs.validators.instance_of(str))

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        return Disturbance(edit=self._surround)

    def _surround(self, stdout: str, stderr: str) -> tuple[str, str]:
        return f"{self.before}{stdout}{self.after}", f"{self.on_stderr}{stderr}"


def _pairs(words: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(dict(words).items())


@frozen(kw_only=True)
class LocalisedOutput(Kind):
    """Texts are in another language, `words` from each to what is printed for it: of the C library in a locale, of Slurm by a wrapper."""

    name: ClassVar[str] = "localised_output"
    hits_calls_of: ClassVar[tuple[str, ...]] = _PRINTING

    words: tuple[tuple[str, str], ...] = field(factory=lambda: _GERMAN, converter=_pairs)

    def disturb(self, call: Call, settings: Settings) -> Disturbance:
        return Disturbance(edit=self._translate)

    def _translate(self, stdout: str, stderr: str) -> tuple[str, str]:
        for text, translated in self.words:
            stdout, stderr = stdout.replace(text, translated), stderr.replace(text, translated)
        return stdout, stderr
