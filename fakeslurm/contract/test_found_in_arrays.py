"""What the differential machine has found about job arrays: one test for each disagreement."""

from __future__ import annotations

import getpass
import time

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until


def held(slurm: SlurmUnderTest, *options: str) -> str:
    return slurm.sbatch("true", "--hold", *options)


def listed(slurm: SlurmUnderTest, job_id: str, form: str, *options: str) -> list[str]:
    """The lines of squeue, sorted."""
    done = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", form, *options)
    assert done.returncode == 0, done
    return sorted(done.stdout.splitlines())


def test_sacct_shows_what_was_submitted_first_first(slurm: SlurmUnderTest) -> None:
    """The second counts; in one and the same second jobs come before arrays (not compared: it would be chance)."""
    array = held(slurm, "--array=1-2")
    began = int(time.time())
    until(lambda: int(time.time()) > began, what="the next second")
    job = held(slurm)
    began = int(time.time())
    until(lambda: int(time.time()) > began, what="the next second")
    other = held(slurm, "--array=1-2")
    ids = [array, job, other]

    def rows() -> list[str]:
        return slurm.run("sacct", "-nXP", "-o", "JobIDRaw", "-j", f"{job},{other},{array}").stdout.split()

    until(lambda: len(rows()) == 3, what="the rows of sacct")
    assert rows() == ids


@pytest.mark.parametrize(
    ("operand", "wrong"),
    [("{0}_[1,9]", ""), ("{1},{0}_[1,3]", ""), ("{0}_[1,3],{1}", "{0}_[1,3],{1}"), ("{0}_[1],{0}_2", "{0}_[1],{0}_2")],
)
def test_commas_in_brackets_separate_elements(slurm: SlurmUnderTest, operand: str, wrong: str) -> None:
    array, job = held(slurm, "--array=1-3"), held(slurm)
    done = slurm.run("scancel", operand.format(array, job))
    if wrong:
        assert (done.returncode, done.stderr) == (1, f"scancel: error: Invalid job id {wrong.format(array, job)}\n")
        assert listed(slurm, array, "%i %t") == [f"{array}_[1-3] PD"]
    else:
        assert (done.returncode, done.stderr) == (0, "")
        until(lambda: f"{array}_1 PD" not in listed(slurm, array, "%i %t", "-r"), what="the end of the first element")


def test_elements_that_wait_for_a_job_start_in_order(slurm: SlurmUnderTest) -> None:
    """Also the last one, which has the array's own id, the lowest."""
    before = slurm.sbatch("until [ -e go ]; do sleep 0.02; done")
    array = slurm.sbatch("until [ -e end ]; do sleep 0.02; done", "--array=1-3%1", f"--dependency=aftercorr:{before}")
    if not slurm.at_least("24.11"):  # which cannot show them apart
        until(lambda: len(listed(slurm, array, "%i", "--array-unique")) == 3, what="elements")
    (slurm.workdir / "go").touch()
    until(lambda: any(" R " in line for line in listed(slurm, array, "%i %t %N")), what="an element that runs")
    assert [line for line in listed(slurm, array, "%i %t") if " R" in line] == [f"{array}_1 R"]
    (slurm.workdir / "end").touch()


@pytest.mark.parametrize("verb", ["hold", "uhold", "requeuehold"])
def test_nothing_is_said_of_an_array_whose_elements_were_all_cancelled_by_name(
    slurm: SlurmUnderTest, verb: str
) -> None:
    array = held(slurm, "--array=1-2")
    slurm.run("scancel", f"{array}_[1-2]")
    until(lambda: "CANCELLED" in listed(slurm, array, "%T"), what="the end of the array")
    done = slurm.run("scontrol", verb, array)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("verb", "said", "record"),
    [
        ("hold", "No error", "CANCELLED|JobHeldUser"),
        ("uhold", "No error", "CANCELLED|JobHeldUser"),
        ("requeue", "Job is pending execution", "PENDING|JobHeldUser"),
        ("requeuehold", "Job is pending execution", "PENDING|job requeued in held state"),
        ("suspend", "Job is pending execution", "CANCELLED|JobHeldUser"),
    ],
)
def test_the_record_of_an_array_whose_other_elements_were_cancelled_by_name(
    slurm: SlurmUnderTest, verb: str, said: str, record: str
) -> None:
    """It has no name, is a row of its own, and may be requeued."""
    array = held(slurm, "--array=1-3")
    slurm.run("scontrol", "hold", f"{array}_1")
    slurm.run("scancel", f"{array}_[2-3]")
    until(lambda: f"{array} CANCELLED" in listed(slurm, array, "%i %T"), what="the end of the others")
    done = slurm.run("scontrol", verb, array)
    assert (done.returncode, done.stderr) == (1, f"{array}_1: {said}\n(null): No error\n")
    reason = "JobHeldUser" if verb == "uhold" else "JobHeldAdmin"
    assert listed(slurm, array, "%i|%T|%r") == [f"{array}_1|PENDING|{reason}", f"{array}|{record}"]


