"""`CliBackend` against scripted commands, and the pure parts around it: parsing, environment, submitting once."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmkit.backends import execute
from slurmkit.backends.base import Limits, Record, Submission
from slurmkit.backends.cli import CliBackend
from slurmkit.backends.environment import query_environment, submit_environment
from slurmkit.backends.execute import CommandResult, subprocess_execute
from slurmkit.backends.parse import FIELDS, ParseError, parse_queue, parse_show, record
from slurmkit.backends.submission import SubmissionMachine, classify, is_certain, submit_once
from slurmkit.errors import SchedulerError, SchedulerNotFound, SchedulerTimeout, SubmissionError

# As squeue, sacct and scontrol of Slurm 22.05.8 printed them.
QUEUE = (
    "1|FAILED|0|768|debug|1|1|2026-11-23T20:58:04|2026-11-23T20:58:05|2026-11-23T20:58:05|0:00|365-00:00:00|n1|tok|"
    "NonZeroExitCode|na|me x\n"
)
BOOKED = (
    "1|FAILED|3:0|debug|1|1|2026-11-23T20:58:04|2026-11-23T20:58:05|2026-11-23T20:58:05|00:00:00|365-00:00:00|n1|None|"
    "na|me x|sbatch --parsable /jo|bs/tok/script.sh\n"
)
SHOWN = (
    "JobId=1 JobName=na|me x UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901759 Nice=0 Account=root QOS=normal "
    "JobState=FAILED Reason=NonZeroExitCode Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=3:0 "
    "RunTime=00:00:00 TimeLimit=365-00:00:00 TimeMin=N/A SubmitTime=2026-11-23T20:58:04 EligibleTime=2026-11-23T20:58:04 "
    "AccrueTime=2026-11-23T20:58:04 StartTime=2026-11-23T20:58:05 EndTime=2026-11-23T20:58:05 Deadline=N/A SuspendTime=None "
    "SecsPreSuspend=0 LastSchedEval=2026-11-23T20:58:05 Scheduler=Backfill Partition=debug AllocNode:Sid=vm:5956 "
    "ReqNodeList=(null) ExcNodeList=(null) NodeList=n1 BatchHost=n1 NumNodes=1 NumCPUs=1 NumTasks=1 CPUs/Task=1 "
    "Command=/tmp/x/script.sh WorkDir=/tmp Comment=tok  StdErr=/dev/null StdIn=/dev/null StdOut=/dev/null Power= \n"
)


class Script:
    """An `execute` that answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: CommandResult | BaseException | str) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []
        self.environments: list[Mapping[str, str]] = []
        self.options: list[dict[str, Any]] = []

    def __call__(self, argv: Sequence[str], **options: Any) -> CommandResult:
        self.asked.append(list(argv))
        self.environments.append(options["env"])
        self.options.append(options)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return CommandResult(0, answer, "") if isinstance(answer, str) else answer


def failed(stderr: str, returncode: int = 1, stdout: str = "") -> CommandResult:
    return CommandResult(returncode, stdout, stderr + "\n")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.sh"
    path.write_text("#!/bin/sh\n#SBATCH --partition=debug\n#SBATCH --comment=tok\nexit 0\n")
    return path


# --- asking -----------------------------------------------------------------------------------------------------------


def test_every_source_gives_the_same_record() -> None:
    queue = CliBackend(Script(QUEUE)).queue(["1"])["1"]
    accounting = CliBackend(Script(BOOKED)).accounting(["1"])
    assert accounting is not None
    shown = CliBackend(Script(SHOWN)).show("1")["1"]
    assert tuple(queue) == tuple(accounting["1"]) == tuple(shown) == FIELDS
    assert dict(queue) == dict(shown)
    assert dict(queue) == {
        "JobId": "1",
        "JobName": "na|me x",
        "JobState": "FAILED",
        "Reason": "NonZeroExitCode",
        "ExitCode": "3:0",
        "Restarts": "0",
        "Partition": "debug",
        "NodeList": "n1",
        "NumNodes": "1",
        "NumCPUs": "1",
        "SubmitTime": "2026-11-23T20:58:04",
        "StartTime": "2026-11-23T20:58:05",
        "EndTime": "2026-11-23T20:58:05",
        "RunTime": "00:00:00",
        "TimeLimit": "365-00:00:00",
        "Comment": "tok",
    }
    said = {name for name in FIELDS if accounting["1"][name]}
    assert set(FIELDS) - said == {"Restarts"}
    assert all(accounting["1"][name] == queue[name] for name in said - {"Reason"})


