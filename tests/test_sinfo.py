"""sinfo against what Slurm 22.05.8 printed. Where its backfill scheduler planned node n3 (``plnd``), the fake has it idle."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from query_golden import SETTINGS, controller, jobs, nodes, recorded, run

from fakeslurm.commands import sinfofields
from fakeslurm.model import Node, NodeRecord, Partition, Settings

HEADER = "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\n"


def sinfo(*arguments: str, environ: dict[str, str] | None = None, **replaced: Any) -> tuple[int, str, str]:
    reply = run(["sinfo", *arguments], controller(**replaced), environ=environ)
    return reply.returncode, reply.stdout, reply.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["sinfo", "-N"],
        ["sinfo", "-Nl"],
        ["sinfo", "-s"],
        ["sinfo", "-R"],
        ["sinfo", "-o", "%C"],
        ["sinfo", "-h", "-o", "%D %m %c %F"],
    ],
    ids=" ".join,
)
def test_recorded(argv: list[str]) -> None:
    now, stdout, stderr, code = recorded(*argv)
    stdout = stdout.replace("plnd", "idle").replace("planned", "   idle")
    reply = run(argv, controller(), now)
    assert reply.stdout == stdout
    assert (reply.stderr, reply.returncode) == (stderr, code)


@pytest.mark.parametrize("argv", [["sinfo"], ["sinfo", "-l"], ["sinfo", "-h", "-o", "%P|%a|%l|%D|%t|%N"]], ids=" ".join)
def test_recorded_groups(argv: list[str]) -> None:
    """The same lines; a planned node comes first, an idle one last."""
    now, stdout, _, _ = recorded(*argv)
    lines = stdout.splitlines()
    planned = next(line for line in lines if "n3" in line)
    lines.remove(planned)
    lines.append(planned.replace("plnd", "idle").replace("planned", "   idle"))
    assert run(argv, controller(), now).stdout.splitlines() == lines


def test_recorded_everything() -> None:
    """Every letter, node by node, but for what a real machine alone knows: addresses, load and free memory."""
    now, stdout, _, _ = recorded("sinfo", "-N", "-o", "%all")
    reply = run(["sinfo", "-N", "-o", "%all"], controller(), now)
    real, fake = ([line.split("|") for line in text.splitlines()] for text in (stdout, reply.stdout))
    assert fake[0] == real[0]
    header = [name.strip() for name in real[0]]
    unknown = {header.index(name) for name in ("FREE_MEM", "HOSTNAMES", "NODE_ADDR", "CPU_LOAD")}
    for fake_row, real_row in zip(fake[1:], real[1:], strict=True):
        words = [word.replace("plnd", "idle").replace("planned", "idle") for word in real_row]
        known = [index for index in range(len(header)) if index not in unknown]
        assert [fake_row[index] for index in known] == [words[index] for index in known]
    assert [fake[1][header.index(name)].strip() for name in ("FREE_MEM", "CPU_LOAD", "HOSTNAMES")] == [
        "N/A",
        "N/A",
        "n1",
    ]


_PARTITIONS = (
    Partition("debug", default=True),
    Partition("alpha", nodes=("n1", "n2"), max_time=60, default_time=5, min_nodes=1),
    Partition("zeta", nodes=("n3",), max_nodes=2, state="DOWN"),
    Partition("mid", nodes=("n2", "n4"), state="DRAIN"),
    Partition("ina", nodes=("n4",), state="INACTIVE"),
)


def _several(*arguments: str) -> str:
    """Of a cluster on which n1 is allocated, n2 mixed, n3 and n4 idle."""
    settings = Settings(partitions=_PARTITIONS)
    some = nodes()
    for name, cpus in (("n1", 4), ("n2", 1), ("n3", 0), ("n4", 0)):
        some[name].allocated_cpus, some[name].completing = cpus, set()
    code, out, err = sinfo(*arguments, settings=settings, nodes=some)
    assert (code, err) == (0, "")
    return out


def test_several_partitions() -> None:
    """As measured."""
    assert _several() == (
        f"{HEADER}"
        "debug*       up   infinite      1    mix n2\n"
        "debug*       up   infinite      1  alloc n1\n"
        "debug*       up   infinite      2   idle n[3-4]\n"
        "alpha        up    1:00:00      1    mix n2\n"
        "alpha        up    1:00:00      1  alloc n1\n"
        "zeta       down   infinite      1   idle n3\n"
        "mid       drain   infinite      1    mix n2\n"
        "mid       drain   infinite      1   idle n4\n"
        "ina       inact   infinite      1   idle n4\n"
    )
    assert _several("-s").splitlines()[1:] == [
        "debug*       up   infinite          2/2/0/4 n[1-4]",
        "alpha        up    1:00:00          2/0/0/2 n[1-2]",
        "zeta       down   infinite          0/1/0/1 n3",
        "mid       drain   infinite          1/1/0/2 n[2,4]",
        "ina       inact   infinite          0/1/0/1 n4",
    ]
    assert _several("-h", "-N", "-o", "%N %P %R").splitlines()[:5] == [
        "n1 debug* debug",
        "n1 alpha alpha",
        "n2 debug* debug",
        "n2 alpha alpha",
        "n2 mid mid",
    ]
    assert _several("-h", "-o", "%D %m %c %C") == "4 2000 4 5/11/0/16\n"
    assert _several("-h", "-o", "%N %c") == "n[1-4] 4\n"
    assert _several("-h", "-N", "-o", "%N") == "n1\n" * 2 + "n2\n" * 3 + "n3\n" * 2 + "n4\n" * 3
    assert _several("-h", "-p", "alpha,zeta,nope", "-o", "%R %a %l %s %L %N") == (
        "alpha up 1:00:00 1-infinite 5:00 n[1-2]\nzeta down infinite 1-2 n/a n3\n"
    )
    assert _several("-h", "-o", "%R %t %N", "-p", "ina") == "ina idle n4\n"


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ("alloc", "comp n1\nmix n[2,4]\n"),
        ("mix", "comp n1\nmix n[2,4]\n"),
        ("MIXED", "comp n1\nmix n[2,4]\n"),
        ("idle", "idle n3\n"),
        ("id", "idle n3\n"),
        ("comp", "comp n1\n"),
        ("drain,resv", ""),
        ("idle,comp", "comp n1\nidle n3\n"),
        ("all", "comp n1\nmix n[2,4]\nidle n3\n"),
    ],
)
def test_states(states: str, shown: str) -> None:
    if states == "drain,resv":
        states = "drain,reserved"
    assert sinfo("-h", "-t", states, "-o", "%t %N") == (0, shown, "")


def test_a_completing_job_holds_nodes_but_no_cpus() -> None:
    """Measured: a node with nothing but a completing job is IDLE+COMPLETING, counts as allocated and has all CPUs idle."""
    some, table = nodes(), jobs()
    some["n3"].jobs, some["n3"].allocated_cpus, some["n3"].completing = {13: 0b1111}, 4, {13}
    table[13].completing, table[13].nodes_left = True, ("n3",)
    formats = ["-h", "-n", "n3", "-o", "%t %T %C %A %F"]
    assert sinfo(*formats, nodes=some, jobs=table) == (0, "comp completing 0/4/0/4 1/0 1/0/0/1\n", "")
    report = run(["scontrol", "show", "node", "n3"], controller(nodes=some, jobs=table)).stdout
    assert "   State=IDLE+COMPLETING " in report
    assert "   CPUAlloc=0 " in report
    assert sinfo("-h", "-t", "idle", "-o", "%N", nodes=some, jobs=table)[1] == "n3\n"


def test_long_names_widen_their_columns() -> None:
    """Measured with a partition and a node of 22 characters."""
    settings = Settings(
        nodes=(Node("averyverylongnodename7"), Node("n1")),
        partitions=(Partition("debug", default=True), Partition("averylongpartitionname", nodes=("n1",))),
    )
    records = {node.name: NodeRecord(node=node, index=index) for index, node in enumerate(settings.nodes)}
    assert sinfo(settings=settings, nodes=records)[1].splitlines()[::2] == [
        "PARTITION              AVAIL  TIMELIMIT  NODES  STATE NODELIST",
        "averylongpartitionname    up   infinite      1   idle n1",
    ]
    assert sinfo("-N", settings=settings, nodes=records)[1].splitlines()[:3] == [
        "NODELIST                NODES              PARTITION STATE ",
        "averyverylongnodename7      1                 debug* idle  ",
        "n1                          1                 debug* idle  ",
    ]


def test_nodes_of_different_sizes() -> None:
    """A plus for "at least"; of the sizes asked for by node each its own."""
    settings = Settings(nodes=(Node("n1", 4, 2000), Node("n2", 8, 1000)))
    records = {node.name: NodeRecord(node=node, index=index) for index, node in enumerate(settings.nodes)}
    assert sinfo("-h", "-o", "%c %m %d %N", settings=settings, nodes=records)[1] == "4+ 1000+ 0 n[1-2]\n"
    assert sinfo("-h", "-N", "-o", "%c %m %N", settings=settings, nodes=records)[1] == "4 2000 n1\n8 1000 n2\n"
    assert sinfo("-h", "-o", "%n %c", settings=settings, nodes=records)[1] == "n1 4\nn2 8\n"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["-n", "n9"], (0, f"{HEADER}debug*       up   infinite      0    n/a \n", "")),
        (["-h", "-n", "n9", "-o", "%N %c"], (0, "", "")),
        (["-h", "-N", "-n", "n9"], (0, "", "")),
        (["-h", "-n", "n["], (0, "debug*       up   infinite      0    n/a \n", "")),
        (["-p", "nope"], (0, HEADER, "")),
        (["-h", "-n", "n[1,3]", "-o", "%N"], (0, "n[1,3]\n", "")),
        (["-h", "-o", "x%Py"], (0, "xdebug*y\n", "")),
        (["-h", "-o", "%.3P|%3P|%7P|"], (0, "de*|de*|debug* |\n", "")),
        (["-n", "n1", "-o", "%.4N|%.4n|%4n"], (0, "NODELIST|HOSTNAMES|HOST\n  n1|  n1|n1  \n", "")),
        (["-n", "n1", "-o", "%!"], (0, "%!\n%!\n", "Invalid node format specification: !\n")),
        (
            ["-n", "n1", "-O", "nodehost,statelong:,bogus:|"],
            (
                0,
                "HOSTNAMES           STATE|\nn1                  completing|\n",
                "sinfo: error: Invalid job format specification: bogus\n",
            ),
        ),
        (["-h", "-o", "%n", "-O", "nodelist:"], (0, "n[1-4]\n", "")),
        (
            ["-t", "bogus"],
            (
                1,
                "",
                'sinfo: error: Bad state string: "bogus"\nsinfo: error: valid states: unknown,down,idle,allocated,?,mixed,'
                "future,drain,drained,draining,no_respond,reserved,perfctrs,cloud,completing,powering_down,powered_down,"
                "power_down,powering_up,fail,maint,reboot,reboot^,unknown\n",
            ),
        ),
        (
            ["-l", "-o", "%n"],
            (
                1,
                "",
                "sinfo: fatal: Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry.\n",
            ),
        ),
        (["-T"], (0, "No reservations in the system\n", "")),
        (["-V"], (0, "slurm-wlm 22.05.8\n", "")),
        (["--bogus"], (1, "", "sinfo: unrecognized option '--bogus'\nTry \"sinfo --help\" for more information\n")),
        (["-h", "operand", "-o", "%D"], (0, "4\n", "")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers(arguments: list[str], answer: tuple[int, str, str]) -> None:
    assert sinfo(*arguments) == answer


def test_long_and_clusters_have_lines_above_the_header() -> None:
    assert sinfo("-l")[1].splitlines()[0] == "Mon Nov 23 21:15:58 2026"
    assert sinfo("-M", SETTINGS.cluster_name)[1].splitlines()[0] == "CLUSTER: throwaway"
    assert sinfo("-h", "-M", "all", "-o", "%D")[1] == "4\n"
    assert sinfo("-Rl")[1] == (
        "Mon Nov 23 21:15:58 2026\nREASON               USER         TIMESTAMP           STATE  NODELIST\n"
    )


def test_environment() -> None:
    assert sinfo("-h", environ={"SINFO_FORMAT": "%D"}) == (0, "4\n", "")
    assert sinfo("-h", "-o", "%N", environ={"SINFO_FORMAT": "%D"}) == (0, "n[1-4]\n", "")
    assert sinfo("-h", "-N", environ={"SINFO_FORMAT": "%D"})[1].startswith("n1  ")
    assert sinfo("-h", environ={"SINFO_PARTITION": "nope"}) == (0, "", "")


@pytest.mark.parametrize("letter", sorted(sinfofields.CATALOGUES["22.05"].letters))
def test_no_getter_is_missing(letter: str) -> None:
    code, out, err = sinfo("-h", "-N", "-o", f"%{letter}")
    assert (code, err, len(out.splitlines())) == (0, "", 4)


def test_every_field_has_its_getter() -> None:
    for name in [*sinfofields.CATALOGUES["22.05"].fields, "share"]:
        assert sinfo("-h", "-O", f"{name}:")[2] == ""


@pytest.mark.parametrize(
    "arguments",
    [["--json"], ["--yaml"], ["-v"], ["-i", "5"], ["-O", "Port"]],
    ids=lambda arguments: arguments[0],
)
def test_refused(arguments: list[str]) -> None:
    code, out, err = sinfo(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("sinfo: error: fakeslurm does not support ")


def test_memory_of_nodes() -> None:
    some = nodes()
    some["n2"].allocated_memory = 700
    settings = attrs.evolve(SETTINGS, memory_is_consumed=True)
    assert sinfo("-h", "-n", "n2", "-O", "allocmem:", nodes=some, settings=settings)[1] == "700\n"
    report = run(["scontrol", "show", "node", "n2"], controller(nodes=some, settings=settings)).stdout
    assert "   RealMemory=2000 AllocMem=700 " in report
    assert "   AllocTRES=cpu=1,mem=700M\n" in report
