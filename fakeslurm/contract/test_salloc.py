"""salloc: an allocation, and a command in it that runs where salloc was called."""

from __future__ import annotations

import re

import pytest

from fakeslurm.contract.harness import Result, SlurmUnderTest
from fakeslurm.contract.texts import without_chance


def _said(done: Result) -> list[str]:
    """What salloc says besides the allocation's id and what is timing."""
    return re.sub(r"\b(allocation|job) \d+", r"\1 J", without_chance(done.stderr)).splitlines()


GRANTED, RELINQUISHING = "salloc: Granted job allocation J", "salloc: Relinquishing job allocation J"


def _job(done: Result) -> str:
    found = re.search(r"Granted job allocation (\d+)", done.stderr)
    assert found, done
    return found[1]


def _became(slurm: SlurmUnderTest, done: Result) -> str:
    fields = slurm.wait(_job(done))
    return " ".join([fields["JobName"], fields["JobState"], fields["ExitCode"]])


@pytest.mark.parametrize(
    ("command", "code", "row"),
    [
        ("true", 0, "interactive COMPLETED 0:0"),
        ("exit 3", 3, "interactive FAILED 3:0"),
        ("kill -TERM $$", 1, "interactive FAILED 0:15"),
        ("kill -KILL $$", 0, "interactive FAILED 0:9"),
    ],
)
def test_return_code(slurm: SlurmUnderTest, command: str, code: int, row: str) -> None:
    done = slurm.run("salloc", "-n1", "sh", "-c", command)
    assert (done.returncode, done.stdout, _said(done)) == (code, "", [GRANTED, RELINQUISHING])
    assert _became(slurm, done) == row


@pytest.mark.parametrize("command", ["nope", "./nope", "/tmp"])
def test_command_that_does_not_exist(slurm: SlurmUnderTest, command: str) -> None:
    done = slurm.run("salloc", command)
    assert done.returncode == 1
    missing = f'salloc: error: _fork_command: Unable to find command "{command}"'
    assert _said(done) == [GRANTED, missing, RELINQUISHING]
    assert _became(slurm, done) == "interactive FAILED 1:0"


