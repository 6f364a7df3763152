"""Supported, refused, or different: the status of every line of the manual, from what the fake does and what is written down."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from fakeslurm.commands.base import COMMANDS
from fakeslurm.contract import environments
from fakeslurm.contract.optioncases import DIFFERENT
from fakeslurm.fidelity.probe import Answer, Probe, Verdict
from fakeslurm.fidelity.registry import Line, lines, manual

__all__ = ["Judgement", "Status", "commands", "judge"]


class Status(Enum):
    """What a line is in the fake."""

    SUPPORTED = "supported"
    REFUSED = "refused"
    DIFFERS = "differs"
    UNDECIDED = "undecided"
    """Neither: somebody has to write something down, or to change the fake."""


@frozen(kw_only=True)
class Judgement:
    """What became of a line in a release."""

    line: Line
    release: str
    status: Status
    test: str | None = None
    """The contract test that shows it."""
    note: str = ""
    """How it differs; of an undecided line what is to be done."""


def commands(release: str) -> list[str]:
    """The commands whose pages are counted."""
    return list(manual(release))


def judge(release: str) -> list[Judgement]:
    """Every line of every command that this release lists."""
    with Probe(release) as probe:
        return [
            _variable(probe, line) if line.kind == "output" else _judge(line, release, probe.answer(line))
            for command in commands(release)
            for line in lines(command)
            if release in line.texts
        ]


def _judge(line: Line, release: str, answer: Answer) -> Judgement:
    entry = line.entry
    if answer.verdict is Verdict.REFUSED:
        if (entry.test and not entry.case) or entry.differs:
            return _undecided(line, release, f"the fake refuses it: take it out of {line.file} ({answer.call})")
        return Judgement(line=line, release=release, status=Status.REFUSED)
    releases, how = DIFFERENT.get(entry.case or "", ("", ""))
    if entry.differs or release in releases.split():
        note = entry.differs or how
        return Judgement(line=line, release=release, status=Status.DIFFERS, test=entry.test, note=note)
    if answer.verdict is Verdict.MISREAD:
        told = f"`{answer.call}` says {answer.said.strip()!r}"
        return _undecided(line, release, f"{told}: add a valid value to {_place(line)}, or refuse the option")
    if answer.verdict is Verdict.UNREAD and not entry.case:
        told = "no command of the fake looks at it: carry it out or refuse it, or say what that changes in"
        return _undecided(line, release, f'{told} {_place(line)}\n    "{line.name}" = {{ differs = "..." }}')
    if entry.test is None:
        told = (
            f"the fake carries out `{answer.call}`, and no contract test shows it: refuse it, or add to {_place(line)}"
        )
        return _undecided(line, release, f'{told}\n    "{line.name}" = {_template(line)}')
    return Judgement(line=line, release=release, status=Status.SUPPORTED, test=entry.test)


def _variable(probe: Probe, line: Line) -> Judgement:
    """A variable that Slurm sets: one of the recorded environments has it, or what is written down says why not."""
    release, entry = probe.release, line.entry
    if line.command not in COMMANDS:
        return Judgement(line=line, release=release, status=Status.REFUSED)
    test = entry.test or _recorded(release, line)
    if entry.differs:
        return Judgement(line=line, release=release, status=Status.DIFFERS, test=test, note=entry.differs)
    if test is not None:
        return Judgement(line=line, release=release, status=Status.SUPPORTED, test=test)
    if entry.option is not None:
        asked = next(
            (one for one in lines(line.command) if one.name == entry.option and release in one.texts),
            Line(line.command, "options", entry.option, {release: entry.option}),
        )
        if probe.answer(asked).verdict is Verdict.REFUSED:
            return Judgement(line=line, release=release, status=Status.REFUSED, note=f"with {entry.option}")
    told = "no recorded environment has it: name the test that shows it, or the refused option that it belongs to, in"
    text = f'"{line.name}" = {{ test = "test_FILE.py::test_NAME" }}   or   {{ option = "--..." }}'
    return _undecided(line, release, f"{told} {_place(line)}\n    {text}")


def _recorded(release: str, line: Line) -> str | None:
    """The test that compares a recorded environment in which the variable is."""
    for shape, processes in (environments.recorded(release) or {}).items():
        for process, environment in processes.items():
            if line.name in environment and (process == "batch") == (line.command == "sbatch"):
                return f"test_environment.py::test_environment[{shape}]"
    return None


def _place(line: Line) -> str:
    return f"{line.file}, [{line.kind}]"


def _template(line: Line) -> str:
    value = 'value = "...", ' if line.kind != "options" or "=" in "".join(line.texts.values()) else ""
    return f'{{ {value}test = "test_FILE.py::test_NAME" }}'


def _undecided(line: Line, release: str, note: str) -> Judgement:
    return Judgement(line=line, release=release, status=Status.UNDECIDED, note=note)
