"""The fields of squeue's jobs: letters of ``-o`` and names of ``-O``, with their headers. Measured on 22.05.8, 24.11.5."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from fakeslurm.commands.jobcolumns import Field
from fakeslurm.commands.jobtexts import NEW, NULL

__all__ = ["CATALOGUES", "UNSUPPORTED", "Catalogue"]

_FIELDS: Mapping[str, Field] = {
    "account": Field("ACCOUNT", "account"),
    "accruetime": Field("ACCRUE_TIME", "accrue_time"),
    "admin_comment": Field("ADMIN_COMMENT", "admin_comment"),
    "allocnodes": Field("ALLOC_NODES", "alloc_node"),
    "arrayjobid": Field("ARRAY_JOB_ID", "array_job_id"),
    "arraytaskid": Field("ARRAY_TASK_ID", "array_task_id"),
    "associd": Field("ASSOC_ID", "association"),
    "batchflag": Field("BATCH_FLAG", "batch_flag"),
    "batchhost": Field("EXEC_HOST", "batch_host"),
    "boardspernode": Field("BOARDS_PER_NODE", constant="0"),
    "burstbuffer": Field("BURST_BUFFER", constant=NULL),
    "burstbufferstate": Field("BURST_BUFFER_STATE", constant=NULL),
    "cluster": Field("CLUSTER", "cluster"),
    "clusterfeature": Field("CLUSTER_FEATURES", constant=NULL),
    "command": Field("COMMAND", "command"),
    "comment": Field("COMMENT", "comment"),
    "container": Field("CONTAINER", constant=NULL),
    "contiguous": Field("CONTIGUOUS", "contiguous"),
    "cores": Field("CORES_PER_SOCKET", "cores"),
    "corespec": Field("CORE_SPEC", constant="N/A"),
    "cpus-per-task": Field("CPUS_PER_TASK", "cpus_per_task"),
    "cpus-per-tres": Field("CPUS_PER_TRES", constant="N/A"),
    "deadline": Field("DEADLINE", "deadline"),
    "delayboot": Field("DELAY_BOOT", constant="0:00"),
    "dependency": Field("DEPENDENCY", "dependency"),
    "derivedec": Field("DERIVED_EC", "derived_exit"),
    "eligibletime": Field("ELIGIBLE_TIME", "eligible_time"),
    "endtime": Field("END_TIME", "end_time"),
    "exit_code": Field("EXIT_CODE", "exit_code"),
    "feature": Field("FEATURES", "features"),
    "groupid": Field("GROUP", "group_id"),
    "groupname": Field("GROUP", "group_name"),
    "hetjobid": Field("HET_JOB_ID", "het_job_id"),
    "hetjobidset": Field("HET_JOB_ID_SET", "het_job_id_set"),
    "hetjoboffset": Field("HET_JOB_OFFSET", "het_job_offset"),
    "jobarrayid": Field("JOBID", "job_label"),
    "jobid": Field("JOBID", "job_id"),
    "lastschedeval": Field("LAST_SCHED_EVAL", "last_sched_eval"),
    "licenses": Field("LICENSES", "licenses"),
    "maxcpus": Field("MAX_CPUS", "num_cpus"),
    "maxnodes": Field("MAX_NODES", "num_nodes"),
    "mcslabel": Field("MCSLABEL", constant=NULL),
    "mem-per-tres": Field("MEM_PER_TRES", constant="N/A"),
    "mincpus": Field("MIN_CPUS", "min_cpus"),
    "minmemory": Field("MIN_MEMORY", "min_memory"),
    "mintime": Field("TIME_MIN", "time_min"),
    "mintmpdisk": Field("MIN_TMP_DISK", "min_tmp_disk"),
    "name": Field("NAME", "name"),
    "network": Field("NETWORK", constant=NULL),
    "nice": Field("NICE", "nice"),
    "nodelist": Field("NODELIST", "nodelist", overflow="nodes"),
    "ntperboard": Field("NTASKS_PER_BOARD", constant="0"),
    "ntpercore": Field("NTASKS_PER_CORE", "tasks_per_core"),
    "ntpernode": Field("NTASKS_PER_NODE", "tasks_per_node"),
    "ntpersocket": Field("NTASKS_PER_SOCKET", "tasks_per_socket"),
    "numcpus": Field("CPUS", "num_cpus"),
    "numnodes": Field("NODES", "num_nodes"),
    "numtasks": Field("TASKS", "num_tasks"),
    "origin": Field("ORIGIN", constant="NA"),
    "originraw": Field("ORIGIN_RAW", constant="NA"),
    "oversubscribe": Field("OVER_SUBSCRIBE", "over_subscribe"),
    "partition": Field("PARTITION", "partition"),
    "pendingtime": Field("PENDING_TIME", "pending_time"),
    "preempttime": Field("PREEMPT_TIME", "preempt_time"),
    "prefer": Field("PREFER", constant=NULL),
    "priority": Field("PRIORITY", "priority"),
    "prioritylong": Field("PRIORITY", "priority_long"),
    "profile": Field("PROFILE", constant="NotSet"),
    "qos": Field("QOS", "qos"),
    "reason": Field("REASON", "reason"),
    "reasonlist": Field("NODELIST(REASON)", "reason_or_nodes", overflow="nodes"),
    "reboot": Field("REBOOT", constant="0"),
    "reqnodes": Field("REQ_NODES", "required_nodes", overflow="list"),
    "reqswitch": Field("REQ_SWITCH", constant="0"),
    "requeue": Field("REQUEUE", "requeue"),
    "reservation": Field("RESERVATION", constant=NULL),
    "resizetime": Field("RESIZE_TIME", constant="N/A"),
    "restartcnt": Field("RESTART_COUNT", "restart_count"),
    "schednodes": Field("SCHEDNODES", constant=NULL, overflow="nodes"),
    "sct": Field("S:C:T", "sockets_cores_threads"),
    "selectjobinfo": Field(""),
    "siblingsactive": Field("ACTIVE_SIBLINGS", constant="NA"),
    "siblingsactiveraw": Field("ACTIVE_SIBLINGS_RAW", constant="NA"),
    "siblingsviable": Field("VIABLE_SIBLINGS", constant="NA"),
    "siblingsviableraw": Field("VIALBLE_SIBLINGS_RAW", constant="NA"),
    "sockets": Field("SOCKETS_PER_NODE", "sockets"),
    "sperboard": Field("SOCKETS_PER_BOARD", constant="0"),
    "starttime": Field("START_TIME", "start_time"),
    "state": Field("STATE", "state"),
    "statecompact": Field("ST", "state_compact"),
    "stderr": Field("STDERR", "stderr"),
    "stdin": Field("STDIN", "stdin"),
    "stdout": Field("STDOUT", "stdout"),
    "submittime": Field("SUBMIT_TIME", "submit_time"),
    "system_comment": Field("SYSTEM_COMMENT", constant=NULL),
    "threads": Field("THREADS_PER_CORE", "threads"),
    "timeleft": Field("TIME_LEFT", "time_left", overflow="time"),
    "timelimit": Field("TIME_LIMIT", "time_limit", overflow="time"),
    "timeused": Field("TIME", "time_used", overflow="time"),
    "tres-alloc": Field("TRES_ALLOC", "tres"),
    "tres-bind": Field("TRES_BIND", constant="N/A"),
    "tres-freq": Field("TRES_FREQ", constant="N/A"),
    "tres-per-job": Field("TRES_PER_JOB", "tres_per_job"),
    "tres-per-node": Field("TRES_PER_NODE", "tres_per_node"),
    "tres-per-socket": Field("TRES_PER_SOCKET", constant="N/A"),
    "tres-per-task": Field("TRES_PER_TASK", constant="N/A"),
    "userid": Field("UID", "user_id"),
    "username": Field("USER", "user_name"),
    "wait4switch": Field("WAIT4SWITCH", constant="0:00"),
    "wckey": Field("WCKEY", "wckey"),
    "workdir": Field("WORK_DIR", "work_dir"),
}

ALIASES: Mapping[str, str] = {
    "cpuspertask": "cpus-per-task",
    "gres": "tres-per-node",
    "packjobid": "hetjobid",
    "packjobidset": "hetjobidset",
    "packjoboffset": "hetjoboffset",
    "shared": "oversubscribe",
}
"""Older names that ``-O`` still takes."""

UNSUPPORTED = frozenset({"allocsid"})
"""Fields that Slurm has and this fake does not know: nobody tells it the session of whoever submitted."""

_EXCLUDED = Field("EXC_NODES", "excluded_nodes", overflow="list")
_NEW_FIELDS = {name: field for name, field in _FIELDS.items() if name != "selectjobinfo"} | {
    "containerid": Field("CONTAINERID", constant=NULL),
    "derivedec": Field("DERIVED_EC", "derived_pair"),
    "excnodes": _EXCLUDED,
    "exit_code": Field("EXIT_CODE", "exit_pair"),
    "stderr": Field("STDERR", "given_stderr"),
    "stdout": Field("STDOUT", "given_stdout"),
    "tres-per-task": Field("TRES_PER_TASK", "tres_per_task"),
}

_LETTERS: Mapping[str, str] = {
    "a": "account",
    "b": "tres-per-node",
    "c": "mincpus",
    "d": "mintmpdisk",
    "e": "endtime",
    "f": "feature",
    "g": "groupname",
    "h": "oversubscribe",
    "i": "jobarrayid",
    "j": "name",
    "k": "comment",
    "l": "timelimit",
    "m": "minmemory",
    "n": "reqnodes",
    "o": "command",
    "p": "priority",
    "q": "qos",
    "r": "reason",
    "s": "selectjobinfo",
    "t": "statecompact",
    "u": "username",
    "v": "reservation",
    "w": "wckey",
    "y": "nice",
    "z": "sct",
    "A": "jobid",
    "B": "batchhost",
    "C": "numcpus",
    "D": "numnodes",
    "E": "dependency",
    "F": "arrayjobid",
    "G": "groupid",
    "H": "sockets",
    "I": "cores",
    "J": "threads",
    "K": "arraytaskid",
    "L": "timeleft",
    "M": "timeused",
    "N": "nodelist",
    "O": "contiguous",
    "P": "partition",
    "Q": "prioritylong",
    "R": "reasonlist",
    "S": "starttime",
    "T": "state",
    "U": "userid",
    "V": "submittime",
    "W": "licenses",
    "X": "corespec",
    "Y": "schednodes",
    "Z": "workdir",
}


@frozen
class Catalogue:
    """The fields of one release."""

    fields: Mapping[str, Field]
    """By the names of ``-O``, in small letters."""
    letters: Mapping[str, Field]
    """By the letters of ``-o``."""
    everything: str = field(init=False)
    """What ``-o %all`` stands for."""

    @everything.default
    def _all_letters(self) -> str:
        letters = sorted(self.letters, key=lambda letter: (letter.isupper(), letter))
        return "|".join(f"%{letter}" for letter in letters)

    def find(self, name: str) -> Field | None:
        """The field of this ``-O`` name, in any case; None when Slurm has none. LookupError for one of `UNSUPPORTED`."""
        name = name.lower()
        if name in UNSUPPORTED:
            raise LookupError(name)
        return self.fields.get(ALIASES.get(name, name))


def _catalogue(fields: Mapping[str, Field]) -> Catalogue:
    letters = {letter: fields[name] for letter, name in _LETTERS.items() if name in fields}
    return Catalogue(fields, letters | {"x": _EXCLUDED})


CATALOGUES: Mapping[str, Catalogue] = {"22.05": _catalogue(_FIELDS), NEW: _catalogue(_NEW_FIELDS)}
"""By release."""