def test_words_for_nothing_are_one() -> None:
    assert [record(NodeList=text)["NodeList"] for text in ("(null)", "None assigned", "", "n1")] == ["", "", "", "n1"]
    assert [record(StartTime=text)["StartTime"] for text in ("N/A", "Unknown", "None", "")] == ["Unknown"] * 4
    assert [record(RunTime=text)["RunTime"] for text in ("1:02", "1-02:03:04", "INVALID", "")] == [
        "00:01:02",
        "1-02:03:04",
        "INVALID",
        "",
    ]
    states = [record(JobState=text)["JobState"] for text in ("CANCELLED by 1000", "CD", "new_state", "OUT_OF_ME+")]
    assert states == ["CANCELLED", "COMPLETED", "NEW_STATE", "OUT_OF_MEMORY"]
    with pytest.raises(TypeError):
        record(JobId="1")["JobId"] = "2"  # type: ignore[index]


def test_one_job_by_its_id_and_more_by_a_constant_command() -> None:
    asked = []
    for number in (1, 2, 10_000):
        script = Script(QUEUE)
        CliBackend(script).queue([str(n) for n in range(1, number + 1)])
        (argv,) = script.asked
        asked.append(argv)
    assert asked[0][1] == "--jobs=1"
    assert asked[1] == asked[2]
    assert asked[1][1] == "--me"
    assert asked[0][2:] == asked[1][2:]
    assert "--states=all" in asked[0]


def test_squeue_that_does_not_know_the_job() -> None:
    unknown = failed("slurm_load_jobs error: Invalid job id specified")
    assert CliBackend(Script(unknown)).queue(["7"]) == {}
    assert CliBackend(Script("")).queue(["7", "8"]) == {}
    assert CliBackend(Script(unknown)).show("7") == {}
    assert CliBackend(Script("")).accounting(["7"]) == {}
    assert CliBackend(Script()).queue([]) == {}


def test_a_site_without_accounting() -> None:
    backend = CliBackend(Script(failed("Slurm accounting storage is disabled")))
    assert backend.accounting(["1"]) is None


@pytest.mark.parametrize("ask", [lambda b: b.queue(["1"]), lambda b: b.accounting(["1"]), lambda b: b.show("1")])
def test_a_failed_query_is_never_an_empty_answer(ask: Callable[[CliBackend], Any]) -> None:
    words = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    with pytest.raises(SchedulerError, match="connect failure") as caught:
        ask(CliBackend(Script(failed(words))))
    assert caught.value.returncode == 1
    assert caught.value.stderr == words + "\n"
    with pytest.raises(SchedulerTimeout, match="did not answer within 60 s") as late:
        ask(CliBackend(Script(TimeoutError("late"))))
    assert isinstance(late.value, TimeoutError)
    with pytest.raises(SchedulerError, match=r"cut off|something that is no job"):
        ask(CliBackend(Script("1|RUNN")))


def test_rows_of_others_and_banners_are_not_ours() -> None:
    text = (
        "*** Welcome to the cluster ***\n"
        + QUEUE
        + QUEUE.replace("1|FAILED", "2|RUNNING")
        + "3|cut\n"
        + QUEUE.replace("1|FAILED", "4|RUNNING").replace("me x", "a\nb|c")
    )
    assert {job_id: row["JobState"] for job_id, row in parse_queue(text, ["1", "4", "5"]).items()} == {
        "1": "FAILED",
        "4": "RUNNING",
    }
    with pytest.raises(ParseError, match="2 fields instead of 16"):
        parse_queue(text, ["3"])
    with pytest.raises(ParseError, match="exit code"):
        parse_queue(QUEUE.replace("768", "garbled"), ["1"])


