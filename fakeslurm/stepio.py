"""srun's input and output: where each rank reads and writes, and the relays in between.

What can be handed to the tasks is handed to them: they write on srun's own stdout without anybody in between. A relay
exists where srun does something with the bytes: labels (``-l``), and the standard input, which every rank gets.
Measured on 22.05.8: srun reads all of its input even when no rank does (a ``while read`` loop around srun ends after
one round); a last line without a line break gets one from ``-l``.
"""

from __future__ import annotations

import errno
import os
import posixpath
import select
import selectors
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from attrs import define, field, frozen

from fakeslurm.batchfiles import make_directories, open_flags
from fakeslurm.filenames import FileNames, expand, is_per_task
from fakeslurm.steps import File

__all__ = ["Rank", "StepIO", "StepIOError", "Wanted"]

_CHUNK = 1 << 16


class StepIOError(Exception):
    """A file cannot be opened; the text is srun's."""


@frozen
class Wanted:
    """What srun's options say: ``--input``, ``--output``, ``--error``, ``--label``, ``--open-mode``."""

    input: str | None = None
    output: str | None = None
    error: str | None = None
    label: bool = False
    open_mode: str | None = None


@frozen
class Rank:
    """A task: its rank, what the letters of a file name are for it, its working directory, and the options that are about it."""

    rank: int
    names: FileNames
    cwd: str
    wanted: Wanted


