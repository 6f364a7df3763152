"""The keeper: the process that owns every daemon of a throwaway Slurm.

It runs as its own program (``python keeper.py OWNER_PID BASE``), imports the standard library alone, makes a directory in
BASE, and is the parent of mariadbd, slurmdbd, slurmctld and the slurmds. As a *child subreaper* it also inherits what
those leave behind (slurmstepd detaches itself, and so do job processes), so that "everything that was started" is simply
"everything below the keeper". When its owner closes the pipe, or dies of anything (SIGKILL included), or SIGTERM arrives,
it kills all of that, removes the directory and ends.

Its first line on stdout is ``{"directory": "/tmp/slurm-x"}``. Then requests come as one JSON object per line on stdin, each
answered by one line on stdout that repeats its ``id``:

=======================================================  ============================================================
``{"id": 1, "do": "start", "name", "argv", "env",        ``{"pid": 17}`` or ``{"error": "..."}``
"log"}``
``{"id": 2, "do": "signal", "name", "signal": 9}``       ``{"pid": 17}``, or ``{"pid": null}`` when it is not running
``{"id": 3, "do": "state"}``                             ``{"running": {name: pid}, "ended": {name: return code}}``
``{"id": 4, "do": "cgroups", "root", "names"}``          ``{"held": true}``: nobody else has a lock there; what
                                                         is of these names below it goes with the keeper
=======================================================  ============================================================

Its last line is ``{"left": [pids]}``: what it could not kill, empty when all is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_TICK = 0.2  # seconds between two looks at the children and at the owner
_KILL_PATIENCE = 10.0  # seconds: a process in uninterruptible sleep must not hang the owner for ever


class _StopRequest(Exception):  # noqa: N818 - nothing went wrong
    """SIGTERM, SIGINT or SIGHUP asked the keeper to end."""


def _stop(signum: int, frame: object) -> None:
    raise _StopRequest


def descendants(root: int) -> list[int]:
    """The ids of all live processes below `root`, from /proc; zombies are left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:  # it ended while we looked
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]  # the name before ")" may hold blanks and parentheses
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


class Keeper:
    """Starts, signals and reaps daemons by name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cgroups: list[Path] = []
        self.running: dict[str, int] = {}
        self.ended: dict[str, int] = {}

    def reap(self) -> None:
        """Collect every child that ended, adopted orphans among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, known in list(self.running.items()):
                if known == pid:
                    del self.running[name]
                    self.ended[name] = os.waitstatus_to_exitcode(status)

    def start(self, name: str, argv: list[str], env: dict[str, str], log: str) -> dict[str, Any]:
        if name in self.running:
            return {"error": f"{name} is running already"}
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # ignored by Python, and that is inherited
            )
        except OSError as error:
            return {"error": f"{argv[0]}: {error.strerror}"}
        self.ended.pop(name, None)
        self.running[name] = pid
        return {"pid": pid}

    def signal(self, name: str, signum: int) -> dict[str, Any]:
        self.reap()  # only what has not been reaped still owns its process id
        pid = self.running.get(name)
        if pid is not None:
            os.kill(pid, signum)
        return {"pid": pid}

    def state(self) -> dict[str, Any]:
        self.reap()
        return {"running": self.running, "ended": self.ended}

    def take_cgroups(self, root: Path, names: list[str]) -> dict[str, Any]:
        lock = os.open(root / "cgroup.procs", os.O_RDONLY)  # slurmstepd locks the directories
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until this process ends
        except BlockingIOError:
            os.close(lock)
            return {"held": False}
        self.cgroups = [root / name for name in names]
        self._remove_cgroups()
        return {"held": True}

    def _remove_cgroups(self) -> None:
        """A cgroup without processes can be removed as a directory, its files notwithstanding; those below it first."""
        for top in self.cgroups:
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # somebody else's process is in it
                    Path(path).rmdir()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "start":
                return self.start(request["name"], request["argv"], request["env"], request["log"])
            case "signal":
                return self.signal(request["name"], request["signal"])
            case "state":
                return self.state()
            case "cgroups":
                return self.take_cgroups(Path(request["root"]), request["names"])
            case other:
                return {"error": f"unknown request {other!r}"}

    def end(self) -> list[int]:
        """Kill everything below this process and remove the directory; returns what could not be killed."""
        deadline = time.monotonic() + _KILL_PATIENCE
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            time.sleep(0.005)
        self.reap()
        self._remove_cgroups()
        os.chdir("/")
        shutil.rmtree(self.directory, ignore_errors=True)
        return left


def _serve(keeper: Keeper, owner: int) -> None:
    pending = b""
    while os.getppid() == owner:  # a forked child of the owner may keep the pipe open after the owner's death
        keeper.reap()
        if not select.select([0], [], [], _TICK)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            _say({"id": request["id"], **keeper.answer(request)})


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def main(owner: str, base: str) -> int:
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for signum in signals:
        signal.signal(signum, _stop)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        print(f"prctl: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return 1
    directory = Path(tempfile.mkdtemp(prefix="slurm-", dir=base)).resolve()
    keeper = Keeper(directory)
    try:
        os.chdir(directory)
        _say({"directory": str(directory)})
        _serve(keeper, int(owner))
    except (_StopRequest, BrokenPipeError):
        pass
    finally:
        for signum in signals:
            signal.signal(signum, signal.SIG_IGN)
        left = keeper.end()
    with contextlib.suppress(BrokenPipeError):
        _say({"left": left})
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
