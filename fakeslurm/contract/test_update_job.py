"""``scontrol update jobid=``: words, and what they change of jobs that wait, run and have ended. Measured: docs/measured/update.md."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from fakeslurm.contract.harness import Result, SlurmUnderTest, shown, until

ABORTED = "Request aborted\n"
ERROR = "scontrol: error: "


def update(slurm: SlurmUnderTest, *words: str) -> str:
    """What it says on its stderr; it fails when it says something, except for a time that it only complains about."""
    done = slurm.run("scontrol", "update", *words)
    assert done.stdout == ""
    assert done.returncode == (1 if done.stderr else 0), done
    return done.stderr


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def minutes(fields: dict[str, str]) -> float:
    """From a job's start to its end."""
    return (moment(fields["EndTime"]) - moment(fields["StartTime"])).total_seconds() / 60


def held(slurm: SlurmUnderTest, *options: str, body: str = "sleep 100") -> str:
    return slurm.sbatch(body, "--hold", "-n1", "-t", "10", *options)


def running(slurm: SlurmUnderTest, *options: str) -> str:
    job_id = slurm.sbatch("sleep 100", "-n1", "-t", "10", *options)
    slurm.wait(job_id, ["RUNNING"])
    return job_id


def ended(slurm: SlurmUnderTest) -> str:
    job_id = slurm.sbatch("true")
    slurm.wait(job_id)
    return job_id


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("Bogus=1", f"Update of this parameter is not supported: Bogus=1\n{ABORTED}"),
        ("bogus 1", f"Update of this parameter is not supported: 1\n{ABORTED}"),
        ("Bogus", f"Invalid input: Bogus\n{ABORTED}"),
        ("Time=7", f"Update of this parameter is not supported: Time=7\n{ABORTED}"),
        ("Command=/x", f"Update of this parameter is not supported: Command=/x\n{ABORTED}"),
        ("", "No changes specified\n"),
        ("UserID=0", "No changes specified\n"),
        ("UserID=nosuchuser", f"Invalid UserID: nosuchuser\n{ABORTED}"),
        ("TimeLimit=foo", f"{ERROR}Invalid TimeLimit value\n"),
        ("TimeLimit=", f"{ERROR}Invalid TimeLimit value\n"),
        ("TimeLimit=-100", f"{ERROR}TimeLimit decrement larger than current time limit (100 > 10)\n"),
        ("Priority=foo", f"{ERROR}Invalid Priority value: foo\n"),
        ("Priority=-1", f"{ERROR}Invalid Priority value: -1\n"),
        ("Priority=4294967295", f"{ERROR}Invalid Priority value: 4294967295\n"),
        ("Nice=3000000000", f"{ERROR}Nice value out of range (+/- 2147483645). Value ignored\n"),
        ("Requeue=foo", f"{ERROR}Invalid Requeue value: foo\n"),
        ("MinMemoryNode=1G", f"{ERROR}Invalid MinMemoryNode value: 1G\n"),
        ("ArrayTaskThrottle=-1", f"{ERROR}Invalid ArrayTaskThrottle value\n"),
        ("StartTime=foo", "Invalid time specification (pos=0): foo\nNo changes specified\n"),
        ("StartTime=", "No changes specified\n"),
        ("Comment+=x", f"{ERROR}Option Comment+=x does not accept [+|-]= syntax\n"),
        ("Name=x Comment-=x", f"{ERROR}Option Comment-=x does not accept [+|-]= syntax\n"),
        ("Name=x TimeLimit=foo", f"{ERROR}Invalid TimeLimit value\n"),
        ("Nice 5", f"Invalid input: 5\n{ABORTED}"),
        ("TimeLimit+=+5", f"{ERROR}Invalid syntax, variations of +=- are not accepted.\n"),
        ("TimeLimit-=-x", f"{ERROR}Invalid syntax, variations of +=- are not accepted.\n"),
        (
            "EndTime=x Bogus=1",
            f"Invalid time specification (pos=0): x\nUpdate of this parameter is not supported: Bogus=1\n{ABORTED}",
        ),
        ("EndTime=x Bogus", f"Invalid time specification (pos=0): x\nInvalid input: Bogus\n{ABORTED}"),
    ],
)
def test_words_that_are_wrong(slurm: SlurmUnderTest, words: str, complaint: str) -> None:
    job_id = held(slurm)
    before = slurm.run("scontrol", "show", "job", job_id).stdout
    assert update(slurm, f"jobid={job_id}", *words.split()) == complaint
    assert slurm.run("scontrol", "show", "job", job_id).stdout == before


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("Priority=5", "Job is in held state, pending scheduler release"),
        ("Partition=nope", "Invalid partition name specified"),
        ("Partition=", "Invalid partition name specified"),
        ("Dependency=foo", "Job dependency problem"),
        ("Dependency=afterany:ID", "Job dependency problem"),
        ("ReqNodeList=nope", "Invalid node name specified"),
        ("ExcNodeList=nope", "Invalid node name specified"),
        ("Features=nope", "Invalid feature specification"),
        ("Licenses=nope", "Invalid license specification"),
        ("Gres=nope", "Invalid generic resource (gres) specification"),
        ("EndTime=now+1hour", "Job is not running"),
    ],
)
def test_values_that_are_refused(slurm: SlurmUnderTest, word: str, complaint: str) -> None:
    job_id = held(slurm)
    before = slurm.run("scontrol", "show", "job", job_id).stdout
    assert update(slurm, f"jobid={job_id}", word.replace("ID", job_id)) == f"{complaint} for job {job_id}\n"
    assert slurm.run("scontrol", "show", "job", job_id).stdout == before


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("TimeLimit=5", "TimeLimit", "00:05:00"),
        ("timel=7", "TimeLimit", "00:07:00"),
        ("TimeLimit=1:30", "TimeLimit", "00:02:00"),
        ("TimeLimit=2-03", "TimeLimit", "2-03:00:00"),
        ("TimeLimit=UNLIMITED", "TimeLimit", "UNLIMITED"),
        ("TimeLimit=+5", "TimeLimit", "00:15:00"),
        ("TimeLimit+=5", "TimeLimit", "00:15:00"),
        ("TimeLimit=-3", "TimeLimit", "00:07:00"),
        ("Name=new", "JobName", "new"),
        ("JobName=a b", "JobName", "a b"),
        ("Comment=a b", "Comment", "a b"),
        ("AdminComment=x", "AdminComment", "x"),
        ("Requeue=0", "Requeue", "0"),
        ("Requeue=2", "Requeue", "1"),
        ("ReqNodeList=n3", "ReqNodeList", "n3"),
        ("NodeList=n3", "ReqNodeList", "n3"),
        ("ExcNodeList=n2,n1", "ExcNodeList", "n2,n1"),
        ("MinMemoryNode=100", "MinMemoryNode", "100M"),
        ("MinMemoryCPU=50", "MinMemoryCPU", "50M"),
        ("MinTmpDiskNode=5", "MinTmpDiskNode", "5M"),
        ("StdOut=/x/y", "StdOut", "/x/y"),
        ("WorkDir=/tmp", "WorkDir", "/tmp"),
        ("Priority=0", "Reason", "JobHeldAdmin"),
        ("QOS=nosuch", "QOS", "normal"),
        ("MinMemoryNode=100 MinMemoryCPU=50", "MinMemoryCPU", "50M"),
        ("MinMemoryCPU=50 MinMemoryNode=100", "MinMemoryNode", "100M"),
    ],
)
def test_one_value_of_a_held_job(slurm: SlurmUnderTest, word: str, field: str, value: str) -> None:
    job_id = held(slurm, "-o", "/a/b")
    before = shown(slurm, job_id)
    assert update(slurm, f"jobid={job_id}", *(word.split() if "Memory" in word else [word])) == ""
    after = shown(slurm, job_id)
    assert after[field] == value
    follow = {
        "StdOut": {"StdErr"},
        "MinMemoryNode": {"TRES", "ReqTRES"},
        "MinMemoryCPU": {"MinMemoryNode", "TRES", "ReqTRES"},
    }
    changed = {key for key in before | after if before.get(key) != after.get(key)} - {"LastSchedEval", "Scheduler"}
    assert changed <= {field} | follow.get(field, set())


