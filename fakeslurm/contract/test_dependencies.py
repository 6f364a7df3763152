"""--dependency: what is taken, how squeue and scontrol show it, and what comes of it, with arrays and their elements.

Measured on 22.05.8 and 24.11.5: docs/measured/arrays.md.
"""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until, wait_for_reason

PROBLEM = "sbatch: error: Batch job submission failed: Job dependency problem\n"


def shown(slurm: SlurmUnderTest, job_id: str, text: str = "%t|%r|%E") -> list[str]:
    done = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-S", "i", "-o", text)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def becomes(slurm: SlurmUnderTest, job_id: str, *lines: str, text: str = "%t|%r|%E") -> None:
    until(lambda: shown(slurm, job_id, text) == list(lines), what=f"job {job_id} is {lines}")


def release(slurm: SlurmUnderTest, job_id: str) -> None:
    """Of an array those elements that have not ended."""
    done = slurm.run("scontrol", "release", job_id)
    assert "Invalid" not in done.stderr, done


@pytest.mark.parametrize(
    ("asked", "printed"),
    [
        ("afterok:{A}", "afterok:{A}_*(unfulfilled)"),
        ("AFTEROK:{A}_*", "afterok:{A}_*(unfulfilled)"),
        ("afterok:{A}_2", "afterok:{A}_2(unfulfilled)"),
        ("afterok:{A}_[1,3]", "afterok:{A}_1(unfulfilled),afterok:{A}_3(unfulfilled)"),
        ("afterany:{A}_[1-2]+2", "afterany:{A}_1(unfulfilled),afterany:{A}_2+2(unfulfilled)"),
        ("after:{A}+5", "after:{A}_*+5(unfulfilled)"),
        ("after:{X}+1:{A}_3+2", "after:{X}+1(unfulfilled),after:{A}_3+2(unfulfilled)"),
        ("aftercorr:{A}", "aftercorr:{A}_*(unfulfilled)"),
        ("aftercorr:{X}", "aftercorr:{X}(unfulfilled)"),
        ("{A}", "afterany:{A}_*(unfulfilled)"),
        ("{A}_2", "afterany:{A}_2(unfulfilled)"),
        ("{A},{X}", "afterany:{A}_*(unfulfilled),afterany:{X}(unfulfilled)"),
        ("singleton,afterok:{X}", "singleton(unfulfilled),afterok:{X}(unfulfilled)"),
        ("singleton?afterok:{X}", "singleton(unfulfilled)?afterok:{X}(unfulfilled)"),
        ("afterok:{X}:{X},afterok:{X}", "afterok:{X}(unfulfilled)"),
        ("afterok:{A}:{A}_1", "afterok:{A}_*(unfulfilled),afterok:{A}_1(unfulfilled)"),
        (
            "afterok:{A},afterany:{A}?afternotok:{X}",
            "afterok:{A}_*(unfulfilled)?afterany:{A}_*(unfulfilled)?afternotok:{X}(unfulfilled)",
        ),
        ("afterany:{X}_1", "afterany:{X}_1(unfulfilled)"),
        ("afterany:{A}_9", "afterany:{A}_9(unfulfilled)"),
        ("after:99999999", "after:99999999(unfulfilled)"),
    ],
)
def test_how_it_is_shown(slurm: SlurmUnderTest, asked: str, printed: str) -> None:
    """Of a job that is held, at which nobody looks."""
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    plain = slurm.sbatch("true", "--hold")
    job_id = slurm.sbatch("true", "--hold", "-d", asked.format(A=array, X=plain))
    expected = printed.format(A=array, X=plain)
    assert shown(slurm, job_id) == [f"PD|JobHeldUser|{expected}"]
    assert f" Reason=JobHeldUser Dependency={expected} " in slurm.run("scontrol", "-o", "show", "job", job_id).stdout
    slurm.run("scancel", array, plain, job_id)


