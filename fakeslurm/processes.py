"""Finding, reaping and killing the processes below this one. Imports next to nothing, like `fakeslurm.slurmstepd`."""

# pathlib and contextlib are not imported here:
# ruff: noqa: PTH101, PTH106, PTH108, PTH110, PTH123, PTH208
from __future__ import annotations

import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real one costs 5 ms to import
    import signal as _signal
    from typing import Any
else:
    import _signal

__all__ = ["Children", "become_subreaper", "descendants", "kill", "remove_tree"]

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Whether orphans below this process become its children (Linux)."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def descendants(root: int) -> list[int]:
    """Every process below `root`, and where there is no /proc, or no subreaper, everything of its session too."""
    if os.path.exists(f"/proc/{root}/task/{root}/children"):
        found: list[int] = []
        waiting = [root]
        while waiting:
            for child in _children(waiting.pop()):
                found.append(child)
                waiting.append(child)
        return found
    return _descendants_by_ps(root)


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children.extend(map(int, file.read().split()))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended meanwhile; its children are somebody else's now, and are seen in the next round
    return children


def _descendants_by_ps(root: int) -> list[int]:
    below = {root}
    alive = _processes_by_ps()
    session = os.getsid(root)
    if session == root:
        below.update(pid for pid, _ in alive if _session(pid) == session)
    grew = True
    while grew:
        more = {pid for pid, parent in alive if parent in below} - below
        below |= more
        grew = bool(more)
    below.discard(root)
    return sorted(below)


def _processes_by_ps() -> list[tuple[int, int]]:
    """``(pid, parent)`` of everything that runs, without the ps that tells it."""
    reading, writing = os.pipe()
    ps = os.fork()
    if ps == 0:
        try:
            os.dup2(writing, 1)
            os.execvp("ps", ["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="])
        finally:
            os._exit(127)
    os.close(writing)
    with open(reading, "rb") as file:
        rows = [line.split(None, 2) for line in file]
    if os.waitpid(ps, 0)[1] != 0:
        raise OSError("cannot list processes: ps failed")
    return [(int(pid), int(parent)) for pid, parent, state in rows if int(pid) != ps and not state.startswith(b"Z")]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


def kill(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass  # gone already: what was wanted
    except PermissionError as error:  # a process that changed its user
        sys.stderr.write(f"slurmstepd: cannot signal {pid}: {error}\n")


class Children:
    """Tells when children end: a pipe to poll, and the statuses of those that can be reaped."""

    def __init__(self) -> None:
        self.fd, writing = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(writing, False)
        _signal.signal(_signal.SIGCHLD, _do_nothing)  # without a handler nothing is written to the wakeup fd
        _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def reap(self) -> list[tuple[int, int, Any]]:
        """``(pid, wait status, rusage)`` of every child that has ended since."""
        try:
            while os.read(self.fd, 512):
                pass
        except BlockingIOError:
            pass
        ended: list[tuple[int, int, Any]] = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            ended.append((pid, status, usage))

    def kill_all(self, spare: dict[int, Any] | None = None) -> None:
        """Kill everything below this process but the children in `spare`; returns when it is gone."""
        me = os.getpid()
        while True:
            self.reap()
            targets = descendants(me)
            for spared in spare or ():
                below = descendants(spared)
                targets = [pid for pid in targets if pid != spared and pid not in below]
            if not targets:
                return
            for pid in targets:
                kill(pid, _signal.SIGKILL)
            poller = select.poll()
            poller.register(self.fd, select.POLLIN)
            poller.poll(20)


def _do_nothing(_signum: int, _frame: object) -> None:
    pass


def remove_tree(directory: str) -> None:
    """Remove a directory and all that is in it; what somebody else removed meanwhile is no error."""
    try:
        os.chmod(directory, 0o700)
        with os.scandir(directory) as entries:  # closed also when a removal fails
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(directory)
    except FileNotFoundError:
        pass
