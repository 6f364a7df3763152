"""``scontrol show node``, ``partition`` and ``config``, as Slurm 22.05.8 and 24.11.5 print them (measured).

What nobody tells the fake (load, free memory, boot time, operating system) is printed as Slurm prints it of a node that
has not told either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakeslurm.commands.jobsizes import held_gres_tres, memory_text, partition_nodes
from fakeslurm.commands.jobtexts import NEW
from fakeslurm.gres import node_gres, tres_items
from slurmkit.slurm import hostlist
from slurmkit.slurm.durations import format_elapsed

if TYPE_CHECKING:
    from fakeslurm.commands.nodetexts import ShownNode
    from fakeslurm.commands.stamps import Stamps
    from fakeslurm.model import Partition, Settings

__all__ = ["config_report", "is_default", "license_report", "node_report", "partition_report"]


def is_default(partition: Partition, settings: Settings) -> bool:
    """Whether jobs that name no partition go there."""
    return partition.name == settings.default_partition


def partitions_of(name: str, settings: Settings) -> list[str]:
    """The partitions that have this node, in the order of the configuration."""
    return [one.name for one in settings.partitions if one.nodes is None or name in one.nodes]


def node_report(shown: ShownNode, settings: Settings, stamps: Stamps, *, oneliner: bool, detail: bool) -> str:
    """The report of one node, with its line breaks."""
    node = shown.record.node
    memory = memory_text(node.real_memory)
    new = settings.profile.release == NEW
    held = [f"cpu={shown.cpus}"] if shown.cpus else []
    held += [f"mem={memory_text(shown.memory)}"] if shown.memory else []
    held += held_gres_tres([(node.name, shown.gres_in_use)], settings)
    kinds = settings.accounted_gres
    lines = [
        f"NodeName={node.name} CoresPerSocket=1 ",
        f"CPUAlloc={shown.cpus} CPUEfctv={node.cpus} CPUTot={node.cpus} CPULoad=N/A",
        f"AvailableFeatures={shown.features}",
        f"ActiveFeatures={shown.features}",
        f"Gres={shown.gres}",
        *(_gres_details(shown, settings) if detail else []),
        f"NodeAddr={node.name} NodeHostName={node.name} Version={settings.profile.version}",
        f"RealMemory={node.real_memory} AllocMem={shown.memory} FreeMem=N/A Sockets={node.cpus} Boards=1",
        f"State={shown.state} ThreadsPerCore=1 TmpDisk={node.tmp_disk} Weight=1 Owner=N/A MCS_label=N/A",
        f"Partitions={','.join(partitions_of(node.name, settings))} ",
        "BootTime=None SlurmdStartTime=None",
        f"LastBusyTime=Unknown{' ResumeAfterTime=None' if new else ''}",
        ",".join(
            [f"CfgTRES=cpu={node.cpus},mem={memory},billing={node.cpus}", *tres_items(kinds, node_gres(node.gres))]
        ),
        f"AllocTRES={','.join(held)}",
        *([] if new else ["CapWatts=n/a"]),
        "CurrentWatts=0 AveWatts=0",
        "" if new else "ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s",
    ]
    why = shown.record.why
    if why is not None:
        lines.append(f"Reason={why.text} [{why.user}@{stamps(why.time)}]")
    return " ".join(lines) + "\n" if oneliner else "\n   ".join(lines) + "\n\n"


def _gres_details(shown: ShownNode, settings: Settings) -> list[str]:
    used = shown.gres_used(settings)
    return ["GresDrain=N/A", *([f"GresUsed={used}"] if used else [])]


def license_report(name: str, total: int, used: int, *, oneliner: bool) -> str:
    """One license of ``scontrol show licenses``."""
    numbers = f"Total={total} Used={used} Free={total - used} Reserved=0 Remote=no"
    return f"LicenseName={name}{' ' if oneliner else f'{chr(10)}    '}{numbers}\n"


def _minutes(limit: int | None, nothing: str) -> str:
    return nothing if limit is None else format_elapsed(limit * 60)


def partition_report(partition: Partition, settings: Settings, *, oneliner: bool) -> str:
    """The report of one partition, with its line breaks."""
    nodes = partition_nodes(settings, partition.name)
    cpus, memory = sum(node.cpus for node in nodes), sum(node.real_memory for node in nodes)
    most = "UNLIMITED" if partition.max_nodes is None else f"{partition.max_nodes}"
    gres = tres_items(settings.accounted_gres, (one for node in nodes for one in node_gres(node.gres)))
    topology = per_socket = ""
    node_sets: list[str] = []
    if settings.profile.release == NEW:
        topology, per_socket = "ExclusiveTopo=NO ", " MaxCPUsPerSocket=UNLIMITED"
        node_sets = ["NodeSets=ALL"] if partition.nodes is None else []
    lines = [
        f"PartitionName={partition.name}",
        "AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL",
        f"AllocNodes=ALL Default={'YES' if is_default(partition, settings) else 'NO'} QoS=N/A",
        f"DefaultTime={_minutes(partition.default_time, 'NONE')} DisableRootJobs=NO ExclusiveUser=NO {topology}"
        f"GraceTime={partition.grace_time} Hidden=NO",
        f"MaxNodes={most} MaxTime={_minutes(partition.max_time, 'UNLIMITED')} MinNodes={partition.min_nodes} LLN=NO "
        f"MaxCPUsPerNode=UNLIMITED{per_socket}",
        *node_sets,
        f"Nodes={hostlist.compress(node.name for node in nodes)}",
        f"PriorityJobFactor=1 PriorityTier={partition.priority_tier} RootOnly=NO ReqResv=NO OverSubscribe=NO",
        f"OverTimeLimit=NONE PreemptMode={settings.preempt_mode_of(partition)}",
        f"State={partition.state} TotalCPUs={cpus} TotalNodes={len(nodes)} SelectTypeParameters=NONE",
        "JobDefaults=(null)",
        "DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED",
        ",".join([f"TRES=cpu={cpus},mem={memory_text(memory)},node={len(nodes)},billing={cpus}", *gres]),
    ]
    return " ".join(lines) + "\n" if oneliner else "\n   ".join(lines) + "\n\n"


def config_report(settings: Settings, stamps: Stamps, now: float) -> str:
    """The part of the configuration that the fake has, under Slurm's names."""
    new = settings.profile.release == NEW
    nothing = "(null)" if new else "preempt/none"
    preempt_type = "preempt/partition_prio" if settings.preempts else nothing
    entries = {
        "AccountingStorageType": f"accounting_storage/{'slurmdbd' if settings.accounting else 'none'}",
        "ClusterName": settings.cluster_name,
        "DependencyParameters": "kill_invalid_depend" if settings.kill_invalid_dependency else "(null)",
        "FirstJobId": f"{settings.first_job_id}",
        "JobAcctGatherType": "(null)" if new else "jobacct_gather/none",
        "JobRequeue": f"{settings.requeue:d}",
        "KillWait": f"{settings.kill_wait:.0f} sec",
        "MaxArraySize": f"{settings.max_array_size}",
        "MaxJobCount": f"{settings.max_job_count}",
        "MaxNodeCount": f"{len(settings.nodes)}",
        "MessageTimeout": f"{settings.message_timeout} sec",
        "MinJobAge": f"{settings.min_job_age:.0f} sec",
        "OverTimeLimit": f"{settings.over_time_limit} min",
        "PreemptMode": settings.preempt_mode,
        "PreemptExemptTime": format_elapsed(settings.preempt_exempt_time),
        "PreemptType": preempt_type,
        "PriorityType": "priority/basic",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CORE_MEMORY" if settings.memory_is_consumed else "CR_CORE",
        "SlurmctldHost[0]": settings.control_host,
        "SlurmctldPort": f"{settings.control_port}",
        "SLURM_CONF": settings.conf or "(null)",
        "SLURM_VERSION": settings.profile.version,
    }
    body = "".join(f"{name:<23} = {value}\n" for name, value in entries.items())
    return f"Configuration data as of {stamps(now)}\n{body}\n{ping_line(settings)}"


def ping_line(settings: Settings) -> str:
    """What ``scontrol ping`` prints, and the end of ``show config``."""
    return f"Slurmctld(primary) at {settings.control_host} is UP\n"
