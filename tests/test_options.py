"""sbatch's options: what is accepted, what is refused and how; and that text arrives at sbatch as it was given."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from slurmkit.errors import OptionError
from slurmkit.slurm.directives import DirectiveError, is_representable, parse_directive, parse_script, quote
from slurmkit.slurm.options import (
    OPTIONS,
    Kind,
    Option,
    filename_pattern,
    normalize,
    render_directives,
)

Normal = dict[str, str | Literal[True]]

USABLE = [option for option in OPTIONS.values() if not option.reserved]
FREE_TEXT = [option.name for option in USABLE if option.kind in (Kind.TEXT, Kind.LIST)]
NASTY = "\"'\\#:= \t\v\f\r%$`;|&<>()[]{}*?~!,.-_\x01\x7f\x85\xa0\u2028é日😀"
texts = st.text(st.one_of(st.sampled_from(NASTY), st.characters()), min_size=1)
names = st.sampled_from(FREE_TEXT)


def check(**options: object) -> Normal:
    return normalize(options, where="@task train")


def arguments(lines: list[str], *, escaped_space: bool = False) -> list[str]:
    script = "\n".join(["#!/bin/sh", *lines, "true"]).encode()
    return parse_script(script, escaped_space=escaped_space)


# -- normalize --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"job_name": "a b", "partition": None}, {"job_name": "a b"}),
        ({"ntasks": 4, "cpus_per_task": "2"}, {"ntasks": "4", "cpus_per_task": "2"}),
        ({"time": "00:10:00"}, {"time": "00:10:00"}),
        ({"time": 90}, {"time": "90"}),
        ({"time": timedelta(minutes=90)}, {"time": "01:30:00"}),
        ({"time": timedelta(days=1, seconds=1)}, {"time": "1-00:01:00"}),
        ({"time": "UNLIMITED"}, {"time": "UNLIMITED"}),
        ({"mem": "2G"}, {"mem": "2G"}),
        ({"mem": 512}, {"mem": "512"}),
        ({"nodes": "2-4"}, {"nodes": "2-4"}),
        ({"nodes": "1-15:4"}, {"nodes": "1-15:4"}),
        ({"nodes": "1k"}, {"nodes": "1k"}),
        ({"mail_type": ["BEGIN", "END"]}, {"mail_type": "BEGIN,END"}),
        ({"nodelist": ("n1", "n[2-3]")}, {"nodelist": "n1,n[2-3]"}),
        ({"chdir": PurePosixPath("/a b")}, {"chdir": "/a b"}),
        ({"hold": True, "contiguous": False}, {"hold": True}),
        ({"requeue": False}, {"no_requeue": True}),
        ({"no_requeue": False}, {"requeue": True}),
        ({"exclusive": True}, {"exclusive": True}),
        ({"exclusive": False}, {}),
        ({"exclusive": "user"}, {"exclusive": "user"}),
        ({"nice": -5}, {"nice": "-5"}),
        ({"nice": True}, {"nice": True}),
        ({"kill_on_invalid_dep": True}, {"kill_on_invalid_dep": "yes"}),
        ({"wait_all_nodes": False}, {"wait_all_nodes": "0"}),
        ({"oom_kill_step": 1}, {"oom_kill_step": "1"}),
        ({"begin": timedelta(hours=1)}, {"begin": "now+3600"}),
        ({"deadline": datetime(2031, 7, 1, 12)}, {"deadline": "2031-07-01T12:00:00"}),
        ({"core_spec": 0}, {"core_spec": "0"}),
    ],
)
def test_values_and_their_text(options: dict[str, object], expected: Normal) -> None:
    assert normalize(options, where="x") == expected
    assert normalize(expected, where="x") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ntask": 1}, "unknown option 'ntask'; did you mean 'ntasks'?"),
        ({"cpus-per-task": 1}, "did you mean 'cpus_per_task'?"),
        ({"Partition": "x"}, "did you mean 'partition'?"),
        ({"xyzzy": 1}, "unknown option 'xyzzy'; valid are sbatch's long options, with underscores for dashes"),
        ({"ntasks": 0}, "option 'ntasks' is 0; valid: a whole number of 1 or more"),
        ({"ntasks": True}, "option 'ntasks' is True; valid: a whole number of 1 or more"),
        ({"ntasks": "4 "}, "option 'ntasks' is '4 '"),
        ({"ntasks": 2**31}, "option 'ntasks' is 2147483648"),
        ({"nice": "abc"}, "option 'nice' is 'abc'; valid: a whole number, or True or False"),
        ({"time": "1h"}, "option 'time' is '1h'; valid: minutes, minutes:seconds"),
        ({"time": " 1"}, "option 'time' is ' 1'"),
        ({"time": -5}, "option 'time' is -5"),
        ({"time": timedelta(days=-1)}, "option 'time' is datetime.timedelta(days=-1)"),
        ({"time": 1.5}, "option 'time' is 1.5"),
        ({"mem": "1.5G"}, "option 'mem' is '1.5G'; valid: a number of megabytes"),
        ({"nodes": "4-2"}, "option 'nodes' is '4-2'; valid: a number of nodes, or a range MIN-MAX"),
        ({"nodes": 0}, "option 'nodes' is 0"),
        ({"open_mode": "x"}, "option 'open_mode' is 'x'; valid: one of 'append', 'truncate'"),
        ({"open_mode": True}, "option 'open_mode' is True"),
        ({"hold": "yes"}, "option 'hold' is 'yes'; valid: True or False"),
        ({"job_name": ""}, "option 'job_name' is empty"),
        ({"job_name": ["a"]}, "option 'job_name' is ['a']; valid: text"),
        ({"job_name": b"a"}, "option 'job_name' is b'a'"),
        ({"job_name": object}, "valid: text"),
        ({"job_name": "a\nb"}, "can carry no line break, NUL or lone surrogate"),
        ({"account": "a\0"}, "can carry no line break, NUL or lone surrogate"),
        ({"chdir": "/\udc80"}, "can carry no line break, NUL or lone surrogate"),
        ({"nodelist": ["n1", "n2,n3"]}, "option 'nodelist' is ['n1', 'n2,n3']; valid: text, or a list of texts"),
        ({"nodelist": []}, "option 'nodelist' is empty"),
        ({"nodelist": [["n1"]]}, "option 'nodelist' is [['n1']]"),
        ({"requeue": True, "no_requeue": True}, "option 'no_requeue' is True and contradicts 'requeue'"),
        ({"output": "x"}, "option 'output' cannot be set: it is written to the job directory: job.stdout()"),
        ({"array": "0-3"}, "use Cluster.map"),
        ({"wait": True}, "use job.wait()"),
        ({"begin": timedelta(seconds=-1)}, "option 'begin' is datetime.timedelta(days=-1, seconds=86399)"),
    ],
)
def test_refusals_say_what_where_and_why(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)) as caught:
        normalize(options, where="@task train")
    assert str(caught.value).startswith("@task train: ")


def test_an_option_of_slurmkit_itself_may_be_left_unset() -> None:
    assert check(output=None, wait=None) == {}


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_is_consistent() -> None:
    assert list(OPTIONS) == sorted(OPTIONS)
    letters = [option.short for option in OPTIONS.values() if option.short]
    assert len(letters) == len(set(letters))
    for option in OPTIONS.values():
        assert OPTIONS[option.name] is option
        assert bool(option.choices) == (option.kind is Kind.CHOICE)
        assert not option.opposite or OPTIONS[option.opposite].opposite == option.name


def test_variables_that_would_override_directives() -> None:
    assert OPTIONS["time"].env == ("SBATCH_TIMELIMIT",)
    assert OPTIONS["mem"].env == ("SBATCH_MEM_PER_NODE",)
    assert OPTIONS["hold"].env == ()
    assert "SLURM_CLUSTERS" in OPTIONS["clusters"].env


# -- rendering --------------------------------------------------------------------------------------------------------


def test_rendered_lines() -> None:
    lines = render_directives(check(job_name='a "b" \\ #c', mem="2G", hold=True, gres="gpu:a100:2"))
    assert lines == [
        '#SBATCH --job-name="a \\"b\\" \\\\ #c"',
        "#SBATCH --mem=2G",
        "#SBATCH --hold",
        "#SBATCH --gres=gpu:a100:2",
    ]


def test_options_of_slurmkit_itself_can_be_rendered() -> None:
    assert render_directives({"output": "/a b", "array": "0-3"}) == ['#SBATCH --output="/a b"', "#SBATCH --array=0-3"]


@pytest.mark.parametrize("value", ["a\nb", "\0", "\ud800"])
def test_render_refuses_what_no_line_can_carry(value: str) -> None:
    with pytest.raises(OptionError, match="'comment'"):
        render_directives({"comment": value})
    with pytest.raises(DirectiveError):
        quote(value)


def test_render_refuses_an_unknown_option() -> None:
    with pytest.raises(OptionError, match="unknown option 'jobname'"):
        render_directives({"jobname": "x"})


@settings(max_examples=500)
@given(st.dictionaries(names, texts, max_size=4), st.booleans())
@example({"job_name": "hetjob"}, False)
@example({"job_name": "\\ "}, True)
@example({"job_name": 'a"#b'}, False)
def test_any_text_in_any_option_arrives_unchanged_or_is_refused(options: dict[str, str], escaped_space: bool) -> None:
    try:
        normal = normalize(options, where="x")
    except OptionError:
        assert any(char in text for text in options.values() for char in "\n\0") or any(
            0xD800 <= ord(char) <= 0xDFFF for text in options.values() for char in text
        )
        return
    assert normal == options
    expected = [f"{OPTIONS[name].flag}={text}" for name, text in options.items()]
    assert arguments(render_directives(normal), escaped_space=escaped_space) == expected


@given(st.sampled_from(USABLE), st.one_of(texts, st.integers(), st.booleans(), st.lists(texts, max_size=3)))
def test_whatever_is_accepted_arrives_as_one_argument(option: Option, value: object) -> None:
    name = option.name
    try:
        normal = normalize({name: value}, where="x")
    except OptionError:
        return
    expected = [OPTIONS[key].flag + ("" if text is True else f"={text}") for key, text in normal.items()]
    assert arguments(render_directives(normal)) == expected
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        assert normal == {name: str(value)}


@pytest.mark.parametrize(
    ("path", "pattern"),
    [("/a/b", "/a/b"), ("/100%/%j", "/100%%/%%j"), ("/a\\b", "/a\\\\b"), ("/%\\j", "/%\\\\j")],
)
def test_patterns_that_name_one_file(path: str, pattern: str) -> None:
    assert filename_pattern(path) == pattern


# -- how sbatch reads directives --------------------------------------------------------------------------------------

SPLIT = [
    ("#SBATCH --a  b\t--c", ["--a", "b", "--c"]),
    ("#SBATCH--a", ["--a"]),
    ("#SLURM --a", ["--a"]),
    (" #SBATCH --a", []),
    ("# SBATCH --a", []),
    ("#sbatch --a", []),
    ("##SBATCH --a", []),
    ("#SBATCH", []),
    ("#SBATCH --a='x y'", ["--a=x y"]),
    ("#SBATCH '--a=x y'", ["--a=x y"]),
    ("#SBATCH x\"y z\"'w'", ["xy zw"]),
    ('#SBATCH --a="x \'y"', ["--a=x 'y"]),
    ('#SBATCH --a="x\\"y"', ['--a=x"y']),
    ("#SBATCH --a='x\\'y'", ["--a=x'y"]),
    ("#SBATCH --a=x\\\\y", ["--a=x\\y"]),
    ("#SBATCH \\a\\n", ["an"]),
    ("#SBATCH --a=x\\", ["--a=x"]),
    ("#SBATCH --a=x#y --b", ["--a=x"]),
    ('#SBATCH --a="x#y" --b', ["--a=x#y", "--b"]),
    ("#SBATCH --a=x\\#y", ["--a=x#y"]),
    ("#SBATCH # 'comment", []),
    ("#SBATCH --a '' --b", ["--a"]),
    ("#SBATCH --a=''", ["--a="]),
    ("#SBATCH --a hetjob --b", ["--a"]),
    ('#SBATCH --a "hetjob" --b', ["--a", "hetjob", "--b"]),
    ("#SBATCH --a=:x", ["--a=:x"]),
    ("#SBATCH --a=x\xa0y", ["--a=x\xa0y"]),
]


@pytest.mark.parametrize(("line", "expected"), SPLIT)
def test_how_a_line_is_split(line: str, expected: list[str]) -> None:
    assert parse_directive(line) == expected


def test_a_backslash_before_a_space_keeps_it_in_24_11_only() -> None:
    assert parse_directive("#SBATCH --a=x\\ y\\\tz") == ["--a=x", "y", "z"]
    assert parse_directive("#SBATCH --a=x\\ y\\\tz", escaped_space=True) == ["--a=x y", "z"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('#SBATCH --a="x', 'Unmatched `"` in [--a="x]'),
        ("#SBATCH --a 'x", "Unmatched `'` in [ 'x]"),
        ("#SBATCH :", "Unexpected `:` in [:]"),
        ("#SBATCH --a : --b", "Unexpected `:` in [ : --b]"),
    ],
)
def test_lines_that_are_fatal(line: str, problem: str) -> None:
    with pytest.raises(DirectiveError) as caught:
        parse_script(f"#!/bin/sh\n#SBATCH --x\n{line}\n".encode())
    assert caught.value.problem == problem
    assert str(caught.value) == f"line 3: {problem}"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"#!/bin/sh\n#SBATCH --a\n\n\t \n# c\n   # d\n#SBATCH --b\ntrue\n#SBATCH --c\n", ["--a", "--b"]),
        (b"#!/bin/sh #SBATCH --x\n#SBATCH --a", ["--a"]),
        (b"#!/bin/sh\n:\n#SBATCH --a", []),
        (b"#!/bin/sh\n#SBATCH --a\n#SBATCH hetjob\n#SBATCH --b\n", ["--a"]),
        (b"#!/bin/sh\n#SBATCH --a=\xff\n", ["--a=\udcff"]),
        (b"", []),
    ],
)
def test_which_lines_of_a_script_count(script: bytes, expected: list[str]) -> None:
    assert parse_script(script) == expected


@given(st.binary())
def test_any_script_gives_arguments_or_the_one_error(script: bytes) -> None:
    try:
        found = parse_script(script)
    except DirectiveError:
        found = []
    assert all(found)


# -- the real sbatch --------------------------------------------------------------------------------------------------


def ask_sbatch(script: bytes, conf: Path) -> tuple[list[str], str]:
    """What sbatch finds in the directives of `script`, and the error with which it gives up on them, if any.

    Needs no daemon: an environment variable with a wrong value ends sbatch when it has read the script and before it
    would call the controller.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SBATCH_", "SLURM_"))}
    environ |= {"SLURM_CONF": str(conf), "SBATCH_TIMELIMIT": "wrong"}
    done = subprocess.run(["sbatch", "-vvvvv"], input=script, env=environ, capture_output=True, timeout=60, check=False)
    text = done.stderr.decode("utf-8", "surrogateescape")
    found = re.findall(r'^sbatch: debug2: Found in script, argument "(.*?)"\n(?=sbatch: |\Z)', text, re.M | re.S)
    fatal = re.search(r"^sbatch: fatal: stdin: (.*?)\n(?=sbatch: |\Z)", text, re.M | re.S)
    assert "Invalid --time specification" in text or fatal or "nvalid" in text or "nrecognized" in text, text
    return found, fatal[1] if fatal else ""


