"""Hostlists: examples measured on Slurm, properties, and the real scontrol as the judge of generated input."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeslurm import strategies
from slurmkit.slurm.hostlist import MAX_RANGE, HostlistError, compress, compress_sorted, expand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("n1", ["n1"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[9-11]", ["n9", "n10", "n11"]),
        ("n[08-10]", ["n08", "n09", "n10"]),
        ("n[1-2,2,1]", ["n1", "n2", "n2", "n1"]),
        ("n[1-2],m5,login", ["n1", "n2", "m5", "login"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("a[1-2]b[1-2]c[0]", ["a1b1c0", "a2b1c0", "a1b2c0", "a2b2c0"]),
        ("a,,b", ["a", "b"]),
        (" a, b", ["a", "b"]),
        ("n[1-2]-ib", ["n1-ib", "n2-ib"]),
        ("(null)", []),
        ("None assigned", []),
    ],
)
def test_expand(text: str, expected: list[str]) -> None:
    assert expand(text) == expected


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("n[1-2", 1, "never closed"),
        ("a,n[5-2]", 4, "runs backwards"),
        ("n[5-4]", 2, "runs backwards"),
        ("n[]", 2, "neither a number nor a range"),
        ("n[1,x]", 4, "neither a number nor a range"),
        ("n[1-2]]", 6, "']' without '['"),
        ("n[1[2]]", 3, "inside brackets"),
        (f"n[0-{MAX_RANGE}]", 2, "more than 65536 hosts"),
        ("a[1-65536]b[1-65536]", 0, "4294967296 hosts"),
        ("n[1-٣]", 2, "neither a number nor a range"),
    ],
)
def test_expand_refuses_and_says_where(text: str, position: int, problem: str) -> None:
    with pytest.raises(HostlistError, match=re.escape(problem)) as caught:
        expand(text)
    assert caught.value.position == position
    assert repr(text) in str(caught.value)


def test_the_largest_range_is_accepted() -> None:
    assert len(expand(f"n[0-{MAX_RANGE - 1}]")) == MAX_RANGE


def test_strict_expand_refuses_suffixes_as_22_05_does() -> None:
    with pytest.raises(HostlistError, match="after the last bracket"):
        expand("n[1-3]-ib", suffixes=False)
    assert expand("n[1-2]m[1]", suffixes=False) == ["n1m1", "n2m1"]


@pytest.mark.parametrize(
    ("text", "expected", "in_order"),
    [
        ("n8 n9 n10", "n[8-10]", "n[8-10]"),
        ("n08 n09 n10", "n[08-10]", "n[08-10]"),
        ("n08 n9 n10", "n[08,9-10]", "n[9-10,08]"),
        ("n3 n1 n2 n1", "n[3,1-2,1]", "n[1,1-3]"),
        ("n3 n4 n2 n1 n2 n3 n4", "n[3-4,2,1-4]", "n[1-2,2-3,3-4,4]"),
        ("node1 node2 node10", "node[1-2,10]", "node[1-2,10]"),
        ("a1b a2b", "a1b,a2b", "a1b,a2b"),
        ("a1-ib a2-ib", "a1-ib,a2-ib", "a1-ib,a2-ib"),
        ("n1", "n1", "n1"),
        ("n1 n2 m5 n3", "n[1-2],m5,n3", "m5,n[1-3]"),
        ("r10n1 r9n1 r9n2", "r10n1,r9n[1-2]", "r9n[1-2],r10n1"),
        ("", "", ""),
    ],
)
def test_compress(text: str, expected: str, in_order: str) -> None:
    assert compress(text.split()) == expected
    assert compress_sorted(text.split()) == in_order


@given(strategies.hosts())
def test_expand_undoes_compress(names: list[str]) -> None:
    assert expand(compress(names), suffixes=False) == names
    assert sorted(expand(compress_sorted(names))) == sorted(names)


@given(st.text())
def test_expand_of_any_text_gives_hosts_or_the_one_error(text: str) -> None:
    try:
        hosts = expand(text)
    except HostlistError as refusal:
        position = refusal.position
        hosts = []
    else:
        position = 0
    assert 0 <= position <= len(text)
    assert all(hosts)


@given(st.lists(st.text(st.characters(exclude_characters=", \t\n[]"), min_size=1)))
def test_compress_of_any_names_can_be_expanded(names: list[str]) -> None:
    if compress(names) not in {"(null)"}:
        assert expand(compress(names)) == names


# -- the real scontrol ------------------------------------------------------------------------------------------------


def ask_scontrol(verb: str, hostlists: Sequence[str], conf: Path) -> list[list[str]]:
    """The lines of ``scontrol show VERB HOSTLIST`` for each of `hostlists`; one process, no daemon, any slurm.conf."""
    end = "show hostnames END"
    script = "".join(f"show {verb} {text}\n{end}\n" for text in hostlists)
    # scontrol echoes what it reads, wrapped at the width of the terminal that it believes to have.
    environ = {**os.environ, "SLURM_CONF": str(conf), "COLUMNS": "32000", "TERM": "dumb"}
    done = subprocess.run(
        ["scontrol"], input=script, env=environ, text=True, capture_output=True, timeout=60, check=True
    )
    answers: list[list[str]] = []
    listening = False
    for line in done.stdout.split("\n"):
        if line == f"scontrol: {end}":
            listening = False
        elif line.startswith(f"scontrol: show {verb} "):
            listening = True
            answers.append([])
        elif listening and line:
            answers[-1].append(line)
    assert len(answers) == len(hostlists), done.stdout
    return answers


Ask = Callable[[str, Sequence[str]], list[list[str]]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    if shutil.which("scontrol") is None:
        pytest.skip("no scontrol on PATH (Debian package slurm-client): hostlists are not compared with the real one")
    conf = tmp_path_factory.mktemp("slurm") / "slurm.conf"
    conf.write_text("ClusterName=c\nSlurmctldHost=localhost\nNodeName=n1\nPartitionName=p Nodes=n1\n")
    return lambda verb, hostlists: ask_scontrol(verb, hostlists, conf)


@settings(max_examples=100, deadline=None)
@given(batch=st.lists(strategies.hosts(), min_size=10, max_size=30))
def test_compress_agrees_with_scontrol(ask: Ask, batch: list[list[str]]) -> None:
    texts = [",".join(names) for names in batch]
    assert [[compress(names)] for names in batch] == ask("hostlist", texts)
    for names, answer in zip(batch, ask("hostlistsorted", texts), strict=True):
        # Slurm 22.05 itself drops hosts when several of its ranges overlap in part: there is nothing to agree with.
        if sorted(expand(answer[0])) == sorted(names):
            assert [compress_sorted(names)] == answer


@settings(max_examples=100, deadline=None)
@given(batch=st.lists(strategies.hostlists(), min_size=10, max_size=30))
def test_expand_agrees_with_scontrol(ask: Ask, batch: list[str]) -> None:
    assert [expand(text, suffixes=False) for text in batch] == ask("hostnames", batch)


@settings(max_examples=30, deadline=None)
@given(batch=st.lists(strategies.hostlists(suffixes=True), min_size=10, max_size=30))
def test_suffixes_agree_with_scontrol(ask: Ask, batch: list[str]) -> None:
    """22.05 refuses a suffix and prints nothing on stdout; a release that expands it has to give what `expand` gives."""
    for text, answer in zip(batch, ask("hostnames", batch), strict=True):
        if answer:
            assert expand(text) == answer
        else:
            with pytest.raises(HostlistError):
                expand(text, suffixes=False)


def test_what_expand_refuses_is_nothing_that_scontrol_expands(ask: Ask) -> None:
    refused = ["n[5-2]", "n[]", "n[1,x]", "n[1-3x]", f"n[0-{MAX_RANGE}]"]
    assert ask("hostnames", refused) == [[] for _ in refused]