def test_a_limit_of_no_limit(slurm: SlurmUnderTest) -> None:
    """22.05 counts on from 2**32 - 1."""
    job_id = held(slurm)
    update(slurm, f"jobid={job_id}", "TimeLimit=UNLIMITED")
    if slurm.at_least("24.11"):
        said = f"{ERROR}Cannot increment/decrement TimeLimit when set to UNLIMITED.\n"
        assert update(slurm, f"jobid={job_id}", "TimeLimit=+5") == said
    else:
        assert update(slurm, f"jobid={job_id}", "TimeLimit=+5") == ""
        assert shown(slurm, job_id)["TimeLimit"] == "00:04:00"


@pytest.mark.parametrize("limit", ["UNLIMITED", "7"])
def test_a_limit_of_an_element_that_there_is_not(slurm: SlurmUnderTest, limit: str) -> None:
    """In 24.11 it is that of the array, unless some of that are jobs of their own."""
    job_id = held(slurm, "--array=1-3", f"--time={limit}")
    one_more = ("scontrol", "update", f"jobid={job_id}_4", "TimeLimit+=1")
    said = f"{job_id}_4: Invalid job id specified\n"
    if limit == "UNLIMITED":
        said = f"{ERROR}Cannot increment/decrement TimeLimit when set to UNLIMITED.\n"
    assert slurm.run(*one_more) == Result(1, "", said if slurm.at_least("24.11") else "")
    assert update(slurm, f"jobid={job_id}_2", "TimeLimit=5") == ""
    assert slurm.run(*one_more) == Result(1, "", "")