@define
class StepIO:
    """The files of a step as `fakeslurm.steps` takes them, and the relays. `close` after the step has ended.

    `fds` are srun's standard descriptors; `cwd` is srun's directory; `umask` srun's.
    """

    ranks: Sequence[Rank]
    fds: tuple[int, int, int]
    cwd: str
    umask: int
    listeners: int | None = None
    """How many of the ranks, the first ones, have srun's standard input; None for all."""
    makes_directories: bool = False
    """Whether output files may be in directories that are not there."""
    files: list[File | int] = field(factory=list)
    stdio: list[tuple[int, int, int]] = field(factory=list)
    _known: dict[object, int] = field(factory=dict)
    _theirs: list[int] = field(factory=list)
    """Ends of pipes that are the tasks', closed here once the step has been launched."""
    _labels: list[tuple[int, int, int]] = field(factory=list)
    """(what to read, where to write, rank)."""
    _feeds: list[int] = field(factory=list)
    """Pipes to the tasks' standard input."""
    _owned: list[IO[bytes]] = field(factory=list)
    """Files that are written here."""
    _threads: list[threading.Thread] = field(factory=list)
    _stop: tuple[int, int] | None = None
    _width: int = 1

    def prepare(self) -> None:
        """Decide about every rank. Raises `StepIOError`."""
        self._width = len(str(len(self.ranks) - 1))
        try:
            for rank in self.ranks:
                self.stdio.append((self._input(rank), self._out(rank, 1), self._out(rank, 2)))
        except BaseException:
            self.abandon()
            raise

    def started(self) -> None:
        """The step has its descriptors: start the relays."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs.clear()
        if self._labels:
            self._start(self._relay_labels, "labels")
        if self._feeds:
            self._stop = os.pipe()
            self._start(self._relay_input, "input")

    def is_per_task(self, stream: str) -> bool:
        """Whether every rank has its own ``stdout``, or ``stderr``."""
        wanted = self.ranks[0].wanted
        name = wanted.error if stream == "stderr" and wanted.error is not None else wanted.output
        return name is not None and is_per_task(name)

    def close(self) -> None:
        """The step has ended: relay what is still on the way."""
        if self._stop is not None:
            os.close(self._stop[1])
        for thread in self._threads:
            thread.join()
        if self._stop is not None:
            os.close(self._stop[0])
        for file in self._owned:
            file.close()

    def abandon(self) -> None:
        """The step was never launched."""
        for fd in [*self._theirs, *self._feeds, *(reading for reading, _, _ in self._labels)]:
            os.close(fd)
        for file in self._owned:
            file.close()

    # Which file is whose

    def _file(self, key: object, file: File | int) -> int:
        """The index of a file, the same for all that share it."""
        if key not in self._known:
            self._known[key] = len(self.files)
            self.files.append(file)
        return self._known[key]

    def _null(self) -> int:
        return self._file("null", File(os.devnull, os.O_RDWR))

    def _input(self, rank: Rank) -> int:
        name = rank.wanted.input
        only = self._only_rank(name)
        if name == "none" or (only is not None and only != rank.rank):
            return self._null()
        if name is None and self.listeners is not None and rank.rank >= self.listeners:
            return self._null()
        if name is None or name == "all" or only is not None:
            return self._from_srun(rank)
        path = posixpath.join(self.cwd, expand(name, rank.names))
        if not os.access(path, os.R_OK):
            problem = errno.EACCES if Path(path).exists() else errno.ENOENT
            raise StepIOError(f"Could not open stdin file: {os.strerror(problem)}")
        return self._file(("input", rank.rank), File(path))

    def _from_srun(self, rank: Rank) -> int:
        """A terminal cannot be shared out: the first rank has it. What is always empty needs no relay."""
        source = os.fstat(self.fds[0])
        if os.isatty(self.fds[0]):
            return self._file("stdin", self.fds[0]) if rank.rank == 0 else self._null()
        if stat.S_ISCHR(source.st_mode) and source.st_rdev == Path(os.devnull).stat().st_rdev:
            return self._null()
        reading, writing = os.pipe()
        self._theirs.append(reading)
        self._feeds.append(writing)
        return self._file(("stdin", rank.rank), reading)

    def _out(self, rank: Rank, fd: int) -> int:
        wanted = rank.wanted
        name = wanted.output if fd == 1 or wanted.error is None else wanted.error
        only = self._only_rank(name)
        if name == "none" or (only is not None and only != rank.rank):
            return self._null()
        if name is None or name == "all" or only is not None:
            if not wanted.label:
                return self._file(("srun", fd), self.fds[fd])
            return self._labelled(rank, ("srun", fd), self.fds[fd])
        directory = (
            rank.cwd if is_per_task(name) else self.cwd
        )  # measured: a rank's own file is seen from its directory
        path = posixpath.join(directory, expand(name, rank.names))
        if self.makes_directories:
            make_directories([path])
        flags = open_flags(wanted.open_mode)
        if wanted.label:
            return self._labelled(rank, path, self._open(path, fd, flags))
        return self._file(path, File(path, flags))

    def _only_rank(self, name: str | None) -> int | None:
        """A number is a rank, if there is one of that number; else it is the name of a file (measured)."""
        return int(name) if name is not None and name.isdecimal() and int(name) < len(self.ranks) else None

    def _open(self, path: str, fd: int, flags: int) -> int:
        if path in self._known:
            return self._known[path]
        try:
            opened = os.open(path, flags, 0o666 & ~self.umask)
        except OSError as error:
            raise StepIOError(f"Could not open {'stdout' if fd == 1 else 'stderr'} file: {error.strerror}") from error
        self._owned.append(os.fdopen(opened, "wb"))
        self._known[path] = opened
        return opened

    def _labelled(self, rank: Rank, key: object, target: int) -> int:
        reading, writing = os.pipe()
        self._theirs.append(writing)
        self._labels.append((reading, target, rank.rank))
        self.files.append(writing)
        return len(self.files) - 1

    # Relays

    def _start(self, run: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=run, name=f"fakeslurm-srun-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _relay_labels(self) -> None:
        """Lines as they come, each with its rank in front; ends when no task has the other end any more."""
        rest: dict[int, bytes] = {}
        with selectors.DefaultSelector() as selector:
            for reading, target, rank in self._labels:
                selector.register(reading, selectors.EVENT_READ, (target, f"{rank:>{self._width}}: ".encode()))
            while selector.get_map():
                for key, _ in selector.select():
                    target, prefix = key.data
                    data = os.read(key.fd, _CHUNK)
                    *lines, last = (rest.pop(key.fd, b"") + data).split(b"\n")
                    if data:
                        rest[key.fd] = last
                    elif last:
                        lines.append(last)
                    _write_all(target, b"".join(prefix + line + b"\n" for line in lines))
                    if not data:
                        selector.unregister(key.fd)
                        os.close(key.fd)

    def _relay_input(self) -> None:
        """Everything that srun reads, to every rank, at the pace of the slowest; a rank that is gone is left out."""
        assert self._stop is not None
        source, stop = self.fds[0], self._stop[0]
        poller = select.poll()
        for fd in (source, stop):
            poller.register(fd, select.POLLIN)
        feeds = list(self._feeds)
        while feeds:
            ready = dict(poller.poll())
            data = os.read(source, _CHUNK) if source in ready else b""
            for fd in list(feeds):
                if not _write_all(fd, data):
                    os.close(fd)
                    feeds.remove(fd)
            if not data or stop in ready:
                break
        for fd in feeds:
            os.close(fd)


def _write_all(fd: int, data: bytes) -> bool:
    """False when nobody reads it any more."""
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:
        return False
    return True
