"""The processes of the jobs: a small program beside the owner, which starts, signals and reaps them. Nothing outlives it.

`main` runs in a ``python -I -S`` of its own, one *supervisor* per FakeSlurm. For each job step the owner sends it one
order with a control socket, and the supervisor forks a *step process*, which is to its step what Slurm's slurmstepd is:
parent of the tasks, subreaper of everything below them, and speaker to the owner.

- A step ends when its tasks have ended; whatever they left behind is killed then, also what forked twice, called
  setsid, or ignores SIGTERM. On Linux this is exact: orphans come to the step process (PR_SET_CHILD_SUBREAPER), and it
  goes on until it has no child left. Elsewhere it finds them by parent, process group and session in ``ps``; a process
  that forked twice *and* started a session of its own before anybody looked escapes there.
- When the owner dies or closes the channel, or the supervisor dies, every step kills all of its processes and exits.
  The supervisor then removes DIRECTORY and exits, so that a killed test leaves nothing.

Imports next to nothing: it is started while the first job waits.
"""

# pathlib and contextlib are not imported here:
# ruff: noqa: PTH109, PTH112, PTH118, PTH123, SIM105
from __future__ import annotations

import os
import select
import sys

from fakeslurm.processes import Children, become_subreaper, descendants, kill, remove_tree
from fakeslurm.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:  # these cost 10 ms to import, their C halves nothing
    import signal as _signal
    import socket as _socket
    from typing import Any, Final, NoReturn
else:
    import _signal
    import _socket

_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # bytes per unit of ru_maxrss
_GRACE: Final = 10.0  # seconds that the steps have to kill their processes once the owner is gone


# The supervisor