def test_a_limit_of_an_element_of_no_array(slurm: SlurmUnderTest) -> None:
    """It is that of the job, until the job is to be changed."""
    job_id = held(slurm, "--time=5")
    too_much = f"{ERROR}TimeLimit decrement larger than current time limit (6 > 5)\n"
    assert update(slurm, f"jobid={job_id}_1", "TimeLimit-=6") == too_much
    assert update(slurm, f"jobid={job_id}_1", "TimeLimit-=1") == f"{job_id}_1: Invalid job id specified\n"


def test_admin_comments_are_added_to(slurm: SlurmUnderTest) -> None:
    """22.05 keeps what follows the name as it is."""
    job_id = held(slurm)
    said = update(slurm, f"jobid={job_id}", "AdminComment+=x")
    if slurm.at_least("24.11"):
        assert said == f"{ERROR}Invalid syntax, AdminComment can not be added/subtracted from.\n"
    else:
        assert said == ""
        assert shown(slurm, job_id)["AdminComment"] == "+=x"


def test_what_comes_before_a_refusal_stays(slurm: SlurmUnderTest) -> None:
    """The order is slurmctld's, not that of the words."""
    job_id = held(slurm)
    said = update(slurm, f"jobid={job_id}", "Name=n", "Priority=5", "Comment=c", "TimeLimit=7")
    assert said == f"Job is in held state, pending scheduler release for job {job_id}\n"
    fields = shown(slurm, job_id)
    assert (fields["Comment"], fields["TimeLimit"], fields["JobName"]) == ("c", "00:07:00", "script1.sh")
    assert update(slurm, f"jobid={job_id}", "Comment=d", "Partition=nope") != ""
    assert update(slurm, f"jobid={job_id}", "Dependency=foo", "StdOut=/x/y", "Requeue=0") != ""
    fields = shown(slurm, job_id)
    assert (fields["Comment"], fields["StdOut"], fields["Requeue"]) == ("c", "/x/y", "0")
    assert "Invalid license" in update(slurm, f"jobid={job_id}", "Licenses=nope", "ExcNodeList=n1")
    assert shown(slurm, job_id)["ExcNodeList"] == ("n1" if slurm.at_least("24.11") else "(null)")


