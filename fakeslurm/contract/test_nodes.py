"""Nodes that are set down, drained or failing: how they are shown, what becomes of their jobs, and why others wait."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until
from fakeslurm.contract.texts import node_report, without_times

# With the throwaway Slurm's ReturnToService=2 a node that was set down comes back by itself, sooner or later.
pytestmark = pytest.mark.slurm_conf("ReturnToService=0")

TOO_FEW = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"


@pytest.fixture(autouse=True)
def _all_nodes_come_back(slurm: SlurmUnderTest) -> Iterator[None]:
    yield
    slurm.run("scancel", "--me")
    for name in ("n1", "n2", "n3", "n4"):
        slurm.run("scontrol", "update", f"nodename={name}", "state=resume")


def update(slurm: SlurmUnderTest, *words: str) -> tuple[int, str, str]:
    done = slurm.run("scontrol", "update", *words)
    return done.returncode, done.stdout, done.stderr


def change(slurm: SlurmUnderTest, *words: str) -> None:
    assert update(slurm, *words) == (0, "", "")


def shown(text: str) -> str:
    """Without times, and without the star of a node that a real slurmctld has not heard of since its state was changed."""
    return without_times(re.sub(r"\+NOT_RESPONDING|(?<=[a-z])\* *(?= |\||$)", "", text, flags=re.MULTILINE))


def nodes(slurm: SlurmUnderTest, fields: str = "%N|%t|%T|%C|%A|%F|%E|%u|%U|%H") -> list[str]:
    return shown(slurm.run("sinfo", "-N", "-h", "-o", fields).stdout).splitlines()


IDLE = "idle|idle|0/4/0/4|0/1|0/1/0/1|none|Unknown|Unknown|Unknown"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nodename=n1", "state=down"], "You must specify a reason when DOWNING or DRAINING a node. Request denied\n"),
        (["nodename=n1", "state=drain", "reason="], "You must specify a reason when DOWNING or DRAINING a node. Request denied\n"),
        (["nodename=n1", "state=fail"], "You must specify a reason when DOWNING or DRAINING a node. Request denied\n"),
        (["nodename=n9", "state=down", "reason=x"], "slurm_update error: Invalid node name specified\n"),
        (["nodename=n1"], "No changes specified\n"),
        (["nodename=n1", "state=resume"], "slurm_update error: Invalid node state specified\n"),
        (["nodename=n1", "bogus=3"], "Update of this parameter is not supported: bogus=3\nRequest aborted\n"),
        (
            ["state=down"],
            "No valid entity in update command\n"
            'Input line must include "NodeName", "PartitionName", "Reservation", "JobId", or "SlurmctldDebug"\n',
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_is_refused(slurm: SlurmUnderTest, words: list[str], message: str) -> None:
    assert update(slurm, *words) == (1, "", message)
    assert nodes(slurm)[0] == f"n1|{IDLE}"


def test_a_state_that_there_is_not(slurm: SlurmUnderTest) -> None:
    returncode, _, stderr = update(slurm, "nodename=n1", "state=bogus")
    assert returncode == 1
    assert stderr.startswith("Invalid input: state=bogus\nRequest aborted\nValid states are: ")


def test_undrain_of_a_node_that_is_not_drained(slurm: SlurmUnderTest) -> None:
    change(slurm, "nodename=n1", "state=undrain")
    assert nodes(slurm)[0] == f"n1|{IDLE}"


def test_drain_and_resume(slurm: SlurmUnderTest) -> None:
    change(slurm, "nodename=n[1-2]", "state=drain", "reason=two words")
    user = nodes(slurm, "%u %U")[0]
    name, number = user.split()
    assert number.startswith(f"{name}(")
    drained = f"drain|drained|0/0/4/4|0/0|0/0/1/1|two words|{name}|{number}|TIME"
    assert nodes(slurm) == [f"n1|{drained}", f"n2|{drained}", f"n3|{IDLE}", f"n4|{IDLE}"]
    assert shown(slurm.run("sinfo", "-o", "%P|%D|%t|%F|%N").stdout) == (
        "PARTITION|NODES|STATE|NODES(A/I/O/T)|NODELIST\ndebug|2|drain|0/0/2/2|n[1-2]\ndebug|2|idle|0/2/0/2|n[3-4]\n"
    )
    assert shown(slurm.run("sinfo", "-R").stdout) == (
        f"REASON               USER      TIMESTAMP           NODELIST\ntwo words            {name:<9} TIME n[1-2]\n"
    )
    report = slurm.run("scontrol", "show", "node", "n1").stdout
    assert "State=IDLE+DRAIN" in report
    assert without_times(report).rstrip().endswith(f"   Reason=two words [{name}@TIME]")
    change(slurm, "nodename=n[1-2]", "state=resume")
    assert nodes(slurm) == [f"n{number}|{IDLE}" for number in range(1, 5)]
    assert slurm.run("sinfo", "-R", "-h").stdout == ""
    assert "Reason=" not in slurm.run("scontrol", "show", "node", "n1").stdout


def test_the_report_of_a_drained_node(slurm: SlurmUnderTest) -> None:
    before = node_report(shown(slurm.run("scontrol", "show", "node", "n2").stdout))
    change(slurm, "nodename=n2", "state=drain", "reason=r")
    after = node_report(shown(slurm.run("scontrol", "show", "node", "n2").stdout))
    user = nodes(slurm, "%u")[1]
    expected = before.replace("State=IDLE", "State=IDLE+DRAIN").removesuffix("\n\n")
    assert (
        after == f"{expected.rstrip(' ')}\n   Reason=r [{user}@TIME]\n\n"
        or after == f"{expected}\n   Reason=r [{user}@TIME]\n\n"
    )


@pytest.mark.parametrize(
    ("states", "seen"),
    [
        (["down"], "down|down|0/0/4/4|0/0|0/0/1/1|r0|DOWN"),
        (["fail"], "fail|fail|0/4/0/4|0/1|0/1/0/1|r0|IDLE+FAIL"),
        (["drain", "down"], "drain|drained|0/0/4/4|0/0|0/0/1/1|r1|DOWN+DRAIN"),
        (["down", "drain"], "drain|drained|0/0/4/4|0/0|0/0/1/1|r1|DOWN+DRAIN"),
        (["fail", "drain"], "drain|drained|0/0/4/4|0/0|0/0/1/1|r1|IDLE+DRAIN"),
        (["drain", "fail"], "fail|fail|0/4/0/4|0/1|0/1/0/1|r1|IDLE+FAIL"),
        (["drain", "undrain"], "idle|idle|0/4/0/4|0/1|0/1/0/1|none|IDLE"),
        (["drain", "down", "undrain"], "down|down|0/0/4/4|0/0|0/0/1/1|r1|DOWN"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_states_of_an_idle_node(slurm: SlurmUnderTest, states: list[str], seen: str) -> None:
    for place, state in enumerate(states):
        why = [] if state == "undrain" else [f"reason=r{place}"]
        change(slurm, "nodename=n1", f"state={state}", *why)
    report = re.search(r"State=(\S+)", shown(slurm.run("scontrol", "show", "node", "n1").stdout))
    assert report is not None
    assert f"{nodes(slurm, '%t|%T|%C|%A|%F|%E')[0]}|{report[1]}" == seen


def test_states_of_a_busy_node_and_how_they_are_selected(slurm: SlurmUnderTest) -> None:
    whole = slurm.sbatch("sleep 60", "-w", "n1", "-n4")
    half = slurm.sbatch("sleep 60", "-w", "n2", "-n2")
    for job_id in (whole, half):
        slurm.wait(job_id, ["RUNNING"])
    change(slurm, "nodename=n1", "state=fail", "reason=f")
    change(slurm, "nodename=n2", "state=drain", "reason=d")
    fields = "%t|%T|%C|%A|%F"
    assert nodes(slurm, fields)[:2] == ["failg|failing|4/0/0/4|1/0|1/0/0/1", "drng|draining|2/0/2/4|1/0|1/0/0/1"]
    selected = {
        state: slurm.run("sinfo", "-h", "-t", state, "-o", "%N").stdout.strip()
        for state in ("drain", "drained", "draining", "fail", "alloc", "idle", "down")
    }
    mixed = slurm.run("sinfo", "-h", "-t", "mixed", "-o", "%N").stdout.strip()
    assert mixed == ("n2" if slurm.at_least("24.11") else "")
    assert selected == {
        "drain": "n2",
        "drained": "",
        "draining": "n2",
        "fail": "n1",
        "alloc": "n[1-2]",
        "idle": "n[3-4]",
        "down": "",
    }
    change(slurm, "nodename=n[1-2]", "state=resume")
    assert nodes(slurm, "%T")[:2] == ["allocated", "mixed"]
    assert {job_id: slurm.wait(job_id, ["RUNNING"])["JobState"] for job_id in (whole, half)} == {
        whole: "RUNNING",
        half: "RUNNING",
    }


def test_what_keeps_a_job_waiting(slurm: SlurmUnderTest) -> None:
    change(slurm, "nodename=n1", "state=down", "reason=gone")
    named = slurm.sbatch("true", "-w", "n1")
    two = slurm.sbatch("true", "-w", "n[1-2]")
    many = slurm.sbatch("true", "-N", "4")
    cpus = slurm.sbatch("true", "-n", "16")
    one = slurm.sbatch("true")  # is not held up by them
    assert slurm.wait(one)["NodeList"] == "n2"
    waits = "ReqNodeNotAvail, UnavailableNodes:n1"
    expected = {named: waits, two: waits, many: TOO_FEW, cpus: waits}

    def reasons() -> dict[str, str]:
        done = slurm.run("squeue", "-h", "-o", "%i|%r|%R")
        rows = [line.split("|") for line in done.stdout.splitlines()]
        assert all(row[2] == f"({row[1]})" for row in rows)
        return {row[0]: row[1] for row in rows}

    until(lambda: reasons() == expected, what="the reasons of waiting jobs")
    assert slurm.wait(named, ["PENDING"])["Reason"] == "ReqNodeNotAvail,_UnavailableNodes:n1"
    change(slurm, "nodename=n1", "state=resume")
    assert [slurm.wait(job_id)["JobState"] for job_id in (named, two, many, cpus)] == ["COMPLETED"] * 4


def test_a_job_on_a_node_that_goes_down_is_requeued(slurm: SlurmUnderTest) -> None:
    first = "srun sh -c 'exit 5' 2> err; touch up; exec sleep 60"
    job_id = slurm.sbatch(f'[ -n "$SLURM_RESTART_COUNT" ] || {{ {first}; }}; echo again', "-w", "n1")
    until((slurm.workdir / "up").exists, what="the end of its step")
    change(slurm, "nodename=n1", "state=down", "reason=gone")
    slurm.wait(job_id, ["PENDING", "COMPLETING"])
    fields: dict[str, str] = until(
        lambda: (seen := slurm.wait(job_id, ["PENDING", "COMPLETING"]))["Reason"].startswith("Req") and seen,
        what="a reason for waiting",
    )
    assert (fields["JobState"], fields["Restarts"], fields["ExitCode"]) == ("PENDING", "1", "0:0")
    assert fields["Reason"] == "ReqNodeNotAvail,_UnavailableNodes:n1"
    text = without_times(slurm.output(f"slurm-{job_id}.out"))
    assert text == (
        f"slurmstepd-n1: error: *** JOB {job_id} ON n1 CANCELLED AT TIME "
        "DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n"
    )
    change(slurm, "nodename=n1", "state=resume")
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert slurm.output(f"slurm-{job_id}.out") == "again\n"
    failed, derived = ("1:0", "0:0") if slurm.at_least("24.11") else ("0:0", "5:0")
    assert slurm.accounted(job_id, "State,ExitCode,DerivedExitCode,NodeList", "-X", "-D") == [
        {"State": "NODE_FAIL", "ExitCode": failed, "DerivedExitCode": derived, "NodeList": "n1"},
        {"State": "COMPLETED", "ExitCode": "0:0", "DerivedExitCode": "5:0", "NodeList": "n1"},
    ]


def test_a_job_that_may_not_be_requeued_fails_with_its_node(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("exec sleep 60", "-N2", "-w", "n[1-2]", "--no-requeue")
    slurm.wait(job_id, ["RUNNING"])
    until(lambda: (slurm.workdir / f"slurm-{job_id}.out").exists(), what="the script's output file")
    change(slurm, "nodename=n1", "state=down", "reason=gone")
    slurm.wait(job_id, ["NODE_FAIL", "COMPLETING"])
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["Reason"], fields["Restarts"]) == ("NODE_FAIL", "NodeDown", "0")
    assert fields["NodeList"] == "n[1-2]"
    assert fields.get("FailedNode") == ("n1" if slurm.at_least("24.11") else None)
    told = json.loads(slurm.run("squeue", "-t", "all", "-j", job_id, "--json").stdout)["jobs"][0]
    assert told.get("failed_node") == fields.get("FailedNode")
    # The exit code is 0:15 when the real one hears of its script before the other node has reported, else 0:0.
    assert without_times(slurm.output(f"slurm-{job_id}.out")) == (
        f"slurmstepd-n1: error: *** JOB {job_id} ON n1 CANCELLED AT TIME "
        "DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n"
    )
    failed = "1:0" if slurm.at_least("24.11") else "0:0"
    assert slurm.accounted(job_id, "State,ExitCode", "-X") == [{"State": "NODE_FAIL", "ExitCode": failed}]


def test_salloc_hears_which_node_has_failed(slurm: SlurmUnderTest) -> None:
    """Its command goes on; as nobody tells how that has ended, the job has the exit code of its state."""
    down = "scontrol update nodename=n2 state=down reason=gone"
    ended = "until squeue -h -j $SLURM_JOB_ID -t NF | grep -q .; do sleep 0.1; done; sleep 1; exit 3"
    done = slurm.run("salloc", "-w", "n[1-2]", "sh", "-c", f"{down}; {ended}")
    assert (done.returncode, done.stdout) == (3, "")
    job_id, *_ = re.findall(r"Granted job allocation (\d+)", done.stderr)
    said = ["salloc: error: Node failure on n2", f"salloc: Job allocation {job_id} has been revoked."]
    assert sorted(done.stderr.splitlines()[-2:]) == sorted(said)  # in any order
    fields = slurm.wait(job_id)
    code = "0:1" if slurm.at_least("24.11") else "0:0"
    assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("NODE_FAIL", "NodeDown", code)


def test_only_with_nodes_that_are_there(slurm: SlurmUnderTest) -> None:
    change(slurm, "nodename=n2", "state=drain", "reason=d")
    assert slurm.wait(slurm.sbatch("true", "-N3"))["NodeList"] == "n[1,3-4]"
    refused = slurm.run("sbatch", "--test-only", "-N4", "--wrap", "true")
    assert (refused.returncode, refused.stderr) == (
        1,
        "allocation failure: Requested node configuration is not available\n",
    )
