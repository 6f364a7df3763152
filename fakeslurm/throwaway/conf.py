"""The configuration of a throwaway Slurm as text: pure functions of a version and a few values.

Which lines matter was measured on 22.05.8 and 24.11.5: see docs/slurm-measurements.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import frozen

from fakeslurm.conflines import Attributes, ConfLines, Setting

_FIXED = frozenset({"nodehostname", "nodeaddr", "port"})
"""What a node has from the throwaway Slurm: a line of the configuration may not change it."""

_DEBUG = "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP"

_DISABLED_SINCE = (23, 11)
_CONSTRAINS = "constrainramspace"
"""A parameter of cgroup.conf: the lines of a configuration may have it, too."""

# A subdirectory of MariaDB's data directory is a database. It has to be there first: of the client library of Debian 13
# (11.8.9) no query works on a connection that failed once, and slurmdbd's does before it has made its database.
DATABASE = "slurm_acct_db"


@frozen
class Layout:
    """What the files of one cluster say: where it lives, its ports, how big it is."""

    directory: str
    cluster_name: str
    user: str
    host: str
    """Short name of this machine: slurmctld refuses to run when SlurmctldHost is not the host it is on."""
    nodes: int
    cpus_per_node: int
    memory_mb: int
    accounting: bool
    slurmctld_port: int
    slurmdbd_port: int
    slurmd_ports: tuple[int, ...]

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))


def parse_version(text: str) -> str:
    """``"slurm-wlm 22.05.8"`` to ``"22.05.8"``; ValueError when there is no version in it."""
    found = re.search(r"\b(\d+\.\d+(?:\.\d+)?)", text)
    if found is None:
        raise ValueError(f"no Slurm version in {text!r}; expected e.g. 'slurm-wlm 22.05.8'")
    return found[1]


def release(version: str) -> tuple[int, int]:
    """``"22.05.8"`` to ``(22, 5)``: what configuration differs by."""
    year, month = version.split(".")[:2]
    return int(year), int(month)


def slurm_conf(layout: Layout, version: str, extra: ConfLines) -> str:
    """The text of slurm.conf. `extra` replaces parameters and partitions of the same name, adds others, and changes nodes.

    ValueError for a node that is not there, and for an attribute that a node cannot have otherwise here.
    """
    home = layout.directory
    settings = {
        "ClusterName": layout.cluster_name,
        "SlurmctldHost": f"{layout.host}(127.0.0.1)",
        "SlurmctldPort": str(layout.slurmctld_port),
        "SlurmUser": layout.user,
        "SlurmdUser": layout.user,
        # Nobody is authenticated, therefore nothing listens beyond the loopback interface.
        "AuthType": "auth/none",
        "CredType": "cred/none",
        "AuthInfo": "cred_expire=5",  # seconds; a requeued job waits for one more (121 s by default)
        "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
        "StateSaveLocation": f"{home}/state",
        "SlurmdSpoolDir": f"{home}/spool/%n",
        "SlurmctldPidFile": f"{home}/run/slurmctld.pid",
        "SlurmdPidFile": f"{home}/run/%n.pid",
        "SlurmctldLogFile": f"{home}/log/slurmctld.log",
        "SlurmdLogFile": f"{home}/log/slurmd.%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "PriorityType": "priority/basic",
        "JobAcctGatherType": "jobacct_gather/linux",
        "SlurmdParameters": "config_overrides",  # believe the CPU counts below, not those of this machine
        "ReturnToService": "2",
        "MailProg": "/bin/true",
        # Speed: schedule at once, requeue soon, kill soon, forget finished jobs soon.
        "SchedulerParameters": "sched_interval=1,sched_min_interval=0,bf_interval=1",
        "KillWait": "5",
        "MinJobAge": "20",
    }
    if release(version) < (23, 11):
        settings["SwitchType"] = "switch/none"
        settings["MpiDefault"] = "none"
        settings["TaskPlugin"] = "task/none"
    if layout.accounting:
        settings |= {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "127.0.0.1",
            "AccountingStoragePort": str(layout.slurmdbd_port),
        }
    known = {key.lower(): key for key in settings}
    for small, setting in extra.parameters.items():
        if small == _CONSTRAINS:
            continue
        settings[known.get(small, setting.key)] = setting.value
    partitions = [_line(f"PartitionName={name}", attributes) for name, attributes in extra.partitions.items()]
    return "\n".join(
        [
            *(f"{key}={value}" for key, value in settings.items()),
            *_node_lines(layout, extra.nodes),
            *([] if "debug" in extra.partitions else [_DEBUG]),
            *partitions,
            *extra.others,
            "",
        ]
    )


def _node_lines(layout: Layout, changes: Mapping[str, Attributes]) -> list[str]:
    for name, attributes in changes.items():
        if name not in layout.node_names:
            raise ValueError(f"conf: NodeName={name}: there is no such node; nodes are {', '.join(layout.node_names)}")
        for small in sorted(_FIXED & attributes.keys()):
            raise ValueError(
                f"conf: NodeName={name} {attributes[small]}: a throwaway Slurm says itself where its nodes are"
            )
    lines = []
    for name, port in zip(layout.node_names, layout.slurmd_ports, strict=True):
        attributes = {
            small: Setting(key, value)
            for small, key, value in (
                ("nodehostname", "NodeHostname", "localhost"),
                ("nodeaddr", "NodeAddr", "127.0.0.1"),
                ("port", "Port", str(port)),
                ("cpus", "CPUs", str(layout.cpus_per_node)),
                ("realmemory", "RealMemory", str(layout.memory_mb)),
                ("state", "State", "UNKNOWN"),
            )
        }
        lines.append(_line(f"NodeName={name}", attributes | dict(changes.get(name, {}))))
    return lines


def _line(head: str, attributes: Attributes) -> str:
    return " ".join([head, *map(str, attributes.values())])


def is_without_accounting(extra: ConfLines) -> bool:
    """Whether the configuration wants no accounting."""
    setting = extra.parameters.get("accountingstoragetype")
    return setting is not None and setting.value.lower() == "accounting_storage/none"


def constrains_memory(extra: ConfLines) -> bool:
    """Whether the configuration wants memory cgroups."""
    setting = extra.parameters.get(_CONSTRAINS)
    return setting is not None and setting.value.upper() == "YES"


def cgroup_conf(version: str, extra: ConfLines) -> str | None:
    """The text of cgroup.conf, which Slurm looks for beside slurm.conf; None when none is needed.

    Without one slurmd of 24.11 looks for cgroups, which an ordinary user may not have.
    """
    if constrains_memory(extra):
        return "CgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\n"
    return "CgroupPlugin=disabled\n" if release(version) >= _DISABLED_SINCE else None


def gres_conf(layout: Layout, extra: ConfLines) -> tuple[str, list[str]] | None:
    """The text of gres.conf for the ``Gres`` of the nodes, and the device files that it names; None when there are none.

    A GPU needs a device (slurmd of 22.05 does not start without), of which Slurm looks at the number in the name alone. What is no
    GPU is only counted.
    """
    lines, devices = [], set[str]()
    for name, attributes in extra.nodes.items():
        if "gres" not in attributes:
            continue
        number = 0
        for kind, type_, count in _gres(name, attributes["gres"]):
            words = [f"NodeName={name} Name={kind}", *([f"Type={type_}"] if type_ else [])]
            if kind == "gpu":
                files = [f"{layout.directory}/dev/gpu{index}" for index in range(number, number + count)]
                number += count
                devices.update(files)
                words.append(f"File={','.join(files)}")
            else:
                words.append(f"Count={count}")
            lines.append(" ".join(words))
    return ("\n".join([*lines, ""]), sorted(devices)) if lines else None


def _gres(node: str, setting: Setting) -> Iterator[tuple[str, str, int]]:
    """``gpu:a100:2,dongle:1``: name, type (or nothing) and number of each."""
    for one in setting.value.split(","):
        match = re.fullmatch(r"(?P<kind>\w+)(:(?P<type>[A-Za-z_]\w*))?(:(?P<count>\d+))?", one)
        if match is None:
            raise ValueError(f"conf: NodeName={node} {setting}: expected name[:type][:number],...")
        yield match["kind"], match["type"] or "", int(match["count"] or 1)


def slurmdbd_conf(layout: Layout) -> str:
    """The text of slurmdbd.conf, which Slurm wants with mode 0600 beside slurm.conf."""
    home = layout.directory
    return "\n".join(
        [
            "AuthType=auth/none",
            "DbdHost=localhost",
            "DbdAddr=127.0.0.1",
            f"DbdPort={layout.slurmdbd_port}",
            f"SlurmUser={layout.user}",
            f"LogFile={home}/log/slurmdbd.log",
            f"PidFile={home}/run/slurmdbd.pid",
            "StorageType=accounting_storage/mysql",
            "StorageHost=localhost",  # "localhost" is the socket named by MYSQL_UNIX_PORT: no TCP port to collide on
            "StorageUser=slurm",
            f"StorageLoc={DATABASE}",
            "CommunicationParameters=NoInAddrAny",
            "",
        ]
    )


def mariadbd_options(layout: Layout) -> list[str]:
    """Options that let mariadbd start on an *empty* data directory in a quarter of a second.

    Without grant tables there is nothing to install first (mariadb-install-db takes seconds); it listens on a socket
    inside the private directory only. Nothing survives the cluster, so nothing is flushed to disk.
    """
    home = layout.directory
    return [
        "--no-defaults",
        f"--datadir={home}/db",
        f"--tmpdir={home}/tmp",  # a mariadbd that starts removes all temporary tables that it finds there: not those of another cluster
        f"--socket={home}/run/db.sock",
        f"--pid-file={home}/run/mariadbd.pid",
        "--skip-networking",
        "--skip-grant-tables",
        "--performance-schema=0",
        "--innodb-flush-method=nosync",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-log-file-size=4M",
        "--innodb-autoextend-increment=4",  # MB; the default writes 64 MB of zeros at once
        "--innodb-buffer-pool-size=32M",
        "--innodb-lock-wait-timeout=900",  # what slurmdbd wants to see
        *(["--user=root"] if layout.user == "root" else []),
    ]
