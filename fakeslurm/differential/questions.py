"""The questions that are asked: hypothesis strategies for the calls of squeue, sinfo, sacct and scontrol show.

``IDS`` stands for the ids of all jobs of the example, ``ID`` for one of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

__all__ = ["questions", "with_ids"]

Words = st.SearchStrategy[list[str]]

_SQUEUE_LETTERS = "abcdefghijklmnopqrtuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SQUEUE_NAMES = """
Account ArrayJobID ArrayTaskID BatchFlag BatchHost Command Comment Contiguous cores corespec cpus-per-task deadline DelayBoot
Dependency DerivedEC EligibleTime EndTime exit_code Feature GroupID GroupName JobArrayID JobID Licenses MaxCPUs MaxNodes
MinCpus MinMemory MinTime MinTmpDisk Name Nice NodeList NTPerBoard NTPerCore NTPerNode NTPerSocket NumCPUs NumNodes NumTasks
OverSubscribe Partition Priority PriorityLong Profile QOS Reason ReasonList ReqNodes Requeue Reservation RestartCnt sct Sockets
StartTime State StateCompact STDERR STDIN STDOUT SubmitTime Threads TimeLeft TimeLimit TimeUsed tres-alloc tres-per-node
tres-per-task UserID UserName WCKey WorkDir
"""
_SINFO_LETTERS = "aAbBcCdDEfFgGhHiIlLmMNpPrRsStTuUvwXYzZ"
_SINFO_NAMES = """
Available AllocNodes Cluster Comment Cores CPUs CPUsState DefaultTime Disk Features Gres Groups MaxCPUsPerNode Memory Nodes
NodeAIOT NodeAI NodeList OverSubscribe Partition PartitionName PreemptMode PriorityJobFactor PriorityTier Reason Root Size
StateCompact StateLong StateComplete SocketCoreThread Sockets Threads Time User UserLong Weight
"""
_SACCT_FIELDS = """
Account AllocCPUS AllocNodes AllocTRES Cluster Comment Constraints DerivedExitCode Elapsed ElapsedRaw Eligible End ExitCode
Flags GID Group JobID JobIDRaw JobName Layout NCPUS NNodes NodeList NTasks Partition QOS Reason ReqCPUS ReqMem ReqNodes ReqTRES
Reservation Start State Submit Suspended Timelimit TimelimitRaw UID User WorkDir SubmitLine
"""
_WIDTHS = ("", "", "5", "12", "30", ".8", ".20", "1", "0")


def _calls(text: str) -> Words:
    """One of these lines."""
    return st.sampled_from([shlex.split(line) for line in text.strip().splitlines()])


def _together(*parts: Words) -> Words:
    return st.tuples(*parts).map(lambda lists: [word for words in lists for word in words])


def _maybe(part: Words) -> Words:
    return st.one_of(st.just([]), part)


def _letters(letters: str) -> Words:
    """``-o``"""
    field = st.builds(lambda width, letter: f"%{width}{letter}", st.sampled_from(_WIDTHS), st.sampled_from(letters))
    fields = st.lists(field, min_size=1, max_size=8)
    return st.builds(lambda found, glue: ["-o", glue.join(found)], fields, st.sampled_from(["|", " ", "", ","]))


def _names(text: str) -> Words:
    """``-O``"""
    shape = st.sampled_from(["", "", ":30", ":.12", ":|", ":0|", ":5:"])
    field = st.builds(lambda name, tail: name + tail, st.sampled_from(text.split()), shape)
    return st.lists(field, min_size=1, max_size=6).map(lambda found: ["-O", ",".join(found)])


def _accounts() -> Words:
    """sacct's ``-o``"""
    fields = st.lists(st.sampled_from(_SACCT_FIELDS.split()), min_size=1, max_size=8)
    tail = st.sampled_from(["", "", "%20", "%-15", "%4"])
    return st.builds(lambda names, width: ["-o", ",".join(name + width for name in names)], fields, tail)


