"""How scontrol suspend, resume, requeue, requeuehold, hold and release read lists of jobs, and what they say about each."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown

INVALID = "Invalid job id specified"
PENDING = "Job is pending execution"
VERBS = ("suspend", "resume", "requeue", "requeuehold")


def answer(slurm: SlurmUnderTest, verb: str, argument: str) -> str:
    done = slurm.run("scontrol", verb, argument)
    assert (done.stdout, done.returncode) == ("", 1 if done.stderr else 0)
    return done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_lists(slurm: SlurmUnderTest, verb: str) -> None:
    """A list with something else in it is looked at no further."""
    held = slurm.sbatch("true", "--hold")
    strange = "Unexpected message received" if verb in ("suspend", "resume") else INVALID
    pending, unknown = f"{PENDING} for job {held}\n", f"{strange} for job 99999999\n"
    for argument, said in (
        (f"{held},99999999", pending + unknown),
        (f"{held} 99999999", pending + unknown),
        (f",99999999,,{held},", unknown + pending),
        (f"+{held}", f"{PENDING} for job +{held}\n"),
        ("99999999999", f"{strange} for job 99999999999\n"),
        *(
            (text, f"{INVALID} for job {text}\n")
            for text in (
                "99999999,abc",
                f"abc,{held}",
                f"{held} 1x",
                f"{held}.0",
                f"{held}_x",
                f"{held}_[1-2",
                f"{held}_2]",
            )
        ),
        (f"{held}_[]", f"{INVALID} for job {held}_\n"),
        (f"{held}_[3-2]", f"{INVALID} for job {held}_3-2\n"),
        (f"{held}_1", f"{held}_1: {INVALID}\n"),
        (f"{held}_[1-2]", f"{held}_1-2: {INVALID}\n"),
    ):
        assert answer(slurm, verb, argument) == said, argument
    key = answer(slurm, verb, f"jobid={held}")
    assert key == (f"{INVALID} for job jobid={held}\n" if verb == "requeuehold" else pending)
    of_array = f"{strange} for job 99999999_1-2\n" if strange != INVALID else f"99999999_1-2: {INVALID}\n"
    assert answer(slurm, verb, "99999999_[1-2]") == of_array
    assert answer(slurm, verb, "99999999_[2-1]") == f"{strange} for job 99999999_2-1\n"
    part = answer(slurm, verb, f"{held}+0")
    whole = "Operation not permitted on individual component of heterogeneous job"
    assert part == f"{whole if strange != INVALID else INVALID} for job {held}+0\n"


@pytest.mark.parametrize("verb", VERBS)
def test_elements_that_wait(slurm: SlurmUnderTest, verb: str) -> None:
    """They are one record, and it is all of it that is meant by one of them."""
    array = slurm.sbatch("true", "--hold", "-a", "1-4")
    record = f"{array}_1-4: {PENDING}\n"
    for argument, said in (
        (array, record),
        (f"{array}_2", record),
        (f"{array}_1-2", record),
        (f"{array}_[2,3],{array}_4", record + record),
        (f"{array}_[2-9]", f"{record}{array}_5-9: {INVALID}\n"),
        (f"{array}_7", f"{array}_7: {INVALID}\n"),
    ):
        assert answer(slurm, verb, argument) == said, argument


@pytest.mark.parametrize(("array", "named"), [("1-3", "[1-3]"), ("1-3", "[1-5]"), ("4", "4"), ("4", "[4]")])
def test_all_elements_that_wait(slurm: SlurmUnderTest, array: str, named: str) -> None:
    """Who names all of them changes the record of the array: no element becomes a job of its own, and there is one priority."""

    def listed() -> list[str]:
        return slurm.run("squeue", "-h", "-j", job_id, "-o", "%i %A").stdout.splitlines()

    job_id = slurm.sbatch("true", "--hold", "-n1", "-a", array, "--begin=2035-01-01")
    before = listed()
    for words in (["hold"], ["uhold"], ["release"], ["hold"], ["update", "Comment=x", "Priority=0"]):
        ids = f"jobid={job_id}_{named}" if words[0] == "update" else f"{job_id}_{named}"
        slurm.run("scontrol", *words[:1], ids, *words[1:])
        assert listed() == before, words
    assert shown(slurm, job_id)["Comment"] == "x"


def test_hold(slurm: SlurmUnderTest) -> None:
    """The elements that are named become jobs of their own."""
    array, job_id = slurm.sbatch("true", "--hold", "-a", "1-4"), slurm.sbatch("true", "--hold")
    for argument in (f"{array}_1-2", f"+{job_id}", f"{job_id}+0"):
        assert answer(slurm, "hold", argument) == "", argument
    assert answer(slurm, "hold", f"{array}_[2-9]") == f"{array}_2-4: No error\n{array}_5-9: {INVALID}\n"
    backwards = f"{INVALID} for job {array}_3-2\nslurm_suspend error: {INVALID}\n"
    assert answer(slurm, "hold", f"{array}_[3-2]") == backwards


@pytest.mark.parametrize("verb", ["hold", "uhold", "release"])
def test_jobs_of_a_name(slurm: SlurmUnderTest, verb: str) -> None:
    """Elements that run are passed over. Any other job that does not wait has it fail, though that is done, too."""
    slurm.wait_idle()
    later = ("-n1", "--begin=2035-01-01")
    mark = slurm.sbatch("true", "-n1")  # who else has had these names, Slurm may still know

    def called(name: str, body: str, *options: str) -> str:
        return slurm.sbatch(body, "-J", f"{name}{mark}", *options)

    array, runs = called("array", "sleep 100", "-n1", "-a", "1-3%1"), called("runs", "sleep 100", "-n1")
    beside, over = called("mixed", "sleep 100", "-n1"), called("over", "true", "-n1")
    called("mixed", "true", "-a", "1-2", *later)
    record, split = called("record", "true", "-a", "1-2", *later), called("split", "true", "-a", "1-3", *later)
    slurm.run("scontrol", "update", f"jobid={split}_2", "comment=c")
    slurm.run("scancel", record)
    for job_id in (f"{array}_1", runs, beside):
        slurm.wait(job_id, ["RUNNING"])
    slurm.wait(over)
    no_error, finished = "slurm_suspend error: No error\n", "Job has already finished"
    for name, said in (
        ("array", ""),
        ("runs", no_error),
        ("mixed", no_error),
        ("split", ""),
        ("over", f"{finished} for job {over}\nslurm_suspend error: {finished}\n"),
        ("record", f"{record}_1-2: {finished}\n{no_error}"),
        ("nobody", ""),
    ):
        assert answer(slurm, verb, f"name={name}{mark}") == said, name
    reasons = slurm.run("squeue", "-h", "-r", "-j", f"{array},{split}", "-t", "PD", "-o", "%r").stdout.splitlines()
    assert [reason.startswith("JobHeld") for reason in reasons] == [verb != "release"] * 5


def test_a_record_that_is_over(slurm: SlurmUnderTest) -> None:
    """It answers for each of its elements, and runs again as a whole."""
    array = slurm.sbatch("true", "--hold", "-a", "1-4")
    slurm.run("scancel", array)
    over = f"{array}_1-4: Job/step already completing or completed\n"
    assert answer(slurm, "suspend", f"{array}_2") == answer(slurm, "resume", f"{array}_[2,3]") == over
    assert (
        answer(slurm, "hold", f"{array}_2")
        == answer(slurm, "release", array)
        == f"{array}_1-4: Job has already finished\n"
    )
    assert answer(slurm, "requeue", f"{array}_2") == ""
    assert slurm.run("squeue", "-h", "-j", array, "-o", "%i|%T|%r").stdout == f"{array}_[1-4]|PENDING|JobHeldUser\n"
    assert answer(slurm, "requeuehold", f"{array}_[2-3]") == f"{array}_1-4: {PENDING}\n"
