"""scancel: what it ends, what it says, and what is left behind."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

_OVER = "Job/step already completing or completed"
_UNKNOWN = "Invalid job id specified"


def test_pending_job(slurm: SlurmUnderTest) -> None:
    """A job that never ran is CANCELLED at once, keeps its reason, has run no second and left no output file."""
    job_id = slurm.sbatch("echo never", "--hold")
    done = slurm.run("scancel", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("CANCELLED", "0:0", "JobHeldUser")
    assert fields["StartTime"] == fields["EndTime"]
    assert not list(slurm.workdir.glob("*.out"))


def test_running_job_that_dies_on_term(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("echo up > up; exec sleep 60", "-o", "o.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == ("CANCELLED", "0:15", "None")
    uid = re.search(r"\((\d+)\)", fields["UserId"])
    assert uid is not None
    expected = [
        {"JobID": job_id, "State": f"CANCELLED by {uid[1]}", "ExitCode": "0:0"},
        {"JobID": f"{job_id}.batch", "State": "CANCELLED", "ExitCode": "0:15"},
    ]
    # The batch row is first closed with the job, and gets its own exit code a moment later.
    until(lambda: slurm.accounted(job_id, "JobID,State,ExitCode") == expected, what=f"sacct shows {expected}")


@pytest.mark.parametrize("state", ["CANCELLED", "TIMEOUT"])
def test_srun_with_an_allocation_of_its_own(slurm: SlurmUnderTest, state: str) -> None:
    """srun says how its tasks ended when the job is over already: scontrol shows that from then on, accounting does not."""
    with ThreadPoolExecutor(1) as pool:
        task = 'echo $SLURM_JOB_ID > "task.$SLURM_PROCID"; exec sleep 100'
        running = pool.submit(slurm.run, "srun", "-n2", "-t5", "sh", "-c", task)
        files = [slurm.workdir / "task.0", slurm.workdir / "task.1"]
        until(lambda: all(file.exists() and file.read_text() for file in files), what="the tasks run")
        job_id = files[0].read_text().strip()
        slurm.run(
            *(["scancel", job_id] if state == "CANCELLED" else ["scontrol", "update", f"jobid={job_id}", "EndTime=now"])
        )
        srun = running.result()
    assert (srun.returncode, srun.stdout) == (143, "")
    fields = slurm.wait(job_id)
    reason = "None" if state == "CANCELLED" else "TimeLimit"
    assert (fields["JobState"], fields["ExitCode"], fields["Reason"]) == (state, "0:15", reason)
    expected = [
        {"State": state, "ExitCode": "0:0"},
        {"State": "CANCELLED", "ExitCode": "0:15"},
    ]

    def rows() -> list[dict[str, str]]:
        return [row | {"State": row["State"].split()[0]} for row in slurm.accounted(job_id, "State,ExitCode")]

    until(lambda: rows() == expected, what=f"sacct shows {expected}")


def test_the_notice_in_the_output(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("echo up > up; exec sleep 60", "-o", "o.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    node = slurm.wait(job_id)["NodeList"]
    pattern = rf"slurmstepd(-{node})?: error: \*\*\* JOB {job_id} ON {node} CANCELLED AT \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d \*\*\*\n"
    assert re.fullmatch(pattern, slurm.output("o.txt"))


def test_job_that_handles_term(slurm: SlurmUnderTest) -> None:
    """SIGTERM reaches the script itself; what it does then is in its output, and the job is CANCELLED all the same."""
    body = "trap 'echo caught; exit 3' TERM; echo up > up; while :; do sleep 0.1; done"
    job_id = slurm.sbatch(body, "-o", "o.txt", "-e", "e.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], slurm.output("o.txt")) == ("CANCELLED", "caught\n")
    assert fields["ExitCode"] == "3:0"


def test_job_that_ignores_term_is_killed(slurm: SlurmUnderTest) -> None:
    body = "trap '' TERM; echo up > up; while :; do sleep 0.1; done"
    job_id = slurm.sbatch(body, "-o", "o.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    slurm.run("scancel", job_id)
    fields = slurm.wait(job_id, timeout=90)
    assert (fields["JobState"], fields["ExitCode"]) == ("CANCELLED", "0:9")


def test_signal_to_the_steps_only(slurm: SlurmUnderTest) -> None:
    """``scancel -s`` reaches the steps and not the batch script."""
    body = (
        "trap 'echo script' USR1\n"
        """srun sh -c 'trap "echo step; exit 0" USR1; echo up > up; while :; do sleep 0.05; done'\n"""
        "echo rc $?"
    )
    job_id = slurm.sbatch(body, "-o", "o.txt", "-e", "e.txt")
    until((slurm.workdir / "up").exists, what="the step runs")
    assert slurm.run("scancel", "-s", "USR1", job_id).returncode == 0
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert slurm.output("o.txt") == "step\nrc 0\n"


def test_signal_to_the_batch_script_only(slurm: SlurmUnderTest) -> None:
    body = "trap 'echo caught; exit 0' USR1; echo up > up; while :; do sleep 0.05; done"
    job_id = slurm.sbatch(body, "-o", "o.txt", "-e", "e.txt")
    until((slurm.workdir / "up").exists, what="the script runs")
    assert slurm.run("scancel", "--batch", "--signal=USR1", job_id).returncode == 0
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert slurm.output("o.txt") == "caught\n"


def test_children_of_the_script_end_with_it(slurm: SlurmUnderTest) -> None:
    body = "setsid sh -c 'echo $$ > child; exec sleep 300' & until [ -s child ]; do sleep 0.02; done; exec sleep 60"
    job_id = slurm.sbatch(body)
    child = slurm.workdir / "child"
    until(lambda: child.exists() and child.read_text().strip(), what="the child runs")
    slurm.run("scancel", job_id)
    assert slurm.wait(job_id)["JobState"] == "CANCELLED"


def test_unknown_and_impossible_ids(slurm: SlurmUnderTest) -> None:
    done = slurm.run("scancel", "99999999")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = slurm.run("scancel", "abc")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "scancel: error: Invalid job id abc\n")
    done = slurm.run("scancel")
    assert (done.returncode, done.stderr) == (1, "scancel: error: No job identification provided\n")


def test_finished_job(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true")
    slurm.wait(job_id)
    done = slurm.run("scancel", job_id)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    fields = slurm.show(job_id)
    assert fields is not None
    assert fields["JobState"] == "COMPLETED"


def test_by_name_and_state(slurm: SlurmUnderTest) -> None:
    mine = [slurm.sbatch("true", "--hold", "-J", "by-name") for _ in range(2)]
    other = slurm.sbatch("true", "--hold", "-J", "another")
    assert slurm.run("scancel", "--name=by-name", "--state=PENDING", "--me").returncode == 0
    assert [slurm.wait(job)["JobState"] for job in mine] == ["CANCELLED"] * 2
    fields = slurm.show(other)
    assert fields is not None
    assert fields["JobState"] == "PENDING"
    slurm.run("scancel", other)


def verbose(slurm: SlurmUnderTest, *words: str) -> tuple[int, list[str]]:
    """The return code of ``scancel -v``, and what it says, but for the plugins that 22.05 loads."""
    done = slurm.run("scancel", "-v", *words)
    return done.returncode, [line for line in done.stderr.splitlines() if "scancel: select/" not in line]


@pytest.mark.parametrize(
    ("over", "target", "problem"),
    [
        ("", "", None),
        ("3", "", None),
        ("24", "", None),
        ("234", "", _OVER),
        ("3", "_3", _OVER),
        ("3", "_2", None),
        ("2", "_[2-4]", _OVER),
        ("3", "_[1,3]", _OVER),
        ("3", "_[3,1]", _OVER),
        ("3", "_[3,9]", _UNKNOWN),
        ("3", "_[1-2]", _UNKNOWN),
    ],
)
def test_an_array_of_which_some_are_over(slurm: SlurmUnderTest, over: str, target: str, problem: str | None) -> None:
    """An error when all of the array is over, or for the highest of the indices that there is one for."""
    array = slurm.sbatch("until [ -e go.$SLURM_ARRAY_TASK_ID ]; do sleep 0.05; done", "-a", "2-4")
    for task in "234":
        slurm.wait(f"{array}_{task}", ["RUNNING"])
    for task in over:
        (slurm.workdir / f"go.{task}").touch()
        slurm.wait(f"{array}_{task}")
    asked = f"{array}{target}"
    lines = [f"scancel: Terminating job {asked}"]
    if problem is not None:
        lines.append(f"scancel: error: Kill job error on job id {asked}: {problem}")
    assert verbose(slurm, asked) == (0, lines)


@pytest.mark.parametrize(
    ("target", "problem"), [("", _OVER), ("_2", _OVER), ("_[1-4]", _OVER), ("_9", _UNKNOWN), ("_[1,9]", _UNKNOWN)]
)
def test_elements_that_were_cancelled_as_one_record(slurm: SlurmUnderTest, target: str, problem: str) -> None:
    array = slurm.sbatch("true", "-a", "1-4", "--hold")
    slurm.run("scancel", array)
    asked = f"{array}{target}"
    said = [f"scancel: Terminating job {asked}", f"scancel: error: Kill job error on job id {asked}: {problem}"]
    assert verbose(slurm, asked) == (0, said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "Terminating job"),
        ("-f", "Terminating full job"),
        ("-b", "Terminating batch job"),
        ("-f -b", "Terminating full job"),
        ("-s KILL -b", "Signal 9 to batch job"),
        ("-n one -f", "Terminating full job"),
        ("-s 10 -b -f", "Signal 10 to full job"),
    ],
)
def test_what_is_told_of_parts_of_a_job(slurm: SlurmUnderTest, options: str, words: str) -> None:
    job_id = slurm.sbatch("trap : USR1; echo up > up; while :; do sleep 0.1; done", "-J", "one")
    until((slurm.workdir / "up").exists, what="the script runs")
    assert verbose(slurm, *options.split(), job_id) == (0, [f"scancel: {words} {job_id}"])
    slurm.run("scancel", job_id)


def test_a_job_that_is_over_is_unknown_to_who_looks_for_its_script(slurm: SlurmUnderTest) -> None:
    """``-b`` makes scancel look for the job itself, as filters and signals do."""
    job_id = slurm.sbatch("true")
    slurm.wait(job_id)
    assert verbose(slurm, "-f", job_id) == (
        0,
        [f"scancel: Terminating full job {job_id}", f"scancel: error: Kill job error on job id {job_id}: {_OVER}"],
    )
    assert verbose(slurm, "-b", job_id) == (1, [f"scancel: error: Kill job error on job id {job_id}: {_UNKNOWN}"])


def test_the_script_and_all_steps_go_before_the_script_alone(slurm: SlurmUnderTest) -> None:
    body = "trap 'echo batch >> got' USR1; srun sh -c 'trap \"echo step >> got\" USR1; : > ready; while :; do sleep 0.1; done' & wait; wait"
    job_id = slurm.sbatch(body)
    until((slurm.workdir / "ready").exists, what="the step runs")
    slurm.run("scancel", "-f", "-b", "-s", "USR1", job_id)
    until(
        lambda: (slurm.workdir / "got").exists() and set(slurm.output("got").split()) == {"batch", "step"}, what="both"
    )
    slurm.run("scancel", job_id)


@pytest.mark.parametrize("options", [(), ("-t", "PD"), ("-v", "-s", "USR1")], ids=["plain", "filter", "signal"])
@pytest.mark.parametrize(
    ("indices", "problem"),
    [
        ("9-11:2", "Invalid range: `9-11:2'"),
        ("9%1", "Invalid range: `9%1'"),
        ("2,9%1", "Invalid range: `9%1'"),
        ("9,", "Invalid range: `'"),
        (",9", "Invalid range: `'"),
        ("1,,2", "Invalid range: `'"),
        ("", "Invalid range: `'"),
        ("3-2", "Invalid range: `3-2'"),
        ("1-5-7", "Invalid range: `1-5-7'"),
        ("-9", "Invalid range: `-9'"),
        ("9 ", "Invalid range: `9 '"),
        ("1-3,a", "Invalid range: `a'"),
        ("0-65536", "Too many hosts in range `0-65536'"),
    ],
)
def test_indices_that_are_none(slurm: SlurmUnderTest, options: tuple[str, ...], indices: str, problem: str) -> None:
    """They are read as the numbers of a hostlist, not as --array reads them."""
    array = slurm.sbatch("true", "--hold", "-a", "1-12")
    done = slurm.run("scancel", *options, f"{array}_[{indices}]")
    lines = [f"_parse_single_range: {problem}", f"Invalid job id {array}_[{indices}]"]
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "".join(f"scancel: error: {one}\n" for one in lines))
    assert slurm.run("squeue", "-h", "-j", array, "-o", "%i").stdout == f"{array}_[1-12]\n"


def test_an_element_by_an_id_of_its_own(slurm: SlurmUnderTest) -> None:
    """Before 24.11 scancel finds it only when it looks at the jobs itself."""
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    slurm.run("scontrol", "update", f"jobid={array}_2", "comment=c")

    def left() -> dict[str, str]:
        lines = slurm.run("squeue", "-h", "-r", "-j", array, "-o", "%K %A").stdout.splitlines()
        return dict(sorted(line.split(maxsplit=1) for line in lines))

    own = left()["2"]
    assert own != array
    problem = [] if slurm.at_least("24.11") else [f"scancel: error: Kill job error on job id {own}: {_UNKNOWN}"]
    assert verbose(slurm, own) == (0, [f"scancel: Terminating job {own}", *problem])
    assert list(left()) == (["1", "3"] if slurm.at_least("24.11") else ["1", "2", "3"])
    slurm.run("scontrol", "update", f"jobid={array}_3", "comment=c")
    assert verbose(slurm, "-t", "PD", left()["1"])[0] == 0
    slurm.run("scancel", array)


@pytest.mark.parametrize("runs", [False, True], ids=["waits", "runs"])
@pytest.mark.parametrize("indices", ["{}_[2,2]", "{0}_2,{0}_2"])
def test_an_element_that_is_named_twice(slurm: SlurmUnderTest, indices: str, runs: bool) -> None:
    """With a filter 24.11 ends it twice; 22.05 ends all that wait, once."""
    array = slurm.sbatch("sleep 100", "-a", "2-4%3", *([] if runs else ["--hold"]))
    if runs:
        slurm.wait(f"{array}_2", ["RUNNING"])
    code, lines = verbose(slurm, "-t", "R" if runs else "PD", indices.format(array))
    said = [f"scancel: Terminating job {array}_2"]
    if slurm.at_least("24.11"):
        problem = _OVER if runs else _UNKNOWN
        said += [*said, f"scancel: error: Kill job error on job id {array}_2: {problem}"]
    elif not runs:
        said = [f"scancel: Terminating job {array}_[2-4%3]"]
    assert (code, lines) == (0, said)
    slurm.run("scancel", array)


def test_elements_that_wait_are_told_of_as_one(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("true", "--hold", "-a", "1-4%2")
    assert verbose(slurm, "-s", "KILL", array) == (0, [f"scancel: Signal 9 to job {array}_[1-4%2]"])
