"""Commands that are called in this process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Self

from fakeslurm.commands.base import CONVERSATIONS

__all__ = ["LocalCaller"]

_UMASK = re.compile(rb"^Umask:\s*([0-7]+)$", re.MULTILINE)


class LocalCaller:
    """A call from this process. Tasks of srun write into temporary files, and so does everybody else."""

    def __init__(self, argv: tuple[str, ...], cwd: str, environ: Mapping[str, str], input: str | None) -> None:
        self.argv = argv
        self.cwd = cwd
        self.environ = environ
        self.fds = (0, 1, 2)
        self._content = (input or "").encode("utf-8", "surrogateescape")
        self._files: list[IO[bytes]] = []
        self._texts: dict[int, list[str]] = {1: [], 2: []}
        self._on_gone: Callable[[], None] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @cached_property
    def umask(self) -> int:
        return _umask()

    @property
    def niceness(self) -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    def __enter__(self) -> Self:
        if self.argv[0] in CONVERSATIONS:
            self._files = [self._stdin(), self._output(), self._output()]
            self.fds = (self._files[0].fileno(), self._files[1].fileno(), self._files[2].fileno())
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(signal.SIGKILL)
        for file in self._files:
            file.close()

    def _stdin(self) -> IO[bytes]:
        if not self._content:
            return Path(os.devnull).open("rb")
        file = self._output()
        file.write(self._content)
        file.seek(0)
        return file

    def _output(self) -> IO[bytes]:
        return tempfile.TemporaryFile("ab+")

    def read(self, path: str | None) -> bytes:
        return self._content if path is None else Path(path).read_bytes()

    def print(self, fd: int, text: str) -> None:
        if self._files:
            os.write(self.fds[fd], text.encode("utf-8", "surrogateescape"))
        else:
            self._texts[fd].append(text)

    def listen(self, on_signal: Callable[[int], None], on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone

    def answer(self, code: int) -> None:
        """Whoever called hears it when the call returns."""

    def chdir(self, path: str) -> None:
        directory = Path(self.cwd, path)
        os.scandir(directory).close()
        self.cwd = str(directory)

    def run(self, argv: tuple[str, ...], environ: Mapping[str, str], on_end: Callable[[int | None], None]) -> None:
        program = self._find(argv[0])
        if program is None:
            on_end(None)
            return
        stdin, stdout, stderr = self.fds
        child = self._child = subprocess.Popen(
            argv, executable=program, cwd=self.cwd, env=dict(environ), stdin=stdin, stdout=stdout, stderr=stderr
        )

        def wait() -> None:
            code = child.wait()
            on_end(code << 8 if code >= 0 else -code)

        threading.Thread(target=wait, name="fakeslurm-salloc-command", daemon=True).start()

    def _find(self, name: str) -> str | None:
        """As `fakeslurm.shim` does it."""
        if "/" not in name:
            found = shutil.which(name, path=self.environ.get("PATH", ""))
            if found is not None:
                return found
        place = Path(self.cwd, name)
        return str(place) if os.access(place, os.X_OK) and not place.is_dir() else None

    def kill(self, number: int) -> None:
        if self._child is not None:
            self._child.send_signal(number)

    def gone(self) -> None:
        """Whoever called does not wait any more."""
        if self._on_gone is not None:
            self._on_gone()

    def texts(self) -> tuple[str, str]:
        """stdout and stderr."""
        if not self._files:
            return "".join(self._texts[1]), "".join(self._texts[2])
        out, err = (_content(file) for file in self._files[1:])
        return out, err


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")


def _umask() -> int:
    """This process's umask; where the kernel does not tell, it is changed for a moment."""
    try:
        fd = os.open("/proc/self/status", os.O_RDONLY)
    except FileNotFoundError:
        pass  # not Linux
    else:
        try:
            found = _UMASK.search(os.read(fd, 4096))
        finally:
            os.close(fd)
        if found is not None:
            return int(found[1], 8)
    umask = os.umask(0o022)
    os.umask(umask)
    return umask
