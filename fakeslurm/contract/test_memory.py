"""Memory limits (task/cgroup, ConstrainRAMSpace): who is killed, and how jobs, steps and their commands tell of it.

On a real Slurm this needs root and cgroup v1.
"""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until

pytestmark = pytest.mark.slurm_conf(
    "SelectTypeParameters=CR_Core_Memory", "TaskPlugin=task/cgroup", "ConstrainRAMSpace=yes"
)
OPTIONS = ("--mem=60", "-o", "o.txt", "-e", "e.txt")


def hog(megabytes: int, seconds: float = 60) -> str:
    """A command that uses so much memory for so long."""
    code = f"import time; x = b'1' * ({megabytes} << 20); time.sleep({seconds})"
    return f"{shlex.quote(sys.executable)} -I -S -c {shlex.quote(code)}"


def killed(slurm: SlurmUnderTest, step: str, count: int = 1, node: str = "n1") -> str:
    """What slurmstepd says."""
    if slurm.at_least("24.11"):
        events = f"{count} oom_kill event{'s' if count > 1 else ''}"
        return f"slurmstepd-{node}: error: Detected {events} in StepId={step}. Some of the step tasks have been OOM Killed."
    return (
        f"slurmstepd-{node}: error: Detected {count} oom-kill event(s) in StepId={step}. "
        "Some of your processes may have been killed by the cgroup out-of-memory handler."
    )


def errors(slurm: SlurmUnderTest, path: str = "e.txt") -> list[str]:
    """Slurm's own lines on stderr; the order of those of different programs is open."""
    return sorted(line for line in slurm.output(path).splitlines() if "slurmstepd" in line or "srun:" in line)


def so_far(slurm: SlurmUnderTest, name: str) -> str:
    path = slurm.workdir / name
    return path.read_text() if path.exists() else ""


def states(slurm: SlurmUnderTest, job_id: str, count: int) -> list[tuple[str, str, str]]:
    """The job's rows in accounting: what it is, its state and exit code."""

    def complete() -> list[dict[str, str]] | None:
        rows = slurm.accounted(job_id, "JobID,State,ExitCode")
        return rows if len(rows) == count and all(row["State"] != "RUNNING" for row in rows) else None

    rows = until(complete, what=f"{count} ended rows of job {job_id}")
    return [(row["JobID"].partition(".")[2], row["State"], row["ExitCode"]) for row in rows]


OOM = ("OUT_OF_MEMORY", "0:125")


def test_what_a_batch_script_starts_is_killed_and_the_script_goes_on(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"{hog(100)}; echo rc $?; exit 3", *OPTIONS)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["Reason"], fields["ExitCode"]) == ("OUT_OF_MEMORY", "OutOfMemory", "0:125")
    assert slurm.output("o.txt") == "rc 137\n"
    assert errors(slurm) == [killed(slurm, f"{job_id}.batch")]
    assert states(slurm, job_id, 2) == [("", *OOM), ("batch", *OOM)]
    raw = "0:125" if slurm.at_least("24.11") else "253"
    seen = slurm.run(
        "squeue", "-h", "-t", "all", "-j", job_id, "-O", "State:20,StateCompact:5,exit_code:8,Reason"
    ).stdout
    assert seen.split() == ["OUT_OF_MEMORY", "OOM", raw, "OutOfMemory"]
    assert job_id in slurm.run("squeue", "-h", "-t", "OOM", "-o", "%i").stdout.split()
    assert slurm.run("sacct", "-X", "-n", "-P", "-s", "OOM", "-j", job_id, "-o", "JobID").stdout == f"{job_id}\n"


def test_every_kill_is_counted(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"{hog(100)}; {hog(100)}", *OPTIONS)
    slurm.wait(job_id)
    assert errors(slurm) == [killed(slurm, f"{job_id}.batch", 2)]


def test_the_script_itself(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"exec {hog(100)}", *OPTIONS)
    assert slurm.wait(job_id)["JobState"] == "OUT_OF_MEMORY"
    assert errors(slurm) == [killed(slurm, f"{job_id}.batch")]


