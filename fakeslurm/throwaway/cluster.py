"""A private real Slurm in one directory: slurmctld, one slurmd per node, slurmdbd and its MariaDB.

Any user may start one: no root, no munge, no container. Everything it writes is in one temporary directory, everything
it runs is below one keeper process (see `fakeslurm.throwaway.keeper`), and both are gone when it is closed or when the
Python process that started it ends, in whatever way.

Because there is no munge, *nobody is authenticated*: whoever can connect to the loopback interface of this machine and
guesses the ports can run programs as the user who started the cluster. Do not start one as root on a shared machine.
"""

from __future__ import annotations

import os
import pwd
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fakeslurm.conflines import read_conf
from fakeslurm.throwaway import cgroups
from fakeslurm.throwaway import conf as texts
from fakeslurm.throwaway.daemons import POLL, Daemons, PortTaken, SlurmUnavailable
from fakeslurm.throwaway.programs import find, unavailable_reason

# Variables by which Slurm's commands take options from their environment, and what an outer job or step sets.
_SLURM_VARIABLE = re.compile(
    r"(SLURM|SLURMD|SLURMCTLD|SLURMDBD|SBATCH|SRUN|SALLOC|SQUEUE|SINFO|SACCT|SACCTMGR|SCANCEL|SCONTROL|SCRON|SDIAG"
    r"|SPRIO|SREPORT|SSHARE|SSTAT|SBCAST|SATTACH|STRIGGER|SVIEW|PMI|PMIX|PMI2)_"
)
# sinfo names a node once for each partition that has it.
_NODE_STATES = ("scontrol", "--oneliner", "show", "node")
_CGROUP_PATIENCE = 240  # seconds to wait for another cluster with memory limits to end
_START_ATTEMPTS = 5  # each with fresh ports


