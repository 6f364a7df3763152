"""What the differential machine has found: one test for each disagreement that there was between the fake and a real Slurm."""

from __future__ import annotations

import os

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

REFUSED = "sbatch: error: Batch job submission failed: "


def held(slurm: SlurmUnderTest, *options: str) -> str:
    return slurm.sbatch("true", "--hold", *options)


def listed(slurm: SlurmUnderTest, ids: list[str], *options: str) -> list[str]:
    done = slurm.run("squeue", "-h", "-t", "all", "-j", ",".join(ids), "-o", "%i", *options)
    assert done.returncode == 0, done
    return done.stdout.split()


# sbatch


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "sbatch: error: Batch script is empty!\n"),
        ("#!/bin/sh\r\ntrue\n", "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"),
        ("#!/bin/sh\n#SBATCH --time=foo\n", "sbatch: error: Invalid --time specification\n"),
        (None, "sbatch: error: Unable to open file a.sh\n"),
    ],
)
def test_values_of_the_command_line_are_looked_at_before_the_script(
    slurm: SlurmUnderTest, content: str | None, complaint: str
) -> None:
    if content is not None:
        (slurm.workdir / "a.sh").write_text(content, newline="")
    assert (
        slurm.run("sbatch", "--mem-per-cpu=foo", "a.sh").stderr
        == "sbatch: error: Invalid --mem-per-cpu specification\n"
    )
    assert slurm.run("sbatch", "a.sh").stderr.startswith(complaint)


def test_options_are_understood_one_after_the_other(slurm: SlurmUnderTest) -> None:
    """What is wrong with a value is said before what is wrong with the options behind it, on the line and in the script."""
    done = slurm.run("sbatch", "--mem=foo", "--bogus", "--wrap=true")
    assert (done.returncode, done.stderr) == (255, "sbatch: error: Invalid --mem specification\n")
    (slurm.workdir / "a.sh").write_text("#!/bin/sh\n#SBATCH --mem=foo\n#SBATCH --bogus\n")
    assert slurm.run("sbatch", "a.sh") == done


def test_directives_are_understood_before_the_environment(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "a.sh").write_text("#!/bin/sh\n#SBATCH --mem=foo\n")
    done = slurm.run("sbatch", "a.sh", env={"SBATCH_TIMELIMIT": "bar"})
    assert (done.returncode, done.stderr) == (255, "sbatch: error: Invalid --mem specification\n")


@pytest.mark.parametrize("variable", ["SBATCH_EXCLUSIVE", "SBATCH_NO_KILL"])
def test_an_empty_variable_is_an_option_without_its_value(slurm: SlurmUnderTest, variable: str) -> None:
    done = slurm.run("sbatch", "-H", "--wrap=true", env={variable: ""})
    assert (done.returncode, done.stderr) == (0, "")
    slurm.run("scancel", done.stdout.split()[-1])


@pytest.mark.parametrize(("value", "returncode"), [("off", 0), ("no", 0), ("on", 255)])
def test_no_kill(slurm: SlurmUnderTest, value: str, returncode: int) -> None:
    done = slurm.run("sbatch", "-H", f"--no-kill={value}", "--wrap=true")
    assert done.returncode == returncode
    if returncode == 0:
        slurm.run("scancel", done.stdout.split()[-1])


@pytest.mark.parametrize("value", ["plane", "plane=0", "plane=x", "plane=2:block"])
def test_a_plane_of_no_size(slurm: SlurmUnderTest, value: str) -> None:
    done = slurm.run("sbatch", "-m", value, "--wrap=true")
    size, option = "Invalid plane size or size not specified", "Invalid --distribution specification"
    assert (done.returncode, done.stderr) == (255, f"sbatch: error: {size}\nsbatch: error: {option}\n")


@pytest.mark.parametrize("value", ["block:foo", "block:block:block:block", "cyclic:plane", "blocky", ""])
def test_distributions_that_there_are_not(slurm: SlurmUnderTest, value: str) -> None:
    done = slurm.run("sbatch", "-m", value, "--wrap=true")
    assert (done.returncode, done.stderr) == (255, "sbatch: error: Invalid --distribution specification\n")


