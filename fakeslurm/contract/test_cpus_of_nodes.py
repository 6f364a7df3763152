"""How many CPUs of which nodes a job gets, and what no node can give: what ``sbatch --test-only`` says on idle nodes.

Measured on 22.05.8 and 24.11.5: docs/measured/resources.md.
"""

from __future__ import annotations

import re

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason

REFUSED = "allocation failure: Requested node configuration is not available"


def forecast(slurm: SlurmUnderTest, options: str) -> str:
    """CPUs and nodes, or what is said instead."""
    said = slurm.run("sbatch", "--test-only", *options.split(), "--wrap=true").stderr.strip()
    found = re.search(r"using (\d+) processors on nodes (\S+)", said)
    return f"{found[1]} {found[2]}" if found else said


@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        # Nodes of 4 CPUs have to have room for all tasks that may be there.
        ("-n1 --ntasks-per-node=4", "1 n1", "1 n1"),
        ("-n1 --ntasks-per-node=5", REFUSED, REFUSED),
        ("-n1 -c2 --ntasks-per-node=3", REFUSED, REFUSED),
        ("-n1 -c2 --ntasks-per-node=3 --exclusive", REFUSED, REFUSED),
        ("--overcommit --ntasks-per-node=4", "1 n1", "1 n1"),
        ("--overcommit --ntasks-per-node=5", REFUSED, REFUSED),
        ("--overcommit -c2 --ntasks-per-node=3", REFUSED, REFUSED),
        ("--ntasks-per-core=2 -c2", "2 n1", "2 n1"),
        ("--ntasks-per-core=2 -c3", REFUSED, REFUSED),
        ("--ntasks-per-core=2 -c3 --overcommit", "3 n1", "3 n1"),
        ("--ntasks-per-core=5", REFUSED, REFUSED),
        # Tasks per node say how many nodes there have to be, also where CPUs do not limit the tasks of a node.
        ("-n6 --ntasks-per-node=2 --exclusive", "12 n[1-3]", "12 n[1-3]"),
        ("-n6 --ntasks-per-node=2 --overcommit", "3 n[1-3]", "3 n[1-3]"),
        ("-N2 -n8 --ntasks-per-node=2 --exclusive", REFUSED, REFUSED),
        ("-N2 -n8 --ntasks-per-node=2 --overcommit", REFUSED, REFUSED),
        # Sockets are tasks where the number of nodes is not open.
        ("--sockets-per-node=2", "1 n1", "1 n1"),
        ("--sockets-per-node=2 -N1", "2 n1", "2 n1"),
        ("--sockets-per-node=2 -w n1,n2", "4 n[1-2]", "4 n[1-2]"),
        ("--sockets-per-node=2 -N1-2", "2 n[1-2]", "2 n[1-2]"),
        ("--sockets-per-node=2 -w n1 -c2", "4 n1", "4 n1"),
        ("--sockets-per-node=2 -N1 --ntasks-per-node=1", "1 n1", "1 n1"),
        # --mincpus: 24.11 gives them only where the number of tasks is not said, and looks at whole tasks.
        ("--mincpus=3", "3 n1", "3 n1"),
        ("--mincpus=3 -n1", "3 n1", "1 n1"),
        ("--mincpus=3 -n5", "6 n[1-2]", "5 n[1-2]"),
        ("--mincpus=3 -N1-4 -n6", "12 n[1-4]", "6 n[1-4]"),
        ("--mincpus=4 -c2 -n1", "4 n1", "2 n1"),
        ("--mincpus=4 -c2", "4 n1", "4 n1"),
        ("--mincpus=4 -c3", "3 n1", REFUSED),
        ("--mincpus=4 -c3 --exclusive", "4 n1", REFUSED),
        ("--mincpus=3 --ntasks-per-node=2", "3 n1", REFUSED),
        ("--mincpus=2 --ntasks-per-node=1 -N2", "4 n[1-2]", REFUSED),
        ("--mincpus=3 -n3 --ntasks-per-node=2", "6 n[1-2]", REFUSED),
        ("--mincpus=2 -n1 --ntasks-per-node=2", "2 n1", "1 n1"),
        ("--mincpus=4 -n1 --ntasks-per-node=1 -c2", "2 n1", REFUSED),
        ("--mincpus=3 -n1 --ntasks-per-node=2 -c2", "3 n1", "2 n1"),
    ],
)
def test_cpus_and_nodes(slurm: SlurmUnderTest, options: str, old: str, new: str) -> None:
    slurm.wait_idle()
    assert forecast(slurm, options) == (new if slurm.at_least("24.11") else old)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-n4 -w n2", "4 n2"),
        ("-n5 -w n2", REFUSED),
        ("-N2 -w n2", REFUSED),
        ("-N2-4 -w n1,n2", "2 n[1-2]"),
        ("--spread-job -n3 -w n2", "3 n2"),
        ("-n5 -w n2 --overcommit", "1 n2"),
    ],
)
def test_only_the_listed_nodes_are_looked_at(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """By --test-only: a job gets others as well."""
    slurm.wait_idle()
    assert forecast(slurm, options) == expected


@pytest.mark.parametrize(
    ("options", "is_explained"),
    [
        ("--ntasks-per-node=5", True),
        ("--ntasks-per-core=1 --ntasks-per-node=5", True),
        ("--ntasks-per-core=2 --ntasks-per-node=5", False),
        ("--ntasks-per-core=2 --ntasks-per-node=9", True),
        ("--ntasks-per-core=2 -c5", False),
        ("--ntasks-per-core=2 --mincpus=5", False),
        ("--ntasks-per-node=5 -n1", False),
    ],
)
def test_what_no_node_has(slurm: SlurmUnderTest, options: str, is_explained: bool) -> None:
    done = slurm.run("sbatch", *options.split(), "--wrap=true")
    lines = ["CPU count per node can not be satisfied"] if is_explained else []
    lines.append("Batch job submission failed: Requested node configuration is not available")
    assert (done.returncode, done.stderr) == (1, "".join(f"sbatch: error: {line}\n" for line in lines))


@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        ("-n5 --ntasks-per-node=2", "2 5", "3 5"),
        ("-n6 --ntasks-per-node=2 --overcommit", "3 1", "3 1"),
        ("-n17 --ntasks-per-core=2", "3 17", "3 17"),
        ("-N5 --sockets-per-node=2", "5 10", "5 10"),
        ("-n9 --ntasks-per-core=4", "1 9", "1 9"),
        ("-n9 --ntasks-per-core=2 -c2", "5 18", "4 18"),
    ],
)
def test_nodes_and_cpus_of_a_job_that_waits(slurm: SlurmUnderTest, options: str, old: str, new: str) -> None:
    job_id = slurm.sbatch("true", "--hold", *options.split())
    found = slurm.run("squeue", "-h", "-j", job_id, "-O", "NumNodes:.6,NumCPUs:.6").stdout
    assert " ".join(found.split()) == (new if slurm.at_least("24.11") else old)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-n5 --ntasks-per-node=2", "cpu=5,mem=30M,node=3,billing=5"),
        ("-n5 --ntasks-per-node=2 --overcommit", "cpu=1,mem=30M,node=3,billing=1"),
        ("-n17 --ntasks-per-node=4", "cpu=17,mem=50M,node=5,billing=17"),
        ("-n6 --ntasks-per-node=2 -w n1", "cpu=6,mem=10M,node=1,billing=6"),
        ("-N1-4 -n5 --ntasks-per-node=2", "cpu=5,mem=10M,node=1,billing=5"),
    ],
)
def test_nodes_asked_for_by_tasks_per_node(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """24.11 shows them; without --nodes and --nodelist they are as many as the tasks need."""
    if slurm.at_least("24.11"):
        job_id = slurm.sbatch("true", "--hold", "--mem=10", *options.split())
        assert (slurm.show(job_id) or {})["ReqTRES"] == expected


def test_tasks_per_socket_take_the_last_cpus(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    job_id = slurm.sbatch("sleep 60", "-n5", "--ntasks-per-socket=1")
    slurm.wait(job_id, ["RUNNING"])
    shown = slurm.run("scontrol", "-d", "show", "job", job_id).stdout
    slurm.run("scancel", job_id)
    assert re.findall(r"Nodes=(\S+) CPU_IDs=(\S+)", shown) == [("n1", "0-3"), ("n2", "3")]


def test_a_node_needs_as_many_free_cpus_as_sockets(slurm: SlurmUnderTest) -> None:
    """Each CPU of these nodes is a socket. A job of one CPU that asks for two sockets does not start where one is free."""
    slurm.sbatch("sleep 30", "-n3", "-w", "n1")
    job_id = slurm.sbatch("true", "--sockets-per-node=2")
    assert slurm.wait(job_id)["NodeList"] == "n2"


NEVER = {
    "-n2 -c1": True,
    "-N2 -n3 -c1": True,
    "--ntasks-per-node=2 -c1": True,
    "--exclusive -n5 -c1": True,
    "--exclusive -N2 -n5 -c1": False,
    "-N2 -n2 -c2": False,
    "-N2-4 -n4 -c1": False,
    "--ntasks-per-node=2 -c2 -N1-2": True,
    "--ntasks-per-node=2 -c2 --spread-job": True,
    "--ntasks-per-node=1 -c2 -N1-2": False,
    "--ntasks-per-node=2 -c2 -N1-2 --exclusive": False,
    "--ntasks-per-node=2 -c2 -N1-4 -n4": False,
    "--ntasks-per-node=2 -c2 -N1-4 -n4 --use-min-nodes": True,
    "--ntasks-per-node=2 -c2 -N1-4 -n6 --use-min-nodes --exclusive": False,
    "-c2 -N1-3 -n3": False,
    "-c2 -N1-3 -n3 --use-min-nodes": True,
    "-c2 -N1-3 --use-min-nodes": False,
}
"""Whether with --overcommit it never starts."""


@pytest.mark.parametrize("options", NEVER)
def test_overcommit_of_tasks_that_say_their_cpus(slurm: SlurmUnderTest, options: str) -> None:
    """Since 24.11 it gets the CPUs of one task on each node, and waits for ever if they are more."""
    job_id = slurm.sbatch("true", "-O", *options.split())
    if slurm.at_least("24.11") and NEVER[options]:
        wait_for_reason(slurm, job_id, "Resources")
        slurm.wait(slurm.sbatch("true"), ["COMPLETED"])  # it holds up nobody
        assert slurm.wait(job_id, ["PENDING"])["Reason"] == "Resources"
        slurm.run("scancel", job_id)
    else:
        slurm.wait(job_id, ["COMPLETED"])


@pytest.mark.parametrize(("options", "is_possible"), [("-n1 -c2", False), ("-n1 -c1", True), ("-N2 -n3 -c2", True)])
def test_tasks_that_an_update_counts(slurm: SlurmUnderTest, options: str, is_possible: bool) -> None:
    """Since 24.11 it counts those of --ntasks-per-node, with a CPU for each; where they need more the job waits for ever."""
    job_id = slurm.sbatch("true", "--hold", "--ntasks-per-node=2", *options.split())
    slurm.run("scontrol", "update", f"jobid={job_id}", "Comment=c")
    slurm.run("scontrol", "release", job_id)
    if is_possible or not slurm.at_least("24.11"):
        slurm.wait(job_id, ["COMPLETED"])
    else:
        wait_for_reason(slurm, job_id, "Resources")
        slurm.wait(slurm.sbatch("true"), ["COMPLETED"])
        assert slurm.wait(job_id, ["PENDING"])["Reason"] == "Resources"
        slurm.run("scancel", job_id)


@pytest.mark.parametrize(
    ("options", "busy", "fits"),
    [
        ("--ntasks-per-core=3", 1, True),
        ("--ntasks-per-core=3", 2, False),
        ("--ntasks-per-core=3 --ntasks-per-node=2", 2, True),
        ("--ntasks-per-core=3 --ntasks-per-node=2", 3, False),
        ("--ntasks-per-core=2 --ntasks-per-node=3 -n1", 2, False),
        ("--ntasks-per-core=2 --ntasks-per-node=1 -c2", 2, True),
        ("--ntasks-per-core=4 --ntasks-per-node=1", 3, True),
        ("--ntasks-per-core=2 -c2", 2, False),
        ("--ntasks-per-core=2 -c2 --ntasks-per-socket=1", 2, True),
        ("--ntasks-per-core=2 -c2 --ntasks-per-socket=1", 3, False),
        ("--ntasks-per-core=3 --ntasks-per-socket=1", 3, True),
    ],
)
def test_room_for_as_many_tasks_as_may_be_on_a_core(slurm: SlurmUnderTest, options: str, busy: int, fits: bool) -> None:
    """So many have to fit, but if it is said how many there are on a node, or a socket."""
    slurm.wait_idle()
    slurm.sbatch("sleep 60", "-w", "n1", f"-n{busy}")
    job_id = slurm.sbatch("sleep 60", "-w", "n1", *options.split())
    if fits:
        until(lambda: shown(slurm, job_id)["JobState"] == "RUNNING", what="it runs")
    else:
        wait_for_reason(slurm, job_id, "Resources")
