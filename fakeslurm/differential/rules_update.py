"""The rule for ``scontrol update`` of jobs: what is changed of which of them, and what is looked at then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from fakeslurm.differential.session import Session

__all__ = ["UpdateRules"]

_VALUES: Mapping[str, Sequence[str]] = {
    "TimeLimit": ("5", "90", "1:30", "1-0", "2-03", "UNLIMITED", "INFINITE", "+3", "-1", "x", "", "1:2:3:4", "+x"),
    "Name": ("new", "a b", "", "%j"),
    "JobName": ("new", "x" * 30),
    "Comment": ("c", "a b", "", 'a "b"', "a|b"),
    "AdminComment": ("a", "a b", ""),
    "WCKey": ("w", "", "*"),
    "Requeue": ("0", "1", "2", "x", "", "-1"),
    "Priority": ("0", "0", "5", "1", "x", "-1", "4294967295"),
    "Nice": ("0", "5", "-5", "100", "x", "3000000000"),
    "Partition": ("debug", "debug", "nope", "", "debug,nope"),
    "Account": ("root", "nope", ""),
    "QOS": ("normal", "nope", ""),
    "ReqNodeList": ("n2", "n1", "", "n9", "n[3-4]", "n4,n3"),
    "NodeList": ("n3", ""),
    "ExcNodeList": ("n4", "n1,n3", "", "n9", "n[1-4]"),
    "Features": ("", "nope"),
    "Gres": ("gpu:1",),
    "Licenses": ("lic", ""),
    "MinMemoryNode": ("50", "0", "9G", "100000", ""),
    "MinMemoryCPU": ("20", "0", "x", "3000"),
    "MinTmpDiskNode": ("0", "10", "x"),
    "StartTime": ("2035-01-01T08:00", "now", "now+1hour", "now-60", "x", "", "2020-01-01"),
    "EligibleTime": ("2036-01-01", "now"),
    "EndTime": ("now+1hour", "x", "2020-01-01", ""),
    "Dependency": ("", "x", "afterok:999999", "afterany:OTHER", "afterok:OTHER", "after:OTHER+1"),
    "StdOut": ("/dev/null",),
    "StdErr": ("/dev/null",),
    "StdIn": ("/dev/null",),
    "WorkDir": ("/tmp",),
    "MailType": ("END", "ALL", "NONE", "bogus", "END,FAIL"),
    "MailUser": ("me", ""),
    "ArrayTaskThrottle": ("0", "1", "2", "3", "-1", "x"),
    "UserID": ("0", "root", "nosuchuser"),
    "Bogus": ("1",),
}
"""Keys, and values that make sense or do not; OTHER is a job of the example."""
_LEAST = {
    "TimeLimit": 5, "JobName": 4, "Comment": 3, "AdminComment": 6, "Priority": 2, "Nice": 2, "Partition": 2, "ExcNodeList": 3,
    "Dependency": 1, "Features": 1, "EndTime": 2, "StartTime": 2, "Name": 2, "Requeue": 4, "WCKey": 1, "MinMemoryNode": 10,
}  # fmt: skip
"""The least letters of some keys."""
_IDS = ("jobid=", "jobid=", "jobid=", "job=", "JobId=", "JOBID=", "JobId ", "job ")
_BEHIND = ("", "", "", "", "", ",999999", " 999999", ",abc", ",OTHER")
"""What is said behind the id."""
_SHOWS = "%i|%T|%r|%j|%l|%k|%w|%P|%Q|%y|%n|%x|%D|%C|%m|%d|%S|%e|%E|%f|%Z|%V|%B|%N"


@st.composite
def changes(draw: st.DrawFn) -> list[str]:
    """One ``KEY=VALUE``, or some."""
    words: list[str] = []
    for key in draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=3)):
        value = draw(st.sampled_from(_VALUES[key]))
        if key in _LEAST and draw(st.integers(0, 4)) == 0:
            key = key[: draw(st.integers(_LEAST[key] - 1, len(key)))]
        key = draw(st.sampled_from([key, key, key.lower(), key.upper()]))
        how = draw(st.sampled_from(["=", "=", "=", "=", "=", "=", " ", "+=", "-="]))
        words += [key, value] if how == " " else [f"{key}{how}{value}"]
    return words


class UpdateRules(Session):
    """Updates of jobs that wait, run, or have ended."""

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        words=st.one_of(changes(), changes(), changes(), st.sampled_from([["Nice"], ["Bogus"], ["Comment"], []])),
        key=st.sampled_from(_IDS),
        behind=st.sampled_from(_BEHIND),
        first=st.sampled_from([True, True, True, False]),
    )
    def update(self, data: st.DataObject, words: list[str], key: str, behind: str, first: bool) -> None:
        self.a_second_later()
        target = self.one(data)
        other = self.one(data)
        busy = self.busy()
        if busy and any(word.lower()[:2] == "ni" for word in words):
            return
        if busy and self.states(target) - {"RUNNING"} and self._may_start(target):
            return
        ids = f"{key}{target}{behind.replace('OTHER', other)}"
        named = ids.split(" ", 1) if key.endswith(" ") else [ids]
        changed = [word.replace("OTHER", other) for word in words]
        said = self.both(
            ["scontrol", "update", *named, *changed] if first else ["scontrol", "update", *changed, *named]
        )
        if "fakeslurm does not support" in said.stderr:  # after it has changed some of it, maybe
            self.failed = True
            reject()
        self.settle()
        self.until_agreed(["squeue", "-h", "-t", "all", "-j", target.partition("_")[0], "-o", _SHOWS])
        self.until_agreed(["scontrol", "show", "job", target])

    def _may_start(self, target: str) -> bool:
        """Whether an update may let a job go that waits, beside those that run."""
        listed = self.arena.left.run(["squeue", "-h", "-t", "PD", "-j", target.partition("_")[0], "-o", "%r"], {}, None)
        return not set(listed.stdout.split()) <= {"JobHeldUser", "JobHeldAdmin", "JobArrayTaskLimit"}
