"""sbatch and scancel of the fake: options, scripts, answers. Every text here was printed by sbatch or scancel 22.05.8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fakeslurm.commands.base import COMMANDS, Option, UsageError, parse_options
from fakeslurm.commands.option_tables import sbatch_options, srun_options
from fakeslurm.commands.signals import parse_signal, parse_signal_option
from fakeslurm.fake import FakeSlurm
from fakeslurm.filenames import FileNames, expand, is_per_task
from fakeslurm.model import JobDescription, SignalSpec
from slurmkit.backends.execute import CommandResult
from slurmkit.slurm.option_table import OPTIONS

TRY = 'Try "sbatch --help" for more information\n'
REFUSED = "sbatch: error: Batch job submission failed: "


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        yield slurm


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "ok.sh"
    path.write_text("#!/bin/sh\nexit 0\n")
    return path


def sbatch(slurm: FakeSlurm, tmp_path: Path, *argv: str, **environ: str) -> CommandResult:
    return slurm.execute(["sbatch", *argv], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **environ})


def described(slurm: FakeSlurm, tmp_path: Path, *argv: str, **environ: str) -> JobDescription:
    """What a held job with these options asks the controller for."""
    answer = sbatch(slurm, tmp_path, "--parsable", "-H", *argv, **environ)
    assert (answer.returncode, answer.stderr) == (0, "")
    return slurm._engine.controller.jobs[int(answer.stdout)].description


# Options: words


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--bogus"], "unrecognized option '--bogus'"),
        (["--bogus=3"], "unrecognized option '--bogus=3'"),
        (["-Y"], "invalid option -- 'Y'"),
        (["--tim=5"], "option '--tim=5' is ambiguous; possibilities: '--time' '--time-min'"),
        (["--nod", "2"], "option '--nod' is ambiguous; possibilities: '--nodefile' '--nodelist' '--nodes'"),
        (["--b"], "option '--b' is ambiguous; possibilities: '--batch' '--begin' '--bb' '--bbf'"),
        (["--u"], "option '--u' is ambiguous; possibilities: '--uid' '--use-min-nodes' '--usage'"),
        (["--wrap"], "option '--wrap' requires an argument"),
        (["-n"], "option requires an argument -- 'n'"),
        (["--parsable=3"], "option '--parsable' doesn't allow an argument"),
    ],
)
def test_unreadable_options(slurm: FakeSlurm, tmp_path: Path, argv: list[str], text: str) -> None:
    assert sbatch(slurm, tmp_path, *argv) == CommandResult(255, "", f"sbatch: {text}\n{TRY}")


def test_options_are_read_as_getopt_does() -> None:
    table = [
        Option("format", "o", "required"),
        Option("jobs", "j", "optional"),
        Option("", "h"),
        Option("node", "", "required", key="nodes"),
        Option("nodes", "n", "required"),
    ]
    given, operands = parse_options("squeue", ["-hoX", "1", "-j5", "--jobs", "--nod", "n1", "--", "-h"], table)
    assert given == [("h", None), ("format", "X"), ("jobs", "5"), ("jobs", None), ("nodes", "n1")]
    assert operands == ["1", "-h"]
    assert parse_options("sbatch", ["-h", "a", "-h"], table, permute=False) == ([("h", None)], ["a", "-h"])
    with pytest.raises(UsageError, match=r"^sacct: invalid option -- 'Z'\n$"):
        parse_options("sacct", ["-Z"], table, suggest_help=False)


@pytest.mark.parametrize("release", ["22.05", "24.11"])
def test_the_table_has_every_option_of_the_release(release: str) -> None:
    known = {o.flag[2:] for o in OPTIONS.values() if o.since <= release and not (o.until and o.until <= release)}
    assert {option.identity for option in sbatch_options(release)} == known
    letters = [option.short for option in (*sbatch_options(release),) if option.short]
    assert len(set(letters)) == len(letters)
    srun_letters = [option.short for option in srun_options(release) if option.short]
    assert len(set(srun_letters)) == len(srun_letters)


# Options: values


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        *(
            ([f"--{name}={value}"], f"Invalid --{name} specification")
            for name, value in [
                ("time", "foo"),
                ("time", ""),
                ("time", " 5"),
                ("time", "5m"),
                ("time", "1:2:3:4"),
                ("mem", "foo"),
                ("mem", "-1"),
                ("mem", "1Q"),
                ("mem", "1.5G"),
                ("mem-per-cpu", "foo"),
                ("signal", "FOO"),
                ("signal", "B:USR1@xx"),
                ("signal", "TERM@65536"),
                ("mail-type", "foo"),
                ("open-mode", "x"),
                ("distribution", "foo"),
                ("exclusive", "foo"),
                ("kill-on-invalid-dep", "foo"),
                ("tmp", "foo"),
            ]
        ),
        (["-N", "foo"], '"foo" is not a valid node count'),
        (["-N", ""], '"" is not a valid node count'),
        (["-N", "1-2-3"], '"2-3" is not a valid node count'),
        (["-N", "2-1"], "Maximum node count 1 is less than minimum node count 2"),
        (["-N", "3-"], "Maximum node count -1 is less than minimum node count 3"),
        (
            ["-m", "plane"],
            "Invalid plane size or size not specified\nsbatch: error: Invalid --distribution specification",
        ),
    ],
)
def test_refused_values(slurm: FakeSlurm, tmp_path: Path, argv: list[str], text: str) -> None:
    assert sbatch(slurm, tmp_path, *argv, "--wrap=true") == CommandResult(255, "", f"sbatch: error: {text}\n")


@pytest.mark.parametrize("name", ["ntasks", "cpus-per-task", "ntasks-per-node", "mincpus", "threads-per-core"])
@pytest.mark.parametrize("value", ["0", "-1", "foo", "1.5", "", "3x"])
def test_refused_numbers(slurm: FakeSlurm, tmp_path: Path, name: str, value: str) -> None:
    text = f'sbatch: error: Invalid numeric value "{value}" for --{name}.\n'
    assert sbatch(slurm, tmp_path, f"--{name}={value}", "--wrap=true") == CommandResult(1, "", text)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--begin=foo"], "Invalid time specification (pos=0): foo\nsbatch: error: Invalid --begin specification\n"),
        (
            ["--deadline=foo"],
            "Invalid time specification (pos=0): foo\nsbatch: error: Invalid --deadline specification\n",
        ),
    ],
)
def test_refused_moments(slurm: FakeSlurm, tmp_path: Path, argv: list[str], text: str) -> None:
    assert sbatch(slurm, tmp_path, *argv, "--wrap=true") == CommandResult(255, "", text)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--mem=1G", "--mem-per-cpu=1G"], "fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive."),
        (["-w", "n1,n2", "-N1"], "error: invalid number of nodes (-N 2-1)"),
        (["-N1", "--gres=gpu:1"], "error: Invalid generic resource (gres) specification"),
        (["--gpus=1"], "error: Invalid generic resource (gres) specification"),
    ],
)
def test_refused_combinations(slurm: FakeSlurm, tmp_path: Path, argv: list[str], text: str) -> None:
    assert sbatch(slurm, tmp_path, *argv, "--wrap=true") == CommandResult(1, "", f"sbatch: {text}\n")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {"min_nodes": None, "ntasks": None, "requeue": None, "time_limit": None, "open_mode": None}),
        (["-N2"], {"min_nodes": 2, "max_nodes": 2}),
        (["-N2-4"], {"min_nodes": 2, "max_nodes": 4}),
        (["-N", "-3"], {"min_nodes": 1, "max_nodes": 3}),
        (["-N", "1k"], {"min_nodes": 1024, "max_nodes": 1024}),
        (["-N1", "-N3"], {"min_nodes": 3}),
        (["-n", " 3"], {"ntasks": 3}),
        (["-n", "+3"], {"ntasks": 3}),
        (["--tasks-per-node=2"], {"ntasks_per_node": 2}),
        (["--mem=1G"], {"mem_per_node": 1024}),
        (["--mem=1gb"], {"mem_per_node": 1024}),
        (["--mem=1025K"], {"mem_per_node": 2}),
        (["--mem-per-cpu=100"], {"mem_per_cpu": 100}),
        (["-t1:30"], {"time_limit": 2}),
        (["-t", "1-2:3:4"], {"time_limit": 1564}),
        (["-t", "0"], {"time_limit": 0}),
        (["-t", "INFINITE"], {"time_limit": 0}),
        (["-t", "-1"], {"time_limit": 0}),
        (["-t", "-4294967295"], {"time_limit": 1440}),
        (["-w", "n[2-3]"], {"nodelist": "n[2-3]", "min_nodes": 2}),
        (["-s", "--exclusive"], {"exclusive": True, "oversubscribe": False}),
        (["--exclusive", "-s"], {"exclusive": False, "oversubscribe": True}),
        (["--no-requeue"], {"requeue": False}),
        (["--no-requeue", "--requeue"], {"requeue": True}),
        (["--nice"], {"nice": 100}),
        (["--nice=-5"], {"nice": -5}),
        (["--nice=foo"], {"nice": 0}),
        (["--open-mode=a"], {"open_mode": "append"}),
        (["--signal=B:USR1@30"], {"signal": SignalSpec(10, 30, True)}),
        (["--comment=a b"], {"comment": "a b"}),
        (["-J", ""], {"name": ""}),
        (["-m", "cyclic"], {"distribution": "cyclic"}),
        (["-B", "1:*:1"], {"sockets_per_node": 1, "cores_per_socket": None, "threads_per_core": 1}),
        (["--mail-type=END,FAIL", "--mail-user=x@y"], {}),
        (["--begin=2030-01-31T12:00:00"], {"hold": True}),
    ],
)
def test_values_arrive(slurm: FakeSlurm, tmp_path: Path, argv: list[str], expected: Mapping[str, object]) -> None:
    description = described(slurm, tmp_path, *argv, "--wrap=true")
    assert {name: getattr(description, name) for name in expected} == expected


@pytest.mark.parametrize(
    "argv",
    [
        ["--container=x"],
        ["--uid=0"],
        ["--exclusive=user"],
        ["--export-file=x"],
        ["--switches=1"],
        ["--core-spec=1"],
        ["-t", "-5"],
        ["-t", "35791394"],
        ["--time-min=1"],
        ["--profile=all"],
        ["-m", "arbitrary"],
    ],
)
def test_what_is_not_carried_out_is_refused(slurm: FakeSlurm, tmp_path: Path, argv: list[str]) -> None:
    answer = sbatch(slurm, tmp_path, *argv, "--wrap=true")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith("sbatch: error: fakeslurm does not support --")
    assert slurm.jobs() == ()


def test_every_option_is_carried_out_or_refused(slurm: FakeSlurm, tmp_path: Path) -> None:
    """None is ignored in silence: an option without a handler says so, and nothing has happened."""
    for option in sbatch_options("22.05"):
        if option.identity in ("help", "usage", "version", "wait", "wrap"):
            continue
        value = [] if option.argument != "required" else ["="]
        answer = sbatch(slurm, tmp_path, f"--{option.name}{''.join(value)}", "-H", "--wrap=true")
        assert answer.returncode in (0, 1, 255), option.name
        assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("sigterm", 15),
        ("Usr1", 10),
        ("9", 9),
        ("99", 99),
        ("0", None),
        ("SEGV", None),
        ("", None),
        (" TERM", 15),
    ],
)
def test_signal_names(text: str, number: int | None) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["B:", "X:TERM", "TERM@5s", "TERM@-1", "B:0", "TERM@65536"])
def test_refused_signal_options(text: str) -> None:
    assert parse_signal_option(text) is None


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("TERM", SignalSpec(15)),
        ("RB:TERM", SignalSpec(15, batch=True)),
        ("R:TERM", SignalSpec(15)),
        ("B:TERM@", SignalSpec(15, batch=True)),
        ("TERM@0", SignalSpec(15, 0)),
    ],
)
def test_signal_options(text: str, spec: SignalSpec) -> None:
    assert parse_signal_option(text) == spec


# Scripts


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "Batch script is empty!"),
        (" \n\n", "Batch script contains only whitespace!"),
        (
            "echo hi\n",
            "This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh",
        ),
        (
            "#!/bin/sh\r\nexit 0\r\n",
            "Batch script contains DOS line breaks (\\r\\n)\nsbatch: error: instead of expected UNIX line breaks (\\n).",
        ),
        (
            "#!/bin/sh\n\0\n",
            "The Slurm controller does not allow scripts that\nsbatch: error: contain a NULL character '\\0'.",
        ),
    ],
)
def test_scripts_that_are_none(slurm: FakeSlurm, tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "x.sh").write_text(content, newline="")
    expected = CommandResult(1, "", f"sbatch: error: {text}\n")
    assert sbatch(slurm, tmp_path, "x.sh") == expected
    assert slurm.execute(["sbatch"], cwd=tmp_path, input=content) == expected


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["missing.sh"], "Unable to open file missing.sh"),
        ([""], "Unable to open file "),
        (["-"], "Unable to open file -"),
        (["."], "Batch script is empty!"),
        (["--wrap", "echo x", "ok.sh"], "Script arguments not permitted with --wrap option"),
    ],
)
def test_no_script(slurm: FakeSlurm, tmp_path: Path, script: Path, argv: list[str], text: str) -> None:
    assert sbatch(slurm, tmp_path, *argv) == CommandResult(1, "", f"sbatch: error: {text}\n")


def test_where_a_script_is_looked_for(slurm: FakeSlurm, tmp_path: Path, script: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "sub").mkdir()
    for place in ("bin/onpath.sh", "sub/insub.sh"):
        (tmp_path / place).write_text("#!/bin/sh\n")
    path = {"PATH": f"{tmp_path}/bin:/usr/bin"}
    assert described(slurm, tmp_path, "onpath.sh", **path).argv == (str(tmp_path / "bin/onpath.sh"),)
    assert described(slurm, tmp_path, "-D", "sub", "insub.sh").argv == (str(tmp_path / "sub/insub.sh"),)
    here = described(slurm, tmp_path, "./ok.sh", "a", "b c", "--bogus")
    assert here.argv == ("./ok.sh", "a", "b c", "--bogus")
    assert (here.name, here.work_dir, here.script) == ("ok.sh", str(tmp_path), script.read_bytes())


def test_script_from_standard_input(slurm: FakeSlurm, tmp_path: Path) -> None:
    answer = slurm.execute(["sbatch", "--parsable", "-H"], cwd=tmp_path, input="#!/bin/sh\n#SBATCH -N2\n")
    description = slurm._engine.controller.jobs[int(answer.stdout)].description
    assert (description.name, description.argv, description.min_nodes) == ("sbatch", (), 2)


def test_wrap(slurm: FakeSlurm, tmp_path: Path) -> None:
    description = described(slurm, tmp_path, "--wrap", "echo a; echo b")
    assert description.script == b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\necho a; echo b\n"
    assert (description.name, description.argv) == ("wrap", ())


# Precedence and directives


def test_command_line_beats_environment_beats_script(slurm: FakeSlurm, tmp_path: Path) -> None:
    path = tmp_path / "x.sh"
    path.write_text("#!/bin/sh\n#SBATCH -t 7 -J fromscript\n#SBATCH --comment='a b'\n")
    environ = {"SBATCH_TIMELIMIT": "11", "SBATCH_JOB_NAME": "fromenv"}
    plain = described(slurm, tmp_path, "x.sh")
    assert (plain.time_limit, plain.name, plain.comment) == (7, "fromscript", "a b")
    by_environment = described(slurm, tmp_path, "x.sh", **environ)
    assert (by_environment.time_limit, by_environment.name) == (11, "fromenv")
    assert described(slurm, tmp_path, "-t3", "x.sh", **environ).time_limit == 3
    leaked = described(slurm, tmp_path, "x.sh", SLURM_NTASKS="3", SLURM_NNODES="3", SLURM_TIMELIMIT="44")
    assert (leaked.ntasks, leaked.min_nodes, leaked.time_limit) == (None, None, 7)


def test_a_bad_value_in_the_environment(slurm: FakeSlurm, tmp_path: Path, script: Path) -> None:
    expected = CommandResult(255, "", "sbatch: error: Invalid --time specification\n")
    assert sbatch(slurm, tmp_path, "ok.sh", SBATCH_TIMELIMIT="foo") == expected


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("--bogus=3", 255, f"sbatch: unrecognized option '--bogus=3'\n{TRY}"),
        ("--time=foo", 255, "sbatch: error: Invalid --time specification\n"),
        ("positional", 255, "sbatch: error: Invalid directive found in batch script: positional\n"),
        ("--comment='unclosed", 1, "sbatch: fatal: x.sh: line 2: Unmatched `'` in [--comment='unclosed]\n"),
    ],
)
def test_bad_directives(slurm: FakeSlurm, tmp_path: Path, line: str, code: int, text: str) -> None:
    (tmp_path / "x.sh").write_text(f"#!/bin/sh\n#SBATCH {line}\n")
    assert sbatch(slurm, tmp_path, "x.sh") == CommandResult(code, "", text)


def test_wrap_among_the_directives_is_ignored(slurm: FakeSlurm, tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text("#!/bin/sh\n#SBATCH --wrap=true\n")
    assert described(slurm, tmp_path, "x.sh").script == b"#!/bin/sh\n#SBATCH --wrap=true\n"


# Answers


@pytest.mark.parametrize(
    ("argv", "stdout"),
    [
        ([], "Submitted batch job 1\n"),
        (["--parsable"], "1\n"),
        (["-Q"], ""),
        (["--quiet", "--parsable"], ""),
        (["-M", "fake"], "Submitted batch job 1 on cluster fake\n"),
        (["-M", "fake", "--parsable"], "1;fake\n"),
    ],
)
def test_answers(slurm: FakeSlurm, tmp_path: Path, script: Path, argv: list[str], stdout: str) -> None:
    assert sbatch(slurm, tmp_path, "-H", *argv, "ok.sh") == CommandResult(0, stdout, "")


def test_another_cluster(slurm: FakeSlurm, tmp_path: Path, script: Path) -> None:
    assert sbatch(slurm, tmp_path, "-M", "other", "ok.sh").stderr == (
        "sbatch: error: No cluster 'other' known by database.\n"
        "sbatch: error: 'other' can't be reached now, or it is an invalid entry for --cluster.  "
        "Use 'sacctmgr list clusters' to see available clusters.\n"
    )


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-p", "nope"], f"sbatch: error: invalid partition specified: nope\n{REFUSED}Invalid partition name specified\n"),
        (["-w", "n9"], f"{REFUSED}Invalid node name specified\n"),
        (["-C", "feat"], f"{REFUSED}Invalid feature specification\n"),
        (["-L", "lic"], f"{REFUSED}Invalid license specification\n"),
        (["--reservation=nope"], f"{REFUSED}Requested reservation is invalid\n"),
        (["--comment", "x" * 1025], f"{REFUSED}Pathname of a file, directory or other parameter too long\n"),
        (["-N1", "-n5"], f"{REFUSED}Requested node configuration is not available\n"),
        (["--mem=2001"], "sbatch: error: Memory specification can not be satisfied\n"
                         f"{REFUSED}Requested node configuration is not available\n"),
    ],
)  # fmt: skip
def test_refused_by_the_controller(slurm: FakeSlurm, tmp_path: Path, script: Path, argv: list[str], text: str) -> None:
    assert sbatch(slurm, tmp_path, *argv, "ok.sh") == CommandResult(1, "", text)


def test_versions(slurm: FakeSlurm, tmp_path: Path) -> None:
    assert sbatch(slurm, tmp_path, "--version").stdout == "slurm-wlm 22.05.8\n"
    assert sbatch(slurm, tmp_path, "-V").stdout == "slurm-wlm 22.05.8\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help(slurm: FakeSlurm, name: str) -> None:
    assert slurm.execute([name, "--help"]).returncode == 0


@pytest.mark.parametrize(("script_code", "code"), [("exit 0", 0), ("exit 5", 5), ("kill -9 $$", 1)])
def test_wait(slurm: FakeSlurm, tmp_path: Path, script_code: str, code: int) -> None:
    answer = sbatch(slurm, tmp_path, "--wait", "--parsable", "--wrap", script_code)
    assert answer == CommandResult(code, "1\n", "")


# File names


NAMES = FileNames(job_id=29, job_name="na me", user="root", host="vm")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("%j", "29"),
        ("%4j", "0029"),
        ("%12j", "0000000029"),
        ("%0j", "29"),
        ("%4x", "na me"),
        ("%4u", "root"),
        ("%N", "vm"),
        ("%q", "%q"),
        ("%5q", "5q"),
        ("end%", "end%"),
        ("e%5", "e5"),
        ("%%j", "%j"),
        ("\\%j", "%j"),
        ("a\\\\%j", "a\\%j"),
        ("%j\\", "%j"),
        ("a\\b", "ab"),
        ("%A.%a.%4a", "29.4294967294.4294967294"),
        ("%J", "29"),
        ("%5J", "00029"),
        ("%s%t%3t%n", "batch00000"),
        ("%S%b%r%h%c", "%S%b%r%h%c"),
        ("%-3j", "%-3j"),
    ],
)
def test_file_names_of_a_batch_script(pattern: str, name: str) -> None:
    assert expand(pattern, NAMES) == name


def test_file_names_of_a_step() -> None:
    names = FileNames(job_id=4, job_name="c.sh", user="root", host="vm", step="0", task=2, node=1)
    pattern = "so.p.%t.%n.%N.%j.%J.%s.%u.%x.%A.%a.%4t.%%"
    assert expand(pattern, names) == "so.p.2.1.vm.4.4.0.0.root.c.sh.4.4294967294.0002.%"
    assert is_per_task(pattern)
    assert not is_per_task("x.%j")
    assert not is_per_task("x.\\%t")


def test_file_names_of_an_array_element() -> None:
    names = FileNames(job_id=69, job_name="wrap", user="root", host="vm", array_job_id=68, array_task_id=3)
    assert expand("A%A_a%a_4a%4a_j%j_J%J", names) == "A68_a3_4a0003_j69_J69"


def test_file_names_of_24_11() -> None:
    names = FileNames(
        job_id=69, job_name="x", user="root", host="vm", array_job_id=68, array_task_id=13, release="24.11"
    )
    assert expand("%b%%%3b", names) == "3%003"


# scancel


def scancel(slurm: FakeSlurm, *argv: str) -> CommandResult:
    return slurm.execute(["scancel", *argv])


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ([], 1, "scancel: error: No job identification provided\n"),
        (["99999"], 0, ""),
        (["1,2"], 0, ""),
        (["99999_1"], 0, ""),
        (["1_[1-3]"], 0, ""),
        (["abc"], 1, "scancel: error: Invalid job id abc\n"),
        (["abc", "99999"], 1, "scancel: error: Invalid job id abc\n"),
        (["99999,abc"], 1, "scancel: error: Invalid job id abc\n"),
        (["-Q", "abc"], 1, "scancel: error: Invalid job id abc\n"),
        ([""], 1, "scancel: error: Invalid job id \n"),
        (["0"], 1, "scancel: error: Invalid job id 0\n"),
        (["99999.batch"], 1, "scancel: error: Invalid job id 99999.batch\n"),
        (["99999.0"], 1, "scancel: error: Kill job error on job step id 99999.0: Invalid job id specified\n"),
        (["-5"], 1, "scancel: invalid option -- '5'\nTry \"scancel --help\" for more information\n"),
        (["--c"], 1, "scancel: option '--c' is ambiguous; possibilities: '--ctld' '--cluster' '--clusters'\n"
                     'Try "scancel --help" for more information\n'),
        (["-v", "99999"], 0, "scancel: Terminating job 99999\n"
                             "scancel: error: Kill job error on job id 99999: Invalid job id specified\n"),
        (["-s", "USR1", "99999"], 1, "scancel: error: Kill job error on job id 99999: Invalid job id specified\n"),
        (["-Q", "-s", "USR1", "99999"], 1, ""),
        (["-s", "SEGV", "99999"], 1, "Unknown job signal: SEGV\n"),
        (["-s", "0", "99999"], 1, "Unknown job signal: 0\n"),
        (["-u", "nosuchuser"], 1, "scancel: error: Invalid user name: nosuchuser\n"),
        (["-t", "BOGUS"], 1, "Invalid job state specified: BOGUS\n"
                             "Valid job states are PENDING, RUNNING, and SUSPENDED\n"),
        (["-t", "R,PD"], 1, "Invalid job state specified: R,PD\n"
                            "Valid job states are PENDING, RUNNING, and SUSPENDED\n"),
        (["-t", "PD"], 0, ""),
        (["-n", "nosuch"], 0, ""),
        (["-p", "nope"], 0, ""),
        (["-w", "n9"], 0, ""),
        (["--me"], 0, ""),
        (["-i", "1"], 1, "scancel: error: fakeslurm does not support --interactive\n"),
    ],
)  # fmt: skip
def test_scancel_words(slurm: FakeSlurm, argv: list[str], code: int, text: str) -> None:
    assert scancel(slurm, *argv) == CommandResult(code, "", text)


def submit(slurm: FakeSlurm, tmp_path: Path, *argv: str) -> int:
    answer = sbatch(slurm, tmp_path, "--parsable", *argv)
    assert answer.returncode == 0, answer
    return int(answer.stdout)


def states(slurm: FakeSlurm) -> dict[int, str]:
    return {job.job_id: str(job.state) for job in slurm.jobs()}


def test_scancel_by_filter(slurm: FakeSlurm, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        submit(slurm, tmp_path, "-H", "-J", name, "--wrap=true")
    assert scancel(slurm, "-n", "two") == CommandResult(0, "", "")
    assert states(slurm) == {1: "PENDING", 2: "CANCELLED", 3: "PENDING"}
    assert scancel(slurm, "-n", "one", "3") == CommandResult(0, "", "")
    assert scancel(slurm, "-v", "-n", "one", "3").stderr.endswith(
        "scancel: error: No active jobs match ALL job filters, including: job_name=one \n"
    )
    assert states(slurm) == {1: "PENDING", 2: "CANCELLED", 3: "PENDING"}
    assert scancel(slurm, "-t", "R", "2").stderr == (
        "scancel: error: Kill job error on job id 2: Invalid job id specified\n"
    )
    assert scancel(slurm, "-t", "PENDING", "--me") == CommandResult(0, "", "")
    assert set(states(slurm).values()) == {"CANCELLED"}


def test_scancel_of_a_finished_job(slurm: FakeSlurm, tmp_path: Path) -> None:
    submit(slurm, tmp_path, "--wrap=true")
    slurm.wait_idle()
    assert scancel(slurm, "1") == CommandResult(0, "", "")
    assert scancel(slurm, "-v", "1").stderr == (
        "scancel: Terminating job 1\n"
        "scancel: error: Kill job error on job id 1: Job/step already completing or completed\n"
    )
    assert states(slurm) == {1: "COMPLETED"}


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("-t1 : -t2", "components of a heterogeneous job with different time limits"),
        ("--signal=USR1 : -n1", "--signal of a heterogeneous job"),
        ("-O : -n1", "--overcommit of a heterogeneous job"),
        (": -d singleton", "--dependency=singleton of a heterogeneous job"),
        ("-k : -n1", "--no-kill of a heterogeneous job"),
        ("-p debug,debug : -n1", "several partitions of a heterogeneous job"),
    ],
)
def test_what_is_not_exact_in_heterogeneous_jobs_is_refused(
    slurm: FakeSlurm, tmp_path: Path, options: str, what: str
) -> None:
    done = sbatch(slurm, tmp_path, *options.split(), "--wrap", "true")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sbatch: error: fakeslurm does not support {what}\n"


def test_options_behind_hetjob_are_refused(slurm: FakeSlurm, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n#SBATCH hetjob -n2\ntrue\n")
    refusal = "sbatch: error: fakeslurm does not support options behind hetjob\n"
    assert sbatch(slurm, tmp_path, "script") == CommandResult(1, "", refusal)
