"""`SlurmUnderTest`: one handle on whichever Slurm a contract test runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from slurmkit.slurm.states import is_terminal

if TYPE_CHECKING:
    from fakeslurm import FakeSlurm
    from fakeslurm.throwaway import ThrowawaySlurm
    from slurmkit.backends.cli import CliBackend

__all__ = ["Result", "SlurmUnderTest", "lose_state", "release", "shown", "until", "wait_for_reason"]


@attrs.frozen
class Result:
    """What a command said: its return code (int) and both outputs (str)."""

    returncode: int
    stdout: str
    stderr: str


def release(version: str) -> tuple[int, ...]:
    """``"22.05.8"`` and ``"22.05"`` as (22, 5)."""
    return tuple(int(part) for part in version.split(".")[:2])


Run = Callable[[Sequence[str], Mapping[str, str], Path, str | None, float], Result]


def until(condition: Callable[[], Any], *, timeout: float = 60.0, what: str, interval: float = 0.02) -> Any:
    """Wait until `condition()` is true and return its value; AssertionError after `timeout` seconds, saying `what` did not come.

    It is asked every `interval` seconds, and the longer it takes the less often, every 0.25 s in the end: a question is mostly a process.
    """
    begin = time.monotonic()
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - begin
        if waited >= timeout:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        pause.wait(max(interval, min(waited / 5, 0.25)))


def shown(slurm: SlurmUnderTest, job_id: str) -> dict[str, str]:
    """The ``scontrol show job`` fields of a job that the controller knows."""
    fields = slurm.show(job_id)
    assert fields is not None, f"job {job_id} is not known"
    return fields


def wait_for_reason(slurm: SlurmUnderTest, job_id: str, reason: str) -> None:
    """Wait until a job is pending for this reason."""
    until(lambda: slurm.wait(job_id, ["PENDING"])["Reason"] == reason, what=f"the reason {reason}")


def lose_state(slurm: SlurmUnderTest) -> None:
    """slurmctld loses what it has written down, and is started again."""
    if slurm.fake is not None:
        with slurm.fake.fault("reused_ids"):
            pass
        return
    assert slurm.real is not None
    slurm.real.kill("slurmctld")
    for path in (slurm.real.directory / "state").iterdir():
        if path.is_file():
            path.unlink()
    slurm.real.restart("slurmctld")


def _spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: str | None, timeout: float) -> Result:
    done = subprocess.run(
        list(argv), env=dict(env), cwd=cwd, input=stdin, timeout=timeout, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL if stdin is None else None,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


@attrs.define(slots=False)
class SlurmUnderTest:
    """The Slurm that a contract test talks to.

    `kind` is "fake", "fake-cli", "real" or "site"; `version` is like "22.05.8"; `workdir` is a directory that every node sees.
    """

    kind: str
    version: str
    workdir: Path
    base_environment: Mapping[str, str]
    _run: Run
    fake: FakeSlurm | None = None
    real: ThrowawaySlurm | None = None
    _stack: ExitStack = attrs.field(factory=ExitStack)
    _scripts: int = 0
    _submitted: list[str] = attrs.field(factory=list)
    _requests: Counter[str] = attrs.field(factory=Counter)

    @classmethod
    def on_fake(cls, fake: FakeSlurm, *, workdir: Path, commands: bool) -> SlurmUnderTest:
        """On a `FakeSlurm`: in this process, or through its commands on PATH when `commands` is true."""
        stack = ExitStack()
        stack.enter_context(fake)

        def in_process(
            argv: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: str | None, timeout: float
        ) -> Result:
            done = fake.execute(argv, cwd=cwd, env=env, input=stdin, timeout=timeout)
            return Result(done.returncode, done.stdout, done.stderr)

        environment = fake.environ()
        return cls(
            kind="fake-cli" if commands else "fake",
            version=fake.version,
            workdir=workdir,
            base_environment=environment,
            run=_spawn if commands else in_process,
            fake=fake,
            stack=stack,
        )

    @classmethod
    def on_real(cls, real: ThrowawaySlurm, *, workdir: Path) -> SlurmUnderTest:
        """On a running `ThrowawaySlurm`, which stays up for the next test."""
        slurm = cls._on_commands("real", real.environ(), workdir)
        slurm.real = real
        return slurm

    @classmethod
    def on_site(cls, *, workdir: Path) -> SlurmUnderTest:
        """On the Slurm whose commands are on PATH."""
        if shutil.which("sbatch") is None:
            raise FileNotFoundError("--slurm=site: there is no sbatch on PATH")
        return cls._on_commands("site", dict(os.environ), workdir)

    @classmethod
    def _on_commands(cls, kind: str, environment: Mapping[str, str], workdir: Path) -> SlurmUnderTest:
        words = _spawn(["sbatch", "--version"], environment, workdir, None, 60.0).stdout.split()
        return cls(
            kind=kind,
            version=words[1] if len(words) > 1 else "unknown",
            workdir=workdir,
            base_environment=environment,
            run=_spawn,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.is_real and self._submitted:
            self.run("scancel", *self._submitted)
        self._stack.__exit__(kind, error, traceback)

    @property
    def is_real(self) -> bool:
        """True on a throwaway or a site's Slurm."""
        return self.kind in ("real", "site")

    def at_least(self, version: str) -> bool:
        """Whether this Slurm is of `version` ("24.11") or newer."""
        return release(self.version) >= release(version)

    def backend(self) -> CliBackend:
        """A slurmkit backend on this Slurm; what it asks is counted in `requests`."""
        if self.fake is not None and self.kind == "fake":
            return self.fake.backend()
        from slurmkit.backends.cli import CliBackend, subprocess_execute

        def execute(argv: Sequence[str], **options: Any) -> Any:
            self._requests[argv[0]] += 1
            return subprocess_execute(argv, **options)

        return CliBackend(execute, environ=self.base_environment)

    def requests(self, command: str) -> int:
        """How often the backends of this test have asked Slurm with `command`."""
        if self.fake is not None:
            return self.fake.calls.count(command)
        return self._requests[command]

    def run(
        self,
        *argv: str | Path,
        env: Mapping[str, str] | None = None,
        only_env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
        timeout: float = 90.0,
    ) -> Result:
        """Run a Slurm command in `workdir`. `env` is added to the environment; `only_env` replaces it but for PATH, HOME and SLURM_CONF."""
        environment = dict(self.base_environment)
        if only_env is not None:
            environment = {k: v for k, v in environment.items() if k in ("PATH", "HOME", "SLURM_CONF")} | dict(only_env)
        return self._run(
            [str(word) for word in argv], environment | dict(env or {}), cwd or self.workdir, stdin, timeout
        )

    def script(self, body: str, *, shebang: str = "#!/bin/bash") -> Path:
        """Write a batch script into `workdir`."""
        self._scripts += 1
        path = self.workdir / f"script{self._scripts}.sh"
        path.write_text(f"{shebang}\n{body}\n")
        return path

    def sbatch(self, body: str, *options: str, **how: Any) -> str:
        """Submit a batch script with this body; its job id."""
        done = self.run("sbatch", "--parsable", *options, self.script(body), **how)
        assert done.returncode == 0, done
        job_id = done.stdout.strip().partition(";")[0]
        self._submitted.append(job_id)
        return job_id

    def wait_idle(self, *, timeout: float = 60.0) -> None:
        """Wait until none of this user's jobs is left and, but for a site, every node is idle: placement is comparable only then."""

        def idle() -> bool:
            nodes = self.run("sinfo", "-h", "-o", "%t").stdout.split()
            jobs = self.run("squeue", "-h", "--me", "-o", "%i").stdout.split()
            return not jobs and (self.kind == "site" or nodes == ["idle"])

        until(idle, timeout=timeout, what="an idle cluster")

    def show(self, job_id: str) -> dict[str, str] | None:
        """``scontrol -o show job`` as a dict; None when the controller does not know the job."""
        done = self.run("scontrol", "-o", "show", "job", job_id)
        if done.returncode != 0:
            assert "Invalid job id specified" in done.stderr, done
            return None
        return parse_show(done.stdout)

    def wait(self, job_id: str, states: Iterable[str] | None = None, *, timeout: float = 60.0) -> dict[str, str]:
        """Wait until the job is in one of `states` (default: any terminal one); its ``scontrol show job`` fields then."""
        wanted = None if states is None else set(states)
        seen: list[str] = []

        def reached() -> dict[str, str] | None:
            fields = self.show(job_id)
            assert fields is not None, f"job {job_id} is gone, last states {seen}"
            state = fields["JobState"]
            if seen[-1:] != [state]:
                seen.append(state)
            if wanted is None:
                return fields if is_terminal(state) else None
            assert state in wanted or not is_terminal(state), f"job {job_id} ended {state}, not {wanted}"
            return fields if state in wanted else None

        fields: dict[str, str] = until(reached, timeout=timeout, what=f"job {job_id} in {wanted or 'a terminal state'}")
        return fields

    def accounted(self, job_id: str, fields: str, *options: str, timeout: float = 30.0) -> list[dict[str, str]]:
        """The rows of sacct for a finished job, once accounting has its end."""
        names = fields.split(",")

        def rows() -> list[dict[str, str]] | None:
            done = self.run("sacct", "-P", "-n", "-j", job_id, "-o", "End," + fields, *options)
            assert done.returncode == 0, done
            lines = [line.split("|") for line in done.stdout.splitlines()]
            if not lines or any(line[0] == "Unknown" for line in lines):
                return None
            return [dict(zip(names, line[1:], strict=True)) for line in lines]

        found: list[dict[str, str]] = until(rows, timeout=timeout, what=f"sacct rows of job {job_id}", interval=0.1)
        return found

    def output(self, name: str) -> str:
        """The text of an output file in `workdir`."""
        return (self.workdir / name).read_text()

    def output_of_steps(self, name: str) -> str:
        """The text of an output file without what srun says when a step has to wait for the one before: that comes and goes by timing."""
        waiting = re.compile(r"srun: (Job \d+ step creation temporarily disabled, retrying .*|Step created for .*)\n")
        return waiting.sub("", self.output(name))


def parse_show(text: str) -> dict[str, str]:
    """The fields of one job of ``scontrol -o show job``: a value ends where the next ``Name=`` begins."""
    matches = list(re.finditer(r"(?:^| )([A-Za-z][A-Za-z:/_]*)=", text.strip()))
    ends = [match.start() for match in matches[1:]] + [len(text.strip())]
    return {match[1]: text.strip()[match.end() : end].rstrip() for match, end in zip(matches, ends, strict=True)}
