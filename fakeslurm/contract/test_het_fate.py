"""Heterogeneous jobs: their components start together, and share a fate."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until
from fakeslurm.contract.hetjobs import become, components, occupied, states

NOT_WHOLE = "Operation not permitted on individual component of heterogeneous job"


def test_runs(slurm: SlurmUnderTest) -> None:
    """Every component has nodes of its own; the script runs once, on the first node of the first."""
    slurm.wait_idle()
    leader = slurm.sbatch("echo $SLURM_JOB_ID $SLURM_HET_SIZE; sleep 300", "-n1", ":", "-n2", "-N2", "-o", "o.txt")
    second = f"{int(leader) + 1}"
    become(slurm, leader, ["+0 R None", "+1 R None"])
    found = components(slurm, leader)
    assert [(fields["NodeList"], fields["BatchHost"], fields["NumCPUs"]) for fields in found] == [
        ("n1", "n1", "1"),
        ("n[2-3]", "n2", "2"),
    ]
    assert all((fields["BatchFlag"], fields["Scheduler"]) == ("1", "Backfill") for fields in found)
    output = slurm.workdir / "o.txt"
    until(lambda: output.exists() and output.read_text() == f"{leader} 2\n", what="the script's output")
    assert slurm.run("squeue", "-h", "-s", "-j", leader, "-o", "%i").stdout == f"{leader}.batch\n"
    done = slurm.run("scancel", "-v", second)
    assert (done.returncode, done.stderr) == (0, f"scancel: Terminating job {second}\n")
    become(slurm, leader, ["+0 R None", "+1 CA None"])
    done = slurm.run("scancel", "-v", f"{leader}+1")
    assert done.stderr.endswith(f"job id {leader}+1: Job/step already completing or completed\n")
    slurm.run("scancel", f"{leader}+0")
    become(slurm, leader, ["+0 CA None", "+1 CA None"])


def test_first_component_is_all_of_it(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("sleep 300", "-n1", ":", "-n2")
    become(slurm, leader, ["+0 R None", "+1 R None"])
    slurm.run("scancel", f"{leader}+0")
    become(slurm, leader, ["+0 CA None", "+1 CA None"])
    rows = [f"{leader}+{offset}|CANCELLED by 0" for offset in (0, 1)]
    sacct = ("sacct", "-n", "-P", "-X", "-j", leader, "-o", "JobID,State")
    until(lambda: slurm.run(*sacct).stdout.splitlines() == rows, what="both components in accounting", interval=0.1)


def test_waits_for_all(slurm: SlurmUnderTest) -> None:
    """No component starts alone, and a pending one cannot be cancelled alone."""
    blocker = occupied(slurm)
    leader = slurm.sbatch("true", "-n1", ":", "-n2", "-N2")
    second = f"{int(leader) + 1}"
    become(slurm, leader, ["+0 PD Resources", "+1 PD Resources"])
    for asked in (second, f"{leader}+1"):
        done = slurm.run("scancel", asked)
        said = f"scancel: error: Kill job error on job id {asked}: {NOT_WHOLE}\n"
        assert (done.returncode, done.stdout, done.stderr) == (60, "", said)
    done = slurm.run("scontrol", "requeue", leader)
    assert (done.returncode, done.stderr) == (1, f"Job is pending execution for job {leader}\n")
    slurm.run("scancel", f"{leader}+0")
    become(slurm, leader, ["+0 CA Resources", "+1 CA Resources"])
    slurm.run("scancel", blocker)


def test_never_two_components_on_a_node(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("true", *["-n1", ":", "-n1", ":", "-n1", ":", "-n1", ":", "-n1"])
    become(slurm, leader, [f"+{offset} PD Resources" for offset in range(5)])
    slurm.run("scancel", leader)


def test_holds_up_those_behind(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    blocker = slurm.sbatch("sleep 300", "-N3", "--exclusive")
    slurm.wait(blocker, ["RUNNING"])
    leader = slurm.sbatch("true", "-n1", ":", "-N2")
    become(slurm, leader, ["+0 PD Resources", "+1 PD Resources"])
    behind = slurm.sbatch("true", "-n1")

    def reason() -> bool:
        fields = slurm.show(behind)
        return fields is not None and (fields["JobState"], fields["Reason"]) == ("PENDING", "Priority")

    until(reason, what="a job that waits behind")
    slurm.run("scancel", blocker)
    become(slurm, leader, ["+0 CD None", "+1 CD None"])
    slurm.wait(behind, ["COMPLETED"])


def test_hold(slurm: SlurmUnderTest) -> None:
    """The id alone means all of it; with an offset, or a component's own id, it is one."""
    blocker = occupied(slurm)
    leader = slurm.sbatch("true", "-n1", ":", "-n2", "-N2")
    second = f"{int(leader) + 1}"
    waits, held = "PD Resources", "PD JobHeldAdmin"
    for verb, asked, first, other in (
        ("hold", leader, held, held),
        ("release", leader, waits, waits),
        ("hold", f"{leader}+1", waits, held),
        ("release", f"{leader}+1", waits, waits),
        ("hold", second, waits, held),
        ("release", second, waits, waits),
        ("hold", f"{leader}+0", held, waits),
    ):
        assert slurm.run("scontrol", verb, asked).returncode == 0
        become(slurm, leader, [f"+0 {first}", f"+1 {other}"])
    done = slurm.run("scontrol", "hold", f"{leader}+5")
    assert (done.returncode, done.stderr) == (
        1,
        f"Invalid job id specified for job {leader}+5\nslurm_suspend error: Invalid job id specified\n",
    )
    slurm.run("scancel", blocker)
    slurm.run("scontrol", "release", leader)
    become(slurm, leader, ["+0 CD None", "+1 CD None"])


