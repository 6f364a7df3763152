"""The controller behind a Unix socket, and the directory of commands that lead to it.

The commands (`fakeslurm.shim`) find the socket through the script they are called by, never through ``SLURM_*``
variables: programs that scrub those still find their cluster. One thread per call; a call ends when its handler has
returned the exit code.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fakeslurm.commands.base import COMMANDS
from fakeslurm.steps import program
from fakeslurm.wire import receive, send

__all__ = ["LONGEST_DIRECTORY", "Caller", "Relayed", "Server"]

_PATIENCE = 1.0
"""Seconds that a command has to end in, once it has its answer."""
LONGEST_DIRECTORY = 80
"""Bytes in the path of the directory: a socket's path has 104 at most on macOS, 108 on Linux."""


class Caller(Protocol):
    """Who called a command, wherever it is: a program, or this process."""

    argv: tuple[str, ...]
    """The arguments with the command's name in front."""
    cwd: str
    environ: Mapping[str, str]
    fds: tuple[int, int, int]
    """Its standard descriptors, open here too; the caller closes them."""

    @property
    def umask(self) -> int: ...

    @property
    def niceness(self) -> int: ...

    def read(self, path: str | None) -> bytes:
        """A file as the caller sees it, None for its standard input. Raises OSError."""

    def print(self, fd: int, text: str) -> None:
        """Write on its stdout (1) or stderr (2). Harmless when it is gone."""

    def answer(self, code: int) -> None:
        """Tell the return code before the call is over, and wait until the caller has ended with it."""

    def listen(self, on_signal: Callable[[int], None], on_gone: Callable[[], None]) -> None:
        """From now on, tell the signals that the caller was sent, and when it has died; on another thread."""

    def chdir(self, path: str) -> None:
        """Change its directory; before `listen`. Raises OSError."""

    def run(self, argv: tuple[str, ...], environ: Mapping[str, str], on_end: Callable[[int | None], None]) -> None:
        """Have it run a program as its child; after `listen`. `on_end` hears the wait status, None for no such program."""

    def kill(self, number: int) -> None:
        """Have it signal that program. Harmless when it has ended."""

    def gone(self) -> None:
        """Nobody waits for it any more: whoever listens is told that it has died."""


Handler = Callable[[Caller], int]