@pytest.mark.parametrize(
    "text",
    [
        *("afterok:{A}_x", "singleton:{A}", "afterok", "afterok:", "afterok:{A},", ",afterok:{A}", "afterok:{A}?"),
        *(
            "?afterok:{A}",
            "afterok:{A} ",
            " afterok:{A}",
            "{A}:{A}",
            "{A}?{A}",
            "afterok:{A}:afterany:{A}",
            "afterany:0",
        ),
        *("afterok:{A}.0", "after:{A}+x", "after:{A}+", "after:{A}+0", "after:{A}+-1", "bogus:{A}", "afterok:{A},x"),
        "singleton+5",
    ],
)
def test_what_is_refused(slurm: SlurmUnderTest, text: str) -> None:
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    done = slurm.run("sbatch", "-d", text.format(A=array), "--wrap", "true")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", PROBLEM)
    slurm.run("scancel", array)


@pytest.mark.parametrize("text", ["afterok:{A}_9", "afternotok:{A}_9", "afterok:{X}_1", "afterok:99999999_1"])
def test_elements_that_do_not_exist(slurm: SlurmUnderTest, text: str) -> None:
    """24.11 refuses them, 22.05 takes them for satisfied."""
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    plain = slurm.sbatch("true", "--hold")
    done = slurm.run("sbatch", "--parsable", "-d", text.format(A=array, X=plain), "--wrap", "true")
    if slurm.at_least("24.11"):
        assert (done.returncode, done.stdout, done.stderr) == (1, "", PROBLEM)
    else:
        assert slurm.wait(done.stdout.strip())["JobState"] == "COMPLETED"
    slurm.run("scancel", array, plain)


