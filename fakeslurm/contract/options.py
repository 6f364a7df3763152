"""One short conversation for each option and variable, as recorded from a real Slurm, and how two of them are compared.

``python -m fakeslurm.contract.options DIRECTORY [CASE...]`` records them anew (without CASE all of them), on a throwaway Slurm, into
``options-<release>.json``; what is there of other cases stays.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakeslurm.contract import environments
from fakeslurm.contract.harness import Result, until
from fakeslurm.contract.optioncases import ALLOCATIONS, CASES, DIFFERENT, QUERIES, STEPS, SUBMISSIONS
from fakeslurm.contract.texts import without_chance

if TYPE_CHECKING:
    from fakeslurm.contract.harness import SlurmUnderTest

__all__ = ["ALLOCATIONS", "CASES", "DIFFERENT", "QUERIES", "STEPS", "SUBMISSIONS", "check", "play", "recorded"]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?")
_DATE = re.compile(r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}$", re.MULTILINE)
_PRIORITY = re.compile(r"\b429490\d{4}\b")
_GRANTED = re.compile(r"(?<=Granted job allocation )\d+")
_RUN_TIME = re.compile(r"(RunTime=)\S+")
_SESSION = re.compile(r"(AllocNode:Sid=)\S+")


def play(slurm: SlurmUnderTest, case: str) -> list[str]:
    """Hold the conversation of a case; what was said, one text for each command, without what no two clusters share."""
    ids: list[str] = []
    said = []
    (slurm.workdir / "job.sh").write_text("#!/bin/sh\n#SBATCH --hold\ntrue\n")
    (slurm.workdir / "input").write_text("from the file\n")
    try:
        for line in CASES[case]:
            variables, argv = _words(line, ids)
            if argv[0] == "sacct":
                _recorded_by_slurmdbd(slurm, ids)
            if argv[0] == "salloc":
                slurm.wait_idle()  # so that it gets the first nodes
            of_file = argv[0] == "cat"
            done = Result(0, slurm.output(argv[1]), "") if of_file else slurm.run(*argv, only_env=variables, timeout=20)
            if found := _submitted(argv[0], done):
                ids.append(found[0])
            said.append(_text(line, done, slurm, ids))
    finally:
        if ids:
            slurm.run("scancel", *ids)
    return said


def _submitted(command: str, done: Result) -> re.Match[str] | None:
    """The id of the job that a command has submitted."""
    if command == "sbatch":
        return re.search(r"\d+", done.stdout)
    return _GRANTED.search(done.stderr) if command == "salloc" else None


def _recorded_by_slurmdbd(slurm: SlurmUnderTest, ids: Sequence[str]) -> None:
    """Accounting hears of a job a little later than the controller."""
    argv = ["sacct", "-nXP", "-o", "JobIDRaw", "-j", ",".join(ids)]
    until(lambda: slurm.run(*argv).stdout.split() == list(ids), what=f"accounting has {ids}", interval=0.1)


def _words(line: str, ids: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The variables before a command, and its words; ``J1`` is the id of the first job."""
    for number, job_id in enumerate(ids, start=1):
        line = re.sub(rf"\bJ{number}\b", job_id, line)
    words = shlex.split(line)
    variables = {}
    while re.match(r"[A-Z_][A-Z0-9_]*=", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return variables, words


def _text(line: str, done: Result, slurm: SlurmUnderTest, ids: Sequence[str]) -> str:
    if "env -0" in line:
        found = environments.normalized(environments.parse(done.stdout.encode()))
        out = [f"{name}={value}" for name, value in found.items()]
    else:
        out = done.stdout.splitlines()
    err = [f"! {text}" for text in without_chance(done.stderr).splitlines()]
    text = "\n".join([f"$ {line}", *out, *err, f"rc {done.returncode}"])
    text = _DATE.sub("<date>", _TIME.sub("<time>", text))
    for number, job_id in [*enumerate(ids, start=1)] * 2:  # JobID, then JobIDRaw in the next column
        text = re.sub(
            rf"((?m:^ *)|(?m:^ *J\d +)|JobId=|[Jj]ob |allocation |slurm-|err\.|out\.){job_id}(?![0-9:])",
            rf"\1J{number}",
            text,
        )
    text = text.replace(str(slurm.workdir), "/w")
    if "JobState=RUNNING" in text:
        text = _RUN_TIME.sub(r"\1<time>", text)
    text = _SESSION.sub(r"\1<session>", _PRIORITY.sub("<priority>", text))
    return re.sub(r" +", " ", text)


def recorded(version: str) -> Mapping[str, list[str]] | None:
    """What was recorded for this version of Slurm; None when nothing was."""
    release = ".".join(version.split(".")[:2])
    path = resources.files("fakeslurm.contract") / "data" / f"options-{release}.json"
    if not path.is_file():
        return None
    found: dict[str, list[str]] = json.loads(path.read_text("utf-8"))
    return found


def check(slurm: SlurmUnderTest, case: str) -> None:
    """Compare a conversation with the recorded one. What is known to differ must differ."""
    known = recorded(slurm.version)
    if known is None or slurm.kind == "site" or os.getuid() != 0:
        pytest.skip(
            "recorded as root on n1..n4 with 4 CPUs each, and not for every version: fakeslurm.contract.options"
        )
    said = play(slurm, case)
    if (
        not slurm.is_real
        and slurm.fake is not None
        and slurm.fake.settings.version in DIFFERENT.get(case, ("", ""))[0].split()
    ):
        assert said != known[case], f"{case} does not differ any more: take it out of DIFFERENT, and `make fidelity`"
    else:
        assert said == known[case]


def main(directory: Path, cases: Sequence[str]) -> None:
    """Record cases on a throwaway Slurm; those that are no more are left out."""
    from fakeslurm.contract.harness import SlurmUnderTest
    from fakeslurm.throwaway import ThrowawaySlurm

    found = {}
    with ThrowawaySlurm() as real, tempfile.TemporaryDirectory() as workdir:
        slurm = SlurmUnderTest.on_real(real, workdir=Path(workdir))
        for case in cases or CASES:
            slurm.wait_idle()
            found[case] = play(slurm, case)
    release = re.sub(r"^(\d+\.\d+).*", r"\1", slurm.version)
    path = directory / f"options-{release}.json"
    found = (json.loads(path.read_text("utf-8")) if path.exists() else {}) | found
    path.write_text(json.dumps({case: found[case] for case in CASES if case in found}, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m fakeslurm.contract.options", description="Record conversations.")
    parser.add_argument("directory", type=Path, help="where options-<release>.json is")
    parser.add_argument("cases", metavar="CASE", nargs="*", help="as 'sbatch --array'; all of them without")
    chosen = parser.parse_args()
    if unknown := set(chosen.cases) - CASES.keys():
        parser.error(f"no such cases: {', '.join(sorted(unknown))}; they are in fakeslurm/contract/optioncases.py")
    main(chosen.directory, chosen.cases)
