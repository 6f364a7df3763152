"""How many nodes, CPUs and tasks a job shows while it waits and once it runs: ``-N MIN-MAX``, ``--nodelist``, ``--spread-job``."""

from __future__ import annotations

import os

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until, wait_for_reason

REFUSED = "sbatch: error: Batch job submission failed: "
LATER = "--begin=now+1hour"


def counts(slurm: SlurmUnderTest, job_id: str) -> str:
    fields = shown(slurm, job_id)
    return " ".join(fields[name] for name in ("NumNodes", "NumCPUs", "NumTasks"))


def ran(slurm: SlurmUnderTest, *options: str) -> str:
    """Where a job ran on the empty cluster, with how many nodes, CPUs and tasks."""
    slurm.wait_idle()
    job_id = slurm.sbatch("true", *options)
    return f"{slurm.wait(job_id)['NodeList']} {counts(slurm, job_id)}"


# Held, and waiting for its time: Slurm has looked where it could run. Both on 22.05 and 24.11; the last two on 24.11 where it differs.
WAITING = [
    ("-N1-3", "1-3 1 1", "3-3 1 1"),
    ("-N2-3", "2-3 1 2", "3-3 1 2"),
    ("-N1-5", "1-5 1 1", "4-5 1 1"),
    ("-N1-4 -n2", "1-2 2 2", "2-2 2 2"),
    ("-N1-4 -n5", "2-4 5 5", "4-4 5 5"),
    ("-N1-3 --use-min-nodes", "1-3 1 1", "1-3 1 1"),
    ("-N2-3 -c2", "2-3 2 2", "3-3 2 2"),
    ("-N2-3 -O -c2", "2-3 2 2", "3-3 2 2"),
    ("-O -c2", "1 1 1", "1 1 1"),
    ("-N1-4 -n2 -O", "1-2 1 2", "2-2 1 2"),
    ("-N1-3 --ntasks-per-node=2", "1-3 2 2", "2-3 2 2", "1-3 2 2", "3-3 2 2"),
    ("-N1-4 --ntasks-per-node=2 -c2", "1-4 2 2", "2-4 2 2", "1-4 2 2", "4-4 2 2"),
    ("-N2-3 --ntasks-per-node=2 -c2", "2-3 8 4", "3-3 8 4"),
    ("-N2-3 --ntasks-per-node=1 -c3", "2-3 3 2", "2-3 3 2", "2-3 3 2", "3-3 3 2"),
    ("-N1-4 -n3 -c2", "2-3 6 3", "3-3 6 3", "1-3 6 3", "3-3 6 3"),
    ("-n5 -c2", "3 10 5", "3 10 5", "2 10 5", "3 10 5"),
    ("-n1 -c2", "2 2 1", "1 2 1", "1 2 1", "1 2 1"),
    ("-n3 -c2 -N2", "2-2 6 3", "2-2 6 3"),
    ("-n3 -c2 -N2-3", "3-3 6 3", "3-3 6 3", "2-3 6 3", "3-3 6 3"),
    ("-n1 -c2 -O -w n1", "2 1 1", "1 1 1", "1 1 1", "1 1 1"),
    ("-n1 -c3", "1 3 1", "1 3 1"),
    ("-n2 -c5 -H", "2 10 2", None),
    ("--spread-job -n3", "1-3 3 3", "3-3 3 3"),
    ("--spread-job -n8", "2-4 8 8", "4-4 8 8"),
    ("--spread-job --ntasks-per-node=4", "1-4 4 4", "4-4 4 4"),
    ("--spread-job -N2-4", "2-4 1 2", "4-4 1 2"),
    ("-w n[1-2] -N3-4", "3-4 2 3", "4-4 2 3", "3-4 1 3", "4-4 1 3"),
    ("-w n[1-3] -N1-4 -c4", "3-4 4 3", "4-4 4 3", "1-4 4 1", "3-4 4 1"),
    ("-w n[1-2] -N2-3", "2-3 2 2", "3-3 2 2", "2-3 1 2", "3-3 1 2"),
    ("-w n[1-2] -N1-3", "2-3 2 2", "3-3 2 2", "1-3 1 1", "2-3 1 1"),
    ("--sockets-per-node=2", "1 1 1", "1 1 1", "1-1 1 1", "1 1 1"),
    ("--sockets-per-node=2 -N2", "2-2 4 4", "2-2 4 4"),
    ("--sockets-per-node=2 -N2 -O -c2", "2-2 2 4", "2-2 2 4"),
    ("--sockets-per-node=2 -N2-3", "2-3 1 2", "3-3 1 2"),
    ("--sockets-per-node=2 -w n[1,4] --spread-job", "2-4 4 4", "4-4 4 4"),
    ("--sockets-per-node=2 -N2 --ntasks-per-node=3", "2-2 6 6", "2-2 6 6"),
    ("-B 2", "1 2 2", "1 2 2", "1-1 2 2", "1 2 2"),
    ("-w n[1-2] -N0", "2 2 2", None, "0 0 0", None),
]
OFFERED = [
    ("-w n[1-2] -N1", None, "n1 1 1 1"),
    ("-w n3,n1 -N1", None, "n1 1 1 1"),
    ("-w n4,n2 -n1", "n2 1 1 1", "n2 1 1 1"),
    ("-w n4,n1,n3 -n2", "n[1,3] 2 2 2", "n[3-4] 2 2 2"),
    ("-w n[3-4],n1 -N2", None, "n[3-4] 2 2 2"),
    ("-w n[1-3] -n5 -N2", None, "n[1-2] 2 5 5"),
    ("-w n[1-2] -N1-3", "n[1-3] 3 3 3", "n[1-2] 2 2 2"),
    ("-w n[1-2] -N2-3", "n[1-3] 3 3 3", "n[1-3] 3 3 3"),
    ("-w n[1-3] -N1-2 --use-min-nodes", None, "n1 1 1 1"),
    ("-w n[1-2] -N1-3 --use-min-nodes", "n[1-2] 2 2 2", "n1 1 1 1"),
    ("-w n[1-3] -N1-2 --exclusive", None, "n[1-2] 2 8 2"),
]
"""Options with more nodes than needed, and what 22.05 (None: refused by the command) and 24.11 make of them."""