def test_on_an_array_that_succeeds(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    kinds = {kind: slurm.sbatch("true", "-d", f"{kind}:{array}") for kind in ("after", "afterok", "afterany")}
    never = slurm.sbatch("true", "-d", f"afternotok:{array}")
    two = slurm.sbatch("true", "-d", f"afterok:{array}_2")
    both = slurm.sbatch("true", "-d", f"afterok:{array}_2,afterany:{array}_3")
    release(slurm, f"{array}_2")
    becomes(slurm, two, "CD|None|(null)")
    becomes(slurm, both, f"PD|Dependency|afterany:{array}_3(unfulfilled)")
    for kind, job_id in kinds.items():
        becomes(slurm, job_id, f"PD|Dependency|{kind}:{array}_*(unfulfilled)")
    release(slurm, array)
    for job_id in (*kinds.values(), both):
        becomes(slurm, job_id, "CD|None|(null)")
    becomes(slurm, never, f"PD|DependencyNeverSatisfied|afternotok:{array}_*(failed)")


def test_after_an_array_that_is_cancelled_as_it_waits(slurm: SlurmUnderTest) -> None:
    """Its elements count as if they waited, unless each was cancelled by itself."""
    array, single = slurm.sbatch("true", "--hold", "-a", "1-2"), slurm.sbatch("true", "--hold", "-a", "1-2")
    waiting = slurm.sbatch("true", "-d", f"after:{array}")
    freed = {kind: slurm.sbatch("true", "-d", f"{kind}:{array}") for kind in (f"after:{array}_1?afterany", "afterany")}
    after_single = slurm.sbatch("true", "-d", f"after:{single}")
    slurm.run("scancel", array, f"{single}_[1-2]")
    for job_id in (*freed.values(), after_single):
        becomes(slurm, job_id, "CD|None|(null)")
    becomes(slurm, waiting, f"PD|Dependency|after:{array}_*(unfulfilled)")
    slurm.run("scancel", waiting)


@pytest.mark.slurm_conf("MinJobAge=2")
def test_after_an_array_that_is_forgotten(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("true", "--hold", "-a", "1-2")
    waiting = slurm.sbatch("touch ran", "-d", f"after:{array}")
    slurm.run("scancel", array)
    until((slurm.workdir / "ran").exists, what=f"job {waiting} runs")


def test_a_start_alone_lets_nobody_start(slurm: SlurmUnderTest) -> None:
    """Who waits for it starts when Slurm looks the next time: mostly as that job ends, when that is at once, and then has its nodes."""

    def nodes() -> list[str]:
        first = slurm.sbatch("true", "--hold", "-n3")
        behind = slurm.sbatch("true", "-d", f"after:{first}", "-a", "1-4")
        release(slurm, first)
        return [slurm.wait(f"{behind}_{task}")["NodeList"] for task in range(1, 5)]

    assert any(nodes() == ["n1"] * 4 for _ in range(5))


def test_on_an_array_that_fails(slurm: SlurmUnderTest) -> None:
    """It has failed when one element has, but nobody knows before all of them have ended."""
    array = slurm.sbatch("exit $((SLURM_ARRAY_TASK_ID == 2))", "--hold", "-a", "1-3")
    submit = {
        "afterok": f"afterok:{array}",
        "afternotok": f"afternotok:{array}",
        "afterany": f"afterany:{array}",
        "second": f"afterok:{array}_2",
        "any": f"afterok:{array}_2?afterok:{array}_1",
        "all": f"afterok:{array}_1,afterok:{array}_2",
    }
    jobs = {name: slurm.sbatch("true", "-d", text) for name, text in submit.items()}
    killed = slurm.sbatch("true", "-d", f"afterok:{array}_2", "--kill-on-invalid-dep=yes")
    both = slurm.sbatch("true", "-d", f"afterok:{array}_2", "--kill-on-invalid-dep=yes", "--kill-on-invalid-dep=no")
    release(slurm, f"{array}_2")
    becomes(slurm, jobs["second"], f"PD|DependencyNeverSatisfied|afterok:{array}_2(failed)")
    for job in (killed, both):
        becomes(slurm, job, f"CA|DependencyNeverSatisfied|afterok:{array}_2(failed)")
    for name in ("afterok", "afternotok", "afterany"):
        becomes(slurm, jobs[name], f"PD|Dependency|{name}:{array}_*(unfulfilled)")
    release(slurm, array)
    becomes(slurm, jobs["afterok"], f"PD|DependencyNeverSatisfied|afterok:{array}_*(failed)")
    for name in ("afternotok", "afterany", "any"):
        becomes(slurm, jobs[name], "CD|None|(null)")
    # At what has failed nobody looks any more.
    failed = f"afterok:{array}_1(unfulfilled),afterok:{array}_2(failed)"
    becomes(slurm, jobs["all"], f"PD|DependencyNeverSatisfied|{failed}")


def test_on_elements_that_are_cancelled_while_they_wait(slurm: SlurmUnderTest) -> None:
    """A single one vanishes: what waits for it may run, and the array has failed."""
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    jobs = {kind: slurm.sbatch("true", "-d", f"{kind}:{array}_2") for kind in ("after", "afterok", "afternotok")}
    whole = {kind: slurm.sbatch("true", "-d", f"{kind}:{array}") for kind in ("after", "afterok", "afternotok")}
    slurm.run("scancel", f"{array}_2")
    for job_id in jobs.values():
        becomes(slurm, job_id, "CD|None|(null)")
    for kind, job_id in whole.items():
        becomes(slurm, job_id, f"PD|Dependency|{kind}:{array}_*(unfulfilled)")
    release(slurm, array)
    for kind in ("after", "afternotok"):
        becomes(slurm, whole[kind], "CD|None|(null)")
    becomes(slurm, whole["afterok"], f"PD|DependencyNeverSatisfied|afterok:{array}_*(failed)")


def test_on_an_array_that_is_cancelled(slurm: SlurmUnderTest) -> None:
    array = slurm.sbatch("true", "--hold", "-a", "1-3")
    jobs = {kind: slurm.sbatch("true", "-d", f"{kind}:{array}") for kind in ("afterany", "afterok", "afternotok")}
    slurm.run("scancel", array)
    for kind in ("afterany", "afternotok"):
        becomes(slurm, jobs[kind], "CD|None|(null)")
    becomes(slurm, jobs["afterok"], f"PD|DependencyNeverSatisfied|afterok:{array}_*(failed)")


def test_corresponding_elements(slurm: SlurmUnderTest) -> None:
    """Each element waits for the one of the same index; one that has none for the whole array."""
    array = slurm.sbatch("exit $((SLURM_ARRAY_TASK_ID == 3))", "--hold", "-a", "1-3")
    after = slurm.sbatch("true", "-a", "2-4", "-d", f"aftercorr:{array}")
    waits = f"PD|Dependency|aftercorr:{array}_*(unfulfilled)"
    becomes(slurm, after, *(f"{after}_{i}|{waits}" for i in (2, 3, 4)), text="%i|%t|%r|%E")
    release(slurm, f"{array}_2")
    becomes(slurm, after, "CD|None|(null)", waits, waits)
    release(slurm, f"{array}_3")
    never = f"PD|DependencyNeverSatisfied|aftercorr:{array}_*(failed)"
    becomes(slurm, after, "CD|None|(null)", never, waits)
    release(slurm, array)
    becomes(slurm, after, "CD|None|(null)", never, never)


def test_an_array_that_depends_waits_as_one(slurm: SlurmUnderTest) -> None:
    first = slurm.sbatch("true", "--hold")
    array = slurm.sbatch("true", "-a", "1-3", "-d", f"afterok:{first}")
    becomes(slurm, array, f"{array}_[1-3]|PD|Dependency|afterok:{first}(unfulfilled)", text="%i|%t|%r|%E")
    release(slurm, first)
    becomes(slurm, array, *(f"{array}_{i}|CD|None|(null)" for i in (1, 2, 3)), text="%i|%t|%r|%E")


def test_singleton(slurm: SlurmUnderTest) -> None:
    """Arrays are one for it: its elements do not wait for each other, and who comes later waits for all of them."""
    name = f"single-{slurm.workdir.name}"
    first = slurm.sbatch("until [ -e go1 ]; do sleep 0.05; done", "-J", name, "-a", "1-2%1")
    array = slurm.sbatch("until [ -e go2 ]; do sleep 0.05; done", "-J", name, "-a", "1-2", "-d", "singleton")
    last = slurm.sbatch("true", "-J", name, "-d", "singleton")
    waits = "PD|Dependency|singleton(unfulfilled)"
    becomes(slurm, array, f"{array}_[1-2]|{waits}", text="%i|%t|%r|%E")
    becomes(slurm, last, waits)
    (slurm.workdir / "go1").touch()
    becomes(slurm, array, "R|None|(null)", "R|None|(null)")
    becomes(slurm, first, "CD|None|(null)", "CD|None|(null)")
    becomes(slurm, last, waits)
    (slurm.workdir / "go2").touch()
    becomes(slurm, last, "CD|None|(null)")


def test_a_singleton_waits_for_younger_ones_that_run(slurm: SlurmUnderTest) -> None:
    """Waiting ones it leaves behind, but for older ones."""
    name = f"single-{slurm.workdir.name}"
    script = "until [ -e go.$SLURM_JOB_ID ]; do sleep 0.05; done"
    first = slurm.sbatch(script, "-J", name)
    waiting = slurm.sbatch("true", "-J", name, "-d", "singleton")
    slurm.sbatch("true", "-J", name, "--hold")
    younger = slurm.sbatch(script, "-J", name)
    slurm.wait(younger, ["RUNNING"])
    (slurm.workdir / f"go.{first}").touch()
    becomes(slurm, first, "CD|None|(null)")
    becomes(slurm, waiting, "PD|Dependency|singleton(unfulfilled)")
    (slurm.workdir / f"go.{younger}").touch()
    becomes(slurm, waiting, "CD|None|(null)")


def test_elements_that_were_split_off_are_singletons(slurm: SlurmUnderTest) -> None:
    """The last one has the array's id, the lowest, and is the first; then the others one after another."""
    name = f"single-{slurm.workdir.name}"
    before = slurm.sbatch("until [ -e go ]; do sleep 0.05; done", "-J", name)
    script = "until [ -e go.$SLURM_ARRAY_TASK_ID ]; do sleep 0.05; done"
    array = slurm.sbatch(script, "-J", name, "-a", "1-3", "-d", f"aftercorr:{before},singleton")
    (slurm.workdir / "go").touch()
    ended: list[str] = []
    for task in ("3", "1", "2"):
        waits = [f"{array}_{one}|PD" for one in "123" if one not in (*ended, task)]
        done = [f"{array}_{one}|CD" for one in ended]
        becomes(slurm, array, *sorted([f"{array}_{task}|R", *waits, *done]), text="%i|%t")
        (slurm.workdir / f"go.{task}").touch()
        ended.append(task)


def test_a_held_job_does_not_look(slurm: SlurmUnderTest) -> None:
    first = slurm.sbatch("false")
    slurm.wait(first)
    job_id = slurm.sbatch("true", "--hold", "-d", f"afterok:{first}")
    assert shown(slurm, job_id) == [f"PD|JobHeldUser|afterok:{first}(unfulfilled)"]
    release(slurm, job_id)
    becomes(slurm, job_id, f"PD|DependencyNeverSatisfied|afterok:{first}(failed)")


@pytest.mark.slurm_conf("MinJobAge=12")
def test_what_held_jobs_wait_for_is_looked_at_when_slurm_looks_for_jobs_to_forget(slurm: SlurmUnderTest) -> None:
    """That is every minute, or sooner with a smaller MinJobAge."""
    first = slurm.sbatch("true")
    slurm.wait(first, ["COMPLETED"])
    fails, comes, killed = (
        slurm.sbatch("true", "--hold", "-d", *words)
        for words in (
            (f"afternotok:{first}",),
            (f"afterok:{first}",),
            (f"afternotok:{first}", "--kill-on-invalid-dep=yes"),
        )
    )
    held_later = slurm.sbatch("true", "--begin=now+1hour", "-d", f"afternotok:{first}")
    slurm.run("scontrol", "uhold", held_later)
    for job_id in (fails, held_later):
        becomes(slurm, job_id, f"PD|JobHeldAdmin|afternotok:{first}(failed)")
    becomes(slurm, comes, "PD|JobHeldUser|(null)")
    becomes(slurm, killed, f"CA|DependencyNeverSatisfied|afternotok:{first}(failed)")


def test_on_the_elements_of_an_array_that_are_cancelled_by_name(slurm: SlurmUnderTest) -> None:
    """It waits for nothing then: there are no such elements any more."""
    array = slurm.sbatch("true", "--hold", "-a", "1-2")
    jobs = [slurm.sbatch("true", "-d", f"afternotok:{array}_{task}") for task in (1, 2)]
    slurm.run("scancel", f"{array}_[1,2]")
    for job_id in jobs:
        becomes(slurm, job_id, "CD|None|(null)")


def test_priority_of_a_job_that_is_over_at_once(slurm: SlurmUnderTest) -> None:
    """It has none (NO_VAL) but what it asked for, and the next job gets what would have been its."""
    failed = slurm.sbatch("false")
    slurm.wait(failed)
    waits = slurm.sbatch("true", "--hold")
    slurm.run("scontrol", "release", waits)
    before = int(slurm.wait(waits)["Priority"])
    for options, expected in ([], "4294967294"), (["--nice=5"], "4294967294"), (["--priority=5"], "5"):
        killed = slurm.sbatch("true", "-d", f"afterok:{failed}", "--kill-on-invalid-dep=yes", *options)
        over = slurm.wait(killed)
        assert (over["JobState"], over["Priority"]) == ("CANCELLED", expected)
    later = slurm.sbatch("true", "-d", f"afterok:{failed}")
    assert slurm.wait(later, ["PENDING"])["Priority"] == f"{before - 1}"


@pytest.mark.parametrize("dependency", ["afterok:{0}", "afternotok:{0}?afterany:{0}"])
def test_requeued_before_what_it_waits_for_is_over(slurm: SlurmUnderTest, dependency: str) -> None:
    """A job that was cancelled while it waited waits for the same when it is to run again, and for its time afterwards."""
    other = slurm.sbatch("true", "--hold")
    job_id = slurm.sbatch("true", "-d", dependency.format(other))
    assert slurm.run("scancel", job_id).returncode == 0
    until(lambda: (slurm.show(job_id) or {})["JobState"] == "CANCELLED", what="it is cancelled")
    assert slurm.run("scontrol", "requeue", job_id).returncode == 0
    wait_for_reason(slurm, job_id, "Dependency")
    assert (slurm.show(job_id) or {})["Dependency"] == dependency.format(other).replace(other, f"{other}(unfulfilled)")
    assert slurm.run("scontrol", "release", other).returncode == 0
    wait_for_reason(slurm, job_id, "BeginTime")
    assert (slurm.show(job_id) or {})["Dependency"] == "(null)"
