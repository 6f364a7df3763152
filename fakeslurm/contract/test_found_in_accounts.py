"""What the differential machine found out by asking much: sacct's options, fields, widths and complaints."""

from __future__ import annotations

import json
import re

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["-j", "abc", "--units=x"], "sacct: fatal: Bad job/step specified: abc"),
        (["--units=x", "-j", "abc"], "sacct: error: Invalid unit type 'x'. Possible options are 'KMGTP'"),
        (["-j", "1", "-j", "abc"], "sacct: fatal: Bad job/step specified: abc"),
        (["-s", "nope", "-j", "abc"], "sacct: fatal: unrecognized job state value 'nope'"),
        (["-h", "-j", "abc"], "sacct: fatal: Bad job/step specified: abc"),
        (["-h", "extra"], "sacct: error: Unknown arguments:"),
        (["-e", "-o", "bogus"], 'sacct: error: Invalid field requested: "bogus"'),
        (["extra", "-o", "bogus"], 'sacct: error: Invalid field requested: "bogus"'),
        (["-o", "bogus", "-E", "2001-01-01"], "sacct: error: Start time ("),
        (["-l", "-o", "jobid", "-E", "2001-01-01"], "sacct: fatal: Options -o(--format) and -l(--long)"),
        (["-K", "foo"], "sacct: fatal: Invalid time limit specification"),
        (["-i", "2-"], 'sacct: error: Invalid numeric value "2-" for requested node range.'),
        (["--whole-hetjob=foo"], 'sacct: error: Invalid --whole-hetjob value "foo". Valid values: [yes|no].'),
        (["-j", "8_[1-3].foo"], "sacct: fatal: Bad step specified: 8_[1-3]"),
        (["-j", "abc", "--bogus"], "sacct: fatal: Bad job/step specified: abc"),
        (["-q", "nope", "-j", "abc"], "sacct: fatal: Bad job/step specified: abc"),
        (["-q", "nope", "-E", "2001-01-01"], "sacct: error: Start time ("),
        (["-q", "nope", "-o", "bogus"], "sacct: error: You gave a bad qos 'nope'. Valid QOS's are normal"),
        (["-q", "nope", "-l", "-o", "jobid"], "sacct: fatal: Options -o(--format) and -l(--long)"),
    ],
)
def test_what_sacct_complains_about_first(slurm: SlurmUnderTest, argv: list[str], complaint: str) -> None:
    done = slurm.run("sacct", *argv)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(complaint)


def accounted(slurm: SlurmUnderTest, *options: str, body: str = "true") -> str:
    """The id of a job that has ended, once accounting has all of it."""
    job_id = slurm.sbatch(body, *options)
    slurm.wait(job_id)
    slurm.accounted(job_id, "JobID")
    argv = ("sacct", "-n", "-P", "-X", "-j", job_id, "-o", "JobName,State")
    until(lambda: slurm.run(*argv).stdout == "named|COMPLETED\n", what="the whole record", interval=0.1)
    return job_id


def test_filters_of_sacct(slurm: SlurmUnderTest) -> None:
    job_id = accounted(slurm, "-J", "named", "-t", "5", "-N2", "-n2")
    rows = {
        **{"--name=NAMED": True, "--name=other --name=named": True, "-r DEBUG": True, "-r nope": False},
        **{"-A ROOT": True, "-A nope -A root": True, "-q NORMAL": True, "-W ''": True, "-s ''": True, "-S ''": True},
        **{"-i 0": True, "-i 2-1": False, "-I 1-2-3": True, "-i 1k": False, "-K 1": True, "-k 5": True, "-k 1": False},
        **{
            "-M THROWAWAY -M nope": slurm.kind != "real",
            "-M all": True,
            "-M nope -L": True,
            "-u -1": True,
            "-u ''": False,
        },
    }
    rows.pop("-M THROWAWAY -M nope")
    found = {}
    for options in rows:
        words = [word.strip("'") for word in options.split()]
        found[options] = slurm.run("sacct", "-nXP", "-j", job_id, "-o", "jobid", *words).stdout == f"{job_id}\n"
    assert found == rows