class Supervisor:
    """Forks the step processes, and cleans up when the owner is gone."""

    def __init__(self, channel: _socket.socket, owner: int, directory: str) -> None:
        self._channel = channel
        self._owner = owner
        self._directory = directory
        self._life, self._life_end = os.pipe()  # its end of file tells the steps that this process is gone
        self._steps: dict[int, str] = {}
        self._children = Children()
        self._watch = _watch(owner)

    def run(self) -> None:
        become_subreaper()
        poller = select.poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        poller.register(self._children.fd, select.POLLIN)
        if self._watch is not None:
            poller.register(self._watch, select.POLLIN)
        while os.getppid() == self._owner:
            ready = dict(poller.poll(None if self._watch is not None else 1000))
            if self._channel.fileno() in ready:
                order = receive(self._channel)
                if order is None:
                    break
                self._fork(*order)
            if self._children.fd in ready:
                self._reap()
        self._clean_up()

    def _fork(self, order: dict[str, Any], fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setsid()
                self._channel.close()
                os.close(self._life_end)
                if self._watch is not None:
                    os.close(self._watch)
                StepProcess(order, fds, self._life).run()
                code = 0
            except BaseException:  # noqa: BLE001 (a forked process must not return into its parent's code)
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        self._steps[pid] = order["name"]
        for fd in fds:
            os.close(fd)

    def _reap(self) -> None:
        for pid, status, _ in self._children.reap():
            if self._steps.pop(pid, None) is not None and status != 0:
                self._children.kill_all(spare=self._steps)  # its orphans are ours now

    def _clean_up(self) -> None:
        os.close(self._life_end)
        poller = select.poll()
        poller.register(self._children.fd, select.POLLIN)
        waited = 0
        while self._steps and waited < _GRACE * 1000:
            poller.poll(50)
            waited += 50
            for pid, _, _ in self._children.reap():
                self._steps.pop(pid, None)
        self._children.kill_all()
        remove_tree(self._directory)


def _watch(owner: int) -> int | None:
    """A file descriptor that becomes readable when the owner ends; None where there is no such thing.

    The channel's end of file is not enough: processes that the owner forked hold it open too.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(owner)
    except OSError:
        return None


# One step


class StepProcess:
    """The parent of one step's tasks.

    The order: ``name``; ``files`` (each the index of a passed descriptor, or ``[path, flags, mode]`` to open);
    ``environ``, shared by all tasks; ``cwd``; ``umask``; ``tasks``, each ``argv``, ``environ`` (its own variables),
    ``stdio`` (three indices of ``files``), ``group`` (tasks of one group share a process group, like the tasks of one
    node) and ``label`` (the name in front of error messages); ``lingers``. The first descriptor is the control socket.

    Says: ``("failed", file index, errno)`` and nothing more, when a file cannot be opened; ``("started", pids, own pid)``;
    ``("task", index, wait status, maximum resident bytes)``; and closes the socket when no process is left.
    Takes: ``("signal", number, "all" | "tasks")``: everything below, or the tasks' own processes alone;
    ``("write", text, group)``: on the stderr of the first task of a group; and ``("leave",)``, for which a step that
    ``lingers`` waits when its tasks have ended.
    """

    def __init__(self, order: dict[str, Any], fds: list[int], life: int) -> None:
        self._order = order
        self._control = _socket.socket(fileno=fds[0])
        self._fds = fds[1:]
        self._life = life
        self._children = Children()
        self._running: dict[int, int] = {}

    def run(self) -> None:
        become_subreaper()
        failure = self._open_files()
        if failure is not None:
            self._say(("failed", *failure))
            return
        self._start()
        self._say(("started", list(self._running), os.getpid()))
        self._watch()
        self._children.kill_all()

    def _open_files(self) -> tuple[int, int] | None:
        """Make ``self._files`` descriptors; the index and errno of the one that cannot be opened."""
        self._files: list[int] = []
        for index, file in enumerate(self._order["files"]):
            if isinstance(file, int):
                self._files.append(self._fds[file])
                continue
            path, flags, mode = file
            previous = os.umask(self._order["umask"])
            try:
                self._files.append(os.open(path, flags, mode))
            except OSError as error:
                return index, error.errno or 0
            finally:
                os.umask(previous)
        return None

    def _start(self) -> None:
        leaders: dict[int, int] = {}
        # A signal that comes for a task before it has its own dispositions waits for them; this process would ignore it.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, range(1, _signal.NSIG))
        for index, task in enumerate(self._order["tasks"]):
            leader = leaders.get(task["group"], 0)
            pid = os.fork()
            if pid == 0:
                self._exec(task, leader)
            leaders.setdefault(task["group"], pid)
            _set_group(pid, leader)
            self._running[pid] = index
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        self._stderr: dict[int, int] = {}
        for task in self._order["tasks"]:
            if task["group"] not in self._stderr:
                self._stderr[task["group"]] = os.dup(self._files[task["stdio"][2]])
        for fd in {*self._files, *self._fds}:
            os.close(fd)

    def _exec(self, task: dict[str, Any], leader: int) -> NoReturn:
        try:
            _set_group(0, leader)
            _signal.set_wakeup_fd(-1)
            for number in range(1, _signal.NSIG):
                if number not in (_signal.SIGKILL, _signal.SIGSTOP):
                    _default(number)
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
            for target, index in enumerate(task["stdio"]):
                os.dup2(self._files[index], target)
            os.umask(self._order["umask"])
            environ = {**self._order["environ"], **task["environ"], "SLURM_TASK_PID": str(os.getpid())}
            label = task["label"]
            if not task["argv"]:
                _complain(2, f"{label}: error: No executable program specified for this task\n")
                os._exit(2)
            cwd = self._order["cwd"]
            if not _enter(cwd, label, times=1 if leader else 2):
                os.chdir("/tmp")
            _exec(label, task["argv"], environ)
        except BaseException:  # noqa: BLE001 (as in Supervisor._fork)
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(1)

    def _watch(self) -> None:
        """Until the tasks have ended: pass signals on, report endings. Return early when nobody listens any more."""
        poller = select.poll()
        for fd in (self._control.fileno(), self._children.fd, self._life):
            poller.register(fd, select.POLLIN)
        self._lingers = self._order["lingers"]
        while self._running or self._lingers:
            ready = dict(poller.poll())
            if self._life in ready:
                return
            if self._control.fileno() in ready:
                order = receive(self._control)
                if order is None:
                    return
                self._obey(*order[0])
            for pid, status, usage in self._children.reap():
                index = self._running.pop(pid, None)
                if index is not None:
                    self._say(("task", index, status, usage.ru_maxrss * _RSS_UNIT))

    def _obey(self, what: str, value: Any = None, scope: Any = "") -> None:
        if what == "write":
            _complain(self._stderr[scope], value)
            return
        if what == "leave":
            self._lingers = False
            return
        # Parents before children: a shell that has lost its child must not get to its next command.
        for pid in list(self._running) if scope == "tasks" else descendants(os.getpid()):
            kill(pid, value)

    def _say(self, message: tuple[Any, ...]) -> None:
        try:
            send(self._control, message)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the owner is gone; the next look at the control socket ends this step


def _set_group(pid: int, leader: int) -> None:
    """Both parent and child do this, so that the group is right whichever runs first."""
    try:
        os.setpgid(pid, leader)
    except (PermissionError, ProcessLookupError):
        pass  # the other one was first, or the child has ended already


def _default(number: int) -> None:
    try:
        _signal.signal(number, _signal.SIG_DFL)
    except (OSError, ValueError):
        pass  # a signal that the C library keeps for itself


def _enter(cwd: str, label: str, times: int) -> bool:
    """Slurm complains once for each task and once for each node (measured), hence `times`."""
    try:
        os.chdir(cwd)
    except OSError as error:
        text = f"{label}: error: couldn't chdir to `{cwd}': {error.strerror}: going to /tmp instead\n"
        _complain(2, text * times)
        return False
    return True


def _complain(fd: int, text: str) -> None:
    try:
        os.write(fd, os.fsencode(text))
    except OSError:
        pass  # nobody reads it any more, or the disk is full


def _exec(label: str, argv: list[str], environ: dict[str, str]) -> NoReturn:
    """Become the program, or say why not as slurmstepd does (exec_task in slurmstepd/task.c) and exit with the errno."""
    program = _find(argv[0], environ.get("PATH", ""))
    try:
        if not program:  # Python refuses it in words of its own
            raise FileNotFoundError(2, os.strerror(2))
        os.execve(program, [program, *argv[1:]], environ)  # the task's argv[0] is the whole path (measured)
    except OSError as error:
        interpreter = _interpreter(program) if error.errno == 2 else ""
        what = f"bad interpreter({interpreter})" if interpreter else program
        _complain(2, f"{label}: error: execve(): {what}: {error.strerror}\n")
        os._exit(error.errno or 1)


def _find(name: str, path: str) -> str:
    """Where the program is: a bare name on PATH, and then in the working directory (measured)."""
    here = os.getcwd()
    if "/" in name:
        return os.path.join(here, name)
    for directory in [*path.split(":"), here] if name else []:
        candidate = f"{directory or '.'}/{name}"
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    return name


def _interpreter(program: str) -> str:
    """What the ``#!`` line names, "" when there is none."""
    try:
        with open(program, "rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    words = first[2:].split() if first.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""


def main() -> None:
    """The program: arguments are the descriptor of the channel, the owner's pid, and the directory."""
    channel_fd, owner, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, _signal.SIG_IGN)  # it ends when its owner does, and not before
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())  # whatever the owner has blocked
    os.set_inheritable(channel_fd, False)
    Supervisor(_socket.socket(fileno=channel_fd), owner, directory).run()