def test_the_record_of_an_array_is_requeued_with_its_other_elements(slurm: SlurmUnderTest) -> None:
    """Nothing is said of it then."""
    array = slurm.sbatch("sleep 60", "--array=1-3", "-w", "n1", "-c4")
    until(lambda: listed(slurm, array, "%i", "-t", "R") == [f"{array}_1"], what="the first element")
    slurm.run("scancel", f"{array}_[2-3]")
    until(lambda: f"{array} CANCELLED" in listed(slurm, array, "%i %T"), what="the end of the others")
    done = slurm.run("scontrol", "requeuehold", array)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: listed(slurm, array, "%i %t") == [f"{array} PD", f"{array}_1 PD"], what="both, waiting again")


def test_steps_of_elements(slurm: SlurmUnderTest) -> None:
    """squeue and scontrol call them by array and index, whatever the element's own id is; that is what they ask by as well."""
    array = slurm.sbatch("until [ -e end ]; do sleep 0.02; done", "--array=2,5")
    until(lambda: len(listed(slurm, array, "%i", "-t", "R")) == 2, what="the elements")
    done = slurm.run("squeue", "-h", "-s", "-j", array, "-o", "%i")
    assert sorted(done.stdout.split()) == [f"{array}_2.batch", f"{array}_5.batch"]
    done = slurm.run("squeue", "-h", "-s", "-j", f"{array}_2", "-O", "StepID:30,ArrayTaskID")
    assert done.stdout.split() == [f"{array}_2.batch", "2"]
    done = slurm.run("scontrol", "-o", "show", "step", f"{array}_5")
    assert done.stdout.startswith(f"StepId={array}_5.batch ")
    # By its number or name 24.11 finds a step of the element alone whose own id is that of the array.
    for task in (2, 5):
        done = slurm.run("scontrol", "-o", "show", "step", f"{array}_{task}.batch")
        if slurm.at_least("24.11") and task == 2:
            assert (done.returncode, done.stdout) == (1, f"Job step {array}_2.batch not found\n")
        else:
            assert done.stdout.startswith(f"StepId={array}_{task}.batch ")
    (slurm.workdir / "end").touch()


@pytest.mark.parametrize(
    "options",
    [
        ("--begin=now+1hour",),
        ("--priority=7", "--begin=now+1hour"),
        ("--dependency=singleton", "--begin=now+1hour"),
        ("--array=1-2", "--begin=now+1hour"),
    ],
)
def test_release_of_a_job_that_is_not_held(slurm: SlurmUnderTest, options: tuple[str, ...]) -> None:
    """It gets the next priority, behind all that are there, also when it asked for another one."""
    job, other = (slurm.sbatch("true", *one) for one in (options, ("--begin=now+1hour",)))

    def priority(job_id: str) -> int:
        return int(slurm.run("squeue", "-h", "-j", job_id, "-o", "%Q").stdout)

    assert slurm.run("scontrol", "release", job).returncode == 0
    assert priority(job) == priority(other) - 1
    slurm.run("scancel", job, other)


