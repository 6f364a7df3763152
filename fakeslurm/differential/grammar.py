"""What the commands are made of: hypothesis strategies for the options and scripts of sbatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import evolve, frozen
from hypothesis import strategies as st

__all__ = ["GATE", "Submission", "submissions"]

GATE = "GATE"
"""Stands in a script for the name of the job's own gate."""

_TIMES = (
    "now",
    "now+1hour",
    "now+60",
    "now+3minutes",
    "now+2days",
    "2035-01-01",
    "2035-06-01T10:00",
    "01/02/35",
    "now+1week",
)
_BAD_TIMES = ("foo", "", "25:00", "now+", "now-5", "2035-13-01", "now+1fortnight")
_COUNTS = ("1", "1", "2", "3", "4")
_BAD_COUNTS = ("0", "-1", "foo", "1.5", "", "5", "99999999999", " 2", "2x", "+2", "0x2")

# For each option: its letter, and values that make sense. None stands for "without a value".
_OPTIONS: Mapping[str, tuple[str, Sequence[str | None]]] = {
    "account": ("A", ("root", "nope")),
    "begin": ("b", _TIMES),
    "chdir": ("D", (".", "sub", "missing", "sub")),
    "comment": ("", ("a comment", "x", "", "don't", 'a "b" c', "tab\there", "ünï", "a=b c=d", "a|b")),
    "contiguous": ("", (None,)),
    "cpus-per-task": ("c", (*_COUNTS, "5")),
    "deadline": ("", ("now+3630", "now+172830")),
    "distribution": ("m", ("block", "cyclic", "block:cyclic", "cyclic:block", "*", "block:*", "block,Pack")),
    "error": ("e", ("err.txt", "e-%j", "e-%x-%u.%A", "/dev/null", "out.txt", "missing/e", "%%-%5j", "a b")),
    "exclude": ("x", ("n1", "n[2-3]", "n4,n1", "n[1-4]")),
    "exclusive": ("", (None, "exclusive", "user")),
    "export": ("", ("ALL", "NONE", "GIVEN", "SET=1", "ALL,SET=1", "GIVEN,SET=a b", "NIL", "NOSUCH")),
    "hold": ("H", (None,)),
    "ignore-pbs": ("", (None,)),
    "input": ("i", ("/dev/null", "missing.in", "/etc/hostname")),
    "job-name": ("J", ("name", "a name", "", "naïve", "n=1", "a,b", "x" * 30, "-dash", "%j")),
    "kill-on-invalid-dep": ("", ("yes", "no", "YES")),
    "mail-type": ("", ("NONE", "END,FAIL", "all")),
    "mail-user": ("", ("me@example.org",)),
    "mem": ("", ("100", "1G", "2000M", "0", "500K", "3000", "1T", "1g")),
    "mem-per-cpu": ("", ("100", "500M", "1G", "0", "600")),
    "mincpus": ("", _COUNTS),
    "nice": ("", (None, "0", "5", "-5", "foo", "1000")),
    "no-kill": ("k", (None, "off")),
    "no-requeue": ("", (None,)),
    "nodelist": ("w", ("n1", "n[2-3]", "n4,n1", "n[1-4]")),
    "nodes": ("N", ("1", "2", "2-3", "1-4", "4", "5", "3-", "-2", "1k", "2-2")),
    "ntasks": ("n", ("1", "2", "3", "4", "5", "7", "16", "17")),
    "ntasks-per-core": ("", ("1", "2")),
    "ntasks-per-node": ("", (*_COUNTS, "5")),
    "ntasks-per-socket": ("", ("1", "2")),
    "open-mode": ("", ("append", "truncate", "a", "t")),
    "output": (
        "o",
        ("out.txt", "o-%j", "o-%x.%u", "%A-%a", "%12j-%J", "missing/o", "%N.%n.%t", "none", "\\%j", "sub/%j.txt"),
    ),
    "overcommit": ("O", (None,)),
    "oversubscribe": ("s", (None,)),
    "parsable": ("", (None,)),
    "partition": ("p", ("debug", "nope", "debug,nope", "")),
    "priority": ("", ("10", "foo", "1")),
    "qos": ("q", ("normal", "nope")),
    "quiet": ("Q", (None,)),
    "requeue": ("", (None,)),
    "signal": ("", ("USR1", "B:USR1@60", "10", "TERM@30", "B:2@100", "SIGINT")),
    "sockets-per-node": ("", ("1", "2")),
    "spread-job": ("", (None,)),
    "time": (
        "t",
        ("1", "10", "1:30", "1-0", "2-03:04", "UNLIMITED", "0", "90:00", "1:2:3", "-1", "INFINITE", "400-0", "60"),
    ),
    "tmp": ("", ("0", "100", "1G")),
    "use-min-nodes": ("", (None,)),
    "wait-all-nodes": ("", ("0", "1")),
}
_ARRAYS = (
    *(
        "1-3",
        "0-3",
        "1-4%1",
        "1-4%2",
        "0-3%3",
        "2,5,7",
        "0-9:3",
        "1-7:2%2",
        "5",
        "1,3-4",
        "4,2-3",
        "3-3",
        "1-2%5",
        "1-2%0",
    ),
    *("[1-2]", "1-2%x", "1,1,2", "0-20:2"),
)
"""Values of ``--array``."""
_THROTTLED_ON = "n1"
"""The node of arrays with a limit: while an element is being cleared away the next one would avoid its node, which is chance."""
_BAD: Mapping[str, Sequence[str]] = {
    "array": ("5-2", "0-2000", "foo", "", "1-2:0", "%2", "-1", "1-", "1--2", "1;2", "1-2,", " 1-2", "1001", "1000"),
    "begin": _BAD_TIMES,
    "clusters": ("other",),
    "constraint": ("feat", "a&b", ""),
    "cpus-per-task": _BAD_COUNTS,
    "deadline": (*_BAD_TIMES, "2020-01-01"),
    "dependency": ("bogus:1", "afterok:foo", "afterok", "afterok:", "afterany:1?afterok:1,afterok:2", "after:1+x"),
    "distribution": ("foo", "plane", "plane=0", "blocky", "", "block:foo"),
    "exclude": ("n9", "n[1-", ""),
    "exclusive": ("foo", ""),
    "export-file": ("nope",),
    "hint": ("foo", "compute_bound"),
    "kill-on-invalid-dep": ("maybe", ""),
    "licenses": ("lic", "lic:2"),
    "mail-type": ("nope", ""),
    "mem": ("1.5G", "1Q", "foo", "-1", "", "1 G"),
    "mem-per-cpu": ("foo", "", "3000"),
    "mincpus": _BAD_COUNTS,
    "no-kill": ("on", "", "no"),
    "nodelist": ("n9", "n[1-", "n[1-9]", ""),
    "nodes": ("0", "foo", "2-1", "-", "", "1-2-3", "1.5", "2x"),
    "ntasks": _BAD_COUNTS,
    "ntasks-per-node": _BAD_COUNTS,
    "open-mode": ("x", ""),
    "reservation": ("nope", ""),
    "signal": ("FOO", "@60", "B:", "USR1@foo", "USR1@-5", "", "99999"),
    "time": ("foo", "5m", " 5", "1:2:3:4", "1-", "", "-5", "1-2-3"),
    "time-min": ("foo",),
    "tmp": ("foo", ""),
    "uid": ("nosuchuser",),
}
_VARIABLES: Mapping[str, str] = {
    "account": "SBATCH_ACCOUNT",
    "exclusive": "SBATCH_EXCLUSIVE",
    "distribution": "SBATCH_DISTRIBUTION",
    "job-name": "SBATCH_JOB_NAME",
    "export": "SBATCH_EXPORT",
    "open-mode": "SBATCH_OPEN_MODE",
    "overcommit": "SBATCH_OVERCOMMIT",
    "partition": "SBATCH_PARTITION",
    "qos": "SBATCH_QOS",
    "requeue": "SBATCH_REQUEUE",
    "no-requeue": "SBATCH_NO_REQUEUE",
    "signal": "SBATCH_SIGNAL",
    "time": "SBATCH_TIMELIMIT",
    "input": "SBATCH_INPUT",
    "output": "SBATCH_OUTPUT",
    "error": "SBATCH_ERROR",
    "mem-per-node": "SBATCH_MEM_PER_NODE",
    "no-kill": "SBATCH_NO_KILL",
    "use-min-nodes": "SBATCH_USE_MIN_NODES",
    "ignore-pbs": "SBATCH_IGNORE_PBS",
    "mem-per-cpu": "SBATCH_MEM_PER_CPU",
    "spread-job": "SBATCH_SPREAD_JOB",
}
_UNAMBIGUOUS: Mapping[str, str] = {
    "job-name": "job",
    "comment": "comm",
    "partition": "part",
    "output": "out",
    "time": "time",
    "nodes": "nodes",
    "priority": "pri",
    "deadline": "dead",
    "begin": "beg",
    "signal": "sig",
}