@pytest.mark.parametrize("directory", ["sub", "missing"])
def test_the_script_is_found_where_sbatch_is_called(slurm: SlurmUnderTest, directory: str) -> None:
    """Not in the job's directory, nor on PATH: then it is the file of that name here, and shown as it was given."""
    (slurm.workdir / "sub").mkdir()
    (slurm.workdir / "a.sh").write_text("#!/bin/sh\n")
    done = slurm.run("sbatch", "-H", "--parsable", f"--chdir={directory}", "a.sh")
    assert (done.returncode, done.stderr) == (0, "")
    job_id = done.stdout.strip()
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%o %j").stdout == "a.sh a.sh\n"
    slurm.run("scancel", job_id)


@pytest.mark.parametrize(("wanted", "excluded"), [("n1", "n1"), ("n[1-4]", "n2"), ("n1", "n[1-4]")])
def test_a_node_that_is_wanted_and_excluded(slurm: SlurmUnderTest, wanted: str, excluded: str) -> None:
    first = int(held(slurm))
    done = slurm.run("sbatch", "-H", "-w", wanted, "-x", excluded, "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"{REFUSED}Invalid node name specified\n")
    assert int(held(slurm)) == first + 1


def test_after_some_minutes_also_of_a_job_that_has_ended(slurm: SlurmUnderTest) -> None:
    before = slurm.sbatch("exit 1")
    slurm.wait(before)
    waiting = slurm.sbatch("true", f"--dependency=after:{before}+1")
    assert slurm.run("squeue", "-h", "-j", waiting, "-o", "%T %E").stdout == f"PENDING after:{before}+1(unfulfilled)\n"


@pytest.mark.parametrize("option", ["begin", "deadline"])
@pytest.mark.parametrize("value", ["", " "])
def test_no_moment(slurm: SlurmUnderTest, option: str, value: str) -> None:
    done = slurm.run("sbatch", f"--{option}={value}", "--wrap=true")
    assert (done.returncode, done.stderr) == (255, f"sbatch: error: Invalid --{option} specification\n")


def test_deadlines_that_cannot_be_kept(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "--begin=now+2hours", "--deadline=now+1hour", "--wrap=true")
    assert (done.returncode, done.stderr) == (1, "sbatch: error: Incompatible begin and deadline time specification\n")
    first = int(held(slurm))
    done = slurm.run("sbatch", "-H", "--deadline=2020-01-01", "--wrap=true")
    text = f"{REFUSED}Requested time limit is invalid (missing or exceeds some limit)\n"
    assert (done.returncode, done.stderr) == (1, text)
    assert int(held(slurm)) == first + 1


def test_one_question_mark_makes_question_marks_of_the_commas(slurm: SlurmUnderTest) -> None:
    one, other, third = held(slurm), held(slurm), held(slurm)
    waiting = held(slurm, f"--dependency=afterany:{one}?afterok:{other},afterok:{third}")
    text = f"afterany:{one}(unfulfilled)?afterok:{other}(unfulfilled)?afterok:{third}(unfulfilled)\n"
    assert slurm.run("squeue", "-h", "-j", waiting, "-o", "%E").stdout == text
    done = slurm.run("sbatch", "-H", f"--dependency={one}?{other}", "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"{REFUSED}Job dependency problem\n")


@pytest.mark.parametrize(
    ("line", "variable", "memory"),
    [
        ("--mem=300", "SBATCH_MEM_PER_CPU", "300M"),
        ("--mem-per-cpu=200", "SBATCH_MEM_PER_NODE", "200M"),
    ],
)
def test_memory_of_the_script_replaces_that_of_the_environment(
    slurm: SlurmUnderTest, line: str, variable: str, memory: str
) -> None:
    (slurm.workdir / "a.sh").write_text(f"#!/bin/sh\n#SBATCH {line}\n")
    done = slurm.run("sbatch", "-H", "--parsable", "a.sh", env={variable: "50"})
    assert (done.returncode, done.stderr) == (0, "")
    job_id = done.stdout.strip()
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%m").stdout == f"{memory}\n"
    slurm.run("scancel", job_id)


def test_both_memories_in_the_environment(slurm: SlurmUnderTest) -> None:
    both = {"SBATCH_MEM_PER_CPU": "50", "SBATCH_MEM_PER_NODE": "60"}
    done = slurm.run("sbatch", "-H", "--wrap=true", env=both)
    text = "SLURM_MEM_PER_CPU, SLURM_MEM_PER_GPU, and SLURM_MEM_PER_NODE are mutually exclusive."
    assert (done.returncode, done.stderr) == (1, f"sbatch: fatal: {text}\n")


def test_quiet_in_the_script_is_not_heard(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "a.sh").write_text("#!/bin/sh\n#SBATCH --quiet --hold\n")
    done = slurm.run("sbatch", "a.sh")
    assert done.stdout.startswith("Submitted batch job ")
    slurm.run("scancel", done.stdout.split()[-1])


def test_the_name_of_a_script_from_stdin(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sbatch", "--parsable", "--output=o-%x", stdin="#!/bin/sh\n")
    slurm.wait(done.stdout.strip())
    assert [path.name for path in slurm.workdir.glob("o-*")] == ["o-sbatch" if slurm.at_least("24.11") else "o-(null)"]


def test_a_held_job_is_eligible_when_it_may_begin(slurm: SlurmUnderTest) -> None:
    fields = slurm.show(held(slurm, "--begin=2035-01-01"))
    assert fields is not None
    assert {fields[name] for name in ("EligibleTime", "StartTime")} == {"2035-01-01T00:00:00"}


@pytest.mark.parametrize(("options", "nodes"), [(("-N1-4",), "1"), (("-N1-4", "-c2"), "1"), (("-N2-4",), "2")])
def test_nodes_by_tasks_per_node(slurm: SlurmUnderTest, options: tuple[str, ...], nodes: str) -> None:
    """In 22.05 a range of nodes ends at the tasks that its least number would have."""
    job_id = slurm.sbatch("true", "--ntasks-per-node=1", *options)
    assert slurm.wait(job_id)["NumNodes"] == ("4" if slurm.at_least("24.11") else nodes)


def test_a_job_that_excludes_every_node(slurm: SlurmUnderTest) -> None:
    """Then nothing is said of what else does not fit."""
    done = slurm.run("sbatch", "-c4", "--ntasks-per-node=2", "-x", "n[1-4]", "--wrap=true")
    assert (done.returncode, done.stderr) == (1, f"{REFUSED}Requested node configuration is not available\n")


@pytest.mark.parametrize("size", ["-n17", "-N5"])
@pytest.mark.parametrize("misfit", ["--tmp=100", "-c5", "--mem=1T", "--mincpus=5", "--exclude=n[1-4]"])
def test_more_than_the_partition_has_and_than_a_node_has(slurm: SlurmUnderTest, size: str, misfit: str) -> None:
    """22.05 looks at the partition first, and there the job may wait."""
    done = slurm.run("sbatch", "--parsable", size, misfit, "--wrap=true")
    assert done.returncode == slurm.at_least("24.11")
    if slurm.at_least("24.11"):
        assert done.stderr.endswith(f"{REFUSED}Requested node configuration is not available\n")
    else:
        job_id = done.stdout.strip()
        reason = slurm.run("squeue", "-h", "-j", job_id, "-o", "%r").stdout.strip()
        assert reason in ("None", "PartitionConfig", "PartitionNodeLimit")
        slurm.run("scancel", job_id)


@pytest.mark.parametrize("options", [("-n1", "-N2"), ("-n1", "-N2-3"), ("-n1", "-w", "n1,n2")])
def test_fewer_tasks_than_nodes(slurm: SlurmUnderTest, options: tuple[str, ...]) -> None:
    done = slurm.run("sbatch", "-H", "--parsable", *options, "--wrap=true")
    word = "warning" if slurm.at_least("24.11") else "Warning"
    text = f"sbatch: {word}: can't run 1 processes on 2 nodes, setting nnodes to 1\n"
    assert (done.returncode, done.stderr) == (0, text)
    slurm.run("scancel", done.stdout.strip())


def test_a_held_job_whose_dependency_fails_is_held(slurm: SlurmUnderTest) -> None:
    before = slurm.sbatch("true")
    waiting = held(slurm, f"--dependency=afternotok:{before}")
    slurm.wait(before)
    assert slurm.run("squeue", "-h", "-j", waiting, "-o", "%r").stdout == "JobHeldUser\n"
    slurm.run("scontrol", "release", waiting)
    until(
        lambda: slurm.run("squeue", "-h", "-j", waiting, "-o", "%r").stdout == "DependencyNeverSatisfied\n",
        what="DependencyNeverSatisfied",
    )


# squeue


def test_the_header_comes_before_a_bad_sort(slurm: SlurmUnderTest) -> None:
    done = slurm.run("squeue", "-S", "Z", "-o", "%i")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "JOBID\n",
        "squeue: error: Invalid sort specification: Z\n",
    )


def test_filters_are_looked_at_before_the_jobs(slurm: SlurmUnderTest) -> None:
    done = slurm.run("squeue", "-j", "999999", "-w", "n9")
    assert (done.returncode, done.stderr) == (1, "squeue: error: Invalid node name n9\n")


def test_the_order_of_jobs_whose_start_is_known(slurm: SlurmUnderTest) -> None:
    """What a sort leaves alike is in this order: the latest start first, then those without one, the youngest first."""
    begins = ["", "2035-01-01", "", "2036-01-01", "2034-01-01", "2035-01-01", ""]
    ids = [held(slurm, *([f"--begin={begin}"] if begin else [])) for begin in begins]
    assert listed(slurm, ids) == [ids[number] for number in (3, 1, 5, 4, 6, 2, 0)]
    assert listed(slurm, ids, "-S", "S") == [ids[number] for number in (4, 1, 5, 3, 0, 2, 6)]
    assert listed(slurm, ids, "-S", "-S") == [ids[number] for number in (3, 1, 5, 4, 0, 2, 6)]


def test_an_unknown_job_that_is_named_twice(slurm: SlurmUnderTest) -> None:
    done = slurm.run("squeue", "-h", "-j", "999999,999999")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("letter", ["v", "E", "f", "w"])
@pytest.mark.parametrize(
    ("width", "text"), [("", "(null)"), (".5", "(null"), ("5", " " * 5), ("6", "(null)"), ("1", " ")]
)
def test_nothing_in_a_narrow_column(slurm: SlurmUnderTest, letter: str, width: str, text: str) -> None:
    job_id = held(slurm)
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", f"%{width}{letter}|").stdout == f"{text}|\n"


def test_reasons_are_cut_where_nodes_are_not(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm)
    assert slurm.run("squeue", "-j", job_id, "-o", "%.5R|").stdout == "NODELIST(REASON)|\n(JobH|\n"


# sinfo


@pytest.mark.parametrize("options", [("-o", "%5f|%.5f|%.5N|"), ("-O", "Features:5|,Features:.5|,NodeList:.5|")])
def test_narrow_columns_of_sinfo(slurm: SlurmUnderTest, options: tuple[str, ...]) -> None:
    assert slurm.run("sinfo", *options).stdout == "AVAIL|AVAIL|NODELIST|\n     |(null|n[1-4|\n"


@pytest.mark.parametrize("letter", list("aBghIlLMprsS"))
def test_no_row_for_a_partition_without_such_nodes(slurm: SlurmUnderTest, letter: str) -> None:
    assert slurm.run("sinfo", "-h", "-t", "down", "-o", f"%{letter}").stdout == ""


def test_a_row_where_the_name_of_the_partition_is_shown(slurm: SlurmUnderTest) -> None:
    assert slurm.run("sinfo", "-h", "-t", "down", "-o", "%R %p").stdout == "debug 1\n"


@pytest.mark.parametrize("argv", [["-l", "-O", "cpus"], ["-O", "cpus", "-l"], ["-Nl", "-O", "cpus"]])
def test_long_lists_have_no_format(slurm: SlurmUnderTest, argv: list[str]) -> None:
    done = slurm.run("sinfo", *argv)
    text = "Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry."
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"sinfo: fatal: {text}\n")


# sacct


@pytest.mark.parametrize("options", [["-b", "-o", "Partition"], ["-o", "Partition", "-b"]])
def test_brief_comes_last(slurm: SlurmUnderTest, options: list[str]) -> None:
    assert slurm.run("sacct", "-P", "-j", "999999", *options).stdout == "Partition|JobID|State|ExitCode\n"


def test_dates_are_cut_between_delimiters_too(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true")
    time = slurm.wait(job_id)["SubmitTime"]
    shown = time if slurm.at_least("24.11") else time[:4]
    assert slurm.accounted(job_id, "Submit%4", "-X") == [{"Submit%4": shown}]


# scontrol


@pytest.mark.parametrize(("command", "returncode"), [("hostnames", 0), ("hostlist", 1), ("hostlistsorted", 1)])
def test_a_range_that_goes_backwards(slurm: SlurmUnderTest, command: str, returncode: int) -> None:
    done = slurm.run("scontrol", "show", command, "n[5-2]")
    text = "scontrol: error: _parse_single_range: Invalid range: `5-2'\nInvalid hostlist: n[5-2]\n"
    assert (done.returncode, done.stderr) == (returncode, text)


@pytest.mark.parametrize("text", ["{},abc", "abc,{}", "{},1x"])
def test_hold_of_a_list_with_something_else_in_it(slurm: SlurmUnderTest, text: str) -> None:
    argument = text.format(held(slurm))
    done = slurm.run("scontrol", "hold", argument)
    problem = "Invalid job id specified"
    assert (done.returncode, done.stderr) == (1, f"{problem} for job {argument}\nslurm_suspend error: {problem}\n")


@pytest.mark.parametrize("verb", ["hold", "uhold", "release"])
def test_hold_of_a_job_that_is_too_large(slurm: SlurmUnderTest, verb: str) -> None:
    job_id = held(slurm, "-n17")
    done = slurm.run("scontrol", verb, job_id)
    problem = "Requested partition configuration not available now"
    assert (done.returncode, done.stderr) == (1, f"{problem} for job {job_id}\nslurm_suspend error: {problem}\n")


def test_what_hold_complains_of_it_does_nevertheless(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm, "-n17")
    assert slurm.run("scontrol", "hold", job_id).returncode == 1
    fields = slurm.show(job_id)
    assert fields is not None
    assert (fields["Reason"], fields["Priority"]) == ("JobHeldAdmin", "0")
    assert slurm.run("scontrol", "release", job_id).returncode == 1
    until(lambda: (slurm.show(job_id) or {})["Reason"] == "PartitionConfig", what="the reason PartitionConfig")


def test_a_job_that_was_held_while_it_ran_keeps_that_reason(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.02; done")
    slurm.wait(job_id, ["RUNNING"])
    assert slurm.run("scontrol", "hold", job_id).returncode == 0
    (slurm.workdir / "go").touch()
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["Reason"]) == ("COMPLETED", "JobHeldAdmin")


# Environments


def test_the_command_of_a_script_with_arguments(slurm: SlurmUnderTest) -> None:
    path = slurm.script("true")
    job_id = slurm.run("sbatch", "--parsable", "--hold", str(path), "a", "").stdout.strip()
    command = f"{path}" if slurm.at_least("24.11") else f"{path} a "
    assert f"\n   Command={command}\n" in slurm.run("scontrol", "show", "job", job_id).stdout
    assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%o").stdout == f"{command}\n"
    slurm.run("scancel", job_id)


@pytest.mark.parametrize("chdir", [".", "sub/../sub", "sub/", "./sub", "", "/tmp/."])
def test_the_directory_of_a_job_is_as_it_was_said(slurm: SlurmUnderTest, chdir: str) -> None:
    job_id = held(slurm, "-D", chdir)
    directory = chdir if chdir.startswith("/") else f"{slurm.workdir}/{chdir}"
    report = slurm.run("scontrol", "show", "job", job_id).stdout
    assert f"\n   WorkDir={directory}\n" in report
    assert f"\n   StdOut={directory}/slurm-{job_id}.out\n" in report


@pytest.mark.parametrize(
    ("options", "shows"),
    [
        (["--kill-on-invalid-dep=yes"], ["KillOInInvalidDependent=Yes"]),
        (["--kill-on-invalid-dep=no"], ["KillOInInvalidDependent=No"]),
        (
            ["--kill-on-invalid-dep=no", "--kill-on-invalid-dep=yes"],
            ["KillOInInvalidDependent=Yes{}KillOInInvalidDependent=No"],
        ),
        (
            ["--mail-type=END", "--mail-type=NONE", "--spread-job", "--mail-type=fail,,x", "--kill-on-invalid-dep=no"],
            ["KillOInInvalidDependent=No{}SpreadJob=Yes", "MailUser=root MailType=END,FAIL"],
        ),
        (["--mail-user=you,me", "--mail-type=ARRAY_TASKS"], ["MailUser=you,me MailType=ARRAY_TASKS"]),
        (["--mail-user=you", "--mail-type=ALL,NONE"], []),
        (["--mail-user=you"], []),
    ],
)
def test_the_end_of_what_is_shown_of_a_job(slurm: SlurmUnderTest, options: list[str], shows: list[str]) -> None:
    job_id = held(slurm, *options)
    lines = slurm.run("scontrol", "show", "job", job_id).stdout.rstrip().splitlines()
    before = "StdOut" if slurm.at_least("24.11") else "Power"
    end = lines[1 + next(index for index, line in enumerate(lines) if line.startswith(f"   {before}=")) :]
    assert [line.strip() for line in end] == [line.format("," if slurm.at_least("24.11") else "") for line in shows]


@pytest.mark.parametrize("text", ["", ",", "bogus"])
def test_types_of_mail_that_there_are_not(slurm: SlurmUnderTest, text: str) -> None:
    done = slurm.run("sbatch", "--hold", f"--mail-type={text}", "--wrap=true")
    assert (done.returncode, done.stderr) == (255, "sbatch: error: Invalid --mail-type specification\n")


def test_an_empty_constraint_is_shown_as_such(slurm: SlurmUnderTest) -> None:
    for options, text in ((["-C", ""], ""), ([], "(null)")):
        job_id = held(slurm, *options)
        for _ in range(2):
            assert slurm.run("squeue", "-h", "-j", job_id, "-o", "%f").stdout == f"{text}\n"
            assert f"Features={text} DelayBoot" in slurm.run("scontrol", "show", "job", job_id).stdout
            slurm.run("scontrol", "update", f"jobid={job_id}", "features=")


def test_account_and_qos_that_there_are_not(slurm: SlurmUnderTest) -> None:
    """slurmdbd gives root its own account, and no QOS instead of one that does not exist."""
    job_id = slurm.sbatch('echo "$SLURM_JOB_ACCOUNT ${SLURM_JOB_QOS-unset}"', "-Anope", "-qnope", "--output=out.txt")
    slurm.wait(job_id)
    if os.getuid() == 0:
        assert slurm.output("out.txt") == "root unset\n"


@pytest.mark.parametrize("export", ["NIL", "nil", "NONE"])
def test_nothing_of_a_login(slurm: SlurmUnderTest, export: str) -> None:
    """24.11 knows NIL; before that it is as NONE."""
    body = 'echo "${USER-unset} ${HOME-unset} ${SLURM_GET_USER_ENV-unset} $SLURM_EXPORT_ENV"'
    slurm.wait(slurm.sbatch(body, f"--export={export}", "--output=out.txt"))
    bare = export != "NONE" and slurm.at_least("24.11")
    words = until(lambda: slurm.output("out.txt").split(), what="its output")
    assert words[2:] == ["unset" if bare else "1", export]
    assert (words[:2] == ["unset", "unset"]) is bare


def test_no_variable_of_a_locale_appears(slurm: SlurmUnderTest) -> None:
    """Where nobody has set LC_CTYPE, the tasks of srun have none, although the locale is C."""
    body = "srun sh -c 'echo \"${LC_CTYPE-unset}\"'\nLC_CTYPE=C.UTF-8 srun sh -c 'echo $LC_CTYPE'"
    job_id = slurm.sbatch(body, "--output=out.txt", only_env={"LANG": "C"})
    slurm.wait(job_id)
    assert slurm.output_of_steps("out.txt") == "unset\nC.UTF-8\n"