def test_a_running_job(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm)
    for word in ("Name=new", "Comment=c", "AdminComment=a", "Requeue=0", "QOS=normal", "Partition=debug"):
        assert update(slurm, f"jobid={job_id}", word) == ""
    fields = shown(slurm, job_id)
    found = [fields[name] for name in ("JobName", "Comment", "AdminComment", "Requeue")]
    assert found == ["new", "c", "a", "0"]
    refused = (
        "Partition=nope", "Account=root", "WCKey=w", "WCKey=", "Dependency=", "StartTime=now", "MinMemoryNode=5", "MinMemoryCPU=5",
        "MinTmpDiskNode=5", "ExcNodeList=n3", "ExcNodeList=", "Features=", "Gres=gpu:1", "StdOut=/x/y", "WorkDir=/tmp",
    )  # fmt: skip
    for word in refused:
        said = update(slurm, f"jobid={job_id}", word)
        assert said == f"Job is no longer pending execution for job {job_id}\n", word


def test_files_of_a_running_job(slurm: SlurmUnderTest) -> None:
    """22.05 knows StdOut alone. What it has already it may be given, also when nobody asked for it."""
    output = f"{slurm.workdir}/%j"
    job_id = running(slurm, "-o", output)
    no = f"Job is no longer pending execution for job {job_id}\n"
    assert update(slurm, f"jobid={job_id}", f"StdOut={output}") == ""
    for word in ("StdOut=", "StdOut=x", "WorkDir=x", "WorkDir="):
        assert update(slurm, f"jobid={job_id}", word) == no, word
    for word in ("StdErr=/dev/null", "StdErr=", "StdIn=", "StdIn=x"):
        unknown = f"Update of this parameter is not supported: {word}\n{ABORTED}"
        assert update(slurm, f"jobid={job_id}", word) == (no if slurm.at_least("24.11") else unknown), word
    if slurm.at_least("24.11"):
        assert update(slurm, f"jobid={job_id}", "StdIn=/dev/null") == ""


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        ("MailType=fail,end", "MailUser=root MailType=END,FAIL"),
        (
            "MailType=ALL,TIME_LIMIT_80,bogus",
            "MailUser=root MailType=INVALID_DEPEND,BEGIN,END,FAIL,REQUEUE,STAGE_OUT,TIME_LIMIT_80",
        ),
        ("MailType=BEGIN MailUser=you", "MailUser=you MailType=BEGIN"),
        ("MailType=END,NONE MailUser=you", ""),
        ("MailUser=you", ""),
    ],
)
def test_mail(slurm: SlurmUnderTest, words: str, shows: str) -> None:
    """Who is written to is remembered, but shown only when there is something to write."""
    for job_id in (held(slurm), running(slurm)):
        assert update(slurm, f"jobid={job_id}", *words.split()) == ""
        lines = slurm.run("scontrol", "show", "job", job_id).stdout.splitlines()
        assert [line.strip() for line in lines if line.startswith("   Mail")] == ([shows] if shows else [])
        assert update(slurm, f"jobid={job_id}", "MailType=bogus") == "Invalid MailType: bogus\n"
        assert update(slurm, f"jobid={job_id}", "MailType=FAIL") == ""
        user = "you" if "you" in words else "root"
        assert f"\n   MailUser={user} MailType=FAIL\n" in slurm.run("scontrol", "show", "job", job_id).stdout
        assert update(slurm, f"jobid={job_id}", "MailUser=") == ""
        assert "MailUser=root MailType=FAIL" in slurm.run("scontrol", "show", "job", job_id).stdout