Where = Literal["line", "directive", "environment"]


@frozen
class Submission:
    """One call of sbatch: its options as words, its variables, and the script (None: one that is read from stdin)."""

    options: tuple[str, ...]
    environ: Mapping[str, str]
    script: str
    arguments: tuple[str, ...] = ()
    way: Literal["file", "stdin", "wrap"] = "file"
    array: str | None = None
    """What ``--array`` says, if it is one."""

    @property
    def gated(self) -> bool:
        return GATE in self.script

    def with_options(self, *options: str) -> Submission:
        return evolve(self, options=(*self.options, *options))


@st.composite
def _words(draw: st.DrawFn, names: Sequence[str], values: Mapping[str, Sequence[str | None]]) -> list[str]:
    """An option as one or two words, in one of the ways it may be written."""
    name = draw(st.sampled_from(list(names)))
    value = draw(st.sampled_from(list(values[name])))
    letter = _OPTIONS[name][0] if name in _OPTIONS else ""
    long = f"--{_UNAMBIGUOUS.get(name, name) if draw(st.integers(0, 7)) == 7 else name}"
    if value is None:
        return [f"-{letter}"] if letter and name != "no-kill" and draw(st.booleans()) else [long]
    if name in ("exclusive", "nice", "no-kill"):  # the value is optional: it has to be in the same word
        return [f"{long}={value}"]
    forms = [[f"{long}={value}"], [long, value]]
    if letter:
        forms += [[f"-{letter}", value], *([[f"-{letter}{value}"]] if value else [])]
    return draw(st.sampled_from(forms))


