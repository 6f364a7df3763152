"""``--ntasks-per-node`` together with a number of tasks or nodes: what a job gets, and what squeue says of it before.

Measured on 22.05.8 and 24.11.5: docs/measured/resources.md.
"""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, wait_for_reason
from fakeslurm.contract.harness import shown as fields_of

SIZES = "NumNodes:.6,NumCPUs:.6,NumTasks:.6"


def shown(slurm: SlurmUnderTest, job_id: str) -> str:
    """Nodes, CPUs and tasks."""
    return " ".join(slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-O", SIZES).stdout.split())


@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        ("-n8 --ntasks-per-node=2", "4 8 8", "4 8 8"),
        ("-n5 --ntasks-per-node=2", "2 5 5", "3 5 5"),
        ("-n5 --ntasks-per-node=1", "5 5 5", "5 5 5"),
        ("-n8 -c2 --ntasks-per-node=3", "2 16 8", "3 16 8"),
        ("-N1-4 -n5 --ntasks-per-node=2", "2 5 5", "2 5 5"),
        ("-N1-4 -n9 --ntasks-per-node=2", "4 9 9", "4 9 9"),
        ("-N2-3 --ntasks-per-node=4 -c2", "2 16 8", "2 16 8"),
        ("-n6 --ntasks-per-node=2 -w n1", "3 6 6", "3 6 6"),
    ],
)
def test_of_a_job_that_waits(slurm: SlurmUnderTest, options: str, old: str, new: str) -> None:
    job_id = slurm.sbatch("true", "--hold", *options.split())
    assert shown(slurm, job_id) == (new if slurm.at_least("24.11") else old)


@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        ("-N2 -n4 --ntasks-per-node=2", "2 4 4 2(x2) 4", "2 4 4 2(x2) 4"),
        ("-n8 --ntasks-per-node=2", "4 8 8 2(x4) 8", "4 8 8 2(x4) 8"),
        ("-N1-4 -n5 --ntasks-per-node=4", "4 16 16 4(x4) 5", "4 5 5 2,1(x3) 5"),
        ("-N2 -n2 --ntasks-per-node=3", "2 6 6 3(x2) 2", "2 2 2 1(x2) 2"),
        ("-N2 -n3 --ntasks-per-node=2 -c2", "2 8 4 2(x2) 3", "2 6 3 2,1 3"),
        ("-n5 --ntasks-per-node=2", "3 6 6 2(x3) 5", "3 5 5 2(x2),1 5"),
        ("-n1 --ntasks-per-node=2", "1 1 2 2 1", "1 1 1 1 1"),
        ("-n2 --ntasks-per-node=4", "1 4 4 4 2", "1 2 2 2 2"),
        ("-N2 -n5 --ntasks-per-node=4 --exclusive", "2 8 8 4(x2) 5", "2 8 5 3,2 5"),
        ("-N2 -n5 --ntasks-per-node=4 -O", "2 2 8 4(x2) 5", "2 2 5 3,2 5"),
        ("-N1-4 --ntasks-per-node=2", "2 4 4 2(x2) 4", "4 8 2 2(x4) 8"),
        ("-N2-3 --ntasks-per-node=1 -c2", "2 4 2 1(x2) 2", "3 6 2 1(x3) 3"),
    ],
)
def test_of_a_job_that_runs(slurm: SlurmUnderTest, options: str, old: str, new: str) -> None:
    slurm.wait_idle()
    job_id = slurm.sbatch("echo $SLURM_TASKS_PER_NODE $SLURM_NTASKS", "-o", "o.txt", *options.split())
    slurm.wait(job_id)
    found = f"{shown(slurm, job_id)} {slurm.output('o.txt')}"
    assert found == (new if slurm.at_least("24.11") else old) + "\n"


