"""The questions that are asked: hypothesis strategies for the calls of squeue, sinfo, sacct and scontrol show.

``IDS`` stands for the ids of all jobs of the example, ``ID`` for one of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from fakeslurm.differential.questionfields import (
    SACCT_FIELDS,
    SINFO_LETTERS,
    SINFO_NAMES,
    SQUEUE_LETTERS,
    SQUEUE_NAMES,
    STEP_LETTERS,
    STEP_NAMES,
)

__all__ = ["questions", "with_ids"]

Words = st.SearchStrategy[list[str]]

_WIDTHS = ("", "", "5", "12", "30", ".8", ".20", "1", ".1", "0", ".0", ".", "05", "300", ".40")
_TIMES = frozenset("MLlSeV")
_SUFFIXES = ("", "", "|", " ", ",", ";;", "x", "\\n", "ü")


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
    whole = st.builds(_glued, fields, st.sampled_from(["|", " ", "", ","]))
    odd = st.sampled_from(["", "no field", "%", "%%", "%i%", "|%i", "%W", "%#i", "%-8i", "%8.3i", "%i %k", "%D %7$"])
    return st.one_of(whole, whole, whole, odd).map(lambda text: ["-o", text])


def _glued(fields: Sequence[str], glue: str) -> str:
    """The fields in a row. Between two times there is something: nobody could tell where the first one ends."""
    text = ""
    for before, one in zip(["", *fields], fields, strict=False):
        times = before[-1:] in _TIMES and one[-1] in _TIMES
        text += ((glue or " ") if times else glue) * bool(before) + one
    return text


def _names(text: str) -> Words:
    """``-O``"""
    shape = st.sampled_from(["", "", ":30", ":.12", ":|", ":0|", ":5:", ":", ":.", ":1", ":.300", ": ", ":-8", ":x9"])
    field = st.builds(lambda name, tail: name + tail, st.sampled_from(text.split()), shape)
    return st.lists(field, min_size=1, max_size=6).map(lambda found: ["-O", ",".join(found)])


def _accounts() -> Words:
    """sacct's ``-o``"""
    field = st.builds(
        lambda name, width: name + width,
        st.sampled_from(SACCT_FIELDS.split()),
        st.sampled_from(["", "", "", "%20", "%-15", "%4", "%-30", "%1", "%-1", "%", "%x"]),
    )
    return st.lists(field, min_size=1, max_size=8).map(lambda found: ["-o", ",".join(found)])