_GOOD_VALUES: Mapping[str, Sequence[str | None]] = {name: values for name, (_, values) in _OPTIONS.items()}
_good = _words(list(_GOOD_VALUES), _GOOD_VALUES)
_ARRAY_VALUES: Mapping[str, Sequence[str | None]] = {
    **_GOOD_VALUES,
    "chdir": (".", "sub", "sub"),
    "error": ("e-%j", "e-%3a.%A", "/dev/null"),
    "input": ("/dev/null", "/etc/hostname"),
    "output": ("o-%j", "%A-%a", "%4a-%J", "sub/%a", "/dev/null"),
}
"""Files that no two elements share; and all elements come to their gates: where others start after some have ended is chance."""
_good_of_arrays = _words(list(_ARRAY_VALUES), _ARRAY_VALUES)
_bad = st.one_of(
    _words(list(_BAD), _BAD),
    st.sampled_from(
        [
            ["--bogus"], ["-Y"], ["--nt=2"], ["--ntasks"], ["-n"], ["--parsable=1"], ["--hold=yes"], ["--wrap"], ["--tim=x"], ["-"],
            ["--mem=100", "--mem-per-cpu=100"], ["--c"], ["--n=1"],
        ]
    ),
)  # fmt: skip

_COMMANDS = """
echo out
echo err >&2
printf 'no newline'
pwd
umask
env -0 > env.$SLURM_JOB_ID
echo "$#:$*"
readlink /proc/self/fd/0
ulimit -n > /dev/null
no-such-command
echo $0 | sed 's,.*/,,'
cat
false
(exit 7)
kill -9 $$
kill -TERM $$
kill -USR1 $$
sh -c 'kill -9 $$'
exit 0
exit 1
exit 3
exit 300
exit 255
"""
_STEPS = """
srun true
srun -n1 -w $SLURMD_NODENAME false
srun sh -c 'exit 7'
srun -l sh -c 'echo $SLURM_PROCID $SLURM_NODEID $SLURM_LOCALID'
srun sh -c 'env -0 > env.$SLURM_JOB_ID.$SLURM_STEP_ID.$SLURM_PROCID'
srun -n2 -l echo two
srun -N1 -n1 hostname > /dev/null
srun -o step-%j-%s-%t echo file
srun -n1 sh -c 'kill -9 $$'
srun --bogus true
srun -n99 true
srun -N9 true
srun no-such-program
srun -J named true
srun -n2 sh -c 'exit $SLURM_PROCID'
srun -m cyclic -l sh -c 'echo $SLURM_NODEID'
"""
_NO_PATH = "NIL"
"""With this ``--export`` a script finds Slurm's own srun on 24.11, and not the fake's, which is not where shells look by themselves."""
_SHELLS = """
#!/bin/sh
#!/bin/sh
#!/bin/bash
#!/bin/bash -e
"""
_SHEBANGS = f"""
{_SHELLS}
#!/no/such/interpreter
#! /bin/sh
#!/bin/cat
"""
_NO_SCRIPTS = (
    "",
    "\n\n",
    "echo no shebang\n",
    "#!/bin/sh\r\necho dos\r\n",
    "#!/bin/sh\n#SBATCH --comment='unclosed\ntrue\n",
    "#!/bin/sh\n#SBATCH positional\ntrue\n",
)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@st.composite
def submissions(
    draw: st.DrawFn, *, gated: bool | None = None, bad: bool = False, steps: bool = True, array: bool = False
) -> Submission:
    """A call of sbatch.

    `gated`: whether the script waits at its gate; `bad`: with something that is likely to be refused; `array`: of a job array.
    """
    good = _good_of_arrays if array else _good
    on_line = [word for words in draw(st.lists(good, max_size=4)) for word in words]
    in_script = draw(st.lists(good, max_size=2)) if draw(st.booleans()) else []
    environ: dict[str, str] = {}
    way: Literal["file", "stdin", "wrap"] = draw(st.sampled_from(["file", "file", "file", "stdin", "wrap"]))
    indices = draw(st.sampled_from(_ARRAYS)) if array else None
    if indices is not None:
        if "%" in indices:
            on_line = ["-w", _THROTTLED_ON, *on_line]
        where = draw(st.sampled_from(["-a", "--array", "directive", "SBATCH_ARRAY_INX"]))
        if where == "directive" and way != "wrap":
            in_script.append(["-a", indices])
        elif where == "SBATCH_ARRAY_INX":
            environ[where] = indices
        else:
            on_line += ["-a" if where == "directive" else where, indices]
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(_VARIABLES.keys() - ({"output", "error"} if array else set()))))
        values = _GOOD_VALUES.get(name, ("100",))
        pool = [*values, *_BAD.get(name, ())] if bad else values
        environ[_VARIABLES[name]] = draw(st.sampled_from([value or "" for value in pool]))
    if bad and draw(st.integers(0, 4)):
        wrong = draw(_bad)
        if draw(st.integers(0, 3)):
            on_line += wrong
        else:
            in_script.append(wrong)
    words = [*on_line, *(word for option in in_script for word in option), *environ.values()]
    bare = any(word.endswith(_NO_PATH) for word in words)
    commands = _lines(_COMMANDS) + (_lines(_STEPS) if steps and not bare else [])
    lines = draw(st.lists(st.sampled_from(commands), max_size=4))
    if gated or (gated is None and draw(st.booleans())):
        lines.insert(draw(st.integers(0, 1)) if lines and not array else 0, f": > {GATE}.at; : < {GATE}.gate")
    directives = [f"#SBATCH {' '.join(map(_quoted, words))}" for words in in_script]
    script = "\n".join([draw(st.sampled_from(_lines(_SHELLS if array else _SHEBANGS))), *directives, *lines, ""])
    if bad and draw(st.integers(0, 5)) == 0:
        script = draw(st.sampled_from(_NO_SCRIPTS))
    if way == "wrap":
        script = "\n".join(lines)
    arguments = (
        tuple(draw(st.lists(st.sampled_from(["a", "b c", "--bogus", "-n2", ""]), max_size=2))) if way == "file" else ()
    )
    return Submission(tuple(on_line), environ, script, arguments, way, indices)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'" if set(word) & set(" \t'\"\\|*[]") or not word else word
