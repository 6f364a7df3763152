"""srun in and outside of jobs: layouts, input and output, messages, return codes, signals. Texts are those of srun 22.05.8."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeslurm.commands.taskends import Endings, exit_messages, ranks_text, return_code
from fakeslurm.contract.harness import until
from fakeslurm.fake import FakeSlurm
from fakeslurm.model import Step
from slurmkit.backends.execute import CommandResult

SIGINT, SIGKILL, SIGTERM, CORE = 2, 9, 15, 0x80


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        yield slurm


Job = Callable[..., str]


@pytest.fixture
def job(slurm: FakeSlurm, tmp_path: Path) -> Job:
    """Run a batch script to its end; its output, both streams."""

    def run(body: str, *options: str) -> str:
        submit = ["sbatch", "--parsable", *options, "-o", "out.%j", "--wrap", body]
        answer = slurm.execute(submit, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"})
        assert answer.returncode == 0, answer
        slurm.wait_idle()
        return (tmp_path / f"out.{answer.stdout.strip()}").read_text()

    return run


def outside(slurm: FakeSlurm, tmp_path: Path, *argv: str, **changes: object) -> CommandResult:
    """srun outside of any job."""
    how: dict[str, object] = {"cwd": tmp_path, "env": {"PATH": "/usr/bin:/bin"}, **changes}
    return slurm.execute(["srun", *argv], **how)  # type: ignore[arg-type]


def sorted_lines(text: str) -> list[str]:
    return sorted(text.splitlines())


# Pure parts


def test_ranks_text() -> None:
    assert ranks_text([0]) == "task 0"
    assert ranks_text([1, 0]) == "tasks 0-1"
    assert ranks_text([5, 0, 1, 2, 7]) == "tasks 0-2,5,7"


@given(
    tasks=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    data=st.data(),
)
def test_srun_hears_of_every_end_once_and_in_time(tasks: list[int], data: st.DataObject) -> None:
    """Those of a node that end within 0.1 s after its first one are one message, unless it has none left; other nodes may go on."""
    first = list(itertools.accumulate(tasks, initial=0))
    nodes = [tuple(range(begin, begin + count)) for begin, count in zip(first, tasks, strict=False)]
    ends = {rank: data.draw(st.integers(0, 40)) / 50 for rank in range(first[-1])}
    endings = Endings(nodes)
    heard: dict[int, float] = {}
    now = 0.0
    for rank in sorted(ends, key=lambda rank: ends[rank]):
        while endings.due is not None and endings.due <= ends[rank]:
            now = endings.due
            heard |= dict.fromkeys(endings.take(now), now)
        now = ends[rank]
        endings.add(rank, now)
        assert rank not in heard
    assert endings.due == now  # nothing runs any more
    heard |= dict.fromkeys(endings.take(now), now)
    assert (sorted(heard), endings.due, endings.take(inf)) == (sorted(ends), None, [])
    assert all(ends[rank] <= heard[rank] <= ends[rank] + 0.1 for rank in ends)
    for ranks in nodes:
        for one, other in itertools.permutations(ranks, 2):
            if ends[one] <= ends[other] < heard[one]:
                assert heard[one] == heard[other]


def test_exit_messages() -> None:
    step = Step(
        job_id=1,
        step_id=0,
        name="x",
        nodes=("n1", "n2"),
        tasks=((0, 1, 2), (3,)),
        cpus_per_node=(3, 1),
        distribution="block",
        start_time=0.0,
    )
    assert exit_messages(step, {0: 3 << 8, 1: SIGKILL, 2: 3 << 8, 3: 11 | CORE}) == [
        "error: n1: tasks 0,2: Exited with exit code 3",
        "error: n1: task 1: Killed",
        "error: n2: task 3: Segmentation fault (core dumped)",
    ]
    assert exit_messages(step, {0: 0, 3: 0}) == []


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 4 << 8, 2 << 8], 4),
        ([7 << 8, SIGKILL], 137),
        ([SIGTERM, 200 << 8], 143),
        ([SIGTERM, SIGKILL], 143),
    ],
)
def test_return_code_is_the_highest(statuses: list[int], code: int) -> None:
    assert return_code(dict(enumerate(statuses))) == code


# Layout and environment


DATA = Path(__file__).parent.parent / "docs" / "data"


def recorded(version: str) -> list[object]:
    """What srun made of its options on a real Slurm, by the job that it was in."""
    rows = json.loads((DATA / f"steps-{version}.json").read_text())
    jobs = dict.fromkeys(row["job"] for row in rows)
    return [pytest.param(version, [row for row in rows if row["job"] == job], id=f"{version} {job}") for job in jobs]


REPORT = """\
sh -c 'echo $SLURM_PROCID $SLURMD_NODENAME $SLURM_NODEID $SLURM_LOCALID $SLURM_GTIDS $SLURM_CPUS_ON_NODE > {0}.$SLURM_PROCID'
"""


@pytest.mark.parametrize(("version", "rows"), [*recorded("22.05"), *recorded("24.11")])
def test_steps_as_recorded(tmp_path: Path, version: str, rows: list[dict[str, Any]]) -> None:
    """Every srun of a job, one after another: its ranks, or its refusal."""
    rows = [row for row in rows if not row["srun"].startswith("-D /")]  # that one spoils the recorder's own file
    lines = [
        f"srun {row['srun']} {REPORT.strip().format(index)} 2> err.{index}; echo $? > rc.{index}"
        for index, row in enumerate(rows)
    ]
    with FakeSlurm(version=version) as slurm:
        submit = ["sbatch", "-o", "/dev/null", *shlex.split(rows[0]["job"]), "--wrap", "\n".join(lines)]
        assert slurm.execute(submit, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}).returncode == 0
        slurm.wait_idle()
    for index, row in enumerate(rows):
        what = f"srun {row['srun']}"
        errors = (tmp_path / f"err.{index}").read_text()
        errors = re.sub(r"srun: (Job \d+ step creation|Step created).*\n", "", errors)
        expected = row.get("output", "").replace("JOB", "1").strip()
        assert errors.strip() == expected, what
        assert (tmp_path / f"rc.{index}").read_text() == f"{row['rc']}\n", what
        ranks = {int(path.suffix[1:]): path.read_text().split()[1:] for path in tmp_path.glob(f"{index}.*")}
        wanted = [[str(value) for value in rank] for rank in row.get("ranks") or []]
        # Which nodes, and so which CPUs, a small step gets goes round in 24.11.
        compared = slice(None) if version == "22.05" else slice(1, -1)
        assert [ranks[rank][compared] for rank in sorted(ranks)] == [rank[compared] for rank in wanted], what


@pytest.mark.parametrize(
    ("options", "srun", "expected"),
    [
        (["-N3", "-n7"], "", ["0 n1", "1 n1", "2 n1", "3 n1", "4 n2", "5 n2", "6 n3"]),
        (["-N3", "-n7"], "-N2 -n3", ["0 n1", "1 n1", "2 n2"]),
        (["-N2", "-n4"], "-m cyclic", ["0 n1", "1 n2", "2 n1", "3 n1"]),
        (["-N2", "-n3"], "-w n2", ["0 n1", "1 n1", "2 n2"]),
        (["-N2", "-n3"], "-N1 -n1 -x n1", ["0 n2"]),
        (["-N2", "-n3"], "-r1 -N1 -n1", ["0 n2"]),
    ],
)
def test_placement(job: Job, options: list[str], srun: str, expected: list[str]) -> None:
    assert sorted_lines(job(f"srun {srun} sh -c 'echo $SLURM_PROCID $SLURMD_NODENAME'", *options)) == expected


def test_steps_are_numbered_and_the_commands_are_there(job: Job, slurm: FakeSlurm) -> None:
    text = job("srun sh -c 'echo $SLURM_STEP_ID; command -v sbatch'; srun sh -c 'echo $SLURM_STEP_ID'")
    assert text == f"0\n{slurm.directory}/bin/sbatch\n1\n"


def test_every_rank_has_its_own_pid(job: Job) -> None:
    lines = job("srun sh -c 'echo $SLURM_TASK_PID $$'", "-n3").splitlines()
    assert all(line.split()[0] == line.split()[1] for line in lines)
    assert len(set(lines)) == 3


def test_export(job: Job) -> None:
    assert job("X=1; Y=2; export X Y; srun --export=ALL,X=3 sh -c 'echo $X $Y'") == "3 2\n"
    assert job("srun --export=NONE sh") == (
        "slurmstepd-n1: error: execve(): sh: No such file or directory\nsrun: error: n1: task 0: Exited with exit code 2\n"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "|none|none|3"),
        ("-l", "0: 1|none|none|3"),
        ("-J name -vv", "|name|none|5"),
        ("-Q --cpu-bind=cores", "|none|quiet,corescores|2"),
        ("--cpu-bind=verbose,none", "|none|verbose,none|3"),
        ("--cpu-bind=map_cpu:0", "|none|quiet,map_cpu:0|3"),
    ],
)
def test_variables_of_options(job: Job, options: str, expected: str) -> None:
    """Measured: which options of srun show in the environment."""
    names = 'echo "$SLURM_LABELIO|${SLURM_JOB_NAME}|${SLURM_CPU_BIND:-none}|$SRUN_DEBUG"'
    text = job(f"srun {options} sh -c '{names}' 2>/dev/null", "-J", "none")
    assert text == f"{expected}\n"


def test_a_binding_that_does_not_exist(job: Job) -> None:
    assert job("srun --cpu-bind=foo true; echo $?") == (
        "srun: cluster configuration lacks support for cpu binding\n"
        'srun: error: unrecognized --cpu-bind argument "foo"\n'
        "srun: fatal: Failed to parse --cpu-bind= values.\n1\n"
    )


def test_working_directory(job: Job, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert job("srun -D 'a b' pwd; cd 'a b'; srun pwd") == f"{tmp_path}/a b\n" * 2
    complaint = "slurmstepd-n1: error: couldn't chdir to `/no/such': No such file or directory: going to /tmp instead\n"
    assert job("srun -D /no/such pwd") == f"{complaint}{complaint}/tmp\n"


# Input and output


def test_labels(job: Job) -> None:
    text = job("srun -l sh -c 'echo out; echo err >&2; printf noeol'", "-n2")
    assert sorted_lines(text) == ["0: err", "0: noeol", "0: out", "1: err", "1: noeol", "1: out"]
    wide = job("srun -l -O -n12 sh -c 'echo $SLURM_PROCID'").splitlines()
    assert sorted(wide) == [f"{rank:>2}: {rank}" for rank in range(12)]
    assert job("SLURM_LABELIO=1 srun echo hi") == "0: hi\n"


def test_standard_input_goes_to_every_rank(job: Job) -> None:
    assert sorted_lines(job("printf 'a\\nb\\n' | srun -l cat", "-n2")) == ["0: a", "0: b", "1: a", "1: b"]
    assert job("printf 'a\\nb\\n' | srun -l -i1 cat", "-n2") == "1: a\n1: b\n"
    assert job("echo a | srun -i none cat", "-n2") == ""
    assert job("echo a | srun sh -c 'exit 0'; echo $?") == "0\n"


def test_a_large_input_passes_through(job: Job, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"0123456789abcdef" * 65536)
    assert job("srun -n2 sh -c 'wc -c' < data", "-n2").split() == ["1048576", "1048576"]


def test_srun_reads_all_of_its_input(job: Job) -> None:
    """The classic trap: a loop that reads lines, with an srun in it, ends after the first one."""
    assert job("seq 3 | while read x; do echo $x; srun sh -c 'sleep 0.1'; done") == "1\n"
    assert job("seq 3 | while read x; do echo $x; srun true < /dev/null; done") == "1\n2\n3\n"


def test_output_files(job: Job, tmp_path: Path) -> None:
    job("srun -o 'f.%t.%n.%s.%j' sh -c 'echo $SLURM_PROCID; echo err >&2'", "-N2", "-n3")
    names = sorted(path.name for path in tmp_path.glob("f.*"))
    assert names == ["f.0.0.0.1", "f.1.0.0.1", "f.2.1.0.1"]
    assert (tmp_path / "f.2.1.0.1").read_text() == "2\nerr\n"
    job("srun -o one -e two sh -c 'echo $SLURM_PROCID; echo e$SLURM_PROCID >&2'", "-n2")
    assert sorted_lines((tmp_path / "one").read_text()) == ["0", "1"]
    assert sorted_lines((tmp_path / "two").read_text()) == ["e0", "e1"]
    job("srun -l -o labelled echo x", "-n2")
    assert sorted_lines((tmp_path / "labelled").read_text()) == ["0: x", "1: x"]


def test_output_of_one_rank_or_none(job: Job) -> None:
    command = "sh -c 'echo $SLURM_PROCID; echo err$SLURM_PROCID >&2'"
    assert sorted_lines(job(f"srun -o 1 {command}", "-n2")) == ["1", "err1"]
    assert job(f"srun -o none {command}", "-n2") == ""
    assert sorted_lines(job("srun -o all echo x", "-n2")) == ["x", "x"]


def test_open_mode(job: Job, tmp_path: Path) -> None:
    job("srun -o f echo a; srun -o f echo b; srun --open-mode=append -o f echo c")
    assert (tmp_path / "f").read_text() == "b\nc\n"


def test_where_output_files_are(job: Job, tmp_path: Path) -> None:
    """A common file is seen from srun's directory, a rank's own from the rank's (measured)."""
    (tmp_path / "sub").mkdir()
    job("srun -D sub -o common pwd; srun -D sub -o own.%t pwd")
    assert (tmp_path / "common").exists()
    assert (tmp_path / "sub" / "own.0").exists()