def test_every_node_has_to_have_room_for_all_of_them(slurm: SlurmUnderTest) -> None:
    """Also where fewer tasks were asked for."""
    blocker = slurm.sbatch("sleep 60", "-N4", "--ntasks-per-node=2")
    slurm.wait(blocker, ["RUNNING"])
    waits = slurm.sbatch("true", "-N2", "-n2", "--ntasks-per-node=3")
    runs = slurm.sbatch("sleep 60", "-N2", "-n3", "--ntasks-per-node=2", "--nice=-1")
    slurm.wait(runs, ["RUNNING"])
    assert slurm.wait(waits, ["PENDING"])["NumNodes"].startswith("2")
    slurm.run("scancel", blocker, runs, waits)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--ntasks-per-node=5", "1 1 5 1"),
        ("-n5 --ntasks-per-node=5", "1 1 5 1"),
        ("-N2 --ntasks-per-node=5", "2 2 10 1"),
        ("-c5", "1 1 1 5"),
        ("-c2 --ntasks-per-node=3", "1 1 3 2"),
        ("-c3 -n2 --ntasks-per-node=2", "1 1 2 3"),
        ("--mincpus=5", "1 1 1 5"),
    ],
)
def test_of_a_job_that_waits_and_overcommits(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """CPUs: one for each node; on each node those of one task."""
    job_id = slurm.sbatch("true", "--hold", "--overcommit", *options.split())
    done = slurm.run("squeue", "-h", "-j", job_id, "-O", f"{SIZES},MinCpus:.6")
    assert " ".join(done.stdout.split()) == expected


def test_memory_before_cpus_when_these_are_overcommitted(slurm: SlurmUnderTest) -> None:
    (slurm.workdir / "s.sh").write_text("#!/bin/sh\ntrue\n")
    done = slurm.run("sbatch", "--overcommit", "--mem=1T", "--ntasks-per-node=5", "s.sh")
    lines = [
        "Memory specification can not be satisfied",
        "Batch job submission failed: Requested node configuration is not available",
    ]
    assert (done.returncode, done.stderr) == (1, "".join(f"sbatch: error: {line}\n" for line in lines))


@pytest.mark.parametrize("words", [("hold", "{}"), ("release", "{}"), ("update", "jobid={}", "Comment=c")])
@pytest.mark.parametrize(
    ("options", "before", "new"),
    [
        ("-n5 --ntasks-per-node=4", "2 5 5", "2 8 8"),
        ("-n1 --ntasks-per-node=2", "1 1 1", "1 2 2"),
        ("-n5 --ntasks-per-node=2 -w n[1-2]", "3 5 5", "2 4 4"),
        ("-N2 -n1 --ntasks-per-node=2", "1-1 1 1", "1-1 2 2"),
        # One CPU for each, but only if they are others than before.
        ("-n3 --ntasks-per-node=2 -c2", "2 6 3", "2 4 4"),
        ("-N2 --ntasks-per-node=2 -c2", "2-2 8 4", "2-2 8 4"),
        ("-n3 --ntasks-per-node=2 -O", "2 1 3", "2 4 4"),
        ("-N2 --ntasks-per-node=2 -O", "2-2 2 4", "2-2 2 4"),
        ("-N1-2 -n5 --ntasks-per-node=4", "2-2 5 5", "2-2 5 5"),
        ("-n5", "2 5 5", "2 5 5"),
    ],
)
def test_updates_count_tasks_anew(
    slurm: SlurmUnderTest, options: str, before: str, new: str, words: tuple[str, ...]
) -> None:
    """In 24.11, of a job that waits: holding and releasing are updates, too."""
    if not slurm.at_least("24.11"):
        before = new = ""
    other = slurm.sbatch("true", "--hold")
    job_id = slurm.sbatch("true", f"--dependency=afterany:{other}", *options.split())
    wait_for_reason(slurm, job_id, "Dependency")

    def sizes() -> str:
        fields = fields_of(slurm, job_id)
        return " ".join(fields[name] for name in ("NumNodes", "NumCPUs", "NumTasks"))

    before = before or sizes()
    assert sizes() == before
    assert slurm.run("scontrol", *(word.format(job_id) for word in words)).returncode == 0
    assert sizes() == (new or before)


def test_updates_count_tasks_anew_even_if_refused(slurm: SlurmUnderTest) -> None:
    """But not before what they name is looked at. ReqTRES has them of an update that is not refused, and other memory is for its CPUs."""
    new = slurm.at_least("24.11")
    refused, updated = (
        slurm.sbatch("true", "--hold", "-n5", "--ntasks-per-node=4", "--mem-per-cpu=10") for _ in range(2)
    )

    def after(job_id: str, *words: str) -> str:
        slurm.run("scontrol", "update", f"jobid={job_id}", *words)
        fields = fields_of(slurm, job_id)
        return f"{fields['NumTasks']} {fields['ReqTRES' if new else 'TRES']}"

    def expected(tasks: int, cpus: int, memory: int) -> str:
        return f"{tasks} cpu={cpus},mem={memory}M,node={2 if new else 1},billing={cpus}"

    assert after(refused, "Licenses=nope") == expected(5, 5, 50)
    tasks = 8 if new else 5
    for words, memory in (("Features=nope", 50), ("Comment=c", 50), ("MinMemoryCPU=20", 100)):
        assert after(refused, words) == expected(tasks, 5, memory), words
    for words, memory in (("Comment=c", 50), ("MinMemoryCPU=20", 20 * tasks)):
        assert after(updated, words) == expected(tasks, tasks, memory), words


@pytest.mark.parametrize("options", ["-n5 --ntasks-per-node=4", "-n4 --ntasks-per-node=2"])
def test_updates_of_a_running_job_may_not_count_its_tasks_anew(slurm: SlurmUnderTest, options: str) -> None:
    slurm.wait_idle()
    job_id = slurm.sbatch("sleep 60", *options.split())
    slurm.wait(job_id, ["RUNNING"])
    refused = slurm.at_least("24.11") and "-n5" in options
    said = f"Job is no longer pending execution for job {job_id}\n"
    for words in (("update", f"jobid={job_id}", "Comment=c"), ("hold", job_id), ("release", job_id)):
        done = slurm.run("scontrol", *words)
        error = "" if words[0] == "update" else "slurm_suspend error: Job is no longer pending execution\n"
        assert (done.returncode, done.stderr) == ((1, said + error) if refused else (0, "")), words
    assert fields_of(slurm, job_id).get("Comment") == (None if refused else "c")


def test_a_job_runs_as_updates_have_counted_it(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    job_id = slurm.sbatch("echo $SLURM_TASKS_PER_NODE $SLURM_NTASKS", "-o", "o.txt", "-n5", "--ntasks-per-node=4", "-H")
    slurm.run("scontrol", "release", job_id)
    slurm.wait(job_id)
    found = f"{shown(slurm, job_id)} {slurm.output('o.txt')}"
    assert found == ("2 8 8 4(x2) 8\n" if slurm.at_least("24.11") else "2 8 8 4(x2) 5\n")