def test_release_of_an_element_that_is_not_held(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("true", "--array=1-3", "--begin=now+1hour")
    first = int(slurm.run("squeue", "-h", "-j", array, "-o", "%Q").stdout)
    for task in (3, 1):
        assert slurm.run("scontrol", "release", f"{array}_{task}").returncode == 0
    assert listed(slurm, array, "%K %Q") == [f"1 {first - 2}", f"2 {first}", f"3 {first - 1}"]
    slurm.run("scancel", array)


@pytest.mark.parametrize("options", [("-s", "KILL"), ("-t", "PD"), ("-u", "{user}")])
def test_an_element_that_is_cancelled_by_a_filter(slurm: SlurmUnderTest, options: tuple[str, ...]) -> None:
    """22.05 cancels all elements that nobody has touched instead; what is left of the array is no array any more."""
    array = held(slurm, "--array=1-4")
    slurm.run("scontrol", "hold", f"{array}_4")
    words = [option.format(user=getpass.getuser()) for option in options]
    done = slurm.run("scancel", *words, f"{array}_2")
    assert (done.returncode, done.stderr) == (0, "")
    shown = listed(slurm, array, "%i %T %K", *(() if slurm.at_least("24.11") else ("--array-unique",)))
    if slurm.at_least("24.11"):
        assert shown == [f"{array}_[1,3-4] PENDING 1,3-4"]
    else:
        assert shown == [f"{array} CANCELLED N/A", f"{array}_4 PENDING 4"]
    slurm.run("scancel", array)


def test_elements_that_are_not_there_are_named_one_by_one(slurm: SlurmUnderTest) -> None:
    array = held(slurm, "--array=1-4")
    done = slurm.run("scancel", "-s", "KILL", f"{array}_[1,7-8]")
    lines = [f"scancel: error: Kill job error on job id {array}_{task}: Invalid job id specified\n" for task in (7, 8)]
    assert (done.returncode, done.stderr) == (1, "".join(lines))
    slurm.run("scancel", array)


def test_an_array_that_is_cancelled_by_a_signal(slurm: SlurmUnderTest) -> None:
    array = held(slurm, "--array=1-3")
    assert slurm.run("scancel", "-s", "KILL", array).returncode == 0
    assert listed(slurm, array, "%i %T %K") == [f"{array} CANCELLED N/A"]


def test_untouched_elements_come_last_when_sorted_by_id(slurm: SlurmUnderTest) -> None:
    array, job = held(slurm, "--array=1-4"), held(slurm)
    for task in (4, 2):
        slurm.run("scontrol", "hold", f"{array}_{task}")
    slurm.run("scancel", "-s", "KILL", f"{array}_[1,3]")
    done = slurm.run("squeue", "-h", "-t", "all", "-j", f"{array},{job}", "-S", "i", "-o", "%i")
    assert done.stdout.split() == [f"{array}_2", f"{array}_4", array, job]
    slurm.run("scancel", array)


@pytest.mark.parametrize(("which", "said"), [("{}_1.7", "{}_1.7"), ("{}_9", "{}_9."), ("{}.7", "{}.7"), ("{}", "{}.")])
def test_steps_of_elements_that_are_not_there(slurm: SlurmUnderTest, which: str, said: str) -> None:
    """Behind the index of an element 22.05 looks at no step."""
    array = held(slurm, "--array=1-3")
    text = said.format(array)
    if "_" in text and not slurm.at_least("24.11"):
        text = text.partition(".")[0] + "."
    done = slurm.run("scontrol", "show", "step", which.format(array))
    assert (done.returncode, done.stdout, done.stderr) == (1, f"Job step {text} not found\n", "")
    slurm.run("scancel", array)


_SCRIPT = "{first}echo > at_$SLURM_ARRAY_TASK_ID; until [ -e go_$SLURM_ARRAY_TASK_ID ]; do sleep 0.02; done"


@pytest.mark.parametrize("lingers", [False, True])
def test_where_the_next_element_starts(slurm: SlurmUnderTest, lingers: bool) -> None:
    """On the nodes of the one that has ended; on others while processes of that linger. The limit counts neither."""
    slurm.wait_idle()
    script = _SCRIPT.format(first="trap '' TERM; " if lingers else "")
    array = slurm.sbatch(script, "--array=1-3%1", "--exclusive")
    until(lambda: (slurm.workdir / "at_1").exists(), what="the first element")
    began = int(time.time())
    until(lambda: int(time.time()) > began, what="the next second")
    if lingers:
        slurm.run("scancel", f"{array}_1")
    else:
        (slurm.workdir / "go_1").touch()
    until(lambda: (slurm.workdir / "at_2").exists(), what="the second element")
    node = "n2" if lingers else "n1"
    assert listed(slurm, array, "%i %N", "-t", "R") == [f"{array}_2 {node}"]
    for task in (1, 2, 3):
        (slurm.workdir / f"go_{task}").touch()
    slurm.wait_idle()


def test_nothing_starts_in_the_place_of_elements_that_are_killed(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch(_SCRIPT.format(first=""), "--array=1-7:2%2")
    until(lambda: all((slurm.workdir / f"at_{task}").exists() for task in (1, 3)), what="the first elements")
    done = slurm.run("scancel", "-s", "KILL", f"{array}_[1,7]")
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: f"{array}_1 CANCELLED" in listed(slurm, array, "%i %T"), what="the end of the first element")
    new = slurm.at_least("24.11")
    if new:
        until(lambda: f"{array}_5 RUNNING" in listed(slurm, array, "%i %T"), what="the next element")
    rest = [f"{array}_5 RUNNING"] if new else [f"{array} CANCELLED"]
    assert listed(slurm, array, "%i %T", "-r") == sorted([f"{array}_1 CANCELLED", f"{array}_3 RUNNING", *rest])
    slurm.run("scancel", array)


def test_elements_correspond_by_their_index_whichever_was_named(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch(_SCRIPT.format(first="") + "; exit $SLURM_ARRAY_TASK_ID", "--array=0-2")
    until(lambda: (slurm.workdir / "at_2").exists(), what="the elements")
    other = slurm.sbatch("true", "--array=0-3", f"--dependency=aftercorr:{array}_2", "--kill-on-invalid-dep=no")
    (slurm.workdir / "go_1").touch()
    never = f"aftercorr:{array}_2(failed)"
    waits = f"aftercorr:{array}_2(unfulfilled)"
    until(lambda: f"{other}_1 PENDING {never}" in listed(slurm, other, "%i %T %E", "-r"), what="the fate of 1")
    (slurm.workdir / "go_0").touch()
    until(lambda: f"{other}_0 COMPLETED (null)" in listed(slurm, other, "%i %T %E", "-r"), what="the end of 0")
    rest = [f"{other}_{task} PENDING {waits}" for task in (2, 3)]
    assert listed(slurm, other, "%i %T %E", "-r")[2:] == rest
    (slurm.workdir / "go_2").touch()
    rest = [f"{other}_{task} PENDING {never}" for task in (2, 3)]
    until(lambda: listed(slurm, other, "%i %T %E", "-r")[2:] == rest, what="the fate of 2 and 3")
    slurm.run("scancel", other)


def test_elements_that_were_cancelled_together_are_shown_one_by_one(slurm: SlurmUnderTest) -> None:
    job_id = held(slurm, "--array=1-4")
    slurm.run("scancel", f"{job_id}_2")
    slurm.run("scancel", job_id)
    for task in (1, 4):
        done = slurm.run("scontrol", "-o", "show", "job", f"{job_id}_{task}")
        assert f" ArrayTaskId={task} " in done.stdout
        assert " JobState=CANCELLED " in done.stdout
    assert slurm.run("scontrol", "show", "job", f"{job_id}_2").stdout == f"Job {job_id}_2 not found\n"


def test_the_reasons_of_elements_in_one_row(slurm: SlurmUnderTest) -> None:
    """Of the first its text, of the others the word for it."""
    array = slurm.sbatch("sleep 300", "-w", "n1", "-n4", "--array=0-4")
    until(
        lambda: slurm.run("squeue", "-h", "-t", "R", "-o", "%i").stdout == f"{array}_0\n", what="the first element runs"
    )
    slurm.run("scontrol", "requeuehold", f"{array}_0")
    expected = {f"{array}_[0,2-4]|Resources,JobHeldUser", f"{array}_1|None"}
    until(lambda: set(listed(slurm, array, "%i|%r")) == expected, what=f"{expected}", timeout=20)
    assert f"{array}_0|job requeued in held state" in listed(slurm, array, "%i|%r", "-r")


def test_a_step_of_an_array_is_that_of_the_element_with_its_id(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("srun -n1 sh -c ': > at_$SLURM_ARRAY_TASK_ID; exec sleep 300'", "--array=1-2")
    until(lambda: all((slurm.workdir / f"at_{task}").exists() for task in (1, 2)), what="the steps of both elements")
    other = next(line.split()[1] for line in listed(slurm, array, "%i %A") if line.startswith(f"{array}_1 "))

    def steps(which: str) -> list[str]:
        lines = slurm.run("scontrol", "-o", "show", "step", which).stdout.splitlines()
        return [line.split()[0].removeprefix("StepId=") for line in lines]

    assert [steps(f"{job_id}.0") for job_id in (array, other)] == [[f"{array}_2.0"], [f"{array}_1.0"]]
    assert steps(array) == [f"{array}_{step}" for step in ("1.batch", "1.0", "2.batch", "2.0")]
    if slurm.at_least("24.11"):
        assert steps(f"{array}.batch") == [f"{array}_2.batch"]


@pytest.mark.parametrize(("options", "nice"), [(("--begin=now+1hour",), "0"), (("--hold",), "5")])
def test_release_of_a_job_with_a_nice_value(slurm: SlurmUnderTest, options: tuple[str, ...], nice: str) -> None:
    """One that is not held loses it; one that is held keeps it."""
    job, other = (slurm.sbatch("true", "--begin=now+1hour", *one) for one in (("--nice=5", *options), ()))
    assert slurm.run("scontrol", "release", job).returncode == 0
    fields = shown(slurm, job)
    assert fields["Nice"] == nice
    assert int(fields["Priority"]) == int(shown(slurm, other)["Priority"]) - 1 - int(nice)


@pytest.mark.parametrize(
    ("indices", "unknown"), [("9,8", [9, 8]), ("9,9", [9, 9]), ("8-10,9", [8, 9, 10, 9]), ("9,2,8", [9, 8])]
)
def test_what_scancel_does_not_find_among_others(slurm: SlurmUnderTest, indices: str, unknown: list[int]) -> None:
    """With a filter scancel goes through the list as it is written."""
    job_id = slurm.sbatch("true", "--hold", "--array=1-4")
    done = slurm.run("scancel", "--name=other", f"{job_id}_[{indices}]")
    lines = [f"scancel: error: Kill job error on job id {job_id}_{one}: Invalid job id specified\n" for one in unknown]
    assert (done.returncode, done.stderr) == (1, "".join(lines))


def test_cpus_of_elements_that_never_ran(slurm: SlurmUnderTest) -> None:
    """Once they are over these are those of the element that had started last while they were one record."""
    slurm.wait_idle()

    def cpus(array: str) -> dict[str, str]:
        lines = slurm.run("squeue", "-h", "-t", "all", "-j", array, "-o", "%i %C").stdout.splitlines()
        return {line.split()[0].removeprefix(array): line.split()[1] for line in lines}

    gate = slurm.sbatch("true", "--hold")
    arrays = [
        slurm.sbatch("sleep 60", "--array=1-5%1", "--exclusive", f"--dependency=afterany:{gate}"),
        slurm.sbatch("sleep 60", "--array=1-2%1", "--mincpus=2", f"--dependency=afterany:{gate}"),
        slurm.sbatch("sleep 60", "--array=1-2%1", "--exclusive", "--hold"),
    ]
    slurm.run("scontrol", "hold", f"{arrays[0]}_3")
    slurm.run("scancel", gate)
    for array in arrays[:2]:
        slurm.wait(f"{array}_1", ["RUNNING"])
    slurm.run("scontrol", "hold", f"{arrays[0]}_4")
    slurm.run("scancel", *arrays)
    until(lambda: "COMPLETING" not in slurm.run("squeue", "-h", "-o", "%T").stdout, what="all are over")
    assert cpus(arrays[0]) == {"_1": "4", "_3": "1", "_4": "4", "_[2,5%1]": "4"}
    assert cpus(arrays[1]) == {"_1": "2", "_2": "2"}
    assert cpus(arrays[2]) == {"_[1-2%1]": "1"}


def test_elements_that_were_cancelled_while_they_waited_and_are_requeued(slurm: SlurmUnderTest) -> None:
    """They are gone, but their record runs: once, and as if it were no element."""
    body = "until [ -e go ]; do sleep 0.1; done; echo $SLURM_ARRAY_JOB_ID,$SLURM_ARRAY_TASK_ID,$SLURM_ARRAY_TASK_COUNT > env.$SLURM_JOB_ID"
    array = slurm.sbatch(body, "-w", "n1", "--array=1-4%1")

    def states() -> list[str]:
        return sorted(slurm.run("squeue", "-h", "-t", "all", "-j", array, "-o", "%i %K %T").stdout.splitlines())

    until(lambda: f"{array}_1 1 RUNNING" in states(), what="the first runs")
    slurm.run("scancel", "-u", getpass.getuser(), array)  # one after the other, not the record as a whole
    over = [f"{array} N/A CANCELLED", f"{array}_1 1 CANCELLED"]
    until(lambda: states() == over, what="all are cancelled")
    assert slurm.run("scontrol", "requeue", array).returncode == 0
    (slurm.workdir / "go").touch()
    until(lambda: states() == [one.replace("CANCELLED", "COMPLETED") for one in over], what="all have run")
    assert slurm.output(f"env.{array}") == ",,4\n"
    assert (slurm.workdir / f"slurm-{array}.out").exists()
