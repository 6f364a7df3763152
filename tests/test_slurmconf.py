"""Lines of slurm.conf: read, and made into the configuration of a fake."""

from __future__ import annotations

import re

import pytest

from fakeslurm import FakeSlurm
from fakeslurm.conflines import Setting, read_conf
from fakeslurm.model import Node, Partition
from fakeslurm.slurmconf import configured

FOUR = tuple(Node(f"n{number}") for number in range(1, 5))
DEBUG = Partition("debug", default=True)


def test_lines_are_taken_apart() -> None:
    conf = read_conf(
        [
            "# a comment",
            "",
            "ClusterName = one KillWait=7 # seconds",
            "minjobage=3",
            "MinJobAge=4",
            "NodeName=DEFAULT CPUs=8",
            "NodeName=a[1-2] RealMemory=100",
            'NodeName=a2 State=DOWN Reason="no power"',
            "PartitionName=p Nodes=a1 MaxTime=5",
            "PartitionName=p Nodes=ALL",
            "NodeSet=s Feature=fast",
        ]
    )
    assert {key: str(setting) for key, setting in conf.parameters.items()} == {
        "clustername": "ClusterName=one",
        "killwait": "KillWait=7",
        "minjobage": "MinJobAge=4",
    }
    assert {name: [str(one) for one in attributes.values()] for name, attributes in conf.nodes.items()} == {
        "a1": ["CPUs=8", "RealMemory=100"],
        "a2": ["CPUs=8", "RealMemory=100", "State=DOWN", 'Reason="no power"'],
    }
    assert conf.partitions == {"p": {"nodes": Setting("Nodes", "ALL")}}
    assert conf.others == ["NodeSet=s Feature=fast"]


@pytest.mark.parametrize("line", ["MinJobAge", "Min Job=3", "NodeName=n1 fast", "NodeName=n[1-2"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"conf: {line!r}")):
        read_conf([line])


def test_one_string_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a sequence of lines"):
        read_conf("MinJobAge=3")


def test_lines_say_what_the_cluster_is() -> None:
    settings = configured(
        [
            "ClusterName=big",
            "KillWait=30",
            "JobRequeue=0",
            "SelectTypeParameters=CR_Core_Memory",
            "AccountingStorageType=accounting_storage/none",
            "NodeName=c[1-2] CPUs=64 RealMemory=1000",
            "NodeName=d1",
            "PartitionName=long Nodes=c[1-2] MaxTime=7-0 DefaultTime=1:00:00 MaxNodes=UNLIMITED Default=YES",
            "PartitionName=all Nodes=ALL State=DOWN Default=yes",
        ]
    )
    assert (settings.cluster_name, settings.kill_wait, settings.requeue) == ("big", 30, False)
    assert (settings.memory_is_consumed, settings.accounting) == (True, False)
    assert settings.nodes == (Node("c1", 64, 1000), Node("c2", 64, 1000), Node("d1", 1, 1))
    assert settings.partitions == (
        Partition("long", nodes=("c1", "c2"), max_time=7 * 24 * 60, default_time=60, default=False),
        Partition("all", state="DOWN", default=True),
    )


def test_lines_change_what_is_given() -> None:
    settings = configured(
        ["NodeName=n[1-2] CPUs=8", "PartitionName=high Nodes=n[1-2]", "PartitionName=debug Nodes=n3"], FOUR, [DEBUG]
    )
    assert settings.nodes == (Node("n1", 8), Node("n2", 8), Node("n3"), Node("n4"))
    assert settings.partitions == (Partition("debug", nodes=("n3",)), Partition("high", nodes=("n1", "n2")))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Bogus=1", "conf: Bogus=1: fakeslurm does not carry out Bogus; valid are ClusterName, KillWait,"),
        ("MinJobAgee=1", "conf: MinJobAgee=1: fakeslurm does not carry out MinJobAgee; did you mean MinJobAge?"),
        ("KillWait=soon", "conf: KillWait=soon: fakeslurm does not carry out this value; expected a whole number of 0 or more"),
        ("SelectType=select/linear", "SelectType=select/linear: fakeslurm does not carry out this value; expected select/cons_tres"),
        ("NodeName=n1 CPUs=0", "conf: NodeName=n1 CPUs=0: fakeslurm does not carry out this value; expected a whole number of 1 or"),
        ("NodeName=n1 Weight=3", "conf: NodeName=n1 Weight=3: fakeslurm does not carry out Weight; valid are CPUs, RealMemory,"),
        ("NodeName=m1", "conf: NodeName=m1: there is no such node; nodes are n1, n2, n3, n4"),
        ("PartitionName=p", "conf: PartitionName=p: Nodes is missing; expected node names or ALL"),
        ("PartitionName=p Nodes=n9", "partition 'p': node 'n9' does not exist; nodes are n1, n2, n3, n4"),
        ("PartitionName=p Nodes=n1 MaxTime=x", "conf: PartitionName=p MaxTime=x: fakeslurm does not carry out this value; expected minutes"),
        ("Include other.conf=1", "is not a line of slurm.conf"),
        ("NodeSet=s Nodes=n1", "conf: fakeslurm does not carry out 'NodeSet=s Nodes=n1'; valid are"),
    ],
)  # fmt: skip
def test_what_is_not_carried_out_is_refused(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        configured([line], FOUR, [DEBUG])


def test_fake_slurm_takes_lines() -> None:
    lines = ["NodeName=c[1-3] CPUs=2 RealMemory=100", "PartitionName=p Nodes=c[2-3] Default=YES"]
    with FakeSlurm(conf=lines) as slurm:
        assert slurm.execute(["sinfo", "-h", "-o", "%P %N %c %m"]).stdout == "p* c[2-3] 2 100\n"
    with FakeSlurm(cpus_per_node=3, conf=["NodeName=n1 CPUs=8"]) as slurm:
        assert [node.cpus for node in slurm.settings.nodes] == [8, 3, 3, 3]
    with pytest.raises(ValueError, match="conf: Bogus=1"):
        FakeSlurm(conf=["Bogus=1"])