@given(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])))
def test_any_name_survives(name: str) -> None:
    line = QUEUE.replace("na|me x", name)
    assert parse_queue(line, ["1"])["1"]["JobName"] == name


def test_scontrol_fields_are_not_taken_from_a_name() -> None:
    shown = parse_show(SHOWN.replace("na|me x", "x JobState=RUNNING Comment=other ExitCode=9:9"))["1"]
    assert (shown["JobState"], shown["ExitCode"], shown["Comment"]) == ("FAILED", "3:0", "tok")
    assert shown["JobName"] == "x JobState=RUNNING Comment=other ExitCode=9:9"


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_elements_that_wait_are_one_row() -> None:
    text = QUEUE.replace("1|FAILED", "1_[0,2-4%2]|PENDING") + QUEUE.replace("1|FAILED", "1_1|RUNNING")
    found = parse_queue(text, [f"1_{index}" for index in (1, 2, 4, 5)])
    assert {job_id: row["JobState"] for job_id, row in found.items()} == {
        "1_1": "RUNNING",
        "1_2": "PENDING",
        "1_4": "PENDING",
    }
    assert [row["JobId"] for row in found.values()] == list(found)
    assert dict(found["1_2"], JobId="", JobState="") == dict(found["1_1"], JobId="", JobState="")


def test_an_array_is_asked_for_by_its_id() -> None:
    """However many of its elements are wanted; a single one by its own."""
    elements = [f"7_{index}" for index in range(10_000)]
    asked = []
    for wanted in (elements[3:4], elements[:2], elements, [*elements, "8"]):
        script = Script("", "")
        backend = CliBackend(script)
        backend.queue(wanted)
        backend.accounting(wanted)
        asked.append((script.asked[0][1], script.asked[1][-1]))
    assert asked == [
        ("--jobs=7_3", "--jobs=7"),
        ("--jobs=7", "--jobs=7"),
        ("--jobs=7", "--jobs=7"),
        ("--me", "--jobs=7,8"),
    ]


def test_elements_in_accounting_and_in_scontrol() -> None:
    rows = BOOKED.replace("1|", "1_0|", 1) + BOOKED.replace("1|", "1_[1,3%2]|", 1)
    booked = CliBackend(Script(rows)).accounting(["1_0", "1_1", "1_2", "1_3"])
    assert booked is not None
    assert sorted(booked) == ["1_0", "1_1", "1_3"]
    shown = SHOWN.replace("JobId=1 ", "JobId=1 ArrayJobId=1 ArrayTaskId=2,4%2 ArrayTaskThrottle=2 ", 1)
    shown += SHOWN.replace("JobId=1 ", "JobId=9 ArrayJobId=1 ArrayTaskId=0 ", 1)
    found = CliBackend(Script(shown)).show("1")
    assert [(job_id, row["JobId"], row["JobState"]) for job_id, row in found.items()] == [
        ("1_2", "1_2", "FAILED"),
        ("1_4", "1_4", "FAILED"),
        ("1_0", "1_0", "FAILED"),
    ]
    assert found["1_0"]["JobName"] == "na|me x"


def test_a_lost_array_is_found_by_its_token() -> None:
    script = Script(
        "", "7_0|sbatch --parsable /jobs/tok/tok-1/script.sh\n8_[0-3]|sbatch --parsable /jobs/tok/script.sh\n"
    )
    assert CliBackend(script).find(["tok"]) == {"tok": "8"}


def test_limits_of_the_site() -> None:
    config = "Configuration data as of 2026-11-29\nMaxArraySize            = 1001\nMaxJobCount             = 10000\n"
    script = Script(config)
    assert CliBackend(script).limits() == Limits(max_array_size=1001, max_job_count=10_000)
    assert script.asked == [["scontrol", "show", "config"]]
    with pytest.raises(SchedulerError, match="says nothing of MaxArraySize or MaxJobCount"):
        CliBackend(Script("Configuration data\n")).limits()


# --- finding, cancelling ----------------------------------------------------------------------------------------------


