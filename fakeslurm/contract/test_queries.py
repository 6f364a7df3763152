"""squeue, sacct, scontrol and sinfo: what they answer while a job is pending, running, finished and unknown."""

from __future__ import annotations

import re
import time

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

UNKNOWN = "99999999"
HEADER = "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n"


def test_squeue_default_columns(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-J", "a-long-job-name", "-N2")
    done = slurm.run("squeue", "-j", job_id)
    user = slurm.run("squeue", "-h", "-j", job_id, "-o", "%u").stdout.strip()
    partition = slurm.run("squeue", "-h", "-j", job_id, "-o", "%P").stdout.strip()
    line = f"{job_id:>18} {partition:>9.9} a-long-j {user:>8.8} PD       0:00      2 (JobHeldUser)\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, HEADER + line, "")
    slurm.run("scancel", job_id)


def test_squeue_format_letters_pending(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-J", "named", "-N2", "-n3", "--mem=100", "-t", "5", "--comment=noted")
    formats = "%i|%A|%F|%K|%j|%t|%T|%M|%l|%L|%D|%C|%m|%N|%R|%r|%E|%k|%S|%e|%B|%Q|%z|%h|%o|%Z"
    done = slurm.run("squeue", "-h", "-j", job_id, "-o", formats)
    fields = done.stdout.rstrip("\n").split("|")
    where = str(slurm.workdir)
    assert fields[:21] == [
        *[job_id, job_id, job_id, "N/A", "named", "PD", "PENDING", "0:00", "5:00", "5:00", "2", "3", "100M"],
        *["", "(JobHeldUser)", "JobHeldUser", "(null)", "noted", "N/A", "N/A", "n/a"],
    ]
    assert fields[22:] == ["*:*:*", "OK", str(slurm.workdir / "script1.sh"), where]
    slurm.run("scancel", job_id)


def test_squeue_widths_and_justification(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-J", "abcdefgh")
    done = slurm.run("squeue", "-h", "-j", job_id, "-o", "<%.4j><%12j><%.12j><%3t>")
    assert done.stdout == "<abcd><abcdefgh    ><    abcdefgh><PD >\n"
    done = slurm.run("squeue", "-h", "-j", job_id, "-O", "Name:4,Name:12,Name:.12,StateCompact:3")
    assert done.stdout.rstrip("\n") == "abcdabcdefgh        abcdefghPD "
    slurm.run("scancel", job_id)


def test_squeue_running(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "-N2", "-n3", "-t60")
    fields = slurm.wait(job_id, ["RUNNING"])
    done = slurm.run("squeue", "-h", "-j", job_id, "-o", "%t|%T|%D|%N|%R|%r|%B|%l")
    nodes = fields["NodeList"]
    assert done.stdout == f"R|RUNNING|2|{nodes}|{nodes}|None|{fields['BatchHost']}|1:00:00\n"
    elapsed = slurm.run("squeue", "-h", "-j", job_id, "-o", "%M").stdout
    assert re.fullmatch(r"0:\d\d\n", elapsed)
    (slurm.workdir / "go").touch()
    slurm.wait(job_id)


def test_squeue_finished_job_is_shown_only_when_asked(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("exit 3")
    slurm.wait(job_id)
    done = slurm.run("squeue", "-j", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, HEADER, "")
    done = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%i %t %T %r")
    assert done.stdout == f"{job_id} F FAILED NonZeroExitCode\n"
    assert slurm.run("squeue", "-h", "-t", "F", "-j", job_id, "-o", "%i").stdout == f"{job_id}\n"
    assert slurm.run("squeue", "-h", "-t", "CD", "-j", job_id, "-o", "%i").stdout == ""


def test_squeue_unknown_jobs(slurm: SlurmUnderTest) -> None:
    done = slurm.run("squeue", "-j", UNKNOWN)
    assert (done.returncode, done.stderr) == (1, "slurm_load_jobs error: Invalid job id specified\n")
    known = slurm.sbatch("true", "--hold")
    done = slurm.run("squeue", "-h", "-o", "%i", "-j", f"{UNKNOWN},{known}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{known}\n", "")
    slurm.run("scancel", known)
    done = slurm.run("squeue", "-j", "abc")
    assert (done.returncode, done.stderr) == (1, "squeue: error: Invalid job id: abc\n")


def test_squeue_of_me(slurm: SlurmUnderTest) -> None:
    jobs = {slurm.sbatch("true", "--hold") for _ in range(3)}
    done = slurm.run("squeue", "--me", "--states=all", "--noheader", "--format=%i")
    assert jobs <= set(done.stdout.split())
    slurm.run("scancel", *jobs)


def test_squeue_bad_state(slurm: SlurmUnderTest) -> None:
    done = slurm.run("squeue", "-t", "NOPE")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "squeue: error: Invalid job state specified: NOPE\nsqueue: error: Valid job states include: "
    )


def test_scontrol_show_job_fields(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold", "-J", "named", "-N2", "-n3", "-t", "5", "--comment=noted")
    fields = slurm.show(job_id)
    assert fields is not None
    wanted = {
        "JobId": job_id, "JobName": "named", "JobState": "PENDING", "Reason": "JobHeldUser", "Dependency": "(null)",
        "Requeue": "1", "Restarts": "0", "BatchFlag": "1", "Reboot": "0", "ExitCode": "0:0", "RunTime": "00:00:00",
        "TimeLimit": "00:05:00", "TimeMin": "N/A", "NumTasks": "3", "CPUs/Task": "1", "Comment": "noted",
        "NodeList": "", "Priority": "0",
    }  # fmt: skip
    assert {name: fields.get(name) for name in wanted} == wanted
    slurm.run("scancel", job_id)


def test_scontrol_unknown_job(slurm: SlurmUnderTest) -> None:
    done = slurm.run("scontrol", "show", "job", UNKNOWN)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "slurm_load_jobs error: Invalid job id specified\n")


def test_scontrol_hostnames_and_hostlist(slurm: SlurmUnderTest) -> None:
    assert slurm.run("scontrol", "show", "hostnames", "n[08-10],m3").stdout == "n08\nn09\nn10\nm3\n"
    assert slurm.run("scontrol", "show", "hostlist", "n3,n1,n2,n1").stdout == "n[3,1-2,1]\n"
    assert slurm.run("scontrol", "show", "hostlistsorted", "n3,n1,n2").stdout == "n[1-3]\n"


def test_scontrol_hold_and_release_have_nothing_to_say(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold")
    done = slurm.run("scontrol", "release", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    done = slurm.run("scontrol", "release", UNKNOWN)
    assert done.returncode == 1
    assert "Invalid job id specified" in done.stderr


def test_versions(slurm: SlurmUnderTest) -> None:
    for command in ("sbatch", "squeue", "sacct", "scontrol", "scancel", "srun", "sinfo"):
        done = slurm.run(command, "--version")
        # Debian calls the package slurm-wlm.
        assert done.returncode == 0, command
        assert re.fullmatch(rf"slurm(-wlm)? {re.escape(slurm.version)}\n", done.stdout), command


def test_sacct_default_columns(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("srun true; exit 3", "-J", "named")
    slurm.wait(job_id)
    expected = [
        f"{job_id:<12}      named          1     FAILED      3:0 ",
        f"{job_id + '.batch':<12}      batch          1     FAILED      3:0 ",
        f"{job_id + '.0':<12}       true          1  COMPLETED      0:0 ",
    ]

    def rows() -> list[str]:
        header, dashes, *rows = slurm.run("sacct", "-j", job_id).stdout.splitlines()
        assert header == "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode "
        assert dashes == "------------ ---------- ---------- ---------- ---------- ---------- -------- "
        return [row[:23] + row[45:] for row in rows]

    # A fast job's record arrives in pieces: for a moment its name is "allocation".
    until(lambda: rows() == expected, what=f"sacct shows {expected}", interval=0.1)


def test_sacct_parsable_forms(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true")
    slurm.wait(job_id)
    slurm.accounted(job_id, "JobID")
    done = slurm.run("sacct", "-X", "-P", "-j", job_id, "-o", "jobid,state,exitcode")
    assert done.stdout == f"JobID|State|ExitCode\n{job_id}|COMPLETED|0:0\n"
    done = slurm.run("sacct", "-X", "-p", "-n", "-j", job_id, "-o", "JobID,State")
    assert done.stdout == f"{job_id}|COMPLETED|\n"
    done = slurm.run("sacct", "-X", "-n", "-j", job_id, "-o", "JobID%20,State%5")
    assert done.stdout == f"{job_id:>20} COMP+ \n"


def test_sacct_of_allocations(slurm: SlurmUnderTest) -> None:
    """Without steps of srun a job knows of no energy once it has started; those of srun and salloc have no files in 24.11."""
    files = ",StdIn,StdOut,StdErr" if slurm.at_least("24.11") else ""
    jobs = [slurm.run(command, "-Q", "printenv", "SLURM_JOB_ID").stdout.strip() for command in ("salloc", "srun")]
    rows = [f"{jobs[0]}|COMPLETED||", f"{jobs[1]}|COMPLETED|0|0"]
    argv = ["-XnP", "-j", ",".join(jobs), "-o", f"JobID,State,ConsumedEnergy,ConsumedEnergyRaw{files}"]
    expected = [row + "|" * files.count(",") for row in rows]
    until(lambda: slurm.run("sacct", *argv).stdout.splitlines() == expected, what=f"sacct says {expected}")


def test_sacct_unknown_job_and_field(slurm: SlurmUnderTest) -> None:
    done = slurm.run("sacct", "-P", "-j", UNKNOWN, "-o", "JobID,State")
    assert (done.returncode, done.stdout, done.stderr) == (0, "JobID|State\n", "")
    done = slurm.run("sacct", "-o", "bogus")
    assert (done.returncode, done.stderr) == (1, 'sacct: error: Invalid field requested: "bogus"\n')


def test_sacct_running_and_pending(slurm: SlurmUnderTest) -> None:
    running = slurm.sbatch("until [ -e go ]; do sleep 0.05; done")
    pending = slurm.sbatch("true", "--hold")
    slurm.wait(running, ["RUNNING"])

    def states() -> list[str]:
        done = slurm.run(
            "sacct", "-X", "-n", "-P", "-j", f"{running},{pending}", "-o", "JobID,State,ExitCode,NodeList,End"
        )
        return done.stdout.splitlines()

    nodes = slurm.wait(running, ["RUNNING"])["NodeList"]
    expected = [f"{running}|RUNNING|0:0|{nodes}|Unknown", f"{pending}|PENDING|0:0|None assigned|Unknown"]
    until(lambda: states() == expected, what=f"sacct says {expected}", interval=0.1)
    (slurm.workdir / "go").touch()
    slurm.run("scancel", pending)
    slurm.wait(running)


def test_times_of_a_finished_job_agree(slurm: SlurmUnderTest) -> None:
    """scontrol and sacct give the same start and end, in local time without a zone, and they are now."""
    before = int(time.time())
    fields = slurm.wait(slurm.sbatch("true"))
    after = time.time()
    rows = slurm.accounted(fields["JobId"], "Submit,Start,End", "-X")
    assert rows == [{"Submit": fields["SubmitTime"], "Start": fields["StartTime"], "End": fields["EndTime"]}]
    start = time.mktime(time.strptime(fields["StartTime"], "%Y-%m-%dT%H:%M:%S"))
    assert before - 1 <= start <= after + 1


@pytest.mark.parametrize("command", ["squeue", "sacct", "scontrol", "scancel", "srun", "sinfo", "sbatch"])
def test_unknown_option(slurm: SlurmUnderTest, command: str) -> None:
    done = slurm.run(command, "--bogus")
    assert done.returncode != 0
    assert f"{command}: unrecognized option '--bogus'" in done.stderr
    assert (f'Try "{command} --help" for more information' in done.stderr) == (command != "sacct")


def test_which_cpus_of_which_nodes(slurm: SlurmUnderTest) -> None:
    """``-d``: the first free ones, and a line for all neighbours that have the same."""
    gate = "until [ -e go ]; do sleep 0.05; done"
    jobs = [slurm.sbatch(gate, *options) for options in (["-N2", "-n2"], ["-n7", "--mem=100"], ["-n1"])]
    for job_id in jobs:
        slurm.wait(job_id, ["RUNNING"])
    reports = [slurm.run("scontrol", "show", "job", "-d", job_id).stdout for job_id in jobs]
    allocations = [re.findall(r"\n {5}(Nodes=.*)", report) for report in reports]
    assert allocations == [
        ["Nodes=n[1-2] CPU_IDs=0 Mem=0 GRES="],
        ["Nodes=n[1-2] CPU_IDs=1-3 Mem=0 GRES=", "Nodes=n3 CPU_IDs=0 Mem=0 GRES="],
        ["Nodes=n3 CPU_IDs=1 Mem=0 GRES="],
    ]
    one_line = slurm.run("scontrol", "show", "job", "-d", "-o", jobs[2]).stdout
    assert " JOB_GRES=(null)   Nodes=n3 CPU_IDs=1 Mem=0 GRES= MinCPUsNode=1 " in one_line
    (slurm.workdir / "go").touch()
    slurm.wait(jobs[0])
    assert "Nodes=n[1-2] CPU_IDs=0 Mem=0" in slurm.run("scontrol", "show", "job", "-d", jobs[0]).stdout