def test_a_field_has_one_width(slurm: SlurmUnderTest) -> None:
    job_id = accounted(slurm, "-J", "named", "--wckey=ünïc")
    argv = ("sacct", "-n", "-X", "-j", job_id, "-o")
    assert slurm.run(*argv, "jobname%20,jobname,jobname%4").stdout == "nam+ nam+ nam+ \n"
    assert slurm.run(*argv, "alloccpus,alloccpus%0").stdout == "1 1 \n"
    assert slurm.run(*argv, "jobname%-7,state%").stdout == "named    \n"
    # As atoi reads it; at 0 a number takes its place, be it only a blank.
    assert slurm.run(*argv, "jobname%7x,alloccpus% 3,partition%+3").stdout == "  named   1 de+ \n"
    assert slurm.run(*argv, "ntasks%0,reqnodes%0,allocnodes%x,gid%,state%-3").stdout == "    0 CO+ \n"
    # Of a number of nodes there are few thousands.
    assert slurm.run(*argv, "reqnodes,allocnodes,nnodes", "--units=K", "-P").stdout == "0.00K|1|1\n"
    # Bytes are counted.
    submit_line = slurm.run(*argv, "submitline%60").stdout
    assert "ünïc" in submit_line
    assert len(submit_line.encode()) == 62


def test_dates_that_are_too_wide(slurm: SlurmUnderTest) -> None:
    job_id = accounted(slurm, "-J", "named")
    year = slurm.accounted(job_id, "Submit", "-X")[0]["Submit"][:4]
    done = slurm.run("sacct", "-n", "-X", "-j", job_id, "-o", "submit%4,end%-5")
    assert done.stdout == ("#### ##### \n" if slurm.at_least("24.11") else f"{year} {year}- \n")


def test_jobs_that_were_pending_have_no_steps(slurm: SlurmUnderTest) -> None:
    job_id = accounted(slurm, "-J", "named", "-b", "now+2")
    argv = ("sacct", "-n", "-P", "-j", job_id, "-o", "JobID")
    assert slurm.run(*argv, "-s", "PD").stdout == f"{job_id}\n"
    assert slurm.run(*argv, "-s", "PD,R").stdout.split() in ([job_id], [job_id, f"{job_id}.batch"])


def test_array_of_sacct(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "--array=1-7:2%2")
    argv = ("sacct", "-n", "-X", "-P", "-j", job_id, "-o", "JobID,JobIDRaw,State")
    whole = f"{job_id}_[1,3,5,7%2]|{job_id}|PENDING\n"
    until(lambda: slurm.run(*argv).stdout == whole, what="the array in accounting", interval=0.1)
    done = slurm.run(*argv, "--array")
    if slurm.at_least("24.11"):
        assert done.stdout == "".join(f"{job_id}_{task}|{job_id}|PENDING\n" for task in (1, 3, 5, 7))
    else:
        assert (done.returncode, done.stderr) == (1, "sacct: unrecognized option '--array'\n")
    slurm.run("scancel", job_id)


def test_elements_that_accounting_is_not_told_of(slurm: SlurmUnderTest) -> None:
    """24.11 tells of those that start or become something else; what is left of the array has lost the name of its output."""
    job_id = slurm.sbatch("true", "--hold", "-J", "named", "--array=1-3")
    slurm.run("scontrol", "hold", f"{job_id}_1")
    slurm.run("scontrol", "update", f"jobid={job_id}_2", "name=other")
    new = slurm.at_least("24.11")
    rows = [f"{job_id}_1|named", f"{job_id}_2|other", f"{job_id}_3|named"][new:]
    argv = ("sacct", "-nXP", "-j", job_id, "-o")
    until(lambda: slurm.run(*argv, "JobID,JobName").stdout.split() == rows, what="the rows of sacct", interval=0.1)
    if new:
        files = [f"{slurm.workdir}/slurm-%A_%a.out", "(null)/slurm-%A_%a.out"]
        assert slurm.run(*argv, "StdOut").stdout.split() == files
        slurm.run("scancel", f"{job_id}_1")
        slurm.run("scontrol", "requeuehold", f"{job_id}_1")
        row = f"{job_id}_1|PENDING"
        until(lambda: row in slurm.run(*argv, "JobID,State").stdout, what="what was requeued", interval=0.1)
        assert slurm.run(*argv, "JobID,State", "-D").stdout.count(f"{job_id}_1|") == 1
    slurm.run("scancel", job_id)