def test_find_looks_at_comments_then_at_paths() -> None:
    script = Script("4|other\n5|tok|\n6|tok\n")
    assert CliBackend(script).find(["tok"]) == {"tok": "6"}
    lines = [
        "7|sbatch /jobs/tok2/script.sh",
        "8|sbatch /jobs/tok/other/script.sh",
        "9|sbatch --parsable /jobs/tok/script.sh",
    ]
    script = Script("4|other\n", "".join(f"{line}\n" for line in lines))
    assert CliBackend(script).find(["tok"]) == {"tok": "9"}
    assert [argv[0] for argv in script.asked] == ["squeue", "sacct"]
    assert CliBackend(Script("", failed("Slurm accounting storage is disabled"))).find(["tok"]) == {}
    with pytest.raises(SchedulerError):
        CliBackend(Script("", failed("sacct: error: no"))).find(["tok"])


def test_an_answer_that_is_cut_off_says_nothing() -> None:
    for answers in (["4|other\n6|to"], ["4|other\n", "7|sbatch --parsable /jobs/to"]):
        with pytest.raises(SchedulerError, match="is cut off"):
            CliBackend(Script(*answers)).find(["tok"])
    with pytest.raises(SchedulerError, match="the answer of scontrol is cut off"):
        CliBackend(Script(SHOWN[:600])).show("1")


def test_an_id_that_is_cut_off_is_none(script: Path) -> None:
    with pytest.raises(SubmissionError, match="its answer has no job id: '12'"):
        CliBackend(Script("12")).submit(script, cwd=script.parent)


def test_whose_record_it_is() -> None:
    """The token in the path of the script; of what was submitted in another way the command line."""
    line = BOOKED.strip().rpartition("|sbatch")[0]
    answers = [f"{line}|{submitted}\n" for submitted in ("sbatch /jobs/x/script.sh", "sbatch --wrap=a|b", "")]
    found = [CliBackend(Script(answer)).accounting(["1"]) for answer in answers]
    assert [records and records["1"]["Comment"] for records in found] == ["x", "--wrap=a|b", ""]


def test_cancel() -> None:
    script = Script("", "", "")
    backend = CliBackend(script)
    backend.cancel(["1", "2", "1"])
    backend.cancel(["3"], signal="USR1")
    backend.cancel(str(number) for number in range(1))
    backend.cancel([])
    assert script.asked == [["scancel", "1", "2"], ["scancel", "--batch", "--signal=USR1", "3"], ["scancel", "0"]]
    gone = failed("scancel: error: Kill job error on job id 3: Invalid job id specified")
    CliBackend(Script(gone)).cancel(["3"], signal="USR1")
    denied = failed("scancel: error: Kill job error on job id 3: Access/permission denied")
    with pytest.raises(SchedulerError, match="permission denied"):
        CliBackend(Script(denied)).cancel(["3"])


# --- submitting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdout", "job_id", "cluster"),
    [("12\n", "12", None), ("12;east\n", "12", "east"), ("Have a nice day 7\n\n12\n", "12", None)],
)
def test_submit(script: Path, tmp_path: Path, stdout: str, job_id: str, cluster: str | None) -> None:
    execute = Script(stdout)
    assert CliBackend(execute).submit(script, cwd=tmp_path) == Submission(job_id, cluster)
    assert execute.asked == [["sbatch", "--parsable", str(script)]]
    assert execute.options[0]["cwd"] == tmp_path


def test_refused_submission_carries_slurms_words(script: Path, tmp_path: Path) -> None:
    words = (
        "sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified"
    )
    with pytest.raises(SubmissionError, match="Invalid partition name specified") as caught:
        CliBackend(Script(failed(words))).submit(script, cwd=tmp_path)
    error = caught.value
    assert error.returncode == 1
    assert error.stderr == words + "\n"
    assert error.command == ("sbatch", "--parsable", str(script))
    assert "#SBATCH --partition=debug" in error.script
    assert classify(error) == "refused"
    assert is_certain(error)