def test_the_qos_of_a_job_that_has_none(slurm: SlurmUnderTest) -> None:
    """It gets one by an update; what has one keeps it."""
    waits, runs = held(slurm, "-q", "nope"), running(slurm, "-q", "nope")
    shows = "nope" if slurm.at_least("24.11") else ""
    assert update(slurm, f"jobid={waits}", "QOS=other") == ""
    assert shown(slurm, waits)["QOS"] == shows
    assert slurm.run("squeue", "-h", "-q", "nope", "-o", "%i").stdout == (f"{waits}\n" if shows else "")
    assert update(slurm, f"jobid={waits}", "QOS=normal") == ""
    assert shown(slurm, waits)["QOS"] == "normal"
    for word in ("QOS=nope", "QOS="):
        assert update(slurm, f"jobid={waits}", word) == ""
        assert shown(slurm, waits)["QOS"] == "normal"
    no = f"Job is no longer pending execution for job {runs}\n"
    assert update(slurm, f"jobid={runs}", "QOS=nope") == ""
    assert update(slurm, f"jobid={runs}", "QOS=normal") == no
    assert update(slurm, f"jobid={runs}", "QOS=") == ("" if slurm.at_least("24.11") else no)
    assert shown(slurm, runs)["QOS"] == ""


def test_a_job_that_has_ended(slurm: SlurmUnderTest) -> None:
    job_id = ended(slurm)
    for word in ("TimeLimit=5", "Priority=0", "Nice", "Comment=c", "Partition=nope", "EndTime=now-60"):
        assert update(slurm, f"jobid={job_id}", word) == f"Job has already finished for job {job_id}\n", word


def test_ids(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm)
    unknown = "2000000000"
    assert update(slurm, f"job={job_id}", "TimeLimit=3") == ""
    assert update(slurm, "job", job_id, "TimeLimit", "4") == ""
    assert update(slurm, "TimeLimit=5", f"JobId={job_id}") == ""
    assert shown(slurm, job_id)["TimeLimit"] == "00:05:00"
    said = update(slurm, f"jobid={job_id},{unknown},{job_id}", "TimeLimit=6")
    assert said == f"Invalid job id specified for job {unknown}\n"
    assert update(slurm, f"jobid={job_id} {job_id}", "TimeLimit=7") == ""
    assert update(slurm, "jobid=abc", "TimeLimit=8") == "Invalid job id specified for job abc\n"
    assert update(slurm, f"jobid={job_id},abc", "TimeLimit=8") == f"Invalid job id specified for job {job_id},abc\n"
    assert update(slurm, f"jobid={job_id}_1", "TimeLimit=8") == f"{job_id}_1: Invalid job id specified\n"
    assert update(slurm, "jobid=", "TimeLimit=8") == ""
    lost = f"{ERROR}Could not load state information for job {unknown}: Invalid job id specified\n"
    assert update(slurm, f"jobid={unknown}", "TimeLimit=+5") == lost
    assert update(slurm, f"jobid={unknown}", "ReqNodeList=n1") == lost
    assert update(slurm, f"jobid={job_id},{unknown}", "TimeLimit=+5") == f"{ERROR}Invalid job ID {job_id},{unknown}\n"
    assert update(slurm, "TimeLimit=+5", f"jobid={job_id}").endswith(
        "JobId must precede TimeLimit increment or decrement\n"
    )
    assert "Input line must include" in update(slurm, "TimeLimit=5")
    assert shown(slurm, job_id)["TimeLimit"] == "00:07:00"
    silent = slurm.run("scontrol", "-Q", "update", f"jobid={unknown}", "TimeLimit=5")
    assert (silent.returncode, silent.stdout, silent.stderr) == (1, "", "")


