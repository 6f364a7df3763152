"""The fields that generated questions ask for: every letter of ``-o``, every name of ``-O`` and of sacct, in both releases."""

from __future__ import annotations

__all__ = [
    "SACCT_FIELDS",
    "SINFO_LETTERS",
    "SINFO_NAMES",
    "SQUEUE_LETTERS",
    "SQUEUE_NAMES",
    "STEP_LETTERS",
    "STEP_NAMES",
]

SQUEUE_LETTERS = "abcdefghijklmnopqrtuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SQUEUE_NAMES = """
Account admin_comment AllocNodes ArrayJobID ArrayTaskID AssocID BatchFlag BatchHost BoardsPerNode BurstBuffer
BurstBufferState Cluster ClusterFeature Command Comment Container ContainerID Contiguous cores corespec CPUFreq cpus-per-task
cpus-per-tres deadline DelayBoot Dependency DerivedEC EligibleTime EndTime exit_code ExcNodes Feature GroupID GroupName
HetJobID HetJobIDSet HetJobOffset JobArrayID JobID Licenses MaxCPUs MaxNodes MCSLabel mem-per-tres MinCpus MinMemory MinTime
MinTmpDisk Name Network Nice NodeList NTPerBoard NTPerCore NTPerNode NTPerSocket NumCPUs NumNodes NumTasks Nodes Origin
OriginRaw OverSubscribe Partition PreemptTime Prefer Priority PriorityLong Profile QOS Reason ReasonList Reboot
ReqNodes ReqSwitch Requeue Reservation ResizeTime RestartCnt sct SiblingsActive SiblingsActiveRaw SiblingsViable
SiblingsViableRaw Sockets SPerBoard StartTime State StateCompact STDERR STDIN STDOUT StepID StepName StepState SubmitTime
system_comment Threads TimeLeft TimeLimit TimeUsed tres-alloc tres-bind tres-freq tres-per-job tres-per-node tres-per-socket
tres-per-step tres-per-task UserID UserName Wait4Switch WCKey WorkDir jobid JOBID nonsense
"""
STEP_LETTERS = "AbijlMNPSuU"
STEP_NAMES = """
ArrayJobID ArrayTaskID Cluster Container ContainerID CPUFreq cpus-per-tres gres JobID mem-per-tres Network Nodes NumCPUs
NumTasks Partition ResvPorts StartTime StepID StepName StepState TimeLimit TimeUsed tres-bind tres-freq tres-per-job
tres-per-node tres-per-socket tres-per-step tres-per-task UserID UserName Name State
"""
SINFO_LETTERS = "aAbBcCdDEfFgGhHiIlLmMNpPrRsStTuUvVwXYzZ"
"""Without those of names, load and memory of the machine."""
SINFO_NAMES = """
AllocMem AllocNodes Available Cluster Comment Cores CPUs CPUsState DefaultTime Disk Extra Features features_act Gres GresUsed
Groups MaxCPUsPerNode Memory NodeAI NodeAIOT NodeList Nodes OverSubscribe Partition PartitionName PreemptMode
PriorityJobFactor PriorityTier Reason Reservation Root Size SocketCoreThread Sockets StateCompact StateLong Threads Time
TimeStamp User UserLong Version Weight nonsense
"""
SACCT_FIELDS = """
Account AdminComment AllocCPUS AllocNodes AllocTRES AssocID BlockID Cluster Comment Constraints Container
DerivedExitCode Elapsed Eligible End ExitCode Extra FailedNode GID Group JobID JobIDRaw JobName Layout
Licenses McsLabel NCPUS NNodes NodeList NTasks Partition QOS QOSRAW QOSREQ Reason ReqCPUFreq
ReqCPUFreqGov ReqCPUFreqMax ReqCPUFreqMin ReqCPUS ReqMem ReqNodes ReqTRES Reservation ReservationId Restarts
Start State StdErr StdIn StdOut Submit SubmitLine Suspended SystemComment Timelimit TimelimitRaw UID User
WCKey WCKeyID WorkDir jobid elapsed nonsense
"""
