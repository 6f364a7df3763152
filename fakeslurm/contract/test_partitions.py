"""Partitions that are changed while they are used: scontrol update partitionname=."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until, wait_for_reason

pytestmark = pytest.mark.slurm_conf("PartitionName=p Nodes=n[1-2]")


@pytest.fixture(autouse=True)
def _the_partition_is_as_before(slurm: SlurmUnderTest) -> Iterator[None]:
    yield
    slurm.run("scancel", "--me")
    change(slurm, "partitionname=p", "state=up", "maxtime=unlimited", "maxnodes=unlimited", "minnodes=0")
    change(slurm, "partitionname=debug", "default=yes")


def change(slurm: SlurmUnderTest, *words: str) -> None:
    done = slurm.run("scontrol", "update", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


ABORTED = "slurm_update error: No error\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["partitionname=p"], "scontrol: error: No changes specified\n"),
        (["partitionname=x", "state=down"], "slurm_update error: Invalid partition name specified\n"),
        (["partitionname=p", "maxtime=foo"], f"scontrol: error: Invalid input maxtime=foo\n{ABORTED}"),
        (["partitionname=p", "MaxTime="], f"scontrol: error: Invalid input MaxTime=\n{ABORTED}"),
        (["partitionname=p", "defaulttime=bar"], f"scontrol: error: Invalid input defaulttime=bar\n{ABORTED}"),
        (["partitionname=p", "maxnodes=foo"], 'scontrol: error: Invalid numeric value "foo" for MaxNodes.\n'),
        (
            ["partitionname=p", "state=bogus"],
            "scontrol: error: Invalid input: state=bogus\n"
            f"scontrol: error: Acceptable State values are UP, DOWN, DRAIN and INACTIVE\n{ABORTED}",
        ),
        (
            ["partitionname=p", "bogus=1"],
            "scontrol: error: Update of this parameter is not supported: bogus=1\n\n"
            f"scontrol: error: Request aborted\n{ABORTED}",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(slurm: SlurmUnderTest, words: list[str], message: str) -> None:
    done = slurm.run("scontrol", "update", *words)
    expected = message.removesuffix(ABORTED) if slurm.at_least("24.11") else message
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


def test_a_partition_that_is_down_lets_its_jobs_wait(slurm: SlurmUnderTest) -> None:
    change(slurm, "part=p", "st=do")
    assert slurm.run("sinfo", "-h", "-p", "p", "-o", "%P %a %t %F").stdout == "p down idle 0/2/0/2\n"
    job_id = slurm.sbatch("true", "-p", "p")
    wait_for_reason(slurm, job_id, "PartitionDown")
    assert slurm.wait(slurm.sbatch("true", "-p", "p,debug"))["Partition"] == "debug"
    change(slurm, "partitionname=p", "state=up")
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"


@pytest.mark.parametrize("state", ["drain", "inactive"])
def test_a_partition_that_takes_no_new_jobs(slurm: SlurmUnderTest, state: str) -> None:
    change(slurm, "partitionname=p", f"state={state}")
    assert slurm.run("sinfo", "-h", "-p", "p", "-o", "%P %a %t %F").stdout == f"p {state} idle 0/2/0/2\n"
    done = slurm.run("sbatch", "-p", "p", "--wrap", "true")
    assert (done.returncode, done.stderr) == (
        1,
        "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)\n",
    )
    places = [slurm.wait(slurm.sbatch("true", "-p", names))["Partition"] for names in ("p,debug", "debug,p")]
    assert places == ["debug", "debug"]


def test_the_state_of_a_partition_holds_for_jobs_that_wait(slurm: SlurmUnderTest) -> None:
    running = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "-p", "p", "-N2", "--exclusive")
    slurm.wait(running, ["RUNNING"])
    waiting = slurm.sbatch("true", "-p", "p", "-N2")
    for state, expected in (("down", "PartitionDown"), ("inactive", "PartitionInactive"), ("drain", "Resources")):
        change(slurm, "partitionname=p", f"state={state}")
        wait_for_reason(slurm, waiting, expected)
        assert slurm.wait(running, ["RUNNING"])
    (slurm.workdir / "go").touch()
    assert [slurm.wait(job_id)["JobState"] for job_id in (running, waiting)] == ["COMPLETED", "COMPLETED"]


def test_limits(slurm: SlurmUnderTest) -> None:
    change(slurm, "partitionname=p", "maxtime=10", "maxnodes=1", "minnodes=1")
    assert slurm.run("sinfo", "-h", "-p", "p", "-o", "%P %l %s").stdout == "p 10:00 1\n"
    report = slurm.run("scontrol", "show", "partition", "p").stdout
    assert "MaxNodes=1 MaxTime=00:10:00 MinNodes=1 " in report
    large, long = slurm.sbatch("true", "-p", "p", "-N2"), slurm.sbatch("true", "-p", "p", "-t", "20")
    wait_for_reason(slurm, large, "PartitionNodeLimit")
    wait_for_reason(slurm, long, "PartitionTimeLimit")
    change(slurm, "partitionname=p", "maxtime=unlimited", "maxnodes=unlimited")
    assert [slurm.wait(job_id)["JobState"] for job_id in (large, long)] == ["COMPLETED", "COMPLETED"]


def test_default_partition(slurm: SlurmUnderTest) -> None:
    change(slurm, "partitionname=p", "default=yes")
    assert slurm.run("sinfo", "-h", "-o", "%P").stdout == "debug\np*\n"
    assert slurm.wait(slurm.sbatch("true"))["Partition"] == "p"


@pytest.mark.parametrize(
    ("words", "reason"), [(["maxtime=3"], "PartitionTimeLimit"), (["state=down"], "PartitionDown")]
)
def test_a_partition_that_is_closed_to_an_array_at_its_limit(
    slurm: SlurmUnderTest, words: list[str], reason: str
) -> None:
    """The limit is shown as long as it is reached, also by a lower one."""

    def shows(*expected: str) -> None:
        rows = sorted(expected)
        until(
            lambda: sorted(slurm.run("squeue", "-h", "-j", array, "-o", "%K|%r").stdout.split()) == rows,
            what=f"{rows}",
        )

    array = slurm.sbatch("sleep 100", "-p", "p", "-n1", "-t", "6", "-a", "1-4%1")
    shows("1|None", "2-4%1|JobArrayTaskLimit")
    change(slurm, "partitionname=p", *words)
    change(slurm, f"jobid={array}", "arraytaskthrottle=2")
    shows("1|None", f"2-4%2|{reason}")
    change(slurm, f"jobid={array}", "arraytaskthrottle=1")
    shows("1|None", "2-4%1|JobArrayTaskLimit")
    slurm.run("scancel", f"{array}_1")
    shows(f"2-4%1|{reason}")


def test_the_reasons_of_nodes_in_several_partitions(slurm: SlurmUnderTest) -> None:
    """sinfo -R has each node once, in the first row that is empty or has nodes like it, be its partition another."""

    def rows(*argv: str) -> list[str]:
        return [" ".join(line.split()) for line in slurm.run("sinfo", "-h", *argv).stdout.splitlines()]

    slurm.run("scontrol", "update", "nodename=n[1-2]", "state=drain", "reason=foo")
    slurm.run("scontrol", "update", "nodename=n3", "state=drain", "reason=bar")
    try:
        assert rows("-Rs") == ["debug* up infinite 0/0/3/3 n[1-3]", "p up infinite 0/0/0/0"]
        assert rows("-Rs", "-p", "p") == ["p up infinite 0/0/2/2 n[1-2]"]
        assert rows("-R", "-o", "%E %N %P %D") == ["foo n[1-2] debug* 2", "bar n3 p 1"]
        assert sorted(rows("-R", "-o", "%E %N %a")) == ["bar n3 up", "foo n[1-2] up"]
        # Which row of a node comes first is chance on 24.11.
        assert sorted(rows("-RN", "-o", "%N %P")) == ["n1 debug*", "n1 p", "n2 debug*", "n2 p", "n3 debug*"]
    finally:
        slurm.run("scontrol", "update", "nodename=n[1-3]", "state=resume")