class ThrowawaySlurm:
    """A real Slurm that lives as long as a ``with`` block.

    >>> with ThrowawaySlurm(nodes=2) as slurm:                                         # doctest: +SKIP
    ...     slurm.run(["sbatch", "--wrap", "hostname"]).stdout
    'Submitted batch job 1\\n'

    Nodes are n1..nN (`cpus_per_node` CPUs and `memory_mb` MB each), all in the default partition ``debug``.
    `extra_conf` replaces or adds lines of slurm.conf: ``{"MinJobAge": "300"}`` or ``["PartitionName=two Nodes=n1"]``. A
    NodeName line changes one of the nodes (``"NodeName=n[1-2] Gres=gpu:2"``; gres.conf is written as needed), a PartitionName
    line replaces the partition of that name. ``ConstrainRAMSpace=yes``, which is for cgroup.conf, limits memory (with
    ``TaskPlugin=task/cgroup`` and ``SelectTypeParameters=CR_Core_Memory``): as root, with cgroup v1, one such cluster at a
    time (it waits for another one to end), since Slurm calls its cgroups by the nodes' names. Raises ValueError for what is no such line.
    Without `accounting`, or with ``AccountingStorageType=accounting_storage/none``, there is neither slurmdbd nor MariaDB, and sacct
    says that accounting is disabled.
    Raises `SlurmUnavailable` when a program is missing (the message names the packages) or when the nodes are not idle
    within `start_timeout` seconds (the message carries the logs).
    """

    def __init__(
        self,
        nodes: int = 4,
        cpus_per_node: int = 4,
        memory_mb: int = 2000,
        accounting: bool = True,
        extra_conf: Mapping[str, str] | Sequence[str] = (),
        start_timeout: float = 60,
    ) -> None:
        for name, value in (("nodes", nodes), ("cpus_per_node", cpus_per_node), ("memory_mb", memory_mb)):
            if value < 1:
                raise ValueError(f"{name}={value!r}: a throwaway Slurm needs at least 1")
        if isinstance(extra_conf, str):
            raise TypeError(f"extra_conf={extra_conf!r}: expected a mapping or a sequence of lines, not one string")
        lines = (
            [f"{key}={value}" for key, value in extra_conf.items()] if isinstance(extra_conf, Mapping) else extra_conf
        )
        self._nodes = nodes
        self._cpus_per_node = cpus_per_node
        self._memory_mb = memory_mb
        self._accounting = accounting
        self._extra_conf = read_conf(lines)
        if texts.is_without_accounting(self._extra_conf):
            self._accounting = False
        self._start_timeout = start_timeout
        self._running: Daemons | None = None
        self._directory: Path | None = None
        self._version: str | None = None

    # Life

    def start(self) -> Self:
        """Start it and wait until every node is idle; returns itself. ``with`` does this."""
        if self._running is not None:
            raise RuntimeError(f"this throwaway Slurm runs already, in {self.directory}")
        reason = self.unavailable_reason
        if reason is not None:
            raise SlurmUnavailable(reason)
        version = subprocess.run([_program("slurmctld"), "-V"], capture_output=True, text=True, check=True, timeout=30)
        self._version = texts.parse_version(version.stdout)
        deadline = time.monotonic() + self._start_timeout
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._start_once(deadline)
                break
            except PortTaken:
                self.close()
                if attempt == _START_ATTEMPTS:
                    raise
            except BaseException:
                self.close()
                raise
        return self

    def close(self) -> None:
        """Kill every process, remove the directory; returns when both are gone. Harmless when not running."""
        daemons, self._running = self._running, None
        if daemons is not None:
            daemons.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # What it is

    @property
    def unavailable_reason(self) -> str | None:
        """Why it cannot start on this machine, as one sentence; None when it can."""
        reason = unavailable_reason(self._accounting)
        if reason is None and self.is_exclusive:
            return cgroups.unavailable_reason()
        return reason

    @property
    def is_exclusive(self) -> bool:
        """Whether no other cluster with memory limits can run beside it."""
        return texts.constrains_memory(self._extra_conf)

    @property
    def directory(self) -> Path:
        """The one directory (mode 0700) that holds configuration, state, spool, logs and database."""
        if self._directory is None:
            raise RuntimeError("this throwaway Slurm has not been started")
        return self._directory

    @property
    def conf(self) -> Path:
        """slurm.conf, the value of SLURM_CONF."""
        return self.directory / "slurm.conf"

    @property
    def version(self) -> str:
        """Slurm's version, e.g. ``"22.05.8"``."""
        if self._version is None:
            raise RuntimeError("this throwaway Slurm has not been started")
        return self._version

    @property
    def node_names(self) -> tuple[str, ...]:
        """``("n1", ..., "nN")``."""
        return tuple(f"n{number}" for number in range(1, self._nodes + 1))

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each running daemon: ``mariadbd``, ``slurmdbd``, ``slurmctld``, ``slurmd.n1``..."""
        return self._daemons.pids

    # Using it

    def environ(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """A copy of `base` (default: this process's environment) that leads Slurm's commands here.

        Every variable that an outer job or step left, or by which a command takes options, is dropped.
        """
        environment = os.environ if base is None else base
        clean = {name: value for name, value in environment.items() if not _SLURM_VARIABLE.match(name)}
        clean["SLURM_CONF"] = str(self.conf)
        return clean

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        input: str | None = None,
        timeout: float | None = 30,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this cluster and capture its text; the return code is the caller's to check.

        `env` is the complete environment (default: `environ()`). Without `input`, stdin is empty. Raises
        `subprocess.TimeoutExpired` after `timeout` seconds.
        """
        stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd=cwd,
            env=self.environ() if env is None else env,
            check=False,
            **stdin,
        )

    def wait_idle(self, timeout: float = 30) -> None:
        """Wait until no job is pending, running or completing and all nodes are idle; TimeoutError otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(1.0, deadline - time.monotonic())
            jobs = self.run(["squeue", "--noheader", "--format=%i %T"], timeout=left)
            nodes = self.run(_NODE_STATES, timeout=left)
            if jobs.returncode == 0 and not jobs.stdout and _states(nodes) == ["IDLE"] * self._nodes:
                return
            if time.monotonic() > deadline:
                seen = ", ".join(f"{jobs.stdout}{jobs.stderr}{nodes.stdout}{nodes.stderr}".splitlines())
                raise TimeoutError(f"not idle after {timeout:g} s: {seen}")
            time.sleep(POLL)

    # Faults

    def pause(self, daemon: str) -> None:
        """Stop a daemon (SIGSTOP): it keeps its port and answers nobody.

        `daemon` is ``slurmctld``, ``slurmdbd``, ``mariadbd``, ``slurmd`` (all of them) or one of them, ``slurmd.n2``.
        """
        self._daemons.signal(daemon, signal.SIGSTOP)

    def resume(self, daemon: str) -> None:
        """Let a paused daemon go on."""
        self._daemons.signal(daemon, signal.SIGCONT)

    def kill(self, daemon: str) -> None:
        """Kill a daemon (SIGKILL) and return when it is gone. Steps of a killed slurmd live on, as in Slurm."""
        self._daemons.signal(daemon, signal.SIGKILL)
        self._daemons.wait_gone(daemon, time.monotonic() + 10)

    def restart(self, daemon: str, timeout: float = 30) -> None:
        """Start a daemon again, after ending it (SIGTERM) if it runs; slurmctld and slurmdbd answer on return.

        slurmctld takes up the state it saved: a killed one may have lost the last seconds.
        """
        deadline = time.monotonic() + timeout
        self._daemons.restart(daemon, deadline)
        if daemon == "slurmctld":
            self._daemons.wait_ready(daemon, lambda: self._succeeds("scontrol", "ping"), deadline)
        elif daemon == "slurmdbd":
            self._daemons.wait_ready(daemon, lambda: self._succeeds("sacctmgr", "-n", "show", "cluster"), deadline)

    # How

    @property
    def _daemons(self) -> Daemons:
        if self._running is None:
            raise RuntimeError("this throwaway Slurm is not running")
        return self._running

    def _start_once(self, deadline: float) -> None:
        self._running = daemons = Daemons()
        self._directory = home = daemons.directory
        if self.is_exclusive:
            names = [f"slurm_{name}" for name in self.node_names]
            daemons.take_cgroups(cgroups.MEMORY, names, time.monotonic() + _CGROUP_PATIENCE)
            deadline = time.monotonic() + self._start_timeout
        slurmctld_port, slurmdbd_port, *slurmd_ports = _free_ports(2 + self._nodes)
        layout = texts.Layout(
            directory=str(home),
            cluster_name="throwaway",
            user=pwd.getpwuid(os.getuid()).pw_name,
            host=socket.gethostname().partition(".")[0],
            nodes=self._nodes,
            cpus_per_node=self._cpus_per_node,
            memory_mb=self._memory_mb,
            accounting=self._accounting,
            slurmctld_port=slurmctld_port,
            slurmdbd_port=slurmdbd_port,
            slurmd_ports=tuple(slurmd_ports),
        )
        self._write_configuration(layout)
        environment = self.environ() | {"MYSQL_UNIX_PORT": str(home / "run/db.sock")}
        if self._accounting:
            daemons.start("mariadbd", [_program("mariadbd"), *texts.mariadbd_options(layout)], environment)
            daemons.wait_ready("mariadbd", lambda: _connects(environment["MYSQL_UNIX_PORT"]), deadline)
            daemons.start("slurmdbd", [_program("slurmdbd"), "-D"], environment)
            daemons.wait_ready("slurmdbd", lambda: _connects(("127.0.0.1", slurmdbd_port)), deadline)
            added = self.run(["sacctmgr", "-i", "add", "cluster", layout.cluster_name])
            if added.returncode != 0:
                raise daemons.failure(f"sacctmgr add cluster: {added.stderr.strip() or added.stdout.strip()}")
        conf = ["-f", str(self.conf)]
        daemons.start("slurmctld", [_program("slurmctld"), "-D", *conf], environment, "-c")
        daemons.wait_ready("slurmctld", lambda: _connects(("127.0.0.1", slurmctld_port)), deadline)
        for name in self.node_names:
            daemons.start(f"slurmd.{name}", [_program("slurmd"), "-D", "-N", name, *conf], environment)
        daemons.wait_ready("slurmd", self._nodes_registered, deadline)

    def _write_configuration(self, layout: texts.Layout) -> None:
        home = self.directory
        for name in ("run", "tmp", "state", "spool", "db", f"db/{texts.DATABASE}"):
            (home / name).mkdir()
        for name in self.node_names:
            (home / "spool" / name).mkdir()
        self.conf.write_text(texts.slurm_conf(layout, self.version, self._extra_conf))
        cgroup_conf = texts.cgroup_conf(self.version, self._extra_conf)
        if cgroup_conf is not None:
            (home / "cgroup.conf").write_text(cgroup_conf)
        gres = texts.gres_conf(layout, self._extra_conf)
        if gres is not None:
            text, devices = gres
            (home / "gres.conf").write_text(text)
            (home / "dev").mkdir()
            for device in devices:
                Path(device).symlink_to("/dev/null")
        if self._accounting:
            secret = home / "slurmdbd.conf"
            secret.touch(mode=0o600)
            secret.write_text(texts.slurmdbd_conf(layout))

    def _nodes_registered(self) -> bool:
        """Whether every node is there, and has the state that the configuration gives it: idle unless it says otherwise."""
        states = _states(self.run(_NODE_STATES))
        if any("state" in attributes for attributes in self._extra_conf.nodes.values()):
            return len(states) == self._nodes and not any(
                re.search("UNKNOWN|NOT_RESPONDING|[*]", one) for one in states
            )
        return states == ["IDLE"] * self._nodes

    def _succeeds(self, *argv: str) -> bool:
        return self.run(argv).returncode == 0


def _states(answer: subprocess.CompletedProcess[str]) -> list[str]:
    """The state of each node, of an answer to `_NODE_STATES`."""
    return re.findall(r" State=(\S+)", answer.stdout)


def _program(name: str) -> str:
    path = find(name)
    if path is None:
        raise SlurmUnavailable(f"{name} is not installed")
    return path


def _connects(address: str | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0


def _free_ports(count: int) -> list[int]:
    """`count` TCP ports that are free now, below those that the kernel gives to outgoing connections."""
    ports: list[int] = []
    for port in random.sample(range(10240, 32768), 2000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise SlurmUnavailable(f"found only {len(ports)} of {count} free TCP ports on 127.0.0.1")