@pytest.mark.parametrize("asked", ["--time=UNLIMITED", "--time=5", "--hold"])
def test_a_limit_that_is_none_is_told_before_the_job_starts(slurm: SlurmUnderTest, asked: str) -> None:
    """Of a job that says nothing accounting hears of the limit when it starts."""
    job_id = slurm.sbatch("true", "--hold", asked)
    if asked == "--time=5":
        slurm.run("scontrol", "update", f"jobid={job_id}", "timelimit=UNLIMITED")
    words = "Partition_Limit|Partition_Limit" if asked == "--hold" else "UNLIMITED|UNLIMITED"
    argv = ("sacct", "-nXP", "-j", job_id, "-o", "timelimit,timelimitraw")
    until(lambda: slurm.run(*argv).stdout == f"{words}\n", what=f"{words} in accounting", interval=0.1)
    slurm.run("scancel", job_id)


def test_a_qos_that_there_is_not(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-q", "nope")
    argv = ("sacct", "-nXP", "-j", job_id, "-o", "qos,qosraw")
    until(lambda: slurm.run(*argv).stdout == "Unknown|0\n", what="the job in accounting", interval=0.1)
    assert slurm.run(*argv, "-q", "normal").stdout == ""
    slurm.run("scancel", job_id)


def test_a_job_without_a_name(slurm: SlurmUnderTest) -> None:
    """Accounting gives it one."""
    job_id = slurm.sbatch("true", "--hold", "-J", "")
    argv = ("sacct", "-nXP", "-j", job_id, "-o", "jobname")
    until(lambda: slurm.run(*argv).stdout == "allocation\n", what="the name in accounting", interval=0.1)
    assert slurm.run(*argv, "--name=ALLOCATION").stdout == "allocation\n"
    assert slurm.run(*argv, "--name=").stdout == ""
    slurm.run("scancel", job_id)


def test_energy(slurm: SlurmUnderTest) -> None:
    """There is none, which is said of each step that has ended, and of jobs that have had steps of srun."""
    job_id = slurm.sbatch("srun true")
    alone = accounted(slurm, "-J", "named")
    slurm.wait(job_id)
    fields = "jobid,consumedenergy,tresusageinave,tresusageintot,tresusageoutave,tresusageouttot,tresusageinmax"
    argv = ("sacct", "-nP", "-j", f"{job_id},{alone}", "-o", fields)
    of_step = "|0|energy=0|energy=0|energy=0|energy=0|"
    rows = [f"{job_id}|0|||||", f"{job_id}.batch{of_step}", f"{job_id}.0{of_step}"]
    rows += [f"{alone}||||||", f"{alone}.batch{of_step}"]
    until(lambda: slurm.run(*argv).stdout.splitlines() == rows, what="the energy of all steps", interval=0.1)


def test_fields_of_the_environment(slurm: SlurmUnderTest) -> None:
    """SACCT_FORMAT stands in for --format."""
    job_id = accounted(slurm, "-J", "named")
    done = slurm.run("sacct", "-X", "-P", "-j", job_id, env={"SACCT_FORMAT": "jobid,state"})
    assert done.stdout == f"JobID|State\n{job_id}|COMPLETED\n"


def test_a_het_job_that_waits(slurm: SlurmUnderTest) -> None:
    """24.11 does not know of a job that has not started what it belongs to."""
    script = slurm.script("true", shebang="#!/bin/sh\n#SBATCH -H -n1\n#SBATCH hetjob\n#SBATCH -n2")
    done = slurm.run("sbatch", "--parsable", script)
    leader = int(done.stdout)

    def labels(asked: str) -> list[str]:
        return slurm.run("sacct", "-nXP", "-o", "JobID", "-j", asked).stdout.split()

    new = slurm.at_least("24.11")
    expected = [f"{leader}"] if new else [f"{leader}+0", f"{leader}+1"]
    until(lambda: labels(f"{leader}") == expected, what=f"sacct shows {expected}", interval=0.1)
    assert labels(f"{leader + 1}") == [f"{leader + 1}" if new else f"{leader}+1"]
    assert labels(f"{leader}+1") == ([] if new else [f"{leader}+1"])
    slurm.run("scancel", f"{leader}")


def test_a_job_that_is_held_as_it_runs_has_not_waited_for_that(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.02; done")
    slurm.wait(job_id, ["RUNNING"])
    assert slurm.run("scontrol", "hold", job_id).returncode == 0
    (slurm.workdir / "go").touch()
    assert slurm.wait(job_id)["Reason"] == "JobHeldAdmin"
    assert slurm.accounted(job_id, "State,Reason", "-X") == [{"State": "COMPLETED", "Reason": "None"}]


def _look(slurm: SlurmUnderTest) -> None:
    """Let Slurm look at all that waits: it does so when a job comes and when one ends, but not always at once."""
    for _ in range(2):
        slurm.wait(slurm.sbatch("true", "-n1"))


def _waits_in_accounting(slurm: SlurmUnderTest, job_id: str, reason: str, label: str) -> None:
    """sacct says that this is what it waits for, also after Slurm has looked at all that waits."""

    def reasons() -> list[str]:
        rows = slurm.run("sacct", "-nXP", "-j", job_id, "-o", "State,Reason").stdout.splitlines()
        return sorted({row.partition("|")[2] for row in rows if row.startswith("PENDING|")})

    until(lambda: reasons() == [reason], what=f"{label}: {reason}", timeout=15, interval=0.1)
    _look(slurm)
    assert reasons() == [reason], label


def test_accounting_is_told_what_a_job_waited_for_before_it_was_changed(slurm: SlurmUnderTest) -> None:
    """Not of every change, and not when what it waits for is another thing alone."""
    first = slurm.sbatch("sleep 100", "-n1")
    job_id = slurm.sbatch("true", "-n1", f"--dependency=afterany:{first}")
    new = "None" if slurm.at_least("24.11") else "Dependency"
    _waits_in_accounting(slurm, job_id, new, "new")
    for words, reason in (
        (["update", f"jobid={job_id}", "Comment=c"], new),
        (["uhold", job_id], "Dependency"),
        (["hold", job_id], "Dependency"),
        (["update", f"jobid={job_id}", "Name=x"], "JobHeldAdmin"),
        (["release", job_id], "JobHeldAdmin"),
        (["update", f"jobid={job_id}", "TimeLimit=5"], "Dependency"),
        (["update", f"jobid={job_id}", "StartTime=now+1hour", "Dependency="], "Dependency"),
        (["update", f"jobid={job_id}", "Nice=5"], "BeginTime"),
    ):
        assert slurm.run("scontrol", *words).returncode == 0
        _waits_in_accounting(slurm, job_id, reason, " ".join(words))
    slurm.run("scancel", job_id, first)
    assert slurm.accounted(job_id, "Reason", "-X") == [{"Reason": "BeginTime"}]


def test_accounting_is_told_of_a_heterogeneous_job_that_is_held(slurm: SlurmUnderTest) -> None:
    script = slurm.script("#SBATCH -n1 --begin=now+1hour\n#SBATCH hetjob\n#SBATCH -n1\ntrue")
    leader = slurm.run("sbatch", "--parsable", str(script)).stdout.strip()

    def rows() -> list[str]:
        return slurm.run("sacct", "-nXP", "-j", leader, "-o", "JobID,Reason").stdout.split()

    until(rows, what="the job in accounting", interval=0.1)
    _look(slurm)
    assert slurm.run("scontrol", "hold", leader).returncode == 0
    until(lambda: rows() == [f"{leader}+{offset}|BeginTime" for offset in (0, 1)], what="accounting", interval=0.1)
    slurm.run("scancel", leader)


def test_accounting_is_told_what_an_array_waited_for(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("sleep 100", "-n1", "-a", "1-4%1")
    slurm.wait(f"{array}_1", ["RUNNING"])
    _look(slurm)
    for words, reason in (
        (["uhold", array], "JobArrayTaskLimit"),
        (["update", f"jobid={array}", "Name=x"], "JobHeldUser"),
        (["release", array], "JobHeldUser"),
        (["update", f"jobid={array}", "Name=y"], "JobArrayTaskLimit"),
    ):
        slurm.run("scontrol", *words)
        _waits_in_accounting(slurm, array, reason, " ".join(words))
    slurm.run("scancel", array)


def test_accounting_is_told_of_an_element_that_is_held(slurm: SlurmUnderTest) -> None:
    """And of the others that they are fewer."""
    first = slurm.sbatch("sleep 100", "-n1")
    array = slurm.sbatch("true", "-n1", "-a", "1-4", f"--dependency=afterany:{first}")
    _look(slurm)

    def rows() -> list[str]:
        return sorted(slurm.run("sacct", "-nXP", "-j", array, "-o", "JobID").stdout.split())

    until(rows, what="the array in accounting", interval=0.1)
    assert slurm.run("scontrol", "uhold", f"{array}_3").returncode == 0
    until(lambda: rows() == [f"{array}_3", f"{array}_[1-2,4]"], what="accounting", interval=0.1)
    slurm.run("scancel", array, first)


def test_a_held_job_of_no_nodes_has_no_tres(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-N0")
    report = slurm.run("scontrol", "show", "job", job_id).stdout
    assert re.findall(r"\S*TRES=\S+", report) == (
        ["ReqTRES=(null)", "AllocTRES=(null)"] if slurm.at_least("24.11") else ["TRES=(null)"]
    )
    assert slurm.run("squeue", "-h", "-j", job_id, "-O", "tres-alloc:4").stdout == "N/A \n"

    def row(*options: str) -> str:
        return slurm.run("sacct", "-nXP", "-j", job_id, "-o", "ReqTRES,ReqMem,ReqNodes", *options).stdout

    until(row, what="the job in accounting", interval=0.1)
    memory = {
        (): "16?",
        ("--noconvert",): "18446744073709551616.00M",
        ("--units=K",): "18889465931478580854784.00K",
        ("--units=G",): "18014398509481984G",
    }
    for options, text in memory.items():
        assert row(*options) == f"|{'0' if slurm.at_least('24.11') else text}|0\n"


@pytest.mark.parametrize("words", ["squeue", "squeue -j ID", "scontrol show job ID_2"])
def test_accounting_hears_of_elements_that_are_cancelled_when_somebody_asks(slurm: SlurmUnderTest, words: str) -> None:
    job_id = slurm.sbatch("true", "--hold", "--array=0-3")

    def waiting() -> str:
        return slurm.run("sacct", "-nXP", "-j", job_id, "-o", "JobID").stdout.strip()

    until(lambda: waiting() == f"{job_id}_[0-3]", what="the array in accounting", interval=0.1)
    slurm.run("scancel", f"{job_id}_0")
    slurm.run(*words.replace("ID", job_id).split())
    until(lambda: waiting() == f"{job_id}_[1-3]", what="the other elements in accounting", interval=0.1)
    slurm.run("scancel", job_id)


def test_accounting_hears_no_more_of_an_array_that_is_over(slurm: SlurmUnderTest) -> None:
    """Not either when somebody asks: those that waited last are named."""
    job_id = slurm.sbatch("true", "--hold", "--array=1-4%2")

    def row() -> str:
        return slurm.run("sacct", "-nXP", "-j", job_id, "-o", "JobID,State").stdout

    until(lambda: row().startswith(f"{job_id}_[1-4%2]|"), what="the array in accounting", interval=0.1)
    slurm.run("scancel", f"{job_id}_[1-4]")
    until(lambda: "CANCELLED" in row(), what="the array is over in accounting", interval=0.1)
    assert slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T").stdout == "CANCELLED\n"
    assert row().startswith(f"{job_id}_[1-4%2]|")


def test_steps_of_the_nodes_that_are_asked_for(slurm: SlurmUnderTest) -> None:
    steps = "srun -N1 -n1 -w n1 true; srun -N1 -n1 -w n2 true; srun -N2 true"
    job_id = slurm.sbatch(steps, "-w", "n[1-2]")
    slurm.wait(job_id)
    assert len(slurm.accounted(job_id, "JobID")) == 5

    def rows(nodes: str) -> list[str]:
        return slurm.run("sacct", "-nP", "-j", job_id, "-S", "2001-01-01", "-N", nodes, "-o", "JobID").stdout.split()

    until(lambda: rows("n1"), what="a cluster whose nodes accounting knows", interval=0.1)
    for nodes, ids in {"n1": ["", ".batch", ".0", ".2"], "n[2-4]": ["", ".1", ".2"], "n3": []}.items():
        assert rows(nodes) == [f"{job_id}{one}" for one in ids]


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_the_derived_exit_code_of_a_step_that_ends_after_its_job(slurm: SlurmUnderTest, is_cancelled: bool) -> None:
    """Since 24.11 accounting is told of it; the controller has it in any case."""
    task = "trap 'exit 5' TERM; touch up; while :; do sleep 0.1; done"
    body = f'srun sh -c "{task}" & until [ -e up ]; do sleep 0.05; done; touch ready'
    job_id = slurm.sbatch(f"{body}; {'wait; wait' if is_cancelled else 'exit 3'}", "-o", "/dev/null")
    until((slurm.workdir / "ready").exists, what="the step")
    if is_cancelled:
        slurm.run("scancel", job_id)
    slurm.wait(job_id)
    argv = ("sacct", "-n", "-P", "-j", job_id, "-o", "JobID,ExitCode,DerivedExitCode")
    until(lambda: f"{job_id}.0|5:0|" in slurm.run(*argv).stdout, what="the end of the step", interval=0.1)
    derived = "5:0" if slurm.at_least("24.11") else "0:0"
    assert slurm.run(*argv).stdout.startswith(f"{job_id}|{'0:0' if is_cancelled else '3:0'}|{derived}\n")
    assert "DerivedExitCode=5:0" in slurm.run("scontrol", "-d", "show", "job", job_id).stdout


def derived_exit_codes(slurm: SlurmUnderTest, job_id: str) -> list[str]:
    """Of all attempts, with their states."""
    done = slurm.run("sacct", "-n", "-P", "-X", "-D", "-j", job_id, "-o", "State,DerivedExitCode")
    return [line.replace(" by 0", "") for line in done.stdout.splitlines()]


def test_the_derived_exit_code_of_a_job_that_runs_again(slurm: SlurmUnderTest) -> None:
    """The controller keeps it. Accounting hears of it when an attempt ends, since 24.11 when a step does; while the job waits it has none."""
    job_id = slurm.sbatch("srun sh -c 'exit 5'; touch up; sleep 100", "-o", "/dev/null")
    until((slurm.workdir / "up").exists, what="the end of the step")

    def rows() -> list[str]:
        return derived_exit_codes(slurm, job_id)

    so_far = "RUNNING|5:0" if slurm.at_least("24.11") else "RUNNING|0:0"
    until(lambda: rows() == [so_far], what=f"sacct shows {so_far}")
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    waiting = ["REQUEUED|5:0", "PENDING|0:0"]
    until(lambda: rows() == waiting, what=f"sacct shows {waiting}")
    assert "DerivedExitCode=5:0" in slurm.run("scontrol", "-d", "show", "job", job_id).stdout
    slurm.run("scancel", job_id)
    over = ["REQUEUED|5:0", "CANCELLED|5:0"]
    until(lambda: rows() == over, what=f"sacct shows {over}")


def test_the_derived_exit_code_of_an_attempt_that_is_ended_with_its_step(slurm: SlurmUnderTest) -> None:
    """Since 24.11 the step counts for that attempt; for the next one it does on both."""
    job_id = slurm.sbatch("srun sh -c 'touch up; exec sleep 100'", "-o", "/dev/null")
    until((slurm.workdir / "up").exists, what="the step")
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0

    def rows() -> list[str]:
        return derived_exit_codes(slurm, job_id)

    attempt = "REQUEUED|0:15" if slurm.at_least("24.11") else "REQUEUED|0:0"
    until(lambda: rows() == [attempt, "PENDING|0:0"], what=f"sacct shows {attempt} and PENDING|0:0")
    slurm.run("scancel", job_id)
    until(lambda: rows() == [attempt, "CANCELLED|0:15"], what=f"sacct shows {attempt} and CANCELLED|0:15")


@pytest.mark.parametrize("is_over", [True, False])
def test_the_nodes_of_what_waits_to_run_again(slurm: SlurmUnderTest, is_over: bool) -> None:
    """Those of a job that was over are counted until it runs again; of one that ran, until 24.11, only their number is."""
    job_id = slurm.sbatch("true" if is_over else "sleep 100", "-N1-3", "-o", "/dev/null")
    slurm.wait(job_id, ["COMPLETED" if is_over else "RUNNING"])
    fields = "State,AllocNodes,NNodes,AllocCPUS,AllocTRES,NodeList"
    before = ["COMPLETED" if is_over else "RUNNING", "3", "3", "3", "billing=3,cpu=3,node=3"]

    def row() -> list[str]:
        return slurm.run("sacct", "-n", "-P", "-X", "-j", job_id, "-o", fields).stdout.strip().split("|")

    until(lambda: row()[:5] == before, what="the job in accounting", interval=0.1)
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    until(lambda: row()[0] == "PENDING", what="the next attempt in accounting", interval=0.1)
    waiting = ["3", "3", "3", "billing=3,cpu=3,node=3"]
    if not is_over:
        waiting = ["0", "1", "0", ""] if slurm.at_least("24.11") else ["3", "3", "1", ""]
    assert row()[1:] == [*waiting, "None assigned"]
    for option, found in (
        ("--nnodes=3", not slurm.at_least("24.11")),
        ("--nnodes=0-1", True),
        ("--ncpus=3", is_over),
        ("--ncpus=0-1", True),
    ):
        states = slurm.run("sacct", "-n", "-X", "-D", "-j", job_id, "-o", "State", option).stdout
        assert ("PENDING" in states) == found, option
    slurm.run("scancel", job_id)
    until(lambda: row()[0].startswith("CANCELLED"), what="its end in accounting", interval=0.1)
    assert row()[1:] == [*waiting, "None assigned"]


@pytest.mark.slurm_conf("SelectTypeParameters=CR_Core_Memory", "MinJobAge=2")
def test_accounting_knows_what_the_controller_has_forgotten(slurm: SlurmUnderTest) -> None:
    """Memory and, since 24.11, the names of files are kept by slurmdbd itself."""
    job_id = slurm.sbatch("true", "--mem=100", "-o", "o-%j.txt")
    fields = "State,AllocTRES,ReqTRES" + (",StdOut" if slurm.at_least("24.11") else "")
    argv = ("sacct", "-n", "-P", "-X", "-j", job_id, "-o", fields)
    known = "COMPLETED|billing=1,cpu=1,mem=100M,node=1|billing=1,cpu=1,mem=100M,node=1"
    until(lambda: slurm.run(*argv).stdout.startswith(known), what="the job in accounting", interval=0.1)
    before = slurm.run(*argv).stdout
    until(lambda: slurm.show(job_id) is None, what="its end in the controller", interval=0.2)
    done = slurm.run(*argv)
    assert (done.returncode, done.stdout, done.stderr) == (0, before, "")


@pytest.mark.parametrize("held", [False, True])
def test_accounting_hears_of_elements_whose_priority_is_changed(slurm: SlurmUnderTest, held: bool) -> None:
    """24.11, where it does not hear of an element that is split off: not of one either that is released."""
    options = ["--begin=now+1hour", *(["--hold"] if held else [])]
    told = {
        "hold {}_2": not held,
        "release {}_2": not held,
        "update jobid={}_2 Priority=0": not held,
        "update jobid={}_2 Priority=7": not held,
        "update jobid={}_2 Nice=3": True,
        "update jobid={}_2 Comment=c": False,
        "update jobid={}_2 Comment=c -n3": True,  # which counts its tasks anew
    }
    arrays = {}
    for words in told:
        more = ["-n3", "--ntasks-per-node=2"] if words.endswith("-n3") else []
        arrays[words] = slurm.sbatch("true", "--array=1-3", *options, *more)
    every = ",".join(arrays.values())

    def rows() -> list[str]:
        return slurm.run("sacct", "-nXP", "-o", "jobid", "-j", every).stdout.split()

    until(lambda: len(rows()) == len(told), what="accounting knows all arrays")
    for words, array in arrays.items():
        slurm.run("scontrol", *words.removesuffix(" -n3").format(array).split())
    elements = {f"{array}_2" for words, array in arrays.items() if told[words] or not slurm.at_least("24.11")}
    until(lambda: elements <= set(rows()), what="accounting hears of them")
    assert {row for row in rows() if row.endswith("_2")} == elements


@pytest.mark.parametrize("clusters", ["-L", "-Mall"])
def test_nodes_of_all_clusters(slurm: SlurmUnderTest, clusters: str) -> None:
    """slurmdbd looks for nodes in one cluster only, and finds nothing otherwise, but for 22.05's JSON."""
    job_id = slurm.sbatch("true", "-w", "n1")
    slurm.wait(job_id)

    def rows(*argv: str) -> list[str]:
        return slurm.run("sacct", "-nXP", "-o", "jobid", "-j", job_id, *argv).stdout.split()

    until(lambda: rows("-s", "CD", "-N", "n1"), what="accounting knows the job, and its nodes")
    assert rows(clusters) == [job_id]
    assert rows(clusters, "-N", "n1") == rows("-N", "n[1-2]", clusters) == []
    found = json.loads(slurm.run("sacct", "--json", "-j", job_id, clusters, "-N", "n1").stdout)["jobs"]
    assert len(found) == (0 if slurm.at_least("24.11") else 1)


@pytest.mark.slurm_version(min="24.11")
@pytest.mark.parametrize(("qos", "asked"), [("--qos=normal", "normal"), ("--qos=nope", "nope"), ("-J x", "")])
def test_qos_that_was_asked_for(slurm: SlurmUnderTest, qos: str, asked: str) -> None:
    job_id = slurm.sbatch("true", *qos.split())
    slurm.wait(job_id)
    argv = ("sacct", "-nP", "-o", "state,qosreq", "-j", job_id)
    until(lambda: slurm.run(*argv, "-X").stdout.startswith("COMPLETED"), what="accounting knows of its end")
    assert slurm.run(*argv).stdout.splitlines() == [f"COMPLETED|{asked}", "COMPLETED|"]