@pytest.mark.parametrize(
    "words",
    ["Comment job={}", "Nice job={}", "TimeLimit=5 Nice job={}", "Comment=job Comment job={}", "Bogus jobid={}"],
)
def test_an_id_that_is_taken_for_a_value(slurm: SlurmUnderTest, words: str) -> None:
    """A word without ``=`` takes the next one as its value, when it is looked for what is to be updated."""
    job_id = held(slurm)
    assert update(slurm, *words.format(job_id).split()).startswith("No valid entity in update command\nInput line must")


@pytest.mark.parametrize(
    "words", ["Nice Nice job={}", "Comment c job={}", "Nice TimeLimit=5 job={}", "Comment job={0} job={0}"]
)
def test_an_id_behind_words_without_a_value(slurm: SlurmUnderTest, words: str) -> None:
    job_id = held(slurm)
    assert update(slurm, *words.format(job_id).split()) == ""


def test_by_name(slurm: SlurmUnderTest) -> None:
    """All jobs of the name are meant, those that have ended as well."""
    name = f"n{ended(slurm)}"
    first, second = held(slurm, "-J", name), held(slurm, "-J", name)
    assert update(slurm, f"JobName={name}", "TimeLimit=3") == ""
    assert update(slurm, f"JobName={name}", "UserID=0", "Comment=c") == ""
    assert [shown(slurm, job_id)["TimeLimit"] for job_id in (first, second)] == ["00:03:00"] * 2
    assert shown(slurm, second)["Comment"] == "c"
    slurm.run("scancel", first)
    assert update(slurm, f"JobName={name}", "TimeLimit=4") == f"Job has already finished for job {first}\n"
    assert update(slurm, "JobName=nobody", "TimeLimit=4") == f"{ERROR}No jobs with name 'nobody'\n"
    said = update(slurm, f"JobName={name}", "UserID=1", "TimeLimit=4")
    assert said == f"{ERROR}No jobs with user ID 1 and name '{name}'\n"


def test_the_limit_of_a_running_job(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm)
    for word, limit, end in (("5", "00:05:00", 5), ("+7", "00:12:00", 12), ("-2", "00:10:00", 10)):
        assert update(slurm, f"jobid={job_id}", f"TimeLimit={word}") == ""
        fields = shown(slurm, job_id)
        assert (fields["TimeLimit"], minutes(fields)) == (limit, end)
    assert update(slurm, f"jobid={job_id}", "TimeLimit=UNLIMITED") == ""
    assert shown(slurm, job_id)["EndTime"] == "Unknown"
    assert update(slurm, f"jobid={job_id}", "TimeLimit=20") == ""
    fields = shown(slurm, job_id)
    assert (fields["TimeLimit"], 20 <= minutes(fields) < 21) == ("00:20:00", True)


def test_what_is_changed_of_a_job_that_is_too_large(slurm: SlurmUnderTest) -> None:
    """It is refused in the end, when all but its mail has been changed, and its memory has not been counted again."""
    job_id = held(slurm, "-n17", "--mem=20", "--mail-type=FAIL", "--mail-user=me")
    before = shown(slurm, job_id)
    words = ["MinMemoryNode=10", "TimeLimit=7", "Name=new", "MailType=END", "MailUser=you"]
    refused = f"Requested partition configuration not available now for job {job_id}\n"
    assert update(slurm, f"JobId={job_id}", *words) == refused
    fields = shown(slurm, job_id)
    assert (fields["MinMemoryNode"], fields["TimeLimit"], fields["JobName"]) == ("10M", "00:07:00", "new")
    for name in ("MailType", "MailUser", "ReqTRES" if slurm.at_least("24.11") else "TRES"):
        assert fields[name] == before[name]


def test_the_end_of_a_running_job(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm)
    assert update(slurm, f"jobid={job_id}", "EndTime=now+2minutes") == ""
    fields = shown(slurm, job_id)
    assert (fields["TimeLimit"], 2 <= minutes(fields) < 3) == ("00:03:00", True)
    assert update(slurm, f"jobid={job_id}", "EndTime=now-60") == f"Invalid time specified for job {job_id}\n"
    done = slurm.run("scontrol", "update", f"jobid={job_id}", "EndTime=foo")
    assert (done.returncode, done.stderr) == (0, "Invalid time specification (pos=0): foo\n")
    assert shown(slurm, job_id)["EndTime"] == fields["EndTime"]


