"""sacct against what Slurm 22.05.8 printed: recorded texts for nineteen jobs, and measured answers to odd requests."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from query_golden import SETTINGS, T0, controller, into_array, jobs, recorded, recorded_argv, run, without_energy

from fakeslurm.commands import accountfields, sacct
from fakeslurm.commands.base import Invocation, command
from fakeslurm.commands.moments import MomentError, parse_moment

NOW = T0 + 92.0
EVERYTHING = recorded_argv("sacct", "-j", ",".join(map(str, range(1, 23))))


def sacct_(*arguments: str, environ: dict[str, str] | None = None, **replaced: Any) -> tuple[int, str, str]:
    reply = run(["sacct", *arguments], controller(**replaced), NOW, environ=environ)
    return reply.returncode, reply.stdout, reply.stderr


def ids(*arguments: str, **replaced: Any) -> list[int]:
    """The jobs that sacct shows, in its order."""
    code, out, err = sacct_("-n", "-X", "-P", "-o", "jobidraw", *arguments, **replaced)
    assert (code, err) == (0, "")
    return [int(line) for line in out.splitlines()]


def table(text: str) -> dict[str, dict[str, str]]:
    """The rows by job or step; without energy, after which nobody asked where it was recorded (jobacct_gather/none)."""
    names, *lines = (line.split("|") for line in text.splitlines())
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    kept = [{name: text.replace("energy=0", "") for name, text in row.items() if "Energy" not in name} for row in rows]
    return {row["JobID"]: row for row in kept}


@pytest.mark.parametrize(
    "argv",
    [
        ["sacct"],
        ["sacct", "-X"],
        ["sacct", "-p", "-b"],
        ["sacct", "-j", "4.1,9,10.batch"],
    ],
    ids=" ".join,
)
def test_recorded(argv: list[str]) -> None:
    now, stdout, stderr, code = recorded(*argv)
    reply = run(argv, controller(), now)
    assert without_energy(reply.stdout) == without_energy(stdout)
    assert (reply.stderr, reply.returncode) == (stderr, code)


def test_recorded_long_format() -> None:
    argv = ["sacct", "-l", "-P"]
    now, stdout, stderr, code = recorded(*argv)
    reply = run(argv, controller(), now)
    assert (reply.stderr, reply.returncode) == (stderr, code)
    assert reply.stdout.splitlines()[0] == stdout.splitlines()[0]
    assert table(reply.stdout) == table(stdout)


def test_recorded_everything() -> None:
    """Every field of every job and step but three.

    DBIndex is a number of the database; the backfill scheduler started most of the jobs; and job 9 was cancelled before
    slurmdbd had heard of it (measured: a few seconds later its Start is ``None``, as the fake has it).
    """

    now, stdout, stderr, code = recorded(*EVERYTHING)
    reply = run(EVERYTHING, controller(), now)
    real, fake = table(without_energy(stdout)), table(without_energy(reply.stdout))
    assert (reply.stderr, reply.returncode, list(fake)) == (stderr, code, list(real))
    assert reply.stdout.splitlines()[0] == stdout.splitlines()[0]
    for row in real.values():
        row["Flags"] = row["Flags"].replace("SchedBackfill", "SchedMain")
        row["DBIndex"] = row["JobID"].partition(".")[0]
    real["9"]["Start"] = "None"
    assert fake == real


def test_all_in_columns() -> None:
    """The header and the rule under it, and rows of the same width."""
    now, stdout, _, _ = recorded("sacct", "-o", "all", "-j", "1,9")
    lines = run(["sacct", "-o", "all", "-j", "1,9"], controller(), now).stdout.splitlines(keepends=True)
    assert lines[:2] == stdout.splitlines(keepends=True)[:2]
    assert {len(line) for line in lines} == {len(lines[0])}


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["-o", "jobid"], ["JobID        ", "------------ ", "1            "]),
        (["-o", "jobid%20,state%5"], ["               JobID State ", f"{'-' * 20} ----- ", f"{'1':>20} RUNN+ "]),
        (["-o", "jobid%-6,state%-5"], ["JobID  State ", "------ ----- ", "1      RUNN+ "]),
        (["-o", "jobid%-3,jobname%3,state%3"], ["Job Job Sta ", "--- --- --- ", "1   tw+ RU+ "]),
        (["-o", "state%1,jobname%2"], ["S Jo ", "- -- ", "+ t+ "]),
        (["-o", "jobid%0,state"], ["      State ", " ---------- ", "    RUNNING "]),
        (["-o", "jobid%x,state"], ["      State ", " ---------- ", "    RUNNING "]),
        (["-o", "ncpus%0,jobname,submit%0"], ["    JobName  ", " ----------  ", "3     two.sh  "]),
        (
            ["-n", "-o", "submit%10,elapsed%5,alloccpus%1,exitcode%2,nodelist%3,priority%4,timelimit%5,reqmem%3"],
            ["2026-11-23 00:01:32 3 0+ n[+ 4294901759 00:1+ 40+ "],
        ),
        (["-P", "-o", "JOBID%3,state%4"], ["JobID|State", "1|RUNNING"]),
        (["-P", "-p", "-o", "jobid,state"], ["JobID|State|", "1|RUNNING|"]),
        (["-p", "-P", "-n", "-o", "jobid,state"], ["1|RUNNING"]),
        (["-P", "--delimiter=;;", "-o", "jobid,state"], ["JobID;;State", "1;;RUNNING"]),
        (["-P", "--delimiter=", "-o", "jobid,state"], ["JobIDState", "1RUNNING"]),
        (["--delimiter=,", "-n", "-o", "state"], ["   RUNNING "]),
        (["-o", ""], ["", "", ""]),
        (["-o", ","], ["", "", ""]),
        (["-P", "-o", "jobid,,state"], ["JobID", "1"]),
        (["-P", "-o", " jobid, state"], ["JobID|State", "1|RUNNING"]),
        (["-P", "-o", "jobid", "-o", "state"], ["JobID|State", "1|RUNNING"]),
        (["-P", "-o", "state", "-b"], ["State|JobID|State|ExitCode", "RUNNING|1|RUNNING|0:0"]),
        (["-P", "--fields", "jobid"], ["JobID", "1"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and value[0].startswith("-") else "",
)
def test_format(arguments: list[str], lines: list[str]) -> None:
    assert sacct_("-X", "-j", "1", *arguments) == (0, "".join(f"{line}\n" for line in lines), "")


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("stat", "State"),
        ("st", "Start"),
        ("job", "JobID"),
        ("j", "JobID"),
        ("jobidra", "JobIDRaw"),
        ("time", "Timelimit"),
        ("res", "Reservation"),
        ("reserve", "Reserved"),
        ("user", "User"),
        ("allo", "AllocCPUS"),
        ("max", "MaxDiskRead"),
        ("exit", "ExitCode"),
        ("c", "Cluster"),
    ],
)
def test_fields_may_be_cut_short(short: str, name: str) -> None:
    assert sacct_("-X", "-P", "-j", "99", "-o", short)[1] == f"{name}\n"


def test_all_fields() -> None:
    names = "|".join(accountfields.FIELDS["22.05"])
    assert sacct_("-X", "-P", "-j", "99", "-o", "all")[1] == f"{names}\n"
    assert sacct_("-X", "-P", "-j", "99", "-o", "al")[1] == f"{names}\n"
    code, out, err = sacct_("-e")
    assert (code, err) == (0, "")
    assert out.split() == list(accountfields.FIELDS["22.05"])
    assert out.splitlines()[0] == "Account             AdminComment        AllocCPUS           AllocNodes         "
    assert sacct_("--help-fields")[1] == out


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["-n", "-j", "99"], (0, "", "")),
        (["-P", "-j", "99", "-o", "jobid"], (0, "JobID\n", "")),
        (["-o", "bogus"], (1, "", 'sacct: error: Invalid field requested: "bogus"\n')),
        (["-o", "jobid,restarts"], (1, "", 'sacct: error: Invalid field requested: "restarts"\n')),
        (["-o", "jobid ,state"], (1, "", 'sacct: error: Invalid field requested: "jobid "\n')),
        (["-j", "abc"], (1, "", "sacct: fatal: Bad job/step specified: abc\n")),
        (["-j", "1,abc"], (1, "", "sacct: fatal: Bad job/step specified: abc\n")),
        (["-j", "1.abc"], (1, "", "sacct: fatal: Bad step specified: 1\n")),
        (["-j", "1_[1-3]"], (1, "", "sacct: fatal: Bad job array element specified: 1\n")),
        (["1"], (1, "", "sacct: error: Unknown arguments:\nsacct: error:  1\n")),
        (["-j", "1", "2", "3"], (1, "", "sacct: error: Unknown arguments:\nsacct: error:  2\nsacct: error:  3\n")),
        (["-s", "bogus"], (1, "", "sacct: fatal: unrecognized job state value 'bogus'\n")),
        (["-s", "all"], (1, "", "sacct: fatal: unrecognized job state value 'all'\n")),
        (["-s", "CG"], (1, "", "sacct: fatal: job state CG is not supported / accounted\n")),
        (["-S", "bogus"], (1, "", "Invalid time specification (pos=0): bogus\n")),
        (["-E", "now-1x"], (1, "", "Invalid time specification (pos=4): now-1x\n")),
        (
            ["-S", "2020-01-01", "-E", "2019-01-01"],
            (
                1,
                "",
                "sacct: error: Start time (2020-01-01T00:00:00) requested is after end time (2019-01-01T00:00:00).\n",
            ),
        ),
        (["-u", "no_such_user"], (1, "", "sacct: error: Invalid user id: no_such_user\n")),
        (["-g", "no_such_group"], (1, "", "sacct: error: Invalid group id: no_such_group\n")),
        (
            ["-q", "nope"],
            (
                1,
                "",
                "sacct: error: You gave a bad qos 'nope'. Valid QOS's are normal\n"
                "sacct: fatal: problem processing qos list\n",
            ),
        ),
        (["-i", "x"], (1, "", 'sacct: error: Invalid numeric value "x" for requested node range.\n')),
        (["-I", "x"], (1, "", 'sacct: error: Invalid numeric value "x" for requested cpu range.\n')),
        (["-k", "x"], (1, "", "sacct: fatal: Invalid time limit specification\n")),
        (["-F", "bogus"], (1, "", "sacct: error: str_2_job_flags: Invalid job flag bogus\n")),
        (
            ["--units=X"],
            (
                1,
                "",
                "sacct: error: Invalid unit type 'X'. Possible options are 'KMGTP'\nsacct: fatal: Invalid unit type\n",
            ),
        ),
        (
            ["-l", "-o", "state"],
            (
                1,
                "",
                "sacct: fatal: Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry.\n",
            ),
        ),
        (["--bogus"], (1, "", "sacct: unrecognized option '--bogus'\n")),
        (["--j", "1"], (1, "", "sacct: option '--j' is ambiguous; possibilities: '--jobs' '--json'\n")),
        (
            ["--par"],
            (1, "", "sacct: option '--par' is ambiguous; possibilities: '--parsable' '--parsable2' '--partition'\n"),
        ),
        (["--usage"], (0, sacct.USAGE, "")),
        (["-U"], (0, "Usage: sacct [options]\n\tUse --help for help\n", "")),
        (["-V"], (0, "slurm-wlm 22.05.8\n", "")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers(arguments: list[str], answer: tuple[int, str, str]) -> None:
    assert sacct_(*arguments) == answer


@pytest.mark.parametrize("arguments", [[], ["-j", "1", "-P"], ["-o", "bogus"], ["-e"]], ids=" ".join)
def test_without_accounting(arguments: list[str]) -> None:
    settings = attrs.evolve(SETTINGS, accounting=False)
    assert sacct_(*arguments, settings=settings) == (1, "", "Slurm accounting storage is disabled\n")
    assert sacct_("-V", settings=settings) == (0, "slurm-wlm 22.05.8\n", "")


_SHOWN = [1, 2, 3, 4, 6, 10, 11, 12, 13, 14, 15, 16, 17, 19]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], _SHOWN),  # neither those that are not eligible (5, 8, 9, 18) nor those to come (7)
        (["-j", "5,7,8,9,99"], [5, 7, 8, 9]),
        (["-j", ""], _SHOWN),
        (["-j", "4", "-j", "2"], [2, 4]),
        (["-j", "1+0"], []),
        (["-s", "R"], [1, 16]),
        (["-s", "PD"], [6, 15, 17]),
        (["-s", "pending,RUNNING"], [1, 6, 15, 16, 17]),
        (["-s", "CD"], []),
        (["-s", "CD", "-S", "now-1hour"], []),
        (["-s", "F,CD", "-S", "now-1hour", "-E", "now"], [2, 3, 4, 10, 14, 19]),
        (["-s", "CA", "-S", "00:00", "-E", "now"], [9, 11, 12]),
        (["-s", "TO", "-S", "now-4", "-E", "now-2"], [13]),
        (["-s", "TO", "-S", "now-2", "-E", "now-1"], []),
        (["-s", "R", "-S", "now-85", "-E", "now-80"], [1, 12, 13, 14, 16, 19]),
        (["-s", "R", "-j", "1,2,3"], [1, 2, 3]),
        (["-s", "CD", "-j", "1,2,3"], [2]),
        (["-s", "S,RQ", "-S", "now-1hour", "-E", "now"], []),
        (["-S", "now"], [1, 6, 15, 16, 17]),
        (["-S", "now", "-j", "1,2"], [1]),
        (["-S", "now-3"], [1, 6, 12, 13, 15, 16, 17]),
        (["-E", "now-92"], []),
        (["-E", "now-91"], [1]),
        (["-E", "now-89"], [1, 2, 3]),
        (["-j", "5,6,7", "-E", "now-88"], []),
        (["-E", "00:00"], []),
        (["-u", "0"], _SHOWN),
        (["-u", "4711"], None),
        (["-a"], _SHOWN),
        (["--name", "two.sh,fail"], [1, 3]),
        (["-r", "nope"], []),
        (["-r", "debug,nope", "-j", "1"], [1]),
        (["-A", "root", "-j", "1"], [1]),
        (["-A", "nope"], []),
        (["-g", "0", "-j", "1"], [1]),
        (["-q", "normal", "-j", "1"], [1]),
        (["-N", "n[3-4]"], [13, 16, 19]),
        (["-N", "n["], []),
        (["-i", "2"], [1]),
        (["-I", "3-4"], [1, 13]),
        (["-I", "0", "-j", "1,2"], [1, 2]),
        (["-k", "1"], [13]),
        (["-k", "1", "-K", "10"], [1, 12, 13, 17]),
        (["-K", "3", "-j", "1"], [1]),
        (["-M", "throwaway", "-j", "1"], [1]),
        (["-M", "nope", "-j", "1"], []),
        (["-W", "nope"], []),
        (["-C", "nope"], []),
        (["-x", "2", "-j", "1"], [1]),
        (["-x", "1"], []),
        (["-F", "schedmain", "-j", "1,5"], [1]),
        (["-F", "SchedBackfill"], []),
        (["-D", "-L", "--local", "--federation", "--whole-hetjob=yes", "-j", "1"], [1]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else "",
)
def test_which_jobs(arguments: list[str], shown: list[int] | None) -> None:
    if shown is None:
        assert sacct_(*arguments) == (1, "", "sacct: error: Invalid user id: 4711\n")
    else:
        assert ids(*arguments) == shown


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["-j", "1"], ["1", "1.batch", "1.0"]),
        (["-j", "1.0,4.1,2"], ["1.0", "2", "2.batch", "4.1"]),
        (["-j", "4.0,4.batch"], ["4.batch", "4.0"]),
        (["-j", "4,4.0"], ["4", "4.batch", "4.0", "4.1"]),
        (["-j", "1.batch", "-X"], ["1"]),
        (["-j", "1.7"], []),
        (["-j", "1.extern"], []),
        (["-j", "1_1"], []),
        (["-S", "now", "-j", "1,2"], ["1", "1.batch", "1.0"]),
        (["-s", "R", "-S", "now-90", "-E", "now-90"], ["1", "1.batch", "1.0"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("-") else "",
)
def test_which_rows(arguments: list[str], rows: list[str]) -> None:
    assert sacct_("-n", "-P", "-o", "jobid", *arguments)[1].split() == rows


def test_elements_of_an_array() -> None:
    some = jobs()
    into_array(some, 2, {3: 1, 2: 7})
    shown = "2_1|3|fail\n2_7|2|wrap\n"
    assert sacct_("-n", "-X", "-P", "-j", "2", "-o", "jobid,jobidraw,jobname", jobs=some)[1] == shown
    assert ids("-j", "2_1", jobs=some) == [3]
    assert sacct_("-n", "-P", "-j", "2_1.batch", "-o", "jobid,jobidraw", jobs=some)[1] == "2_1.batch|3.batch\n"


def test_whose_jobs() -> None:
    """Of others a user sees what is asked for by id, by user or by --allusers."""
    some = jobs()
    some[2].description = attrs.evolve(some[2].description, uid=4711, user="someone")

    def shown(*arguments: str) -> list[str]:
        invocation = Invocation(now=NOW, cwd="/tmp", environ={"TZ": "UTC"}, user="someone", uid=4711)
        parts = controller(jobs=some)
        return command("sacct")(["-n", "-X", "-P", "-o", "jobid", *arguments], invocation, parts).stdout.split()

    assert shown() == ["2"]
    assert shown("-j", "1,2") == ["1", "2"]
    assert len(shown("-a")) == len(_SHOWN)
    assert shown("-u", "root", "-s", "R") == ["1", "16"]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "0:0"),
        (256, "1:0"),
        (127 << 8, "127:0"),
        (128 << 8, "0:0"),
        (129 << 8, "1:0"),
        (137 << 8, "9:0"),
        (200 << 8, "72:0"),
        (255 << 8, "127:0"),
        (9, "0:9"),
        (4021, "0:53"),
    ],
)
def test_exit_codes(status: int, text: str) -> None:
    """A code over 127 loses its highest bit in sacct, but not in DerivedExitCode (measured)."""
    some = jobs()
    some[3].wait_status = some[3].derived_wait_status = status
    assert some[3].batch is not None
    some[3].batch.wait_status = status
    out = sacct_("-n", "-P", "-j", "3", "-o", "exitcode,derivedexitcode", jobs=some)[1]
    derived = f"{status >> 8}:0" if status & 0x7F == 0 else text
    assert out == f"{text}|{derived}\n{text}|\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "1.50G|billing=4,cpu=4,mem=1.50G,node=1"),
        (["--noconvert"], "1536M|billing=4,cpu=4,mem=1536M,node=1"),
        (["--units=K"], "1572864K|billing=4,cpu=4,mem=1572864K,node=1"),
        (["--units=G"], "1.50G|billing=4,cpu=4,mem=1.50G,node=1"),
        (["--units=T"], "0.00T|billing=4,cpu=4,mem=0.00T,node=1"),
    ],
)
def test_units(arguments: list[str], text: str) -> None:
    some = jobs()
    some[13].description = attrs.evolve(some[13].description, mem_per_node=1536)
    assert sacct_("-n", "-X", "-P", "-j", "13", "-o", "reqmem,reqtres", *arguments, jobs=some)[1] == f"{text}\n"


def test_memory_that_is_consumed() -> None:
    settings = attrs.evolve(SETTINGS, memory_is_consumed=True)
    out = sacct_("-n", "-P", "-j", "1,6", "-o", "jobid,alloctres", settings=settings)[1]
    assert out.splitlines() == [
        "1|billing=3,cpu=3,mem=4000M,node=2",
        "1.batch|cpu=2,mem=2000M,node=1",
        "1.0|cpu=3,mem=4000M,node=2",
        "6|",
    ]


def test_cancelled_by() -> None:
    some = jobs()
    some[4].steps[1].state = some[4].state = type(some[4].state).CANCELLED
    some[4].steps[1].cancelled_by = some[4].cancelled_by = 1000
    rows = sacct_("-n", "-P", "-j", "4", "-o", "jobid,state", jobs=some)[1].splitlines()
    assert rows[0] == "4|CANCELLED by 1000"
    assert rows[3] == "4.1|CANCELLED by 1000"
    assert sacct_("-n", "-X", "-j", "4", "-o", "state", jobs=some)[1] == "CANCELLED+ \n"


@pytest.mark.parametrize(
    ("distribution", "layout"),
    [
        ("block", "Block"),
        ("cyclic", "Cyclic"),
        ("plane", "Plane"),
        ("block:cyclic", "BCyclic"),
        ("cyclic:block", "CBlock"),
        ("block:fcyclic", "BFCyclic"),
        ("cyclic:cyclic:cyclic", "CCyclicCyclic"),
        ("block,pack", "Block,Pack"),
        ("block,nopack", "Block,NoPack"),
        ("arbitrary", "Arbitrary"),
    ],
)
def test_layout(distribution: str, layout: str) -> None:
    some = jobs()
    some[1].steps[0].distribution = distribution
    assert sacct_("-n", "-P", "-j", "1.0", "-o", "layout", jobs=some)[1] == f"{layout}\n"


@pytest.mark.parametrize(
    "arguments",
    [["--yaml"], ["-v"], ["-T"], ["-B"], ["-c"], ["-f", "x"], ["--env-vars"], ["--reason=None"]],
    ids=lambda arguments: arguments[0],
)
def test_refused(arguments: list[str]) -> None:
    code, out, err = sacct_(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("sacct: error: fakeslurm does not support --")


def test_environment() -> None:
    environ = {"SACCT_FORMAT": "jobid,state", "SLURM_TIME_FORMAT": "%s", "TZ": "Asia/Tokyo"}
    assert sacct_("-n", "-X", "-P", "-j", "1", environ=environ)[1] == "1|RUNNING\n"
    assert sacct_("-n", "-X", "-P", "-j", "1", "-o", "start", environ=environ)[1] == f"{T0}\n"
    assert (
        sacct_("-n", "-X", "-P", "-j", "1", "-o", "start", environ={"TZ": "Asia/Tokyo"})[1] == "2026-11-24T06:14:27\n"
    )
    complaint = "sacct: error: invalid SLURM_TIME_FORMAT = 'bla'\n"
    answer = (0, "2026-11-23T21:14:27\n", complaint)
    assert sacct_("-n", "-X", "-P", "-j", "1", "-o", "start", environ={"SLURM_TIME_FORMAT": "bla"}) == answer
    # Midnight is the caller's: in Tokyo it is 06:15 of the next day.
    assert sacct_("-n", "-X", "-S", "05:00", "-E", "06:14:28", environ={"TZ": "Asia/Tokyo"})[1].split()[0] == "1"


# `sacct -v` prints the window it understood: measured at 2026-11-23 21:06:30 UTC.
_MOMENT = 1795467990.5


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("now", "2026-11-23T21:06:30"),
        ("now ", "2026-11-23T21:06:30"),
        ("Now", "2026-11-23T21:06:30"),
        ("now-1hour", "2026-11-23T20:06:30"),
        ("now-1 HOURS", "2026-11-23T20:06:30"),
        ("now - 30", "2026-11-23T21:06:00"),
        ("now+2minutes", "2026-11-23T21:08:30"),
        ("now-1week", "2026-11-16T21:06:30"),
        ("today", "2026-11-23T00:00:00"),
        ("", "2026-11-23T00:00:00"),
        ("tomorrow", "2026-11-24T00:00:00"),
        ("midnight", "2026-11-23T00:00:00"),
        ("NOON", "2026-11-23T12:00:00"),
        ("fika", "2026-11-23T15:00:00"),
        ("teatime", "2026-11-23T16:00:00"),
        ("23:59:59", "2026-11-23T23:59:59"),
        ("11:00PM", "2026-11-23T23:00:00"),
        ("11:00 pm", "2026-11-23T23:00:00"),
        ("12:00AM", "2026-11-23T00:00:00"),
        ("12:00PM", "2026-11-23T12:00:00"),
        ("1120", "2026-11-20T00:00:00"),
        ("112026-10:00:05", "2026-11-20T10:00:05"),
        ("11.20", "2026-11-20T00:00:00"),
        ("11/20/26-10:30:15", "2026-11-20T10:30:15"),
        ("12/25", "2025-12-25T00:00:00"),
        ("2026-11-20", "2026-11-20T00:00:00"),
        ("2026-11-20T10:30", "2026-11-20T10:30:00"),
        ("2026-11-20-10:30", "2026-11-20T10:30:00"),
        ("2026-11-20 10:30pm", "2026-11-20T22:30:00"),
        ("10:30 11/20", "2026-11-20T10:30:00"),
        ("2026-02-30", "2026-03-02T00:00:00"),
        ("uts1795460000", "2026-11-23T18:53:20"),
    ],
)
def test_moments(text: str, stamp: str) -> None:
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(parse_moment(text, _MOMENT, UTC, past=True), UTC)
    assert moment.strftime("%Y-%m-%dT%H:%M:%S") == stamp


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("bogus", 0),
        ("now-", 3),
        ("now-2min", 4),
        ("now-1d", 4),
        ("11PM", 2),
        ("1:2", 3),
        ("24:00", 0),
        ("12:60", 3),
        ("11/20/2026", 8),
        ("2026-13-01", 5),
        ("2026-1-2", 0),
        ("26-01-02", 0),
        ("2026-11-20T10", 13),
        ("2026-11-20T10:30:15.5", 19),
        ("1795460000", 0),
        ("today-1day", 7),
        ("midnight-1day", 10),
    ],
)
def test_no_moments(text: str, position: int) -> None:
    with pytest.raises(MomentError) as caught:
        parse_moment(text, _MOMENT, past=True)
    assert str(caught.value) == f"Invalid time specification (pos={position}): {text}"


def test_moments_to_come() -> None:
    """--begin: a time of day that has gone by is tomorrow's, a day that has gone by is next year's."""
    from datetime import UTC, datetime

    def moment(text: str) -> str:
        return datetime.fromtimestamp(parse_moment(text, _MOMENT, UTC, past=False), UTC).strftime("%Y-%m-%dT%H:%M")

    assert moment("20:00") == "2026-11-24T20:00"
    assert moment("22:00") == "2026-11-23T22:00"
    assert moment("11/20") == "2027-11-20T00:00"
    assert moment("12/25-08:00") == "2026-12-25T08:00"
    assert moment("now+1hour") == "2026-11-23T22:06"