@pytest.mark.parametrize(
    ("option", "stream"),
    [
        ("-o /no/such/x", "stdout"),
        ("-e /no/such/x", "stderr"),
        ("-l -o /no/such/x", "stdout"),
        ("-i /no/such/x", "stdin"),
    ],
)
def test_files_that_cannot_be_opened(job: Job, option: str, stream: str) -> None:
    expected = f"srun: error: Could not open {stream} file: No such file or directory\n1\n"
    assert job(f"srun {option} echo never; echo $?") == expected


def test_files_of_ranks_that_cannot_be_opened(job: Job) -> None:
    line = "srun: error: task {} launch failed: Slurmd could not connect IO\n"
    assert job("srun -o /no/such/x%t echo never; echo $?", "-n2") == f"{line.format(0)}{line.format(1)}0\n"


def test_a_step_that_could_not_be_started_frees_its_place(job: Job) -> None:
    assert job("srun -o /no/such/x true 2>/dev/null; srun -l -o /no/such/x true 2>/dev/null; srun echo ok").endswith(
        "ok\n"
    )


# How tasks end


@pytest.mark.parametrize(
    ("command", "code", "lines"),
    [
        ("exit 3", 3, ["error: n1: tasks 0-1: Exited with exit code 3", "error: n2: task 2: Exited with exit code 3"]),
        ("exit $SLURM_PROCID", 2, ["error: n1: task 1: Exited with exit code 1", "error: n2: task 2: Exited with exit code 2"]),
        ("kill -9 $$", 137, ["error: n1: tasks 0-1: Killed", "error: n2: task 2: Killed", "Force Terminated StepId=1.0"]),
        ("kill $$", 143, ["error: n1: tasks 0-1: Terminated", "error: n2: task 2: Terminated", "Force Terminated StepId=1.0"]),
        ("kill -USR1 $$", 138, ["error: n1: tasks 0-1: User defined signal 1", "error: n2: task 2: User defined signal 1"]),
        ("exit 0", 0, []),
    ],
    ids=["the same", "by rank", "KILL", "TERM", "USR1", "well"],
)  # fmt: skip
def test_endings(job: Job, command: str, code: int, lines: list[str]) -> None:
    expected = [f"srun: {line}" for line in lines] + [str(code)]
    assert by_task(job(f"srun sh -c '{command}'; echo $?", "-N2", "-n3").splitlines()) == by_task(expected)


