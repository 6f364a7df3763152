"""squeue against what Slurm 22.05.8 printed: recorded texts for nineteen jobs, and measured answers to odd requests."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from query_golden import SETTINGS, T0, controller, into_array, jobs, recorded, recorded_argv, run

from fakeslurm.commands import columns, squeue, squeuefields, stepfields

USAGE = squeue.USAGE

VALID_STATES = (
    "squeue: error: Valid job states include: PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,"
    "PREEMPTED,BOOT_FAIL,DEADLINE,OUT_OF_MEMORY,COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED,"
    "REQUEUE_HOLD,REVOKED,SIGNALING,SPECIAL_EXIT,STAGE_OUT,STOPPED\n\n"
)


def squeue_(*arguments: str, environ: dict[str, str] | None = None, **replaced: Any) -> tuple[int, str, str]:
    reply = run(["squeue", *arguments], controller(**replaced), environ=environ)
    return reply.returncode, reply.stdout, reply.stderr


def ids(*arguments: str, environ: dict[str, str] | None = None, **replaced: Any) -> list[int]:
    """The jobs that squeue shows, in its order."""
    code, out, err = squeue_("-h", "-o", "%A", *arguments, environ=environ, **replaced)
    assert (code, err) == (0, "")
    return [int(line) for line in out.splitlines()]


@pytest.mark.parametrize(
    "argv",
    [
        ["squeue"],
        ["squeue", "-l"],
        ["squeue", "-t", "all"],
        ["squeue", "-s"],
        ["squeue", "-l", "-s"],
        ["squeue", "--start"],
        ["squeue", "-t", "all", "-S", "i", "-o", "%all"],
        recorded_argv("squeue", "-t", "all", "-S", "i", "-O"),
        ["squeue", "-s", "-o", "%all"],
        recorded_argv("squeue", "-s", "-O"),
    ],
    ids=lambda argv: " ".join(argv)[:40],
)
def test_recorded(argv: list[str]) -> None:
    """Byte for byte; the nodes that the backfill scheduler plans for job 17 are nothing that the fake knows."""
    now, stdout, stderr, code = recorded(*argv)
    stdout = stdout.replace("|n[1-3]|/tmp/w\n", "|(null)|/tmp/w\n").replace("|0|n[1-3]|*:*:*|", "|0|(null)|*:*:*|")
    stdout = stdout.replace("n[1-3]               (Resources)", "(null)               (Resources)")
    reply = run(argv, controller(), now)
    assert reply.stdout == stdout
    assert (reply.stderr, reply.returncode) == (stderr, code)


@pytest.mark.parametrize(
    ("text", "header", "row", "unknown"),
    [
        ("%i|%j|%T", "JOBID|NAME|STATE", "1|two.sh|RUNNING", ""),
        ("%10i|%10j|", "JOBID     |NAME      |", "1         |two.sh    |", ""),
        ("%.10i|%.10j|", "     JOBID|      NAME|", "         1|    two.sh|", ""),
        ("%.2i|%.1j|%2j|", "JO|N|NA|", " 1|t|tw|", ""),
        ("%010i|%.010i|%0i", "JOBID     |     JOBID|JOBID", "1         |         1|1", ""),
        ("abc", "abc", "abc", ""),
        ("abc%i", "abcJOBID", "abc1", ""),
        ("%i def %j ghi", "JOBID def NAME ghi", "1 def two.sh ghi", ""),
        ("%i\\n%j", "JOBID\\nNAME", "1\\ntwo.sh", ""),
        ("%i%%%j", "JOBIDNAME", "1two.sh", ""),
        ("100%% %i", "100% JOBID", "100% 1", " "),
        ("%", "", "", ""),
        ("", "", "", ""),
        (" ", " ", " ", ""),
        ("%i %", "JOBID ", "1 ", ""),
        ("%.i", "JOBID", "1", ""),
        ("%.20", "%.20", "%.20", ""),
        ("%-10i|%j", "%-10i|NAME", "%-10i|two.sh", "-"),
        ("%..10i|%j", "%..10i|NAME", "%..10i|two.sh", "."),
        ("%5.3i|%j", "%5.3i|NAME", "%5.3i|two.sh", "."),
        ("%!%i", "%!JOBID", "%!1", "!"),
        ("%i %all", "JOBID ACCOUNTll", "1 rootll", ""),
        ("%.20all", "             ACCOUNTll", "                rootll", ""),
        ("%10k|%.8k|", "COMMENT   | COMMENT|", "a comment,|a commen|", ""),
    ],
)
def test_format(text: str, header: str, row: str, unknown: str) -> None:
    code, out, err = squeue_("-j", "1", "-o", text)
    complaint = f"squeue: error: Invalid job format specification: {unknown}\n"
    assert (code, out) == (0, f"{header}\n{row}\n")
    assert err == (complaint if unknown or text in ("%.20",) else "")


@pytest.mark.parametrize(
    ("text", "header", "row", "unknown"),
    [
        ("JobID,State", "JOBID               STATE               ", "1                   RUNNING             ", ""),
        ("jobid,STATE:", "JOBID               STATE", "1                   RUNNING", ""),
        ("JobID:5,State:5", "JOBIDSTATE", "1    RUNNI", ""),
        ("JobID:.5xx,State:.9yy", "JOBIDxx    STATEyy", "    1xx  RUNNINGyy", ""),
        ("JobID:|,State:9|", "JOBID|STATE    |", "1|RUNNING  |", ""),
        ("JobID: ,State:0", "JOBID STATE", "1 RUNNING", ""),
        ("JobID:a5,State:", "JOBIDa5STATE", "1a5RUNNING", ""),
        ("JobID:5:6,State:", "JOBID:6STATE", "1    :6RUNNING", ""),
        ("JobID:5.6,State:", "JOBID.6STATE", "1    .6RUNNING", ""),
        ("jobid:,,state:", "JOBIDSTATE", "1RUNNING", ""),
        (",", "", "", ""),
        ("jobid:, STATE", "JOBID", "1", " STATE"),
        ("jobid:|,bogus:5|,state:|", "JOBID||STATE|", "1||RUNNING|", "bogus"),
        ("jobid:|,bogus,state:|", "JOBID|STATE|", "1|RUNNING|", "bogus"),
    ],
)
def test_long_format(text: str, header: str, row: str, unknown: str) -> None:
    code, out, err = squeue_("-j", "1", "-O", text)
    assert (code, out) == (0, f"{header}\n{row}\n")
    assert err == (f"squeue: error: Invalid job format specification: {unknown}\n" if unknown else "")


def test_what_is_not_cut_when_it_stands_on_the_right() -> None:
    """Durations and lists of nodes; UNLIMITED is no duration, and the header of a list of nodes is not cut either."""
    _, out, _ = squeue_("-j", "1", "-o", "%.1l|%1l|%.1M|%.1L|%.1N|%1N|%.1R|%.1Y|%.1i|%.1j")
    assert out == "T|T|T|T|NODELIST|N|NODELIST(REASON)|SCHEDNODES|J|N\n10:00|1|1:31|8:29|n[1-2]|n|n[1-2]|(null)|1|t\n"
    assert squeue_("-h", "-j", "16", "-o", "%.1l|%.3l")[1] == "U|UNL\n"


def test_widths_count_bytes() -> None:
    some = jobs()
    some[1].description = attrs.evolve(some[1].description, name="für-alle")
    _, out, _ = squeue_("-h", "-j", "1", "-o", "%8j|%.12j|%2j|", jobs=some)
    assert out.encode("utf-8", "surrogateescape") == "für-all|   für-alle|".encode() + b"f\xc3|\n"


def test_array_elements() -> None:
    some = jobs()
    into_array(some, 2, {2: 7, 3: 1})
    _, out, _ = squeue_("-h", "-t", "all", "-j", "2", "-S", "i", "-o", "%i %A %F %K", jobs=some)
    assert out == "2_1 3 2 1\n2_7 2 2 7\n"
    assert ids("-t", "all", "-j", "2_1", jobs=some) == [3]
    assert squeue_("-h", "-t", "all", "-j", "1_0", jobs=some) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["-j", "99"], (1, "", "slurm_load_jobs error: Invalid job id specified\n")),
        (["-h", "-j", "98,99"], (0, "", "")),
        (["-h", "-j", "2"], (0, "", "")),
        (["-h", "-j", ""], (0, "", "")),
        (["-h", "-j", "99_1"], (1, "", "slurm_load_jobs error: Invalid job id specified\n")),
        (["-j", "abc"], (1, "", "squeue: error: Invalid job id: abc\n")),
        (["-j", "1,abc"], (1, "", "squeue: error: Invalid job id: abc\n")),
        (["-j", "0"], (1, "", "squeue: error: Invalid job id: 0\n")),
        (["-j", "4294967295"], (1, "", "squeue: error: Invalid job id: 4294967295\n")),
        (["-j", "99999999999"], (1, "", "slurm_load_jobs error: Invalid job id specified\n")),
        (["1"], (1, USAGE, "squeue: error: Unrecognized option: 1\n")),
        (["-h", "-j", "1", "2"], (1, USAGE, "squeue: error: Unrecognized option: 2\n")),
        (["-j", "-s"], (1, "", "squeue: error: Incompatible options --jobs and --steps\n")),
        (["-t", "bogus"], (1, "", f"squeue: error: Invalid job state specified: bogus\n{VALID_STATES}")),
        (["-t", "all,R"], (1, "", f"squeue: error: Invalid job state specified: all\n{VALID_STATES}")),
        (["-t", "CD, R"], (1, "", f"squeue: error: Invalid job state specified:  R\n{VALID_STATES}")),
        (["-t", "LF"], (1, "", f"squeue: error: Invalid job state specified: LF\n{VALID_STATES}")),
        (["-h", "-u", "no_such_user"], (0, "", "squeue: error: Invalid user: no_such_user\n\n")),
        (["-w", "n9"], (1, "", "squeue: error: Invalid node name n9\n")),
        (["-h", "-p", "nope"], (0, "", "")),
        (["-h", "-A", "nope"], (0, "", "")),
        (["-h", "-n", "nope"], (0, "", "")),
        (["-h", "-q", "nope"], (0, "", "")),
        (["-h", "-R", "nope"], (0, "", "")),
        (["-h", "-L", "nope"], (0, "", "")),
        (["-h", "-S", "bogus"], (1, "", "squeue: error: Invalid sort specification: s\n")),
        (
            ["-h", "-S", "jobid"],
            (1, "", "squeue: Invalid sort specification: b\nsqueue: error: Invalid sort specification: o\n"),
        ),
        (["-i", "0"], (1, "", "squeue: error: --iterate=0\n\n")),
        (["-i", "x"], (1, "", "squeue: error: --iterate=x\n\n")),
        (["-o", "%i", "-O", "JobID"], (1, "", "squeue: error: -O (--Format) is incompatible with -o (--format)\n")),
        (["-O", "JobID", "-o", "%i"], (1, "", "squeue: error: -o (--format) is incompatible with -O (--Format)\n")),
        (
            ["-l", "-o", "%i"],
            (
                1,
                "",
                "squeue: fatal: Options -o(--format) and -l(--long) are mutually exclusive. "
                "Please remove one and retry.\n",
            ),
        ),
        (
            ["-M", "nope"],
            (
                1,
                "",
                "squeue: error: No cluster 'nope' known by database.\nsqueue: error: 'nope' can't be reached now, or it is "
                "an invalid entry for --cluster.  Use 'sacctmgr list clusters' to see available clusters.\n",
            ),
        ),
        (["-Z"], (1, "", "squeue: invalid option -- 'Z'\nTry \"squeue --help\" for more information\n")),
        (
            ["--st"],
            (
                1,
                "",
                "squeue: option '--st' is ambiguous; possibilities: '--start' '--steps' '--states'\n"
                'Try "squeue --help" for more information\n',
            ),
        ),
        (["--usage"], (0, USAGE, "")),
        (["-V"], (0, "slurm-wlm 22.05.8\n", "")),
        (["-h", "-s", "99.0"], (0, "", "")),
        (["-s", "99"], (1, "", "squeue: error: Invalid job_step id: 99.??\n")),
        (["-s", "abc"], (1, "", "squeue: error: Invalid job_step id: abc.??\n")),
        (["-s", "x%!", "-h"], (1, "", "squeue: error: Invalid job_step id: x%!.??\n")),
        (["-h", "-s", "-o", "x%!y"], (0, "x%!y\n" * 4, "squeue: error: Invalid job step format specification: !\n")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers(arguments: list[str], answer: tuple[int, str, str]) -> None:
    assert squeue_(*arguments) == answer


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], [12, 6, 7, 8, 17, 18, 15, 5, 1, 16]),
        (["-j", "1"], [1]),
        (["-j", "1abc"], [1]),
        (["-j", "1,99,,16,"], [1, 16]),
        (["-j1", "16"], [16]),
        (["--jobs=2", "-t", "all"], [2]),
        (["-j"], [12, 6, 7, 8, 17, 18, 15, 5, 1, 16]),
        (["-t", "r,Completing"], [12, 1, 16]),
        (["-t", "CA"], [11, 9]),
        (["-t", "CD,,TO"], [2, 4, 19, 13]),
        (["-t", ""], []),
        (["-u", "0", "-t", "R"], [1, 16]),
        (["-u", "no_such_user,root", "-t", "R"], None),
        (["-u", "", "-t", "R"], []),
        (["--me", "-t", "R"], [1, 16]),
        (["-u", "daemon", "--me", "-t", "R"], [1, 16]),
        (["-n", "two.sh,dep"], [8, 1]),
        (["-A", "root", "-q", "normal", "-p", "nope,debug", "-t", "R"], [1, 16]),
        (["-w", "n[1,4]", "-t", "all"], [11, 2, 4, 19, 12, 3, 10, 14, 1, 16]),
        (["-w", "n1"], [12, 1]),
        (["-S", "i", "-t", "R,CG"], [1, 12, 16]),
        (["-S", "-i", "-t", "R,CG"], [16, 12, 1]),
        (["-S", "t,-i"], [12, 18, 17, 15, 8, 7, 6, 5, 16, 1]),
        (["-S", "j", "-t", "PD"], [18, 7, 17, 8, 15, 5, 6]),
        (["-S", "-D,j", "-t", "PD"], [6, 17, 18, 7, 8, 15, 5]),
        (["-S", "l,i", "-t", "PD"], [7, 17, 15, 5, 6, 8, 18]),
        (["-S", "cluster", "-t", "R"], [16, 1]),
        (["-S", "V,i", "-t", "CD"], [2, 4, 19]),
        (["-S", "S", "-t", "PD"], [17, 7, 15, 5, 6, 8, 18]),
        (["-S", "-S", "-t", "PD"], [15, 7, 17, 5, 6, 8, 18]),
        (["-S", "m,i", "-t", "PD,R"], [1, 5, 6, 7, 8, 17, 18, 16, 15]),
        (["-S", "-C,i", "-t", "PD,R"], [17, 6, 1, 16, 5, 7, 8, 15, 18]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else "",
)
def test_which_jobs_in_which_order(arguments: list[str], shown: list[int] | None) -> None:
    if shown is None:
        code, out, err = squeue_("-h", "-o", "%A", *arguments)
        assert (code, out, err) == (0, "1\n16\n", "squeue: error: Invalid user: no_such_user\n\n")
    else:
        assert ids(*arguments) == shown


@pytest.mark.parametrize(
    ("variables", "arguments", "shown"),
    [
        ({"SQUEUE_STATES": "CD"}, ["-S", "i"], [2, 4, 19]),
        ({"SQUEUE_STATES": "CD"}, ["-t", "R"], [1, 16]),
        ({"SQUEUE_SORT": "-i", "SQUEUE_STATES": "R"}, [], [16, 1]),
        ({"SQUEUE_USERS": "4711"}, ["--me", "-t", "R"], [1, 16]),
        ({"SQUEUE_PARTITION": "nope"}, [], []),
        ({"SQUEUE_NAMES": "two.sh"}, [], [1]),
        ({"SQUEUE_ACCOUNT": "nope"}, [], []),
        ({"SQUEUE_QOS": "nope"}, [], []),
        ({"SQUEUE_LICENSES": "nope"}, [], []),
        ({"SQUEUE_FORMAT": "%j"}, ["-j", "1"], [1]),
    ],
)
def test_environment(variables: dict[str, str], arguments: list[str], shown: list[int]) -> None:
    assert ids(*arguments, environ=variables) == shown


def test_formats_of_the_environment() -> None:
    both = {"SQUEUE_FORMAT": "%i", "SQUEUE_FORMAT2": "Name:"}
    assert squeue_("-h", "-j", "1", environ=both)[1] == "1\n"
    assert squeue_("-h", "-j", "1", environ={"SQUEUE_FORMAT2": "Name:"})[1] == "two.sh\n"
    assert squeue_("-h", "-j", "1", "-O", "State:", environ=both)[1] == "RUNNING\n"
    assert squeue_("-s", environ=both)[1].startswith("         STEPID")
    assert squeue_("-l", "-h", "-j", "1", environ=both)[1].split()[0:2] == ["1", "debug"]


@pytest.mark.parametrize(
    ("variables", "start", "complaint"),
    [
        ({}, "2026-11-23T21:14:27", ""),
        ({"SLURM_TIME_FORMAT": "standard"}, "2026-11-23T21:14:27", ""),
        ({"SLURM_TIME_FORMAT": ""}, "2026-11-23T21:14:27", ""),
        ({"SLURM_TIME_FORMAT": "%s"}, f"{T0}", ""),
        ({"SLURM_TIME_FORMAT": "%d.%m. %H:%M"}, "23.11. 21:14", ""),
        ({"SLURM_TIME_FORMAT": "relative"}, "21:14:27", ""),
        ({"SLURM_TIME_FORMAT": "bla"}, "2026-11-23T21:14:27", "squeue: error: invalid SLURM_TIME_FORMAT = 'bla'\n"),
        ({"TZ": "Asia/Tokyo"}, "2026-11-24T06:14:27", ""),
    ],
)
def test_time_stamps(variables: dict[str, str], start: str, complaint: str) -> None:
    assert squeue_("-h", "-j", "1", "-o", "%S", environ=variables) == (0, f"{start}\n", complaint)


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0, "21:14:27"),
        (1, "Tomorr 21:14"),
        (2, "Wed 21:14"),
        (6, "Sun 21:14"),
        (7, "30 Nov 21:14"),
        (8, "1 Dec 21:14"),
        (30, "23 Dec 21:14"),
        (40, "2 Jan 2027"),
        (-1, "Ystday 21:14"),
    ],
)
def test_relative_time_stamps(days: int, text: str) -> None:
    some = jobs()
    some[1].start_time = T0 + days * 86400.0
    environ = {"SLURM_TIME_FORMAT": "relative"}
    assert squeue_("-h", "-j", "1", "-o", "%S", environ=environ, jobs=some)[1] == f"{text}\n"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"output": "%N+%t+%u+%J+%a+%A+%5j+%%+%x+%j.out"}, "/tmp/w/%N+%t+root+%J+4294967294+1+%5j+%%+n+1.out"),
        ({"output": "/abs/%j"}, "/abs/1"),
        ({"output": ""}, "/tmp/w/"),
    ],
)
def test_names_of_files_are_expanded_by_scontrol_alone(asked: dict[str, Any], text: str) -> None:
    some = jobs()
    some[1].description = attrs.evolve(some[1].description, name="n", comment=None, **asked)
    written = asked["output"] if asked["output"].startswith("/") else f"/tmp/w/{asked['output']}"
    assert squeue_("-h", "-j", "1", "-O", "stdout:|,stderr:", jobs=some)[1] == f"{written}|{written}\n"
    report = run(["scontrol", "show", "job", "1"], controller(jobs=some)).stdout
    assert f"   StdErr={text}\n   StdIn=/dev/null\n   StdOut={text}\n" in report


def test_steps_chosen() -> None:
    def names(*arguments: str) -> list[str]:
        return squeue_("-h", "-s", "-o", "%i", *arguments)[1].split()

    assert names() == ["1.0", "1.batch", "12.batch", "16.batch"]
    assert names("-S", "-i") == ["16.batch", "12.batch", "1.batch", "1.0"]
    assert names("-j", "1") == ["1.0", "1.batch"]
    assert names("-w", "n2") == ["1.0"]
    assert names("-t", "CD", "-n", "nope", "-A", "nope") == ["1.0", "1.batch", "12.batch", "16.batch"]
    assert names("-p", "nope") == []
    assert squeue_("-h", "-s1.0", "-o", "%i")[1] == "1.0\n"
    # Slurm reads a step's name as a number: the batch step is step 0.
    assert squeue_("-h", "--steps=1.batch", "-o", "%i")[1] == "1.0\n"


@pytest.mark.parametrize(
    "arguments",
    [["--yaml"], ["-i", "5"], ["-v"], ["-P"], ["-O", "AllocSID"]],
    ids=lambda arguments: arguments[0],
)
def test_refused(arguments: list[str]) -> None:
    code, out, err = squeue_(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("squeue: error: fakeslurm does not support ")


def test_a_refused_variable() -> None:
    answer = (1, "", "squeue: error: fakeslurm does not support SQUEUE_PRIORITY\n")
    assert squeue_(environ={"SQUEUE_PRIORITY": "1"}) == answer


@pytest.mark.parametrize("letter", sorted(squeuefields.CATALOGUES["22.05"].letters))
def test_no_getter_is_missing(letter: str) -> None:
    code, out, err = squeue_("-t", "all", "-h", "-o", f"%{letter}")
    assert (code, err, len(out.splitlines())) == (0, "", len(jobs()))


def test_every_field_has_its_getter() -> None:
    for name in squeuefields.CATALOGUES["22.05"].fields:
        assert squeue_("-h", "-t", "all", "-O", f"{name}:")[2] == ""
    for name in stepfields.FIELDS:
        assert squeue_("-h", "-s", "-O", f"{name}:")[2] == ""
    for old, name in squeuefields.ALIASES.items():
        assert squeue_("-t", "all", "-O", old) == squeue_("-t", "all", "-O", name)


def test_clusters_are_named_above_the_header() -> None:
    own = SETTINGS.cluster_name
    assert squeue_("-M", own, "-t", "CG")[1].splitlines()[0] == f"CLUSTER: {own}"
    assert squeue_("-M", "all", "-h", "-t", "CG", "-o", "%A")[1] == "12\n"
    assert squeue_("-l", "-t", "CG", environ={"SLURM_CLUSTERS": own})[1].splitlines()[1] == f"CLUSTER: {own}"


def test_rows_are_laid_out_by_one_template() -> None:
    table = columns.format_table("a%%b%5x|%.3x", lambda name: ("HEAD", str, "") if name == "x" else None, print)
    assert table.rows([1, 22]) == "a%b1    |  1\na%b22   | 22\n"


def test_the_time_limit_of_a_step() -> None:
    some = jobs()
    step = some[1].steps[0]
    assert step.request is not None
    step.request = attrs.evolve(step.request, time_limit=5)
    assert squeue_("-h", "-s", "1.0", "-o", "%l", jobs=some) == (0, "5:00\n", "")


def test_words_in_any_case() -> None:
    assert ids("-t", "All") == ids("-t", "ALL") == ids("-t", "all")
    some = jobs()
    some[1].description = attrs.evolve(some[1].description, qos="NORMAL")
    assert squeue_("-h", "-j", "1", "-o", "%q", jobs=some)[1] == "normal\n"


def test_order_of_hosts_and_of_elements_of_arrays() -> None:
    some = jobs()
    for job_id, node in ((1, "n10"), (12, "n9"), (16, "head")):
        some[job_id].nodes = (node,)
    assert ids("-S", "N", "-j", "1,12,16", jobs=some) == [16, 12, 1]
    into_array(some, 5, {5: 10, 7: 9})
    assert ids("-S", "i", "-j", "5,8", "-t", "PD", jobs=some) == [7, 5, 8]


def test_every_useless_letter_of_an_order_is_complained_about() -> None:
    assert squeue_("-h", "-j", "1", "-S", "b,b", "-o", "%i")[2] == "squeue: Invalid sort specification: b\n" * 2


def test_a_requeued_job_was_last_looked_at_when_it_was_submitted() -> None:
    some = jobs()
    some[8].start_time = T0 + 50
    assert squeue_("-h", "-j", "8", "-O", "LastSchedEval:", jobs=some)[1] == "2026-11-23T21:14:32\n"
