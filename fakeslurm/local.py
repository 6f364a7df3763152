"""Commands that are called in this process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Self

__all__ = ["LocalCaller"]


class LocalCaller:
    """A call from this process. Tasks of srun write into temporary files, and so does everybody else."""

    def __init__(self, argv: tuple[str, ...], cwd: str, environ: Mapping[str, str], input: str | None) -> None:
        self.argv = argv
        self.cwd = cwd
        self.environ = environ
        self.umask = _umask()
        self.fds = (0, 1, 2)
        self._content = (input or "").encode("utf-8", "surrogateescape")
        self._files: list[IO[bytes]] = []
        self._texts: dict[int, list[str]] = {1: [], 2: []}
        self._on_gone: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        if self.argv[0] == "srun":
            self._files = [self._stdin(), self._output(), self._output()]
            self.fds = (self._files[0].fileno(), self._files[1].fileno(), self._files[2].fileno())
        return self

    def __exit__(self, *_: object) -> None:
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
        for line in Path("/proc/self/status").read_bytes().splitlines():
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    except FileNotFoundError:
        pass  # not Linux
    umask = os.umask(0o022)
    os.umask(umask)
    return umask