def by_task(lines: list[str]) -> list[str]:
    """Tasks that end in one moment are told in one line, on a machine that is busy in two, as by Slurm."""
    return [
        f"{start}task {task}:{rest}"
        for line in lines
        for start, tasks, rest in re.findall(r"(.*?)(?:tasks? ([0-9]+(?:-[0-9]+)?):(.*))", line)
        for task in range(int(tasks.split("-")[0]), int(tasks.split("-")[-1]) + 1)
    ] + [line for line in lines if "task" not in line]


def test_the_name_of_the_program_is_its_path(job: Job) -> None:
    assert job("srun sh -c 'echo $0'").startswith("/")


def test_what_cannot_be_executed(job: Job) -> None:
    assert job("srun no-such-program; echo $?") == (
        "slurmstepd-n1: error: execve(): no-such-program: No such file or directory\n"
        "srun: error: n1: task 0: Exited with exit code 2\n2\n"
    )


def test_the_others_go_on(job: Job) -> None:
    text = job("srun sh -c '[ $SLURM_PROCID = 0 ] && exit 5; sleep 0.2; echo done'; echo $?", "-n2")
    assert text == "srun: error: n1: task 0: Exited with exit code 5\ndone\n5\n"


def test_kill_on_bad_exit(job: Job) -> None:
    text = job("srun -K sh -c '[ $SLURM_PROCID = 0 ] && exit 5; sleep 30'; echo $?", "-n2")
    text = re.sub(r"AT \S+ ", "AT WHEN ", text)
    assert sorted_lines(text) == sorted(
        [
            "srun: error: n1: task 0: Exited with exit code 5",
            "srun: launch/slurm: _step_signal: Terminating StepId=1.0",
            "slurmstepd-n1: error: *** STEP 1.0 ON n1 CANCELLED AT WHEN ***",
            "srun: error: n1: task 1: Terminated",
            "srun: Force Terminated StepId=1.0",
            "143",
        ]
    )
    assert job("SLURM_KILL_BAD_EXIT=1 srun sh -c '[ $SLURM_PROCID = 0 ] && exit 5; sleep 30'; echo $?", "-n2").endswith(
        "\n143\n"
    )
    assert job("srun -K0 sh -c 'exit $SLURM_PROCID'; echo $?", "-n2").endswith("\n1\n")