def test_no_slurm_on_path(tmp_path: Path, script: Path) -> None:
    backend = CliBackend(environ={"PATH": str(tmp_path / "empty")})
    for ask in (lambda: backend.submit(script, cwd=tmp_path), lambda: backend.queue(["1"])):
        with pytest.raises(SchedulerNotFound, match=r'use Cluster\("fake"\)') as caught:
            ask()
        assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(SchedulerError, match=r"working directory .* does not exist"):
        backend.submit(script, cwd=tmp_path / "gone")


def test_a_real_process(tmp_path: Path) -> None:
    program = (
        "import os, sys; print(os.getcwd()); print(sys.stdin.read(), os.environ['X'], file=sys.stderr); sys.exit(3)"
    )
    done = subprocess_execute([sys.executable, "-c", program], cwd=tmp_path, env={"X": "y"})
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path.resolve()}\n", " y\n")
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        subprocess_execute([sys.executable, "-c", "import signal; signal.pause()"], timeout=0.05)
    odd = subprocess_execute([sys.executable, "-c", r"import os; os.write(1, b'\xff')"])
    assert odd.stdout.encode("utf-8", "surrogateescape") == b"\xff"
    many = "import os; text = b'x' * 3_000_000; [os.write(number, text) for number in (1, 2, 1)]"
    done = subprocess_execute([sys.executable, "-c", many], timeout=60)
    assert (len(done.stdout), len(done.stderr)) == (6_000_000, 3_000_000), "neither waits for the other to be read"


