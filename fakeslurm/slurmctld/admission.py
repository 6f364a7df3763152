"""What the controller says to a submission before it is a job: partitions, names, and whether it could ever run.

Texts, their order and what uses up a job id: docs/slurm-measurements.md, 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fakeslurm import messages
from fakeslurm.messages import Reason, SlurmError
from fakeslurm.model import NO_LIMIT, JobDescription, Partition, Settings
from fakeslurm.slurmctld.demand import Demand
from fakeslurm.slurmctld.features import check_known
from fakeslurm.slurmctld.layout import check_distribution
from fakeslurm.slurmctld.resources import Resources
from slurmkit.slurm.jobid import JobIdError, parse_array_spec

__all__ = [
    "check_comment",
    "check_features",
    "check_names",
    "check_open",
    "elements_of",
    "latest_start",
    "may_requeue",
    "misfit",
    "obstacle",
    "partitions_of",
    "time_limit_of",
]

_LARGEST_SMALL_NUMBER = 0xFFFF
_LONGEST_COMMENT = 1024
"""MAX_COMMENT_LEN in src/slurmctld/slurmctld.h."""


def partitions_of(description: JobDescription, settings: Settings) -> tuple[Partition, ...]:
    """The partitions that a job may run in. Raises SlurmError."""
    known: Mapping[str, Partition] = {one.name: one for one in settings.partitions}
    if description.partition is None:
        if settings.default_partition is None:
            raise SlurmError(messages.NO_DEFAULT_PARTITION)
        return (known[settings.default_partition],)
    found = []
    for name in description.partition.split(","):
        if name not in known:
            raise SlurmError(messages.INVALID_PARTITION, messages.INVALID_PARTITION_DETAIL.format(name or "(null)"))
        found.append(known[name])
    return tuple(found)


def may_requeue(description: JobDescription, settings: Settings) -> bool:
    """``--requeue``, ``--no-requeue``, JobRequeue."""
    return settings.requeue if description.requeue is None else description.requeue


def check_open(partitions: Sequence[Partition]) -> None:
    """Raises SlurmError when none of the partitions takes new jobs."""
    if all(one.state in ("INACTIVE", "DRAIN") for one in partitions):
        raise SlurmError(messages.PARTITION_NOT_AVAILABLE)


def elements_of(description: JobDescription, settings: Settings) -> int:
    """How many jobs it is. What is wrong with an array is refused before anything else. Raises SlurmError."""
    if not description.array:
        return 1
    try:
        indices = parse_array_spec(description.array).indices
    except JobIdError:
        raise SlurmError(messages.INVALID_ARRAY) from None
    if indices[-1] >= settings.max_array_size:
        raise SlurmError(messages.INVALID_ARRAY)
    return len(indices)


def check_names(description: JobDescription) -> None:
    """What is refused before a job id is used up. Raises SlurmError."""
    if description.distribution is not None:
        check_distribution(description.distribution)


def check_comment(description: JobDescription) -> None:
    """What is refused before Slurm looks whether there is room for the job. Raises SlurmError."""
    if len(description.comment or "") > _LONGEST_COMMENT:
        raise SlurmError(messages.PATHNAME_TOO_LONG)


def check_small_numbers(description: JobDescription) -> None:
    """Slurm keeps these in 16 bits, but has calculated with all of them before. Others are refused in its words for their size."""
    for name in ("cpus_per_task", "ntasks_per_node", "ntasks_per_core", "ntasks_per_socket"):
        if description.hold and (getattr(description, name) or 0) > _LARGEST_SMALL_NUMBER:
            raise messages.unsupported(
                f"--{name.replace('_', '-')} of more than {_LARGEST_SMALL_NUMBER} for a job that is held"
            )


def check_features(description: JobDescription, settings: Settings) -> None:
    """What is refused after a job id has been used up, without leaving a job behind. Raises SlurmError."""
    check_known(description.constraint, settings.nodes)
    if description.reservation:
        raise SlurmError(messages.INVALID_RESERVATION)


def time_limit_of(description: JobDescription, partition: Partition) -> int | None:
    """The limit in minutes, None for UNLIMITED."""
    if description.time_limit == NO_LIMIT:
        return None
    if description.time_limit is not None:
        return description.time_limit
    return partition.max_time if partition.default_time is None else partition.default_time


def latest_start(description: JobDescription) -> float | None:
    """When a job has to start at the latest to end before its deadline: one without a limit needs a minute (measured)."""
    if description.deadline is None:
        return None
    return description.deadline - 60 * (description.time_limit or 1)


def misfit(description: JobDescription, demand: Demand, resources: Resources) -> SlurmError | None:
    """Why no node of the cluster will do for the job, or None."""
    if demand.min_nodes < 1:
        return SlurmError(messages.NODE_COUNT)
    if demand.excluded.bit_count() == len(resources.nodes):
        return SlurmError(messages.NODE_CONFIGURATION)
    detail = _node_misfit(description, demand, resources)
    if detail is not None:
        return SlurmError(messages.NODE_CONFIGURATION, detail)
    if description.ntasks_per_socket is not None and description.ntasks_per_socket > 1:
        return SlurmError(messages.NODE_CONFIGURATION)  # a socket is one core here
    return None


def _node_misfit(description: JobDescription, demand: Demand, resources: Resources) -> str | None:
    """What no node of the cluster has."""
    largest = resources.most_cpus
    least = demand.min_cpus_per_node
    if description.ntasks_per_core is not None:  # then nothing is said of the CPUs of one task (measured)
        least = max(
            description.mincpus or 1, 0 if demand.num_tasks == 1 or demand.overcommit else demand.ntasks_per_node or 0
        )
    if least > largest and demand.ntasks_per_core == 1:
        return messages.CPU_COUNT_DETAIL
    if demand.ntasks_per_core > 1 and (demand.ntasks_per_node or 0) > largest * demand.ntasks_per_core:
        return messages.CPU_COUNT_DETAIL
    if max(demand.mem_per_node or 0, demand.mem_per_cpu or 0) > resources.most_memory:
        return messages.MEMORY_DETAIL
    if demand.tmp_disk > resources.most_tmp_disk:
        return messages.TMP_DISK_DETAIL
    more_than_one = max(description.cores_per_socket or 1, description.threads_per_core or 1) > 1
    if more_than_one or (description.sockets_per_node or 1) > largest:
        return messages.SOCKETS_DETAIL
    return None


def obstacle(
    description: JobDescription,
    demand: Demand,
    partition: Partition,
    resources: Resources,
    fits_empty: Callable[[Demand, str], bool],
) -> Reason | None:
    """Why a job cannot be queued in a partition as it is; None when it can.

    `fits_empty` tells of a partition whether the job could run in it if nothing else ran. BadConstraints is for ever; the
    other reasons, of ``job_limits_check`` in job_mgr.c, hold until the partition is changed.
    """
    if partition.state == "DOWN":
        return Reason.PARTITION_DOWN
    if partition.state == "INACTIVE":
        return Reason.PARTITION_INACTIVE
    limit = time_limit_of(description, partition)
    if partition.max_time is not None and (limit is None or limit > partition.max_time):
        return Reason.PARTITION_TIME_LIMIT
    mask = resources.partition_masks[partition.name]
    most = mask.bit_count() if partition.max_nodes is None else min(partition.max_nodes, mask.bit_count())
    too_many = demand.max_nodes is not None and demand.max_nodes > (partition.max_nodes or demand.max_nodes)
    too_few = demand.max_nodes is not None and demand.max_nodes < partition.min_nodes
    if demand.min_nodes > most or too_many or too_few:
        return Reason.PARTITION_NODE_LIMIT
    if demand.min_cpus > resources.partition_cpus[partition.name]:
        return Reason.PARTITION_CONFIG
    return None if fits_empty(demand, partition.name) else Reason.BAD_CONSTRAINTS


def is_too_big(demand: Demand, partition: Partition, resources: Resources) -> bool:
    """Whether a job asks for more nodes or CPUs than the partition has."""
    nodes = resources.partition_masks[partition.name].bit_count()
    return demand.min_nodes > nodes or demand.min_cpus > resources.partition_cpus[partition.name]