_sorts = _calls("""
-S i
-S -i
-S P
-S t,-i
-S j
-S -p,i
-S S
-S M,i
-S Z
-S u,-j
-S T,i
-S D,i
-S C,-i
-S Q,i
""")
_states = _calls("""
-t all
-t all
-t PD
-t R,PD
-t CD,F
-t CA
-t pending
-t COMPLETED
-t nope
-t TO
-t ''
-t r
-t F
""")
_filters = _calls("""
-r
-r -t all
-n name
-n wrap,name
-p debug
-p nope
-u nosuchuser
--me
-q normal
-w n1
-w n9
-w n[1-4]
-A root
-A nope
-r
-h
-l
--start
--noconvert
""")
_jobs = _calls("""
-j IDS
-j IDS
-j IDS
-j ID
-j ID,ID
-j 999999
-j ID,999999
-j abc
-jID
-r -j IDS
-r -j ID
--array-unique -j IDS
""")
_format_of_jobs = _maybe(st.one_of(_letters(_SQUEUE_LETTERS), _names(_SQUEUE_NAMES)))
_squeue = _together(st.just(["squeue"]), _jobs, _states, _format_of_jobs, _maybe(_sorts), _maybe(_filters))
_active = _together(
    st.just(["squeue"]), _format_of_jobs, _maybe(_sorts), _maybe(_filters.filter(lambda words: "-t" not in words))
)  # the real Slurm remembers jobs of the examples before
_steps = _together(_calls("squeue -s\nsqueue -s -j IDS\nsqueue -s -j ID"), _maybe(_letters("ijPuNMlAU")))
_sinfo = _together(
    st.just(["sinfo"]),
    _maybe(st.one_of(_letters(_SINFO_LETTERS), _names(_SINFO_NAMES))),
    _maybe(_calls("-N\n-s\n-l\n-Nl\n-h\n-e\n-R\n-d\n-r\n-a")),
    _maybe(_calls("-n n1\n-n n[2-3]\n-n n9\n-p debug\n-p nope\n-t idle\n-t alloc,mix\n-t nope\n-t down")),
    _maybe(_calls("-S P\n-S -N\n-S Z\n-S t,n")),
)
_scontrol = _calls("""
scontrol show job ID
scontrol show job ID
scontrol -o show job ID
scontrol -d show job ID
scontrol show job=ID
scontrol show jobs ID
scontrol show job 999999
scontrol show job abc
scontrol show job ID extra
scontrol -Q show job 999999
scontrol show node
scontrol show node n1
scontrol -o show node n2
scontrol show node n9
scontrol show partition
scontrol -o show part debug
scontrol show partition nope
scontrol show step ID
scontrol show step ID.0
scontrol show bogus
scontrol show
scontrol bogus
scontrol show hostnames n[1-3],m[08-10]
scontrol show hostnames n[5-2]
scontrol show hostlist n1,n2,n5
scontrol show hostlistsorted n3,n1,n2
scontrol write batch_script ID -
scontrol write batch_script 999999 -
""")
_sacct = _together(
    _calls("""
sacct -j IDS
sacct -j IDS
sacct -j ID
sacct -j ID.batch
sacct -j ID.0
sacct -j ID,ID
sacct -j 999999
sacct --array -j IDS
"""),
    _maybe(_calls("-X\n-P\n-p\n-n\n-b\n-D\n-nP\n-XP\n-P --delimiter=;")),
    _maybe(_accounts()),
    _maybe(
        _calls("""
-s CD
-s F,CA
-s PD
-s nope
-u root
-u nosuchuser
--name=name
-o bogus
-r debug
-N n1
-q normal
""")
    ),
)
questions: Mapping[str, Words] = {
    "squeue": st.one_of(_squeue, _squeue, _active, _steps),
    "sinfo": _sinfo,
    "scontrol": _scontrol,
    "sacct": _sacct,
}
"""By command, the words of a call."""


def with_ids(words: Sequence[str], ids: Sequence[str], one: str) -> list[str]:
    """The call with the ids in their places; a format is left as it is."""
    found = []
    for before, word in zip(["", *words], words, strict=False):
        place = word if before not in ("-o", "-O") else ""
        found.append(place.replace("IDS", ",".join(ids)).replace("ID", one) or word)
    return found