def test_the_end_of_a_command_is_not_polled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command took a millisecond longer. Here it closes its output a moment before it ends."""
    monkeypatch.setattr(execute, "_ASK_AGAIN", None)  # nobody may wait so long
    done = subprocess_execute(["sh", "-c", "echo 1; exec >&- 2>&-; sleep 0.05; exit 4"], timeout=60)
    assert (done.returncode, done.stdout) == (4, "1\n")
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        subprocess_execute(["sh", "-c", "exec >&- 2>&-; exec sleep 60"], timeout=0.1)


def test_the_end_of_a_command_where_the_kernel_does_not_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    done = subprocess_execute(["sh", "-c", "echo 1; exec >&- 2>&-; sleep 0.05; exit 4"], timeout=60)
    assert (done.returncode, done.stdout) == (4, "1\n")
    assert subprocess_execute(["sh", "-c", "kill -9 $$"]).returncode == -9
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        subprocess_execute(["sh", "-c", "exec >&- 2>&-; exec sleep 60"], timeout=0.1)


def test_a_command_that_writes_on_is_late_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(execute, "_CHUNK", 1)  # so that there is always something to read
    with pytest.raises(TimeoutError, match="yes did not answer within 3 s"):
        subprocess_execute(["yes"], timeout=3)


def test_a_command_that_is_over_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be that of another process. What it has left behind holds its output."""
    killed: list[tuple[int, int]] = []
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        monkeypatch.setattr(os, "kill", lambda *argv: killed.append(argv))
        with pytest.raises(TimeoutError, match=r"within 0\.2 s"):
            subprocess_execute(["sh", "-c", "sleep 1 & exit"], timeout=0.2)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert killed == []


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_limit_of_the_users_is_his(timeout: float | None) -> None:
    def too_late(*_: object) -> None:
        raise TimeoutError("the user's own")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(TimeoutError, match="the user's own"):
            subprocess_execute(["sleep", "60"], timeout=timeout)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_command_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is what it is given, whatever a shell makes of names; the directory of this process may be gone."""
    environment = {"PATH": os.environ["PATH"], "BASH_FUNC_module%%": "() { :; }", "A": "\udcff"}
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = subprocess_execute(["env", "-0"], env=environment, cwd=tmp_path)
    assert dict(line.split("=", 1) for line in done.stdout.split("\0") if line) == environment
    with pytest.raises(TimeoutError, match=r"sleep did not answer within 0\.1 s"):
        subprocess_execute(["sleep", "60"], cwd=tmp_path, timeout=0.1)


def test_a_command_is_looked_for_on_the_path_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "command").mkdir()  # no command
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "command").write_text('#!/bin/sh\necho "$0" "$1" in "$(pwd)"\n')
    environment = {"PATH": f"{tmp_path}:{tmp_path / 'bin'}:/usr/bin:/bin"}
    with pytest.raises(PermissionError):
        subprocess_execute(["command"], env=environment)
    with pytest.raises(FileNotFoundError):
        subprocess_execute(["command"], env={"PATH": str(tmp_path)})
    for path, error in (
        (tmp_path / "bin" / "command", PermissionError),
        (tmp_path / "bin" / "none", FileNotFoundError),
    ):
        with pytest.raises(error):
            subprocess_execute([str(path)], env=environment, cwd=tmp_path)
    (tmp_path / "bin" / "command").chmod(0o755)
    for directory in (tmp_path, tmp_path / "a b'c", Path.cwd()):
        directory.mkdir(exist_ok=True)
        done = subprocess_execute(["command", "a b"], env=environment, cwd=directory)
        assert done.stdout == f"{tmp_path}/bin/command a b in {directory}\n", done
    for gone, error in ((tmp_path / "gone", FileNotFoundError), (tmp_path / "bin" / "command", NotADirectoryError)):
        with pytest.raises(error):
            subprocess_execute(["command"], env=environment, cwd=gone)


IGNORING = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"


@pytest.mark.parametrize(
    "change", [IGNORING, f"{IGNORING}; os.pidfd_open = None; del os.pidfd_open", "os.closerange(0, 3)"]
)
def test_a_command_of_an_odd_process(tmp_path: Path, change: str) -> None:
    """Its end cannot be waited for; the pipes are where the command has its own stdin, stdout and stderr."""
    program = (
        f"import os, signal, sys; from slurmkit.backends.execute import subprocess_execute; {change}\n"
        "done = subprocess_execute(['sh', '-c', 'echo 1; echo 2 >&2; cat'], timeout=60)\n"
        "open(sys.argv[1], 'w').write(repr(done))"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "done")], check=True, env=path, timeout=60)
    assert (tmp_path / "done").read_text() == repr(CommandResult(0, "1\n", "2\n"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no Linux")
def test_no_descriptor_is_left() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    subprocess_execute(["true"])
    for command in (["no such command"], ["sleep", "60"]):
        with pytest.raises((FileNotFoundError, TimeoutError)):
            subprocess_execute(command, timeout=0.01)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# --- the environment --------------------------------------------------------------------------------------------------

OUTER = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "MY_SLURM_THING": "1",
    "SLURM_CONF": "/etc/slurm.conf",
    "SLURM_CLUSTERS": "east",
    "SLURM_JWT": "secret",
    "SLURM_JOB_ID": "12",
    "SLURM_NTASKS": "8",
    "SLURM_MEM_PER_NODE": "100",
    "SLURM_TIME_FORMAT": "relative",
    "SLURM_EXIT_ERROR": "9",
    "SLURMD_NODENAME": "n1",
    "SBATCH_PARTITION": "old",
    "SBATCH_ACCOUNT": "mine",
    "SBATCH_ARRAY_INX": "0-9",
    "SBATCH_EXPORT": "NONE",
    "SQUEUE_STATES": "RUNNING",
    "SQUEUE_FORMAT": "%i",
    "SACCT_FORMAT": "jobid",
    "SCANCEL_STATE": "PENDING",
}


def test_an_outer_job_does_not_leak() -> None:
    kept = submit_environment(OUTER, lambda: "#!/bin/sh\n#SBATCH --partition=debug\n")
    assert {name for name in OUTER if name not in kept} == {
        "SLURM_JOB_ID",
        "SLURM_NTASKS",
        "SLURM_MEM_PER_NODE",
        "SLURM_TIME_FORMAT",
        "SLURM_EXIT_ERROR",
        "SLURMD_NODENAME",
        "SBATCH_PARTITION",
        "SBATCH_ARRAY_INX",
        "SBATCH_EXPORT",
    }
    assert "LC_ALL" not in kept, "it would be the job's locale, too"
    assert "SBATCH_PARTITION" in submit_environment(OUTER, lambda: "#!/bin/sh\n"), "a site's default stays"
    without = {name: text for name, text in OUTER.items() if not name.startswith("SBATCH_")}
    same = submit_environment(without, lambda: pytest.fail("nothing in it matters"))
    assert same == {name: text for name, text in kept.items() if not name.startswith("SBATCH_")}


def test_queries_are_not_filtered() -> None:
    kept = query_environment(OUTER)
    ours = {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"}
    assert set(kept) == {"PATH", "HOME", "MY_SLURM_THING", "LC_ALL", "SLURM_BITSTR_LEN"} | ours
    assert kept["LC_ALL"] == "C"


def test_the_environment_is_that_of_the_moment(monkeypatch: pytest.MonkeyPatch, script: Path, tmp_path: Path) -> None:
    execute = Script("1\n", "", "")
    backend = CliBackend(execute)
    monkeypatch.setenv("SLURM_JOB_ID", "99")
    monkeypatch.setenv("SLURM_CONF", "/somewhere")
    backend.submit(script, cwd=tmp_path)
    backend.queue(["1"])
    for env in execute.environments:
        assert "SLURM_JOB_ID" not in env
        assert env["SLURM_CONF"] == "/somewhere"
    other = Script("1\n")
    CliBackend(other, environ={"A": "b"}).queue(["1"])
    assert dict(other.environments[0]) == {"A": "b", "LC_ALL": "C", "SLURM_BITSTR_LEN": "0"}
    assert os.environ["SLURM_JOB_ID"] == "99"


# --- submitting once --------------------------------------------------------------------------------------------------

TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
RATE = "sbatch: error: Batch job submission failed: Rate limit exceeded, please retry momentarily"
DOWN = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
REFUSED = "sbatch: error: Batch job submission failed: Invalid qos specification"


@pytest.mark.parametrize(
    ("stderr", "returncode", "verdict"),
    [
        (TIMED_OUT, 1, "unknown"),
        ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", 1, "unknown"),
        ("", -15, "unknown"),
        ("", 0, "unknown"),
        (RATE, 1, "busy"),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", 1, "busy"),
        (DOWN, 1, "unreachable"),
        (REFUSED, 1, "refused"),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n" + TIMED_OUT, 1, "unknown"),
    ],
)
def test_what_a_failure_means(stderr: str, returncode: int, verdict: str) -> None:
    error = SubmissionError("sbatch failed", stderr=stderr, returncode=returncode)
    assert classify(error) == verdict
    assert is_certain(error) == (verdict != "unknown")


class Controller:
    """A controller that accepts submissions or not, and answers or not, as a plan says. Counts what it has."""

    name = "planned"

    def __init__(self, plan: Sequence[str], lookups: Sequence[str] = ()) -> None:
        self.plan = list(plan)
        self.lookups = list(lookups)
        self.jobs: list[str] = []

    def submit(self, script: Path, *, cwd: Path) -> Submission:
        step = self.plan.pop(0) if self.plan else "ok"
        if step in ("ok", "lost-accepted", "garbled"):
            self.jobs.append(f"{len(self.jobs) + 1}")
        if step == "ok":
            return Submission(self.jobs[-1])
        if step == "garbled":
            raise SubmissionError("no id", returncode=0, stdout="Submitted!")
        if step.startswith("lost"):
            raise SubmissionError("sbatch failed", stderr=TIMED_OUT, returncode=1)
        if step == "hangs":
            raise SchedulerTimeout("sbatch did not answer")
        raise SubmissionError(
            "sbatch failed", stderr={"busy": RATE, "down": DOWN, "refused": REFUSED}[step], returncode=1
        )

    def find(self, tokens: Iterable[str]) -> Mapping[str, str]:
        assert list(tokens) == ["tok"]
        step = self.lookups.pop(0) if self.lookups else "ok"
        if step == "fails":
            raise SchedulerError("squeue failed")
        if step == "blind":
            return {}
        return {"tok": self.jobs[-1]} if self.jobs else {}

    def queue(self, job_ids: Any) -> Mapping[str, Record]:
        raise NotImplementedError

    accounting = show = cancel = queue


class Leap:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now

    monotonic = time

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        assert timeout is not None
        self.now += timeout
        return False


def submit(controller: Any, clock: Leap | None = None) -> Submission:
    uniform = random.Random(1).uniform
    return submit_once(controller, Path("s"), cwd=Path(), token="tok", clock=clock or Leap(), uniform=uniform)


def test_busy_is_asked_again_with_growing_pauses() -> None:
    clock = Leap()
    controller = Controller(["busy", "busy", "down", "busy", "ok"])
    assert submit(controller, clock).job_id == "1"
    assert controller.jobs == ["1"]
    assert 0.75 * (0.5 + 1 + 2 + 4) <= clock.now - 100.0 <= 1.25 * (0.5 + 1 + 2 + 4)


@pytest.mark.parametrize(("step", "patience"), [("busy", 120), ("down", 10)])
def test_patience_ends(step: str, patience: float) -> None:
    clock = Leap()
    controller = Controller([step] * 1000)
    with pytest.raises(SubmissionError):
        submit(controller, clock)
    assert clock.now - 100.0 <= patience
    assert controller.jobs == []


def test_refused_is_not_asked_again() -> None:
    controller = Controller(["refused"])
    with pytest.raises(SubmissionError):
        submit(controller)
    assert controller.plan == []


@pytest.mark.parametrize("step", ["lost-accepted", "garbled"])
@pytest.mark.parametrize("lookups", [[], ["fails", "fails"], ["blind", "fails", "blind"]])
def test_a_lost_answer_is_looked_up_before_anything_is_repeated(step: str, lookups: list[str]) -> None:
    controller = Controller([step], lookups)
    assert submit(controller).job_id == "1"
    assert controller.jobs == ["1"]


@pytest.mark.parametrize("step", ["lost", "hangs"])
def test_a_lost_submission_is_repeated_when_nobody_knows_it(step: str) -> None:
    controller = Controller([step, "ok"])
    assert submit(controller).job_id == "1"
    assert controller.jobs == ["1"]


def test_what_sbatch_has_submitted_is_not_repeated_though_nobody_knows_it() -> None:
    """Its answer was cut off, and so are those of the look-ups, where another job's line ends."""
    controller = Controller(["garbled", "ok"], ["blind"] * 100)
    with pytest.raises(SchedulerTimeout, match="its comment is 'tok'"):
        submit(controller)
    assert controller.jobs == ["1"]