@pytest.mark.parametrize(("options", "expected"), [(one[0], one[1:]) for one in WAITING])
def test_waiting(slurm: SlurmUnderTest, options: str, expected: tuple[str | None, ...]) -> None:
    held, looked_at = expected[-2:] if slurm.at_least("24.11") else expected[:2]
    job_id = slurm.sbatch("true", "--hold", *options.split())
    assert counts(slurm, job_id) == held
    if looked_at is not None:
        assert counts(slurm, slurm.sbatch("true", LATER, *options.split())) == looked_at


def test_a_held_job_is_looked_at_once_it_is_the_first_to_wait(slurm: SlurmUnderTest) -> None:
    slurm.wait_idle()
    slurm.sbatch("sleep 60", "-w", "n[1-4]", "--exclusive")
    job_id = slurm.sbatch("true", "--hold", "-N1-3")
    assert counts(slurm, job_id) == "1-3 1 1"
    slurm.run("scontrol", "release", job_id)
    wait_for_reason(slurm, job_id, "Resources")
    assert counts(slurm, job_id) == "3-3 1 1"
    slurm.run("scontrol", "hold", job_id)
    assert counts(slurm, job_id) == "3-3 1 1"


def test_a_held_job_that_has_run_is_no_guess_any_more(slurm: SlurmUnderTest) -> None:
    job_id = slurm.sbatch("true", "--hold")
    guessed = "1-1 1 1" if slurm.at_least("24.11") else "1 1 1"
    assert counts(slurm, job_id) == guessed
    slurm.run("scontrol", "update", f"jobid={job_id}", "StartTime=now+1hour")
    slurm.run("scontrol", "release", job_id)
    wait_for_reason(slurm, job_id, "BeginTime")
    assert counts(slurm, job_id) == guessed
    slurm.run("scontrol", "update", f"jobid={job_id}", "StartTime=now")
    slurm.wait(job_id, ["COMPLETED"])
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    slurm.wait(job_id, ["PENDING"])
    assert counts(slurm, job_id) == "1 1 1"


