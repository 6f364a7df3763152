"""The directory of one FakeSlurm and what lives in it: slurmstepd and the commands. Each is made when it is first needed."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from fakeslurm.processes import remove_tree
from fakeslurm.server import LONGEST_DIRECTORY, Handler, Server
from fakeslurm.steps import StepDaemon

__all__ = ["Home"]


class Home:
    """Made lazily, so that a FakeSlurm whose jobs nobody starts and whose commands nobody calls costs nothing.

    From the moment that the directory exists, slurmstepd watches over it: it goes when this process goes, in whatever way.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._lock = threading.RLock()
        self._directory: Path | None = None
        self._steps: StepDaemon | None = None
        self._server: Server | None = None
        self._owner = os.getpid()

    @property
    def exists(self) -> bool:
        return self._directory is not None

    @property
    def directory(self) -> Path:
        """Mode 0700."""
        self._make()
        assert self._directory is not None
        return self._directory

    @property
    def steps(self) -> StepDaemon:
        self._make()
        assert self._steps is not None
        return self._steps

    @property
    def bin(self) -> Path:
        """The directory of the commands."""
        with self._lock:
            if self._server is None:
                self._server = Server(self.directory, self._handler)
            return self._server.bin

    @property
    def job_bin(self) -> Path:
        """The directory of the commands that jobs alone find on PATH where time is virtual."""
        with self._lock:
            self.bin  # noqa: B018 (makes the server)
            assert self._server is not None
            return self._server.job_bin

    def _make(self) -> None:
        with self._lock:
            if self._directory is not None:
                return
            base = tempfile.gettempdir()
            if len(os.fsencode(base)) > LONGEST_DIRECTORY - len("/fakeslurm-12345678"):
                base = "/tmp"
            directory = Path(tempfile.mkdtemp(prefix="fakeslurm-", dir=base)).resolve()
            try:
                self._steps = StepDaemon(directory)
            except BaseException:
                remove_tree(str(directory))
                raise
            self._directory = directory

    def close(self) -> None:
        """Take no more calls, kill every process, remove the directory. In a forked child it does nothing."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            server, self._server = self._server, None
            steps, self._steps = self._steps, None
        if server is not None:
            server.close()
        if steps is not None:
            steps.close()