class Relayed:
    """A caller between a command and the one who called it: hands everything on."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.argv = caller.argv
        self.cwd = caller.cwd
        self.environ: Mapping[str, str] = caller.environ
        self.fds = caller.fds

    @property
    def umask(self) -> int:
        return self._caller.umask

    @property
    def niceness(self) -> int:
        return self._caller.niceness

    def read(self, path: str | None) -> bytes:
        return self._caller.read(path)

    def print(self, fd: int, text: str) -> None:
        self._caller.print(fd, text)

    def answer(self, code: int) -> None:
        self._caller.answer(code)

    def listen(self, on_signal: Callable[[int], None], on_gone: Callable[[], None]) -> None:
        self._caller.listen(on_signal, on_gone)

    def chdir(self, path: str) -> None:
        self._caller.chdir(path)

    def run(self, argv: tuple[str, ...], environ: Mapping[str, str], on_end: Callable[[int | None], None]) -> None:
        self._caller.run(argv, environ, on_end)

    def kill(self, number: int) -> None:
        self._caller.kill(number)

    def gone(self) -> None:
        self._caller.gone()


class RemoteCaller:
    """A command on PATH, at the other end of a connection."""

    def __init__(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        self._connection = connection
        self.argv: tuple[str, ...] = tuple(request["argv"])
        self.cwd: str = request["cwd"]
        self.environ: Mapping[str, str] = request["environ"]
        self.umask: int = request["umask"]
        self.niceness: int = request["niceness"]
        self.fds = (fds[0], fds[1], fds[2])
        self._listener: threading.Thread | None = None
        self._over = False
        self._on_end: Callable[[int | None], None] | None = None

    def read(self, path: str | None) -> bytes:
        content, errno, words = self._ask("read", path)
        if content is None:
            raise OSError(errno, words, path)
        data: bytes = content
        return data

    def chdir(self, path: str) -> None:
        errno, words = self._ask("chdir", path)
        if errno:
            raise OSError(errno, words, path)

    def run(self, argv: tuple[str, ...], environ: Mapping[str, str], on_end: Callable[[int | None], None]) -> None:
        self._on_end = on_end
        self._tell("run", list(argv), dict(environ))

    def kill(self, number: int) -> None:
        self._tell("kill", int(number))

    def _tell(self, *message: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            send(self._connection, message)

    def _ask(self, *message: object) -> Any:
        self._tell(*message)
        received = receive(self._connection)
        if received is None:
            raise ConnectionResetError(f"{self.argv[0]} was killed")
        return received[0]

    def print(self, fd: int, text: str) -> None:
        if text:
            self._tell("print", fd, text)

    def listen(self, on_signal: Callable[[int], None], on_gone: Callable[[], None]) -> None:
        def run() -> None:
            while (received := receive(self._connection)) is not None:
                what, value = received[0]
                if what == "signal":
                    on_signal(value)
                elif self._on_end is not None:
                    self._on_end(value)
            if not self._over:
                on_gone()

        self._listener = threading.Thread(target=run, name=f"fakeslurm-{self.argv[0]}-signals", daemon=True)
        self._listener.start()

    def answer(self, code: int) -> None:
        with contextlib.suppress(OSError):  # it is gone, or stopped
            send(self._connection, ("exit", code))
            self._connection.settimeout(_PATIENCE)
            receive(self._connection)
            self._connection.settimeout(None)

    def gone(self) -> None:
        with contextlib.suppress(OSError):  # it is gone
            self._connection.shutdown(socket.SHUT_RDWR)

    def finish(self, code: int) -> None:
        """The call has ended: tell the return code, unless the caller has heard it already."""
        with contextlib.suppress(BrokenPipeError):
            send(self._connection, ("exit", code))
        if self._listener is not None:
            self._over = True
            with contextlib.suppress(OSError):  # the caller is gone
                self._connection.shutdown(socket.SHUT_RDWR)
            self._listener.join()


class Server:
    """Listens in `directory`, whose ``bin`` holds the commands."""

    def __init__(self, directory: Path, handler: Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path = str(directory / "socket")
        self._socket.bind(self._path)
        self._socket.listen(128)
        self.bin = directory / "bin"
        self._make_commands(self.bin, COMMANDS)
        self._job_bin = directory / "job-bin"
        self._closing = False
        self._thread = threading.Thread(target=self._accept, name="fakeslurm-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more calls; those that wait end with an error."""
        self._closing = True
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(self._path)  # closing a socket does not wake the thread that waits in accept()
        self._thread.join()
        self._socket.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the caller is gone
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def job_bin(self) -> Path:
        """A directory with ``sleep``, which sleeps by the clock of this Slurm."""
        if not self._job_bin.exists():
            self._make_commands(self._job_bin, ["sleep"])
        return self._job_bin

    def _make_commands(self, directory: Path, names: Sequence[str]) -> None:
        directory.mkdir()
        first, *others = (directory / name for name in names)
        words = " ".join(shlex.quote(word) for word in [*program("shim"), self._path])
        # Through /bin/sh: a #! line has no room for a long path, nor for one with blanks.
        # LC_CTYPE as it was: Python sets it when the locale is C (PEP 538), and srun hands it on to its tasks.
        first.write_text(f'#!/bin/sh\nexec {words} "${{LC_CTYPE+=}}${{LC_CTYPE-}}" "$0" "$@"\n')
        first.chmod(0o755)
        for other in others:
            other.hardlink_to(first)  # a symbolic link costs 0.2 ms on ext4, this next to nothing

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._closing:
                connection.close()
                return
            threading.Thread(target=self._serve, args=(connection,), name="fakeslurm-call", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            with self._lock:
                self._connections.add(connection)
            fds: list[int] = []
            try:
                received = receive(connection)
                if received is None:
                    return
                request, fds = received
                caller = RemoteCaller(connection, request, fds)
                caller.finish(self._handler(caller))
            except ConnectionResetError:
                pass  # the caller was killed before it had asked completely
            finally:
                with self._lock:
                    self._connections.discard(connection)
                for fd in fds:
                    os.close(fd)