def test_nodes_are_ready(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    lines = slurm.run("salloc", "-N2", "true").stderr.splitlines()
    assert ("salloc: Nodes n[1-2] are ready for job" in lines) == slurm.at_least("24.11")


def test_quiet(slurm: SlurmUnderTest) -> None:
    done = slurm.run("salloc", "-Q", "echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_runs_where_it_was_called(slurm: SlurmUnderTest) -> None:
    command = slurm.workdir / "command"
    command.write_text('#!/bin/sh\npwd; cat; echo "$@"\n')
    command.chmod(0o755)
    done = slurm.run("salloc", "command", "a b", "-n", stdin="from here\n")
    assert done.stdout == f"{slurm.workdir}\nfrom here\na b -n\n"
    (slurm.workdir / "there").mkdir()
    assert slurm.run("salloc", "-D", "there", "pwd").stdout == f"{slurm.workdir}/there\n"
    done = slurm.run("salloc", "-D", "/nonexistent", "pwd")
    assert (done.returncode, done.stderr) == (1, "salloc: error: chdir(/nonexistent): No such file or directory\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-N2 -n3", "2,1 n[1-2] 2 3 2,1 none none interactive"),
        ("-N2 --ntasks-per-node=2", "2(x2) n[1-2] 2 4 2(x2) 2 none interactive"),
        ("-N2", "1(x2) n[1-2] 2 none 1(x2) none none interactive"),
        ("-n1 -c2 -J name", "2 n1 1 1 1 none 2 name"),
    ],
)
def test_environment(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    slurm.wait_idle()
    names = (
        "$SLURM_JOB_CPUS_PER_NODE $SLURM_JOB_NODELIST $SLURM_NNODES ${SLURM_NTASKS:-none} $SLURM_TASKS_PER_NODE"
        " ${SLURM_NTASKS_PER_NODE:-none} ${SLURM_CPUS_PER_TASK:-none} $SLURM_JOB_NAME"
    )
    absent = "${SLURM_PROCID-}${SLURM_JOB_UID-}${SLURMD_NODENAME-}${SLURM_JOB_START_TIME-}"
    done = slurm.run("salloc", *options.split(), "sh", "-c", f'echo {names}; echo "{absent}"')
    assert done.stdout == f"{expected}\n\n"


def test_steps(slurm: SlurmUnderTest) -> None:
    done = slurm.run("salloc", "-N2", "-n3", "srun", "sh", "-c", "echo $SLURM_PROCID $SLURM_STEP_ID $SLURM_NTASKS")
    assert sorted(done.stdout.splitlines()) == ["0 0 3", "1 0 3", "2 0 3"]
    rows = slurm.accounted(_job(done), "JobID,State")
    assert [row["JobID"].partition(".")[2] for row in rows] == ["", "0"]


def test_default_shell(slurm: SlurmUnderTest) -> None:
    done = slurm.run("salloc", "-n1", stdin='echo "in $SLURM_JOB_ID"; exit 4\n')
    assert (done.returncode, done.stdout) == (4, f"in {_job(done)}\n")


def test_no_shell(slurm: SlurmUnderTest) -> None:
    done = slurm.run("salloc", "-n1", "--no-shell")
    job_id = _job(done)
    assert (done.returncode, _said(done)) == (0, [GRANTED])
    fields = slurm.wait(job_id, ["RUNNING"])
    assert (fields["JobName"], fields["BatchFlag"]) == ("no-shell", "0")
    assert slurm.run("srun", "--jobid", job_id, "echo", "in it").stdout == "in it\n"
    slurm.run("scancel", job_id)
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


def test_cancelled_allocation_leaves_the_command_alone(slurm: SlurmUnderTest) -> None:
    body = "scancel $SLURM_JOB_ID; until squeue -h -j $SLURM_JOB_ID -t CA | grep -q .; do sleep 0.1; done; sleep 1; echo on"
    done = slurm.run("salloc", "-n1", "sh", "-c", body)
    assert (done.returncode, done.stdout, _said(done)) == (0, "on\n", [GRANTED])
    assert f"salloc: Job allocation {_job(done)} has been revoked.\n" in done.stderr


@pytest.mark.parametrize(
    ("options", "variables", "code"),
    [
        (["-K"], {}, 1),
        (["-KINT"], {}, 0),
        (["--kill-command=KILL"], {}, 0),
        ([], {"SALLOC_KILL_CMD": ""}, 1),
        ([], {"SALLOC_KILL_CMD": "INT"}, 0),
    ],
)
def test_kill_command(slurm: SlurmUnderTest, options: list[str], variables: dict[str, str], code: int) -> None:
    command = ["sh", "-c", "scancel $SLURM_JOB_ID; exec sleep 30"]
    done = slurm.run("salloc", "-n1", *options, *command, env=variables, timeout=25)
    assert (done.returncode, _said(done)) == (code, [GRANTED])


def test_waiting_for_resources(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    slurm.wait(slurm.sbatch("sleep 3", "--exclusive", "-N4"), ["RUNNING"])
    done = slurm.run("salloc", "-I", "-n1", "true")
    busy = "salloc: error: Unable to allocate resources: Requested nodes are busy"
    assert (done.returncode, _said(done)) == (1, [busy])
    done = slurm.run("salloc", "-n1", "true")
    assert (done.returncode, _said(done)) == (
        0,
        [
            "salloc: Pending job allocation J",
            "salloc: job J queued and waiting for resources",
            "salloc: job J has been allocated resources",
            GRANTED,
            RELINQUISHING,
        ],
    )


@pytest.mark.parametrize(
    ("options", "code", "stderr"),
    [
        (
            "-p nope",
            1,
            "salloc: error: invalid partition specified: nope\n"
            "salloc: error: Job submit/allocate failed: Invalid partition name specified\n",
        ),
        ("-t foo", 255, "salloc: error: Invalid --time specification\n"),
        ("-Kfoo", 255, "salloc: error: Invalid --kill-command specification\n"),
        ("--bogus", 255, "salloc: unrecognized option '--bogus'\nTry \"salloc --help\" for more information\n"),
        ("-o x", 255, "salloc: invalid option -- 'o'\nTry \"salloc --help\" for more information\n"),
        ("--array=1", 255, "salloc: unrecognized option '--array=1'\nTry \"salloc --help\" for more information\n"),
        ("-n0", 255, 'salloc: error: Invalid numeric value "0" for --ntasks.\n'),
        ("-w n9", 1, "salloc: error: Job submit/allocate failed: Invalid node name specified\n"),
        ("-C foo", 1, "salloc: error: Job submit/allocate failed: Invalid feature specification\n"),
        ("-L foo", 1, "salloc: error: Job submit/allocate failed: Invalid license specification\n"),
        (
            "--mem=10 --mem-per-cpu=5",
            1,
            "salloc: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.\n",
        ),
    ],
)
def test_refusals(slurm: SlurmUnderTest, options: str, code: int, stderr: str) -> None:
    done = slurm.run("salloc", *options.split(), "true")
    assert (done.stdout, done.stderr) == ("", stderr)
    if options != "-n0":
        assert done.returncode == code


def test_options_from_the_environment(slurm: SlurmUnderTest) -> None:
    done = slurm.run("salloc", "sh", "-c", "squeue -h -j $SLURM_JOB_ID -o %l", env={"SALLOC_TIMELIMIT": "7"})
    assert done.stdout == "7:00\n"
    assert slurm.run("salloc", "true", env={"SALLOC_PARTITION": "nope"}).returncode == 1