_squeue_sorts = st.one_of(
    _calls("-S i\n-S -i\n-S P\n-S t,-i\n-S -p,i\n-S S\n-S ''\n-S bogus"),
    st.lists(
        st.builds(
            lambda sign, letter: sign + letter,
            st.sampled_from(["", "-", "+"]),
            st.sampled_from("abcCdDeEfgGhHiIjJlLmMnNOpPqQSrRtTuUvVxz"),
        ),
        min_size=1,
        max_size=3,
    ).map(lambda found: ["-S", ",".join([*found, "i"])]),
)
_states = _calls("""
-t all
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
-t S,R
-t all,PD
-t ALL
-t DL,OOM,NF
-t CG
-t PD,,R
-t 'PD, R'
-t 0
-t SE,RQ
-t NODE_FAIL
""")
_filters = _calls("""
-r
-r -t all
-n name
-n wrap,name
-n ''
-p debug
-p nope
-p debug,nope
-u nosuchuser
-u root
-u 0
-u root,nosuchuser
--me
-q normal
-q NORMAL
-w n1
-w n9
-w n[1-4]
-w n1,n3
-w ''
-A root
-A nope
-L lic
-R res
-r
-h
-l
-a
--start
--start -h
--noconvert
--hide
--federation
--local
extra
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
-j ID,abc
-j 0
-jID
--jobs=IDS
-r -j IDS
-r -j ID
--array-unique -j IDS
--array-unique -r -j IDS
""")
_format_of_jobs = _maybe(st.one_of(_letters(SQUEUE_LETTERS), _names(SQUEUE_NAMES)))
_squeue = _together(st.just(["squeue"]), _jobs, _states, _format_of_jobs, _maybe(_squeue_sorts), _maybe(_filters))
_active = _together(
    st.just(["squeue"]),
    _format_of_jobs,
    _maybe(_squeue_sorts),
    # The real Slurm remembers jobs of the examples before.
    _maybe(_filters.filter(lambda words: "-t" not in words)),
)
_steps = _together(
    _calls(
        "squeue -s\nsqueue -s -j IDS\nsqueue -s -j ID\nsqueue -s ID.0\nsqueue -s ID.batch\nsqueue --steps=ID.0,ID.1\nsqueue -s abc"
    ),
    _maybe(st.one_of(_letters(STEP_LETTERS), _letters(SQUEUE_LETTERS), _names(STEP_NAMES))),
    _maybe(
        _calls(
            "-S i\n-S -i\n-S P,-i\n-S M,i\n-S N\n-S Z\n-S u,i\n-h\n-l\n-p debug\n-p nope\n-u root\n-w n1\n-t R\n-r\n-h --start"
        )
    ),
)
_sinfo = _together(
    st.just(["sinfo"]),
    _maybe(st.one_of(_letters(SINFO_LETTERS), _names(SINFO_NAMES))),
    _maybe(
        _calls(
            "-N\n-s\n-l\n-Nl\n-h\n-R\n-Rl\n-RN\n-d\n-r\n-a\n-T\n-sN\n-sl\n-hN\n--noconvert\n-Ne\n-R -h\n--hide\nextra"
        )
    ),
    _maybe(
        _calls(
            "-n n1\n-n n[2-3]\n-n n9\n-n n4,n1\n-p debug\n-p nope\n-p nope,debug\n-t idle\n-t alloc,mix\n-t nope\n"
            "-t down\n-t drain\n-t draining\n-t drained\n-t idle,alloc\n-t all\n-t ''\n-t mix\n-t a\n-t comp\n-t resp\n-t no_respond\n"
            "-t IDLE\n-t d\n-t idle -n n[1-2]"
        )
    ),
    _maybe(
        st.one_of(
            _calls("-S P\n-S -N\n-S N\n-S Z\n-S t,N\n-S +P,-t\n-S ''\n-S '#P,-t'"),
            st.sampled_from("aAbcdDfFghilLmMNpPrRstTuUvwXYzZ").map(lambda letter: ["-S", f"-{letter},N"]),
        )
    ),
)
_scontrol = st.one_of(
    _together(
        _calls(
            "scontrol\nscontrol -o\nscontrol -d\nscontrol -od\nscontrol --details --oneliner\nscontrol -a\nscontrol -Q"
        ),
        _calls(
            "show job ID\nshow job ID\nshow jobs ID\nshow jobid ID\nshow job=ID\nshow j ID\nshow JOB ID\nsho job ID\nshow step ID\n"
            "show step ID.0\nshow steps\nshow node n1\nshow nodes\nshow node n[1-4]\nshow node n2,n9\nshow partition\nshow part debug\n"
            "show job ID -d\nshow job ID -o"
        ),
    ),
    _calls("""
scontrol show job 999999
scontrol show job abc
scontrol show job ID extra
scontrol show job ID,ID
scontrol show job ID.0
scontrol -Q show job 999999
scontrol show node n9
scontrol show node=n3
scontrol show node ''
scontrol show node n[1-
scontrol show partition nope
scontrol show partition=debug
scontrol show step ID.batch
scontrol show step ID.7
scontrol show step abc
scontrol show step 999999
scontrol show step 999999.0
scontrol show bogus
scontrol show
scontrol bogus
scontrol show licenses
scontrol show license nope
scontrol show reservation
scontrol show res nope
scontrol show hostnames n[1-3],m[08-10]
scontrol show hostnames n[5-2]
scontrol show hostnames ''
scontrol show hostnames n1,,n2
scontrol show hostnames a[1-2]b[3-4]
scontrol show hostnames 'n[1-3,7]'
scontrol show hostnames n[01-3]
scontrol show hostname n[1-2]
scontrol show hostlist n1,n2,n5
scontrol show hostlist n1,n01,n2
scontrol show hostlist n10,n9,n8
scontrol show hostlist a1b2,a1b3
scontrol show hostlist ''
scontrol show hostlistsorted n3,n1,n2
scontrol show hostlistsorted n3,n1,n2,n1
scontrol show hostlistsorted m2,n1,m1
scontrol show hostl n1,n2
scontrol write batch_script ID -
scontrol write batch_script 999999 -
scontrol version extra
"""),
)
_times = st.sampled_from(
    ["now", "now-1hour", "now-10minutes", "now-2days", "2035-01-01", "2001-01-01", "midnight", "today", "tomorrow",
     "00:00", "01/01/20", "2001-01-01T10:00", "now+1day", "now-1week", "noon", "foo", "", "now-", "25:00", "2001-13-01"]
)  # fmt: skip
_windows = st.one_of(
    _times.map(lambda start: ["-S", start]),
    _times.map(lambda end: ["-E", end]),
    st.tuples(_times, _times).map(lambda two: ["-S", two[0], "-E", two[1]]),
)
_sacct = _together(
    _calls("""
sacct -j IDS
sacct -j IDS
sacct -j IDS
sacct -j ID
sacct -j ID.batch
sacct -j ID.0
sacct -j ID,ID
sacct -j ID -j ID
sacct -j 999999
sacct -j abc
sacct -j ID.foo
sacct --jobs=IDS
sacct --array -j IDS
"""),
    _maybe(
        _calls(
            "-X\n-P\n-p\n-n\n-b\n-D\n-nP\n-XP\n-P --delimiter=;\n-P --delimiter=ab\n-p --delimiter=\n-l\n-lP\n-aX\n-XD\n-bX\n--noconvert\n"
            "--units=M -P\n--units=K\n--units=G -P\n--units=x\n-Pp\n-pP\n--delimiter=;\n-e\n-L\n--federation\n-v extra\nextra"
        )
    ),
    _maybe(_accounts()),
    _maybe(_windows),
    _maybe(
        _calls("""
-s CD
-s F,CA
-s PD
-s R
-s R,PD
-s pending
-s CA,TO,F
-s S
-s CG
-s RQ
-s NF,OOM,DL
-s all
-s nope
-s ''
-u root
-u 0
-u nosuchuser
-g root
-g nosuchgroup
--name=name
--name=wrap,name
-o bogus
-r debug
-r nope
-N n1
-N n[2-4]
-N n9
-q normal
-q nope
-A root
-A nope
-i 1
-i 2-4
-i foo
-I 1
-I 2-4
-k 1
-k 1 -K 100
-W nope
-x 2
-C feat
-M all
-M nope
--whole-hetjob
--whole-hetjob=no
-F SchedMain
-F SchedSubmit
-F nope
-R None
"""),
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
