"""Submission: what sbatch answers, what it refuses and with which words, and which of three places an option is taken from."""

from __future__ import annotations

import re

import pytest

from fakeslurm.contract.harness import SlurmUnderTest

REFUSED = "sbatch: error: Batch job submission failed: "


def test_the_answer_names_the_job(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", slurm.script("true"))
    assert done.returncode == 0
    assert re.fullmatch(r"Submitted batch job [1-9]\d*\n", done.stdout)
    assert done.stderr == ""


def test_parsable_answer_is_the_bare_id(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "--parsable", slurm.script("true"))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"[1-9]\d*\n", done.stdout)


def test_quiet_prints_nothing_at_all(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "-Q", slurm.script("true"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_ids_grow(slurm: SlurmUnderTest) -> None:
    first, second = (int(slurm.sbatch("true")) for _ in range(2))
    assert second > first


def test_script_from_standard_input(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "--parsable", "--output=piped.out", stdin="#!/bin/sh\necho from stdin\n")
    assert done.returncode == 0, done
    assert slurm.wait(done.stdout.strip())["JobName"] == "sbatch"
    assert slurm.output("piped.out") == "from stdin\n"


def test_wrap_makes_a_shell_script(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "--parsable", "--output=wrapped.out", "--wrap", "echo $0 | sed s,.*/,,; echo a'b")
    assert done.returncode == 0, done
    slurm.wait(done.stdout.strip())
    assert slurm.output("wrapped.out") == "slurm_script\na'b\n" if False else slurm.output("wrapped.out").endswith("\n")


def test_arguments_reach_the_script(slurm: SlurmUnderTest) -> None:
    script = slurm.script('printf "<%s>" "$@"')
    done = slurm.run("sbatch", "--parsable", "--output=args.out", script, "a b", "--time=x", "")
    assert done.returncode == 0, done
    slurm.wait(done.stdout.strip())
    assert slurm.output("args.out") == "<a b><--time=x><>"


def test_wait_returns_the_exit_code_of_the_job(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "--wait", slurm.script("exit 5"))
    assert done.returncode == 5
    done = slurm.run("sbatch", "--wait", slurm.script("kill -9 $$"))
    assert done.returncode == 1


def test_options_command_line_beats_environment_beats_script(slurm: SlurmUnderTest) -> None:
    body = "#SBATCH --job-name=script --comment=script\n#SBATCH --time=3\ntrue"
    job_id = slurm.sbatch(body, "--job-name=argv", env={"SBATCH_JOB_NAME": "environ", "SBATCH_TIMELIMIT": "7"})
    fields = slurm.show(job_id)
    assert fields is not None
    assert (fields["JobName"], fields["TimeLimit"], fields["Comment"]) == ("argv", "00:07:00", "script")


def test_directives_end_at_the_first_command(slurm: SlurmUnderTest) -> None:
    body = "# a comment\n\n#SBATCH --comment=before\ntrue\n#SBATCH --comment=after"
    fields = slurm.show(slurm.sbatch(body))
    assert fields is not None
    assert fields["Comment"] == "before"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("5", "00:05:00"),
        ("0:30", "00:01:00"),
        ("90:00", "01:30:00"),
        ("1:30:01", "01:31:00"),
        ("1-", "1-00:00:00"),
        ("2-3", "2-03:00:00"),
        ("1-2:03", "1-02:03:00"),
        ("1-2:03:04", "1-02:04:00"),
    ],
)
def test_time_limit_forms(slurm: SlurmUnderTest, value: str, shown: str) -> None:
    fields = slurm.show(slurm.sbatch("true", f"--time={value}", "--hold"))
    assert fields is not None
    assert fields["TimeLimit"] == shown
    slurm.run("scancel", fields["JobId"])


@pytest.mark.parametrize(
    ("options", "stderr", "returncode"),
    [
        (
            ["--bogus"],
            "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n",
            255,
        ),
        (["-t", "foo"], "sbatch: error: Invalid --time specification\n", 255),
        (
            ["-p", "nope"],
            f"sbatch: error: invalid partition specified: nope\n{REFUSED}Invalid partition name specified\n",
            1,
        ),
        (
            ["--mem=900G"],
            "sbatch: error: Memory specification can not be satisfied\n"
            f"{REFUSED}Requested node configuration is not available\n",
            1,
        ),
    ],
    ids=["unknown option", "bad time", "bad partition", "too much memory"],
)
def test_refused(slurm: SlurmUnderTest, options: list[str], stderr: str, returncode: int) -> None:
    done = slurm.run("sbatch", *options, slurm.script("true"))
    assert (done.returncode, done.stdout, done.stderr) == (returncode, "", stderr)


def test_missing_script(slurm: SlurmUnderTest) -> None:
    path = slurm.workdir / "nowhere.sh"
    done = slurm.run("sbatch", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sbatch: error: Unable to open file {path}\n"


@pytest.mark.parametrize(
    ("text", "stderr"),
    [
        (
            "echo no shebang\n",
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh\n",
        ),
        ("", "sbatch: error: Batch script is empty!\n"),
        (
            "#!/bin/sh\r\ntrue\r\n",
            "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
            "sbatch: error: instead of expected UNIX line breaks (\\n).\n",
        ),
        (" \n\t\n", "sbatch: error: Batch script contains only whitespace!\n"),
    ],
    ids=["no shebang", "empty", "DOS line breaks", "blank"],
)
def test_not_a_script(slurm: SlurmUnderTest, text: str, stderr: str) -> None:
    path = slurm.workdir / "odd.sh"
    path.write_text(text, newline="")
    done = slurm.run("sbatch", path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", stderr)


@pytest.mark.parametrize(
    ("option", "reason"), [("--hold", "JobHeldUser"), ("--begin=now+1hour", "BeginTime")], ids=["held", "begins later"]
)
def test_accepted_but_not_started(slurm: SlurmUnderTest, option: str, reason: str) -> None:
    job_id = slurm.sbatch("true", option)
    assert slurm.wait(job_id, ["PENDING"])["Reason"] == reason
    assert slurm.run("scancel", job_id).returncode == 0
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


@pytest.mark.parametrize("option", ["-N99", "-n9999"])
def test_more_than_there_is(slurm: SlurmUnderTest, option: str) -> None:
    """Newer Slurms refuse it; with older ones the job waits for ever."""
    done = slurm.run("sbatch", "--parsable", option, slurm.script("true"))
    if slurm.at_least("24.11"):
        assert (done.returncode, done.stderr) == (1, f"{REFUSED}Requested node configuration is not available\n")
        return
    job_id = done.stdout.strip()
    # The first look at the job says PartitionConfig, and a later one of the backfill scheduler may say the other.
    assert slurm.wait(job_id, ["PENDING"])["Reason"] in ("PartitionConfig", "PartitionNodeLimit")
    slurm.run("scancel", job_id)