Ask = Callable[[bytes], tuple[list[str], str]]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("sbatch") is None:
        pytest.skip("no sbatch on PATH (Debian package slurm-client): directives are not compared with the real one")
    path = tmp_path_factory.mktemp("slurm") / "slurm.conf"
    path.write_text("ClusterName=c\nSlurmctldHost=localhost\nNodeName=n1\nPartitionName=p Nodes=n1\n")
    return path


@pytest.fixture(scope="module")
def ask(conf: Path) -> Ask:
    return lambda script: ask_sbatch(script, conf)


@pytest.fixture(scope="module")
def escaped_space(conf: Path) -> bool:
    """Whether the sbatch on PATH keeps an escaped space: 22.05 does not, 24.11 does; releases between are not known."""
    environ = {**os.environ, "SLURM_CONF": str(conf)}
    answer = subprocess.run(["sbatch", "--version"], env=environ, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", answer)
    assert found, answer
    return (int(found[1]), int(found[2])) > (22, 5)


@settings(max_examples=400, deadline=None)
@given(values=st.lists(texts, min_size=1, max_size=8))
def test_the_real_sbatch_reads_every_value_as_it_was_given(ask: Ask, values: list[str]) -> None:
    assume(all(map(is_representable, values)))
    lines = [line for value in values for line in render_directives({"comment": value})]
    found, fatal = ask("\n".join(["#!/bin/sh", *lines, "true", ""]).encode())
    assert found == [f"--comment={value}" for value in values]
    assert not fatal


PIECES = [
    "a",
    "b",
    "--x",
    " ",
    "  ",
    "\t",
    "\v",
    '"',
    "'",
    "\\",
    "#",
    ":",
    "=",
    "é",
    "%",
    '"y z"',
    "'q r'",
    '\\"',
    "\\\\",
]
COMPONENTS = ["hetjob", "packjob", " hetjob", "hetjob ", " hetjob ", "hetjobs"]
pieces = st.sampled_from([*PIECES, *COMPONENTS])
starts = st.sampled_from(["#SBATCH "] * 6 + ["#SBATCH", "#SLURM ", " #SBATCH ", "# ", "", "\t"])
lines = st.builds(lambda start, parts: start + "".join(parts), starts, st.lists(pieces, max_size=9))


@settings(max_examples=400, deadline=None)
@given(script=st.lists(lines, min_size=1, max_size=4))
def test_directives_are_split_as_the_real_sbatch_splits_them(ask: Ask, escaped_space: bool, script: list[str]) -> None:
    text = "\n".join(["#!/bin/sh", *script, ""]).encode()
    found, fatal = ask(text)
    if fatal:
        with pytest.raises(DirectiveError) as caught:
            parse_script(text, escaped_space=escaped_space)
        assert str(caught.value) == fatal
    else:
        assert parse_script(text, escaped_space=escaped_space) == found
