"""What Slurm carries out in a way that depends on more than what is asked for: the fake refuses it, so that nobody relies on a guess."""

from __future__ import annotations

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, shown, until

OLD, NEW = "22.05", "24.11"
SEVERAL = "--mincpus=3 with --cpus-per-task=2 on several nodes"
GAPS = "--contiguous with a --nodelist of nodes that do not follow one another"
SOCKETS = "--overcommit with --ntasks-per-node and --sockets-per-node"
MORE_SOCKETS = "--overcommit with more --sockets-per-node than --cpus-per-task"
SPREAD = "--spread-job with more tasks than --ntasks-per-node lets all nodes have"

SUBMISSIONS = [
    ("--contiguous -w n[1,3]", GAPS, {NEW: "R 2 2 2 n[1-2]"}),
    ("-O --ntasks-per-node=1 --sockets-per-node=2", SOCKETS, {OLD: "R 1 1 1 n1", NEW: "R 2 2 1 n[1-2]"}),
    ("-O --sockets-per-node=2 -c1", MORE_SOCKETS, {NEW: "R 1 2 1 n1"}),
    ("-O --sockets-per-node=2 -c1 -N2", MORE_SOCKETS, {NEW: "R 2 4 4 n[1-2]"}),
    ("-O --sockets-per-node=2 -c1 -n3", MORE_SOCKETS, {NEW: "PD 1 1 3 -"}),
    ("-H --nodelist=", "a held job with an empty --nodelist", {OLD: "PD 0 0 0 -", NEW: "PD 0 0 0 -"}),
    ("--mincpus=3 -c2 -N2", SEVERAL, {OLD: "R 2 5 2 n[1-2]", NEW: "PD 2-2 4 2 -"}),
    ("-N0-2", "--nodes=0-2", {OLD: "R 2 2 2 n[1-2]", NEW: "R 2 2 2 n[1-2]"}),
    ("-N0-2 --begin=now+1hour", "--nodes=0-2", {OLD: "PD 2-2 0 0 -", NEW: "PD 2-2 0 0 -"}),
    ("-N0-2 -O -c2", "--nodes=0-2", {OLD: "R 2 4 2 n[1-2]", NEW: "R 2 4 2 n[1-2]"}),
    ("-N0-1 -w n1 --ntasks-per-node=1", "--nodes=0-1", {NEW: "R 1 1 1 n1"}),
    ("-H --spread-job -n9 --ntasks-per-node=2", SPREAD, {NEW: "PD 4-4 9 9 -"}),
    ("-H --spread-job -n8 --ntasks-per-node=2", SPREAD, {}),
    ("-O --mincpus=3", "--overcommit with --mincpus=3", {NEW: "R 1 1 1 n1"}),
]
"""Options of sbatch, what the fake says that it does not support, and what becomes of such a job by release: its state, NumNodes, NumCPUs,
NumTasks and nodes."""

UPDATES = [
    ("-H --mem=100", "MinMemoryCPU=0", "update of a job with MinMemoryCPU=0", ("MinMemoryNode", "0")),
    ("-H", "TimeLimit=0", "a time limit of 0 minutes for a job that waits", ("TimeLimit", "00:00:00")),
    ("-H -x n1", "NodeList=n1", "update of a job that requires nodes that it excludes", ("ReqNodeList", "n1")),
    ("-H", "NodeList=n[1-2]", "update of a job with more nodes than it needs", ("ReqNodeList", "n[1-2]")),
]
"""Options of sbatch, an update, what the fake says that it does not support, and a field that Slurm has changed then."""


@pytest.mark.parametrize(("options", "what", "becomes"), SUBMISSIONS)
def test_submissions(slurm: SlurmUnderTest, options: str, what: str, becomes: dict[str, str]) -> None:
    slurm.wait_idle()
    expected = becomes.get(NEW if slurm.at_least(NEW) else OLD)
    if not slurm.is_real and expected:
        done = slurm.run("sbatch", *options.split(), slurm.script("sleep 300"))
        assert (done.returncode, done.stderr) == (1, f"sbatch: error: fakeslurm does not support {what}\n")
        return
    job_id = slurm.sbatch("sleep 300", *options.split())

    def seen() -> str:
        state = slurm.run("squeue", "-h", "-j", job_id, "-o", "%t").stdout.strip()
        fields = shown(slurm, job_id)
        return " ".join([state, fields["NumNodes"], fields["NumCPUs"], fields["NumTasks"], fields["NodeList"] or "-"])

    if expected:
        until(lambda: seen() == expected, what=expected, timeout=20)


@pytest.mark.slurm_version(min="24.11")
def test_more_tasks_than_spread_nodes_may_have(slurm: SlurmUnderTest) -> None:
    """24.11 lets such a job wait for ever; 22.05 refuses it."""
    done = slurm.run("sbatch", "--spread-job", "-n9", "--ntasks-per-node=2", slurm.script("true"))
    if not slurm.is_real:
        assert (done.returncode, done.stderr) == (1, f"sbatch: error: fakeslurm does not support {SPREAD}\n")
        return
    job_id = done.stdout.split()[-1]
    until(lambda: shown(slurm, job_id)["Reason"] == "PartitionNodeLimit", what="what it waits for")
    slurm.run("scancel", job_id)


@pytest.mark.parametrize(("options", "update", "what", "change"), UPDATES)
def test_updates(slurm: SlurmUnderTest, options: str, update: str, what: str, change: tuple[str, str]) -> None:
    job_id = slurm.sbatch("sleep 300", *options.split())
    before = shown(slurm, job_id)
    done = slurm.run("scontrol", "update", f"jobid={job_id}", update)
    after = shown(slurm, job_id)
    field, value = change
    assert before[field] != value
    if slurm.is_real:
        assert (done.returncode, done.stderr, after[field]) == (0, "", value)
    else:
        assert (done.returncode, done.stderr) == (1, f"fakeslurm does not support {what} for job {job_id}\n")
        assert after == before