def test_wait_for_the_others(job: Job) -> None:
    text = job("srun -W1 sh -c '[ $SLURM_PROCID = 0 ] && exit 1; sleep 30'; echo $?", "-n2")
    lines = [line for line in text.splitlines() if "CANCELLED AT" not in line]
    assert lines == [
        "srun: error: n1: task 0: Exited with exit code 1",
        "srun: First task exited 1s ago",
        "srun: StepId=1.0 task 1: running",
        "srun: StepId=1.0 task 0: exited abnormally",
        "srun: launch/slurm: _step_signal: Terminating StepId=1.0",
        "srun: Job step aborted: Waiting up to 7 seconds for job step to finish.",
        "srun: error: n1: task 1: Killed",
        "137",
    ]


# Requests that are refused


@pytest.mark.parametrize(
    ("srun", "code", "text"),
    [
        ("-n50 true", 1, "srun: error: Unable to create step for job 1: More processors requested than permitted"),
        ("-N3 true", 1, "srun: error: Only allocated 2 nodes asked for 3"),
        ("-N1 true", 1, "srun: error: Unable to create step for job 1: More processors requested than permitted"),
        ("-w n4 true", 1, "srun: error: Unable to create step for job 1: Requested node configuration is not available"),
        ("-x n1 true", 1, "srun: error: Only allocated 1 nodes asked for 2\nsrun: error: Are required nodes explicitly excluded?"),
        ("-r5 -N1 -n1 true", 1, "srun: error: --relative and --nodes option incompatible with count of allocated nodes (5+1>2)"),
        ("-n1 true", 0, "srun: Warning: can't run 1 processes on 2 nodes, setting nnodes to 1"),
        ("--jobid=9999 true", 1, "srun: error: Unable to confirm allocation for job 9999: Invalid job id specified\n"
                                 "srun: Check SLURM_JOB_ID environment variable. Expired or invalid job 9999"),
        ("-n0 true", 1, 'srun: error: Invalid numeric value "0" for --ntasks.'),
        ("-m foo true", 255, "srun: error: Invalid --distribution specification"),
        ("-t foo true", 255, "srun: error: Invalid --time specification"),
        ("--bogus", 255, "srun: unrecognized option '--bogus'\nTry \"srun --help\" for more information"),
        ("", 1, "srun: fatal: No command given to execute."),
        ("--pty true", 1, "srun: error: fakeslurm does not support --pty"),
        ("true : true", 1, "srun: error: fakeslurm does not support --het-group and COMMAND : COMMAND outside of a heterogeneous job"),
        ("--cpu-bind=cores true", 0, "srun: cluster configuration lacks support for cpu binding"),
        ("-p nope true", 0, ""),
        ("--mpi=none true", 0, ""),
        ("--gres=gpu:1 true", 1, "srun: error: Invalid generic resource (gres) specification"),
    ],
)  # fmt: skip
def test_requests(job: Job, srun: str, code: int, text: str) -> None:
    expected = f"{text}\n{code}\n" if text else f"{code}\n"
    assert job(f"srun {srun}; echo $?", "-N2", "-n3") == expected