def test_a_submission_that_stays_lost_is_an_error_that_names_the_token() -> None:
    with pytest.raises(SchedulerTimeout, match="its comment is 'tok'") as caught:
        submit(Controller(["lost", "lost"]))
    assert not is_certain(caught.value)
    with pytest.raises(SchedulerTimeout, match="could not be looked up"):
        submit(Controller(["lost"], ["fails"] * 1000))
    with pytest.raises(SchedulerTimeout, match="when it was repeated, sbatch failed"):
        submit(Controller(["lost", "refused"]))


steps = st.sampled_from(["ok", "lost", "lost-accepted", "garbled", "hangs", "busy", "down", "refused"])


@given(st.lists(steps, max_size=8), st.lists(st.sampled_from(["ok", "fails"]), max_size=8))
def test_nothing_is_submitted_twice(plan: list[str], lookups: list[str]) -> None:
    """For any plan of faults: one job and its id, or an error and no job, or an error that says that it is not known."""
    controller = Controller(plan, lookups)
    outcome = outcome_of(controller)
    if isinstance(outcome, Submission):
        assert controller.jobs == [outcome.job_id]
    else:
        assert len(controller.jobs) <= (0 if is_certain(outcome) else 1)


def outcome_of(controller: Controller) -> Submission | SchedulerError:
    try:
        return submit(controller)
    except SchedulerError as error:
        return error


def test_the_machine_needs_no_clock() -> None:
    machine = SubmissionMachine("tok", 0.0, lambda low, high: 1.0)
    assert machine.start().kind == "submit"
    action = machine.failed(SchedulerTimeout("late"), 5.0)
    assert (action.kind, action.delay) == ("find", 0.5)
    assert machine.found("9", 5.5).submission == Submission("9")
