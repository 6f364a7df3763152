"""``--wckey``, where the cluster does not track wckeys (TrackWCKey=no): a text of the job that squeue and sacct show."""

from __future__ import annotations

import json

import pytest

from fakeslurm.contract.harness import SlurmUnderTest, until


@pytest.mark.parametrize(
    ("options", "environment", "queue", "accounting"),
    [
        (["--wckey=mine"], {}, "mine", "mine"),
        ([], {"SBATCH_WCKEY": "theirs"}, "theirs", "theirs"),
        (["--wckey="], {"SBATCH_WCKEY": "theirs"}, "", ""),
        ([], {"SLURM_WCKEY": "unread"}, "(null)", ""),
    ],
)
def test_shown(
    slurm: SlurmUnderTest, options: list[str], environment: dict[str, str], queue: str, accounting: str
) -> None:
    job_id = slurm.sbatch("srun --wckey=step true", *options, env=environment)
    slurm.wait(job_id)
    done = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%w|")
    assert done.stdout == f"{queue}|\n"
    done = slurm.run("squeue", "-h", "-t", "all", "-j", job_id, "-O", "WCKey:|")
    assert done.stdout == f"{queue}|\n"
    expected = [[job_id, accounting, "0"], [f"{job_id}.batch", "", ""], [f"{job_id}.0", "", ""]]

    def rows() -> list[list[str]]:
        return [list(row.values()) for row in slurm.accounted(job_id, "JobID,WCKey,WCKeyID")]

    until(lambda: rows() == expected, what=f"{expected} in the accounting")  # the key comes after the rest
    jobs = json.loads(slurm.run("squeue", "--json", "-t", "all").stdout)["jobs"]
    assert {str(job["job_id"]): job["wckey"] for job in jobs}[job_id] == ("" if queue == "(null)" else queue)
    assert "WCKey" not in slurm.run("scontrol", "show", "job", job_id).stdout


def test_taken_back(slurm: SlurmUnderTest) -> None:
    """An update leaves none; ``--wckey=`` is one of no letters."""
    jobs = [slurm.sbatch("true", "-H", *options) for options in (["--wckey="], ["--wckey=one"], [])]
    slurm.run("scontrol", "update", f"jobid={','.join(jobs)}", "WCKey=")
    shows = [slurm.run("squeue", "-h", "-j", job_id, "-o", "%w").stdout for job_id in jobs]
    assert shows == ["\n", "(null)\n", "(null)\n"]


def test_selected(slurm: SlurmUnderTest) -> None:
    one = slurm.sbatch("true", "--wckey=one")
    other = slurm.sbatch("true", "--wckey=other")
    none = slurm.sbatch("true")
    for job_id in (one, other, none):
        slurm.wait(job_id)

    def selected(*options: str) -> list[str]:
        return slurm.run("sacct", "-XPn", "-o", "JobID", "-j", f"{one},{other},{none}", *options).stdout.split()

    until(lambda: selected() == [one, other, none], what="all three accounted for")
    until(lambda: selected("-W", "one") == [one], what="the key of the first")
    assert selected("--wckeys=one,unknown") == [one]
    until(lambda: selected("-W", "one,other") == [one, other], what="the keys of both")
    assert selected("-W", "unknown") == []