# Several steps


def test_steps_side_by_side(job: Job) -> None:
    step = "srun -N1 -n1 --exact sh -c 'echo > {me}; until [ -s {other} ]; do sleep 0.02; done' & "
    assert job(f"{step.format(me='a', other='b')}{step.format(me='b', other='a')}wait; echo both", "-n2") == "both\n"


def test_a_step_waits_for_its_turn(job: Job) -> None:
    text = job("srun sh -c 'echo > up; sleep 1' & until [ -s up ]; do sleep 0.02; done; srun echo second; wait")
    # What srun says and what its task prints come by two ways.
    assert sorted(text.splitlines()) == [
        "second",
        "srun: Job 1 step creation temporarily disabled, retrying (Requested nodes are busy)",
        "srun: Step created for job 1",
    ]
    text = job("srun sh -c 'echo > up2; sleep 1' & until [ -s up2 ]; do sleep 0.02; done; srun -I true; echo $?; wait")
    assert text == "srun: error: Unable to create step for job 2: Requested nodes are busy\n1\n"


def test_a_step_waits_on_while_its_job_is_suspended(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.execute(["salloc", "--no-shell", "-n1"])
    wrapped = ["sbatch", "-D", str(tmp_path), "-o", "out.%j", "--wrap"]
    slurm.execute([*wrapped, "srun --jobid 1 sh -c 'until [ -e go ]; do sleep 0.05; done'"])
    until(lambda: "1.0" in slurm.execute(["squeue", "-hs"]).stdout, what="the first step runs")
    slurm.execute([*wrapped, "srun --jobid 1 true; echo $?"])
    out = tmp_path / "out.3"
    until(lambda: out.exists() and out.read_text(), what="the second one waits")
    assert slurm.execute(["scontrol", "suspend", "1"]).returncode == 0
    (tmp_path / "go").touch()
    assert slurm.execute(["scontrol", "resume", "1"]).returncode == 0
    until(lambda: out.read_text().endswith("0\n"), what="the second one has run")
    waits, runs, _ = out.read_text().splitlines()
    assert waits == "srun: Job 1 step creation temporarily disabled, retrying (Requested nodes are busy)"
    assert runs == "srun: Step created for job 1"
    slurm.execute(["scancel", "1"])


# Signals


RUNNING = "until [ -e up.0 ] && [ -e up.1 ]; do sleep 0.02; done;"
LONG = "sh -c 'echo > up.$SLURM_PROCID; exec sleep 30'"
NOTICE = re.compile(r"^slurmstepd-n1: error: \*\*\* STEP 1\.0 ON n1 CANCELLED AT \S+ \*\*\*$")


def signalled(job: Job, *signals: str, srun: str = "", command: str = LONG) -> list[str]:
    """The lines of a step of two tasks whose srun is sent signals; the notice of slurmstepd is checked and left out."""
    kills = "".join(f"kill -{name} $p; sleep 0.1; " for name in signals)
    lines = job(f"srun {srun} {command} & p=$!; {RUNNING} {kills}wait $p; echo $?", "-n2").splitlines()
    return [line for line in lines if not NOTICE.match(line)]


ABORTED = [
    "srun: forcing job termination",
    "srun: Job step aborted: Waiting up to 7 seconds for job step to finish.",
]


def test_term_ends_the_step(job: Job) -> None:
    assert signalled(job, "TERM") == [*ABORTED, "srun: error: n1: tasks 0-1: Killed", "137"]


def test_quit_ends_the_step(job: Job) -> None:
    assert signalled(job, "QUIT") == ["srun: Quit", *ABORTED, "srun: error: n1: tasks 0-1: Killed", "137"]


def test_one_interrupt_asks_for_another(job: Job) -> None:
    command = "sh -c 'echo > up.$SLURM_PROCID; sleep 1'"
    assert signalled(job, "INT", command=command) == [
        "srun: interrupt (one more within 1 sec to abort)",
        "srun: StepId=1.0 tasks 0-1: running",
        "0",
    ]


def test_two_interrupts_end_the_step(job: Job) -> None:
    assert signalled(job, "INT", "INT") == [
        "srun: interrupt (one more within 1 sec to abort)",
        "srun: StepId=1.0 tasks 0-1: running",
        "srun: sending Ctrl-C to StepId=1.0",
        *ABORTED,
        "130",
    ]


def test_the_return_code_is_that_of_the_tasks_even_then(job: Job) -> None:
    command = "sh -c 'trap \"\" INT TERM; echo > up.$SLURM_PROCID; while :; do sleep 0.1; done'"
    assert signalled(job, "INT", "INT", command=command)[-1] == "137"


def test_quit_on_interrupt(job: Job) -> None:
    *lines, code = signalled(job, "INT", srun="--quit-on-interrupt")
    assert lines == ["srun: sending Ctrl-C to StepId=1.0", *ABORTED]
    assert code in ("130", "137"), "of the SIGINT, or of the SIGKILL that comes right after it"


def test_interrupt_without_status(job: Job) -> None:
    lines = signalled(job, "INT", srun="-X")
    assert lines == ["srun: sending Ctrl-C to StepId=1.0", "srun: error: n1: tasks 0-1: Interrupt", "130"]


def test_user_signals_are_passed_on(job: Job) -> None:
    trap = (
        "sh -c 'trap \"echo got it; exit 4\" USR1; echo > up.$SLURM_PROCID; while :; do sleep 0.02; done' 2>/dev/null"
    )
    lines = signalled(job, "USR1", command=trap)
    assert sorted(lines) == ["4", "got it", "got it"]


def test_the_step_of_a_killed_srun_goes_on(job: Job, tmp_path: Path) -> None:
    command = "sh -c 'echo > up.$SLURM_PROCID; until [ -e go ]; do sleep 0.02; done; echo > survived.$SLURM_PROCID'"
    tail = "touch go; until [ -s survived.0 ] && [ -s survived.1 ]; do sleep 0.02; done; srun echo next"
    text = job(f"srun {command} & p=$!; {RUNNING} kill -KILL $p; wait $p; echo $?; {tail}", "-n2")
    assert text.splitlines()[-2:] == ["next", "next"]
    assert "137" in text.splitlines()


def test_scancel_of_a_step(job: Job) -> None:
    lines = job(f"srun {LONG} & p=$!; {RUNNING} scancel $SLURM_JOB_ID.0; wait $p; echo $?", "-n2").splitlines()
    assert [line for line in lines if not NOTICE.match(line)] == [
        "srun: Job step aborted: Waiting up to 7 seconds for job step to finish.",
        "srun: error: n1: tasks 0-1: Killed",
        "137",
    ]


def test_scancel_kill_of_a_step(job: Job) -> None:
    lines = job(f"srun {LONG} & p=$!; {RUNNING} scancel -s KILL $SLURM_JOB_ID.0; wait $p; echo $?", "-n2").splitlines()
    assert lines == ["srun: error: n1: tasks 0-1: Killed", "srun: Force Terminated StepId=1.0", "137"]


# Outside of a job


def test_outside_of_a_job(slurm: FakeSlurm, tmp_path: Path) -> None:
    answer = outside(slurm, tmp_path, "-N2", "-n3", "sh", "-c", "echo $SLURM_PROCID $SLURM_JOB_ID $SLURM_STEP_ID")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert sorted_lines(answer.stdout) == ["0 1 0", "1 1 0", "2 1 0"]
    slurm.wait_idle()
    (job,) = slurm.jobs()
    assert (job.name, str(job.state), job.nodes) == ("sh", "COMPLETED", ("n1", "n2"))


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["sh", "-c", "exit 4"], 4, "srun: error: n1: task 0: Exited with exit code 4\n"),
        (["-p", "nope", "true"], 1, "srun: error: invalid partition specified: nope\n"
                                    "srun: error: Unable to allocate resources: Invalid partition name specified\n"),
        (["--gpus=1", "true"], 1, "srun: error: Invalid generic resource (gres) specification\n"),
        (["-w", "bogus", "true"], 1, "srun: error: Unable to allocate resources: Invalid node name specified\n"),
        (["--mem=99999", "true"], 1, "srun: error: Memory specification can not be satisfied\n"
                                     "srun: error: Unable to allocate resources: Requested node configuration is not available\n"),
        (["-o", "/no/such/x", "true"], 1, "srun: error: Could not open stdout file: No such file or directory\n"),
    ],
)  # fmt: skip
def test_endings_outside_of_a_job(slurm: FakeSlurm, tmp_path: Path, argv: list[str], code: int, text: str) -> None:
    assert outside(slurm, tmp_path, *argv) == CommandResult(code, "", text)
    slurm.wait_idle()


