"""The two Slurms that are compared: each answers commands, in a directory of its own."""

from __future__ import annotations

import errno
import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attrs import define, frozen

from fakeslurm import FakeSlurm
from fakeslurm.throwaway import ThrowawaySlurm

__all__ = ["Answer", "FakeSide", "RealSide", "Side", "next_job_id", "real_slurm"]

_TIMEOUT = 15.0  # seconds for one command
_USER = {"HOME": "/", "LANG": "C", "TZ": "UTC", "GIVEN": "given by the submitter"}


@frozen
class Answer:
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


_NO_ANSWER = Answer(-1, "", f"no answer within {_TIMEOUT:g} s\n")


class Side(Protocol):
    """One of the two."""

    name: str
    workdir: Path
    """Where commands are called in the present example. The paths of the two sides are equally long."""

    def run(self, argv: Sequence[str], environ: Mapping[str, str], stdin: str | None) -> Answer: ...

    def start(self, workdir: Path, first_job_id: int) -> None:
        """An example begins."""

    def stop(self) -> None:
        """It has ended: nothing of it is left on return."""


def real_slurm(accounting: bool = True) -> ThrowawaySlurm:
    """The real Slurm as it is compared: backfill rests, because which of the two schedulers starts a job is chance."""
    return ThrowawaySlurm(
        accounting=accounting,
        extra_conf={
            "SchedulerParameters": "sched_interval=1,sched_min_interval=0,bf_interval=3600",
            "MinJobAge": "100",
            "FirstJobId": "1001",  # no number that a question happens to hold is the id of a job
        },
    )


def next_job_id(real: ThrowawaySlurm) -> int:
    """The id that the next submission gets."""
    text = real.run(["scontrol", "show", "config"]).stdout
    found = re.search(r"NEXT_JOB_ID\s*= (\d+)", text)
    if found is None:
        raise RuntimeError(f"scontrol show config does not say NEXT_JOB_ID: {text!r}")
    return int(found[1])


def _fresh(workdir: Path) -> None:
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)


@define
class RealSide:
    """A throwaway Slurm, which stays up from one example to the next."""

    real: ThrowawaySlurm
    name: str = "real"
    workdir: Path = Path("/")

    def start(self, workdir: Path, first_job_id: int) -> None:
        self.workdir = workdir
        _fresh(workdir)
        while next_job_id(self.real) < first_job_id:  # the other one is real, too, and further on
            self.real.run(["sbatch", "--test-only", "--wrap=true"])

    def run(self, argv: Sequence[str], environ: Mapping[str, str], stdin: str | None) -> Answer:
        base = self.real.environ({"PATH": os.environ["PATH"], **_USER})
        return _spawn(argv, base | dict(environ), self.workdir, stdin)

    def stop(self) -> None:
        self.real.run(["scancel", "--user", getpass.getuser()])  # also those whose id nobody has heard
        open_gates(self.workdir)
        self.real.wait_idle()


@define
class FakeSide:
    """A fake, new for each example, so that its next job id is the real one's."""

    version: str
    commands: bool = False
    """Whether the commands on PATH are called, not the functions behind them."""
    name: str = "fake"
    workdir: Path = Path("/")
    _fake: FakeSlurm | None = None

    def start(self, workdir: Path, first_job_id: int) -> None:
        self.workdir = workdir
        _fresh(workdir)
        self._fake = FakeSlurm(version=self.version, cluster_name="throwaway", first_job_id=first_job_id)

    def run(self, argv: Sequence[str], environ: Mapping[str, str], stdin: str | None) -> Answer:
        assert self._fake is not None
        base = self._fake.environ({"PATH": os.environ["PATH"], **_USER})
        if self.commands:
            return _spawn(argv, base | dict(environ), self.workdir, stdin)
        try:
            done = self._fake.execute(argv, cwd=self.workdir, env=base | dict(environ), input=stdin, timeout=_TIMEOUT)
        except TimeoutError:
            return _NO_ANSWER
        return Answer(done.returncode, done.stdout, done.stderr)

    def stop(self) -> None:
        if self._fake is not None:
            self._fake.close()
            self._fake = None


def _spawn(argv: Sequence[str], environ: Mapping[str, str], workdir: Path, stdin: str | None) -> Answer:
    try:
        done = subprocess.run(
            argv,
            env=environ,
            cwd=workdir,
            input=(stdin or "").encode(),
            timeout=_TIMEOUT,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _NO_ANSWER
    return Answer(done.returncode, *(text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr)))


def open_gates(workdir: Path) -> None:
    """Let every job that reads from one of the FIFOs ``*.gate`` go on."""
    for gate in workdir.glob("*.gate"):
        open_gate(gate)


def open_gate(gate: Path) -> bool:
    """Whether somebody waited at this gate; it goes on then."""
    try:
        os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):  # nobody reads
            return False
        raise
    return True