def test_no_time_is_left(slurm: SlurmUnderTest) -> None:
    first, second = running(slurm), running(slurm)
    assert update(slurm, f"jobid={first}", "TimeLimit=0") == ""
    assert update(slurm, f"jobid={second}", "EndTime=now") == ""
    assert slurm.wait(first, timeout=90)["JobState"] == "TIMEOUT"
    assert slurm.wait(second, timeout=90)["JobState"] == "TIMEOUT"


def test_accounting(slurm: SlurmUnderTest) -> None:
    """The comment of the administrator is told when the job has ended."""
    job_id = running(slurm)
    update(slurm, f"jobid={job_id}", "Name=new", "TimeLimit=7", "AdminComment=a", "Comment=c")
    fields = "JobName,Timelimit,AdminComment"
    shows = ["-X", "-P", "-n", "-j", job_id, "-o", fields]
    until(lambda: slurm.run("sacct", *shows).stdout == "new|00:07:00|\n", what="name and limit are accounted")
    slurm.run("scancel", job_id)
    until(lambda: slurm.run("sacct", *shows).stdout == "new|00:07:00|a\n", what="the comment is accounted")


def test_comments(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm, "--comment=one")
    update(slurm, f"jobid={job_id}", "AdminComment=a b", "Comment=two")
    assert "\n   AdminComment=a b \n   Comment=two \n" in slurm.run("scontrol", "show", "job", job_id).stdout
    shows = ["-h", "-j", job_id, "-O", "admin_comment:6,Comment:4"]
    assert slurm.run("squeue", *shows).stdout == "a b   two \n"
    jobs = json.loads(slurm.run("squeue", "--json").stdout)["jobs"]
    job = next(job for job in jobs if f"{job['job_id']}" == job_id)
    assert (job["admin_comment"], job["comment"]) == ("a b", "two")
    update(slurm, f"jobid={job_id}", "AdminComment=", "Comment=")
    assert "\n   AdminComment= \n   Comment= \n" in slurm.run("scontrol", "show", "job", job_id).stdout
    assert slurm.run("squeue", *shows).stdout == "          \n"


def test_which_name_is_in_the_environment(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm, "-J", "old", "-o", "out-%x", body="echo $SLURM_JOB_NAME; pwd")
    update(slurm, f"jobid={job_id}", "Name=new", "WorkDir=/tmp", f"StdOut={slurm.workdir}/new-%x")
    slurm.run("scontrol", "release", job_id)
    slurm.wait(job_id, ["COMPLETED"])
    name = "new" if slurm.at_least("24.11") else "old"
    assert slurm.output(f"new-{name}") == f"{name}\n/tmp\n"


def test_the_last_of_several_begins_counts(slurm: SlurmUnderTest) -> None:
    """Also when it is no time at all: then there is none, with which a job that runs would have been refused."""
    job_id = running(slurm)
    done = slurm.run("scontrol", "update", f"jobid={job_id}", "EligibleTime=now", "Name=other", "StartTime=x")
    assert (done.returncode, done.stderr) == (0, "Invalid time specification (pos=0): x\n")
    assert shown(slurm, job_id)["JobName"] == "other"
    done = slurm.run("scontrol", "update", f"jobid={job_id}", "StartTime=x", "EligibleTime=now")
    assert done.returncode == 1


def test_a_job_that_may_not_be_requeued(slurm: SlurmUnderTest) -> None:
    job_id = running(slurm)
    update(slurm, f"jobid={job_id}", "Requeue=0")
    done = slurm.run("scontrol", "requeue", job_id)
    assert done.stderr == f"Requested operation is presently disabled for job {job_id}\n"
    assert shown(slurm, job_id)["JobState"] == "RUNNING"