def test_the_exit_code_is_that_of_the_job(slurm: FakeSlurm, tmp_path: Path) -> None:
    outside(slurm, tmp_path, "sh", "-c", "exit 4")
    slurm.wait_idle()
    (job,) = slurm.jobs()
    assert (str(job.state), str(job.exit_code)) == ("FAILED", "4:0")


def test_input_and_output_outside_of_a_job(slurm: FakeSlurm, tmp_path: Path) -> None:
    assert (
        outside(slurm, tmp_path, "-n2", "-l", "cat", input="a\n").stdout.splitlines().sort() == ["0: a", "1: a"].sort()
    )


def test_only_a_test(slurm: FakeSlurm, tmp_path: Path, job: Job) -> None:
    text = r"srun: Job \d+ to start at [-0-9T:]{19} using 2 processors on nodes n1 in partition debug\n"
    answer = outside(slurm, tmp_path, "--test-only", "-n2", "touch", "ran")
    assert (answer.returncode, bool(re.fullmatch(text, answer.stderr))) == (0, True)
    assert re.fullmatch(text + "0\n", job("srun --test-only -n2 touch ran; echo $?"))
    refused = outside(slurm, tmp_path, "--test-only", "-N9", "true")
    assert refused == CommandResult(1, "", "allocation failure: Requested node configuration is not available\n")
    assert not (tmp_path / "ran").exists()


