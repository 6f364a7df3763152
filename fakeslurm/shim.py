"""Slurm's commands on PATH: a program that hands itself to the controller's process (`fakeslurm.server`).

Started as ``SOCKET =LC_CTYPE COMMAND-AS-CALLED ARGS...`` by the scripts of ``<directory>/bin`` (the second word is empty
where there is no such variable). It sends its arguments, directory,
printed is printed here, so that a full or a closed pipe is this process's affair.
"""

# contextlib is not imported here:
# ruff: noqa: SIM105
from __future__ import annotations

import os
import sys

from fakeslurm.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real ones cost 10 ms to import
    import signal as _signal
    import socket as _socket
else:
    import _signal
    import _socket

FORWARDED = {
    "srun": ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT"),
    "salloc": ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT"),
}
"""What these commands do not let happen to themselves, but decide upon."""


def main() -> None:
    path, locale, called = sys.argv[1:4]
    name = called.rpartition("/")[2]
    for fd in (0, 1, 2):
        _open_if_closed(fd)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        channel.connect(path)
    except OSError as error:
        _exit(f"{name}: error: Unable to contact slurm controller (connect failure): {path}: {error.strerror}\n")
    umask = os.umask(0)
    os.umask(umask)
    os.environ.pop("LC_CTYPE", None)
    if locale:
        os.environ["LC_CTYPE"] = locale[1:]
    request = {
        "argv": [name, *sys.argv[4:]],
        "cwd": _cwd(),
        "environ": {os.fsdecode(k): os.fsdecode(v) for k, v in os.environb.items()},
        "umask": umask,
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
    }
    send(channel, request, (0, 1, 2))
    forwarded = FORWARDED.get(name, ())
    for signal_name in forwarded:
        _signal.signal(getattr(_signal, signal_name), lambda number, _frame: _tell(channel, "signal", int(number)))
    child = 0
    while True:
        received = receive(channel)
        if received is None:
            if child:
                _kill(child, _signal.SIGKILL)
            return _exit(f"{name}: error: the controller is gone\n")
        message, _ = received
        what, *values = message
        if what == "print":
            _write(values[0], os.fsencode(values[1]))
        elif what == "read":
            send(channel, _read(*values))
        elif what == "chdir":
            send(channel, _chdir(*values))
        elif what == "run":
            child = _run(channel, *values)
        elif what == "kill":
            _kill(child, values[0])
        elif what == "exit":
            os._exit(values[0])


def _tell(channel: _socket.socket, what: str, value: int | None) -> None:
    try:
        send(channel, (what, value))
    except BrokenPipeError:
        pass  # the step has ended; the return code is on its way


def _chdir(path: str) -> tuple[int, str]:
    try:
        os.chdir(path)
    except OSError as error:
        return error.errno or 0, error.strerror or ""
    return 0, ""


def _run(channel: _socket.socket, argv: list[str], environ: dict[str, str]) -> int:
    """Start a program; its end is told as ``("ended", wait status)``, at once with None when there is no such program."""
    program = _find(argv[0])
    if not program:
        _tell(channel, "ended", None)
        return 0
    _signal.signal(_signal.SIGCHLD, lambda _number, _frame: _tell_end(channel))
    child = os.fork()
    if child == 0:
        try:
            for number in (_signal.SIGCHLD, _signal.SIGPIPE, *(getattr(_signal, one) for one in FORWARDED["salloc"])):
                _signal.signal(number, _signal.SIG_DFL)
            if os.isatty(0):  # the terminal's signals are the program's alone
                os.setpgid(0, 0)
                _signal.signal(_signal.SIGTTOU, _signal.SIG_IGN)
                os.tcsetpgrp(0, os.getpid())
                _signal.signal(_signal.SIGTTOU, _signal.SIG_DFL)
            os.execve(program, argv, environ)
        finally:
            os._exit(1)
    return child


def _find(name: str) -> str:
    """Where a program is: a bare name on PATH, then in the working directory (measured); "" when nowhere."""
    places = [name] if "/" in name else [f"{place}/{name}" for place in os.environ.get("PATH", "").split(":")] + [name]
    for place in places:
        if os.access(place, os.X_OK) and not os.path.isdir(place):  # noqa: PTH112 (pathlib is not imported here)
            return place
    return ""


def _tell_end(channel: _socket.socket) -> None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    if pid and not os.WIFSTOPPED(status):
        _tell(channel, "ended", status)


def _kill(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        pass  # it has ended, and the message about it is on its way


def _open_if_closed(fd: int) -> None:
    try:
        os.fstat(fd)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (pathlib is not imported here)
    except FileNotFoundError:
        return os.environ.get("PWD", "/")


def _write(fd: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:  # Python ignores SIGPIPE, of which the real commands die
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGPIPE)


def _read(path: str | None) -> tuple[bytes | None, int, str]:
    """The content of a file, or of the standard input; or the errno and its words."""
    parts: list[bytes] = []
    try:
        fd = 0 if path is None else os.open(path, os.O_RDONLY)
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    except OSError as error:
        return None, error.errno or 0, error.strerror or ""
    return b"".join(parts), 0, ""


def _exit(text: str) -> None:
    _write(2, os.fsencode(text))
    os._exit(1)
