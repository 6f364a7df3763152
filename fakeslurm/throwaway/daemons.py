"""The daemons of one throwaway Slurm, seen from the process that owns it: the client of the keeper."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakeslurm.throwaway import keeper as keeper_program

POLL = 0.03  # seconds between two looks at a condition
_LOG_TAIL = 2000  # characters of each log in an error message
_LONGEST_BASE = 45  # characters: sockets of slurmstepd below it must stay under the 108 of sun_path
_PORT_TAKEN = "Address already in use"


class SlurmUnavailable(RuntimeError):  # noqa: N818 - its name is public
    """This machine cannot run a real Slurm, or the one started here did not come up."""


class PortTaken(SlurmUnavailable):
    """Somebody bound one of the chosen ports before a daemon did."""


class Daemons:
    """A directory and the named processes that work in it; `close` ends both."""

    def __init__(self) -> None:
        base = tempfile.gettempdir()
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._requests = 0
        self._commands: dict[str, list[str]] = {}
        self._environments: dict[str, dict[str, str]] = {}
        self._keeper = subprocess.Popen(
            [
                sys.executable,
                *("-I", "-S", keeper_program.__file__),
                *(str(self._owner), base if len(base) <= _LONGEST_BASE else "/tmp"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the owner, who closes in its own time
        )
        self.directory = Path(self._read()["directory"])
        self.logs = self.directory / "log"
        self.logs.mkdir()

    def close(self) -> None:
        """Kill every process, remove the directory; returns when both are gone."""
        if os.getpid() != self._owner:  # a forked child does not own them
            return
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.close()  # end of file is the order to end
        *_, last = self._keeper.stdout.read().splitlines() or [b"it had died before"]
        self._keeper.stdout.close()
        if self._keeper.wait(timeout=30) != 0:
            raise RuntimeError(f"the throwaway Slurm in {self.directory} did not end: {last.decode()}")

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each one that runs."""
        running: dict[str, int] = self._ask(do="state")["running"]
        return running

    def names(self, daemon: str) -> list[str]:
        """``"slurmd"`` to all of ``slurmd.n1``...; a full name to itself. ValueError when there is none."""
        names = [name for name in self._commands if name == daemon or name.startswith(f"{daemon}.")]
        if not names:
            raise ValueError(f"no daemon {daemon!r} here; there are {', '.join(self._commands)}")
        return names

    def start(self, name: str, command: list[str], environment: Mapping[str, str], *once: str) -> None:
        """Start `command`, with the options `once` for this first time only."""
        self._commands[name] = command
        self._environments[name] = dict(environment)
        self._spawn(name, once)

    def signal(self, daemon: str, signum: signal.Signals) -> None:
        """Send a signal; RuntimeError when a daemon does not run."""
        for name in self.names(daemon):
            if self._ask(do="signal", name=name, signal=signum)["pid"] is None:
                raise RuntimeError(f"{name} is not running")

    def take_cgroups(self, root: Path, names: Sequence[str], deadline: float) -> None:
        """Have these cgroups below `root` alone, until `close` removes them; waits for who has them, at most until `deadline`."""
        while not self._ask(do="cgroups", root=str(root), names=list(names))["held"]:
            if time.monotonic() > deadline:
                raise SlurmUnavailable(f"another cluster with memory limits runs on this machine: {root} is locked")
            time.sleep(POLL)

    def wait_gone(self, daemon: str, deadline: float) -> None:
        """Wait for the end of a daemon; TimeoutError at `deadline` (time.monotonic())."""
        for name in self.names(daemon):
            while (pid := self.pids.get(name)) is not None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} (process {pid}) does not end")
                time.sleep(POLL)

    def restart(self, daemon: str, deadline: float) -> None:
        """End it with SIGTERM if it runs, and start it again."""
        names = self.names(daemon)
        for name in names:
            self._ask(do="signal", name=name, signal=signal.SIGTERM)
            self._ask(do="signal", name=name, signal=signal.SIGCONT)  # a paused one could not end
        self.wait_gone(daemon, deadline)
        for name in names:
            self._spawn(name)

    def wait_ready(self, daemon: str, ready: Callable[[], bool], deadline: float) -> None:
        """Wait until `ready`; SlurmUnavailable when `daemon` ends first or at `deadline` (time.monotonic())."""
        while not ready():
            ended: dict[str, int] = self._ask(do="state")["ended"]
            for name in self.names(daemon):
                if name in ended:
                    raise self.failure(f"{name} ended with return code {ended[name]} before it was ready")
            if time.monotonic() > deadline:
                raise self.failure(f"{daemon} was not ready in time")
            time.sleep(POLL)

    def failure(self, message: str) -> SlurmUnavailable:
        """The error to raise for `message`: with the end of every log, and saying so when it was a taken port."""
        logs = "".join(f"\n--- {name}\n{text}" for name, text in self._log_tails())
        kind = PortTaken if _PORT_TAKEN in logs else SlurmUnavailable
        return kind(f"{message}{logs}")

    def _log_tails(self) -> Iterator[tuple[str, str]]:
        # What a daemon printed (`.out`) repeats its log, unless it never came so far as to open one.
        for out in sorted(self.logs.glob("*.out")):
            log = out.with_suffix(".log")
            path = log if log.exists() and log.stat().st_size else out
            text = path.read_text(errors="replace").strip()
            if text:
                yield path.name, text[-_LOG_TAIL:]

    def _spawn(self, name: str, once: tuple[str, ...] = ()) -> None:
        answer = self._ask(
            do="start",
            name=name,
            argv=[*self._commands[name], *once],
            env=self._environments[name],
            log=str(self.logs / f"{name}.out"),
        )
        if "error" in answer:
            raise SlurmUnavailable(f"{name} could not be started: {answer['error']}")

    def _ask(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            if self._keeper.stdin is None or self._keeper.stdin.closed:
                raise RuntimeError(f"the throwaway Slurm in {self.directory} has been closed")
            self._requests += 1
            number = self._requests
            with contextlib.suppress(BrokenPipeError):  # then there is no answer either
                self._keeper.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
                self._keeper.stdin.flush()
            # The answer to a request that a KeyboardInterrupt cut short may still be in the pipe.
            while (answer := self._read()).get("id") != number:
                pass
            return answer

    def _read(self) -> dict[str, Any]:
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        if not line:
            raise RuntimeError("the process that keeps the throwaway Slurm has died")
        message: dict[str, Any] = json.loads(line)
        return message