@pytest.mark.parametrize(
    ("body", "state", "reason", "code"),
    [
        ("true", "COMPLETED", "None", "0:0"),
        ("exit 3", "FAILED", "NonZeroExitCode", "3:0"),
        ("kill -9 $$", "FAILED", "", "0:9"),
    ],
)
def test_ends(slurm: SlurmUnderTest, body: str, state: str, reason: str, code: str) -> None:
    """Every component has the state and the exit code of the script."""
    slurm.wait_idle()
    leader = slurm.sbatch(body, "-n1", ":", "-n2", "-N2")
    if not reason:
        reason = "RaisedSignal:9(Killed)" if slurm.at_least("24.11") else "JobLaunchFailure"
    short = {"COMPLETED": "CD", "FAILED": "F"}[state]
    become(slurm, leader, [f"+0 {short} {reason}", f"+1 {short} {reason}"])
    assert [fields["ExitCode"] for fields in components(slurm, leader)] == [code, code]

    def rows() -> bool:
        found = slurm.accounted(leader, "JobID,JobName,State,ExitCode")
        return [(row["JobID"], row["State"], row["ExitCode"]) for row in found if row["JobName"] != "batch"] == [
            (f"{leader}+0", state, code),
            (f"{leader}+1", state, code),
        ]

    until(rows, what="both components in accounting")


def test_wait_for_the_end(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    assert slurm.run("sbatch", "--wait", "-n1", ":", "-n2", "--wrap", "exit 3").returncode == 3


def test_requeue(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    body = 'echo "$SLURM_RESTART_COUNT" >> runs; [ -n "$SLURM_RESTART_COUNT" ] || sleep 300'
    leader = slurm.sbatch(body, "-n1", ":", "-n2", "-N2", "-o", "/dev/null")
    second = f"{int(leader) + 1}"
    until(lambda: (slurm.workdir / "runs").exists(), what="the script")
    done = slurm.run("scontrol", "requeue", second)
    assert (done.returncode, done.stderr) == (1, f"Job not heterogeneous job leader for job {second}\n")
    done = slurm.run("scontrol", "requeue", leader)
    assert (done.returncode, done.stderr) == (0, "")
    become(slurm, leader, ["+0 CD None", "+1 CD None"])
    assert [fields["Restarts"] for fields in components(slurm, leader)] == ["1", "1"]
    assert slurm.output("runs") == "\n1\n"


def test_suspend(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    leader = slurm.sbatch("sleep 300", "-n1", ":", "-n2", "-N2")
    second = f"{int(leader) + 1}"
    become(slurm, leader, ["+0 R None", "+1 R None"])
    for verb in ("suspend", "resume"):
        done = slurm.run("scontrol", verb, second)
        assert (done.returncode, done.stderr) == (1, f"{NOT_WHOLE} for job {second}\n")
    for verb, state in (("suspend", "S"), ("resume", "R")):
        assert slurm.run("scontrol", verb, leader).returncode == 0
        become(slurm, leader, [f"+0 {state} None", f"+1 {state} None"])
    slurm.run("scancel", leader)


def test_dependencies(slurm: SlurmUnderTest) -> None:
    """A component is a job that others can wait for; all components wait for what the job depends on."""
    slurm.wait_idle()
    leader = slurm.sbatch("sleep 300", "-n1", ":", "-n2")
    become(slurm, leader, ["+0 R None", "+1 R None"])
    whole = slurm.sbatch("true", "-d", f"afterany:{leader}")
    part = slurm.sbatch("true", "-d", f"afterany:{int(leader) + 1}")
    late = slurm.sbatch("true", "-d", f"afterany:{leader}", "-n1", ":", "-n1")
    until(lambda: states(slurm, late) == ["+0 PD Dependency", "+1 PD Dependency"], what="both wait")
    slurm.run("scancel", f"{int(leader) + 1}")
    slurm.wait(part, ["COMPLETED"])
    fields = slurm.show(whole)
    assert fields is not None
    assert (fields["JobState"], fields["Dependency"]) == ("PENDING", f"afterany:{leader}(unfulfilled)")
    slurm.run("scancel", leader)
    slurm.wait(whole, ["COMPLETED"])
    become(slurm, late, ["+0 CD None", "+1 CD None"])


def test_failing_node(slurm: SlurmUnderTest) -> None:
    if slurm.kind == "site":
        pytest.skip("a site's nodes stay as they are")
    slurm.wait_idle()
    leader = slurm.sbatch("sleep 300", "--no-requeue", "-n1", ":", "-n2", "-N2")
    become(slurm, leader, ["+0 R None", "+1 R None"])
    slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    become(slurm, leader, ["+0 NF NodeDown", "+1 NF NodeDown"])
    slurm.run("scontrol", "update", "nodename=n2", "state=resume")  # a real one may have come back by itself
    slurm.wait_idle()