def test_what_leaves_the_session_is_killed_all_the_same(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(
        f"(setsid sh -c '{hog(100).replace(chr(39), chr(39) + chr(34) + chr(39) + chr(34) + chr(39))}; echo $? > rc' &)\n"
        "until [ -s rc ]; do sleep 0.1; done; cat rc",
        *OPTIONS,
    )
    assert slurm.wait(job_id)["JobState"] == "OUT_OF_MEMORY"
    assert slurm.output("o.txt") == "137\n"


def test_within_the_limit_nothing_happens(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"{hog(30, 0.5)}; srun {hog(30, 0.5)}; exit 3", *OPTIONS)
    fields = slurm.wait(job_id)
    assert (fields["JobState"], fields["ExitCode"], slurm.output("e.txt")) == ("FAILED", "3:0", "")


def test_no_cgroup_has_less_than_30_megabytes(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"{hog(12, 0.5)}; echo $?; srun --mem=5 {hog(12, 0.5)}; echo $?", "--mem=10", "-o", "o.txt")
    assert (slurm.wait(job_id)["JobState"], slurm.output("o.txt")) == ("COMPLETED", "0\n0\n")


def test_a_step_is_killed_and_its_job_goes_on(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"srun {hog(100)}; echo rc $?", *OPTIONS)
    assert slurm.wait(job_id)["JobState"] == "COMPLETED"
    assert slurm.output("o.txt") == "rc 1\n"
    assert errors(slurm) == [killed(slurm, f"{job_id}.0"), "srun: error: n1: task 0: Out Of Memory"]
    assert states(slurm, job_id, 3)[1:] == [("batch", "COMPLETED", "0:0"), ("0", *OOM)]
    detailed = slurm.run("scontrol", "-d", "show", "job", job_id).stdout
    assert re.findall(r"\w*ExitCode=\S+", detailed) == ["ExitCode=0:0", "DerivedExitCode=0:125"]


def test_a_task_whose_child_was_killed_is_out_of_memory_however_it_ends(slurm: SlurmUnderTest) -> None:
    script = slurm.script(f"{hog(100)}; echo child $?; exit 5")
    script.chmod(0o755)
    job_id = slurm.sbatch(f"srun {script}; echo rc $?", *OPTIONS)
    slurm.wait(job_id)
    assert slurm.output("o.txt") == "child 137\nrc 1\n"
    assert errors(slurm) == [killed(slurm, f"{job_id}.0"), "srun: error: n1: task 0: Out Of Memory"]
    assert states(slurm, job_id, 3)[2] == ("0", *OOM)


def test_later_tasks_of_the_node_are_out_of_memory_too(slurm: SlurmUnderTest) -> None:
    """slurmstepd asks once, when its first task ends; srun tells of the first tasks alone."""
    script = slurm.script(
        f"if [ $SLURM_PROCID = 1 ]; then {hog(100)}; touch over; else until [ -e over ]; do sleep 0.1; done; sleep 1; exit 7; fi"
    )
    script.chmod(0o755)
    job_id = slurm.sbatch(f"srun -n2 {script}; echo rc $?", *OPTIONS, "-n2", "-N1")
    slurm.wait(job_id)
    assert slurm.output("o.txt") == "rc 1\n"
    assert errors(slurm) == [killed(slurm, f"{job_id}.0"), "srun: error: n1: task 1: Out Of Memory"]
    assert states(slurm, job_id, 3)[2] == ("0", *OOM)


def test_a_kill_after_the_first_task_has_ended_is_nothing_but_a_kill(slurm: SlurmUnderTest) -> None:
    script = slurm.script(f"if [ $SLURM_PROCID = 1 ]; then sleep 1; exec {hog(100)}; fi; exit 7")
    script.chmod(0o755)
    job_id = slurm.sbatch(f"srun -n2 {script}; echo rc $?", *OPTIONS, "-n2", "-N1")
    slurm.wait(job_id)
    assert slurm.output("o.txt") == "rc 137\n"
    assert errors(slurm) == [
        f"srun: Force Terminated StepId={job_id}.0",
        "srun: error: n1: task 0: Exited with exit code 7",
        "srun: error: n1: task 1: Killed",
    ]
    assert states(slurm, job_id, 3)[2] == ("0", "CANCELLED", "0:9")


def test_nodes_are_judged_one_by_one(slurm: SlurmUnderTest) -> None:
    script = slurm.script(f"if [ $SLURM_PROCID = 1 ]; then exec {hog(100)}; fi; sleep 1; exit 7")
    script.chmod(0o755)
    job_id = slurm.sbatch(f"srun -N2 {script}; echo rc $?", *OPTIONS, "-N2")
    slurm.wait(job_id)
    assert slurm.output("o.txt") == "rc 1\n"
    assert errors(slurm) == [
        killed(slurm, f"{job_id}.0", node="n2"),
        "srun: error: n1: task 0: Exited with exit code 7",
        "srun: error: n2: task 1: Out Of Memory",
    ]
    assert states(slurm, job_id, 3)[2] == ("0", "FAILED", "7:0")


def test_the_largest_process_goes(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(
        f"{hog(12, 4)} & p=$!; {hog(36, 60)} & q=$!; sleep 2; {hog(24, 1)}; echo $?; wait $p; echo $?; wait $q; echo $?",
        "--mem=75", "-o", "o.txt", "-e", "e.txt",
    )  # fmt: skip
    assert slurm.wait(job_id)["JobState"] == "OUT_OF_MEMORY"
    assert slurm.output("o.txt") == "0\n0\n137\n"


def test_all_steps_of_a_job_share_its_memory(slurm: SlurmUnderTest) -> None:
    """The batch script's process is the largest when a step takes the job over its limit."""
    job_id = slurm.sbatch(f"{hog(45)} & p=$!; sleep 1; srun {hog(20, 2)}; echo $?; wait $p; echo $?", *OPTIONS)
    assert slurm.wait(job_id)["JobState"] == "OUT_OF_MEMORY"
    assert slurm.output("o.txt") == "0\n137\n"
    assert errors(slurm) == [killed(slurm, f"{job_id}.batch")]
    assert states(slurm, job_id, 3) == [("", *OOM), ("batch", *OOM), ("0", "COMPLETED", "0:0")]


@pytest.mark.parametrize(
    ("job", "step", "megabytes", "fits"),
    [
        (["--mem=200"], ["--mem=50"], 80, False),
        (["--mem=200"], ["--mem=150"], 80, True),
        (["--mem=60"], ["--mem=0"], 80, False),
        (["--mem-per-cpu=60", "-n2", "-N1"], ["-n1"], 80, True),
        (["--mem-per-cpu=60", "-n2", "-N1"], ["-n1", "--exact"], 80, False),
        (["--mem-per-cpu=60", "-n2", "-N1"], ["-n1", "--mem-per-cpu=40"], 60, True),
        (["--mem-per-cpu=60", "-n2", "-N1"], ["-n1", "--mem=40"], 60, False),
        (["--mem-per-cpu=30", "-n2", "-N1", "--exclusive"], ["-n1"], 80, True),
        ([], [], 200, True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_the_limit_of_a_step(
    slurm: SlurmUnderTest, job: list[str], step: list[str], megabytes: int, fits: bool
) -> None:
    job_id = slurm.sbatch(f"exec srun {' '.join(step)} {hog(megabytes, 0.5 if fits else 60)}", "-o", "/dev/null", *job)
    slurm.wait(job_id)
    assert states(slurm, job_id, 3)[2][1] == ("COMPLETED" if fits else "OUT_OF_MEMORY")


def test_srun_outside_a_job(slurm: SlurmUnderTest) -> None:
    done = slurm.run("srun", "--mem=60", "-J", "alone", *shlex.split(hog(100)))
    job_id = slurm.run("squeue", "-h", "-t", "all", "-n", "alone", "-o", "%i", "-S", "-i").stdout.split()[0]
    assert done.returncode == 1
    assert sorted(done.stderr.splitlines()) == [killed(slurm, f"{job_id}.0"), "srun: error: n1: task 0: Out Of Memory"]
    assert slurm.wait(job_id)["JobState"] == "OUT_OF_MEMORY"
    assert states(slurm, job_id, 2) == [("", *OOM), ("0", *OOM)]


def test_cancelled_and_requeued_afterwards(slurm: SlurmUnderTest) -> None:
    """What ends the job decides about the job, the memory about the batch step. A job that ran out of memory is not requeued by itself."""
    script = f'[ -n "$SLURM_RESTART_COUNT" ] && exit 0\n{hog(100)}; echo over; sleep 60'
    job_id = slurm.sbatch(script, *OPTIONS, "--requeue", "--open-mode=append")
    until(lambda: "over" in so_far(slurm, "o.txt"), what="the kill")
    assert slurm.run("scontrol", "requeue", job_id).returncode == 0
    assert slurm.wait(job_id, ["COMPLETED"])["Restarts"] == "1"
    rows = [(row["State"], row["ExitCode"]) for row in slurm.accounted(job_id, "State,ExitCode", "--duplicates")]
    assert rows[:2] == [("REQUEUED", "0:0"), OOM]
    job_id = slurm.sbatch(f"{hog(100)}; echo over; sleep 60", "--mem=60", "-o", "p.txt")
    until(lambda: "over" in so_far(slurm, "p.txt"), what="the kill")
    slurm.run("scancel", job_id)
    slurm.wait(job_id, ["CANCELLED"])
    # Until slurmdbd has heard of its end, the batch step is shown as its job.
    expected = [("CANCELLED by 0", "0:0"), OOM]
    until(lambda: [row[1:] for row in states(slurm, job_id, 2)] == expected, what="the end of the batch step")


def test_a_cancelled_step(slurm: SlurmUnderTest) -> None:
    script = slurm.script(f"{hog(100)}; touch over; sleep 60")
    script.chmod(0o755)
    job_id = slurm.sbatch(
        f"srun {script} & p=$!; until [ -e over ]; do sleep 0.1; done; scancel $SLURM_JOB_ID.0; wait $p; echo $?",
        *OPTIONS,
    )
    slurm.wait(job_id)
    assert slurm.output("o.txt") == "1\n"
    assert states(slurm, job_id, 3)[2] == ("0", *OOM)


def test_dependencies_and_waiting(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(hog(100), "--mem=60", "-o", "/dev/null", "-H")
    others = {
        kind: slurm.sbatch("true", "-o", "/dev/null", f"--dependency={kind}:{job_id}")
        for kind in ("afterok", "afternotok")
    }
    slurm.run("scontrol", "release", job_id)
    assert slurm.wait(others["afternotok"])["JobState"] == "COMPLETED"
    until(lambda: slurm.wait(others["afterok"], ["PENDING"])["Reason"] == "DependencyNeverSatisfied", what="the reason")
    slurm.run("scancel", others["afterok"])
    assert slurm.run("sbatch", "--wait", "-o", "/dev/null", "--mem=60", "--wrap", f"{hog(100)}; exit 3").returncode == 1


def test_an_array(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(
        f"[ $SLURM_ARRAY_TASK_ID = 2 ] && {hog(100)}; echo $SLURM_JOB_ID", "--mem=60", "-a1-2", "-o", "%a.txt"
    )
    until(lambda: not slurm.run("squeue", "-h", "-j", job_id).stdout, what="the end of the array")
    shown = slurm.run("squeue", "-h", "-t", "all", "-r", "-j", job_id, "-o", "%K %T").stdout
    assert sorted(shown.splitlines()) == ["1 COMPLETED", "2 OUT_OF_MEMORY"]
    *_, element, line = slurm.output("2.txt").splitlines()
    assert line == killed(slurm, f"{element}.batch")


def test_what_the_label_of_srun_says(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"srun -l {hog(100)}", *OPTIONS)
    slurm.wait(job_id)
    assert errors(slurm) == sorted([f"0: {killed(slurm, f'{job_id}.0')}", "srun: error: n1: task 0: Out Of Memory"])


@pytest.mark.parametrize(
    ("job", "options", "together"),
    [
        ("--mem=60", "", False),
        ("--mem=60", "--overlap", True),
        ("--mem=60", "--mem=30", True),
        ("--mem=60", "--mem-per-cpu=30", True),
        ("--mem=60", "--mem=0", True),
        ("--mem-per-cpu=60", "", True),
        ("--cpus-per-task=1", "", True),
    ],
)
def test_steps_wait_for_memory(slurm: SlurmUnderTest, job: str, options: str, together: bool) -> None:
    """Two steps at once: the first ends when the second is there, or without it after two seconds."""
    script = slurm.script(
        'echo in >> seen; for i in $(seq 20); do [ "$(wc -l < seen)" = 2 ] && exit; sleep 0.1; done; echo alone'
    )
    script.chmod(0o755)
    step = f"srun -n1 --exact {options} {script}"
    job_id = slurm.sbatch(f"{step} & {step} & wait", "-n2", "-N1", "-o", "o.txt", "-e", "e.txt", job)
    slurm.wait(job_id)
    assert slurm.output("o.txt") == ("" if together else "alone\n")
    assert ("Step created for" in slurm.output("e.txt")) is not together


@pytest.mark.parametrize("options", ["--mem=100", "--mem-per-cpu=100"])
def test_a_step_that_wants_more_than_its_job_has(slurm: SlurmUnderTest, options: str) -> None:
    job_id = slurm.sbatch(f"srun {options} true", *OPTIONS, "-n2", "-N1")
    assert slurm.wait(job_id)["ExitCode"] == "1:0"
    expected = f"srun: error: Unable to create step for job {job_id}: Memory required by task is not available\n"
    assert slurm.output("e.txt") == expected


@pytest.mark.slurm_conf("TaskPlugin=task/cgroup", "ConstrainRAMSpace=yes")
def test_without_memory_as_a_resource_nothing_is_limited(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch(f"{hog(100, 0.5)}; echo $?; srun {hog(100, 0.5)}; echo $?", "--mem=60", "-o", "o.txt")
    assert (slurm.wait(job_id)["JobState"], slurm.output("o.txt")) == ("COMPLETED", "0\n0\n")