@pytest.mark.parametrize(
    ("options", "before", "now"),
    [
        ("-N1-2 --ntasks-per-node=2", "2 2 4", "2-2 2 2"),
        ("--spread-job --ntasks-per-node=2 -n6 -O", "4 1 8", "4-4 1 6"),
        ("-w n[1-2] --ntasks-per-node=2", "2 4 4", "2 4 4"),
        ("-N1-3", "3 1 1", "3-3 1 1"),
    ],
)
def test_tasks_of_a_job_that_has_run_and_waits_again(
    slurm: SlurmUnderTest, options: str, before: str, now: str
) -> None:
    """22.05 shows as many as it ran with for each node, also once it is updated."""
    slurm.wait_idle()
    job_id = slurm.sbatch("true", *options.split())
    slurm.wait(job_id, ["COMPLETED"])
    assert slurm.run("scontrol", "requeuehold", job_id).returncode == 0
    slurm.wait(job_id, ["PENDING"])
    expected = now if slurm.at_least("24.11") else before
    assert counts(slurm, job_id) == expected
    slurm.run("scontrol", "update", f"jobid={job_id}", "Account=root")
    assert counts(slurm, job_id) == expected
    slurm.run("scancel", job_id)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-N1-3", "n[1-3] 3 3 3"),
        ("-N1-3 -O", "n[1-3] 3 3 3"),
        ("-N1-3 -c2", "n[1-3] 3 6 3"),
        ("-N1-3 --exclusive", "n[1-3] 3 12 3"),
        ("-N1-3 --mincpus=2", "n[1-3] 3 6 3"),
    ],
)
def test_tasks_of_a_job_that_ran(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """Without --ntasks one for each node, whatever it showed before."""
    assert ran(slurm, *options.split()) == expected


@pytest.mark.parametrize(("options", "before", "now"), OFFERED)
def test_nodelist_of_more_nodes_than_nodes(slurm: SlurmUnderTest, options: str, before: str | None, now: str) -> None:
    """On 24.11 one chooses among them; before that the list had to fit in."""
    if before is None and not slurm.at_least("24.11"):
        done = slurm.run("sbatch", "--wrap=true", *options.split())
        assert done.returncode == 1
        assert done.stderr.startswith("sbatch: error: invalid number of nodes (-N ")
    else:
        assert ran(slurm, *options.split()) == (now if slurm.at_least("24.11") else before)


@pytest.mark.parametrize(
    ("options", "fits"), [("-n5 -c3", False), ("-n4 -c3 -N1-3", False), ("-n5 -c3 -N4", False), ("-n4 -c3 -N4", True)]
)
def test_tasks_that_do_not_fit_on_their_nodes(slurm: SlurmUnderTest, options: str, fits: bool) -> None:
    """24.11 counts whole tasks; before that it counted CPUs."""
    done = slurm.run("sbatch", "--parsable", "--wrap=true", LATER, *options.split())
    if fits or not slurm.at_least("24.11"):
        assert done.returncode == 0, done
        slurm.run("scancel", done.stdout.strip())
    else:
        assert (done.returncode, done.stderr) == (1, f"{REFUSED}Requested node configuration is not available\n")


@pytest.mark.parametrize(("limit", "refused"), [("-1", True), ("UNLIMITED", True), ("0", True), ("30", False)])
def test_deadline_of_a_job_without_limit(slurm: SlurmUnderTest, limit: str, refused: bool) -> None:
    done = slurm.run("sbatch", "--parsable", "--wrap=true", "-H", "--deadline=now+1hour", "-t", limit)
    if refused and slurm.at_least("24.11"):
        problem = "Requested time limit is invalid (missing or exceeds some limit)"
        assert (done.returncode, done.stderr) == (1, f"{REFUSED}{problem}\n")
    else:
        assert done.returncode == 0, done
        slurm.run("scancel", done.stdout.strip())


@pytest.mark.parametrize(("options", "expected"), [("", "1"), ("--exclude=n[2-3]", "1"), ("-N1-2", "2-2")])
def test_nodes_of_elements_that_wait_behind_the_first(slurm: SlurmUnderTest, options: str, expected: str) -> None:
    """Once an element has started, those that were held until then say how many nodes it got."""
    body = ": < gate"
    os.mkfifo(slurm.workdir / "gate")
    array = slurm.sbatch(body, "-w", "n1", "--array=1-3%1", "--hold", *options.split())
    slurm.run("scontrol", "release", array)
    until(lambda: slurm.run("squeue", "-h", "-t", "R", "-j", array).stdout, what="the first runs")
    record = slurm.run("scontrol", "show", "job", array).stdout.split("\n\n")[0]
    assert "ArrayTaskId=2-3%1" in record
    assert f"NumNodes={expected} " in record
    slurm.run("scancel", array)


@pytest.mark.parametrize(
    ("options", "is_possible"),
    [
        ("-w n1 -N1-2", False),
        ("-w n[1-2] -N1-3 -c2", False),
        ("-w n1 -N1-2 --begin=now+30", False),
        ("-w n1 -N1-2 --spread-job", False),
        ("-w n1 -N1-2 -n1", True),
        ("-w n1 -N2-3", True),
        ("-w n[1-2] -N1-2", True),
        ("-w n1 -N1-2 --use-min-nodes", True),
    ],
)
def test_a_task_on_each_of_more_nodes_than_are_named(slurm: SlurmUnderTest, options: str, is_possible: bool) -> None:
    """Not possible where the named nodes are enough for the tasks; in 24.11 it is, but with --spread-job."""
    done = slurm.run("sbatch", "--parsable", "--ntasks-per-node=1", *options.split(), "--wrap=true")
    is_possible = is_possible or (slurm.at_least("24.11") and "--spread-job" not in options)
    assert (done.returncode == 0) is is_possible
    if is_possible:
        slurm.run("scancel", done.stdout.strip())
    else:
        assert done.stderr.endswith("failed: Requested node configuration is not available\n")
        held = slurm.sbatch("true", "--hold", "--ntasks-per-node=1", *options.split())
        slurm.run("scontrol", "release", held)
        if "--begin" not in options:
            wait_for_reason(slurm, held, "BadConstraints")
        slurm.run("scancel", held)