def test_what_can_never_start(slurm: FakeSlurm, tmp_path: Path) -> None:
    refused = outside(slurm, tmp_path, "-I", "-N9", "true").stderr
    text = "Requested partition configuration not available now"
    assert refused == f"srun: error: Unable to allocate resources: {text}\n"
    with subprocess.Popen(
        ["srun", "-N9", "true"], env=slurm.environ(), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        assert [waiting.stderr.readline() for _ in range(2)] == [
            f"srun: {text}\n",
            "srun: job 2 queued and waiting for resources\n",
        ]
        waiting.terminate()
        assert waiting.stderr.read() == "srun: Job allocation 2 has been revoked\nsrun: Force Terminated JobId=2\n"
    assert waiting.returncode == 1
    slurm.wait_idle()


def test_waiting_for_resources(slurm: FakeSlurm, tmp_path: Path) -> None:
    blocker = ["sbatch", "-N4", "--exclusive", "--wrap", "until [ -e go ]; do sleep 0.02; done"]
    slurm.execute(blocker, cwd=tmp_path)
    busy = outside(slurm, tmp_path, "-I", "true")
    assert busy == CommandResult(1, "", "srun: error: Unable to allocate resources: Requested nodes are busy\n")
    with pytest.raises(TimeoutError):
        outside(slurm, tmp_path, "true", timeout=0.2)
    slurm.wait_for(lambda: all(str(job.state) != "PENDING" for job in slurm.jobs()))
    (tmp_path / "go").touch()
    slurm.wait_idle()
    assert [str(job.state) for job in slurm.jobs()] == ["COMPLETED", "FAILED", "CANCELLED"]
